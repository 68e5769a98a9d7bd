"""Mixtures of densities of data."""

from __future__ import annotations

import functools
from collections.abc import Sequence
from typing import Any

import sympy as sp

from symbolic.language.averages.density import Density, Reduced, shares
from symbolic.language.averages.gaussian import Gaussian
from symbolic.language.errors import InputError

__all__ = ["Mixture"]


class Mixture(Density):
    """Mixture of densities.

    Parameters
    ----------
    parts : sequence of densities
        Of equally many numbers.
    weights : sequence of numbers, optional
        Not negative, and not all zero; they are divided by their sum. Equal if left out.

    Raises
    ------
    InputError
        For components that are no densities, and for other weights.

    Examples
    --------
    >>> x = sp.Symbol("x", real=True)
    >>> Mixture([Gaussian(1), Gaussian(0, 4)], [1, 3]).reduced(x**2, (x,))
    Reduced(closed=0, integrand=3*x**2 + (x + 1)**2/4)
    """

    def __new__(cls, parts: Any, weights: Any = None) -> Mixture:
        """Check the parts."""
        found = sp.Tuple(*parts)
        if not found or not all(isinstance(part, Density) for part in found):
            raise InputError(f"a mixture must be of densities, got {parts!r}")
        if len(sizes := {part.size for part in found} - {None}) > 1:
            raise InputError(
                f"parts of a mixture must be of equally many numbers, got {sorted(sizes)}"
            )
        return sp.Basic.__new__(cls, found, shares("parts", len(found), weights))

    @property
    def size(self) -> int | None:
        """How many numbers it is of; None of any."""
        return next((part.size for part in self.args[0] if part.size is not None), None)

    def reduced(self, f: sp.Expr, x: Sequence[sp.Symbol]) -> Reduced:
        """See :meth:`Density.reduced`."""
        parts, weights = self.args
        each = (p.reduced(f, x).times(w) for p, w in zip(parts, weights, strict=True) if w)
        return functools.reduce(Reduced.__add__, each)

    def trained(self, f: Any, x: Any) -> list[tuple[sp.Expr, Any]]:
        """See :meth:`Density.trained`."""
        if self.args[1].free_symbols or any(not isinstance(p, Gaussian) for p in self.args[0]):
            raise InputError(f"expected a mixture of Gaussians with numbers as weights, got {self}")
        return [
            (w * share, moved)
            for part, w in zip(*self.args, strict=True)
            for share, moved in part.trained(f, x)
        ]

    def _latex(self, printer: Any) -> str:
        parts = (
            f"{printer._print(w)} \\, {printer._print(p)}" for p, w in zip(*self.args, strict=True)
        )
        return " + ".join(parts)
