r"""Laws of potentials and of which starts they are true, in words, with exact numbers."""

from __future__ import annotations

from collections.abc import Sequence
from fractions import Fraction
from typing import Any

from flows.certificates.verifier.exact import Exact, constant, total
from flows.certificates.verifier.reading import require

__all__ = ["law_of", "short_path", "starts"]


def starts(kept: Sequence[str], needed: Sequence[str]) -> str:
    """Of which starts a law is true, and as long as what."""
    on = f" where {' and '.join(kept)}" if kept else ""
    return f"for every start{on}" + (f", as long as {' and '.join(needed)}" if needed else "")


def law_of(rate: Any, d: Fraction, lower: bool, time: str = "t") -> str:
    """The rate in words: of `V`, with its constant, exactly."""
    if lower and rate == "exp":
        return f"dV/dt >= -{d} V, so V(t) >= V(0) exp(-{d} t)"
    if lower:
        q, root = Fraction(rate[1], rate[0]), f"{d}" if rate[0] == 1 else f"({d})^(1/{rate[0]})"
        slope = root if q == 1 else f"{q} {root}"
        return f"V(t) >= (V(0)^(-{q}) + {slope} t)^(-{1 / q})"
    if rate == "exp":
        return f"dV/dt <= -{d} V, so V(t) <= V(0) exp(-{d} t)"
    m, k = rate
    power = Fraction(m, k)
    if m % k == 0:
        return f"V(t) <= {d * power ** int(power)} {time}^-{power}"
    return f"V(t) <= {d} ({power}/{time})^({power})"


def short_path(p: Exact, equal: bool, names: Sequence[str], rate: Any, d: Fraction) -> str:
    r"""Of which starts the path is too short to leave the ball where `p` is not negative.

    `|\nabla L|^2 = -\dot V \ge \kappa V^{1 + k/m}` with `k < m` makes it no longer than the
    integral of `(\kappa V^{1 + k/m})^{-1/2}` up to the `V` of the start: a flow that begins at less
    than the radius without it does not reach the end of the ball, where this is no longer known.
    """
    size = p.size

    def x(i: int) -> Exact:
        return Exact({tuple(int(k == i) for k in range(size)): Fraction(1)}, size)

    zero, axes = (0,) * size, [next(iter(x(i).terms)) for i in range(size - 1)]
    weights = [-p.terms.get(tuple(2 * k for k in e), Fraction(0)) for e in axes]
    weight = max(weights)
    require(weight > 0, "a condition is no ball")
    off = [
        x(i) - constant(p.terms.get(e, 0) / (2 * weight), size)
        for i, e in enumerate(axes)
        if weights[i]
    ]
    square = p.terms.get(zero, 0) / weight + sum(q.terms.get(zero, 0) ** 2 for q in off)
    ball = constant(square, size) - total((q * q for q in off), size)
    require(square > 0 and ball * weight == p and not equal, "a condition is no ball")
    m, k = (1, 0) if rate == "exp" else rate
    require(k < m, "the path may have no end")
    base, power = 1 / d if rate == "exp" else d**k, f"^{m - k}" if m - k > 1 else ""
    longest = f"{Fraction(2 * m, m - k)} ({base} V{power})^(1/{2 * m})"
    return f"|({', '.join(q.text(names) for q in off)})| + {longest} < ({square})^(1/2)"
