"""Two layers from their definition: sampled means, and kernels with as many digits as asked for."""

import jax
import jax.numpy as jnp
import numpy as np
from mpmath import mp
from scipy.special import erf

ACTIVATIONS = {
    "relu": lambda u: np.maximum(u, 0),
    "leaky:0.1": lambda u: np.where(u > 0, u, 0.1 * u),
    "erf": erf,
    "quadratic": lambda u: u**2,
}
LEAK = mp.mpf(1) / 10


def parts(system, state):
    """Students with outputs, then teachers with minus theirs."""
    d = len(system.teachers[0])
    w = np.asarray(state, dtype=float)[:, :d].tolist()
    a = np.asarray(state)[:, d].tolist() if system.train_outputs else system.output_weights
    return [*w, *system.teachers], [*a, *(-b for b in system.teacher_weights)]


def sampled(system, state, count, seed):
    """Squares of the residual, halved, at so many inputs."""
    u, mu = parts(system, state)
    x = np.random.default_rng(seed).normal(size=(count, len(u[0])))
    return 0.5 * (ACTIVATIONS[system.activation](x @ np.array(u).T) @ np.array(mu)) ** 2


def _bent(a, b):
    """Mean of relu(a.x) relu(b.x) with mpmath's own angle, from the wedge of both."""
    area = mp.sqrt(sum((p * s - q * r) ** 2 for p, r, q, s in _wedge(a, b)))
    dot = mp.fdot(a, b)
    theta = mp.atan2(area, dot)
    return (area + (mp.pi - theta) * dot) / (2 * mp.pi)


def _wedge(a, b):
    return [(a[i], b[i], a[j], b[j]) for i in range(len(a)) for j in range(i)]


def kernel(name, a, b):
    """Mean of s(a.x) s(b.x), from the published formulas."""
    aa, bb, ab = mp.fdot(a, a), mp.fdot(b, b), mp.fdot(a, b)
    if name == "relu":
        return _bent(a, b)
    if name == "leaky:0.1":  # s(u) = relu(u) - leak relu(-u)
        minus = [-x for x in b]
        return (1 + LEAK**2) * _bent(a, b) - 2 * LEAK * _bent(a, minus)
    if name == "erf":
        return 2 / mp.pi * mp.asin(2 * ab / mp.sqrt((1 + 2 * aa) * (1 + 2 * bb)))
    return aa * bb + 2 * ab**2


def loss(system, state, digits=40):
    """Loss with many digits, of the doubles as exact numbers."""
    with mp.workdps(digits):
        u, mu = parts(system, state)
        u = [[mp.mpf(x) for x in v] for v in u]
        mu = [mp.mpf(x) for x in mu]
        terms = [
            m * r * kernel(system.activation, a, b)
            for a, m in zip(u, mu, strict=True)
            for b, r in zip(u, mu, strict=True)
        ]
        return mp.fsum(terms) / 2


def differentiable(system, state):
    """Loss of a state in JAX, by formulas of the angle that are smooth off the axes."""
    d = len(system.teachers[0])

    def value(y):
        v, b = jnp.array(system.teachers), jnp.array(system.teacher_weights)
        fixed = jnp.array(system.output_weights)
        w = y[:, :d]
        a = y[:, d] if system.train_outputs else fixed
        u, mu = jnp.concatenate([w, v]), jnp.concatenate([a, -b])
        dots = u @ u.T
        squares = jnp.diag(dots)
        aa, bb = squares[:, None], squares[None, :]
        if system.activation == "erf":
            k = 2 / jnp.pi * jnp.arcsin(2 * dots / jnp.sqrt((1 + 2 * aa) * (1 + 2 * bb)))
        elif system.activation == "quadratic":
            k = aa * bb + 2 * dots**2
        else:
            eye = jnp.eye(len(mu))
            cosine = dots / jnp.sqrt(aa * bb) * (1 - eye)
            theta = jnp.arccos(cosine)
            bent = jnp.sqrt(aa * bb) * (jnp.sin(theta) + (jnp.pi - theta) * cosine) / (2 * jnp.pi)
            slope = 0.1 if system.activation == "leaky:0.1" else 0.0
            line = (1 + slope**2) / 2
            k = line * dots + (1 - slope) ** 2 * (bent - dots / 2)
            k = k * (1 - eye) + jnp.diag(line * squares)
        return mu @ k @ mu / 2

    with jax.enable_x64(True):
        y = jnp.array(state)
        gradient, matrix = jax.grad(value)(y), jax.hessian(value)(y)
    size = np.asarray(state).size
    return np.asarray(gradient), np.asarray(matrix).reshape(size, size)
