r"""Independent check that a flow comes to rest at a minimiser, and how fast; for all times.

Let ``r`` be the stated radius about the centre ``c``, and ``rho`` bound the distance of the flow
from ``c`` at the end ``T`` of the pieces. In ball arithmetic, for all states within ``r`` of ``c``:

*Convex.* ``H - mu`` is positive definite for all Hessians, ``rho < r`` and ``|grad L(c)| < mu r``.
Then ``<x - c, -grad L> < 0`` on the sphere, so the flow stays; ``L`` has one critical point ``w*``
in the ball, a minimum, ``|w* - c| <= |grad L(c)|/mu``; and ``|grad L|^2 >= 2 mu (L - L*)``.

*Layers.* ``L = |S - W|^2/2 + a/4 sum |D_j|^2``, ``D_j = W_j W_j^T - W_{j+1}^T W_{j+1}``, and the
gradients of its parts are orthogonal: what balances does not move ``W``. With ``A_j`` and ``B_j``
the products of the layers above and below the ``j``-th one,

    |grad of the first|^2   =  sum |A_j^T (S - W) B_j^T|^2          >=  2 m (first),
    |grad of the second|^2  =  a^2 sum |D_j W_j - W_j D_{j-1}|^2    >=  4 a k (second),

where ``m`` and ``k`` are below the eigenvalues of these forms on all matrices. So ``|grad L|^2 >=
2 mu L`` with ``mu = min(m, 2 a k)``, and ``m`` if ``a = 0`` (Polyak, Lojasiewicz). The rest of the
path is no longer than ``sqrt(2 L(T)/mu)``: with ``rho`` it must be less than ``r``. ``L* = 0``.

*Squares.* The polynomials in the file make ``L = L* + sum w_i r_i^2/2`` in exact fractions, with
``w_i > 0``, and ``J J^T - mu`` is positive definite for the derivative ``J`` of all ``sqrt(w_i)
r_i``. So ``|grad L|^2 >= 2 mu (L - L*)``, and the path is bounded as for layers.

All: ``(L - L*)' <= -2 mu (L - L*)`` from ``T`` on. Before, ``L`` decreases.
"""

from collections.abc import Iterator
from typing import Any, NamedTuple

import numpy as np
from flint import arb, fmpq

from flows.certificates.verifier.curve import UNIT, at, norm
from flows.certificates.verifier.polynomial import Term, terms, value
from flows.certificates.verifier.positive import less, positive
from flows.certificates.verifier.reading import MOST, Refused, integer, largest, number, require
from flows.certificates.verifier.segment import Equations, Segment


class Rest(NamedTuple):
    """What is proved: ``0 <= L - L* <= amplitude e^(-rate (t - delay))`` for all ``t >= 0``.

    The flow converges to a point within ``radius`` of the centre, ``limit`` holds its coordinates
    and ``loss`` the loss ``L*`` there.
    """

    limit: list[arb]
    radius: arb
    loss: arb
    rate: float
    amplitude: float
    delay: float


def rest(data: Any, flow: Equations, pieces: Any, bits: int) -> Rest:
    """Check what continues the pieces for ever.

    Raises
    ------
    Refused
        With the inequality that fails.
    """
    segments = [*segments_of(pieces, bits)]
    found = attracted(data, flow, segments, bits)
    amplitude, delay = (arb(number(data[key])) for key in ("amplitude", "delay"))
    for excess, late in before(flow, segments, found):
        most = excess * (2 * found.mu * (late - delay)).exp()
        less(most, amplitude, "the loss may be larger before the end")
    stated = arb((integer(data["loss"]["value"]), -bits)) + arb(0, number(data["loss"]["radius"]))
    require(stated.contains(found.lowest), "the limit of the loss is not proved to be where stated")
    rate = float((2 * found.mu).lower())
    require(number(data["rate"]) <= rate, "its rate is larger than the proved one")
    limit = list(found.centre + UNIT * found.near)
    return Rest(limit, found.near, stated, rate, float(amplitude), float(delay))


class Attracted(NamedTuple):
    """A ball that the flow stays in: ``mu``, how far ``w*`` is from its centre, and ``L*``."""

    centre: Any
    mu: arb
    near: arb
    lowest: arb


