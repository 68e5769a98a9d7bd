"""Hidden layers of ReLUs: formulas of their own in doubles, and states near critical points."""

import numpy as np

#: Of the critical point in which one student of k faces away from its teacher: the entries of a
#: student (on its teacher, another one, the lonely one) and of the flipped one (another, its own).
FLIPPED = {
    3: (0.6595, -0.3182, 0.6595, 0.6595, -0.3182),
    4: (0.8906, -0.1428, 0.4840, 0.4074, -0.4898),
    5: (0.9616, -0.0791, 0.3761, 0.2875, -0.5598),
    6: (0.9867, -0.0504, 0.3080, 0.2245, -0.6015),
    7: (0.9969, -0.0351, 0.2617, 0.1860, -0.6327),
}
#: Loss of that point for k = 6, Hessian's least eigenvalue, as the literature's 0.025 and 0.0047.
LOSS_6, LEAST_6 = "0.02508058100246301041948", 0.0047003547


def flipped(k):
    """Students near the critical point of k orthonormal teachers with one student flipped."""
    own, other, lonely, flat, back = FLIPPED[k]
    w = np.full((k, k), other)
    np.fill_diagonal(w, own)
    w[:-1, -1], w[-1, :-1], w[-1, -1] = lonely, flat, back
    return w


def loss(students, outputs, teachers, weights, slope=0.0):
    """Population loss, straight from the arc-cosine kernel, pair by pair.

    The leaky ReLU is `(1 - l)/2 |u| + (1 + l)/2 u`; the mean of `|a.x| |b.x|` is twice the kernel
    of the ReLU at the angle and at its supplement.
    """
    u = np.concatenate([students, teachers])
    mu = np.concatenate([outputs, np.negative(weights)])
    size = np.linalg.norm(u, axis=1)
    scale = np.outer(size, size)
    angle = np.arccos(np.clip(u @ u.T / scale, -1, 1))

    def relu(angle):
        return scale * (np.sin(angle) + (np.pi - angle) * np.cos(angle)) / (2 * np.pi)

    moduli = 2 * (relu(angle) + relu(np.pi - angle))
    kernel = (1 - slope) ** 2 / 4 * moduli + (1 + slope) ** 2 / 4 * (u @ u.T)
    return float(mu @ kernel @ mu / 2)
