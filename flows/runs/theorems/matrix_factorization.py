"""What the theorems about deep linear chains speak of along a run."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from flows.core.arrays import Array
from flows.runs.theorems.readings import Path, Reading
from symbolic.theorem.evaluate import Model

__all__ = ["reading"]

#: A chain is balanced where its defects are rounding.
BALANCED = 1e-12


def reading(path: Path, layer: int = 0) -> Reading:
    """Return what names stand for, with the defect between a layer and the next."""
    system = path.system
    penalty = float(system.regularization)

    def w(t: float) -> Array:
        return np.asarray(path.state(t))

    def defects(t: float) -> list[Array]:
        x = w(t)
        return [x[j] @ x[j].T - x[j + 1].T @ x[j + 1] for j in range(len(x) - 1)]

    def balance(t: float) -> float:
        return penalty / 4 * sum(float((x**2).sum()) for x in defects(t))

    def steep(t: float) -> float:
        x, (zero, inner) = w(t), (np.zeros((system.d, system.d)), defects(t))
        inner = [zero, *inner, zero]
        parts = [penalty * (inner[j + 1] @ x[j] - x[j] @ inner[j]) for j in range(len(x))]
        return float(np.sqrt(sum(float((g**2).sum()) for g in parts)))

    def falling(t: float) -> float:
        x, dx = w(t), path.slope(t)
        turns = [
            dx[j] @ x[j].T + x[j] @ dx[j].T - dx[j + 1].T @ x[j + 1] - x[j + 1].T @ dx[j + 1]
            for j in range(len(x) - 1)
        ]
        pairs = zip(defects(t), turns, strict=True)
        return penalty / 2 * sum(float((a * b).sum()) for a, b in pairs)

    def ell(t: float) -> float:
        return float(np.sqrt(path.loss(t)))

    names: dict[str, Any] = {
        "q": lambda a, t: w(t)[layer][a],
        "p": lambda a, t: w(t)[layer + 1][:, a],
        "R": balance,
        "g": steep,
    }
    rates: dict[str, Any] = {
        "q": lambda a, t: path.slope(t)[layer][a],
        "p": lambda a, t: path.slope(t)[layer + 1][:, a],
        "R": falling,
        "W": lambda t: path.slope(t).ravel(),
        "ell": lambda t: -float((path.slope(t) ** 2).sum()) / (2 * ell(t)),
    }
    if system.depth == 4 and penalty == 0:
        names |= {"W": lambda t: w(t).ravel(), "ell": ell}
    if system.depth == 4 and max(float(np.abs(x).max()) for x in defects(path.times[0])) < BALANCED:
        names |= _skew(np.asarray(system.target, dtype=float), w)
    model = Model(system.d, names, rates, path.times)

    def constants(name: str, begin: float, t: float) -> Mapping[str, Any]:
        ratios = [steep(s) ** 2 / balance(s) for s in path.times if s >= begin and balance(s) > 0]
        least = min(float(np.linalg.svd(x)[1].min()) for x in w(begin))
        return {"k": min(ratios, default=0.0), "delta": least / 2}

    return Reading(model, constants, ("a", "b"))


def _skew(target: Array, w: Any) -> dict[str, Any]:
    """Skew error and the squares in its rate, of four balanced layers."""
    values, vectors = np.linalg.eigh(target)
    root = (vectors * np.sqrt(values)) @ vectors.T

    def pair(t: float) -> tuple[Array, Array]:
        x = w(t)
        return x[0], np.linalg.solve(x[1], x[2].T @ x[3].T)

    def size(x: Array) -> float:
        return float(np.linalg.norm(x))

    def gap(t: float) -> tuple[Array, Array, Array]:
        a, r = pair(t)
        return a, r, a - r

    def error(t: float) -> float:
        return size(gap(t)[2] @ root) ** 2

    def across(t: float) -> float:
        a, _, g = gap(t)
        return size(a.T @ g @ target)

    def along(t: float) -> float:
        a, _, g = gap(t)
        return size(a.T @ a @ a.T @ g @ root)

    def turn(t: float) -> float:
        a, r, _ = gap(t)
        return size(r @ target @ a.T - a @ target @ r.T)

    return {"S": error, "x": across, "y": along, "K": turn}
