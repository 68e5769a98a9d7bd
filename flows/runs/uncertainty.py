r"""Numerical errors of a run's quantities, each at each time, and what they do to expressions.

A quantity is wrong by what the tolerance of the solver leaves, relative to it, and by the absolute
error that its system states beside that (:meth:`flows.core.system.System.errors`: rounding of the
state, cancellation). Errors of features reach a potential, and errors of quantities a comparison,
by evaluating it at values moved by their errors, one by one,

.. math:: \delta f = \sum_k \max_\pm |f(x \pm \delta_k e_k) - f(x)|

and, where an error is not small beside its quantity, all together in the worst direction. A value
that does not exist there (a root of what may be negative) is not known: its error is infinite.
"""

from __future__ import annotations

import functools
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import sympy as sp
from numpy.typing import NDArray

from flows.core.arrays import Array
from flows.runs.expressions import evaluate_expressions
from flows.runs.quantities import Quantities, Run
from flows.runs.rounding import cancelled
from potentials.notation import FROZEN
from potentials.potential import Over, Potential, Term

__all__ = ["Uncertainty", "propagated", "vanished"]

#: Errors above this part of a quantity are no longer small: their products count.
SMALL = 1e-3

Errors = Mapping[str, Any]


def propagated(
    expressions: Sequence[sp.Expr],
    values: Mapping[str, Any],
    errors: Errors,
    *,
    difference: bool = False,
) -> tuple[list[Array], list[Array]]:
    """Evaluate expressions, and bound how far errors of their arguments move them.

    Parameters
    ----------
    expressions : sequence of Expr
        What is evaluated.
    values : mapping
        Arrays that broadcast against each other, by name.
    errors : mapping
        Absolute errors of them; a value without one is exact.
    difference : bool
        Whether the error is that of the first expression less the second one.

    Returns
    -------
    values, errors : list of ndarray
        Of the expressions; one error if it is that of the difference.
    """
    names = set().union(*(_names(e) for e in expressions))
    moving = sorted(k for k in names if errors.get(k) is not None)

    def evaluated(shifted: Mapping[str, Array]) -> tuple[list[Array], list[Array]]:
        found = list(
            evaluate_expressions(expressions, {k: shifted.get(k, values[k]) for k in names})
        )
        with np.errstate(all="ignore"):
            return found, [found[0] - found[1]] if difference else found

    if not moving:
        found, measured = evaluated({})
        return found, [np.zeros_like(x) for x in measured]
    rows = 2 * len(moving) + 1
    stacks = {}
    for i, k in enumerate(moving):
        value, error = np.broadcast_arrays(values[k], errors[k])
        stacks[k] = np.repeat(value[None], rows, axis=0)
        with np.errstate(invalid="ignore"):  # what is infinite with an infinite error is unknown
            stacks[k][2 * i + 1] += error
            stacks[k][2 * i + 2] -= error
    ndim = max(x.ndim for x in stacks.values())
    found, measured = evaluated(stacks)
    # What does not exist, but may, is not known.
    lacking = (np.isnan(values[k]) & np.isposinf(errors[k]) for k in moving)
    unknown = functools.reduce(np.logical_or, lacking)
    large = any((np.asarray(errors[k]) > SMALL * np.abs(values[k])).any() for k in moving)
    doubts = []
    for which, moved in enumerate(measured):
        if moved.ndim < ndim:  # none of the moving ones occurs in it
            doubts.append(np.zeros_like(moved))
            continue
        change = _change(moved[1:], moved[0]).reshape(len(moving), 2, *moved.shape[1:])
        error = np.abs(change).max(axis=1).sum(axis=0)
        if large and len(moving) > 1:
            upwards = np.where(change[:, 0] >= change[:, 1], 1.0, -1.0)
            for sense in (upwards, -upwards):
                with np.errstate(invalid="ignore"):
                    shifted = {
                        k: values[k] + s * errors[k] for k, s in zip(moving, sense, strict=True)
                    }
                corner = evaluated(shifted)[1][which]
                error = np.maximum(error, np.abs(_change(corner, moved[0])))
        doubts.append(np.where(np.isnan(moved[0]) & unknown, np.inf, error))
    return [x[0] if x.ndim == ndim else x for x in found], doubts


@np.errstate(all="ignore")
def _change(moved: Array, value: Array) -> Array:
    """How far values moved; infinitely where they do not exist any more."""
    change = moved - value
    return np.where(np.isnan(change) & np.isfinite(value), np.inf, change)


def vanished(value: Array) -> NDArray[np.bool_]:
    """Zeros of what was positive at the first time: it is taken to be below all doubles."""
    zeros: NDArray[np.bool_] = (value == 0) & (value[:1] > 0)
    return zeros


