"""Figures of gradient EM show the run's numbers, and its page repeats its runs."""

import numpy as np
import pytest

import flows
import symbolic
from flows.pages import report
from flows.pages.cases.gmm_em import cases
from flows.pages.figures.gmm_em import (
    bad_region_figure,
    loss_figure,
    lyapunov_figure,
    means_figure,
    paper_figure,
)


@pytest.fixture(scope="module")
def run():
    system = flows.GMMEM(3, 2)
    return flows.integrate(system, system.initial(1.0, 0), 1e4)


def test_the_loss_is_drawn_below_both_bounds(run):
    above, below = loss_figure(run).axes
    loss, bound, smallest = (np.asarray(line.get_ydata()) for line in above.lines)
    np.testing.assert_array_equal(loss, run["loss"][1:])
    assert (bound > loss).all() and (smallest >= 0.999 * loss).all()
    assert (smallest < bound).all()
    np.testing.assert_allclose(below.lines[0].get_ydata(), flows.local_exponent(run)[1:])


def test_both_sides_of_the_lyapunov_identity_are_drawn(run):
    _, below = lyapunov_figure(run).axes
    one, two = (np.asarray(line.get_ydata()) for line in below.lines)
    np.testing.assert_allclose(one, two, rtol=1e-12)
    assert (one != two).any(), "two computations"


def test_means_end_where_the_run_says(run):
    panels = means_figure(run).axes
    first, last = panels[0], panels[-1]
    start = np.array([line.get_xydata()[-1] for line in first.lines[1::2]])
    np.testing.assert_allclose(np.linalg.norm(start, axis=1), np.linalg.norm(run.state[0], axis=1))
    end = np.array([line.get_xydata()[-1] for line in last.lines[1::2]])
    assert np.abs(end).max() < 0.2 * np.abs(start).max()


def test_the_plateau_is_marked_at_the_claimed_time():
    (axes,) = bad_region_figure((1,)).axes
    length, mark, level = axes.lines
    assert np.max(length.get_ydata()) == pytest.approx(12)
    assert mark.get_xdata()[0] == pytest.approx(np.e / 30)
    assert level.get_ydata()[0] == 10


def test_equal_and_unequal_weights_are_drawn_for_all_numbers_of_components():
    panels = paper_figure(t_end=10.0).axes
    assert [len(p.lines) for p in panels] == [3, 3, 5, 5]
    curves = [np.asarray(line.get_ydata()) for p in panels[:2] for line in p.lines]
    assert all((np.diff(y) < 0).all() for y in curves)
    assert not np.array_equal(curves[0], curves[3])


def test_the_page_has_its_runs_and_controls(monkeypatch):
    monkeypatch.setattr(symbolic, "derive", lambda name, derive=symbolic.derive: derive("gaussian"))
    first, *_ = cases()
    page = report.page("gmm_em", [first]).text
    honest, control = page.split("Negative control", 1)
    assert control.split("</table>")[0].count("VIOLATED</b>") == 3
    assert "VIOLATED</b>" not in honest and "REFUTED" not in page
    for case in cases():
        assert case.command.splitlines()[-1].startswith("popflow check gmm_em --")
