"""Formulas as Luo et al. print them, put to the machine: which hold, and what corrects the others.

The paper's formulas are known here second-hand, as the project's notes state them. A statement
about matrices is refuted on a chain of size one, whose layers are numbers.
"""

from __future__ import annotations

import sympy as sp

from symbolic.evidence.printed import PrintedForm, Reached
from symbolic.evidence.step import Step
from symbolic.systems.matrix_factorization.chain import PAPER
from symbolic.systems.matrix_factorization.document import derive

__all__ = ["printed_forms"]

SIGMA = sp.Symbol("sigma_1", positive=True)
LAYERS = sp.symbols("w_1:5", positive=True)
SIZE_ONE = "d = 1, N = 4, a = 0: the layers are positive numbers"


def printed_forms() -> tuple[PrintedForm, ...]:
    """Return the printed formulas of matrix factorisation that are algebra.

    Returns
    -------
    tuple of PrintedForm
        In the order of the paper.
    """
    reached = Reached(derive(), PAPER)
    step, holds = reached.step, reached.holds
    skew = step("skew error", "the rate of the skew error")
    return (
        holds("section 2, gradient of L_ori", "gradient of L_ori", "the gradient"),
        holds("section 2, gradient of L_reg", "gradient of L_reg", "the gradient"),
        holds("Theorem 7, Delta is conserved", "balance", "Delta_{j,j+1} is conserved"),
        PrintedForm(f"{PAPER}, Theorem 4, balanced", skew),
        PrintedForm(f"{PAPER}, Theorem 34, read off balance", _skew_off_balance(), skew),
        PrintedForm(
            f"{PAPER}, Theorem 5, read without |W| <= sigma_1", _main_term(), _main_term_below()
        ),
        holds("Theorem 11, the rate sigma_1^(3/2)", "local convergence", "-dL_ori/dt >= 2 N delta"),
        PrintedForm(
            f"{PAPER}, Theorem 11, L <= L_ori(T) exp(-sigma_1^(3/2) (t - T)), at t = T",
            _from_fit_alone(),
            step("local convergence", "so L = L_ori + L_reg falls like"),
        ),
    )


def _skew_off_balance() -> Step:
    """`|W_1 - W_2^-1 W_3^H W_4^H|^2` never increases, whatever the balance."""
    w_1, w_2, w_3, w_4 = LAYERS
    product = sp.Mul(*LAYERS)
    speed = {w: (SIGMA - product) * product / w for w in LAYERS}
    gap = w_1 - w_3 * w_4 / w_2
    return Step(
        sp.Add(*(sp.diff(gap**2, w) * speed[w] for w in LAYERS)),
        sp.S.Zero,
        "the skew error never increases, off balance too",
        assumptions=(SIZE_ONE,),
        relation="<=",
    )


def _main_term() -> Step:
    """The least eigenvalue of the main term's square never decreases."""
    m, least = sp.symbols("m l", positive=True)
    return Step(
        2 * least * (SIGMA * m - m**3),
        sp.S.Zero,
        "the main term never decreases",
        assumptions=("dl/dt on an eigenvector of M = A A^H to m; W = U S^4 V^H, |W| = m^2",),
        relation=">=",
    )


def _main_term_below() -> Step:
    m, least, p = sp.symbols("m l p", positive=True)
    return Step(
        2 * least * (m**2 / p * m - m**3),
        sp.S.Zero,
        "the main term never decreases while |W| <= sigma_1",
        assumptions=("|W| = m^2 = p sigma_1, p <= 1; real layers: det W > 0",),
        domain=((p, sp.S.Zero, sp.S.One),),
        relation=">=",
    )


def _from_fit_alone() -> Step:
    """At `t = T` the bound says that `L` is at most its part `L_ori`."""
    fit, reg = sp.symbols("L_ori L_reg", nonnegative=True)
    return Step(
        fit + reg,
        fit,
        "L(T) <= L_ori(T)",
        assumptions=("t = T: the exponential is 1; L = L_ori + L_reg",),
        relation="<=",
    )
