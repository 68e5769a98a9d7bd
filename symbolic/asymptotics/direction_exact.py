"""A direction in exact numbers: recognised, and proved by substitution."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import sympy as sp

from symbolic.asymptotics.derivatives import EXACT, derivatives

__all__ = [
    "DIGITS",
    "eigenvalues_prove",
    "exact_value",
    "recognised",
    "squared_length",
    "vanishes",
    "without_flat_roots",
]

# An entry is recognised if a fraction with a denominator up to this agrees to so many digits.
DENOMINATOR, DIGITS = 20_000, 40


def recognised(
    z: Sequence[Any], denominator: int = DENOMINATOR, near: float = 10.0**-DIGITS
) -> tuple[sp.Expr, ...] | None:
    """Entries relative to the largest one, if all are fractions or roots of fractions.

    Parameters
    ----------
    z : sequence of numbers
        In doubles, or in more digits than `near` asks for.
    denominator : int
        The largest one that is looked for.
    near : float
        How well it must agree.
    """
    largest = max(z, key=abs)
    found = []
    for entry in z:
        ratio = sp.Rational(entry / largest)
        for power in (1, 2):
            guess = abs(ratio**power).limit_denominator(denominator)
            root = sp.sign(ratio) * guess ** sp.Rational(1, power)
            if abs((root - ratio).evalf(DIGITS)) < near:
                found.append(root)
                break
        else:
            return None
    return tuple(found)


def squared_length(exact: Sequence[sp.Expr], metric: sp.MatrixBase) -> sp.Expr:
    """Square of the length of a direction, which need not be on the sphere."""
    column = sp.Matrix(list(exact))
    return sp.expand((column.T * metric * column)[0, 0])


def exact_value(
    form: sp.Expr,
    z: Sequence[sp.Symbol],
    degree: sp.Rational,
    metric: sp.MatrixBase,
    exact: Sequence[sp.Expr],
) -> sp.Expr | None:
    """Value on the sphere, if ``grad ell`` is ``p ell G z / z'Gz`` there, exactly."""
    point = dict(zip(z, exact, strict=True))
    smooth = without_flat_roots(form, z, point)
    square = squared_length(exact, metric)
    value, slope = derivatives(smooth, tuple(z), EXACT).first(exact)
    pull = metric * sp.Matrix(list(exact))
    for i in range(len(z)):
        gap = slope[i] * square - degree * value * pull[i]
        if not vanishes(gap):
            return None
    return sp.radsimp(sp.simplify(value / square ** (degree / 2)))


def without_flat_roots(f: sp.Expr, z: Sequence[sp.Symbol], point: dict[Any, Any]) -> sp.Expr:
    """Form without powers ``u^q``, q > 1, whose base vanishes at the point.

    Such a base is a sum of squares, so the term and its first two derivatives vanish there.
    """
    flat = {
        e: sp.S.Zero
        for e in f.atoms(sp.Pow)
        if e.exp.is_Rational
        and not e.exp.is_Integer
        and e.exp > 1
        and e.has(*z)
        and sp.expand(e.base.xreplace(point)) == 0
    }
    return f.xreplace(flat)


def vanishes(e: sp.Expr) -> bool:
    """Whether a number, or a function of parameters, is zero, by normal forms."""
    numerator = sp.expand(sp.fraction(sp.together(sp.expand(e)))[0])
    return bool(numerator == 0 or sp.simplify(numerator) == 0)


def eigenvalues_prove(
    form: sp.Expr,
    z: Sequence[sp.Symbol],
    degree: sp.Rational,
    metric: sp.MatrixBase,
    exact: Sequence[sp.Expr],
    value: sp.Expr,
    orbit: int,
    cones: int,
) -> bool:
    """Whether exact eigenvalues say that all but the orbit's directions are curved upwards.

    The pencil ``H - kappa G`` has the direction's own ``kappa = p (p-1) ell``, the orbit's ``p
    ell`` and the transverse ones, which must be larger.
    """
    if len(z) == 1:
        return True
    if cones or value.free_symbols:
        return False
    smooth = without_flat_roots(form, z, dict(zip(z, exact, strict=True)))
    square = squared_length(exact, metric)
    if not smooth.is_polynomial(*z):
        return False
    found = derivatives(smooth, tuple(z), EXACT)
    at, hessian = found.first(exact)[0], sp.Matrix(found.second(exact))
    # In units of the value at the point, kappa becomes kappa * square / value.
    entries = []
    for e in hessian:
        entries.append(_plain(e * square / at))
        if not entries[-1].is_Rational:
            return False
    scaled = sp.Matrix(*hessian.shape, entries)
    k = sp.Dummy("kappa")
    polynomial = sp.Poly((metric.inv() * scaled).charpoly().all_coeffs(), k)
    multiplicity = 0
    while polynomial.eval(degree) == 0:
        polynomial = polynomial.quo(sp.Poly(k - degree, k))
        multiplicity += 1
    return multiplicity == orbit and polynomial.count_roots(sup=degree) == 0


def _plain(e: sp.Expr) -> sp.Expr:
    """Rational number, if it is one; what is far from simple fractions is not simplified."""
    e = sp.expand(e)
    if e.is_Rational:
        return e
    near = sp.Rational(e.evalf(DIGITS))
    far = abs(near.limit_denominator(DENOMINATOR) - near) > sp.Rational(1, 10 ** (DIGITS // 2))
    return e if far else sp.radsimp(sp.simplify(e))
