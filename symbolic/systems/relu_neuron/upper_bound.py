r"""Phase 3 of the upper bound: from a balanced start of small loss the loss falls like `t^-3`.

The loss is `|v|^2 lam^3`, an expectation over Gaussian x; `s_i` says whether `w_i.x > 0`, and u
whether `e.x > 0` for the teacher's direction e. No window is assumed: that neurons stay where they
are is proved, from a start with `|v|/(2n) <= |w_i| <= 2|v|/n` and `L <= |v|^2/(6.4e8 n^8)`.

Source: Xu & Du, COLT 2023, arXiv 2302.10034, Theorem 7 and Lemmas 20 to 24; the proofs and the
constants are this toolkit's.
"""

from __future__ import annotations

from fractions import Fraction
from functools import cache
from typing import Any

from symbolic.systems.relu_neuron import lower_bound
from symbolic.systems.relu_neuron.lower_bound import (
    AFTER,
    NEURON,
    POSITIVE_PI,
    SPLIT,
    START,
    TEACHER,
    UNIT,
    E,
    V,
    Y,
    across,
    along,
    at_angle,
    cos,
    orthogonal,
    sin,
    size,
    unit,
    w,
    z,
)
from symbolic.theorem import derived, kernel
from symbolic.theorem.formulas import Forall, Formula, Rel, eq, ge, gt
from symbolic.theorem.kernel import Theorem
from symbolic.theorem.proving import add, cubes, discharge, given, known, times, weak, within
from symbolic.theorem.terms import PI, N, Poly, T, Vec, function, number, symbol, total

__all__ = ["LETS", "SETTING", "gradient_lower", "loss_lower", "loss_upper", "neurons_stay"]

INPUT = Vec.symbol("x", "X")
LAM, LAM_T = symbol("lam", time="t"), symbol("lam", time="T")
LOSS = V**2 * LAM**3
RESIDUAL = Vec.symbol("R", time="t")  # sum of the w_k less the teacher
F = symbol("f", "X", time="t")
ON_TEACHER = symbol("u", "X")
CUBE = symbol("m")  # n^(1/3)
WIDE = Fraction(349, 100)  # m |z_i| <= WIDE |v| lam
LEAST = 640_000_000  # L(T) <= |v|^2/(LEAST n^8)
NARROW = 256  # theta_i <= pi/(NARROW n^2)
SPEED = 37  # (37/3) n^(1/3) |v|^(2/3) |grad L|^2 >= L^(4/3)
PATH = 11  # neurons move by at most 11 n^(1/3) |v| lam(T)
UP = E.dot(INPUT)


def on(i: str) -> Poly:
    """1 where neuron i is active, else 0."""
    return symbol("s", i, "X", time="t")


def into(i: str) -> Poly:
    """`<w_i, x>`."""
    return w(i).dot(INPUT)


def theta(i: str) -> Poly:
    """Angle of neuron i and the teacher."""
    return w(i).angle(E)


def mean(x: Any) -> Poly:
    """Expectation over x."""
    return total("X", x)


def excess(i: str) -> Poly:
    """`theta - sin(theta) cos(theta)`."""
    return theta(i) - sin(theta(i)) * cos(theta(i))


def moved(i: str, time: str = "t") -> Vec:
    """`w_i(t) - w_i(T)`."""
    return Vec.symbol("w", i, time=time) - Vec.symbol("w", i, time="T")


def _always(*bound: str, body: Rel) -> Forall:
    return Forall((*bound, "t"), (AFTER,), body)


ACTIVE = total("k", on("k") * into("k"))  # what the students say
DEFECT = _always("X", body=eq(F - ACTIVE + V * ON_TEACHER * UP))
SUM = _always("y", body=eq(RESIDUAL.dot(Y) - total("k", w("k").dot(Y)) + V * E.dot(Y)))
ZERO_ONE = _always("i", "X", body=eq(on("i") ** 2 - on("i")))
RELU = _always("i", "X", body=ge(on("i") * into("i")))
CUT = _always("i", "X", body=ge(on("i") * into("i") - into("i")))
ZERO_ONE_V = Forall(("X",), (), eq(ON_TEACHER**2 - ON_TEACHER))
RELU_V = Forall(("X",), (), ge(ON_TEACHER * UP))
CUT_V = Forall(("X",), (), ge(ON_TEACHER * UP - UP))
ENERGY = _always(body=eq(2 * LOSS - mean(F**2)))
FLOW = _always("i", "y", body=eq(w("i").prime.dot(Y) + mean(F * on("i") * INPUT.dot(Y))))
DISSIPATION = _always(body=eq(function("d", LOSS) + total("k", w("k").prime.dot(w("k").prime))))
SECOND = Forall(("y",), (), eq(mean(INPUT.dot(Y) ** 2) - Y.dot(Y)))
ODD = _always("i", "y", body=eq(mean(INPUT.dot(Y) * (2 * on("i") - 1) * into("i"))))
ODD_V = Forall(("y",), (), eq(mean(INPUT.dot(Y) * (2 * ON_TEACHER - 1) * UP)))


