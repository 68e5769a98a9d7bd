"""What a user gives of a system: blocks, a loss, potentials, claims; checked and compiled."""

from __future__ import annotations

import functools
import hashlib
import math
import warnings
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from types import MappingProxyType
from typing import Any, ClassVar, Self

import sympy as sp

from flows.core.errors import InputError
from flows.core.system import System
from flows.systems.own.exact import (
    Nodes,
    balls,
)
from flows.systems.own.features import (
    feature_names,
)
from flows.systems.own.loss import Loss, Numeric, check_doubles, numeric
from flows.systems.own.names import is_name, is_word
from flows.systems.own.polynomial import (
    blocks_of,
    expression_of,
)
from potentials import SYSTEMS, Claim, Mark, Potential, Source, Statements
from potentials.notation import CONSTANTS, symbol
from potentials.potential import single
from symbolic.language.blocks import Block, entries, explicit, shape
from symbolic.language.lower import NoBall
from symbolic.lemmas.activation_mean import activation_mean

__all__ = ["Given", "closed", "loss_of", "no_balls"]

MAX_ENTRIES = 500
ARITHMETIC = ("auto", "balls", "doubles")
HERE = Source("this system", 2026, "", "its own definition", "definition")


@dataclass(frozen=True)
class Given(System):
    """The definition of an own system, see :class:`~flows.systems.own.system.OwnSystem`."""

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
        _compiled("the loss", self.name, lambda: loss_of(self.blocks, self.expression).check())
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
        if len(self._entries) > MAX_ENTRIES:
            raise InputError(
                f"blocks have {len(self._entries)} entries, at most {MAX_ENTRIES} are"
                " possible; take smaller ones"
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
    def _loss(self) -> Loss:
        return loss_of(self.blocks, self.expression)

    def _but(self, **changes: Any) -> Self:
        with warnings.catch_warnings():  # of what the user has been told already
            warnings.simplefilter("ignore", DeprecationWarning)
            return replace(self, **changes)


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


@functools.lru_cache(maxsize=64)
def loss_of(blocks: tuple[Block, ...], expression: Any) -> Loss:
    """Loss in the entries of the blocks, with its fingerprint."""
    symbols = tuple(s for block in blocks for s in entries(block))
    form = explicit(expression, blocks, activation_mean)
    text = sp.srepr((symbols, *form))
    return Loss(symbols, form, hashlib.sha256(text.encode()).hexdigest())


def _potential(blocks: tuple[Block, ...], expression: Any) -> Numeric:
    plain, symbols = closed(blocks, expression), tuple(s for b in blocks for s in entries(b))
    found = numeric(plain, symbols)
    check_doubles(plain, found, len(symbols))
    return found


@functools.lru_cache(maxsize=64)
def no_balls(blocks: tuple[Block, ...], expression: Any, potentials: Any) -> str:
    """Why balls do not evaluate a loss and its potentials, or nothing."""
    loss = loss_of(blocks, expression)
    if loss.averaged and len(loss.form.x) > 1:
        return "an expectation in more than one dimension"
    try:
        balls(loss, Nodes(1.0, 1.0) if loss.averaged else None)
        for _, potential in potentials:
            numeric(closed(blocks, potential), loss.y, (), "ball")
    except NoBall as problem:
        return str(problem)
    return ""


@functools.lru_cache(maxsize=256)
def closed(blocks: tuple[Block, ...], expression: Any) -> sp.Expr:
    """Potential in the entries."""
    form = explicit(expression, blocks, activation_mean)
    if form.integrand != 0:
        raise ValueError("its expectation has no closed form; only the loss may take quadrature")
    return form.plain
