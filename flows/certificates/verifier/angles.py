"""Areas and angles of vectors in balls."""

from typing import Any

from flint import acb, arb

from flows.certificates.verifier.boundary import wedge
from flows.certificates.verifier.reading import require


def area(a: Any, b: Any) -> Any:
    """Area of two vectors, signed in the plane; a complex one only where it is analytic."""
    minors = wedge(a, b)
    if len(minors) == 1:
        return minors[0]
    square = sum((x * x for x in minors[1:]), minors[0] * minors[0])
    require(not isinstance(square, acb) or square.real > 0, "the field may not be analytic")
    return square.sqrt() if isinstance(square, acb) else square.nonnegative_part().sqrt()


def angle(area: arb, dot: arb) -> arb:
    """Real angle of a sine and a cosine, by the acute one: no ball about pi reaches the cut."""
    return arb.atan2(area, dot) if dot.mid() >= 0 else arb.pi() - arb.atan2(area, -dot)
