"""Two layers against the definition, automatic differentiation, many digits and one neuron."""

from dataclasses import replace

import numpy as np
import pytest
from flint import arb
from mpmath import mp
from oracles import two_layer as oracle
from scipy.integrate import solve_ivp

import flows
from flows.core.balls import precision
from flows.core.errors import InputError
from flows.systems.hidden_layer import arrays
from flows.systems.hidden_layer.balls import PairBalls

# Loss and gradient promise 1e-15; the oracle has forty digits.
RELATIVE = 1e-14
# A few hundred roundings of the largest entry.
ROUNDING = 1e-12
# Sampling error in standard deviations; a fair sample exceeds it once in 10^5.
Z_SCORE, SAMPLES = 4.5, 200_000
# Two runs at rtol 1e-10.
FLOWS = 1e-8
NAMES = ("relu", "leaky:0.1", "erf", "quadratic")
OBLIQUE = [[1.0, 0.2, 0.0], [-0.4, 0.9, 0.3]]


def system_of(name, trained=False, students=3):
    return flows.TwoLayer(
        students,
        OBLIQUE,
        activation=name,
        output_weights=[1.0, 0.5, -0.8, 1.0][:students],
        teacher_weights=[1.0, -0.7],
        train_outputs=trained,
    )


def state_of(system, seed=0):
    return np.random.default_rng(seed).normal(size=system.initial().shape)


@pytest.mark.parametrize("trained", [False, True])
@pytest.mark.parametrize("name", NAMES)
def test_the_loss_is_the_sampled_mean_of_its_definition(name, trained):
    system = system_of(name, trained)
    state = state_of(system)
    squares = oracle.sampled(system, state, SAMPLES, seed=5)
    error = squares.std() / np.sqrt(SAMPLES)
    loss = system.loss(state)
    assert abs(squares.mean() - loss) < Z_SCORE * error
    # Negative control: a loss without its factor 1/2 is far outside.
    assert abs(squares.mean() - 2 * loss) > Z_SCORE * error


@pytest.mark.parametrize("name", NAMES)
def test_gradient_and_hessian_are_those_of_automatic_differentiation(name):
    system = system_of(name, trained=True)
    state = state_of(system, 1)
    slope, matrix = oracle.differentiable(system, state)
    assert np.abs(system.gradient(state) - slope).max() < ROUNDING * np.abs(slope).max()
    found = system.hessian(state)
    assert np.abs(found - matrix).max() < ROUNDING * np.abs(matrix).max()
    assert np.array_equal(found, found.T)
    doubles = arrays.gradient(system.network(), system.flat(state))
    assert np.abs(doubles - system.flat(slope)).max() < ROUNDING * np.abs(slope).max()


@pytest.mark.parametrize("name", NAMES)
def test_fixed_outputs_leave_the_blocks_of_the_neurons(name):
    trained = system_of(name, trained=True)
    state = state_of(trained, 1)
    fixed = flows.TwoLayer(
        3, OBLIQUE, activation=name, output_weights=state[:, 3], teacher_weights=[1.0, -0.7]
    )
    w = state[:, :3]
    assert np.abs(fixed.gradient(w) - trained.gradient(state)[:, :3]).max() < ROUNDING
    inner = np.flatnonzero(np.arange(state.size) % 4 != 3)
    block = trained.hessian(state)[np.ix_(inner, inner)]
    assert np.abs(fixed.hessian(w) - block).max() < ROUNDING * np.abs(block).max()


@pytest.mark.parametrize("size", [1.0, 1e-3, 1e-7, 1e-12])
@pytest.mark.parametrize("name", NAMES)
def test_the_loss_keeps_its_digits_however_near_students_are_to_teachers(name, size):
    system = flows.TwoLayer(3, OBLIQUE, activation=name, output_weights=[1.0, 0.5, 0.5])
    near = np.array([OBLIQUE[0], OBLIQUE[1], OBLIQUE[1]])
    state = near + size * state_of(system, 2)
    truth = float(oracle.loss(system, state, digits=90))
    assert abs(system.loss(state) - truth) < RELATIVE * truth


