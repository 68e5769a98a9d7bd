r"""The best constant of a span of potentials on samples, by a linear program.

The relation of a rate,

.. math:: m (-\dot V) - (m + k) s^k V + k d s^{m+k} \ge 0 \quad \text{for all } s \ge 0,

is linear in the coefficients of `V` and in `d`. The values of `s` at which the last solution broke
it are added, until none does. Large coefficients that cancel cost a little.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from fractions import Fraction
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray
from scipy.optimize import linprog

from flows.certificates.minimum.samples import Array
from potentials.search.exact import simplest

__all__ = ["Compared", "Part", "Solved", "Wanted", "least_constant", "solved"]

# A potential is above the loss by so much of it.
ABOVE = 1e-3
# Coefficients are the simplest fractions within so much of them.
ROUNDED = 1e-5
# A linear program begins with one in so many samples.
FEWER = 4
# It begins with these values of `s`, in units of that at which the loss meets its own rate.
USUAL = np.geomspace(0.2, 5.0, 12)
# Broken relations are added so often at most.
ROUNDS = 20
# A coefficient counts like so much of the constant.
PRICE = 1e-5
# Samples of smaller values are not divided by.
TINY = 1e-9
# A constant that grows by this factor towards the minimum has no bound there.
GROWS = 1.5
# A relation is broken where it is below zero by so much of its terms.
BROKEN = 1e-7
# Powers of a potential that the loss is compared with.
MOST_POWER = 8
# The loss is seen to be above a power of a potential if it is this often as large.
LEAST_SHARE = 1e-2


@dataclass(frozen=True)
class Wanted:
    """A rate and a span of potentials.

    Parameters
    ----------
    m, k : int
        `t^-(m/k)`; `k = 0`: an exponential rate.
    monomials : tuple of tuple of int
        Exponents of displacements.
    loss : bool
        Whether the loss above its least value is one of the span.
    lower : bool
        Whether a bound from below is sought: of a span of one.
    """

    m: int
    k: int
    monomials: tuple[tuple[int, ...], ...] = ()
    loss: bool = True
    lower: bool = False


class Part(NamedTuple):
    """Samples of a chart: the loss, potentials, how fast these fall, and a power of `y` between."""

    T: Array
    V: Array
    U: Array
    y: Array
    left: int
    close: NDArray[np.bool_]

    @property
    def far(self) -> Part:
        """Samples that are not close to the minimum."""
        return self._of(~self.close)

    @property
    def fewer(self) -> Part:
        """Some of them: a linear program has a row of each."""
        return self._of(np.arange(len(self.T)) % FEWER == 0)

    def _of(self, which: NDArray[np.bool_]) -> Part:
        return self._replace(T=self.T[which], V=self.V[which], U=self.U[which], y=self.y[which])


class Compared(NamedTuple):
    """Samples of charts in which the loss has one order: functions without it, and with it."""

    over: Array
    full: Array


class Solved(NamedTuple):
    """Coefficients, the best constant, and fractions beside it."""

    coefficients: list[Fraction]
    best: float
    constant: Fraction
    bound: Fraction
    power: int


def solved(parts: Sequence[Part], compared: Compared, wanted: Wanted, room: float) -> Solved | None:
    """The best member of a span, or None where it falls at no such rate."""
    alone = compared.over.shape[1] == 2
    if wanted.lower:
        return _slowest(parts, compared.full, wanted, room) if alone else None
    if wanted.k == 0:
        return _exponential(parts, compared.over, room) if alone else None
    return _best(parts, compared.over, wanted, room)


def _best(parts: Sequence[Part], compared: Array, wanted: Wanted, room: float) -> Solved | None:
    """The member of the span that is above the loss, with the least constant."""
    m, k, size = wanted.m, wanted.k, compared.shape[1] - 1
    floors = [*((p.V, p.T) for p in parts), (compared[:, 1:], compared[:, 0])]
    one = np.eye(size)[0]
    lowest = _lowest(floors, one)
    if size > 1:
        x = _combined(parts, floors, m, k)
    elif wanted.loss:
        x = one
    else:
        x = one * (1 + ABOVE) / lowest if lowest > TINY else None
    if x is None:
        return None
    found = [_rounded(c) for c in x]
    numbers = np.array([float(c) for c in found])
    need = least_constant(parts, numbers, m, k)
    grows = need > GROWS * least_constant([p.far for p in parts], numbers, m, k)
    if not np.isfinite(need) or grows or _lowest(floors, numbers) < 1 - TINY:
        return None
    return Solved(found, float(need), _above(need, room), Fraction(1), 1)


def _lowest(floors: Sequence[tuple[Array, Array]], c: Array) -> float:
    """The least ratio of a potential to the loss."""
    return min(float(((V @ c)[T > TINY] / T[T > TINY]).min()) for V, T in floors)


def _combined(
    parts: Sequence[Part], floors: Sequence[tuple[Array, Array]], m: int, k: int
) -> Array | None:
    """Coefficients of the best member of a span, or None where there is none."""
    size = floors[0][0].shape[1]
    some = [p.fewer for p in parts]
    rows, limits = [], []
    for V, T in [*((p.V, p.T) for p in some), floors[-1]]:
        seen = T > TINY
        rows.append(np.c_[-V[seen] / T[seen, None], np.zeros(seen.sum())])
        limits.append(np.full(seen.sum(), -1 - ABOVE))
    guess = least_constant(parts, np.eye(size)[0], m, k)
    guess = guess if np.isfinite(guess) and guess > 0 else 1.0
    for p in some:
        usual = (np.maximum(p.V[:, 0], 0) / guess) ** (1 / m)
        for q in USUAL:
            rows.append(_relation(p, usual * q, m, k))
            limits.append(np.zeros(len(p.T)))
    x = np.zeros(size + 1)
    for _ in range(ROUNDS):
        solved = _least(np.vstack(rows), np.concatenate(limits), guess)
        if solved is None:
            return None
        x = solved
        broken = False
        for p in parts:
            v = np.maximum(p.V @ x[:-1], 0)
            row = _relation(p, (v / max(x[-1], TINY * guess)) ** (1 / m), m, k)
            bad = row @ x > BROKEN * np.abs(row * x).max()
            if bad.any():
                broken = True
                rows.append(row[bad])
                limits.append(np.zeros(bad.sum()))
        if not broken:
            break
    return x[:-1]


def _least(A: Array, b: Array, unit: float) -> Array | None:
    """Coefficients and the least constant, in a linear program with a price of coefficients."""
    scale = np.maximum(np.abs(A).max(0), TINY)
    scale[-1] = 1 / unit
    scaled = A / scale
    size = A.shape[1] - 1
    both = np.c_[scaled[:, :size], -scaled[:, :size], scaled[:, size:]]
    cost = np.array([PRICE] * (2 * size) + [1.0])
    solved = linprog(cost, A_ub=both, b_ub=b, method="highs")
    if solved.x is None:
        return None
    return np.r_[solved.x[:size] - solved.x[size : 2 * size], solved.x[-1]] / scale


def _relation(p: Part, s: Array, m: int, k: int) -> Array:
    """Minus the relation of a rate, by coefficients of potentials and the constant."""
    y = p.y[:, None]
    fall = m * p.U - (m + k) * s[:, None] ** k * p.V * y
    row = np.c_[-fall, -k * s[:, None] ** (m + k) * y]
    return row / np.maximum(np.abs(row[:, :-1]).max(1, keepdims=True), TINY)


def least_constant(parts: Sequence[Part], c: Array, m: int, k: int) -> float:
    """The least constant of one potential on samples; infinite where it does not fall."""
    need = 0.0
    for p in parts:
        v, u = p.V @ c, p.U @ c
        seen = v > TINY
        if (u[seen] <= 0).any():
            return math.inf
        ratio = v[seen] ** (m + k) * p.y[seen] ** m / u[seen] ** m
        need = max(need, float(ratio.max(initial=0.0)))
    return float(need ** (1 / k))


def _exponential(parts: Sequence[Part], compared: Array, room: float) -> Solved | None:
    """The largest `c` of `-V' >= c V`, of one potential."""
    most = min(_least_ratio(p) for p in parts)
    if min(_least_ratio(p.far) for p in parts) > GROWS * most:
        return None
    share = float((compared[:, 1] / compared[:, 0]).min())
    if not (TINY < most < math.inf and share > TINY):
        return None
    constant = simplest(Fraction(most * (1 - room)), Fraction(most * (1 - room / 2)))
    same = bool((compared[:, 0] == compared[:, 1]).all())
    return Solved(
        [Fraction(1)], most, constant, Fraction(1) if same else _above(1 / share, room), 1
    )


def _least_ratio(p: Part) -> float:
    """The least `-V'/V` on samples."""
    seen = p.V[:, 0] * p.y > TINY
    return float((p.U[seen, 0] / (p.V[seen, 0] * p.y[seen])).min(initial=math.inf))


def _slowest(parts: Sequence[Part], compared: Array, wanted: Wanted, room: float) -> Solved | None:
    """The constant of one potential that falls no faster, and how far the loss is above a power."""
    m, k, need = wanted.m, wanted.k, 0.0
    for p in parts:
        v, u = p.V[:, 0], np.maximum(p.U[:, 0], 0)
        seen = v > TINY
        ratio = u[seen] ** m * p.y[seen] ** m / v[seen] ** (m + k)
        need = max(need, float(ratio.max(initial=0.0)))
    if not TINY < need < 1 / TINY:
        return None
    if (compared[:, 0] == compared[:, 1]).all():
        return Solved([Fraction(1)], need, _above(need, room), Fraction(1), 1)
    T, V = compared[:, 0], np.maximum(compared[:, 1], 1e-300)
    for power in range(1, MOST_POWER + 1):
        logs = np.log(T) - power * np.log(V)
        share = float(np.exp(np.clip(logs.min(), -700, 700)))
        if share > LEAST_SHARE:
            bound = simplest(Fraction(share * (1 - 4 * room)), Fraction(share * (1 - 2 * room)))
            return Solved([Fraction(1)], need, _above(need, room), bound, power)
    return None


def _above(x: float, room: float) -> Fraction:
    """A simple fraction a little above a number."""
    return simplest(Fraction(x * (1 + room / 2)), Fraction(x * (1 + room)))


def _rounded(x: float) -> Fraction:
    """The simplest fraction beside a number."""
    if abs(x) < TINY:
        return Fraction(0)
    low, high = sorted((x * (1 - ROUNDED), x * (1 + ROUNDED)))
    return simplest(Fraction(low), Fraction(high))
