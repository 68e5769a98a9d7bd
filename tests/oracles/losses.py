"""Losses of the worked cases, each with its blocks and a minimiser."""

import sympy as sp

from symbolic import Expectation

x, y = sp.symbols("x y", real=True)


def scalar_chain(depth, target):
    """Product of scalars fitted to a target, at zero."""
    w = sp.symbols(f"w1:{depth + 1}", real=True)
    return (target - sp.prod(w)) ** 2 / 2, w, dict.fromkeys(w, 0)


def symmetric_factorization(n, k, rank):
    """`|X X' - M|^2/4` with `M` of this rank, at a minimiser."""
    factor, target = sp.MatrixSymbol("X", n, k), sp.diag(*[1] * rank + [0] * (n - rank))
    gap = factor * factor.T - target
    at = sp.Matrix(n, k, lambda i, j: int(bool(i == j) and bool(i < rank)))
    return sp.trace(gap * gap) / 4, [factor], {factor: at}


def quadratic_neurons(n, d):
    """Sum of squares `(w_i.x)^2` fitted to one: `E(x'(W'W - v v')x)^2/2`."""
    w = sp.MatrixSymbol("W", n, d)
    gap = w.T * w - sp.diag(1, *[0] * (d - 1))
    at = sp.Matrix(n, d, lambda i, j: int(bool(i == 0) and bool(j == 0)))
    return sp.trace(gap * gap) + sp.trace(gap) ** 2 / 2, [w], {w: at}


def mixture(n, d, weights, score=False):
    """Gradient EM, or score matching, of a mixture at zero."""
    mu, g = sp.MatrixSymbol("mu", n, d), sp.MatrixSymbol("g", d, 1)
    m = [[mu[i, j] for j in range(d)] for i in range(n)]
    parts = [
        w * sp.exp(sum(a * g[j, 0] for j, a in enumerate(row)) - sum(a**2 for a in row) / 2)
        for w, row in zip(weights, m, strict=True)
    ]
    if not score:
        return Expectation(-sp.log(sum(parts)), g), [mu], {mu: sp.zeros(n, d)}
    v = [sum(p * row[j] for p, row in zip(parts, m, strict=True)) / sum(parts) for j in range(d)]
    return Expectation(sum(c**2 for c in v), g), [mu], {mu: sp.zeros(n, d)}


def relu_neurons(h, d):
    """Neurons `h_i e_1` that learn `e_1`, in the kernel's closed form for acute angles."""
    n, w = len(h), sp.MatrixSymbol("W", len(h), d)
    rows = [[w[i, j] for j in range(d)] for i in range(n)]
    teacher = [1] + [0] * (d - 1)

    def pair(a, b):
        dot = sum(p * q for p, q in zip(a, b, strict=True))
        area = sp.sqrt(sum((a[i] * b[j] - a[j] * b[i]) ** 2 for i in range(d) for j in range(i)))
        return area - dot * sp.atan(area / dot)

    loss = sum((sum(r[j] for r in rows) - teacher[j]) ** 2 for j in range(d)) / 4
    pairs = sum(pair(rows[i], rows[j]) for i in range(n) for j in range(i))
    loss += (pairs - sum(pair(r, teacher) for r in rows)) / (2 * sp.pi)
    return loss, [w], {w: sp.Matrix(n, d, lambda i, j: h[i] if j == 0 else 0)}
