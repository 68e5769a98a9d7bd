"""What an ensemble gives: rows by name, and reductions that never hold all trajectories."""

from __future__ import annotations

import functools
import math
import warnings
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from flows.core.arrays import Array
from flows.core.card import Card, described
from flows.core.errors import InputError
from flows.core.problem import COMPLETED
from flows.core.proportion import LEVEL, interval
from flows.core.system import System
from flows.ensembles.chunk import Chunk, asked, known, uncertain
from flows.ensembles.member import LOSS_ERROR, UNTRIED
from flows.ensembles.starts import Law

# Numbers of a quantity that a reduction holds at once: 8 MB.
BLOCK = 1_000_000
# Quantiles of the last loss that a card shows.
SHOWN = (0.05, 0.5, 0.95)


@dataclass(frozen=True)
class Fraction:
    """How many members fulfil a condition.

    Parameters
    ----------
    count, trials : int
        Members that fulfil it, and all that were computed.
    low, high : float
        Clopper-Pearson interval of the probability.
    level : float
        Its confidence.
    undecided : int
        Members that are left out, since the condition depends on the errors of their numbers.
    """

    count: int
    trials: int
    low: float
    high: float
    level: float
    undecided: int = 0

    @property
    def value(self) -> float:
        """The fraction; NaN without any member."""
        return self.count / self.trials if self.trials else np.nan


@dataclass(frozen=True)
class Tightest:
    """The member for which a claim is tightest.

    Parameters
    ----------
    constant : float
        The constant that serves all members: the largest for ``<=``, the smallest for ``>=``.
    member : int
        Whose it is.
    seed : int or None
        Its seed for ``system.initial``; None if the starts were given.
    attained_at : float
        The time at which it is attained.
    count : int
        Members that have a constant.
    """

    constant: float
    member: int
    seed: int | None
    attained_at: float
    count: int


