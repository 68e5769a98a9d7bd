"""Equations of means against quadrature of their definition; no certificate is made."""

import math

import numpy as np
import pytest
from flint import acb, arb
from mpmath import mp
from oracles.certificates import ball
from oracles.certified.means import number, textbook_field, textbook_jacobian

from flows.certificates.verifier import gmm_em as checker
from flows.certificates.verifier import sums
from flows.certificates.verifier.reading import Refused
from flows.certificates.verifier.segment import Segment
from flows.core.balls import precision

BITS = 120
# Of a sum with BITS bits, which states its error as about 2^-76, and of Gauss-Legendre's rule.
SAME = 1e-22
# Of sums over doubles.
ROUNDED = 1e-9
# Of bounds computed twice.
NEARLY = 1e-12
WEIGHTS, MEANS = [0.25, 0.375, 0.375], [-0.75, 0.25, 1.0]


def balls(values):
    return np.array([arb(x) for x in values])


def made(weights=WEIGHTS, means=MEANS):
    return checker.Means(
        {"n": len(weights), "d": 1, "weights": list(weights)}, np.array(means)[:, None]
    )


def expectation(function):
    """Expectation under N(0, 1) by mpmath's own quadrature."""
    with mp.workdps(30):
        return mp.quad(lambda x: function(x) * mp.npdf(x), [-12, -6, -3, 0, 3, 6, 12])


def shares(mu, weights, x):
    """Posterior weights by their definition."""
    p = [w * mp.exp(-((x - m) ** 2) / 2) for w, m in zip(weights, mu, strict=True)]
    return [q / mp.fsum(p) for q in p]


@pytest.mark.parametrize("means", [MEANS, [0.5, 0.5, -3.0], [2.0, 2.25, 2.5]])
def test_the_field_is_minus_the_gradient_of_the_definition(means):
    with precision(BITS), mp.workdps(40):
        oracle = textbook_field(WEIGHTS)([mp.mpf(m) for m in means])
        found = made(means=means).field(balls(means), ())
        for c, x in zip(found, oracle, strict=True):
            assert abs(c - ball(x)) < SAME
            assert 0 < c.rad() < 2.0 ** -(BITS - 46)  # the error of the sum is in it


def test_one_mean_goes_straight_to_the_target():
    # E(x - mu) = -mu, and its Hessian is one.
    with precision(BITS):
        problem = made([0.5], [0.75])
        for x in (arb(0.75), acb(0.75, 0.5)):
            assert abs(problem.field(np.array([x]), ())[0] + x) < SAME
        assert abs(problem.hessian(balls([0.75]))[0, 0] - 1) < SAME


def test_the_field_of_complex_means_is_its_analytic_continuation():
    # Away from the real line no quadrature of the definition is needed: Stein's form is one sum.
    means = [mp.mpc(-0.75, 0.1), mp.mpc(0.25, -0.2), mp.mpc(1.0, 0.05)]
    with precision(BITS):
        box = [acb(float(m.real), float(m.imag)) for m in means]
        found = made().field(np.array(box), ())
    for k, c in enumerate(found):
        exact = expectation(lambda x, k=k: shares(means, WEIGHTS, x)[k] * (x - means[k]))
        assert abs(complex(c) - complex(exact)) < ROUNDED
        assert abs(c.imag) > 1e-3  # it is not that of the real parts


def test_the_hessian_of_a_point_is_the_derivative_of_the_field():
    with precision(BITS):
        found = made().hessian(balls(MEANS))
    exact = -textbook_jacobian(WEIGHTS)(MEANS)
    assert np.vectorize(lambda c, x: abs(c - x) < ROUNDED)(found, exact).all()
    assert np.vectorize(lambda c: c.rad() > 0)(found).all()


def test_the_hessians_of_a_box_are_as_wide_as_third_derivatives_say_and_no_narrower():
    radii, step = [3e-4, 1e-4, 2e-4], 1e-4
    width = np.zeros((3, 3))
    for k, radius in enumerate(radii):
        e = step * np.eye(3)[k]
        change = textbook_jacobian(WEIGHTS)(MEANS + e) - textbook_jacobian(WEIGHTS)(MEANS - e)
        width += np.abs(change / (2 * step)) * radius
    with precision(BITS):
        box = made().hessian(np.array([arb(m, r) for m, r in zip(MEANS, radii, strict=True)]))
    found = np.vectorize(lambda c: float(c.rad()))(box)
    # The third derivatives are those of the box: a little larger than at its middle.
    assert (found >= width * (1 - 1e-6)).all()
    assert (found <= width * 1.02).all()


