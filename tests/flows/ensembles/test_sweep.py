"""Sweeps: the same bits after an interruption, honest fractions, one line for what is wrong."""

import json
import shutil
from concurrent.futures import BrokenExecutor, Executor, Future, ThreadPoolExecutor

import numpy as np
import pytest
import xarray
from scipy.stats import binom

import flows
from flows.core.errors import InputError
from flows.core.proportion import interval
from flows.ensembles import crew
from flows.ensembles.sweep import FILE

VARY = {"n": [1, 2], "d": [2, 3]}
OPTIONS = {"size": 3, "seed": 5, "t_end": 50.0, "t_eval": [1.0, 50.0], "rtol": 1e-5}
# The quantiles are solved for to rounding; a member more or less moves them by far more.
EXACT = 1e-12


def small(vary=None, **more):
    return flows.sweep(flows.ReLUNeuron, vary or VARY, **(OPTIONS | more))


@pytest.fixture(scope="module")
def whole(tmp_path_factory):
    """A folder, and what the sweep returned that wrote it."""
    out = tmp_path_factory.mktemp("whole") / "sweep"
    return out, small(out=out)


def stop_after(most):
    """Progress that is interrupted by the user after so many members."""
    seen = []

    def advance(count):
        seen.append(count)
        if sum(seen) > most:
            raise KeyboardInterrupt

    return advance


def test_each_combination_has_the_rows_of_its_ensemble(whole):
    _, data = whole
    assert dict(data["loss"].sizes) == {"n": 2, "d": 2, "member": 3, "t": 3}
    system, law = flows.ReLUNeuron(2, 3), flows.Law(3, seed=5)
    e = flows.integrate_ensemble(system, law, 50.0, [1.0, 50.0], rtol=1e-5)
    at = data.sel(n=2, d=3)
    for name in ("loss", "loss_exponent", "status", "message"):
        assert np.array_equal(at[name].values, e[name], equal_nan=name.startswith("loss"))
    start = system.initial(0.1, int(data["seed"][1]))
    assert np.array_equal(start, law.start(system, 1))
    # A combination beside it is another: the labels are not swapped.
    assert not np.array_equal(data.sel(n=2, d=2)["loss"].values, e["loss"])


def test_the_file_alone_says_what_it_is(whole):
    out, data = whole
    xarray.testing.assert_identical(flows.load_sweep(out), data)
    xarray.testing.assert_identical(flows.load_sweep(out / FILE), data)
    with xarray.open_dataset(out / FILE) as alone:
        assert alone.attrs["system"] == "relu_neuron" and alone.attrs["t_end"] == 50.0
        assert json.loads(alone.attrs["law"])["seed"] == 5
        assert "popflow" in json.loads(alone.attrs["versions"])
        assert alone["t"].values.tolist() == [0.0, 1.0, 50.0]
    assert flows.load_ensemble(out / "n=2,d=3").completed == 3


def test_a_sweep_that_was_interrupted_goes_on_to_the_same_bits(whole, tmp_path):
    _, data = whole
    half = small(out=tmp_path / "half", workers=1, progress=stop_after(5))
    status = half["status"].values.reshape(4, 3)
    assert (status[0] == "completed").all() and (status[2:] == "interrupted").all()
    assert np.isnan(half["loss"].sel(n=2)).all()
    found = flows.sweep_fraction(half, 0.5)
    assert found["trials"].sel(n=2).values.tolist() == [0, 0]
    assert np.isnan(found["fraction"].sel(n=2)).all()
    assert found["low"].sel(n=2, d=2) == 0 and found["high"].sel(n=2, d=2) == 1
    told = []
    rest = small(out=tmp_path / "half", progress=told.append)
    xarray.testing.assert_identical(rest, data)
    assert sum(told) == 12  # those that were there, and the others


