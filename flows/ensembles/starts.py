"""Starts of an ensemble: a law of random ones, or an array."""

from __future__ import annotations

import hashlib
import inspect
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from flows.core.arrays import Array, check_masks, is_real
from flows.core.errors import InputError
from flows.core.system import System, checked_system
from flows.runs.request import check_count

__all__ = ["Law", "check_starts", "fingerprint", "part"]


@dataclass(frozen=True)
class Law:
    """Random starts: draws of the system's law, one for each pair of seed and index.

    Parameters
    ----------
    size : int
        Number of members, at least 1.
    scale : float
        Size of a start, as in ``system.initial``.
    seed : int
        Seed of the ensemble, at least 0.
    options : dict
        Further arguments of ``system.initial``, such as ``balanced=True``.

    Raises
    ------
    InputError
        For a size or seed that is not such an integer, a scale that is no number, or options that
        are no arguments by name.

    Examples
    --------
    >>> law = Law(size=2, seed=7)
    >>> law.seed_of(1) == Law(size=100, seed=7).seed_of(1) != law.seed_of(0)
    True
    """

    size: int
    scale: float = 0.1
    seed: int = 0
    options: dict[str, Any] = field(default_factory=dict)

    def __post_init__(self) -> None:
        """Check what is given; numbers become plain ones."""
        for name, least in (("size", 1), ("seed", 0)):
            check_count(name, getattr(self, name), least)
            object.__setattr__(self, name, int(getattr(self, name)))
        if not (is_real(self.scale) and self.scale >= 0):
            raise InputError(f"scale must be a finite number >= 0, got {self.scale!r}")
        options = self.options
        if not (isinstance(options, dict) and all(isinstance(name, str) for name in options)):
            raise InputError(
                f"options must be arguments of system.initial by name, got {options!r};"
                ' for example {"balanced": True}'
            )

    def seed_of(self, index: int) -> int:
        """Seed of one member: ``system.initial(scale, seed_of(index))`` is its start."""
        sequence = np.random.SeedSequence(self.seed, spawn_key=(index,))
        return int(sequence.generate_state(1, np.uint64)[0])

    def start(self, system: System, index: int) -> Array:
        """Start of one member."""
        if self.options:  # every system has a start without
            try:
                inspect.signature(system.initial).bind(self.scale, 0, **self.options)
            except TypeError as problem:
                raise InputError(
                    f"{system.name} has no start with these options: {problem}"
                ) from None
        return system.initial(self.scale, self.seed_of(index), **self.options)


def check_starts(system: System, starts: Law | ArrayLike) -> tuple[int, Law | NDArray[Any]]:
    """Number of members, and the law or an array that is right in all but single members."""
    checked_system(system)
    if isinstance(starts, Law):
        starts.start(system, 0)
        return starts.size, starts
    check_masks(starts, "starts")
    try:
        array = np.array(starts)
    except ValueError:
        raise InputError("starts must be an array, one start a member; its rows differ") from None
    shapes = list(dict.fromkeys(system.start_shapes))
    if array.dtype.kind not in "iufc" or array.shape[1:] not in shapes or not len(array):
        expected = " or ".join(f"(members, {', '.join(map(str, shape))})" for shape in shapes)
        raise InputError(
            f"starts must be a Law or numbers of shape {expected}, got {array.dtype} of shape"
            f" {array.shape}"
        )
    return len(array), array.reshape(len(array), *shapes[0])


def fingerprint(array: NDArray[Any]) -> dict[str, Any]:
    """Plain values that tell given starts from others."""
    seen = hashlib.sha256(np.ascontiguousarray(array).tobytes()).hexdigest()
    return {
        "size": len(array),
        "shape": list(array.shape),
        "dtype": str(array.dtype),
        "sha256": seen,
    }


def part(starts: Law | NDArray[Any], first: int, count: int) -> Law | NDArray[Any]:
    """What a worker needs to know of the starts of these members."""
    return starts if isinstance(starts, Law) else starts[first : first + count]
