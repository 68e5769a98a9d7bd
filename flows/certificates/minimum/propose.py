"""Potentials that states of runs propose: of lengths, distances and angles, by a linear program."""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from dataclasses import dataclass
from fractions import Fraction
from typing import Any, NamedTuple

import numpy as np
import sympy as sp

from flows.certificates.minimum.constants import Compared, Part, Wanted, least_constant, solved
from flows.certificates.minimum.samples import Array
from flows.core.errors import InputError
from flows.runs.find import exact, power_of
from flows.runs.trajectory import Trajectory
from flows.systems.own.system import OwnSystem
from potentials.search.subject import Subject
from symbolic.language.lower import lower

__all__ = ["Proposed", "propose_potential"]

# Powers of a term, as parts of the exponent of the rate: a length that falls like 1/t has them all.
POWERS = (Fraction(1, 3), Fraction(1, 2), Fraction(2, 3), Fraction(1))
# So many terms by themselves are told, and combined with the loss.
BEST, COMBINED = 5, 3
# States with smaller losses are close to the minimum: this part of the median.
CLOSE = 1e-2
# A state with a smaller loss than this has no digits of its slopes.
LEAST = 1e-13
# The linear program leaves so much of its constant.
ROOM = 1e-3
# Fewer states tell nothing.
FEWEST = 20


@dataclass(frozen=True)
class Proposed:
    """A potential that falls at a rate at states of runs, which proves nothing.

    Parameters
    ----------
    V : Expr
        The potential, in the blocks; at these states it is not below the loss.
    text : str
        The same in words: `L` for the loss, lengths, distances, angles.
    constant : float
        The least `C` of `V <= C t^-q` that these states allow.
    exponent : Fraction
        `q`.
    states : int
        Their number.
    """

    V: sp.Expr
    text: str
    constant: float
    exponent: Fraction
    states: int

    def __str__(self) -> str:
        """One line."""
        return (
            f"V = {self.text}: V <= {self.constant:.4g} t^-{self.exponent} at {self.states} states"
            " of runs, not proved"
        )


def propose_potential(
    runs: Sequence[Trajectory], rate: Any, terms: Sequence[Any] | None = None
) -> tuple[Proposed, ...]:
    r"""Propose potentials of a rate that late states of runs allow, the best one first.

    .. math:: V \ge L, \qquad \dot V \le -c V^{1 + 1/q}

    Parameters
    ----------
    runs : sequence of Trajectory
        Of one own system whose loss tends to zero; the later half of their outputs counts.
    rate : number or str
        The exponent `q` of `t^-q`.
    terms : sequence of Expr, optional
        What vanishes along with the loss; powers of these are tried, each by itself, and the best
        ones with the loss. By default lengths of rows of the blocks, their entries, distances of
        two rows and of their entries, and angles between two rows.

    Returns
    -------
    tuple of Proposed
        Empty where no term falls at that rate.

    Raises
    ------
    InputError
        For other input than this.

    Notes
    -----
    Units: `t` is the time of ``dx/dt = -grad L``.
    Source: Young's inequality makes the rate linear in `V`, see :mod:`potentials.search.rates`.
    Accuracy: none is claimed. What samples allow may be false between them: prove it.
    """
    system = runs[0].system if runs else None
    if not isinstance(system, OwnSystem) or any(run.system != system for run in runs):
        raise InputError("runs: expected trajectories of one own system")
    power = power_of(exact(rate, "rate"))
    subject = Subject(system.name, system.blocks, system.expression)
    given = {str(term): subject.scalar(term, "terms") for term in terms or ()} or _library(subject)
    x, T = _late(runs, [str(block.name) for block in system.blocks])
    slopes = _values([sp.diff(subject.loss, s) for s in subject.entries], subject, x)
    q, columns = power.exponent, list[_Column]()
    for name, term in given.items():
        size, *rows = _values([term, *(sp.diff(term, s) for s in subject.entries)], subject, x).T
        falls = (np.array(rows).T * slopes).sum(1)
        for part in POWERS:
            r = float(part * q)
            with np.errstate(all="ignore"):
                v, u = size**r, r * size ** (r - 1) * falls
                share = float((T / v).max())
            if not (np.isfinite(share) and np.isfinite(u).all()):
                continue
            samples = _part(T, share * v, share * u)
            constant = least_constant([samples], np.ones(1), power.m, power.k)
            V, text = term ** sp.Rational(str(part * q)), f"{name}^{part * q}"
            columns.append(
                _Column(constant, sp.Float(share, 4) * V, f"{share:.4g} {text}", samples)
            )
    columns = sorted((c for c in columns if np.isfinite(c.constant)), key=lambda c: c.constant)
    unit = float(q) ** float(q)
    found = [
        Proposed(subject.in_blocks(c.V), c.text, c.constant * unit, q, len(T))
        for c in columns[:BEST]
    ]
    several = columns[:COMBINED]
    V = np.concatenate([T[:, None], *(c.samples.V for c in several)], 1)
    U = np.concatenate([(slopes**2).sum(1)[:, None], *(c.samples.U for c in several)], 1)
    over = np.c_[T, V]
    wanted = Wanted(power.m, power.k, ((0,),) * len(several))
    best = solved([_part(T, V, U)], Compared(over, over), wanted, ROOM)
    if best is not None and best.best < min((c.constant for c in several), default=np.inf):
        parts = [(subject.loss, "L"), *((c.V, c.text) for c in several)]
        kept = [(c, *p) for c, p in zip(best.coefficients, parts, strict=True) if c]
        whole = sp.Add(*(sp.Rational(str(c)) * V for c, V, _ in kept))
        text = " + ".join(f"{float(c):.4g} {name}" for c, _, name in kept).replace("+ -", "- ")
        one = Proposed(subject.in_blocks(whole), text, best.best * unit, q, len(T))
        found.insert(0, one)
    return tuple(found)


