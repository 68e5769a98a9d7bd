r"""What phase 3 speaks of: which neurons are active at an input, and the loss as an expectation.

The loss is `|v|^2 lam^3`, an expectation over Gaussian x; `s_i` says whether `w_i.x > 0`, and u
whether `e.x > 0` for the teacher's direction e.

Source: Xu & Du, COLT 2023, arXiv 2302.10034, Lemmas 20 to 24; the proofs and the
constants are this toolkit's.
"""

from __future__ import annotations

from fractions import Fraction
from functools import cache
from typing import Any

from symbolic.systems.relu_neuron.theorems.setting import (
    AFTER,
    POSITIVE_PI,
    SPLIT,
    UNIT,
    E,
    V,
    Y,
    always,
    cos,
    sin,
    w,
)
from symbolic.theorem import kernel
from symbolic.theorem.formulas import Forall, Formula, eq, ge, gt
from symbolic.theorem.kernel import Theorem
from symbolic.theorem.proving import add, given, within
from symbolic.theorem.terms import PI, N, Poly, Vec, function, symbol, total

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


ACTIVE = total("k", on("k") * into("k"))  # what the students say
DEFECT = always("X", body=eq(F - ACTIVE + V * ON_TEACHER * UP))
SUM = always("y", body=eq(RESIDUAL.dot(Y) - total("k", w("k").dot(Y)) + V * E.dot(Y)))
ZERO_ONE = always("i", "X", body=eq(on("i") ** 2 - on("i")))
RELU = always("i", "X", body=ge(on("i") * into("i")))
CUT = always("i", "X", body=ge(on("i") * into("i") - into("i")))
ZERO_ONE_V = Forall(("X",), (), eq(ON_TEACHER**2 - ON_TEACHER))
RELU_V = Forall(("X",), (), ge(ON_TEACHER * UP))
CUT_V = Forall(("X",), (), ge(ON_TEACHER * UP - UP))
ENERGY = always(body=eq(2 * LOSS - mean(F**2)))
FLOW = always("i", "y", body=eq(w("i").prime.dot(Y) + mean(F * on("i") * INPUT.dot(Y))))
DISSIPATION = always(body=eq(function("d", LOSS) + total("k", w("k").prime.dot(w("k").prime))))
SECOND = Forall(("y",), (), eq(mean(INPUT.dot(Y) ** 2) - Y.dot(Y)))
ODD = always("i", "y", body=eq(mean(INPUT.dot(Y) * (2 * on("i") - 1) * into("i"))))
ODD_V = Forall(("y",), (), eq(mean(INPUT.dot(Y) * (2 * ON_TEACHER - 1) * UP)))


def between(i: str) -> Poly:
    """1 where the teacher is active and neuron i is not."""
    return ON_TEACHER * (1 - on(i))


WEDGE = always(
    *("i", "y"), body=ge(theta("i") * Y.dot(Y) - PI * mean(between("i") * INPUT.dot(Y) ** 2))
)
WEDGE_V = always("i", body=eq(2 * PI * mean(between("i") * UP**2) - excess("i")))
BEHIND = (1 - ON_TEACHER) * on("i") * into("i") ** 2
WEDGE_W = always("i", body=eq(2 * PI * mean(BEHIND) - w("i").norm() ** 2 * excess("i")))
POSITIVE = always(body=gt(LAM))
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
    point = add((F + HALF * r_x + HALF * even, [halves]), (Fraction(1, 4), [kernel.square(even)]))
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
