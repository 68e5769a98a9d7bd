"""A loss in entries, and how it is written on paper."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import sympy as sp
from sympy.core.symbol import Str
from sympy.printing.pretty.stringpict import prettyForm

from symbolic.language.averages.expectation import Expectation
from symbolic.language.blocks import Block, Explicit, entries, explicit
from symbolic.language.factors import factored
from symbolic.language.latex import raised
from symbolic.lemmas.activation_mean import activation_mean

__all__ = ["Loss", "Quantity", "in_entries", "joined", "numbers_of", "shown", "simplest", "split"]

# Larger expressions are not put in their simplest form: polynomials, others.
SIMPLE, SIMPLE_OTHER = 2000, 60


class Quantity(sp.Function):
    """Function of the entries that is shown by its name: `Quantity(text, LaTeX, *entries)`."""

    @property
    def free_symbols(self) -> set[Any]:
        """None: the entries are not shown."""
        return set()

    def _latex(self, printer: Any, exp: Any = None) -> str:
        return raised(self.args[1].name, exp)

    def _sympystr(self, printer: Any) -> str:
        return str(self.args[0].name)

    def _pretty(self, printer: Any) -> Any:
        return prettyForm(self.args[0].name)


def in_entries(expression: Any, blocks: Sequence[Block]) -> Explicit:
    """Expression in entries; expectations of activations in closed form."""
    return explicit(expression, blocks, activation_mean)


@dataclass(frozen=True)
class Loss:
    """A loss in entries, and the symbols that stand for them on paper."""

    blocks: tuple[Block, ...]
    y: tuple[sp.Symbol, ...]
    names: tuple[sp.Symbol, ...]
    expression: Any
    form: Explicit

    @property
    def on_paper(self) -> dict[Any, Any]:
        """Symbols on paper by entry."""
        return dict(zip(self.y, self.names, strict=True))

    @property
    def value(self) -> sp.Expr:
        """The loss in the symbols on paper."""
        return self.joined(self.form.plain, self.form.integrand)

    @property
    def numbers(self) -> tuple[Any, ...]:
        """The Gaussian numbers as they are written on paper."""
        return tuple(numbers_of(self.blocks, self.form.x).values())

    def joined(self, plain: sp.Expr, integrand: sp.Expr) -> sp.Expr:
        """A part without expectation and what is averaged, in the symbols on paper."""
        put = {**self.on_paper, **numbers_of(self.blocks, self.form.x)}
        return joined(plain.xreplace(put), integrand.xreplace(put), self.numbers)

    @property
    def symbol(self) -> Any:
        """The loss as a name."""
        return self.quantity("L", "L")

    def quantity(self, text: str, latex: str) -> Any:
        """Function of the entries with this name."""
        return Quantity(Str(text), Str(latex), *self.names)

    @property
    def averaged(self) -> bool:
        """Whether an expectation has no closed form."""
        return bool(self.form.integrand != 0)

    @property
    def in_blocks(self) -> dict[Any, Any]:
        """Matrices of the symbols on paper, by block."""
        found, rest = {}, list(self.names)
        for block in self.blocks:
            if isinstance(block, sp.MatrixSymbol):
                size = int(block.rows * block.cols)
                found[block] = sp.ImmutableMatrix(block.rows, block.cols, rest[:size])
                rest = rest[size:]
            else:
                found[block] = rest.pop(0)
        return found


def shown(blocks: Sequence[Block]) -> tuple[sp.Symbol, ...]:
    """Real symbols of the entries as they are written on paper."""
    names = []
    for block in blocks:
        if isinstance(block, sp.Symbol):
            names.append(block.name)
            continue
        comma = "," if max(block.shape) > 9 else ""
        for i in range(1, int(block.rows) + 1):
            for j in range(1, int(block.cols) + 1):
                place = f"{i}" if block.cols == 1 else f"{i}{comma}{j}"
                names.append(f"{block.name}_{place}")
    if len(set(names)) < len(names):  # a scalar is named like an entry
        names = [s.name for block in blocks for s in entries(block)]
    return tuple(sp.Symbol(name, real=True) for name in names)


def numbers_of(blocks: Sequence[Block], x: Sequence[sp.Symbol]) -> dict[Any, Any]:
    """Symbols of Gaussian numbers on paper, none of them a block's."""
    taken = {s.name[0] for s in shown(blocks)}
    letter = next((c for c in "xzgX" if c not in taken), "xi")
    names = [letter] if len(x) == 1 else [f"{letter}_{k}" for k in range(1, len(x) + 1)]
    return {s: sp.Symbol(name, real=True) for s, name in zip(x, names, strict=True)}


def joined(plain: sp.Expr, integrand: sp.Expr, x: Sequence[sp.Symbol]) -> sp.Expr:
    """Sum of a part without expectation and the expectation of another."""
    return plain if integrand == 0 else plain + Expectation(integrand, sp.Tuple(*x))


def split(expression: sp.Expr) -> tuple[sp.Expr, sp.Expr]:
    """The part without expectations, and what is averaged; linear in expectations."""
    nodes = sorted(expression.atoms(Expectation), key=sp.default_sort_key)
    symbols = {node: sp.Dummy(real=True) for node in nodes}
    left = expression.xreplace(symbols)
    averaged = sp.Add(*(sp.diff(left, s) * node.integrand for node, s in symbols.items()))
    return left.xreplace(dict.fromkeys(symbols.values(), sp.S.Zero)), averaged


def simplest(expression: sp.Expr) -> sp.Expr:
    """The shortest of a few forms."""
    most = SIMPLE if expression.is_polynomial() else SIMPLE_OTHER
    if expression.count_ops() > most:
        return expression
    forms = [expression, sp.expand(expression)]
    forms.append(factored(forms[1]))
    return min(forms, key=sp.count_ops)
