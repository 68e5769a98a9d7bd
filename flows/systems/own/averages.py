r"""Averages over a plane at exact states: in two doubles, or by changes around a known state.

.. math:: \nabla L(y) = \sum_j w_j\, \nabla F(v_j + d_j), \qquad v_j = v(y_0, x_j),
   \quad d_j = v(y, x_j) - v(y_0, x_j)

The sum over a fixed rule *is* the loss, an analytic function of the state. Near a minimum all that
is left of it is what cancels at each node, and sixteen digits of the terms are none of the sum. Two
doubles at each node know it for long (:mod:`flows.systems.own.in_pairs`). From there on every
number at each node is computed once at an exact state `y_0`, with as many digits as that takes, and
around it by its change, in which nothing cancels (:mod:`flows.expectations.changes`).
"""

from __future__ import annotations

import functools
import math
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from flint import arb, arb_mat, ctx

from flows.core.arrays import Array
from flows.core.balls import precision
from flows.core.limit import Balls
from flows.expectations.planes import PlaneNodes
from flows.expectations.product import Paired
from flows.systems.own.by_forms import Formed
from flows.systems.own.in_pairs import InPairs, along, enclosed_code, longer, rows_of
from flows.systems.own.loss import Loss
from flows.systems.own.nodes import Nodes
from flows.systems.own.numeric import numeric

__all__ = ["KNOWN", "averages"]

#: What changes tell of a sum, relative to it, if not much else cancels.
KNOWN = 1e-12
# All digits are known of what is known to this part.
SHARP = 1e-14
EPSILON = float(np.finfo(float).eps)
# Bits grow by this factor, up to so many; so many nodes tell how many it takes.
MORE, MOST_BITS, SOME = 1.6, 4000, 16
# Places with more bits are the same up to this many of their last bits.
LAST = 8
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
        self._pairs: InPairs | None = None
        if enclosed_code(formed) is not None:
            exact = Paired(np.zeros((*nodes.places.shape, 3)), np.zeros((len(nodes), 3)))
            for all_digits, known in zip(exact, (nodes.places, nodes.weights), strict=True):
                all_digits[..., 0] = known
            self._pairs = InPairs(formed, exact, nodes.axes)
        rows = enumerate(self._tape.rows, self._tape.count)
        self._sums = tuple(k for k, row in rows if row.operation == "add")

    def both(self, y: Sequence[Any]) -> list[Any]:
        """Value and gradient, in balls.

        Asked for more bits at the same state, it is looked at anew.
        """
        place = [arb(x).mid() for x in y]
        anchor, again = self._anchor, ctx.prec > self._last[1] and _same(place, *self._last)
        self._last = place, ctx.prec
        if anchor is None and self._pairs is not None:
            found = self._pairs.both(place)
            if found is not None and (not again or _is_sharp(found)):
                return found
        here = anchor is not None and again and _same(place, anchor.y, anchor.bits)
        if anchor is None or (again and not (here and anchor.sharp)):
            self._anchor = anchor = self._anchored(place, ctx.prec)
        return _balls(*self._around(anchor, place))

    def _anchored(self, y: list[Any], bits: int) -> _Anchor:
        """Registers at a state, with as many bits as it takes to know all sums."""
        own, tape = [float(y[k]) for k in self._formed.beside], self._tape
        forms, doubt = _doubles(self._forms(y, slice(None)))
        given, off = [*forms.T, *own], [*doubt.T, *(EPSILON * abs(x) for x in own)]
        found, wrong = self._in_balls(y, self._sums)
        better, radii = (dict(zip(self._sums, x.T, strict=True)) for x in (found, wrong))
        known = tape.values(given, better)
        rounded = tape.rounded(known, off, radii)
        sharp = bool((wrong <= 2.0 * EPSILON * np.abs(found)).all())
        rows = [arb(x) for x in rows_of(self._formed)(*y)]
        return _Anchor(y, bits, rows, *tape.kept(known, rounded), sharp)

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
        places = self._longer[which]
        nodes = arb_mat(len(places), places.shape[1], places.ravel().tolist())
        rows = along(self._formed, longer(self._nodes.axes), y)
        return list((nodes * rows.transpose()).tolist())

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


def _balls(found: Array, error: Array) -> list[Any]:
    return [arb(v, e) for v, e in zip(found.tolist(), error.tolist(), strict=True)]


def _doubles(rows: Iterable[Sequence[Any]]) -> tuple[Array, Array]:
    """Balls as doubles, and their rounding; one row after the other, as there may be many."""
    both = np.array([[[float(x) for x in row], [float(x.rad()) for x in row]] for row in rows])
    return both[:, 0], EPSILON * np.abs(both[:, 0]) + both[:, 1]


def _is_sharp(balls: Sequence[Any]) -> bool:
    """Whether a value and the length of its gradient have all digits."""
    sizes = [[abs(float(part(x))) for x in balls] for part in (arb.mid, arb.rad)]
    value, error = sizes
    return error[0] <= SHARP * value[0] and max(error[1:]) <= SHARP * max(value[1:])


def _same(one: list[Any], other: list[Any], bits: int) -> bool:
    """Whether two places are equal up to the rounding of the other to this many bits."""
    bits = max([bits, *(x.bits() for x in other)])  # a state that is given may have more
    far = [abs(float(a - b)) for a, b in zip(one, other, strict=True)] if other else []
    return bool(far) and max(far) <= 2.0 ** (LAST - bits) * max(abs(float(a)) for a in one)


@functools.lru_cache(maxsize=4)  # of a chart and a finer one; each has arrays for all its nodes
def averages(loss: Loss, nodes: Nodes) -> Balls:
    """Loss as a function of exact numbers, known to about twelve digits."""
    plain = numeric(loss.form.plain, loss.y, (), "ball")
    average = _of_one(nodes) if nodes.alone else _of_several(nodes)
    curved: list[tuple[Array, Array]] = []

    def both(y: Sequence[Any]) -> list[Any]:
        return [p + x for p, x in zip(plain.both(*y), average(y), strict=True)]

    def rates(y: Sequence[Any], dy: Sequence[Any]) -> list[Any]:
        place = np.array([float(x) for x in y])
        if not curved or not np.array_equal(curved[0][0], place):
            slope = loss.summed(place, nodes)[0][1:]
            curved[:] = [(place, np.concatenate([slope[None], loss.hessian(place, nodes)]))]
        direction = np.array([float(x) for x in dy])
        return [arb(x) for x in (curved[0][1] @ direction).tolist()]

    return Balls(both, rates, None, KNOWN)


def _of_one(nodes: Nodes) -> Callable[[Sequence[Any]], list[Any]]:
    return Averages(nodes.formed[0], nodes.parts[0]).both


def _of_several(nodes: Nodes) -> Callable[[Sequence[Any]], list[Any]]:
    """Sum of several integrands, in two doubles where these compute them all."""
    known: list[InPairs] = []
    if nodes.enclosed:
        pairs = zip(nodes.formed, nodes.parts, strict=True)
        known = [InPairs(one, part.paired) for one, part in pairs]

    def both(y: Sequence[Any]) -> list[Any]:
        place = np.array([float(x) for x in y])
        parts = nodes.at(place)
        near = (part.axes @ part.turn for part in parts)
        found = [one.both(y, axes) for one, axes in zip(known, near, strict=False)]
        if known and all(found):
            return [sum(each, arb(0)) for each in zip(*found, strict=True)]
        rules = zip(nodes.formed, (part.rule for part in parts), strict=True)
        total, size = np.sum([one.summed(place, rule) for one, rule in rules], axis=0)
        return _balls(total, ROUNDED * size)

    return both
