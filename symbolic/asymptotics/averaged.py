r"""An expectation over one number as a sum over nodes, whose series has decimals.

.. math:: E f(x) \approx \sum_k w_k f(x_k)

By the rule of a run the sum is right to 1e-30 of the loss; what a law is read off, the Hessian and
the leading form, has the digits that separate zeros from the rest.
"""

from __future__ import annotations

from collections.abc import Sequence

import sympy as sp

from symbolic.asymptotics.decimals import DIGITS
from symbolic.asymptotics.point import Point

__all__ = ["summed"]


def summed(point: Point, nodes: Sequence[tuple[sp.Float, sp.Float]]) -> Point:
    """Loss at a point, in decimals, with its expectation over one number as a sum.

    Parameters
    ----------
    point : Point
        Its loss averages over one Gaussian number.
    nodes : sequence of pairs
        Nodes and weights.
    """
    (x,) = point.x
    parts = [weight * point.integrand.xreplace({x: node}) for node, weight in nodes]
    at = tuple(sp.Float(a, DIGITS) for a in point.at)
    return Point(point.y, sp.Add(point.plain, *parts), sp.S.Zero, (), at)
