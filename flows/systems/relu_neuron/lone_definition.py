"""The gradient flow of one ReLU neuron beside the teacher, all others far or short, once.

Pulls of the lone neuron and of the teacher nearly cancel, and are taken together. Charts:
:mod:`flows.systems.relu_neuron.definition`; formulas: :mod:`flows.systems.relu_neuron.lone`.
"""

from __future__ import annotations

import functools
from collections.abc import Callable

import sympy as sp

from flows.arithmetic.fields import alone, side_by_side, workspace
from flows.arithmetic.numbers import Arithmetic
from flows.core.chart import Lanes
from flows.systems.relu_neuron.definition import BESIDE, TINY, shared, sizes


def define(m: Arithmetic) -> Callable[..., None]:
    """Field of both charts, as :func:`flows.systems.relu_neuron.definition.define`."""
    get, put, take, const, zero, at = m.get, m.put, m.take, m.const, m.zero, m.at
    root, turn, pick, magnitude = m.root, m.turn, m.pick, m.magnitude
    sine_excess, per_turn = m.sine_excess, m.lowered((1 / (2 * sp.pi),), ())
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
        sine, part = across / length, per_turn()[0]
        take(out, 0, part * (turn(across, ahead) - sine * (ahead / length)))
        for a in range(1, q):
            take(out, a, -part * sine * (get(u, d + a) / length))
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
        part = per_turn()[0]
        take(out, row, part * (along * off + cross * shrunk - excess + gap * get(u, d)))
        for a in range(1, q):
            take(out, row + a, part * (longer * get(u, row + a) + gap * get(u, d + a)))

    @m.pairs
    def lone_pull(i, j, k, q, beside, mu, u, out):  # type: ignore[no-untyped-def]
        """What two neurons do to each other; the lone one has done it with the teacher."""
        _, chord, antichord = between(i, j, k * q, q, u)
        sine = 0.5 * chord * antichord
        gap = -2.0 * turn(chord, antichord) if beside else 2.0 * turn(antichord, chord)
        part = per_turn()[0]
        weight = const(mu, j) * get(u, k * (q + 1) + j) * part
        weight_j = const(mu, i) * get(u, k * (q + 1) + i) * (part - part * at(i, 0))
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
    """Make the raw field for :func:`flows.core.chart.wrap`."""
    return alone(define, sizes)


def make_field(width: int) -> Callable[..., None]:
    """Make the field of several states, see :class:`flows.core.chart.Lanes`."""
    return side_by_side(define, sizes, width)


#: The field of several states, as charts hold it.
LANES = Lanes(make_field, functools.partial(workspace, sizes))
