"""Expectations over several numbers: nodes in planes, exact states, and digits at late times.

`make fuzz` takes more of the random ones.
"""

import functools
import os
from dataclasses import replace

import numpy as np
import pytest
import sympy as sp
from flint import arb
from mpmath import mp
from scipy.integrate import solve_ivp
from scipy.special import erf, expit

import flows
from flows.core.balls import precision
from flows.systems.own.exact import BITS, balls
from flows.systems.own.increment import Increment
from flows.systems.own.serving import groups_of, in_planes, placed
from symbolic import Expectation, Gaussian, Mixture

# Random integrands in all, and the seed of the first one. `make fuzz` asks for 500.
RUNS = int(os.environ.get("POPFLOW_FUZZ", "12")) // 3
FIRST = int(os.environ.get("POPFLOW_FUZZ_FROM", "0"))
# Steps of 1e-10, whose errors the flow contracts.
DIGITS = 1e-9
# Of a rate, between two late losses.
FELL = 1e-7
# A loss whose square is a double.
LEAST = 1e-150
# Of the sums by hand, relative to the sum of sizes.
BY_HAND = 3e-13


@functools.cache
def cube(dimension, panels, order=12, reach=9.0):
    """Nodes and weights of a normal density: Gauss-Legendre on panels, which no run takes."""
    t, w = np.polynomial.legendre.leggauss(order)
    half = reach / panels
    x = (np.linspace(half - reach, reach - half, panels)[:, None] + half * t).ravel()
    w = np.tile(half * w, panels) * np.exp(-(x**2) / 2) / np.sqrt(2 * np.pi)
    nodes = np.stack(np.meshgrid(*[x] * dimension, indexing="ij"), axis=-1).reshape(-1, dimension)
    weights = w
    for _ in range(dimension - 1):
        weights = np.multiply.outer(weights, w)
    kept = weights.ravel() > 1e-20
    return nodes[kept], weights.ravel()[kept]


ACTIVATIONS = {
    "tanh": (sp.tanh, np.tanh, lambda z: 1 / np.cosh(z) ** 2),
    "logistic": (lambda z: 1 / (1 + sp.exp(-z)), expit, lambda z: expit(z) * expit(-z)),
    "softplus": (lambda z: sp.log(1 + sp.exp(z)), lambda z: np.logaddexp(0, z), expit),
    "cosine": (sp.cos, np.cos, lambda z: -np.sin(z)),
    "gelu": (
        lambda z: z * (1 + sp.erf(z / sp.sqrt(2))) / 2,
        lambda z: z * (1 + erf(z / np.sqrt(2))) / 2,
        lambda z: (1 + erf(z / np.sqrt(2))) / 2 + z * np.exp(-(z**2) / 2) / np.sqrt(2 * np.pi),
    ),
    "swish": (
        lambda z: z / (1 + sp.exp(-z)),
        lambda z: z * expit(z),
        lambda z: expit(z) + z * expit(z) * expit(-z),
    ),
    "arc tangent": (sp.atan, np.arctan, lambda z: 1 / (1 + z**2)),
}


def students(name, count, d, arithmetic="auto"):
    """Students of one teacher, the first coordinate: `E (sum_i s(w_i.x) - s(x_1))^2/2`."""
    s = ACTIVATIONS[name][0]
    x = sp.MatrixSymbol("x", d, 1)
    blocks = [sp.MatrixSymbol(f"w{k}", d, 1) for k in range(count)]
    gap = sum(s(sum(w[i, 0] * x[i, 0] for i in range(d))) for w in blocks) - s(x[0, 0])
    loss = Expectation(gap**2, x) / 2
    return flows.OwnSystem("students", blocks, loss, arithmetic=arithmetic)


def by_hand(name, state, count, panels):
    """The loss of students with its gradient, in the plane of all of them, and sums of sizes."""
    _, s, slope = ACTIVATIONS[name]
    w = state.reshape(count, -1)
    teacher = np.eye(w.shape[1])[:1]
    plane, _ = np.linalg.qr(np.concatenate([teacher, w]).T)
    nodes, weights = cube(plane.shape[1], panels)
    z = nodes @ (w @ plane).T
    off = s(z).sum(axis=1) - s(nodes @ (teacher @ plane).T)[:, 0]
    each = (weights * off)[:, None] * slope(z)
    size = weights @ (np.abs(s(z)).sum(axis=1) + np.abs(s(nodes @ (teacher @ plane).T)[:, 0])) ** 2
    return weights @ off**2 / 2, (each.T @ nodes @ plane.T).ravel(), size


