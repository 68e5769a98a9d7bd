r"""Directions that a loss does not tell apart: the span of a start, in which its flow stays.

.. math:: L(\ldots, O v_1, \ldots, O v_m) = L(\ldots, v_1, \ldots, v_m), \qquad O^T O = I, \qquad
   v_b(t) = \sum_{i \le r} z_{bi}(t)\, q_i

for vectors `v_b` of entries along some coordinates, such as inputs of students that no teacher has.
The `q_i` are an orthonormal basis of the span of all `v_b(0)`. The gradient by a vector is a sum of
vectors, so the flow stays in the span, and the `z` obey the flow of the same loss with `r`
coordinates. So a run costs what its span costs, however many inputs there are.

Whether two coordinates can be turned into each other is seen by the derivative along the rotation,

.. math:: \sum_b \left(v_{bj} \frac{\partial}{\partial v_{bk}} -
   v_{bk} \frac{\partial}{\partial v_{bj}}\right) L = 0,

at random places: what is zero there to 60 digits is zero everywhere, for an analytic function. A
standard normal `x` turns along, in the integrand. A reflection has to leave the loss as it is, too:
a determinant is the same for turned vectors, and leads out of the span of parallel ones.
"""

from __future__ import annotations

import functools
import itertools
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import sympy as sp
from flint import arb
from numpy.typing import NDArray

from flows.core.arrays import Array
from flows.core.balls import dot, precision
from flows.systems.own.embedded import BITS, span_of
from flows.systems.own.exact import from_doubles
from flows.systems.own.loss import Loss
from flows.systems.own.numeric import numeric
from flows.systems.own.subspace import is_analytic
from symbolic.language.blocks import Block, shape
from symbolic.language.lower import NoBall, Undecided

__all__ = ["Turned", "turned_at"]

# What is this part of its terms at a random place is zero.
EQUAL = 1e-60
# Bits of a basis: a coordinate may be 1 but for 1e-300, and is read off entries again.
DIGITS = 1200
# Random places, and ways in which vectors may lie in square blocks.
PLACES, MOST_WAYS = 2, 8
# A state is in a subspace where this part of it is out of that.
ROUNDED = 1e-14

Entries = NDArray[np.int64]


@dataclass(frozen=True, eq=False)
class Turned:
    """The span of vectors, and entries beside them.

    Parameters
    ----------
    size : int
        Number of entries.
    vectors : tuple of ndarray of int, shape (m, n)
        Entries of vectors that turn together.
    spans : tuple of ndarray, shape (r, n, K)
        An orthonormal basis of each span, each entry a sum of doubles.
    """

    size: int
    vectors: tuple[Entries, ...]
    spans: tuple[Array, ...]

    @functools.cached_property
    def kept(self) -> tuple[int, ...]:
        """Entries that stand for the coordinates; those of vectors are the first ones of each."""
        gone = {
            int(k)
            for entries, span in zip(self.vectors, self.spans, strict=True)
            for k in entries[:, len(span) :].ravel()
        }
        return tuple(k for k in range(self.size) if k not in gone)

    @functools.cached_property
    def basis(self) -> Array:
        """Orthonormal columns, shape (N, K)."""
        found = np.eye(self.size)
        for entries, span in zip(self.vectors, self.spans, strict=True):
            for one in entries:
                found[np.ix_(one, one[: len(span)])] = span[..., 0].T
        return found[:, self.kept]

    @functools.cached_property
    def _exact(self) -> list[list[list[Any]]]:
        return [[from_doubles(row) for row in span] for span in self.spans]

    def lifted(self, known: Sequence[Any]) -> list[Any]:
        """Exact entries from exact coordinates."""
        found = dict(zip(self.kept, known, strict=True))
        for entries, span in zip(self.vectors, self._exact, strict=True):
            for one in entries.tolist():
                along = [found[k] for k in one[: len(span)]]
                for k, *parts in zip(one, *span, strict=True):
                    found[k] = dot(along, parts).mid() if parts else arb(0)
        return [found[k] for k in range(self.size)]

    def lowered(self, known: Sequence[Any]) -> list[Any]:
        """Exact coordinates from exact entries."""
        found = dict(enumerate(known))
        for entries, span in zip(self.vectors, self._exact, strict=True):
            for one in entries.tolist():
                vector = [known[k] for k in one]
                for k, row in zip(one, span, strict=False):
                    found[k] = dot(row, vector).mid()
        return [found[k] for k in self.kept]

    def products(self, losses: tuple[Loss, Loss], whole: Array, part: Array) -> Array:
        """Errors keep the order of axes in the span: what is seen of a state is seen there."""
        return np.eye(len(whole), len(part))

    def said(self, names: Sequence[str]) -> str:
        """The span."""
        return "entries in the span of its start"

    def written(self, known: Sequence[sp.Symbol]) -> list[sp.Expr]:
        """Vectors along the first axes, to which the span can be turned."""
        found = dict(zip(self.kept, known, strict=True))
        return [found.get(k, sp.S.Zero) for k in range(self.size)]

    def holds(self, x: Array) -> bool:
        """Whether states, shape (T, N), are in the span, as far as doubles tell."""
        out = x - x @ self.basis @ self.basis.T
        return bool(np.abs(out).max(initial=0.0) <= ROUNDED * np.abs(x).max(initial=0.0))


