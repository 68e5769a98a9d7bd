"""The gradient flow of the ReLU neuron, once, for numbers of every kind.

Unit teacher along ``e_1``; neuron ``i`` has the parallel part ``h_i`` and the transverse part
``z_i`` in ``R^p``, ``q = 1 + p`` numbers. ``k`` distinct neurons, neuron ``i`` standing for
``mu_i`` coincident ones; the teacher is neuron ``k`` with ``mu_k = -1``, so that every sum runs
over one kind of thing. The state has ``k`` blocks of ``q`` numbers:

* direct chart: block ``i`` is neuron ``i``;
* residual chart: block 0 is the residual ``r = sum_j mu_j w_j`` (teacher included), block ``i``
  the deviation ``x_i = w_i - (v + r) / M``, ``M = sum_i mu_i``; neuron 0 follows from
  ``sum_i mu_i x_i = 0``. Near the optimum ``r`` is about ``theta^2``, so subtracting stored
  neurons would leave it with an error ``eps / theta^2``. And in

      r' = -M/2 r - sum_i mu_i e_i,        x_i' = -(e_i - mean e),

  ``e_i`` being what the pairs contribute to the gradient, the stiff linear part acts on ``r``
  alone: the slow deviations do not feel it;
* parallel chart, for neurons that all lie along the teacher: block 0 is the residual of those on
  its side, block 1 the sum of those opposite, both linear: ``x' = -M/2 x``;
* lone chart, for one neuron beside the teacher and others on the far side: block 0 is
  ``d = mu_0 w_0 - v``, block ``i`` the far neuron ``w_i``. All of them decay alike;
* chart of short neurons beside a lone one: block 0 is the residual ``r``, block ``i`` the deviation
  ``w_i - r/M``.

What a pair contributes is derived (:func:`symbolic.systems.relu_neuron.pair.pair_gradient`); the
formulas of a lone neuron are those of :mod:`flows.systems.relu_neuron.lone`.
"""

from __future__ import annotations

import functools
import math
from collections.abc import Callable
from typing import Any, NamedTuple

import sympy as sp

from flows.arithmetic.fields import alone, side_by_side, workspace
from flows.arithmetic.numbers import Arithmetic
from flows.core.chart import Lanes
from symbolic.language.primitives import SinMinusArg, SinMinusArgCos
from symbolic.systems.relu_neuron import pair as relu_neuron

DIRECT, RESIDUAL, PARALLEL, LONE, BESIDE = 0, 1, 2, 3, 4
# Lengths below are taken for this.
TINY = 1e-300
TURN = 1 / (2 * math.pi)


def sizes(shape: Any) -> tuple[int, int, int]:
    """Unknowns, rows of slopes with one block more for the teacher, numbers to work in."""
    k, q = shape[0], 1 + shape[1]
    return k * q, (k + 1) * q, (k + 1) * (q + 2) + 1


class Shared(NamedTuple):
    """Functions that all charts have in common, over numbers of one kind."""

    mass: Any
    directions: Any
    between: Any
    collected: Any


def shared(m: Arithmetic) -> Shared:
    """Directions, what two of them are apart, residual and deviations of neurons."""
    get, put, take, const, zero, held = m.get, m.put, m.take, m.const, m.zero, m.held
    root, pick, larger, magnitude = m.root, m.pick, m.larger, m.magnitude

    @m.function
    def mass_of(mu, k):  # type: ignore[no-untyped-def]
        mass = zero() + const(mu, 0)
        for i in range(1, k):
            mass = mass + const(mu, i)
        return mass

    @m.each
    def directions(i, rows, count, q, u):  # type: ignore[no-untyped-def]
        """Unit vectors in place; behind all of them `1 - |cos|` and lengths."""
        largest = zero() + TINY  # squares may underflow
        for a in range(q):
            largest = larger(largest, magnitude(get(u, i * q + a)))
        largest = held(largest)
        across, along = zero(), get(u, i * q) / largest
        put(u, i * q, along)
        for a in range(1, q):
            part = get(u, i * q + a) / largest
            put(u, i * q + a, part)
            across = across + part * part
        length = larger(root(along * along + across), zero() + TINY)
        for a in range(q):
            put(u, i * q + a, get(u, i * q + a) / length)
        # Without cancellation: differences of cosines are noise.
        put(u, rows + i, across / (length * length) / (magnitude(along) / length + 1.0))
        put(u, rows + count + i, length * largest)

    @m.function
    def between(i, j, rows, q, u):  # type: ignore[no-untyped-def]
        """First entry of the difference of two unit vectors, chord, antichord."""
        here, there = get(u, i * q), get(u, j * q)
        short = get(u, rows + j) - get(u, rows + i)
        short = pick(here, zero(), -short, short)
        alike, none = here * there, zero()
        gap = pick(none, alike, short, here - there)
        both = pick(none, alike, here + there, short)
        chord, antichord = gap * gap, both * both
        for a in range(1, q):
            here, there = get(u, i * q + a), get(u, j * q + a)
            chord = chord + (here - there) * (here - there)
            antichord = antichord + (here + there) * (here + there)
        return gap, root(chord), root(antichord)

    @m.each
    def collected(a, k, q, mass, x, mu, out):  # type: ignore[no-untyped-def]
        """From neurons to residual and deviations, entry `a`."""
        total = zero()
        for i in range(k):
            total = total + const(mu, i) * get(out, i * q + a)
        for i in range(1, k):
            take(out, i * q + a, total / mass)
        put(out, a, total - get(x, a) * mass * 0.5)

    return Shared(mass_of, directions, between, collected)


