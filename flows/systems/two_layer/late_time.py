"""Minimisers of two layers, students along their teachers, and how runs reach them."""

from __future__ import annotations

from typing import Any

import numpy as np

from flows.core.arrays import Array, lengths
from flows.core.minimiser import NEAR, Minimiser, fraction
from flows.systems.hidden_layer.network import Network
from symbolic.asymptotics.refusal import NoLaw
from symbolic.systems.two_layer.point import network as point_of

__all__ = ["clusters", "minimiser", "shared"]


def clusters(network: Network, w: Array, a: Array) -> tuple[Any, Array]:
    r"""Teacher that each student is next to, and its share of it, `a_i w_i.v_j/(b_j |v_j|^2)`.

    Parameters
    ----------
    network : Network
        With the teachers.
    w, a : ndarray, shapes (..., n, d) and (..., n)
        Students and outputs.

    Returns
    -------
    which : ndarray of int, shape (..., n)
        That of the least angle among those with a positive share; -1 where there is none.
    shares : ndarray, shape (..., n)
    """
    v, b = network.digits[..., 0], np.array(network.weights)
    shares = a[..., :, None] * (w @ v.T) / (b * np.sum(v**2, axis=1))
    size = lengths(w)[..., None] * np.linalg.norm(v, axis=1)
    with np.errstate(invalid="ignore", divide="ignore"):
        cosine = np.where(shares > 0, np.abs(w @ v.T) / size, -1.0)
    which = np.where(np.max(cosine, axis=-1) > 0, np.argmax(cosine, axis=-1), -1)
    picked = np.take_along_axis(shares, np.maximum(which, 0)[..., None], axis=-1)[..., 0]
    return which, np.where(which >= 0, picked, np.nan)


def minimiser(network: Network, w: Array, a: Array, where: Array) -> Minimiser:
    """Minimiser of these students; with a kink, each along the teacher that it shares.

    Raises
    ------
    NoLaw
        If the students do not make the teachers up: then the loss is positive there.
    """
    vectors = network.digits[..., 0]
    exact = [[fraction(x) for x in v] for v in vectors]
    outputs, weights = ([fraction(x) for x in row] for row in (a, network.weights))
    known: dict[str, Any] = {"teachers": exact, "weights": weights, "trained": network.trained}
    if not network.bent:
        students = [[fraction(x) for x in row] for row in w]
        return Minimiser(where, point_of(network.activation, students, outputs, **known))
    which, _ = clusters(network, w, a)
    shares: list[Any] = []
    for i, (j, row) in enumerate(zip(which, w, strict=True)):
        v = vectors[j]
        along = row @ v / (v @ v)
        if j < 0 or np.abs(row - along * v).max() > NEAR * np.abs(row).max():
            raise NoLaw(f"the point is no minimiser: student {i + 1} is not along a teacher")
        product = sum(fraction(x) * c for x, c in zip(row, exact[j], strict=True))
        shares.append(outputs[i] * product / weights[j] / sum(c**2 for c in exact[j]))
    pairs = list(zip(shares, which, strict=True))
    total = [sum(s for s, j in pairs if j == k) for k in range(len(exact))]
    for k, whole in enumerate(total, 1):
        if abs(whole - 1) > NEAR:
            raise NoLaw(
                f"the point is no minimiser: the students of teacher {k} have"
                f" {float(whole):.10g} of it together, not 1"
            )
    students = [
        [s / total[j] * weights[j] / out * c for c in exact[j]]
        for s, j, out in zip(shares, which, outputs, strict=True)
    ]
    return Minimiser(where, point_of(network.activation, students, outputs, **known))


def shared(network: Network, w: Array, a: Array) -> Array:
    """Students moved onto their teachers, in shares of one together.

    Raises
    ------
    NoLaw
        If one is next to none.
    """
    which, shares = clusters(network, w, a)
    if (which < 0).any() or len(set(which.tolist())) < len(network.weights):
        raise NoLaw("the run is near to no minimiser: a teacher has no student, or one no teacher")
    total = np.bincount(which, weights=shares)
    v, b = network.digits[..., 0], np.array(network.weights)
    found: Array = (shares / total[which] * b[which] / a)[:, None] * v[which]
    return found
