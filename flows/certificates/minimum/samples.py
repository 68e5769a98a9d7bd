"""Samples of a chart around a minimum, down to the minimum itself, up to a level."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from flows.certificates.verifier.charts import Chart, Quotient, Region

__all__ = ["Array", "Samples"]

Array = NDArray[np.float64]
# Directions along each axis, of one variable, of two, of three, of four.
DIRECTIONS = (1, 161, 25, 9)
# Parts of the way to the level.
DISTANCES = (0.0, 1e-3, 0.01, 0.03, 0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8, 0.9, 0.95, 1.0)
# The first ones are close to the minimum: so many.
CLOSE = 3
# The way to the level is looked for at so many places.
PLACES = 50


class Samples:
    """Points of a chart, and values of polynomials without the power of `y` that they share."""

    def __init__(self, region: Region, chart: Chart) -> None:
        self.region, self.chart, n = region, chart, region.models.size
        many = DIRECTIONS[min(n, len(DIRECTIONS)) - 1]
        axes = [
            np.array([0.0]) if i == chart.main else np.linspace(0.0 if side else -1.0, 1.0, many)
            for i, side in enumerate(region.sides)
        ]
        rays = np.stack([x.ravel() for x in np.meshgrid(*axes, indexing="ij")], axis=-1)
        unit = np.eye(n)[chart.main]
        way = np.linspace(0.0, 1.0, PLACES)
        loss, level = Quotient(region, chart, region.T, 0), float(region.level)
        T = np.stack([_values(loss, rays + y * unit) for y in way])
        beyond = np.maximum((level < T).argmax(0), 1)
        pick = np.arange(len(rays))
        low, high = T[beyond - 1, pick], T[beyond, pick]
        part = np.divide(level - low, high - low, where=high > level, out=np.ones_like(low))
        last = np.where((level < T).any(0), way[beyond - 1] + part * way[1], 1.0)
        self.points = np.concatenate([rays + np.outer(last * part, unit) for part in DISTANCES])

    @property
    def close(self) -> NDArray[np.bool_]:
        """Which points are close to the minimum."""
        many = len(self.points) // len(DISTANCES)
        return np.arange(len(self.points)) < CLOSE * many

    @property
    def y(self) -> Array:
        """The variable in which everything vanishes."""
        return self.points[:, self.chart.main]

    def quotients(self, functions: Sequence[Any]) -> tuple[int, Array]:
        """The order that functions share, and their values divided by it, one column each."""
        made = [Quotient(self.region, self.chart, p) for p in functions]
        order = min(q.order for q in made)
        columns = [_values(q, self.points) * self.y ** (q.order - order) for q in made]
        return order, np.stack(columns, axis=-1)


def _values(q: Quotient, points: Array) -> Array:
    """In doubles."""
    powers = np.array([e for e, _ in q.rows])
    terms = np.ones((len(points), len(powers)))
    for x, k in zip(points.T, powers.T, strict=True):
        terms *= (x[:, None] ** np.arange(k.max() + 1))[:, k]
    found: Array = terms @ np.array([float(c.mid()) for _, c in q.rows])
    return found
