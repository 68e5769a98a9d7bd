r"""What two layers are made of, and their kernels as compiled functions.

.. math:: L = \tfrac12 \sum_{pq} \mu_p \mu_q k(u_p, u_q), \qquad
          u = (w_1, \dots, w_n, v_1, \dots, v_m), \quad \mu = (a_1, \dots, a_n, -b_1, \dots, -b_m)
"""

from __future__ import annotations

import functools
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np
import sympy as sp
from flint import fmpq

from flows.core.arrays import Array
from symbolic.language.lower import Backend, lower
from symbolic.language.primitives import definition
from symbolic.lemmas.dual_kernel import DOTS
from symbolic.systems.relu_neuron.pair import (
    ALPHA,
    BETA,
    THETA,
    first_derivatives,
    pair_energy,
    pair_hessian,
)
from symbolic.systems.two_layer.pair import Kinked, Smooth, named, pair_of

__all__ = ["Kernel", "Network", "kernel_of"]


#: Area of the parallelogram of a pair.
AREA = sp.Symbol("D", nonnegative=True)


@dataclass(frozen=True)
class Network:
    r"""A student's architecture with its teacher.

    Parameters
    ----------
    students : int
        Neurons `n` of the student.
    teachers : tuple of tuples of tuples of float
        Entries of `v_j`, each a sum of doubles: exact numbers.
    weights : tuple of float
        The teacher's outputs `b_j`.
    outputs : tuple of float
        The student's outputs `a_i`; empty where they are trained.
    activation : str
        As of :func:`symbolic.systems.two_layer.pair.named`.
    counts : tuple of int
        How many equal neurons each of the student's stands for; one each if empty.

    Notes
    -----
    For `c` equal neurons `w` with outputs `a` stand `\sqrt c w` and `\sqrt c a` in a state: these
    flow along the gradient of the same loss,

    .. math:: L(w, \dots, w) = \ell(w, c\,a), \qquad
              (\sqrt c\, w)' = -\partial \ell / \partial(\sqrt c\, w), \quad
              (\sqrt c\, a)' = -\partial \ell / \partial(\sqrt c\, a)
    """

    students: int
    teachers: tuple[tuple[tuple[float, ...], ...], ...]
    weights: tuple[float, ...]
    outputs: tuple[float, ...]
    activation: str
    counts: tuple[int, ...] = ()

    @property
    def d(self) -> int:
        """Length of a neuron."""
        return len(self.teachers[0])

    @property
    def trained(self) -> bool:
        """Whether outputs move."""
        return not self.outputs

    @property
    def bent(self) -> bool:
        """Whether the activation has a kink."""
        return kernel_of(self.activation, "numpy").bent

    @property
    def size(self) -> int:
        """Entries of a state: the neurons one after the other, then trained outputs."""
        return self.students * (self.d + self.trained)

    @property
    def digits(self) -> Array:
        """The teachers, shape (m, d, K)."""
        most = max(len(x) for v in self.teachers for x in v)
        return np.array([[(*x, *[0.0] * (most - len(x))) for x in v] for v in self.teachers])

    @property
    def many(self) -> tuple[int, ...]:
        """Of each student, for how many it stands."""
        return self.counts or (1,) * self.students

    @property
    def roots(self) -> Array:
        r"""`\sqrt c` of each student, shape (n,)."""
        return np.sqrt(self.many)

    @property
    def stretch(self) -> Array:
        """How the entries of a state change those of one neuron and of all its outputs, shape (N,).

        A state times this has neurons `w` and outputs `c a`.
        """
        entries = np.repeat(1 / self.roots, self.d)
        return np.concatenate([entries, self.roots]) if self.trained else entries

    def split(self, y: Array) -> tuple[Array, Array]:
        """Neurons and outputs of flat states, shapes (..., n, d) and (..., n)."""
        w = y[..., : self.students * self.d].reshape(*y.shape[:-1], self.students, self.d)
        if self.trained:
            return w, y[..., self.students * self.d :]
        return w, np.broadcast_to(self.roots * self.outputs, w.shape[:-1])

    def shaped(self, y: Array) -> Array:
        """Flat states in the layout of a user: a row a neuron, a trained output at its end."""
        w, a = self.split(y)
        return np.concatenate([w, a[..., None]], axis=-1) if self.trained else w

    def joined(self, w: Array, a: Array) -> Array:
        """Flat states, or gradients, of neurons and outputs."""
        flat = w.reshape(*w.shape[:-2], -1)
        return np.concatenate([flat, a], axis=-1) if self.trained else flat


