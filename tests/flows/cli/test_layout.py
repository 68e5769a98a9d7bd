"""Nothing that a terminal shows is cut, however narrow it is."""

import json
import math
import re
import subprocess
import sys
from collections import Counter
from dataclasses import replace

import pytest
import sympy as sp
from mpmath import mp

import flows
import potentials
from flows.cli import output
from flows.cli.layout import Table, counted, labelled, wrapped
from flows.cli.verdicts import verdict_lines, verdict_table
from flows.pages.formulas import plain
from flows.runs.verdict import HypothesisResult, Outcome, Verdict

WIDTHS = (60, 80)
ROWS = (("alpha beta gamma", "1.23456e-10, 2.5"), ("delta", "-0.333333"))
LONG = "a_claim_whose_name_is_longer_than_any_terminal_of_eighty_columns_can_show_on_one_line"


def words(lines):
    """Words in reading order, without the lines that are as long as their table."""
    return [word for line in lines for word in line.split() if "─" not in word]


@pytest.fixture(scope="module")
def run():
    system = flows.ReLUNeuron(n=3, d=5)
    return flows.integrate(system, system.initial(scale=0.1, seed=0), t_end=1e12)


def test_lines_are_broken_between_words_only():
    text = "kappa_max(0) = 1.957, not in (0, pi/2); sub-linear " + "x" * 50
    assert words(wrapped(text, 20)) == text.split()
    assert max(map(len, wrapped(text, 20)[:-1])) <= 20


def test_what_follows_a_label_stays_beside_it():
    lines = labelled("not met", "one two three four five six seven", 34)
    assert len(lines) > 1
    assert {len(line) - len(line.lstrip()) for line in lines[1:]} == {lines[0].index("one")}


@pytest.mark.parametrize("columns", [16, 22, 30, 80])
def test_a_table_keeps_every_word_and_number_at_every_width(columns):
    lines = Table(("name", "value"), ROWS, "a caption of five words").lines(columns)
    assert max(map(len, lines)) <= columns
    for row in ROWS:
        for cell in row:
            assert set(cell.split()) <= set(words(lines))


def test_a_table_that_does_not_fit_stands_as_records():
    wide, narrow = (Table(("name", "value"), ROWS).lines(columns) for columns in (60, 16))
    assert any("─" in line for line in wide)
    assert not any("─" in line for line in narrow)


@pytest.mark.parametrize("columns", WIDTHS)
def test_verdicts_lose_no_word_in_a_narrow_terminal(run, columns, monkeypatch):
    verdicts = flows.check(run)
    verdicts[0] = replace(verdicts[0], claim=LONG)
    monkeypatch.setenv("COLUMNS", "1000")
    whole = words(verdict_lines(verdicts))
    monkeypatch.setenv("COLUMNS", str(columns))
    lines = verdict_lines(verdicts)
    assert words(lines) == whole
    assert [line for line in lines if len(line) > columns] == [f"{LONG}:"]


@pytest.mark.parametrize("columns", WIDTHS)
@pytest.mark.parametrize(
    "command",
    [
        ("list",),
        ("list", "matrix_factorization"),
        ("inspect", "relu_neuron", "--t-end", "1e3", "--potential", "norms"),
        ("run", "matrix_factorization", "--t-end", "10"),
    ],
    ids=" ".join,
)
def test_no_command_prints_a_line_that_is_too_long(popflow, monkeypatch, command, columns):
    monkeypatch.setenv("COLUMNS", "400")
    _, whole, _ = popflow(*command)
    monkeypatch.setenv("COLUMNS", str(columns))
    code, out, err = popflow(*command)
    assert (code, err) == (0, "")
    assert max(map(len, out.splitlines())) <= columns
    timed = ("run", "inspect")  # a second run takes other seconds
    missing = set(words(whole.splitlines())) - set(words(out.splitlines()))
    assert len(missing) <= (1 if command[0] in timed else 0)


