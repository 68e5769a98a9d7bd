r"""Deep linear chains: both parts of the loss, their gradients, and what the flow keeps.

The chain `W = W_N ... W_1` is fitted to `Sigma` by the flow `dW_j/dt = -grad_j (L_ori + L_reg)`.
Statements for every depth `N` write the chain around one layer: `X = W_j` with `Y = W_{j+1}` and
`Z = W_{j-1}` next to it, and one letter for each product of the others. A letter may be the
identity, so the end layers are included; there the weight `a_j` of the pair that is missing is
zero. All statements hold for complex matrices and, word for word, for real ones.

Source: Luo, Xu, Gao, Fazel & Du, arXiv 2511.09925.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from itertools import pairwise
from typing import Any

import sympy as sp

from symbolic.derivation import Derivation, Document, Step
from symbolic.matrix_calculus import (
    Trace,
    adjoint,
    differential,
    gradient,
    inner,
    letters,
    squared_norm,
)

__all__ = [
    "PAPER",
    "STRENGTH",
    "TARGET",
    "balance_gradient",
    "balance_loss",
    "balanced_field",
    "chain",
    "defects",
    "derive",
    "derive_balance",
    "derive_balance_gradient",
    "derive_balanced_flow",
    "derive_dissipation",
    "derive_fit_gradient",
    "derive_gauge",
    "derive_main_term",
    "derive_orthogonality",
    "derive_skew_error",
    "fit_gradient",
    "fit_loss",
    "layers",
]

PAPER = "Luo, Xu, Gao, Fazel & Du, arXiv 2511.09925"
(TARGET,) = letters("Sigma")
STRENGTH = sp.Symbol("a", positive=True)
Sides = Callable[[tuple[sp.Symbol, ...]], Any]  # a side of a step for given layers
# Depths at which a statement for every depth is confirmed with all layers written out.
DEPTHS = (2, 3, 4, 5)

A, B, H, X, Y, Z, U = letters("A B H X Y Z U")
R, C, T = letters("R C T")  # with A the balanced flow; C C^H = A A^H, T T^H = Sigma
BEFORE, HERE, AFTER = sp.symbols("a_- a_0 a_+", real=True)
AROUND = (
    "X = W_j, A = W_N ... W_{j+1}, B = W_{j-1} ... W_1; an empty product is the identity",
    "real matrices: the adjoint is the transpose",
)
NEAR = (
    "X = W_j, Y = W_{j+1}, Z = W_{j-1}",
    "a_0 is the weight of the pair (j, j+1), a_- of the pair before it, a_+ of the one after it:"
    " a, or zero where there is no such pair",
)


def layers(depth: int) -> tuple[sp.Symbol, ...]:
    """Letters `W_1, ..., W_N`.

    Parameters
    ----------
    depth : int
        Number of layers `N`.

    Returns
    -------
    tuple of Symbol
        The first layer first.
    """
    return letters(f"W_1:{depth + 1}")


def chain(factors: Sequence[sp.Expr]) -> sp.Expr:
    """Product `W_N ... W_1` of layers that are given first layer first.

    Parameters
    ----------
    factors : sequence of Expr
        `W_1, ..., W_N`; none for the identity.

    Returns
    -------
    Expr
        The end-to-end matrix.
    """
    return sp.Mul(*reversed(factors))


def fit_loss(factors: Sequence[sp.Expr]) -> sp.Expr:
    """`L_ori = 1/2 |Sigma - W|_F^2`.

    Parameters
    ----------
    factors : sequence of Expr
        `W_1, ..., W_N`.

    Returns
    -------
    Expr
        A trace.
    """
    return squared_norm(TARGET - chain(factors)) / 2


def defects(factors: Sequence[sp.Expr]) -> tuple[sp.Expr, ...]:
    """`Delta_{j,j+1} = W_j W_j^H - W_{j+1}^H W_{j+1}` for `j = 1, ..., N-1`.

    Parameters
    ----------
    factors : sequence of Expr
        `W_1, ..., W_N`.

    Returns
    -------
    tuple of Expr
        Hermitian matrices, all zero for a balanced chain.
    """
    return tuple(_defect(w, after) for w, after in pairwise(factors))


def balance_loss(factors: Sequence[sp.Expr]) -> sp.Expr:
    """`L_reg = a/4 sum_j |Delta_{j,j+1}|_F^2`.

    Parameters
    ----------
    factors : sequence of Expr
        `W_1, ..., W_N`.

    Returns
    -------
    Expr
        A sum of traces.
    """
    return STRENGTH / 4 * sp.Add(*(squared_norm(d) for d in defects(factors)))


def fit_gradient(factors: Sequence[sp.Expr]) -> tuple[sp.Expr, ...]:
    """`grad_j L_ori = -(W_N ... W_{j+1})^H (Sigma - W) (W_{j-1} ... W_1)^H`.

    Parameters
    ----------
    factors : sequence of Expr
        `W_1, ..., W_N`.

    Returns
    -------
    tuple of Expr
        One matrix for each layer.
    """
    return tuple(
        _fit_gradient(chain(factors[j + 1 :]), w, chain(factors[:j])) for j, w in enumerate(factors)
    )


def balance_gradient(factors: Sequence[sp.Expr]) -> tuple[sp.Expr, ...]:
    """`grad_j L_reg = a Delta_{j,j+1} W_j - a W_j Delta_{j-1,j}`, the outermost defects zero.

    Parameters
    ----------
    factors : sequence of Expr
        `W_1, ..., W_N`.

    Returns
    -------
    tuple of Expr
        One matrix for each layer.
    """
    padded = (sp.S.Zero, *defects(factors), sp.S.Zero)
    return tuple(
        STRENGTH * (after * w - w * before)
        for w, before, after in zip(factors, padded, padded[1:], strict=False)
    )


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


def derive() -> Document:
    """Derive gradients, conserved quantities, dissipation, and the balanced flow.

    Returns
    -------
    Document
        In the order of the paper.
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
        ),
    )


