"""Quantities along a run, from the state: potentials, Lie derivatives, marked times."""

from __future__ import annotations

import itertools
from collections.abc import Iterable, Mapping, Sequence
from contextlib import suppress
from typing import Any, Protocol

import numpy as np
import sympy as sp
from numpy.typing import NDArray

from flows.core.arrays import Array, numbers
from flows.core.errors import InputError, unknown
from flows.runs.expressions import evaluate_expressions
from potentials import Statements
from potentials.notation import FROZEN, symbol
from potentials.potential import Over, Potential, Term

__all__ = ["FLOOR", "Quantities", "Run", "evaluate", "marked_times", "quantities_of"]


#: Below this a double has lost digits or is about to: the number carries no more information.
FLOOR = 1e-280
#: Suffixes of a mark's name: the earliest and the latest time that it may have.
ENDS = ("earliest", "latest")


class Run(Protocol):
    """What measuring needs of a trajectory."""

    @property
    def t(self) -> Array:
        """Output times, shape (T,), beginning with 0."""

    @property
    def features(self) -> Mapping[str, Array]:
        """Numbers of each state and their rates: shapes (T,), (T, n) or (T, pairs)."""

    @property
    def parameters(self) -> Mapping[str, Any]:
        """`system`, `n`, `d`, `teacher_norm`."""

    @property
    def names(self) -> tuple[str, ...]:
        """Names of the observables."""

    @property
    def leading(self) -> str:
        """Observable that stands for the run in a summary."""

    @property
    def statements(self) -> Statements:
        """Potentials and claims of the run's system."""

    @property
    def quantities(self) -> Quantities:
        """All quantities, evaluated once and shared."""

    @property
    def status(self) -> str:
        """`completed`, or why the run stopped early."""

    @property
    def events(self) -> Sequence[Any]:
        """What happened on the way, each with its `time`."""

    @property
    def curvatures(self) -> Array | None:
        """Rates of decay at the end, of the Hessian or the field; None where they are not known."""

    def errors(self, name: str) -> Array:
        """Relative numerical error of a quantity at each time, shape (T,)."""

    @property
    def tolerance(self) -> Array:
        """Relative error that the solver's tolerance leaves in a quantity, shape (T,)."""

    @property
    def feature_errors(self) -> Mapping[str, Array]:
        """Absolute errors of features beside that, by name, of the features' shapes."""


def _reduced(term: Term, value: Array, rate: Array) -> tuple[Array, Array]:
    """Remove the index of a term; the rate of an extremum is that of the index attaining it."""
    if term.reduce is None:
        return value, rate
    if term.reduce == "sum":
        return value.sum(axis=-1), rate.sum(axis=-1)
    if value.shape[-1] == 0:
        undefined = np.full(value.shape[:-1], np.nan)
        return undefined, undefined
    # NaN marks an index where the quantity is undefined; it never attains the extremum.
    worst = -np.inf if term.reduce == "max" else np.inf
    ranked = np.where(np.isnan(value), worst, value)
    pick = (ranked.argmax if term.reduce == "max" else ranked.argmin)(axis=-1)[..., None]
    return (
        np.take_along_axis(value, pick, axis=-1)[..., 0],
        np.take_along_axis(rate, pick, axis=-1)[..., 0],
    )


def quantities_of(run: Any) -> Quantities:
    """Quantities of a run, or an :class:`~flows.core.errors.InputError` for what is no run."""
    found = getattr(run, "quantities", None)
    if isinstance(found, Quantities):
        return found
    raise InputError(f"run must be a trajectory, got {run!r:.60}; make one with flows.integrate")


