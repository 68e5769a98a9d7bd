"""The quartic well `L(y) = |y|^4 / 4`: its gradient and the flow of `|y|^2`."""

from __future__ import annotations

import sympy as sp

from symbolic.evidence.derivation import Derivation, Document, Step

__all__ = ["SQUARE", "derive", "loss"]

SQUARE = sp.Symbol("s", positive=True)  # |y|^2
SOURCE = "textbook; derived here"


def loss() -> sp.Expr:
    """Return the loss as a function of `s = |y|^2`; the flow depends on nothing else."""
    return SQUARE**2 / 4


def derive() -> Document:
    """Derive what the solver runs and what the claims state.

    Returns
    -------
    Document
        Steps for any dimension: one entry `y` against the sum `r` of the other squares.
    """
    y = sp.Symbol("y", real=True)
    r = sp.Symbol("r", nonnegative=True)
    whole = loss().subs(SQUARE, y**2 + r)
    slope = (2 * sp.diff(loss(), SQUARE)).subs(SQUARE, y**2 + r)
    gradient = Derivation(
        "gradient of the quartic well",
        SOURCE,
        (
            Step(sp.diff(whole, y), slope * y, "chain rule in one entry of y", fresh=True),
            Step(slope * y, (y**2 + r) * y, "dL/ds = s/2"),
        ),
    )
    velocity = -2 * sp.diff(loss(), SQUARE)  # dy/dt = velocity y
    law = Derivation(
        "flow of the squared length",
        SOURCE,
        (Step(2 * velocity * SQUARE, -2 * SQUARE**2, "ds/dt = 2 <y, dy/dt>", fresh=True),),
    )
    return Document("quartic", (gradient, law))
