r"""Loss, gradient, Hessian and conservation law of two layers, at the level of a pair.

.. math:: L = \tfrac12 E \Big(\sum_i a_i s(w_i \cdot x) - \sum_j b_j s(v_j \cdot x)\Big)^2
            = \tfrac12 \sum_{pq} \mu_p \mu_q k(u_p, u_q), \qquad
          \mu = (a_1, \dots, a_n, -b_1, \dots, -b_m)

A student `w` with output `a` meets itself, `a^2 k(w, w)/2`, and each other neuron `u` once,
`a mu k(w, u)`; sums over neurons belong to whoever has arrays.
"""

from __future__ import annotations

import sympy as sp

from symbolic.evidence.derivation import Derivation, Step
from symbolic.language.primitives import definition
from symbolic.lemmas.activations import ERF, QUADRATIC, RELU, Activation, leaky_relu
from symbolic.lemmas.dual_kernel import (
    ALPHA,
    ANGLES,
    BETA,
    DOT_VALUES,
    DOTS,
    INSIDE,
    THETA,
    derive_kernel,
)
from symbolic.systems.relu_neuron.pair import pair_energy
from symbolic.systems.two_layer.pair import Kinked, Smooth, pair_of

__all__ = [
    "SLOPE",
    "derive_balance",
    "derive_hessian",
    "derive_loss",
    "derive_one_teacher",
    "derive_student",
]

HERE = "derived here"
BALANCE = "Du, Hu & Lee 2018, arXiv 1806.00900"
SLOPE = sp.Symbol("lambda", real=True)
OUTPUT, MU = sp.Symbol("a", real=True), sp.Symbol("mu", real=True)
# Components of a student and of the other neuron, of which the plane of both is enough.
W, U = (sp.Matrix(sp.symbols(f"{x}_1:3", real=True)) for x in "wu")
AXIS = {U[1]: 0}
IN_PLANE = "components in a plane that contains w and u; the others are zero"
OF_ONE = "more neurons add terms of the same kinds"


def _at(f: sp.Expr, a: sp.Matrix, b: sp.Matrix) -> sp.Expr:
    """Function of `A, B, C` at two vectors."""
    return f.subs(dict(zip(DOTS, (a.dot(a), b.dot(b), a.dot(b)), strict=True)), simultaneous=True)


def _own(pair: Kinked | Smooth) -> tuple[sp.Expr, sp.Expr]:
    """Return `kappa(A) = k(A, A, A)` and its derivative, from those of the pair."""
    a, b, c = DOTS
    if isinstance(pair, Kinked):
        return pair.linear * a, pair.linear
    alone = {b: a, c: a}
    by_a, by_c = pair.first
    return pair.value.subs(alone), sp.simplify((2 * by_a + by_c).subs(alone))


def derive_loss() -> Derivation:
    """Derive the loss as a sum of kernels, and the kernel with a kink as a line and a bend."""
    s, r = sp.symbols("s_w s_u", real=True)
    leaky = leaky_relu(SLOPE)
    pair = pair_of(leaky)
    assert isinstance(pair, Kinked)
    kernel = definition(derive_kernel(leaky).result)
    split = pair.linear * DOT_VALUES[2] + pair.kink * pair_energy()
    return Derivation(
        "loss of two layers",
        HERE,
        (
            Step(
                (OUTPUT * s + MU * r) ** 2 / 2,
                OUTPUT**2 * s * s / 2 + OUTPUT * MU * s * r + MU**2 * r * r / 2,
                "square of a sum; means of products are kernels, k(a, b) = E s(a.x) s(b.x)",
                assumptions=("s_w = s(w.x), s_u = s(u.x)", OF_ONE),
                shown=r"L = \frac12 E \left(\sum_p \mu_p s(u_p \cdot x)\right)^2"
                r" = \frac12 \sum_{p, q} \mu_p \mu_q k(u_p, u_q)",
            ),
            Step(
                kernel,
                split,
                "k(a, b) = l a.b + kappa e(a, b): a line and a bend",
                assumptions=(
                    "s(u) = u for u > 0, lambda u for u < 0: l = (1 + lambda^2)/2 and"
                    " kappa = (1 - lambda)^2; ReLU has lambda = 0",
                ),
                domain=ANGLES,
            ),
            *(
                Step(
                    kernel.subs(THETA, 0).subs(BETA, ALPHA),
                    _own(pair_of(s))[0].subs(DOTS[0], ALPHA**2),
                    f"k(w, w) of {s.name}",
                    same=True,
                )
                for s in (leaky, QUADRATIC, ERF)
                for kernel in (definition(derive_kernel(s).result),)
            ),
        ),
        results=("square of a sum", "k(a, b) = l a.b"),
        heading="The loss is a sum of kernels; one with a kink is a line and a bend",
    )


