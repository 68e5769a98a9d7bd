"""Potential: a function of the state with its domain, source and Lie derivative along a flow."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import Any, Literal

import sympy as sp

from potentials.notation import rate_symbol, symbol, to_latex, total_derivative
from potentials.source import Source
from potentials.substitution import Flow

__all__ = ["LieDerivative", "Over", "Potential", "Reduce", "Term"]

Over = Literal["state", "neuron", "pair"]
Reduce = Literal["sum", "max", "min"]

_INDEX = {"neuron": "i", "pair": "i<j"}
_REDUCTION = {"sum": r"\sum", "max": r"\max", "min": r"\min"}


@dataclass(frozen=True)
class Term:
    """One reduction over neurons or pairs, the building block of a potential.

    Parameters
    ----------
    name : str
        Name of the term in the potential's outer expression.
    over : {"state", "neuron", "pair"}
        What the expression's features are indexed by.
    expression : Expr
        In feature symbols.
    reduce : {"sum", "max", "min"} or None
        How the index is removed; None keeps it (or there is none, over a state).
    """

    name: str
    over: Over
    expression: sp.Expr
    reduce: Reduce | None = None

    def latex(self, names: Mapping[str, str]) -> str:
        """Return the term in LaTeX."""
        return self._reduced(self.expression, names)

    def rate_latex(
        self, names: Mapping[str, str], flow: Flow | None = None, alone: bool = False
    ) -> str:
        """Return the rate of the term in LaTeX; a maximum has the rate of the index attaining it.

        Parameters
        ----------
        names : mapping
            LaTeX of the features.
        flow : Flow, optional
            Puts in the rates that it knows; the others are dots.
        alone : bool
            Whether nothing else stands in the formula.
        """
        if flow is None:
            return self._reduced(total_derivative(self.expression), names, rate=True)
        rate = flow.rate(self.expression)
        text = flow.written(rate, names)
        if alone and self.reduce in ("max", "min"):  # a long line that can be broken
            index = "(i, j)" if self.over == "pair" else "i"
            return rf"{text} \quad \text{{where }} {index} \text{{ attains the {self.reduce}imum}}"
        return self._reduced(rate, names, rate=True, text=text)

    def _reduced(
        self, body: sp.Expr, names: Mapping[str, str], rate: bool = False, text: str = ""
    ) -> str:
        text = text or to_latex(body, names)
        if self.reduce is None:
            return text
        if rate and self.reduce != "sum":
            extremum = "argmax" if self.reduce == "max" else "argmin"
            return rf"\left. {text} \right|_{{\operatorname{{{extremum}}}_{{{_INDEX[self.over]}}}}}"
        bracketed = text if not body.is_Add else rf"\left( {text} \right)"
        return rf"{_REDUCTION[self.reduce]}_{{{_INDEX[self.over]}}} {bracketed}"


@dataclass(frozen=True)
class LieDerivative:
    r"""Derivative of a potential along the flow, `grad Phi . f`, derived from its expressions.

    Parameters
    ----------
    rates : tuple of Expr
        Rate of each term's inner expression, in the features and their rates.
        For a maximum or minimum the rate is that of the index that attains it.
    expression : Expr
        In the terms' names and their rates `<term>_dot`.
    """

    rates: tuple[sp.Expr, ...]
    expression: sp.Expr


@dataclass(frozen=True)
class Potential:
    """A function of the state: an outer expression of terms, each reduced over neurons or pairs.

    Parameters
    ----------
    name : str
        The observable's name.
    latex_symbol : str
        How the literature writes it.
    terms : tuple of Term
        Reductions that the outer expression is made of.
    expression : Expr
        Outer expression, in the terms' names and constants.
    domain : str
        Where the potential is defined and differentiable.
    source : Source
        Where it is defined.
    names : mapping
        LaTeX of the features.
    words : str
        What it is, as a title.
    """

    name: str
    latex_symbol: str
    terms: tuple[Term, ...]
    expression: sp.Expr
    domain: str
    source: Source
    names: Mapping[str, str] = field(
        default_factory=lambda: MappingProxyType({}), compare=False, repr=False
    )
    words: str = ""

    def __getstate__(self) -> dict[str, Any]:
        """Return the fields; a mapping proxy cannot be sent to another process."""
        return {**self.__dict__, "names": dict(self.names)}

    @property
    def indexed(self) -> bool:
        """Whether the value is one number a neuron, rather than one a state."""
        return any(term.over != "state" and term.reduce is None for term in self.terms)

    def lie_derivative(self) -> LieDerivative:
        """Derive the rate of change along the flow from the features' rates."""
        return LieDerivative(
            tuple(total_derivative(term.expression) for term in self.terms),
            total_derivative(self.expression),
        )

    def latex(self) -> str:
        """Return the definition in LaTeX, `symbol = expression`."""
        body = to_latex(self.expression, {**self.names, **self._written(self.expression)})
        return f"{self.latex_symbol} = {body}"

    def lie_latex(self, flow: Flow | None = None) -> str:
        """Return the Lie derivative in LaTeX.

        Parameters
        ----------
        flow : Flow, optional
            The flow in the quantities of the proofs, which is put in for the rates; without it,
            and where it does not know a rate, a dot is the rate along the flow.
        """
        expression = self.lie_derivative().expression
        sign = self.latex_symbol
        bracketed = rf"\left( {sign} \right)" if "/" in sign else sign
        return rf"\frac{{d}}{{dt}} {bracketed} = {self._rate_written(expression, flow)}"

    def _rate_written(self, expression: sp.Expr, flow: Flow | None) -> str:
        """LaTeX of the rate; sums that the flow knows are multiplied by what stands before them."""
        if flow is None:
            return to_latex(expression, {**self.names, **self._written(expression)})
        rates = {
            rate_symbol(symbol(term.name)): flow.rates.get(term.name, flow.rate(term.expression))
            for term in self.terms
            if term.reduce is None or term.name in flow.rates
        }
        put = expression.xreplace(rates)
        return flow.written(put, {**self.names, **self._written(put, flow)})

    def _written(self, expression: sp.Expr, flow: Flow | None = None) -> dict[str, str]:
        """LaTeX of the terms and their rates, in brackets where they meet other factors."""
        written = {}
        for term in self.terms:
            one = expression.is_Symbol or (term.reduce is None and term.expression.is_Symbol)
            left, right = ("", "") if one else (r"\left(", r"\right)")
            written[term.name] = f"{left}{term.latex(self.names)}{right}"
            rate = term.rate_latex(self.names, flow, expression.is_Symbol)
            written[f"{term.name}_dot"] = f"{left}{rate}{right}"
        return written

    def __str__(self) -> str:
        """Return one line: name, definition, source."""
        return f"{self.name}: {self.latex()}  [{self.source}]"

    def __repr__(self) -> str:
        """Return the same line."""
        return str(self)


def single(name: str, over: Over, expression: sp.Expr, reduce: Reduce | None) -> tuple[Term, ...]:
    """Return the terms of a potential that is one reduction, named like the potential."""
    return (Term(name, over, expression, reduce),)
