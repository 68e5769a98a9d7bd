r"""The late-time law of a system at a minimiser, or of a run: which of several it follows.

.. math:: L - L^* \sim C \, t^{-p/(p-2)}

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
import sympy as sp
from numpy.typing import NDArray

from flows.core.errors import InputError
from flows.core.minimiser import Approach, Escape, Escapes, Minimiser
from flows.core.system import System
from flows.runs.late_law import SINCE, LateLaw
from flows.runs.leading_flow import Course, follow
from flows.runs.rates import FLOOR
from flows.runs.regime import late_regime
from flows.runs.trajectory import Trajectory
from symbolic.asymptotics.decimals import in_decimals, law_in_decimals
from symbolic.asymptotics.derive import law_at
from symbolic.asymptotics.escape import escape_law
from symbolic.asymptotics.law import LateTimeLaw, Law
from symbolic.asymptotics.refusal import NO_POLYNOMIAL, NoLaw
from symbolic.evidence.identity import Evidence

__all__ = ["late_time_law"]

# A gradient in doubles below this, relative to the Hessian, is that of a critical point.
CRITICAL = 1e-9
# Eigenvalues below this, relative to the largest, are those of the kernel.
KERNEL = 1e-9
# A rate at the end of a run is that of its law to this.
RATE = 1e-3
# The loss at the end of a run in a valley is that of the valley's law to this.
VALLEY = 0.1
# A run is on a cone if by its conserved quantities it stays for so many times its time.
AWAY = 10.0
SUMMED = "in decimals: the expectation is a sum over nodes"
EARLY = "the run has not reached its late regime"
# Closed forms with more characters are digits, not formulas.
READABLE = 60
# Part of a run's time before which it is followed for when its law begins.
EARLIER = 1e-4
# The form at the end of a run differs by less than this from its value at the attractor.
ARRIVED = 1e-3


def late_time_law(
    subject: System | Trajectory,
    at: Any = None,
    *,
    confined: bool | None = None,
    valleys: bool | None = None,
    log_terms: bool = True,
) -> LateLaw:
    r"""Derive the late-time law of a system at a minimiser, or of a run.

    .. math:: L - L^* \sim C \, t^{-p/(p-2)} \quad \text{or} \quad \log(L - L^*) \sim -2 \lambda t

    Parameters
    ----------
    subject : System or Trajectory
        A system with a minimiser, or a run, whose minimiser is read off.
    at : array_like, optional
        The minimiser in the user's parameters: neurons along the teacher, means at the target,
        layers. Without it the system's own family is used where one point serves.
    confined : bool, optional
        The law on the invariant cone of conserved quantities, see `symbolic.late_time_law`: for
        layers that fail to factorise, without a balancing term. A run that arrives is on it, so
        of a run it is decided by itself.
    valleys : bool, optional
        Follow zeros of the leading form, see `symbolic.late_time_law`.
    log_terms : bool
        Whether the next term of a power law is derived too, which takes a third of the time.

    Returns
    -------
    LateLaw
        Its `laws`, the `chosen` one, and `claims()` for `flows.check`; no laws and a `reason`
        where none is derived.

    Raises
    ------
    InputError
        For a minimiser of another shape, a system with many minimisers and none given, and a run
        together with a minimiser.

    Notes
    -----
    Units: the user's; `t` is the time of ``dw/dt = -grad L``.
    Source: Adams & Simon 1988; Choi & Hung 2024, arXiv 2405.17510; the constants are derived here.
    Accuracy: exact, but for limits that are no simple fractions, and for expectations over one
    number of what is no polynomial: these are in decimals, and every step is SAMPLED.

    Examples
    --------
    >>> import flows
    >>> system = flows.ReLUNeuron(n=2, d=2)
    >>> print(flows.late_time_law(system, at=[[0.25, 0], [0.75, 0]]))
    L - L* ~ 0.92527541 t^-3, C = 3*pi**2/32
    """
    if isinstance(subject, Trajectory):
        if at is not None:
            raise InputError(
                "at: expected none beside a run, whose minimiser is read off; leave it"
            )
        return _of_run(subject, confined, valleys, log_terms)
    if not isinstance(subject, System):
        raise InputError(f"expected a system or a run, got {type(subject).__name__}")
    try:
        minimiser = subject.minimiser(at)
    except NoLaw as reason:
        where = np.asarray(at, dtype=complex if np.iscomplexobj(at) else float)
        return LateLaw(subject.name, subject.parameters, where, LateTimeLaw((), str(reason)))
    except InputError:
        raise
    except ValueError as problem:  # of an expression, which knows no user
        raise InputError(f"at: {problem}") from None
    return _at(subject, minimiser, confined, valleys, log_terms)


def _at(
    system: System,
    minimiser: Minimiser,
    confined: bool | None,
    valleys: bool | None,
    log_terms: bool,
    arrives: bool = False,
) -> LateLaw:
    if minimiser.point is None:
        derived = _numerical(system, minimiser)
    elif in_decimals(minimiser.point):
        derived = law_in_decimals(minimiser.point)
    else:
        derived = law_at(
            minimiser.point,
            confined=confined,
            valleys=valleys,
            symmetries=minimiser.symmetries,
            log_terms=log_terms,
            arrives=arrives,
        )
        derived = _in_units(derived, minimiser)
    notes = minimiser.remarks
    if derived.reason == NO_POLYNOMIAL and minimiser.summed is not None:
        try:
            derived, notes = law_in_decimals(minimiser.summed()), (*notes, SUMMED)
        except NoLaw as reason:
            derived = LateTimeLaw((), str(reason))
    return LateLaw(system.name, system.parameters, minimiser.where, derived, notes=notes)


def _in_units(derived: LateTimeLaw, minimiser: Minimiser) -> LateTimeLaw:
    """Laws of the user's loss and time."""
    unit, clock = minimiser.loss_unit, minimiser.time_unit
    if (unit == 1 and clock == 1) or not derived.laws:
        return derived

    def scaled(law: Law) -> Law:
        if law.kind == "exponential":
            rate = None if law.rate is None else law.rate * float(clock)
            exact = None if law.rate_exact is None else law.rate_exact * clock
            return replace(law, rate=rate, rate_exact=exact)
        assert law.exponent is not None
        factor = unit * clock**-law.exponent
        exact = None if law.constant_exact is None else sp.simplify(law.constant_exact * factor)
        number = None if law.constant is None else law.constant * float(factor)
        if exact is not None:
            number = float(exact.evalf(30))
        radius = law.constant_radius * float(factor)
        ball = law.constant_ball if factor == 1 else ""
        return replace(
            law,
            constant=number,
            constant_exact=exact,
            constant_radius=radius,
            constant_ball=ball,
            log_term=None if law.log_term is None else law.log_term / clock,
        )

    limit = None if derived.limit is None else derived.limit * unit
    return replace(derived, laws=tuple(map(scaled, derived.laws)), limit=limit)


