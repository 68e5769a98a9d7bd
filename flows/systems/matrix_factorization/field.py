r"""The gradient flow of deep linear chains, once, for numbers of every kind.

Near the optimum the residual `E = Sigma - W` and the defects `Delta_j` are small differences of
layers of order one, so they are variables of their own, each as a magnitude and a direction,

.. math:: E = e^{-g} F, \qquad \Delta_j = e^{-q} D_j,

and keep all their digits while they decay to the end of the range of doubles. Their laws are linear
in them (:mod:`symbolic.systems.matrix_factorization.calculus`; `L_reg` leaves `W` in place):

.. math:: \dot E = -\sum_j P_j P_j^H E Q_j^H Q_j, \qquad
          \dot W_j = P_j^H E Q_j^H - a X_j, \qquad X_j = \Delta_j W_j - W_j \Delta_{j-1},

.. math:: \dot\Delta_j = -a \left(X_j W_j^H + W_j X_j^H
          - X_{j+1}^H W_{j+1} - W_{j+1}^H X_{j+1}\right)

with `P_j = W_N ... W_{j+1}`, `Q_j = W_{j-1} ... W_1`; `g` and `q` take the Rayleigh quotients, so
that `F` and `D` keep their norms. The stiff part of a large `a` acts on the defects alone.

No product of matrices is taken twice. Descents come back through the chain, and what they move its
product by goes forward:

.. math:: A_N = F, \quad A_j = W_{j+1}^H A_{j+1}, \qquad V_j = A_j Q_j^H, \qquad
          M_1 = V_1, \quad M_j = W_j M_{j-1} + V_j Q_j

A state is `F`, `N - 1` directions `D_j`, `N` layers, `g` and `q`: where residual and defects are
eliminated first, what is left of a step's matrix is as good as definite, as what the layers change
in them is in it. That of :func:`define_layers` is the layers alone. ``shape`` is depth, size of a
matrix, and 1 for complex matrices or 0; ``weights`` begin with the strength `a`, which the entries
of the target follow for :func:`define_layers`.
"""

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import Any

from flows.arithmetic.fields import alone, side_by_side, workspace
from flows.arithmetic.matrices import Part
from flows.arithmetic.numbers import Arithmetic
from flows.core.chart import Lanes


def sizes(shape: Any) -> tuple[int, int, int]:
    """Unknowns, slopes, numbers to work in, of the sound coordinates."""
    chain = shape[0] * shape[1] * shape[1] * (1 + shape[2])
    return 2 * chain + 2, 2 * chain + 2, 6 * chain + 2


def layer_sizes(shape: Any) -> tuple[int, int, int]:
    """Unknowns, slopes, numbers to work in, of the layers alone."""
    chain = shape[0] * shape[1] * shape[1] * (1 + shape[2])
    return chain, chain, 8 * chain


def point_sizes(shape: Any) -> tuple[int, int, int]:
    """Numbers of the layers, of the point that they are, and to work in."""
    chain = shape[0] * shape[1] * shape[1] * (1 + shape[2])
    return 2 * chain, 2 * chain, chain


