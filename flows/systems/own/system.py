r"""A loss of your own as a system: its gradient flow, potentials and claims, by the same machinery.

.. math:: L(y) = A(y) + E f(y, x), \qquad x \sim N(0, I), \qquad \dot y = -\nabla L(y)
"""

from __future__ import annotations

import copy
import functools
import math
import warnings
from collections.abc import Mapping
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import TYPE_CHECKING, Any, ClassVar, Self

import numpy as np
import sympy as sp
from flint import arb

from flows.core.arrays import Array
from flows.core.axis_field import AxisTerms, Code
from flows.core.errors import InputError
from flows.core.limit import Limit
from flows.core.minimiser import Approach, Minimiser
from flows.core.piece import Piece, Restart
from flows.core.starts import seeded
from flows.core.system import Excess, Smooth, System
from flows.systems.own import energy, pieces
from flows.systems.own.energy_units import first_time
from flows.systems.own.exact import balls, fixed_rule
from flows.systems.own.exact_view import above_limits, told
from flows.systems.own.given import check, frozen, loss_of, pairs
from flows.systems.own.infinite import no_number, not_finite
from flows.systems.own.loss import Estimate, Loss, estimate, numeric
from flows.systems.own.polynomial import (
    PolynomialFlow,
    block_shapes,
    blocks_of,
    expression_of,
    stated_terms,
)
from flows.systems.own.reading import ROUGH
from flows.systems.own.sound_state import (
    Frame,
    SoundState,
    feature_names,
    stated_errors,
    unknown_at,
)
from flows.systems.own.states import Shapes, flat, pack, unpack
from flows.systems.own.twofold import code_of, rates_of, value_code_of
from flows.systems.own.view import View
from potentials import Potential, Source, Statements
from potentials.notation import symbol
from potentials.potential import single
from symbolic.asymptotics.derive import point_of
from symbolic.language.blocks import shape
from symbolic.language.stated import restated, stated
from symbolic.systems.own.document import derive

if TYPE_CHECKING:
    from symbolic.evidence.derivation import Document

__all__ = ["OwnSystem"]

LARGEST = 1e100  # of an entry
FINEST = 1e-13  # an expectation is never asked for less error
HERE = Source("this system", 2026, "", "its own definition", "definition")


