"""Forms of ReLU neurons scanned for minima: none is missing, and none is overlooked."""

import numpy as np
import pytest
import sympy as sp
from oracles.losses import relu_neurons

from symbolic import late_time_law
from symbolic.asymptotics.cover import all_found
from symbolic.asymptotics.scan import Lengths
from symbolic.asymptotics.sphere import Form, minima
from symbolic.asymptotics.symmetries import rotations
from symbolic.evidence.identity import Evidence

R = sp.Rational
Z = sp.symbols("z1:5", real=True)
A, B, C, D = Z
METRIC = sp.Matrix([[3, 1, R(1, 2)], [1, 2, -1], [R(1, 2), -1, 5]])
# Second differences in doubles, and sums of doubles.
DIFFERENCES, DOUBLES = 1e-6, 1e-12


def neurons(shares, d):
    """Leading form of ReLU neurons, written down: `u_i = z_i/h_i`, the last one by the sum."""
    n, across = len(shares), d - 1
    names = sp.symbols(f"z1:{(n - 1) * across + 1}", real=True)
    rows = [sp.Matrix(names[i * across : (i + 1) * across]) for i in range(n - 1)]
    rows.append(-sum(rows[1:], rows[0]))
    u = [row / h for row, h in zip(rows, shares, strict=True)]

    def cube(v):
        square = sp.expand(sum(c**2 for c in v))
        return sp.sqrt(square) ** 3 if across > 1 else sp.Abs(v[0]) ** 3

    scale = 1 / (6 * sp.pi)
    pairs = [scale * shares[i] * shares[j] * cube(u[i] - u[j]) for i in range(n) for j in range(i)]
    form = sp.Add(*pairs, *(-scale * h * cube(v) for h, v in zip(shares, u, strict=True)))
    metric = sp.ImmutableMatrix(
        sp.kronecker_product(sp.eye(n - 1) + sp.ones(n - 1, n - 1), sp.eye(across))
    )
    return form, names, metric


def decided(form, z, metric, values):
    turning = rotations(form, z, metric)
    return all_found(form, z, sp.Integer(3), metric, turning, values)


#: Shares and dimension; how many values the minima have.
SHAPES = {
    "three equal ones on a line": ((R(1, 3),) * 3, 2, 1),
    "three on a line": ((R(1, 2), R(3, 10), R(1, 5)), 2, 1),
    "four on a line": ((R(1, 10), R(1, 5), R(3, 10), R(2, 5)), 2, 2),
    "three in the plane": ((R(1, 2), R(3, 10), R(1, 5)), 3, 1),
    "three in the plane, two shapes": ((R(2, 5), R(7, 20), R(1, 4)), 3, 2),
    "two equal ones and a small one": ((R(9, 20), R(9, 20), R(1, 10)), 3, 1),
}


@pytest.mark.parametrize(("shares", "d", "count"), SHAPES.values(), ids=SHAPES)
def test_all_shapes_are_known_and_one_that_is_missing_or_off_is_not_overlooked(shares, d, count):
    form, z, metric = neurons(shares, d)
    values = [sp.Float(m.value, 17) for m in minima(Form(form, z, 3.0, metric))]
    assert len(values) == count
    assert decided(form, z, metric, values) is Evidence.ENCLOSED
    for k, value in enumerate(values):
        for wrong in ((), (value * (1 + R(1, 10**8)),)):
            broken = (*values[:k], *wrong, *values[k + 1 :])
            assert decided(form, z, metric, broken) is Evidence.SAMPLED


def test_a_law_of_unequal_neurons_says_that_no_other_shape_attracts():
    (law,) = late_time_law(*relu_neurons([R(1, 2), R(3, 10), R(1, 5)], 3)).laws
    assert law.evidence["all attractors"] is Evidence.ENCLOSED


