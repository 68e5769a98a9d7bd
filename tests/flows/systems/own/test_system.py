"""A loss of your own: derivatives, flow, potentials and claims against oracles and built-ins."""

import functools
import json
import pickle
from dataclasses import replace

import numpy as np
import pytest
import sympy as sp
from mpmath import mp

import flows
from flows.core.errors import InputError
from flows.systems.own.recorded import RecordedSystem
from potentials import Comparison, Conserved, Inequality, LowerBound, Source, UpperBound
from potentials.claim import EXPONENT
from potentials.notation import symbol
from symbolic import Expectation

HERE = Source("a test", 2026, "", "here", "inequality")
# Rounding of a few hundred operations in doubles.
ROUNDING = 1e-12
# Two runs at rtol 1e-10 (flows.integrate promises 1e-8 for each).
FLOWS = 2e-8
N, D = 3, 3
W, X = sp.MatrixSymbol("W", N, D), sp.MatrixSymbol("x", D, 1)
TEACHER = sp.Matrix([1, 0, 0])
SQUARES = Expectation(((X.T * W.T * W * X)[0, 0] - (TEACHER.T * X)[0, 0] ** 2) ** 2, X) / 2
TRANSVERSE = sp.Add(*(W[i, j] ** 2 for i in range(N) for j in range(1, D)))
t, loss, transverse = symbol("t"), symbol("loss"), symbol("transverse")


def claims():
    """Four statements about quadratic neurons, true of a generic start; r = min(n - 1, d - 1)."""
    slow = Inequality(
        id="transverse_slow",
        source=HERE,
        statement="dU/dt >= -11 U^2 near the optimum, 32/3 at it",
        conclusions=(
            Comparison(
                -symbol("transverse_dot"),
                "<=",
                transverse**EXPONENT,
                sp.Integer(11),
                (t, 1 - 100 * transverse),
            ),
        ),
        exponent=sp.Integer(2),
    )
    upper = UpperBound(
        id="loss_upper",
        statement="L <= C t^-2",
        source=HERE,
        exponent=sp.Integer(2),
        conclusions=(Comparison(loss, "<=", t**-EXPONENT, None, (t - 1,)),),
    )
    lower = LowerBound(
        id="loss_lower",
        statement="L >= c t^-2",
        source=HERE,
        exponent=sp.Integer(2),
        conclusions=(Comparison(loss, ">=", t**-EXPONENT, None, (t - 1,)),),
    )
    ordered = Inequality(
        id="loss_vs_transverse",
        statement="L >= U^2/8 near the optimum",
        source=HERE,
        conclusions=(
            Comparison(
                loss, ">=", transverse**EXPONENT, sp.Rational(1, 8), (t, 1 - 100 * transverse)
            ),
        ),
        exponent=sp.Integer(2),
    )
    return (slow, upper, lower, ordered)


@functools.cache
def neuron():
    return flows.OwnSystem("quadratic_neuron", [W], SQUARES, {"transverse": TRANSVERSE}, claims())


@functools.cache
def run():
    return flows.integrate(neuron(), neuron().initial(0.3, seed=1), t_end=1e6)


def exact_loss(y):
    """Loss of quadratic neurons by Isserlis' theorem, written by hand in any arithmetic."""
    rows = [y[D * i : D * i + D] for i in range(N)]
    m = [[sum(r[j] * r[k] for r in rows) - (j == k == 0) for k in range(D)] for j in range(D)]
    trace = sum(m[j][j] for j in range(D))
    return sum(x * x for row in m for x in row) + trace * trace / 2


def test_gradient_and_hessian_are_those_of_differences_with_fifty_digits():
    y = neuron().initial(0.7, seed=3)
    with mp.workdps(50):
        h = mp.mpf(10) ** -12
        exact = [mp.mpf(x) for x in y]

        def shifted(*moves):
            moved = list(exact)
            for k, step in moves:
                moved[k] += step * h
            return exact_loss(moved)

        size = range(len(y))
        slope = [float((shifted((k, 1)) - shifted((k, -1))) / (2 * h)) for k in size]
        second = [
            [
                float(
                    (
                        shifted((j, 1), (k, 1))
                        - shifted((j, 1), (k, -1))
                        - shifted((j, -1), (k, 1))
                        + shifted((j, -1), (k, -1))
                    )
                    / (4 * h**2)
                )
                for k in size
            ]
            for j in size
        ]
    assert neuron().loss(y) == pytest.approx(float(exact_loss(exact)), rel=ROUNDING)
    assert neuron().gradient(y) == pytest.approx(np.array(slope), rel=ROUNDING, abs=ROUNDING)
    assert neuron().hessian(y) == pytest.approx(np.array(second), rel=ROUNDING, abs=ROUNDING)


