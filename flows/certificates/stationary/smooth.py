r"""Loss, gradient and Hessian of a hidden layer without a kink, with the interface of `Layer`.

The kernels are those that runs use, derived with the system. Trained outputs of the error function
are the last coordinate of each student. Where the activation is homogeneous, trained outputs are
fixed here: another state is one with these outputs after a scale of each student.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import Any

from flint import arb, arb_mat

from flows.certificates.stationary.layer import Layer, Setting
from flows.systems.hidden_layer.balls import PairBalls
from flows.systems.hidden_layer.network import Network

Ball = Any  # flint.arb
Matrix = Any  # flint.arb_mat


@dataclass(frozen=True)
class SmoothLayer:
    """The loss at students, a ball a coordinate.

    Parameters
    ----------
    setting : Setting
        Teachers, weights, activation.
    students : list of lists of balls
        A row a student: as long as the teachers, and its output where that is trained.
    """

    setting: Setting
    students: list[list[Ball]]

    def _exact(self, extra: int) -> tuple[PairBalls, list[Ball], list[int]]:
        """Loss in so many further dimensions, its flat state, and where the rows' entries are."""
        setting = self.setting
        teachers = tuple(tuple((x,) for x in (*v, *(0.0,) * extra)) for v in setting.teachers)
        n, r = len(self.students), len(setting.teachers[0])
        network = Network(n, teachers, setting.weights, setting.outputs, setting.activation)
        d = r + extra
        flat = [x for row in self.students for x in (*row[:r], *[arb(0)] * extra)]
        flat += [row[r] for row in self.students] if network.trained else []
        rows = [
            [i * d + k for k in range(r)] + ([n * d + i] if network.trained else [])
            for i in range(n)
        ]
        return PairBalls(network), flat, [k for row in rows for k in row]

    @cached_property
    def _both(self) -> list[Ball]:
        exact, flat, order = self._exact(0)
        found = exact.both(flat)
        return [found[0], *(found[1 + k] for k in order)]

    @property
    def loss(self) -> Ball:
        """Population loss, with its factor 1/2."""
        return self._both[0]

    @property
    def gradient(self) -> list[Ball]:
        """Gradient, student after student."""
        return self._both[1:]

    @property
    def hessian(self) -> Matrix:
        """Hessian in the coordinates of the rows."""
        exact, flat, order = self._exact(0)
        rows = exact.hessian(flat)
        return arb_mat([[rows[i][k] for k in order] for i in order])

    @property
    def across(self) -> Matrix:
        """The matrix ``S`` of directions outside the space of the rows."""
        exact, flat, _ = self._exact(1)
        rows, d = exact.hessian(flat), exact.network.d
        last = [i * d + d - 1 for i in range(len(self.students))]
        return arb_mat([[rows[i][k] for k in last] for i in last])


def layer_of(setting: Setting, students: list[list[Ball]]) -> Layer | SmoothLayer:
    """The loss at students, a ball a coordinate."""
    made = Layer if setting.activation == "relu" else SmoothLayer
    found: Layer | SmoothLayer = made(setting, students)
    return found
