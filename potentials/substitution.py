"""The flow of a system in the quantities of its proofs: what Lie derivatives are written in."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from fractions import Fraction
from types import MappingProxyType
from typing import Any

import sympy as sp

from potentials.notation import symbol, to_latex, total_derivative

__all__ = ["Definition", "Flow", "I", "J", "K", "indexed"]

#: Indices of neurons, components or layers; `K` is the one that is summed over.
I, J, K = sp.symbols("i j k", integer=True)  # noqa: E741


def indexed(name: str) -> sp.IndexedBase:
    """Return the family of a quantity, `indexed("zeta")[K]` being that of neuron `k`.

    Parameters
    ----------
    name : str
        Name of the quantity; the plain symbol of this name is that of neuron `i`, or of the pair
        `i`, `j`.
    """
    return sp.IndexedBase(name)  # another label than the plain symbol, which is real


@dataclass(frozen=True)
class Definition:
    """What a symbol of a flow stands for.

    Parameters
    ----------
    symbol : str
        The symbol, in LaTeX.
    expression : Expr or str
        What it is; text is LaTeX, for vectors and matrices.
    words : str
        What it means.
    """

    symbol: str
    expression: sp.Expr | str
    words: str = ""


@dataclass(frozen=True)
class Flow:
    """The flow of a system in the quantities of its proofs.

    Parameters
    ----------
    rates : mapping
        Rates along the flow of features, at the index `i` or the pair `i`, `j`, and of those terms
        of potentials whose sum is simpler than its summands; by name.
    definitions : tuple of Definition
        The flow, and the symbols that the rates contain, in reading order.
    names : mapping
        LaTeX of plain quantities by name.
    families : mapping
        LaTeX of indexed quantities by name; `%s` stands for the indices.
    of_the_law : tuple of str
        Claims about the regime of the late-time law; others are about starts from which another
        regime is reached.
    in_n : Fraction, optional
        Power of `n` of this law's constant, for `n` equal neurons or weights, what the start was
        and `d` being fixed.
    """

    rates: Mapping[str, sp.Expr] = field(default_factory=lambda: MappingProxyType({}))
    definitions: tuple[Definition, ...] = ()
    names: Mapping[str, str] = field(default_factory=lambda: MappingProxyType({}))
    families: Mapping[str, str] = field(default_factory=lambda: MappingProxyType({}))
    of_the_law: tuple[str, ...] = ()
    in_n: Fraction | None = None

    def __getstate__(self) -> dict[str, Any]:
        """Return the fields; a mapping proxy cannot be sent to another process."""
        plain = {name: dict(getattr(self, name)) for name in ("rates", "names", "families")}
        return {**self.__dict__, **plain}

    def rate(self, expression: sp.Expr) -> sp.Expr:
        """Return the rate of an expression, with the rates of its features put in.

        Parameters
        ----------
        expression : Expr
            In features at the index `i`, or the pair `i`, `j`.
        """
        put = {symbol(f"{name}_dot"): value for name, value in self.rates.items()}
        return total_derivative(expression).xreplace(put)

    def latex(self) -> list[tuple[str, str]]:
        """Return each definition in LaTeX, with its words."""
        return [
            (
                f"{d.symbol} = "
                + (d.expression if isinstance(d.expression, str) else self.written(d.expression)),
                d.words,
            )
            for d in self.definitions
        ]

    def written(self, expression: sp.Expr, more: Mapping[str, str] | None = None) -> str:
        """Return an expression of the flow in LaTeX.

        Parameters
        ----------
        expression : Expr
            In plain and indexed quantities.
        more : mapping, optional
            LaTeX of further symbols by name.
        """
        shown = {
            x: sp.Dummy(self.families[x.base.name].replace("%s", "".join(map(str, x.indices))))
            for x in sorted(expression.atoms(sp.Indexed), key=str)
        }
        names = {**self.names, **(more or {}), **{d.name: d.name for d in shown.values()}}
        return to_latex(expression.xreplace(shown), names)
