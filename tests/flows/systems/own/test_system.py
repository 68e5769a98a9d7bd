"""A loss of your own: derivatives, flow, potentials and claims against oracles and built-ins."""

import pickle
from dataclasses import replace
from fractions import Fraction

import numpy as np
import pytest
import sympy as sp
from mpmath import mp
from oracles.quadratic_neuron import (
    HERE,
    SQUARES,
    TRANSVERSE,
    D,
    N,
    W,
    claims,
    exact_loss,
    neuron,
    run,
)

import flows
from potentials import Comparison, Conserved
from potentials.notation import symbol
from symbolic import Expectation

# Rounding of a few hundred operations in doubles.
ROUNDING = 1e-12
# Two runs at rtol 1e-10 (flows.integrate promises 1e-8 for each).
FLOWS = 2e-8


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
    assert rules[1].parts[0].rules[0].spacing < rules[0].parts[0].rules[0].spacing
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


@pytest.mark.parametrize("method", ["LSODA", "BDF", "Radau", "CVODE"])
def test_every_other_method_gives_the_same_flow(method):
    start = neuron().initial(0.3, seed=1)
    found = flows.integrate(neuron(), start, t_end=10.0, method=method)
    assert found["loss"][-1] == pytest.approx(run_to(10.0), rel=FLOWS)


def run_to(t_end):
    return flows.integrate(neuron(), neuron().initial(0.3, seed=1), t_end=t_end)["loss"][-1]


def test_a_potential_whose_terms_cancel_at_the_start_is_known_there():
    x, y, z = sp.symbols("x y z", real=True)
    loss = (z**2 - x**2 - y**2 - 1) ** 2 / 2 + (x - 1) ** 2
    system = flows.OwnSystem("own", [x, y, z], loss, {"balance": x**2 + y**2 - z**2})
    start = [0.3, 0.4, 0.5]
    run = flows.integrate(system, start, 10.0)
    exact = sum(sign * Fraction(v) ** 2 for sign, v in zip((1, 1, -1), start, strict=True))
    assert 0 < exact < Fraction(1, 10**16)
    assert run["balance"][0] == float(exact) and np.isfinite(run.errors("balance")[0])
    small, large = flows.check(run, [symbol("balance") <= 1e-9, symbol("balance") >= 1e-9])
    assert (small.verdict, large.verdict) == ("HOLDS", "VIOLATED")
