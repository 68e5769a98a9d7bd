"""The definition of the ReLU neuron against sixty digits: charts, kinds of numbers, Jacobians."""

import functools

import jax
import numba
import numpy as np
import pytest
from flint import arb
from mpmath import mp
from oracles import relu_neuron as oracle

from flows.arithmetic import fields, lists
from flows.arithmetic.arrays import field_of
from flows.arithmetic.vectors import WIDTH
from flows.core.balls import precision
from flows.core.chart import wrapped_once
from flows.systems.relu_neuron.definition import (
    DIRECT,
    RESIDUAL,
    define,
    make_field,
    make_raw,
    sizes,
)

DIGITS = 60
MU = np.array([2.0, 1.0, 1.0, -1.0])
K, Q = 3, 3
# Units in the last place of the largest entry of a block: a sum over four vectors.
LAST = 8 * np.finfo(float).eps
#: Sixty digits, less those in which small angles and their squares are differences.
MANY = 1e-35
#: Of an entry of a Jacobian beside the largest of its two blocks.
ENTRY = 1e-12


def neurons(kind, size):
    """Rows of neurons in many digits: as drawn, far ones among them, or about to arrive."""
    rng = np.random.default_rng(3)
    w = rng.normal(size=(K, Q))
    if kind == "far":
        w[2] = [-2.0, size, -size]
    if kind == "alike":
        w[1] = w[0] * (1 + size) + size * np.array([0.0, 1.0, -0.5])
    return w


def late(size):
    """State of the residual chart: angles of this size, and a residual of its square."""
    rng = np.random.default_rng(4)
    x = size * rng.normal(size=(K, Q))
    x[0] *= size
    x[1:, 0] = [0.2, -0.1]
    return x


STATES = {
    "drawn": (DIRECT, neurons("drawn", 0.0)),
    "far": (DIRECT, neurons("far", 1e-9)),
    "alike": (DIRECT, neurons("alike", 1e-7)),
    "early": (RESIDUAL, late(0.3)),
    "late": (RESIDUAL, late(1e-4)),
    "at last": (RESIDUAL, late(1e-8)),
}


def exact_field(chart, x):
    """Slopes of a state of mpf's, by formulas that share nothing with the definition."""
    mu, q = [mp.mpf(m) for m in MU[:-1]], Q
    blocks = [x[i : i + q] for i in range(0, len(x), q)]
    teacher = [mp.one] + [mp.zero] * (q - 1)
    mass = mp.fsum(mu)
    if chart == RESIDUAL:
        mean = [(e + r) / mass for e, r in zip(teacher, blocks[0], strict=True)]
        others = [[m + y for m, y in zip(mean, row, strict=True)] for row in blocks[1:]]
        first = [
            (m * mass - mp.fdot(mu[1:], column)) / mu[0]
            for m, column in zip(mean, zip(*others, strict=True), strict=True)
        ]
        blocks = [first, *others]
    slopes = oracle.gradient(blocks, teacher, DIGITS, MU[:-1].tolist())
    rows = [[-v for v in row] for row in slopes]
    if chart == RESIDUAL:
        total = [mp.fdot(mu, column) for column in zip(*rows, strict=True)]
        rows = [total] + [
            [v - t / mass for v, t in zip(row, total, strict=True)] for row in rows[1:]
        ]
    return [v for row in rows for v in row]


def exact_jacobian(chart, x):
    step, columns = mp.mpf(10) ** -25, []
    for k in range(len(x)):
        size = step * (abs(x[k]) or mp.one)
        ahead, behind = ([*x[:k], x[k] + s * size, *x[k + 1 :]] for s in (1, -1))
        pair = exact_field(chart, ahead), exact_field(chart, behind)
        columns.append([(a - b) / (2 * size) for a, b in zip(*pair, strict=True)])
    return np.array([[float(y) for y in row] for row in zip(*columns, strict=True)])


def shape_of(chart):
    return np.array([K, Q - 1, chart])


