"""Runs to infinity along a largest margin, or a ray: constants of papers, exact directions."""

import numpy as np
import pytest
import sympy as sp

import flows
from flows.core.margin_escape import margin_escape
from symbolic.asymptotics.point import Point

A, B, C = sp.symbols("a b c", real=True)
# A constant of a law agrees with a run to what is left of it at its end; another one is far off.
END, OFF = 1e-3, 1e-2
# The same of powers of log t, whose next corrections are squares of 1/log t.
END_OF_LOGS, OFF_OF_LOGS = 6e-3, 2e-2


def logistic(*rows):
    """Logistic loss of separable data, each row with its sign."""
    return sum(sp.log(1 + sp.exp(-(x * A + y * B))) for x, y in rows)


Z = sp.exp(A) + sp.exp(B) + sp.exp(C)
SCORE = 2 * sp.exp(A) / (sp.exp(A) + sp.exp(B)) - 1
# Loss, start, direction of the largest margin, and its square: the constant of `1/t`.
CASES = {
    # Soudry et al. 2018: w = what log t + .., with the L2 margin.
    "two points": (logistic((2, 1), (1, 2)), [0.1, 0.2], (1, 1), sp.Rational(1, 3)),
    "one of three decides": (logistic((3, 1), (1, 0), (2, 1)), [0.0, 0.1], (1, 0), sp.S.One),
    "two of three": (logistic((2, 1), (1, -1), (1, 3)), [0.1, 0.2], (1, 0), sp.S.One),
    # Mei et al. 2020: policy gradient with softmax, three arms, t L -> 2/3 for any rewards.
    "a bandit": (
        1 - (sp.exp(A) + sp.exp(B) / 2) / Z,
        [0.1, 0.2, -0.1],
        (2, -1, -1),
        sp.Rational(1, 3),
    ),
    "a softmax": (-sp.log(sp.exp(A) / (sp.exp(A) + sp.exp(B))), [0.0, 0.1], (1, -1), sp.S.Half),
    # The mean of two directions is one that decides, too.
    "three on a line": (
        sp.exp(-A) + sp.exp(-B) + sp.exp(-(A + B) / 2),
        [0.1, 0.2],
        (1, 1),
        sp.S.One,
    ),
    # Attention to two tokens with the values 1 and -1: a score and a trained or a fixed value.
    "attention": (sp.log(1 + sp.exp(-C * SCORE)), [0.1, 0.0, 0.3], (0, 0, 1), sp.S.One),
    "a fixed value": (sp.log(1 + sp.exp(-SCORE)), [0.1, 0.0], (1, -1), sp.S.Half),
    "a limit of its own": ((sp.tanh(A) - 2) ** 2 + sp.exp(-B), [0.1, 0.2], (1, 2), sp.S.Half),
}
#: Scores grow like log log t, by so much in units of log t.
ASIDE = {"attention": 0.1}
#: Limits of losses that do not tend to zero.
LIMITS = {"a fixed value": sp.log(1 + sp.exp(-1)), "a limit of its own": sp.S.One}


@pytest.mark.parametrize("name", CASES)
def test_the_law_has_the_constant_of_the_margin(name):
    loss, start, direction, unit = CASES[name]
    blocks = [A, B, C][: len(start)]
    run = flows.integrate(flows.OwnSystem("margin", blocks, loss), start, 1e8)
    law = flows.late_time_law(run)
    (found,) = law.laws
    constant = unit**2 * sum(x**2 for x in direction)
    assert sp.simplify(sp.S(found.constant_exact) - constant) == 0 and found.exponent == 1
    assert law.chosen is not None and "log t" in " ".join(law.notes)
    limit = LIMITS.get(name, sp.S.Zero)
    assert sp.simplify(law.derived.limit - limit) == 0
    reached = run.t[-1] * (run["loss"][-1] - float(limit))
    assert reached == pytest.approx(float(constant), rel=END)
    assert reached != pytest.approx(float(constant) * (1 + OFF), rel=END)
    # The state grows along this direction, in each factor of ten by its logarithm.
    k = int(np.searchsorted(run.t, 1e6))
    moved = (run.state[-1] - run.state[k]) / np.log(run.t[-1] / run.t[k])
    assert moved == pytest.approx(
        np.array(direction) * float(unit), rel=1e-2, abs=ASIDE.get(name, 1e-2)
    )


#: Networks of `d` layers on two points `(2, 1)` and `(1, 2)`, whose margin is `3/sqrt(2)`.
DEEP = {
    2: (sp.exp(-C * (2 * A + B)) + sp.exp(-C * (A + 2 * B)), [0.4, 0.3, 0.1]),
    3: (sp.exp(-(C**2) * (2 * A + B)) + sp.exp(-(C**2) * (A + 2 * B)), [0.5, 0.3, 0.4]),
}


