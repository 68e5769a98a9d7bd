"""Means near the target: they stay near it."""

from __future__ import annotations

from typing import Any

from flint import arb, fmpq

from flows.certificates.decision import up
from flows.certificates.theorems.said import Enclosed, ForAllTimes, above, dot, said

__all__ = ["conclusions"]

Ball = Any  # flint.arb


def conclusions(enclosed: Enclosed) -> list[ForAllTimes]:
    """The loss is at most `max |mu_i|^2`, as the field is a mean of the `mu_i`; M is chosen.

    Nothing is said of means with noise.
    """
    system: Any = enclosed.system
    if system.noise_time:
        return []
    target = [arb(x) for x in system.target or [0.0] * system.d]
    rows = [
        [x - y for x, y in zip(row, target, strict=True)] for row in enclosed.state(enclosed.t_end)
    ]
    most = max(up(dot(row, row)) for row in rows)
    least, loss = arb(fmpq(1, system.n)), arb(most)
    sizes = [m for m in (arb(fmpq(k, 100)) for k in range(1, 401)) if m > most]

    def cap(m: Ball) -> Ball:
        return m.exp() * (system.d + 4 * m)

    small = [m for m in sizes if loss * cap(m) < (least * m) ** 2]
    radius = next(iter([*small, *sizes, arb(4)]))
    lines = [
        ("|mu_i(T)|^2 < M, for an M <= 4", bool(sizes)),
        ("L(T) < omega^2 M^2/B, as L <= max |mu_i|^2", bool(small)),
    ]
    far, squares = above(radius), above(system.n * (cap(radius) * loss).sqrt())
    from_target = "mu_i(t)" if system.target is None else "mu_i(t) - target"
    says = (f"|{from_target}|^2 < {far} for all t >= T", f"sum |{from_target}|^2 <= {squares}")
    return [
        said("means_stay", enclosed, lines, says[0]),
        said("means_small", enclosed, lines, f"{says[1]} for all t >= T"),
    ]