def between(i: str) -> Poly:
    """1 where the teacher is active and neuron i is not."""
    return ON_TEACHER * (1 - on(i))


WEDGE = _always(
    *("i", "y"), body=ge(theta("i") * Y.dot(Y) - PI * mean(between("i") * INPUT.dot(Y) ** 2))
)
WEDGE_V = _always("i", body=eq(2 * PI * mean(between("i") * UP**2) - excess("i")))
BEHIND = (1 - ON_TEACHER) * on("i") * into("i") ** 2
WEDGE_W = _always("i", body=eq(2 * PI * mean(BEHIND) - w("i").norm() ** 2 * excess("i")))
POSITIVE = _always(body=gt(LAM))
W_T = Vec.symbol("w", "i", time="T")
LIGHT = Forall(("i",), (), ge(2 * N * W_T.norm() - V))
HEAVY = Forall(("i",), (), ge(2 * V - N * W_T.norm()))
SMALL = ge(1 - LEAST * N**8 * LAM_T**3)
#: At time t no neuron has moved by |v|/(4n) or more.
NEAR = Forall(("i",), (), gt(V - 4 * N * moved("i").norm()))
SETTING: dict[Formula, str] = {
    UNIT: "e is the teacher's direction, a unit vector",
    gt(V): "|v| > 0",
    SPLIT: "z_i is the part of w_i orthogonal to e",
    SUM: "R is the sum of the w_i less the teacher",
    DEFECT: "f is the sum of relu(w_i.x) less relu(v.x)",
    ZERO_ONE: "s_i is 0 or 1",
    RELU: "s_i is 1 where w_i.x > 0",
    CUT: "s_i is 0 where w_i.x < 0",
    ZERO_ONE_V: "u is 0 or 1",
    RELU_V: "u is 1 where e.x > 0",
    CUT_V: "u is 0 where e.x < 0",
    ENERGY: "the loss |v|^2 lam^3 is E f^2/2",
    POSITIVE: "the loss is not zero yet",
    FLOW: "axiom gradient flow: w_i' = -E f s_i x",
    DISSIPATION: "axiom dissipation: dL/dt = -sum |w_i'|^2",
    SECOND: "axiom Gaussian: E <y, x>^2 = |y|^2",
    ODD: "axiom symmetry: an even function of x is orthogonal to x, here |w_i.x|",
    ODD_V: "axiom symmetry: the same, |e.x|",
    WEDGE: "axiom wedge: E <y, x>^2 over the wedge between w_i and e is at most |y|^2 theta_i/pi",
    WEDGE_V: "axiom wedge: E <e, x>^2 there is (theta_i - sin cos)/(2 pi)",
    WEDGE_W: "axiom wedge: E <w_i, x>^2 over the other wedge is |w_i|^2 (theta_i - sin cos)/(2 pi)",
    LIGHT: "at time T: |v|/(2n) <= |w_i|",
    HEAVY: "at time T: |w_i| <= 2|v|/n",
    SMALL: "at time T: L <= |v|^2/(6.4e8 n^8), with lam(T)",
    NEAR: "at time t: |w_i - w_i(T)| < |v|/(4n)",
    AFTER: "t >= T",
}
HALF = Fraction(1, 2)
SMALL_START = kernel.assume(SMALL)


# --- what is on and what is off --------------------------------------------------------------
def _bit(one: Theorem, bit: Poly) -> tuple[Theorem, Theorem]:
    """`bit >= 0` and `1 - bit >= 0`, from `bit^2 = bit`."""
    return add(kernel.square(bit), (-1, [one])), add(kernel.square(1 - bit), (-1, [one]))


@cache
def bits(i: str) -> tuple[Theorem, Theorem]:
    """`0 <= s_i <= 1`."""
    return _bit(given(ZERO_ONE, i=i), on(i))


