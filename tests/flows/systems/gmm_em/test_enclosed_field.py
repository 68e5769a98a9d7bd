import functools

import numpy as np
import pytest
from flint import acb, arb, fmpq
from mpmath import mp
from oracles.certificates import ball
from oracles.certified.means import PROBLEMS, problem

import flows
from flows.certificates.verifier import gmm_em as checker
from flows.certificates.verifier.reading import Refused
from flows.core.balls import Singular, precision
from flows.systems.gmm_em import enclosed_field as balls

# Of a Hessian in doubles, and of balls of 250 bits.
ROUNDED, SAME = 1e-9, 1e-40
BITS = 250


@functools.cache
def integrated(name):
    """Loss, gradient and Hessian at a start by adaptive quadrature of their definitions."""
    system, start = problem(name)
    with mp.workdps(45):
        mu, total = [mp.mpf(c) for c in start.ravel()], mp.fsum(system.weights)

        def shares(x):
            p = [
                w / total * mp.exp(m * x - m * m / 2)
                for w, m in zip(system.weights, mu, strict=True)
            ]
            return [c / mp.fsum(p) for c in p], mp.fsum(p)

        def average(f):
            return mp.quad(lambda x: mp.npdf(x) * f(x), list(range(-15, 16, 3)))

        def entry(i, j):
            def f(x):
                psi, (a, b) = shares(x)[0], (x - mu[i], x - mu[j])
                return psi[i] * psi[j] * a * b - (i == j) * psi[i] * (a * a - 1)

            return f

        every = range(len(mu))
        return (
            average(lambda x: -mp.log(shares(x)[1])),
            [average(lambda x, i=i: shares(x)[0][i] * (mu[i] - x)) for i in every],
            [[average(entry(i, j)) for j in every] for i in every],
        )


@pytest.mark.parametrize("name", ["two", "three"])
def test_field_hessian_and_loss_are_those_of_the_system_to_forty_digits(name):
    system, start = problem(name)
    loss, gradient, hessian = integrated(name)
    with precision(BITS):
        flow = system.ball_flow(start)
        found = flow.hessian(flow.start).tolist()
        assert abs(flow.loss(flow.start) - ball(loss)) < SAME
        assert all(
            abs(a + ball(b)) < SAME for a, b in zip(flow.field(flow.start), gradient, strict=True)
        )
        assert all(
            abs(a - ball(b)) < SAME
            for r, t in zip(found, hessian, strict=True)
            for a, b in zip(r, t, strict=True)
        )
        # What certificates work with may not be wider than what they compare.
        assert all(c.rad() < SAME for c in flow.field(flow.start))
        check = checker.Means(system.parameters, start)
        assert all(
            a.overlaps(b) and b.rad() < SAME
            for a, b in zip(flow.field(flow.start), check.field(check.start, ()), strict=True)
        )
        assert all(
            a.overlaps(b) and b.rad() < SAME
            for r, t in zip(found, check.hessian(check.start), strict=True)
            for a, b in zip(r, t, strict=True)
        )
        doubles = np.array([[float(c) for c in row] for row in found])
        assert np.allclose(doubles, system.hessian(start), atol=ROUNDED)
        assert np.allclose(flow.steering([flow.start])[0], doubles, atol=1e-15)
        assert np.allclose(
            [-float(c) for c in flow.field(flow.start)],
            system.gradient(start).ravel(),
            atol=ROUNDED,
        )
        assert float(flow.loss(flow.start)) == pytest.approx(system.loss(start), rel=ROUNDED)


@pytest.mark.parametrize("width", [1e-8, 1e-3, 0.05])
@pytest.mark.parametrize("name", PROBLEMS)
def test_a_box_contains_what_its_states_have(name, width):
    system, start = problem(name)
    generator = np.random.default_rng(4)
    with precision(120):
        flow, check = system.ball_flow(start), checker.Means(system.parameters, start)
        box = [c + arb(0, width) for c in flow.start]
        slopes, loss = flow.field(box), flow.loss(box)
        wholes = [np.array(flow.hessian(box).tolist()), check.hessian(np.array(box))]
        corners = [np.sign(generator.uniform(-1, 1, size=len(box))) for _ in range(8)]
        inner = [generator.uniform(-1, 1, size=len(box)) for _ in range(8)]
        for side in corners + inner:
            x = [
                arb(c) + arb(float(s)) * (1 - 1e-9) * width
                for c, s in zip(start.ravel(), side, strict=True)
            ]
            # They are balls as well, of the rule's error.
            true = np.array(flow.hessian(x).tolist())
            assert all(
                a.contains(b.mid())
                for whole in wholes
                for a, b in zip(whole.ravel(), true.ravel(), strict=True)
            )
            assert all(a.contains(b.mid()) for a, b in zip(slopes, flow.field(x), strict=True))
            assert loss.contains(flow.loss(x).mid())
        far = np.array(flow.hessian([c + 10 * width for c in flow.start]).tolist())
        for whole in wholes:
            assert not all(a.contains(b) for a, b in zip(whole.ravel(), far.ravel(), strict=True))
            # By the mean value theorem a box is as wide as it has to be, up to a factor.
            assert max(float(c.rad()) for c in whole.ravel()) < 20 * width


