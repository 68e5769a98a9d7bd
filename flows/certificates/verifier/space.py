"""Hessian of neurons beyond the plane, on boxes."""

from itertools import combinations
from typing import Any

import numpy as np
from flint import arb

from flows.certificates.verifier.curve import UNIT, norm
from flows.certificates.verifier.reading import require


def spatial(w: Any, n: int) -> Any:
    """Equation 51 of Xu & Du, by chords of unit vectors: that is regular at aligned vectors.

    Boxes of ``n`` neurons and the teacher, the last row.
    """
    eye = np.eye(len(w[0]), dtype=object)
    size, unit = zip(*map(_polar, w), strict=True)
    blocks = np.array([[eye / 2] * n] * n)
    for i, j in combinations(range(n + 1), 2):
        gap, both = unit[j] - unit[i], unit[j] + unit[i]
        sine, cosine = norm(gap) / 2, norm(both) / 2  # of half the angle
        theta = 2 * arb.atan2(sine, cosine)
        for a, b, way, mu in ((i, j, gap, -1 if j == n else 1), (j, i, -gap, 1)):
            if a < n:
                normal = _projector(way + 2 * sine * sine * unit[a], 2 * sine * cosine)
                zeta = eye - np.outer(unit[a], unit[a]) + normal
                pull = sine * cosine * size[b] / (arb.pi() * size[a])
                blocks[a, a] += mu * pull * zeta
            if max(a, b) < n:
                turned = _projector(both, 2 * cosine) - _projector(gap, 2 * sine)
                blocks[a, b] += (2 * sine * cosine * turned - theta * eye) / (2 * arb.pi())
    return np.block([list(row) for row in blocks])


def _polar(w: Any) -> tuple[arb, Any]:
    """Length and direction of a box, by ratios to its largest entry: that hardly turns with it."""
    k = max(range(len(w)), key=lambda m: float(abs(w[m].mid())))
    require(w[k] > 0 or w[k] < 0, "a neuron may be at zero")
    ratios = w / w[k]
    ratios[k] = arb(1)
    size = norm(ratios)
    return abs(w[k]) * size, ratios / (size if w[k] > 0 else -size)


def _projector(vector: Any, length: arb) -> Any:
    """Projector on a vector of this length; its entries are in [-1, 1] where that may vanish."""
    entries = np.outer(vector / length, vector / length)
    return np.vectorize(lambda x: x if x.is_finite() and x.rad() < 1 else UNIT, "O")(entries)
