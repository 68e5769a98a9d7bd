"""Losses of your own over densities of data, against sums and quadratures by hand."""

import itertools
import json
from fractions import Fraction

import numpy as np
import pytest
import sympy as sp
from oracles.grids import legendre
from scipy.integrate import quad, solve_ivp

import flows
from flows.core.errors import InputError
from symbolic import Cube, Expectation, Gaussian, Mixture, Rademacher, Rows, Sphere

W, X = sp.MatrixSymbol("w", 2, 1), sp.MatrixSymbol("x", 2, 1)
WX = (W.T * X)[0, 0]
# Losses by sums and smooth quadratures, and by rules across kinks.
ROUNDED, KINKED = 1e-11, 1e-3
# Of averages between kinks, by two rules of different families.
SHARP = 1e-11
OFF = 1e-3
DATA = np.random.default_rng(0).normal(size=(12, 2))
MEAN, COVARIANCE = np.array([0.5, -0.25]), np.array([[2.0, 0.5], [0.5, 0.75]])
STATES = [np.array(y) for y in ([0.4, -0.3], [-1.5, 0.8], [0.02, 3.0])]


def panels(low, high, count=12, nodes=16):
    """Gauss-Legendre on panels."""
    t, w = legendre(nodes)
    half = (high - low) / count / 2
    middles = np.linspace(low + half, high - half, count)
    return (middles[:, None] + half * t).ravel(), np.tile(half * w, count)


def plane(*axes):
    (u, p), (v, q) = axes
    return np.stack(np.meshgrid(u, v, indexing="ij")).reshape(2, -1).T, np.outer(p, q).ravel()


def gauss(mean=MEAN, covariance=COVARIANCE):
    """By the formula of the density, not by a factor of the covariance."""
    nodes, weights = plane(panels(-13, 13, 20), panels(-13, 13, 20))
    off = nodes - mean
    inverse = np.linalg.inv(covariance)
    height = np.exp(-np.einsum("ij,jk,ik->i", off, inverse, off) / 2)
    return nodes, weights * height / (2 * np.pi * np.sqrt(np.linalg.det(covariance)))


def signs():
    return np.array(list(itertools.product((1, -1), repeat=2))), np.full(4, 0.25)


def cube():
    (u, p), (v, q) = panels(0, 1), panels(-1, 2)
    return plane((u, p), (v, q / 3))


def circle():
    angle = 2 * np.pi * np.arange(20_000) / 20_000
    return 1.5 * np.stack([np.cos(angle), np.sin(angle)], axis=-1), np.full(20_000, 1 / 20_000)


def mixed():
    parts = [(gauss(np.array([1.0, 2.0]), np.eye(2)), 0.25), (signs(), 0.75)]
    nodes, weights = zip(*((n, s * w) for (n, w), s in parts), strict=True)
    return np.concatenate(nodes), np.concatenate(weights)


LAWS = {
    "gaussian": (Gaussian([0.5, Fraction(-1, 4)], COVARIANCE), gauss),
    "signs": (Rademacher(), signs),
    "rows": (Rows(DATA), lambda: (DATA, np.full(12, 1 / 12))),
    "weighted": (Rows(DATA[:2], [1, 3]), lambda: (DATA[:2], np.array([0.25, 0.75]))),
    "cube": (Cube([0, -1], [1, 2]), cube),
    "circle": (Sphere(1.5), circle),
    "mixture": (Mixture([Gaussian([1, 2]), Rademacher()], [1, 3]), mixed),
}
SHAPES = {
    "square": (lambda z: z**2, lambda z: z**2, lambda z: 2 * z),
    "tanh": (sp.tanh, np.tanh, lambda z: 1 / np.cosh(z) ** 2),
    "relu": (lambda z: sp.Max(0, z), lambda z: np.maximum(z, 0), lambda z: (z > 0) * 1.0),
}


def system_of(law, shape):
    s = SHAPES[shape][0]
    loss = Expectation((s(WX) - s(X[0, 0])) ** 2, X, LAWS[law][0]) / 2
    return flows.OwnSystem(f"{shape}_of_{law}", [W], loss)


