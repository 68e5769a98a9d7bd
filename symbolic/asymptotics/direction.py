"""An attracting direction made rigorous: recognised and proved by substitution, or in balls.

Where the entries are rational or square roots of rationals, substitution proves that they are a
critical direction. Otherwise Krawczyk's test on the bordered equations encloses one. That it
attracts is shown by its eigenvalues where they are those of a rational matrix, otherwise by the
Cholesky decomposition of a matrix of balls.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import sympy as sp

from symbolic.asymptotics.bordered import Bordered, border
from symbolic.asymptotics.powers import Powers
from symbolic.asymptotics.sphere import Form, Minimum, Vector
from symbolic.asymptotics.terms import Terms
from symbolic.evidence.identity import Evidence
from symbolic.language.lower import NoBall, Undecided, lower
from symbolic.language.program import Program, gradient

__all__ = ["Attractor", "positive_definite", "precisely", "sharpen", "vanishes"]

BITS = 320
# Radius of the box in Krawczyk's test; Newton's method is far below it by then.
RADIUS = 1e-40
NEWTON = 8
# An entry is recognised if a fraction with a denominator up to this agrees to so many digits.
DENOMINATOR, DIGITS = 20_000, 40
# Digits of a direction that has no fractions.
SHOWN = 60
# A radicand below this on the sphere, in doubles, may be zero.
VANISHING = 1e-24
# Curvatures below this, relative to the value, belong to an orbit.
FLAT = 1e-6


@dataclass(frozen=True)
class Attractor:
    """A direction on the sphere that attracts.

    Parameters
    ----------
    direction : ndarray
        In doubles, on the sphere.
    exact : tuple of Expr or None
        The direction up to its length, where it is recognised.
    value : Expr or None
        The form there, exactly.
    enclosure : object or None
        The same as a ball (`flint.arb`).
    curvatures : tuple of float
        ``kappa - p ell`` transverse to direction and orbit.
    orbit : int
        Dimension of the orbit of rotations.
    critical, attracts : Evidence
        That it is a critical direction, and that it attracts.
    share : float
        Part of the random starts that lead to a direction of this value.
    bordered : Bordered
        Its equations.
    precise : tuple of Expr or None
        The direction in fractions where it has some, otherwise to many digits; None if sampled.
    """

    direction: Vector
    exact: tuple[sp.Expr, ...] | None
    value: sp.Expr | None
    enclosure: Any
    curvatures: tuple[float, ...]
    orbit: int
    critical: Evidence
    attracts: Evidence
    share: float
    bordered: Bordered
    precise: tuple[sp.Expr, ...] | None


def sharpen(
    form: sp.Expr,
    z: tuple[sp.Symbol, ...],
    degree: sp.Rational,
    metric: sp.ImmutableMatrix,
    numerical: Form,
    minimum: Minimum,
    rotations: Sequence[sp.ImmutableMatrix],
    cone: Sequence[sp.ImmutableMatrix] = (),
    parameters: dict[sp.Symbol, sp.Expr] | None = None,
    compiled: dict[str, Any] | None = None,
) -> Attractor | None:
    """Prove or enclose a local minimum; None if it is degenerate.

    Parameters
    ----------
    form : Expr
        The leading form; it may hold parameters.
    numerical : Form
        The same on arrays, with numbers in place of parameters.
    minimum : Minimum
        Where it was found.
    rotations, cone : sequence of Matrix
        What leaves the form alone, and conserved forms that vanish.
    parameters : dict
        Numbers in place of the parameters.
    compiled : dict
        What is compiled of the form, to be shared by its minima.
    """
    sample = form.subs(parameters or {})
    compiled = {} if compiled is None else compiled
    # In doubles the form is compiled already, for all axes at once.
    compiled.setdefault("numpy", (numerical.all_of, lambda z, _: numerical.hessian(np.array(z))))
    bordered, u = border(sample, z, metric, numerical, minimum.direction, rotations, cone, compiled)
    direction = numerical.normalised(np.asarray(u[: len(z)], dtype=float))
    curvatures = np.sort(numerical.curvatures(direction))
    orbit = len(bordered.rotations)
    if not np.isfinite(curvatures).all():
        return None
    transverse = curvatures[np.argsort(np.abs(curvatures))][orbit:]
    if transverse.min(initial=np.inf) <= FLAT * abs(minimum.value):
        return None
    steady = _without_vanishing_roots(bordered, direction)
    precise = _newton(steady, u)
    exact = _recognised(precise, len(z)) if precise is not None else None
    value = _exact_value(form, z, degree, metric, exact) if exact is not None else None
    critical = attracts = Evidence.SAMPLED
    enclosure = None
    box: list[Any] | None = None
    if value is not None and exact is not None:
        critical = Evidence.PROVED
        if _eigenvalues_prove(form, z, degree, metric, exact, value, orbit, len(cone)):
            attracts = Evidence.PROVED
    else:
        exact = None
        if precise is not None and not parameters and steady is bordered:
            box = _krawczyk(bordered, precise)
            if box is not None:
                critical = Evidence.ENCLOSED
                enclosure = _value_in_balls(bordered, box, degree)
    if critical is not Evidence.SAMPLED and not len(transverse):
        attracts = Evidence.PROVED  # the sphere is one orbit
    if attracts is Evidence.SAMPLED and critical is not Evidence.SAMPLED and not parameters:
        equations, where = bordered, (box or [])[: len(z)]
        if exact is not None:
            flat = _without_flat_roots(sample, z, dict(zip(z, exact, strict=True)))
            equations = replace(bordered, form=flat, known={})
            where = _ball_direction(exact, metric) or []
        if where and _cholesky_proves(equations, where, degree, numerical, direction, orbit):
            attracts = Evidence.ENCLOSED
    return Attractor(
        direction,
        exact,
        value,
        enclosure,
        tuple(np.sort(transverse).tolist()),
        orbit,
        critical,
        attracts,
        minimum.share,
        bordered,
        _digits(exact, precise if box is not None else None, len(z)),
    )


def precisely(action: Any) -> Any:
    """Do it with many bits; None where balls do not decide."""
    from flint import ctx

    before = ctx.prec
    ctx.prec = BITS
    try:
        return action()
    except (NoBall, Undecided, ArithmeticError, ValueError, TypeError):
        return None
    finally:
        ctx.prec = before


def _newton(bordered: Bordered, u: Vector) -> list[Any] | None:
    """Solution of the bordered equations with many digits, no enclosure."""

    def solve() -> list[Any] | None:
        from flint import arb, arb_mat

        point = [arb(float(v)) for v in u]
        for _ in range(NEWTON):
            residual, jacobian = bordered.equations("ball", point, arb(1))
            step = arb_mat(jacobian).solve(arb_mat([[r] for r in residual]))
            point = [arb((p - s).mid()) for p, s in zip(point, step.entries(), strict=True)]
        residual, _ = bordered.equations("ball", point, arb(1))
        return point if all(abs(r) < RADIUS**1.2 for r in residual) else None

    found: list[Any] | None = precisely(solve)
    return found


def _recognised(point: Sequence[Any], n: int) -> tuple[sp.Expr, ...] | None:
    """Entries relative to the largest one, if all are fractions or roots of fractions."""
    z = [sp.Float(p.str(DIGITS + 20, radius=False), DIGITS + 20) for p in point[:n]]
    largest = max(z, key=abs)
    found = []
    for entry in z:
        ratio = sp.Rational(entry / largest)
        for power in (1, 2):
            guess = (ratio**power).limit_denominator(DENOMINATOR)
            if abs(guess - ratio**power) < sp.Rational(1, 10**DIGITS):
                found.append(sp.sign(ratio) * abs(guess) ** sp.Rational(1, power))
                break
        else:
            return None
    return tuple(found)


def _digits(
    exact: tuple[sp.Expr, ...] | None, precise: Sequence[Any] | None, n: int
) -> tuple[sp.Expr, ...] | None:
    """Direction in fractions, or in numbers of many digits in which a zero is exact."""
    if exact is not None:
        rational = all(e.is_Rational for e in exact)
        return exact if rational else tuple(e if e == 0 else e.evalf(SHOWN) for e in exact)
    if precise is None:
        return None
    return tuple(sp.Float(p.str(SHOWN, radius=False), SHOWN) for p in precise[:n])


def _exact_value(
    form: sp.Expr,
    z: Sequence[sp.Symbol],
    degree: sp.Rational,
    metric: sp.MatrixBase,
    exact: Sequence[sp.Expr],
) -> sp.Expr | None:
    """Value on the sphere, if ``grad ell`` is ``p ell G z / z'Gz`` there, exactly."""
    point = dict(zip(z, exact, strict=True))
    smooth = _without_flat_roots(form, z, point)
    column = sp.Matrix(list(exact))
    square = sp.expand((column.T * metric * column)[0, 0])
    terms = Terms.of(smooth, z)
    if terms is not None:
        value, *slope = terms.gradient(list(exact), terms.coefficients, sp.S.Zero)
    elif (powers := Powers.of(smooth, z)) is not None:
        value, *slope = powers.exact_gradient(exact)
    elif smooth.has(sp.sign, sp.Abs):
        value, slope = smooth.subs(point), [sp.diff(smooth, v).subs(point) for v in z]
    else:
        value, *slope = _evaluated(gradient(smooth, z), point)
    pull = metric * column
    for i in range(len(z)):
        gap = slope[i] * square - degree * value * pull[i]
        if not vanishes(gap):
            return None
    return sp.radsimp(sp.simplify(value / square ** (degree / 2)))