def test_an_averaged_loss_has_the_derivatives_of_automatic_differentiation():
    jax = pytest.importorskip("jax")
    a, b, x = sp.Symbol("a"), sp.MatrixSymbol("b", 2, 1), sp.MatrixSymbol("x", 2, 1)
    inner = (b.T * x)[0, 0]
    soft = Expectation(sp.log(1 + sp.exp(a + inner)), x)
    system = flows.OwnSystem("soft", [a, b], a**2 / 2 + soft)
    y = np.array([0.3, 0.8, -0.5])
    nodes, weights = np.polynomial.hermite_e.hermegauss(60)
    u, v = np.meshgrid(nodes, nodes)
    mass = np.outer(weights, weights) / weights.sum() ** 2
    with jax.enable_x64(True):

        def f(p):
            return p[0] ** 2 / 2 + (mass * jax.nn.softplus(p[0] + p[1] * u + p[2] * v)).sum()

        value, slope, second = f(y), jax.grad(f)(y), jax.hessian(f)(y)
        assert system.loss(y) == pytest.approx(float(value), rel=1e-10)
        assert system.gradient(y) == pytest.approx(np.asarray(slope), abs=1e-10)
        assert system.hessian(y) == pytest.approx(np.asarray(second), abs=1e-10)
    assert system.expectation(y).error < 1e-11


def chain(regularization):
    """Depth-2 factorisation, in blocks."""
    v, w = sp.MatrixSymbol("V", 2, 2), sp.MatrixSymbol("U", 2, 2)
    gap, defect = sp.diag(2, 1) - w * v, v * v.T - w.T * w
    fit, balance = (sp.trace(m.T * m) for m in (gap, defect))
    expression = fit / 2 + sp.Rational(regularization) / 4 * balance
    conserved = Conserved(
        id="balance",
        statement="the balance is conserved",
        source=HERE,
        conclusions=(Comparison(symbol("defect"), "==", symbol("defect_0"), sp.S.One),),
    )
    return flows.OwnSystem(
        "chain", [v, w], expression, {"fit": fit / 2, "defect": balance}, [conserved]
    )


@pytest.mark.parametrize("regularization", [0, 5])
def test_a_factorisation_rebuilt_is_the_built_in_one(regularization):
    own = chain(regularization)
    built = flows.MatrixFactorization(
        d=2, depth=2, target=np.diag([2.0, 1.0]), regularization=regularization
    )
    start = built.initial(0.4, seed=2)
    assert own.loss(start.ravel()) == pytest.approx(built.loss(start), rel=ROUNDING)
    assert own.gradient(start.ravel()) == pytest.approx(built.gradient(start).ravel(), abs=ROUNDING)
    assert own.hessian(start.ravel()) == pytest.approx(built.hessian(start), abs=ROUNDING)
    mine, theirs = (
        flows.integrate(s, x, t_end=3.0) for s, x in ((own, start.ravel()), (built, start))
    )
    assert mine["loss"] == pytest.approx(theirs["loss"], rel=FLOWS)
    assert mine["fit"] == pytest.approx(theirs["loss_fit"], rel=FLOWS)
    assert mine.state == pytest.approx(theirs.state.reshape(len(theirs.t), -1), abs=FLOWS)
    scaled = regularization / 4 * mine.potential("defect")[1]
    assert scaled == pytest.approx(theirs.potential("loss_balance")[1], abs=FLOWS)


def test_a_conserved_quantity_holds_and_with_a_balance_term_is_violated():
    start = chain(0).initial(0.4, seed=2)
    verdicts = [flows.check(flows.integrate(chain(a), start, t_end=3.0))[0] for a in (0, 5)]
    assert [v.verdict for v in verdicts] == ["HOLDS", "VIOLATED"]


