"""The theorems about the single ReLU neuron, as `popflow prove` shows them."""

from __future__ import annotations

from symbolic.systems.relu_neuron.pair import PAPER
from symbolic.systems.relu_neuron.theorems import (
    distance,
    from_start,
    lower,
    mirror,
    persistence,
    samples,
    separation,
    setting,
    toys,
    upper,
)
from symbolic.theorem.proving import Statement

__all__ = ["theorems"]

CONSTANTS = "the constants are derived here"


def theorems() -> tuple[Statement, ...]:
    """Return the theorems, each made by the kernel.

    Returns
    -------
    tuple of Statement
        Lemmas 17, 30, 31 and 33, equations 66 and 68, Theorems 7 and 14, phase 3 of the upper
        bound, Theorem 14 without a window, and the three toy examples.
    """
    return (*_below(), *_above(), *_toys())


def _below() -> tuple[Statement, ...]:
    labels = {**setting.SETTING, **lower.LETS}
    return (
        Statement(
            "separation",
            "the widest pair turns further apart",
            f"{PAPER}, Lemma 17",
            separation.separation(),
            separation.SETTING,
            "d/dt cos kappa_pq <= -((pi - theta_pq)/pi) (1 - cos^2 kappa_pq), times pi |z_p||z_q|",
        ),
        Statement(
            "persistence",
            "the largest angle does not fall below min(kappa_max(T), pi/2)",
            f"{PAPER}, Lemma 30; proof and form are derived here",
            persistence.persistence(),
            {**labels, persistence.ACUTE_PAIRS: "at time t all pairs are at angles below kappa"},
            "where all angles are below kappa <= pi/2 at a time t >= T, so they were at T",
        ),
        Statement(
            "distance_vs_reach",
            "the pairwise distance against the longest transverse part",
            f"{PAPER}, Lemma 31 (its part here); {CONSTANTS}",
            lower.distance_vs_reach(),
            labels,
            "Z^2 >= (1 - cos kappa) |z_i|^2 for every i, for all t >= T",
        ),
        Statement(
            "angle_vs_reach",
            "the angle of a neuron against its transverse part",
            f"{PAPER}, Lemma 33 (its part here); {CONSTANTS}",
            lower.angle_vs_reach(),
            labels,
            "|v| theta_i <= 2 pi n |z_i|",
        ),
        Statement(
            "distance_decay",
            "the pairwise distance falls no faster than its square",
            f"{PAPER}, equation 66; {CONSTANTS}",
            distance.distance_decay(),
            labels,
            "|v| (1 - cos kappa) DZ/dt >= -34 n^4 Z^2 (here of 2 Z), D the lower right derivative",
        ),
        Statement(
            "distance_vs_loss",
            "the loss against the pairwise distance",
            f"{PAPER}, equation 68; {CONSTANTS}",
            lower.distance_vs_loss(),
            labels,
            "24 pi n^5 |v| L >= Z^3 (here with 2 Z)",
        ),
        Statement(
            "loss_lower",
            "the loss falls no faster than t^-3",
            f"{PAPER}, Theorem 14; {CONSTANTS}",
            lower.loss_lower(),
            labels,
            "24 pi n^5 |v| (1 + 34 n^4 Z_T (t - T)/(|v| (1 - cos kappa)))^3 L(t) >= Z_T^3",
        ),
    )


def _above() -> tuple[Statement, ...]:
    start = {**samples.SETTING, **upper.LETS}
    both = {**setting.SETTING, **lower.LETS, **start}
    return (
        Statement(
            "neurons_stay",
            "from a balanced start of small loss no neuron goes far",
            f"{PAPER}, phase 3, Lemmas 20 to 24; {CONSTANTS}",
            upper.neurons_stay(),
            start,
            "|w_i(t) - w_i(T)| < |v|/(4n) for all t >= T: the window of phase 3, proved",
        ),
        Statement(
            "gradient_lower",
            "the gradient against the loss",
            f"{PAPER}, Theorem 7; {CONSTANTS}, with n^(1/6) for n^(2/3)",
            upper.gradient_lower(),
            start,
            "|grad L| >= L^(2/3)/(sqrt(37/3) n^(1/6) |v|^(1/3)) for all t >= T",
        ),
        Statement(
            "loss_upper",
            "the loss falls at least like t^-3",
            f"{PAPER}, phase 3 of Corollary 12; {CONSTANTS}, with n for n^4",
            upper.loss_upper(),
            start,
            "L(t) <= 50653 n |v|^2/(t - T)^3 for all t > T",
        ),
        Statement(
            "loss_lower_from_start",
            "the loss falls no faster than t^-3, without a window",
            f"{PAPER}, Theorem 14; {CONSTANTS}",
            from_start.loss_lower(),
            both,
            "loss_lower, the window of phase 3 proved from the start at T",
        ),
    )


def _toys() -> tuple[Statement, ...]:
    return (
        Statement(
            "mirror_lower",
            "a mirror pair from below",
            f"{PAPER}, appendix A; {CONSTANTS}",
            mirror.lower(),
            mirror.LABELS,
            "L >= theta_T^3/(6 pi (1 + theta_T (t - T)/pi)^3)",
        ),
        Statement(
            "mirror_upper",
            "a mirror pair from above",
            f"{PAPER}, appendix A; {CONSTANTS}",
            mirror.upper(),
            mirror.LABELS,
            "L <= 2 theta_T^3/(9 pi (1 + 5 theta_T (t - T)/(6 pi))^3)",
        ),
        Statement(
            "parallel",
            "neurons along the teacher have a linear rate",
            f"{PAPER}, appendix A",
            toys.parallel(),
            toys.PARALLEL,
            "L(t) = L(T) exp(-n (t - T))",
        ),
        Statement(
            "equal",
            "equal neurons have a linear rate",
            f"{PAPER}, appendix A; {CONSTANTS}",
            toys.equal(),
            toys.EQUAL,
            "L(t) <= L(T) exp(-k (t - T)), k = n (1 - theta(T)/pi)^2 cos(theta(T)/2)^2",
        ),
    )