def test_hermite_polynomials_are_those_of_numpy():
    points = balls([-1.5, 0.25, 2.0])
    found = made().hermite(balls(MEANS), points)
    for row, x in enumerate(points):
        psi = shares(MEANS, WEIGHTS, mp.mpf(float(x)))
        for column, m in enumerate(MEANS):
            for order, values in enumerate(found, start=1):
                he = np.polynomial.hermite_e.hermeval(float(x) - m, [0] * order + [1])
                assert abs(values[row, column] - float(psi[column]) * he) < ROUNDED


@pytest.mark.parametrize("means", [MEANS, [-40.0, 0.0, 40.0], [0.5, 0.5, 0.5]])
def test_posteriors_are_shares_of_the_density_and_do_not_overflow(means):
    points = [-60.0, -1.0, 0.0, 0.125, 20.0, 60.0]
    found = made(means=means).posteriors(balls(means), balls(points))
    for row, x in zip(found, points, strict=True):
        assert abs(sum(row.tolist(), arb(0)) - 1) < ROUNDED
        for c, share in zip(row, shares(means, WEIGHTS, mp.mpf(x)), strict=True):
            assert abs(c - float(share)) < ROUNDED
            # The largest one is what the others are compared to: balls lose nothing.
            assert c.rad() < ROUNDED


def test_posteriors_whose_sum_may_vanish_are_refused():
    # Of equal components at 0 and a + i the odds at x are exp((a + i) (x - (a + i)/2)): here -1.
    x = math.sqrt(math.pi**2 - 1)
    problem = made([0.5, 0.5], [0.0, 1.0])
    for radius in (1e-9, 0.1):
        means = np.array([acb(0), acb(arb(x - math.pi, radius), arb(1, radius))])
        with pytest.raises(Refused, match="may be unbounded"):
            problem.posteriors(means, balls([0.5, x]))
    assert problem.posteriors(np.array([acb(0), acb(x - math.pi, 0.5)]), balls([x])).shape == (1, 2)


def trapezoid_bound(reach, spread, found):
    """Error of a sum by the two theorems that its module quotes, from its points alone."""
    h, end = number(found.points[-1] - found.points[-2]), number(found.points[-1])
    strip = min(2 * mp.pi / h, mp.mpf("0.95") * mp.pi / 2 / spread)
    size = 3 * (2 + reach + strip) ** 2 * mp.exp(strip**2 / 2) / mp.cos(spread * strip) ** 2
    beyond = 2 * mp.quad(
        lambda u: 3 * (1 + reach + u) ** 2 * mp.npdf(u), [end + k / 4 for k in range(40)]
    )
    return beyond, 2 * size / mp.expm1(2 * mp.pi * strip / h)


@pytest.mark.parametrize("bits", [64, BITS])
@pytest.mark.parametrize(("reach", "spread"), [(1.0, 0.25), (2.0, 1.0), (50.0, 40.0)])
def test_the_stated_error_of_a_sum_is_that_of_the_quoted_theorems(reach, spread, bits):
    with precision(bits), mp.workdps(30):
        found = sums.sum_for(reach, spread, bits)
        exact = sum(trapezoid_bound(reach, spread, found))
        assert abs(found.error / ball(exact) - 1) < NEARLY
        assert found.error <= arb(2) ** -(bits - 44)
        assert found.points[0] == -found.points[-1]


def test_sums_integrate_polynomials_against_the_normal_density():
    with precision(BITS):
        found = sums.sum_for(1.0, 1.0, BITS)
        for power, exact in ((0, 1), (1, 0), (2, 1), (3, 0), (4, 3)):
            assert abs(found.weights @ found.points**power - exact) < SAME


def test_a_sum_of_too_many_points_is_refused():
    with precision(64), pytest.raises(Refused, match="too far apart"):
        sums.sum_for(1e5, 1e5, 64)


