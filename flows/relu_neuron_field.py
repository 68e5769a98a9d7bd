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
    Numba function
        ``raw(x, weights, shape, out, jacobian, want_jacobian)`` with ``weights = mu`` (k+1,) and
        ``shape = (k, p, chart)``. Cost ``k^2 q`` for the field and
        ``k^2 q^2`` for the Jacobian; the code does not depend on ``k`` or ``p``.
    """
    import numba
    import numpy as np

    sizes = (relu_neuron.ALPHA, relu_neuron.BETA, relu_neuron.THETA)
    pair_gradient = lower.lower(relu_neuron.pair_gradient(), sizes, "numba")
    pair_hessian = lower.lower(relu_neuron.pair_hessian(), sizes, "numba")

    direct, parallel = DIRECT, PARALLEL

    def raw(x, mu, shape, out, jacobian, want_jacobian):  # type: ignore[no-untyped-def]
        k, p, residual = shape[0], shape[1], shape[2] != direct
        if shape[2] == parallel:
            for i in range(k):
                out[i] = -0.5 * mu[i] * x[i]
                if want_jacobian:
                    jacobian[i, i] = -0.5 * mu[i]
            return
        q = 1 + p
        # All arrays have two axes: every other kind of allocation costs a cold start 0.1 s.
        w = np.empty((k + 1, q))
        r = np.empty((1, q))
        mass = 0.0
        for i in range(k):
            mass += mu[i]
        for a in range(q):
            r[0, a] = 0.0
            w[k, a] = 1.0 if a == 0 else 0.0
            for i in range(k):
                w[i, a] = x[i * q + a]
            if residual:
                r[0, a] = x[a]
                mean = (w[k, a] + r[0, a]) / mass
                w[0, a] = mean
                for i in range(1, k):
                    w[0, a] -= mu[i] / mu[0] * w[i, a]
                    w[i, a] += mean
            else:
                for i in range(k + 1):
                    r[0, a] += mu[i] * w[i, a]

        # Unit vectors u, and m = 1 - cos without cancellation: differences of cosines are noise.
        norm = np.empty((1, k + 1))
        m = np.empty((1, k + 1))
        for i in range(k + 1):
            transverse = 0.0
            for a in range(1, q):
                transverse += w[i, a] * w[i, a]
            norm[0, i] = math.sqrt(w[i, 0] * w[i, 0] + transverse)
            if norm[0, i] == 0.0:
                # Inside a step a neuron may meet zero; the step will be refused or end there.
                norm[0, i] = 1e-300
            for a in range(q):
                w[i, a] /= norm[0, i]
            if w[i, 0] > 0.0:
                m[0, i] = transverse / (norm[0, i] * norm[0, i]) / (1.0 + w[i, 0])
            else:
                m[0, i] = 1.0 - w[i, 0]

        gradient = np.empty((k, q))
        hessian = np.empty((k * q, k * q))
        for i in range(k * q if want_jacobian else 0):
            for j in range(k * q):
                hessian[i, j] = 0.0
        minus = np.empty((1, q))
        plus = np.empty((1, q))
        for i in range(k):
            for a in range(q):
                gradient[i, a] = 0.0 if residual else 0.5 * r[0, a]
            for j in range(k + 1):
                if i == j:
                    continue
                chord2 = 0.0
                antichord2 = 0.0
                for a in range(q):
                    minus[0, a] = w[i, a] - w[j, a] if a > 0 else m[0, j] - m[0, i]
                    plus[0, a] = w[i, a] + w[j, a]
                    chord2 += minus[0, a] * minus[0, a]
                    antichord2 += plus[0, a] * plus[0, a]
                theta = 2.0 * math.atan2(math.sqrt(chord2), math.sqrt(antichord2))
                unit, chord = pair_gradient(norm[0, i], norm[0, j], theta)
                for a in range(q):
                    gradient[i, a] += mu[j] * (unit * w[i, a] + chord * minus[0, a])
                if not want_jacobian:
                    continue
                spread, shift, twist = pair_hessian(norm[0, i], norm[0, j], theta)
                # Aligned vectors have no plane; what multiplies it vanishes there.
                planar = chord2 > 0.0 and antichord2 > 0.0
                for a in range(q):
                    hessian[i * q + a, i * q + a] += mu[j] * spread
                    if j < k:
                        hessian[i * q + a, j * q + a] += mu[j] * shift
                    for b in range(q):
                        if planar:
                            outer = 0.25 * chord2
                            hessian[i * q + a, i * q + b] += mu[j] * spread * (
                                (outer * plus[0, a] - (1.0 - outer) * minus[0, a])
                                * (outer * plus[0, b] - (1.0 - outer) * minus[0, b])
                                * 4.0 / (chord2 * antichord2) - w[i, a] * w[i, b]
                            )
                            if j < k:
                                hessian[i * q + a, j * q + b] += mu[j] * twist * (
                                    plus[0, a] * plus[0, b] / antichord2
                                    - minus[0, a] * minus[0, b] / chord2
                                )

        for a in range(q):
            total = 0.0
            for i in range(k):
                total += mu[i] * gradient[i, a]
            for i in range(k):
                out[i * q + a] = -gradient[i, a] + (total / mass if residual else 0.0)
            if residual:
                out[a] = -0.5 * mass * r[0, a] - total
        if not want_jacobian:
            return
        for a in range(q):
            for b in range(q):
                # Chain rule to the blocks: from neurons to (r, x) by columns, then by rows.
                for i in range(k):
                    for j in range(k if residual else 0):
                        jacobian[i * q + a, j * q + b] = 0.0
                    for j in range(k):
                        entry = hessian[i * q + a, j * q + b]
                        if residual:
                            jacobian[i * q + a, b] -= entry / mass
                            if j > 0:
                                entry -= mu[j] / mu[0] * hessian[i * q + a, 0 * q + b]
                                jacobian[i * q + a, j * q + b] = -entry
                        else:
                            jacobian[i * q + a, j * q + b] = -entry
                            if a == b:
                                jacobian[i * q + a, j * q + b] -= 0.5 * mu[j]
                if residual:
                    for j in range(k):
                        total = 0.0
                        for i in range(k):
                            total += mu[i] * jacobian[i * q + a, j * q + b]
                        for i in range(1, k):
                            jacobian[i * q + a, j * q + b] -= total / mass
                        jacobian[a, j * q + b] = total
                    if a == b:
                        jacobian[a, b] -= 0.5 * mass

    return numba.njit(error_model="numpy")(raw)
