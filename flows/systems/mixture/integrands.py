"""Integrands of losses, pulls and second derivatives, written once for numbers of every kind.

The integrands (:mod:`symbolic.lemmas.mixture_node` and the loss's own module) are derived and
lowered; this text reduces over indices. It calls nothing but what an arithmetic holds, so the same
lines add vectors of nodes in compiled code and single nodes with many digits.

Names are those of the lemma: ``rho_i = psi_i/W_i``, ``g_i = rho_i - 1``, ``v = sum_i psi_i mu_i``,
``h_i = mu_i - v``, ``hv_i = h_i.v``. Densities are relative to that at a *centre*, the mean or, in
the far form, the mean at home; ``u`` is ``v`` less the centre.
"""

# mypy: disable-error-code="no-untyped-def, untyped-decorator, no-untyped-call"

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple

import sympy as sp

from flows.arithmetic.kept import shared
from flows.arithmetic.numbers import Arithmetic
from flows.core.arrays import Array
from flows.systems.mixture.calculus import Calculus
from flows.systems.mixture.means import CLUSTER, FAR, NEAR
from symbolic.lemmas import mixture_node

__all__ = ["FISHER", "KL", "PULL", "Components", "Functions", "Integrands", "define", "rows"]

# Places of sums: KL divergence, `E|v|^2`, and the pulls.
KL, FISHER, PULL = 0, 1, 2


class Components(NamedTuple):
    """Components as sums take them.

    ``mu``, ``deviation`` (k, r): means, and means less ``centre``; ``centre`` (r,): ``sum_i W_i
    mu_i``, or in the far form the mean at home; ``weight`` (k,): ``W_i``; ``home``: component at
    home, for the far form; ``axes`` (r, r): orthonormal rows, along which nodes are given.
    """

    mu: Array
    deviation: Array
    centre: Array
    weight: Array
    home: int
    axes: Array


class Functions(NamedTuple):
    """Functions of numbers of one kind, beside those of an arithmetic.

    Parameters
    ----------
    log : callable
        Logarithm.
    density, divergence : callable
        ``exp(x) - 1 - x`` and ``x - log(1 + x)``.
    log_of_more : callable
        ``log_of_more(x, y)``: ``log(1 + x)`` where `x` is small, or else `y`.
    """

    log: Any
    density: Any
    divergence: Any
    log_of_more: Any


class Integrands(NamedTuple):
    """What a form adds of a number of nodes.

    ``first(components, whole, x, weights, room, sums)`` adds pulls, and both losses and all
    magnitudes where the whole is wanted; ``second(components, x, weights, room, curve)`` adds
    derivatives of ``pull_i`` by ``mu_j``, for ``i <= j`` alone.
    """

    first: Callable[..., None]
    second: Callable[..., None]


@shared
def rows(k: int, r: int) -> int:
    """Numbers of a node: `omega`, `rho`, `u`, `v`, and `h`, `hv`, `sum_k psi_k h_ka h_kc`."""
    return 2 * (k + r) + k * r + k + r * r


