"""Attracting directions of a leading form, and the law of each."""

from __future__ import annotations

import math
from collections.abc import Mapping
from types import MappingProxyType
from typing import Any

import numpy as np
import sympy as sp

from symbolic.asymptotics.cover import all_found, all_on_cone, why_sampled
from symbolic.asymptotics.derivatives import DOUBLES, derivatives
from symbolic.asymptotics.direction import Attractor, sharpen
from symbolic.asymptotics.direction_enclosed import precisely
from symbolic.asymptotics.family import Family
from symbolic.asymptotics.kernel import Split
from symbolic.asymptotics.law import Law, weakest
from symbolic.asymptotics.measured import Measured
from symbolic.asymptotics.polar import constant, constant_in_balls, exponent, gamma, log_decay
from symbolic.asymptotics.reduction import Reduced
from symbolic.asymptotics.refusal import Degenerate, NoLaw
from symbolic.asymptotics.sphere import Form, Minimum, Vector, form_of, minima
from symbolic.asymptotics.symmetries import rotations, sampled
from symbolic.asymptotics.valley import Valley
from symbolic.evidence.identity import Basis, Evidence, Finding
from symbolic.evidence.step import Step, computed

__all__ = ["LEAVES", "attractors_of", "cone_of", "positive_minima", "power_law", "valley_law"]

#: Note of a point that attracts from some directions only.
LEAVES = "the point is no minimum: from other directions the flow leaves it"
# Digits of an enclosure that are shown, and the relative rounding of a double.
SHOWN, DOUBLE = 30, 4e-16
# The constant that the loss itself shows agrees to this.
MEASURED = 1e-9
# A value of the leading form this small, relative to its size on the sphere, is a zero.
ZERO = 1e-7


def cone_of(found: Family, parts: Split) -> tuple[sp.ImmutableMatrix, ...]:
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


def attractors_of(
    reduced: Reduced, cone: tuple[sp.ImmutableMatrix, ...], follow: bool
) -> tuple[list[Attractor], tuple[str, ...], bool, Evidence, str]:
    """Attractors, notes, whether the form has zeros, how well it is known that these are all.

    The last one says why it is sampled, where it is. An attractor is a direction of a local
    minimum of the form on the sphere, or of an inflection, of a positive value.
    """
    z, form = reduced.z, reduced.form
    parameters = sampled(sorted(form.free_symbols - set(z), key=str))
    numerical = form_of(
        form.subs(parameters), z, float(reduced.degree), reduced.metric.subs(parameters), cone
    )
    positive, remarks, flat = positive_minima(numerical, reduced.degree, follow)
    notes = list(remarks)
    turning = rotations(
        form, z, reduced.metric, lambda points: np.stack([numerical.value(v)[1] for v in points])
    )
    found, left = [], []
    for m in positive:
        try:
            about = form, z, reduced.degree, reduced.metric, numerical, m, turning
            attractor = sharpen(*about, cone, parameters)
        except NoLaw as reason:  # other directions may have their laws
            left.append(f"a direction of value {m.value:.6g} is left out: {reason}")
            continue
        if parameters and attractor.value is None:
            raise NoLaw(
                "the attracting direction depends on the symbols, and has no closed form here; put"
                " numbers in their place"
            )
        found.append(attractor)
    if not found and not flat:
        raise NoLaw(f"no attracting direction of the leading form is decided; {'; '.join(left)}")
    notes += left
    if flat or left:
        why = "directions without curvature, or zeros of the form, are left out"
        return found, tuple(notes), flat, Evidence.SAMPLED, why
    if numerical.circle is not None and not parameters:
        everything = len(found) == len(numerical.circle.classes)
        known = Evidence.ENCLOSED if everything else Evidence.SAMPLED
        return found, tuple(notes), flat, known, "" if everything else LEAVES
    values = [a.value if a.value is not None else sp.Float(_value(a), 17) for a in found]
    if cone:
        known = all_on_cone(form, z, reduced.degree, reduced.metric, cone, values)
    else:
        known = all_found(form, z, reduced.degree, reduced.metric, turning, values)
    sampled_only = known is Evidence.SAMPLED
    why = why_sampled(len(z), turning, cone, bool(parameters)) if sampled_only else ""
    return found, tuple(notes), flat, known, why


