"""Losses with kinks in the data and no closed form: nodes of cells that move with the state."""

import numpy as np
import pytest
import sympy as sp
from mpmath import mp
from oracles.grids import legendre
from scipy.integrate import solve_ivp
from scipy.special import expit

import flows
from flows.expectations import kink_lines
from flows.expectations.cells import Turns
from flows.systems.own import moving
from symbolic import Expectation
from symbolic.language.averages.kinks import kinks_of

A, B, C, T = sp.symbols("a b c t")
W, V, X = (sp.MatrixSymbol(name, 2, 1) for name in ("w", "v", "x"))
WX, VX = (W.T * X)[0, 0], (V.T * X)[0, 0]
# Digits of the oracle, the distance of its differences, and what these leave of a slope.
DIGITS, NEAR, SLOPE = 25, 1e-7, 1e-11
# Differences of gradients in doubles, beside the largest entry of a Hessian.
BENT = 1e-6
OFF = 1e-3
# What rounding of nodes leaves of small averages.
KEPT = 1e-11


def average(f, breaks, steep):
    """Mean of a function of one standard normal number, with nodes beside what turns."""
    ends = {mp.mpf(k) for k in (-12, -6, -3, -1, 0, 1, 3, 6, 12)}
    for place in breaks:
        ends |= {place + k / steep for k in (-30, -10, -3, -1, 0, 1, 3, 10, 30)}
    # Its accuracy is absolute.
    size = max(abs(f(mp.mpf(k))) for k in (-2, 0, 2)) or mp.mpf(1)
    kept = sorted(x for x in ends if abs(x) <= 12)
    return size * mp.quad(lambda u: mp.npdf(u) * (f(u) / size), kept)


def ramp(z):
    return z if z > 0 else mp.mpf(0)


def noiseless(y):
    a, b = y
    return average(lambda u: mp.log1p(mp.exp(-a * abs(u - b))), [b], abs(a))


def bounded(y):
    a, b, c = y
    turns = [mp.mpf(0), -b / a, *([-b / (a - c)] if a != c else [])]
    return average(lambda u: mp.tanh(ramp(a * u + b) - ramp(c * u)), turns, max(map(abs, y)))


LOSSES = {
    "noiseless": (Expectation(sp.log(1 + sp.exp(-A * sp.Abs(T - B))), T), [A, B], noiseless),
    "bounded": (
        Expectation(sp.tanh(sp.Max(0, A * T + B) - sp.Max(0, C * T)), T),
        [A, B, C],
        bounded,
    ),
}
HARD = flows.OwnSystem("hard", [W, V], Expectation(sp.log(1 + sp.exp(-sp.sign(VX) * WX)), X))
PLANE = flows.OwnSystem(
    "plane", [W, V, B], Expectation(sp.tanh(sp.Max(0, WX + B) - sp.Max(0, VX)), X)
)


def states(size, count, seed):
    """Random states of norms from 1e-3 to 1e3."""
    generator = np.random.default_rng(seed)
    found = generator.normal(size=(count, size)) * 10.0 ** generator.uniform(-3, 3, size=(count, 1))
    found[:, 0] = np.abs(found[:, 0])
    return found


@pytest.mark.parametrize("name", LOSSES)
def test_on_a_line_loss_and_gradient_are_within_their_errors_at_any_size(name):
    loss, blocks, truth = LOSSES[name]
    system = flows.OwnSystem(name, blocks, loss)
    for y in states(len(blocks), 5, 7)[:3]:
        found = system.expectation(y)
        with mp.workdps(DIGITS):
            exact = list(map(mp.mpf, y.tolist()))
            expected = truth(exact)
            slopes = []
            for k, entry in enumerate(exact):
                step = NEAR * abs(entry)
                up, down = (
                    truth([x + s * step * (j == k) for j, x in enumerate(exact)]) for s in (1, -1)
                )
                slopes.append((up - down) / (2 * step))
        slopes = np.array(slopes, dtype=float)
        size = np.abs(slopes).max()
        assert abs(found.loss - expected) <= found.loss_error
        assert np.linalg.norm(found.gradient - slopes) <= found.gradient_error + SLOPE * size
        # They are small, and would see a thousandth.
        assert found.loss_error < OFF * abs(found.loss) / 2
        assert found.gradient_error < OFF * size / 2


