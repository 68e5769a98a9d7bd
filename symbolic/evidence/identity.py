"""Evidence that two expressions are equal, or that one is never above the other.

A numerical refutation is tried first, because it is cheap and comes with a counterexample; then a
proof; then an enclosure. What is neither refuted nor proved nor enclosed is `SAMPLED` if numbers
could be compared, `OPEN` if not.
"""

from __future__ import annotations

import functools
from dataclasses import dataclass
from enum import StrEnum
from typing import Any

import sympy as sp

from symbolic.evidence.enclosure import enclose
from symbolic.evidence.sampling import AGREEMENT, Domain, Relation, evaluated, sample
from symbolic.evidence.sign import sign
from symbolic.evidence.time_limit import OutOfTime, time_limit
from symbolic.language.expressions import as_expression
from symbolic.language.lower import NoBall
from symbolic.language.primitives import definition

__all__ = ["Basis", "Domain", "Evidence", "Finding", "Relation", "equals", "examine"]

# Differences with more operations than this are not given to SymPy's rules.
PROOF_SIZE = 400
# Seconds of processor time that sampling, proof and enclosure of one statement may each take.
PATIENCE = 20.0


class Evidence(StrEnum):
    """How well a relation is known, strongest first."""

    #: By algebra, or by rules of calculus for an inequality.
    PROVED = "PROVED"
    #: By ball arithmetic, on the boxes that the finding names.
    ENCLOSED = "ENCLOSED"
    #: Numbers agree wherever they were compared.
    SAMPLED = "SAMPLED"
    #: There is a counterexample.
    REFUTED = "REFUTED"
    #: Nothing is known.
    OPEN = "OPEN"


class Basis(StrEnum):
    """What a proof takes, least first."""

    #: Nothing: both sides are one expression once safe primitives are written out.
    DEFINITION = "definition"
    #: Derivatives, limits and substitutions carried out: then both sides are one expression.
    EVALUATION = "evaluation"
    #: SymPy's rules for expressions take the difference to zero.
    ALGEBRA = "algebra"
    #: The rules of `symbolic.evidence.sign` give the sign of the difference.
    CALCULUS = "calculus"


@dataclass(frozen=True)
class Finding:
    """Evidence, and what it rests on.

    Parameters
    ----------
    evidence : Evidence
        The level reached.
    counterexample : tuple of (str, str)
        Symbol and value pairs, then `("lhs", ...)` and `("rhs", ...)`; empty unless refuted.
    detail : str
        Why it is not proved, and what speaks for it: boxes, points, the time that was over. Empty
        if proved or refuted.
    basis : Basis or None
        What the proof takes; None unless proved.
    """

    evidence: Evidence
    counterexample: tuple[tuple[str, str], ...] = ()
    detail: str = ""
    basis: Basis | None = None

    @property
    def reason(self) -> str:
        """Why it is not proved, in words; empty if it is."""
        if not self.counterexample:
            return self.detail
        return "it fails for " + ", ".join(
            f"{name} = {value}" for name, value in self.counterexample
        )


def examine(
    lhs: Any, rhs: Any, domain: Domain = (), relation: Relation = "==", patience: float = PATIENCE
) -> Finding:
    """Look for evidence that `lhs relation rhs` holds on the domain.

    Parameters
    ----------
    lhs, rhs : Expr or Matrix
        The sides; unevaluated derivatives and limits are evaluated, integrals are done numerically
        for the sampling and symbolically for the proof. Non-commuting symbols stand for matrices.
    domain : tuple of (Symbol, low, high)
        Open intervals of the bounded symbols (`high` may be `oo`); for an integer symbol the values
        at which it is sampled, while a proof is for all.
    relation : {"==", "<=", ">="}
        How the sides compare, entry by entry.
    patience : float
        Seconds of processor time that each of the three attempts may take.

    Returns
    -------
    Finding
        `PROVED`: SymPy reduces the difference to zero, or the rules of `symbolic.evidence.sign`
        give its sign. `ENCLOSED`: ball arithmetic, see `symbolic.evidence.enclosure.enclose`.
        `SAMPLED`: holds to 50 digits at random points and near the ends of the domain. `REFUTED`:
        with a counterexample. `OPEN`: nothing could be evaluated.
    """
    left, right = _entries(lhs), _entries(rhs)
    domain = tuple((s, as_expression(low), as_expression(high)) for s, low, high in domain)
    if len(left) != len(right):
        return Finding(
            Evidence.REFUTED, (("lhs", f"{len(left)} entries"), ("rhs", f"{len(right)} entries"))
        )

    def within(attempt: Any, failure: str) -> tuple[Any, str]:
        try:
            with time_limit(patience):
                return attempt(left, right, domain, relation), failure
        except OutOfTime:
            return None, f"{failure} within {patience:g} s of processor time"
        except NoBall as refused:
            return None, str(refused)

    points, numbers = within(sample, "no number could be had")
    if isinstance(points, tuple):
        return Finding(Evidence.REFUTED, points)
    rules = "SymPy" if relation == "==" else "the rules of calculus"
    basis, proof = within(_proved, f"{rules} did not decide")
    if basis:
        plain = relation == "==" and _definition(lhs) == _definition(rhs)
        return Finding(Evidence.PROVED, basis=Basis.DEFINITION if plain else basis)
    boxes, enclosure = within(enclose, "ball arithmetic did not decide")
    if boxes:
        return Finding(Evidence.ENCLOSED, detail=f"{proof}; {boxes}")
    if points:
        compared = f"{AGREEMENT} digits agree" if relation == "==" else "it holds"
        numbers = f"{compared} at {points} points"
    evidence = Evidence.SAMPLED if points else Evidence.OPEN
    return Finding(evidence, detail="; ".join((proof, enclosure, numbers)))


