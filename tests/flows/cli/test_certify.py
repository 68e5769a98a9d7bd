"""``popflow certify`` and ``popflow verify``: options in, tables or JSON out, exit codes."""

import json

import pytest
from flint import arb

import flows
from flows.cli.main import main

SMALL = ("certify", "relu_neuron", "--n", "2", "--d", "3", "--t-end", "0.5", "--digits", "8")
ABOUT = ("--n", "2", "--d", "3", "--t-end", "0.5")


@pytest.fixture(scope="module")
def path(tmp_path_factory):
    path = tmp_path_factory.mktemp("certificates") / "c.json"
    arguments = [*SMALL, "--t-eval", "0.25", "--claim", "transverse_vs_loss", "--out", str(path)]
    assert main(arguments) == 0
    return path


def test_certificate_and_verdicts_are_written_and_then_accepted(popflow, path):
    code, text, noise = popflow("verify", path, *ABOUT, "--claim", "transverse_vs_loss", "--json")
    data = json.loads(text)
    assert (code, noise) == (0, "")
    assert data["checked"] == {
        "accepted": True,
        "refused": None,
        "pieces": data["pieces"],
        "system": "relu_neuron",
        "parameters": {"n": 2, "d": 3, "teacher": [1.0, 0.0, 0.0]},
        "start": flows.ReLUNeuron(n=2, d=3).initial().tolist(),
        "t_end": 0.5,
    }
    assert data["verdicts"][0]["claim"] == "transverse_vs_loss"
    assert data["verdicts"][0]["verdict"] == "PROVED"
    assert data["error"] < 1e-6
    system = flows.ReLUNeuron(n=2, d=3)
    run = flows.integrate(system, system.initial(), t_end=0.5, rtol=1e-12)
    assert data["start"] == run.start.tolist()
    assert abs(arb(data["enclosures"][-1]["loss"]).mid() - run["loss"][-1]) < 1e-8


def test_tables_show_enclosures_and_verdicts(popflow, path, monkeypatch):
    monkeypatch.setenv("COLUMNS", "300")
    code, text, _ = popflow("verify", path, "--t-eval", "0.25", "--claim", "distance_vs_loss")
    assert code == 3  # phase 3 has not begun
    for word in ("accepted", "distance_vs_loss", "UNDECIDED", "+/-", "0.25"):
        assert word in text
    assert "n = 2, d = 3, teacher = [1.0, 0.0, 0.0]\n" in text
    for number in flows.ReLUNeuron(n=2, d=3).initial().ravel().tolist():
        assert repr(number) in text  # of the start, every digit


def test_a_refused_certificate_is_exit_code_1_with_the_reason(popflow, path, tmp_path):
    data = json.loads(path.read_text())
    data["pieces"][0]["defect"] = "0x0p0"
    (tmp_path / "broken.json").write_text(json.dumps(data))
    assert popflow("verify", tmp_path / "broken.json")[:2] == (
        1,
        "REFUSED: piece 0: the defect is larger\n",
    )
    code, text, _ = popflow("verify", tmp_path / "broken.json", "--json")
    assert code == 1
    checked = json.loads(text)["checked"]
    assert checked["refused"] == "piece 0: the defect is larger"
    assert checked["start"] is checked["system"] is checked["t_end"] is None


def test_a_second_start_in_the_file_is_refused_with_the_reason(popflow, path, tmp_path):
    start = json.dumps(json.loads(path.read_text())["start"])
    again = path.read_text().replace('"t_end":', f'"start":{start},"t_end":')
    (tmp_path / "twice.json").write_text(again)
    for about in ((), ABOUT):
        code, text, _ = popflow("verify", tmp_path / "twice.json", *about)
        assert (code, text) == (1, "REFUSED: the key 'start' occurs twice\n")


