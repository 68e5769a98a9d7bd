"""Certificates: a proof that the flow from one start stays within a ball, to a given time."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import replace
from importlib import import_module
from pathlib import Path
from typing import Any

from threadpoolctl import threadpool_limits  # type: ignore[import-untyped]

from flows.certificates.certificate import Certificate, certifiable
from flows.certificates.growing import growing
from flows.certificates.own_flow import flow_of
from flows.certificates.rest.settle import certify_rest
from flows.certificates.steps import Uncertified
from flows.core.arrays import Array
from flows.core.deadline import Deadline, TimeSpent, deadline, within
from flows.core.errors import InputError
from flows.core.system import System, checked_system

__all__ = ["Uncertified", "certify"]

DIGITS = 30

# Start, digits, function that is called after each segment, radius.
_Asked = tuple[Any, int | None, Callable[[float], None] | None, float]


def certify(
    system: System,
    start: Any,
    t_end: float,
    digits: int | None = None,
    advance: Callable[[float], None] | None = None,
    radius: float = 0.0,
    max_seconds: float | None = None,
) -> Certificate:
    r"""Prove an enclosure of the flow ``dw/dt = -grad L(w)`` from ``start`` to ``t_end``.

    Parameters
    ----------
    system : System
        A :class:`flows.ReLUNeuron`, a :class:`flows.MatrixFactorization`, a :class:`flows.GMMEM` of
        means on a line, or a :class:`flows.OwnSystem` whose expectations have closed forms. Of a
        :class:`flows.TwoLayer` with closed forms the certificate is about its formula,
        ``system.general``; with one ReLU teacher and outputs one, about a neuron.
    start : array_like
        User's parameters at ``t = 0``, in the system's shape; its doubles are taken as exact
        numbers.
    t_end : float
        End, positive and at most 1e18; ``math.inf`` for all times: the certificate then has
        ``infinity``, see ``docs/infinity.md``, and :func:`flows.verify` has accepted it. Polynomial
        losses that come to rest more slowly than exponentially take :func:`flows.find_potential`.
    digits : int, optional
        The error aimed at is about ``10^-digits``; 8 to 60. By default 30; to infinity 24 for two
        to four neurons, 14 for more, and 20 of means and where a flow comes to rest. Of a ball of
        two neurons three more than its radius has.
    advance : callable, optional
        Called with the time after each segment.
    radius : float
        Prove it of every start within this distance, in the Euclidean norm of all entries.
    max_seconds : float, optional
        Budget of time; without it a proof takes as long as it takes.

    Returns
    -------
    Certificate
        Polynomial segments and the bounds of each. :func:`flows.verify` checks its file by code of
        its own.

    Raises
    ------
    InputError
        For a system without certificates, and for a start, a time or digits that cannot be used.
    Uncertified
        Where no proof is found: a neuron collapses (to infinity, one that might leave zero again),
        neurons align outside the plane, the error has grown too large, or the budget is spent. To
        infinity also where the independent checker refuses what was made. Nothing is claimed then.

    Notes
    -----
    What is proved is about the ODE of the stated loss in exact arithmetic, for exactly this start.
    Units: ``t`` is the time of the flow; the loss carries the factor 1/2.

    Examples
    --------
    >>> import flows
    >>> system = flows.ReLUNeuron(n=1, d=2)
    >>> certificate = certify(system, [[0.5, 0.5]], t_end=1.0, digits=8)
    >>> certificate.error < 1e-8
    True
    """
    system = checked_system(system)
    form, initial = system.certified_form(start)
    if form is None or initial is None:
        known = ", ".join(certifiable())
        raise InputError(
            f"certify: {system.certified}; certify one of {known}, or a loss of your own"
        )
    forever = t_end == math.inf
    if not forever and not (isinstance(t_end, int | float) and 0 < t_end <= 1e18):
        known = "a time in (0, 1e18], or inf for all times"
        raise InputError(f"t_end: expected {known}, got {t_end!r}; give another")
    if digits is not None and not _digits(digits):
        raise InputError(f"digits: expected an integer from 8 to 60, got {digits!r}; give another")
    _check_radius(form, initial, radius)
    asked = initial, digits, advance, radius
    with threadpool_limits(1), within(Deadline.after(max_seconds)):
        try:
            made = _for_ever(form, asked) if forever else _until(form, t_end, asked)
        except TimeSpent:  # nothing is proved yet
            raise Uncertified(deadline().message("before a proof was found")) from None
    return made if form is system else replace(made, system=system, start=system.shaped(initial))


def _for_ever(system: System, asked: _Asked) -> Certificate:
    """Certificate for all times, as the file of its system proves it, if there is one."""
    kind = system.certified[0]
    own = (Path(__file__).parent / "endless" / f"{kind}.py").is_file()
    make: Any = import_module(f"flows.certificates.endless.{kind}").prove if own else certify_rest
    proved: Certificate = make(system, *asked)
    return proved


def _until(system: System, t_end: float, asked: _Asked) -> Certificate:
    """Certificate to a time."""
    start, digits, advance, radius = asked
    digits = DIGITS if digits is None else digits
    with growing(system, start, digits, t_end, advance, radius) as made:
        return made.until(float(t_end))


def _check_radius(system: System, start: Array, radius: Any) -> None:
    """Refuse a radius that is no length, or with which a start may be no start."""
    number = isinstance(radius, int | float) and not isinstance(radius, bool)
    if not (number and 0 <= radius < math.inf):
        raise InputError(f"radius: expected a length from 0 on, got {radius!r}; give another")
    if radius and (why := flow_of(system, start).refused(radius)):
        raise InputError(f"radius: {why}")


def _digits(digits: Any) -> bool:
    """Whether it is a number of digits."""
    return isinstance(digits, int) and not isinstance(digits, bool) and 8 <= digits <= 60
