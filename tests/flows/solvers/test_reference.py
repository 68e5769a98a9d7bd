import numpy as np
import pytest
from mpmath import mp
from oracles import relu_neuron as oracle

from flows.core.problem import COMPLETED, INTERRUPTED, SOLVER_FAILED, STEP_BUDGET
from flows.solvers import reference
from flows.solvers.radau_tableau import tableau
from flows.systems.relu_neuron import exact

DIGITS = 30
# The default bound of a step is 1e-15 relative; the steps here are few and stable.
SOLVED = 1e-14
PAIR = [0.3, 0.4, 0.6, -0.2]


def _solve(field, jacobian, start, times, **options):
    return reference.solve_reference(field, jacobian, start, times, digits=DIGITS, **options)


def _square(x):
    return [-(y * y) for y in x]


def _square_jacobian(x):
    return [[-2 * x[0]]]


def test_nodes_of_three_stages_are_those_of_the_book():
    nodes, integral, _ = tableau(3, DIGITS)
    with mp.workdps(DIGITS):
        root = mp.sqrt(6)
        book = [(4 - root) / 10, (4 + root) / 10, mp.one]
        assert all(mp.almosteq((1 + x) / 2, c) for x, c in zip(nodes, book, strict=True))
        weights = [(16 - root) / 36, (16 + root) / 36, mp.one / 9]
        assert all(mp.almosteq(a, b) for a, b in zip(integral[-1], weights, strict=True))
        assert mp.almosteq(integral[0][0], (88 - 7 * root) / 360)
        assert not mp.almosteq(integral[0][1], (88 - 7 * root) / 360)


def _march(stages, count, damage=1):
    """End of x' = -x^2 from 1 at tau = 1, where x = exp(-tau), in equal steps."""
    table = tableau(stages, DIGITS)
    last = [damage * a for a in table.integral[-1]]
    table = table._replace(integral=[*table.integral[:-1], last])
    stats = {"field_evaluations": 0, "jacobian_evaluations": 0}
    with mp.workdps(DIGITS + 10):
        x, step = [mp.one], mp.one / count
        for k in range(count):
            found = reference.collocate(
                lambda tau, x: [-mp.exp(tau) * y * y for y in x],
                lambda tau, x: [[-2 * mp.exp(tau) * x[0]]],
                reference.Step(k * step, x, step),
                [x] * stages,
                table,
                tolerance=mp.mpf(10) ** -DIGITS,
                stats=stats,
            )
            x = found[-1]
        return abs(x[0] * mp.e - 1)


@pytest.mark.parametrize("stages", [2, 3])
def test_error_falls_like_the_step_to_the_order(stages):
    measured = float(mp.log(_march(stages, 8) / _march(stages, 16), 2))
    # The next order adds about a step, 1/8, to the exponent.
    assert measured == pytest.approx(2 * stages - 1, abs=0.2)
    spoilt = float(mp.log(_march(stages, 8, 1.01) / _march(stages, 16, 1.01), 2))
    assert spoilt < 0.5


def test_a_stiff_linear_problem_is_solved_to_its_closed_form():
    fast, slow = 1e6, 1.0

    def field(x):
        return [-fast * (x[0] - x[1]) - slow * x[1], -slow * x[1]]

    def jacobian(x):
        return [[-fast, fast - slow], [0, -slow]]

    times = [1e-7, 1e-5, 0.1, 3.0]
    run = _solve(field, jacobian, [2.0, 1.0], times)
    assert run.status == COMPLETED
    with mp.workdps(DIGITS):
        for t, x in zip(times, run.states, strict=True):
            decayed = mp.exp(-slow * t)
            assert abs(x[1] / decayed - 1) < SOLVED
            assert abs(x[0] / (decayed + mp.exp(-fast * t)) - 1) < SOLVED
        first = run.states[0][0]
        assert abs(first / (mp.exp(-slow * times[0]) + mp.exp(-2 * fast * times[0])) - 1) > SOLVED
    # Explicit steps would number a million.
    assert run.stats["steps"] < 100


