"""Losses of mixtures on a line with many digits, from their definitions: they share no code.

The trapezoidal rule has an error that falls with its step like `exp(-2 pi b / h)`, `b` the distance
of the poles of the posteriors. Digits that cancel for small means are simply there.
"""

from mpmath import mp

# Digits that cancel between terms of order one and a loss of 1e-16.
GUARD = 20


def nodes(means, digits):
    """Nodes and weights for `N(0, 1)` that integrate posteriors of these means."""
    decay = digits * mp.log(10)
    reach = max(abs(m) for m in means)
    end = mp.sqrt(2 * decay + reach**2) + reach
    poles = mp.pi / max(max(means) - min(means), mp.mpf("0.1"))
    # Without poles, the Gaussian itself asks for exp(-2 pi^2 / h^2).
    step = min(2 * mp.pi * poles / decay, mp.pi * mp.sqrt(2 / decay))
    count = int(end / step) + 1
    right = [(j * step, step * mp.npdf(j * step)) for j in range(1, count + 1)]
    return [*((-x, w) for x, w in reversed(right)), (mp.zero, step * mp.npdf(0)), *right]


def expectations(score, means, weights, digits, hessian=False):
    """Loss, gradient and Hessian, of score matching or the KL divergence; weights of any sum.

    With `v = sum_k psi_k mu_k` and `J_i = dv/dmu_i = psi_i (1 + (mu_i - v)(x - mu_i))` the score
    loss is `E v^2`, its gradient `2 E v J_i`, its Hessian `2 E[J_i J_j + v dJ_i/dmu_j]`.
    """
    k = len(means)
    with mp.workdps(digits + GUARD):
        mu = [mp.mpf(m) for m in means]
        total = mp.fsum(mp.mpf(w) for w in weights)
        pi = [mp.mpf(w) / total for w in weights]
        loss, slope = mp.zero, [mp.zero] * k
        curve = [[mp.zero] * k for _ in range(k)]
        for x, w in nodes(mu, digits + GUARD):
            p = [a * mp.exp(m * x - m * m / 2) for a, m in zip(pi, mu, strict=True)]
            psi = [q / mp.fsum(p) for q in p]
            if not score:
                loss -= w * mp.log(mp.fsum(p))
                for i in range(k):
                    slope[i] += w * psi[i] * (mu[i] - x)
                    curve[i][i] += w * psi[i] * (1 - (x - mu[i]) ** 2)
                    for j in range(k if hessian else 0):
                        curve[i][j] += w * psi[i] * psi[j] * (x - mu[i]) * (x - mu[j])
                continue
            v = mp.fdot(psi, mu)
            moved = [q * (1 + (m - v) * (x - m)) for q, m in zip(psi, mu, strict=True)]
            loss += w * v * v
            for i in range(k):
                slope[i] += 2 * w * v * moved[i]
                for j in range(k if hessian else 0):
                    own = mp.mpf(i == j)
                    # J_i by mu_j: its posterior, mu_i - v, x - mu_i.
                    turn = moved[i] * (own - psi[j]) * (x - mu[j])
                    turn += psi[i] * ((own - moved[j]) * (x - mu[i]) - own * (mu[i] - v))
                    curve[i][j] += 2 * w * (moved[i] * moved[j] + v * turn)
        return loss, slope, curve
