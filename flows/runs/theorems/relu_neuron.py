"""What the theorems about the single ReLU neuron speak of along a run."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from flows.core.arrays import Array
from flows.runs.theorems.readings import Path, Reading, polar
from symbolic.theorem.evaluate import Model

__all__ = ["reading"]


def reading(path: Path) -> Reading:
    """Return what names stand for; expectations are read in the plane, `d = 2`, only.

    `h` is known where all neurons are positive multiples of the teacher, `theta` where they are
    equal or a mirror pair.
    """
    system = path.system
    teacher = np.asarray(system.teacher, dtype=float)
    size = float(np.linalg.norm(teacher))
    e = teacher / size
    n, d = system.n, system.d
    generator = np.random.default_rng(0)

    def w(i: int, t: float) -> Array:
        return np.asarray(path.state(t)[i])

    def across(x: Array) -> Array:
        return x - (x @ e) * e

    def z(i: int, t: float) -> Array:
        return across(w(i, t))

    def lam(t: float) -> float:
        return float(np.cbrt(path.loss(t) / size**2))

    def fall(t: float) -> float:
        return -float((path.slope(t) ** 2).sum())

    names: dict[str, Any] = {
        "w": w,
        "z": z,
        "e": lambda: e,
        "v": lambda: size,
        "r": lambda i, t: 1 / float(np.linalg.norm(w(i, t))),
        "R": lambda t: path.state(t).sum(axis=0) - teacher,
        "L": path.loss,
        "lam": lam,
    }
    rates: dict[str, Any] = {
        "w": lambda i, t: path.slope(t)[i],
        "z": lambda i, t: across(path.slope(t)[i]),
        "L": fall,
        "lam": lambda t: fall(t) / (3 * size**2 * lam(t) ** 2),
    }
    start = path.state(path.times[0])
    if not any(across(x).any() for x in start) and (start @ e > 0).all():
        names["h"] = lambda i, t: float(w(i, t) @ e)
        rates["h"] = lambda i, t: float(path.slope(t)[i] @ e)
    mirror = n == 2 and np.array_equal(start[0] - (start[0] @ e) * 2 * e, -start[1])
    if mirror or all(np.array_equal(x, start[0]) for x in start):
        names["theta"] = lambda t: turn(w(0, t), e)
        rates["theta"] = lambda t: turning(w(0, t), path.slope(t)[0], e)
    weights: Any = ()
    if d == 2:
        rows = [row for t in path.times for row in path.state(t)]
        nodes, weights = polar([*rows, e])
        names |= _samples(nodes, teacher, e, w, n)
    model = Model(
        n, names, rates, path.times, [generator.normal(size=d) for _ in range(2)], weights
    )

    def constants(name: str, begin: float, t: float) -> Mapping[str, Any]:
        widest, a, b = spread(z, n, begin)
        now, p, q = spread(z, n, t)
        c = max(widest, 0.0)
        if name == "separation":
            c = now
        if name == "persistence":
            c = now - 1e-6
        return {"c": c, "a": a, "b": b, "p": p, "q": q, "v": size, "e": e}

    return Reading(model, constants, ("i",))


def _samples(nodes: Array, teacher: Array, e: Array, w: Any, n: int) -> dict[str, Any]:
    def on(i: int, x: int, t: float) -> float:
        return float(w(i, t) @ nodes[x] > 0)

    def defect(x: int, t: float) -> float:
        said = sum(max(0.0, float(w(i, t) @ nodes[x])) for i in range(n))
        return said - max(0.0, float(teacher @ nodes[x]))

    return {"x": lambda x: nodes[x], "s": on, "f": defect, "u": lambda x: float(e @ nodes[x] > 0)}


def turn(a: Array, b: Array) -> float:
    """Angle between two vectors."""
    x, y = a * np.linalg.norm(b), b * np.linalg.norm(a)
    return float(2 * np.arctan2(np.linalg.norm(x - y), np.linalg.norm(x + y)))


def turning(w: Array, slope: Array, e: Array) -> float:
    """Rate of the angle between a vector and e."""
    flat, tall = float(w @ e), w - (w @ e) * e
    size = float(np.linalg.norm(tall))
    rise = float(tall @ slope) / size if size else 0.0
    return (flat * rise - size * float(slope @ e)) / float(w @ w)


def spread(z: Any, n: int, t: float) -> tuple[float, int, int]:
    """Cosine of the widest angle between two transverse parts, and the pair."""
    lengths = [float(np.linalg.norm(z(i, t))) for i in range(n)]
    pairs = [
        (float(z(i, t) @ z(j, t)) / (lengths[i] * lengths[j]), i, j)
        for i in range(n)
        for j in range(i)
        if lengths[i] * lengths[j] > 0
    ]
    return min(pairs, default=(1.0, 0, min(1, n - 1)))
