import json

import numpy as np
import pytest
import sympy as sp

import flows
import potentials
from flows.core.errors import InputError
from flows.pages.curves import (
    Panel,
    claim_panels,
    exponent_panel,
    loss_panel,
    potential_panels,
    solved,
)
from flows.pages.interactive import _drawn, view
from flows.pages.plane import plane
from potentials.claim import LowerBound, UpperBound
from potentials.notation import symbol

# A bound with the tightest constant of a run touches the loss, up to rounding.
TOUCH = 1e-9
# Slacks of the proven claims are not negative, up to what a tolerance of 1e-10 leaves.
SLACK = 1e-7
# Of expressions with a constant in doubles.
ROUNDING = 1e-12


@pytest.fixture(scope="module")
def runs():
    systems = {
        "relu_neuron": (flows.ReLUNeuron(2, 3), 0.1),
        "gmm_em": (flows.GMMEM(2, 2), 1.0),
        "score_matching": (flows.ScoreMatching(2, 2, target=[1.0, 0.0]), 0.1),
        "matrix_factorization": (flows.MatrixFactorization(2, "complex", 20.0), 0.2),
        "two_layer": (flows.TwoLayer(3, 2), 0.5),
    }
    return {
        name: flows.integrate(system, system.initial(scale, 0), 1e5)
        for name, (system, scale) in systems.items()
    }


@pytest.fixture(scope="module", params=potentials.SYSTEMS)
def run(request, runs):
    return runs[request.param]


def test_bounds_lie_on_their_side_of_the_loss(run):
    loss, *bounds = loss_panel(run).series
    seen = np.isfinite(loss.values)
    assert loss.values[seen] == pytest.approx(run["loss"][seen])
    for bound in bounds:
        ratio = bound.values / loss.values
        ratio = ratio[np.isfinite(ratio)]
        assert len(ratio)
        gap = (ratio - 1) * (1 if bound.label.startswith("upper") else -1)
        assert gap.min() > -TOUCH, bound.label
        if "measured" in bound.label:
            assert gap.min() < TOUCH, bound.label


def test_a_bound_that_is_about_other_starts_and_fails_is_not_drawn():
    system = flows.MatrixFactorization(2, "real", 20.0)
    positive = next(s for k in range(20) if np.linalg.det(s := system.initial(0.2, k)).prod() > 0)
    run = flows.integrate(system, positive, 1e4)
    (verdict,) = flows.check(run, "real_failure")
    assert verdict.verdict == "HYPOTHESIS_NOT_MET"
    assert not any("real_failure" in s.label for s in loss_panel(run).series)


def test_curves_of_a_potential_are_its_value_and_derivative(run):
    for potential in potentials.potentials(run.system.name):
        drawn = potential_panels(run, potential.name)
        for panel, values in zip(drawn, run.potential(potential.name), strict=True):
            columns = values.reshape(len(run.t), -1).T
            if panel.note:
                assert not panel.series and not np.nan_to_num(columns).any()
                continue
            for series, column in zip(panel.series, columns, strict=True):
                shown = np.isfinite(series.values)
                assert (series.values[shown] == column[shown]).all()


def test_slack_is_negative_where_a_claim_fails_and_nowhere_else(run):
    verdicts = {v.claim: v for v in flows.check(run)}
    decided = 0
    for claim in potentials.claims(run.system.name):
        verdict, (_, slack) = verdicts[claim.id], claim_panels(run, claim)
        least = min((np.nanmin(s.values) for s in slack.series), default=np.nan)
        if any(c.relation == "==" for c in claim.comparisons) or np.isnan(least):
            continue
        if verdict.verdict in ("HOLDS", "HOLDS_BEYOND"):
            assert least > -SLACK, claim.id
            decided += 1
        elif "fails" in verdict.message and len(slack.series) == len(claim.comparisons):
            assert least < 0, claim.id
    assert decided


def test_a_claim_that_a_run_breaks_has_a_negative_slack(runs):
    (claim,) = (c for c in potentials.claims("gmm_em") if c.id == "bad_region")
    _, slack = claim_panels(runs["gmm_em"], claim)
    assert np.nanmin(slack.series[0].values) < -0.5


def test_levels_are_the_claimed_powers_of_time(runs):
    levels = {name: exponent_panel(run).levels for name, run in runs.items()}
    assert levels["relu_neuron"] == (-3.0,)
    assert levels["gmm_em"] == (-0.5,)
    assert levels["matrix_factorization"] == ()


