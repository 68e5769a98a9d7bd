r"""Independent check that a neuron reaches zero and stays, while the others flow on.

Equation 4 of Xu & Du says ``|w_i|' <= -D(w_i/|w_i|)``, where a neuron ``u`` beside the others has

    grad D(u) = (sum_j w_j - v)/2 + (1/2pi) sum_j mu_j ( |w_j| sin(theta_j) u/|u| - theta_j w_j ),

``D(u) = <grad D(u), u>``, over the other neurons and the teacher (``mu = -1``), at angles
``theta_j`` with ``u``. It is the mean of ``ReLU(u x) f(x)`` over normal ``x``, ``f`` the network
less the teacher, so that its derivative by each ``w_j`` has the length ``|u|/2`` at most. If
``D(u) >= m |u|`` for *all* ``u``, whatever the others are within ``reach`` of where they are now,
then ``w_i`` is at zero after ``h = |w_i|/m``, and cannot leave: ``|w_i|' <= -m`` wherever it is not
zero. The others move no further than ``reach`` in that time. A neuron of length ``|w_i|`` adds at
most ``|w_i|/2`` to each of their velocities, so afterwards they are on a flow without it that was
within ``e^(l h) sqrt(n - 1) |w_i| h/2`` of them at first, ``l`` a bound of their Hessian. Pieces of
this flow go on, as if it began there.

``D`` is checked on the faces of a cube about zero, which all directions meet, in cells on which
Taylor's theorem decides.
"""

import copy
from typing import Any, NamedTuple

import numpy as np
from flint import arb

from flows.certificates.verifier.angles import angle, area
from flows.certificates.verifier.curve import UNIT, norm
from flows.certificates.verifier.reading import integer, number, require
from flows.certificates.verifier.segment import check

CELLS = 20000  # at most


class Gone(NamedTuple):
    """A neuron that reaches zero, and between which times."""

    neuron: int
    first: float
    last: float


class Left(NamedTuple):
    """The neurons that are left: their flow, pieces, and balls at the ends of these."""

    flow: Any
    pieces: Any
    ends: Any
    gone: Gone


def at_zero(data: Any, flow: Any, pieces: Any, ends: Any, bits: int, radius: float) -> Left:
    """Check that a neuron vanishes after the pieces, and the pieces of the others.

    Raises
    ------
    Refused
        With the inequality that fails.
    """
    index, slope, reach = data["neuron"], arb(number(data["slope"])), arb(number(data["reach"]))
    fits = type(index) is int and 0 <= index < flow.n and flow.n > 1 and slope > 0 and reach > 0
    require(fits, "no neuron, slope or reach is stated that can be")
    tick, error = integer(pieces[-1]["end"]), arb(number(pieces[-1]["error"]))
    size = norm(ends[-1][index]).upper()
    near = np.delete(ends[-1], index, axis=0)
    box = near + reach * UNIT
    others = without(flow, np.delete(values(pieces[-1], bits, ends[-1]), index, axis=0))
    # D moves by half of how far each of the others does.
    moved = arb(flow.n - 1).sqrt() * (reach + error) / 2
    falls(others.start.reshape(near.shape), flow.v, slope + moved, flow.d > len(flow.v))
    lasting = (size / slope).upper()
    stiff = norm(others.hessian(box.ravel()).ravel())
    push = pull_on(flow.n - 1, size)
    require(2 * lasting * (_speed(box, flow.v) + push) < reach, "the others may move further")
    extra = (stiff * lasting).exp() * push * lasting
    now, after = (arb((x, -bits)).expm1() for x in (tick, integer(data["pieces"][0]["end"])))
    require(lasting <= after - now, "the neuron may not be at zero when a piece ends")
    check(others, 0.0, bits, data["pieces"], radius, tick, error + extra)
    found = [values(x, bits, near) + UNIT * number(x["error"]) for x in data["pieces"]]
    until = float((now + lasting).upper())
    return Left(others, data["pieces"], found, Gone(index, float(now.lower()), until))


