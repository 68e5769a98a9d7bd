r"""The kernel of a pair of neurons and its derivatives, regular wherever the kernel is.

`k(a, b) = E s(a.x) s(b.x)` depends on `A = a.a`, `B = b.b`, `C = a.b`. With a kink it is

.. math:: k(a, b) = \ell\, a \cdot b + \kappa\, e(a, b), \qquad
          e(a, b) = \frac{|a| |b|}{2\pi} (\sin\theta - \theta \cos\theta)

with `e` as of one ReLU neuron (:mod:`symbolic.systems.relu_neuron.pair`), whose derivatives exist
at aligned and at opposite vectors; its derivatives by `A, B, C` do not. Smooth ones are
differentiated by these.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache
from typing import NamedTuple

import sympy as sp

from symbolic.lemmas.activations import (
    ERF,
    QUADRATIC,
    RELU,
    SMOOTH,
    Activation,
    Homogeneous,
    WithoutKernel,
    leaky_relu,
)
from symbolic.lemmas.dual_kernel import ALPHA, BETA, DOTS, THETA, derive_kernel

__all__ = ["NAMES", "Kinked", "Named", "Smooth", "named", "pair_of"]

#: How activations are called; ``leaky:S`` has the slope `S` for negative arguments. Those of the
#: second part have no kernel in closed form.
NAMES = ("relu", "erf", "quadratic", *SMOOTH, "leaky:S")


@dataclass(frozen=True)
class Named:
    """An activation by its name.

    Parameters
    ----------
    name : str
        One of `NAMES`.
    activation : Homogeneous, Erf or WithoutKernel
        The function.
    """

    name: str
    activation: Activation | WithoutKernel

    @property
    def degree(self) -> int | None:
        """Degree `p` of a homogeneous activation; None of another one."""
        s = self.activation
        return s.degree if isinstance(s, Homogeneous) else None

    @property
    def negative_slope(self) -> float:
        """Slope of negative arguments of an activation with a kink; zero of another one."""
        s = self.activation
        return float(s.fall / s.rise) if isinstance(s, Homogeneous) and self.bent else 0.0

    @property
    def has_kernel(self) -> bool:
        """Whether its kernel has a closed form."""
        return not isinstance(self.activation, WithoutKernel)

    @property
    def bent(self) -> bool:
        """Whether it has a kink."""
        return self.degree == 1

    def of(self, u: sp.Expr) -> sp.Expr:
        """`s(u)`, with a kink by ramps."""
        s = self.activation
        if isinstance(s, Homogeneous) and self.bent:
            return s.rise * sp.Max(0, u) - s.fall * sp.Max(0, -u)
        return s(u)


class Kinked(NamedTuple):
    """The kernel `linear a.b + kink e(a, b)`."""

    linear: sp.Expr
    kink: sp.Expr


class Smooth(NamedTuple):
    """A kernel in `A, B, C`, with first derivatives by `A, C` and second ones.

    Parameters
    ----------
    value : Expr
        The kernel.
    first : tuple of Expr
        By `A` and `C`.
    second : tuple of Expr
        By `AA, AB, AC, BC, CC`.
    """

    value: sp.Expr
    first: tuple[sp.Expr, ...]
    second: tuple[sp.Expr, ...]


def named(name: str) -> Named:
    """Return the activation of a name.

    Parameters
    ----------
    name : str
        ``relu``, ``leaky:0.1`` with any slope but 1, ``erf``, ``quadratic``, ``tanh``,
        ``sigmoid``, ``softplus`` or ``gelu``. A slope is the fraction that is written.

    Raises
    ------
    ValueError
        For any other name.

    Examples
    --------
    >>> named("leaky:0.1").activation.fall
    1/10
    """
    closed: dict[str, Activation] = {"relu": RELU, "erf": ERF, "quadratic": QUADRATIC}
    if name in closed or name in SMOOTH:
        return Named(name, SMOOTH[name] if name in SMOOTH else closed[name])
    kind, _, slope = name.partition(":")
    if kind == "leaky":
        try:
            value = sp.Rational(slope)
        except (TypeError, ValueError, ZeroDivisionError):
            value = None
        if value is not None and value.is_finite and value != 1 and abs(value) <= 100:
            return Named(name, leaky_relu(value))
    raise ValueError(
        f"expected {', '.join(NAMES[:-1])} or {NAMES[-1]} with a slope S other than 1 between -100"
        f" and 100, got {name!r}"
    )


@cache
def pair_of(activation: Activation | WithoutKernel) -> Kinked | Smooth:
    """Return the kernel of an activation in its regular form.

    Parameters
    ----------
    activation : Homogeneous or Erf
        Of degree one, or smooth.

    Raises
    ------
    ValueError
        For one without a kernel in closed form.

    Examples
    --------
    >>> pair_of(RELU)
    Kinked(linear=1/2, kink=1)
    >>> pair_of(QUADRATIC).first
    (B, 4*C)
    """
    if isinstance(activation, WithoutKernel):
        raise ValueError(f"expected one with a kernel in closed form, got {activation.name}")
    if isinstance(activation, Homogeneous) and activation.degree == 1:
        rise, fall = activation.rise, activation.fall
        return Kinked((rise**2 + fall**2) / 2, (rise - fall) ** 2)
    value = in_dots(activation)
    a, b, c = DOTS
    second = tuple(sp.factor(value.diff(x, y)) for x, y in ((a, a), (a, b), (a, c), (b, c), (c, c)))
    return Smooth(value, tuple(sp.factor(value.diff(x)) for x in (a, c)), second)


@cache
def in_dots(activation: Activation) -> sp.Expr:
    """Return the kernel of a smooth activation in `A, B, C`."""
    last = derive_kernel(activation).steps[-1]
    if not isinstance(activation, Homogeneous):
        return last.lhs.expr  # integrated in these
    a, b, c = DOTS
    put = {ALPHA: sp.sqrt(a), BETA: sp.sqrt(b), THETA: sp.acos(c / sp.sqrt(a * b))}
    return sp.expand(sp.simplify(last.rhs.subs(put, simultaneous=True)))
