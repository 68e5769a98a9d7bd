r"""Balanced chains of depth four: the closed flow of two matrices, skew error, main term.

Source: Luo, Xu, Gao, Fazel & Du, arXiv 2511.09925.
"""

from __future__ import annotations

import sympy as sp

from symbolic.evidence.derivation import Derivation, Step
from symbolic.language.matrix_calculus import Trace, adjoint, differential, letters, squared_norm
from symbolic.systems.matrix_factorization.chain import (
    PAPER,
    TARGET,
    chain,
    defects,
    fit_gradient,
    gradient_flow,
    layers,
)

__all__ = ["balanced_field", "derive_balanced_flow", "derive_main_term", "derive_skew_error"]

# A and R are the two matrices; C C^H = A A^H, T T^H = Sigma.
A, R, C, T = letters("A R C T")


def balanced_field(first: sp.Expr, rest: sp.Expr) -> tuple[sp.Expr, sp.Expr]:
    """Flow of `A = W_1` and `R = W_2^-1 W_3^H W_4^H` on balanced chains of depth four.

    `dA/dt = A A^H R E`, `dR/dt = A A^H A E^H + A E^H R^H R - R E A^H R`, `E = Sigma - R^H A A^H A`.

    Parameters
    ----------
    first, rest : Expr
        `A` and `R`.

    Returns
    -------
    tuple of Expr
        The two velocities.

    Notes
    -----
    Assumes invertible layers; `W = R^H A A^H A`, and `R R^H = A A^H` stays true.
    """
    gram = first * adjoint(first)
    error = TARGET - adjoint(rest) * gram * first
    return gram * rest * error, (
        gram * first * adjoint(error)
        + first * adjoint(error) * adjoint(rest) * rest
        - rest * error * adjoint(first) * rest
    )


def derive_balanced_flow() -> Derivation:
    """Close the flow of a balanced chain of depth four on two matrices.

    Returns
    -------
    Derivation
        Exact equations of any chain with invertible layers and `a = 0`: what is added to the closed
        flow has a factor `Delta`.
    """
    ws = w1, w2, w3, w4 = layers(4)
    d12, d23, d34 = defects(ws)
    r = w2**-1 * adjoint(w3) * adjoint(w4)
    r_h = adjoint(r)
    flow = gradient_flow(ws, fit_gradient(ws))
    error = TARGET - chain(ws)
    closed_error = TARGET - r_h * w1 * adjoint(w1) * w1
    field_a, field_r = balanced_field(w1, r)
    exact = ("W_1, ..., W_4 invertible", "a = 0; for other a, grad L_reg has a factor Delta too")
    gram = w2 * adjoint(w2)
    inverse, inverse_h = w2**-1, adjoint(w2) ** -1
    # W_4 W_4^H - R^H R.
    outer = w4 * adjoint(w3) ** -1 * d23 * inverse_h * r
    # W_2^-1 W_3^H W_3 W_2 - A A^H.
    middle = -d12 - inverse * d23 * w2
    shift = r_h * d12 * w1
    return Derivation(
        "balanced flow",
        f"{PAPER}, section 4; depth 4",
        (
            Step(
                chain(ws),
                r_h * w1 * adjoint(w1) * w1 - shift,
                "W = R^H A A^H A if Delta = 0",
                assumptions=("A = W_1, R = W_2^-1 W_3^H W_4^H", *exact),
                shown=r"W = R^H A A^H A - R^H \Delta_{12} A",
            ),
            Step(
                r * r_h,
                w1 * adjoint(w1)
                - d12
                - inverse * (d23 * gram + gram * d23 - d23**2) * inverse_h
                - inverse * adjoint(w3) * d34 * w3 * inverse_h,
                "R R^H = A A^H if Delta = 0",
                assumptions=exact,
                shown=r"R R^H = A A^H - \Delta_{12} - W_2^{-1} \left(\Delta_{23} W_2 W_2^H + W_2"
                r" W_2^H \Delta_{23} - \Delta_{23}^2 + W_3^H \Delta_{34} W_3\right) W_2^{-H}",
            ),
            Step(
                w4 * adjoint(w4),
                r_h * r + outer,
                "W_4 W_4^H = R^H R if Delta = 0",
                assumptions=exact,
                shown=r"W_4 W_4^H = R^H R + W_4 W_3^{-H} \Delta_{23} W_2^{-H} R",
            ),
            Step(
                differential(w1, flow),
                field_a + w1 * adjoint(w1) * r * shift - d12 * r * error,
                "flow of A: closed if Delta = 0",
                assumptions=exact,
                shown=r"\dot A = A A^H R \left(E + R^H \Delta_{12} A\right)"
                r" - \Delta_{12} R (\Sigma - W), \quad E = \Sigma - R^H A A^H A",
            ),
            Step(
                differential(r, flow),
                field_r
                - r * shift * adjoint(w1) * r
                + w1 * adjoint(shift) * r_h * r
                + w1 * adjoint(w1) * w1 * adjoint(shift)
                + w1 * adjoint(error) * outer
                + middle * w1 * adjoint(error),
                "flow of R: closed if Delta = 0",
                assumptions=exact,
                shown=r"\dot R = A A^H A E^H + A E^H R^H R - R E A^H R"
                r" + \text{terms with a factor } \Delta_{12} \text{ or } \Delta_{23}",
            ),
            Step(
                error,
                closed_error + shift,
                "the error that drives both",
                assumptions=exact,
                shown=r"\Sigma - W = E + R^H \Delta_{12} A",
            ),
            *_on_two_matrices(),
        ),
        results=("W = R^H", "R R^H = A A^H if", "flow of A", "flow of R"),
        heading="At depth 4 a balanced chain is described by two matrices, A and R",
    )


