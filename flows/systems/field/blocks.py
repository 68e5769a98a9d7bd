"""Blocks that move, as a person names them, and expressions of them in closed form."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import sympy as sp

from flows.core.errors import InputError
from flows.systems.field.names import is_word, refused
from potentials import SYSTEMS, Claim, Mark
from symbolic.language.blocks import Block, entries, explicit, shape
from symbolic.lemmas.activation_mean import activation_mean

__all__ = [
    "MAX_ENTRIES",
    "MAX_IN_TRACES",
    "REFUSALS",
    "Pairs",
    "check_blocks",
    "check_expression",
    "check_names",
    "closed_form",
    "count",
    "derived",
    "entries_of",
    "frozen",
    "hold_tuples",
    "is_real",
    "listed",
    "pairs",
]

#: A mapping as a tuple, which can be a key.
Pairs = tuple[tuple[Any, Any], ...]

#: Entries of a loss that is written out in them.
MAX_ENTRIES = 500
#: Entries of a loss in traces, for which matrices suffice.
MAX_IN_TRACES = 2000

#: What SymPy raises for what it cannot work with.
REFUSALS = (ValueError, TypeError, AttributeError, NotImplementedError, ArithmeticError)


def pairs(label: str, given: Any) -> Pairs:
    """Mapping, or pairs, as a tuple."""
    if isinstance(given, Mapping):
        return tuple(given.items())
    try:
        if isinstance(given, str):
            raise TypeError
        return tuple((key, value) for key, value in given)
    except (TypeError, ValueError):
        raise InputError(f"{label} must be a mapping, got {given!r}") from None


def listed(label: str, given: Any) -> tuple[Any, ...]:
    """Sequence as a tuple."""
    try:
        return tuple(given)
    except TypeError:
        raise InputError(f"{label} must be a list, got {given!r}") from None


def hold_tuples(system: Any, mappings: Sequence[str]) -> None:
    """Let fields of a frozen system that hold lists and mappings hold tuples, which can be keys."""
    for label in ("blocks", "claims", "marks"):
        object.__setattr__(system, label, listed(label, getattr(system, label)))
    object.__setattr__(system, "settings", pairs("settings", system.settings))
    for label in mappings:
        known = pairs(label, getattr(system, label) or ())
        object.__setattr__(system, label, tuple((key, frozen(x)) for key, x in known))
    numbers = {key for key, x in (*system.settings, *system.constants) if not isinstance(x, str)}
    if both := [key for key, _ in system.potentials if key in numbers]:
        raise InputError(f"potential {both[0]!r} needs another name: a parameter has this one")


def frozen(expression: Any) -> Any:
    """Expression that can be a key: a matrix cannot while it may change, nor a number of Python."""
    if isinstance(expression, (int, float)) and not isinstance(expression, bool):
        return sp.sympify(expression, strict=True)
    mutable = isinstance(expression, sp.MatrixBase)
    return sp.ImmutableMatrix(expression) if mutable else expression


def entries_of(blocks: Sequence[Block]) -> tuple[sp.Symbol, ...]:
    """All entries of the blocks, in their order and row by row."""
    return tuple(s for block in blocks for s in entries(block))


def count(blocks: Sequence[Block]) -> int:
    """Entries of all blocks."""
    return sum(math.prod(shape(block)) for block in blocks)


def check_blocks(blocks: tuple[Any, ...]) -> None:
    """Refuse what is no list of blocks with names of their own, or one of too many entries."""
    names = [getattr(block, "name", None) for block in blocks]
    for block, name in zip(blocks, names, strict=True):
        if not isinstance(block, (sp.Symbol, sp.MatrixSymbol)) or not is_word(name):
            raise InputError(
                f"blocks must be Symbols or MatrixSymbols with plain names, got {block!r}"
            )
        if isinstance(block, sp.MatrixSymbol) and not all(k.is_Integer for k in block.shape):
            raise InputError(f"block {name} must have a shape of numbers, got {block.shape}")
    if not names or len(set(names)) < len(names):
        raise InputError(f"blocks must have names of their own, got {names}")
    if (size := count(blocks)) > MAX_IN_TRACES:
        raise InputError(
            f"blocks have {size} entries, at most {MAX_ENTRIES} are possible, and"
            f" {MAX_IN_TRACES} of a loss in traces of matrices; take smaller ones"
        )


def check_names(
    name: Any,
    blocks: tuple[Any, ...],
    potentials: Pairs,
    claims: tuple[Any, ...],
    marks: tuple[Any, ...],
    constants: Pairs,
) -> None:
    """Refuse names that cannot be used, of a system and of what it is given.

    The parameters are those of :class:`flows.OwnSystem` and :class:`flows.ODE`.
    """
    if not is_word(name) or name in SYSTEMS:
        raise InputError(
            f"name must be a plain word that is not {', '.join(SYSTEMS)}, got {name!r}"
        )
    check_blocks(blocks)
    for label, known, kind in (("claims", claims, Claim), ("marks", marks, Mark)):
        for one in known:
            if not isinstance(one, kind):
                raise InputError(f"{label} must hold {kind.__name__} objects, got {one!r}")
    for constant, value in constants:
        if why := refused(constant) or ("" if is_real(value) else f"{value!r} is no number"):
            raise InputError(f"constants: expected numbers by their names, got {constant!r}: {why}")
    for label, given in (("potentials", potentials), ("constants", constants)):
        keys = [str(key) for key, _ in given]
        if len(set(keys)) < len(keys):
            raise InputError(f"{label} must have names of their own, got {', '.join(keys)}")
    for potential, _ in potentials:
        if why := refused(potential):
            raise InputError(f"potential {potential!r} needs another name: {why}")


def is_real(value: Any) -> bool:
    """Whether a value is a finite real number, of Python or of SymPy."""
    number = isinstance(value, (int, float, sp.Number)) and not isinstance(value, bool)
    return number and math.isfinite(value)


def check_expression(label: str, name: str, given: Any) -> None:
    """Refuse what is no expression."""
    if not isinstance(given, (sp.Basic, int, float)):
        raise InputError(
            f"{label} of {name} must be a SymPy expression in the symbols of its blocks,"
            f" got {type(given).__name__} {given!r}"
        )


def derived(label: str, name: str, derive: Callable[[], Any]) -> Any:
    """Derive, or say in one line why that is not possible."""
    try:
        return derive()
    except REFUSALS as problem:  # no expression, or none that can be differentiated or printed
        line = " ".join(str(problem).split())
        raise InputError(f"{label} of {name} cannot be used: {line}") from None


def closed_form(blocks: Sequence[Block], expression: Any) -> sp.Expr:
    """An expression in the entries, with its averages in closed form.

    Raises
    ------
    ValueError
        For an average without one.
    """
    form = explicit(expression, blocks, activation_mean)
    if form.integrand != 0:
        raise ValueError("its expectation has no closed form; only the loss may take quadrature")
    return form.plain
