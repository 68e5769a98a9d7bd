"""What an own loss says where it is not known: NaN with a reason, never 0, and errors that hold."""

import functools
from dataclasses import replace

import numpy as np
import pytest
import sympy as sp
from scipy.special import erf

import flows
from flows.core.errors import InputError
from potentials import Comparison, Source, UpperBound
from potentials.notation import symbol
from symbolic import Expectation

HERE = Source("a test", 2026, "", "here", "inequality")
A, X = sp.Symbol("a"), sp.Symbol("x")
METHODS = ["auto", "BDF", "CVODE", "Radau"]
# Radau's order is low, and its many steps are slow here.
COARSE = 1e-7
# Quadrature to 1e-11, and nothing that adds up at a minimum.
AVERAGED = 1e-10
SOFTPLUS = Expectation(sp.log(1 + sp.exp(A * X)), X)
TANH = Expectation((sp.tanh(A * X) - X**2) ** 2, X)
ERF = Expectation((sp.erf(A * X) - sp.erf(2 * X)) ** 2, X)


@pytest.mark.parametrize("size", [1e-20, 1e-12, 1e-9])
def test_a_loss_whose_rounding_hides_in_a_sum_is_known_in_balls_and_not_zero_in_doubles(size):
    hidden = flows.OwnSystem("hidden", [A], (1 + A) ** 2 - 2 * (1 + A) + 1)
    run = flows.integrate(hidden, [size], t_end=1.0)
    assert run["loss"] == pytest.approx(size**2 * np.exp(-4 * run.t), rel=1e-9, abs=0)
    doubles = replace(hidden, arithmetic="doubles")  # a unit of time takes 100 000 steps in noise
    assert np.isnan(flows.integrate(doubles, [size], t_end=0.01)["loss"]).all()


def test_an_exact_zero_is_a_zero():
    run = flows.integrate(flows.OwnSystem("rest", [A], A**2 / 2, {"three": A + 3}), [0.0], 1.0)
    assert not run["loss"].any() and not run["gradient_norm"].any()
    assert (run["three"] == 3.0).all()


def bound(constant):
    """`L <= constant exp(-4 t)`, at every output time."""
    right = sp.exp(-4 * symbol("t"))
    comparison = Comparison(symbol("loss"), "<=", right, sp.Float(constant))
    return UpperBound(
        id="fast", statement="L <= C exp(-4 t)", source=HERE, conclusions=(comparison,)
    )


def rotated(rates, start, optimum):
    """A quadratic loss in coordinates of its own, its start, and its loss as a function of time."""
    n = len(rates)
    axes, _ = np.linalg.qr(np.random.default_rng(0).normal(size=(n, n)))
    w = sp.MatrixSymbol("W", n, 1)
    gap = [w[i, 0] - optimum[i] for i in range(n)]
    squares = [sum(axes[i, k] * gap[i] for i in range(n)) ** 2 * rates[k] for k in range(n)]
    first = axes.T @ (np.array(start) - optimum)

    def exact(t):
        decayed = first * np.exp(-np.multiply.outer(t, rates))
        return (decayed**2) @ rates / 2

    return flows.OwnSystem("rotated", [w], sum(squares) / 2), start, exact


#: `exp(-4 t)` is below the least double from `t = 186` on.
VANISHED = 300.0
FLOWS = {
    "a square": (flows.OwnSystem("s", [A], A**2), [1.0], lambda t: np.exp(-4 * t), VANISHED),
    "a square elsewhere": (
        flows.OwnSystem("s", [A], (A - 1) ** 2),
        [2.0],
        lambda t: np.exp(-4 * t),
        VANISHED,
    ),
    "a fourth power": (
        flows.OwnSystem("s", [A], (A - 1) ** 4 / 4),
        [2.0],
        lambda t: (1 + 2 * t) ** -2 / 4,
        1e9,
    ),
    "a valley": (*rotated([1e4, 1.0, 1e-3], [1.0, 2.0, 3.0], [1.0, 1.0, 0.0]), 1e5),
}


# At an optimum of 1 states as doubles round the loss away: the harder one of the two squares.
@pytest.mark.parametrize(
    ("name", "method", "rtol"),
    [
        *((name, "auto", rtol) for name in FLOWS for rtol in (1e-6, 1e-10)),
        *(("a valley", method, 1e-8) for method in METHODS[1:]),
        *(("a square elsewhere", method, 1e-8) for method in ("CVODE", "Radau")),
    ],
)
def test_a_known_loss_is_right_to_its_error_and_another_one_is_nan(name, method, rtol):
    system, start, exact, t_end = FLOWS[name]
    rtol = max(rtol, COARSE) if method == "Radau" else rtol
    run = flows.integrate(system, start, t_end=t_end, method=method, rtol=rtol)
    known = np.isfinite(run["loss"])
    truth = exact(run.t)
    wrong = np.abs(run["loss"] - truth)[known]
    assert run.completed
    assert (wrong <= (run.errors() * run["loss"])[known]).all()
    # The error is no excuse: half of the decades of the loss that steps resolve are known.
    assert known[truth > rtol * truth[0]].all()
    # Control: the loss of the states as doubles, which an optimum at 1 rounds away.
    plain = np.array([system.loss(y) for y in run.state])
    assert name != "a square elsewhere" or (np.abs(plain - truth) > plain / 2)[known].any()
    # The last time is beyond the smallest double where the loss falls so fast.
    told = "the loss is NaN where it is not known" in run.message
    assert (told and not known[-1]) == name.startswith("a square")


