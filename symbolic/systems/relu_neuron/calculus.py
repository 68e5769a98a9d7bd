"""Loss, gradient and Hessian of the single ReLU neuron, step by step, and the paper's forms.

The expressions are those of `symbolic.systems.relu_neuron.pair`; here each is connected with the
one before it, with direct differentiation in components, and with what the paper states.

Source: Xu & Du, COLT 2023, arXiv 2302.10034, equations 4 and 51.
"""

from __future__ import annotations

import sympy as sp

from symbolic.evidence.derivation import Derivation, Step
from symbolic.language.primitives import definition
from symbolic.lemmas.activations import RELU
from symbolic.lemmas.dual_kernel import (
    ALPHA,
    ANGLES,
    BETA,
    DOT_VALUES,
    THETA,
    chain_rule,
    derive_kernel,
)
from symbolic.systems.relu_neuron.pair import (
    PAPER,
    first_derivatives,
    kernel,
    pair_energy,
    pair_gradient,
    pair_hessian,
    second_derivatives,
)

__all__ = ["derive_gradient", "derive_hessian", "derive_loss"]

# Orthonormal frame with a along the first vector and b in the plane of the first two; the third
# stands for every direction orthogonal to the plane, so an equality in it holds in any dimension.
A_BAR = sp.Matrix([1, 0, 0])
B_BAR = sp.Matrix([sp.cos(THETA), sp.sin(THETA), 0])
NORMAL = sp.Matrix([0, 1, 0])  # unit(bbar - cos(theta) abar)
BACK_NORMAL = sp.Matrix([sp.sin(THETA), -sp.cos(THETA), 0])  # unit(abar - cos(theta) bbar)
MIDDLE = sp.Matrix([sp.cos(THETA / 2), sp.sin(THETA / 2), 0])  # unit(abar + bbar)
ACROSS = sp.Matrix([sp.sin(THETA / 2), -sp.cos(THETA / 2), 0])  # unit(abar - bbar)
IN_FRAME = "frame: a along the first vector, b in the plane of the first two"
# The second vector of the components along the first axis: the frame is ours to choose.
AXIS = dict(zip(sp.symbols("b_1:4", real=True), (BETA, 0, 0), strict=True))
COORDINATES = (ALPHA, BETA, THETA)
# The blocks in vector notation, for display.
SHOWN_OWN = r"\frac{|b| \sin\theta}{2\pi |a|} \left(I - \bar a \bar a^T + n n^T\right)"
SHOWN_CROSS = r"-\frac{\theta}{2\pi} I + \frac{\sin\theta}{2\pi} \left(s s^T - c c^T\right)"


def derive_loss() -> Derivation:
    """Derive the loss of two neurons and a teacher in the form that splits off `|r|^2`.

    Returns
    -------
    Derivation
        Three vectors show every kind of pair; more neurons add pairs of the same kinds.
    """
    norms = sp.symbols("w_1 w_2 v", positive=True)
    names = {(0, 1): "12", (0, 2): "1", (1, 2): "2"}
    angles = {pair: sp.Symbol(f"theta_{name}", nonnegative=True) for pair, name in names.items()}
    mu = (1, 1, -1)

    def summed(f: sp.Expr) -> sp.Expr:
        def at(i: int, j: int) -> sp.Expr:
            angle = sp.S.Zero if i == j else angles[min(i, j), max(i, j)]
            return f.subs({ALPHA: norms[i], BETA: norms[j], THETA: angle}, simultaneous=True)

        return sp.Add(*(mu[i] * mu[j] * at(i, j) for i in range(3) for j in range(3)))

    integrated = derive_kernel(RELU).steps[-1].lhs  # before the safe primitives
    split = summed(DOT_VALUES[2]) / 4 + summed(pair_energy()) / 2
    stated = summed(DOT_VALUES[2]) / 4 + sp.Add(
        *(
            mu[i] * mu[j] * (sp.sin(t) - t * sp.cos(t)) * norms[i] * norms[j]
            for (i, j), t in angles.items()
        )
    ) / (2 * sp.pi)
    domain = tuple((angle, sp.S.Zero, sp.pi) for angle in angles.values())
    return Derivation(
        "loss",
        f"{PAPER}, section 2",
        (
            Step(
                sp.Add(kernel(), -DOT_VALUES[2] / 2, evaluate=False),
                pair_energy(),
                "k(a,b) - a.b/2 = e(a,b)",
                domain=ANGLES,
            ),
            Step(sp.Subs(definition(pair_energy()), THETA, 0), sp.S.Zero, "e(a,a) = 0"),
            Step(
                summed(integrated) / 2,
                split,
                "L = 1/2 sum mu_i mu_j k(w_i, w_j) = |r|^2/4 + 1/2 sum mu_i mu_j e(w_i, w_j)",
                assumptions=(
                    "mu = 1 for neurons, -1 for the teacher; w_1, w_2, v stand for norms",
                    "n = 2; more neurons add pairs of the same kinds",
                ),
                domain=domain,
                shown=r"\frac12 \sum_{i,j} \mu_i \mu_j k(w_i, w_j)"
                r" = \frac14 |r|^2 + \frac12 \sum_{i,j} \mu_i \mu_j e(w_i, w_j)",
            ),
            Step(
                split,
                stated,
                "the form stated in the paper, |r|^2 written out in dot products",
                domain=domain,
                shown=r"L = \frac14 |r|^2 + \frac{1}{2\pi} \left[\sum_{i<j}"
                r" (\sin\theta_{ij} - \theta_{ij} \cos\theta_{ij}) |w_i| |w_j|"
                r" - \sum_i (\sin\theta_i - \theta_i \cos\theta_i) |w_i| |v|\right]",
                fresh=False,
            ),
        ),
        results=("the form stated in the paper",),
        heading="The loss is a quarter of |r|^2 and a sum over pairs of neurons",
    )


