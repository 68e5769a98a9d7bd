r"""Gaussian expectations of polynomials in activations of linear forms, in closed form.

For `u = a.x` and a function `s` whose means are ``m_k(A) = E s^{(k)}(u)``, `A = a.a`,

.. math:: E\, s(a \cdot x)\, He_\alpha(x) = a^\alpha m_{|\alpha|}(A), \qquad m_{k+2} = 2 m_k'(A),

by parts, and because the law of `u` solves the heat equation in `A`. Two activations of different
forms have the kernel that :mod:`symbolic.lemmas.dual_kernel` derives.
"""

from __future__ import annotations

import functools
import itertools
from collections.abc import Mapping, Sequence
from typing import Any

import sympy as sp
from sympy.core.function import Application

from symbolic.language.averages.expectation import mean
from symbolic.language.averages.moments import HERMITE, coefficients
from symbolic.language.expressions import as_expression
from symbolic.language.primitives import NormMinusArgDot, SafeNorm, SinMinusArgCos, definition
from symbolic.lemmas.activations import ERF, RELU, STEP, Activation, Erf, Homogeneous, product
from symbolic.lemmas.dual_kernel import ALPHA, BETA, THETA, derive_kernel
from symbolic.lemmas.ramp_mean import ramp_mean

__all__ = ["activation_mean", "applied", "kernel", "mean_of_derivative"]

A = sp.Symbol("A", positive=True)
ABS = Homogeneous("absolute value", sp.S.One, sp.S.NegativeOne)

#: Coefficients of a linear form in the Gaussian numbers.
Direction = tuple[sp.Expr, ...]


def mean_of_derivative(activation: Activation, order: int, variance: Any) -> sp.Expr:
    r"""Return `E s^{(k)}(u)` for `u ~ N(0, A)`, of a generalised derivative.

    Parameters
    ----------
    activation : Homogeneous or Erf
        The function `s`.
    order : int
        `k`.
    variance : Expr
        `A`.

    Examples
    --------
    >>> [mean_of_derivative(RELU, k, sp.S.One) for k in range(3)]
    [sqrt(2)/(2*sqrt(pi)), 1/2, sqrt(2)/(2*sqrt(pi))]
    """
    return _means(activation, order).subs(A, variance)


@functools.lru_cache(maxsize=64)
def _means(s: Activation, order: int) -> sp.Expr:
    if order > 1:
        return 2 * sp.diff(_means(s, order - 2), A)
    if isinstance(s, Erf):
        return 2 / sp.sqrt(sp.pi * (1 + 2 * A)) if order else sp.S.Zero
    # By parts once: E s'(u) = E s(sqrt(A) n) n / sqrt(A).
    power = s.degree + order
    sides = s.rise + (-1) ** power * s.fall
    half = 2 ** sp.Rational(power, 2) * sp.gamma(sp.Rational(power + 1, 2)) / (2 * sp.sqrt(sp.pi))
    return sides * half * A ** sp.Rational(s.degree - order, 2)


def kernel(activation: Activation, a: Sequence[Any], b: Sequence[Any]) -> sp.Expr:
    r"""Return `E s(a.x) s(b.x)` of two vectors that are not parallel, in their entries.

    Parameters
    ----------
    activation : Homogeneous or Erf
        The function `s`.
    a, b : sequence of Expr
        Of equal length.

    Notes
    -----
    The angle is ``atan2(S, a.b)`` with the area ``S^2 = sum_{i<j} (a_i b_j - a_j b_i)^2``; so it
    keeps its digits where `a` and `b` are nearly parallel. Of degree one, ``S - theta a.b`` is one
    function, which has two derivatives where they are exactly so.

    Examples
    --------
    >>> w = sp.symbols("w_1 w_2", real=True)
    >>> kernel(ERF, w, (1, 0))
    2*asin(2*sqrt(3)*w_1/(3*sqrt(2*w_1**2 + 2*w_2**2 + 1)))/pi
    """
    first, second, dot = (
        sp.Add(*(e * f for e, f in zip(v, w, strict=True))) for v, w in ((a, a), (b, b), (a, b))
    )
    # A dummy, so that `|a| |b| cos(theta)` is seen to be `a.b` before lengths are put in.
    inner = sp.Dummy("C")
    cosine = {sp.cos(THETA): inner / (ALPHA * BETA)}
    found = sp.expand(derive_kernel(activation).result.xreplace(cosine))
    share, crosses = found.coeff(SinMinusArgCos(THETA)), _crosses(a, b)
    angle = _plain(sp.atan2(SafeNorm(*crosses), dot))
    paired = sp.expand(share / (ALPHA * BETA)) * _plain(NormMinusArgDot(dot, *crosses))
    rest = sp.expand(found - share * SinMinusArgCos(THETA))
    lengths = {ALPHA: sp.sqrt(first), BETA: sp.sqrt(second)}
    return rest.xreplace({**lengths, inner: dot, THETA: angle}) + paired


