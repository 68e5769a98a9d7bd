r"""Losses of the shipped systems as averages over inputs, with the entries of their blocks.

.. math:: \tfrac12 E \Big(\sum_i a_i s(w_i \cdot x + c_i) - \sum_j b_j s(v_j \cdot x + e_j)\Big)^2,
   \qquad -E \log \sum_i \pi_i e^{\mu_i \cdot x - |\mu_i|^2/2}, \qquad
   E \Big|\sum_i \psi_i \mu_i\Big|^2, \qquad x \sim N(0, I)

They define the systems: everything else that is evaluated of these is compared with them.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

import sympy as sp

from symbolic.language.averages.expectation import Expectation

__all__ = [
    "Layers",
    "Taught",
    "layers",
    "layers_loss",
    "mixture_loss",
    "neurons_loss",
    "score_loss",
]


class Taught(NamedTuple):
    """Teachers ``v_j``, a row each, their outputs ``b_j`` and biases ``e_j``."""

    teachers: Sequence[Sequence[float]]
    weights: Sequence[float]
    shifts: Sequence[float]


class Layers(NamedTuple):
    """Blocks of students, and of each its neuron, its bias and its output."""

    blocks: list[sp.MatrixSymbol]
    rows: list[list[sp.Expr]]
    shifts: list[sp.Expr]
    outputs: list[sp.Expr]


def layers(students: int, d: int, outputs: Sequence[float], biases: bool) -> Layers:
    """Students ``w`` with biases ``c``, if any; without given outputs these are a block ``a``."""
    w, c, a = (
        sp.MatrixSymbol(*of) for of in (("w", students, d), ("c", students, 1), ("a", students, 1))
    )
    each = range(students)
    return Layers(
        [w, *[c] * biases, *[a] * (not outputs)],
        [[w[i, k] for k in range(d)] for i in each],
        [c[i, 0] if biases else sp.S.Zero for i in each],
        list(map(sp.Rational, outputs)) or [a[i, 0] for i in each],
    )


def layers_loss(
    made: Layers, taught: Taught, activation: Callable[[sp.Expr], sp.Expr]
) -> Expectation:
    """Half the mean square of what students and teachers differ by."""
    x = sp.MatrixSymbol("x", len(made.rows[0]), 1)

    def neuron(row: Sequence[sp.Expr], shift: sp.Expr) -> sp.Expr:
        return activation(sp.Add(*(e * x[k, 0] for k, e in enumerate(row)), shift))

    rows = zip(made.outputs, made.rows, made.shifts, strict=True)
    parts = [output * neuron(row, shift) for output, row, shift in rows]
    for v, b, e in zip(*taught, strict=True):
        parts.append(-sp.Rational(b) * neuron(list(map(sp.Rational, v)), sp.Rational(e)))
    return Expectation(sp.Add(*parts) ** 2, x) / 2


def neurons_loss(n: int, teacher: Sequence[float]) -> tuple[list[sp.MatrixSymbol], sp.Expr]:
    """Students `w` of one ReLU neuron, and the loss."""
    made, taught = layers(n, len(teacher), (1.0,) * n, False), Taught((teacher,), (1.0,), (0.0,))
    return made.blocks, layers_loss(made, taught, lambda u: sp.Max(0, u))


def mixture_loss(weights: Sequence[Any], d: int) -> tuple[list[sp.MatrixSymbol], sp.Expr]:
    """Means ``mu`` and the divergence of their mixture from one Gaussian, in nats."""
    mu, x = sp.MatrixSymbol("mu", len(weights), d), sp.MatrixSymbol("x", d, 1)
    rows = [[mu[i, k] for k in range(d)] for i in range(len(weights))]
    return [mu], Expectation(-sp.log(sp.Add(*_densities(weights, rows, x))), x)


def score_loss(
    weights: Sequence[Any], d: int, scale: sp.Expr, target: Sequence[float], name: str = "nu"
) -> tuple[list[sp.MatrixSymbol], sp.Expr]:
    """Means ``nu``, noised to ``scale (nu - target)``, and the mean square of their score."""
    n = len(weights)
    nu, x = sp.MatrixSymbol(name, n, d), sp.MatrixSymbol("x", d, 1)
    rows = [[scale * (nu[i, k] - sp.Rational(target[k])) for k in range(d)] for i in range(n)]
    parts = _densities(weights, rows, x)
    total = sp.Add(*parts)
    score = [
        sp.Add(*(p * row[k] for p, row in zip(parts, rows, strict=True))) / total for k in range(d)
    ]
    return [nu], Expectation(sp.Add(*(v**2 for v in score)), x)


def _densities(
    weights: Sequence[Any], rows: Sequence[Sequence[sp.Expr]], x: sp.MatrixSymbol
) -> list[sp.Expr]:
    """Weighted densities of components at an input, relative to the standard Gaussian."""
    exponents = [sp.Add(*(m * x[k, 0] - m**2 / 2 for k, m in enumerate(row))) for row in rows]
    exact = [w if isinstance(w, sp.Expr) else sp.Rational(w) for w in weights]
    return [w * sp.exp(e) for w, e in zip(exact, exponents, strict=True)]
