r"""Gaussian means of activations put together from proved kernels, another way than they are found.

Of one form `u = a.x`, ``x = (a/|a|) n + z`` with `n` and `z` independent: given `n`, moments of
`x` are polynomials in `n` (Isserlis), and means of ``n^j s(|a| n)`` are elementary. Of two forms,
the derived kernel is taken at ``cos(theta) = a.b/(|a| |b|)``, ``sin(theta) = S/(|a| |b|)``, with
the area `S` of `a` and `b`, for which Lagrange's identity is expanded.
"""

from __future__ import annotations

import functools
import itertools
import random
from collections.abc import Sequence
from typing import Any

import sympy as sp
from sympy.core.function import Application

from symbolic.evidence.identity import Evidence
from symbolic.language.primitives import definition
from symbolic.lemmas.activation_mean import applied
from symbolic.lemmas.activations import Activation, Erf, Homogeneous, product
from symbolic.lemmas.dual_kernel import ALPHA, BETA, THETA, derive_kernel

__all__ = ["composed"]

N = sp.Symbol("n", real=True)
# Points at which a function is compared to the activation that it is taken for.
SEEN, SEED = 12, 5
Vector = Sequence[sp.Expr]


def composed(integrand: sp.Expr, x: Sequence[sp.Symbol]) -> sp.Expr | None:
    """Mean of a polynomial in Gaussian numbers and activations of their linear forms.

    Parameters
    ----------
    integrand : Expr
        As for :func:`symbolic.lemmas.activation_mean.activation_mean`.
    x : sequence of Symbol
        Independent standard normal numbers.

    Returns
    -------
    Expr or None
        None where a step of a kernel is not proved, or the integrand is something else.
    """
    known = {e: applied(e, x) for e in integrand.atoms(Application) if e.has(*x)}
    forms = {sp.Dummy(real=True): form for form in known.values() if form}
    forms_of = dict(zip((e for e, form in known.items() if form), forms, strict=True))
    rest = integrand.xreplace(forms_of)
    seen = all(_is_that(e, *form, x) for e, form in known.items() if form)
    if not seen or len(forms) < len(known) or not rest.is_polynomial(*forms, *x):
        return None
    total = sp.S.Zero
    for powers, coefficient in sp.Poly(rest, *forms, *x).terms():
        used = [(form, k) for form, k in zip(forms.values(), powers, strict=False) if k]
        part = _mean(used, powers[len(forms) :], len(x))
        if part is None:
            return None
        total += coefficient * part
    return total


def _is_that(e: sp.Expr, s: Activation, a: Vector, x: Sequence[sp.Symbol]) -> bool:
    """Whether a function is the activation of the form, exactly at points on both sides of zero."""
    generator = random.Random(SEED)
    names = sorted(e.free_symbols, key=str)
    for _ in range(SEEN):
        put = {name: sp.Rational(generator.randint(-20, 20), 7) for name in names}
        form = sp.Add(*(c.xreplace(put) * put.get(k, 0) for c, k in zip(a, x, strict=True)))
        if form != 0 and e.xreplace(put).doit() != s(form):
            return False
    return True


def _mean(
    used: Sequence[tuple[tuple[Activation, tuple[sp.Expr, ...]], int]],
    powers: Sequence[int],
    size: int,
) -> sp.Expr | None:
    """Mean of a product of powers of activations and of Gaussian numbers."""
    directions = list(dict.fromkeys(direction for (_, direction), _ in used))
    if not directions:
        return _conditional(powers, [sp.S.Zero] * size, sp.S.One)
    factors = [[(s, k) for (s, d), k in used if d == direction] for direction in directions]
    if factors == [[(Erf(), 2)]] and not any(powers):
        return _pair(Erf(), directions[0], directions[0])
    joint = [product(own) for own in factors]
    if len(directions) == 2 and joint[0] == joint[1] and not any(powers):
        return None if joint[0] is None else _pair(joint[0], *directions)
    return _single(joint[0], directions[0], powers) if len(directions) == 1 else None


def _single(s: Activation | None, a: Vector, powers: Sequence[int]) -> sp.Expr | None:
    """``E x^powers s(a.x)``: given `n`, moments of `x`, then means of ``n^j s(|a| n)``."""
    if s is None:
        return None
    square = sp.Add(*(e**2 for e in a))
    given = sp.Poly(_conditional(powers, a, square), N)
    return sp.Add(*(c * _of_line(s, j, square) for (j,), c in given.terms()))


def _conditional(powers: Sequence[int], a: Vector, square: sp.Expr) -> sp.Expr:
    """``E x^powers`` given `n`: of mean ``a n/|a|`` and covariance ``I - a a'/|a|^2``."""
    first = next((i for i, k in enumerate(powers) if k), None)
    if first is None:
        return sp.S.One
    fewer = [k - (i == first) for i, k in enumerate(powers)]
    total = a[first] * N / sp.sqrt(square) * _conditional(fewer, a, square)
    for j, k in enumerate(fewer):
        if k:
            covariance = (1 if j == first else 0) - a[first] * a[j] / square
            less = [m - (i == j) for i, m in enumerate(fewer)]
            total += covariance * k * _conditional(less, a, square)
    return sp.expand(total)


def _of_line(s: Activation, j: int, square: sp.Expr) -> sp.Expr:
    """``E n^j s(|a| n)``, by parts."""
    if isinstance(s, Homogeneous):
        sides = s.rise + (-1) ** (s.degree + j) * s.fall
        return sides * square ** sp.Rational(s.degree, 2) * _half(s.degree + j)
    if j == 0:
        return sp.S.Zero
    # erf'(v) = 2 exp(-v^2)/sqrt(pi), and E n^k exp(-A n^2) is a moment of another Gaussian.
    slope = sp.S.Zero
    if (j - 1) % 2 == 0:
        wide = (1 + 2 * square) ** sp.Rational(-j, 2) * sp.factorial2(j - 2)
        slope = 2 * sp.sqrt(square / sp.pi) * wide
    return slope + ((j - 1) * _of_line(s, j - 2, square) if j > 1 else 0)


def _half(q: int) -> sp.Expr:
    """``E n^q`` over the positive half-line, by parts."""
    if q < 2:
        return sp.S.Half if q == 0 else 1 / sp.sqrt(2 * sp.pi)
    return (q - 1) * _half(q - 2)


def _pair(s: Activation, a: Vector, b: Vector) -> sp.Expr | None:
    """``E s(a.x) s(b.x)`` by the kernel, where each step of it is proved."""
    first, second, dot = (
        sp.Add(*(e * f for e, f in zip(v, w, strict=True))) for v, w in ((a, a), (b, b), (a, b))
    )
    area = sp.Add(
        *((a[i] * b[j] - a[j] * b[i]) ** 2 for i, j in itertools.combinations(range(len(a)), 2))
    )
    if sp.expand(first * second - dot**2 - area) != 0 or not _is_proved(s):
        return None
    found = definition(derive_kernel(s).result)
    lengths = sp.sqrt(first) * sp.sqrt(second)
    put: dict[Any, Any] = {
        sp.cos(THETA): dot / lengths,
        sp.sin(THETA): sp.sqrt(area) / lengths,
        THETA: sp.atan2(sp.sqrt(area), dot),
        ALPHA: sp.sqrt(first),
        BETA: sp.sqrt(second),
    }
    return found.xreplace(put)


@functools.cache
def _is_proved(s: Activation) -> bool:
    """Whether each step of the derivation of a kernel is proved."""
    return all(step.evidence is Evidence.PROVED for step in derive_kernel(s).verify().steps)
