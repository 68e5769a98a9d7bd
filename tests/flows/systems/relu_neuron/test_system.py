"""The ReLU neuron against independent oracles and its own symmetries."""

import numpy as np
import pytest
from mpmath import mp
from oracles import relu_neuron as oracle

import flows
from flows.core.errors import InputError
from flows.systems.relu_neuron import geometry, pairs

# Double evaluation promises 1e-12; the oracles below are exact to more than that.
RELATIVE = 1e-12
# Central differences at 50 digits with step 1e-15 err by about 1e-30.
DIGITS = 50
STEP = mp.mpf(10) ** -15
# Sampling error in standard deviations; a fair sample exceeds it once in 10^5.
Z_SCORE = 4.5
SAMPLES = 400_000
# Two floating-point routes to the same Jacobian by differences of step 1e-6.
DIFFERENCE = 1e-7


def neurons(n: int, d: int, seed: int, scale: float = 1.0) -> np.ndarray:
    return scale * np.random.default_rng(seed).normal(size=(n, d))


def near_optimum(n: int, d: int, size: float, seed: int = 3) -> np.ndarray:
    """Neurons that sum to e_1 up to size^2 with transverse parts of order size."""
    rng = np.random.default_rng(seed)
    w = size * rng.normal(size=(n, d)) / n
    w -= w.mean(axis=0)
    w[:, 0] = rng.dirichlet(np.full(n, 5.0)) + size**2 * rng.normal(size=n)
    return w


@pytest.mark.parametrize("n, d, seed", [(1, 1, 0), (1, 3, 1), (3, 2, 2), (4, 5, 3)])
def test_the_loss_is_the_monte_carlo_mean_of_its_definition(n, d, seed):
    rng = np.random.default_rng(100 + seed)
    v = rng.normal(size=d)
    w = neurons(n, d, seed)
    x = rng.normal(size=(SAMPLES, d))
    squares = 0.5 * (np.maximum(x @ w.T, 0).sum(axis=1) - np.maximum(x @ v, 0)) ** 2
    error = squares.std() / np.sqrt(SAMPLES)
    loss = flows.ReLUNeuron(n, d, v).loss(w)
    assert abs(squares.mean() - loss) < Z_SCORE * error
    # Negative control: a loss without its factor 1/2 is far outside.
    assert abs(squares.mean() - 2 * loss) > Z_SCORE * error


@pytest.mark.parametrize("size", [1.0, 1e-3, 1e-6, 1e-9, 1e-12])
@pytest.mark.parametrize("n, d", [(2, 2), (3, 5)])
def test_loss_and_gradient_keep_their_digits_however_close_to_the_optimum(n, d, size):
    system = flows.ReLUNeuron(n, d)
    w = near_optimum(n, d, size)
    truth = oracle.loss(w.tolist(), system.teacher, digits=120)
    assert abs(system.loss(w) / float(truth) - 1) < RELATIVE
    slope = np.array(oracle.gradient(w.tolist(), system.teacher, digits=120), dtype=float)
    assert np.linalg.norm(system.gradient(w) - slope) < RELATIVE * np.linalg.norm(slope)


def test_a_tiny_neuron_beside_an_almost_exact_one_does_not_cost_digits():
    w = np.array([[1.0 - 1e-9, 1e-9, 0.0], [1e-9, -1e-9, 1e-9]])
    system = flows.ReLUNeuron(2, 3)
    truth = oracle.loss(w.tolist(), system.teacher, digits=120)
    assert abs(system.loss(w) / float(truth) - 1) < RELATIVE


@pytest.mark.parametrize("seed", range(3))
def test_gradient_and_hessian_are_fifty_digit_differences_of_the_loss(seed):
    n, d = 2, 3
    w = neurons(n, d, seed)
    v = neurons(1, d, 50 + seed)[0]
    system = flows.ReLUNeuron(n, d, v)

    def shifted(k: int, sign: int) -> list:
        flat = [mp.mpf(x) for x in w.ravel()]
        flat[k] += sign * STEP
        return [flat[i * d : (i + 1) * d] for i in range(n)]

    with mp.workdps(DIGITS):
        slopes = [
            (oracle.loss(shifted(k, 1), v.tolist()) - oracle.loss(shifted(k, -1), v.tolist()))
            / (2 * STEP)
            for k in range(n * d)
        ]
        ups = [oracle.gradient(shifted(k, 1), v.tolist()) for k in range(n * d)]
        downs = [oracle.gradient(shifted(k, -1), v.tolist()) for k in range(n * d)]
        columns = [
            [
                (a - b) / (2 * STEP)
                for up, down in zip(u, e, strict=True)
                for a, b in zip(up, down, strict=True)
            ]
            for u, e in zip(ups, downs, strict=True)
        ]
    assert np.allclose(system.gradient(w).ravel(), np.array(slopes, float), rtol=0, atol=1e-14)
    assert np.allclose(system.hessian(w), np.array(columns, float).T, rtol=0, atol=1e-13)