def derive_student(activation: Activation) -> Derivation:
    r"""Derive the gradient by a student and by its output.

    .. math:: \frac{\partial L}{\partial w} = a \Big(a \kappa'(A) w
              + \sum_q \mu_q (2 k_A w + k_C u_q)\Big), \qquad
              \frac{\partial L}{\partial a} = a \kappa(A) + \sum_q \mu_q k(w, u_q)

    Parameters
    ----------
    activation : Homogeneous or Erf
        Smooth. With a kink, the gradient of the pair is that of one ReLU neuron.
    """
    pair = pair_of(activation)
    own, slope = _own(pair)
    raw = own.diff(DOTS[0])
    alone = OUTPUT**2 * _at(own, W, W) / 2
    term = sp.Symbol("k", real=True)
    steps = [
        Step(
            sp.Matrix([sp.Derivative(alone, x) for x in W]),
            OUTPUT**2 * _at(raw, W, W) * W,
            "gradient of a student's own term, a^2 kappa(A)/2",
            assumptions=(IN_PLANE, "kappa(A) = k(w, w), A = w.w"),
            shown=r"\frac{\partial}{\partial w} \frac{a^2 \kappa(A)}{2} = a^2 \kappa'(A) w",
        )
    ]
    if raw != slope:
        rule = "kappa'(A), with kappa = k(A, A, A), is 2 k_A + k_C there"
        positive = ("both are positive, and so are their squares",)
        steps.append(Step(raw**2, slope**2, rule, assumptions=positive))
    if isinstance(pair, Smooth):
        plain = [pair.value.diff(x) for x in (DOTS[0], DOTS[2])]
        by_a, by_c = (_at(f, W, U) for f in plain)
        steps.append(
            Step(
                sp.Matrix([sp.Derivative(_at(pair.value, W, U), x) for x in W]),
                2 * by_a * W + by_c * U,
                "gradient of a pair, by direct differentiation in components",
                assumptions=(IN_PLANE,),
                shown=r"\frac{\partial k(w, u)}{\partial w} = 2 k_A w + k_C u",
            )
        )
        if tuple(plain) != pair.first:
            steps.append(
                Step(
                    sp.Matrix(plain),
                    sp.Matrix(pair.first),
                    "k_A and k_C with one root",
                    domain=INSIDE,
                )
            )
    steps.append(
        Step(
            sp.Derivative(OUTPUT**2 * own / 2 + OUTPUT * MU * term, OUTPUT),
            OUTPUT * own + MU * term,
            "gradient by the output",
            assumptions=("k = k(w, u)", OF_ONE),
            shown=r"\frac{\partial L}{\partial a} = a \kappa(A) + \sum_q \mu_q k(w, u_q)",
        )
    )
    return Derivation(
        f"gradient of a student, {activation.name}",
        HERE,
        tuple(steps),
        heading=f"The gradient of a student, {activation.name}, and that of its output",
    )


def derive_hessian(activation: Activation) -> Derivation:
    r"""Derive the blocks of the Hessian of a smooth kernel from its derivatives by `A, B, C`.

    .. math:: \frac{\partial^2 k}{\partial a^2} = 2 k_A I + 4 k_{AA} a a^T
              + 2 k_{AC} (a b^T + b a^T) + k_{CC} b b^T

    Parameters
    ----------
    activation : Homogeneous or Erf
        Smooth.
    """
    pair = pair_of(activation)
    assert isinstance(pair, Smooth)
    by_a, by_c = (_at(f, W, U) for f in pair.first)
    aa, ab, ac, bc, cc = (_at(f, W, U) for f in pair.second)
    gradient, one = 2 * by_a * W + by_c * U, sp.eye(2)
    own = 2 * by_a * one + 4 * aa * W * W.T + 2 * ac * (W * U.T + U * W.T) + cc * U * U.T
    cross = by_c * one + 4 * ab * W * U.T + 2 * ac * W * W.T + 2 * bc * U * U.T + cc * U * W.T
    slope, alone = _own(pair)[1], DOTS[0]
    return Derivation(
        f"Hessian, {activation.name}",
        HERE,
        (
            Step(
                sp.Matrix(2, 2, lambda i, j: sp.Derivative(gradient[i].subs(AXIS), W[j])),
                own.subs(AXIS),
                "d2k/dada by direct differentiation in components",
                assumptions=(IN_PLANE, "a = w, b = u along the first axis"),
                shown=r"\frac{\partial^2 k}{\partial a^2} = 2 k_A I + 4 k_{AA} a a^T"
                r" + 2 k_{AC} (a b^T + b a^T) + k_{CC} b b^T",
            ),
            Step(
                sp.Matrix(2, 2, lambda i, j: sp.Derivative(gradient[i], U[j])),
                cross,
                "d2k/dadb by direct differentiation in components",
                assumptions=(IN_PLANE, "a = w, b = u"),
                shown=r"\frac{\partial^2 k}{\partial a\, \partial b} = k_C I + 4 k_{AB} a b^T"
                r" + 2 k_{AC} a a^T + 2 k_{BC} b b^T + k_{CC} b a^T",
            ),
            Step(
                sp.Matrix(2, 2, lambda i, j: sp.Derivative(_at(slope, W, W) * W[i], W[j])),
                _at(slope, W, W) * one + 2 * _at(slope.diff(alone), W, W) * W * W.T,
                "a student's own block",
                assumptions=(IN_PLANE,),
                shown=r"\frac{\partial}{\partial w} \kappa'(A) w"
                r" = \kappa' I + 2 \kappa'' w w^T",
            ),
        ),
        heading=f"The Hessian of neurons with the activation {activation.name}",
    )


