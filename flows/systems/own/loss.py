r"""A loss given as an expression, on arrays: value, gradient, Hessian; expectations by quadrature.

.. math:: L(y) = A(y) + \sum_j \omega_j f(y, x_j)
"""

from __future__ import annotations

import functools
import math
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np
import sympy as sp

from flows.core.arrays import Array
from flows.expectations.hermite import Rule
from flows.expectations.planes import fewest, surveyed
from flows.expectations.rules import MOST_MEASURED, Proved, left_between, two_families
from flows.systems.own.by_forms import Formed, Rules, formed
from flows.systems.own.measured import Measured, curved, lengths_of, summed
from flows.systems.own.numeric import (
    Numeric,
    check_doubles,
    check_pieces,
    numeric,
    quietly,
    rates_code,
    stacked,
    tape_of,
)
from symbolic.language.blocks import Explicit
from symbolic.language.stable import stable

__all__ = ["ROUNDING", "Estimate", "Loss", "estimate"]

# Numbers of an array over states and directions: each step of a program makes one.
TOGETHER = 1000
#: Rounding of a sum over nodes, relative to the sum of absolute values.
ROUNDING = 1e-14
# Rounding of an integrand against what some moves of the last bits of the entries show of it.
MOVES, SPREAD = 2, 4.0
# How often a rule is refined for the average that the one before has given.
REFINED = 3
# An estimate to this shows that the expectation is finite.
KNOWN = 1e-6
EPSILON = float(np.finfo(float).eps)
# Nodes of a rule that is measured, and of one that is proved.
BUDGET, MOST_NODES = 300_000, 400_000
# An axis has enough nodes if they change a sum by this part of the change by other axes.
LESS = 0.1


