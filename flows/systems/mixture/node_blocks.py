"""Blocks of nodes of a Gaussian mixture, one vector of them at a time.

What is summed (:mod:`symbolic.lemmas.mixture_node` and the paper's own module) is derived and
lowered; this file only reduces over indices. Everything about a block is vectors over its nodes
(:mod:`flows.arithmetic.vectors`). A block finds the posteriors in its form's way
(:mod:`flows.systems.mixture.node_posteriors`), then adds losses and pulls, or second derivatives.
"""

# mypy: disable-error-code="no-untyped-def, untyped-decorator, no-untyped-call"

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple

from flows.arithmetic.vectors import load, magnitude, spread, store, where_less
from flows.systems.mixture.calculus import Calculus
from flows.systems.mixture.means import CLUSTER, FAR, NEAR
from flows.systems.mixture.node_functions import (
    density,
    divergence,
    helper,
    logarithm,
    logarithm_of_more,
    number,
    or_of_more,
)
from flows.systems.mixture.node_posteriors import (
    about_home,
    about_mean,
    away_from_home,
    away_from_mean,
)
from symbolic.language.lower import lower
from symbolic.lemmas import mixture_node

# Places of sums: KL divergence, `E|v|^2`, and the pulls.
KL, FISHER, PULL = 0, 1, 2


@number
def add(sums, place, places, term, whole):
    """Add terms to one of the sums; if it is the whole, their magnitudes."""
    store(sums, place, load(sums, place) + term)
    if whole:
        store(sums, places + place, load(sums, places + place) + magnitude(term))


class Block(NamedTuple):
    """What a form adds of a block of nodes.

    ``first(components, whole, x, weights, room, sums)`` adds pulls, and both losses and all
    magnitudes where the whole is wanted; ``second(components, x, weights, room, pairs, curve)``
    adds ``psi_i psi_j/(W_i W_j)`` and second derivatives, both for ``i <= j`` alone.
    """

    first: Callable[..., None]
    second: Callable[..., None]


def _curve_adder(calculus: Calculus) -> Callable[..., None]:
    """What adds second derivatives, but for the pairs of posteriors."""
    integrands = lower(calculus.hessian_integrands(), mixture_node.HESSIAN, "numba")

    @helper
    def add_curve(x, w, mu, weight, room, curve):
        k, r = mu.shape
        h, hv, s = 2 * (k + r), 2 * (k + r) + k * r, 2 * (k + r) + k * r + k
        for a in range(r):
            for c in range(r):
                total = spread(0.0)
                for i in range(k):
                    share = weight[i] * load(room, k + i)
                    total += share * load(room, h + i * r + a) * load(room, h + i * r + c)
                store(room, s + a * r + c, total)
        for i in range(k):
            rho_i, hv_i = load(room, k + i), load(room, hv + i)
            for j in range(i, k):
                rho_j, hv_j, hh = load(room, k + j), load(room, hv + j), spread(0.0)
                for a in range(r):
                    hh += load(room, h + i * r + a) * load(room, h + j * r + a)
                for a in range(r):
                    for c in range(r):
                        outer, own = integrands(
                            rho_i,
                            rho_j,
                            load(room, 2 * k + r + a),
                            load(room, 2 * k + r + c),
                            hv_i,
                            hv_j,
                            hh,
                            load(x, a) - mu[i, a],
                            load(x, c) - mu[i, c],
                            load(x, c) - mu[j, c],
                            load(room, h + i * r + c),
                            load(room, h + j * r + a),
                            load(room, s + a * r + c),
                            1.0 if a == c else 0.0,
                        )
                        both = weight[j] * outer
                        if i == j:
                            both += own
                        place = ((i * r + a) * k + j) * r + c
                        store(curve, place, load(curve, place) + w * both)

    added: Callable[..., None] = add_curve
    return added


def _second_about_mean(
    calculus: Calculus, pair: Callable[..., Any], last: Callable[..., Any]
) -> Callable[..., None]:
    """What adds second derivatives in a form about the mean.

    Parameters
    ----------
    calculus : Calculus
        The loss.
    pair : callable
        Integrand of the pairs of posteriors, a function of ``mixture_node.PAIR``.
    last : callable
        Its last argument, from nodes, mean and ``delta``.
    """
    add_curve = _curve_adder(calculus)

    @helper
    def second(components, x, weights, room, pairs, curve):
        mu, deviation, mean, weight, _, _ = components
        k = len(mu)
        w = load(weights, 0)
        delta_0 = last(x, mean, about_mean(x, deviation, mean, weight, room))
        away_from_mean(deviation, room)
        for i in range(k):
            for j in range(i, k):
                g_i, g_j, rho_i, rho_j = (
                    load(room, i), load(room, j), load(room, k + i), load(room, k + j),
                )  # fmt: skip
                both = w * pair(g_i, g_j, rho_i, rho_j, delta_0)[0]
                store(pairs, i * k + j, load(pairs, i * k + j) + both)
        add_curve(x, w, mu, weight, room, curve)

    added: Callable[..., None] = second
    return added


# Forms --------------------------------------------------------------------------------------------


