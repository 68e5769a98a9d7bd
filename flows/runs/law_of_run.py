"""The late-time law of a run: at the minimiser that it is near to, and which of several it follows.

A run is followed from its last state on by the flow of the leading form, ``z' = -G^-1 grad ell_p``:
that says to which attracting direction it goes, when it gets there, and from when on the law holds
to a given accuracy.
"""

from __future__ import annotations

import math
from dataclasses import replace
from types import MappingProxyType
from typing import Any

import numpy as np
from numpy.typing import NDArray

from flows.core.minimiser import Approach, Escape, Escapes, Minimiser
from flows.core.system import System
from flows.runs.late_law import SINCE, LateLaw
from flows.runs.law_at_minimiser import in_units, law_at_minimiser
from flows.runs.leading_flow import CLOSE, Course, doubt, follow
from flows.runs.rates import FLOOR
from flows.runs.regime import late_regime
from flows.runs.trajectory import Trajectory
from symbolic.asymptotics.escape import escape_law
from symbolic.asymptotics.law import LateTimeLaw, Law
from symbolic.asymptotics.refusal import NoLaw
from symbolic.evidence.identity import Evidence

# A rate at the end of a run is that of its law to this.
RATE = 1e-3
# A loss above its limit is read from the difference of both where it is this part of the limit.
TOLD = 1e-10
# The loss at the end of a run in a valley is that of the valley's law to this.
VALLEY = 0.1
# A run is on a cone if by its conserved quantities it stays for so many times its time.
AWAY = 10.0
EARLY = "no late regime of the run is seen"
# Closed forms with more characters are digits, not formulas.
READABLE = 60
# Part of a run's time before which it is followed for when its law begins.
EARLIER = 1e-4
# The form at the end of a run differs by less than this from its value at the attractor.
ARRIVED = 1e-3
# A curvature of the form that is larger, relative to its value, is of a converged direction.
STEEP = 1.0


def law_of_run(
    run: Trajectory, confined: bool | None, valleys: bool | None, log_terms: bool
) -> LateLaw:
    """Law at the minimiser that a run is near to, and which of several it is.

    A run in a subspace that the flow keeps has the law of the flow in it, where it has no other.
    """
    found = _in_all_entries(run, confined, valleys, log_terms)
    if found.chosen is not None or run.system.no_law or run.inside is None:
        return found
    inner, inside = run.inside
    law = _in_all_entries(inner, confined, valleys, log_terms)
    if law.chosen is None:
        return found
    note = f"the law in a subspace that the flow keeps: {inside.said}; runs beside it may leave"
    name, parameters, at = run.system.name, run.system.parameters, inside.lift(law.at)
    return LateLaw(name, parameters, at, law.derived, law.since, law.arrives, (*law.notes, note))


def _in_all_entries(
    run: Trajectory, confined: bool | None, valleys: bool | None, log_terms: bool
) -> LateLaw:
    """Law at the minimiser of all entries."""
    system, regime = run.system, late_regime(run)

    def refused(reason: str) -> LateLaw:
        where, nothing = run.state_at(-1), LateTimeLaw((), reason)
        return LateLaw(system.name, system.parameters, where, nothing)

    if system.no_law:
        return refused(system.no_law)
    last, end = run.states.at(-1), float(run.t[-1])
    if (escape := system.escape(run.frame, last)) is not None:
        return _escaping(system, run.state_at(-1), escape)
    # An exponential fall looks the same before a slower tail: the law at the limit says if one can
    # follow.
    if not regime.begun and "exponentially" not in regime.reason:
        return refused(f"{EARLY}: {regime.reason}")
    try:
        approach = system.approach(run.frame, last, end)
        if approach is None:
            return refused(
                f"the minimiser of a run of {system.name} is not read off; give it with at"
            )
        minimiser = approach.minimiser or system.minimiser(approach.where)
    except Escapes as away:
        found, gap = _running(run, _escaping(system, run.state_at(-1), away.escape))
        return refused(f"{EARLY}: {gap}") if gap else found
    except NoLaw as reason:
        return refused(str(reason) if regime.begun else f"{EARLY}: {regime.reason}")
    found = _readable(
        law_at_minimiser(system, minimiser, confined, valleys, log_terms, arrives=True)
    )
    law = found.derived
    if not law.laws:
        return found
    if law.laws[0].kind == "exponential":
        rate, (measured, last) = law.laws[0].rate or math.nan, _rate(run, float(law.limit or 0))
        if abs(measured - rate) <= RATE * rate:
            return replace(found, since=last / 2)
        if math.isnan(measured):
            return refused("how the loss falls to its limit is not known from states in doubles")
        if regime.kind == "power":
            return refused(
                "the loss falls like a power of time, which curvature at the limit that was found"
                " does not explain: that limit is not resolved; give the minimiser with at"
            )
        return refused(
            f"the loss falls with the rate {measured:.4g}, from most starts in the end with"
            f" {rate:.4g}: the states do not show whether they have a part in the slower direction"
        )
    if not regime.begun:
        return refused(f"{EARLY}: {regime.reason}")
    if not all(one.direction for one in law.laws):
        found = _in_valley(found, run)
        chosen = found.chosen is not None
        return _nearing(found, run, approach) if minimiser.guessed and chosen else found
    clock = float(minimiser.time_unit)
    course = follow(law, approach.deviation, clock * end, blur=approach.blur)
    if course is not None and course.leaves < clock * end * AWAY:
        return refused(
            f"{EARLY}: it passes beside a saddle, by conserved quantities that are not zero, and"
            f" will have left by t = {course.leaves / clock:.3g}"
        )
    if minimiser.guessed and not (found := _nearing(found, run, approach)).laws:
        return found
    # The law's own corrections, log t/t, are small from SINCE on; those of the direction and of the
    # origin of time are seen by following an earlier state.
    early = int(np.searchsorted(run.t, max(regime.since, end * EARLIER)))
    time = float(run.t[early])
    try:
        before = system.approach(run.frame, run.states.at(early), time)
    except NoLaw:  # then the run was still far away
        before = None
    earlier = follow(law, before.deviation, clock * time, clock * end) if before else None
    since = math.inf if earlier is None else max(SINCE, earlier.since / clock)
    unsure = ""
    if course is not None and (course.gap > ARRIVED or course.lowest < STEEP):
        unsure = doubt(law, course, earlier, approach.deviation, clock * end, end / time)
    found = _on_course(found, course, unsure, clock, end)
    return replace(found, since=max(since, _agreeing(found, run, earlier)))


