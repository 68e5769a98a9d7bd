"""A theorem's bound against the derived law: tight, loose by a power of time, or refuted.

Each quantity of a claim falls like a known power of time once the law holds. So does each side, and
an open constant goes on serving if and only if the sides are ordered as the claim says.

For `n` equal neurons or weights, what the start was and `d` being fixed, the constant of the law is
a power of `n`, and a bound on the loss states one too.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from fractions import Fraction
from typing import Any

import sympy as sp

from potentials.claim import Claim, Comparison
from potentials.notation import rate_symbol, symbol
from potentials.source import Source

__all__ = ["Bound", "judged", "orders"]

#: Quantities of the size of the slow variables, and those of the size of the loss.
SLOW = ("pairwise_distance", "max_norm", "z_max", "angle_max", "zeta")
LIKE_LOSS = ("loss", "fisher", "kl")
# Powers of time are compared between two times so large that nothing but the leading one counts.
EARLY, LATE = 200, 400
DIGITS = 60
# Exponents of papers are fractions with small denominators.
DENOMINATOR, RESOLUTION = 1000, 1e-9


@dataclass(frozen=True)
class Bound:
    """What the law says of a claim.

    Parameters
    ----------
    claim : str
        Its id.
    outcome : {"tight", "loose", "REFUTED"}
        Whether both sides fall with one power of time, the bound with a slower one, or the bound
        fails for every constant.
    slack : Fraction
        By which power of time the bound is loose; negative if it is refuted.
    source : Source
        Of the claim.
    claimed, derived : Fraction
        Exponents of time of the bound, and of what it bounds once the law holds.
    n_claimed, n_derived : Fraction or None
        Powers of `n` of a bound on the loss alone, and of the law's constant; None where the bound
        is about other quantities.
    """

    claim: str
    outcome: str
    slack: Fraction
    source: Source
    claimed: Fraction
    derived: Fraction
    n_claimed: Fraction | None = None
    n_derived: Fraction | None = None

    @property
    def n_slack(self) -> Fraction | None:
        """By which power of `n` the bound is loose, if it is; None where that is not known.

        An upper bound claims a larger power than the law has, a lower one a smaller power.
        """
        if self.n_claimed is None or self.n_derived is None:
            return None
        return abs(self.n_claimed - self.n_derived)

    def to_json(self) -> dict[str, Any]:
        """Return plain data."""
        return {
            "claim": self.claim,
            "outcome": self.outcome,
            "slack": str(self.slack),
            "claimed": str(self.claimed),
            "derived": str(self.derived),
            "source": str(self.source),
            "n_claimed": None if self.n_claimed is None else str(self.n_claimed),
            "n_derived": None if self.n_derived is None else str(self.n_derived),
        }


def orders(degree: sp.Rational) -> dict[str, Fraction]:
    """Exponents of time of the quantities where the leading form has this degree."""
    p = Fraction(int(degree.p), int(degree.q))
    loss, slow = -p / (p - 2), -1 / (p - 2)
    known = {name: loss for name in LIKE_LOSS} | {name: slow for name in SLOW}
    known |= {f"{name}_dot": power - 1 for name, power in known.items()}
    return {**known, "gradient_norm": (loss - 1) / 2, "t": Fraction(1)}


def judged(
    degree: sp.Rational, claims: Sequence[Claim], in_n: Fraction | None = None
) -> tuple[Bound, ...]:
    """Judge claims by the powers of time of a law; a constant that they state is not compared.

    Parameters
    ----------
    degree : Rational
        Of the leading form, which fixes the exponents.
    claims : sequence of Claim
        Those with other quantities than `orders` knows are left out.
    in_n : Fraction, optional
        Power of `n` of the law's constant.

    Returns
    -------
    tuple of Bound
        In order.
    """
    known, found = orders(degree), []
    for claim in claims:
        slacks = [_slack(c, known) for c in claim.comparisons if _decided(c, known)]
        if slacks and None not in slacks:
            slack, claimed, derived = min(s for s in slacks if s is not None)
            outcome = "tight" if slack == 0 else "loose" if slack > 0 else "REFUTED"
            n_claimed = None if in_n is None else _power_of_n(claim, known, in_n)
            n_derived = None if n_claimed is None else in_n
            powers = n_claimed, n_derived
            found.append(Bound(claim.id, outcome, slack, claim.source, claimed, derived, *powers))
    return tuple(found)


def _power_of_n(claim: Claim, known: Mapping[str, Fraction], in_n: Fraction) -> Fraction | None:
    """Power of `n` that a bound states for the loss; None of another bound, or of a refuted one."""
    for c in claim.comparisons:
        if not _decided(c, known) or c.relation not in ("<=", ">="):
            continue
        moving = {s.name for s in (c.lhs - c.rhs).free_symbols if rate_symbol(s) != 0}
        if not moving <= {"loss", "t"} or symbol("loss") in c.rhs.free_symbols:
            return None
        powers: dict[str, Any] = {"n": 1, "loss": in_n, "weight_min": -1}
        late = {symbol("t"): sp.Integer(1000)}  # other times and numbers are of order one
        left, right = (_slope(side.xreplace(late), powers) for side in (c.lhs, c.rhs))
        small = _slope(c.lhs, {"loss": -1})
        if left is None or right is None or not small:
            return None
        each = -small  # lhs ~ loss^each, so that the bound states n^(in_n + room/each) for the loss
        room = right - left
        return in_n + room / each if room * (1 if c.relation == "<=" else -1) >= 0 else None
    return None


def _decided(c: Comparison, known: Mapping[str, Fraction]) -> bool:
    """Whether a comparison is an inequality about later times and known quantities."""
    moving = {s.name for s in (c.lhs - c.rhs).free_symbols if rate_symbol(s) != 0}
    return c.relation != "==" and bool(moving) and moving <= set(known)


def _slack(c: Comparison, known: Mapping[str, Fraction]) -> tuple[Fraction, ...] | None:
    """Power of time by which there is room, and those of both sides; None if one has no power."""
    left, right = (_order(side, known) for side in (c.lhs, c.rhs))
    if left is None or right is None:
        return None
    return (right - left if c.relation == "<=" else left - right), right, left


def _order(side: sp.Expr, known: Mapping[str, Fraction]) -> Fraction | None:
    """Exponent of a side as a function of time, between two late times."""
    return _slope(side, known)


def _slope(side: sp.Expr, known: Mapping[str, Any]) -> Fraction | None:
    """Exponent of a side as a function of what has these exponents itself."""
    logs = []
    for decade in (EARLY, LATE):
        values = {}
        for s in side.free_symbols:
            power = known.get(s.name)
            rate = s.name.endswith("_dot")
            # Numbers that do not move are of order one; rates of what falls are negative.
            size = sp.Integer(10) ** sp.Rational(str((power or 0) * decade)) if power else sp.S.Half
            values[s] = -size if rate else size
        number = side.subs(values).evalf(DIGITS)
        if not number.is_number or number == 0 or not number.is_real:
            return None
        logs.append(sp.log(abs(number), 10).evalf(DIGITS))
    slope = float((logs[1] - logs[0]) / (LATE - EARLY))
    power = Fraction(slope).limit_denominator(DENOMINATOR)
    return power if abs(float(power) - slope) < RESOLUTION else None
