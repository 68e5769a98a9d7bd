"""Quadratic forms as sums of squares, which keep their digits where an expanded form cancels."""

from __future__ import annotations

from collections.abc import Sequence

import sympy as sp

from symbolic.language.elimination import eliminated

__all__ = ["sum_of_squares"]

LONG = 300


def sum_of_squares(form: sp.Expr, variables: Sequence[sp.Symbol]) -> sp.Expr:
    """Write a quadratic form as a sum of squares of linear forms; any other form as it is.

    Parameters
    ----------
    form : Expr
        A polynomial in the variables.
    variables : sequence of Symbol
        In this order they are eliminated.

    Returns
    -------
    Expr
        Equal to the form. One whose coefficients have more than `LONG` operations stays as it is:
        quotients of sums of exponentials have no short normal form.
    """
    used = [v for v in variables if form.has(v)]
    if not used or not form.is_polynomial(*used):
        return form
    poly = sp.Poly(form, *used)
    if poly.total_degree() != 2 or not poly.is_homogeneous:
        return form
    if sum(c.count_ops() for c in poly.coeffs() if not c.is_Rational) > LONG:
        return form
    terms = []
    matrix = [[sp.S.Zero] * len(used) for _ in used]
    for monomial, c in poly.terms():
        i, j = (k for k, e in enumerate(monomial) for _ in range(e))
        matrix[i][j] += c / 2
        matrix[j][i] += c / 2
    for c, line in eliminated(matrix, sp.cancel):
        if line is None:
            return form
        terms.append(c * sp.Add(*(r * u for r, u in zip(line, used, strict=True))) ** 2)
    return sp.Add(*terms)
