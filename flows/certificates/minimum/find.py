"""Find the potential that proves a rate near a minimum, of a loss that need be no polynomial."""

from __future__ import annotations

import itertools
import math
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from fractions import Fraction
from typing import Any

import sympy as sp
from sympy.core.relational import Relational

from flows.certificates.minimum.constants import Wanted
from flows.certificates.minimum.program import Minimum, kernel_axes, minimum
from flows.certificates.minimum.proposals import (
    MOST_PROPOSALS,
    Across,
    NoPotential,
    Proposal,
    proposals,
)
from flows.certificates.verifier.models import Inexact
from flows.certificates.verifier.near import Stated, near, stated
from flows.certificates.verifier.reading import Refused
from flows.core.deadline import Deadline, TimeSpent, look, within
from flows.core.errors import InputError
from flows.runs.find import exact, power_of
from flows.runs.found import NOT_FOUND, PROVED, FoundPotential
from flows.systems.own.system import OwnSystem
from potentials.search.subject import Subject
from symbolic.language.expressions import as_expression

__all__ = ["find_potential_near"]

# Degrees of Taylor polynomials that are tried, until the region is known.
ORDERS = (14, 10, 6)
# Boxes of more variables take hours.
MOST_VARIABLES = 4


@dataclass(frozen=True)
class _Proof:
    """A proof in charts, as plain data and in LaTeX."""

    here: Minimum
    proposal: Proposal
    wanted: Wanted
    V: Any
    where: tuple[Relational, ...]

    @property
    def of_loss(self) -> bool:
        """Whether the potential is the loss."""
        return sp.Symbol("L") == self.V

    def data(self) -> dict[str, Any]:
        """For a file."""
        return self.here.data() | self.proposal.data(self.wanted)

    def theorem(self) -> str:
        """The theorem for a LaTeX document with amsmath and amsthm."""
        here, d = self.here, _rational(self.proposal.constant)
        m, k, lower = self.wanted.m, self.wanted.k, self.wanted.lower
        power = sp.Rational(1) if k == 0 else 1 + sp.Rational(k, m)
        root = sp.Rational(1, m) if lower else -sp.Rational(k, m)
        factor = d if k == 0 else d**root
        bound = "" if self.proposal.bound == 1 else sp.latex(_rational(self.proposal.bound))
        sign, loss = r"\le", rf"L - L^* \le {bound} V"
        if lower:
            sign, loss = r"\ge", rf"L - L^* \ge {bound} V^{{{self.proposal.power}}}"
        rate = rf"\dot V {sign} -{sp.latex(factor)}\, V^{{{sp.latex(power)}}}"
        return "\n".join(
            [
                r"\begin{theorem}",
                rf"Let $L = {sp.latex(here.loss)}$, $L^* = {sp.latex(here.least)}$,",
                rf"$V = {sp.latex(self.V)}$ and $\dot x = -\nabla L$. For every start with",
                rf"${', '.join(map(sp.latex, self.where))}$,",
                rf"\[ {rate}, \qquad {loss} . \]",
                r"\end{theorem}",
                r"\begin{proof}",
                r"By Taylor polynomials with remainders in weighted charts around the minimum,",
                r"divided by powers of their main variable, and balls; \texttt{popflow verify}",
                r"repeats it.",
                r"\end{proof}",
            ]
        )