def entries(m: Arithmetic) -> Any:
    """From the state of a direct or residual chart to neurons, entry by entry."""
    get, put, const, zero, at = m.get, m.put, m.const, m.zero, m.at

    @m.each
    def from_state(a, k, q, mass, residual, x, mu, u, out):  # type: ignore[no-untyped-def]
        """Entry `a` of all neurons, the teacher last, and the linear part of the field."""
        teacher, total = at(a, 0), zero()
        first = 1 if residual else 0
        for i in range(first, k):
            total = total + const(mu, i) * get(x, i * q + a)
        mean, pull = zero(), zero()
        if residual:
            mean = (get(x, a) + teacher) / mass
            put(u, a, mean - total / const(mu, 0))
        else:
            pull = (total - teacher) * -0.5
        for i in range(first, k):
            put(u, i * q + a, mean + get(x, i * q + a))
        put(u, k * q + a, zero() + teacher)
        put(out, k * q + a, zero())
        for i in range(k):
            put(out, i * q + a, pull)

    return from_state


def define(m: Arithmetic) -> Callable[..., None]:
    """Field of direct, residual and parallel charts, see :func:`sizes`.

    Parameters
    ----------
    m : Arithmetic
        The numbers.

    Returns
    -------
    callable
        ``field(x, mu, shape, out, u)`` with ``shape = (k, p, chart)``.
    """
    get, take, const, turn, sine_excess = m.get, m.take, m.const, m.turn, m.sine_excess
    put, from_state = m.put, entries(m)
    mass_of, directions, between, collected = shared(m)
    sine, theta = sp.Symbol("sine"), relu_neuron.THETA
    derived = [e.subs(SinMinusArg(theta), sine) for e in relu_neuron.pair_gradient()]
    pair = m.lowered(derived, (relu_neuron.ALPHA, relu_neuron.BETA, theta, sine))

    @m.pairs
    def pull_of(i, j, k, q, mu, u, out):  # type: ignore[no-untyped-def]
        """What two vectors do to each other; the teacher's own row is not read."""
        rows, lengths = (k + 1) * q, (k + 1) * (q + 1)
        gap, chord, antichord = between(i, j, rows, q, u)
        angle = 2.0 * turn(chord, antichord)
        excess = sine_excess(angle, chord, antichord)
        long, other = get(u, lengths + i), get(u, lengths + j)
        unit, pull = pair(long, other, angle, excess)
        unit_j, pull_j = pair(other, long, angle, excess)
        unit, pull = const(mu, j) * unit, const(mu, j) * pull
        unit_j, pull_j = const(mu, i) * unit_j, const(mu, i) * pull_j
        for a in range(q):
            here, there = get(u, i * q + a), get(u, j * q + a)
            less = gap if a == 0 else here - there
            take(out, i * q + a, unit * here + pull * less)
            take(out, j * q + a, unit_j * there - pull_j * less)

    @m.function
    def field(x, mu, shape, out, u):  # type: ignore[no-untyped-def]
        k, q, chart = shape[0], 1 + shape[1], shape[2]
        if chart == PARALLEL:
            for i in range(k):
                put(out, i, get(x, i) * const(mu, i) * -0.5)
            return
        mass, residual = mass_of(mu, k), chart == RESIDUAL
        from_state(q, k, q, mass, residual, x, mu, u, out)
        directions(k + 1, (k + 1) * q, k + 1, q, u)
        pull_of(k + 1, k, q, mu, u, out)
        if residual:
            collected(q, k, q, mass, x, mu, out)

    return field


