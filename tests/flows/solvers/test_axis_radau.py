"""Radau in compiled steps along axes: coefficients, Jacobian, and the truth about the end."""

import dataclasses

import numpy as np
import pytest
import sympy as sp
from flint import arb, arb_mat

import flows
from flows.core.balls import precision
from flows.core.problem import SOLVER_FAILED
from flows.runs.integrate import follow_in_pieces, next_problem
from flows.runs.request import Request
from flows.solvers import axis_radau, scipy_ivp
from flows.solvers.axis_steps import advance, begin
from flows.solvers.choice import solver_for
from flows.systems.own import energy

# Rounding of coefficients that come from eigenvectors.
ROUNDING = 1e-13
# A Hessian in two doubles, whose entries are then rounded; rounding of its largest entry.
HESSIAN, TWOFOLD = 1e-14, 1e-31
# Steps of 1e-10, whose errors the flow contracts.
SAME = 1e-9
W = sp.MatrixSymbol("W", 3, 2)
GAP = W.T * W - sp.Matrix([[1, 0], [0, 0]])
MATRIX = flows.OwnSystem("factorization", [W], sp.trace(GAP.T * GAP) / 4)


def problems(system, start, t_end=3e5, rtol=1e-10):
    """Pieces of a run, each solved as the method `auto` does it, with what it solves."""
    pieces = follow_in_pieces(system, start, Request(t_end, rtol=rtol))
    problem, _ = next_problem(pieces, None)
    while problem is not None:
        yield problem
        problem, _ = next_problem(pieces, solver_for("auto", system)(problem))


def test_the_coefficients_are_those_of_collocation_of_order_nine():
    found = axis_radau.tableau()
    nodes, error, dense = found.nodes, found.error, found.dense
    real, pairs, back, forth = (x[0] for x in (found.real, found.pairs, found.back, found.forth))
    block = np.zeros((5, 5))
    block[0, 0] = real
    for k, pair in enumerate(pairs):
        rows = slice(2 * k + 1, 2 * k + 3)
        block[rows, rows] = [[pair.real, -pair.imag], [pair.imag, pair.real]]
    integral = np.linalg.inv(forth @ block @ back)
    for degree in range(5):  # each stage integrates polynomials, and the end those of degree eight
        exact = nodes ** (degree + 1) / (degree + 1)
        assert np.allclose(integral @ nodes**degree, exact, rtol=0, atol=ROUNDING)
    for degree in range(9):
        off = abs(integral[-1] @ nodes**degree - 1 / (degree + 1))
        assert off < ROUNDING
    assert abs(integral[-1] @ nodes**9 - 1 / 10) > 1e-6
    # The formula beside it, of order five, and no more.
    weights = integral.T @ error / real + integral[-1]
    for degree in range(6):
        found = weights @ nodes**degree + (degree == 0) / real
        assert (abs(found - 1 / (degree + 1)) < ROUNDING) == (degree < 5)
    stages = np.random.default_rng(0).normal(size=5)
    polynomial = dense @ stages
    powers = nodes[:, None] ** np.arange(1, 6)
    assert np.allclose(powers @ polynomial, stages, atol=ROUNDING)


def test_the_hessian_of_a_chart_is_that_of_balls():
    problem = [p for p in problems(MATRIX, MATRIX.initial(0.5, 0), 1e10) if p.chart.axis_field][-1]
    field, size = problem.chart.axis_field, 6
    pace = begin(field, 0.0, np.zeros(size), 1e-10, np.ones(1))
    advance(pace, axis_radau.tableau(), np.empty(0), np.empty((0, size)))  # no step
    found = pace.near.matrix[..., 0]
    entries = sp.symbols("w:6")
    matrix = sp.Matrix(3, 2, entries)
    gap = matrix.T * matrix - sp.diag(1, 0)
    hessian = sp.lambdify([entries], sp.hessian((gap * gap).trace() / 4, entries), "sympy")
    with precision(400):
        axes = arb_mat(size, size, [arb(x) + arb(y) for x, y in field.axes.reshape(-1, 2)])
        place = [arb(x) + arb(y) for x, y, _ in field.centre]
        rows = hessian([sp.Float(x.str(100, radius=False), 100) for x in place])
        exact = arb_mat(size, size, [arb(str(x)) for x in rows])
        turned = (axes.transpose() * exact * axes).entries()
        truth = np.array([float(x) for x in turned]).reshape(size, size)
    units = field.size / field.size[:, None]
    allowed = (HESSIAN * np.abs(truth) + TWOFOLD * np.abs(truth).max()) * units
    truth *= units
    # Rounding of the largest curvature would couple what is slow to what is fast.
    assert np.abs(truth).max() > 1e16 * np.abs(truth).min()
    assert (np.abs(found - truth) <= allowed).all()
    assert not (np.abs(1.001 * found - truth) <= allowed).any()


