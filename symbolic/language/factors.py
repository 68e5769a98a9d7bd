"""Factors of polynomials with rational coefficients, by FLINT.

SymPy's own algorithm tries random points: of one polynomial of twelve variables it takes a second
or two minutes.
"""

from __future__ import annotations

import sympy as sp
from flint import fmpq, fmpq_mpoly_ctx

__all__ = ["factored"]


def factored(expression: sp.Expr) -> sp.Expr:
    """Polynomial as a product of irreducible ones over the rationals; others as SymPy does it.

    Examples
    --------
    >>> x, y = sp.symbols("x y")
    >>> factored(sp.expand((x - y) ** 2 * (x * y + 1) / 2))
    (x - y)**2*(x*y + 1)/2
    """
    symbols = sorted(expression.free_symbols, key=sp.default_sort_key)
    if not symbols or not expression.is_polynomial(*symbols):
        return sp.factor(expression)
    poly = sp.Poly(expression, *symbols)
    if not (poly.domain.is_ZZ or poly.domain.is_QQ):
        return sp.factor(expression)
    ring = fmpq_mpoly_ctx.get([f"x{k}" for k in range(len(symbols))], "lex")
    terms = {m: fmpq(int(c.p), int(c.q)) for m, c in poly.terms()}
    unit, parts = ring.from_dict(terms).factor()
    constant, product = _rational(unit), sp.S.One
    for part, power in parts:
        known = {tuple(map(int, m)): _rational(c) for m, c in part.to_dict().items()}
        denominator, whole = sp.Poly(known, *symbols).clear_denoms(convert=False)
        content, whole = whole.primitive()
        sign = sp.sign(whole.LC())
        constant *= (sign * content / denominator) ** power
        product *= (sign * whole).as_expr() ** power
    if abs(constant) == 1:
        return constant * product
    # A sum would be multiplied out.
    return sp.Mul(constant, product, evaluate=not product.is_Add)


def _rational(x: fmpq) -> sp.Rational:
    return sp.Rational(int(x.p), int(x.q))