def derive_fit_gradient() -> Derivation:
    """Derive the gradient of `L_ori` by one layer, at any place of a chain of any depth.

    Returns
    -------
    Derivation
        For every depth, then confirmed for `DEPTHS`.
    """
    loss = fit_loss((B, X, A))
    stated = _fit_gradient(A, X, B)
    return Derivation(
        "gradient of L_ori",
        f"{PAPER}, section 2",
        (
            Step(
                differential(loss, {X: H}),
                inner(stated, H),
                "dL_ori = <grad L_ori, dX> for every direction dX = H, <G, H> = Re tr(G^H H)",
                AROUND,
                fresh=True,
                shown=r"d\,\tfrac12 |\Sigma - A X B|_F^2 = \operatorname{Re}\operatorname{tr}"
                r"\left(G^H H\right), \quad G = -A^H (\Sigma - A X B) B^H",
            ),
            Step(gradient(loss, X), stated, "the gradient", AROUND, fresh=True),
            *_written_out(
                "all layers written out",
                r"\nabla_j L_{\mathrm{ori}} = -(W_N \cdots W_{j+1})^H (\Sigma - W)"
                r" (W_{j-1} \cdots W_1)^H",
                lambda ws: _column(gradient(fit_loss(ws), w) for w in ws),
                lambda ws: _column(fit_gradient(ws)),
            ),
        ),
    )


