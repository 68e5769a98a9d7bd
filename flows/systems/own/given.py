"""What a user gives for an own system, checked in one line each, and the loss that it makes."""

from __future__ import annotations

import functools
import hashlib
from typing import Any

import sympy as sp

from flows.core.errors import InputError
from flows.systems.field.blocks import (
    MAX_ENTRIES,
    Pairs,
    check_expression,
    check_names,
    closed_form,
    count,
    derived,
    entries_of,
)
from flows.systems.own.boxes import over_cube
from flows.systems.own.infinite import not_finite_anywhere
from flows.systems.own.loss import Loss
from flows.systems.own.matrix_loss import MatrixLoss
from flows.systems.own.measured import Measured, Places
from flows.systems.own.moving import cells_of
from flows.systems.own.numeric import check_doubles, numeric
from flows.systems.own.spheres import over_sphere
from symbolic.language.averages.expectation import Expectation
from symbolic.language.averages.kinks import has_kinks
from symbolic.language.averages.rows import Rows
from symbolic.language.averages.uniform import Cube, Rademacher, Sphere
from symbolic.language.blocks import Block, Explicit, explicit
from symbolic.language.program import NotSmooth
from symbolic.lemmas.activation_mean import activation_mean

__all__ = ["ARITHMETIC", "check", "closed", "loss_of"]

ARITHMETIC = ("auto", "balls", "doubles")


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

    :class:`flows.OwnSystem` explains the parameters.

    Raises
    ------
    InputError
        For the first thing that is wrong.
    """
    check_names(name, blocks, potentials, claims, marks, constants)
    if arithmetic not in ARITHMETIC:
        raise InputError(f"arithmetic must be one of {', '.join(ARITHMETIC)}, got {arithmetic!r}")
    check_expression("the loss", name, expression)
    derived("the loss", name, lambda: _check_loss(loss_of(blocks, expression), expression))
    for potential, formula in potentials:
        check_expression(f"potential {potential!r}", name, formula)
        derive = functools.partial(_check_potential, blocks, formula)
        derived(f"potential {potential!r}", name, derive)


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
            " at a kink of the integrand: take a smooth function, or a density such as Gaussian"
        ) from None
    if isinstance(loss, Loss) and loss.averaged and (problem := not_finite_anywhere(loss)):
        raise ValueError(problem)


def _check_potential(blocks: tuple[Block, ...], expression: Any) -> None:
    """Derive and compile a potential, or raise what prevents it."""
    if count(blocks) > MAX_ENTRIES:
        return loss_of(blocks, expression).check()
    formula, symbols = closed(blocks, expression), entries_of(blocks)
    check_doubles(formula, numeric(formula, symbols), len(symbols))
    return None


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
    """The average of a loss over rows, a sphere or a cube, or of an integrand with kinks."""
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
    return closed_form(blocks, expression)
