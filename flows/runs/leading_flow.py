r"""The flow of a leading form from a state of a run on, in logarithmic time.

.. math:: \frac{d \omega}{d \log t} = - u \nabla_S \ell(\omega), \qquad
          \frac{d \log u}{d \log t} = 1 - p (p-2) \ell(\omega) u, \qquad u = t \rho^{p-2}

with the length `rho` and the direction `omega` of the slow variables; `u` tends to
``1/(p (p-2) ell)``.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, field

import numpy as np
import sympy as sp
from numpy.typing import NDArray

from flows.core.arrays import Array
from symbolic.asymptotics.law import LateTimeLaw
from symbolic.asymptotics.sphere import Form, form_of

__all__ = ["CLOSE", "Course", "doubt", "follow"]

# Decades that a run is followed beyond its end.
DECADES = 60.0
# Deviations from the law that count: of the claims, and of the form's value at the attractor.
CLOSE, ARRIVED = 5e-5, 1e-3
# A form that is lower by this, relative, is lower.
LOWER = 1e-6
# Beside a direction the form is looked at under this angle.
ASIDE = 0.05
# The rest of a direction's drift may be larger by this factor than its power of time says.
SAFETY = 2.0
# Steps on the sphere see slopes of the form down to this one, and a direction is known to the
# deviation that makes it: beside a minimum the slope is linear in the deviation `a`, and without
# curvature it goes like a^(k-1).
SEEN = 1e-13
# A direction with a larger part outside the slow directions is none: the run is not near.
OUTSIDE = 0.1


@dataclass(frozen=True)
class Course:
    """Where the leading form's flow leads.

    Parameters
    ----------
    value : float
        Value of the form in the end.
    law : int or None
        Place of the law to which it leads; None if to none of them.
    gap : float
        By how much the value at the start is larger, relative.
    arrives : float
        Time by which the gap is below 1e-3.
    since : float
        Time from which the loss is within 5e-5 of its law.
    leaves : float
        Time by which conserved quantities that are not quite zero make the run leave its cone;
        infinite where there is no cone.
    start, passes : ndarray
        Directions at the start, and at the later time that was asked for.
    across : ndarray
        Direction at right angles to that of the start, in which the form is curved least.
    lowest : float
        That curvature, relative to the form's value.
    passed : float
        The loss of the form at the later time, in units of the law.
    beside : bool
        Whether the start's value is nearer to that of a saddle of the form than to the last one.
    falls : bool
        Whether the form is lower beside the direction to which it leads.
    """

    value: float
    law: int | None
    gap: float
    arrives: float
    since: float
    leaves: float = math.inf
    start: Array = field(default_factory=lambda: np.zeros(0))
    passes: Array = field(default_factory=lambda: np.zeros(0))
    across: Array = field(default_factory=lambda: np.zeros(0))
    lowest: float = math.nan
    passed: float = math.nan
    beside: bool = False
    falls: bool = False


def follow(
    law: LateTimeLaw, deviation: Array, time: float, until: float | None = None, blur: float = 0.0
) -> Course | None:
    """Follow the leading form from a deviation from the minimiser.

    Parameters
    ----------
    law : LateTimeLaw
        With its form; constants may be in other units.
    deviation : ndarray, shape (N,)
        In the entries of the law's point.
    time : float
        In the units of the point.
    until : float, optional
        A later time, at which `passes` and `passed` are given; `time` by default.
    blur : float
        How far the deviation may be off: one that is no farther from a saddle of the form stays.

    Returns
    -------
    Course or None
        None where the deviation does not lie in the slow directions.
    """
    from scipy.integrate import solve_ivp

    assert law.form is not None and law.slow is not None and law.metric is not None
    slow, metric = (np.array(m, dtype=float) for m in (law.slow, law.metric))
    z = np.linalg.solve(metric, slow.T @ deviation)
    length = float(np.sqrt(z @ metric @ z))
    if not length > 0 or np.linalg.norm(slow @ z - deviation) > OUTSIDE * np.linalg.norm(deviation):
        return None
    p = float(law.degree or 0)
    names = tuple(sp.Symbol(f"z{k + 1}", real=True) for k in range(slow.shape[1]))
    form = form_of(law.form, names, p, law.metric, law.cone)
    inverse = np.linalg.inv(metric)

    def flow(_: float, state: Array) -> Array:
        log_u = state[-1]
        # Off the cone of conserved quantities, rounding would grow.
        omega = form.on_cone(state[:-1])
        value, slope = form.value(omega)
        u = math.exp(min(log_u, 700.0))
        turn = inverse @ slope - p * value * omega
        return np.concatenate([-u * turn, [1 - p * (p - 2) * value * u]])

    start = np.concatenate(
        [form.on_cone(z / length), [math.log(time) + (p - 2) * math.log(length)]]
    )
    seen = math.log((until or time) / time)
    decades = np.union1d(np.linspace(0, DECADES * math.log(10), 2000), [seen])
    found = solve_ivp(flow, (0, decades[-1]), start, "LSODA", decades, rtol=1e-9, atol=1e-12)
    if not found.success:
        return None
    omegas = found.y[:-1].T
    values = np.array([form.value(form.on_cone(w))[0] for w in omegas])
    log_u = found.y[-1]
    goes = form.descended(omegas[-1])
    end = float(form.value(goes)[0])
    if not (values > 0).all() or end <= 0:
        return None
    # L = ell rho^p, against C t^(-p/(p-2)) with the value at the end.
    scaled = values * np.exp(p / (p - 2) * log_u)
    limit = end * (p * (p - 2) * end) ** (-p / (p - 2))
    times = time * np.exp(decades)
    gaps = values / end - 1
    known = [np.linalg.solve(metric, slow.T @ np.array(one.direction)) for one in law.laws]
    lowest, across = _least_curved(form, omegas[0])
    _, aside = _least_curved(form, goes)
    near = [form.on_cone(goes + sign * ASIDE * aside) for sign in (1, -1)]
    # As a parabola the form rises by this to the saddle, which is so far away.
    steep = abs(float(form.value(omegas[0])[1] @ across))
    rise, apart = (
        steep**2 / (2 * abs(lowest) + math.ulp(0.0)),
        steep / (abs(lowest) + math.ulp(0.0)),
    )
    # Where minima are a surface, curvature along it is rounding.
    saddle = lowest < -2 * LOWER / ASIDE**2 * end
    stays = saddle and apart * float(np.linalg.norm(deviation)) <= blur
    last = found.y[:, np.searchsorted(decades, seen)]
    return Course(
        end,
        None
        if stays
        else next((k for k, w in enumerate(known) if form.same(form.normalised(w), goes)), None),
        float(gaps[0]),
        _last(times, np.abs(gaps) > ARRIVED),
        _last(times, np.abs(scaled / limit - 1) > CLOSE),
        _leaves(form, z, time),
        omegas[0],
        form.on_cone(last[:-1]),
        across,
        lowest / end,
        form.value(form.on_cone(last[:-1]))[0] * math.exp(p / (p - 2) * last[-1]) / limit,
        lowest < 0 and bool(rise < values[0] - end),
        stays or min(float(form.value(w)[0]) for w in near) < end * (1 - LOWER),
    )


def doubt(
    law: LateTimeLaw,
    course: Course,
    before: Course | None,
    deviation: Array,
    time: float,
    ratio: float,
) -> str:
    """Why it is not known where a run's direction leads; empty if it is.

    The flow of the form from an earlier state passes beside the run, as higher orders have moved
    the run since. Their effect falls like a power of time, and is smaller in all the time that is
    left. So directions that are off by as much, where the form is curved least, must lead to the
    same value.

    Parameters
    ----------
    law : LateTimeLaw
        As in `follow`.
    course, before : Course
        From the state on, and from an earlier one, which passes the time of the state.
    deviation : ndarray
        The state's.
    time, ratio : float
        Its time, in the units of the point, and in units of the earlier state's time.

    Returns
    -------
    str
        The reason, or nothing.
    """
    if before is None or not ratio > 1:
        return "how well it is known is not seen, for at earlier times it is not near"
    slow, metric = np.array(law.slow, dtype=float), np.array(law.metric, dtype=float)
    z = np.linalg.solve(metric, slow.T @ deviation)
    off = course.start - before.passes
    drift = float(np.sqrt(off @ metric @ off))
    # |z| ~ t^(-1/(p-2)), and the drift with it.
    error = SAFETY * drift / min(1.0, ratio ** (1 / (float(law.degree or 0) - 2)) - 1)
    decay = None if course.law is None else law.laws[course.law].log_decay
    # k = 2 q/(q - 1)
    error = max(error, SEEN**0.5 if decay is None else SEEN ** float((decay - 1) / (decay + 1)))
    length = float(np.sqrt(z @ metric @ z))
    for axis in (course.across, off / max(drift, SEEN))[: len(z) - 1]:
        for side in (error, -error):
            beside = follow(law, slow @ (length * (course.start + side * axis)), time)
            if beside is None or beside.law != course.law:
                there = math.nan if beside is None else beside.value
                return (
                    f"it is known to {error:.1g}, and so near to it others lead to another value of"
                    f" the form, {there:.6g} instead of {course.value:.6g}"
                )
    return ""


def _least_curved(form: Form, z: Array) -> tuple[float, Array]:
    """Least curvature of the form on its sphere, and in which direction of length one."""
    basis = form.transverse(z)
    if not basis.shape[1]:
        return math.inf, np.zeros_like(z)
    curved = basis.T @ form.hessian(z) @ basis - form.degree * form.value(z)[0] * np.eye(
        basis.shape[1]
    )
    values, axes = np.linalg.eigh(curved)
    return float(values[0]), np.asarray(basis @ axes[:, 0])


def _leaves(form: Form, z: Array, time: float) -> float:
    """When the slow variables are as small as their conserved quantities: z falls, they do not."""
    sizes = [np.abs(np.linalg.eigvalsh(q)).max() for q in form.cone]
    off = [abs(z @ q @ z) / s for q, s in zip(form.cone, sizes, strict=True)]
    ratio = max(off, default=0.0) / float(z @ form.metric @ z)
    # |z|^2 ~ t^(-2/(p-2))
    return time * ratio ** (1 - form.degree / 2) if ratio > 0 else math.inf


def _last(times: Array, off: NDArray[np.bool_]) -> float:
    """First time after the last one at which something is off."""
    if not off.any():
        return float(times[0])
    last = int(np.flatnonzero(off)[-1])
    return float(times[last + 1]) if last + 1 < len(times) else math.inf