def charts() -> list:
    generic = neurons(3, 5, 0)
    return [
        pytest.param(generic, id="direct"),
        pytest.param(near_optimum(3, 5, 0.2), id="residual"),
        pytest.param(np.vstack([near_optimum(3, 4, 0.2)] * 1 + [[0.1, 0.3, 0, 0]]), id="residual4"),
        pytest.param(np.array([[0.7, 0.2]]), id="one neuron"),
        pytest.param(np.vstack([[0.3, 0.1, 0.0]] * 2 + [[0.2, -0.1, 0.1]]), id="coincident"),
        pytest.param(np.array([[0.2, 0.0], [0.5, 0.0], [-0.4, 0.0]]), id="parallel"),
    ]


@pytest.mark.parametrize("w", charts())
def test_the_compiled_field_of_a_chart_is_minus_the_gradient(w):
    system = flows.ReLUNeuron(*w.shape)
    frame, state = system.reduce(w)
    piece = system.piece(frame, state, 0.0)
    chart = piece.chart
    # A chart is linear in the neurons, so the field maps like a small displacement.
    h = 1e-6
    y = chart.y0
    ahead = piece.at(h, y + h * chart.rhs(0.0, y))
    moved = system.restore(frame, ahead) - system.restore(frame, state)
    assert np.allclose(moved / h, -system.gradient(w), atol=1e-5)


@pytest.mark.parametrize("w", charts())
def test_the_jacobian_of_a_chart_is_the_difference_quotient_of_its_field(w):
    system = flows.ReLUNeuron(*w.shape)
    chart = system.piece(*system.reduce(w), 0.0).chart
    tau, y, h = 0.3, chart.y0, 1e-6
    for column, e in enumerate(np.eye(len(y))):
        quotient = (chart.rhs(tau, y + h * e) - chart.rhs(tau, y - h * e)) / (2 * h)
        assert np.allclose(chart.jacobian(tau, y)[:, column], quotient, atol=DIFFERENCE)


def test_reduction_and_restoration_return_the_start_in_any_frame():
    w = neurons(4, 7, 5)
    system = flows.ReLUNeuron(4, 7, neurons(1, 7, 6)[0])
    assert np.allclose(system.restore(*system.reduce(w)), w, rtol=0, atol=1e-14)


def test_a_transverse_part_of_1e_minus_14_survives_the_projection_on_an_oblique_teacher():
    v = np.array([0.6, 0.8, 0.1])
    v_exact = [mp.mpf(x) for x in v]
    w = np.array([0.37 * v + [3e-14, -2e-14, 1e-14]])
    _, state = flows.ReLUNeuron(1, 3, v).reduce(w)
    with mp.workdps(DIGITS):
        row = [mp.mpf(x) for x in w[0]]
        share = mp.fdot(row, v_exact) / mp.fdot(v_exact, v_exact)
        rest = mp.norm([a - share * b for a, b in zip(row, v_exact, strict=True)])
        expected = float(rest / mp.norm(v_exact))
    assert abs(np.linalg.norm(state.z) / expected - 1) < 1e-13


# Metamorphic: the same question asked differently.
T_END = 1e6
# Different coordinates take different steps, each with an error of about the tolerance.
SAME = 1e-7


@pytest.fixture(scope="module")
def plain():
    system = flows.ReLUNeuron(3, 4)
    start = system.initial(0.3, seed=1)
    return start, flows.integrate(system, start, T_END)


def test_permuting_the_neurons_permutes_the_run(plain):
    start, run = plain
    again = flows.integrate(flows.ReLUNeuron(3, 4), start[[2, 0, 1]], T_END)
    assert np.allclose(again["loss"], run["loss"], rtol=SAME)
    assert np.allclose(again.state, run.state[:, [2, 0, 1]], atol=SAME)


def test_rotating_neurons_and_teacher_together_changes_nothing(plain):
    start, run = plain
    q, _ = np.linalg.qr(neurons(4, 4, 9))
    again = flows.integrate(flows.ReLUNeuron(3, 4, q[:, 0]), start @ q.T, T_END)
    assert np.allclose(again["loss"], run["loss"], rtol=SAME)
    assert np.allclose(again["pairwise_distance"], run["pairwise_distance"], rtol=SAME)