def by_hand(law, shape):
    _, s, slope = SHAPES[shape]
    nodes, weights = LAWS[law][1]()

    def both(y):
        z = nodes @ y
        off = s(z) - s(nodes[:, 0])
        return weights @ off**2 / 2, (weights * off * slope(z)) @ nodes

    return both


# A sum of rows of kinks has kinks in its state.
CASES = [(law, shape) for law in LAWS for shape in ("square", "tanh")]
CASES += [("gaussian", "relu"), ("circle", "relu"), ("cube", "relu")]


def between(low, high, places):
    """Gauss-Legendre between places, exact for polynomials there."""
    ends = sorted({low, high, *(p for p in places if low < p < high)})
    parts = [panels(a, b, count=1) for a, b in itertools.pairwise(ends)]
    return map(np.concatenate, zip(*parts, strict=True))


def relus_in_a_cube(y):
    """Loss and gradient by polynomials on both sides of each line."""
    loss, slope = 0.0, np.zeros(2)
    for u, p in zip(*between(0, 1, (np.array([1, -2]) * y[1] / y[0]).tolist()), strict=True):
        v, q = between(-1, 2, [-y[0] * u / y[1]])
        z = y[0] * u + y[1] * v
        off, weights = np.maximum(z, 0) - u, p * q / 3
        loss += weights @ off**2 / 2
        slope += np.array([u * (weights @ (off * (z > 0))), weights @ (off * (z > 0) * v)])
    return loss, slope


@pytest.mark.parametrize("y", STATES, ids=str)
def test_kinks_in_two_numbers_of_a_cube_are_averaged_between_them(y):
    system, (loss, slope) = system_of("cube", "relu"), relus_in_a_cube(y)
    found = system.expectation(y)
    assert abs(found.loss - loss) <= found.loss_error < SHARP * loss
    off = np.linalg.norm(found.gradient - slope)
    assert off <= found.gradient_error < SHARP * np.linalg.norm(slope)
    assert abs((1 + OFF) * found.loss - loss) > found.loss_error
    # What is nothing beyond the cube takes no nodes there, and a short cell is one panel.
    assert len(found.rule) < 15_000


@pytest.mark.parametrize(("law", "shape"), CASES)
def test_loss_and_gradient_are_averages_over_the_density(law, shape):
    system, truth = system_of(law, shape), by_hand(law, shape)
    near = KINKED if shape == "relu" else ROUNDED
    for y in STATES:
        loss, slope = truth(y)
        size = 1 + loss + np.abs(slope).max()
        assert abs(system.loss(y) - loss) < near * size
        assert np.abs(system.gradient(y) - slope).max() < near * size
        assert abs((1 + 3 * OFF) * system.loss(y) - loss) > near * loss
        assert system.hessian(y) == pytest.approx(
            np.array(
                [
                    (system.gradient(y + 1e-5 * e) - system.gradient(y - 1e-5 * e)) / 2e-5
                    for e in np.eye(2)
                ]
            ),
            abs=1e-6 * size,
        )


@pytest.mark.parametrize("law", ["rows", "signs", "mixture"])
def test_kinks_over_rows_and_signs_are_refused_in_one_line(law):
    with pytest.raises(InputError, match="has kinks where one of them is at a kink") as told:
        system_of(law, "relu")
    assert "\n" not in str(told.value)
    # Kinks that do not move are none in what is trained.
    fixed = Expectation((WX - sp.Max(0, X[0, 0])) ** 2, X, LAWS[law][0]) / 2
    assert np.isfinite(flows.OwnSystem("fixed", [W], fixed).loss(STATES[0]))


