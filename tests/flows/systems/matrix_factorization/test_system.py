"""Deep linear chains in numbers against the derived expressions and independent oracles."""

import itertools

import numpy as np
import pytest
from mpmath import mp
from scipy.integrate import quad, solve_ivp

import flows
from flows.core.chart import plainly, wrap, wrap_plain
from flows.core.errors import InputError
from flows.systems.matrix_factorization import chains, pieces
from flows.systems.matrix_factorization.features import monitors, spectra
from flows.systems.matrix_factorization.field import make_raw
from flows.systems.matrix_factorization.sensitivity import SENSITIVE
from symbolic.language.matrix_calculus import evaluate, letters
from symbolic.systems.matrix_factorization import chain as symbols
from symbolic.systems.matrix_factorization.balanced import balanced_field

# Products of a few random matrices with entries of order one, in doubles.
ROUNDING = 1e-12
# Central differences in doubles with step 1e-5: truncation 1e-10, rounding 1e-11, degree 7.
STEP, DIFFERENCE = 1e-5, 1e-7
# What is wrong is wrong by order one.
VISIBLE = 1e-2
# Of runs at rtol 1e-10: local tolerances are not global errors.
RUN = 1e-8
TIGHT = 1e-13  # rtol of a run whose error is rounding
# Loss of a run at rtol 1e-10 against 50 digits, the accuracy that is promised.
PROMISED = 1e-6
KINDS = [(2, "real"), (3, "complex"), (4, "real"), (4, "complex"), (5, "real")]


def random(shape, field, seed):
    generator = np.random.default_rng(seed)
    real = generator.normal(size=shape)
    return real + 1j * generator.normal(size=shape) if field == "complex" else real


def make(depth, field, d=3, a=1.7):
    system = flows.MatrixFactorization(d, field, a, random((d, d), field, 1), depth)
    return system, random((depth, d, d), field, 2)


def derived(system, state):
    """Loss and gradients from the symbolic expressions."""
    ws = symbols.layers(system.depth)
    values = {
        **dict(zip(ws, state, strict=True)),
        symbols.TARGET: np.array(system.target),
        symbols.STRENGTH: system.regularization,
    }
    loss = evaluate(symbols.fit_loss(ws) + symbols.balance_loss(ws), values)
    parts = zip(symbols.fit_gradient(ws), symbols.balance_gradient(ws), strict=True)
    gradients = [evaluate(f + b, values) for f, b in parts]
    return float(mp.re(loss)), np.array([g.tolist() for g in gradients], dtype=complex)


@pytest.mark.parametrize("depth, field", KINDS)
def test_loss_and_gradient_are_those_that_were_derived(depth, field):
    system, state = make(depth, field)
    loss, gradient = derived(system, state)
    assert abs(system.loss(state) - loss) < ROUNDING * loss
    error = system.gradient(state) - gradient
    assert np.abs(error).max() < ROUNDING * np.abs(gradient).max()
    other, _ = make(depth, field, a=1.8)
    assert np.abs(other.gradient(state) - gradient).max() > VISIBLE


def raw(x, shape):
    return plainly(make_raw, x, np.array([1.7]), shape)[0]


@pytest.mark.parametrize("depth, field", KINDS)
def test_residual_and_defects_move_as_the_layers_say(depth, field):
    system, state = make(depth, field, d=2)
    _, sound = system.reduce(state)
    shape = (depth, 2, int(field == "complex"))
    point, velocity = (chains.unpack(x, shape) for x in (sound.x, raw(sound.x, shape)))
    size_e, size_d = np.exp(-point.decay)
    fall_e, fall_d = velocity.decay
    residual = size_e * (velocity.residual - fall_e * point.residual)
    defects = size_d * (velocity.defects - fall_d * point.defects)
    expected = -chains.moved(point.layers, velocity.layers)
    assert np.abs(residual - expected).max() < ROUNDING * np.abs(expected).max()
    forth, back = (chains.defects(point.layers + s * STEP * velocity.layers) for s in (1, -1))
    difference = (forth - back) / (2 * STEP)
    assert np.abs(defects - difference).max() < DIFFERENCE * np.abs(difference).max()
    assert np.abs(defects + difference).max() > VISIBLE