@pytest.mark.parametrize("place", [-30.0, 30.0])
def test_a_gradient_whose_square_is_no_double_is_not_known_where_nodes_do_not_reach(place):
    """The kink lies beyond the nodes, which see 1e-203 of a gradient that is far larger."""
    loss, blocks, _ = LOSSES["noiseless"]
    found = flows.OwnSystem("noiseless", blocks, loss).expectation([23.0, place])
    assert 0 < np.abs(found.gradient).max() < 1e-162  # by the density at 30 it is above 1e-190
    assert np.isinf(found.gradient_error) and np.isinf(found.loss_error)


def test_a_mean_that_no_node_sees_is_not_known_where_a_kink_lies_beyond_them():
    """By the density at 37 it is 6e-299; where all kinks are seen, nothing is zero."""
    loss, blocks, _ = LOSSES["noiseless"]
    found = flows.OwnSystem("noiseless", blocks, loss).expectation([40.0, -37.0])
    assert found.loss == 0 and np.isinf([found.loss_error, found.gradient_error]).all()
    same = Expectation((sp.tanh(sp.Max(0, A * T + B)) - sp.tanh(sp.Max(0, T))) ** 2, T)
    known = flows.OwnSystem("same", [A, B], same).expectation([1.0, 0.0])
    assert known.loss == known.loss_error == 0 and known.gradient_error < KEPT


def line_of_a_teacher(a, b):
    """`E tanh(max(0, a u + b) - max(0, u))^2` and its gradient, between its kinks."""

    def each(u):
        on = a * u + b > 0
        far = mp.tanh(on * (a * u + b) - max(u, mp.mpf(0)))
        slope = 2 * far * (1 - far**2) * on
        return far**2, slope * u, slope

    ends = sorted({-b / a, *map(mp.mpf, (-12, -9, -6, -3, 0, 3, 6, 9, 12, 15))})
    return [
        mp.quad(lambda u, k=k: mp.npdf(u) * each(u)[k], ends, method="gauss-legendre", maxdegree=6)
        for k in range(3)
    ]


@pytest.mark.parametrize("place", [(0.5, -3.0), (-0.75, -4.5), (1 + 1e-8, 1e-8)], ids=str)
def test_small_gradients_and_losses_beside_a_teacher_have_their_digits(place):
    # Boundary terms of the cells cancel, and so do slopes of the student and of its teacher.
    loss = Expectation(sp.tanh(sp.Max(0, A * T + B) - sp.Max(0, T)) ** 2, T)
    found = flows.OwnSystem("small", [A, B], loss).expectation(place)
    with mp.workdps(DIGITS):
        expected = np.array(line_of_a_teacher(*map(mp.mpf, place)), dtype=float)
    slope, size = found.gradient - expected[1:], np.linalg.norm(expected[1:])
    assert abs(found.loss - expected[0]) <= min(found.loss_error, KEPT * expected[0])
    assert np.linalg.norm(slope) <= min(found.gradient_error, KEPT * size)
    assert found.loss_error < BENT * expected[0] and found.gradient_error < BENT * size
    assert np.linalg.norm(slope + OFF * found.gradient) > KEPT * size


def test_only_where_sides_of_a_kink_do_not_meet_it_is_a_jump():
    x, y = sp.symbols("x y", real=True)
    for whole, jumps in (
        (sp.Max(x, y * x + 1, 2) ** 2, False),
        (sp.Abs(sp.Max(0, x) - y), False),
        (sp.tanh(x * sp.sign(x)), False),
        (sp.tanh(x) * sp.sign(x - y), True),
        (sp.Piecewise((x, x > y), (y, True)), False),
        (sp.Piecewise((x, x > y), (y + sp.Rational(1, 1000), True)), True),
    ):
        assert kinks_of(whole, (x,)).has_jumps((x,)) == jumps, whole


def panels(ends):
    """Gauss-Legendre on panels."""
    t, w = legendre(30)
    ends = np.unique(ends)
    middle, half = (ends[1:] + ends[:-1]) / 2, np.diff(ends) / 2
    return (middle[:, None] + half[:, None] * t).ravel(), (half[:, None] * w).ravel()


