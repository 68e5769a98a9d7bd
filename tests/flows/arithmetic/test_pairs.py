"""Pairs of doubles hold what rounding loses, alone and in every lane."""

from __future__ import annotations

import math
from fractions import Fraction
from typing import Any

import mpmath
import numpy as np
import pytest

from flows.arithmetic.kept import loop
from flows.arithmetic.pairs import (
    add,
    divided,
    exponential,
    gather,
    joined,
    logarithm,
    multiply,
    product,
    sine,
)
from flows.arithmetic.vectors import WIDTH, load, spread, store

# Two doubles hold a sum of a few products to this part of the largest one.
BOTH = 2.0**-98
# Relative errors, in the square of `u = 2^-53`, and a little for its cube: 3 of a sum, 5 of a
# product, 15 of a quotient.
PROVED_SUM, PROVED_PRODUCT, PROVED_QUOTIENT = (k * 2.0**-106 for k in (4, 6, 16))


@loop
def multiplied(x: Any, y: Any, found: Any) -> None:
    """Products, and what rounding them loses."""
    high, low = product(load(x, 0), load(y, 0))
    store(found, 0, high)
    store(found, 1, low)


@loop
def summed(x: Any, y: Any, found: Any) -> None:
    """Sums of products of pairs (K, 2, lanes), in rows."""
    high, low = spread(0.0), spread(0.0)
    for k in range(len(x)):
        one, other = load(x, 2 * k), load(x, 2 * k + 1)
        high, low = gather(high, low, one, other, load(y, 2 * k), load(y, 2 * k + 1))
    high, low = joined(high, low)
    store(found, 0, high)
    store(found, 1, low)


@loop
def all_of(x: Any, y: Any, found: Any) -> None:
    """Sum, product and quotient of pairs (2, lanes), in rows."""
    a, b, c, d = load(x, 0), load(x, 1), load(y, 0), load(y, 1)
    for k, pair in enumerate((add(a, b, c, d), multiply(a, b, c, d), divided(a, b, c, d))):
        store(found, 2 * k, pair[0])
        store(found, 2 * k + 1, pair[1])


@loop
def alone(a: float, b: float, c: float, d: float) -> Any:
    """The same of one pair of pairs."""
    return add(a, b, c, d), multiply(a, b, c, d), divided(a, b, c, d)


def exact(high: float, low: float = 0.0) -> Fraction:
    """The number that a pair is."""
    return Fraction(float(high)) + Fraction(float(low))


def test_products_are_exact() -> None:
    """The first double alone is not, as a control."""
    x, y = np.random.default_rng(0).normal(size=(2, WIDTH))
    found = np.zeros((2, WIDTH))
    multiplied(x, y, found)
    for e in range(WIDTH):
        assert exact(found[0, e], found[1, e]) == exact(x[e]) * exact(y[e])
        assert found[0, e] == x[e] * y[e] and found[1, e] != 0.0


def test_sums_of_products_of_pairs_have_the_digits_of_pairs() -> None:
    """Also where they cancel to their last digits; without low doubles they have fewer."""
    generator = np.random.default_rng(1)
    x, y = generator.normal(size=(2, 5, 2, WIDTH))
    x[:, 1] *= 2.0**-54
    y[:, 1] *= 2.0**-54
    x[4], y[4] = -x[3], y[3] * np.array([[1 + 2.0**-50], [1.0]])
    found = np.zeros((2, WIDTH))
    summed(x, y, found)
    for e in range(WIDTH):
        terms = [exact(*a) * exact(*b) for a, b in zip(x[:, :, e], y[:, :, e], strict=True)]
        largest, plain = max(abs(t) for t in terms), float(np.sum(x[:, 0, e] * y[:, 0, e]))
        assert abs(exact(found[0, e], found[1, e]) - sum(terms)) <= BOTH * largest
        assert abs(exact(plain) - sum(terms)) > 1e3 * BOTH * largest
        assert found[0, e] == found[0, e] + found[1, e]


