"""Claims: complete, sourced, printable, breakable."""

from dataclasses import replace

import pytest
import sympy as sp

import potentials
from potentials.claim import EXPONENT, Claim, Comparison, Hypothesis, Identity, Mark, UpperBound
from potentials.notation import symbol
from potentials.source import Source
from symbolic.language.errors import InputError

CLAIMS = potentials.claims("relu_neuron")
# theory table: id -> (kind, exponent)
TABLE = {
    "loss_upper": ("UpperBound", 3),
    "loss_lower": ("LowerBound", 3),
    "exact_param_rate": ("Rate", 1),
    "distance_decay": ("Inequality", 2),
    "distance_vs_loss": ("Inequality", 3),
    "kappa_persists": ("Invariant", None),
    "separation": ("Inequality", None),
    "balance": ("Invariant", None),
    "phase1_angles": ("Inequality", sp.Rational(1, 24)),
    "phase2_residual": ("Inequality", sp.Rational(1, 2)),
    "gradient_lower": ("Inequality", sp.Rational(2, 3)),
    "angle_vs_loss": ("Inequality", 3),
    # The same statements with the constants that `symbolic.systems.relu_neuron.bounds` derives.
    "transverse_vs_loss": ("Inequality", 3),
    "distance_decay_constant": ("Inequality", 2),
    "distance_vs_loss_constant": ("Inequality", 3),
    "loss_lower_constant": ("LowerBound", 3),
    "phase_times": ("Inequality", None),
    # Statements in the place of lemmas, and the toy examples of appendix A.
    "residual_vs_loss": ("Inequality", 2),
    "gradient_upper": ("Inequality", 2),
    "finite_movement": ("Inequality", sp.Rational(1, 3)),
    "hessian_bounds": ("Inequality", None),
    "distance_vs_reach": ("Inequality", 1),
    "angle_vs_reach": ("Inequality", 1),
    "mirror_pair": ("Inequality", 3),
    "parallel_rate": ("Identity", 1),
    "equal_rate": ("Rate", 1),
}
# Claims about every state, which need no hypothesis.
UNCONDITIONAL = {"transverse_vs_loss", "gradient_upper"}


def test_every_claim_of_the_table_is_there_with_kind_and_exponent():
    assert {c.id: (c.kind, c.exponent) for c in CLAIMS} == TABLE


@pytest.mark.parametrize("claim", CLAIMS, ids=lambda c: c.id)
def test_a_claim_prints_statement_source_and_latex(claim):
    assert claim.source.year in (2020, 2023) and claim.source.locator in str(claim)
    latex = claim.latex()
    assert latex.count("{") == latex.count("}") and r"\left(" not in latex[-6:]
    assert any(relation in latex for relation in (r"\le", r"\ge", "="))
    assert "exponent" not in latex
    assert bool(claim.hypotheses) is (claim.id not in UNCONDITIONAL)


@pytest.mark.parametrize("claim", [c for c in CLAIMS if c.exponent is not None], ids=lambda c: c.id)
def test_a_changed_exponent_changes_the_expressions_and_the_latex(claim):
    broken = replace(claim, exponent=claim.exponent + sp.Rational(1, 1000))
    assert broken.comparisons != claim.comparisons and broken.latex() != claim.latex()
    assert all(EXPONENT not in c.lhs.free_symbols | c.rhs.free_symbols for c in broken.comparisons)


def test_a_changed_sign_is_the_converse():
    for claim in CLAIMS:
        turned = replace(claim, sign=-1).comparisons
        relations = [
            (a.relation, b.relation) for a, b in zip(claim.comparisons, turned, strict=True)
        ]
        assert all(pair in {("<=", ">="), (">=", "<="), ("==", "==")} for pair in relations)