def graded(places, width, low=-10.0, high=10.0):
    far = width * 2.0 ** np.arange(40)
    beside = np.concatenate([p + np.concatenate([[0], far, -far]) for p in places])
    ends = np.concatenate([beside, np.arange(np.ceil(low), high + 1), [low, high]])
    return ends[(low <= ends) & (ends <= high)]


def iterated(y, f, turns):
    """Mean of a function of ``v.x/|v|`` and of a number across, by nodes of each line."""
    w, v = y[:2], y[2:4]
    length = np.hypot(*v)
    along, across = w @ v / length, abs(w[0] * v[1] - w[1] * v[0]) / length
    width = min(1.0, across / max(abs(along), abs(along - length)), 1 / np.hypot(*w))
    places = [p for p in turns(along, length) if abs(p) < 10]
    total = 0.0
    for u, weight in zip(*panels(graded(places, width)), strict=True):
        weight *= np.exp(-(u**2) / 2) / (2 * np.pi)
        edges = [-along * u / across, (max(length * u, 0) - along * u) / across]
        if len(y) > 4:
            edges = [edge - y[4] / across for edge in edges]
        near = [edge for edge in edges if abs(edge) < 10] or [0.0]
        t, parts = panels(graded(near, min(1.0, 1 / across)))
        total += weight * ((parts * np.exp(-(t**2) / 2)) @ f(length * u, along * u + across * t))
    return total


def test_in_the_plane_losses_are_within_their_errors_also_where_lines_are_nearly_parallel():
    generator = np.random.default_rng(3)
    for k, y in enumerate(states(5, 3, 11)):
        y[:2] *= 10.0 ** generator.uniform(-2, 1)
        if k % 2:  # by an angle of 1e-4 and 1e-7
            y[2:4] = 2 * y[:2] + 10.0 ** -(1 + 3 * k) * np.hypot(*y[:2]) * generator.normal(size=2)
        b = y[4]
        cases = (
            (HARD, y[:4], lambda z, s: np.logaddexp(0, -np.sign(z) * s), lambda a, n: [0.0]),
            (
                PLANE,
                y,
                lambda z, s, b=b: np.tanh(np.maximum(0, s + b) - np.maximum(0, z)),
                lambda a, n, b=b: [0.0, -b / a, -b / (a - n)],
            ),
        )
        for system, state, f, turns in cases:
            found = system.expectation(state)
            expected = iterated(state, f, turns)
            # Rounding of the oracle.
            allowed = found.loss_error + 1e-13 * (1 + np.hypot(*y[:2]))
            assert abs(found.loss - expected) <= allowed
            assert found.loss_error < KEPT * (1 + abs(found.loss)) < OFF * abs(found.loss)


# Students and teachers of norm ten, steep across the lines of the other one.
STEEP = [(9.0, 4.0, 0.3, 1.0, 2.0), (5.0, 5.0, -5.0, 4.0, 2.0), (0.3, -0.2, 9.0, 2.0, 0.1)]


@pytest.mark.parametrize("y", STEEP, ids=str)
def test_in_the_plane_nodes_are_dense_where_lines_turn_and_without_it_the_error_says_so(
    y, monkeypatch
):
    known = PLANE.expectation(y)
    assert known.loss_error < KEPT and known.gradient_error < KEPT * np.linalg.norm(y)
    real = kink_lines.nodes_of

    def sparse(low, high, turns, second):
        across = len(turns.place) == 1
        return real(low, high, Turns(*(t[:, :0] for t in turns)) if across else turns, second)

    monkeypatch.setattr(kink_lines, "nodes_of", sparse)
    monkeypatch.setattr(moving, "HALVED", 0)
    lost = PLANE.expectation(y)
    assert abs(lost.loss - known.loss) <= lost.loss_error
    assert np.linalg.norm(lost.gradient - known.gradient) <= lost.gradient_error
    assert lost.loss_error > 100 * known.loss_error


@pytest.mark.parametrize("system", [HARD, PLANE], ids=lambda s: s.name)
def test_in_the_plane_gradient_and_hessian_are_derivatives(system):
    y = np.array([0.5, 0.2, 0.3, 1.0, 0.4])[: system.initial(0.1).size]
    step, way = 1e-5, np.array([0.5, -0.7, 0.6, 0.4, -0.8])[: len(y)]
    up, down = y + step * way, y - step * way
    slope = (system.loss(up) - system.loss(down)) / (2 * step)
    bend = (system.gradient(up) - system.gradient(down)).ravel() / (2 * step)
    found = np.array([system.gradient(y).ravel() @ way, *system.hessian(y) @ way])
    off = found - np.array([slope, *bend])
    assert np.abs(off).max() < BENT
    assert np.abs(off + OFF * found).max() > BENT


