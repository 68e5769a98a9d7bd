"""A critical point of any system: its state, its spectrum, and what these decide."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property
from importlib import import_module
from typing import Any

import numpy as np
from numpy.typing import NDArray
from threadpoolctl import threadpool_limits  # type: ignore[import-untyped]

from flows.certificates.stationary.family import dimension, surroundings
from flows.certificates.stationary.newton import length_of, newton
from flows.certificates.stationary.proof import BITS, Proof, Setting
from flows.certificates.stationary.prove import Unproved, prove
from flows.certificates.verifier.verify import POINTS
from flows.core.arrays import Array, is_real, plain
from flows.core.errors import InputError
from flows.core.symmetric import RESOLVED
from flows.core.system import System, checked_system

__all__ = ["StationaryPoint", "stationary"]

Derivative = Callable[[Array], Array]

#: And beyond so many times what the last step of Newton's method changed.
SETTLED = 4.0
#: A loss that is at least 0 is 0 where it is below this part of largest curvature times square of
#: the size: rounding of a residual leaves less.
ROUNDED = 1e-15


@dataclass(frozen=True)
class StationaryPoint:
    """A critical point, or the reason why none was found.

    Parameters
    ----------
    system : System
        Whose loss it is.
    state : ndarray
        The user's parameters there; where the search ended if none was found.
    loss, gradient_norm : float
        Loss, and norm of the gradient that is left.
    eigenvalues : ndarray, shape (N,)
        Of the Hessian, ascending.
    resolution : float
        An eigenvalue of at most this size cannot be distinguished from zero.
    index : int
        Eigenvalues that are clearly negative.
    kind : str
        ``minimum``, ``maximum`` or ``saddle`` by eigenvalues that are clear of rounding;
        ``degenerate`` if none is negative and some may be zero; ``not found``.
    distance : float
        How far it is from where the search began.
    reason : str
        Why no point was found, or nothing.
    """

    system: System
    state: NDArray[Any]
    loss: float
    gradient_norm: float
    eigenvalues: Array
    resolution: float
    index: int
    kind: str
    distance: float
    reason: str = ""

    @property
    def found(self) -> bool:
        """Whether the gradient vanishes there, as far as doubles tell."""
        return not self.reason

    def certify(self, bits: int = BITS) -> Proof:
        """Prove that the point exists, is alone nearby, and of what kind it is.

        Parameters
        ----------
        bits : int
            Precision of the centre that is stated.

        Returns
        -------
        Proof
            Of a strict local minimum or of a saddle; ``save`` writes a file for `flows.verify`.

        Raises
        ------
        InputError
            Where no proof exists for this system, or no point was found.
        Unproved
            With the inequality that fails.

        Assumptions
        -----------
        Two layers. With a kink, no student is parallel to another one or to a teacher.

        Notes
        -----
        Krawczyk's operator in all coordinates of students and teachers, no symmetry assumed.
        Trained outputs of a homogeneous activation are held, since a scale of each student leaves
        the loss as it is: a minimum is one up to scales, and a strict one on the set that the flow
        does not leave. So are coordinates of the square, as many as students turn into each other.

        Source
        ------
        Safran and Shamir 2018, 1712.08968, prove such minima for 6 to 20 teachers by another test.

        Accuracy
        --------
        Ball arithmetic: what is stated is a theorem. The eigenvalue's bound is 1e-8 below it.

        Examples
        --------
        >>> from flows import MatrixFactorization
        >>> point = stationary(MatrixFactorization(d=2), np.zeros((4, 2, 2)))
        >>> point.kind
        'degenerate'
        """
        if not self.found:
            raise InputError(f"certify: no critical point was found ({self.reason}); begin nearer")
        if not (isinstance(bits, int) and 64 <= bits <= 1024):
            raise InputError(f"bits: expected an integer from 64 to 1024, got {bits!r}")
        setting, students = _setting(self.system, self.state)
        with threadpool_limits(1):
            proof = prove(setting, students, bits)
        if proof.across is None and len(setting.teachers[0]) < self.system.parameters["d"]:
            raise Unproved(
                "the Hessian in dimensions beyond those of the teachers is singular, or nearly so"
            )
        return proof

    def to_json(self, proof: Proof | None = None) -> dict[str, Any]:
        """Return the object that `popflow stationary --json` prints."""
        return {
            "system": self.system.name,
            "parameters": self.system.parameters,
            "loss": self.loss,
            "gradient_norm": self.gradient_norm,
            "eigenvalues": self.eigenvalues.tolist(),
            "resolution": self.resolution,
            "index": self.index,
            "kind": self.kind,
            "reason": self.reason,
            "family": self.family,
            "distance": self.distance,
            "state": plain(self.state),
            "proof": None if proof is None else proof.summary(),
        }

    @cached_property
    def family(self) -> int | None:
        """Dimension of the critical points around it, measured; None where it is not known.

        0 says that it is alone nearby; see :mod:`flows.certificates.stationary.family`.
        """
        if not self.found:
            return None
        vector = np.ascontiguousarray(self.state).view(float).ravel()
        derivatives = _derivatives(self.system, self.state)
        with threadpool_limits(1):
            return dimension(*derivatives, vector, self.resolution)

    def sentence(self) -> str:
        """Describe it: its kind and loss, alone or in a family."""
        if not self.found:
            return f"no critical point was found: {self.reason}"
        size = max(float(np.abs(self.eigenvalues).max(initial=0.0)), self.resolution)
        scale = max(float(np.linalg.norm(self.state)), 1.0)
        zero = self.system.nonnegative and self.loss <= ROUNDED * size * scale**2
        kind = {
            "minimum": "a strict local minimum",
            "maximum": "a strict local maximum",
            "saddle": f"a saddle of index {self.index}",
            "degenerate": "a critical point without a falling direction of curvature",
        }[self.kind]
        flat = int((np.abs(self.eigenvalues) <= self.resolution).sum())
        if zero:
            kind = "a global minimum"
        loss = "loss 0" if zero else f"loss {self.loss:.10g}"
        return f"{kind}, {loss}, {surroundings(self.family, flat)}"

    def __repr__(self) -> str:
        """Say what it is in a line."""
        if not self.found:
            return f"StationaryPoint({self.system.name}: not found, {self.reason})"
        return (
            f"StationaryPoint({self.system.name}: {self.kind} of index {self.index}, loss"
            f" {self.loss:.10g}, eigenvalues from {self.eigenvalues[0]:.6g} to"
            f" {self.eigenvalues[-1]:.6g})"
        )


def stationary(system: System, near: Any, *, reach: float | None = None) -> StationaryPoint:
    r"""Find a critical point, :math:`\nabla L = 0`, near a state, with its spectrum and index.

    Parameters
    ----------
    system : System
        Any system or loss of one's own.
    near : array_like
        State in the user's parameters, of the shape of a start.
    reach : float, optional
        How far Newton's method may go; by default one more than the length of the state.

    Returns
    -------
    StationaryPoint
        With ``kind = "not found"`` and a ``reason`` where Newton's method fails.

    Raises
    ------
    InputError
        For a state of another shape, or one at which the loss has no Hessian.

    Assumptions
    -----------
    Twice differentiable near the point. Where critical points form a surface, one of it is found.

    Accuracy
    --------
    The gradient vanishes to rounding. Eigenvalues have the error ``resolution``.

    Examples
    --------
    >>> import flows
    >>> found = flows.stationary(flows.GMMEM(n=1, d=2), [[0.1, 0.2]])
    >>> found.kind, found.index
    ('minimum', 0)
    """
    checked_system(system)
    start = system.check_start(near)
    vector = np.ascontiguousarray(start).view(float).ravel()
    if reach is not None and not (is_real(reach) and reach > 0):
        raise InputError(f"reach: expected a length above 0, got {reach!r}; give another")
    far = 1.0 + float(np.linalg.norm(vector)) if reach is None else float(reach)

    with threadpool_limits(1):  # matrices are small: threads cost more than they give
        found = newton(*_derivatives(system, start), vector, far)
        eigenvalues: Array = np.linalg.eigvalsh(found.hessian).astype(float)
    largest = float(np.abs(eigenvalues).max(initial=0.0))
    resolution = max(RESOLVED * largest, SETTLED * found.change)
    index = int((eigenvalues < -resolution).sum())
    state = found.state.view(start.dtype).reshape(start.shape)
    return StationaryPoint(
        system,
        state,
        float(system.loss(state)),
        length_of(found.gradient),
        eigenvalues,
        resolution,
        index,
        _kind(eigenvalues, resolution) if not found.reason else "not found",
        float(np.linalg.norm(found.state - vector)),
        found.reason,
    )


def _derivatives(system: System, like: NDArray[Any]) -> tuple[Derivative, Derivative]:
    """Gradient and Hessian of the state as a vector of real numbers."""

    def shaped(x: Array) -> NDArray[Any]:
        return x.view(like.dtype).reshape(like.shape)

    def gradient(x: Array) -> Array:
        found = np.ascontiguousarray(system.gradient(shaped(x)), dtype=like.dtype)
        return found.view(float).ravel()

    return gradient, lambda x: system.hessian(shaped(x))


def _kind(eigenvalues: Array, resolution: float) -> str:
    if (eigenvalues > resolution).all():
        return "minimum"
    if (eigenvalues < -resolution).all():
        return "maximum"
    return "saddle" if (eigenvalues < -resolution).any() else "degenerate"


def _setting(system: System, state: NDArray[Any]) -> tuple[Setting, Array]:
    """What fixes the loss, and the moving vectors, as the file of the system here says it."""
    if system.name not in POINTS:
        raise InputError(
            f"certify: there is no proof of critical points of {system.name}, only of"
            f" {', '.join(POINTS)}; leave it out"
        )
    file = import_module(f"flows.certificates.stationary.{system.name}")
    found: tuple[Setting, Array] = file.setting(system, state)
    return found
