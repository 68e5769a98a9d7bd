"""A file of a run of a loss of your own: what it carries, and what it refuses."""

import json

import numpy as np
import pytest
import sympy as sp
from oracles.quadratic_neuron import SQUARES, D, N, W, neuron, run

import flows
from flows.core.errors import InputError
from flows.systems.own.recorded import RecordedSystem


@pytest.fixture(scope="module")
def saved(tmp_path_factory):
    return run().save(tmp_path_factory.mktemp("own") / "run.nc")


def test_a_file_shows_times_states_and_observables_without_the_system(saved):
    found = flows.load(saved)
    assert isinstance(found.system, RecordedSystem)
    assert np.array_equal(found.t, run().t)
    assert np.array_equal(found.state, run().state)
    assert np.array_equal(found["transverse"], run()["transverse"])
    assert np.array_equal(flows.local_exponent(found), flows.local_exponent(run()))
    assert found.system.unpack(found.state)["W"].shape == (len(found.t), N, D)
    from flows.pages.figure import potential_figure

    assert potential_figure(found, "transverse").axes


def test_a_file_without_the_system_is_not_checked(saved):
    found = flows.load(saved)
    with pytest.raises(InputError, match=r"flows\.load\(path, system"):
        flows.check(found)


def test_a_file_carries_the_loss_and_its_potentials_as_data(saved):
    found, y = flows.load(saved).system, neuron().initial()
    assert found.loss(y) == neuron().loss(y)
    assert np.array_equal(found.gradient(y), neuron().gradient(y))
    assert np.array_equal(found.hessian(y), neuron().hessian(y))
    names = [[d.name for d in s.derive().derivations] for s in (found, neuron())]
    assert names[0] == names[1] and "transverse along the flow" in names[0]


def test_the_excess_of_a_file_is_that_of_the_run(tmp_path):
    a = sp.Symbol("a")
    done = flows.integrate(flows.OwnSystem("well", [a], (a - 1) ** 4 / 4 + 3), [2.0], t_end=1e4)
    found = flows.load(done.save(tmp_path / "run.nc"))
    assert found.excess.limit == 3.0 and np.array_equal(found["excess"], done["excess"])


def test_a_loss_that_a_file_does_not_carry_or_another_one_is_told(saved, tmp_path):
    import xarray

    with xarray.open_dataset(saved, engine="h5netcdf") as data:
        data.load()
    about = json.loads(data.attrs["popflow"])
    del data.attrs["digest"]
    nodes = about["definition"][1]
    other = flows.OwnSystem("quadratic_neuron", [W], 2 * SQUARES).definition
    for k, (given, message) in enumerate(
        (
            (None, "does not carry"),
            ([["one", "two"], nodes], "damaged"),
            ([["transverse"], [["__import__", "os"], *nodes]], "damaged"),
            (other, "another loss"),
        )
    ):
        data.attrs["popflow"] = json.dumps(about | {"definition": given})
        data.to_netcdf(tmp_path / f"{k}.nc", engine="h5netcdf")
        found = flows.load(tmp_path / f"{k}.nc")
        for asked in (found.system.derive, lambda f=found: f.system.gradient(f.state[-1])):
            with pytest.raises(InputError, match=message):
                asked()
        assert np.isnan(found.excess.limit) and message in found.excess.reason


def test_a_file_with_the_system_is_checked_also_by_new_claims(saved):
    assert [v.verdict for v in flows.check(flows.load(saved, neuron()))] == ["HOLDS"] * 4
    more = flows.OwnSystem("quadratic_neuron", [W], SQUARES, {"size": sp.trace(W.T * W)})
    assert flows.load(saved, more)["size"][-1] == pytest.approx(1, abs=1e-3)


def test_a_file_of_another_loss_is_refused(saved):
    other = flows.OwnSystem("quadratic_neuron", [W], 2 * SQUARES)
    with pytest.raises(InputError, match="another system"):
        flows.load(saved, other)
    with pytest.raises(InputError, match="another system"):
        flows.load(saved, flows.ReLUNeuron(n=2, d=2))


@pytest.mark.parametrize(
    "harm",
    [
        {"features": ["loss", "__import__('os')", "x"]},
        {"blocks": {"W": [-1]}},
        {"blocks": {"a b": [1]}},
        {"features": []},
        {"blocks": [1]},
        {"features": "loss"},
    ],
)
def test_a_file_with_harmful_names_is_refused(saved, tmp_path, harm):
    import xarray

    target = tmp_path / "harm.nc"
    with xarray.open_dataset(saved, engine="h5netcdf") as data:
        data.load()
    about = json.loads(data.attrs["popflow"])
    about["parameters"] |= harm
    data.attrs["popflow"] = json.dumps(about)
    del data.attrs["digest"]  # as someone would who means harm
    data.to_netcdf(target, engine="h5netcdf")
    with pytest.raises(InputError, match="damaged"):
        flows.load(target)


def test_the_command_line_shows_a_file_and_tells_why_it_cannot_check_it(saved, capsys):
    from flows.cli.main import main

    assert main(["inspect", str(saved), "--potential", "transverse"]) == 0
    assert main(["check", str(saved)]) == 2
    assert "flows.load(path, system=...)" in " ".join(capsys.readouterr().err.split())


def test_the_command_line_says_why_a_potential_is_not_known(tmp_path, capsys):
    from flows.cli.main import main

    a = sp.Symbol("a")
    for name, potential in (("plain", a**2), ("hidden", sp.log(a - 1))):
        run = flows.integrate(flows.OwnSystem("s", [a], a**2, {name: potential}), [1e-12], 1.0)
        run.save(tmp_path / f"{name}.nc")
        assert main(["inspect", str(tmp_path / f"{name}.nc"), "--potential", name]) == 0
        out = capsys.readouterr().out
        assert (f"{name} is nan where it is undefined, or where" in out) is (name == "hidden")
        assert ("reached the end" in out) is (name == "hidden")


def test_the_system_of_a_file_is_the_one_that_was_saved_and_no_other(tmp_path):
    a = sp.Symbol("a")

    def well(least, **more):
        return flows.OwnSystem("well", [a], (a - 1) ** 2 + least, **more)

    path = flows.integrate(well(3), [2.0], t_end=1.0).save(tmp_path / "run.nc")
    found, again = (flows.load(path).system for _ in range(2))
    assert found == well(3) and well(3) == found == again
    others = (well(sp.Rational(3001, 1000)), well(3, potentials={"square": a**2}))
    assert not any(found == other or other == found for other in (*others, flows.ReLUNeuron(2, 2)))
    assert found != "well"