def positive_minima(
    numerical: Form, degree: sp.Rational, follow: bool
) -> tuple[list[Minimum], tuple[str, ...], bool]:
    """Minima of a form on its sphere with a positive value, notes, and whether some are zeros.

    Parameters
    ----------
    numerical : Form
        With its cone, if it is confined to one.
    degree : Rational
        Of the form.
    follow : bool
        Whether zeros are let pass.

    Raises
    ------
    NoLaw
        Where there are no minima, none of a positive value, or zeros that are not followed.
    """
    classes = minima(numerical)
    if not classes:
        raise NoLaw(
            "the leading form has no minimum on the sphere at which it is twice differentiable"
        )
    scale = numerical.sizes[0]
    flat = [m for m in classes if abs(m.value) <= ZERO * scale]
    if flat and not follow:
        raise Degenerate(
            f"the leading form, of degree {degree}, vanishes in some direction: the rate"
            " depends on higher orders there"
        )
    positive = [m for m in classes if m.value > ZERO * scale]
    notes = []
    if len(positive) + len(flat) < len(classes):
        if not positive:
            raise NoLaw(
                f"the leading form, of degree {degree}, is negative at its minima on the"
                " sphere: the point is no minimum"
            )
        notes.append(LEAVES)
    if count := len(numerical.cone):
        notes.append(
            f"on the cone of {count} conserved quantities, which every run that arrives keeps"
        )
    return positive, tuple(notes), bool(flat)


def power_law(
    reduced: Reduced,
    parts: Split,
    attractor: Attractor,
    known: Mapping[str, Evidence],
    others: Evidence,
    measured: Measured | None = None,
    why: str = "",
) -> tuple[Law, Step]:
    """Law of one attracting direction, and the step for its constant.

    The step is refuted where the loss itself, as it is `measured`, has another constant, or is
    lower beside the direction. `why` says why other attractors are looked for by samples only.
    """
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
        ball: Any = precisely(lambda: constant_in_balls(p, attractor.enclosure))
        number, radius, text = float(ball.mid()), float(ball.rad()), ball.str(SHOWN)
    else:
        number = float(constant(p, sp.Float(value, 17)))
    gammas = tuple(gamma(float(p), value, c) for c in attractor.curvatures)
    evidence = {
        **known,
        "direction": attractor.critical,
        "attracts": attractor.attracts,
        "all attractors": others,
    }

    def check(_: Any, rhs: Any) -> Finding:
        if closed is not None:
            same = sp.simplify(constant(p, attractor.value) - rhs) == 0
        else:
            near, size = DOUBLE if attractor.enclosure is not None else 1e-9, number or math.nan
            same = abs(size - float(rhs)) <= near * abs(size)
        if not same:
            return Finding(Evidence.REFUTED, (("rhs", str(rhs)),))
        shown = None if measured is None else _shown(measured, attractor, p)
        if shown is not None and not abs(shown - float(rhs)) <= MEASURED * shown:
            return Finding(Evidence.REFUTED, (("the loss itself", str(shown)), ("rhs", str(rhs))))
        level = weakest(attractor.critical, attractor.attracts)
        if level is Evidence.PROVED:
            return Finding(level, basis=Basis.ALGEBRA)
        return Finding(level, detail="the direction is " + str(level).lower())

    right = closed if closed is not None else sp.Float(number, 17)
    one_sided = attractor.order is not None and len(attractor.toward) == 1
    step = computed(
        sp.Symbol("C"),
        right,
        f"constant of the direction with ell = {attractor.value or f'{value:.15g}'}",
        assumptions=(
            f"the direction is critical: {attractor.critical}, it attracts"
            f"{' from one side' if one_sided else ''}: {attractor.attracts}",
            f"no other attractor: {others}{why and f' ({why})'};"
            f" of all directions {attractor.share:.0%} lead here",
        ),
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
        log_decay=None if attractor.order is None else log_decay(attractor.order),
        share=attractor.share,
        direction=tuple((slow @ attractor.direction).tolist()),
        evidence=MappingProxyType(evidence),
    )
    return law, step


def _shown(measured: Measured, attractor: Attractor, degree: sp.Rational) -> float | None:
    """Constant that the loss itself shows; NaN where it is lower beside the direction."""
    z = attractor.direction
    value = measured.value(attractor.precise or z.tolist())
    if value is None or not value > 0:
        return None if value is None else math.nan
    bordered = attractor.bordered
    # On a cone others may leave.
    if len(z) > 1 and not bordered.cone:
        metric = np.array(bordered.metric, dtype=float)
        hessian = derivatives(bordered.form, bordered.z, DOUBLES).second(z)
        lowest = lowest_aside(hessian, metric, z)
        asides = [v / np.sqrt(v @ metric @ v) for v in attractor.toward] or [lowest, -lowest]
        if any(measured.lower_beside(z, aside) for aside in asides):
            return math.nan
    return float(constant(degree, sp.Float(value, 17)))


def lowest_aside(hessian: Vector, metric: Vector, z: Vector) -> Vector:
    """Vector of length one, at right angles to `z`, in which a Hessian is lowest."""
    root = np.linalg.cholesky(metric).T
    back = np.linalg.inv(root)
    across = back @ np.linalg.svd((root @ z)[None, :])[2][1:].T
    _, vectors = np.linalg.eigh(across.T @ hessian @ across)
    return np.asarray(across @ vectors[:, 0])


def valley_law(valley: Valley, known: Mapping[str, Evidence]) -> Law:
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
    bordered = attractor.bordered
    return float(derivatives(bordered.form, bordered.z, DOUBLES).first(attractor.direction)[0])
