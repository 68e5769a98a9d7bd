"""Runs on which kinks in the data move far: beyond the nodes and back, apart, and together."""

import os

import numpy as np
import pytest
import sympy as sp
from scipy.integrate import solve_ivp

import flows
from flows.expectations.hermite import Rule
from flows.systems.own import kink, moving
from symbolic import Cube, Expectation

FUZZ = int(os.environ.get("POPFLOW_FUZZ", "0"))
FIRST = int(os.environ.get("POPFLOW_FUZZ_FROM", "0"))
SEEDS = range(FIRST, FIRST + FUZZ) if FUZZ else (0, 1, 2, 4)
X, W, V = sp.symbols("x w v", real=True)
# Beyond this the density is 1e-22.
REACH, PANELS, GAUSS = 10.0, 12, 24
# Of the other integration, and what it and its nodes leave of states and losses of order one.
STEP, ORACLE = 1e-11, 1e-9
UNITS = {  # with the places of its kinks
    "ramp": (lambda u: sp.Max(0, u), (0,)),
    "leaky": (lambda u: sp.Max(u, u / 10), (0,)),
    "size": (sp.Abs, (0,)),
    "square": (lambda u: sp.Max(0, u) ** 2, (0,)),
    "hat": (lambda u: sp.Max(-1, sp.Min(1, u)), (-1, 1)),
}


def flow(body, entries, kinks, start, times, half=None):
    """States and losses by Gauss-Legendre nodes between kinks, found anew at each state.

    Of a standard normal number, or of one with a uniform density up to ``half`` on both sides.
    """
    reach = REACH if half is None else half
    nodes, weights = np.polynomial.legendre.leggauss(GAUSS)
    code = sp.lambdify(
        [*entries, X], [body, *(sp.diff(body, y) for y in entries)], ["scipy", "numpy"]
    )
    forms = sp.lambdify(entries, [[sp.diff(u, X), u.subs(X, 0)] for u in kinks])

    def average(y):
        slope, constant = np.array(forms(*y), dtype=float).T
        with np.errstate(all="ignore"):
            place = np.nan_to_num(-constant / slope, posinf=reach, neginf=-reach)
        ends = np.concatenate([np.linspace(-reach, reach, PANELS), place.clip(-reach, reach)])
        ends.sort()
        length = np.diff(ends)[:, None] / 2
        x = ((ends[1:] + ends[:-1])[:, None] / 2 + length * nodes).ravel()
        density = np.exp(-(x**2) / 2) / np.sqrt(2 * np.pi) if half is None else 1 / (2 * reach)
        mass = (length * weights).ravel() * density
        return np.array([np.broadcast_to(value, x.shape) @ mass for value in code(*y, x)])

    found = solve_ivp(
        lambda _, y: -average(y)[1:], (0, times[-1]), start, "DOP853", times, rtol=STEP, atol=STEP
    )
    return found.y.T, np.array([average(y)[0] for y in found.y.T])


def is_followed(body, entries, kinks, start, times, half=None):
    """Whether all losses of a run are within what it states, up to a kink of the loss itself."""
    density = {} if half is None else {"density": Cube(-half, half)}
    system = flows.OwnSystem("kinks", entries, Expectation(body, X, **density))
    run = flows.integrate(system, start, times[-1], times)
    assert run.completed or "the gradient jumps" in run.message, run.message
    reached = run.t[1:]
    assert len(reached) or not run.completed
    if not len(reached):
        return True
    _, losses = flow(body, entries, kinks, start, reached, half)
    stated = run.absolute_errors("loss")[1:] + ORACLE * max(1.0, np.abs(losses).max())
    return bool((np.abs(run["loss"][1:] - losses) <= stated).all())


HAT, PLACES = UNITS["hat"]
# The second slope passes by zero, so that its kinks go beyond all nodes, and come back.
PAIR = (
    (HAT(W * X) + HAT(V * X) + sp.tanh(X)) ** 2 / 2,
    [W, V],
    [u * X - k for u in (W, V) for k in PLACES],
    [3.0, 0.1],
    np.linspace(0.5, 10.0, 12),
)


def test_a_run_whose_kinks_go_to_infinity_and_come_back_is_within_its_errors(monkeypatch):
    assert is_followed(*PAIR)
    assert is_followed(*PAIR[:3], [1.0, 0.05], PAIR[-1])  # to a small loss
    # Control: nodes that follow a kink however far it goes.
    monkeypatch.setattr(moving, "STRETCHED", np.inf)
    assert not is_followed(*PAIR)


def test_a_kink_that_comes_in_by_the_end_of_a_cube_is_seen_there(monkeypatch):
    b = sp.Symbol("b", real=True)
    body = (HAT(b + W * X) - sp.tanh(sp.Rational(5, 4) * X + sp.Rational(3, 4))) ** 2 / 2
    kinks = [b + W * X - k for k in PLACES]
    problem = body, [W, b], kinks, [-0.3141801, 0.2003309], np.geomspace(0.02, 20.0, 10), 1
    assert is_followed(*problem)
    # Control: a kink is seen where it has passed by a node.
    monkeypatch.setattr(moving, "_corners", lambda *_: [])
    assert not is_followed(*problem)


