"""Clocks: time and scales in which a tail is of order one.

A flow that decays like a power of ``t`` for twelve decades is hopeless in ``t`` and in its own
variables: steps cannot grow, and no absolute tolerance fits. In log-time, with the slow blocks
scaled by their own decay, every quantity is of order one and a single tolerance serves for ever.
This module is the only place where that happens, for any system and any solver: a system gives
its raw field and Jacobian, a :class:`Chart` turns them into the solver's field.

Power clock, for algebraic decay::

    t = t_start + expm1(tau),    x_i = y_i (T0 + t - t_start)^(-p_i)

Exponential clock, for linear decay (relative accuracy down to the smallest double)::

    t = t_start + tau,           x_i = y_i exp(-p_i (t - t_start))

where ``x`` is the raw state, ``y`` the solver's state and ``p`` the decay exponents. Only *slow*
blocks are scaled: a slaved block scaled by its own faster decay would amplify its rounding noise.
"""

from __future__ import annotations

import contextlib
import functools
import gc
import math
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any, NamedTuple, cast

import numpy as np
from numpy.typing import NDArray

from flows.core.arrays import Array
from flows.core.axis_field import AxisField

# exp(-700) = 1e-304: a component that has decayed this far stays where it is instead of
# overflowing the inverse scale.
FROZEN = 700.0
# A slaved block falls faster than the power that scales it: what matters of it, relative to its
# first size, shrinks like the root of time, and after so long a time the tolerance is above it.
LASTS = 1e14
# The raw state of N numbers is the head of an array of ROOM N numbers, where a raw field works:
# arrays of its own would cost a cold start 0.15 s. Duals take more, where a Jacobian is wanted.
ROOM, DUAL_ROOM = 10, 200

# A raw field sees bare pointers, and its caller sees a pointer to it: arrays with their shapes, and
# code that is optimised once more inside its caller, cost a cold start half a second.
RAW_SIGNATURE = "void(CPointer(f8), CPointer(f8), CPointer(i8), CPointer(f8), CPointer(f8), b1)"
WRAPPED_SIGNATURE = "void(f8, f8[::1], b1, f8, f8[::1], f8[::1], i8[::1], f8[::1], f8[:,::1], b1)"


@dataclass(frozen=True)
class Clock:
    """The change of time and scale between a raw state and the solver's state.

    Parameters
    ----------
    t_start : float
        Time of the first state.
    decay : ndarray, shape (N,)
        Decay exponents of the components: powers of time, or rates on an exponential clock.
    offset : float
        ``T0`` of the power clock.
    exponential : bool
        Which of the two clocks this is.
    unit : float
        Time in which the power clock begins to be logarithmic, ``t = t_start + unit expm1(tau)``;
        compiled clocks (:func:`wrap`) know 1 alone.
    """

    t_start: float
    decay: Array
    offset: float = 1.0
    exponential: bool = False
    unit: float = 1.0

    def tau(self, t: Array | float) -> Any:
        """Solver time of the time ``t``."""
        return self.after(np.asarray(t, dtype=float) - self.t_start)

    def after(self, since: Array | float) -> Any:
        """Solver time so long after the first state."""
        return since if self.exponential else np.log1p(since / self.unit)

    def time(self, tau: Array | float) -> Any:
        """Time of the solver time ``tau``."""
        since = np.asarray(tau, dtype=float)
        return self.t_start + (since if self.exponential else self.unit * np.expm1(since))

    def outlived(self, lasts: float = LASTS) -> float:
        """Solver time after which sizes of blocks that were chosen at the start fit no longer."""
        return math.inf if self.exponential else math.log1p(lasts * max(1.0, self.offset))

    def factor(self, tau: float, decay: float) -> float:
        """Factor ``x / y`` of one component with this decay exponent."""
        if self.exponential:
            return math.exp(-min(decay * tau, 1e3))
        return float((self.offset + math.expm1(tau)) ** -decay)

    def scale(self, tau: Array | float) -> Array:
        """Factors ``x / y``, shape (..., N)."""
        since = np.asarray(tau, dtype=float)[..., None]
        if self.exponential:
            return np.exp(-np.minimum(self.decay * since, 1e3))
        return (self.offset + np.expm1(since)) ** -self.decay