@pytest.mark.parametrize("law", ["gaussian", "rows", "cube", "circle"])
def test_runs_over_a_density_follow_the_flow_within_their_errors(law, tmp_path):
    system, truth = system_of(law, "tanh"), by_hand(law, "tanh")
    times = np.array([0.5, 2.0])
    run = flows.integrate(system, STATES[0], 2.0, times)
    exact = solve_ivp(
        *(lambda t, y: -truth(y)[1], (0, 2.0), STATES[0], "DOP853", times), rtol=1e-11, atol=1e-13
    )
    losses = np.array([truth(y)[0] for y in exact.y.T])
    assert run.completed and run.state[1:] == pytest.approx(exact.y.T, abs=1e-8)
    off = np.abs(run["loss"][1:] / losses - 1)
    assert (off <= run.errors("loss")[1:]).all() and (off < 1e-6).all()
    assert (np.abs((1 + OFF) * run["loss"][1:] / losses - 1) > run.errors("loss")[1:]).all()
    run.save(tmp_path / "run.nc")
    loaded = flows.load(tmp_path / "run.nc")
    assert loaded.system == system and loaded.system.loss(STATES[1]) == system.loss(STATES[1])


def test_a_file_with_an_edited_density_is_another_system(tmp_path):
    system = system_of("weighted", "square")
    names, nodes = json.loads(json.dumps(system.definition))
    again = flows.OwnSystem.defined(system.name, [names, nodes])
    assert again == system
    # A weight is moved a little: another average.
    k = next(i for i, node in enumerate(nodes) if node == ["ratio", 3, 4])
    nodes[k] = ["ratio", 751, 1000]
    try:
        other = flows.OwnSystem.defined(system.name, [names, nodes])
    except ValueError:
        return
    assert other != system and abs(other.loss(STATES[0]) / system.loss(STATES[0]) - 1) > 1e-5


def test_a_long_sum_is_taken_over_arrays_and_is_the_same_sum():
    rows = np.random.default_rng(1).normal(size=(2000, 2))
    loss = Expectation((sp.tanh(WX) - sp.tanh(X[0, 0])) ** 2, X, Rows(rows)) / 2
    system = flows.OwnSystem("long", [W], loss)
    assert system._loss.measured is not None
    y, off = STATES[0], np.tanh(rows @ STATES[0]) - np.tanh(rows[:, 0])
    assert system.loss(y) == pytest.approx(np.mean(off**2) / 2, rel=1e-13)
    slope = np.mean((off / np.cosh(rows @ y) ** 2)[:, None] * rows, axis=0)
    assert system.gradient(y) == pytest.approx(slope, rel=1e-12)
    assert system.gradient(y) != pytest.approx((1 + OFF) * slope, rel=1e-12)
    beside = [
        (system.gradient(y + 1e-5 * e) - system.gradient(y - 1e-5 * e)) / 2e-5 for e in np.eye(2)
    ]
    assert system.hessian(y) == pytest.approx(np.array(beside), abs=1e-8)

    def field(t, y):
        off = np.tanh(rows @ y) - np.tanh(rows[:, 0])
        return -np.mean((off / np.cosh(rows @ y) ** 2)[:, None] * rows, axis=0)

    run = flows.integrate(system, y, 5.0, [5.0])
    truth = solve_ivp(field, (0, 5.0), y, "DOP853", rtol=1e-12, atol=1e-14).y[:, -1]
    assert run.completed and run.state[-1] == pytest.approx(truth, abs=1e-8)
    exact = np.mean((np.tanh(rows @ truth) - np.tanh(rows[:, 0])) ** 2) / 2
    assert abs(run["loss"][-1] / exact - 1) <= run.errors("loss")[-1] < 1e-5


def test_a_long_sum_of_signs_is_the_short_one_and_takes_no_other_average_beside_it():
    a, many = sp.Symbol("a"), sp.MatrixSymbol("x", 12, 1)
    total = sum(many[k, 0] for k in range(12))
    system = flows.OwnSystem("signs", [a], Expectation(sp.tanh(a * total), many, Rademacher()) + a)
    squares = flows.OwnSystem("even", [a], Expectation(sp.tanh(a * total) ** 2, many, Rademacher()))
    heads = np.arange(13)
    chances = np.array([float(sp.binomial(12, k)) for k in range(13)]) / 2**12
    assert system.loss([0.3]) == pytest.approx(0.3, abs=1e-15)
    expected = chances @ np.tanh(0.3 * (2 * heads - 12)) ** 2
    assert squares.loss([0.3]) == pytest.approx(expected, rel=1e-13)
    beside = Expectation(sp.tanh(a * many[0, 0]), many)
    with pytest.raises(flows.InputError, match="one long sum over data") as told:
        flows.OwnSystem("two", [a], Expectation(sp.tanh(a * total), many, Rademacher()) + beside)
    assert "\n" not in str(told.value)
    with pytest.raises(flows.InputError, match="at most 10000 operations"):
        squares.derive()
    with pytest.raises(flows.InputError, match="average in doubles"):
        exact = flows.OwnSystem("balls", [a], squares.expression, arithmetic="balls")
        flows.integrate(exact, [0.3], 1.0)


