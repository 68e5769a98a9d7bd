"""Safe primitives: SymPy functions whose textbook formula loses digits, with their derivatives.

A primitive stays symbolic until `symbolic.language.lower` replaces it by code with full relative
accuracy. `definition` gives the textbook formula back, which is what proofs work with.
"""

from __future__ import annotations

from typing import Any, ClassVar

import sympy as sp

from symbolic.language.averages.ramps import RampMean
from symbolic.language.latex import raised

__all__ = [
    "AngleBetween",
    "ArgMinusSinCos",
    "CosMinusOne",
    "NormMinusArgDot",
    "SafeNorm",
    "SafeRatio",
    "SafeUnit",
    "SinMinusArg",
    "SinMinusArgCos",
    "definition",
    "in_one_angle",
]


class _OfAngle(sp.Function):
    """A function of an angle that is zero at zero."""

    nargs = 1
    # LaTeX of its formula.
    shown: ClassVar[str]

    @classmethod
    def eval(cls, t: Any) -> Any:
        """Return zero at zero; stay unevaluated elsewhere."""
        return sp.S.Zero if t.is_zero else None

    def _latex(self, printer: Any, exp: Any = None) -> str:
        t = printer.parenthesize(self.args[0], 0)
        return raised(rf"\left({self.shown.format(t=t)}\right)", exp)


class SinMinusArg(_OfAngle):
    r"""`sin t - t`, of size `t^3/6` near zero; its derivative is `cos t - 1`."""

    shown = r"\sin {t} - {t}"

    def fdiff(self, argindex: int = 1) -> sp.Expr:
        """Return `cos t - 1`."""
        return CosMinusOne(self.args[0])

    def _eval_rewrite_as_sin(self, t: sp.Expr, **hints: Any) -> sp.Expr:
        return sp.sin(t) - t


class SinMinusArgCos(_OfAngle):
    r"""`sin t - t cos t`, of size `t^3/3` near zero; its derivative is `t sin t`."""

    shown = r"\sin {t} - {t} \cos {t}"

    def fdiff(self, argindex: int = 1) -> sp.Expr:
        """Return `t sin t`."""
        return self.args[0] * sp.sin(self.args[0])

    def _eval_rewrite_as_sin(self, t: sp.Expr, **hints: Any) -> sp.Expr:
        return sp.sin(t) - t * sp.cos(t)


class CosMinusOne(_OfAngle):
    r"""`cos t - 1`, of size `t^2/2` near zero; its derivative is `-sin t`."""

    shown = r"\cos {t} - 1"

    def fdiff(self, argindex: int = 1) -> sp.Expr:
        """Return `-sin t`."""
        return -sp.sin(self.args[0])

    def _eval_rewrite_as_sin(self, t: sp.Expr, **hints: Any) -> sp.Expr:
        return sp.cos(t) - 1


class AngleBetween(sp.Function):
    r"""Angle of two unit vectors from their chords, `2 atan2(|abar - bbar|, |abar + bbar|)`."""

    nargs = 2

    def fdiff(self, argindex: int = 1) -> sp.Expr:
        """Return the derivative by the chord (1) or by the antichord (2)."""
        chord, antichord = self.args
        square = chord**2 + antichord**2
        return 2 * antichord / square if argindex == 1 else -2 * chord / square

    def _eval_rewrite_as_sin(self, chord: sp.Expr, antichord: sp.Expr, **hints: Any) -> sp.Expr:
        return 2 * sp.atan2(chord, antichord)


class _Quotient(sp.Function):
    """A quotient that is zero where its divisor is."""

    nargs = 2

    def _eval_rewrite_as_sin(self, x: sp.Expr, y: sp.Expr, **hints: Any) -> sp.Expr:
        return x / y

    def _latex(self, printer: Any, exp: Any = None) -> str:
        return raised(printer.doprint(self.args[0] / self.args[1]), exp)


class SafeRatio(_Quotient):
    r"""`x / y`, and zero where `y = 0`."""

    def fdiff(self, argindex: int = 1) -> sp.Expr:
        """Return `1/y` or `-x/y^2`, zero where `y = 0`."""
        x, y = self.args
        return SafeRatio(sp.S.One, y) if argindex == 1 else -SafeRatio(SafeRatio(x, y), y)


class SafeUnit(_Quotient):
    r"""`x_i / |x|`, an entry of a unit vector, and zero where `x = 0`: at most one in size."""

    def fdiff(self, argindex: int = 1) -> sp.Expr:
        """Return `1/|x|` or `-x_i/|x|^2`, zero where `x = 0`."""
        of = sp.S.One if argindex == 1 else -self
        return SafeRatio(of, self.args[1])