@pytest.mark.parametrize("size", [1e-6, 1e6])
def test_scaling_neurons_and_teacher_scales_the_loss_by_the_square(plain, size):
    start, run = plain
    again = flows.integrate(flows.ReLUNeuron(3, 4, [size, 0, 0, 0]), size * start, T_END)
    assert np.allclose(again["loss"], size**2 * run["loss"], rtol=SAME)


def test_a_larger_space_changes_nothing(plain):
    start, run = plain
    wide = np.hstack([start, np.zeros((3, 996))])
    again = flows.integrate(flows.ReLUNeuron(3, 1000), wide, T_END)
    assert np.allclose(again["loss"], run["loss"], rtol=SAME)


def test_two_coincident_neurons_are_one_of_twice_the_length_at_twice_the_speed():
    w = np.array([[0.3, -0.2, 0.4]])
    times = np.geomspace(0.1, 20, 12)
    pair = flows.integrate(flows.ReLUNeuron(2, 3), np.vstack([w, w]), 20, t_eval=times)
    one = flows.integrate(flows.ReLUNeuron(1, 3), 2 * w, 40, t_eval=2 * times)
    assert np.allclose(pair["loss"], one["loss"], rtol=SAME)


def test_the_loss_of_a_mirror_pair_ends_as_pi_squared_over_six_t_cubed():
    run = flows.integrate(flows.ReLUNeuron(2, 2), [[0.3, 0.4], [0.3, -0.4]], 1e12)
    # Corrections fall like 1/t; at 1e12 only the tolerance remains.
    assert abs(run["loss"][-1] * 1e36 / (np.pi**2 / 6) - 1) < 1e-8


def test_one_neuron_follows_its_exponential_to_1e_minus_300_and_stays_positive():
    run = flows.integrate(flows.ReLUNeuron(1, 1), [[0.25]], 680, rtol=1e-12)
    truth = 0.25 * 0.75**2 * np.exp(-run.t)
    assert truth[-1] < 1e-295
    # exp(t) multiplies the rounding of t itself, 680 eps.
    assert np.allclose(run["loss"], truth, rtol=1e-12)
    late = flows.integrate(flows.ReLUNeuron(1, 3), [[0.2, 0.5, -0.3]], 1e12)
    assert late.completed and (late["loss"] >= 0).all() and late["loss"][-1] == 0


# Degenerate starts: each ends, and where it should.
DEGENERATE = {
    "zero neuron": ([[0, 0, 0], [0.1, 0.2, 0.3]], None, "power"),
    "all zero": (np.zeros((3, 3)), None, "linear"),
    "coincident": ([[0.1, 0.2, 0.3], [0.1, 0.2, 0.3], [0.3, -0.1, 0.2]], None, "power"),
    "all equal": ([[0.1, 0.2, 0.3]] * 3, None, "linear"),
    "anti-parallel beside another": ([[-1.0, 0, 0], [0.5, 0.1, 0.2]], None, "linear"),
    "all parallel": ([[0.1, 0, 0], [0.2, 0, 0], [0.3, 0, 0]], None, "linear"),
    "one dimension": ([[0.2], [0.3], [-1.0]], None, "linear"),
    "one neuron": ([[0.2, 0.5, -0.3]], None, "linear"),
    "short teacher": (1e-6 * neurons(3, 3, 4), [1e-6, 0, 0], "power"),
    "long teacher": (1e6 * neurons(3, 3, 4), [0, 1e6, 0], "power"),
    "tiny start": (1e-8 * neurons(3, 3, 4), None, "power"),
    "huge start": (1e3 * neurons(3, 3, 0), None, "power"),
}


@pytest.mark.parametrize("name", DEGENERATE)
def test_a_degenerate_start_ends_with_its_rate(name):
    start, teacher, rate = DEGENERATE[name]
    start = np.array(start, dtype=float)
    # A start of size s reaches its tail after t = 1/s only.
    run = flows.integrate(flows.ReLUNeuron(*start.shape, teacher), start, 1e12)
    assert run.completed
    assert (np.diff(run["loss"]) <= 0).all()
    slope = flows.local_exponent(run, "loss")
    unit = run.parameters["teacher_norm"] ** 2
    if rate == "linear":
        # Out of reach of a power law with exponent 3 and a constant of order one.
        assert run["loss"][-1] < 1e-50 * unit
    else:
        assert abs(slope[-1] + 3) < 0.1


