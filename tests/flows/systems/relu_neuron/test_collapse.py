"""Neurons that reach zero: the curve of maximal slope against definitions and descent."""

import numpy as np
import pytest
from scipy.integrate import solve_ivp

import flows
from flows.core.piece import Restart
from flows.solvers import choice
from flows.systems.relu_neuron import collapse, lone, pieces, watch
from flows.systems.relu_neuron.state import SoundState

# One-sided difference quotient with step 1e-7 of a function with bounded second derivative.
QUOTIENT = 1e-6
# Sums of four terms of order one.
ROUNDED = 1e-15
DYING = [[-0.02, 0.001, 0.0], [1.2, 0.1, 0.2], [0.5, 0.3, -0.1]]


def slope(w: np.ndarray) -> np.ndarray:
    """Equation 4 as printed, with arccos: an oracle that shares nothing with the package."""
    v = np.array(flows.ReLUNeuron(*w.shape).teacher)
    everyone = np.vstack([w, v])
    norms = np.linalg.norm(everyone, axis=1)
    units = everyone / norms[:, None]
    theta = np.arccos(np.clip(units @ units.T, -1, 1))
    np.fill_diagonal(theta, 0.0)
    sign = np.append(np.ones(len(w)), -1.0)
    k = len(w)
    own = (sign * norms * np.sin(theta[:k])).sum(axis=1)[:, None] * units[:k]
    others = (sign * theta[:k]) @ everyone
    return 0.5 * (w.sum(axis=0) - v) + (own - others) / (2 * np.pi)


def descend_plainly(w: np.ndarray, eta: float, t: float) -> float:
    """Loss after gradient descent with steps eta up to t, in plain coordinates."""
    for _ in range(round(t / eta)):
        w = w - eta * slope(w)
    return flows.ReLUNeuron(*w.shape).loss(w)


def test_d_is_the_one_sided_derivative_of_the_loss_at_a_neuron_at_zero():
    rng = np.random.default_rng(2)
    system = flows.ReLUNeuron(3, 3)
    w = rng.normal(size=(3, 3))
    w[1] = 0.0
    frame, state = system.reduce(w)
    basis = np.column_stack([np.eye(3)[0], frame.basis])
    for _ in range(5):
        u = rng.normal(size=3)
        u /= np.linalg.norm(u)
        moved = w.copy()
        moved[1] = 1e-7 * u
        quotient = (system.loss(moved) - system.loss(w)) / 1e-7
        assert abs(collapse.slope(basis.T @ u, frame.multiplicity, state)[0] - quotient) < QUOTIENT


@pytest.mark.parametrize("seed", range(4))
def test_no_direction_of_a_dense_sample_is_below_the_minimum_found(seed):
    rng = np.random.default_rng(seed)
    w = rng.normal(size=(4, 3))
    w[0] = 0.0
    frame, state = flows.ReLUNeuron(4, 3).reduce(w)
    value, where = collapse.steepest(frame.multiplicity, state, room=False)
    sample = rng.normal(size=(20_000, 3))
    sample /= np.linalg.norm(sample, axis=1, keepdims=True)
    values = collapse.slope(sample, frame.multiplicity, state)[0]
    assert value <= values.min() + 1e-12
    assert abs(np.linalg.norm(where) - 1) < 1e-12


def test_the_lower_of_two_wells_of_nearly_the_same_depth_is_found():
    w = np.array([[0.6986122646924884, 0.6364849673008611], [0.6983152565366652, -0.1166452524917]])
    frame, state = flows.ReLUNeuron(3, 2).reduce(np.vstack([w, [0.0, 0.0]]))
    value, _ = collapse.steepest(frame.multiplicity, state, room=False)
    assert value == pytest.approx(0.00450125, rel=1e-5)  # the other one has 0.00479981


def test_the_compiled_slope_is_the_slope():
    rng = np.random.default_rng(0)
    w = rng.normal(size=(4, 3))
    w[2] = 0.0
    frame, state = flows.ReLUNeuron(4, 3).reduce(w)
    at, data = collapse.make_slope(), collapse._terms(frame.multiplicity, state, 1)
    for u in rng.normal(size=(20, 4)):
        u /= np.linalg.norm(u)
        gradient = np.empty(4)
        value = at(data, u, gradient)
        known, slope = collapse.slope(u, frame.multiplicity, state)
        assert abs(value - known) < ROUNDED
        assert np.abs(gradient - slope).max() < ROUNDED


