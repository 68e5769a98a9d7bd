"""Changes of functions of one number beyond what is linear keep their digits."""

from __future__ import annotations

from typing import Any

import mpmath
import numpy as np
import pytest

from flows.arithmetic.kept import loop
from flows.core.rests import changed, derivative, rate_changed

#: Operations, with what they are and its derivative.
FUNCTIONS: dict[int, tuple[Any, Any]] = {
    5: (mpmath.exp, mpmath.exp),
    6: (mpmath.log, lambda x: 1 / x),
    7: (mpmath.sin, mpmath.cos),
    8: (mpmath.cos, lambda x: -mpmath.sin(x)),
    9: (mpmath.expm1, mpmath.exp),
    10: (mpmath.log1p, lambda x: 1 / (1 + x)),
}
# Rounding, of what is of second order.
ROUNDING = 3e-14


@loop
def all_of(
    operation: int, x: float, value: float, p: float, v: float, left: float, up: float
) -> Any:
    """Derivative, rest and its rate."""
    return (
        derivative(operation, x, value),
        changed(operation, x, value, p, v),
        rate_changed(operation, x, value, p + v, left, up),
    )


@pytest.mark.parametrize("size", [1e-15, 1e-9, 1e-3, 0.3])
@pytest.mark.parametrize("operation", FUNCTIONS)
def test_rests_and_their_rates_are_those_of_many_digits(operation: int, size: float) -> None:
    """Relative to the square of a change, however small; with a part a thousandth larger not."""
    function, slope = FUNCTIONS[operation]
    drawn = np.random.default_rng(operation)
    for _ in range(40):
        x = float(drawn.uniform(0.5, 3.0))
        p, v = size * float(drawn.choice([-1, 1])), size**2 * float(drawn.normal())
        left, up = float(drawn.normal()), size * float(drawn.normal())
        with mpmath.workdps(60):
            at, whole = mpmath.mpf(x), mpmath.mpf(x) + p + v
            value = function(at)
            rest = function(whole) - value - slope(at) * p
            rate = slope(whole) * (mpmath.mpf(left) + up) - slope(at) * left
            found = all_of(operation, x, float(value), p, v, left, up)
            assert abs(found[0] - slope(at)) < ROUNDING * abs(slope(at)) + 1e-16
            allowed = ROUNDING * (p * p + abs(v)), ROUNDING * (abs(p * left) + abs(up))
            assert abs(found[1] - rest) < allowed[0]
            assert abs(found[2] - rate) < allowed[1]
            off = all_of(operation, x, float(value), 1.001 * p, v, left, up)
            assert abs(off[1] - rest) > allowed[0] or abs(off[2] - rate) > allowed[1]
