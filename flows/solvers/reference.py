r"""The oracle: stiff initial value problems in more than double precision, slowly.

Collocation at the Radau IIA nodes (``s`` stages, order ``2 s - 1`` at the end of a step, stiffly
accurate and L-stable) in log-time ``tau = log(1 + t)``. Everything that decides accuracy, the
residual of the stage equations

.. math:: X_k = x_0 + h \sum_j A_{kj} F(\tau_j, X_j), \qquad F(\tau, x) = (1 + t) f(x),

is computed with all digits; Newton's corrections are solved in doubles, with the Jacobian of each
stage. Each correction then gains up to 16 digits, and none of the error of a double survives.

A step is accepted when its polynomial is resolved: its last Legendre coefficients are below the
tolerance, relative to each component. Output is the polynomial itself. Where the caller names
the kinks (``switches``), a step sees one smooth branch of the field and ends where the branch does.

Source: Hairer & Wanner, Solving Ordinary Differential Equations II, section IV.5.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

import numpy as np
import scipy.linalg
from mpmath import mp
from threadpoolctl import threadpool_limits  # type: ignore[import-untyped]

from flows.core.arrays import Array
from flows.core.deadline import look
from flows.core.problem import COMPLETED, SOLVER_FAILED, STEP_BUDGET, STOPS, status_of
from flows.solvers.radau_tableau import GUARD, Number, Tableau, Vector, polynomial, tableau

Field = Callable[[Number, Vector], Vector]
Jacobian = Callable[[Number, Vector], Any]

STAGES = 20
FIRST_STEP = 1e-2
SMALLEST_STEP = 1e-12
# Halvings of the interval around a kink: the wrong branch costs the cube of the length left.
BISECTIONS = 50
NEWTON_STEPS = 20
# A correction that shrinks more slowly than this asks for new Jacobians.
SLOW = 1e-3


class Step(NamedTuple):
    """Where a step begins, in log-time and state, and how long it is."""

    tau: Number
    start: Vector
    length: Number


class Reference(NamedTuple):
    """What :func:`solve_reference` returns.

    Parameters
    ----------
    states : list of lists of mpf
        States at the first output times, at all of them where the status is ``completed``.
    status, message : str
        As in :class:`flows.core.problem.Solution`.
    stats : dict
        ``steps``, ``rejected``, ``field_evaluations``, ``jacobian_evaluations``.
    error : float
        Sum over the steps of the estimated relative error of a step.
    time : mpf
        Where the last step ended.
    state : list of mpf
        The state there.
    """

    states: list[Vector]
    status: str
    message: str
    stats: dict[str, int]
    error: float
    time: Number
    state: Vector


def leave_branch(
    switches: Callable[[Vector], Vector],
    sides: list[int],
    coefficients: list[Vector],
    nodes: Vector,
    stages: list[Vector],
    noise: Number,
) -> tuple[Number, list[int]]:
    """First place in ``(-1, 1]`` where a switch has changed its sign, and the signs from there on.

    The end and the same signs if none has. Only the nodes are looked at: what changes and comes
    back between two of them goes unseen.
    """

    def changed(x: Vector) -> list[bool]:
        return [s * g < -noise for s, g in zip(sides, switches(x), strict=True)]

    def between(at: Number) -> list[bool]:
        return changed(polynomial(coefficients, at))

    low = -mp.one
    for high, x in zip(nodes, stages, strict=True):
        if any(changed(x)):
            for _ in range(BISECTIONS):
                middle = (low + high) / 2
                low, high = (low, middle) if any(between(middle)) else (middle, high)
            return high, [-s if c else s for s, c in zip(sides, between(high), strict=True)]
        low = high
    return mp.one, sides


def collocate(
    field: Field,
    jacobian: Jacobian,
    step: Step,
    guess: list[Vector],
    table: Tableau,
    *,
    tolerance: Number,
    stats: dict[str, int],
) -> list[Vector] | None:
    """Solve the stage equations of one step by Newton's method.

    Parameters
    ----------
    field, jacobian : callable
        ``F(tau, x)`` and its derivative by ``x``.
    step : Step
        What is to be covered.
    guess : list of vectors
        First values of the stages.
    table : Tableau
        The method.
    tolerance : mpf
        Corrections below this, relative to the largest entry of the stages, are rounding.
    stats : dict
        Counts evaluations.

    Returns
    -------
    list of vectors, or None
        The stages, the last one being the end of the step; None if Newton did not converge.
    """
    stages, size = len(table.nodes), len(step.start)
    times = [step.tau + step.length * (1 + x) / 2 for x in table.nodes]
    values = guess
    weights = np.array([[float(step.length * a) for a in row] for row in table.integral])
    factors = None
    last = mp.inf
    for _ in range(NEWTON_STEPS):
        look()
        slopes = [field(t, x) for t, x in zip(times, values, strict=True)]
        stats["field_evaluations"] += stages
        columns = list(zip(*slopes, strict=True))
        defect = [
            [
                x0 + step.length * mp.fdot(row, column) - x
                for x0, x, column in zip(step.start, value, columns, strict=True)
            ]
            for row, value in zip(table.integral, values, strict=True)
        ]
        worst = max(abs(x) for row in defect for x in row)
        if not mp.isfinite(worst):
            return None
        if factors is None:
            blocks = np.array([jacobian(t, x) for t, x in zip(times, values, strict=True)], float)
            stats["jacobian_evaluations"] += stages
            matrix = np.eye(stages * size) - np.einsum("kj,jab->kajb", weights, blocks).reshape(
                stages * size, stages * size
            )
            factors = scipy.linalg.lu_factor(matrix)
        if worst:
            scaled = np.array([float(x / worst) for row in defect for x in row])
            solved = scipy.linalg.lu_solve(factors, scaled).reshape(stages, size)
            values = [
                [x + worst * mp.mpf(float(c)) for x, c in zip(value, row, strict=True)]
                for value, row in zip(values, solved, strict=True)
            ]
            change = worst * mp.mpf(float(np.abs(solved).max()))
        else:
            change = mp.zero
        scale = max(abs(x) for value in values for x in value)
        if change <= tolerance * scale:
            return values
        if change > last:
            return None
        if change > SLOW * last:
            factors = None
        last = change
    return None


def solve_reference(
    field: Callable[..., Vector],
    jacobian: Callable[..., Any],
    x0: Sequence[Any],
    times: Sequence[Any],
    digits: int = 50,
    *,
    max_steps: int = 10_000,
    progress: Callable[[float], None] | None = None,
    tolerance: float | None = None,
    stages: int = STAGES,
    switches: Callable[[Vector], Vector] | None = None,
) -> Reference:
    r"""Solve ``dx/dt = f(x)`` from ``x(0) = x0`` with ``digits`` digits.

    Parameters
    ----------
    field : callable
        ``f(x)``: mpf in, mpf out, with the caller's ``mp.prec``; ``f(x, sides)`` with switches.
    jacobian : callable
        ``f'(x)``, ``N`` rows of ``N`` numbers; 16 digits of them are used.
    x0 : sequence of N numbers
        State at ``t = 0``.
    times : sequence of numbers
        Output times, increasing, positive.
    digits : int
        Working precision.
    max_steps : int
        Budget of steps, accepted or not.
    progress : callable, optional
        Called with the time after each step.
    tolerance : float, optional
        Bound of the estimated error of a step relative to each component;
        ``10^-(digits/2)`` by default.
    stages : int
        Stages ``s`` of a step, at least 2.
    switches : callable, optional
        Functions of the state at whose zeros the field has kinks. Field and Jacobian then get
        their signs, ``sides``, and go on smoothly beyond a zero; a step ends there.

    Returns
    -------
    Reference
        States at the output times, status, message, statistics, estimated error, last state.

    Notes
    -----
    A component below ``10^(3-digits) / tolerance`` times the largest is known to that absolute
    error only. Ctrl-C ends the run with the status ``interrupted`` and keeps what is done.
    """
    stats = {"steps": 0, "rejected": 0, "field_evaluations": 0, "jacobian_evaluations": 0}
    states: list[Vector] = []
    error = 0.0
    tau = mp.zero
    x: Vector = [y if isinstance(y, mp.mpf) else mp.mpf(float(y)) for y in x0]

    def end(status: str, message: str) -> Reference:
        with mp.workdps(digits + GUARD):
            return Reference(states, status, message, stats, error, mp.expm1(tau), x)

    def rhs(tau: Number, x: Vector) -> Vector:
        speed = mp.exp(tau)
        return [speed * y for y in (field(x, sides) if sides else field(x))]

    def rhs_jacobian(tau: Number, x: Vector) -> Array:
        matrix = jacobian(x, sides) if sides else jacobian(x)
        return float(mp.exp(tau)) * np.array(matrix, dtype=float)

    sides: list[int] = []
    try:
        # One thread of BLAS: for matrices of this size others only wait, at the price of work.
        with mp.workdps(digits + GUARD), threadpool_limits(1):
            table = tableau(stages, digits)
            goal = mp.mpf(10) ** (-digits / 2) if tolerance is None else mp.mpf(tolerance)
            rounding = mp.mpf(10) ** -digits
            taus = [mp.log1p(mp.mpf(t)) for t in times]
            step = min(mp.mpf(FIRST_STEP), taus[-1])
            coefficients = [[y] for y in x]  # the constant is the first guess
            before, last = step, mp.one  # the last step and the place on it where it was left
            noise = 1000 * rounding
            if switches:
                sides = [1 if g >= 0 else -1 for g in switches(x)]
            while len(states) < len(taus):
                if stats["steps"] + stats["rejected"] >= max_steps:
                    return end(STEP_BUDGET, f"stopped after {max_steps} steps, its budget")
                if step < SMALLEST_STEP:
                    return end(
                        SOLVER_FAILED,
                        f"the step size became zero at t = {float(mp.expm1(tau)):.6g}",
                    )
                step = min(step, taus[-1] - tau)
                # Beyond its step the last polynomial predicts this one.
                guess = [
                    polynomial(coefficients, last + (1 + c) * step / before) for c in table.nodes
                ]
                found = collocate(
                    rhs,
                    rhs_jacobian,
                    Step(tau, x, step),
                    guess,
                    table,
                    tolerance=rounding,
                    stats=stats,
                )
                if found is None:
                    # The prediction may lie beyond a kink; the start of the step does not.
                    stats["rejected"] += 1
                    coefficients, step, last = [[y] for y in x], step / 4, mp.one
                    continue
                columns = list(zip(x, *found, strict=True))
                resolved = [[mp.fdot(row, column) for row in table.transform] for column in columns]
                sizes = [max(abs(y) for y in column) for column in columns]
                floor = 1000 * rounding / goal * max(sizes)
                estimate = max(
                    max(abs(c[-1]), abs(c[-2])) / max(size, floor, mp.mpf(10) ** -1000)
                    for c, size in zip(resolved, sizes, strict=True)
                )
                grow = min(
                    3.0,
                    max(0.25, 0.8 * float(goal / max(estimate, goal * rounding)) ** (1 / stages)),
                )
                if estimate > goal:
                    stats["rejected"] += 1
                    step = step * min(grow, 0.8)
                    continue
                stats["steps"] += 1
                error += float(estimate)
                last, reached = mp.one, found[-1]
                if switches:
                    last, sides = leave_branch(switches, sides, resolved, table.nodes, found, noise)
                    reached = polynomial(resolved, last)
                after = tau + step * (1 + last) / 2
                while len(states) < len(taus) and taus[len(states)] <= after:
                    at = taus[len(states)]
                    states.append(
                        reached if at == after else polynomial(resolved, 2 * (at - tau) / step - 1)
                    )
                tau, x, coefficients, before = after, reached, resolved, step
                if progress is not None:
                    progress(float(mp.expm1(tau)))
                step = step * grow
    except STOPS as stop:
        return end(status_of(stop), "interrupted; what was computed is kept")
    return end(COMPLETED, "reached the end")
