r"""The loss of two layers at a minimiser, as a point from which a late-time law is derived.

.. math:: L = \tfrac{\ell}{2} |R|^2 + \tfrac{\kappa}{2} \sum_{p \ne q} \mu_p \mu_q e(u_p, u_q),
          \qquad R = \sum_p \mu_p u_p

of a kernel with a kink.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import sympy as sp

from symbolic.asymptotics.point import Point
from symbolic.language.blocks import entries
from symbolic.lemmas.dual_kernel import DOTS
from symbolic.systems.relu_neuron.pair import pair_energy_of
from symbolic.systems.two_layer.pair import Kinked, named, pair_of

__all__ = ["network"]

Rows = Sequence[Sequence[sp.Expr]]


def network(
    activation: str,
    students: Rows,
    outputs: Sequence[sp.Expr],
    teachers: Rows,
    weights: Sequence[sp.Expr],
    *,
    trained: bool,
) -> Point:
    """Students and outputs, exact numbers, as a point of the loss.

    Parameters
    ----------
    activation : str
        As of :func:`symbolic.systems.two_layer.pair.named`.
    students, teachers : sequences of rows of numbers
        `w_i` and `v_j`.
    outputs, weights : sequences of numbers
        `a_i` and `b_j`.
    trained : bool
        Whether the outputs are variables too.
    """
    n, d = len(students), len(teachers[0])
    symbols = tuple(entries(sp.MatrixSymbol("w", n, d)))
    moving = tuple(entries(sp.MatrixSymbol("a", n, 1))) if trained else ()
    rows = [list(symbols[i * d : (i + 1) * d]) for i in range(n)]
    mu = [*(moving or outputs), *(-b for b in weights)]
    u = [*rows, *map(list, teachers)]
    pair = pair_of(named(activation).activation)
    total: Any = sp.S.Zero
    for p, one in enumerate(u):
        for q in range(p):
            total += mu[p] * mu[q] * _kernel(pair, one, u[q])
        total += mu[p] ** 2 * _own(pair, one) / 2
    values = tuple(x for row in students for x in row) + tuple(outputs if trained else ())
    return Point((*symbols, *moving), total, sp.S.Zero, (), values)


def _dot(a: Sequence[Any], b: Sequence[Any]) -> sp.Expr:
    return sp.Add(*(p * q for p, q in zip(a, b, strict=True)))


def _own(pair: Any, a: Sequence[Any]) -> sp.Expr:
    square = _dot(a, a)
    if isinstance(pair, Kinked):
        return pair.linear * square
    return pair.value.subs(dict.fromkeys(DOTS, square))


def _kernel(pair: Any, a: Sequence[Any], b: Sequence[Any]) -> sp.Expr:
    dots = (_dot(a, a), _dot(b, b), _dot(a, b))
    if not isinstance(pair, Kinked):
        return pair.value.subs(dict(zip(DOTS, dots, strict=True)), simultaneous=True)
    return pair.linear * dots[2] + pair.kink * pair_energy_of(a, b)