@pytest.mark.parametrize(("n", "d"), [(2, 1), (2, 2)])
def test_a_mixture_rebuilt_is_the_built_in_one(n, d):
    mu, x = sp.MatrixSymbol("mu", n, d), sp.MatrixSymbol("x", d, 1)
    tilt = [sum(mu[i, j] * x[j, 0] - mu[i, j] ** 2 / 2 for j in range(d)) for i in range(n)]
    own = flows.OwnSystem("mixture", [mu], Expectation(-sp.log(sum(map(sp.exp, tilt)) / n), x))
    built = flows.GMMEM(n=n, d=d)
    start = built.initial(1.0, seed=4)
    found = own.expectation(start.ravel())
    assert found.error < 1e-11
    assert found.loss == pytest.approx(built.loss(start), rel=1e-10)
    assert found.gradient == pytest.approx(built.gradient(start).ravel(), abs=1e-11)
    assert own.hessian(start.ravel()) == pytest.approx(built.hessian(start), abs=1e-10)
    mine = flows.integrate(own, start.ravel(), t_end=100.0, rtol=1e-8)
    theirs = flows.integrate(built, start, t_end=100.0)
    assert mine.completed
    # A step of 1e-8, a hundredfold for what adds up.
    assert mine["loss"] == pytest.approx(theirs["loss"], rel=1e-6)
    assert mine.features["expectation_error"].max() < 1e-8


def test_the_loss_of_quadratic_neurons_falls_like_the_derived_constant_over_t_squared():
    # r = min(n - 1, d - 1) equal modes b/t with b = 1/(8 (1 + r/3)): t^2 L -> 3 r/(64 (3 + r)).
    r = 2
    assert run().completed
    assert run().t[-1] ** 2 * run()["loss"][-1] == pytest.approx(3 * r / (64 * (3 + r)), rel=2e-3)
    assert flows.local_exponent(run())[-1] == pytest.approx(-2, abs=1e-3)
    assert flows.local_exponent(run(), "transverse")[-1] == pytest.approx(-1, abs=1e-3)


def test_one_quadratic_neuron_converges_exponentially():
    w, x = sp.MatrixSymbol("w", 1, 2), sp.MatrixSymbol("x", 2, 1)
    single = flows.OwnSystem("one", [w], Expectation(((w * x)[0, 0] ** 2 - x[0, 0] ** 2) ** 2, x))
    done = flows.integrate(single, [0.5, 0.5], t_end=100.0)
    assert done["loss"][done.t < 3][-1] < 1e-8
    assert np.isnan(done["loss"][-1])  # below what the steps and the parameters resolve
    assert "the loss is NaN where it is not known" in done.message


def test_every_claim_holds():
    assert {v.claim: str(v.verdict) for v in flows.check(run())} == {
        c.id: "HOLDS" for c in claims()
    }


@pytest.mark.parametrize(
    ("claim", "change"),
    [
        ("transverse_slow", {"sign": -1}),
        ("transverse_slow", {"exponent": sp.Integer(3)}),
        ("loss_upper", {"exponent": sp.Integer(3)}),
        ("loss_lower", {"exponent": sp.Integer(1)}),
        ("loss_vs_transverse", {"sign": -1}),
        ("loss_vs_transverse", {"exponent": sp.Integer(1)}),
    ],
)
def test_a_broken_claim_is_violated(claim, change):
    broken = next(replace(c, **change) for c in claims() if c.id == claim)
    (verdict,) = flows.check(run(), broken)
    assert verdict.verdict == "VIOLATED"


def test_lie_derivatives_are_the_slopes_of_the_potential():
    late = run().t > 1e3
    slopes = np.gradient(np.log(run()["transverse"][late]), np.log(run().t[late]))
    # Central differences of a power law with slow corrections, ten points a decade.
    exponents = flows.local_exponent(run(), "transverse")[late]
    assert exponents[1:-1] == pytest.approx(slopes[1:-1], abs=1e-3)


def test_the_reference_with_fifty_digits_agrees():
    start = chain(5).initial(0.3, seed=1)
    exact = flows.integrate(chain(5), start, t_end=1.0, method="reference")
    fast = flows.integrate(chain(5), start, t_end=1.0)
    assert fast["loss"] == pytest.approx(exact["loss"], rel=FLOWS)


