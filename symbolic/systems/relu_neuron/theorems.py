"""The theorems about the single ReLU neuron, as `popflow prove` shows them."""

from __future__ import annotations

from symbolic.systems.relu_neuron import lower_bound, mirror
from symbolic.systems.relu_neuron.pair import PAPER
from symbolic.theorem.proving import Statement

__all__ = ["theorems"]

CONSTANTS = "the constants are derived here"


def theorems() -> tuple[Statement, ...]:
    """Return the theorems, each made by the kernel.

    Returns
    -------
    tuple of Statement
        Lemma 30, equations 66 and 68, Theorem 14, and the mirror pair from both sides.
    """
    labels = {**lower_bound.SETTING, **lower_bound.LETS}
    return (
        Statement(
            "persistence",
            "the largest angle does not fall below min(kappa_max(T), pi/2)",
            f"{PAPER}, Lemma 30; proof and form are derived here",
            lower_bound.persistence(),
            {**labels, lower_bound.ACUTE_PAIRS: "at time t all pairs are at angles below kappa"},
            "where all angles are below kappa <= pi/2 at a time t >= T, so they were at T",
        ),
        Statement(
            "distance_decay",
            "the pairwise distance falls no faster than its square",
            f"{PAPER}, equation 66; {CONSTANTS}",
            lower_bound.distance_decay(),
            labels,
            "|v| (1 - cos kappa) DZ/dt >= -34 n^4 Z^2 (here of 2 Z), D the lower right derivative",
        ),
        Statement(
            "distance_vs_loss",
            "the loss against the pairwise distance",
            f"{PAPER}, equation 68; {CONSTANTS}",
            lower_bound.distance_vs_loss(),
            labels,
            "24 pi n^5 |v| L >= Z^3 (here with 2 Z)",
        ),
        Statement(
            "loss_lower",
            "the loss falls no faster than t^-3",
            f"{PAPER}, Theorem 14; {CONSTANTS}",
            lower_bound.loss_lower(),
            labels,
            "24 pi n^5 |v| (1 + 34 n^4 Z_T (t - T)/(|v| (1 - cos kappa)))^3 L(t) >= Z_T^3",
        ),
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
    )
