"""Which potential proves a rate: coordinates, region, degrees and rates, one after the other."""

from __future__ import annotations

import contextlib
import itertools
import math
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace

from flint import fmpq

from potentials.search.coordinates import in_terms, reduced
from potentials.search.jacobian import Jacobian, jacobian
from potentials.search.least import Least, least_value
from potentials.search.polynomials import Flow, Polynomial
from potentials.search.program import NoProof
from potentials.search.question import Answer, Look, Question
from potentials.search.rates import BEST, Found, Goal, Rate, search
from potentials.search.reading import before, conditions, sizes, template
from potentials.search.regions import Condition, Set
from potentials.search.residuals import squared_forms, written_squares
from potentials.search.shift import centre, displaced, moved, moved_back
from potentials.search.slowest import Slowest, slowest
from potentials.search.subject import Subject
from symbolic.language.errors import InputError

__all__ = ["NO_LEAST", "find"]

# Programs with more monomials in all, of half a degree, take minutes.
MOST_MONOMIALS = 150
# Where the least loss is no simple fraction, fractions so near to it take its place.
NEAR = 1e-4
LEVEL = "give a level, below that of other critical points"
LESS = "give a lower level, a slower rate, or keep what the flow conserves or a ball"
# A set with a state whose ratio is below this has no such rate.
NO_RATE = 1e-7
NONE = "no such rate holds for all of these starts"
# A constant is the best one to this part; else programs of so few monomials look for a better one.
SHARP_ENOUGH, FEW_MONOMIALS = 1e-4, 21
NO_LEAST = "no least loss was proved that is a simple fraction"


