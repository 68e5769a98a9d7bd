r"""Gaussian expectations of polynomials in ramps and steps of affine forms, in closed form.

By parts, for one form `z = a.x + b` and for two,

.. math:: E\, He_\alpha(x)\, \psi_p(z) = a^\alpha\, E\, \psi_{p - |\alpha|}(z), \qquad
   E\, He_\alpha(x)\, \psi_p(z) \psi_q(z') = \sum_\beta \binom{\alpha}{\beta} a^\beta
   a'^{\alpha - \beta}\, E\, \psi_{p - |\beta|}(z) \psi_{q - |\alpha - \beta|}(z')

with the means of :mod:`symbolic.language.averages.ramps`.
"""

from __future__ import annotations

import itertools
from collections.abc import Iterable, Mapping, Sequence

import sympy as sp

from symbolic.language.averages.expectation import mean
from symbolic.language.averages.kinks import has_kinks, kinks_of
from symbolic.language.averages.moments import HERMITE, coefficients
from symbolic.language.averages.ramps import RampMean, RampPairMean

__all__ = ["ramp_mean"]

#: Slopes and constant of an affine form.
Row = tuple[sp.Expr, ...]


def ramp_mean(integrand: sp.Expr, x: Sequence[sp.Symbol]) -> sp.Expr | None:
    """Expectation of a polynomial in Gaussian numbers, and in ramps and steps of affine forms.

    Parameters
    ----------
    integrand : Expr
        In `x` and anything else, with `Max`, `Min`, `Abs`, `sign`, `Heaviside` or `Piecewise`.
    x : sequence of Symbol
        Independent standard normal numbers, real.

    Returns
    -------
    Expr or None
        In closed form; None if the integrand is something else, or where a product has three forms
        that are not parallel with numbers as their distances.

    Examples
    --------
    >>> w, x = sp.symbols("w x", real=True)
    >>> ramp_mean(sp.Max(0, 1 - w * x), (x,))
    RampMean(1, w**2, 1)
    >>> ramp_mean(sp.sign(x) * x, (x,)).rewrite(RampMean, sp.sin)
    sqrt(2)/sqrt(pi)
    """
    x = tuple(x)
    if not has_kinks(integrand, x):
        return None
    found = kinks_of(integrand, x)
    if found is None:
        return None
    symbols = (*found.steps, *found.ramps)
    if not found.expression.is_polynomial(*symbols, *x):
        return None
    rows = [_row(form, x) for form in found.forms]
    total = []
    for powers, coefficient in sp.Poly(found.expression, *symbols, *x).terms():
        steps, ramps = powers[: len(rows)], powers[len(rows) : 2 * len(rows)]
        used = {k: r for k, (h, r) in enumerate(zip(steps, ramps, strict=True)) if h or r}
        rest = sp.Mul(*(s**k for s, k in zip(x, powers[2 * len(rows) :], strict=True)))
        part = _term({rows[k]: r for k, r in used.items()}, rest, x)
        if part is None:
            return None
        total.append(coefficient * part)
    return sp.Add(*total)


def _row(form: sp.Expr, x: Sequence[sp.Symbol]) -> Row:
    slopes = (sp.diff(form, s) for s in x)
    return (*slopes, form.xreplace(dict.fromkeys(x, sp.S.Zero)))


def _term(used: Mapping[Row, int], rest: sp.Expr, x: tuple[sp.Symbol, ...]) -> sp.Expr | None:
    """Mean of powers of ramps, of which the power 0 is a step, times a monomial in `x`."""
    if not used:
        return mean(rest, x)
    size = sp.prod(map(sp.factorial, used.values()))
    if len(used) == 1:
        (((*a, b), p),) = used.items()
        variance = _dot(a, a)
        return size * sp.Add(
            *(
                c
                * sp.Mul(*(e**k for e, k in zip(a, powers, strict=True)))
                * RampMean(b, variance, p - sum(powers))
                for powers, c in coefficients(rest, x, HERMITE).items()
            )
        )
    parallel = _are_parallel(used)
    strip = _between(used, rest, x) if parallel else None
    if strip is not None or len(used) > 2:
        return strip
    ((*a, b), p), ((*other, c), q) = used.items()
    crosses = (a[i] * other[j] - a[j] * other[i] for i, j in _pairs(len(a)))
    area = sp.S.Zero if parallel else sp.Add(*(cross**2 for cross in crosses))
    difference = [c * e - b * f for e, f in zip(a, other, strict=True)]
    law = (
        *(b, c, _dot(a, a), _dot(a, other), _dot(other, other), area),
        *(_dot(a, difference), -_dot(other, difference)),
    )
    total = []
    for powers, coefficient in coefficients(rest, x, HERMITE).items():
        for shares in itertools.product(*(range(k + 1) for k in powers)):
            ways = [
                sp.binomial(k, s) * e**s * f ** (k - s)
                for k, s, e, f in zip(powers, shares, a, other, strict=True)
            ]
            fewer = p - sum(shares), q - sum(powers) + sum(shares)
            total.append(coefficient * sp.Mul(*ways) * RampPairMean(*law, *fewer))
    return size * sp.Add(*total)


def _are_parallel(used: Mapping[Row, int]) -> bool:
    """Whether some two of the forms are."""
    return any(
        all(sp.expand(a[i] * c[j] - a[j] * c[i]) == 0 for i, j in _pairs(len(a) - 1))
        for a, c in itertools.combinations(used, 2)
    )


def _pairs(size: int) -> Iterable[tuple[int, int]]:
    return itertools.combinations(range(size), 2)


def _between(used: Mapping[Row, int], rest: sp.Expr, x: tuple[sp.Symbol, ...]) -> sp.Expr | None:
    """Mean over a strip: forms are `s (u + t)` of one form `u`, with numbers `s` and `t`."""
    first, *_ = used
    lead = next(k for k, e in enumerate(first[:-1]) if e != 0)
    above: list[sp.Expr] = []
    below: list[sp.Expr] = []
    for row, power in used.items():
        share = sp.cancel(row[lead] / first[lead])
        shift = sp.expand(row[-1] / share - first[-1]) if share.is_number else sp.nan
        same = all(sp.expand(e - share * f) == 0 for e, f in zip(row[:-1], first, strict=False))
        if not (share.is_number and shift.is_number and same):
            return None
        rest *= (_dot(row[:-1], x) + row[-1]) ** power
        (above if share > 0 else below).append(shift)
    # Where all of them are positive, `u` is above `-low` and below `-high`.
    low, high = min(above, default=None), max(below, default=None)
    if low is not None and high is not None and high >= low:
        return sp.S.Zero
    *a, b = first
    rest = sp.expand(rest)

    def beyond(shift: sp.Expr) -> sp.Expr:
        return _term({(*a, sp.expand(b + shift)): 0}, rest, x)

    whole = mean(rest, x) if low is None else beyond(low)
    return whole if high is None or whole is None else whole - beyond(high)


def _dot(a: Sequence[sp.Expr], b: Sequence[sp.Expr]) -> sp.Expr:
    return sp.Add(*(e * f for e, f in zip(a, b, strict=True)))
