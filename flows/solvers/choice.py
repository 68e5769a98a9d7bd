"""Which solver: the adapter of a method by its name, and what the method ``auto`` tries in turn."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

from flows.core.errors import InputError
from flows.core.problem import NONFINITE, SOLVER_FAILED, Problem, Solution
from flows.core.system import System

#: Methods that compute with JAX.
JAX_METHODS = ("diffrax-kvaerno3", "diffrax-kvaerno5", "diffrax-rodas5p")
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

# Compiled steps are asked for this much less than the tolerance: between their ends the state comes
# from a polynomial of the third degree, and steps cost less than what surrounds them.
AXIS = 0.2

Solver = Callable[[Problem], Solution]


def solver_for(method: str, system: System) -> Solver:
    """Adapter of ``method`` for a system; its library is imported only when chosen.

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
    if method == "auto":
        return lambda problem: _first_that_succeeds(problem, system)
    if method in JAX_METHODS:
        from flows.solvers import diffrax_ivp

        return diffrax_ivp.adapter(method, system)
    if method == "Rodas5P":
        from flows.solvers import rodas

        if system.lanes is None:
            raise InputError(
                f"method Rodas5P knows no field of {system.name} in lanes; choose another"
            )
        return rodas.solve
    if method == "CVODE":
        from flows.solvers import cvode

        return cvode.solve
    from flows.solvers import scipy_ivp

    return lambda problem: scipy_ivp.solve(problem, method)


def _first_that_succeeds(problem: Problem, system: System) -> Solution:
    """Try solvers in turn, compiled steps first; what one cannot do is begun anew by the next."""
    spent: dict[str, int] = {}
    field = None if problem.chart is None else problem.chart.axis_field
    if field is not None:
        from flows.solvers import axis_radau

        tighter = replace(problem, rtol=AXIS * problem.rtol, atol=AXIS * problem.atol)
        piece = axis_radau.solve(tighter, field)
        if piece.status != SOLVER_FAILED:
            return piece
        spent = piece.stats
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
        spent = {key: value + spent.get(key, 0) for key, value in piece.stats.items()}
        if piece.status not in (NONFINITE, SOLVER_FAILED):
            break
    return replace(piece, stats=spent)
