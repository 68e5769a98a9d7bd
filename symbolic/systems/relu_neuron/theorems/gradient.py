r"""Theorem 7: the gradient against the loss, where no neuron has moved far.

Source: Xu & Du, COLT 2023, arXiv 2302.10034, Theorem 7; the proof and the constant are
this toolkit's.
"""

from __future__ import annotations

from fractions import Fraction
from functools import cache

from symbolic.systems.relu_neuron.theorems.angles import across, at_angle, orthogonal, unit
from symbolic.systems.relu_neuron.theorems.near import (
    LAM_CUBED,
    H,
    light,
    narrow,
    powers,
    short,
    small,
    total_up,
    up,
)
from symbolic.systems.relu_neuron.theorems.samples import (
    CUBE,
    CUT,
    CUT_V,
    DEFECT,
    ENERGY,
    FLOW,
    HALF,
    INPUT,
    LAM,
    LEAST,
    LOSS,
    ON_TEACHER,
    POSITIVE,
    RELU_V,
    RESIDUAL,
    SPEED,
    SUM,
    UP,
    WEDGE,
    WEDGE_V,
    WIDE,
    ZERO_ONE_V,
    F,
    active_sign,
    bits,
    excess,
    floor,
    into,
    mean,
    on,
    residual,
    teacher_bits,
    theta,
)
from symbolic.systems.relu_neuron.theorems.setting import (
    NEURON,
    POSITIVE_PI,
    TEACHER,
    E,
    V,
    sin,
    size,
    w,
    z,
)
from symbolic.theorem import derived, kernel
from symbolic.theorem.formulas import eq, ge, gt
from symbolic.theorem.kernel import Theorem
from symbolic.theorem.proving import add, cubes, given, known, times, weak, within
from symbolic.theorem.terms import PI, N, Vec, number, total

__all__ = ["GRADIENT", "gradient"]


@cache
def inner(i: str) -> Theorem:
    """`|v| E f <e, x> (b - s_i) + L >= 0`: f is at least <r, x> in the wedge."""
    (on_, off), (b_on, _) = bits(i), teacher_bits()
    r_x = RESIDUAL.dot(INPUT)
    gaps = kernel.sum_up(given(CUT, i="k"), "k")
    once, teacher = given(ZERO_ONE_V), V * UP
    defect, sums = given(DEFECT), given(SUM, y=INPUT)
    # b (1 - s) <e, x> (f - <r, x>) + (b - 1) s <e, x> f >= 0
    inside = add(
        (1, [given(RELU_V), off, gaps]),
        ((1 - on(i)) * UP * ON_TEACHER, [defect]),
        (-1 * (1 - on(i)) * UP * ON_TEACHER, [sums]),
        (-1 * (1 - on(i)) * UP * teacher, [once]),
        (1, [given(CUT_V), on_, active_sign()]),
        ((ON_TEACHER - 1) * UP * on(i), [defect]),
        (-1 * UP * on(i) * teacher, [once]),
    )
    product = ON_TEACHER * (1 - on(i)) * UP * (F - r_x) + (ON_TEACHER - 1) * on(i) * UP * F
    within(inside, ge(product))
    # p (32 n^2 <r, x> + |v| <e, x>)^2 >= 0 for p = b (1 - s)
    young = add((1, [b_on, off, kernel.square(32 * N**2 * r_x + teacher)]))
    point = add((64, [NEURON, NEURON, TEACHER, inside]), young)
    mean_ = kernel.sum_up(point, "X")
    # what the wedge gives: 1024 n^4 |r|^2 theta + |v|^2 (theta - sin cos)/2 <= 64 pi n^2 L
    wedge = add(
        (1024, [NEURON] * 4 + [given(WEDGE, i=i, y=RESIDUAL)]),
        (1024, [NEURON] * 4 + [kernel.angle_least(w(i), E), residual()]),
        (32, [NEURON, NEURON, TEACHER, TEACHER, *LAM_CUBED, narrow(i)]),
    )
    small_angle = at_angle("wedge", w(i), E)
    sine = at_angle("sign", w(i), E)
    sides = add((Fraction(1, 3), [small_angle]), (Fraction(2, 3), [sine, sine, sine]))
    within(sides, ge(excess(i)))
    side = add(
        (-HALF * V**2, [given(WEDGE_V, i=i)]),
        (HALF, [light(i), sides]),
        (8, [NEURON, NEURON, floor(i)]),
    )
    result = add((1, [POSITIVE_PI, mean_]), wedge, side)
    goal = V * mean(F * UP * (ON_TEACHER - on(i))) + LOSS
    return derived.cancel(result, add((64, [POSITIVE_PI, NEURON, NEURON]), strict=True), goal)