def derive_balance() -> Derivation:
    r"""Derive what trained outputs conserve: `p a^2 - |w|^2`, of a homogeneous activation.

    .. math:: \frac{d}{dt} (p\, a_i^2 - |w_i|^2)
              = -2 p\, a_i \frac{\partial L}{\partial a_i}
              + 2 w_i \cdot \frac{\partial L}{\partial w_i} = 0
    """
    p = sp.Symbol("p", positive=True)
    kappa, k = sp.symbols("kappa k", real=True)
    euler = [
        Step(
            ALPHA * sp.Derivative(kernel, ALPHA),
            s.degree * kernel,
            f"Euler: w.(dk/dw) = p k, {s.name}",
            assumptions=(f"p = {s.degree}", "along w the angle stays"),
            domain=ANGLES,
        )
        for s in (leaky_relu(SLOPE), QUADRATIC)
        for kernel in (definition(derive_kernel(s).result),)
    ]
    # w.dL/dw by Euler, a student's own term being a kernel of degree 2 p.
    inner = OUTPUT**2 * (2 * p) * kappa / 2 + OUTPUT * MU * p * k
    return Derivation(
        "balance of the layers",
        BALANCE,
        (
            *euler,
            Step(
                -2 * p * OUTPUT * (OUTPUT * kappa + MU * k) + 2 * inner,
                sp.S.Zero,
                "d/dt (p a^2 - |w|^2) = -2 p a dL/da + 2 w.dL/dw = 0",
                assumptions=(
                    "kappa = k(w, w), of degree 2 p in w; k = k(w, u), of degree p",
                    "a' = -dL/da, w' = -dL/dw: outputs are trained",
                    OF_ONE,
                ),
                shown=r"\frac{d}{dt} \left(p a^2 - |w|^2\right) ="
                r" -2 p a \frac{\partial L}{\partial a} + 2 w \cdot"
                r" \frac{\partial L}{\partial w} = 0",
            ),
        ),
        results=("d/dt (p a^2",),
        heading="Training of the outputs keeps p a^2 - |w|^2 of every student",
    )


def derive_one_teacher() -> Derivation:
    r"""Derive that one ReLU teacher and outputs one give the loss of one ReLU neuron.

    .. math:: \tfrac12 \sum_{pq} \mu_p \mu_q k(u_p, u_q) = \tfrac14 |r|^2
              + \tfrac12 \sum_{p \ne q} \mu_p \mu_q e(u_p, u_q), \qquad r = \sum_p \mu_p u_p
    """
    pair = pair_of(leaky_relu(SLOPE))
    assert isinstance(pair, Kinked)
    linear, kink = (f.subs(SLOPE, 0) for f in pair)
    (a, b, c), e = DOTS, sp.Symbol("e", real=True)
    ones = {OUTPUT: 1, SLOPE: 0}
    pair_loss = OUTPUT**2 * pair.linear * a / 2 + OUTPUT * MU * (pair.linear * c + pair.kink * e)
    slope = sp.Symbol("e_w", real=True)
    pulled = OUTPUT * (OUTPUT * pair.linear * W[0] + MU * (pair.linear * U[0] + pair.kink * slope))
    one = ("a = 1, lambda = 0; mu = 1 of a student, -1 of the teacher", OF_ONE)
    return Derivation(
        "one ReLU teacher, outputs one: the ReLU neuron",
        HERE,
        (
            Step(
                linear * DOT_VALUES[2] + kink * pair_energy(),
                definition(derive_kernel(RELU).result),
                "k(a, b) = a.b/2 + e(a, b), the kernel of one ReLU neuron",
                assumptions=("l = 1/2 and kappa = 1 at lambda = 0",),
                domain=ANGLES,
            ),
            Step(
                sp.Subs(pair_loss, tuple(ones), tuple(ones.values())),
                (a + MU**2 * b + 2 * MU * c) / 4 - MU**2 * b / 4 + MU * e,
                "a student's part of L is that of |r|^2/4 + sum mu mu e/2",
                assumptions=(*one, "|w + mu u|^2 = A + 2 mu C + mu^2 B", "e = e(w, u)"),
            ),
            Step(
                sp.Subs(pulled, tuple(ones), tuple(ones.values())),
                (W[0] + MU * U[0]) / 2 + MU * slope,
                "dL/dw = r/2 + sum mu de/dw, the gradient of one ReLU neuron",
                assumptions=(*one, "one component; e_w is that of de(w, u)/dw"),
                shown=r"\frac{\partial L}{\partial w} = \tfrac12 r"
                r" + \sum_q \mu_q \frac{\partial e(w, u_q)}{\partial w}",
            ),
        ),
        results=("k(a, b) = a.b/2", "dL/dw = r/2"),
        heading="With one ReLU teacher and outputs one this is the ReLU neuron",
    )