def _in_components() -> tuple[list[sp.Symbol], list[sp.Symbol], dict[sp.Symbol, sp.Expr]]:
    """Components of `a` and `b` in R^3, and what ALPHA, BETA, THETA (an arc cosine) are there."""
    a, b = (list(sp.symbols(f"{name}_1:4", real=True)) for name in "ab")
    dot = sp.Add(*(x * y for x, y in zip(a, b, strict=True)))
    alpha, beta = (sp.sqrt(sp.Add(*(x**2 for x in vector))) for vector in (a, b))
    return a, b, {ALPHA: alpha, BETA: beta, THETA: sp.acos(dot / (alpha * beta))}


def _gradient_in_components() -> sp.Matrix:
    a, b, meaning = _in_components()
    unit, chord = (definition(f).subs(meaning, simultaneous=True) for f in pair_gradient())
    a_bar, b_bar = sp.Matrix(a) / meaning[ALPHA], sp.Matrix(b) / meaning[BETA]
    return unit * a_bar + chord * (a_bar - b_bar)


def derive_gradient() -> Derivation:
    """Derive `d e(a,b)/da` and prove it equal to the summand of equation 4.

    Returns
    -------
    Derivation
        Valid in any dimension.
    """
    energy = pair_energy()
    unit, chord = pair_gradient()
    e_a, e_c = first_derivatives()
    chain = chain_rule()
    unevaluated = sp.Matrix([sp.Derivative(energy, s) for s in COORDINATES])
    a, _, meaning = _in_components()
    direct = definition(energy).subs(meaning, simultaneous=True)
    w, rest = sp.symbols("w q", real=True)
    big_a, big_b = sp.symbols("A B", positive=True)
    big_c = sp.Symbol("C", real=True)
    angle = sp.acos(big_c / sp.sqrt(big_a * big_b))
    roots = {ALPHA: sp.sqrt(big_a), BETA: sp.sqrt(big_b), THETA: angle}
    return Derivation(
        "gradient",
        f"{PAPER}, equation 4; Safran & Shamir 2018",
        (
            Step(
                sp.Matrix([sp.Derivative(angle, x) for x in (big_a, big_b, big_c)]),
                chain[:, 2].subs(roots, simultaneous=True),
                "derivatives of theta by A = a.a, B = b.b, C = a.b: inverse function",
                assumptions=("|C| < sqrt(A B)",),
                # Inside |C| < sqrt(A B) for every A and B that are sampled.
                domain=((big_c, -sp.Rational(1, 5), sp.Rational(1, 5)),),
            ),
            Step(
                chain.extract([0, 2], [0, 1, 2]) * unevaluated,
                sp.Matrix([e_a, e_c]),
                "chain rule: e_A and e_C",
                domain=ANGLES,
            ),
            Step(
                sp.Matrix([2 * ALPHA * e_a + BETA * e_c, -BETA * e_c]),
                sp.Matrix([unit, chord]),
                "coefficients of abar and of abar - bbar in de/da = 2 e_A a + e_C b",
                assumptions=("b = |b|(abar - (abar - bbar))",),
                domain=ANGLES,
            ),
            Step(
                sp.Matrix([sp.Derivative(direct, x) for x in a]).subs(AXIS),
                _gradient_in_components().subs(AXIS),
                "the same gradient by direct differentiation in components",
                assumptions=("d = 3", "basis: b along the first vector"),
                shown=r"\frac{\partial e}{\partial a} = \frac{|b|}{2\pi} \left[(\sin\theta -"
                r" \theta) \bar a + \theta (\bar a - \bar b)\right]",
            ),
            Step(
                unit * A_BAR + chord * (A_BAR - B_BAR),
                BETA * (sp.sin(THETA) * A_BAR - THETA * B_BAR) / (2 * sp.pi),
                "one summand of equation 4",
                assumptions=(IN_FRAME,),
                domain=ANGLES,
            ),
            Step(
                sp.Derivative((w + rest) ** 2 / 4, w),
                (w + rest) / 2,
                "the gradient of |r|^2/4 is r/2, component by component",
                assumptions=("r = w_i + rest",),
            ),
            Step(
                ALPHA * (unit + chord * (1 - sp.cos(THETA))),
                energy,
                "Euler: a.(de/da) = e, because e is homogeneous of degree one in a",
                domain=ANGLES,
            ),
        ),
        results=("the same gradient by direct", "the gradient of |r|^2/4"),
        heading="The gradient is a sum of pulls, one from each neuron and one from the teacher",
    )


