"""Observables of a chain of layers on a box: norms, singular values, and their rates.

The skew error and the main term are taken in bases in which the target is diagonal. Here it has to
be diagonal itself, and not negative; of another one these quantities are not enclosed.
"""

from __future__ import annotations

import functools
import math
from collections.abc import Sequence
from functools import partial
from itertools import pairwise

from flint import arb, arb_mat

from flows.certificates.boxes import Ball, Box, Enclosure, Vector
from flows.certificates.features.series import (
    MatrixSeries,
    Polynomials,
    doubled,
    minus,
    times,
    transposed,
)
from flows.certificates.features.spectrum import least_rate, singular_values
from flows.core.balls import Singular, dot
from flows.systems.matrix_factorization.enclosed_field import Jet, Matrix, defects, product


class LayerBox(Box):
    """Quantities of :func:`flows.systems.matrix_factorization.features.monitors`, in balls."""

    names: frozenset[str] = frozenset(
        {
            "residual",
            "defect",
            "layer_defect",
            "singular_value",
            "layer_value",
            "determinant",
            "layer_square",
            "orientation",
            "imbalance",
            "skew",
            "even",
            "main",
            "fit_speed",
            "balance_speed",
            "loss_fit",
            "loss_balance",
        }
    )

    @staticmethod
    def constants(enclosure: Enclosure) -> dict[str, Ball]:
        """Extreme singular values of the target."""
        values = singular_values(enclosure.flow.target)
        return {"sigma_max": values[0], "sigma_min": values[-1]}

    def fill(self, base: str, rates: bool) -> None:
        """Evaluate a quantity, or its rate."""
        name = f"{base}_dot" if rates else base
        try:
            self[name] = getattr(self, f"_{base}")(rates)
        except ZeroDivisionError:  # a matrix that may be singular
            raise Singular(f"{name} is not defined") from None

    @functools.cached_property
    def layers(self) -> list[Matrix]:
        """Layers."""
        return self.enclosure.flow.matrices(self.x)

    @functools.cached_property
    def differences(self) -> tuple[Matrix, list[Matrix], Matrix]:
        """Residual, defects, and ``W_m ... W_1 - (W_N ... W_{m+1})^T``, relatively sharp."""
        made, middle, radius = self._series(), arb(self.low + self.high) / 2, self.high - self.low
        sizes = [self._size([w]) for w in self.layers]
        tube = arb(self.enclosure.certificate.pieces[self.index].tube)
        # A product of factors moves by each factor's part in turn, the others anywhere in the tube.
        fit, *deltas, half = (partial(series.on, middle, arb(radius) / 2) for series in made)
        return (
            fit(tube * sum(_others(sizes), arb(0))),
            [
                delta(2 * tube * (a + b))
                for delta, (a, b) in zip(deltas, pairwise(sizes), strict=True)
            ],
            half(tube * _half_share(sizes)),
        )

    def _series(self) -> list[MatrixSeries]:
        """Polynomials of :attr:`differences` on this segment."""
        cache, certificate = self.enclosure.cache, self.enclosure.certificate
        if self.index not in cache:
            rows, bits = certificate.pieces[self.index].rows, certificate.bits
            w, degree = self.enclosure.flow.rows([doubled(row) for row in rows]), len(rows[0]) - 1
            made = [
                MatrixSeries.of(
                    _negative(_product(w)), len(w), degree, bits, self.enclosure.flow.target
                )
            ]
            for a, b in pairwise(w):
                delta = minus(times(a, transposed(a)), times(transposed(b), b))
                made.append(MatrixSeries.of(delta, 2, degree, bits))
            half = len(w) // 2
            between = minus(_product(w[:half]), transposed(_product(w[-half:])))
            made.append(MatrixSeries.of(between, half, degree, bits))
            cache[self.index] = made
        return cache[self.index]

    @functools.cached_property
    def descent(self) -> list[Matrix]:
        """``-grad L_ori``."""
        return self.enclosure.flow.fit_descent(self.layers, self.differences[0])

    @functools.cached_property
    def ascent(self) -> list[Matrix]:
        """``grad L_reg``."""
        return self.enclosure.flow.balance_ascent(self.layers, self.differences[1])

    def _jets(self, rates: Sequence[Matrix]) -> list[Jet]:
        return [Jet(w, v) for w, v in zip(self.layers, rates, strict=True)]

    def _size(self, matrices: Sequence[Matrix]) -> Ball:
        return self.enclosure.flow.square(matrices).sqrt()

    def _slope(self, values: Sequence[Matrix], speeds: Sequence[Matrix]) -> Ball:
        """Rate of the norm of matrices together; no more than the norm of the rates."""
        numbers, most = self.enclosure.flow.numbers, arb(0, 1) * self._size(speeds).upper()
        slope = dot(numbers(values), numbers(speeds)) / self._size(values)
        return slope.intersection(most) if slope.is_finite() and slope.overlaps(most) else most

    def _fill_loss(self, name: str) -> None:
        if name == "loss":
            return super()._fill_loss(name)
        square = self["fit_speed"] ** 2 + self["balance_speed"] ** 2  # they are orthogonal
        self["loss_dot"], self["gradient_norm"] = -square, square.sqrt()
        return None

    def _loss_fit(self, rates: bool) -> Ball:
        return -(self["fit_speed"] ** 2) if rates else self["residual"] ** 2 / 2

    def _loss_balance(self, rates: bool) -> Ball:
        if rates:
            return -(self["balance_speed"] ** 2)
        return self["regularization"] / 4 * self["layer_defect"] ** 2

    def _residual(self, rates: bool) -> Ball:
        if not rates:
            return self._size(self.differences[:1])
        # Balancing does not move the product.
        return self._slope(self.differences[:1], [-product(self._jets(self.descent)).rate])

    def _defect(self, rates: bool) -> Vector:
        deltas = self.differences[1]
        if not rates:
            return [self._size([delta]) for delta in deltas]
        return [self._slope([a], [b]) for a, b in zip(deltas, self._defect_speeds(), strict=True)]

    def _layer_defect(self, rates: bool) -> Ball:
        deltas = self.differences[1]
        return self._slope(deltas, self._defect_speeds()) if rates else self._size(deltas)

    def _defect_speeds(self) -> list[Matrix]:
        """Rates of the defects, which fitting does not move."""
        return [d.rate for d in defects(self._jets([-up for up in self.ascent]))]

    def _layer_square(self, rates: bool) -> Ball:
        numbers = self.enclosure.flow.numbers
        if rates:
            moves = [a - b for a, b in zip(self.descent, self.ascent, strict=True)]
            return 2 * dot(self.x, numbers(moves))
        return dot(self.x, self.x).nonnegative_part()

    def _imbalance(self, rates: bool) -> Ball:
        size = self["layer_square"]
        if not rates:
            return self["layer_defect"] / size
        return (self["layer_defect_dot"] - self["imbalance"] * self["layer_square_dot"]) / size

    def _fit_speed(self, rates: bool) -> Ball:
        return self._speed(self.descent, rates)

    def _balance_speed(self, rates: bool) -> Ball:
        return self._speed(self.ascent, rates)

    def _speed(self, part: list[Matrix], rates: bool) -> Ball:
        if rates:
            raise Singular("rates of speeds are not enclosed")
        return self._size(part)

    def _singular_value(self, rates: bool) -> Vector:
        return self._values([product(self.layers)], rates)

    def _layer_value(self, rates: bool) -> Vector:
        return self._values(self.layers, rates)

    def _values(self, matrices: Sequence[Matrix], rates: bool) -> Vector:
        if rates:
            raise Singular("rates of singular values are not enclosed")
        step = 2 if self.enclosure.flow.is_complex else 1  # each twice in a real matrix
        return [s for m in matrices for s in singular_values(m)[::step]]

    def _determinant(self, rates: bool) -> Ball:
        if rates:
            raise Singular("rates of determinants are not enclosed")
        dets = [self.enclosure.flow.determinant(w) for w in self.layers]
        return functools.reduce(lambda a, b: a * b, dets).real

    def _orientation(self, rates: bool) -> Ball:
        self._diagonal()
        return self._determinant(rates)

    def _skew(self, rates: bool) -> Ball:
        difference, _, root = self._two_matrices()
        value = difference.value * root
        return self._slope([value], [difference.rate * root]) if rates else self._size([value])

    def _even(self, rates: bool) -> Ball:
        _, total, root = self._two_matrices()
        value = total.value * root
        return self._slope([value], [total.rate * root]) if rates else self._size([value])

    def _main(self, rates: bool) -> Vector:
        total = self._two_matrices()[1]
        if not rates:
            return self._values([total.value], rates)
        slope = total.rate.transpose() * total.value
        square = total.value.transpose() * total.value
        least = least_rate(square, slope + slope.transpose()) / (2 * self["main"][-1])
        # Only the least is claimed about.
        return [arb.nan()] * (self.enclosure.flow.system.d - 1) + [least]

    def _two_matrices(self) -> tuple[Jet, Jet, Matrix]:
        """``A - R``, ``A + R``, ``Sigma^(1/2)``, where ``A = W_1``.

        ``R = (W_m ... W_2)^-1 (W_N ... W_{m+1})^H``.
        """
        root = self._diagonal()
        jets = self._jets([a - b for a, b in zip(self.descent, self.ascent, strict=True)])
        half, odd = divmod(len(jets), 2)
        if odd:
            raise Singular("of odd depths R is not enclosed")
        a, r = jets[0], product(jets[half:]).transpose()
        sharp = self.differences[2]
        if half > 1:
            inverse = product(jets[1:half]).inverse()
            r, sharp = inverse * r, inverse.value * sharp
        difference = a - r
        return Jet(sharp, difference.rate), a + r, root

    def _diagonal(self) -> Matrix:
        """Root of the target, if it is diagonal and not negative."""
        rows = self.enclosure.flow.target.tolist()
        for i, row in enumerate(rows):
            if not all(c == 0 or (i == j and c >= 0) for j, c in enumerate(row)):
                raise Singular("the target is not diagonal and not negative")
        return arb_mat([[c.sqrt() for c in row] for row in rows])


def _product(w: Sequence[Polynomials]) -> Polynomials:
    return functools.reduce(lambda below, layer: times(layer, below), w)


def _negative(a: Polynomials) -> Polynomials:
    return [[-p for p in line] for line in a]


def _half_share(sizes: Sequence[Ball]) -> Ball:
    """Sum over the factors of both halves of the product of the sizes of a half's other factors."""
    half = len(sizes) // 2
    return sum((s for part in (sizes[:half], sizes[-half:]) for s in _others(part)), arb(0))


def _others(sizes: Sequence[Ball]) -> list[Ball]:
    """Products of all but one."""
    return [
        math.prod([s for k, s in enumerate(sizes) if k != j], start=arb(1))
        for j in range(len(sizes))
    ]


BOX = LayerBox
