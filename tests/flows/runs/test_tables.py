"""Runs as labelled arrays: `t` is the coordinate of every time, in memory and in a file."""

import json
import sys

import numpy as np
import pandas
import pytest
import sympy as sp
import xarray
from matplotlib.figure import Figure

import flows
from flows.core.errors import InputError
from flows.core.excess import Excess

x = sp.MatrixSymbol("x", 2, 1)
OWN = flows.OwnSystem("quartic", [x], x[0] ** 4 + x[1] ** 4, potentials={"first": x[0] ** 2})
CASES = {
    "relu_neuron": (flows.ReLUNeuron(n=3, d=2), ("neuron", "coordinate")),
    "gmm_em": (flows.GMMEM(n=2, d=2), ("component", "coordinate")),
    "score_matching": (flows.ScoreMatching(n=2, d=2), ("component", "coordinate")),
    "matrix_factorization": (
        flows.MatrixFactorization(d=2, field="complex"),
        ("layer", "row", "column"),
    ),
    "own": (OWN, ("entry",)),
}


@pytest.fixture(scope="module")
def runs():
    return {
        name: flows.integrate(system, system.initial(scale=0.5), 10.0, rtol=1e-6)
        for name, (system, _) in CASES.items()
    }


@pytest.mark.parametrize("name", CASES)
def test_every_time_axis_has_the_coordinate_t_and_the_state_the_systems_axes(runs, name):
    run, axes = runs[name], CASES[name][1]
    data = run.to_xarray()
    blocks = {"x"} if name == "own" else set()
    assert set(data.data_vars) == {*run.names, "relative_error", "state", *blocks}
    assert all(variable.dims[0] == "t" for variable in data.data_vars.values())
    assert data.state.dims == ("t", *axes)
    assert np.array_equal(data.t, run.t) and np.array_equal(data.state, run.state)
    for key in run.names:
        assert np.array_equal(data[key], run[key], equal_nan=True)
        assert np.array_equal(data.relative_error.sel(observable=key), run.errors(key))
    late = data.sel(t=run.t[-1])
    assert float(late.loss) == run["loss"][-1]
    assert json.loads(data.attrs["parameters"]) == json.loads(json.dumps(run.parameters))


