r"""Gradients of losses written in traces of matrix expressions, as matrix expressions.

.. math:: df = \langle G, dW \rangle = \operatorname{tr}(G^\top dW)

The adjoint of each operation carries `G` from the trace back to the block, as reverse accumulation
does with numbers. What the operations are given is SymPy's; the adjoints are ours, and a caller
proves the result entry by entry.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import sympy as sp
from sympy.matrices.expressions.applyfunc import ElementwiseApplyFunction
from sympy.printing.pretty.stringpict import prettyForm

from symbolic.language.latex import raised

__all__ = ["SquaredNorm", "matrix_gradient", "squared_norms"]


class SquaredNorm(sp.Function):
    r"""Square of the Frobenius norm of a real matrix expression, `tr(A' A)`.

    `doit` writes an explicit matrix out as the sum of the squares of its entries.
    """

    nargs = 1
    is_commutative = True
    is_extended_real = True
    is_nonnegative = True

    @property
    def free_symbols(self) -> set[Any]:
        """None: it is a number, although the letters of the matrix do not commute."""
        return set()

    def doit(self, **hints: Any) -> sp.Expr:
        """Sum of squares of the entries of an explicit matrix."""
        (matrix,) = self.args
        matrix = matrix.doit(**hints)
        if matrix.has(sp.MatrixSymbol):
            return SquaredNorm(matrix)
        whole = matrix.as_explicit() if hasattr(matrix, "as_explicit") else matrix
        return sp.Add(*(e**2 for e in whole))

    def _pretty(self, printer: Any) -> Any:
        inner = prettyForm(*printer._print(self.args[0]).parens("|", "|"))
        return inner ** prettyForm("2")

    def _latex(self, printer: Any, exp: Any = None) -> str:
        return raised(rf"\left\| {printer._print(self.args[0])} \right\|^{{2}}", exp)


def squared_norms(expression: sp.Expr) -> sp.Expr | None:
    """Write each trace `tr(A' A)` as the square of a norm.

    Parameters
    ----------
    expression : Expr
        A sum of multiples of traces of products.

    Returns
    -------
    Expr or None
        None where a term is something else.

    Examples
    --------
    >>> V, W = sp.MatrixSymbol("V", 2, 3), sp.MatrixSymbol("W", 3, 4)
    >>> squared_norms(-2 * sp.trace(W.T * V.T * V * W))
    -2*SquaredNorm(V*W)
    """
    terms = []
    for term in sp.Add.make_args(expression):
        factor, rest = term.as_coeff_Mul()
        root = _root(rest.arg) if isinstance(rest, sp.Trace) else None
        if root is None:
            return None
        terms.append(factor * SquaredNorm(root))
    return sp.Add(*terms)


def _root(matrix: Any) -> Any | None:
    """The `A` of a product that is `A' A` after a rotation, which leaves its trace alone."""
    factors: list[Any] = []
    for part in matrix.args if isinstance(matrix, sp.MatMul) else (matrix,):
        power = isinstance(part, sp.MatPow) and part.exp.is_Integer and part.exp > 0
        factors += [part.base] * int(part.exp) if power else [part]
    half, odd = divmod(len(factors), 2)
    for k in range(0 if odd or half == 0 else len(factors)):
        turned = [*factors[k:], *factors[:k]]
        right = sp.MatMul(*turned[half:]).doit()
        if (sp.MatMul(*turned[:half]) - right.T).doit().is_ZeroMatrix:
            return right
    return None


class _NoAdjoint(Exception):
    """An operation whose adjoint is not known here."""


def matrix_gradient(expression: sp.Expr, block: sp.MatrixSymbol) -> Any | None:
    """Gradient of a function of traces by a matrix, as a matrix expression.

    Parameters
    ----------
    expression : Expr
        A function of traces of sums, products, integer powers, inverses, transposes, and entrywise
        products and functions of matrices.
    block : MatrixSymbol
        By what it is differentiated.

    Returns
    -------
    MatrixExpr or None
        Of the block's shape; None where the block stands elsewhere than in such traces.

    Examples
    --------
    >>> W = sp.MatrixSymbol("W", 3, 2)
    >>> matrix_gradient(sp.trace((W * W.T - sp.Identity(3)) ** 2) / 4, W)
    (-I + W*W.T)*W
    """
    traces = sorted(expression.atoms(sp.Trace), key=sp.default_sort_key)
    symbols = {trace: sp.Dummy(real=True) for trace in traces if trace.has(block)}
    outer = expression.xreplace(symbols)
    if outer.has(block):
        return None
    back = {symbol: trace for trace, symbol in symbols.items()}
    total: Any = sp.ZeroMatrix(*block.shape)
    for trace, symbol in symbols.items():
        slope = sp.diff(outer, symbol).xreplace(back)
        size = sp.Identity(trace.arg.shape[0])
        try:
            total += slope * sp.MatAdd(*_shares(trace.arg, size, block)).doit()
        except _NoAdjoint:
            return None
    return total.doit()


def _shares(matrix: Any, share: Any, block: sp.MatrixSymbol) -> Iterator[Any]:
    """Gradients by each place of the block, of `tr(share' matrix)`."""
    if matrix == block:
        yield share
    if matrix == block or not matrix.has(block):
        return
    match matrix:
        case sp.MatAdd():
            for part in matrix.args:
                yield from _shares(part, share, block)
        case sp.MatMul():
            factor, parts = matrix.as_coeff_matrices()
            yield from _of_product(factor, parts, share, block)
        case sp.Inverse():
            back = -matrix.T * share * matrix.T
            yield from _shares(matrix.arg, back.doit(), block)
        case sp.MatPow() if matrix.exp.is_Integer and matrix.exp > 1:
            yield from _of_product(sp.S.One, [matrix.base] * int(matrix.exp), share, block)
        case sp.Transpose():
            yield from _shares(matrix.arg, share.T.doit(), block)
        case sp.HadamardProduct():
            for k, part in enumerate(matrix.args):
                others = [*matrix.args[:k], *matrix.args[k + 1 :]]
                yield from _shares(part, sp.hadamard_product(share, *others), block)
        case ElementwiseApplyFunction():
            u = sp.Dummy("u", real=True)
            slope = matrix.expr.applyfunc(sp.Lambda(u, sp.diff(matrix.function(u), u)))
            yield from _shares(matrix.expr, sp.hadamard_product(share, slope), block)
        case _:
            raise _NoAdjoint(type(matrix).__name__)


def _of_product(factor: Any, parts: list[Any], share: Any, block: sp.MatrixSymbol) -> Iterator[Any]:
    if factor.has(block):
        raise _NoAdjoint("a scalar that depends on the block")
    for k, part in enumerate(parts):
        before = sp.MatMul(*parts[:k]).T if k else sp.Identity(share.shape[0])
        after = sp.MatMul(*parts[k + 1 :]).T if parts[k + 1 :] else sp.Identity(share.shape[1])
        yield from _shares(part, sp.MatMul(factor, before, share, after).doit(), block)
