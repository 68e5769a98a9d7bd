"""What is shown of a run: from quantities that were evaluated once."""

import numpy as np

import flows
from flows.pages.run_page import run_values
from flows.runs import trajectory
from flows.runs.quantities import Quantities

# Diagonal, so that nothing but its extreme singular values is asked for.
CHAIN = flows.MatrixFactorization(2, target=[[3.25, 0.0], [0.0, 1.75]])


def test_a_page_builds_its_quantities_once_and_decomposes_the_target_at_most_once(monkeypatch):
    built, decomposed, svd = [], [], np.linalg.svd

    def build(run):
        built.append(run)
        return Quantities(run)

    def decompose(matrix, *args, **options):
        decomposed.append(np.array_equal(matrix, CHAIN.target))
        return svd(matrix, *args, **options)

    monkeypatch.setattr(trajectory, "Quantities", build)
    monkeypatch.setattr(np.linalg, "svd", decompose)
    run = flows.integrate(CHAIN, CHAIN.initial(0.3, seed=1), 100.0)
    flows.check(run)
    values = run_values(run)
    assert values["verdicts"] and values["view"]
    assert len(built) == 1 and sum(decomposed) == 1
    # The counts count: another run has quantities of its own, the same target is known.
    run_values(flows.integrate(CHAIN, CHAIN.initial(0.3, seed=2), 100.0))
    assert len(built) == 2 and sum(decomposed) == 1


def test_hypotheses_that_fail_by_one_number_keep_a_row_each():
    # The least part along the teacher fails the hypothesis of the pair and that of the line.
    start = [[-0.1, 0.2], [0.3, 0.1], [0.2, -0.1]]
    rows = run_values(flows.integrate(flows.ReLUNeuron(3, 2), start, 100.0))["hypotheses"]
    said = {hypothesis.text: claims for hypothesis, claims in rows}
    assert said["h_i(0) > 0"] == "mirror_pair"
    assert [x for x in said.values() if x == "parallel_rate"] == ["parallel_rate"] * 2
