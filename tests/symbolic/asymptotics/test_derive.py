"""Laws of the worked cases: closed forms, and flows that know nothing of them."""

import functools
from dataclasses import replace
from itertools import pairwise

import numpy as np
import pytest
import sympy as sp
from oracles.late_time import measured_constant, scaled_loss
from oracles.losses import (
    mixture,
    quadratic_neurons,
    relu_neurons,
    scalar_chain,
    symmetric_factorization,
    x,
    y,
)

from symbolic import Expectation, late_time_law
from symbolic.asymptotics import reduction
from symbolic.asymptotics.attractors import attractors_of, power_law
from symbolic.asymptotics.bordered import Bordered
from symbolic.asymptotics.family import family
from symbolic.asymptotics.kernel import split
from symbolic.asymptotics.measured import Measured
from symbolic.asymptotics.reduction import reduce
from symbolic.asymptotics.refusal import NoLaw
from symbolic.asymptotics.steps import steps_of_reduction
from symbolic.evidence.identity import Evidence
from symbolic.language.blocks import entries, explicit
from symbolic.systems.own.late_time import point_of

R = sp.Rational
g = sp.Symbol("g", real=True)
THIRD = [R(1, 3)] * 3
PI = sp.pi

#: Cases in which that there is no other attractor is sampled.
MANY = ("three equal ReLU neurons", "gradient EM, four in the plane")
#: Losses with exponent and constant of their law, and exponents gamma where they are known.
CASES = {
    "quartic": ((y**4 / 4, [y], {y: 0}), 2, R(1, 16), ()),
    "kink of degree three": ((sp.Abs(x) ** 3 + y**2, [x, y], {x: 0, y: 0}), 3, R(1, 27), ()),
    "kink of degree 5/2": (
        (sp.Abs(x) ** R(5, 2) + y**2, [x, y], {x: 0, y: 0}),
        5,
        R(1024, 3125),
        (),
    ),
    "symmetric 3 x 3, rank 1": (symmetric_factorization(3, 3, 1), 2, R(1, 8), (1, 1)),
    "symmetric 3 x 2, rank 1": (symmetric_factorization(3, 2, 1), 2, R(1, 16), ()),
    "quadratic neurons": (quadratic_neurons(2, 3), 2, R(3, 64 * 4), ()),
    "gradient EM on a line": (mixture(3, 1, THIRD), 2, R(9, 16), ()),
    "gradient EM in the plane": (mixture(3, 2, THIRD), 2, R(18, 16), (1, 1)),
    # Rotations of means against each other and of the plane make one orbit of three dimensions.
    "gradient EM, four in the plane": (mixture(4, 2, [R(1, 4)] * 4), 2, R(2), (1, 1)),
    # (sum 1/pi^2 - 2 sum 1/pi + n^2)/16 for as many dimensions as the means can span
    "gradient EM, other weights": (
        mixture(3, 2, [R(1, 2), R(1, 4), R(1, 4)]),
        2,
        R(36 - 20 + 9, 16),
        (1, R(25, 24)),
    ),
    "score matching near": (mixture(3, 2, THIRD, score=True), 2, R(18, 64), (1, 1)),
    "two ReLU neurons": (
        relu_neurons([R(1, 3), R(2, 3)], 2),
        3,
        R(8, 3) * PI**2 * R(2, 9) ** 2,
        (),
    ),
    "three equal ReLU neurons": (
        relu_neurons(THIRD, 3),
        3,
        (2 * PI / (3 - sp.sqrt(3))) ** 2 / 27,
        (R(1, 2), R(1, 2)),
    ),
}
# Doubles of gamma.
CLOSE = 1e-9


@functools.cache
def derived(name):
    return late_time_law(*CASES[name][0])


