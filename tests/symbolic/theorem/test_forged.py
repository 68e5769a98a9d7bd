"""Certificates that a reviewer forged, to have something false accepted by the second reader."""

import copy
import json
from fractions import Fraction

import pytest

import symbolic
from symbolic.theorem.certificate import certificate, digest, encoded, summary
from symbolic.theorem.checker import Wrong, check
from symbolic.theorem.formulas import Distinct, Forall, ge, gt
from symbolic.theorem.printing import shown
from symbolic.theorem.terms import PI, N, T, Vec, function, number, symbol, total
from symbolic.theorem.verification import verified

A, C = symbol("a"), symbol("c")
START = symbol("T")
NOW = ge(T - START)
U, F = symbol("u", time="t"), symbol("f", time="t")
U_I, P = symbol("u", "i", time="t"), Vec.symbol("p", time="t")
UNIT, zero = number(1), number(0)


def d(x):
    return function("d", x)


def low(x):
    return function("low", x)


def written(*steps):
    """A certificate of steps: rule, premises, arguments, hypotheses, conclusion."""
    table, lines = [], []

    def place(f):
        table.append(f if isinstance(f, dict) else encoded(f))
        return len(table) - 1

    for rule, premises, args, hyps, concl in steps:
        said = {"with": [encoded(x) if not isinstance(x, dict) else x for x in args]}
        places = {"if": [place(h) for h in hyps], "then": place(concl)}
        lines.append({"rule": rule, "from": premises, **said, **places})
    return json.loads(json.dumps({"formulas": table, "steps": lines}))


def assumed(f):
    return ("assume", [], [f], [f], f)


def of(*monomial, c="1"):
    return {"op": ">=", "of": {"p": [[c, list(monomial)]]}}


EXIT = Forall(("t",), (NOW, gt(PI - T)), gt(4 - T))
SLOPES = ge(low(total("i", d(U_I))) - total("i", low(d(U_I))))
TWO = {"op": ">=", "of": {"q": "1", "p": [["-1", []]]}}
BOTH = {"apart": ["i", "j"], "op": ">", "of": {"p": []}}
VECTOR = {"v": [[["v", "x", [], "t"], {"p": [["1", []]]}]]}
FORGED = {
    "first exit at pi": (
        ("pi", [], [Fraction(-4)], [], gt(4 - PI)),
        assumed(gt(4 - START)),
        (
            *("bootstrap", [0, 1], [EXIT, "T", "pi", "c", 1]),
            *([gt(4 - START), ge(C - START)], gt(4 - C)),
        ),
    ),
    "slopes of rates": (
        ("combine", [], [ge(zero), []], [], ge(zero)),
        ("combine", [], [gt(1), [(1, 0)]], [], gt(1)),
        ("dini_sum", [0, 1], [UNIT, d(U_I), -low(d(U_I)), "i"], [], SLOPES),
    ),
    "a quantifier from nothing": (
        ("combine", [], [Forall(("i",), (), gt(zero)), []], [], Forall(("i",), (), gt(zero))),
    ),
    "two indices from nothing": (
        ("combine", [], [Distinct("i", "j"), []], [], Distinct("i", "j")),
    ),
    "a term that says two things": (("square", [], [UNIT], [], TWO),),
    "a formula that says two things": (assumed(BOTH),),
    "a vector as a number": (assumed(of(["v", "x", [], "t"])),),
    "a number as a vector": (assumed(of(["norm", {"p": [["1", [["s", "x", [], ""]]]]}])),),
    "a product of numbers as vectors": (
        assumed(of(["dot", ["s", "x", [], ""], ["s", "x", [], ""]])),
    ),
    "the sine of a vector": (assumed(of(["sin", VECTOR])),),
    "a function called as the sine": (assumed(of(["s", "sin", [], "t"])),),
    "another t": (assumed(ge(symbol("\u1d57"))),),
    "a name that reads as a formula": (assumed(ge(symbol("t >= T"))),),
    "an index that reads as a name": (assumed(of(["s", "Z", ["T"], ""])),),
    "a symbol that is a text": (assumed(of("sxyt")),),
    "a bound name that is a time": (assumed(of(["sum", "k", [["s", "h", [], "k"]]])),),
    "a bound name that is plain": (assumed(of(["sum", "k", [["s", "h", ["k"], ""]]])),),
    "a bound time": (assumed(of(["s", "h", [], "_0"])),),
    "a root of a large order": (
        assumed(ge(A)),
        ("combine", [], [ge(1), [(1, 0)]], [], ge(1)),
        ("root", [0, 1], ["x", 10**7], [ge(A)], ge(A)),
    ),
    "a premise that is itself": (("sum_up", [0], ["i"], [], ge(zero)),),
    "a premise that comes later": (("sum_up", [1], ["i"], [], ge(zero)), assumed(ge(A))),
    "a premise from the end": (assumed(ge(A)), ("sum_up", [-1], ["i"], [ge(A)], ge(N * A))),
    "a premise True": (assumed(ge(A)), assumed(ge(A)), ("sum_up", [True], ["i"], [], ge(N * A))),
    "a circle": (("cut", [1, 0], [ge(A)], [], ge(A)), ("cut", [0, 1], [ge(A)], [], ge(A))),
}


