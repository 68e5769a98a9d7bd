r"""Theorem 14, the `t^-3` lower bound, with its constant, made by the kernel of rules.

The setting is one of vectors `w_i`, of which the flow of `z_i`, orthogonal to the teacher, is known
from `pair_flow()`. What the proofs need beyond it is in the statements.

Source: Xu & Du, COLT 2023, arXiv 2302.10034; the proofs and constants are this toolkit's.
"""

from __future__ import annotations

from fractions import Fraction
from functools import cache
from typing import Any

import sympy as sp

from symbolic.lemmas.dual_kernel import ALPHA, BETA, THETA
from symbolic.systems.relu_neuron.flow import pair_flow
from symbolic.theorem import derived, kernel, terms
from symbolic.theorem.formulas import Distinct, Forall, Formula, eq, ge, gt
from symbolic.theorem.kernel import Theorem
from symbolic.theorem.proving import add, cubes, discharge, given, known, times, weak, within
from symbolic.theorem.terms import PI, N, Poly, T, Vec, function, number, symbol, total

__all__ = ["LETS", "SETTING", "distance_lower", "distance_vs_loss", "loss_lower", "persistence"]

START = symbol("T")
V, C = symbol("v"), symbol("c")  # |v| and the cosine of the angle that is kept
LOSS = symbol("L", time="t")
E = Vec.symbol("e")  # the teacher's direction
Y = Vec.symbol("y")
PAIR = Distinct("a", "b")
AFTER = ge(T - START)


def w(i: str) -> Vec:
    """Neuron i."""
    return Vec.symbol("w", i, time="t")


def z(i: str, time: str = "t") -> Vec:
    """Its part orthogonal to the teacher."""
    return Vec.symbol("z", i, time=time)


def size(i: str, time: str = "t") -> Poly:
    """`|z_i|`."""
    return z(i, time).norm()


def reciprocal(i: str) -> Poly:
    """`1/|w_i|`."""
    return symbol("r", i, time="t")


def cosine_gap(i: str, j: str, time: str = "t") -> Poly:
    """`<z_i, z_j> - c |z_i||z_j|`: positive where the angle is below `arccos c`."""
    return z(i, time).dot(z(j, time)) - C * size(i, time) * size(j, time)


def distances(time: str = "t") -> Poly:
    """`sum_k sum_l |z_k - z_l| = 2 Z`."""
    return total("k", total("l", (z("k", time) - z("l", time)).norm()))


def sin(x: Any) -> Poly:
    """Sine."""
    return function("sin", x)


def cos(x: Any) -> Poly:
    """Cosine."""
    return function("cos", x)


def translated(f: sp.Expr, by: dict[sp.Symbol, Poly]) -> Poly:
    """Turn a SymPy polynomial in symbols, their inverses, sines and cosines into a term."""
    if f.is_Rational:
        return number(Fraction(int(f.p), int(f.q)))
    if f == sp.pi:
        return PI
    if f in by:
        return by[f]
    if isinstance(f, sp.sin | sp.cos):
        return function(type(f).__name__, translated(f.args[0], by))
    parts = [translated(a, by) for a in f.args] if f.is_Add or f.is_Mul else []
    if f.is_Add:
        return sum(parts[1:], parts[0])
    if f.is_Mul:
        product = number(1)
        for part in parts:
            product = product * part
        return product
    if f.is_Pow and f.exp.is_Integer:
        base = sp.Pow(f.base, sp.sign(f.exp))
        return translated(base, by) ** int(abs(f.exp)) if base != f else by[f]
    raise ValueError(f"{f} is no polynomial in the given symbols")


def neuron_pull(i: str, j: str, length: Poly, angle: Poly) -> tuple[Poly, Poly]:
    """`2 pi own, 2 pi other` of `pair_flow` for neuron i against a vector of that length, angle."""
    by = {1 / ALPHA: reciprocal(i), BETA: length, THETA: angle}
    own, other = (translated(sp.expand(2 * sp.pi * f), by) for f in pair_flow())
    return own, other


def flow() -> Forall:
    """`<z_i', y>` for all y, from `pair_flow`; `own` vanishes and `other` is 1/2 at angle zero."""
    own, other = neuron_pull("i", "j", w("j").norm(), w("i").angle(w("j")))
    teacher, _ = neuron_pull("i", "v", V, w("i").angle(E))
    pull = total("j", own) * z("i").dot(Y) + total("j", other * z("j").dot(Y))
    rate = 2 * PI * z("i").prime.dot(Y) + pull - teacher * z("i").dot(Y)
    return Forall(("i", "t", "y"), (AFTER,), eq(rate))


