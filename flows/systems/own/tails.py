"""Members of an ensemble whose runs end in closed form: which ones, and where their losses go."""

from __future__ import annotations

import contextlib
import functools
from typing import Any

import numpy as np
import sympy as sp
from flint import fmpq, fmpq_mat

from flows.core.arrays import Array
from flows.core.axis_field import Code
from flows.core.balls import precision, split
from flows.systems.own.code import BITS, valued

__all__ = ["follow_tails", "squares_of"]


@functools.lru_cache(maxsize=64)
def squares_of(loss: sp.Expr) -> tuple[tuple[float, float, float], int]:
    """The constant beside a sum of squares, in two doubles with a radius, and their number.

    Squares that are sums of others, as of a trace beside those of the diagonal, do not count. Of a
    loss that is no such sum as it is written, zero and -1.

    Examples
    --------
    >>> u, v = sp.symbols("u v", real=True)
    >>> squares_of((u * v - 1) ** 2 / 2 + 3 * u**4 + 2)
    ((2.0, 0.0, 0.0), 2)
    >>> squares_of((u - v) ** 2 + (u - 1) ** 2 + (v - 1) * (2 * v - 2))
    ((0.0, 0.0, 0.0), 2)
    >>> squares_of(u**2 - v**2)
    ((0.0, 0.0, 0.0), -1)
    """
    loss = loss.xreplace({x: sp.Rational(x) for x in loss.atoms(sp.Float)})  # as doubles are
    constant, rest = loss.as_independent(*loss.free_symbols, as_Add=True)
    roots = [_root(term) for term in sp.Add.make_args(rest)]
    if not constant.is_real or None in roots:
        return (0.0, 0.0, 0.0), -1
    with precision(BITS):
        return split(valued(constant)), _independent(roots)


def _root(term: sp.Expr) -> sp.Expr | None:
    """Expression whose square is a term but for a positive number, if there is one."""
    number, factors = term.as_independent(*term.free_symbols, as_Add=False)
    powers: dict[sp.Expr, sp.Expr] = {}
    for factor in sp.Mul.make_args(factors):
        base, exponent = factor.as_base_exp()
        sums = base.as_coefficients_dict()
        leading = sums[min(sums, key=sp.default_sort_key)] if base.is_Add else sp.S.One
        base = sp.Add(*(part / leading for part in sp.Add.make_args(base)))
        powers[base] = powers.get(base, sp.S.Zero) + exponent
        number *= leading**exponent
    even = all(e.is_even and e.is_positive for e in powers.values())
    if not (even and number.is_positive):
        return None
    return sp.Mul(*(base ** (exponent / 2) for base, exponent in powers.items()))


def _independent(roots: list[sp.Expr]) -> int:
    """How many of these functions no linear combination of others is."""
    sums = [sp.expand(root).as_coefficients_dict() for root in roots]
    terms = sorted({term for each in sums for term in each}, key=sp.default_sort_key)
    if not all(c.is_Rational for each in sums for c in each.values()):
        return len(roots)
    entries = [sp.Rational(each.get(term, 0)) for each in sums for term in terms]
    matrix = fmpq_mat(len(sums), len(terms), [fmpq(int(c.p), int(c.q)) for c in entries])
    return int(matrix.rank())


def _axes(hessians: Array) -> tuple[Array, Array]:
    """Eigenvalues and axes of each matrix; NaN where LAPACK gives up."""
    try:
        return np.linalg.eigh(hessians)
    except np.linalg.LinAlgError:  # of one: the others have the same bits alone
        curvature, axes = np.full(hessians.shape[:2], np.nan), np.full(hessians.shape, np.nan)
        for k, matrix in enumerate(hessians):
            with contextlib.suppress(np.linalg.LinAlgError):
                curvature[k], axes[k] = np.linalg.eigh(matrix)
        return curvature, axes


def follow_tails(
    found: Any, times: Array, loss: sp.Expr, codes: tuple[Code, Code], serve: bool
) -> Any:
    """Fill in the ends of members, as far as closed forms tell them.

    Parameters
    ----------
    found : flows.ensembles.axis_runs.Found
        What compiled steps have found.
    times : ndarray, shape (T - 1,)
        Output times after 0.
    loss : Expr
        In the entries.
    codes : tuple of Code
        Of the loss with its gradient, and of the gradient's rates.
    serve : bool
        Whether closed forms serve, or all states are to have as many digits as they take.

    Returns
    -------
    flows.systems.own.closed_tails.Tails
        Their limits.
    """
    from flows.systems.own import closed_tails  # Numba, where it is needed

    members, every, size = found.error.shape
    found_ends = closed_tails.Tails(
        np.zeros(members, dtype=bool),
        np.full(members, every),
        np.zeros((members, 3)),
        np.zeros((members, size, 2)),
        np.zeros((members, every, 2)),
    )
    row, slopes = found.reached, np.isfinite(found.slope).all(axis=1)
    which = np.flatnonzero((row > 0) & (row < every) & slopes & serve)
    places = found.digits[which, row[which]]
    value, hessian = np.empty((len(which), 3)), np.zeros((len(which), size, size))
    since = found.since[which, row[which]]
    closed_tails.look(places, since, codes, value, hessian)
    known = np.isfinite(hessian).all(axis=(1, 2)) & np.isfinite(value).all(axis=1)
    which, value = which[known], value[known]
    curvature, axes = _axes(hessian[known])
    least, squares = squares_of(loss)
    given = which, found, times, curvature, axes, value, np.array(least), squares
    closed_tails.tails(*given, found_ends)
    return found_ends