def find_potential_near(
    system: OwnSystem,
    at: Mapping[Any, Any],
    rate: Any,
    level: Any,
    template: Sequence[Any] = (),
    keep: Sequence[Any] = (),
    *,
    lower: bool = False,
    max_seconds: float | None = 120.0,
) -> FoundPotential:
    r"""Find a potential with the best constant of its rate near a minimum, and prove it with balls.

    .. math:: L - L^* \le V = a (L - L^*) + \sum_j c_j m_j, \qquad \dot V \le -c V^{1 + 1/q}
              \;\Rightarrow\; V(t) \le C t^{-q}

    Parameters
    ----------
    system : OwnSystem
        Of at most four numbers, whose loss is analytic at the minimum, also from one side:
        fractions, powers, pi, exp, sin, cos, tan, atan, sinh, cosh, tanh where they are exact
        there (at zero), log at one, angles, and expectations of activations with a closed form.
    at : mapping
        The minimum: a fraction for each entry, ``{h: "1/2", z: 0}``.
    rate : "exp", number or str
        How fast: an exponent `q` of `t^-q`, or "exp".
    level : number or str
        Starts with `L - L^*` at most this, in a box around the minimum that the search chooses: on
        its faces the loss is above the level. All such starts, where the loss is seen to be above
        the level outside the box, out to infinity.
    template : sequence of Expr
        The `m_j`: powers of displacements, such as ``[z**3, (h - Rational(1, 2))**2]``. Without
        any, `V` is `L - L^*`. For a bound from below one expression is `V` itself.
    keep : sequence of relations
        Sides: ``z >= 0`` where the minimum has `z = 0`, and the flow keeps `z = 0`.
    lower : bool
        Find how slowly at least `V` falls, and the largest `b` with `L - L^* \ge b V^r`.
    max_seconds : float or None
        Budget of time, asked between attempts, one of which may take half a minute.

    Returns
    -------
    FoundPotential
        `PROVED` with `V`, `constant`, `best`, `statement`; or `NOT_FOUND` with the reason.

    Raises
    ------
    InputError
        For other input than this, and a function that is not known exactly at the minimum.

    Notes
    -----
    Units: `t` is the time of ``dx/dt = -grad L``; the loss is taken as it is given.
    Assumptions: none beyond the statement, which names the box if it is about one.
    Source: Young's inequality, see :mod:`potentials.search.rates`; weighted blow-up, see
    :mod:`flows.certificates.verifier.charts`.
    Accuracy: what is proved is exact; `best` is the best constant on samples, in doubles.

    Examples
    --------
    >>> import flows, sympy as sp
    >>> x = sp.Symbol("x")
    >>> system = flows.OwnSystem("chain", [x], sp.cosh(x) - 1)
    >>> found = flows.find_potential_near(system, {x: 0}, "exp", "1/10")
    >>> found.verdict, found.constant
    ('PROVED', 999/500)
    """
    begun, limit = time.perf_counter(), Deadline.after(max_seconds)
    if not isinstance(system, OwnSystem):
        raise InputError(f"system: expected an OwnSystem, got {type(system).__name__}")
    subject = Subject(system.name, system.blocks, system.expression)
    point = _point(subject, at)
    sides = _sides(subject, point, keep)
    power = None if rate == "exp" else power_of(exact(rate, "rate"))
    m, k = (1, 0) if power is None else (power.m, power.k)
    most, reason = exact(level, "level"), ""

    def found(axes: tuple[tuple[int, ...], ...] | None) -> FoundPotential:
        monomials = _monomials(subject, _displacements(point, axes), template)
        wanted = Wanted(m, k, monomials, not (lower and monomials), bool(lower))
        if (lower or k == 0) and len(monomials) + wanted.loss > 1:
            raise InputError("template: this rate takes one potential, not a span; leave it out")
        here = minimum(subject.loss, point, sides, most, axes)
        return _found(subject, wanted, *_searched(here, wanted), time.perf_counter() - begun)

    try:
        with within(limit):
            try:
                return found(None)
            except (InputError, Across) as problem:  # it may be a valley across the axes
                straight = any(sides) or (template and isinstance(problem, Across))
                axes = None if straight else kernel_axes(subject.loss, point)
                if axes is None:
                    raise
                return found(axes)
    except (Refused, NoPotential) as problem:
        reason = str(problem)
    except TimeSpent:
        reason = limit.message("on the search")
    reason = f"no proof near the minimum: {reason}; give a lower level, or a template"
    return FoundPotential(
        *(NOT_FOUND, reason, None, None, math.nan, None, "", (), 0), time.perf_counter() - begun
    )


def _searched(here: Minimum, wanted: Wanted) -> tuple[Minimum, Proposal, str]:
    """What is proved in one box, with the highest order that is not too long."""
    refused: Refused | None = None
    for order in ORDERS:
        tried = replace(here, order=order)
        try:
            region = stated(tried.data())
        except Inexact as problem:
            raise InputError(
                f"at: {problem}; give a minimum, and functions, that are exact there"
            ) from None
        except Refused as problem:  # too many terms, or too little known of remainders
            refused = problem
            continue
        return (tried, *_proved(tried, region, wanted))
    assert refused is not None
    raise refused


def _proved(here: Minimum, region: Stated, wanted: Wanted) -> tuple[Proposal, str]:
    """The first proposal that is proved, with its statement."""
    refused: ValueError = NoPotential("the loss is not seen to fall like this")
    for proposal in itertools.islice(proposals(region, wanted), MOST_PROPOSALS):
        look()
        try:
            return proposal, near(here.data() | proposal.data(wanted)).statement
        except Refused as problem:
            refused = problem
    raise refused