@pytest.mark.parametrize("name", CASES)
def test_the_law_of_a_worked_case(name):
    _, exponent, constant, gamma = CASES[name]
    found = derived(name)
    (law,) = found.laws
    assert law.kind == "power" and law.exponent == exponent
    assert sp.simplify(law.constant_exact - constant) == 0
    assert law.constant == pytest.approx(float(constant), rel=1e-15)
    assert np.allclose(law.gamma, [float(g) for g in gamma], atol=CLOSE)
    weak = {name for name, level in law.evidence.items() if level is Evidence.SAMPLED}
    assert weak == ({"all attractors"} if name in MANY else set())
    assert {step.evidence for step in found.derivation.steps} <= {
        Evidence.PROVED,
        Evidence.ENCLOSED,
    }


def test_two_relu_neurons_have_a_closed_form_in_their_share():
    h = sp.Symbol("h", positive=True)
    (law,) = late_time_law(*relu_neurons([h, 1 - h], 3)).laws
    assert sp.simplify(law.constant_exact - R(8, 3) * PI**2 * (h * (1 - h)) ** 2) == 0
    assert law.constant is None


def test_an_algebraic_direction_of_high_degree_is_enclosed():
    (law,) = late_time_law(*relu_neurons([R(1, 2), R(3, 10), R(1, 5)], 3)).laws
    assert law.constant_exact is None and law.evidence["direction"] is Evidence.ENCLOSED
    # From three runs of the neurons' flow to t = 1e14, see tests/flows/runs/test_late_law.py.
    assert law.constant == pytest.approx(0.9542929826670, rel=1e-12)
    assert 0 < law.constant_radius < 1e-14


#: Kinks of what is slaved, along x: the sign, or the root, is that of what it follows.
KINKED = {
    "of a form of the slow one": (y**2 + sp.Abs(y + x**2) ** R(5, 2) + x**6, R(5), 1),
    "of higher order": (y**2 + sp.Abs(y - x**2) ** 3 + x**8, R(6), 1),
    "along which the run goes": ((y - x**2) ** 2 + sp.Abs(y - x**2) ** R(5, 2) + x**8, R(8), 1),
}


@pytest.mark.parametrize(("loss", "p", "ell"), KINKED.values(), ids=KINKED)
def test_a_kink_of_a_slaved_variable_has_its_law(loss, p, ell):
    (law,) = late_time_law(loss, [x, y], {x: 0, y: 0}).laws
    assert law.exponent == p / (p - 2)
    assert sp.simplify(law.constant_exact * (p * (p - 2)) ** law.exponent / ell) == 1


@pytest.mark.parametrize("depth", [3, 4, 5])
def test_balanced_scalars_of_any_depth(depth):
    n = R(depth)
    (law,) = late_time_law(*scalar_chain(depth, 0), confined=True).laws
    assert law.exponent == n / (n - 1)
    assert sp.simplify(law.constant_exact - (2 * n - 2) ** (-n / (n - 1)) / 2) == 0


@pytest.mark.parametrize("power", [2, 3, 4, 5, 6])
def test_a_slaved_variable_may_enter_with_any_power(power):
    # Along b = a^2 the loss is a^p, p = 2 k, and a^(2 - p) = p (p - 2) t; the limit is not zero.
    a, b = sp.symbols("a b")
    loss = (a**2 - b) ** 2 + b ** sp.Integer(power) + 3
    (law,) = late_time_law(loss, [a, b], at={a: 0, b: 0}).laws
    p = sp.Integer(2 * power)
    if power == 2:  # the form of fourth degree is that of the two squares, least for b = a^2/2
        assert (law.exponent, law.constant_exact) == (2, R(1, 32))
        return
    assert law.exponent == p / (p - 2)
    assert sp.simplify(law.constant_exact / (p * (p - 2)) ** -law.exponent) == 1


@pytest.mark.parametrize(("depth", "target"), [(3, 1), (4, 2), (5, 1)])
def test_a_failing_chain_of_any_depth(depth, target):
    n = R(depth)
    found = late_time_law(*scalar_chain(depth, target), confined=True)
    (law,) = found.laws
    assert found.limit == R(target**2, 2) and law.exponent == n / (n - 2)
    constant = (n - 2) ** (-n / (n - 2)) * target ** (-2 / (n - 2))
    assert sp.simplify(law.constant_exact - constant) == 0
    assert "no minimum" in found.notes[0]


