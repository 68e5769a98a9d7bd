"""Deep linear chains against scalar differentiation and against chains in numbers."""

import itertools
from dataclasses import replace

import numpy as np
import pytest
import sympy as sp
from mpmath import mp

from symbolic import Evidence
from symbolic.language.matrix_calculus import adjoint, differential, evaluate, letters
from symbolic.systems.matrix_factorization.balanced import balanced_field
from symbolic.systems.matrix_factorization.chain import (
    STRENGTH,
    TARGET,
    balance_gradient,
    balance_loss,
    chain,
    defects,
    fit_gradient,
    fit_loss,
    layers,
)
from symbolic.systems.matrix_factorization.document import derive

DIGITS = 60
# Central differences with step 10^-15 in 60 digits: truncation 1e-30, rounding 1e-45.
STEP = mp.mpf("1e-15")
DIFFERENCE_ERROR = mp.mpf("1e-25")
# Products of a few dozen matrices in 60 digits.
ROUNDING = mp.mpf("1e-50")
# What is wrong is wrong by order one, in random matrices with entries of order one.
VISIBLE = mp.mpf("1e-3")
# One wrong term among dozens, relative to their sum, in degree up to fourteen.
SEEN = mp.mpf("1e-6")
# What is wrong is wrong by this factor: a slip in the third digit.
A_LITTLE = sp.Rational(1001, 1000)
A_VALUE = 1.7
DOCUMENT = derive()
STEPS = [
    pytest.param(step, id=f"{derivation.name}: {step.rule}")
    for derivation in DOCUMENT.derivations
    for step in derivation.steps
    if step.relation == "=="
]
INEQUALITIES = [s for s in DOCUMENT.steps if s.relation != "=="]
MATRIX_STEPS = [p for p in STEPS if not p.values[0].lhs.has(sp.Sum, sp.Derivative)]


def entries(side):
    return [e.doit() for e in (side if isinstance(side, sp.MatrixBase) else [side])]


def random_matrix(generator, d, field="complex"):
    imaginary = 1j if field == "complex" else 0
    return mp.matrix(generator.normal(size=(d, d)) + imaginary * generator.normal(size=(d, d)))


def random_values(symbols, seed=1, d=3):
    generator = np.random.default_rng(seed)
    return {
        x: mp.mpf(generator.uniform(0.5, 2)) if x.is_commutative else random_matrix(generator, d)
        for x in sorted(symbols, key=str)
    }


def size(value):
    return max(map(abs, value)) if isinstance(value, mp.matrix) else abs(value)


def discrepancy(lhs, rhs):
    """Largest difference of the sides for random complex matrices, in units of their size."""
    symbols = set().union(*(e.free_symbols for e in (*entries(lhs), *entries(rhs))))
    with mp.workdps(DIGITS):
        values = random_values(symbols)
        pairs = [
            (evaluate(a, values), evaluate(b, values))
            for a, b in zip(entries(lhs), entries(rhs), strict=True)
        ]
        return max(size(a - b) / (1 + size(a) + size(b)) for a, b in pairs)


def equal(lhs, rhs):
    return all(sp.expand(a - b) == 0 for a, b in zip(entries(lhs), entries(rhs), strict=True))


def mutants(step):
    """Sides with a sign changed, a factor 1.001, two letters exchanged, or an adjoint left out."""
    zero = step.rhs == 0
    whole, other = (step.lhs, step.rhs) if zero else (step.rhs, step.lhs)
    term = sp.Add.make_args(entries(whole)[0])[0]
    adjoints = sorted(set().union(*(e.atoms(adjoint) for e in entries(whole))), key=str)
    broken = [
        whole.xreplace({term: -term}),
        *(whole.xreplace({x: x.args[0]}) for x in adjoints[:2]),
    ]
    if not zero:  # of zero these are no errors
        names = sorted((x for x in whole.free_symbols if not x.is_commutative), key=str)
        swaps = [{a: b, b: a} for a, b in itertools.pairwise(names)]
        broken += [
            -whole,
            A_LITTLE * whole,
            *(whole.subs(swap, simultaneous=True) for swap in swaps),
        ]
    return [(m, other) for m in broken if not equal(m, whole)]


@pytest.mark.parametrize("step", STEPS)
def test_step_is_proved_by_expansion(step):
    assert equal(step.lhs, step.rhs)
    assert any(a != 0 for a in entries(step.lhs))


@pytest.mark.parametrize("step", INEQUALITIES, ids=lambda s: s.rule)
def test_an_inequality_of_numbers_is_proved_and_its_converse_refuted(step):
    assert step.verify().evidence is Evidence.PROVED
    converse = {"<=": ">=", ">=": "<="}[step.relation]
    assert replace(step, relation=converse).verify().evidence is Evidence.REFUTED


@pytest.mark.parametrize("step", MATRIX_STEPS)
def test_step_holds_for_random_complex_matrices(step):
    assert discrepancy(step.lhs, step.rhs) < ROUNDING


