"""Potentials that samples around a minimum propose, for the charts of one weight after another."""

from __future__ import annotations

import itertools
import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from fractions import Fraction
from typing import Any

import numpy as np
from numpy.typing import NDArray

from flows.certificates.minimum.constants import Compared, Part, Wanted, solved
from flows.certificates.minimum.samples import Samples
from flows.certificates.verifier.charts import Region
from flows.certificates.verifier.near import Stated

__all__ = ["Across", "NoPotential", "Proposal", "proposals"]

# Weights of charts that are tried, of up to two variables and of more.
MOST_WEIGHT, LESS_WEIGHT = 8, 4
# Constants are so much above the best one on samples.
ROOMS = (1e-3, 1e-2)
# Of proposals so many are tried.
MOST_PROPOSALS = 3


class NoPotential(ValueError):
    """Why none was found."""


class Across(NoPotential):
    """A valley lies across the axes."""


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


def proposals(here: Stated, wanted: Wanted) -> Iterator[Proposal]:
    """Potentials of a span, for the charts of one weight after another.

    Raises
    ------
    Across
        Where the loss does not grow around the point like powers of the variables.
    """
    region, models, n = here.region, here.region.models, here.region.models.size
    rest = (0,) * (models.ring.nvars() - n)
    monomials = [models.ring.from_dict({(*e, *rest): 1}) for e in wanted.monomials]
    gradients: list[Sequence[Any]] = [here.loss.slopes] if wanted.loss else []
    gradients += [[p.derivative(i) for i in range(n)] for p in monomials]
    basis = [*([region.T] if wanted.loss else []), *monomials]
    falls = [here.falls(g) for g in gradients]
    most = MOST_WEIGHT if n < 3 else LESS_WEIGHT
    charts = [a for a in itertools.product(range(1, most + 1), repeat=n) if math.gcd(*a) == 1]
    charts.sort(key=lambda a: (sum(a), a))
    even = next((a for a in charts if _grows(region, a)), None)
    if even is None:
        raise Across("the loss does not grow like powers of the variables in its box")
    compared = _compared(_samples(region, even), [region.T, *basis])
    potentials, rates = _exponents(here, [region.T, *basis]), _exponents(here, falls)
    sign = -1 if wanted.lower else 1
    left = {
        a: sign * (_order(potentials, a) * (wanted.m + wanted.k) - _order(rates, a) * wanted.m)
        for a in charts
    }
    fitting = [(left[a], sum(a), a) for a in charts if left[a] >= 0]
    for (_, _, weights), room in itertools.product(sorted(fitting), ROOMS):
        parts = [_part(s, [region.T, *basis], falls, wanted) for s in _samples(region, weights)]
        best = solved(parts, compared, wanted, room)
        if best is not None:
            first = int(wanted.loss)
            terms = zip(best.coefficients[first:], wanted.monomials, strict=True)
            yield Proposal(
                best.coefficients[0] if wanted.loss else Fraction(0),
                tuple((c, e) for c, e in terms if c),
                best.best,
                best.constant,
                best.bound,
                best.power,
                {"decay": list(weights), "above": list(even), "below": list(even)},
            )


def _exponents(here: Stated, functions: Sequence[Any]) -> NDArray[np.int64]:
    """Of the variables, in all terms of functions."""
    models = here.region.models
    rows = [e[: models.size] for p in functions for e in models.expanded(p)]
    return np.array(rows, dtype=np.int64)


def _order(exponents: NDArray[np.int64], weights: tuple[int, ...]) -> int:
    """The power of `y` that functions share in charts of these weights."""
    return int((exponents @ np.array(weights)).min())


def _samples(region: Region, weights: tuple[int, ...]) -> list[Samples]:
    return [Samples(region, chart) for chart, _ in region.charts(weights)]


def _grows(region: Region, weights: tuple[int, ...]) -> bool:
    """Whether the loss is of one order in all directions of the charts."""
    values = [s.quotients([region.T])[1] for s in _samples(region, weights)]
    return all(v.min() > 1e-3 * v.max() for v in values)


def _part(samples: Samples, functions: Sequence[Any], falls: Sequence[Any], wanted: Wanted) -> Part:
    a, V = samples.quotients(functions)
    b, U = samples.quotients(falls)
    left = a * (wanted.m + wanted.k) - b * wanted.m
    if wanted.lower:
        left = -left
    return Part(V[:, 0], V[:, 1:], U, samples.y ** (max(left, 0) / wanted.m), left, samples.close)


def _compared(samples: Sequence[Samples], functions: Sequence[Any]) -> Compared:
    over, full = [], []
    for s in samples:
        order, values = s.quotients(functions)
        over.append(values)
        full.append((values * s.y[:, None] ** order)[s.y > 0])
    return Compared(np.concatenate(over), np.concatenate(full))
