"""Factors without exchanges solve what LAPACK solves, and a wrong sign anywhere is seen."""

import numba
import numpy as np
import pytest

from flows.arithmetic.numbers import doubles, lanes
from flows.arithmetic.triangular import triangular
from flows.arithmetic.vectors import WIDTH

SIZE = 7
# Rounding of a solution, relative, where condition numbers are below a hundred.
ROUNDED = 1e-13
KINDS = {"one": (doubles, 1), "lanes": (lanes, WIDTH)}


def solved(kind, matrices, sides):
    """Smallest pivots and solutions, one a lane."""
    make, width = KINDS[kind]
    _, factorize, substitute = triangular(make())
    put = make().put

    @numba.njit
    def run(matrix, x, least):
        put(least, 0, factorize(matrix, SIZE))
        substitute(matrix, SIZE, x, 0)

    columns = np.ascontiguousarray(matrices[:width].transpose(2, 1, 0).reshape(SIZE**2, width))
    x, least = np.ascontiguousarray(sides[:width].T), np.empty((1, width))
    run(columns, x, least)
    return least[0], x.T


def definite(seed):
    """Matrices as steps have them: symmetric ones, their unknowns in other units."""
    rng = np.random.default_rng(seed)
    factor = rng.normal(size=(WIDTH, SIZE, SIZE))
    units = 10.0 ** rng.uniform(-6, 6, size=(WIDTH, SIZE))
    square = factor @ factor.transpose(0, 2, 1) + SIZE * np.eye(SIZE)
    return units[:, :, None] * square / units[:, None, :], units, rng.normal(size=(WIDTH, SIZE))


@pytest.mark.parametrize("kind", KINDS)
def test_solutions_are_those_of_lapack_in_any_units(kind):
    matrices, units, sides = definite(0)
    least, found = solved(kind, matrices, units * sides)
    width = len(least)
    plain = matrices * units[:, None, :] / units[:, :, None]
    true = np.linalg.solve(plain, sides[..., None])[..., 0][:width]
    wrong = np.abs(found / units[:width] - true).max(axis=1) / np.abs(true).max(axis=1)
    assert (wrong < ROUNDED).all() and (least > 0).all()
    assert (np.abs(found / units[:width] - 1.001 * true).max(axis=1) > ROUNDED).all()


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("k", range(SIZE))
def test_one_negative_direction_is_seen_whichever_it_is(kind, k):
    rng = np.random.default_rng(1)
    matrices, sides = rng.normal(size=(WIDTH, SIZE, SIZE)), rng.normal(size=(WIDTH, SIZE))
    signs = np.where(np.arange(SIZE) == k, -1.0, 1.0)
    # The pivot of row k, and no other, changes its sign.
    lower = np.tril(matrices, -1) + np.eye(SIZE)
    indefinite = lower @ (signs[:, None] * lower.transpose(0, 2, 1))
    assert (solved(kind, indefinite, sides)[0] < 0).all()
    assert (solved(kind, lower @ lower.transpose(0, 2, 1), sides)[0] > 0).all()
