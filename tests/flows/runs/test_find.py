"""Potentials that are found, held against runs from random starts."""

import json
from dataclasses import replace
from fractions import Fraction

import numpy as np
import pytest
import sympy as sp

import flows
from flows.core.errors import InputError

a, b = sp.symbols("a b", real=True)
PRODUCT = flows.OwnSystem("product", [a, b], (a * b - 1) ** 2 / 2)
QUARTIC = flows.OwnSystem("quartic", [a, b], (a**2 + b**2) ** 2 / 4)
#: A sharp bound with a constant that is smaller by this part is passed late.
OFF = 1e-3
#: What a run may be off, beside a bound that it comes near to.
RUN = 1e-6


def starts(system, level, count=6):
    """Random starts with a loss below a level."""
    rng, found = np.random.default_rng(3), []
    while len(found) < count:
        start = rng.normal(size=2) * 1.5
        if system.loss(start) <= level:
            found.append(start)
    return found


def test_a_power_bounds_runs_at_every_time_and_no_smaller_one_does():
    found = flows.find_potential(QUARTIC)
    assert (found.verdict, found.exponent, found.constant) == ("PROVED", 2, sp.Rational(1, 16))
    passed = []
    for start in starts(QUARTIC, np.inf):
        run = flows.integrate(QUARTIC, start, 1e6)
        bound = float(found.constant) * run.t[1:] ** -float(found.exponent)
        assert (run["loss"][1:] <= bound * (1 + RUN)).all()
        passed.append(bool((run["loss"][1:] > bound * (1 - OFF)).any()))
    assert all(passed)


def test_a_bound_from_below_holds_at_every_time_and_no_larger_one_does():
    found = flows.find_potential(QUARTIC, rate=2, lower=True)
    C, q = float(found.constant), float(found.exponent)
    for start in starts(QUARTIC, np.inf):
        run = flows.integrate(QUARTIC, start, 1e6)
        bound = C * (run.t + (C / run["loss"][0]) ** (1 / q)) ** -q
        assert (run["loss"] >= bound * (1 - RUN)).all()
        assert (run["loss"] < bound * (1 + OFF)).any()
    bowl = flows.OwnSystem("bowl", [a, b], (a**2 + 3 * b**2) ** 2 / 4)
    (claim,) = flows.find_potential(bowl, rate=2, lower=True).claims()
    (verdict,) = flows.check(flows.integrate(bowl, [1.0, 0.5], 1e3), claim)
    assert verdict.verdict == "HOLDS"


def test_an_exponential_rate_bounds_runs_from_the_level_set():
    found = flows.find_potential(PRODUCT, level="1/8")
    assert (found.exponent, found.constant) == (None, 2)
    for start in starts(PRODUCT, 1 / 8):
        run = flows.integrate(PRODUCT, start, 8.0)
        assert (run["loss"] <= run["loss"][0] * np.exp(-2 * run.t) * (1 + RUN)).all()
    # The level itself: `a = b = 1/sqrt(2)` has the least slope, at once.
    slow = flows.integrate(PRODUCT, [2**-0.5, 2**-0.5], 1e-4, [1e-4])
    assert slow["loss"][-1] > 1 / 8 * np.exp(-2 * (1 + OFF) * 1e-4)


