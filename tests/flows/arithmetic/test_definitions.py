"""One definition runs on numbers of every kind, with the same values and the exact Jacobian."""

import functools
import runpy
from pathlib import Path

import jax
import numba
import numpy as np
import pytest
from mpmath import mp

from flows.arithmetic import fields, lists, numbers
from flows.arithmetic.arrays import field_of
from flows.arithmetic.vectors import WIDTH
from flows.core.balls import precision
from flows.core.chart import wrap

ROOT = Path(__file__).parents[3]
EXAMPLE = runpy.run_path(str(ROOT / "docs" / "arithmetic_example.py"))
DEFINE, SIZES = EXAMPLE["define"], EXAMPLE["sizes"]
#: More unknowns than one round of duals has directions.
COUNT = WIDTH + 3
RNG = np.random.default_rng(0)
X, WEIGHTS = RNG.normal(size=COUNT), RNG.uniform(0.5, 2.0, size=COUNT)
SHAPE = np.array([COUNT])
# Sums of twenty numbers.
ROUNDED = 1e-14


def by_hand(x=X):
    apart = x[None, :] - x[:, None]
    return (WEIGHTS * apart / np.sqrt(1 + apart**2)).sum(axis=1)


def jacobian_by_hand():
    apart = X[None, :] - X[:, None]
    other = WEIGHTS / (1 + apart**2) ** 1.5
    return other - np.diag(other.sum(axis=1))


def alone(x, wanted=False):
    field = wrap(fields.alone(DEFINE, SIZES))
    out, matrix = np.empty(COUNT), np.zeros((COUNT, COUNT))
    field(0.0, x, True, 1.0, np.zeros(COUNT), WEIGHTS, SHAPE, out, matrix, wanted)
    return (out, matrix) if wanted else out


@functools.cache
def compiled(width):
    field = fields.side_by_side(DEFINE, SIZES, width)
    return numba.njit(lambda *arrays: field(*arrays))


def in_lanes(x, width):
    # Another state in each lane: the last one is the one that counts.
    states = np.stack([x + e for e in range(width)][::-1], axis=1)
    out = np.empty((COUNT, width))
    weights = np.tile(WEIGHTS[:, None], width)
    work = np.empty((fields.workspace(SIZES, SHAPE), width))
    compiled(width)(states, weights, SHAPE, out, work)
    return out[:, -1]


def in_jax(x):
    with jax.enable_x64(True):
        return np.asarray(field_of(DEFINE, SIZES, (COUNT,))(jax.numpy.asarray(x), WEIGHTS))


def in_lists(m, x):
    found = lists.field_of(DEFINE, SIZES, m)(x.tolist(), WEIGHTS.tolist(), [COUNT])
    return np.array(found, dtype=float)


KINDS = {
    "alone": alone,
    "floats": lambda x: in_lists(lists.floats(), x),
    "decimals": lambda x: in_lists(lists.decimals(), x),
    "balls": lambda x: in_lists(lists.balls(), x),
    "sixteen lanes": lambda x: in_lanes(x, WIDTH),
    "one lane": lambda x: in_lanes(x, 1),
    "jax": in_jax,
}


@pytest.mark.parametrize("kind", KINDS)
def test_the_example_of_the_guide_runs_on_every_kind(kind):
    found, true = KINDS[kind](X), by_hand()
    assert np.abs(found - true).max() < ROUNDED * np.abs(true).max()
    assert np.abs(found - by_hand(X * (1 + 1e-3))).max() > 1e-5 * np.abs(true).max()


def test_its_jacobian_is_the_derivative_entry_by_entry():
    out, matrix = alone(X, wanted=True)
    assert np.array_equal(out, alone(X))
    true = jacobian_by_hand()
    assert (np.abs(matrix - true) < ROUNDED * np.abs(true)).all()
    assert (np.abs(matrix - 1.001 * true) > 1e-4 * np.abs(true)).all()


# Functions ----------------------------------------------------------------------------------------

# A number, its partner of a function of two, and slopes along which both move.
ANGLES = np.concatenate([np.geomspace(1e-12, np.pi, 25), np.pi - np.geomspace(1e-8, 0.5, 6)])
# Four units of the last place, and cancellation of `sin t - t` beside t = SWITCH.
LAST = 2e-15