class Uncertainty(dict[str, "Array | None"]):
    """Absolute errors of a run's quantities by name, of their shapes; None for exact ones.

    Parameters
    ----------
    run : Run
        The trajectory.
    """

    def __init__(self, run: Run) -> None:
        super().__init__()
        self._quantities: Quantities = run.quantities
        self._tolerance = run.tolerance
        self._stated = run.feature_errors
        self._beside: dict[str, Array | None] = {}

    def __missing__(self, name: str) -> Array | None:
        """Error of a quantity, which is kept."""
        self[name] = self._error(name)
        return self[name]

    def _error(self, name: str) -> Array | None:
        quantities = self._quantities
        if quantities.exact(name):
            return None
        for suffix in FROZEN:
            if name.endswith(suffix):
                error = self[name.removesuffix(suffix)]
                return None if error is None else quantities.frozen(error, suffix)
        value = np.abs(np.asarray(quantities[name], dtype=float))
        error = self._tolerance.reshape(-1, *[1] * (value.ndim - 1)) * value
        beside = self.beside(name)
        if beside is not None:  # it bounds the size where the value is NaN
            error = np.where(np.isnan(value), beside, error + beside)
        return np.where(vanished(value), np.maximum(error, np.finfo(float).tiny), error)

    def beside(self, name: str) -> Array | None:
        """Error beside that of the tolerance: stated, or that of the features of a potential."""
        if name not in self._beside:
            self._beside[name] = self._stated.get(name)
            potential = self._quantities.potential(name.removesuffix("_dot"))
            if self._beside[name] is None and potential is not None:
                base, both = name.removesuffix("_dot"), self._of_potential(potential)
                self._beside[base] = self._stated.get(base, both[0])
                self._beside[f"{base}_dot"] = self._stated.get(f"{base}_dot", both[1])
        return self._beside[name]

    def _of_potential(self, potential: Potential) -> tuple[Array | None, Array | None]:
        """Errors of a potential and of its rate."""
        lie = potential.lie_derivative()
        values: dict[str, Any] = {}
        errors: dict[str, Array | None] = {}
        for term, rate in zip(potential.terms, lie.rates, strict=True):
            names = _names(term.expression) | _names(rate)
            stated = {k: self._stated.get(k) for k in names}
            found, doubts = propagated(
                (term.expression, rate), {k: self._quantities[k] for k in names}, stated
            )
            for k, x in zip(
                (term.name, f"{term.name}_dot"), _reduced(term, *found, *doubts), strict=True
            ):
                values[k], errors[k] = x
            if all(error is None for error in stated.values()):
                errors |= {term.name: None, f"{term.name}_dot": None}
        if all(error is None for error in errors.values()):
            return None, None
        outer = (potential.expression, lie.expression)
        for k in set().union(*map(_names, outer)) - set(values):
            values[k] = self._quantities[k]
        value, rate = propagated(outer, values, errors)[1]
        return value, rate

    def compared(
        self, lhs: sp.Expr, rhs: sp.Expr, over: Over, given: Mapping[str, float] | None = None
    ) -> tuple[Array, Array, Array]:
        """Both sides of a comparison and the error of their difference, at each time and index.

        Parameters
        ----------
        lhs, rhs : Expr
            In quantities by name.
        over : {"state", "neuron", "pair"}
            The index of the result.
        given : mapping, optional
            Exact numbers that stand for symbols.

        Returns
        -------
        tuple of ndarray
            Shape (T,) over states, (T, n) or (T, pairs) otherwise.

        Raises
        ------
        InputError
            For an unknown quantity, and for one with values of another index.
        """
        given = given or {}
        names = (_names(lhs) | _names(rhs)) - set(given)
        values, shape = self._quantities.arguments(names, over)
        errors: dict[str, Array | None] = {}
        for k in names:
            error = self[k]
            if error is not None and over != "state" and error.ndim == 1:
                error = error[:, None]
            errors[k] = error
        known = {k: np.float64(x) for k, x in given.items()}
        found, (error,) = propagated((lhs, rhs), values | known, errors, difference=True)
        left, right = cancelled((lhs, rhs), values | known, found)
        return (
            np.broadcast_to(left, shape),
            np.broadcast_to(right, shape),
            np.broadcast_to(error, shape),
        )


def _reduced(
    term: Term, value: Array, rate: Array, error: Array, doubt: Array
) -> tuple[tuple[Array, Array], tuple[Array, Array]]:
    """Value and rate of a term without its index, each with its error."""
    value, rate, error, doubt = np.broadcast_arrays(value, rate, error, doubt)
    if term.reduce is None:
        return (value, error), (rate, doubt)
    if term.reduce == "sum":
        return (value.sum(axis=-1), error.sum(axis=-1)), (rate.sum(axis=-1), doubt.sum(axis=-1))
    if value.shape[-1] == 0:
        undefined = np.full(value.shape[:-1], np.nan)
        return (undefined, undefined), (undefined, undefined)
    sense = 1.0 if term.reduce == "max" else -1.0
    ranked = np.where(np.isnan(value), -np.inf, sense * value)
    pick = ranked.argmax(axis=-1)[..., None]
    best, rate, doubt = (
        np.take_along_axis(x, pick, axis=-1)[..., 0] for x in (ranked, rate, doubt)
    )
    # Another index attains the extremum, within its error.
    known = np.nan_to_num(error, nan=0.0, posinf=np.inf)
    # What is not known at all may attain it where it does not exist, too.
    highest = (np.where(np.isinf(known), 0.0, ranked) + known).max(axis=-1)
    lowest = (ranked - known).max(axis=-1)
    # Where no index has a value there is no extremum.
    best = np.where(np.isneginf(best), np.nan, best)
    return (sense * best, np.maximum(highest - best, best - lowest)), (rate, doubt)


def _names(expression: sp.Expr) -> set[str]:
    return {s.name for s in expression.free_symbols}
