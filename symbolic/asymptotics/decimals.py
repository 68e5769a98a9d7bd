r"""The late-time law at a point that is known to many digits, not exactly: every step is sampled.

A run ends somewhere on a family of minimisers, at numbers that are no fractions. With sixty digits
of them, zeros are separated from the rest: the kernel of the Hessian by its eigenvalues, the
tangents of the family as the directions in which the leading form on that kernel does not change.
"""

from __future__ import annotations

from types import MappingProxyType
from typing import Any

import numpy as np
import sympy as sp
from mpmath import mp
from numpy.typing import NDArray

from symbolic.asymptotics.attractors import positive_minima
from symbolic.asymptotics.averaged import DIGITS
from symbolic.asymptotics.law import LateTimeLaw, Law
from symbolic.asymptotics.point import Point
from symbolic.asymptotics.polar import constant, exponent, gamma, polar_steps
from symbolic.asymptotics.reduction import followed
from symbolic.asymptotics.refusal import NoLaw
from symbolic.asymptotics.sphere import Form, Minimum
from symbolic.asymptotics.symmetries import MOST, conserved
from symbolic.evidence.derivation import Derivation
from symbolic.evidence.identity import Evidence

__all__ = ["in_decimals", "law_in_decimals"]

# Eigenvalues below this, relative to the largest one or as they are, are those of the kernel.
KERNEL = 1e-20
# Coefficients of a form below this, relative to the Hessian and the form, are rounding.
ROUNDING = 1e-12
# Orders to which the loss is expanded; a kink of degree three comes first.
SMOOTH, KINKED = (4, 6), (3, 4, 6)
# A curvature below this, relative to the value, belongs to an orbit of equal directions.
ORBIT = 1e-6
MOST_ENTRIES = 24
POINTS, SEED = 4, 11

STEPS = ("critical point", "Hessian", "family", "leading form")
AROUND = ("direction", "attracts", "all attractors")

Matrix = NDArray[np.float64]


def in_decimals(point: Point) -> bool:
    """Whether entries of the point are decimals."""
    return any(a.has(sp.Float) for a in point.at)


def law_in_decimals(point: Point) -> LateTimeLaw:
    """Law of a run that arrives at a point whose entries have `DIGITS` digits.

    Parameters
    ----------
    point : Point
        A critical point. Its loss may hold no symbols beside the entries.

    Returns
    -------
    LateTimeLaw
        Where the leading form is zero or negative in some direction, on the cone of the conserved
        quadratic forms: a run that arrives is on it.
    """
    try:
        return _law(point)
    except NoLaw as reason:
        return LateTimeLaw((), str(reason))


def _law(point: Point) -> LateTimeLaw:
    if len(point.y) > MOST_ENTRIES:
        raise NoLaw(
            f"the limit point is no simple fraction, and a law in decimals is derived for up to"
            f" {MOST_ENTRIES} entries, here {len(point.y)}"
        )
    hessian = point.quadratic.hessian
    values, axes = _eigen(hessian)
    largest = float(max(map(abs, values)))
    steepest = max(abs(float(slope)) for slope in point.quadratic.gradient)
    if steepest > max(KERNEL * largest, KERNEL):
        raise NoLaw(f"the point is not critical: its gradient has an entry {steepest:.3g}")
    flat = [abs(v) <= max(KERNEL * largest, KERNEL) for v in values]
    if min(values) < -max(KERNEL * largest, KERNEL):
        raise NoLaw("the Hessian has a negative eigenvalue: the point is a saddle, no minimum")
    kernel = sp.Matrix.hstack(sp.zeros(len(flat), 0), *_chosen(axes, flat))
    fast = sp.Matrix.hstack(sp.zeros(len(flat), 0), *_chosen(axes, [not f for f in flat]))
    curved = [v for v, f in zip(values, flat, strict=True) if not f]
    found = _leading(point, kernel, fast, curved, largest) if kernel.cols else None
    if found is None:
        return _exponential(point, kernel.cols, curved)
    degree, form, z = found
    slow = _changing(Form(form, z, float(degree), sp.eye(len(z))))
    tangents = kernel.cols - slow.shape[1]
    if tangents:
        kernel = kernel * sp.Matrix(slow)
        reduced = _leading(point, kernel, fast, curved, largest)
        assert reduced is not None  # the same form in fewer variables
        degree, form, z = reduced
    metric = sp.ImmutableMatrix.eye(len(z))
    numerical, minima, notes = _attracting(point, form, z, degree, np.array(kernel, dtype=float))
    laws = []
    for m in minima:
        bent = np.sort(numerical.curvatures(m.direction))
        across = [c for c in bent.tolist() if c > ORBIT * m.value]
        laws.append(
            Law(
                "power",
                exponent=exponent(degree),
                constant=float(constant(degree, sp.Float(m.value, 17))),
                gamma=tuple(gamma(float(degree), m.value, c) for c in across),
                share=m.share,
                direction=tuple((np.array(kernel, dtype=float) @ m.direction).tolist()),
                evidence=MappingProxyType(dict.fromkeys((*STEPS, *AROUND), Evidence.SAMPLED)),
            )
        )
    return LateTimeLaw(
        tuple(laws),
        limit=point.quadratic.value,
        degree=degree,
        form=form,
        slow=sp.ImmutableMatrix(kernel),
        metric=metric,
        cone=tuple(map(sp.ImmutableMatrix, numerical.cone)),
        kernel=(tangents, len(z), fast.cols),
        derivation=Derivation("late-time law, in decimals", "derived here", polar_steps(degree)),
        notes=notes,
    )


