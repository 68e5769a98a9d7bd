r"""Calculus of traces of products of square matrices, of any size.

A letter is a non-commuting symbol and stands for a square matrix; `adjoint` is SymPy's and stands
for the conjugate transpose (it reverses products and conjugates scalars). Words in letters, their
adjoints and their inverses form a free algebra: two expressions that hold for every size are equal
exactly if `expand` takes their difference to zero.

All that is said of complex matrices holds word for word of real ones, where the adjoint is the
transpose. The inner product is `<G, H> = Re tr(G^H H)`, and the gradient `G` of a real function `f`
is defined by `df = <G, dX>`. For complex `X` this is `df/dRe X + i df/dIm X` (twice the Wirtinger
derivative by the conjugate), so that `dX/dt = -G` gives `df/dt = -|G|_F^2`.
"""

from __future__ import annotations

import operator
from collections.abc import Iterable, Mapping
from functools import reduce
from typing import Any

import sympy as sp
from sympy import adjoint

__all__ = [
    "Trace",
    "adjoint",
    "differential",
    "evaluate",
    "gradient",
    "inner",
    "letters",
    "squared_norm",
]


class Trace(sp.Function):
    r"""Trace of an expression in letters: a number.

    It stays as it is written until `expand` takes it to normal form: a sum of scalars times traces
    of single words, each rotated to its least form. Its conjugate is the trace of the adjoint.

    Examples
    --------
    >>> A, B = letters("A B")
    >>> sp.expand(Trace((A + B) * A) - Trace(A * B))
    Trace(A**2)
    >>> sp.conjugate(Trace(A * B))
    Trace(adjoint(B)*adjoint(A))
    """

    nargs = 1
    is_commutative = True

    @classmethod
    def eval(cls, argument: Any) -> Any:
        """Return zero for zero; stay unevaluated elsewhere."""
        return sp.S.Zero if argument == 0 else None

    def _eval_expand_basic(self, **hints: Any) -> sp.Expr:
        return sp.Add(*(_cyclic(term) for term in sp.Add.make_args(sp.expand(self.args[0]))))

    def _eval_conjugate(self) -> sp.Expr:
        return Trace(adjoint(self.args[0]))

    _eval_adjoint = _eval_conjugate

    def _eval_derivative(self, scalar: sp.Symbol) -> sp.Expr:
        return Trace(self.args[0].diff(scalar))

    def _latex(self, printer: Any, exp: str | None = None) -> str:
        power = f"^{{{exp}}}" if exp else ""
        return rf"\operatorname{{tr}}{power}\left({printer.doprint(self.args[0])}\right)"


def letters(names: str) -> tuple[sp.Symbol, ...]:
    """Non-commuting symbols, one for each name.

    Parameters
    ----------
    names : str
        As in `sympy.symbols`: separated by spaces, ranges with a colon.

    Returns
    -------
    tuple of Symbol
        Each stands for a square matrix, all of one size.
    """
    return tuple(sp.symbols(names, commutative=False, seq=True))


def inner(left: sp.Expr, right: sp.Expr) -> sp.Expr:
    """Inner product `Re tr(left^H right)`.

    Parameters
    ----------
    left, right : Expr
        In letters.

    Returns
    -------
    Expr
        Half the trace plus its conjugate.
    """
    product = adjoint(left) * right
    return (Trace(product) + Trace(adjoint(product))) / 2


def squared_norm(expr: sp.Expr) -> sp.Expr:
    """Squared Frobenius norm `tr(X X^H)`.

    Parameters
    ----------
    expr : Expr
        In letters.

    Returns
    -------
    Expr
        A trace.
    """
    return Trace(expr * adjoint(expr))


def differential(expr: sp.Expr, along: Mapping[sp.Symbol, sp.Expr]) -> sp.Expr:
    """Derivative of an expression when its letters move with given velocities.

    `d(XY) = dX Y + X dY`, `d(X^H) = (dX)^H`, `d(X^-1) = -X^-1 dX X^-1`, `d tr(X) = tr(dX)`.

    Parameters
    ----------
    expr : Expr
        Sums, products and integer powers of letters, adjoints, traces and constants.
    along : mapping of Symbol to Expr
        Velocity of each letter that moves; a Lie derivative if it is a flow's field.

    Returns
    -------
    Expr
        Linear in the velocities (and their adjoints).

    Raises
    ------
    NotImplementedError
        If there is no rule for a part of the expression that moves.

    Examples
    --------
    >>> X, H = letters("X H")
    >>> differential(X**-1, {X: H})
    -X**(-1)*H*X**(-1)
    """
    if expr.is_Symbol:
        return along.get(expr, sp.S.Zero)
    if not expr.free_symbols & set(along):
        return sp.S.Zero
    if expr.is_Add:
        return sp.Add(*(differential(term, along) for term in expr.args))
    if expr.is_Pow and expr.exp.is_Integer:
        if expr.exp < 0:
            return -expr * differential(expr.base**-expr.exp, along) * expr
        return _leibniz([expr.base] * int(expr.exp), along)
    if expr.is_Mul:
        return _leibniz(expr.args, along)
    if isinstance(expr, (Trace, adjoint)):
        return expr.func(differential(expr.args[0], along))
    raise NotImplementedError(f"no rule to differentiate {expr.func.__name__}")