def _found(
    subject: Subject,
    wanted: Wanted,
    here: Minimum,
    proposal: Proposal,
    statement: str,
    seconds: float,
) -> FoundPotential:
    """The potential as a person reads it."""
    off = here.off
    more = sum(
        _rational(c) * sp.Mul(*(x**j for x, j in zip(off, e, strict=True)))
        for c, e in proposal.terms
    )
    share, least = _rational(proposal.share), here.least
    L, at_most = sp.Symbol("L"), _rational(here.level) + least
    inside = [sp.Ge(x, 0) for x, side in zip(off, here.sides, strict=True) if side]
    box = () if here.everywhere else zip(off, here.radii, strict=True)
    inside += [sp.Le(sp.Abs(x), _rational(r)) for x, r in box]
    where = tuple(map(subject.in_blocks, (*inside, sp.Le(L, at_most))))
    proof = _Proof(here, proposal, wanted, share * (L - least) + more, where)
    V = share * (here.loss - least) + more
    constant, best, exponent = _rational(proposal.constant), proposal.best, None
    if wanted.k:
        exponent = Fraction(wanted.m, wanted.k)
        q = sp.Rational(wanted.m, wanted.k)
        root = -sp.Rational(1, wanted.k) if wanted.lower else sp.Integer(1)
        constant, best = constant**root * q**q, best ** float(root) * float(q**q)
    return FoundPotential(
        *(PROVED, "", subject.in_blocks(V), constant, float(best), exponent, statement, (), 0),
        seconds,
        wanted.lower,
        float(best),
        proof,
    )


def _point(subject: Subject, at: Mapping[Any, Any]) -> dict[sp.Symbol, Fraction]:
    """Entries with their values."""
    entries = subject.entries
    if len(entries) > MOST_VARIABLES:
        raise InputError(
            f"system: expected at most {MOST_VARIABLES} numbers, got {len(entries)};"
            " express the loss by fewer"
        )
    if not isinstance(at, Mapping):
        raise InputError(f"at: expected a fraction for each entry, as {{x: '1/2'}}, got {at!r:.60}")
    given = {}
    for key, value in at.items():
        name = key if isinstance(key, str) else str(subject.scalar(as_expression(key), "at"))
        try:
            given[name] = Fraction(str(value))
        except (ValueError, ZeroDivisionError):
            raise InputError(f"at: expected a fraction such as 1/2, got {value!r}") from None
    names = [str(x) for x in entries]
    if set(given) != set(names):
        raise InputError(f"at: expected a value of each of {', '.join(names)}, got {given}")
    return {x: given[str(x)] for x in entries}


def _sides(
    subject: Subject, point: Mapping[sp.Symbol, Fraction], keep: Sequence[Any]
) -> tuple[int, ...]:
    """1 for entries that are not below the point."""
    above = set()
    for relation in keep:
        found = None
        if isinstance(relation, sp.Ge | sp.Gt | sp.Le | sp.Lt):
            p = subject.scalar(relation.gts - relation.lts, "keep")
            found = next((x for x, at in point.items() if p == x - _rational(at)), None)
        if found is None:
            raise InputError(
                "keep: expected an entry that is not below its place at the minimum, got"
                f" {relation}"
            )
        above.add(found)
    return tuple(int(x in above) for x in point)


def _displacements(
    point: Mapping[sp.Symbol, Fraction], axes: Sequence[Sequence[int]] | None
) -> dict[sp.Symbol, sp.Expr]:
    """Entries by displacements from the point, which may be combinations: rows of axes."""
    size = len(point)
    back = sp.eye(size) if axes is None else sp.Matrix(axes).inv()
    off = back * sp.Matrix([*point])
    return {x: off[i] + _rational(p) for i, (x, p) in enumerate(point.items())}


def _monomials(
    subject: Subject, shift: Mapping[sp.Symbol, sp.Expr], template: Sequence[Any]
) -> tuple[tuple[int, ...], ...]:
    """Exponents of products of displacements."""
    found = []
    for given in template:
        shifted = subject.scalar(given, "template").subs(shift, simultaneous=True)
        try:
            terms = sp.Poly(sp.expand(shifted), *shift).terms()
        except sp.PolynomialError:
            terms = []
        if len(terms) != 1 or terms[0][1].free_symbols:
            raise InputError(
                "template: expected powers of displacements from the minimum, such as z**3, or"
                f" along and across its valley, got {given}"
            )
        found.append(tuple(int(e) for e in terms[0][0]))
    return tuple(found)


def _rational(x: Fraction) -> sp.Rational:
    return sp.Rational(x.numerator, x.denominator)
