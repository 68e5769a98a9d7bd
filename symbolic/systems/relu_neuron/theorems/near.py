r"""Where no neuron has moved far and the loss is small, all neurons point along the teacher.

Source: Xu & Du, COLT 2023, arXiv 2302.10034, Lemmas 20 to 22; the proofs and the
constants are this toolkit's.
"""

from __future__ import annotations

from fractions import Fraction
from functools import cache

from symbolic.systems.relu_neuron.theorems.angles import along, at_angle
from symbolic.systems.relu_neuron.theorems.samples import (
    DISSIPATION,
    HALF,
    HEAVY,
    LAM,
    LAM_T,
    LEAST,
    LIGHT,
    LOSS,
    NARROW,
    NEAR,
    POSITIVE,
    SMALL_START,
    floor,
    moved,
    theta,
)
from symbolic.systems.relu_neuron.theorems.setting import (
    NEURON,
    POSITIVE_PI,
    TEACHER,
    E,
    cos,
    sin,
    w,
)
from symbolic.theorem import derived, kernel
from symbolic.theorem.formulas import ge, gt
from symbolic.theorem.kernel import Theorem
from symbolic.theorem.proving import add, cubes, discharge, given, known, times, weak, within
from symbolic.theorem.terms import PI, N, Vec, function, number, symbol, total

__all__ = ["acute", "height", "light", "long", "narrow", "short", "small", "up"]


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
def slope() -> Theorem:
    """`3 |v|^2 lam^2 lam' + |grad L|^2 = 0`."""
    return add(given(DISSIPATION), (-1, [kernel.derive(LOSS)]))


@cache
def gradient_sign() -> Theorem:
    """`|grad L|^2 >= 0`."""
    return kernel.sum_up(prime_square("k"), "k")


def prime_square(k: str) -> Theorem:
    """`|w_k'|^2 >= 0`, as a product of the vector with itself."""
    dw = w(k).prime
    return add(kernel.square(dw.norm()), (-1, [kernel.norm_square(dw)]))


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
        (1, [kernel.square(w(i).norm()), wedge]), (3, [*pi_cubed, floor(i)])
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


H = total("k", w("k").dot(E))


@cache
def up(i: str) -> Theorem:
    """`h_i > 0`."""
    return add((HALF, [height(i)]), (HALF, [weight(i)]), strict=True)


@cache
def total_up() -> Theorem:
    """`sum_k h_k > 0`."""
    return add(kernel.pick(up("k"), "k", ("i",)), up("i"), strict=True)