def test_an_ensemble_and_a_derivation_know_the_density():
    system = system_of("signs", "tanh")
    ensemble = flows.integrate_ensemble(system, np.array(STATES), t_end=1.0)
    single = flows.integrate(system, STATES[1], t_end=1.0)
    assert ensemble["loss"][1, -1] == pytest.approx(single["loss"][-1], rel=1e-6)
    document = system_of("cube", "square").derive().verify()
    evidence = {str(step.evidence) for d in document.derivations for step in d.steps}
    assert evidence == {"PROVED"}


M, S, U, V = sp.symbols("m s u v")


def trained_nodes(y, shape):
    """Of `N(m, C C^T)` by its density, and how that moves with the entries of `m` and `C`."""
    m, c = y[:2], np.array([[y[2], 0.0], [y[3], y[4]]])
    nodes, weights = gauss(m, c @ c.T)
    return weights @ (shape(nodes[:, 0]) - nodes[:, 1]) ** 2


@pytest.mark.parametrize("shape", ["square", "tanh", "relu"])
def test_a_mean_and_a_factor_of_a_covariance_are_trained(shape):
    symbolic, numeric, _ = SHAPES[shape]
    mean, (a, b, c) = sp.MatrixSymbol("m", 2, 1), sp.symbols("a b c")
    law = Gaussian(mean, factor=[[a, 0], [b, c]])
    loss = Expectation((symbolic(X[0, 0]) - X[1, 0]) ** 2, X, law)
    system = flows.OwnSystem("trained", [mean, a, b, c], loss)
    y, step = np.array([0.3, -0.2, 0.9, 0.5, 1.1]), 1e-4
    # Its mean and factor are in the forms, whose kinks panels do not know.
    near = KINKED if shape == "relu" else ROUNDED
    assert system.loss(y) == pytest.approx(trained_nodes(y, numeric), rel=near)
    ends = [
        [trained_nodes(y + k * step * e, numeric) for k in (-2, -1, 1, 2)] for e in np.eye(len(y))
    ]
    slope = np.array(ends) @ np.array([1, -8, 8, -1]) / (12 * step)
    near = 10 * KINKED if shape == "relu" else 1e-9
    assert system.gradient(y) == pytest.approx(slope, abs=near)
    assert 1.1 * system.gradient(y) != pytest.approx(slope, abs=near)


def test_a_trained_scale_may_change_its_sign_and_a_mixture_its_means():
    # E tanh(m + s u): the law does not know the sign of s, and the flow does not stop at zero.
    system = flows.OwnSystem("scale", [M, S], Expectation(sp.exp(V) - V, V, Gaussian(M, factor=S)))
    assert system.loss([0.1, -0.5]) == system.loss([0.1, 0.5])
    assert system.loss([0.1, 0.5]) == pytest.approx(np.exp(0.1 + 0.125) - 0.1, rel=1e-14)
    law = Mixture([Gaussian(M, factor=S), Gaussian(0, 4)], [1, 3])
    mixed = flows.OwnSystem("mixed", [M, S], Expectation(V**4, V, law))
    m, s = 0.7, 0.4
    expected = (m**4 + 6 * m**2 * s**2 + 3 * s**4) / 4 + 48 * 3 / 4
    assert mixed.loss([m, s]) == pytest.approx(expected, rel=1e-14)
    assert mixed.loss([m, s]) != pytest.approx((1 + OFF) * expected, rel=1e-14)


