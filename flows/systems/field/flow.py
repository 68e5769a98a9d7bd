"""How a plain field is followed: in doubles and log-time, with companions that show its errors."""

from __future__ import annotations

import abc
import math
from collections.abc import Sequence
from typing import Any, ClassVar, Self

import numpy as np

from flows.core.altered import altered
from flows.core.arrays import Array
from flows.core.errors import InputError
from flows.core.piece import Piece, Restart
from flows.core.system import Excess, Smooth, System
from flows.systems.field.in_blocks import InBlocks
from flows.systems.field.pieces import field_piece
from flows.systems.field.states import COARSER, KICK, FieldState, Frame, beside, known, observe
from flows.systems.field.written import TIME, Expressions, Written, written
from potentials.search.subject import Subject
from symbolic.evidence.derivation import Document
from symbolic.language.blocks import shape
from symbolic.language.lower import lower
from symbolic.language.program import program
from symbolic.systems.own.field import derive_field

__all__ = ["FieldFlow"]

# Entries go to sides that are drawn once, from this seed.
SIDES = 7


class FieldFlow(InBlocks):
    """A flow whose field is an expression in the entries of blocks and the time."""

    name: str  # type: ignore[misc]
    blocks: Any
    potentials: Any
    constants: Any
    settings: Any
    start: Any
    #: Relative and absolute tolerance of steps, and to which side a companion is off.
    steps: tuple[float, float, float]

    dimensions: ClassVar[tuple[str, ...]] = ("entry",)
    containers: ClassVar[tuple[type, type]] = (Frame, FieldState)
    max_output_ratio: ClassVar[float] = 10.0**0.2
    nonnegative: ClassVar[bool] = False

    @property
    @abc.abstractmethod
    def expressions(self) -> Expressions:
        """Field, loss and potentials in entries."""

    @property
    def compiled(self) -> Written:
        """The same as functions of numbers."""
        return written(self.expressions)

    @property
    def measures(self) -> tuple[str, ...]:
        """Length of the field; where there is a loss, that loss and the length of its gradient."""
        return ("speed",) if self._plain else ("loss", "gradient_norm")

    @property
    def leading(self) -> str:
        """The loss, where there is one, or the first potential."""
        return next((name for name, _ in self.potentials), "speed") if self._plain else "loss"

    @property
    def _plain(self) -> bool:
        """Whether there is no loss."""
        return self.expressions.loss is None

    @property
    def autonomous(self) -> bool:
        """Whether neither the field nor a potential depends on the time."""
        return self.expressions.timeless

    @property
    def formula(self) -> tuple[Any, Any]:
        """Potentials are proved of gradient flows of a loss."""
        raise InputError(f"{self.name} is no gradient flow in the Euclidean metric; give one")

    @property
    def moving(self) -> Subject:
        """The field as polynomials, of which invariants are sought."""
        given = self.expressions
        if not given.autonomous:
            raise InputError(f"{self.name}: its field depends on the time; it has no invariants")
        return Subject(self.name, tuple(self.blocks), None, given.field)

    def derive(self) -> Document:
        """Derive the field's rates of potentials, substituted and simplified, with their signs.

        Raises
        ------
        InputError
            For more than 40 entries.
        """
        given = self.expressions
        named = () if given.loss is None else (("loss", given.loss),)
        try:
            return derive_field(
                self.name,
                (*self.blocks, TIME),
                given.field,
                (*named, *given.potentials),
                (*given.y, given.time),
            )
        except ValueError as refused:
            raise InputError(f"{self.name}: {refused}") from None

    @property
    def companions(self) -> tuple[tuple[System, float], ...]:
        """A run that steps less carefully, and two that are off to either side."""
        if self.steps[2]:
            return ()
        sides = (altered(self, steps=(0.0, 0.0, side)) for side in (1.0, -1.0))
        return ((altered(self, steps=(0.0, 0.0, 2.0)), COARSER), *((side, 1.0) for side in sides))

    def at_tolerance(self, rtol: float, atol: float, damped: bool, multistep: bool = False) -> Self:
        """Know the tolerances of steps."""
        return altered(self, steps=(rtol, atol, self.steps[2]))

    def check_start(self, start: Any) -> Array:
        """Start as a flat array; a mapping of blocks is packed."""
        array = self._finite(start)
        if not np.isfinite(self.compiled.slope(array, 0.0)).all():
            raise InputError(f"the field of {self.name} has no value there; start elsewhere")
        return array

    def reduce(self, start: Array) -> tuple[Frame, FieldState]:
        """Entries as they are, with what is observed there."""
        return Frame(), observe(self.compiled, start, np.zeros(()))

    def restore(self, frame: Frame, state: FieldState) -> Array:
        """Entries, shape (..., N)."""
        return state.x

    def begin(self, frame: Frame, state: FieldState) -> Restart:
        """Begin at time 0."""
        return Restart(frame, state, 0.0)

    def piece(self, frame: Frame, state: FieldState, time: float) -> Piece:
        """Piece in log-time, of a companion with a field that is off."""
        size, (rtol, atol, side) = len(state.x), self.steps
        signs = np.random.default_rng(SIDES).choice([-1.0, 1.0], size=size)
        kick = KICK * side * np.outer([rtol, atol], signs) if abs(side) == 1 else None
        blocks = tuple(math.prod(shape(block)) for block in self.blocks)
        return field_piece(self.compiled, frame, state.x, time, blocks, kick)

    def beside(self, frame: Any, states: FieldState, others: Sequence[FieldState]) -> FieldState:
        """States whose errors are their distances to the companions' states."""
        return beside(states, others)

    def features(self, frame: Frame, states: FieldState) -> dict[str, Array]:
        """Observables that the states carry, by name; NaN where they are not known."""
        seen = np.where(known(states), states.seen, np.nan)
        return dict(zip(self._features, np.moveaxis(seen, -1, 0), strict=True))

    def errors(
        self, states: FieldState, features: dict[str, Array], t: Array, tolerance: Array
    ) -> dict[str, Array]:
        """What companions show; where a number is not known, a bound of its size."""
        bound = np.where(known(states), states.off, np.abs(states.seen) + states.off)
        return dict(zip(self._features, np.moveaxis(bound, -1, 0), strict=True))

    def remark(self, frame: Frame, states: FieldState, t: Array) -> str:
        """Say from when on errors of steps decide where the flow goes."""
        lost = np.isinf(states.error).all(axis=-1)
        if not lost.any():
            return ""
        return (
            f"from t = {t[int(np.argmax(lost))]:.3g} on the state is not known, as errors of steps"
            " decide where it goes: end the run before, or take a smaller rtol"
        )

    @property
    def _features(self) -> tuple[str, ...]:
        """Names of what is observed."""
        loss = () if self._plain else ("loss",)
        named = (*loss, *(name for name, _ in self.potentials))
        return (self.measures[-1], *(each for n in named for each in (n, f"{n}_dot")))

    def exact_flow(self, frame: Frame, state: FieldState, digits: int) -> Smooth:
        """Flow with ``digits`` digits, of a field that does not depend on the time."""
        given = self.expressions
        if not self.autonomous:
            raise InputError(
                "method 'reference' needs a field and potentials that do not depend on the time;"
                " choose another"
            )
        steps = program(given.field)
        exact = lower(steps.results, given.y, "mpmath", steps.steps)

        def velocity(x: list[Any]) -> list[Any]:
            return list(exact(*x))

        def jacobian(x: list[Any]) -> Array:
            return self.compiled.jacobian(np.array([float(k) for k in x]), 0.0)

        def decode(x: list[Any]) -> FieldState:
            return observe(self.compiled, np.array([float(k) for k in x]), np.zeros(()))

        return Smooth(velocity, jacobian, state.x.tolist(), decode)

    def excess(self, frame: Any, states: Any, t: Array, loss: Array) -> Excess:
        """Loss above its limit, which is not looked for."""
        reason = "limit not found: the states of the run are doubles"
        return Excess(np.full(len(t), np.nan), math.nan, reason)

    @property
    def no_law(self) -> str:
        """Laws need a gradient."""
        return "laws are derived of gradient flows; fit one with flows.tail_constant"

    def velocity(self, state: Any, t: float = 0.0) -> Array:
        """Field at a state, shape (N,)."""
        return self.compiled.slope(self._flat(state), t)

    def jacobian(self, state: Any, t: float = 0.0) -> Array:
        """Derivatives of the field by the entries, shape (N, N)."""
        return self.compiled.jacobian(self._flat(state), t)

    def loss(self, state: Any) -> float:
        """Loss of a state, shape (N,), of a gradient flow in a metric."""
        y = self._of_loss(state)
        return float(self.compiled.value("loss", y[None], np.zeros(1))[0])

    def gradient(self, state: Any) -> Array:
        """Gradient of the loss, shape (N,)."""
        return self.compiled.gradient("loss", self._of_loss(state)[None], np.zeros(1))[0]

    def hessian(self, state: Any) -> Array:
        """Hessian of the loss, shape (N, N)."""
        return self.compiled.hessian(self._of_loss(state))

    def decay_rates(self, state: Array, t: float) -> Array:
        """Real parts of the eigenvalues of minus the Jacobian, increasing, shape (N,).

        Zero for deviations that decay and turn: an oscillation does not show that a law has begun.
        """
        values = -np.linalg.eigvals(self.jacobian(state, t))
        return np.sort(np.where(values.imag == 0, values.real, np.minimum(values.real, 0)))

    def _of_loss(self, state: Any) -> Array:
        if self._plain:
            raise InputError(f"{self.name} is a plain field without a loss; look at its potentials")
        return self._flat(state)
