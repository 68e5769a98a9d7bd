"""Features of a run by name; costly ones are evaluated when they are asked for."""

from __future__ import annotations

import functools
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from flows.core.arrays import Array

__all__ = ["Features", "joined"]


class Features(dict[str, Array]):
    """Features of a run, or their errors, by name.

    Parameters
    ----------
    values : mapping
        Arrays that are at hand; of other such features, their costly ones too.
    costly : mapping
        What evaluates each of the others.
    """

    def __init__(
        self, values: Mapping[str, Array], costly: Mapping[str, Callable[[], Array]]
    ) -> None:
        super().__init__(values)
        self._costly: dict[str, Callable[[], Array]] = {
            **(values._costly if isinstance(values, Features) else {}),
            **costly,
        }

    @property
    def costly(self) -> tuple[str, ...]:
        """Names of those that are evaluated where they are asked for."""
        return tuple(self._costly)

    def __missing__(self, name: str) -> Array:
        """Evaluate a costly feature and keep it."""
        self[name] = self._costly[name]()
        return self[name]

    def __contains__(self, name: object) -> bool:
        """Whether there is a feature of this name, at hand or costly."""
        return super().__contains__(name) or name in self._costly

    def get(self, name: str, default: Any = None) -> Any:
        """Feature of a name, evaluated where it is costly, or the default."""
        return self[name] if self.__contains__(name) else default

    def at(self, times: NDArray[np.intp]) -> Features:
        """Features at some of the times, the costly ones only where they are asked for."""
        known = {name: value[times] for name, value in self.items()}
        return Features(known, {k: functools.partial(self._one_at, k, times) for k in self._costly})

    def _one_at(self, name: str, times: NDArray[np.intp]) -> Array:
        return np.asarray(self[name][times])


def joined(parts: Sequence[Mapping[str, Array]]) -> Features:
    """Features of states one after the other, the costly ones only where they are asked for."""

    def whole(name: str) -> Array:
        return np.concatenate([part[name] for part in parts])

    first = parts[0]
    costly = first.costly if isinstance(first, Features) else ()
    known = {name: whole(name) for name in first if name not in costly}
    return Features(known, {name: functools.partial(whole, name) for name in costly})