def _numerical(system: System, minimiser: Minimiser) -> LateTimeLaw:
    """Rate from the Hessian in doubles, where the dimension of the family is known."""
    where = minimiser.where
    slope, values = system.gradient(where), np.linalg.eigvalsh(system.hessian(where))
    largest = float(np.abs(values).max())
    if float(np.abs(slope).max()) > CRITICAL * largest * max(1.0, float(np.abs(where).max())):
        return LateTimeLaw(
            (), f"the point is not critical: its gradient has an entry {np.abs(slope).max():.3g}"
        )
    flat = np.abs(values) <= KERNEL * largest
    if values[0] < -KERNEL * largest:
        return LateTimeLaw((), "the Hessian has a negative eigenvalue: the point is a saddle")
    if int(flat.sum()) != minimiser.tangents:
        return LateTimeLaw(
            (),
            f"the Hessian has a kernel of dimension {int(flat.sum())} in doubles, the family"
            f" {minimiser.tangents}: give a minimiser in simple fractions",
        )
    law = Law(
        "exponential",
        rate=2 * float(values[~flat].min()),
        evidence=MappingProxyType(
            {
                "critical point": Evidence.SAMPLED,
                "Hessian": Evidence.SAMPLED,
                "rate": Evidence.SAMPLED,
            }
        ),
    )
    kernel = (int(flat.sum()), 0, int((~flat).sum()))
    value = system.loss(where)
    # A loss of the size of a squared rounding is that of a minimiser at zero.
    limit = sp.S.Zero if value <= CRITICAL**2 * largest else sp.Float(value, 17)
    notes = ("computed in doubles, because the coordinates of the point are no simple fractions",)
    return LateTimeLaw((law,), limit=limit, kernel=kernel, notes=notes)


