r"""Losses along gradient flows with 40 digits, up to t = 1e12, by other means than popflow's.

Of :math:`L = |W^T W - M|^2/4` the inverse :math:`R = (W^T W)^{-1}` obeys a linear equation, so
that in the eigenbasis of `M`

.. math:: R_{ij}(t) = e^{-(m_i + m_j) t} R_{ij}(0) + 2 \delta_{ij} \int_0^t e^{-2 m_i s} ds

The others are solved by collocation with 50 digits, in coordinates and with derivatives written
out by hand; they are kept beside this file, which makes them: ``python -m oracles.own_losses``.
"""

import operator
from pathlib import Path

from mpmath import mp

KEPT = Path(__file__).with_name("own_losses.txt")
TIMES = tuple(10.0**k for k in range(13))
DIGITS = 50

VALLEY_START = (1.2, 0.8)
COMMITTEE_START = (1.5, 0.25)
# Rows of W; L = |W'W - e e'|^2 + tr(W'W - e e')^2/2 with e the first axis.
NEURONS_START = ((0.5, 0.2, -0.1), (0.1, -0.4, 0.3), (-0.3, 0.1, 0.2))


def inverse(matrix):
    """Inverse of a positive matrix whose entries may be of any size, by elimination."""
    size = matrix.rows
    rows = [[*matrix[i, :], *(mp.mpf(i == k) for k in range(size))] for i in range(size)]
    for k in range(size):
        rows[k] = [x / rows[k][k] for x in rows[k]]
        for i in set(range(size)) - {k}:
            rows[i] = [x - rows[i][k] * y for x, y in zip(rows[i], rows[k], strict=True)]
    return mp.matrix([row[size:] for row in rows])


def factorization(start, target, t, turn=None):
    """Loss `|O'W'W O - diag(target)|^2/4` at a time, of a tall `W` of full rank."""
    with mp.workdps(120):
        w = mp.matrix(start) * (mp.eye(len(target)) if turn is None else mp.matrix(turn))
        first = (w.T * w) ** -1
        size = len(target)
        m, t = [mp.mpf(x) for x in target], mp.mpf(t)
        now = mp.matrix(size)
        for i in range(size):
            for j in range(size):
                now[i, j] = mp.exp(-(m[i] + m[j]) * t) * first[i, j]
            now[i, i] += 2 * t if m[i] == 0 else -mp.expm1(-2 * m[i] * t) / m[i]
        product = inverse(now)
        gap = [product[i, j] - (m[i] if i == j else 0) for i in range(size) for j in range(size)]
        return sum(x * x for x in gap) / 4


def valley(x):
    """Loss, velocity and its Jacobian of `(u^2 - q^3)^2 + q^8`."""
    u, q = x
    gap = u**2 - q**3
    slope = [4 * u * gap, -6 * q**2 * gap + 8 * q**7]
    mixed = -12 * u * q**2
    second = [[4 * gap + 8 * u**2, mixed], [mixed, -12 * q * gap + 18 * q**4 + 56 * q**6]]
    return gap**2 + q**8, [-g for g in slope], [[-h for h in row] for row in second]


def neurons(x):
    """Quadratic neurons: loss, velocity and Jacobian in the entries of `W`, row by row."""
    d = 3
    rows = [x[d * i : d * i + d] for i in range(len(x) // d)]
    gap = [[sum(r[j] * r[k] for r in rows) - (j == k == 0) for k in range(d)] for j in range(d)]
    trace = sum(gap[j][j] for j in range(d))
    loss = sum(g * g for row in gap for g in row) + trace**2 / 2
    velocity = [
        -4 * sum(r[k] * gap[k][j] for k in range(d)) - 2 * trace * r[j]
        for r in rows
        for j in range(d)
    ]
    jacobian = []
    for a, r in enumerate(rows):
        for j in range(d):
            line = []
            for b, s in enumerate(rows):
                for k in range(d):
                    # d gap_lm = delta_lk s_m + s_l delta_mk for the entry (b, k).
                    turned = r[k] * s[j] + (sum(map(operator.mul, r, s)) if j == k else 0)
                    own = gap[k][j] if a == b else 0
                    diagonal = trace if (a == b and j == k) else 0
                    line.append(-4 * (own + turned) - 2 * (diagonal + 2 * s[k] * r[j]))
            jacobian.append(line)
    return loss, velocity, jacobian


def committee(x):
    """`E (erf(a z) + erf(b z) - 2 erf(z))^2/2` by Saad & Solla's kernel: loss, velocity, Jacobian.

    The limit `a = b = 1` is degenerate: along `a - b` the loss has no curvature.
    """
    a, b = x
    one = mp.mpf(1)

    def kernel(p, q):
        return 2 / mp.pi * mp.asin(2 * p * q / mp.sqrt((1 + 2 * p**2) * (1 + 2 * q**2)))

    def slope(p, q):
        return 4 / mp.pi * q / ((1 + 2 * p**2) * mp.sqrt(1 + 2 * p**2 + 2 * q**2))

    def bend(p, q):
        r = 1 + 2 * p**2
        return -slope(p, q) * (4 * p / r + 2 * p / (r + 2 * q**2))

    def mixed(p, q):
        return 4 / mp.pi / (1 + 2 * p**2 + 2 * q**2) ** mp.mpf("1.5")

    def own(p, q):
        return bend(p, p) + mixed(p, p) + bend(p, q) - 2 * bend(p, one)

    loss = (kernel(a, a) + kernel(b, b)) / 2 + kernel(a, b) + 2 * kernel(one, one)
    loss -= 2 * kernel(a, one) + 2 * kernel(b, one)
    gradient = [slope(p, p) + slope(p, q) - 2 * slope(p, one) for p, q in ((a, b), (b, a))]
    jacobian = [[-own(a, b), -mixed(a, b)], [-mixed(b, a), -own(b, a)]]
    return loss, [-g for g in gradient], jacobian


def made():
    """Losses of the flows without a closed form, by name."""
    from flows.solvers.reference import solve_reference

    flows = {
        "valley": (valley, VALLEY_START),
        "committee": (committee, COMMITTEE_START),
        "neurons": (neurons, [x for row in NEURONS_START for x in row]),
    }
    found = {}
    for name, (model, start) in flows.items():
        run = solve_reference(
            lambda x, model=model: model(x)[1],
            lambda x, model=model: [[float(h) for h in row] for row in model(x)[2]],
            start,
            TIMES,
            DIGITS,
        )
        assert run.status == "completed", run.message
        with mp.workdps(DIGITS):
            found[name] = [mp.nstr(model(x)[0], 40) for x in run.states]
    return found


def kept(name):
    """Losses at `TIMES` that were made."""
    for line in KEPT.read_text().splitlines():
        key, *values = line.split()
        if key == name:
            return [mp.mpf(value) for value in values]
    raise KeyError(name)


if __name__ == "__main__":
    KEPT.write_text("".join(f"{k} {' '.join(v)}\n" for k, v in made().items()))