@pytest.mark.parametrize("size", [1e-3, 1e-60])
def test_beside_a_lone_neuron_the_minimum_is_found_in_units_of_what_is_left(size):
    h, z = np.array([1.0, -2.0 * size, 0.0]), np.array([[0.3], [0.5], [0.0]])
    z[0] *= size
    z[1] *= size
    state = SoundState(h, z, np.array([size, z[0, 0] + z[1, 0]]))
    mu = np.ones(3)
    assert lone.lonely(state)
    value, _ = collapse.steepest(mu, state, room=False)
    angle = np.linspace(0, 2 * np.pi, 20_001)
    sample = np.column_stack([np.cos(angle), np.sin(angle)])
    least = collapse.slope(sample, mu, state)[0].min()
    # A sample misses the minimum by the square of its spacing.
    assert value <= least + 1e-15 * size
    assert value > least - 1e-6 * size


def test_the_collapse_of_an_anti_aligned_neuron_is_an_event_with_its_time():
    run = flows.integrate(flows.ReLUNeuron(3, 3), DYING, 1e6)
    assert run.completed
    (event,) = run.events
    assert event.kind == "collapse" and "neuron 1" in event.detail
    before = run.state[run.t < event.time][-1, 0]
    after = run.state[run.t > event.time][:, 0]
    assert np.linalg.norm(before) > 0 and not after.any()


def test_the_time_of_a_collapse_does_not_depend_on_solver_or_tolerance():
    times = [
        flows.integrate(flows.ReLUNeuron(3, 3), DYING, 10.0, method=m, rtol=r).events[0].time
        for m, r in [("LSODA", 1e-9), ("LSODA", 1e-11), ("BDF", 1e-9), ("Radau", 1e-9)]
    ]
    assert np.ptp(times) < 1e-6 * times[0]


# The third of its neurons gets to zero fast.
FAST = [[-3.8, 0.4, -0.7, -1.7], [0.9, 3.0, 0.0, -3.8], [1.3, -1.5, 3.2, -1.1]]
# Of DOP853 in plain coordinates, whose formula loses digits where directions are nearly alike.
BY_HAND = 1e-9
# Parts of the time of a collapse before it.
BEFORE = 10.0 ** np.arange(-2.0, -8.1, -0.5)


def off_before_a_collapse(method: str) -> float:
    """How many stated errors losses are off by just before the first neuron is at zero."""
    start, system = np.array(FAST), flows.ReLUNeuron(3, 4)
    lengths = lambda y: np.linalg.norm(y.reshape(3, 4), axis=1)  # noqa: E731
    near = lambda t, y: lengths(y).min() - 1e-7  # noqa: E731
    near.terminal = True
    field = lambda t, y: -slope(y.reshape(3, 4)).ravel()  # noqa: E731
    way = solve_ivp(
        field, (0, 20), start.ravel(), "DOP853", rtol=1e-12, atol=1e-14, events=near,
        dense_output=True,
    )  # fmt: skip
    begun, w = way.t[-1], way.y[:, -1]
    speed, which = field(begun, w), np.repeat(lengths(w) == lengths(w).min(), 4)
    end = begun - w[which] @ w[which] / (w[which] @ speed[which])
    times = np.sort(end * (1 - BEFORE))
    exact = [system.loss(way.sol(t).reshape(3, 4)) for t in times[times <= begun]]
    for t in times[times > begun]:  # the rest is a straight line up to 1e-13
        exact.append(system.loss((w + (t - begun) * speed).reshape(3, 4)))
    run = flows.integrate(system, start, times[-1], times, rtol=1e-7, method=method)
    allowed = run.absolute_errors("loss")[1:] + BY_HAND
    return float((np.abs(run["loss"][1:] - np.array(exact)) / allowed).max())


