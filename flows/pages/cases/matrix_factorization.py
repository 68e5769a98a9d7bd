"""The runs on the report page of matrix factorisation, and its figures beside them."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from matplotlib.figure import Figure

import potentials
from flows.pages.case import Case, Story, echo, scaled
from flows.pages.figures.matrix_factorization import (
    depths_figure,
    fields_figure,
    layers_figure,
    stages_figure,
    strengths_figure,
)
from flows.systems.matrix_factorization.system import MatrixFactorization

T_END = 1e6
STAGES = (
    "Both parts of the loss, and singular values of W. Dotted lines: the end of"
    " alignment and the beginning of local convergence, read off the run. Where the loss falls"
    " exponentially the time is linear, and the last panel is d log L/dt. Lines join the"
    " output times, which are few there."
)
LAYERS = (
    "Over the same time: skew error and main term, where they are not rounding; defects and"
    " singular values of the layers."
)

STORY = Story(
    title="Layers that fit a matrix: complex starts converge, and half of the real ones do not",
    problem=(
        (
            r"L = \frac{1}{2} |\Sigma - W|_F^2 + \frac{a}{4} \sum_{j=1}^{N-1} |\Delta_j|_F^2",
            "The product W of N square layers W_j is fitted to a target Sigma; the second term, of"
            " strength a, keeps the layers balanced. |.|_F is the Frobenius norm. L_ori is"
            " the first term and L_reg the second.",
        ),
        (
            r"W = W_N \cdots W_2 W_1",
            "The layers are real or complex; the paper has N = 4. sigma_1"
            " is the largest singular value of the target and sigma_d its least one;"
            " sigma_i(W) are those of W, and |W| is the largest.",
        ),
        (
            r"\Delta_j = W_j W_j^H - W_{j+1}^H W_{j+1}",
            "The defects of balance compare neighbouring layers; H is the conjugate transpose, and"
            " |Delta|_F the norm of all defects together. They vanish for balanced layers, and"
            " layers that begin balanced stay so. t_end is the end of a run.",
        ),
        (
            r"\frac{d W_j}{d t} = -\nabla_{W_j} L",
            "The layers follow the gradient flow; the gradient by a complex entry is d/dRe +"
            " i d/dIm.",
        ),
        (
            r"A = W_1, \quad R = W_2^{-1} W_3^H W_4^H",
            "Two halves of four layers, as the paper compares them: the skew error is the square of"
            " |(A - R) Sigma^(1/2)|_F, and the main term the least singular value of A + R. The"
            " layers align first; at the time T_2 local convergence begins.",
        ),
    ),
    result=(
        "With strong balancing the singular vectors align first, then the flow leaves the saddle at"
        " 0, then the loss falls exponentially. A real start with a negative determinant (Run 2)"
        " stays away from the target; a complex one (Run 4) does not."
    ),
    symbols=(
        "X, Y and Z are neighbouring layers, A and B products of layers where a step says so;"
        " nabla_j is the gradient by W_j, and Delta_(j,j+1) another name of Delta_j."
    ),
    found=(
        "With weak balancing a real start with a negative determinant converges too (Run 3): the"
        " theorem's probability one half needs a strength a much larger than sigma_1, the largest"
        " singular value of the target.",
        "Theorem 34, by which the skew error never grows, fails for layers that are not balanced,"
        " and Theorem 5, by which the main term grows, needs |W| <= sigma_1: each has a"
        " counterexample, and a form that is proved.",
    ),
    small=(
        "two layers of size two without a balancing term",
        MatrixFactorization(d=2, depth=2, regularization=0),
    ),
)

PORTRAITS: dict[str, Callable[[], Figure]] = {
    "Real and complex layers, a = 20: the loss, its rate d log L/dt, which tends to a constant"
    " where the loss falls exponentially, and the least singular value of W. A real start with"
    " negative determinant keeps one singular value near zero.": fields_figure,
    "The same for depths N = 2, 3 and 4 side by side: equal and unequal singular values of the"
    " target, for each a start with positive and one with negative determinant.": depths_figure,
    "Fraction of real starts that converges, with 99% intervals, against the strength a: one half"
    " needs a strength much larger than sigma_1; with a smaller one, starts with negative"
    " determinant converge too.": strengths_figure,
}


def cases() -> tuple[Case, ...]:
    """Return the runs: Theorems 1 and 2, their exceptions, and what weak balancing changes."""
    known = {claim.id: claim for claim in potentials.claims("matrix_factorization")}
    return (
        _random(
            "Real layers, strong balancing",
            "The layers align, leave the saddle one singular value after the other, and converge."
            " The target is twice the identity, so that the power of sigma_1 in the rate matters.",
            20.0,
            9,
            target=2.0,
            broken=(
                scaled(known["orthogonal_parts"], 1.001),
                scaled(known["fit_decays"], 1.002),
                scaled(known["balance_decays"], 1.759),
            ),
        ),
        _random(
            "Real layers, negative determinant",
            "With a >> sigma_1 the determinant keeps its sign, and L stays at sigma_d²/2.",
            20.0,
            0,
        ),
        _random(
            "Weak balancing",
            "The same start with a = 1/2: the determinant changes its sign, and the flow converges."
            " No contradiction: the theorem is about a >> sigma_1.",
            0.5,
            0,
        ),
        _random(
            "Complex layers",
            "No sign stands in the way: almost every start converges.",
            20.0,
            0,
            "complex",
        ),
        _random(
            "Balanced start, negative determinant",
            "Theorem 2: the flow of a balanced real chain never crosses det W = 0.",
            5.0,
            1,
            balanced=True,
            broken=(scaled(known["real_failure"], 2.002),),
        ),
    )


def _random(
    title: str,
    text: str,
    strength: float,
    seed: int,
    field: str = "real",
    balanced: bool = False,
    target: float = 1.0,
    broken: tuple[potentials.Claim, ...] = (),
) -> Case:
    matrix = target * np.eye(3)
    system = MatrixFactorization(3, field, strength, matrix)
    options = f"--d 3 --field {field} --regularization {strength:g} --scale 0.2 --seed {seed}"
    prepare = ""
    if target != 1:
        options += " --target target.json"
        prepare = echo(matrix.tolist(), "target.json")
    return Case(
        title,
        text,
        system,
        system.initial(0.2, seed, balanced),
        options + " --balanced" * balanced,
        prepare,
        figures={STAGES: stages_figure, LAYERS: layers_figure},
        broken=broken,
        t_end=T_END,
    )
