"""Ensembles on disk: interrupted, damaged, foreign, and gone on with."""

import json
import multiprocessing
import os
import shutil
import signal

import h5py
import numpy as np
import pytest
from oracles.ensembles import same_bits

from flows.core.errors import InputError
from flows.ensembles import store
from flows.ensembles.integrate import integrate_ensemble
from flows.ensembles.member import KEPT_BITS, ChunkTask, empty_rows, rounded_up
from flows.ensembles.run import load_ensemble
from flows.ensembles.starts import Law
from flows.runs.integrate import follow
from flows.systems.relu_neuron.system import ReLUNeuron

SYSTEM = ReLUNeuron(n=2, d=2)
LAW = Law(size=7, scale=0.3, seed=5)
KEPT = {"observables": ("loss", "norms"), "claims": ("loss_upper",)}
OPTIONS = {"t_end": 300.0, "rtol": 1e-5, **KEPT}


def run(out, **change):
    given = {"system": SYSTEM, "starts": LAW, "chunk_size": 2, **OPTIONS, **change}
    return integrate_ensemble(out=out, **given)


def content(folder):
    return {path.name: path.read_bytes() for path in folder.iterdir()}


@pytest.fixture(scope="module")
def whole(tmp_path_factory):
    folder = tmp_path_factory.mktemp("ensembles") / "whole"
    return folder, run(folder)


@pytest.fixture
def copy(whole, tmp_path):
    shutil.copytree(whole[0], tmp_path / "copy")
    return tmp_path / "copy"


@pytest.fixture
def computed(monkeypatch):
    """First members of the chunks that are computed from here on."""
    firsts, compute = [], ChunkTask.__call__

    def counted(self, starts, first, count):
        firsts.append(first)
        return compute(self, starts, first, count)

    monkeypatch.setattr(ChunkTask, "__call__", counted)
    return firsts


def test_on_disk_and_in_memory_are_the_same(whole):
    folder, found = whole
    assert same_bits(found, run(None)) and not same_bits(found, run(None, rtol=1e-6))
    assert sorted(content(folder)) == [*(f"chunk-00000{k}.nc" for k in range(4)), "manifest.json"]


def test_it_can_be_read_again(whole):
    folder, found = whole
    again = load_ensemble(folder)
    assert same_bits(found, again) and again.system == SYSTEM
    assert again.seed_of(3) == found.seed_of(3) == LAW.seed_of(3)
    assert again.tightest("loss_upper") == found.tightest("loss_upper")


