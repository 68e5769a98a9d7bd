"""Rates along many directions at once, in two doubles, are those of the loss."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import sympy as sp
from mpmath import mp

import flows
from flows.arithmetic.kept import loop
from flows.core.rates_along import summed, twofold_rates

u, v, w = sp.symbols("u v w")
Y = (u, v, w)
# Sums, products, quotients and roots.
LOSS = u**4 / (2 + v**2) + (u * v - 1) ** 2 / sp.sqrt(1 + w**2) + (u * w**2 - v) ** 2
SYSTEM = flows.OwnSystem("three", Y, LOSS)
# Two doubles hold 32 digits, of which these few steps lose one or two.
DIGITS = 1e-29


@loop
def rates_of(place: Any, along: Any, code: Any) -> Any:
    """Registers along directions."""
    return twofold_rates(place, along, code.operation, code.operands, code.constants)


@loop
def summed_of(weights: Any, r: Any, results: Any) -> Any:
    """Sums of results by all columns of weights."""
    found = np.zeros((weights.shape[1], 2, r.shape[2]))
    for k in range(len(found)):
        summed(weights, k, r, results, found[k])
    return found


def exact(pairs: Any) -> Any:
    """Numbers that pairs are, the last axis."""
    flat = pairs.reshape(-1, 2)
    found = [mp.mpf(float(a)) + mp.mpf(float(b)) for a, b in flat]
    return np.array(found, dtype=object).reshape(pairs.shape[:-1])


def hessian_at(place: Any) -> Any:
    """The Hessian with 60 digits."""
    known = dict(zip(Y, [sp.Float(str(x), 60) for x in place], strict=True))
    rows = sp.hessian(LOSS, Y).subs(known).evalf(60).tolist()
    return np.array([[mp.mpf(str(x)) for x in row] for row in rows])


@pytest.mark.parametrize("count", [1, 16, 17])
def test_rates_along_directions_have_the_digits_of_two_doubles(count: int) -> None:
    """As many as vectors hold, fewer and more; without low doubles they have fewer."""
    generator = np.random.default_rng(count)
    place, along = generator.normal(size=(3, 2)), generator.normal(size=(3, count, 2))
    place[:, 1] *= 2.0**-54
    along[:, :, 1] *= 2.0**-54
    code = SYSTEM.axis_codes()[2]
    with mp.workdps(60):
        wanted = hessian_at(exact(place)) @ exact(along)
        r = rates_of(place, along, code)
        found = exact(np.moveaxis(r[code.results][:, :, :count], 1, -1))
        rough = exact(np.moveaxis(rates_of(place, along * [1, 0], code)[code.results], 1, -1))
        size = max(abs(x) for x in wanted.ravel())
        assert max(abs(x) for x in (found - wanted).ravel()) <= DIGITS * size
        assert max(abs(x) for x in (rough[:, :count] - wanted).ravel()) > 1e3 * DIGITS * size
        both = exact(np.moveaxis(summed_of(along, r, code.results)[:, :, :count], 1, -1))
        sums = exact(along).T @ wanted
        assert max(abs(x) for x in (both - sums).ravel()) <= DIGITS * size * 10
