"""Rules applied to closed forms: what they conclude is evaluated, and holds."""

import json
import math
import random
from fractions import Fraction

import numpy as np
import pytest

from symbolic.theorem import derived, kernel
from symbolic.theorem.certificate import encoded
from symbolic.theorem.checker_formulas import read_value
from symbolic.theorem.evaluate import Model, holds, margin, value
from symbolic.theorem.formulas import Forall, eq, ge, gt
from symbolic.theorem.proving import add, known, times
from symbolic.theorem.terms import T, Vec, function, number, rate, replaced, symbol, total

START = symbol("T")
NOW = ge(T - START)
SIZE = 3
# Rounding of sums of a few products of numbers of order one.
CLOSE = 1e-9
# A central difference with a step of 1e-5 of smooth functions of order one.
DIFFERENCE = 1e-6
SEEDS = range(12)


def frequencies(seed):
    return np.random.default_rng(seed).normal(size=(SIZE, SIZE, 4))


def model(seed):
    """Closed forms: sums of sines and cosines, vectors that turn."""
    w = frequencies(seed)

    def h(i, k, t):
        return math.sin(w[i, k, 0] * t + w[i, k, 1]) + 0.3 * t

    def z(i, t):
        return np.array([math.cos(w[i, 0, j] * t) + w[i, 1, j] for j in range(3)])

    def dz(i, t):
        return np.array([-w[i, 0, j] * math.sin(w[i, 0, j] * t) for j in range(3)])

    names = {"h": h, "z": z, "u": lambda t: math.exp(0.3 * t) + math.sin(t)}
    return Model(SIZE, names, {"z": dz})


def z(i):
    return Vec.symbol("z", i, time="t")


def term(draw, depth, indices, plain=False):
    """A random term over the indices that are free."""
    kind = draw.choice(
        ["number", "h", "u", "c", "norm", "dot"]
        if depth == 0
        else ["+", "*", "sum", "sin", "h", "u", "c", "-", "norm", "dot", "^"]
    )
    i, k = draw.choice(indices), draw.choice(indices)
    if kind == "number":
        return number(Fraction(draw.randint(-4, 4), draw.randint(1, 3)))
    if kind in ("h", "u", "c"):
        return {"h": symbol("h", i, k, time="t"), "u": symbol("u", time="t"), "c": symbol("c")}[
            kind
        ]
    if kind in ("norm", "dot"):
        x = z(i) - Fraction(1, 2) * z(k) if i != k else z(i)
        return x.norm() if kind == "norm" and not plain else x.dot(z(k))
    a = term(draw, depth - 1, indices, plain)
    if kind == "sin":
        return function("sin", a)
    if kind == "^":
        return a**2
    if kind == "sum":
        new = draw.choice("pqr")
        return total(new, term(draw, depth - 1, [*indices, new], plain))
    b = term(draw, depth - 1, indices, plain)
    return {"+": a + b, "-": a - b, "*": a * b}[kind]


@pytest.mark.parametrize("seed", SEEDS)
def test_what_is_put_in_may_as_well_be_evaluated_first(seed):
    draw, here = random.Random(seed), model(seed)
    env = {"i": 0, "j": 1, "k": 2, "p": 1, "t": 0.7, "c": 0.4}
    x, e = (term(draw, 3, ["i", "j", "p"]) for _ in range(2))
    moved = value(replaced(x, {"c": e, "i": "p"}), here, env)
    first = value(x, here, {**env, "c": value(e, here, env)[0], "i": env["p"]})
    assert moved[0] == pytest.approx(first[0], abs=CLOSE * (1 + first[1] + moved[1]))


@pytest.mark.parametrize("seed", SEEDS)
def test_arithmetic_and_sums_are_those_of_numbers(seed):
    draw, here = random.Random(seed), model(seed)
    env = {"i": 0, "j": 1, "t": 0.7, "c": 0.4}
    a, b = (term(draw, 2, ["i", "j"]) for _ in range(2))
    (u, su), (v, sv) = value(a, here, env), value(b, here, env)
    product, difference = value(a * b, here, env)[0], value(a - b, here, env)[0]
    room = CLOSE * (1 + su) * (1 + sv)
    assert product == pytest.approx(u * v, abs=room)
    assert difference == pytest.approx(u - v, abs=room)
    summed = sum(value(a, here, {**env, "i": k})[0] for k in range(SIZE))
    assert value(total("i", a), here, env)[0] == pytest.approx(summed, abs=SIZE * room)


