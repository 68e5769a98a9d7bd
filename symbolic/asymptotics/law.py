"""Late-time laws as values: how a loss falls near a minimiser, and how well that is known."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import Any, Literal

import sympy as sp

from symbolic.evidence.derivation import Derivation
from symbolic.evidence.identity import Evidence

__all__ = ["LateTimeLaw", "Law", "weakest"]

# The strongest evidence first.
_ORDER = (Evidence.PROVED, Evidence.ENCLOSED, Evidence.SAMPLED, Evidence.OPEN, Evidence.REFUTED)


def weakest(*levels: Evidence) -> Evidence:
    """Weakest of several levels: a law is as good as its weakest step."""
    return max(levels, key=_ORDER.index)


Kind = Literal["power", "exponential", "logarithmic"]


@dataclass(frozen=True)
class Law:
    """One possible law, ``L - L* ~ C t^-exponent`` or ``log(L - L*) ~ -rate t``.

    Parameters
    ----------
    kind : {"power", "exponential", "logarithmic"}
        Which one.
    exponent : Rational or None
        Of a power law, and of the power of time in a logarithmic one.
    log_exponent : Rational or None
        `q` of a logarithmic law ``C t^-exponent (log t)^-q``.
    constant : float or None
        `C`, in doubles.
    constant_exact : Expr or None
        `C` in closed form, where there is one.
    constant_radius : float
        Half the width of the enclosure of `C`; NaN where there is none, 0 of a closed form.
    constant_ball : str
        The enclosure of `C` to thirty digits; empty where there is none.
    rate : float or None
        Of an exponential law.
    rate_exact : Expr or None
        The rate in closed form.
    gamma : tuple of float
        Deviations of the direction die out like ``t^-gamma``; in the loss they are squared.
    log_decay : Rational or None
        `q` in ``L t^exponent/C = 1 + O((log t)^-q)``: so slowly an open set of starts approaches a
        law beside whose direction the leading form has no curvature along some line. None where it
        has curvature along all lines.
    log_term : Expr or None
        `beta` in ``L - L* = C t^-exponent (1 + beta log t/t + O(1/t))``, where it is derived.
    share : float
        Part of random directions from which the flow goes there.
    direction : tuple of float
        Unit vector in the entries along which the minimiser is reached.
    evidence : mapping of str to Evidence
        By step.
    """

    kind: Kind
    exponent: sp.Rational | None = None
    log_exponent: sp.Rational | None = None
    constant: float | None = None
    constant_exact: sp.Expr | None = None
    constant_radius: float = float("nan")
    constant_ball: str = ""
    rate: float | None = None
    rate_exact: sp.Expr | None = None
    gamma: tuple[float, ...] = ()
    log_decay: sp.Rational | None = None
    log_term: sp.Expr | None = None
    share: float = 1.0
    direction: tuple[float, ...] = ()
    evidence: Mapping[str, Evidence] = field(default_factory=lambda: MappingProxyType({}))

    def __getstate__(self) -> dict[str, Any]:
        """Return the fields; a mapping proxy cannot be sent to another process."""
        return {**self.__dict__, "evidence": dict(self.evidence)}

    def to_json(self) -> dict[str, Any]:
        """Return the law as plain data."""
        return {
            "kind": self.kind,
            "exponent": None if self.exponent is None else str(self.exponent),
            "log_exponent": None if self.log_exponent is None else str(self.log_exponent),
            "constant": self.constant,
            "constant_exact": None if self.constant_exact is None else str(self.constant_exact),
            "constant_radius": self.constant_radius,
            "constant_ball": self.constant_ball or None,
            "rate": self.rate,
            "rate_exact": None if self.rate_exact is None else str(self.rate_exact),
            "gamma": list(self.gamma),
            "log_decay": None if self.log_decay is None else str(self.log_decay),
            "log_term": None if self.log_term is None else float(self.log_term),
            "share": self.share,
            "evidence": {step: str(level) for step, level in self.evidence.items()},
        }

    def __str__(self) -> str:
        """Return one line."""
        if self.kind == "exponential":
            exact = "" if self.rate_exact is None else f", rate = {self.rate_exact}"
            return f"log(L - L*) ~ -{self.rate:.6g} t{exact}"
        exact = "" if self.constant_exact is None else f", C = {self.constant_exact}"
        number = "C" if self.constant is None else f"{self.constant:.8g}"
        logarithm = f" (log t)^-{self.log_exponent}" if self.log_exponent else ""
        slowly = "" if self.log_decay is None else f" (1 + O((log t)^-{self.log_decay}))"
        return f"L - L* ~ {number} t^-{self.exponent}{logarithm}{slowly}{exact}"


@dataclass(frozen=True)
class LateTimeLaw:
    """The possible laws of one loss near one minimiser.

    Parameters
    ----------
    laws : tuple of Law
        One for each value of the leading form at its attractors on the sphere; empty for a refusal.
    reason : str
        Why there is no law; empty if there is one.
    limit : Expr or None
        `L*`.
    degree : Rational or None
        Degree of the leading form.
    form : Expr or None
        The leading form in the slow variables.
    slow : Matrix or None
        Columns: where each slow variable leads, in the entries.
    cone : tuple of Matrix
        Quadratic forms in the slow variables that vanish along a run that arrives, where the law
        is one on their cone.
    kernel : tuple of int
        Dimensions of tangents, slow and fast directions.
    derivation : Derivation or None
        The steps, each with its evidence.
    notes : tuple of str
        What else was found.
    chosen : int or None
        The law that a run follows.
    """

    laws: tuple[Law, ...]
    reason: str = ""
    limit: sp.Expr | None = None
    degree: sp.Rational | None = None
    form: sp.Expr | None = None
    slow: sp.ImmutableMatrix | None = None
    metric: sp.ImmutableMatrix | None = None
    cone: tuple[sp.ImmutableMatrix, ...] = ()
    kernel: tuple[int, ...] = ()
    derivation: Derivation | None = None
    notes: tuple[str, ...] = ()
    chosen: int | None = None

    def to_json(self) -> dict[str, Any]:
        """Return laws, limit and steps, or the reason of a refusal, as plain data."""
        if not self.laws:
            return {"laws": [], "reason": self.reason}
        return {
            "laws": [law.to_json() for law in self.laws],
            "chosen": self.chosen,
            "limit_loss": float(self.limit) if self.limit is not None else None,
            "kernel": dict(zip(("tangent", "slow", "fast"), self.kernel, strict=False)),
            "leading_form": None if self.form is None else str(self.form),
            "notes": list(self.notes),
            "steps": self.derivation.to_json()["steps"] if self.derivation else [],
        }

    def __str__(self) -> str:
        """Return one line a law, or the reason why there is none."""
        return "\n".join(map(str, self.laws)) if self.laws else f"no law: {self.reason}"

    def __repr__(self) -> str:
        """Say the same."""
        return str(self)