def test_order_of_blocks_does_not_matter():
    a, b = sp.MatrixSymbol("a", 2, 1), sp.Symbol("b")
    expression = ((a.T * a)[0, 0] - 1) ** 2 + (b - a[0, 0]) ** 2
    one = flows.OwnSystem("one", [a, b], expression)
    two = flows.OwnSystem("two", [b, a], expression)
    start = {"a": [0.3, -0.4], "b": 2.0}
    runs = [flows.integrate(s, start, t_end=50.0) for s in (one, two)]
    known = np.maximum(*(r.errors() for r in runs))
    gap = np.abs(runs[0]["loss"] - runs[1]["loss"]) / runs[0]["loss"]
    assert (gap <= 2 * known)[np.isfinite(gap)].all()
    assert np.isfinite(gap[runs[0].t < 5]).all()
    states = [s.unpack(r.state) for s, r in zip((one, two), runs, strict=True)]
    assert states[0]["a"] == pytest.approx(states[1]["a"], abs=FLOWS)


def test_blocks_with_similar_names_are_told_apart():
    a, b, c = sp.MatrixSymbol("a", 1, 2), sp.Symbol("a_0_1"), sp.MatrixSymbol("a_0", 2, 1)
    system = flows.OwnSystem("names", [a, b, c], a[0, 1] ** 2 + 10 * b**2 + 100 * c[1, 0] ** 2)
    assert system.loss({"a": [[0, 1]], "a_0_1": 2, "a_0": [0, 3]}) == 1 + 40 + 900


def test_a_multiple_of_the_loss_is_another_clock():
    twice = flows.OwnSystem("twice", [W], 2 * SQUARES, {"transverse": TRANSVERSE})
    start, times = neuron().initial(0.3, seed=1), np.geomspace(0.1, 1e4, 20)
    fast = flows.integrate(twice, start, t_end=1e4, t_eval=times)
    slow = flows.integrate(neuron(), start, t_end=2e4, t_eval=2 * times)
    assert fast["loss"] == pytest.approx(2 * slow["loss"], rel=FLOWS)
    assert fast["transverse"] == pytest.approx(slow["transverse"], rel=FLOWS)


def test_rotated_neurons_have_the_same_loss():
    y = neuron().initial(0.5, seed=0).reshape(N, D)
    q, _ = np.linalg.qr(np.random.default_rng(1).normal(size=(N, N)))
    assert neuron().loss((q @ y).ravel()) == pytest.approx(neuron().loss(y.ravel()), rel=ROUNDING)


def test_slow_blocks_scaled_by_their_decay_give_the_same_flow():
    a, b = sp.MatrixSymbol("a", 2, 1), sp.MatrixSymbol("b", 2, 1)
    gap, cross, square = (a.T * a)[0, 0] - 1, (a.T * b)[0, 0], (b.T * b)[0, 0]
    expression = gap**2 + 2 * cross**2 + square**2 + (gap + square) ** 2 / 2
    plain = flows.OwnSystem("plain", [a, b], expression)
    with pytest.warns(DeprecationWarning, match="decay is not needed"):
        scaled = replace(plain, decay={b: sp.Rational(1, 2)})
    start = plain.initial(0.3, seed=0)
    losses = [flows.integrate(s, start, t_end=1e7)["loss"] for s in (plain, scaled)]
    # Rounding of |a|^2 - 1 = O(1/t) is 1e-9 at the end.
    assert losses[0] == pytest.approx(losses[1], rel=1e-6)


def test_a_loss_that_doubles_do_not_know_is_nan_and_at_a_saddle_it_is_known():
    a = sp.Symbol("a")
    system = flows.OwnSystem("well", [a], (a**2 - 1) ** 2 / 4, arithmetic="doubles")
    below = system.features(*system.reduce(np.array([1 + 1e-15])))
    assert np.isnan([below[name] for name in ("loss", "gradient_norm", "loss_dot")]).all()
    almost = system.features(*system.reduce(np.array([1 + 1e-12])))
    # A last bit is 2e-16 of the entry, and 2e-4 of its distance: twice that of the loss. Up to
    # eight bits are moved.
    assert almost["loss"] == pytest.approx(1e-24, rel=almost["rounding"])
    assert 4e-4 < almost["rounding"] < 8e-3
    known = system.features(*system.reduce(np.array([1 + 1e-3])))
    assert known["loss"] == pytest.approx((2e-3) ** 2 / 4, rel=1e-2)
    saddle = flows.integrate(system, [0.0], t_end=1e3)
    assert (saddle["loss"] == 0.25).all()
    assert (saddle["gradient_norm"] == 0).all()