def _posteriors(m: Arithmetic, density: Any, form: int) -> Callable[..., Any]:
    """What sets `omega` (`g`, in the far form `rho`), `rho`, `u` and `v`.

    It returns what losses are functions of: `delta_0` and `delta`, or in the far form the logarithm
    of the largest density, the mixture's over the largest, and the posterior of all but home.
    """
    get, put, zero, larger, exp = m.get, m.put, m.zero, m.larger, m.exp
    # One quotient serves all components: it takes as long as ten products.
    above, below = (
        m.lowered((part,), mixture_node.NODE)
        for part in sp.fraction(mixture_node.relative_posterior())
    )
    tilted = m.lowered((mixture_node.tilted(),), mixture_node.TILT)

    @m.function
    def about_mean(components, room):
        deviation, weight = components.deviation, components.weight
        k, r = deviation.shape
        delta = zero()
        for i in range(k):
            square, log = 0.0, get(room, i)
            for a in range(r):
                square += deviation[i, a] * deviation[i, a]
            more = density(log)
            # The linear part of delta cancels, for the deviations sum to zero.
            delta += weight[i] * (more - 0.5 * square)
            put(room, i, more + log)
        inverse = 1.0 / below(delta, delta)[0]
        for i in range(k):
            g = above(get(room, i), delta)[0] * inverse
            put(room, i, g)
            put(room, k + i, 1.0 + g)
        return delta, delta, delta

    @m.function
    def about_origin(components, x, delta):
        centre = components.centre
        square, log = 0.0, zero()
        for a in range(len(centre)):
            square += centre[a] * centre[a]
            log += centre[a] * get(x, a)
        log -= 0.5 * square
        return tilted(density(log) + log, delta)[0]

    @m.function
    def about_home(components, room, peak):
        weight = components.weight
        k = len(weight)
        total, others = zero(), zero()
        for i in range(k):
            one = exp(get(room, i) - peak)
            put(room, i, one)
            total += weight[i] * one
        inverse = 1.0 / total
        for i in range(k):
            rho = get(room, i) * inverse
            put(room, i, rho)
            put(room, k + i, rho)
            if i != components.home:
                others += weight[i] * rho
        return peak, total, others

    @m.function
    def posteriors(components, x, room):
        deviation, centre, weight = components.deviation, components.centre, components.weight
        k, r = deviation.shape
        peak = zero()  # that at the centre, or beyond
        for i in range(k):
            log = zero()
            for a in range(r):
                step = deviation[i, a]
                log += step * (get(x, a) - (centre[a] + 0.5 * step))
            put(room, i, log)
            peak = larger(peak, log)
        if form == FAR:
            seen = about_home(components, room, peak)
        else:
            seen = about_mean(components, room)
            if form == NEAR:
                seen = about_origin(components, x, seen[1]), seen[1], seen[1]
        for a in range(r):
            u = zero()
            for i in range(k):
                u += (weight[i] * deviation[i, a]) * get(room, i)
            put(room, 2 * k + a, u)
            put(room, 2 * k + r + a, centre[a] + u)
        return seen

    found: Callable[..., Any] = posteriors
    return found


def _pulls(m: Arithmetic, form: int, calculus: Calculus, add: Callable[..., None]) -> Any:
    """What adds the pull of a component."""
    get, zero = m.get, m.zero
    near = m.lowered((calculus.near_gradient_integrand(),), mixture_node.NEAR_GRADIENT)
    plain = m.lowered((calculus.gradient_integrand(),), mixture_node.GRADIENT)

    @m.function
    def near_pull(components, i, seen, whole, x, w, room, sums):
        mu, deviation, mean, _, _, _ = components
        k, r = mu.shape
        # h_i.v in two parts: a number, and what changes with the node.
        dm, hu = 0.0, zero()
        for a in range(r):
            u = get(room, 2 * k + a)
            dm += deviation[i, a] * mean[a]
            hu += (deviation[i, a] - u) * u - u * mean[a]
        for a in range(r):
            u, here = get(room, 2 * k + a), mu[i, a]
            term = near(get(room, i), u, mean[a], seen[0], dm, hu, get(x, a) - here, here)[0]
            add(sums, PULL + i * r + a, PULL + k * r, w * term, whole)

    @m.function
    def pull(components, i, seen, whole, x, w, room, sums):
        mu, deviation, _, weight, home, _ = components
        k, r = mu.shape
        rho, hv, inverse = get(room, k + i), zero(), 1.0 / weight[home]
        for a in range(r):
            hv += (deviation[i, a] - get(room, 2 * k + a)) * get(room, 2 * k + r + a)
        for a in range(r):
            u, v, away = get(room, 2 * k + a), get(room, 2 * k + r + a), get(x, a) - mu[i, a]
            if form == FAR and i == home:
                # At home rho is almost 1/W: without the linear part the others are left.
                term = plain(0.0, rho, v, inverse * (u - seen[2] * v), hv, away)[0]
            elif form == FAR:
                term = plain(rho, rho, v, 0.0, hv, away)[0]
            else:
                term = plain(get(room, i), rho, v, u, hv, away)[0]
            add(sums, PULL + i * r + a, PULL + k * r, w * term, whole)

    return near_pull if form == NEAR else pull


