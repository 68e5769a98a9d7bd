r"""Gradient flows in another metric than the Euclidean one: learning rates, mirror flows.

.. math:: \dot y = -G(y)^{-1} \nabla L(y), \qquad \dot L = -\nabla L^T G^{-1} \nabla L
"""

from __future__ import annotations

import dataclasses
import functools
import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Self

import numpy as np
import sympy as sp

from flows.core.arrays import Array
from flows.core.errors import InputError
from flows.systems.field.blocks import Pairs, check_names, derived, frozen, hold_tuples, pairs
from flows.systems.field.flow import FieldFlow
from flows.systems.field.recorded import definition_of
from flows.systems.field.statements import fingerprint
from flows.systems.field.states import FieldState, Frame
from flows.systems.field.written import TIME, Expressions, expressions, in_closed_form
from symbolic.language.blocks import Block, shape, written_out
from symbolic.language.lower import lower

__all__ = ["MetricFlow"]

# Metrics of more entries that are not diagonal have inverses that fill pages.
MOST_FULL = 8


@dataclass(frozen=True)
class MetricFlow(FieldFlow):
    r"""Gradient flow of a loss in a metric, or with learning rates; made by `flows.OwnSystem`.

    Parameters
    ----------
    name, blocks, expression, potentials, claims, marks, constants
        As of :class:`flows.OwnSystem`; expectations must have a closed form.
    rates : mapping of Block to Expr
        Learning rates, positive numbers or expressions in the blocks and ``t``; 1 where none is
        given.
    metric : Matrix, optional
        `G`, symmetric and positive definite, in the blocks, with a row for each entry. Instead of
        it, a mapping of blocks to the positive expressions by which their gradients are divided.
    """

    name: str  # type: ignore[misc]
    blocks: Any
    expression: Any
    potentials: Any = ()
    claims: Any = ()
    marks: Any = ()
    constants: Any = ()
    rates: Any = ()
    metric: Any = None
    settings: Any = dataclasses.field(default=(), kw_only=True)
    start: Any = dataclasses.field(default=None, compare=False, repr=False, kw_only=True)
    steps: tuple[float, float, float] = dataclasses.field(
        default=(0.0, 0.0, 0.0), compare=False, repr=False, init=False
    )
    along = r"-\left\langle \nabla %(phi)s, G^{-1} \nabla L \right\rangle"

    def __post_init__(self) -> None:
        """Check everything and derive what the flow needs; mappings become tuples."""
        hold_tuples(self, ("potentials", "constants", "rates"))
        object.__setattr__(self, "expression", frozen(self.expression))
        if not (self.metric is None or isinstance(self.metric, sp.MatrixBase)):
            by_block = ((block, frozen(x)) for block, x in pairs("metric", self.metric))
            object.__setattr__(self, "metric", tuple(by_block))
        object.__setattr__(self, "metric", frozen(self.metric))
        check_names(
            self.name, self.blocks, self.potentials, self.claims, self.marks, self.constants
        )
        weights = self.metric if isinstance(self.metric, tuple) else ()
        for label, given in (("rates", self.rates), ("metric", weights)):
            for block, _ in given:
                if block not in self.blocks:
                    names = ", ".join(b.name for b in self.blocks)
                    raise InputError(f"{label}: expected blocks, {names}, got {block}")
        _ = self.compiled  # which refuses what cannot be used

    @property
    def expressions(self) -> Expressions:
        """Field, loss and potentials in entries."""
        return _expressions(self.blocks, self.expression, self.potentials, self.rates, self.metric)[
            0
        ]

    @functools.cached_property
    def _weights(self) -> Any:
        """Rates and metric of a state, as one matrix, compiled."""
        given, matrix = _expressions(
            self.blocks, self.expression, self.potentials, self.rates, self.metric
        )
        return lower(list(matrix), (*given.y, given.time), "numpy")

    def check_start(self, start: Any) -> Array:
        """Start as a flat array, where rates and metric are positive."""
        array = super().check_start(start)
        if not self._positive(array, 0.0):
            raise InputError(
                f"rates and metric of {self.name} must be positive, and are not at this start;"
                " start elsewhere, or give others"
            )
        return array

    def _positive(self, state: Array, t: float) -> bool:
        """Whether rates and metric are positive there."""
        size = len(state)
        with np.errstate(all="ignore"):
            found = np.array(self._weights(*state, t), dtype=float).reshape(size, size)
        known = np.isfinite(found).all() and np.allclose(found, found.T)
        return bool(known and np.linalg.eigvalsh(found)[0] > 0)

    def remark(self, frame: Frame, states: FieldState, t: Array) -> str:
        """Say from when on rates or metric are not positive, so that the loss may rise."""
        for k, time in enumerate(t):
            if np.isfinite(states.x[k]).all() and not self._positive(states.x[k], float(time)):
                return (
                    f"at t = {time:.3g} rates and metric are not positive: this is no gradient"
                    " flow any more; end the run before, or give others"
                )
        return super().remark(frame, states, t)

    @classmethod
    def from_parameters(cls, parameters: dict[str, Any]) -> Self:
        """No system is made of plain values alone."""
        raise InputError("build the system and give it: flows.load(path, system=...)")

    @property
    def parameters(self) -> dict[str, Any]:
        """Shapes of the blocks, loss, rates and metric as text for people, and constants."""
        weights = isinstance(self.metric, tuple)
        metric = _listed_pairs(self.metric) if weights else str(self.metric)
        words = {"rates": _listed_pairs(self.rates), "metric": metric if self.metric else ""}
        return self._stated(
            formula=str(self.expression),
            **{label: text for label, text in words.items() if text},
            fingerprint=fingerprint(self.blocks, self.expression, self.rates, self.metric),
            features=list(self._features),
        )

    @property
    def definition(self) -> Any:
        """Blocks, loss, rates, metric and potentials as plain data."""
        weights = self.metric if isinstance(self.metric, tuple) else ()
        whole = (("metric", self.metric),) if self.metric is not None and not weights else ()
        return definition_of(
            "metric",
            {
                "blocks": tuple((block.name, block) for block in self.blocks),
                "loss": (("loss", self.expression),),
                "potentials": self.potentials,
                "rates": tuple((block.name, x) for block, x in self.rates),
                "weights": tuple((block.name, x) for block, x in weights),
                "whole": whole,
            },
        )


