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
standard normal `x` turns along, in the integrand.
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
from flows.systems.own.embedded import BITS
from flows.systems.own.exact import from_doubles, to_doubles, width
from flows.systems.own.loss import Loss
from flows.systems.own.numeric import numeric
from flows.systems.own.subspace import is_analytic
from symbolic.language.averages.expectation import Expectation
from symbolic.language.blocks import Block, shape
from symbolic.language.lower import NoBall

__all__ = ["Turned", "restricted_to", "turned_at"]

# A derivative is zero below this part of its terms; and a
# vector is in the span of others where this part of it is left.
EQUAL, FLAT = 1e-60, 2.0**-300
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
    vectors, spans = _vectors(loss, blocks, potentials), []
    for entries in vectors:
        spans.append(_span(start[entries]))
    if all(len(span) == entries.shape[1] for span, entries in zip(spans, vectors, strict=True)):
        return None
    return Turned(len(start), vectors, tuple(spans))


def restricted_to(
    inside: Turned, loss: Loss, potentials: tuple[tuple[str, Any], ...]
) -> tuple[list[sp.Symbol], Any, dict[str, Any]]:
    """Coordinates, loss and potentials in the span."""
    z = {k: sp.Symbol(f"kept{number}", real=True) for number, k in enumerate(inside.kept)}
    places = {y: z.get(k, sp.S.Zero) for k, y in enumerate(loss.y)}
    plain, integrand = (e.xreplace(places) for e in loss.form[:2])
    x = [each for each in loss.form.x if each in integrand.free_symbols]
    average = Expectation(integrand, sp.Tuple(*x)) if x else integrand
    known = {name: p.xreplace(places) for name, p in potentials}
    return list(z.values()), plain + average, known


def _span(vectors: Array) -> Array:
    """Orthonormal basis of the span of vectors, shape (m, n), as sums of doubles (r, n, K)."""
    rows: list[list[Any]] = []
    with precision(BITS):
        for vector in vectors.tolist():
            v = [arb(x) for x in vector]
            length = dot(v, v).sqrt().mid()
            for _ in range(2):  # a second time, so that they are orthogonal to all bits
                for row in rows:
                    part = dot(row, v).mid()
                    v = [(x - part * e).mid() for x, e in zip(v, row, strict=True)]
            rest = dot(v, v).sqrt().mid()
            if rest > FLAT * length:
                rows.append([(x / rest).mid() for x in v])
        parts = [to_doubles(row) for row in rows]
    return width(vectors.shape[1], parts)


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
    except NoBall:
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
    """Parts of vectors along coordinates that can be turned into each other."""
    length, draw = entries.shape[1], np.random.default_rng(0)
    alike = np.ones((length, length), dtype=bool)
    for _ in range(PLACES):
        place = [arb(int(k)) / 1024 for k in draw.integers(-1024, 1024, size + many)]
        for count, test in tests:
            turned = entries
            if count > size and many == length:  # the numbers that are averaged turn along
                turned = np.concatenate([entries, [size + np.arange(many)]])
            with precision(BITS):
                slopes = test.both(*place[:count])[1:]
                alike &= _same(
                    [[place[k] for k in row] for row in turned.tolist()],
                    [[slopes[k] for k in row] for row in turned.tolist()],
                )
    classes = {tuple(np.flatnonzero(row).tolist()) for row in alike}
    return tuple(entries[:, list(js)] for js in sorted(classes) if len(js) > 1)


def _same(vectors: list[list[Any]], slopes: list[list[Any]]) -> NDArray[np.bool_]:
    """Which coordinates can be turned into each other, by the vectors and the gradient by them."""
    length = len(vectors[0])
    found = np.eye(length, dtype=bool)
    for j, k in itertools.combinations(range(length), 2):
        terms = [
            part
            for v, g in zip(vectors, slopes, strict=True)
            for part in (v[j] * g[k], -v[k] * g[j])
        ]
        whole, largest = sum(terms, arb(0)), max(float(abs(t).upper()) for t in terms)
        found[j, k] = found[k, j] = float(abs(whole).upper()) <= EQUAL * largest
    return found
