r"""Means of ramps and steps of Gaussian numbers, a family that differentiation does not leave.

.. math:: \psi_p(z) = \frac{\max(0, z)^p}{p!}, \quad \psi_0 = \text{step}, \quad
   \psi_{-1} = \delta, \quad \psi_p' = \psi_{p-1}

The law of `z ~ N(b, A)` solves the heat equation, and so does the joint one of two numbers:

.. math:: \partial_b E\, \psi_p(z) = E\, \psi_{p-1}(z), \qquad
   \partial_A E\, \psi_p(z) = \tfrac12 E\, \psi_{p-2}(z), \qquad
   \partial_B E\, \psi_p(z) \psi_q(z') = E\, \psi_{p-1}(z) \psi_{q-1}(z')

with the covariance `B`. So a loss of rectified linear forms with a bias, its gradient and its
Hessian are of one kind, and they stay numbers where a form loses its slope (`A = 0`). By parts,
with `K(p) = E psi_p(z)` and `K(p, q) = E psi_p(z) psi_q(z')`,

.. math:: p K(p) = b K(p-1) + A K(p-2), \qquad
   p K(p, q) = b K(p-1, q) + A K(p-2, q) + B K(p-1, q-1)

upwards and downwards, from a step, a density, and the probability that both numbers are positive.
"""

from __future__ import annotations

import functools
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import sympy as sp

from symbolic.language.latex import raised

__all__ = ["RampMean", "RampPairMean", "Ramps", "in_digits", "upwards"]

# Bits more than asked for: sums of recursions cancel.
MORE_BITS = 20


class RampMean(sp.Function):
    r"""`E psi_p(z)`, `z ~ N(b, A)`, of `(b, A, p)` with a whole number `p`, also a negative one."""

    nargs = 3

    @classmethod
    def eval(cls, b: Any, variance: Any, p: Any) -> Any:
        """Numbers in elementary form, where there is one."""
        if b.is_number and variance.is_number and variance != 0:
            return cls._elementary(b, variance, p)
        return None

    def fdiff(self, argindex: int = 1) -> sp.Expr:
        """Derivative by the mean (1) or by the variance (2)."""
        b, variance, p = self.args
        return RampMean(b, variance, p - 1) if argindex == 1 else RampMean(b, variance, p - 2) / 2

    def _eval_rewrite_as_sin(
        self, b: sp.Expr, variance: sp.Expr, p: sp.Expr, **hints: Any
    ) -> sp.Expr:
        return self._elementary(b, variance, p)

    @staticmethod
    def _elementary(b: sp.Expr, variance: sp.Expr, p: sp.Expr) -> sp.Expr:
        density = sp.exp(-(b**2) / (2 * variance)) / sp.sqrt(2 * sp.pi * variance)
        if p < 0:
            order, h = int(-p) - 1, b / sp.sqrt(variance)
            bend = sp.hermite_prob_poly(order, h) if order else sp.S.One
            return (-1) ** order * bend * density / sp.sqrt(variance) ** order
        above, found = density, (1 + sp.erf(b / sp.sqrt(2 * variance))) / 2
        for k in range(1, int(p) + 1):
            above, found = found, (b * found + variance * above) / k
        return found

    def _latex(self, printer: Any, exp: Any = None) -> str:
        b, variance, p = self.args
        law = rf"\mathcal{{N}}\left({printer.doprint(b)}, {printer.doprint(variance)}\right)"
        return raised(rf"\mathbb{{E}}_{{z \sim {law}}} {_shown('z', p)}", exp)


class RampPairMean(sp.Function):
    r"""`E psi_p(z) psi_q(z')` of `(b, c, A, B, C, D, U, V, p, q)`: means, covariances, powers.

    `D = A C - B^2`, `U = A c - B b` and `V = C b - B c` are given apart, so that they have their
    digits where the forms are nearly parallel; they are no variables of their own.
    """

    nargs = 10

    def fdiff(self, argindex: int = 1) -> sp.Expr:
        """Derivative by the means (1, 2), by the covariances (3, 4, 5); no other."""
        *law, p, q = self.args
        share, down, down_other = {
            1: (sp.S.One, 1, 0),
            2: (sp.S.One, 0, 1),
            3: (sp.S.Half, 2, 0),
            4: (sp.S.One, 1, 1),
            5: (sp.S.Half, 0, 2),
        }.get(argindex, (sp.S.Zero, 0, 0))
        return share * RampPairMean(*law, p - down, q - down_other)

    def _eval_evalf(self, prec: int) -> sp.Expr:
        if not all(a.is_number for a in self.args):
            return self
        from mpmath import mp

        *law, p, q = self.args
        with mp.workprec(prec + MORE_BITS):
            numbers = [a._to_mpmath(mp.prec) for a in law]
            return sp.Expr._from_mpmath(in_digits().pair(numbers, int(p), int(q)), prec)

    def _latex(self, printer: Any, exp: Any = None) -> str:
        b, c, first, cross, second, *_ = map(printer.doprint, self.args)
        law = (
            rf"\mathcal{{N}}\left(({b}, {c}),"
            rf" \begin{{pmatrix}} {first} & {cross} \\ {cross} & {second} \end{{pmatrix}}\right)"
        )
        shown = f"{_shown('z', self.args[8])} \\, {_shown('w', self.args[9])}"
        return raised(rf"\mathbb{{E}}_{{(z, w) \sim {law}}} {shown}", exp)