@cache
def teacher_bits() -> tuple[Theorem, Theorem]:
    """`0 <= b <= 1`."""
    return _bit(given(ZERO_ONE_V), ON_TEACHER)


@cache
def active_sign() -> Theorem:
    """`sum_k s_k <w_k, x> >= 0`."""
    return kernel.sum_up(given(RELU, i="k"), "k")


@cache
def floor(i: str) -> Theorem:
    """`4 pi L - |w_i|^2 (theta_i - sin cos) >= 0`: where the teacher is off, students add up."""
    off, once, bit = teacher_bits()[1], given(ZERO_ONE_V), given(ZERO_ONE, i=i)
    more = kernel.pick(given(RELU, i="k"), "k", (i,))
    both = add(active_sign(), given(RELU, i=i))
    teacher = V * UP
    point = add(
        kernel.square(ON_TEACHER * F),
        (-1 * F**2, [once]),
        ((1 - ON_TEACHER) * (F + ACTIVE), [given(DEFECT)]),
        ((F + ACTIVE) * teacher, [once]),
        (1, [off, more, both]),
        ((1 - ON_TEACHER) * into(i) ** 2, [bit]),
    )
    within(point, ge(F**2 - (1 - ON_TEACHER) * on(i) * into(i) ** 2))
    return within(
        add(
            (2, [POSITIVE_PI, kernel.sum_up(point, "X")]),
            (2 * PI, [given(ENERGY)]),
            (1, [given(WEDGE_W, i=i)]),
        ),
        ge(4 * PI * LOSS - w(i).norm() ** 2 * excess(i)),
    )


@cache
def residual() -> Theorem:
    """`8 L - |r|^2 >= 0`: `f(x) - f(-x) = <r, x>`."""
    r_x = RESIDUAL.dot(INPUT)
    even = total("k", (2 * on("k") - 1) * into("k")) - V * (2 * ON_TEACHER - 1) * UP
    halves = add(given(DEFECT), (-HALF, [given(SUM, y=INPUT)]))
    within(halves, eq(F - HALF * r_x - HALF * even))
    point = add(
        (F + HALF * r_x + HALF * even, [halves]),
        (Fraction(1, 4), [kernel.square(even)]),
    )
    term = r_x * (2 * on("k") - 1) * into("k")
    return within(
        add(
            (4, [kernel.sum_up(point, "X")]),
            (4, [given(ENERGY)]),
            (1, [given(SECOND, y=RESIDUAL)]),
            (2, [kernel.sum_up(given(ODD, i="k", y=RESIDUAL), "k")]),
            (-2, [kernel.swap("k", "X", term)]),
            (-2 * V, [given(ODD_V, y=RESIDUAL)]),
        ),
        ge(8 * LOSS - RESIDUAL.dot(RESIDUAL)),
    )


# --- where no neuron has moved far -----------------------------------------------------------
def triangle(a: Vec, b: Vec) -> Theorem:
    """`|a| + |b| - |a + b| >= 0`."""
    norms = a.norm() + b.norm()
    squares = add(
        (2, [kernel.cauchy(a, b)]),
        *((1, [kernel.norm_square(x)]) for x in (a, b)),
        (-1, [kernel.norm_square(a + b)]),
    )
    least = add(kernel.norm_sign(a), kernel.norm_sign(b))
    return derived.power(squares, least, norms, (a + b).norm(), 2)


@cache
def long(i: str) -> Theorem:
    """`4 n |w_i| - |v| > 0`."""
    step = triangle(w(i), moved(i) * -1)
    return add((4, [NEURON, step]), (2, [given(LIGHT, i=i)]), given(NEAR, i=i), strict=True)


@cache
def short(i: str) -> Theorem:
    """`9 |v| - 4 n |w_i| >= 0`."""
    step = triangle(Vec.symbol("w", i, time="T"), moved(i))
    return add((4, [NEURON, step]), (4, [given(HEAVY, i=i)]), given(NEAR, i=i))


@cache
def weight(i: str) -> Theorem:
    """`|w_i| > 0`."""
    some = add(long(i), TEACHER, strict=True)
    return add((Fraction(1, 4), [derived.cancel(some, NEURON, 4 * w(i).norm())]), strict=True)


@cache
def light(i: str) -> Theorem:
    """`16 n^2 |w_i|^2 - |v|^2 >= 0`."""
    return weak(times(long(i), add(long(i), (2, [TEACHER]), strict=True)))