def derive_balance_gradient() -> Derivation:
    """Derive the gradient of `L_reg` by one layer, at any place of a chain of any depth.

    Returns
    -------
    Derivation
        For every depth, then confirmed for `DEPTHS`.
    """
    loss = _pairs(Z, X, Y, BEFORE, HERE)
    stated = _balance_gradient(Z, X, Y, BEFORE, HERE)
    return Derivation(
        "gradient of L_reg",
        f"{PAPER}, section 2",
        (
            Step(
                differential(loss, {X: H}),
                inner(stated, H),
                "dL_reg = <grad L_reg, dX> for every direction dX = H; the other pairs are free"
                " of X",
                NEAR,
                fresh=True,
                shown=r"d L_{\mathrm{reg}} = \operatorname{Re}\operatorname{tr}\left(\Gamma^H H"
                r"\right), \quad \Gamma = a_0 (X X^H - Y^H Y) X - a_- X (Z Z^H - X^H X)",
            ),
            Step(gradient(loss, X), stated, "the gradient", NEAR, fresh=True),
            *_written_out(
                "all layers written out",
                r"\nabla_j L_{\mathrm{reg}} = a \Delta_{j,j+1} W_j - a W_j \Delta_{j-1,j}",
                lambda ws: _column(gradient(balance_loss(ws), w) for w in ws),
                lambda ws: _column(balance_gradient(ws)),
            ),
        ),
    )


def derive_gauge() -> Derivation:
    """Show that the flow of `L_reg` alone moves the layers by a gauge, which leaves `W` in place.

    Returns
    -------
    Derivation
        The generator of `W_j -> g_{j+1} W_j g_j^-1` is `dg_{j+1}/dt = -a Delta_{j,j+1}`.
    """
    xi, eta, zeta = letters("xi_1:4")  # generators in front of X, between X and Y, behind Y
    time = sp.Symbol("t", real=True)
    moved = (1 + time * eta) * X * (1 - time * xi)
    return Derivation(
        "gauge motion",
        "derived here",
        (
            Step(
                sp.Subs(sp.Derivative(sp.expand(moved), time), time, 0),
                eta * X - X * xi,
                "infinitesimal gauge move: derivative of g_{j+1} X g_j^-1 at g = 1 + t xi",
                ("xi_1 = dg_j/dt, xi_2 = dg_{j+1}/dt", "(1 + t xi)^-1 = 1 - t xi + O(t^2)"),
                fresh=True,
            ),
            Step(
                -_balance_gradient(Z, X, Y, BEFORE, HERE),
                _gauge(-HERE * _defect(X, Y), X, -BEFORE * _defect(Z, X)),
                "-grad L_reg is a gauge move with dg_{j+1}/dt = -a Delta_{j,j+1}",
                NEAR,
                fresh=True,
            ),
            Step(
                differential(Y * X, {X: _gauge(eta, X, xi), Y: _gauge(zeta, Y, eta)}),
                _gauge(zeta, Y * X, xi),
                "the product of two neighbours moves by the outer generators alone; by induction"
                " W moves by those of its ends, which are zero",
                ("X, Y: layers or products of neighbouring layers",),
                fresh=True,
            ),
            *_written_out(
                "W rests under the flow of L_reg",
                r"\frac{d}{dt} W_N \cdots W_1 = 0 \quad\text{along}\quad \dot W_j ="
                r" -\nabla_j L_{\mathrm{reg}}",
                lambda ws: differential(chain(ws), _down(ws, balance_gradient(ws))),
                lambda ws: sp.S.Zero,
                DEPTHS[1:],  # for N = 2 SymPy cancels the two terms by itself
            ),
        ),
    )