def _plain(value: sp.Expr) -> sp.Expr:
    """A number by its definition; what moves keeps its safe primitives."""
    return value if value.free_symbols else definition(value)


def _crosses(a: Sequence[Any], b: Sequence[Any]) -> list[sp.Expr]:
    """Entries of `a b' - b a'` above the diagonal."""
    pairs = itertools.combinations(range(len(a)), 2)
    return [a[i] * b[j] - a[j] * b[i] for i, j in pairs]


def activation_mean(integrand: Any, x: Sequence[sp.Symbol]) -> sp.Expr | None:
    """Expectation of a polynomial in Gaussian numbers and in activations of their linear forms.

    Parameters
    ----------
    integrand : Expr
        In `x` and anything else. Activations are `erf(u)`, `Max(0, u)`, `Max(u, c u)`, also as
        `Piecewise((u, u > 0), (c u, True))`, `Abs(u)` and `Heaviside(u)`, of linear forms `u`
        without a constant. A product may hold one form with any power of `x`, or two different
        forms of one activation. What has kinks along affine forms, with constants and of several
        activations, is averaged by :mod:`symbolic.lemmas.ramp_mean`.
    x : sequence of Symbol
        Independent standard normal numbers, real.

    Returns
    -------
    Expr or None
        In closed form; None if the integrand is something else.

    Examples
    --------
    >>> w, x = sp.symbols("w x", real=True)
    >>> activation_mean(sp.Max(0, w * x) * x, (x,))
    w/2
    >>> activation_mean(x**3 * sp.erf(w * x), (x,))
    -4*w**3/(sqrt(pi)*(2*w**2 + 1)**(3/2)) + 6*w/(sqrt(pi)*sqrt(2*w**2 + 1))
    >>> activation_mean(sp.tanh(w * x), (x,)) is None
    True
    """
    integrand, x = as_expression(integrand), tuple(x)
    found = _by_kernels(integrand, x)
    return ramp_mean(integrand, x) if found is None else found


def _by_kernels(integrand: sp.Expr, x: tuple[sp.Symbol, ...]) -> sp.Expr | None:
    known = {e: applied(e, x) for e in integrand.atoms(Application) if e.has(*x)}
    outer = {e: s for e, s in known.items() if s is not None}
    if not outer:
        return mean(integrand, x)
    names = {e: sp.Dummy(f"s{k}", real=True) for k, e in enumerate(sorted(outer, key=str))}
    rest = integrand.xreplace(names)
    if not rest.is_polynomial(*x, *names.values()) or rest.has(*(set(known) - set(outer))):
        return None
    forms = {names[e]: form for e, form in outer.items()}
    total = []
    for powers, coefficient in sp.Poly(rest, *forms, *x).terms():
        part = _term(dict(zip(forms.values(), powers, strict=False)), powers[len(forms) :], x)
        if part is None:
            return None
        total.append(coefficient * part)
    return sp.Add(*total)


def _term(
    powers: Mapping[tuple[Activation, Direction], int], of_x: Sequence[int], x: Sequence[sp.Symbol]
) -> sp.Expr | None:
    """Mean of a product of powers of activations and of Gaussian numbers."""
    polynomial = sp.Mul(*(s**k for s, k in zip(x, of_x, strict=True)))
    by_direction: dict[Direction, list[tuple[Activation, int]]] = {}
    for (s, direction), k in powers.items():
        if k:
            by_direction.setdefault(direction, []).append((s, k))
    if not by_direction:
        return mean(polynomial, x)
    if len(by_direction) == 1:
        ((direction, factors),) = by_direction.items()
        return _of_one_form(factors, direction, polynomial, x)
    if len(by_direction) > 2 or polynomial != 1:
        return None
    (a, first), (b, second) = by_direction.items()
    if first != second or len(first) > 1:
        return None
    s, raised = first[0][0], product(first)
    # Parallel forms of an activation with a kink: the kernel has one, too.
    if raised is None or (
        isinstance(s, Homogeneous) and all(sp.expand(e) == 0 for e in _crosses(a, b))
    ):
        return None
    return kernel(raised, a, b)


