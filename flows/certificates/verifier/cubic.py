r"""A cubic in log-time, and how far it is from the flow of shapes between its ends.

Along a cubic ``p(v)``, ``|v| <= 1``, the defect ``D = p' - F(p)`` has a Taylor series about the
middle. With its ``K``-th coefficient at every point of ``[-1, 1]``, enclosed at once,

    |D|  <=  sum_(k < K) |D_k|  +  sup |D_K|.

``K`` is :data:`ORDER`, and two where a difference of neurons may vanish, as ``|d| d`` is of the
field: see :func:`flows.certificates.verifier.late_flow.stretched`.
"""

from collections.abc import Callable
from typing import Any

import numpy as np
from flint import arb, arb_series

from flows.certificates.verifier.curve import UNIT, norm
from flows.certificates.verifier.late_flow import ORDER, attraction, dot


def field(c: Any, basis: Any, h: Any, clock: arb) -> list[Any]:
    """``F`` with ``a = 0``, at shapes or along series of them, flattened."""
    y = [[dot(row, column) for column in zip(*c, strict=True)] for row in basis]
    b = [*zip(*attraction(y, h, clock), strict=True)]
    return [
        z - dot(column, b[j])
        for column, row in zip(basis.T, c, strict=True)
        for j, z in enumerate(row)
    ]


def off(flow: Callable[[Any], list[Any]], b: Any, half: arb) -> arb:
    """Bound ``|p' - F(p)|``, of ``p`` in powers of ``v``; log-time is ``half v``."""
    taylor = []
    for v in (arb(0), UNIT):
        u = arb_series([v, 1], ORDER + 2)
        powers = arb(1), u, u * u, u * u * u
        p = [[dot(z, powers) for z in zip(*rows, strict=True)] for rows in zip(*b, strict=True)]
        slopes = [z.derivative() / half for row in p for z in row]
        taylor.append([z - f for z, f in zip(slopes, flow(p), strict=True)])
    order = min(ORDER, *(z.prec - 1 for z in taylor[1]))
    sizes = (norm(np.array([z[k] for z in taylor[k == order]])) for k in range(order + 1))
    return sum(sizes, arb(0))
