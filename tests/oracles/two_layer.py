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


def loss_of(system, flat):
    """Loss of a flat state of mpmath's numbers, at its precision."""
    n, d = system.students, len(system.teachers[0])
    w = [list(flat[i * d : (i + 1) * d]) for i in range(n)]
    a = flat[n * d :] if system.train_outputs else system.output_weights
    u = [[mp.mpf(x) for x in v] for v in [*w, *system.teachers]]
    mu = [mp.mpf(x) for x in [*a, *(-b for b in system.teacher_weights)]]
    terms = [
        m * r * kernel(system.activation, x, z)
        for x, m in zip(u, mu, strict=True)
        for z, r in zip(u, mu, strict=True)
    ]
    return mp.fsum(terms) / 2


def loss(system, state, digits=40):
    """Loss with many digits, of the doubles as exact numbers."""
    with mp.workdps(digits):
        return loss_of(system, system.flat(np.asarray(state, dtype=float)).tolist())


def gradient(name, u, mu, n):
    """Gradients by the first n neurons and by their outputs, of ReLU and erf."""
    slopes, means = [], []
    for w, a in zip(u[:n], mu[:n], strict=True):
        total = [mp.zero] * len(w)
        mean = mp.zero
        for v, m in zip(u, mu, strict=True):
            aa, bb, ab = mp.fdot(w, w), mp.fdot(v, v), mp.fdot(w, v)
            if name == "relu":
                area = mp.sqrt(sum((p * s - q * r) ** 2 for p, r, q, s in _wedge(w, v)))
                own, other = area / aa / (2 * mp.pi), (mp.pi - mp.atan2(area, ab)) / (2 * mp.pi)
            else:
                root = mp.sqrt((1 + 2 * aa) * (1 + 2 * bb) - 4 * ab**2)
                own, other = -8 * ab / (mp.pi * (1 + 2 * aa) * root), 4 / (mp.pi * root)
            total = [t + m * (own * x + other * z) for t, x, z in zip(total, w, v, strict=True)]
            mean += m * kernel(name, w, v)
        slopes.append([a * t for t in total])
        means.append(mean)
    return slopes, means


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
        gradient, matrix = jax.jit(jax.grad(value))(y), jax.jit(jax.hessian(value))(y)
    size = np.asarray(state).size
    return np.asarray(gradient), np.asarray(matrix).reshape(size, size)