@pytest.mark.parametrize("method", ["auto", "Rodas5P"])
def test_losses_just_before_a_collapse_are_within_their_stated_errors(method, monkeypatch):
    assert off_before_a_collapse(method) <= 1
    # A neuron that is put to zero where its last straight stretch begins is seen.
    monkeypatch.setattr(
        Restart, "passed", lambda self, times: self._replace(before=None).state.at(None).at(
            np.zeros(len(times), dtype=int)
        )
    )  # fmt: skip
    assert off_before_a_collapse(method) > 1


def test_gradient_descent_converges_to_the_continued_flow_at_first_order():
    t = 8.0
    run = flows.integrate(flows.ReLUNeuron(3, 3), DYING, t)
    assert run.events[0].time < t
    coarse, fine = (
        abs(descend_plainly(np.array(DYING), eta, t) / run["loss"][-1] - 1) for eta in (4e-3, 1e-3)
    )
    # First order: a quarter of the step, about a quarter of the error.
    assert fine < 0.4 * coarse and fine < 2e-3


def test_a_neuron_at_zero_leaves_along_the_steepest_descent_or_says_that_it_stays():
    leaving = flows.integrate(flows.ReLUNeuron(2, 2), [[0.0, 0.0], [0.1, 0.2]], 10.0)
    assert leaving.events[0].kind == "departure"
    assert np.linalg.norm(leaving.state[-1, 0]) > 0.1
    staying = flows.integrate(flows.ReLUNeuron(2, 1), [[0.0], [2.0]], 10.0)
    assert staying.events[0].kind == "rest"
    assert not staying.state[:, 0].any()


@pytest.mark.parametrize("seed", [2, 7])
def test_many_collapses_end_in_a_completed_run_with_a_falling_loss(seed):
    start = np.random.default_rng(seed).normal(size=(10, 2))
    run = flows.integrate(flows.ReLUNeuron(10, 2), start, 1e8)
    assert run.completed
    assert len(run.events) >= 5
    assert (np.diff(run["loss"]) < 0).all()


# Neuron 7 dies at t = 1.573, leaves zero, and returns at 2.073, never longer than 2e-4.
RETURNING = 0.22 / np.sqrt(5) * np.random.default_rng(0).normal(size=(8, 5))
# Four times what the slowest of these takes; missing the return costs more than ten thousand.
STEPS = 1500
# Of the loss at t = 3: the solvers' errors of the second collapse reach it.
SOLVERS = 1e-5


def test_a_neuron_that_leaves_zero_and_returns_is_seen_whatever_the_solver():
    losses = []
    for method in ("auto", "LSODA", "BDF", "Radau"):
        run = flows.integrate(
            flows.ReLUNeuron(8, 5), RETURNING, 3.0, method=method, rtol=1e-8, max_steps=STEPS
        )
        assert run.completed and [event.kind for event in run.events] == ["collapse"] * 2
        losses.append(run["loss"][-1])
    assert np.ptp(losses) < SOLVERS * losses[0]


# Its third neuron is at zero from t = 8.55 on, and can leave at LEAVES; by Radau at rtol 1e-13.
WAITS, LEAVES, LOSS_AT_TEN = (3, 2, 1.0, 195), 8.703193824605, 3.030089987e-05


@pytest.mark.parametrize("method", ["Rodas5P", "LSODA", "BDF", "Radau", "CVODE"])
def test_a_neuron_leaves_zero_as_soon_as_it_can_whatever_the_solver(method):
    n, d, scale, index = WAITS
    system = flows.ReLUNeuron(n, d)
    start = flows.Law(index + 1, scale).start(system, index)
    run = flows.integrate(system, start, 10.0, [10.0], method=method, rtol=1e-10)
    assert run.completed
    (departure,) = (event.time for event in run.events if event.kind == "departure")
    assert abs(departure / LEAVES - 1) < SOLVERS / 100
    assert abs(run["loss"][-1] / LOSS_AT_TEN - 1) < SOLVERS


# Starts, and when a neuron leaves zero there: between two questions whether one can, or where a
# chart ends. By Radau at rtol 1e-12, on which all methods agree.
BETWEEN = [((4, 3), 175, 2.18507359918), ((3, 3), 321, 4.31538441241), ((3, 2), 537, 1.03507766545)]


