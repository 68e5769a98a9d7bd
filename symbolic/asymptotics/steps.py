"""The steps of a late-time law: each is a statement of its own, looked at by other means.

Where the loss is a smooth expression of moderate size, a step holds SymPy's own derivatives of it,
which know nothing of the series that the law was derived by. Otherwise the step is computed anew.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import sympy as sp

from symbolic.asymptotics.family import Family
from symbolic.asymptotics.kernel import Split
from symbolic.asymptotics.point import Point
from symbolic.asymptotics.reduction import Reduced, reduce
from symbolic.asymptotics.squares import sum_of_squares
from symbolic.evidence.identity import Basis, Evidence, Finding, examine
from symbolic.evidence.step import Step, computed

__all__ = ["steps_of_point", "steps_of_reduction"]

# SymPy differentiates expressions of up to so many entries and operations for a step.
DIFFERENTIABLE = 16, 700
EXACT = Finding(Evidence.PROVED, basis=Basis.ALGEBRA)


def _smooth_loss(point: Point) -> bool:
    """Whether SymPy's derivatives of the loss exist as expressions, and are not too large."""
    entries, operations = DIFFERENTIABLE
    return (
        point.integrand == 0
        and point.smooth
        and len(point.y) <= entries
        and point.plain.count_ops() <= operations
    )


def _recomputed(lhs: Any, rhs: Any, rule: str, again: Callable[[], Any], *words: str) -> Step:
    """Step whose right side exact arithmetic has just computed; `verify` computes it anew."""

    def check(_: Any, rhs: Any) -> Finding:
        found = again()
        gap = found - rhs
        entries = list(gap) if isinstance(gap, sp.MatrixBase) else [gap]
        if any(sp.simplify(e) != 0 for e in entries):
            return Finding(Evidence.REFUTED, (("lhs", str(found)), ("rhs", str(rhs))))
        return EXACT

    return computed(lhs, rhs, rule, assumptions=words, check=check, finding=EXACT)


def _path(point: Point, *moves: tuple[Any, sp.MatrixBase]) -> sp.Expr:
    """Loss at the point moved by ``scale * vector`` each."""
    where = {y: a for y, a in zip(point.y, point.at, strict=True)}
    for scale, vector in moves:
        where = {y: where[y] + scale * vector[k] for k, y in enumerate(point.y)}
    return point.plain.xreplace(where)


def steps_of_point(point: Point, parts: Split, found: Family) -> tuple[Step, ...]:
    """Critical point, Hessian, and family."""
    smooth, n = _smooth_loss(point), len(point.y)
    at = tuple(zip(point.y, point.at, strict=True))
    zero = sp.ImmutableMatrix.zeros(n, 1)
    steps = []
    if smooth:
        gradient = sp.ImmutableMatrix(
            [
                sp.Subs(sp.Derivative(point.plain, y), [a for a, _ in at], [b for _, b in at])
                for y in point.y
            ]
        )
        steps.append(computed(gradient, zero, "critical point"))
    else:
        names = sp.ImmutableMatrix([sp.Symbol(f"g_{y}") for y in point.y])
        again = lambda: replace(point).quadratic.gradient.as_immutable()  # noqa: E731
        steps.append(_recomputed(names, zero, "critical point", again))
    steps.append(_hessian_step(point, parts, smooth))
    y = sp.Matrix(list(point.y))
    for x in found.generators:
        moved = x * y
        if smooth:
            rate = sp.Add(
                *(
                    sp.Derivative(point.plain, v) * moved[i]
                    for i, v in enumerate(point.y)
                    if moved[i] != 0
                )
            )
            steps.append(computed(rate, sp.S.Zero, "symmetry: tangent X y*"))
    if found.lines.cols and point.integrand == 0:
        names = [sp.Symbol(f"q{k + 1}", real=True) for k in range(found.lines.cols)]
        where = [
            a + sum((q * found.lines[i, k] for k, q in enumerate(names)), sp.S.Zero)
            for i, a in enumerate(point.at)
        ]

        # SymPy takes a sixth of a second to write a substitution into a large expression.
        lhs: sp.Expr = sp.Function("L")(*where)
        if smooth:
            lhs = sp.Subs(point.plain, list(point.y), where)

        def along(_: Any, rhs: Any) -> Finding:
            moved = point.plain.xreplace(dict(zip(point.y, where, strict=True)))
            if sp.expand(moved - rhs) == 0:
                return Finding(Evidence.PROVED, basis=Basis.ALGEBRA)
            return examine(moved, rhs)

        rule = "family: the loss is constant along lines"
        steps.append(computed(lhs, point.quadratic.value, rule, check=along))
    return tuple(steps)