class Lanes(NamedTuple):
    """A raw field for many members side by side, the last axis of its arrays.

    ``make_field(lanes)`` compiles ``field(x, weights, shape, out, work)``; ``workspace(shape)`` is
    the number of rows of ``work``. ``alone`` says that the field gains nothing from lanes;
    ``patience`` is the number of explicit steps above which other steps take less time where
    stability binds. ``look()``, if there is one, compiles ``look(x, weights, shape, work)``: of one
    lane alone, whether its piece should end, so that no steps are taken in vain.
    """

    make_field: Callable[[int], Callable[..., None]]
    workspace: Callable[[NDArray[np.int64]], int]
    alone: bool = False
    patience: int = 4000
    look: Callable[[], Callable[..., Any]] | None = None


@dataclass(frozen=True)
class Chart:
    """One smooth piece of a run, ready for a solver.

    Parameters
    ----------
    clock : Clock
        Time and scales.
    x0 : ndarray, shape (N,)
        Raw state at ``clock.t_start``.
    size : ndarray, shape (N,)
        Magnitude below which a component of the raw state does not matter; the absolute
        tolerance is relative to it.
    field : callable
        Compiled raw field wrapped by :func:`wrap`.
    weights, shape : ndarray
        Constant arguments of the raw field.
    krylov : bool
        Whether linear systems are to be solved by iteration: the Jacobian is too large to factor.
    lanes : Lanes, optional
        The raw field for many members at once.
    explicit : Lanes, optional
        The raw field for many members at once, where explicit steps serve: they need no Jacobian.
    auto : tuple of (str, float)
        What the method ``auto`` tries here, as :attr:`flows.core.system.System.auto`; that of the
        system where it is empty.
    axis_field : AxisField, optional
        The flow as data for compiled steps.
    slack : ndarray, shape (N,), optional
        Factors of absolute tolerances for steps that damp the errors of slaved directions.
    """

    clock: Clock
    x0: Array
    size: Array
    field: Callable[..., None]
    weights: Array
    shape: NDArray[np.int64]
    krylov: bool = False
    lanes: Lanes | None = None
    explicit: Lanes | None = None
    auto: tuple[tuple[str, float], ...] = ()
    axis_field: AxisField | None = None
    slack: Array | None = None

    @property
    def compiled(self) -> bool:
        """Whether the field is machine code, so that compiled steps need little more."""
        return hasattr(self.field, "overloads")

    @functools.cached_property
    def first(self) -> Array:
        """Factors ``x / y`` at the start."""
        return self.clock.scale(0.0)

    @property
    def y0(self) -> Array:
        """Solver's state at the start."""
        return self.x0 / self.first

    def raw(self, tau: Array | float, y: Array) -> Array:
        """Raw state of the solver's state ``y`` at ``tau`` (both may carry a leading axis)."""
        return self.clock.scale(tau) * y

    @functools.cached_property
    def _constants(self) -> tuple[object, ...]:
        """Arguments of the field that stay the same from call to call."""
        clock = self.clock
        return clock.exponential, clock.offset, clock.decay, self.weights, self.shape

    def rhs(self, tau: float, y: Array) -> Array:
        """Right-hand side ``dy/dtau``."""
        out = np.empty(len(y))
        self.field(tau, y, *self._constants, out, _NO_JACOBIAN, False)
        return out

    def jacobian(self, tau: float, y: Array) -> Array:
        """Jacobian of :meth:`rhs`, shape (N, N); of expectations as good as steps need it."""
        size = len(y)
        out, matrix = np.empty(size), np.zeros((size, size))
        self.field(tau, y, *self._constants, out, matrix, True)
        return matrix


_NO_JACOBIAN = np.zeros((1, 1))


@contextlib.contextmanager
def uncollected() -> Iterator[None]:
    """No garbage collection, which would walk through all that SymPy holds again and again."""
    enabled = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if enabled:
            gc.enable()