def test_tail_of_an_algebraic_decay_stays_relative_for_twelve_decades():
    times = [1e-3, 1e3, 1e6, 1e12]
    run = _solve(_square, _square_jacobian, [2.0], times)
    errors = [abs(x[0] * (t + 0.5) - 1) for t, x in zip(times, run.states, strict=True)]
    assert max(errors) < SOLVED
    assert abs(run.states[-1][0] * (1e12 + 1e3) - 1) > SOLVED
    assert 0 < run.error < 1e-13


def test_one_neuron_follows_the_exact_exponential():
    # Along the teacher the flow is linear: w - v = (w0 - v) exp(-t/2).
    times = [0.5, 10.0, 60.0]
    run = _solve(*exact.flow([1], 2), [0.25, 0.0], times)
    for t, w in zip(times, run.states, strict=True):
        decayed = -mp.mpf(0.75) * mp.exp(-mp.mpf(t) / 2)
        # The neuron is known relative to its length, not to its distance from the teacher.
        assert abs(w[0] - 1 - decayed) < SOLVED
        assert w[1] == 0
    assert abs(run.states[1][0] - 1 + 0.75 * mp.exp(-10 / 3)) > SOLVED


def test_short_horizon_agrees_with_a_taylor_method():
    field, jacobian = exact.flow([1, 1], 2)
    run = _solve(field, jacobian, PAIR, [1.5])
    with mp.workdps(15):
        taylor = mp.odefun(lambda t, x: field(x), 0, PAIR, tol=1e-10)(1.5)
        # What the Taylor method was asked for, times the few steps it takes.
        assert max(abs(x - y) for x, y in zip(run.states[0], taylor, strict=True)) < 1e-9
        assert max(abs(x - y) for x, y in zip(PAIR, taylor, strict=True)) > 1e-2


def test_another_number_of_stages_and_a_tighter_tolerance_give_the_same_loss():
    times = [1.0, 1e2, 1e4]
    loose = _solve(*exact.flow([1, 1], 2), PAIR, times)
    tight = _solve(*exact.flow([1, 1], 2), PAIR, times, tolerance=1e-18, stages=14)
    coarse = _solve(*exact.flow([1, 1], 2), PAIR, times, tolerance=1e-5, stages=4)

    def losses(run):
        return np.array([oracle.loss([x[:2], x[2:]], [1.0, 0.0], 60) for x in run.states])

    # The loss is about the cube of the transverse parts.
    assert np.abs(losses(loose) / losses(tight) - 1).max() < 3 * SOLVED
    assert np.abs(losses(coarse) / losses(tight) - 1).max() > 3 * SOLVED


def test_progress_is_reported_and_an_interruption_keeps_what_is_done():
    times = []

    def interrupt(t):
        times.append(t)
        if t > 5:
            raise KeyboardInterrupt

    run = _solve(_square, _square_jacobian, [1.0], [0.1, 1.0, 1e6], progress=interrupt)
    assert run.status == INTERRUPTED
    assert len(run.states) == 2
    assert times == sorted(times)


def test_a_budget_that_is_spent_is_reported():
    run = _solve(_square, _square_jacobian, [1.0], [1e-3, 1e12], max_steps=3)
    assert run.status == STEP_BUDGET
    assert run.stats["steps"] + run.stats["rejected"] == 3
    assert len(run.states) == 1
    assert "budget" in run.message


def test_a_solution_that_explodes_is_a_failure_and_not_a_number():
    run = _solve(
        lambda x: [x[0] ** 2], lambda x: [[2 * x[0]]], [1.0], [0.5, 2.0], stages=6, tolerance=1e-6
    )
    assert run.status in (SOLVER_FAILED, STEP_BUDGET)
    assert len(run.states) == 1
    assert abs(run.states[0][0] - 2) < 1e-5


def test_a_neuron_that_reaches_zero_in_finite_time_is_a_failure_that_says_when():
    field, jacobian = exact.flow([1, 1, 1], 2, DIGITS)
    start = [-0.1, 0.0, 0.8, 0.6, 0.8, -0.6]
    run = _solve(field, jacobian, start, [1e-2, 1e3], stages=4, tolerance=1e-4)
    assert run.status == SOLVER_FAILED
    assert len(run.states) == 1
    # The pair pushes it at a nearly constant speed; 2.774 is where the steps of 20 stages end too.
    assert "step size became zero at t = 2.774" in run.message
    rest = [x / 2 for x in start[2:]]
    survives = _solve(field, jacobian, [0.2, 0.1, *rest], [1e-2, 10.0], stages=6, tolerance=1e-6)
    assert survives.status == COMPLETED


