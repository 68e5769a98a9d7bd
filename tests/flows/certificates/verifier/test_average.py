"""Losses with expectations that have no closed form: sums, bounds of their errors, certificates."""

import copy
import functools
import json
import math

import numpy as np
import pytest
import sympy as sp
from flint import acb, arb
from mpmath import mp
from oracles.certificates import ball, put, scaled

import flows
from flows.certificates.averages import Proposed
from flows.certificates.verdicts import verdicts
from flows.certificates.verifier.average import Average
from flows.certificates.verifier.functions import OF_ONE
from flows.certificates.verifier.growth import sizes
from flows.certificates.verifier.reading import Refused
from flows.certificates.verifier.trapezoidal import Rule, cells
from flows.core.balls import precision
from symbolic import Expectation

A, B = sp.symbols("a b")
X, Y = sp.symbols("x y", real=True)
P = sp.Symbol("P")
LOSSES = {
    "tanh": ([A], Expectation((sp.tanh(A * X) - sp.tanh(X)) ** 2, [X]) / 2),
    "log": ([A], Expectation(sp.log(1 + sp.exp(-A * X)), [X]) + A**2 / 8),
    "root": ([A], Expectation(sp.sqrt(1 + (A * X - 1) ** 2), [X])),
    "two": ([A, B], Expectation(sp.tanh(A * X + B * Y) ** 2, [X, Y]) / 2),
}
STARTS = {"tanh": [0.4], "log": [0.4], "root": [0.4], "two": [0.375, 0.5]}
ONE = ("tanh", "log", "root")
# Balls of so many bits have sums that are right to 2^-kept of their maker, and a little more.
BITS, DIGITS, SAME = 230, 45, 1e-40
# Sums for Hessians are right to 2^-30.
ROUGH = 2.0**-29
# Digits of certificates, and of the quadrature that they are compared to.
FEW, KEPT = 8, 18


def system(name, potentials=None, **more):
    return flows.OwnSystem(name, *LOSSES[name], potentials or {}, **more)


def equations(name):
    """The verifier's equations, with sums that are proposed."""
    return Proposed(system(name).certified[1], np.array(STARTS[name]))


def integrand(name):
    """What is averaged over one number, and the plain part, by SymPy's text of the definition."""
    _, loss = LOSSES[name]
    (average,) = loss.atoms(Expectation)
    factor = loss.coeff(average)
    return sp.sympify(factor * average.args[0]), sp.expand(loss - factor * average)


def expectation(name, derivative):
    """A derivative of the loss of one entry at a number, by mpmath's quadrature."""
    inner, plain = (sp.diff(e, A, derivative) for e in integrand(name))
    inside, rest = sp.lambdify((A, X), inner, "mpmath"), sp.lambdify(A, plain, "mpmath")
    # Beyond 16 the density is 1e-57, beyond 10 it is 1e-23; no integrand is larger than 1e6 there.
    far = 16 if mp.dps == DIGITS else 10
    ends = [mp.mpf(k) for k in range(-far, far + 1)]
    return lambda a: rest(a) + mp.quad(lambda x: inside(a, x) * mp.npdf(x), ends)


@pytest.mark.parametrize("name", ONE)
def test_loss_and_gradient_agree_with_quadrature_to_forty_digits(name):
    with precision(BITS), mp.workdps(DIGITS):
        problem, at = equations(name), mp.mpf(STARTS[name][0])
        loss, slope, bend = (expectation(name, k)(at) for k in range(3))
        assert abs(problem.loss(problem.start) - ball(loss)) < SAME
        assert abs(problem.field(problem.start, ())[0] + ball(slope)) < SAME
        assert abs(problem.hessian(problem.start)[0, 0] - ball(bend)) < ROUGH
        # The control: what is a little off is seen.
        assert not abs(problem.loss(problem.start) - ball(loss * (1 + mp.mpf("1e-38")))) < SAME


def test_an_average_over_two_inputs_is_that_over_one_along_the_direction_of_its_weights():
    """`a x + b y` is a Gaussian number times `|(a, b)|`."""
    with precision(130), mp.workdps(KEPT):
        problem = equations("two")
        a, b = (mp.mpf(c) for c in STARTS["two"])
        size = mp.hypot(a, b)
        ends = [mp.mpf(k) for k in range(-12, 13)]
        value, pull = (
            mp.quad(lambda x, f=f: f(x) * mp.npdf(x), ends)
            for f in (
                lambda x: mp.tanh(size * x) ** 2 / 2,
                lambda x: mp.tanh(size * x) * x / mp.cosh(size * x) ** 2,
            )
        )
        # Sums of 130 bits are right to 2^-38.
        near = 2.0**-36
        assert abs(problem.loss(problem.start) - ball(value)) < near
        field = problem.field(problem.start, ())
        assert all(
            abs(f + ball(pull * c / size)) < near for f, c in zip(field, (a, b), strict=True)
        )
        assert not abs(field[0] - field[1]) < near


