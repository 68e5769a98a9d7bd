"""Formulas as Xu & Du print them, put to the machine: which hold, and what corrects the others."""

from __future__ import annotations

import sympy as sp

from symbolic.evidence.printed import PrintedForm, Reached
from symbolic.evidence.step import Step
from symbolic.lemmas.dual_kernel import ALPHA, ANGLES, BETA, THETA
from symbolic.systems.relu_neuron.bounds import FRACTIONS, NEURONS, N, P, V
from symbolic.systems.relu_neuron.document import derive
from symbolic.systems.relu_neuron.pair import PAPER, kernel

__all__ = ["printed_forms"]


def printed_forms() -> tuple[PrintedForm, ...]:
    """Return the printed formulas of the single ReLU neuron that are algebra.

    Returns
    -------
    tuple of PrintedForm
        In the order of the paper. Statements about phases and probabilities are no algebra; they
        are claims, which `flows.check` measures.
    """
    reached = Reached(derive(), PAPER)
    step, holds = reached.step, reached.holds
    flow, decay = "flow of z, h, theta and r", "decay of the pairwise distance"
    return (
        holds("section 2, loss", "loss", "the form stated in the paper"),
        holds("equation 4", "gradient", "one summand of equation 4"),
        holds("equation 51, zeta", "Hessian", "zeta(a, b) of equation 51"),
        holds("equation 51, H_ij", "Hessian", "off-diagonal block"),
        holds("flow of z_i", flow, "the part orthogonal to v of a neuron's"),
        holds(
            "T2 = O(log n/n), to 36 n^-14 |v|, C = 28",
            "fall of the residual along the teacher",
            "exp(-n t/2) falls to n^-14",
        ),
        holds(
            "Corollary 12, n^4 from Theorem 7",
            "upper bound of the loss",
            "L <= (27/c^6) n^4 |v|^2/t^3",
        ),
        holds("Lemma 17", "separation of the z directions", "Lemma 17"),
        PrintedForm(
            f"{PAPER}, Lemma 20",
            _lemma_20(),
            step("what an angle costs", "L >= |w|^2 theta^3/(4 pi^3)"),
        ),
        holds(
            "Lemma 30, the factor 1/3", "persistence of the largest angle", "Lemma 30 as printed"
        ),
        holds("equation 66, C = 34 pi^2", decay, "dZ/dt >= -34"),
        holds("equation 68, c = 1/(24 pi)", "distance against loss", "L >= Z^3/(24 pi n^5 |v|)"),
        holds("Theorem 14, C = 34 pi^2 (24 pi)^(1/3)", "lower bound of the loss", "L^(-1/3) <="),
        holds("appendix A, mirror pair", "mirror pair", "t^3 L = (t theta)^3 (L/theta^3)"),
        PrintedForm(
            f"{PAPER}, appendix A, neurons parallel to v, read with either sign",
            _parallel(),
            step("neurons along the teacher", "dL/dt = (dL/drho) rho'"),
        ),
        PrintedForm(
            f"{PAPER}, appendix A, equal neurons, read with any direction",
            _equal(),
            step("equal neurons", "so |grad L|^2 >= c L"),
        ),
    )


def _lemma_20() -> Step:
    """Lemma 20 for one neuron."""
    one_neuron = (ALPHA**2 + BETA**2) / 4 - kernel()  # k(a, a) = |a|^2/2
    return Step(
        one_neuron,
        ALPHA**2 * THETA**3 / (30 * sp.pi),
        "L >= |w|^2 theta^3/(30 pi), for every angle",
        assumptions=("n = 1: alpha = |w|, beta = |v|",),
        domain=ANGLES,
        relation=">=",
    )


def _parallel() -> Step:
    """A linear rate of neurons on the other side of the teacher, which are all blind to it."""
    size = sp.Symbol("S", positive=True)
    return Step(
        N * size**2 / 4,
        P * (V**2 + size**2) / 4,
        "a linear rate, -dL/dt >= c L, for neurons parallel to v",
        assumptions=("all h_i < 0, S = sum |h_i|, S' = -(n/2) S; c = p",),
        domain=(*FRACTIONS[:1], *NEURONS),
        relation=">=",
    )


def _equal() -> Step:
    """A linear rate of equal neurons that are opposite to the teacher."""
    return Step(
        ALPHA**2 / 4,
        P * (ALPHA**2 + BETA**2) / 4,
        "a linear rate, |grad L|^2 >= c L, for equal neurons",
        assumptions=("theta = pi: alpha = n |w_i|, beta = |v|; c = p",),
        domain=FRACTIONS[:1],
        relation=">=",
    )
