"""Which potential proves a rate: coordinates, region, degrees and rates, one after the other."""

from __future__ import annotations

import contextlib
import itertools
import math
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Any

import sympy as sp
from flint import fmpq

from potentials.search.coordinates import in_terms, reduced
from potentials.search.jacobian import jacobian
from potentials.search.least import Least, least_value
from potentials.search.polynomials import Flow, Polynomial
from potentials.search.program import NoProof
from potentials.search.rates import BEST, Found, Goal, Power, Rate, search
from potentials.search.regions import (
    Condition,
    Set,
    composed,
    condition,
    identities,
    level_set,
    of_squares,
)
from potentials.search.residuals import squared_forms, written_squares
from potentials.search.shift import centre, displaced, moved, moved_back
from potentials.search.subject import Subject
from symbolic.language.errors import InputError
from symbolic.language.expressions import as_expression

__all__ = ["DEGREES", "RATES", "Answer", "Question", "find"]

#: Degrees of monomials that proofs use beyond Newton's polytope, as far as a basis of all
#: monomials of half of it has no more than the second number: programs of more take minutes.
DEGREES, MOST_MONOMIALS = (0, 4, 6, 8, 10, 12, 14), 150
#: Rates from the fastest to the slowest: exponential, then exponents of `1/t`.
RATES: tuple[Rate, ...] = (
    "exp",
    Power(4, 1),
    Power(3, 1),
    Power(2, 1),
    Power(3, 2),
    Power(4, 3),
    Power(1, 1),
    Power(1, 2),
)
# Where the least loss is no simple fraction, fractions so near to it take its place.
NEAR = 1e-4
LEVEL = "give a level, below that of other critical points"
LESS = "give a lower level, a slower rate, or keep what the flow conserves or a ball"
RESTS = f"no such rate holds: the flow rests at zero, where the potential is positive; {LEVEL}"
NO_LEAST = "no least loss was proved that is a simple fraction"


@dataclass(frozen=True)
class Question:
    """What is asked for.

    Parameters
    ----------
    rates : tuple of Rate
        Those that are tried, in turn.
    level : fmpq, optional
        Only starts with `L <= level`.
    degrees : tuple of int
        Of proofs, in turn, as far as programs are not too large.
    coordinates : tuple
        Symmetric matrices, or functions, of the blocks; of none the entries themselves.
    template : int, or sequence of Expr, optional
        The span of potentials that are not below the loss: all monomials up to a degree, or these.
        One expression is the potential itself. Without a template it is the loss above its least
        value.
    keep : sequence of Relational
        Further conditions on starts.
    lower : bool
        Whether a bound from below is sought.
    free : bool
        Whether the potential of a span need not be above the loss: its largest coefficient is one.
    until : fmpq, optional
        It is about the time before the loss is at most this.
    """

    rates: tuple[Rate, ...] = RATES
    level: fmpq | None = None
    degrees: tuple[int, ...] = DEGREES
    coordinates: tuple[Any, ...] = ()
    template: Any = None
    keep: tuple[Any, ...] = ()
    lower: bool = False
    free: bool = False
    until: fmpq | None = None


@dataclass(frozen=True)
class Answer:
    """What was found, or why nothing was; ``tried``: rate, degree and reason of each attempt."""

    found: Found | None
    reason: str
    degree: int
    tried: tuple[tuple[Rate, int, str], ...]


def find(subject: Subject, question: Question, look: Callable[[str], None]) -> Answer:
    """Search; ``look`` takes why there is no answer yet, before each attempt, and may raise.

    Without coordinates, `X X^T` or `X^T X` of the one matrix that moves serve where the loss is a
    function of them: its minimisers are no points in the entries then. So do squared lengths of
    entries that rotate, unless the entries themselves have a proof at once.
    """
    for one in () if question.coordinates else _symmetric(subject, question):
        try:
            answer = _found(subject, one, look)
        except InputError:  # loss, template or conditions are no functions of coordinates
            continue
        if answer.found is not None or one.coordinates:
            return answer
    return _found(subject, question, look)


def _symmetric(subject: Subject, question: Question) -> Iterator[Question]:
    """Questions in coordinates that a symmetry of the loss offers."""
    for gram in subject.grams:
        yield replace(question, coordinates=(gram,))
    if subject.radial:
        yield replace(question, degrees=question.degrees[:1])
        yield replace(question, coordinates=subject.radial)