@pytest.mark.parametrize(
    ("options", "reason"),
    [
        (("--seed", "1"), "another start"),
        (("--n", "3"), "another system"),
        (("--t-end", "0.6"), "another end"),
    ],
)
def test_a_certificate_of_another_problem_is_refused(popflow, path, options, reason):
    about = {"--n": "2", "--d": "3", **dict([options])}
    code, text, _ = popflow("verify", path, *(x for item in about.items() for x in item))
    assert code == 1
    assert reason in text


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("certify", "relu", "--t-end", "1"), "unknown system 'relu'; did you mean relu_neuron"),
        (
            ("certify", "score_matching", "--d", "3", "--t-end", "1"),
            "score_matching has no certificates",
        ),
        ((*SMALL[:-2], "--digits", "99"), "digits: expected an integer from 8 to 60, got 99"),
        (("certify", "relu_neuron"), "--t-end: expected a time to prove to"),
        (("certify", "relu_neuron", "--t-end", "nan"), "inf for all times, got nan; give another"),
        (("certify", "relu_neuron", "--t-end=-inf"), "inf for all times, got -inf; give another"),
        ((*SMALL, "--claim", "loss_uper"), "unknown claim 'loss_uper'"),
        ((*SMALL, "--rtol", "1e-3"), "--rtol: a certificate has none"),
        ((*SMALL, "--weights", "1,2"), "--weights is not an option of relu_neuron"),
        ((*SMALL, "--t-eval", "0.7"), "--t-eval: expected times in [0, 0.5], got 0.7"),
        ((*SMALL, "--out", "missing/c.json"), "expected an existing folder"),
        (("verify", "missing.json"), "missing.json: cannot be read"),
        (("verify", "missing.json", "--claim", "x"), "unknown claim 'x'"),
    ],
)
def test_bad_input_is_one_line_and_exit_code_2(popflow, arguments, message):
    code, text, noise = popflow(*arguments)
    assert (code, text) == (2, "")
    assert noise.startswith("popflow: error: ")
    assert noise.count("\n") == 1
    assert message in noise


def test_an_existing_file_is_kept_unless_forced(popflow, path, tmp_path):
    (kept := tmp_path / "kept.json").write_text("mine")
    code, _, noise = popflow(*SMALL, "--out", kept)
    assert code == 2
    assert "--force" in noise
    assert kept.read_text() == "mine"
    arguments = [*SMALL, "--out", kept, "--force", "--claim", "angle_vs_loss"]
    assert popflow(*arguments)[0] == 0
    assert kept.read_text() == path.read_text()  # the same problem, the same bits


def test_where_no_proof_is_found_nothing_is_written(popflow, tmp_path):
    (tmp_path / "teacher.json").write_text("[0.5, 0.5, 0.0]")
    out = tmp_path / "c.json"
    # Two neurons that start at one point outside the plane stay aligned.
    (tmp_path / "start.json").write_text("[[0.25, 0.1, 0.0], [0.25, 0.1, 0.0], [0.0, 0.0, 0.1]]")
    code, text, noise = popflow(
        "certify",
        "relu_neuron",
        "--initial",
        tmp_path / "start.json",
        "--teacher",
        tmp_path / "teacher.json",
        "--t-end",
        "1",
        "--digits",
        "8",
        "--out",
        out,
    )
    assert (code, text) == (4, "")
    assert noise.startswith("popflow: UNDECIDED beyond t = 0")
    assert not out.exists()


def test_means_on_a_line_are_certified_and_no_others(popflow, tmp_path):
    (tmp_path / "start.json").write_text("[[0.75], [-0.5]]")
    initial = ("--initial", tmp_path / "start.json")
    path, claim = tmp_path / "c.json", ("--claim", "norms_shrink")
    made = ("certify", "gmm_em", *initial, "--t-end", "10", "--digits", "8", "--out", path)
    assert popflow(*made, *claim)[0] == 0
    code, text, _ = popflow("verify", path, *initial, *claim, "--json")
    assert code == 0
    assert json.loads(text)["verdicts"][0]["verdict"] == "PROVED"
    code, _, noise = popflow("certify", "gmm_em", "--n", "2", "--d", "2", "--t-end", "1")
    assert code == 2
    assert "on a line only, got d = 2" in noise


