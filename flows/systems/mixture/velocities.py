"""Compiled raw field of a Gaussian mixture, that of :mod:`flows.systems.mixture.field`."""

# mypy: disable-error-code="no-untyped-def, untyped-decorator, no-untyped-call"

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import Any, NamedTuple

import numba
import numpy as np
from numba.extending import register_jitable

from flows.arithmetic.kept import kept
from flows.arithmetic.pointers import address_of, caller
from flows.core.arrays import Array
from flows.systems.mixture import curves, sums
from flows.systems.mixture.axes import home_of, set_axes
from flows.systems.mixture.calculus import Calculus
from flows.systems.mixture.constants import LINEAR, SHAPE
from flows.systems.mixture.means import FAR
from flows.systems.mixture.node_functions import INNER, KERNEL, OPTIONS
from flows.systems.mixture.node_posteriors import Components
from flows.systems.mixture.nodes import length
from flows.systems.mixture.within import level_at, outgrown

# Nothing here makes arrays, so that none has to be counted. What calls a function that returns some
# must not count either: it would give back what nobody has counted.
small: Any = numba.njit(**OPTIONS, **INNER)


@small
def _far_blocks(mu, weight, rate, home, pull, curve, out, jacobian, want):
    """Velocities of the means, and their derivatives."""
    k, r = mu.shape
    for i in range(k):
        for a in range(r):
            linear = mu[i, a] / weight[i] if i == home else 0.0
            out[i * r + a] = -rate[i] * (linear + pull[i * r + a])
    if not want:
        return
    for i in range(k):
        for a in range(r):
            for j in range(k):
                for c in range(r):
                    entry = curve[i, a, j, c]
                    if i == home and j == home and a == c:
                        entry += 1.0 / weight[home]
                    jacobian[i * r + a, j * r + c] = -rate[i] * entry


@small
def _close_blocks(x, weight, rate, q, pull, curve, turn, out, jacobian, want):
    """Velocities of the mean and the deviations, and their derivatives."""
    k, r = len(weight), len(x) // len(weight)
    for a in range(r):
        average = 0.0
        for i in range(k):
            average += weight[i] * rate[i] * pull[i * r + a]
        average /= q
        out[a] = -q * average - q * x[a]
        for i in range(1, k):
            out[i * r + a] = average - pull[i * r + a]
    if not want:
        return
    for i in range(k):
        for a in range(r):
            for c in range(r):
                # The means move with the mean by rate / q, with their own deviation by rate.
                total, first = 0.0, curve[i, a, 0, c] * rate[0]
                for j in range(k):
                    total += curve[i, a, j, c] * rate[j] / q
                turn[i, a, 0, c] = total
                for j in range(1, k):
                    share = weight[j] * rate[j] / (weight[0] * rate[0])
                    turn[i, a, j, c] = curve[i, a, j, c] * rate[j] - first * share
    for a in range(r):
        for j in range(k):
            for c in range(r):
                average = 0.0
                for i in range(k):
                    average += weight[i] * rate[i] * turn[i, a, j, c]
                average /= q
                jacobian[a, j * r + c] = -q * average
                for i in range(1, k):
                    jacobian[i * r + a, j * r + c] = average - turn[i, a, j, c]
    for a in range(r):
        jacobian[a, a] -= q


@small
def positions(x, weight, rate, kind, mu, deviation, mean):
    """Set means, deviations and mean of raw numbers; the rate of the mean."""
    k, r = mu.shape
    q = 0.0
    for a in range(r):
        mean[a] = 0.0
    if kind == FAR:
        for i in range(k):
            for a in range(r):
                mu[i, a] = x[i * r + a]
                mean[a] += weight[i] * mu[i, a]
        for i in range(k):
            for a in range(r):
                deviation[i, a] = mu[i, a] - mean[a]
        return q
    equal = True
    for i in range(k):
        q += weight[i] * rate[i]
        equal = equal and rate[i] == rate[0]
    for a in range(r):
        mean[a], first = x[a], 0.0
        for j in range(1, k):
            first -= weight[j] * rate[j] / (weight[0] * rate[0]) * x[j * r + a]
        for i in range(k):
            slow = first if i == 0 else x[i * r + a]
            shift = 0.0 if equal else (rate[i] / q - 1.0) * mean[a]
            deviation[i, a] = rate[i] * slow + shift
            mu[i, a] = mean[a] + deviation[i, a]
    return q