def evaluate(potential: Potential, features: Mapping[str, Any]) -> tuple[Array, Array]:
    """Evaluate a potential and its Lie derivative from the features of states.

    Parameters
    ----------
    potential : Potential
        What to evaluate.
    features : mapping
        Arrays of shape (T,), (T, n) or (T, pairs), and constants, by name.

    Returns
    -------
    value, lie_derivative : ndarray
        Shape (T,), or (T, n) for a potential with a value for each neuron.
        NaN where the potential is undefined.
    """
    lie = potential.lie_derivative()
    terms: dict[str, Array] = {}
    for term, inner_rate in zip(potential.terms, lie.rates, strict=True):
        value, rate = np.broadcast_arrays(
            *evaluate_expressions((term.expression, inner_rate), features)
        )
        terms[term.name], terms[f"{term.name}_dot"] = _reduced(term, value, rate)
    outer = evaluate_expressions((potential.expression, lie.expression), {**features, **terms})
    value, rate = np.broadcast_arrays(*outer)
    return value, rate


class Quantities(dict[str, Any]):
    """Every quantity of a run by name, evaluated when it is first asked for; only to be read.

    Names are the constants, the features, the potentials and auxiliaries of the system, and the
    marks. `<name>_dot` is the rate along the flow, `<name>_0` the value at the start,
    `<name>_T2` the value at the mark `T2` (NaN if the run has no such time).

    Parameters
    ----------
    run : Run
        The trajectory.

    Raises
    ------
    KeyError
        For a name that is none of these.
    """

    def __init__(self, run: Run) -> None:
        stated = run.statements
        known = (*stated.potentials, *stated.auxiliaries)
        self._potentials = {p.name: p for p in known}
        self._marks = {mark.name: mark for mark in stated.marks}
        self._features = run.features
        features = {k: np.asarray(x, dtype=float) for k, x in run.features.items()}
        #: Numbers among the parameters, which claims know by their names; potentials come first.
        self.constants = {
            name: x for name, x in numbers(run.parameters).items() if name not in self._potentials
        }
        t = np.asarray(run.t, dtype=float)
        super().__init__({**features, **self.constants, "t": t, "t_end": t[-1]})

    def __missing__(self, name: str) -> Any:
        """Evaluate a quantity and keep it."""
        if not isinstance(name, str):
            raise KeyError(f"unknown quantity {name!r}")
        with suppress(KeyError):  # before a potential of this name, which is made from it
            self[name] = np.asarray(self._features[name], dtype=float)
            return self[name]
        base = name.removesuffix("_dot")
        if base in self.constants and base != name:
            return 0.0
        if base in self._potentials:
            self[base], self[f"{base}_dot"] = evaluate(self._potentials[base], self)
            return self[name]
        if name in self._marks:
            self[name] = self["t"][i] if (i := self._index(name)) is not None else np.nan
            return self[name]
        mark, _, end = name.rpartition("_")
        if mark in self._marks and end in ENDS:
            self[name] = self._bracket(mark)[ENDS.index(end)]
            return self[name]
        for suffix in FROZEN:
            if name.endswith(suffix):
                self[name] = self.frozen(np.asarray(self[name.removesuffix(suffix)]), suffix)
                return self[name]
        raise KeyError(f"unknown quantity {name!r}")

    def _index(self, name: str) -> int | None:
        """Index of the output time that a mark's rule selects."""
        mark = self._marks[name]
        (condition,) = evaluate_expressions((mark.condition,), self)
        broken = np.flatnonzero(~(condition >= 0))
        if mark.when == "until":
            last = broken[0] - 1 if len(broken) else len(condition) - 1
            return max(int(last), 0)
        first = broken[-1] + 1 if len(broken) else 0
        return int(first) if first < len(condition) else None

    def _bracket(self, name: str) -> tuple[float, float]:
        """Earliest and latest time that a mark may have: outputs show it within one of theirs."""
        t, i, until = self["t"], self._index(name), self._marks[name].when == "until"
        if i is None:
            return np.nan, np.nan
        (condition,) = evaluate_expressions((self._marks[name].condition,), self)
        if until:
            begun = bool(np.broadcast_to(condition, t.shape)[0] >= 0)
            after = t[i + 1] if i + 1 < len(t) else np.inf
            return float(t[i]), float(after if begun else t[i])
        return float(t[max(i - 1, 0)]), float(t[i])

    def marked(self, condition: sp.Expr) -> tuple[sp.Expr, ...]:
        """Return a condition with each mark at the earliest and at the latest time it may have."""
        marks = sorted((s for s in condition.free_symbols if s.name in self._marks), key=str)
        chosen = itertools.product(*([symbol(f"{s}_{end}") for end in ENDS] for s in marks))
        return tuple(condition.xreplace(dict(zip(marks, ends, strict=True))) for ends in chosen)

    def _known(self, name: str) -> Any:
        """Quantity ``name``, or one line that says which there are."""
        try:
            return self[name]
        except KeyError:
            raise unknown("quantity", name, sorted({*self, *self._potentials})) from None

    def at(self, expressions: Sequence[sp.Expr], over: Over) -> tuple[Array, ...]:
        """Evaluate expressions at each time and index.

        Parameters
        ----------
        expressions : sequence of Expr
            In quantities by name.
        over : {"state", "neuron", "pair"}
            The index of the result.

        Returns
        -------
        tuple of ndarray
            Shape (T,) over states, (T, n) or (T, pairs) otherwise.

        Raises
        ------
        InputError
            For an unknown quantity, and for one with values of another index.
        """
        values, shape = self.arguments({s.name for e in expressions for s in e.free_symbols}, over)
        return tuple(np.broadcast_to(x, shape) for x in evaluate_expressions(expressions, values))

    def informative(self, over: Over) -> NDArray[np.bool_]:
        """Where the loss has digits left, at each time and index; everywhere without a loss."""
        if "loss" not in self._features:
            return np.ones(self.arguments((), over)[1], dtype=bool)
        found: NDArray[np.bool_] = self.at((symbol("loss"),), over)[0] > FLOOR
        return found

    def arguments(
        self, names: Iterable[str], over: Over
    ) -> tuple[dict[str, Array], tuple[int, ...]]:
        """Quantities as arrays that broadcast to one number at each time and index.

        Parameters
        ----------
        names : iterable of str
            Which.
        over : {"state", "neuron", "pair"}
            The index.

        Returns
        -------
        values : dict
            Arrays by name.
        shape : tuple of int
            That to which they broadcast.

        Raises
        ------
        InputError
            For an unknown quantity, and for one with values of another index.
        """
        values = {name: np.asarray(self._known(name)) for name in names}
        shape: tuple[int, ...] = self["t"].shape
        if over != "state":
            if "n" not in self:
                raise InputError(
                    f"over must be state for a system without {over}s, got {over}; compare a"
                    " quantity of the whole state"
                )
            n = int(self["n"])
            values = {k: x[:, None] if x.ndim == 1 else x for k, x in values.items()}
            shape = (*shape, n if over == "neuron" else n * (n - 1) // 2)
        try:
            if np.broadcast_shapes(shape, *(x.shape for x in values.values())) == shape:
                return values, shape
        except ValueError:
            pass
        raise InputError(
            f"{', '.join(sorted(values))}: expected values for each {over}, got"
            " values for another index; say over which index the comparison is made"
        )

    def potential(self, name: str) -> Potential | None:
        """Potential or auxiliary of this name."""
        return self._potentials.get(name)

    def exact(self, name: str) -> bool:
        """Whether a quantity has no error: times, marks and parameters."""
        known = {*self.constants, *self._marks, "t", "t_end"}
        return name.removesuffix("_dot") in known

    def frozen(self, values: Array, suffix: str) -> Array:
        """Row of values at the time that a suffix of names means; NaN if the run has none."""
        ends = {"_0": 0, "_end": len(self["t"]) - 1}
        index = ends[suffix] if suffix in ends else self._index(suffix[1:])
        row = values[:1] if index is None else values[index : index + 1]
        return np.full_like(row, np.nan) if index is None else row


def marked_times(run: Run) -> dict[str, float]:
    """Return the times that the claims refer to, NaN for one that the run does not reach.

    Parameters
    ----------
    run : Run
        The trajectory.

    Returns
    -------
    dict
        By name, such as the end of a phase of training.
    """
    return {m.name: float(run.quantities[m.name]) for m in run.statements.marks}
