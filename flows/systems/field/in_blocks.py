"""States as arrays by the names of blocks, or one flat array: of losses and of plain fields."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any, ClassVar

import numpy as np

from flows.core.arrays import Array
from flows.core.errors import InputError
from flows.core.starts import seeded
from flows.core.system import System
from flows.systems.field.shapes import Shapes, flat, pack, unpack
from flows.systems.field.statements import statements_of
from potentials import Statements
from symbolic.language.blocks import shape

__all__ = ["LARGEST", "InBlocks"]

#: Of an entry.
LARGEST = 1e100


class InBlocks(System):
    """A system whose states are arrays by the names of blocks, or one flat array."""

    blocks: Any
    constants: Any
    settings: Any
    start: Any
    potentials: Any
    claims: Any
    marks: Any
    #: LaTeX of the rate of a potential along the flow.
    along: ClassVar[str] = r"-\left\langle \nabla %(phi)s, \nabla L \right\rangle"

    @property
    def statements(self) -> Statements:
        """The system's own potentials and claims."""
        return statements_of(self.potentials, self.claims, self.marks, self.along)

    @property
    def _shapes(self) -> Shapes:
        return {block.name: shape(block) for block in self.blocks}

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
        >>> import flows
        >>> import sympy as sp
        >>> w = sp.MatrixSymbol("w", 2, 2)
        >>> flows.OwnSystem("norm", [w], sp.trace(w.T * w)).unpack([1, 2, 3, 4])["w"].tolist()
        [[1.0, 2.0], [3.0, 4.0]]
        """
        return unpack(self._shapes, state)

    def initial(self, scale: float = 0.1, seed: int = 0) -> Array:
        """Random start, shape (N,), of the law ``start``; else Gaussian entries times ``scale``.

        Raises
        ------
        InputError
            For a scale that is negative or not finite, or a negative seed.
        """
        rng = seeded(scale, seed)
        if self.start is None:
            return scale * rng.normal(size=self._size)
        return self._flat(self.start(rng, scale))

    @property
    def start_shapes(self) -> tuple[tuple[int, ...], ...]:
        """Flat, and where there is only one block, the block itself; a vector may be a column."""
        flat_one, block = (self._size,), shape(self.blocks[0])
        if len(self.blocks) > 1 or not block:
            return (flat_one,)
        return (flat_one, block, (*block, 1)) if len(block) == 1 else (flat_one, block)

    def _stated(self, **own: Any) -> dict[str, Any]:
        """Settings, shapes of blocks, what is the system's own, and constants."""
        return {
            **dict(self.settings),
            "blocks": {name: list(one) for name, one in self._shapes.items()},
            **own,
            **{name: float(value) for name, value in self.constants},
            **({} if self.start is None else {"start": "a law of its own"}),
        }

    @property
    def _size(self) -> int:
        """Number of entries."""
        return sum(math.prod(one) for one in self._shapes.values())

    def _flat(self, state: Any) -> Array:
        """State as a flat array; a mapping of blocks is packed."""
        return flat(self._shapes, state)

    def _finite(self, start: Any) -> Array:
        """Start as a flat array of numbers that are not too large."""
        array = self._flat(start)
        if not np.isfinite(array).all() or np.abs(array).max() > LARGEST:
            raise InputError(f"start must be finite and below {LARGEST:g}")
        return array
