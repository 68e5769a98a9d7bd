"""What a factorisation is: its parameters, and its loss as a formula of the layers."""

from __future__ import annotations

import functools
from collections.abc import Sequence
from typing import Any, ClassVar

import numpy as np
import sympy as sp
from numpy.typing import NDArray

from flows.core.arrays import plain
from flows.core.errors import InputError
from flows.core.minimiser import fraction
from flows.core.options import Option
from flows.core.system import System
from flows.systems.matrix_factorization.options import OPTIONS
from symbolic.language.blocks import Block
from symbolic.systems.late_time import chain_loss

__all__ = ["Defined", "singular_values"]

# A polynomial of more terms is of no use: its squares take minutes to expand.
MOST_TERMS = 20_000


class Defined(System):
    """A chain of layers and its target, of :class:`flows.MatrixFactorization`."""

    d: int
    field: str
    regularization: float
    target: Any
    depth: int

    name: ClassVar[str] = "matrix_factorization"
    title: ClassVar[str] = "Matrix factorisation"
    options: ClassVar[tuple[Option, ...]] = OPTIONS
    axes: ClassVar[tuple[str, ...]] = ("depth", "d", "d")
    dimensions: ClassVar[tuple[str, ...]] = ("layer", "row", "column")
    stated: ClassVar[tuple[str, ...]] = ("d", "field", "regularization", "target", "depth")

    @property
    def parameters(self) -> dict[str, Any]:
        """The parameters, the extreme singular values of the target, and 1 for complex layers."""
        values = singular_values(self.target, self._complex)
        return {
            "d": int(self.d),
            "field": self.field,
            "regularization": self.regularization,
            "target": plain(self._target),
            "depth": int(self.depth),
            "is_complex": int(self._complex),
            "sigma_max": values[0],
            "sigma_min": values[-1],
        }

    @property
    def formula(self) -> tuple[Sequence[Block], Any]:
        """Real layers `W1, ..., WN`, and the loss in their entries.

        Raises
        ------
        InputError
            For complex layers, and a loss of too many terms.
        """
        if self._complex:
            raise InputError(f"{self.name}: its layers are complex; take field='real'")
        terms = self.d ** (2 * self.depth) // 2
        if terms > MOST_TERMS:
            raise InputError(
                f"{self.name}: expected a polynomial of at most {MOST_TERMS} terms, got about"
                f" {terms:.3g}; take a smaller d or depth"
            )
        blocks = [sp.MatrixSymbol(f"W{j + 1}", self.d, self.d) for j in range(self.depth)]
        target = sp.Matrix(self._target).applyfunc(fraction)
        factors = [sp.Matrix(block) for block in blocks]
        return blocks, chain_loss(factors, target, fraction(self.regularization))

    @property
    def _complex(self) -> bool:
        return self.field == "complex"

    @property
    def _target(self) -> NDArray[Any]:
        return np.array(self.target)

    @property
    def _shape(self) -> NDArray[np.int64]:
        return np.array([self.depth, self.d, self._complex], dtype=np.int64)


@functools.lru_cache(maxsize=64)
def singular_values(target: tuple[tuple[complex, ...], ...], is_complex: bool) -> tuple[float, ...]:
    """Of the target, from the largest on."""
    matrix = np.array(target, dtype=complex if is_complex else float)
    return tuple(np.linalg.svd(matrix, compute_uv=False).tolist())