@pytest.mark.parametrize("name", ["erf", "quadratic"])
def test_a_student_at_zero_is_like_any_other_one_without_a_kink(name):
    system = flows.TwoLayer(2, OBLIQUE, activation=name)
    for state in (np.zeros((2, 3)), np.array([[0.0, 0.0, 0.0], [0.4, -0.2, 0.1]])):
        assert abs(system.loss(state) - float(oracle.loss(system, state, digits=40))) < RELATIVE
        step, flat = 1e-6, np.eye(6).reshape(6, 2, 3)
        rates = [(system.loss(state + step * e) - system.loss(state - step * e)) for e in flat]
        assert np.abs(system.gradient(state).ravel() - np.array(rates) / (2 * step)).max() < 1e-8


def test_neurons_of_relu_at_zero_have_a_loss_and_no_gradient():
    neuron = flows.ReLUNeuron(2, 2)
    assert abs(neuron.loss(np.zeros((2, 2))) - 0.25) < RELATIVE
    assert not neuron.gradient(np.zeros((2, 2))).any()
    one = np.array([[0.0, 0.0], [0.4, -0.2]])
    assert abs(neuron.loss(one) - flows.ReLUNeuron(1, 2).loss(one[1:])) < RELATIVE
    slopes = neuron.gradient(one)
    assert not slopes[0].any()
    assert np.abs(slopes[1] - flows.ReLUNeuron(1, 2).gradient(one[1:])[0]).max() < RELATIVE


@pytest.mark.parametrize("size", [10.0**-k for k in range(1, 13)])
@pytest.mark.parametrize("name", ["relu", "erf"])
def test_the_field_is_right_to_fourteen_digits_however_small_the_angles_are(name, size):
    system = flows.TwoLayer(4, OBLIQUE, activation=name, output_weights=[0.5, 0.5, 0.3, 0.7])
    # Residuals of the size of squares of deviations, as late in a run.
    apart = np.array([[1.0], [-1.0], [0.7], [-0.3]]) * [[0.3, -0.1, 0.9]]
    state = np.array([OBLIQUE[0], OBLIQUE[0], OBLIQUE[1], OBLIQUE[1]]) + size * apart
    with mp.workdps(60):
        u, mu = oracle.parts(system, state)
        rows = [[mp.mpf(x) for x in row] for row in u]
        truth = np.array(oracle.gradient(name, rows, [mp.mpf(x) for x in mu], 4)[0], dtype=float)
    length = np.linalg.norm(truth)
    assert np.linalg.norm(system.gradient(state) - truth) < RELATIVE * length
    # Negative control: sums of doubles do not have these digits.
    if size < 1e-4:
        sums = arrays.gradient(system.network(), state.ravel()).reshape(4, 3)
        assert np.linalg.norm(sums - truth) > RELATIVE * length


@pytest.mark.parametrize("name", NAMES)
def test_many_states_at_once_are_as_one_by_one(name):
    system = system_of(name, trained=True)
    network = system.network()
    states = np.stack([system.flat(state_of(system, seed)) for seed in range(4)])
    one = np.stack([arrays.gradient(network, y) for y in states])
    assert np.allclose(arrays.gradient(network, states), one, rtol=ROUNDING, atol=0)
    losses = [arrays.loss(network, y) for y in states]
    assert np.allclose(arrays.loss(network, states), losses, rtol=ROUNDING, atol=0)


def test_parallel_students_and_students_on_teachers_have_a_hessian():
    system = flows.TwoLayer(4, 2, d=3)
    w = np.array([[0.5, 0, 0], [0.5, 0, 0], [0, 1.0, 0], [0, -2.0, 0]])
    exact, moved = (system.hessian(w + shift * 1e-9) for shift in (0, state_of(system)))
    assert np.isfinite(exact).all()
    # The Hessian is Lipschitz away from zero neurons: 1e-9 moves it by as much.
    assert np.abs(exact - moved).max() < 1e-7
    assert np.isfinite(system.gradient(w)).all()