def test_a_chunk_that_is_gone_is_computed_again(whole, tmp_path):
    out, data = whole
    shutil.copytree(out, tmp_path / "copy")
    (tmp_path / "copy" / FILE).unlink()
    next((tmp_path / "copy" / "n=1,d=3").glob("chunk-*.nc")).unlink()
    xarray.testing.assert_identical(small(out=tmp_path / "copy"), data)


class Broken(Executor):
    """What is left of a pool, a process of which has died."""

    def submit(self, *call):
        future = Future()
        future.set_exception(BrokenExecutor("a process died"))
        return future


def test_after_the_loss_of_a_worker_its_ensemble_begins_anew(whole, monkeypatch):
    _, data = whole
    pools = [Broken(), ThreadPoolExecutor(2), ThreadPoolExecutor(2)]
    begun = []

    def pool(workers):
        begun.append(workers)
        return pools[len(begun) - 1]

    for module in ("crew", "workers"):
        monkeypatch.setattr(f"flows.ensembles.{module}.Pool", pool)
    found = small(method="LSODA", workers=2)
    # One that breaks, one for the ensemble that it had, one for all others.
    assert begun == [2, 2, 2]
    xarray.testing.assert_identical(found, small(method="LSODA", workers=1))
    assert (found["status"] == "completed").all()
    assert not np.array_equal(found["loss"], data["loss"])  # another method, other digits


def test_by_default_processes_serve_what_is_left_of_a_long_sweep(monkeypatch):
    expected, begun, pool = small(method="LSODA", workers=1), [], crew.Pool

    def counted(workers):
        begun.append(workers)
        return pool(workers)

    monkeypatch.setattr(crew, "Pool", counted)
    monkeypatch.setattr(crew, "cores", lambda: 2)
    xarray.testing.assert_identical(small(method="LSODA"), expected)
    assert begun == []
    monkeypatch.setattr(crew, "LONG", 0.0)
    xarray.testing.assert_identical(small(method="LSODA"), expected)
    assert begun == [2]


@pytest.mark.parametrize(("busy", "pools"), [(0.0, []), (1e9, [2])])
def test_processes_serve_what_threads_would_take_long_for_without_keeping_cores_busy(
    whole, monkeypatch, busy, pools
):
    """From the third combination on: the first one compiles, the second one is looked at."""
    begun, pool = [], crew.Pool

    def counted(workers):
        begun.append(workers)
        return pool(workers)

    monkeypatch.setattr(crew, "Pool", counted)
    monkeypatch.setattr(crew, "cores", lambda: 2)
    monkeypatch.setattr(crew, "LONG", 0.0)
    monkeypatch.setattr(crew, "BUSY", busy)
    xarray.testing.assert_identical(small(), whole[1])
    assert begun == pools


def test_processes_change_no_bit(whole):
    vary = {"n": [1, 2], "d": [2]}
    found = small(vary, method="LSODA", workers=2)
    xarray.testing.assert_identical(found, small(vary, method="LSODA"))


def test_a_folder_of_another_sweep_is_refused_and_stays(whole):
    out, data = whole
    for more in ({"seed": 6}, {"rtol": 1.01e-5}, {"vary": {"n": [1, 2], "d": [2]}}):
        with pytest.raises(InputError, match="holds another sweep, which differs in "):
            small(out=out, **more)
    with pytest.raises(InputError, match="expected 'popflow-sweep-1'"):
        small(out=out / "n=1,d=2")
    xarray.testing.assert_identical(flows.load_sweep(out), data)


def test_a_function_that_makes_another_system_is_another_sweep(tmp_path):
    def make(depth, strength):
        return lambda d: flows.MatrixFactorization(d, "real", strength, depth=depth)

    options = {"size": 1, "t_end": 1e-3, "t_eval": [1e-3], "rtol": 1e-3}
    flows.sweep(make(2, 1.0), {"d": [1]}, out=tmp_path / "s", **options)
    with pytest.raises(InputError, match="differs in cases"):
        flows.sweep(make(2, 1.001), {"d": [1]}, out=tmp_path / "s", **options)


