r"""A loss of your own as a system: its gradient flow, potentials and claims, by the same machinery.

.. math:: L(y) = A(y) + E f(y, x), \qquad x \sim N(0, I), \qquad \dot y = -\nabla L(y)
"""

from __future__ import annotations

import functools
import hashlib
import math
import warnings
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from types import MappingProxyType
from typing import TYPE_CHECKING, Any, ClassVar, Self

import numpy as np
import sympy as sp
from flint import arb

from flows.core.arrays import Array
from flows.core.arrival import arrival
from flows.core.balls import precision
from flows.core.errors import InputError
from flows.core.limit import Limit, find_limit
from flows.core.minimiser import Approach, Minimiser
from flows.core.piece import Piece, Restart
from flows.core.starts import seeded
from flows.core.system import Excess, Smooth, System
from flows.systems.own import energy, pieces
from flows.systems.own.exact import (
    Nodes,
    balls,
    fixed_rule,
    from_doubles,
    to_double,
    to_doubles,
    width,
    work,
)
from flows.systems.own.features import (
    TRUSTED,
    Errors,
    Frame,
    SoundState,
    feature_names,
    observe,
    stated_errors,
)
from flows.systems.own.loss import Estimate, Loss, check_doubles, estimate, numeric
from flows.systems.own.matrix_loss import MatrixLoss
from flows.systems.own.names import is_name, is_word
from flows.systems.own.polynomial import (
    PolynomialFlow,
    block_shapes,
    blocks_of,
    expression_of,
    stated_terms,
)
from flows.systems.own.reading import errors_of, observe_exact
from potentials import SYSTEMS, Claim, Mark, Potential, Source, Statements
from potentials.notation import CONSTANTS, symbol
from potentials.potential import single
from symbolic.asymptotics.derive import point_of
from symbolic.asymptotics.given import exact as fractions
from symbolic.asymptotics.point import Point
from symbolic.asymptotics.refusal import NoLaw
from symbolic.language.blocks import Block, entries, explicit, shape
from symbolic.language.lower import NoBall
from symbolic.lemmas.activation_mean import activation_mean
from symbolic.systems.own.document import derive

if TYPE_CHECKING:
    from symbolic.evidence.derivation import Document

__all__ = ["OwnSystem"]