@pytest.mark.parametrize("seed", range(FIRST, FIRST + RUNS))
def test_no_sum_in_planes_is_outside_its_bound(seed):
    rng = np.random.default_rng(seed)
    name = sorted(ACTIVATIONS)[seed % len(ACTIVATIONS)]
    d = int(rng.integers(2, 11))
    system = students(name, 1, d)
    state = rng.normal(size=d) * 10 ** rng.uniform(-2, 0.5)
    state *= min(1.0, 5 / np.linalg.norm(state))
    value, slope, size = by_hand(name, state, 1, 40)
    loss = system._loss
    nodes = in_planes(loss, state, None)
    if nodes is None:  # its singularities are near: it takes too many nodes
        assert name == "arc tangent" and np.linalg.norm(state) > 3
        return
    with precision(BITS):
        found = balls(loss, nodes).both([arb(x) for x in state.tolist()])
    got, rounded = (np.array([float(f(x)) for x in found]) for f in (arb.mid, arb.rad))
    allowed = BY_HAND * (size + np.linalg.norm(slope))
    assert abs(got[0] - value) <= nodes.bound[0] + rounded[0] + allowed
    off = np.linalg.norm(got[1:] - slope)
    assert off <= nodes.bound[1] + np.linalg.norm(rounded[1:]) + allowed
    # It says something, and a control is seen: a number that is off by a thousandth.
    assert nodes.bound.max() < 1e-9 * (1 + size) and rounded.max() < 1e-11 * (1 + size)
    assert abs(1.001 * got[0] - value) > nodes.bound[0] + rounded[0] + allowed


@pytest.mark.parametrize("name", ["tanh", "swish"])
def test_terms_of_a_square_are_averaged_apart_and_have_the_same_sum(name):
    system, rng = students(name, 2, 2), np.random.default_rng(3)
    loss, state = system._loss, 0.6 * rng.normal(size=4)
    groups = groups_of(loss.formed.forms)
    assert len(groups) == 6 and max(len(g.symbols) for g in groups) == 2
    nodes = placed(groups, state, None)
    # They turn with the state: each plane is that of its own forms.
    for moved in (state, state + 0.001 * rng.normal(size=4)):
        assert nodes.off(moved) <= 1
        value, slope, size = by_hand(name, moved, 2, 12)
        total, _ = loss.summed(moved, nodes)
        allowed = nodes.bound + BY_HAND * size
        assert abs(total[0] - value) <= allowed[0]
        assert np.linalg.norm(total[1:] - slope) <= allowed[1]
        assert abs(1.001 * total[0] - value) > allowed[0]
    # Control: farther away the bound is not claimed.
    assert nodes.off(2 * state) > 1


def test_two_students_in_the_plane_are_where_a_solver_by_hand_takes_them():
    start, times = 0.5 * np.random.default_rng(0).normal(size=4), np.array([0.1, 0.5, 1.5, 4.0])
    truth = solve_ivp(
        *(lambda t, y: -by_hand("tanh", y, 2, 10)[1], (0, times[-1]), start, "DOP853", times),
        rtol=1e-11,
        atol=1e-13,
    )
    run = flows.integrate(students("tanh", 2, 2), start, t_end=times[-1], t_eval=times)
    losses = np.array([by_hand("tanh", y, 2, 10)[0] for y in truth.y.T])
    stated = run.errors("loss")[1:]
    assert run.completed and (np.abs(run["loss"][1:] / losses - 1) <= stated).all()
    assert (stated < 1e-7).all() and run.state[1:] == pytest.approx(truth.y.T, abs=DIGITS)
    assert (np.abs(1.001 * run["loss"][1:] / losses - 1) > stated).all()


