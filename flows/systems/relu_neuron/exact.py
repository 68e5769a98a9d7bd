r"""The flow of the ReLU neuron with as many digits as asked for: the definition on thin balls.

A neuron exactly at zero stays there (the minimal choice where the loss has no derivative). Doubles
are taken as exact numbers.
"""

from __future__ import annotations

import itertools
from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Any

import numpy as np
from flint import arb
from mpmath import mp

from flows.arithmetic import lists
from flows.arithmetic.numbers import Arithmetic
from flows.core.arrays import Array
from flows.core.balls import precision
from flows.core.chart import plainly
from flows.systems.relu_neuron.definition import DIRECT, define, make_raw, sizes

__all__ = ["crossings", "flow"]

Number = Any  # float or mpmath.mpf
Vector = Sequence[Number]
Field = Callable[..., list[Number]]
Jacobian = Callable[..., Array]


def flow(multiplicity: Sequence[float], q: int, digits: int = 50) -> tuple[Field, Jacobian]:
    r"""Field ``dw_i/dt = -(1/2 r + sum_j mu_j de(w_i, w_j)/dw_i)`` and its Jacobian.

    Parameters
    ----------
    multiplicity : sequence of float
        ``mu_i``: how many coincident neurons the ``i``-th distinct one stands for.
    q : int
        Dimension; the teacher is ``(1, 0, ..., 0)``.
    digits : int
        Digits asked of the solver. A neuron far shorter than a unit of the last one (1e-5 of it)
        counts as at zero, and stays there: its direction would be rounding.

    Returns
    -------
    field, jacobian : callable
        Of the flat state ``(w_1, ..., w_k)``, ``k q`` numbers: a list of ``k q`` mpf, of the
        caller's precision ``mp.prec``, and an array of doubles, shape (k q, k q). A second
        argument, the signs of :func:`crossings`, selects the smooth branch with these signs. The
        Jacobian, which steers Newton's method, is that of the field itself on every branch.

    Notes
    -----
    Units: ``t`` is the time of the flow ``dw/dt = -grad L``.
    """
    weights, passed = [*map(float, multiplicity), -1.0], crossings(q)
    count, shortest = len(multiplicity), mp.mpf(10) ** (-digits - 5)
    beyond: list[bool] = []  # of the pairs of vectors, in the order in which they are looked at
    slopes = lists.field_of(define, sizes, _branch(lists.balls(), beyond))

    def living(x: Vector) -> tuple[list[int], list[int]]:
        """Vectors that are not at zero, the teacher among them, and their numbers in the state."""
        alive = [i for i in range(count) if max(map(abs, x[i * q : i * q + q])) > shortest]
        return [*alive, count], [i * q + a for i in alive for a in range(q)]

    def field(x: Vector, sides: Sequence[int] | None = None) -> list[Number]:
        found = [mp.zero] * len(x)
        alive, which = living(x)
        if not which:
            return found
        beyond.clear()
        if sides and passed:
            pairs = itertools.combinations(range(count + 1), 2)
            turned = zip(pairs, sides, passed(x), strict=True)
            beyond.extend(side * sine < 0 for pair, side, sine in turned if {*pair} <= {*alive})
        # Of unit vectors that hardly differ half of the digits may be left.
        with precision(2 * mp.prec + 20):
            state, mu = [_ball(x[k]) for k in which], [weights[i] for i in alive]
            moved = slopes(state, mu, (len(alive) - 1, q - 1, DIRECT))
        for k, slope in zip(which, moved, strict=True):
            found[k] = mp.mpf(slope._mpf_)
        return found

    def jacobian(x: Vector, sides: Sequence[int] | None = None) -> Array:
        # Nobody moves a neuron at zero; without its columns a linear solver leaves it there.
        found, (alive, which) = np.zeros((len(x), len(x))), living(x)
        if which:
            state, shape = np.array([float(x[k]) for k in which]), (len(alive) - 1, q - 1, DIRECT)
            found[np.ix_(which, which)] = plainly(make_raw, state, weights_of(alive), shape)[1]
        return found

    def weights_of(alive: list[int]) -> Array:
        return np.array([weights[i] for i in alive])

    return field, jacobian


def _branch(m: Arithmetic, beyond: Sequence[bool]) -> Arithmetic:
    """Arithmetic in which the angles of these pairs go on smoothly below 0 or beyond pi."""
    now = [False]

    def pairs(body: Callable[..., None]) -> Any:
        def loop(count: int, *rest: Any) -> None:
            every = itertools.combinations(range(count), 2)
            for now[0], (i, j) in zip(beyond or itertools.repeat(False), every, strict=False):
                body(i, j, *rest)

        return loop

    def turn(chord: Any, antichord: Any) -> Any:
        """Half of the angle of a pair."""
        half = m.turn(chord, antichord)
        if not now[0]:
            return half
        return -half if chord < antichord else arb.pi() - half

    return replace(m, pairs=pairs, turn=turn)


def _ball(x: Number) -> arb:
    sign, man, exp, _ = mp.mpf(x)._mpf_
    return arb(((-1) ** sign * int(man), exp))


def crossings(q: int) -> Callable[[Vector], list[Number]] | None:
    """Sines of the signed angles between all pairs in the plane; None in other dimensions.

    Where one changes its sign, a vector passes another or its opposite, and the second derivative
    of the field jumps. On a line there is no passing, and in space they miss each other.

    Parameters
    ----------
    q : int
        Dimension of :func:`flow`.

    Returns
    -------
    callable or None
        Of the flat state; the teacher is the last vector. Zero for a pair with a vector at zero.
    """
    if q != 2:
        return None

    def sines(x: Vector) -> list[Number]:
        rows = [[mp.mpf(a) for a in x[k : k + 2]] for k in range(0, len(x), 2)]
        rows.append([mp.one, mp.zero])
        sizes = [mp.norm(row) or mp.inf for row in rows]
        return [
            (a[0] * b[1] - a[1] * b[0]) / (size * other)
            for (a, size), (b, other) in itertools.combinations(zip(rows, sizes, strict=True), 2)
        ]

    return sines
