"""Derivations: chained, with evidence, and refuted when mutated."""

import json
import re
from collections import Counter
from dataclasses import replace

import pytest
import sympy as sp

import symbolic
from symbolic.evidence import latex
from symbolic.evidence.derivation import Derivation, Document, Step, counted, distinct
from symbolic.evidence.identity import Evidence
from symbolic.evidence.latex import BEGIN, END
from symbolic.lemmas.dual_kernel import THETA

DOCUMENT = symbolic.derive("relu_neuron")
STEPS = [(d.name, s) for d in DOCUMENT.derivations for s in d.steps]
X = sp.Symbol("x", real=True)
# LaTeX characters that still set within a few lines.
LINE_LENGTH = 1500


# sin(theta) alone does not notice the exchange of theta and pi - theta; these right sides do.
TURNED = [
    pytest.param(s, id=f"{name}: {s.rule[:40]}")
    for name, s in STEPS
    if s.relation == "==" and THETA in s.rhs.subs(sp.sin(THETA), 0).free_symbols
]


@pytest.fixture(scope="module")
def verified():
    return DOCUMENT.verify()


def test_every_step_is_proved(verified):
    counts = Counter(s.finding.evidence for d in verified.derivations for s in d.steps)
    assert set(counts) == {Evidence.PROVED}


def test_no_step_of_the_document_says_that_a_thing_equals_itself():
    assert [s.rule for _, s in STEPS if s.lhs == s.rhs] == []


@pytest.mark.parametrize(
    "rule",
    [
        "one summand of equation 4",
        "off-diagonal block of equation 51",
        "zeta(a, b) of equation 51",
        "the form stated in the paper",
    ],
)
def test_equations_of_the_paper_are_proved(verified, rule):
    (step,) = (s for d in verified.derivations for s in d.steps if s.rule.startswith(rule))
    assert step.finding.evidence is Evidence.PROVED


@pytest.mark.parametrize("step", TURNED)
def test_step_with_the_supplementary_angle_is_refuted(step):
    turned = step.rhs.subs(THETA, sp.pi - THETA)
    assert replace(step, rhs=turned).verify().finding.evidence is Evidence.REFUTED


def test_there_are_steps_for_the_supplementary_angle():
    assert len(TURNED) > 4


def test_json_has_the_documented_shape(verified):
    data = json.loads(json.dumps(verified.to_json()))
    assert data["system"] == "relu_neuron"
    for derivation in data["derivations"]:
        assert set(derivation) == {"name", "source", "steps"}
        for step in derivation["steps"]:
            assert set(step) == {*("rule", "equation", "evidence", "basis", "reason", "seconds")}
            assert step["evidence"] == "PROVED"
            assert step["basis"] in ("definition", "evaluation", "algebra", "calculus")
            assert step["reason"] is None
            assert step["seconds"] >= 0


def test_unverified_step_is_open():
    step = DOCUMENT.to_json()["derivations"][0]["steps"][0]
    assert step["evidence"] == "OPEN"
    assert step["basis"] is None
    assert step["reason"] == "no evidence has been looked for"


def test_json_says_why_a_step_is_not_proved():
    step = Step(sp.acos(sp.cos(THETA)), THETA, "branch", domain=((THETA, 0, sp.pi),))
    data = step.verify().to_json()
    assert data["evidence"] == "ENCLOSED"
    assert data["basis"] is None
    assert data["reason"].startswith("SymPy did not decide; 64 random boxes")


def test_counts_name_distinct_steps_and_what_takes_next_to_nothing():
    square = Step((X + 1) ** 2, X**2 + 2 * X + 1, "square")
    slope = Step(sp.Derivative(X**2, X), 2 * X, "slope")
    column = Step(sp.Matrix([X, X]), sp.Matrix([X, X]), "itself", same=True)
    bound = replace(square, rhs=2 * X, relation=">=")
    steps = (square, replace(square, rule="again"), slope, column, column, bound)
    assert distinct(steps) == (square, slope, column, bound)
    verified = Document("d", (Derivation("d", "s", steps),)).verify()
    assert counted(verified.steps) == (
        "4 distinct steps of 6: 4 PROVED (1 by definition, 1 by evaluation)"
    )
    assert counted((square, slope)) == "2 distinct steps of 2: 2 OPEN"