def test_a_student_in_space_falls_at_the_rate_of_its_hessian_for_many_decades():
    # Beside w = e_1 the slowest axis is e_1 itself: curvature E x^2 sech^4(x).
    start = np.array([0.4, -0.3, 0.5])
    run = flows.integrate(students("tanh", 1, 3), start, t_end=1e9)
    loss = run["loss"]
    late = np.flatnonzero((loss > LEAST) & (loss < 1e-20))
    with mp.workdps(25):
        density = lambda x: mp.npdf(x) * x**2 * mp.sech(x) ** 4  # noqa: E731
        rate = 2 * float(2 * mp.quad(density, [0, 1, 2, 4, 8]))
    fell = np.log(loss[late[0]] / loss[late[-1]]) / (run.t[late[-1]] - run.t[late[0]])
    assert run.completed and fell == pytest.approx(rate, rel=DIGITS)
    assert fell != pytest.approx(1.001 * rate, rel=DIGITS)
    assert np.log10(loss[late[0]] / loss[late[-1]]) > 45 and loss[loss > 0].min() < 1e-70
    assert (run.errors("loss")[late] < 1e-6).all()
    # Where the states no longer tell it, it is unknown, not zero.
    assert np.isnan(loss[-1])


W, X, A, B = sp.MatrixSymbol("w", 2, 1), sp.MatrixSymbol("x", 2, 1), *sp.symbols("a b")
COVARIANCE = [[2, 1], [1, 2]]
# Blocks, the teacher's entries, the mean and a factor of each part of the density, its weight, and
# that density.
SETTINGS = {
    "a bias and an output": ([W, A, B], [1, 0, 1, 0.5], [([0, 0], np.eye(2), 1.0)], None),
    "a Gaussian": (
        [W],
        [1, 0],
        [([1, 0], np.linalg.cholesky(np.array(COVARIANCE)), 1.0)],
        Gaussian([1, 0], COVARIANCE),
    ),
    "a mixture": (
        [W],
        [1, 0],
        [([1, 0], np.eye(2), 0.25), ([-1, 0], np.diag([0.5, 2.0]), 0.75)],
        Mixture([Gaussian([1, 0]), Gaussian([-1, 0], [[0.25, 0], [0, 4]])], weights=[1, 3]),
    ),
}


def curvature_at(teacher, parts):
    """Hessian `E g g'` where a student is its teacher, `g` its gradient by the entries."""
    u, weights = cube(2, 12)
    matrix = np.zeros((len(teacher), len(teacher)))
    for mean, factor, share in parts:
        x = np.array(mean) + u @ factor.T
        z = x @ teacher[:2] + (teacher[3] if len(teacher) > 2 else 0)
        slope = 1 / np.cosh(z) ** 2
        columns = [*(slope * x.T), *([np.tanh(z), slope] if len(teacher) > 2 else [])]
        matrix += share * np.einsum("j,ij,kj->ik", weights, columns, columns)
    return matrix


@pytest.mark.parametrize("name", SETTINGS)
def test_a_square_that_its_students_can_bring_to_zero_keeps_its_digits(name):
    blocks, teacher, parts, density = SETTINGS[name]
    student = A * sp.tanh((W.T * X)[0, 0] + B) if B in blocks else sp.tanh((W.T * X)[0, 0])
    target = sp.tanh(X[0, 0] + (sp.S.Half if B in blocks else 0))
    loss = Expectation((student - target) ** 2, X, density) / 2
    start = np.array(teacher) + [0.2, -0.1, 0.1, 0.05][: len(teacher)]
    run = flows.integrate(flows.OwnSystem("square", blocks, loss), start, t_end=3e3)
    late = np.flatnonzero((run["loss"] > 1e-50) & (run["loss"] < 1e-25))[[0, -1]]
    fell = -np.diff(np.log(run["loss"][late]))[0] / np.diff(run.t[late])[0]
    rate = 2 * np.linalg.eigvalsh(curvature_at(teacher, parts)).min()
    assert run.completed and (run.errors("loss")[late] < 1e-6).all()
    assert np.diff(late)[0] > 1 and fell == pytest.approx(rate, rel=FELL)
    assert fell != pytest.approx(1.001 * rate, rel=FELL)


def test_a_student_in_ten_dimensions_is_that_of_its_plane():
    rng = np.random.default_rng(5)
    way = rng.normal(size=9)
    way /= np.linalg.norm(way)
    flat, times = np.array([0.6, 0.3]), [1.0, 30.0, 200.0]
    plane = flows.integrate(students("tanh", 1, 2), flat, times[-1], times)
    whole = flows.integrate(students("tanh", 1, 10), [flat[0], *(flat[1] * way)], times[-1], times)
    assert whole["loss"] == pytest.approx(plane["loss"], rel=1e-8, abs=0)
    assert plane["loss"][-1] < 1e-18
    other = flows.integrate(students("tanh", 1, 2), 1.001 * flat, times[-1], times)
    assert whole["loss"] != pytest.approx(other["loss"], rel=1e-8, abs=0)