def _of_one_form(
    factors: Sequence[tuple[Activation, int]],
    direction: Direction,
    polynomial: sp.Expr,
    x: Sequence[sp.Symbol],
) -> sp.Expr | None:
    if factors == [(ERF, 2)]:
        return kernel(ERF, direction, direction) if polynomial == 1 else None
    s = product(factors)
    if s is None:
        return None
    variance = sp.Add(*(e**2 for e in direction))
    terms = [
        c
        * sp.Mul(*(e**k for e, k in zip(direction, a, strict=True)))
        * mean_of_derivative(s, sum(a), variance)
        for a, c in coefficients(polynomial, tuple(x), HERMITE).items()
    ]
    return sp.Add(*terms)


def applied(e: sp.Expr, x: Sequence[sp.Symbol]) -> tuple[Activation, Direction] | None:
    """Activation and direction of a function of a linear form; None of anything else.

    Examples
    --------
    >>> x, y = sp.symbols("x y", real=True)
    >>> applied(sp.Max(0, x - 2 * y), (x, y))[1]
    (1, -2)
    """
    found: Activation
    inner, found = e.args[0], ERF
    match e:
        case sp.erf():
            pass
        case sp.Abs():
            found = ABS
        case sp.Heaviside():
            found = STEP
        case sp.Max() | sp.Min() if len(e.args) == 2:
            slopes = _slopes(e, x)
            if slopes is None:
                return None
            inner, low, high = slopes
            rise, fall = (high, low) if isinstance(e, sp.Max) else (low, high)
            found = _ramp(rise, fall)
        case sp.Piecewise() if len(e.args) == 2:
            sides = _sides(e)
            if sides is None:
                return None
            inner, rise, fall = sides
            found = _ramp(rise, fall)
        case _:
            return None
    direction = _direction(inner, x)
    return None if direction is None else (found, direction)


def _ramp(rise: sp.Expr, fall: sp.Expr) -> Activation:
    return RELU if (rise, fall) == (1, 0) else Homogeneous("leaky ReLU", rise, fall)


def _sides(e: sp.Piecewise) -> tuple[sp.Expr, sp.Expr, sp.Expr] | None:
    """Form `u`, and the slopes where it is positive and negative, of two multiples of `u`."""
    (one, condition), (other, _) = e.args
    if not isinstance(condition, (sp.Gt, sp.Ge, sp.Lt, sp.Le)):
        return None
    form = condition.gts - condition.lts
    ratios = [sp.cancel(part / form) for part in (one, other)]
    if not all(ratio.is_number and ratio.is_real for ratio in ratios):
        return None
    rise, fall = ratios
    if not rise.is_positive and fall.is_negative:
        form, rise, fall = -form, -fall, -rise
    # One form of what is the same, so that two of them are seen to be of one activation.
    return (rise * form, sp.S.One, fall / rise) if rise.is_positive else (form, rise, fall)


def _slopes(e: sp.Expr, x: Sequence[sp.Symbol]) -> tuple[sp.Expr, sp.Expr, sp.Expr] | None:
    """Form `u`, smaller and larger slope of the maximum or minimum of two multiples of `u`."""
    one, other = sorted(e.args, key=lambda a: (not a.has(*x), sp.default_sort_key(a)))
    ratio = sp.cancel(other / one)
    if not ratio.is_number or not ratio.is_real:
        return None
    low, high = sorted((sp.S.One, ratio))
    return one, low, high


def _direction(form: sp.Expr, x: Sequence[sp.Symbol]) -> Direction | None:
    slopes = tuple(sp.expand(sp.diff(form, s)) for s in x)
    if any(slope.has(*x) for slope in slopes):
        return None
    constant = form.xreplace(dict.fromkeys(x, sp.S.Zero))
    return slopes if sp.expand(constant) == 0 else None