def gradient(function: sp.Expr, letter: sp.Symbol) -> sp.Expr:
    """Gradient `G` of the real part of a function of traces: `d Re f = Re tr(G^H dX)`.

    From `df = tr(R dX) + tr(Q dX^H)` it is `G = R^H + Q`.

    Parameters
    ----------
    function : Expr
        A number made of traces.
    letter : Symbol
        The matrix by which to differentiate.

    Returns
    -------
    Expr
        A matrix, in normal form.

    Raises
    ------
    ValueError
        If the function is not a number but a matrix.

    Examples
    --------
    >>> X, = letters("X")
    >>> gradient(squared_norm(X), X)
    2*X
    """
    if not function.is_commutative:
        raise ValueError(f"the gradient is of a number, not of the matrix {function}")
    step = sp.Dummy("dX", commutative=False)
    total = sp.S.Zero
    for term in sp.Add.make_args(sp.expand(differential(function, {letter: step}))):
        for trace in (t for t in term.atoms(Trace) if t.has(step)):
            word = trace.args[0].args if trace.args[0].is_Mul else trace.args
            place = next(k for k, factor in enumerate(word) if factor.has(step))
            # Cyclic: what follows the step stands before what precedes it.
            rest = term.coeff(trace) * sp.Mul(*word[place + 1 :], *word[:place])
            total += adjoint(rest) if word[place] == step else rest
    return sp.expand(total)


def evaluate(expr: sp.Expr, values: Mapping[sp.Symbol, Any]) -> Any:
    """Value of an expression for concrete matrices, at mpmath's working precision.

    Parameters
    ----------
    expr : Expr
        Sums, products, powers, adjoints and traces of letters and scalar symbols. In a sum with
        matrices a number stands for that multiple of the identity.
    values : mapping of Symbol to matrix or number
        For a letter an mpmath matrix or anything that makes one (a NumPy array, nested lists), of
        shape `(d, d)`; for a commuting symbol a number.

    Returns
    -------
    mpmath.matrix or number
        A number if the expression is one.

    Raises
    ------
    NotImplementedError
        If a function occurs for which there is no rule.
    KeyError
        If a symbol has no value.
    """
    from mpmath import mp

    known = {
        s: mp.mpmathify(value) if s.is_commutative else mp.matrix(value)
        for s, value in values.items()
    }
    return _value(expr, known)


def _cyclic(term: sp.Expr) -> sp.Expr:
    """Trace of one product: scalars in front, the word in the least of its rotations."""
    scalars, factors = term.args_cnc()
    word: list[sp.Expr] = []
    for factor in factors:
        base, exponent = factor.as_base_exp()
        if exponent.is_Integer:
            word += [base ** sp.sign(exponent)] * abs(int(exponent))
        else:
            word.append(factor)
    while len(word) > 1 and word[-1] * word[0] == 1:
        word = word[1:-1]
    rotations = [word[k:] + word[:k] for k in range(len(word))]
    least = min(rotations, key=lambda w: [sp.default_sort_key(x) for x in w], default=word)
    return sp.Mul(*scalars) * Trace(sp.Mul(*least))


def _leibniz(factors: Iterable[sp.Expr], along: Mapping[sp.Symbol, sp.Expr]) -> sp.Expr:
    product = list(factors)
    return sp.Add(
        *(
            sp.Mul(*product[:k], differential(factor, along), *product[k + 1 :])
            for k, factor in enumerate(product)
        )
    )


def _value(expr: sp.Expr, known: Mapping[sp.Symbol, Any]) -> Any:
    from mpmath import mp

    if expr.is_Symbol:
        return known[expr]
    if expr == sp.I:
        return mp.j
    if expr.is_number and expr.is_Atom:
        return mp.mpmathify(sp.Float(expr, mp.dps))
    parts = [_value(part, known) for part in expr.args]
    if expr.is_Add:
        return reduce(operator.add, _lifted(parts, known))
    if expr.is_Mul:
        return reduce(operator.mul, parts)
    if expr.is_Pow:
        # mpmath's matrices take only Python integers as exponents.
        return parts[0] ** (int(expr.exp) if expr.exp.is_Integer else parts[1])
    if isinstance(expr, adjoint):
        return parts[0].H if isinstance(parts[0], mp.matrix) else mp.conj(parts[0])
    if isinstance(expr, Trace):
        one = mp.eye(_size(known))
        matrix = parts[0] if isinstance(parts[0], mp.matrix) else parts[0] * one
        return mp.fsum(matrix[k, k] for k in range(matrix.rows))
    raise NotImplementedError(f"no rule to evaluate {expr.func.__name__}")


def _lifted(parts: list[Any], known: Mapping[sp.Symbol, Any]) -> list[Any]:
    """Numbers as multiples of the identity where they are added to matrices."""
    from mpmath import mp

    if not any(isinstance(part, mp.matrix) for part in parts):
        return parts
    one = mp.eye(_size(known))
    return [part if isinstance(part, mp.matrix) else part * one for part in parts]


def _size(known: Mapping[sp.Symbol, Any]) -> int:
    return next(value.rows for letter, value in known.items() if not letter.is_commutative)