@pytest.mark.parametrize("name", FORGED)
def test_it_is_refused_by_the_second_reader(name):
    with pytest.raises(Wrong):
        check(written(*FORGED[name]))


def substituted(f, by):
    """A substitution as the second reader would meet it in a file."""
    th = {"rule": "assume", "from": [], "with": [encoded(f)], "if": [0], "then": 0}
    put_in = {"rule": "subst", "from": [0], "with": [{"by": by}], "if": [0], "then": 0}
    return {"formulas": [encoded(f)], "steps": [th, put_in]}


PUT = {
    "a function of time for a constant under a derivative": (
        *(ge(function("d", A * U)), {"a": encoded(F)}, "moving term"),
    ),
    "another time under a derivative": (ge(P.prime.dot(P)), {"t": "T"}, "replaced under"),
    "a number for a function": (ge(U), {"u": encoded(A)}, "a function is replaced"),
    "a vector for a number": (ge(A), {"a": encoded(P)}, "another kind"),
    "an index for a number": (ge(A), {"a": "X"}, "index and sample"),
}


@pytest.mark.parametrize("name", PUT)
def test_the_second_reader_does_not_put_in(name):
    f, by, why = PUT[name]
    with pytest.raises(Wrong, match=why):
        check(substituted(f, by))


def test_the_second_reader_does_not_let_a_quantifier_capture():
    family = Forall(("k",), (), ge(symbol("h", "k") - A))
    spec = {"rule": "spec", "from": [], "with": [encoded(family), {"by": {"k": "k"}}]}
    data = substituted(family, {"a": encoded(symbol("g", "k"))})
    data["formulas"].append(encoded(family.body))
    data["steps"][0] = {**spec, "if": [0], "then": 1}
    with pytest.raises(Wrong, match="captured"):
        check(data)


def test_what_the_forged_steps_are_close_to_is_accepted():
    sums = total("k", symbol("h", "k"))
    proof = written(
        ("combine", [], [ge(zero), []], [], ge(zero)),
        ("combine", [], [gt(1), [(1, 0)]], [], gt(1)),
        (
            *("dini_sum", [0, 1], [UNIT, U_I, -low(U_I), "i"], []),
            ge(low(total("i", U_I)) - total("i", low(U_I))),
        ),
        assumed(ge(sums)),
        ("sum_up", [3], ["i"], [ge(sums)], ge(N * sums)),
        assumed(of(["sum", "_0", [["s", "h", ["_0"], "s"]]])),
        assumed(of(["norm", VECTOR])),
    )
    assert len(check(proof)) == 7


@pytest.fixture(scope="module")
def small():
    chosen = [s for s in symbolic.theorems("gmm_em") if s.name == "squared_norms_fall"]
    data = json.loads(json.dumps(certificate("gmm_em", chosen)))
    return data, {s.name: summary(s) for s in chosen}


@pytest.mark.parametrize("c", ["abc", "", "1/0", "1e3", "9" * 5000, None, 1.5])
def test_a_coefficient_that_is_no_fraction_is_refused_in_one_line(small, c):
    data, stated = copy.deepcopy(small[0]), small[1]
    data["formulas"][0] = of(c=c)
    data["digest"] = digest(data)
    with pytest.raises(Wrong):
        verified(data, stated)


def test_a_proof_by_other_rules_than_those_printed_is_refused(small):
    data, stated = copy.deepcopy(small[0]), small[1]
    proof = data["theorems"][0]["proof"]
    last, none = data["steps"][proof], {"by": {}}
    again = {**last, "rule": "subst", "from": [proof], "with": [none]}
    data["steps"].append(again)
    data["theorems"][0]["proof"] = len(data["steps"]) - 1
    data["digest"] = digest(data)
    with pytest.raises(Wrong, match="rules differ"):
        verified(data, stated)


def test_a_hypothesis_is_not_the_body_of_a_printed_one(small):
    data, stated = copy.deepcopy(small)
    name = data["theorems"][0]["name"]
    lines = ["label: for all t with t >= T: t >= T" if "for all" not in x else x
             for x in data["theorems"][0]["hypotheses"]]  # fmt: skip
    data["theorems"][0]["hypotheses"] = stated[name]["hypotheses"] = lines
    data["digest"] = digest(data)
    with pytest.raises(Wrong, match="printed hypotheses"):
        verified(data, stated)


def test_sums_that_differ_are_printed_differently():
    h = symbol("h", "i", "k"), symbol("h", "i", "i")
    assert [shown(encoded(ge(total("i", x)))) for x in h] == [
        "sum_l [h_l,k] >= 0",
        "sum_k [h_k,k] >= 0",
    ]
