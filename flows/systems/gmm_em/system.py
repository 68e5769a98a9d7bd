r"""One Gaussian learnt by a Gaussian mixture with gradient EM, as a gradient flow.

.. math:: L(\mu) = KL(N(0, I_d) \,\|\, p), \qquad p = \sum_i \pi_i N(\mu_i, I_d),
          \qquad \dot \mu = -\nabla L(\mu)
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, ClassVar, Self

import numpy as np

from flows.core.arrays import Array, check_integer, check_shape, checked
from flows.core.errors import InputError
from flows.core.options import Option, Options
from flows.core.starts import given_array, vector_sizes
from flows.core.together import evaluated_together
from flows.systems.gmm_em.options import OPTIONS
from flows.systems.mixture.calculus import Calculus
from flows.systems.mixture.derivatives import EXACT
from flows.systems.mixture.features import ROUNDING, Row, Sample, evaluated
from flows.systems.mixture.means import FAR
from flows.systems.mixture.reduction import reduce
from flows.systems.mixture.sound import Frame, SoundState
from flows.systems.mixture.system import MixtureSystem
from symbolic.language.blocks import Block
from symbolic.systems.averages import mixture_loss
from symbolic.systems.gmm_em import document as gmm_em

if TYPE_CHECKING:
    from flows.systems.gmm_em.enclosed_field import MixtureFlow

# Weights are typed with this accuracy at least; they are then divided by their sum.
SUM_TOLERANCE = 1e-9
# Nodes are chosen for the pulls; the average that defines the EM update is known to this part of
# its terms with them: it was right to 4e-12 at 400 random states.
DEFINED = 1e-10
# Nodes at a time where arrays over nodes are made.
CHUNK = 100_000
# Features that few ask for.
COSTLY = ("fisher_dot", "fisher_dot_error", "em_distance", "em_distance_error")


@dataclass(frozen=True)
class GMMEM(MixtureSystem):
    r"""Gradient EM flow of an ``n``-component mixture towards ``N(0, I_d)``.

    .. math:: \nabla_i L = E[\psi_i v], \qquad
              \psi_i = \frac{\pi_i e^{\mu_i \cdot x - |\mu_i|^2/2}}{\sum_k \pi_k
              e^{\mu_k \cdot x - |\mu_k|^2/2}}, \qquad v = \sum_k \psi_k \mu_k,
              \qquad x \sim N(0, I_d)

    Parameters
    ----------
    n : int
        Number of components.
    d : int
        Dimension.
    weights : array_like, shape (n,), optional
        Weights of the components, positive and of sum one; equal by default.

    Raises
    ------
    InputError
        For ``n`` or ``d`` that are not positive integers, and for weights that are not ``n``
        positive numbers of sum one.

    Notes
    -----
    Units: ``t`` is the time of ``dmu/dt = -grad L``; gradient EM with step ``eta`` reaches
    ``t = eta * steps``. The loss has no factor. The target is at 0; for ``N(mu*, I)`` give
    means less ``mu*``.
    Source: Xu, Fazel & Du, NeurIPS 2024, arXiv 2407.00490.
    Accuracy: loss and gradient are right to 1e-12 relative where the means span up to two
    dimensions, and to 1e-10 in three; :meth:`expectations` says how accurate a value is.

    Examples
    --------
    >>> system = GMMEM(n=1, d=2)
    >>> system.loss([[1.0, 0.0]])
    0.5
    """

    n: int = 3
    d: int = 2
    weights: Any = None
    tolerance: float = field(default=EXACT, init=False, compare=False, repr=False)

    name: ClassVar[str] = "gmm_em"
    title: ClassVar[str] = "Gradient EM"
    options: ClassVar[tuple[Option, ...]] = OPTIONS
    calculus: ClassVar[Calculus] = gmm_em
    stretch: ClassVar[float] = 1.0
    losses: ClassVar[tuple[str, str]] = ("loss", "fisher")
    stated: ClassVar[tuple[str, ...]] = ("n", "d", "weights")

    def __post_init__(self) -> None:
        """Check the parameters; the weights become a tuple of sum one."""
        check_integer(self.n, "n")
        check_integer(self.d, "d")
        check_shape((self.n, self.d))
        given = np.full(self.n, 1 / self.n) if self.weights is None else self.weights
        w = checked(given, (int(self.n),), "weights")
        if not (w > 0).all():
            raise InputError(
                f"weights must be positive, got {w.min():g}; leave out a component that has none"
            )
        excess = float(np.sum(w)) - 1
        if abs(excess) > SUM_TOLERANCE:
            raise InputError(
                f"weights must sum to 1, these sum to 1 {excess:+.6g};"
                f" divide them by {1 + excess:.10g}"
            )
        if abs(excess) > w.size * np.finfo(float).eps:  # else they stay, so that stored ones do
            w = w / np.sum(w)
        object.__setattr__(self, "weights", tuple(w.tolist()))

    @classmethod
    def from_options(cls, options: Options, *, members: bool = False) -> tuple[Self, Array]:
        """System and start of ``n``, ``d`` or ``initial``, and of ``weights``."""
        initial = given_array(options, "initial", cls.start_axes(members))
        weights = options["weights"]
        why = "one a component"
        n, d = vector_sizes(options, initial, weights, along="n", flag="--weights", why=why)
        system = cls(n=n, d=d, weights=weights)
        return system, system.chosen_start(options) if initial is None else initial

    @property
    def formula(self) -> tuple[Sequence[Block], Any]:
        """Means `mu`, and the average over inputs."""
        return mixture_loss(self.weights, self.d)

    @property
    def parameters(self) -> dict[str, Any]:
        """``n``, ``d``, ``weights`` and ``weight_min``."""
        return {
            "n": int(self.n),
            "d": int(self.d),
            "weights": list(self.weights),
            "weight_min": min(self.weights),
        }

    def sound(self, means: Array, merge: bool) -> tuple[Frame, SoundState]:
        """Frame and sound state of the user's means."""
        return reduce(means, np.array(self.weights), merge)

    def ball_flow(self, start: Array) -> MixtureFlow:
        """Flow of means on a line in ball arithmetic."""
        from flows.systems.gmm_em.enclosed_field import MixtureFlow

        return MixtureFlow.of(self, start)

    @property
    def costly(self) -> Mapping[str, Callable[[Frame, SoundState], Array]]:
        """The rate of ``fisher``, and the distance of the EM update from ``-grad L``."""

        def rows(frame: Frame, states: SoundState) -> dict[str, Array]:
            return evaluated(self.calculus, frame, states, self._costly_row)

        return evaluated_together(COSTLY, rows)

    def _costly_row(self, sample: Sample) -> Row:
        square, doubt = sample.square
        share, mu = sample.share, sample.means.mu
        turn = sample.frame.rate[:, None] * sample.turn(self.calculus)
        reach = np.linalg.norm(mu, axis=1) * sample.frame.rate * share[:, 0]
        speed = np.linalg.norm(sample.velocity, axis=1)
        distance, distance_error = _em_distance(sample)
        return {
            # fisher = sum <grad_i, mu_i>, so its rate is sum <turn_i, mu_i> - |grad|^2.
            "fisher_dot": float(np.sum(share * turn * mu)) - square,
            "fisher_dot_error": doubt
            + ROUNDING * float(reach @ (np.abs(sample.means.linear_curve) @ speed + speed.max())),
            "em_distance": distance,
            "em_distance_error": distance_error,
        }


