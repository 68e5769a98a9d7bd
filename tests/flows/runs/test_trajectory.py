"""A trajectory as a file: what was written comes back, or is refused."""

import json
import random

import numpy as np
import pytest
import xarray

import flows
from flows.core.errors import InputError

FLIPS = 75
SYSTEMS = {
    "relu_neuron": (flows.ReLUNeuron(n=2, d=2), [[1.0, 0.5], [0.5, -0.2]]),
    "gmm_em": (flows.GMMEM(n=2, d=2), [[1.0, 0.5], [0.5, -0.2]]),
    "score_matching": (flows.ScoreMatching(n=2, d=2), [[1.0, 0.5], [0.5, -0.2]]),
    "matrix_factorization": (
        flows.MatrixFactorization(d=2, field="complex"),
        flows.MatrixFactorization(d=2, field="complex").initial(),
    ),
}


def numbers(run):
    return {
        "t": run.t.tobytes(),
        "state": run.state.tobytes(),
        "start": run.start.tobytes(),
        "about": json.dumps(run.to_json()["provenance"]),
        **{name: run[name].tobytes() for name in run.names},
    }


@pytest.fixture(scope="module")
def saved(tmp_path_factory):
    """A run, its numbers and its file."""
    system, start = SYSTEMS["relu_neuron"]
    run = flows.integrate(system, start, 10.0, rtol=1e-6)
    return numbers(run), run.save(tmp_path_factory.mktemp("saved") / "run.nc")


@pytest.mark.parametrize("name", SYSTEMS)
def test_a_run_of_each_system_comes_back_with_its_digest(tmp_path, name):
    run = flows.integrate(*SYSTEMS[name], 10.0, rtol=1e-6)
    path = run.save(tmp_path / "run.nc")
    again = flows.load(path)
    assert numbers(again) == numbers(run)
    again.save(tmp_path / "again.nc")
    assert flows.load(tmp_path / "again.nc").stats == run.stats


@pytest.mark.parametrize("seed", range(FLIPS))
def test_one_flipped_bit_gives_one_line_or_the_same_numbers(saved, tmp_path, seed):
    expected, path = saved
    data = bytearray(path.read_bytes())
    place = random.Random(seed)
    data[place.randrange(len(data))] ^= 1 << place.randrange(8)
    target = tmp_path / "flipped.nc"
    target.write_bytes(data)
    try:
        found = numbers(flows.load(target))
    except InputError as problem:
        assert "\n" not in str(problem)
    else:
        assert found == expected


def test_every_number_that_is_changed_is_seen(saved, tmp_path):
    expected, path = saved
    data = path.read_bytes()
    position = data.index(expected["loss"]) + 7
    target = tmp_path / "changed.nc"
    target.write_bytes(data[:position] + bytes([data[position] ^ 1]) + data[position + 1 :])
    with pytest.raises(InputError, match="damaged"):
        flows.load(target)


def rewritten(path, target, change):
    with xarray.open_dataset(path, engine="h5netcdf") as data:
        data.load()
    change(data)
    data.to_netcdf(target, engine="h5netcdf")
    return target


def test_a_file_from_before_digests_is_read(saved, tmp_path):
    expected, path = saved
    old = rewritten(path, tmp_path / "old.nc", lambda data: data.attrs.pop("digest"))
    assert numbers(flows.load(old)) == expected


@pytest.mark.parametrize("name", ["loss", "popflow", "integers"])
def test_a_file_whose_content_was_changed_is_refused(saved, tmp_path, name):
    def change(data):
        if name == "loss":
            data["loss"][-1] *= 1 + 1e-15
        elif name == "integers":
            # The same bytes, as numbers of another type.
            data["loss"] = ("t", data["loss"].values.view(np.int64))
        else:
            data.attrs[name] = data.attrs[name].replace('"completed"', '"interrupted"')

    with pytest.raises(InputError, match="damaged"):
        flows.load(rewritten(saved[1], tmp_path / "changed.nc", change))


@pytest.mark.parametrize("path", ["a\0b", "x" * 5000, None])
def test_a_path_that_is_none_is_one_line(saved, path):
    run = flows.load(saved[1])
    for use in (flows.load, run.save):
        with pytest.raises(InputError) as caught:
            use(path)
        assert len(str(caught.value)) < 200


def test_a_chain_that_fails_has_no_excess_and_one_that_arrives_has():
    # Balanced layers of a negative product rest at zero, where half of the target's square is left.
    system = flows.MatrixFactorization(
        d=1, depth=4, field="real", regularization=0.0, target=[[1.0]]
    )
    layers = np.full((4, 1, 1), 0.5)
    arrives = flows.integrate(system, layers, t_end=1e3)
    assert arrives.excess.limit == 0 and np.array_equal(arrives["excess"], arrives["loss"])
    layers[-1] = -0.5
    fails = flows.integrate(system, layers, t_end=1e3)
    assert np.isnan(fails["excess"]).all() and np.isnan(fails.excess.limit)
    assert "can rest at 0.5 or above" in fails.excess.reason


def test_the_excess_of_neurons_is_known_once_the_loss_is_below_that_of_zero_neurons():
    system, start = flows.ReLUNeuron(n=2, d=2), [[2.0, 0.1], [1.0, -0.3]]
    early, late = (flows.integrate(system, start, t_end) for t_end in (0.01, 10.0))
    assert early["loss"][-1] > 0.25 and np.isnan(early["excess"]).all()
    assert late["loss"][-1] < 0.25 and np.array_equal(late["excess"], late["loss"])