@pytest.mark.parametrize("arithmetic", ["balls", "doubles"])
def test_a_chart_has_the_jacobian_of_its_field(arithmetic):
    system = replace(chain(5), arithmetic=arithmetic)
    frame, state = system.reduce(system.initial(0.5, seed=0))
    piece = system.piece(frame, state, 7.0).chart
    y, step = piece.y0, 1e-6
    slopes = [
        (piece.rhs(0.5, y + step * e) - piece.rhs(0.5, y - step * e)) / (2 * step)
        for e in np.eye(len(y))
    ]
    # Central differences: rounding 1e-16 / step, of numbers of order ten.
    assert piece.jacobian(0.5, y) == pytest.approx(np.array(slopes).T, abs=1e-7)


def test_a_rule_that_no_longer_serves_is_replaced_on_the_way():
    # E cos(a x) = exp(-a^2/2) takes more nodes at a = 4 than at a = 1, where the run begins.
    a, x = sp.Symbol("a"), sp.Symbol("x")
    pull = (a - 4) ** 2 / 2
    cosine = Expectation(sp.cos(a * x), x)
    averaged = flows.OwnSystem("averaged", [a], pull + cosine, arithmetic="doubles")
    closed = flows.OwnSystem("closed", [a], pull + sp.exp(-(a**2) / 2))
    found, exact = (flows.integrate(s, [1.0], t_end=20.0, rtol=1e-8) for s in (averaged, closed))
    # Control: without a rule no piece ends.
    plain = flows.integrate(replace(closed, arithmetic="doubles"), [1.0], t_end=20.0, rtol=1e-8)
    assert plain.stats["pieces"] == 1 < found.stats["pieces"]
    # The fixed rule in balls is refined on the way too.
    rules = [replace(averaged, arithmetic="auto")._view.nodes(np.array([x])) for x in (1.0, 40.0)]
    assert rules[1].spacing < rules[0].spacing
    # A step of 1e-8, a hundredfold for what adds up.
    assert found.state == pytest.approx(exact.state, abs=1e-6)


def test_what_quadrature_cannot_resolve_ends_the_run_with_its_error():
    a, x = sp.Symbol("a"), sp.Symbol("x")
    peak = 1 / (sp.Rational(1, 10**14) + (x - a) ** 2)
    sharp = flows.OwnSystem("sharp", [a], Expectation(peak, x))
    found = flows.integrate(sharp, [0.3], t_end=1.0)
    assert found.status == "field_failed"
    assert "the expectation is known to" in found.message


def test_descent_and_ensembles_take_the_system(tmp_path):
    start = neuron().initial(0.3, seed=1)
    steps = flows.descend(neuron(), start, step_size=1e-3, steps=2000)
    flow = flows.integrate(neuron(), start, t_end=2.0, t_eval=[2.0])
    assert steps["loss"][-1] == pytest.approx(flow["loss"][-1], rel=0.05)  # first order in eta
    many = flows.integrate_ensemble(
        neuron(),
        flows.Law(size=3, scale=0.3),
        t_end=1e4,
        observables=("loss", "transverse"),
        claims=("loss_upper",),
        out=tmp_path / "many",
    )
    assert many.completed == 3
    again = flows.load_ensemble(tmp_path / "many")
    assert np.array_equal(again["transverse"], many["transverse"])
    known = flows.load_ensemble(tmp_path / "many", neuron())
    assert known.tightest("loss_upper").constant > 0


def test_a_system_travels_to_another_process():
    twin = pickle.loads(pickle.dumps(neuron()))
    y = neuron().initial()
    assert twin.loss(y) == neuron().loss(y)
    assert [str(v) for v in twin.claims] == [str(v) for v in neuron().claims]


