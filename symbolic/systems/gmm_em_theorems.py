r"""Theorems about gradient EM: the squared norms fall, at twice the relative Fisher information.

Source: Xu, Fazel & Du, NeurIPS 2024, arXiv 2407.00490.
"""

from __future__ import annotations

from functools import cache

from symbolic.lemmas.mixture import EM_PAPER
from symbolic.theorem import derived, kernel
from symbolic.theorem.formulas import Forall, Formula, eq, ge
from symbolic.theorem.kernel import Theorem
from symbolic.theorem.proving import Statement, add, given, weak, within
from symbolic.theorem.terms import Poly, T, Vec, function, number, symbol, total

__all__ = ["theorems"]

AFTER = ge(T - symbol("T"))
Y = Vec.symbol("y")


def _mean(i: str) -> Vec:
    return Vec.symbol("mu", i, time="t")


def _posterior(i: str) -> Poly:
    return symbol("psi", i, "X", time="t")


FIELD = Vec.symbol("v", "X", time="t")
MIXTURE = Forall(
    ("X", "t", "y"),
    (AFTER,),
    eq(FIELD.dot(Y) - total("k", _posterior("k") * _mean("k").dot(Y))),
)
FLOW = Forall(
    ("i", "t", "y"),
    (AFTER,),
    eq(_mean("i").prime.dot(Y) + total("X", _posterior("i") * FIELD.dot(Y))),
)
NORMS = total("k", _mean("k").dot(_mean("k")))
FISHER = total("X", FIELD.dot(FIELD))
LABELS: dict[Formula, str] = {
    MIXTURE: "v(x) = sum_k psi_k(x) mu_k, of any weights",
    FLOW: "axiom gradient EM: mu_i' = -E psi_i v",
    AFTER: "t >= T",
}


@cache
def rate() -> Theorem:
    """`d/dt sum |mu_k|^2 + 2 E|v|^2 = 0`."""
    pull = _posterior("k") * FIELD.dot(_mean("k"))
    moved = kernel.sum_up(given(FLOW, i="k", y=_mean("k")), "k")
    field = kernel.sum_up(given(MIXTURE, X="X", y=FIELD), "X")
    law = add(kernel.derive(NORMS), (2, [moved]), (-2, [kernel.swap("k", "X", pull)]), (2, [field]))
    return within(law, eq(function("d", NORMS) + 2 * FISHER))


@cache
def falls() -> Theorem:
    """`sum |mu_k(T)|^2 - sum |mu_k(t)|^2 >= 0`."""
    square = add(kernel.square(FIELD.norm()), (-1, [kernel.norm_square(FIELD)]))
    fisher = kernel.sum_up(square, "X")
    slope = add(kernel.derive(-NORMS), (-1, [rate()]), (1, [kernel.derive(NORMS)]), (2, [fisher]))
    return derived.gronwall(weak(slope), number(0), -NORMS, "T")


def theorems() -> tuple[Statement, ...]:
    """Return the theorems, each made by the kernel.

    Returns
    -------
    tuple of Statement
        The rate of `U = sum |mu_i|^2`, and that it never increases.
    """
    source = f"{EM_PAPER}, proof of the main theorem"
    return (
        Statement(
            "squared_norms",
            "the rate of the squared norms",
            source,
            rate(),
            LABELS,
            "dU/dt = -2 E|v|^2 for U = sum |mu_i|^2",
        ),
        Statement(
            "squared_norms_fall",
            "the squared norms never increase",
            source,
            falls(),
            LABELS,
            "U(t) <= U(T)",
        ),
    )