@pytest.mark.parametrize("depth", DEEP)
def test_layers_on_data_have_the_law_of_their_margin(depth):
    loss, start = DEEP[depth]
    run = flows.integrate(flows.OwnSystem("deep", [C, A, B], loss), start, 1e12)
    law = flows.late_time_law(run)
    (found,) = law.laws
    # |what|^2 = (1/f)^(2/d) with the largest margin f over unit vectors, in which layers are equal;
    # L ~ |what|^2/d^2 t^-1 (log t)^(-2 (d - 1)/d).
    share = {2: sp.sqrt(sp.Rational(1, 4)), 3: sp.Rational(2, 3) * sp.sqrt(sp.Rational(1, 3))}
    margin = 3 / sp.sqrt(2) * share[depth]
    constant = margin ** sp.Rational(-2, depth) / depth**2
    assert found.log_exponent == sp.Rational(2 * (depth - 1), depth)
    assert found.constant == pytest.approx(float(constant), rel=1e-8)
    assert sp.simplify(found.constant_exact - constant) == 0
    # t L (-log L)^q is off by about 1/log t: two times tell its limit.
    k = [int(np.searchsorted(run.t, t)) for t in (1e5, 1e11)]
    loss, x = run["loss"][k], -1 / np.log(run["loss"][k])
    v = run.t[k] * loss * x ** -float(found.log_exponent)
    reached = (v[1] * x[0] - v[0] * x[1]) / (x[0] - x[1])
    assert reached == pytest.approx(found.constant, rel=END_OF_LOGS)
    assert reached != pytest.approx(found.constant * (1 + OFF_OF_LOGS), rel=END_OF_LOGS)


#: A saddle among directions, whose margin is not the largest one, and its constant from there.
SADDLES = {
    "of a line": (sp.exp(-2 * A**2 - B**2), [0.0, 0.4], [1e-12, 0.4], sp.Rational(1, 4)),
    "of one of two": (
        sp.exp(-(A**2) - B**2 + C**2 / 2) + sp.exp(-2 * A**2 - B**2 / 4 + C**2 / 2),
        [0.0, 0.4, 0.0],
        [1e-12, 0.4, 0.0],
        sp.S.One,
    ),
}


@pytest.mark.parametrize("name", SADDLES)
def test_a_run_next_to_a_saddle_among_directions_is_told_no_law(name):
    loss, on, beside, constant = SADDLES[name]
    system = flows.OwnSystem("saddle", [A, B, C][: len(on)], loss)
    exact, near = (flows.late_time_law(flows.integrate(system, y, 1e9)) for y in (on, beside))
    assert exact.laws[0].constant_exact == constant
    assert not near.laws  # by 1e9 its loss is the same to all digits


@pytest.mark.parametrize(
    "loss",
    [
        sp.exp(-A * B / 13) + sp.exp(-A),  # of two degrees
        sp.exp(-A) - sp.exp(-A - B / 50) / 2,  # one that ties with it pulls
        sp.exp(-A) - sp.exp(-B) / 2,  # an exponential that decides is negative
        1 / (1 + A**2) + sp.exp(-B),
    ],
    ids=str,
)
def test_other_losses_are_left_to_others(loss):
    point = Point((A, B), loss, sp.S.Zero, (), ())
    at = [12.0, 12.1]
    value = float(loss.subs({A: 12, B: sp.Rational(121, 10)}))
    assert margin_escape(point, at, abs(value)) is None


@pytest.mark.parametrize(
    ("loss", "start", "power", "constant"),
    [
        # With u = a b: u' = 2 u e^-u along a = b, so e^u = 2 t log t.
        (sp.log(1 + sp.exp(-A * B)) + sp.log(1 + sp.exp(-2 * A * B)), [0.9, 0.1], 1, sp.S.Half),
        # With u = a b c: u' = 3 u^(4/3) e^-u.
        (sp.log(1 + sp.exp(-A * B * C)), [0.9, 0.5, 0.3], sp.Rational(4, 3), sp.Rational(1, 3)),
    ],
    ids=["two layers", "three layers"],
)
def test_layers_that_begin_unbalanced_have_the_law_of_balanced_ones(loss, start, power, constant):
    run = flows.integrate(flows.OwnSystem("deep", [A, B, C][: len(start)], loss), start, 1e9)
    law = flows.late_time_law(run)
    (found,) = law.laws
    assert law.chosen == 0 and found.exponent == 1 and found.log_exponent == power
    assert sp.S(found.constant_exact) == constant
