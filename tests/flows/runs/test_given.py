"""Potentials that are given to a run: values, rates and errors like those of the system's own."""

import pickle

import numpy as np
import pytest
import sympy as sp
import xarray

import flows
from flows.core.errors import InputError
from potentials import symbol
from symbolic import D

SYSTEM = flows.ReLUNeuron(n=3, d=5)
START = SYSTEM.initial(scale=0.1, seed=0)
LOSS, T, Z, NORMS = (symbol(name) for name in ("loss", "t", "pairwise_distance", "norms"))
GIVEN = {"ratio": LOSS / Z**3, "scaled": T**3 * sp.Symbol("loss"), "squares": NORMS**2}
# y' = -y^3, so that x = |y|^3 has D(x) = -3 x^(5/3).
Y = sp.Symbol("y")
QUARTIC = flows.OwnSystem("quartic", [Y], Y**4 / 4, potentials={"Phi": Y**2})
# One operation more or less of doubles.
ROUNDING = 1e-12
# The error of the run is 1e-8, at its tolerance of 1e-10.
DIGITS = 1e-7


@pytest.fixture(scope="module")
def run():
    return flows.integrate(SYSTEM, START, 1e6, potentials=GIVEN)


def test_values_and_rates_come_from_the_state(run):
    loss, rate = run["loss"], run.quantities["loss_dot"]
    distance, fall = run.potential("pairwise_distance")
    value, change = run.potential("ratio")
    assert value == pytest.approx(loss / distance**3, rel=ROUNDING)
    true = rate / distance**3 - 3 * loss * fall / distance**4
    size = np.abs(rate / distance**3) + np.abs(3 * loss * fall / distance**4)
    assert (np.abs(change - true) <= ROUNDING * size).all()
    assert run["scaled"] == pytest.approx(run.t**3 * loss, rel=ROUNDING)
    assert flows.local_exponent(run, "scaled")[1:] == pytest.approx(
        3 + flows.local_exponent(run, "loss")[1:], abs=DIGITS
    )
    assert np.array_equal(run["squares"], run["norms"] ** 2)


def test_it_is_an_observable_like_any_other(run):
    plain = flows.integrate(SYSTEM, START, 1e6)
    assert run.names == (*plain.names, *GIVEN)
    assert np.array_equal(run["loss"], plain["loss"])
    data = run.to_xarray()
    assert np.array_equal(data.ratio, run["ratio"]) and data.squares.dims == ("t", "neuron")
    assert np.array_equal(pickle.loads(pickle.dumps(run))["ratio"], run["ratio"])
    assert len(flows.check(run)) == len(flows.check(plain))


def test_its_error_is_not_below_that_of_its_parts():
    # Nearly equal neurons: of the distance doubles know few digits.
    system, name = flows.ReLUNeuron(n=2, d=2), "pairwise_distance"
    twins = np.array([[0.1, 0.2], [0.1, 0.2 + 1e-12]])
    given = {"same": Z, "double": 2 * LOSS}
    run = flows.integrate(system, twins, 1e6, potentials=given)
    assert np.array_equal(run.errors("same"), run.errors(name))
    assert run.errors("double") == pytest.approx(run.errors("loss"), rel=DIGITS)
    assert run.errors("loss")[-1] > 1e-3


@pytest.mark.parametrize(
    ("power", "verdict"), [(sp.Rational(5, 3), "HOLDS"), (sp.Rational(47, 30), "VIOLATED")]
)
def test_a_relation_about_it_is_decided(power, verdict):
    cube = symbol("Phi") ** sp.Rational(3, 2)
    run = flows.integrate(QUARTIC, [1.0], 1e6, potentials={"cube": cube})
    x = symbol("cube")
    (found,) = flows.check(run, D(x) <= -sp.Symbol("C") * x**power)
    assert found.verdict == verdict
    if verdict == "HOLDS":
        assert found.constant == pytest.approx(3, rel=DIGITS)