def test_definitions_are_plain_text():
    """No LaTeX is left over, and one of them is what a theorist would type."""
    for system in potentials.SYSTEMS:
        for potential in potentials.potentials(system):
            assert not set("\\{}") & set(plain(potential.latex()))
    assert plain(r"V = \sum_{i} \sin^{2}{\left(\frac{\theta_i}{2} \right)}") == (
        "V = sum_i sin^2(theta_i/2)"
    )


def said(verdicts, claim):
    """What is printed of one claim, with single blanks."""
    return " ".join(words(verdict_lines([v for v in verdicts if v.claim == claim])))


def test_a_verdict_says_both_sides_with_their_direction_and_where_it_is_tightest(run):
    verdicts = flows.check(run)
    known = {v.claim: v for v in verdicts}
    v = known["kappa_persists"]
    sides = f"{v.measured:.6g} >= {v.bound:.6g} at t = {v.attained_at:.6g}, where it is tightest"
    assert f"measured {sides}" in said(verdicts, "kappa_persists")
    assert "claimed for all t > 0: some z_i = 0 or kappa_max(t) >= " in said(
        verdicts, "kappa_persists"
    )
    exponent = known["distance_decay"]
    assert f"exponent {exponent.measured:.6g} ± " in said(verdicts, "distance_decay")
    assert "claimed >= 2" in said(verdicts, "distance_decay")
    # the control: the converse fails, and says so
    claim = next(c for c in potentials.claims("relu_neuron") if c.id == "kappa_persists")
    broken = flows.check(run, replace(claim, sign=-1))
    assert broken[0].verdict is Outcome.VIOLATED
    assert " not <= " in said(broken, "kappa_persists")
    assert "where it fails most" in said(broken, "kappa_persists")


@pytest.mark.parametrize(("claim", "direction"), [("loss_upper", ">="), ("loss_lower", "<=")])
def test_an_exponent_is_compared_in_the_direction_of_its_claim(run, claim, direction):
    """A loss below C/t^3 has at least this exponent, one above c/t^3 at most."""
    found = flows.check(run, claim)[0]
    assert (found.compared, found.relation) == ("exponents", direction)


def test_an_exponent_that_has_no_limit_yet_gets_no_error_that_would_contradict_its_verdict(run):
    found = flows.check(run, "loss_upper")[0]
    assert " ± " in dict(found.said())["measured"]
    moving = replace(found, measured=377.0, error=820.0)  # as of an exponential fall
    said = "exponent 377 at the end, where it has no limit yet, claimed >= 3"
    assert dict(moving.said())["measured"] == said
    without = replace(moving, error=math.nan)
    assert dict(without.said())["measured"] == said.replace("no limit yet", "no limit")


def test_the_distribution_runs_as_a_module():
    command = [sys.executable, "-m", "popflow", "--help"]
    assert "popflow" in subprocess.run(command, check=True, capture_output=True, text=True).stdout


def test_an_unmet_hypothesis_is_said_as_a_reader_would_write_it(run):
    said_of = {v.claim: [str(h) for h in v.hypotheses if not h.holds] for v in flows.check(run)}
    kappa = run["kappa_max"][0]
    assert said_of["separation"] == [f"kappa_max(0) = {kappa:.4g}, not in (0, pi/2)"]
    assert said_of["exact_param_rate"] == ["n = 3, not 1"]
    assert any("d = 5, not >= log(100 n) = 5.704" in x for x in said_of["loss_upper"])


def test_every_hypothesis_says_what_it_finds_in_place_of_its_inequality():
    for system in potentials.SYSTEMS:
        for claim in potentials.claims(system):
            for h in claim.hypotheses:
                said = h.failure(0.125, float("nan"))
                assert "{" not in said
                assert "0.125" in said or h.value is None
                assert ("undefined" in said) == ("{needed}" in (h.unmet or "{needed}"))


