"""Activations of a neuron: homogeneous functions, the error function, and other smooth ones."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

import sympy as sp

from symbolic.language.expressions import as_expression

__all__ = [
    "ERF",
    "LINEAR",
    "QUADRATIC",
    "RELU",
    "SMOOTH",
    "STEP",
    "Activation",
    "Erf",
    "Homogeneous",
    "WithoutKernel",
    "leaky_relu",
    "product",
]


@dataclass(frozen=True)
class Homogeneous:
    """A positively homogeneous activation, `s(t u) = t^degree s(u)` for `t > 0`.

    Parameters
    ----------
    name : str
        For titles.
    rise, fall : Expr
        Coefficients of `u^degree` on the positive and on the negative half-line.
    degree : int
        The power, not negative.

    Raises
    ------
    ValueError
        If the degree is negative.
    """

    name: str
    rise: sp.Expr
    fall: sp.Expr
    degree: int = 1

    def __post_init__(self) -> None:
        """Check the degree."""
        if self.degree < 0:
            raise ValueError(f"degree must not be negative, got {self.degree}")

    def __call__(self, u: Any) -> sp.Expr:
        """Return `s(u)` as a SymPy expression."""
        power = u**self.degree
        return sp.Piecewise((self.rise * power, u > 0), (self.fall * power, True))


@dataclass(frozen=True)
class Erf:
    """The error function as an activation."""

    name: str = "erf"

    def __call__(self, u: Any) -> sp.Expr:
        """Return `erf(u)` as a SymPy expression."""
        return sp.erf(u)


@dataclass(frozen=True)
class WithoutKernel:
    """A smooth activation whose kernel has no closed form: pairs are averaged over their plane.

    Parameters
    ----------
    name : str
        As a user writes it.
    function : Lambda
        `s`.
    """

    name: str
    function: sp.Lambda

    def __call__(self, u: Any) -> sp.Expr:
        """Return `s(u)` as a SymPy expression."""
        return self.function(u)


Activation = Homogeneous | Erf

RELU = Homogeneous("ReLU", sp.S.One, sp.S.Zero)
LINEAR = Homogeneous("linear", sp.S.One, sp.S.One)
QUADRATIC = Homogeneous("quadratic", sp.S.One, sp.S.One, degree=2)
STEP = Homogeneous("step", sp.S.One, sp.S.Zero, degree=0)
ERF = Erf()
_U = sp.Symbol("u", real=True)
#: By their names.
SMOOTH = {
    name: WithoutKernel(name, sp.Lambda(_U, function))
    for name, function in (
        ("tanh", sp.tanh(_U)),
        ("sigmoid", 1 / (1 + sp.exp(-_U))),
        ("softplus", sp.log(1 + sp.exp(_U))),
        ("gelu", _U * (1 + sp.erf(_U / sp.sqrt(2))) / 2),
    )
}


def product(factors: Iterable[tuple[Activation, int]]) -> Activation | None:
    """Product of powers of activations of one form; None where it is no activation here.

    Examples
    --------
    >>> product([(RELU, 2), (LINEAR, 1)]).degree, product([(ERF, 1)]), product([(ERF, 2)])
    (3, Erf(name='erf'), None)
    """
    (first, k), *others = factors = list(factors)
    if k == 1 and not others:
        return first
    rise, fall, degree = sp.S.One, sp.S.One, 0
    for s, k in factors:
        if not isinstance(s, Homogeneous):
            return None
        rise, fall, degree = rise * s.rise**k, fall * s.fall**k, degree + k * s.degree
    return Homogeneous("product", rise, fall, degree)


def leaky_relu(slope: Any) -> Homogeneous:
    """Return the leaky ReLU with the given slope (number or symbol) on the negative half-line."""
    return Homogeneous("leaky ReLU", sp.S.One, as_expression(slope))