def define_loss(m: Arithmetic) -> Callable[..., Any]:
    """Loss of direct and residual charts in units of ``|v|^2``: ``loss(x, mu, shape, out, u)``.

    ``L = |r|^2/4 + 1/2 sum_jl mu_j mu_l e(w_j, w_l)``, the teacher among the neurons. See
    :func:`define`.
    """
    get, put, take, const, zero = m.get, m.put, m.take, m.const, m.zero
    turn, sine_excess, from_state = m.turn, m.sine_excess, entries(m)
    mass_of, directions, between, _ = shared(m)
    sine, theta = sp.Symbol("sine"), relu_neuron.THETA
    derived = relu_neuron.pair_energy().subs(SinMinusArgCos(theta), sine)
    pair = m.lowered((derived,), (relu_neuron.ALPHA, relu_neuron.BETA, sine))

    @m.pairs
    def energy_of(i, j, k, q, mu, u):  # type: ignore[no-untyped-def]
        lengths, total = (k + 1) * (q + 1), (k + 1) * (q + 2)
        _, chord, antichord = between(i, j, (k + 1) * q, q, u)
        angle = 2.0 * turn(chord, antichord)
        bent = sine_excess(angle, chord, antichord) + 0.5 * angle * chord * chord
        energy = pair(get(u, lengths + i), get(u, lengths + j), bent)[0]
        take(u, total + 0 * i, -const(mu, i) * const(mu, j) * energy)

    @m.function
    def loss(x, mu, shape, out, u):  # type: ignore[no-untyped-def]
        k, q, residual = shape[0], 1 + shape[1], shape[2] == RESIDUAL
        from_state(q, k, q, mass_of(mu, k), residual, x, mu, u, out)
        put(u, (k + 1) * (q + 2), zero())
        for a in range(q):
            r = get(x, a) if residual else get(out, a) * -2.0
            take(u, (k + 1) * (q + 2), -0.25 * r * r)
        directions(k + 1, (k + 1) * q, k + 1, q, u)
        energy_of(k + 1, k, q, mu, u)
        return get(u, (k + 1) * (q + 2))

    return loss


