r"""Compiled: one attempt of Rodas5P in every lane, of a gradient flow in pairs of doubles.

.. math:: (I/\gamma + h H) u_i = -h \nabla L(y + \sum_{j<i} a_{ij} u_j) + \sum_{j<i} C_{ij} u_j

`H` is the Hessian, from the program's rates, so the matrix is factored without exchanges of rows; a
pivot that is not positive refuses the step. Steps are lengths of time, and are measured in
logarithms of time: `h = s (e^l - 1)` at the time `s`. Nothing in a lane depends on the others.

What a state moves by needs no second double, but right-hand sides and solutions do: where the flow
is stiff, what is small in them is beside what is large.

The error of a step, filtered once by the matrix, is measured by what it changes (:func:`measure`):
the time, the energy, the length of the state and, where entries are tiny, each of them.
"""

# mypy: disable-error-code="no-untyped-def, untyped-decorator, no-untyped-call"

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np

from flows.arithmetic.kept import inner, lean
from flows.arithmetic.pair_numbers import (
    beside,
    ended,
    get,
    less,
    more,
    negative,
    put,
    scaled,
    whole,
)
from flows.arithmetic.vectors import (
    WIDTH,
    larger,
    load,
    magnitude,
    smaller,
    spread,
    store,
    where_less,
)
from flows.solvers.program import evaluate, moved, rounding
from flows.solvers.rodas_tableau import GAMMA, STAGES, A, C, M

__all__ = ["Attempt", "attempt", "attempt_of"]

# Entries that are this part of the state are measured by themselves.
TINY = 1e-20
# An error of the energy counts by so many times the energy's share in a unit of log-time, at most.
STEEPEST = 1e4
# The gradient is asked for to so many times the tolerance.
SLOPES = 30.0
_LEAST = 1e-300
_stages, _gamma, _a, _c, _m = STAGES, GAMMA, A, C, M


class Attempt(NamedTuple):
    """Room for an attempt, two vectors a number, and what it tells of each lane.

    ``hessian``, ``matrix`` (2 N^2,), ``stage`` (2 S N,), ``slope``, ``after``, ``filtered`` (2 N,).
    ``wrong``, ``bad``, ``alive``, ``curvature``, ``speed``, ``size`` (lanes,): squared error by the
    tolerance, whether a pivot was not positive, the largest entry of the gradient by its rounding,
    the curvature along the gradient, its length, and the length of the state.
    """

    hessian: Any
    matrix: Any
    stage: Any
    slope: Any
    after: Any
    filtered: Any
    wrong: Any
    bad: Any
    alive: Any
    curvature: Any
    speed: Any
    size: Any


@inner
def attempt_of(n):
    """Room for attempts of a flow of so many entries."""
    return Attempt(
        np.zeros((2 * n * n, WIDTH)),
        np.zeros((2 * n * n, WIDTH)),
        np.zeros((2 * _stages * n, WIDTH)),
        np.zeros((2 * n, WIDTH)),
        np.zeros((2 * n, WIDTH)),
        np.zeros((2 * n, WIDTH)),
        np.zeros(WIDTH),
        np.zeros(WIDTH),
        np.zeros(WIDTH),
        np.zeros(WIDTH),
        np.zeros(WIDTH),
        np.zeros(WIDTH),
    )


@lean
def linearise(y, n, program, at, lanes, work):
    """Gradient and Hessian where the lanes are, and what rounding leaves of the gradient."""
    for i in range(n):
        put(at.value, i, get(y, i))
    evaluate(program, at, lanes, True)
    rounding(program, at, n)
    for i in range(n):
        put(work.slope, i, get(at.value, program.results[i]))
    for c in range(n):
        moved(program, at, c)
        for i in range(c, n):
            k = program.results[i]
            put(work.hessian, i * n + c, get(at.rate, k) if at.active[c, k] else whole(0.0, 0.0))


@lean
def factor(matrix, n, bad):
    """Factors `L`, and inverses of the diagonal `D`, of a symmetric matrix's lower triangle.

    Row by row; the products `L D` are in the places of `L` until a row is done.
    """
    wrong = spread(np.inf)
    for i in range(n):
        for j in range(i):
            here = get(matrix, i * n + j)
            total, low = here.high, here.low
            for k in range(j):
                total, low = less(total, low, get(matrix, i * n + k), get(matrix, j * n + k))
            put(matrix, i * n + j, ended(total, low))
        here = get(matrix, i * n + i)
        total, low = here.high, here.low
        for k in range(i):
            product = get(matrix, i * n + k)
            ratio = product * get(matrix, k * n + k)
            total, low = less(total, low, product, ratio)
            put(matrix, i * n + k, ratio)
        pivot = ended(total, low)
        wrong = smaller(wrong, pivot.high)
        put(matrix, i * n + i, whole(1.0, 0.0) / pivot)
    store(bad, 0, wrong)


@lean
def solve(matrix, n, x, first):
    """Solve with factors for the numbers of `x` from the first one on."""
    for i in range(n):
        here = get(x, first + i)
        total, low = here.high, here.low
        for j in range(i):
            total, low = less(total, low, get(matrix, i * n + j), get(x, first + j))
        put(x, first + i, ended(total, low))
    for i in range(n - 1, -1, -1):
        here = get(x, first + i) * get(matrix, i * n + i)
        total, low = here.high, here.low
        for j in range(i + 1, n):
            total, low = less(total, low, get(matrix, j * n + i), get(x, first + j))
        put(x, first + i, ended(total, low))


