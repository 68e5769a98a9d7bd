"""Ensembles of mixtures take compiled steps, one lane after the other, and keep their bits."""

import numpy as np
import pytest

import flows
from flows.runs.integrate import follow_in_pieces, next_problem
from flows.runs.request import Request
from flows.solvers.choice import solve_many

SYSTEMS = (flows.GMMEM(3, 2, [0.2, 0.3, 0.5]), flows.ScoreMatching(3, 2))
T_END, RTOL = 300.0, 1e-7
# Two methods at one tolerance; the script of benchmarks/systems.py is off by 3e-7 at 1e-8.
AGREE = 2e-6


def rows(system, **options):
    starts = np.array([system.initial(0.5, seed) for seed in range(3)])
    return flows.integrate_ensemble(
        system, starts, T_END, rtol=RTOL, observables=["loss", "gradient_norm"], **options
    )


@pytest.fixture(scope="module", params=SYSTEMS, ids=lambda s: s.name)
def both(request):
    return request.param, rows(request.param, workers=1)


@pytest.mark.parametrize("options", [{"workers": 2}, {"chunk_size": 1}, {"chunk_size": 2}])
def test_rows_do_not_depend_on_workers_and_chunks(both, options):
    system, whole = both
    found = rows(system, **options)
    for name in ("loss", "loss_error", "loss_exponent", "gradient_norm", "steps"):
        np.testing.assert_array_equal(found[name], whole[name])


def test_members_agree_with_single_runs_and_take_compiled_steps(both):
    system, whole = both
    for member in range(2):
        start = system.initial(0.5, member)
        run = flows.integrate(system, start, T_END, rtol=RTOL, method="LSODA")
        for name in ("loss", "gradient_norm"):
            np.testing.assert_allclose(whole[name][member], run[name], rtol=AGREE)
        assert whole["steps"][member] < run.stats["steps"] / 2
    # A run whose tolerance is a hundred times as large would be seen.
    loose = flows.integrate(system, start, T_END, rtol=1e4 * RTOL)
    assert np.abs(loose["loss"] / whole["loss"][member] - 1).max() > AGREE


def test_regimes_end_pieces_of_members_as_they_do_of_single_runs():
    system = flows.ScoreMatching(2, 2)
    start = np.array([[0.3, 0.1], [4.0, -1.0]])
    one = flows.integrate(system, start, 1e3, rtol=RTOL, method="Rodas5P")
    other = flows.integrate(system, start, 1e3, rtol=RTOL)
    assert [e.kind for e in one.events] == [e.kind for e in other.events] != []
    np.testing.assert_allclose(one["loss"], other["loss"], rtol=AGREE)


def test_a_mean_that_stands_still_between_far_ones_is_there_at_every_output():
    # Nothing tells explicit steps that they are too long here; between their ends all may happen.
    system, times = flows.ScoreMatching(3, 2), [1.0, 10.0, 100.0, 1e3, 1e4]
    start = 30 * np.array([[1.0, 0.5], [-1.0, -0.5], [0.0, 0.0]])
    rows = flows.integrate_ensemble(system, start[None], times[-1], times, rtol=1e-8)
    loss, stated = rows["loss"][0], rows["loss_error"][0]
    assert loss[0] == pytest.approx(3.54067513e-60, rel=1e-8)
    assert (np.abs(loss - loss[0]) <= stated).all()
    assert (stated < 1e-5 * loss).all()


@pytest.mark.parametrize("system", [flows.GMMEM(3, 2), flows.ScoreMatching(3, 2)])
@pytest.mark.parametrize("size", [1e-300, 1e-310, 5e-324])
def test_one_mean_falls_out_of_the_doubles_without_a_step_in_vain(system, size):
    start, times = np.full((3, 2), size), [1.0, 1e4]
    rows = flows.integrate_ensemble(system, start[None], 1e4, times, rtol=RTOL)
    assert rows.status.tolist() == ["completed"] and rows["steps"][0] < 100
    run = flows.integrate(system, start, 1e4, times, rtol=RTOL, method="Rodas5P")
    rate = 2 / 3 if isinstance(system, flows.ScoreMatching) else 1 / 3
    assert run.completed and (run.state[-1] == 0.0).all()
    if size == 1e-300:
        np.testing.assert_allclose(run.state[1], np.exp(-rate) * start, rtol=RTOL)


