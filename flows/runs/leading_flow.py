r"""The flow of a leading form from a state of a run on, in logarithmic time.

.. math:: \frac{d \omega}{d \log t} = - u \nabla_S \ell(\omega), \qquad
          \frac{d \log u}{d \log t} = 1 - p (p-2) \ell(\omega) u, \qquad u = t \rho^{p-2}

with the length `rho` and the direction `omega` of the slow variables; `u` tends to
``1/(p (p-2) ell)``.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
import sympy as sp
from numpy.typing import NDArray

from flows.core.arrays import Array
from symbolic.asymptotics.law import LateTimeLaw
from symbolic.asymptotics.sphere import Form, form_of

__all__ = ["Course", "follow"]

# Decades that a run is followed beyond its end.
DECADES = 60.0
# Deviations from the law that count: of the claims, and of the form's value at the attractor.
CLOSE, ARRIVED = 5e-5, 1e-3
# A direction with a larger part outside the slow directions is none: the run is not near.
OUTSIDE = 0.1


@dataclass(frozen=True)
class Course:
    """Where the leading form's flow leads.

    Parameters
    ----------
    value : float
        Value of the form in the end.
    values : tuple of float
        Values of the laws.
    gap : float
        By how much the value at the start is larger, relative.
    arrives : float
        Time by which the gap is below 1e-3.
    since : float
        Time from which the loss is within 5e-5 of its law.
    leaves : float
        Time by which conserved quantities that are not quite zero make the run leave its cone;
        infinite where there is no cone.
    """

    value: float
    values: tuple[float, ...]
    gap: float
    arrives: float
    since: float
    leaves: float = math.inf


def follow(law: LateTimeLaw, deviation: Array, time: float) -> Course | None:
    """Follow the leading form from a deviation from the minimiser.

    Parameters
    ----------
    law : LateTimeLaw
        With its form; constants may be in other units.
    deviation : ndarray, shape (N,)
        In the entries of the law's point.
    time : float
        In the units of the point.

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

    def field(_: float, state: Array) -> Array:
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
    decades = np.linspace(0, DECADES * math.log(10), 2000)
    found = solve_ivp(
        field, (0, decades[-1]), start, "LSODA", t_eval=decades, rtol=1e-9, atol=1e-12
    )
    if not found.success:
        return None
    omegas = found.y[:-1].T
    values = np.array([form.value(form.on_cone(w))[0] for w in omegas])
    log_u = found.y[-1]
    end = float(form.value(form.descended(omegas[-1]))[0])
    if not (values > 0).all() or end <= 0:
        return None
    # L = ell rho^p, against C t^(-p/(p-2)) with the value at the end.
    scaled = values * np.exp(p / (p - 2) * log_u)
    limit = end * (p * (p - 2) * end) ** (-p / (p - 2))
    times = time * np.exp(decades)
    gaps = values / end - 1
    known = [np.linalg.solve(metric, slow.T @ np.array(one.direction)) for one in law.laws]
    return Course(
        end,
        tuple(form.value(form.normalised(w))[0] for w in known),
        float(gaps[0]),
        _last(times, np.abs(gaps) > ARRIVED),
        _last(times, np.abs(scaled / limit - 1) > CLOSE),
        _leaves(form, z, time),
    )


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
