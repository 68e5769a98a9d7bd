"""The runs on the report page of two layers, and its figures beside them."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import sympy as sp
from matplotlib.figure import Figure

import potentials
from flows.pages.case import Case, Story, echo, scaled
from flows.pages.figure import loss_figure
from flows.pages.figures.two_layer import activations_figure, clusters_figure
from flows.systems.two_layer.system import TwoLayer

LOSS = (
    "Loss with the bounds of the claims, at the constants that this run measures; below, the local"
    " exponent."
)
CLUSTERS = (
    "Above: the share that each student has of its teacher. Below: the residual that the"
    " students of a teacher leave."
)

STORY = Story(
    title="Two layers: students gather round teachers, and the loss falls like a power of time",
    problem=(
        (
            r"L = \frac{1}{2} \mathbb{E} \left( \sum_{i=1}^{n} a_i s(w_i \cdot x)"
            r" - \sum_{j=1}^{m} b_j s(v_j \cdot x) \right)^2",
            "A student of n neurons w_i in R^d with outputs a_i learns a teacher of m neurons v_j"
            " with outputs b_j; the input x is standard Gaussian, and s is the activation.",
        ),
        (
            r"\frac{d w_i}{d t} = -\nabla_{w_i} L, \quad \frac{d a_i}{d t} = -\nabla_{a_i} L",
            "The neurons follow the gradient flow, and the outputs where they are trained.",
        ),
        (
            r"A_i = \frac{a_i \langle w_i, v_j \rangle}{b_j |v_j|^2}",
            "A student belongs to the teacher v_j with the least angle to it, among the teachers"
            " whose share A_i is positive.",
        ),
        (
            r"r_j = \sum_{i \in j} a_i w_i - b_j v_j",
            "The residual of a teacher is the sum of its students less the teacher; |j| is the"
            " number of these students. K is the constant to which t^3 L tends, and no student"
            " changes its teacher after the time T_1.",
        ),
    ),
    result=(
        "Two teachers have two students each, and the loss falls like t⁻³. Its constant K is a"
        " sum over the teachers, each as if it were alone."
    ),
    symbols=(
        "p is the degree of the activation, and lambda the slope of a leaky ReLU for negative"
        " arguments; a and b are two vectors at the angle theta, alpha = |a| and beta = |b|, and"
        " abar is the unit vector of a. A = a.a, B = b.b and C = a.b; an index A, B or C is a"
        " derivative. k(a, b) is the average of s(a.x) s(b.x), e(a, b) its part that is no line,"
        " kappa(A) = k(a, a), and mu the output of the other neuron."
    ),
    found=(
        "The constant of pairs is a sum over teachers, also where these are oblique and outputs"
        " are trained (claim `cluster_law`).",
        "A student alone beside a slow pair does not converge exponentially: it follows like t^-2"
        " (claim `slaved`).",
        "Two students with the error function whose outputs are halves learn like t^-2: for equal"
        " halves of one of two orthonormal teachers t^2 L tends to 875 sqrt(5) pi/944.",
    ),
    small=(
        "a quadratic neuron with a trained output and one teacher on a line",
        TwoLayer(students=1, teachers=1, d=1, activation="quadratic", train_outputs=True),
    ),
)

PORTRAITS: dict[str, Callable[[], Figure]] = {
    "The loss of three students and two teachers for three activations: like t⁻³ with a kink, like"
    " t⁻² with the error function and outputs 1/2, 1/2, 1.": activations_figure
}


def cases() -> tuple[Case, ...]:
    """Return the runs: pairs, trained outputs, the error function; broken claims."""
    known = {claim.id: claim for claim in potentials.claims("two_layer")}
    tenth = sp.Rational(1, 10)
    law, balance, erf = (known[name] for name in ("cluster_law", "layer_balance", "erf_law"))
    pairs = [[0.5, 0.2, 0.1], [0.6, -0.1, -0.1], [0.1, 0.4, -0.2], [-0.1, 0.5, 0.1]]
    with_outputs = [[0.5, 0.2, 0.8], [0.6, -0.1, 0.9], [0.1, 0.9, 1.0]]
    three = [[0.9, 0.2], [1.2, -0.1], [0.1, 0.8]]
    drawn = {LOSS: loss_figure, CLUSTERS: clusters_figure}
    return (
        Case(
            "Two teachers, two students each",
            "ReLU: pairs turn round their teachers, and t³ L has a limit.",
            TwoLayer(4, 2, d=3),
            pairs,
            "--teachers 2 --initial pairs.json",
            echo(pairs, "pairs.json"),
            drawn,
            (replace(law, exponent=law.exponent + tenth),),
            power=3.0,
        ),
        Case(
            "Trained outputs",
            "What an output has more than its neuron stays; a lone student follows the pair.",
            TwoLayer(3, 2, train_outputs=True),
            with_outputs,
            "--teachers 2 --train-outputs --initial outputs.json",
            echo(with_outputs, "outputs.json"),
            drawn,
            (scaled(balance, 1.001),),
            t_end=1e8,
            power=3.0,
        ),
        Case(
            "The error function",
            "Outputs 1/2, 1/2 and 1: the loss falls like t⁻².",
            TwoLayer(3, 2, activation="erf", output_weights=[0.5, 0.5, 1.0]),
            three,
            "--teachers 2 --activation erf --output-weights 0.5,0.5,1 --initial three.json",
            echo(three, "three.json"),
            drawn,
            (replace(erf, exponent=erf.exponent + tenth),),
        ),
    )
