r"""Deep linear chains: gradients of both parts of the loss, orthogonality, dissipation, balance.

Each statement is derived around one layer, for every depth, and confirmed at some depths in full.
Source: Luo, Xu, Gao, Fazel & Du, arXiv 2511.09925.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from typing import Any

import sympy as sp

from symbolic.evidence.derivation import Derivation, Step
from symbolic.language.matrix_calculus import (
    Trace,
    adjoint,
    differential,
    gradient,
    inner,
    letters,
    squared_norm,
)
from symbolic.systems.matrix_factorization.chain import (
    PAPER,
    balance_gradient,
    balance_gradient_at,
    balance_loss,
    chain,
    defect,
    fit_gradient,
    fit_gradient_at,
    fit_loss,
    gradient_flow,
    layers,
)

__all__ = [
    "derive_balance",
    "derive_balance_gradient",
    "derive_dissipation",
    "derive_fit_gradient",
    "derive_gauge",
    "derive_orthogonality",
]

Sides = Callable[[tuple[sp.Symbol, ...]], Any]  # a side of a step for given layers
# Depths at which a statement for every depth is confirmed with all layers written out.
DEPTHS = (2, 3, 4, 5)

A, B, H, X, Y, Z, U = letters("A B H X Y Z U")
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


def derive_fit_gradient() -> Derivation:
    """Derive the gradient of `L_ori` by one layer, at any place of a chain of any depth.

    Returns
    -------
    Derivation
        For every depth, then confirmed for `DEPTHS`.
    """
    loss = fit_loss((B, X, A))
    stated = fit_gradient_at(A, X, B)
    return Derivation(
        "gradient of L_ori",
        f"{PAPER}, section 2",
        (
            Step(
                differential(loss, {X: H}),
                inner(stated, H),
                "dL_ori = <grad L_ori, dX> for every direction dX = H, <G, H> = Re tr(G^H H)",
                assumptions=AROUND,
                shown=r"d\,\tfrac12 |\Sigma - A X B|_F^2 = \operatorname{Re}\operatorname{tr}"
                r"\left(G^H H\right), \quad G = -A^H (\Sigma - A X B) B^H",
            ),
            Step(gradient(loss, X), stated, "the gradient", assumptions=AROUND),
            *_written_out(
                "all layers written out",
                r"\nabla_j L_{\mathrm{ori}} = -(W_N \cdots W_{j+1})^H (\Sigma - W)"
                r" (W_{j-1} \cdots W_1)^H",
                lambda ws: _column(gradient(fit_loss(ws), w) for w in ws),
                lambda ws: _column(fit_gradient(ws)),
            ),
        ),
        results=("dL_ori =", "all layers written out, N = 4"),
        heading="The gradient of the fit is a product of three matrices",
    )


def derive_balance_gradient() -> Derivation:
    """Derive the gradient of `L_reg` by one layer, at any place of a chain of any depth.

    Returns
    -------
    Derivation
        For every depth, then confirmed for `DEPTHS`.
    """
    loss = _pairs(Z, X, Y, BEFORE, HERE)
    stated = balance_gradient_at(Z, X, Y, BEFORE, HERE)
    return Derivation(
        "gradient of L_reg",
        f"{PAPER}, section 2",
        (
            Step(
                differential(loss, {X: H}),
                inner(stated, H),
                "dL_reg = <grad L_reg, dX> for every direction dX = H; the other pairs are free"
                " of X",
                assumptions=NEAR,
                shown=r"d L_{\mathrm{reg}} = \operatorname{Re}\operatorname{tr}\left(\Gamma^H H"
                r"\right), \quad \Gamma = a_0 (X X^H - Y^H Y) X - a_- X (Z Z^H - X^H X)",
            ),
            Step(gradient(loss, X), stated, "the gradient", assumptions=NEAR),
            *_written_out(
                "all layers written out",
                r"\nabla_j L_{\mathrm{reg}} = a \Delta_{j,j+1} W_j - a W_j \Delta_{j-1,j}",
                lambda ws: _column(gradient(balance_loss(ws), w) for w in ws),
                lambda ws: _column(balance_gradient(ws)),
            ),
        ),
        results=("dL_reg =", "all layers written out, N = 4"),
        heading="The gradient of the balancing term is linear in the two defects beside a layer",
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
                assumptions=(
                    "xi_1 = dg_j/dt, xi_2 = dg_{j+1}/dt",
                    "(1 + t xi)^-1 = 1 - t xi + O(t^2)",
                ),
            ),
            Step(
                -balance_gradient_at(Z, X, Y, BEFORE, HERE),
                _gauge(-HERE * defect(X, Y), X, -BEFORE * defect(Z, X)),
                "-grad L_reg is a gauge move with dg_{j+1}/dt = -a Delta_{j,j+1}",
                assumptions=NEAR,
            ),
            Step(
                differential(Y * X, {X: _gauge(eta, X, xi), Y: _gauge(zeta, Y, eta)}),
                _gauge(zeta, Y * X, xi),
                "the product of two neighbours moves by the outer generators alone; by induction"
                " W moves by those of its ends, which are zero",
                assumptions=("X, Y: layers or products of neighbouring layers",),
            ),
            *_written_out(
                "W rests under the flow of L_reg",
                r"\frac{d}{dt} W_N \cdots W_1 = 0 \quad\text{along}\quad \dot W_j ="
                r" -\nabla_j L_{\mathrm{reg}}",
                lambda ws: differential(chain(ws), gradient_flow(ws, balance_gradient(ws))),
                lambda ws: sp.S.Zero,
                DEPTHS[1:],  # for N = 2 SymPy cancels the two terms by itself
            ),
        ),
        results=("-grad L_reg is", "W rests under the flow of L_reg, N = 4"),
        heading="The balancing term moves the layers and leaves their product in place",
    )


def derive_orthogonality() -> Derivation:
    """Prove `<grad L_ori, grad L_reg> = 0`: even the trace vanishes of which that is the real part.

    Returns
    -------
    Derivation
        A telescoping sum, for every depth, then confirmed for `DEPTHS`.
    """
    after, here = fit_gradient_at(A, Y, X * B), fit_gradient_at(A * Y, X, B)
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
                assumptions=("X = W_j, Y = W_{j+1}, A = W_N ... W_{j+2}, B = W_{j-1} ... W_1",),
                same=True,
                shown=r"X \left(-(A Y)^H (\Sigma - A Y X B) B^H\right)^H"
                r" = \left(-A^H (\Sigma - A Y X B) (X B)^H\right)^H Y",
            ),
            Step(
                Trace(adjoint(g) * balance_gradient_at(Z, X, Y, BEFORE, HERE)),
                HERE * Trace(defect(X, Y) * X * adjoint(g))
                - BEFORE * Trace(defect(Z, X) * adjoint(g) * X),
                "one layer's share: T_j - T_{j-1} with T_j = a_j tr(Delta_{j,j+1} W_j"
                " (grad_j L_ori)^H), by the exchange of neighbours",
                assumptions=("G = grad_j L_ori", *NEAR),
            ),
            Step(
                sp.Sum(flux(j) - flux(j - 1), (j, 1, depth)),
                flux(depth) - flux(0),
                "the sum over the layers telescopes; T_0 = T_N = 0, because a_0 = a_N = 0",
                domain=((depth, 2, 6),),
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
        results=("the sum over the layers", "all layers written out, N = 4"),
        heading="The gradients of the two parts of the loss are orthogonal",
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
    stated = fit_gradient_at(A, X, B)
    pushed = balance_gradient_at(Z, X, Y, BEFORE, HERE)
    return Derivation(
        "separate dissipation",
        "derived here",
        (
            Step(
                differential(loss, {X: -stated - other}),
                -squared_norm(stated) - inner(stated, other),
                "one layer's share of dL_ori/dt along dX/dt = -grad_j L_ori - G, G = grad_j"
                " L_reg: the last term sums to zero over the layers",
                assumptions=AROUND,
                shown=r"\left\langle \nabla_j L_{\mathrm{ori}}, \dot W_j \right\rangle ="
                r" -|\nabla_j L_{\mathrm{ori}}|_F^2"
                r" - \left\langle \nabla_j L_{\mathrm{ori}}, G \right\rangle",
            ),
            Step(
                differential(_pairs(Z, X, Y, BEFORE, HERE), {X: -pushed - other}),
                -squared_norm(pushed) - inner(pushed, other),
                "one layer's share of dL_reg/dt, G = grad_j L_ori",
                assumptions=NEAR,
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
        results=("L_ori along the whole flow, N = 4", "L_reg along the whole flow, N = 4"),
        heading="Each part of the loss falls by its own gradient alone",
    )


def derive_balance() -> Derivation:
    """Derive the law of the defects `Delta_{j,j+1}`.

    Returns
    -------
    Derivation
        `L_ori` does not move them; under `L_reg` they obey a linear equation, so zero stays zero.
    """
    here, before, after = defect(X, Y), defect(Z, X), defect(Y, U)
    fit = {X: -fit_gradient_at(A * Y, X, B), Y: -fit_gradient_at(A, Y, X * B)}
    push = {
        X: -balance_gradient_at(Z, X, Y, BEFORE, HERE),
        Y: -balance_gradient_at(X, Y, U, HERE, AFTER),
    }
    gram = X * adjoint(X) + adjoint(Y) * Y
    law = -HERE * (here * gram + gram * here) + 2 * (
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
                assumptions=("X = W_j, Y = W_{j+1}, A = W_N ... W_{j+2}, B = W_{j-1} ... W_1",),
                same=True,
                shown=r"\frac{d}{dt} X X^H = \frac{d}{dt} Y^H Y \quad\text{along}\quad"
                r" \dot X = (A Y)^H (\Sigma - W) B^H,\; \dot Y = A^H (\Sigma - W) (X B)^H",
            ),
            Step(
                differential(here, push),
                law,
                "under the flow of L_reg: linear in the defects, so a balanced chain stays so",
                assumptions=(*NEAR, "U = W_{j+2}"),
                shown=r"\dot\Delta_{j,j+1} = -a_0 \left\{\Delta_{j,j+1}, X X^H + Y^H Y\right\}"
                r" + 2 a_- X \Delta_{j-1,j} X^H + 2 a_+ Y^H \Delta_{j+1,j+2} Y",
            ),
        ),
        heading="The fit conserves the defects of balance, and a balanced chain stays balanced",
    )


def _written_out(
    rule: str, shown: str, lhs: Sides, rhs: Sides, depths: Sequence[int] = DEPTHS
) -> tuple[Step, ...]:
    """One step for each depth, with all layers as letters."""
    return tuple(
        Step(lhs(ws), rhs(ws), f"{rule}, N = {len(ws)}", shown=rf"{shown}, \quad N = {len(ws)}")
        for ws in map(layers, depths)
    )


def _pairs(
    before: sp.Expr, layer: sp.Expr, after: sp.Expr, weight_before: sp.Expr, weight: sp.Expr
) -> sp.Expr:
    """The part of L_reg that one layer is in, each pair with its own weight."""
    pairs = ((weight_before, defect(before, layer)), (weight, defect(layer, after)))
    return sp.Add(*(a * squared_norm(d) for a, d in pairs)) / 4


def _gauge(left: sp.Expr, layer: sp.Expr, right: sp.Expr) -> sp.Expr:
    """Velocity of a layer under a gauge move with these generators behind and in front of it."""
    return left * layer - layer * right


def _whole_flow(ws: Sequence[sp.Symbol]) -> dict[sp.Symbol, sp.Expr]:
    return gradient_flow(
        ws, [f + b for f, b in zip(fit_gradient(ws), balance_gradient(ws), strict=True)]
    )


def _column(entries: Iterable[sp.Expr]) -> sp.Matrix:
    return sp.Matrix(list(entries))