def derive_orthogonality() -> Derivation:
    """Prove `<grad L_ori, grad L_reg> = 0`: even the trace vanishes of which that is the real part.

    Returns
    -------
    Derivation
        A telescoping sum, for every depth, then confirmed for `DEPTHS`.
    """
    after, here = _fit_gradient(A, Y, X * B), _fit_gradient(A * Y, X, B)
    (g,) = letters("G")
    j, depth = sp.symbols("j N", integer=True, positive=True)
    flux = sp.Function("T")
    return Derivation(
        "orthogonal parts",
        "derived here",
        (
            Step(
                X * adjoint(here),
                adjoint(after) * Y,
                "exchange of neighbours: W_j (grad_j L_ori)^H = (grad_{j+1} L_ori)^H W_{j+1}",
                ("X = W_j, Y = W_{j+1}, A = W_N ... W_{j+2}, B = W_{j-1} ... W_1",),
                fresh=True,
                shown=r"X \left(-(A Y)^H (\Sigma - A Y X B) B^H\right)^H"
                r" = \left(-A^H (\Sigma - A Y X B) (X B)^H\right)^H Y",
            ),
            Step(
                Trace(adjoint(g) * _balance_gradient(Z, X, Y, BEFORE, HERE)),
                HERE * Trace(_defect(X, Y) * X * adjoint(g))
                - BEFORE * Trace(_defect(Z, X) * adjoint(g) * X),
                "one layer's share: T_j - T_{j-1} with T_j = a_j tr(Delta_{j,j+1} W_j"
                " (grad_j L_ori)^H), by the exchange of neighbours",
                ("G = grad_j L_ori", *NEAR),
                fresh=True,
            ),
            Step(
                sp.Sum(flux(j) - flux(j - 1), (j, 1, depth)),
                flux(depth) - flux(0),
                "the sum over the layers telescopes; T_0 = T_N = 0, because a_0 = a_N = 0",
                domain=((depth, 2, 6),),
                fresh=True,
            ),
            *_written_out(
                "all layers written out",
                r"\sum_j \operatorname{tr}\left((\nabla_j L_{\mathrm{ori}})^H"
                r" \nabla_j L_{\mathrm{reg}}\right) = 0",
                lambda ws: sp.Add(
                    *(
                        Trace(adjoint(g) * h)
                        for g, h in zip(fit_gradient(ws), balance_gradient(ws), strict=True)
                    )
                ),
                lambda ws: sp.S.Zero,
            ),
        ),
    )


def derive_dissipation() -> Derivation:
    """Show that each part dissipates by itself along the flow of the whole loss.

    Returns
    -------
    Derivation
        One layer's share for every depth; the shares' cross terms sum to zero by orthogonality.
    """
    (other,) = letters("G")
    loss = fit_loss((B, X, A))
    stated = _fit_gradient(A, X, B)
    pushed = _balance_gradient(Z, X, Y, BEFORE, HERE)
    return Derivation(
        "separate dissipation",
        "derived here",
        (
            Step(
                differential(loss, {X: -stated - other}),
                -squared_norm(stated) - inner(stated, other),
                "one layer's share of dL_ori/dt along dX/dt = -grad_j L_ori - G, G = grad_j"
                " L_reg: the last term sums to zero over the layers",
                AROUND,
                fresh=True,
                shown=r"\left\langle \nabla_j L_{\mathrm{ori}}, \dot W_j \right\rangle ="
                r" -|\nabla_j L_{\mathrm{ori}}|_F^2"
                r" - \left\langle \nabla_j L_{\mathrm{ori}}, G \right\rangle",
            ),
            Step(
                differential(_pairs(Z, X, Y, BEFORE, HERE), {X: -pushed - other}),
                -squared_norm(pushed) - inner(pushed, other),
                "one layer's share of dL_reg/dt, G = grad_j L_ori",
                NEAR,
                fresh=True,
                shown=r"\left\langle \nabla_j L_{\mathrm{reg}}, \dot W_j \right\rangle ="
                r" -|\nabla_j L_{\mathrm{reg}}|_F^2"
                r" - \left\langle \nabla_j L_{\mathrm{reg}}, G \right\rangle",
            ),
            *_written_out(
                "L_ori along the whole flow",
                r"\frac{d}{dt} L_{\mathrm{ori}} = -|\nabla L_{\mathrm{ori}}|_F^2",
                lambda ws: differential(fit_loss(ws), _whole_flow(ws)),
                lambda ws: -sp.Add(*map(squared_norm, fit_gradient(ws))),
                DEPTHS[:3],
            ),
            *_written_out(
                "L_reg along the whole flow",
                r"\frac{d}{dt} L_{\mathrm{reg}} = -|\nabla L_{\mathrm{reg}}|_F^2",
                lambda ws: sp.expand(differential(balance_loss(ws), _whole_flow(ws))),
                lambda ws: -sp.Add(*map(squared_norm, balance_gradient(ws))),
                DEPTHS[:3],
            ),
        ),
    )


