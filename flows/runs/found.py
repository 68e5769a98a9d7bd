"""A potential that was found, with its proof: what is proved, claims, LaTeX, a file."""

from __future__ import annotations

import json
import math
from dataclasses import dataclass, field
from fractions import Fraction
from pathlib import Path
from typing import Any, Protocol

import sympy as sp

from flows.core.errors import InputError
from flows.core.files import check_output, write_file
from potentials.claim import Claim, Comparison, Hypothesis, Inequality, Relation
from potentials.notation import symbol
from potentials.source import Source

__all__ = ["NOT_FOUND", "PROPOSED", "PROVED", "FoundPotential", "Proof", "Sampled"]

SAMPLES = Source("popflow", 2026, "", "proposed by `popflow find`, not proved", "inequality")
HERE = Source("popflow", 2026, "", "proved by `popflow find`", "inequality")
CONVERSE: dict[Relation, Relation] = {"<=": ">=", ">=": "<="}
PROVED, PROPOSED, NOT_FOUND = "PROVED", "PROPOSED", "NOT_FOUND"


class Proof(Protocol):
    """What a potential is proved by."""

    @property
    def of_loss(self) -> bool:
        """Whether the potential is the loss itself."""

    @property
    def level(self) -> sp.Rational | None:
        """Where the loss is at most this its rate holds; None: for every start of the theorem."""

    def data(self) -> dict[str, Any]:
        """Return what a file of it holds."""

    def theorem(self) -> str:
        """Return theorem and proof in LaTeX."""


@dataclass(frozen=True)
class Sampled:
    """What a proposal rests on, which is no proof.

    Parameters
    ----------
    seen : int
        States that the linear program knew.
    fresh : int
        States that it did not know, none of which violates the proposal.
    margin : float
        By so much of itself the nearest of these is away from a violation.
    nearest : ndarray
        Fresh states that come nearest to one, in the user's parameters, the nearest first.
    where : tuple of Expr
        The set: all of these, in quantities, are not negative there.
    """

    seen: int
    fresh: int
    margin: float
    nearest: Any
    where: tuple[sp.Expr, ...]


