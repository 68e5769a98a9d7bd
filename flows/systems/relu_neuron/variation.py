r"""What the flow makes of errors of steps: they follow the variational equation of the run.

An error `e` of the neurons follows, to first order,

.. math:: \dot e = -H(t)\, e, \qquad e(t) = \Phi(t, s)\, e(s)

with the Hessian `H` of the loss. Where the loss falls exponentially and a far neuron then turns
round, where transverse parts fall together, or a neuron passes by zero, errors stay or grow while
all else becomes small, so that they are a larger part of it. With what steps leave,

.. math:: E(t) = \Big[\sum_{s \le t} \sum_c (\nabla L(t) \cdot \Phi(t, s)\, e_c)^2
          \sigma_c(s)^2\Big]^{1/2}

is the error of the loss in units of the tolerance of a step, `\sigma_c` being the error of a
coordinate `e_c` of the chart (:mod:`flows.systems.relu_neuron.asked`). Errors of the outputs before
are carried from output to output with `\exp(-H\,\Delta t/2)` of both. Two solutions are known,
whatever happens in between: the velocity, and, where one neuron is beside the teacher and all
others are short, what is left itself, `x`, in which the flow is homogeneous. Errors are split into
these two and a rest. The second one is a solution but for its defect `-H x - \dot x`, which is of
second order in `x`: where both hardly differ, what lies across them both is known to no more than
the defect leaves of their difference.
"""

from __future__ import annotations

import functools
import math
from collections.abc import Callable
from typing import NamedTuple, cast

import numpy as np
from numpy.typing import NDArray

from flows.core.arrays import Array, lengths
from flows.systems.relu_neuron import geometry
from flows.systems.relu_neuron.asked import asked
from flows.systems.relu_neuron.charted import charted, rest_of
from flows.systems.relu_neuron.state import Frame, SoundState

__all__ = ["Carried", "carried"]

# Between outputs that are further apart than this nothing is known to grow.
APART = 2.0
# Largest exponent of a growth between outputs; beyond it, an output more was needed.
STEEPEST = 20.0
# Two known solutions are two where the defect of one is below this part of their difference.
FAITHFUL = 0.1
# Steps between two outputs whose errors add up; measured, of 1798 random members.
STEPS = 5.0
# A neuron goes to zero at this part, at least, of the speed that it had at the last output.
SLOWER = 0.5
# Most unknowns: eigenvectors of more would take longer than the run.
MOST = 40
# Numbers of the errors of runs that are looked at together: they stay in the cache.
TOGETHER = 2**17


class Carried(NamedTuple):
    """What errors of steps have become, in units of their tolerance.

    ``loss``, ``rho`` (..., T): error of the loss and of the residual along the teacher; ``along``,
    ``across`` (..., T, k): of the two parts of each neuron.
    """

    loss: Array
    rho: Array
    along: Array
    across: Array


