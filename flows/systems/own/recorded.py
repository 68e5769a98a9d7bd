"""What a file tells about an own system: everything but the loss, which is code."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, ClassVar, Self

import numpy as np

from flows.core.arrays import Array
from flows.core.errors import InputError
from flows.core.system import System
from flows.systems.own.features import Frame, SoundState, feature_names, stated_errors
from flows.systems.own.names import is_name, is_word
from flows.systems.own.states import unpack
from potentials import Potential, Source, Statements
from potentials.notation import symbol
from potentials.potential import single

__all__ = ["RecordedSystem"]

FILE = Source("this file", 2026, "", "recorded with the run", "definition")


@dataclass(frozen=True)
class RecordedSystem(System):
    """An own system as a file describes it: times, states and observables can be read.

    Whatever takes the loss raises :class:`~flows.core.errors.InputError`.

    Parameters
    ----------
    name : str
        Name of the system.
    about : dict
        Its ``parameters``, as they were written.

    Raises
    ------
    ValueError
        For a description that is damaged, or names that are not plain words.
    """

    name: str  # type: ignore[misc]
    about: Any

    containers: ClassVar[tuple[type, type]] = (Frame, SoundState)

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
        """What the states carry, by name."""
        return dict(zip(self.about["features"], np.moveaxis(states.seen, -1, 0), strict=True))

    def errors(
        self, states: SoundState, features: dict[str, Array], t: Array, tolerance: Array
    ) -> dict[str, Array]:
        """Beside the tolerance: see `stated_errors`."""
        return stated_errors(features, t, tolerance)

    def restore(self, frame: Frame, state: SoundState) -> Array:
        """Entries, shape (..., N)."""
        return state.x

    def unpack(self, state: Any) -> dict[str, Array]:
        """Arrays of the blocks by name, of a state or of states with leading axes."""
        return unpack({name: tuple(sizes) for name, sizes in self.about["blocks"].items()}, state)

    def _refuse(self, *args: Any, **kwargs: Any) -> Any:
        raise InputError(
            f"{self.name} is an own system, whose loss a file cannot carry; build it"
            " and read the file with flows.load(path, system=...)"
        )

    initial = check_start = reduce = begin = piece = _refuse
    exact_flow = loss = gradient = hessian = minimiser = approach = _refuse