def _parts(m: Arithmetic) -> Any:
    """Copies, Hermitian parts, products `Q_j`, and what drives the layers of a point."""
    get, put, product = m.get, m.put, m.product

    @m.each
    def copy(i, x, first, out, place):  # type: ignore[no-untyped-def]
        put(out, place + i, get(x, first + i))

    @m.each
    def hermitian(i, sign, x, first, out, place, size):  # type: ignore[no-untyped-def]
        """``sign`` times the sum of a matrix and its adjoint, entry `i`."""
        d, c = size
        here, there = first + c * i, first + c * (i % d * d + i // d)
        put(out, place + c * i, sign * (get(x, here) + get(x, there)))
        if c == 2:
            put(out, place + c * i + 1, sign * (get(x, here + 1) - get(x, there + 1)))

    @m.function
    def insides(x, work, place, depth, size):  # type: ignore[no-untyped-def]
        """`Q_2, ..., Q_N` behind the room of `Q_1`, which is one."""
        one = size[0] * size[0] * size[1]
        first = depth * one
        copy(one, x, first, work, place + one)
        for j in range(1, depth - 1):
            left, right = Part(x, first + j * one, False), Part(work, place + j * one, False)
            product(1.0, left, right, 0, Part(work, place + (j + 1) * one, False), size)

    @m.function
    def driven(x, work, place, depth, size):  # type: ignore[no-untyped-def]
        """Blocks of the workspace: `Q_j`, `A_j`, `V_j`, `X_j`, Hermitian defects."""
        one = size[0] * size[0] * size[1]
        chain = depth * one
        back, descent, ascent = place + chain, place + 2 * chain, place + 3 * chain
        sound = place + 4 * chain
        insides(x, work, place, depth, size)
        copy(one, x, 0, work, back + chain - one)
        for j in range(depth - 2, -1, -1):
            left = Part(x, chain + (j + 1) * one, True)
            right = Part(work, back + (j + 1) * one, False)
            product(1.0, left, right, 0, Part(work, back + j * one, False), size)
        copy(one, work, back, work, descent)
        for j in range(1, depth):
            left, right = Part(work, back + j * one, False), Part(work, place + j * one, True)
            product(1.0, left, right, 0, Part(work, descent + j * one, False), size)
        for j in range(depth - 1):
            # Without the Hermitian part rounding in the other one would grow as defects decay.
            first, to = (j + 1) * one, sound + j * one
            hermitian(size[0] * size[0], 0.5, x, first, work, to, size)
        for j in range(depth):
            layer, out = Part(x, chain + j * one, False), Part(work, ascent + j * one, False)
            if j < depth - 1:
                left = Part(work, sound + j * one, False)
                product(1.0, left, layer, 0, out, size)
            if j > 0:
                right = Part(work, sound + (j - 1) * one, False)
                product(-1.0, layer, right, 1 if j < depth - 1 else 0, out, size)

    return copy, hermitian, insides, driven


def define(m: Arithmetic) -> Callable[..., None]:
    """Field of the sound coordinates, ``field(x, weights, shape, out, work)``."""
    get, put, take, const, zero, pick = m.get, m.put, m.take, m.const, m.zero, m.pick
    exp, product = m.exp, m.product
    copy, hermitian, _, driven = _parts(m)

    @m.each
    def squared(i, x, first, out, place):  # type: ignore[no-untyped-def]
        number = get(x, first + i)
        take(out, place + 0 * i, -number * number)

    @m.function
    def quotient(above, below, work, place):  # type: ignore[no-untyped-def]
        """Quotient of two sums of squares; zero where there is nothing to decay."""
        put(work, place, zero())
        put(work, place + 1, zero())
        squared(above[2], above[0], above[1], work, place)
        squared(below[2], below[0], below[1], work, place + 1)
        square = get(work, place + 1)
        return get(work, place) / pick(zero(), square, square, zero() + 1.0)

    @m.each
    def pulled(i, up, down, work, place, chain, out):  # type: ignore[no-untyped-def]
        put(out, chain + i, up * get(work, place + i) - down * get(work, place + chain + i))

    @m.each
    def kept(i, fall, x, first, strength, out, place):  # type: ignore[no-untyped-def]
        put(out, place + i, fall * get(x, first + i) - strength * get(out, place + i))

    @m.function
    def moved(x, work, place, depth, size, out):  # type: ignore[no-untyped-def]
        """What the descents move the product by."""
        one = size[0] * size[0] * size[1]
        chain = depth * one
        back, descent = place + chain, place + 2 * chain
        for j in range(1, depth):
            # In turns at the places of A_1 and A_2; the last one is where it belongs.
            before = Part(work, back + (j - 1) % 2 * one, False)
            after = Part(work, back + j % 2 * one, False)
            product(1.0, Part(x, chain + j * one, False), before, 0, after, size)
            left, right = Part(work, descent + j * one, False), Part(work, place + j * one, False)
            product(1.0, left, right, 1, after, size)
        copy(one, work, back + (depth - 1) % 2 * one, out, 0)

    @m.function
    def field(x, weights, shape, out, work):  # type: ignore[no-untyped-def]
        depth, size = shape[0], (shape[1], 1 + shape[2])
        one = size[0] * size[0] * size[1]
        chain, strength = depth * one, const(weights, 0)
        descent, ascent, sound, spare = 2 * chain, 3 * chain, 4 * chain, 5 * chain
        driven(x, work, 0, depth, size)
        fall_e = quotient((work, descent, chain), (x, 0, one), work, spare + one)
        above, below = (work, ascent, chain), (work, sound, chain - one)
        fall_d = 2.0 * strength * quotient(above, below, work, spare + one)
        size_e, size_d = exp(-get(x, 2 * chain)), exp(-get(x, 2 * chain + 1))
        pulled(chain, size_e, strength * size_d, work, descent, chain, out)
        moved(x, work, 0, depth, size, out)
        kept(one, fall_e, x, 0, 1.0, out, 0)
        for j in range(depth - 1):
            half, place = Part(work, spare, False), (j + 1) * one
            left, right = Part(work, ascent + j * one, False), Part(x, chain + j * one, True)
            product(1.0, left, right, 0, half, size)
            left = Part(x, chain + place, True)
            right = Part(work, ascent + place, False)
            product(-1.0, left, right, 1, half, size)
            hermitian(size[0] * size[0], 1.0, work, spare, out, place, size)
            kept(one, fall_d, work, sound + j * one, strength, out, place)
        put(out, 2 * chain, fall_e)
        put(out, 2 * chain + 1, fall_d)

    return field


def define_point(m: Arithmetic) -> Callable[..., None]:
    """Layers with residual and defects as they are: ``field(x, weights, shape, out, work)``."""
    point = _point(m)

    @m.function
    def field(x, weights, shape, out, work):  # type: ignore[no-untyped-def]
        point(x, weights, shape, out, work, 0)

    return field


def define_layers(m: Arithmetic) -> Callable[..., None]:
    """Field of the layers alone: minus the gradient of the loss."""
    get, put, const, point, driven = m.get, m.put, m.const, _point(m), _parts(m)[-1]

    @m.each
    def pulled(i, strength, work, place, chain, out):  # type: ignore[no-untyped-def]
        put(out, i, get(work, place + i) - strength * get(work, place + chain + i))

    @m.function
    def field(x, weights, shape, out, work):  # type: ignore[no-untyped-def]
        depth, size = shape[0], (shape[1], 1 + shape[2])
        chain = depth * size[0] * size[0] * size[1]
        point(x, weights, shape, work, work, 2 * chain)
        driven(work, work, 2 * chain, depth, size)
        pulled(chain, const(weights, 0), work, 4 * chain, chain, out)

    return field


def _point(m: Arithmetic) -> Any:
    """Layers with residual and defects as they are, by products at a place of the workspace."""
    put, const, zero, product = m.put, m.const, m.zero, m.product
    copy, _, insides, _ = _parts(m)

    @m.each
    def given(i, weights, out, place):  # type: ignore[no-untyped-def]
        put(out, place + i, zero() + const(weights, 1 + i))

    @m.function
    def point(x, weights, shape, out, work, place):  # type: ignore[no-untyped-def]
        depth, size = shape[0], (shape[1], 1 + shape[2])
        one = size[0] * size[0] * size[1]
        chain = depth * one
        copy(chain, x, 0, out, chain)
        insides(out, work, place, depth, size)
        given(one, weights, out, 0)
        left, right = Part(x, chain - one, False), Part(work, place + chain - one, False)
        product(-1.0, left, right, 1, Part(out, 0, False), size)
        for j in range(depth - 1):
            before, after = j * one, (j + 1) * one
            defect = Part(out, after, False)
            product(1.0, Part(x, before, False), Part(x, before, True), 0, defect, size)
            product(-1.0, Part(x, after, True), Part(x, after, False), 1, defect, size)

    return point


def make_raw() -> Callable[..., None]:
    """Make the raw field of the sound coordinates for :func:`flows.core.chart.wrap`."""
    return alone(define, sizes)


def make_layers() -> Callable[..., None]:
    """Make that of the layers alone."""
    return alone(define_layers, layer_sizes)


def make_field(width: int) -> Callable[..., None]:
    """Make the field of several states, see :class:`flows.core.chart.Lanes`."""
    return side_by_side(define, sizes, width)


#: The field of several states, as charts hold it.
LANES = Lanes(make_field, functools.partial(workspace, sizes))