def test_a_claim_that_uses_a_time_says_how_it_is_read_and_what_the_paper_has():
    for claim in CLAIMS:
        sides = [*claim.comparisons, *claim.hypotheses]
        used = {s.name for x in sides for s in x.lhs.free_symbols | x.rhs.free_symbols}
        used |= {s.name for c in claim.comparisons for x in c.where for s in x.free_symbols}
        for time in ("T1", "T2"):
            named = time in used or any(name.endswith(f"_{time}") for name in used)
            assert named is (f"{time} is read at" in claim.reading), claim.id
        assert not claim.reading or claim.reading in str(claim)
        assert ("T2" in claim.reading) is ("36 n^-14 |v|" in claim.reading)


def test_upper_and_lower_bound_ask_for_the_same_small_start():
    texts = {c.id: {h.text for h in c.hypotheses} for c in CLAIMS}
    assert texts["loss_upper"] <= texts["loss_lower"]
    assert any("4226" in text for text in texts["loss_upper"])


def test_the_abstract_claim_is_not_instantiated_by_the_table():
    assert all(type(c) is not Claim and isinstance(c, Claim) for c in CLAIMS)


SOUND = {"lhs": symbol("loss"), "relation": "<=", "rhs": sp.S.One, "constant": sp.S.Half}


@pytest.mark.parametrize(
    ("given", "word"),
    [
        ({"where": ()}, "where must be"),
        ({"where": symbol("t")}, "where must be"),
        ({"where": ("t",)}, "an entry of where"),
        ({"constant": symbol("n")}, "constant must be"),
        ({"constant": symbol("t")}, "constant must be"),
        ({"constant": sp.oo}, "constant must be"),
        ({"constant": sp.I}, "constant must be"),
        ({"constant": "2"}, "constant must be"),
        ({"constant": None, "over": "neuron"}, "over each neuron needs a constant"),
        ({"constant": None, "over": "pair"}, "over each pair needs a constant"),
        ({"over": "states"}, "over must be"),
        ({"relation": "<"}, "relation must be"),
        ({"lhs": "loss"}, "lhs must be"),
        ({"rhs": None}, "rhs must be"),
        ({"rhs": True}, "rhs must be"),
    ],
)
def test_a_comparison_that_says_nothing_is_refused_with_one_line(given, word):
    with pytest.raises(InputError, match=word) as caught:
        Comparison(**{**SOUND, **given})
    assert "got" in str(caught.value) or "needs" in str(caught.value)
    assert "\n" not in str(caught.value)


WHOLE = {
    "id": "upper",
    "statement": "",
    "source": Source("a test", 2026, "", "here", "upper"),
    "conclusions": (Comparison(**SOUND),),
}


@pytest.mark.parametrize(
    ("given", "word"),
    [
        ({"conclusions": ()}, "must have a conclusion, got none"),
        ({"conclusions": Comparison(**SOUND)}, "tuple of Comparison objects, got Comparison"),
        ({"conclusions": ("L <= 1",)}, "tuple of Comparison objects"),
        ({"hypotheses": ("n = 2",)}, "tuple of Hypothesis objects"),
        ({"source": "a paper"}, "source must be a Source, got 'a paper'"),
        ({"exponent": "3"}, "exponent must be"),
        ({"sign": 2}, "sign must be 1, or -1"),
        ({"id": 3}, "id must be the name of the claim, got 3"),
    ],
)
def test_a_claim_of_other_parts_is_refused_with_one_line(given, word):
    with pytest.raises(InputError, match=word) as caught:
        UpperBound(**{**WHOLE, **given})
    assert "\n" not in str(caught.value)
    # Control: the parts as they should be.
    assert UpperBound(**WHOLE).comparisons == WHOLE["conclusions"]


def test_an_identity_of_an_inequality_and_a_rule_of_other_words_are_refused():
    with pytest.raises(InputError, match="must claim ==, got '<='; take Inequality"):
        Identity(**WHOLE)
    with pytest.raises(InputError, match="relation must be one of <=, >=, <, >, got '=='"):
        Hypothesis("n = 2", symbol("n"), "==", sp.Integer(2))
    with pytest.raises(InputError, match="when must be one of until, from, got 'at'"):
        Mark("T1", symbol("loss"), "at", "")