#: Lines of a whole answer of `popflow check` on a terminal of 100 columns.
MOST_LINES = 40


def lines_of(out, verdicts):
    return [line for line in out.splitlines() if line.split()[:1] in [[v.claim] for v in verdicts]]


def test_check_prints_a_summary_and_one_line_a_claim(popflow, run, tmp_path, monkeypatch):
    monkeypatch.setenv("COLUMNS", "100")
    run.save(tmp_path / "run.nc")
    code, out, _ = popflow("check", tmp_path / "run.nc")
    verdicts = flows.check(run)
    assert code == 0 and len(out.splitlines()) <= MOST_LINES
    found = lines_of(out, verdicts)
    assert [line.split()[:2] for line in found] == [[v.claim, str(v.verdict)] for v in verdicts]
    counts = Counter(str(v.verdict) for v in verdicts)
    assert all(f"{n} {outcome}" in out.partition(" claim")[0] for outcome, n in counts.items())
    upper = next(v for v in verdicts if v.claim == "loss_upper")
    assert f"exponent {upper.measured:.6g} ± " in found[0] and "claimed >= 3" in found[0]
    code, full, _ = popflow("check", tmp_path / "run.nc", "--full")
    assert code == 0 and all(f"{v.claim}: {v.verdict}" in full for v in verdicts)
    assert "Corollary 12" in full and "Corollary 12" not in out


@pytest.mark.parametrize("system", potentials.SYSTEMS)
@pytest.mark.parametrize("outcome", list(Outcome))
def test_no_claim_needs_more_than_a_line_whatever_its_verdict(system, outcome, monkeypatch):
    """Also with long messages and numbers of many digits: the table of every system fits."""
    monkeypatch.setenv("COLUMNS", "100")
    source = potentials.claims(system)[0].source
    unmet = (HypothesisResult("a hypothesis", False, 1.0, 2.0, ">=", "a long reason " * 9),)
    verdicts = [
        Verdict(c.id, outcome, -1.23456789e-101, 1.23456789e-100, 3.2e-300, unmet, source, 2.0,
                1.23456e-100, "a long message " * 9, relation=">=", compared=compared,
                conclusion=conclusion)
        for c in potentials.claims(system)
        for compared, conclusion in [("sides", False), ("exponents", True), ("", None)]
    ]  # fmt: skip
    lines = verdict_table(verdicts).lines(100)
    assert len(lines_of("\n".join(lines), verdicts)) == len(verdicts)
    assert len(lines) == len(verdicts) + 4 and max(map(len, lines)) <= 100
    assert len(potentials.claims(system)) + 10 <= MOST_LINES


@pytest.mark.parametrize(("number", "said"), [(0, "0 axioms"), (1, "1 axiom"), (2, "2 axioms")])
def test_a_number_and_its_noun_agree(number, said):
    assert counted(number, "axiom") == said
    assert counted(1, "hypothesis", "hypotheses") == "1 hypothesis"


def test_a_claim_that_says_nothing_about_the_start_is_no_failure(popflow, run, tmp_path):
    run.save(tmp_path / "run.nc")
    code, out, _ = popflow("check", tmp_path / "run.nc")
    assert "HYPOTHESIS_NOT_MET" in out and "INCONCLUSIVE" not in out
    assert code == 0


def test_the_verdict_on_one_claim_is_printed_without_the_run(popflow):
    words = ("check", "relu_neuron", "--t-end", "10", "--claim", "kappa_persists", "--json")
    code, out, _ = popflow(*words)
    found = json.loads(out)
    assert code == 0
    assert (found["claim"], found["verdict"]) == ("kappa_persists", "HOLDS")
    assert found["relation"] == ">=" and found["conclusion"] is True
    assert found["measured"] > found["bound"]
    assert found["statement"].startswith("for all t > 0")
    assert (found["system"], found["t_end"], found["status"]) == ("relu_neuron", 10.0, "completed")
    assert not {"loss", "observables", "t", "verdicts"} & set(found)