@pytest.mark.parametrize("n, d", [(1, 1), (2, 2), (3, 4)])
def test_one_teacher_is_the_relu_neuron(n, d):
    one, two = flows.ReLUNeuron(n, d), flows.TwoLayer(n, np.eye(1, d))
    w = np.random.default_rng(n).normal(size=(n, d))
    assert abs(two.loss(w) / one.loss(w) - 1) < RELATIVE
    assert np.abs(two.gradient(w) - one.gradient(w)).max() < ROUNDING
    assert np.abs(two.hessian(w) - one.hessian(w)).max() < ROUNDING


STARTS = np.array([[[0.5, 0.3], [0.3, -0.2]], [[0.1, 0.4], [0.2, -0.1]]])


@pytest.mark.parametrize("v", [[1.0, 0.0], [0.6, -0.8]])
def test_one_teacher_has_the_run_of_the_relu_neuron_and_the_claims_of_its_paper(v):
    one, two = (
        flows.integrate(system, STARTS[0], t_end=1e12)
        for system in (flows.ReLUNeuron(2, 2, teacher=v), flows.TwoLayer(2, [v]))
    )
    # It is the same code: not a bit differs.
    assert np.array_equal(two["loss"], one["loss"])
    assert np.array_equal(two.state, one.state)
    assert two.stats["field_evaluations"] == one.stats["field_evaluations"]
    theirs = {found.claim: found.verdict for found in flows.check(one)}
    found = {found.claim: found.verdict for found in flows.check(two)}
    assert theirs.items() <= found.items() and found["cluster_law"] == "HOLDS"
    assert np.array_equal(two["kappa_max"], one["kappa_max"])
    assert np.abs(two["shares"].sum(axis=1)[-1] - 1) < FLOWS
    hessian = np.linalg.eigvalsh(flows.TwoLayer(2, [v]).hessian(two.state[-1]))
    assert np.abs(two["hessian_spectrum"][-1] - hessian).max() < FLOWS


def test_the_general_way_of_many_digits_gives_the_run_of_one_teacher_too():
    # The smallest slope there is takes the general way: the activation is ReLU to all doubles.
    start, times = STARTS[0], [1.0, 1e2, 1e4, 1e6]
    one, two = (
        flows.integrate(system, start, t_end=1e6, t_eval=times)
        for system in (
            flows.ReLUNeuron(2, 2),
            flows.TwoLayer(2, [[1.0, 0.0]], activation="leaky:0"),
        )
    )
    assert two.status == "completed"
    assert np.abs(two["loss"] / one["loss"] - 1).max() < FLOWS
    assert np.abs(two.state - one.state).max() < FLOWS


def test_one_teacher_has_the_ensembles_files_and_starts_at_zero_of_the_relu_neuron(tmp_path):
    one, two = flows.ReLUNeuron(2, 2), flows.TwoLayer(2, [[1.0, 0.0]])
    mine, theirs = (flows.integrate_ensemble(s, STARTS, 1e6) for s in (two, one))
    assert np.array_equal(mine["loss"], theirs["loss"])
    from_zero = np.array([[0.0, 0.0], [0.3, 0.2]])
    run = flows.integrate(two, from_zero, t_end=1e3)
    assert np.array_equal(run["loss"], flows.integrate(one, from_zero, t_end=1e3)["loss"])
    run.save(tmp_path / "run.nc")
    again = flows.load(tmp_path / "run.nc")["shares"]
    assert np.array_equal(again, run["shares"], equal_nan=True)
    # Other outputs, another activation and more teachers are no single neuron.
    for other in (
        flows.TwoLayer(2, [[1.0, 0.0]], output_weights=[1.0, 2.0]),
        flows.TwoLayer(2, [[1.0, 0.0]], teacher_weights=[2.0]),
        flows.TwoLayer(2, [[1.0, 0.0]], activation="leaky:0.1"),
        flows.TwoLayer(2, [[1.0, 0.0]], train_outputs=True),
        flows.TwoLayer(2, 2),
    ):
        assert "loss_upper" not in {claim.id for claim in other.statements.claims}


