"""What all flows of a Gaussian mixture have in common, as systems."""

from __future__ import annotations

import abc
import dataclasses
from collections.abc import Mapping
from typing import Any, ClassVar, NamedTuple, Self

import numpy as np
from numpy.typing import ArrayLike

from flows.core.arrays import Array, checked
from flows.core.chart import Lanes
from flows.core.errors import InputError
from flows.core.minimiser import Approach, Minimiser
from flows.core.piece import Restart
from flows.core.settings import with_settings
from flows.core.starts import seeded
from flows.core.system import Smooth, System
from flows.systems.mixture import choice, derivatives, forms, late_time, pieces, sound
from flows.systems.mixture.calculus import Calculus
from flows.systems.mixture.derivatives import EXACT
from flows.systems.mixture.expectation import expect
from flows.systems.mixture.features import Columns, Sample, features
from flows.systems.mixture.field import LANES
from flows.systems.mixture.pieces import MixturePiece
from flows.systems.mixture.sound import Frame, SoundState

# Beyond, exp(-|mu|^2/8) is below every double, and squares of means begin to overflow far later.
LONGEST = 1e6
# Observables of a run are wrong by this part of what its tolerance leaves in them, or less.
OBSERVED = 1e-2


class Expectations(NamedTuple):
    """Expectations at a state with their error.

    Parameters
    ----------
    loss : float
        Loss of the system.
    kl : float
        KL divergence from the target to the mixture.
    fisher : float
        ``E|v|^2``, the relative Fisher information.
    gradient : ndarray, shape (n, d)
        Gradient of the loss.
    error : float
        Measured relative error of each, relative to the magnitude of what is averaged.
    nodes : int
        Nodes of the rule.
    rule : str
        Which rule.
    """

    loss: float
    kl: float
    fisher: float
    gradient: Array
    error: float
    nodes: int
    rule: str