def _always(*bound: str, body: Any) -> Forall:
    return Forall((*bound, "t"), (AFTER,), body)


TH_I = w("i").angle(E)
SPLIT = Forall(
    ("i", "t", "y"), (AFTER,), eq(z("i").dot(Y) - w("i").dot(Y) + w("i").dot(E) * E.dot(Y))
)
INVERSE = _always("i", body=eq(reciprocal("i") * w("i").norm() - 1))
UNIT = eq(E.norm() - 1)
FLOOR = _always("i", body=ge(4 * PI * LOSS - w("i").norm() ** 2 * (TH_I - sin(TH_I) * cos(TH_I))))
LIGHT = _always("i", body=ge(4 * N * w("i").norm() - V))
HEAVY = _always("i", body=ge(4 * V - N * w("i").norm()))
ACUTE = _always("i", body=ge(PI / 2 - TH_I))
WIDE = ge(-cosine_gap("a", "b", "T"))
SETTING: dict[Formula, str] = {
    UNIT: "e is the teacher's direction, a unit vector",
    SPLIT: "z_i is the part of w_i orthogonal to e",
    INVERSE: "w_i is not zero; r_i = 1/|w_i|",
    flow(): "axiom flow of z_i: the gradient flow, computed from pair_flow()",
    FLOOR: "axiom floor: where v.x < 0 the loss is at least one neuron's own square",
    LIGHT: "phase 3: |v|/(4n) <= |w_i|",
    HEAVY: "phase 3: |w_i| <= 4|v|/n",
    ACUTE: "phase 3: theta_i <= pi/2",
    gt(V): "|v| > 0",
    ge(C): "c = cos(kappa), kappa <= pi/2",
    gt(1 - C): "kappa > 0",
    PAIR: "two neurons a, b",
    WIDE: "whose z are at angle kappa or more at time T",
    AFTER: "t >= T",
}


# --- persistence: Lemma 30 in its true form --------------------------------------------------
ACUTE_PAIRS = Forall(("p", "q"), (Distinct("p", "q"),), gt(cosine_gap("p", "q")))
OPEN = kernel.assume(gt(1 - C))
COSINE = kernel.assume(ge(C))
#: `2 pi > 0`.
TWO_PI = add((2, [kernel.constants(Fraction(3), Fraction(22, 7))[0]]), known(6), strict=True)


def drift(i: str) -> Poly:
    """`2 pi` times the rate at which neuron i grows by itself."""
    own, _ = neuron_pull(i, "k", w("k").norm(), w(i).angle(w("k")))
    teacher, _ = neuron_pull(i, "v", V, w(i).angle(E))
    return total("k", own) - teacher


def positive_size(i: str, j: str) -> Theorem:
    """Where all angles are below `arccos c`: `|z_i| > 0`."""
    gap, zero = given(ACUTE_PAIRS, p=i, q=j), kernel.assume(ge(-size(i)))
    cauchy, other = kernel.cauchy(z(i), z(j)), kernel.norm_sign(z(j))
    false = kernel.combine(gt(0), (1, [gap]), (1, [cauchy]), (1, [OPEN, zero, other]))
    goal = gt(size(i))
    return derived.cases(kernel.contradiction(false, goal), kernel.assume(goal), -size(i))


def size_rate(i: str) -> Theorem:
    """`2 pi |z_i|' + drift |z_i| + sum_k (pi - theta_ik) |z_k| >= 0` where `|z_i| > 0`."""
    turn = kernel.angle_most(w(i), w("k"))
    pulls = kernel.sum_up(times(turn, kernel.cauchy(z("k"), z(i))), "k")
    product = add(
        (2 * PI, [kernel.norm_rate(z(i))]),
        given(flow(), i=i, y=z(i)),
        (drift(i), [kernel.norm_square(z(i))]),
        pulls,
    )
    rate = (
        2 * PI * function("d", size(i))
        + drift(i) * size(i)
        + total("k", turn.concl.poly * size("k"))
    )
    return derived.cancel(product, kernel.assume(gt(size(i))), rate)