def _found(subject: Subject, question: Question, look: Callable[[str], None]) -> Answer:
    """Search in the entries, or in given coordinates."""
    flow = subject.flow
    squares = written_squares(flow, subject.loss)
    if question.coordinates:
        given = [subject.coordinate(one, k) for k, one in enumerate(question.coordinates)]
        try:
            flow = reduced(flow, given)
        except ValueError as problem:
            raise InputError(f"coordinates: {problem}") from None
        written, squares = squares, ()
        with contextlib.suppress(ValueError):
            squares = tuple(in_terms(subject.flow, p, flow.images, "a square") for p in written)
    if not squares or flow.loss.total_degree() == 2:
        squares = squared_forms(flow, flow.loss)
    # Around the minimiser, where there is one, Newton's polytope says what vanishes there.
    point = centre(flow, squares)
    here = flow if point is None else moved(flow, point)
    before = _before(flow, question.until)
    conditions = (*_conditions(subject, flow, question), *before)
    where = Set(
        tuple(_at(c, point) for c in conditions),
        tuple(one.matrix for one in here.factored),
    )
    residuals = tuple(_shifted(p, point) for p in squares)
    template = _template(subject, flow, question.template)
    span = [] if template is None else [_shifted(p, point) for p in template]
    ever = replace(where, conditions=where.conditions[: len(conditions) - len(before)])
    least = _least(here, ever, question.degrees, residuals)
    if least is not None:  # what is squared beside a least loss above zero does not vanish there
        residuals = squared_forms(here, here.loss - here.constant(least.value)) or residuals
    if least is not None and least.above != least.value and len(span) != 1:
        # The loss less a fraction near its least value passes zero: it falls not like `t^-q`.
        rates = tuple(r for r in question.rates if r == "exp" and not (span or question.lower))
        question = replace(question, rates=rates)
    if len(span) != 1 and (least is None or not question.rates):
        return Answer(None, NO_LEAST, question.degrees[-1], ())
    target = span[0] if least is None or len(span) == 1 else here.loss - here.constant(least.above)
    if not question.lower and _rests(here, where, target, point):
        return Answer(None, RESTS, 0, ())
    span = span or [target]
    free = question.free and len(span) > 1
    sizes = _sizes(here, span) if free else ()
    target = here.constant(0) if free else target
    squared = None
    if template is None and point is None and not (question.coordinates or question.lower):
        squared = jacobian(flow, subject.loss, target)
    square = sum((x * x for x in flow.ring.gens()[: flow.size]), start=flow.constant(1))
    tried: list[tuple[Rate, int, str]] = []
    for factor in (None, _shifted(square, point)):
        for rate, degree in _attempts(question, flow):
            plain = Goal(*(here, target, tuple(span), rate, where), factor=factor)
            plain = replace(plain, lower=question.lower, sizes=sizes)
            goals = [plain]
            if residuals and point is None:
                goals.insert(0, replace(plain, residuals=residuals))
            if rate == "exp" and squared is not None and factor is None and squared.fits(degree):
                goals.insert(0, replace(plain, jacobian=squared))
            for goal in goals:
                look(_why(tried, question))
                try:
                    found = search(goal, degree)
                except NoProof as problem:
                    tried.append((rate, degree, str(problem)))
                    continue
                if least is not None:
                    found = replace(found, proof=found.proof.beside(least.proof), least=least.value)
                if point is not None:
                    found = moved_back(found, flow, point)
                return Answer(found, "", degree, tuple(tried))
    return Answer(None, _why(tried, question), question.degrees[-1], tuple(tried))


