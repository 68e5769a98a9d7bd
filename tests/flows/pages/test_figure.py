import itertools
from dataclasses import replace

import matplotlib
import numpy as np
import pytest

import flows
import potentials
from flows.core.errors import InputError
from flows.pages.drawing import line_style, power_text, save
from flows.pages.figure import loss_figure, potential_figure
from flows.pages.figures.relu_neuron import phase_portrait, phases_figure

NAMES = [p.name for p in potentials.potentials("relu_neuron")]
TIME = r"$t$   (time of $dw/dt = -\nabla L$)"
T_END = 1e6  # the tail is a power law from about 1e3


@pytest.fixture(scope="module")
def run():
    system = flows.ReLUNeuron(n=3, d=5)
    return flows.integrate(system, system.initial(0.1, 0), T_END)


@pytest.fixture(scope="module")
def single():
    """A run of which the loss is zero at the end and the angles between neurons are undefined."""
    return flows.integrate(flows.ReLUNeuron(n=1, d=2), [[0.05, 0.1]], 1e5)


def draw(run):
    yield "loss", loss_figure(run)
    yield "phases", phases_figure(run)
    for name in NAMES:
        yield name, potential_figure(run, name)


@pytest.fixture(scope="module")
def drawn(run, single):
    return [*draw(run), *draw(single), ("portrait", phase_portrait(t_end=10.0))]


def unlabelled(axes):
    below = [a for a in axes.figure.axes if a is axes or a.get_shared_x_axes().joined(axes, a)]
    return not axes.get_ylabel() or not any(a.get_xlabel() for a in below)


def looks(lines):
    """What a black-and-white print shows of lines: dashes (with their widths) and markers."""
    return [
        (line.get_linestyle(), line._unscaled_dash_pattern, line.get_marker(), line.get_lw())
        for line in lines
    ]


def test_every_panel_carries_labels_and_time_its_unit(drawn):
    for name, picture in drawn:
        for axes in picture.axes:
            assert not unlabelled(axes), name
        if name != "portrait":
            assert picture.axes[-1].get_xlabel() == TIME


def test_a_panel_without_labels_is_found():
    assert unlabelled(matplotlib.figure.Figure().subplots())


def test_labelled_lines_of_a_panel_differ_in_more_than_colour(drawn):
    for name, picture in drawn:
        for axes in picture.axes:
            named = [line for line in axes.lines if not line.get_label().startswith("_")]
            for a, b in itertools.combinations(looks(named), 2):
                assert a != b, (name, axes.get_ylabel())


def test_the_first_twenty_styles_differ_in_dashes_or_markers():
    styles = [line_style(k) for k in range(20)]
    assert len({(str(s["linestyle"]), s["marker"]) for s in styles}) == len(styles)
    assert len({s["color"] for s in styles}) < len(styles)  # colour alone would not do


def test_the_bounds_in_the_loss_figure_are_those_of_the_check(run):
    loss, upper, lower, *_ = loss_figure(run).axes[0].lines
    constants = [flows.check(run, name)[0].constant for name in ("loss_upper", "loss_lower")]
    for constant, bound in zip(constants, (upper, lower), strict=True):
        assert bound.get_label().endswith(f"measured constant {constant:.3g}")
    at = dict(zip(*loss.get_data(), strict=True))
    tolerance = 1e-9  # the tightest constant touches the loss, up to rounding
    for bound, sense in ((upper, 1), (lower, -1)):
        gap = np.array([sense * (y / at[t] - 1) for t, y in zip(*bound.get_data(), strict=True)])
        assert gap.min() > -tolerance
        assert abs(gap.min()) < tolerance
    assert upper.get_ydata()[-1] > lower.get_ydata()[-1]


def test_slack_is_zero_where_the_measured_constant_is_attained(run):
    (slack, *_) = potential_figure(run, "pairwise_distance").axes[3].lines
    t, values = slack.get_data()
    (verdict,) = flows.check(run, "distance_decay")
    assert t[np.argmin(values)] == verdict.attained_at
    assert abs(values.min()) < 1e-9  # rounding
    assert values.max() > 1e-3


def test_zeros_of_the_loss_are_left_out_of_its_figure(single):
    assert single["loss"][-1] == 0.0
    (loss, *_) = loss_figure(single).axes[0].lines
    assert (loss.get_ydata() > 0).all()
    assert len(loss.get_ydata()) < len(single.t)


def test_an_undefined_quantity_is_said_to_be_undefined(run, single):
    (note,) = potential_figure(single, "kappa_max").axes[0].texts
    assert "undefined" in note.get_text()
    assert not potential_figure(run, "kappa_max").axes[0].texts


def test_an_unknown_potential_is_refused(run):
    with pytest.raises(InputError, match="unknown potential 'energy'; known: pairwise_distance"):
        potential_figure(run, "energy")


def test_a_run_that_stopped_early_is_drawn(run):
    stopped = replace(run, status="step_budget", t=run.t[:40], states=run.states.at(slice(40)))
    assert loss_figure(stopped).axes[0].lines
    assert phases_figure(stopped).axes[0].lines


def test_drawing_leaves_the_settings_of_matplotlib_alone(run):
    before = dict(matplotlib.rcParams)
    loss_figure(run)
    assert dict(matplotlib.rcParams) == before


@pytest.mark.parametrize("suffix", [".svg", ".pdf", ".png"])
def test_the_same_run_gives_the_same_file(run, tmp_path, suffix):
    one, two = (save(loss_figure(run), tmp_path / f"{k}{suffix}").read_bytes() for k in "ab")
    assert one == two
    other = save(phases_figure(run), tmp_path / f"c{suffix}").read_bytes()
    assert other != one


def test_another_format_is_refused(run, tmp_path):
    with pytest.raises(InputError, match=r"expected a name ending in \.svg, \.pdf, \.png"):
        save(loss_figure(run), tmp_path / "loss.gif")
    assert not list(tmp_path.iterdir())


def test_numbers_on_an_axis_have_raised_powers_of_ten():
    shown = {
        1e-12: "10⁻¹²",
        1.0: "1",
        0.1: "10⁻¹",
        20.0: "20",
        1e3: "10³",
        3e-5: "3 \N{MULTIPLICATION SIGN} 10⁻⁵",
    }
    assert {x: power_text(x) for x in shown} == shown


def test_an_exponential_decay_is_a_straight_line_over_linear_time(single, run):
    above, below = loss_figure(single).axes
    assert above.get_xscale() == "linear" and above.get_yscale() == "log"
    (rate,) = (np.asarray(line.get_ydata()) for line in below.lines)
    assert rate[-1] == pytest.approx(-1.0, abs=1e-9)  # one neuron: L ~ exp(-t)
    assert loss_figure(run).axes[0].get_xscale() == "log"