def near(calculus: Calculus) -> Block:
    """Blocks in the near form."""
    pull = lower((calculus.near_gradient_integrand(),), mixture_node.NEAR_GRADIENT, "numba")
    tilted = lower((mixture_node.tilted(),), mixture_node.TILT, "numba")
    pair = lower((mixture_node.pair_integrands()[0],), mixture_node.PAIR, "numba")

    @helper
    def density_at_mean(x, mean, delta):
        square, log = 0.0, spread(0.0)
        for a in range(len(mean)):
            square += mean[a] * mean[a]
            log += mean[a] * load(x, a)
        log -= 0.5 * square
        return tilted(density(log) + log, delta)[0]

    @number
    def first(components, whole, x, weights, room, sums):
        mu, deviation, mean, weight, _, _ = components
        k, r = mu.shape
        w, places = load(weights, 0), 2 + k * r
        delta_0 = density_at_mean(x, mean, about_mean(x, deviation, mean, weight, room))
        if whole:
            add(sums, KL, places, w * divergence(delta_0), True)
            for a in range(r):
                v = load(room, 2 * k + r + a)
                add(sums, FISHER, places, w * (v * v), True)
        for i in range(k):
            # h_i.v in two parts: a number, and what changes with the node.
            dm, hu, g = 0.0, spread(0.0), load(room, i)
            for a in range(r):
                u = load(room, 2 * k + a)
                dm += deviation[i, a] * mean[a]
                hu += (deviation[i, a] - u) * u - u * mean[a]
            for a in range(r):
                u, here = load(room, 2 * k + a), mu[i, a]
                term = pull(g, u, mean[a], delta_0, dm, hu, load(x, a) - here, here)[0]
                add(sums, PULL + i * r + a, places, w * term, whole)

    return Block(first, _second_about_mean(calculus, pair, density_at_mean))


def cluster(calculus: Calculus) -> Block:
    """Blocks in the cluster form."""
    pull = lower((calculus.gradient_integrand(),), mixture_node.GRADIENT, "numba")
    pair = lower((mixture_node.pair_integrands()[1],), mixture_node.PAIR, "numba")

    @helper
    def nothing(x, mean, delta):
        return 0.0

    @number
    def first(components, whole, x, weights, room, sums):
        mu, deviation, mean, weight, _, _ = components
        k, r = mu.shape
        w, places = load(weights, 0), 2 + k * r
        delta = about_mean(x, deviation, mean, weight, room)
        if whole:  # of the density at the mean a constant is left, see `Means.constant`
            add(sums, KL, places, -w * logarithm_of_more(delta), True)
            for a in range(r):
                v = load(room, 2 * k + r + a)
                add(sums, FISHER, places, w * (v * v), True)
        for i in range(k):
            g, rho, hv = load(room, i), load(room, k + i), spread(0.0)
            for a in range(r):
                hv += (deviation[i, a] - load(room, 2 * k + a)) * load(room, 2 * k + r + a)
            for a in range(r):
                u, v, away = load(room, 2 * k + a), load(room, 2 * k + r + a), load(x, a) - mu[i, a]
                add(sums, PULL + i * r + a, places, w * pull(g, rho, v, u, hv, away)[0], whole)

    return Block(first, _second_about_mean(calculus, pair, nothing))


def far(calculus: Calculus) -> Block:
    """Blocks in the far form."""
    pull = lower((calculus.gradient_integrand(),), mixture_node.GRADIENT, "numba")
    add_curve = _curve_adder(calculus)

    @number
    def first(components, whole, x, weights, room, sums):
        mu, _, _, weight, home, _ = components
        k, r = mu.shape
        w, places = load(weights, 0), 2 + k * r
        peak, total, others = about_home(x, mu, home, weight, room)
        inverse = 1.0 / weight[home]
        if whole:
            # One logarithm serves where home has most of the posterior and where it has not.
            ratio = where_less(0.5, others, 0.0, inverse * others / load(room, k + home))
            log = logarithm(where_less(0.5, others, inverse * total, 1.0 + ratio))
            away = where_less(0.5, others, peak + log, or_of_more(ratio, log))
            add(sums, KL, places, -w * away, True)
            for a in range(r):
                u = load(room, 2 * k + a)
                add(sums, FISHER, places, w * (u * (2.0 * mu[home, a] + u)), True)
        for i in range(k):
            rho, hv = load(room, k + i), spread(0.0)
            # At home rho is almost 1/W: without the linear part the others are left.
            if i == home:
                for a in range(r):
                    hv -= load(room, 2 * k + a) * load(room, 2 * k + r + a)
                for a in range(r):
                    v, away = load(room, 2 * k + r + a), load(x, a) - mu[i, a]
                    common = inverse * (load(room, 2 * k + a) - others * v)
                    term = pull(0.0, rho, v, common, hv, away)[0]
                    add(sums, PULL + i * r + a, places, w * term, whole)
            else:
                for a in range(r):
                    v = load(room, 2 * k + r + a)
                    hv += (mu[i, a] - v) * v
                for a in range(r):
                    v, away = load(room, 2 * k + r + a), load(x, a) - mu[i, a]
                    term = pull(rho, rho, v, 0.0, hv, away)[0]
                    add(sums, PULL + i * r + a, places, w * term, whole)

    @helper
    def second(components, x, weights, room, pairs, curve):
        mu, _, _, weight, home, _ = components
        k = len(mu)
        w = load(weights, 0)
        _, _, others = about_home(x, mu, home, weight, room)
        away_from_home(mu, home, room)
        for i in range(k):
            for j in range(i, k):
                both = load(room, k + i) * load(room, k + j)
                if i == home and j == home:  # psi^2 - 1, psi = 1 - others
                    both = others * (others - 2.0) / (weight[home] * weight[home])
                store(pairs, i * k + j, load(pairs, i * k + j) + w * both)
        add_curve(x, w, mu, weight, room, curve)

    return Block(first, second)


#: What adds a block, by the form.
BLOCKS = {NEAR: near, CLUSTER: cluster, FAR: far}
