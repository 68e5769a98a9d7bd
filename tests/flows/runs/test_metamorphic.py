"""What does not change the flow does not turn a verdict round.

A run is integrated again with another end, tolerance, output times, or order of equal components: a
claim may become undecided, but never go from HOLDS to VIOLATED. `make fuzz` takes more starts.
"""

import os

import numpy as np
import pytest

import flows
from flows.runs.comparison import selected

# Runs in all: so many starts, each in VARIANTS ways. `make fuzz` asks for 500.
RUNS = int(os.environ.get("POPFLOW_FUZZ", "30"))
VARIANTS = 4
TRUE, FALSE = {"HOLDS"}, {"VIOLATED"}


ACTIVATIONS = ("relu", "leaky:0.1", "erf", "quadratic")


def random_system(rng):
    """One of the systems, small, with a start from a law of any size."""
    n, d = int(rng.integers(1, 4)), int(rng.integers(1, 3))
    kind, scale, seed = int(rng.integers(5)), 10.0 ** rng.uniform(-7, 0.3), int(rng.integers(1000))
    weights = tuple(rng.dirichlet(np.ones(n)).tolist())
    if kind == 4:
        activation = ACTIVATIONS[int(rng.integers(4))]
        system = flows.TwoLayer(n, d, 3, activation, train_outputs=bool(rng.random() < 0.4))
        return system, system.initial(max(scale, 1e-5), seed)
    if kind == 3:
        target = np.diag(np.sort(10.0 ** rng.uniform(-0.5, 0.5, d))[::-1])
        field, strength = ("real", "complex")[n % 2], float(rng.choice([0, 0.3, 1, 20]))
        depth = int(rng.integers(2, 6))
        system = flows.MatrixFactorization(d, field, strength, target, depth)
        return system, system.initial(scale, seed, bool(rng.random() < 0.5))
    system = (
        flows.ReLUNeuron(n, int(rng.integers(2, 8))),
        flows.GMMEM(n, d, weights if rng.random() < 0.5 else None),
        flows.ScoreMatching(n, d),
    )[kind]
    return system, system.initial(scale, seed)


def weights_of(system):
    return system.parameters.get("weights") or [1.0]


def variant(rng, system, start):
    """The same flow, asked for in another way."""
    t_end = 10.0 ** rng.uniform(-2, 12)
    times = None if rng.random() < 0.5 else np.geomspace(t_end * 1e-4, t_end, 60)
    # Layers have an order, and so do means of different weights.
    if not isinstance(system, flows.MatrixFactorization) and len(set(weights_of(system))) == 1:
        start = start[rng.permutation(len(start))]
    return flows.integrate(system, start, t_end, times, rtol=10.0 ** rng.uniform(-11, -6))


def turned(verdicts):
    """Claims that hold in one list of verdicts and are violated in another one.

    Also where hypotheses fail: a conclusion about late times is then true or false all the same.
    """
    found, late = {}, {}
    for one in verdicts:
        for v in one:
            found.setdefault(v.claim, set()).add(str(v.verdict))
            if v.compared != "sides" and v.conclusion is not None:
                late.setdefault(v.claim, set()).add(v.conclusion)
    turned = {claim: seen for claim, seen in found.items() if seen & TRUE and seen & FALSE}
    return turned | {claim: seen for claim, seen in late.items() if len(seen) > 1}