def _em_distance(sample: Sample) -> tuple[float, float]:
    """Distance of the EM update `E psi_i (x - mu_i)`, summed as it is defined, from the velocity.

    Returns
    -------
    distance, error : float
        Over all coordinates of all components.
    """
    frame, mu = sample.frame, sample.means.mu
    rule = sample.found.rule
    share = sample.share
    step, size = np.zeros_like(mu), np.zeros(len(mu))
    if len(mu) == 1:
        step, size = -mu, np.linalg.norm(mu, axis=1)
    home = sample.means.home if sample.means.form == FAR else None
    if home is not None:
        step[home] = -mu[home]
    for first in range(0, len(rule), CHUNK):
        x, w = rule.nodes[first : first + CHUNK], rule.weights[first : first + CHUNK]
        logs = x @ mu.T - 0.5 * np.sum(mu**2, axis=1)
        psi = frame.weight * np.exp(logs - np.max(logs, axis=1, keepdims=True))
        psi *= (w / np.sum(psi, axis=1))[:, None]
        if home is not None:  # nodes are where others take over: E(x - mu) is known
            psi[:, home] -= w
        step += psi.T @ x - np.sum(psi, axis=0)[:, None] * mu
        size += np.abs(psi).T @ np.linalg.norm(x, axis=1) + np.abs(psi).sum(
            axis=0
        ) * np.linalg.norm(mu, axis=1)
    # The update of one of the user's components, of which a distinct one may stand for several.
    deviation = np.linalg.norm(step / share - sample.velocity, axis=1)
    doubt = sample.doubt + max(DEFINED, sample.found.error) * size / share[:, 0]
    return tuple(float(np.sqrt(np.sum(share[:, 0] * x**2))) for x in (deviation, doubt))  # type: ignore[return-value]