def attracted(data: Any, flow: Equations, segments: Any, bits: int) -> Attracted:
    """Check that the flow stays in the stated ball, and falls there at the stated rates.

    Raises
    ------
    Refused
        With the inequality that fails.
    """
    c = np.array([arb((integer(x), -bits)) for x in data["centre"]])
    require(len(c) == len(flow.start), "its centre has a wrong size")
    r, rates = arb(number(data["radius"])), [number(x) for x in data["rates"]]
    segment, _, after = segments[-1]
    end = at(segment.p, arb(1))
    away = norm(end - c) + after
    if data["kind"] == "convex":
        mu = arb(_one(rates))
        near, lowest = _convex(flow, c, r, mu, away)
    elif data["kind"] == flow.form == "layers":
        mu = _layers(flow, c, r, rates, away, flow.loss(end + UNIT * after).upper())
        near, lowest = r, arb(0)
    elif data["kind"] == "squares" and flow.form == "polynomial":
        mu = arb(_one(rates))
        begin = flow.loss(end + UNIT * after).upper()
        lowest = _squares(flow, data["squares"], c, r, mu, away, begin)
        near = r
    else:
        raise Refused("its kind is unknown")
    return Attracted(c, mu, near, lowest)


def forms(kind: str, flow: Any, x: Any, squares: Any) -> list[Any]:
    """Quadratic forms that are above the rates, of a state or of all states of a box."""
    if kind == "convex":
        return [flow.hessian(x)]
    if kind == "layers":
        w = flow.matrices(x)
        above, below, _, _ = flow.around(w)
        fit = sum(np.kron(a @ a.T, b.T @ b) for a, b in zip(above, below, strict=True))
        return [fit, *([_balancing(w)] if flow.strength > 0 else [])]
    rows = []
    for weight, parts in (_square(stated, len(x)) for stated in squares):
        row, table = np.array([arb(0)] * len(x)), _table(x, parts)
        for term in parts:
            for i, _ in term.powers:
                row[i] += value(term.slope(i), table)
        rows.append(arb(weight).sqrt() * row)
    return [np.array(rows) @ np.array(rows).T]


def _convex(flow: Equations, c: Any, r: arb, mu: arb, away: arb) -> tuple[arb, arb]:
    """How far the minimum is from ``c``, and its value."""
    require(mu > 0, "its rate is not positive")
    less(away, r, "the flow does not begin within the ball", "radius")
    push = _push(flow, c)
    less(push, mu * r, "the flow may leave the ball", "radius")
    (hessian,) = forms("convex", flow, c + UNIT * r, ())
    lower = positive(hessian, -mu)
    require(lower, f"the Hessian is not proved to be above {float(mu):.6g} on the ball")
    return (push / mu).upper(), flow.loss(c) - (push * push / mu / 2).union(arb(0))


def _push(flow: Any, c: Any) -> arb:
    """Norm of the gradient; of a neuron in the plane on both branches, where it has two."""
    if flow.form != "neurons" or len(flow.v) != 2:
        return norm(flow.field(c, ()))
    require(flow.n == 1, "there is no such proof of several neurons")
    area = c[0] * flow.v[1] - c[1] * flow.v[0]
    signs = [1] if area >= 0 else [-1] if area <= 0 else [1, -1]
    return largest(norm(flow.field(c, [sign])) for sign in signs)


def _layers(flow: Any, c: Any, r: arb, rates: list[float], away: arb, begin: arb) -> arb:
    """Rate of half the logarithm of the loss."""
    fit, *balance = (arb(x) for x in rates)
    require(len(balance) == bool(flow.strength > 0), "it has a wrong number of rates")
    require(all(x > 0 for x in (fit, *balance)), "its rate is not positive")
    mu = min((fit, *(2 * flow.strength * k for k in balance)), key=lambda x: float(x.lower()))
    less(away + (2 * begin / mu).sqrt(), r, "the flow may leave the ball", "radius")
    form, *others = forms("layers", flow, c + UNIT * r, ())
    require(positive(form, -fit), f"sum |A^T X B^T|^2 >= {float(fit):.6g} |X|^2 is not proved")
    for k, other in zip(balance, others, strict=True):
        require(positive(other, -k), f"balancing is not proved to have {float(k):.6g}")
    return mu


