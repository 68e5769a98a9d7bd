r"""Sums of squares: an expression that shows that a polynomial does not change its sign.

.. math:: p = c \prod_i f_i^{2 k_i} \prod_j \sum_k d_{jk} q_{jk}^2, \qquad d_{jk} > 0

Each factor that stands to an odd power is written as a sum of squares, by
:mod:`symbolic.evidence.gram`. The result is exact, or a reason.
"""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from fractions import Fraction

import numpy as np
import scipy.optimize
import sympy as sp
from numpy.typing import NDArray

from symbolic.evidence.gram import Polynomial, Powers, gram_squares, product

__all__ = ["as_squares", "lowest"]

Array = NDArray[np.float64]

#: Largest degree, number of variables, and number of monomials of `z`.
MOST_DEGREE, MOST_VARIABLES, MOST_MONOMIALS = 12, 8, 60
#: Points at which both signs are looked for, and starts of a search for the lowest value.
POINTS, STARTS, SEED = 2000, 12, 7
#: A value is below zero if it is so far below the sum of the sizes of its terms.
BELOW = 1e-12


def as_squares(expression: sp.Expr) -> sp.Expr | str:
    """Write a polynomial as a product of even powers and of sums of squares, or say why not.

    Parameters
    ----------
    expression : Expr
        A polynomial in real symbols with rational coefficients.

    Returns
    -------
    Expr or str
        Equal to the polynomial, exactly: a number times even powers times sums of positive
        multiples of squares; or a reason. A polynomial may be positive and no sum of squares, as
        Motzkin's.

    Notes
    -----
    Source: Powers & Wörmann 1998 (Gram matrices); Reznick 1978 (half the Newton polytope);
    Peyrl & Parrilo 2008 (rounding); Permenter & Parrilo 2018 (faces).

    Examples
    --------
    >>> x, y = sp.symbols("x y", real=True)
    >>> as_squares(x**4 - 2 * x * y + y**2 + x**2)
    x**4 + (-x + y)**2
    >>> as_squares(x**4 * y**2 + x**2 * y**4 - 3 * x**2 * y**2 + 1)
    'no Gram matrix is found'
    """
    symbols = sorted(expression.free_symbols, key=str)
    if not symbols or not expression.is_polynomial(*symbols):
        return "it is no polynomial"
    factor, parts = sp.factor_list(expression, *symbols)
    domain = sp.Poly(expression, *symbols).domain
    if not (domain.is_ZZ or domain.is_QQ):
        return "its coefficients are not rational"
    even = sp.Mul(*(part ** (power - power % 2) for part, power in parts))
    odd = [part for part, power in parts if power % 2]
    # Factors first, which are smaller; a product may be a sum of squares where a factor is none.
    found: list[tuple[int, sp.Expr] | str] = []
    for attempt in (odd, [sp.expand(sp.Mul(*odd))]):
        found = [_sum(sp.Poly(part, *sorted(part.free_symbols, key=str))) for part in attempt]
        sums = [one for one in found if not isinstance(one, str)]
        if len(sums) == len(found):
            sign = sp.prod([sign for sign, _ in sums])
            return sp.Mul(factor * sign, even, *(squares for _, squares in sums))
        if len(odd) == 1:
            break
    return next(one for one in found if isinstance(one, str))


def lowest(expression: sp.Expr) -> dict[sp.Symbol, float] | None:
    """Point at which a polynomial is below zero, by a search in doubles; None if none is found."""
    symbols = sorted(expression.free_symbols, key=str)
    poly = sp.Poly(expression, *symbols)
    powers, coefficients = _arrays(poly)
    slopes = [_arrays(poly.diff(s)) for s in symbols]
    generator = np.random.default_rng(SEED)

    def value(y: Array) -> float:
        return float(np.prod(y**powers, axis=1) @ coefficients)

    def slope(y: Array) -> Array:
        return np.array([np.prod(y**e, axis=1) @ c if len(c) else 0.0 for e, c in slopes])

    for _ in range(STARTS):
        y = generator.normal(size=len(symbols)) * 2.0 ** generator.integers(-2, 3)
        with np.errstate(all="ignore"):
            found = scipy.optimize.minimize(value, y, jac=slope, method="BFGS").x
            size = np.abs(np.prod(found**powers, axis=1)) @ np.abs(coefficients)
            if np.isfinite(size) and value(found) < -BELOW * size:
                return dict(zip(symbols, found.tolist(), strict=True))
    return None


