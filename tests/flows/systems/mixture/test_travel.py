"""Clusters on their way to the target: what magnifies errors of steps, and what runs say of it."""

import functools

import numpy as np
import pytest

import flows
from flows.systems.mixture import forms, travel

# What runs are allowed where nothing magnifies their errors.
USUAL = 100
TIMES = [10.0, 100.0, 1e4]
# A cluster of score matching, thin across its mean: what is along it grows by exp(25).
ACROSS = np.array([[5.0, 0.0], [5.0, 1e-12], [5.0, 0.0]])


def losses(system, start, rtol, **options):
    run = flows.integrate(system, start, TIMES[-1], TIMES, rtol=rtol, **options)
    assert run.completed
    return run["loss"], run.absolute_errors("loss")


@functools.cache
def true_losses(width):
    return losses(flows.ScoreMatching(3, 2), across(width), 1e-10)[0]


def across(width):
    return np.where(np.arange(6).reshape(3, 2) == 3, width, ACROSS)


@pytest.mark.parametrize("name", ["Rodas5P", "ensemble", "auto"])
@pytest.mark.parametrize("width", [1e-12, 1e-6])
def test_stated_errors_cover_what_a_travelling_cluster_makes_of_errors(name, width):
    system, rtol = flows.ScoreMatching(3, 2), 1e-8
    start, truth = across(width), true_losses(width)
    if name == "ensemble":
        rows = flows.integrate_ensemble(system, start[None], TIMES[-1], TIMES, rtol=rtol)
        found, stated = rows["loss"][0], rows["loss_error"][0]
    else:
        found, stated = losses(system, start, rtol, method=name)
    assert (np.abs(found - truth) <= stated).all()
    # It says something all the same, and more than that of a flow which magnifies nothing.
    assert (stated[-1] < 1e-2 * found[-1]) and (stated[-1] > 10 * USUAL * rtol * found[-1])


def test_growth_that_rounding_cannot_survive_is_not_known():
    system = flows.ScoreMatching(2, 2)
    start = np.array([[9.0, 1e-3], [9.0, -1e-3]])  # symmetric, so that nothing is along the mean
    found, stated = losses(system, start, 1e-8)
    assert stated[-1] > found[-1] and stated[0] < 1e-5 * found[0]


def test_starts_near_the_target_are_stated_as_they_were():
    for system in (flows.ScoreMatching(3, 2), flows.GMMEM(3, 2)):
        run = flows.integrate(system, system.initial(0.3, 1), 100.0, rtol=1e-8)
        assert (run.tolerance == USUAL * 1e-8).all()


@pytest.mark.parametrize(("system", "growth"), [(flows.GMMEM, 4.5), (flows.ScoreMatching, 9.0)])
def test_the_exponent_is_that_of_the_linearised_flow(system, growth):
    frame, state = system(3, 2).reduce(np.array([[3.0, 0.0], [3.0, 1e-9], [3.0, -2e-9]]))
    mean = state.centre
    left = travel.exponent(frame.weight, frame.rate, mean, system.stretch)
    assert left == pytest.approx(growth, rel=1e-12)


def test_offsets_along_the_mean_grow_by_the_exponent_and_those_across_do_not():
    offset, mean = 1e-9, 3.0
    for kind in (flows.GMMEM, flows.ScoreMatching):
        system = kind(2, 2)
        for across, power in ((False, 1.0), (True, 0.0)):
            step = np.array([0.0, offset]) if across else np.array([offset, 0.0])
            start = np.array([[mean, 0.0], [mean, 0.0]]) + np.array([[0.5], [-0.5]]) * step
            run = flows.integrate(system, start, 20.0, [20.0], rtol=1e-10)
            grown = np.ptp(run.states.offset[-1], axis=0).max() / offset
            frame, state = system.reduce(start)
            left = travel.exponent(frame.weight, frame.rate, state.centre, system.stretch)
            assert np.log(grown) == pytest.approx(power * left, abs=1e-4)


def magnified(along, across, left=(25.0, 0.0), local=1.0):
    """At the end, of deviations at both ends, along the mean and across it."""
    deviation = np.zeros((2, 2, 2))
    deviation[:, 0, 0], deviation[:, 0, 1] = along, across
    mean = np.array([[5.0, 0.0], [0.0, 0.0]])
    return travel.magnification(np.array(left), mean, deviation, np.full(2, local))[-1]


def test_errors_grow_with_what_is_along_the_mean_or_by_the_whole_growth():
    nothing = magnified((0.0, 0.0), (1.0, 1.0))
    assert nothing == pytest.approx(travel.ALLOWED * np.exp(25.0))
    # What is there grows as errors do: they stay small next to it.
    there = magnified((1e-4, 1e-4 * np.exp(5.0)), (1e-3, 1e-3))
    assert there == pytest.approx(travel.ALLOWED / 1e-4, rel=0.1) and there < 1e-6 * nothing
    assert magnified((0.0, 0.0), (1.0, 1.0), left=(0.9, 0.0)) == 0.0


def clusters(count, length, width):
    """Pairs of means around the target, so that their common mean is nearly there."""
    angle = 2 * np.pi * np.arange(count).repeat(2) / count
    points = length * np.column_stack([np.cos(angle), np.sin(angle)])
    return points + width * np.random.default_rng(0).normal(size=points.shape)


SIDES = [3.0, 10.0, 30.0, 100.0]


@functools.cache
def true_clusters(count, length, width):
    system, start = flows.ScoreMatching(2 * count, 2), clusters(count, length, width)
    return flows.integrate(system, start, SIDES[-1], SIDES, rtol=1e-12)["loss"]


@pytest.mark.parametrize("name", ["Rodas5P", "ensemble", "auto"])
@pytest.mark.parametrize(
    ("count", "length", "width"), [(2, 5.0, 1e-7), (2, 4.0, 1e-4), (3, 4.5, 1e-5)]
)
def test_stated_errors_cover_clusters_on_their_way_from_several_sides(name, count, length, width):
    system, rtol, times = flows.ScoreMatching(2 * count, 2), 1e-8, SIDES
    start, truth = clusters(count, length, width), true_clusters(count, length, width)
    if name == "ensemble":
        rows = flows.integrate_ensemble(system, start[None], times[-1], times, rtol=rtol)
        found, stated = rows["loss"][0], rows["loss_error"][0]
    else:
        run = flows.integrate(system, start, times[-1], times, rtol=rtol, method=name)
        found, stated = run["loss"], run.absolute_errors("loss")
    assert (np.abs(found - truth) <= stated).all()


def test_without_clusters_of_their_own_the_errors_would_be_stated_too_small(monkeypatch):
    system, start = flows.ScoreMatching(4, 2), clusters(2, 5.0, 1e-7)
    truth = flows.integrate(system, start, 30.0, [30.0], rtol=1e-12)["loss"]
    run = flows.integrate(system, start, 30.0, [30.0], rtol=1e-8)
    monkeypatch.setattr(forms, "_cluster", lambda *_: None)
    wrong = np.abs(run["loss"] - truth)
    assert wrong[1] > 1e3 * run.absolute_errors("loss")[1]


def test_pairs_that_do_not_travel_far_are_stated_nearly_as_they_were():
    run = flows.integrate(flows.GMMEM(4, 2), clusters(2, 2.0, 1e-3), 100.0, rtol=1e-8)
    assert (run.tolerance >= USUAL * 1e-8).all() and (run.tolerance < 2 * USUAL * 1e-8).all()