def test_an_undefined_potential_is_said_to_be_undefined():
    run = flows.integrate(flows.ReLUNeuron(1, 2), [[0.05, 0.1]], 10.0)
    (panel, _) = potential_panels(run, "kappa_max")
    assert not panel.series and "undefined" in panel.note


def test_an_unknown_potential_is_refused_with_the_nearest(runs):
    with pytest.raises(InputError, match="did you mean kappa_max"):
        potential_panels(runs["relu_neuron"], "kapa_max")


#: A legend shows six digits; a page has one more.
SHOWN = 5e-7


def test_a_view_is_json_with_the_numbers_of_the_run(run):
    seen = json.loads(json.dumps(view(run), allow_nan=False))
    assert seen["t"] == run.t[1:].tolist()
    values = np.array(seen["loss"]["series"][0]["values"], dtype=float)  # none where it is 0
    drawn = run["loss"][1:] > 0
    assert np.isnan(values[~drawn]).all()
    assert values[drawn] == pytest.approx(run["loss"][1:][drawn], rel=SHOWN, abs=0)
    assert values[drawn] != pytest.approx((1 + 1e-5) * run["loss"][1:][drawn], rel=SHOWN, abs=0)
    assert [p["name"] for p in seen["potentials"]] == list(run.names[2:])
    assert {c["id"]: c["verdict"] for c in seen["claims"]} == {
        v.claim: str(v.verdict) for v in flows.check(run)
    }


def test_a_plane_keeps_the_lengths_of_what_lies_in_it():
    system = flows.ReLUNeuron(3, 2, teacher=[3.0, 4.0])
    run = flows.integrate(system, system.initial(0.5, 0), 100.0)
    seen = plane(run)
    assert np.linalg.norm(seen.paths, axis=2) == pytest.approx(np.linalg.norm(run.state, axis=2))
    assert seen.paths[..., 0] == pytest.approx(run.state @ [0.6, 0.8])
    assert seen.goals == (("teacher", 5.0, 0.0),)


def test_bodies_on_a_line_have_a_plane_all_the_same():
    run = flows.integrate(flows.ReLUNeuron(2, 3), [[0.1, 0, 0], [0.2, 0, 0]], 100.0)
    assert np.abs(plane(run).paths[..., 1]).max() == 0
    line = flows.GMMEM(2, 1)
    run = flows.integrate(line, [[1.0], [-0.5]], 100.0)
    assert np.abs(plane(run).paths[..., 0]) == pytest.approx(np.abs(run.state[..., 0]))


@pytest.mark.parametrize("d", [1, 2, 3])
@pytest.mark.parametrize("biases", [False, True])
def test_students_are_seen_with_their_teachers_and_on_a_line_with_biases(d, biases):
    teachers = np.random.default_rng(d).normal(size=(2, d))
    given = {"biases": True, "teacher_biases": [0.3, -0.4]} if biases else {}
    system = flows.TwoLayer(2, teachers, activation="relu", train_outputs=True, **given)
    run = flows.integrate(system, system.initial(0.5, 1), 0.1)
    seen = plane(run)
    assert seen.bodies == ("student 1", "student 2")
    wide = 2 if d == 1 and biases else d
    places, goals = run.state[..., :wide], teachers
    if wide > d:
        goals = np.column_stack([teachers, [0.3, -0.4]])
    assert {name for name, *_ in seen.goals} == {"teachers"}
    # On a plane as they are, in space as far from each other as the plane shows.
    found = np.array([place for _, *place in seen.goals])
    if d < 3:
        assert seen.paths[..., :wide] == pytest.approx(places)
        assert found[:, :wide] == pytest.approx(goals)
        assert found[:, :wide] != pytest.approx(1.001 * goals)
    else:
        lengths, whole = (np.linalg.norm(x, axis=-1) for x in (seen.paths, places))
        assert (lengths <= whole + 1e-12).all() and (lengths > 0).all()


