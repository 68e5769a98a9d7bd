"""A potential that was found, with its proof: what is proved, claims, LaTeX, a file."""

from __future__ import annotations

import json
import math
from collections.abc import Iterator
from dataclasses import dataclass, field
from fractions import Fraction
from pathlib import Path
from typing import Any, Protocol

import sympy as sp
from sympy.core.relational import Relational

from flows.core.errors import InputError
from flows.core.files import check_output, write_file
from potentials.claim import Claim, Comparison, Hypothesis, Inequality, Relation
from potentials.notation import symbol
from potentials.source import Source

__all__ = ["NOT_FOUND", "PROVED", "FoundPotential", "Proof"]

#: In conditions of a theorem, the loss.
LOSS = sp.Symbol("L")
# What is equal in a theorem differs by at most this along a run.
ZERO = sp.Rational(1, 10**9)
HERE = Source("popflow", 2026, "", "proved by `popflow find`", "inequality")
CONVERSE: dict[Relation, Relation] = {"<=": ">=", ">=": "<="}
PROVED, NOT_FOUND = "PROVED", "NOT_FOUND"


class Proof(Protocol):
    """What a potential is proved by."""

    @property
    def of_loss(self) -> bool:
        """Whether the potential is the loss itself."""

    @property
    def where(self) -> tuple[Relational, ...]:
        """Conditions under which the rate holds, in the blocks; `L` is the loss."""

    def data(self) -> dict[str, Any]:
        """Return what a file of it holds."""

    def theorem(self) -> str:
        """Return theorem and proof in LaTeX."""


@dataclass(frozen=True)
class FoundPotential:
    r"""A potential that proves a rate, or why none was found.

    .. math:: V(t) \le C t^{-q} \quad \text{or} \quad \dot V \le -c V

    A bound from below is `V(t) \ge C (t + (C/V(0))^{1/q})^{-q}`, or `\dot V \ge -c V`.

    Parameters
    ----------
    verdict : str
        `PROVED` or `NOT_FOUND`, which disproves nothing.
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
        r"""What is proved as a claim for `flows.check`: `\dot V \le -c V^{1 + 1/q}`, exactly.

        Parameters
        ----------
        name : str
            Of the potential in the runs that are checked: build the system with
            ``potentials=found.observed(name)``, unless `V` is the loss itself and `L <= level` the
            only condition. Each condition of the theorem is a hypothesis.

        Raises
        ------
        InputError
            Where nothing is proved.
        """
        proof = self._needed()
        assert self.constant is not None
        quantity = "loss" if proof.of_loss else name
        V, rate = symbol(quantity), symbol(f"{quantity}_dot")
        power, factor = sp.Integer(1), self.constant
        sign: Relation = ">=" if self.lower else "<="
        if self.exponent is not None:
            # V <= C t^-q is the solution of V' = -q C^(-1/q) V^(1 + 1/q).
            q = sp.Rational(self.exponent.numerator, self.exponent.denominator)
            power, factor = 1 + 1 / q, q * self.constant ** (-1 / q)
        return (
            Inequality(
                id="found",
                statement=f"d{quantity}/dt {sign} -{factor} {quantity}^({power})",
                source=HERE,
                conclusions=(Comparison(-rate, CONVERSE[sign], V**power, factor),),
                hypotheses=tuple(_hypotheses(proof, name)),
            ),
        )

    def observed(self, name: str = "V") -> dict[str, sp.Expr]:
        """Potentials that :meth:`claims` are about, for a system: `V`, and conditions."""
        where = enumerate(self._needed().where, 1)
        return {name: self.V} | {f"{name}{k}": _off(x) for k, x in where if not x.has(LOSS)}

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
            "rate": rate if self.proved else None,
            "statement": self.statement or self.reason,
            "hypotheses": list(self.hypotheses),
            "seconds": self.seconds,
        }

    def _needed(self) -> Proof:
        if self._proof is None:
            raise InputError(f"nothing is proved: {self.reason}")
        return self._proof


def _off(one: Relational) -> sp.Expr:
    """The left side less the right side; one more where both are equal, as that has digits."""
    return one.lhs - one.rhs + int(isinstance(one, sp.Eq))


def _hypotheses(proof: Proof, name: str) -> Iterator[Hypothesis]:
    """Conditions of the theorem, in quantities of runs."""
    for k, one in enumerate(proof.where, 1):
        off = _off(one).subs(LOSS, symbol("loss")) if one.has(LOSS) else symbol(f"{name}{k}")
        near: Any = [("<=", 1 + ZERO), (">=", 1 - ZERO)]
        sides = near if isinstance(one, sp.Eq) else [(one.rel_op, sp.Integer(0))]
        yield from (Hypothesis(f"{one.lhs} {one.rel_op} {one.rhs}", off, *x) for x in sides)
