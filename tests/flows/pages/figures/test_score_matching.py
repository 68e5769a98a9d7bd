"""Figures of score matching show the run's numbers, the threshold parts the regimes, and the page
repeats its runs.
"""

import numpy as np
import pytest

import flows
from flows.core.errors import InputError
from flows.ensembles import score_matching as threshold
from flows.pages.cases.score_matching import PORTRAITS, cases
from flows.pages.figures.papers.score_matching import (
    comparison_figure,
    landscape_figure,
    paper_figure,
    threshold_figure,
)
from flows.pages.figures.score_matching import amplification_figure, far_figure, loss_figure

# The linearised flow leaves out a part of about spread (1 + |m|).
LINEAR = 1e-4
# The law of the threshold says nothing of its constant: M^2 - log(1/sigma) stays within a bracket.
STEADY = 0.5
NOISE = 1e-6


def line(*x):
    return np.array(x, dtype=float)[:, None]


def y(curve):
    return np.asarray(curve.get_ydata())


@pytest.fixture(scope="module")
def together():
    """All converge."""
    return flows.integrate(
        flows.ScoreMatching(3, 1), threshold.cluster_start(3, 1, 3.0, NOISE), 1e6
    )


@pytest.fixture(scope="module")
def apart():
    """One stays, the others recede."""
    return flows.integrate(flows.ScoreMatching(3, 1), line(6.0, 7.0, 7.5), 1e8)


def test_the_loss_is_drawn_between_the_bounds_of_its_regime(together, apart):
    for run, sides in ((together, [1]), (apart, [1, -1])):
        above, below = loss_figure(run).axes
        loss, *bounds = (curve for curve in above.lines if len(curve.get_xdata()) > 2)
        np.testing.assert_array_equal(y(loss), run["loss"][1:])
        assert len(bounds) == len(sides)
        for bound, side in zip(bounds, sides, strict=True):
            gap = side * np.log(y(bound) / y(loss))
            assert gap.min() == pytest.approx(0.0, abs=1e-12) and gap.max() > 1
        np.testing.assert_allclose(y(below.lines[0]), flows.local_exponent(run)[1:])


def test_events_are_marked_where_the_run_tells_of_them(together, apart):
    for run in (together, apart):
        above = loss_figure(run).axes[0]
        marks = {curve.get_xdata()[0] for curve in above.lines if len(curve.get_xdata()) == 2}
        assert marks == {event.time for event in run.events}
        words = ["plateau", "escape"] if run is together else ["locked, diverging"]
        assert [text.get_text() for text in above.texts] == words


def test_growth_is_drawn_beside_the_linearised_flow(together):
    above, below = amplification_figure(together).axes
    grown, law = (y(curve) for curve in above.lines[:2])
    difference, small = y(below.lines[0]), y(below.lines[1])
    linear = small < LINEAR
    np.testing.assert_allclose(grown[linear], law[linear], rtol=LINEAR)
    assert grown[linear].max() > 5 and difference[~linear].max() > 0.1
    # A law of half the exponent, that of gradient EM, would not pass.
    assert np.abs(np.sqrt(law[linear]) / grown[linear] - 1).max() > 0.5


@pytest.mark.parametrize("noise_time", [0.0, 0.7])
def test_offsets_across_the_mean_stay_and_offsets_along_it_grow(noise_time):
    unit = np.exp(noise_time)
    means = np.array([[4.0, 1e-8], [4.0 + 1e-9, 0.0], [4.0, -1e-8]])
    run = flows.integrate(flows.ScoreMatching(3, 2, noise_time), unit * means, 0.5 * unit**2)
    spread, law = run.features["spread"], threshold.linear_spread(run)
    np.testing.assert_allclose(spread, law, rtol=LINEAR)
    assert 2 < spread[-1] / spread[0] < 0.5 * np.exp(16 * (1 - np.exp(-2 / 3)))


def test_the_far_regime_is_drawn_with_its_limit_and_its_fit(apart):
    above, below = far_figure(apart).axes
    limit, bound, slower, _ = (y(curve) for curve in above.lines)
    assert 1 < limit[-1] < bound[-1] < 1.2 and 0.8 < slower[-1] < 1
    exponent, law, fit, _ = (y(curve) for curve in below.lines)
    np.testing.assert_array_equal(exponent, flows.local_exponent(apart)[-len(exponent) :])
    assert abs(exponent[-1] - law[-1]) < 0.005 and abs(exponent[-1] - fit[-1]) < 0.005
    assert exponent[-1] < -1.04  # a power alone would be seen


def test_a_run_of_the_paper_is_drawn_with_its_components_and_events():
    for case, (least, most) in zip(cases()[:2], ((0.0, 1.0), (4.0, 7.0)), strict=True):
        run = flows.integrate(case.system, case.start, 30.0, rtol=1e-6)
        panels = paper_figure(run).axes
        coordinate, length, loss = ([y(curve) for curve in axes.lines] for axes in panels)
        assert least < max(curve[-1] for curve in length[:5]) < most
        np.testing.assert_array_less(np.abs(coordinate[:5]), np.array(length[:5]) + 1e-9)
        assert (np.diff(loss[0]) < 0).all()
        assert coordinate[0][0] == pytest.approx(4.0 if most == 1.0 else 6.0, rel=1e-3)
        early = paper_figure(run, latest=3.0).axes[2].lines[0].get_xdata()
        assert early[-1] <= 3.0 < run.t[-1]
    assert [text.get_text() for text in panels[0].texts] == ["locked, diverging"]


