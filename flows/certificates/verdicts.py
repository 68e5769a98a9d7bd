r"""Rigorous verdicts: a claim along the whole enclosed trajectory, from 0 to its end.

A comparison ``lhs <= C rhs`` is decided on boxes that cover the trajectory, each halved until it is
certain there. PROVED: on every box where the claim's conditions may hold, the comparison holds.
REFUTED: on some box the conditions hold and the comparison fails, and every hypothesis is PROVED;
where one is REFUTED the claim says nothing about this start, HYPOTHESIS_NOT_MET. UNDECIDED: none of
these, within the budget. Where the paper leaves the constant open, some constant always serves a
finite stretch: ENCLOSED says that the stated interval contains the smallest (for ``>=`` the
largest) that does.

Marks of a claim's window, such as ``T2``, are times of the true flow, enclosed in balls.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from flows.certificates.certificate import Certificate
from flows.certificates.cover import Cover
from flows.certificates.decide import decide, hypothesis
from flows.certificates.decision import Proof
from flows.core.balls import precision
from flows.core.errors import InputError
from potentials.claim import Claim

__all__ = ["Proven", "RigorousVerdict", "refutes", "verdicts"]


@dataclass(frozen=True)
class RigorousVerdict:
    """What a certificate proves of a claim.

    Parameters
    ----------
    claim : str
        The claim's id.
    verdict : Proof
        PROVED and ENCLOSED are about the conclusion, whether or not the hypotheses hold. Where the
        conclusion fails the claim is REFUTED if all hypotheses are PROVED, HYPOTHESIS_NOT_MET if
        one is REFUTED, and UNDECIDED otherwise.
    hypotheses : tuple of (str, Proof)
        Each hypothesis of the claim.
    constant : str
        Interval that contains the tightest constant, where the source leaves it open.
    boxes : int
        Boxes that were looked at.
    message : str
        One line for a person.
    forever : bool
        Whether the verdict is about all times, not only those of the finite certificate.
    """

    claim: str
    verdict: Proof
    hypotheses: tuple[tuple[str, Proof], ...]
    constant: str
    boxes: int
    message: str
    forever: bool = False

    def to_json(self) -> dict[str, Any]:
        """Return the fields as plain JSON values."""
        return {
            "claim": self.claim,
            "verdict": str(self.verdict),
            "hypotheses": [{"text": text, "verdict": str(v)} for text, v in self.hypotheses],
            "constant": self.constant or None,
            "boxes": self.boxes,
            "message": self.message,
            "for_all_times": self.forever,
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
    known = {c.id: c for c in certificate.system.statements.claims}
    if isinstance(claim, str) and claim not in known:
        raise InputError(f"unknown claim {claim!r}; known: {', '.join(known)}")
    one = known[claim] if isinstance(claim, str) else claim
    with precision(certificate.precision):
        cover = Cover(certificate)
        return [_verdict(cover, c) for c in (known.values() if one is None else [one])]


def _verdict(cover: Cover, claim: Claim) -> RigorousVerdict:
    decisions = [decide(cover, c) for c in claim.comparisons]
    hypotheses = tuple((h.text, hypothesis(cover, h, claim)) for h in claim.hypotheses)
    order = [Proof.REFUTED, Proof.UNDECIDED, Proof.ENCLOSED, Proof.PROVED]
    worst = min(decisions, key=lambda d: order.index(d.proof))
    return RigorousVerdict(
        claim.id,
        _of_claim(worst.proof, [proof for _, proof in hypotheses]),
        hypotheses,
        worst.constant,
        sum(d.boxes for d in decisions),
        worst.message,
        all(d.forever for d in decisions),
    )


def _of_claim(conclusion: Proof, hypotheses: Sequence[Proof]) -> Proof:
    """Proof of "if H then C": a failure of C refutes it only where every hypothesis holds."""
    if conclusion is not Proof.REFUTED or set(hypotheses) <= {Proof.PROVED}:
        return conclusion
    return Proof.HYPOTHESIS_NOT_MET if Proof.REFUTED in hypotheses else Proof.UNDECIDED


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
        """Whether a claim is REFUTED."""
        return refutes(self.verdicts)

    def to_json(self) -> dict[str, Any]:
        """Return the fields as plain JSON values."""
        found = [v.to_json() for v in self.verdicts]
        return {"t_end": self.t_end, "error": self.error, "verdicts": found}


def refutes(found: Sequence[RigorousVerdict]) -> bool:
    """Whether a claim is REFUTED: its conclusion fails although all its hypotheses are PROVED."""
    return any(v.verdict is Proof.REFUTED for v in found)