@pytest.mark.parametrize("trained", [False, True])
@pytest.mark.parametrize("name", NAMES)
def test_students_that_are_equal_stay_so_and_are_followed_as_one(name, trained):
    fixed = {} if trained else {"output_weights": [0.5, 0.5, 1.0]}
    system = flows.TwoLayer(3, 2, activation=name, train_outputs=trained, **fixed)
    start = np.array([[0.7, 0.2], [0.7, 0.2], [0.2, 0.9]])
    start = np.column_stack([start, [0.7, 0.7, 1.0]]) if trained else start
    times = [1.0, 5.0]
    run = flows.integrate(system, start, t_end=5.0, t_eval=times)
    assert run.completed and np.isfinite(run["loss"]).all()
    assert np.array_equal(run.state[:, 0], run.state[:, 1])
    assert np.abs(run["loss"][0] / system.loss(start) - 1) < ROUNDING
    # The flow of all three, by another solver in the user's own numbers.
    network, y = system.network(), system.flat(start)
    field = lambda _, y: -arrays.gradient(network, y)  # noqa: E731
    found = solve_ivp(field, (0, 5.0), y, "DOP853", times, rtol=1e-9, atol=1e-11)
    assert np.abs(network.shaped(found.y.T) - run.state[1:]).max() < 1e-7
    assert run["shares"][-1, 0] == run["shares"][-1, 1]
    output = run.state[-1, 0, 2] if trained else 0.5
    assert abs(run["shares"][-1, 0] - output * run.state[-1, 0, 0]) < ROUNDING


@pytest.mark.parametrize("name", ["relu", "erf", "quadratic"])
def test_a_network_that_counts_neurons_has_the_loss_of_all_of_them(name):
    system = flows.TwoLayer(3, 2, activation=name, train_outputs=True)
    state = np.array([[0.7, 0.2, 0.8], [0.7, 0.2, 0.8], [0.2, 0.9, 1.1]])
    counts = replace(system.network(), students=2, counts=(2, 1))
    root = np.sqrt(2)
    y = np.array([0.7 * root, 0.2 * root, 0.2, 0.9, 0.8 * root, 1.1])
    assert abs(arrays.loss(counts, y) - system.loss(state)) < 1e-15
    step, found = 1e-5, arrays.gradient(counts, y)
    differences = [
        (arrays.loss(counts, y + step * e) - arrays.loss(counts, y - step * e)) / (2 * step)
        for e in np.eye(6)
    ]
    assert np.abs(found - differences).max() < 1e-8
    rows = [
        (arrays.gradient(counts, y + step * e) - arrays.gradient(counts, y - step * e)) / (2 * step)
        for e in np.eye(6)
    ]
    assert np.abs(arrays.hessian(counts, y) - rows).max() < 1e-8
    exact = PairBalls(counts)
    with precision(200):
        both = exact.both([arb(x) for x in y])
        curved = exact.hessian([arb(x) for x in y])
    assert np.abs([float(x) for x in both[1:]] - found).max() < 1e-14
    assert np.abs(np.array(curved, dtype=float) - arrays.hessian(counts, y)).max() < 1e-13
    # Negative control: as one that counts once they have another loss, but for degree one.
    once = arrays.loss(replace(counts, counts=()), y)
    assert (abs(once - system.loss(state)) < 1e-14) == (name == "relu")


