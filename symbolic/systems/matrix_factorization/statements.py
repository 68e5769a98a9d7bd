r"""Theorems about deep linear chains: balance, and the exponential rate near a good start.

`p_a` is column a of `W_{j+1}`, `q_a` row a of `W_j`, so that `<p_a, p_b> - <q_a, q_b>` is an entry
of `-Delta_{j,j+1}`; real chains.

Source: Luo, Xu, Gao, Fazel & Du, arXiv 2511.09925.
"""

from __future__ import annotations

from functools import cache

from symbolic.systems.matrix_factorization.calculus import PAPER
from symbolic.theorem import derived, kernel
from symbolic.theorem.formulas import Forall, Formula, eq, ge, gt
from symbolic.theorem.kernel import Theorem
from symbolic.theorem.proving import Statement, add, given, weak
from symbolic.theorem.terms import Poly, T, Vec, function, number, symbol

__all__ = ["theorems"]

AFTER = ge(T - symbol("T"))
ALWAYS = (AFTER,)
PENALTY, SPEED, RATE = symbol("R", time="t"), symbol("g", time="t"), symbol("k")


def _p(a: str) -> Vec:
    return Vec.symbol("p", a, time="t")


def _q(a: str) -> Vec:
    return Vec.symbol("q", a, time="t")


def _defect(a: str, b: str) -> Poly:
    return _p(a).dot(_p(b)) - _q(a).dot(_q(b))


TURN = Forall(("a", "b", "t"), ALWAYS, eq(_q("a").prime.dot(_q("b")) - _p("a").dot(_p("b").prime)))
DISSIPATION = Forall(("t",), ALWAYS, eq(function("d", PENALTY) + SPEED**2))
STEEP = Forall(("t",), ALWAYS, ge(SPEED**2 - RATE * PENALTY))
LABELS: dict[Formula, str] = {
    TURN: "axiom flow of L_ori: W_j' W_j^H = W_{j+1}^H W_{j+1}'",
    DISSIPATION: "axiom dissipation: dL_reg/dt = -|grad L_reg|^2, R = L_reg, g = |grad L_reg|",
    STEEP: "where |grad L_reg|^2 >= k L_reg, as singular values in [delta, M] give it",
    AFTER: "t >= T",
}


@cache
def conserved() -> Theorem:
    """`Delta_ab(t) - Delta_ab(T) = 0`."""
    turns = (1, [given(TURN)]), (1, [given(TURN, a="b", b="a")])
    sides = []
    for sign in (1, -1):
        u = sign * _defect("a", "b")
        still = add(kernel.derive(u), *((-sign * c, th) for c, th in turns))
        sides.append(derived.gronwall(weak(still), number(0), u, "T"))
    return kernel.antisymmetry(*sides)


@cache
def decays() -> Theorem:
    """`R(T) exp(-k (t - T)) - R(t) >= 0`."""
    fall = add(kernel.derive(-PENALTY), (-1, [given(DISSIPATION)]), given(STEEP))
    return derived.gronwall(fall, RATE, -PENALTY, "T")


# --- the skew error ----------------------------------------------------------------------------
SKEW = symbol("S", time="t")
SKEW_RATE = Forall(
    ("t",),
    ALWAYS,
    eq(
        function("d", SKEW)
        + 2 * symbol("x", time="t") ** 2
        + 2 * symbol("y", time="t") ** 2
        + symbol("K", time="t") ** 2
    ),
)
SKEWED: dict[Formula, str] = {
    SKEW_RATE: "axiom skew error of balanced chains, N = 4: dS/dt = -2 x^2 - 2 y^2 - K^2, where "
    "S = |(A - R) Sigma^(1/2)|^2, A = W_1, R = W_2^-1 W_3^H W_4^H, x = |A^H (A - R) Sigma|, "
    "y = |A^H A A^H (A - R) Sigma^(1/2)|, K = |R Sigma A^H - A Sigma R^H|",
    AFTER: "t >= T",
}


@cache
def skew_falls() -> Theorem:
    """`S(T) - S(t) >= 0`."""
    squares = [(2, "x"), (2, "y"), (1, "K")]
    parts = ((c, [kernel.square(symbol(name, time="t"))]) for c, name in squares)
    rate = add(kernel.derive(-SKEW), (-1, [given(SKEW_RATE)]), *parts)
    return kernel.monotone(rate, (), -SKEW, "T", "t")


# --- the local rate ----------------------------------------------------------------------------
#: All layers as one vector; the loss is `ell^2`.
LAYERS, ROOT, ROOT_T = Vec.symbol("W", time="t"), symbol("ell", time="t"), symbol("ell", time="T")
LEAST, STRONG, SLOW = symbol("delta"), symbol("kappa"), symbol("rho")
STEPPED = (LAYERS - Vec.symbol("W", time="T")).norm()
SPEED_2 = LAYERS.prime.dot(LAYERS.prime)
FIT = Forall(("t",), ALWAYS, eq(function("d", ROOT**2) + SPEED_2))
STRONGLY = Forall(("t",), (AFTER, ge(LEAST - STEPPED)), ge(SPEED_2 - 8 * LEAST**6 * ROOT**2))
POSITIVE, SIGN = Forall(("t",), ALWAYS, gt(ROOT)), gt(LEAST)
LET_STRONG, STRONG_SIGN = eq(STRONG**2 - 2 * LEAST**6), gt(STRONG)
LET_SLOW = eq(SLOW * STRONG - 1)
SMALL = ge(LEAST * STRONG - ROOT_T)
CLOSE = Forall(("t",), (AFTER, gt(symbol("end") - T)), gt(LEAST - STEPPED))
LOCAL: dict[Formula, str] = {
    FIT: "axiom gradient flow of four layers W: d/dt ell^2 = -|W'|^2, and L = ell^2",
    STRONGLY: "axiom: where |W - W(T)| <= delta, all singular values of layers are at least "
    "delta, so |grad L|^2 >= 8 delta^6 L",
    POSITIVE: "the loss is not zero yet",
    SIGN: "delta > 0; the singular values of all layers at time T are at least 2 delta",
    LET_STRONG: "kappa = sqrt(2) delta^3",
    STRONG_SIGN: "kappa > 0",
    LET_SLOW: "rho = 1/kappa",
    SMALL: "at time T: L <= 2 delta^8",
    AFTER: "t >= T",
}


