"""States in a system's sound coordinates: frozen dataclasses of arrays, leading axes times."""

from __future__ import annotations

from dataclasses import dataclass, fields
from typing import Any, ClassVar, Self

import numpy as np

from flows.core.arrays import rows_of

__all__ = ["State"]


@dataclass(frozen=True)
class State:
    """A state, or states at several times, in a system's sound coordinates.

    Subclasses declare arrays; ``rank`` says how many trailing axes belong to one state.
    """

    rank: ClassVar[dict[str, int]]

    def at(self, index: Any) -> Self:
        """State(s) at ``index`` along the leading axis."""
        return type(self)(**{f.name: getattr(self, f.name)[index] for f in fields(self)})

    def in_rows(self, count: int) -> Self:
        """Return the states of ``count`` runs with equally many times, one run a row."""
        return type(self)(**{f.name: rows_of(getattr(self, f.name), count) for f in fields(self)})

    def __len__(self) -> int:
        """Return the length of the leading axis."""
        return len(getattr(self, fields(self)[0].name))

    @classmethod
    def join(cls, parts: list[Self]) -> Self:
        """Concatenate along time; a shorter axis of an earlier part is filled with zeros."""
        joined = {}
        for f in fields(cls):
            arrays = [getattr(part, f.name) for part in parts]
            shapes = [a.shape[1:] for a in arrays]
            if len(set(shapes)) > 1:
                shape = np.max(shapes, axis=0)
                arrays = [
                    np.pad(a, [(0, 0), *((0, s - m) for s, m in zip(shape, own, strict=True))])
                    for a, own in zip(arrays, shapes, strict=True)
                ]
            joined[f.name] = np.concatenate(arrays)
        return cls(**joined)