@pytest.mark.parametrize("name", CASES)
def test_a_saved_file_opens_in_xarray_and_selects_by_time(runs, name, tmp_path):
    run, axes = runs[name], CASES[name][1]
    path = run.save(tmp_path / "run.nc")
    with xarray.open_dataset(path) as data:
        middle = run.t[len(run.t) // 2]
        assert float(data.loss.sel(t=middle)) == run["loss"][len(run.t) // 2]
        assert float(data.sel(t=1e9, method="nearest").loss) == run["loss"][-1]
        kept = data.final_state_real if name == "matrix_factorization" else data.final_state
        assert kept.dims == axes
    again = flows.load(path, system=run.system if name == "own" else None)
    assert np.array_equal(again.to_xarray().state, run.state)


def test_an_observable_of_each_neuron_has_the_axis_of_the_neurons(runs):
    assert runs["relu_neuron"].to_xarray().norms.dims == ("t", "neuron")
    # Singular values are no layers, also where there are as many.
    values = runs["matrix_factorization"].to_xarray().singular_values
    assert values.dims[1] not in ("layer", "row", "column")


def test_a_file_whose_time_axis_has_another_name_is_read(runs, tmp_path):
    run = runs["gmm_em"]
    with xarray.open_dataset(run.save(tmp_path / "new.nc")) as data:
        renamed = {
            name: (tuple("time" if axis == "t" else axis for axis in values.dims), values.values)
            for name, values in data.variables.items()
        }
        old = xarray.Dataset(renamed, attrs=data.attrs)
    old.to_netcdf(tmp_path / "old.nc", engine="h5netcdf")
    again = flows.load(tmp_path / "old.nc")
    assert np.array_equal(again.t, run.t) and np.array_equal(again["loss"], run["loss"])


def test_a_table_has_a_column_for_each_observable_and_each_neuron(runs):
    run = runs["relu_neuron"]
    table = run.to_dataframe()
    assert isinstance(table, pandas.DataFrame) and table.index.name == "t"
    assert np.array_equal(table.index, run.t) and np.array_equal(table["loss"], run["loss"])
    assert np.array_equal(table["norms[2]"], run["norms"][:, 2])
    assert np.array_equal(table["relative_error[norms]"], run.errors("norms"))


def test_without_pandas_one_line_says_what_to_do(runs, monkeypatch):
    monkeypatch.setitem(sys.modules, "pandas", None)
    with pytest.raises(InputError, match="to_dataframe needs pandas") as caught:
        runs["gmm_em"].to_dataframe()
    assert "\n" not in str(caught.value)


def test_a_plot_is_the_figure_of_the_loss(runs):
    run = runs["relu_neuron"]
    figure = run.plot()
    assert isinstance(figure, Figure)
    (line, *_) = figure.axes[0].lines
    assert np.array_equal(line.get_ydata(), run["loss"][1:])


@pytest.mark.parametrize("name", ["relu_neuron", "gmm_em"])
def test_a_plot_goes_into_axes_that_are_given_and_returns_them(runs, name):
    figure = Figure()
    left, right = figure.subplots(1, 2)
    run = runs[name]
    assert run.plot(ax=right) is right
    assert not left.lines and np.array_equal(right.lines[0].get_ydata(), run["loss"][1:])
    assert right.get_yscale() == "log" and "$t$" in right.get_xlabel()
    with pytest.raises(InputError, match="ax: expected axes of matplotlib"):
        run.plot(ax=figure)


def test_an_excess_is_a_short_line(runs):
    run = runs["relu_neuron"]
    assert repr(run.excess) == f"Excess(L* = 0, {run['loss'][-1]:.6g} at the end)"
    partly = Excess(np.array([1.0, np.nan]), 0.5, "lost", None)
    assert repr(partly) == "Excess(L* = 0.5, 1 at the end, known at 1 of 2 times)"
    assert repr(Excess(np.full(2, np.nan), np.nan, "no limit")) == "Excess(not known: no limit)"


@pytest.mark.parametrize(
    "name", ["start", "state", "final_state", "relative_error", "entry", "observable"]
)
def test_a_potential_cannot_take_the_name_of_something_else_in_a_file(name):
    with pytest.raises(InputError, match="needs another name"):
        flows.OwnSystem("quartic", [x], x[0] ** 4, potentials={name: x[0] ** 2})


def test_blocks_are_read_by_name_with_dimensions_of_their_own():
    W, a, t = sp.MatrixSymbol("W", 2, 3), sp.MatrixSymbol("a", 2, 1), sp.Symbol("t")
    loss = sp.trace(W * W.T) / 2 + (a.T * a)[0, 0] + t**2
    system = flows.OwnSystem("blocks", [W, a, t], loss, {"first": W[0, 1]})
    run = flows.integrate(system, np.arange(1.0, 10.0), 1.0)
    data = run.to_xarray()
    assert data["W"].dims == ("t", "W_row", "W_col") and data["a"].dims == ("t", "a_row")
    assert run["W"].shape[1:] == (2, 3) and np.array_equal(run["W"], data["W"])
    assert np.array_equal(run["W"][:, 0, 1], run["first"]) and np.array_equal(data["t"], run.t)
    # Rows and columns in their order: exp(-t) of the entry that the start has there.
    assert run["W"][-1, 1, 0] == pytest.approx(4 * np.exp(-1), rel=1e-8)
    assert np.array_equal(run["a"], run.state[:, 6:8])


def test_a_name_is_among_the_observables_or_not(runs):
    found = runs["own"].observables
    assert [name in found for name in ("loss", "first", "x", "zz", 3)] == [True] * 3 + [False] * 2