def test_a_slide_along_a_kink_of_the_loss_is_told_and_not_completed():
    body = (sp.Abs(W * X) + sp.Abs(V * X) - sp.tanh(X + sp.Rational(1, 4))) ** 2 / 2
    system = flows.OwnSystem("slide", [W, V], Expectation(body, X))
    run = flows.integrate(system, [0.6, 0.1], 20.0)
    assert run.status == "field_failed" and "the gradient jumps" in run.message
    # Up to there it is right: the second slope falls to zero, where both of its signs fall.
    assert abs(run.state[-1, 1]) < abs(run.state[0, 1]) and (run.state[:, 1] >= 0).all()


def test_nodes_serve_until_a_cell_has_grown_or_a_kink_has_come_in():
    system = flows.OwnSystem("hat", [W, V], Expectation(PAIR[0], X))
    average = system._loss.measured

    def left(begun, now):
        begun, now = np.array(begun), np.array(now)
        rule = average.measure.found(average, begun, 1e-12).rule
        return average.measure.room(rule, begun)(now)

    assert left([8.0, 0.1], [8.0, 0.1]) > 0
    assert left([8.0, 0.1], [8.0, 0.075]) > 0  # a kink moves from 10 to 13.3
    assert left([8.0, 0.1], [8.0, 0.06]) < 0
    assert left([8.0, 0.05], [8.0, -0.05]) > 0  # kinks are beyond all nodes on both sides
    assert left([8.0, 0.05], [8.0, -0.1]) < 0
    assert left([8.0, 0.05], [8.0, 0.1]) < 0


def test_a_kink_of_the_loss_that_the_flow_leads_through_is_passed(monkeypatch):
    # Both slopes fall; from 0 on the first one goes on, more slowly.
    body, entries, kinks, start, times = random_problem(56)
    assert is_followed(body, entries, kinks, start, times)
    # Control: steps stay as short as they were at the kink.
    monkeypatch.setattr("flows.core.problem.NOWHERE", 0.0)
    system = flows.OwnSystem("leaky", entries, Expectation(body, X))
    run = flows.integrate(system, start, times[-1], times, max_steps=2000)
    assert run.status == "step_budget"


def test_a_kink_at_the_origin_that_attracts_is_told(monkeypatch):
    body = (sp.Max(0, W * X) + sp.Max(0, X + sp.Rational(3, 4))) ** 2 / 2
    system = flows.OwnSystem("origin", [W], Expectation(body, X))
    run = flows.integrate(system, [0.86], 3.0)
    assert run.status == "field_failed" and "the gradient jumps" in run.message
    # Control: a jump is looked for only nearer to the state than the origin is.
    monkeypatch.setattr(kink, "SOON", 0.0)
    run = flows.integrate(system, [0.86], 3.0, max_steps=200)
    assert "the gradient jumps" not in run.message


def test_a_jump_across_a_fast_flow_is_one_where_both_sides_lead_to_it():
    def near(side, other):
        """How near a jump across `y_0 = 0` is, of the gradients on both of its sides."""
        return kink.jump_beside(
            lambda far: np.array(side if far[0] + 1e-9 > 0 else other),
            lambda _: 0.0,
            2,
            1.0,
            0.0,
            1.0,
        )

    assert 1e-9 < near([0.1, 5.0], [-0.1, 5.0]) < 1e-6
    # Controls: the flow leads through it, and away from it.
    assert np.isnan(near([0.1, 5.0], [0.2, 5.0]))
    assert np.isnan(near([-0.1, 5.0], [0.1, 5.0]))


def test_a_flow_that_is_led_by_the_tip_of_a_cone_goes_on(monkeypatch):
    # The slope and the bias of a unit pass by zero together, and its kink runs to and fro.
    b = sp.Symbol("b", real=True)
    unit = sp.Max(0, W * X + b)
    body = (unit + HAT(X / 4 + sp.Rational(1, 4))) ** 2 / 2
    kinks, start = [W * X + b, X + 5, X - 3], [0.21196067, 0.28907994]
    assert is_followed(body, [W, b], kinks, start, np.geomspace(0.003, 3.0, 9))
    # Control: a run that ends after as many pieces as it asks after.
    monkeypatch.setattr("flows.runs.integrate.MOST_TIMES", 1)
    run = flows.integrate(flows.OwnSystem("tip", [W, b], Expectation(body, X)), start, 3.0)
    assert run.status == "step_budget"