def _shown(z: str, p: Any) -> str:
    """`psi_p` on paper."""
    if p > 0:
        return rf"\max(0, {z})" + (rf"^{{{p}}} / {p}!" if p > 1 else "")
    if p == 0:
        return rf"1_{{{z} > 0}}"
    return rf"\delta({z})" if p == -1 else rf"\delta^{{({-p - 1})}}({z})"


@dataclass(frozen=True)
class Ramps:
    """The means of ramps in one kind of numbers.

    Parameters
    ----------
    powers : callable
        Of `(b, A, p)`: `K(p)` of `p >= 0`, from the probability of a positive number on.
    density : callable
        Of `(b, A)`: the density at zero. Of a form without a slope it is zero, at its own zero too:
        where two forms are one, second derivatives hold it times a zero of higher order.
    both : callable
        Of a law `(b, c, A, B, C, D, U, V)`: probability that both are positive.
    given : callable
        Of `(A, C, c, D, U)`: mean and variance of the second number where the first one is zero.
    over : callable
        Quotient, zero where what is divided is zero.
    """

    powers: Callable[..., Any]
    density: Callable[..., Any]
    both: Callable[..., Any]
    given: Callable[..., Any]
    over: Callable[[Any, Any], Any]

    def one(self, b: Any, variance: Any, p: int) -> Any:
        """`K(p)`."""
        if p >= 0:
            return self.powers(b, variance, p)
        found, below = self.density(b, variance), 0 * b
        for k in range(1, -p):
            found, below = -self.over(b * found + (k - 1) * below, variance), found
        return found

    def pair(self, law: Sequence[Any], p: int, q: int) -> Any:
        """`K(p, q)`."""
        b, c, first, cross, second, area, up, other_up = law
        known: dict[tuple[int, int], Any] = {}

        def found(p: int, q: int) -> Any:
            if (p, q) not in known:
                known[p, q] = made(p, q)
            return known[p, q]

        def made(p: int, q: int) -> Any:
            if p == q == 0:
                return self.both(*law)
            if p == -1:
                mean, variance = self.given(first, second, c, area, up)
                return self.density(b, first) * self.one(mean, variance, q)
            if q == -1:
                mean, variance = self.given(second, first, b, area, other_up)
                return self.density(c, second) * self.one(mean, variance, p)
            # First what is of higher order where the forms are nearly parallel.
            if p < -1:
                rest = b * found(p + 1, q) + cross * found(p + 1, q - 1)
                rest = rest - (p + 2) * found(p + 2, q) if p < -2 else rest
                return -self.over(rest, first)
            if q < -1:
                rest = c * found(p, q + 1) + cross * found(p - 1, q + 1)
                rest = rest - (q + 2) * found(p, q + 2) if q < -2 else rest
                return -self.over(rest, second)
            if p > 0:
                rest = b * found(p - 1, q) + first * found(p - 2, q)
                return (rest + cross * found(p - 1, q - 1)) / p
            rest = c * found(p, q - 1) + second * found(p, q - 2)
            return (rest + cross * found(p - 1, q - 1)) / q

        return found(p, q)


def upwards(step: Any, b: Any, variance: Any, spread: Any, p: int) -> Any:
    """`K(p)` from `K(0)` and from `A` times the density."""
    if p == 0:
        return step
    above, found = step, b * step + spread
    for k in range(2, p + 1):
        above, found = found, (b * found + variance * above) / k
    return found


@functools.cache
def in_digits() -> Ramps:
    """Of numbers of mpmath."""
    from mpmath import mp

    def step(b: Any, variance: Any) -> Any:
        return mp.ncdf(b / mp.sqrt(variance)) if variance else (mp.sign(b) + 1) / 2

    def powers(b: Any, variance: Any, p: int) -> Any:
        return upwards(step(b, variance), b, variance, variance * density(b, variance), p)

    def density(b: Any, variance: Any) -> Any:
        if not variance:
            return mp.mpf(0)
        return mp.npdf(b / mp.sqrt(variance)) / mp.sqrt(variance)

    def both(*law: Any) -> Any:
        b, c, first, cross, second, area, *_ = law
        if not (first and second):
            return step(b, first) * step(c, second)
        h, k = b / mp.sqrt(first), c / mp.sqrt(second)
        if not area:  # parallel forms: the smaller one decides, or both share the line
            return mp.ncdf(min(h, k)) if cross > 0 else max(mp.ncdf(h) - mp.ncdf(-k), mp.mpf(0))
        side, turned = 1 if cross >= 0 else -1, mp.atan2(cross, mp.sqrt(area))
        distance = h - side * k

        # What the probability grows by with the angle (Plackett 1954), where nothing cancels.
        def growth(angle: Any) -> Any:
            sharp = distance**2 / (2 * mp.cos(angle) ** 2) if distance else 0
            return mp.exp(-sharp - side * h * k / (1 + side * mp.sin(angle)))

        joint = mp.quad(growth, [0, turned / 2, turned]) / (2 * mp.pi)
        return mp.ncdf(h) * mp.ncdf(k) + joint

    def given(first: Any, second: Any, c: Any, area: Any, up: Any) -> tuple[Any, Any]:
        return (up / first, area / first) if first else (c, second)

    return Ramps(powers, density, both, given, lambda x, y: x / y if x else x)
