"""What a check says of a claim, in numbers and in one line."""

from __future__ import annotations

import html
import math
import sys
import textwrap
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from enum import StrEnum
from typing import Any, Literal

from potentials.source import Source

__all__ = ["HypothesisResult", "Outcome", "Verdict", "Verdicts", "exit_code", "resolution_text"]


#: How a message goes on where hypotheses are not met.
OUTSIDE = "; outside the theorem: "
#: How a message goes on where a claim could be sharper.
SHARPER = "; it would not hold if it were sharper"
LEAST = sys.float_info.min
#: An exponent that is nearer to the claimed one than this part of it is that one.
SAME = 1e-3


class Outcome(StrEnum):
    """What a check of "if H then C" can say."""

    HOLDS = "HOLDS"
    VIOLATED = "VIOLATED"
    HOLDS_BEYOND = "HOLDS_BEYOND"
    HYPOTHESIS_NOT_MET = "HYPOTHESIS_NOT_MET"
    INCONCLUSIVE = "INCONCLUSIVE"


@dataclass(frozen=True)
class HypothesisResult:
    """A hypothesis with the numbers of a run.

    Parameters
    ----------
    text : str
        The hypothesis in words.
    holds : bool
        Whether it holds at every selected time and index.
    value, needed : float
        Both sides where it holds least; NaN if one is undefined.
    relation : str
        How they are compared.
    unmet : str
        Where it does not hold: what a reader sees in its place, with the numbers.
    """

    text: str
    holds: bool
    value: float
    needed: float
    relation: str
    unmet: str = ""

    @property
    def known(self) -> bool:
        """Whether both sides are defined; what is unknown neither holds nor fails."""
        return not (math.isnan(self.value) or math.isnan(self.needed))

    def __str__(self) -> str:
        """Return one line: that it is met, or what stands in its place."""
        return f"{self.text}: met" if self.holds else self.unmet or f"{self.text}: not met"

    def to_json(self) -> dict[str, Any]:
        """Return the fields as plain JSON values."""
        return {
            "text": self.text,
            "holds": self.holds,
            "value": _plain(self.value),
            "relation": self.relation,
            "needed": _plain(self.needed),
            "unmet": self.unmet or None,
        }


