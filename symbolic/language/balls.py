"""SymPy expressions as code for balls: a printer and the functions that it may call.

Every value is an enclosure (`flint.arb` or `flint.acb`). What is not listed here is refused, so
that nothing falls back on floating-point numbers; and no two Python integers meet in a division or
a power, whose result would be one.
"""

from __future__ import annotations

import functools
import operator
from collections.abc import Callable, Sequence
from typing import Any, NoReturn

import sympy as sp
from sympy.codegen import cfunctions
from sympy.printing.lambdarepr import LambdaPrinter
from sympy.printing.printer import Printer

from symbolic.language.averages import ramp_numbers
from symbolic.language.primitives import (
    ArgMinusSinCos,
    NormMinusArgDot,
    SafeNorm,
    SafeUnit,
    definition,
)

__all__ = ["BallPrinter", "NoBall", "Undecided", "functions", "in_balls", "table"]

# Of the names in compiled code, so that a symbol `gamma` does not hide the function.
PREFIX = "ball_"


class Undecided(ArithmeticError):
    """A condition holds on a part of a ball and fails on another."""


class NoBall(NotImplementedError):
    """An expression contains what has no ball arithmetic here."""


# The method of a ball for each function of one argument that SymPy and FLINT define equally.
METHODS: dict[Any, str] = {
    **{
        getattr(sp, name): name
        for name in (
            *("sin", "cos", "tan", "cot", "sec", "csc", "asin", "acos", "atan", "sinc"),
            *("sinh", "cosh", "tanh", "coth", "sech", "csch", "asinh", "acosh", "atanh"),
            *("exp", "log", "erf", "erfc", "erfi", "erfinv", "erfcinv", "gamma", "floor"),
        )
    },
    sp.Ei: "ei",
    sp.Si: "si",
    sp.Ci: "ci",
    sp.Shi: "shi",
    sp.Chi: "chi",
    sp.loggamma: "lgamma",
    sp.ceiling: "ceil",
    sp.sign: "sgn",
    cfunctions.log1p: "log1p",
    cfunctions.expm1: "expm1",
    cfunctions.Sqrt: "sqrt",
}
# Functions that are another function of `1/x`.
RECIPROCAL: dict[Any, str] = {
    sp.asec: "acos",
    sp.acsc: "asin",
    sp.acot: "atan",
    sp.asech: "acosh",
    sp.acsch: "asinh",
    sp.acoth: "atanh",
}
CONSTANTS: dict[Any, str] = {
    sp.pi: "pi",
    sp.E: "const_e",
    sp.EulerGamma: "const_euler",
    sp.Catalan: "const_catalan",
    sp.nan: "nan",
}