def _without_flat_roots(f: sp.Expr, z: Sequence[sp.Symbol], point: dict[Any, Any]) -> sp.Expr:
    """Form without powers ``u^q``, q > 1, whose base vanishes at the point.

    Such a base is a sum of squares, so the term and its first two derivatives vanish there.
    """
    flat = {
        e: sp.S.Zero
        for e in f.atoms(sp.Pow)
        if e.exp.is_Rational
        and not e.exp.is_Integer
        and e.exp > 1
        and e.has(*z)
        and sp.expand(e.base.xreplace(point)) == 0
    }
    return f.xreplace(flat)


def _without_vanishing_roots(bordered: Bordered, direction: Vector) -> Bordered:
    """Equations without the roots that seem to vanish there, which have no derivatives in balls."""
    point = dict(zip(bordered.z, map(sp.Float, direction.tolist()), strict=True))
    flat = {
        e: sp.S.Zero
        for e in bordered.form.atoms(sp.Pow)
        if not e.exp.is_Integer and e.exp > 1 and abs(e.base.xreplace(point)) < VANISHING
    }
    return replace(bordered, form=bordered.form.xreplace(flat), known={}) if flat else bordered


def _evaluated(program: Program, point: dict[Any, Any]) -> list[sp.Expr]:
    """Results of a program at an exact point, step by step."""
    known = dict(point)
    for symbol, step in program.steps:
        known[symbol] = sp.expand(step.xreplace(known))
    return [result.xreplace(known) for result in program.results]