def derive_balance() -> Derivation:
    """Derive the law of the defects `Delta_{j,j+1}`.

    Returns
    -------
    Derivation
        `L_ori` does not move them; under `L_reg` they obey a linear equation, so zero stays zero.
    """
    defect, before, after = _defect(X, Y), _defect(Z, X), _defect(Y, U)
    fit = {X: -_fit_gradient(A * Y, X, B), Y: -_fit_gradient(A, Y, X * B)}
    push = {
        X: -_balance_gradient(Z, X, Y, BEFORE, HERE),
        Y: -_balance_gradient(X, Y, U, HERE, AFTER),
    }
    gram = X * adjoint(X) + adjoint(Y) * Y
    law = -HERE * (defect * gram + gram * defect) + 2 * (
        BEFORE * X * before * adjoint(X) + AFTER * adjoint(Y) * after * Y
    )
    return Derivation(
        "balance",
        f"{PAPER}, Theorem 7 (31)",
        (
            Step(
                differential(X * adjoint(X), fit),
                differential(adjoint(Y) * Y, fit),
                "Delta_{j,j+1} is conserved by the flow of L_ori (a = 0)",
                ("X = W_j, Y = W_{j+1}, A = W_N ... W_{j+2}, B = W_{j-1} ... W_1",),
                fresh=True,
                shown=r"\frac{d}{dt} X X^H = \frac{d}{dt} Y^H Y \quad\text{along}\quad"
                r" \dot X = (A Y)^H (\Sigma - W) B^H,\; \dot Y = A^H (\Sigma - W) (X B)^H",
            ),
            Step(
                differential(defect, push),
                law,
                "under the flow of L_reg: linear in the defects, so a balanced chain stays so",
                (*NEAR, "U = W_{j+2}"),
                fresh=True,
                shown=r"\dot\Delta_{j,j+1} = -a_0 \left\{\Delta_{j,j+1}, X X^H + Y^H Y\right\}"
                r" + 2 a_- X \Delta_{j-1,j} X^H + 2 a_+ Y^H \Delta_{j+1,j+2} Y",
            ),
        ),
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
    flow = _down(ws, fit_gradient(ws))
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
                ("A = W_1, R = W_2^-1 W_3^H W_4^H", *exact),
                fresh=True,
                shown=r"W = R^H A A^H A - R^H \Delta_{12} A",
            ),
            Step(
                r * r_h,
                w1 * adjoint(w1)
                - d12
                - inverse * (d23 * gram + gram * d23 - d23**2) * inverse_h
                - inverse * adjoint(w3) * d34 * w3 * inverse_h,
                "R R^H = A A^H if Delta = 0",
                exact,
                fresh=True,
                shown=r"R R^H = A A^H - \Delta_{12} - W_2^{-1} \left(\Delta_{23} W_2 W_2^H + W_2"
                r" W_2^H \Delta_{23} - \Delta_{23}^2 + W_3^H \Delta_{34} W_3\right) W_2^{-H}",
            ),
            Step(
                w4 * adjoint(w4),
                r_h * r + outer,
                "W_4 W_4^H = R^H R if Delta = 0",
                exact,
                fresh=True,
                shown=r"W_4 W_4^H = R^H R + W_4 W_3^{-H} \Delta_{23} W_2^{-H} R",
            ),
            Step(
                differential(w1, flow),
                field_a + w1 * adjoint(w1) * r * shift - d12 * r * error,
                "flow of A: closed if Delta = 0",
                exact,
                fresh=True,
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
                exact,
                fresh=True,
                shown=r"\dot R = A A^H A E^H + A E^H R^H R - R E A^H R"
                r" + \text{terms with a factor } \Delta_{12} \text{ or } \Delta_{23}",
            ),
            Step(
                error,
                closed_error + shift,
                "the error that drives both",
                exact,
                fresh=True,
                shown=r"\Sigma - W = E + R^H \Delta_{12} A",
            ),
            *_on_two_matrices(),
        ),
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
                ("Sigma = T T^H, A A^H = R R^H = C C^H", "the flow of A and R in reduced form"),
                fresh=True,
                shown=r"\frac{d}{dt} \operatorname{tr}\left((A - R) \Sigma (A - R)^H\right) ="
                r" -2 |C^H (A - R) \Sigma|_F^2 - 2 |C^H C C^H (A - R) T|_F^2"
                r" - |R \Sigma A^H - A \Sigma R^H|_F^2",
            ),
        ),
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
                (
                    "Sigma = sigma_1 I, A A^H = R R^H = C C^H = M",
                    "the flow of A and R in reduced form",
                ),
                fresh=True,
                shown=r"\frac{d}{dt} F F^H = \left\{\sigma_1 M - M^3, F F^H\right\}"
                r" + \tfrac{1}{\sigma_1} K K^H - \tfrac12 \left[K, F F^H + R R^H - A A^H\right],"
                r" \quad F = A + R,\; K = \sigma_1 (R A^H - A R^H)",
            ),
        ),
    )


