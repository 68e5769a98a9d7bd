"""Theorems whose hypotheses an enclosed state meets: conclusions for its trajectory for ever.

A certificate encloses the state at its end T; a start is known exactly, T = 0. Where the hypotheses
about time T hold for everything in the enclosure, the conclusion of the theorem is proved for all
later t: given the axioms that `popflow prove` prints with the theorem, and that the flow exists,
which it does as long as its field is smooth.
"""

from __future__ import annotations

from dataclasses import dataclass
from decimal import ROUND_CEILING, ROUND_FLOOR
from itertools import combinations, pairwise
from typing import Any, Protocol

import numpy as np
from flint import arb, arb_mat, fmpq, fmpq_mat

from flows.certificates.decision import down, interval_end, up
from flows.certificates.features.spectrum import singular_values
from flows.core.arrays import Array
from flows.core.balls import precision
from flows.core.system import System
from symbolic.systems.relu_neuron.theorems.samples import LEAST, SPEED

__all__ = ["Enclosed", "ForAllTimes", "Start", "for_all_times"]

Ball = Any  # flint.arb
#: Starts with more numbers are not read.
LARGEST = 10_000
#: Pairs of more neurons are too many.
MOST_NEURONS = 100


class Enclosed(Protocol):
    """A state at a time T, enclosed in balls: that of a certificate at its end, or a start."""

    @property
    def system(self) -> Any:
        """The flow."""

    @property
    def start(self) -> Any:
        """User's parameters at time 0, exact."""

    @property
    def radius(self) -> float:
        """Every start within this distance is meant."""

    @property
    def t_end(self) -> float:
        """The time T."""

    @property
    def precision(self) -> int:
        """Working precision in bits."""

    def state(self, t: float) -> list[Any]:
        """User's parameters at T."""

    def loss(self, t: float) -> Ball:
        """Loss at T."""


@dataclass(frozen=True)
class Start:
    """A start, whose doubles are exact: what is known at T = 0 without a certificate.

    Parameters
    ----------
    system : System
        The flow.
    start : ndarray
        User's parameters.
    """

    system: System
    start: Array
    radius: float = 0.0
    t_end: float = 0.0
    precision: int = 128

    def state(self, t: float) -> list[Any]:
        """Return the parameters, as balls of radius zero."""
        rows: list[Any] = _balls(self.start.tolist())
        return rows

    def loss(self, t: float) -> Ball:
        """Return a ball that contains the loss."""
        flow = self.system.ball_flow(self.start)
        return flow.loss(flow.start)


def _balls(x: Any) -> Any:
    return [_balls(y) for y in x] if isinstance(x, list) else arb(x)


