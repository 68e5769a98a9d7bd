r"""Theorem 14, the `t^-3` lower bound, with its constant: the loss against the distance, and time.

Source: Xu & Du, COLT 2023, arXiv 2302.10034; the proofs and constants are this toolkit's.
"""

from __future__ import annotations

from fractions import Fraction
from functools import cache

from symbolic.systems.relu_neuron.theorems.angles import across, at_angle, tilt
from symbolic.systems.relu_neuron.theorems.distance import S_T, S, distance_decay, reach, total_sign
from symbolic.systems.relu_neuron.theorems.setting import (
    AFTER,
    FLOOR,
    HEAVY,
    LOSS,
    NEURON,
    OPEN,
    POSITIVE_PI,
    START,
    TEACHER,
    C,
    E,
    V,
    sin,
    size,
    w,
    z,
)
from symbolic.theorem import derived, kernel
from symbolic.theorem.formulas import Formula, eq, ge, gt
from symbolic.theorem.kernel import Theorem
from symbolic.theorem.proving import add, cubes, given, times, weak, within
from symbolic.theorem.terms import PI, N, Poly, T, symbol

__all__ = [
    *(
        "LETS",
        "angle_vs_reach",
        "distance_lower",
        "distance_vs_loss",
        "distance_vs_reach",
        "loss_lower",
    )
]

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
