"""Chains side by side have the velocity of one chain, in every lane."""

import numpy as np
import pytest

from flows.systems.matrix_factorization import field as chains
from flows.systems.matrix_factorization.field_lanes import make_field, workspace

LANES = 16
# Sums of up to a hundred products, in another order.
ROUNDING = 1e-12
FIELD = make_field(LANES)


def both(depth, d, is_complex, change=lambda x: x):
    """Velocities by the lanes and one by one, at random points."""
    shape = np.array([depth, d, is_complex])
    size = 2 * depth * d * d * (1 + is_complex) + 2
    x = np.random.default_rng(depth).normal(size=(size, LANES))
    x = change(x)
    strength = np.arange(1.0, 1.0 + LANES)[None]
    out, work = np.empty_like(x), np.full((workspace(shape), LANES), np.nan)
    FIELD(x, strength, shape, out, work)
    alone = np.empty_like(x)
    for e in range(LANES):
        one = np.empty(size)
        raw = np.ascontiguousarray(x[:, e])
        chains.raw(raw, strength[:, e], shape, one, np.zeros((1, 1)), False)
        alone[:, e] = one
    return out, alone


@pytest.mark.parametrize("depth, d, is_complex", [(2, 1, 0), (4, 3, 0), (3, 2, 1), (5, 2, 0)])
def test_every_lane_has_the_velocity_of_its_chain(depth, d, is_complex):
    found, alone = both(depth, d, is_complex)
    assert np.abs(found - alone).max() < ROUNDING * np.abs(alone).max()


def test_what_has_decayed_to_nothing_stays_so():
    def without(x):
        x[4 * 9 : -2] = 0.0  # residual and defects of four layers of size three
        return x

    found, alone = both(4, 3, 0, without)
    assert np.isfinite(found).all()
    assert np.abs(found - alone).max() < ROUNDING


def test_another_strength_is_seen():
    found, alone = both(4, 3, 0)
    assert np.abs(np.roll(found, 1, axis=1) - alone).max() > 1e-3