class MixtureSystem(System):
    """A gradient flow of ``n`` means in ``d`` dimensions towards one Gaussian.

    Concrete systems are dataclasses with the fields ``n``, ``d`` and ``tolerance``.
    """

    dimensions: ClassVar[tuple[str, ...]] = ("component", "coordinate")
    #: The module that derives the loss.
    calculus: ClassVar[Calculus]
    containers: ClassVar[tuple[type, type]] = (Frame, SoundState)
    lanes: ClassVar[Lanes] = LANES
    explicit: ClassVar[Lanes] = LANES
    #: Speed at which a cluster that travels spreads along its mean, see `travel.exponent`.
    stretch: ClassVar[float]
    #: Names of the KL divergence and of ``E|v|^2``: one of them is the loss.
    losses: ClassVar[tuple[str, str]]
    n: int
    d: int
    #: Relative error of the field that steps of a run can bear.
    tolerance: float

    @classmethod
    def from_parameters(cls, parameters: dict[str, Any]) -> Self:
        """System of its own fields."""
        own = (field.name for field in dataclasses.fields(cls) if field.init)  # type: ignore[arg-type]
        return cls(**{name: parameters[name] for name in own})

    # What differs ------------------------------------------------------------------------

    @property
    def unit(self) -> float:
        """Length of the user's means over that in which the target has unit variance."""
        return 1.0

    @property
    def origin(self) -> Array | None:
        """Target's mean in the user's coordinates, None for 0."""
        return None

    @abc.abstractmethod
    def sound(self, means: Array, merge: bool) -> tuple[Frame, SoundState]:
        """Frame and sound state of the user's means; see `reduction.reduce`."""

    # What does not -----------------------------------------------------------------------

    def own_features(self, sample: Sample) -> Columns:
        """Both losses and the gradient."""
        square, doubt = (self.unit**2 * x for x in sample.square)
        speed, speed_error = (self.unit * x for x in sample.speed)
        found = {
            "loss_dot": -square,
            "loss_dot_error": doubt,
            # Its rate is left out: t times the rate of the slaved mean would be rounding.
            "gradient_norm": speed,
            "gradient_norm_error": speed_error,
        }
        both = sample.found.kl, sample.found.fisher
        for name, value, error in zip(self.losses, both, sample.losses(), strict=True):
            found |= {name: value, f"{name}_error": error}
        return found

    def at_tolerance(self, rtol: float, atol: float, damped: bool, multistep: bool = False) -> Self:
        """Allow the field a tenth of the error of a step, down to 1e-12, and below, all of it."""
        tolerance = max(0.1 * rtol, min(rtol, EXACT))
        return with_settings(self, tolerance=tolerance)

    def observed(self, rtol: float) -> Self:
        """Allow observables a hundredth of the error that a run is asked for, down to 1e-12."""
        return with_settings(self, tolerance=max(OBSERVED * rtol, EXACT))

    def initial(self, scale: float = 0.1, seed: int = 0) -> Array:
        """Random start, the user's means of law ``N(0, scale^2 I_d)``.

        Parameters
        ----------
        scale : float
            Standard deviation of each entry, non-negative.
        seed : int
            Seed; the same seed gives the same start.

        Returns
        -------
        ndarray, shape (n, d)
            The start.

        Raises
        ------
        InputError
            For a scale that is negative or not finite, or a negative seed.
        """
        return scale * seeded(scale, seed).normal(size=(self.n, self.d))

    def check_start(self, start: ArrayLike) -> Array:
        """Start as an array of shape (n, d), or an :class:`InputError`."""
        means = checked(start, (int(self.n), int(self.d)), "start")
        away = means if self.origin is None else means / 2 - self.origin / 2  # cannot overflow
        size = float(np.max(np.abs(away)))
        if size > LONGEST:
            raise InputError(
                f"start has a mean at a distance of {2 * size:.3g} or more from the"
                f" target, above {LONGEST:g}"
            )
        return means

    def reduce(self, start: Array) -> tuple[Frame, SoundState]:
        """Frame and sound state of the user's means."""
        return self.sound(start, True)

    def restore(self, frame: Frame, state: SoundState) -> Array:
        """User's means, shape (..., n, d)."""
        means = self.unit * sound.restore(frame, state)
        return means if self.origin is None else means + self.origin

    def features(self, frame: Frame, states: SoundState) -> dict[str, Array]:
        """See :func:`flows.systems.mixture.features.features`."""
        return features(self.calculus, frame, states, self.own_features, self.tolerance)

    def magnification(
        self, frame: Frame, states: SoundState, features: Mapping[str, Array], t: Array, rtol: float
    ) -> Array:
        """By how much errors grow where a cluster travels towards the target."""
        tolerance = self.at_tolerance(rtol, rtol, True).tolerance
        return forms.magnified(frame, states, tolerance, self.stretch)

    def batch_key(self, frame: Frame, states: SoundState) -> Any:
        """Runs of as many components with the same weights; a basis says where a target is."""
        if self.origin is not None:
            return None
        arrays = frame.weight, frame.rate, frame.member
        return states.offset.shape[1:], *(x.tobytes() for x in arrays)

    def begin(self, frame: Frame, state: SoundState) -> Restart:
        """Say at once if no rule is good enough at the start."""
        failure = pieces.failure(self.calculus, frame, state, self.tolerance)
        return Restart(frame, state, 0.0, (), failure)

    def piece(self, frame: Frame, state: SoundState, time: float) -> MixturePiece:
        """Choose coordinates, rule and clock for the piece that begins with ``state``."""
        return choice.piece(self.calculus, frame, state, time, self.tolerance, self.stretch)

    def exact_flow(self, frame: Frame, state: SoundState, digits: int) -> Smooth:
        """Flow with ``digits`` digits, for means on a line.

        Raises
        ------
        InputError
            If the means span more than a line: too many nodes.
        """
        if len(state.centre) > 1:
            raise InputError("method 'reference' follows means on a line only; choose another")
        from flows.systems.mixture.exact import line_flow

        return line_flow(self.calculus, frame, state, digits)

    def minimiser(self, at: ArrayLike | None = None) -> Minimiser:
        """All means at the target."""
        origin = np.zeros(self.d) if self.origin is None else self.origin
        shape = int(self.n), int(self.d)
        where = np.tile(origin, (self.n, 1)) if at is None else checked(at, shape, "at")
        weights = getattr(self, "weights", None) or (1 / self.n,) * self.n
        noise_time = getattr(self, "noise_time", None)
        return late_time.minimiser(where, origin, weights, noise_time=noise_time)

    def approach(self, frame: Frame, state: SoundState, t: float) -> Approach:
        """Means less the target."""
        origin = np.zeros(self.d) if self.origin is None else self.origin
        return late_time.approach(frame, state, origin)

    # Functions of a user's state ---------------------------------------------------------

    def expectations(self, state: ArrayLike, tolerance: float | None = None) -> Expectations:
        """Both losses and the gradient, with their measured error.

        Parameters
        ----------
        state : array_like, shape (n, d)
            Means.
        tolerance : float, optional
            Relative error asked for; 1e-12 by default, 1e-10 in three dimensions for means longer
            than 2, and in more. ``error`` is the error that was reached.
        """
        frame, now = self.reduce(self.check_start(state))
        means = forms.components(frame, now)
        found = expect(self.calculus, means, tolerance or derivatives.accuracy(means))
        gradient = self.unit * derivatives.gradient(frame, means, found.pull) @ frame.basis.T
        return Expectations(
            (found.kl, found.fisher)[self.losses.index("loss")],
            found.kl,
            found.fisher,
            gradient[frame.member],
            found.error,
            int(found.nodes),
            found.rule.label,
        )

    def loss(self, state: ArrayLike) -> float:
        """Loss of means ``state``, shape (n, d); its error is in :meth:`expectations`."""
        return self.expectations(state).loss

    def gradient(self, state: ArrayLike) -> Array:
        """Gradient of the loss, shape (n, d); see :meth:`expectations` for its error."""
        return self.expectations(state).gradient

    def hessian(self, state: ArrayLike) -> Array:
        """Hessian of the loss, shape (n d, n d), rows in the order of ``state.ravel()``.

        The Hessian has ``n`` free means, also where components coincide.
        """
        return derivatives.hessian(self.calculus, *self.sound(self.check_start(state), False))
