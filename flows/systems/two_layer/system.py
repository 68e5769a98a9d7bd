r"""A hidden layer of students that learns one of teachers, as a gradient flow.

.. math:: L(W, a) = \tfrac12 E \Big(\sum_i a_i s(w_i \cdot x) - \sum_j b_j s(v_j \cdot x)\Big)^2,
          \qquad x \sim N(0, I_d), \qquad \dot w = -\nabla_w L, \quad \dot a = -\nabla_a L
"""

from __future__ import annotations

import functools
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any, ClassVar, Self

import numpy as np
from numpy.typing import ArrayLike

from flows.core.arrays import Array, check_integer, check_shape, checked
from flows.core.axis_field import AxisTerms, Code
from flows.core.errors import InputError
from flows.core.minimiser import NEAR, Approach, Minimiser
from flows.core.options import Option, Options, chosen
from flows.core.piece import Piece, Restart
from flows.core.starts import given_array, read_array, seeded
from flows.core.system import DifferentiableFlow, Excess, JaxField, Smooth, System
from flows.systems.hidden_layer import values
from flows.systems.hidden_layer.network import Network, kernel_of
from flows.systems.own.sound_state import SoundState
from flows.systems.two_layer.given import (
    LARGEST,
    check_activation,
    check_signs,
    check_teachers,
    outputs_of,
    teachers_of,
)
from flows.systems.two_layer.late_time import Taught, minimiser, shared
from flows.systems.two_layer.one_teacher import OneTeacher, is_one_neuron
from flows.systems.two_layer.options import OPTIONS
from flows.systems.two_layer.span import Frame, teachers_in
from flows.systems.two_layer.span_run import SpanRun, axis_terms
from symbolic.systems.two_layer.pair import named

if TYPE_CHECKING:
    from flows.core.chart import Lanes
    from flows.systems.relu_neuron.system import ReLUNeuron
    from potentials import Statements

__all__ = ["TwoLayer"]

# A falling loss below this part of one over the number of teachers falls to zero.
LOW = 1e-3


