"""From SymPy expressions to functions of numbers: the only caller of `sympy.lambdify`.

A safe primitive becomes, in every backend, code whose relative error is a few units in the last
place for every argument in `[0, pi]` (and finite for every other).
"""

from __future__ import annotations

import functools
from collections.abc import Callable, Sequence
from fractions import Fraction
from math import factorial
from typing import Any, Literal

import sympy as sp
from sympy.printing.pycode import PythonCodePrinter

from symbolic.language import balls
from symbolic.language.averages import ramp_numbers
from symbolic.language.averages.ramps import in_digits
from symbolic.language.balls import NoBall, Undecided
from symbolic.language.expressions import as_expression
from symbolic.language.primitives import in_one_angle

__all__ = ["Backend", "NoBall", "Undecided", "lower"]

Backend = Literal["numpy", "math", "jax", "mpmath", "ball"]

# Below SWITCH the series is used; there and above it the textbook formula loses under two bits.
SWITCH = 1.5
# t^2 powers kept: the first term dropped is below 1e-18 of the sum at t = SWITCH.
TERMS = 11
# Doubles hold all integers up to here; larger ones have so many decimals.
LARGEST, DECIMALS = 2**53, 20


def _coefficients(name: str) -> list[float]:
    """Taylor coefficients in `t^2` of `(sin t - t)/t^3` or `(sin t - t cos t)/t^3`."""
    # sin t contributes (-1)^k / (2k+1)! to t^(2k+1), and t cos t contributes (-1)^k / (2k)!.
    with_cosine = name == "SinMinusArgCos"
    return [
        float(Fraction((-1) ** k * (-2 * k if with_cosine else 1), factorial(2 * k + 1)))
        for k in range(1, TERMS + 1)
    ]


def _horner(name: str, square: str) -> str:
    """Source text of the series in the variable `square`."""
    *rest, text = [repr(c) for c in _coefficients(name)]
    for c in reversed(rest):
        text = f"({c} + {square}*{text})"
    return text


class _ScalarPrinter(PythonCodePrinter):
    """Plain `math` code with the primitives written in line, so that one function is compiled."""

    def _series(self, expr: sp.Expr, direct: str) -> str:
        t = f"({self._print(expr.args[0])})"
        series = f"{t}*({t}*{t})*{_horner(type(expr).__name__, f'({t}*{t})')}"
        return f"({series} if -{SWITCH} < {t} < {SWITCH} else {direct.format(t=t)})"

    def _print_SinMinusArg(self, expr: sp.Expr) -> str:
        return self._series(expr, "sin({t}) - {t}")

    def _print_SinMinusArgCos(self, expr: sp.Expr) -> str:
        return self._series(expr, "sin({t}) - {t}*cos({t})")

    def _print_CosMinusOne(self, expr: sp.Expr) -> str:
        return f"(-2.0*sin(0.5*({self._print(expr.args[0])}))**2)"

    def _print_AngleBetween(self, expr: sp.Expr) -> str:
        return f"(2.0*atan2({self._print(expr.args[0])}, {self._print(expr.args[1])}))"

    def _print_SafeRatio(self, expr: sp.Expr) -> str:
        x, y = (f"({self._print(a)})" for a in expr.args)
        return f"({x}/{y} if {y} != 0.0 else 0.0)"

    _print_SafeUnit = _print_SafeRatio

    def _print_SafeNorm(self, expr: sp.Expr) -> str:
        text = "0.0"
        for a in expr.args:  # nested hypot neither overflows nor underflows early
            text = f"hypot({text}, {self._print(a)})"
        return text


