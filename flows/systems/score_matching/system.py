r"""One Gaussian learnt by a Gaussian mixture with score matching, as a gradient flow.

.. math:: L(\mu) = E_{x \sim N(0, I_d)} |v(x)|^2, \qquad v = \sum_i \psi_i(x) \mu_i,
          \qquad \mu_i = e^{-s} (\nu_i - \nu^*), \qquad \dot \nu = -\nabla_\nu L
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, fields
from typing import TYPE_CHECKING, Any, ClassVar, Self

import numpy as np
import sympy as sp
from numpy.typing import NDArray

from flows.core.arrays import Array, check_integer, check_shape, checked, lengths
from flows.core.errors import InputError
from flows.core.options import Option, Options
from flows.core.piece import Event
from flows.core.settings import with_settings
from flows.core.starts import given_array, vector_sizes
from flows.systems.mixture import choice
from flows.systems.mixture.calculus import Calculus
from flows.systems.mixture.derivatives import EXACT
from flows.systems.mixture.features import Columns, Sample
from flows.systems.mixture.pieces import MixturePiece, Regimes
from flows.systems.mixture.reduction import reduce
from flows.systems.mixture.sound import Frame, SoundState
from flows.systems.mixture.system import MixtureSystem
from flows.systems.score_matching.options import OPTIONS
from flows.systems.score_matching.regimes import regimes
from symbolic.language.blocks import Block
from symbolic.systems.averages import score_loss
from symbolic.systems.score_matching import calculus

if TYPE_CHECKING:
    from flows.core.minimiser import Escape
    from flows.systems.score_matching.stationary import Stationary

# Later, exp(-2s) and exp(s) are so far apart that nothing moves in any time that is run.
LATEST = 50.0
# A plateau is an event if it has lasted for this many relaxation times of the mean.
LONG = 10.0


@dataclass(frozen=True)
class ScoreMatching(MixtureSystem):
    r"""Score-matching flow of an ``n``-component mixture of equal weights towards ``N(nu*, I_d)``.

    .. math:: \nabla_{\mu_i} L = 2 E\left[\psi_i v
              + \psi_i ((\mu_i - v) \cdot v)(x - \mu_i)\right], \qquad
              \psi_i = \frac{e^{\mu_i \cdot x - |\mu_i|^2/2}}{\sum_k
              e^{\mu_k \cdot x - |\mu_k|^2/2}}, \qquad x \sim N(0, I_d)

    Parameters
    ----------
    n : int
        Number of components.
    d : int
        Dimension.
    noise_time : float
        Time ``s >= 0`` of the forward Ornstein-Uhlenbeck process at which scores are matched.
    target : array_like, shape (d,), optional
        Mean ``nu*`` of the data; 0 by default. With it, a start near 0 is that of Theorem 3.2.

    Raises
    ------
    InputError
        For ``n`` or ``d`` that are not positive integers, a noise time that is negative or above
        50, and a target that is not ``d`` finite numbers.

    Notes
    -----
    Units: the user's means are ``nu``, before the noise, and ``t`` is the time of
    ``dnu/dt = -grad_nu L``; so ``dmu/dt = -exp(-2s) grad_mu L``. The loss has no factor 1/2.
    Distances and other features are those of ``mu``.
    Source: Zhang, Xu, Zhou, Fazel & Du 2026, arXiv 2511.22069, section 2 and Lemma 2.2.
    Accuracy: loss and gradient are right to 1e-12 relative where the means span up to two
    dimensions, and to 1e-10 in three; :meth:`expectations` says how accurate a value is. Offsets
    within a cluster keep their digits, however small they are and wherever the cluster is.

    Examples
    --------
    >>> system = ScoreMatching(n=1, d=2)
    >>> system.loss([[1.0, 0.0]])
    1.0
    """

    n: int = 3
    d: int = 2
    noise_time: float = 0.0
    target: Any = None
    tolerance: float = field(default=EXACT, init=False, compare=False, repr=False)

    name: ClassVar[str] = "score_matching"
    title: ClassVar[str] = "Score matching"
    options: ClassVar[tuple[Option, ...]] = OPTIONS
    calculus: ClassVar[Calculus] = calculus
    stretch: ClassVar[float] = 2.0
    losses: ClassVar[tuple[str, str]] = ("kl", "loss")

    def __post_init__(self) -> None:
        """Check the parameters; the target becomes a tuple."""
        check_integer(self.n, "n")
        check_integer(self.d, "d")
        check_shape((self.n, self.d))
        s = self.noise_time
        if isinstance(s, bool) or not isinstance(s, (int, float, np.number)):
            raise InputError(f"noise time must be a number, got {s!r}")
        if not 0 <= s <= LATEST:
            raise InputError(f"noise time must be between 0 and {LATEST:g}, got {s:g}")
        object.__setattr__(self, "noise_time", float(s))
        if self.target is not None:
            point = checked(self.target, (int(self.d),), "target")
            object.__setattr__(self, "target", tuple(point.tolist()))

    @classmethod
    def from_options(cls, options: Options, *, members: bool = False) -> tuple[Self, Array]:
        """System and start of ``n``, ``d`` or ``initial``, of ``noise_time`` and ``target``."""
        initial = given_array(options, "initial", cls.start_axes(members))
        target = given_array(options, "target", ("d",))
        why = "as many as a mean has"
        n, d = vector_sizes(options, initial, target, along="d", flag="--target", why=why)
        noise_time = 0.0 if options["noise_time"] is None else options["noise_time"]
        system = cls(n=n, d=d, noise_time=noise_time, target=target)
        return system, system.chosen_start(options) if initial is None else initial

    @property
    def formula(self) -> tuple[Sequence[Block], Any]:
        """Means `nu` before the noise, and the average over inputs."""
        target = (0.0,) * self.d if self.target is None else self.target
        return score_loss([1] * self.n, self.d, sp.exp(-sp.Rational(self.noise_time)), target)

    @property
    def parameters(self) -> dict[str, Any]:
        """``n``, ``d``, ``noise_time``, ``target`` and its length ``target_norm``."""
        return {
            "n": int(self.n),
            "d": int(self.d),
            "noise_time": self.noise_time,
            "target": None if self.target is None else list(self.target),
            "target_norm": 0.0 if self.target is None else float(np.linalg.norm(self.target)),
        }

    @property
    def unit(self) -> float:
        """By how much the noise shrinks the user's means, ``exp(s)``."""
        return float(np.exp(self.noise_time))

    @property
    def origin(self) -> Array | None:
        """Target's mean."""
        return None if self.target is None else np.array(self.target)

    def sound(self, means: Array, merge: bool) -> tuple[Frame, SoundState]:
        """Frame and sound state of the user's means."""
        return reduce(
            means, np.full(self.n, 1 / self.n), merge, self.origin, 1 / self.unit, 2 / self.unit**2
        )

    def stationary_point(self, digits: int = 15) -> Stationary:
        """Find the stationary point of Theorem 3.1: the maximum of the loss on a line.

        Parameters
        ----------
        digits : int
            Digits of the point.

        Returns
        -------
        Stationary
            The point with its measured error, in units of the noised means.

        Raises
        ------
        InputError
            If there are fewer than 3 components.
        """
        from flows.systems.score_matching.stationary import stationary_point

        return stationary_point(int(self.n), digits)

    def own_features(self, sample: Sample) -> Columns:
        """Loss, gradient (by ``nu``), ``kl``, and where the mean is.

        ``mean_along`` is the mean's component from the target towards the user's origin, along
        which the reference point ``A(t)`` of Theorem 3.2 moves, ``mean_across`` the length of the
        rest.
        """
        mean = sample.means.mean
        along, rest = np.zeros(len(mean)), lengths(mean)
        if self.target is not None:
            direction = self._direction()
            for i, axis in enumerate(sample.frame.basis.T @ direction):
                along -= axis * mean[:, i]
            rest = lengths(mean @ sample.frame.basis.T + along[:, None] * direction)
        return {**super().own_features(sample), "mean_along": along, "mean_across": rest}

    def _direction(self) -> Array:
        """Direction of the target; zero if it stands at 0."""
        point = np.array(self.target)
        return np.asarray(point / (np.linalg.norm(point) or 1.0))

    def escape(self, frame: Frame, state: SoundState) -> Escape | None:
        """Loss of far components, if one is at the target and the others are far out."""
        from flows.systems.score_matching.late_time import escape

        return escape(frame, state, self.noise_time)

    # Regimes -----------------------------------------------------------------------------

    def piece(self, frame: Frame, state: SoundState, time: float) -> MixturePiece:
        """Choose coordinates, rule and clock; a change of the regime ends the piece."""
        regimes = Regimes(self.regime, _events)
        return choice.piece(
            self.calculus, frame, state, time, self.tolerance, self.stretch, regimes
        )

    def without_events(self) -> ScoreMatching:
        """Flow without regimes."""
        given = {one.name: getattr(self, one.name) for one in fields(self) if one.init}
        return with_settings(_WithoutEvents(**given), tolerance=self.tolerance)

    def regime(
        self, times: Array, weight: Array, mu: Array, velocity: Array, fisher: Array
    ) -> tuple[Array, Array]:
        """Regimes of states: components on the target and receding ones, plateaus; marks."""
        return regimes(times, weight, mu, velocity, fisher, self.n, self.unit)


class _WithoutEvents(ScoreMatching):
    """Flow whose pieces end where they have to, and not where an event is."""

    piece = MixtureSystem.piece


def _events(frame: Frame, time: float, before: Array, after: Array) -> tuple[Event, ...]:
    """Events of a change of regime."""
    k, old, new = len(frame.weight), before.astype(bool), after.astype(bool)

    def said(found: NDArray[np.bool_], one: str, many: str) -> str:
        """A sentence about the user's components that these stand for."""
        members = np.flatnonzero(found[frame.member]) + 1
        *before, last = (str(i) for i in members)
        if not before:
            return f"component {last} {one}"
        return f"components {', '.join(before)} and {last} {many}"

    events = [
        Event(time, kind, said(new[some] & ~old[some], *words))
        for some, kind, words in (
            (slice(k), "locked", ("is on the target", "are on the target")),
            (slice(k, 2 * k), "diverging", ("recedes", "recede")),
        )
        if (new[some] & ~old[some]).any()
    ]
    plateau = bool(new[-1])
    if plateau != old[-1] and time * float(np.min(frame.rate)) > LONG:
        words = ("plateau", "the loss stays") if plateau else ("escape", "the plateau ends")
        events.append(Event(time, *words))
    return tuple(events)
