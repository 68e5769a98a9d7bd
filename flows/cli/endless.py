"""A certificate's bounds for all times, as rows of a table and as JSON."""

from __future__ import annotations

from decimal import ROUND_CEILING, ROUND_FLOOR, Context
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from flows.certificates.certificate import Certificate
    from flows.certificates.continued import (
        AtZero,
        Failing,
        Falling,
        FunnelTail,
        Infinity,
        MeansTail,
        Rest,
    )
    from flows.certificates.verifier.verify import Verification

# Decimal digits of limits, and of their middles in JSON, whose radius accounts for the rounding.
DIGITS, SHOWN_DIGITS = 40, 40


def data(certificate: Certificate) -> dict[str, Any]:
    """What is proved of all times, as the interface names it."""
    from flows.certificates.continued import Failing, Falling, MeansTail, Rest
    from flows.core.balls import precision

    infinity = certificate.infinity
    assert infinity is not None
    if isinstance(infinity, Falling):
        V = infinity.potential
        return {
            "kind": "potential",
            "rate": V["rate"],
            "constant": V["constant"],
            "statement": infinity.statement or None,
            "from": certificate.t_end,
        }
    if isinstance(infinity, Failing):
        return {"kind": "failing", "floor": infinity.floor, "from": 0.0}
    with precision(certificate.precision):
        if isinstance(infinity, Rest):
            return {
                "kind": "exponential",
                "rate": infinity.rate,
                "amplitude": infinity.amplitude,
                "delay": infinity.delay,
                "limit_loss": _ball(infinity.limit_loss),
                "limit": [_ball(x) for x in infinity.limit],
                "from": certificate.t_end,
            }
        lower, upper = infinity.all_times
        if isinstance(infinity, MeansTail):
            return {
                "exponent": 2,
                "limit": _ball(infinity.constant),
                "all_times": {"lower": lower, "upper": upper},
                "from": certificate.t_end,
            }
        return {
            "exponent": 3,
            "limit": _ball(infinity.constant),
            "h": [_ball(x) for x in infinity.parts],
            "all_times": {"lower": lower, "upper": upper},
            "from": certificate.t_end,
        }


def bounds(theorem: Any) -> dict[str, Any]:
    """What the checker proved of all times, its own bounds."""
    if hasattr(theorem, "statement"):
        return {"statement": theorem.statement}
    if hasattr(theorem, "floor"):
        return {"floor": theorem.floor}
    if hasattr(theorem, "rate"):
        return {"rate": theorem.rate, "amplitude": theorem.amplitude, "delay": theorem.delay}
    power = 2 if hasattr(theorem, "constant") else 3
    found = {"exponent": power, "lower": theorem.lower, "upper": theorem.upper}
    vanished = getattr(theorem, "gone", ())
    return {**found, **({"at_zero": [zero._asdict() for zero in vanished]} if vanished else {})}


def rows(certificate: Certificate, checked: Verification | None) -> list[tuple[str, str]]:
    """Rows about all times."""
    from flows.certificates.continued import Failing, Falling, MeansTail, Rest
    from flows.core.balls import precision

    infinity, theorem = certificate.infinity, None if checked is None else checked.endless
    if infinity is None:
        return []
    if isinstance(infinity, Falling):
        return _falling(infinity, theorem)
    if isinstance(infinity, Failing):
        return _failing(infinity, theorem)
    with precision(certificate.precision):
        if isinstance(infinity, MeansTail):
            return _means(infinity, theorem)
        return _rest(infinity, theorem) if isinstance(infinity, Rest) else _power(infinity, theorem)


def _power(infinity: Infinity | FunnelTail | AtZero, theorem: Any) -> list[tuple[str, str]]:
    rows = [
        ("t^3 L ->", infinity.constant.str(DIGITS)),
        ("h ->", ", ".join(x.str(DIGITS) for x in infinity.parts)),
        ("for all t >= 0", _between(*infinity.all_times)),
    ]
    if theorem is not None:
        for vanished in theorem.gone:
            when = f"between t = {_below(vanished.first)} and {_above(vanished.last)}"
            rows.insert(0, (f"neuron {vanished.neuron + 1}", f"is at zero from a time on, {when}"))
        proved = f"{_between(theorem.lower, theorem.upper)} for all t >= 0"
        rows.append(
            ("verified theorem", f"the flow exists for all t, these limits hold, and {proved}")
        )
    return rows


def _means(infinity: MeansTail, theorem: Any) -> list[tuple[str, str]]:
    rows = [
        ("t^2 L ->", f"{infinity.constant.str(DIGITS)} = 1/(16 lambda^2)"),
        ("for all t >= 0", _between(*infinity.all_times, power=2)),
    ]
    if theorem is not None:
        proved = f"{_between(theorem.lower, theorem.upper, power=2)} for all t >= 0"
        rows.append(
            ("verified theorem", f"the flow exists for all t, this limit holds, and {proved}")
        )
    return rows


def _falling(infinity: Falling, theorem: Any) -> list[tuple[str, str]]:
    rows = [("for ever", infinity.statement or "by a potential; popflow verify says how")]
    if theorem is not None:
        rows = [("verified theorem", f"the flow exists for all t, and {theorem.statement}")]
    return rows


def _failing(infinity: Failing, theorem: Any) -> list[tuple[str, str]]:
    def text(floor: float) -> str:
        return f"L(t) >= {_below(floor)}"

    rows = [("for all t >= 0", text(infinity.floor))]
    if theorem is not None:
        proved = f"the flow exists for all t, and {text(theorem.floor)} for all t >= 0"
        rows.append(("verified theorem", f"{proved}: it never reaches the target"))
    return rows


def _rest(infinity: Rest, theorem: Any) -> list[tuple[str, str]]:
    rows = [("L -> L* in", infinity.limit_loss.str(DIGITS)), ("for all t >= 0", _decay(infinity))]
    if theorem is not None:
        near = _above(float(theorem.radius.upper()))
        proved = (
            f"the flow exists for all t and converges to a point within {near} of the centre in the"
            f" file, and {_decay(theorem)} for all t >= 0"
        )
        rows.append(("verified theorem", proved))
    return rows


def _decay(found: Any) -> str:
    later = f"(t - {_above(found.delay)})"
    return f"0 <= L(t) - L* <= {_above(found.amplitude)} e^(-{_below(found.rate)} {later})"


def _between(lower: float, upper: float, power: int = 3) -> str:
    return f"{_below(lower)} (1+t)^-{power} <= L(t) <= {_above(upper)} (1+t)^-{power}"


def _below(x: float) -> str:
    return f"{Context(prec=6, rounding=ROUND_FLOOR).create_decimal(x):g}"


def _above(x: float) -> str:
    return f"{Context(prec=6, rounding=ROUND_CEILING).create_decimal(x):g}"


def _ball(x: Any) -> dict[str, Any]:
    """Digits of the middle, and a radius about them."""
    radius = x.rad() + abs(x.mid()) * 10.0 ** (1 - SHOWN_DIGITS)
    return {"value": x.mid().str(SHOWN_DIGITS, radius=False), "radius": float(radius.upper())}
