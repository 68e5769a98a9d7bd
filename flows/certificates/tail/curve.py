"""A cubic in log-time, and what the verifier says of it; see ``verifier/cubic.py``."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

import numpy as np
from flint import arb

from flows.certificates.tail.box import UNIT
from flows.certificates.tail.late_flow import LateFlow, Vector, helmert
from flows.certificates.verifier import cubic
from flows.certificates.verifier.reading import Refused
from flows.core.balls import Singular

Ball = Any  # flint.arb


class Curve(NamedTuple):
    """A cubic in ``v``, ``-1 <= v <= 1``; log-time is ``half v``."""

    rows: list[Vector]
    half: Ball

    @classmethod
    def of(cls, rows: Sequence[Sequence[int]], length: float, bits: int) -> Curve:
        """From its exact coefficients."""
        return cls([[arb((c, -bits)) for c in row] for row in rows], arb(length) / 2)

    def at(self, sign: int) -> Vector:
        """Its begin (-1) or end (1)."""
        return [b[0] + sign * b[1] + b[2] + sign * b[3] for b in self.rows]

    def box(self) -> Vector:
        """All values."""
        return [b[0] + b[2] / 2 + UNIT * (abs(b[1]) + abs(b[2]) / 2 + abs(b[3])) for b in self.rows]

    def middle(self) -> Vector:
        """Value in the middle."""
        return [b[0] for b in self.rows]

    def parts(self, n: int) -> list[Any]:
        """Coefficients, one matrix of shapes of ``n`` neurons for each power."""
        return [np.array(x).reshape(n - 1, -1) for x in zip(*self.rows, strict=True)]


def resting(flow: LateFlow, c: Sequence[Ball], g: Sequence[Ball]) -> Vector:
    """``F`` of the limiting flow at a shape, for all parts along the teacher in a box."""
    basis, h = _heights(flow, g, arb(0))
    return _asked(cubic.field, np.array(c).reshape(flow.n - 1, -1), basis, h, arb(0))


def off(
    flow: LateFlow, g: Sequence[Ball], curve: Curve, r0: Ball = 0, clock: Ball | None = None
) -> Ball:
    """Bound of ``|p' - F(p)|`` on a cubic, of the limiting flow, or for all clocks of a ball."""
    basis, h = _heights(flow, g, arb(r0))
    late = arb(0) if clock is None else clock
    return _asked(
        cubic.off, lambda c: cubic.field(c, basis, h, late), curve.parts(flow.n), curve.half
    )


def _heights(flow: LateFlow, g: Sequence[Ball], r0: Ball) -> tuple[Any, Any]:
    """Orthonormal columns of what sums to zero, and the parts of neurons along the teacher."""
    basis: Any = np.array(helmert(flow.n)).T
    return basis, basis @ np.array(g) + (1 + r0) / flow.n


def _asked(of: Callable[..., Any], *given: Any) -> Any:
    try:
        return of(*given)
    except Refused as reason:
        raise Singular(str(reason)) from None