@pytest.mark.parametrize("method", ["auto", "Rodas5P", "Radau"])
@pytest.mark.parametrize(("size", "seed", "leaves"), BETWEEN)
def test_a_neuron_that_could_leave_before_it_was_asked_does(size, seed, leaves, method):
    rng = np.random.default_rng(seed)
    rng.integers(2, 6), rng.integers(2, 4)
    system = flows.ReLUNeuron(*size)
    start = system.initial(scale=10 ** rng.uniform(-1, 0.9), seed=seed)
    if seed % 3 == 0:
        start[0] = 0.0
    for end in (1.2 * leaves, 1.01 * leaves):
        run = flows.integrate(system, start, end, [end], method=method, rtol=1e-7)
        times = [event.time for event in run.events if event.kind == "departure"]
        assert times and abs(times[-1] / leaves - 1) < 1e-6
        # One that has not been asked until the end is not left at zero.
        assert run.state[-1].any(axis=1).all()


# Its first neuron leaves zero at t = 1.414, in a direction that settles far faster than it grows.
SETTLES, BUDGET = (3, 2, 1.0, 32, 113), 5000


def leaving(method, rtol):
    """Run of that member."""
    n, d, scale, seed, index = SETTLES
    system = flows.ReLUNeuron(n, d)
    start = flows.Law(index + 1, scale, seed=seed).start(system, index)
    return flows.integrate(
        system, start, 1e3, [10.0, 1e3], method=method, rtol=rtol, max_steps=BUDGET
    )


def test_a_neuron_that_has_just_left_zero_does_not_make_a_run_crawl_or_fail(monkeypatch):
    fast, usual, many = leaving("Rodas5P", 1e-10), leaving("auto", 1e-10), leaving("CVODE", 1e-8)
    assert fast.completed and usual.completed and many.completed
    assert np.abs(usual["loss"] / fast["loss"] - 1).max() < 1e-8
    assert np.abs(many["loss"] / fast["loss"] - 1).max() < SOLVERS
    monkeypatch.setattr(choice, "ALONE", 0)  # not by compiled steps
    assert leaving("auto", 1e-10).completed
    monkeypatch.setattr(pieces, "DAMPED", ())
    assert leaving("auto", 1e-10).status == "step_budget"


# Its first neuron leaves zero at t = 1.9703, and others turn it as it grows; how far methods agree.
TURNS, AGREE = (3, 2, 0.1, 30, 82), 1e-6


def turned(method, rtol):
    """Transverse part of that neuron in units of its parallel one, soon after it has left."""
    n, d, scale, seed, index = TURNS
    system = flows.ReLUNeuron(n, d)
    start = flows.Law(index + 1, scale, seed=seed).start(system, index)
    run = flows.integrate(system, start, 2.05, [1.98, 2.0, 2.05], method=method, rtol=rtol)
    assert [event.kind for event in run.events] == ["collapse"]
    return run["z_norms"][1:, 0] / run["h"][1:, 0]


@pytest.mark.parametrize("method", ["auto", "Rodas5P", "Radau", "BDF", "CVODE"])
def test_a_neuron_that_has_left_zero_turns_with_the_others_whatever_the_solver(method):
    by_small_steps = turned("LSODA", 1e-11)
    assert turned(method, 1e-9) == pytest.approx(by_small_steps, rel=AGREE)


def test_a_step_over_a_large_growth_would_keep_the_direction(monkeypatch):
    monkeypatch.setattr(pieces, "GROWS", 1e12)
    assert turned("Radau", 1e-9) != pytest.approx(turned("LSODA", 1e-11), rel=1e3 * AGREE)


def test_a_return_closer_to_zero_than_steps_can_aim_is_missed(monkeypatch):
    monkeypatch.setattr(watch, "DUST", 1e-14)
    monkeypatch.setattr(watch, "AIM", 0.0)
    monkeypatch.setattr(pieces, "GROWS", 1e12)  # pieces of little growth see it, too
    # A method may be lucky at one tolerance, by a last bit, and not at another.
    runs = [
        flows.integrate(
            flows.ReLUNeuron(8, 5), RETURNING, 3.0, method="auto", rtol=rtol, max_steps=STEPS
        )
        for rtol in (1e-6, 1e-7, 1e-8)
    ]
    assert not all(run.completed for run in runs)