def test_a_saddle_without_curvature_of_two_equal_neurons_is_not_decided():
    form, z, metric = neurons((R(3, 5), R(1, 5), R(1, 5)), 3)
    values = [sp.Float(m.value, 17) for m in minima(Form(form, z, 3.0, metric))]
    assert decided(form, z, metric, values) is Evidence.SAMPLED


def of(form, metric, degree=3):
    return Lengths.of(form, Z[: metric.rows], sp.Integer(degree), metric)


#: Sums of cubes of lengths, in two and three entries.
PLANE = (A**2 + B**2) ** R(3, 2) - 2 * ((A - 2 * B) ** 2 + A**2) ** R(3, 2)
SPACE = PLANE + ((A + B) ** 2 + (C - B / 4) ** 2) ** R(3, 2)


def test_values_slopes_and_hessians_are_those_along_great_circles():
    found = of(SPACE, METRIC)
    plain = sp.lambdify(Z[:3], SPACE)
    generator = np.random.default_rng(1)
    for w in generator.normal(size=(5, 3)):
        w /= np.linalg.norm(w)
        u = np.cross(w, generator.normal(size=3))
        u /= np.linalg.norm(u)
        value, slope, second = (e[0] for e in found.at(w[None]))
        h = 1e-4
        ring = [plain(*(found.axes @ (np.cos(t) * w + np.sin(t) * u))) for t in (-h, 0.0, h)]
        assert value == pytest.approx(ring[1], rel=DOUBLES)
        assert slope @ u == pytest.approx((ring[2] - ring[0]) / (2 * h), abs=DIFFERENCES)
        assert u @ second @ u == pytest.approx(
            (ring[2] - 2 * ring[1] + ring[0]) / h**2, abs=100 * DIFFERENCES
        )
        assert abs(slope @ w) < DOUBLES and np.abs(second @ w).max() < DOUBLES


def test_bounds_of_derivatives_are_attained_along_a_line():
    a, t = sp.Matrix([2, -1, 3]), sp.Symbol("t", positive=True)
    for power in (3, 5):
        form = sp.Abs(sum(c * v for c, v in zip(a, Z, strict=False))) ** power
        found = of(form, METRIC, power)
        length = sp.sqrt((a.T * METRIC.inv() * a)[0])
        ray = (length * t) ** power
        for bound, order in ((found.first, 1), (found.third, 3)):
            assert bound == pytest.approx(float(sp.diff(ray, t, order).subs(t, 1)), rel=DOUBLES)


@pytest.mark.parametrize(("share", "sound"), [(1.0, True), (0.2, False)])
def test_the_hessian_on_the_circle_changes_no_faster_than_its_bound(share, sound):
    wrong = 0
    for b in (R(1, 5), 1, 3):
        found = of(PLANE + sp.Abs(A - b * B) ** 3, sp.eye(2))
        angles = np.linspace(0, np.pi, 400)
        w = np.stack([np.cos(angles), np.sin(angles)], axis=1)
        _, slope, second = found.at(w)
        bent = np.trace(second, axis1=1, axis2=2)
        for step in (1, 5, 20):
            radius = angles[step]
            speed = share * found.speed(
                np.linalg.norm(slope, axis=1), np.linalg.norm(second, axis=(1, 2)), radius
            )
            wrong += int((np.abs(bent[step:] - bent[:-step]) > radius * speed[:-step]).sum())
    assert (wrong == 0) is sound


def test_what_is_no_sum_of_lengths_is_not_scanned():
    assert of(A**4 + sp.Abs(B) ** 3, sp.eye(2)) is None
    assert of(sp.Abs(A) * B**2 + sp.Abs(B) ** 3, sp.eye(2)) is None
    assert of((A**2 + B**2) ** R(5, 4) + sp.Abs(A) ** R(5, 2), sp.eye(2), R(5, 2)) is None
    with_two_speeds = (A**2 + B**2) ** R(3, 2) + 2 * (C**2 + D**2) ** R(3, 2)
    assert decided(with_two_speeds, Z, sp.eye(4), ()) is Evidence.SAMPLED