def test_flow_in_sound_coordinates_is_minus_the_gradient():
    system, state = make(4, "complex")
    frame, sound = system.reduce(state)
    velocity = raw(sound.x, (4, 3, 1))
    moved = system.restore(frame, type(sound)(velocity))
    gradient = system.gradient(system.restore(frame, sound))
    assert np.abs(moved + gradient).max() < ROUNDING * np.abs(gradient).max()
    assert np.abs(system.restore(frame, sound) - state).max() < ROUNDING


@pytest.mark.parametrize("depth, field", KINDS)
def test_rates_of_the_monitors_are_derivatives_along_the_flow(depth, field):
    system, state = make(depth, field, d=2)
    frame, sound = system.reduce(state)
    shape = (depth, 2, int(field == "complex"))
    speed = raw(sound.x, shape)
    h = STEP / np.abs(speed).max()
    points = chains.unpack(np.array([sound.x, sound.x + h * speed, sound.x - h * speed]), shape)
    found = monitors(points, 1.7) | spectra(points, 1.7, frame.values, 1.0)
    rated = [name for name in found if f"{name}_dot" in found]
    assert len(rated) == 13
    for name in rated:
        value, rate = found[name], found[f"{name}_dot"][0]
        difference = (value[1] - value[2]) / (2 * h)
        scale = np.abs(difference).max() + np.abs(value[0]).max()
        # The rounding of a value of size one is divided by the step, and singular values curve.
        assert np.abs(rate - difference).max() < 1e-6 * scale, name
        assert np.abs(difference).max() > VISIBLE**3 * scale, name


def near_optimum(system, size, seed=4):
    root = np.stack([np.eye(system.d)] * system.depth)
    return root + size * random(root.shape, system.field, seed)


@pytest.mark.parametrize(
    "field, a, depth", [("real", 5.0, 2), ("complex", 1.0, 2), ("real", 1e4, 2)]
)
def test_losses_agree_with_fifty_digits_to_the_promised_accuracy(field, a, depth):
    system = flows.MatrixFactorization(2, field, a, depth=depth)
    start = near_optimum(system, 0.1)
    times = [1e-4, 4e-4, 1e-2, 1.0, 4.0, 11.0]
    exact = flows.integrate(system, start, 11.0, times, method="reference")
    run = flows.integrate(system, start, 11.0, times)
    for name in ("loss_fit", "loss_balance"):
        # The steps of the reference are right to 25 digits of the layers.
        known = exact[name] > 1e-30
        assert exact[name][known].min() < 1e-9
        assert exact[name].min() < 1e-18
        assert np.abs(run[name] / exact[name] - 1)[known].max() < PROMISED
    # From the layers alone the last losses are rounding.
    assert abs(system.loss(run.state[-1]) / run["loss"][-1] - 1) > PROMISED


def test_a_tight_run_agrees_with_fifty_digits_to_rounding():
    system = flows.MatrixFactorization(2, "real", 5.0, [[1.5, 0.3], [0.2, 1.0]], depth=2)
    start = system.initial(0.4, seed=0)
    times = [0.1, 1.0]
    exact, tight, loose = (
        flows.integrate(system, start, 1.0, times, method=method, rtol=rtol)
        for method, rtol in (("reference", 1e-10), ("auto", TIGHT), ("auto", 1e-6))
    )
    assert np.abs(tight.state - exact.state).max() < ROUNDING
    assert np.abs(loose.state - exact.state).max() > ROUNDING


def test_without_regularisation_every_defect_is_conserved():
    system = flows.MatrixFactorization(3, "real", 0.0)
    run = flows.integrate(system, system.initial(0.2, seed=1), 1e4)
    assert run.completed
    drift = chains.defects(run.state) - chains.defects(run.state[:1])
    # The drift that is promised at rtol 1e-10; measured from the layers, not from their defects.
    assert np.abs(drift).max() < 1e-9 * np.abs(chains.defects(run.state[0])).max()
    wrong = np.swapaxes(run.state, -1, -2)
    assert np.abs(chains.defects(wrong)[-1] - chains.defects(wrong)[0]).max() > VISIBLE


