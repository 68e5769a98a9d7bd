"""Second derivatives of score matching against differences; mutants that matter are refuted."""

from dataclasses import replace

import numpy as np
import pytest
import sympy as sp
from mpmath import mp

from symbolic.evidence.identity import Evidence
from symbolic.language.lower import lower
from symbolic.lemmas import mixture_node as node
from symbolic.systems.score_matching import calculus as score_matching
from symbolic.systems.score_matching.stationary import POINT, stationary_loss, stationary_slope
from symbolic.systems.score_matching.tail import derive_far_rate

MEANS = [["0.9", "-0.4"], ["-0.3", "0.7"], ["0.2", "1.1"]]
MIXING, POINT_X = ["0.2", "0.5", "0.3"], ["0.37", "-1.3"]
# Central differences with step 10^-12 in 40 digits: truncation 1e-24, rounding 1e-28.
DIGITS, DIFFERENCE, DIFFERENCE_ERROR = 40, mp.mpf("1e-12"), mp.mpf("1e-20")

STEPS = {s.rule: s for d in score_matching.derive().derivations for s in d.steps}


def numbers(rows):
    return [[mp.mpf(x) for x in row] for row in rows]


def posterior(means):
    x = [mp.mpf(y) for y in POINT_X]
    logs = [mp.fdot(m, x) - mp.fdot(m, m) / 2 for m in means]
    weights = [mp.mpf(w) * mp.exp(e) for w, e in zip(MIXING, logs, strict=True)]
    psi = [w / mp.fsum(weights) for w in weights]
    return x, psi, [mp.fdot(psi, column) for column in zip(*means, strict=True)]


def half_gradient(means, i, a):
    """Half the integrand of the gradient by `mu_ia`."""
    x, psi, v = posterior(means)
    h_v = mp.fsum((m - y) * y for m, y in zip(means[i], v, strict=True))
    return psi[i] * (v[a] + h_v * (x[a] - means[i][a]))


def moved(means, j, c, by):
    return [
        [m + by if (k, b) == (j, c) else m for b, m in enumerate(row)]
        for k, row in enumerate(means)
    ]


@pytest.mark.parametrize(("i", "j"), [(0, 0), (0, 1), (2, 1), (1, 1)])
def test_the_hessian_integrands_are_differences_of_those_of_the_gradient(i, j):
    parts = lower(score_matching.hessian_integrands(), node.HESSIAN, "mpmath")
    with mp.workdps(DIGITS):
        means = numbers(MEANS)
        x, psi, v = posterior(means)
        w = [mp.mpf(y) for y in MIXING]
        rho = [p / y for p, y in zip(psi, w, strict=True)]
        h = [[m - y for m, y in zip(row, v, strict=True)] for row in means]
        away = [[y - m for y, m in zip(x, row, strict=True)] for row in means]
        for a, c in np.ndindex(2, 2):
            s_ac = mp.fsum(p * row[a] * row[c] for p, row in zip(psi, h, strict=True))
            outer, own = parts(
                rho[i],
                rho[j],
                v[a],
                v[c],
                mp.fdot(h[i], v),
                mp.fdot(h[j], v),
                mp.fdot(h[i], h[j]),
                away[i][a],
                away[i][c],
                away[j][c],
                h[i][c],
                h[j][a],
                s_ac,
                int(a == c),
            )
            found = w[i] * (w[j] * ((a == c) * rho[i] * rho[j] + outer) + (i == j) * own)
            up, down = (
                half_gradient(moved(means, j, c, sign * DIFFERENCE), i, a) for sign in (1, -1)
            )
            expected = (up - down) / (2 * DIFFERENCE)
            assert abs(found - expected) < DIFFERENCE_ERROR
            assert abs(found - w[i] * w[j] * outer - expected) > 1e3 * DIFFERENCE_ERROR


def test_the_slope_on_the_line_of_stationary_points_is_a_difference_of_the_loss():
    slope, loss = (lower((e,), POINT, "mpmath") for e in (stationary_slope(), stationary_loss()))
    with mp.workdps(DIGITS):
        s, x, zeros = mp.mpf("1.7"), mp.mpf("-0.6"), 2
        up, down = (loss(s + sign * DIFFERENCE, x, zeros)[0] for sign in (1, -1))
        assert abs(slope(s, x, zeros)[0] - (up - down) / (2 * DIFFERENCE)) < DIFFERENCE_ERROR
        assert abs(slope(s, x, 3)[0] - (up - down) / (2 * DIFFERENCE)) > 1e3 * DIFFERENCE_ERROR


def test_the_document_has_the_derivations_of_the_system_in_order():
    names = [d.name for d in score_matching.derive().derivations]
    assert names[0] == "score-matching loss" and names[-1] == "stationary point"
    assert len(names) == len(set(names)) == 9


def test_the_integrands_are_functions_of_what_is_known_at_a_node():
    assert score_matching.gradient_integrand().free_symbols <= set(node.GRADIENT)
    assert score_matching.near_gradient_integrand().free_symbols <= set(node.NEAR_GRADIENT)
    for part in score_matching.hessian_integrands():
        assert part.free_symbols <= set(node.HESSIAN)


@pytest.mark.parametrize(
    ("rule", "old", "new"),
    [
        # Growth by the square, not by the square root, of what gradient EM has.
        ("until the cluster has reached the target", sp.Rational(1, 2), sp.S.One),
        # A far loss of exp(-R^2/4), not exp(-R^2/8).
        ("pull on the far components, leading order", sp.Rational(-1, 8), sp.Rational(-1, 4)),
    ],
)
def test_another_exponent_is_refuted(rule, old, new):
    step = STEPS[rule]
    broken = step.rhs.xreplace({old: new})
    assert broken != step.rhs
    assert replace(step, rhs=broken).verify().finding.evidence is Evidence.REFUTED


def test_the_rate_without_its_logarithm_is_not_the_limit():
    (step,) = (s for s in derive_far_rate().steps if s.rule.startswith("the loss by time"))
    # 1/t and 1/(t log t) differ: without the logarithm the product vanishes.
    product = step.lhs.args[0]
    (logarithm,) = (f for f in product.args if f.has(sp.log))
    assert sp.limit(product / logarithm, *step.lhs.args[1:3]) == 0
    assert step.verify().finding.evidence is Evidence.PROVED