def alone(chart, x, wanted=False):
    size = x.size
    out, matrix = np.empty(size), np.zeros((size, size))
    field = wrapped_once(make_raw)
    field(0.0, x.ravel(), True, 1.0, np.zeros(size), MU, shape_of(chart), out, matrix, wanted)
    return (out, matrix) if wanted else out


@functools.cache
def compiled(width):
    field = make_field(width)
    return numba.njit(lambda *arrays: field(*arrays))


def in_lanes(chart, x, width):
    others = np.random.default_rng(0).normal(size=(x.size, width))
    others[:, -1] = x.ravel()
    out, work = np.empty_like(others), np.empty((fields.workspace(sizes, shape_of(chart)), width))
    compiled(width)(others, np.tile(MU[:, None], width), shape_of(chart), out, work)
    return out[:, -1]


def in_jax(chart, x):
    with jax.enable_x64(True):
        field = field_of(define, sizes, tuple(map(int, shape_of(chart))))
        return np.asarray(field(jax.numpy.asarray(x.ravel()), MU))


def in_lists(m, chart, x):
    """Slopes of numbers that are no arrays."""
    field, weights = lists.field_of(define, sizes, m), MU.tolist()
    return field(x, weights, shape_of(chart).tolist())


def in_floats(chart, x):
    return np.array(in_lists(lists.floats(), chart, x.ravel().tolist()))


def in_decimals(chart, x):
    with mp.workdps(DIGITS):
        return in_lists(lists.decimals(), chart, [mp.mpf(v) for v in x.ravel()])


def in_balls(chart, x):
    with precision(200):  # bits of sixty digits
        found = in_lists(lists.balls(), chart, [arb(v) for v in x.ravel()])
    return [mp.mpf(v._mpf_) for v in found]


KINDS = {
    "alone": alone,
    "floats": in_floats,
    "decimals": lambda chart, x: np.array(in_decimals(chart, x), dtype=float),
    "balls": lambda chart, x: np.array(in_balls(chart, x), dtype=float),
    "lanes": lambda chart, x: in_lanes(chart, x, WIDTH),
    "one lane": lambda chart, x: in_lanes(chart, x, 1),
    "jax": in_jax,
}


def of_block(values):
    """The largest of each block, for each of its entries."""
    blocks = np.abs(values).reshape(K, Q)
    return np.repeat(blocks.max(axis=1), Q)


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("name", STATES)
def test_slopes_of_every_chart_and_kind_are_those_of_sixty_digits(name, kind):
    chart, x = STATES[name]
    with mp.workdps(DIGITS):
        true = np.array([float(v) for v in exact_field(chart, [mp.mpf(v) for v in x.ravel()])])
    found = KINDS[kind](chart, x)
    assert (np.abs(found - (1 + 1e-3) * true) > LAST * of_block(true)).any()
    assert (np.abs(found - true) <= LAST * of_block(true)).all()


@pytest.mark.parametrize("found", [in_decimals, in_balls])
@pytest.mark.parametrize("name", STATES)
def test_slopes_of_many_digits_have_them(name, found):
    chart, x = STATES[name]
    with mp.workdps(DIGITS):
        true = exact_field(chart, [mp.mpf(v) for v in x.ravel()])
        rows = list(zip(found(chart, x), true, strict=True))

        def apart(factor):
            return max(abs(v / (w * factor) - 1) for v, w in rows)

        assert apart(1) < MANY < apart(1 + 10 * mp.mpf(MANY))


@pytest.mark.parametrize("name", STATES)
def test_entries_of_jacobians_are_those_of_sixty_digits(name):
    chart, x = STATES[name]
    with mp.workdps(DIGITS):
        true = exact_jacobian(chart, [mp.mpf(v) for v in x.ravel()])
    out, matrix = alone(chart, x, wanted=True)
    assert np.array_equal(out, alone(chart, x))
    blocks = np.abs(true).reshape(K, Q, K, Q).max(axis=(1, 3))
    weight = np.kron(blocks, np.ones((Q, Q)))
    assert (np.abs(matrix - true) <= ENTRY * weight).all()
    assert (np.abs(matrix - (1 + 1e-3) * true) > ENTRY * weight).any()