@dataclass(frozen=True)
class ForAllTimes:
    """What a theorem says of one trajectory for all times from T on.

    Parameters
    ----------
    theorem : str
        Its name.
    begin : float
        The time T, the end of the certificate, or 0.
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


def for_all_times(enclosed: Enclosed) -> list[ForAllTimes]:
    """Return what the theorems say of an enclosed trajectory.

    Parameters
    ----------
    enclosed : Enclosed
        A certificate that was checked, or a `Start`.

    Returns
    -------
    list of ForAllTimes
        Empty of systems without such theorems, of complex layers and of means with noise, of which
        the theorems do not speak, and of states with more than 10000 numbers.
    """
    system: Any = enclosed.system
    decide = DECIDE.get(system.name)
    start = np.asarray(enclosed.start)
    if decide is None or start.size > LARGEST or np.iscomplexobj(start):
        return []
    if getattr(system, "field", "real") != "real" or getattr(system, "noise_time", 0.0):
        return []
    with precision(enclosed.precision):
        return decide(enclosed)


def _said(
    theorem: str, enclosed: Enclosed, lines: list[tuple[str, bool]], says: str
) -> ForAllTimes:
    holds = all(ok for _, ok in lines)
    return ForAllTimes(theorem, enclosed.t_end, holds, tuple(lines), says)


def _dot(a: list[Ball], b: list[Ball]) -> Ball:
    return sum((x * y for x, y in zip(a, b, strict=True)), arb(0))


def _neurons(enclosed: Enclosed) -> list[ForAllTimes]:
    system: Any = enclosed.system
    t = enclosed.t_end
    n, teacher = system.n, [arb(x) for x in system.teacher]
    v = _dot(teacher, teacher).sqrt()
    state, loss = enclosed.state(t), enclosed.loss(t)
    sizes = [_dot(row, row).sqrt() for row in state]
    lines = [
        ("|v|/(2n) <= |w_i(T)|", all(2 * n * x > v for x in sizes)),
        ("|w_i(T)| <= 2|v|/n", all(n * x < 2 * v for x in sizes)),
        (f"L(T) <= |v|^2/({LEAST:.2g} n^8)", bool(LEAST * n**8 * loss < v * v)),
        ("L(T) > 0", bool(loss > 0)),
    ]
    most, far = _up(SPEED**3 * n * v * v), _up(v / (4 * n))
    return [
        _said("neurons_stay", enclosed, lines, f"|w_i(t) - w_i(T)| < {far} for all t >= T"),
        _said("loss_upper", enclosed, lines, f"L(t) <= {most}/(t - T)^3 for all t > T"),
        *([_from_below(enclosed, lines, state, teacher)] if 1 < n <= MOST_NEURONS else []),
    ]


def _from_below(
    enclosed: Enclosed, lines: list[tuple[str, bool]], state: list[Any], teacher: list[Ball]
) -> ForAllTimes:
    """Theorem 14 with the widest pair of the parts across the teacher; c is its cosine, or 0."""
    n, v = len(state), _dot(teacher, teacher).sqrt()
    across = []
    for row in state:
        along = _dot(row, teacher) / v**2
        across.append([x - along * y for x, y in zip(row, teacher, strict=True)])
    cosine, distance = arb(1), arb(0)
    for a, b in combinations(across, 2):
        apart = [x - y for x, y in zip(a, b, strict=True)]
        distance += _dot(apart, apart).nonnegative_part().sqrt()
        turn = _dot(a, b) / (_dot(a, a) * _dot(b, b)).nonnegative_part().sqrt()
        cosine = cosine.min(turn.upper()) if turn.is_finite() else cosine
    cosine = cosine.max(arb(0))
    pair = [
        ("two z_i are at an angle at T", bool(cosine < 1)),
        ("Z(T) > 0", bool(distance > 0)),
    ]
    least = arb(max(0.0, down(distance)))  # the bound grows with Z
    room = v * (1 - cosine)
    bound = _down(least**3 / (24 * arb.pi() * n**5 * v))
    says = f"L(t) >= {bound}/(1 + {_up(34 * n**4 * least / room)} (t - T))^3 for all t >= T"
    return _said("loss_lower_from_start", enclosed, [*lines, *pair], says)


def _means(enclosed: Enclosed) -> list[ForAllTimes]:
    system: Any = enclosed.system
    t = enclosed.t_end
    weights = [fmpq(*x.as_integer_ratio()) for x in system.weights]
    norms = sum((_dot(row, row) for row in enclosed.state(t)), arb(0))
    cap, least = norms.exp() * (system.d + 4 * norms), arb(min(weights))
    lines = [
        ("the weights, as doubles, add up to one exactly", sum(weights, fmpq(0)) == 1),
        ("not all means are at the optimum at T", bool(norms > 0)),
    ]
    rate = _down(2 * least * least * norms / cap)
    says = f"L(t) <= {_up(norms / 2)}/(1 + {rate} (t - T)) for all t >= T"
    return [_said("loss_upper", enclosed, lines, says)]


def _scores(enclosed: Enclosed) -> list[ForAllTimes]:
    """The loss is at most `max |mu_i|^2`, as the field is a mean of the `mu_i`; M is chosen."""
    system: Any = enclosed.system
    target = [arb(x) for x in system.target or [0.0] * system.d]
    rows = [
        [x - y for x, y in zip(row, target, strict=True)] for row in enclosed.state(enclosed.t_end)
    ]
    most = max(up(_dot(row, row)) for row in rows)
    least, loss = arb(fmpq(1, system.n)), arb(most)
    sizes = [m for m in (arb(fmpq(k, 100)) for k in range(1, 401)) if m > most]

    def cap(m: Ball) -> Ball:
        return m.exp() * (system.d + 4 * m)

    small = [m for m in sizes if loss * cap(m) < (least * m) ** 2]
    radius = next(iter([*small, *sizes, arb(4)]))
    lines = [
        ("|mu_i(T)|^2 < M, for an M <= 4", bool(sizes)),
        ("L(T) < omega^2 M^2/B, as L <= max |mu_i|^2", bool(small)),
    ]
    far, squares = _up(radius), _up(system.n * (cap(radius) * loss).sqrt())
    from_target = "mu_i(t)" if system.target is None else "mu_i(t) - target"
    says = (f"|{from_target}|^2 < {far} for all t >= T", f"sum |{from_target}|^2 <= {squares}")
    return [
        _said("means_stay", enclosed, lines, says[0]),
        _said("means_small", enclosed, lines, f"{says[1]} for all t >= T"),
    ]


def _layers(enclosed: Enclosed) -> list[ForAllTimes]:
    system: Any = enclosed.system
    t = enclosed.t_end
    layers = [arb_mat(rows) for rows in enclosed.state(t)]
    free, four = ("no penalty, a = 0", system.regularization == 0), ("N = 4", system.depth == 4)
    most = _up(max((_defect(a, b) for a, b in pairwise(layers)), key=up))
    least = max(arb(0), min((singular_values(w)[-1] for w in layers), key=down))
    delta, loss = arb(down(least)) / 2, enclosed.loss(t)
    lines = [
        free,
        four,
        ("delta > 0, half the least singular value at T", bool(delta > 0)),
        ("L(T) <= 2 delta^8", bool(loss <= 2 * delta**8)),
        ("L(T) > 0", bool(loss > 0)),
    ]
    stay = f"|W(t) - W(T)| < {_up(delta)}, singular values above {_down(delta)}, for all t >= T"
    rate = f"L(t) <= {_up(loss)} exp(-{_down(8 * delta**6)} (t - T)) for all t >= T"
    kept = f"each defect keeps its value; none is above {most}, for all t >= T"
    said = [
        _said("balance_conserved", enclosed, [free], kept),
        _said("layers_stay", enclosed, lines, stay),
        _said("local_rate", enclosed, lines, rate),
    ]
    return [*said, *([_skew(enclosed, layers)] if four[1] else [])]


def _defect(lower: Any, upper: Any) -> Ball:
    rest = lower * lower.transpose() - upper.transpose() * upper
    return sum((x * x for row in rest.tolist() for x in row), arb(0)).nonnegative_part().sqrt()


def _skew(enclosed: Enclosed, layers: list[Any]) -> ForAllTimes:
    """A chain that is balanced at time 0 is balanced at all times."""
    exact = [_rationals(w) for w in np.asarray(enclosed.start).tolist()]
    balanced = all(a * a.transpose() == b.transpose() * b for a, b in pairwise(exact))
    sigma = _rationals(np.asarray(enclosed.system.target).tolist())
    minors = (
        fmpq_mat([row[:k] for row in sigma.tolist()[:k]]).det() for k in range(1, sigma.nrows() + 1)
    )
    first, second, third, fourth = layers
    lines = [
        ("balanced at time 0, exactly", balanced and enclosed.radius == 0),
        ("Sigma is symmetric, > 0", sigma == sigma.transpose() and all(x > 0 for x in minors)),
    ]
    try:
        gap = first - second.inv() * third.transpose() * fourth.transpose()
        lines.append(("W_2(T) is invertible", True))
    except ZeroDivisionError:  # the hypothesis fails, or is not decided
        gap = first * arb(0)
        lines.append(("W_2(T) is invertible", False))
    square = gap * arb_mat(sigma) * gap.transpose()
    size = _up(sum((square[k, k] for k in range(square.nrows())), arb(0)))
    says = f"|(A - R) Sigma^(1/2)|^2 <= {size} for all t >= T"
    return _said("skew_falls", enclosed, lines, says)


def _rationals(rows: Any) -> Any:
    return fmpq_mat([[fmpq(*x.as_integer_ratio()) for x in row] for row in rows])


DECIDE = {
    "relu_neuron": _neurons,
    "gmm_em": _means,
    "score_matching": _scores,
    "matrix_factorization": _layers,
}


def _up(x: Ball) -> str:
    return interval_end(up(x), ROUND_CEILING)


def _down(x: Ball) -> str:
    return interval_end(down(x), ROUND_FLOOR)
