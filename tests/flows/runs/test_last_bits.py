"""Status, verdicts and limits of runs do not hang on last bits, whatever a processor makes of them.

What linear algebra returns is moved by up to two units in the last place, as other kernels do; so
are starts, where no last bit of these has a meaning; and unknowns change their order.
"""

from __future__ import annotations

import functools
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any, NamedTuple

import numpy as np
import pytest
import scipy.linalg
import sympy as sp

import flows

a, b, c = sp.symbols("a b c", real=True)
UNITS = 2
# Runs with other last bits agree as well as tolerances of 1e-10 let them; losses below 1e-200 are
# none of a limit.
CLOSE, NOTHING = 1e-7, 1e-200
DECOMPOSITIONS = ("eigh", "eigvalsh", "svd", "svdvals", "qr", "solve", "inv", "lstsq", "det")
TINY = 1e-200
NEXT = float(np.nextafter(TINY, 1.0))


def own(loss: sp.Expr, unknowns: tuple[sp.Symbol, ...] = (a, b)) -> flows.OwnSystem:
    return flows.OwnSystem("bits", list(unknowns), loss)


LAYERS = flows.MatrixFactorization(d=2)
ONE = flows.MatrixFactorization(d=1)
MIXED = own((a**2 + b**2) ** 2 + a * b**3)
DOWN = (a + 2 * b) ** 2 - (2 * a - b) ** 2 + (2 * a - b) ** 4
ODD = (a**2 + b**2 + c**2) ** 2 / 4 - (a * b + b * c + a * c) / 2
#: Systems, starts and ends; the bits of exact starts have a meaning.
EXACT: dict[str, tuple[Any, Any, float]] = {
    "way to a saddle": (own((a * b + 1) ** 2 / 2), [1.0, 1.0], 1e3),
    "way of three to a saddle": (own((a * b * c + 1) ** 2 / 2, (a, b, c)), [1.0] * 3, 1e4),
    "way without energy": (own((a * b + 1) ** 2 / 2), [TINY, TINY], 1e3),
    "bit beside that way": (own((a * b + 1) ** 2 / 2), [TINY, NEXT], 1e3),
    "symmetric way": (own(a**2 / 2 - b**2 / 2 + b**4 / 4), [1.0, 0.0], 1e4),
    "turned saddle": (own(DOWN / 2), [1.0, 2.0], 1e3),
    "minimum of three": (own(ODD, (a, b, c)), [1.0, 1.0, 1.0], 1e3),
    "saddle of three": (own(ODD, (a, b, c)), [1.0, -1.0, 0.0], 1e3),
    "at a minimum": (own((a * b - 1) ** 2 / 2), [1.0, 1.0], 1e3),
    "at a saddle": (own((a * b - 1) ** 2 / 2), [0.0, 0.0], 1e3),
    "neurons at one place": (flows.ReLUNeuron(n=2, d=2), [[0.1, 0.05]] * 2, 1e3),
    "neuron at its teacher": (flows.ReLUNeuron(n=1, d=2), [[1.0, 0.0]], 1e3),
    "neuron opposite": (flows.ReLUNeuron(n=1, d=2), [[-1.0, 0.0]], 1e3),
    "means opposite": (flows.ScoreMatching(n=2, d=1), [[1.0], [-1.0]], 1e4),
    "means opposite, by EM": (flows.GMMEM(n=2, d=1), [[1.0], [-1.0]], 1e4),
    "components at one place": (flows.GMMEM(n=2, d=2), [[1.0, 0.5]] * 2, 1e4),
    "layers at a minimum": (LAYERS, np.stack([np.eye(2)] * 4), 1e3),
    "layers at zero": (LAYERS, np.zeros((4, 2, 2)), 1e3),
    "balanced layers": (LAYERS, LAYERS.initial(0.3, 1, balanced=True), 1e3),
}
GENERIC: dict[str, tuple[Any, Any, float]] = {
    "valley": (own((a * b - 1) ** 2 / 2), [0.7, 1.3], 1e4),
    "well": (own((a * b - 1) ** 2 / 2 + (a - b - 1) ** 2 / 2), [0.7, 1.3], 1e3),
    "well above zero": (own((a - 1) ** 2 / 300 + (a * b - 1) ** 2 / 2 + b**2), [0.7, 1.3], 1e5),
    "form": (MIXED, [0.7, 1.3], 1e6),
    "monkey saddle": (own(a**3 - 3 * a * b**2 + (a**2 + b**2) ** 2), [-1.0, 0.1], 1e3),
    "neurons": (flows.ReLUNeuron(n=2, d=3), flows.ReLUNeuron(n=2, d=3).initial(0.1, 0), 1e3),
    "students": (
        flows.TwoLayer(students=3, teachers=2),
        flows.TwoLayer(students=3, teachers=2).initial(0.5, 0),
        30.0,
    ),
    "components": (flows.GMMEM(n=2, d=2), flows.GMMEM(n=2, d=2).initial(1.0, 0), 1e3),
    "layers that fail": (ONE, ONE.initial(0.5, 1), 1e12),
    "layers": (LAYERS, LAYERS.initial(0.3, 1), 1e3),
}