# Digits of a length, and of squares at the end of the doubles, where the last bit is 5e-324.
DIGITS, END = 1e-12, 1e-322


@pytest.mark.parametrize("system", [flows.GMMEM(3, 2), flows.ScoreMatching(3, 2)])
@pytest.mark.parametrize("size", [1e-300, 1e-160, 1e-140])
def test_lengths_whose_squares_fall_out_of_the_doubles_keep_their_digits(system, size):
    shape = np.array([[1.0, 0.3], [-0.5, 0.2], [0.1, -1.0]])
    run = flows.integrate(system, size * shape, 1.0, [1.0], rtol=1e-8)
    speed = np.linalg.norm(shape.mean(axis=0)) / np.sqrt(3)
    speed *= 2 if isinstance(system, flows.ScoreMatching) else 1
    assert run["gradient_norm"][0] == pytest.approx(size * speed, rel=DIGITS)
    one = flows.integrate(system, np.full((3, 2), size), 1.0, [1.0], rtol=1e-8)
    assert one["max_norm"][0] == pytest.approx(size * np.sqrt(2), rel=DIGITS)
    assert one.absolute_errors("max_norm")[0] < 1e-4 * one["max_norm"][0]
    # What sets such means apart is not followed, and its length is stated as an error.
    longest = size * np.linalg.norm(shape, axis=1).max()
    assert abs(run["max_norm"][0] - longest) <= run.absolute_errors("max_norm")[0] < 1e-100
    # The squares are zero or have few digits, and say so.
    square = float(np.square(size * speed))
    assert abs(run.features["loss_dot"][0] + square) <= run.features["loss_dot_error"][0]
    assert run.features["loss_dot_error"][0] >= END or size > 1e-150
    rest = flows.integrate(system, np.zeros((3, 2)), 1.0, [1.0])
    assert rest.absolute_errors("loss").max() == 0.0


def test_events_end_no_piece_of_a_member_of_which_none_is_asked():
    request = Request(1e3, rtol=RTOL)

    def run(system, start, events):
        pieces = follow_in_pieces(system, start, request, events)
        problem, found = next_problem(pieces, None)
        while problem is not None:
            (solution,) = solve_many([problem], "auto", system)
            problem, found = next_problem(pieces, solution)
        return found

    pair, three = flows.ScoreMatching(2, 2), SYSTEMS[1]
    cases = [(pair, np.array([[0.3, 0.1], [4.0, -1.0]]))]
    cases += [(three, three.initial(0.5, seed)) for seed in range(3)]
    told, quiet = ([run(*case, events) for case in cases] for events in (True, False))
    assert len(told[0].events) > 0 == len(quiet[0].events)
    pieces = [sum(one.stats["pieces"] for one in runs) for runs in (told, quiet)]
    assert pieces[1] < pieces[0]
    for (system, _), one, other in zip(cases, quiet, told, strict=True):
        assert one.system is system
        np.testing.assert_allclose(one["loss"], other["loss"], rtol=AGREE)


def test_members_whose_claims_are_checked_have_their_events(both):
    system, whole = both
    claim = next(iter(system.statements.claims)).id
    found = rows(system, workers=1, claims=[claim])
    np.testing.assert_allclose(found["loss"], whole["loss"], rtol=AGREE)
    # Events end pieces of score matching, and there are none of the other.
    assert (found["steps"] == whole["steps"]).all() == (system.name == "gmm_em")
