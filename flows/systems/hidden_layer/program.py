r"""Loss and gradient of a network as programs of a few operations, for compiled loops.

With a kink all comes from the area and the angle of pairs, `D = |u||v| \sin\theta`:

.. math:: L = \frac\ell2 |r|^2 + \frac\kappa{2\pi} \sum_{i<q} \mu_i \mu_q (D - \theta C),
          \qquad r = \sum_q \mu_q u_q, \qquad
          \frac{\partial L}{\partial w_i} = a_i \Big(\ell r + \frac\kappa{2\pi} \sum_q \mu_q
          \Big(\frac{D}{A_i} w_i - \theta u_q\Big)\Big)

The area comes from Lagrange's identity, the sum of squares of minors, so that it keeps its digits
where two neurons are nearly parallel.
"""

from __future__ import annotations

import functools
import itertools
from collections.abc import Sequence
from typing import NamedTuple

import sympy as sp
from flint import arb

from flows.core.axis_field import Code
from flows.core.balls import precision
from flows.systems.hidden_layer.balls import constant_loss
from flows.systems.hidden_layer.network import Network
from flows.systems.own.code import BITS, Builder, beginning
from symbolic.lemmas.dual_kernel import DOTS
from symbolic.systems.two_layer.pair import Kinked, Smooth, named, pair_of

__all__ = ["codes_of"]

Vector = Sequence[int]


class _Neurons(NamedTuple):
    """Registers of students and teachers: vectors, multiplicities, squares of lengths."""

    rows: list[Vector]
    weights: list[int]
    squares: list[int]


@functools.lru_cache(maxsize=16)
def codes_of(network: Network) -> tuple[Code, Code, Code] | None:
    """Programs of gradient, of loss and gradient, and of the gradient's rates.

    The first one is the beginning of the second one, whose registers it has.

    With a kink squares of the students' lengths follow on the gradient; in the second program
    then what :func:`_falls` gives.

    Parameters
    ----------
    network : Network
        With one neuron for each student.
    """
    kernel = pair_of(named(network.activation).activation)
    builder = Builder(network.size)
    neurons = _neurons(network, builder)
    bent = isinstance(kernel, Kinked)
    if isinstance(kernel, Kinked):
        loss, gradient = _kinked(network, kernel, builder, neurons)
    else:
        loss, gradient = _smooth(network, kernel, builder, neurons)
    watched = neurons.squares[: network.students] if bent else []
    falls = _falls(network, builder, neurons, gradient) if bent else []
    early = [*gradient, *watched]
    value, rates = builder.code([loss, *early, *falls], early), builder.rates(gradient)
    if value is None or rates is None:
        return None
    return beginning(value, network.size, value.results[1 : 1 + len(early)]), value, rates


def _neurons(network: Network, b: Builder) -> _Neurons:
    n, d = network.students, network.d
    rows: list[Vector] = [range(i * d, (i + 1) * d) for i in range(n)]
    rows += [[b.constant(x) for x in v] for v in network.teachers]
    trained = list(range(n * d, n * d + n)) if network.trained else []
    weights = trained or [b.constant(x) for x in network.outputs]
    weights += [b.constant(-x) for x in network.weights]
    return _Neurons(rows, weights, [b.dot(v, v) for v in rows])


def _pairs(network: Network) -> list[tuple[int, int]]:
    """Pairs of which the first is a student."""
    count = network.students + len(network.teachers)
    pairs = itertools.combinations(range(count), 2)
    return [(i, q) for i, q in pairs if i < network.students]


def _kinked(
    network: Network, kernel: Kinked, b: Builder, neurons: _Neurons
) -> tuple[int, list[int]]:
    n, d = network.students, network.d
    rows, mu, squares = neurons
    kink = b.constant(kernel.kink / (2 * sp.pi))
    linear = b.constant(kernel.linear)
    residual = [b.dot(mu, [v[k] for v in rows]) for k in range(d)]
    area, angle, terms = {}, {}, []
    for i, q in _pairs(network):
        dot = b.dot(rows[i], rows[q])
        minors = [
            b.add(b.multiply(rows[i][j], rows[q][k]), b.multiply(b.minus(rows[i][k]), rows[q][j]))
            for j, k in itertools.combinations(range(d), 2)
        ]
        area[i, q] = area[q, i] = b.root(b.dot(minors, minors))
        angle[i, q] = angle[q, i] = b.angle(area[i, q], dot)
        kinked = b.add(area[i, q], b.multiply(b.minus(angle[i, q]), dot))
        terms.append(b.multiply(mu[i], mu[q], kinked))
    half = b.constant(kernel.linear / 2)
    constant = b.constant(_rest(network, kernel))
    loss = b.add(
        b.multiply(half, b.dot(residual, residual)), b.multiply(kink, b.add(*terms)), constant
    )
    slopes, means = [], []
    for i in range(n):
        others = [q for q in range(len(rows)) if q != i]
        along = b.dot([mu[q] for q in others], [area[i, q] for q in others])
        along = b.divide(along, squares[i])
        pulls = [_times(b, mu[q], b.minus(angle[i, q])) for q in others]
        slope = []
        for k in range(d):
            toward = b.dot(pulls, [rows[q][k] for q in others])
            bent = b.add(b.multiply(along, rows[i][k]), toward)
            slope.append(b.add(b.multiply(linear, residual[k]), b.multiply(kink, bent)))
        slopes += [b.multiply(mu[i], x) for x in slope]
        # A kernel is of degree one: a neuron's output moves along its own slope.
        means.append(b.dot(rows[i], slope))
    return loss, slopes + (means if network.trained else [])