def test_after_ctrl_c_the_finished_chunks_are_kept_and_it_goes_on(
    whole, tmp_path, monkeypatch, computed
):
    folder, expected = whole
    save, saved = store.save, []

    def interrupted(path, rows):
        if len(saved) >= 2:
            raise KeyboardInterrupt
        saved.append(path)
        save(path, rows)

    monkeypatch.setattr(store, "save", interrupted)
    found = run(tmp_path / "e")
    # Workers save as they finish: the two chunks are any two of four.
    kept = np.isin(np.arange(7) // 2, [int(path.stem.split("-")[1]) for path in saved])
    assert found.status.tolist() == np.where(kept, "completed", "interrupted").tolist()
    assert np.isnan(found["loss"][~kept]).all()
    assert np.array_equal(found["loss"][kept], expected["loss"][kept])
    assert load_ensemble(tmp_path / "e").status.tolist() == found.status.tolist()
    # What was not computed is no evidence.
    always = found.fraction(lambda c: np.full(c.count, True))
    assert (always.count, always.trials) == (sum(kept), sum(kept))
    monkeypatch.setattr(store, "save", save)
    computed.clear()
    # The folder keeps its chunks, whatever is asked for now.
    assert same_bits(run(tmp_path / "e", chunk_size=5), expected)
    assert sorted(computed) == [first for first in (0, 2, 4, 6) if not kept[first]]
    assert content(tmp_path / "e") == content(folder)


def test_an_interrupted_run_is_not_a_row(tmp_path, monkeypatch):

    def interrupted(*given, **options):
        found = follow(*given, **options)
        object.__setattr__(found, "status", "interrupted")
        return found

    monkeypatch.setattr("flows.ensembles.integrate.follow", interrupted)
    assert set(run(tmp_path / "e", method="LSODA").status) == {"interrupted"}
    assert list(content(tmp_path / "e")) == ["manifest.json"]


def test_killed_workers_change_nothing(tmp_path, monkeypatch):
    folder = tmp_path / "whole"
    expected = run(folder, method="LSODA")
    save, killed = store.save, []
    others = {process.pid for process in multiprocessing.active_children()}  # of earlier tests

    def save_and_kill(path, rows):
        save(path, rows)
        if not killed:
            pids = {process.pid for process in multiprocessing.active_children()}
            killed.extend(pids - others)
            for pid in killed:
                os.kill(pid, signal.SIGKILL)

    monkeypatch.setattr(store, "save", save_and_kill)
    found = run(tmp_path / "e", method="LSODA", chunk_size=2, workers=2)
    assert len(killed) == 2 and same_bits(found, expected)
    assert content(tmp_path / "e") == content(folder)


@pytest.mark.parametrize("damage", ["cut", "empty", "gone", "flipped", "short", "text"])
def test_a_damaged_chunk_is_computed_again(whole, copy, computed, damage):
    folder, expected = whole
    path = copy / "chunk-000001.nc"
    data = path.read_bytes()
    if damage == "flipped":
        with h5py.File(path) as file:
            position = file["loss"].id.get_chunk_info(0).byte_offset + 3
        path.write_bytes(data[:position] + bytes([data[position] ^ 1]) + data[position + 1 :])
    elif damage == "short":
        shutil.copy(copy / "chunk-000003.nc", path)
    elif damage == "gone":
        path.unlink()
    else:
        path.write_bytes({"cut": data[:-100], "empty": b"", "text": b"chunk"}[damage])
    assert load_ensemble(copy).status.tolist().count("interrupted") == 2
    assert same_bits(run(copy), expected)
    assert computed == [2] and content(copy) == content(folder)


def test_nothing_is_computed_again_where_nothing_is_damaged(copy, whole, computed):
    assert same_bits(run(copy), whole[1]) and computed == []


@pytest.mark.parametrize(
    ("change", "word"),
    [
        ({"t_end": 301.0}, "procedure, t"),
        ({"rtol": 1e-6}, "procedure"),
        ({"starts": Law(size=7, scale=0.3, seed=6)}, "starts"),
        ({"starts": Law(size=8, scale=0.3, seed=5)}, "starts"),
        ({"starts": np.ones((7, 2, 2))}, "starts"),
        ({"observables": ("loss",)}, "shapes"),
        ({"claims": ()}, "claims"),
        ({"system": ReLUNeuron(2, 2, (0.0, 2.0))}, "parameters"),
    ],
)
def test_the_folder_of_another_ensemble_is_refused_and_stays(copy, computed, change, word):
    before = content(copy)
    with pytest.raises(InputError, match=f"holds another ensemble, which differs in {word}"):
        run(copy, **change)
    assert content(copy) == before and computed == []


def test_given_starts_are_told_apart_by_their_numbers(tmp_path):
    starts = np.array([LAW.start(SYSTEM, k) for k in range(3)])
    found = run(tmp_path / "e", starts=starts)
    assert same_bits(run(tmp_path / "e", starts=starts.copy()), found)
    with pytest.raises(InputError, match="differs in starts"):
        run(tmp_path / "e", starts=np.nextafter(starts, 1.0))


@pytest.mark.parametrize(
    ("name", "text", "word"),
    [
        ("other.txt", "mine", "one with other files"),
        ("manifest.json", "{", "damaged"),
        ("manifest.json", "[]", "damaged"),
        ("manifest.json", '{"format": "other-1"}', "has the format 'other-1'"),
    ],
)
def test_a_folder_that_is_not_an_ensembles_is_refused_and_stays(tmp_path, name, text, word):
    (tmp_path / name).write_text(text)
    with pytest.raises(InputError, match=word):
        run(tmp_path)
    assert content(tmp_path) == {name: text.encode()}


@pytest.mark.parametrize("name", [".popflow-ab12/manifest.json", "manifest.json.ab12.part"])
def test_a_folder_with_only_half_a_file_of_a_killed_writer_is_begun(tmp_path, name):
    remnant = tmp_path / name
    remnant.parent.mkdir(exist_ok=True)
    remnant.write_text("{")
    assert set(run(tmp_path).status) == {"completed"}
    assert same_bits(load_ensemble(tmp_path), run(tmp_path)) and remnant.exists()


def test_a_folder_that_cannot_be_begun_is_not_left_behind(tmp_path, monkeypatch):
    def full(descriptor):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("os.fsync", full)
    with pytest.raises(InputError, match="No space"):
        run(tmp_path / "e")
    assert list(tmp_path.iterdir()) == []


def test_a_disk_that_fills_up_is_one_line_and_keeps_the_chunks_before(
    whole, tmp_path, monkeypatch, computed
):
    sync, calls = os.fsync, []

    def full(descriptor):
        calls.append(descriptor)
        if len(calls) > 4:  # of a file and of its folder, for the manifest and one chunk
            raise OSError(28, "No space left on device")
        sync(descriptor)

    monkeypatch.setattr("os.fsync", full)
    with pytest.raises(InputError, match="No space"):
        run(tmp_path / "e")
    (kept,) = set(content(tmp_path / "e")) - {"manifest.json"}
    monkeypatch.setattr("os.fsync", sync)
    computed.clear()
    assert same_bits(run(tmp_path / "e"), whole[1])
    others = [2 * k for k in range(4) if kept != f"chunk-{k:06d}.nc"]
    assert sorted(computed) == others and len(others) == 3


def test_a_chunk_with_the_digest_from_before_is_intact(copy, monkeypatch, computed):
    digest = store.digest
    monkeypatch.setattr(store, "digest", lambda rows, types=False: digest(rows, types))
    path = copy / "chunk-000000.nc"
    rows = store.load(path)
    store.save(path, rows)
    before = path.read_bytes()
    monkeypatch.undo()
    assert store.intact(path, 2)
    changed = rows | {"loss": rows["loss"].view(np.int64)}
    store.save(path, changed)
    assert path.read_bytes() != before and store.intact(path, 2)
    assert store.digest(changed) != store.digest(rows)


def test_what_cannot_be_a_folder_is_refused(tmp_path):
    (tmp_path / "file").write_text("mine")
    with pytest.raises(InputError, match="expected a folder, got a file"):
        run(tmp_path / "file")
    with pytest.raises(InputError, match="cannot be written"):
        run(tmp_path / "missing" / "e")
    with pytest.raises(InputError, match="is not a popflow ensemble"):
        load_ensemble(tmp_path)
    assert list(content(tmp_path)) == ["file"]


def test_a_damaged_manifest_is_told_when_it_is_read(copy):
    manifest = json.loads((copy / "manifest.json").read_text())
    del manifest["starts"]
    (copy / "manifest.json").write_text(json.dumps(manifest))
    with pytest.raises(InputError, match=r"damaged manifest\.json"):
        load_ensemble(copy)


def test_a_write_that_fails_leaves_nothing_behind(tmp_path, monkeypatch):
    def full(source, target):
        raise OSError(28, "No space left on device")

    path = tmp_path / "chunk.nc"
    monkeypatch.setattr("os.replace", full)
    with pytest.raises(InputError, match="No space"):
        store.save(path, {"loss": np.zeros((2, 3))})
    assert list(tmp_path.iterdir()) == []
    monkeypatch.undo()
    store.save(path, {"loss": np.zeros((2, 3)), "status": np.array(["a", "b"], dtype=object)})
    assert store.intact(path, 2) and not store.intact(path, 3)


def test_an_error_in_few_bits_is_never_smaller_and_hardly_larger():
    rng = np.random.default_rng(0)
    values = 10.0 ** rng.uniform(-320, 300, 10_000)  # those at the lower end have few digits
    kept = rounded_up(values, KEPT_BITS)
    normal = values > np.finfo(float).tiny
    assert (kept >= values).all()
    assert (kept[normal] <= values[normal] * (1 + 2.0**-KEPT_BITS)).all()
    assert (rounded_up(kept, KEPT_BITS) == kept).all()
    # With one bit less the bound is broken: it is not a loose one.
    assert (
        rounded_up(values, KEPT_BITS - 1)[normal] > values[normal] * (1 + 2.0**-KEPT_BITS)
    ).any()
    special = np.array([0.0, np.inf, np.nan, 1.0])
    np.testing.assert_array_equal(rounded_up(special, KEPT_BITS), special)


def test_numbers_that_are_packed_come_back_to_the_last_bit_and_take_less_room(tmp_path):
    rows = empty_rows(64, 50, {"loss_error": ()}, ())
    rows["loss_error"] = rounded_up(np.random.default_rng(1).random((64, 50)), KEPT_BITS)
    store.save(tmp_path / "few.nc", rows)
    np.testing.assert_array_equal(store.load(tmp_path / "few.nc")["loss_error"], rows["loss_error"])
    assert store.intact(tmp_path / "few.nc", 64)
    rows["loss_error"] = np.random.default_rng(1).random((64, 50))
    store.save(tmp_path / "all.nc", rows)
    few, whole = ((tmp_path / f"{name}.nc").stat().st_size for name in ("few", "all"))
    assert whole - few > rows["loss_error"].nbytes / 2