class Outcome(NamedTuple):
    """What a run says."""

    status: str
    told: str
    verdicts: tuple[str, ...]
    limit: float
    loss: float


def outcome(system: Any, start: Any, end: float) -> Outcome:
    run = flows.integrate(system, start, end)
    found = () if isinstance(system, flows.OwnSystem) else flows.check(run)
    verdicts = tuple(f"{v.claim} {v.verdict}" for v in found)
    # Of a run that is given up the last output may be one earlier or later, as its error decides.
    last = float(run["loss"][-1]) if run.completed else np.nan
    told = "" if np.isfinite(run.excess.limit) else run.excess.reason
    return Outcome(run.status, told, verdicts, float(run.excess.limit), last)


@functools.cache
def expected(name: str) -> Outcome:
    return outcome(*(EXACT | GENERIC)[name])


def alike(one: Outcome, other: Outcome) -> bool:
    return one[:3] == other[:3] and bool(
        np.allclose(one[3:], other[3:], rtol=CLOSE, atol=NOTHING, equal_nan=True)
    )


@contextmanager
def moved_bits(monkeypatch: pytest.MonkeyPatch, seed: int) -> Iterator[None]:
    """Linear algebra with other last bits."""
    draws, unit = np.random.default_rng(seed), np.finfo(float).eps

    def moved(found: Any) -> Any:
        if isinstance(found, np.ndarray) and found.dtype.kind in "fc":
            return found * (1 + unit * draws.integers(-UNITS, UNITS + 1, size=found.shape))
        if isinstance(found, tuple):
            parts = map(moved, found)
            return type(found)(*parts) if hasattr(found, "_fields") else tuple(parts)
        return found

    def wrapped(original: Callable[..., Any]) -> Callable[..., Any]:
        return lambda *given, **options: moved(original(*given, **options))

    with monkeypatch.context() as patch:
        for module in (np.linalg, scipy.linalg):
            for name in DECOMPOSITIONS:
                if hasattr(module, name):
                    patch.setattr(module, name, wrapped(getattr(module, name)))
        yield


@pytest.mark.parametrize("name", [*EXACT, *GENERIC])
def test_an_outcome_does_not_hang_on_the_last_bits_of_linear_algebra(
    name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    usual = expected(name)
    with moved_bits(monkeypatch, 0):
        assert alike(outcome(*(EXACT | GENERIC)[name]), usual)


@pytest.mark.parametrize("name", GENERIC)
def test_an_outcome_does_not_hang_on_the_last_bits_of_a_start(name: str) -> None:
    system, start, end = GENERIC[name]
    for away in (-np.inf, np.inf):
        assert alike(outcome(system, np.nextafter(start, away), end), expected(name))


@pytest.mark.parametrize(
    ("loss", "start"),
    [
        ((a * b + 1) ** 2 / 2, [1.0, 1.0]),
        ((a * b - 1) ** 2 / 2 + (a - b - 1) ** 2 / 2, [0.7, 1.3]),
        (DOWN / 2, [1.0, 2.0]),
        ((a * b + 1) ** 2 / 2, [TINY, NEXT]),
    ],
)
def test_an_outcome_does_not_hang_on_the_order_of_unknowns(loss: sp.Expr, start: Any) -> None:
    usual = outcome(own(loss), start, 1e3)
    assert alike(outcome(own(loss, (b, a)), start[::-1], 1e3), usual)


def test_a_bit_that_has_a_meaning_is_seen() -> None:
    """Beside the way to a saddle, where it is no rounding of anything; and a little limit is."""
    assert not alike(expected("way without energy"), expected("bit beside that way"))
    system, start, end = GENERIC["well above zero"]
    raised = own(system.expression + sp.Rational(1, 10**6))
    assert not alike(outcome(raised, start, end), expected("well above zero"))