def test_list_has_one_line_a_system_with_paper_and_counts(popflow, monkeypatch):
    monkeypatch.setenv("COLUMNS", "80")
    _, out, _ = popflow("list")
    for system in potentials.SYSTEMS:
        line = next(x for x in out.splitlines() if x.split()[:1] == [system])
        counts = len(potentials.potentials(system)), len(potentials.claims(system))
        assert line.split()[-2:] == [str(n) for n in counts]
        assert "arXiv:" in line
    assert len(out.splitlines()) < 10


def test_list_of_a_system_has_every_potential_and_claim_with_its_source(popflow, monkeypatch):
    monkeypatch.setenv("COLUMNS", "80")
    code, out, err = popflow("list", "relu_neuron")
    assert (code, err) == (0, "")
    flat = " ".join(out.split())
    for stated in (*potentials.potentials("relu_neuron"), *potentials.claims("relu_neuron")):
        assert str(stated.source) in flat
    for claim in potentials.claims("relu_neuron"):
        assert f"{claim.id} ({claim.kind}) claimed {claim.statement}" in flat
        for hypothesis in claim.hypotheses:
            assert hypothesis.text in flat
    assert "gmm_em" not in out


def test_what_is_not_decided_says_why_and_shows_no_constant(run):
    decided = flows.check(run, "kappa_persists")
    assert "is the sharpest" in said(decided, "kappa_persists")
    reason = "the late regime has not begun"
    open_ = [replace(decided[0], verdict=Outcome.INCONCLUSIVE, conclusion=None, message=reason)]
    text = said(open_, "kappa_persists")
    assert f"measured {reason} " in text and "is the sharpest" not in text
    assert "1 INCONCLUSIVE: the run does not decide it" in text


def test_what_is_undefined_or_no_double_is_said_so_and_not_as_zero():
    """exp(-106 n d M0^3)/(108 n d) for n = 2, d = 3 and M0 = 4 has 17681 zeros."""
    system = flows.ScoreMatching(2, 3, target=[-4.0, 0.0, 0.0])
    far = flows.integrate(system, system.initial(1e-7, 0), 1.0, rtol=1e-6)
    text = " ".join(str(h) for v in flows.check(far, "small_init") for h in v.hypotheses)
    power = mp.mpf(-106 * 2 * 3 * 4**3)
    exact = mp.nstr(mp.exp(power) / (108 * 2 * 3), 4)
    assert exact.partition("e")[2] in text and exact[:5] in text and "d) = 0" not in text
    rate = " ".join(str(h) for v in flows.check(far, "far_rate") for h in v.hypotheses)
    assert "R(T1)^2 + 40, which is undefined" in rate
    one = flows.integrate(flows.ReLUNeuron(1, 2), [[0.05, 0.1]], 1.0, rtol=1e-6)
    alone = [str(h) for v in flows.check(one, "separation") for h in v.hypotheses]
    assert "kappa_max(0) is undefined" in alone


def test_a_measured_constant_below_every_double_is_not_said_to_be_zero(run):
    (v,) = flows.check(run, "loss_upper")
    assert "the sharpest" in dict(v.said())["constant"]
    least = dict(replace(v, constant=0.0).said())["constant"]
    assert least.startswith("one below 2e-308 is")


def test_the_table_of_a_run_has_the_last_exponent_that_is_known_and_no_fingerprint():
    x = sp.Symbol("x")
    run = flows.integrate(flows.OwnSystem("well", [x], (x - 1) ** 2 / 2), [2.0], 1e4)
    rows = dict(output.run_table(run).rows)
    assert "fingerprint" not in rows["parameters"] and "last known" in rows["loss"]
    value, when = re.match(r"(-\S+) at t = (\S+);", rows["local exponent"]).groups()
    assert float(value) == pytest.approx(-2 * float(when), rel=1e-4)  # the loss is exp(-2t)/2
