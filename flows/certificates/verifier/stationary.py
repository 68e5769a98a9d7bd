r"""Independent check that a hidden layer has a critical point of the stated kind.

The loss is ``1/2 E (sum a_i s(w_i.x) - sum b_j s(v_j.x))^2``, ``x ~ N(0, I)``, where ``s(u)`` is
``u`` for ``u > 0`` and ``l u`` for ``u < 0``, or the error function, or ``u^2``.

*Krawczyk.* Let ``Y`` be an approximate inverse of a Hessian, which the check finds for itself. If
``|Y F(c)| + q rho < rho`` for the gradient ``F`` and ``q >= |I - Y H|`` for all Hessians of the box
of half-width ``rho`` about ``c`` (largest coordinate, row sums), there is exactly one critical
point in it, within ``|Y F(c)|/(1 - q)`` of ``c``.

*Turns.* With ``s(u) = u^2`` the loss is one of ``sum a_i w_i w_i^T``, which is the same along
``dw_i = a_j w_j, dw_j = -a_i w_i``. Then some coordinates are held, as many as such ``moves`` are
named, and ``F``, ``H`` are those of the others. Where the held coordinates of these moves are a
regular matrix, moves and other coordinates span all directions: as ``F`` vanishes along moves it
vanishes altogether, and every state near the point is moved to one with these coordinates.

*Scales.* Where outputs are trained and ``s`` is homogeneous of degree ``p``, a state is one with
the outputs of the file after ``w_i -> c w_i, a_i -> a_i/c^p``, which leaves the loss as it is. What
holds with these outputs fixed then holds up to scales; also ``p a_i^2 - |w_i|^2``, which the flow
keeps, changes with ``c``, so that a minimum is a strict one where these are as they are. Trained
outputs of the error function are coordinates, the last of each student.

*Inertia.* For approximate eigenvectors ``E``, again found here, ``E^T (H - l) E`` is diagonally
dominant: ``H - l`` has as many negative eigenvalues as this has negative diagonal entries. An
eigenvalue is below ``l`` if a Rayleigh quotient is. Where students and teachers have ``r``
coordinates, the Hessian in more dimensions ``d`` is ``H`` and ``d - r`` times ``S``, the matrix of
moves into one further dimension. If ``H`` and ``S`` are positive definite, the point is a strict
local minimum for every ``d >= r``. If one has a negative eigenvalue, and ``H`` a positive one, it
is a saddle. Where nothing is said of ``S``, the file is about ``d = r`` alone.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import Any, NamedTuple

import numpy as np
from flint import arb, arb_mat

from flows.certificates.verifier.kernels import Kernel, kernel
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
from flows.certificates.verifier.turns import contraction, free_of, require_turns

FORMAT = "popflow stationary 1"
KEYS = {
    *("format", "system", "slope", "teachers", "output_weights", "teacher_weights", "bits"),
    *("precision", "centre", "radius", "kind", "hessian", "across", "loss"),
}
#: What a file may say besides, and what it means if it does not.
MORE: dict[str, Any] = {"activation": "relu", "trained": False, "held": [], "moves": []}
UNIT = arb(0, 1)
BEYOND = "the matrix of further dimensions"
#: By whether ``H`` and ``S`` have no negative eigenvalue; None where nothing is said of ``S``.
KINDS = {
    (True, True): "minimum",
    (True, False): "minimum in its space, saddle beyond it",
    (True, None): "minimum in its space",
    (False, True): "saddle",
    (False, False): "saddle",
    (False, None): "saddle",
}


@dataclass(frozen=True)
class Block:
    """Negative eigenvalues, and a bound of the least one: from below if there are none."""

    index: int
    least: float

    def __str__(self) -> str:
        """Say so."""
        if self.index == 0:
            return f"is >= {self.least:.8g}"
        return f"has an eigenvalue <= {self.least:.8g} (index {self.index})"


@dataclass(frozen=True)
class Chart:
    """Students around a centre, which move in the free coordinates; weights have a minus."""

    kernel: Kernel
    centre: Any
    free: list[int]
    teachers: Any
    weights: Any
    outputs: Any  # None where they are coordinates

    def moved(self, by: Any) -> Any:
        """Students, of which the free coordinates are moved."""
        flat = self.centre.copy().ravel()
        flat[self.free] += by
        return flat.reshape(self.centre.shape)

    def around(self, radius: Any) -> Pairs:
        """Loss on the box of this half-width."""
        return Pairs(
            self.kernel, self.moved(radius * UNIT), self.teachers, self.weights, self.outputs
        )

    @cached_property
    def gradient(self) -> Any:
        """Gradient at the centre, a column."""
        found = self.around(arb(0)).gradient().ravel()[self.free]
        return arb_mat([[x] for x in found])

    def hessian(self, pairs: Pairs) -> Any:
        """Hessian by the free coordinates."""
        return pairs.hessian()[np.ix_(self.free, self.free)]

    def contracted(self, radius: Any) -> tuple[Any, arb, arb]:
        """``Y``, ``|Y F(c)|`` and ``|I - Y H|`` of a box."""
        box = self.hessian(self.around(radius))
        inverse = inverted(box)
        gap = largest(abs(x) for x in (inverse * self.gradient).entries())
        return inverse, gap, contraction(inverse, box)

    def located(self, radius: float) -> tuple[arb, Pairs, Any]:
        """Refuse unless a box has one critical point; where it is, loss and Hessian there."""
        inverse, gap, q = self.contracted(radius)
        require(
            gap + q * radius < radius,
            f"the box of radius {radius:.6g} is not proved to contract into itself: |Y F(c)| ="
            f" {float(gap):.3g}, |I - Y H| = {float(q):.6g}",
        )
        pairs = self.around(gap / (1 - q))
        curved = self.hessian(pairs)
        return (gap / (1 - contraction(inverse, curved))).upper(), pairs, curved

    def loss(self, near: arb, slope: float) -> arb:
        """Loss of a point so near."""
        teachers = of_teachers(self.kernel, self.teachers, self.weights, slope)
        return self.around(near).loss() + teachers


class Point(NamedTuple):
    """A critical point that is proved.

    ``kind`` is ``minimum``, a strict local one in every dimension, or ``saddle``; ``hessian`` and
    ``across`` are what is known of ``H`` and ``S``. No other critical point has all coordinates
    within ``radius`` of the centre, and the held ones as they are; this one is within ``near``.
    ``loss`` contains its loss. ``students`` are the centre to doubles.
    """

    kind: str
    hessian: Block
    across: Block | None
    radius: float
    near: arb
    loss: arb
    students: Any
    slope: float
    teachers: Any
    output_weights: Any
    teacher_weights: Any
    activation: str
    trained: bool
    turns: int

    def is_of(self, system: Any) -> bool:
        """Whether it is about this system; axes in which no teacher has a part do not count."""
        about = system.parameters
        if about["train_outputs"] != self.trained:
            return False
        name, _, slope = about["activation"].partition(":")
        used = np.any(about["teachers"], axis=0) | (self.across is None)
        mine = self.teachers[:, np.any(self.teachers, axis=0) | (self.across is None)]
        theirs = np.array(about["teachers"])[:, used]
        return (
            name.replace("leaky", "relu") == self.activation
            and float(slope or 0) == self.slope
            and np.array_equal(mine, theirs)
            and (self.trained or np.array_equal(self.output_weights, about["output_weights"]))
            and np.array_equal(self.teacher_weights, about["teacher_weights"])
        )

    @property
    def statement(self) -> str:
        """The theorem in words."""
        (n, _), r = self.students.shape, self.teachers.shape[1]
        size, outputs = n * r - self.turns, "" if self.activation != "erf" else " and outputs"
        size += n * (self.trained and self.activation == "erf")
        space = f"R^({n} x d)" if not self.trained else f"R^({n} x (d + 1))"
        whole = f"in {space} for every d >= {r}"
        what = {
            "minimum": f"a strict local minimum {whole}",
            "minimum in its space": f"a strict local minimum in {space} for d = {r}",
            "saddle": f"a saddle {whole}" if self.across else f"a saddle in {space} for d = {r}",
        }.get(self.kind, f"a strict local minimum for d = {r}, and a saddle for every d > {r}")
        if self.across is None:
            beyond = "nothing is said of further dimensions"
        else:
            beyond = f"the matrix of every further dimension {self.across}"
        degree = {"relu": 1, "quadratic": 2}.get(self.activation)
        least = self.kind.startswith("minimum")
        turns = f", up to turns of students among each other ({self.turns} ways)"
        up_to = turns if self.turns and least else ""
        if self.trained and degree and least:
            power = "" if degree == 1 else f"^{degree}"
            up_to += f", up to the scales w_i -> c w_i, a_i -> a_i/c{power}"
            if not self.turns:
                kept = f"{'' if degree == 1 else '2 '}a_i^2 - |w_i|^2"
                up_to += f", and without these where all {kept} are as they are there"
        held = " that has the same held coordinates" if self.turns else ""
        return (
            f"There is a critical point within {self.near.str(3, radius=False)} of the centre in"
            f" the file, which is shown in doubles, in each coordinate; there is no other one{held}"
            f" within {self.radius:.6g}. It is {what}{up_to}:"
            f" its Hessian in {size} coordinates{outputs if self.trained else ''} {self.hessian},"
            f" and {beyond}."
        )


def point(data: Any, bits: int) -> Point:
    """Check a critical point, or refuse."""
    require(KEYS <= {*data} <= KEYS | {*MORE}, "it has other parts than a critical point")
    name, trained, held, moves = ({**MORE, **data}[key] for key in MORE)
    require(isinstance(name, str) and isinstance(trained, bool), "its activation is not known")
    slope = number(data["slope"])
    k = kernel(name, slope)
    keys = ("teachers", "output_weights", "teacher_weights")
    v, a, b = (numbers(exact(data[key])) for key in keys)
    require(v.ndim == 2 and a.ndim == b.ndim == 1, "teachers and weights do not fit")
    centre = np.array([[arb((integer(x), -bits)) for x in row] for row in data["centre"]])
    moving = trained and name == "erf"  # outputs are coordinates
    wide = (len(centre) if moving else len(a), v.shape[1] + moving)
    fits = centre.shape == wide and len(b) == len(v) and 0 < centre.size <= MOST
    require(fits, "teachers, weights and students do not fit")
    require(len(a) == (0 if moving else len(centre)), "teachers, weights and students do not fit")
    require(bool(a.all()), "a student has no weight")
    require(not (held or moves) or (name == "quadratic"), "there is nothing to be held")
    free = free_of(centre.shape, held)
    radius = number(data["radius"])
    require(radius > 0, "its radius is not positive")
    chart = Chart(k, centre, free, balls(v), -balls(b), None if moving else balls(a))
    near, pairs, curved = chart.located(radius)
    require_turns(chart.moved(near * UNIT)[:, : v.shape[1]], a, held, moves)
    within = _stated(curved, data["hessian"], "the Hessian")
    says = data["across"]
    beyond = None
    if says is not None:
        beyond = _stated(pairs.across(), says, BEYOND)
    require(within.index < len(free), "its Hessian has no positive eigenvalue: no saddle")
    kind = KINDS[within.index == 0, None if beyond is None else beyond.index == 0]
    require(data["kind"] == kind, f"it is a {kind}, and not the kind that is stated")
    stated = data["loss"]
    require({*stated} == {"value", "bits", "radius"}, "its loss has other parts")
    require(0 <= stated["bits"] <= 4096, "its loss has too many digits")
    room = number(stated["radius"])
    loss = arb((integer(stated["value"]), -stated["bits"])) + arb(0, room)
    found = chart.loss(near, slope)
    require(
        room >= 0 and loss.contains(found),
        f"its loss is {found.str(25)}, which is outside the stated interval",
    )
    students = np.array([[float(x) for x in row] for row in centre])
    return Point(
        *(kind, within, beyond, radius, near, loss, students, slope, v, a, b),
        *(name, trained, len(moves)),
    )


def balls(values: Any) -> Any:
    """Exact doubles as balls."""
    return np.array([arb(x) for x in values.ravel().tolist()]).reshape(values.shape)


def _stated(matrix: Any, stated: Any, name: str) -> Block:
    """What a file says of a symmetric matrix, or refuse."""
    require({*stated} == {"index", "least"}, f"{name} has other parts than index and least")
    return inertia(matrix, Block(stated["index"], number(stated["least"])), name)


def inertia(matrix: Any, stated: Block, name: str) -> Block:
    """Index and bound of the least eigenvalue, or refuse."""
    bound = stated.least
    vectors = arb_mat(np.linalg.eigh(middle(matrix))[1].tolist())
    form = vectors.transpose() * arb_mat(matrix.tolist()) * vectors
    gram = vectors.transpose() * vectors
    index = _negative(form)
    require(index is not None, f"an eigenvalue of {name} may be zero")
    require(index == stated.index, f"the index of {name} is {index}")
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


def inverted(matrix: Any) -> Any:
    """Approximate inverse, or refuse."""
    try:
        return arb_mat(np.linalg.inv(middle(matrix)).tolist())
    except np.linalg.LinAlgError:
        raise Refused("the Hessian is singular") from None


def middle(matrix: Any) -> Any:
    """Middles as doubles, symmetric; refused if they are not finite."""
    found = np.array([[float(x.mid()) for x in row] for row in matrix])
    require(np.isfinite(found).all(), "the Hessian is not finite")
    return (found + found.T) / 2