def test_hessians_average_what_is_quadratic_across_the_plane():
    # In three dimensions the lines move out of the plane of two forms.
    w, x = sp.MatrixSymbol("w", 3, 1), sp.MatrixSymbol("x", 3, 1)
    loss = Expectation(sp.log(1 + sp.exp(-sp.Abs((w.T * x)[0, 0]) * 2)), x)
    system = flows.OwnSystem("across", [w], loss)
    y, step = np.array([0.5, -0.3, 0.8]), 1e-5
    moves = step * np.eye(3)
    bends = [(system.gradient(y + m) - system.gradient(y - m)) / (2 * step) for m in moves]
    expected = np.array(bends).reshape(3, 3)
    assert np.abs(system.hessian(y) - expected).max() < BENT
    # It is the average over one number along w.
    flat = flows.OwnSystem("flat", [A], Expectation(sp.log(1 + sp.exp(-sp.Abs(A * T) * 2)), T))
    alone = flat.loss([np.linalg.norm(y)])
    assert system.loss(y) == pytest.approx(alone, rel=1e-12)
    assert (1 + OFF) * system.loss(y) != pytest.approx(alone, rel=1e-12)
    # Control: without what is across.
    flat = moving.Cells.across
    try:
        moving.Cells.across = lambda self, rule: rule
        assert np.abs(system.hessian(y) - expected).max() > 0.01
    finally:
        moving.Cells.across = flat


def test_a_label_that_is_trained_moves_by_its_line_alone():
    # Its sign is constant beside the line: a rule on nodes that stay has no gradient by v.
    slope = HARD.gradient([0.5, 0.2, 0.3, 1.0]).ravel()[2:]
    # The density on the line, times the jump there: by hand.
    w, v = np.array([0.5, 0.2]), np.array([0.3, 1.0])
    length = np.hypot(*v)
    turned = np.array([-v[1], v[0]]) / length
    across = w @ turned
    nodes, weights = panels(np.linspace(-10, 10, 21))
    jump = np.logaddexp(0, -across * nodes) - np.logaddexp(0, across * nodes)
    by_hand = (weights * jump * nodes) @ np.exp(-(nodes**2) / 2) / (2 * np.pi) / length * turned
    assert slope == pytest.approx(by_hand, rel=1e-10)
    assert slope != pytest.approx((1 + OFF) * by_hand, rel=1e-10)


def test_runs_of_a_noiseless_teacher_follow_the_flow_within_their_errors(tmp_path):
    loss, blocks, _ = LOSSES["noiseless"]
    system = flows.OwnSystem("noiseless", blocks, loss + B**2)
    start, times = [0.5, 0.3], np.array([0.5, 3.0])

    def both(y):
        a, b = y
        nodes, weights = panels(np.unique([*np.arange(-10.0, 11.0), b]))
        far = nodes - b
        density = weights * np.exp(-(nodes**2) / 2) / np.sqrt(2 * np.pi)
        pull = density * expit(-a * np.abs(far))
        slope = [-pull @ np.abs(far), pull @ (a * np.sign(far)) + 2 * b]
        return density @ np.logaddexp(0, -a * np.abs(far)) + b**2, np.array(slope)

    truth = solve_ivp(
        *(lambda t, y: -both(y)[1], (0, 3.0), start, "DOP853", times), rtol=1e-12, atol=1e-14
    )
    run = flows.integrate(system, start, 3.0, times)
    losses = np.array([both(y)[0] for y in truth.y.T])
    stated = run.errors("loss")[1:]
    assert run.completed and run.state[1:] == pytest.approx(truth.y.T, abs=1e-8)
    assert (np.abs(run["loss"][1:] / losses - 1) <= stated).all() and (stated < 1e-5).all()
    assert (np.abs((1 + OFF) * run["loss"][1:] / losses - 1) > stated).all()
    run.save(tmp_path / "run.nc")
    assert flows.load(tmp_path / "run.nc").system == system
    ensemble = flows.integrate_ensemble(system, np.array([start, [1.0, -0.2]]), t_end=3.0)
    assert ensemble["loss"][0, -1] == pytest.approx(run["loss"][-1], rel=1e-7)


