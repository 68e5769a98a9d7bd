"""Functions that vanish where a loss does: the squares that it is a sum of."""

from __future__ import annotations

import math
from typing import Any

import sympy as sp
from flint import fmpq

from potentials.search.polynomials import Flow, Polynomial, fraction

__all__ = ["squared_forms", "written_squares"]


def written_squares(flow: Flow, loss: sp.Expr) -> tuple[Polynomial, ...]:
    """What a loss is written as a sum of even powers of; none where it is not.

    A constant beside them does not count.
    """
    found = []
    for term in sp.Add.make_args(loss):
        factor, power = term.as_coeff_Mul()
        if term.is_number:
            continue
        even = power.is_Pow and power.exp.is_Integer and power.exp % 2 == 0
        if not (factor > 0 and even):
            return ()
        try:
            found.append(flow.read(power.base))
        except ValueError:
            return ()
    return tuple(found)


def squared_forms(flow: Flow, p: Polynomial) -> tuple[Polynomial, ...]:
    """What a polynomial is a sum of even powers of, with positive weights; or none.

    Of degree two these are affine forms, by completing squares, one variable after the other; a
    constant beside them does not count. Else it is one power: the product of its factors.
    """
    if p.total_degree() != 2:
        weight, factors = p.factor() if p.total_degree() > 2 else (0, [])
        if not weight > 0 or any(k % 2 for _, k in factors):
            return ()
        return (math.prod((f for f, _ in factors), start=flow.constant(1)),)
    size = flow.size
    variables = [*flow.ring.gens()[:size], flow.constant(1)]
    matrix = [[_coefficient(p, i, j, size) for j in range(size + 1)] for i in range(size + 1)]
    found = []
    for k in range(size):
        pivot = matrix[k][k]
        if pivot < 0:
            return ()
        if pivot == 0:
            if any(c != 0 for c in matrix[k]):
                return ()
            continue
        row = [c / pivot for c in matrix[k]]
        found.append(
            sum((c * x for c, x in zip(row, variables, strict=True)), start=flow.constant(0))
        )
        matrix = [
            [matrix[i][j] - pivot * row[i] * row[j] for j in range(size + 1)]
            for i in range(size + 1)
        ]
    return tuple(found)


def _coefficient(p: Polynomial, i: int, j: int, size: int) -> fmpq:
    """Entry of the symmetric matrix of a quadratic in the variables and one."""
    powers = [0] * (size + 1)
    for k in (i, j):
        if k < size:
            powers[k] += 1
    value: Any = p.to_dict().get(tuple(powers), fmpq(0))
    return value if i == j else value * fraction("1/2")
