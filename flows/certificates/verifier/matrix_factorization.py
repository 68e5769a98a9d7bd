"""Equations of matrix factorisation, typed anew for the check of certificates."""

from itertools import pairwise
from typing import Any

import numpy as np
from flint import arb

from flows.certificates.verifier.reading import numbers, require
from flows.certificates.verifier.segment import Equations


class Layers(Equations):
    """Layers ``W_1, ..., W_N``, row by row; of complex entries real and imaginary part in turn.

    Complex matrices are computed with as real ones, ``X + iY -> [[X, -Y], [Y, X]]``, whose loss is
    twice theirs; adjoints are then transposes.
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
        self.start, (self.target,) = _balls(layers), self.matrices(_balls(target))

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

    def around(self, w: Any) -> tuple[list[Any], list[Any], Any, list[Any]]:
        """Products of the layers above and below each, residual, defects."""
        below = [np.eye(w.shape[1], dtype=object)]
        above = below.copy()
        for low, high in zip(w, w[::-1], strict=True):
            below.append(low @ below[-1])
            above.append(above[-1] @ high)
        deltas = [a @ a.T - b.T @ b for a, b in pairwise(w)]
        return above[-2::-1], below[:-1], self.target - below[-1], deltas

    def field(self, x: Any, signs: Any) -> Any:
        """Minus the gradient of section 2 of Luo et al."""
        w = self.matrices(x)
        above, below, residual, deltas = self.around(w)
        rates = [a.T @ residual @ b.T for a, b in zip(above, below, strict=True)]
        for j, delta in enumerate(deltas):
            rates[j] = rates[j] - self.strength * delta @ w[j]
            rates[j + 1] = rates[j + 1] + self.strength * w[j + 1] @ delta
        d, found = self.d, np.array(rates)
        parts = [found[:, k * d : (k + 1) * d, :d] for k in range(self.parts)]
        return np.stack(parts, axis=-1).ravel()

    def loss(self, x: Any) -> arb:
        """Half the square of the residual, and a quarter of those of the defects."""
        _, _, residual, deltas = self.around(self.matrices(x))
        balance = sum(((d * d).sum() for d in deltas), arb(0))
        square = (residual * residual).sum() / 2 + self.strength / 4 * balance
        return (square / self.parts).nonnegative_part()

    def hessian(self, x: Any) -> Any:
        """Hessian by its blocks, indexed by the entries ``(i, k), (l, m)`` of two layers."""
        w, strength = self.matrices(x), self.strength
        above, below, residual, deltas = self.around(w)
        one, size = np.eye(w.shape[1], dtype=object), w.shape[1] ** 2
        h = np.empty((len(w), len(w), size, size), dtype=object)
        for j in range(len(w)):
            between = one
            for k in range(j, len(w)):
                h[j, k] = np.kron(above[j].T @ above[k], below[j] @ below[k].T)
                if k > j:
                    h[j, k] -= _crossed(between, above[k].T @ residual @ below[j].T)
                    h[k, j], between = h[j, k].T, w[k] @ between
        for j, (low, high, delta) in enumerate(zip(w, w[1:], deltas, strict=False)):
            own = np.kron(one, low.T @ low) + np.kron(delta, one) + _crossed(low.T, low)
            next_ = np.kron(high @ high.T, one) - np.kron(one, delta) + _crossed(high.T, high)
            both = high.T[:, None, :, None] * low.T[None, :, None, :]
            cross = both.reshape(size, size) + _crossed(one, high @ low)
            for place, block in ((j, j), own), ((j + 1, j + 1), next_), ((j, j + 1), -cross):
                h[place] += strength * block
            h[j + 1, j] -= strength * cross.T
        h = h.transpose(0, 2, 1, 3).reshape(len(w) * size, -1)
        if self.parts == 1:
            return h
        # The two places of each real number in its real matrix, and the sign at the first.
        at = np.arange(len(h)).reshape(-1, 2, self.d, 2, self.d).transpose(1, 3, 0, 2, 4)
        first, second = (np.stack([*pair], -1).ravel() for pair in (at[0], at[1, ::-1]))
        sign = np.tile([1, -1], len(first) // 2)
        h = h[first] * sign[:, None] + h[second]
        return (h[:, first] * sign + h[:, second]) / 2


def _crossed(a: Any, b: Any) -> Any:
    """Entries ``a[m, i] b[l, k]`` at ``(i, k), (l, m)``."""
    made = a.T[:, None, None, :] * b.T[None, :, :, None]
    return made.reshape(len(a) ** 2, -1)


def _balls(values: Any) -> Any:
    return np.array([arb(x) for x in np.ascontiguousarray(values).view(float).ravel().tolist()])


EQUATIONS = Layers
