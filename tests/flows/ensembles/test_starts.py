"""What is asked of an ensemble and cannot be: one clear line each, before anything runs."""

import pytest

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
@pytest.mark.parametrize("value", ["loss", 3, None])
def test_names_that_are_no_list_are_one_line(name, value):
    with pytest.raises(InputError, match=f"{name} must be a list of names"):
        flows.integrate_ensemble(SYSTEM, flows.Law(2), 1.0, **{name: value})


@pytest.mark.parametrize("path", ["a\0b", "x" * 5000, 3.5])
def test_a_folder_that_cannot_be_one_is_one_line(path):
    with pytest.raises(InputError):
        flows.integrate_ensemble(SYSTEM, flows.Law(2), 1.0, out=path)
    with pytest.raises(InputError):
        load_ensemble(path)