def gaps(i: str, j: str) -> Theorem:
    """`sum_k (pi - theta_ik)(<z_k, z_j> - c |z_k||z_j|) >= 0`, `k = j` included."""
    same = add((1, [OPEN, kernel.square(size(j))]), (-1, [kernel.norm_square(z(j))]))
    apart = add(given(ACUTE_PAIRS, p=j, q="k"), (0, [OPEN]))
    gap = kernel.index_cases(apart, same, j, "k")
    return kernel.sum_up(times(kernel.angle_most(w(i), w("k")), gap), "k")


@cache
def persistence() -> Theorem:
    """If all angles are below `arccos c` at `t >= T`, so they were at T."""
    p, q = "p", "q"
    rate = add(
        (-2 * PI, [kernel.derive(cosine_gap(p, q))]),
        (-1, [given(flow(), i=p, y=z(q))]),
        (-1, [given(flow(), i=q, y=z(p))]),
        (1, [COSINE, kernel.norm_sign(z(q)), size_rate(p)]),
        (1, [COSINE, kernel.norm_sign(z(p)), size_rate(q)]),
        gaps(p, q),
        gaps(q, p),
    )
    lengths = (positive_size(p, q), positive_size(q, p))
    sizes = (2 * PI, -drift(p) - drift(q), "T")
    return derived.trap(discharge(rate, *lengths), TWO_PI, lengths, None, ACUTE_PAIRS, sizes)


# --- lengths and angles --------------------------------------------------------------------
X = symbol("x")
ZERO = number(0)
PI_POSITIVE = kernel.constants(Fraction(3), Fraction(22, 7))[0]
POSITIVE_PI = add(PI_POSITIVE, known(3), strict=True)
NEURON = add(kernel.count(), known(1), strict=True)  # n > 0
TEACHER = kernel.assume(gt(V))


@cache
def curves() -> dict[str, Theorem]:
    """What is needed of sine and cosine, each on a closed interval."""
    return {
        "sign": kernel.pointwise(sin(X), "x", ZERO, PI),
        "below": kernel.pointwise(X - sin(X), "x", ZERO, PI),
        "jordan": kernel.pointwise(PI * sin(X) - 2 * X, "x", ZERO, PI / 2),
        "wedge": kernel.pointwise(3 * (X - sin(X) * cos(X)) - 2 * sin(X) ** 3, "x", ZERO, PI),
    }


def at_angle(curve: str, a: Vec, b: Vec, *known_: Theorem) -> Theorem:
    """One of the curves at the angle of two vectors."""
    th = kernel.subst(curves()[curve], {"x": a.angle(b)})
    return discharge(th, kernel.angle_least(a, b), kernel.angle_most(a, b), *known_)


@cache
def weight(i: str) -> Theorem:
    """`|w_i| > 0`."""
    some = add(given(LIGHT, i=i), TEACHER, strict=True)
    return add((Fraction(1, 4), [derived.cancel(some, NEURON, 4 * w(i).norm())]), strict=True)


def unit() -> Theorem:
    """`<e, e> - 1 = 0`."""
    return add((-1, [kernel.norm_square(E)]), (E.norm() + 1, [kernel.assume(UNIT)]))


def orthogonal(i: str, j: str) -> Theorem:
    """`<z_i, z_j> - <w_i, w_j> + <w_i, e><w_j, e> = 0`."""
    h_i, h_j = w(i).dot(E), w(j).dot(E)
    flat = add(given(SPLIT, i=j, y=E), (-h_j, [unit()]))
    return add(given(SPLIT, i=i, y=z(j)), given(SPLIT, i=j, y=w(i)), (-h_i, [flat]))


def along(i: str) -> Theorem:
    """`<w_i, e> - |w_i| cos(theta_i) = 0`."""
    h = w(i).norm() * cos(w(i).angle(E))
    return add((-1, [kernel.angle_dot(w(i), E)]), (h, [kernel.assume(UNIT)]))


@cache
def across(i: str) -> tuple[Theorem, Theorem]:
    """`|z_i| - |w_i| sin(theta_i) >= 0`, and the opposite."""
    theta = w(i).angle(E)
    h, long, s = w(i).norm() * cos(theta), w(i).norm(), w(i).norm() * sin(theta)
    equal = add(
        kernel.norm_square(z(i)),
        orthogonal(i, i),
        (-1, [kernel.norm_square(w(i))]),
        (-1 * (w(i).dot(E) + h), [along(i)]),
        (-1 * long**2, [kernel.pythagoras(theta)]),
    )
    sine = times(kernel.norm_sign(w(i)), at_angle("sign", w(i), E))
    more = kernel.combine(ge(size(i) ** 2 - s**2), (1, [equal]))
    less = kernel.combine(ge(s**2 - size(i) ** 2), (-1, [equal]))
    return (
        derived.power(more, kernel.norm_sign(z(i)), size(i), s, 2),
        derived.power(less, sine, s, size(i), 2),
    )