def vanishes(e: sp.Expr) -> bool:
    """Whether a number, or a function of parameters, is zero, by normal forms."""
    numerator = sp.expand(sp.fraction(sp.together(sp.expand(e)))[0])
    return bool(numerator == 0 or sp.simplify(numerator) == 0)


def _eigenvalues_prove(
    form: sp.Expr,
    z: Sequence[sp.Symbol],
    degree: sp.Rational,
    metric: sp.MatrixBase,
    exact: Sequence[sp.Expr],
    value: sp.Expr,
    orbit: int,
    cones: int,
) -> bool:
    """Whether exact eigenvalues say that all but the orbit's directions are curved upwards.

    The pencil ``H - kappa G`` has the direction's own ``kappa = p (p-1) ell``, the orbit's ``p
    ell`` and the transverse ones, which must be larger.
    """
    if len(z) == 1:
        return True
    if cones or value.free_symbols:
        return False
    point = dict(zip(z, exact, strict=True))
    smooth = _without_flat_roots(form, z, point)
    column = sp.Matrix(list(exact))
    square = sp.expand((column.T * metric * column)[0, 0])
    terms = Terms.of(smooth, z)
    if terms is None:
        return False
    at = terms.gradient(list(exact), terms.coefficients, sp.S.Zero)[0]
    hessian = sp.Matrix(terms.hessian(list(exact), terms.coefficients, sp.S.Zero))
    # In units of the value at the point, kappa becomes kappa * square / value.
    entries = []
    for e in hessian:
        entries.append(_plain(e * square / at))
        if not entries[-1].is_Rational:
            return False
    scaled = sp.Matrix(*hessian.shape, entries)
    k = sp.Dummy("kappa")
    polynomial = sp.Poly((metric.inv() * scaled).charpoly().all_coeffs(), k)
    multiplicity = 0
    while polynomial.eval(degree) == 0:
        polynomial = polynomial.quo(sp.Poly(k - degree, k))
        multiplicity += 1
    return multiplicity == orbit and polynomial.count_roots(sup=degree) == 0


