r"""Derivation of a loss of one's own: closed form, gradient, Hessian, Lie derivatives, invariants.

.. math:: \frac{d}{dt} \Phi(y) = -\langle \nabla \Phi(y), \nabla L(y) \rangle

The right sides of the gradient and of the Hessian are those of the programs that a run evaluates
(:mod:`symbolic.language.program`, backwards); the evidence differentiates the loss forwards.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from symbolic.evidence.derivation import Derivation, Document
from symbolic.language.blocks import Block, entries
from symbolic.systems.own.derivatives import gradient_of, hessian_of
from symbolic.systems.own.expectations import closed
from symbolic.systems.own.loss import Loss, in_entries, shown
from symbolic.systems.own.rates import Kept, invariants, rate_of

__all__ = ["MOST_ENTRIES", "derive", "derive_kept"]

#: A loss of more entries has no derivation that can be read.
MOST_ENTRIES = 40
# A Hessian of more entries fills pages.
MOST_OF_HESSIAN = 6


def derive(
    name: str,
    blocks: Sequence[Block],
    expression: Any,
    potentials: Mapping[str, Any] | Sequence[tuple[str, Any]] = (),
    kept: Kept | None = None,
) -> Document:
    r"""Derive what the gradient flow of a loss is made of.

    Parameters
    ----------
    name : str
        For the title.
    blocks : sequence of Symbol or MatrixSymbol
        What moves.
    expression : Expr
        The loss, see :func:`symbolic.language.blocks.explicit`.
    potentials : mapping of str to Expr, optional
        Functions of the blocks; expectations in them must have a closed form.
    kept : Kept, optional
        What the flow is known to keep.

    Returns
    -------
    Document
        Derivations in this order: each expectation in closed form (proved by the moments of a
        Gaussian, or by composition of kernels, whose derivations come first); the gradient, as a
        matrix where the loss is written in traces; the Hessian of up to 6 entries; the rate of each
        potential along the flow, substituted and simplified, with ``= 0`` or its sign where that is
        proved (of a polynomial also by a sum of squares in fractions; sampled, with the reason,
        where no point refutes a sign that is not proved); what the flow keeps: what is given, or
        each quadratic ``y'Xy`` that a linear symmetry of the loss conserves.

    Raises
    ------
    ValueError
        For more than 40 entries.

    Notes
    -----
    Entries are counted from one: ``W_12`` is the second one of the first row.
    An expectation without a closed form stays one, with its derivatives inside.

    Examples
    --------
    >>> import sympy as sp
    >>> u, v = sp.symbols("u v")
    >>> document = derive("scalar", [u, v], (u * v - 1) ** 2 / 2, {"balance": u**2 - v**2})
    >>> document.verify().derivations[2].steps[1]
    <Step 'minus the inner product of the gradients of balance and of the loss': PROVED>
    >>> document.derivations[2].result
    0
    """
    # Before the loss is written in its entries, which takes long where they are many.
    if (count := sum(len(entries(block)) for block in blocks)) > MOST_ENTRIES:
        raise ValueError(
            f"expected at most {MOST_ENTRIES} entries, got {count}; derive a smaller case of the"
            " same loss"
        )
    loss = _loss(blocks, expression)
    pairs = tuple(dict(potentials).items())
    derivations = [
        *closed(loss),
        gradient_of(loss),
        *([hessian_of(loss)] if len(loss.y) <= MOST_OF_HESSIAN else []),
        *(rate_of(loss, label, given) for label, given in pairs),
        *invariants(loss, kept),
    ]
    return Document(name, tuple(derivations))


def derive_kept(blocks: Sequence[Block], expression: Any, kept: Kept) -> tuple[Derivation, ...]:
    """Derive only what a flow is known to keep."""
    return tuple(invariants(_loss(blocks, expression), kept))


def _loss(blocks: Sequence[Block], expression: Any) -> Loss:
    y = tuple(s for block in blocks for s in entries(block))
    return Loss(tuple(blocks), y, shown(blocks), expression, in_entries(expression, blocks))