class BallPrinter(Printer):
    """Code whose every value is a ball: no number is rounded on the way in, no condition guessed.

    Only an integer may stand as a plain number, and only where it meets a ball.
    """

    def doprint(self, expr: Any) -> str:
        """Return the code of an expression, a ball also where it is an integer."""
        return self._ball(expr)

    def _ball(self, expr: Any) -> str:
        text = str(self._print(expr))
        return f"{PREFIX}exact({text})" if isinstance(expr, sp.Integer) else text

    def emptyPrinter(self, expr: Any) -> NoReturn:
        """Refuse what no method prints."""
        raise NoBall(f"there is no ball arithmetic for {type(expr).__name__}, as in {expr}")

    def _print_Tuple(self, expr: sp.Tuple) -> str:
        return "(" + "".join(f"{self._ball(e)}, " for e in expr) + ")"

    def _print_Symbol(self, expr: sp.Symbol) -> str:
        return str(LambdaPrinter().doprint(expr))  # as the arguments are printed

    _print_Dummy = _print_Symbol

    def _print_Integer(self, expr: sp.Integer) -> str:
        return str(expr.p) if expr.p >= 0 else f"({expr.p})"

    def _print_Rational(self, expr: sp.Rational) -> str:
        return f"({PREFIX}exact({expr.p})/{expr.q})"

    def _print_Float(self, expr: sp.Float) -> str:
        sign, mantissa, exponent, _ = expr._mpf_
        return f"{PREFIX}exact(({(-1) ** sign * int(mantissa)}, {int(exponent)}))"

    def _print_NumberSymbol(self, expr: sp.Expr) -> str:
        if expr not in CONSTANTS:
            self.emptyPrinter(expr)
        return f"{PREFIX}{CONSTANTS[expr]}()"

    _print_NaN = _print_NumberSymbol

    def _print_ImaginaryUnit(self, expr: sp.Expr) -> str:
        return f"{PREFIX}i()"

    def _print_Add(self, expr: sp.Add) -> str:
        return "(" + " + ".join(self._one_a_ball(expr.as_ordered_terms())) + ")"

    def _print_Mul(self, expr: sp.Mul) -> str:
        above: list[sp.Expr] = []
        below: list[sp.Expr] = []
        for factor in expr.as_ordered_factors():
            if factor.is_Pow and factor.exp.is_Rational and factor.exp.is_negative:
                below.append(factor.base if factor.exp == -1 else factor.base**-factor.exp)
            elif isinstance(factor, sp.Rational):
                above += [sp.Integer(factor.p)] if factor.p != 1 else []
                below += [sp.Integer(factor.q)] if factor.q != 1 else []
            else:
                above.append(factor)
        sign = "-" if above and above[0] == -1 and (below or len(above) > 1) else ""
        above = above[len(sign) :]
        if not below:
            return f"({sign}{'*'.join(self._one_a_ball(above))})"
        if all(isinstance(e, sp.Integer) for e in above):
            under = "*".join(self._one_a_ball(below))
        else:
            under = "*".join(map(self._print, below))
        return f"({sign}{'*'.join(map(self._print, above)) or '1'}/({under}))"

    def _one_a_ball(self, operands: Sequence[sp.Expr]) -> list[str]:
        """Code of the operands, of which one at least is a ball."""
        first, *rest = operands
        only_integers = all(isinstance(e, sp.Integer) for e in operands)
        return [self._ball(first) if only_integers else self._print(first), *map(self._print, rest)]

    def _print_Pow(self, expr: sp.Pow) -> str:
        base, power = self._ball(expr.base), expr.exp
        if power == 2 and expr.base.is_Symbol:
            return f"({base}*{base})"
        if isinstance(power, sp.Integer):
            return f"{PREFIX}power({base}, {power.p})"
        if isinstance(power, sp.Rational):
            return f"{PREFIX}root({base}, {power.p}, {power.q})"
        return f"({base}**{self._ball(power)})"

    def _print_Function(self, expr: sp.Function) -> str:
        if expr.func not in functions():
            plain = definition(expr)
            if plain.func == expr.func:
                self.emptyPrinter(expr)
            return str(self._print(plain))
        return f"{PREFIX}{expr.func.__name__}({', '.join(map(self._ball, expr.args))})"

    _print_Max = _print_Min = _print_Function

    def _print_Piecewise(self, expr: sp.Piecewise) -> str:
        branches = [f"{self._ball(e)} if {self._print(c)} else " for e, c in expr.args]
        return "(" + "".join(branches) + f"{PREFIX}nan())"

    def _print_Relational(self, expr: Any) -> str:
        left, right = self._ball(expr.lhs), self._ball(expr.rhs)
        return f"{PREFIX}decide({left} - {right}, {expr.rel_op!r})"

    def _print_BooleanTrue(self, expr: Any) -> str:
        return "True"

    def _print_BooleanFalse(self, expr: Any) -> str:
        return "False"

    def _print_And(self, expr: Any) -> str:
        return "(" + " and ".join(map(self._print, expr.args)) + ")"

    def _print_Or(self, expr: Any) -> str:
        return "(" + " or ".join(map(self._print, expr.args)) + ")"

    def _print_Not(self, expr: Any) -> str:
        return f"(not {self._print(expr.args[0])})"


@functools.cache
def functions() -> dict[Any, Callable[..., Any]]:
    """Return the functions of SymPy that have balls, and how they are evaluated."""
    from flint import acb, arb

    def of_reciprocal(method: str) -> Callable[..., Any]:
        return lambda x: getattr(1 / x, method)()

    def step(x: Any, at_zero: Any) -> Any:
        if _decide(x, "=="):
            return at_zero
        return arb(1) if x > 0 else arb(0)

    def polygamma(order: Any, x: Any) -> Any:
        value = acb(x).polygamma(order)
        return value if isinstance(x, acb) else value.real

    return {
        **{function: operator.methodcaller(method) for function, method in METHODS.items()},
        **{function: of_reciprocal(method) for function, method in RECIPROCAL.items()},
        sp.Abs: abs,
        sp.re: lambda x: x.real,
        sp.im: lambda x: x.imag,
        sp.conjugate: lambda x: x.conjugate() if isinstance(x, acb) else x,
        sp.Max: lambda *x: functools.reduce(arb.max, x),
        sp.Min: lambda *x: functools.reduce(arb.min, x),
        sp.atan2: arb.atan2,
        SafeNorm: _norm,
        SafeUnit: _unit,
        NormMinusArgDot: lambda dot, *x: _norm(*x) - _angle(_norm(*x), dot) * dot,
        ArgMinusSinCos: _bent,
        sp.Heaviside: step,
        **ramp_numbers.BALLS,
        sp.erf2: lambda x, y: y.erf() - x.erf(),
        sp.factorial: lambda x: (x + 1).gamma(),
        sp.polygamma: polygamma,
        sp.besselj: lambda order, x: x.bessel_j(order),
        sp.bessely: lambda order, x: x.bessel_y(order),
        sp.besseli: lambda order, x: x.bessel_i(order),
        sp.besselk: lambda order, x: x.bessel_k(order),
        cfunctions.log2: lambda x: x.log() / arb(2).log(),
        cfunctions.log10: lambda x: x.log() / arb(10).log(),
        cfunctions.exp2: lambda x: (x * arb(2).log()).exp(),
        cfunctions.Cbrt: lambda x: x.root(3),
        cfunctions.hypot: lambda x, y: (_power(x, 2) + _power(y, 2)).sqrt(),
    }


