r"""Theorems about gradient EM: the squared norms fall, at twice the relative Fisher information.

From every start `U = sum |mu_k|^2` falls at least like `1/t`, with an explicit constant, as the
Fisher information is at least a multiple of `U^2`.

Source: Xu, Fazel & Du, NeurIPS 2024, arXiv 2407.00490; rate and constant are this toolkit's.
"""

from __future__ import annotations

from functools import cache

from symbolic.lemmas.mixture import EM_PAPER
from symbolic.systems import mixture_theorems as mixture
from symbolic.systems.mixture_theorems import (
    AFTER,
    AWAY,
    CAP,
    FIELD,
    FISHER,
    INSIDE,
    LEAST,
    MIXTURE,
    OMEGA,
    RADIUS,
    WEIGHTS,
    Y,
    cap_sign,
    mean,
    norm_sign,
    posterior,
    share,
)
from symbolic.theorem import kernel
from symbolic.theorem.formulas import Forall, Formula, eq, ge
from symbolic.theorem.kernel import Theorem
from symbolic.theorem.proving import Statement, add, given, weak, within
from symbolic.theorem.terms import T, function, replaced, symbol, total

__all__ = ["theorems"]

FLOW = Forall(
    ("i", "t", "y"),
    (AFTER,),
    eq(mean("i").prime.dot(Y) + total("X", posterior("i") * FIELD.dot(Y))),
)
NORMS = total("k", mean("k").dot(mean("k")))
NORMS_T = replaced(NORMS, {"t": "T"})
NOW, LOSS = symbol("U"), symbol("L", time="t")
LET_NORMS, LET_NOW = eq(RADIUS - NORMS_T), eq(NOW - NORMS)
CONVEX = Forall(("t",), (AFTER,), ge(mixture.SQUARES - 2 * LOSS))
LABELS: dict[Formula, str] = {
    **mixture.LABELS,
    FLOW: "axiom gradient EM: mu_i' = -E psi_i v",
    CONVEX: "axiom convexity of KL: 2 L <= sum w_k |mu_k|^2",
    AWAY: "not all means are at the optimum at time T",
    LET_NORMS: "M = U(T) = sum |mu_k(T)|^2",
    LET_NOW: "U = sum |mu_k(t)|^2",
}


@cache
def rate() -> Theorem:
    """`d/dt sum |mu_k|^2 + 2 E|v|^2 = 0`."""
    pull = posterior("k") * FIELD.dot(mean("k"))
    moved = kernel.sum_up(given(FLOW, i="k", y=mean("k")), "k")
    field = kernel.sum_up(given(MIXTURE, X="X", y=FIELD), "X")
    law = add(kernel.derive(NORMS), (2, [moved]), (-2, [kernel.swap("k", "X", pull)]), (2, [field]))
    return within(law, eq(function("d", NORMS) + 2 * FISHER))


@cache
def falls() -> Theorem:
    """`sum |mu_k(T)|^2 - sum |mu_k(t)|^2 >= 0`."""
    fisher = kernel.sum_up(norm_sign(FIELD), "X")
    slope = add(kernel.derive(-NORMS), (-1, [rate()]), (1, [kernel.derive(NORMS)]), (2, [fisher]))
    return kernel.monotone(weak(slope), (), -NORMS, "T", "t")


@cache
def fisher_lower() -> Theorem:
    """`B E|v|^2 - (sum w_k |mu_k|^2)^2 >= 0` for all `t >= T`, as the norms never increase."""
    one = kernel.pick(norm_sign(mean("k")), "k", ("i",))
    inside = add(one, falls(), kernel.assume(LET_NORMS))
    return kernel.cut(mixture.fisher_lower(), inside, INSIDE)


@cache
def norms_upper() -> Theorem:
    """`B M - U (B + 2 omega^2 M (t - T)) >= 0`."""
    each = kernel.sum_up(add((1, [given(WEIGHTS, i="k"), norm_sign(mean("k"))])), "k")
    norms = kernel.sum_up(norm_sign(mean("k")), "k")
    both = add(each, (2, [OMEGA, norms]))  # sum w_k |mu_k|^2 >= omega U
    square = add(fisher_lower(), (1, [each, both]))
    slope = add((2, [square]), (-CAP, [rate()]))
    k, past = 2 * LEAST**2, T - symbol("T")
    signs = cap_sign(), kernel.combine(ge(k), (2, [OMEGA, OMEGA]))
    start, now = kernel.assume(LET_NORMS), kernel.assume(LET_NOW)
    begin = add(kernel.assume(AWAY), (-1, [start]), strict=True)
    bound = kernel.compare(slope, signs, begin, (CAP, k, NORMS, "d", -1, "T", "t"))
    named = add(bound, (CAP - k * NORMS * past, [start]), (-1 * (CAP + k * RADIUS * past), [now]))
    return within(named, ge(CAP * RADIUS - NOW * (CAP + k * RADIUS * past)))


@cache
def loss_upper() -> Theorem:
    """`B M - 2 L (B + 2 omega^2 M (t - T)) >= 0`."""
    below_one = add(kernel.pick(share("l"), "l", ("k",)), (-1, [kernel.assume(mixture.SUM_ONE)]))
    squares = kernel.sum_up(add((1, [below_one, norm_sign(mean("k"))])), "k")
    least = add(squares, given(CONVEX), kernel.assume(LET_NOW))  # U >= 2 L
    grown = add(
        cap_sign(), (2, [OMEGA, OMEGA, kernel.assume(AWAY), kernel.assume(AFTER)]), strict=True
    )
    return add(norms_upper(), (1, [grown, least]))


def theorems() -> tuple[Statement, ...]:
    """Return the theorems, each made by the kernel.

    Returns
    -------
    tuple of Statement
        The rate of `U = sum |mu_i|^2`, that it never increases, and how fast it and the loss fall.
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
        Statement(
            "fisher_lower",
            "the Fisher information against the means",
            f"{EM_PAPER}, in the place of its lower bound near the optimum; derived here",
            fisher_lower(),
            LABELS,
            "E|v|^2 >= (sum w_k |mu_k|^2)^2 exp(-M)/(d + 4 M) for all t >= T",
        ),
        Statement(
            "norms_upper",
            "the squared norms fall at least like 1/t, from every start",
            f"{EM_PAPER}, main theorem; derived here with another constant and power",
            norms_upper(),
            LABELS,
            "U(t) <= M/(1 + 2 omega^2 M (t - T)/B), M = U(T), B = exp(M)(d + 4 M)",
        ),
        Statement(
            "loss_upper",
            "the loss falls at least like 1/t, from every start",
            f"{EM_PAPER}, main theorem; derived here with another constant and power",
            loss_upper(),
            LABELS,
            "L(t) <= (M/2)/(1 + 2 omega^2 M (t - T)/B), M = U(T), B = exp(M)(d + 4 M)",
        ),
    )
