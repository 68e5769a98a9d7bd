r"""Rules of one axis for averages of posteriors of Gaussian components, by their distances alone.

Posteriors are quotients of exponentials of affine forms. With `D` the largest distance of two means
along an axis, they are analytic up to `|Im u| < pi/D`, and for `|Im u| \leq c` no quotient is
larger than the one on the line by more than `1/cos(c D/2)`. So the error of an axis, relative to
the average of sizes, is

* of the trapezoidal rule with the step `h` (Trefethen & Weideman 2014, SIAM Review 56(3), theorem
  5.1, with the contour moved by `c` on both sides)

  .. math:: \min_c \frac{K (1 + c)^2}{\cos^3(c D/2)} e^{c^2/2 - 2 \pi c/h};

* of Gauss-Hermite rules with `n` nodes, `n!/(2n)!` times a derivative, which is at most
  `(2n)!/c^{2n}` times the largest value at the distance `c`,

  .. math:: K\, n!\, (D/c)^{2n - s}, \qquad c = 2.8 < \pi,

  for averages that are of the order `s` in the distances.

The constants `K` stand for products of posteriors with polynomials. They are measured, not proved:
`tests/flows/expectations/test_posteriors.py` looks for mixtures whose errors are larger.
"""

from __future__ import annotations

import functools
import math
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np

from flows.core.arrays import Array
from flows.expectations import lines
from flows.expectations.hermite import gauss

__all__ = ["Axis", "Smooth", "axis_for", "gauss_error", "lattice_error"]

# Distance from the line, in units of 1/D, at which derivatives are bounded.
DISTANCE = 2.8
# Gauss-Hermite rules with more nodes are no better than trapezoidal ones.
MOST_GAUSS = 24
# Steps are powers of two to this, so that nearby states have the same, and at most one.
STEPS, WIDEST = 8, 1.0
# No step is shorter: a rule has too many nodes before.
SHORTEST = 2.0**-14
# Parts of the distance of the poles that are tried.
CONTOURS = np.linspace(0.02, 0.995, 80)


class Smooth(NamedTuple):
    """What is averaged, as far as rules ask for it.

    Parameters
    ----------
    order : int
        `s`, the power of the distances with which averages vanish.
    gauss, lattice : float
        `K` of both families.
    """

    order: int
    gauss: float
    lattice: float


@dataclass(frozen=True, eq=False)
class Axis:
    """Nodes and weights of `N(0, 1)`, and a bound of the relative error.

    Two of them are equal only if they are the same one.
    """

    x: Array
    w: Array
    error: float


def gauss_error(n: int, width: float, smooth: Smooth) -> float:
    """Relative error of a Gauss-Hermite rule of ``n`` nodes, at most."""
    power = 2 * n - smooth.order
    if power <= 0:
        return math.inf
    if width == 0:
        return 0.0
    logs = math.lgamma(n + 1) + power * (math.log(width) - math.log(DISTANCE))
    return smooth.gauss * math.exp(min(logs, 700.0))


def lattice_error(step: float, width: float, smooth: Smooth) -> float:
    """Relative error of a trapezoidal rule, at most."""
    most = min(math.pi / max(width, 1e-300), 2 * math.pi / step)
    c = CONTOURS * most
    near = 3 * np.log(np.cos(np.minimum(c * width / 2, 1.5707)))
    logs = 2 * np.log1p(c) - near + c**2 / 2 - 2 * np.pi * c / step
    return smooth.lattice * math.exp(min(float(logs.min()), 700.0))


@functools.lru_cache(maxsize=4096)
def axis_for(width: float, smooth: Smooth, tolerance: float, reach: float) -> Axis | None:
    """Fewest nodes whose error is at most the tolerance.

    Parameters
    ----------
    width : float
        `D`, at least the largest distance of two means along the axis.
    smooth : Smooth
        What is averaged.
    tolerance : float
        Relative error asked for.
    reach : float
        How far nodes of a trapezoidal rule go.

    Returns
    -------
    Axis or None
        None if it takes too many nodes.
    """
    step, few = _sparsest(width, smooth, tolerance)
    if not step:
        return None
    last = math.ceil(reach / step)
    if few and few < 2 * last + 1:
        x, w = gauss(few)
        return Axis(x, w, gauss_error(few, width, smooth))
    x, weight = lines.Axis(lines.Line(), step, -last, last).nodes
    return Axis(x, weight, lattice_error(step, width, smooth))


@functools.lru_cache(maxsize=4096)
def _sparsest(width: float, smooth: Smooth, tolerance: float) -> tuple[float, int]:
    """Widest step, and fewest Gauss-Hermite nodes, whose errors are small enough; or zero."""
    low, high = 0, int(STEPS * math.log2(WIDEST / SHORTEST)) + 1
    while low < high:  # the shorter, the better
        middle = (low + high) // 2
        if lattice_error(WIDEST * 2.0 ** (-middle / STEPS), width, smooth) <= tolerance:
            high = middle
        else:
            low = middle + 1
    step = WIDEST * 2.0 ** (-low / STEPS)
    counts = (n for n in range(1, MOST_GAUSS + 1) if gauss_error(n, width, smooth) <= tolerance)
    return step if step >= SHORTEST else 0.0, next(counts, 0)
