"""Find the potential that proves a rate: of a polynomial loss, with its best constant, exactly."""

from __future__ import annotations

import itertools
import math
import time
from collections.abc import Sequence
from dataclasses import dataclass, replace
from fractions import Fraction
from typing import Any

import sympy as sp
from flint import fmpq
from sympy.core.relational import Relational

from flows.core.deadline import Deadline, TimeSpent, look, within
from flows.core.errors import InputError
from flows.core.system import System, checked_system
from flows.runs.find_law import late_time_law
from flows.runs.found import NOT_FOUND, PROVED, FoundPotential
from flows.runs.integrate import integrate
from potentials.search.chain import Chain, chained
from potentials.search.length import within_reach
from potentials.search.levels import advised
from potentials.search.polynomials import fraction, rational
from potentials.search.printed import hypotheses, statement, theorem
from potentials.search.question import DEGREES, RATES, Answer, Question
from potentials.search.rates import Found, Power, Rate
from potentials.search.record import data_of
from potentials.search.regions import composed
from potentials.search.subject import Subject

__all__ = ["exact", "find_potential", "power_of"]

#: Runs from so many random starts are asked for the law, to this time.
STARTS, LATE = 3, 1e6
# Exponents of rates have numerators and denominators up to this.
MOST = 12
MOST_DEGREE = 16


@dataclass(frozen=True)
class _Squares:
    """A proof by sums of squares."""

    found: Found
    chain: Chain | None
    where: tuple[Relational, ...]

    @property
    def of_loss(self) -> bool:
        return bool(self.found.flow.loss == self.found.V)

    def data(self) -> dict[str, Any]:
        return data_of(self.found) if self.chain is None else self.chain.data()

    def theorem(self) -> str:
        return theorem(self.found) if self.chain is None else self.chain.theorem()


def find_potential(
    system: System,
    rate: Any = "law",
    level: Any = None,
    degree: int | None = None,
    coordinates: Sequence[Any] | None = None,
    template: Any = None,
    keep: Sequence[Any] = (),
    *,
    lower: bool = False,
    free: bool = False,
    sharp: bool = True,
    max_seconds: float | None = 60.0,
) -> FoundPotential:
    r"""Find a potential `V` with the best constant of its rate, and prove it over the rationals.

    .. math:: V \ge L - L^*, \qquad \dot V \le -c V^{1 + 1/q} \;\Rightarrow\; V(t) \le C t^{-q}

    Parameters
    ----------
    system : System
        One whose loss is a polynomial with fractions as coefficients: an own system, a
        factorisation of a matrix, two layers with quadratic activation.
    rate : {"law", "exp"}, number or str
        How fast: an exponent `q` of `t^-q` such as 2 or "3/2"; "exp"; or that of the late-time law
        of runs from random starts ("law"), and all rates in turn, from the fastest one, where these
        tell none.
    level : number, str or sequence of them, optional
        Only starts with `L <= level`, such as "1/8". Without it every start. Falling levels, such
        as ``["2/5", "1/50"]``: the theorem is about the first one. On the way from each to the next
        the loss falls exponentially; the rate and its constant are those of the last one.
    degree : int, optional
        Of the proof's monomials; by default 0, 4, 6, 8, 10, 12, 14 in turn, while programs are
        small.
    coordinates : sequence of expressions, optional
        Symmetric matrices of functions of the blocks, such as ``[W.T * W]``, or functions, in which
        the loss and their own rates are polynomials. Of one small matrix `X` that moves they are
        `X X^T` or `X^T X` by default, where the loss is a function of one.
    template : int or sequence of Expr, optional
        The span of potentials that are not below `L - L*`: all monomials up to a degree, or these.
        One expression is the potential itself. By default `V = L - L*`; where the least loss `L*`
        is no simple fraction, `L` less one that is at most 1e-4 above it, for exponential rates.
    keep : sequence of relations, optional
        Further conditions on starts, such as ``Eq(a**2, b**2)``. Those that the flow keeps are used
        as they are. Of a ball, such as ``a**2 + b**2 <= 2``, starts are those whose path is too
        short to leave it, if `V` is the loss and `q > 1`. Others become hypotheses ("as long as").
    free : bool
        The potential of a span need not be above the loss, but is not negative: whatever falls at
        the rate, with the least constant for its mean size; its largest coefficient is one.
    lower : bool
        Find how slowly at least `V` falls: the best constant of a bound from below.
    sharp : bool
        Go on after a proof whose constant could be better, as a state of the set shows, and look
        for a level with a proof where all starts have none. Else the first answer is taken.
    max_seconds : float or None
        Budget of time, asked between attempts, one of which may take half a minute. None: as long
        as it takes.

    Returns
    -------
    FoundPotential
        `PROVED` with `V`, `constant`, `best`, `statement`; or `NOT_FOUND` with the reason.

    Raises
    ------
    InputError
        For a loss that is no polynomial, other input than this, and where Clarabel is missing
        (``pip install popflow[find]``).

    Notes
    -----
    Units: `t` is the time of ``dx/dt = -grad L``; the loss is taken as it is given.
    Source: Young's inequality makes the rate linear in `V` and `c^-q`, see
    :mod:`potentials.search.rates`; sums of squares after Peyrl & Parrilo 2008.
    Accuracy: what is proved is exact, checked by `flows.verify` after :meth:`FoundPotential.save`.
    `best` is a solver's number in doubles, of this degree; `possible` is that of a state.

    Examples
    --------
    >>> import sympy as sp, flows
    >>> a, b = sp.symbols("a b")
    >>> system = flows.OwnSystem("product", [a, b], (a * b - 1) ** 2 / 2)
    >>> found = flows.find_potential(system, rate="exp", keep=[sp.Eq(a**2 - b**2, 2)])
    >>> found.verdict, found.constant
    ('PROVED', 4)
    """
    if free and (template is None or rate == "exp" or lower):
        raise InputError("free: expected a template and a power of t as rate; give both")
    subject = checked_system(system).polynomial
    begun, limit = time.perf_counter(), Deadline.after(max_seconds)
    degrees = _degrees(degree)
    levels = _levels(level, lower)
    wanted = _rates(system, rate, limit)
    question = Question(
        wanted,
        levels[-1] if levels else None,
        degrees,
        tuple(coordinates or ()),
        template if template is None or isinstance(template, int) else tuple(template),
        tuple(keep),
        bool(lower),
        bool(free),
        sharp=bool(sharp),
    )
    chain, answer = None, Answer(None, "", degrees[-1])

    def begin(so_far: Answer) -> None:
        nonlocal answer
        answer = so_far
        look()

    try:
        with within(limit):
            if len(levels) > 1:
                answer, chain = chained(subject, question, levels, begin)
            else:
                answer = advised(subject, question, begin)
    except TimeSpent:
        if answer.found is None:
            reason = "; ".join(filter(None, (limit.message("on the search"), answer.reason)))
            answer = replace(answer, reason=reason, degree=degrees[-1])
    if chain is None and answer.found is not None:
        answer = replace(answer, found=within_reach(answer.found))
    return _answered(subject, answer, chain, time.perf_counter() - begun)


