"""Between output times: where a factor of a comparison vanishes, or a margin turns below zero.

`lhs <= C rhs` has no constant near a time at which the right side is zero and the left one is not,
and a run whose outputs lie on both sides of that time does not show it. A product vanishes where a
factor does. A factor such as `P - 1/2` changes its sign there, even if the product, a square or an
absolute value, does not. A factor in the time alone is evaluated between outputs, and its zero is
found by halving. Any other factor has its values and rates at outputs only: it vanishes where it
changes its sign, and may vanish where the cubic through values and rates falls to a small part of
them.

`lhs <= rhs` may fail between two outputs at which it holds, as where the outputs meet the same
phase of an oscillation each time. Values and rates show that the margin has a minimum there, and
the cubic shows about how deep it is.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace

import numpy as np
import sympy as sp
from numpy.typing import NDArray

from flows.core.arrays import Array
from flows.core.errors import InputError
from flows.runs.expressions import evaluate_expressions
from flows.runs.quantities import Quantities, Run
from flows.runs.sides import Mask, moving
from flows.runs.uncertainty import Uncertainty
from potentials.notation import to_text, total_derivative

__all__ = ["Gap", "turning", "vanishing"]

#: Factors in the time alone are looked at in so many places between two outputs.
PLACES = 16
#: After so many halvings an interval of doubles has no more numbers inside.
HALVINGS = 60
#: Where its sign changes, a continuous factor is at most this part of its neighbours.
SMALL = 1e-6
#: Error of the cubic between two outputs, relative to the larger value: a minimum below it may be
#: zero.
CUBIC = 0.05
#: Sums of more operations than this are not factored: that takes longer than the rest of a verdict.
SIMPLE = 60
#: With these functions a factor may change its sign without a zero.
JUMPS = (sp.sign, sp.Heaviside, sp.floor, sp.ceiling, sp.Piecewise, sp.tan, sp.cot)


@dataclass(frozen=True)
class Gap:
    """A factor that vanishes between two times, surely or perhaps.

    Parameters
    ----------
    since, until : float
        The two times, equal where the zero is found.
    factor : Expr
        The factor.
    certain : bool
        Whether it surely vanishes.
    """

    since: float
    until: float
    factor: sp.Expr
    certain: bool

    def __str__(self) -> str:
        """Say in words where it vanishes."""
        verb = "vanishes" if self.certain else "may vanish"
        if self.since == self.until:
            return f"{to_text(self.factor)} {verb} at t = {self.since:.4g}"
        return f"{to_text(self.factor)} {verb} between t = {self.since:.4g} and {self.until:.4g}"


def vanishing(run: Run, uncertainty: Uncertainty, quotient: sp.Expr, needed: Mask) -> Gap | None:
    """Find where a quotient of sides vanishes.

    Parameters
    ----------
    run : Run
        The trajectory.
    uncertainty : Uncertainty
        Errors of its quantities.
    quotient : Expr
        A product of powers that must not vanish.
    needed : ndarray of bool, shape (T,)
        Output times at which it must not vanish, nor between two of them that follow each other.

    Returns
    -------
    Gap or None
        A certain zero if there is one, else a possible one; None if none is seen.
    """
    # Where a factor vanishes, so does its absolute value; a common one cancels.
    bases = (factor.as_base_exp() for factor in sp.Mul.make_args(quotient))
    product = sp.Mul(*((x.args[0] if isinstance(x, sp.Abs) else x) ** p for x, p in bases))
    found: Gap | None = None
    for factor in dict.fromkeys(_factors(product)):
        if moving(factor) <= {"t"}:
            gap = _of_time(run, factor, needed)
        else:
            gap = _of_state(run, uncertainty, factor, needed)
        if gap is not None and gap.certain and factor in set(_factors(1 / product)):
            gap = replace(gap, certain=False)
        if gap is not None and gap.certain:
            return gap
        found = found or gap
    return found


def _factors(product: sp.Expr, factored: bool = False) -> Iterator[sp.Expr]:
    """Moving bases of the positive powers of a product, sums being factored once."""
    for factor in sp.Mul.make_args(product):
        base, power = factor.as_base_exp()
        if not power.is_positive or not moving(base):
            continue
        if isinstance(base, sp.Abs):
            yield from _factors(base.args[0], factored)
        elif base.is_Mul or base.is_Pow:
            yield from _factors(base, factored)
        elif base.is_Add and base.count_ops() <= SIMPLE and not factored:
            yield from _factors(sp.factor(base), factored=True)
        else:
            yield base


def _of_time(run: Run, factor: sp.Expr, needed: Mask) -> Gap | None:
    """Zero of a factor in the time alone, which is known in between as well."""
    t = run.quantities["t"]
    pairs = np.flatnonzero(needed[:-1] & needed[1:])
    if not len(pairs):
        return None
    places = np.geomspace(t[pairs], t[pairs + 1], PLACES + 1, axis=1)
    constants = {k: run.quantities[k] for k in (s.name for s in factor.free_symbols) if k != "t"}

    def value(at: Array) -> Array:
        return evaluate_expressions((factor,), {**constants, "t": at})[0]

    values = value(places)
    zero = _exact(t, value(t), needed, factor)
    if zero is not None and zero.certain:
        return zero
    left, right = places[:, :-1], places[:, 1:]
    crossing = values[:, :-1] * values[:, 1:] < 0
    ends = np.maximum(np.abs(values[:, :-1]), np.abs(values[:, 1:]))[crossing]
    root = _halved(value, left[crossing], right[crossing])
    continuous = np.abs(value(root)) <= SMALL * ends
    if continuous.any():
        at = float(root[continuous][0])
        return Gap(at, at, factor, certain=True)
    size = np.abs(values)
    low = (size[:, 1:-1] <= size[:, :-2]) & (size[:, 1:-1] <= size[:, 2:])
    for a, b, beside in zip(
        places[:, :-2][low],
        places[:, 2:][low],
        np.minimum(size[:, :-2], size[:, 2:])[low],
        strict=True,
    ):
        at, least = _least(value, float(a), float(b))
        if least <= SMALL * beside:
            return Gap(at, at, factor, certain=False)
    return zero


def _halved(value: Callable[[Array], Array], left: Array, right: Array) -> Array:
    """Where a function changes its sign, to the last digit."""
    sign = np.sign(value(left))
    for _ in range(HALVINGS):
        middle = (left + right) / 2
        same = np.sign(value(middle)) == sign
        left, right = np.where(same, middle, left), np.where(same, right, middle)
    return np.where(np.abs(value(left)) < np.abs(value(right)), left, right)


def _least(value: Callable[[Array], Array], a: float, b: float) -> tuple[float, float]:
    """Place and value of the least size in a bracket, which is narrowed about the least place."""
    places = np.linspace(a, b, PLACES + 1)
    for _ in range(HALVINGS // 3):  # each is narrower by eight
        size = np.abs(value(places))
        k = int(np.argmin(size))
        places = np.linspace(places[max(k - 1, 0)], places[min(k + 1, PLACES)], PLACES + 1)
    return float(places[0]), float(np.abs(value(places)).min())


def _of_state(run: Run, uncertainty: Uncertainty, factor: sp.Expr, needed: Mask) -> Gap | None:
    """Zero of a factor of the state, whose values and rates are known at the outputs."""
    t = run.quantities["t"]
    value, _, error = uncertainty.compared(factor, sp.S.Zero, "state")
    zero = _exact(t, value, needed, factor)
    if zero is not None:
        return zero
    known = np.flatnonzero(needed & (np.abs(value) > error))
    left, right = known[:-1], known[1:]
    # Between two known values may lie values that are not known, but none that is not needed.
    joined = np.diff(np.cumsum(needed)[known]) == right - left
    crossing = np.flatnonzero(joined & (value[left] * value[right] < 0))
    if len(crossing):
        since, until = float(t[left[crossing[0]]]), float(t[right[crossing[0]]])
        jumped = any(since <= event.time <= until for event in run.events)
        poles = any(x.exp.is_negative for x in factor.atoms(sp.Pow))
        return Gap(since, until, factor, not (jumped or poles or factor.has(*JUMPS)))
    doubtful = np.flatnonzero(needed & (np.abs(value) <= error))
    if len(doubtful):
        return Gap(float(t[doubtful[0]]), float(t[doubtful[0]]), factor, certain=False)
    k = _dip(run.quantities, factor, value, left[joined])
    return None if k is None else Gap(float(t[k]), float(t[k + 1]), factor, certain=False)


def _exact(t: Array, value: Array, needed: Mask, factor: sp.Expr) -> Gap | None:
    """Zero at an output time; one that lasts to the end may be a number below all doubles."""
    zeros = np.flatnonzero(needed & (value == 0))
    if not len(zeros):
        return None
    at = float(t[zeros[0]])
    return Gap(at, at, factor, certain=bool((value[zeros[0] :] != 0).any()))


def _dip(
    quantities: Quantities, factor: sp.Expr, value: Array, pairs: NDArray[np.intp]
) -> int | None:
    """First output time after which the cubic through values and rates falls nearly to zero."""
    try:
        (rate,) = quantities.at((total_derivative(factor),), "state")
    except InputError:  # the factor has no rate along the flow
        return None
    t, sign = quantities["t"], np.sign(value)
    a, b, width = np.abs(value[pairs]), np.abs(value[pairs + 1]), np.diff(t)[pairs]
    down, up = (sign * rate)[pairs] * width, (sign * rate)[pairs + 1] * width
    # A rate that would carry it beyond both values within the interval is not resolved by a cubic.
    turns = (down < 0) & (up > 0) & (np.maximum(-down, up) <= 4 * np.maximum(a, b))
    low = pairs[turns & (_lowest(a, down, b, up) <= CUBIC * np.maximum(a, b))]
    return int(low[0]) if len(low) else None


def _lowest(left: Array, down: Array, right: Array, up: Array) -> Array:
    """Minima of cubics on [0, 1] with these values and derivatives at its ends."""
    s = np.linspace(0, 1, PLACES + 1)[:, None]
    cubic = (
        left * (1 + 2 * s) * (1 - s) ** 2
        + down * s * (1 - s) ** 2
        + right * s**2 * (3 - 2 * s)
        - up * s**2 * (1 - s)
    )
    found: Array = cubic.min(axis=0)
    return found


# A margin of a run that rests has no digits at all.
@np.errstate(all="ignore")
def turning(run: Run, margin: sp.Expr, error: Array, needed: Mask) -> tuple[float, float] | None:
    """Find two outputs between which a margin has a minimum that may be negative.

    Parameters
    ----------
    run : Run
        The trajectory.
    margin : Expr
        By how much a comparison of numbers of the state holds, not negative at the outputs.
    error : ndarray, shape (T,)
        Its error.
    needed : ndarray of bool, shape (T,)
        Output times at which it is compared.

    Returns
    -------
    tuple of float or None
        The first such pair. None where the margin has no rate along the flow.
    """
    try:
        value, rate = run.quantities.at((margin, total_derivative(margin)), "state")
    except InputError:
        return None
    t = run.quantities["t"]
    k = np.flatnonzero(needed[:-1] & needed[1:])
    width, left, right = np.diff(t)[k], value[k], value[k + 1]
    down, up = rate[k] * width, rate[k + 1] * width
    # It goes down from one end, and is not lower at the other, or rises to it.
    turns = ((down < 0) & ((right >= left) | (up > 0))) | ((up > 0) & (right <= left))
    low = _lowest(left, down, right, up)
    # Over half a period of an oscillation the cubic shows half of the depth, or a little more.
    deep = 2 * low - np.minimum(left, right) < -np.maximum(error[k], error[k + 1])
    found = k[turns & deep]
    return (float(t[found[0]]), float(t[found[0] + 1])) if len(found) else None