@dataclass(frozen=True)
class OwnSystem(System):
    r"""Gradient flow of a loss that is given as a SymPy expression over named blocks.

    .. math:: \dot y = -\nabla L(y), \qquad \frac{d}{dt} \Phi(y) = -\nabla \Phi \cdot \nabla L

    Gradient, Jacobian and Lie derivatives are derived from the expressions.

    Parameters
    ----------
    name : str
        Name of the system, none of the built-in ones.
    blocks : sequence of Symbol or MatrixSymbol
        What moves: scalars, vectors (one column), matrices. A state is the flat array of their
        entries, in this order and row by row; see :meth:`pack` and :meth:`unpack`.
    expression : Expr
        The loss, in the blocks, their entries and products. `symbolic.Expectation(f, x)` is a
        Gaussian expectation: that of a polynomial in `x` is brought into closed form, any other
        one is computed by quadrature with a measured error.
    potentials : mapping of str to Expr, optional
        Functions of the blocks that are observed, with their derivatives along the flow.
    claims : sequence of Claim, optional
        Statements in the symbols of these names (`potentials.symbol`), for
        :func:`flows.check`.
    decay : mapping of Block to float, optional
        Deprecated: ignored where states are exact. In doubles, `{block: p}` scales a block that
        tends to zero like `t^-p`.
    marks : sequence of Mark, optional
        Times `T1` and `T2` that the claims refer to.
    constants : mapping of str to float, optional
        Numbers that the claims refer to, by names of `potentials.CONSTANTS`.

    arithmetic : {"auto", "balls", "doubles"}
        How states are kept. `balls`: exact states, of about 160 bits and of more where it takes
        them, the gradient in ball arithmetic, increments in units of the energy that is left
        (:mod:`flows.systems.own.energy`); expectations in one dimension by a fixed trapezoidal rule
        that is right to 1e-30. `doubles`: no state has more than 16 digits. `auto` is `balls`, and
        `doubles` where those are not possible (an expectation in two or more dimensions, or one
        that 2000 nodes do not resolve; a function without ball arithmetic), and where they are
        slow: for more than 150 entries, and for an expectation whose gradient takes more than 12000
        steps of its program, over all nodes.

    Raises
    ------
    InputError
        For names that cannot be used, other symbols in an expression, a loss with kinks, and one
        that is not linear in expectations without a closed form.

    Notes
    -----
    Units: ``t`` is the time of ``dy/dt = -grad L``.
    Accuracy: with exact states, at ``rtol = 1e-10``, the loss above its limit is right to 1e-9 up
    to t = 1e12 on the losses of the tests, down to 1e-290 (averages: 1e-60), where the state stays
    and what is not known is NaN. In doubles it is that of the expressions, and it is measured: a
    loss, gradient or potential is NaN where its error is a tenth of it or more, and below that the
    error adds to ``run.errors()``.
    The derived code grows with the number of entries, which is at most 500. A loss in traces of
    matrix expressions, and potentials that are too, may have 2000: beyond 500 they are evaluated by
    matrix code, and states are doubles.

    Examples
    --------
    >>> y = sp.Symbol("y")
    >>> system = OwnSystem("quartic", [y], y**4 / 4, potentials={"square": y**2})
    >>> system.loss([2.0]), system.gradient([2.0]).tolist(), system.hessian([2.0]).tolist()
    (4.0, [8.0], [[12.0]])
    """

    name: str  # type: ignore[misc]
    blocks: Any
    expression: Any
    potentials: Any = ()
    claims: Any = ()
    decay: Any = ()
    marks: Any = ()
    constants: Any = ()
    tolerance: float = field(default=1e-12, compare=False, repr=False)
    steps: tuple[float, float, bool, bool] = field(
        default=(0.0, 0.0, True, False), compare=False, repr=False
    )
    arithmetic: str = field(default="auto", kw_only=True)

    containers: ClassVar[tuple[type, type]] = (Frame, SoundState)
    dimensions: ClassVar[tuple[str, ...]] = ("entry",)

    def __post_init__(self) -> None:
        """Check everything and derive what the flow needs; mappings become tuples."""
        for label in ("blocks", "claims", "marks"):
            object.__setattr__(self, label, _listed(label, getattr(self, label)))
        for label in ("potentials", "decay", "constants"):
            object.__setattr__(self, label, pairs(label, getattr(self, label)))
        object.__setattr__(self, "expression", frozen(self.expression))
        known = tuple((name, frozen(potential)) for name, potential in self.potentials)
        object.__setattr__(self, "potentials", known)
        check(
            self.name,
            self.blocks,
            self.expression,
            self.potentials,
            self.claims,
            self.decay,
            self.marks,
            self.constants,
            self.arithmetic,
        )
        if self.decay:
            warnings.warn(
                "decay is not needed any more, and is ignored where states are exact; leave it out",
                DeprecationWarning,
                stacklevel=3,
            )

    @classmethod
    def from_parameters(cls, parameters: dict[str, Any]) -> Self:
        """Polynomial loss as a certificate states it: no other one can be told by plain values."""
        if {*parameters} != {"name", "blocks", "terms"}:
            raise InputError(
                "expected the name, blocks and terms of a polynomial loss; of another one build the"
                " system and give it: flows.load(path, system=...)"
            )
        blocks = blocks_of(parameters["blocks"])
        return cls(parameters["name"], blocks, expression_of(blocks, parameters["terms"]))

    @property
    def parameters(self) -> dict[str, Any]:
        """Shapes of the blocks, the loss as text for people, its fingerprint, and constants."""
        return {
            "blocks": {block.name: list(shape(block)) for block in self.blocks},
            "formula": _written(self.expression),
            "fingerprint": self._loss.fingerprint,
            "features": self._features,
            **{name: float(value) for name, value in self.constants},
        }

    @property
    def definition(self) -> list[Any] | None:
        """Blocks, loss and potentials as plain data, so that a file can be evaluated again."""
        names = [name for name, _ in self.potentials]
        nodes = stated([*self.blocks, self.expression, *(p for _, p in self.potentials)])
        return None if nodes is None else [names, nodes]

    @classmethod
    def defined(cls, name: str, definition: Any) -> Self:
        """System of a :attr:`definition`.

        Raises
        ------
        ValueError
            For what is none.
        """
        names, nodes = definition
        parts = restated(nodes)
        count = len(parts) - 1 - len(names)
        known = zip(names, parts[count + 1 :], strict=True)
        return cls(name, parts[:count], parts[count], tuple(known))

    @property
    def certified(self) -> tuple[str, dict[str, Any]] | str:
        """Terms of a polynomial loss, by which a certificate states it; or why it is none."""
        terms = stated_terms(self.blocks, self._loss.form)
        if isinstance(terms, str):
            return f"{self.name}: {terms}"
        return "polynomial", {
            "name": self.name,
            "blocks": block_shapes(self.blocks),
            "terms": terms,
        }

    def ball_flow(self, start: Array) -> PolynomialFlow:
        """Flow of a polynomial loss in ball arithmetic, from which certificates are made."""
        return PolynomialFlow(self._loss.y, self._loss.form, self._view.known, start)

    @property
    def statements(self) -> Statements:
        """The system's own potentials and claims."""
        found = []
        for name, expression in self.potentials:
            sign = rf"\mathrm{{{name}}}".replace("_", r"\_")
            names = MappingProxyType(
                {
                    name: sp.latex(expression),
                    f"{name}_dot": rf"-\left\langle \nabla {sign}, \nabla L \right\rangle",
                }
            )
            terms = single(name, "state", symbol(name), None)
            found.append(
                Potential(name, sign, terms, symbol(name), "where it is smooth", HERE, names)
            )
        return Statements(tuple(found), (), self.claims, self.marks)

    @property
    def _features(self) -> list[str]:
        """Names of what is observed."""
        return list(feature_names([n for n, _ in self.potentials], self._loss.averaged))

    @property
    def _loss(self) -> Any:
        return loss_of(self.blocks, self.expression)

    @property
    def _view(self) -> View:
        return View(self.blocks, self.expression, self.potentials, self.arithmetic, self.tolerance)

    @property
    def _shapes(self) -> Shapes:
        return {block.name: shape(block) for block in self.blocks}

    # States of the user ------------------------------------------------------------------

    def pack(self, values: Mapping[str, Any]) -> Array:
        """Flat state of arrays by the names of the blocks; the inverse of :meth:`unpack`.

        Raises
        ------
        InputError
            For other names, or an array of another shape.
        """
        return pack(self._shapes, values)

    def unpack(self, state: Any) -> dict[str, Array]:
        """Arrays of the blocks by name, of a state or of states with leading axes.

        Examples
        --------
        >>> w = sp.MatrixSymbol("w", 2, 2)
        >>> OwnSystem("norm", [w], sp.trace(w.T * w)).unpack([1, 2, 3, 4])["w"].tolist()
        [[1.0, 2.0], [3.0, 4.0]]
        """
        return unpack(self._shapes, state)

    def initial(self, scale: float = 0.1, seed: int = 0) -> Array:
        """Random start: independent Gaussian entries times ``scale``, shape (N,).

        Raises
        ------
        InputError
            For a scale that is negative or not finite, or a negative seed.
        """
        return scale * seeded(scale, seed).normal(size=len(self._loss.y))

    @property
    def start_shapes(self) -> tuple[tuple[int, ...], ...]:
        """Flat, and where there is only one block, the block itself; a vector may be a column."""
        flat_one, block = (len(self._loss.y),), shape(self.blocks[0])
        if len(self.blocks) > 1 or not block:
            return (flat_one,)
        return (flat_one, block, (*block, 1)) if len(block) == 1 else (flat_one, block)

    def check_start(self, start: Any) -> Array:
        """Start as a flat array; a mapping of blocks is packed."""
        array = self._flat(start)
        if not np.isfinite(array).all() or np.abs(array).max() > LARGEST:
            raise InputError(f"start must be finite and below {LARGEST:g}")
        if self._loss.averaged:
            found = self.expectation(array)
            value, slope, known = found.loss, found.gradient, found.known
        else:
            (value, slope), known = self._loss.at(array), True
        if not np.isfinite([value, *slope]).all() or (not known and not_finite(self._loss, array)):
            told = no_number(self._loss, array)
            raise InputError(f"the loss of {self.name} {told}; start elsewhere")
        return array

    def _flat(self, state: Any) -> Array:
        """State as a flat array; a mapping of blocks is packed."""
        return flat(self._shapes, state)

    def loss(self, state: Any) -> float:
        """Loss of a state, shape (N,); of expectations see :meth:`expectation`."""
        return float(self._value(state)[0])

    def gradient(self, state: Any) -> Array:
        """Gradient of the loss, shape (N,)."""
        return self._value(state)[1]

    def _value(self, state: Any) -> tuple[Any, Array]:
        if not self._loss.averaged:
            return self._loss.at(self._flat(state))
        found = self.expectation(state)
        return found.loss, found.gradient

    def expectation(self, state: Any) -> Estimate:
        """Loss and gradient with their measured error, of a loss that takes quadrature."""
        if not self._loss.averaged:
            raise InputError(f"the loss of {self.name} is in closed form; nothing is averaged")
        return estimate(self._loss, self._flat(state), self.tolerance)

    def hessian(self, state: Any) -> Array:
        """Hessian of the loss, shape (N, N)."""
        y = self._flat(state)
        return self._loss.hessian(y, self.expectation(y).rule if self._loss.averaged else None)

    def minimiser(self, at: Any = None) -> Minimiser:
        """Loss at a point, whose numbers are taken for the fractions that they are written as."""
        if at is None:
            raise InputError(f"at: expected a minimiser of {self.name}, got none; give its entries")
        y = self._flat(at)
        parts = [part.tolist() for part in self.unpack(y).values()]
        values = dict(zip(self.blocks, parts, strict=True))
        point = point_of(self.expression, self.blocks, values)
        return self._view.with_sum(Minimiser(y, point))

    def approach(self, frame: Frame, state: SoundState, t: float) -> Approach:
        """Limit of the flow from an exact state on."""
        return self._view.approach(state, t)

    def derive(self) -> Document:
        r"""Derive gradient, closed form of expectations, Hessian, Lie derivatives, invariants.

        .. math:: \frac{d}{dt} \Phi(y) = -\langle \nabla \Phi(y), \nabla L(y) \rangle

        Returns
        -------
        Document
            As of a built-in system: `verify()` adds the evidence of each step, `latex()` gives an
            appendix. The gradient is a matrix expression where the loss is written in traces; the
            rate of each potential along the flow is substituted and simplified, with ``= 0`` or its
            sign where that is proved; quadratics ``y'Xy`` that a linear symmetry of the loss
            conserves are found. See :func:`symbolic.systems.own.document.derive`.

        Raises
        ------
        InputError
            For more than 40 entries.

        Examples
        --------
        >>> u, v = sp.symbols("u v")
        >>> system = OwnSystem("scalar", [u, v], (u * v - 1) ** 2 / 2, {"gap": (u * v - 1) ** 2})
        >>> system.derive().verify().derivations[2].steps[2].equation
        '- 2 \\left(u^{2} + v^{2}\\right) \\left(u v - 1\\right)^{2} \\le 0'
        """
        try:
            return derive(self.name, self.blocks, self.expression, self.potentials)
        except ValueError as refused:
            raise InputError(f"{self.name}: {refused}") from None

    # The pieces of a run -----------------------------------------------------------------

    def at_tolerance(self, rtol: float, atol: float, damped: bool, multistep: bool = False) -> Self:
        """Ask expectations for a tenth of the error of a step, and know what steps leave."""
        finer = max(pieces.RESERVE * rtol, FINEST)
        return self._but(tolerance=finer, steps=(rtol, atol, damped, multistep))

    def in_doubles(self) -> Self:
        """Return the system with states that are doubles."""
        return self._but(arithmetic="doubles")

    def _but(self, **changes: Any) -> Self:
        found = copy.copy(self)  # what has been checked is not checked for each run of many
        for name, value in changes.items():
            object.__setattr__(found, name, value)
        return found

    def reduce(self, start: Array) -> tuple[Frame, SoundState]:
        """Entries as they are, with what is observed there."""
        view = self._view
        nodes = view.chosen(start)
        if isinstance(nodes, str):
            return Frame(), view.in_doubles(start)
        rule = None if nodes is None else nodes.rule
        unit = first_time(start, self.gradient(start), self._loss.hessian(start, rule))
        places = [arb(x) for x in start.tolist()]
        return Frame(unit), view.exactly([places], np.array([[unit, 0.0]]), None, nodes).at(0)

    def restore(self, frame: Frame, state: SoundState) -> Array:
        """Entries, shape (..., N)."""
        return state.x

    def features(self, frame: Frame, states: SoundState) -> dict[str, Array]:
        """What the states carry, by name."""
        return dict(zip(self._features, np.moveaxis(states.seen, -1, 0), strict=True))

    def errors(
        self, states: SoundState, features: dict[str, Array], t: Array, tolerance: Array
    ) -> dict[str, Array]:
        """Beside the tolerance: see `stated_errors`."""
        return stated_errors(features, t, tolerance)

    def remark(self, frame: Frame, states: SoundState, t: Array) -> str:
        """Say from when on the loss, or its gradient, is not known."""
        return unknown_at(self._features, states.seen, t)

    def recorded(self, states: SoundState) -> SoundState:
        """Observe the states of a file anew: potentials may be others than when they were run."""
        return self._view.recorded(states)

    def limit(self, states: SoundState, t: Array) -> Limit | str:
        """Limit point of a run from its last state, or why it is not known; see `find_limit`."""
        return self._view.limit(states, t)

    def excess(self, frame: Frame, states: SoundState, t: Array, loss: Array) -> Excess:
        """Loss above that of the limit point of the run, both with many digits."""
        rate = self.features(frame, states)["loss_dot"]
        return self._view.excess(states, t, rate, self.steps[0])

    def begin(self, frame: Frame, state: SoundState) -> Restart:
        """Say at once if no rule is good enough at the start."""
        failing = "" if state.exact else pieces.failure(self._loss, state.x, self.tolerance)
        return Restart(frame, state, 0.0, (), failing)

    def piece(self, frame: Frame, state: SoundState, time: float) -> Piece:
        """Piece in units of energy, or of doubles in log-time with a rule for the expectation."""
        if state.exact:
            found = fixed_rule(self._loss, state.x) if self._loss.averaged else None
            observed = functools.partial(self._view.exactly, nodes=found)
            return energy.energy_piece(
                self._loss,
                balls(self._loss, found),
                found,
                observed,
                self.steps,
                frame,
                state,
                time,
            )
        sizes = [math.prod(shape(block)) for block in self.blocks]
        powers = [float(dict(self.decay).get(block, 0.0)) for block in self.blocks]
        chart = pieces.chart(self._loss, state.x, sizes, powers, time, self.tolerance)
        return pieces.OwnPiece(
            self._loss,
            self._view.in_doubles,
            self.tolerance,
            self.steps,
            frame,
            state,
            chart,
            sizes,
            pieces.Pace(time, state.x),
        )

    def axis_codes(self) -> tuple[Code, Code, Code] | None:
        """Programs of a loss in closed form that two doubles compute, of few entries."""
        loss = self._loss
        if self.arithmetic == "doubles" or not isinstance(loss, Loss) or loss.averaged:
            return None
        if len(loss.y) > energy.MOST_COMPILED or isinstance(
            self._view.nodes(0 * self.initial()), str
        ):
            return None
        gradient, value, rates = code_of(loss), value_code_of(loss), rates_of(loss)
        if gradient is None or value is None or rates is None:
            return None
        return gradient, value, rates

    def axis_terms(self, rtol: float, step: float) -> AxisTerms:
        """As in charts of a run alone, but longer: a chart costs as much as many steps."""
        return energy.axis_terms(rtol, step, rough=ROUGH, reach=energy.COMPILED)

    def along_axes(
        self, digits: Array, error: Array, since: Array, numbers: Array
    ) -> tuple[Frame, SoundState]:
        """Frame and states, seen in balls where two doubles do not tell what is observed."""
        states = told(
            digits,
            error,
            since,
            numbers,
            lambda states: self._view.exact_view(None).anew(states, None),
            every=bool(self.potentials),
        )
        return Frame(float(since[0])), states

    def above_along(self, digits: Array, since: Array, numbers: Array) -> list[Excess | None]:
        """Loss above its limit of members whose limits two doubles tell."""
        codes = self.axis_codes()
        return (
            [None] * len(digits)
            if codes is None
            else above_limits(digits, since, numbers, codes, self.steps[0])
        )

    def exact_flow(self, frame: Frame, state: SoundState, digits: int) -> Smooth:
        """Flow with ``digits`` digits, of a loss in closed form.

        Raises
        ------
        InputError
            For a loss that takes quadrature.
        """
        if self._loss.averaged:
            raise InputError("method 'reference' needs a loss in closed form; choose another")
        exact = numeric(self._loss.form.plain, self._loss.y, (), "mpmath")
        size = len(state.x)
        axes = np.eye(size, dtype=int).tolist()

        def velocity(x: list[Any]) -> list[Any]:
            return [-g for g in exact.both(*x)[1:]]

        def jacobian(x: list[Any]) -> Array:
            return -np.array([[float(r) for r in exact.rates(*x, *axis)[1:]] for axis in axes])

        return Smooth(velocity, jacobian, state.x.tolist(), self._view.with_digits)


@functools.lru_cache(maxsize=64)
def _written(expression: Any) -> str:
    """An expression as text: each run of an ensemble asks for it."""
    return str(expression)


def _listed(label: str, given: Any) -> tuple[Any, ...]:
    try:
        return tuple(given)
    except TypeError:
        raise InputError(f"{label} must be a list, got {given!r}") from None