# Files -----------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def saved(tmp_path_factory):
    return run().save(tmp_path_factory.mktemp("own") / "run.nc")


def test_a_file_shows_times_states_and_observables_without_the_system(saved):
    found = flows.load(saved)
    assert isinstance(found.system, RecordedSystem)
    assert np.array_equal(found.t, run().t)
    assert np.array_equal(found.state, run().state)
    assert np.array_equal(found["transverse"], run()["transverse"])
    assert np.array_equal(flows.local_exponent(found), flows.local_exponent(run()))
    assert found.system.unpack(found.state)["W"].shape == (len(found.t), N, D)
    from flows.pages.figure import potential_figure

    assert potential_figure(found, "transverse").axes


def test_a_file_without_the_system_is_not_checked(saved):
    found = flows.load(saved)
    with pytest.raises(InputError, match=r"flows\.load\(path, system"):
        flows.check(found)


def test_a_file_carries_the_loss_and_its_potentials_as_data(saved):
    found, y = flows.load(saved).system, neuron().initial()
    assert found.loss(y) == neuron().loss(y)
    assert np.array_equal(found.gradient(y), neuron().gradient(y))
    assert np.array_equal(found.hessian(y), neuron().hessian(y))
    names = [[d.name for d in s.derive().derivations] for s in (found, neuron())]
    assert names[0] == names[1] and "transverse along the flow" in names[0]


def test_the_excess_of_a_file_is_that_of_the_run(tmp_path):
    a = sp.Symbol("a")
    done = flows.integrate(flows.OwnSystem("well", [a], (a - 1) ** 4 / 4 + 3), [2.0], t_end=1e4)
    found = flows.load(done.save(tmp_path / "run.nc"))
    assert found.excess.limit == 3.0 and np.array_equal(found["excess"], done["excess"])


def test_a_loss_that_a_file_does_not_carry_or_another_one_is_told(saved, tmp_path):
    import xarray

    with xarray.open_dataset(saved, engine="h5netcdf") as data:
        data.load()
    about = json.loads(data.attrs["popflow"])
    del data.attrs["digest"]
    nodes = about["definition"][1]
    other = flows.OwnSystem("quadratic_neuron", [W], 2 * SQUARES).definition
    for k, (given, message) in enumerate(
        (
            (None, "does not carry"),
            ([["one", "two"], nodes], "damaged"),
            ([["transverse"], [["__import__", "os"], *nodes]], "damaged"),
            (other, "another loss"),
        )
    ):
        data.attrs["popflow"] = json.dumps(about | {"definition": given})
        data.to_netcdf(tmp_path / f"{k}.nc", engine="h5netcdf")
        found = flows.load(tmp_path / f"{k}.nc")
        for asked in (found.system.derive, lambda f=found: f.system.gradient(f.state[-1])):
            with pytest.raises(InputError, match=message):
                asked()
        assert np.isnan(found.excess.limit) and message in found.excess.reason


def test_a_file_with_the_system_is_checked_also_by_new_claims(saved):
    assert [v.verdict for v in flows.check(flows.load(saved, neuron()))] == ["HOLDS"] * 4
    more = flows.OwnSystem("quadratic_neuron", [W], SQUARES, {"size": sp.trace(W.T * W)})
    assert flows.load(saved, more)["size"][-1] == pytest.approx(1, abs=1e-3)


def test_a_file_of_another_loss_is_refused(saved):
    other = flows.OwnSystem("quadratic_neuron", [W], 2 * SQUARES)
    with pytest.raises(InputError, match="another system"):
        flows.load(saved, other)
    with pytest.raises(InputError, match="another system"):
        flows.load(saved, flows.ReLUNeuron(n=2, d=2))


@pytest.mark.parametrize(
    "harm",
    [
        {"features": ["loss", "__import__('os')", "x"]},
        {"blocks": {"W": [-1]}},
        {"blocks": {"a b": [1]}},
        {"features": []},
        {"blocks": [1]},
        {"features": "loss"},
    ],
)
def test_a_file_with_harmful_names_is_refused(saved, tmp_path, harm):
    import xarray

    target = tmp_path / "harm.nc"
    with xarray.open_dataset(saved, engine="h5netcdf") as data:
        data.load()
    about = json.loads(data.attrs["popflow"])
    about["parameters"] |= harm
    data.attrs["popflow"] = json.dumps(about)
    del data.attrs["digest"]  # as someone would who means harm
    data.to_netcdf(target, engine="h5netcdf")
    with pytest.raises(InputError, match="damaged"):
        flows.load(target)


