r"""Deep linear chains: both parts of the loss, their gradients, and conserved quantities.

The chain `W = W_N ... W_1` is fitted to `Sigma` by the flow `dW_j/dt = -grad_j (L_ori + L_reg)`.
Statements for every depth `N` write the chain around one layer: `X = W_j` with `Y = W_{j+1}` and
`Z = W_{j-1}` next to it, and one letter for each product of the others. A letter may be the
identity, so the end layers are included; there the weight `a_j` of the pair that is missing is
zero. All statements hold for complex matrices and, word for word, for real ones.

Source: Luo, Xu, Gao, Fazel & Du, arXiv 2511.09925.
"""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise

import sympy as sp

from symbolic.language.matrix_calculus import adjoint, letters, squared_norm

__all__ = [
    "PAPER",
    "STRENGTH",
    "TARGET",
    "balance_gradient",
    "balance_gradient_at",
    "balance_loss",
    "chain",
    "defect",
    "defects",
    "fit_gradient",
    "fit_gradient_at",
    "fit_loss",
    "gradient_flow",
    "layers",
]

PAPER = "Luo, Xu, Gao, Fazel & Du, arXiv 2511.09925"
(TARGET,) = letters("Sigma")
STRENGTH = sp.Symbol("a", positive=True)


def layers(depth: int) -> tuple[sp.Symbol, ...]:
    """Letters `W_1, ..., W_N`.

    Parameters
    ----------
    depth : int
        Number of layers `N`.

    Returns
    -------
    tuple of Symbol
        The first layer first.
    """
    return letters(f"W_1:{depth + 1}")


def chain(factors: Sequence[sp.Expr]) -> sp.Expr:
    """Product `W_N ... W_1` of layers that are given first layer first.

    Parameters
    ----------
    factors : sequence of Expr
        `W_1, ..., W_N`; none for the identity.

    Returns
    -------
    Expr
        The end-to-end matrix.
    """
    return sp.Mul(*reversed(factors))


def fit_loss(factors: Sequence[sp.Expr]) -> sp.Expr:
    """`L_ori = 1/2 |Sigma - W|_F^2`.

    Parameters
    ----------
    factors : sequence of Expr
        `W_1, ..., W_N`.

    Returns
    -------
    Expr
        A trace.
    """
    return squared_norm(TARGET - chain(factors)) / 2


def defects(factors: Sequence[sp.Expr]) -> tuple[sp.Expr, ...]:
    """`Delta_{j,j+1} = W_j W_j^H - W_{j+1}^H W_{j+1}` for `j = 1, ..., N-1`.

    Parameters
    ----------
    factors : sequence of Expr
        `W_1, ..., W_N`.

    Returns
    -------
    tuple of Expr
        Hermitian matrices, all zero for a balanced chain.
    """
    return tuple(defect(w, after) for w, after in pairwise(factors))


def balance_loss(factors: Sequence[sp.Expr]) -> sp.Expr:
    """`L_reg = a/4 sum_j |Delta_{j,j+1}|_F^2`.

    Parameters
    ----------
    factors : sequence of Expr
        `W_1, ..., W_N`.

    Returns
    -------
    Expr
        A sum of traces.
    """
    return STRENGTH / 4 * sp.Add(*(squared_norm(d) for d in defects(factors)))


def fit_gradient(factors: Sequence[sp.Expr]) -> tuple[sp.Expr, ...]:
    """`grad_j L_ori = -(W_N ... W_{j+1})^H (Sigma - W) (W_{j-1} ... W_1)^H`.

    Parameters
    ----------
    factors : sequence of Expr
        `W_1, ..., W_N`.

    Returns
    -------
    tuple of Expr
        One matrix for each layer.
    """
    return tuple(
        fit_gradient_at(chain(factors[j + 1 :]), w, chain(factors[:j]))
        for j, w in enumerate(factors)
    )


def balance_gradient(factors: Sequence[sp.Expr]) -> tuple[sp.Expr, ...]:
    """`grad_j L_reg = a Delta_{j,j+1} W_j - a W_j Delta_{j-1,j}`, the outermost defects zero.

    Parameters
    ----------
    factors : sequence of Expr
        `W_1, ..., W_N`.

    Returns
    -------
    tuple of Expr
        One matrix for each layer.
    """
    padded = (sp.S.Zero, *defects(factors), sp.S.Zero)
    return tuple(
        STRENGTH * (after * w - w * before)
        for w, before, after in zip(factors, padded, padded[1:], strict=False)
    )


def defect(layer: sp.Expr, after: sp.Expr) -> sp.Expr:
    """`Delta = W_j W_j^H - W_{j+1}^H W_{j+1}` of two neighbours.

    Parameters
    ----------
    layer, after : Expr
        `W_j` and `W_{j+1}`.

    Returns
    -------
    Expr
        A Hermitian matrix.
    """
    return layer * adjoint(layer) - adjoint(after) * after


def fit_gradient_at(outer: sp.Expr, layer: sp.Expr, inside: sp.Expr) -> sp.Expr:
    """Gradient of `L_ori` by one layer, between the products of those behind and in front of it.

    Parameters
    ----------
    outer, layer, inside : Expr
        `W_N ... W_{j+1}`, `W_j`, `W_{j-1} ... W_1`.

    Returns
    -------
    Expr
        A matrix.
    """
    return -adjoint(outer) * (TARGET - outer * layer * inside) * adjoint(inside)


def balance_gradient_at(
    before: sp.Expr, layer: sp.Expr, after: sp.Expr, weight_before: sp.Expr, weight: sp.Expr
) -> sp.Expr:
    """Gradient of `L_reg` by one layer, each pair with its own weight: at an end it is zero.

    Parameters
    ----------
    before, layer, after : Expr
        `W_{j-1}`, `W_j`, `W_{j+1}`.
    weight_before, weight : Expr
        Weights of the pairs `(j-1, j)` and `(j, j+1)`.

    Returns
    -------
    Expr
        A matrix.
    """
    return weight * defect(layer, after) * layer - weight_before * layer * defect(before, layer)


def gradient_flow(
    ws: Sequence[sp.Symbol], gradients: Sequence[sp.Expr]
) -> dict[sp.Symbol, sp.Expr]:
    """Velocities of the layers down their gradients.

    Parameters
    ----------
    ws : sequence of Symbol
        The layers.
    gradients : sequence of Expr
        One for each.

    Returns
    -------
    dict
        Velocity of each layer.
    """
    return {w: -g for w, g in zip(ws, gradients, strict=True)}
