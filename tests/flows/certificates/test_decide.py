import numpy as np
from flint import arb
from mpmath import mp
from oracles import relu_neuron as oracle
from oracles.certificates import ball
from oracles.certified import neurons

from flows.certificates import proof
from flows.certificates.decision import Proof, compared
from flows.core.balls import precision

# Sizes and number of planted false inequalities.
MARGIN, PLANTED = 1e-20, 10_000


def test_planted_false_inequalities_with_margin_1e_20_are_never_proved():
    # Losses, lengths and residuals of the oracle, against enclosures fine and coarse.
    generator = np.random.default_rng(0)
    system, _ = neurons.problem("span")
    pairs = []
    for t, x in list(zip(neurons.TIMES, neurons.reference("span"), strict=True))[::3]:
        rows = [x[k : k + system.d] for k in range(0, len(x), system.d)]
        with mp.workdps(neurons.DIGITS):
            true = [
                oracle.loss(rows, system.teacher, neurons.DIGITS),
                *(mp.norm(row) for row in rows),
                mp.norm([mp.fsum(c) for c in zip(*rows, strict=True)]),
            ]
        for digits in (8, 14, 30):
            made = neurons.certificate("span", digits)
            with precision(400):
                state = made.state(float(t))
                total = [sum(c[1:], c[0]) for c in zip(*state, strict=True)]
                enclosed = [
                    made.loss(float(t)),
                    *(proof.norm(row) for row in state),
                    proof.norm(total),
                ]
                pairs += [(ball(a), b, digits) for a, b in zip(true, enclosed, strict=True)]
    outcomes = []
    with precision(400):
        for index in generator.integers(len(pairs), size=PLANTED):
            value, enclosed, digits = pairs[index]
            relation = "<=" if generator.random() < 0.5 else ">="
            margin = MARGIN * 10 ** generator.uniform(0, 4) * (1 if relation == "<=" else -1)
            outcomes.append(
                (
                    digits,
                    compared(enclosed, relation, value * (1 - arb(margin))),
                    compared(enclosed, relation, value * (1 + arb(margin))),
                )
            )
    assert not any(false is Proof.PROVED for _, false, _ in outcomes)
    # The control: the finest enclosure refutes them, and proves what is true by that margin.
    assert all(
        false is Proof.REFUTED and true is Proof.PROVED
        for digits, false, true in outcomes
        if digits == 30
    )
    assert all(false is Proof.UNDECIDED for digits, false, _ in outcomes if digits == 8)


def test_comparisons_of_balls_are_certain_or_undecided():
    one, wide = arb(1), arb(1, 0.5)
    assert compared(one, "<=", arb(2)) is Proof.PROVED
    assert compared(arb(2), "<=", one) is Proof.REFUTED
    assert compared(wide, "<=", one) is Proof.UNDECIDED
    assert compared(one, ">=", one) is Proof.PROVED
    assert compared(one, ">=", one, strict=True) is Proof.REFUTED
    assert compared(arb.nan(), "<=", one) is Proof.UNDECIDED
