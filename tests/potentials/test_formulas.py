"""Every claim typed a second time, in plain Python, from what its statement says.

Both forms are evaluated at random numbers.
`x.name` is a quantity of the run, `x.name_dot` its rate of change, `x.name_0` its start.
"""

import functools
import random
from dataclasses import replace
from types import SimpleNamespace

import numpy as np
import pytest
import sympy as sp
from mpmath import mp
from oracles.claims_by_hand import TYPED

import potentials
from flows.runs.quantities import evaluate
from potentials.notation import parameter, symbol
from symbolic.language.lower import lower

# Formulas in doubles, of numbers of order one and exponents up to a hundred.
ROUNDED = 1e-9
POINTS = 5
SEED = 7


class Numbers(SimpleNamespace):
    """Random numbers of order one, made when a name is first asked for, the same ones each time."""

    def __getattr__(self, name):
        if name.startswith("_"):
            raise AttributeError(name)
        value = random.Random(f"{name} {self.seed}").uniform(0.3, 1.7)
        # Signs of quantities that have both, and sizes that are counted.
        if name == "orientation_0":
            value *= random.Random(f"sign {self.seed}").choice((1, -1))
        if name in ("n", "d", "depth"):
            value = random.Random(f"{name} {self.seed}").randint(1, 6)
        setattr(self, name, value)
        return value


@functools.cache
def compiled(expression):
    symbols = sorted(expression.free_symbols, key=str)
    return symbols, lower([expression], symbols, "mpmath")


def number(expression, x):
    """Value of an expression of the toolkit; a power of a negative number may be complex."""
    symbols, function = compiled(expression)
    with mp.workdps(30):
        return complex(function(*[mp.mpf(getattr(x, s.name)) for s in symbols])[0])


def same(expression, value, x):
    found = number(sp.sympify(expression, strict=True), x)
    return found == value or abs(found - value) <= ROUNDED * max(abs(found), abs(value))


def differences(claim, typed, hypotheses, x):
    """What of a claim is not what was typed, in words."""
    if len(claim.comparisons) != len(typed) or len(claim.hypotheses) != len(hypotheses):
        yield "another number of statements"
        return
    for k, (c, (lhs, relation, rhs, where)) in enumerate(
        zip(claim.comparisons, typed, strict=True)
    ):
        right = c.rhs if c.constant is None else c.constant * c.rhs
        for name, one, other in (("lhs", c.lhs, lhs), ("rhs", right, rhs)):
            if not same(one, other, x):
                yield f"{name} of conclusion {k}"
        if c.relation != relation:
            yield f"relation of conclusion {k}"
        if len(c.where) != len(where) or not all(map(same, c.where, where, [x] * len(where))):
            yield f"window of conclusion {k}"
    for h, (lhs, relation, rhs) in zip(claim.hypotheses, hypotheses, strict=True):
        if h.relation != relation or not (same(h.lhs, lhs, x) and same(h.rhs, rhs, x)):
            yield f"hypothesis {h.text}"


def found(system, claim):
    words = set()
    for seed in range(POINTS):
        x = Numbers(seed=seed)
        conclusions, hypotheses = TYPED[system](x)
        words |= {*differences(claim, conclusions[claim.id], hypotheses.get(claim.id, []), x)}
    return words


IDS = [(system, claim) for system in TYPED for claim in potentials.claims(system)]


@pytest.mark.parametrize("system", TYPED)
def test_what_is_typed_is_claimed(system):
    conclusions, hypotheses = TYPED[system](Numbers(seed=0))
    assert hypotheses.keys() <= conclusions.keys() == {c.id for c in potentials.claims(system)}


@pytest.mark.parametrize(("system", "claim"), IDS, ids=lambda x: getattr(x, "id", x))
def test_a_claim_is_what_its_statement_says_in_another_hand(system, claim):
    assert found(system, claim) == set()


@pytest.mark.parametrize(
    ("system", "claim"),
    [c for c in IDS if c[1].exponent is not None],
    ids=lambda x: getattr(x, "id", x),
)
def test_an_exponent_that_is_off_by_a_thousandth_is_seen(system, claim):
    assert found(system, replace(claim, exponent=claim.exponent + sp.Rational(1, 1000)))


@pytest.mark.parametrize(("system", "claim"), IDS, ids=lambda x: getattr(x, "id", x))
def test_another_window_a_converse_and_a_missing_hypothesis_are_seen(system, claim):
    first, *rest = claim.conclusions
    wider = replace(first, where=(*first.where, symbol("t") + 1))
    assert found(system, replace(claim, conclusions=(wider, *rest))) == {"window of conclusion 0"}
    if first.relation != "==":
        assert "relation of conclusion 0" in found(system, replace(claim, sign=-1))
    if claim.hypotheses:
        assert found(system, replace(claim, hypotheses=claim.hypotheses[:-1]))