@cache
def falls() -> Theorem:
    """`lam(T) - lam >= 0`."""
    lam = given(POSITIVE)
    fall = add(gradient_sign(), (-1, [slope()]))
    fall = derived.cancel(fall, times(TEACHER, TEACHER, lam, lam), -3 * function("d", LAM))
    fall = add((Fraction(1, 3), [fall]), kernel.derive(-LAM))
    return kernel.monotone(fall, (), -LAM, "T", "t")


def powers(a: int, b: int) -> Theorem:
    """`n^a - n^b >= 0` for `a >= b`."""
    return add(known(0), *((1, [NEURON] * j + [kernel.count()]) for j in range(b, a)))


@cache
def small() -> Theorem:
    """`1 - 6.4e8 n^8 lam^3 >= 0`."""
    cubed = cubes(falls(), weak(given(POSITIVE)), LAM_T, LAM)
    return add(SMALL_START, (LEAST, [NEURON] * 8 + [cubed]))


LAM_CUBED = [given(POSITIVE)] * 3


@cache
def acute(i: str) -> Theorem:
    """`pi/2 - theta_i >= 0`: otherwise the loss would be larger."""
    beyond = kernel.assume(gt(theta(i) - PI / 2))
    x = symbol("x")
    curve = kernel.pointwise(x - sin(x) * cos(x) - 1, "x", PI / 2, PI)
    far = kernel.subst(curve, {"x": theta(i)})
    far = discharge(far, beyond, kernel.angle_most(w(i), E))
    large = add(floor(i), (1, [kernel.square(w(i).norm()), far]))  # 4 pi L >= |w_i|^2
    large = add((16, [NEURON, NEURON, large]), light(i))
    low = add((1, [TEACHER, TEACHER, small()]))
    most = kernel.constants(Fraction(3), Fraction(22, 7))[1]
    room = add(
        (LEAST, [powers(8, 2)]),
        (64, [NEURON, NEURON, most]),
        (LEAST - Fraction(64 * 22, 7), [NEURON, NEURON]),
        strict=True,
    )
    against = times(TEACHER, TEACHER, *LAM_CUBED, room)
    false = kernel.combine(gt(0), (1, [large]), (1, [low]), (1, [against]))
    goal = ge(PI / 2 - theta(i))
    wrong = kernel.contradiction(false, goal)
    return derived.cases(kernel.assume(goal), wrong, PI / 2 - theta(i))


@cache
def narrow(i: str) -> Theorem:
    """`pi - 256 n^2 theta_i >= 0`."""
    jordan = at_angle("jordan", w(i), E, acute(i))
    twice = add((2, [kernel.angle_least(w(i), E)]))
    sine = cubes(jordan, twice, PI * sin(theta(i)), 2 * theta(i))
    pi_cubed = [POSITIVE_PI] * 3
    # 3 pi^3 (theta - sin cos) >= 2 (pi sin)^3 >= 16 theta^3
    wedge = add((1, [*pi_cubed, at_angle("wedge", w(i), E)]), (2, [sine]))
    least = [kernel.angle_least(w(i), E)] * 3
    volume = add(
        (1, [kernel.square(w(i).norm()), wedge]),
        (3, [*pi_cubed, floor(i)]),
    )  # 12 pi^4 L >= 16 |w_i|^2 theta^3
    volume = add((1, [NEURON, NEURON, volume]), (1, [light(i), *least]))
    volume = derived.cancel(
        volume, times(TEACHER, TEACHER), 12 * PI**4 * N**2 * LAM**3 - theta(i) ** 3
    )
    most = kernel.constants(Fraction(3), Fraction(22, 7))[1]
    rest = LEAST - Fraction(12 * 22 * NARROW**3, 7)
    product = add(
        (NARROW**3, [NEURON] * 6 + [volume]),
        (1, [*pi_cubed, small()]),
        (12 * NARROW**3, [*pi_cubed, *[NEURON] * 8, *LAM_CUBED, most]),
        (rest, [*pi_cubed, *[NEURON] * 8, *LAM_CUBED]),
    )
    return derived.power(product, weak(POSITIVE_PI), PI, NARROW * N**2 * theta(i), 3)


