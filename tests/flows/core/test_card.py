"""Results introduce themselves in a few lines, in a console and in a notebook."""

import html.parser
from dataclasses import replace

import numpy as np
import pytest

import flows
import potentials
import symbolic
from flows.core.card import MOST_LINE, Card, described
from flows.runs.verdict import Verdicts

SYSTEM = flows.ReLUNeuron(n=2, d=2)
START = [[1.0, 0.5], [0.5, -0.2]]
LINES = 5


@pytest.fixture(scope="module")
def run():
    return flows.integrate(SYSTEM, START, 100.0, rtol=1e-6)


class Tags(html.parser.HTMLParser):
    """Which tags are open, and the text between them."""

    def __init__(self):
        super().__init__()
        self.open, self.text = [], ""

    def handle_starttag(self, tag, attrs):
        self.open.append(tag)

    def handle_endtag(self, tag):
        assert self.open.pop() == tag

    def handle_data(self, data):
        self.text += data


def words(page):
    """Text of a well-formed fragment of HTML."""
    tags = Tags()
    tags.feed(page)
    assert tags.open == []
    return tags.text


def test_a_run_prints_five_lines_with_the_last_loss_and_its_error(run):
    assert str(run) == repr(run)
    lines = str(run).splitlines()
    assert len(lines) == LINES and max(map(len, lines)) <= MOST_LINE + LINES * 4
    assert lines[0] == "run of relu_neuron, n = 2, d = 2, teacher = [1, 0], teacher_norm = 1"
    assert "completed: reached the end" in lines[1]
    assert f"0 to 100, {len(run.t)} times" in lines[2]
    assert f"{run['loss'][-1]:.6g} at the end" in lines[3]
    assert f"{run.errors()[-1]:.1e}" in lines[3]
    assert "flows.check(run)" in lines[4]


def test_a_notebook_shows_the_same_words_as_the_console(run):
    shown, printed = words(run._repr_html_()), str(run)
    assert "".join(shown.split()) == "".join(printed.split())


def test_a_run_that_ended_early_says_so_and_what_to_do():
    text = str(flows.integrate(SYSTEM, START, 1e6, max_steps=20))
    assert "step_budget: stopped after 20 steps" in text
    assert "it ended early, ask for more with max_steps" in text


def test_a_loss_that_is_not_known_is_no_number(run):
    for known in (0, 1, 5):
        loss = np.where(np.arange(len(run.t)) < known, run["loss"], np.nan)
        unknown = replace(run)
        unknown.__dict__["features"] = {**run.features, "loss": loss}
        line = next(line for line in str(unknown).splitlines() if "NaN at the end" in line)
        last = f"last known: {loss[known - 1]:.6g} at t = {run.t[known - 1]:.6g}"
        assert line.endswith(last if known else "it is not known there")


def test_verdicts_print_one_line_each_and_are_a_list(run):
    verdicts = flows.check(run)
    lines = repr(verdicts).splitlines()
    assert isinstance(verdicts, list) and len(lines) == len(verdicts)
    for line, verdict in zip(lines, verdicts, strict=True):
        assert line.startswith(f"{verdict.verdict} {verdict.claim}: ")
    shown = words(verdicts._repr_html_())
    assert all(v.claim in shown and v.message in shown for v in verdicts)
    assert words(verdicts[0]._repr_html_()).startswith("claimverdictfoundsource")
    assert repr(Verdicts()) == "no verdicts"


def test_an_ensemble_prints_how_its_members_ended():
    starts = np.array([START, START])
    ensemble = flows.integrate_ensemble(SYSTEM, starts, 10.0, rtol=1e-6, workers=1)
    lines = repr(ensemble).splitlines()
    assert len(lines) == LINES and lines[0].startswith("2 runs of relu_neuron, n = 2")
    assert lines[1].endswith("2 completed")
    assert f"{ensemble['loss'][0, -1]:.3g} in the median" in lines[3]
    assert "2 completed" in words(ensemble._repr_html_())


def test_a_derivation_says_what_was_verified_and_claims_nothing_before():
    document = symbolic.derive("gaussian")
    assert repr(document).splitlines()[0] == (
        f"derivations of gaussian: {len(document.steps)} steps, not verified yet"
    )
    assert "PROVED" not in document._repr_html_()
    first = document.derivations[0].verify()
    assert repr(first).startswith(f"<Derivation {first.name!r}: ") and "PROVED" in repr(first)
    page = first._repr_html_()
    assert words(page).count("PROVED") >= len(first.steps)
    assert repr(first.steps[0]) == f"<Step {first.steps[0].rule!r}: PROVED>"
    assert words(document.steps[0]._repr_html_()).endswith("not verified yet")


def test_claims_and_potentials_are_one_line():
    for one in (*potentials.claims("gmm_em"), *potentials.potentials("gmm_em")):
        assert repr(one) == str(one) and "\n" not in repr(one)


def test_text_of_a_card_is_no_markup():
    page = Card("a < b", (("<i>", "x & y"),)).html()
    assert "a &lt; b" in page and "&lt;i&gt;" in page and words(page) == "a < b<i>x & y"


def test_a_long_value_is_told_by_its_shape_and_a_long_line_is_cut():
    assert described({"system": "s", "target": np.eye(3).tolist()}) == "s, target of shape (3, 3)"
    long = str(Card("heading", (("formula", "x" * 1000),)))
    assert "…" in long and len(long.splitlines()[1]) < MOST_LINE + 20


def test_blocks_that_are_numbers_have_no_shape():
    given = {"system": "own", "blocks": {"a": (), "W": (2, 3)}}
    assert described(given) == "own, blocks = a, W (2, 3)"