def test_panels_are_halved_where_the_integrand_is_steep_between_kinks(monkeypatch):
    squares = [sp.Max(0, y * X) ** 2 for y in (W, V)]
    body = (
        sp.log(1 + sp.exp(-sp.Add(*squares) * sp.sign(X - sp.Rational(2, 3)))) + (W**2 + V**2) / 10
    )
    problem = body, [W, V], [W * X, V * X, X - sp.Rational(2, 3)], [-2.4, -0.6], [0.02, 0.3, 3.0]
    assert is_followed(*problem)
    # Control: panels as the forms alone ask for.
    monkeypatch.setattr(moving, "HALVED", 0)
    with pytest.raises(AssertionError, match="is known to"):
        is_followed(*problem)


def test_a_gradient_that_vanishes_within_a_cube_is_known_though_kinks_are_far_out():
    b = sp.Symbol("b", real=True)
    body = (sp.tanh(X) + sp.Max(0, b + W * X) ** 2) ** 2 / 2
    start, times = [0.02, -1.3], [1.0, 2.0]
    cube, normal = (
        flows.OwnSystem("dead", [W, b], Expectation(body, X, **density))
        for density in ({"density": Cube(-1, 1)}, {})
    )
    run = flows.integrate(cube, start, times[-1], times)
    assert run.completed and (run.state == run.state[0]).all()
    # Control: beyond its nodes a Gaussian number has something.
    assert not flows.integrate(normal, start, times[-1], times).completed


def test_a_kink_that_comes_in_from_far_out_is_seen_wherever_it_is(monkeypatch):
    system = flows.OwnSystem("hat", [W, V], Expectation(PAIR[0], X))
    average = system._loss.measured
    rng = np.random.default_rng(0)
    came = []
    for _ in range(400):
        begun = rng.normal(size=2) * 10 ** rng.uniform(-2, 1, size=2)
        now = begun + 0.1 * rng.normal(size=2)
        old, new = (np.abs(1 / state) for state in (begun, now))
        if ((old > moving.ALONE) & (new < moving.ALONE - 2 * moving.EDGE)).any():
            came.append((begun, now))
    assert len(came) > 50

    def missed():
        found = (average.measure.found(average, begun, 1e-12).rule for begun, _ in came)
        pairs = zip(came, found, strict=True)
        return sum(average.measure.room(rule, begun)(now) >= 0 for (begun, now), rule in pairs)

    assert missed() == 0
    # Control: only near the middle is anything seen.
    monkeypatch.setattr(moving, "EDGE", moving.ALONE - 2)
    assert missed() > 10


def test_nodes_in_a_plane_serve_for_many_steps():
    y = sp.Symbol("y", real=True)
    hat = sp.Max(-1, sp.Min(1, W * X + V * y + sp.Rational(1, 4)))
    body = (hat - sp.Max(-1, sp.Min(1, X))) ** 2 / 2
    system = flows.OwnSystem("hat", [W, V], Expectation(body, (X, y)))
    average, begun = system._loss.measured, np.array([0.5, 0.4])
    rule = average.measure.found(average, begun, 1e-12).rule
    for name in (rule.label, "another"):  # what a rule is called does not matter
        left = average.measure.room(Rule(rule.nodes, rule.weights, name), begun)
        assert left(begun) > 0 and left(1.01 * begun) > 0 and left(4 * begun) < 0
    run = flows.integrate(system, begun, 2.0)
    assert run.completed and run.stats["pieces"] < run.stats["steps"] / 4


def random_problem(seed):
    """One or two units of a number, with biases and outputs or without, and a teacher."""
    rng = np.random.default_rng(seed)
    (unit, places), count = UNITS[rng.choice(list(UNITS))], int(rng.integers(1, 3))
    names = [sp.symbols(f"w{k} a{k} b{k}", real=True) for k in range(count)]
    trained, shifted = (int(side) for side in rng.integers(2, size=2))
    inner = [w * X + (b if shifted else 0) for w, _, b in names]
    out = sum((a if trained else 1) * unit(u) for (_, a, _), u in zip(names, inner, strict=True))
    line = sp.Rational(int(rng.integers(1, 7)), 4) * X + sp.Rational(int(rng.integers(-3, 4)), 4)
    kinks = [u - k for u in inner for k in places]
    kind = rng.integers(3)
    if kind == 0:
        body = (out - sp.tanh(line)) ** 2 / 2
    elif kind == 1:
        body = (out + unit(line)) ** 2 / 2
        kinks += [line - k for k in places]
    else:
        body = sp.log(1 + sp.exp(-sp.sign(line) * out)) + sum(w**2 for w, *_ in names) / 10
        kinks += [line]
    entries = [e for w, a, b in names for e in (w, *[a] * trained, *[b] * shifted)]
    start = rng.normal(size=len(entries)) * rng.choice([0.2, 0.7, 1.5])
    return body, entries, kinks, start, np.geomspace(0.02, rng.choice([3.0, 20.0]), 10)


@pytest.mark.parametrize("half", [None, 1])
@pytest.mark.parametrize("seed", SEEDS)
def test_a_random_run_with_kinks_is_within_its_errors(seed, half):
    try:
        assert is_followed(*random_problem(seed), half)
    except flows.InputError as error:  # the ends of a cube are kinks, too
        assert FUZZ and "at most 6 forms with kinks" in str(error)
