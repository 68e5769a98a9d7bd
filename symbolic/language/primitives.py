"""Safe primitives: SymPy functions whose textbook formula loses digits, with their derivatives.

A primitive stays symbolic until `symbolic.language.lower` replaces it by code with full relative
accuracy. `definition` gives the textbook formula back, which is what proofs work with.
"""

from __future__ import annotations

from typing import Any

import sympy as sp

__all__ = [
    "AngleBetween",
    "CosMinusOne",
    "SafeNorm",
    "SafeRatio",
    "SinMinusArg",
    "SinMinusArgCos",
    "definition",
]


class SinMinusArg(sp.Function):
    r"""`sin t - t`, of size `t^3/6` near zero; its derivative is `cos t - 1`."""

    nargs = 1

    @classmethod
    def eval(cls, t: Any) -> Any:
        """Return zero at zero; stay unevaluated elsewhere."""
        return sp.S.Zero if t.is_zero else None

    def fdiff(self, argindex: int = 1) -> sp.Expr:
        """Return `cos t - 1`."""
        return CosMinusOne(self.args[0])

    def _eval_rewrite_as_sin(self, t: sp.Expr, **hints: Any) -> sp.Expr:
        return sp.sin(t) - t

    def _latex(self, printer: Any) -> str:
        t = printer.parenthesize(self.args[0], 0)
        return rf"\left(\sin {t} - {t}\right)"


class SinMinusArgCos(sp.Function):
    r"""`sin t - t cos t`, of size `t^3/3` near zero; its derivative is `t sin t`."""

    nargs = 1

    @classmethod
    def eval(cls, t: Any) -> Any:
        """Return zero at zero; stay unevaluated elsewhere."""
        return sp.S.Zero if t.is_zero else None

    def fdiff(self, argindex: int = 1) -> sp.Expr:
        """Return `t sin t`."""
        return self.args[0] * sp.sin(self.args[0])

    def _eval_rewrite_as_sin(self, t: sp.Expr, **hints: Any) -> sp.Expr:
        return sp.sin(t) - t * sp.cos(t)

    def _latex(self, printer: Any) -> str:
        t = printer.parenthesize(self.args[0], 0)
        return rf"\left(\sin {t} - {t} \cos {t}\right)"


class CosMinusOne(sp.Function):
    r"""`cos t - 1`, of size `t^2/2` near zero; its derivative is `-sin t`."""

    nargs = 1

    @classmethod
    def eval(cls, t: Any) -> Any:
        """Return zero at zero; stay unevaluated elsewhere."""
        return sp.S.Zero if t.is_zero else None

    def fdiff(self, argindex: int = 1) -> sp.Expr:
        """Return `-sin t`."""
        return -sp.sin(self.args[0])

    def _eval_rewrite_as_sin(self, t: sp.Expr, **hints: Any) -> sp.Expr:
        return sp.cos(t) - 1

    def _latex(self, printer: Any) -> str:
        t = printer.parenthesize(self.args[0], 0)
        return rf"\left(\cos {t} - 1\right)"


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


class SafeRatio(sp.Function):
    r"""`x / y`, and zero where `y = 0`."""

    nargs = 2

    def fdiff(self, argindex: int = 1) -> sp.Expr:
        """Return `1/y` or `-x/y^2`, zero where `y = 0`."""
        x, y = self.args
        return SafeRatio(sp.S.One, y) if argindex == 1 else -SafeRatio(SafeRatio(x, y), y)

    def _eval_rewrite_as_sin(self, x: sp.Expr, y: sp.Expr, **hints: Any) -> sp.Expr:
        return x / y

    def _latex(self, printer: Any) -> str:
        return printer.doprint(self.args[0] / self.args[1])


class SafeNorm(sp.Function):
    r"""Euclidean norm of its arguments; its derivative `x_i/|x|` is zero at zero."""

    def fdiff(self, argindex: int = 1) -> sp.Expr:
        """Return `x_i / |x|`, zero at the origin (the minimal-norm subgradient)."""
        return SafeRatio(self.args[argindex - 1], self)

    def _eval_rewrite_as_sin(self, *x: sp.Expr, **hints: Any) -> sp.Expr:
        return sp.sqrt(sp.Add(*(c**2 for c in x)))

    def _latex(self, printer: Any) -> str:
        return r"\left\|" + ", ".join(printer.doprint(c) for c in self.args) + r"\right\|"


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
    return expr.rewrite(
        [SinMinusArg, SinMinusArgCos, CosMinusOne, AngleBetween, SafeRatio, SafeNorm], sp.sin
    )