def test_words_and_scales_are_parameters(tmp_path):
    data = flows.sweep(
        flows.MatrixFactorization,
        {"field": ["real", "complex"], "scale": [0.1, 0.2]},
        size=2,
        t_end=1e-3,
        t_eval=[1e-3],
        rtol=1e-3,
        out=tmp_path / "s",
    )
    xarray.testing.assert_identical(flows.load_sweep(tmp_path / "s"), data)
    system = flows.MatrixFactorization(field="complex")
    start = system.initial(0.2, int(data["seed"][1]))
    at = data["loss"].sel(field="complex", scale=0.2)[1, 0]
    assert float(at) == pytest.approx(system.loss(start), rel=1e-12)
    assert "scale" not in json.loads(data.attrs["law"])


def test_an_interval_has_the_exact_tails_of_the_binomial(whole):
    _, data = whole
    above = data["loss"].isel(t=-1, drop=True) < np.median(data["loss"].isel(t=-1))
    found = flows.sweep_fraction(data, lambda s: above, level=0.95)
    for at in found.stack(case=("n", "d")).transpose("case", ...)["case"].values:
        one = found.sel(n=at[0], d=at[1])
        k, low, high = int(one["count"]), float(one["low"]), float(one["high"])
        assert k == int(above.sel(n=at[0], d=at[1]).sum()) and int(one["trials"]) == 3
        assert k == 0 or abs(binom.sf(k - 1, 3, low) - 0.025) < EXACT
        assert k == 3 or abs(binom.cdf(k, 3, high) - 0.025) < EXACT


@pytest.mark.parametrize("k", [0, 1, 199, 200, 399, 400])
def test_one_member_more_changes_the_interval(k):
    status = np.full(400, "completed", dtype=object)
    data = xarray.Dataset({"status": ("member", status)}, {"member": np.arange(400)})

    def ends(count):
        hit = xarray.DataArray(np.arange(400) < count, dims="member")
        found = flows.sweep_fraction(data, lambda s: hit, level=0.95)
        return float(found["low"]), float(found["high"])

    low, high = ends(k)
    assert k == 0 or abs(binom.sf(k - 1, 400, low) - 0.025) < EXACT
    assert k == 400 or abs(binom.cdf(k, 400, high) - 0.025) < EXACT
    other = k - 1 if k else k + 1
    assert max(np.abs(np.subtract(ends(other), (low, high)))) > 1e-3
    assert ends(k) != interval(k, 400, 0.949)


def test_a_ratio_counts_losses_and_a_member_that_stopped_is_undecided(whole):
    _, data = whole
    loss = data["loss"]
    there = (loss["member"] != 0) | (loss["t"] == 0)
    broken = data.assign(
        loss=loss.where(there),
        loss_error=data["loss_error"].where(there),
        status=data["status"].where(data["member"] != 0, "step_budget"),
    )
    ratio = 0.999
    count = (loss.isel(t=-1) <= ratio * loss.isel(t=0)).isel(member=slice(1, None)).sum("member")
    found = flows.sweep_fraction(broken, ratio)
    assert found["count"].values.tolist() == count.values.tolist()
    assert (found["trials"] == 2).all() and (found["undecided"] == 1).all()
    assert found.attrs["level"] == 0.99


def test_bad_conditions_are_refused(whole):
    _, data = whole
    for condition, words in (
        (2.0, "between 0 and 1"),
        (lambda s: s["loss"], "one a member"),
        (lambda s: s["loss"] > 0, "one a member"),
        (lambda s: True, "one a member"),
    ):
        with pytest.raises(InputError, match=words):
            flows.sweep_fraction(data, condition)
    with pytest.raises(InputError, match="level must be"):
        flows.sweep_fraction(data, 0.5, level=95)
    with pytest.raises(InputError, match="data set of a sweep"):
        flows.sweep_fraction(data[["loss"]].drop_vars("member"), 0.5)
    with pytest.raises(InputError, match="keep loss"):
        flows.sweep_fraction(data.drop_vars("loss"), 0.5)


