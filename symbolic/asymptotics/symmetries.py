r"""Linear symmetries of a function, by linear algebra: matrices `X` with ``grad L . X y = 0``.

Then ``X y*`` is a tangent of the family of minimisers, and ``y'X y`` is conserved by the gradient
flow if `X` is symmetric: its rate is ``-2 grad L . X y``. Candidates are the null vectors of these
linear equations at random points; each is then proved, or left out.
"""

from __future__ import annotations

import functools
from collections.abc import Callable, Sequence
from fractions import Fraction

import numpy as np
import sympy as sp
from numpy.typing import NDArray
from sympy.polys.matrices import DomainMatrix

from symbolic.asymptotics.numbers import DOUBLES
from symbolic.asymptotics.signs import Signed
from symbolic.asymptotics.slopes import slopes_of, table_of
from symbolic.language.lower import lower
from symbolic.language.program import gradient

__all__ = [
    "MOST",
    "conserved",
    "generators",
    "invariant",
    "numerical_gradient",
    "rotations",
    "sampled",
]

#: Functions of more variables are not searched: the equations have as many unknowns as a square.
MOST = 40
# Entries of a generator are fractions with denominators up to this.
DENOMINATOR = 60
# Null vectors of equations in doubles: an eigenvalue per equation, whose rows have length one; and
# what rounding makes of a fraction.
NULL, ROUNDING = 1e-13, 1e-6
# Decimals in which fractions differ: the others hold rounding, and zeros are equal without them.
ROUNDED = 12
SEED = 20

#: Entries of a matrix that are equal up to their signs.
Shape = tuple[tuple[tuple[int, int], int], ...]
Gradient = Callable[[NDArray[np.float64]], NDArray[np.float64]]


@functools.lru_cache(maxsize=4)
def numerical_gradient(f: sp.Expr, y: tuple[sp.Symbol, ...]) -> Gradient:
    """Gradient in doubles, of points along the last axis."""
    if (table := table_of(f, y)) is not None:
        return table.evaluated
    signed = Signed.of(f)
    found = gradient(signed.expression, y)
    compiled = lower(found.results[1:], (*y, *signed.signs), "numpy", found.steps)
    signs = signed.compiled(y, DOUBLES)

    def at(points: NDArray[np.float64]) -> NDArray[np.float64]:
        rows = np.moveaxis(points, -1, 0)
        columns = compiled(*rows, *signs(*rows))
        return np.stack([np.broadcast_to(c, points.shape[:-1]) for c in columns], axis=-1)

    return at


def generators(f: sp.Expr, y: Sequence[sp.Symbol]) -> tuple[sp.ImmutableMatrix, ...]:
    """All `X` with ``grad f . X y = 0``, proved.

    Parameters
    ----------
    f : Expr
        A polynomial in `y`.
    y : sequence of Symbol
        At most `MOST`.

    Returns
    -------
    tuple of Matrix
        A basis; empty for more variables, and where entries are no simple fractions.
    """
    n = len(y)
    return _proved(f, y, [(((i, j), 1),) for i in range(n) for j in range(n)])


def conserved(f: sp.Expr, y: Sequence[sp.Symbol]) -> tuple[sp.ImmutableMatrix, ...]:
    """The symmetric ones: ``y'X y`` does not change along the gradient flow of `f`."""
    n = len(y)
    shapes = [
        (((i, j), 1), ((j, i), 1)) if i < j else (((i, i), 1),)
        for i in range(n)
        for j in range(i, n)
    ]
    return _proved(f, y, shapes)


def rotations(
    f: sp.Expr,
    y: Sequence[sp.Symbol],
    metric: sp.MatrixBase | None = None,
    slopes: Gradient | None = None,
) -> tuple[sp.ImmutableMatrix, ...]:
    """The ones with `G X` antisymmetric: rotations of the metric `G` that leave `f` alone."""
    n = len(y)
    shapes = [(((i, j), 1), ((j, i), -1)) for i in range(n) for j in range(i + 1, n)]
    return _proved(f, y, shapes, None if metric is None else metric.inv(), slopes)


def _proved(
    f: sp.Expr,
    y: Sequence[sp.Symbol],
    shapes: Sequence[Shape],
    inverse: sp.MatrixBase | None = None,
    gradient_of: Gradient | None = None,
) -> tuple[sp.ImmutableMatrix, ...]:
    """Of the combinations of `shapes`, times `inverse`, those that leave `f` alone."""
    if len(y) > MOST or not shapes:
        return ()
    points = np.random.default_rng(SEED).normal(size=(len(shapes) + len(y) + 20, len(y)))
    with np.errstate(all="ignore"):
        slopes = (gradient_of or numerical_gradient(_sampled(f, y), tuple(y)))(points)
    known = np.isfinite(slopes).all(axis=1)
    if known.sum() < len(shapes):
        return ()
    points, slopes = points[known], slopes[known]
    if inverse is not None:
        slopes = slopes @ np.array(inverse, dtype=float)
    slopes = slopes / np.linalg.norm(slopes, axis=1, keepdims=True)
    rows = np.stack(
        [sum(c * slopes[:, i] * points[:, j] for (i, j), c in shape) for shape in shapes], axis=-1
    )
    eigenvalues, vectors = np.linalg.eigh(rows.T @ rows)
    null = vectors[:, eigenvalues <= NULL * len(points)]
    found = []
    for vector in _simple(null):
        x = sp.zeros(len(y), len(y))
        for c, shape in zip(vector, shapes, strict=True):
            for (i, j), sign in shape if c else ():
                x[i, j] += sign * c
        x = x if inverse is None else _product(inverse, x)
        if invariant(f, y, x):
            found.append(sp.ImmutableMatrix(x))
    return tuple(found)