def test_sums_products_and_quotients_have_the_digits_of_pairs_alone_and_in_lanes() -> None:
    """Where high doubles cancel, too; lanes have the bits of pairs alone.

    Errors are those that are proved; a last bit of a low double is more, as a control.
    """
    generator = np.random.default_rng(2)
    x, y = generator.uniform(0.1, 1, size=(2, 2, WIDTH))
    y[0, ::2] = -x[0, ::2] * (1 + 2.0**-50)
    x[1] *= 2.0**-54 * x[0]
    y[1] *= -(2.0**-54) * y[0]
    found = np.zeros((6, WIDTH))
    all_of(x, y, found)
    for e in range(WIDTH):
        given = *x[:, e], *y[:, e]
        single = np.ravel(alone(*given))
        assert found[:, e].tolist() == single.tolist()
        p, q = exact(*given[:2]), exact(*given[2:])
        truth = p + q, p * q, p / q
        for k, bound in enumerate((PROVED_SUM, PROVED_PRODUCT, PROVED_QUOTIENT)):
            pair = single[2 * k], single[2 * k + 1]
            assert abs(exact(*pair) - truth[k]) <= bound * abs(truth[k])
            off = exact(pair[0] * (1 + 2.0**-52), pair[1])
            assert abs(off - truth[k]) > bound * abs(truth[k])


#: Of functions: themselves, what they are, how large arguments or their logarithms may be, and by
#: which number their errors are measured, where `y` is the value at `x`.
FUNCTIONS: dict[str, tuple[Any, Any, float, Any]] = {
    "exp": (lambda a, b: exponential(a, b, 0.0), mpmath.exp, 600.0, lambda x, y: abs(y)),
    "exp less one": (lambda a, b: exponential(a, b, 1.0), mpmath.expm1, 600.0, lambda x, y: abs(y)),
    "log of one more": (
        lambda a, b: logarithm(math.log1p(abs(a)), abs(a), math.copysign(b, a * b), 1.0),
        lambda x: mpmath.log1p(abs(x)),
        600.0,
        lambda x, y: abs(y),
    ),
    "log below one": (
        lambda a, b: logarithm(math.log1p(a), a, b, 1.0),
        mpmath.log1p,
        0.99,
        lambda x, y: abs(y),
    ),
    "log": (
        lambda a, b: logarithm(math.log(math.exp(a)), math.exp(a), b * math.exp(a), 0.0),
        lambda x: mpmath.log(mpmath.mpf(math.exp(x[0])) + x[1] * math.exp(x[0])),
        600.0,
        lambda x, y: 1 + abs(y),
    ),
    "sin": (
        lambda a, b: sine(a, b, 0),
        mpmath.sin,
        1e6,
        lambda x, y: abs(y) if abs(x) < 0.5 else 1,
    ),
    "cos": (lambda a, b: sine(a, b, 1), mpmath.cos, 1e6, lambda x, y: 1),
}
# Errors of functions that are seen are 2^-104; balls allow 2^-100 and more. Many digits.
SEEN, DIGITS = 2.0**-102, 90


@pytest.mark.parametrize("name", FUNCTIONS)
def test_functions_of_pairs_have_their_digits(name: str) -> None:
    """Of small and large arguments; the low double of an argument is not left out, as a control."""
    function, exact_one, most, size = FUNCTIONS[name]
    generator = np.random.default_rng(3)
    missed = 0
    for _ in range(400):
        a = float(generator.choice([-1, 1]) * most * 10 ** -generator.uniform(0, 12))
        b = a * 2.0**-54 * generator.uniform(-1, 1)
        high, low = function(a, b)
        with mpmath.workdps(DIGITS):
            x = (a, mpmath.mpf(b)) if name == "log" else mpmath.mpf(a) + b
            true = exact_one(x)
            allowed = SEEN * size(a, true)
            assert abs(mpmath.mpf(high) + low - true) <= allowed
            missed += abs(mpmath.mpf(function(a, 0.0)[0]) + function(a, 0.0)[1] - true) > allowed
    assert missed > 100