def define_lone(m: Arithmetic) -> Callable[..., None]:
    """Field of the charts of one neuron beside the teacher, all others far or short.

    See :func:`define`. Formulas: :mod:`flows.systems.relu_neuron.lone`.
    """
    get, put, take, const, zero, at = m.get, m.put, m.take, m.const, m.zero, m.at
    root, turn, pick, magnitude = m.root, m.turn, m.pick, m.magnitude
    sine_excess = m.sine_excess
    mass_of, directions, between, collected = shared(m)

    @m.each
    def beside_state(a, k, q, mass, beside, x, mu, u, out):  # type: ignore[no-untyped-def]
        """Entry `a` of the lone neuron, `mu_0` together, and of the others; linear parts.

        Its distance `d` from the teacher goes behind lengths.
        """
        d, mean, half = get(x, a), zero(), 0.5
        if beside:
            mean, half = get(x, a) / mass, 0.0
            d = mean * const(mu, 0)
            for i in range(1, k):
                d = d - const(mu, i) * get(x, i * q + a)
        put(u, k * (q + 2) + a, d)
        put(u, a, d + at(a, 0))
        put(out, a, d * -half)
        for i in range(1, k):
            there = get(x, i * q + a) + mean
            put(u, i * q + a, there)
            put(out, i * q + a, there * const(mu, i) * -half)

    @m.function
    def own(k, q, u, out):  # type: ignore[no-untyped-def]
        """What the lone neuron feels of itself and the teacher; `l = |v + d|` and `1/l - 1`."""
        d, across = k * (q + 2), zero()
        for a in range(1, q):
            across = across + get(u, d + a) * get(u, d + a)
        first = get(u, d)
        longer, ahead, across = first * (first + 2.0) + across, first + 1.0, root(across)
        length = root(ahead * ahead + across * across)
        sine = across / length
        take(out, 0, TURN * (turn(across, ahead) - sine * (ahead / length)))
        for a in range(1, q):
            take(out, a, -TURN * sine * (get(u, d + a) / length))
        return length, -longer / (length * (length + 1.0))

    @m.each
    def together(far, k, q, beside, length, shrunk, u, out):  # type: ignore[no-untyped-def]
        """What neuron `far + 1` feels of lone neuron and teacher, whose pulls nearly cancel.

        The part of `v` across the neuron is `c`, that of `d` is `e`. Along the teacher
        `(theta - theta') + Delta u_0` is `d_u |c| + S (1/|v + d| - 1) - (sin - id)(theta - theta')`
        with `S = |v + d| sin(theta - theta')`: its slopes do not cancel next to the axis.
        """
        d, row = k * (q + 2), (far + 1) * q
        off, beyond, here = zero(), zero(), get(u, row)
        for a in range(1, q):
            off = off + get(u, row + a) * get(u, row + a)
            beyond = beyond + get(u, d + a) * get(u, row + a)
        along = get(u, d) * here + beyond
        # Along the teacher little is left of `d` for a neuron next to the axis.
        e = get(u, d) * off - here * beyond
        now, longer = (off + e) * (off + e), e * (2.0 * off + e)
        for a in range(1, q):
            c, e = -here * get(u, row + a), get(u, d + a) - along * get(u, row + a)
            now, longer = now + (c + e) * (c + e), longer + e * (2.0 * c + e)
        off, now = root(off), root(now)
        longer = longer / (off + now + TINY)
        cross, dot = along * off - longer * here, here * (here + along) + off * now
        turned = magnitude(turn(cross, dot))
        gap = -turn(now, here + along) if beside else turn(now, -(here + along))
        antichord = root(2.0 * (dot / length + 1.0))
        excess = sine_excess(turned, 2.0 * magnitude(cross / length) / antichord, antichord)
        excess = pick(cross, zero(), -excess, excess)
        take(out, row, TURN * (along * off + cross * shrunk - excess + gap * get(u, d)))
        for a in range(1, q):
            take(out, row + a, TURN * (longer * get(u, row + a) + gap * get(u, d + a)))

    @m.pairs
    def lone_pull(i, j, k, q, beside, mu, u, out):  # type: ignore[no-untyped-def]
        """What two neurons do to each other; the lone one has done it with the teacher."""
        _, chord, antichord = between(i, j, k * q, q, u)
        sine = 0.5 * chord * antichord
        gap = -2.0 * turn(chord, antichord) if beside else 2.0 * turn(antichord, chord)
        weight = const(mu, j) * get(u, k * (q + 1) + j) * TURN
        weight_j = const(mu, i) * get(u, k * (q + 1) + i) * (TURN - TURN * at(i, 0))
        for a in range(q):
            here, there = get(u, i * q + a), get(u, j * q + a)
            take(out, i * q + a, weight * (sine * here + gap * there))
            take(out, j * q + a, weight_j * (sine * there + gap * here))

    @m.function
    def field(x, mu, shape, out, u):  # type: ignore[no-untyped-def]
        k, q, beside = shape[0], 1 + shape[1], shape[2] == BESIDE
        mass = mass_of(mu, k)
        beside_state(q, k, q, mass, beside, x, mu, u, out)
        length, shrunk = own(k, q, u, out)
        directions(k, k * q, k, q, u)
        together(k - 1, k, q, beside, length, shrunk, u, out)
        lone_pull(k, k, q, beside, mu, u, out)
        if beside:
            collected(q, k, q, mass, x, mu, out)
        else:
            for a in range(q):
                put(out, a, get(out, a) * const(mu, 0))

    return field


def make_raw() -> Callable[..., None]:
    """Make the raw field of :func:`define` for :func:`flows.core.chart.wrap`."""
    return alone(define, sizes)


def make_lone_raw() -> Callable[..., None]:
    """Make the raw field of :func:`define_lone` for :func:`flows.core.chart.wrap`."""
    return alone(define_lone, sizes)


def make_field(width: int) -> Callable[..., None]:
    """Make the field of :func:`define` of several states, see :class:`flows.core.chart.Lanes`."""
    return side_by_side(define, sizes, width)


def make_lone_field(width: int) -> Callable[..., None]:
    """Make the field of :func:`define_lone` of several states."""
    return side_by_side(define_lone, sizes, width)


_room = functools.partial(workspace, sizes)
#: The fields as charts hold them.
LANES, LONE_LANES = Lanes(make_field, _room), Lanes(make_lone_field, _room)