@cache
def between(i: str, j: str) -> Theorem:
    """`theta_i + theta_j - theta_ij >= 0`, as both are at most a right angle."""
    a, b, ab = w(i).angle(E), w(j).angle(E), w(i).angle(w(j))
    lengths = w(i).norm() * w(j).norm()
    s_j = times(kernel.norm_sign(w(j)), at_angle("sign", w(j), E))
    product = add(
        (1, [kernel.angle_dot(w(i), w(j))]),
        (-1, [orthogonal(i, j)]),
        (w(j).dot(E), [along(i)]),
        (w(i).norm() * cos(a), [along(j)]),
        kernel.cauchy(z(i), z(j) * -1),
        (1, [across(i)[1], s_j]),
        (1, [kernel.norm_sign(z(i)), across(j)[1]]),
        (-1 * lengths, [kernel.cos_sum(a, b)]),
    )
    order = derived.cancel(product, times(weight(i), weight(j)), cos(ab) - cos(a + b))
    least = add(kernel.angle_least(w(i), E), kernel.angle_least(w(j), E))
    return kernel.cos_order(order, least, kernel.angle_most(w(i), w(j)), ab, a + b)


@cache
def tilt(i: str) -> Theorem:
    """`2 pi n |z_i| - |v| theta_i >= 0`."""
    jordan = at_angle("jordan", w(i), E, given(ACUTE, i=i))
    half = Fraction(1, 2)
    return add(
        (half, [TEACHER, jordan]),
        (half, [POSITIVE_PI, at_angle("sign", w(i), E), given(LIGHT, i=i)]),
        (2, [POSITIVE_PI, NEURON, across(i)[0]]),
    )


# --- the pairwise distance -----------------------------------------------------------------
S = distances()
S_T = distances("T")
ROOM = 2 * (1 - C) * V  # 2 (1 - c) |v|


@cache
def total_sign() -> Theorem:
    """`S >= 0`."""
    return kernel.sum_up(kernel.sum_up(kernel.norm_sign(z("k") - z("l")), "l"), "k")


@cache
def reach(x: str) -> Theorem:
    """`S^2 - 4 (1 - c) |z_x|^2 >= 0` for all `t >= T`: some pair stays at angle kappa or more."""
    p, q = z("p"), z("q")
    a, b = z(x) - p, z(x) - q
    star = derived.star(kernel.norm_sign(z("k") - z("l")), ("k", "l"), x, "p", "q")
    signs = kernel.norm_sign(a), kernel.norm_sign(b)
    longer = add(total_sign(), (2, [signs[0]]), (2, [signs[1]]))
    squares = add((1, [star, longer]), (8, signs))  # S^2 - 4 |a|^2 - 4 |b|^2 >= 0
    angle = kernel.assume(ge(-cosine_gap("p", "q")))
    middle = z(x) * (1 + C) - p - q
    product = add(
        kernel.square(middle.norm()),
        (-1, [kernel.norm_square(middle)]),
        (1, [COSINE, kernel.square(p.norm() - q.norm())]),
        (2, [angle]),
        *((-C, [kernel.norm_square(v)]) for v in (p, q)),
        *((1 + C, [kernel.norm_square(v)]) for v in (a, b)),
        (C**2 - 1, [kernel.norm_square(z(x))]),
    )
    long = a.norm() ** 2 + b.norm() ** 2 - (1 - C) * size(x) ** 2
    far = add(squares, (4, [derived.cancel(product, add(COSINE, known(1), strict=True), long)]))
    before = kernel.subst(persistence(), {"p": "a", "q": "b"})
    false = kernel.combine(gt(0), (1, [before]), (1, [kernel.assume(WIDE)]))
    return kernel.exhaust(kernel.contradiction(false, far.concl), far, ACUTE_PAIRS)