def _written_out(
    rule: str, shown: str, lhs: Sides, rhs: Sides, depths: Sequence[int] = DEPTHS
) -> tuple[Step, ...]:
    """One step for each depth, with all layers as letters."""
    return tuple(
        Step(
            lhs(ws),
            rhs(ws),
            f"{rule}, N = {len(ws)}",
            fresh=True,
            shown=rf"{shown}, \quad N = {len(ws)}",
        )
        for ws in map(layers, depths)
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
            fresh=True,
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
            fresh=True,
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


def _defect(layer: sp.Expr, after: sp.Expr) -> sp.Expr:
    return layer * adjoint(layer) - adjoint(after) * after


def _fit_gradient(outer: sp.Expr, layer: sp.Expr, inside: sp.Expr) -> sp.Expr:
    return -adjoint(outer) * (TARGET - outer * layer * inside) * adjoint(inside)


def _pairs(
    before: sp.Expr, layer: sp.Expr, after: sp.Expr, weight_before: sp.Expr, weight: sp.Expr
) -> sp.Expr:
    """The part of L_reg that one layer is in, each pair with its own weight."""
    pairs = ((weight_before, _defect(before, layer)), (weight, _defect(layer, after)))
    return sp.Add(*(a * squared_norm(d) for a, d in pairs)) / 4


def _balance_gradient(
    before: sp.Expr, layer: sp.Expr, after: sp.Expr, weight_before: sp.Expr, weight: sp.Expr
) -> sp.Expr:
    """Gradient by one layer, each pair with its own weight, so that an end is a zero weight."""
    return weight * _defect(layer, after) * layer - weight_before * layer * _defect(before, layer)


def _gauge(left: sp.Expr, layer: sp.Expr, right: sp.Expr) -> sp.Expr:
    """Velocity of a layer under a gauge move with these generators behind and in front of it."""
    return left * layer - layer * right


def _down(ws: Sequence[sp.Symbol], gradients: Sequence[sp.Expr]) -> dict[sp.Symbol, sp.Expr]:
    """Velocities of the layers down their gradients."""
    return {w: -g for w, g in zip(ws, gradients, strict=True)}


def _whole_flow(ws: Sequence[sp.Symbol]) -> dict[sp.Symbol, sp.Expr]:
    return _down(ws, [f + b for f, b in zip(fit_gradient(ws), balance_gradient(ws), strict=True)])


def _column(entries: Iterable[sp.Expr]) -> sp.Matrix:
    return sp.Matrix(list(entries))
