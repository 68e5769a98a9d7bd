r"""Averages over a plane at exact states: known to all digits at one, and by changes around it.

.. math:: \nabla L(y) = \sum_j w_j\, \nabla F(v_j + d_j), \qquad v_j = v(y_0, x_j),
   \quad d_j = v(y, x_j) - v(y_0, x_j)

The sum over a fixed rule *is* the loss, an analytic function of the state. Near a minimum all that
is left of it is what cancels at each node, and sixteen digits of the terms are none of the sum.
So every number at each node is computed once at an exact state `y_0`, with as many digits as that
takes, and around it by its change, in which nothing cancels (:mod:`flows.expectations.changes`).
"""

from __future__ import annotations

import functools
import math
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from flint import arb, arb_mat, ctx

from flows.core.arrays import Array
from flows.core.balls import precision
from flows.core.limit import Balls
from flows.expectations.planes import PlaneNodes
from flows.systems.own.by_forms import Formed
from flows.systems.own.loss import Loss
from flows.systems.own.nodes import Nodes, rows_of
from flows.systems.own.numeric import numeric

__all__ = ["KNOWN", "averages"]

#: What changes tell of a sum, relative to it, if not much else cancels.
KNOWN = 1e-12
# Bits below which nothing but doubles is asked for.
FEW = 160
EPSILON = float(np.finfo(float).eps)
# They are doubled no further than these; how many nodes tell how many bits it takes.
MORE, MOST_BITS, SOME = 1.6, 4000, 16
# Rounding of a register in doubles, in last bits, beyond which it is asked for in balls.
CANCELS = 16.0
# Places with more bits are the same up to this many of their last bits.
LAST = 40
# Rounding of a sum over nodes, in last bits of its terms.
ADDED = 1.0
# Rounding of sums in doubles, relative to the sum of sizes.
ROUNDED = 1e-15
# Errors that were computed serve for changes that are no larger than these.
LARGER = 1.5


@dataclass
class _Anchor:
    """A state at which every register is known.

    Parameters
    ----------
    y, bits : list of arb, int
        The exact state, rounded to this many bits.
    rows : list of arb
        `A` and `b` there.
    known, doubt : list
        Registers, and their rounding.
    sharp : bool
        Whether more bits tell no more.
    checked : tuple
        Length of changes whose rounding is known, and it.
    """

    y: list[Any]
    bits: int
    rows: list[Any]
    known: list[Any]
    doubt: list[Any]
    sharp: bool = False
    checked: tuple[float, Any] = (-1.0, None)