def pair_bound(k: str, j: str) -> Theorem:
    """`S^2 - 4 (1 - c) |z_k||z_j| >= 0`."""
    half = Fraction(1, 2)
    apart = (2, [OPEN, kernel.square(size(k) - size(j))])
    return add((half, [reach(k)]), (half, [reach(j)]), apart)


@cache
def tilt_bound(k: str, j: str) -> Theorem:
    """`pi n S^2 - 2 (1 - c) |v| theta_k |z_j| >= 0`."""
    tilted = (2, [OPEN, kernel.norm_sign(z(j)), tilt(k)])
    return add(tilted, (1, [POSITIVE_PI, NEURON, pair_bound(k, j)]))


@cache
def turn_bound(i: str, k: str, j: str) -> Theorem:
    """`2 pi n S^2 - 2 (1 - c) |v| theta_ik |z_j| >= 0`."""
    triangle = (2, [OPEN, TEACHER, kernel.norm_sign(z(j)), between(i, k)])
    return add(triangle, tilt_bound(i, j), tilt_bound(k, j))


@cache
def ratio(i: str) -> tuple[Theorem, Theorem]:
    """`r_i > 0` and `4 n - r_i |v| >= 0`."""
    one = kernel.combine(gt(reciprocal(i) * w(i).norm()), (1, [given(INVERSE, i=i)]), (1, []))
    sign = derived.cancel(one, weight(i), reciprocal(i))
    return sign, add((1, [sign, given(LIGHT, i=i)]), (-4 * N, [given(INVERSE, i=i)]))


@cache
def pull_bounds(i: str) -> tuple[Theorem, Theorem]:
    """What the neurons and the teacher do to `|z_i|`, each times `2 (1 - c) |v| |z_i|`."""
    sign, most = ratio(i)
    r, own, room = reciprocal(i), w(i).angle(E), (OPEN, TEACHER, kernel.norm_sign(z(i)))
    heavy = add((1, [sign, given(HEAVY, i="k")]), (4, [most]))
    ik = w(i).angle(w("k"))
    narrow = at_angle("below", w(i), w("k"))
    sixteen = derived.cancel(heavy, NEURON, 16 - r * w("k").norm())
    one = add(
        (1, [sixteen, kernel.angle_least(w(i), w("k"))]),
        (1, [sign, kernel.norm_sign(w("k")), narrow]),
    )
    within(one, ge(16 * ik - r * w("k").norm() * sin(ik)))
    neurons = kernel.sum_up(add((2, [*room, one]), (16, [turn_bound(i, "k", i)])), "k")
    two = add(
        (1, [most, kernel.angle_least(w(i), E)]),
        (1, [sign, TEACHER, at_angle("below", w(i), E)]),
    )
    within(two, ge(4 * N * own - r * V * sin(own)))
    teacher = add((2, [*room, two]), (4, [NEURON, tilt_bound(i, i)]))
    return neurons, teacher


@cache
def own_bound(i: str, x: Vec) -> Theorem:
    """`32 pi n^2 S^2 |x| - 2 (1 - c) |v| drift_i <z_i, x> >= 0`: the larger of the two pulls."""
    neurons, teacher = pull_bounds(i)
    sign, _ = ratio(i)
    ik = w(i).angle(w("k"))
    pulls = kernel.sum_up(
        times(sign, kernel.norm_sign(w("k")), at_angle("sign", w(i), w("k"))), "k"
    )
    pushed = times(sign, TEACHER, at_angle("sign", w(i), E))
    assert within(pulls, ge(total("k", reciprocal(i) * w("k").norm() * sin(ik))))
    length, dot = kernel.norm_sign(x), z(i).dot(x)
    room = (OPEN, TEACHER)
    # <z_i, x> >= 0: the teacher's part is not negative, the neurons' is at most |z_i||x|
    ahead = kernel.assume(ge(dot))
    first = add(
        (1, [neurons, length]),
        (2, [*room, pulls, kernel.cauchy(z(i), x)]),
        (2, [*room, pushed, ahead]),
    )
    behind = kernel.assume(gt(-dot))
    spare = add((28, [POSITIVE_PI, NEURON, NEURON, kernel.square(S), length]))
    second = add(
        (1, [teacher, length]),
        (2, [*room, pushed, kernel.cauchy(z(i) * -1, x)]),
        (2, [*room, pulls, behind]),
        spare,
    )
    return derived.cases(first, second, dot)


