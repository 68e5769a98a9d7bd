r"""From a finite certificate to t = infinity by a potential: of a polynomial loss, at any rate.

The rate is that of the late-time law of a run. The finite part is made further until the set of
states with a loss not much above that at its end has a potential that squares prove.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from dataclasses import replace
from fractions import Fraction
from typing import Any

import numpy as np
import sympy as sp

from flows.certificates.certificate import Certificate
from flows.certificates.continued import Falling
from flows.certificates.growing import checked, growing
from flows.certificates.steps import Uncertified
from flows.core.deadline import deadline, look
from flows.core.system import System
from flows.runs.find import find_potential
from flows.runs.find_law import late_time_law
from flows.runs.integrate import integrate
from flows.systems.registry import make
from potentials.search.exact import simplest

__all__ = ["certify_falling"]

#: Times to which the finite part is made, one after the other, and the digits that it aims at.
TIMES, DIGITS = (1.0, 4.0, 16.0, 64.0), 20
# The law is read off a run to this time.
LATE = 1e6
# A level is a simple fraction above the loss at the end, by these parts of what is left of it.
ROOM = (0.02, 0.3)
# The search has so many seconds for a level.
PATIENCE = 20.0


def certify_falling(
    system: System,
    initial: Any,
    digits: int | None,
    advance: Callable[[float], None] | None,
    radius: float = 0.0,
) -> Certificate:
    """Prove how a polynomial loss falls for ever, by a potential; see ``flows.certify``.

    Raises
    ------
    Uncertified
        Where there is no law, or no potential of its rate is found.
    """
    rate, least = _law(system, initial)
    # The loss of the file is in fractions: decimals are those that they are written as.
    certified = system.certified
    assert not isinstance(certified, str)
    stated, reason = make(*certified), ""
    digits = DIGITS if digits is None else digits
    with growing(system, initial, digits, TIMES[-1], advance, radius) as begun:
        for end in TIMES:
            made = begun.until(end)
            for level in _levels(made, least):
                for keep in _kept(stated, initial, radius):
                    look()
                    limit = min(PATIENCE, deadline().left or math.inf)
                    found = find_potential(
                        stated, rate, level, keep=keep, sharp=False, max_seconds=limit
                    )
                    reason = found.reason
                    if found.proved:
                        certificate, reason = checked(replace(made, infinity=Falling(found.data())))
                        if not reason:
                            return certificate
    raise Uncertified(f"UNDECIDED beyond t = {TIMES[-1]:g}: {reason}")


def _kept(system: System, start: Any, radius: float) -> list[list[sp.Expr]]:
    """No conditions; then what is conserved, exactly, with its values at one start."""
    kept = system.kept()
    if kept is None or not kept.conserved or radius:
        return [[]]
    entries = system.unpack(start)
    return [[], [sp.Eq(p, _value(p, system.formula[0], entries)) for p in kept.conserved]]


def _law(system: System, initial: Any) -> tuple[str, float]:
    """Rate of the law of a run, as the search takes it, and the limit of its loss."""
    with np.errstate(all="ignore"):  # a run may leave the doubles
        run = integrate(system, initial, LATE, max_seconds=deadline().left)
        found = late_time_law(run, max_seconds=deadline().left)
    if found.chosen is None:
        raise Uncertified(f"UNDECIDED: its run has no late-time law ({found.reason})")
    one, limit = found.laws[found.chosen], found.derived.limit
    if one.kind == "logarithmic" or one.log_exponent:
        raise Uncertified(
            "UNDECIDED: the law of its run has logarithms, which no potential here has"
        )
    least = float(run["loss"][-1]) if limit is None else float(limit)
    return "exp" if one.kind == "exponential" else str(one.exponent), least


def _levels(made: Certificate, least: float) -> Iterator[Fraction | None]:
    """Of all starts first, then of those whose loss is not much larger than that at the end."""
    if made.t_end == TIMES[0]:
        yield None
    upper = float(made.loss(made.t_end).upper())
    above = upper - least
    if above > 0:
        low, high = (Fraction(upper + part * above) for part in ROOM)
        yield simplest(low, high)


def _value(p: sp.Expr, blocks: Any, entries: Any) -> sp.Rational:
    """Exact value of a function of the blocks."""
    known = {}
    for block in blocks:
        values = entries[str(block.name)]
        if isinstance(block, sp.Symbol):
            known[block] = sp.Rational(float(values))
        else:
            flat = iter(values.ravel().tolist())
            known |= {block[i, j]: sp.Rational(next(flat)) for i, j in np.ndindex(*block.shape)}
    return p.xreplace(known)
