"""A late-time law from a loss and one of its minimisers: the steps in order."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import replace
from types import MappingProxyType
from typing import Any

import numpy as np
import sympy as sp

from symbolic.asymptotics.direction import Attractor, precisely, sharpen
from symbolic.asymptotics.family import Family, family
from symbolic.asymptotics.given import exact, flat
from symbolic.asymptotics.kernel import Split, split
from symbolic.asymptotics.law import LateTimeLaw, Law, weakest
from symbolic.asymptotics.next_term import log_term
from symbolic.asymptotics.point import Point
from symbolic.asymptotics.polar import (
    constant,
    constant_in_balls,
    exponent,
    gamma,
    polar_steps,
)
from symbolic.asymptotics.rates import below, smallest_eigenvalue
from symbolic.asymptotics.reduction import Reduced, reduce
from symbolic.asymptotics.refusal import NoLaw
from symbolic.asymptotics.sphere import Form, minima
from symbolic.asymptotics.steps import steps_of_point, steps_of_reduction
from symbolic.asymptotics.symmetries import rotations, sampled
from symbolic.asymptotics.valley import Valley
from symbolic.asymptotics.valley import valleys as valleys_of
from symbolic.evidence.derivation import Derivation, Step
from symbolic.evidence.identity import Basis, Evidence, Finding
from symbolic.language.blocks import Block, entries, explicit

__all__ = ["late_time_law", "law_at", "point_of"]

SOURCE = "Adams & Simon 1988; Choi & Hung 2024, arXiv 2405.17510; derived here"
# Digits of an enclosure that are shown, and the relative rounding of a double.
SHOWN, DOUBLE = 30, 4e-16
# A value of the leading form this small, relative to its size on the sphere, is a zero.
ZERO = 1e-7


def late_time_law(
    loss: Any,
    blocks: Sequence[Block],
    at: Mapping[Block, Any],
    *,
    tangents: Sequence[Mapping[Block, Any]] | None = None,
    confined: bool = False,
    valleys: bool = False,
) -> LateTimeLaw:
    r"""Derive how the gradient flow of a loss approaches one of its minimisers.

    .. math:: L - L^* \sim C \, t^{-p/(p-2)}, \qquad C = (p (p-2))^{-p/(p-2)} \ell^{-2/(p-2)}

    with the degree `p` of the leading form on the slow directions and its value `ell` at a local
    minimum on the sphere; or ``log(L - L*) ~ -2 lambda t`` where nothing is slow.

    Parameters
    ----------
    loss : Expr
        In the blocks, their entries and products, and `symbolic.Expectation`.
    blocks : sequence of Symbol or MatrixSymbol
        What the loss depends on.
    at : mapping of block to number, array or expression
        The minimiser. Decimal numbers are taken for the fractions that they are written as;
        positive symbols may stand for numbers.
    tangents : sequence of mappings, optional
        Directions of the family of minimisers. Without them, they are sought among the linear
        symmetries of the loss and the lines on which it is constant.
    confined : bool
        Whether to derive the law on the invariant cone on which the loss's conserved quadratic
        forms have the values of the minimiser, such as balanced layers. A run that arrives is on
        it; nearby ones pass by, so that this is asked for.
    valleys : bool
        Whether zeros of the leading form are followed along the bottom of their valley, for two
        slow variables. Which valley a run takes is not decided.

    Returns
    -------
    LateTimeLaw
        Its `laws`, one for each value of the form at its minima, each with its evidence; none and a
        `reason` where the loss or the point has no law of this kind.

    Raises
    ------
    ValueError
        For a point of another shape, or one that is not finite.

    Assumptions
    -----------
    The run converges to this minimiser, and from outside the stable leaf of a faster direction.

    Units
    -----
    ``t`` is the time of ``dy/dt = -grad L``.

    Source
    ------
    Adams & Simon 1988; Choi & Hung 2024, arXiv 2405.17510; the constants are derived here.

    Examples
    --------
    >>> y = sp.Symbol("y", real=True)
    >>> print(late_time_law(y**4 / 4, [y], {y: 0}))
    L - L* ~ 0.0625 t^-2, C = 1/16
    >>> print(late_time_law(y**4 / 4, [y], {y: 1}))
    no law: the point is not critical: the derivative by y is 1
    """
    blocks = tuple(blocks)
    point = point_of(loss, blocks, at)
    named = None
    if tangents is not None:
        named = sp.ImmutableMatrix([flat(blocks, t) for t in tangents]).T
    return law_at(point, named, confined=confined, valleys=valleys)


def point_of(loss: Any, blocks: Sequence[Block], at: Mapping[Block, Any]) -> Point:
    """Loss at a point, in exact numbers."""
    form = explicit(loss, blocks)
    y = tuple(s for block in blocks for s in entries(block))
    return Point(y, exact(form.plain), exact(form.integrand), form.x, tuple(flat(blocks, at)))


def law_at(
    point: Point,
    tangents: sp.MatrixBase | None = None,
    *,
    confined: bool = False,
    valleys: bool = False,
    symmetries: Sequence[sp.ImmutableMatrix] = (),
) -> LateTimeLaw:
    """Late-time law of a loss at a point, or the reason why there is none.

    Parameters
    ----------
    point : Point
        The loss at the point.
    tangents : Matrix, optional
        Columns.
    confined, valleys : bool
        As in `late_time_law`.
    symmetries : sequence of Matrix
        Linear symmetries that are known, as in `family`.
    """
    try:
        critical(point)
        found = family(point, tangents, confined=confined, symmetries=symmetries)
        return _law(point, found, valleys)
    except NoLaw as reason:
        return LateTimeLaw((), str(reason))


def critical(point: Point) -> None:
    """Refuse a point at which the gradient is not zero."""
    for y, slope in zip(point.y, point.quadratic.gradient, strict=True):
        if sp.cancel(slope) != 0:
            name = str(y).removeprefix("y_")
            shown = slope if slope.is_Rational and len(str(slope)) < 12 else slope.evalf(6)
            raise NoLaw(f"the point is not critical: the derivative by {name} is {shown}")


def _law(point: Point, found: Family, follow: bool) -> LateTimeLaw:
    quadratic = point.quadratic
    parts = split(quadratic.hessian, found.tangents)
    steps = steps_of_point(point, parts, found)
    dimensions = (parts.tangent.cols, parts.slow.cols, parts.fast.cols)
    if not parts.slow.cols:
        return _exponential(point, parts, found, steps, dimensions)
    _positive(quadratic.hessian, parts)
    reduced = reduce(point, parts, quadratic.hessian)
    cone = _cone(found, parts)
    if reduced.smooth and reduced.degree % 2 and not cone:
        raise NoLaw(
            f"the leading form has the odd degree {reduced.degree}, so it takes both signs: the"
            " point is no minimum"
        )
    steps += steps_of_reduction(point, parts, reduced)
    attractors, notes, flat = _attractors(reduced, cone, follow)
    bottoms = valleys_of(point, parts, quadratic.hessian, reduced) if flat else ()
    steps += polar_steps(reduced.degree)
    checked = tuple(step.verify() for step in steps)
    known = _evidence(checked, found)
    laws, more = [], []
    for attractor in attractors:
        law, step = _power(reduced, parts, attractor, known)
        beta = log_term(point, parts, quadratic.hessian, reduced, attractor)
        laws.append(replace(law, log_term=beta))
        more.append(step.verify())
    for valley in bottoms:
        seen = tuple(step.verify() for step in valley.steps)
        laws.append(_valley_law(valley, {**known, **_evidence(seen, found)}))
        more += seen
    _sound((*checked, *more))
    return LateTimeLaw(
        tuple(laws),
        limit=quadratic.value,
        degree=reduced.degree,
        form=reduced.form,
        slow=parts.slow,
        metric=reduced.metric,
        kernel=dimensions,
        derivation=Derivation("late-time law", SOURCE, (*checked, *more)),
        notes=notes,
    )


def _sound(steps: Sequence[Step]) -> None:
    """Give no law of which a step is refuted."""
    for step in steps:
        if step.evidence is Evidence.REFUTED:
            raise NoLaw(f"a step of the derivation is refuted: {step.rule}; please report it")


def _positive(hessian: sp.MatrixBase, parts: Split) -> None:
    """Refuse a saddle: the Hessian across the kernel must be positive."""
    across = (parts.fast.T * hessian * parts.fast).applyfunc(sp.cancel)
    numbers = across.subs(sampled(sorted(across.free_symbols, key=str)))
    if across.rows and np.linalg.eigvalsh(np.array(numbers.evalf(17), dtype=float)).min() <= 0:
        raise NoLaw("the Hessian has a negative eigenvalue: the point is a saddle, no minimum")


def _exponential(
    point: Point,
    parts: Split,
    found: Family,
    steps: tuple[Step, ...],
    dimensions: tuple[int, ...],
) -> LateTimeLaw:
    """Nothing is slow: the smallest eigenvalue across the family gives the rate."""
    hessian = point.quadratic.hessian
    if not parts.fast.cols:
        raise NoLaw("the loss is constant around the point")
    if hessian.free_symbols:
        raise NoLaw("a rate is derived for numbers only; put numbers in place of the symbols")
    _positive(hessian, parts)
    closed, value, evidence = smallest_eigenvalue(hessian, parts.tangent.cols)

    def check(_: Any, rhs: Any) -> Finding:
        if below(hessian, parts.tangent.cols, rhs):
            basis = Basis.ALGEBRA if evidence is Evidence.PROVED else None
            return Finding(evidence, detail="" if basis else "counted anew", basis=basis)
        return Finding(Evidence.REFUTED, (("lhs", str(value)), ("rhs", str(rhs))))

    right = closed if closed is not None else sp.Float(value, 17)
    name = sp.Symbol("lambda_min")
    steps += (
        Step(
            name,
            right,
            "rate: the smallest eigenvalue across the family",
            assumptions=("Morse-Bott: the kernel of the Hessian is the tangent space",),
            fresh=True,
            check=check,
        ),
    )
    checked = tuple(step.verify() for step in steps)
    _sound(checked)
    known = {**_evidence(checked, found), "rate": checked[-1].evidence}
    law = Law(
        "exponential",
        rate=2 * value,
        rate_exact=None if closed is None else 2 * closed,
        evidence=MappingProxyType(known),
    )
    return LateTimeLaw(
        (law,),
        limit=point.quadratic.value,
        kernel=dimensions,
        derivation=Derivation("late-time law", SOURCE, checked),
        notes=("for starts outside the stable leaf of the next eigenvalue",),
    )


def _cone(found: Family, parts: Split) -> tuple[sp.ImmutableMatrix, ...]:
    """Conserved quadratic forms on the slow variables, which are zero along a run that arrives."""
    forms: list[sp.ImmutableMatrix] = []
    flat: list[sp.MatrixBase] = []
    for x in found.conserved:
        q = sp.ImmutableMatrix(parts.slow.T * x * parts.slow)
        row = sp.Matrix([list(q)])
        if any(e != 0 for e in q) and sp.Matrix.vstack(*flat, row).rank() > len(flat):
            forms.append(q)
            flat.append(row)
    return tuple(forms)


def _attractors(
    reduced: Reduced, cone: tuple[sp.ImmutableMatrix, ...], follow: bool
) -> tuple[list[Attractor], tuple[str, ...], bool]:
    """Local minima of the leading form on the sphere, of a positive value; whether it has zeros."""
    z, form = reduced.z, reduced.form
    parameters = sampled(sorted(form.free_symbols - set(z), key=str))
    numerical = Form(
        form.subs(parameters), z, float(reduced.degree), reduced.metric.subs(parameters), cone
    )
    classes = minima(numerical)
    if not classes:
        raise NoLaw(
            "the leading form has no minimum on the sphere at which it is twice differentiable"
        )
    generator = np.random.default_rng(0)
    sizes = [
        abs(numerical.value(numerical.normalised(v))[0])
        for v in generator.normal(size=(40, len(z)))
    ]
    scale = max(sizes)
    flat = [m for m in classes if abs(m.value) <= ZERO * scale]
    if flat and not follow:
        raise NoLaw(
            f"the leading form, of degree {reduced.degree}, vanishes in some direction: the rate"
            " depends on higher orders there (valleys=True), unless conserved quantities confine"
            " the run (confined=True)"
        )
    positive = [m for m in classes if m.value > ZERO * scale]
    notes = []
    if len(positive) + len(flat) < len(classes):
        if not positive:
            raise NoLaw(
                f"the leading form, of degree {reduced.degree}, is negative at its minima on the"
                " sphere: the point is no minimum"
            )
        notes.append("the point is no minimum: from other directions the flow leaves it")
    if cone:
        notes.append(
            f"on the cone of {len(cone)} conserved quantities, which every run that arrives keeps"
        )
    turning = rotations(
        form, z, reduced.metric, lambda points: np.stack([numerical.value(v)[1] for v in points])
    )
    found = []
    for m in positive:
        attractor = sharpen(
            form, z, reduced.degree, reduced.metric, numerical, m, turning, cone, parameters
        )
        if attractor is None:
            notes.append(f"a degenerate minimum of value {m.value:.6g} is left out")
        elif parameters and attractor.value is None:
            raise NoLaw(
                "the attracting direction depends on the symbols, and has no closed form here; put"
                " numbers in their place"
            )
        else:
            found.append(attractor)
    if not found and not flat:
        raise NoLaw(
            "every minimum of the leading form on the sphere is degenerate beyond its symmetries"
        )
    return found, tuple(notes), bool(flat)


def _power(
    reduced: Reduced, parts: Split, attractor: Attractor, known: Mapping[str, Evidence]
) -> tuple[Law, Step]:
    """Law of one attracting direction, and the step for its constant."""
    p = reduced.degree
    closed: sp.Expr | None = None
    number: float | None = None
    radius, text = math.nan, ""
    value = _value(attractor)
    if attractor.value is not None:
        closed = sp.simplify(constant(p, attractor.value))
        if not closed.free_symbols:
            number, radius = float(closed.evalf(30)), 0.0
    elif attractor.enclosure is not None:
        ball = precisely(lambda: constant_in_balls(p, attractor.enclosure))
        number, radius, text = float(ball.mid()), float(ball.rad()), ball.str(SHOWN)
    else:
        number = float(constant(p, sp.Float(value, 17)))
    gammas = tuple(gamma(float(p), value, c) for c in attractor.curvatures)
    evidence = {
        **known,
        "direction": attractor.critical,
        "attracts": attractor.attracts,
        "all attractors": Evidence.SAMPLED,
    }

    def check(_: Any, rhs: Any) -> Finding:
        if closed is not None:
            same = sp.simplify(constant(p, attractor.value) - rhs) == 0
        elif attractor.enclosure is not None:
            near = precisely(lambda: abs(constant_in_balls(p, attractor.enclosure) - float(rhs)))
            same = bool(near < DOUBLE * float(rhs)) if rhs > 0 else False
        else:
            size = float(constant(p, sp.Float(value, 17)))
            same = abs(size - float(rhs)) <= 1e-9 * abs(size)
        if not same:
            return Finding(Evidence.REFUTED, (("rhs", str(rhs)),))
        level = weakest(attractor.critical, attractor.attracts)
        if level is Evidence.PROVED:
            return Finding(level, basis=Basis.ALGEBRA)
        return Finding(level, detail="the direction is " + str(level).lower())

    right = closed if closed is not None else sp.Float(number, 17)
    step = Step(
        sp.Symbol("C"),
        right,
        f"constant of the direction with ell = {_text(attractor)}",
        assumptions=(
            f"the direction is critical: {attractor.critical}, it attracts: {attractor.attracts}",
            f"no other attractor was found in many starts; {attractor.share:.0%} lead here",
        ),
        fresh=True,
        check=check,
    )
    slow = np.array(parts.slow, dtype=float)
    law = Law(
        "power",
        exponent=exponent(p),
        constant=number,
        constant_exact=closed,
        constant_radius=radius,
        constant_ball=text,
        gamma=gammas,
        share=attractor.share,
        direction=tuple((slow @ attractor.direction).tolist()),
        evidence=MappingProxyType(evidence),
    )
    return law, step


def _valley_law(valley: Valley, known: Mapping[str, Evidence]) -> Law:
    """Law along the bottom of a valley."""
    closed = sp.simplify(constant(valley.degree, valley.value))
    return Law(
        "power",
        exponent=exponent(valley.degree),
        constant=float(closed.evalf(30)),
        constant_exact=closed,
        constant_radius=0.0,
        share=math.nan,
        evidence=MappingProxyType({**known, "all attractors": Evidence.SAMPLED}),
    )


def _value(attractor: Attractor) -> float:
    if attractor.value is not None and not attractor.value.free_symbols:
        return float(attractor.value.evalf(30))
    if attractor.enclosure is not None:
        return float(attractor.enclosure.mid())
    sample = attractor.bordered
    point = dict(zip(sample.z, attractor.direction.tolist(), strict=True))
    return float(sample.form.subs(point))


def _text(attractor: Attractor) -> str:
    if attractor.value is not None:
        return str(attractor.value)
    return f"{_value(attractor):.15g}"


def _evidence(steps: Sequence[Step], found: Family) -> dict[str, Evidence]:
    """Weakest evidence of the steps by what they are about."""
    known: dict[str, Evidence] = {}
    for step in steps:
        name = step.rule.partition(":")[0]
        known[name] = weakest(known.get(name, Evidence.PROVED), step.evidence)
    if found.tangents.cols:
        known["family"] = weakest(known.get("family", Evidence.PROVED), found.evidence)
    return known