@pytest.mark.parametrize("field", ["real", "complex"])
def test_balanced_chain_follows_the_flow_of_two_matrices(field):
    system = flows.MatrixFactorization(2, field, 5.0)
    start = system.initial(0.5, seed=3, balanced=True)
    a, r = letters("A R")
    first = start[0]
    rest = np.linalg.solve(start[1], chains.adjoint(start[3] @ start[2]))
    one = np.eye(2)

    def two(t, y):
        x, z = y.view(first.dtype).reshape(2, 2, 2)
        gram, error = x @ x.conj().T, one - z.conj().T @ x @ x.conj().T @ x
        back = x @ error.conj().T @ z.conj().T @ z
        fields = gram @ z @ error, gram @ x @ error.conj().T + back - z @ error @ x.conj().T @ z
        return np.array(fields).ravel().view(float)

    values = {a: first, r: rest, symbols.TARGET: one}
    stated = [np.array(evaluate(f, values).tolist(), complex) for f in balanced_field(a, r)]
    y0 = np.array([first, rest]).ravel().view(float)
    assert np.abs(two(0, y0).view(first.dtype).reshape(2, 2, 2) - stated).max() < ROUNDING
    end = solve_ivp(two, (0, 4), y0, method="DOP853", rtol=1e-13, atol=1e-15).y[:, -1]
    x, z = end.view(first.dtype).reshape(2, 2, 2)
    run = flows.integrate(system, start, 4.0, rtol=1e-12)
    product = z.conj().T @ x @ x.conj().T @ x
    # The agreement that is promised.
    assert np.abs(chains.chain(run.state[-1]) - product).max() < 1e-9
    other = flows.integrate(system, system.initial(0.5, seed=3), 4.0)
    assert np.abs(chains.chain(other.state[-1]) - product).max() > PROMISED


@pytest.mark.parametrize("eps", [0.2, 1e-3])
def test_escape_from_the_saddle_takes_the_time_of_the_scalar_flow(eps):
    system = flows.MatrixFactorization(d=2, regularization=5.0, target=2 * np.eye(2))
    start = eps * np.stack([np.eye(2)] * 4)
    # ds/dt = s^3 (2 - s^4) for layers s I.
    half = quad(lambda s: 1 / (s**3 * (2 - s**4)), eps, 1.0, epsabs=0, epsrel=1e-13)[0]
    assert 0.2 < half * eps**2 < 0.3
    run = flows.integrate(system, start, half, [half])
    size = chains.chain(run.state[-1])[0, 0]
    # dW/dt = 4 at s = 1, so that W is wrong by four times the error of the time.
    assert abs(size - 1) < 4 * half * RUN
    late = flows.integrate(system, start, 1.01 * half)
    assert abs(chains.chain(late.state[-1])[0, 0] - 1) > VISIBLE


def test_turning_the_bases_of_target_and_start_turns_the_run():
    plain = flows.MatrixFactorization(3, "complex", 2.0, np.diag([2.0, 1.0, 0.5]))
    u, v = (np.linalg.qr(random((3, 3), "complex", seed))[0] for seed in (5, 6))
    turned = flows.MatrixFactorization(3, "complex", 2.0, u @ np.diag([2.0, 1.0, 0.5]) @ v.conj().T)
    start = plain.initial(0.4, seed=0)
    other = start.copy()
    other[0], other[-1] = start[0] @ v.conj().T, u @ start[-1]
    runs = [
        flows.integrate(s, x, 20.0, [1.0, 5.0, 20.0])
        for s, x in ((plain, start), (turned, other), (turned, start))
    ]
    for name in ("loss", "singular_values", "skew_error", "main_term"):
        assert np.allclose(runs[0][name], runs[1][name], rtol=PROMISED)
        assert not np.allclose(runs[0][name], runs[2][name], rtol=VISIBLE)


