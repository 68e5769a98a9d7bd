"""Features of a run by name, of which costly ones are evaluated when they are asked for."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from flows.core.arrays import Array

__all__ = ["Features"]


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
