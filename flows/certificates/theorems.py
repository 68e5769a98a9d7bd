"""Theorems whose hypotheses a certificate proves: what they say of that trajectory for all times.

A certificate encloses the state at its end T. Where the hypotheses about time T hold for everything
in the enclosure, the conclusion of the theorem is proved for all later t: given the axioms that
`popflow prove` prints with the theorem, and that the flow exists, which it does as long as its
field is smooth.
"""

from __future__ import annotations

from dataclasses import dataclass
from decimal import ROUND_CEILING, ROUND_FLOOR
from typing import Any

from flint import arb, fmpq

from flows.certificates.certificate import Certificate
from flows.certificates.decision import down, interval_end, up
from flows.core.balls import precision
from symbolic.systems.relu_neuron.theorems.samples import LEAST, SPEED

__all__ = ["ForAllTimes", "for_all_times"]

Ball = Any


@dataclass(frozen=True)
class ForAllTimes:
    """What a theorem says of one trajectory for all times from T on.

    Parameters
    ----------
    theorem : str
        Its name.
    begin : float
        The time T, the end of the certificate.
    proved : bool
        Whether all hypotheses about time T are proved.
    hypotheses : tuple of (str, bool)
        Each, and whether it is proved.
    says : str
        The conclusion, with numbers.
    """

    theorem: str
    begin: float
    proved: bool
    hypotheses: tuple[tuple[str, bool], ...]
    says: str

    def to_json(self) -> dict[str, Any]:
        """Return the fields as plain JSON values."""
        lines = [{"hypothesis": label, "proved": holds} for label, holds in self.hypotheses]
        about = {"theorem": self.theorem, "begin": self.begin, "proved": self.proved}
        return {**about, "hypotheses": lines, "says": self.says}


def for_all_times(certificate: Certificate) -> list[ForAllTimes]:
    """Return what the theorems say of an enclosed trajectory.

    Parameters
    ----------
    certificate : Certificate
        Checked; of `relu_neuron` or `gmm_em`, others have no such theorem.
    """
    decide = {"relu_neuron": _neurons, "gmm_em": _means}.get(certificate.system.name)
    if decide is None:
        return []
    with precision(certificate.precision):
        return decide(certificate)


def _said(
    theorem: str, certificate: Certificate, lines: list[tuple[str, bool]], says: str
) -> ForAllTimes:
    holds = all(ok for _, ok in lines)
    return ForAllTimes(theorem, certificate.t_end, holds, tuple(lines), says)


def _dot(a: list[Ball], b: list[Ball]) -> Ball:
    return sum((x * y for x, y in zip(a, b, strict=True)), arb(0))


def _neurons(certificate: Certificate) -> list[ForAllTimes]:
    system: Any = certificate.system
    t = certificate.t_end
    n, teacher = system.n, [arb(x) for x in system.teacher]
    v = _dot(teacher, teacher).sqrt()
    state, loss = certificate.state(t), certificate.loss(t)
    sizes = [_dot(row, row).sqrt() for row in state]
    lines = [
        ("|v|/(2n) <= |w_i(T)|", all(2 * n * x > v for x in sizes)),
        ("|w_i(T)| <= 2|v|/n", all(n * x < 2 * v for x in sizes)),
        (f"L(T) <= |v|^2/({LEAST:.2g} n^8)", bool(LEAST * n**8 * loss < v * v)),
        ("L(T) > 0", bool(loss > 0)),
    ]
    most, far = _up(SPEED**3 * n * v * v), _up(v / (4 * n))
    return [
        _said("neurons_stay", certificate, lines, f"|w_i(t) - w_i(T)| < {far} for all t >= T"),
        _said("loss_upper", certificate, lines, f"L(t) <= {most}/(t - T)^3 for all t > T"),
    ]


def _means(certificate: Certificate) -> list[ForAllTimes]:
    system: Any = certificate.system
    t = certificate.t_end
    weights = [fmpq(*x.as_integer_ratio()) for x in system.weights]
    norms = sum((_dot(row, row) for row in certificate.state(t)), arb(0))
    cap, least = norms.exp() * (system.d + 4 * norms), arb(min(weights))
    lines = [
        ("the weights, as doubles, add up to one exactly", sum(weights, fmpq(0)) == 1),
        ("not all means are at the optimum at T", bool(norms > 0)),
    ]
    rate = _down(2 * least * least * norms / cap)
    says = f"L(t) <= {_up(norms / 2)}/(1 + {rate} (t - T)) for all t >= T"
    return [_said("loss_upper", certificate, lines, says)]


def _up(x: Ball) -> str:
    return interval_end(up(x), ROUND_CEILING)


def _down(x: Ball) -> str:
    return interval_end(down(x), ROUND_FLOOR)
