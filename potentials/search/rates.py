r"""Potentials with the best constant of a rate, as sums of squares.

For `V \ge 0`, whole `m, k > 0` and `d > 0`,

.. math:: \dot V \le -d^{-k/m} V^{1 + k/m} \iff
          m (-\dot V) - (m + k) s^k V + k d\, s^{m+k} \ge 0 \quad \text{for all } s \ge 0.

`\Rightarrow` is Young's inequality, and `\Leftarrow` its case `s = (V/d)^{1/m}`. Then
`V(t) \le d (m/(k t))^{m/k}` for `t > 0`. The right side is linear in `V` and `d` together, so that
the best `d` among all `V` of a span is one semidefinite program. An exponential rate is
`-\dot V - c V \ge 0`, linear in `c` for one `V`.

A lower bound of one `V` is `e V^{m+k} - (-\dot V)^m \ge 0`, or `\dot V + c V \ge 0`: then
`V(t) \ge (V(0)^{-k/m} + \frac km e^{1/m} t)^{-m/k}`, or `V(t) \ge V(0) e^{-c t}`.
"""

from __future__ import annotations

import contextlib
import itertools
import math
from collections.abc import Iterator
from dataclasses import dataclass, replace
from fractions import Fraction
from typing import Literal, NamedTuple

from flint import fmpq

from potentials.search.exact import Proof, prove, simplest
from potentials.search.jacobian import Jacobian
from potentials.search.polynomials import Flow, Polynomial, fraction
from potentials.search.program import NoProof, Program, solve, trimmed
from potentials.search.regions import Set
from potentials.search.squares import Affine, Ansatz, Region, Unknowns, claim_of

__all__ = ["BEST", "SHARP", "Found", "Goal", "Power", "Rate", "posed", "search"]

#: Constants are the simplest fractions within the first number of the best one, then those that
# leave so much of it.
SHARP = 1e-6
SLACK = (1e-4, 1e-3, 1e-2, 1e-1)
# Coefficients of a potential are first tried as fractions with denominators up to this one.
DENOMINATOR = 24
# Programs of more unknowns take minutes.
MOST_COLUMNS, MOST_ROOM = 4000, 2
# So much better a constant has to be, that another proof is worth its time.
WORTH = fmpq(1, 10_000)
#: How a reason begins that knows a constant.
BEST = "the best constant is about"
# A best constant outside these is none.
LEAST, MOST = 1e-7, 1e7


@dataclass(frozen=True)
class Power:
    """`t^-(m/k)`, with `m` and `k` without a common factor."""

    m: int
    k: int

    @property
    def exponent(self) -> Fraction:
        """`m/k`."""
        return Fraction(self.m, self.k)


#: How fast a potential falls.
Rate = Power | Literal["exp"]


@dataclass(frozen=True)
class Found:
    """A potential, its constant, and the squares that prove them.

    Parameters
    ----------
    flow : Flow
        Along which it falls.
    rate : Rate
        How fast.
    where : Set
        On which set of states.
    V, target : Polynomial
        The potential, and what it is not below.
    constant : fmpq
        `d`, or `c` of an exponential rate.
    best : float
        The best one of this degree, as far as the solver finds it.
    factor : Polynomial, optional
        By which the claim of the rate is multiplied.
    least : fmpq, optional
        The lower bound of the loss, with which the flow exists for all times.
    proof : Proof
        Of the claims "decay", "above" and "positive", and "bounded": the loss has a lower bound.
    lower : bool
        Whether it falls no faster, and the constant is `e`, or `c`.
    jacobian : Jacobian, optional
        Of the squares that it is a sum of, where "decay" is about it.
    possible : float
        No constant is better: a state of the set has this one; NaN where none was looked for.
    """

    flow: Flow
    rate: Rate
    where: Set
    V: Polynomial
    target: Polynomial
    constant: fmpq
    best: float
    proof: Proof
    factor: Polynomial | None = None
    least: fmpq | None = None
    lower: bool = False
    jacobian: Jacobian | None = None
    possible: float = math.nan