def _agreeing(found: LateLaw, run: Trajectory, earlier: Course | None) -> float:
    """Time by which the loss agrees with its law, as orders beyond the form have changed it so far.

    Their effect falls like a power of the distance, at least the first one: ``t^(-1/(p - 2))``.
    """
    law, end = found.derived, float(run.t[-1])
    if found.chosen is None or earlier is None or not (one := law.laws[found.chosen]).constant:
        return 0.0
    scaled = end ** float(one.exponent or 0) * float(_above(run, float(law.limit or 0))[-1])
    off = abs(scaled / one.constant / earlier.passed - 1)
    return end * (off / CLOSE) ** (float(law.degree or 0) - 2) if off > CLOSE else 0.0


def _in_valley(found: LateLaw, run: Trajectory) -> LateLaw:
    """Law of the valley that the run's loss shows, of several with their own powers of time."""
    law, end = found.derived, float(run.t[-1])
    excess = float(_above(run, float(law.limit or 0))[-1])
    off = [
        abs(end ** float(one.exponent or 0) * excess / one.constant - 1)
        if one.constant
        else math.inf
        for one in law.laws
    ]
    best = int(np.argmin(off))
    if off[best] > VALLEY:
        note = "the run has reached none of these valleys yet, so its law is not chosen"
        return replace(found, arrives=math.inf, notes=(*found.notes, note))
    return replace(found, derived=replace(law, chosen=best, laws=_seen(law.laws, best)))


def _nearing(found: LateLaw, run: Trajectory, approach: Approach) -> LateLaw:
    """Law of a valley whose limit is a guess, if the run's last state confirms it; else none.

    The distance to a limit falls like ``t^-(q-1)/2`` where the loss falls like ``t^-q``; the
    distance to any other point does not.
    """
    away = approach.deviation
    slope = np.asarray(run.system.gradient(run.state_at(-1))).ravel()
    measured = float(run.t[-1] * (away @ slope) / (away @ away))
    expected = float((found.laws[found.chosen or 0].exponent or 1) - 1) / 2
    said = f"falls like t^-{measured:.4g}, by the law like t^-{expected:.4g}"
    if abs(measured - expected) <= VALLEY * expected:
        note = f"measured at its end: the distance to that point {said}"
        return replace(found, notes=(*found.notes, note))
    reason = f"{EARLY}: the distance to the point that it may go to {said}"
    return replace(found, derived=LateTimeLaw((), reason))


def _seen(laws: tuple[Law, ...], chosen: int | None) -> tuple[Law, ...]:
    """Laws of which the chosen one says how it was chosen."""
    return tuple(
        replace(law, evidence=MappingProxyType({**law.evidence, "this run": Evidence.SAMPLED}))
        if k == chosen
        else law
        for k, law in enumerate(laws)
    )


