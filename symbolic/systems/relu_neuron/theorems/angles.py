r"""Lengths and angles of neurons and of their parts across the teacher.

Source: Xu & Du, COLT 2023, arXiv 2302.10034, Lemma 33; the constants are this toolkit's.
"""

from __future__ import annotations

from fractions import Fraction
from functools import cache

from symbolic.systems.relu_neuron.theorems.setting import (
    ACUTE,
    LIGHT,
    NEURON,
    POSITIVE_PI,
    SPLIT,
    TEACHER,
    UNIT,
    ZERO,
    E,
    X,
    cos,
    sin,
    size,
    w,
    z,
)
from symbolic.theorem import derived, kernel
from symbolic.theorem.formulas import ge
from symbolic.theorem.kernel import Theorem
from symbolic.theorem.proving import add, discharge, given, times
from symbolic.theorem.terms import PI, Vec

__all__ = ["across", "along", "at_angle", "between", "orthogonal", "tilt", "unit", "weight"]


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
