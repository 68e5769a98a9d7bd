"""What a file tells about an own system: everything, where its loss is plain data, but claims."""

from __future__ import annotations

import functools
import math
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, ClassVar, Self

import numpy as np

from flows.core.arrays import Array
from flows.core.errors import InputError
from flows.core.minimiser import Approach, Minimiser
from flows.core.piece import Piece, Restart
from flows.core.system import Excess, Smooth, System
from flows.systems.field.names import is_name, is_word
from flows.systems.field.shapes import unpack
from flows.systems.own.sound_state import Frame, SoundState, feature_names, stated_errors
from potentials import Potential, Source, Statements
from potentials.notation import symbol
from potentials.potential import single

if TYPE_CHECKING:
    from flows.systems.own.system import OwnSystem
    from symbolic.evidence.derivation import Document

__all__ = ["RecordedSystem"]

GIVE = "build the system and give it: flows.load(path, system=...)"
FILE = Source("this file", 2026, "", "recorded with the run", "definition")


@dataclass(frozen=True, eq=False)
class RecordedSystem(System):
    """An own system as a file describes it: times, states and observables can be read.

    What takes the loss builds it anew from the file, and raises
    :class:`~flows.core.errors.InputError` where that is not possible. It equals every own system of
    its name and parameters, which hold the fingerprint of the loss; claims are in no file.

    Parameters
    ----------
    name : str
        Name of the system.
    about : dict
        Its ``parameters``, as they were written.
    given : object
        Its ``definition``; None where the file has none.

    Raises
    ------
    ValueError
        For a description that is damaged, or names that are not plain words.
    """

    name: str  # type: ignore[misc]
    about: Any
    given: Any = field(default=None, repr=False)

    containers: ClassVar[tuple[type, type]] = (Frame, SoundState)
    nonnegative: ClassVar[bool] = False

    def __post_init__(self) -> None:
        """Believe the file only as far as its names are harmless."""
        names, shapes = self.about["features"], self.about["blocks"]
        if not (isinstance(names, list) and isinstance(shapes, dict)):
            raise ValueError("layout of parameters")
        own = [name for name in names if is_name(name)]
        averaged = "expectation_error" in names
        if not is_word(self.name) or list(names) != list(feature_names(own, averaged)):
            raise ValueError("names of features")
        sizes = [size for shape in shapes.values() for size in shape]
        if not all(map(is_word, shapes)) or not all(isinstance(k, int) and k > 0 for k in sizes):
            raise ValueError("names of blocks")
        object.__setattr__(self, "_own", tuple(own))

    def __repr__(self) -> str:
        """One line: what a file has of the system, and what it has not."""
        extra = ("blocks", "formula", "fingerprint", "features", "start")
        made = ", ".join(
            f"{key}={value!r}" for key, value in self.about.items() if key not in extra
        )
        return (
            f"{self.name}({made}), as a file has it: loss and potentials as data; its claims, and a"
            " start law of its own, are in the code that made it"
        )

    def __eq__(self, other: object) -> bool:
        """Whether it is a system of this name and these parameters."""
        if not isinstance(other, System):
            return NotImplemented
        return self.name == other.name and self.parameters == other.parameters

    @classmethod
    def from_parameters(cls, parameters: dict[str, Any]) -> Self:
        """Refuse: see :func:`flows.load`."""
        raise InputError("a recorded system has no loss; give the system: load(path, system=...)")

    @property
    def parameters(self) -> dict[str, Any]:
        """As in the file."""
        return dict(self.about)

    @property
    def statements(self) -> Statements:
        """Names of the potentials; their expressions and the claims are not in the file."""
        own: tuple[str, ...] = self._own  # type: ignore[attr-defined]
        return Statements(
            tuple(
                Potential(
                    name,
                    rf"\mathrm{{{name}}}".replace("_", r"\_"),
                    single(name, "state", symbol(name), None),
                    symbol(name),
                    "recorded",
                    FILE,
                )
                for name in own
            )
        )

    def features(self, frame: Frame, states: SoundState) -> dict[str, Array]:
        """Observables that the states carry, by name."""
        return dict(zip(self.about["features"], np.moveaxis(states.seen, -1, 0), strict=True))

    def errors(
        self, states: SoundState, features: dict[str, Array], t: Array, tolerance: Array
    ) -> dict[str, Array]:
        """Beside the tolerance: see `stated_errors`."""
        return stated_errors(features, t, tolerance, states.doubt)

    def restore(self, frame: Frame, state: SoundState) -> Array:
        """Entries, shape (..., N)."""
        return state.x

    def unpack(self, state: Any) -> dict[str, Array]:
        """Arrays of the blocks by name, of a state or of states with leading axes."""
        return unpack({name: tuple(sizes) for name, sizes in self.about["blocks"].items()}, state)

    @property
    def definition(self) -> Any:
        """As in the file."""
        return self.given

    @functools.cached_property
    def rebuilt(self) -> OwnSystem:
        """The system, with its loss and potentials, and without claims.

        Raises
        ------
        InputError
            Where the file does not carry the loss, or another one than its fingerprint says.
        """
        from flows.systems.own.system import OwnSystem

        message = (
            f"{self.name} is an own system, whose loss this file does not carry; build it"
            " and read the file with flows.load(path, system=...)"
        )
        if self.given is None:
            raise InputError(message)
        try:
            found = OwnSystem.defined(self.name, self.given)
        except (ValueError, TypeError, IndexError, RecursionError):
            raise InputError(f"{message}: its definition is damaged") from None
        if found.parameters["fingerprint"] != self.about["fingerprint"]:
            raise InputError(f"{message}: its definition belongs to another loss")
        return found

    def derive(self) -> Document:
        """As :meth:`flows.OwnSystem.derive`, of the loss that the file carries."""
        return self.rebuilt.derive()

    def excess(self, frame: Frame, states: SoundState, t: Array, loss: Array) -> Excess:
        """Loss above its limit; not known where the file does not carry the loss."""
        try:
            return self.rebuilt.excess(frame, states, t, loss)
        except InputError as message:
            return Excess(np.full(len(t), np.nan), math.nan, f"limit not found: {message}")

    def initial(self, scale: float = 0.1, seed: int = 0) -> Array:
        """Random start, of the usual law: a law of its own is in no file."""
        if "start" in self.about:
            raise InputError(f"the start law of {self.name} is in no file; {GIVE}")
        return self.rebuilt.initial(scale, seed)

    @property
    def start_shapes(self) -> tuple[tuple[int, ...], ...]:
        """Shapes of one start."""
        return self.rebuilt.start_shapes

    def check_start(self, start: Any) -> Array:
        """Start as a flat array."""
        return self.rebuilt.check_start(start)

    def reduce(self, start: Array) -> tuple[Frame, SoundState]:
        """Frame and state."""
        return self.rebuilt.reduce(start)

    def begin(self, frame: Frame, state: SoundState) -> Restart:
        """First state of a run."""
        return self.rebuilt.begin(frame, state)

    def piece(self, frame: Frame, state: SoundState, time: float) -> Piece:
        """Piece of a run."""
        return self.rebuilt.piece(frame, state, time)

    def exact_flow(self, frame: Frame, state: SoundState, digits: int) -> Smooth:
        """Flow with many digits."""
        return self.rebuilt.exact_flow(frame, state, digits)

    def loss(self, state: Any) -> float:
        """Loss of a state."""
        return self.rebuilt.loss(state)

    def gradient(self, state: Any) -> Array:
        """Gradient of the loss."""
        return self.rebuilt.gradient(state)

    def hessian(self, state: Any) -> Array:
        """Hessian of the loss."""
        return self.rebuilt.hessian(state)

    def minimiser(self, at: Any = None) -> Minimiser:
        """Loss at a point."""
        return self.rebuilt.minimiser(at)

    def approach(self, frame: Frame, state: SoundState, t: float) -> Approach:
        """Limit of the flow."""
        return self.rebuilt.approach(frame, state, t)