def test_starts_whose_path_is_short_do_not_leave_a_ball():
    radius, c = 0.5, sp.Rational(3, 4)
    ball = (a - c) ** 2 + (b - c) ** 2 <= sp.Rational(1, 4)
    found = flows.find_potential(PRODUCT, "exp", keep=[ball])
    assert found.proved and found.hypotheses == ()
    said = found.statement.partition("every start ")[2]
    assert said.startswith("with |(a - 3/4, b - 3/4)| + 2 (")
    rate, rng, inside = float(found.constant), np.random.default_rng(0), 0

    def away(start, time):
        run = flows.integrate(PRODUCT, start, time)
        return run, np.hypot(run["a"] - float(c), run["b"] - float(c))

    for start in rng.uniform(0.4, 1.3, (200, 2)):
        if np.linalg.norm(start - float(c)) + 2 * np.sqrt(PRODUCT.loss(start) / rate) < radius:
            inside += 1
            run, distance = away(start, 5.0)
            assert (distance < radius).all()
            assert (run["loss"] <= run["loss"][0] * np.exp(-rate * run.t) * (1 + RUN)).all()
    assert inside > 3
    # From another start in the ball the flow leaves it.
    _, distance = away([1.1, 0.45], 20.0)
    assert distance[0] < radius < distance[-1]
    # A path of a loss that falls like 1/t may have no end.
    slow = flows.find_potential(PRODUCT, 1, "1/8", keep=[ball])
    assert slow.proved and slow.hypotheses == ("-a**2 + 3*a/2 - b**2 + 3*b/2 - 7/8 >= 0",)


def test_two_layers_of_matrices_have_the_rate_of_their_least_singular_values():
    # In a ball of radius `r` around units both are `1 - r/sqrt(2)` at least.
    system = flows.MatrixFactorization(d=2, depth=2, regularization=0)
    off = [x for W in system.formula[0] for x in W.as_explicit() - sp.eye(2)]
    found = flows.find_potential(system, "exp", keep=[sum(x**2 for x in off) <= sp.Rational(1, 2)])
    assert found.proved and not found.hypotheses
    assert 1 - OFF < found.constant <= 1 and abs(found.best - 1) < OFF
    assert flows.verify(found).accepted


def test_the_claim_of_a_found_potential_holds_along_runs_and_a_sharper_one_does_not():
    bowl = (a**2 + 3 * b**2) ** 2 / 4
    found = flows.find_potential(flows.OwnSystem("bowl", [a, b], bowl), rate=2)
    (claim,) = found.claims()
    (verdict,) = flows.check(
        flows.integrate(flows.OwnSystem("bowl", [a, b], bowl), [1.0, 0.5], 1e3), claim
    )
    assert verdict.verdict == "HOLDS"
    (compared,) = claim.conclusions
    sharper = replace(compared, constant=1.5 * compared.constant)
    (verdict,) = flows.check(
        flows.integrate(flows.OwnSystem("bowl", [a, b], bowl), [1.0, 0.0], 1e3),
        replace(claim, conclusions=(sharper,)),
    )
    assert verdict.verdict == "VIOLATED"


@pytest.mark.parametrize(
    "options, inside, outside",
    [
        ({"level": "1/8"}, [0.9, 1.05], [0.2, 0.25]),
        ({"keep": [a**2 + b**2 >= 2]}, [1.7, 0.5], [0.2, 0.25]),
        ({"keep": [sp.Eq(a**2 - b**2, 2)]}, [1.6, 0.56**0.5], [1.2, 0.2]),
        # Off by a thousandth.
        ({"keep": [sp.Eq(a**2 - b**2, 2)]}, [1.6, 0.56**0.5], [1.6, 0.56**0.5 * 1.001]),
    ],
)
def test_the_conditions_of_a_theorem_are_hypotheses_of_its_claim(options, inside, outside):
    found = flows.find_potential(PRODUCT, "exp", **options)
    loss, observed = PRODUCT.expression, found.observed()
    system = flows.OwnSystem("product", [a, b], loss, potentials=observed)
    verdicts = [
        flows.check(flows.integrate(system, x, 3.0), found.claims())[0] for x in (inside, outside)
    ]
    assert verdicts[0].verdict == "HOLDS"
    assert verdicts[1].verdict in ("HYPOTHESIS_NOT_MET", "HOLDS_BEYOND")


def test_a_potential_of_entries_is_observed_along_runs():
    w = sp.MatrixSymbol("w", 2, 1)
    loss = (w[0, 0] ** 2 + 3 * w[1, 0] ** 2) ** 2 / 4
    found = flows.find_potential(flows.OwnSystem("bowl", [w], loss), rate=2, template=4)
    assert found.proved and found.V.has(w[0, 0])
    system = flows.OwnSystem("bowl", [w], loss, potentials={"V": found.V})
    run = flows.integrate(system, [1.0, 0.5], 1e3)
    (verdict,) = flows.check(run, found.claims()[0])
    assert verdict.verdict == "HOLDS"
    assert (run["V"] >= run["loss"] * (1 - RUN)).all()


