"""The systems' losses at a minimiser, as points from which a late-time law is derived."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise

import sympy as sp

from symbolic.asymptotics.point import Point
from symbolic.language.blocks import entries, explicit
from symbolic.systems.averages import mixture_loss, score_loss
from symbolic.systems.relu_neuron.pair import pair_energy_of

__all__ = ["chain_loss", "layers", "means", "neurons"]


def neurons(shares: Sequence[sp.Expr], d: int) -> Point:
    r"""Neurons `h_i e_1` of the ReLU loss with the teacher `e_1`.

    .. math:: L = \tfrac14 |r|^2 + \sum_{i<j} e(w_i, w_j) - \sum_i e(w_i, v)

    with the pair energy `e`.

    Parameters
    ----------
    shares : sequence of Expr
        The `h_i`.
    d : int
        Dimension.
    """
    symbols = tuple(entries(sp.MatrixSymbol("w", len(shares), d)))
    rows = [symbols[i * d : (i + 1) * d] for i in range(len(shares))]
    teacher = [sp.Integer(j == 0) for j in range(d)]
    residual = [sum(row[j] for row in rows) - teacher[j] for j in range(d)]
    pairs = [pair_energy_of(a, b) for i, a in enumerate(rows) for b in rows[:i]]
    with_teacher = [pair_energy_of(a, teacher) for a in rows]
    loss = sp.Add(*(c**2 for c in residual)) / 4 + sp.Add(*pairs) - sp.Add(*with_teacher)
    at = tuple(h * e for h in shares for e in teacher)
    return Point(symbols, loss, sp.S.Zero, (), at)


def means(weights: Sequence[sp.Expr], d: int, *, score: bool) -> Point:
    r"""Means at zero, of the mixture's KL divergence or of its score-matching loss.

    .. math:: L = -E \log \sum_i \pi_i e^{\mu_i \cdot x - |\mu_i|^2/2}
              \quad \text{or} \quad L = E |v|^2, \qquad v = \sum_i \psi_i \mu_i

    Parameters
    ----------
    weights : sequence of Expr
        The `pi_i`, of sum one.
    d : int
        Dimension.
    score : bool
        Which loss.
    """
    blocks, loss = (
        score_loss(weights, d, sp.S.One, [0] * d, "mu") if score else mixture_loss(weights, d)
    )
    form = explicit(loss, blocks)
    symbols = tuple(s for block in blocks for s in entries(block))
    return Point(symbols, form.plain, form.integrand, form.x, (sp.S.Zero,) * len(symbols))


def chain_loss(
    factors: Sequence[sp.MatrixBase], target: sp.MatrixBase, regularization: sp.Expr
) -> sp.Expr:
    r"""`|\Sigma - W_N \cdots W_1|^2/2 + a/4 \sum_j |W_j W_j^T - W_{j+1}^T W_{j+1}|^2`, in entries.

    Parameters
    ----------
    factors : sequence of Matrix
        `W_1, ..., W_N`, real.
    target : Matrix
        `Sigma`.
    regularization : Expr
        The strength `a`.
    """
    product = sp.eye(target.rows)
    for w in factors:
        product = w * product
    squares = [e**2 / 2 for e in target - product]
    for before, after in pairwise(factors):
        gap = before * before.T - after.T * after
        squares += [regularization / 4 * e**2 for e in gap]
    return sp.Add(*squares)


def layers(
    at: Sequence[sp.MatrixBase], target: sp.MatrixBase, regularization: sp.Expr
) -> tuple[Point, tuple[sp.ImmutableMatrix, ...]]:
    """Real layers, and the linear symmetries of their loss.

    Parameters
    ----------
    at : sequence of Matrix
        `W_1, ..., W_N`.
    target : Matrix
        `Sigma`.
    regularization : Expr
        The strength `a` of the balancing term.

    Returns
    -------
    Point, tuple of Matrix
        The generators turn one layer's rows and the next one's columns against each other: by any
        matrix without the balancing term, by rotations with it. For a multiple of the identity,
        rotations of the first layer's columns with the last one's rows are among them.
    """
    d, depth = target.rows, len(at)
    blocks = [sp.MatrixSymbol(f"w{j + 1}", d, d) for j in range(depth)]
    factors = [sp.Matrix(d, d, entries(block)) for block in blocks]
    loss = chain_loss(factors, target, regularization)
    symbols = tuple(s for block in blocks for s in entries(block))
    values = tuple(e for w in at for e in w)
    point = Point(symbols, loss, sp.S.Zero, (), values)
    outer = target == target[0, 0] * sp.eye(d)
    return point, tuple(_turns(d, depth, regularization == 0, outer))


def _turns(d: int, depth: int, every: bool, outer: bool) -> list[sp.ImmutableMatrix]:
    """Generators ``W_j -> A W_j``, ``W_(j+1) -> -W_(j+1) A`` as matrices on all entries."""
    size, found, unit = d * d, [], sp.eye(d)
    for j in range(depth if outer else depth - 1):
        after = (j + 1) % depth
        for p in range(d):
            for q in range(d) if every and after else range(p):
                a = sp.zeros(d, d)
                a[p, q] = 1
                if not (every and after):
                    a[q, p] = -1
                x = sp.zeros(depth * size, depth * size)
                rows, columns = (
                    slice(j * size, (j + 1) * size),
                    slice(after * size, (after + 1) * size),
                )
                x[rows, rows] = sp.kronecker_product(a, unit)
                x[columns, columns] = -sp.kronecker_product(unit, a.T)
                found.append(sp.ImmutableMatrix(x))
    return found
