"""Hessian of neurons in the plane: a box lies within an angle of its middle, and two lengths."""

from itertools import combinations
from typing import Any

import numpy as np
from flint import arb

from flows.certificates.verifier.angles import angle as turn
from flows.certificates.verifier.reading import require

UNIT = arb(0, 1)  # the interval [-1, 1]


def planar(w: Any, n: int) -> Any:
    """Equation 51 of Xu & Du for boxes of ``n`` neurons and the teacher, the last row.

    In the plane twice the projector on a normal is one minus the reflection at the vector, and
    projectors on the bisectors of two differ by the reflection at one of them.
    """
    size, angle, spread = [], [], []
    for (x, y), (r, s) in zip(w, [[z.rad() for z in row] for row in w], strict=True):
        x, y = x.mid(), y.mid()
        length = (x * x + y * y).sqrt()
        require(length > 0, "a neuron may be at zero")
        along, across = abs(x) * r + abs(y) * s, abs(y) * r + abs(x) * s
        near = length - along / length
        require(near > 0, "a neuron may be at zero")
        far = ((length + along / length) ** 2 + (across / length) ** 2).sqrt()
        size.append(near.union(far))
        angle.append(arb.atan2(y, x))
        spread.append(UNIT * (across / length / near).atan().upper())
    half, eye = 1 / (2 * arb.pi()), np.eye(2, dtype=object)
    blocks = np.array([[eye / 2] * n] * n) + arb(0)
    for i, j in combinations(range(n + 1), 2):
        apart = angle[i] - angle[j]
        theta = turn(abs(apart.sin()), apart.cos()) + spread[i] + spread[j]
        theta = theta.max(arb(0)).min(arb.pi())
        for a, b, mu in ((i, j, -1 if j == n else 1), (j, i, 1)):
            if a < n:
                turned = eye - _reflection(2 * (angle[a] + spread[a]))
                blocks[a, a] += mu * half * theta.sin() * size[b] / size[a] * turned
            if max(a, b) < n:
                mirror = _reflection(angle[i] + angle[j] + spread[i] + spread[j])
                blocks[a, b] += half * (theta.sin() * mirror - theta * eye)
    return np.block([list(row) for row in blocks])


def _reflection(twice: arb) -> Any:
    """At the axis of half this angle."""
    return np.array([[twice.cos(), twice.sin()], [twice.sin(), -twice.cos()]])