def test_an_exponential_law_has_twice_the_smallest_eigenvalue_across_the_family():
    (law,) = late_time_law((x * y - 2) ** 2 / 2, [x, y], {x: 1, y: 2}).laws
    assert law.kind == "exponential" and law.rate == 10.0 and law.rate_exact == 10
    (law,) = late_time_law(x**2 + x * y + y**2, [x, y], {x: 0, y: 0}).laws
    assert law.rate_exact == 2 and law.evidence["rate"] is Evidence.PROVED


@pytest.mark.parametrize("strength", [2, 5])
def test_a_balancing_term_makes_a_failing_chain_of_depth_four_attract(strength):
    w = sp.symbols("w1:5", real=True)
    defects = sum((a**2 - b**2) ** 2 for a, b in pairwise(w))
    loss = (1 - sp.prod(w)) ** 2 / 2 + R(strength, 4) * defects
    (law,) = late_time_law(loss, w, dict.fromkeys(w, 0)).laws
    # Eigenvalues of the path of four layers; the first is positive for a > 1 + 1/sqrt(2).
    path = np.array([2 - np.sqrt(2), 2, 2 + np.sqrt(2)])
    assert np.allclose(law.gamma, strength * path - 1, atol=1e-8)


@pytest.mark.parametrize("strength", [R(17, 10), R(1, 2)])
def test_a_weak_balancing_term_does_not(strength):
    w = sp.symbols("w1:5", real=True)
    defects = sum((a**2 - b**2) ** 2 for a, b in pairwise(w))
    loss = (1 - sp.prod(w)) ** 2 / 2 + strength / 4 * defects
    assert "no minimum" in late_time_law(loss, w, dict.fromkeys(w, 0)).reason


@pytest.mark.parametrize(
    "weights", [(R(1, 5), R(3, 10), R(1, 2)), (R(1, 10), R(1, 5), R(3, 10), R(2, 5))], ids=str
)
@pytest.mark.parametrize("d", [1, 2])
def test_weights_of_a_mixture_enter_by_the_largest_eigenvalues_of_a_matrix(weights, d):
    (law,) = late_time_law(*mixture(len(weights), d, weights)).laws
    w = np.array(weights, dtype=float)
    projection = np.eye(len(w)) - np.sqrt(np.outer(w, w))
    values = np.linalg.eigvalsh(projection @ np.diag(1 / w) @ projection)
    assert law.constant == pytest.approx(float((values[-d:] ** 2).sum()) / 16, rel=1e-12)


def two_factors(u, v):
    """`|U V' - diag(1, 0)|^2/2` at diagonal factors."""
    left, right = sp.MatrixSymbol("U", 2, 2), sp.MatrixSymbol("V", 2, 2)
    gap = left * right.T - sp.diag(1, 0)
    return sp.trace(gap.T * gap) / 2, [left, right], {left: sp.diag(*u), right: sp.diag(*v)}


@pytest.mark.parametrize("share", [1, 2])
def test_two_factors_that_are_balanced_at_zero_fall_like_a_scalar_chain(share):
    case = two_factors((share, 0), (R(1, share), 0))
    assert "rank of the Hessian" in late_time_law(*case, confined=False).reason
    for confined in (None, True):
        (law,) = late_time_law(*case, confined=confined).laws
        assert (law.exponent, law.constant_exact) == (2, R(1, 8))


def test_two_factors_that_are_unbalanced_at_zero_converge_exponentially():
    # The small mode (u, 0) has the curvature u^2; the others are 1 and more.
    (law,) = late_time_law(*two_factors((1, R(1, 2)), (1, 0))).laws
    assert law.rate_exact == R(1, 2) and law.evidence["rate"] is Evidence.PROVED