def _first(
    m: Arithmetic, f: Functions, form: int, calculus: Calculus, posteriors: Any
) -> Callable[..., None]:
    get, put, magnitude, pick = m.get, m.put, m.magnitude, m.pick
    log, divergence, log_of_more = f.log, f.divergence, f.log_of_more

    @m.function
    def add(sums, place, places, term, whole):
        """Add a term to one of the sums; if it is the whole, its magnitude."""
        put(sums, place, get(sums, place) + term)
        if whole:
            put(sums, places + place, get(sums, places + place) + magnitude(term))

    @m.function
    def loss(components, seen, room):
        """KL divergence, of far means and clusters less a constant, see `Means.constant`."""
        if form == NEAR:
            return divergence(seen[0])
        if form == CLUSTER:
            return -log_of_more(seen[1], log(1.0 + seen[1]))
        peak, total, others = seen
        home = components.home
        inverse = 1.0 / components.weight[home]
        # One logarithm serves where home has most of the posterior and where it has not.
        ratio = pick(0.5, others, 0.0, inverse * others / get(room, len(components.mu) + home))
        one = log(pick(0.5, others, inverse * total, 1.0 + ratio))
        return -pick(0.5, others, peak + one, log_of_more(ratio, one))

    pull = _pulls(m, form, calculus, add)

    @m.function
    def first(components, whole, x, weights, room, sums):
        k, r = components.mu.shape
        w, places = get(weights, 0), PULL + k * r
        seen = posteriors(components, x, room)
        if whole:
            add(sums, KL, places, w * loss(components, seen, room), True)
            for a in range(r):
                u, v = get(room, 2 * k + a), get(room, 2 * k + r + a)
                if form == FAR:  # without the square of the mean at home
                    add(sums, FISHER, places, w * (u * (v + components.centre[a])), True)
                else:
                    add(sums, FISHER, places, w * (v * v), True)
        for i in range(k):
            pull(components, i, seen, whole, x, w, room, sums)

    found: Callable[..., None] = first
    return found


def _second(m: Arithmetic, form: int, calculus: Calculus, posteriors: Any) -> Callable[..., None]:
    get, put, zero = m.get, m.put, m.zero
    integrands = m.lowered(calculus.hessian_integrands(), mixture_node.HESSIAN)
    kinds = {NEAR: 0, CLUSTER: 1, FAR: 2}
    pair = m.lowered((mixture_node.pair_integrands()[kinds[form]],), mixture_node.PAIR)

    @m.function
    def away(components, room):
        """Set `h`, `hv` and `sum_k psi_k h_ka h_kc`, with the digits of the deviations."""
        deviation, weight = components.deviation, components.weight
        k, r = deviation.shape
        h, hv, s = 2 * (k + r), 2 * (k + r) + k * r, 2 * (k + r) + k * r + k
        for i in range(k):
            along = zero()
            for a in range(r):
                one = deviation[i, a] - get(room, 2 * k + a)
                put(room, h + i * r + a, one)
                along += one * get(room, 2 * k + r + a)
            put(room, hv + i, along)
        for a in range(r):
            for c in range(r):
                total = zero()
                for i in range(k):
                    share = weight[i] * get(room, k + i)
                    total += share * get(room, h + i * r + a) * get(room, h + i * r + c)
                put(room, s + a * r + c, total)

    @m.function
    def second(components, x, weights, room, curve):
        mu, _, _, weight, home, _ = components
        k, r = mu.shape
        h, hv, s = 2 * (k + r), 2 * (k + r) + k * r, 2 * (k + r) + k * r + k
        seen, w = posteriors(components, x, room), get(weights, 0)
        away(components, room)
        for i in range(k):
            rho_i, hv_i = get(room, k + i), get(room, hv + i)
            for j in range(i, k):
                rho_j, hv_j, hh = get(room, k + j), get(room, hv + j), zero()
                for a in range(r):
                    hh += get(room, h + i * r + a) * get(room, h + j * r + a)
                both = pair(get(room, i), get(room, j), rho_i, rho_j, seen[0])[0]
                if form == FAR and i == home and j == home:  # psi^2 - 1, psi = 1 - others
                    both = seen[2] * (seen[2] - 2.0) / (weight[home] * weight[home])
                for a in range(r):
                    for c in range(r):
                        outer, own = integrands(
                            rho_i,
                            rho_j,
                            get(room, 2 * k + r + a),
                            get(room, 2 * k + r + c),
                            hv_i,
                            hv_j,
                            hh,
                            get(x, a) - mu[i, a],
                            get(x, c) - mu[i, c],
                            get(x, c) - mu[j, c],
                            get(room, h + i * r + c),
                            get(room, h + j * r + a),
                            get(room, s + a * r + c),
                            1.0 if a == c else 0.0,
                        )
                        term = weight[j] * (outer + both if a == c else outer)
                        place = ((i * r + a) * k + j) * r + c
                        put(curve, place, get(curve, place) + w * (term + own if i == j else term))

    found: Callable[..., None] = second
    return found


def define(m: Arithmetic, f: Functions, form: int, calculus: Calculus) -> Integrands:
    """Integrands of a loss in one of the forms."""
    posteriors = _posteriors(m, f.density, form)
    first = _first(m, f, form, calculus, posteriors)
    return Integrands(first, _second(m, form, calculus, posteriors))
