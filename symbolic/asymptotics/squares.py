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
    n, terms = len(used), []
    rest = [[sp.S.Zero] * n for _ in used]
    for monomial, c in poly.terms():
        i, j = (k for k, e in enumerate(monomial) for _ in range(e))
        rest[i][j] += c / 2
        rest[j][i] += c / 2
    for k in range(n):
        if (c := rest[k][k]) == 0:
            continue
        ratios = [sp.cancel(e / c) for e in rest[k]]
        line = sp.Add(*(r * u for r, u in zip(ratios, used, strict=True)))
        terms.append(c * line**2)
        rest = [
            [sp.cancel(rest[i][j] - c * ratios[i] * ratios[j]) for j in range(n)] for i in range(n)
        ]
    return form if any(e != 0 for row in rest for e in row) else sp.Add(*terms)
