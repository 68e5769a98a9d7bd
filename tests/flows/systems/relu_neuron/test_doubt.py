"""Neurons whose errors the flow makes larger than those of steps: what is stated covers them."""

import numpy as np
import pytest

import flows
from flows.systems.relu_neuron import geometry

RTOL, TIGHT = 1e-8, 1e-12
# Neurons, dimension, law and member: those of which a hundred tolerances cover too little.
CASES = {
    "transverse parts fall together": (2, 2, flows.Law(600, 0.1), 429, 200.0),
    "and pass by zero": (2, 2, flows.Law(600, 0.1), 203, 200.0),
    "a far neuron crosses the axis": (2, 2, flows.Law(600, 0.1), 486, 200.0),
    "it leaves the axis slowly": (2, 2, flows.Law(600, 0.1), 565, 200.0),
    "a neuron passes by zero": (2, 2, flows.Law(600, 0.1), 201, 200.0),
    "one passes beside others that die": (3, 2, flows.Law(300, 1.0), 195, 1e5),
}


def off_and_stated(case, method):
    """Error of the losses against a tight run, and what is stated, in units of the losses."""
    n, d, law, member, end = CASES[case]
    system = flows.ReLUNeuron(n, d)
    start = law.start(system, member)
    run = flows.integrate(system, start, end, method=method, rtol=RTOL)
    truth = flows.integrate(system, start, end, method="Rodas5P", rtol=TIGHT)
    return np.abs(run["loss"] / truth["loss"] - 1), run.errors("loss")


@pytest.mark.parametrize("case", CASES)
@pytest.mark.parametrize("method", ["Rodas5P", "auto", "LSODA"])
def test_what_is_stated_covers_the_error(case, method):
    off, stated = off_and_stated(case, method)
    assert (off <= stated).all()
    assert stated.max() < 1e3 * stated[1]  # and says something


@pytest.mark.parametrize("case", CASES)
def test_the_tolerance_alone_would_state_too_little(case, monkeypatch):
    for name in ("of_distances", "of_lengths", "of_directions"):
        monkeypatch.setattr(geometry, name, lambda *given: np.zeros(given[-1].shape))
    off, stated = off_and_stated(case, "Rodas5P")
    assert (off > stated).any()


def test_an_ordinary_run_states_no_more_than_ten_times_its_tolerance():
    for n, d, seed in ((2, 2, 0), (3, 5, 0), (4, 3, 1)):
        system = flows.ReLUNeuron(n, d)
        run = flows.integrate(system, system.initial(0.1, seed), 1e6, rtol=RTOL)
        assert run.error("loss") < 10 * run.tolerance[0]