def test_rank_deficient_target_is_reached_at_an_algebraic_rate():
    system = flows.MatrixFactorization(2, "real", 10.0, np.diag([1.0, 0.0]))
    run = flows.integrate(system, system.initial(0.3, seed=1), 1e9)
    assert run.completed
    # ds/dt = -s^7 for the direction without a target: L = s^8/2 goes like t^(-4/3).
    assert abs(flows.local_exponent(run, "loss")[-1] + 4 / 3) < VISIBLE


@pytest.mark.parametrize("a", [0.0, 5.0, 1e2, 1e4])
def test_steps_hardly_depend_on_the_regularisation(a):
    system = flows.MatrixFactorization(3, "real", a)
    start = system.initial(0.2, seed=1, balanced=False)
    run = flows.integrate(system, start, 1e4)
    assert run.completed
    assert run.stats["steps"] < 7500  # 3600 to 5700 when written


def test_a_trial_step_that_leaves_the_doubles_warns_nobody():
    start = np.zeros((3, 2, 2))
    start[0, :, 0] = -2.071450852270206e-12, 2.071450852270206e-12
    start[1, :, 0] = -3.4945542382162943e-12, -2.7691231268846672e-12
    start[2] = [[1.968057063342571, 0.5378770040149806], [1.9680570637960881, 0.5378770039909689]]
    for strength in (0, 5):
        system = flows.MatrixFactorization(2, depth=3, regularization=strength)
        run = flows.integrate(system, start, 14506553381.0, rtol=4.3e-4)
        assert run.completed  # and warnings are errors


def test_layers_that_are_all_zero_stay_and_what_is_undefined_is_not_a_number():
    run = flows.integrate(flows.MatrixFactorization(2, depth=3), np.zeros((3, 2, 2)), 1e3)
    assert run.completed and (run.state == 0).all()
    assert run["loss"] == pytest.approx(1.0)  # |I|^2/2
    assert np.isnan(run.features["imbalance"]).all()


def test_iterated_linear_systems_give_the_run_of_factored_ones(monkeypatch):
    system = flows.MatrixFactorization(3, "real", 5.0)
    start = system.initial(0.3, seed=2)
    dense = flows.integrate(system, start, 30.0)
    monkeypatch.setattr("flows.systems.matrix_factorization.pieces.DENSE", 10)
    iterated = flows.integrate(system, start, 30.0)
    assert iterated.completed
    assert dense.stats["jacobian_evaluations"] > 0 == iterated.stats["jacobian_evaluations"]
    assert np.allclose(iterated["loss"], dense["loss"], rtol=PROMISED)
    assert not np.array_equal(iterated["loss"], dense["loss"])


@pytest.mark.parametrize("exponential", [True, False])
def test_clocks_around_a_plain_field_are_those_around_a_compiled_one(exponential):
    def raw_pair(x, weights, shape, out, jacobian, want_jacobian):
        out[0], out[1] = -x[0] * x[1], weights[0] * x[0] - x[1] ** 2
        if want_jacobian:
            jacobian[0], jacobian[1], jacobian[2], jacobian[3] = -x[1], -x[0], weights[0], -2 * x[1]

    def plain_pair(x, weights, shape, out, jacobian, want_jacobian):
        raw_pair(x, weights, shape, out, jacobian.reshape(-1), want_jacobian)

    found = []
    frozen = 800.0 if exponential else 3.0  # beyond the range of doubles, a component rests
    for wrapped in (wrap(raw_pair), wrap_plain(plain_pair)):
        out, jacobian = np.empty(2), np.zeros((2, 2))
        wrapped(
            1.3,
            np.array([0.7, 0.2]),
            exponential,
            1.5,
            np.array([0.5, frozen]),
            np.array([2.0]),
            np.array([0], dtype=np.int64),
            out,
            jacobian,
            True,
        )
        found.append((out, jacobian))
    for compiled, plain in zip(*found, strict=True):
        assert np.allclose(compiled, plain, rtol=ROUNDING)
        assert np.abs(compiled).max() > VISIBLE