@functools.cache
def table() -> dict[str, Callable[..., Any]]:
    """Return what the code of `BallPrinter` calls, by name."""
    from flint import acb, arb

    helpers = {
        **{name: getattr(arb, name) for name in CONSTANTS.values()},
        **{"i": lambda: acb(0, 1), "exact": arb},
        **{"decide": _decide, "power": _power, "root": _root},
    }
    called = {**{f.__name__: value for f, value in functions().items()}, **helpers}
    return {PREFIX + name: value for name, value in called.items()}


def in_balls(compiled: Callable[..., Any]) -> Callable[..., tuple[Any, ...]]:
    """Return the function with its arguments made balls, and its values checked to be balls.

    Parameters
    ----------
    compiled : callable
        Code of `BallPrinter`: balls in, a tuple of balls out.

    Returns
    -------
    callable
        It takes balls, and numbers that are exactly one (integers, doubles), and raises `TypeError`
        where a value is no ball.
    """
    from flint import acb, arb

    kinds = (arb, acb)

    def evaluate(*args: Any) -> tuple[Any, ...]:
        values = compiled(*[x if type(x) in kinds else arb(x) for x in args])
        for value in values:
            if type(value) not in kinds:
                raise TypeError(f"a function of balls gave {value!r}, which is no ball")
        return tuple(values)

    return evaluate


def _decide(difference: Any, relation: str) -> bool:
    """Whether `difference relation 0`, on the whole ball or nowhere on it."""
    # Compared with zero, a ball says yes only where it holds throughout.
    if relation in ("==", "!="):
        if difference == 0 or difference != 0:
            return bool((difference == 0) == (relation == "=="))
        raise Undecided
    above = relation in (">", ">=")
    strict = relation in (">", "<")
    if not above:
        difference = -difference
    if difference > 0 if strict else difference >= 0:
        return True
    if difference <= 0 if strict else difference < 0:
        return False
    raise Undecided


def _norm(*x: Any) -> Any:
    """Euclidean length, also where a ball holds zero."""
    from flint import arb

    squares = functools.reduce(operator.add, (_power(c, 2) for c in x))
    return (squares.nonnegative_part() if isinstance(squares, arb) else squares).sqrt()


def _unit(x: Any, norm: Any) -> Any:
    """Entry of a unit vector: between -1 and 1, whatever its direction is at zero."""
    from flint import arb

    most, ratio = arb(0, 1), x / norm
    if not isinstance(ratio, arb):
        return ratio
    return ratio.intersection(most) if ratio.is_finite() else most


def _angle(norm: Any, dot: Any) -> Any:
    """`atan2(norm, dot)` of a `norm >= 0`, on neither side of the cut."""
    from flint import arb

    if dot > 0:
        return (norm / dot).atan()
    if dot < 0:
        return arb.pi() + (norm / dot).atan()
    if norm > 0:
        return arb.pi() / 2 - (dot / norm).atan()
    return arb(0).union(arb.pi())


def _bent(dot: Any, *x: Any) -> Any:
    """`theta - sin theta cos theta`."""
    norm = _norm(*x)
    return _angle(norm, dot) - dot * norm / (_power(dot, 2) + _power(norm, 2))


def _power(x: Any, n: int) -> Any:
    """Integer power."""
    value = x**n
    if n <= 1 or value.is_finite() or not x.is_finite():
        return value
    # FLINT takes the logarithm of a ball whose centre is zero.
    from flint import acb, arb

    if isinstance(x, acb):
        return functools.reduce(operator.mul, [x] * n)
    largest = x.abs_upper()
    return arb(0).union(largest**n) if n % 2 == 0 else x * largest ** (n - 1)


def _root(x: Any, p: int, q: int) -> Any:
    """Power `p/q` of principal value; of a real ball, one that is not negative."""
    return _power(x.sqrt() if q == 2 else x.root(q), p)
