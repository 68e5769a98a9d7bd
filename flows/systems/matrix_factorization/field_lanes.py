r"""Chains side by side: the raw field of :mod:`flows.systems.matrix_factorization.field`.

Every number is a vector over members (:mod:`flows.arithmetic.vectors`). A matrix is `d^2` rows of
them, of complex numbers twice as many: real and imaginary part of an entry follow each other.

No product of matrices is taken twice. With `Q_j = W_{j-1} ... W_1` descents come back through the
chain, and what they move its product by goes forward:

.. math:: A_N = F, \quad A_j = W_{j+1}^H A_{j+1}, \qquad V_j = A_j Q_j^H, \qquad
          M_1 = V_1, \quad M_j = W_j M_{j-1} + V_j Q_j
"""

from __future__ import annotations

import functools
import math
from collections.abc import Callable
from typing import Any

import numpy as np
from numpy.typing import NDArray

from flows.core.chart import Lanes


def workspace(shape: NDArray[np.int64]) -> int:
    """Rows that the field needs to work in."""
    depth, d, is_complex = (int(k) for k in shape)
    return (5 * depth + 1) * d * d * (1 + is_complex)


def make_field(width: int) -> Callable[..., None]:
    """Compile the field.

    Parameters
    ----------
    width : int
        Number of members side by side, which is that of a vector.

    Returns
    -------
    Numba function
        ``field(x, weights, shape, out, work)``: all arrays of shape (rows, lanes) but ``shape``,
        which is as for :func:`flows.systems.matrix_factorization.field.raw`; ``work`` has
        :func:`workspace` rows.
    """
    import numba

    from flows.arithmetic.vectors import WIDTH, load, spread, store, where_less

    assert width == WIDTH, f"a vector has {WIDTH} members, not {width}"
    # Called by compiled code only, and they make no array: no wrappers, nothing to be counted.
    inner: Any = functools.partial(
        numba.njit,
        error_model="numpy",
        no_rewrites=True,
        _nrt=False,
        no_cpython_wrapper=True,
        no_cfunc_wrapper=True,
    )
    inlined: Any = functools.partial(inner, forceinline=True)

    @inlined
    def put(a, at, keep, sign, new):  # type: ignore[no-untyped-def]
        store(a, at, sign * new + load(a, at) if keep else sign * new)

    @inlined
    def steps(is_turned, d, c):  # type: ignore[no-untyped-def]
        """Rows from one row of a matrix to the next, from a column to the next; a sign."""
        return (c, c * d, -1.0) if is_turned else (c * d, c, 1.0)

    @inner
    def real_product(sign, a, a0, a_turned, b, b0, b_turned, keep, out, first, d):  # type: ignore[no-untyped-def]
        """Two rows and two columns at a time, whose sums stay in registers."""
        a_down, a_right, _ = steps(a_turned, d, 1)
        b_down, b_right, _ = steps(b_turned, d, 1)
        for i in range(0, d, 2):
            for j in range(0, d, 2):
                # The last row or column takes the place of one that is not there.
                under, beside = i + 1 < d, j + 1 < d
                p, q, o = a0 + i * a_down, b0 + j * b_right, first + i * d + j
                p1, q1 = p + a_down if under else p, q + b_right if beside else q
                s, t, u, v = spread(0.0), spread(0.0), spread(0.0), spread(0.0)
                for k in range(d):
                    x, x1 = load(a, p + k * a_right), load(a, p1 + k * a_right)
                    y, y1 = load(b, q + k * b_down), load(b, q1 + k * b_down)
                    s, t, u, v = s + x * y, t + x * y1, u + x1 * y, v + x1 * y1
                put(out, o, keep, sign, s)
                if beside:
                    put(out, o + 1, keep, sign, t)
                if under:
                    put(out, o + d, keep, sign, u)
                if under and beside:
                    put(out, o + d + 1, keep, sign, v)

    @inner
    def complex_product(sign, a, a0, a_turned, b, b0, b_turned, keep, out, first, d):  # type: ignore[no-untyped-def]
        a_down, a_right, a_sign = steps(a_turned, d, 2)
        b_down, b_right, b_sign = steps(b_turned, d, 2)
        for i in range(d):
            for j in range(d):
                p, q, o = a0 + i * a_down, b0 + j * b_right, first + 2 * (i * d + j)
                s, t = spread(0.0), spread(0.0)
                for k in range(d):
                    x, x1 = load(a, p + k * a_right), a_sign * load(a, p + k * a_right + 1)
                    y, y1 = load(b, q + k * b_down), b_sign * load(b, q + k * b_down + 1)
                    s, t = s + x * y - x1 * y1, t + x * y1 + x1 * y
                put(out, o, keep, sign, s)
                put(out, o + 1, keep, sign, t)

    @inner
    def product(sign, a, a0, a_turned, b, b0, b_turned, keep, out, first, d, c):  # type: ignore[no-untyped-def]
        """Set a matrix to ``sign A B``, added to what it was if that is kept.

        A turned factor is its adjoint.
        """
        if c == 1:
            real_product(sign, a, a0, a_turned, b, b0, b_turned, keep, out, first, d)
        else:
            complex_product(sign, a, a0, a_turned, b, b0, b_turned, keep, out, first, d)

    @inner
    def hermitian(sign, a, first, out, o0, d, c):  # type: ignore[no-untyped-def]
        """Set a matrix to ``sign`` times the sum of another and its adjoint."""
        for i in range(d):
            for j in range(d):
                p, q, o = first + c * (i * d + j), first + c * (j * d + i), o0 + c * (i * d + j)
                store(out, o, sign * (load(a, p) + load(a, q)))
                if c == 2:
                    store(out, o + 1, sign * (load(a, p + 1) - load(a, q + 1)))

    @inner
    def square(a, first, count):  # type: ignore[no-untyped-def]
        total = spread(0.0)
        for i in range(first, first + count):
            one = load(a, i)
            total += one * one
        return total

    @inner
    def quotient(above, below):  # type: ignore[no-untyped-def]
        """Quotient of squares; zero where there is nothing to decay."""
        return above / where_less(0.0, below, below, 1.0)

    def field(x, weights, shape, out, work):  # type: ignore[no-untyped-def]
        depth, d, c = shape[0], shape[1], 1 + shape[2]
        size = c * d * d
        residual, defects, decay = depth * size, (depth + 1) * size, 2 * depth * size
        # Where matrices of the workspace begin.
        inside, back, descent = 0, depth * size, 2 * depth * size
        ascent, sound, one = 3 * depth * size, 4 * depth * size, 5 * depth * size
        for e in range(width):
            for k in range(2):
                work[k, e] = math.exp(-x[decay + k, e])
        size_e, size_d, strength = load(work, 0), load(work, 1), load(weights, 0)
        for i in range(size):
            store(work, inside + size + i, load(x, i))
            store(work, back + (depth - 1) * size + i, load(x, residual + i))
        for j in range(2, depth):
            product(
                1.0, x, (j - 1) * size, False, work, inside + (j - 1) * size, False,
                False, work, inside + j * size, d, c,
            )  # fmt: skip
        for j in range(depth - 2, -1, -1):
            product(
                1.0, x, (j + 1) * size, True, work, back + (j + 1) * size, False,
                False, work, back + j * size, d, c,
            )  # fmt: skip
        for i in range(size):
            store(work, descent + i, load(work, back + i))
        for j in range(1, depth):
            product(
                1.0, work, back + j * size, False, work, inside + j * size, True,
                False, work, descent + j * size, d, c,
            )  # fmt: skip
        for j in range(depth - 1):
            # Without the Hermitian part rounding in the other one would grow as defects decay.
            hermitian(0.5, x, defects + j * size, work, sound + j * size, d, c)
        for j in range(depth):
            if j < depth - 1:
                product(
                    1.0, work, sound + j * size, False, x, j * size, False,
                    False, work, ascent + j * size, d, c,
                )  # fmt: skip
            if j > 0:
                product(
                    -1.0, x, j * size, False, work, sound + (j - 1) * size, False,
                    j < depth - 1, work, ascent + j * size, d, c,
                )  # fmt: skip
        fall_e = quotient(square(work, descent, depth * size), square(x, residual, size))
        fall_d = quotient(
            square(work, ascent, depth * size), square(work, sound, (depth - 1) * size)
        ) * (2.0 * strength)
        for i in range(depth * size):
            pulled = size_e * load(work, descent + i)
            store(out, i, pulled - strength * size_d * load(work, ascent + i))
        # What the descents move the product by, in turns at the places of A_1 and A_2.
        for j in range(1, depth):
            before, after = back + (j - 1) % 2 * size, back + j % 2 * size
            product(
                1.0, x, j * size, False, work, before, False,
                False, work, after, d, c,
            )  # fmt: skip
            product(
                1.0, work, descent + j * size, False, work, inside + j * size, False,
                True, work, after, d, c,
            )  # fmt: skip
        moved = back + (depth - 1) % 2 * size
        for i in range(size):
            kept = fall_e * load(x, residual + i)
            store(out, residual + i, kept - load(work, moved + i))
        for j in range(depth - 1):
            product(
                1.0, work, ascent + j * size, False, x, j * size, True,
                False, work, one, d, c,
            )  # fmt: skip
            product(
                -1.0, x, (j + 1) * size, True,
                work, ascent + (j + 1) * size, False,
                True, work, one, d, c,
            )  # fmt: skip
            hermitian(1.0, work, one, out, defects + j * size, d, c)
            for i in range(size):
                kept = fall_d * load(work, sound + j * size + i)
                at = defects + j * size + i
                store(out, at, kept - strength * load(out, at))
        store(out, decay, fall_e)
        store(out, decay + 1, fall_d)

    return numba.njit(error_model="numpy")(field)


#: The field as a chart holds it.
LANES = Lanes(make_field, workspace)