def _arrays(poly: sp.Poly) -> tuple[NDArray[np.int64], Array]:
    terms = [(powers, c) for powers, c in poly.terms() if c != 0]
    shape = (len(terms), len(poly.gens))
    return (
        np.array([powers for powers, _ in terms], dtype=np.int64).reshape(shape),
        np.array([float(c) for _, c in terms]),
    )


def _sum(poly: sp.Poly) -> tuple[int, sp.Expr] | str:
    """Sign of a polynomial without square factors, and its size as a sum of squares."""
    powers, coefficients = _arrays(poly)
    points = np.random.default_rng(SEED).normal(size=(POINTS, len(poly.gens)))
    values = np.prod(points[:, None] ** powers, axis=2) @ coefficients
    if values.min() < 0 < values.max():
        return "it takes both signs"
    sign = 1 if values.max() > 0 else -1
    if len(poly.gens) > MOST_VARIABLES or poly.total_degree() > MOST_DEGREE:
        return f"its degree or number of variables is above {MOST_DEGREE}, {MOST_VARIABLES}"
    wanted = {e: Fraction(sign * int(c.p), int(c.q)) for e, c in poly.terms()}
    blocks = _monomials(wanted)
    if sum(map(len, blocks)) > MOST_MONOMIALS:
        return f"a sum of squares would have more than {MOST_MONOMIALS} monomials"
    squares = gram_squares(wanted, [[{e: Fraction(1)} for e in block] for block in blocks])
    if squares is None:
        return "no Gram matrix is found"
    total = sp.Add(*(_number(d) * _expression(q, poly.gens) ** 2 for d, q in squares))
    assert sp.Poly(total, *poly.gens) == sign * poly  # by construction
    return sign, total


def _number(c: Fraction) -> sp.Rational:
    return sp.Rational(c.numerator, c.denominator)


def _expression(q: Polynomial, gens: Sequence[sp.Symbol]) -> sp.Expr:
    monomials = (sp.Mul(*(s**k for s, k in zip(gens, e, strict=True))) for e in q)
    return sp.Add(*(_number(c) * m for c, m in zip(q.values(), monomials, strict=True)))


# Monomials -------------------------------------------------------------------------------


def _monomials(wanted: Polynomial) -> list[list[Powers]]:
    """Monomials of half the Newton polytope, in blocks that changes of signs separate."""
    support = np.array(list(wanted), dtype=float)
    high = [int(k) // 2 for k in support.max(axis=0)]
    degrees = support.sum(axis=1) / 2
    box = itertools.product(*(range(k + 1) for k in high))
    inside = [e for e in box if degrees.min() <= sum(e) <= degrees.max() and _within(e, support)]
    # A square that nothing else can make stands in the polynomial, or its monomial in no square.
    while True:
        made = [product(a, b) for a, b in itertools.combinations(inside, 2)]
        kept = [e for e in inside if product(e, e) in wanted or product(e, e) in made]
        if len(kept) == len(inside):
            break
        inside = kept
    changes = [
        c
        for c in itertools.product((0, 1), repeat=len(high))
        if all(np.dot(c, e) % 2 == 0 for e in wanted)
    ]
    blocks: dict[tuple[int, ...], list[Powers]] = {}
    for e in inside:
        blocks.setdefault(tuple(int(np.dot(c, e)) % 2 for c in changes), []).append(e)
    return list(blocks.values())


def _within(e: Powers, support: Array) -> bool:
    """Whether twice an exponent is a mean of exponents."""
    if tuple(2 * k for k in e) in set(map(tuple, support.astype(int).tolist())):
        return True
    lines = np.vstack([support.T, np.ones(len(support))])
    target = np.append(2.0 * np.array(e), 1.0)
    found = scipy.optimize.linprog(np.zeros(len(support)), A_eq=lines, b_eq=target)
    return bool(found.status == 0)
