"""From the options of the command line to a run.

Adding a system's options is one entry in `SYSTEMS`.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import click

from flows.errors import InputError, nearest, unknown

if TYPE_CHECKING:
    from flows.self_similar import Array
    from flows.system import System
    from flows.trajectory import Trajectory
    from potentials import Statements

Options = Mapping[str, Any]
Command = Callable[..., Any]

T_END = 1e9  # where `check` and `inspect` stop unless told otherwise
SIZE = click.IntRange(1, 10**7)  # far beyond any memory, but n d is a number NumPy can count to
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


def _relu_neuron(options: Options) -> tuple[System, Array]:
    from flows.relu_neuron import ReLUNeuron

    initial = _array(options, "initial", ("n", "d"))
    teacher = _array(options, "teacher", ("d",))
    if initial is not None:
        n, d = initial.shape
    else:
        n, d = _value(options, "n"), _value(options, "d")
        if teacher is not None and options["d"] is None:
            d = len(teacher)
    if teacher is not None and len(teacher) != d:
        raise InputError(
            f"--teacher: expected {d} numbers, as many as a neuron has, got {len(teacher)}"
        )
    system = ReLUNeuron(n=n, d=d, teacher=teacher)
    return system, _random(system, options) if initial is None else initial


def _gmm_em(options: Options) -> tuple[System, Array]:
    from flows.gmm_em import GMMEM

    initial = _array(options, "initial", ("n", "d"))
    weights = options["weights"]
    if initial is not None:
        n, d = initial.shape
    else:
        n, d = _value(options, "n"), _value(options, "d")
        if weights is not None and options["n"] is None:
            n = len(weights)
    if weights is not None and len(weights) != n:
        raise InputError(f"--weights: expected {n} numbers, one a component, got {len(weights)}")
    system = GMMEM(n=n, d=d, weights=weights)
    return system, _random(system, options) if initial is None else initial


def _numbers(context: click.Context, option: click.Parameter, text: str | None) -> Any:
    try:
        return text if text is None else [float(part) for part in text.split(",")]
    except ValueError as error:
        raise InputError(
            f"--weights: expected numbers separated by commas, like 0.2,0.3,0.5, got {text!r}"
        ) from error


def _score_matching(options: Options) -> tuple[System, Array]:
    from flows.score_matching import ScoreMatching

    initial = _array(options, "initial", ("n", "d"))
    target = _array(options, "target", ("d",))
    if initial is not None:
        n, d = initial.shape
    else:
        n, d = _value(options, "n"), _value(options, "d")
        if target is not None and options["d"] is None:
            d = len(target)
    if target is not None and len(target) != d:
        raise InputError(f"--target: expected {d} numbers, as many as a mean has, got"
                         f" {len(target)}")  # fmt: skip
    noise_time = 0.0 if options["noise_time"] is None else options["noise_time"]
    system = ScoreMatching(n=n, d=d, noise_time=noise_time, target=target)
    return system, _random(system, options) if initial is None else initial


def _matrix_factorization(options: Options) -> tuple[System, Array]:
    from flows.matrix_factorization import MatrixFactorization

    if options["n"] is not None:
        raise InputError("--n is not an option of matrix_factorization; --depth sets the layers")
    is_complex = options["field"] == "complex"
    initial = _matrices(options, "initial", ("depth", "d", "d"), is_complex)
    target = _matrices(options, "target", ("d", "d"), is_complex)
    if initial is not None and options["balanced"]:
        raise InputError("--initial: expected no --balanced beside it; give one of them")
    given = {key: options[key] for key in ("field", "regularization", "depth")
             if options[key] is not None}  # fmt: skip
    if initial is not None:
        d = initial.shape[1]
        given.setdefault("depth", initial.shape[0])
    elif target is not None and options["d"] is None:
        d = len(target)
    else:
        d = _value(options, "d")
    if target is not None and target.shape != (d, d):
        raise InputError(f"--target: expected shape ({d}, {d}), as the layers have, got"
                         f" {target.shape}")  # fmt: skip
    system = MatrixFactorization(d=d, target=target, **given)
    if initial is not None:
        return system, initial
    scale, seed = _value(options, "scale"), _value(options, "seed")
    return system, system.initial(scale, seed, balanced=bool(options["balanced"]))


_TARGET = click.option(
    "--target", metavar="FILE",
    help="Target, .npy or JSON lists: Sigma [default: the identity], or the data's mean"
    " [default: 0].",
)  # fmt: skip

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
                callback=_numbers,
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


def _array(
    options: Options, name: str, axes: tuple[str, ...], is_complex: bool = False
) -> Array | None:
    from flows.starts import read_array

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
        raise InputError(f"{options[name]}: expected real numbers, got complex ones; add --field"
                         " complex") from None  # fmt: skip


def _value(options: Options, name: str) -> Any:
    return DEFAULTS[name] if options[name] is None else options[name]


def _random(system: System, options: Options) -> Array:
    return system.initial(scale=_value(options, "scale"), seed=_value(options, "seed"))


def _times(context: click.Context, option: click.Parameter, text: str | None) -> Any:
    try:
        return text if text is None else [float(part) for part in text.split(",")]
    except ValueError as error:
        raise InputError(
            f"--t-eval: expected times separated by commas, like 1,10,100, got {text!r}"
        ) from error


def _option(flag: str, metavar: str, text: str, **more: Any) -> Callable[[Command], Command]:
    default = DEFAULTS.get(flag.removeprefix("--"))
    note = "" if default is None else f" [default: {default}]"
    return click.option(flag, metavar=metavar, help=f"{text}{note}.", **more)


FLOW = {
    "t_end": _option("--t-end", "T", "Integrate to this time", type=float),
    "n": _option("--n", "N", "Number of neurons or components", type=SIZE),
    "d": _option("--d", "D", "Dimension", type=SIZE),
    "scale": _option("--scale", "S", "Size of the random start", type=float),
    "seed": _option("--seed", "K", "Seed of the random start", type=int),
    "initial": _option("--initial", "FILE", "Start, .npy or JSON lists; replaces the four above"),
    "t_eval": _option("--t-eval", "T1,T2,..", "Output times, else geometric", callback=_times),
    "rtol": _option("--rtol", "R", "Relative tolerance of a step", type=float),
    "method": _option("--method", "M", "Solver"),
}


def flow_options(command: Command) -> Command:
    """Give a command the options of a flow, then those of each system."""
    own = {name: option for entry in SYSTEMS.values() for name, option in entry.options.items()}
    for decorate in reversed([*FLOW.values(), *own.values()]):
        command = decorate(command)
    return command


def one_of(what: str, name: str | None, known: Iterable[str]) -> None:
    """Refuse a name that is not known.

    Raises
    ------
    InputError
        With the nearest one, and all that are.
    """
    names = list(known)
    if name is not None and name not in names:
        raise unknown(what, name, names)


def integrated(
    name: str, options: Options, progress: bool | Callable[[float], None] | None = None
) -> Trajectory:
    """Run of system ``name`` that the options ask for.

    Parameters
    ----------
    name : str
        The system.
    options : mapping
        Options of `FLOW` and of the systems.
    progress : bool or callable, optional
        As in :func:`flows.integrate`; by default a bar where standard error is a terminal.

    Raises
    ------
    InputError
        For options that exclude each other, are another system's, or have bad values.
    """
    from flows.integrate import integrate

    one_of("system", name, SYSTEMS)
    _check_given(name, _given(options))
    if options["t_end"] is None:
        raise InputError("--t-end: expected a time to integrate to, got none; give --t-end 1e9")
    system, start = SYSTEMS[name].prepare(options)
    return integrate(
        system,
        start,
        t_end=options["t_end"],
        t_eval=options["t_eval"],
        method=_value(options, "method"),
        rtol=_value(options, "rtol"),
        progress=sys.stderr.isatty() if progress is None else progress,
    )


def loaded_or_integrated(
    target: str, options: Options, look: Callable[[Statements], object]
) -> Trajectory:
    """Run of a result file, or of a system to ``T_END`` unless the options say otherwise.

    Parameters
    ----------
    target : str
        Name of a system or of a file.
    options : mapping
        Options of `FLOW` and of the systems; none may be given with a file.
    look : callable
        Gets the system's statements before anything is integrated, to refuse what does not fit.

    Raises
    ------
    InputError
        For a target that is neither, a damaged file, and bad options.
    """
    if target in SYSTEMS:
        from potentials import statements

        look(statements(target))
        t_end = T_END if options["t_end"] is None else options["t_end"]
        return integrated(target, {**options, "t_end": t_end})
    result_file(target, options)
    from flows.trajectory import load

    run = load(target)
    look(run.statements)
    return run


def result_file(target: str, options: Options) -> str:
    """Name of a result file, with which no option may be given.

    Raises
    ------
    InputError
        For a name that is neither a system's nor a file's, and for options.
    """
    if not (target.endswith(".nc") or os.path.exists(target)):
        near = nearest(target, SYSTEMS)
        hint = f" did you mean {near}?" if near else ""
        raise InputError(
            f"unknown system or file {target!r};{hint} expected {', '.join(SYSTEMS)}, or a file"
            " that popflow run --out wrote"
        )
    if given := _given(options):
        raise InputError(f"{_flag(given[0])} does not apply to a result file; leave it out")
    return target


def written_out(name: str, options: Options) -> dict[str, Any]:
    """Options of a system after a check, with the numbers of files in place of their names.

    Raises
    ------
    InputError
        For options of another system, and files that cannot be used.
    """
    given = _given(options)
    _check_given(name, given)
    written = {key: options[key] for key in given}
    files = {"initial", "teacher", "target"} & set(given)
    if files:
        import json

        import numpy as np

        from flows.trajectory import plain

        system, start = SYSTEMS[name].prepare(options)
        for key in files:
            value = start if key == "initial" else np.array(getattr(system, key))
            written[key] = json.dumps(plain(value))
    return written


def _check_given(name: str, given: Iterable[str]) -> None:
    """Refuse options of another system, and two that exclude each other."""
    if foreign := [key for key in given if key not in {*FLOW, *SYSTEMS[name].options}]:
        raise InputError(f"{_flag(foreign[0])} is not an option of {name}; leave it out")
    twice = [key for key in given if key in ("n", "d", "scale", "seed")]
    if "initial" in given and twice:
        raise InputError(f"--initial: expected no {_flag(twice[0])} beside it; give one of them")


def _given(options: Options) -> list[str]:
    return [name for name, value in options.items() if value is not None]


def _flag(name: str) -> str:
    return "--" + name.replace("_", "-")