def test_compiled_steps_end_where_those_of_scipy_do():
    seen = 0
    for problem in problems(MATRIX, MATRIX.initial(0.5, 1)):
        field = problem.chart.axis_field
        if field is None:
            continue
        compiled = axis_radau.solve(problem, field)
        if compiled.status == SOLVER_FAILED:  # beside a saddle, where others begin anew
            continue
        plain = scipy_ivp.solve(problem, "Radau")
        assert compiled.status == plain.status
        # One of them may end before an output, and the other one after it.
        both = zip(compiled.states, plain.states, strict=False)
        assert min(len(compiled.states), len(plain.states)) > 1
        scale = np.abs(plain.states).max(axis=0) + 1
        assert all((np.abs(one - other) < SAME * scale).all() for one, other in both)
        seen += 1
    assert seen > 3


@pytest.mark.parametrize("seed", range(3))
def test_runs_are_those_of_uncompiled_steps(seed, monkeypatch):
    start = MATRIX.initial(0.5, seed)
    compiled = flows.integrate(MATRIX, start, 1e8)
    monkeypatch.setattr(energy, "MOST_COMPILED", 0)
    plain = flows.integrate(MATRIX, start, 1e8, rtol=1e-12)
    gap = np.abs(compiled["loss"] / plain["loss"] - 1)
    assert compiled.status == plain.status == "completed"
    assert (gap < SAME).all() and (gap > 0).any()


def test_a_broken_weight_of_the_error_takes_many_more_steps(monkeypatch):
    problem = [p for p in problems(MATRIX, MATRIX.initial(0.5, 1)) if p.chart.axis_field][-1]
    field = problem.chart.axis_field
    steps = axis_radau.solve(problem, field).stats["steps"]
    whole = axis_radau.tableau()
    broken = whole._replace(error=1.001 * whole.error)
    monkeypatch.setattr(axis_radau, "tableau", lambda: broken)
    # An error estimate off by a thousandth is first order in the step, and takes many more.
    assert axis_radau.solve(problem, field).stats["steps"] > 2 * steps


def test_a_field_that_two_doubles_do_not_know_is_left_to_others():
    problem = [p for p in problems(MATRIX, MATRIX.initial(0.5, 1)) if p.chart.axis_field][-1]
    field = problem.chart.axis_field
    unknown = field._replace(allowed=np.zeros(6))
    solution = axis_radau.solve(problem, unknown)
    assert solution.status == SOLVER_FAILED and "field" in solution.message
    assert solution.stats["field_evaluations"] == 1
    chart = dataclasses.replace(problem.chart, axis_field=unknown)
    other = solver_for("auto", MATRIX)(dataclasses.replace(problem, chart=chart))
    assert other.status == "completed"
    # Compiled charts are longer: what both have seen is the same.
    known, both = axis_radau.solve(problem, field).states, len(other.states)
    assert 1 < both <= len(known)
    assert np.allclose(other.states, known[:both], atol=SAME)


def test_a_budget_of_steps_is_kept():
    problem = [p for p in problems(MATRIX, MATRIX.initial(0.5, 1)) if p.chart.axis_field][-1]
    few = dataclasses.replace(problem, max_steps=5)
    solution = axis_radau.solve(few, problem.chart.axis_field)
    assert solution.status == "step_budget" and solution.stats["steps"] == 5


def test_beside_a_saddle_compiled_steps_are_taken_where_the_displacement_is_known():
    a, b = sp.symbols("a b")
    # The saddle 0 is left along b, and the flow of b alone is known in closed form.
    system = flows.OwnSystem("saddle", [a, b], a**2 - b**2 / 2 + b**4 / 4)
    first = next(problems(system, [1.0, 1e-4], t_end=10.0))
    assert first.chart.axis_field is not None
    run = flows.integrate(system, [1.0, 1e-4], 10.0)
    grown = 1e-8 * np.exp(2 * run.t)
    assert run.state[:, 1] == pytest.approx(np.sqrt(grown / (1 - 1e-8 + grown)), rel=SAME)
    # A symmetry keeps what is exactly on the manifold that leads to the saddle.
    assert next(problems(system, [1.0, 0.0], t_end=10.0)).chart.axis_field is not None
    assert (flows.integrate(system, [1.0, 0.0], 10.0).state[:, 1] == 0).all()
    # An exchange does too, for ever, and no side is made up.
    turned = system.expression.subs({a: a + b, b: a - b}, simultaneous=True)
    run = flows.integrate(flows.OwnSystem("exchanged", [a, b], turned), [0.5, 0.5], 20.0)
    assert run.completed and (run.state[:, 0] == run.state[:, 1]).all()
    assert run.state[-1, 0] == pytest.approx(0.5 * np.exp(-80.0), rel=SAME)