def _numpy_table() -> dict[str, Callable[..., Any]]:
    import numpy as np

    def with_series(name: str, direct: Callable[[Any], Any]) -> Callable[[Any], Any]:
        coefficients = _coefficients(name)

        def evaluate(t: Any) -> Any:
            t = np.asarray(t, dtype=float)
            near = np.clip(t, -SWITCH, SWITCH)  # keeps the unused branch free of overflow
            square = near * near
            total = np.full_like(square, coefficients[-1])
            for c in reversed(coefficients[:-1]):
                total = c + square * total
            return np.where(np.abs(t) < SWITCH, near * square * total, direct(t))[()]

        return evaluate

    def ratio(x: Any, y: Any) -> Any:
        y = np.asarray(y, dtype=float)
        return np.where(y == 0.0, 0.0, np.divide(x, np.where(y == 0.0, 1.0, y)))[()]

    def special(name: str) -> Callable[[Any], Any]:
        def evaluate(t: Any) -> Any:
            import scipy.special  # not before it is needed: it takes a tenth of a second

            return getattr(scipy.special, name)(t)

        return evaluate

    def norm(*x: Any) -> Any:
        total: Any = 0.0
        for c in x:
            total = np.hypot(total, c)
        return total

    def log_cosh(z: Any) -> Any:
        size = np.abs(z)  # near zero it is of the size z^2/2
        near = np.log1p(2 * np.sinh(np.minimum(size, 1.0) / 2) ** 2)
        return np.where(size < 1, near, size + np.log1p(np.expm1(-2 * size) / 2))[()]

    return {
        "RampMean": lambda *law: ramp_numbers.in_doubles().one(*law),
        "RampPairMean": ramp_numbers.pair_in_doubles,
        "Softplus": lambda z: np.logaddexp(0.0, z),
        "Sigmoid": special("expit"),
        "LogCosh": log_cosh,
        "LogSumExp": lambda *z: functools.reduce(np.logaddexp, z),
        "SinMinusArg": with_series("SinMinusArg", lambda t: np.sin(t) - t),
        "SinMinusArgCos": with_series("SinMinusArgCos", lambda t: np.sin(t) - t * np.cos(t)),
        "CosMinusOne": lambda t: -2.0 * np.sin(0.5 * np.asarray(t)) ** 2,
        "AngleBetween": lambda chord, antichord: 2.0 * np.arctan2(chord, antichord),
        "SafeRatio": ratio,
        "SafeUnit": ratio,
        "SafeNorm": norm,
        # SymPy would take these from `math`, where no array is known.
        "erf": special("erf"),
        "erfc": special("erfc"),
    }


def _jax_table() -> dict[str, Callable[..., Any]]:
    """Return the primitives with derivatives of their own, exact and finite of every order at 0."""
    import jax
    import jax.numpy as jnp
    from jax.scipy.special import erf, erfc

    def with_slope(value: Callable[..., Any], slope: Callable[..., Any]) -> Callable[..., Any]:
        function = jax.custom_jvp(value)

        @function.defjvp
        def rule(primals: Any, tangents: Any) -> Any:
            out = function(*primals)
            return out, sum(s * dx for s, dx in zip(slope(out, *primals), tangents, strict=True))

        return function

    def with_series(name: str, direct: Any, slope: Any) -> Callable[..., Any]:
        coefficients = _coefficients(name)[::-1]

        def evaluate(t: Any) -> Any:
            near = jnp.clip(t, -SWITCH, SWITCH)  # keeps the unused branch free of overflow
            square = near * near
            series = near * square * jnp.polyval(jnp.array(coefficients), square)
            return jnp.where(jnp.abs(t) < SWITCH, series, direct(t))

        return with_slope(evaluate, lambda out, t: (slope(t),))

    def cosine_minus_one(t: Any) -> Any:
        return -2.0 * jnp.sin(0.5 * t) ** 2

    def ratio(x: Any, y: Any) -> Any:
        return jnp.where(y == 0.0, 0.0, x / jnp.where(y == 0.0, 1.0, y))

    def length(*x: Any) -> Any:
        largest = functools.reduce(jnp.maximum, map(jnp.abs, x))
        return largest * jnp.sqrt(sum(ratio(c, largest) ** 2 for c in x))

    return {
        "SinMinusArg": with_series("SinMinusArg", lambda t: jnp.sin(t) - t, cosine_minus_one),
        "SinMinusArgCos": with_series(
            "SinMinusArgCos", lambda t: jnp.sin(t) - t * jnp.cos(t), lambda t: t * jnp.sin(t)
        ),
        "CosMinusOne": cosine_minus_one,
        "AngleBetween": lambda chord, antichord: 2.0 * jnp.arctan2(chord, antichord),
        "SafeRatio": ratio,
        "SafeUnit": ratio,
        "SafeNorm": with_slope(length, lambda out, *x: tuple(ratio(c, out) for c in x)),
        # SymPy would take these from `math`, where no array is known.
        "erf": erf,
        "erfc": erfc,
    }


