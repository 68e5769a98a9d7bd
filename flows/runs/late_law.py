"""The late-time law of a system or of a run: its laws, the one that is followed, and claims."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import sympy as sp
from numpy.typing import NDArray

import potentials
from flows.core.arrays import plain
from flows.core.errors import InputError
from flows.runs.law_bounds import Bound, judged
from potentials.claim import (
    EXPONENT,
    Claim,
    Comparison,
    Inequality,
    LowerBound,
    Relation,
    UpperBound,
)
from potentials.notation import symbol
from potentials.source import Source
from symbolic.asymptotics.law import LateTimeLaw, Law
from symbolic.evidence.derivation import Derivation

__all__ = ["SINCE", "LateLaw"]

HERE = Source("popflow", 2026, "", "late-time law, derived", "upper and lower")
#: Relative width of the claims about a constant, and from when on they are made without a run.
MARGIN, SINCE = 1e-4, 1e7


@dataclass(frozen=True)
class LateLaw:
    """The laws of a system at a minimiser.

    Parameters
    ----------
    system : str
        Name of the system.
    parameters : dict
        Its parameters.
    at : ndarray
        The minimiser, in the user's parameters.
    derived : LateTimeLaw
        Laws with their derivation, in the user's units.
    since : float
        Time from which the law holds to `MARGIN` along the run; NaN without a run.
    arrives : float
        Time by which the run's direction is within 1e-3 of the attractor, in the value of the
        form; 0 if it is so at the end of the run, infinite if the run follows none of the laws, or
        if it is not known which one, NaN without a run.
    notes : tuple of str
        What else was found.
    """

    system: str
    parameters: dict[str, Any]
    at: NDArray[Any]
    derived: LateTimeLaw
    since: float = math.nan
    arrives: float = math.nan
    notes: tuple[str, ...] = field(default=())

    @property
    def laws(self) -> tuple[Law, ...]:
        """One for each attracting direction; empty for a refusal."""
        return self.derived.laws

    @property
    def chosen(self) -> int | None:
        """Index of the law that the run follows, or the only one; None where it is not known."""
        if self.derived.chosen is not None:
            return self.derived.chosen
        return 0 if len(self.laws) == 1 and self.arrives != math.inf else None

    @property
    def reason(self) -> str:
        """Why there is no law."""
        return self.derived.reason

    @property
    def derivation(self) -> Derivation | None:
        """Steps, each with its evidence."""
        return self.derived.derivation

    def claims(self, margin: float = MARGIN, since: float | None = None) -> tuple[Claim, ...]:
        r"""The law as claims that `flows.check` decides.

        .. math:: (1 - m) \, C \, t^{-p/(p-2)} \le L - L^* \le (1 + m) \, C \, t^{-p/(p-2)}

        Parameters
        ----------
        margin : float
            The relative width `m`.
        since : float, optional
            Time from which on they are made; by default that of the run, or 1e7 (for an
            exponential law: half of what is known of the run, or 50 times its time).

        Returns
        -------
        tuple of Claim
            `law_upper` and `law_lower`; for an exponential law they are about ``-L'/(L - L*)``.

        Raises
        ------
        InputError
            Where no law is chosen, or its constant holds symbols.
        """
        if self.chosen is None:
            many = "none that this run follows; its notes say why"
            if math.isnan(self.arrives):
                many = f"{len(self.laws)}; give the run that follows one"
            why = many if self.laws else self.reason
            raise InputError(f"claims: expected one law, got {why}")
        law, t = self.laws[self.chosen], symbol("t")
        begin = self.since if since is None else since
        excess = symbol("loss" if self.derived.limit == 0 else "excess")
        if law.kind == "exponential" and law.rate is not None:
            begin = 50 / law.rate if math.isnan(begin) else begin
            return tuple(
                Inequality(
                    id=name,
                    statement=f"-L' {relation} {factor:g} * {law.rate:.8g} (L - L*)"
                    f" for t >= {begin:.3g}",
                    source=HERE,
                    conclusions=(
                        Comparison(
                            -symbol("loss_dot"),
                            relation,
                            excess,
                            sp.Float(factor * law.rate, 17),
                            (t - sp.Float(begin, 17),),
                        ),
                    ),
                )
                for name, relation, factor in _sides(margin)
            )
        if law.kind == "logarithmic":
            raise InputError(
                "claims: expected a power law, got a logarithmic one, which no run comes near: its"
                " corrections die out like log log t / log t"
            )
        if law.constant is None or law.exponent is None:
            raise InputError("claims: expected a law with a number, got symbols; put in numbers")
        if law.log_decay is not None:
            raise InputError(
                "claims: expected a law that a run comes near, got one whose corrections die out"
                f" like (log t)^-{law.log_decay}; state a wider bound yourself"
            )
        begin = SINCE if math.isnan(begin) else begin
        kinds = {"law_upper": UpperBound, "law_lower": LowerBound}
        return tuple(
            kinds[name](
                id=name,
                statement=f"L - L* {relation} {factor:g} * {law.constant:.8g} t^-{law.exponent}"
                f" for t >= {begin:.3g}",
                source=HERE,
                conclusions=(
                    Comparison(
                        excess,
                        relation,
                        t**-EXPONENT,
                        sp.Float(factor * law.constant, 17),
                        (t - sp.Float(begin, 17),),
                    ),
                ),
                exponent=law.exponent,
            )
            for name, relation, factor in _sides(margin)
        )

    def bounds(self, claims: Sequence[Claim] | None = None) -> tuple[Bound, ...]:
        """What the law says of the theorems' bounds: tight, loose by a power of time, or refuted.

        Parameters
        ----------
        claims : sequence of Claim, optional
            By default those of the system about this regime.

        Returns
        -------
        tuple of Bound
            Empty where the law is no power, or several have different ones.
        """
        exponents = {law.exponent for law in self.laws if law.exponent is not None}
        if len(exponents) != 1 or self.derived.degree is None:
            return ()
        known = self.system in potentials.SYSTEMS
        flow = potentials.flow(self.system) if known else potentials.Flow()
        if claims is None:
            about = flow.of_the_law
            claims = [c for c in potentials.claims(self.system) if c.id in about] if about else []
        (exponent,) = exponents
        return judged(2 * exponent / (exponent - 1), claims, flow.in_n)

    def to_json(self) -> dict[str, Any]:
        """Return the object that `popflow law --json` prints."""
        about = {"system": self.system, "parameters": self.parameters, "at": plain(self.at)}
        found = self.derived.to_json()
        if not self.laws:
            return {**about, **found}
        return {
            **about,
            **found,
            "chosen": self.chosen,
            "since": self.since,
            "arrives": self.arrives,
            "bounds": [bound.to_json() for bound in self.bounds()],
            "notes": [*found["notes"], *self.notes],
        }

    def __str__(self) -> str:
        """Return one line a law, or the reason why there is none."""
        return str(self.derived)

    def __repr__(self) -> str:
        """Say the same."""
        return str(self)

    def _repr_html_(self) -> str:
        lines = str(self).replace("&", "&amp;").replace("<", "&lt;").splitlines()
        return "<pre>" + "\n".join(lines) + "</pre>"


def _sides(margin: float) -> tuple[tuple[str, Relation, float], ...]:
    return ("law_upper", "<=", 1 + margin), ("law_lower", ">=", 1 - margin)