def _levels(level: Any, lower: bool) -> list[fmpq]:
    """One level or none, or several that fall."""
    several = level if isinstance(level, list | tuple) else [] if level is None else [level]
    found = [fraction(exact(one, "level", -math.inf)) for one in several]
    if level is not None and not (found and all(a > b for a, b in itertools.pairwise(found))):
        raise InputError(f"level: expected levels that fall, as 2/5 and 1/50, got {level!r:.60}")
    if lower and len(found) > 1:
        raise InputError(f"level: a bound from below takes one level, got {level!r:.60}; give one")
    return found


def _answered(
    subject: Subject, answer: Answer, chain: Chain | None, seconds: float
) -> FoundPotential:
    """The answer as a person reads it."""
    found = answer.found
    if found is None:
        none = (math.nan, None, "", (), answer.degree, seconds)
        return FoundPotential(NOT_FOUND, answer.reason, None, None, *none)
    V = subject.in_blocks(found.flow.written(found.V))
    constants, exponent = [rational(found.constant), found.best, found.possible], None
    if found.rate != "exp":
        exponent = found.rate.exponent
        q = sp.Rational(exponent.numerator, exponent.denominator)
        # From below it is V' >= -e^(1/m) V^(1 + 1/q).
        root = -sp.Rational(1, found.rate.k) if found.lower else sp.Integer(1)
        constants = [c**root * q**q for c in constants]
    constant, best, possible = constants[0], *map(float, constants[1:])
    return FoundPotential(
        PROVED,
        "",
        V,
        constant,
        best,
        exponent,
        statement(found) if chain is None else chain.statement,
        hypotheses(found),
        answer.degree,
        seconds,
        found.lower,
        possible,
        _Squares(found, chain, _where(subject, found)),
    )


def _where(subject: Subject, found: Found) -> tuple[Relational, ...]:
    """Conditions of its set that do not hold everywhere, in the variables that move."""
    flow, where = found.flow, list[Relational]()
    for c in found.where.conditions:
        if c.level is not None:
            where.append(sp.Le(sp.Symbol("L"), rational(c.level)))
        elif c.reason not in ("identity", "squares"):
            root, p = (flow, c.p) if flow.origin is None else (flow.origin, composed(flow, c.p))
            where.append((sp.Eq if c.equal else sp.Ge)(subject.in_blocks(root.written(p)), 0))
    return tuple(where)


def _degrees(degree: Any) -> tuple[int, ...]:
    if degree is None:
        return DEGREES
    if isinstance(degree, bool) or not isinstance(degree, int) or not 0 <= degree <= MOST_DEGREE:
        raise InputError(f"degree: expected a whole number from 0 to {MOST_DEGREE}, got {degree!r}")
    return (degree,)


def exact(value: Any, what: str, least: float = 0.0) -> Fraction:
    """A fraction above a number; a double counts as the fraction that it is."""
    try:
        found = Fraction(str(value) if isinstance(value, sp.Basic) else value)
        if found > least:
            return found
    except (TypeError, ValueError, ZeroDivisionError, OverflowError):
        pass
    kind = "positive number" if least == 0 else "number"
    raise InputError(f"{what}: expected a {kind} such as 1/8, got {value!r}")


def _rates(system: Any, rate: Any, limit: Deadline) -> tuple[Rate, ...]:
    """Rates that are tried, in turn."""
    if rate == "exp":
        return ("exp",)
    if rate != "law":
        return (power_of(exact(rate, "rate")),)
    for seed in range(STARTS):
        run = integrate(system, system.initial(scale=1.0, seed=seed), LATE, max_seconds=limit.left)
        law = late_time_law(run, max_seconds=limit.left)
        if law.chosen is not None:
            one = law.laws[law.chosen]
            if one.kind == "exponential":
                return ("exp",)
            if one.kind == "power":
                return (power_of(Fraction(str(one.exponent))),)
    return RATES


def power_of(exponent: Fraction) -> Power:
    """`m` and `k` of an exponent `m/k`."""
    if max(exponent.numerator, exponent.denominator) > MOST:
        raise InputError(f"rate: expected p/q with p and q up to {MOST}, got {exponent}")
    return Power(exponent.numerator, exponent.denominator)