def test_sensing_with_more_measurements_than_entries_has_its_own_constant():
    x_ = sp.MatrixSymbol("X", 2, 2)
    measured = [sp.Matrix(a) for a in ([[1, 0], [0, 0]], [[0, 1], [1, 0]], [[1, 1], [1, 3]])]
    loss = sum((sp.trace(a * x_ * x_.T) - a[0, 0]) ** 2 for a in measured) / 8
    (law,) = late_time_law(loss, [x_], {x_: sp.diag(1, 0)}).laws
    # X X' has z^2 at (2, 2); the other entries share the residual 3 z^2 of three measurements.
    assert law.constant_exact == 1 / (64 * R(3, 8))
    assert law.constant == pytest.approx(measured_sensing(loss, x_), rel=NEAR)


def measured_sensing(loss, x_):
    plain = explicit(loss, [x_]).plain
    return measured_constant(plain, list(entries(x_)), [1.1, 0.05, 0.1, 0.6], TIMES, 2.0)


# Between these times the flow has the law up to log t/t^2, and doubles still resolve the loss.
TIMES = (1e4, 3e4)
NEAR = 2e-4
FLOWS = {
    "slaved": (((x - y**2) ** 2 + y**4 + x * y**2, [x, y], {x: 0, y: 0}), [0.3, 0.5]),
    "metric": ((x**2 + 3 * x * y + R(9, 4) * y**2 + y**4, [x, y], {x: 0, y: 0}), [0.4, 0.5]),
    "symmetric": (symmetric_factorization(2, 2, 1), [1.1, 0.2, -0.1, 0.5]),
    "not polynomial": (
        (sp.sin(x**2) ** 2 / sp.exp(x**2) + sp.log(1 + y**2), [x, y], {x: 0, y: 0}),
        [1, 1],
    ),
}


@pytest.mark.parametrize(("case", "start"), FLOWS.values(), ids=FLOWS)
def test_a_flow_follows_the_derived_law(case, start):
    loss, blocks, _ = case
    (law,) = late_time_law(*case).laws
    symbols = [s for block in blocks for s in entries(block)]
    plain = explicit(loss, blocks).plain
    measured = measured_constant(plain, symbols, start, TIMES, float(law.exponent))
    assert abs(measured / law.constant - 1) < NEAR
    # An exponent off by 0.1 and a constant off by 1e-3 are seen.
    wrong = measured_constant(plain, symbols, start, TIMES, float(law.exponent) + 0.1)
    assert abs(wrong / law.constant - 1) > 100 * NEAR
    assert abs(measured / (1.001 * law.constant) - 1) > 4 * NEAR


#: Coefficients of log t/t; without one, forms of odd degree push the direction.
LOG_TERMS = {
    "two means on a line": (mixture(2, 1, [R(1, 2)] * 2), 4),
    "two ReLU neurons": (relu_neurons([R(1, 3), R(2, 3)], 2), 0),
    "quartic and sextic": ((y**4 + y**6, [y], {y: 0}), -R(3, 8)),
    "cubic and quartic": ((sp.Abs(y) ** 3 + y**4, [y], {y: 0}), -R(4, 3)),
    "slaved": (FLOWS["slaved"][0], R(1, 7)),
    "odd degree": ((y**4 + y**5, [y], {y: 0}), None),
    # (1 + x)^2 - y^2/4 is conserved, so that x = sqrt(1 + y^2/4) - 1 on the way to zero.
    "a family that moves": (((1 + x) * y**4, [x, y], {x: 0, y: 0}), -R(1, 32)),
}


@pytest.mark.parametrize(("case", "beta"), LOG_TERMS.values(), ids=LOG_TERMS)
def test_the_next_term_is_a_logarithm_with_this_coefficient(case, beta):
    (law,) = late_time_law(*case).laws
    assert law.log_term == beta


