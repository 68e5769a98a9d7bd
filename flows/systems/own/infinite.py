"""Losses that are no number at a state; expectations that are infinite, seen along lines."""

from __future__ import annotations

import functools
import itertools
from collections.abc import Callable, Iterator, Sequence
from typing import Any, NamedTuple

import numpy as np
import sympy as sp
from mpmath import mp

from flows.core.arrays import Array
from flows.systems.own.loss import Loss
from symbolic.language.lower import lower

__all__ = ["no_number", "not_finite", "not_finite_anywhere"]

DIGITS = 60
# Distances are powers of two, and at the last ones a finite expectation has an integrand that
# falls faster than their inverse, by this in the logarithm.
NEAREST, FARTHEST, LAST, FALLS = 4, 20, 3, 1e-6
# Numbers beyond this logarithm are not evaluated: they are large enough to tell.
LARGEST = 1e30
LARGEST_DOUBLE = float(np.finfo(float).max)
# Distance at which the direction of the largest growth is sought, and the number of moves.
LOOK, MOVES = 64, 6
# Poles are looked for as far as Gaussian numbers reach, between points that no pole is likely at.
POINTS = np.linspace(-8.03, 8.01, 401).tolist()
# Distances from a pole, and what its order may be short of one by rounding.
BESIDE, SHORT = (8, 12, 16), 1e-3
# A zero is bisected so often, that of a derivative with differences of this.
HALVES, MOVED = 150, 1e-20
# Sizes of the states at which the expectation is evaluated when a loss is made.
SIZES = (0.05, 0.3, 1.0)
# Functions that have a pole where another one is zero.
POLES = {
    **{sp.tan: sp.cos, sp.sec: sp.cos, sp.cot: sp.sin, sp.csc: sp.sin},
    **{sp.coth: sp.sinh, sp.csch: sp.sinh},
}

# What mpmath and SymPy raise where there is no number.
NO_VALUE = (ArithmeticError, NameError, TypeError, ValueError, NotImplementedError)


class _Line(NamedTuple):
    """Points `p + r u`."""

    start: tuple[Any, ...]
    way: tuple[Any, ...]

    def at(self, r: Any) -> list[Any]:
        return [p + r * u for p, u in zip(self.start, self.way, strict=True)]

    def along(self, f: Callable[[Sequence[Any]], Any]) -> Callable[[Any], Any]:
        """A function of `x` as one of `r`."""
        return lambda r: f(self.at(r))

    def place(self, r: Any) -> str:
        entries = [mp.nstr(mp.chop(x, MOVED), 4) for x in self.at(r)]
        return f"x = {entries[0]}" if len(entries) == 1 else f"x = ({', '.join(entries)})"


def no_number(loss: Any, y: Array) -> str:
    """Why a loss, or its gradient, is not a finite number at a state: what is wrong with it there.

    Parameters
    ----------
    loss : Loss or MatrixLoss
        The loss.
    y : ndarray, shape (N,)
        The state.
    """
    if isinstance(loss, Loss):
        if loss.averaged and (problem := not_finite(loss, y)):
            return f"is not finite at the start: {problem}"
        with mp.workdps(DIGITS):
            try:
                plain = lower([loss.form.plain], loss.y, "mpmath")
                (value,) = plain(*map(mp.mpf, y.tolist()))
            except NO_VALUE:  # a function has none there, or is not known to mpmath
                value = mp.nan
            if mp.im(value) != 0:
                return (
                    "is not a real number at the start, as a root or a logarithm of a negative"
                    " number is none"
                )
            if LARGEST_DOUBLE < abs(value) < mp.inf:
                return "is larger at the start than doubles hold"
    return "or its gradient at the start is not finite"


def not_finite_anywhere(loss: Loss) -> str:
    """Why the expectation of a loss is infinite, or not real, at each of three states; or nothing.

    Parameters
    ----------
    loss : Loss
        With an integrand.
    """
    problem = ""
    for seed, size in enumerate(SIZES):
        problem = not_finite(loss, size * np.random.default_rng(seed).normal(size=len(loss.y)))
        if not problem:
            return ""
    return problem


def not_finite(loss: Loss, y: Array) -> str:
    r"""Why the expectation of a loss is infinite, or not real, at a state; or nothing.

    .. math:: \int |f(p + r u)| e^{-|p + r u|^2/2} dr = \infty

    along a line, and so along those beside it, because of a pole of order one or more, or because
    far away the integrand does not fall faster than `1/r`. It is evaluated with 60 digits, on a few
    lines: a pole at one point of a plane, for example, is not seen.

    Parameters
    ----------
    loss : Loss
        With an integrand.
    y : ndarray, shape (N,)
        The state.
    """
    if loss.form.density is not None:  # a sum over rows is finite, or NaN where a term is
        return ""
    size = len(loss.form.x)
    with mp.workdps(DIGITS):
        entries = [mp.mpf(x) for x in y.tolist()]
        try:
            averaged, denominators = _compiled(loss)
            averaged(*entries, *[mp.mpf(0.5)] * size)
        # A function that is not known to this many digits.
        except (NameError, TypeError, AttributeError, NotImplementedError):  # as mpmath says it
            return ""

        def value(x: Sequence[Any]) -> Any:
            try:
                return _first(averaged, entries, x)
            except (ArithmeticError, ValueError):  # at a singular point
                return mp.nan

        for line in _lines(size):
            for r in (-3.1, -1.7, -0.6, 0.4, 1.6, 3.2):
                if mp.im(value(line.at(r))) != 0:
                    return (
                        f"the integrand is not a real number at {line.place(r)}; take a function"
                        " that is one for all x"
                    )
            for below in denominators:
                inner = functools.partial(_first, below, entries)
                for r in _zeros(line.along(inner)):
                    if _is_pole(line.along(value), r):
                        return (
                            "the integrand has no finite mean, as it has a pole at"
                            f" {line.place(r)}; keep its denominator from zero, as by 1 + x^2"
                        )
        for line in _steepest(value, size):
            if (r := _grows(line.along(value))) is not None:
                return (
                    "the integrand has no finite mean, as times the density of x it does not fall"
                    f" up to {line.place(r)}; average a function that grows slower than"
                    " exp(|x|^2/2)"
                )
    return ""


