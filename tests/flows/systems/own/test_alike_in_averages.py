"""Students of an average that begin alike stay alike, though the average has a saddle there."""

from __future__ import annotations

import numpy as np
import pytest
import sympy as sp
from numpy.polynomial.hermite_e import hermegauss
from scipy.integrate import solve_ivp

import flows
from flows.systems.own.subspace import Alike, found_alike
from symbolic import Expectation, Sphere

A, B, C, D = sp.symbols("a b c d", real=True)
X, Y = sp.symbols("x y", real=True)
NODES = 80  # tanh of forms below one: the rule is right to 1e-13
# The loss may be off by so many times its stated error where the oracle's own counts.
ORACLE_ERROR = 1e-11
# Steps of two runs of one flow.
STEPS = 1e-7
# Time after which the oracle's rounding would leave the saddle, and a part of a start that does.
LONG, APART = 15, 1e-6
# A loss that is no saddle's any more.
LOWER = 0.5


def squared(error: sp.Expr, law: object = (X, Y)) -> sp.Expr:
    """Half the mean square."""
    return Expectation(error**2, law) / 2


ONE, LINE = (sp.tanh(A * X) + sp.tanh(B * X)), sp.tanh(X)
SKEW = sp.tanh(A * X) + sp.tanh(B * Y)


@pytest.mark.parametrize(
    ("loss", "start", "of", "sign"),
    [
        (squared(ONE - LINE, X), [0.5, 0.5], (0, 0), (1, 1)),
        # The second student is the first one of -x; a teacher that tells x from -x does not agree.
        (squared(ONE - sp.tanh(X) ** 2, X) + (A - B) ** 3, [0.5, -0.5], (0, 0), (1, -1)),
        (squared(ONE - LINE, X), [0.5, -0.5], None, None),
        # The two numbers can be exchanged, or a little not.
        (squared(SKEW - sp.tanh(X) - sp.tanh(Y)), [0.5, 0.5], (0, 0), (1, 1)),
        (squared(SKEW - sp.tanh(X) - sp.tanh(Y * sp.Rational(1001, 1000))), [0.5, 0.5], None, None),
        # What is across the teacher stays zero, as y and -y are alike; a term pushes it.
        (squared(sp.tanh(A * X + B * Y) - LINE), [0.5, 0.0], (0, -1), (1, 0)),
        (squared(sp.tanh(A * X + B * Y) - LINE) + B / 1000, [0.5, 0.0], None, None),
        (squared(sp.tanh(A * X + B * Y) - LINE - Y / 1000), [0.5, 0.0], None, None),
    ],
)
def test_entries_are_alike_where_the_sum_over_reflected_and_exchanged_numbers_says_so(
    loss, start, of, sign
):
    entries = sorted(loss.free_symbols - {X, Y}, key=str)
    system = flows.OwnSystem("own", entries, loss)
    held = (0.0,) * len(start)
    assert found_alike(system._loss, np.array(start)) == (of and Alike(of, sign, held))


def test_of_functions_with_kinks_and_of_other_laws_nothing_is_said():
    kinked = squared(abs(A * X + B) + abs(C * X + D) - sp.tanh(X), X)
    other = Expectation((SKEW - sp.tanh(X + Y)) ** 2, (X, Y), density=Sphere())
    for loss, entries in ((kinked, [A, B, C, D]), (other, [A, B])):
        system = flows.OwnSystem("own", entries, loss)
        assert found_alike(system._loss, np.full(len(entries), 0.5)) is None


def oracle(start, times):
    """Losses of two students of tanh, by a product rule and an explicit method."""
    nodes, weights = hermegauss(NODES)
    x, y = (g.ravel() for g in np.meshgrid(nodes, nodes))
    w = np.outer(weights, weights).ravel() / (2 * np.pi)

    def error(state):
        return (
            np.tanh(state[0] * x + state[1] * y) + np.tanh(state[2] * x + state[3] * y) - np.tanh(x)
        )

    def flow(_, state):
        forms = state[0] * x + state[1] * y, state[2] * x + state[3] * y
        slopes = [w * error(state) / np.cosh(u) ** 2 for u in forms]
        return [-(s @ each) for s in slopes for each in (x, y)]

    asked = {"rtol": 1e-12, "atol": 1e-14, "method": "DOP853", "t_eval": times}
    states = solve_ivp(flow, (0, times[-1]), start, **asked).y.T
    return np.array([w @ error(state) ** 2 / 2 for state in states])


START = np.array([0.5, 0.2, 0.5, 0.2])
TWO = flows.OwnSystem(
    "two", [A, B, C, D], squared(sp.tanh(A * X + B * Y) + sp.tanh(C * X + D * Y) - sp.tanh(X))
)


@pytest.fixture(scope="module")
def run():
    return flows.integrate(TWO, START, 1e6)


def test_students_that_begin_alike_go_to_the_saddle_between_their_minima(run, tmp_path):
    assert run.completed and (run.state[:, :2] == run.state[:, 2:]).all()
    times = run.t[run.t < LONG]
    off = np.abs(run["loss"][: len(times)] / oracle(START, times) - 1)
    assert (off <= run.errors("loss")[: len(times)] + ORACLE_ERROR).all()
    assert run.inside[1].said == "a = c, b = d"
    run.save(tmp_path / "run.nc")
    again = flows.load(tmp_path / "run.nc", system=TWO)
    assert again["loss"] == pytest.approx(run["loss"], rel=ORACLE_ERROR)
    assert again.inside[1].said == "a = c, b = d"
    # Control: students that begin a little apart leave the saddle for a lower minimum.
    apart = flows.integrate(TWO, START + np.array([0, 0, 0, APART]), 1e3)
    assert apart.completed and apart["loss"][-1] < LOWER * run["loss"][-1]


def test_members_that_begin_alike_are_followed_as_alone(run):
    starts = np.array([START, START + np.array([0.1, 0, 0, 0])])
    many = flows.integrate_ensemble(TWO, starts, t_end=1e6)
    assert (many["loss"][0] == run["loss"]).all()


def test_alike_students_of_many_inputs_are_followed_in_their_span(run):
    w, v = (sp.MatrixSymbol(name, 5, 1) for name in "wv")
    x = sp.MatrixSymbol("x", 5, 1)
    error = sp.tanh((w.T * x)[0, 0]) + sp.tanh((v.T * x)[0, 0]) - sp.tanh(x[0, 0])
    wide = flows.OwnSystem("wide", [w, v], Expectation(error**2, x) / 2)
    side = [0.12, 0.0, -0.16, 0.0]  # of length 0.2
    found = flows.integrate(wide, [0.5, *side, 0.5, *side], 1e6)
    assert found.completed
    assert found["loss"] == pytest.approx(run["loss"], rel=STEPS)