def derive_hessian() -> Derivation:
    """Derive both second-derivative blocks of the kernel, equation 51, and their aligned limits.

    Returns
    -------
    Derivation
        Valid in any dimension.
    """
    spread, shift, twist = pair_hessian()
    e_a, e_c = first_derivatives()
    e_aa, e_ab, e_ac, e_bc, e_cc = second_derivatives()
    chain, one = chain_rule(), sp.eye(3)
    by = [[sp.Derivative(definition(f), s) for s in COORDINATES] for f in (e_a, e_c)]
    second = sp.Matrix(
        [
            sp.Add(*(chain[row, k] * by[which][k] for k in range(3)))
            for which, row in ((0, 0), (0, 1), (0, 2), (1, 1), (1, 2))
        ]
    )
    a, b = ALPHA * A_BAR, BETA * B_BAR
    own_raw = 2 * e_a * one + 4 * e_aa * a * a.T + 2 * e_ac * (a * b.T + b * a.T) + e_cc * b * b.T
    cross_raw = (
        e_c * one + 4 * e_ab * a * b.T + 2 * e_ac * a * a.T + 2 * e_bc * b * b.T + e_cc * b * a.T
    )
    own = spread * (one - A_BAR * A_BAR.T + NORMAL * NORMAL.T)
    cross = one / 2 + shift * one + twist * (MIDDLE * MIDDLE.T - ACROSS * ACROSS.T)
    block_51 = ((sp.pi - THETA) * one + BACK_NORMAL * B_BAR.T + NORMAL * A_BAR.T) / (2 * sp.pi)
    return Derivation(
        "Hessian",
        f"{PAPER}, equation 51",
        (
            Step(
                second,
                sp.Matrix([e_aa, e_ab, e_ac, e_bc, e_cc]),
                "chain rule: e_AA, e_AB, e_AC, e_BC, e_CC",
                domain=ANGLES,
            ),
            Step(
                own_raw,
                own,
                "zeta(a, b) of equation 51: d2e/dada = 2 e_A I + 4 e_AA a a^T"
                " + 2 e_AC (a b^T + b a^T) + e_CC b b^T",
                assumptions=("n = unit(bbar - cos(theta) abar)", IN_FRAME),
                domain=ANGLES,
                shown=rf"\frac{{\partial^2 e}}{{\partial a^2}} = {SHOWN_OWN}",
            ),
            Step(
                one / 2 + cross_raw,
                cross,
                "regular form of d2k/dadb = I/2 + e_C I + 4 e_AB a b^T + 2 e_AC a a^T"
                " + 2 e_BC b b^T + e_CC b a^T",
                assumptions=("s = unit(abar + bbar), c = unit(abar - bbar)", IN_FRAME),
                domain=ANGLES,
                shown=rf"\frac{{\partial^2 k}}{{\partial a\,\partial b}} = \frac12 I {SHOWN_CROSS}",
            ),
            Step(
                cross,
                block_51,
                "off-diagonal block of equation 51",
                assumptions=("nbar_ab = unit(abar - cos(theta) bbar)", IN_FRAME),
                domain=ANGLES,
                shown=rf"\frac12 I {SHOWN_CROSS} = \frac{{1}}{{2\pi}} \left[(\pi - \theta) I"
                r" + \bar n_{ab} \bar b^T + \bar n_{ba} \bar a^T\right]",
                fresh=False,
            ),
            *_by_components(),
            Step(
                own_raw * A_BAR,
                sp.zeros(3, 1),
                "homogeneity: (d2e/dada) a = 0",
                assumptions=(IN_FRAME,),
                domain=ANGLES,
            ),
            *_limits(own, "d2e/dada", sp.zeros(3), sp.zeros(3)),
            *_limits(cross, "d2k/dadb", one / 2, sp.zeros(3)),
        ),
        results=("zeta(a, b) of equation 51", "off-diagonal block of equation 51"),
        heading="The Hessian consists of blocks, one for each pair of neurons",
    )


