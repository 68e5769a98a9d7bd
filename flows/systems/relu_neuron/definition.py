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
  ``d = mu_0 w_0 - v``, block ``i`` the far neuron ``w_i``. All of them decay at one rate;
* chart of short neurons beside a lone one: block 0 is the residual ``r``, block ``i`` the deviation
  ``w_i - r/M``.

What a pair contributes is derived (:func:`symbolic.systems.relu_neuron.pair.pair_gradient`); the
field of the two last charts is :mod:`flows.systems.relu_neuron.lone_definition`.
"""

from __future__ import annotations

import functools
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
        product, none = here * there, zero()
        gap = pick(none, product, short, here - there)
        both = pick(none, product, here + there, short)
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


def make_raw() -> Callable[..., None]:
    """Make the raw field of :func:`define` for :func:`flows.core.chart.wrap`."""
    return alone(define, sizes)


def make_field(width: int) -> Callable[..., None]:
    """Make the field of :func:`define` of several states, see :class:`flows.core.chart.Lanes`."""
    return side_by_side(define, sizes, width)


#: The field of several states, as charts hold it.
LANES = Lanes(make_field, functools.partial(workspace, sizes))