LARGEST = 1e100  # of an entry
FINEST = 1e-13  # an expectation is never asked for less error
# Entries of a loss that is written out in them, and of one in traces, for which matrices suffice.
MAX_ENTRIES, MAX_IN_TRACES = 500, 2000
ARITHMETIC = ("auto", "balls", "doubles")
# Above, states are doubles unless balls are asked for.
MOST_EXACT = 150
# The same for expectations: steps of one evaluation by a fixed rule. A run takes thousands, and
# a million steps take a third of a second.
MOST_WORK = 6000
# Bits of a difference of two losses.
BITS_OF_EXCESS = 1400
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
        slow: for more than 150 entries, and for an expectation whose gradient takes more than 6000
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
        if not is_word(self.name) or self.name in SYSTEMS:
            raise InputError(
                f"name must be a plain word that is not {', '.join(SYSTEMS)}, got {self.name!r}"
            )
        for label, convert in (
            ("blocks", tuple),
            ("claims", tuple),
            ("marks", tuple),
            ("potentials", _pairs),
            ("decay", _pairs),
            ("constants", _pairs),
        ):
            try:
                object.__setattr__(self, label, convert(getattr(self, label)))
            except TypeError:
                raise InputError(
                    f"{label} must be a {'mapping' if convert is _pairs else 'list'},"
                    f" got {getattr(self, label)!r}"
                ) from None
        object.__setattr__(self, "expression", _frozen(self.expression))
        frozen = tuple((name, _frozen(potential)) for name, potential in self.potentials)
        object.__setattr__(self, "potentials", frozen)
        self._check_blocks()
        for label, known, kind in (("claims", self.claims, Claim), ("marks", self.marks, Mark)):
            for one in known:
                if not isinstance(one, kind):
                    raise InputError(f"{label} must hold {kind.__name__} objects, got {one!r}")
        for name, value in self.constants:
            if name not in CONSTANTS or not _real(value):
                raise InputError(
                    f"constants must be numbers named {', '.join(sorted(CONSTANTS))},"
                    f" got {name!r}: {value!r}"
                )
        if self.arithmetic not in ARITHMETIC:
            raise InputError(
                f"arithmetic must be one of {', '.join(ARITHMETIC)}, got {self.arithmetic!r}"
            )
        for block, power in self.decay:
            if block not in self.blocks or not _real(power) or power < 0:
                raise InputError(f"decay must give a block a power >= 0, got {block}: {power!r}")
        _compiled("the loss", self.name, lambda: _loss(self.blocks, self.expression).check())
        for label, pairs in (
            ("potentials", self.potentials),
            ("decay", self.decay),
            ("constants", self.constants),
        ):
            keys = [str(key) for key, _ in pairs]
            if len(set(keys)) < len(keys):
                raise InputError(f"{label} must have names of their own, got {', '.join(keys)}")
        for name, potential in self.potentials:
            if not is_name(name):
                raise InputError(
                    f"potential {name!r} needs another name: a plain word, without the"
                    " endings _dot, _0, _end, _T1, _T2, and not reserved"
                )
            derive = functools.partial(_potential, self.blocks, potential)
            _compiled(f"potential {name!r}", self.name, derive)

        if self.decay:
            warnings.warn(
                "decay is not needed any more, and is ignored where states are exact; leave it out",
                DeprecationWarning,
                stacklevel=3,
            )

    def _check_blocks(self) -> None:
        names = [getattr(block, "name", None) for block in self.blocks]
        for block, name in zip(self.blocks, names, strict=True):
            if not isinstance(block, (sp.Symbol, sp.MatrixSymbol)) or not is_word(name):
                raise InputError(
                    f"blocks must be Symbols or MatrixSymbols with plain names, got {block!r}"
                )
            if isinstance(block, sp.MatrixSymbol) and not all(k.is_Integer for k in block.shape):
                raise InputError(f"block {name} must have a shape of numbers, got {block.shape}")
        if not names or len(set(names)) < len(names):
            raise InputError(f"blocks must have names of their own, got {names}")
        if (size := _count(self.blocks)) > MAX_IN_TRACES:
            raise InputError(
                f"blocks have {size} entries, at most {MAX_ENTRIES} are possible, and"
                f" {MAX_IN_TRACES} of a loss in traces of matrices; take smaller ones"
            )

    @classmethod
    def from_parameters(cls, parameters: dict[str, Any]) -> Self:
        """Polynomial loss as a certificate states it: no other one can be told by plain values."""
        if {*parameters} != {"name", "blocks", "terms"}:
            raise InputError(
                "the loss of an own system is code, which a file cannot carry; build the"
                " system and give it: flows.load(path, system=...)"
            )
        blocks = blocks_of(parameters["blocks"])
        return cls(parameters["name"], blocks, expression_of(blocks, parameters["terms"]))

    @property
    def parameters(self) -> dict[str, Any]:
        """Shapes of the blocks, the loss as text for people, its fingerprint, and constants."""
        return {
            "blocks": {block.name: list(shape(block)) for block in self.blocks},
            "formula": str(self.expression),
            "fingerprint": self._loss.fingerprint,
            "features": list(feature_names([n for n, _ in self.potentials], self._loss.averaged)),
            **{name: float(value) for name, value in self.constants},
        }

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
        known = {name: _closed(self.blocks, p) for name, p in self.potentials}
        return PolynomialFlow(self._entries, self._loss.form, known, start)

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
    def _entries(self) -> tuple[sp.Symbol, ...]:
        return tuple(s for block in self.blocks for s in entries(block))

    @property
    def _loss(self) -> Any:
        """The :class:`Loss`, in entries; beyond 500 the :class:`MatrixLoss`."""
        return _loss(self.blocks, self.expression)

    # States of the user ------------------------------------------------------------------

    def pack(self, values: Mapping[str, Any]) -> Array:
        """Flat state of arrays by the names of the blocks; the inverse of :meth:`unpack`.

        Raises
        ------
        InputError
            For other names, or an array of another shape.
        """
        names = [block.name for block in self.blocks]
        if set(values) != set(names):
            given = (x if isinstance(x, str) else f"{type(x).__name__} {x}" for x in values)
            raise InputError(f"expected the blocks {', '.join(names)}, got {', '.join(given)}")
        parts = []
        for block in self.blocks:
            try:
                part = np.asarray(values[block.name], dtype=float)
            except (ValueError, TypeError):
                raise InputError(f"block {block.name} must hold real numbers") from None
            if part.shape == (*shape(block), 1) and len(shape(block)) == 1:
                part = part[:, 0]  # a column, as the block is written
            if part.shape != shape(block):
                raise InputError(
                    f"block {block.name} must have shape {shape(block)}, got {part.shape}"
                )
            parts.append(part.ravel())
        return np.concatenate(parts)

    def unpack(self, state: Any) -> dict[str, Array]:
        """Arrays of the blocks by name, of a state or of states with leading axes.

        Examples
        --------
        >>> w = sp.MatrixSymbol("w", 2, 2)
        >>> OwnSystem("norm", [w], sp.trace(w.T * w)).unpack([1, 2, 3, 4])["w"].tolist()
        [[1.0, 2.0], [3.0, 4.0]]
        """
        y, found, first = np.asarray(state, dtype=float), {}, 0
        for block in self.blocks:
            size = math.prod(shape(block))
            part = y[..., first : first + size]
            found[str(block.name)] = part.reshape((*y.shape[:-1], *shape(block)))
            first += size
        return found

    def initial(self, scale: float = 0.1, seed: int = 0) -> Array:
        """Random start: independent Gaussian entries times ``scale``, shape (N,).

        Raises
        ------
        InputError
            For a scale that is negative or not finite, or a negative seed.
        """
        return scale * seeded(scale, seed).normal(size=len(self._entries))

    def check_start(self, start: Any) -> Array:
        """Start as a flat array; a mapping of blocks is packed."""
        array = self._flat(start)
        if not np.isfinite(array).all() or np.abs(array).max() > LARGEST:
            raise InputError(f"start must be finite and below {LARGEST:g}")
        if not np.isfinite(self.gradient(array)).all():
            raise InputError("the gradient at the start is not finite; start elsewhere")
        return array

    def _flat(self, state: Any) -> Array:
        """State as a flat array; a mapping of blocks is packed."""
        if isinstance(state, Mapping):
            state = self.pack(state)
        try:
            array = np.asarray(state)
        except ValueError:
            raise InputError("a state must be an array; its rows differ") from None
        size = len(self._entries)
        if array.dtype.kind not in "iuf" or array.shape != (size,):
            raise InputError(
                f"a state must be {size} real numbers, or arrays by block, got"
                f" {array.dtype} of shape {array.shape}"
            )
        return array.astype(float)

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
        values = dict(zip(self.blocks, self._parts(y), strict=True))
        return Minimiser(y, point_of(self.expression, self.blocks, values))

    def approach(self, frame: Frame, state: SoundState, t: float) -> Approach:
        """Limit of the flow from an exact state on."""
        if not state.exact:
            raise NoLaw(
                "the limit of the run is not looked for: its states are doubles; where the loss"
                " allows for it, arithmetic='balls' keeps more digits"
            )
        nodes = self._nodes(state.x)
        assert not isinstance(nodes, str)  # the state is exact
        form = self._loss.form
        point = Point(self._entries, fractions(form.plain), fractions(form.integrand), form.x, ())
        return arrival(
            balls(self._loss, nodes),
            point,
            from_doubles(state.digits),
            max(float(state.energy[0]), t),
            lambda entries: entries,
        )

    def _parts(self, y: Array) -> list[Any]:
        return [part.tolist() for part in self.unpack(y).values()]

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
        with warnings.catch_warnings():  # of what the user has been told already
            warnings.simplefilter("ignore", DeprecationWarning)
            return replace(self, **changes)

    def reduce(self, start: Array) -> tuple[Frame, SoundState]:
        """Entries as they are, with what is observed there."""
        nodes = self._nodes(start)
        slow = isinstance(nodes, Nodes) and work(self._loss, nodes) > MOST_WORK
        if isinstance(nodes, str) or (slow and self.arithmetic == "auto"):
            return Frame(), self._sound(start)
        rule = None if nodes is None else nodes.rule
        unit = energy.first_time(start, self.gradient(start), self._loss.hessian(start, rule))
        places = [arb(x) for x in start.tolist()]
        return Frame(unit), self._read([places], np.array([[unit, 0.0]]), None, nodes).at(0)

    def _nodes(self, start: Array) -> Nodes | str | None:
        """Rule with which exact states are evaluated, None without one, or why they are not."""
        if self.arithmetic == "doubles":
            return "arithmetic in doubles"
        told = _no_balls(self.blocks, self.expression, self.potentials)
        if not told and self.arithmetic == "auto" and len(start) > MOST_EXACT:
            told = f"more than {MOST_EXACT} entries"
        nodes = None
        if not told and self._loss.averaged:
            nodes = fixed_rule(self._loss, start)
            told = "" if nodes is not None else "no fixed rule for the expectation"
        if told and self.arithmetic == "balls":
            raise InputError(f"arithmetic: expected a loss that balls evaluate, got {told}")
        return told or nodes

    def _read(
        self,
        places: list[list[Any]],
        known: Array,
        errors: Errors | None,
        nodes: Nodes | None,
    ) -> SoundState:
        """Exact states with their `energy`, shape (T, 2), and what is observed there."""
        size, shown = len(self._entries), [to_doubles(place) for place in places]
        x = np.array([digits[:, 0] for digits in shown]).reshape(-1, size)
        low = width(size, [digits[:, 1:] for digits in shown])
        states = SoundState(x, x, None, None, low, known)
        return self._observed_anew(states, places, errors, nodes)

    def _observed_anew(
        self,
        states: SoundState,
        places: list[list[Any]],
        errors: Errors | None,
        nodes: Nodes | None,
    ) -> SoundState:
        known = {name: _closed(self.blocks, p) for name, p in self.potentials}
        seen, error = observe_exact(
            self._loss,
            balls(self._loss, nodes),
            known,
            places,
            states.energy,
            states.error if errors is None else errors,
            None if nodes is None else nodes.rule,
            None if nodes is None else balls(self._loss, nodes.finer),
        )
        return replace(states, seen=seen, error=error)

    def restore(self, frame: Frame, state: SoundState) -> Array:
        """Entries, shape (..., N)."""
        return state.x

    def features(self, frame: Frame, states: SoundState) -> dict[str, Array]:
        """What the states carry, by name."""
        return dict(zip(self.parameters["features"], np.moveaxis(states.seen, -1, 0), strict=True))

    def errors(
        self, states: SoundState, features: dict[str, Array], t: Array, tolerance: Array
    ) -> dict[str, Array]:
        """Beside the tolerance: see `stated_errors`."""
        return stated_errors(features, t, tolerance)

    def _sound(self, y: Array, error: Array | None = None, time: Array | None = None) -> SoundState:
        known = {name: _closed(self.blocks, p) for name, p in self.potentials}
        return SoundState(
            y, observe(self._loss, known, y, self.tolerance, error, time), error, time
        )

    def remark(self, frame: Frame, states: SoundState, t: Array) -> str:
        """Say from when on the loss, or its gradient, is not known."""
        names, lost = self.parameters["features"], []
        for name, words in (("loss", "the loss"), ("gradient_norm", "its gradient")):
            unknown = np.isnan(states.seen[:, names.index(name)])
            if unknown.any():
                lost.append(f"{words} (first at t = {t[int(np.argmax(unknown))]:.3g})")
        if not lost:
            return ""
        return (
            f"NaN is not known: {', '.join(lost)}; errors of steps or of doubles are larger there"
            " than a tenth of it"
        )

    def recorded(self, states: SoundState) -> SoundState:
        """Observe the states of a file anew: potentials may be others than when they were run."""
        if not states.exact:
            return self._sound(states.x, states.error, states.time)
        places = [from_doubles(digits) for digits in states.digits]
        nodes = self._nodes(states.x[-1])
        if isinstance(nodes, str):
            return states
        return self._observed_anew(states, places, None, nodes)

    def limit(self, states: SoundState, t: Array) -> Limit | str:
        """Limit point of a run from its last state, or why it is not known; see `find_limit`."""
        if not states.exact:
            return (
                "limit not found: the states of the run are doubles; where the loss allows for it,"
                " arithmetic='balls' keeps more digits"
            )
        digits = from_doubles(states.digits[-1])
        nodes = self._nodes(states.x[-1])
        if isinstance(nodes, str):
            return f"limit not found: {nodes}"
        since = float(states.energy[-1, 0])
        return find_limit(balls(self._loss, nodes), digits, max(since, float(t[-1])))

    def excess(self, frame: Frame, states: SoundState, t: Array, loss: Array) -> Excess:
        """Loss above that of the limit point of the run, both with many digits."""
        unknown = np.full(len(t), np.nan)
        found = self.limit(states, t)
        if isinstance(found, str):
            return Excess(unknown, math.nan, found)
        nodes = self._nodes(states.x[-1])
        exact = balls(self._loss, None if isinstance(nodes, str) else nodes)
        rule = nodes.rule if isinstance(nodes, Nodes) else None
        value, error = unknown.copy(), np.zeros(len(t))
        for k, digits in enumerate(states.digits):
            place = from_doubles(digits)
            with precision(BITS_OF_EXCESS):
                both = exact.both(place)
                above = both[0] - found.loss
            slope = np.array([float(x) for x in both[1:]])
            off = errors_of(self._loss, place, slope, states.energy[k], states.error[k], rule)
            error[k] = float(above.rad()) + off.of_loss(slope)
            if error[k] <= TRUSTED * float(above):
                value[k] = to_double(above)
        with np.errstate(invalid="ignore"):
            rate = np.nan_to_num(np.abs(self.features(frame, states)["loss_dot"]))
        error = error + self.steps[0] * t * rate
        lost = np.isnan(value).sum()
        rests = f"not known at {lost} of {len(t)} times: the states no longer tell it from zero"
        return Excess(value, float(found.loss), rests if lost else "", error)

    def begin(self, frame: Frame, state: SoundState) -> Restart:
        """Say at once if no rule is good enough at the start."""
        failing = "" if state.exact else pieces.failure(self._loss, state.x, self.tolerance)
        return Restart(frame, state, 0.0, (), failing)

    def piece(self, frame: Frame, state: SoundState, time: float) -> Piece:
        """Piece in units of energy, or of doubles in log-time with a rule for the expectation."""
        if state.exact:
            found = fixed_rule(self._loss, state.x) if self._loss.averaged else None
            observed = functools.partial(self._read, nodes=found)
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
            self._loss, self._sound, self.tolerance, self.steps, frame, state, chart, sizes
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
        exact = numeric(self._loss.form.plain, self._entries, (), "mpmath")
        size = len(state.x)
        axes = np.eye(size, dtype=int).tolist()

        def velocity(x: list[Any]) -> list[Any]:
            return [-g for g in exact.both(*x)[1:]]

        def jacobian(x: list[Any]) -> Array:
            return -np.array([[float(r) for r in exact.rates(*x, *axis)[1:]] for axis in axes])

        def decode(x: list[Any]) -> SoundState:
            places = [arb((int((-1) ** sign * man), exp)) for sign, man, exp in map(_parts_of, x)]
            return self._read([places], np.array([[1.0, 0.0]]), None, None).at(0)

        return Smooth(velocity, jacobian, state.x.tolist(), decode)


