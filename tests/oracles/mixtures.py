"""Losses of Gaussian mixtures and their flow by means that share nothing with the toolkit.

Posteriors depend on a point by its part along differences of means. Across these, losses and
gradients are affine in the point, and the point is zero on average: it is zero there. Expectations
are then sums of the trapezoidal rule along the principal axes of the differences at each state,
with a step that the distances there ask for; the flow is DOP853's.
"""

from __future__ import annotations

import functools
import math

import numba
import numpy as np
from scipy.integrate import solve_ivp

# Logarithms of the relative error of sums: of losses, and of the field in a step.
SHARP, STEPS = 33.0, 29.0
# Widths of strips beside the real axis that are tried, and how near to the poles they may come.
STRIPS, NEAR_POLES = np.linspace(0.3, 9.0, 60), 0.97
# The density is negligible beyond this distance, and so is a weight below the second number.
EDGE, LEAST = 8.7, 1e-20


def grid(means, digits):
    """Nodes of each axis, weights and axes for means, shape (n, d); zero along the first axis."""
    center = means.mean(axis=0)
    _, sizes, axes = np.linalg.svd(means - center, full_matrices=False)
    axes = axes[sizes > 1e-14 * max(sizes[0], 1e-300)]
    along = means @ axes.T
    across = center
    for _ in range(2):  # once more: where little is left, rounding has a part along the others
        across = across - across @ axes.T @ axes
        length = float(np.linalg.norm(across))
        across = across / length if length > 1e-14 * np.linalg.norm(center) else 0 * across
    nodes, weights = [], []
    for distance in np.ptp(along, axis=0):
        strips = STRIPS[STRIPS * distance < NEAR_POLES * math.pi]
        if not len(strips):
            strips = np.array([0.9 * math.pi / distance])
        exponents = digits + strips**2 / 2 - 3 * np.log(np.cos(strips * distance / 2))
        step = float((2 * math.pi * strips / exponents).max())
        last = math.ceil((EDGE + min(0.5 * np.abs(along).max(), 3.0)) / step)
        x = step * np.arange(-last, last + 1)
        nodes.append(x)
        weights.append(step * np.exp(-(x**2) / 2) / math.sqrt(2 * math.pi))
    return [np.zeros(1), *nodes], [np.ones(1), *weights], np.vstack([across, axes])


def sums(nodes, weights, means, logs, score):
    """Loss, which is `E|v|^2` or the KL divergence, and its gradient, by their definitions.

    Exponentials of sums are products of those of an axis: all axes but the last make rows.
    """
    *some, last = (np.exp(np.multiply.outer(means[:, a], x)) for a, x in enumerate(nodes))
    rows = np.exp(logs - 0.5 * (means**2).sum(axis=1))[:, None]
    for factors in some:
        rows = (rows[:, :, None] * factors[:, None, :]).reshape(len(means), -1)
    points = np.stack(np.meshgrid(*nodes[:-1], indexing="ij"), axis=-1).reshape(rows.shape[1], -1)
    weight = functools.reduce(np.multiply.outer, weights[:-1]).ravel()
    return _sums(rows.T.copy(), points, weight, last.T.copy(), nodes[-1], weights[-1], means, score)


@numba.njit
def _sums(rows, points, weight, last, x, weights, means, score):
    n, r = means.shape
    loss, gradient, p, v = 0.0, np.zeros((n, r)), np.empty(n), np.empty(r)
    for j in range(len(weight)):
        for k in range(len(x)):
            w = weight[j] * weights[k]
            if w < LEAST:
                continue
            total = 0.0
            for i in range(n):
                p[i] = rows[j, i] * last[k, i]
                total += p[i]
            square = 0.0
            for a in range(r):
                v[a] = 0.0
                for i in range(n):
                    v[a] += p[i] * means[i, a]
                v[a] /= total
                square += v[a] * v[a]
            loss += w * square if score else -w * math.log(total)
            for i in range(n):
                share, away = w * p[i] / total, -square
                for a in range(r):
                    away += v[a] * means[i, a]
                for a in range(r):
                    outward = (points[j, a] if a < r - 1 else x[k]) - means[i, a]
                    gradient[i, a] += share * (2.0 * (v[a] + away * outward) if score else -outward)
    return loss, gradient


def loss_and_gradient(score, means, mixing=None, digits=SHARP):
    """Of means, shape (n, d), with mixing weights, equal ones by default."""
    mixing = np.full(len(means), 1 / len(means)) if mixing is None else np.asarray(mixing)
    nodes, weights, axes = grid(means, digits)
    loss, gradient = sums(nodes, weights, means @ axes.T, np.log(mixing), score)
    return loss, gradient @ axes


def losses(score, start, times, rtol, mixing=None):
    """Losses of the flow from a start at times."""

    def field(_, state):
        means = state.reshape(start.shape)
        return -loss_and_gradient(score, means, mixing, STEPS)[1].ravel()

    options = {"method": "DOP853", "rtol": rtol, "atol": 1e-2 * rtol, "t_eval": times}
    found = solve_ivp(field, (0.0, times[-1]), start.ravel(), **options)
    assert found.success
    states = found.y.T.reshape(-1, *start.shape)
    return np.array([loss_and_gradient(score, means, mixing)[0] for means in states])
