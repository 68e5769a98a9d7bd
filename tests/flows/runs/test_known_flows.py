"""Claims and constants of losses whose flow is known in closed form: nothing said is false.

A claim that is false for all time never HOLDS in a run that resolves it, a true one is never
VIOLATED, and a limit lies within its error. `make fuzz` takes more of them.
"""

import os

import numpy as np
import pytest
import sympy as sp

import flows
from flows.runs import bends, rates
from flows.runs.rates import local_exponent
from potentials import symbol

# Runs in all; `make fuzz` asks for 500. Each run has so many claims.
RUNS = int(os.environ.get("POPFLOW_FUZZ", "6"))
CLAIMS = 6
# Powers of time, and of its logarithm, by which a claim is off: a run of three decades sees them.
POWERS, LOGS = (0.0, 0.0, 0.1, -0.1, 1.0, -1.0), (0.0, 0.1, -0.1, 1.0, -1.0, 3.0)

X, Y, Z, C = sp.symbols("x y z C")
LOSS, T, P = symbol("loss"), symbol("t"), symbol("P")


def power_flow(rng):
    """`x' = -x^(p-1)`, so that `L` is like `t^-p/(p-2)`, and `P = x^2` like `t^-2/(p-2)`."""
    p = int(rng.choice([4, 6, 8]))
    system = flows.OwnSystem("power", [X], X**p / p, potentials={"P": X**2})
    powers = {LOSS: (-p / (p - 2), 0), P: (-2 / (p - 2), 0)}
    return flows.integrate(system, [rng.uniform(0.7, 2)], 10 ** rng.uniform(4, 10)), powers


def logarithmic_flow(rng):
    """`x' = exp(-x)`, so that `L = exp(-x)` is like `1/t`, and `P = x` like `log t`."""
    system = flows.OwnSystem("logarithmic", [X], sp.exp(-X), potentials={"P": X})
    powers = {LOSS: (-1, 0), P: (0, 1)}
    return flows.integrate(system, [rng.uniform(0.5, 2)], 10 ** rng.uniform(4, 10)), powers


def random_claim(rng, powers, end):
    """A relation, whether a constant serves it, and whether the ratio moves so where the run ends.

    What leads is the power; a logarithm to a high power may outweigh it until then.
    """
    inner = {q: sp.Rational(int(rng.integers(0, 3)), 2) for q in powers}
    of_time, of_log = (float(sum(inner[q] * powers[q][k] for q in powers)) for k in (0, 1))
    more = rng.choice(POWERS), rng.choice(LOGS)
    bound = (1 + T) ** sp.Float(of_time + more[0]) * sp.log(3 + T) ** sp.Float(of_log + more[1])
    lhs = sp.Mul(*(q**k for q, k in inner.items()))
    # lhs/bound is like t^-more[0] (log t)^-more[1].
    leading, now = next((-x for x in more if x), 0.0), -more[0] - more[1] / np.log(end)
    upper = bool(rng.random() < 0.5)
    relation = lhs <= C * bound if upper else lhs >= C * bound
    return relation, leading <= 0 if upper else leading >= 0, leading * now >= 0


