r"""Loss, gradient and Hessian of a hidden layer of leaky ReLUs in ball arithmetic, on boxes too.

Students ``w_i`` with outputs ``a_i`` and teachers ``v_j`` with weights ``b_j`` are rows ``u_q``
with ``mu = (a, -b)``. The activation with the slope ``l`` is ``(1 - l) relu(u) + l u``, so that
its kernel is ``c`` times that of the ReLU, ``c = (1 - l)^2``, and ``l a.b``. For a pair let ``s``
be the sine of the angle ``theta``, and ``n`` the unit vector of ``u_q`` across ``w_i``. With

    t_iq = mu_q c |u_q| s_iq / (2 pi |w_i|),   T_i = sum_{q != i} t_iq,
    f_iq = c (pi - theta_iq) / (2 pi) + l,     theta_ii = 0,

and ``w`` for unit vectors in the Hessian,

    dL/dw_i        = a_i (T_i w_i + sum_q mu_q f_iq u_q)
    d2L/dw_i dw_i  = a_i ((a_i f_ii + T_i) I - T_i w_i w_i^T + sum_q t_iq n n^T)
    d2L/dw_i dw_j  = a_i a_j (f_ij I + c (w_i n_j^T + w_j n_i^T) / (2 pi))

Directions outside the space of the rows have the Hessian ``S (x) I``, ``S_ij = a_i a_j f_ij +
delta_ij a_i T_i``: reflections there leave the loss as it is.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import Any, NamedTuple

from flint import arb, arb_mat

Ball = Any  # flint.arb
Matrix = Any  # flint.arb_mat


class Parallel(ArithmeticError):
    """Two rows that are not known to have an angle between 0 and pi."""


class Setting(NamedTuple):
    """What fixes the loss: teachers, a row each, weights of both layers, slope; exact doubles.

    Its system is the name that a file states. Outputs are empty where they are coordinates, and
    else those of the point where they are trained. A leaky ReLU is a ReLU with its slope.
    """

    system: str
    teachers: tuple[tuple[float, ...], ...]
    outputs: tuple[float, ...]
    weights: tuple[float, ...]
    slope: float = 0.0
    activation: str = "relu"
    trained: bool = False


@dataclass(frozen=True)
class Layer:
    """The loss at students, a ball a coordinate.

    Parameters
    ----------
    setting : Setting
        Teachers and weights.
    students : list of lists of balls
        A row a student, as long as the teachers.
    """

    setting: Setting
    students: list[list[Ball]]

    @cached_property
    def rows(self) -> Matrix:
        """Students, then teachers."""
        teachers = [[arb(x) for x in row] for row in self.setting.teachers]
        return arb_mat([*self.students, *teachers])

    @cached_property
    def mu(self) -> list[Ball]:
        """Weights of the rows, those of the teachers negative."""
        return [*map(arb, self.setting.outputs), *(-arb(b) for b in self.setting.weights)]

    @property
    def _bend(self) -> Ball:
        """The square ``c`` of the kink of the activation."""
        return (1 - arb(self.setting.slope)) ** 2

    @cached_property
    def _norms(self) -> list[Ball]:
        return [
            sum((x * x for x in row), arb(0)).nonnegative_part().sqrt()
            for row in self.rows.tolist()
        ]

    @cached_property
    def _units(self) -> list[Matrix]:
        """Unit vectors, each a row."""
        if not all(size > 0 for size in self._norms):
            raise Parallel("a neuron may be zero")
        rows = self.rows.tolist()
        return [
            arb_mat([[x / size for x in row]]) for row, size in zip(rows, self._norms, strict=True)
        ]

    @cached_property
    def _angles(self) -> dict[tuple[int, int], tuple[Ball, Ball, Ball]]:
        """Cosine, sine and angle of a student and another row, students first."""
        n, size = len(self.students), self._norms
        if not all(x > 0 for x in size):
            raise Parallel("a neuron may be zero")
        inner = (self.rows * self.rows.transpose()).tolist()
        found = {}
        for i in range(n):
            for q in range(i + 1, len(size)):
                cosine = inner[i][q] / (size[i] * size[q])
                square = 1 - cosine * cosine
                if not square > 0:
                    other = f"student {q + 1}" if q < n else f"teacher {q - n + 1}"
                    raise Parallel(f"student {i + 1} and {other} may be parallel")
                found[i, q] = cosine, square.sqrt(), cosine.acos()
                found[q, i] = found[i, q]
        return found

    @property
    def loss(self) -> Ball:
        """Population loss, with its factor 1/2."""
        n, size, mu = len(self.students), self._norms, self.mu
        bend, turn = self._bend, 2 * arb.pi()
        own = [mu[p] ** 2 * size[p] ** 2 * self._facing(p, p) / 2 for p in range(n)]
        pairs = [
            mu[i] * mu[q] * size[i] * size[q] * (bend * sine / turn + self._facing(i, q) * cosine)
            for (i, q), (cosine, sine, _) in self._angles.items()
            if i < q
        ]
        return sum(own, arb(0)) + sum(pairs, arb(0)) + _teachers(self.setting)

    @cached_property
    def _pull(self) -> list[list[Ball]]:
        """Coefficients ``t_iq`` of each student and row."""
        part, size, zero = self._bend / (2 * arb.pi()), self._norms, arb(0)
        return [
            [
                zero if q == i else m * size[q] * self._angles[i, q][1] * part / size[i]
                for q, m in enumerate(self.mu)
            ]
            for i in range(len(self.students))
        ]

    def _facing(self, i: int, q: int) -> Ball:
        """``f_iq``."""
        ahead = arb(0.5) if i == q else (1 - self._angles[i, q][2] / arb.pi()) / 2
        return self._bend * ahead + arb(self.setting.slope)

    @property
    def gradient(self) -> list[Ball]:
        """Gradient, student after student."""
        n, mu = len(self.students), self.mu
        facing = arb_mat([[m * self._facing(i, q) for q, m in enumerate(mu)] for i in range(n)])
        drawn = (facing * self.rows).tolist()
        pulls = [sum(row, arb(0)) for row in self._pull]
        return [
            mu[i] * (pulls[i] * w + x)
            for i in range(n)
            for w, x in zip(self.students[i], drawn[i], strict=True)
        ]

    @property
    def hessian(self) -> Matrix:
        """Hessian in the coordinates of the rows."""
        n, r, unit, mu = len(self.students), self.rows.ncols(), self._units, self.mu
        part = self._bend / (2 * arb.pi())
        whole = [[arb(0)] * (n * r) for _ in range(n * r)]

        def put(i: int, j: int, block: Matrix, level: Ball) -> None:
            for a, row in enumerate(block.tolist()):
                whole[i * r + a][j * r : (j + 1) * r] = row
                whole[i * r + a][j * r + a] += level

        for i in range(n):
            others = [q for q in range(len(mu)) if q != i]
            normals = arb_mat([self._normal(i, q) for q in others])
            scaled = arb_mat([[self._pull[i][q] * x for x in self._normal(i, q)] for q in others])
            pull = sum(self._pull[i], arb(0))
            block = normals.transpose() * scaled - unit[i].transpose() * (unit[i] * pull)
            put(i, i, block * mu[i], mu[i] * (mu[i] * self._facing(i, i) + pull))
            for j in range(i + 1, n):
                there, here = arb_mat([self._normal(i, j)]), arb_mat([self._normal(j, i)])
                weight = mu[i] * mu[j]
                block = unit[i].transpose() * there + unit[j].transpose() * here
                block = block * (weight * part)
                put(i, j, block, weight * self._facing(i, j))
                put(j, i, block.transpose(), weight * self._facing(i, j))
        return arb_mat(whole)

    def _normal(self, i: int, q: int) -> list[Ball]:
        """Unit vector of row ``q`` across row ``i``."""
        cosine, sine, _ = self._angles[i, q]
        here, there = self._units[i].tolist()[0], self._units[q].tolist()[0]
        return [(y - cosine * x) / sine for x, y in zip(here, there, strict=True)]

    @property
    def across(self) -> Matrix:
        """The matrix ``S`` of directions outside the space of the rows."""
        n, mu = len(self.students), self.mu
        pulls = [sum(row, arb(0)) for row in self._pull]
        return arb_mat(
            [
                [
                    mu[i] * (mu[j] * self._facing(i, j) + (pulls[i] if i == j else 0))
                    for j in range(n)
                ]
                for i in range(n)
            ]
        )


def _teachers(setting: Setting) -> Ball:
    """What the teachers alone give to the loss; they may be parallel or orthogonal."""
    rows = [[arb(x) for x in row] for row in setting.teachers]
    total, pi, slope = arb(0), arb.pi(), arb(setting.slope)
    for p, b in enumerate(setting.weights):
        for q, c in enumerate(setting.weights):
            inner = sum((x * y for x, y in zip(rows[p], rows[q], strict=True)), arb(0))
            a2, b2 = (sum((x * x for x in row), arb(0)) for row in (rows[p], rows[q]))
            # The area is |a| |b| sin(theta); equal teachers have none, and an angle of 0.
            area = arb(0) if rows[p] == rows[q] else (a2 * b2 - inner**2).nonnegative_part().sqrt()
            obtuse = bool(inner < 0)
            angle = arb.atan2(area, -inner if obtuse else inner)
            angle = pi - angle if obtuse else angle
            bent = (1 - slope) ** 2 * (area + (pi - angle) * inner) / (2 * pi)
            total += arb(b) * arb(c) * (bent + slope * inner) / 2
    return total