def _listed_pairs(given: Pairs) -> str:
    return ", ".join(f"{block.name}: {x}" for block, x in given)


@functools.lru_cache(maxsize=64)
def _expressions(
    blocks: tuple[Block, ...], loss: Any, potentials: Pairs, rates: Pairs, metric: Any
) -> tuple[Expressions, sp.ImmutableMatrix]:
    """Everything in entries, and the matrix by which the gradient is multiplied."""
    moving = (*blocks, TIME)
    none = tuple(sp.ZeroMatrix(*b.shape) if shape(b) else sp.S.Zero for b in blocks)
    given = expressions(blocks, none, loss, potentials)
    assert given.loss is not None
    if given.time in given.loss.free_symbols:
        raise InputError(
            "the loss: expected an expression without t, as a gradient flow's loss falls; put the"
            " time into the rates, or give the field to flows.ODE"
        )
    slope = sp.Matrix([sp.diff(given.loss, s) for s in given.y])
    factors = _spread(blocks, rates, "rates")
    if isinstance(metric, tuple):
        weights = _spread(blocks, metric, "metric")
        factors = [a / b for a, b in zip(factors, weights, strict=True)]
        metric = None
    inverse = sp.diag(*factors)
    if metric is not None:
        if rates:
            raise InputError(
                "rates: expected none beside a metric that is a matrix; divide its rows and columns"
                " by their square roots"
            )
        inverse = _inverse(_written(metric, moving, len(slope))) * inverse
    field = tuple(-entry for entry in inverse * slope)
    return dataclasses.replace(given, field=field), sp.ImmutableMatrix(inverse)


def _spread(blocks: Sequence[Block], given: Pairs, label: str) -> list[sp.Expr]:
    """One factor an entry; 1 of blocks without one."""
    known = dict(given)
    found: list[sp.Expr] = []
    for block in blocks:
        factor = in_closed_form(f"{label} of {block.name}", known.get(block, 1), blocks)
        if factor.is_positive is False or factor == 0:
            raise InputError(f"{label} of {block.name} must be positive, got {factor}")
        found += [factor] * math.prod(shape(block))
    return found


def _written(metric: Any, moving: tuple[Block, ...], size: int) -> sp.Matrix:
    """The metric in entries: square, of the right size and symmetric."""
    found = sp.Matrix(derived("metric", "the flow", lambda: written_out(metric, moving)))
    if found.shape != (size, size):
        raise InputError(f"metric: expected {size} rows and columns, got the shape {found.shape}")
    if (found - found.T).applyfunc(sp.simplify) != sp.zeros(size):
        raise InputError("metric: expected a symmetric matrix; give one")
    return found


def _inverse(matrix: sp.Matrix) -> sp.Matrix:
    """Its inverse, entry by entry."""
    size = matrix.rows
    if matrix.is_diagonal():
        return sp.diag(*(1 / matrix[i, i] for i in range(size)))
    if size > MOST_FULL:
        raise InputError(
            f"metric: expected at most {MOST_FULL} rows of one that is not diagonal, got {size};"
            " take a diagonal one, or a smaller system"
        )
    if matrix.det() == 0:
        raise InputError("metric: expected an invertible matrix, got a determinant of zero")
    return matrix.inv(method="ADJ").applyfunc(sp.cancel)