def test_the_command_line_shows_a_file_and_tells_why_it_cannot_check_it(saved, capsys):
    from flows.cli.main import main

    assert main(["inspect", str(saved), "--potential", "transverse"]) == 0
    assert main(["check", str(saved)]) == 2
    assert "flows.load(path, system=...)" in " ".join(capsys.readouterr().err.split())


def test_the_command_line_says_why_a_potential_is_not_known(tmp_path, capsys):
    from flows.cli.main import main

    a = sp.Symbol("a")
    for name, potential in (("plain", a**2), ("hidden", (1 + a) ** 2 - 2 * (1 + a) + 1)):
        run = flows.integrate(flows.OwnSystem("s", [a], a**2, {name: potential}), [1e-12], 1.0)
        run.save(tmp_path / f"{name}.nc")
        assert main(["inspect", str(tmp_path / f"{name}.nc"), "--potential", name]) == 0
        out = capsys.readouterr().out
        assert (f"{name} is nan where it is undefined, or where" in out) is (name == "hidden")
        assert ("reached the end" in out) is (name == "hidden")


# Bad input -------------------------------------------------------------------------------

A = sp.Symbol("a")


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("relu_neuron", [A], A**2), "not relu_neuron"),
        (("no good", [A], A**2), "plain word"),
        (("s", [], A**2), "names of their own"),
        (("s", [A, A], A**2), "names of their own"),
        (("s", ["a"], A**2), "Symbols or MatrixSymbols"),
        (("s", [sp.MatrixSymbol("w", sp.Symbol("n"), 2)], A**2), "shape of numbers"),
        (("s", [sp.MatrixSymbol("w", 30, 30)], A**2), "of 900 entries"),
        (("s", [A], A * sp.Symbol("b")), "blocks and numbers only, got b"),
        (("s", [A], sp.Abs(A)), "kinks"),
        (("s", [A], sp.Piecewise((A, A > 0), (0, True))), "kinks where .* = 0"),
        (("s", [A], sp.Piecewise((A**2, A > 1), (A, True))), "kinks where .* = 0"),
        (("s", [A], "a**2"), "must be a SymPy expression"),
        (("s", [A], A**2, {"loss": A}), "needs another name"),
        (("s", [A], A**2, {"x_dot": A}), "needs another name"),
        (
            ("s", [A], A**2, {"p": Expectation(sp.exp(A * sp.Symbol("x")), sp.Symbol("x"))}),
            "only the loss may take quadrature",
        ),
        (("s", [A], A**2, 5), "mapping"),
        (("s", [A], A**2, {}, ["claim"]), "Claim objects"),
        (("s", [A], A**2, {}, (), {sp.Symbol("b"): 1}), "decay must give a block"),
        (("s", [A], A**2, {}, (), {A: -1}), "power >= 0"),
        (("s", [A], A**2, {}, (), {}, (), {"speed": 1}), "constants must be numbers"),
    ],
)
def test_bad_definitions_are_told_in_one_line(arguments, message):
    with pytest.raises(InputError, match=message) as told:
        flows.OwnSystem(*arguments)
    assert "\n" not in str(told.value)


def test_pieces_that_meet_with_one_slope_are_a_loss():
    huber = sp.Piecewise((A**2 / 2, A < 1), (A - sp.S.Half, True))
    assert flows.OwnSystem("huber", [A], huber).gradient([3.0]).tolist() == [1.0]


@pytest.mark.parametrize(
    ("start", "message"),
    [
        ([1.0], "9 real numbers"),
        ([np.nan] * 9, "finite"),
        ({"V": np.zeros(9)}, "blocks W"),
        ({"W": np.zeros(9)}, r"shape \(3, 3\)"),
        ([1j] * 9, "real"),
        ({"W": "x"}, "real numbers"),
        ([[1.0], [1.0, 2.0]], "rows differ"),
    ],
)
def test_bad_starts_are_told(start, message):
    with pytest.raises(InputError, match=message):
        flows.integrate(neuron(), start, t_end=1.0)


