"""Figures of matrix factorisation show the run's numbers, and its page repeats its runs."""

import numpy as np
import pytest

import flows
import symbolic
from flows.pages import report
from flows.pages.cases.matrix_factorization import cases
from flows.pages.figures.matrix_factorization import (
    depths_figure,
    fields_figure,
    layers_figure,
    stages_figure,
    strengths_figure,
)
from flows.runs.quantities import marked_times
from flows.runs.rates import FLOOR

PICTURED = 1e-3  # rate of a run that is only drawn, at the last of its outputs that is known
LINE = 1e-6  # a straight line's slope between two outputs, beside its rate at one of them


def test_cases_show_what_their_titles_say():
    signs = {c.title: np.sign(np.linalg.det(c.start).prod()) for c in cases()}
    assert signs["Real layers, strong balancing"].real > 0
    assert signs["Real layers, negative determinant"] < 0
    assert signs["Weak balancing"] < 0
    assert signs["Balanced start, negative determinant"] < 0


def test_the_page_shows_verdicts_and_negative_controls(monkeypatch):
    monkeypatch.setattr(symbolic, "derive", lambda name, derive=symbolic.derive: derive("gaussian"))
    text = report.page("matrix_factorization", [cases()[-1]]).text
    broken = text[text.index("Negative control") :]
    assert broken[: broken.index("</table>")].count("✗ VIOLATED") == len(cases()[-1].broken)
    assert "✗ VIOLATED" not in text[: text.index("Negative control")]


@pytest.mark.parametrize(
    "seed, stages", [(0, ["alignment", "saddle", "local"]), (2, ["alignment", "saddle"])]
)
def test_stages_are_marked_where_the_run_has_them(seed, stages):
    system = flows.MatrixFactorization(2, regularization=20.0)
    run = flows.integrate(system, system.initial(0.25, seed), 1e5)
    panel = stages_figure(run).axes[0]
    marks = sorted(m for m in marked_times(run).values() if np.isfinite(m))
    drawn = sorted(line.get_xdata()[0] for line in panel.lines if len(set(line.get_xdata())) == 1)
    assert drawn == marks
    assert [text.get_text() for text in panel.texts] == stages
    parts = {line.get_label(): line.get_ydata() for line in panel.lines}
    for label, name in (("$L_{ori}$", "loss_fit"), ("$L_{reg}$", "loss_balance")):
        found = np.maximum(run[name], FLOOR)[1 : 1 + len(parts[label])]
        assert np.array_equal(parts[label], found)


def test_a_loss_that_falls_exponentially_is_drawn_over_linear_time_with_its_rate():
    system = flows.MatrixFactorization(2, regularization=20.0)
    run = flows.integrate(system, system.initial(0.25, 0), 1e5)
    figure = stages_figure(run)
    assert {axes.get_xscale() for axes in figure.axes} == {"linear"}
    (rate,) = (line for line in figure.axes[-1].lines if line.get_label() == "d log L/dt")
    known = run["loss"] > FLOOR
    slope = np.diff(np.log(run["loss"][known])) / np.diff(run.t[known])
    assert rate.get_ydata()[-1] == pytest.approx(slope[-1], rel=LINE)
    assert figure.axes[-1].get_xlim()[1] == run.t[known][-1]
    stays = flows.integrate(system, system.initial(0.25, 2), 1e5)
    assert {axes.get_xscale() for axes in stages_figure(stays).axes} == {"log"}


@pytest.mark.parametrize("seed", [0, 2])
def test_defects_and_layers_are_drawn_over_the_time_of_the_stages(seed):
    system = flows.MatrixFactorization(2, regularization=20.0)
    run = flows.integrate(system, system.initial(0.25, seed), 1e5)
    stages, (halves, layers) = stages_figure(run).axes[0], layers_figure(run).axes
    assert halves.get_xscale() == layers.get_xscale() == stages.get_xscale()
    lines = {line.get_label(): line for line in layers.lines}
    largest = lines[r"$\max_j \sigma_{\max}(W_j)$"]
    count = len(largest.get_xdata())
    assert np.array_equal(largest.get_xdata(), stages.lines[0].get_xdata())
    assert np.array_equal(largest.get_ydata(), run["layer_max"][1 : 1 + count])


def test_figures_of_comparisons_show_every_case():
    fields = fields_figure(t_end=50.0)
    assert [len(axes.lines) for axes in fields.axes] == [3] * 3
    assert {axes.get_xscale() for axes in fields.axes} == {"linear"}
    # One real start has converged, at the rate of its Hessian: four layers of size one, twice.
    assert np.nanmin(fields.axes[1].lines[0].get_ydata()) == pytest.approx(-8, rel=PICTURED)
    assert np.nanmin(fields.axes[1].lines[1].get_ydata()) > -1
    depths = depths_figure((2, 3), t_end=20.0)
    assert [axes.get_title() for axes in depths.axes[:2]] == ["N = 2", "N = 3"]
    assert [len(axes.lines) for axes in depths.axes] == [4] * 6
    assert len(depths.legends[0].texts) == 4
    strengths = strengths_figure((0.1, 50.0), members=6)
    heights = {c.get_label(): c.lines[0].get_ydata() for c in strengths.axes[0].containers}
    assert heights["det W(0) < 0"][0] == 1 > heights["det W(0) < 0"][1]