@cache
def height(i: str) -> Theorem:
    """`2 <w_i, e> - |w_i| >= 0`."""
    x = symbol("x")
    curve = kernel.pointwise(2 * cos(x) - 1, "x", number(0), number(1))
    most = kernel.constants(Fraction(3), Fraction(22, 7))[1]
    one = add(
        (Fraction(1, NARROW), [narrow(i)]),
        (1, [powers(2, 0), kernel.angle_least(w(i), E)]),
        (Fraction(1, NARROW), [most]),
        known(1 - Fraction(22, 7 * NARROW)),
    )
    half = kernel.subst(curve, {"x": theta(i)})
    half = discharge(half, kernel.angle_least(w(i), E), within(one, ge(1 - theta(i))))
    return add((1, [kernel.norm_sign(w(i)), half]), (2, [along(i)]))


def along_teacher(i: str) -> Poly:
    """`h_i = <w_i, e>`."""
    return w(i).dot(E)


H = total("k", w("k").dot(E))


@cache
def up(i: str) -> Theorem:
    """`h_i > 0`."""
    return add((HALF, [height(i)]), (HALF, [weight(i)]), strict=True)


@cache
def total_up() -> Theorem:
    """`sum_k h_k > 0`."""
    return add(kernel.pick(up("k"), "k", ("i",)), up("i"), strict=True)


# --- Theorem 7 -------------------------------------------------------------------------------
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
        (3, [long_, floor(i)]),
        (1, [long_, square_, at_angle("wedge", w(i), E)]),
        (2, [cubed]),
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
    apart = add(
        kernel.square(off.norm()),
        (-1, [kernel.norm_square(off)]),
        (-1 * r_e**2, [unit()]),
        residual(),
        (r_e + H - V, [sums]),
    )
    within(apart, ge(8 * LOSS - (H - V) ** 2))
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
            (3, [square_h, apart]),
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


# --- time --------------------------------------------------------------------------------------
START_LAM = kernel.cut(
    given(POSITIVE, t="T"), kernel.combine(ge(0)), ge(0)
)  # lam(T) > 0; that T >= T is 0 >= 0
END = symbol("end")
CLOSE = Forall(("i", "t"), (AFTER, gt(END - T)), NEAR.body)


@cache
def slope() -> Theorem:
    """`3 |v|^2 lam^2 lam' + |grad L|^2 = 0`."""
    return add(given(DISSIPATION), (-1, [kernel.derive(LOSS)]))


@cache
def gradient_sign() -> Theorem:
    """`|grad L|^2 >= 0`."""
    return kernel.sum_up(_prime_square("k"), "k")


def _prime_square(k: str) -> Theorem:
    dw = w(k).prime
    return add(kernel.square(dw.norm()), (-1, [kernel.norm_square(dw)]))


@cache
def rate() -> Theorem:
    """`-37 m lam' - lam^2 >= 0`."""
    lam = given(POSITIVE)
    product = add(gradient(), (-SPEED * CUBE, [slope()]))
    goal = -SPEED * CUBE * function("d", LAM) - LAM**2
    return derived.cancel(product, add((3, [TEACHER, TEACHER, lam, lam]), strict=True), goal)


@cache
def pace(i: str) -> Theorem:
    """`-11 m |v| lam' - |w_i'| >= 0`."""
    lam, speed = given(POSITIVE), function("d", LAM)
    product = add(
        (1, [gradient_sign(), gradient()]),
        (SPEED * CUBE * (3 * V**2 * LAM**2 * speed - GRADIENT), [slope()]),
    )
    positive = add((3, [TEACHER, TEACHER, *[lam] * 4]), strict=True)
    squares = derived.cancel(product, positive, 3 * SPEED * CUBE * V**2 * speed**2 - GRADIENT)
    squares = add(
        squares,
        kernel.pick(_prime_square("k"), "k", (i,)),
        (-1, [kernel.norm_square(w(i).prime)]),
        (3 * SPEED, [M_SIGN, m_floor(), kernel.square(V * speed)]),
        (PATH**2 - 3 * SPEED, [M_SIGN, M_SIGN, kernel.square(V * speed)]),
    )
    falling = derived.cancel(
        add(gradient_sign(), (-1, [slope()])), times(TEACHER, TEACHER, lam, lam), -3 * speed
    )
    most = add((Fraction(PATH, 3), [M_SIGN, TEACHER, falling]))
    length = w(i).prime.norm()
    return derived.power(squares, most, -PATH * CUBE * V * speed, length, 2)


def _in_window(th: Theorem) -> Theorem:
    return kernel.cut(th, given(CLOSE), NEAR)