def _attracting(
    point: Point, form: sp.Expr, z: tuple[sp.Symbol, ...], degree: sp.Rational, slow: Matrix
) -> tuple[Form, list[Minimum], tuple[str, ...]]:
    """Minima of the form, on the cone of conserved quantities where they do not decide alone."""
    free = Form(form, z, float(degree), sp.eye(len(z)))
    found, reason = None, None
    try:
        found = positive_minima(free, degree, False)
    except NoLaw as problem:
        reason = problem
    if found is not None and not found[1]:
        return free, found[0], ()
    if cone := _cone(point, slow):
        confined = Form(form, z, float(degree), sp.eye(len(z)), cone)
        minima, notes, _ = positive_minima(confined, degree, False)
        return confined, minima, notes
    if found is None:
        assert reason is not None
        raise reason
    return free, found[0], found[1]


def _eigen(hessian: sp.MatrixBase) -> tuple[list[Any], sp.MatrixBase]:
    """Eigenvalues and orthonormal eigenvectors, as columns, to the digits of the point."""
    with mp.workdps(DIGITS):
        entries = [
            [mp.mpf(str(e.evalf(DIGITS))) for e in hessian.row(i)]
            for i in range(len(hessian[:, 0]))
        ]
        values, axes = mp.eigsy(mp.matrix(entries))
        rows = [[sp.Float(axes[i, j], DIGITS) for j in range(axes.cols)] for i in range(axes.rows)]
        return list(values), sp.Matrix(rows)


def _chosen(axes: sp.MatrixBase, which: list[bool]) -> list[sp.MatrixBase]:
    return [axes[:, k] for k, yes in enumerate(which) if yes]


def _leading(
    point: Point, slow: sp.MatrixBase, fast: sp.MatrixBase, curved: list[Any], largest: float
) -> tuple[sp.Rational, sp.Expr, tuple[sp.Symbol, ...]] | None:
    """Degree and leading form along columns, with the others slaved; None if nothing grows."""
    z = tuple(sp.Symbol(f"z{k + 1}", real=True) for k in range(slow.cols))
    inverse = sp.diag(*(sp.Float(1 / v, DIGITS) for v in curved))
    for order in SMOOTH if point.smooth else KINKED:
        directions = [(v, 1, list(slow[:, k])) for k, v in enumerate(z)]
        ring, _, reduced = followed(point, directions, fast, inverse, order)
        size = max(largest, *(abs(float(c)) for p in reduced.values() for c in p.coeffs()), 0.0)
        for w in sorted(w for w in reduced if w > 2):
            kept = {m: c for m, c in reduced[w].terms() if abs(float(c)) > ROUNDING * size}
            if kept:
                form = ring.expression(ring.ring.from_dict(kept))
                return sp.Rational(w.numerator, w.denominator), form.evalf(17), z
    return None


def _changing(form: Form) -> Matrix:
    """Orthonormal columns across the directions in which a form does not change."""
    generator = np.random.default_rng(SEED)
    starts = generator.normal(size=(POINTS * form.size, form.size))
    slopes = np.stack([form.value(form.normalised(v))[1] for v in starts])
    _, sizes, axes = np.linalg.svd(slopes)
    return np.asarray(axes[sizes > ROUNDING**0.5 * sizes[0]].T)


def _cone(point: Point, slow: Matrix) -> tuple[sp.ImmutableMatrix, ...]:
    """Conserved quadratic forms that vanish at the point, on the slow directions."""
    if point.integrand != 0 or not point.plain.is_polynomial(*point.y) or len(point.y) > MOST:
        return ()
    forms = [np.array(x, dtype=float) for x in conserved(point.plain, point.y)]
    if not forms:
        return ()
    y = np.array(point.at, dtype=float)
    images = np.stack([x @ y for x in forms], axis=1)
    _, sizes, weights = np.linalg.svd(images)
    rank = int((sizes > ROUNDING).sum())
    fixing = [sum(w * x for w, x in zip(row, forms, strict=True)) for row in weights[rank:]]
    if not fixing:
        return ()
    on_slow = np.stack([(slow.T @ x @ slow).ravel() for x in fixing])
    _, sizes, rows = np.linalg.svd(on_slow, full_matrices=False)
    shape = slow.shape[1], slow.shape[1]
    return tuple(
        sp.ImmutableMatrix(row.reshape(shape).tolist()) for row in rows[sizes > ROUNDING**0.5]
    )


def _exponential(point: Point, tangents: int, curved: list[Any]) -> LateTimeLaw:
    """Nothing grows along the kernel: it is taken for the tangent space."""
    if not curved:
        raise NoLaw("the loss is constant around the point")
    law = Law(
        "exponential",
        rate=2 * float(min(curved)),
        evidence=MappingProxyType(
            dict.fromkeys(("critical point", "Hessian", "family", "rate"), Evidence.SAMPLED)
        ),
    )
    return LateTimeLaw((law,), limit=point.quadratic.value, kernel=(tangents, 0, len(curved)))
