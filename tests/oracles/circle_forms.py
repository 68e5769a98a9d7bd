r"""Random forms in two variables whose critical directions are known, and their flow by hand.

On the circle ``f'(theta) = D(cos theta, sin theta)``, ``D = a f_b - b f_a``. Here `D` is a product
of linear factors of known slopes, of any multiplicity, and of definite ones; the last slope makes
the mean of `D` zero, so that there is an `f`. A multiple of ``(a^2 + b^2)^(p/2)`` makes it
positive.
Nothing here knows how the package finds directions.
"""

from dataclasses import dataclass
from fractions import Fraction
from itertools import pairwise
from math import comb, factorial, log, pi

import numpy as np
from scipy.integrate import solve_ivp

#: Multiplicities of the given linear factors, and how many definite ones, by degree.
SHAPES = {
    4: [((2, 1), 0), ((1, 1, 1), 0), ((3,), 0), ((1,), 1)],
    6: [((2, 1, 1, 1), 0), ((2, 2, 1), 0), ((4, 1), 0), ((2, 1), 1), ((3, 2), 0), ((1, 1, 1), 1)],
}
# Steps of the integrations by hand.
RTOL, ATOL = 1e-11, 1e-13


@dataclass(frozen=True)
class CircleForm:
    """A form: coefficients of ``a^(p-k) b^k``, those of `D`, and critical angles in ``[0, pi)``."""

    degree: int
    coefficients: tuple[Fraction, ...]
    turn: tuple[Fraction, ...]
    angles: tuple[float, ...]

    def value(self, angle):
        """The form on the circle."""
        return _at(self.coefficients, angle)

    def slope(self, angle):
        """Its derivative by the angle."""
        return _at(self.turn, angle)

    def goes(self, angle):
        """The next critical angle downhill: the flow of one number is monotone up to it."""
        down = -np.sign(self.slope(angle))
        return min(self.angles, key=lambda x: down * (x - angle) % pi)

    @property
    def attracting(self):
        """Critical angles with a downhill side, told by the slopes half way to the next ones."""
        ends = [*self.angles, self.angles[0] + pi]
        rises = [np.sign(self.slope((x + y) / 2)) for x, y in pairwise(ends)]
        pairs = zip(self.angles, [rises[-1], *rises], rises, strict=False)
        return [x for x, before, after in pairs if before < 0 or after > 0]

    def margin(self, angle):
        """How far it is uphill to where directions turn round."""
        down = -np.sign(self.slope(angle))
        return min(-down * (x - angle) % pi for x in self.angles)

    def constant(self, angle):
        """Constant of the law along a critical direction."""
        p = self.degree
        return (p * (p - 2)) ** (-p / (p - 2)) * self.value(angle) ** (-2 / (p - 2))


def _at(coefficients, angle):
    a, b, p = np.cos(angle), np.sin(angle), len(coefficients) - 1
    return sum(float(c) * a ** (p - k) * b**k for k, c in enumerate(coefficients))


def _times(x, y):
    """Product of two forms by their coefficients."""
    found = [Fraction(0)] * (len(x) + len(y) - 1)
    for i, c in enumerate(x):
        for j, d in enumerate(y):
            found[i + j] += c * d
    return found


def _mean(form):
    """Mean over the circle: of ``cos^2m sin^2n`` it is (2m)! (2n)!/(4^(m+n) m! n! (m+n)!)."""
    p, total = len(form) - 1, Fraction(0)
    for k, c in enumerate(form):
        m, n = divmod(p - k, 2), divmod(k, 2)
        if m[1] or n[1]:
            continue
        (m, _), (n, _) = m, n
        above, below = factorial(2 * m) * factorial(2 * n), factorial(m) * factorial(n)
        total += c * Fraction(above, 4 ** (m + n) * below * factorial(m + n))
    return total


def _potential(turn):
    """A form `f` with ``a f_b - b f_a = turn``: row k is ``(k+1) f_(k+1) - (p-k+1) f_(k-1)``."""
    p = len(turn) - 1
    found = [Fraction(0)] * (p + 1)
    for k in range(p):
        before = (p - k + 1) * found[k - 1] if k else Fraction(0)
        found[k + 1] = (turn[k] + before) / (k + 1)
    return found


def random_form(rng):
    """A form of degree four or six that is positive, of which some directions have no curvature."""
    degree = int(rng.choice([4, 6]))
    shape, definite = SHAPES[degree][rng.integers(len(SHAPES[degree]))]
    product, slopes = [Fraction(1)], []
    for multiplicity in shape:
        slope = Fraction(int(rng.integers(-6, 7)), int(rng.integers(1, 5)))
        slopes.append(slope)
        for _ in range(multiplicity):
            product = _times(product, [-slope, Fraction(1)])
    for _ in range(definite):
        product = _times(product, [Fraction(int(rng.integers(1, 5))), 0, Fraction(1)])
    by_a, by_b = _mean(_times(product, [1, 0])), _mean(_times(product, [0, 1]))
    # D = product (by_b a - by_a b) has the mean zero.
    turn = _times(product, [by_b, -by_a])
    angles = [np.arctan(float(s)) % pi for s in slopes]
    # D has the root a : b = by_a : by_b.
    angles.append(np.arctan2(float(by_b), float(by_a)) % pi)
    angles = [x for k, x in enumerate(angles) if all(abs(x - y) > ATOL for y in angles[:k])]
    size = max(map(abs, turn))
    sign = int(rng.choice([-1, 1]))
    turn = [sign * c / size for c in turn]
    form = _potential(turn)
    lowest = min(_at(form, x) for x in np.linspace(0, pi, 2000))
    lift = Fraction(int(np.ceil(10 * (abs(lowest) + rng.uniform(0.2, 2)))), 10)
    for k in range(degree // 2 + 1):
        form[2 * k] += lift * comb(degree // 2, k)
    return CircleForm(degree, tuple(form), tuple(turn), tuple(map(float, sorted(angles))))


def flowed(form, higher, start, t_end):
    """State of ``-grad (f + higher)`` at a time, in ``w = (1 + t)^(1/(p-2)) z`` and ``log(1+t)``.

    `higher` are coefficients of a form of two degrees more.
    """
    p = form.degree

    def slopes(coefficients, z):
        n = len(coefficients) - 1
        a, b = z
        return np.array(
            [
                sum(
                    float(c) * (n - k) * a ** (n - k - 1) * b**k
                    for k, c in enumerate(coefficients[:-1])
                ),
                sum(
                    float(c) * k * a ** (n - k) * b ** (k - 1)
                    for k, c in enumerate(coefficients)
                    if k
                ),
            ]
        )

    def field(s, w):
        shrink = np.exp(-s / (p - 2))
        more = slopes(higher, w) * shrink**2 if any(higher) else 0.0
        return w / (p - 2) - slopes(form.coefficients, w) - more

    found = solve_ivp(field, (0, log(1 + t_end)), start, "DOP853", None, rtol=RTOL, atol=ATOL)
    return found.y[:, -1] * (1 + t_end) ** (-1 / (p - 2))
