"""A late-time law from a loss and one of its minimisers: the steps in order."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from types import MappingProxyType
from typing import Any

import numpy as np
import sympy as sp
from mpmath import mp

from symbolic.asymptotics.attractors import LEAVES, attractors_of, cone_of, power_law, valley_law
from symbolic.asymptotics.family import Family, family
from symbolic.asymptotics.kernel import Split, split
from symbolic.asymptotics.law import LateTimeLaw, Law, weakest
from symbolic.asymptotics.measured import Measured
from symbolic.asymptotics.next_term import log_term
from symbolic.asymptotics.point import Point
from symbolic.asymptotics.polar import polar_steps, resting_step
from symbolic.asymptotics.rates import below, smallest_eigenvalue
from symbolic.asymptotics.reduction import reduce
from symbolic.asymptotics.refusal import Degenerate, NoLaw
from symbolic.asymptotics.steps import steps_of_point, steps_of_reduction
from symbolic.asymptotics.symmetries import sampled
from symbolic.asymptotics.valley import valleys as valleys_of
from symbolic.evidence.derivation import Derivation, Step
from symbolic.evidence.identity import Basis, Evidence, Finding
from symbolic.evidence.step import computed
from symbolic.language.blocks import as_written

__all__ = ["law_at"]

# Eigenvalues in doubles count as nonzero beyond this part of the largest one; smaller ones are
# computed with so many digits.
ROUNDED, DIGITS = 1e-12, 60
SOURCE = "Adams & Simon 1988; Choi & Hung 2024, arXiv 2405.17510; derived here"


def law_at(
    point: Point,
    tangents: sp.MatrixBase | None = None,
    *,
    confined: bool | None = None,
    valleys: bool | None = None,
    symmetries: Sequence[sp.ImmutableMatrix] = (),
    log_terms: bool = True,
    arrives: bool = False,
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
    log_terms : bool
        Whether the next term is derived.
    arrives : bool
        Whether it is known of a run that it arrives, so that it stays on a cone that others leave.
    """

    def derived(confine: bool, follow: bool) -> LateTimeLaw:
        found = family(point, tangents, confined=confine, symmetries=symmetries)
        return _law(point, found, follow, log_terms)

    try:
        point = point.regular
        critical(point)
        return _decided(derived, confined, valleys, arrives)
    except NoLaw as reason:
        return LateTimeLaw((), str(reason))


def _decided(
    derived: Callable[[bool, bool], LateTimeLaw],
    confined: bool | None,
    valleys: bool | None,
    arrives: bool,
) -> LateTimeLaw:
    """Law, on the cone or along valleys where the leading form does not decide by itself."""
    try:
        return derived(bool(confined), bool(valleys))
    except NoLaw as reason:
        if not isinstance(reason, Degenerate) and not arrives:
            raise
        first = reason
    if confined is None:
        try:
            on_cone = derived(True, False)
        except NoLaw:
            on_cone = None
        # Where some directions leave, nearby runs do not arrive: that is asked for.
        if on_cone is not None and LEAVES in on_cone.notes and not arrives:
            raise NoLaw(
                f"{first}; conserved quantities confine the run to a cone, which it leaves from"
                " some directions (confined=True gives the law of a run that arrives)"
            )
        if on_cone is not None:
            return on_cone
    if valleys is None and isinstance(first, Degenerate):
        try:
            return derived(bool(confined), True)
        except NoLaw as reason:
            if str(reason) != str(first):
                raise NoLaw(f"{first}; {reason}") from None
    raise first


def critical(point: Point) -> None:
    """Refuse a point at which the gradient is not zero."""
    for y, slope in zip(point.y, point.quadratic.gradient, strict=True):
        if sp.cancel(slope) != 0:
            name = as_written(y.name)
            shown = slope if slope.is_Rational and len(str(slope)) < 12 else slope.evalf(6)
            raise NoLaw(f"the point is not critical: the derivative by {name} is {shown}")


def _law(point: Point, found: Family, follow: bool, log_terms: bool) -> LateTimeLaw:
    quadratic = point.quadratic
    parts = split(quadratic.hessian, found.tangents)
    steps = steps_of_point(point, parts, found)
    dimensions = (parts.tangent.cols, parts.slow.cols, parts.fast.cols)
    if not parts.slow.cols:
        return _exponential(point, parts, found, steps, dimensions)
    _positive(quadratic.hessian, parts)
    reduced = reduce(point, parts, quadratic.hessian)
    cone = cone_of(found, parts)
    if reduced.smooth and reduced.degree % 2 and not cone:
        raise NoLaw(
            f"the leading form has the odd degree {reduced.degree}, so it takes both signs: the"
            " point is no minimum"
        )
    steps += steps_of_reduction(point, parts, reduced)
    attractors, notes, flat, others, why = attractors_of(reduced, cone, follow)
    bottoms = valleys_of(point, parts, quadratic.hessian, reduced) if flat else ()
    steps += polar_steps(reduced.degree)
    if flat:
        notes += ("along the valleys in which the leading form vanishes",)
    checked = tuple(step if step.finding else step.verify() for step in steps)
    known = _evidence(checked, found)
    laws, more = [], []
    measured = Measured.of(point, parts, quadratic.hessian, reduced.degree)
    for attractor in attractors:
        law, step = power_law(reduced, parts, attractor, known, others, measured, why)
        if log_terms and attractor.order is None:
            beta = log_term(point, parts, quadratic.hessian, reduced, attractor)
            law = replace(law, log_term=beta)
        laws.append(law)
        more.append(step.verify())
        if attractor.order is not None:
            more.append(resting_step(reduced.degree, attractor.order))
    distinct = {(valley.degree, valley.value): valley for valley in reversed(bottoms)}
    for valley in sorted(distinct.values(), key=bottoms.index):
        seen = tuple(step.verify() for step in valley.steps)
        laws.append(valley_law(valley, {**known, **_evidence(seen, found)}))
        more += seen
    _sound((*checked, *more))
    return LateTimeLaw(
        tuple(laws),
        limit=quadratic.value,
        degree=reduced.degree,
        form=reduced.form,
        slow=parts.slow,
        metric=reduced.metric,
        cone=cone,
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
    if not across.rows:
        return
    values = np.linalg.eigvalsh(np.array(numbers.evalf(17), dtype=float)).tolist()
    if values[0] <= ROUNDED * values[-1]:  # doubles do not give its sign
        with mp.workdps(DIGITS):
            digits = mp.matrix(numbers.evalf(DIGITS).tolist())
            values = [min(mp.eigsy(digits, eigvals_only=True))]
    if values[0] <= 0:
        raise NoLaw("the Hessian has a negative eigenvalue: the point is a saddle, no minimum")


def _exponential(
    point: Point, parts: Split, found: Family, steps: tuple[Step, ...], dimensions: tuple[int, ...]
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
        computed(
            name,
            right,
            "rate: the smallest eigenvalue across the family",
            assumptions=("Morse-Bott: the kernel of the Hessian is the tangent space",),
            check=check,
        ),
    )
    checked = tuple(step if step.finding else step.verify() for step in steps)
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


def _evidence(steps: Sequence[Step], found: Family) -> dict[str, Evidence]:
    """Weakest evidence of the steps by what they are about."""
    known: dict[str, Evidence] = {}
    for step in steps:
        name = step.rule.partition(":")[0]
        known[name] = weakest(known.get(name, Evidence.PROVED), step.evidence)
    if found.tangents.cols:
        known["family"] = weakest(known.get("family", Evidence.PROVED), found.evidence)
    return known
