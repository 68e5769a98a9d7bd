"""What the command line asks of each system: its own options, and from options to a start.

Adding a system's options is one entry in `SYSTEMS`.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sized
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import click

from flows.core.errors import InputError

if TYPE_CHECKING:
    from flows.core.arrays import Array
    from flows.core.system import System

Options = Mapping[str, Any]
Command = Callable[..., Any]

DEFAULTS = {"n": 3, "d": 5, "scale": 0.1, "seed": 0, "rtol": 1e-10, "method": "auto"}


@dataclass(frozen=True)
class Entry:
    """Command line of one system.

    Parameters
    ----------
    options : dict
        The options that only this system has: a click decorator by parameter name.
    prepare : callable
        From all options to the system and its start.
    """

    options: dict[str, Callable[[Command], Command]]
    prepare: Callable[[Options], tuple[System, Array]]


def comma_separated(what: str, example: str) -> Callable[..., list[float] | None]:
    """Click callback that reads numbers with commas between them, such as those of ``example``."""

    def read(
        context: click.Context, option: click.Parameter, text: str | None
    ) -> list[float] | None:
        try:
            return None if text is None else [float(part) for part in text.split(",")]
        except ValueError as error:
            raise InputError(
                f"{option.opts[0]}: expected {what} separated by commas, like"
                f" {example}, got {text!r}"
            ) from error

    return read


def chosen(options: Options, name: str) -> Any:
    """Value of an option, or its default."""
    return DEFAULTS[name] if options[name] is None else options[name]


def _array(
    options: Options, name: str, axes: tuple[str, ...], is_complex: bool = False
) -> Array | None:
    from flows.core.starts import read_array

    return None if options[name] is None else read_array(options[name], axes, is_complex)


def _matrices(options: Options, name: str, axes: tuple[str, ...], is_complex: bool) -> Array | None:
    """Array of an option whose numbers are real or complex, as another option says."""
    try:
        return _array(options, name, axes, is_complex)
    except InputError:
        if is_complex:
            raise
        # What is no array of complex numbers either is refused by a reason of its own.
        _array(options, name, axes, is_complex=True)
        raise InputError(
            f"{options[name]}: expected real numbers, got complex ones; add --field complex"
        ) from None


def _sizes(
    options: Options, initial: Array | None, along: str, vector: Sized | None, flag: str, why: str
) -> tuple[int, int]:
    """Sizes n and d: of the start, else as given, else as long ``along`` an axis as a vector is."""
    names = ("n", "d")
    given = [chosen(options, name) for name in names] if initial is None else initial.shape
    sizes = dict(zip(names, given, strict=True))
    if vector is not None:
        if initial is None and options[along] is None:
            sizes[along] = len(vector)
        if len(vector) != sizes[along]:
            raise InputError(f"{flag}: expected {sizes[along]} numbers, {why}, got {len(vector)}")
    return sizes["n"], sizes["d"]


def _random(system: System, options: Options) -> Array:
    return system.initial(scale=chosen(options, "scale"), seed=chosen(options, "seed"))


def _relu_neuron(options: Options) -> tuple[System, Array]:
    from flows.systems.relu_neuron.system import ReLUNeuron

    initial = _array(options, "initial", ("n", "d"))
    teacher = _array(options, "teacher", ("d",))
    n, d = _sizes(options, initial, "d", teacher, "--teacher", "as many as a neuron has")
    system = ReLUNeuron(n=n, d=d, teacher=teacher)
    return system, _random(system, options) if initial is None else initial


def _gmm_em(options: Options) -> tuple[System, Array]:
    from flows.systems.gmm_em.system import GMMEM

    initial = _array(options, "initial", ("n", "d"))
    weights = options["weights"]
    n, d = _sizes(options, initial, "n", weights, "--weights", "one a component")
    system = GMMEM(n=n, d=d, weights=weights)
    return system, _random(system, options) if initial is None else initial


def _score_matching(options: Options) -> tuple[System, Array]:
    from flows.systems.score_matching.system import ScoreMatching

    initial = _array(options, "initial", ("n", "d"))
    target = _array(options, "target", ("d",))
    n, d = _sizes(options, initial, "d", target, "--target", "as many as a mean has")
    noise_time = 0.0 if options["noise_time"] is None else options["noise_time"]
    system = ScoreMatching(n=n, d=d, noise_time=noise_time, target=target)
    return system, _random(system, options) if initial is None else initial


def _matrix_factorization(options: Options) -> tuple[System, Array]:
    from flows.systems.matrix_factorization.system import MatrixFactorization

    if options["n"] is not None:
        raise InputError("--n is not an option of matrix_factorization; --depth sets the layers")
    is_complex = options["field"] == "complex"
    initial = _matrices(options, "initial", ("depth", "d", "d"), is_complex)
    target = _matrices(options, "target", ("d", "d"), is_complex)
    if initial is not None and options["balanced"]:
        raise InputError("--initial: expected no --balanced beside it; give one of them")
    given = {
        key: options[key]
        for key in ("field", "regularization", "depth")
        if options[key] is not None
    }
    if initial is not None:
        d = initial.shape[1]
        given.setdefault("depth", initial.shape[0])
    elif target is not None and options["d"] is None:
        d = len(target)
    else:
        d = chosen(options, "d")
    if target is not None and target.shape != (d, d):
        raise InputError(
            f"--target: expected shape ({d}, {d}), as the layers have, got {target.shape}"
        )
    system = MatrixFactorization(d=d, target=target, **given)
    if initial is not None:
        return system, initial
    scale, seed = chosen(options, "scale"), chosen(options, "seed")
    return system, system.initial(scale, seed, balanced=bool(options["balanced"]))


_TARGET = click.option(
    "--target",
    metavar="FILE",
    help="Target, .npy or JSON lists: Sigma [default: the identity], or the data's mean"
    " [default: 0].",
)

SYSTEMS = {
    "relu_neuron": Entry(
        options={
            "teacher": click.option(
                "--teacher", metavar="FILE", help="Teacher v, .npy or JSON list [default: e_1]."
            )
        },
        prepare=_relu_neuron,
    ),
    "gmm_em": Entry(
        options={
            "weights": click.option(
                "--weights",
                metavar="W1,W2,..",
                callback=comma_separated("numbers", "0.2,0.3,0.5"),
                help="Weights of the components, of sum 1 [default: equal].",
            )
        },
        prepare=_gmm_em,
    ),
    "score_matching": Entry(
        options={
            "noise_time": click.option(
                "--noise-time",
                metavar="S",
                type=float,
                help="Time of the forward process at which scores are matched [default: 0].",
            ),
            "target": _TARGET,
        },
        prepare=_score_matching,
    ),
    "matrix_factorization": Entry(
        options={
            "field": click.option(
                "--field",
                type=click.Choice(["real", "complex"]),
                help="Numbers of the layers [default: real].",
            ),
            "regularization": click.option(
                "--regularization",
                metavar="A",
                type=float,
                help="Strength a of the balancing term [default: 5].",
            ),
            "depth": click.option(
                "--depth", metavar="N", type=int, help="Number of layers [default: 4]."
            ),
            "target": _TARGET,
            "balanced": click.option(
                "--balanced",
                is_flag=True,
                default=None,
                help="Balanced random start: every layer Gaussian, all defects zero.",
            ),
        },
        prepare=_matrix_factorization,
    ),
}