@dataclass(frozen=True)
class Loss:
    """A loss in the entries `y`.

    Parameters
    ----------
    y : tuple of Symbol
        The entries.
    form : Explicit
        The expression.
    fingerprint : str
        Hash of both.
    measured : Measured, optional
        The average over other nodes than for standard normal numbers.
    """

    y: tuple[sp.Symbol, ...]
    form: Explicit
    fingerprint: str
    measured: Measured | None = None

    def check(self) -> None:
        """Derive and compile everything, or raise what prevents it."""
        check_pieces(self.form.plain)
        check_doubles(self.form.plain, self.plain, len(self.y))
        if self.averaged:
            if self.measured is not None:
                code = self.measured.integrand, self.measured.code
                check_doubles(*code, len(self.y), len(self.measured.columns))
            else:
                check_doubles(self.form.integrand, self.formed.code, len(self.formed.variables))

    @property
    def averaged(self) -> bool:
        """Whether quadrature is needed."""
        return bool(self.form.integrand != 0)

    @property
    def plain(self) -> Numeric:
        """The part without expectations."""
        return _in_doubles(self.form.plain, self.y)

    @property
    def formed(self) -> Formed:
        """What is averaged, as a function of forms."""
        return formed(self.form.integrand, self.form.x, self.y)

    def at(self, y: Array) -> tuple[Array, Array]:
        """Loss and gradient of states, shapes (...) and (..., N), of a loss without quadrature."""
        if y.ndim == 1:
            # Python's numbers are three times as fast as NumPy's, but raise where these are not
            # finite.
            try:
                both = np.array(quietly(self.plain.both, *y.tolist()), dtype=float)
                return both[0], both[1:]
            except (ArithmeticError, TypeError, ValueError):
                pass
        both = stacked(quietly(self.plain.both, *_columns(y)), y.shape[:-1])
        return both[..., 0], both[..., 1:]

    def summed(self, y: Array, rule: Rule | Rules) -> tuple[Array, Array]:
        """Loss with gradient of one state by a rule, shape (1 + N,), and the sum of sizes."""
        total, place = stacked(quietly(self.plain.both, *y), ()), np.asarray(y, dtype=float)
        size = np.abs(total)
        if self.measured is not None:
            assert isinstance(rule, Rule)
            average, sizes = summed(self.measured.code, place, rule)
            return total + average, size + sizes
        for one, each in self._parts(place, rule):
            average, sizes = one.summed(place, each)
            total, size = total + average, size + sizes
        return total, size

    def rounding(self, y: Array, rule: Rule | Rules) -> Array:
        """Rounding of what :meth:`summed` adds and of the entries, shape (1 + N,).

        A bound, or what last bits show where the changes of a function are not known.
        """
        place, tape = np.asarray(y, dtype=float), tape_of(self.form.plain, self.y)
        if self.measured is not None:
            assert isinstance(rule, Rule)
            parts = [self.measured.rounded(place, rule)]
        else:
            parts = [one.rounded(place, each) for one, each in self._parts(place, rule)]
        known = [part for part in parts if part is not None]
        if tape is None or len(known) < len(parts):
            return _last_bits(self, place, rule)
        plain = stacked(tape.doubts([*place], [*(EPSILON * np.abs(place))]), ())
        return np.asarray(sum(known, start=plain))

    def _parts(self, y: Array, rule: Rule | Rules) -> tuple[tuple[Formed, Rule], ...]:
        """Integrands and rules at a state."""
        return ((self.formed, rule),) if isinstance(rule, Rule) else rule.rules(y)

    def hessians(self, states: Array) -> Array:
        """Hessians of many states of a loss without quadrature, shape (T, N, N)."""
        size = states.shape[-1]
        parts, step = [np.zeros((0, size, size))], max(1, TOGETHER // size)
        for first in range(0, len(states), step):
            some = states[first : first + step]
            rates = quietly(self.plain.rates, *some.T[:, :, None], *np.eye(size))
            parts.append(stacked(rates, (len(some), size))[..., 1:])
        return np.concatenate(parts)

    def hessian(self, y: Array, rule: Rule | Rules | None = None) -> Array:
        """Hessian of one state, shape (N, N)."""
        n = len(y)
        code = None if self.averaged else rates_code(self.form.plain, self.y)
        if code is not None:
            from flows.systems.own.hessians import hessian  # Numba, where it is needed

            exact = np.empty((n, n))
            state = np.array(y, dtype=float)
            hessian(state, code.operation, code.operands, code.constants, code.results, exact)
            return exact
        axes = np.eye(n)
        rates = quietly(self.plain.rates, *y, *axes)
        found = stacked(rates, (n,))[:, 1:]
        if rule is None:
            return found
        place = np.asarray(y, dtype=float)
        if self.measured is not None:
            assert isinstance(rule, Rule)
            whole = self.measured.measure.across(rule)
            return np.asarray(found + curved(self.measured.code, place, whole))
        for one, each in self._parts(place, rule):
            found = found + one.hessian(place, each)
        return found


@functools.lru_cache(maxsize=64)
def _in_doubles(
    expression: sp.Expr, y: tuple[sp.Symbol, ...], x: tuple[sp.Symbol, ...] = ()
) -> Numeric:
    """Code for arrays, in which no exponential overflows that another one is divided by."""
    return numeric(stable(expression), y, x)


def _columns(y: Array) -> list[Any]:
    return [y[..., k] for k in range(y.shape[-1])]


class Estimate(NamedTuple):
    """Loss and gradient of one state by quadrature.

    Parameters
    ----------
    loss : float
        The loss.
    gradient : ndarray, shape (N,)
        Its gradient.
    error : float
        Relative error of the two (of the gradient relative to its largest entry), without rounding:
        an upper bound where :mod:`flows.expectations` has one, otherwise measured by the difference
        to a rule of another family, and infinite without one.
    floor : float
        The rounding of their sums, in the same units: no rule is better than this.
    rule : Rule or Rules
        Nodes and weights, of all terms or of each group.
    loss_error, gradient_error : float
        Absolute errors of the loss and of the length of the gradient, which vanishes at a minimum
        whatever the loss is there.
    """

    loss: float
    gradient: Array
    error: float
    floor: float
    rule: Rule | Rules
    loss_error: float
    gradient_error: float

    @property
    def known(self) -> bool:
        """Whether the loss and the gradient have six digits that are known."""
        size = KNOWN * float(np.linalg.norm(self.gradient))
        return self.loss_error < KNOWN * abs(self.loss) and self.gradient_error < size


def estimate(loss: Loss, y: Array, tolerance: float, *, careful: bool = True) -> Estimate:
    """Average over `x` to an error that is proved, or measured.

    Parameters
    ----------
    loss : Loss
        With an integrand.
    y : ndarray, shape (N,)
        The state.
    tolerance : float
        Relative error asked for.
    careful : bool
        Also measure what cancels in the integrand where the tolerance is reached.

    Returns
    -------
    Estimate
        With the error reached, which is above `tolerance` where the rounding of the sums, or the
        number of nodes, does not allow for it.
    """
    if loss.measured is not None:
        rule, doubt = loss.measured.measure.found(loss.measured, y, tolerance)
    else:
        rule, doubt = _proved(loss, y, tolerance) or _measured(loss, y, tolerance)
    total, size = loss.summed(y, rule)
    scale = np.array([abs(total[0]), np.abs(total[1:]).max(initial=0.0)])
    scale = np.where(scale > 0, scale, 1.0)
    rounding = ROUNDING * size
    error = float(np.max(doubt / scale))
    if careful or not error <= tolerance:
        rounding = rounding + loss.rounding(y, rule)
    rounded = lengths_of(rounding)
    # Of a number that is NaN nothing is known.
    doubt, rounded = (np.where(np.isnan(part), np.inf, part) for part in (doubt, rounded))
    return Estimate(
        float(total[0]),
        total[1:],
        math.inf if math.isnan(error) else error,
        float(np.max(rounded / scale)),
        rule,
        *(doubt + rounded).tolist(),
    )


def _proved(loss: Loss, y: Array, tolerance: float) -> Proved | None:
    """Rule with a bound, to a part of the average; None where nothing is proved."""
    forms = loss.formed.forms
    axes = forms.plane(y).axes
    known = surveyed(forms, y, axes)
    if not known:
        return None
    asked = tolerance * known[0].size
    best = fewest(known, y, axes, asked, MOST_NODES)
    for _ in range(REFINED):
        if best is None:
            return None
        total, size = loss.summed(y, best.rule)
        least = ROUNDING * lengths_of(size)
        wanted = tolerance * np.array([abs(total[0]), np.abs(total[1:]).max(initial=0.0)])
        # Where sums vanish, no rule is better than their rounding.
        asked = np.maximum(wanted, least)
        finer = None
        if (best.bound > asked).any():
            finer = fewest(known, y, axes, asked, MOST_NODES)
        if finer is None:
            break
        best = finer
    return None if best is None else Proved(best.rule, best.bound)


def _measured(loss: Loss, y: Array, tolerance: float) -> Proved:
    """Rule of an integrand without a bound, whose error another family of rules shows."""
    axes = loss.formed.forms.plane(y).axes
    levels = [0] * axes.shape[1]
    before = np.full(1 + len(y), np.inf if levels else np.nan)

    def at(rule: Rule) -> tuple[Rule, Array, Array]:
        placed = Rule(rule.nodes @ axes.T, rule.weights, rule.label)
        return placed, *loss.summed(y, placed)

    best = Proved(Rule(np.zeros((1, len(axes))), np.ones(1), "none"), np.full(2, math.inf))
    while len(levels) <= MOST_MEASURED:
        rules = two_families(tuple(levels))
        if max(map(len, rules)) > BUDGET:
            break
        with np.errstate(over="ignore", invalid="ignore"):  # infinite terms
            (rule, total, size), (_, other, _) = map(at, rules)
            # A narrow feature changes both, perhaps equally.
            off = np.fmax(left_between(total, other, size), left_between(total, before, size))
            best = Proved(rule, lengths_of(off))
            slope = float(np.abs(total[1:]).max(initial=0.0))
            allowed = np.array([abs(total[0]), *[slope] * len(y)]) * tolerance
            if not levels or (off <= allowed).all():
                break
            # Axes on which more nodes change the most.
            finer = (
                two_families((*levels[:k], n + 1, *levels[k + 1 :])) for k, n in enumerate(levels)
            )
            moved = [float(np.abs(at(one)[1] - total).max()) for one, _ in finer]
        before = total
        levels = [n + (not m < LESS * max(moved)) for n, m in zip(levels, moved, strict=True)]
    return best


def _last_bits(loss: Loss, y: Array, rule: Rule | Rules) -> Array:
    """Change of the sums where last bits of entries or nodes move: what cancels in the integrand.

    Axes of a plane have lengths of one but for their last bit, and offsets do not move with them.
    """
    signs = np.random.default_rng(0).choice([-1.0, 1.0], size=(MOVES, len(y)))
    moved = [loss.summed(y * (1 + EPSILON * sign), rule)[0] for sign in signs]
    if isinstance(rule, Rule):
        longer = Rule(rule.nodes * (1 + EPSILON), rule.weights, rule.label)
        moved.append(loss.summed(y, longer)[0])
    total = loss.summed(y, rule)[0]
    return np.asarray(SPREAD * np.max(np.abs(np.array(moved) - total), axis=0))