@lean
def measure(y, n, since, rtol, louder, program, at, work):
    r"""Squared error of the step by the tolerance, and what is known of the flow.

    With `e` the filtered error, `g` the gradient and `\kappa` the curvature along it, the error is
    the largest of

    .. math:: w \frac{|e \cdot g|}{s |g|^2}, \quad w \frac{|e \cdot H e|}{s |g|^2}, \quad
        \frac{|e|}{|y|}, \quad \frac{|H e|}{30 |g|}, \quad \frac{|e_i|}{|y_i| + s |g_i|},
        \qquad w = \max(1, 2 s \kappa)

    Of them the first two are parts of the energy that is left.
    """
    none = spread(0.0)
    along, speed, bent, square, curved, alive, hum = none, none, none, none, none, none, none
    bends = none
    size, least = spread(_LEAST), spread(np.inf)
    for i in range(n):
        e, g, row, turned = load(work.filtered, 2 * i), load(work.slope, 2 * i), none, none
        for j in range(n):
            h = load(work.hessian, 2 * (i * n + j if j <= i else j * n + i))
            row = row + h * load(work.filtered, 2 * j)
            turned = turned + h * load(work.slope, 2 * j)
        along, speed, bends = along + e * g, speed + g * g, bends + row * row
        bent, curved = bent + e * row, curved + g * turned
        wide = larger(magnitude(load(y, 2 * i)), magnitude(load(work.after, 2 * i)))
        square, size = square + e * e, size + wide * wide
        noise = load(at.noise, program.results[i]) * louder
        hum = hum + noise * noise
        alive = larger(alive, magnitude(g) / (noise + _LEAST))
        least = smaller(least, wide)
    length = speed + hum / (rtol * rtol) + _LEAST
    kappa = larger(curved / length, none)
    weight = larger(spread(1.0), smaller(2.0 * since * kappa, spread(STEEPEST)))
    shift = magnitude(along) / length / since * weight
    rise = magnitude(bent) / length / since * weight
    wrong = larger(shift * shift, rise) / (rtol * rtol)
    wrong = larger(wrong, square / size / (rtol * rtol))
    wrong = larger(wrong, bends / length / (SLOPES * SLOPES * rtol * rtol))
    for i in range(n):
        wide = larger(magnitude(load(y, 2 * i)), magnitude(load(work.after, 2 * i)))
        noise = load(at.noise, program.results[i]) * louder
        room = wide + since * (magnitude(load(work.slope, 2 * i)) + noise / rtol) + _LEAST
        part = load(work.filtered, 2 * i) / room
        counts = where_tiny(least, size)
        wrong = larger(wrong, counts * part * part / (rtol * rtol))
    store(work.wrong, 0, wrong)
    store(work.alive, 0, alive)
    store(work.curvature, 0, kappa)
    store(work.speed, 0, speed)
    store(work.size, 0, size)


@lean
def where_tiny(least, size):
    """One in lanes that have a tiny entry, else zero."""
    return where_less(least * least, TINY * TINY * size, spread(1.0), spread(0.0))


@lean
def attempt(y, since, length, rtol, louder, program, at, lanes, work):
    """One step of each lane, of its own length, whose end is in ``work.after``.

    ``since``, ``length``, ``rtol``, ``louder`` (lanes,): the time, the step, its tolerance, and by
    how much more than rounding the state is disturbed.
    """
    n = len(work.slope) // 2
    h = load(length, 0)
    linearise(y, n, program, at, lanes, work)
    # The noise of this place outlives the stages.
    u, matrix, after = work.stage, work.matrix, work.after
    for i in range(n):
        for j in range(i + 1):
            put(matrix, i * n + j, scaled(get(work.hessian, i * n + j), h))
        put(matrix, i * n + i, get(matrix, i * n + i) + whole(1.0 / _gamma, 0.0))
    factor(matrix, n, work.bad)
    for q in range(_stages):
        if q > 0:
            for i in range(n):
                way = spread(0.0)
                for r in range(q):
                    way = way + load(u, 2 * (r * n + i)) * _a[q, r]
                put(at.value, i, beside(get(y, i), way))
            evaluate(program, at, lanes, False)
        for i in range(n):
            slope = get(work.slope, i) if q == 0 else get(at.value, program.results[i])
            begun = scaled(negative(slope), h)
            total, low = begun.high, begun.low
            for r in range(q):
                total, low = more(total, low, get(u, r * n + i), spread(_c[q, r]))
            put(u, q * n + i, ended(total, low))
        solve(matrix, n, u, q * n)
    last = (_stages - 1) * n
    for i in range(n):
        way = spread(0.0)
        for r in range(_stages):
            way = way + load(u, 2 * (r * n + i)) * _m[r]
        put(after, i, beside(get(y, i), way))
        put(work.filtered, i, scaled(get(u, last + i), spread(1.0 / _gamma)))
    solve(matrix, n, work.filtered, 0)
    measure(y, n, load(since, 0), load(rtol, 0), load(louder, 0), program, at, work)
