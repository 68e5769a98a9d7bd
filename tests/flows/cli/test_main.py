import errno
import functools
import importlib
import json
import re
import shutil
import tempfile
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
import sympy as sp
import xarray
from oracles.printed import unpacked

import flows
import potentials
from flows.cli.inspector import server, worker
from flows.cli.main import main

SMALL = ("run", "relu_neuron", "--n", "2", "--d", "2", "--t-end", "10")
CHECK = ("check", "relu_neuron", "--n", "2", "--d", "2", "--t-end", "10")


@pytest.fixture(scope="session")
def result_file(tmp_path_factory):
    path = tmp_path_factory.mktemp("results") / "run.nc"
    assert main([*SMALL, "--out", str(path)]) == 0
    return path


@pytest.fixture
def folder(tmp_path, result_file):
    """Inputs that tests name: good ones and broken ones."""
    shutil.copy(result_file, tmp_path / "good.nc")
    content = result_file.read_bytes()
    (tmp_path / "truncated.nc").write_bytes(content[: len(content) // 2])
    (tmp_path / "text.nc").write_text("not a result")
    (tmp_path / "empty.nc").write_text("")
    foreign = xarray.Dataset({"t": ("time", [0.0, 1.0])})
    foreign.to_netcdf(tmp_path / "foreign.nc", engine="h5netcdf")
    (tmp_path / "start.json").write_text("[[0.1, 0.2], [0.3, -0.1]]")
    (tmp_path / "flat.json").write_text("[0.1, 0.2]")
    (tmp_path / "nan.json").write_text("[[NaN, 0.2]]")
    (tmp_path / "teacher.json").write_text("[3.0, 4.0]")
    (tmp_path / "teacher3.json").write_text("[1, 2, 2]")
    (tmp_path / "zero.json").write_text("[0, 0]")
    np.save(tmp_path / "pickled.npy", np.array([[{}]], dtype=object), allow_pickle=True)
    return tmp_path


RUN = ("run", "relu_neuron", "--t-end", "10")
# What is typed ({} is the folder above) and a word of the answer.
BAD = {
    "no such command": (("integrate",), "No such command"),
    "no such option": ((*RUN, "--speed", "3"), "No such option"),
    "option of another system": ((*RUN, "--noise-time", "1"), "is not an option of"),
    "no system": (("run",), "Missing argument"),
    "unknown system": (("run", "relu", "--t-end", "1"), "unknown system 'relu'"),
    "unknown system to list": (("list", "relu"), "did you mean relu_neuron?"),
    "unknown system to derive": (("derive", "relu"), "unknown system"),
    "unknown system to report": (("report", "relu", "--out", "{}/report"), "unknown system"),
    "unknown target to check": (("check", "relu"), "unknown system"),
    "unknown claim": ((*CHECK, "--claim", "loss"), "unknown claim 'loss'"),
    "unknown potential": (("inspect", "relu_neuron", "--potential", "Z"), "unknown potential 'Z'"),
    "unknown method": ((*RUN, "--method", "RK45"), "unknown method"),
    "n zero": ((*RUN, "--n", "0"), "0 is not in the range"),
    "n negative": ((*RUN, "--n", "-1"), "-1 is not in the range"),
    "n a fraction": ((*RUN, "--n", "1.5"), "not a valid int"),
    "d zero": ((*RUN, "--d", "0"), "0 is not in the range"),
    "n beyond all bounds": ((*RUN, "--n", "9" * 30), "not in the range"),
    "n d beyond any memory": ((*RUN, "--n", "10000000", "--d", "10000000"), "memory"),
    "scale negative": ((*RUN, "--scale", "-1"), "scale must be"),
    "scale nan": ((*RUN, "--scale", "nan"), "scale must be"),
    "seed negative": ((*RUN, "--seed", "-1"), "seed must be"),
    "t_end zero": (("run", "relu_neuron", "--t-end", "0"), "t_end must be"),
    "t_end negative": (("run", "relu_neuron", "--t-end", "-1"), "t_end must be"),
    "t_end nan": (("run", "relu_neuron", "--t-end", "nan"), "t_end must be"),
    "t_end infinite": (("run", "relu_neuron", "--t-end", "inf"), "t_end must be"),
    "t_end a word": (("run", "relu_neuron", "--t-end", "long"), "not a valid float"),
    "t_eval words": ((*RUN, "--t-eval", "1,b"), "separated by commas"),
    "t_eval empty": ((*RUN, "--t-eval", ""), "separated by commas"),
    "t_eval unsorted": ((*RUN, "--t-eval", "2,1"), "increasing"),
    "t_eval negative": ((*RUN, "--t-eval", "-1,1"), "must not be negative"),
    "t_eval beyond": ((*RUN, "--t-eval", "1,11"), "exceed"),
    "t_eval nan": ((*RUN, "--t-eval", "1,nan"), "finite"),
    "rtol zero": ((*RUN, "--rtol", "0"), "rtol must"),
    "rtol negative": ((*RUN, "--rtol", "-1e-6"), "rtol must"),
    "rtol below doubles": ((*RUN, "--rtol", "1e-15"), "rtol must"),
    "rtol nan": ((*RUN, "--rtol", "nan"), "rtol must"),
    "initial missing": ((*RUN, "--initial", "{}/nothing.npy"), "cannot be read"),
    "initial nameless": ((*RUN, "--initial", ""), "cannot be read"),
    "initial flat": ((*RUN, "--initial", "{}/flat.json"), "shape (n, d)"),
    "initial nan": ((*RUN, "--initial", "{}/nan.json"), "finite"),
    "initial pickled": ((*RUN, "--initial", "{}/pickled.npy"), "pickled"),
    "initial of another format": ((*RUN, "--initial", "{}/good.nc"), "JSON"),
    "initial and n": ((*RUN, "--initial", "{}/start.json", "--n", "2"), "--n"),
    "initial and scale": ((*RUN, "--initial", "{}/start.json", "--scale", "0.1"), "--scale"),
    "teacher missing": ((*RUN, "--teacher", "{}/nothing.json"), "cannot be read"),
    "teacher zero": ((*RUN, "--teacher", "{}/zero.json"), "zero vector"),
    "teacher too long": (
        (*RUN, "--initial", "{}/start.json", "--teacher", "{}/teacher3.json"),
        "got 3",
    ),
    "teacher not of size d": ((*RUN, "--teacher", "{}/teacher3.json", "--d", "2"), "got 3"),
    "output exists": ((*RUN, "--out", "{}/good.nc"), "--force"),
    "output has no name": ((*RUN, "--out", ""), "--out: expected a file name"),
    "output is a folder": ((*RUN, "--out", "{}"), "folder"),
    "output in no folder": ((*RUN, "--out", "{}/missing/run.nc"), "create it first"),
    "output below a file": ((*RUN, "--out", "{}/text.nc/run.nc"), "create it first"),
    "latex exists": (("derive", "relu_neuron", "--latex", "{}/text.nc"), "--force"),
    "picture of no kind": (
        ("inspect", "{}/good.nc", "--potential", "kappa_max", "--out", "{}/k.bmp"),
        ".png",
    ),
    "picture of no potential": (("inspect", "{}/good.nc", "--out", "{}/x.png"), "--potential"),
    "inspector of an unknown system": (("inspect", "relu"), "did you mean relu_neuron?"),
    "inspector with another system's option": (
        ("inspect", "gmm_em", "--depth", "3"),
        "not an option of",
    ),
    "inspector of a file and n": (("inspect", "{}/good.nc", "--n", "3"), "--n does not apply"),
    "inspector at no port": (("inspect", "gmm_em", "--port", "70000"), "70000 is not in the range"),
    "result missing": (("check", "{}/nothing.nc"), "no such file"),
    "result truncated": (("check", "{}/truncated.nc"), "not a popflow"),
    "result of text": (("check", "{}/text.nc"), "not a popflow"),
    "result empty": (("check", "{}/empty.nc"), "not a popflow"),
    "result foreign": (("check", "{}/foreign.nc"), "not a popflow"),
    "result and n": (("check", "{}/good.nc", "--n", "3"), "--n does not apply"),
    "result and unknown claim": (("check", "{}/good.nc", "--claim", "x"), "unknown claim"),
    "report without folder": (("report", "relu_neuron"), "--out"),
}


def _content(folder):
    return {path: path.read_bytes() for path in folder.rglob("*") if path.is_file()}


def test_a_run_without_an_end_goes_to_1e9(popflow):
    code, out, _ = popflow("run", "relu_neuron", "--n", "2", "--d", "2", "--json")
    assert code == 0 and json.loads(out)["t"][-1] == 1e9


@pytest.mark.parametrize("case", BAD)
def test_bad_input_is_one_clear_line_and_exit_code_2_and_writes_nothing(case, popflow, folder):
    arguments, expected = BAD[case]
    before = _content(folder)
    words = [a.replace("{}", str(folder)) for a in arguments]
    if words[0] == "run" and "--out" not in words:
        words += ["--out", str(folder / "out.nc")]
    code, out, err = popflow(*words)
    assert code == 2
    assert out == ""
    assert err.startswith("popflow: error: ")
    assert err.count("\n") == 1 and err.endswith("\n")
    assert expected in err
    assert _content(folder) == before


def test_a_folder_that_cannot_be_written_is_refused_before_the_run(popflow, folder, monkeypatch):
    def refuse(**where):
        raise PermissionError(errno.EACCES, "Permission denied")

    def run_anyway(*arguments):
        raise AssertionError("integrated before the output was checked")

    monkeypatch.setattr(tempfile, "TemporaryFile", refuse)
    monkeypatch.setattr("flows.cli.main.integrated", run_anyway)
    code, out, err = popflow(*SMALL, "--out", folder / "new.nc")
    assert (code, out) == (2, "")
    assert err.count("\n") == 1
    assert "Permission denied" in err


def test_a_disk_that_fills_up_is_one_line_and_leaves_nothing(popflow, folder, monkeypatch):
    def full(descriptor):
        raise OSError(errno.ENOSPC, "No space left on device")

    before = _content(folder)
    monkeypatch.setattr("os.fsync", full)
    code, out, err = popflow(*SMALL, "--out", folder / "new.nc")
    assert (code, out) == (2, "")
    assert err.count("\n") == 1
    assert "No space left" in err
    assert _content(folder) == before


def test_good_input_is_accepted_where_its_broken_neighbour_is_not(popflow, folder):
    code, out, err = popflow(
        "run",
        "relu_neuron",
        "--initial",
        folder / "start.json",
        "--teacher",
        folder / "teacher.json",
        "--t-end",
        10,
        "--t-eval",
        "1,2.5,10",
        "--rtol",
        1e-8,
        "--method",
        "BDF",
        "--out",
        folder / "good.nc",
        "--force",
        "--json",
    )
    result = json.loads(out)
    assert (code, err) == (0, "")
    assert result["t"] == [0.0, 1.0, 2.5, 10.0]
    assert result["parameters"]["teacher"] == [3.0, 4.0]
    assert (result["parameters"]["n"], result["parameters"]["d"]) == (2, 2)
    code, again, _ = popflow("check", folder / "good.nc", "--json")
    assert {key: json.loads(again)[key] for key in result} == result


def _refuse_constant(name):
    raise AssertionError(f"{name} is not JSON")


def test_run_json_is_one_object_with_the_documented_keys(popflow):
    code, out, err = popflow(*SMALL, "--json")
    assert (code, err, out.count("\n")) == (0, "", 1)
    result = json.loads(out, parse_constant=_refuse_constant)
    assert {
        "system",
        "parameters",
        "t",
        "loss",
        "observables",
        "final_state",
        "status",
        "message",
        "stats",
        "provenance",
    } <= set(result)
    assert result["system"] == "relu_neuron"
    assert result["status"] == "completed"
    names = {potential.name for potential in potentials.potentials("relu_neuron")}
    assert names <= set(result["observables"])
    assert {len(values) for values in result["observables"].values()} == {len(result["t"])}
    assert np.shape(result["final_state"]) == (2, 2)
    assert result["t"][0] == 0.0 and result["t"][-1] == 10.0
    assert result["loss"] == result["observables"]["loss"]


def test_json_has_null_where_a_number_is_not_finite(popflow):
    """One neuron has no pair, so its kappa is not a number."""
    code, out, _ = popflow("run", "relu_neuron", "--n", "1", "--t-end", "1", "--json")
    observables = json.loads(out, parse_constant=_refuse_constant)["observables"]
    assert code == 0
    assert None in observables["kappa_max"]
    assert None not in observables["loss"]


def test_check_json_adds_verdicts(popflow, result_file):
    code, out, err = popflow("check", result_file, "--json")
    result = json.loads(out, parse_constant=_refuse_constant)
    assert err == ""
    assert {v["claim"] for v in result["verdicts"]} == {
        claim.id for claim in potentials.claims("relu_neuron")
    }
    for verdict in result["verdicts"]:
        assert {"claim", "verdict", "measured", "bound", "error", "hypotheses", "source"} <= set(
            verdict
        )
    found = {v["verdict"] for v in result["verdicts"]}
    assert code == (1 if "VIOLATED" in found else 3 if "INCONCLUSIVE" in found else 0)


def test_a_run_that_stops_early_is_printed_and_exits_with_4(popflow, monkeypatch):
    code, out, _ = popflow(*SMALL, "--json")
    assert (code, json.loads(out)["status"]) == (0, "completed")
    module = importlib.import_module("flows.runs.integrate")
    hurried = functools.partial(module.integrate, max_steps=5)
    monkeypatch.setattr(module, "integrate", hurried)
    for arguments in (SMALL, CHECK):
        code, out, _ = popflow(*arguments, "--json")
        assert (code, json.loads(out)["status"]) == (4, "step_budget")


def test_tables_are_for_people(popflow, result_file):
    code, out, err = popflow(*SMALL)
    assert (code, err) == (0, "")
    for word in ("completed", "loss", "local exponent"):
        assert word in out
    _, out, _ = popflow("check", result_file)
    for claim in potentials.claims("relu_neuron"):
        assert claim.id in out
    code, out, _ = popflow("inspect", result_file, "--potential", "norms")
    assert code == 0
    assert "norms" in out


@pytest.mark.parametrize(
    ("suffix", "magic"), [("png", b"\x89PNG"), ("pdf", b"%PDF"), ("svg", b"<?xml")]
)
def test_inspect_draws_a_picture(popflow, folder, suffix, magic):
    path = folder / f"kappa.{suffix}"
    words = ("inspect", folder / "good.nc", "--potential", "kappa_max")
    code, out, err = popflow(*words, "--out", path)
    assert (code, err) == (0, "")
    assert out.endswith(f"\nwrote {path}\n")
    assert "wrote" not in popflow(*words)[1]
    assert path.read_bytes().startswith(magic)


def _views(page):
    """What the interactive figures of a page get."""
    found = re.findall(r'<script type="application/gzip">(.*?)</script>', page)
    return [json.loads(unpacked(text)) for text in found]


def test_a_run_of_a_system_of_ones_own_is_inspected_from_its_file(popflow, tmp_path):
    x, y = sp.MatrixSymbol("x", 1, 1), sp.MatrixSymbol("y", 1, 1)
    loss = (x[0, 0] * y[0, 0] - 1) ** 2 / 2
    gap = x[0, 0] ** 2 - y[0, 0] ** 2
    system = flows.OwnSystem("product", [x, y], loss, potentials={"gap": gap})
    run = flows.integrate(system, {"x": [0.5], "y": [1.0]}, t_end=5.0)
    file, picture = tmp_path / "own.nc", tmp_path / "gap.png"
    run.save(file)
    code, out, err = popflow("inspect", file, "--potential", "gap", "--out", picture)
    assert (code, err) == (0, "")
    assert "-0.75" in out and out.endswith(f"\nwrote {picture}\n")
    assert picture.read_bytes().startswith(b"\x89PNG")
    code, _, err = popflow("inspect", file, "--potential", "kappa_max")
    assert code == 2 and "known: gap" in err
    page = tmp_path / "own.html"
    code, out, err = popflow("inspect", file, "--out", page, "--no-browser")
    assert (code, err) == (0, "") and out.endswith(f"\nwrote {page}\n")
    assert _views(page.read_text("utf-8"))[0]["potentials"][0]["name"] == "gap"
    page = worker._html(worker.Selection(file=str(file)), SimpleNamespace(send=print), None)
    assert f"popflow inspect {file}" in page and "Verdicts" not in page
    (view,) = _views(page)
    assert [p["name"] for p in view["potentials"]].count("gap") == 1


def test_inspect_serves_the_system_with_its_options_and_files_written_out(
    popflow, folder, monkeypatch
):
    served = []
    monkeypatch.setattr(server, "serve", lambda *words, **more: served.append((words, more)))
    code, _, err = popflow(
        "inspect",
        "relu_neuron",
        "--initial",
        folder / "start.json",
        "--t-end",
        "100",
        "--no-browser",
        "--port",
        "0",
    )
    assert (code, err) == (0, "")
    (selection, given), more = served.pop()
    assert (selection.system, more["port"], more["browser"]) == ("relu_neuron", 0, False)
    assert given == {"t_end": 100.0, "initial": "[[0.1, 0.2], [0.3, -0.1]]"}
    popflow("inspect", folder / "good.nc")
    (selection, given), more = served.pop()
    assert (Path(selection.file).name, given) == ("good.nc", {})
    assert (more["port"], more["browser"]) == (None, True)