def test_a_run_stays_in_the_span_and_is_the_same_in_more_dimensions():
    start = 0.5 * np.random.default_rng(3).normal(size=(2, 2))
    turn, _ = np.linalg.qr(np.random.default_rng(4).normal(size=(7, 7)))
    small = flows.TwoLayer(2, 2)
    large = flows.TwoLayer(2, np.eye(2) @ turn[:2])
    one, two = (
        flows.integrate(system, w, t_end=10.0, t_eval=[1.0, 10.0])
        for system, w in ((small, start), (large, start @ turn[:2]))
    )
    assert np.abs(two["loss"] - one["loss"]).max() < FLOWS
    assert np.abs(two.state - one.state @ turn[:2]).max() < FLOWS


@pytest.mark.parametrize("name", ["relu", "quadratic"])
def test_training_conserves_the_balance_of_the_layers(name):
    system = flows.TwoLayer(2, 2, activation=name, train_outputs=True)
    run = flows.integrate(system, system.initial(0.5, 2), t_end=10.0)
    (verdict,) = flows.check(run, "layer_balance")
    assert verdict.verdict == "HOLDS"
    # Negative control: with p off by a tenth, it moves.
    p = {"relu": 1, "quadratic": 2}[name] + 0.1
    other = p * run["outputs"] ** 2 - run["norms"] ** 2
    assert np.ptp(other, axis=0).max() > 1e-3


@pytest.mark.parametrize(
    "given, said",
    [
        ({"teachers": [[1.0, 0.0], [1.0, 0.0]]}, "repeats teacher 1"),
        ({"teachers": [[1.0, 0.0], [0.0, 0.0]]}, "teacher 2 is zero"),
        ({"teachers": [[1.0, 0.0], [1.0]]}, "rows differ"),
        ({"teachers": [[1.0, 0.0]], "d": 3}, "expected 3 numbers each"),
        ({"teachers": 3, "d": 2}, "need d >= 3"),
        ({"teachers": [1.0, 2.0]}, r"shape \(m, d\)"),
        ({"activation": "relv"}, "expected relu"),
        ({"activation": "leaky:1"}, "other than 1"),
        ({"activation": "leaky:x"}, "expected relu"),
        ({"activation": 3}, "name of an activation"),
        ({"output_weights": [1.0]}, "expected 2 numbers, one a student"),
        ({"output_weights": [1.0, 0.0]}, "not zero"),
        ({"teacher_weights": [1.0]}, "expected 2 numbers, one a teacher"),
        ({"students": 0}, "positive integer"),
        ({"train_outputs": "yes"}, "true or false"),
    ],
)
def test_bad_parameters_are_one_line(given, said):
    with pytest.raises(InputError, match=said) as refused:
        flows.TwoLayer(**({"students": 2, "teachers": 2} | given))
    assert "\n" not in str(refused.value)


def test_a_start_at_a_kink_or_of_locked_signs_is_refused():
    with pytest.raises(InputError, match="zero"):
        flows.integrate(flows.TwoLayer(2, 2), [[0.0, 0.0], [1.0, 0.0]], t_end=1.0)
    trained = flows.TwoLayer(2, 2, teacher_weights=[1.0, -1.0], train_outputs=True)
    with pytest.raises(InputError, match="sign of teacher 2"):
        flows.integrate(trained, trained.initial(), t_end=1.0)
    assert trained.check_start(trained.initial(scale=3.0)).shape == (2, 3)


@pytest.mark.parametrize("name", ["relu", "erf"])
def test_gradient_descent_steps_along_the_gradient(name):
    system = system_of(name, trained=True)
    state = state_of(system, 6)
    run = flows.descend(system, state, step_size=0.01, steps=2)
    expected = state - 0.01 * system.gradient(state)
    assert np.abs(run.state[1] - expected).max() < ROUNDING


def test_an_output_of_zero_and_a_state_at_the_minimum_leave_no_warning_and_no_sign():
    trained = flows.TwoLayer(2, 2, train_outputs=True)
    run = flows.integrate(trained, [[0.5, 0.2, 0.0], [0.1, 0.6, 0.5]], 3.0)
    assert run.status == "completed" and run["loss"][-1] < run["loss"][0]
    assert str(flows.TwoLayer(2, 2).loss(np.eye(2))) == "0.0"