@dataclass(frozen=True, eq=False)
class Ensemble:
    """Result of :func:`flows.integrate_ensemble`.

    ``e[name]`` has one row a member: an observable or its local exponent ``NAME_exponent`` of shape
    (members, times), NaN after the end of a run that stopped early; ``loss_error``, the absolute
    numerical error of the loss; ``status``, ``message``, ``steps``, ``field_evaluations``,
    ``jacobian_evaluations``; and of a claim ``ID_verdict``, ``ID_constant``, ``ID_attained_at``.

    Parameters
    ----------
    system : System
        What was integrated.
    t : ndarray, shape (times,)
        Times, 0 first.
    law : Law or None
        Law of the starts; None if they were given.
    chunks : tuple of Chunk
        The members in order.
    shapes : dict
        Trailing shapes of the quantities that depend on time.
    claims : tuple of str
        Claims that were checked.
    provenance : dict
        Versions, procedure, starts.
    """

    system: System
    t: Array
    law: Law | None
    chunks: tuple[Chunk, ...]
    shapes: Mapping[str, tuple[int, ...]]
    claims: tuple[str, ...]
    provenance: dict[str, Any]

    @property
    def card(self) -> Card:
        """Summary for a reader: system, how the members ended, times, last losses."""
        statuses = sorted(Counter(map(str, self.status)).items())
        lead = self.system.leading
        lead = lead if lead in self.shapes else next(iter(self.shapes), lead)
        low, middle, high = map(_shown, self._quantiles(lead, SHOWN, slice(-1, None))[:, 0])
        parameters = {"system": self.system.name, **self.system.parameters}
        few = int(self.left_out(lead)[-1]) if lead in self.shapes else 0
        without = f"; {few} without a value" if few else ""
        return Card(
            f"{len(self)} runs of {described(parameters)}",
            (
                ("status", ", ".join(f"{count} {status}" for status, count in statuses)),
                ("t", f"0 to {self.t[-1]:.6g}, {len(self.t)} times"),
                (lead, f"{middle} in the median at the end, 5% to 95%: {low} to {high}{without}"),
                ("next", f'e["{lead}"], e.quantiles("{lead}"), e.fraction(condition), e.status'),
            ),
        )

    def __repr__(self) -> str:
        """Five lines."""
        return str(self.card)

    def _repr_html_(self) -> str:
        return self.card.html()

    def __len__(self) -> int:
        """Return the number of members."""
        return sum(chunk.count for chunk in self.chunks)

    @property
    def names(self) -> tuple[str, ...]:
        """Names of all quantities."""
        claims = (f"{c}_{x}" for c in self.claims for x in ("verdict", "constant", "attained_at"))
        work = ("steps", "field_evaluations", "jacobian_evaluations")
        return (*self.shapes, *claims, *work, "status", "message")

    def __getitem__(self, name: str) -> NDArray[Any]:
        """Quantity ``name`` of all members, in memory."""
        return self._column(name, slice(None))

    @property
    def status(self) -> NDArray[Any]:
        """Status of each member.

        As of a :class:`~flows.Trajectory`, or ``input_error`` (its start was refused), ``failed``,
        ``worker_lost``.
        """
        return self["status"]

    @property
    def completed(self) -> int:
        """Number of members that reached their end."""
        return int(np.sum(self.status == COMPLETED))

    def seed_of(self, member: int) -> int | None:
        """Seed with which ``system.initial`` gives the member's start; None if it was given."""
        return None if self.law is None else self.law.seed_of(member)

    def quantiles(self, name: str = "loss", q: Sequence[float] = (0.05, 0.5, 0.95)) -> Array:
        """Quantiles over the members at each time, of those that have a value there.

        Left out are members that did not reach it; :meth:`left_out` counts them. A loss below its
        numerical error, as of a member that has converged, may be anywhere within it, and one that
        is NaN within a bound: a quantile to which it matters where is NaN. Of such a loss the local
        exponent is not known, and left out.

        Exact (linear between neighbours): the chunks are read in passes, each over as many
        columns of time as fit into 8 MB.

        Parameters
        ----------
        name : str
            An observable or its local exponent.
        q : sequence of float
            Probabilities in [0, 1].

        Returns
        -------
        ndarray, shape (len(q), times, ...)
            NaN where no member has a value, or a quantile is among losses below their errors.

        Raises
        ------
        InputError
            For a name that is not there, or a probability outside [0, 1].
        """
        levels = np.asarray(q, dtype=float)
        if not (levels.size and (levels >= 0).all() and (levels <= 1).all()):
            raise InputError(f"q must hold probabilities in [0, 1], got {q!r}")
        if name not in self.shapes:
            raise InputError(f"no quantiles of {name!r}; there are: {', '.join(self.shapes)}")
        width = max(1, BLOCK // (len(self) * max(1, int(np.prod(self.shapes[name])))))
        spans = (slice(k, k + width) for k in range(0, len(self.t), width))
        return np.concatenate([self._quantiles(name, levels, s) for s in spans], axis=1)

    def _quantiles(self, name: str, levels: Sequence[float] | Array, columns: slice) -> Array:
        low, high = self._bounds(name, columns)
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", RuntimeWarning)  # a time that no member reached
            found = np.nanquantile(low, levels, axis=0)
            if high is not low:
                found[found != np.nanquantile(high, levels, axis=0)] = np.nan
        return found

    def left_out(self, name: str = "loss") -> NDArray[np.int64]:
        """How many members have no value at each time, and are left out of the quantiles.

        Parameters
        ----------
        name : str
            An observable of one number a time, or its local exponent.

        Returns
        -------
        ndarray of int, shape (times,)
            Members that did not reach the time, or whose loss is NaN without a bound; of the local
            exponent also those whose loss is below its numerical error.

        Raises
        ------
        InputError
            For a name that is not there.
        """
        if self.shapes.get(name) != ():
            there = ", ".join(k for k, shape in self.shapes.items() if shape == ())
            raise InputError(f"name: expected one of {there}, got {name!r}")
        width = max(1, BLOCK // len(self))
        spans = [slice(k, k + width) for k in range(0, len(self.t), width)]
        return np.concatenate([np.isnan(self._bounds(name, s)[0]).sum(axis=0) for s in spans])

    def fraction(self, condition: Callable[[Chunk], Any], level: float = LEVEL) -> Fraction:
        """Fraction of the members that fulfil a condition, with its Clopper-Pearson interval.

        The condition is asked for several values of each number: losses that are larger and smaller
        by their numerical errors; for a loss that is NaN and has a bound, zero and the bound with
        both signs; for a NaN without a bound, as after the end of a run that stopped early, all
        sizes and infinity. A member for which the answers differ is undecided, and no trial.

        Parameters
        ----------
        condition : callable
            From a :class:`Chunk` to a boolean for each of its members.
        level : float
            Confidence.

        Returns
        -------
        Fraction
            Of the members that were computed, those that failed included.

        Raises
        ------
        InputError
            If the condition does not give one boolean a member.

        Examples
        --------
        ``e.fraction(lambda c: c["loss"][:, -1] < 1e-6 * c["loss"][:, 0])``
        """
        count = trials = undecided = 0
        for chunk in self.chunks:
            tried = ~np.isin(chunk["status"], UNTRIED)
            found, agree = asked(condition, chunk, self.shapes, len(self.t))
            decided = tried & agree
            undecided += int(np.sum(tried & ~decided))
            count += int(np.sum(found & decided))
            trials += int(np.sum(decided))
        return Fraction(count, trials, *interval(count, trials, level), level, undecided)

    def tightest(self, claim: str) -> Tightest:
        """Find the tightest constant of a claim over the members, and whose it is.

        Raises
        ------
        InputError
            If the claim was not checked, has conclusions in both directions, or no member has a
            constant.
        """
        if claim not in self.claims:
            checked = ", ".join(self.claims) or "none"
            raise InputError(f"claim {claim!r} was not checked; checked: {checked}")
        known = {c.id: c for c in self.system.statements.claims}
        relations = {c.relation for c in known[claim].comparisons}
        if len(relations) > 1 or "==" in relations:
            raise InputError(
                f"claim {claim!r} has no single constant: it is an identity or has"
                " conclusions in both directions"
            )
        sense = 1.0 if relations == {"<="} else -1.0
        constants = self[f"{claim}_constant"]
        if np.isnan(constants).all():
            raise InputError(f"no member has a constant of {claim!r}")
        member = int(np.nanargmax(sense * constants))
        when = float(self[f"{claim}_attained_at"][member])
        return Tightest(
            float(constants[member]),
            member,
            self.seed_of(member),
            when,
            int(np.sum(~np.isnan(constants))),
        )

    def _bounds(self, name: str, columns: slice) -> tuple[NDArray[Any], NDArray[Any]]:
        """Bounds of a quantity, one array where they are equal, and NaN where there are none."""
        if name not in ("loss", "loss_exponent") or LOSS_ERROR not in self.shapes:
            values = self._column(name, columns)
            return values, values
        low = np.empty((len(self), len(self.t[columns])))
        high = low if name == "loss_exponent" else low.copy()
        for chunk in self.chunks:  # one after the other, so that few arrays of all are held
            rows = slice(chunk.first, chunk.first + chunk.count)
            read = functools.partial(chunk.read, columns=columns)
            values, error = known(name, read, self.shapes)
            if name == "loss":
                lost = uncertain(values, error)
                centre = np.where(np.isnan(values), 0.0, values)
                high[rows] = np.where(lost, centre + error, values)
                values = np.where(lost, centre - error, values)
            low[rows] = values
        return low, high

    def _column(self, name: str, columns: slice) -> NDArray[Any]:
        if name not in self.names:
            raise InputError(f"unknown quantity {name!r}; known: {', '.join(self.names)}")
        return np.concatenate([chunk.read(name, columns) for chunk in self.chunks])


def _shown(quantile: float) -> str:
    return "not known" if math.isnan(quantile) else f"{quantile:.3g}"
