"""The start at which a claim is tightest: planted ones are found, random ones are beaten."""

import math
from dataclasses import replace

import numpy as np
import pytest
import sympy as sp

import flows
import potentials
from flows.core.errors import InputError
from flows.ensembles.integrate import integrate_ensemble
from flows.ensembles.starts import Law
from flows.ensembles.worst_case import worst_case
from flows.runs.check import check
from flows.runs.integrate import follow, integrate
from flows.systems.matrix_factorization.system import MatrixFactorization
from flows.systems.relu_neuron.system import ReLUNeuron
from potentials.claim import Comparison, Hypothesis, Inequality
from potentials.notation import symbol

SYSTEM = ReLUNeuron(n=2, d=3)
LAW = Law(size=8, scale=0.1, seed=3)
RUN = {"t_end": 50.0, "rtol": 1e-5, "method": "LSODA"}
SEARCH = {**RUN, "size": LAW.size, "scale": LAW.scale, "seed": LAW.seed}
# What is planted depends on the start only, not on how the run goes on.
PLANTED = {**SEARCH, "t_end": 0.1, "evaluations": 250}

# What a simplex in six dimensions leaves to a smooth optimum after so few evaluations.
FOUND = 1e-4
CLAIMS = {c.id: c for c in potentials.claims("relu_neuron")}
SIZE, ANGLE = 0.2, 1.0  # of the planted worst start, inside of what is searched


def planted(relation="<=", hypotheses=()):
    """Tight by an explicit function of the start: extreme at one size and one angle."""
    size, angle = symbol("sigma_0"), symbol("kappa_max_0")
    distance = sp.log(size / SIZE) ** 2 + (angle - ANGLE) ** 2
    tight = 2 - distance if relation == "<=" else 2 + distance
    return Inequality(
        id="planted",
        statement="",
        source=CLAIMS["separation"].source,
        conclusions=(Comparison(tight, relation, sp.S.One),),
        hypotheses=hypotheses,
    )


def features(start):
    start = np.asarray(start)
    across = start[:, 1:] / np.linalg.norm(start[:, 1:], axis=1)[:, None]
    return math.sqrt(np.mean(start**2)), math.acos(across[0] @ across[1])


@pytest.mark.parametrize(("relation", "sense"), [("<=", 1), (">=", -1)])
def test_a_planted_worst_start_is_found(relation, sense):
    found = worst_case(SYSTEM, planted(relation), **PLANTED)
    # Errors of the optimum's place enter its value squared.
    assert features(found.start) == pytest.approx((SIZE, ANGLE), abs=math.sqrt(FOUND))
    assert found.constant == pytest.approx(2, abs=FOUND)
    without = worst_case(SYSTEM, planted(relation), **{**PLANTED, "evaluations": 0})
    assert sense * (found.constant - without.constant) > 100 * FOUND
    assert without.evaluations == LAW.size


def test_the_size_of_a_start_is_bounded():
    found = worst_case(SYSTEM, planted(), **PLANTED, spread=1.5)
    size, angle = features(found.start)
    # The angle stays free: only the size is at the edge, to rounding.
    assert size == pytest.approx(1.5 * LAW.scale, rel=1e-12)
    assert angle == pytest.approx(ANGLE, abs=math.sqrt(FOUND))
    assert found.constant == pytest.approx(2 - math.log(SIZE / 0.15) ** 2, abs=FOUND)


def test_starts_outside_of_the_hypotheses_count_only_if_wanted():
    narrow = Hypothesis("kappa_max(0) >= 1.3", symbol("kappa_max_0"), ">=", sp.Rational(13, 10))
    claim = planted(hypotheses=(narrow,))
    found = worst_case(SYSTEM, claim, **PLANTED)
    assert features(found.start)[1] >= 1.3 and found.failures > 0
    assert 1.8 < found.constant < 2 - 0.3**2 + FOUND
    assert worst_case(SYSTEM, claim, **PLANTED, beyond=True).constant > 2 - FOUND


@pytest.mark.parametrize("claim", ["distance_decay", "gradient_lower", "transverse_vs_loss"])
def test_the_constant_is_tighter_than_that_of_every_random_start(claim):
    found = worst_case(SYSTEM, claim, **SEARCH, evaluations=50)
    ensemble = integrate_ensemble(SYSTEM, LAW, **RUN, claims=[claim])
    constants = ensemble[f"{claim}_constant"]
    sense = 1 if CLAIMS[claim].comparisons[0].relation == "<=" else -1
    assert (sense * found.constant > sense * constants).all()
    assert found.typical == np.median(constants) and found.evaluations == LAW.size + 50


