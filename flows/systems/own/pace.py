"""How errors of a run in doubles grow, and how much earlier or later it may be."""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np

from flows.core.arrays import Array
from flows.core.symmetric import eigen
from flows.systems.own.growth import LARGEST, MOST_GROWTH
from flows.systems.own.sound_state import TRUSTED
from flows.systems.own.stretch import stretched

__all__ = ["TINY", "Pace"]

# Curvatures are looked at anew where entries have moved by this part of the largest, or where this
# part of the time, or of the time in which errors grow by a factor e, has passed.
TURNED, SOON = 0.05, 0.25
# A curvature that is this part of the largest second derivative may be rounding.
ROUNDED = 1e-14
#: The smallest double that has all bits.
TINY = float(np.finfo(float).tiny)


@dataclass
class Pace:
    """How much earlier or later a run may be, from one step to the next.

    Where the loss curves downward, what steps leave across the flow grows like `exp(-h t)`, `h`
    being the curvature, until the flow turns there: beside a saddle it decides when the run goes
    on. From then on it is a delay, its length over the speed, and nothing later mends that.

    Parameters
    ----------
    t, raw : float, ndarray
        The last state that was looked at closely.
    axes, hessian, curvature, error : ndarray
        Columns along which the loss curves downward there, the curvatures, the errors along them,
        and the Hessian.
    unit : float
        Time in which the steepest curvature acts, where the run is looked at first.
    taus, late, grown, stretch : list
        Solver times of the looks; at each, how much earlier or later the run may be, how far its
        entries may be off, and the integral of :mod:`flows.systems.own.stretch`.
    lost : bool
        Whether nothing is known of the run any more.
    """

    t: float
    raw: Array
    axes: Array | None = None
    hessian: Array | None = None
    unit: float = 0.0
    curvature: Array = field(default_factory=lambda: np.zeros(0))
    error: Array = field(default_factory=lambda: np.zeros(0))
    taus: list[float] = field(default_factory=list)
    late: list[float] = field(default_factory=list)
    grown: list[Array] = field(default_factory=list)
    stretch: list[float] = field(default_factory=list)
    lost: bool = False

    def due(self, t: float, raw: Array) -> bool:
        """Whether the run has moved far enough since the last look for another one."""
        moved, passed = float(np.abs(raw - self.raw).max()), t - self.t
        if moved > TURNED * float(np.abs(self.raw).max()) or passed > SOON * t:
            return True
        return -passed * float(self.curvature.min(initial=0.0)) > SOON

    def note(self, tau: float, t: float, raw: Array, hessian: Array, left: Array) -> None:
        """Carry errors on to a state, in whose entries steps leave so much."""
        # Only the negative ones: where there are none, half the work is saved.
        least = -max(TINY, ROUNDED * float(np.abs(hessian).max()))
        h, axes = eigen(hessian, below=least)
        passed = t - self.t
        late, error = self.late[-1] if self.late else 0.0, _turned(axes.T, left)
        self.unit = self.unit or 1 / max(TINY, float(np.abs(hessian).max()))
        stretch = self.stretch[-1] if self.stretch else 0.0
        if self.axes is not None and self.hessian is not None:
            times = self.unit + np.array([self.t, t])
            both = np.array([self.hessian, hessian])
            stretch += float(stretched(times, (raw - self.raw)[None], both)[-1])
            grows = np.minimum(-self.curvature * passed, MOST_GROWTH)
            before = np.minimum(self.error * np.exp(grows), LARGEST)
            error = np.maximum(error, _turned(axes.T @ self.axes, before))
            moved = raw - self.raw
            length = float(np.linalg.norm(moved))
            parts = moved @ self.axes
            along = float(np.linalg.norm(parts * before))
            if along > 0:
                delay = along / length**2 * passed
                late = max(late, min(delay, t))
                # The flow falls off a saddle, and on which side is not known.
                fastest = -float(self.curvature.min())
                falls = float(np.linalg.norm(parts)) > length / 2
                self.lost = self.lost or (falls and delay * fastest > TRUSTED)
        self.t, self.raw, self.axes, self.curvature, self.error = t, raw, axes, h, error
        self.hessian = hessian
        self.taus.append(tau)
        self.late.append(late)
        self.stretch.append(stretch)
        self.grown.append(np.full_like(raw, LARGEST) if self.lost else _turned(axes, error))

    def at(self, tau: Array | float) -> tuple[Array, Array, Array]:
        """Return the delay, the errors of entries, and the integral of stretch, at solver times."""
        when = np.searchsorted(self.taus, tau, side="right")
        # Between two looks, the larger of both: a solver may pass a saddle in one step.
        then = np.minimum(when + 1, len(self.taus))
        late = np.array([0.0, *self.late])
        grown = np.stack([np.zeros_like(self.raw), *self.grown])
        stretch = np.asarray(np.interp(tau, [0.0, *self.taus], [0.0, *self.stretch]))
        return np.maximum(late[when], late[then]), np.maximum(grown[when], grown[then]), stretch


def _turned(axes: Array, error: Array) -> Array:
    """Errors along other axes, as independent ones: turned again and again, they do not grow."""
    scale = float(error.max(initial=0.0)) or 1.0
    found: Array = scale * np.sqrt(axes**2 @ (error / scale) ** 2)
    return found
