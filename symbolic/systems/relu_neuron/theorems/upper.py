r"""Phase 3 of the upper bound: from a balanced start of small loss the loss falls like `t^-3`.

No window is assumed: that neurons stay where they are is proved, from a start with
`|v|/(2n) <= |w_i| <= 2|v|/n` and `L <= |v|^2/(6.4e8 n^8)`.

Source: Xu & Du, COLT 2023, arXiv 2302.10034, Theorem 7 and Lemmas 20 to 24; the proofs and the
constants are this toolkit's.
"""

from __future__ import annotations

from fractions import Fraction
from functools import cache

from symbolic.systems.relu_neuron.theorems.gradient import (
    GRADIENT,
    M_CUBED,
    M_POSITIVE,
    M_SIGN,
    gradient,
    m_floor,
)
from symbolic.systems.relu_neuron.theorems.near import gradient_sign, powers, prime_square, slope
from symbolic.systems.relu_neuron.theorems.samples import (
    CUBE,
    LAM,
    LAM_T,
    LEAST,
    LOSS,
    NEAR,
    PATH,
    POSITIVE,
    SMALL_START,
    SPEED,
)
from symbolic.systems.relu_neuron.theorems.setting import (
    AFTER,
    NEURON,
    START,
    TEACHER,
    V,
    always,
    w,
)
from symbolic.theorem import derived, kernel
from symbolic.theorem.formulas import Forall, Formula, eq, ge, gt
from symbolic.theorem.kernel import Theorem
from symbolic.theorem.proving import add, cubes, given, known, times, weak, within
from symbolic.theorem.terms import N, T, function, number, symbol

__all__ = ["LETS", "gradient_lower", "loss_upper", "neurons_stay"]

START_LAM = kernel.cut(
    given(POSITIVE, t="T"), kernel.combine(ge(0)), ge(0)
)  # lam(T) > 0; that T >= T is 0 >= 0
END = symbol("end")
CLOSE = Forall(("i", "t"), (AFTER, gt(END - T)), NEAR.body)


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
        kernel.pick(prime_square("k"), "k", (i,)),
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


def staying(th: Theorem) -> Theorem:
    """A theorem without the hypothesis that neurons are near where they started."""
    return kernel.cut(th, neurons_stay(), NEAR)


def without_root(th: Theorem) -> Theorem:
    return kernel.root(th, NEURON, "m", 3)


TAU, LOSS_NOW = symbol("tau"), symbol("L", time="t")
LINK = always(body=eq(LOSS_NOW - LOSS))
LETS: dict[Formula, str] = {LINK: "L = |v|^2 lam^3", eq(TAU - T + START): "tau = t - T"}


@cache
def gradient_lower() -> Theorem:
    """`50653 n |v|^2 |grad L|^6 - 27 L^4 >= 0`, Theorem 7."""
    lam = weak(given(POSITIVE))
    least = add((3, [kernel.square(V), lam, lam, lam, lam]))
    cubed = cubes(gradient(), least, SPEED * CUBE * GRADIENT, 3 * V**2 * LAM**4)
    th = add(cubed, (-1 * SPEED**3 * GRADIENT**3, [M_CUBED]))
    th = add((1, [kernel.square(V), staying(without_root(th))]))
    sums = (LOSS_NOW**2 + LOSS**2) * (LOSS_NOW + LOSS)
    th = add(th, (-27 * sums, [given(LINK)]))  # L^4 = |v|^8 lam^12
    return within(th, ge(SPEED**3 * N * V**2 * GRADIENT**3 - 27 * LOSS_NOW**4))


@cache
def loss_upper() -> Theorem:
    """`50653 n |v|^2 - L tau^3 >= 0` with `tau = t - T`, for all `t >= T`."""
    m = SPEED * CUBE
    signs = add((SPEED, [M_POSITIVE]), strict=True), weak(known(1))
    curve = kernel.compare(
        staying(rate()), signs, START_LAM, (m, number(1), LAM, "d", -1, "T", "t")
    )
    past, after = T - START, kernel.assume(AFTER)
    lam = weak(given(POSITIVE))
    flat = derived.cancel(add(curve, (SPEED, [M_SIGN, lam])), START_LAM, m - LAM * past)
    cubed = cubes(flat, times(lam, after), m, LAM * past)
    th = add((1, [TEACHER, TEACHER, cubed]), (-1 * SPEED**3 * V**2, [M_CUBED]))
    th = add(without_root(th), (-1 * past**3, [given(LINK)]))
    tau = kernel.assume(eq(TAU - past))
    th = add(th, (-1 * LOSS_NOW * (TAU**2 + TAU * past + past**2), [tau]))
    return within(th, ge(SPEED**3 * N * V**2 - LOSS_NOW * TAU**3))
