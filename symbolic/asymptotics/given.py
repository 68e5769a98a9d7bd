"""A minimiser as it is given, in exact numbers."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import sympy as sp

from symbolic.language.blocks import Block, entries
from symbolic.language.expressions import as_expression

__all__ = ["exact", "flat"]


def exact(e: sp.Expr) -> sp.Expr:
    """Decimal numbers as fractions."""
    return e.xreplace({f: sp.Rational(str(f)) for f in e.atoms(sp.Float)})


def flat(blocks: Sequence[Block], at: Mapping[Block, Any]) -> list[sp.Expr]:
    """Exact entries of a point, block by block and row by row.

    Raises
    ------
    ValueError
        For other names, another shape, and what is no finite real number.
    """
    if not isinstance(at, Mapping):
        raise ValueError(f"expected values by block, such as {{x: 0}}, got {type(at).__name__}")
    known = {str(getattr(b, "name", b)): v for b, v in at.items()}
    names = [str(block.name) for block in blocks]
    if set(known) != set(names):
        raise ValueError(f"expected values of {', '.join(names)}, got {', '.join(known)}")
    found: list[sp.Expr] = []
    for block in blocks:
        value = known[str(block.name)]
        array = np.array(
            value.tolist() if isinstance(value, sp.MatrixBase) else value, dtype=object
        )
        size = len(entries(block))
        shape = () if isinstance(block, sp.Symbol) else tuple(int(k) for k in block.shape)
        if array.size != size or (array.ndim > 1 and array.shape != shape):
            raise ValueError(f"block {block.name} must have shape {shape}, got {array.shape}")
        found += [_number(v) for v in array.ravel().tolist()]
    return found


def _number(value: Any) -> sp.Expr:
    if isinstance(value, float):
        if not math.isfinite(value):
            raise ValueError(f"a minimiser must be finite, got {value}")
        return sp.Rational(repr(value))
    try:
        expression = as_expression(value)
    except sp.SympifyError:
        expression = None
    if not isinstance(expression, sp.Expr):
        raise ValueError(f"a minimiser must hold real numbers, got {value!r}")
    if expression.has(sp.nan, sp.oo, -sp.oo, sp.zoo, sp.I):
        raise ValueError(f"a minimiser must be finite and real, got {value}")
    return exact(expression)