def carried(
    frame: Frame, states: SoundState, living: NDArray[np.bool_], t: Array, rtol: float
) -> Carried:
    """Errors of steps along a run, as far as its loss is no zero.

    Parameters
    ----------
    frame, states, t : Frame, SoundState, ndarray
        Of the run, at ``T`` times; of several runs, one a leading axis.
    living : ndarray of bool, shape (..., T)
        Where the loss is above zero.
    rtol : float
        Tolerance of a step.
    """
    count, q = states.h.shape[-1], 1 + states.z.shape[-1]
    size = count * q
    found = Carried(*np.zeros((2, *t.shape)), *np.zeros((2, *t.shape, count)))
    if q == 1 or size > MOST:
        return found
    last = np.atleast_1d(np.where(living.all(axis=-1), t.shape[-1], np.argmin(living, axis=-1)))
    for end in np.unique(last[last > 1]).tolist():
        runs, most = np.flatnonzero(last == end), max(1, TOGETHER // (end * size**2))
        for i in range(0, len(runs), most):
            some = (runs[i : i + most], slice(end)) if t.ndim > 1 else (None, slice(end))
            one = _carried(frame.multiplicity, states.at(some), t[some], rtol)
            for whole, part in zip(found, one, strict=True):
                whole[some] = part
    return found


@np.errstate(all="ignore")
def _carried(multiplicity: Array, states: SoundState, t: Array, rtol: float) -> Carried:
    """Errors along runs whose losses are no zeros, one a leading axis."""
    runs, last, count = states.h.shape
    neurons = states.neurons
    q, root = neurons.shape[-1], np.sqrt(multiplicity)[:, None]
    size = count * q
    velocity = -geometry.gradient(multiplicity, states)
    rest, beside = rest_of(multiplicity, states)
    jacobians = _jacobians(multiplicity, states, rest, beside)
    # A neuron may be too short for quotients by its length.
    jacobians = np.where(np.isfinite(jacobians), jacobians, 0.0)
    rates, modes = np.linalg.eigh(jacobians)
    # Half of the time from each output to the next one, and from the one before.
    step = np.diff(t, append=t[:, -1:])[..., None] / 2
    most = np.full(step.shape, 0.0)
    most[:, :-1, 0] = np.where(t[:, 1:] > APART * t[:, :-1], 0.0, STEEPEST)
    leaving = np.exp(np.minimum(rates * step, most))
    arriving = np.exp(np.minimum(rates * np.roll(step, 1, axis=1), np.roll(most, 1, axis=1)))
    alive, ahead = np.asarray(neurons.any(axis=-1, keepdims=True)), np.zeros_like(neurons)
    ahead[..., 0] = root[:, 0]
    known = velocity * root, rest * root, ahead, alive + 0 * neurons, 0 * neurons
    vectors = np.stack(known, axis=1).reshape(runs, 5, last, size)
    errors = asked(multiplicity, states, velocity, rest, beside, t, rtol) * root
    errors = errors.reshape(runs, last, size, size)
    seen, parts = np.zeros((runs, last, 2)), np.zeros((runs, last, size))
    defect = np.abs(np.einsum("rtab,rtb->rta", jacobians, vectors[:, 1]) - vectors[:, 0])
    vectors[:, 4, 1:] = (defect[:, :-1] + defect[:, 1:]) * step[:, :-1]
    carry = _carrying()
    for run in zip(modes, leaving, arriving, vectors, errors, seen, parts, strict=True):
        carry(*run)
    # What has grown beyond all doubles is not known at all.
    seen, parts = (np.where(np.isnan(x), np.inf, x) for x in (seen, parts))
    each = parts.reshape(neurons.shape) / root
    each = np.stack([each[..., 0], lengths(each[..., 1:])], axis=-1)
    # The time at which a neuron reaches zero is off: so far it is off itself until then, and after.
    dead = ~alive[..., 0]
    dies = dead[:, -1:]
    if dies.any():
        late, so_far = _late(dead, velocity, t, each, rtol), np.maximum.accumulate(each, axis=1)
        each = np.where(dies[..., None], np.where(dead[..., None], late, so_far), each)
        vanished = np.where(dead & dies, multiplicity * each[..., 0], 0.0)
        seen[..., 1] += vanished.sum(axis=-1)
    return Carried(seen[..., 0], seen[..., 1], each[..., 0], each[..., 1])


def _late(dead: NDArray[np.bool_], velocity: Array, t: Array, errors: Array, rtol: float) -> Array:
    """Errors of neurons that have died for good, shape (..., T, k, 2).

    They may get to zero later, by the time that it takes them to go as far as they were off.
    """
    end = t.shape[-1] - 1
    alive = end - np.argmax(~dead[..., ::-1, :], axis=-2, keepdims=True)
    errors, velocity = (np.take_along_axis(x, alive[..., None], -3) for x in (errors, velocity))
    since = t[..., None] - np.take_along_axis(t[..., None], np.minimum(alive + 1, end), axis=-2)
    length, speed = STEPS * rtol * lengths(errors), lengths(velocity)
    left = np.clip(1.0 - SLOWER * speed * since / np.where(length > 0, length, 1.0), 0.0, 1.0)
    return errors * left[..., None]


def _jacobians(
    multiplicity: Array, states: SoundState, rest: Array, beside: NDArray[np.bool_]
) -> Array:
    """Jacobians of the flow of neurons times the roots of their multiplicities, symmetric."""
    *times, count, q = rest.shape
    found = np.zeros((math.prod(times), count, q, count, q))
    shapes = (-1, count), (-1, count, q - 1), (-1, q)
    parts = zip((states.h, states.z, states.r), shapes, strict=True)
    every = SoundState(*(x.reshape(shape) for x, shape in parts))
    for some in charted(multiplicity, every, rest.reshape(-1, count, q), beside.ravel()):
        there = np.kron(some.there / np.sqrt(multiplicity[some.alive]), np.eye(q))
        blocks = np.linalg.inv(there) @ some.jacobians @ there
        blocks = (blocks + blocks.transpose(0, 2, 1)) / 2
        blocks = blocks.reshape(-1, *[len(some.alive), q] * 2)
        each = np.arange(q)
        found[np.ix_(some.which, some.alive, each, some.alive, each)] = blocks
    return found.reshape(*times, count * q, count * q)


def _carry(modes, leaving, arriving, vectors, errors, seen, parts):  # type: ignore[no-untyped-def]
    """Carry errors from output to output; what is seen of them, at each."""
    velocity, rest, ahead, alive, defect = vectors
    times, size = velocity.shape
    left = np.zeros((2 * size, size))  # a row for each error, the triangle of all before first
    moved = np.empty(size)
    known = np.zeros((4, size))
    scale = np.empty(size)
    part = np.empty(2)
    for a in range(size):
        for e in range(size):
            left[e, a] = errors[0, e, a]
            parts[0, a] = math.hypot(parts[0, a], left[e, a])
    for k in range(1, times):
        for a in range(size):
            length = 0.0  # squares may underflow
            for e in range(size):
                left[e, a] *= alive[k, a]
                length = math.hypot(length, left[e, a])
            scale[a] = length if length > 0.0 else 1.0
        # The known solutions before and now, the former orthogonal in units of the errors.
        count, wrong = 0, 0.0
        for which in range(2):
            source = rest if which == 0 else velocity
            first, square, still = 2 * count, 0.0, False
            for a in range(size):
                known[first, a] = source[k - 1, a] * alive[k, a] / scale[a]
                known[first + 1, a] = source[k, a] / scale[a]
                square += known[first, a] * known[first, a]
                still = still or source[k, a] != 0.0
            whole = math.sqrt(square)
            if whole == 0.0 or not still:
                continue
            for a in range(size):
                known[first, a] /= whole
                known[first + 1, a] /= whole
            if which == 0:
                for a in range(size):
                    wrong = math.hypot(wrong, defect[k, a] / scale[a] / whole)
            for other in range(count):
                along = 0.0
                for a in range(size):
                    along += known[first, a] * known[2 * other, a]
                wrong *= abs(along)
                for a in range(size):
                    known[first, a] -= along * known[2 * other, a]
                    known[first + 1, a] -= along * known[2 * other + 1, a]
            square = 0.0
            for a in range(size):
                square += known[first, a] * known[first, a]
            length = math.sqrt(square)
            if length < 1e-10 or (count > 0 and wrong > FAITHFUL * length):
                continue
            for a in range(size):
                known[first, a] /= length
                known[first + 1, a] /= length
            count += 1
        for e in range(size):
            for which in range(count):
                along = 0.0
                for a in range(size):
                    along += known[2 * which, a] * left[e, a] / scale[a]
                part[which] = along
                for a in range(size):
                    left[e, a] -= along * known[2 * which, a] * scale[a]
            for step in range(2):
                row = k - 1 + step
                for m in range(size):
                    along = 0.0
                    for a in range(size):
                        along += modes[row, a, m] * left[e, a]
                    moved[m] = along * (leaving[row, m] if step == 0 else arriving[row, m])
                for a in range(size):
                    along = 0.0
                    for m in range(size):
                        along += modes[row, a, m] * moved[m]
                    left[e, a] = along
            for a in range(size):
                for which in range(count):
                    left[e, a] += part[which] * known[2 * which + 1, a] * scale[a]
        for e in range(size):
            for a in range(size):
                left[size + e, a] = errors[k, e, a]
        # As few errors that add up to the same: rotations make the rows a triangle again.
        for a in range(size):
            for e in range(a + 1, 2 * size):
                if left[e, a] != 0.0:
                    both = math.hypot(left[a, a], left[e, a])
                    cosine, sine = left[a, a] / both, left[e, a] / both
                    for b in range(a, size):
                        top, low = left[a, b], left[e, b]
                        left[a, b] = cosine * top + sine * low
                        left[e, b] = cosine * low - sine * top
                    left[e, a] = 0.0
        for a in range(size):
            along, across = 0.0, 0.0
            for b in range(size):
                along += left[a, b] * velocity[k, b]
                across += left[a, b] * ahead[k, b]
                parts[k, a] = math.hypot(parts[k, a], left[b, a])
            seen[k, 0] = math.hypot(seen[k, 0], along)
            seen[k, 1] = math.hypot(seen[k, 1], across)


@functools.cache
def _carrying() -> Callable[..., None]:
    from flows.arithmetic.kept import kept, outer  # Numba loads where it is first needed
    from flows.arithmetic.signatures import signature_of

    stack, matrix = "real 3", "real 2"
    signature = signature_of(stack, matrix, matrix, stack, stack, matrix, matrix)
    make = functools.partial(outer, _carry)
    return cast("Callable[..., None]", kept(("errors carried by", _carry), signature, make))