class Kernel(NamedTuple):
    """Functions of a pair of neurons in one kind of arithmetic.

    Parameters
    ----------
    linear, kink : float or fmpq
        Coefficients of `a.b` and of `e(a, b)`; both zero of a smooth kernel.
    pair : callable
        With a kink: `e, 2 e_A, 2 e_B, e_C` of `|a|, |b|, theta`; else `k, 2 k_A, 2 k_B, k_C` of
        `A, B, C`. In balls, whose bits make up for what cancels, the former takes
        `A, B, C, D = |a||b| sin(theta), theta`.
    curves : callable
        With a kink: spread by `a`, by `b`, and twist (:func:`pair_hessian`); else
        `k_AA, k_BB, k_AB, k_AC, k_BC, k_CC`.
    own : callable
        `kappa, kappa', kappa''` of `A`, where `kappa(A) = k(a, a)`: with a kink `linear A`.
    """

    linear: Any
    kink: Any
    pair: Callable[..., Sequence[Any]]
    curves: Callable[..., Sequence[Any]]
    own: Callable[..., Sequence[Any]]

    @property
    def bent(self) -> bool:
        """Whether it has a kink."""
        return bool(self.kink)


@functools.cache
def kernel_of(name: str, backend: Backend) -> Kernel:
    """Kernel of an activation in one kind of arithmetic, derived and compiled.

    Parameters
    ----------
    name : str
        The activation.
    backend : {"numpy", "ball"}
        The arithmetic.
    """
    found = pair_of(named(name).activation)
    if isinstance(found, Kinked):
        sizes, turned = (ALPHA, BETA, THETA), {ALPHA: BETA, BETA: ALPHA}
        by_a, by_c = first_derivatives()
        spread, _, twist = pair_hessian()
        swapped = [f.subs(turned, simultaneous=True) for f in (by_a, spread)]
        exact = backend == "ball"
        linear, kink = (fmpq(f.p, f.q) if exact else float(f) for f in found)
        pair = [pair_energy(), 2 * by_a, 2 * swapped[0], by_c]
        if exact:
            sizes_of_pair: Any = (*DOTS, AREA, THETA)
            pair = [_in_area(f) for f in pair]
        else:
            sizes_of_pair = sizes
        return Kernel(
            linear,
            kink,
            lower(pair, sizes_of_pair, backend),
            lower([spread, swapped[1], twist], sizes, backend),
            lambda square: (linear * square, linear, 0 * square),
        )
    return _smooth(found, backend)


def _in_area(f: sp.Expr) -> sp.Expr:
    """Write a function of `|a|, |b|, theta` in `A, B, C`, the area, and the angle."""
    a, b, c = DOTS
    put = {sp.sin(THETA): AREA / (ALPHA * BETA), sp.cos(THETA): c / (ALPHA * BETA)}
    found = sp.expand(definition(f).xreplace(put))
    return found.subs({ALPHA: sp.sqrt(a), BETA: sp.sqrt(b)})


def _smooth(found: Smooth, backend: Backend) -> Kernel:
    a, b, c = DOTS
    turned, alone = {a: b, b: a}, {b: a, c: a}
    by_a, by_c = found.first
    aa, ab, ac, bc, cc = found.second
    by_b, bb = (f.subs(turned, simultaneous=True) for f in (by_a, aa))
    own = found.value.subs(alone)
    return Kernel(
        0,
        0,
        lower([found.value, 2 * by_a, 2 * by_b, by_c], DOTS, backend),
        lower([aa, bb, ab, ac, bc, cc], DOTS, backend),
        lower([own, own.diff(a), own.diff(a, 2)], (a,), backend),
    )
