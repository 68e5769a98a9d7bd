r"""One Gaussian learnt by a Gaussian mixture with gradient EM, as a gradient flow.

.. math:: L(\mu) = KL(N(0, I_d) \,\|\, p), \qquad p = \sum_i \pi_i N(\mu_i, I_d),
          \qquad \dot \mu = -\nabla L(\mu)
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from typing import Any, ClassVar, NamedTuple, Self

import numpy as np
from numpy.typing import ArrayLike

from flows import gmm_em_pieces as pieces
from flows.errors import InputError
from flows.gmm_em_pieces import Frame, Sound
from flows.self_similar import Array, Chart
from flows.solver import Stop, Watch
from flows.system import Restart, Smooth, System

# Weights are typed with this accuracy at least; they are then divided by their sum.
SUM_TOLERANCE = 1e-9
# Beyond, exp(-|mu|^2/8) is below every double, and squares of means begin to overflow far later.
LONGEST = 1e6


class Expectations(NamedTuple):
    """Expectations at a state with their error.

    Parameters
    ----------
    loss : float
        KL divergence.
    fisher : float
        ``E|v|^2``.
    gradient : ndarray, shape (n, d)
        Gradient of the loss.
    error : float
        Measured relative error of each (of the gradient: relative to its largest entry).
    nodes : int
        Nodes of the rule.
    rule : str
        Which rule.
    """

    loss: float
    fisher: float
    gradient: Array
    error: float
    nodes: int
    rule: str


@dataclass(frozen=True)
class GMMEM(System):
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
    ``t = eta * steps``. The loss has no factor. The target stands at 0; for ``N(mu*, I)`` give
    means less ``mu*``.
    Source: Xu, Fazel & Du, NeurIPS 2024, arXiv 2407.00490.
    Accuracy: loss and gradient are right to 1e-12 relative where the means span up to three
    dimensions; :meth:`expectations` says how accurate a value is.

    Examples
    --------
    >>> system = GMMEM(n=1, d=2)
    >>> system.loss([[1.0, 0.0]])
    0.5
    """

    n: int = 3
    d: int = 2
    weights: Any = None
    #: Relative error of the field that steps of a run can bear.
    tolerance: float = field(default=pieces.EXACT, compare=False, repr=False)

    name: ClassVar[str] = "gmm_em"
    containers: ClassVar[tuple[type, type]] = (Frame, Sound)

    def __post_init__(self) -> None:
        """Check the parameters; the weights become a tuple of sum one."""
        for label, value in (("n", self.n), ("d", self.d)):
            if isinstance(value, bool) or not isinstance(value, (int, np.integer)) or value < 1:
                raise InputError(f"{label} must be a positive integer, got {value!r}")
        given = np.full(self.n, 1 / self.n) if self.weights is None else self.weights
        w = _finite(given, (int(self.n),), "weights")
        if not (w > 0).all():
            raise InputError(f"weights must be positive, got {w.min():g}; leave out a component"
                             " that has none")  # fmt: skip
        excess = float(np.sum(w)) - 1
        if abs(excess) > SUM_TOLERANCE:
            raise InputError(f"weights must sum to 1, these sum to 1 {excess:+.6g};"
                             f" divide them by {1 + excess:.10g}")  # fmt: skip
        object.__setattr__(self, "weights", tuple((w / np.sum(w)).tolist()))

    @classmethod
    def from_parameters(cls, parameters: dict[str, Any]) -> Self:
        """System of ``n``, ``d`` and ``weights``."""
        return cls(parameters["n"], parameters["d"], parameters["weights"])

    @property
    def parameters(self) -> dict[str, Any]:
        """``n``, ``d``, ``weights`` and ``weight_min``."""
        return {
            "n": int(self.n),
            "d": int(self.d),
            "weights": list(self.weights),
            "weight_min": min(self.weights),
        }

    def at_tolerance(self, rtol: float) -> Self:
        """Allow the field a tenth of the error of a step, down to 1e-12, and below, all of it."""
        return replace(self, tolerance=max(0.1 * rtol, min(rtol, pieces.EXACT)))

    def initial(self, scale: float = 0.1, seed: int = 0) -> Array:
        """Random start ``mu_i ~ N(0, scale^2 I_d)``.

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
        if not (np.isfinite(scale) and scale >= 0):
            raise InputError(f"scale must be a finite number >= 0, got {scale!r}")
        if seed < 0:
            raise InputError(f"seed must be an integer >= 0, got {seed!r}")
        return scale * np.random.default_rng(seed).normal(size=(self.n, self.d))

    def check_start(self, start: ArrayLike) -> Array:
        """Start as an array of shape (n, d), or an :class:`InputError`."""
        means = _finite(start, (int(self.n), int(self.d)), "start")
        longest = float(np.max(np.linalg.norm(means, axis=1)))
        if longest > LONGEST:
            raise InputError(f"start has a mean of length {longest:g}, above {LONGEST:g}")
        return means

    def reduce(self, start: Array) -> tuple[Frame, Sound]:
        """Frame and sound state of the user's means."""
        return pieces.reduce(start, np.array(self.weights))

    def restore(self, frame: Frame, state: Sound) -> Array:
        """User's means, shape (..., n, d)."""
        return pieces.restore(frame, state)

    def features(self, frame: Frame, states: Sound) -> dict[str, Array]:
        """See :func:`flows.gmm_em_pieces.features`."""
        return pieces.features(frame, states)

    # The pieces of a run -----------------------------------------------------------------

    def begin(self, frame: Frame, state: Sound) -> Restart:
        """Say at once if no rule is good enough at the start."""
        return Restart(frame, state, 0.0, None, pieces.failure(frame, state, self.tolerance))

    def chart(self, frame: Frame, state: Sound, time: float) -> Chart:
        """Choose coordinates, rule and clock for the piece that begins with ``state``."""
        return pieces.chart(frame, state, time, self.tolerance)

    def decode(self, frame: Frame, state: Sound, chart: Chart, raw: Array) -> Sound:
        """Sound state(s) of raw chart coordinates, shape (..., N)."""
        return pieces.decode(frame, state, chart, raw)

    def watch(self, frame: Frame, state: Sound, chart: Chart, rtol: float) -> Watch:
        """End the chart where its rule or its coordinates should be chosen anew."""
        return pieces.watch(frame, state, chart, self.tolerance)

    def restart(self, frame: Frame, state: Sound, chart: Chart, stop: Stop) -> Restart:
        """Go on after a stop with a new choice of rule and coordinates."""
        return pieces.restart(frame, state, chart, stop, self.tolerance)

    def exact_flow(self, frame: Frame, state: Sound, digits: int) -> Smooth:
        """Flow with ``digits`` digits, for means on a line.

        Raises
        ------
        InputError
            If the means span more than a line: too many nodes.
        """
        from flows import gmm_em_exact

        if len(state.mean) > 1:
            raise InputError("method 'reference' follows means on a line only; choose another")
        return gmm_em_exact.flow(frame, state, digits)

    # Functions of a user's state ---------------------------------------------------------

    def expectations(
        self, state: ArrayLike, tolerance: float = pieces.EXACT
    ) -> Expectations:
        """Loss, relative Fisher information and gradient, with their measured error.

        Parameters
        ----------
        state : array_like, shape (n, d)
            Means.
        tolerance : float
            Relative error asked for; ``error`` says what was reached.
        """
        frame, sound = self.reduce(self.check_start(state))
        found = pieces.estimate(frame, sound, tolerance)
        kl, fisher = (float(x[0]) for x in found.values[:2])
        gradient = pieces.gradient(frame, sound, found.values[2]) @ frame.basis.T
        return Expectations(kl, fisher, gradient[frame.member], found.error, len(found.rule),
                            found.rule.label)  # fmt: skip

    def loss(self, state: ArrayLike) -> float:
        """KL divergence of means ``state``, shape (n, d); its error is in :meth:`expectations`."""
        return self.expectations(state).loss

    def gradient(self, state: ArrayLike) -> Array:
        """Gradient of the loss, shape (n, d); see :meth:`expectations` for its error."""
        return self.expectations(state).gradient

    def hessian(self, state: ArrayLike) -> Array:
        """Hessian of the loss, shape (n d, n d), rows in the order of ``state.ravel()``.

        Coincident components are told apart: the Hessian is that of ``n`` free means.
        """
        means = self.check_start(state)
        return pieces.hessian(*pieces.reduce(means, np.array(self.weights), merge=False))


def _finite(values: ArrayLike | Sequence[float], shape: tuple[int, ...], label: str) -> Array:
    """Array of doubles of this shape with finite entries, or one clear line."""
    try:
        array = np.asarray(values)
    except ValueError:
        raise InputError(f"{label} must be an array of shape {shape}; its rows differ") from None
    if array.dtype.kind not in "iuf":
        raise InputError(f"{label} must hold real numbers, got {array.dtype}")
    if array.shape != shape:
        raise InputError(f"{label} must have shape {shape}, got {array.shape}")
    array = array.astype(float)
    if not np.isfinite(array).all():
        raise InputError(f"{label} must be finite; it holds NaN or infinity")
    return array