def test_methods_that_know_one_system_only_say_so():
    jax = pytest.importorskip("jax")
    with pytest.raises(InputError, match="no field of quadratic_neuron in lanes"):
        flows.integrate(neuron(), neuron().initial(), t_end=1.0, method="Rodas5P")
    with jax.enable_x64(True), pytest.raises(InputError, match="knows no field"):
        flows.integrate(neuron(), neuron().initial(), t_end=1.0, method="diffrax-kvaerno5")


@pytest.mark.parametrize("method", ["LSODA", "BDF", "Radau", "CVODE"])
def test_every_other_method_gives_the_same_flow(method):
    start = neuron().initial(0.3, seed=1)
    found = flows.integrate(neuron(), start, t_end=10.0, method=method)
    assert found["loss"][-1] == pytest.approx(run_to(10.0), rel=FLOWS)


def run_to(t_end):
    return flows.integrate(neuron(), neuron().initial(0.3, seed=1), t_end=t_end)["loss"][-1]


def test_the_reference_is_refused_where_quadrature_is_needed():
    x = sp.Symbol("x")
    soft = flows.OwnSystem("soft", [A], Expectation(sp.log(1 + sp.exp(A * x)), x))
    with pytest.raises(InputError, match="closed form"):
        flows.integrate(soft, [1.0], t_end=1.0, method="reference")
    with pytest.raises(InputError, match="nothing is averaged"):
        neuron().expectation(neuron().initial())


def test_a_loss_may_be_an_explicit_matrix_of_one_entry():
    w = sp.MatrixSymbol("w", 2, 1)
    system = flows.OwnSystem("square", [w], sp.Matrix([[w[0, 0] ** 2 + w[1, 0] ** 2]]))
    assert system.loss({"w": [3.0, 4.0]}) == 25.0
    assert hash(system) == hash(replace(system))


def test_a_start_without_a_gradient_is_refused():
    system = flows.OwnSystem("log", [A], sp.log(A))
    with pytest.raises(InputError, match="gradient at the start is not finite"):
        flows.integrate(system, [0.0], t_end=1.0)


def test_blocks_named_by_symbols_are_refused_in_one_line():
    x, y = sp.symbols("x y")
    own = flows.OwnSystem("saddle", [x, y], x**2 / 2 - y**2 / 2)
    with pytest.raises(InputError, match="expected the blocks x, y, got Symbol x, Symbol y"):
        own.loss({x: 0.0, y: 0.0})


def test_a_column_is_taken_where_a_column_is_meant():
    w = sp.MatrixSymbol("w", 2, 1)
    system = flows.OwnSystem("column", [w], (w.T * w)[0, 0])
    assert system.pack({"w": [[1.0], [2.0]]}).tolist() == [1.0, 2.0]
    with pytest.raises(InputError, match=r"block w must have shape \(2,\), got \(1, 2\)"):
        system.pack({"w": [[1.0, 2.0]]})


def test_the_only_block_is_a_state_as_it_is_and_another_shape_is_refused():
    w, v = sp.MatrixSymbol("w", 2, 3), sp.MatrixSymbol("v", 3, 1)
    matrix = flows.OwnSystem("matrix", [w], sp.trace(w.T * w) / 2)
    y = np.arange(6.0).reshape(2, 3)
    assert matrix.loss(y) == matrix.loss(y.ravel()) == matrix.loss({"w": y}) == 27.5
    vector = flows.OwnSystem("vector", [v], (v.T * v)[0, 0] / 2)
    assert vector.loss([[1], [2], [3]]) == vector.loss([1, 2, 3]) == 7
    assert (flows.integrate(matrix, y, t_end=1.0).start == y.ravel()).all()
    with pytest.raises(InputError, match=r"or the block of shape \(2, 3\), got .* \(3, 2\)"):
        matrix.loss(y.T)
    both = flows.OwnSystem("both", [w, v], sp.trace(w.T * w) + (v.T * v)[0, 0])
    with pytest.raises(InputError, match=r"9 real numbers, or arrays by block, got .* \(2, 3\)"):
        both.loss(y)
