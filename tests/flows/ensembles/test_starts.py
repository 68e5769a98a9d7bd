"""What is asked of an ensemble and cannot be: one clear line each, before anything runs."""

import numpy as np
import pytest
import sympy as sp

import flows
from flows.core.errors import InputError
from flows.ensembles.run import load_ensemble

SYSTEM = flows.ReLUNeuron(n=1, d=2)


@pytest.mark.parametrize(
    ("word", "given"),
    [
        ("options", {"options": 3}),
        ("options", {"options": {3: 1}}),
        ("options", {"options": None}),
        ("scale", {"scale": "a"}),
        ("scale", {"scale": -1.0}),
        ("seed", {"seed": 1.5}),
        ("size", {"size": None}),
    ],
)
def test_a_law_of_something_else_is_one_line(word, given):
    with pytest.raises(InputError, match=f"{word} must be"):
        flows.Law(**{"size": 2, **given})


@pytest.mark.parametrize("options", [{"balanced": True}, {"seed": 3}])
def test_options_that_the_system_does_not_have_are_one_line(options):
    with pytest.raises(InputError, match="relu_neuron has no start with these options"):
        flows.integrate_ensemble(SYSTEM, flows.Law(2, options=options), 1.0)
    law = flows.Law(2, options={"balanced": True})
    assert law.start(flows.MatrixFactorization(d=2), 0).shape == (4, 2, 2)


@pytest.mark.parametrize("name", ["observables", "claims"])
@pytest.mark.parametrize("value", ["loss", 3])
def test_names_that_are_no_list_are_one_line(name, value):
    with pytest.raises(InputError, match=f"{name} must be a list of names"):
        flows.integrate_ensemble(SYSTEM, flows.Law(2), 1.0, **{name: value})


@pytest.mark.parametrize("path", ["a\0b", "x" * 5000, 3.5])
def test_a_folder_that_cannot_be_one_is_one_line(path):
    with pytest.raises(InputError):
        flows.integrate_ensemble(SYSTEM, flows.Law(2), 1.0, out=path)
    with pytest.raises(InputError):
        load_ensemble(path)


def test_members_of_a_loss_in_one_matrix_may_be_matrices():
    w = sp.MatrixSymbol("W", 2, 3)
    system = flows.OwnSystem("norm", [w], sp.trace(w.T * w))
    matrices = np.arange(12.0).reshape(2, 2, 3) / 12
    flat = flows.integrate_ensemble(system, matrices.reshape(2, 6), 1.0, [1.0], rtol=1e-6)
    found = flows.integrate_ensemble(system, matrices, 1.0, [1.0], rtol=1e-6)
    assert found["loss"].tolist() == flat["loss"].tolist()
    with pytest.raises(InputError, match=r"\(members, 6\) or \(members, 2, 3\), got") as told:
        flows.integrate_ensemble(system, matrices.transpose(0, 2, 1), 1.0)
    assert "\n" not in str(told.value)