@pytest.mark.parametrize("reach", [1 / 32, 0.25, 1.0, 3.9])
def test_rules_are_as_wrong_as_they_say_at_most(reach):
    # With few bits the error of the rule is seen, and is all there is.
    means = [-reach, reach, reach / 3]
    system = flows.GMMEM(n=3, d=1, weights=[0.4, 0.35, 0.25])
    start = np.array(means)[:, None]
    with precision(300):
        fine = system.ball_flow(start)
        true = [*fine.field(fine.start), fine.loss(fine.start), *fine.hessian(fine.start).entries()]
    largest = 0.0
    for bits in (64, 72, 96, 128):
        with precision(bits):
            flow = system.ball_flow(start)
            found = [
                *flow.field(flow.start),
                flow.loss(flow.start),
                *flow.hessian(flow.start).entries(),
            ]
            error = balls.rule_for(flow.start).error
            assert error < 2.0 ** (balls.SPARE + 8 - bits)
            check = checker.Means(system.parameters, start)
            other = [*check.field(check.start, ()), *check.hessian(check.start).ravel()]
        with precision(300):
            assert all(a.contains(b.mid()) for a, b in zip(found, true, strict=True))
            assert all(
                a.contains(b.mid()) for a, b in zip(other, [*true[:3], *true[4:]], strict=True)
            )
            off = max(float(abs(a.mid() - b)) for a, b in zip(found, true, strict=True))
            largest = max(largest, off / float(error))
    assert largest > 1e-5  # nor is the bound empty


def test_a_rule_without_its_strip_or_its_end_has_no_bound():
    def bound(step, end, strip):
        return balls.trapezoidal_error(arb(1), arb(1), arb(step), arb(end), arb(strip))

    assert bound(0.1, 10.0, 1.0) < min(bound(0.2, 10.0, 1.0), bound(0.1, 8.0, 1.0))
    for arguments in ((0.1, 10.0, 1.6), (0.1, 0.5, 1.0)):
        with pytest.raises(Singular):
            bound(*arguments)


def test_boxes_in_which_posteriors_may_have_poles_are_refused():
    system = flows.GMMEM(n=2, d=1)
    with precision(100):
        flow = system.ball_flow(np.array([[0.5], [-0.5]]))
        check = checker.Means(system.parameters, np.array([[0.5], [-0.5]]))
        # Of the means i a and -i a both terms of Z cancel where x = pi/(2 a).
        wide = [acb(c + arb(0, 2), arb(0, 2)) for c in (0.5, -0.5)]
        for field, points, refusal in (
            (flow.field, balls.rule_for([acb(0)] * 2).points, Singular),
            (
                lambda box: check.field(np.array(box), ()),
                checker.sum_of([acb(0)] * 2).points,
                Refused,
            ),
        ):
            a = [arb.pi() / 2 / points[k] + arb(0, 1e-9) for k in (-1, -9)]
            near = [[acb(arb(0, 1e-9), c), acb(arb(0, 1e-9), -c)] for c in a]
            for box in (*near, wide):
                with pytest.raises(refusal, match="bounded"):
                    field(box)
        for box in ([acb(c + arb(0, s), arb(0, s)) for c in (0.5, -0.5)] for s in (1e-9, 0.02)):
            assert all(c.is_finite() for c in flow.field(box))


def test_weights_are_the_doubles_of_the_system_over_their_exact_sum():
    weights = [0.1, 0.2, 0.7 - 2.0**-52]
    system = flows.GMMEM(n=3, d=1, weights=weights)
    with precision(100):
        flow = system.ball_flow(np.zeros((3, 1)))
    assert sum(flow.weights, fmpq(0)) == 1
    assert [w / flow.weights[0] for w in flow.weights] == [
        fmpq(*w.as_integer_ratio()) / fmpq(*system.weights[0].as_integer_ratio())
        for w in system.weights
    ]