# Potentials and auxiliaries, of features with one row a time.
DEFINED = {
    "relu_neuron": {
        "pairwise_distance": lambda f: f["distance"].sum(axis=1),
        "kappa_max": lambda f: f["kappa"].max(axis=1),
        "angle_max": lambda f: f["theta"].max(axis=1),
        "residual_projection": lambda f: -f["rho"],
        "angle_potential": lambda f: ((1 - np.cos(f["theta"])) / 2).sum(axis=1),
        "balance": lambda f: f["h"].max(axis=1) / f["h"].min(axis=1),
        "norms": lambda f: f["norm"],
        "h": lambda f: f["h"],
        "z_norms": lambda f: f["zeta"],
        "sigma": lambda f: np.sqrt((f["norm"] ** 2).sum(axis=1) / (f["n"] * f["d"])),
        "z_min": lambda f: f["zeta"].min(axis=1),
        "z_max": lambda f: f["zeta"].max(axis=1),
    },
    "gmm_em": {
        "squared_norm_sum": lambda f: (f["norm"] ** 2).sum(axis=1),
        "fisher": lambda f: f["fisher"],
        "max_norm": lambda f: f["norm"].max(axis=1),
        "norm_sum": lambda f: f["norm"].sum(axis=1),
    },
    "score_matching": {
        "max_norm": lambda f: f["norm"].max(axis=1),
        "min_norm": lambda f: f["norm"].min(axis=1),
        "squared_norm_sum": lambda f: (f["norm"] ** 2).sum(axis=1),
        "norm_sum": lambda f: f["norm"].sum(axis=1),
        "near_count": lambda f: np.exp(-(f["norm"] ** 2)).sum(axis=1),
    },
    "matrix_factorization": {
        "loss_fit": lambda f: f["residual"] ** 2 / 2,
        "loss_balance": lambda f: f["regularization"] / 4 * (f["defect"] ** 2).sum(axis=1),
        "balance_defect": lambda f: np.linalg.norm(f["defect"], axis=1),
        "skew_error": lambda f: f["skew"] ** 2,
        "main_term": lambda f: f["main"].min(axis=1),
        "singular_values": lambda f: f["singular_value"],
        "layer_max": lambda f: f["layer_value"].max(axis=1),
        "layer_min": lambda f: f["layer_value"].min(axis=1),
        "determinant": lambda f: f["determinant"],
        "nuclear_norm": lambda f: f["singular_value"].sum(axis=1),
        "value_max": lambda f: f["singular_value"].max(axis=1),
        "value_min": lambda f: f["singular_value"].min(axis=1),
    },
}
STATES = {"rho", "fisher", "residual", "skew", "determinant"}  # one number a time
NUMBERS = {"n": 4, "d": 3, "regularization": 1.3, "teacher_norm": 1.7}


class Features(dict):
    """Random features, made when they are asked for."""

    def __missing__(self, name):
        size = (5,) if name.removesuffix("_dot") in STATES else (5, NUMBERS["n"])
        self[name] = np.random.default_rng(len(self)).uniform(0.3, 1.7, size)
        return self[name]


@pytest.mark.parametrize("system", DEFINED)
def test_a_potential_is_what_its_definition_says_in_another_hand(system):
    known = {p.name: p for p in (*potentials.potentials(system), *potentials.auxiliaries(system))}
    assert DEFINED[system].keys() == known.keys()
    for name, typed in DEFINED[system].items():
        features = Features(NUMBERS)
        value, _ = evaluate(known[name], features)
        assert value == pytest.approx(typed(features), rel=ROUNDED)


def test_marks_begin_and_end_where_their_rules_say():
    x = Numbers(seed=3)
    typed = {
        "relu_neuron": [
            ("T1", "until", x.residual_projection - 0.9 * x.teacher_norm),
            ("T2", "from", 0.1 * x.teacher_norm - abs(x.residual_projection)),
        ],
        "matrix_factorization": [
            ("T1", "from", x.even / 10 - x.skew),
            ("T2", "from", x.sigma_min / 2 - x.residual),
        ],
        "score_matching": [("T1", "from", x.max_norm - 4)],
        "gmm_em": [],
    }
    for system, rules in typed.items():
        marks = potentials.statements(system).marks
        for mark, (name, when, condition) in zip(marks, rules, strict=True):
            assert (mark.name, mark.when) == (name, when)
            assert same(mark.condition, condition, x)


def claimed(system, claim):
    (found,) = (c for c in potentials.claims(system) if c.id == claim)
    return found


def test_thresholds_and_caps_are_where_the_statements_have_them():
    kappa, z, v, n = (
        symbol("kappa_max_0"),
        symbol("z_max"),
        parameter("teacher_norm"),
        parameter("n"),
    )
    (capped,) = claimed("relu_neuron", "kappa_persists").conclusions
    assert [capped.rhs.subs(kappa, x) for x in (1, 3)] == [1, sp.pi / 2]
    reach = replace(claimed("relu_neuron", "angle_vs_reach"), exponent=sp.Integer(2))
    assert reach.comparisons[0].rhs == n * (z / v) ** 2
    (empty,) = claimed("relu_neuron", "phase1_angles").comparisons[0].says
    angle, least = symbol("theta_0"), {symbol("sigma_0"): 1, parameter("d"): 1, v: 2**24}
    assert empty.subs({**least, angle: sp.pi / 2}) == 0  # sin^2(pi/4) = 2^-1 = eps1^2
    for c in claimed("relu_neuron", "mirror_pair").conclusions:
        widest = c.where[-1].subs(v, 10) - c.where[-1].subs(v, 0)
        assert widest == 100 * (c.where[-1].subs(v, 1) - c.where[-1].subs(v, 0)) > 0
    spreads = {
        h.lhs.subs({symbol("spread_end"): 0, n: 5})
        for c in potentials.claims("score_matching")
        for h in c.hypotheses
        if h.text.startswith("... and for the spread")
    }
    assert spreads == {5}
    (equal,) = (
        h
        for h in claimed("matrix_factorization", "global_convergence").hypotheses
        if h.text.startswith("Sigma = sigma_1 I")
    )
    assert 1 - equal.rhs.subs(parameter("sigma_max"), 1) == sp.Rational(1, 10**12)


def test_no_source_is_older_than_its_number_at_arxiv():
    for system in potentials.SYSTEMS:
        for claim in potentials.claims(system):
            number = claim.source.arxiv
            assert not number or claim.source.year >= 2000 + int(number[:2])
