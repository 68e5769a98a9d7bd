"""Compiled raw field of a Gaussian mixture, that of :mod:`flows.systems.mixture.field`."""

# mypy: disable-error-code="no-untyped-def, untyped-decorator, no-untyped-call"

from __future__ import annotations

import functools
import math
from collections.abc import Callable
from typing import Any

import numba
import numpy as np

from flows.core.compiled import kept
from flows.core.pointers import address_of, caller
from flows.systems.mixture import kernels, ladder
from flows.systems.mixture.calculus import Calculus
from flows.systems.mixture.kernels import OPTIONS, Components, Sums
from flows.systems.mixture.ladder import Found, Ladder
from flows.systems.mixture.means import FAR

# Form of one component alone, see `field`.
LINEAR = 0

compiled: Any = numba.njit(**OPTIONS)
small: Any = numba.njit(**OPTIONS, **kernels.INNER)


@compiled
def _home(mu, weight):
    """Component with the largest density at the target."""
    home, best = 0, -np.inf
    for i in range(len(weight)):
        log = math.log(weight[i])
        for a in range(mu.shape[1]):
            log -= 0.5 * mu[i, a] * mu[i, a]
        if log > best:
            home, best = i, log
    return home


@compiled
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


@compiled
def _close_blocks(x, weight, rate, q, pull, curve, out, jacobian, want):
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
    turn = np.empty((k, r, k, r))
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
    alike = True
    for i in range(k):
        q += weight[i] * rate[i]
        alike = alike and rate[i] == rate[0]
    for a in range(r):
        mean[a], first = x[a], 0.0
        for j in range(1, k):
            first -= weight[j] * rate[j] / (weight[0] * rate[0]) * x[j * r + a]
        for i in range(k):
            slow = first if i == 0 else x[i * r + a]
            shift = 0.0 if alike else (rate[i] / q - 1.0) * mean[a]
            deviation[i, a] = rate[i] * slow + shift
            mu[i, a] = mean[a] + deviation[i, a]
    return q


@small
def outgrown(mu, deviation, limits):
    """Whether means are beyond limits, see :func:`flows.systems.mixture.field.pack`."""
    length, spread, changed = 0.0, 0.0, 0.0
    for i in range(mu.shape[0]):
        one, other = 0.0, 0.0
        for a in range(mu.shape[1]):
            one += mu[i, a] * mu[i, a]
            other += deviation[i, a] * deviation[i, a]
        length, spread = max(length, one), max(spread, other)
        changed = max(changed, abs(one - limits[5 + i]))
    length, spread = math.sqrt(length), math.sqrt(spread)
    inside = limits[0] < length < limits[1] and limits[2] < spread < limits[3]
    return not (inside and changed <= limits[4])


@compiled
def _rule(numbers, count, r):
    """Nodes and weights at the beginning of what holds them."""
    return numbers[count : count + count * r].reshape((count, r)), numbers[:count]


_sum, _curve = caller(ladder.SIGNATURE), caller(kernels.SIGNATURE)


@compiled
def core(x, constants, shape, out, jacobian, want):
    """Field and, where it is wanted, Jacobian; arguments as for the raw field, as arrays."""
    k, r, count, kind = shape[0], shape[1], shape[2], shape[3]
    weight, rate = constants[:k], constants[k : 2 * k]
    if kind == LINEAR:
        for i in range(k * r):
            out[i] = -rate[0] * x[i]
            if want:
                jacobian[i, i] = -rate[0]
        return
    nodes, node_weight = _rule(constants[2 * k :], count, r)
    mu, deviation, mean = np.empty((k, r)), np.empty((k, r)), np.zeros(r)
    q = positions(x, weight, rate, kind, mu, deviation, mean)
    home = _home(mu, weight) if kind == FAR else 0
    components = Components(mu, deviation, mean, weight, home)
    found = Found(np.zeros((2, 2 + k * r)), np.zeros(3))
    none = Ladder(
        np.zeros(1), np.zeros(1), np.zeros(1, np.int64), np.zeros((1, 1)),
        np.zeros(1, np.int64), 0.0, -1.0,
    )  # fmt: skip
    size = k if want else 0
    sums = Sums(np.zeros((3, 2 + k * r)), np.zeros((size, size)), np.zeros((size, r, size, r)))
    _sum(shape[4], (components, nodes, node_weight, none, found))
    if want:
        coarse, coarse_weight = _rule(constants[2 * k + count * (1 + r) :], shape[7], r)
        _curve(shape[5], (components, coarse, coarse_weight, True, sums))
    pull = found.terms[0, 2:]
    if kind == FAR:
        _far_blocks(mu, weight, rate, home, pull, sums.curve, out, jacobian, want)
    else:
        _close_blocks(x, weight, rate, q, pull, sums.curve, out, jacobian, want)


_VECTOR, _MATRIX = numba.float64[::1], numba.float64[:, ::1]
CORE = numba.void(_VECTOR, _VECTOR, numba.int64[::1], _VECTOR, _MATRIX, numba.boolean)
#: ``call_core(address, arguments)`` calls :func:`core`.
call_core = caller(CORE)


@functools.cache
def addresses(form: int, calculus: Calculus) -> tuple[int, int, int]:
    """Where compiled sums of a loss are, without second derivatives and with them; the field's."""
    own = address_of(_kept_core())
    if form == LINEAR:
        return 0, 0, own
    return ladder.address(form, calculus), address_of(kernels.kernel_of(form, calculus)), own


@functools.cache
def _kept_core() -> Any:
    return kept(("field", kernels), CORE, lambda: numba.njit(CORE, **OPTIONS)(core.py_func))


def make_raw() -> Callable[..., None]:
    """Raw field for :func:`flows.core.chart.wrap`.

    Its constants are those of :func:`flows.systems.mixture.field.pack`; its shape is that of
    :func:`flows.systems.mixture.field.shape`.
    """

    def raw(x, weights, shape, out, jacobian, want_jacobian):
        sizes = numba.carray(shape, (8,))
        k, r, count = sizes[0], sizes[1], sizes[2] + sizes[7]
        size = k * r
        core(
            numba.carray(x, (size,)),
            numba.carray(weights, (2 * k + count * (1 + r),)),
            sizes,
            numba.carray(out, (size,)),
            numba.carray(jacobian, (size, size) if want_jacobian else (1, 1)),
            want_jacobian,
        )

    return raw
