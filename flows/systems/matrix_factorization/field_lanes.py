"""Chains side by side: the raw field of :mod:`flows.systems.matrix_factorization.field`.

The innermost loop of everything runs over members, so that the processor works on several at a
time. A matrix is `d^2` rows, of complex numbers twice as many: real and imaginary part of an entry
follow each other.
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
    return (5 * depth + 2) * d * d * (1 + is_complex) + 6


def make_field(width: int) -> Callable[..., None]:
    """Compile the field.

    Parameters
    ----------
    width : int
        Number of members side by side. The compiler does not know it: it would write short loops
        out before it looks whether the processor can take several of their steps at once.

    Returns
    -------
    Numba function
        ``field(x, weights, shape, out, work)``: all arrays of shape (rows, lanes) but ``shape``,
        which is as for :func:`flows.systems.matrix_factorization.field.raw`; ``work`` has
        :func:`workspace` rows.
    """
    import numba

    # No fused multiply-add: the compiler might fuse in one lane and not in another.
    # Called by compiled code only, and they make no array: no wrappers, nothing to be counted.
    inner: Any = functools.partial(
        numba.njit,
        error_model="numpy",
        no_rewrites=True,
        _nrt=False,
        no_cpython_wrapper=True,
        no_cfunc_wrapper=True,
    )

    @inner
    def clear(a, first, count):  # type: ignore[no-untyped-def]
        lanes = a.shape[1]
        for i in range(first, first + count):
            for e in range(lanes):
                a[i, e] = 0.0

    @inner
    def product(sign, a, i0, a_turned, b, j0, b_turned, out, o0, d, c):  # type: ignore[no-untyped-def]
        """Add ``sign A B`` to ``out``; a turned factor is its adjoint."""
        lanes = out.shape[1]
        a_row, a_column = (1, d) if a_turned else (d, 1)
        b_row, b_column = (1, d) if b_turned else (d, 1)
        for i in range(d):
            for j in range(d):
                o = o0 + c * (i * d + j)
                for k in range(d):
                    p, q = i0 + c * (i * a_row + k * a_column), j0 + c * (k * b_row + j * b_column)
                    if c == 1:
                        for e in range(lanes):
                            out[o, e] += sign * (a[p, e] * b[q, e])
                        continue
                    s, t = -1.0 if a_turned else 1.0, -1.0 if b_turned else 1.0
                    for e in range(lanes):
                        re, im, re_b, im_b = a[p, e], s * a[p + 1, e], b[q, e], t * b[q + 1, e]
                        out[o, e] += sign * (re * re_b - im * im_b)
                        out[o + 1, e] += sign * (re * im_b + im * re_b)

    @inner
    def add_square(a, first, count, total):  # type: ignore[no-untyped-def]
        lanes = a.shape[1]
        for e in range(lanes):
            total[e] = 0.0
        for i in range(first, first + count):
            for e in range(lanes):
                total[e] += a[i, e] * a[i, e]

    @inner
    def quotient(above, below, out):  # type: ignore[no-untyped-def]
        """Quotient; zero where there is nothing to decay."""
        lanes = len(out)
        for e in range(lanes):
            out[e] = above[e] / (1.0 if below[e] == 0.0 else below[e])

    @inner
    def hermitian(a, first, sign, out, o0, d, c):  # type: ignore[no-untyped-def]
        """Set ``out`` to ``sign`` times the sum of a matrix and its adjoint."""
        lanes = out.shape[1]
        for i in range(d):
            for j in range(d):
                p, q, o = c * (i * d + j), c * (j * d + i), o0 + c * (i * d + j)
                for e in range(lanes):
                    out[o, e] = sign * (a[first + p, e] + a[first + q, e])
                if c == 2:
                    for e in range(lanes):
                        out[o + 1, e] = sign * (a[first + p + 1, e] - a[first + q + 1, e])

    @inner
    def chains(w, out, outer, inside, depth, d, c):  # type: ignore[no-untyped-def]
        """Set `P_j = W_N ... W_{j+1}` and `Q_j = W_{j-1} ... W_1` for every layer."""
        lanes = out.shape[1]
        size = c * d * d
        clear(out, outer, depth * size)
        clear(out, inside, depth * size)
        for i in range(d):
            for e in range(lanes):
                out[inside + c * (i * d + i), e] = 1.0
                out[outer + (depth - 1) * size + c * (i * d + i), e] = 1.0
        for j in range(1, depth):
            p = depth - 1 - j
            product(
                1.0, w, (j - 1) * size, False, out, inside + (j - 1) * size, False,
                out, inside + j * size, d, c,
            )  # fmt: skip
            product(
                1.0, out, outer + (p + 1) * size, False, w, (p + 1) * size, False,
                out, outer + p * size, d, c,
            )  # fmt: skip

    def field(x, weights, shape, out, work):  # type: ignore[no-untyped-def]
        lanes = x.shape[1]
        depth, d, c = shape[0], shape[1], 1 + shape[2]
        size = c * d * d
        layers, residual, defects = 0, depth * size, (depth + 1) * size
        decay = 2 * depth * size
        # Rows of the workspace.
        outer, inside, descent = 0, depth * size, 2 * depth * size
        ascent, sound, one = 3 * depth * size, 4 * depth * size, 5 * depth * size
        two, rest = (5 * depth + 1) * size, (5 * depth + 2) * size
        above, below, fall_e, fall_d = work[rest], work[rest + 1], work[rest + 2], work[rest + 3]
        size_e, size_d = work[rest + 4], work[rest + 5]
        for e in range(lanes):
            size_e[e], size_d[e] = math.exp(-x[decay, e]), math.exp(-x[decay + 1, e])
        chains(x, work, outer, inside, depth, d, c)
        clear(work, descent, 2 * depth * size)
        for j in range(depth - 1):
            # Without the Hermitian part rounding in the other one would grow as defects decay.
            hermitian(x, defects + j * size, 0.5, work, sound + j * size, d, c)
        for j in range(depth):
            clear(work, one, size)
            product(1.0, work, outer + j * size, True, x, residual, False, work, one, d, c)
            product(
                1.0, work, one, False, work, inside + j * size, True,
                work, descent + j * size, d, c,
            )  # fmt: skip
            if j < depth - 1:
                product(
                    1.0, work, sound + j * size, False, x, layers + j * size, False,
                    work, ascent + j * size, d, c,
                )  # fmt: skip
            if j > 0:
                product(
                    -1.0, x, layers + j * size, False, work, sound + (j - 1) * size, False,
                    work, ascent + j * size, d, c,
                )  # fmt: skip
        add_square(work, descent, depth * size, above)
        add_square(x, residual, size, below)
        quotient(above, below, fall_e)
        add_square(work, ascent, depth * size, above)
        add_square(work, sound, (depth - 1) * size, below)
        quotient(above, below, fall_d)
        for e in range(lanes):
            fall_d[e] *= 2.0 * weights[0, e]
        for i in range(depth * size):
            for e in range(lanes):
                pulled = size_e[e] * work[descent + i, e]
                out[i, e] = pulled - weights[0, e] * size_d[e] * work[ascent + i, e]
        for i in range(size):
            for e in range(lanes):
                out[residual + i, e] = fall_e[e] * x[residual + i, e]
        for j in range(depth):
            clear(work, one, size)
            product(
                1.0, work, outer + j * size, False, work, descent + j * size, False,
                work, one, d, c,
            )  # fmt: skip
            product(-1.0, work, one, False, work, inside + j * size, False, out, residual, d, c)
        for j in range(depth - 1):
            clear(work, one, size)
            product(
                1.0, work, ascent + j * size, False, x, layers + j * size, True, work, one, d, c
            )
            product(
                -1.0, x, layers + (j + 1) * size, True, work, ascent + (j + 1) * size, False,
                work, one, d, c,
            )  # fmt: skip
            hermitian(work, one, 1.0, work, two, d, c)
            for i in range(size):
                for e in range(lanes):
                    kept = fall_d[e] * work[sound + j * size + i, e]
                    out[defects + j * size + i, e] = kept - weights[0, e] * work[two + i, e]
        for e in range(lanes):
            out[decay, e], out[decay + 1, e] = fall_e[e], fall_d[e]

    return numba.njit(error_model="numpy")(field)


#: The field as a chart holds it.
LANES = Lanes(make_field, workspace)
