r"""Where a run goes: the limit point of the flow from one late state, the kernel there, the power.

Along a run that follows `L - L* ~ C t^{-p/(p-2)}` the Hessian has eigenvalues with `t h` large
(fast, F), of order one (slow, N) and near zero (tangent, T). The limit is looked for on the slice
`c + span(N, F)`, without moving along T: Newton's method in F to convergence, then the step of
Newton's method for the Schur complement in N *times* `p - 1`, since the gradient along N is
homogeneous of degree `p - 1` to leading order and `S^{-1} g = r/(p - 1)` on its ray. With

.. math:: q = t \frac{g^T H g}{g^T g} \to \frac{p - 1}{p - 2}, \qquad p = 2 + \frac1{q - 1}

this converges superlinearly. Any other case is refused with a reason.

A run that arrives along a cone of conserved quantities has slow directions of negative curvature
too, in which others leave. By homogeneity the step is the same.
"""

from __future__ import annotations

import functools
import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np
import sympy as sp
from flint import arb, arb_mat

from flows.core.arrays import Array
from flows.core.balls import precision
from flows.core.symmetric import ROUNDED, eigen, sharp
from symbolic.language.lower import Undecided, lower
from symbolic.language.program import gradient, tangent

__all__ = ["Balls", "Limit", "balls_of", "find_limit", "nearly"]

# Eigenvalues of `t H`: above, fast; between, slow; below minus the second one, a saddle.
FAST, TANGENT = 30.0, 0.2
# A power so near to an integer is that integer; a larger one is none, as of a flow to infinity.
INTEGER, LARGEST = 0.1, 50.0
# Bits of the search; moves of either kind; when they have converged, and when they shrink at all.
BITS, MOVES, INNER = 900, 40, 200
CONVERGED, SHRINKS, SUPERLINEAR, SMALL = 1e-30, 0.5, 0.1, 1e-9
# Newton's method in fast directions may converge by this factor only, on its way to where curvature
# that vanishes at the limit is left.
SLOWLY = 0.9
# A Hessian serves again where steps with it shrink by this, until they are below the second one.
CHORD, SETTLED = 1e-3, 1e-60
# The gradient at the limit, relative to that where the search began.
FLAT = 1e-20
NOT_FOUND = "limit not found"
NO_POWER, NO_SHRINKING = "no power law", "its steps do not shrink fast enough"


class Balls(NamedTuple):
    """A loss in balls: functions of exact numbers, at the working precision.

    Parameters
    ----------
    both : callable
        `both(y)`, the value and `N` derivatives.
    rates : callable
        `rates(y, dy)`, the derivatives of these in the direction `dy`.
    coarse : callable, optional
        `coarse(y)`, the Hessian in two doubles, an `arb_mat`, or None where they do not tell it.
    known : float
        Relative error of a number at best; 0 where more bits always give more digits.
    quick : callable, optional
        `quick(y)`, as `both` in two doubles, whatever the precision; None where they do not tell.
    """

    both: Callable[[Sequence[Any]], list[Any]]
    rates: Callable[[Sequence[Any], Sequence[Any]], list[Any]]
    coarse: Callable[[Sequence[Any]], Any] | None = None
    known: float = 0.0
    quick: Callable[[Sequence[Any]], list[Any] | None] | None = None

    def hessian(self, y: Sequence[Any]) -> list[list[Any]]:
        """Hessian, row by row."""
        size = len(y)
        axes = [[arb(int(i == k)) for i in range(size)] for k in range(size)]
        return [self.rates(y, axis)[1:] for axis in axes]


@functools.lru_cache(maxsize=8)
def balls_of(expression: sp.Expr, y: tuple[sp.Symbol, ...]) -> Balls:
    """Loss in closed form as functions of exact numbers."""
    forward = gradient(expression, y)
    steps = tuple(sp.Symbol(f"d{s.name}", real=True) for s in y)
    moved = tangent(forward, y, steps)
    both = lower(forward.results, y, "ball", forward.steps)
    rates = lower(moved.results, (*y, *steps), "ball", moved.steps)
    return Balls(lambda at: list(both(*at)), lambda at, dy: list(rates(*at, *dy)))


