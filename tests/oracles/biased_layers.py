"""Layers with biases from their definition: integrals over the input, by panels or many digits."""

import itertools

import numpy as np
from mpmath import mp
from scipy.special import erf, expit

from oracles.grids import legendre

#: Activation, its derivative, and the activation in mpmath.
ACTIVATIONS = {
    "relu": (lambda u: np.maximum(u, 0), lambda u: 1.0 * (u > 0), lambda u: max(u, 0)),
    "leaky:0.5": (
        lambda u: np.where(u > 0, u, u / 2),
        lambda u: np.where(u > 0, 1, 0.5),
        lambda u: u if u > 0 else u / 2,
    ),
    "erf": (erf, lambda u: 2 / np.sqrt(np.pi) * np.exp(-(u**2)), mp.erf),
    "tanh": (np.tanh, lambda u: 1 - np.tanh(u) ** 2, mp.tanh),
    "sigmoid": (expit, lambda u: expit(u) * expit(-u), lambda u: 1 / (1 + mp.exp(-u))),
    "softplus": (lambda u: np.logaddexp(0, u), expit, lambda u: mp.log1p(mp.exp(u))),
    "gelu": (
        lambda u: u * (1 + erf(u / np.sqrt(2))) / 2,
        lambda u: (1 + erf(u / np.sqrt(2))) / 2 + u * np.exp(-(u**2) / 2) / np.sqrt(2 * np.pi),
        lambda u: u * mp.ncdf(u),
    ),
    "quadratic": (lambda u: u**2, lambda u: 2 * u, lambda u: u**2),
}
# Nodes of a panel, panels of a line between two kinks and of an axis of a plane, and where the
# density ends.
NODES, PANELS, REACH = 20, {1: 24, 2: 6}, 9.0


def parts(system, state):
    """Neurons, biases and outputs of students, then those of teachers with minus their weights."""
    state, d = np.asarray(state, dtype=float), len(system.teachers[0])
    n = len(state)
    biases = state[:, d] if system.biases else np.zeros(n)
    outputs = state[:, -1] if system.train_outputs else np.array(system.output_weights)
    w = np.concatenate([state[:, :d], np.array(system.teachers)])
    shifts = np.concatenate([biases, system.teacher_biases])
    return w, shifts, np.concatenate([outputs, -np.array(system.teacher_weights)])


def loss(system, state, digits=40):
    """Loss of neurons on a line with many digits."""
    w, c, mu = parts(system, state)
    s = ACTIVATIONS[system.activation][2]
    rows = [[mp.mpf(float(x)) for x in row] for row in (w[:, 0], c, mu)]
    with mp.workdps(digits):
        kinks = [-e / v for v, e, _ in zip(*rows, strict=True) if v]
        ends = sorted({-14, *range(-12, 13, 2), 14, *(k for k in kinks if abs(k) < 12)})

        def integrand(x):
            total = mp.fsum(m * s(v * x + e) for v, e, m in zip(*rows, strict=True))
            return mp.npdf(x) * total**2 / 2

        return mp.quad(integrand, ends)


def rule(w, c, axes):
    """Nodes and weights of one or two Gaussian numbers; on a line between kinks."""
    kinks = [-e / v for v, e in zip(w[:, 0], c, strict=True) if v] if axes == 1 else []
    ends = np.array(sorted({-REACH, REACH, *(k for k in kinks if abs(k) < REACH)}))
    t, h = legendre(NODES)
    x, weights = [], []
    for low, high in itertools.pairwise(ends):
        edges = np.linspace(low, high, PANELS[axes] + 1)
        half = np.diff(edges)[:, None] / 2
        x.append((edges[:-1, None] + half * (1 + t)).ravel())
        weights.append((half * h).ravel())
    x, weights = np.concatenate(x), np.concatenate(weights)
    weights = weights * np.exp(-(x**2) / 2) / np.sqrt(2 * np.pi)
    if axes == 1:
        return x[:, None], weights
    grid = np.stack(np.meshgrid(x, x, indexing="ij"), axis=-1).reshape(-1, 2)
    return grid, np.outer(weights, weights).ravel()


def gradient(system, state):
    """Gradient by formulas written by hand: `E r a s'(z) x`, `E r a s'(z)`, `E r s(z)`."""
    s, slope, _ = ACTIVATIONS[system.activation]
    w, c, mu = parts(system, state)
    x, weights = rule(w, c, w.shape[1])
    z = x @ w.T + c
    residual = weights * (s(z) @ mu)
    n = len(np.asarray(state))
    pull = residual[:, None] * slope(z[:, :n]) * mu[:n]
    columns = [pull.T @ x]
    columns += [pull.sum(axis=0)[:, None]] if system.biases else []
    columns += [(residual @ s(z[:, :n]))[:, None]] if system.train_outputs else []
    return np.concatenate(columns, axis=1)