def test_without_an_optimiser_it_is_the_tightest_random_start():
    found = worst_case(SYSTEM, "distance_decay", **SEARCH, evaluations=0)
    best = integrate_ensemble(SYSTEM, LAW, **RUN, claims=["distance_decay"]).tightest(
        "distance_decay"
    )
    assert (found.constant, found.attained_at) == (best.constant, best.attained_at)
    assert np.array_equal(found.start, LAW.start(SYSTEM, best.member))


def test_the_result_is_reproducible_bit_for_bit_and_depends_on_the_seed():
    one, two = (worst_case(SYSTEM, "distance_decay", **SEARCH, evaluations=50) for _ in range(2))
    assert one.start.tobytes() == two.start.tobytes() and one.verdict == two.verdict
    assert (one.constant, one.attained_at, one.typical, one.evaluations, one.failures) == (
        two.constant,
        two.attained_at,
        two.typical,
        two.evaluations,
        two.failures,
    )
    other = worst_case(SYSTEM, "distance_decay", **{**SEARCH, "seed": 4}, evaluations=50)
    assert other.constant != one.constant and other.seed == 4


def test_the_start_reproduces_the_constant():
    found = flows.worst_case(SYSTEM, "distance_vs_loss", **SEARCH, evaluations=30)
    (verdict,) = check(integrate(SYSTEM, found.start, **RUN), found.claim)
    assert verdict == found.verdict
    assert (verdict.constant, verdict.attained_at) == (found.constant, found.attained_at)


def test_runs_that_fail_are_counted_and_do_not_end_the_search(monkeypatch):
    calls = []

    def fragile(*given, **options):
        calls.append(1)
        if len(calls) % 3 == 0:
            raise ArithmeticError("a single run broke down")
        return follow(*given, **options)

    monkeypatch.setattr("flows.ensembles.worst_case.follow", fragile)
    found = worst_case(SYSTEM, "distance_decay", **SEARCH, evaluations=50)
    assert found.failures == len(calls) // 3 and found.evaluations == len(calls)
    assert math.isfinite(found.constant)


def test_an_error_of_the_program_is_raised(monkeypatch):
    def broken(*given, **options):
        raise TypeError("an error of the program")

    monkeypatch.setattr("flows.ensembles.worst_case.follow", broken)
    with pytest.raises(TypeError, match="an error of the program"):
        worst_case(SYSTEM, "distance_decay", **SEARCH)


def test_complex_starts_are_searched_too():
    system = MatrixFactorization(d=2, field="complex")
    found = worst_case(
        system,
        "balance_decays",
        t_end=3.0,
        rtol=1e-4,
        size=3,
        scale=0.5,
        evaluations=60,
        beyond=True,
    )
    # What was found is none of the random starts.
    random = [Law(size=3, scale=0.5).start(system, k) for k in range(3)]
    assert not any(np.array_equal(found.start, start) for start in random)
    assert found.start.dtype == complex and found.start.shape == random[0].shape
    assert found.start.imag.any()


def test_a_claim_without_a_single_constant_is_refused_in_one_line():
    identity = next(
        c for c in potentials.claims("matrix_factorization") if c.comparisons[0].relation == "=="
    )
    for system, claim in ((MatrixFactorization(d=2), identity), (SYSTEM, CLAIMS["balance"])):
        with pytest.raises(InputError, match="no single constant") as refusal:
            worst_case(system, claim, t_end=1.0)
        assert "\n" not in str(refusal.value) and claim.id in str(refusal.value)


def test_no_start_that_counts_is_told_in_one_line():
    never = replace(planted(), hypotheses=(Hypothesis("never", sp.S.One, "<", sp.S.Zero),))
    with pytest.raises(InputError, match="no random start of 8 has a constant of 'planted'") as no:
        worst_case(SYSTEM, never, **PLANTED)
    assert "\n" not in str(no.value)


@pytest.mark.parametrize(
    ("change", "word"),
    [
        ({"claim": "loss"}, "unknown claim 'loss'"),
        ({"t_end": -1.0}, "t_end"),
        ({"size": 0}, "size"),
        ({"seed": -1}, "seed"),
        ({"scale": -1.0}, "scale"),
        ({"evaluations": -1}, "evaluations"),
        ({"evaluations": 2.5}, "evaluations"),
        ({"spread": 0.5}, "spread"),
        ({"spread": math.nan}, "spread"),
        ({"method": "RK45"}, "RK45"),
        ({"rtol": 2.0}, "rtol"),
        ({"max_steps": 0}, "max_steps"),
        ({"max_steps": 0}, "max_steps"),
    ],
)
def test_bad_input_is_one_clear_line(change, word):
    with pytest.raises(InputError, match=word) as refusal:
        worst_case(SYSTEM, **{"claim": "distance_decay", **SEARCH, **change})
    assert "\n" not in str(refusal.value)