def derive_skew_error() -> Derivation:
    """Show that the skew error `tr((A - R) Sigma (A - R)^H)` never increases on balanced chains.

    Returns
    -------
    Derivation
        Its rate is minus a sum of squares. With `A = Q S V^H`, `R = Q S U^H`, hence
        `W = U S^4 V^H`, the error is `|Sigma^(1/2) (U - V) S|_F^2`.
    """
    target = T * adjoint(T)
    gap = A - R
    field_a, field_r, turn = _reduced_field(target)
    return Derivation(
        "skew error",
        f"{PAPER}, Theorems 4 and 33; depth 4",
        (
            Step(
                differential(Trace(gap * target * adjoint(gap)), {A: field_a, R: field_r}),
                -2 * squared_norm(adjoint(C) * gap * target)
                - 2 * squared_norm(adjoint(C) * C * adjoint(C) * gap * T)
                - squared_norm(turn),
                "the rate of the skew error is minus a sum of squares",
                assumptions=(
                    "Sigma = T T^H, A A^H = R R^H = C C^H",
                    "the flow of A and R in reduced form",
                ),
                shown=r"\frac{d}{dt} \operatorname{tr}\left((A - R) \Sigma (A - R)^H\right) ="
                r" -2 |C^H (A - R) \Sigma|_F^2 - 2 |C^H C C^H (A - R) T|_F^2"
                r" - |R \Sigma A^H - A \Sigma R^H|_F^2",
            ),
        ),
        heading="The skew error of a balanced chain never grows",
    )


def derive_main_term() -> Derivation:
    """Derive the law of `(A + R)(A + R)^H` for `Sigma = sigma_1 I`.

    Returns
    -------
    Derivation
        For a unit eigenvector `u` of the least eigenvalue `l` the commutator drops out,
        `dl/dt = 2 l u^H (sigma_1 M - M^3) u + |K^H u|^2 / sigma_1`, with `M = A A^H` and skew `K`:
        not negative as long as `|W| <= sigma_1`, that is `M^2 <= sigma_1`.
    """
    sigma = sp.Symbol("sigma_1", positive=True)
    field_a, field_r, turn = _reduced_field(sigma)
    gram, total = C * adjoint(C), A + R
    square = total * adjoint(total)
    growth = sigma * gram - gram**3
    drift = square + R * adjoint(R) - A * adjoint(A)
    return Derivation(
        "main term",
        f"{PAPER}, Theorem 5; depth 4",
        (
            Step(
                differential(square, {A: field_a, R: field_r}),
                growth * square
                + square * growth
                + turn * adjoint(turn) / sigma
                - (turn * drift - drift * turn) / 2,
                "the square of the main term grows, apart from a turn that keeps its eigenvalues",
                assumptions=(
                    "Sigma = sigma_1 I, A A^H = R R^H = C C^H = M",
                    "the flow of A and R in reduced form",
                ),
                shown=r"\frac{d}{dt} F F^H = \left\{\sigma_1 M - M^3, F F^H\right\}"
                r" + \tfrac{1}{\sigma_1} K K^H - \tfrac12 \left[K, F F^H + R R^H - A A^H\right],"
                r" \quad F = A + R,\; K = \sigma_1 (R A^H - A R^H)",
            ),
        ),
        heading="The main term of a balanced chain grows",
    )


def _on_two_matrices() -> tuple[Step, ...]:
    """The flow of A and R keeps `R R^H = A A^H`, which reduces it."""
    field_a, field_r = balanced_field(A, R)
    gram = A * adjoint(A)
    excess = R * adjoint(R) - gram
    simple_a, simple_r, turn = (e.subs(C, A) for e in _reduced_field(TARGET))
    swirl = excess * gram**2 - gram**2 * excess
    square = R * adjoint(R)
    return (
        Step(
            sp.Matrix([field_a, field_r]),
            sp.Matrix([simple_a - gram * excess * gram * A, simple_r + swirl * R]),
            "reduced form of the flow where R R^H = A A^H = M",
            shown=r"\dot A = M R \Sigma - M^3 A, \quad \dot R = M A \Sigma^H - M^3 R - K R,"
            r" \quad K = R \Sigma A^H - A \Sigma^H R^H",
        ),
        Step(
            differential(excess, {A: field_a, R: field_r}),
            excess * turn
            - turn * excess
            - gram**3 * excess
            - excess * gram**3
            + gram * excess * gram**2
            + gram**2 * excess * gram
            + swirl * square
            - square * swirl,
            "R R^H - A A^H has a linear equation: where it is zero it stays so",
            shown=r"\dot P = [P, K] - \left\{M^3, P\right\} + M P M^2 + M^2 P M"
            r" + \left[P M^2 - M^2 P, R R^H\right], \quad P = R R^H - A A^H,\; M = A A^H",
        ),
    )


def _reduced_field(target: sp.Expr) -> tuple[sp.Expr, sp.Expr, sp.Expr]:
    """Flow of A and R where `A A^H = R R^H = C C^H`, and the skew matrix that turns R."""
    gram = C * adjoint(C)
    turn = R * target * adjoint(A) - A * adjoint(target) * adjoint(R)
    return (
        gram * R * target - gram**3 * A,
        gram * A * adjoint(target) - gram**3 * R - turn * R,
        turn,
    )
