"""The report page of a loss of one's own: `flows.report(own)`."""

import dataclasses
import html
import re

import pytest
import sympy as sp

import flows
from flows.core.errors import InputError
from flows.pages import own_report
from potentials import EXPONENT, Comparison, Source, UpperBound, symbol
from symbolic import Expectation

Y, T, LOSS = sp.Symbol("y"), symbol("t"), symbol("loss")
HERE = Source("these tests", 2026, "", "a test", "derived here")
# From y = 1 the loss is 1/(4 (1 + 2t)^2), which tends to t^-2/16 from below.
EXACT = sp.Rational(1, 16)


def bound(constant):
    """`L <= C t^-2`."""
    return UpperBound(
        id="loss_upper",
        statement="L <= C t^-2",
        source=HERE,
        exponent=sp.Integer(2),
        conclusions=(Comparison(LOSS, "<=", T**-EXPONENT, constant, (T - 1,)),),
    )


def quartic(constant):
    return flows.OwnSystem("quartic", [Y], Y**4 / 4, {"square": Y**2}, [bound(constant)])


def text_of(page):
    """Words of a page, without its scripts."""
    bare = re.sub(r"<script.*?</script>|<style.*?</style>", "", page.read_text("utf-8"), flags=re.S)
    return re.sub(r"\s+", " ", html.unescape(re.sub(r"<[^>]+>", " ", bare)))


@pytest.fixture(scope="module")
def run():
    return flows.integrate(quartic(EXACT), [1.0], 1e5, rtol=1e-8)


def test_a_page_has_problem_figure_law_verdict_potential_and_derivation(run, tmp_path):
    page = flows.report(run, out=tmp_path / "own.html", browser=False)
    text, code = text_of(page), page.read_text("utf-8")
    assert page == tmp_path / "own.html" and "data:image/svg+xml" in code
    ids = {"problem", "result", "verdicts", "run-1", "claims", "potentials", "derivation"}
    assert ids <= set(re.findall(r'id="([\w-]+)"', code))
    assert "What moves: y." in text and "completed: reached the end" in text
    assert "C = 1/16" in text  # of the law
    assert re.findall(r'class="verdict (\w+)"', code) == ["HOLDS"]
    assert "square along the flow" in text and "PROVED" in text
    assert "default-src 'none'" in html.unescape(code)


def test_a_constant_that_is_a_thousandth_too_small_is_shown_as_violated(run, tmp_path):
    broken = dataclasses.replace(run, system=quartic(EXACT * sp.Rational(999, 1000)))
    page = flows.report([broken], out=tmp_path / "own.html", browser=False)
    assert re.findall(r'class="verdict (\w+)"', page.read_text("utf-8")) == ["VIOLATED"]


def test_a_system_gets_a_run_from_its_initial_state_to_the_end_of_reports(monkeypatch, tmp_path):
    asked = []

    def shorter(system, start, t_end):
        asked.append((start.tolist(), t_end))
        return flows.integrate(system, start, 10.0, rtol=1e-6)

    monkeypatch.setattr(own_report, "integrate", shorter)
    system = flows.OwnSystem("square", [Y], Y**2)
    page = flows.report(system, out=tmp_path / "own.html", browser=False)
    assert asked == [(system.initial().tolist(), 1e12)]
    # Nothing is claimed, and no chapter says so.
    assert 'id="verdicts"' not in page.read_text("utf-8")


def test_a_file_that_carries_its_loss_has_a_page_too(run, tmp_path):
    again = flows.load(run.save(tmp_path / "run.nc"))
    text = text_of(flows.report(again, out=tmp_path / "own.html", browser=False))
    assert "C = 1/16" in text and "square along the flow" in text


@pytest.mark.parametrize("what", ["relu_neuron", flows.ReLUNeuron(n=2, d=2), [], 3, None])
def test_what_is_no_loss_of_ones_own_is_one_line(what):
    with pytest.raises(
        InputError, match=r"report shows a loss of one's own .* popflow report"
    ) as e:
        flows.report(what)
    assert "\n" not in str(e.value)


def test_a_page_is_not_overwritten_by_accident(run, tmp_path):
    out = tmp_path / "own.html"
    out.write_text("mine")
    with pytest.raises(InputError, match="exists; choose another name"):
        flows.report(run, out=out)
    assert out.read_text() == "mine"
    with pytest.raises(InputError, match="runs of one system"):
        flows.report([run, flows.integrate(flows.OwnSystem("b", [Y], Y**2), [1.0], 1.0)])


def test_a_page_shows_the_last_loss_that_is_known(tmp_path):
    # L = exp(-2 t)/2, which is below all doubles at the end.
    square = flows.OwnSystem("square", [Y], Y**2 / 2)
    run = flows.integrate(square, [1.0], 1e4, [1.0, 100.0, 1e4])
    words = text_of(own_report.report(run, out=tmp_path / "page.html", browser=False))
    assert re.search("last loss that is known 6.9195 .{10,20} at t = 100", words)
    # Control: a loss that is known at the end has no such line.
    known = flows.integrate(square, [1.0], 10.0)
    words = text_of(own_report.report(known, out=tmp_path / "other.html", browser=False))
    assert "last loss that is known" not in words and "last loss" in words


def test_a_loss_of_a_relu_has_a_page_with_the_norms_of_its_closed_form(tmp_path):
    w, x = sp.MatrixSymbol("w", 2, 1), sp.MatrixSymbol("x", 2, 1)
    off = sp.Max(0, (w.T * x)[0, 0]) - sp.Max(0, x[0, 0])
    system = flows.OwnSystem("one_neuron", [w], Expectation(off**2, x) / 2)
    page = flows.report(
        flows.integrate(system, [0.5, 0.3], 10.0, rtol=1e-6),
        out=tmp_path / "relu.html",
        browser=False,
    )
    text = text_of(page)
    assert "one_neuron" in text and "What moves: w" in text and "PROVED" in text


def test_a_polynomial_has_a_section_of_what_is_proved_of_every_start(tmp_path):
    a, b = sp.symbols("a b")
    product = flows.OwnSystem("product", [a, b], (a * b - 1) ** 2 / 2)
    run = flows.integrate(product, [0.5, 0.9], 100.0)
    words = text_of(flows.report(run, out=tmp_path / "own.html", browser=False))
    assert "What is proved of every start" in words
    page = (tmp_path / "own.html").read_text()
    assert page.index('<h2 id="found">') < page.index('<h2 id="result">')  # it leads
    assert "for every start with L <= 1/8" in words and "Conserved." in words
    assert "invariant set: P_1" in words  # with its evidence, in the derivation
    waves = flows.OwnSystem("waves", [a], 1 - sp.cos(a))
    run = flows.integrate(waves, [0.5], 100.0)
    assert "What is proved" not in text_of(
        flows.report(run, out=tmp_path / "other.html", browser=False)
    )
