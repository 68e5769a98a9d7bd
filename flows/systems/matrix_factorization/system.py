r"""Factorisation of a matrix into a chain of layers, as a gradient flow.

.. math:: L = \tfrac12 |\Sigma - W_N \cdots W_1|_F^2
          + \tfrac{a}{4} \sum_{j=1}^{N-1} |W_j W_j^H - W_{j+1}^H W_{j+1}|_F^2,
          \qquad \dot W_j = -\nabla_j L
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, ClassVar, Self

import numpy as np
from numpy.typing import ArrayLike, NDArray

from flows.core.arrays import Array, check_integer, check_shape, checked, unplain
from flows.core.chart import Chart, Lanes, plainly
from flows.core.errors import InputError
from flows.core.options import Options, chosen
from flows.core.piece import Restart
from flows.core.starts import seeded
from flows.core.system import JaxField, Smooth
from flows.core.together import evaluated_together
from flows.systems.matrix_factorization import chains
from flows.systems.matrix_factorization.definition import Defined, singular_values
from flows.systems.matrix_factorization.errors import errors, growth
from flows.systems.matrix_factorization.features import (
    SPECTRA,
    loss_errors,
    monitors,
    spectra,
    start_rounding,
    unknown_at,
)
from flows.systems.matrix_factorization.field import LANES, define, make_layers, sizes
from flows.systems.matrix_factorization.options import matrices
from flows.systems.matrix_factorization.pieces import RANK, ChainPiece, piece
from flows.systems.matrix_factorization.starts import balanced_layers, gaussian_layers
from flows.systems.matrix_factorization.state import Frame, SoundState, of_layers

if TYPE_CHECKING:
    from flows.core.minimiser import Approach, Minimiser
    from flows.systems.matrix_factorization.enclosed_field import ChainFlow

FIELDS = ("real", "complex")
LARGEST = 1e30  # of an entry: the loss is of degree 2 N in the layers
DEEPEST = 30
FEATURES = 16  # arrays of the size of a state from which its features are made


@dataclass(frozen=True)
class MatrixFactorization(Defined):
    r"""Gradient flow of `N` matrices in `F^{d x d}` whose product is fitted to a target.

    .. math:: L = \tfrac12 |\Sigma - W_N \cdots W_1|_F^2 + \tfrac{a}{4} \sum_j |\Delta_{j,j+1}|_F^2,
              \qquad \Delta_{j,j+1} = W_j W_j^H - W_{j+1}^H W_{j+1}

    Parameters
    ----------
    d : int
        Size of the matrices.
    field : {"real", "complex"}
        The numbers `F`.
    regularization : float
        The strength `a >= 0` of the balancing term.
    target : array_like, shape (d, d), optional
        `Sigma`, of any singular values; the identity by default.
    depth : int
        Number `N >= 2` of layers.

    Raises
    ------
    InputError
        For sizes that are not positive integers, an unknown field, a negative strength, and a
        target of another shape or field.

    Notes
    -----
    Units: `t` is the time of `dW/dt = -grad L`, with the gradient `d/dRe + i d/dIm` for complex
    layers; `L_ori` carries the factor 1/2, `L_reg` the factor a/4.
    Source: Luo, Xu, Gao, Fazel & Du, arXiv 2511.09925, section 2.
    Accuracy: along a run both parts of the loss keep their relative accuracy down to 1e-290, and
    the features `loss_fit_error`, `loss_balance_error` and `loss_error` are their rounding;
    `loss` of a given state has the rounding of `Sigma - W`.

    Examples
    --------
    >>> system = MatrixFactorization(d=2)
    >>> system.loss(np.stack([np.eye(2)] * 4))
    0.0
    """

    d: int = 3
    field: str = "real"
    regularization: float = 5.0
    target: Any = None
    depth: int = 4

    linear_charts: ClassVar[bool] = False
    containers: ClassVar[tuple[type, type]] = (Frame, SoundState)
    lanes: ClassVar[Lanes] = LANES
    # Conserved quantities drift by ten times the tolerance of a step.
    max_output_ratio: ClassVar[float] = 1.5
    auto: ClassVar[tuple[tuple[str, float], ...]] = (
        ("Rodas5P", 1.0),
        ("CVODE", 0.03),
        ("BDF", 1.0),
    )

    def __post_init__(self) -> None:
        """Check the parameters; the target becomes a tuple of tuples."""
        check_integer(self.d, "d")
        check_integer(self.depth, "depth", 2)
        if self.depth > DEEPEST:
            raise InputError(f"depth must be at most {DEEPEST}, got {self.depth}")
        check_shape((self.depth, self.d, self.d))
        if self.field not in FIELDS:
            raise InputError(f"field must be one of {', '.join(FIELDS)}, got {self.field!r}")
        a = self.regularization
        if (
            isinstance(a, bool)
            or not isinstance(a, (int, float, np.number))
            or not (np.isfinite(a) and a >= 0)
        ):
            raise InputError(f"regularization must be a finite number >= 0, got {a!r}")
        given = np.eye(self.d) if self.target is None else self.target
        target = self._checked(given, (self.d, self.d), "target")
        object.__setattr__(self, "regularization", float(a))
        object.__setattr__(self, "target", tuple(tuple(row) for row in target.tolist()))

    @classmethod
    def from_options(cls, options: Options, *, members: bool = False) -> tuple[Self, NDArray[Any]]:
        """System and start of ``d`` and ``depth`` or ``initial``, and of the own options."""
        initial = matrices(options, "initial", cls.start_axes(members))
        target = matrices(options, "target", ("d", "d"))
        names = ("field", "regularization", "depth")
        given = {name: options[name] for name in names if options[name] is not None}
        if initial is not None:
            given.setdefault("depth", initial.shape[-3])
            d = initial.shape[-2]
        elif target is not None and options["d"] is None:
            d = len(target)
        else:
            d = chosen(options, "d")
        if target is not None and target.shape != (d, d):
            raise InputError(
                f"--target: expected shape ({d}, {d}), as the layers have, got {target.shape}"
            )
        system = cls(d=d, target=target, **given)
        return system, system.chosen_start(options) if initial is None else initial

    @classmethod
    def from_parameters(cls, parameters: dict[str, Any]) -> Self:
        """System of ``d``, ``field``, ``regularization``, ``target`` and ``depth``."""
        names, target = ("d", "field", "regularization", "depth"), unplain(parameters["target"])
        return cls(target=target, **{name: parameters[name] for name in names})

    def initial(self, scale: float = 0.1, seed: int = 0, balanced: bool = False) -> NDArray[Any]:
        """Random start: independent Gaussian entries times ``scale``, or its balanced law.

        Parameters
        ----------
        scale : float
            Standard deviation of an entry, non-negative; real and imaginary parts of a complex
            entry share the variance equally.
        seed : int
            Seed; the same seed gives the same start.
        balanced : bool
            All defects are zero, and each layer by itself is still Gaussian.

        Returns
        -------
        ndarray, shape (depth, d, d)
            The start.

        Raises
        ------
        InputError
            For a scale that is negative or not finite, or a negative seed.
        """
        law = balanced_layers if balanced else gaussian_layers
        return law(seeded(scale, seed), scale, self.depth, self.d, self._complex)

    def check_start(self, start: ArrayLike) -> NDArray[Any]:
        """Start as an array of shape (depth, d, d), or an :class:`InputError`."""
        return self._checked(start, (self.depth, self.d, self.d), "start")

    def _checked(self, values: ArrayLike, shape: tuple[int, ...], label: str) -> NDArray[Any]:
        array = checked(values, shape, label, complex_numbers=True)
        if not self._complex:
            if np.iscomplexobj(values):
                raise InputError(
                    f"{label} is complex, but the field is real; choose field='complex'"
                )
            array = np.ascontiguousarray(array.real)
        if np.abs(array).max() ** self.depth > LARGEST:
            raise InputError(
                f"{label} must stay below {LARGEST ** (1 / self.depth):.3g}, or the loss overflows"
            )
        return array

    # Sound coordinates -------------------------------------------------------------------

    def reduce(self, start: NDArray[Any]) -> tuple[Frame, SoundState]:
        """Turn the target diagonal; residual and defects become variables of their own."""
        target = self._target
        left = right = np.eye(self.d, dtype=target.dtype)
        diagonal = np.diagonal(target)
        if (target != np.diag(np.abs(diagonal))).any():
            left, diagonal, right_h = np.linalg.svd(target)
            right = chains.adjoint(right_h)
        layers = start.copy()
        layers[0] = layers[0] @ right
        layers[-1] = chains.adjoint(left) @ layers[-1]
        point = of_layers(layers, diagonal)
        values = np.abs(diagonal)
        rounding = start_rounding(layers, values) * np.exp(point.decay)
        return Frame(_reals(left), _reals(right), values, rounding), SoundState(chains.pack(point))

    def restore(self, frame: Frame, state: SoundState) -> NDArray[Any]:
        """User's layers, shape (..., depth, d, d)."""
        layers = np.array(chains.unpack(state.x, self._shape).layers)
        layers[..., 0, :, :] = layers[..., 0, :, :] @ chains.adjoint(self._numbers(frame.right))
        layers[..., -1, :, :] = self._numbers(frame.left) @ layers[..., -1, :, :]
        return layers

    def _numbers(self, reals: Array) -> NDArray[Any]:
        return np.ascontiguousarray(reals).view(complex) if self._complex else reals

    def features(self, frame: Frame, states: SoundState) -> dict[str, Array]:
        """See `monitors` and `loss_errors` in `features.py`."""
        point = chains.unpack(states.x, self._shape)
        found = {
            **monitors(point, self.regularization),
            **loss_errors(point, self.regularization, frame.rounding),
        }
        lost = self._lost(point, lambda: self._spectra(frame, point))
        return found if lost is None else {k: unknown_at(x, lost) for k, x in found.items()}

    def feature_size(self, unknowns: int) -> int:
        """All arrays together: each is as large as a state, and few of them fit into a cache."""
        return FEATURES * unknowns

    @property
    def costly(self) -> dict[str, Callable[[Frame, SoundState], Array]]:
        """See `spectra` in `features.py`: decompositions, the same for all of them."""

        def of_states(frame: Frame, states: SoundState) -> dict[str, Array]:
            point = chains.unpack(states.x, self._shape)
            values = self._spectra(frame, point)
            lost = self._lost(point, lambda: values)
            return values if lost is None else {k: unknown_at(x, lost) for k, x in values.items()}

        return evaluated_together(SPECTRA, of_states)

    def _spectra(self, frame: Frame, point: chains.Point) -> dict[str, Array]:
        # The determinant is the user's, whose layers are turned.
        turn = np.linalg.det(self._numbers(frame.left) @ chains.adjoint(self._numbers(frame.right)))
        return spectra(point, self.regularization, frame.values, turn)

    def _lost(
        self, point: chains.Point, values: Callable[[], dict[str, Array]]
    ) -> NDArray[np.bool_] | None:
        """Times at which nobody knows where the flow is, or None.

        Balanced real layers keep the sign of `det W`: rounding took a run off its saddle.
        """
        if self._complex or point.defects.any():
            return None
        orientation = values()["orientation"]
        lost = np.logical_or.accumulate(orientation * orientation[:1] < 0)
        return lost if lost.any() else None

    def errors(
        self, states: SoundState, features: dict[str, Array], t: Array, tolerance: Array
    ) -> dict[str, Array]:
        """Rounding of the losses, and what errors of the layers do to everything else."""
        rounding = super().errors(states, features, t, tolerance)
        target = np.array(singular_values(self.target, self._complex))
        depth, strength = int(self.depth), self.regularization
        return errors(depth, strength, target, rounding, states, features, t, tolerance)

    def magnification(
        self, frame: Frame, states: SoundState, features: Mapping[str, Array], t: Array, rtol: float
    ) -> Array:
        """By how much errors of steps grow beside a saddle that is passed by."""
        return growth(features["fit_speed"], features["residual"], t, frame.values, int(self.depth))

    # The pieces of a run -----------------------------------------------------------------

    def begin(self, frame: Frame, state: SoundState) -> Restart:
        """Nothing is degenerate: a chain at zero stays there."""
        return Restart(frame, state, 0.0)

    def piece(self, frame: Frame, state: SoundState, time: float) -> ChainPiece:
        """Piece in log-time until residual or defects leave the range of doubles, or a decade."""
        return piece(self._shape, self.regularization, frame, state, time)

    def exact_flow(self, frame: Frame, state: SoundState, digits: int) -> Smooth:
        """Flow of the layers alone with ``digits`` digits."""
        from flows.systems.matrix_factorization.exact import smooth

        diagonal = np.diag(frame.values).astype(self._target.dtype)
        return smooth(self._shape, self._weights(diagonal), state, digits)

    def _weights(self, target: NDArray[Any]) -> Array:
        """Constants of the flow of the layers alone."""
        return np.concatenate([[self.regularization], _reals(target).ravel()])

    def jax_field(self) -> JaxField:
        """Raw field in JAX of a chart."""
        from flows.arithmetic.arrays import field_of

        def of_chart(chart: Chart) -> tuple[Any, Any]:
            return field_of(define, sizes, tuple(chart.shape.tolist())), chart.weights

        return of_chart

    def ball_flow(self, start: NDArray[Any]) -> ChainFlow:
        """Flow of the layers themselves in ball arithmetic."""
        from flows.systems.matrix_factorization.enclosed_field import ChainFlow

        return ChainFlow.of(self, start)

    def minimiser(self, at: ArrayLike | None = None) -> Minimiser:
        """Layers whose product is the target, or others at which the gradient vanishes."""
        from flows.systems.matrix_factorization.late_time import balanced, minimiser

        if at is None:
            where = balanced(self._target, self.depth)
        else:
            where = self._checked(at, (self.depth, self.d, self.d), "at")
        return minimiser(where, self._target, self.regularization, self._complex)

    def approach(self, frame: Frame, state: SoundState, t: float) -> Approach:
        """The layers themselves where the run converges exponentially, else their limit."""
        from flows.systems.matrix_factorization.late_time import FAILS, approach

        where = self.restore(frame, state)
        fails = self.loss(where) > FAILS * float(np.sum(np.abs(self._target) ** 2))
        return approach(where, self._target, self.regularization, fails, t)

    @property
    def least_failure(self) -> float:
        """Half the square of the smallest singular value of the target that is not zero.

        A chain whose layers do not multiply to the target ends where the squares of some of its
        singular values, halved, are left.
        """
        values = singular_values(self.target, self._complex)
        return min((s**2 / 2 for s in values if s > RANK * values[0]), default=math.inf)

    # Functions of a user's state ---------------------------------------------------------

    def _point(self, state: ArrayLike) -> chains.Point:
        """Layers with residual and defects as they are, in the user's basis."""
        layers = self.check_start(state)
        residual = self._target - chains.chain(layers)
        return chains.Point(layers, residual, chains.defects(layers), np.zeros(2))

    def loss(self, state: ArrayLike) -> float:
        """Loss `L_ori + L_reg` of layers ``state``, shape (depth, d, d).

        Accuracy: that of `Sigma - W` and of the defects in doubles.
        """
        point = self._point(state)
        return float(
            chains.square(point.residual) / 2
            + self.regularization / 4 * chains.square(point.defects, 3)
        )

    def gradient(self, state: ArrayLike) -> NDArray[Any]:
        """Gradient of the loss, shape (depth, d, d); `d/dRe + i d/dIm` for complex layers."""
        point = self._point(state)
        ascent = chains.balance_ascent(point.layers, point.defects)
        return self.regularization * ascent - chains.fit_descent(point.layers, point.residual)

    def hessian(self, state: ArrayLike) -> Array:
        """Hessian of the loss by the real numbers of ``state.ravel().view(float)``.

        Returns
        -------
        ndarray, shape (M, M)
            `M` is `depth d^2` for real layers; twice that for complex ones, where the real and the
            imaginary part of an entry follow each other.
        """
        layers, weights = _reals(self.check_start(state)), self._weights(self._target)
        return -plainly(make_layers, layers.ravel(), weights, self._shape)[1]


def _reals(matrix: NDArray[Any]) -> Array:
    return np.ascontiguousarray(matrix).view(float)