@pytest.mark.parametrize(
    ("method", "optimum", "t_end"), [("auto", 0, 1e4), *((method, 1, 100.0) for method in METHODS)]
)
def test_a_true_bound_is_not_violated_by_noise_and_a_false_one_is(method, optimum, t_end):
    system = flows.OwnSystem("square", [A], (A - optimum) ** 2, claims=[bound(2)])
    rtol = COARSE if method == "Radau" else 1e-8
    run = flows.integrate(system, [1.0 + optimum], t_end=t_end, method=method, rtol=rtol)
    assert flows.check(run)[0].verdict == "HOLDS"
    assert flows.check(run, bound(0.999))[0].verdict == "VIOLATED"


def test_a_coarse_absolute_tolerance_of_the_request_is_part_of_the_error():
    system = flows.OwnSystem("square", [A], A**2)
    fine, coarse = (flows.integrate(system, [1.0], 10.0, atol=a) for a in (1e-12, 1e-5))
    assert (fine.errors() < 1e-3 * coarse.errors()).all()


@pytest.mark.parametrize(("loss", "least"), [(SOFTPLUS, np.log(2)), (TANH, 3.0)])
def test_a_minimum_that_is_not_zero_keeps_its_loss_and_loses_its_gradient(loss, least):
    run = flows.integrate(flows.OwnSystem("averaged", [A], loss), [1.0], t_end=1e4)
    assert run.completed
    assert run["loss"][-1] == pytest.approx(least, rel=AVERAGED)
    assert np.isnan(run["gradient_norm"][-1])
    assert np.isnan(flows.local_exponent(run)[-1])
    assert "its gradient is NaN where it is not known (first at" in run.message
    assert "the loss" not in run.message
    assert run.features["expectation_error"][-1] < AVERAGED


def test_a_negative_loss_has_its_error_too():
    system = flows.OwnSystem("averaged", [A], -Expectation(sp.exp(-((A - X) ** 2)), X))
    run = flows.integrate(system, [1.0], t_end=1e4)
    assert run.completed
    assert run["loss"][-1] == pytest.approx(-1 / np.sqrt(3), rel=AVERAGED)
    assert 0 < run.features["expectation_error"][-1] < AVERAGED


def test_an_ensemble_does_not_count_what_is_not_known_as_converged():
    many = flows.integrate_ensemble(
        flows.OwnSystem("averaged", [A], SOFTPLUS), flows.Law(size=2, scale=1.0), t_end=1e3
    )
    assert many.fraction(lambda c: c["loss"][:, -1] < 0.1).count == 0
    assert many.fraction(lambda c: c["loss"][:, -1] < 0.7).count == 2


def test_a_sum_of_squares_that_has_lost_its_digits_is_nan_and_keeps_those_it_has():
    w = sp.MatrixSymbol("W", 3, 2)
    gap = w.as_explicit().T * w.as_explicit() - sp.diag(1, 0)
    loss = sp.expand((gap.T * gap).trace()) / 4  # written in traces it keeps them
    system = flows.OwnSystem("squares", [w], loss, arithmetic="doubles")
    run = flows.integrate(system, system.initial(0.3, seed=1), t_end=1e8)
    assert (run["loss"][np.isfinite(run["loss"])] > 0).all()
    assert np.isnan(run["loss"][-1])
    assert np.isfinite(run["loss"][(run.t > 1e3) & (run.t < 1e6)]).all()
    exponents = flows.local_exponent(run)
    # What the last step leaves across the valley is as large as the gradient earlier than that.
    assert np.isfinite(exponents[(run.t > 1e3) & (run.t < 1e5)]).all()
    assert exponents[(run.t > 1e3) & np.isfinite(exponents)] == pytest.approx(-2, abs=0.02)
    known = np.isfinite(run["gradient_norm"]) & np.isfinite(run["loss"])
    assert np.isfinite(exponents[known]).all()


def test_two_tanh_students_of_two_teachers_reach_rounding_and_do_not_fail():
    w = sp.MatrixSymbol("w", 2, 1)
    student = sp.tanh(w[0, 0] * X) + sp.tanh(w[1, 0] * X)
    teacher = sp.tanh(X) + sp.tanh(X / 2)
    system = flows.OwnSystem("committee", [w], Expectation((student - teacher) ** 2, X) / 2)
    run = flows.integrate(replace(system, arithmetic="doubles"), [1.2, 0.3], t_end=1e6)
    assert run.status == "completed"
    assert run.state[-1] == pytest.approx([1.0, 0.5], abs=1e-6)
    assert np.isnan(run["loss"][-1])
    # Control: what quadrature cannot resolve still fails.
    peak = Expectation(1 / (sp.Rational(1, 10**14) + (X - A) ** 2), X)
    assert flows.integrate(flows.OwnSystem("sharp", [A], peak), [0.3], 1.0).status == "field_failed"