def test_kinks_that_change_places_on_the_way_change_the_nodes():
    # The kink at b passes that at a half, and nodes between them would run backwards.
    label = sp.tanh(sp.Abs(T - 1)) - sp.tanh(sp.Abs(T - sp.Rational(1, 2))) / 2
    loss = Expectation((sp.tanh(sp.Abs(T - B)) - label) ** 2, T)
    system = flows.OwnSystem("passing", [B], loss)

    def both(b):
        nodes, weights = panels(np.unique([*np.arange(-10.0, 11.0), 0.5, *np.ravel(b)]))
        weights = weights * np.exp(-(nodes**2) / 2) / np.sqrt(2 * np.pi)
        off = np.tanh(abs(nodes - b)) - np.tanh(abs(nodes - 1)) + np.tanh(abs(nodes - 0.5)) / 2
        slope = -2 * off * np.sign(nodes - b) / np.cosh(nodes - b) ** 2
        return weights @ off**2, weights @ slope

    times = [1.0, 3.0, 9.0]
    run = flows.integrate(system, [0.2], 9.0, times)
    truth = solve_ivp(
        lambda t, y: [-both(y)[1]], (0, 9.0), [0.2], "DOP853", times, rtol=1e-12, atol=1e-14
    )
    assert run.completed and truth.y[0, 0] < 0.4 < 0.6 < truth.y[0, -1]
    assert run.state[1:] == pytest.approx(truth.y.T, abs=1e-9)
    assert (1 + OFF) * run.state[1:] != pytest.approx(truth.y.T, abs=1e-9)
    losses = np.array([both(b)[0] for b in truth.y[0]])
    assert (np.abs(run["loss"][1:] / losses - 1) <= run.errors("loss")[1:]).all()


@pytest.mark.parametrize(
    ("loss", "message"),
    [
        (
            Expectation(sp.tanh(A * sp.Abs(X[0, 0] * X[1, 0])), X),
            "where affine forms of x are zero",
        ),
        (Expectation(sp.tanh(sum(sp.Abs(A * T + k) for k in range(8))), T), "at most 6 forms"),
        (
            Expectation(
                sp.tanh(sum(sp.Abs(A * sp.MatrixSymbol("x", 3, 1)[k, 0] + k) for k in range(3))),
                sp.MatrixSymbol("x", 3, 1),
            ),
            "at most two directions",
        ),
        (Expectation(sp.exp(sp.Abs(T) ** 3) + A, T), "no finite mean"),
    ],
)
def test_other_kinks_are_told_in_one_line(loss, message):
    with pytest.raises(flows.InputError, match=message) as told:
        flows.OwnSystem("other", [A], loss)
    assert "\n" not in str(told.value)


def test_a_mean_beyond_the_ends_of_the_nodes_is_not_known():
    # E exp(a |x|) lives at a: the nodes end at 14.
    system = flows.OwnSystem("far", [A], Expectation(sp.exp(A * sp.Abs(T)), T))
    known, lost = system.expectation([2.0]), system.expectation([14.0])
    exact = [2 * np.exp(a * a / 2) * float(mp.ncdf(a)) for a in (2, 14)]
    assert abs(known.loss - exact[0]) <= known.loss_error < 1e-9 * exact[0]
    assert abs(lost.loss - exact[1]) <= lost.loss_error and np.isinf(lost.error)
    run = flows.integrate(system, [14.0], 1.0)
    assert run.status == "field_failed" and "\n" not in run.message


def test_pieces_that_are_smooth_together_are_averaged_as_before():
    sinc = sp.Piecewise((sp.sin(T) / T, sp.Ne(T, 0)), (1, True))
    system = flows.OwnSystem("sinc", [A], Expectation(sp.cos(A * sinc), T))
    assert system._loss.measured is None and system.expectation([1.0]).error < 1e-10
    # Where they are not, and the kink is flat, it is one between cells.
    edge = flows.OwnSystem(
        "edge", [A], Expectation(sp.tanh(sp.Piecewise((A, T > A), (T, True))), T)
    )
    assert edge._loss.measured is not None
