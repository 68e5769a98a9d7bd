r"""Rigorous verdicts: a claim along the whole enclosed trajectory, from 0 to its end.

A comparison ``lhs <= C rhs`` is decided on boxes that cover the trajectory, each halved until it is
certain there. PROVED: on every box where the claim's conditions may hold, the comparison holds.
REFUTED: on some box the conditions hold and the comparison fails. UNDECIDED: neither, within the
budget. Where the paper leaves the constant open, some constant always serves a finite stretch:
ENCLOSED says that the stated interval contains the smallest (for ``>=`` the largest) that does.

Marks of a claim's window, such as ``T2``, are times of the true flow, enclosed in balls.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import potentials
from flows.certificates.certificate import Certificate
from flows.certificates.decide import Proof, Trajectory
from flows.core.balls import precision
from flows.core.errors import InputError
from potentials.claim import Claim

__all__ = ["Proven", "RigorousVerdict", "exit_code", "verdicts"]


@dataclass(frozen=True)
class RigorousVerdict:
    """What a certificate proves of a claim.

    Parameters
    ----------
    claim : str
        The claim's id.
    verdict : Proof
        Of the conclusion, whether or not the hypotheses hold.
    hypotheses : tuple of (str, Proof)
        Each hypothesis of the claim.
    constant : str
        Interval that contains the tightest constant, where the source leaves it open.
    boxes : int
        Boxes that were looked at.
    message : str
        One line for a person.
    """

    claim: str
    verdict: Proof
    hypotheses: tuple[tuple[str, Proof], ...]
    constant: str
    boxes: int
    message: str

    def to_json(self) -> dict[str, Any]:
        """Return the fields as plain JSON values."""
        return {
            "claim": self.claim,
            "verdict": str(self.verdict),
            "hypotheses": [{"text": text, "verdict": str(v)} for text, v in self.hypotheses],
            "constant": self.constant or None,
            "boxes": self.boxes,
            "message": self.message,
        }


def verdicts(certificate: Certificate, claim: Claim | str | None = None) -> list[RigorousVerdict]:
    """Decide claims along the trajectory of a certificate.

    Parameters
    ----------
    certificate : Certificate
        An enclosure; the verdicts are as true as it is, see :func:`flows.verify`.
    claim : Claim or str, optional
        One claim, or its id; by default all of the certificate's system.

    Returns
    -------
    list of RigorousVerdict
        One a claim.

    Raises
    ------
    InputError
        For an unknown id.
    """
    known = {c.id: c for c in potentials.claims(certificate.system.name)}
    if isinstance(claim, str) and claim not in known:
        raise InputError(f"unknown claim {claim!r}; known: {', '.join(known)}")
    one = known[claim] if isinstance(claim, str) else claim
    with precision(certificate.precision):
        trajectory = Trajectory(certificate)
        return [_verdict(trajectory, c) for c in (known.values() if one is None else [one])]


def _verdict(trajectory: Trajectory, claim: Claim) -> RigorousVerdict:
    findings = [trajectory.decide(c) for c in claim.comparisons]
    hypotheses = tuple((h.text, trajectory.hypothesis(h, claim)) for h in claim.hypotheses)
    order = [Proof.REFUTED, Proof.UNDECIDED, Proof.ENCLOSED, Proof.PROVED]
    worst = min(findings, key=lambda f: order.index(f.proof))
    return RigorousVerdict(
        claim.id,
        worst.proof,
        hypotheses,
        worst.constant,
        sum(f.boxes for f in findings),
        worst.message,
    )


@dataclass(frozen=True)
class Proven:
    """What a checked certificate proves of the claims.

    Parameters
    ----------
    t_end : float
        Its end.
    error : float
        Bound of the distance between flow and polynomial at every time.
    verdicts : tuple of RigorousVerdict
        One a claim.
    """

    t_end: float
    error: float
    verdicts: tuple[RigorousVerdict, ...]

    @property
    def refutes(self) -> bool:
        """Whether a claim is REFUTED although its hypotheses are PROVED."""
        return exit_code(self.verdicts) == 1

    def to_json(self) -> dict[str, Any]:
        """Return the fields as plain JSON values."""
        found = [v.to_json() for v in self.verdicts]
        return {"t_end": self.t_end, "error": self.error, "verdicts": found}


def exit_code(found: Sequence[RigorousVerdict]) -> int:
    """Return 1 if a claim is REFUTED and all its hypotheses are PROVED, 0 otherwise."""
    return int(
        any(
            v.verdict is Proof.REFUTED and all(h is Proof.PROVED for _, h in v.hypotheses)
            for v in found
        )
    )