def test_a_neuron_that_decays_to_zero_does_not_hold_up_the_others():
    # Along the teacher: w_1 < 0 decays like exp(-t/2) and the other one learns alone.
    run = _solve(*exact.flow([1, 1], 2, DIGITS), [-0.3, 0.0, 0.9, 0.0], [10.0, 1e6])
    assert run.status == COMPLETED
    assert abs(run.states[0][0] + 0.3 * mp.exp(-5)) < SOLVED
    assert abs(run.states[0][2] - 1 + 0.1 * mp.exp(-5)) < SOLVED
    assert abs(run.states[0][2] - 1 + 0.1 * mp.exp(-4)) > SOLVED
    assert abs(run.states[1][0]) < 1e-30


def test_a_neuron_at_zero_stays_exactly_there_while_the_others_move():
    field, jacobian = exact.flow([1, 1], 2, DIGITS)
    run = _solve(field, jacobian, [0.0, 0.0, 0.3, 0.4], [1.0, 10.0])
    alone = _solve(*exact.flow([1], 2, DIGITS), [0.3, 0.4], [1.0, 10.0])
    for with_zero, without in zip(run.states, alone.states, strict=True):
        assert with_zero[:2] == [0, 0]
        assert max(abs(x - y) for x, y in zip(with_zero[2:], without, strict=True)) < SOLVED
        assert abs(with_zero[2] - 0.3) > SOLVED


def _kinked(x, sides=None):
    """x' = -1 from 1, y' = |x|: a kink at t = 1, where x changes its sign."""
    side = sides[0] if sides else (1 if x[0] >= 0 else -1)
    return [-mp.one, side * x[0]]


def _kinked_jacobian(x, sides=None):
    side = sides[0] if sides else (1 if x[0] >= 0 else -1)
    return [[0, 0], [side, 0]]


def test_a_step_ends_at_a_kink_where_a_switch_changes_its_sign():
    def kinked(switches):
        return _solve(_kinked, _kinked_jacobian, [1.0, 0.0], [0.5, 1.5, 3.0], switches=switches)

    switched, unaware = kinked(lambda x: [x[0]]), kinked(None)
    for y, expected in zip(switched.states, (0.375, 0.625, 2.5), strict=True):
        assert abs(y[1] - expected) < SOLVED
    # Whoever never changes sides goes on with y' = x.
    assert abs(kinked(lambda x: [mp.one]).states[1][1] - 0.375) < SOLVED
    assert 2 * sum(switched.stats[k] for k in ("steps", "rejected")) < unaware.stats["rejected"]


# In each, two vectors pass each other: at the angle 0, and at the angle pi.
@pytest.mark.parametrize(
    ("start", "t"), [([2.04, -2.56, 0.42, -0.57], 0.15), ([-1.74, -1.34, -1.36, -0.35], 1.0)]
)
def test_passing_neurons_give_the_same_with_and_without_switches(start, t):
    crossings = exact.crossings(2)
    first = crossings(start)
    options = {"stages": 8, "tolerance": 1e-11}

    def end(switches):
        run = _solve(*exact.flow([1, 1], 2), start, [t], switches=switches, **options)
        return run.states[0], run.stats

    (through, few), (unaware, many), (stubborn, _) = (
        end(s) for s in (crossings, None, lambda x: first)
    )
    passed = [a * b < 0 for a, b in zip(first, crossings(through), strict=True)]
    assert sum(passed) == 1
    # Some ten steps of 1e-11.
    assert max(abs(a - b) for a, b in zip(through, unaware, strict=True)) < 1e-10
    assert max(abs(a - b) for a, b in zip(stubborn, unaware, strict=True)) > 1e-7
    assert few["rejected"] < many["rejected"]