def test_an_averaged_loss_is_observed_at_no_times():
    system = flows.OwnSystem("averaged", [A], SOFTPLUS, {"size": A**2})
    frame, state = system.reduce(np.array([1.0]))
    piece = system.piece(frame, state, 0.0)
    assert piece.at(np.zeros(0), np.zeros((0, 1))).seen.shape == (0, 7)


def test_erf_students_have_their_closed_form():
    # E erf(a x) erf(b x) = 2/pi asin(2 a b / sqrt((1 + 2 a^2) (1 + 2 b^2))), Saad & Solla 1995.
    def both(a, b):
        return 2 / np.pi * np.arcsin(2 * a * b / np.sqrt((1 + 2 * a**2) * (1 + 2 * b**2)))

    system = flows.OwnSystem("erf", [A], ERF)
    exact = both(0.4, 0.4) - 2 * both(0.4, 2) + both(2, 2)
    assert system.loss([0.4]) == pytest.approx(exact, rel=AVERAGED)
    plain = flows.OwnSystem("plain", [A], sp.erf(A) ** 2 + sp.erfc(A))
    states = np.array([[0.3], [-2.0]])
    losses, _ = plain._loss.at(states)
    assert losses == pytest.approx(erf(states[:, 0]) ** 2 + 1 - erf(states[:, 0]), rel=1e-14)
    run = flows.integrate(system, [1.0], t_end=100.0)
    assert run.completed
    assert run.state[-1] == pytest.approx([2.0], rel=0.1)


@functools.cache
def saved_run():
    return flows.integrate(flows.OwnSystem("square", [A], A**2), [1.0], t_end=300.0)


def test_a_file_knows_what_is_not_known_also_of_new_potentials(tmp_path):
    path = saved_run().save(tmp_path / "run.nc")
    more = flows.OwnSystem("square", [A], A**2, {"place": A}, [bound(2)])
    again = flows.load(path, more)
    assert np.array_equal(again["loss"], saved_run()["loss"], equal_nan=True)
    assert np.isnan(again["place"][-1])
    assert again["place"][1] == pytest.approx(np.exp(-2 * again.t[1]), rel=1e-8)
    assert flows.check(again)[0].verdict == "HOLDS"


def test_a_file_from_before_errors_were_kept_is_read(tmp_path):
    import xarray

    path, before = saved_run().save(tmp_path / "run.nc"), tmp_path / "before.nc"
    with xarray.open_dataset(path, engine="h5netcdf") as data:
        data = data.load().drop_vars(["sound_error", "sound_time"])
    del data.attrs["digest"]
    data.to_netcdf(before, engine="h5netcdf")
    again = flows.load(before)
    assert np.array_equal(again["loss"], saved_run()["loss"], equal_nan=True)
    # Control: what has no default is missed.
    data.drop_vars("sound_x").to_netcdf(before, engine="h5netcdf")
    with pytest.raises(InputError, match="damaged"):
        flows.load(before)


@pytest.mark.parametrize(
    ("expression", "message"),
    [
        (sp.gamma(A), "got gamma"),
        (sp.polygamma(0, A), "got polygamma"),
        (sp.LambertW(A), "got LambertW"),
        (sp.besselj(0, A), "got besselj"),
        (sp.factorial(A), "got factorial"),
        (Expectation(sp.gamma(A * X), X), "got gamma"),
        (10**400 * A**2, "size 1.00E\\+400"),
        (A**2 / 10**400, "size 1.00E-400"),
        (A**2 * sp.exp(1000), "size 1.97E\\+434"),
    ],
)
def test_what_doubles_cannot_compute_is_refused_when_it_is_given(expression, message):
    for arguments in ((expression,), (A**2, {"p": expression})):
        if len(arguments) == 2 and expression.has(Expectation):
            continue
        with pytest.raises(InputError, match=message) as told:
            flows.OwnSystem("s", [A], *arguments)
        assert "\n" not in str(told.value)
    # Control: what is large but a double, and functions that are known.
    flows.OwnSystem("s", [A], 10**200 * A**2 + sp.erf(A) + sp.cosh(A))


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (([("p", A), ("p", A**2)],), "potentials must have names of their own, got p, p"),
        (((), (), (), [("n", 1), ("n", 2)]), "constants must have names of their own"),
    ],
)
def test_two_things_of_one_name_are_refused(arguments, message):
    with pytest.raises(InputError, match=message):
        flows.OwnSystem("s", [A], A**2, *arguments)
