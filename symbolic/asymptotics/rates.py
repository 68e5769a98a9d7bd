"""The exponential rate where nothing is slow: twice the smallest positive eigenvalue."""

from __future__ import annotations

import numpy as np
import sympy as sp
from sympy.polys.matrices import DomainMatrix

from symbolic.evidence.identity import Evidence

__all__ = ["below", "smallest_eigenvalue"]

# Width of the interval in which an eigenvalue is isolated.
WIDTH = sp.Rational(1, 10**30)


def smallest_eigenvalue(
    hessian: sp.MatrixBase, kernel: int
) -> tuple[sp.Expr | None, float, Evidence]:
    """Smallest eigenvalue beside the zeros of the kernel.

    Parameters
    ----------
    hessian : Matrix
        Symmetric, with a kernel of this dimension.

    Returns
    -------
    exact : Expr or None
        The eigenvalue, if it is a fraction or a root of a quadratic polynomial over the fractions.
    value : float
        The same in doubles.
    evidence : Evidence
        PROVED if exact, ENCLOSED if isolated as the root of a polynomial, SAMPLED in doubles.
    """
    if not all(e.is_Rational for e in hessian):
        values = np.linalg.eigvalsh(np.array(sp.Matrix(hessian).evalf(17), dtype=float))
        beside = np.sort(values[np.argsort(np.abs(values))][kernel:])
        return None, float(beside[0]), Evidence.SAMPLED
    polynomial = _characteristic(hessian)
    least: tuple[sp.Rational, sp.Poly] | None = None
    for factor, _ in polynomial.factor_list()[1]:
        for (low, high), _ in factor.intervals(eps=WIDTH):
            middle = (low + high) / 2
            if factor.eval(0) != 0 and (least is None or middle < least[0]):
                least = middle, factor
    if least is None:
        raise ValueError("a Hessian without positive eigenvalues has no rate")
    value, factor = least
    if factor.degree() <= 2:
        exact = min(sp.roots(factor), key=lambda r: abs(r - value))
        return sp.simplify(exact), float(value), Evidence.PROVED
    return None, float(value), Evidence.ENCLOSED


def below(hessian: sp.MatrixBase, kernel: int, value: sp.Expr) -> bool:
    """Whether `value` is the smallest eigenvalue beside the zeros, by counting roots.

    Sturm's theorem counts the eigenvalues in an interval; it knows nothing of how the value was
    found.
    """
    near = sp.Rational(str(sp.N(value, 17)))
    width = abs(near) / 10**12
    if not all(e.is_Rational for e in hessian):
        values = np.linalg.eigvalsh(np.array(sp.Matrix(hessian).evalf(17), dtype=float))
        count = int((np.abs(values) < float(near) * (1 - 1e-9)).sum())
        return count == kernel and bool(np.abs(values - float(near)).min() < 1e-9 * float(near))
    (zeros,), polynomial = _characteristic(hessian).terms_gcd()
    return (
        zeros == kernel
        and polynomial.count_roots(sup=near - width) == 0
        and polynomial.count_roots(near - width, near + width) > 0
    )


def _characteristic(hessian: sp.MatrixBase) -> sp.Poly:
    """Polynomial whose roots are the eigenvalues, over the fractions."""
    coefficients = DomainMatrix.from_Matrix(sp.Matrix(hessian)).to_field().charpoly()
    return sp.Poly([sp.QQ.to_sympy(c) for c in coefficients], sp.Dummy("x"))