def test_an_exactly_anti_parallel_neuron_goes_to_the_saddle_at_zero():
    run = flows.integrate(flows.ReLUNeuron(1, 3), [[-1.0, 0, 0]], 100.0)
    assert run.completed and not run.events
    assert np.allclose(run.state[:, 0, 0], -np.exp(-run.t / 2), rtol=1e-12)
    assert abs(run["loss"][-1] - 0.25) < 1e-15


@pytest.mark.parametrize(
    "n, d, teacher, words",
    [
        (0, 3, None, "n must be a positive integer"),
        (2, -1, None, "d must be a positive integer"),
        (2.5, 3, None, "n must be a positive integer"),
        (True, 3, None, "n must be a positive integer"),
        (2, 2, [0, 0], "zero vector"),
        (2, 2, [1, 2, 3], "shape"),
        (2, 2, [1, np.nan], "finite"),
        (2, 2, ["a", "b"], "real numbers"),
        (2, 2, [1e-300, 0], "where losses are doubles"),
        (2, 2, [0, 1e150], "where losses are doubles"),
        (2, 10**9, None, "choose a smaller one"),
    ],
)
def test_bad_parameters_are_refused_with_one_line(n, d, teacher, words):
    with pytest.raises(InputError, match=words) as caught:
        flows.ReLUNeuron(n, d, teacher)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    "start, words",
    [
        (np.zeros((2, 3)), "shape"),
        ([[1.0, np.inf], [0, 0]], "finite"),
        ([[1.0, 2.0], [3.0]], "rows differ"),
        ([[1.0, 1j], [0, 0]], "real numbers"),
        ([[1e200, 0], [0, 0]], "1e150"),
        ([[1e-160, 0], [0, 0]], "1e-140"),
        (np.ma.array(np.ones((2, 2)), mask=[[True, False], [False, False]]), "masked"),
    ],
)
def test_bad_starts_are_refused_with_one_line(start, words):
    with pytest.raises(InputError, match=words):
        flows.integrate(flows.ReLUNeuron(2, 2), start, 1.0)


def test_the_smallest_start_and_the_extreme_teachers_run():
    for size, start in ((1e-100, 1.0), (1e100, 1.0), (1.0, 1e-140)):
        run = flows.integrate(
            flows.ReLUNeuron(2, 2, (size, 0.0)), [[start, 0.0], [0.0, start]], 10.0, rtol=1e-6
        )
        assert run.completed


def test_the_energy_is_wrong_by_the_rounding_of_its_terms_and_of_angles():
    for size in (1.0, 1e-2, 1e-4, 1e-7):
        w = near_optimum(4, 4, size, seed=7)
        frame, state = flows.ReLUNeuron(4, 4).reduce(w)
        value, bound = geometry.energy(frame.multiplicity, state), rounded(frame, state)
        truth = float(oracle.loss(w.tolist(), [1.0, 0, 0, 0], digits=120))
        assert abs(value - truth) <= bound + 1e-14 * truth
        assert abs(1.01 * value - truth) > bound + 1e-14 * truth


def rounded(frame, state):
    """Bound of the rounding of the loss: |de/dtheta| <= |a| |b| theta sin(theta) / (2 pi)."""
    g, eps = pairs.pairs(state), np.finfo(float).eps
    mu = pairs.signed(frame.multiplicity) * g.norms
    weight = np.abs(mu[:, None] * mu)
    square = np.sum(state.r**2 + pairs.flipped_residual(frame.multiplicity, state) ** 2) / 8
    off_axis = np.linalg.norm(g.units[:, 1:], axis=-1)
    slope = weight * g.theta * np.sin(g.theta) / (2 * np.pi)
    terms = weight * pairs.lowered()[0](1.0, 1.0, g.theta)[0]
    by_angles = 8 * np.sum(slope * (off_axis[:, None] + off_axis))
    return eps * (16 * (square + np.sum(np.abs(terms))) + by_angles)


@pytest.mark.parametrize("method", ["auto", "Rodas5P"])
def test_gradient_and_exponent_keep_their_digits_beyond_twelve_decades(method):
    # The residual is a part of the gradient of size t^-2, but of the loss t^-3 only its square.
    system = flows.ReLUNeuron(n=3, d=5)
    run = flows.integrate(system, system.initial(0.1, seed=0), t_end=1e30, method=method)
    late = run.t > 1e8
    assert np.abs(flows.local_exponent(run)[late] + 3).max() < 1e-4
    scaled = (run.t**2 * run["gradient_norm"])[late]
    assert np.abs(scaled / scaled[-1] - 1).max() < 1e-3
