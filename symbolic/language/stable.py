r"""Logarithms and quotients of positive sums of exponentials in a form that doubles compute safely.

.. math:: \log(c + c' e^u) = \log c + \mathrm{softplus}(u + \log(c'/c)), \qquad
   \log \sum_j c_j e^{u_j} = \mathrm{lse}(u_j + \log c_j), \qquad
   \Big(\sum_j c_j e^{u_j}\Big)^{-n} = e^{-n\, \mathrm{lse}}

As they are written, the exponentials overflow from arguments of 710 on, and their quotients are
NaN. :func:`stable` changes the form of an expression, never its value.
"""

from __future__ import annotations

from typing import Any

import sympy as sp

__all__ = ["LogCosh", "LogSumExp", "Sigmoid", "Softplus", "stable"]


class Softplus(sp.Function):
    r"""`log(1 + e^z)`, whose derivative is the logistic function."""

    nargs = 1

    def fdiff(self, argindex: int = 1) -> sp.Expr:
        """Return `1/(1 + e^-z)`."""
        return Sigmoid(self.args[0])

    def _eval_rewrite_as_exp(self, z: sp.Expr, **hints: Any) -> sp.Expr:
        return sp.log(1 + sp.exp(z))


class Sigmoid(sp.Function):
    r"""`1/(1 + e^-z)`, the logistic function."""

    nargs = 1

    def fdiff(self, argindex: int = 1) -> sp.Expr:
        """Return the product of the logistic functions of `z` and `-z`."""
        return Sigmoid(self.args[0]) * Sigmoid(-self.args[0])

    def _eval_rewrite_as_exp(self, z: sp.Expr, **hints: Any) -> sp.Expr:
        return 1 / (1 + sp.exp(-z))


class LogCosh(sp.Function):
    r"""`log cosh z`, whose derivative is `tanh z`."""

    nargs = 1

    def fdiff(self, argindex: int = 1) -> sp.Expr:
        """Return `tanh z`."""
        return sp.tanh(self.args[0])

    def _eval_rewrite_as_exp(self, z: sp.Expr, **hints: Any) -> sp.Expr:
        return sp.log((sp.exp(z) + sp.exp(-z)) / 2)


class LogSumExp(sp.Function):
    r"""`log sum_j e^{z_j}` of its arguments."""

    def fdiff(self, argindex: int = 1) -> sp.Expr:
        """Return the share of one exponential, `e^{z_j - lse}`."""
        return sp.exp(self.args[argindex - 1] - self)

    def _eval_rewrite_as_exp(self, *z: sp.Expr, **hints: Any) -> sp.Expr:
        return sp.log(sp.Add(*map(sp.exp, z)))


def stable(expression: Any) -> Any:
    """Write logarithms and negative powers of positive sums of exponentials as safe functions.

    Parameters
    ----------
    expression : Expr
        Any expression.

    Returns
    -------
    Expr
        The same function.

    Examples
    --------
    >>> x = sp.Symbol("x", real=True)
    >>> stable(sp.log(1 + sp.exp(3 * x))), stable(sp.log(sp.cosh(x))), stable(1 / (1 + sp.exp(-x)))
    (Softplus(3*x), LogCosh(x), Sigmoid(x))
    >>> stable(sp.log(2 - sp.exp(x)))
    log(2 - exp(x))
    """
    if not expression.has(sp.exp, sp.cosh):
        return expression
    return expression.replace(
        lambda e: isinstance(e, (sp.log, sp.Mul, sp.Pow)), lambda e: _changed(e)
    )


def _changed(e: sp.Expr) -> sp.Expr:
    """One logarithm, product or power in its safe form; its parts are in theirs."""
    if isinstance(e, sp.log):
        logarithm = _logarithm(e.args[0])
        return e if logarithm is None else logarithm
    powers: list[sp.Expr] = []
    rest: list[sp.Expr] = []
    found = False
    for factor in sp.Mul.make_args(e):
        base, power = factor.as_base_exp()
        logarithm = _logarithm(base) if power.is_negative and base.is_Add else None
        if isinstance(factor, sp.exp):
            base, power, logarithm = sp.E, factor.args[0], sp.S.One
        elif isinstance(base, Sigmoid):
            logarithm = -Softplus(-base.args[0])
        if logarithm is None:
            rest.append(factor)
        else:
            powers.append(power * logarithm)
            found = found or not isinstance(factor, sp.exp) or power.has(Softplus, LogSumExp)
    # A product of exponentials alone is one exponential already.
    return sp.Mul(*rest, _exponential(sp.Add(*powers))) if found else e


def _logarithm(e: sp.Expr) -> sp.Expr | None:
    """Logarithm of a positive sum of exponentials of two terms or more, or of a cosh."""
    if isinstance(e, sp.cosh):
        return LogCosh(e.args[0])
    found = []
    for term in sp.Add.make_args(e):
        plain: list[sp.Expr] = []
        powers: list[sp.Expr] = []
        for factor in sp.Mul.make_args(term):
            if isinstance(factor, sp.exp):
                powers.append(factor.args[0])
            else:
                plain.append(factor)
        share = sp.Mul(*plain)
        if not (share.is_number and share.is_positive):
            return None
        found.append(sp.log(share) + sp.Add(*powers))
    if len(found) < 2 or not e.has(sp.exp):
        return None
    if len(found) == 2:
        first, second = sorted(found, key=lambda u: (bool(u.free_symbols), sp.default_sort_key(u)))
        return first + Softplus(second - first)
    return LogSumExp(*found)


def _exponential(power: sp.Expr) -> sp.Expr:
    """`e^power`, which is a logistic function where it is `-softplus`, or `u - softplus(u)`."""
    for plus in power.atoms(Softplus):
        (u,) = plus.args
        rest = sp.expand(power + plus)
        if rest == 0:
            return Sigmoid(-u)
        if sp.expand(rest - u) == 0:
            return Sigmoid(u)
    return sp.exp(power)