@uncollected()
def wrap(raw: Callable[..., None], *, arrays: bool = False) -> Callable[..., None]:
    """Compile ``raw`` together with the clocks.

    Parameters
    ----------
    raw : callable
        ``raw(x, weights, shape, out, jacobian, want_jacobian)``, to be compiled by Numba. It fills
        ``out`` and, where wanted, ``jacobian``, which is zero before. The arrays are bare
        pointers, that of ``jacobian`` to its rows one after the other. What ``x`` and the
        ``ROOM - 1`` times as many numbers behind it hold may be overwritten, ``DUAL_ROOM - 1``
        times as many where the Jacobian is wanted.
    arrays : bool
        Whether it makes arrays of its own.

    Returns
    -------
    Numba function
        The same for the solver's state, with arguments ``(tau, y, exponential, offset, decay,
        weights, shape, out, jacobian, want_jacobian)``.
    """
    from flows.arithmetic.kept import inner, outer  # Numba loads where it is first needed

    compiled = inner(raw, RAW_SIGNATURE, counts=arrays)

    def wrapped(  # type: ignore[no-untyped-def]
        tau, y, exponential, offset, decay, weights, shape, out, jacobian, want_jacobian
    ):
        size = y.shape[0]
        since = tau if exponential else math.expm1(tau)
        speed = 1.0 if exponential else 1.0 + since
        base = 1.0 if exponential else offset + since
        scale = np.empty(size)
        x = np.empty((DUAL_ROOM if want_jacobian else ROOM) * size)
        for i in range(size):
            if i > 0 and decay[i] == decay[i - 1]:  # a power takes long
                scale[i] = scale[i - 1]
            elif not exponential:
                scale[i] = base ** -decay[i]
            elif decay[i] * since < FROZEN:
                scale[i] = math.exp(-decay[i] * since)
            else:
                scale[i] = math.exp(-FROZEN)
            x[i] = scale[i] * y[i]
        compiled(x.ctypes, weights.ctypes, shape.ctypes, out.ctypes, jacobian.ctypes, want_jacobian)
        for i in range(size):
            rate = decay[i] / base
            frozen = exponential and decay[i] * since >= FROZEN
            out[i] = 0.0 if frozen else speed * (rate * y[i] + out[i] / scale[i])
            if want_jacobian:
                for j in range(size):
                    jacobian[i, j] *= 0.0 if frozen else speed * scale[j] / scale[i]
                if not frozen:
                    jacobian[i, i] += speed * rate

    return cast("Callable[..., None]", outer(wrapped, WRAPPED_SIGNATURE))


@functools.cache
def wrapped_once(
    make_raw: Callable[[], Callable[..., None]], *, arrays: bool = False
) -> Callable[..., None]:
    """Wrapped field of ``make_raw()``, compiled once a version (:mod:`flows.arithmetic.kept`)."""
    from flows.arithmetic.kept import kept  # Numba loads where it is first needed

    def make() -> Callable[..., None]:
        return wrap(make_raw(), arrays=arrays)

    return cast("Callable[..., None]", kept(("field of", make_raw), WRAPPED_SIGNATURE, make))


def plainly(
    make_raw: Callable[[], Callable[..., None]], x: Array, weights: Array, shape: Any
) -> tuple[Array, Array]:
    """Slopes and Jacobians of raw states, shape (..., N), by the field that runs follow."""
    field, size, kind = wrapped_once(make_raw), x.shape[-1], np.array(shape)
    slopes, matrices, no_decay = np.empty(x.shape), np.zeros((*x.shape, size)), np.zeros(size)
    count = math.prod(x.shape[:-1])  # of a state without numbers, too
    rows = (array.reshape(count, *array.shape[x.ndim - 1 :]) for array in (x, slopes, matrices))
    for point, slope, matrix in zip(*rows, strict=True):
        field(0.0, point, False, 1.0, no_decay, weights, kind, slope, matrix, True)
    return slopes, matrices


def wrap_plain(raw: Callable[..., None]) -> Callable[..., None]:
    """Put the clocks around a field that is not compiled, like :func:`wrap`.

    For fields that consist of matrix products, where compiling gains nothing.

    Parameters
    ----------
    raw : callable
        As for :func:`wrap`.

    Returns
    -------
    callable
        With the arguments of :func:`wrap`'s result.
    """

    def wrapped(  # type: ignore[no-untyped-def]
        tau, y, exponential, offset, decay, weights, shape, out, jacobian, want_jacobian
    ):
        since = tau if exponential else math.expm1(tau)
        if exponential:
            speed, rate, frozen = 1.0, decay, decay * since >= FROZEN
            scale = np.exp(-np.minimum(decay * since, FROZEN))
        else:
            speed, rate, frozen = 1.0 + since, decay / (offset + since), np.zeros(len(y), bool)
            scale = (offset + since) ** -decay
        raw(scale * y, weights, shape, out, jacobian, want_jacobian)
        out[:] = np.where(frozen, 0.0, speed * (rate * y + out / scale))
        if want_jacobian:
            jacobian *= speed * scale / scale[:, None]
            jacobian[np.diag_indices(len(y))] += speed * rate
            jacobian[frozen] = 0.0

    return wrapped