def test_random_starts_have_the_laws_of_the_paper():
    for field, balanced in itertools.product(("real", "complex"), (False, True)):
        system = flows.MatrixFactorization(3, field)
        draws = np.array([system.initial(0.5, seed, balanced) for seed in range(2000)])
        # 18 000 entries: means within 4 standard errors (of the square: sqrt 2 of it).
        square = (np.abs(draws) ** 2).mean(axis=(0, 2, 3)) / 0.25
        assert np.abs(square - 1).max() < 0.1
        assert np.abs(draws.mean(axis=0)).max() < 0.06
        if field == "complex":
            assert np.abs((draws**2).mean(axis=0)).max() < 0.06
        defects = np.abs(chains.defects(draws)).max()
        assert (defects < 1e-14) == balanced
        signs = np.sign(np.linalg.det(draws).prod(axis=1).real)
        assert abs(signs.mean()) < 0.1
    assert np.array_equal(system.initial(0.5, 7), system.initial(0.5, 7))


def test_a_complex_run_comes_back_from_its_file(tmp_path):
    system = flows.MatrixFactorization(2, "complex", 3.0, [[1, 0.5j], [0, 2]])
    run = flows.integrate(system, system.initial(0.3, seed=1), 10.0)
    back = flows.load(run.save(tmp_path / "run.nc"))
    assert back.system == system
    assert np.array_equal(back.state, run.state)
    assert np.array_equal(back.start, run.start)
    assert np.iscomplexobj(back.start)
    assert run.to_json()["final_state"].keys() == {"real", "imag"}


GOOD = flows.MatrixFactorization(2)
BAD = {
    "d zero": (lambda: flows.MatrixFactorization(0), "d must be"),
    "d a fraction": (lambda: flows.MatrixFactorization(1.5), "d must be"),
    "one layer": (lambda: flows.MatrixFactorization(2, depth=1), "depth must be"),
    "too deep": (lambda: flows.MatrixFactorization(2, depth=99), "depth must be"),
    "field": (lambda: flows.MatrixFactorization(2, "quaternion"), "field must be"),
    "negative": (lambda: flows.MatrixFactorization(2, regularization=-1), "regularization"),
    "nan": (lambda: flows.MatrixFactorization(2, regularization=np.nan), "regularization"),
    "text": (lambda: flows.MatrixFactorization(2, regularization="5"), "regularization"),
    "target size": (lambda: flows.MatrixFactorization(2, target=np.eye(3)), "target must have"),
    "target complex": (lambda: flows.MatrixFactorization(2, target=1j * np.eye(2)), "complex"),
    "target nan": (lambda: flows.MatrixFactorization(2, target=[[1, np.nan], [0, 1]]), "finite"),
    "start size": (lambda: GOOD.loss(np.ones((3, 2, 2))), "start must have"),
    "start not square": (lambda: GOOD.loss(np.ones((4, 2, 3))), "start must have"),
    "start ragged": (lambda: GOOD.loss([[1, 2], [3]]), "rows differ"),
    "start complex": (lambda: GOOD.loss(np.ones((4, 2, 2), complex)), "complex"),
    "start text": (lambda: GOOD.loss(np.full((4, 2, 2), "a")), "numbers"),
    "start nan": (lambda: GOOD.loss(np.full((4, 2, 2), np.nan)), "finite"),
    "start huge": (lambda: GOOD.loss(np.full((4, 2, 2), 1e20)), "overflows"),
    "scale": (lambda: GOOD.initial(-1), "scale"),
    "seed": (lambda: GOOD.initial(1, -1), "seed"),
    "descent": (lambda: flows.descend(GOOD, GOOD.initial()), "linear"),
}


@pytest.mark.parametrize("call, word", BAD.values(), ids=BAD)
def test_bad_input_is_refused_with_one_clear_line(call, word):
    with pytest.raises(InputError, match=word) as refused:
        call()
    assert "\n" not in str(refused.value)