@pytest.mark.parametrize("name", ONE)
@pytest.mark.parametrize("step", [0.75, 0.5, 0.25])
def test_the_error_of_a_sum_is_below_its_bound_and_that_of_fewer_points_is_above_it(name, step):
    problem = equations(name)
    code, near = problem.sums.codes[0], [*problem.start]
    (average,) = LOSSES[name][1].atoms(Expectation)
    inside = sp.lambdify((A, X), sp.sympify(average.args[0]), "mpmath")
    ends = [mp.mpf(k) for k in range(-16, 17)]
    with precision(BITS), mp.workdps(DIGITS):
        at = mp.mpf(STARTS[name][0])
        value = mp.quad(lambda x: inside(at, x) * mp.npdf(x), ends)
        # The loss of "tanh" has one half within its steps.
        value = ball(value / 2 if name == "tanh" else value)

        def off(rule):
            points, weights = rule.points(1)
            return abs(code.run([*near, *points], ())[0] @ weights - value)

        rule, longer = (Rule(arb(h), arb(1), math.ceil(14 / h)) for h in (step, 4 * step))
        bound = rule.error(code, 1, near)
        assert off(rule) <= bound and off(longer) <= longer.error(code, 1, near)
        fewer = rule._replace(aside=1)
        assert bound < off(fewer) <= fewer.error(code, 1, near)


def test_what_is_beyond_the_points_is_in_the_bound():
    problem, near = equations("log"), [arb(0.4)]
    code = problem.sums.codes[0]
    errors = [Rule(arb(0.125), arb(2), k).error(code, 1, near) for k in (16, 32, 64)]
    tails = [arb.erfc((arb(k) + 0.5) / 8 / arb(2).sqrt()) for k in (16, 32)]
    assert all(e > t / 2 for e, t in zip(errors, tails, strict=False)) and errors[2] < 1e-12


def test_a_strip_that_holds_a_pole_is_refused():
    problem, near = equations("tanh"), [arb(0.4)]
    code = problem.sums.codes[0]
    assert Rule(arb(0.125), arb(1.5), 80).error(code, 1, near) < 1e-20
    for strip in (1.6, 2.0, 6.0):  # a pole at pi/2
        with pytest.raises(Refused, match="may not be analytic"):
            Rule(arb(0.125), arb(strip), 80).error(code, 1, near)


@pytest.mark.parametrize("name", [*ONE, "two"])
def test_cells_and_growth_bound_an_integrand_where_they_are(name):
    problem, generator = equations(name), np.random.default_rng(0)
    for code in problem.sums.codes:
        inputs = problem.sums.inputs
        known = [sizes(code.lines, problem.start)[k].size for k in code.results]
        for x in generator.normal(size=(50, inputs)) * 8:
            found = code.run([*problem.start, *map(arb, x.tolist())], ())
            far = arb(float(np.abs(x).sum()))
            assert all(
                abs(f) <= p * (q * far).exp() for f, (p, q) in zip(found, known, strict=True)
            )
        for cell, place, most in [*cells(code, problem.start, inputs, arb(4), arb(1))][::7]:
            inside = [
                acb(c.real.mid(), c.imag.mid()) if i == place else c.mid()
                for i, c in enumerate(cell)
            ]
            assert all(abs(f) <= most for f in code.run([*problem.start, *inside], ()))
            assert sum(isinstance(c, acb) for c in cell) == 1


def test_the_tangent_of_a_box_holds_its_values_and_is_finite_up_to_the_pole():
    tanh, generator = OF_ONE["tanh"], np.random.default_rng(1)
    for re, im, wide in ((0.5, 0.5, 0.5), (6.0, 1.0, 0.25), (-3.0, -1.25, 0.25)):
        box = tanh(acb(arb(re, wide), arb(im, wide)))
        for u, v in generator.uniform(-wide, wide, size=(20, 2)).tolist():
            assert box.contains(acb(re + u, im + v).tanh())
        assert not box.contains(acb(re, im).tanh() + 4)
    assert tanh(acb(arb(0, 0.01), arb(1.5, 0.06))).is_finite()
    assert not tanh(acb(arb(0, 0.01), arb(1.5, 0.1))).is_finite()
    assert abs(tanh(arb(0, 2))) < 0.97


@functools.cache
def certificate():
    return flows.certify(system("tanh", {"P": A**2}), [0.4], 2.0, digits=FEW)