@cache
def neurons_stay() -> Theorem:
    """`|v| - 4 n |w_i(t) - w_i(T)| > 0` for all `t >= T`: paths are shorter."""
    f = -PATH * CUBE * V * LAM
    step = add(_in_window(pace("i")), kernel.derive(f))
    path = derived.integrate(step, w("i"), f, ("T", "end"))
    four = 4 * PATH
    cubed = add(
        SMALL_START,
        (LEAST, [powers(8, 4), *[START_LAM] * 3]),
        (LEAST - four**3, [NEURON] * 4 + [START_LAM] * 3),
        (-1 * four**3 * N**3 * LAM_T**3, [M_CUBED]),
    )
    short_ = derived.power(cubed, known(1), number(1), four * N * CUBE * LAM_T, 3)
    last = given(POSITIVE, t="end")
    there = add(
        (4, [NEURON, path]),
        (1, [TEACHER, short_]),
        (four, [NEURON, M_POSITIVE, TEACHER, last]),
        strict=True,
    )
    stays = kernel.bootstrap(there, TEACHER, CLOSE, ("T", "end", "later"), 1)
    return kernel.subst(kernel.root(stays, NEURON, "m", 3), {"later": "t"})


def _staying(th: Theorem) -> Theorem:
    """A theorem without the hypothesis that neurons are near where they started."""
    return kernel.cut(th, neurons_stay(), NEAR)


def _without_root(th: Theorem) -> Theorem:
    return kernel.root(th, NEURON, "m", 3)


TAU, LOSS_NOW = symbol("tau"), symbol("L", time="t")
LINK = _always(body=eq(LOSS_NOW - LOSS))
LETS: dict[Formula, str] = {
    LINK: "L = |v|^2 lam^3",
    eq(TAU - T + START): "tau = t - T",
}


@cache
def gradient_lower() -> Theorem:
    """`50653 n |v|^2 |grad L|^6 - 27 L^4 >= 0`, Theorem 7."""
    lam = weak(given(POSITIVE))
    least = add((3, [kernel.square(V), lam, lam, lam, lam]))
    cubed = cubes(gradient(), least, SPEED * CUBE * GRADIENT, 3 * V**2 * LAM**4)
    th = add(cubed, (-1 * SPEED**3 * GRADIENT**3, [M_CUBED]))
    th = add((1, [kernel.square(V), _staying(_without_root(th))]))
    sums = (LOSS_NOW**2 + LOSS**2) * (LOSS_NOW + LOSS)
    th = add(th, (-27 * sums, [given(LINK)]))  # L^4 = |v|^8 lam^12
    return within(th, ge(SPEED**3 * N * V**2 * GRADIENT**3 - 27 * LOSS_NOW**4))


@cache
def loss_upper() -> Theorem:
    """`50653 n |v|^2 - L tau^3 >= 0` with `tau = t - T`, for all `t >= T`."""
    m = SPEED * CUBE
    signs = add((SPEED, [M_POSITIVE]), strict=True), weak(known(1))
    curve = kernel.compare(
        _staying(rate()), signs, START_LAM, (m, number(1), LAM, "d", -1, "T", "t")
    )
    past, after = T - START, kernel.assume(AFTER)
    lam = weak(given(POSITIVE))
    flat = derived.cancel(add(curve, (SPEED, [M_SIGN, lam])), START_LAM, m - LAM * past)
    cubed = cubes(flat, times(lam, after), m, LAM * past)
    th = add((1, [TEACHER, TEACHER, cubed]), (-1 * SPEED**3 * V**2, [M_CUBED]))
    th = add(_without_root(th), (-1 * past**3, [given(LINK)]))
    tau = kernel.assume(eq(TAU - past))
    th = add(th, (-1 * LOSS_NOW * (TAU**2 + TAU * past + past**2), [tau]))
    return within(th, ge(SPEED**3 * N * V**2 - LOSS_NOW * TAU**3))


# --- Theorem 14 without a window ---------------------------------------------------------------
@cache
def loss_lower() -> Theorem:
    """`24 pi n^5 |v| G^3 L - m^3 Z_T^3 >= 0`, the window of Theorem 14 proved from the start."""
    heavy = add((Fraction(1, 4), [short("i")]), (Fraction(7, 4), [TEACHER]))
    proofs = {
        lower_bound.LIGHT: weak(long("i")),
        lower_bound.HEAVY: heavy,
        lower_bound.ACUTE: acute("i"),
        lower_bound.FLOOR: add(floor("i"), (4 * PI, [given(LINK)])),
    }
    th = lower_bound.loss_lower()
    for window, proof in proofs.items():
        near = NEAR in proof.hyps
        th = kernel.cut(th, _staying(proof) if near else proof, window)
    return th