ENDLESS = ("--n", "2", "--d", "2", "--seed", "0", "--scale", "0.1")


@pytest.fixture(scope="module")
def endless(tmp_path_factory):
    path = tmp_path_factory.mktemp("endless") / "c.json"
    made = ("certify", "relu_neuron", *ENDLESS, "--t-end", "inf", "--digits", "8")
    assert main([*made, "--claim", "loss_upper", "--out", str(path)]) == 0
    return path


def test_a_proof_to_infinity_is_shown_as_the_interface_says(popflow, endless):
    code, text, noise = popflow("verify", endless, *ENDLESS, "--claim", "loss_upper", "--json")
    data = json.loads(text)
    assert (code, noise) == (0, "")
    infinity, checked = data["infinity"], data["checked"]["infinity"]
    assert set(infinity) == {"exponent", "limit", "h", "all_times", "from"}
    assert infinity["exponent"] == checked["exponent"] == 3
    # To all digits of a prototype that shares no code: t^3 L, and h.
    numbers = (infinity["limit"], *infinity["h"])
    known = (1.635824017139938, 0.473670512094429, 0.526329487905571)
    for x, value in zip(numbers, known, strict=True):
        assert set(x) == {"value", "radius"}
        assert abs(float(x["value"]) - value) <= x["radius"] < 1e-5
    lower, upper = infinity["all_times"]["lower"], infinity["all_times"]["upper"]
    assert 0 < lower <= checked["lower"] < float(infinity["limit"]["value"]) < upper
    assert checked["upper"] <= upper
    assert infinity["from"] == data["t_end"]


def test_the_table_of_a_proof_to_infinity_shows_the_theorem(popflow, endless, monkeypatch):
    monkeypatch.setenv("COLUMNS", "300")
    code, text, _ = popflow("verify", endless, "--claim", "loss_upper")
    assert code == 0
    for words in ("t^3 L ->", "1.635", "the flow exists for all t", "for all t >= 0"):
        assert words in text
    assert "ENCLOSED for all t  smallest constant of all times in [0.102" in text


def test_check_shows_what_is_proved_for_all_times_beside_the_verdict_of_a_run(popflow, endless):
    asked = ("check", "relu_neuron", *ENDLESS, "--t-end", "1e4", "--certificate", endless)
    code, text, _ = popflow(*asked, "--claim", "distance_vs_loss_constant")
    assert code == 0
    assert "HOLDS" in text
    assert "certified   PROVED for all t, holds on every box, and at all later times" in text
    code, text, _ = popflow(*asked, "--claim", "loss_upper", "--json")
    (proved,) = json.loads(text)["certificate"]["verdicts"]
    assert proved["for_all_times"] is True


LOST = "8"  # where the loss of the layers has lost six digits


def test_proofs_about_layers_are_shown_beside_the_verdicts_of_a_run(popflow, tmp_path):
    path, claim = tmp_path / "c.json", ("--claim", "global_convergence")
    about = ("--d", "1", "--field", "complex", "--scale", "1", "--seed", "1")
    made = ("certify", "matrix_factorization", *about, "--t-end", LOST, "--digits", "8")
    assert popflow(*made, "--out", path, *claim)[0] == 0
    assert popflow("verify", path, *about, *claim)[0] == 0
    code, text, _ = popflow("verify", path, *about[:-1], "2")
    assert code == 1
    assert "another start" in text
    checked = ("check", "matrix_factorization", *about, "--t-end", LOST, *claim)
    code, text, _ = popflow(*checked, "--certificate", path, "--json")
    data = json.loads(text)
    assert code == 0
    assert data["certificate"]["verdicts"][0]["verdict"] == "PROVED"
    assert data["verdict"] in ("HOLDS", "HOLDS_BEYOND")
    code, text, _ = popflow(*checked, "--certificate", path)
    assert code == 0
    assert f"certified   to t = {LOST}: PROVED" in text
    code, _, noise = popflow("check", "relu_neuron", "--t-end", "1", "--certificate", path)
    assert code == 2
    assert "another system" in noise