def test_a_file_has_its_values_and_takes_its_expression_again(run, tmp_path):
    path = run.save(tmp_path / "run.nc")
    with xarray.open_dataset(path) as data:
        assert np.array_equal(data.ratio, run["ratio"])
    assert "ratio" not in flows.load(path).names
    again = flows.load(path, potentials=GIVEN)
    assert np.array_equal(again["ratio"], run["ratio"]) and again.names == run.names


@pytest.mark.parametrize(
    ("given", "line"),
    [
        ({"loss": LOSS}, "potential 'loss' needs another name: relu_neuron has one of it"),
        ({"kappa_max": LOSS}, "'kappa_max' needs another name: relu_neuron has one of it"),
        ({"h": LOSS}, "'h' needs another name: relu_neuron has one of it"),
        ({"T2": LOSS}, "'T2' needs another name: relu_neuron has one of it"),
        ({"neuron": LOSS}, "'neuron' needs another name"),
        ({"state": LOSS}, "'state' needs another name: every run has"),
        ({"sound_h": LOSS}, "'sound_h' needs another name: so begin names"),
        ({"x_dot": LOSS}, "'x_dot' needs another name: in claims _dot says"),
        ({3: LOSS}, "potential 3 needs another name"),
        ({"x": symbol("losss")}, "unknown symbol 'losss'; did you mean loss?"),
        ({"x": symbol("gradient_norm")}, "the rate of gradient_norm is not known"),
        ({"x": LOSS * NORMS}, "it mixes them"),
        ({"x": symbol("n")}, "or holds none"),
        ({"x": 3}, "must be an expression in quantities, got 3"),
        ({"x": "loss"}, "must be an expression in quantities, got 'loss'"),
        ([LOSS], "potentials must be a mapping"),
    ],
    ids=lambda x: str(x)[:40],
)
def test_what_cannot_be_a_potential_is_one_line_before_anything_is_integrated(given, line):
    with pytest.raises(InputError) as caught:
        flows.integrate(SYSTEM, START, 1e12, potentials=given, method="reference")
    assert line in str(caught.value) and "\n" not in str(caught.value)


def test_a_descent_has_the_values_of_a_flow_at_the_same_states():
    run = flows.descend(SYSTEM, START, 0.1, 50, potentials=GIVEN)
    loss, distance = run["loss"], run["pairwise_distance"]
    assert run["ratio"] == pytest.approx(loss / distance**3, rel=ROUNDING)
    assert run["scaled"] == pytest.approx(run.t**3 * loss, rel=ROUNDING)
    assert run["squares"] == pytest.approx(run["norms"] ** 2, rel=ROUNDING)


def test_members_keep_potentials_of_ones_own_on_disk_too(tmp_path):
    law = flows.Law(size=3, scale=0.4)
    more = {"t_end": 10.0, "rtol": 1e-6, "potentials": GIVEN, "out": tmp_path / "many"}
    many = flows.integrate_ensemble(SYSTEM, law, chunk_size=2, **more)
    alone = {"t_end": 10.0, "rtol": 1e-6, "potentials": GIVEN, "method": "Rodas5P"}
    one = flows.integrate(SYSTEM, law.start(SYSTEM, 1), **alone)
    again = flows.load_ensemble(tmp_path / "many")
    down = flows.descend_ensemble(SYSTEM, law, 0.1, 20, potentials=GIVEN)
    for name in GIVEN:
        assert many[name].shape[:2] == (3, len(many.t))
        assert many[name][1] == pytest.approx(one[name], rel=ROUNDING)
        assert np.array_equal(again[name], many[name])
        assert down[name].shape[:2] == (3, len(down.t)) and np.isfinite(down[name]).all()
    other = {**more, "potentials": {name: 2 * x for name, x in GIVEN.items()}}
    with pytest.raises(InputError, match="differs in potentials"):
        flows.integrate_ensemble(SYSTEM, law, chunk_size=2, **other)


@pytest.mark.parametrize("make", [flows.descend, flows.integrate_ensemble, flows.descend_ensemble])
def test_a_name_that_is_taken_is_refused_before_anything_runs(make):
    start = START if make is flows.descend else flows.Law(size=2)
    with pytest.raises(InputError, match="'loss' needs another name"):
        make(SYSTEM, start, 1.0, potentials={"loss": symbol("loss") ** 2})