@dataclass(frozen=True)
class FoundPotential:
    r"""A potential that proves a rate, or one that samples propose, or why none was found.

    .. math:: V(t) \le C t^{-q} \quad \text{or} \quad \dot V \le -c V

    A bound from below is `V(t) \ge C (t + (C/V(0))^{1/q})^{-q}`, or `\dot V \ge -c V`.

    Parameters
    ----------
    verdict : str
        `PROVED`; `PROPOSED`, which proves nothing: samples do not violate it; or `NOT_FOUND`, which
        disproves nothing.
    reason : str
        Why nothing was found: the degree, the best value so far, a next attempt.
    V : Expr, optional
        The potential, in the blocks and their entries, or in coordinates.
    constant : Expr, optional
        `C` or `c`, exactly as it is proved.
    best : float
        The best one of this degree, as far as a solver in doubles finds it; NaN without any.
    exponent : Fraction, optional
        `q`; None of an exponential rate.
    statement : str
        The theorem, as the independent check prints it.
    hypotheses : tuple of str
        Conditions that are assumed to stay true along the flow: the statement ends with them.
    degree : int
        Of the proof, or of the last attempt.
    seconds : float
        The search took so long.
    lower : bool
        Whether it is a bound from below.
    possible : float
        No constant of this `V` is better than this one: it is that of a state of the set, to 1e-7;
        near a minimum, of samples. NaN where none was looked for.
    sampled : Sampled, optional
        Of a proposal the states that it rests on.
    """

    verdict: str
    reason: str
    V: sp.Expr | None
    constant: sp.Expr | None
    best: float
    exponent: Fraction | None
    statement: str
    hypotheses: tuple[str, ...]
    degree: int
    seconds: float
    lower: bool = False
    possible: float = math.nan
    _proof: Proof | None = field(default=None, repr=False, compare=False)
    sampled: Sampled | None = field(default=None, compare=False)

    def __str__(self) -> str:
        """The statement, or the reason."""
        return f"{self.verdict}: {self.statement or self.reason}"

    @property
    def proved(self) -> bool:
        """Whether there is a proof."""
        return self.verdict == PROVED

    def latex(self) -> str:
        """The theorem with its proof, for a LaTeX document with amsmath and amsthm.

        Entries of blocks are counted from one there, as on paper: `X[0,1]` is `X_{12}`.
        """
        return self._needed().theorem()

    def claims(self, name: str = "V") -> tuple[Claim, ...]:
        r"""What is proved or proposed, for `flows.check`: `\dot V \le -c V^{1 + 1/q}`, exactly.

        The claim of a proposal says so, and is about the states of its set.

        Parameters
        ----------
        name : str
            Of the potential in the runs that are checked: build the system with
            ``potentials={"V": found.V}``. Where `V` is the loss itself, it is the loss.

        Raises
        ------
        InputError
            Where nothing is proved or proposed.
        """
        sampled, proof = self.sampled, self._proof if self.sampled else self._needed()
        assert self.constant is not None
        quantity = "loss" if proof is not None and proof.of_loss else name
        V, rate = symbol(quantity), symbol(f"{quantity}_dot")
        power, factor = sp.Integer(1), self.constant
        sign: Relation = ">=" if self.lower else "<="
        if self.exponent is not None:
            # V <= C t^-q is the solution of V' = -q C^(-1/q) V^(1 + 1/q).
            q = sp.Rational(self.exponent.numerator, self.exponent.denominator)
            power, factor = 1 + 1 / q, q * self.constant ** (-1 / q)
        return (
            Inequality(
                id="found" if sampled is None else "proposed",
                statement=f"d{quantity}/dt {sign} -{factor} {quantity}^({power})"
                + (", proposed on samples, not proved" if sampled else ""),
                source=HERE if sampled is None else SAMPLES,
                conclusions=(
                    Comparison(
                        -rate,
                        CONVERSE[sign],
                        V**power,
                        factor,
                        (symbol("t"),) if sampled is None else sampled.where,
                    ),
                ),
                hypotheses=()
                if proof is None or proof.level is None
                else (Hypothesis(f"loss <= {proof.level}", symbol("loss"), "<=", proof.level),),
            ),
        )

    def save(self, path: Any, *, force: bool = False) -> None:
        """Write the proof for `popflow verify`, which shares no code with the search.

        Raises
        ------
        InputError
            Where nothing is proved, and for a file that exists, without ``force``.
        """
        text = json.dumps(self.data())
        check_output(path, force)
        write_file(path, lambda part: Path(part).write_text(text, encoding="ascii"))

    def data(self) -> dict[str, Any]:
        """Return what the file of the proof holds."""
        return self._needed().data()

    def to_json(self) -> dict[str, Any]:
        """Plain data; exact numbers are text."""
        kind = "power" if self.exponent is not None else "exp"
        rate = {"kind": kind, "exponent": None if self.exponent is None else str(self.exponent)}
        return {
            "verdict": self.verdict,
            "V": None if self.V is None else str(self.V),
            "constant": None if self.constant is None else str(self.constant),
            "best": self.best if math.isfinite(self.best) else None,
            "possible": self.possible if math.isfinite(self.possible) else None,
            "rate": rate if self.V is not None else None,
            "statement": self.statement or self.reason,
            "hypotheses": list(self.hypotheses),
            "seconds": self.seconds,
        } | self._samples()

    def _samples(self) -> dict[str, Any]:
        """Of a proposal, as plain data."""
        if self.sampled is None:
            return {}
        known = {name: getattr(self.sampled, name) for name in ("seen", "fresh", "margin")}
        return {"sampled": known | {"nearest": self.sampled.nearest.tolist()}}

    def _needed(self) -> Proof:
        if self._proof is None:
            raise InputError(f"nothing is proved: {self.reason or self.statement}")
        return self._proof
