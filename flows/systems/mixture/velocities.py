"""Compiled raw field of a Gaussian mixture, that of :mod:`flows.systems.mixture.field`."""

# mypy: disable-error-code="no-untyped-def, untyped-decorator, no-untyped-call"

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import Any

import numpy as np

from flows.arithmetic.kept import kept, lean, outer, shared
from flows.arithmetic.memory import array_at
from flows.arithmetic.pointers import address_of, caller
from flows.arithmetic.signatures import signature_of
from flows.systems.mixture import sums
from flows.systems.mixture.axes import home_of, set_axes
from flows.systems.mixture.calculus import Calculus
from flows.systems.mixture.constants import LINEAR, SHAPE, axes_at
from flows.systems.mixture.integrands import Components
from flows.systems.mixture.means import FAR
from flows.systems.mixture.nodes import length
from flows.systems.mixture.within import level_at, outgrown

# Nothing here makes arrays, so that none has to be counted. What calls a function that returns some
# must not count either: it would give back what nobody has counted.


@shared
def room_for(k: int, r: int) -> int:
    """Numbers that the field needs to work in, and two of its Jacobians."""
    own = 2 * k * r + r + r * r + 2 * (2 + k * r)
    return own + sums.room_for(k, r) + 2 * (k * r) ** 2


_sum, _curve = caller(sums.SIGNATURE), caller(sums.CURVING)


@lean
def components_at(x, constants, shape, space):
    """Components of raw numbers."""
    k, r, kind = shape[0], shape[1], shape[2]
    size, weight, around = k * r, constants[:k], constants[2 * k :]
    mu, deviation = space[:size].reshape((k, r)), space[size : 2 * size].reshape((k, r))
    centre = space[2 * size : 2 * size + r]
    axes = space[2 * size + r : 2 * size + r + r * r].reshape((r, r))
    home = 0
    if kind == FAR:
        for i in range(k):
            for a in range(r):
                mu[i, a] = x[i * r + a]
        home = home_of(mu, weight)
    for a in range(r):
        centre[a] = mu[home, a] if kind == FAR else x[a]
    for i in range(k):
        for a in range(r):
            if kind == FAR:
                deviation[i, a] = mu[i, a] - centre[a]
                continue
            deviation[i, a] = 0.0
            for j in range(k):
                deviation[i, a] += around[i * k + j] * x[j * r + a]
            mu[i, a] = centre[a] + deviation[i, a]
    first = constants[axes_at(k) : axes_at(k) + r * r].reshape((r, r))
    set_axes(deviation, centre, shape[SHAPE + 2 * shape[6] :], first, axes)
    return Components(mu, deviation, centre, weight, home, axes)


@lean
def _rule_at(level, which, shape):
    """Where the nodes of one of the two rules of a level begin and end."""
    k, r, count = shape[0], shape[1], shape[6]
    first = axes_at(k) + r * r + count * r
    for before in range(2 * level + which):
        first += length(shape[SHAPE + before], r)
    return first, first + length(shape[SHAPE + 2 * level + which], r)


@lean
def _space_left(k, r, space):
    """Room for the terms of sums, and what is left."""
    rest = space[2 * k * r + r + r * r :]
    return rest[: 2 * (2 + k * r)].reshape((2, 2 + k * r)), rest[2 * (2 + k * r) :]