def _hessian_step(point: Point, parts: Split, smooth: bool) -> Step:
    """Second derivative along all of the kernel and its complement, as squares of the latter."""
    slow = sp.ImmutableMatrix(sp.Matrix.hstack(parts.tangent, parts.slow))
    z = [sp.Symbol(f"k{j + 1}", real=True) for j in range(slow.cols)]
    s = [sp.Symbol(f"s{j + 1}", real=True) for j in range(parts.fast.cols)]
    column = sp.Matrix(s)
    quadratic = parts.fast.T * point.quadratic.hessian * parts.fast / 2
    form = sp.expand((column.T * quadratic * column)[0, 0]) if s else sp.S.Zero
    squares = sum_of_squares(form, s)
    rule = "Hessian: zero on the kernel, a sum of squares across it"
    eps = sp.Symbol("epsilon", real=True)
    if smooth:
        moves = [(eps * v, m[:, j]) for v, m, j in _columns(z, slow, s, parts.fast)]
        second = sp.Derivative(_path(point, *moves), (eps, 2)) / 2
        return computed(sp.Subs(second, eps, 0), squares, rule)

    def again() -> sp.Expr:
        hessian = replace(point).quadratic.hessian
        vector = sum(
            (v * m[:, j] for v, m, j in _columns(z, slow, s, parts.fast)), sp.zeros(len(point.y), 1)
        )
        return sp.expand((vector.T * hessian * vector)[0, 0] / 2)

    return _recomputed(sp.Symbol("H(k,s)"), squares, rule, again)


def _columns(z: Any, slow: sp.MatrixBase, s: Any, fast: sp.MatrixBase) -> list[Any]:
    return [(v, slow, j) for j, v in enumerate(z)] + [(v, fast, j) for j, v in enumerate(s)]


def steps_of_reduction(point: Point, parts: Split, reduced: Reduced) -> tuple[Step, ...]:
    """Slaving and leading form."""
    p, z, eps = reduced.degree, reduced.z, sp.Symbol("epsilon", positive=True)
    names = sp.ImmutableMatrix(len(z), len(z), lambda i, j: sp.Symbol(f"G_{i + 1}{j + 1}"))
    rule = "metric: lengths and angles of the slow directions"
    steps = [_recomputed(names, reduced.metric, rule, lambda: parts.slow.T * parts.slow)]
    if _smooth_loss(point) and p.is_Integer and p <= 6:
        s = [sp.Symbol(f"s{k + 1}", real=True) for k in range(parts.fast.cols)]
        moves = [(eps * v, parts.slow[:, k]) for k, v in enumerate(z)]
        free = [(eps**2 * v, parts.fast[:, k]) for k, v in enumerate(s)]
        order = sp.Derivative(_path(point, *moves, *free), (eps, int(p))) / sp.factorial(p)
        values = [x if p <= 4 else None for x in reduced.slaved]
        if p == 4 and s and all(v is not None for v in values):
            slopes = sp.ImmutableMatrix(
                [sp.Subs(sp.Derivative(order, v), [eps, *s], [0, *values]) for v in s]
            )
            steps.append(
                computed(
                    slopes,
                    sp.ImmutableMatrix.zeros(len(s), 1),
                    "slaving: the fast variables are stationary",
                )
            )
        if p <= 4:
            lhs = sp.Subs(order, [eps, *s], [0, *values]) if s else sp.Subs(order, eps, 0)
            steps.append(computed(lhs, reduced.form, "leading form"))
            return tuple(steps)

    def again() -> sp.Expr:
        return reduce(replace(point), parts, point.quadratic.hessian).form

    words = "expectation and expansion may be exchanged: the integrand grows like a Gaussian"
    exchanged = (words,) if point.integrand != 0 else ()
    name = sp.Function("ell")(*z)
    return (*steps, _recomputed(name, reduced.form, "leading form", again, *exchanged))
