"""Coordinates ``x`` of shapes, ``c = cbar + P x``, in which a box is narrow where it has to be."""

from typing import Any

import numpy as np
from flint import arb, arb_mat

from flows.certificates.verifier.curve import UNIT, norm
from flows.certificates.verifier.reading import number, require


class Lens:
    """A matrix ``P`` of doubles, or the identity, with an enclosure of its inverse.

    The distance of a shape ``c`` to the rotations of ``cbar`` is the least ``|x|`` over all
    rotations ``R``, with ``R c = cbar + P x``. There ``x`` is orthogonal to ``P^-1 T R c`` for
    every generator ``T`` of rotations, and contraction is asked of such ``x`` only.

    ``left`` and ``right`` are ``P^-1 E^T`` and ``E P``, by neurons: so a short one, of whose
    directions less is known, is a small part of most coordinates.
    """

    def __init__(self, stated: Any, basis: Any, like: Any) -> None:
        self.bent, self.basis, self.centre, size = stated is not None, basis, like, like.size
        self.eye = np.eye(size, dtype=object) * arb(1)
        self.matrix = self.inverse = self.eye
        self.widest = self.longest = arb(1)  # bounds of the norms of both
        if self.bent:
            fits = len(stated) == size and all(len(row) == size for row in stated)
            require(fits, "its frame has a wrong size")
            self.matrix = np.array([[arb(number(x)) for x in row] for row in stated])
            self.inverse = np.array(_inverse(self.matrix))
            self.widest, self.longest = (norm(z.ravel()) for z in (self.matrix, self.inverse))
        n, p = like.shape
        self.left = np.einsum("ik,xka->xia", basis, self.inverse.reshape(size, n, p))
        self.right = np.einsum("ik,kax->iax", basis, self.matrix.reshape(n, p, size))

    def box(self, c: Any, radius: arb) -> Any:
        """Shapes within this distance of one, each coordinate by itself."""
        reach = [norm(row) if self.bent else arb(1) for row in self.matrix]
        return c + radius * UNIT * np.array(reach).reshape(c.shape)

    def neurons(self, c: Any, radius: arb) -> Any:
        """``E c`` of a box of shapes and all within this distance of it; of each neuron by itself.

        Without a lens it is the largest distance of coordinates.
        """
        if not self.bent:
            return self.basis @ (c + radius * UNIT)
        reach = np.array([[norm(z) for z in row] for row in self.right])
        return self.basis @ c + radius * UNIT * reach

    def seen(self, blocks: Any) -> Any:
        """``P^-1 E^T B E P``, of blocks by neurons."""
        return np.einsum("xia,ijab,jby->xy", self.left, blocks, self.right, optimize=True)


def _inverse(matrix: Any) -> Any:
    """Enclosure of the inverse, or refuse."""
    try:
        found = arb_mat(matrix.tolist()).inv().tolist()
    except ZeroDivisionError:
        found = [[arb.nan()]]
    require(all(x.is_finite() for row in found for x in row), "its frame may not be invertible")
    return found