@pytest.mark.parametrize("seed", range(RUNS // VARIANTS))
def test_no_verdict_turns_round_with_end_tolerance_times_or_order(seed):
    rng = np.random.default_rng(seed)
    system, start = random_system(rng)
    verdicts = [flows.check(variant(rng, system, start)) for _ in range(VARIANTS)]
    assert turned(verdicts) == {}, (system, start.tolist())
    violated = [v for one in verdicts for v in one if v.verdict == "VIOLATED"]
    assert violated == [], (system, start.tolist())


def test_a_verdict_that_turns_round_is_seen():
    system = flows.ReLUNeuron(2, 3)
    run = flows.integrate(system, system.initial(0.1, 0), 1e9)
    verdicts = flows.check(run)
    assert turned([verdicts, verdicts]) == {}
    (held,) = (v for v in verdicts if v.claim == "loss_lower_constant")
    broken = [held.__class__(**{**held.__dict__, "verdict": "VIOLATED"})]
    assert turned([verdicts, broken]) == {"loss_lower_constant": {"HOLDS", "VIOLATED"}}


# Starts at which the late regime had not begun, and verdicts were false: what, from where, to when.
FAR = 12 * 2**0.5
EARLY = {
    "tiny means": (flows.GMMEM(3, 2), flows.GMMEM(3, 2).initial(0.001, 0), (1e3, 1e4, 1e5)),
    "one far mean": (flows.GMMEM(2, 1), [[0.0], [-6.0]], (10.0,)),
    "a farther mean": (flows.GMMEM(2, 1), [[0.0], [-8.0]], (1e3,)),
    "a mean at 20": (flows.GMMEM(2, 1), [[0.0], [-20.0]], (1e9,)),
    "the bad region": (flows.GMMEM(3, 2), [[FAR, 0], [-FAR, 0], [0, 0]], (1e2, 1e5, 1e9)),
    "a run of nothing": (flows.GMMEM(3, 2), flows.GMMEM(3, 2).initial(1.0, 0), (0.01,)),
    "nearly parallel": (
        flows.ReLUNeuron(2, 20),
        flows.ReLUNeuron(2, 20).initial(8.7e-7, 5),
        (3400,),
    ),
    "a small pair": (flows.ScoreMatching(2, 1), flows.ScoreMatching(2, 1).initial(1e-3, 0), (1e4,)),
}


def sides(v):
    """Whether a verdict rests on a comparison with an explicit constant."""
    return v.compared == "sides"


@pytest.mark.parametrize("case", EARLY)
@pytest.mark.parametrize("few", [False, True], ids=["default times", "eleven times"])
def test_before_the_late_regime_no_open_constant_is_decided(case, few):
    system, start, ends = EARLY[case]
    for end in ends:
        times = np.geomspace(end * 1e-3, end, 11) if few else None
        run = flows.integrate(system, start, end, times)
        open_ones = {c.id for c in run.statements.claims if c.asymptotic}
        decided = {
            v.claim: str(v.verdict)
            for v in flows.check(run)
            # An explicit part of a conclusion may fail at any time.
            if v.claim in open_ones and (v.conclusion or (v.conclusion is False and not sides(v)))
        }
        assert decided == {}, (end, decided)


def test_a_late_run_of_the_same_start_is_decided():
    for case in ("tiny means", "nearly parallel", "a small pair"):
        system, start, _ = EARLY[case]
        verdicts = {
            v.claim: str(v.verdict) for v in flows.check(flows.integrate(system, start, 1e12))
        }
        bound = {"gmm_em": "loss_upper", "relu_neuron": "distance_decay"}.get(system.name)
        assert bound is None or verdicts[bound] == "HOLDS"
        assert "VIOLATED" not in verdicts.values()


def test_a_failure_is_claimed_of_the_limit_only():
    system = flows.MatrixFactorization(2, "complex", 5.0)
    for end, expected in ((1.0, None), (1e4, False)):
        (found,) = flows.check(flows.integrate(system, system.initial(0.3, 1), end), "real_failure")
        assert (found.verdict, found.conclusion) == ("HYPOTHESIS_NOT_MET", expected)
    failing = flows.MatrixFactorization(1, "real", 0.0)
    start = np.array([-0.5, 0.5, 0.5, 0.5]).reshape(4, 1, 1)
    (found,) = flows.check(flows.integrate(failing, start, 1e8), "real_failure")
    assert found.verdict == "HOLDS"
    (early,) = flows.check(flows.integrate(failing, start, 1.0), "real_failure")
    assert early.verdict == "INCONCLUSIVE" and "late regime has not begun" in early.message


def test_a_phase_that_ends_between_two_outputs_has_neither_of_them():
    system = flows.ReLUNeuron(1, 6)
    start = [[6.792e-4, -1.146e-3, -1.64e-3, 1.369e-3, -1.092e-3, -7.154e-4]]
    fine = flows.integrate(system, start, 3e6)
    coarse = flows.integrate(system, start, 3e6, np.geomspace(300, 3e6, 60))
    claim = next(c for c in fine.statements.claims if c.id == "balance")
    phase_2 = claim.comparisons[1]
    assert selected(fine.quantities, phase_2).sum() > 10
    assert not selected(coarse.quantities, phase_2).any()
    within = fine.t[selected(fine.quantities, phase_2)[:, 0]]
    assert within[0] > fine.quantities["T1"] and within[-1] < fine.quantities["T2"]
    assert flows.check(fine, "balance")[0].verdict == "HOLDS"
    assert flows.check(coarse, "balance")[0].verdict == "INCONCLUSIVE"  # it was VIOLATED at 0