def _mpmath_table() -> dict[str, Callable[..., Any]]:
    from mpmath import mp

    def careful(direct: Callable[[Any], Any], order: int) -> Callable[[Any], Any]:
        def evaluate(t: Any) -> Any:
            t = mp.mpf(t)
            # A result of size t^order next to terms of size t needs that many bits more.
            lost = max(0, -order * mp.mag(t)) if t else 0
            with mp.extraprec(lost + 10):
                value = direct(t)
            return +value

        return evaluate

    return {
        "RampMean": lambda *law: in_digits().one(*law),
        "RampPairMean": lambda *law: in_digits().pair(law[:8], *law[8:]),
        "SinMinusArg": careful(lambda t: mp.sin(t) - t, 2),
        "SinMinusArgCos": careful(lambda t: mp.sin(t) - t * mp.cos(t), 2),
        "CosMinusOne": lambda t: -2 * mp.sin(mp.mpf(t) / 2) ** 2,
        "AngleBetween": lambda chord, antichord: 2 * mp.atan2(chord, antichord),
        "SafeRatio": lambda x, y: mp.mpf(x) / y if y else mp.mpf(0),
        "SafeUnit": lambda x, y: mp.mpf(x) / y if y else mp.mpf(0),
        "SafeNorm": lambda *x: mp.norm(x),
    }


def _in_words(e: sp.Expr) -> sp.Expr:
    """Integers that are no machine's as decimals: arrays know no function of them."""
    large = {n: sp.Float(n, DECIMALS) for n in e.atoms(sp.Integer) if abs(n) > LARGEST}
    return e.xreplace(large) if large else e


def lower(
    exprs: Sequence[sp.Expr],
    args: Sequence[sp.Symbol],
    backend: Backend = "numpy",
    steps: Sequence[tuple[sp.Symbol, sp.Expr]] = (),
) -> Callable[..., Any]:
    """Compile expressions into one function that returns the tuple of their values.

    Parameters
    ----------
    exprs : sequence of Expr
        Expressions in `args`; common subexpressions are computed once.
    args : sequence of Symbol
        The arguments of the function, in order.
    backend : {"numpy", "math", "jax", "mpmath", "ball"}
        `numpy` broadcasts over arrays (a constant expression stays a scalar), and so does `jax`,
        in the precision that JAX is set to; `math` takes Python's numbers, and can be compiled;
        `mpmath` follows `mp.prec`; `ball` takes and gives enclosures (`flint.arb` or `flint.acb`,
        following `flint.ctx.prec`), of textbook formulas, see :mod:`symbolic.language.balls`.
    steps : sequence of (Symbol, Expr)
        Assignments that come first, such as those of a :class:`~symbolic.language.program.Program`;
        without any, common subexpressions are found.

    Returns
    -------
    callable
        `f(*args) -> tuple`, one value an expression.

    Raises
    ------
    ValueError
        For an unknown backend, or an expression with symbols that are not in `args`.
    NoBall
        By `ball`, for an expression that contains what has no ball arithmetic.
    Undecided
        By the compiled function of `ball`, where a ball does not decide a condition.

    Notes
    -----
    Accuracy: relative error of each primitive below four units in the last place on `[0, pi]`.
    """
    exprs = tuple(as_expression(e) for e in exprs)
    free = set().union(*(e.free_symbols for e in (*exprs, *(e for _, e in steps))))
    free -= {*args, *(symbol for symbol, _ in steps)}
    if free:
        names = ", ".join(sorted(str(s) for s in free))
        raise ValueError(f"expressions contain symbols that are not arguments: {names}")
    # SymPy's elimination would lift subexpressions out of an integral, past its own variable.
    eliminate = not any(e.has(sp.Integral) for e in exprs)
    if backend != "ball":
        exprs = tuple(map(in_one_angle, exprs))
        steps = [(symbol, in_one_angle(step)) for symbol, step in steps]
    if backend in ("numpy", "jax"):
        exprs = tuple(map(_in_words, exprs))
        steps = [(symbol, _in_words(step)) for symbol, step in steps]
    cse: Any = (lambda found: (list(steps), found)) if steps else eliminate
    if backend == "numpy":
        return sp.lambdify(args, exprs, modules=[_numpy_table(), "numpy"], cse=cse)
    if backend == "jax":
        return sp.lambdify(args, exprs, modules=[_jax_table(), "jax"], cse=cse)
    if backend == "mpmath":
        return sp.lambdify(args, exprs, modules=[_mpmath_table(), "mpmath"], cse=cse)
    if backend == "ball":
        exact = balls.BallPrinter()
        return balls.in_balls(
            sp.lambdify(args, exprs, modules=[balls.table()], printer=exact, cse=cse)
        )
    if backend == "math":
        printer = _ScalarPrinter({"fully_qualified_modules": False, "inline": True})
        return sp.lambdify(args, exprs, modules="math", printer=printer, cse=cse)
    raise ValueError(f"unknown backend {backend!r}; known: numpy, math, jax, mpmath, ball")