@dataclass(frozen=True)
class Goal:
    """What is sought along a flow.

    Parameters
    ----------
    flow : Flow
        The flow.
    target : Polynomial
        `V` is this or more; it is not negative itself.
    template : tuple of Polynomial
        One: `V` is this. Several: `V` is a combination.
    rate : Rate
        How fast `V` is to fall; an exponential rate takes a template of one.
    where : Set
        On which states, which the flow does not leave.
    residuals : tuple of Polynomial
        Functions that vanish where the target does: squares are sought in their ideal, in which
        programs are smaller and their solutions have smaller kernels.
    factor : Polynomial, optional
        A positive polynomial by which the claim of the rate is multiplied: what is not negative may
        be no sum of squares, and its product be one.
    lower : bool
        Whether `V` is to fall no faster than that.
    jacobian : Jacobian, optional
        Of the squares that `V` is a sum of: its rate is to follow from their Jacobian.
    sizes : tuple of fmpq
        Of a span in which nothing else fixes the size of `V`: numbers by which members count, so
        that the sum of coefficients times these is one.
    """

    flow: Flow
    target: Polynomial
    template: tuple[Polynomial, ...]
    rate: Rate
    where: Set
    residuals: tuple[Polynomial, ...] = ()
    factor: Polynomial | None = None
    lower: bool = False
    jacobian: Jacobian | None = None
    sizes: tuple[fmpq, ...] = ()

    @property
    def sense(self) -> int:
        """Whether the best constant is the least one (1) or the largest one (-1)."""
        return -1 if self.rate == "exp" and not self.lower else 1


class Posed(NamedTuple):
    """A program, with its potential and the number of the unknown that is the constant."""

    program: Program
    potential: Affine
    wanted: int


def search(goal: Goal, degree: int, held: Found | None = None, possible: float = math.nan) -> Found:
    """Find `V` with the best constant of its rate.

    Parameters
    ----------
    goal : Goal
        What is sought.
    degree : int
        Of monomials that a proof may use beyond Newton's polytope.
    held : Found, optional
        A proof that is there; its constant is to become better.
    possible : float
        No constant is better, as a state shows.

    Raises
    ------
    NoProof
        Where nothing is found; with the best constant, where that is known.
    """
    program, potential, wanted = posed(goal, degree)
    solved = solve(program, {wanted: float(goal.sense)}).x
    best = float(solved[wanted - 1])
    if not LEAST < best < MOST:
        raise NoProof("no constant at this degree")
    if goal.sizes:
        V = potential.at([fraction(float(x)) for x in solved])
        largest = max(abs(c) for c in V.coeffs())
        terms = ((e, Fraction(str(c / largest))) for e, c in V.to_dict().items())
        ratios = {e: fraction(c.limit_denominator(DENOMINATOR)) for e, c in terms}
        one = goal.flow.ring.from_dict(ratios)
        return search(replace(goal, template=(one,), sizes=()), degree)
    # A state tells the best constant with more digits than squares do.
    seen = abs(best - possible) <= SLACK[0] * possible
    values = tuple(
        c
        for c in candidates(possible if seen else best, goal.sense)
        if held is None or goal.sense * (held.constant - c) > WORTH * held.constant
    )
    if not values:
        raise NoProof(f"{BEST} {best:.6g}")
    if len(goal.template) > 1:
        near = [
            fraction(Fraction(float(x)).limit_denominator(DENOMINATOR))
            for x in solved[: wanted - 1]
        ]
        simple = replace(goal, template=(goal.flow.constant(0) + potential.at(near),))
        for value in values:
            with contextlib.suppress(NoProof):
                return _proved(simple, degree, value, best)
    # What cannot be proved with most room is not tried with less.
    *sharper, roomy = values
    try:
        found = _proved(goal, degree, roomy, best)
    except NoProof as problem:
        raise NoProof(f"{BEST} {best:.6g}, and {problem}") from None
    for value, like in itertools.product(sharper, (None, found)):
        with contextlib.suppress(NoProof):
            return _proved(goal, degree, value, best, like)
    return found


def _proved(
    goal: Goal, degree: int, constant: fmpq, best: float, like: Found | None = None
) -> Found:
    """A proof with a given constant, whose own program is smaller where terms cancel.

    With the bases of another proof, what had to vanish there has to vanish here.
    """
    program, potential, _ = posed(goal, degree, constant)
    if like is not None:
        blocks = {one.claim.name: one.claim.blocks for one in like.proof.claims}
        claims = (replace(claim, blocks=blocks[claim.name]) for claim in program.claims)
        program = replace(program, claims=tuple(claims))
    proof = prove(program, close=True)
    return Found(
        flow=goal.flow,
        rate=goal.rate,
        where=goal.where,
        V=goal.flow.constant(0) + potential.at(proof.unknowns),
        target=goal.target,
        constant=constant,
        best=best,
        proof=proof,
        factor=goal.factor,
        lower=goal.lower,
        jacobian=goal.jacobian,
    )