@dataclass(frozen=True)
class TwoLayer(System):
    r"""Gradient flow of `n` students, with any activation of a known kernel, towards `m` teachers.

    .. math:: L = \tfrac12 \sum_{pq} \mu_p \mu_q k(u_p, u_q), \qquad
              k(a, b) = E s(a \cdot x) s(b \cdot x)

    over students `(w_i, mu = a_i)` and teachers `(v_j, mu = -b_j)`.

    Parameters
    ----------
    students : int
        Their number `n`.
    teachers : int or array_like, shape (m, d)
        Teachers, no two equal and none zero; a number `k` is `e_1, ..., e_k`.
    d : int, optional
        Dimension of the input; as many as a teacher has entries by default.
    activation : str
        ``relu``, ``leaky:0.1`` (the slope of negative arguments, not 1), ``erf`` or ``quadratic``
        (`u^2`).
    output_weights : sequence of float, optional
        `a_i`, one each by default; with trained outputs those of :meth:`initial`.
    teacher_weights : sequence of float, optional
        `b_j`, one each by default.
    train_outputs : bool
        Whether `a` moves too. A state then has a last column, the outputs.

    Raises
    ------
    InputError
        For teachers of another length, zero or repeated ones, an unknown activation, and outputs of
        the wrong number.

    Notes
    -----
    Units: ``t`` is the time of ``dw/dt = -grad L``, and the loss carries the factor 1/2, as that of
    :class:`flows.ReLUNeuron`. That is the case of one ReLU teacher and outputs one, which runs by
    its compiled code and has the claims of its paper.
    Any other run keeps up to 150 numbers with as many digits as it takes, and more in doubles;
    where these do not know the loss it is NaN. In more dimensions than there are neurons it stays
    in their span.
    Source: kernels of Cho & Saul 2009 and Williams 1997, derived anew (`popflow derive two_layer`).
    Accuracy: loss and gradient of a state are right to 1e-15, relative to the loss and to the
    length of the gradient; the Hessian to a few roundings of its largest entry.

    Examples
    --------
    >>> system = TwoLayer(students=2, teachers=2, activation="erf")
    >>> system.loss([[1.0, 0.0], [0.0, 1.0]])
    0.0
    """

    students: int
    teachers: Any
    d: int | None = None
    activation: str = "relu"
    output_weights: Any = None
    teacher_weights: Any = None
    train_outputs: bool = False
    doubles: bool = field(default=False, compare=False, repr=False)
    steps: tuple[float, float, bool, bool] = field(
        default=(0.0, 0.0, True, False), compare=False, repr=False
    )

    #: A run alone takes most of a second.
    many: ClassVar[int] = 48

    name: ClassVar[str] = "two_layer"
    title: ClassVar[str] = "Two layers"
    options: ClassVar[tuple[Option, ...]] = OPTIONS

    def __post_init__(self) -> None:
        """Check the parameters; arrays become tuples."""
        check_integer(self.students, "students")
        rows = teachers_of(self.teachers, self.d)
        check_shape((self.students, len(rows[0])))
        check_activation(self.activation)
        if not isinstance(self.train_outputs, (bool, np.bool_)):
            raise InputError(f"train_outputs must be true or false, got {self.train_outputs!r}")
        outputs = outputs_of(self.output_weights, self.students, "output_weights", "student")
        weights = outputs_of(self.teacher_weights, len(rows), "teacher_weights", "teacher")
        for name, value in (
            ("teachers", rows),
            ("d", len(rows[0])),
            ("output_weights", outputs),
            ("teacher_weights", weights),
            ("train_outputs", bool(self.train_outputs)),
        ):
            object.__setattr__(self, name, value)

    @classmethod
    def from_options(cls, options: Options, *, members: bool = False) -> tuple[Self, Array]:
        """System and start of ``students``, ``teachers``, ``d`` or ``initial``, and the outputs."""
        start = given_array(options, "initial", cls.start_axes(members))
        text = str(2 if options["teachers"] is None else options["teachers"])
        check_teachers(text)
        trained = bool(options["train_outputs"])
        asked = chosen(options, "d") if start is None else start.shape[-1] - trained
        teachers: Any = int(text) if text.isdecimal() else read_array(text, ("m", "d"))
        if start is None and options["d"] is None:
            # Room for all orthonormal teachers.
            asked = max(asked, teachers) if text.isdecimal() else teachers.shape[1]
        students = 3 if options["students"] is None else options["students"]
        if start is not None and options["students"] not in (None, start.shape[-2]):
            raise InputError(
                f"--students: expected {start.shape[-2]}, as many as the start has, got {students};"
                " leave it out"
            )
        system = cls(
            students=students if start is None else start.shape[-2],
            teachers=teachers,
            d=asked,
            activation=options["activation"] or "relu",
            output_weights=options["output_weights"],
            teacher_weights=options["teacher_weights"],
            train_outputs=trained,
        )
        return system, system.chosen_start(options) if start is None else start

    @classmethod
    def from_parameters(cls, parameters: dict[str, Any]) -> Self:
        """System of its :attr:`parameters`."""
        names = ("activation", "output_weights", "teacher_weights", "train_outputs")
        given = {name: parameters[name] for name in names}
        return cls(parameters["n"], parameters["teachers"], parameters["d"], **given)

    @property
    def parameters(self) -> dict[str, Any]:
        """Students `n`, teachers, `d`, activation and its degree, outputs, whether they move."""
        degree = named(self.activation).degree
        return {
            "n": int(self.students),
            "d": self._dimension,
            "teachers": [list(v) for v in self.teachers],
            "activation": self.activation,
            "output_weights": list(self.output_weights),
            "teacher_weights": list(self.teacher_weights),
            "train_outputs": self.train_outputs,
            "degree": 0 if degree is None else degree,
            "m": len(self.teachers),
            "is_orthonormal": int(self._orthonormal),
            "teacher_gap": self._gap,
            **({"teacher_norm": float(np.linalg.norm(self.teachers))} if self._neuron else {}),
        }

    @functools.cached_property
    def _orthonormal(self) -> bool:
        """Whether teachers are orthonormal, and all outputs fixed at one."""
        v = np.array(self.teachers)
        ones = {*self.output_weights, *self.teacher_weights} == {1.0}
        gram = np.abs(v @ v.T - np.eye(len(v))).max() < NEAR
        return bool(gram and ones and not self.train_outputs)

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

    # States of the user ------------------------------------------------------------------

    def initial(self, scale: float = 0.1, seed: int = 0) -> Array:
        """Random start, `w_i ~ N(0, scale^2 I_d)`; trained outputs begin as `output_weights`.

        Returns
        -------
        ndarray, shape (n, d), or (n, d + 1) with trained outputs

        Raises
        ------
        InputError
            For a scale that is negative or not finite, or a negative seed.
        """
        w = scale * seeded(scale, seed).normal(size=(self.students, self._dimension))
        return np.column_stack([w, self.output_weights]) if self.train_outputs else w

    def check_start(self, start: ArrayLike) -> Array:
        """Start as an array of shape (n, d), or (n, d + 1) with trained outputs."""
        if self._neuron is not None:
            return self._neuron.check_start(start)
        state = self._checked(start)
        neurons, outputs = state[:, : self._dimension], state[:, self._dimension :]
        if self._bent and not neurons.any(axis=1).all():
            raise InputError("start must have no student that is zero, where the loss has a kink")
        if self.train_outputs:
            degree = named(self.activation).degree
            check_signs(neurons, outputs[:, 0], self.teacher_weights, degree)
        return state

    def _checked(self, state: ArrayLike) -> Array:
        shape = (self.students, self._dimension + self.train_outputs)
        array = checked(state, shape, "start")
        if np.abs(array).max() > LARGEST:
            raise InputError(f"start must stay below {LARGEST:g}, or its powers overflow")
        return array

    @property
    def _bent(self) -> bool:
        return kernel_of(self.activation, "numpy").bent

    def flat(self, state: Array) -> Array:
        """State as a vector: the neurons one after the other, then trained outputs."""
        d = self._dimension
        parts = [state[..., :d].reshape(*state.shape[:-2], -1)]
        return np.concatenate([*parts, *([state[..., d]] if self.train_outputs else [])], axis=-1)

    def network(self, basis: Array | None = None) -> Network:
        """Network in the coordinates of a basis, the user's own by default."""
        axes = np.eye(self._dimension)[..., None] if basis is None else basis
        return Network(
            self.students,
            teachers_in(axes, self.teachers),
            self.teacher_weights,
            () if self.train_outputs else self.output_weights,
            self.activation,
        )

    def loss(self, state: ArrayLike) -> float:
        """Loss (with its factor 1/2) of a state; 0 where 1700 bits do not tell it from zero."""
        return values.loss(self.network(), self._checked(state))

    def gradient(self, state: ArrayLike) -> Array:
        """Gradient of the loss, of the state's shape.

        Raises
        ------
        InputError
            For a student that is zero, where an activation with a kink has no gradient.
        """
        return values.gradient(self.network(), self._smooth(state, "gradient"))

    def hessian(self, state: ArrayLike) -> Array:
        """Hessian of the loss, shape (N, N), rows in the order of ``state.ravel()``.

        Raises
        ------
        InputError
            For a student that is zero, where an activation with a kink has no Hessian.
        """
        return values.hessian(self.network(), self._smooth(state, "Hessian"))

    def _smooth(self, state: ArrayLike, what: str) -> Array:
        """State with no student at a kink."""
        array = self._checked(state)
        if self._bent and not array[:, : self._dimension].any(axis=1).all():
            raise InputError(f"the loss has no {what} where a student is zero; move it")
        return array

    # Runs: by one of two ways, see :mod:`span_run` and :mod:`one_teacher` --------------------

    @functools.cached_property
    def _way(self) -> SpanRun | OneTeacher:
        """The compiled flow of one ReLU teacher, or the span of teachers and start."""
        network = self.network()
        if is_one_neuron(network):
            return OneTeacher(network)
        return SpanRun(network, self.doubles, self.steps)

    @property
    def _neuron(self) -> ReLUNeuron | None:
        """The case of one ReLU teacher and outputs one, whose flow this is."""
        return self._way.neuron if isinstance(self._way, OneTeacher) else None

    @property
    def statements(self) -> Statements:
        """Potentials and claims; of one ReLU teacher those of its paper as well."""
        return self._way.statements

    @property
    def containers(self) -> tuple[type, type]:  # type: ignore[override]
        """Types of the frame and of the states."""
        return self._way.containers

    @property
    def lanes(self) -> Lanes | None:  # type: ignore[override]
        """Fields of many members at once, of one ReLU teacher."""
        return self._way.lanes

    def axis_codes(self) -> tuple[Code, Code, Code] | None:
        """Programs of a network of few entries that is not followed as a neuron."""
        return self._way.axis_codes() if isinstance(self._way, SpanRun) else None

    def axis_terms(self, rtol: float, step: float) -> AxisTerms:
        """As in charts of a run alone."""
        return axis_terms(rtol, step)

    def axis_start(self, start: Array) -> Array:
        """Neurons one after the other, then trained outputs."""
        return self.flat(start)

    def along_axes(
        self, digits: Array, error: Array, since: Array, numbers: Array
    ) -> tuple[Frame, SoundState]:
        """Frame and states, seen in balls where two doubles do not tell what is observed."""
        assert isinstance(self._way, SpanRun)
        return self._way.along_axes(digits, error, since, numbers)

    @property
    def certified(self) -> tuple[str, dict[str, Any]] | str:
        """Why there are no certificates of runs."""
        if self._neuron is None:
            return f"{self.name} has no certificates"
        return "two_layer has no certificates; this one is flows.ReLUNeuron(n, d, teacher)"

    def jax_field(self) -> JaxField | None:
        """Raw field in JAX, of one ReLU teacher."""
        return self._neuron.jax_field() if self._neuron else None

    def differentiable(self, frame: Any, state: Any) -> DifferentiableFlow | None:
        """Run to be differentiated by its start, of one ReLU teacher."""
        return self._neuron.differentiable(frame, state) if self._neuron else None

    def at_tolerance(self, rtol: float, atol: float, damped: bool, multistep: bool = False) -> Self:
        """Know what steps leave."""
        return replace(self, steps=(rtol, atol, damped, multistep))

    def in_doubles(self) -> Self:
        """Return the system with states that are doubles."""
        return replace(self, doubles=True)

    def reduce(self, start: Array) -> tuple[Any, Any]:
        """Frame and sound state."""
        return self._way.reduce(start)

    def restore(self, frame: Any, state: Any) -> Array:
        """User's parameters, shape (..., n, d), or (..., n, d + 1) with trained outputs."""
        return self._way.restore(frame, state)

    def begin(self, frame: Any, state: Any) -> Restart:
        """First state; a neuron of the case of one teacher may begin at zero."""
        return self._way.begin(frame, state)

    def piece(self, frame: Any, state: Any, time: float) -> Piece:
        """Smooth piece that begins with this state."""
        return self._way.piece(frame, state, time)

    def exact_flow(self, frame: Any, state: Any, digits: int) -> Smooth:
        """Flow with ``digits`` digits."""
        return self._way.exact_flow(frame, state, digits)

    def spectrum(self, frame: Any, state: Any) -> tuple[Array, Array]:
        """Eigenvalues of the Hessian in the span of the run, and off it: see :mod:`spectrum`."""
        return self._way.spectrum(frame, state)

    @property
    def costly(self) -> Mapping[str, Callable[[Any, Any], Array]]:
        """Least eigenvalue of the Hessian in all dimensions, and its error."""
        return self._way.costly

    def features(self, frame: Any, states: Any) -> dict[str, Array]:
        """What students and teachers have: see :mod:`features`."""
        return self._way.features(frame, states)

    def errors(
        self, states: Any, features: dict[str, Array], t: Array, tolerance: Array
    ) -> dict[str, Array]:
        """Absolute errors beside the tolerance."""
        return self._way.errors(states, features, t, tolerance)

    def remark(self, frame: Any, states: Any, t: Array) -> str:
        """Say from when on something is not known."""
        return self._way.remark(frame, states, t)

    @property
    def _low(self) -> float:
        """Far below each spurious minimum of orthonormal ReLU teachers that is known; else zero.

        Times the number of teachers these are 0.15 for six of them, and about 0.3 for many.
        """
        enough = self.students >= len(self.teachers) and self.activation == "relu"
        return LOW / len(self.teachers) if enough and self._orthonormal else 0.0

    def excess(self, frame: Any, states: Any, t: Array, loss: Array) -> Excess:
        """Loss above that of the limit point of the run; see :meth:`SpanRun.vanishes`."""
        if isinstance(self._way, SpanRun) and self._way.vanishes(states, t, loss, self._low):
            return self._way.above_zero(frame, states, t, loss)
        return self._way.excess(frame, states, t, loss)

    # Late times ----------------------------------------------------------------------------

    @property
    def _taught(self) -> Taught:
        return Taught(self.activation, self.teachers, self.teacher_weights, self.train_outputs)

    def _split(self, state: Array) -> tuple[Array, Array]:
        """Students and outputs of states, shapes (..., n, d) and (..., n)."""
        d = self._dimension
        fixed = np.broadcast_to(np.array(self.output_weights), state.shape[:-1])
        return state[..., :d], state[..., d] if self.train_outputs else fixed

    def minimiser(self, at: Any = None) -> Minimiser:
        """Students that make the teachers up; as many as teachers need no telling."""
        if self._neuron is not None:
            return self._neuron.minimiser(at)
        if at is None:
            same = self.students == len(self.teachers)
            if not same or self.output_weights != self.teacher_weights:
                raise InputError(
                    "at: expected students that make the teachers up, got none; give them"
                    " (--at FILE), since the law depends on their shares"
                )
            rows, outputs = np.array(self.teachers), np.array(self.output_weights)
            at = np.column_stack([rows, outputs]) if self.train_outputs else rows
        where = self._checked(at)
        return minimiser(self._taught, *self._split(where), where)

    def approach(self, frame: Any, state: Any, t: float) -> Approach:
        """Limit of a run: with a kink, students in their shares of the teachers."""
        if isinstance(self._way, OneTeacher):
            return self._way.neuron.approach(frame, state, t)
        user = self.restore(frame, state)
        w, a = self._split(user)
        if self._bent:
            where = user.copy()
            where[:, : self._dimension] = shared(self._taught, w, a)
            return Approach(where, self.flat(user - where))
        point = minimiser(self._taught, w, a, user).point
        assert point is not None
        return self._way.arrival(frame, state, t, point)