def _pairs(given: Any) -> tuple[tuple[Any, Any], ...]:
    if isinstance(given, Mapping):
        return tuple(given.items())
    if given is None or isinstance(given, str):
        raise TypeError
    return tuple((key, value) for key, value in given)


def _frozen(expression: Any) -> Any:
    """Expression that can be a key: a matrix cannot while it may change."""
    mutable = isinstance(expression, sp.MatrixBase)
    return sp.ImmutableMatrix(expression) if mutable else expression


def _real(value: Any) -> bool:
    number = isinstance(value, (int, float, sp.Number)) and not isinstance(value, bool)
    return number and math.isfinite(value)


def _compiled(label: str, name: str, derive: Any) -> None:
    """Derive, or tell in one line why that is not possible."""
    try:
        derive()
    # What SymPy raises for what is no expression, or cannot be differentiated or printed.
    except (ValueError, TypeError, AttributeError, NotImplementedError, ArithmeticError) as problem:
        line = " ".join(str(problem).split())
        raise InputError(f"{label} of {name} cannot be used: {line}") from None


def _count(blocks: tuple[Block, ...]) -> int:
    """Entries of all blocks."""
    return sum(math.prod(shape(block)) for block in blocks)


@functools.lru_cache(maxsize=64)
def _loss(blocks: tuple[Block, ...], expression: Any) -> Loss | MatrixLoss:
    if _count(blocks) > MAX_ENTRIES:
        text = sp.srepr((blocks, expression))
        return MatrixLoss(blocks, expression, hashlib.sha256(text.encode()).hexdigest())
    symbols = tuple(s for block in blocks for s in entries(block))
    form = explicit(expression, blocks, activation_mean)
    text = sp.srepr((symbols, *form))
    return Loss(symbols, form, hashlib.sha256(text.encode()).hexdigest())