@lean
def _set_slopes(constants, kind, curve, turn, jacobian):
    """Set the Jacobian but for its linear part, from derivatives of the pulls by the means."""
    k, r = curve.shape[0], curve.shape[1]
    around, back = constants[2 * k :], constants[2 * k + k * k :]
    for i in range(k):
        for a in range(r):
            for j in range(k):
                # All means move with the mean, block 0.
                moved = 1.0 if kind != FAR and j == 0 else 0.0
                for c in range(r):
                    turn[i, a, j, c] = 0.0
                    for n in range(k):
                        turn[i, a, j, c] += curve[i, a, n, c] * (around[n * k + j] + moved)
    for i in range(k):
        for a in range(r):
            for column in range(k * r):
                entry = 0.0
                for n in range(k):
                    entry += back[i * k + n] * turn[n, a, column // r, column % r]
                jacobian[i * r + a, column] = entry


@lean
def core(x, constants, shape, out, jacobian, want, space):
    """Field and, where it is wanted, Jacobian; arguments as for the raw field, as arrays.

    There is as much space to work in as :func:`room_for` says.
    """
    k, r, kind = shape[0], shape[1], shape[2]
    decay, back = constants[k : 2 * k], constants[2 * k + k * k :]
    home, level = 0, 0
    out[:] = 0.0
    if kind != LINEAR:
        components = components_at(x, constants, shape, space)
        home, level = components.home, level_at(components, constants, shape)
        if level < 0:  # no rule is known to serve
            out[:] = np.nan
            if want:
                jacobian[:] = np.nan
            return
        terms, rest = _space_left(k, r, space)
        first, last = _rule_at(level, 0, shape)
        _sum(shape[3], (components, constants[first:last], False, terms, rest))
        for i in range(k):
            for j in range(k):
                for a in range(r):
                    out[i * r + a] += back[i * k + j] * terms[0, 2 + j * r + a]
        if want:
            both = space[room_for(k, r) - 2 * (k * r) ** 2 :].reshape((2, k, r, k, r))
            first, last = _rule_at(level, 1, shape)
            _curve(shape[4], (components, constants[first:last], both[0]))
            _set_slopes(constants, kind, both[0], both[1], jacobian)
    for place in range(home * r, home * r + r):
        out[place] -= decay[home] * x[place]
        if want:
            jacobian[place, place] -= decay[home]


def _look_over(states, constants, shape, space, found):
    """Which of several raw states are outgrown."""
    for t in range(len(states)):
        components = components_at(states[t], constants, shape, space)
        found[t] = outgrown(components, constants, shape)


def _see(states, constants, shape, space, terms):
    """Sums at several raw states, by the rules of a piece."""
    _, rest = _space_left(shape[0], shape[1], space)
    for t in range(len(states)):
        components = components_at(states[t], constants, shape, space)
        level = max(level_at(components, constants, shape), 0)
        first, last = _rule_at(level, 0, shape)
        _sum(shape[3], (components, constants[first:last], True, terms[t], rest))


CORE = signature_of("real 1", "real 1", "whole 1", "real 1", "real 2", "truth", "real 1")
_LOOKING = signature_of("real 2", "real 1", "whole 1", "real 1", "truth 1")
_SEEING = signature_of("real 2", "real 1", "whole 1", "real 1", "real 3")
#: ``call_core(address, arguments)`` calls :func:`core`.
call_core = caller(CORE)


@functools.cache
def addresses(form: int, calculus: Calculus) -> tuple[int, int, int]:
    """Where compiled sums of a loss are, without second derivatives and with them; the field's."""
    own = address_of(_kept("field", CORE, core.py_func))
    return (0, 0, own) if form == LINEAR else (*sums.addresses(form, calculus), own)


@functools.cache
def look_over() -> Callable[..., None]:
    """:func:`_look_over`, without the interpreter's lock."""
    return _kept("look over", _LOOKING, _look_over)


@functools.cache
def see() -> Callable[..., None]:
    """:func:`_see`, without the interpreter's lock."""
    return _kept("see", _SEEING, _see)


@functools.cache
def _kept(name: str, signature: Any, function: Callable[..., None]) -> Any:
    return kept((name, sums), signature, lambda: outer(function, counts=False))


def make_raw() -> Callable[..., None]:
    """Raw field for :func:`flows.core.chart.wrap`.

    Its constants are those of :func:`flows.systems.mixture.constants.pack`; its shape is that of
    :func:`flows.systems.mixture.field.shape`.
    """

    def raw(x, weights, shape, out, jacobian, want_jacobian):
        head = array_at(shape, (SHAPE,))
        size = head[0] * head[1]
        core(
            array_at(x, (size,)),
            array_at(weights, (head[7],)),
            array_at(shape, (SHAPE + 2 * head[6] + 2 * head[1],)),
            array_at(out, (size,)),
            array_at(jacobian, (size, size) if want_jacobian else (1, 1)),
            want_jacobian,
            np.empty(room_for(head[0], head[1])),
        )

    return raw
