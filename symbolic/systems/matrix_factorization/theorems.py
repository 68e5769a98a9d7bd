r"""Theorems about deep linear chains: balance is conserved, or decays with the penalty.

`p_a` is column a of `W_{j+1}`, `q_a` row a of `W_j`, so that `<p_a, p_b> - <q_a, q_b>` is an entry
of `-Delta_{j,j+1}`; real chains.

Source: Luo, Xu, Gao, Fazel & Du, arXiv 2511.09925.
"""

from __future__ import annotations

from functools import cache

from symbolic.systems.matrix_factorization.calculus import PAPER
from symbolic.theorem import derived, kernel
from symbolic.theorem.formulas import Forall, Formula, eq, ge
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


def theorems() -> tuple[Statement, ...]:
    """Return the theorems, each made by the kernel.

    Returns
    -------
    tuple of Statement
        Balance is conserved without the penalty, and the penalty decays at the rate that the
        singular values give it.
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
    )
