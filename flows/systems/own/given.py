"""What a user gives for an own system, checked in one line each, and the loss that it makes."""

from __future__ import annotations

import functools
import hashlib
import math
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import sympy as sp

from flows.core.errors import InputError
from flows.systems.own.boxes import over_cube
from flows.systems.own.infinite import not_finite_anywhere
from flows.systems.own.loss import Loss
from flows.systems.own.matrix_loss import MatrixLoss
from flows.systems.own.measured import Measured, Places
from flows.systems.own.moving import cells_of
from flows.systems.own.names import is_name, is_word
from flows.systems.own.numeric import check_doubles, numeric
from flows.systems.own.spheres import over_sphere
from potentials import SYSTEMS, Claim, Mark
from potentials.notation import CONSTANTS
from symbolic.language.averages.expectation import Expectation
from symbolic.language.averages.kinks import has_kinks
from symbolic.language.averages.rows import Rows
from symbolic.language.averages.uniform import Cube, Rademacher, Sphere
from symbolic.language.blocks import Block, Explicit, entries, explicit, shape
from symbolic.language.program import NotSmooth
from symbolic.lemmas.activation_mean import activation_mean

__all__ = [
    "ARITHMETIC",
    "MAX_ENTRIES",
    "Pairs",
    "check",
    "closed",
    "count",
    "entries_of",
    "frozen",
    "loss_of",
    "pairs",
]

#: A mapping as a tuple, which can be a key.
Pairs = tuple[tuple[Any, Any], ...]

#: Entries of a loss that is written out in them.
MAX_ENTRIES = 500
# Entries of a loss in traces, for which matrices suffice.
MAX_IN_TRACES = 2000
ARITHMETIC = ("auto", "balls", "doubles")

# What SymPy raises for what it cannot work with.
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


def frozen(expression: Any) -> Any:
    """Expression that can be a key: a matrix cannot while it may change."""
    mutable = isinstance(expression, sp.MatrixBase)
    return sp.ImmutableMatrix(expression) if mutable else expression


def entries_of(blocks: Sequence[Block]) -> tuple[sp.Symbol, ...]:
    """All entries of the blocks, in their order and row by row."""
    return tuple(s for block in blocks for s in entries(block))


def count(blocks: Sequence[Block]) -> int:
    """Entries of all blocks."""
    return sum(math.prod(shape(block)) for block in blocks)


def check(
    name: Any,
    blocks: tuple[Any, ...],
    expression: Any,
    potentials: Pairs,
    claims: tuple[Any, ...],
    marks: tuple[Any, ...],
    constants: Pairs,
    arithmetic: Any,
) -> None:
    """Derive and compile everything that a user gives, or tell in one line what is wrong with it.

    The parameters are those of :class:`flows.OwnSystem`.

    Raises
    ------
    InputError
        For the first thing that is wrong.
    """
    if not is_word(name) or name in SYSTEMS:
        raise InputError(
            f"name must be a plain word that is not {', '.join(SYSTEMS)}, got {name!r}"
        )
    _check_blocks(blocks)
    for label, known, kind in (("claims", claims, Claim), ("marks", marks, Mark)):
        for one in known:
            if not isinstance(one, kind):
                raise InputError(f"{label} must hold {kind.__name__} objects, got {one!r}")
    for constant, value in constants:
        if constant not in CONSTANTS or not _real(value):
            raise InputError(
                f"constants must be numbers named {', '.join(sorted(CONSTANTS))},"
                f" got {constant!r}: {value!r}"
            )
    if arithmetic not in ARITHMETIC:
        raise InputError(f"arithmetic must be one of {', '.join(ARITHMETIC)}, got {arithmetic!r}")
    _check_expression("the loss", name, expression)
    _derived("the loss", name, lambda: _check_loss(loss_of(blocks, expression), expression))
    for label, given in (("potentials", potentials), ("constants", constants)):
        keys = [str(key) for key, _ in given]
        if len(set(keys)) < len(keys):
            raise InputError(f"{label} must have names of their own, got {', '.join(keys)}")
    for potential, formula in potentials:
        if not is_name(potential):
            raise InputError(
                f"potential {potential!r} needs another name: a plain word, without the"
                " endings _dot, _0, _end, _T1, _T2, and not reserved"
            )
        _check_expression(f"potential {potential!r}", name, formula)
        derive = functools.partial(_check_potential, blocks, formula)
        _derived(f"potential {potential!r}", name, derive)