@pytest.mark.parametrize("step", MATRIX_STEPS)
def test_broken_step_fails_for_random_complex_matrices(step):
    broken = mutants(step)
    assert broken
    for lhs, rhs in broken:
        assert discrepancy(lhs, rhs) > SEEN


def product(matrices):
    result = mp.eye(matrices[0].rows)
    for matrix in matrices:
        result = matrix * result
    return result


def square(matrix):
    return mp.fsum(abs(x) ** 2 for x in matrix)


def losses(matrices, target):
    """Both parts of the loss, entry by entry."""
    pairs = itertools.pairwise(matrices)
    balance = mp.fsum(square(w * w.H - after.H * after) for w, after in pairs)
    return square(target - product(matrices)) / 2, A_VALUE * balance / 4


def scalar_gradient(part, matrices, target, j, field):
    """d/dRe + i d/dIm of a part of the loss by every entry of layer j."""
    d = target.rows
    result = mp.zeros(d)
    for row, column in itertools.product(range(d), repeat=2):
        for unit in (1, mp.j) if field == "complex" else (1,):
            by = mp.zeros(d)
            by[row, column] = unit * STEP
            forth, back = (
                losses([*matrices[:j], matrices[j] + sign * by, *matrices[j + 1 :]], target)[part]
                for sign in (1, -1)
            )
            result[row, column] += unit * (forth - back) / (2 * STEP)
    return result


def wrong_gradients(ws, j):
    """A sign, a swapped index, a missing adjoint: for each part."""
    outer, inside, error = chain(ws[j + 1 :]), chain(ws[:j]), TARGET - chain(ws)
    padded = (
        sp.S.Zero,
        *(w * adjoint(w) - adjoint(v) * v for w, v in itertools.pairwise(ws)),
        sp.S.Zero,
    )
    fit = [
        adjoint(outer) * error * adjoint(inside),
        -adjoint(inside) * error * adjoint(outer),
        -outer * error * adjoint(inside) if j < len(ws) - 1 else -error * inside,
    ]
    balance = [
        -balance_gradient(ws)[j],
        STRENGTH * (padded[j] * ws[j] - ws[j] * padded[j + 1]),
        STRENGTH * (padded[j + 1] * adjoint(ws[j]) - adjoint(ws[j]) * padded[j]),
    ]
    return fit, balance


@pytest.mark.parametrize("field", ["real", "complex"])
@pytest.mark.parametrize("depth", [2, 3, 4])
def test_gradients_are_those_of_scalar_differentiation(depth, field):
    generator = np.random.default_rng(depth)
    ws = layers(depth)
    with mp.workdps(DIGITS):
        matrices = [random_matrix(generator, 2, field) for _ in ws]
        target = random_matrix(generator, 2, field)
        values = {**dict(zip(ws, matrices, strict=True)), TARGET: target, STRENGTH: A_VALUE}
        stated = losses(matrices, target)
        assert abs(evaluate(fit_loss(ws), values) - stated[0]) < ROUNDING * stated[0]
        assert abs(evaluate(balance_loss(ws), values) - stated[1]) < ROUNDING * stated[1]
        for j in range(depth):
            both = (fit_gradient(ws)[j], balance_gradient(ws)[j])
            for part, right in enumerate(both):
                oracle = scalar_gradient(part, matrices, target, j, field)
                assert size(evaluate(right, values) - oracle) < DIFFERENCE_ERROR * size(oracle)
                for wrong in wrong_gradients(ws, j)[part]:
                    assert size(evaluate(wrong, values) - oracle) > VISIBLE


def test_defect_with_the_sides_exchanged_is_not_conserved():
    ws = layers(3)
    flow = {w: -g for w, g in zip(ws, fit_gradient(ws), strict=True)}
    right = defects(ws)[1]
    wrong = adjoint(ws[1]) * ws[1] - ws[2] * adjoint(ws[2])
    assert sp.expand(differential(right, flow)) == 0
    assert discrepancy(differential(wrong, flow), sp.S.Zero) > VISIBLE


def test_regulariser_with_the_sides_exchanged_moves_the_product():
    ws = layers(3)
    moved = {w: -g for w, g in zip(ws, balance_gradient(ws), strict=True)}
    swapped = {w: -g for w, g in zip(ws, reversed(balance_gradient(ws)), strict=True)}
    assert sp.expand(differential(chain(ws), moved)) == 0
    assert discrepancy(differential(chain(ws), swapped), sp.S.Zero) > VISIBLE


def unitary(generator, d, field):
    return mp.qr(random_matrix(generator, d, field))[0]


def balanced_chain(seed, field="complex", scale=1.0, d=3):
    """Layers with zero defects, and the factors of their product `U S^4 V^H`."""
    generator = np.random.default_rng(seed)
    first, second, third, u, v = (unitary(generator, d, field) for _ in range(5))
    s = mp.diag([mp.mpf(x) for x in scale * generator.uniform(0.3, 1, size=d)])
    return [first * s * v.H, second * s * first.H, third * s * second.H, u * s * third.H], (u, s, v)