@cache
def pace() -> Theorem:
    """`-rho ell' - |W'| >= 0`, where the layers are near their start."""
    ell, speed = given(POSITIVE), function("d", ROOT)
    fall = add(given(FIT), (-1, [kernel.derive(ROOT**2)]))  # 2 ell ell' + |W'|^2 = 0
    square = add(kernel.square(LAYERS.prime.norm()), (-1, [kernel.norm_square(LAYERS.prime)]))
    # |W'|^2 (|W'|^2 - 8 delta^6 ell^2) >= 0 with |W'|^2 = -2 ell ell'
    product = add((1, [square, given(STRONGLY)]), (2 * ROOT * speed - SPEED_2, [fall]))
    positive = add((4, [ell, ell]), strict=True)
    squares = derived.cancel(product, positive, speed**2 - 2 * LEAST**6 * SPEED_2)
    slow = _slow_sign()
    # rho^2 times it, and rho^2 2 delta^6 = 1
    unit = add((SLOW**2, [kernel.assume(LET_STRONG)]), (-1 * SLOW * STRONG - 1, [_unit()]))
    squares = add((1, [slow, slow, squares]), (-1 * SPEED_2, [unit]))
    squares = add(squares, (-1, [kernel.norm_square(LAYERS.prime)]))
    falling = derived.cancel(add(square, (-1, [fall])), add((2, [ell]), strict=True), -speed)
    most = weak(add((1, [slow, falling])))
    return derived.power(squares, most, -SLOW * speed, LAYERS.prime.norm(), 2)


def _unit() -> Theorem:
    return kernel.assume(LET_SLOW)


def _slow_sign() -> Theorem:
    """`rho > 0`."""
    one = kernel.combine(gt(SLOW * STRONG), (1, [_unit()]), (1, []))
    return derived.cancel(one, kernel.assume(STRONG_SIGN), SLOW)


@cache
def layers_stay() -> Theorem:
    """`delta - |W(t) - W(T)| > 0` for all `t >= T`."""
    near = kernel.cut(pace(), weak(given(CLOSE)), ge(LEAST - STEPPED))
    step = add(near, kernel.derive(-SLOW * ROOT))
    path = derived.integrate(step, LAYERS, -SLOW * ROOT, ("T", "end"))
    slow = _slow_sign()
    small = add((1, [slow, kernel.assume(SMALL)]), (-LEAST, [_unit()]))
    there = add(path, small, (1, [slow, given(POSITIVE, t="end")]), strict=True)
    stays = kernel.bootstrap(there, kernel.assume(SIGN), CLOSE, ("T", "end", "later"), 1)
    return kernel.subst(stays, {"later": "t"})


@cache
def local_rate() -> Theorem:
    """`ell(T)^2 exp(-8 delta^6 (t - T)) - ell^2 >= 0` for all `t >= T`."""
    steep = kernel.cut(given(STRONGLY), weak(layers_stay()), ge(LEAST - STEPPED))
    loss = ROOT**2
    rate = add(steep, (-1, [given(FIT)]), kernel.derive(loss), kernel.derive(-loss))
    return derived.gronwall(rate, 8 * LEAST**6, -loss, "T")


def theorems() -> tuple[Statement, ...]:
    """Return the theorems, each made by the kernel.

    Returns
    -------
    tuple of Statement
        Balance is conserved without the penalty, the penalty decays at the rate that the singular
        values give it, and the loss falls exponentially from a small one.
    """
    source = f"{PAPER}, Theorem 7 (31)"
    return (
        Statement(
            "balance_conserved",
            "the defects are conserved without a penalty",
            source,
            conserved(),
            LABELS,
            "Delta_{j,j+1}(t) = Delta_{j,j+1}(T), entry by entry; real chains, a = 0",
        ),
        Statement(
            "balance_decays",
            "the penalty decays where its gradient has a rate",
            source,
            decays(),
            LABELS,
            "L_reg(t) <= L_reg(T) exp(-k (t - T))",
        ),
        Statement(
            "skew_falls",
            "the skew error of balanced chains never increases",
            f"{PAPER}, Theorems 4 and 33",
            skew_falls(),
            SKEWED,
            "|(A - R) Sigma^(1/2)|_F^2 at t >= T is at most what it is at T; N = 4, balanced",
        ),
        Statement(
            "layers_stay",
            "from a small loss the layers stay near their start",
            f"{PAPER}, Theorem 11; the region and its proof are derived here",
            layers_stay(),
            LOCAL,
            "|W(t) - W(T)| < delta for all t >= T: no singular value falls below delta",
        ),
        Statement(
            "local_rate",
            "from a small loss the loss falls exponentially",
            f"{PAPER}, Theorem 11; rate and region are derived here",
            local_rate(),
            LOCAL,
            "L(t) <= L(T) exp(-8 delta^6 (t - T)), where L(T) <= 2 delta^8; N = 4, no penalty",
        ),
    )