@dataclass(frozen=True)
class Verdict:
    """What a run says about a claim.

    Parameters
    ----------
    claim : str
        The claim's id.
    verdict : Outcome
        HOLDS: hypotheses and conclusion hold. VIOLATED: the hypotheses hold, the conclusion does
        not. HOLDS_BEYOND: the conclusion holds although a hypothesis does not. HYPOTHESIS_NOT_MET:
        a hypothesis fails, and the conclusion fails as well, is undecided or has no meaning for
        this start; the claim says nothing about it, whatever a longer run shows. INCONCLUSIVE: the
        margin is below its error, the run is too short to say, or it is unknown whether the
        hypotheses hold.
    measured, bound, error : float or None
        With an unspecified constant: the measured exponent, the claimed one, and the error of the
        measured one, NaN where it has no limit, as that of a power of time while the loss falls
        exponentially. Otherwise: left side, constant times right side, and the numerical error of
        their difference, at the tightest time.
    hypotheses : tuple of HypothesisResult
        Each hypothesis with numbers.
    source : Source
        Where the claim is stated.
    constant : float or None
        The tightest constant along the run, if the right side is positive throughout.
    attained_at : float or None
        The time at which the constant (or the smallest margin) is attained; None where the claim
        compares numbers of the whole run, such as the last loss with the first.
    message : str
        One line for a person.
    resolution : float or None
        Where the conclusion holds: what the run may not tell. With an unspecified constant: the
        power of time by which the claim can be sharper and may still hold. Otherwise: the relative
        difference of constants that cannot be distinguished.
    exponent_resolution : float or None
        Where the conclusion holds, and the claim has an exponent: the smallest change of it with
        which the run would not let it hold, to a twentieth; infinite if there is none up to 10.
    statement, reading : str
        The claim in words and plain formulas, and what stands here for what the source leaves open.
    relation : {"<=", ">=", "==", ""}
        How `measured` should compare with `bound`; empty where they are not compared.
    compared : {"sides", "exponents", ""}
        What `measured` and `bound` are.
    conclusion : bool or None
        Whether the conclusion holds, whatever the hypotheses; None if it is undecided or void.
    """

    claim: str
    verdict: Outcome
    measured: float | None
    bound: float | None
    error: float | None
    hypotheses: tuple[HypothesisResult, ...]
    source: Source
    constant: float | None
    attained_at: float | None
    message: str
    resolution: float | None = None
    exponent_resolution: float | None = None
    statement: str = ""
    reading: str = ""
    relation: str = ""
    compared: Literal["sides", "exponents", ""] = ""
    conclusion: bool | None = None

    def __repr__(self) -> str:
        """One line: outcome, claim, what was found, source."""
        return f"{self.verdict} {self.claim}: {self.message} [{self.source}]"

    def _repr_html_(self) -> str:
        return _table([self])

    def said(self) -> Iterator[tuple[str, str]]:
        """Labels and texts of what a person wants to know: claimed, measured, not met.

        Yields
        ------
        label, text : str
            The label is empty where the text goes on with the one before.
        """
        yield "claimed", self.statement
        if self.reading:
            yield "read as", self.reading
        yield "measured", self._found()
        if self.constant is not None and self.conclusion:
            at = "" if self.compared == "sides" else f", needed at t = {self.attained_at:.6g}"
            # A constant that is found may be too small for a double; it is not zero.
            least = self.constant == 0.0 and self.compared == "exponents"
            value = f"one below {LEAST:.0e}" if least else f"{self.constant:.6g}"
            yield "constant", f"{value} is the sharpest that this run allows{at}"
        if self.resolution is not None:
            yield "resolution", self._resolved()
        unmet = [str(h) for h in self.hypotheses if not h.holds]
        for k, text in enumerate(dict.fromkeys(unmet)):
            yield "not met" if k == 0 else "", text

    def brief(self, room: int) -> str:
        """Say in one short line which numbers decide, or which hypothesis is not met.

        Parameters
        ----------
        room : int
            Characters that fit into the line; details are left out where there are more.
        """
        unmet = [str(h) for h in self.hypotheses if not h.holds]
        if self.verdict is Outcome.HYPOTHESIS_NOT_MET and unmet:
            return _fitting(sorted(set(unmet), key=len)[:1], room)
        if self.relation == "" or self.conclusion is None or self.measured is None:
            return _fitting([self._found()], room)
        relation = self.relation.replace("==", "=")
        known = self.error is not None and math.isfinite(self.error)
        error = f" ± {_short(self.error)}" if known and self.error is not None else ""
        if self.compared == "exponents":
            beside = f", claimed {relation} {self.bound:.6g}"
            texts = [f"exponent {self.measured:.6g}{error}{beside}"]
            return _fitting([*texts, f"exponent {self.measured:.6g}{beside}"], room)
        sides = f"{'' if self.conclusion else ', not'} {relation} {self.bound:.6g}"
        short = f"{self.measured:.6g}{sides}"
        full = f"{self.measured:.6g}{error}{sides}"
        at = "" if self.attained_at is None else f", t = {self.attained_at:.3g}"
        return _fitting([full + at, full, short], room)

    def _found(self) -> str:
        """Both sides with their direction, and where it is tightest."""
        if (
            self.measured is None
            or self.bound is None
            or not self.relation
            or self.conclusion is None
        ):
            found = self.message.partition(OUTSIDE)[0].removesuffix(f"; {self.reading}")
            # How much sharper it could be is said on a line of its own.
            return found if self.resolution is None else found.partition(SHARPER)[0]
        error = "" if self.error is None else f"; error {_short(self.error)}"
        relation = self.relation.replace("==", "=")
        if self.compared == "exponents":
            away = abs(self.measured - self.bound)
            if self.error is not None and math.isnan(self.error):
                margin = " at the end, where it has no limit"
                return f"exponent {self.measured:.6g}{margin}, claimed {relation} {self.bound:.6g}"
            wide = (self.error or 0.0) > away > SAME * abs(self.bound)
            if self.conclusion and wide:
                # It holds at both ends of what is possible, and goes on moving between them.
                margin = " at the end, where it has no limit yet"
            else:
                margin = "" if self.error is None else f" ± {_short(self.error)}"
            return f"exponent {self.measured:.6g}{margin}, claimed {relation} {self.bound:.6g}"
        sides = (
            f"{self.measured:.6g}{'' if self.conclusion else ', not'} {relation} {self.bound:.6g}"
        )
        if self.attained_at is None:
            return f"{sides}{error}"
        where = "is tightest" if self.conclusion else "fails most"
        return f"{sides} at t = {self.attained_at:.6g}, where it {where}{error}"

    def _resolved(self) -> str:
        """By how much the claim could be sharper."""
        assert self.resolution is not None
        if self.compared == "sides":
            return resolution_text(self.resolution, self.exponent_resolution)
        if self.exponent_resolution is not None:
            return (
                "it would not hold with an exponent that is sharper by more than"
                f" {_short(self.exponent_resolution)}"
            )
        return f"it would not hold if it were sharper by more than t^{_short(self.resolution)}"

    def to_json(self) -> dict[str, Any]:
        """Return the fields as plain JSON values; a number that is not finite is null."""
        return {
            "claim": self.claim,
            "statement": self.statement,
            "reading": self.reading or None,
            "verdict": str(self.verdict),
            "measured": _plain(self.measured),
            "relation": self.relation or None,
            "compared": self.compared or None,
            "conclusion": self.conclusion,
            "bound": _plain(self.bound),
            "error": _plain(self.error),
            "resolution": _plain(self.resolution),
            "exponent_resolution": _plain(self.exponent_resolution),
            "hypotheses": [h.to_json() for h in self.hypotheses],
            "source": self.source.to_json(),
            "constant": _plain(self.constant),
            "attained_at": _plain(self.attained_at),
            "message": self.message,
        }


