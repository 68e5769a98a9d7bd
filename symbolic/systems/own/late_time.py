"""The late-time law of a loss of one's own, given as an expression over blocks."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import sympy as sp

from symbolic.asymptotics.derive import law_at
from symbolic.asymptotics.given import exact, flat
from symbolic.asymptotics.law import LateTimeLaw
from symbolic.asymptotics.point import Point
from symbolic.language.blocks import Block, entries
from symbolic.systems.own.loss import in_entries

__all__ = ["late_time_law", "point_of"]


def late_time_law(
    loss: Any,
    blocks: Sequence[Block],
    at: Mapping[Block, Any],
    *,
    tangents: Sequence[Mapping[Block, Any]] | None = None,
    confined: bool | None = None,
    valleys: bool | None = None,
) -> LateTimeLaw:
    r"""Derive how the gradient flow of a loss approaches one of its minimisers.

    .. math:: L - L^* \sim C \, t^{-p/(p-2)}, \qquad C = (p (p-2))^{-p/(p-2)} \ell^{-2/(p-2)}

    with the degree `p` of the leading form on the slow directions and its value `ell` at a local
    minimum on the sphere; or ``log(L - L*) ~ -2 lambda t`` where nothing is slow.

    Parameters
    ----------
    loss : Expr
        In the blocks, their entries and products, and `symbolic.Expectation`.
    blocks : sequence of Symbol or MatrixSymbol
        What the loss depends on.
    at : mapping of block to number, array or expression
        The minimiser. Decimal numbers are taken for the fractions that they are written as;
        positive symbols may stand for numbers.
    tangents : sequence of mappings, optional
        Directions of the family of minimisers: all of them, so that an empty sequence says that the
        minimiser stands alone. Without it, they are sought among the linear symmetries of the loss
        and the lines on which it is constant.
    confined : bool, optional
        Whether to derive the law on the invariant cone on which the loss's conserved quadratic
        forms have the values of the minimiser, such as balanced layers. A run that arrives is on
        it; nearby ones pass by. By default it is taken where the leading form has zeros or the
        Hessian's rank varies, if the form is positive on all of the cone.
    valleys : bool, optional
        Whether zeros of the leading form are followed along the bottom of their valley, for two
        slow variables. Which valley a run takes is not decided. By default they are followed where
        no cone is taken.

    Returns
    -------
    LateTimeLaw
        Its `laws`, one for each value of the form at its minima, each with its evidence; none and a
        `reason` where the loss or the point has no law of this kind.

    Raises
    ------
    ValueError
        For a loss or a point that holds no numbers, a point of another shape, and one that is not
        finite.

    Assumptions
    -----------
    The run converges to this minimiser, and from outside the stable leaf of a faster direction.

    Units
    -----
    ``t`` is the time of ``dy/dt = -grad L``.

    Source
    ------
    Adams & Simon 1988; Choi & Hung 2024, arXiv 2405.17510; the constants are derived here.

    Examples
    --------
    >>> y = sp.Symbol("y", real=True)
    >>> print(late_time_law(y**4 / 4, [y], {y: 0}))
    L - L* ~ 0.0625 t^-2, C = 1/16
    >>> print(late_time_law(y**4 / 4, [y], {y: 1}))
    no law: the point is not critical: the derivative by y is 1
    """
    blocks = tuple(blocks)
    point = point_of(loss, blocks, at)
    named = None
    if tangents is not None:
        columns = [sp.Matrix(flat(blocks, t)) for t in tangents]
        named = sp.ImmutableMatrix(sp.Matrix.hstack(sp.zeros(len(point.y), 0), *columns))
    return law_at(point, named, confined=confined, valleys=valleys)


def point_of(loss: Any, blocks: Sequence[Block], at: Mapping[Block, Any]) -> Point:
    """Loss at a point, in exact numbers."""
    try:
        form = in_entries(loss, blocks)
    except sp.SympifyError:
        raise ValueError(f"expected a loss in SymPy's symbols, got {loss!r}") from None
    y = tuple(s for block in blocks for s in entries(block))
    return Point(y, exact(form.plain), exact(form.integrand), form.x, tuple(flat(blocks, at)))
