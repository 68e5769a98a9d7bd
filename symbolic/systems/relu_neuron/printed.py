"""Formulas as a paper prints them, put to the machine: which hold, and what corrects the others.

A printed formula that a derivation arrives at is that derivation's step. One that does not hold is
a step of its own, which comes back refuted, with the step that replaces it.
"""

from __future__ import annotations

from dataclasses import dataclass

import sympy as sp

from symbolic.evidence.derivation import Step
from symbolic.lemmas.dual_kernel import ALPHA, ANGLES, BETA, THETA
from symbolic.systems.relu_neuron.document import derive
from symbolic.systems.relu_neuron.pair import PAPER, kernel

__all__ = ["PrintedForm", "printed_forms"]


@dataclass(frozen=True)
class PrintedForm:
    """A formula of a paper.

    Parameters
    ----------
    source : str
        Where it is printed.
    form : Step
        The formula; `form.verify()` says whether it holds.
    corrected : Step or None
        What holds instead, where the printed form does not.
    """

    source: str
    form: Step
    corrected: Step | None = None


def printed_forms() -> tuple[PrintedForm, ...]:
    """Return the printed formulas of the single ReLU neuron that are algebra.

    Returns
    -------
    tuple of PrintedForm
        In the order of the paper. Statements about phases and probabilities are no algebra; they
        are claims, which `flows.check` measures.
    """
    steps = {(d.name, s.rule): s for d in derive().derivations for s in d.steps}

    def step(derivation: str, begin: str) -> Step:
        (found,) = (
            s for (d, rule), s in steps.items() if d == derivation and rule.startswith(begin)
        )
        return found

    flow, decay = "flow of z, h, theta and r", "decay of the pairwise distance"
    one_neuron = (ALPHA**2 + BETA**2) / 4 - kernel()  # k(a, a) = |a|^2/2
    lemma_20 = Step(
        one_neuron,
        ALPHA**2 * THETA**3 / (30 * sp.pi),
        "L >= |w|^2 theta^3/(30 pi), for every angle",
        assumptions=("n = 1: alpha = |w|, beta = |v|",),
        domain=ANGLES,
        fresh=True,
        relation=">=",
    )
    return (
        PrintedForm(f"{PAPER}, section 2, loss", step("loss", "the form stated in the paper")),
        PrintedForm(f"{PAPER}, equation 4", step("gradient", "one summand of equation 4")),
        PrintedForm(f"{PAPER}, equation 51, zeta", step("Hessian", "zeta(a, b) of equation 51")),
        PrintedForm(f"{PAPER}, equation 51, H_ij", step("Hessian", "off-diagonal block")),
        PrintedForm(f"{PAPER}, flow of z_i", step(flow, "the part orthogonal to v of a neuron's")),
        PrintedForm(f"{PAPER}, Lemma 17", step("separation of the z directions", "Lemma 17")),
        PrintedForm(
            f"{PAPER}, Lemma 20",
            lemma_20,
            step("what an angle costs", "L >= |w|^2 theta^3/(4 pi^3)"),
        ),
        PrintedForm(f"{PAPER}, equation 66, C = 152 pi^2", step(decay, "dZ/dt >= -152")),
        PrintedForm(
            f"{PAPER}, equation 68, c = 1/(24 pi)",
            step("distance against loss", "L >= Z^3/(24 pi n^5 |v|)"),
        ),
        PrintedForm(
            f"{PAPER}, Theorem 14, C = 152 pi^2 (24 pi)^(1/3)",
            step("lower bound of the loss", "L^(-1/3) <="),
        ),
    )