def offset(i: str) -> Vec:
    """`h w_i - h_i v`, h the sum of the `h_k`: from its share of the teacher to neuron i."""
    return w(i) * H - E * (w(i).dot(E) * V)


PULL = total("i", w("i").prime.dot(offset("i")))
SPREAD = total("i", offset("i").dot(offset("i")))
GRADIENT = total("k", w("k").prime.dot(w("k").prime))


@cache
def descent() -> Theorem:
    """`sum <grad_i, h w_i - h_i v> - h L >= 0`, the gradient being `-w_i'`."""
    own = F * on("i") * into("i")
    flow = kernel.sum_up(given(FLOW, i="i", y=offset("i")), "i")
    defect = kernel.sum_up(add((F, [given(DEFECT)])), "X")
    each = kernel.sum_up(add((1, [up("i"), inner("i")])), "i")
    return within(
        add(
            (-1, [flow]),
            (H, [kernel.swap("i", "X", own)]),
            (-H, [defect]),
            (-H, [given(ENERGY)]),
            (1, [each]),
        ),
        ge(-PULL - H * LOSS),
    )


@cache
def height_across(i: str) -> Theorem:
    """`27 pi |v| L - 2 n |z_i|^3 >= 0`."""
    sine = w(i).norm() * sin(theta(i))
    cubed = cubes(across(i)[1], kernel.norm_sign(z(i)), sine, size(i))
    long_, square_ = kernel.norm_sign(w(i)), kernel.square(w(i).norm())
    loss = weak(times(TEACHER, TEACHER, *LAM_CUBED))
    one = add(
        (3, [long_, floor(i)]), (1, [long_, square_, at_angle("wedge", w(i), E)]), (2, [cubed])
    )  # 12 pi L |w_i| >= 2 |z_i|^3
    return within(
        add((1, [NEURON, one]), (3, [POSITIVE_PI, loss, short(i)])),
        ge(27 * PI * V * LOSS - 2 * N * size(i) ** 3),
    )


M_CUBED, M_SIGN = kernel.assume(eq(CUBE**3 - N)), kernel.assume(ge(CUBE))
M_POSITIVE = derived.cases(
    kernel.contradiction(
        kernel.combine(
            gt(0), (1, [NEURON]), (1, [M_CUBED]), (1, [kernel.assume(ge(-CUBE)), *[M_SIGN] * 2])
        ),
        gt(CUBE),
    ),
    kernel.assume(gt(CUBE)),
    -CUBE,
)


@cache
def m_floor() -> Theorem:
    """`m - 1 >= 0`."""
    return derived.power(add(kernel.count(), (1, [M_CUBED])), M_SIGN, CUBE, number(1), 3)


@cache
def low(i: str) -> Theorem:
    """`349/100 |v| lam - m |z_i| >= 0`."""
    wide, most = WIDE, kernel.constants(Fraction(3), Fraction(22, 7))[1]
    left, volume = wide * V * LAM, [TEACHER, TEACHER, TEACHER, *LAM_CUBED]
    cubed = add(
        (HALF, [height_across(i)]),
        (Fraction(27, 2), [*volume, most]),
        (wide**3 - Fraction(27 * 11, 7), volume),
        (-1 * size(i) ** 3, [M_CUBED]),
    )
    sign = add((wide, [TEACHER, given(POSITIVE)]))
    return derived.power(cubed, sign, left, CUBE * size(i), 3)


