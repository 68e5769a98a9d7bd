"""Figures of the ReLU neuron show the run's phases."""

import pytest

import flows
from flows.pages.figures.relu_neuron import phases_figure
from flows.runs.quantities import marked_times

T_END = 1e6  # all phases are over


@pytest.fixture(scope="module")
def run():
    system = flows.ReLUNeuron(n=3, d=5)
    return flows.integrate(system, system.initial(0.1, 0), T_END)


def test_phases_are_marked_at_the_times_of_the_claims(run):
    times = marked_times(run)
    panel = phases_figure(run).axes[0]
    marked = {line.get_xdata()[0] for line in panel.lines if len(line.get_xdata()) == 2}
    assert set(times.values()) <= marked
    assert [t.get_text() for t in panel.texts] == ["phase 1", "phase 2", "phase 3"]