def _product(a: sp.MatrixBase, b: sp.MatrixBase) -> sp.MatrixBase:
    """Product of matrices of numbers, in their field."""
    left, right = (DomainMatrix.from_Matrix(sp.Matrix(m), extension=True) for m in (a, b))
    left, right = left.unify(right)
    return (left * right).to_Matrix()


def _simple(basis: NDArray[np.float64]) -> list[list[sp.Rational]]:
    """Echelon form of a basis, in fractions; vectors that have none are left out."""
    from scipy.linalg import qr

    if not basis.shape[1]:
        return []
    _, _, pivots = qr(basis.T, pivoting=True, mode="economic")
    chosen = sorted(pivots[: basis.shape[1]])
    echelon = basis @ np.linalg.inv(basis[chosen])
    found = []
    for column in echelon.T:
        fractions = [_fraction(c) for c in column.round(ROUNDED).tolist()]
        if np.abs(column - np.array(fractions, dtype=float)).max() < ROUNDING:
            found.append(fractions)
    return found


@functools.lru_cache(maxsize=4096)
def _fraction(value: float) -> sp.Rational:
    near = Fraction(value).limit_denominator(DENOMINATOR)
    return sp.Rational(near.numerator, near.denominator)


def invariant(f: sp.Expr, y: Sequence[sp.Symbol], x: sp.MatrixBase) -> bool:
    """Whether ``grad f . X y`` is zero: proved by normal forms of polynomials.

    Signs do not change nearby. Of functions in `f`, each argument must be invariant by itself; what
    is under a root may change by a factor.
    """
    rest, inner = _opened(f, tuple(y))
    return _still(rest, y, x) if not inner and rest.is_polynomial(*y) else _factor(f, y, x) == 0


def _factor(f: sp.Expr, y: Sequence[sp.Symbol], x: sp.MatrixBase) -> sp.Expr | None:
    """The number `c` with ``grad f . X y = c f``, where normal forms of fractions show one."""
    rest, inner = _opened(f, tuple(y))
    moved = dict(zip(y, x * sp.Matrix(list(y)), strict=True))
    for symbol, e in inner.items():
        root = e.is_Pow and e.exp.is_number
        factors = [_factor(part, y, x) for part in (e.args[:1] if root else e.args)]
        if None in factors or not (root or all(c == 0 for c in factors)):
            return None
        moved[symbol] = factors[0] * e.exp * symbol if root else sp.S.Zero
    ways = {symbol: sp.Poly(way, *moved) for symbol, way in moved.items() if way != 0}
    over, under = (sp.Poly(part, *moved) for part in sp.fraction(sp.together(rest)))
    zero = sp.Poly(0, *moved)
    risen, fallen = (sum((p.diff(g) * w for g, w in ways.items()), zero) for p in (over, under))
    left, product = risen * under - over * fallen, over * under
    if left.is_zero:
        return sp.S.Zero
    factor = sp.cancel(left.LC() / product.LC())
    return factor if (left - product * factor).is_zero else None


@functools.lru_cache(maxsize=64)
def _opened(f: sp.Expr, y: tuple[sp.Symbol, ...]) -> tuple[sp.Expr, dict[sp.Symbol, sp.Expr]]:
    """A function with symbols in place of its roots and functions, and these."""
    f = Signed.of(f).expression
    found = [
        e
        for e in f.atoms(sp.Pow, sp.Function, sp.exp)
        if e.has(*y) and not (e.is_Pow and e.exp.is_Integer)
    ]
    names = {e: sp.Symbol(f"inner{k}", real=True) for k, e in enumerate(found)}
    rest = f.xreplace(names)  # from the outside: what is in another one stays there
    return rest, {symbol: e for e, symbol in names.items() if symbol in rest.free_symbols}


def _still(f: sp.Expr, y: Sequence[sp.Symbol], x: sp.MatrixBase) -> bool:
    table = table_of(f, tuple(y))
    if table is not None and (answer := table.still(x)) is not None:
        return answer
    slopes = slopes_of(f, tuple(y))
    if slopes is None:
        return False
    ring = slopes[0].ring
    total = ring.zero
    for (i, j), e in x.todok().items():
        total += slopes[i] * ring.gens[j] * ring.domain.from_sympy(e)
    return not total


def sampled(parameters: Sequence[sp.Symbol]) -> dict[sp.Symbol, sp.Rational]:
    """Numbers in place of parameters, of sum below one while they are few."""
    return {s: sp.Rational(2 + k, 7 + 6 * k) for k, s in enumerate(parameters)}


def _sampled(f: sp.Expr, y: Sequence[sp.Symbol]) -> sp.Expr:
    """Numbers in place of parameters."""
    others = sorted(f.free_symbols - set(y), key=str)
    return f.subs(sampled(others))
