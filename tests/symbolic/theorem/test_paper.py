"""Theorems in LaTeX: what TeX would refuse, and whether each step is used."""

import re

import pytest

import symbolic
from symbolic.theorem.certificate import encoded
from symbolic.theorem.formulas import Forall, ge
from symbolic.theorem.paper import article
from symbolic.theorem.printing import shown, tex
from symbolic.theorem.terms import Vec, symbol


def words(text):
    return set(re.split(r"\s+", text.strip()))


# Commands of LaTeX, amsmath, amssymb and amsthm that a document may have.
TEXT = words(
    r"""documentclass usepackage newtheorem theoremstyle section par noindent item raggedright
    begin end ^"""
)
MATH = words(
    r"""pi theta kappa mu psi delta rho tau omega ell lambda ge ne forall quad penalty mathit
    mathbb sum langle rangle lvert rvert tfrac bigl bigr sin cos exp angle underline
    displaystyle ,"""
) | {" "}
ESCAPED = set("_&%#${}~")


def pieces(line):
    """Text and mathematics of a line in turn."""
    return re.split(r"(?<!\\)\$", line)


def wrong(page):
    """What is not well-formed in a document, in words."""
    environments, found = [], []
    for number, line in enumerate(page.split("\n"), 1):
        parts = pieces(line.partition("%")[0] if line.startswith("%") else line)
        if len(parts) % 2 == 0:
            found.append(f"{number}: a dollar is open")
        for k, part in enumerate(parts):
            depth = 0
            for token in re.findall(r"\\[a-zA-Z]+|\\.|[{}^_]", part):
                depth += {"{": 1, "}": -1}.get(token, 0)
                if depth < 0:
                    break
                name = token[1:]
                if token[0] == "\\" and name not in (MATH if k % 2 else TEXT) | ESCAPED:
                    found.append(f"{number}: {token}")
                if token in "^_" and not k % 2:
                    found.append(f"{number}: {token} in text")
            if depth:
                found.append(f"{number}: braces")
        for kind, name in re.findall(r"\\(begin|end)\{(\w+)\}", line):
            if kind == "begin":
                environments.append(name)
            elif not environments or environments.pop() != name:
                found.append(f"{number}: end of {name}")
    return found + environments


@pytest.fixture(scope="module", params=symbolic.THEOREMS)
def page(request):
    return article(request.param, symbolic.theorems(request.param))


def test_a_document_is_well_formed(page):
    assert wrong(page) == []


@pytest.mark.parametrize(
    ("old", "new"),
    [
        (r"\end{proof}", ""),
        (r"\begin{itemize}", r"\begin{proof}"),
        ("{k}", "{k"),
        (r"\ge", r"\geqq"),
        ("$", ""),
        (r"mu\_i", "mu_i"),
    ],
)
def test_what_tex_would_refuse_is_seen(old, new):
    page = article("gmm_em", symbolic.theorems("gmm_em")[:2])
    assert old in page and wrong(page.replace(old, new, 1))


def test_each_step_of_a_proof_is_used_by_a_later_one(page):
    for proof in page.split(r"\begin{proof}")[1:]:
        steps = re.findall(r"\\noindent (\d+) \([^)]*?(?: from ([\d, ]+))?\): ", proof)
        used = {int(k) for _, before in steps for k in before.split(", ") if k}
        last = re.search(r"The claim follows from ([\d, ]+)\.", proof)
        used |= {int(k) for k in last[1].split(", ")} if last else {len(steps)}
        assert [int(k) for k, _ in steps] == list(range(1, len(steps) + 1))
        assert used == set(range(1, len(steps) + 1))
        for k, before in steps:
            assert all(int(j) < int(k) for j in before.split(", ") if j)


def test_names_of_several_letters_are_words_and_greek_ones_letters():
    end, mean = symbol("end"), Vec.symbol("mu", "i", time="t")
    assert tex(encoded(ge(end))) == r"\mathit{end} \ge 0"
    assert tex(encoded(ge(mean.prime.dot(mean)))).startswith(r"\langle \mu'_{i}(t), \mu_{i}(t)")


def test_a_quantifier_without_a_condition_has_none():
    always = encoded(Forall(("i",), (), ge(symbol("h", "i"))))
    assert shown(always) == "for all i: h_i >= 0"
    assert tex(always) == r"\forall i:\quad h_{i} \ge 0"