@small
def _rules(level, shape, first):
    """Where the rules of a level begin, and how many nodes each of them has."""
    r = shape[1]
    for before in range(2 * level):
        first += length(shape[SHAPE + before], r)
    return first, shape[SHAPE + 2 * level], shape[SHAPE + 2 * level + 1]


@register_jitable(**INNER)
def room_for(k: int, r: int) -> int:
    """Numbers that the field needs to work in, and two of its Jacobians."""
    own = 2 * k * r + r + r * r + 2 * (2 + k * r)
    return own + sums.room_for(k, r) + 2 * (k * r) ** 2


_sum, _curve = caller(sums.SIGNATURE), caller(curves.SIGNATURE)


@small
def components_at(x, constants, shape, space):
    """Components of raw numbers, and the rate of their mean."""
    k, r, kind = shape[0], shape[1], shape[2]
    size, weight = k * r, constants[:k]
    mu, deviation = space[:size].reshape((k, r)), space[size : 2 * size].reshape((k, r))
    mean = space[2 * size : 2 * size + r]
    axes = space[2 * size + r : 2 * size + r + r * r].reshape((r, r))
    q = positions(x, weight, constants[k : 2 * k], kind, mu, deviation, mean)
    first = constants[2 * k : 2 * k + r * r].reshape((r, r))
    set_axes(deviation, mean, shape[SHAPE + 2 * shape[6] :], first, axes)
    at_home = home_of(mu, weight) if kind == FAR else 0
    return Components(mu, deviation, mean, weight, at_home, axes), q


@small
def _space_left(k, r, space):
    """Room for the terms of sums, and what is left."""
    rest = space[2 * k * r + r + r * r :]
    return rest[: 2 * (2 + k * r)].reshape((2, 2 + k * r)), rest[2 * (2 + k * r) :]


@small
def core(x, constants, shape, out, jacobian, want, space):
    """Field and, where it is wanted, Jacobian; arguments as for the raw field, as arrays.

    There is as much space to work in as :func:`room_for` says.
    """
    k, r, kind = shape[0], shape[1], shape[2]
    weight, rate = constants[:k], constants[k : 2 * k]
    if kind == LINEAR:
        for i in range(k * r):
            out[i] = -rate[0] * x[i]
            if want:
                jacobian[i, i] = -rate[0]
        return
    components, q = components_at(x, constants, shape, space)
    level = level_at(components, constants, shape)
    if level < 0:  # no rule is known to serve
        out[:] = np.nan
        if want:
            jacobian[:] = np.nan
        return
    begin, count, coarse = _rules(level, shape, 2 * k + r * r + shape[6] * r)
    terms, rest = _space_left(k, r, space)
    nodes = constants[begin : begin + length(count, r)]
    _sum(shape[3], (components, nodes, False, terms, rest))
    curves_of = space[room_for(k, r) - 2 * (k * r) ** 2 :].reshape((2, k, r, k, r))
    curve, turn = curves_of[0], curves_of[1]
    if want:
        begin += length(count, r)
        nodes = constants[begin : begin + length(coarse, r)]
        _curve(shape[4], (components, nodes, curve))
    pull = terms[0, 2:]
    if kind == FAR:
        _far_blocks(components.mu, weight, rate, components.home, pull, curve, out, jacobian, want)
    else:
        _close_blocks(x, weight, rate, q, pull, curve, turn, out, jacobian, want)


def _look_over(states, constants, shape, space, found):
    """Which of several raw states are outgrown."""
    for t in range(len(states)):
        components, _ = components_at(states[t], constants, shape, space)
        found[t] = outgrown(components, constants, shape)


class Looks(NamedTuple):
    """What is seen at several raw states, components in the order of the frame.

    Parameters
    ----------
    mu, velocity : ndarray, shape (S, k, r)
        Means and their velocities.
    fisher : ndarray, shape (S,)
        ``E|v|^2``.
    """

    mu: Array
    velocity: Array
    fisher: Array