def find(subject: Subject, question: Question, look: Look) -> Answer:
    """Search.

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


@dataclass(frozen=True)
class _Task:
    """A question as the search takes it, around the minimiser where there is one.

    Parameters
    ----------
    question : Question
        With the rates that are possible.
    plain : Goal
        Of an exponential rate.
    residuals : tuple of Polynomial
        What vanishes where the target does; empty around a minimiser.
    squared : Jacobian, optional
        Of the squares that the loss is.
    square : Polynomial
        A factor of what may be no sum of squares itself.
    seen : callable
        A state where a rate is slowest.
    finished : callable
        What was found, in the variables of the flow and with the proof of the least loss.
    """

    question: Question
    plain: Goal
    residuals: tuple[Polynomial, ...]
    squared: Jacobian | None
    square: Polynomial
    seen: Callable[[Rate], Slowest | None]
    finished: Callable[[Found], Found]

    def goals(self) -> Iterator[tuple[Goal, int]]:
        """Goals with degrees, in turn."""
        for factor in (None, self.square):
            for rate, degree in _attempts(self.question, self.plain.flow):
                plain, by = replace(self.plain, rate=rate, factor=factor), self.squared
                if rate == "exp" and by is not None and factor is None and by.fits(degree):
                    yield replace(plain, jacobian=by), degree
                if self.residuals:
                    yield replace(plain, residuals=self.residuals), degree
                yield plain, degree


def _found(subject: Subject, question: Question, look: Look) -> Answer:
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
    matrices = tuple(one.matrix for one in here.factored)
    always = conditions(subject, flow, question.level, question.keep)
    region = Set((*always, *before(flow, question.until)), matrices)
    ever = Set(tuple(_at(c, point) for c in always), matrices)
    residuals = tuple(_shifted(p, point) for p in squares)
    span = template(subject, flow, question.template)
    least = _least(here, ever, question.degrees, residuals)
    if least is not None:  # what is squared beside a least loss above zero does not vanish there
        residuals = squared_forms(here, here.loss - here.constant(least.value)) or residuals
    if least is not None and least.above != least.value and len(span) != 1:
        # The loss less a fraction near its least value passes zero: it falls not like `t^-q`.
        rates = tuple(r for r in question.rates if r == "exp" and not (span or question.lower))
        question = replace(question, rates=rates)
    if len(span) != 1 and (least is None or not question.rates):
        return Answer(None, NO_LEAST, question.degrees[-1])
    whole = span[0] if least is None or len(span) == 1 else flow.loss - flow.constant(least.above)
    one, free = len(span) < 2, question.free and len(span) > 1
    target, several = _shifted(whole, point), tuple(_shifted(p, point) for p in span or [whole])
    squared = None
    if not span and point is None and not (question.coordinates or question.lower):
        squared = jacobian(flow, subject.loss, target)
    square = sum((x * x for x in flow.ring.gens()[: flow.size]), start=flow.constant(1))

    def seen(rate: Rate) -> Slowest | None:
        if one:
            return slowest(flow, whole, rate, region, question.lower)
        rests = slowest(flow, whole, "exp", region, starts=0)
        return rests if rests is not None and rests.ratio == 0 else None

    def finished(found: Found) -> Found:
        if least is not None:
            found = replace(found, proof=found.proof.beside(least.proof), least=least.value)
        return found if point is None else moved_back(found, flow, point)

    plain = Goal(
        flow=here,
        target=here.constant(0) if free else target,
        template=several,
        rate="exp",
        where=Set(tuple(_at(c, point) for c in region.conditions), matrices),
        lower=question.lower,
        sizes=sizes(here, several) if free else (),
    )
    inside = () if point is not None else residuals
    return _searched(
        _Task(question, plain, inside, squared, _shifted(square, point), seen, finished), look
    )


def _searched(task: _Task, look: Look) -> Answer:
    """The first proof, or a better one."""
    tried: list[tuple[Rate, int, str]] = []
    states: dict[Rate, Slowest | None] = {}
    goals, question = task.goals(), task.question
    for goal, degree in goals:
        if goal.rate not in states:
            states[goal.rate] = task.seen(goal.rate)
        state = states[goal.rate]
        if not goal.lower and state is not None and state.ratio < NO_RATE:
            continue  # a proof would be false, or have a constant near zero
        look(Answer(None, _why(tried, goal, question, state), degree, tuple(tried), state))
        possible = math.nan
        if state is not None and len(goal.template) == 1:
            possible = state.constant(goal.rate, goal.lower)
        try:
            found = task.finished(search(goal, degree, possible=possible))
        except NoProof as problem:
            tried.append((goal.rate, degree, str(problem)))
            continue
        return _sharpened(task, Answer(found, "", degree, tuple(tried), state), goals, look)
    last = replace(task.plain, rate=question.rates[-1])
    why = _why(tried, last, question, state := states.get(last.rate))
    return Answer(None, why, question.degrees[-1], tuple(tried), state)


def _sharpened(
    task: _Task, answer: Answer, goals: Iterator[tuple[Goal, int]], look: Look
) -> Answer:
    """A proof of a higher degree with a better constant, where one is possible."""
    assert answer.found is not None
    held, state = answer.found, answer.slowest
    if len(task.plain.template) > 1:
        state = slowest(held.flow, held.V, held.rate, held.where, held.lower)
    possible = math.nan if state is None else state.constant(held.rate, held.lower)
    answer = replace(answer, found=replace(held, possible=possible), slowest=state)
    for goal, degree in goals if task.question.sharp and len(task.plain.template) == 1 else ():
        sharp = abs(held.best - possible) <= SHARP_ENOUGH * possible
        if sharp or goal.rate != held.rate or goal.factor is not None:
            break
        if goal.jacobian is not None or _monomials(goal.flow, goal.rate, degree) > FEW_MONOMIALS:
            continue
        look(answer)
        with contextlib.suppress(NoProof):
            held = replace(task.finished(search(goal, degree, held, possible)), possible=possible)
            answer = replace(answer, found=held, degree=degree)
    return answer


def _attempts(question: Question, flow: Flow) -> Iterator[tuple[Rate, int]]:
    """Rates with degrees whose programs are not too large; a single degree is not judged."""
    for rate in question.rates:
        for degree in question.degrees:
            if len(question.degrees) == 1 or _monomials(flow, rate, degree) <= MOST_MONOMIALS:
                yield rate, degree


def _monomials(flow: Flow, rate: Rate, degree: int) -> int:
    """Size of a basis of all monomials of half a degree."""
    variables = flow.size if rate == "exp" else flow.size + 1
    vectors = 1 + sum(len(one.matrix) for one in flow.factored)
    return vectors * math.comb(variables + degree // 2, variables)


def _least(
    flow: Flow, where: Set, degrees: Sequence[int], residuals: tuple[Polynomial, ...]
) -> Least | None:
    """The least loss with its proof, or fractions on both sides of it; None without a proof."""
    if residuals and (least := least_value(flow, flow.loss, where, 0, residuals)) is not None:
        return least
    for room, degree in itertools.product((0.0, NEAR), sorted({0, *degrees})):
        if degree and _monomials(flow, "exp", degree) > MOST_MONOMIALS:
            continue
        least = least_value(flow, flow.loss, where, degree, room=room)
        if least is not None:
            return least
    return None


def _shifted(p: Polynomial, point: Sequence[fmpq] | None) -> Polynomial:
    return p if point is None else displaced(p, point)


def _at(c: Condition, point: Sequence[fmpq] | None) -> Condition:
    """A condition around a point; proofs stay, as nothing searches in them."""
    return c if point is None else replace(c, p=displaced(c.p, point))


def _why(
    tried: Sequence[tuple[Rate, int, str]], goal: Goal, question: Question, state: Slowest | None
) -> str:
    """The last reason, or the last one that knows a constant; where it fails; what to try next."""
    hint = LEVEL if question.level is None else LESS
    where = "" if state is None or goal.lower else f": {state.told(goal.flow, goal.rate)}"
    if not tried:
        return f"{NONE}{where}; {hint}"
    known = [reason for *_, reason in tried if reason.startswith(BEST)]
    last = known[-1] if known else tried[-1][2]
    most = max(degree for _, degree, _ in tried)
    slow = f"; V falls slowest{where}" if where else ""
    return f"no certificate up to degree {most}: {last}{slow}; {hint}"