#: Starts of flows that end at the point.
STARTS = {
    "slaved": [0.3, 0.5],
    "quartic and sextic": [0.5],
    "a family that moves": [(1 + 0.5**2 / 4) ** 0.5 - 1, 0.5],
}


@pytest.mark.parametrize("name", STARTS)
def test_a_flow_has_the_logarithm(name):
    (loss, blocks, at), beta = LOG_TERMS[name]
    (law,) = late_time_law(loss, blocks, at).laws
    # t (L t^2/C - 1) = beta log t + O(1), up to log^2 t/t.
    times = np.array([1e3, 1e4])
    rest = times * (scaled_loss(loss, blocks, STARTS[name], times) / law.constant - 1)
    slope = (rest[1] - rest[0]) / np.log(times[1] / times[0])
    assert slope == pytest.approx(float(beta), abs=0.02)


def test_an_enclosed_direction_has_a_logarithm_too():
    form = x**4 + x**3 * y + 2 * y**4 - x * y**3
    law, *_ = late_time_law(form + (x**2 + y**2) ** 3, [x, y], {x: 0, y: 0}).laws
    assert law.evidence["direction"] is Evidence.ENCLOSED
    # On the unit circle L = ell r^4 + r^6, C = 1/(64 ell), and beta = -3/(8 ell^2).
    assert float(law.log_term) == pytest.approx(-3 / 8 * (64 * law.constant) ** 2, rel=1e-12)


def reduced(case):
    point = point_of(*case)
    hessian = point.quadratic.hessian
    parts = split(hessian, family(point).tangents)
    return point, parts, reduce(point, parts, hessian)


def test_a_sign_changed_in_a_slaved_term_is_refuted():
    point, parts, form = reduced(FLOWS["slaved"][0])
    assert {s.verify().evidence for s in steps_of_reduction(point, parts, form)} == {
        Evidence.PROVED
    }
    broken = replace(form, slaved=tuple(-s for s in form.slaved))
    levels = {s.rule.partition(":")[0]: s for s in steps_of_reduction(point, parts, broken)}
    assert {name for name, s in levels.items() if s.verify().evidence is Evidence.REFUTED} == {
        "slaving",
        "leading form",
    }


def test_a_metric_that_is_dropped_is_refuted_by_its_step_and_by_the_flow():
    (loss, blocks, _), start = FLOWS["metric"]
    point, parts, form = reduced(FLOWS["metric"][0])
    without = replace(form, metric=sp.ImmutableMatrix(sp.eye(1)))
    step = steps_of_reduction(point, parts, without)[0]
    assert step.verify().evidence is Evidence.REFUTED
    value = form.form.subs(form.z[0], 1)
    right, dropped = (1 / (64 * value / g**2) for g in (form.metric[0, 0], 1))
    measured = measured_constant(loss, blocks, start, TIMES, 2.0)
    assert abs(measured / right - 1) < NEAR
    assert abs(measured / dropped - 1) > 0.1


def judged(point, parts, form, attractor=None):
    """Law of an attractor and the evidence of its step, which looks at the loss itself."""
    hessian = point.quadratic.hessian
    attractor = attractor or attractors_of(form, (), False)[0][0]
    measured = Measured.of(point, parts, hessian, form.degree)
    law, step = power_law(form, parts, attractor, {}, Evidence.SAMPLED, measured)
    return law, step.verify()


def slaved_backwards(point, parts, form, monkeypatch):
    true = reduction.slaved_series
    monkeypatch.setattr(
        reduction,
        "slaved_series",
        lambda ring, *rest: [ring.scaled(s, sp.S.NegativeOne) for s in true(ring, *rest)],
    )
    return reduce(point, parts, point.quadratic.hessian)


def metric_dropped(point, parts, form, monkeypatch):
    return replace(form, metric=sp.ImmutableMatrix(sp.eye(len(form.z))))


