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
  its side, block 1 the sum of those opposite, both linear: ``x' = -M/2 x``;
* lone chart, for one neuron beside the teacher and others on the far side, and the chart of short
  ones beside it: a field of its own (:mod:`flows.systems.relu_neuron.lone_field`).

What the pairs contribute (:func:`symbolic.systems.relu_neuron.pair.pair_gradient`,
:func:`symbolic.systems.relu_neuron.pair.pair_hessian`) is derived and lowered; this file only
reduces over indices.
"""

from __future__ import annotations

import math
from collections.abc import Callable

from symbolic.language import lower
from symbolic.systems.relu_neuron import pair as relu_neuron

DIRECT, RESIDUAL, PARALLEL, LONE, BESIDE = 0, 1, 2, 3, 4


def make_raw() -> Callable[..., None]:
    """Make the raw field, to be compiled with the clocks by :func:`flows.core.chart.wrap`.

    Returns
    -------
    callable
        ``raw(x, weights, shape, out, jacobian, want_jacobian)`` with ``weights = mu`` (k+1,) and
        ``shape = (k, p, chart)``. Cost ``k^2 q`` for the field and
        ``k^2 q^2`` for the Jacobian; the code does not depend on ``k`` or ``p``.
    """
    sizes = (relu_neuron.ALPHA, relu_neuron.BETA, relu_neuron.THETA)
    # Together they compile once; to a field that needs no Hessian it is one sine more.
    pair = lower.lower((*relu_neuron.pair_gradient(), *relu_neuron.pair_hessian()), sizes, "numba")

    # Each statement costs a cold start a millisecond and each loop ten: where two can be one, they
    # are.
    def raw(x, mu, shape, out, jacobian, want_jacobian):  # type: ignore[no-untyped-def]
        k, q = shape[0], 1 + shape[1]
        size = k * q
        if shape[2] == PARALLEL:
            for block in range(k):
                out[block] = -0.5 * mu[block] * x[block]
                if want_jacobian:
                    jacobian[block * size + block] = -0.5 * mu[block]
            return
        residual = shape[2] == RESIDUAL
        half = 0.0 if residual else 0.5  # weight of the residual in a neuron's own gradient
        # Behind x: for each vector its direction (before it is divided by its length, the vector),
        # m = 1 - cos (before, the square of the transverse part), length; the chords of a pair; r.
        stride = q + 2
        end = size + (k + 1) * stride
        minus = end
        plus = end + q
        kept = plus + q
        mass = 0.0
        for i in range(k):
            mass += mu[i]
        for a in range(q):
            teacher = 1.0 if a == 0 else 0.0
            x[kept + a] = x[a]
            x[a] *= 2.0 * half  # in a residual chart, neuron 0 follows from the others
            total = 0.0
            for i in range(k):
                total += mu[i] * x[i * q + a]
            mean = 0.0
            if residual:
                mean = (teacher + x[kept + a]) / mass
                x[a] = -total / mu[0]
            for i in range(k):
                w = mean + x[i * q + a]
                u = size + i * stride
                x[u + a] = w
                x[u + q] = x[u + q] + w * w if a > 0 else 0.0
                out[i * q + a] = -half * (total - teacher)
            x[end - stride + a] = teacher
        x[end - 2] = 0.0
        for u in range(size, end, stride):
            # Inside a step a neuron may meet zero; the step will be refused or end there.
            length = math.sqrt(x[u] * x[u] + x[u + q] + 1e-300)
            for e in range(u, u + q):
                x[e] /= length
            # Without cancellation: differences of cosines are noise.
            x[u + q] = x[u + q] / (length * length) / (1.0 + x[u]) if x[u] > 0.0 else 1.0 - x[u]
            x[u + q + 1] = length

        for i in range(k):
            u = size + i * stride
            for j in range(k + 1):
                if i == j:
                    continue
                v = size + j * stride
                x[minus] = x[v + q] - x[u + q]
                chord2 = x[minus] * x[minus]
                x[plus] = x[u] + x[v]
                antichord2 = x[plus] * x[plus]
                for a in range(1, q):
                    difference = x[u + a] - x[v + a]
                    both = x[u + a] + x[v + a]
                    chord2 += difference * difference
                    antichord2 += both * both
                    x[minus + a] = difference
                    x[plus + a] = both
                chord = math.sqrt(chord2)
                antichord = math.sqrt(antichord2)
                theta = 2.0 * math.atan2(chord, antichord)
                turn, pull, spread, shift, twist = pair(x[u + q + 1], x[v + q + 1], theta)
                # Aligned vectors have no plane; what multiplies it vanishes there.
                across = 1.0 / chord if chord > 0.0 else 0.0
                between = 1.0 / antichord if antichord > 0.0 else 0.0
                column = j * q
                lean = mu[j] * (shift + half)
                if j == k:
                    column = i * q
                    lean = mu[i] * half
                    twist = 0.0
                for a in range(q):
                    x_u = x[u + a]
                    x_minus = x[minus + a]
                    row = i * q + a
                    out[row] -= mu[j] * (turn * x_u + pull * x_minus)
                    if not want_jacobian:
                        continue
                    row *= size
                    x_minus *= across
                    x_plus = between * x[plus + a]
                    tangent = 0.5 * (chord * x_plus - antichord * x_minus)
                    jacobian[row + i * q + a] -= mu[j] * spread
                    jacobian[row + column + a] -= lean
                    for b in range(q):
                        y_minus = across * x[minus + b]
                        y_plus = between * x[plus + b]
                        other = 0.5 * (chord * y_plus - antichord * y_minus)
                        jacobian[row + i * q + b] -= (
                            mu[j] * spread * (tangent * other - x_u * x[u + b])
                        )
                        jacobian[row + column + b] -= (
                            mu[j] * twist * (x_plus * y_plus - x_minus * y_minus)
                        )
        if not residual:
            return
        # Chain rule from neurons to (r, x): by columns, then by rows, the field being one column.
        columns = size if want_jacobian else 0
        for e in range(columns * q):
            start = e // q * size + e % q
            entry = jacobian[start] / mu[0]
            total = 0.0
            for j in range(k):
                total += jacobian[start + j * q]
                jacobian[start + j * q] -= mu[j] * entry
            jacobian[start] = total / mass
        for column in range(columns + 1):
            target, step, start = (jacobian, size, column) if column < columns else (out, 1, 0)
            for a in range(q):
                top = a * step + start
                total = 0.0
                for i in range(k):
                    total += mu[i] * target[top + i * q * step]
                for i in range(k):
                    target[top + i * q * step] -= total / mass
                target[top] = total
        for a in range(q):
            out[a] -= 0.5 * mass * x[kept + a]
            if want_jacobian:
                jacobian[a * size + a] -= 0.5 * mass

    return raw