def test_a_certificate_is_accepted_and_its_end_is_where_quadrature_of_the_field_ends():
    """Of one entry, the time from the start to a state is the integral of one over the speed."""
    made = certificate()
    found = flows.verify(made, system("tanh"), [0.4], 2.0)
    assert (found.refused, found.system, found.error) == ("", "average", made.error)
    assert found.about["loss"] == "E[(-tanh(x1) + tanh(x1*a))**2*(1/2)], x1 ~ N(0, 1)"
    with mp.workdps(KEPT):
        slope, end = expectation("tanh", 1), made.state(2.0)[0]
        time = mp.quad(lambda a: -1 / slope(a), [mp.mpf("0.4"), mp.mpf(float(end.mid()))])
        off = abs(time - 2) * abs(slope(mp.mpf(float(end.mid()))))
        # Its middle is a double here, and the start 0.4 is one, too.
        assert off < made.error + 1e-15 and made.error < 1e-8
        assert not abs(time - 2.001) * abs(slope(mp.mpf("0.7"))) < 1e-5
    assert flows.OwnSystem.from_parameters(found.parameters).certified[1] == found.parameters


def test_claims_are_decided_along_an_average(tmp_path):
    low, high = (flows.theorem(f"below {k}", k >= P) for k in (1, 2))
    one = system("tanh", {"P": A**2 + 1}, claims=[low, high])
    made = flows.certify(one, [0.4], 1.0, digits=FEW)
    assert [str(v.verdict) for v in verdicts(made)] == ["REFUTED", "PROVED"]
    made.save(tmp_path / "c.json")
    again = flows.load_certificate(tmp_path / "c.json")
    assert again.to_json() == made.to_json()


def test_a_ball_of_starts_is_enclosed_and_a_flow_comes_to_rest():
    wide = flows.certify(system("log"), [0.4], 0.5, digits=FEW, radius=1e-4)
    assert flows.verify(wide).radius == 1e-4
    ever = flows.certify(system("log"), [0.4], np.inf, digits=FEW)
    found = flows.verify(ever, system("log"), [0.4], np.inf)
    # The Hessian at zero is 1/4 + E x^2/4 = 1/2, and the rate is less than twice that.
    assert found.accepted and 0.5 < found.endless.rate < 1
    assert abs(found.endless.loss - arb(2).log()) < 1e-7 and abs(found.endless.limit[0]) < 1e-7


SUM = ("sums", "near", 0)
CORRUPTIONS = {
    "a constant of the average": (put("parameters", "average", -2, 1, to="501/1000"), "piece "),
    "a longer step": (put(*SUM, "rules", 0, 0, to=scaled(1.5)), "further off than stated"),
    "a longer step of Hessians": (put(*SUM, "rules", 1, 0, to=scaled(2)), "further off"),
    "fewer points": (put(*SUM, "rules", 0, 2, to=lambda k: k // 2), "further off than stated"),
    "a wider strip": (put(*SUM, "rules", 0, 1, to=scaled(1.5)), "may not be analytic"),
    "a narrower strip": (put(*SUM, "rules", 0, 1, to=scaled(0.5)), "further off than stated"),
    "a smaller error": (put("sums", "errors", 0, to=scaled(0.125)), "further off than stated"),
    "a larger error": (put("sums", "errors", 0, to=scaled(2.0**20)), "piece 0: the defect"),
    "another box": (put(*SUM, "middle", 0, to=(4.0).hex()), "no sum is stated"),
    "no sums": (lambda data: data.pop("sums"), "no sum is stated"),
    "a step of no length": (put(*SUM, "rules", 0, 0, to="0x0p+0"), "not positive"),
    "no points": (put(*SUM, "rules", 0, 2, to=-1), "out of range"),
    "three inputs": (put("parameters", "inputs", to=3), "out of range"),
}


@pytest.mark.parametrize("name", CORRUPTIONS)
def test_a_corrupted_certificate_is_refused_with_the_reason(tmp_path, name):
    change, reason = CORRUPTIONS[name]
    data = copy.deepcopy(certificate().to_json())
    change(data)
    (tmp_path / "c.json").write_text(json.dumps(data))
    refused = flows.verify(tmp_path / "c.json").refused
    assert refused and reason in refused


def test_sums_of_a_loss_without_expectations_are_refused_and_so_is_an_average_with_a_kink(tmp_path):
    plain = flows.certify(flows.OwnSystem("plain", [A], A**4 + A), [0.5], 0.5, digits=FEW)
    data = plain.to_json() | {"sums": certificate().to_json()["sums"]}
    (tmp_path / "c.json").write_text(json.dumps(data))
    assert flows.verify(tmp_path / "c.json").refused == "it has no expectations"
    about = system("tanh").certified[1]
    kinked = about | {"average": [*about["average"], ["side", 0]]}
    with pytest.raises(Refused, match="an average has a kink"):
        Average(kinked, np.array([0.4]))