def _by_components() -> tuple[Step, Step]:
    """Both blocks against differentiation of the gradient in components of R^3."""
    a, b, meaning = _in_components()
    gradient, one = _gradient_in_components(), sp.eye(3)
    a_bar, b_bar = sp.Matrix(a) / meaning[ALPHA], sp.Matrix(b) / meaning[BETA]
    cosine, sine = sp.cos(meaning[THETA]), sp.sin(meaning[THETA])
    n = (b_bar - cosine * a_bar) / sine
    # |abar + bbar|^2 = 2 (1 + cos), |abar - bbar|^2 = 2 (1 - cos).
    middle = (a_bar + b_bar) * (a_bar + b_bar).T / (2 * (1 + cosine))
    across = (a_bar - b_bar) * (a_bar - b_bar).T / (2 * (1 - cosine))
    spread, shift, twist = (f.subs(meaning, simultaneous=True) for f in pair_hessian())
    rule = "by direct differentiation in components"
    basis = ("d = 3", "basis: after differentiation, b along the first vector")
    return (
        Step(
            gradient.jacobian(a).subs(AXIS),
            (spread * (one - a_bar * a_bar.T + n * n.T)).subs(AXIS),
            f"d2e/dada {rule}",
            assumptions=basis,
            shown=rf"\frac{{\partial^2 e}}{{\partial a^2}} = {SHOWN_OWN}",
        ),
        Step(
            gradient.jacobian(b).subs(AXIS),
            (shift * one + twist * (middle - across)).subs(AXIS),
            f"d2e/dadb {rule}",
            assumptions=basis,
            shown=rf"\frac{{\partial^2 e}}{{\partial a\,\partial b}} = {SHOWN_CROSS}",
        ),
    )


def _limits(block: sp.Matrix, name: str, aligned: sp.Matrix, opposite: sp.Matrix) -> list[Step]:
    """Return the steps for the limits of a block at theta = 0 and theta = pi."""
    symbol = {"d2e/dada": r"\frac{\partial^2 e}{\partial a^2}"}.get(
        name, r"\frac{\partial^2 k}{\partial a\,\partial b}"
    )

    def step(end: sp.Expr, side: str, value: sp.Matrix) -> Step:
        lhs = block.applyfunc(lambda x: sp.Limit(x, THETA, end, side) if x != 0 else x)
        shown = rf"\lim_{{\theta \to {sp.latex(end)}}} {symbol} = {sp.latex(value)}"
        rule = f"limit of {name}, theta to {end}"
        return Step(lhs, value, rule, assumptions=(IN_FRAME,), shown=shown)

    return [step(sp.S.Zero, "+", aligned), step(sp.pi, "-", opposite)]