SCALARS = {
    "name": "scalars",
    "blocks": [["u", []], ["v", []]],
    "terms": [[1, 2, [[0, 2], [1, 2]]], [-1, 1, [[0, 1], [1, 1]]], [1, 2, []]],
}


@pytest.fixture
def loss(tmp_path, monkeypatch):
    """Files of an own loss and its start, in the current directory."""
    monkeypatch.chdir(tmp_path)
    (tmp_path / "loss.json").write_text(json.dumps(SCALARS))
    (tmp_path / "start.json").write_text("[1.5, 0.25]")
    return ("certify", "loss.json", "--initial", "start.json", "--digits", "8")


def test_an_own_polynomial_loss_is_certified_from_its_file_and_verified(popflow, loss, monkeypatch):
    monkeypatch.setenv("COLUMNS", "300")
    code, _, noise = popflow(*loss, "--t-end", "2", "--out", "c.json", "--json")
    assert (code, noise) == (0, "")
    code, text, noise = popflow("verify", "c.json", "--initial", "start.json", "--t-end", "2")
    assert (code, noise) == (0, "")
    assert "name = scalars, loss = 1/2 u^2 v^2 - u v + 1/2\n" in text
    assert "[1.5, 0.25]\n" in text and "accepted" in text
    _, text, _ = popflow("verify", "c.json", "--json")
    checked = json.loads(text)["checked"]
    assert (checked["parameters"], checked["start"]) == (SCALARS, [1.5, 0.25])
    with open("start.json", "w") as file:
        file.write("[1.5, 0.2500000000000001]")
    code, text, _ = popflow("verify", "c.json", "--initial", "start.json")
    assert (code, text) == (1, "REFUSED: it is about another start\n")


def test_a_start_that_is_a_column_is_that_vector(popflow, loss):
    found = []
    for start in ("[1.5, 0.25]", "[[1.5], [0.25]]"):
        with open("start.json", "w") as file:
            file.write(start)
        code, text, noise = popflow(*loss, "--t-end", "1", "--json")
        assert (code, noise) == (0, "")
        found.append(json.loads(text)["start"])
    assert found[0] == found[1] == [1.5, 0.25]


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"terms": [[1, 1, [[0, -1]]]]}, "powers than 1 to 64"),
        ({"terms": [[1, 1, [[2, 1]]]]}, "has other entries"),
        ({"terms": [[1.5, 1, [[0, 1]]]]}, "other numbers than integers"),
        ({"terms": [[1, 0, [[0, 1]]]]}, "a denominator below 1"),
        ({"terms": "u**2"}, "expected a loss, JSON"),
        ({"name": "u+v"}, "name must be a plain word"),
        ({"blocks": [["u", [0]]]}, "not a name and a shape"),
        ({"loss": "u**2"}, "got name, blocks, terms, loss"),
    ],
)
def test_a_file_that_holds_no_polynomial_is_one_line(popflow, loss, change, message):
    with open("loss.json", "w") as file:
        json.dump(SCALARS | change, file)
    code, text, noise = popflow(*loss, "--t-end", "2")
    assert (code, text) == (2, "")
    assert message in noise and noise.count("\n") == 1


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("certify", "none.json", "--t-end", "2"), "got no file"),
        (("certify", "loss.json", "--t-end", "2", "--n", "3"), "--n is not an option of scalars"),
    ],
)
def test_options_that_an_own_loss_does_not_have_are_one_line(popflow, loss, arguments, message):
    code, text, noise = popflow(*arguments)
    assert (code, text) == (2, "")
    assert message in noise and noise.count("\n") == 1