@pytest.mark.parametrize("seed", SEEDS)
def test_the_rate_is_the_slope(seed):
    draw, here = random.Random(seed), model(seed)
    x = term(draw, 2, ["i", "j"], plain=True)
    env, step = {"i": 0, "j": 1, "c": 0.4}, 1e-5
    ahead, behind = (value(x, here, {**env, "t": 0.7 + s})[0] for s in (step, -step))
    found, scale = value(rate(x), here, {**env, "t": 0.7})
    assert found == pytest.approx((ahead - behind) / (2 * step), abs=DIFFERENCE * (1 + scale) * 10)


@pytest.mark.parametrize("seed", SEEDS)
def test_the_second_reader_has_the_same_equalities(seed):
    draw = random.Random(seed)
    x, e = (term(draw, 3, ["i", "j"]) for _ in range(2))
    pairs = [((x + e) ** 2, x**2 + 2 * x * e + e**2), (x * e, x * e + Fraction(1, 1000)), (x, e)]
    pairs += [(total("k", x + e), total("l", x) + total("k", e))]
    for a, b in pairs:
        read = [read_value(json.loads(json.dumps(encoded(side)))) for side in (a, b)]
        assert (read[0] == read[1]) == (a == b)


def facts():
    """Rules without premises, at vectors with zeros and equal ones among them."""
    x, y = z("i"), z("j") - 2 * z("k")
    distance = kernel.norm_sign(z("k") - z("l"))
    yield from (kernel.norm_square(y), kernel.norm_sign(y), kernel.cauchy(x, y))
    yield from (f(x, y) for f in (kernel.angle_least, kernel.angle_most, kernel.angle_dot))
    h = symbol("h", "i", "j", time="t")
    yield from (kernel.pythagoras(h), kernel.cos_sum(h, symbol("u", time="t")), kernel.count())
    yield kernel.swap("p", "q", symbol("h", "p", "q", time="t") * z("p").dot(z("i")))
    yield kernel.square(h - 1)
    yield derived.star(distance, ("k", "l"), "i", "j", "k")
    yield kernel.pick(distance, "l", ("j",))
    yield kernel.pick(distance, "l", ("i", "j"))
    yield from (kernel.exp_zero(), kernel.exp_sign(-h), kernel.exp_sum(h, -2 * h))
    yield from kernel.constants(Fraction(333, 106), Fraction(355, 113))


@pytest.mark.parametrize("seed", SEEDS)
def test_rules_without_premises_hold(seed):
    generator = np.random.default_rng(seed)
    vectors = generator.normal(size=(SIZE, 3)) * generator.choice([0, 1, 1e-6], size=(SIZE, 1))
    vectors[2] = vectors[int(generator.integers(3))]
    here = Model(SIZE, {**model(seed).names, "z": lambda i, t: vectors[i]}, {})
    for i, j, k in ((0, 1, 2), (0, 0, 1), (2, 1, 0), (1, 0, 1)):
        env = {"i": i, "j": j, "k": k, "t": 0.3}
        for th in facts():
            if all(margin(f, here, env) >= 0 for f in th.hyps):
                assert holds(th.concl, here, env), (th.rule, env)


def curve(seed):
    """A positive closed form and its derivative."""
    g = np.random.default_rng(seed)
    a, b, p, w = g.uniform(0.1, 2, size=4)

    def u(t):
        return a / (1 + b * t) ** p * (1.3 + math.sin(w * t))

    def du(t):
        return u(t) * (w * math.cos(w * t) / (1.3 + math.sin(w * t)) - b * p / (1 + b * t))

    return u, du


