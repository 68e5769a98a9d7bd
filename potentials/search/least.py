"""The least value of a polynomial on a set, as a fraction that squares prove."""

from __future__ import annotations

from fractions import Fraction
from typing import NamedTuple

from flint import fmpq

from potentials.search.exact import Proof, prove, simplest
from potentials.search.polynomials import Flow, Polynomial, fraction
from potentials.search.program import NoProof, Program, solve, trimmed
from potentials.search.rates import SHARP
from potentials.search.regions import Set
from potentials.search.squares import Affine, Ansatz, Unknowns, claim_of

__all__ = ["Least", "least_value"]


class Least(NamedTuple):
    """What a polynomial is not below, with its proof; its infimum is not above the second number.

    Both are one where the infimum is a simple fraction.
    """

    value: fmpq
    above: fmpq
    proof: Proof


def least_value(
    flow: Flow,
    p: Polynomial,
    where: Set,
    degree: int,
    ideal: tuple[Polynomial, ...] = (),
    room: float = 0.0,
) -> Least | None:
    """The largest fraction that squares prove `p` not to be below, if it is a simple one.

    Squares are those of an ideal, where one is given. With some room, a relative one, both numbers
    are fractions on either side of the infimum.
    """
    ansatz, names = Ansatz(where.region, degree, ideal), Unknowns()
    bound = names.combination([flow.constant(1)])
    claim = claim_of("bounded", flow, Affine({0: p}) - bound, ansatz, names)
    try:
        best = float(solve(Program(names.count, (trimmed(claim),)), {1: -1.0}).x[0])
        size = max(1.0, abs(best))
        parts = [(-room, -room / 3), (room / 3, room)] if room else [(-SHARP, SHARP)] * 2
        value, above = (
            fraction(simplest(*(Fraction(best + part * size) for part in both))) for both in parts
        )
        # Its own ansatz is smaller, where terms cancel.
        exact, names = Affine({0: p - flow.constant(value)}), Unknowns()
        claim = claim_of("bounded", flow, exact, ansatz, names)
        return Least(value, above, prove(Program(names.count, (trimmed(claim),))))
    except NoProof:
        return None