def test_eigenvalues_are_those_of_the_product_and_move_without_jumps(runs):
    run = runs["matrix_factorization"]
    seen = plane(run)
    values = seen.paths[..., 0] + 1j * seen.paths[..., 1]
    w = run.state
    product = w[:, 3] @ w[:, 2] @ w[:, 1] @ w[:, 0]
    scale = np.abs(values).max()
    assert values.prod(axis=1) == pytest.approx(np.linalg.det(product), abs=1e-12 * scale)
    assert values.sum(axis=1) == pytest.approx(np.trace(product, axis1=1, axis2=2), abs=1e-12)
    steps = np.abs(np.diff(values, axis=0))
    swapped = np.abs(values[1:, ::-1] - values[:-1])
    assert (steps.sum(axis=1) <= swapped.sum(axis=1)).all()
    assert [goal[1:] for goal in seen.goals] == [(1.0, 0.0)]


BOUNDS = [
    pytest.param(comparison, id=f"{name}-{claim.id}")
    for name in potentials.SYSTEMS
    for claim in potentials.claims(name)
    if isinstance(claim, UpperBound | LowerBound)
    for comparison in claim.comparisons
    if symbol("loss") in comparison.lhs.free_symbols and comparison.over == "state"
]


@pytest.mark.parametrize("comparison", BOUNDS)
def test_a_bound_solved_for_the_loss_makes_both_sides_equal(comparison):
    bound = solved(comparison, 0.7)
    assert symbol("loss") not in bound.free_symbols
    names = sorted((comparison.lhs - comparison.rhs).free_symbols - {symbol("loss")}, key=str)
    numbers = {name: sp.Rational(k + 3, 2 * k + 5) for k, name in enumerate(names)}
    if symbol("t") in numbers:
        numbers[symbol("t")] = sp.Integer(7)
    left = comparison.lhs.subs(symbol("loss"), bound).subs(numbers).evalf(30)
    right = (0.7 * comparison.rhs).subs(numbers).evalf(30)
    assert abs(left / right - 1) < ROUNDING


def test_an_exponential_decay_has_linear_time_and_a_rate_in_its_view():
    system = flows.ReLUNeuron(n=1, d=2)
    alone = flows.integrate(system, system.initial(0.1, 0), 1e6)
    seen = view(alone)
    rate = [x for x in seen["exponent"]["series"][0]["values"] if x is not None]
    assert seen["exponent"]["label"] == "d log L/dt"
    assert 10 < seen["linear_until"] < 1e4
    assert rate[-1] == pytest.approx(-1.0, abs=0.01)  # the Hessian at the teacher is 1/2
    slow = flows.ReLUNeuron(n=2, d=2)
    assert view(flows.integrate(slow, slow.initial(0.1, 0), 1e6))["linear_until"] is None


def test_a_constant_rate_is_drawn_without_its_rounding():
    run = flows.integrate(flows.ReLUNeuron(3, 2), [[0.1, 0.0], [0.05, 0.0], [0.02, 0.0]], 1e3)
    (rate,) = view(run)["exponent"]["series"]
    late = rate["values"][len(rate["values"]) // 2 :]
    assert set(late) - {None} == {-3.0}  # no rate where the loss is below the least double
    # Control: the loss, on a logarithmic axis, keeps all the digits that are shown.
    kept = run["loss"][1:] > 0
    seen = np.array(view(run)["loss"]["series"][0]["values"], dtype=float)
    assert seen[kept] == pytest.approx(run["loss"][1:][kept], rel=SHOWN, abs=0)


def test_labels_of_curves_are_formulas_and_places_in_papers_and_no_identifiers(runs):
    run = runs["relu_neuron"]
    for potential in run.statements.potentials:
        for panel in potential_panels(run, potential.name):
            assert "_" not in panel.title
            labels = [panel.label, *(s.label for s in panel.series)]
            assert not any(potential.name in x for x in labels if "_" in potential.name)
    value, rate = potential_panels(run, "norms")
    assert [s.label for s in value.series] == ["|w_1|", "|w_2|"]
    assert rate.label == "d/dt |w_i|"
    bounds = [s.label for s in loss_panel(run).series[1:]]
    assert bounds and len(set(bounds)) == len(bounds)
    assert all("bound (" in x and "loss_" not in x for x in bounds)


def test_values_too_small_to_be_rounded_are_drawn_as_they_are():
    """A power of ten beyond doubles would make every value of such a panel undefined."""
    tiny = np.array([1e-305, -2e-305])
    panel = Panel("title", "label", ())
    assert _drawn(tiny, panel).tolist() == tiny.tolist()
    # the control: others are rounded
    assert _drawn(np.array([1.0, 1 / 3]), panel)[1] != 1 / 3
