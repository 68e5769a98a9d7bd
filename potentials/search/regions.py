r"""Sets of states that a flow does not leave, each condition with the reason.

A level set `\{L \le c\}`; what is zero as coordinates are defined; a polynomial `p` with
`\dot p = \lambda p`, whose zeros and signs stay; a function of coordinates that is a sum of squares
of what they are functions of; a ball that a short path does not leave, see
:mod:`potentials.search.length`; and conditions that are assumed, which a theorem names as
hypotheses.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from flint import fmpq

from potentials.search.algebra import relations
from potentials.search.exact import Proof, prove
from potentials.search.invariants import cofactor
from potentials.search.polynomials import Flow, Polynomial
from potentials.search.program import NoProof, Program, trimmed
from potentials.search.squares import Affine, Ansatz, Region, Unknowns, claim_of

__all__ = ["Condition", "Set", "composed", "condition", "identities", "level_set", "of_squares"]

Reason = Literal["level", "cofactor", "identity", "squares", "length", "assumed"]


@dataclass(frozen=True)
class Condition:
    r"""`p >= 0` or `p = 0`, and why it stays true.

    Parameters
    ----------
    p : Polynomial
        The polynomial.
    equal : bool
        Whether it is zero.
    reason : str
        "level", "cofactor", "identity", "squares", "length" or "assumed".
    level : fmpq, optional
        `c`, where `p = c - L`.
    cofactor : Polynomial, optional
        `\\lambda`.
    proof : Proof, optional
        Of squares.
    """

    p: Polynomial
    equal: bool
    reason: Reason
    level: fmpq | None = None
    cofactor: Polynomial | None = None
    proof: Proof | None = None


@dataclass(frozen=True)
class Set:
    """States that meet conditions; ``matrices`` are positive semidefinite as they are defined."""

    conditions: tuple[Condition, ...] = ()
    matrices: tuple[tuple[tuple[Polynomial, ...], ...], ...] = ()

    @property
    def region(self) -> Region:
        """What squares are multiplied by."""
        above = tuple(c.p for c in self.conditions if not c.equal)
        zero = tuple(c.p for c in self.conditions if c.equal)
        return Region(above, zero, self.matrices)


def level_set(flow: Flow, level: fmpq) -> Condition:
    """`L <= c`: along a gradient flow the loss does not grow."""
    return Condition(flow.constant(level) - flow.loss, False, "level", level=level)


def condition(flow: Flow, p: Polynomial, equal: bool) -> Condition:
    """A condition with the best reason that there is."""
    if flow.origin is not None and equal and composed(flow, p) == 0:
        return Condition(p, equal, "identity")
    rate = cofactor(flow, p) if p != 0 else None
    if rate is not None:
        return Condition(p, equal, "cofactor", cofactor=rate)
    found = None if equal else of_squares(flow, p)
    return found or Condition(p, equal, "assumed")


def of_squares(flow: Flow, p: Polynomial) -> Condition | None:
    """`p >= 0` of coordinates, where squares of what they are functions of prove it; or None."""
    if flow.origin is None:
        return None
    names = Unknowns()
    whole = Affine({0: composed(flow, p)})
    claim = claim_of("region", flow.origin, whole, Ansatz(Region()), names)
    try:
        proof = prove(Program(names.count, (trimmed(claim),)))
    except NoProof:
        return None
    return Condition(p, False, "squares", proof=proof)


def identities(flow: Flow, degree: int = 2) -> tuple[Condition, ...]:
    """What coordinates fulfil as they are defined, up to a degree."""
    if flow.origin is None:
        return ()
    basis = flow.monomials(degree)
    found = relations([composed(flow, p) for p in basis])
    sums = (
        sum((c * p for c, p in zip(v, basis, strict=True)), start=flow.constant(0)) for v in found
    )
    return tuple(Condition(p, True, "identity") for p in sums)


def composed(flow: Flow, p: Polynomial) -> Polynomial:
    """A polynomial in coordinates as one in the variables of their origin."""
    assert flow.origin is not None
    found = flow.origin.constant(0)
    for powers, c in p.to_dict().items():
        term = flow.origin.constant(c)
        for image, k in zip(flow.images, powers[:-1], strict=True):
            term = term * image**k
        found = found + term
    return found