TIMES = np.linspace(0.5, 20, 60)
U, U_T, K, M = symbol("u", time="t"), symbol("u", time="T"), symbol("k"), symbol("m")


@pytest.mark.parametrize("side", [1, -1])
@pytest.mark.parametrize("seed", SEEDS)
def test_comparison_holds_where_its_premises_do(seed, side):
    u, du = curve(seed)
    m = 0.7
    fine = np.linspace(0.5, 20, 4000)
    slopes = np.array([-m * du(t) / u(t) ** 2 for t in fine])
    k = max(0.0, slopes.max() * 1.001 if side > 0 else slopes.min())
    if side < 0 and slopes.min() < 0:
        return  # it rises somewhere, so no upper bound of this kind is assumed
    law = Forall(("t",), (NOW,), ge(side * (M * function("d", U) + K * U**2)))
    signs = kernel.assume(gt(M)), kernel.assume(ge(K))
    th = kernel.compare(
        kernel.spec(law, {"t": "t"}), signs, kernel.assume(gt(U_T)), (M, K, U, "d", side, "T", "t")
    )
    here = Model(1, {"u": u}, {"u": du}, times=TIMES)
    for t in TIMES:
        env = {"t": t, "T": 0.5, "m": m, "k": k}
        assert all(holds(f, here, env) for f in th.hyps)
        assert holds(th.concl, here, env)


@pytest.mark.parametrize("seed", SEEDS)
def test_gronwall_holds_where_its_premise_does(seed):
    u, du = curve(seed)
    k = max(-du(t) / u(t) for t in np.linspace(0.5, 20, 4000)) * 1.001 + 1e-3
    law = Forall(("t",), (NOW,), ge(function("d", U) + K * U))
    th = derived.gronwall(kernel.spec(law, {"t": "t"}), K, U, "T")
    here = Model(1, {"u": u}, {"u": du}, times=TIMES)
    for t in TIMES:
        env = {"t": t, "T": 0.5, "k": k}
        assert all(holds(f, here, env) for f in th.hyps) and holds(th.concl, here, env)


@pytest.mark.parametrize("seed", SEEDS)
def test_the_past_of_a_positive_family_is_positive(seed):
    """u' = -C u with C >= 0 off the diagonal: backward in time nothing leaves the cone."""
    g = np.random.default_rng(seed)
    c = g.uniform(0, 0.5, size=(SIZE, SIZE))
    c[np.diag_indices(SIZE)] = g.normal(size=SIZE)
    values, basis = np.linalg.eig(-c)
    start = g.normal(size=SIZE)
    parts = np.linalg.solve(basis, start)

    def u(i, t):
        return float(np.real(basis[i] @ (np.exp(values * (t - 0.5)) * parts)))

    def du(i, t):
        return float(-c[i] @ [u(j, t) for j in range(SIZE)])

    here = Model(
        SIZE,
        {"u": u, "b": lambda i: c[i, i], "c": lambda i, j: c[i, j] * (i != j)},
        {"u": du},
        times=TIMES[:12],
    )
    th = past()
    for t in TIMES[:12]:
        for i in range(SIZE):
            env = {"t": t, "T": 0.5, "i": i}
            if all(margin(f, here, env) >= -CLOSE for f in th.hyps):
                assert holds(th.concl, here, env)


def past():
    """u_i(T) > 0, where u_i' + b_i u_i + sum_j c_ij u_j = 0, c_ij >= 0 and all u_i(t) > 0."""
    entry, own = symbol("u", "i", time="t"), symbol("b", "i")
    pair = symbol("c", "i", "j")
    family = Forall(("i",), (), gt(entry))
    pull = total("j", pair * symbol("u", "j", time="t"))
    flow = Forall(("i", "t"), (NOW,), eq(function("d", entry) + own * entry + pull))
    sign = Forall(("i", "j"), (), ge(pair))
    push = times(kernel.spec(sign, {"i": "i", "j": "j"}), kernel.spec(family, {"i": "j"}))
    rate_ = add((-1, [kernel.spec(flow, {"i": "i", "t": "t"})]), kernel.sum_up(push, "j"))
    return derived.trap(rate_, known(1), (), None, family, (number(1), -own, "T"))