class Averages:
    """Value and gradient of one integrand at exact states, by nodes in a plane.

    Parameters
    ----------
    formed : Formed
        The integrand.
    nodes : PlaneNodes
        The rule.
    """

    def __init__(self, formed: Formed, nodes: PlaneNodes) -> None:
        self._formed, self._nodes = formed, nodes
        assert formed.tape is not None
        self._tape = formed.tape
        self._many = len(self._formed.forms.symbols)
        ones = np.ones((len(nodes), 1))
        self._longer = np.concatenate([nodes.places, ones], axis=1)
        # The factors behind it are averaged with each of the first moments.
        self._weighted = self._longer * nodes.weights[:, None]
        self._anchor: _Anchor | None = None
        self._last: tuple[list[Any], int] = ([], 0)
        self._moves: Array | None = None

    def both(self, y: Sequence[Any]) -> tuple[Array, Array]:
        """Value and gradient with their rounding, shape (1 + N,).

        Asked for more bits at the same state, it is looked at anew.
        """
        place = [arb(x).mid() for x in y]
        anchor, again = self._anchor, ctx.prec > self._last[1] and _same(place, *self._last)
        here = anchor is not None and again and _same(place, anchor.y, anchor.bits)
        if anchor is None or (again and not (here and anchor.sharp)):
            every = here and anchor is not None and anchor.bits > FEW
            self._anchor = anchor = self._anchored(place, ctx.prec if again else FEW, every)
        self._last = place, ctx.prec
        return self._around(anchor, place)

    def _anchored(self, y: list[Any], bits: int, every: bool) -> _Anchor:
        """Registers at a state: of doubles with their rounding, or of as many bits as asked for."""
        rows = [arb(x) for x in rows_of(self._formed)(*y)]
        own = [float(y[k]) for k in self._formed.beside]
        off = [EPSILON * abs(x) for x in own]
        if bits > FEW:
            forms, doubt = _doubles(self._forms(y, slice(None)))
            given, rounded = [*forms.T, *own], [*doubt.T, *off]
            return _Anchor(y, bits, rows, *self._exactly(y, given, rounded, every))
        doubles = np.array([float(x) for x in rows]).reshape(self._many, -1)
        along = np.concatenate([doubles[:, :-1] @ self._nodes.axes, doubles[:, -1:]], axis=1)
        size = np.abs(along) @ np.abs(self._longer).T
        known = self._tape.values([*(along @ self._longer.T), *own])
        # Products with axes are rounded too.
        rounded = [*(2 * len(along[0]) * EPSILON * size), *off]
        off_by = self._tape.rounded(known, rounded)
        return _Anchor(y, bits, rows, *self._tape.kept(known, off_by))

    def _exactly(
        self, y: list[Any], given: list[Any], off: list[Any], every: bool
    ) -> tuple[list[Any], list[Any], bool]:
        """Registers at all nodes, with their rounding; whether they have all digits.

        Sums in which doubles cancel are those of balls, or all sums.
        """
        tape, sharp = self._tape, every
        better: dict[int, Array] = {}
        radii: dict[int, Array] = {}
        known = tape.values(given)
        doubt = tape.rounded(known, off)
        while asked := self._asked(known, doubt, better, every):
            found, wrong = self._in_balls(y, asked)
            sharp = sharp and bool((wrong <= 2.0 * EPSILON * np.abs(found)).all())
            better |= dict(zip(asked, found.T, strict=True))
            radii |= dict(zip(asked, wrong.T, strict=True))
            known = tape.values(given, better)
            doubt = tape.rounded(known, off, radii)
        return *tape.kept(known, doubt), sharp

    def _asked(
        self, known: list[Any], doubt: list[Any], better: Mapping[int, Any], every: bool
    ) -> tuple[int, ...]:
        """Sums that doubles do not know, by the nodes together; not those that others spoil."""
        tape, found, spoilt = self._tape, [], set[int]()
        for k, row in enumerate(tape.rows, tape.count):
            if k in better:
                continue
            if not every and not spoilt.isdisjoint(row.parts):
                spoilt.add(k)
            elif row.operation == "add" and (every or self._cancels(known[k], doubt[k])):
                found.append(k)
                spoilt.add(k)
        return tuple(found)

    def _cancels(self, known: Any, doubt: Any) -> bool:
        """Whether rounding is more than some last bits of a register, by the nodes together."""
        weights = np.abs(self._nodes.weights)
        size, off = (float(np.sum(weights * np.abs(part))) for part in (known, doubt))
        return not off <= CANCELS * EPSILON * size

    def _in_balls(self, y: list[Any], asked: tuple[int, ...]) -> tuple[Array, Array]:
        """Registers at all nodes with their rounding, with the bits that some nodes ask for."""
        exact, own = self._tape.exact(asked), [y[k] for k in self._formed.beside]

        def at(which: slice) -> tuple[Array, Array]:
            return _doubles(exact(*row, *own) for row in self._forms(y, which))

        some, bits = slice(None, None, math.ceil(len(self._nodes) / SOME)), ctx.prec
        while bits <= MOST_BITS:
            with precision(bits):
                found, wrong = at(some)
                if (wrong <= 2.0 * EPSILON * np.abs(found)).all():
                    return at(slice(None))
            bits = int(MORE * bits)
        return at(slice(None))  # one of them may be zero

    def _forms(self, y: list[Any], which: slice) -> list[list[Any]]:
        """Forms at nodes, in balls."""
        (d, k), m, places = self._nodes.axes.shape, self._many, self._longer[which]
        whole = arb_mat(m, d + 1, [arb(x) for x in rows_of(self._formed)(*y)])
        turn = np.zeros((d + 1, k + 1))
        turn[:d, :k], turn[d, k] = self._nodes.axes, 1.0
        along = whole * arb_mat(d + 1, k + 1, turn.ravel().tolist())
        nodes = arb_mat(len(places), k + 1, places.ravel().tolist())
        return list((nodes * along.transpose()).tolist())

    def _around(self, anchor: _Anchor, y: list[Any]) -> tuple[Array, Array]:
        """Sum with gradient at a state, and their rounding."""
        delta = np.array([float(a - b) for a, b in zip(y, anchor.y, strict=True)])
        along = self._along(y)
        tape, many = self._tape, self._many
        moves: list[Any] = [None] * tape.count
        length = float(np.abs(delta).max(initial=0.0))
        if length > 0:
            turned = self._turned(anchor, y, delta, along)
            for k in range(many):
                if turned[k].any():
                    moves[k] = self._longer @ turned[k]
            for k, entry in enumerate(self._formed.beside, many):
                moves[k] = delta[entry] if delta[entry] else None
        changes = tape.changes(anchor.known, moves)
        if not length <= LARGER * anchor.checked[0]:
            anchor.checked = length, tape.off(anchor.known, anchor.doubt, changes)
        values, sizes = np.empty((2, len(tape.results), len(self._nodes)))
        for row, k in enumerate(tape.results):
            known, change = anchor.known[k], changes[k]
            values[row] = known if change is None else known + change
            sizes[row] = anchor.checked[1][row]
        totals = values @ self._weighted
        rounded = (sizes + ADDED * EPSILON * np.abs(values)) @ np.abs(self._weighted)
        return self._gathered(totals, along), self._gathered(rounded, np.abs(along))

    def _along(self, y: list[Any]) -> Array:
        """Derivatives of forms along the axes by the entries, shape (N, m, k + 1)."""
        if self._moves is not None:
            return self._moves
        at = self._formed.forms.at(np.array([float(x) for x in y]))
        found = np.concatenate([at[1:, :, :-1] @ self._nodes.axes, at[1:, :, -1:]], axis=-1)
        if self._formed.forms.affine:  # the same everywhere
            self._moves = found
        return found

    def _turned(self, anchor: _Anchor, y: list[Any], delta: Array, along: Array) -> Array:
        """Changes of the rows of forms along the axes, and of their offsets."""
        if self._formed.forms.affine:
            return np.tensordot(delta, along, 1)
        rows = [a - b for a, b in zip(rows_of(self._formed)(*y), anchor.rows, strict=True)]
        moved = np.array([float(x) for x in rows]).reshape(self._many, -1)
        return np.concatenate([moved[:, :-1] @ self._nodes.axes, moved[:, -1:]], axis=1)

    def _gathered(self, sums: Array, moves: Array) -> Array:
        """Value and gradient of moments of `F` and its derivatives."""
        many = self._many
        found = np.append(sums[0, -1], np.tensordot(moves, sums[1 : 1 + many], 2))
        found[1 + np.array(self._formed.beside, dtype=int)] += sums[1 + many :, -1]
        return found