def _potential(blocks: tuple[Block, ...], expression: Any) -> None:
    """Derive and compile a potential, or raise what prevents it."""
    if _count(blocks) > MAX_ENTRIES:
        return _loss(blocks, expression).check()
    closed, symbols = _closed(blocks, expression), tuple(s for b in blocks for s in entries(b))
    found = numeric(closed, symbols)
    check_doubles(closed, found, len(symbols))
    return None


def _parts_of(x: Any) -> Any:
    """Sign, mantissa, exponent of a number of mpmath."""
    return x._mpf_[:3]


@functools.lru_cache(maxsize=64)
def _no_balls(blocks: tuple[Block, ...], expression: Any, potentials: Any) -> str:
    """Why balls do not evaluate a loss and its potentials, or nothing."""
    loss = _loss(blocks, expression)
    if isinstance(loss, MatrixLoss):
        return f"more than {MAX_ENTRIES} entries"
    if loss.averaged and len(loss.form.x) > 1:
        return "an expectation in more than one dimension"
    try:
        balls(loss, Nodes(1.0, 1.0) if loss.averaged else None)
        for _, potential in potentials:
            numeric(_closed(blocks, potential), loss.y, (), "ball")
    except NoBall as problem:
        return str(problem)
    return ""


@functools.lru_cache(maxsize=256)
def _closed(blocks: tuple[Block, ...], expression: Any) -> Any:
    """Potential in the entries; of many entries, in matrices."""
    if _count(blocks) > MAX_ENTRIES:
        return _loss(blocks, expression)
    form = explicit(expression, blocks, activation_mean)
    if form.integrand != 0:
        raise ValueError("its expectation has no closed form; only the loss may take quadrature")
    return form.plain
