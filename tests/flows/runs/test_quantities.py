"""Quantities of a run: evaluated once, shared, and not to be changed from outside."""

import pickle
from collections import Counter

import numpy as np
import pytest
import sympy as sp

import flows
from flows.core.errors import InputError
from flows.runs import quantities
from flows.runs.quantities import Quantities
from flows.runs.rates import local_exponent, tail_constant
from potentials import Source
from potentials.claim import Comparison, UpperBound
from potentials.notation import symbol

SYSTEM = flows.ReLUNeuron(3, 4)
CHAIN = flows.MatrixFactorization(2, regularization=3.5)


@pytest.fixture
def run():
    return flows.integrate(SYSTEM, SYSTEM.initial(0.3, seed=2), 1e4)


@pytest.fixture
def evaluations(monkeypatch):
    """How often each potential was evaluated."""
    counts, evaluate = Counter(), quantities.evaluate

    def counting(potential, values):
        counts[potential.name] += 1
        return evaluate(potential, values)

    monkeypatch.setattr(quantities, "evaluate", counting)
    return counts


def test_check_rates_and_observables_evaluate_each_potential_once(run, evaluations):
    flows.check(run)
    tail_constant(run)
    for name in run.names[2:]:
        local_exponent(run, name)
        run.potential(name)
    assert set(run.names[2:]) - set(run.features) <= set(evaluations)
    assert set(evaluations.values()) == {1}
    Quantities(run)["pairwise_distance"]  # quantities of one's own are evaluated anew
    assert evaluations["pairwise_distance"] == 2


def test_a_target_is_decomposed_once_however_often_its_runs_are_measured(monkeypatch):
    decompositions, svd, targets = [], np.linalg.svd, (np.eye(2), np.diag([2.0, 1.5]))

    def counting(matrix, *args, **options):  # layers are decomposed, too
        decompositions.append(any(np.array_equal(matrix, target) for target in targets))
        return svd(matrix, *args, **options)

    monkeypatch.setattr(np.linalg, "svd", counting)
    run = flows.integrate(CHAIN, CHAIN.initial(0.3, seed=1), 100.0)
    flows.check(run)
    for name in run.names:
        local_exponent(run, name) if f"{name}_dot" in run.features else run[name]
    assert sum(decompositions) <= 1
    other = flows.MatrixFactorization(2, regularization=3.5, target=[[2.0, 0.0], [0.0, 1.5]])
    assert other.parameters["sigma_max"] == 2.0 and sum(decompositions) >= 1


def test_what_a_run_hands_out_is_the_callers_own(run):
    before = [v.to_json() for v in flows.check(run)]
    distance = run["pairwise_distance"].copy()
    for values in run.potential("pairwise_distance"):
        values[:] = np.nan
    run.parameters["teacher_norm"] = run.system.parameters["n"] = np.nan
    run.parameters["teacher"].clear()
    assert np.array_equal(run["pairwise_distance"], distance)
    assert [v.to_json() for v in flows.check(run)] == before
    assert run.parameters["teacher"] == [1.0, 0.0, 0.0, 0.0]
    # The shared quantities themselves are no copies.
    run.quantities["pairwise_distance"][:] = 0
    assert not run["pairwise_distance"].any()


def test_a_pickle_holds_the_run_and_not_what_was_evaluated_from_it(run):
    small = len(pickle.dumps(run))
    flows.check(run)
    again = pickle.loads(pickle.dumps(run))
    assert len(pickle.dumps(run)) == small
    assert [v.to_json() for v in flows.check(again)] == [v.to_json() for v in flows.check(run)]


def test_the_error_is_that_of_a_quantity_of_the_run(run):
    assert run.error("loss") == run.error() >= 100 * run.rtol
    # Distances between neurons hold the rounding of the neurons.
    assert 100 * run.rtol < run.error("pairwise_distance") < 101 * run.rtol
    assert run.error("h") == 100 * run.rtol
    with pytest.raises(InputError, match="unknown observable 'lost'; did you mean loss"):
        run.error("lost")


@pytest.mark.parametrize(
    ("given", "word"),
    [
        ({"lhs": symbol("residue")}, "unknown quantity 'residue'"),
        ({"where": (symbol("t") - symbol("T9"),)}, "unknown quantity 'T9'"),
        ({"lhs": symbol("loss_T9")}, "unknown quantity 'loss_T9'"),
        ({"lhs": symbol("norm")}, "norm: expected values for each state"),
    ],
)
def test_a_claim_in_other_quantities_is_refused_with_one_line(run, given, word):
    sides = {"lhs": symbol("loss"), "relation": "<=", "rhs": sp.S.One, "constant": sp.Integer(9)}
    assert flows.check(run, planted(Comparison(**sides)))[0].verdict.name == "HOLDS"
    with pytest.raises(InputError, match=word) as caught:
        flows.check(run, planted(Comparison(**{**sides, **given})))
    assert "\n" not in str(caught.value)


def planted(comparison):
    source = Source("no author", 2000, "0000.00000", "a test", "identity")
    return UpperBound(id="own", statement="own", source=source, conclusions=(comparison,))
