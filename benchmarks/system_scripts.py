"""Scripts for the other systems as one writes them by hand, and how one is run.

A script uses plain t, `solve_ivp(LSODA)` and, for the mixtures, a fixed Gauss-Hermite grid with
softmax posteriors.
"""

from __future__ import annotations

import itertools
import time
from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray
from scipy.integrate import solve_ivp
from scipy.special import logsumexp

import flows

ATOL = 1e-14
# Nodes along each axis, for means in one to three dimensions.
NODES = {1: 64, 2: 40, 3: 24}
Array = NDArray[np.float64]
Field = Callable[[float, Array], Array]
Hand = tuple[Field, Callable[[Array], float]]  # a script: its field and its loss, flat states


def hermite(d: int) -> tuple[Array, Array]:
    """Nodes and weights of a Gauss-Hermite grid for `N(0, I_d)`."""
    x, w = np.polynomial.hermite_e.hermegauss(NODES[d])
    nodes = np.array(list(itertools.product(x, repeat=d)))
    return nodes, np.prod(list(itertools.product(w / w.sum(), repeat=d)), axis=1)


def gmm_em(system: flows.GMMEM) -> Hand:
    """Gradient EM: `-E psi_i v` on the grid; the loss as a difference of log-densities."""
    n, d, logs = system.n, system.d, np.log(system.weights)
    x, w = hermite(d)

    def exponents(mu: Array) -> Array:
        return x @ mu.T - 0.5 * np.sum(mu**2, axis=1) + logs

    def field(t: float, y: Array) -> Array:
        mu = y.reshape(n, d)
        e = exponents(mu)
        psi = np.exp(e - e.max(axis=1, keepdims=True))
        psi /= psi.sum(axis=1, keepdims=True)
        return -((w[:, None] * psi).T @ (psi @ mu)).ravel()

    return field, lambda y: float(-w @ logsumexp(exponents(y.reshape(n, d)), axis=1))


def score_matching(system: flows.ScoreMatching) -> Hand:
    """Score matching: the direct gradient on the grid."""
    n, d = system.n, system.d
    x, w = hermite(d)

    def posteriors(mu: Array) -> Array:
        e = x @ mu.T - 0.5 * np.sum(mu**2, axis=1)
        psi = np.exp(e - e.max(axis=1, keepdims=True))
        return np.asarray(psi / psi.sum(axis=1, keepdims=True))

    def field(t: float, y: Array) -> Array:
        mu = y.reshape(n, d)
        psi = posteriors(mu)
        v = psi @ mu
        share = w[:, None] * psi
        pull = share * (v @ mu.T - np.sum(v**2, axis=1, keepdims=True))
        return -2 * (share.T @ v + pull.T @ x - pull.sum(axis=0)[:, None] * mu).ravel()

    def loss(y: Array) -> float:
        mu = y.reshape(n, d)
        return float(w @ np.sum((posteriors(mu) @ mu) ** 2, axis=1))

    return field, loss


def matrix_factorization(system: flows.MatrixFactorization) -> Hand:
    """Products of real layers, as the gradient reads."""
    depth, d, a, eye = system.depth, system.d, system.regularization, np.eye(system.d)
    target = np.array(system.target)

    def product(layers: Any) -> Array:
        total = eye
        for layer in layers:
            total = layer @ total
        return total

    def parts(layers: Array) -> tuple[Array, list[Array]]:
        lower, upper = layers[:-1], layers[1:]
        defects = [x @ x.T - y.T @ y for x, y in zip(lower, upper, strict=True)]
        return target - product(layers), [0 * eye, *defects, 0 * eye]

    def field(t: float, y: Array) -> Array:
        layers = y.reshape(depth, d, d)
        residual, defects = parts(layers)
        return np.concatenate(
            [
                (
                    product(layers[j + 1 :]).T @ residual @ product(layers[:j]).T
                    - a * (defects[j + 1] @ layers[j] - layers[j] @ defects[j])
                ).ravel()
                for j in range(depth)
            ]
        )

    def loss(y: Array) -> float:
        residual, defects = parts(y.reshape(depth, d, d))
        return float(np.sum(residual**2) / 2 + a / 4 * sum(np.sum(x**2) for x in defects))

    return field, loss


def two_layer(system: flows.TwoLayer) -> Hand:
    """ReLU students and teachers, all outputs one: the kernel of arc cosines."""
    n, teachers = system.students, np.array(system.teachers)
    signs = np.concatenate([np.ones(n), -np.ones(len(teachers))])

    def pairs(y: Array) -> tuple[Array, Array, Array]:
        neurons = np.vstack([y.reshape(n, -1), teachers])
        lengths = np.linalg.norm(neurons, axis=1)
        cosine = neurons @ neurons.T / np.outer(lengths, lengths)
        return neurons, lengths, np.arccos(np.clip(cosine, -1.0, 1.0))

    def field(t: float, y: Array) -> Array:
        neurons, lengths, angle = pairs(y)
        along = np.sin(angle[:n]) @ (signs * lengths) / lengths[:n]
        toward = (np.pi - angle[:n]) @ (signs[:, None] * neurons)
        return -((along[:, None] * neurons[:n] + toward) / (2 * np.pi)).ravel()

    def loss(y: Array) -> float:
        _, lengths, angle = pairs(y)
        shape = (np.sin(angle) + (np.pi - angle) * np.cos(angle)) / (2 * np.pi)
        weights = signs * lengths
        return float(weights @ shape @ weights) / 2

    return field, loss


class Case(NamedTuple):
    """A system, its script, starts and an end."""

    label: str
    system: Any
    script: Callable[[Any], Hand]
    starts: list[Array]
    t_end: float


class Result(NamedTuple):
    """Seconds a run; of every start: loss told, loss of its state, time reached."""

    seconds: float
    told: Array
    states: Array
    reached: Array


def asked(rtol: float) -> dict[str, Any]:
    """What a script asks of `solve_ivp`."""
    return {"method": "LSODA", "rtol": rtol, "atol": min(ATOL, 1e-6 * rtol)}


def losses_by_hand(hand: Hand, start: Array, times: Array, rtol: float) -> Array:
    """Losses at output times, the start first, as a script tells them; NaN beyond its end."""
    field, loss = hand
    with np.errstate(all="ignore"):
        run = solve_ivp(field, (0.0, times[-1]), start.ravel(), t_eval=times, **asked(rtol))
        told = [loss(y) for y in run.y.T]
    return np.array(told + [np.nan] * (len(times) - len(told)))


def by_hand(case: Case, rtol: float) -> Result:
    """Run the script."""
    field, loss = case.script(case.system)
    field(0.0, case.starts[0].ravel())
    rows, states = [], []
    begun = time.process_time()
    for start in case.starts:
        with np.errstate(all="ignore"):
            run = solve_ivp(field, (0.0, case.t_end), start.ravel(), **asked(rtol))
        rows.append((loss(run.y[:, -1]), run.t[-1]))
        states.append(run.y[:, -1].reshape(start.shape))
    seconds = (time.process_time() - begun) / len(case.starts)
    told, reached = np.array(rows).T
    finite = [np.isfinite(state).all() for state in states]
    own = [case.system.loss(s) if f else np.nan for s, f in zip(states, finite, strict=True)]
    return Result(seconds, told, np.array(own), reached)
