r"""Real layers that never reach the target: their product stays singular, or on the wrong side.

Layers that balance exactly, ``W_j W_j^T = W_{j+1}^T W_{j+1}``, do so for ever, and ``W_{j+1} = O
W_j^T`` with an orthogonal ``O``. So ``W_j`` is a factor of ``A_j^T``, or of ``B_j^T`` for the last
layer, in ``W_j' = A_j^T (S - W) B_j^T``, and

    (det W_j)'  =  tr(adj(W_j) W_j')  =  det W_j  times what is bounded on every span of time.

A determinant that is zero stays so, and no other one changes its sign. If ``det W det S <= 0``, a
singular matrix lies between ``W`` and ``S``, and ``L >= |S - W|^2/2 >= sigma_min(S)^2/2``.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from itertools import pairwise
from typing import Any

from flint import fmpq, fmpq_mat

from flows.certificates.bounds import is_positive
from flows.certificates.rest.balls import less

#: What is stated of the least eigenvalue: its double, less this part of it.
ROOM = 2.0**-30


@dataclass(frozen=True)
class Failing:
    """``L(t) >= floor`` for all ``t >= 0``.

    Parameters
    ----------
    floor : float
        This bound.
    """

    floor: float

    def to_json(self) -> dict[str, Any]:
        """Return what the file holds."""
        return {"kind": "failing", "floor": self.floor.hex()}

    @classmethod
    def from_json(cls, data: Any, bits: int) -> Failing:
        """Read what :meth:`to_json` wrote; nothing is checked but its form."""
        return cls(float.fromhex(data["floor"]))


def failing(flow: Any) -> Failing | None:
    """What is proved of layers from their start alone, if they fail.

    Parameters
    ----------
    flow : BallFlow
        With its start, whose numbers are taken as exact.
    """
    if flow.form != "layers" or flow.is_complex:
        return None
    layers = [fmpq_mat([[_exact(x) for x in row] for row in w]) for w in flow.rows(flow.start)]
    for low, high in pairwise(layers):
        if low * low.transpose() != high.transpose() * high:
            return None
    target = fmpq_mat([[_exact(x) for x in row] for row in flow.target.tolist()])
    if math.prod((w.det() for w in layers), start=target.det()) > 0:
        return None
    floor = float(flow.system.parameters["sigma_min"]) ** 2 / 2 * (1 - ROOM)
    square = flow.target.transpose() * flow.target
    return Failing(floor) if floor > 0 and is_positive(less(square, 2 * floor)) else None


def _exact(x: Any) -> fmpq:
    """The number that a ball without radius is."""
    man, exponent = x.mid().man_exp()
    return fmpq(man) * fmpq(2) ** int(exponent)