def test_numbers_of_a_comparison_become_expressions():
    plain = Comparison(symbol("loss"), "<=", 1, 2)
    assert plain == Comparison(symbol("loss"), "<=", sp.S.One, sp.Integer(2))
    assert Comparison(**SOUND, over="neuron").constant == sp.S.Half
    assert Comparison(**{**SOUND, "constant": None}).asymptotic


def test_a_claim_compares_as_its_conclusions_say():
    for claim in CLAIMS:
        for made, stated in zip(claim.comparisons, claim.conclusions, strict=True):
            assert made.relation == stated.relation
            assert (made.constant, made.where, made.over) == (
                stated.constant,
                stated.where,
                stated.over,
            )


@pytest.mark.parametrize(
    ("comparison", "latex"),
    [
        (Comparison(symbol("loss"), "<=", symbol("t")), r"L \le C \cdot t"),
        (Comparison(symbol("loss"), ">=", symbol("t")), r"L \ge c \cdot t"),
        (Comparison(symbol("loss"), "<=", sp.S.One), r"L \le C"),
        (Comparison(symbol("loss"), ">=", sp.Integer(2)), r"L \ge c \cdot 2"),
        (Comparison(symbol("loss"), "<=", symbol("t"), sp.Integer(3)), r"L \le 3 t"),
        (Comparison(symbol("loss"), "==", symbol("t"), sp.S.Half), r"L = \frac{t}{2}"),
    ],
)
def test_latex_shows_relation_and_constant(comparison, latex):
    assert comparison.latex({"loss": "L"}) == latex


def test_an_exponent_and_a_sign_are_put_into_every_conclusion():
    one = Comparison(symbol("loss"), "<=", symbol("t") ** EXPONENT)
    other = Comparison(symbol("loss") ** EXPONENT, ">=", symbol("t"), sp.Integer(2))
    claim = replace(CLAIMS[-1], conclusions=(one, other), exponent=0.5, sign=-1)
    first, second = claim.comparisons
    assert (first.lhs, first.relation, first.rhs) == (one.lhs, ">=", symbol("t") ** sp.S.Half)
    assert (second.lhs, second.relation) == (symbol("loss") ** sp.S.Half, "<=")
    assert (second.rhs, second.constant) == (symbol("t"), 2)
    assert claim.asymptotic and not replace(claim, conclusions=(other,)).asymptotic
    assert replace(claim, exponent=None, sign=1).comparisons == (one, other)


def test_a_claim_can_be_sent_to_another_process():
    import copy

    claim = CLAIMS[0]
    assert type(claim.__getstate__()["names"]) is dict
    assert copy.deepcopy(claim) == claim


SMALL = Hypothesis("x is small", symbol("x"), "<=", symbol("y"))
OWN_WORDS = Hypothesis("x", symbol("x"), "<=", symbol("y"), unmet="{value} is above m = {needed}")
NAN = float("nan")


@pytest.mark.parametrize(
    ("hypothesis", "value", "needed", "said"),
    [
        (SMALL, 1.23456, 1.0, "x = 1.235, not <= 1"),
        # As many digits as tell the two apart, up to all that a double has.
        (SMALL, 1.0001234, 1.0, "x = 1.0001, not <= 1"),
        (SMALL, 1 + 2**-52, 1.0, "x = 1.0000000000000002, not <= 1"),
        (SMALL, 1.23456, 1.23456, "x = 1.235, not <= 1.235"),
        (SMALL, 2.0, "10^400", "x = 2, not <= 10^400"),
        (SMALL, NAN, 1.0, "x is undefined"),
        (SMALL, 2.0, NAN, "x = 2, not <= undefined"),
        (OWN_WORDS, NAN, 1.0, "undefined is above m = 1"),
        (OWN_WORDS, 2.0, NAN, "2 is above m, which is undefined"),
    ],
)
def test_a_hypothesis_that_is_not_met_is_told_with_the_numbers_of_the_run(
    hypothesis, value, needed, said
):
    assert hypothesis.failure(value, needed) == said
