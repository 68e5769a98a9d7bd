"""Gradient and Hessian: the programs that a run evaluates, written out."""

from __future__ import annotations

from typing import Any

import sympy as sp
from sympy.matrices.expressions.matexpr import MatrixElement

from symbolic.evidence.derivation import Derivation, Step
from symbolic.language.averages.expectation import Expectation
from symbolic.language.blocks import Block
from symbolic.language.matrices import matrix_gradient
from symbolic.language.program import gradient, tangent
from symbolic.systems.own.check import Check
from symbolic.systems.own.loss import Loss, simplest

__all__ = ["SOURCE", "anew", "as_matrix", "definition", "gradient_of", "hessian_of", "slopes_of"]

SOURCE = "this loss; derived here"
AVERAGE = "derivatives are taken inside the expectation"


def gradient_of(loss: Loss) -> Derivation:
    """Gradient by each block, as a matrix where the loss is written in traces."""
    steps = [definition(loss, loss.symbol, loss.expression, loss.value, "the loss")]
    slopes = dict(zip(loss.names, slopes_of(loss), strict=True))
    for block in loss.blocks:
        whole = loss.in_blocks[block]
        compact = as_matrix(loss, block)
        if compact is not None:
            label = loss.quantity(f"∇_{block.name} L", rf"\nabla_{{{sp.latex(block)}}} L")
            known = {label: whole.applyfunc(lambda s: sp.diff(loss.value, s))}
            rule = f"gradient by {block.name}, by the adjoint of each operation"
            steps.append(Step(label, compact, rule, check=Check(loss, known)))
        for s in () if compact is not None else _each(whole):
            side = sp.Derivative(loss.symbol, s, evaluate=False)
            rule = f"derivative by {s.name}"
            steps.append(Step(side, slopes[s], rule, **anew(loss), check=Check(loss)))
    return Derivation("gradient", SOURCE, tuple(steps), heading="The loss and its gradient")


def definition(loss: Loss, name: Any, given: Any, entries: sp.Expr, rule: str) -> Step:
    """What a name stands for: as it was given in matrices, or in entries."""
    plain = isinstance(given, sp.Expr) and not given.has(Expectation)
    in_matrices = plain and not given.has(MatrixElement) and given.has(sp.MatrixSymbol)
    side = given if in_matrices else entries
    return Step(name, side, rule, check=Check(loss, {name: entries}, defines=True))


def _each(whole: Any) -> tuple[sp.Symbol, ...]:
    return tuple(whole) if isinstance(whole, sp.MatrixBase) else (whole,)


def anew(loss: Loss) -> dict[str, Any]:
    """Arguments of a step that begins anew: what it takes under an expectation."""
    return {"assumptions": (AVERAGE,) if loss.averaged else ()}


def slopes_of(loss: Loss) -> list[sp.Expr]:
    """Derivatives by each entry: what a run evaluates, written out."""
    plain = gradient(loss.form.plain, loss.y).expressions[1:]
    inner = gradient(loss.form.integrand, loss.y).expressions[1:]
    return [loss.joined(simplest(a), simplest(b)) for a, b in zip(plain, inner, strict=True)]


def as_matrix(loss: Loss, block: Block, of: Any = None) -> Any | None:
    """Gradient of the loss, or of a potential, by a block as a matrix expression."""
    expression = loss.expression if of is None else of
    if not isinstance(block, sp.MatrixSymbol) or not isinstance(expression, sp.Expr):
        return None
    found = matrix_gradient(expression, block)
    return found if isinstance(found, sp.MatrixExpr) else None


def hessian_of(loss: Loss) -> Derivation:
    """Hessian in the order of the entries."""
    n = len(loss.y)
    directions = [sp.Symbol(f"_v{k}", real=True) for k in range(n)]
    parts = [
        tangent(gradient(f, loss.y), loss.y, directions).expressions[1:]
        for f in (loss.form.plain, loss.form.integrand)
    ]

    def entry(i: int, j: int) -> sp.Expr:
        # Above the diagonal only, so that equal entries have equal expressions.
        row, direction = min(i, j), max(i, j)
        unit = {v: sp.Integer(k == direction) for k, v in enumerate(directions)}
        return loss.joined(*(simplest(rates[row].xreplace(unit)) for rates in parts))

    found = sp.ImmutableMatrix(n, n, entry)
    label = loss.quantity("∇² L", r"\nabla^2 L")
    known = {label: sp.ImmutableMatrix(sp.hessian(loss.value, loss.names))}
    rule = "second derivatives, entries in the order of the blocks"
    step = Step(label, found, rule, **anew(loss), check=Check(loss, known))
    return Derivation("Hessian", SOURCE, (step,), heading="The Hessian of the loss")
