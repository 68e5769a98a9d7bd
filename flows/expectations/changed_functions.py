r"""How much a function changes, to all digits of the change, on arrays.

.. math:: \tanh(z + d) - \tanh z = \frac{\tanh d\, (1 - \tanh^2 z)}{1 + \tanh z \tanh d}
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np
import sympy as sp
from scipy.special import erf, expit
from sympy.codegen.cfunctions import expm1, log1p

from symbolic.language.stable import LogCosh, Sigmoid, Softplus

__all__ = ["ENCLOSED", "FUNCTIONS", "STEPS", "ErrorFunction", "Magnitude", "Sign", "changed"]

# Beyond this change of an argument a function is evaluated at both ends: then they are apart.
APART = 0.5
# Nodes of an integral of the slope over a change: right to all digits up to there.
_T, _W = np.polynomial.legendre.leggauss(12)


class Magnitude(sp.Function):
    """Absolute value, of functions whose kinks cancel."""


class Sign(sp.Function):
    """The sign of a number, of functions without jumps."""


class ErrorFunction(sp.Function):
    """The error function."""


class _Function(NamedTuple):
    """A function: `value(z)`, and `change(z, value, d)` where `d` is at most `APART`."""

    value: Callable[[Any], Any]
    change: Callable[[Any, Any, Any], Any]


def _by_slope(value: Callable[[Any], Any], slope: Callable[[Any], Any]) -> _Function:
    """A function whose change is the integral of its slope."""

    def change(z: Any, v: Any, d: Any) -> Any:
        return d * sum(w / 2 * slope(z + (1 + t) / 2 * d) for t, w in zip(_T, _W, strict=True))

    return _Function(value, change)


def _log_cosh(z: Any) -> Any:
    size = np.abs(z)
    near = np.log1p(2 * np.sinh(np.minimum(size, 1.0) / 2) ** 2)
    return np.where(size < 1, near, size + np.log1p(np.expm1(-2 * size) / 2))


def _tanh(z: Any, v: Any, d: Any) -> Any:
    t = np.tanh(d)
    return t * ((1 - v) * (1 + v)) / (1 + v * t)


def _sigmoid(z: Any, v: Any, d: Any) -> Any:
    grown = np.expm1(d)
    return v * expit(-z) * grown / (1 + v * grown)


FUNCTIONS: dict[Any, _Function] = {
    sp.exp: _Function(np.exp, lambda z, v, d: v * np.expm1(d)),
    sp.log: _Function(np.log, lambda z, v, d: np.log1p(d / z)),
    sp.sin: _Function(np.sin, lambda z, v, d: 2 * np.cos(z + d / 2) * np.sin(d / 2)),
    sp.cos: _Function(np.cos, lambda z, v, d: -2 * np.sin(z + d / 2) * np.sin(d / 2)),
    sp.sinh: _Function(np.sinh, lambda z, v, d: 2 * np.cosh(z + d / 2) * np.sinh(d / 2)),
    sp.cosh: _Function(np.cosh, lambda z, v, d: 2 * np.sinh(z + d / 2) * np.sinh(d / 2)),
    sp.tanh: _Function(np.tanh, _tanh),
    sp.atan: _Function(np.arctan, lambda z, v, d: np.arctan2(d, 1 + z * (z + d))),
    sp.asinh: _by_slope(np.arcsinh, lambda z: 1 / np.hypot(1.0, z)),
    sp.erf: _by_slope(erf, lambda z: 2 / np.sqrt(np.pi) * np.exp(-z * z)),
    Sigmoid: _Function(expit, _sigmoid),
    Softplus: _Function(
        lambda z: np.logaddexp(0.0, z), lambda z, v, d: np.log1p(expit(z) * np.expm1(d))
    ),
    LogCosh: _Function(
        _log_cosh, lambda z, v, d: np.log1p(2 * np.sinh(d / 2) ** 2 + np.tanh(z) * np.sinh(d))
    ),
}


#: As they are computed in balls.
STEPS: dict[Any, Callable[..., Any]] = {
    "add": sp.Add,
    "times": sp.Mul,
    "inverse": lambda a: 1 / a,
    "root": sp.sqrt,
    # To all digits of small ones, too.
    Sigmoid: lambda a: 1 / (1 + sp.exp(-a)),
    Softplus: lambda a: log1p(sp.exp(a)),
    LogCosh: lambda a: log1p(2 * sp.sinh(a / 2) ** 2),
}


def _tanh_enclosed(a: Any) -> Any:
    fallen = expm1(-2 * Magnitude(a))
    return -Sign(a) * fallen / (2 + fallen)


#: As they are computed in two doubles, of numbers of any size.
ENCLOSED: dict[Any, Callable[..., Any]] = {
    sp.tanh: _tanh_enclosed,
    sp.erf: ErrorFunction,
    sp.asinh: lambda a: Sign(a) * log1p(Magnitude(a) + Magnitude(a) ** 2 / (1 + sp.sqrt(1 + a**2))),
    Sigmoid: lambda a: sp.exp((a - Magnitude(a)) / 2) / (1 + sp.exp(-Magnitude(a))),
    Softplus: lambda a: (a + Magnitude(a)) / 2 + log1p(sp.exp(-Magnitude(a))),
    LogCosh: lambda a: Magnitude(a) + log1p(expm1(-2 * Magnitude(a)) / 2),
}


def changed(operation: Any, z: Any, v: Any, d: Any) -> Any:
    """Change of a function of one number."""
    if operation == "inverse":
        return -d * v / (z + d)
    if operation == "root":
        return d / (v + np.sqrt(z + d))
    function = FUNCTIONS[operation]
    found = function.change(z, v, d)
    far = np.abs(d) > APART
    return np.where(far, function.value(z + d) - v, found) if np.any(far) else found
