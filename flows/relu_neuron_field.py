"""The compiled gradient flow of the ReLU neuron in sound coordinates.

Unit teacher along ``e_1``; neuron ``i`` has the parallel part ``h_i`` and the transverse part
``z_i`` in ``R^p``, ``q = 1 + p`` numbers. ``k`` distinct neurons, neuron ``i`` standing for
``mu_i`` coincident ones; the teacher is neuron ``k`` with ``mu_k = -1``, so that every sum runs
over one kind of thing. The raw state has ``k`` blocks of ``q`` numbers:

* direct chart: block ``i`` is neuron ``i``;
* residual chart: block 0 is the residual ``r = sum_j mu_j w_j`` (teacher included), block ``i``
  the deviation ``x_i = w_i - (v + r) / M``, ``M = sum_i mu_i``; neuron 0 follows from
  ``sum_i mu_i x_i = 0``. Near the optimum ``r`` is about ``theta^2``, so subtracting stored
  neurons would leave it with an error ``eps / theta^2``. And in

      r' = -M/2 r - sum_i mu_i e_i,        x_i' = -(e_i - mean e),

  ``e_i`` being what the pairs contribute to the gradient, the stiff linear part acts on ``r``
  alone: the slow deviations do not feel it;
* parallel chart, for neurons that all lie along the teacher: block 0 is the residual of those on
  its side, block 1 the sum of those opposite, both linear: ``x' = -M/2 x``.

What the pairs contribute (:func:`symbolic.relu_neuron.pair_gradient`,
:func:`symbolic.relu_neuron.pair_hessian`) is derived and lowered; this file only reduces over
indices.
"""

from __future__ import annotations

import math
from collections.abc import Callable

from symbolic import lower, relu_neuron

DIRECT, RESIDUAL, PARALLEL = 0, 1, 2


def make_raw() -> Callable[..., None]:
    """Make the raw field, to be compiled with the clocks by :func:`flows.self_similar.wrap`.

    Returns
    -------
    callable
        ``raw(x, weights, shape, out, jacobian, want_jacobian)`` with ``weights = mu`` (k+1,) and
        ``shape = (k, p, chart)``. Cost ``k^2 q`` for the field and
        ``k^2 q^2`` for the Jacobian; the code does not depend on ``k`` or ``p``.
    """
    import numpy as np

    sizes = (relu_neuron.ALPHA, relu_neuron.BETA, relu_neuron.THETA)
    # Together they compile once; to a field that needs no Hessian it is one sine more.
    pair = lower.lower(
        (*relu_neuron.pair_gradient(), *relu_neuron.pair_hessian()), sizes, "numba"
    )

    # Each loop costs a cold start 20 ms: where two can be one, they are.
    def raw(x, mu, shape, out, jacobian, want_jacobian):  # type: ignore[no-untyped-def]
        k, q = shape[0], 1 + shape[1]
        if shape[2] == PARALLEL:
            for i in range(k):
                out[i] = -0.5 * mu[i] * x[i]
                if want_jacobian:
                    jacobian[i, i] = -0.5 * mu[i]
            return
        residual = shape[2] == RESIDUAL
        half = 0.0 if residual else 0.5  # weight of the residual in a neuron's own gradient
        first = 1 if residual else 0
        # Unit vectors u, and m = 1 - cos without cancellation: differences of cosines are noise.
        # Before they are divided by the norm, they hold the neurons and their transverse squares.
        u = np.empty((k + 1) * q)
        norm = np.empty(k + 1)
        m = np.empty(k + 1)
        mass = 0.0
        for a in range(q):
            teacher = 1.0 if a == 0 else 0.0
            mass = mu[0] if residual else 0.0
            total = 0.0
            for i in range(first, k):
                mass += mu[i]
                total += mu[i] * x[i * q + a]
            mean = (teacher + x[a]) / mass if residual else 0.0
            for i in range(k):
                w = mean - total / mu[0] if i < first else mean + x[i * q + a]
                u[i * q + a] = w
                m[i] = m[i] + w * w if a > 0 else 0.0
                out[i * q + a] = -half * (total - teacher)
            u[k * q + a] = teacher
        m[k] = 0.0
        for i in range(k + 1):
            along = u[i * q]
            # Inside a step a neuron may meet zero; the step will be refused or end there.
            length = math.sqrt(along * along + m[i]) or 1e-300
            for e in range(i * q, i * q + q):
                u[e] /= length
            along /= length
            m[i] = m[i] / (length * length) / (1.0 + along) if along > 0.0 else 1.0 - along
            norm[i] = length

        minus = np.empty(q)
        plus = np.empty(q)
        for i in range(k):
            for j in range(k + 1):
                if i == j:
                    continue
                chord2 = 0.0
                antichord2 = 0.0
                for a in range(q):
                    minus[a] = u[i * q + a] - u[j * q + a] if a > 0 else m[j] - m[i]
                    plus[a] = u[i * q + a] + u[j * q + a]
                    chord2 += minus[a] * minus[a]
                    antichord2 += plus[a] * plus[a]
                chord = math.sqrt(chord2)
                antichord = math.sqrt(antichord2)
                theta = 2.0 * math.atan2(chord, antichord)
                turn, pull, spread, shift, twist = pair(norm[i], norm[j], theta)
                for a in range(q):
                    out[i * q + a] -= mu[j] * (turn * u[i * q + a] + pull * minus[a])
                if not want_jacobian:
                    continue
                # Aligned vectors have no plane; what multiplies it vanishes there.
                across = 1.0 / chord if chord > 0.0 else 0.0
                between = 1.0 / antichord if antichord > 0.0 else 0.0
                for a in range(q):
                    row = i * q + a
                    jacobian[row, row] -= mu[j] * spread
                    if j < k:
                        jacobian[row, j * q + a] -= mu[j] * (shift + half)
                    else:
                        jacobian[row, row] -= mu[i] * half
                    minus_a = across * minus[a]
                    plus_a = between * plus[a]
                    tangent = 0.5 * (chord * plus_a - antichord * minus_a)
                    for b in range(q):
                        minus_b = across * minus[b]
                        plus_b = between * plus[b]
                        jacobian[row, i * q + b] -= mu[j] * spread * (
                            tangent * 0.5 * (chord * plus_b - antichord * minus_b)
                            - u[row] * u[i * q + b]
                        )
                        if j < k:
                            jacobian[row, j * q + b] -= mu[j] * twist * (
                                plus_a * plus_b - minus_a * minus_b
                            )
        if not residual:
            return
        # Chain rule from neurons to (r, x): by columns, then by rows.
        columns = k * q if want_jacobian else 0
        for row in range(columns):
            for b in range(q):
                total = 0.0
                entry = jacobian[row, b]
                for j in range(k):
                    total += jacobian[row, j * q + b]
                    jacobian[row, j * q + b] -= mu[j] / mu[0] * entry
                jacobian[row, b] = total / mass
        for a in range(q):
            total = 0.0
            for i in range(k):
                total += mu[i] * out[i * q + a]
            for i in range(k):
                out[i * q + a] -= total / mass
            out[a] = total - 0.5 * mass * x[a]
            for column in range(columns):
                total = 0.0
                for i in range(k):
                    total += mu[i] * jacobian[i * q + a, column]
                for i in range(k):
                    jacobian[i * q + a, column] -= total / mass
                jacobian[a, column] = total
            if want_jacobian:
                jacobian[a, a] -= 0.5 * mass

    return raw