def test_a_sum_serves_the_longest_mean_and_half_the_largest_difference(monkeypatch):
    asked = []
    monkeypatch.setattr(sums, "sum_for", lambda *a: asked.append(a))
    with precision(77):
        sums.sum_of(balls([-3.0, 0.5, 1.0]))
        sums.sum_of(np.array([acb(-3.0, 0.9), acb(0.5), acb(1.0)]))
    for reach, spread, bits in asked:
        assert 3.0 <= reach < 3.0 * 2**0.25 * (1 + ROUNDED)
        assert 2.0 <= spread < 2.0 * 2**0.25 * (1 + ROUNDED)
        assert bits == 77
    assert len(asked) == 2


def test_means_whose_imaginary_parts_are_apart_have_no_sum():
    # Halves of the differences count: below 1 they are far from pi/2.
    with precision(64):
        assert sums.sum_of(np.array([acb(0), acb(0, 1.99)]))
        for apart in (acb(0, 2.0), acb(0, 2.5), acb(0, -2.5), acb(arb(0), arb(0, 2.5))):
            with pytest.raises(Refused, match="may be unbounded"):
                sums.sum_of(np.array([acb(0), apart]))


def test_one_of_few_doubles_is_above_all_lengths():
    for length in (0.0, 2.0**-4, 0.3, 1.0, 2.0, 1e5):
        bound = sums._above([arb(length), arb(length) / 2])
        assert length <= bound <= max(length, 2.0**-4) * 2**0.25 * (1 + ROUNDED)
        assert abs(math.log2(bound) * 4 - round(math.log2(bound) * 4)) < ROUNDED
    assert sums._above([]) == sums._above([arb(0)])
    for length in (arb(1e6), arb(0, "inf"), arb(1e7)):
        with pytest.raises(Refused, match="too far away"):
            sums._above([length])
    assert sums._above([arb(0.999e6)]) >= 0.999e6


def test_a_sum_in_place_of_the_field_costs_its_slack_at_the_points_and_between_them():
    # The defect is off by (1 + Lebesgue's constant) sqrt(n) slack, times the largest e^tau.
    for size in (3, 9):
        p = np.array([[arb(k == 0) for k in range(size)]] * 3)
        with precision(BITS):
            assert sums.slack() == arb(2) ** -(BITS - 44)
            found = made().branching(Segment(p, arb(1), arb(3)), 4) / sums.slack()
        exact = (2 + 2 / math.pi * math.log(size)) * math.sqrt(3) * math.exp(3)
        assert abs(found / exact - 1) < ROUNDED
    with pytest.raises(Refused, match="wrong signs"):
        made().branching(Segment(p, arb(1), arb(3), [1]), 4)


def test_weights_and_means_are_those_stated():
    problem = made()
    assert [float(x) for x in problem.start] == MEANS
    assert [float(x) for x in problem.weights] == WEIGHTS
    # Only their ratios matter.
    doubled = made([2 * w for w in WEIGHTS])
    with precision(BITS):
        pairs = zip(*(x.field(balls(MEANS), ()) for x in (problem, doubled)), strict=True)
        assert all(abs(a - b) < SAME for a, b in pairs)


SOUND = {"n": 2, "d": 1, "weights": [0.5, 0.5]}


@pytest.mark.parametrize(
    ("changed", "means"),
    [
        ({"d": 2}, [[0.0], [1.0]]),
        ({"n": 3}, [[0.0], [1.0]]),
        ({"n": 1}, [[0.0], [1.0]]),
        ({"weights": [0.5, 0.0]}, [[0.0], [1.0]]),
        ({"weights": [0.5, -0.5]}, [[0.0], [1.0]]),
        ({"weights": [[0.5, 0.5]]}, [[0.0], [1.0]]),
        ({"weights": 0.5}, [[0.0], [1.0]]),
        ({}, [[0.0, 1.0]]),
        ({}, [[0.0, 0.0], [1.0, 0.0]]),
        ({}, [0.0, 1.0]),
        ({}, [[0.0], [1.0], [2.0]]),
    ],
)
def test_weights_and_means_that_do_not_fit_are_refused(changed, means):
    with pytest.raises(Refused, match="do not fit"):
        checker.Means({**SOUND, **changed}, np.array(means))
    assert checker.Means(SOUND, np.array([[0.0], [1.0]])).start.shape == (2,)