MUTATIONS = {
    "a slaved term's sign": (slaved_backwards, FLOWS["slaved"][0]),
    # E (x - g^2 y^2)^2 = x^2 - 2 x y^2 + 3 y^4, so that x = y^2.
    "a slaved term's sign, of an expectation": (
        slaved_backwards,
        (Expectation(sp.log(1 + (x - g**2 * y**2) ** 2), g), [x, y], {x: 0, y: 0}),
    ),
    "a metric": (metric_dropped, FLOWS["metric"][0]),
    "a metric, of an expectation": (metric_dropped, mixture(3, 1, [R(1, 2), R(1, 4), R(1, 4)])),
    "a metric, of neurons": (metric_dropped, relu_neurons([R(1, 3), R(2, 3)], 2)),
}


@pytest.mark.parametrize(("mutated", "case"), MUTATIONS.values(), ids=MUTATIONS)
def test_a_derivation_with_a_slip_has_another_constant_and_the_loss_itself_refutes_it(
    mutated, case, monkeypatch
):
    point, parts, form = reduced(case)
    law, step = judged(point, parts, form)
    assert step.evidence in (Evidence.PROVED, Evidence.ENCLOSED)
    wrong, broken = judged(point, parts, mutated(point, parts, form, monkeypatch))
    assert abs(wrong.constant / law.constant - 1) > 1e-3
    assert broken.evidence is Evidence.REFUTED and "the loss itself" in str(broken.finding)


def test_a_tangent_that_is_forgotten_has_no_constant_and_the_loss_itself_refutes_one():
    case = FLOWS["symmetric"][0]
    point, right, form = reduced(case)
    hessian = point.quadratic.hessian
    parts = split(hessian, sp.zeros(4, 0))
    forgotten = reduce(point, parts, hessian)
    # The minimum of the form on the sphere is zero, on the tangent.
    with pytest.raises(NoLaw, match="vanishes in some direction"):
        attractors_of(forgotten, (), False)
    assert "name its tangents" in late_time_law(*case, tangents=[]).reason
    # The direction of the true law with the tangent among the slow ones: the loss is lower beside.
    true = attractors_of(form, (), False)[0][0]
    assert judged(point, right, form, true)[1].evidence is Evidence.PROVED
    moved = np.array(right.slow, dtype=float) @ true.direction
    z = np.linalg.lstsq(np.array(parts.slow, dtype=float), moved, rcond=None)[0]
    equations = Bordered(forgotten.form, forgotten.z, forgotten.metric)
    kept = replace(true, direction=z, precise=None, bordered=equations)
    _, step = judged(point, parts, forgotten, kept)
    assert step.evidence is Evidence.REFUTED and "nan" in str(step.finding)


@pytest.mark.parametrize("name", ["three equal ReLU neurons", "symmetric 3 x 3, rank 1"])
@pytest.mark.parametrize("factor", [R(1001, 1000), -1])
def test_a_constant_that_is_off_is_refuted_by_its_step(name, factor):
    step = derived(name).derivation.steps[-1]
    assert replace(step, rhs=factor * step.rhs).verify().evidence is Evidence.REFUTED


def test_a_rate_that_is_off_is_refuted_by_its_step():
    step = late_time_law(x**2 + x * y + y**2, [x, y], {x: 0, y: 0}).derivation.steps[-1]
    assert step.verify().evidence is Evidence.PROVED
    assert replace(step, rhs=step.rhs * R(1001, 1000)).verify().evidence is Evidence.REFUTED


def test_conserved_quantities_that_confine_are_found_by_themselves():
    loss = x**2 * y**2
    found = late_time_law(loss, [x, y], {x: 0, y: 0})
    (law,) = found.laws
    assert "cone of 1 conserved" in found.notes[0]
    # x = y is kept, and x' = -2 x^3 there.
    measured = measured_constant(loss, [x, y], [0.5, 0.5], TIMES, float(law.exponent))
    assert law.constant_exact == R(1, 16) and measured == pytest.approx(1 / 16, rel=NEAR)
    assert abs(measured / (1.001 * law.constant) - 1) > 4 * NEAR