@pytest.mark.parametrize(
    ("vary", "words"),
    [
        ({}, "at least one parameter"),
        ({"n": []}, "got an empty one"),
        ({"n": "12"}, "expected a list of values"),
        ({"n": 3}, "expected a list of values"),
        ({"n": [1, 1]}, "different values"),
        ({"n": [1, float("nan")]}, "finite numbers"),
        ({"n": [1, "two"]}, "finite numbers"),
        ({"n": ["../up"]}, "finite numbers"),
        ({"m": [1]}, "unknown parameter 'm'"),
        ({"member": [1]}, "uses itself"),
        ({"n": [1, 0], "d": [2]}, "at n = 0, d = 2: n must be a positive integer, got 0"),
        ({"n": [1], "d": [2], "scale": [0.1, -1.0]}, "at n = 1, d = 2, scale = -1: scale must"),
    ],
)
def test_parameters_that_cannot_be_used_are_one_line(vary, words, tmp_path):
    with pytest.raises(InputError, match=words) as caught:
        flows.sweep(flows.ReLUNeuron, vary, out=tmp_path / "s", **OPTIONS)
    assert "\n" not in str(caught.value) and not (tmp_path / "s").exists()


def test_other_bad_arguments_are_one_line():
    for more, words in (
        ({"size": 0}, "size must be"),
        ({"observables": "loss"}, "must be a list"),
        ({"observables": ["nonsense"]}, "at n = 1, d = 2: unknown observable"),
        ({"observables": ["norms"]}, r"one number a time, got the shape \(1,\) at n = 1, d = 2"),
        ({"start_options": {"balanced": True}}, "at n = 1, d = 2: relu_neuron has no start"),
    ):
        with pytest.raises(InputError, match=words):
            small(**more)
    with pytest.raises(InputError, match="make must be a system's class"):
        flows.sweep(flows.ReLUNeuron(2, 2), VARY, **OPTIONS)
    with pytest.raises(InputError, match="system must be a System"):
        flows.sweep(lambda n: n, {"n": [1]}, **OPTIONS)
    with pytest.raises(InputError, match="no default, got none of q"):
        flows.sweep(lambda n, q: flows.ReLUNeuron(n, q), {"n": [1]}, **OPTIONS)


def test_a_file_that_is_damaged_or_another_is_refused(whole, tmp_path):
    out, _ = whole
    content = (out / FILE).read_bytes()
    for name, text in (("cut.nc", content[:-200] + content[-100:]), ("none.nc", b"nothing")):
        (tmp_path / name).write_bytes(text)
        with pytest.raises(InputError, match="cannot be read"):
            flows.load_sweep(tmp_path / name)
    with pytest.raises(InputError, match="it is another file"):
        flows.load_sweep(next((out / "n=1,d=2").glob("chunk-*.nc")))
    with pytest.raises(InputError, match="got none"):
        flows.load_sweep(tmp_path)


def test_members_about_which_the_error_decides_are_no_trials(whole):
    data = whole[1]
    bound = data["loss"].isel(t=-1, drop=True).isel(member=0)
    blurred = data.assign(loss_error=xarray.where(data["member"] == 0, data["loss"], 0.0))
    exact = data.assign(loss_error=xarray.zeros_like(data["loss"]))

    def below(some):
        return some["loss"].isel(t=-1, drop=True) <= bound * (1 + 1e-9)

    found, sharp = (flows.sweep_fraction(some, below) for some in (blurred, exact))
    assert (found["undecided"] == 1).all() and (sharp["undecided"] == 0).all()
    assert (found["trials"] == 2).all() and (sharp["trials"] == 3).all()
    assert (found["count"] + 1 == sharp["count"]).all()
