"""Means of a mixture: the loss falls at least like a power."""

from __future__ import annotations

from typing import Any

from flint import arb, fmpq

from flows.certificates.theorems.said import Enclosed, ForAllTimes, above, below, dot, said

__all__ = ["conclusions"]


def conclusions(enclosed: Enclosed) -> list[ForAllTimes]:
    """What the theorems say of a trajectory, from the time T on at which it is enclosed."""
    system: Any = enclosed.system
    t = enclosed.t_end
    weights = [fmpq(*x.as_integer_ratio()) for x in system.weights]
    norms = sum((dot(row, row) for row in enclosed.state(t)), arb(0))
    cap, least = norms.exp() * (system.d + 4 * norms), arb(min(weights))
    lines = [
        ("the weights, as doubles, add up to one exactly", sum(weights, fmpq(0)) == 1),
        ("not all means are at the optimum at T", bool(norms > 0)),
    ]
    rate = below(2 * least * least * norms / cap)
    says = f"L(t) <= {above(norms / 2)}/(1 + {rate} (t - T)) for all t >= T"
    return [said("loss_upper", enclosed, lines, says)]
