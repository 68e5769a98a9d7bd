r"""One ReLU neuron learnt by a sum of ReLU neurons, as a gradient flow.

.. math:: L(w) = \tfrac12 E (\sum_i \mathrm{relu}(w_i \cdot x) - \mathrm{relu}(v \cdot x))^2,
          \qquad x \sim N(0, I_d), \qquad \dot w = -\nabla L(w)
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, ClassVar, Self

import numpy as np
from numpy.typing import ArrayLike

from flows.core.arrays import Array, check_integer, check_shape, checked
from flows.core.chart import Lanes
from flows.core.errors import InputError
from flows.core.options import Option, Options
from flows.core.piece import Restart
from flows.core.starts import given_array, seeded, vector_sizes
from flows.core.system import DifferentiableFlow, JaxField, Smooth, System
from flows.systems.relu_neuron import geometry, pieces
from flows.systems.relu_neuron.curvature import curvature
from flows.systems.relu_neuron.definition import LANES
from flows.systems.relu_neuron.features import errors, features
from flows.systems.relu_neuron.growth import ALLOWED, PASSING, growth, later_errors
from flows.systems.relu_neuron.options import OPTIONS
from flows.systems.relu_neuron.pieces import NeuronPiece
from flows.systems.relu_neuron.state import Frame, SoundState
from flows.systems.relu_neuron.variation import APART

if TYPE_CHECKING:
    from flows.core.minimiser import Approach, Minimiser
    from flows.systems.hidden_layer.network import Network
    from flows.systems.hidden_layer.values import Values
    from flows.systems.relu_neuron.enclosed_field import SpanFlow
    from symbolic.language.blocks import Block

# Squares of sizes stay doubles, and so do losses at any time that is run.
SMALLEST = 1e-140
SMALLEST_TEACHER, LARGEST_TEACHER = 1e-100, 1e100


@dataclass(frozen=True)
class ReLUNeuron(System):
    r"""Gradient flow of ``n`` ReLU neurons towards one teacher neuron ``v`` in ``R^d``.

    .. math:: L(w) = \tfrac14 |r|^2 + \tfrac12 \sum_{jl} \mu_j \mu_l
              \frac{|w_j||w_l|}{2\pi} (\sin\theta_{jl} - \theta_{jl}\cos\theta_{jl}),
              \qquad r = \sum_i w_i - v

    where the sums run over neurons (``mu = 1``) and teacher (``mu = -1``).

    Parameters
    ----------
    n : int
        Number of neurons.
    d : int
        Dimension.
    teacher : array_like, shape (d,), optional
        The teacher ``v``, not zero; ``e_1`` by default.

    Raises
    ------
    InputError
        For ``n`` or ``d`` that are not positive integers, and for a teacher that is not a finite
        non-zero vector of length ``d``.

    Notes
    -----
    Units: ``t`` is the time of ``dw/dt = -grad L``; gradient descent with step ``eta`` reaches
    ``t = eta * steps``. The loss carries the factor 1/2.
    Source: Xu & Du, COLT 2023, arXiv 2302.10034.
    Accuracy: loss and gradient are right to 1e-12 relative at any state that doubles can hold.

    Examples
    --------
    >>> system = ReLUNeuron(n=2, d=3)
    >>> system.loss([[0.5, 0.0, 0.0], [0.5, 0.0, 0.0]])
    0.0
    """

    n: int
    d: int
    teacher: Any = None

    name: ClassVar[str] = "relu_neuron"
    title: ClassVar[str] = "One ReLU neuron"
    options: ClassVar[tuple[Option, ...]] = OPTIONS
    lanes: ClassVar[Lanes] = LANES
    stacks: ClassVar[bool] = True
    max_output_ratio: ClassVar[float] = APART
    containers: ClassVar[tuple[type, type]] = (Frame, SoundState)
    stated: ClassVar[tuple[str, ...]] = ("n", "d", "teacher")

    def __post_init__(self) -> None:
        """Check the parameters; the teacher becomes a tuple."""
        check_integer(self.n, "n")
        check_integer(self.d, "d")
        check_shape((self.n, self.d))
        teacher: ArrayLike = np.eye(1, self.d)[0] if self.teacher is None else self.teacher
        v = _vectors(teacher, (self.d,), "teacher")
        if not v.any():
            raise InputError("teacher must not be the zero vector; give a vector v with |v| > 0")
        size = float(np.abs(v).max())
        if not SMALLEST_TEACHER <= size <= LARGEST_TEACHER:
            raise InputError(
                f"teacher must have its largest entry in [{SMALLEST_TEACHER:g},"
                f" {LARGEST_TEACHER:g}], where losses are doubles, got {size:g}"
            )
        object.__setattr__(self, "teacher", tuple(float(x) for x in v))

    @classmethod
    def from_options(cls, options: Options, *, members: bool = False) -> tuple[Self, Array]:
        """System and start of ``n``, ``d`` or ``initial``, and of ``teacher``."""
        initial = given_array(options, "initial", cls.start_axes(members))
        teacher = given_array(options, "teacher", ("d",))
        why = "as many as a neuron has"
        n, d = vector_sizes(options, initial, teacher, along="d", flag="--teacher", why=why)
        system = cls(n=n, d=d, teacher=teacher)
        return system, system.chosen_start(options) if initial is None else initial

    @classmethod
    def from_parameters(cls, parameters: dict[str, Any]) -> Self:
        """System of ``n``, ``d`` and ``teacher``."""
        return cls(parameters["n"], parameters["d"], parameters["teacher"])

    @property
    def formula(self) -> tuple[Sequence[Block], Any]:
        """Neurons `w`, and the average over inputs."""
        from symbolic.systems.averages import neurons_loss

        return neurons_loss(self.n, self.teacher)

    @property
    def parameters(self) -> dict[str, Any]:
        """``n``, ``d``, ``teacher`` and ``teacher_norm``."""
        return {
            "n": int(self.n),
            "d": int(self.d),
            "teacher": list(self.teacher),
            "teacher_norm": float(np.linalg.norm(self.teacher)),
        }

    def initial(self, scale: float = 0.1, seed: int = 0) -> Array:
        """Random start ``w_i ~ N(0, scale^2 I_d)``, shape (n, d), of the paper's law.

        Parameters
        ----------
        scale : float
            Standard deviation ``sigma`` of each entry, non-negative.
        seed : int
            Seed; the same seed gives the same start.

        Raises
        ------
        InputError
            For a scale that is negative or not finite, or a negative seed.
        """
        return scale * seeded(scale, seed).normal(size=(self.n, self.d))

    def check_start(self, start: ArrayLike) -> Array:
        """Start as an array of shape (n, d), or an :class:`InputError`."""
        neurons = _vectors(start, (self.n, self.d), "start")
        size = np.abs(neurons).max(axis=1)
        if ((size > 0) & (size < SMALLEST)).any():
            raise InputError(
                f"start must have neurons that are zero or have an entry of {SMALLEST:g} at least,"
                f" or their squares underflow; got {size[size > 0].min():g}"
            )
        return neurons

    def reduce(self, start: Array) -> tuple[Frame, SoundState]:
        """Frame and sound state of the user's neurons."""
        return geometry.reduce(start, np.array(self.teacher))

    def restore(self, frame: Frame, state: SoundState) -> Array:
        """User's neurons, shape (..., n, d)."""
        return geometry.restore(frame, state)

    @property
    def costly(self) -> Mapping[str, Callable[[Any, Any], Array]]:
        """See :func:`flows.systems.relu_neuron.curvature.curvature`."""
        return {"curvature": curvature}

    def features(self, frame: Frame, states: SoundState) -> dict[str, Array]:
        """See :func:`flows.systems.relu_neuron.features.features`."""
        return features(frame, states)

    def batch_key(self, frame: Frame, states: SoundState) -> Any:
        """Key of runs with as many neurons and dimensions, in which the same neurons coincide."""
        return states.z.shape[1:], frame.multiplicity.tobytes(), frame.member.tobytes()

    def errors(
        self, states: SoundState, features: dict[str, Array], t: Array, tolerance: Array
    ) -> dict[str, Array]:
        """See :func:`flows.systems.relu_neuron.features.errors`."""
        return errors(int(self.n), features, t, tolerance)

    def magnification(
        self, frame: Frame, states: SoundState, features: Mapping[str, Array], t: Array, rtol: float
    ) -> Array:
        """By how much errors grow beside the loss: :mod:`flows.systems.relu_neuron.growth`."""
        known = growth(frame, states, features["loss"] / frame.unit**2, t, rtol)
        return np.maximum(0.0, ALLOWED * known - 1.0)

    @property
    def later_names(self) -> tuple[str, ...]:
        """Parts of neurons, which may pass by zero."""
        return PASSING

    later_errors = staticmethod(later_errors)

    # The pieces of a run -----------------------------------------------------------------

    def begin(self, frame: Frame, state: SoundState) -> Restart:
        """Let neurons that start at zero leave along the steepest descent, where there is one."""
        return pieces.begin(self.d, frame, state)

    def piece(self, frame: Frame, state: SoundState, time: float) -> NeuronPiece:
        """Choose coordinates and clock for the piece that begins with ``state``."""
        return pieces.piece(self.d, frame, state, time)

    def exact_flow(self, frame: Frame, state: SoundState, digits: int) -> Smooth:
        """Flow in plain coordinates with ``digits`` digits, from the reduced start."""
        from mpmath import mp

        from flows.systems.relu_neuron import exact

        q, mu = state.r.shape[0], frame.multiplicity
        field, jacobian = exact.flow(mu.tolist(), q, digits)

        def decode(x: list[Any]) -> SoundState:
            with mp.workdps(digits):
                residual = [mp.fdot(mu.tolist(), x[a::q]) - (a == 0) for a in range(q)]
            rows = np.array(x, dtype=float).reshape(-1, q)
            return SoundState(rows[:, 0], rows[:, 1:], np.array(residual, dtype=float))

        x0 = state.neurons.ravel().tolist()
        return Smooth(field, jacobian, x0, decode, exact.crossings(q))

    def jax_field(self) -> JaxField:
        """Raw field in JAX of a chart."""
        from flows.systems.relu_neuron import differentiable

        return differentiable.raw_field

    def differentiable(self, frame: Frame, state: SoundState) -> DifferentiableFlow:
        """Run from one state in the residual chart, to be differentiated by its start."""
        from flows.systems.relu_neuron.differentiable import differentiable

        return differentiable(frame, state)

    def ball_flow(self, start: Array) -> SpanFlow:
        """Flow in the span of teacher and start, in ball arithmetic."""
        from flows.systems.relu_neuron.enclosed_field import SpanFlow

        return SpanFlow.of(start.tolist(), self.teacher)

    def minimiser(self, at: Any = None) -> Minimiser:
        """Neurons along the teacher that sum to it; a single one needs no telling."""
        from flows.systems.relu_neuron.late_time import minimiser

        if at is None and self.n > 1:
            raise InputError(
                f"at: expected {self.n} neurons along the teacher that sum to it, got none; give"
                " them (--at FILE), since the law depends on their shares"
            )
        where = np.array([self.teacher]) if at is None else _vectors(at, (self.n, self.d), "at")
        return minimiser(np.array(self.teacher), where)

    @property
    def least_failure(self) -> float:
        """Loss `|v|^2/4` of neurons that are zero, the critical point that is no minimiser."""
        return float(np.sum(np.square(self.teacher))) / 4

    def approach(self, frame: Frame, state: SoundState, t: float) -> Approach:
        """Shares of the teacher, and transverse parts."""
        from flows.systems.relu_neuron.late_time import approach

        return approach(np.array(self.teacher), frame, state, self.restore(frame, state))

    # Functions of a user's state ---------------------------------------------------------

    @property
    def network(self) -> Network:
        """Hidden layer with one teacher, of which this is the loss."""
        from flows.systems.hidden_layer.network import Network

        n, v = int(self.n), tuple((float(x),) for x in self.teacher)
        return Network(n, (v,), (1.0,), (1.0,) * n, "relu")

    @property
    def _values(self) -> Values:
        """Loss and derivatives of states, of that layer."""
        from flows.systems.hidden_layer.values import Values

        return Values(self.network)

    def loss(self, state: ArrayLike) -> float:
        """Population loss ``L`` (with its factor 1/2) of neurons ``state``, shape (n, d).

        Accuracy: 1e-14 relative at any state, by as many digits as it takes.
        """
        return self._values.loss(self.check_start(state))

    def gradient(self, state: ArrayLike) -> Array:
        """Gradient of the loss, shape (n, d); zero for a neuron at zero (minimal choice).

        Accuracy: 1e-14 relative to the norm of the gradient, at any state.
        """
        return self._values.gradient(self.check_start(state))

    def hessian(self, state: ArrayLike) -> Array:
        """Hessian of the loss, shape (n d, n d), rows in the order of ``state.ravel()``.

        Raises
        ------
        InputError
            If a neuron is at zero, where the loss has no second derivative.
        """
        start = self.check_start(state)
        if not np.linalg.norm(start, axis=1).all():
            raise InputError("the loss has no Hessian where a neuron is zero")
        return self._values.hessian(start)


def _vectors(values: ArrayLike, shape: tuple[int, ...], label: str) -> Array:
    """Array of this shape whose squares are doubles, or one clear line."""
    array = checked(values, shape, label)
    if np.abs(array).max() > 1e150:
        raise InputError(f"{label} must stay below 1e150, or its square overflows")
    return array