@pytest.mark.parametrize("seed", SEEDS)
def test_lower_slopes_of_lengths_hold_where_vectors_vanish(seed):
    g = np.random.default_rng(seed)
    speed, e = g.normal(size=3), float(g.uniform(0, 2))
    x = Vec.symbol("x", time="t")
    premise = kernel.assume(ge(x.prime.dot(x) + symbol("e") * x.norm()))
    th = kernel.dini_norm(
        premise, kernel.assume(ge(symbol("e"))), known(1), number(1), symbol("e"), x
    )
    zero = float(g.uniform(-1, 1))
    here = Model(1, {"x": lambda t: speed * (t - zero)}, {"x": lambda t: speed})
    for t in (zero, zero + 0.3, zero - 0.3):
        env = {"t": t, "e": e}
        if all(margin(f, here, env) >= 0 for f in th.hyps):
            assert holds(th.concl, here, env, DIFFERENCE)


@pytest.mark.parametrize("seed", SEEDS)
def test_a_path_is_no_shorter_than_its_chord(seed):
    g = np.random.default_rng(seed)
    w, phase = g.uniform(0.3, 2, size=3), g.uniform(0, 6, size=3)
    x, f = Vec.symbol("x", time="t"), symbol("f", time="t")
    law = Forall(("t",), (NOW,), ge(function("d", f) - x.prime.norm()))
    th = derived.integrate(kernel.spec(law, {"t": "t"}), x, f, ("T", "t"))
    most = float(np.linalg.norm(w))
    here = Model(
        1,
        {"x": lambda t: np.sin(w * t + phase), "f": lambda t: most * t},
        {"x": lambda t: w * np.cos(w * t + phase), "f": lambda t: most},
        times=TIMES,
    )
    for t in TIMES:
        env = {"t": t, "T": 0.5}
        assert all(holds(h, here, env) for h in th.hyps) and holds(th.concl, here, env)


@pytest.mark.parametrize("seed", SEEDS)
def test_a_family_that_pulls_itself_up_stays_positive(seed):
    """u' = B u + C u, C >= 0 off the diagonal, from positive numbers: a first exit never comes."""
    g = np.random.default_rng(seed)
    c = g.uniform(0, 0.5, size=(SIZE, SIZE))
    c[np.diag_indices(SIZE)] = -g.uniform(0, 2, size=SIZE)
    values, basis = np.linalg.eig(c)
    parts = np.linalg.solve(basis, g.uniform(0, 1, size=SIZE) ** 4)

    def u(i, t):
        return float(np.real(basis[i] @ (np.exp(values * (t - 0.5)) * parts)))

    entry, pair = symbol("u", "i", time="t"), symbol("c", "i", "j")
    family = Forall(("i",), (), gt(entry))
    pull = total("j", pair * symbol("u", "j", time="t"))
    own = symbol("b", "i")
    flow = Forall(("i", "t"), (NOW,), eq(function("d", entry) - own * entry - pull))
    sign = Forall(("i", "j"), (), ge(pair))
    push = times(kernel.spec(sign, {"i": "i", "j": "j"}), kernel.spec(family, {"i": "j"}))
    rate_ = add(kernel.spec(flow, {"i": "i", "t": "t"}), kernel.sum_up(push, "j"))
    begin = kernel.spec(Forall(("i",), (), gt(symbol("u", "i", time="T"))), {"i": "i"})
    th = derived.trap(rate_, known(1), (), begin, family, (number(1), -own, "T"))
    here = Model(
        SIZE,
        {"u": u, "b": lambda i: c[i, i], "c": lambda i, j: c[i, j] * (i != j)},
        {"u": lambda i, t: float(c[i] @ [u(j, t) for j in range(SIZE)])},
        times=TIMES[:12],
    )
    for t in TIMES[:12]:
        for i in range(SIZE):
            env = {"t": t, "T": 0.5, "i": i}
            assert all(holds(f, here, env) for f in th.hyps) and holds(th.concl, here, env)