def _first(f: Callable[..., Any], entries: Sequence[Any], x: Sequence[Any]) -> Any:
    return f(*entries, *x)[0]


@functools.lru_cache(maxsize=16)
def _compiled(loss: Loss) -> tuple[Callable[..., Any], list[Callable[..., Any]]]:
    """The integrand and its denominators."""
    integrand, x = loss.form.integrand, loss.form.x
    below = set()
    for e in integrand.atoms(sp.Pow, *POLES):
        if e.has(*x) and (not e.is_Pow or e.exp.is_negative):
            below.add(e.base if e.is_Pow else POLES[e.func](e.args[0]))
    arguments = (*loss.y, *x)
    zeros = sorted((e for e in below if e.has(*x)), key=sp.default_sort_key)
    return lower([integrand], arguments, "mpmath"), [lower([e], arguments, "mpmath") for e in zeros]


def _lines(size: int) -> Iterator[_Line]:
    """The line of numbers, or two lines of general position."""
    if size == 1:
        yield _Line((mp.mpf(0),), (mp.mpf(1),))
        return
    for seed in range(2):
        generator = np.random.default_rng(seed)
        way = generator.normal(size=size)
        yield _Line(
            tuple(map(mp.mpf, (generator.normal(size=size) / 3).tolist())),
            tuple(map(mp.mpf, (way / np.linalg.norm(way)).tolist())),
        )


def _zeros(below: Callable[[Any], Any]) -> Iterator[Any]:
    """Zeros of a real function, and where its size is least: zeros without a change of sign."""

    def slope(r: Any) -> Any:
        return below(r + MOVED) - below(r - MOVED)

    points = [mp.mpf(r) for r in POINTS]
    values = [mp.re(below(r)) for r in points]
    for k in range(1, len(points) - 1):
        if values[k - 1] * values[k] <= 0:
            yield _bisected(below, points[k - 1], points[k])
        elif abs(values[k]) < min(abs(values[k - 1]), abs(values[k + 1])):
            yield _bisected(slope, points[k - 1], points[k + 1])


def _bisected(f: Callable[[Any], Any], low: Any, high: Any) -> Any:
    rises = mp.re(f(high)) > 0
    for _ in range(HALVES):
        middle = (low + high) / 2
        low, high = (low, middle) if (mp.re(f(middle)) > 0) == rises else (middle, high)
    return high


def _is_pole(value: Callable[[Any], Any], r: Any) -> bool:
    """Whether a function grows on one side of a point like the inverse distance, or faster."""
    for side in (1, -1):
        sizes = [_logarithm(value(r + side * mp.mpf(10) ** -k)) for k in BESIDE]
        steps = [d * mp.log(10) for d in np.diff(BESIDE).tolist()]
        rises = [b - a for a, b in itertools.pairwise(sizes)]
        if all(up >= (1 - SHORT) * step for up, step in zip(rises, steps, strict=True)):
            return True
    return False


def _logarithm(value: Any) -> Any:
    """Logarithm of the size of a number; of zero NaN, which compares with nothing."""
    return mp.log(abs(value)) if value else mp.nan


def _steepest(value: Callable[[Sequence[Any]], Any], size: int) -> Iterator[_Line]:
    """Half lines from zero: along the axes, and where a function grows most."""
    zero = (mp.mpf(0),) * size
    axes = [tuple(mp.mpf(int(i == k)) for i in range(size)) for k in range(size)]
    ways = [tuple(s * x for x in axis) for axis in axes for s in (1, -1)]
    yield from (_Line(zero, way) for way in ways)
    if size == 1:
        return

    for first in ((1,) * size, tuple(1 + k for k in range(size))):
        way = [mp.mpf(x) / mp.norm(first) for x in first]
        for _ in range(MOVES):
            place = [LOOK * x for x in way]
            beside = ([x + MOVED * d for x, d in zip(place, axis, strict=True)] for axis in axes)
            slopes = [_logarithm(value(x)) - _logarithm(value(place)) for x in beside]
            length = mp.norm(slopes)
            if not 0 < length < mp.inf:
                break
            way = [x / length for x in slopes]
        yield _Line(zero, tuple(way))


def _grows(value: Callable[[Any], Any]) -> Any:
    """How far a function times the density of `r` does not fall faster than `1/r`; or nothing."""
    heights, r = [], mp.mpf(0)
    for k in range(NEAREST, FARTHEST + 1):
        r = mp.mpf(2) ** k
        size = abs(value(r))
        if not 0 < size < mp.inf:
            return None
        heights.append(_logarithm(size) - r * r / 2 + mp.log(r))
        if heights[-1] > LARGEST:
            break
    last = list(itertools.pairwise(heights[-LAST:]))
    return r if len(last) == LAST - 1 and all(b - a >= -FALLS for a, b in last) else None
