"""What the theorems about gradient EM and score matching speak of along a run."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from flows.core.arrays import Array
from flows.runs.theorems.readings import Path, Reading, gaussian
from symbolic.theorem.evaluate import Model

__all__ = ["reading"]

#: Beyond this distance Gauss-Hermite nodes lose digits of the tilts `exp(<mu, x> - |mu|^2/2)`.
FARTHEST = 1.5


def reading(path: Path) -> Reading:
    """Return what names stand for; expectations are read near the target, for d <= 2, only."""
    system = path.system
    n, d = system.n, system.d
    shares = np.asarray(getattr(system, "weights", None) or [1 / n] * n, dtype=float)
    origin = np.zeros(d) if system.origin is None else np.asarray(system.origin)

    def mean(i: int, t: float) -> Array:
        return np.asarray(path.state(t)[i]) - origin

    def fall(t: float) -> float:
        return -float((path.slope(t) ** 2).sum())

    names: dict[str, Any] = {"mu": mean, "w": lambda i: shares[i], "L": path.loss}
    rates: dict[str, Any] = {"mu": lambda i, t: path.slope(t)[i], "L": fall}
    far = max(float(np.linalg.norm(mean(i, t))) for i in range(n) for t in path.times)
    rule = gaussian(d) if far <= FARTHEST else None
    if rule is not None:
        names |= _samples(rule[0], shares, mean, n)
    probe = np.random.default_rng(0).normal(size=d)
    weights = tuple(rule[1]) if rule is not None else ()
    model = Model(n, names, rates, path.times, [probe], weights)
    least = float(shares.min())

    def largest(t: float) -> float:
        return max(float(mean(i, t) @ mean(i, t)) for i in range(n))

    def constants(name: str, begin: float, t: float) -> Mapping[str, Any]:
        if getattr(system, "noise_time", 0.0):
            raise KeyError("the theorems are about means without noise")
        known: dict[str, Any] = {"omega": least, "d": float(d)}
        if name == "means_by_loss":
            known["M"] = largest(t)
        if name in ("means_stay", "means_small"):
            known["M"] = best_ball(largest(begin), float(d))
        return known

    return Reading(model, constants, ("i",))


def best_ball(inside: float, d: float) -> float:
    """The M above a number at which `M^2 exp(-M)/(d + 4 M)` is largest: the loss may be so."""
    sizes = np.append(inside * (1 + 1e-3) + 1e-12, np.linspace(0.05, 4, 80))
    sizes = sizes[sizes > inside]
    return float(max(sizes, key=lambda m: m**2 * np.exp(-m) / (d + 4 * m)))


def _samples(nodes: Array, shares: Array, mean: Any, n: int) -> dict[str, Any]:
    kept: dict[float, tuple[Array, Array, Array, Array]] = {}

    def at(t: float) -> tuple[Array, Array, Array, Array]:
        """Tilts, ratio, posteriors and field at all nodes."""
        if t not in kept:
            means = np.array([mean(i, t) for i in range(n)])
            tilts = np.exp(means @ nodes.T - (means**2).sum(axis=1)[:, None] / 2)
            ratio = shares @ tilts
            posterior = shares[:, None] * tilts / ratio
            kept[t] = tilts, ratio, posterior, posterior.T @ means
        return kept[t]

    return {
        "x": lambda x: nodes[x],
        "q": lambda i, x, t: at(t)[0][i, x],
        "p": lambda x, t: at(t)[1][x],
        "psi": lambda i, x, t: at(t)[2][i, x],
        "v": lambda x, t: at(t)[3][x],
    }