@cache
def turned_bound(i: str, x: Vec) -> Theorem:
    """`2 pi n^2 S^2 |x| + 2 (1 - c) |v| sum_k theta_ik <z_k, x> >= 0`."""
    ik = kernel.angle_least(w(i), w("k"))
    cauchy = kernel.cauchy(z("k") * -1, x)
    one = add(
        (2, [OPEN, TEACHER, ik, cauchy]),
        (1, [turn_bound(i, "k", "k"), kernel.norm_sign(x)]),
    )
    return kernel.sum_up(one, "k")


@cache
def distance_decay() -> Theorem:
    """`(1 - c) |v| D S + 17 n^4 S^2 >= 0`, D the lower right Dini derivative."""
    x = z("i") - z("j")
    rate = add(
        (ROOM, [given(flow(), i="i", y=x)]),
        (-ROOM, [given(flow(), i="j", y=x)]),
        own_bound("i", x),
        own_bound("j", x * -1),
        turned_bound("i", x),
        turned_bound("j", x * -1),
    )
    rate = derived.cancel(rate, POSITIVE_PI, 2 * ROOM * _rate_of(x) + 68 * N**2 * S**2 * x.norm())
    room, e = (1 - C) * V, 17 * N**2 * S**2
    sign = add((17, [NEURON, NEURON, kernel.square(S)]))
    positive = times(OPEN, TEACHER)
    rate = add((Fraction(1, 4), [rate]))
    low = kernel.dini_norm(rate, sign, positive, room, e, x)
    low = kernel.dini_sum(low, positive, room, x.norm(), e, "j")
    inner = total("j", x.norm())
    return kernel.dini_sum(low, positive, room, inner, N * e, "i")


def _rate_of(x: Vec) -> Poly:
    """`<x, x'>`."""
    return terms.rate(x.dot(x)) / 2


# --- the loss ------------------------------------------------------------------------------
M = symbol("M")


@cache
def distance_vs_loss() -> Theorem:
    """`192 pi n^5 |v| L - S^3 >= 0`, which is equation 68 as `S = 2 Z`."""
    theta, k = w("k").angle(E), "k"
    wedge = at_angle("wedge", w(k), E)
    three = (size(k), w(k).norm() * sin(theta))
    cubes = add((2, [across(k)[1], _quadratic(*three, across(k)[1], k)]))
    squared = kernel.square(w(k).norm())
    # 12 pi L |w| >= 2 (|w| sin)^3 >= 2 |z|^3, and n |w| <= 4 |v|
    one = add(
        (3, [kernel.norm_sign(w(k)), given(FLOOR, i=k)]),
        (1, [kernel.norm_sign(w(k)), squared, wedge]),
        cubes,
    )
    loss = loss_sign()
    two = add((1, [NEURON, one]), (12, [POSITIVE_PI, loss, given(HEAVY, i=k)]))
    within(two, ge(48 * PI * V * LOSS - 2 * N * size(k) ** 3))
    volume = 24 * PI * V * LOSS
    cube = kernel.assume(eq(M**3 - N**2 * volume))
    sign = kernel.assume(ge(M))
    # M is n times the largest |z|: (n |z|)^3 <= 24 pi n^2 |v| L = M^3
    third = add((Fraction(1, 2), [NEURON, NEURON, two]), (1, [cube]))
    long = derived.power(third, sign, M, N * size(k), 3)
    x = z("k") - z("l")
    triangle = derived.power(
        add(
            (2, [kernel.cauchy(z("k"), z("l") * -1)]),
            *((1, [kernel.norm_square(z(i))]) for i in ("k", "l")),
            (-1, [kernel.norm_square(x)]),
        ),
        add(kernel.norm_sign(z("k")), kernel.norm_sign(z("l"))),
        size("k") + size("l"),
        x.norm(),
        2,
    )
    short = add(long, kernel.subst(long, {"k": "l"}), (1, [NEURON, triangle]))
    summed = kernel.sum_up(kernel.sum_up(short, "l"), "k")
    summed = derived.cancel(summed, NEURON, 2 * N * M - S)
    both = add(kernel.square(2 * N * M), (2, [NEURON, sign, total_sign()]), kernel.square(S))
    result = add((1, [summed, both]), (-8 * N**3, [cube]))
    volume_sign = add((24, [POSITIVE_PI, TEACHER, loss, NEURON, NEURON]))
    return kernel.root(result, volume_sign, "M", 3)


