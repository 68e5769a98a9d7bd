"""Runs of shipped systems against their formulas, followed as losses of one's own."""

import numpy as np
import pytest

import flows
from flows.core.errors import InputError
from flows.systems.own import view

# A few times the hundred tolerances of a step that are stated of a run.
STATED = 1e-7

CASES = [
    (flows.ReLUNeuron(n=2, d=2, teacher=(0.6, -0.8)), 0.5),
    (flows.GMMEM(n=2, d=1, weights=(0.25, 0.75)), 1.0),
    (flows.ScoreMatching(n=2, d=1, noise_time=0.25, target=(0.5,)), 1.0),
    (flows.MatrixFactorization(d=2, target=((2.0, 1.0), (0.0, 1.0)), regularization=0.5), 0.5),
    (flows.TwoLayer(2, [[1.0, 0.5], [0.25, -1.0]], activation="erf", train_outputs=True), 0.5),
    (flows.TwoLayer(2, [[1.0, 0.5], [0.25, -1.0]], output_weights=(1.0, -0.5)), 0.5),
]


@pytest.mark.parametrize(("system", "scale"), CASES, ids=lambda x: getattr(x, "name", None))
def test_a_system_and_its_formula_have_one_flow(system, scale):
    """At each output time within both stated errors; one in a thousand more would be seen."""
    start = system.initial(scale, seed=3)
    own = flows.integrate(system, start, 2.0, rtol=1e-8)
    general = flows.integrate(system.general, system.flat(start), 2.0, own.t[1:], rtol=1e-8)
    off = np.abs(own["loss"] - general["loss"])
    stated = own.absolute_errors("loss") + general.absolute_errors("loss")
    assert (off <= stated).all()
    assert (np.abs(1.001 * own["loss"] - general["loss"]) > stated)[:20].all()
    assert system.flat(own.state[-1]) == pytest.approx(general.state[-1], rel=1e-5, abs=1e-8)


def test_a_formula_with_a_kink_states_small_errors_late(monkeypatch):
    """Curvatures are then decades apart: axes in doubles mix what is slow with what is flat."""
    system = flows.ReLUNeuron(n=2, d=2)
    start = system.flat(system.initial(0.3, seed=0))
    stated = [flows.integrate(system.general, start, 1e12).errors("loss").max()]
    monkeypatch.setattr(view, "axes_of", lambda exact: None)
    stated.append(flows.integrate(system.general, start, 1e12).errors("loss").max())
    assert stated[0] < STATED < stated[1]


def test_a_system_without_a_formula_says_so():
    with pytest.raises(InputError, match="its layers are complex"):
        _ = flows.MatrixFactorization(d=2, field="complex").general