class _Column(NamedTuple):
    """A power of a term that is above the loss, with its least constant."""

    constant: float
    V: sp.Expr
    text: str
    samples: Part


def _late(runs: Sequence[Trajectory], names: Sequence[str]) -> tuple[Array, Array]:
    """States and losses of the later half of outputs."""
    states, losses = [], []
    for run in runs:
        late = np.arange(len(run.t)) >= len(run.t) // 2
        entries = [np.reshape(run[name], (len(run.t), -1)) for name in names]
        states.append(np.concatenate(entries, 1)[late])
        losses.append(np.asarray(run["loss"])[late])
    x, T = np.concatenate(states), np.concatenate(losses)
    seen = np.isfinite(x).all(1) & (T > LEAST)
    if seen.sum() < FEWEST:
        raise InputError(f"runs: expected {FEWEST} late states with a loss, got {seen.sum()}")
    return x[seen], T[seen]


def _part(T: Array, V: Array, U: Array) -> Part:
    """States as samples of a chart."""
    close = np.median(T) * CLOSE > T
    return Part(T, V.reshape(len(T), -1), U.reshape(len(T), -1), np.ones(len(T)), 0, close)


def _values(expressions: Sequence[sp.Expr], subject: Subject, x: Array) -> Array:
    """One column each."""
    with np.errstate(all="ignore"):
        found = lower(expressions, subject.entries)(*x.T)
    return np.stack([np.broadcast_to(np.asarray(f, dtype=float), len(x)) for f in found], -1)


def _library(subject: Subject) -> dict[str, sp.Expr]:
    """Lengths, distances and angles of rows of blocks, by their names."""
    left, rows, found = list(subject.entries), dict[str, list[sp.Expr]](), dict[str, sp.Expr]()
    for block in subject.blocks:
        count, size = (1, 1) if isinstance(block, sp.Symbol) else map(int, block.shape)
        for i in range(count):
            rows[f"{block.name}[{i}]"] = [left.pop(0) for _ in range(size)]
    pairs = [
        (f"{m} - {n}", [p - q for p, q in zip(a, b, strict=True)])
        for (m, a), (n, b) in itertools.combinations(rows.items(), 2)
        if len(a) == len(b)
    ]
    for name, row in [*rows.items(), *pairs]:
        found |= {f"|{name}|": _length(row)} if len(row) > 1 else {}
        found |= {f"|{p}|": sp.Abs(p) for p in row}
    for (m, a), (n, b) in itertools.combinations(rows.items(), 2):
        if len(a) == len(b) > 1:
            units = [[p / _length(row) for p in row] for row in (a, b)]
            across, along = (
                _length([p + sign * q for p, q in zip(*units, strict=True)]) for sign in (-1, 1)
            )
            found[f"angle({m}, {n})"] = 2 * sp.atan2(across, along)
    return found


def _length(row: Sequence[sp.Expr]) -> sp.Expr:
    return sp.sqrt(sp.Add(*(p**2 for p in row)))
