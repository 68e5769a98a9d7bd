r"""Gaussian kernels `k(a, b) = E s(a.x) s(b.x)`, `x ~ N(0, I)`, of activations, in closed form.

Of a student with neurons `w_i` and output weights `c_i`, and a teacher with `v_j`, the population
loss ``1/2 E (sum_i c_i s(w_i.x) - sum_j s(v_j.x))^2`` is a sum of kernels. An expectation of such a
square is brought into this form by itself (:class:`symbolic.Expectation` in `flows.OwnSystem`);
what is here is for expressions that one writes by hand.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import sympy as sp

from symbolic.evidence.derivation import Derivation
from symbolic.language.expressions import as_expression
from symbolic.language.lower import lower
from symbolic.lemmas import activations, dual_kernel
from symbolic.lemmas.activation_mean import activation_mean as mean
from symbolic.lemmas.activation_mean import kernel

__all__ = [
    "derivation",
    "erf",
    "hermite_coefficients",
    "leaky_relu",
    "mean",
    "quadratic",
    "relu",
    "step",
]

# Digits of a Hermite coefficient by quadrature, and what two rules must agree to.
DIGITS, GUARD = 30, 10


def leaky_relu(a: Sequence[Any], b: Sequence[Any], slope: Any) -> sp.Expr:
    r"""Kernel of `u` for `u > 0` and `slope u` for `u < 0`.

    .. math::
        k(a, b) = \frac{1 + \lambda^2}{2}\, a \cdot b
        + \frac{(1 - \lambda)^2}{2\pi} |a| |b| (\sin\theta - \theta \cos\theta)

    Parameters
    ----------
    a, b : sequence of Expr
        Vectors that are not parallel, in real symbols and numbers; `theta` is their angle.
    slope : Expr
        `lambda`.

    Returns
    -------
    Expr
        In their entries.

    Examples
    --------
    >>> leaky_relu((1, 0), (0, 1), 1)
    0
    """
    return kernel(activations.leaky_relu(slope), a, b)


def _kernel(
    name: str, activation: activations.Activation, of: str, formula: str, source: str, example: str
) -> Callable[[Sequence[Any], Sequence[Any]], sp.Expr]:
    """Kernel of an activation that has no parameters."""

    def found(a: Sequence[Any], b: Sequence[Any]) -> sp.Expr:
        return kernel(activation, a, b)

    found.__name__ = found.__qualname__ = name
    found.__doc__ = f"""Kernel of {of}.

    .. math:: k(a, b) = {formula}

    Parameters
    ----------
    a, b : sequence of Expr
        Vectors in real symbols and numbers, `theta` their angle. Parallel ones have a kernel if the
        activation has no kink and no jump.

    Returns
    -------
    Expr
        In their entries.

    Notes
    -----
    Source: {source}; derived by `derivation("{name}")`.

    Examples
    --------
    {example}
    """
    return found


relu = _kernel(
    "relu",
    activations.RELU,
    "`max(0, u)`",
    r"\frac{|a| |b|}{2\pi} (\sin\theta + (\pi - \theta) \cos\theta)",
    "Cho & Saul 2009, arc-cosine kernel of degree 1",
    """>>> from symbolic.language.primitives import definition
    >>> definition(relu((1, 0), (0, 1)))
    1/(2*pi)""",
)
erf = _kernel(
    "erf",
    activations.ERF,
    "the error function",
    r"\frac{2}{\pi} \arcsin \frac{2\, a \cdot b}{\sqrt{(1 + 2 |a|^2) (1 + 2 |b|^2)}}",
    "Williams 1997",
    """>>> erf((1,), (1,))
    2*asin(2/3)/pi""",
)
step = _kernel(
    "step",
    activations.STEP,
    "the step function",
    r"\frac{\pi - \theta}{2\pi}",
    "Cho & Saul 2009, arc-cosine kernel of degree 0",
    """>>> step((1, 0), (0, 1))
    1/4""",
)
quadratic = _kernel(
    "quadratic",
    activations.QUADRATIC,
    "`u^2`",
    r"|a|^2 |b|^2 + 2 (a \cdot b)^2",
    "Isserlis 1918",
    """>>> quadratic((1, 1), (1, 0))
    4""",
)

#: Activations by their names.
ACTIVATIONS = {
    "relu": activations.RELU,
    "leaky_relu": activations.leaky_relu(sp.Symbol("lambda", positive=True)),
    "erf": activations.ERF,
    "step": activations.STEP,
    "quadratic": activations.QUADRATIC,
}


def derivation(name: str) -> Derivation:
    """Return the derivation of a kernel, by integration.

    Parameters
    ----------
    name : str
        `relu`, `leaky_relu`, `erf`, `step` or `quadratic`.

    Returns
    -------
    Derivation
        Its `verify()` adds the evidence of each step.

    Raises
    ------
    ValueError
        For any other name.

    Examples
    --------
    >>> derivation("step").result
    -theta/(2*pi) + 1/2
    """
    if name not in ACTIVATIONS:
        raise ValueError(f"expected one of {', '.join(ACTIVATIONS)}, got {name!r}")
    return dual_kernel.derive_kernel(ACTIVATIONS[name])


def hermite_coefficients(activation: Any, u: sp.Symbol, most: int) -> tuple[sp.Expr, ...]:
    r"""Coefficients of an activation in normalised Hermite polynomials.

    .. math:: s(u) = \sum_k c_k \frac{He_k(u)}{\sqrt{k!}}, \qquad
        c_k = \frac{1}{\sqrt{k!}} E\, s(u) He_k(u), \qquad u \sim N(0, 1)

    so that ``E s(a.x) s(b.x) = sum_k c_k^2 (a.b)^k`` for unit vectors.

    Parameters
    ----------
    activation : Expr
        In `u`.
    u : Symbol
        A real symbol.
    most : int
        The last `k`.

    Returns
    -------
    tuple of Expr
        `c_0` to `c_most`: exact where :func:`mean` knows the expectation, else numbers of 30 digits
        by quadrature.

    Raises
    ------
    ValueError
        For a negative `most`, other symbols in the activation, and where two rules of quadrature
        do not agree to 30 digits.

    Examples
    --------
    >>> u = sp.Symbol("u", real=True)
    >>> hermite_coefficients(sp.Max(0, u), u, 3)
    (sqrt(2)/(2*sqrt(pi)), 1/2, 1/(2*sqrt(pi)), 0)
    >>> print(hermite_coefficients(sp.tanh(u), u, 1)[1].n(12))
    0.605705509602
    """
    s = as_expression(activation)
    if most < 0 or s.free_symbols - {u}:
        raise ValueError(f"expected a function of {u} and a number >= 0, got {s} and {most}")
    return tuple(_coefficient(s, u, k) for k in range(most + 1))


def _coefficient(s: sp.Expr, u: sp.Symbol, k: int) -> sp.Expr:
    product, length = s * sp.hermite_prob(k, u), sp.sqrt(sp.factorial(k))
    exact = mean(product, (u,))
    return _by_quadrature(product, u) / length if exact is None else sp.simplify(exact / length)


def _by_quadrature(integrand: sp.Expr, u: sp.Symbol) -> sp.Float:
    """Mean of a function of one Gaussian number, to 30 digits."""
    import mpmath

    def rule(digits: int) -> Any:
        with mpmath.workdps(digits):
            f = lower([integrand], [u], "mpmath")
            reach = mpmath.sqrt(2 * digits * mpmath.log(10)) + 2
            points = [-reach, -reach / 2, 0, reach / 2, reach]
            return mpmath.quad(lambda t: f(t)[0] * mpmath.npdf(t), points)

    first, second = rule(DIGITS + GUARD), rule(DIGITS + 2 * GUARD)
    if abs(first - second) > mpmath.mpf(10) ** -DIGITS * max(1, abs(second)):
        raise ValueError(f"expected a function that quadrature resolves, got {integrand}")
    return sp.Float(str(second), DIGITS)
