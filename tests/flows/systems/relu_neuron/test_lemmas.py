"""Claims in the place of lemmas, and the toy examples: each holds, and broken a little fails."""

from dataclasses import replace
from functools import cache

import numpy as np
import pytest
import sympy as sp
from mpmath import mp
from oracles import relu_neuron as oracle

import flows
import potentials
from flows.systems.relu_neuron.curvature import curvature
from flows.systems.relu_neuron.state import Frame, SoundState
from potentials.notation import symbol
from symbolic.systems.relu_neuron import phase_3, toy

CLAIMS = {c.id: c for c in potentials.claims("relu_neuron")}
# A claim's constant, or the tightest one of the run, is broken by a thousandth.
A_THOUSANDTH = sp.Rational(1, 1000)
# Rounding of a quotient of sums of a few terms, each right to 1e-15.
ROUNDING = 1e-12

# Bounds that are attained in the limit; a thousandth is room for the numerical error.
ATTAINED = {"gradient_upper", "equal_rate", "parallel_rate"}

MIRROR = ((0.3, 0.2), (0.3, -0.2))
ALONG = ((0.2, 0.0), (0.1, 0.0))
EQUAL = ((0.1, 0.2), (0.1, 0.2), (0.1, 0.2))
# Where each claim is tested: a start, and where the run ends.
STARTS = {
    "random": (((0.05, 0.1, -0.02), (-0.02, 0.06, 0.1), (0.1, -0.05, 0.03)), 1e6),
    "alone": (((0.1, 0.2),), 1e3),
    "mirror": (MIRROR, 1e8),
    "along": (ALONG, 1e3),
    "equal": (EQUAL, 1e3),
}
PLACE = {
    "kappa_persists": "random",
    "phase_times": "mirror",
    "residual_vs_loss": "random",
    "gradient_upper": "along",
    "finite_movement": "random",
    "hessian_bounds": "random",
    "distance_vs_reach": "random",
    "angle_vs_reach": "random",
    "mirror_pair": "mirror",
    "parallel_rate": "along",
    "equal_rate": "equal",
}


@cache
def run(name):
    start, end = STARTS[name]
    start = np.array(start)
    return flows.integrate(flows.ReLUNeuron(*start.shape), start, t_end=end)


def verdict(name, claim):
    (found,) = flows.check(run(name), claim)
    return found


def with_constant(claim, index, constant):
    conclusions = list(claim.conclusions)
    conclusions[index] = replace(conclusions[index], constant=constant)
    return replace(claim, hypotheses=(), conclusions=tuple(conclusions))


@pytest.mark.parametrize("claim", PLACE)
def test_a_claim_holds_on_its_run(claim):
    # The two whose hypotheses ask for a small start of high dimension.
    expected = "HOLDS_BEYOND" if claim == "phase_times" else "HOLDS"
    assert verdict(PLACE[claim], claim).verdict == expected


@pytest.mark.parametrize(
    ("claim", "change"),
    [
        ("mirror_pair", 0.1),
        ("mirror_pair", -0.1),
        ("finite_movement", 0.1),
        ("gradient_upper", -0.1),
        ("equal_rate", -0.1),
        ("parallel_rate", 0.1),
    ],
)
def test_an_exponent_that_is_off_by_a_tenth_is_violated(claim, change):
    known = CLAIMS[claim]
    broken = replace(known, exponent=known.exponent + sp.Rational(change).limit_denominator(10))
    assert verdict(PLACE[claim], broken).verdict == "VIOLATED"


@pytest.mark.parametrize(
    "claim", sorted(set(PLACE) - ATTAINED - {"finite_movement", "mirror_pair"})
)
def test_a_thousandth_beyond_the_tightest_constant_is_violated_and_within_it_holds(claim):
    tightest = sp.Float(verdict(PLACE[claim], claim).constant)
    sense = 1 if CLAIMS[claim].conclusions[0].relation == "<=" else -1
    for change, expected in ((-sense, "VIOLATED"), (sense, "HOLDS")):
        changed = with_constant(CLAIMS[claim], 0, tightest * (1 + change * A_THOUSANDTH))
        assert verdict(PLACE[claim], changed).verdict == expected