@pytest.mark.parametrize("aside", [1e-13, 1e-15, 1e-17, 1e-30])
def test_a_student_that_is_nearly_its_teacher_comes_back_from_aside(aside):
    ahead = 2.0**-50
    run = flows.integrate(students("tanh", 1, 2), [1 + ahead, aside], 10.0)
    x, w = np.polynomial.hermite_e.hermegauss(200)
    w = w / w.sum() / np.cosh(x) ** 4
    along, across = w @ x**2, w.sum()  # the Hessian at the teacher: changes are far smaller
    parts = [ahead**2 * along * np.exp(-2 * along * run.t)]
    parts += [aside**2 * across * np.exp(-2 * across * run.t)]
    off = np.abs(2 * run["loss"] / sum(parts) - 1)
    assert run.completed and (off <= run.errors("loss")).all()
    # Control: either way changed a little.
    for k, part in enumerate(parts):
        if part[0] > 1e-6 * parts[1 - k][0]:
            off = np.abs(2 * run["loss"] / (sum(parts) + 0.001 * part) - 1)
            assert (off[:2] > run.errors("loss")[:2]).all()


@pytest.mark.parametrize("apart", [0.0, 6e-17, 1e-3])
def test_two_students_that_are_nearly_one_are_followed_in_few_steps(apart):
    start, times = np.array([0.3, 0.2, 0.3 + apart, 0.2]), np.array([0.5, 2.0, 8.0])
    truth = solve_ivp(
        *(lambda t, y: -by_hand("tanh", y, 2, 12)[1], (0, times[-1]), start, "DOP853", times),
        rtol=1e-11,
        atol=1e-13,
    )
    run = flows.integrate(students("tanh", 2, 2), start, t_end=times[-1], t_eval=times)
    losses = np.array([by_hand("tanh", y, 2, 12)[0] for y in truth.y.T])
    stated = run.errors("loss")[1:]
    assert run.completed and run.stats["steps"] < 1000
    assert (np.abs(run["loss"][1:] / losses - 1) <= stated).all() and (stated < 1e-7).all()
    assert (np.abs(1.001 * run["loss"][1:] / losses - 1) > stated).all()
    assert run.state[1:] == pytest.approx(truth.y.T, abs=DIGITS)


def test_beside_a_saddle_whose_side_doubles_do_not_tell_a_run_says_so_soon():
    run = flows.integrate(students("tanh", 2, 2), [0.3, 0.2, 0.3 + 1e-12, 0.2], t_end=1e4)
    assert not run.completed and "beside a saddle" in run.message
    assert run.stats["steps"] < 2000 and run.t[-1] > 10
    assert (run.errors("loss") < 1e-7).all()


def falling(t, y):
    """Flow of `E softplus(w.x - x_1) + |w|^2/4`: a form `s u`, `s = |w - e_1|`, by hand."""
    nodes, weights = cube(1, 24)
    u, s = nodes[:, 0], np.hypot(y[0] - 1, y[1])
    return -(weights @ (u * expit(s * u))) / s * (y - [1, 0]) - y / 2


@pytest.mark.parametrize(
    "density", [None, Gaussian([0, 0], [[1, 0], [0, 1]])], ids=["usual", "given"]
)
def test_nodes_turn_with_a_plane_that_the_rest_of_a_loss_turns(density):
    inner = (W.T * X)[0, 0] - X[0, 0]
    loss = Expectation(sp.log(1 + sp.exp(inner)), X, density) + (W[0, 0] ** 2 + W[1, 0] ** 2) / 4
    start, times = [0.5, 0.3], [0.25, 2.5, 20.0]
    truth = solve_ivp(falling, (0, times[-1]), start, "DOP853", times, rtol=1e-12, atol=1e-14).y.T
    run = flows.integrate(flows.OwnSystem("falling", [W], loss), start, times[-1], times)
    assert run.state[1:] == pytest.approx(truth, abs=DIGITS)
    # Control: it has turned by more than what is allowed.
    assert np.abs(truth[:, 1] / (truth[:, 0] - 1) + 0.6).min() > 0.05
    nodes, weights = cube(1, 24)
    s = np.hypot(truth[:, 0] - 1, truth[:, 1])
    exact = np.logaddexp(0, s[:, None] * nodes[:, 0]) @ weights + np.sum(truth**2, axis=1) / 4
    stated = run.errors("loss")[1:]
    assert (np.abs(run["loss"][1:] / exact - 1) <= stated).all()
    assert (np.abs(1.001 * run["loss"][1:] / exact - 1)[:2] > stated[:2]).all()
    assert run.stats["pieces"] < 5