def through(function, arrays):
    """Values in doubles and lanes, and slopes in duals of both, of a function of numbers.

    ``function(m)`` gives the function; its arguments are rows of ``arrays``, which all move at the
    speed of their own.
    """
    count, total = arrays.shape
    speeds = np.arange(1.0, count + 1)

    def run(m, width, number):
        f, get, put = function(m), m.get, m.put

        @numba.njit
        def call(given, out):
            for k in range(len(given) // count):
                if count == 1:
                    put(out, k, f(get(given, k)))
                elif count == 2:
                    put(out, k, f(get(given, 2 * k), get(given, 2 * k + 1)))
                else:
                    put(out, k, f(get(given, 3 * k), get(given, 3 * k + 1), get(given, 3 * k + 2)))

        blocks = -(-total // width)
        padded = np.tile(arrays[:, :1], (1, blocks * width))
        padded[:, :total] = arrays
        given = np.zeros((blocks, count, number))
        given[..., :width] = padded.reshape(count, blocks, width).transpose(1, 0, 2)
        if number > width:
            given[..., width:] = speeds[:, None]
        out = np.zeros((blocks, number))
        call(given.reshape(-1, number), out)
        return out[:, :width].ravel()[:total], out[:, width:]

    one, _ = run(numbers.doubles(), 1, 1)
    many, _ = run(numbers.lanes(), WIDTH, WIDTH)
    value, slope = run(numbers.duals(numbers.doubles), 1, 1 + WIDTH)
    lanes, slopes = run(numbers.duals(numbers.lanes), WIDTH, 2 * WIDTH)
    assert np.array_equal(one, value) and np.array_equal(many, lanes)
    assert (slope == slope[:, :1]).all()
    return one, many, slope[:, 0], slopes.ravel()[:total]


def chords(t):
    return np.array([t, 2 * np.sin(t / 2), 2 * np.cos(t / 2)])


FUNCTIONS = {
    # Function, arguments, value and derivative along the speeds 1, 2, ... in many digits.
    "root": (lambda m: m.root, ANGLES[None] ** 3, lambda x: mp.sqrt(x), lambda x: 0.5 / mp.sqrt(x)),
    "turn": (
        lambda m: m.turn,
        np.array([np.sin(2 * ANGLES - np.pi), np.cos(2 * ANGLES - np.pi)]) * ANGLES,
        lambda y, x: mp.atan2(y, x),
        lambda y, x: (x - 2 * y) / (x * x + y * y),
    ),
    "magnitude": (
        lambda m: m.magnitude,
        np.array([np.concatenate([ANGLES, -ANGLES])]),
        abs,
        lambda x: mp.sign(x),
    ),
    "larger": (
        lambda m: m.larger,
        np.array([ANGLES, ANGLES[::-1]]),
        max,
        lambda x, y: mp.one if x > y else mp.mpf(2),
    ),
    "held": (lambda m: m.held, ANGLES[None], lambda x: x, lambda x: mp.zero),
}


@pytest.mark.parametrize("name", FUNCTIONS)
def test_functions_and_their_slopes_have_all_digits_in_every_kind(name):
    function, arrays, value, slope = FUNCTIONS[name]
    with mp.workdps(50):
        columns = [[mp.mpf(float(x)) for x in column] for column in arrays.T]
        true = np.array([float(value(*column)) for column in columns])
        moved = np.array([float(slope(*column)) for column in columns])
    one, many, slope_one, slope_many = through(function, arrays)
    for found, known in ((one, true), (many, true), (slope_one, moved), (slope_many, moved)):
        assert (np.abs(found - known) <= LAST * np.abs(known)).all()


def test_sine_excess_has_all_digits_and_the_slope_of_its_angle():
    t = ANGLES
    one, many, slope_one, slope_many = through(lambda m: m.sine_excess, chords(t))
    with mp.workdps(50):
        true = np.array([float(mp.sin(x) - x) for x in map(mp.mpf, t)])
        moved = np.array([float(mp.cos(x) - 1) for x in map(mp.mpf, t)])
    for found, known in ((one, true), (many, true), (slope_one, moved), (slope_many, moved)):
        assert (np.abs(found - known) <= 4 * LAST * np.abs(known)).all()
    assert (np.abs(one - 1.001 * true) > 1e-4 * np.abs(true)).all()


@pytest.mark.parametrize("kind", [lists.floats, lists.decimals, lists.balls])
def test_functions_of_lists_are_those_of_compiled_numbers(kind):
    m = kind()
    assert float(m.root(m.zero() + 9.0)) == 3 and m.root(m.zero()) == 0
    assert float(m.turn(m.zero() + 1.0, m.zero() - 1.0)) == pytest.approx(3 * np.pi / 4, rel=LAST)
    assert [m.at(2, 2), m.at(1, 2)] == [1, 0]
    one, two = m.zero() - 1.0, m.zero() + 2.0
    assert (m.pick(one, two, one, two), m.pick(two, one, one, two)) == (one, two)
    assert (m.larger(one, two), m.larger(two, one), m.magnitude(one)) == (two, two, -one)
    with mp.workdps(60), precision(200):
        for t in (1e-8, 0.1, 3.0):
            true = mp.sin(t) - mp.mpf(t)
            found = m.sine_excess(m.zero() + t, None, None)
            assert abs(float(found) / float(true) - 1) < 4 * LAST


def test_a_root_of_zero_has_no_slope_and_turning_nowhere_none():
    zero = np.zeros((1, 3))
    for found in through(lambda m: m.root, zero):
        assert (found == 0).all()
    for found in through(lambda m: m.turn, np.zeros((2, 3))):
        assert (found == 0).all()