def _escaping(system: System, where: NDArray[Any], escape: Escape) -> LateLaw:
    """Law of a run that goes to infinity."""
    derived = escape_law(escape.loss, escape.radius, escape.mass)
    # log(time_unit t) ~ log t
    derived = in_units(derived, Minimiser(where, None, time_unit=escape.time_unit))
    return _readable(LateLaw(system.name, system.parameters, where, derived, notes=escape.remarks))


def _running(run: Trajectory, found: LateLaw) -> tuple[LateLaw, str]:
    """Law of a run to infinity, of which its loss shows the power of time; or why it does not."""
    if not found.laws:
        return found, ""
    one, end, limit = found.laws[0], float(run.t[-1]), float(found.derived.limit or 0)
    above = float(run["loss"][-1]) - limit
    if above <= TOLD * abs(limit):
        return (
            found,
            f"the loss ends at {run['loss'][-1]:.10g}, its limit on that way is {limit:.10g}",
        )
    measured = -end * float(run.quantities["loss_dot"][-1] / above)
    # With a power of log t the local exponent is off by that power over log t.
    expected = float(one.exponent or 0) + float(one.log_exponent or 0) / math.log(max(end, math.e))
    said = f"the loss falls like t^-{measured:.4g}, by the law like t^-{expected:.4g}"
    if not abs(measured - expected) <= VALLEY * expected:
        return found, said
    derived = replace(found.derived, chosen=0, laws=_seen(found.laws, 0))
    return replace(found, derived=derived, notes=(*found.notes, f"at its end {said}")), ""


def _above(run: Trajectory, limit: float) -> NDArray[Any]:
    """Loss above the limit of a law: no difference of two numbers that are nearly equal."""
    return np.array(run["loss"] if limit == 0 else run["excess"])


def _rate(run: Trajectory, limit: float) -> tuple[float, float]:
    """Rate of the fall of the loss to its limit, and the last time at which it is known."""
    above = _above(run, limit)
    known = np.flatnonzero(above > FLOOR)
    if not len(known):
        return math.nan, math.nan
    last = known[-1]
    return -float(run.quantities["loss_dot"][last] / above[last]), float(run.t[last])


def _readable(found: LateLaw) -> LateLaw:
    """Law without closed forms that hold the digits of a run."""
    laws = tuple(
        replace(law, constant_exact=None, constant_radius=math.nan)
        if law.constant_exact is not None and len(str(law.constant_exact)) > READABLE
        else law
        for law in found.laws
    )
    return replace(found, derived=replace(found.derived, laws=laws))


def _on_course(
    found: LateLaw, course: Course | None, unsure: str, clock: float, end: float
) -> LateLaw:
    """Law to which the run's direction leads, and how far it still has to go."""
    if course is None:
        note = "the direction of the run is not resolved, so its law is not chosen"
        return replace(found, arrives=math.inf, notes=(*found.notes, note))
    law = found.derived
    notes = list(found.notes)
    arrives, chosen = course.arrives / clock, None
    if course.law is not None and unsure:
        notes.append(f"the law that the run's direction leads to is not chosen: {unsure}")
    elif course.law is not None:
        chosen = course.law
        if course.gap > ARRIVED:
            notes.append(_on_the_way(law.laws[chosen], course, end, arrives))
    else:
        notes.append(
            "to its digits the run goes to no attractor: it stays at a saddle of the leading form,"
            " as runs with coincident or symmetric starts do"
            if course.falls
            else "the run goes to a direction in which the form has the value"
            f" {course.value:.6g}; it is not known whether this direction attracts"
        )
    if course.leaves < math.inf:
        notes.append(
            "the run keeps the cone while its conserved quantities are zero; to its digits they are"
            f" until t = {course.leaves / clock:.1g}"
        )
    return replace(
        found,
        derived=replace(law, chosen=chosen, laws=_seen(law.laws, chosen)),
        arrives=math.inf if chosen is None else 0.0 if course.gap <= ARRIVED else arrives,
        notes=tuple(notes),
    )


def _on_the_way(law: Law, course: Course, end: float, arrives: float) -> str:
    """How far a run's direction is from that of its law, and why it is still on its way."""
    percent = float(f"{100 * course.gap:.2g}")
    when = f"by t = {arrives:.3g}" if arrives < math.inf else "later than in sixty decades"
    if course.beside:
        return (
            f"at its end, t = {end:.3g}, the run is still beside a saddle of the leading form,"
            f" whose value differs from the law's by {percent:g}%; it will have left {when}"
        )
    slowly = "" if law.log_decay is None else f", which falls like (log t)^-{law.log_decay}"
    return (
        f"at its end, t = {end:.3g}, the run's direction is still on its way: the form's value"
        f" differs from the law's by {percent:g}%{slowly}; it will differ by 0.1% {when}"
    )
