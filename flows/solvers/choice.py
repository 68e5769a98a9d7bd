"""Which solver: the adapter of a method by its name, and what the method ``auto`` tries in turn."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace

import numpy as np

from flows.core.deadline import TimeSpent
from flows.core.errors import InputError
from flows.core.problem import (
    NONFINITE,
    SOLVER_FAILED,
    STOPPED,
    TIME_BUDGET,
    Problem,
    Recorder,
    Solution,
    finish,
)
from flows.core.system import System
from flows.solvers.many import STIFF

#: Methods that compute with JAX.
JAX_METHODS = ("diffrax-kvaerno3", "diffrax-kvaerno5")
#: Methods of :func:`flows.integrate`.
METHODS = ("auto", "LSODA", "BDF", "Radau", "CVODE", "Rodas5P", "reference", *JAX_METHODS)
# Below this tolerance the rounding of the many steps of LSODA and CVODE is larger than what was
# asked for, and auto tries these.
TIGHT = 1e-11
AUTO_TIGHT = (("Radau", 1.0), ("LSODA", 1.0), ("BDF", 1.0))
#: Methods whose steps leave errors of the size of their tolerance also where the flow is stiff.
UNDAMPED = ("CVODE",)
#: Methods of several steps, which begin with the first order and many small steps.
MULTISTEP = ("BDF", "CVODE", "LSODA")
# Only CVODE solves linear systems by iteration.
AUTO_KRYLOV = (("CVODE", 0.1),)

# Compiled steps of Radau compare with a formula of order five, and are of order nine: what they are
# asked for is this factor times the tolerance to this power.
LOOSE, EXPONENT = 0.1, 0.85

# Explicit steps are asked for this part of the tolerance: conserved quantities drift by ten times
# that of a step.
EXPLICIT = 0.1

# Unknowns up to which compiled steps are the fast ones: of many problems side by side, of one.
SIDE_BY_SIDE, ALONE = 40, 24
#: What solvers count.
EVALUATIONS = ("field_evaluations", "jacobian_evaluations")
#: Statuses after which another method may do better.
_BEGUN_ANEW = (NONFINITE, SOLVER_FAILED)

Solver = Callable[[Problem], Solution]


def side_by_side(method: str, rtol: float, system: System) -> bool:
    """Whether a method takes the steps of many problems of a system at once."""
    compiled = system.lanes is not None or system.explicit is not None
    always = method == "Rodas5P" or method in JAX_METHODS
    return always or (method == "auto" and compiled and rtol >= TIGHT)


def solve_many(
    problems: Sequence[Problem], method: str, system: System, *, alone: bool = False
) -> list[Solution]:
    """Solve many problems side by side.

    Parameters
    ----------
    problems : sequence of Problem
        Pieces of different runs; nothing in one depends on the others.
    method : str
        ``Rodas5P``, or ``auto``: it where it is fast, and what a single run takes where it is not
        or fails; charts without a field in lanes are solved as those of a single run. Or one of
        :data:`JAX_METHODS`.
    system : System
        The flow; :func:`side_by_side` is true of it.
    alone : bool
        Whether this is the one problem of a single run: it takes no lanes beside it.

    Returns
    -------
    list of Solution
        One a problem. Those that had not ended are ``interrupted`` after Ctrl-C, and
        ``time_budget`` after the end of the budget.
    """
    if method in JAX_METHODS:
        from flows.solvers import diffrax_ivp

        make_raw = diffrax_ivp.jax_field(method, system)
        return diffrax_ivp.solve_many(problems, method, make_raw)
    from flows.solvers import stiff

    stiffly = (lambda some: [stiff.solve_alone(p) for p in some]) if alone else stiff.solve_many
    found: dict[int, Solution] = {}
    begun_anew: tuple[str, ...] = ()
    serves = _has_lanes
    if method == "auto":
        most = ALONE if alone else SIDE_BY_SIDE
        begun_anew = _BEGUN_ANEW

        def serves(problem: Problem) -> bool:
            return _has_lanes(problem) and problem.y0.size <= most

        some = [k for k, problem in enumerate(problems) if _is_explicit(problem)]
        found.update(zip(some, _solve_explicitly([problems[k] for k in some]), strict=True))
    some = [k for k, problem in enumerate(problems) if k not in found and serves(problem)]
    found.update(zip(some, stiffly([problems[k] for k in some]), strict=True))
    left = [k for k in found if found[k].status == STIFF and _has_lanes(problems[k])]
    if left:
        rests = stiffly([_rest(problems[k], found[k]) for k in left])
        for k, later in zip(left, rests, strict=True):
            found[k] = _joined(found[k], later)
    stopped = next((s.status for s in found.values() if s.status in STOPPED), "")
    for k, problem in enumerate(problems):
        if not stopped and k in found and found[k].status == STIFF:
            later = _first_that_succeeds(_rest(problem, found[k]), system)
            found[k] = _joined(found[k], later)
            stopped = later.status if later.status in STOPPED else ""
        elif not stopped and (k not in found or found[k].status in begun_anew):
            found[k] = _first_that_succeeds(problem, system, found[k].stats if k in found else {})
            stopped = found[k].status if found[k].status in STOPPED else ""
        elif k not in found:
            found[k] = _not_begun(problem, stopped)
        elif found[k].status == STIFF:
            message = _not_begun(problem, stopped).message
            found[k] = replace(found[k], status=stopped, message=message)
    return [found[k] for k in range(len(problems))]


def _not_begun(problem: Problem, status: str) -> Solution:
    """Solution of a problem without a single step."""
    return finish(Recorder(problem), status, "", dict.fromkeys(EVALUATIONS, 0))


def _is_explicit(problem: Problem) -> bool:
    return problem.chart is not None and problem.chart.explicit is not None


def _solve_explicitly(problems: Sequence[Problem]) -> list[Solution]:
    """Explicit steps, at the fraction of the tolerance that leaves errors of its size."""
    from flows.solvers import gentle

    return gentle.solve_many(
        [replace(p, rtol=EXPLICIT * p.rtol, atol=EXPLICIT * p.atol) for p in problems]
    )


def _rest(problem: Problem, begun: Solution) -> Problem:
    """What is left of a problem where explicit steps gave up."""
    assert begun.last is not None
    return replace(
        problem,
        tau0=begun.last.tau,
        y0=begun.last.y,
        taus=problem.taus[len(begun.states) :],
        max_steps=max(1, problem.max_steps - begun.stats["steps"]),
    )


def _joined(begun: Solution, later: Solution) -> Solution:
    """A solution that another one goes on with."""
    return replace(
        later,
        states=np.concatenate([begun.states, later.states]),
        stats=_sum(later.stats, begun.stats),
    )


def _is_compiled(problem: Problem) -> bool:
    return problem.chart is not None and problem.chart.compiled


def _has_lanes(problem: Problem) -> bool:
    return problem.chart is not None and problem.chart.lanes is not None


def solver_for(method: str, system: System) -> Solver:
    """Adapter of ``method`` for a system; its library is imported only when chosen.

    Where the budget of time is spent before the first step, its solution has that status, too.

    Parameters
    ----------
    method : str
        One of :data:`METHODS` but ``reference``, which solves no :class:`Problem`.
    system : System
        The flow.

    Returns
    -------
    callable
        ``solve(problem)``.

    Raises
    ------
    InputError
        For a method that needs a field which the system does not have.
    """
    adapter = _adapter(method, system)

    def solve(problem: Problem) -> Solution:
        try:
            return adapter(problem)
        except TimeSpent:  # before the adapter could keep it
            return _not_begun(problem, TIME_BUDGET)

    return solve


def _adapter(method: str, system: System) -> Solver:
    if method == "auto":
        return lambda problem: (
            solve_many([problem], "auto", system, alone=True)[0]
            if _is_compiled(problem) and side_by_side("auto", problem.rtol, system)
            else _first_that_succeeds(problem, system)
        )
    if method in JAX_METHODS:
        from flows.solvers import diffrax_ivp

        return diffrax_ivp.adapter(method, system)
    if method == "Rodas5P":
        from flows.solvers import stiff

        if system.lanes is None:
            raise InputError(
                f"method Rodas5P knows no field of {system.name} in lanes; choose another"
            )
        return lambda problem: (
            stiff.solve(problem) if _has_lanes(problem) else _first_that_succeeds(problem, system)
        )
    if method == "CVODE":
        from flows.solvers import cvode

        return cvode.solve
    from flows.solvers import scipy_ivp

    return lambda problem: scipy_ivp.solve(problem, method)


def _first_that_succeeds(
    problem: Problem, system: System, before: Mapping[str, int] | None = None
) -> Solution:
    """Try solvers in turn, compiled steps first; what one cannot do is begun anew by the next."""
    spent = dict(before or {})
    field = None if problem.chart is None else problem.chart.axis_field
    if field is not None:
        from flows.solvers import axis_radau

        asked = LOOSE * problem.rtol**EXPONENT
        looser = replace(problem, rtol=asked, atol=asked / problem.rtol * problem.atol)
        piece = axis_radau.solve(looser, field)
        if piece.status != SOLVER_FAILED:
            return piece
        spent = _sum(piece.stats, spent)
    own = () if problem.chart is None else problem.chart.auto
    tight = problem.rtol < TIGHT and not own
    order = AUTO_KRYLOV if problem.krylov else AUTO_TIGHT if tight else own or system.auto
    for method, fraction in order:
        margin = 1.0 if tight else fraction
        attempt = replace(
            problem,
            rtol=margin * problem.rtol,
            atol=margin * problem.atol,
            max_steps=max(1, problem.max_steps - spent.get("steps", 0)),
        )
        piece = solver_for(method, system)(attempt)
        spent = _sum(piece.stats, spent)
        if piece.status not in _BEGUN_ANEW:
            break
    return replace(piece, stats=spent)


def _sum(stats: Mapping[str, int], spent: Mapping[str, int]) -> dict[str, int]:
    """Work of a solver with that of those before it."""
    return {key: value + spent.get(key, 0) for key, value in stats.items()}