def turned_at(
    loss: Loss, blocks: tuple[Block, ...], potentials: tuple[Any, ...], start: Array
) -> Turned | None:
    """The span of a start; None where it is no smaller than the whole space.

    Parameters
    ----------
    loss : Loss
        An expectation.
    blocks : tuple of Symbol or MatrixSymbol
        What moves.
    potentials : tuple of Expr
        What is observed along the run, in the entries; it has to be the same for turned states.
    start : ndarray, shape (N,)
        Where the flow begins.
    """
    vectors = _vectors(loss, blocks, potentials)
    spans = tuple(span_of(start[entries], DIGITS) for entries in vectors)
    if all(len(span) == entries.shape[1] for span, entries in zip(spans, vectors, strict=True)):
        return None
    return Turned(len(start), vectors, spans)


@functools.lru_cache(maxsize=64)
def _vectors(
    loss: Loss, blocks: tuple[Block, ...], potentials: tuple[Any, ...]
) -> tuple[Entries, ...]:
    """Entries of vectors that turn together, of the way in which most of them do."""
    form = loss.form
    known = form.plain, form.integrand, *potentials
    smooth = loss.measured is None and form.density is None and all(map(is_analytic, known))
    if len(form.x) == 1 or not smooth:
        return ()
    try:
        tests = [(len(loss.y), numeric(e, loss.y, (), "ball")) for e in (form.plain, *potentials)]
        every = (*loss.y, *form.x)
        tests.append((len(every), numeric(form.integrand, every, (), "ball")))
        ways = (_turning(tests, way, len(loss.y), len(form.x)) for way in _ways(blocks))
        return max(ways, key=lambda found: sum(e.size for e in found), default=())
    except (NoBall, Undecided):
        return ()


def _ways(blocks: tuple[Block, ...]) -> Iterator[Entries]:
    """Entries of vectors of one length, shape (m, d), as they may lie in blocks."""
    first, found = 0, list[list[Entries]]()
    for block in blocks:
        sides = shape(block)
        many = int(np.prod(sides, dtype=int))
        entries = first + np.arange(many).reshape(sides)
        first += many
        found.append([entries.reshape(1, -1)] if len(sides) == 1 else [])
        if len(sides) == 2:
            found[-1] = [entries, entries.T]
    lengths = sorted({e.shape[1] for each in found for e in each if e.shape[1] > 1})
    for length in lengths:
        fitting = ([e for e in each if e.shape[1] == length] for each in found)
        choices = itertools.product(*(each for each in fitting if each))
        for parts in itertools.islice(choices, MOST_WAYS):
            yield np.concatenate(parts)


def _turning(
    tests: Sequence[tuple[int, Any]], entries: Entries, size: int, many: int
) -> tuple[Entries, ...]:
    """Parts of vectors along coordinates that can be turned into each other, and reflected."""
    length, draw = entries.shape[1], np.random.default_rng(0)
    seen: list[_Seen] = []
    for _ in range(PLACES):
        place = [arb(int(k)) / 1024 for k in draw.integers(-1024, 1024, size + many)]
        for count, test in tests:
            turned = entries
            if count > size and many == length:  # the numbers that are averaged turn along
                turned = np.concatenate([entries, [size + np.arange(many)]])
            seen.append(_Seen(test.both, place[:count], turned.tolist()))
    classes: list[list[int]] = []
    for k in range(length):
        found = next((c for c in classes if all(one.turns(c[0], k) for one in seen)), None)
        if found is None:
            classes.append([k])
        else:
            found.append(k)
    return tuple(
        entries[:, c] for c in classes if len(c) > 1 and all(one.reflects(c[0]) for one in seen)
    )


class _Seen:
    """A function of vectors at a place.

    Parameters
    ----------
    both : callable
        Value and gradient in balls.
    place : list of arb
        The place.
    vectors : list of lists of int
        Which numbers are entries of vectors.
    """

    def __init__(self, both: Any, place: list[Any], vectors: list[list[int]]) -> None:
        self._both, self._place, self._vectors = both, place, vectors
        with precision(BITS):
            self._value, *self._slopes = both(*place)

    def turns(self, j: int, k: int) -> bool:
        """Whether the derivative along the rotation of two coordinates is zero."""
        y, g = self._place, self._slopes
        with precision(BITS):
            terms = [t for v in self._vectors for t in (y[v[j]] * g[v[k]], -y[v[k]] * g[v[j]])]
            return _zero(sum(terms, arb(0)), terms)

    def reflects(self, j: int) -> bool:
        """Whether the value is the same where a coordinate has the other sign."""
        place = list(self._place)
        with precision(BITS):
            for v in self._vectors:
                place[v[j]] = -place[v[j]]
            value = self._both(*place)[0]
            return _zero(value - self._value, [value, self._value])


def _zero(whole: Any, terms: Sequence[Any]) -> bool:
    """Whether a sum is zero to as many digits as these terms tell."""
    return float(abs(whole).upper()) <= EQUAL * max(float(abs(t).upper()) for t in terms)