def _squares(flow: Any, stated: Any, c: Any, r: arb, mu: arb, away: arb, begin: arb) -> arb:
    """What is left of the loss without half the squares: a number, below it everywhere."""
    require(mu > 0, "its rate is not positive")
    require(0 < len(stated) <= MOST, "it has a wrong number of squares")
    left = _collected(flow.terms)
    for weight, parts in (_square(one, len(c)) for one in stated):
        for a in parts:
            for b in parts:
                powers = dict(a.powers)
                for i, k in b.powers:
                    powers[i] = powers.get(i, 0) + k
                key = tuple(sorted(powers.items()))
                left[key] = left.get(key, fmpq(0)) - weight / 2 * a.factor * b.factor
    lowest = arb(left.pop((), fmpq(0)))
    require(not any(left.values()), "the loss is not half its squares and a number")
    path = (2 * (begin - lowest) / mu).nonnegative_part().sqrt()
    less(away + path, r, "the flow may leave", "radius")
    (form,) = forms("squares", flow, c + UNIT * r, stated)
    require(positive(form, -mu), f"J J^T >= {float(mu):.6g} is not proved on the ball")
    return lowest


def _square(stated: Any, size: int) -> tuple[fmpq, list[Term]]:
    """Weight and terms of one square."""
    numerator, denominator, polynomial = stated
    whole = type(numerator) is int and type(denominator) is int
    require(whole and numerator > 0 and denominator > 0, "a weight is not positive")
    return fmpq(numerator, denominator), terms(polynomial, size)


def _collected(parts: list[Term]) -> dict[Any, fmpq]:
    return {term.powers: term.factor for term in parts}


def _table(x: Any, parts: list[Term]) -> list[Any]:
    """Powers of the entries, the first one first."""
    rows = [x]
    for _ in range(1, max((k for term in parts for _, k in term.powers), default=1)):
        rows.append(rows[-1] * x)
    return rows


def _balancing(w: Any) -> Any:
    """Matrix of ``sum_j |X_j W_j - W_j X_{j-1}|^2``, ``X_0 = X_N = 0``, the ``X_j`` row by row."""
    size, one = w.shape[1] ** 2, np.eye(w.shape[1], dtype=object)
    form = np.full((len(w) - 1, size, len(w) - 1, size), arb(0), dtype=object)
    for j in range(len(w) - 1):
        form[j, :, j] = np.kron(one, w[j] @ w[j].T) + np.kron(w[j + 1].T @ w[j + 1], one)
        if j:
            form[j, :, j - 1] = -np.kron(w[j], w[j])
            form[j - 1, :, j] = form[j, :, j - 1].T
    return form.reshape((len(w) - 1) * size, -1)


def before(flow: Equations, segments: Any, found: Attracted) -> Iterator[tuple[arb, arb]]:
    """What ``L - L*`` is at most on parts of the pieces, and until when; ``L`` decreases."""
    for segment, tube, _ in segments:
        times = [(segment.centre + s * segment.half).expm1() for s in (-1, 1)]
        lasting = (32 * found.mu * (times[1] - times[0])).upper()
        parts = int(lasting.ceil().unique_fmpz() or 0) + 1
        require(parts <= 16 * MOST, "a piece is too long")
        for k in range(parts):
            s = [arb(2 * (k + j) - parts) / parts for j in (0, 1)]
            state, late = at(segment.p, s[0]) + UNIT * tube, segment.centre + s[1] * segment.half
            yield flow.loss(state) - found.lowest, late.expm1()


def segments_of(pieces: Any, bits: int) -> Any:
    """Checked pieces with their tubes and errors."""
    last = 0
    for piece in pieces:
        first, last = last, integer(piece["end"])
        rows = [[arb((integer(c), -bits)) for c in row] for row in piece["coefficients"]]
        span = arb((first, -bits)), arb((last, -bits))
        yield Segment(np.array(rows), *span), *(arb(number(piece[k])) for k in ("tube", "error"))


def _one(rates: list[float]) -> float:
    require(len(rates) == 1, "it has a wrong number of rates")
    return rates[0]