def test_constants_that_are_attained_in_the_limit_are_violated_a_thousandth_beyond_it():
    upper = with_constant(CLAIMS["gradient_upper"], 0, 1 - A_THOUSANDTH)
    rate = with_constant(CLAIMS["equal_rate"], 0, 1 + A_THOUSANDTH)
    exact = with_constant(CLAIMS["parallel_rate"], 0, 1 + A_THOUSANDTH)
    for place in ("along", "equal", "alone"):
        assert verdict(place, upper).verdict == "VIOLATED"
        assert verdict(place, rate).verdict == "VIOLATED"
    assert verdict("along", exact).verdict == "VIOLATED"


def test_hypotheses_tell_the_toy_examples_apart():
    toys = ("mirror_pair", "parallel_rate", "equal_rate")
    holds = {place: [c for c in toys if verdict(place, c).verdict == "HOLDS"] for place in STARTS}
    assert holds == {
        "random": [],
        "alone": ["equal_rate"],
        "mirror": ["mirror_pair"],
        "along": ["parallel_rate", "equal_rate"],
        "equal": ["equal_rate"],
    }
    (against,) = flows.check(
        flows.integrate(flows.ReLUNeuron(2, 2), [[-0.2, 0.0], [-0.1, 0.0]], t_end=10),
        "parallel_rate",
    )
    assert against.verdict == "HYPOTHESIS_NOT_MET"


def test_a_verdict_repeats_how_the_times_are_read():
    assert "36 n^-14 |v|" in verdict("random", "loss_upper").message
    assert "T1 is read at" in verdict("random", "balance").message
    assert "is read at" not in verdict("random", "kappa_persists").message


def test_the_end_of_phase_2_comes_at_log_n_over_n():
    # At a tiny start H falls from |v| like exp(-n t/2), to the tenth in 2 log(10)/n. Output times
    # are a tenth of a decade apart.
    for n in (2, 5, 20):
        system = flows.ReLUNeuron(n=n, d=10)
        found = flows.integrate(system, system.initial(1e-6, seed=0), t_end=1e2)
        end = flows.runs.quantities.marked_times(found)["T2"]
        assert 1 <= end * n / (2 * np.log(10)) <= 10**0.1 * 1.01


@pytest.mark.parametrize("n", [1, 2, 3, 5])
def test_curvature_is_the_hessian_on_the_gradient(n):
    generator = np.random.default_rng(n)
    system = flows.ReLUNeuron(n=n, d=3, teacher=[0.7, 0.2, -0.1])
    for _ in range(5):
        w = generator.normal(size=(n, 3))
        w[-1] = w[0] if n > 3 else w[-1]
        g, hessian = system.gradient(w).ravel(), system.hessian(w)
        frame, state = system.reduce(w)
        one = type(state)(state.h[None], state.z[None], state.r[None])
        found = curvature(frame, one)[0]
        assert found == pytest.approx(g @ hessian @ g / (g @ g), rel=ROUNDING)


@pytest.mark.parametrize("size", [1e-3, 1e-8, 1e-15])
@pytest.mark.parametrize("side", [1.0, -1.0])
def test_curvature_beside_the_teacher_has_the_digits_of_what_is_left(side, size):
    # Pulls of the neuron next to the teacher and of the teacher cancel to this size.
    generator, mu, digits = np.random.default_rng(1), np.array([2.0, 1.0]), 60
    short, r = size * generator.normal(size=(2, 3))
    short[0] = side * abs(short[0])
    with mp.workdps(2 * digits):
        teacher, other, rest = (np.array([mp.mpf(x) for x in w]) for w in ([1, 0, 0], short, r))
        rows = np.array([(teacher + rest - other) / 2, other])

        def slope(w):
            return np.array(oracle.gradient(w.tolist(), [1.0, 0.0, 0.0], digits, mu.tolist()))

        g, step = slope(rows), mp.mpf(10) ** -20  # as small beside what is left as the gradient
        change = (slope(rows + step * g) - slope(rows - step * g)) / (2 * step)
        true = float((mu @ (g * change)).sum() / (mu @ (g * g)).sum())
    neurons = rows.astype(float)[None]
    state = SoundState(neurons[..., 0], neurons[..., 1:], r[None])
    frame = Frame(np.eye(3)[0], np.eye(3)[:, 1:], mu, np.array([0, 0, 1]))
    found = curvature(frame, state)[0]
    assert found == pytest.approx(true, rel=ROUNDING)
    assert found != pytest.approx(true * (1 + 1e-3), rel=ROUNDING)


