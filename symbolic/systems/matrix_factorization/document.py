"""The derivations of matrix factorisation, in the order of the paper."""

from __future__ import annotations

from symbolic.evidence.derivation import Document
from symbolic.systems.matrix_factorization.balanced import (
    derive_balanced_flow,
    derive_main_term,
    derive_skew_error,
)
from symbolic.systems.matrix_factorization.calculus import (
    derive_balance,
    derive_balance_gradient,
    derive_dissipation,
    derive_fit_gradient,
    derive_gauge,
    derive_orthogonality,
)
from symbolic.systems.matrix_factorization.local import derive_local_rates, derive_singular_values

__all__ = ["derive"]


def derive() -> Document:
    """Return every derivation of the system.

    Returns
    -------
    Document
        Gradients, conserved quantities, dissipation, the balanced flow, and local convergence.
    """
    return Document(
        "matrix_factorization",
        (
            derive_fit_gradient(),
            derive_balance_gradient(),
            derive_gauge(),
            derive_orthogonality(),
            derive_dissipation(),
            derive_balance(),
            derive_balanced_flow(),
            derive_skew_error(),
            derive_main_term(),
            derive_singular_values(),
            derive_local_rates(),
        ),
    )