@cache
def spread() -> Theorem:
    """`37 m h^2 |v|^2 lam^2 - 3 sum |h w_i - h_i v|^2 >= 0`."""
    h_i, zz = w("i").dot(E), z("i").dot(z("i"))
    lam, teacher = given(POSITIVE), [TEACHER, TEACHER]
    # |h w_i - h_i v|^2 = h^2 |z_i|^2 + h_i^2 (h - |v|)^2
    parts = add((-1 * H**2, [orthogonal("i", "i")]), (h_i**2 * V**2, [unit()]))
    # m^2 |z_i|^2 <= WIDE^2 |v|^2 lam^2, summed: n = m^3
    sides = add(low("i"), (2, [M_SIGN, kernel.norm_sign(z("i"))]))
    each = add((1, [low("i"), sides]), (CUBE**2, [kernel.norm_square(z("i"))]))
    tall = add(kernel.sum_up(each, "i"), (WIDE**2 * V**2 * LAM**2, [M_CUBED]))
    most = WIDE**2 * CUBE * V**2 * LAM**2 - total("i", zz)
    across_ = derived.cancel(tall, times(M_POSITIVE, M_POSITIVE), most)
    # (h - |v|)^2 = <r, e>^2 <= |r|^2 <= 8 L
    r_e = RESIDUAL.dot(E)
    off = RESIDUAL - E * r_e
    sums = add(given(SUM, y=E), (-V, [unit()]))  # <r, e> = h - |v|
    gap = add(
        kernel.square(off.norm()),
        (-1, [kernel.norm_square(off)]),
        (-1 * r_e**2, [unit()]),
        residual(),
        (r_e + H - V, [sums]),
    )
    within(gap, ge(8 * LOSS - (H - V) ** 2))
    squares = kernel.sum_up(times(up("i"), kernel.pick(up("k"), "k", ("i",))), "i")
    # lam <= 1/100
    tiny = add(
        (Fraction(1, LEAST), [small()]),
        (1, [powers(8, 0), *LAM_CUBED]),
        known(Fraction(1, 10**6) - Fraction(1, LEAST)),
    )
    hundredth = number(Fraction(1, 100))
    tiny = derived.power(tiny, known(Fraction(1, 100)), hundredth, LAM, 3)
    left = SPEED - 3 * WIDE**2
    room = add((24, [tiny]), (left, [m_floor()]), known(left - Fraction(24, 100)))
    square_h = kernel.square(H)
    return within(
        add(
            (-3, [kernel.sum_up(parts, "i")]),
            (3, [square_h, across_]),
            (3, [kernel.square(H - V), squares]),
            (3, [square_h, gap]),
            (1, [square_h, *teacher, lam, lam, room]),
        ),
        ge(SPEED * CUBE * H**2 * V**2 * LAM**2 - 3 * SPREAD),
    )


@cache
def gradient() -> Theorem:
    """`37 m |grad L|^2 - 3 |v|^2 lam^4 >= 0`, by Cauchy-Schwarz from `descent` and `spread`."""
    lam, up_ = given(POSITIVE), total_up()
    size_ = SPEED * CUBE * H**2 * V**2 * LAM**2 / 3
    u = w("i").prime * size_ + offset("i") * (H * LOSS)
    square_ = kernel.sum_up(add(kernel.square(u.norm()), (-1, [kernel.norm_square(u)])), "i")
    positive = times(M_POSITIVE, up_, up_, TEACHER, TEACHER, lam, lam)
    loss = times(up_, TEACHER, TEACHER, *LAM_CUBED)
    product = add(
        square_,
        (Fraction(2 * SPEED, 3), [positive, loss, descent()]),
        (Fraction(1, 3), [loss, loss, spread()]),
    )
    steep = derived.cancel(
        product, positive, Fraction(SPEED, 3) * (size_ * GRADIENT - H**2 * LOSS**2)
    )
    steep = derived.cancel(
        steep,
        times(up_, up_, TEACHER, TEACHER, lam, lam),
        Fraction(SPEED, 9) * (SPEED * CUBE * GRADIENT - 3 * V**2 * LAM**4),
    )
    return add((Fraction(9, SPEED), [steep]))