def test_bounds_of_residual_gradient_and_hessian_hold_at_random_states():
    generator = np.random.default_rng(3)
    upper, most = float(phase_3.HESSIAN), float(phase_3.RESIDUAL_VS_LOSS)
    steepest = 0.0
    for n in (1, 2, 4):
        system = flows.ReLUNeuron(n=n, d=3)
        for _ in range(15):
            direction = generator.normal(size=(n, 3))
            direction /= np.linalg.norm(direction, axis=1)[:, None]
            w = direction * generator.uniform(0.25, 4, size=(n, 1)) / n
            loss, gradient = system.loss(w), system.gradient(w)
            assert np.sum(gradient**2) <= n * loss
            steepest = max(steepest, np.sum(gradient**2) / (n * loss))
            assert np.sum((w.sum(axis=0) - [1, 0, 0]) ** 2) <= most * n * loss
            eigenvalues = np.linalg.eigvalsh(system.hessian(w))
            assert -4 / np.pi * n <= eigenvalues[0] and eigenvalues[-1] <= upper * n
    assert steepest > 0.5


def test_the_rate_of_one_neuron_is_below_the_quotient_at_random_states_and_sharp_at_the_teacher():
    system = flows.ReLUNeuron(n=1, d=2)
    rate = sp.lambdify(sp.Symbol("x"), toy.rate_of_one(sp.Symbol("x")))
    for angle in (1e-4, 0.3, 1.5, 2.5, 3.1):
        best = (np.sin(angle) + (np.pi - angle) * np.cos(angle)) / np.pi
        for length in (0.1, max(best, 0.05), 1.0, 3.0):
            w = [[length * np.cos(angle), length * np.sin(angle)]]
            quotient = np.sum(system.gradient(w) ** 2) / system.loss(w)
            assert rate(angle) <= quotient <= 1 + ROUNDING
    assert 1 - rate(1e-4) < 1e-4


def test_the_largest_angle_may_fall_beyond_a_right_angle_and_lemma_30_needs_its_cap():
    system = flows.ReLUNeuron(n=3, d=4)
    wide = flows.integrate(system, system.initial(0.3, seed=4), t_end=1e3)
    assert wide["kappa_max"][0] > wide["kappa_max"].min() > np.pi / 2
    (capped,) = flows.check(wide, "kappa_persists")
    claim = CLAIMS["kappa_persists"]
    without = replace(claim.conclusions[0], rhs=symbol("kappa_max_0"))
    (bare,) = flows.check(wide, replace(claim, conclusions=(without,)))
    assert (capped.verdict, bare.verdict) == ("HOLDS", "VIOLATED")


def test_a_mirror_pair_lies_between_the_two_bounds_at_all_times():
    # On h = |v|/2, which the flow keeps, from theta = 1/2.
    system = flows.ReLUNeuron(n=2, d=2)
    side = 0.5 * np.tan(0.5)
    pair = flows.integrate(system, [[0.5, side], [0.5, -side]], t_end=1e9)
    theta, t, loss = 0.5, pair.t, pair["loss"]
    lower = theta**3 / (6 * np.pi * (1 + theta * t / np.pi) ** 3)
    upper = 2 * theta**3 / (9 * np.pi * (1 + 5 * theta * t / (6 * np.pi)) ** 3)
    assert (lower <= loss).all() and (loss <= upper).all()
    # 1/theta grows by 1/pi in the limit, so a slope that is off by a thousandth crosses the loss.
    slope = theta * t / np.pi * (1 - 1e-3)
    assert (theta**3 / (6 * np.pi * (1 + slope) ** 3) > loss).any()
    assert loss[0] / upper[0] > 0.9
