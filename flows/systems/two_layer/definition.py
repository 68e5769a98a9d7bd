"""What a layer of students and teachers is: its parameters, and the network that they make."""

from __future__ import annotations

import functools
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np

from flows.core.minimiser import NEAR
from flows.core.options import Option
from flows.core.system import System
from flows.systems.hidden_layer.network import Network
from flows.systems.two_layer.averaged import Averaged
from flows.systems.two_layer.in_span import InSpan
from flows.systems.two_layer.one_teacher import OneTeacher, is_one_neuron
from flows.systems.two_layer.options import OPTIONS
from flows.systems.two_layer.span import teachers_in
from symbolic.language.blocks import Block
from symbolic.systems.two_layer.pair import named

if TYPE_CHECKING:
    from flows.systems.relu_neuron.system import ReLUNeuron

__all__ = ["Defined"]

# A falling loss below this part of one over the number of teachers falls to zero.
LOW = 1e-3


class Defined(System):
    """Students with any activation, and teachers, of :class:`flows.TwoLayer`."""

    students: int
    teachers: Any
    d: int | None
    activation: str
    output_weights: Any
    teacher_weights: Any
    train_outputs: bool
    biases: bool
    teacher_biases: Any
    doubles: bool
    steps: tuple[float, float, bool, bool]

    name: ClassVar[str] = "two_layer"
    title: ClassVar[str] = "Two layers"
    options: ClassVar[tuple[Option, ...]] = OPTIONS

    @property
    def parameters(self) -> dict[str, Any]:
        """Students `n`, teachers, `d`, activation with its degree and slope, outputs."""
        activation = named(self.activation)
        degree = activation.degree
        return {
            "n": int(self.students),
            "d": self._dimension,
            "teachers": [list(v) for v in self.teachers],
            "activation": self.activation,
            "output_weights": list(self.output_weights),
            "teacher_weights": list(self.teacher_weights),
            "train_outputs": self.train_outputs,
            "degree": 0 if degree is None else degree,
            "negative_slope": activation.negative_slope,
            "m": len(self.teachers),
            "is_orthonormal": int(self._orthonormal),
            "teacher_gap": self._gap,
            **self._shifted,
            **({"teacher_norm": float(np.linalg.norm(self.teachers))} if self._neuron else {}),
        }

    @property
    def _shifted(self) -> dict[str, Any]:
        """Biases, where there are some."""
        if not self.biases and not any(self.teacher_biases):
            return {}
        return {"biases": self.biases, "teacher_biases": list(self.teacher_biases)}

    @functools.cached_property
    def _orthonormal(self) -> bool:
        """Whether teachers are orthonormal, and all outputs fixed at one."""
        v = np.array(self.teachers)
        ones = {*self.output_weights, *self.teacher_weights} == {1.0}
        gram = np.abs(v @ v.T - np.eye(len(v))).max() < NEAR
        return bool(gram and ones and not self.train_outputs and not self._shifted)

    @functools.cached_property
    def _gap(self) -> float:
        """Smallest singular value of the teachers' directions: zero of dependent ones."""
        v = np.array(self.teachers)
        if len(v) > v.shape[1]:
            return 0.0
        return float(np.linalg.svd(v / np.linalg.norm(v, axis=1)[:, None], compute_uv=False)[-1])

    @property
    def _dimension(self) -> int:
        return len(self.teachers[0])

    @property
    def _columns(self) -> int:
        """Numbers of a student beside its neuron: its bias, its trained output."""
        return self.biases + self.train_outputs

    @property
    def _bent(self) -> bool:
        return named(self.activation).bent

    def network(self) -> Network:
        """Network in the user's coordinates."""
        return Network(
            self.students,
            teachers_in(np.eye(self._dimension)[..., None], self.teachers),
            self.teacher_weights,
            () if self.train_outputs else self.output_weights,
            self.activation,
        )

    @functools.cached_property
    def _way(self) -> InSpan | OneTeacher | Averaged:
        """How runs go.

        By the compiled flow of one ReLU teacher, in the span of all there is, or as of an average
        where pairs have no kernel.
        """
        if self._shifted or not named(self.activation).has_kernel:
            return self._as_average
        network = self.network()
        if is_one_neuron(network):
            return OneTeacher(network)
        return InSpan(network, self.doubles, self.steps, self._low)

    @property
    def _low(self) -> float:
        """Far below each spurious minimum of orthonormal ReLU teachers that is known; else zero.

        Times the number of teachers these are 0.15 for six of them, and about 0.3 for many.
        """
        enough = self.students >= len(self.teachers) and self.activation == "relu"
        return LOW / len(self.teachers) if enough and self._orthonormal else 0.0

    @property
    def _as_average(self) -> Averaged:
        """The loss as an average over inputs."""
        return Averaged(
            self.students,
            self.teachers,
            self.teacher_weights,
            self.teacher_biases,
            () if self.train_outputs else self.output_weights,
            self.activation,
            self.biases,
            self.doubles,
            self.steps,
        )

    @property
    def formula(self) -> tuple[Sequence[Block], Any]:
        """Neurons `w`, biases `c` and trained outputs `a`, and the average."""
        return self._as_average.led.formula

    @property
    def _averaged(self) -> Averaged | None:
        """How runs without kernels go."""
        return self._way if isinstance(self._way, Averaged) else None

    @property
    def _neuron(self) -> ReLUNeuron | None:
        """The case of one ReLU teacher and outputs one, whose flow this is."""
        return self._way.led if isinstance(self._way, OneTeacher) else None
