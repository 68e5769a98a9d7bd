r"""Theorems about score matching: a start of small loss keeps its parameters for ever.

The loss is the Fisher information of the mixture against the target, so it bounds the means where
these are in a ball; and it falls, so that they stay there.

Source: Zhang, Xu, Zhou, Fazel & Du, arXiv 2511.22069, for the system; the theorems are this
toolkit's.
"""

from __future__ import annotations

from functools import cache

from symbolic.systems import mixture_theorems as mixture
from symbolic.systems.mixture_theorems import (
    AFTER,
    AWAY,
    CAP,
    FISHER,
    INSIDE,
    LEAST,
    OMEGA,
    RADIUS,
    cap_sign,
    mean,
    norm_sign,
    share,
)
from symbolic.theorem import derived, kernel
from symbolic.theorem.formulas import Forall, Formula, eq, ge, gt, put
from symbolic.theorem.kernel import Theorem
from symbolic.theorem.proving import Statement, add, given, times, weak, within
from symbolic.theorem.terms import T, function, symbol, total

__all__ = ["theorems"]

LOSS, LOSS_T = symbol("L", time="t"), symbol("L", time="T")
END = symbol("end")
FISHER_LOSS = Forall(("t",), (AFTER,), eq(LOSS - FISHER))
DISSIPATION = Forall(
    ("t",), (AFTER,), eq(function("d", LOSS) + total("k", mean("k").prime.dot(mean("k").prime)))
)
INSIDE_T = Forall(("i",), (), gt(RADIUS - mean("i", "T").dot(mean("i", "T"))))
SMALL = gt(LEAST**2 * RADIUS**2 - CAP * LOSS_T)
UNTIL = Forall(("i", "t"), (AFTER, ge(END - T)), INSIDE.body)
LABELS: dict[Formula, str] = {
    **mixture.LABELS,
    FISHER_LOSS: "the loss is E|v|^2",
    DISSIPATION: "axiom dissipation: dL/dt = -sum |mu_k'|^2",
    INSIDE_T: "at time T: |mu_i|^2 < M",
    SMALL: "at time T: L < omega^2 M^2/B",
}


@cache
def falls() -> Theorem:
    """`L(T) - L(t) >= 0`."""
    squares = kernel.sum_up(norm_sign(mean("k").prime), "k")
    slope = add(kernel.derive(-LOSS), (-1, [given(DISSIPATION)]), squares)
    return kernel.monotone(slope, (), -LOSS, "T", "t")


@cache
def means_by_loss() -> Theorem:
    """`B L - (sum w_k |mu_k|^2)^2 >= 0`, where all means are in the ball."""
    return add(mixture.fisher_lower(), (CAP, [given(FISHER_LOSS)]))


@cache
def inward(i: str) -> Theorem:
    """`M - |mu_i|^2 > 0` at a time at which `M - |mu_i|^2 >= 0` for all i."""
    size = mean(i).dot(mean(i))
    squares = times(weak(share("k")), norm_sign(mean("k")))
    own = add(
        kernel.pick(squares, "k", (i,)), (1, [given(mixture.WEIGHTS, i=i), norm_sign(mean(i))])
    )
    longer = add(own, (2, [OMEGA, norm_sign(mean(i))]))  # sum w_k |mu_k|^2 >= omega |mu_i|^2
    product = add(
        means_by_loss(),
        (1, [own, longer]),
        (1, [cap_sign(), falls()]),
        kernel.assume(SMALL),
        strict=True,
    )
    positive = add(
        *((1, [OMEGA, OMEGA, th]) for th in (kernel.assume(AWAY), norm_sign(mean(i)))), strict=True
    )
    return derived.cancel(product, positive, RADIUS - size)


@cache
def means_stay() -> Theorem:
    """`M - |mu_i|^2 > 0` for all `t >= T`."""
    now = INSIDE.body.poly
    there = kernel.subst(inward("i"), {"t": "end"})
    until = kernel.cut(given(UNTIL, t="end"), kernel.combine(ge(0)), ge(0))
    there = kernel.cut(there, until, put(INSIDE, {"t": "end"}))
    start = kernel.spec(INSIDE_T, {"i": "i"})
    stays = kernel.bootstrap(there, start, UNTIL, ("T", "end", "later"), 1)
    return within(kernel.subst(stays, {"later": "t"}), gt(now))


@cache
def means_small() -> Theorem:
    """`B L(T) - (sum w_k |mu_k|^2)^2 >= 0` for all `t >= T`."""
    inside = weak(means_stay())
    bound = add(means_by_loss(), (1, [cap_sign(), falls()]))
    return kernel.cut(bound, inside, INSIDE)


def theorems() -> tuple[Statement, ...]:
    """Return the theorems, each made by the kernel.

    Returns
    -------
    tuple of Statement
        The loss against the means, and that a start of small loss keeps them.
    """
    source = "derived here; the system is that of Zhang, Xu, Zhou, Fazel & Du, arXiv 2511.22069"
    return (
        Statement(
            "means_by_loss",
            "the loss bounds the means in a ball",
            source,
            means_by_loss(),
            LABELS,
            "(sum w_k |mu_k|^2)^2 <= B L where all |mu_i|^2 <= M, B = exp(M)(d + 4 M)",
        ),
        Statement(
            "means_stay",
            "from a small loss no mean leaves the ball",
            source,
            means_stay(),
            LABELS,
            "|mu_i(t)|^2 < M for all t >= T, from L(T) < omega^2 M^2/B",
        ),
        Statement(
            "means_small",
            "from a small loss the means stay small",
            source,
            means_small(),
            LABELS,
            "(sum w_k |mu_k(t)|^2)^2 <= B L(T) for all t >= T",
        ),
    )
