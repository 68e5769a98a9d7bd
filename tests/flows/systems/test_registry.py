"""The registry: what systems say of themselves, and that nothing heavy is imported for it."""

import inspect
import re
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

import flows
import potentials
from flows.core.errors import InputError
from flows.core.options import RANDOM_START, START
from flows.core.system import System
from flows.systems.registry import OPTIONS, SYSTEMS, make

ROOT = Path(__file__).parents[3]


def options_of(name, **given):
    """All options of a system, none given but these."""
    return {o.name: None for o in (*START, *OPTIONS[name])} | given


def test_the_packages_list_the_same_systems():
    assert tuple(SYSTEMS) == tuple(OPTIONS) == tuple(potentials.SYSTEMS)


@pytest.mark.parametrize("name", SYSTEMS)
def test_a_system_says_its_name_title_axes_and_options(name):
    system = SYSTEMS[name]
    assert issubclass(system, System)
    assert system.name == name and system.title
    assert system.options is OPTIONS[name]
    assert all(option.help and not option.help.endswith(".") for option in system.options)


@pytest.mark.parametrize("name", SYSTEMS)
def test_options_make_the_system_and_a_random_start(name):
    system, start = SYSTEMS[name].from_options(options_of(name, d=2, scale=0.5, seed=3))
    assert make(name, system.parameters) == system
    assert start.ndim == len(system.axes) and start.shape[-1] == 2
    assert np.array_equal(start, system.initial(0.5, 3))
    other = SYSTEMS[name].from_options(options_of(name, d=2, scale=0.5, seed=4))[1]
    assert not np.array_equal(start, other)


@pytest.mark.parametrize("name", SYSTEMS)
def test_a_file_of_one_start_or_of_several_says_the_sizes(name, tmp_path):
    _, start = SYSTEMS[name].from_options(options_of(name, d=2))
    one, several = tmp_path / "one.npy", tmp_path / "several.npy"
    np.save(one, start)
    np.save(several, np.stack([start, start]))
    system, read = SYSTEMS[name].from_options(options_of(name, initial=str(one)))
    assert np.array_equal(system.check_start(read), start)
    same, starts = SYSTEMS[name].from_options(options_of(name, initial=str(several)), members=True)
    assert same == system and np.array_equal(starts, np.stack([start, start]))
    with pytest.raises(InputError, match="shape"):
        SYSTEMS[name].from_options(options_of(name, initial=str(several)))


def test_a_system_of_sizes_and_numbers_needs_no_code_for_its_options(tmp_path):
    """What `System` does by itself is what gradient EM, without weights, does."""
    system = SYSTEMS["gmm_em"]
    for given in ({}, {"n": 2, "d": 1}):
        options = options_of("gmm_em", **given)
        mine, theirs = System.from_options.__func__(system, options), system.from_options(options)
        assert mine[0] == theirs[0] and np.array_equal(mine[1], theirs[1])


def test_an_option_says_its_help():
    option = RANDOM_START[0]
    assert option.text == "Number of neurons or components [default: 3]."
    assert replace(option, meaning="of it", default=None).text == f"{option.help}: of it."
    assert replace(option, default=None).text == f"{option.help}."


def test_the_names_and_options_of_systems_import_nothing_heavy():
    code = """
import sys
from flows.systems.registry import OPTIONS, SYSTEMS
names = [o.name for options in OPTIONS.values() for o in options]
assert "relu_neuron" in SYSTEMS and "relu" not in SYSTEMS
before = {"numpy", "sympy", "numba"} & set(sys.modules)
SYSTEMS["relu_neuron"]
print(before, "numpy" in sys.modules, "flows.systems.gmm_em.system" in sys.modules)
"""
    done = subprocess.run(
        [sys.executable, "-c", code], check=True, cwd=ROOT, capture_output=True, text=True
    )
    assert done.stdout.split() == ["set()", "True", "False"]


MODELS = (
    flows.ReLUNeuron,
    flows.GMMEM,
    flows.ScoreMatching,
    flows.MatrixFactorization,
    flows.TwoLayer,
    flows.OwnSystem,
)


@pytest.mark.parametrize("model", MODELS)
def test_a_system_takes_what_its_docstring_names_and_nothing_else(model):
    text = inspect.getdoc(model).partition("Parameters\n")[2].partition("\nRaises\n")[0]
    documented = [
        name for line in re.findall(r"^(\w[\w, ]*) : ", text, re.M) for name in line.split(", ")
    ]
    assert list(inspect.signature(model).parameters) == documented
    for name in ("decay", "tolerance", "steps"):
        assert name not in documented


def test_a_setting_is_kept_beside_another_one_and_caches_are_not():
    system = flows.TwoLayer(2, 2).at_tolerance(1e-6, 1e-8, True)
    changed = system.in_doubles()
    assert changed.doubles and changed.steps == system.steps and not system.doubles
    assert changed == system and "doubles" not in repr(changed)
    assert flows.GMMEM(2, 1).at_tolerance(1e-6, 1e-8, True).tolerance == pytest.approx(1e-7)
