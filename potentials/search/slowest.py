r"""Where a potential falls slowest: a state of the set that no constant of a rate is better than.

A proof bounds the best constant from one side, a state bounds it from the other: there the ratio
`-\dot V / V^{1 + k/m}` is as large as it is. From several starts the least ratio on the set is
sought in doubles. What is found is looked at in exact numbers, so that it is a state of the set.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from typing import Any, NamedTuple

import numpy as np
from flint import fmpq
from numpy.typing import NDArray
from scipy.optimize import minimize

from potentials.search.polynomials import Flow, Polynomial, fraction
from potentials.search.rates import Rate
from potentials.search.regions import Set, composed

__all__ = ["Slowest", "slowest"]

# From so many random states the search goes, of these sizes in turn. The last ones are so far, by
# their sizes, from the best end before.
STARTS, SIZES, AGAIN, NEXT = 24, (0.5, 1.0, 2.0, 5.0), 8, 0.1
# Steps of one search, and a relative change of the ratio that ends it.
STEPS, CHANGE = 150, 1e-12
# States are sought no farther out.
FAR = 1e4
# Every other state is first brought down so many steps.
PATH = (10, 30)
# States are so far inside the set; the potential is at least this part of its value at the start,
# or of one: doubles tell it from rounding there.
INSIDE, SMALL = 1e-8, 1e-6
# So exactly a state fulfils equations of the set.
EQUAL = 1e-7
# Below this there is no logarithm.
TINY = 1e-300


class Slowest(NamedTuple):
    r"""The state with the least ratio (or the largest one, for bounds from below) that was found.

    Parameters
    ----------
    place : tuple of float
        The state, in the variables that move.
    ratio : float
        `-\dot V/V^{1 + k/m}` there.
    loss, height : float
        The loss and the potential there.
    """

    place: tuple[float, ...]
    ratio: float
    loss: float
    height: float

    def constant(self, rate: Rate, lower: bool) -> float:
        """The `c`, `d` or `e` that none is better than."""
        if rate == "exp":
            return self.ratio
        if lower:
            return self.ratio**rate.m
        return math.inf if self.ratio <= 0 else self.ratio ** (-rate.m / rate.k)

    def told(self, flow: Flow, rate: Rate) -> str:
        """The state in words."""
        root = flow if flow.origin is None else flow.origin
        power = "" if rate == "exp" else f"^({1 + 1 / rate.exponent})"
        names, place = map(", ".join, (map(str, root.symbols), (f"{x:.4g}" for x in self.place)))
        at = f"{names} = {place}" if len(self.place) == 1 else f"({names}) = ({place})"
        slope = f"-{self.ratio:.3g} V{power}" if self.ratio > 0 else "0"
        return f"at {at}, where L = {self.loss:.4g}, dV/dt = {slope}"


class _Search(NamedTuple):
    """What is made least: `sign` times the ratio `falls/height^power`, on a set."""

    size: int
    height: Polynomial
    falls: Polynomial
    above: list[Polynomial]
    equal: list[Polynomial]
    sign: int
    power: float


def slowest(
    flow: Flow, V: Polynomial, rate: Rate, where: Set, lower: bool = False, starts: int = STARTS
) -> Slowest | None:
    """Search on a set; None where no state of it was found."""
    root = flow if flow.origin is None else flow.origin
    height, falls = _plain(flow, V), _plain(flow, -flow.along(V))
    above = [_plain(flow, c.p) for c in where.conditions if not c.equal]
    equal = [_plain(flow, c.p) for c in where.conditions if c.equal and c.reason != "identity"]
    sign, power = -1 if lower else 1, 1.0 if rate == "exp" else 1 + rate.k / rate.m
    best: Slowest | None = None
    search = _Search(root.size, height, falls, above, equal, sign, power)
    for place in _places(search, starts):
        here = [*(fraction(float(x)) for x in place), fmpq(0)]
        v = _double(height(*here))
        inside = v > 0 and all(p(*here) >= 0 for p in above)
        if inside and all(abs(_double(p(*here))) <= EQUAL for p in equal):
            ratio = _double(falls(*here)) / v**power
            if best is None or sign * ratio < sign * best.ratio:
                best = Slowest(tuple(map(float, place)), ratio, _double(root.loss(*here)), v)
    return best


def _places(search: _Search, starts: int) -> Iterator[NDArray[np.float64]]:
    """States at which searches end, and zero."""
    size, height, falls, above, equal, sign, power = search
    yield np.zeros(size)
    high, fall = _Function(height, size), _Function(falls, size)
    ineq, eq = ([_Function(p, size) for p in several] for several in (above, equal))

    def goal(x: NDArray[np.float64]) -> tuple[float, NDArray[np.float64]]:
        v, f = max(high(x), TINY), max(fall(x), TINY)
        slope = fall.slope(x) / f - power * high.slope(x) / v
        return sign * (math.log(f) - power * math.log(v)), sign * slope

    def entered(x: NDArray[np.float64]) -> None:
        if ineq and all(p(x) >= 0 for p in ineq):
            raise StopIteration

    rng, least, end = np.random.default_rng(0), math.inf, np.zeros(size)
    for k in range(starts):
        start = rng.normal(size=size) * SIZES[k % len(SIZES)]
        if k >= starts - AGAIN:
            start = end + NEXT * start
        if k % 2:  # in a curved valley a path is what comes along it, until it enters the set
            options = {"maxiter": PATH[k // 2 % len(PATH)]}
            start = minimize(high, start, jac=high.slope, options=options, callback=entered).x
        start = np.clip(start, -FAR, FAR)
        floor = SMALL * min(1.0, max(high(start), SMALL))
        rules = [_rule("ineq", high, floor), *(_rule("ineq", p, INSIDE) for p in ineq)]
        with np.errstate(all="ignore"):
            found = minimize(
                goal,
                start,
                jac=True,
                method="SLSQP",
                bounds=[(-FAR, FAR)] * size,
                constraints=[*rules, *(_rule("eq", p, 0.0) for p in eq)],
                options={"maxiter": STEPS, "ftol": CHANGE},
            )
        if np.isfinite(found.x).all():
            yield found.x
            if found.success and found.fun < least:
                least, end = found.fun, found.x


class _Function:
    """A polynomial in doubles, with its gradient."""

    def __init__(self, p: Polynomial, size: int) -> None:
        terms = list(p.to_dict().items())
        self._powers = np.array([e[:size] for e, _ in terms], dtype=float).reshape(-1, size)
        self._weights = np.array([_double(c) for _, c in terms])
        lower = self._powers[None] - np.eye(size)[:, None]
        self._lower = np.maximum(lower, 0.0)
        self._slopes = self._weights * self._powers.T

    def __call__(self, x: NDArray[np.float64]) -> float:
        return float(np.prod(x**self._powers, axis=1) @ self._weights)

    def slope(self, x: NDArray[np.float64]) -> NDArray[np.float64]:
        """The gradient."""
        found: NDArray[np.float64] = (np.prod(x**self._lower, axis=2) * self._slopes).sum(axis=1)
        return found


def _rule(kind: str, p: _Function, least: float) -> dict[str, Any]:
    return {"type": kind, "fun": lambda x: p(x) - least, "jac": p.slope}


def _plain(flow: Flow, p: Polynomial) -> Polynomial:
    """In the variables that move."""
    return p if flow.origin is None else composed(flow, p)


def _double(c: Any) -> float:
    return int(c.p) / int(c.q)
