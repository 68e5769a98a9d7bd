"""The derivations of score matching, in reading order."""

from __future__ import annotations

from symbolic.evidence.derivation import Document
from symbolic.systems.score_matching.calculus import (
    derive_score_gradient,
    derive_score_hessian,
    derive_score_loss,
)
from symbolic.systems.score_matching.cluster import (
    derive_cluster,
    derive_coincident,
    derive_noise_time,
)
from symbolic.systems.score_matching.stationary import derive_stationary
from symbolic.systems.score_matching.tail import derive_far_loss, derive_far_rate

__all__ = ["derive"]


def derive() -> Document:
    """Return every derivation of the system.

    Returns
    -------
    Document
        Loss, gradient, Hessian, noise time, a cluster's flow, long means, a stationary point.
    """
    return Document(
        "score_matching",
        (
            derive_score_loss(),
            derive_score_gradient(),
            derive_score_hessian(),
            derive_noise_time(),
            derive_coincident(),
            derive_cluster(),
            derive_far_loss(),
            derive_far_rate(),
            derive_stationary(),
        ),
    )