def _attempts(question: Question, flow: Flow) -> Iterator[tuple[Rate, int]]:
    """Rates with degrees whose programs are not too large; a single degree is not judged."""
    vectors = 1 + sum(len(one.matrix) for one in flow.factored)
    for rate in question.rates:
        variables = flow.size if rate == "exp" else flow.size + 1
        for degree in question.degrees:
            monomials = vectors * math.comb(variables + degree // 2, variables)
            if len(question.degrees) == 1 or monomials <= MOST_MONOMIALS:
                yield rate, degree


def _conditions(subject: Subject, flow: Flow, question: Question) -> tuple[Condition, ...]:
    """The region, each condition with its reason."""
    found = [*identities(flow), *_not_negative(flow)]
    if question.level is not None:
        found.append(level_set(flow, question.level))
    for relation in question.keep:
        if not isinstance(relation, sp.Eq | sp.Ge | sp.Le | sp.Gt | sp.Lt):
            raise InputError(f"keep: expected Eq(p, q), p >= q or p <= q, got {relation}")
        sign = -1 if isinstance(relation, sp.Le | sp.Lt) else 1
        p = sign * (relation.lhs - relation.rhs)
        found.append(condition(flow, _read(subject, flow, p, "keep"), isinstance(relation, sp.Eq)))
    return tuple(found)


def _before(flow: Flow, until: fmpq | None) -> tuple[Condition, ...]:
    """The loss is above a level; what follows then is for others to say."""
    if until is None:
        return ()
    return (Condition(flow.loss - flow.constant(until), False, "assumed"),)


def _not_negative(flow: Flow) -> list[Condition]:
    """Coordinates outside matrices that are sums of squares."""
    if flow.origin is None:
        return []
    inside = [p for one in flow.factored for row in one.matrix for p in row]
    alone = [x for x in flow.ring.gens()[: flow.size] if x not in inside]
    return [c for c in (of_squares(flow, x) for x in alone) if c is not None]


def _template(subject: Subject, flow: Flow, given: Any) -> list[Polynomial] | None:
    """The span of potentials."""
    if given is None:
        return None
    if isinstance(given, int):
        if not 0 < given <= 8:
            raise InputError(f"template: expected a degree from 1 to 8, got {given}")
        return flow.monomials(given)
    return [_read(subject, flow, p, "template") for p in given]


def _read(subject: Subject, flow: Flow, expression: Any, what: str) -> Polynomial:
    """A polynomial of what a person writes, in entries of blocks or in coordinates."""
    own = {x.name: x for x in flow.symbols}
    try:
        named = as_expression(expression)
    except sp.SympifyError:
        raise InputError(f"{what}: expected an expression, got {expression!r:.60}") from None
    named = named.xreplace(
        {x: own.get(x.name, x) for x in named.free_symbols if hasattr(x, "name")}
    )
    try:
        if named.free_symbols <= {*flow.symbols}:
            return flow.read(named)
        return flow.read(subject.scalar(expression, what))
    except ValueError as problem:
        raise InputError(f"{what}: {problem}") from None


def _least(
    flow: Flow, where: Set, degrees: Sequence[int], residuals: tuple[Polynomial, ...]
) -> Least | None:
    """The least loss with its proof, or fractions on both sides of it; None without a proof."""
    if residuals and (least := least_value(flow, flow.loss, where, 0, residuals)) is not None:
        return least
    vectors = 1 + sum(len(one.matrix) for one in flow.factored)
    for room, degree in itertools.product((0.0, NEAR), sorted({0, *degrees})):
        if degree and vectors * math.comb(flow.size + degree // 2, flow.size) > MOST_MONOMIALS:
            continue
        least = least_value(flow, flow.loss, where, degree, room=room)
        if least is not None:
            return least
    return None


def _sizes(flow: Flow, span: Sequence[Polynomial]) -> tuple[fmpq, ...]:
    """Means over a cube around zero of what moves."""
    found = []
    for p in span:
        terms = (p if flow.origin is None else composed(flow, p)).to_dict().items()
        even = ((c, e) for e, c in terms if not any(k % 2 for k in e))
        found.append(sum((c / math.prod(k + 1 for k in e) for c, e in even), start=fmpq(0)))
    return tuple(found)


def _rests(flow: Flow, where: Set, target: Polynomial, point: Sequence[fmpq] | None) -> bool:
    """Whether the flow rests at zero, in the set, where what a potential is above is positive."""
    place = [*(point or [fmpq(0)] * flow.size), fmpq(0)]
    zero = [fmpq(0) - c for c in place]
    above, equal = where.region.above, where.region.zero
    return (
        target(*zero) > 0
        and all(p(*zero) == 0 for p in (*flow.field, *equal))
        and all(p(*zero) >= 0 for p in above)
    )


def _shifted(p: Polynomial, point: Sequence[fmpq] | None) -> Polynomial:
    return p if point is None else displaced(p, point)


def _at(c: Condition, point: Sequence[fmpq] | None) -> Condition:
    """A condition around a point; proofs stay, as nothing searches in them."""
    return c if point is None else replace(c, p=displaced(c.p, point))


def _why(tried: Sequence[tuple[Rate, int, str]], question: Question) -> str:
    """The last reason, or the last one that knows a constant, and what to try next."""
    known = [reason for *_, reason in tried if reason.startswith(BEST)]
    last = known[-1] if known else tried[-1][2] if tried else "nothing was tried"
    most = max((degree for _, degree, _ in tried), default=0)
    return (
        f"no certificate up to degree {most}: {last}; {LEVEL if question.level is None else LESS}"
    )
