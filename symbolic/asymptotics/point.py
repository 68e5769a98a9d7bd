"""A loss at one of its critical points: value, gradient and Hessian, exactly, from its series."""

from __future__ import annotations

import functools
from collections.abc import Sequence
from dataclasses import dataclass, replace
from fractions import Fraction
from typing import Any

import sympy as sp

from symbolic.asymptotics.angles import regular
from symbolic.asymptotics.averaged import Nodes
from symbolic.asymptotics.expand import expand
from symbolic.asymptotics.refusal import NoLaw
from symbolic.asymptotics.series import Series, SeriesRing

__all__ = ["Point", "Quadratic"]


@dataclass(frozen=True)
class Quadratic:
    """Value, gradient and Hessian at a point."""

    value: sp.Expr
    gradient: sp.ImmutableMatrix
    hessian: sp.ImmutableMatrix


@dataclass(frozen=True)
class Point:
    """A loss ``plain + E integrand`` in the entries `y`, at `at`.

    Parameters
    ----------
    y : tuple of Symbol
        The entries.
    plain, integrand : Expr
        The loss; the integrand also in the Gaussian numbers `x`.
    x : tuple of Symbol
        The Gaussian numbers.
    at : tuple of Expr
        Exact values of the entries; positive symbols may stand in them.
    nodes : Nodes, optional
        Over the first Gaussian numbers, where the integrand is no polynomial in these at the point.
    """

    y: tuple[sp.Symbol, ...]
    plain: sp.Expr
    integrand: sp.Expr
    x: tuple[sp.Symbol, ...]
    at: tuple[sp.Expr, ...]
    nodes: Nodes | None = None

    @property
    def smooth(self) -> bool:
        """Whether no root, modulus or sign of an entry stands in the loss."""
        parts = (self.plain, self.integrand)
        roots = (e for part in parts for e in part.atoms(sp.Pow) if not e.exp.is_Integer)
        return not any(part.has(sp.Abs, sp.sign, sp.Max, sp.Min) for part in parts) and not any(
            e.base.has(*self.y) for e in roots
        )

    @functools.cached_property
    def regular(self) -> Point:
        """The same loss next to the point, see :func:`symbolic.asymptotics.angles.regular`."""
        at = dict(zip(self.y, self.at, strict=True))
        plain, integrand = regular(self.plain, at), regular(self.integrand, at)
        return replace(self, plain=plain, integrand=integrand)

    def moved(self, shift: Sequence[sp.Expr]) -> Point:
        """Return the same loss at ``at + shift``."""
        at = tuple(sp.together(a + s) for a, s in zip(self.at, shift, strict=True))
        return replace(self, at=at)

    def series(
        self, directions: Sequence[tuple[sp.Symbol, Any, Sequence[sp.Expr]]], order: Any
    ) -> tuple[SeriesRing, Series]:
        """Expand ``L(at + sum of variable * direction)``.

        Parameters
        ----------
        directions : sequence of (Symbol, weight, vector)
            The variables, what power of ``eps`` each carries, and where it leads.
        order : number
            Up to which power of ``eps``.
        """
        used = {e for _, _, v in directions for e in v} | set(self.at)
        constants = [e for e in used if not e.is_Rational]

        def values(ring: SeriesRing) -> dict[sp.Symbol, Series]:
            found = {}
            for i, (entry, value) in enumerate(zip(self.y, self.at, strict=True)):
                parts = [ring.number(value)]
                parts += [ring.scaled(ring.variable(s), v[i]) for s, _, v in directions if v[i]]
                found[entry] = ring.add(parts)
            return found

        here = self.regular
        return expand(
            here.plain,
            values,
            {s: w for s, w, _ in directions},
            order,
            constants=constants,
            integrand=here.integrand,
            x=self.x,
            nodes=self.nodes,
        )

    @functools.cached_property
    def quadratic(self) -> Quadratic:
        """Value, gradient and Hessian.

        Raises
        ------
        NoLaw
            For a loss that is not twice differentiable there.
        """
        n = len(self.y)
        steps = [sp.Symbol(f"e{i}", real=True) for i in range(n)]
        axes = [[sp.Integer(i == j) for i in range(n)] for j in range(n)]
        ring, series = self.series(list(zip(steps, [1] * n, axes, strict=True)), 2)
        for w, part in sorted(series.items()):
            if not ring.smooth(part) or w.denominator != 1:
                raise NoLaw(
                    f"the loss is not twice differentiable at the point: it has a kink of degree"
                    f" {w}, and only kinks of degrees above 2 have a law"
                )
        value = ring.expression(series.get(Fraction(0), ring.ring.zero))
        gradient, hessian = [sp.S.Zero] * n, sp.zeros(n, n)
        for monomial, c in series.get(Fraction(1), ring.ring.zero).terms():
            gradient[monomial.index(1)] = ring.domain.to_sympy(c)
        for monomial, c in series.get(Fraction(2), ring.ring.zero).terms():
            i, j = (k for k, e in enumerate(monomial) for _ in range(e))
            hessian[i, j] += ring.domain.to_sympy(c)
            hessian[j, i] += ring.domain.to_sympy(c)
        return Quadratic(value, sp.ImmutableMatrix(gradient), sp.ImmutableMatrix(hessian))