def pull_on(others: int, size: arb) -> arb:
    """Bound of what a neuron of some length adds to the velocity of so many others.

    It is attained where all are parallel: half the length, on each.
    """
    return arb(others).sqrt() * size / 2


def values(piece: Any, bits: int, like: Any) -> Any:
    """End of a piece, in rows."""
    rows = ([arb((integer(c), -bits)) for c in row] for row in piece["coefficients"])
    return np.array([sum(row, arb(0)) for row in rows]).reshape(like.shape)


def falls(w: Any, v: Any, slope: arb, more: bool) -> None:
    """Require ``D(u) >= slope |u|`` for all ``u``, also in one direction that nothing spans.

    Raises
    ------
    Refused
        Where it is not proved.
    """
    others = [np.array([*x, *([arb(0)] * more)]) for x in (*w, v)]
    bend = _bend(w, v)
    q, cells, left = len(others[0]), [], CELLS
    for axis in range(q):
        for sign in (-1.0, 1.0):
            centre, half = np.zeros(q), np.ones(q)
            centre[axis], half[axis] = sign, 0.0
            cells.append((centre, half))
    while cells:
        centre, half = cells.pop()
        left -= 1
        require(left > 0, "a neuron may not fall to zero: too many directions are undecided")
        u = np.array([arb(x) for x in centre])
        around = u + np.array([arb(x) for x in half]) * UNIT
        slopes = gradient(u, others)
        value = slopes @ u
        lost = [(abs(g) + bend * h / 2) * h for g, h in zip(slopes, half, strict=True)]
        if value - sum(lost, arb(0)) >= slope * norm(around).upper():
            continue
        require(not value < slope * norm(u), f"a neuron may not fall to zero along {centre}")
        axis = int(np.argmax(half))
        less = half.copy()
        less[axis] /= 2
        for side in (-1, 1):
            moved = centre.copy()
            moved[axis] += side * less[axis]
            cells.append((moved, less))


def _bend(w: Any, v: Any) -> arb:
    """Bound of the second derivative of ``D`` at vectors of length one or more.

    It is ``E f(x) x x^T`` over the normal ``x`` across ``u``, over ``sqrt(2 pi) |u|``. With ``w_j =
    l_j v + d_j``, ``l_j >= 0``, ``|f(x)|`` is at most the sum of all ``|d_j x|`` and of ``|(sum l_j
    - 1) v x|``; ``E |a x| (b x)^2 <= |a| |b|^2 E |g|^3`` by Hoelder, ``E |g|^3 = 2 sqrt(2/pi)``.
    """
    along = [max(float((x @ v).mid() / (v @ v).mid()), 0.0) for x in w]
    size = abs(sum(map(arb, along), arb(-1))) * norm(v)
    size += sum((norm(x - arb(a) * v) for x, a in zip(w, along, strict=True)), arb(0))
    return 2 / arb.pi() * size


def gradient(u: Any, others: Any) -> Any:
    """Gradient of ``D`` at ``u``, of the other neurons and the teacher, the last one."""
    half = (sum(others[:-1], -others[-1])) / 2
    square, along, pull = u @ u, arb(0), 0 * u
    for w, mu in zip(others, [1] * (len(others) - 1) + [-1], strict=True):
        size = abs(area(u, w))
        along += mu * size
        pull = pull + mu * angle(size, u @ w) * w
    return half + (along / square * u - pull) / (2 * arb.pi())


def _speed(w: Any, v: Any) -> arb:
    """Bound the velocity of neurons in a box, of the flow of these alone."""
    total = arb(0)
    for k, u in enumerate(w):
        own = gradient(u, [*np.delete(w, k, axis=0), v]) + u / 2
        total += own @ own
    return total.nonnegative_part().sqrt()


def without(flow: Any, rows: Any) -> Any:
    """The flow of all neurons but one, from where the pieces before end."""
    made = copy.copy(flow)
    made.n, made.start = flow.n - 1, rows.ravel()
    made.pairs = [(i, j) for i, j in flow.pairs if j < flow.n]
    return made
