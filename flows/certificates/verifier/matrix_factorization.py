"""The loss of matrix factorisation, typed anew for the check of certificates."""

from fractions import Fraction
from functools import reduce
from itertools import pairwise
from typing import Any

import numpy as np
from flint import arb

from flows.certificates.verifier.loss import Written
from flows.certificates.verifier.reading import numbers, require
from flows.certificates.verifier.recorded import recorded

LONGEST = 400  # characters of a formula that a person reads


class Layers(Written):
    """Layers ``W_1, ..., W_N``, row by row; of complex entries real and imaginary part in turn.

    Complex matrices are computed with as real ones, ``X + iY -> [[X, -Y], [Y, X]]``, whose
    adjoints are transposes, and of whose left halves a square is that of the complex matrix.
    """

    stated, form = ("d", "field", "regularization", "target", "depth"), "layers"

    def __init__(self, parameters: Any, layers: Any) -> None:
        self.d, depth, field = (parameters[key] for key in ("d", "depth", "field"))
        target, strength = (numbers(parameters[key]) for key in ("target", "regularization"))
        require(
            layers.shape == (depth, self.d, self.d)
            and target.shape == layers.shape[1:]
            and depth > 1
            and strength.shape == ()
            and strength >= 0
            and field in ("real", "complex")
            and {layers.dtype, target.dtype}
            <= {np.dtype(complex if field == "complex" else float)},
            "layers and target do not fit",
        )
        self.parts, self.strength = 2 if field == "complex" else 1, arb(float(strength))
        start, (self.target,) = _entries(layers, arb), self.matrices(_entries(target, arb))
        (aim,), weight = self.matrices(_entries(target, Fraction)), Fraction(float(strength))
        d, places = self.d, np.ndindex(*layers.shape)

        def loss(x: Any) -> Any:
            """Half the square of the residual, and a quarter of those of the defects."""
            w = self.matrices(x)
            made = reduce(lambda below, layer: layer @ below, w[1:], w[0][:, :d])
            defects = [a @ a.T[:, :d] - b.T @ b[:, :d] for a, b in pairwise(w)]
            total = ((aim[:, :d] - made) ** 2).sum() * Fraction(1, 2)
            return total + (np.array(defects) ** 2).sum() * (weight / 4)

        names = [
            f"W{j + 1}[{i},{k}]" + part
            for j, i, k in places
            for part in (("",) if self.parts == 1 else (".re", ".im"))
        ]
        super().__init__(recorded(loss, len(names)), names, start)
        if len(text := self.formula()) <= LONGEST:
            self.about = {**parameters, "loss": text}

    def matrices(self, x: Any) -> Any:
        """Real matrices of these numbers."""
        shaped = x.reshape(-1, self.d, self.d, self.parts)
        real, imaginary = shaped[..., 0], shaped[..., -1]
        if self.parts == 1:
            return real
        return np.concatenate(
            [np.concatenate([real, -imaginary], axis=2), np.concatenate([imaginary, real], axis=2)],
            axis=1,
        )

    def numbers(self, matrices: Any) -> Any:
        """Numbers of these real matrices, from the left half of each."""
        d = self.d
        parts = [matrices[:, k * d : (k + 1) * d, :d] for k in range(self.parts)]
        return np.stack(parts, axis=-1).ravel()


def _entries(values: Any, kind: Any) -> Any:
    flat = np.ascontiguousarray(values).view(float).ravel().tolist()
    return np.array([kind(x) for x in flat], dtype=object)


EQUATIONS = Layers