def test_forms_that_a_covariance_stretches_leave_their_plane_and_are_followed_in_doubles():
    w, x = (sp.MatrixSymbol(name, 3, 1) for name in "wx")
    covariance = [[2, 1, 0], [1, 2, sp.Rational(1, 2)], [0, sp.Rational(1, 2), 1]]
    factor = np.linalg.cholesky(np.array(covariance, dtype=float))
    gap = sp.tanh((w.T * x)[0, 0]) - sp.tanh(x[0, 0])
    system = flows.OwnSystem(
        "stretched", [w], Expectation(gap**2, x, Gaussian([0] * 3, covariance))
    )
    start, end = np.array([0.4, -0.3, 0.5]), 1.0
    u, weights = cube(2, 12)

    def slope(t, y):
        rows = np.stack([factor[0], factor.T @ y])
        axes, lengths = np.linalg.qr(rows.T)
        teacher, student = np.tanh(u @ lengths).T
        each = weights * 2 * (student - teacher) * (1 - student**2)
        return -factor @ axes @ (u.T @ each)

    truth = solve_ivp(slope, (0, end), start, "DOP853", [end], rtol=1e-11, atol=1e-13).y[:, 0]
    run = flows.integrate(system, start, end, [end])
    assert run.completed and run.state[-1] == pytest.approx(truth, abs=1e3 * DIGITS)
    assert run.state[-1] != pytest.approx(1.001 * truth, abs=1e3 * DIGITS)
    assert run.stats["pieces"] < 5
    with pytest.raises(flows.InputError, match="plane the flow turns"):
        flows.integrate(replace(system, arithmetic="balls"), start, end)


def test_a_gradient_by_nodes_is_known_however_often_it_is_looked_at_anew():
    # Far from a known place it takes a closer look, and these bits are asked for once.
    rng, loss = np.random.default_rng(0), students("tanh", 1, 2)._loss
    place = np.array([1.0, 0.0]) + 1e-12 * rng.normal(size=2)
    exact = balls(loss, in_planes(loss, place, None))
    increment = Increment(exact, [arb(x) for x in place.tolist()], None, 1e-12)
    slopes, unsure = increment.slopes(np.ones(2))
    size = float(np.linalg.norm(slopes))
    increment.measure(np.full(2, size), np.ones(2), size**2 / 2)
    curved = loss.hessian(place, in_planes(loss, place, None))
    for u in 10 ** rng.uniform(-3, 3, size=(40, 1)) * rng.normal(size=(40, 2)):
        found, linear = increment.gradient(u), slopes + curved @ (size * u)
        far = size * (1 + np.linalg.norm(u))
        allowed = far * (1e-11 + 10 * far)
        assert np.linalg.norm(found - linear) < allowed
        assert np.linalg.norm(1.001 * found - linear) > allowed
    assert increment.bits < 2 * BITS and (unsure < 1e-12 * size).all()


def test_two_students_in_space_keep_their_digits_at_a_fine_tolerance():
    """Nodes are in the plane of the students, whatever the dimension beyond it."""
    # Beside the teacher and zero the Hessian falls least along the first coordinate.
    start = np.eye(8)[0] + 1e-9 * np.random.default_rng(0).normal(size=8)
    run = flows.integrate(students("tanh", 2, 4), start, t_end=1.2e3, rtol=1e-12)
    late = np.flatnonzero(run["loss"] < 1e-45)[[0, -1]]
    nodes, weights = cube(1, 24)
    x = nodes[:, 0]
    moves = np.stack([x / np.cosh(x) ** 2, x])
    rate = 2 * np.linalg.eigvalsh((moves * weights) @ moves.T).min()
    fell = -np.diff(np.log(run["loss"][late]))[0] / np.diff(run.t[late])[0]
    assert run.completed and run["loss"][-1] < 1e-65 and (run.errors("loss") < 1e-7).all()
    assert fell == pytest.approx(rate, rel=FELL) and fell != pytest.approx(1.001 * rate, rel=FELL)
    assert run.state[-1] == pytest.approx(np.eye(8)[0], abs=DIGITS)