def _doubles(rows: Iterable[Sequence[Any]]) -> tuple[Array, Array]:
    """Balls as doubles, and their rounding; one row after the other, as there may be many."""
    both = np.array([[[float(x) for x in row], [float(x.rad()) for x in row]] for row in rows])
    return both[:, 0], EPSILON * np.abs(both[:, 0]) + both[:, 1]


def _same(one: list[Any], other: list[Any], bits: int) -> bool:
    """Whether two places are equal up to the rounding of the other to this many bits."""
    far = [abs(float(a - b)) for a, b in zip(one, other, strict=True)] if other else []
    return bool(far) and max(far) <= 2.0 ** (LAST - bits) * max(abs(float(a)) for a in one)


@functools.lru_cache(maxsize=4)  # of a chart and a finer one; each has arrays for all its nodes
def averages(loss: Loss, nodes: Nodes) -> Balls:
    """Loss as a function of exact numbers, known to about twelve digits."""
    plain = numeric(loss.form.plain, loss.y, (), "ball")
    average = _around_one(nodes) if nodes.alone else functools.partial(_of_doubles, nodes)
    curved: list[tuple[Array, Array]] = []

    def both(y: Sequence[Any]) -> list[Any]:
        found, error = (part.tolist() for part in average(y))
        outside = plain.both(*y)
        return [p + arb(v, e) for p, v, e in zip(outside, found, error, strict=True)]

    def rates(y: Sequence[Any], dy: Sequence[Any]) -> list[Any]:
        place = np.array([float(x) for x in y])
        if not curved or not np.array_equal(curved[0][0], place):
            slope = loss.summed(place, nodes)[0][1:]
            curved[:] = [(place, np.concatenate([slope[None], loss.hessian(place, nodes)]))]
        direction = np.array([float(x) for x in dy])
        return [arb(x) for x in (curved[0][1] @ direction).tolist()]

    return Balls(both, rates, None, KNOWN)


def _around_one(nodes: Nodes) -> Callable[[Sequence[Any]], tuple[Array, Array]]:
    return Averages(nodes.formed[0], nodes.parts[0]).both


def _of_doubles(nodes: Nodes, y: Sequence[Any]) -> tuple[Array, Array]:
    """Sums of several integrands, which do not cancel much, and their rounding."""
    place = np.array([float(x) for x in y])
    total, size = np.sum([one.summed(place, rule) for one, rule in nodes.rules(place)], axis=0)
    return total, ROUNDED * size