@dataclass(frozen=True)
class Limit:
    """A limit point of a flow.

    Parameters
    ----------
    where : list of arb
        The point.
    loss : arb
        The loss there, a ball that holds its rounding.
    power : float
        `p` of `L - L* ~ |y - y*|^p` along the run; 2 where the approach is exponential.
    kernel : ndarray, shape (N, K)
        Orthonormal directions, slow and tangent, in which the Hessian vanishes there.
    moves : tuple of float
        Lengths of the steps that led there.
    """

    where: list[Any]
    loss: Any
    power: float
    kernel: Array
    moves: tuple[float, ...]


def find_limit(loss: Balls, state: Sequence[Any], t: float, passing: bool = False) -> Limit | str:
    """Limit of the flow through an exact state at a late time, or why it is not known.

    Parameters
    ----------
    loss : Balls
        The loss.
    state : sequence of arb
        Exact entries.
    t : float
        The time.
    passing : bool
        Whether slow directions may belong to a saddle.
    """
    try:
        with precision(BITS):
            if getattr(loss, "coarse", None) is not None:
                # What is found is judged by balls alone; what is not may be so for want of digits.
                found = _search(loss, list(state), t, passing)
                if isinstance(found, Limit):
                    return found
                loss = loss._replace(coarse=None)
            return _search(loss, list(state), t, passing)
    except (ArithmeticError, ValueError, Undecided, np.linalg.LinAlgError) as problem:
        return f"{NOT_FOUND}: {problem or type(problem).__name__}"


def _search(loss: Balls, state: list[Any], t: float, passing: bool) -> Limit | str:
    size = len(state)
    first = loss.both(state)
    slope = [x.mid() for x in first[1:]]
    began = _length(slope)
    hessian = _hessian(loss, state)
    rounded = np.array([float(x) for x in hessian.entries()]).reshape(size, size)
    h, axes = eigen((rounded + rounded.T) / 2)
    # Beside a curvature that is so much larger, doubles do not tell the sign of a small one.
    if ROUNDED * size * t * np.abs(h).max() > TANGENT:
        h, axes = sharp(hessian)
    if began == 0:
        return Limit(state, first[0], math.nan, axes[:, np.abs(h) * t < FAST], ())
    scaled = t * h
    if scaled.min() < -(FAST if passing else TANGENT):
        return f"{NOT_FOUND}: a direction of negative curvature, as at a saddle"
    fast, slow = scaled > FAST, (np.abs(scaled) >= TANGENT) & (scaled <= FAST)
    if not (fast | slow).any():
        return f"{NOT_FOUND}: no direction has curvature yet"
    power = 2.0
    if slow.any():
        # Along the slow axes: what rounding leaves along fast ones is of no account.
        along = axes[:, slow].T @ np.array([float(x / began) for x in slope])
        q = float(scaled[slow] @ along**2 / (along @ along)) if along.any() else 0.0
        if not q > 1:
            return f"{NOT_FOUND}: {NO_POWER}"
        power = 2 + 1 / (q - 1)
        if power > LARGEST:
            return f"{NOT_FOUND}: {NO_POWER}"
        power = round(power) if abs(power - round(power)) < INTEGER else power
    basis = np.concatenate([axes[:, slow], axes[:, fast]], axis=1)
    turn = arb_mat(size, basis.shape[1], [arb(x) for x in basis.ravel().tolist()])
    found = _descend(loss, state, turn, int(slow.sum()), power)
    if isinstance(found, str):
        return f"{NOT_FOUND}: {found}"
    where, moves = found
    last = loss.both(where)
    ended = _length([x.mid() for x in last[1:]])
    if not float(ended / began) < FLAT:
        return f"{NOT_FOUND}: the gradient does not vanish there"
    if last[0] > first[0]:  # beyond the rounding of both: late they are one number
        return f"{NOT_FOUND}: the loss is larger there"
    return Limit(where, last[0], float(power), axes[:, ~fast], tuple(moves))


def nearly(loss: Balls, state: Sequence[Any], t: float) -> list[float] | None:
    """Where ``y + (p - 2) t y'`` leads from a state at a late time; None where nothing is slow."""
    with precision(BITS):
        slope = np.array([float(x) for x in loss.both(state)[1:]])
        matrix = np.array([[float(x) for x in row] for row in loss.hessian(state)])
    if not (square := float(slope @ slope)) > 0:
        return None
    q = float(t * slope @ matrix @ slope / square)
    if not 1 < q < FAST:
        return None
    return [float(x) - float(d) for x, d in zip(state, t / (q - 1) * slope, strict=True)]