def equals(lhs: Any, rhs: Any, domain: Domain = ()) -> bool | None:
    """Return True if the equality is proved, False if refuted, None if it stays open.

    Parameters
    ----------
    lhs, rhs, domain
        As in `examine`.

    Returns
    -------
    bool or None
        Sampling or enclosing random boxes alone never gives True.
    """
    evidence = examine(lhs, rhs, domain).evidence
    return {Evidence.PROVED: True, Evidence.REFUTED: False}.get(evidence)


def _entries(side: Any) -> list[sp.Expr]:
    entries = list(side) if isinstance(side, sp.MatrixBase) else [as_expression(side)]
    return [evaluated(e) for e in entries]


def _definition(side: Any) -> Any:
    """The side with safe primitives written out, nothing else done to it."""
    return definition(
        side.as_immutable() if isinstance(side, sp.MatrixBase) else as_expression(side)
    )


def _proved(
    left: list[sp.Expr], right: list[sp.Expr], domain: Domain, relation: Relation
) -> Basis | None:
    differences = [a - b for a, b in zip(left, right, strict=True)]
    if relation == "==":
        if not all(_reduces_to_zero(d) for d in differences):
            return None
        same = all(definition(a) == definition(b) for a, b in zip(left, right, strict=True))
        return Basis.EVALUATION if same else Basis.ALGEBRA
    wanted = 1 if relation == ">=" else -1
    # A proof is for every integer, not only for those that are sampled.
    bounds = tuple(
        (s, sp.Integer(0) + lo, sp.oo if s.is_integer else sp.Integer(0) + hi)
        for s, lo, hi in domain
    )
    signs = all(sign(d, bounds) == wanted or _reduces_to_zero(d) for d in differences)
    return Basis.CALCULUS if signs else None


@functools.lru_cache(maxsize=4096)
def _reduces_to_zero(difference: sp.Expr) -> bool:
    """Whether SymPy's rules take the difference to zero, cheapest rules first.

    A lemma stands in several documents, and is reduced once; who runs out of time is asked anew.
    """
    if difference.count_ops() > PROOF_SIZE:
        return _zero_polynomial(difference)
    expr = sp.expand(definition(evaluated(difference, integrals=True)))
    if expr == 0:
        return True
    if any(not s.is_commutative for s in expr.free_symbols):
        return False  # expansion is the normal form of matrices; the other rules assume numbers
    # A rational function of sines, cosines and symbols is one of exponentials, which expands to 0.
    numerator = sp.fraction(sp.together(expr.rewrite(sp.exp)))[0]
    if sp.expand(numerator) == 0 or sp.factor(expr) == 0:
        return True
    return bool(sp.simplify(expr) == 0)


def _zero_polynomial(difference: sp.Expr) -> bool:
    """Whether an expression is the polynomial zero: its normal form decides at any size."""
    symbols = sorted(difference.free_symbols, key=str)
    exact = not difference.has(sp.Float) and all(s.is_commutative for s in symbols)
    if not symbols or not exact or not difference.is_polynomial(*symbols):
        return False
    return bool(sp.Poly(difference, *symbols).is_zero)
