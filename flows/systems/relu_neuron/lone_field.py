"""The compiled gradient flow of one neuron beside the teacher and others that are far or short.

The raw state has ``k`` blocks of ``q`` numbers. In the lone chart block 0 is ``d = mu_0 w_0 - v``,
block ``i`` the far neuron ``w_i``. All of them decay alike, so that on an exponential clock they
are of order one for ever; the field is homogeneous of degree one but for what is of second order in
``d``. In the chart of short neurons beside it, block 0 is the residual ``r``, block ``i`` the
deviation ``w_i - r/M``, as in the residual chart. Formulas: :mod:`flows.systems.relu_neuron.lone`.
"""

from __future__ import annotations

import math
from collections.abc import Callable

from flows.systems.relu_neuron.field import BESIDE


def make_raw() -> Callable[..., None]:
    """Make the raw field, to be compiled with the clocks by :func:`flows.core.chart.wrap`.

    Returns
    -------
    callable
        ``raw(x, mu, shape, out, jacobian, want_jacobian)`` with ``shape = (k, p, ...)``, the near
        neuron first.
    """
    turn = 1.0 / (2.0 * math.pi)

    def raw(x, mu, shape, out, jacobian, want_jacobian):  # type: ignore[no-untyped-def]
        k, q = shape[0], 1 + shape[1]
        size = k * q
        beside = shape[2] == BESIDE
        half = 0.0 if beside else 0.5  # the linear parts are the residual's there
        mass = 0.0
        for i in range(k):
            mass += mu[i]
        kept = size + k * q + 2 * k + 4 * q
        if beside:
            for a in range(q):
                x[kept + a] = x[a]
                x[a] *= mu[0] / mass
                for i in range(1, k):
                    x[a] -= mu[i] * x[i * q + a]
                    x[i * q + a] += x[kept + a] / mass
        # Behind x: unit vectors of v + d and of the far neurons; lengths; 1 - |cos|; c = v without
        # its part along a neuron, e = d without it; unit vectors in the plane of a pair.
        lengths = size + k * q
        small = lengths + k
        c, e = small + k, small + k + q
        here, there = e + q, e + 2 * q
        # From v + d to the teacher: psi, and its sine.
        across = 0.0
        for a in range(1, q):
            across += x[a] * x[a]
        ahead, across = 1.0 + x[0], math.sqrt(across)
        psi = math.atan2(across, ahead)
        x[lengths] = math.sqrt(ahead * ahead + across * across)
        sine, cosine = across / x[lengths], ahead / x[lengths]
        out[0] = -mu[0] * (half * x[0] + turn * (psi - sine * cosine))
        for a in range(1, q):
            out[a] = -mu[0] * (half * x[a] - turn * sine * x[a] / x[lengths])
        for i in range(k):
            u = size + i * q
            largest = 1.0 if i == 0 else 0.0
            for a in range(q):
                x[u + a] = x[i * q + a] + (1.0 if i == 0 and a == 0 else 0.0)
                largest = max(largest, abs(x[u + a]))
            largest = max(largest, 1e-300)  # squares may underflow
            off = 0.0
            for a in range(q):
                x[u + a] /= largest
                off += x[u + a] * x[u + a] if a > 0 else 0.0
            length = max(math.sqrt(x[u] * x[u] + off), 1e-300)
            for a in range(q):
                x[u + a] /= length
            x[small + i] = off / (length * length) / (1.0 + abs(x[u]))
            x[lengths + i] = length * largest
        for i in range(k):
            u, row = size + i * q, i * q
            force = mu[0] if i == 0 else 1.0  # d moves with all neurons that it stands for
            if i > 0:
                # Neuron and teacher together.
                off, beyond = 0.0, 0.0
                for a in range(1, q):
                    off += x[u + a] * x[u + a]
                    beyond += x[a] * x[u + a]
                d_along = x[0] * x[u] + beyond
                # Along the teacher little is left of d for a neuron next to the axis.
                x[c], x[e] = off, x[0] * off - x[u] * beyond
                now, longer = 0.0, 0.0
                for a in range(q):
                    if a > 0:
                        x[c + a] = -x[u] * x[u + a]
                        x[e + a] = x[a] - d_along * x[u + a]
                    now += (x[c + a] + x[e + a]) * (x[c + a] + x[e + a])
                    longer += x[e + a] * (2.0 * x[c + a] + x[e + a])
                off, now, along = math.sqrt(off), math.sqrt(now), x[u] + d_along
                longer /= off + now + 1e-300
                turned = math.atan2(d_along * off - longer * x[u], x[u] * along + off * now)
                gap = -math.atan2(now, along) if beside else math.atan2(now, -along)
                out[row] = -turn * turned - half * mu[i] * x[row]
                out[row] -= turn * (longer * x[u] + gap * x[0])
                for a in range(1, q):
                    out[row + a] = -half * mu[i] * x[row + a]
                    out[row + a] -= turn * (longer * x[u + a] + gap * x[a])
            if want_jacobian:
                own = half * mu[i]
                for a in range(q):
                    jacobian[(row + a) * size + row + a] -= own
                if i == 0:
                    # The teacher's part in what the near neuron feels.
                    x[c] = sine * sine
                    for a in range(1, q):
                        x[c + a] = -cosine * x[u + a]
                    for a in range(q):
                        for b in range(q):
                            plane = sine * ((1.0 if a == b else 0.0) - x[u + a] * x[u + b])
                            if sine > 0.0:
                                plane += x[c + a] * x[c + b] / sine
                            jacobian[a * size + b] += mu[0] * turn * plane / x[lengths]
                else:
                    # Quotients first: of a neuron next to the axis products would underflow.
                    scale, inverse = turn / x[lengths + i], 1.0 / (now + 1e-300)
                    for a in range(q):
                        for b in range(q):
                            plane = (1.0 if a == b else 0.0) - x[u + a] * x[u + b]
                            plane = longer * plane + (x[c + a] * inverse) * x[e + b]
                            plane += (x[e + a] * inverse) * (x[c + b] + x[e + b])
                            if off > 0.0:
                                plane -= (x[c + a] / off) * (x[c + b] * inverse) * longer
                            jacobian[(row + a) * size + row + b] -= scale * plane
            for j in range(k):
                if j == i or (j == 0 and not want_jacobian):
                    continue
                v = size + j * q
                side = x[u] * x[v] > 0.0
                sign = 1.0 if x[u] > 0.0 else -1.0
                minus, plus = x[u] - x[v], x[u] + x[v]
                if side:
                    minus = sign * (x[small + j] - x[small + i])
                else:
                    plus = sign * (x[small + j] - x[small + i])
                apart, summed = minus, plus
                minus, plus = minus * minus, plus * plus
                for a in range(1, q):
                    minus += (x[u + a] - x[v + a]) * (x[u + a] - x[v + a])
                    plus += (x[u + a] + x[v + a]) * (x[u + a] + x[v + a])
                # 1 - |cos| of the angle between them.
                rest = 0.5 * min(minus, plus)
                acute = minus < plus
                minus, plus = math.sqrt(minus), math.sqrt(plus)
                sine, gap = 0.5 * minus * plus, 2.0 * math.atan2(plus, minus)
                if beside:
                    gap = -2.0 * math.atan2(minus, plus)
                if j > 0:
                    weight = force * mu[j] * x[lengths + j] * turn
                    for a in range(q):
                        out[row + a] -= weight * (sine * x[u + a] + gap * x[v + a])
                if not want_jacobian:
                    continue
                inverse = 1.0 / sine if sine > 0.0 else 0.0
                # Tangents towards each other, without cancellation where the neurons coincide.
                for a in range(q):
                    if a > 0:
                        apart, summed = x[u + a] - x[v + a], x[u + a] + x[v + a]
                    if acute:
                        x[here + a] = (rest * x[u + a] - apart) * inverse
                        x[there + a] = (rest * x[v + a] + apart) * inverse
                    else:
                        x[here + a] = (summed - rest * x[u + a]) * inverse
                        x[there + a] = (summed - rest * x[v + a]) * inverse
                spread = force * mu[j] * x[lengths + j] * sine * turn / x[lengths + i]
                other = turn * (1.0 if j == 0 else force * mu[j])
                for a in range(q):
                    for b in range(q):
                        same = 1.0 if a == b else 0.0
                        if j > 0:
                            plane = same - x[u + a] * x[u + b] + x[here + a] * x[here + b]
                            jacobian[(row + a) * size + row + b] -= spread * plane
                        both = gap * same + x[u + a] * x[here + b] + x[v + a] * x[there + b]
                        jacobian[(row + a) * size + j * q + b] -= other * both
        if not beside:
            return
        # Chain rule from neurons to residual and deviations: columns, then rows.
        if want_jacobian:
            for e in range(size):
                for a in range(q):
                    entry = jacobian[e * size + a]
                    total = entry * mu[0]
                    for i in range(1, k):
                        total += jacobian[e * size + i * q + a]
                        jacobian[e * size + i * q + a] -= mu[i] * entry
                    jacobian[e * size + a] = total / mass
            for e in range(size):
                for a in range(q):
                    total = jacobian[a * size + e]
                    for i in range(1, k):
                        total += mu[i] * jacobian[(i * q + a) * size + e]
                    for i in range(1, k):
                        jacobian[(i * q + a) * size + e] -= total / mass
                    jacobian[a * size + e] = total
        for a in range(q):
            total = out[a]
            for i in range(1, k):
                total += mu[i] * out[i * q + a]
            for i in range(1, k):
                out[i * q + a] -= total / mass
            out[a] = total - 0.5 * mass * x[kept + a]
            if want_jacobian:
                jacobian[a * size + a] -= 0.5 * mass

    return raw