def _check_loss(loss: Loss | MatrixLoss, expression: Any) -> None:
    """Derive and compile a loss, or raise what prevents it."""
    try:
        loss.check()
    except NotSmooth as kink:
        if not any(
            e.has(Rows, Rademacher) for e in sp.sympify(expression, strict=True).atoms(Expectation)
        ):
            raise
        raise ValueError(
            f"{kink}; an average over rows of data, or over signs, has kinks where one of them is"
            " at a kink of what is averaged: take a smooth function, or a density such as Gaussian"
        ) from None
    if isinstance(loss, Loss) and loss.averaged and (told := not_finite_anywhere(loss)):
        raise ValueError(told)


def _check_expression(label: str, name: str, given: Any) -> None:
    if not isinstance(given, (sp.Basic, int, float)):
        raise InputError(
            f"{label} of {name} must be a SymPy expression in the symbols of its blocks,"
            f" got {type(given).__name__} {given!r}"
        )


def _check_blocks(blocks: tuple[Any, ...]) -> None:
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


def _check_potential(blocks: tuple[Block, ...], expression: Any) -> None:
    """Derive and compile a potential, or raise what prevents it."""
    if count(blocks) > MAX_ENTRIES:
        return loss_of(blocks, expression).check()
    formula, symbols = closed(blocks, expression), entries_of(blocks)
    check_doubles(formula, numeric(formula, symbols), len(symbols))
    return None


def _real(value: Any) -> bool:
    number = isinstance(value, (int, float, sp.Number)) and not isinstance(value, bool)
    return number and math.isfinite(value)


def _derived(label: str, name: str, derive: Callable[[], None]) -> None:
    """Derive, or tell in one line why that is not possible."""
    try:
        derive()
    except REFUSALS as problem:  # no expression, or none that can be differentiated or printed
        line = " ".join(str(problem).split())
        raise InputError(f"{label} of {name} cannot be used: {line}") from None


@functools.lru_cache(maxsize=64)
def loss_of(blocks: tuple[Block, ...], expression: Any) -> Loss | MatrixLoss:
    """The :class:`Loss`, in entries; beyond 500 the :class:`MatrixLoss`."""
    if count(blocks) > MAX_ENTRIES:
        text = sp.srepr((blocks, expression))
        return MatrixLoss(blocks, expression, hashlib.sha256(text.encode()).hexdigest())
    symbols = entries_of(blocks)
    form = explicit(expression, blocks, activation_mean, sums=True)
    known = form if form.density is not None else form[:3]
    text = sp.srepr((symbols, *known))
    fingerprint = hashlib.sha256(text.encode()).hexdigest()
    return Loss(symbols, form, fingerprint, _measured(form, symbols))


def _measured(form: Explicit, symbols: tuple[sp.Symbol, ...]) -> Measured | None:
    """The average of a loss over rows, a sphere or a cube, or of what has kinks in its numbers."""
    if isinstance(form.density, Sphere):
        return over_sphere(float(form.density.args[0]), form.integrand, form.x, symbols)
    if isinstance(form.density, Cube):
        ends = tuple((float(a), float(b)) for a, b in form.density.ends(len(form.x)))
        return over_cube(ends, form.integrand, form.x, symbols)
    if form.density is not None:
        return Measured(form.integrand, form.x, symbols, Places(form.density, len(form.x)))
    if not has_kinks(form.integrand, form.x):
        return None
    try:
        return cells_of(form.integrand, form.x, symbols)
    except ValueError:
        if has_kinks(form.integrand, form.x, pieces=False):
            raise
        return None  # pieces that may be smooth together


@functools.lru_cache(maxsize=256)
def closed(blocks: tuple[Block, ...], expression: Any) -> Any:
    """Potential in the entries; of many entries, in matrices."""
    if count(blocks) > MAX_ENTRIES:
        return loss_of(blocks, expression)
    form = explicit(expression, blocks, activation_mean)
    if form.integrand != 0:
        raise ValueError("its expectation has no closed form; only the loss may take quadrature")
    return form.plain