class Verdicts(list[Verdict]):
    """Verdicts in the order of the claims: a list that shows itself line by line."""

    def __repr__(self) -> str:
        """One line a verdict."""
        return "\n".join(map(repr, self)) if self else "no verdicts"

    def _repr_html_(self) -> str:
        return _table(self)


def _table(verdicts: Iterable[Verdict]) -> str:
    """Table for a notebook, one row a verdict."""

    def row(cells: Iterable[object], tag: str = "td") -> str:
        style = 'style="text-align:left"'
        each = "".join(f"<{tag} {style}>{html.escape(str(cell))}</{tag}>" for cell in cells)
        return f"<tr>{each}</tr>"

    rows = [row((v.claim, v.verdict, v.message, v.source)) for v in verdicts]
    head = row(("claim", "verdict", "found", "source"), "th")
    return f"<table>{head}{''.join(rows)}</table>"


def _fitting(texts: list[str], room: int) -> str:
    """First text that fits; where none does, the words of the last one that fit, and dots."""
    for text in texts:
        if len(text) <= room:
            return text
    return textwrap.shorten(texts[-1], room, placeholder=" ...")


def _plain(x: float | None) -> float | None:
    return float(x) if x is not None and math.isfinite(x) else None


def _short(x: float) -> str:
    """Two digits, with a power of ten only where zeros would have to be counted."""
    return f"{x:.2g}" if 0.01 <= x < 1000 else f"{x:.1e}"


def resolution_text(constant: float, exponent: float | None) -> str:
    """Say how far a constant, and an exponent if there is one, could be from those of a claim."""
    text = f"the run cannot distinguish constants that differ by less than {constant:.1e}"
    if exponent is None:
        return text
    other = f"exponents that differ by less than {exponent:.2g}"
    return f"{text}, nor {other if math.isfinite(exponent) else 'any exponents within ten'}"


def exit_code(verdicts: Iterable[Verdict]) -> int:
    """Return 1 if some verdict is VIOLATED, else 3 if some is INCONCLUSIVE, else 0."""
    outcomes = {v.verdict for v in verdicts}
    if Outcome.VIOLATED in outcomes:
        return 1
    return 3 if Outcome.INCONCLUSIVE in outcomes else 0
