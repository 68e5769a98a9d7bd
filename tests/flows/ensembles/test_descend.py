"""Descents side by side: the iterates of one descent, whatever is beside it."""

import numpy as np
import pytest

from flows.core.errors import InputError
from flows.ensembles.descend import LANES, descend_ensemble
from flows.ensembles.starts import Law
from flows.runs.descend import descend
from flows.systems.gmm_em.system import GMMEM
from flows.systems.relu_neuron.system import ReLUNeuron

# Rounding of some hundred steps of numbers of order one; losses are squares of them.
ROUNDING = 1e-13


def agrees(ensemble, runs):
    """Whether each row is the descent alone, to rounding."""
    return all(
        np.allclose(ensemble["loss"][k, : len(run.t)], run["loss"], rtol=ROUNDING, atol=1e-300)
        and np.isnan(ensemble["loss"][k, len(run.t) :]).all()
        for k, run in enumerate(runs)
    )


@pytest.mark.parametrize(("n", "d", "scale"), [(1, 3, 0.1), (2, 3, 0.1), (4, 8, 0.1), (3, 1, 0.5)])
def test_a_row_is_the_descent_alone(n, d, scale):
    system, law = ReLUNeuron(n, d), Law(size=5, scale=scale, seed=1)
    found = descend_ensemble(system, law, step_size=0.2, steps=300)
    alone = [descend(system, law.start(system, k), 0.2, 300) for k in range(5)]
    assert found.status.tolist() == ["completed"] * 5
    assert np.array_equal(found.t, alone[0].t) and agrees(found, alone)
    assert not agrees(found, alone[1:])
    assert not agrees(found, [descend(system, law.start(system, k), 0.2001, 300) for k in range(5)])


# Short: a neuron that is carried past zero amplifies rounding.
def test_starts_of_every_kind_walk_together():
    starts = [
        [[0.5, 0.1, 0.0], [0.3, -0.1, 0.1], [0.3, 0.1, 0.1]],  # the residual chart
        [[0.2, 0.1, 0.1], [0.2, 0.1, 0.1], [0.1, -0.2, 0.3]],  # coincident neurons
        [[0.0, 0.0, 0.0], [0.4, 0.1, 0.0], [0.4, -0.1, 0.3]],  # a neuron at zero
        [[-0.02, 0.001, 0.0], [1.2, 0.1, 0.2], [0.5, 0.3, -0.1]],  # one that passes near zero
        [[0.5, 0.0, 0.0], [-0.1, 0.0, 0.0], [0.2, 0.0, 0.0]],  # all along the teacher
        [[-0.9, 0.3, 0.1], [-0.5, 0.3, 0.2], [-0.3, -0.5, 0.1]],  # obtuse angles
    ]
    system = ReLUNeuron(3, 3)
    found = descend_ensemble(system, starts, step_size=0.1, steps=30)
    assert agrees(found, [descend(system, start, 0.1, 30) for start in starts])


def test_rows_do_not_depend_on_who_walks_beside_them(monkeypatch):
    system, law = ReLUNeuron(3, 4), Law(size=2 * LANES + 3, scale=0.4, seed=1)
    whole = descend_ensemble(system, law, steps=100)
    for chunk_size in (7, 100):
        found = descend_ensemble(system, law, steps=100, chunk_size=chunk_size)
        assert np.array_equal(found["loss"], whole["loss"])
    assert not np.array_equal(descend_ensemble(system, law, steps=99)["loss"], whole["loss"])


def test_divergence_and_bad_starts_stay_in_their_rows():
    starts = np.array([[[0.5, 0.1, 0.0], [0.2, -0.1, 0.1], [0.3, 0.1, 0.2]]] * 3)
    starts[1] = np.nan
    found = descend_ensemble(ReLUNeuron(3, 3), starts, step_size=2.0, steps=5000)
    assert found.status.tolist() == ["nonfinite", "input_error", "nonfinite"]
    alone = descend(ReLUNeuron(3, 3), starts[0], step_size=2.0, steps=5000)
    reached = np.isfinite(found["loss"][0])
    assert reached.sum() == len(alone.t) and "smaller step_size" in found["message"][0]
    assert descend_ensemble(ReLUNeuron(3, 3), starts[:1], step_size=0.5, steps=5000).completed == 1


def test_the_tail_keeps_its_digits():
    system, law = ReLUNeuron(1, 3), Law(size=2, scale=0.1)
    found = descend_ensemble(system, law, step_size=0.3, steps=200)
    run = descend(system, law.start(system, 1), 0.3, 200)
    assert run["loss"][-1] < 1e-25
    assert found["loss"][1] == pytest.approx(run["loss"], rel=ROUNDING, abs=0)
    # Rounded parameters no longer know such a loss.
    assert system.loss(run.state[-1]) != pytest.approx(run["loss"][-1], rel=ROUNDING, abs=0)


def test_a_system_without_lanes_walks_one_by_one():
    system, law = GMMEM(2, 2), Law(size=2, scale=0.3)
    found = descend_ensemble(system, law, step_size=0.1, steps=20)
    for k in range(2):
        run = descend(system, law.start(system, k), 0.1, 20)
        assert np.array_equal(found["loss"][k], run["loss"])


def test_it_goes_on_from_a_folder(tmp_path):
    system, law = ReLUNeuron(2, 3), Law(size=5)
    whole = descend_ensemble(system, law, steps=50, out=tmp_path / "e", chunk_size=2)
    (tmp_path / "e" / "chunk-000001.nc").unlink()
    again = descend_ensemble(system, law, steps=50, out=tmp_path / "e")
    assert np.array_equal(whole["loss"], again["loss"])
    with pytest.raises(InputError, match="differs in procedure, t"):
        descend_ensemble(system, law, steps=51, out=tmp_path / "e")


@pytest.mark.parametrize(
    ("option", "value"), [("step_size", -0.1), ("step_size", "0.1"), ("steps", 0), ("steps", 2.5)]
)
def test_bad_input_is_one_clear_line(option, value):
    with pytest.raises(InputError, match=option):
        descend_ensemble(ReLUNeuron(1, 2), Law(size=2), **{option: value})