def test_the_error_of_the_loss_alone_decomposes_no_layer(monkeypatch):
    system = flows.MatrixFactorization(3, regularization=5.0)
    run = flows.integrate(system, system.initial(0.3, seed=0), 10.0)
    asked, svd = [], np.linalg.svd
    monkeypatch.setattr(
        np.linalg, "svd", lambda x, *a, **k: asked.append(x.ndim) or svd(x, *a, **k)
    )
    assert (run.feature_errors["loss"][1:] > 0).all()
    assert set(asked) <= {2}  # the target
    assert (run.feature_errors["singular_value"][1:] > 0).all() and max(asked) > 2
    assert all(len(run.feature_errors[name]) == len(run.t) for name in SENSITIVE)


def test_observables_are_the_same_bits_however_many_states_are_measured_at_once(monkeypatch):
    from flows.runs import trajectory

    system = flows.MatrixFactorization(3)
    start = system.initial(0.3, 0)
    together = flows.integrate(system, start, 1.0)
    states = []
    measure = flows.MatrixFactorization.features

    def counted(system, frame, part):
        states.append(len(part.x))
        return measure(system, frame, part)

    monkeypatch.setattr(flows.MatrixFactorization, "features", counted)
    assert together["loss"].shape == together.t.shape
    assert states == [len(together.t)]  # not one by one: a state is small
    monkeypatch.setattr(trajectory, "CHUNK", 1)
    alone = flows.integrate(system, start, 1.0)
    for name in ("loss", "gradient_norm", "balance_defect"):
        assert (alone[name] == together[name]).all()
    assert states[1:] == [1] * len(alone.t)


def large(kind):
    """Layers of which one, or all, shrink far below what they were."""
    system = flows.MatrixFactorization(2)
    start = system.initial(0.3, 0)
    if kind == "uneven":
        start[0] *= 1e4
        start[1] /= 1e4
    return system, start if kind == "uneven" else system.initial(10.0, 0)


def plain_loss(system, start, t):
    """Loss of the layers themselves, by a method that knows nothing of residual or defects."""

    def field(_, x):
        return -system.gradient(x.reshape(start.shape)).ravel()

    found = solve_ivp(field, (0, t), start.ravel(), method="Radau", rtol=1e-11, atol=1e-14)
    return system.loss(found.y[:, -1].reshape(start.shape))


@pytest.mark.parametrize("kind", ["uneven", "long"])
def test_layers_that_shrink_far_are_still_those_of_their_residual_and_defects(kind, monkeypatch):
    system, start = large(kind)
    truth = plain_loss(system, start, 1.0)

    def off(**options):
        run = flows.integrate(system, start, 1.0, [1.0], **options)
        return abs(run["loss"][-1] / truth - 1), run.errors("loss")[-1]

    for options in ({}, {"rtol": 1e-8, "method": "LSODA"}):
        wrong, stated = off(**options)
        assert wrong < stated
    several = flows.integrate_ensemble(system, np.array([start, start]), 1.0, rtol=1e-8)
    assert several["loss"][:, -1] == pytest.approx(truth, rel=1e-5)
    # Control: followed as variables of their own from the start on they are not.
    monkeypatch.setattr(pieces, "SHRUNK", 1e300)
    wrong, stated = off(rtol=1e-8)
    assert wrong > stated


def test_long_layers_without_defects_are_as_near_to_their_target_as_shorter_ones():
    system = flows.MatrixFactorization(2)
    run = flows.integrate(system, np.stack([3.0 * np.eye(2)] * 4), 10.0, rtol=1e-8)
    # All layers are s times the identity: ds/dt = (1 - s^4) s^3 each, and the loss (1 - s^4)^2.
    found = solve_ivp(lambda _, s: (1 - s**4) * s**3, (0, 1.0), [3.0], rtol=1e-12, atol=1e-14)
    truth = (1 - found.y[0, -1] ** 4) ** 2
    at = flows.integrate(system, run.start, 1.0, [1.0], rtol=1e-8)
    assert at["loss"][-1] == pytest.approx(truth, rel=1e-6) and run.completed


def test_ordinary_layers_are_followed_in_one_piece():
    for system in (flows.MatrixFactorization(3), flows.MatrixFactorization(3, field="complex")):
        run = flows.integrate(system, system.initial(0.5, 0), 10.0)
        assert run.stats["pieces"] == 1
