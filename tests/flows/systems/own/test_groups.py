"""Sums of several averages, each in a plane of its own, in balls of two doubles."""

from __future__ import annotations

import itertools

import numpy as np
import pytest
import sympy as sp
from flint import arb
from mpmath import mp
from scipy.integrate import solve_ivp

import flows
from flows.core.balls import precision
from flows.expectations.lines import Gauss, Line, in_balls
from flows.expectations.product import product
from flows.systems.own.averages import averages
from flows.systems.own.loss import Loss
from flows.systems.own.serving import groups_of, placed
from symbolic import Expectation
from symbolic.language.blocks import Explicit

# Digits of the reference, and what two doubles leave of sums whose sizes are about one.
DIGITS, PAIRED = 40, 1e-25
# A rule that leaves this part of the sizes, and what its bound is larger by, at most.
FINE, LOOSE = 1e-25, 1e4
# Loss of a run: what the oracle leaves of it, by sums over nodes so far apart.
ORACLE, SPACING = 1e-9, 0.3
DIMENSION, END = 3, 0.3
TEACHER = (1.0, 0.5, 0.0)
Y = sp.symbols(f"y0:{2 * DIMENSION}", real=True)
X = sp.symbols(f"x0:{DIMENSION}", real=True)


def form(weights):
    return sum(w * x for w, x in zip(weights, X, strict=True))


def erf_loss():
    """Half the mean square of two students less a teacher, as an average."""
    teacher = [sp.Rational(w) for w in TEACHER]
    error = sp.erf(form(Y[:DIMENSION])) + sp.erf(form(Y[DIMENSION:])) - sp.erf(form(teacher))
    return Loss(Y, Explicit(sp.S.Zero, error**2 / 2, X), "erf")


def by_arcsines(y):
    """The same in closed form (Williams 1997)."""
    rows = [y[:DIMENSION], y[DIMENSION:], list(map(mp.mpf, TEACHER))]

    def kernel(u, v):
        uu, uv, vv = (mp.fdot(a, b) for a, b in ((u, u), (u, v), (v, v)))
        return 2 / mp.pi * mp.asin(2 * uv / mp.sqrt((1 + 2 * uu) * (1 + 2 * vv)))

    signs = (1, 1, -1)
    pairs = itertools.product(zip(signs, rows, strict=True), repeat=2)
    return sum(s * r * kernel(u, v) for (s, u), (r, v) in pairs) / 2


@pytest.mark.parametrize(
    "state",
    [
        [0.6, -0.3, 0.2, 0.4, 0.9, -0.5],
        # Nearly parallel students, and one that is nearly the teacher.
        [0.6, -0.3, 0.2, 0.6, -0.3, 0.2 + 2.0**-30],
        [1.0, 0.5, 2.0**-20, 2.0**-30, 0.0, 2.0**-30],
    ],
    ids=["apart", "parallel", "near"],
)
def test_planes_of_pairs_give_all_digits_of_what_cancels(state):
    loss = erf_loss()
    nodes = placed(groups_of(loss.formed.forms), np.array(state), None, FINE)
    assert nodes.enclosed and len(nodes.parts) > 3
    with precision(160):
        value, *slopes = averages(loss, nodes).both([arb(x) for x in state])
    with mp.workdps(DIGITS):
        place = list(map(mp.mpf, state))
        true = by_arcsines(place)
        moved = [
            mp.diff(lambda z, k=k: by_arcsines([*place[:k], z, *place[k + 1 :]]), place[k])
            for k in range(len(place))
        ]
        off = [
            abs(mp.mpf(str(a.mid().str(DIGITS, radius=False))) - b)
            for a, b in zip([value, *slopes], [true, *moved], strict=True)
        ]
        assert off[0] < PAIRED and max(off[1:]) < mp.mpf(10) ** (-DIGITS // 2)
        assert nodes.bound[0] < LOOSE * FINE and off[0] < nodes.bound[0] + float(value.rad())
        # Control: so much of one entry is seen.
        beside = by_arcsines([place[0] + mp.mpf(2) ** -60, *place[1:]])
        assert abs(beside - true) > 10 * off[0]


def test_products_of_rules_hold_those_of_their_weights():
    lines = [in_balls(Gauss(Line(thin=True), n), 160, False) for n in (7, 4)]
    kept = np.ones((7, 4), dtype=bool)
    kept[0, 0] = False
    found = product(lines, kept)
    whole = [(u, v, a * b) for (u, a), (v, b) in itertools.product(*lines)][1:]
    assert len(found.weights) == len(whole)
    with precision(300):
        for places, weight, (u, v, true) in zip(*found, whole, strict=True):
            for (high, low, off), x in zip([*places, weight], (u, v, true), strict=True):
                held = arb(high) + arb(low) + arb(0, off)
                assert held.overlaps(x) and off < 2.0**-98 * abs(high) + 1e-300
        total = sum(
            (arb(h) + arb(low) for h, low, _ in found.weights), lines[0][0][1] * lines[1][0][1]
        )
        assert abs(float(total - 1)) < 1e-29


def test_three_students_of_two_teachers_are_followed_within_their_errors():
    n, d = 3, 3
    w = sp.MatrixSymbol("W", n, d)
    x = sp.MatrixSymbol("x", d, 1)
    error = sum(sp.tanh((w * x)[i, 0]) for i in range(n)) - sp.tanh(x[0, 0]) - sp.tanh(x[1, 0])
    start = np.random.default_rng(3).normal(size=(n, d)) / 2
    system = flows.OwnSystem("three", [w], Expectation(error**2, x) / 2)
    run = flows.integrate(system, start, END)
    line = np.arange(-27, 28) * SPACING
    places = np.stack(np.meshgrid(*[line] * d, indexing="ij"), -1).reshape(-1, d)
    shares = SPACING**d * np.exp(-(places**2).sum(axis=1) / 2) / (2 * np.pi) ** (d / 2)
    places, shares = places[shares > 1e-15], shares[shares > 1e-15]
    wanted = np.tanh(places[:, :2]).sum(axis=1)

    def of(state):
        seen = np.tanh(places @ state.reshape(n, d).T)
        return seen, seen.sum(axis=1) - wanted

    def flow(_, state):
        seen, left = of(state)
        return -(((shares * left)[:, None] * (1 - seen**2)).T @ places).ravel()

    found = solve_ivp(flow, (0, END), start.ravel(), "DOP853", run.t, rtol=1e-11, atol=1e-13)
    true = np.array([shares @ of(y)[1] ** 2 / 2 for y in found.y.T])
    off = np.abs(run["loss"] / true - 1)
    assert run.completed and (off <= run.errors("loss") + ORACLE).all()
    assert (np.abs(1.001 * run["loss"] / true - 1) > run.errors("loss") + ORACLE).all()