def _descend(
    loss: Balls, state: list[Any], turn: Any, slow: int, power: float
) -> tuple[list[Any], list[float]] | str:
    """Newton's steps on the slice; the lengths of the outer ones."""
    back = turn.transpose()
    moves: list[float] = []
    where, matrix = state, None
    for _ in range(MOVES):
        settled, failing = _settle(loss, where, turn, slow, matrix)
        if failing and _shrunk(moves):
            break  # converged: fast moves are rounding now
        if failing:
            return failing
        where = settled
        if slow == 0:
            return where, moves
        # Two doubles do not resolve, next to the limit, a quantity that vanishes there.
        drops_coarse = moves and getattr(loss, "coarse", None) is not None
        known = loss._replace(coarse=None) if drops_coarse else loss
        gradient, matrix = _slopes(loss, where, back), _curved(known, where, turn, back)
        if all(x.is_zero() for x in gradient):
            return where, moves
        # The first entries are the step of the Schur complement; the fast ones follow it.
        step = [(1 - arb(power)) * x for x in _solved(matrix, gradient)]
        length = float(_length(step[:slow]))
        # Beyond convergence steps explode.
        if moves and not length <= SHRINKS * moves[-1]:
            break
        moves.append(length)
        where = _moved(where, turn, step)
        if length <= CONVERGED * moves[0]:
            break
    return (where, moves) if _shrunk(moves) else NO_SHRINKING


def _shrunk(moves: Sequence[float]) -> bool:
    """Whether each step is about the square of the one before, relative to the first."""
    return len(moves) > 1 and moves[1] <= SUPERLINEAR * moves[0] and moves[-1] <= SMALL * moves[0]


def _settle(
    loss: Balls, where: list[Any], turn: Any, slow: int, matrix: Any
) -> tuple[list[Any], str]:
    """Newton's method in the fast directions, to convergence, with the Hessian of before."""
    count = turn.ncols() - slow
    if count == 0:
        return where, ""
    back, first, last, known, serves = turn.transpose(), None, None, matrix, True
    for _ in range(INNER):
        fresh = known is None
        if known is None:
            known = _curved(loss, where, turn, back)
        pairs = [(slow + i, slow + k) for i in range(count) for k in range(count)]
        block = arb_mat(count, count, [known[i, k] for i, k in pairs])
        step = _solved(block, _slopes(loss, where, back)[slow:])
        length = _length(step)
        first = length if first is None else first
        if last is not None and not length <= SHRINKS * last and not fresh:
            # An old Hessian says nothing of convergence.
            known, first, last, serves = None, None, None, False
            continue
        if last is not None and not length <= SLOWLY * last:
            return where, "" if last <= CONVERGED * first else "Newton's method does not converge"
        where = _moved(where, turn, [arb(0)] * slow + [-x for x in step])
        if length <= SETTLED * first:
            break
        # A Hessian costs as much as a gradient for each entry: it serves while steps shrink.
        if not serves or (last is not None and not length <= CHORD * last):
            known = None
        last = length
    return where, ""


def _slopes(loss: Balls, where: list[Any], back: Any) -> list[Any]:
    """Gradient on the slice, as exact numbers."""
    slope = arb_mat(len(where), 1, [x.mid() for x in loss.both(where)[1:]])
    return [x.mid() for x in (back * slope).entries()]


def _curved(loss: Balls, where: list[Any], turn: Any, back: Any) -> Any:
    """Hessian on the slice."""
    return back * _hessian(loss, where) * turn


def _hessian(loss: Balls, where: list[Any]) -> Any:
    """Hessian, in two doubles if they may serve."""
    coarse = getattr(loss, "coarse", None)
    found = None if coarse is None else coarse(where)
    if found is not None:
        return found
    size = len(where)
    return arb_mat(size, size, [x.mid() for row in loss.hessian(where) for x in row])


def _solved(matrix: Any, right: Sequence[Any]) -> list[Any]:
    """Solution of a linear system, as exact numbers."""
    exact = arb_mat(matrix.nrows(), matrix.ncols(), [x.mid() for x in matrix.entries()])
    return [x.mid() for x in exact.solve(arb_mat(len(right), 1, list(right))).entries()]


def _moved(where: list[Any], turn: Any, change: Sequence[Any]) -> list[Any]:
    steps = (turn * arb_mat(len(change), 1, list(change))).entries()
    return [(x + d).mid() for x, d in zip(where, steps, strict=True)]


def _length(values: Sequence[Any]) -> Any:
    return sum((x * x for x in values), arb(0)).sqrt().mid()
