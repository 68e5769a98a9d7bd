"""The late-time law that a person asks for: of a system at a minimiser, or of a run."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import nullcontext
from typing import Any

import numpy as np
import sympy as sp

from flows.core.deadline import Deadline, TimeSpent, within
from flows.core.errors import InputError
from flows.core.minimiser import Minimiser
from flows.core.system import System
from flows.runs.late_law import LateLaw
from flows.runs.law_at_minimiser import law_at_minimiser
from flows.runs.law_of_run import law_of_run
from flows.runs.trajectory import Trajectory
from symbolic.asymptotics.law import LateTimeLaw
from symbolic.asymptotics.refusal import NoLaw
from symbolic.evidence.time_limit import OutOfTime, time_limit

__all__ = ["late_time_law"]


def late_time_law(
    subject: System | Trajectory,
    at: Any = None,
    *,
    tangents: Sequence[Any] | None = None,
    confined: bool | None = None,
    valleys: bool | None = None,
    log_terms: bool = True,
    max_seconds: float | None = None,
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
    tangents : sequence of array_like, optional
        Directions, like ``at``, of the family of minimisers there: all of them, so that an empty
        sequence says that the minimiser stands alone. Without it they are sought.
    confined : bool, optional
        The law on the invariant cone of conserved quantities, see `symbolic.late_time_law`: for
        layers that fail to factorise, without a balancing term. A run that arrives is on it, so
        of a run it is decided by itself.
    valleys : bool, optional
        Follow zeros of the leading form, see `symbolic.late_time_law`.
    log_terms : bool
        Whether the next term of a power law is derived too, which takes a third of the time.
    max_seconds : float, optional
        Budget of time; of SymPy's work processor time counts, and in the main thread only. One
        number that is evaluated, or one function that is compiled, is not cut off.

    Returns
    -------
    LateLaw
        Its `laws`, the `chosen` one, and `claims()` for `flows.check`; no laws and a `reason`
        where none is derived, or where the budget was spent before.

    Raises
    ------
    InputError
        For a minimiser of another shape, a system with many minimisers and none given, a run
        together with a minimiser, and a budget that is no positive number.

    Notes
    -----
    Units: the user's; `t` is the time of ``dw/dt = -grad L``.
    Source: Adams & Simon 1988; Choi & Hung 2024, arXiv 2405.17510; the constants are derived here.
    Accuracy: exact, but for limits that are no simple fractions, and for expectations of what is no
    polynomial: these are in decimals, and every step is SAMPLED.

    Examples
    --------
    >>> import flows
    >>> system = flows.ReLUNeuron(n=2, d=2)
    >>> print(flows.late_time_law(system, at=[[0.25, 0], [0.75, 0]]))
    L - L* ~ 0.92527541 t^-3, C = 3*pi**2/32
    """
    if isinstance(subject, Trajectory):
        if at is not None or tangents is not None:
            raise InputError(
                "at, tangents: expected none beside a run, whose minimiser is read off; leave them"
            )
    elif not isinstance(subject, System):
        raise InputError(f"expected a system or a run, got {type(subject).__name__}")
    limit = Deadline.after(max_seconds)
    try:
        with within(limit), nullcontext() if max_seconds is None else time_limit(limit.seconds):
            if isinstance(subject, Trajectory):
                return law_of_run(subject, confined, valleys, log_terms)
            if subject.no_law:
                raise InputError(f"{subject.name} has no late-time law: {subject.no_law}")
            minimiser = subject.minimiser(at)
            named = None if tangents is None else _columns(minimiser, tangents)
            return law_at_minimiser(
                subject, minimiser, confined, valleys, log_terms, tangents=named
            )
    except (NoLaw, TimeSpent, OutOfTime) as stop:
        reason = str(stop) if isinstance(stop, NoLaw) else limit.message("on the derivation")
    except InputError:
        raise
    except ValueError as problem:  # of an expression, which knows no user
        raise InputError(f"at: {problem}") from None
    if isinstance(subject, Trajectory):
        at, subject = subject.state_at(-1), subject.system
    where = np.asarray(at, dtype=complex if np.iscomplexobj(at) else float)
    return LateLaw(subject.name, subject.parameters, where, LateTimeLaw((), reason))


def _columns(minimiser: Minimiser, tangents: Sequence[Any]) -> sp.ImmutableMatrix:
    """Tangents as columns; their numbers are taken for the fractions that they are written as."""
    size = minimiser.where.size
    columns = []
    for given in tangents:
        try:
            flat = np.asarray(given, dtype=float).ravel().tolist()
        except (TypeError, ValueError):
            flat = []
        if len(flat) != size:
            raise InputError(
                f"tangents: expected arrays of {size} real numbers, like at, got {given!r:.60}"
            )
        columns.append(sp.Matrix([sp.Rational(str(x)) for x in flat]))
    return sp.ImmutableMatrix(sp.Matrix.hstack(sp.zeros(size, 0), *columns))