def _see(states, constants, shape, order, space, looks):
    """Look at raw states, by the rules of a piece."""
    k, r, kind = shape[0], shape[1], shape[2]
    terms, rest = _space_left(k, r, space)
    for t in range(len(states)):
        components, _ = components_at(states[t], constants, shape, space)
        level = max(level_at(components, constants, shape), 0)
        begin, count, _ = _rules(level, shape, 2 * k + r * r + shape[6] * r)
        nodes = constants[begin : begin + length(count, r)]
        _sum(shape[3], (components, nodes, True, terms, rest))
        mu, mean, weight = components.mu, components.mean, components.weight
        square = 0.0
        for i in range(k):
            for a in range(r):
                linear = mean[a]
                if kind == FAR:
                    linear = mu[i, a] / weight[i] if i == components.home else 0.0
                    square += mu[i, a] * mu[i, a] if i == components.home else 0.0
                pull = linear + terms[0, 2 + i * r + a]
                looks.mu[t, order[i], a] = mu[i, a]
                looks.velocity[t, order[i], a] = -constants[k + i] * pull
        looks.fisher[t] = square + terms[0, 1]


_VECTOR, _MATRIX = numba.float64[::1], numba.float64[:, ::1]
CORE = numba.void(_VECTOR, _VECTOR, numba.int64[::1], _VECTOR, _MATRIX, numba.boolean, _VECTOR)
#: ``call_core(address, arguments)`` calls :func:`core`.
call_core = caller(CORE)


@functools.cache
def addresses(form: int, calculus: Calculus) -> tuple[int, int, int]:
    """Where compiled sums of a loss are, without second derivatives and with them; the field's."""
    own = address_of(_kept_core())
    if form == LINEAR:
        return 0, 0, own
    return sums.address(form, calculus), address_of(curves.curve_of(form, calculus)), own


@functools.cache
def _kept_core() -> Any:
    make = functools.partial(numba.njit(CORE, **KERNEL), core.py_func)
    return kept(("field", curves), CORE, make)


_TERMS, _WHOLE = numba.float64[:, :, ::1], numba.int64[::1]
_LOOKING = numba.void(_MATRIX, _VECTOR, _WHOLE, _VECTOR, numba.boolean[::1])
_LOOKS = numba.types.NamedTuple((_TERMS, _TERMS, _VECTOR), Looks)
_SEEING = numba.void(_MATRIX, _VECTOR, _WHOLE, _WHOLE, _VECTOR, _LOOKS)


@functools.cache
def look_over() -> Callable[..., None]:
    """:func:`_look_over`, without the interpreter's lock."""
    return _kept("look over", _LOOKING, _look_over)


@functools.cache
def see() -> Callable[..., None]:
    """:func:`_see`, without the interpreter's lock."""
    return _kept("see", _SEEING, _see)


def _kept(name: str, signature: Any, function: Callable[..., None]) -> Any:
    make = functools.partial(numba.njit(signature, nogil=True, **KERNEL), function)
    return kept((name, curves), signature, make)


def room_of_looks(k: int, r: int) -> Array:
    """Room for what is compiled here."""
    return np.empty(room_for(k, r))


def make_raw() -> Callable[..., None]:
    """Raw field for :func:`flows.core.chart.wrap`.

    Its constants are those of :func:`flows.systems.mixture.constants.pack`; its shape is that of
    :func:`flows.systems.mixture.field.shape`.
    """

    def raw(x, weights, shape, out, jacobian, want_jacobian):
        head = numba.carray(shape, (SHAPE,))
        size = head[0] * head[1]
        core(
            numba.carray(x, (size,)),
            numba.carray(weights, (head[7],)),
            numba.carray(shape, (SHAPE + 2 * head[6] + 2 * head[1],)),
            numba.carray(out, (size,)),
            numba.carray(jacobian, (size, size) if want_jacobian else (1, 1)),
            want_jacobian,
            np.empty(room_for(head[0], head[1])),
        )

    return raw