def _plain(e: sp.Expr) -> sp.Expr:
    """Rational number, if it is one; what is far from simple fractions is not simplified."""
    e = sp.expand(e)
    if e.is_Rational:
        return e
    near = sp.Rational(e.evalf(DIGITS))
    far = abs(near.limit_denominator(DENOMINATOR) - near) > sp.Rational(1, 10 ** (DIGITS // 2))
    return e if far else sp.radsimp(sp.simplify(e))


def _krawczyk(bordered: Bordered, point: Sequence[Any]) -> list[Any] | None:
    """Enclosure of a solution by Krawczyk's test, None if it fails."""

    def test() -> list[Any] | None:
        from flint import arb, arb_mat

        n = len(point)
        box = [arb(p, RADIUS) for p in point]
        _, jacobian = bordered.equations("ball", list(point), arb(1))
        inverse = arb_mat(arb_mat(jacobian).inv().mid())
        residual, _ = bordered.equations("ball", list(point), arb(1))
        _, over = bordered.equations("ball", box, arb(1))
        identity = arb_mat(n, n, [int(i == j) for i in range(n) for j in range(n)])
        spread = arb_mat([[b - p] for b, p in zip(box, point, strict=True)])
        moved = (identity - inverse * arb_mat(over)) * spread
        newton = inverse * arb_mat([[r] for r in residual])
        image = [
            p - s + m for p, s, m in zip(point, newton.entries(), moved.entries(), strict=True)
        ]
        inside = all(b.contains_interior(i) for b, i in zip(box, image, strict=True))
        return image if inside else None

    found: list[Any] | None = precisely(test)
    return found


def _value_in_balls(bordered: Bordered, box: Sequence[Any], degree: sp.Rational) -> Any:
    """Value of the form: the multiplier is ``p ell``, but the form itself is narrower."""
    return precisely(lambda: bordered.compiled("ball")[0](box[: len(bordered.z)])[0])


def _ball_direction(exact: Sequence[sp.Expr], metric: sp.MatrixBase) -> list[Any] | None:
    """Exact direction on the sphere, in balls."""
    column = sp.Matrix(list(exact))
    square = sp.expand((column.T * metric * column)[0, 0])
    found: list[Any] | None = precisely(
        lambda: list(lower([e / sp.sqrt(square) for e in exact], [], "ball")())
    )
    return found


def _cholesky_proves(
    bordered: Bordered,
    z: Sequence[Any],
    degree: sp.Rational,
    numerical: Form,
    direction: Vector,
    orbit: int,
) -> bool:
    """Whether the form's Hessian on the sphere is positive on a complement of the orbit."""
    from flint import arb, arb_mat

    basis = numerical.transverse(direction)
    if orbit:
        g = numerical.metric
        tangents = np.stack(
            [np.array(x, dtype=float) @ direction for x in bordered.rotations], axis=1
        )
        inner = basis.T @ g @ tangents
        u, _, _ = np.linalg.svd(inner)
        basis = basis @ u[:, orbit:]
    if not basis.shape[1]:
        return True

    def test() -> bool:
        n = len(bordered.z)
        g = arb_mat([[arb(int(e.p)) / int(e.q) for e in bordered.metric.row(i)] for i in range(n)])
        column = arb_mat([[v] for v in z])
        v = arb_mat([[arb(float(e)) for e in row] for row in basis])
        normals = [g * column]
        if bordered.cone:
            normals += [
                arb_mat([[arb(int(e.p)) / int(e.q) for e in q.row(i)] for i in range(n)]) * column
                for q in bordered.cone
            ]
        across = arb_mat([[c[i, 0] for c in normals] for i in range(n)])
        # Tangents of sphere and cone, exactly: take the normals' part away.
        v = v - across * (across.transpose() * across).solve(across.transpose() * v)
        both, second = bordered.compiled("ball")
        value = both(z)[0]
        hessian = arb_mat(second(list(z), arb(1)))
        p = arb(int(degree.p)) / int(degree.q)
        form = v.transpose() * (hessian - g * (p * value)) * v
        return positive_definite(form)

    return bool(precisely(test))


def positive_definite(matrix: Any) -> bool:
    """Whether the pivots of Cholesky's decomposition are positive."""
    n = matrix.nrows()
    a = [[matrix[i, j] for j in range(n)] for i in range(n)]
    for k in range(n):
        if not a[k][k] > 0:
            return False
        for i in range(k + 1, n):
            factor = a[i][k] / a[k][k]
            for j in range(k + 1, n):
                a[i][j] = a[i][j] - factor * a[k][j]
    return True