def posed(goal: Goal, degree: int, known: fmpq | None = None) -> Posed:
    """The program of a goal, with an unknown constant or a known one.

    Raises
    ------
    NoProof
        For a span of potentials with an exponential rate, and a program that is too large.
    """
    flow, rate, names = goal.flow, goal.rate, Unknowns()
    alone = len(goal.template) == 1
    potential = Affine({0: goal.template[0]}) if alone else _span(goal, names)
    if known is None:
        constant = names.combination([flow.constant(1)])
    else:
        constant = Affine({0: flow.constant(known)})
    wanted = names.count
    over, ideal = goal.where.region, goal.residuals
    if not alone and (rate == "exp" or goal.lower):
        raise NoProof("this rate takes one potential, not a span")
    if goal.lower:
        decay = _slow(flow, goal.template[0], rate, constant)
    elif rate == "exp":
        decay = potential.mapped(flow.along).times(-1) - constant.times(goal.template[0])
    else:
        decay = relation(flow, potential, rate, constant)
        s = flow.s
        above = (*over.above, s, *(g * s for g in over.above))
        over = Region(above, over.zero, over.matrices)
        ideal = (*ideal, s) if ideal else ()
    if goal.factor is not None:
        decay = decay.times(goal.factor)
    usual = Ansatz(goal.where.region, degree, goal.residuals)
    stated = [("decay", flow, decay, Ansatz(over, degree, ideal))]
    if (by := goal.jacobian) is not None:
        ansatz = Ansatz(by.region(goal.where), degree, forms=by.forms)
        stated = [("decay", by.wider, by.decay(constant), ansatz)]
    if not alone or goal.template[0] != goal.target:
        stated.append(("above", flow, potential - Affine({0: goal.target}), usual))
    if rate != "exp":
        stated.append(("positive", flow, Affine({0: goal.target}), usual))
    claims = tuple(claim_of(*parts, names) for parts in stated)
    for room in (MOST_ROOM, 1):  # to take out what is of no use takes long, too
        program = Program(names.count, claims)
        if program.columns > room * MOST_COLUMNS:
            raise NoProof(f"a program of {program.columns} unknowns takes too long")
        claims = tuple(trimmed(claim) for claim in claims)
    return Posed(program, potential, wanted)


def _span(goal: Goal, names: Unknowns) -> Affine:
    """Combinations of the template, of size one where that is what sizes are for."""
    basis, sizes = goal.template, goal.sizes
    if not sizes:
        return names.combination(basis)
    k = max(range(len(basis)), key=lambda j: abs(sizes[j]))
    one = basis[k] / sizes[k]
    rest = [p - n * one for j, (p, n) in enumerate(zip(basis, sizes, strict=True)) if j != k]
    return names.combination(rest) + Affine({0: one})


def _slow(flow: Flow, V: Polynomial, rate: Rate, constant: Affine) -> Affine:
    """What is not negative where `V` falls no faster than at a rate."""
    falls = -flow.along(V)
    if rate == "exp":
        return constant.times(V) - Affine({0: falls})
    return constant.times(V ** (rate.m + rate.k)) - Affine({0: falls**rate.m})


def relation(flow: Flow, potential: Affine, rate: Power, constant: Affine) -> Affine:
    r"""`m (-\dot V) - (m+k) s^k V + k d s^{m+k}`, which is not negative for `s \ge 0`."""
    m, k, s = rate.m, rate.k, flow.s
    return (
        potential.mapped(flow.along).times(-m)
        - potential.times((m + k) * s**k)
        + constant.times(k * s ** (m + k))
    )


def candidates(best: float, sense: int) -> Iterator[fmpq]:
    """Simple fractions: the best constant, if it is one, then those that leave more room."""
    parts = [(-SHARP, SHARP), *((sense * slack / 3, sense * slack) for slack in SLACK)]
    for part in parts:
        low, high = sorted(Fraction(best + x * abs(best)) for x in part)
        yield fraction(simplest(low, high))