class SafeNorm(sp.Function):
    r"""Euclidean norm of its arguments; its derivative `x_i/|x|` is zero at zero."""

    def fdiff(self, argindex: int = 1) -> sp.Expr:
        """Return `x_i / |x|`, zero at the origin (the minimal-norm subgradient)."""
        return SafeUnit(self.args[argindex - 1], self)

    def _eval_rewrite_as_sin(self, *x: sp.Expr, **hints: Any) -> sp.Expr:
        return sp.sqrt(sp.Add(*(c**2 for c in x)))

    def _latex(self, printer: Any, exp: Any = None) -> str:
        entries = ", ".join(printer.doprint(c) for c in self.args)
        return raised(rf"\left\|{entries}\right\|", exp)


class NormMinusArgDot(sp.Function):
    r"""`S - theta C` of `(C, x_1, ..., x_m)`, with `S = |x|` and `theta = atan2(S, C)`.

    With `C = a.b` and the entries `x` of `a b' - b a'` it is `|a| |b| (sin theta - theta cos
    theta)`, which has two derivatives where `a` and `b` are parallel. Those of the lengths and of
    the angle, one by one, have not: the chain rule meets `0/0` there.
    """

    def fdiff(self, argindex: int = 1) -> sp.Expr:
        """Return `-(theta - S C/R^2)` or `x_i S/R^2`, with `R = |(C, x)|`."""
        if argindex == 1:
            return -ArgMinusSinCos(*self.args)
        norm, radius = _norms(self.args)
        return self.args[argindex - 1] * norm / radius**2

    def _eval_rewrite_as_sin(self, dot: sp.Expr, *x: sp.Expr, **hints: Any) -> sp.Expr:
        norm = SafeNorm(*x).rewrite(SafeNorm, sp.sin)
        return norm - sp.atan2(norm, dot) * dot

    def _latex(self, printer: Any, exp: Any = None) -> str:
        norm, dot = printer.doprint(SafeNorm(*self.args[1:])), self.args[0]
        angle = rf"\operatorname{{atan2}}\left({norm}, {printer.doprint(dot)}\right)"
        return raised(rf"\left({norm} - {angle} {printer.parenthesize(dot, 50)}\right)", exp)


class ArgMinusSinCos(sp.Function):
    r"""`theta - S C/R^2` of `(C, x_1, ..., x_m)`: `theta - sin theta cos theta` of that angle."""

    def fdiff(self, argindex: int = 1) -> sp.Expr:
        """Return `-2 S^3/R^4` or `2 C x_i S/R^4`."""
        norm, radius = _norms(self.args)
        if argindex == 1:
            return -2 * norm**3 / radius**4
        return 2 * self.args[0] * self.args[argindex - 1] * norm / radius**4

    def _eval_rewrite_as_sin(self, dot: sp.Expr, *x: sp.Expr, **hints: Any) -> sp.Expr:
        norm = SafeNorm(*x).rewrite(SafeNorm, sp.sin)
        return sp.atan2(norm, dot) - dot * norm / (dot**2 + norm**2)

    def _latex(self, printer: Any, exp: Any = None) -> str:
        return raised(printer.doprint(definition(self)), exp)


def in_one_angle(expr: sp.Expr) -> sp.Expr:
    """Write functions of `(C, x)` by those of their angle, which doubles know to all digits.

    Examples
    --------
    >>> c, x = sp.symbols("c x")
    >>> in_one_angle(ArgMinusSinCos(c, x))
    -SinMinusArg(2*atan2(SafeNorm(x), c))/2
    """

    def angle(dot: sp.Expr, *x: sp.Expr) -> sp.Expr:
        return sp.atan2(SafeNorm(*x), dot)

    return expr.replace(
        NormMinusArgDot, lambda *args: SafeNorm(*args) * SinMinusArgCos(angle(*args))
    ).replace(ArgMinusSinCos, lambda *args: -SinMinusArg(2 * angle(*args)) / 2)


def _norms(args: tuple[sp.Expr, ...]) -> tuple[sp.Expr, sp.Expr]:
    """`S` and `R` of `(C, x)`."""
    return SafeNorm(*args[1:]), SafeNorm(*args)


def definition(expr: Any) -> Any:
    """Replace every safe primitive by its textbook formula.

    Parameters
    ----------
    expr : Expr or Matrix
        Any expression.

    Returns
    -------
    Expr or Matrix
        The same value for every argument where both are defined.
    """
    primitives = (
        *(SinMinusArg, SinMinusArgCos, CosMinusOne, AngleBetween),
        *(NormMinusArgDot, ArgMinusSinCos, SafeUnit, SafeRatio, SafeNorm, RampMean),
    )
    return expr.rewrite(list(primitives), sp.sin)