@pytest.mark.parametrize("given", [(U, V), [U, V], sp.Matrix([U, V]), sp.Tuple(U, V)], ids=repr)
@pytest.mark.parametrize("law", ["gaussian", "signs", "rows", "cube"])
def test_two_numbers_have_a_joint_density(given, law):
    density, nodes = LAWS[law]
    system = flows.OwnSystem(
        "two", [M, S], Expectation((sp.tanh(M * U + S) - V) ** 2, given, density)
    )
    (u, v), weights = nodes()[0].T, nodes()[1]
    off = np.tanh(0.7 * u - 0.2) - v
    assert system.loss([0.7, -0.2]) == pytest.approx(weights @ off**2, rel=ROUNDED)
    slope = 2 * weights * off / np.cosh(0.7 * u - 0.2) ** 2
    assert system.gradient([0.7, -0.2]) == pytest.approx([slope @ u, slope.sum()], abs=ROUNDED)
    assert system.loss([0.7, -0.2]) != pytest.approx((1 + OFF) * weights @ off**2, rel=ROUNDED)


def test_two_correlated_numbers_with_kinks_have_a_closed_form():
    law = Gaussian([0, 0], [[1, 0.9], [0.9, 1]])
    loss = Expectation((sp.Max(0, M * U + S) - sp.Max(0, V)) ** 2, (U, V), law)
    system = flows.OwnSystem("kinks", [M, S], loss)
    nodes, weights = gauss(np.zeros(2), np.array([[1, 0.9], [0.9, 1]]))
    off = np.maximum(0, 0.7 * nodes[:, 0] - 0.2) - np.maximum(0, nodes[:, 1])
    assert not system._loss.averaged
    assert system.loss([0.7, -0.2]) == pytest.approx(weights @ off**2, rel=KINKED)
    assert system.loss([0.7, -0.2]) != pytest.approx(1.01 * weights @ off**2, rel=KINKED)


UNIFORM = {
    "ramps": (
        (sp.Max(0, M * U + S) - sp.Max(0, U)) ** 2,
        lambda y, u: (np.maximum(0, y[0] * u + y[1]) - np.maximum(0, u)) ** 2,
        lambda y: [0.0, -y[1] / y[0]],
    ),
    "label": (
        (M * sp.sign(U - S) - U) ** 2,
        lambda y, u: (y[0] * np.sign(u - y[1]) - u) ** 2,
        lambda y: [y[1]],
    ),
    "bounded": (
        sp.tanh(sp.Abs(M * U - S)) * U,
        lambda y, u: np.tanh(abs(y[0] * u - y[1])) * u,
        lambda y: [y[1] / y[0]],
    ),
}


@pytest.mark.parametrize("name", UNIFORM)
@pytest.mark.parametrize("y", [(0.7, 0.3), (-1.2, 0.5), (0.9, -1.5)], ids=str)
def test_kinks_of_a_uniform_number_are_averaged_between_its_ends(name, y):
    expression, f, kinks = UNIFORM[name]
    system = flows.OwnSystem(name, [M, S], Expectation(expression, U, Cube(-1, 2)))

    def average(place):
        inside = [k for k in kinks(place) if -1 < k < 2]
        return quad(lambda u: f(place, u) / 3, -1, 2, points=inside, epsabs=1e-14, limit=200)[0]

    step = 1e-3
    moved = [[average(np.array(y) + k * step * e) for k in (-2, -1, 1, 2)] for e in np.eye(len(y))]
    slope = np.array(moved) @ np.array([1, -8, 8, -1]) / (12 * step)
    found = system.expectation(y)
    assert abs(found.loss - average(y)) <= found.loss_error + 1e-14
    assert found.loss_error < OFF * abs(found.loss) / 2
    assert found.gradient == pytest.approx(slope, abs=1e-8)
    assert (1 + OFF) * found.gradient != pytest.approx(slope, abs=1e-8)
    assert flows.integrate(system, y, t_end=0.2).completed