def test_an_own_loss_is_proved_to_rest_for_all_times(popflow, loss, monkeypatch):
    monkeypatch.setenv("COLUMNS", "300")
    asked = ("--t-end", "inf", "--digits", "9", "--out", "c.json")
    code, text, _ = popflow(*loss, *asked, "--json")
    assert code == 0
    found = json.loads(text)["infinity"]
    assert (found["kind"], found["limit_loss"]["value"]) == ("exponential", "0")
    assert 0 < found["amplitude"] < 1 < found["rate"]
    code, text, _ = popflow("verify", "c.json", "--initial", "start.json")
    assert code == 0
    bound = f"0 <= L(t) - L* <= {str(found['amplitude'])[:6]}"
    assert "verified theorem" in text and bound in text
    checked = json.loads(popflow("verify", "c.json", "--json")[1])["checked"]["infinity"]
    assert checked["amplitude"] == found["amplitude"]


def test_a_ball_of_starts_is_proved_and_shown(popflow, loss, monkeypatch):
    monkeypatch.setenv("COLUMNS", "300")
    code, text, _ = popflow(*loss, "--t-end", "1", "--radius", "1e-4", "--out", "c.json")
    assert code == 0 and "within 0.0001 of it" in text
    code, text, _ = popflow("verify", "c.json", "--json")
    data = json.loads(text)
    assert (code, data["radius"], data["checked"]["radius"]) == (0, 1e-4, 1e-4)
    code, text, noise = popflow(*loss, "--t-end", "1", "--radius", "-1")
    assert (code, text) == (2, "")
    assert "radius: expected a length from 0 on" in noise and noise.count("\n") == 1


def test_a_start_without_a_proof_for_ever_is_one_line(popflow, tmp_path):
    (tmp_path / "one.json").write_text("[[1.0]]")
    code, text, noise = popflow(
        "certify", "gmm_em", "--initial", tmp_path / "one.json", "--t-end", "inf"
    )
    assert (code, text) == (4, "")
    assert "a proof for ever is of two means" in noise and noise.count("\n") == 1
    code, text, noise = popflow(
        "certify", "score_matching", "--n", "3", "--d", "3", "--t-end", "inf"
    )
    assert (code, text) == (2, "")
    assert "score_matching has no certificates" in noise and noise.count("\n") == 1


def test_a_loss_that_is_no_object_is_refused_by_what_it_is(popflow, tmp_path):
    loss = tmp_path / "loss.json"
    for text, kind in (("[1]", "list"), ("7", "int"), ('"u**2"', "str")):
        loss.write_text(text)
        code, text, noise = popflow("certify", loss, "--t-end", "1")
        assert (code, text, noise.count("\n")) == (2, "", 1)
        assert f"got a {kind}; mend it" in noise


def test_a_certificate_of_two_layers_is_made_and_verified_and_decides_their_claims(
    popflow, tmp_path
):
    about = ("two_layer", "--students", "2", "--teachers", "2", "--activation", "quadratic")
    made, end = tmp_path / "made.json", ("--t-end", "2")
    code, text, _ = popflow("certify", *about, *end, "--digits", "8", "--out", made)
    assert code == 0 and "cluster_upper" in text and "ENCLOSED" in text
    code, text, _ = popflow("verify", made)
    assert code == 0 and "general_two_layer" in text and "cluster_upper" not in text
    _, text, _ = popflow("check", *about, *end, "--certificate", made, "--json")
    proved = {v["claim"]: v for v in json.loads(text)["certificate"]["verdicts"]}
    assert proved["cluster_upper"]["verdict"] == "ENCLOSED"
    # Control: of a start of another seed it decides nothing.
    code, _, noise = popflow("check", *about, *end, "--seed", "5", "--certificate", made)
    assert code == 2 and "it is about another start" in noise
