r"""Potentials that samples propose: the best constant of a span, by a linear program.

The relation of a rate,

.. math:: m (-\dot V) - (m + k) s^k V + k d s^{m+k} \ge 0 \quad \text{for all } s \ge 0,

is linear in the coefficients of `V` and in `d`. On samples, the values of `s` at which the last
solution broke it are added, until none does. Large coefficients that cancel cost a little.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from fractions import Fraction
from typing import Any, NamedTuple

import numpy as np
from scipy.optimize import linprog

from flows.certificates.minimum.samples import Array, Samples
from flows.certificates.verifier.charts import Region
from flows.certificates.verifier.near import Stated
from potentials.search.exact import simplest

__all__ = ["NoPotential", "Proposal", "Wanted", "proposals"]

# Weights of charts that are tried.
MOST_WEIGHT = 4
# A potential is above the loss by so much of it, and its constant above the best one.
ABOVE, ROOM = 1e-3, 1e-3
# Coefficients are the simplest fractions within so much of them.
ROUNDED = 1e-5
# Values of `s` are added so often at most; at first they are these, in units of the usual one.
ROUNDS = 20
USUAL = np.geomspace(0.2, 5.0, 12)
# A coefficient counts like so much of the constant.
PRICE = 1e-5
# A sample of less is at the boundary of what can be divided.
TINY = 1e-9
# A relation is broken where it is below zero by so much of its terms.
BROKEN = 1e-7
# Powers of a potential that the loss is compared with.
MOST_POWER = 8
# The loss is seen to be above a power of a potential if it is this often as large.
LEAST_SHARE = 1e-2


class NoPotential(ValueError):
    """Why none was found."""


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


@dataclass(frozen=True)
class Proposal:
    """A potential with its constant, as the file of a proof says them.

    Parameters
    ----------
    share : Fraction
        How often the loss is in it.
    terms : tuple
        Coefficients and exponents of monomials.
    best : float
        The best constant, on samples.
    constant, bound : Fraction
        A little worse; and how far the loss is from the potential.
    power : int
        Of the potential beside the loss, of a bound from below.
    weights : dict
        Of the charts of each inequality.
    """

    share: Fraction
    terms: tuple[tuple[Fraction, tuple[int, ...]], ...]
    best: float
    constant: Fraction
    bound: Fraction
    power: int
    weights: dict[str, list[int]]

    def data(self, wanted: Wanted) -> dict[str, Any]:
        """For a file."""
        rate = [wanted.m, wanted.k] if wanted.k else "exp"
        found: dict[str, Any] = {
            "rate": rate,
            "constant": str(self.constant),
            "bound": str(self.bound),
            "V": {"loss": str(self.share), "terms": [[str(c), list(e)] for c, e in self.terms]},
            "weights": self.weights,
        }
        return found | ({"lower": 1, "power": self.power} if wanted.lower else {})


class _Part(NamedTuple):
    """Samples of a chart: the loss, potentials, how fast these fall, and a power of `y` between."""

    T: Array
    V: Array
    U: Array
    y: Array
    left: int


class _Beside(NamedTuple):
    """Samples of charts in which the loss has one order: loss and potentials over it, and in full."""

    over: Array
    full: Array


class _Solved(NamedTuple):
    """Coefficients, the best constant, and fractions beside it."""

    coefficients: list[Fraction]
    best: float
    constant: Fraction
    bound: Fraction
    power: int


def proposals(here: Stated, wanted: Wanted) -> Iterator[Proposal]:
    """Potentials of a span, for the charts of one weight after another.

    Raises
    ------
    NoPotential
        Where the loss does not grow around the point like powers of the variables.
    """
    region, models, n = here.region, here.region.models, here.region.models.size
    rest = (0,) * (models.ring.nvars() - n)
    monomials = [models.ring.from_dict({(*e, *rest): 1}) for e in wanted.monomials]
    gradients: list[Sequence[Any]] = [here.loss.slopes] if wanted.loss else []
    gradients += [[p.derivative(i) for i in range(n)] for p in monomials]
    basis = [*([region.T] if wanted.loss else []), *monomials]
    falls = [_product(here, g) for g in gradients]
    charts = [
        a for a in itertools.product(range(1, MOST_WEIGHT + 1), repeat=n) if math.gcd(*a) == 1
    ]
    charts.sort(key=lambda a: (sum(a), a))
    even = next((a for a in charts if _grows(region, a)), None)
    if even is None:
        raise NoPotential("the loss is not seen to grow around the point in each direction")
    beside = _beside(_samples(region, even), [region.T, *basis])
    fitting = []
    for weights in charts:
        parts = [_part(s, [region.T, *basis], falls, wanted) for s in _samples(region, weights)]
        if min(p.left for p in parts) >= 0:
            fitting.append((sum(p.left for p in parts), weights, parts))
    for _, weights, parts in sorted(fitting, key=lambda one: (one[0], sum(one[1]))):
        solved = _solved(parts, beside, wanted)
        if solved is not None:
            first = int(wanted.loss)
            terms = zip(solved.coefficients[first:], wanted.monomials, strict=True)
            yield Proposal(
                solved.coefficients[0] if wanted.loss else Fraction(0),
                tuple((c, e) for c, e in terms if c),
                solved.best,
                solved.constant,
                solved.bound,
                solved.power,
                {"decay": list(weights), "above": list(even), "below": list(even)},
            )


def _samples(region: Region, weights: tuple[int, ...]) -> list[Samples]:
    return [Samples(region, chart) for chart, _ in region.charts(weights)]


def _product(here: Stated, slopes: Sequence[Any]) -> Any:
    """How fast a function of these slopes falls."""
    models = here.region.models
    parts = (models.times(a, b) for a, b in zip(slopes, here.loss.slopes, strict=True))
    return sum(parts, start=models.constant(0))


def _grows(region: Region, weights: tuple[int, ...]) -> bool:
    """Whether the loss is of one order in all directions of the charts."""
    values = [s.quotients([region.T])[1] for s in _samples(region, weights)]
    return all(v.min() > 1e-3 * v.max() for v in values)


def _part(
    samples: Samples, functions: Sequence[Any], falls: Sequence[Any], wanted: Wanted
) -> _Part:
    a, V = samples.quotients(functions)
    b, U = samples.quotients(falls)
    left = a * (wanted.m + wanted.k) - b * wanted.m
    if wanted.lower:
        left = -left
    return _Part(V[:, 0], V[:, 1:], U, samples.y ** (max(left, 0) / wanted.m), left)


def _beside(samples: Sequence[Samples], functions: Sequence[Any]) -> _Beside:
    over, full = [], []
    for s in samples:
        order, values = s.quotients(functions)
        over.append(values)
        full.append((values * s.y[:, None] ** order)[s.y > 0])
    return _Beside(np.concatenate(over), np.concatenate(full))


def _solved(parts: Sequence[_Part], beside: _Beside, wanted: Wanted) -> _Solved | None:
    alone = beside.over.shape[1] == 2
    if wanted.lower:
        return _slowest(parts, beside.full, wanted) if alone else None
    if wanted.k == 0:
        return _exponential(parts, beside.over) if alone else None
    return _best(parts, beside.over, wanted)


def _best(parts: Sequence[_Part], beside: Array, wanted: Wanted) -> _Solved | None:
    """The member of the span that is above the loss, with the least constant."""
    m, k, size = wanted.m, wanted.k, beside.shape[1] - 1
    floors = [*((p.V, p.T) for p in parts), (beside[:, 1:], beside[:, 0])]
    share = 0.0 if size == 1 and wanted.loss else ABOVE
    rows, limits = [], []
    for V, T in floors:
        seen = T > TINY
        rows.append(np.c_[-V[seen] / T[seen, None], np.zeros(seen.sum())])
        limits.append(np.full(seen.sum(), -1 - share))
    guess = _constant(parts, np.eye(size)[0], m, k)
    guess = guess if np.isfinite(guess) and guess > 0 else 1.0
    for p in parts:
        usual = (np.maximum(p.V[:, 0], 0) / guess) ** (1 / m)
        for q in USUAL:
            rows.append(_relation(p, usual * q, m, k))
            limits.append(np.zeros(len(p.T)))
    x = np.eye(size + 1)[-1]
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
    found = [_rounded(c) for c in x[:-1]]
    numbers = np.array([float(c) for c in found])
    need = _constant(parts, numbers, m, k)
    low = min(((V @ numbers)[T > TINY] / T[T > TINY]).min() for V, T in floors)
    if not np.isfinite(need) or low < 1 - TINY:
        return None
    return _Solved(found, float(need), _above(need), Fraction(1), 1)


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


def _relation(p: _Part, s: Array, m: int, k: int) -> Array:
    """Minus the relation of a rate, by coefficients of potentials and the constant."""
    y = p.y[:, None]
    fall = m * p.U - (m + k) * s[:, None] ** k * p.V * y
    row = np.c_[-fall, -k * s[:, None] ** (m + k) * y]
    return row / np.maximum(np.abs(row[:, :-1]).max(1, keepdims=True), TINY)


def _constant(parts: Sequence[_Part], c: Array, m: int, k: int) -> float:
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


def _exponential(parts: Sequence[_Part], beside: Array) -> _Solved | None:
    """The largest `c` of `-V' >= c V`, of one potential."""
    seen = [p.V[:, 0] * p.y > TINY for p in parts]
    most = min(
        float((p.U[s, 0] / (p.V[s, 0] * p.y[s])).min(initial=math.inf))
        for p, s in zip(parts, seen, strict=True)
    )
    share = float((beside[:, 1] / beside[:, 0]).min())
    if not (TINY < most < math.inf and share > TINY):
        return None
    constant = simplest(Fraction(most * (1 - ROOM)), Fraction(most * (1 - ROOM / 2)))
    same = bool((beside[:, 0] == beside[:, 1]).all())
    return _Solved([Fraction(1)], most, constant, Fraction(1) if same else _above(1 / share), 1)


def _slowest(parts: Sequence[_Part], beside: Array, wanted: Wanted) -> _Solved | None:
    """The constant of one potential that falls no faster, and how far the loss is above a power."""
    m, k, need = wanted.m, wanted.k, 0.0
    for p in parts:
        v, u = p.V[:, 0], np.maximum(p.U[:, 0], 0)
        seen = v > TINY
        ratio = u[seen] ** m * p.y[seen] ** m / v[seen] ** (m + k)
        need = max(need, float(ratio.max(initial=0.0)))
    if not TINY < need < 1 / TINY:
        return None
    T, V = beside[:, 0], np.maximum(beside[:, 1], 1e-300)
    for power in range(1, MOST_POWER + 1):
        logs = np.log(T) - power * np.log(V)
        share = float(np.exp(np.clip(logs.min(), -700, 700)))
        if share > LEAST_SHARE:
            bound = simplest(Fraction(share * (1 - 4 * ROOM)), Fraction(share * (1 - 2 * ROOM)))
            return _Solved([Fraction(1)], need, _above(need), bound, power)
    return None


def _above(x: float) -> Fraction:
    """A simple fraction a little above a number."""
    return simplest(Fraction(x * (1 + ROOM / 2)), Fraction(x * (1 + ROOM)))


def _rounded(x: float) -> Fraction:
    """The simplest fraction beside a number."""
    if abs(x) < TINY:
        return Fraction(0)
    low, high = sorted((x * (1 - ROUNDED), x * (1 + ROUNDED)))
    return simplest(Fraction(low), Fraction(high))