@pytest.mark.parametrize("flow", [power_flow, logarithmic_flow])
@pytest.mark.parametrize("seed", range(RUNS // 2))
def test_no_claim_that_is_false_for_all_time_holds_and_no_true_one_is_violated(flow, seed):
    rng = np.random.default_rng(seed)
    run, powers = flow(rng)
    for _ in range(CLAIMS):
        relation, true, seen = random_claim(rng, powers, run.t[-1])
        if relation.has(C) and (true or seen):  # no number is left of C <= C
            (found,) = flows.check(run, relation)
            assert found.verdict != ("VIOLATED" if true else "HOLDS"), (relation, found.message)


def separable(rng):
    """`L = sum a x^p/p`, each direction in its own time: `t^p/(p-2) L` tends to a known sum."""
    p, many = int(rng.choice([4, 6])), int(rng.integers(1, 4))
    names = (X, Y, Z)[:many]
    a = [sp.Rational(int(k), 4) for k in rng.integers(1, 9, many)]
    start = 10 ** rng.uniform(-4, 0, many)
    system = flows.OwnSystem("own", names, sum(k * x**p / p for k, x in zip(a, names, strict=True)))
    q = p / (p - 2)
    limit = sum(float(k) / p * ((p - 2) * float(k)) ** -q for k in a)
    return system, start, q, limit


@pytest.mark.parametrize("seed", range(RUNS))
def test_a_constant_lies_within_its_error_whatever_has_not_had_its_time(seed):
    rng = np.random.default_rng(seed)
    system, start, q, limit = separable(rng)
    run = flows.integrate(system, start, 10 ** rng.uniform(3, 12))
    found = flows.tail_constant(run, exponent=q)
    assert np.isnan(found.value) or abs(found.value - limit) <= found.error, (start, found)


# Beside a saddle of its leading form a state stays for decades: y grows beside x like t^(1/2 - 2b).
B = sp.Rational(2, 5)
WAITING = flows.OwnSystem("waiting", [X, Y], (X**4 + Y**4) / 4)
SADDLE = flows.OwnSystem("saddle", [X, Y], X**4 / 4 + B * X**2 * Y**2 + Y**4 / 16)
TURNING = flows.OwnSystem("turning", [X, Y], (X**2 + Y**2) ** 2 / 4 + Y**4 / 4)
LEAVING = {
    "two directions, each in its time": (WAITING, [1, 1e-3], 1 / 8),
    "a saddle of the leading form": (SADDLE, [1, 1e-3], 1 / 4),
    "one that turns very slowly": (TURNING, [1, 1], 1 / 16),
}


@pytest.mark.parametrize("case", LEAVING)
def test_a_constant_beside_a_saddle_of_the_leading_form_has_an_error_that_is_true(case):
    system, start, limit = LEAVING[case]
    for end in (1e3, 1e5, 1e9):
        found = flows.tail_constant(flows.integrate(system, start, end), exponent=2)
        assert abs(found.value - limit) <= found.error


def test_a_direction_that_waits_is_seen_by_its_curvature_alone(monkeypatch):
    # At t = 1000 the second direction is 1e-5 of the constant; it will be half of it.
    run = flows.integrate(WAITING, [1, 1e-3], 1e3)
    assert "can still turn" in flows.tail_constant(run, exponent=2).reason
    monkeypatch.setattr(bends, "NEUTRAL", 0.0)
    monkeypatch.setattr(rates, "reach", lambda *given: 0.0)
    found = flows.tail_constant(run, exponent=2)
    assert abs(found.value - 1 / 8) > 100 * found.error


@pytest.mark.parametrize("loss", [X**4 * (1 + Y**2) / 4, (X * Y - 1) ** 4 / 4])
def test_a_valley_does_not_wait(loss):
    run = flows.integrate(flows.OwnSystem("valley", [X, Y], loss), [1, 0.5], 1e6)
    assert not bends.turns(run, local_exponent(run))


# Degree 24: along x the loss is like t^-12/11, and the state leaves for y, where it is 1.2 times as
# large, as the angle grows like t^(9/264).
STEEP = (X**24 + 3 * X**22 * Y**2 + Y**24 / 8) / 24


def test_a_form_of_any_degree_can_have_a_direction_that_waits():
    run = flows.integrate(flows.OwnSystem("steep", [X, Y], STEEP), [1, 1e-5], 1e9)
    found = flows.tail_constant(run, exponent=12 / 11)
    along = (22 * 24 / 24) ** (-12 / 11) / 24
    assert found.value == pytest.approx(along, rel=1e-3)
    assert abs(8 ** (1 / 11) * along - found.value) <= found.error


@pytest.mark.parametrize("end", [1e4, 1e8, 1e12])
@pytest.mark.parametrize("k", [1, 2, 4])
def test_a_state_that_recedes_for_ever_does_not_wait(k, end):
    # L = exp(-(x y)^k) is like 1/(t (log t)^q); curvature across falls as slowly.
    system = flows.OwnSystem("receding", [X, Y], sp.exp(-((X * Y) ** k)))
    run = flows.integrate(system, [1.2, 1.3], end)
    assert not bends.turns(run, local_exponent(run))
    # Control: of a power of the same exponent at the end nothing is said to recede.
    power = np.full(len(run.t), local_exponent(run)[-1])
    assert not bends._recedes(-power[-1], -power[0], run.t[-1], run.t[-1] / 100)
