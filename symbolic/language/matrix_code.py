r"""Matrix expressions on arrays: values and derivatives along a direction, no entry written out.

Leading axes broadcast. Each subexpression is evaluated once. With a direction for the symbols, each
value comes with its derivative along it, by the rule of each operation.
"""

from __future__ import annotations

import functools
from collections.abc import Callable, Mapping
from typing import Any, NamedTuple

import numpy as np
import sympy as sp
from sympy.matrices.expressions.applyfunc import ElementwiseApplyFunction

from symbolic.language.lower import lower

__all__ = ["MatrixCode", "NoMatrixCode"]

Array = Any  # numpy.ndarray


class NoMatrixCode(ValueError):
    """An operation that is not known here."""


class _Dual(NamedTuple):
    """A value and its derivative along a direction; None where it does not move."""

    value: Array
    rate: Array | None = None

    def plus(self, other: _Dual) -> _Dual:
        """Sum."""
        if self.rate is None or other.rate is None:
            return _Dual(self.value + other.value, self.rate if other.rate is None else other.rate)
        return _Dual(self.value + other.value, self.rate + other.rate)

    def by(self, other: _Dual, product: Callable[[Array, Array], Array]) -> _Dual:
        """Product that is linear in both."""
        found = _Dual(product(self.value, other.value))
        if self.rate is not None:
            found = found.plus(_Dual(np.zeros(()), product(self.rate, other.value)))
        if other.rate is not None:
            found = found.plus(_Dual(np.zeros(()), product(self.value, other.rate)))
        return found

    def mapped(self, linear: Callable[[Array], Array]) -> _Dual:
        """Image under a linear map."""
        return _Dual(linear(self.value), None if self.rate is None else linear(self.rate))


class MatrixCode(NamedTuple):
    """Evaluates scalar and matrix expressions in matrix symbols.

    Parameters
    ----------
    values : dict
        Arrays of the symbols, shape (..., rows, columns).
    rates : dict
        Directions, of the same shapes; empty if no derivative is wanted.
    memory : dict
        What has been evaluated.
    """

    values: Mapping[Any, Array]
    rates: Mapping[Any, Array]
    memory: dict[Any, _Dual]

    @classmethod
    def at(
        cls, values: Mapping[Any, Array], rates: Mapping[Any, Array] | None = None
    ) -> MatrixCode:
        """Evaluator at a point, with a direction.

        Examples
        --------
        >>> W = sp.MatrixSymbol("W", 2, 2)
        >>> code = MatrixCode.at({W: np.eye(2)}, {W: np.ones((2, 2))})
        >>> float(code.value(sp.trace(W * W))), float(code.rate(sp.trace(W * W)))
        (2.0, 4.0)
        """
        return cls(values, rates or {}, {})

    def value(self, e: Any) -> Array:
        """Value of an expression."""
        return self._found(e).value

    def rate(self, e: Any) -> Array:
        """Derivative of an expression along the direction."""
        found = self._found(e).rate
        return np.zeros(()) if found is None else found

    def _found(self, e: Any) -> _Dual:
        if e not in self.memory:
            self.memory[e] = self._matrix(e) if e.is_Matrix else self._scalar(e)
        return self.memory[e]

    def _matrix(self, e: Any) -> _Dual:
        match e:
            case sp.MatrixSymbol():
                return _Dual(self.values[e], self.rates.get(e))
            case sp.Identity():
                return _Dual(np.eye(int(e.rows)))
            case sp.ZeroMatrix():
                return _Dual(np.zeros(tuple(map(int, e.shape))))
            case sp.MatrixBase() if not e.free_symbols:
                return _Dual(np.array(e.tolist(), dtype=float))
            case sp.MatAdd():
                return functools.reduce(_Dual.plus, map(self._found, e.args))
            case sp.MatMul():
                factor, parts = e.as_coeff_matrices()
                whole = functools.reduce(
                    lambda a, b: a.by(b, np.matmul), [self._found(part) for part in parts]
                )
                return whole if factor == 1 else self._found(factor).by(whole, _scaled)
            case sp.Transpose():
                return self._found(e.arg).mapped(lambda m: np.swapaxes(m, -1, -2))
            case sp.Inverse():
                inner = self._found(e.arg)
                value = np.linalg.inv(inner.value)
                rate = None if inner.rate is None else -value @ inner.rate @ value
                return _Dual(value, rate)
            case sp.MatPow() if e.exp.is_Integer and e.exp > 0:
                base = self._found(e.base)
                return functools.reduce(lambda a, b: a.by(b, np.matmul), [base] * int(e.exp))
            case sp.HadamardProduct():
                return functools.reduce(lambda a, b: a.by(b, np.multiply), map(self._found, e.args))
            case sp.HadamardPower() if e.exp.is_number:
                u = sp.Symbol("u", real=True)
                power = (u**e.exp, sp.diff(u**e.exp, u))
                return self._applied(power, (u,), [self._found(e.base)])
            case ElementwiseApplyFunction():
                u = sp.Symbol("u", real=True)
                function = e.function(u)
                return self._applied((function, sp.diff(function, u)), (u,), [self._found(e.expr)])
        raise NoMatrixCode(f"the operation {type(e).__name__}")

    def _scalar(self, e: sp.Expr) -> _Dual:
        if e.is_number:
            return _Dual(np.float64(e))
        if isinstance(e, sp.Trace):
            return self._found(e.arg).mapped(lambda m: np.trace(m, axis1=-2, axis2=-1))
        traces = sorted(e.atoms(sp.Trace), key=sp.default_sort_key)
        symbols = tuple(sp.Symbol(f"trace_{k}", real=True) for k in range(len(traces)))
        outer = e.xreplace(dict(zip(traces, symbols, strict=True)))
        if outer.free_symbols - set(symbols):
            raise NoMatrixCode("an entry, or a symbol, outside of traces")
        slopes = tuple(sp.diff(outer, s) for s in symbols)
        return self._applied((outer, *slopes), symbols, [self._found(trace) for trace in traces])

    def _applied(
        self, function: tuple[sp.Expr, ...], symbols: tuple[sp.Symbol, ...], inner: list[_Dual]
    ) -> _Dual:
        """Value of a function of numbers, entry by entry, and the chain rule."""
        value, *slopes = _compiled(function, symbols)(*(one.value for one in inner))
        moving = [
            s * one.rate for s, one in zip(slopes, inner, strict=True) if one.rate is not None
        ]
        shape = np.broadcast_shapes(*(np.shape(one.value) for one in inner))
        return _Dual(np.broadcast_to(value, shape), sum(moving) if moving else None)


def _scaled(factor: Array, matrix: Array) -> Array:
    return np.asarray(factor)[..., None, None] * matrix


@functools.lru_cache(maxsize=256)
def _compiled(function: tuple[sp.Expr, ...], symbols: tuple[sp.Symbol, ...]) -> Callable[..., Any]:
    return lower(function, symbols)