def test_a_rate_is_read_off_runs_where_it_is_not_given():
    line = flows.OwnSystem("line", [a], (a - 1) ** 6)
    found = flows.find_potential(line)
    assert found.exponent == Fraction(3, 2)
    assert "t^(-3/2) for every start" in found.statement
    assert found.degree == 0


def test_what_is_not_found_says_so_and_disproves_nothing():
    found = flows.find_potential(PRODUCT)
    assert found.verdict == "NOT_FOUND"
    assert "give a level" in found.reason
    assert found.V is None and np.isnan(found.best)
    for use in (found.latex, found.claims, lambda: found.save("nothing.json")):
        with pytest.raises(InputError, match="nothing is proved"):
            use()


def test_the_best_constant_so_far_is_told_where_no_squares_prove_it():
    valley = flows.OwnSystem("valley", [a, b], (1 - a) ** 2 + (b - a**2) ** 2)
    reason = flows.find_potential(valley, "exp", degree=4).reason
    assert "up to degree 4: the best constant is about 0." in reason and "give a level" in reason


def test_plain_data_has_exact_numbers_as_text():
    data = flows.find_potential(QUARTIC, rate=2).to_json()
    assert data["constant"] == "1/16"
    assert data["rate"] == {"kind": "power", "exponent": "2"}
    json.dumps(data, allow_nan=False)


def test_a_theorem_has_its_squares():
    text = flows.find_potential(PRODUCT, rate="exp", level="1/8").latex()
    assert text.count(r"\begin{theorem}") == text.count(r"\end{proof}") == 1
    assert r"\dot V \le - 2 V" in text
    squares = [line for line in text.splitlines() if line.startswith(("& =", "& +"))]
    assert len(squares) >= 2


def test_a_budget_is_kept():
    X = sp.MatrixSymbol("X", 2, 2)
    misfit = X * X.T - sp.Matrix([[1, 0], [0, 0]])
    system = flows.OwnSystem("fit", [X], sp.trace(misfit * misfit.T) / 4)
    found = flows.find_potential(
        system, rate=4, level="1/50", coordinates=[X * X.T], max_seconds=0.01
    )
    assert found.verdict == "NOT_FOUND" and "budget" in found.reason


@pytest.mark.parametrize(
    "options, told",
    [
        ({"rate": "fast"}, "rate"),
        ({"rate": 0}, "rate"),
        ({"rate": 13}, "rate: expected p/q"),
        ({"level": "one"}, "level: expected a number"),
        ({"level": "1/0"}, "level"),
        ({"degree": 1.5}, "degree"),
        ({"degree": 99}, "degree"),
        ({"keep": ["a > 0"]}, "keep"),
        ({"coordinates": ["a*b"]}, "coordinates"),
        ({"template": ["a"]}, "template"),
        ({"free": True}, "free: expected a template"),
    ],
)
def test_other_input_is_refused_in_one_line(options, told):
    with pytest.raises(InputError, match=told) as refused:
        flows.find_potential(PRODUCT, **{"rate": "exp", **options})
    assert "\n" not in str(refused.value)


@pytest.mark.parametrize("degree", [0, 7, 1.5, True])
def test_invariants_have_a_degree(degree):
    with pytest.raises(InputError, match="degree"):
        PRODUCT.invariants(degree)


def test_a_system_without_a_polynomial_is_refused():
    with pytest.raises(InputError, match="polynomial"):
        flows.find_potential(flows.ReLUNeuron(n=2, d=2))
    with pytest.raises(InputError, match="no polynomial"):
        flows.OwnSystem("waves", [a], 1 - sp.cos(a)).invariants()