def test_a_bracket_contains_the_change_of_regime_and_follows_the_law():
    found = {}
    for noise in (1e-3, 1e-9):
        low, high = found[noise] = threshold.threshold(3, 1, noise)
        assert 0 < high - low <= 0.05
        ends = [
            flows.integrate(
                flows.ScoreMatching(3, 1), threshold.cluster_start(3, 1, m, noise), 600.0
            )
            for m in (low, high)
        ]
        assert [threshold.parted(run) for run in ends] == [False, True]
        assert ends[0]["max_norm"][-1] < 0.5 and ends[1]["max_norm"][-1] > 5
    constant = [(high**2 - np.log(1 / noise)) for noise, (_, high) in found.items()]
    assert abs(constant[0] - constant[1]) < STEADY
    assert abs(found[1e-9][1] ** 2 - found[1e-3][1] ** 2) > 10 * STEADY


def test_gradient_em_keeps_a_cluster_together_for_longer():
    (left, right) = threshold_figure((1e-3,), n=3).axes
    ours, theirs = (container[0].get_ydata()[0] for container in left.containers)
    assert ours < theirs - 1
    assert right.containers[0][0].get_ydata()[0] == pytest.approx(ours**2 - np.log(1e3), abs=0.01)


def test_a_run_on_its_way_is_not_decided():
    run = flows.integrate(flows.ScoreMatching(3, 1), threshold.cluster_start(3, 1, 3.0, NOISE), 0.5)
    assert threshold.parted(run) is None


@pytest.mark.parametrize("guess", [0.01, 3.1, 9.9])
def test_a_guess_costs_or_saves_runs_and_changes_no_bracket(guess):
    settings = {"width": 0.2, "rtol": 1e-6}
    low, high = threshold.threshold(3, 1, 1e-3, **settings)
    below, above = threshold.threshold(3, 1, 1e-3, guess=guess, **settings)
    assert 0 < above - below <= 0.2
    assert max(low, below) < min(high, above)  # both hold the threshold


@pytest.mark.parametrize("guess", [0.0, 10.0, np.nan])
def test_a_guess_beyond_what_is_looked_at_is_refused(guess):
    with pytest.raises(InputError, match="guess must be between 0 and 10"):
        threshold.threshold(3, 1, 1e-3, guess=guess)


@pytest.mark.parametrize("bad", [{"noise": 0.0}, {"noise": np.nan}, {"noise": 1.0, "width": 0.0}])
def test_a_threshold_of_nothing_is_refused(bad):
    with pytest.raises(InputError, match="must be positive"):
        threshold.threshold(3, 1, **bad)


def test_one_component_never_parts():
    with pytest.raises(InputError, match="do not part at distance 10"):
        threshold.threshold(1, 1, 1e-3)


def test_the_stationary_point_is_the_top_of_the_landscape():
    (axes,) = landscape_figure((3, 4)).axes
    for curve, dot in zip(axes.lines[::2], axes.lines[1::2], strict=True):
        top = np.argmax(y(curve))
        assert dot.get_xdata()[0] == pytest.approx(curve.get_xdata()[top], abs=0.05)
        assert y(curve)[top] <= y(dot)[0] < 1.001 * y(curve)[top]
        assert y(curve)[-1] < 0.1 * y(dot)[0]


def test_each_flow_decreases_its_own_loss_from_the_same_start():
    panels = np.array(comparison_figure(t_end=1e3).axes).reshape(2, 2)
    (fisher, kl), (em_fisher, em_kl) = ([y(c) for c in axes.lines[:2]] for axes in panels[0])
    assert (np.diff(fisher) < 0).all() and (np.diff(em_kl) < 0).all()
    assert fisher[0] == pytest.approx(em_fisher[0], rel=0.01)
    assert kl[0] == pytest.approx(em_kl[0], rel=0.01)
    assert np.diff(kl).max() > 0 and kl[-1] > 1 > 1e6 * em_kl[-1]


def test_the_runs_of_the_page_refute_what_is_broken_and_nothing_else():
    own = cases()
    for case in own:
        assert case.command.splitlines()[-1].startswith("popflow check score_matching --")
        if "M = 6" in case.title:  # many nodes; the same controls as M = 4 and the far regime
            continue
        run = flows.integrate(case.system, case.start, case.t_end)
        assert run.completed
        assert {str(flows.check(run, c)[0].verdict) for c in case.broken} == {"VIOLATED"}
        assert "VIOLATED" not in {str(v.verdict) for v in flows.check(run)}
        assert all(draw(run).axes for draw in case.figures.values())
    assert len(own) == 5


def test_the_page_has_all_portraits():
    assert set(PORTRAITS.values()) == {threshold_figure, landscape_figure, comparison_figure}