def test_lemmas_that_are_repeated_count_once():
    assert len(distinct([*DOCUMENT.steps, *DOCUMENT.steps])) == len(distinct(DOCUMENT.steps))
    assert len(distinct(DOCUMENT.steps)) <= len(STEPS)


def balanced(text):
    """Whether environments, braces and displays close what they open, in order."""
    opened = []
    for kind, name in re.findall(r"\\(begin|end)\{(\w+)\}", text):
        if kind == "begin":
            opened.append(name)
        elif not opened or opened.pop() != name:
            return False
    bare = re.sub(r"\\[{}\\]", "", text)
    depth = 0
    for c in bare:
        depth += {"{": 1, "}": -1}.get(c, 0)
        if depth < 0:
            return False
    displays = re.findall(r"(?<!\\)\\[\[\]]", text)
    return not opened and depth == 0 and displays == [r"\[", r"\]"] * (len(displays) // 2)


def test_latex_is_an_appendix_of_notation_statements_and_proofs(verified):
    text = verified.latex("gaps")
    assert text.startswith("%") and text.rstrip().endswith(r"\end{document}")
    appendix = text.partition(BEGIN)[2].partition(END)[0]
    assert "documentclass" not in appendix and "documentclass" in text
    count = len(verified.derivations)
    assert appendix.count(r"\begin{statement}") == appendix.count(r"\begin{proof}") == count
    assert appendix.count(r"\begin{definition}") == count
    for step in verified.steps:
        assert latex.text(step.rule) in appendix
        assert step.displayed in appendix
    assert "SinMinus" not in text
    assert "proved by" in appendix


def test_latex_is_balanced_and_every_reference_has_its_label(verified):
    for document in (verified, *map(symbolic.derive, ("mixture", "gmm_em", "gaussian"))):
        text = document.latex("works")
        assert balanced(text)
        labels = re.findall(r"\\label\{([^}]+)\}", text)
        assert len(labels) == len(set(labels))
        assert set(re.findall(r"\\eqref\{([^}]+)\}", text)) <= set(labels)
        keys = re.findall(r"^@\w+\{([^,]+),", document.bibtex(), re.MULTILINE)
        assert set(re.findall(r"\\cite\{([^}]+)\}", text)) == set(keys) and keys
        assert balanced(document.bibtex())
    assert not balanced(text.replace(r"\end{proof}", "", 1))  # the controls
    assert not balanced(text.replace("}", "", 1))
    assert not balanced(text.replace(r"\[", "", 1))


def test_notation_says_of_a_symbol_what_is_known_of_it():
    x, same, n = (
        sp.Symbol("x", positive=True),
        sp.Symbol("x", real=True),
        sp.Symbol("n", integer=True),
    )
    matrix = sp.Symbol("A", commutative=False)
    text = " ".join(latex.definition([x + n, same * matrix], ("n is even_",)))
    assert "$A$ is a matrix." in text and "$n$ is an integer." in text
    assert "$x$ is real, in some steps positive." in text
    assert r"\item n is even\_" in text


def test_no_equation_fills_a_page(verified):
    longest = max(len(s["equation"]) for d in verified.to_json()["derivations"] for s in d["steps"])
    assert longest < LINE_LENGTH


def test_chain_that_does_not_continue_is_refused():
    good = Step(X + X, 2 * X, "sum")
    assert (
        Derivation("d", "s", (good, Step(2 * X, 4 * X / 2, "again", fresh=False))).result == 2 * X
    )
    with pytest.raises(ValueError, match="does not continue"):
        Derivation("d", "s", (good, Step(3 * X, 3 * X, "again", fresh=False)))
    with pytest.raises(ValueError, match="begin with a fresh step"):
        Derivation("d", "s", ())


def test_step_that_uses_a_lemma_needs_it_before_and_inside():
    lemma = Step(sp.sin(2 * X), 2 * sp.sin(X) * sp.cos(X), "double angle")
    use = Step(sp.sin(2 * X) / sp.cos(X), 2 * sp.sin(X), "cancel", uses=("double angle",))
    assert Derivation("d", "s", (lemma, use)).steps[1].uses == ("double angle",)
    with pytest.raises(ValueError, match="which does not stand before it"):
        Derivation("d", "s", (use, lemma))
    changed = replace(lemma, lhs=sp.cos(2 * X), rhs=1 - 2 * sp.sin(X) ** 2)
    with pytest.raises(ValueError, match="neither side of 'double angle' occurs"):
        Derivation("d", "s", (changed, use))


def test_inequality_is_shown_and_verified_as_one():
    step = Step(X**2 + 1, 2 * X, "square", relation=">=")
    assert step.equation == r"x^{2} + 1 \ge 2 x"
    assert step.verify().finding.evidence is Evidence.PROVED


@pytest.mark.parametrize("name", ["nothing", "", "relu_neuron_flow", "../relu_neuron"])
def test_unknown_system_is_refused_in_one_line(name):
    with pytest.raises(ValueError, match=r"^unknown system '.*'; known: gmm_em, "):
        symbolic.derive(name)


def test_a_derivation_concludes_with_both_ends_of_its_last_chain():
    lemma = Step(X + X, 2 * X, "sum")
    first = Step(X**2, X * X + 1, "more", relation="<=")
    second = Step(X * X + 1, 2 + X**2, "more again", relation="<=", fresh=False)
    assert Derivation("d", "s", (lemma,)).conclusion == lemma
    two = Derivation("d", "s", (lemma, first, second))
    end = two.conclusion
    assert (end.lhs, end.relation, end.rhs) == (X**2, "<=", 2 + X**2)
    assert two.chains == ((lemma,), (first, second))
    turned = replace(second, relation=">=")
    assert Derivation("d", "s", (lemma, first, turned)).conclusion is None


def test_what_is_stated_are_the_results_and_the_other_chains_are_their_proof():
    lemma = Step(X + X, 2 * X, "two of them")
    end = Step(X**2 + X**2, 2 * X**2, "so two squares")
    every, one = Derivation("d", "s", (lemma, end)), Derivation("d", "s", (lemma, end), ("so",))
    assert [s.equation for _, s in every.statements] == [lemma.equation, end.equation]
    assert [s.equation for _, s in one.statements] == [end.equation]
    whole = (replace(end, rule="a start"), Step(2 * X**2, X**2 * 2, "so X^2 twice", fresh=False))
    words = [w for names in ((), ("so",)) for w, _ in Derivation("d", "s", whole, names).statements]
    assert words == ["", "so X^2 twice"]  # a last step's rule alone states no chain
    assert (one.number(lemma), one.number(end), every.number(end)) == (None, 1, 2)
    assert rf"\[{lemma.equation}\]" in one.latex() and rf"\[{end.equation}\]" not in one.latex()
    with pytest.raises(ValueError, match="no chain ends with 'hence'"):
        Derivation("d", "s", (lemma, end), ("hence",))


def test_a_step_whose_sides_are_the_same_is_no_evidence_for_its_words():
    same = Step(X**2 + 1, 1 + X**2, "the theorem of the paper", fresh=False)
    assert str(same.verify().evidence) == "OPEN" and "same=True" in same.verify().reason
    meant = replace(same, rule="what the paper calls y", same=True).verify()
    assert str(meant.evidence) == "PROVED" and str(meant.finding.basis) == "definition"
    assert (
        str(Step((X + 1) ** 2, X**2 + 2 * X + 1, "expanded", fresh=False).verify().evidence)
        == "PROVED"
    )
