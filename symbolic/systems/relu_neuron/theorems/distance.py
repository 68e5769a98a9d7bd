r"""The pairwise distance falls no faster than its square, equation 66, with its constant.

Source: Xu & Du, COLT 2023, arXiv 2302.10034; the proofs and constants are this toolkit's.
"""

from __future__ import annotations

from fractions import Fraction
from functools import cache

from symbolic.systems.relu_neuron.theorems.angles import at_angle, between, tilt, weight
from symbolic.systems.relu_neuron.theorems.persistence import ACUTE_PAIRS, persistence
from symbolic.systems.relu_neuron.theorems.setting import (
    COSINE,
    HEAVY,
    INVERSE,
    LIGHT,
    NEURON,
    OPEN,
    POSITIVE_PI,
    TEACHER,
    WIDE,
    C,
    E,
    V,
    cosine_gap,
    distances,
    flow,
    reciprocal,
    sin,
    size,
    w,
    z,
)
from symbolic.theorem import derived, kernel, terms
from symbolic.theorem.formulas import ge, gt
from symbolic.theorem.kernel import Theorem
from symbolic.theorem.proving import add, given, known, times, within
from symbolic.theorem.terms import N, Poly, Vec, total

__all__ = ["S_T", "S", "distance_decay", "reach"]

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
    gap = (2, [OPEN, kernel.square(size(k) - size(j))])
    return add((half, [reach(k)]), (half, [reach(j)]), gap)


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
        (1, [most, kernel.angle_least(w(i), E)]), (1, [sign, TEACHER, at_angle("below", w(i), E)])
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
    one = add((2, [OPEN, TEACHER, ik, cauchy]), (1, [turn_bound(i, "k", "k"), kernel.norm_sign(x)]))
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
