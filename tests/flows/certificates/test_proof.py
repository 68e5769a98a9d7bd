import itertools
import math

import numpy as np
import pytest
from flint import arb
from mpmath import mp
from oracles.certificates import ball
from oracles.certified import means, neurons

import flows
from flows.certificates import proof
from flows.certificates.bounds import best_ellipse, bounded, is_positive, segment_of
from flows.certificates.own_flow import equations_of
from flows.certificates.verifier.reading import Refused
from flows.core.balls import precision


@pytest.mark.parametrize("name", neurons.PROBLEMS)
def test_the_stated_defect_of_neurons_holds_between_the_nodes(name):
    system, _ = neurons.problem(name)
    made = neurons.certificate(name, 11)
    field, _ = neurons.textbook_field(system.teacher, system.d == 2)
    flow = made.flow()
    with precision(300), mp.workdps(60):
        for index in range(0, len(made.pieces), 7):
            piece, span = made.pieces[index], made.span(index)
            worst = arb(0)
            for s in np.random.default_rng(index).uniform(-1, 1, size=5):
                values, rates = _evaluated(made, index, s)
                x = [
                    mp.mpf(str(c.mid().str(70, radius=False)))
                    for row in flow.restore(values)
                    for c in row
                ]
                sides = _sides(system, x)
                speed = (span.centre + span.half * arb(s)).exp()
                velocity = [c for row in flow.restore(rates) for c in row]
                gap = [
                    v / span.half - speed * ball(f)
                    for v, f in zip(velocity, field(x, sides), strict=True)
                ]
                worst = worst.max(proof.norm(gap))
            assert worst <= piece.defect
            assert worst > piece.defect * 1e-12  # nor is the bound empty


def _sides(system, x):
    if system.d > 2:
        return None
    rows = [*(x[k : k + 2] for k in range(0, len(x), 2)), [mp.mpf(c) for c in system.teacher]]
    return [1 if a[0] * b[1] >= a[1] * b[0] else -1 for a, b in itertools.combinations(rows, 2)]


def _evaluated(made, index, s):
    """Polynomial and derivative by their definition, ``T_k(cos u) = cos(k u)``."""
    u = arb(s).acos()
    rows = made.pieces[index].rows
    values = [
        sum((arb((c, -made.bits)) * (k * u).cos() for k, c in enumerate(row)), arb(0))
        for row in rows
    ]
    rates = [
        sum((arb((c, -made.bits)) * k * (k * u).sin() / u.sin() for k, c in enumerate(row)), arb(0))
        for row in rows
    ]
    return values, rates


def test_the_stated_defect_of_means_holds_between_the_nodes():
    system, _ = means.problem("three")
    made = means.certificate("three", 12)
    field = means.textbook_field(system.weights)
    with precision(300), mp.workdps(60):
        for index in range(0, len(made.pieces), 5):
            piece, span = made.pieces[index], made.span(index)
            worst = arb(0)
            for s in np.random.default_rng(index).uniform(-1, 1, size=5):
                u = arb(s).acos()  # T_k(cos u) = cos(k u)
                values, rates = (
                    [
                        sum((arb((c, -made.bits)) * of(k) for k, c in enumerate(row)), arb(0))
                        for row in piece.rows
                    ]
                    for of in (
                        lambda k, u=u: (k * u).cos(),
                        lambda k, u=u: k * (k * u).sin() / u.sin(),
                    )
                )
                speed = (span.centre + span.half * arb(s)).exp()
                f = field([means.number(c) for c in values])
                worst = worst.max(
                    proof.norm(
                        [v / span.half - speed * ball(g) for v, g in zip(rates, f, strict=True)]
                    )
                )
            assert worst <= piece.defect
            assert worst > piece.defect * 1e-12  # nor is the bound empty


def test_positive_pivots_are_found_of_positive_matrices_only():
    positive = [[arb(2), arb(1)], [arb(1), arb(2)]]
    assert is_positive(positive)
    assert not is_positive([[arb(1), arb(2)], [arb(2), arb(1)]])
    assert not is_positive([[arb(2, 3), arb(1)], [arb(1), arb(2)]])  # not all of the box
    assert not is_positive([[arb.nan(), arb(0)], [arb(0), arb(1)]])


def test_growth_counts_what_a_box_does_to_slow_directions_only():
    random, slow = np.random.default_rng(0), 0.01
    wide = np.array([[100.0, 0.01, 0.02], [0.01, 1e-5, 1e-5], [0.02, 1e-5, 1e-5]])
    middle = np.diag([1000.0, 1e-3, -2e-3])
    box = [
        [arb(c, r) for c, r in zip(*rows, strict=True)] for rows in zip(middle, wide, strict=True)
    ]
    with precision(100):
        found, sharp = bounded(np.array(box), arb(0), arb(slow))
    assert sharp == pytest.approx(2e-3 / slow)
    assert found < 1.1 * sharp
    worst = -math.inf
    for _ in range(200):
        sign = random.choice([-1.0, 1.0], size=(3, 3))
        sign = np.triu(sign) + np.triu(sign, 1).T
        worst = max(worst, -float(np.linalg.eigvalsh(middle + sign * wide)[0]) / slow)
    assert sharp < worst <= found


def test_hessians_of_a_short_neuron_hardly_vary_along_it():
    random = np.random.default_rng(1)
    system = flows.ReLUNeuron(n=2, d=3)
    w = np.array([[0.6, 0.02, 0.01], [3e-4, 2e-7, -3e-7]])
    flow = system.ball_flow(w)
    with precision(100):
        rows = np.array([float(x.mid()) for x in flow.start]).reshape(2, 3)
        radius = np.array([[1e-6], [1e-3]]) * np.abs(rows)
        box = [arb(c, r) for c, r in zip(rows.ravel(), radius.ravel(), strict=True)]
        found = flow.hessian(box).tolist()
        for _ in range(100):
            inside = system.hessian(rows + random.uniform(-1, 1, size=rows.shape) * radius)
            for exact, ball in zip(inside.reshape(6, 6).tolist(), found, strict=True):
                # Doubles lose digits of what is divided by a short length.
                assert all(
                    (y + arb(0, 1e-11)).contains(x) for x, y in zip(exact, ball, strict=True)
                )
        stiff = float(found[4][4].mid())
        assert stiff > 1
        assert float(found[4][4].rad()) > 1e-4 * stiff
        assert float(found[3][3].rad()) < 1e-7 * stiff


def test_an_ellipse_on_which_the_field_is_not_analytic_is_not_used():
    made = neurons.certificate("plane", 8)
    piece, equations = made.pieces[5], equations_of(made.system, made.start)
    with precision(made.precision):
        span = made.span(5)
        found = best_ellipse(
            equations, segment_of(proof.Approximant(piece.rows, span, piece.signs, made.bits))
        )
        assert 1 < found.rho < 1024 and found.left <= piece.defect
        # A larger one is refused, and one before that was too large is tried no more.
        with pytest.raises(Refused):
            segment_of(proof.Approximant(piece.rows, span, piece.signs, made.bits)).most(
                equations, arb(1e6)
            )


def test_the_loss_of_vectors_that_are_about_opposite_stays_sharp():
    flow = flows.ReLUNeuron(n=2, d=2).ball_flow(np.array([[0.7, 0.1], [-0.2, 0.05]]))
    with precision(100):
        opposite = [arb(-0.2), arb(0, 1e-9)]  # to the teacher, on either side
        values = [flow.loss([*flow.start[:2], x, y]) for x, y in (opposite, (arb(-0.2), arb(0)))]
        assert values[0].contains(values[1])
        assert float(values[0].rad()) < 1e-7
