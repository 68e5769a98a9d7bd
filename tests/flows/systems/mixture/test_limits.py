"""Compiled steps end their batch where the piece is outgrown, as the watch itself says."""

from __future__ import annotations

import dataclasses
import functools

import numpy as np
import pytest

import flows
from flows.arithmetic.linked import linked
from flows.systems.mixture import choice
from flows.systems.mixture.constants import LIMITS, axes_at
from flows.systems.mixture.derivatives import gradient
from flows.systems.mixture.expectation import expect
from flows.systems.mixture.field import make_look, workspace
from flows.systems.mixture.forms import components
from flows.systems.mixture.means import CLUSTER, FAR, NEAR
from flows.systems.mixture.sound import SoundState

STARTS = {
    FAR: [[0.9, 0.3], [-0.2, 0.8], [-0.6, -0.7]],
    NEAR: [[0.2, 0.1], [-0.1, 0.2], [0.05, -0.2]],
    CLUSTER: [[1.2, 0.1], [0.9, 0.2], [1.05, -0.2]],
}
# Raw states are turned about the start by up to this factor, far enough for all limits.
FACTORS = np.geomspace(0.2, 5.0, 81)
RTOL = 1e-8


def piece_of(kind, system=None):
    system = (system or flows.GMMEM(3, 2)).at_tolerance(RTOL, 0.0, False)
    piece = system.piece(*system.reduce(np.array(STARTS[kind])), 0.0)
    assert piece.kind == kind
    return piece


@functools.cache
def compiled():
    import numba

    look = make_look()
    return numba.njit(lambda x, w, s, room: look(x, w, s, room))


def looked(piece, raw, weights):
    call, work = compiled(), np.empty((workspace(piece.chart.shape), 1))
    with linked():  # as it is compiled where steps are taken
        call(raw[0][:, None], weights[:, None], piece.chart.shape, work)
    return np.array([call(x[:, None], weights[:, None], piece.chart.shape, work) for x in raw])


def axes_of(piece, mu):
    """Axes along the differences of the pivots of a piece, by QR."""
    r = piece.limits.means.shape[1]
    levels = piece.chart.shape[6]
    pivots = piece.chart.shape[8 + 2 * levels :].reshape(r, 2)
    mu, mean = mu[piece.order], np.mean(mu, axis=0)
    rows = [mean if i < 0 else mu[i] - mu[j] for i, j in pivots.tolist()]
    return np.linalg.qr(np.array(rows).T)[0].T


def widths_of(piece, mu):
    """Largest distances of two means, of the near form also from the target, along each axis."""
    along = mu @ axes_of(piece, mu).T
    along = np.vstack([along, np.zeros(2)]) if piece.kind == NEAR else along
    return np.ptp(along, axis=0)


def beyond(piece, raw):
    """Whether means of raw states are beyond the limits of a piece."""
    limits, mu = piece.limits, piece.decode(raw).mu
    squares, mean = np.sum(mu**2, axis=-1), np.mean(mu, axis=-2, keepdims=True)
    length = np.sqrt(squares.max(axis=-1))
    spread = np.sqrt(np.sum((mu - mean) ** 2, axis=-1).max(axis=-1))
    inside = (limits.length[0] < length) & (length < limits.length[1])
    inside &= (limits.spread[0] < spread) & (spread < limits.spread[1])
    before = np.sum(limits.means**2, axis=-1)
    inside &= np.abs(squares - before[np.argsort(piece.order)]).max(axis=-1) <= limits.change
    assert limits.moved == np.inf
    # Along the axes of the rule the means are no further apart than it serves.
    k, r = limits.means.shape
    usual = piece.chart.weights[axes_at(k) + r * r :][r : 2 * r]
    return ~(inside & np.array([(widths_of(piece, m) <= usual).all() for m in mu]))


@pytest.mark.parametrize("kind", STARTS)
def test_compiled_code_knows_where_a_piece_is_outgrown(kind):
    piece = piece_of(kind)
    raw = piece.chart.x0 * FACTORS[:, None]
    outgrown = beyond(piece, raw)
    assert 0 < outgrown.sum() < len(raw)
    assert (looked(piece, raw, piece.chart.weights) == outgrown).all()
    assert (piece.outgrown(raw) == outgrown).all()
    # A limit that is off by five per cent is seen.
    bent = piece.chart.weights.copy()
    bent[-LIMITS - 15 :][:4] *= 1.05
    bent[axes_at(3) + 2 * 2 :][2:4] *= 1.05
    assert (looked(piece, raw, bent) != outgrown).any()


@pytest.mark.parametrize("kind", STARTS)
def test_axes_turn_with_the_means(kind):
    piece = piece_of(kind)
    for angle in np.linspace(0.0, 3.0, 13):
        turn = np.array([[np.cos(angle), -np.sin(angle)], [np.sin(angle), np.cos(angle)]])
        raw = (piece.chart.x0.reshape(3, 2) @ turn).ravel()
        assert not piece.outgrown(raw[None])[0]
        assert not beyond(piece, raw[None])[0]


def test_a_batch_ends_with_its_piece(monkeypatch):
    def work():
        run = flows.integrate(flows.GMMEM(3, 2), STARTS[FAR], 100.0, method="Rodas5P", rtol=RTOL)
        assert run.stats["pieces"] > 1
        return run.stats["jacobian_evaluations"], run["loss"]

    attempts, losses = work()
    monkeypatch.setattr(choice, "LANES", choice.LANES._replace(look=None))
    blind, same = work()
    assert attempts < blind
    np.testing.assert_array_equal(losses, same)


def test_short_means_have_fewer_nodes_that_serve_as_well():
    piece = piece_of(NEAR)
    levels = piece.chart.shape[6]
    nodes = piece.chart.shape[8 : 8 + 2 * levels : 2]
    assert levels > 3 and (np.diff(nodes) < 0).all()
    raw = piece.chart.x0 * 0.5 ** np.arange(8)[:, None]

    def off(one):
        found, exact = one.looks(raw)[1], []
        for state in one.decode(raw).mu:
            frame, sound = one.frame, SoundState(state - state.mean(axis=0), state.mean(axis=0))
            means = components(frame, sound)
            exact.append(-gradient(frame, means, expect(one.calculus, means, 1e-13).pull))
        cubes = np.array([np.abs(state).max() ** 3 for state in one.decode(raw).mu])
        return (np.abs(found - np.array(exact)).max(axis=(-2, -1)) / cubes).max()

    assert off(piece) <= RTOL
    # With the nodes of the shortest means everywhere the longest are not served.
    k, r, (weights, shape) = 3, 2, (piece.chart.weights.copy(), piece.chart.shape)
    weights[axes_at(k) + r * r :][: levels * r] = np.inf
    chart = dataclasses.replace(piece.chart, weights=weights, shape=shape)
    assert off(dataclasses.replace(piece, chart=chart)) > 100 * RTOL