def _falls(network: Network, b: Builder, neurons: _Neurons, gradient: list[int]) -> list[int]:
    r"""How fast others change the slope of each student, and how fast it falls.

    .. math:: a_i^2 \sum_{j \ne i} a_j^2 |\nabla_j|^2, \qquad w_i \cdot \nabla_i

    A student reaches zero where its slope `p = w \cdot \nabla/|w|` is positive and these change it
    by a small part until then: :func:`flows.systems.two_layer.vanishing.vanishing`.
    """
    n, d = network.students, network.d
    slopes = [gradient[i * d : (i + 1) * d] for i in range(n)]
    outputs = [b.multiply(a, a) for a in neurons.weights[:n]]
    moves = [b.multiply(a, b.dot(g, g)) for a, g in zip(outputs, slopes, strict=True)]
    others = [
        b.multiply(outputs[i], b.add(*(moves[j] for j in range(n) if j != i))) for i in range(n)
    ]
    return others + [b.dot(w, g) for w, g in zip(neurons.rows[:n], slopes, strict=True)]


def _times(b: Builder, weight: int, x: int) -> int:
    return b.minus(x) if weight == b.negative else b.multiply(weight, x)


def _rest(network: Network, kernel: Kinked) -> arb:
    """Part of the loss of teachers alone that is not in the square of the residual."""
    with precision(BITS):
        whole = constant_loss(network, BITS)
        teachers = [
            [arb(b) * sum((arb(x) for x in entry), arb(0)) for entry in v]
            for b, v in zip(network.weights, network.teachers, strict=True)
        ]
        total = [sum(column, arb(0)) for column in zip(*teachers, strict=True)]
        square = sum((x * x for x in total), arb(0))
        linear = kernel.linear
        return whole - square * int(linear.p) / int(linear.q) / 2


def _smooth(
    network: Network, kernel: Smooth, b: Builder, neurons: _Neurons
) -> tuple[int, list[int]]:
    n, d = network.students, network.d
    rows, mu, squares = neurons
    first, second, cross = DOTS
    by_first, by_cross = kernel.first
    swap = {first: second, second: first}
    by_second = by_first.subs(swap, simultaneous=True)
    own = kernel.value.subs({second: first, cross: first})
    along: list[list[int]] = [[b.zero] * len(rows) for _ in range(n)]
    with precision(BITS):
        alone = constant_loss(network, BITS)
    means, terms = [b.zero] * n, [b.constant(alone)]
    two, half = b.constant(sp.Integer(2)), b.constant(sp.S.Half)
    for i in range(n):
        known = {first: squares[i]}
        value = b.expression(own, known)
        along[i][i] = b.multiply(mu[i], b.expression(own.diff(first), known))
        means[i] = b.multiply(mu[i], value)
        terms.append(b.multiply(half, mu[i], mu[i], value))
    for i, q in _pairs(network):
        dot = b.dot(rows[i], rows[q])
        known = {first: squares[i], second: squares[q], cross: dot}
        value, mine, theirs, both = (
            b.expression(e, known) for e in (kernel.value, by_first, by_second, by_cross)
        )
        terms.append(b.multiply(mu[i], mu[q], value))
        means[i] = b.add(means[i], b.multiply(mu[q], value))
        along[i][i] = b.add(along[i][i], b.multiply(two, mu[q], mine))
        along[i][q] = b.multiply(mu[q], both)
        if q < n:
            means[q] = b.add(means[q], b.multiply(mu[i], value))
            along[q][q] = b.add(along[q][q], b.multiply(two, mu[i], theirs))
            along[q][i] = b.multiply(mu[i], both)
    slopes = [
        b.multiply(mu[i], b.dot(along[i], [row[k] for row in rows]))
        for i in range(n)
        for k in range(d)
    ]
    return b.add(*terms), slopes + (means if network.trained else [])
