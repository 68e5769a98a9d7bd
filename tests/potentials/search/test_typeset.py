"""Theorems in LaTeX: they are sound LaTeX, fit on a page, and compile where LaTeX is there."""

import re
import shutil
import subprocess

import pytest
import sympy as sp
from flint import fmpq

from potentials.search import typeset
from potentials.search.find import find
from potentials.search.polynomials import fraction, gradient_flow
from potentials.search.printed import theorem
from potentials.search.question import Question
from potentials.search.rates import Power
from potentials.search.subject import Subject
from potentials.search.typeset import inline, name_of, number, terms

a, b = sp.symbols("a b", real=True)
X, FIRST, SECOND = (sp.MatrixSymbol(name, 2, 1) for name in ("X", "W1", "W2"))
OFF = X * X.T - sp.diag(1, 0)
SIX = (a**2 + b**2) ** 3 / 6
QUESTIONS = {
    "level": ((a, b), (a * b - 1) ** 2 / 2, {"level": fraction("1/8")}),
    "level of a polynomial": (
        (a, b),
        sp.expand((a * b - 1) ** 2 / 2),
        {"level": fraction("1/8"), "degrees": (8,)},
    ),
    "conditions": ((a, b), (a * b - 1) ** 2 / 2, {"keep": (sp.Eq(a**2 - b**2, 2), a + b >= 0)}),
    "power": ((a, b), SIX, {"rates": (Power(3, 2),)}),
    "from below": ((a,), a**4 / 4, {"rates": (Power(2, 1),), "lower": True}),
    "coordinates": (
        (X,),
        sp.trace(OFF * OFF.T) / 4,
        {"coordinates": (X * X.T,), "level": fraction("1/8")},
    ),
    "entries": ((FIRST,), (FIRST[0, 0] ** 2 + 3 * FIRST[1, 0] ** 2) ** 2 / 4, {}),
}
#: Macros of LaTeX and amsmath that theorems use.
KNOWN = {
    *("begin", "end", "dot", "nabla", "le", "ge", "frac", "sqrt", "qquad", "substack", "cdot"),
    *("Lambda", "sum", "operatorname"),
    *("bigl", "bigr", "Bigl", "Bigr", "allowdisplaybreaks", "[", "]", "\\", ",", ";"),
}
DOCUMENT = r"""\documentclass{article}
\usepackage{amsmath,amsthm}
\newtheorem{theorem}{Theorem}
\begin{document}
%s
\end{document}
"""
#: A line that is wider than the page by so many points is seen to be so.
SEEN = 20.0


@pytest.fixture(scope="module", params=QUESTIONS)
def text(request):
    blocks, loss, options = QUESTIONS[request.param]
    answer = find(Subject("own", blocks, loss), Question(**options), lambda why: None)
    assert answer.found is not None, answer.reason
    return theorem(answer.found)


def is_sound(text):
    """Whether braces and environments are balanced and macros are known."""
    bare = re.sub(r"\\.", "", text)
    opened = []
    for kind, name in re.findall(r"\\(begin|end)\{([a-z*]+)\}", text):
        if kind == "begin":
            opened.append(name)
        elif not opened or opened.pop() != name:
            return False
    macros = set(re.findall(r"\\([A-Za-z]+|.)", text))
    return not opened and bare.count("{") == bare.count("}") and macros <= KNOWN


def test_a_theorem_is_sound_latex(text):
    assert is_sound(text)
    assert text.count("$") % 2 == 0 and not re.search(r"(?<=\w)(?<!sqrt)\[\d", text)
    for broken in (
        text.replace("}", "", 1),
        text.replace(r"\end{align*}", "", 1),
        text.replace(r"\dot V", r"\dott V", 1),
    ):
        assert not is_sound(broken)


def test_squares_sum_up_as_they_are_printed():
    # Read back from LaTeX: `claim = sum` in what is printed, of a proof without long fractions.
    blocks, loss, options = QUESTIONS["level of a polynomial"]
    answer = find(Subject("own", blocks, loss), Question(**options), lambda why: None)
    printed = theorem(answer.found)
    first = re.search(r"-\\dot V - c V\$ is\n.*?align\*\}\n(.*?)\n\\end", printed, re.S)[1]
    goal, *rest = (line.removesuffix(r" \\") for line in first.splitlines())
    total = "".join(line.replace("&", "").replace("{}", "") for line in rest).strip(" =")

    def read(formula):
        plain = re.sub(r"\\frac\{(\d+)\}\{(\d+)\}", r"(\1/\2)", formula)
        plain = re.sub(r"\\[bB]ig[lr]", "", plain).replace("{}", "").replace("&", "")
        plain = re.sub(r"(?<=[\w)}])\s+(?=[\w(])", "*", plain)
        names = {"a": a, "b": b, "L": loss}
        return sp.sympify(plain.replace("^", "**").replace("{", "(").replace("}", ")"), names)

    assert sp.expand(read(goal) - read(total)) == 0
    assert sp.expand(read(goal) - read(total.replace("2", "3", 1))) != 0


def test_names_and_numbers_are_those_of_a_page():
    names = {"a": "a", "W1": "W_{1}", "X[0,1]": "X_{12}", "W1[0,1]": "(W_{1})_{12}"}
    names |= {"v[9]": "v_{10}", "X[0,9]": "X_{1,10}", "alpha": r"\alpha"}
    assert {name: name_of(sp.Symbol(name)) for name in names} == names
    assert number(fmpq(7, 3)).text == r"\frac{7}{3}" and number(fmpq(7)).text == "7"
    rows = number(fmpq(10**120)).text.removeprefix(r"\substack{").split(r" \\ ")
    assert len(rows) == 3 and all(len(row) <= typeset.DIGITS + 1 for row in rows)
    flow = gradient_flow(a**2 / 2 - a * b + b**2, (a, b))
    assert inline(terms(flow, flow.loss)) == r"\frac{1}{2} a^{2} - a b + b^{2}"
    assert inline(terms(flow, flow.loss - flow.loss)) == "0"


def too_wide(text, folder):
    """By how many points lines are too wide, once compiled."""
    (folder / "theorem.tex").write_text(DOCUMENT % text)
    command = ("pdflatex", "-interaction=nonstopmode", "-halt-on-error", "theorem.tex")
    done = subprocess.run(command, cwd=folder, capture_output=True, text=True, errors="replace")
    assert done.returncode == 0, done.stdout[-500:]
    widths = re.findall(r"Overfull \\hbox \((\d+\.\d+)pt", done.stdout)
    return max(map(float, widths), default=0.0)


@pytest.mark.skipif(shutil.which("pdflatex") is None, reason="LaTeX is not installed")
def test_a_theorem_compiles_and_no_line_is_wider_than_its_page(text, tmp_path, monkeypatch):
    assert too_wide(text, tmp_path) < SEEN
    with pytest.raises(AssertionError, match="Undefined control sequence"):
        too_wide(text.replace(r"\dot V", r"\dott V", 1), tmp_path)


@pytest.mark.skipif(shutil.which("pdflatex") is None, reason="LaTeX is not installed")
def test_a_line_that_is_not_broken_is_wider_than_its_page(tmp_path, monkeypatch):
    blocks, loss, options = QUESTIONS["power"]
    answer = find(Subject("own", blocks, loss), Question(**options), lambda why: None)
    monkeypatch.setattr(typeset, "LINE", 1e9)
    assert too_wide(theorem(answer.found), tmp_path) > SEEN