def velocities(matrices, target):
    """Down the gradient of L_ori, written out for four layers."""
    w1, w2, w3, w4 = matrices
    error = target - w4 * w3 * w2 * w1
    return [
        (w4 * w3 * w2).H * error,
        (w4 * w3).H * error * w1.H,
        w4.H * error * (w2 * w1).H,
        error * (w3 * w2 * w1).H,
    ]


def two_matrices(matrices):
    w1, w2, w3, w4 = matrices
    return w1, w2**-1 * w3.H * w4.H


def rate_along_flow(quantity, matrices, target):
    """Difference quotient of a quantity of the four layers along the flow."""
    speed = velocities(matrices, target)
    forth, back = (
        quantity([w + sign * STEP * f for w, f in zip(matrices, speed, strict=True)])
        for sign in (1, -1)
    )
    return (forth - back) / (2 * STEP)


@pytest.mark.parametrize("field", ["real", "complex"])
def test_balanced_field_is_the_flow_of_the_four_layers(field):
    a, r = letters("A R")
    with mp.workdps(DIGITS):
        matrices, _ = balanced_chain(7, field)
        target = random_matrix(np.random.default_rng(8), 3, field)
        first, rest = two_matrices(matrices)
        assert size(rest.H * first * first.H * first - product(matrices)) < ROUNDING
        assert size(rest * rest.H - first * first.H) < ROUNDING
        values = {a: first, r: rest, TARGET: target}
        for k in range(2):
            rate = rate_along_flow(lambda m, k=k: two_matrices(m)[k], matrices, target)
            found = evaluate(balanced_field(a, r)[k], values)
            assert size(found - rate) < DIFFERENCE_ERROR
            exchanged = evaluate(balanced_field(r, a)[1 - k], values)
            assert size(exchanged - rate) > VISIBLE


def skew_error(matrices, target):
    first, rest = two_matrices(matrices)
    gap = first - rest
    return mp.re(mp.fsum((gap * target * gap.H)[k, k] for k in range(target.rows)))


def positive_matrix(seed, field, d=3):
    root = random_matrix(np.random.default_rng(seed), d, field)
    return root * root.H


@pytest.mark.parametrize("field", ["real", "complex"])
def test_skew_error_of_a_balanced_chain_falls_at_the_rate_that_was_derived(field):
    with mp.workdps(DIGITS):
        matrices, (u, s, v) = balanced_chain(9, field)
        target = positive_matrix(10, field)
        difference = (u - v) * s
        stated = mp.re(mp.fsum((difference.H * target * difference)[k, k] for k in range(3)))
        assert abs(skew_error(matrices, target) - stated) < ROUNDING * stated
        first, rest = two_matrices(matrices)
        gap, gram = first - rest, first * first.H
        root = mp.cholesky(target)
        derived = (
            -2 * square(first.H * gap * target)
            - 2 * square(first.H * gram * gap * root)
            - square(rest * target * first.H - first * target * rest.H)
        )
        rate = rate_along_flow(lambda m: skew_error(m, target), matrices, target)
        assert rate < 0
        assert abs(rate - derived) < DIFFERENCE_ERROR * abs(rate)


def test_skew_error_may_grow_off_balance():
    with mp.workdps(DIGITS):
        target = mp.matrix([[3]])
        rate = {
            second: rate_along_flow(
                lambda m: skew_error(m, target),
                [mp.matrix([[x]]) for x in (mp.mpf("0.6"), second, 1, 1)],
                target,
            )
            for second in (1, 2)
        }
        assert rate[2] > VISIBLE
        assert rate[1] < -VISIBLE


def least_eigenvalue(matrices):
    first, rest = two_matrices(matrices)
    total = first + rest
    return mp.eigh(total * total.H, eigvals_only=True)[0]


@pytest.mark.parametrize("field", ["real", "complex"])
def test_main_term_grows_while_the_product_is_below_the_target(field):
    sigma = mp.mpf("1.3")
    with mp.workdps(DIGITS):
        target = sigma * mp.eye(3)
        matrices, _ = balanced_chain(11, field)
        first, rest = two_matrices(matrices)
        values, vectors = mp.eigh((first + rest) * (first + rest).H)
        u, gram = vectors[:, 0], first * first.H
        turn = sigma * (rest * first.H - first * rest.H)
        growth = (u.H * (sigma * gram - gram**3) * u)[0]
        derived = mp.re(2 * values[0] * growth + square(turn.H * u) / sigma)
        rate = rate_along_flow(least_eigenvalue, matrices, target)
        assert rate > 0
        assert abs(rate - derived) < DIFFERENCE_ERROR * rate
        assert abs(rate - derived + square(turn.H * u) / sigma) > VISIBLE * rate


def test_main_term_falls_where_the_product_is_above_the_target():
    with mp.workdps(DIGITS):
        # U = V: no skew part; every singular value of W = 1.5^4 is above the target.
        matrices = [mp.mpf("1.5") * mp.eye(2)] * 4
        assert rate_along_flow(least_eigenvalue, matrices, mp.eye(2)) < -VISIBLE
