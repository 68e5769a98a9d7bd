r"""The gradient of the dual kernel, `dk(a,b)/da`: the pull of one neuron on another in a flow.

A loss `L = 1/2 sum_ij mu_i mu_j k(w_i, w_j)` of neurons (`mu = 1`) and teachers (`mu = -1`), with
any activation of `symbolic.lemmas.activations`, has the flow

    w_i' = -sum_j mu_j (2 k_A w_i + k_C w_j),    k_A and k_C at a = w_i, b = w_j,

because `k` depends on `a` and `b` through `A = a.a`, `B = b.b` and `C = a.b` only.
"""

from __future__ import annotations

from functools import cache

import sympy as sp

from symbolic.evidence.derivation import Derivation, Document, Step
from symbolic.language.primitives import definition
from symbolic.lemmas.activations import (
    ERF,
    LINEAR,
    QUADRATIC,
    RELU,
    STEP,
    Activation,
    Erf,
    Homogeneous,
    leaky_relu,
)
from symbolic.lemmas.dual_kernel import (
    ALPHA,
    ANGLES,
    BETA,
    DOT_VALUES,
    DOTS,
    INSIDE,
    THETA,
    chain_rule,
    derive_kernel,
)

__all__ = ["derive", "derive_pair_gradient"]

SLOPE = sp.Symbol("lambda", positive=True)


def derive() -> Document:
    """Return kernel and pair gradient of every activation.

    Returns
    -------
    Document
        ReLU, linear, leaky ReLU with a symbolic slope, quadratic, step, erf.
    """
    activations = (RELU, LINEAR, leaky_relu(SLOPE), QUADRATIC, STEP, ERF)
    return Document(
        "activations",
        tuple(make(s) for s in activations for make in (derive_kernel, derive_pair_gradient)),
    )


@cache
def derive_pair_gradient(activation: Activation = RELU) -> Derivation:
    r"""Derive `dk(a,b)/da = 2 k_A a + k_C b`.

    Parameters
    ----------
    activation : Homogeneous or Erf
        The function `s` of the kernel.

    Returns
    -------
    Derivation
        Its `result` is the column of the coefficients of `a` and of `b`, in `ALPHA = |a|`,
        `BETA = |b|`, `THETA`. Valid in any dimension for non-zero `a`, `b` and `0 < THETA < pi`;
        the step with two limits says whether the gradient exists at both ends too.

    Examples
    --------
    >>> from symbolic.lemmas.activations import QUADRATIC
    >>> list(derive_pair_gradient(QUADRATIC).result)
    [2*beta**2, 4*alpha*beta*cos(theta)]
    """
    kernel, (a, b, c) = derive_kernel(activation), DOTS
    k, chain, domain = definition(kernel.result), chain_rule(), ANGLES
    sizes: tuple[sp.Symbol, ...] = (ALPHA, BETA, THETA)
    in_dots = (sp.sqrt(a), sp.sqrt(b), sp.acos(c / sp.sqrt(a * b)))
    steps: list[Step] = []
    if isinstance(activation, Erf):  # integrated in A, B, C, for which the last step puts sizes
        k, chain, domain = kernel.steps[-1].lhs.expr, sp.eye(3), INSIDE
        sizes = in_dots = DOTS
    else:
        steps.append(
            Step(
                sp.Matrix(3, 3, lambda i, j: sp.Derivative(in_dots[j], DOTS[i])),
                chain.subs(dict(zip(sizes, in_dots, strict=True))),
                "derivatives of |a|, |b|, theta (columns) by A = a.a, B = b.b, C = a.b (rows)",
                assumptions=("|C| < sqrt(A B)",),
                domain=INSIDE,
            )
        )
    rates = sp.Matrix([sp.Derivative(k, size) for size in sizes])
    raw = sp.Matrix([2 * chain.row(0) * rates, chain.row(2) * rates])
    found = raw.doit().applyfunc(sp.simplify)
    coefficients = found.subs(dict(zip(DOTS, DOT_VALUES, strict=True))).applyfunc(sp.simplify)
    own, other = coefficients

    # In components, b along the first axis.
    vector = sp.Matrix(sp.symbols("a_1:4", real=True))
    frame = {a: vector.dot(vector), b: BETA**2, c: vector[0] * BETA}
    meaning = {s: f.subs(frame) for s, f in zip(sizes, in_dots, strict=True)}
    direct, by_own, by_other = (f.subs(meaning, simultaneous=True) for f in (k, *raw.doit()))
    steps.append(
        Step(
            sp.Matrix([sp.Derivative(direct, x) for x in vector]),
            by_own * vector + by_other * sp.Matrix([BETA, 0, 0]),
            "dk/da = 2 k_A a + k_C b against direct differentiation in components",
            assumptions=("d = 3", "basis: b along the first vector"),
            shown=r"\frac{\partial k}{\partial a} = 2 \frac{\partial k}{\partial A} a"
            r" + \frac{\partial k}{\partial C} b",
        )
    )

    across = other * BETA * sp.sin(THETA)
    ends = [sp.Limit(across, THETA, 0, "+"), sp.Limit(across, THETA, sp.pi, "-")]
    limits = sp.Matrix([end.doit() for end in ends])
    steps.append(
        Step(
            sp.Matrix(ends),
            limits,
            "part of dk/da across a, in the plane of a and b, as theta tends to 0 and to pi",
            assumptions=(
                "zero: dk/da is continuous at aligned and opposite vectors, so k is differentiable"
                if limits.is_zero_matrix
                else "not zero: dk/da turns round when b crosses the line of a, so it exists at"
                " 0 < theta < pi only",
            ),
        )
    )
    if isinstance(activation, Homogeneous):
        products = ((own, ALPHA**2), (other, DOT_VALUES[2]))
        steps.append(
            Step(
                sp.Add(*(sp.Mul(*f, evaluate=False) for f in products), evaluate=False),
                activation.degree * kernel.result,
                "Euler: a.(dk/da) = p k, because k is homogeneous of degree p in a",
                assumptions=(f"p = {activation.degree}",),
                domain=ANGLES,
            )
        )
    steps.append(
        Step(raw, found, "chain rule: coefficients 2 k_A of a and k_C of b", domain=domain)
    )
    if isinstance(activation, Erf):
        steps.append(
            Step(
                found.applyfunc(lambda f: sp.Subs(f, DOTS, DOT_VALUES)),
                coefficients,
                "A = |a|^2, B = |b|^2, C = |a||b| cos(theta) put in",
                domain=ANGLES,
            )
        )
    return Derivation(
        f"pair gradient of the {activation.name} activation", kernel.source, tuple(steps)
    )
