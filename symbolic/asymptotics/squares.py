"""Quadratic forms as sums of squares, which keep their digits where an expanded form cancels."""

from __future__ import annotations

from collections.abc import Sequence

import sympy as sp

__all__ = ["sum_of_squares"]


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
        Equal to the form.
    """
    used = [v for v in variables if form.has(v)]
    if not used or not form.is_polynomial(*used):
        return form
    poly = sp.Poly(form, *used)
    if poly.total_degree() != 2 or not poly.is_homogeneous:
        return form
    terms = []
    rest = poly
    for v in used:
        if (c := rest.coeff_monomial(v**2)) == 0:
            continue
        line = sp.cancel(sp.diff(rest.as_expr(), v) / (2 * c))
        terms.append(c * line**2)
        rest = sp.Poly(sp.expand(sp.cancel(rest.as_expr() - c * line**2)), *used)
    return sp.Add(*terms) if rest.is_zero else form
