r"""Independent check that a hidden layer of ReLUs has a critical point, and of what kind it is.

The loss is ``1/2 E (sum a_i s(w_i.x) - sum b_j s(v_j.x))^2``, ``x ~ N(0, I)``, where ``s(u)`` is
``u`` for ``u > 0`` and ``l u`` for ``u < 0``. The slope ``l`` of the ReLU is 0.

*Krawczyk.* Let ``Y`` be an approximate inverse of a Hessian, which the check finds for itself. If
``|Y F(c)| + q rho < rho`` for the gradient ``F`` and ``q >= |I - Y H|`` for all Hessians of the box
of half-width ``rho`` about ``c`` (largest coordinate, row sums), there is exactly one critical
point in it, within ``|Y F(c)|/(1 - q)`` of ``c``.

*Inertia.* For approximate eigenvectors ``E``, again found here, ``E^T (H - l) E`` is diagonally
dominant: ``H - l`` has as many negative eigenvalues as this has negative diagonal entries. An
eigenvalue is below ``l`` if a Rayleigh quotient is. Where students and teachers have ``r``
coordinates, the Hessian in more dimensions ``d`` is ``H`` and ``d - r`` times ``S``, the matrix of
moves into one further dimension. If ``H`` and ``S`` are positive definite, the point is a strict
local minimum for every ``d >= r``. If one has a negative eigenvalue it is a saddle, and no maximum:
along the students themselves the loss is a parabola that opens upwards.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np
from flint import arb, arb_mat

from flows.certificates.verifier.layer import Pairs, of_teachers
from flows.certificates.verifier.reading import (
    MOST,
    Refused,
    exact,
    integer,
    largest,
    number,
    numbers,
    require,
)

FORMAT = "popflow stationary 1"
KEYS = {
    *("format", "system", "slope", "teachers", "output_weights", "teacher_weights", "bits"),
    *("precision", "centre", "radius", "kind", "hessian", "across", "loss"),
}
UNIT = arb(0, 1)
KINDS = {
    (True, True): "minimum",
    (True, False): "minimum in its space, saddle beyond it",
    (False, True): "saddle",
    (False, False): "saddle",
}


class Block(NamedTuple):
    """Negative eigenvalues, and a bound of the least one: from below if there are none."""

    negative: int
    least: float

    def __str__(self) -> str:
        """Say so."""
        if self.negative == 0:
            return f"is >= {self.least:.8g}"
        return f"has an eigenvalue <= {self.least:.8g} (index {self.negative})"


class Point(NamedTuple):
    """A critical point that is proved.

    ``kind`` is ``minimum``, a strict local one in every dimension, or ``saddle``; ``hessian`` and
    ``across`` are what is known of ``H`` and ``S``. No other critical point has all coordinates
    within ``radius`` of the centre; this one is within ``near``. ``loss`` contains its loss.
    ``students`` are the centre to doubles.
    """

    kind: str
    hessian: Block
    across: Block
    radius: float
    near: arb
    loss: arb
    students: Any
    slope: float
    teachers: Any
    output_weights: Any
    teacher_weights: Any

    def is_of(self, system: Any) -> bool:
        """Whether it is about this system; axes in which no teacher has a part do not count."""
        about = getattr(system, "parameters", {})
        if getattr(system, "name", "") != "two_layer" or about["train_outputs"]:
            return False
        name, _, slope = about["activation"].partition(":")
        mine, theirs = (
            np.array(v)[:, np.any(v, axis=0)] for v in (self.teachers, about["teachers"])
        )
        return (
            name in ("relu", "leaky")
            and float(slope or 0) == self.slope
            and np.array_equal(mine, theirs)
            and np.array_equal(self.output_weights, about["output_weights"])
            and np.array_equal(self.teacher_weights, about["teacher_weights"])
        )

    @property
    def statement(self) -> str:
        """The theorem in words."""
        n, r = self.students.shape
        what = {
            "minimum": f"a strict local minimum in R^({n} x d) for every d >= {r}",
            "saddle": f"a saddle in R^({n} x d) for every d >= {r}",
        }.get(self.kind, f"a strict local minimum for d = {r}, and a saddle for every d > {r}")
        return (
            f"There is a critical point within {self.near.str(3, radius=False)} of the centre in"
            " the file, which is shown in doubles, in each coordinate; there is no other one within"
            f" {self.radius:.6g}. It is {what}:"
            f" its Hessian in {n * r} coordinates {self.hessian}, and the matrix of every further"
            f" dimension {self.across}."
        )


def point(data: Any, bits: int) -> Point:
    """Check a critical point, or refuse."""
    require({*data} == KEYS, "it has other parts than a critical point")
    require(data["system"] == "two_layer", "it is not about two layers")
    slope = number(data["slope"])
    require(slope != 1, "its activation has no kink")
    keys = ("teachers", "output_weights", "teacher_weights")
    v, a, b = (numbers(exact(data[key])) for key in keys)
    require(v.ndim == 2 and a.ndim == b.ndim == 1, "teachers and weights do not fit")
    centre = np.array([[arb((integer(x), -bits)) for x in row] for row in data["centre"]])
    fits = centre.shape == (len(a), v.shape[1]) and len(b) == len(v) and 0 < centre.size <= MOST
    require(fits, "teachers, weights and students do not fit")
    require(bool(a.all()), "a student has no weight")
    teachers = np.array([[arb(x) for x in row] for row in v])
    mu = np.array([arb(x) for x in [*a, *(-b)]])
    radius = number(data["radius"])
    require(radius > 0, "its radius is not positive")

    wide = Pairs(centre + radius * UNIT, teachers, mu, slope).hessian()
    inverse = _inverse(wide)
    gradient = Pairs(centre, teachers, mu, slope).gradient()
    gap = largest(abs(x) for x in (inverse * _column(gradient)).entries())
    q = _contraction(inverse, wide)
    require(
        gap + q * radius < radius,
        f"the box of radius {radius:.6g} is not proved to contract into itself: |Y F(c)| ="
        f" {float(gap):.3g}, |I - Y H| = {float(q):.6g}",
    )
    pairs = Pairs(centre + gap / (1 - q) * UNIT, teachers, mu, slope)
    hessian, across = pairs.hessian(), pairs.across()
    near = (gap / (1 - _contraction(inverse, hessian))).upper()
    within = _inertia(hessian, data["hessian"], "the Hessian")
    beyond = _inertia(across, data["across"], "the matrix of further dimensions")
    kind = KINDS[within.negative == 0, beyond.negative == 0]
    require(data["kind"] == kind, f"it is a {kind}, which is not what is stated")
    stated = data["loss"]
    require({*stated} == {"value", "bits", "radius"}, "its loss has other parts")
    require(0 <= stated["bits"] <= 4096, "its loss has too many digits")
    room = number(stated["radius"])
    loss = arb((integer(stated["value"]), -stated["bits"])) + arb(0, room)
    found = Pairs(centre + near * UNIT, teachers, mu, slope).loss() + of_teachers(
        teachers, mu[len(a) :], slope
    )
    require(
        room >= 0 and loss.contains(found),
        f"its loss is {found.str(25)}, which is not in what is stated",
    )
    students = np.array([[float(x) for x in row] for row in centre])
    return Point(kind, within, beyond, radius, near, loss, students, slope, v, a, b)


def _inertia(matrix: Any, stated: Any, name: str) -> Block:
    """Index and stated bound of the least eigenvalue, or refuse."""
    require({*stated} == {"index", "least"}, f"{name} has other parts than index and least")
    bound = number(stated["least"])
    vectors = arb_mat(np.linalg.eigh(_middle(matrix))[1].tolist())
    form = vectors.transpose() * arb_mat(matrix.tolist()) * vectors
    gram = vectors.transpose() * vectors
    index = _negative(form)
    require(index is not None, f"an eigenvalue of {name} may be zero")
    require(index == stated["index"], f"the index of {name} is {index}")
    if index == 0:
        require(_negative(form - gram * arb(bound)) == 0, f"{name} >= {bound:.8g} is not proved")
    else:
        low = any(bool(form[k, k] < bound * gram[k, k]) for k in range(len(matrix)))
        require(low, f"an eigenvalue of {name} <= {bound:.8g} is not proved")
    return Block(int(index or 0), bound)


def _negative(form: Any) -> int | None:
    """Negative eigenvalues by diagonal dominance; None where it does not tell."""
    rows = np.array(form.tolist())
    diagonal = rows.diagonal()
    others = np.array([sum((abs(x) for x in row), arb(0)) for row in rows - np.diag(diagonal)])
    if not all(abs(x) > y for x, y in zip(diagonal, others, strict=True)):
        return None
    return sum(bool(x < 0) for x in diagonal)


def _contraction(inverse: Any, hessian: Any) -> arb:
    """Row sums of ``|I - Y H|``."""
    rows = np.array((inverse * arb_mat(hessian.tolist())).tolist()) - np.eye(len(hessian))
    return largest(sum((abs(x) for x in row), arb(0)) for row in rows)


def _inverse(matrix: Any) -> Any:
    try:
        return arb_mat(np.linalg.inv(_middle(matrix)).tolist())
    except np.linalg.LinAlgError:
        raise Refused("the Hessian is singular") from None


def _middle(matrix: Any) -> Any:
    found = np.array([[float(x.mid()) for x in row] for row in matrix])
    require(np.isfinite(found).all(), "the Hessian is not finite")
    return (found + found.T) / 2


def _column(values: Any) -> Any:
    return arb_mat([[x] for x in values.ravel()])