def _quadratic(a: Poly, b: Poly, order: Theorem, k: str) -> Theorem:
    """`a^2 + a b + b^2 >= 0` of `a = |z_k|`, `b = |w_k| sin(theta_k)`, neither negative."""
    sine = times(kernel.norm_sign(w(k)), at_angle("sign", w(k), E))
    return add(kernel.square(a), (1, [kernel.norm_sign(z(k)), sine]), kernel.square(b))


def loss_sign() -> Theorem:
    """`L >= 0`, from the floor."""
    theta = w("k").angle(E)
    wedge = at_angle("wedge", w("k"), E)
    sine = at_angle("sign", w("k"), E)
    square_ = kernel.square(w("k").norm())
    four = add(
        (3, [given(FLOOR, i="k")]),
        (1, [square_, add(wedge, (2, [sine, kernel.square(sin(theta))]))]),
    )
    return add((Fraction(1, 12), [derived.cancel(four, POSITIVE_PI, 12 * LOSS)]))


# --- Theorem 14 ----------------------------------------------------------------------------
Z_NOW, Z_THEN, ROOM_, GROWTH = symbol("Z"), symbol("Z_T"), symbol("m"), symbol("G")
LETS: dict[Formula, str] = {
    eq(2 * Z_NOW - S): "Z = sum over pairs of |z_k - z_l| at time t",
    eq(2 * Z_THEN - S_T): "Z_T = the same at time T",
    eq(ROOM_ - V * (1 - C)): "m = |v| (1 - c)",
    eq(GROWTH - ROOM_ - 34 * N**4 * Z_THEN * (T - START)): "G = m + 34 n^4 Z_T (t - T)",
    gt(Z_THEN): "Z_T > 0",
}


@cache
def distance_vs_reach() -> Theorem:
    """`Z^2 - (1 - c) |z_i|^2 >= 0`, the part of Lemma 31."""
    now = kernel.assume(eq(2 * Z_NOW - S))
    squares = add(reach("i"), (2 * Z_NOW + S, [now]))
    return add((Fraction(1, 4), [squares]))


@cache
def angle_vs_reach() -> Theorem:
    """`2 pi n |z_i| - |v| theta_i >= 0`, the part of Lemma 33."""
    return tilt("i")


@cache
def distance_lower() -> Theorem:
    """`Z (m + 34 n^4 Z_T (t - T)) - m Z_T >= 0`."""
    now, then, room, growth, some = (kernel.assume(f) for f in LETS)  # type: ignore[arg-type]
    begin = add((2, [some]), (-1, [then]), strict=True)
    k, m = 17 * N**4, (1 - C) * V
    signs = times(OPEN, TEACHER), kernel.combine(ge(k), (17, [NEURON] * 4))
    bound = kernel.compare(distance_decay(), signs, begin, (m, k, S, "low", 1, "T", "t"))
    factor = m + k * S_T * (T - START)
    named = add(
        (Fraction(1, 2), [bound]),
        (factor / 2, [now]),  # S = 2 Z
        (k * Z_NOW * (T - START) - m / 2, [then]),  # S_T = 2 Z_T
        (Z_NOW, [growth]),
        (Z_NOW - Z_THEN, [room]),
    )
    return within(named, ge(Z_NOW * GROWTH - ROOM_ * Z_THEN))


@cache
def loss_lower() -> Theorem:
    """`24 pi n^5 |v| G^3 L - m^3 Z_T^3 >= 0`, Theorem 14."""
    now, _, room, growth, some = (kernel.assume(f) for f in LETS)  # type: ignore[arg-type]
    order = distance_lower()
    weight_ = add(times(OPEN, TEACHER), (1, [room]), strict=True)  # m > 0
    least = weak(times(weight_, some))
    cubed = cubes(order, least, Z_NOW * GROWTH, ROOM_ * Z_THEN)
    after = kernel.assume(AFTER)
    grown = add(weight_, (34, [some, NEURON, NEURON, NEURON, NEURON, after]), (1, [growth]))
    eighth = Fraction(1, 8)
    doubled = -1 * (4 * Z_NOW**2 + 2 * Z_NOW * S + S**2) / 8
    loss = add((eighth, [distance_vs_loss()]), (doubled, [now]))
    result = add((1, [grown, grown, grown, loss]), cubed)
    return within(result, ge(24 * PI * N**5 * V * GROWTH**3 * LOSS - ROOM_**3 * Z_THEN**3))