def _of_run(
    run: Trajectory, confined: bool | None, valleys: bool | None, log_terms: bool
) -> LateLaw:
    """Law at the minimiser that a run is near to, and which of several it is."""
    system, regime = run.system, late_regime(run)

    def refused(reason: str, where: Any = None) -> LateLaw:
        place = run.state_at(-1) if where is None else where
        return LateLaw(system.name, system.parameters, place, LateTimeLaw((), reason))

    last, end = run.states.at(-1), float(run.t[-1])
    if (gone := system.escape(run.frame, last)) is not None:
        return _escaping(system, run.state_at(-1), gone)
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
        found, gap = _running(run, _escaping(system, run.state_at(-1), away.gone))
        return refused(f"{EARLY}: {gap}") if gap else found
    except NoLaw as reason:
        return refused(str(reason) if regime.begun else f"{EARLY}: {regime.reason}")
    found = _readable(_at(system, minimiser, confined, valleys, log_terms, arrives=True))
    law = found.derived
    if not law.laws:
        return found
    if law.laws[0].kind == "exponential":
        rate, (measured, last) = law.laws[0].rate or math.nan, _rate(run, float(law.limit or 0))
        if abs(measured - rate) <= RATE * rate:
            return replace(found, since=last / 2)
        if math.isnan(measured):
            return refused("how the loss falls to its limit is not known from states in doubles")
        return refused(
            f"{EARLY}: the loss falls with the rate {measured:.4g}, in the end it will be"
            f" {rate:.4g}"
        )
    if not regime.begun:
        return refused(f"{EARLY}: {regime.reason}")
    if not all(one.direction for one in law.laws):
        found = _in_valley(found, run)
        return _nearing(found, run, approach) if minimiser.guessed else found
    clock = float(minimiser.time_unit)
    course = follow(law, approach.deviation, clock * end)
    if course is not None and course.leaves < clock * end * AWAY:
        return refused(
            f"{EARLY}: it passes beside a saddle, by conserved quantities that are not zero, and"
            f" will have left by t = {course.leaves / clock:.3g}"
        )
    # The law's own corrections, log t/t, are small from SINCE on; those of the direction and of the
    # origin of time are seen by following an earlier state.
    early = int(np.searchsorted(run.t, max(regime.since, end * EARLIER)))
    time = float(run.t[early])
    try:
        before = system.approach(run.frame, run.states.at(early), time)
    except NoLaw:  # then the run was still far away
        before = None
    earlier = follow(law, before.deviation, clock * time) if before else None
    since = math.inf if earlier is None else max(SINCE, earlier.since / clock)
    return replace(_on_course(found, course, clock, end), since=since)


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
        note = "the run's loss is that of none of these valleys yet, so its law is not chosen"
        return replace(found, notes=(*found.notes, note))
    return replace(found, derived=replace(law, chosen=best, laws=_seen(law.laws, best)))


def _nearing(found: LateLaw, run: Trajectory, approach: Approach) -> LateLaw:
    """Law of a valley whose limit is a guess, if the run's last state confirms it; else none.

    The distance to a limit falls like ``t^-(q-1)/2`` where the loss falls like ``t^-q``; the
    distance to any other point does not.
    """
    if found.chosen is None:
        return found
    away = approach.deviation
    slope = np.asarray(run.system.gradient(run.state_at(-1))).ravel()
    measured = float(run.t[-1] * (away @ slope) / (away @ away))
    expected = float((found.laws[found.chosen].exponent or 1) - 1) / 2
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


def _escaping(system: System, where: NDArray[Any], gone: Escape) -> LateLaw:
    """Law of a run that goes to infinity."""
    derived = escape_law(gone.loss, gone.radius, gone.mass)
    # log(time_unit t) ~ log t
    derived = _in_units(derived, Minimiser(where, None, time_unit=gone.time_unit))
    return LateLaw(system.name, system.parameters, where, derived, notes=gone.remarks)


def _running(run: Trajectory, found: LateLaw) -> tuple[LateLaw, str]:
    """Law of a run to infinity, of which its loss shows the power of time; or why it does not."""
    if not found.laws:
        return found, ""
    one, end = found.laws[0], float(run.t[-1])
    measured = -end * float(run.quantities["loss_dot"][-1] / run["loss"][-1])
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


def _on_course(found: LateLaw, course: Course | None, clock: float, end: float) -> LateLaw:
    if course is None:
        note = "the direction of the run is not resolved, so its law is not chosen"
        return replace(found, notes=(*found.notes, note))
    law = found.derived
    near = [abs(v - course.value) <= ARRIVED * course.value for v in course.values]
    chosen = near.index(True) if any(near) else None
    notes = list(found.notes)
    arrives = course.arrives / clock
    if chosen is None:
        notes.append(
            "the run goes to no attractor: it stays at a saddle of the leading form, as runs with"
            " coincident or symmetric starts do"
        )
    elif course.gap > ARRIVED:
        percent = float(f"{100 * course.gap:.2g}")
        notes.append(
            f"at its end, t = {end:.3g}, the run is still beside a saddle of the leading form,"
            f" whose value is off that of the law by {percent:g}%; it will have left by"
            f" t = {arrives:.3g}"
        )
    if course.leaves < math.inf:
        notes.append(
            "the run keeps the cone while its conserved quantities are zero; to its digits they are"
            f" until t = {course.leaves / clock:.1g}"
        )
    return replace(
        found,
        derived=replace(law, chosen=chosen, laws=_seen(law.laws, chosen)),
        arrives=0.0 if course.gap <= ARRIVED else arrives,
        notes=tuple(notes),
    )
