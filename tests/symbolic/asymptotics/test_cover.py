"""That no attractor is missing: proved or covered, and never where one is."""

import numpy as np
import pytest
import sympy as sp

from symbolic.asymptotics.cover import all_found, all_on_cone, pinned
from symbolic.asymptotics.derive import law_at
from symbolic.asymptotics.sphere import Form, minima
from symbolic.asymptotics.symmetries import rotations
from symbolic.evidence.identity import Evidence
from symbolic.systems.late_time import neurons

Z = sp.symbols("z1:5", real=True)
A, B, C, D = Z
MATRIX = sp.Matrix(2, 2, Z)
R = sp.Rational
# Of values found in doubles.
FOUND = 1e-12


def decided(form, size, values, metric=None):
    """How well it is known that all minima have these values."""
    z, form = Z[:size], sp.expand(form)
    g = sp.ImmutableMatrix(sp.eye(size) if metric is None else metric)
    degree = sp.Integer(sp.Poly(form, *z).total_degree())
    return all_found(form, z, degree, g, rotations(form, z, g), values)


#: Forms, and the values at their minima on the sphere.
FORMS = {
    "two points": (A**4, 1, (1,), Evidence.PROVED),
    "two points of a cubic": (A**3, 1, (-1, 1), Evidence.PROVED),
    "one orbit": ((A**2 + B**2 + C**2) ** 2, 3, (1,), Evidence.PROVED),
    "degree two": (A**2 + 3 * B**2, 2, (1,), Evidence.ENCLOSED),
    # cos^4 + 2 sin^4 has its minimum 2/3 where cos^2 = 2/3.
    "a circle": (A**4 + 2 * B**4, 2, (R(2, 3),), Evidence.ENCLOSED),
    # On the axes, a thousandth apart.
    "two near values": (
        A**4 + R(1001, 1000) * B**4 + 20 * A**2 * B**2,
        2,
        (1, R(1001, 1000)),
        Evidence.ENCLOSED,
    ),
    # Re (a + i b)^3 is -1 at three points.
    "an odd degree": (A**3 - 3 * A * B**2, 2, (-1,), Evidence.ENCLOSED),
    # cos has its only minimum at one end of a diameter.
    "one side": (A**3 + A * B**2, 2, (-1,), Evidence.ENCLOSED),
    "small values": ((A**4 + 2 * B**4) / 1000, 2, (R(1, 1500),), Evidence.ENCLOSED),
    # On the axes: 1, 2 and 3; all of the others are saddles.
    "three values": (
        A**4 + 2 * B**4 + 3 * C**4 + 20 * (A**2 * B**2 + B**2 * C**2 + A**2 * C**2),
        3,
        (1, 2, 3),
        Evidence.ENCLOSED,
    ),
    # |Z Z'|^2 = s1^4 + s2^4
    "singular values": (((MATRIX * MATRIX.T) ** 2).trace(), 4, (R(1, 2),), Evidence.ENCLOSED),
}


@pytest.mark.parametrize(("form", "size", "values", "level"), FORMS.values(), ids=FORMS)
def test_all_minima_are_known_to_be_found(form, size, values, level):
    z = Z[:size]
    degree = float(sp.Poly(form, *z).total_degree())
    searched = [m.value for m in minima(Form(sp.expand(form), z, degree, sp.eye(size)))]
    assert searched == pytest.approx([float(v) for v in values], rel=FOUND)
    assert decided(form, size, values) is level


@pytest.mark.parametrize("name", FORMS)
def test_a_minimum_that_is_missing_or_off_is_not_overlooked(name):
    form, size, values, _ = FORMS[name]
    for k, value in enumerate(values):
        for wrong in ((), (value * (1 + R(1, 10**9)),)):
            broken = (*values[:k], *wrong, *values[k + 1 :])
            assert decided(form, size, broken) is Evidence.SAMPLED


#: Rows of rotations in fractions, so that minima lie in all parts of a cover.
TURNS = [
    sp.Matrix([[a, b], [-b, a]]) / c
    for a, b, c in ((3, 4, 5), (4, 3, 5), (5, 12, 13), (12, 5, 13), (-3, 4, 5), (-12, 5, 13))
]
SPACES = [
    sp.Matrix([[2, -1, 2], [2, 2, -1], [-1, 2, 2]]) / 3,
    sp.Matrix([[6, 3, -2], [-3, 2, -6], [-2, 6, 3]]) / 7,
    sp.Matrix([[-8, 1, 4], [4, 4, 7], [-1, 8, -4]]) / 9,
]


@pytest.mark.parametrize("turn", [*TURNS, *SPACES])
def test_a_second_value_is_seen_wherever_it_is(turn):
    n = turn.rows
    assert turn * turn.T == sp.eye(n)
    a, b, *rest = turn * sp.Matrix(Z[:n])
    form = a**4 + R(1001, 1000) * b**4 + 20 * a**2 * b**2
    for c in rest:
        form += 3 * c**4 + 20 * c**2 * (a**2 + b**2)
    others = (3,) if rest else ()
    assert decided(form, n, (1, R(1001, 1000), *others)) is Evidence.ENCLOSED
    assert decided(form, n, (1, *others)) is Evidence.SAMPLED
    assert decided(form, n, (R(1001, 1000), *others)) is Evidence.SAMPLED


def test_values_of_two_points_and_of_an_orbit_are_compared_exactly():
    near = 1 + R(1, 10**40)
    assert decided(A**4, 1, (1,)) is Evidence.PROVED
    assert decided(A**4, 1, (near,)) is Evidence.SAMPLED
    assert decided((A**2 + B**2) ** 2, 2, (near,)) is Evidence.SAMPLED
    assert decided(5 * A**4, 1, (R(5, 4),), sp.Matrix([[2]])) is Evidence.PROVED
    ellipse = sp.diag(1, 2)
    assert decided((A**2 + 2 * B**2) ** 2, 2, (1,), ellipse) is Evidence.PROVED
    assert decided((A**2 + 2 * B**2) ** 2, 2, (4,), ellipse) is Evidence.SAMPLED


def test_entries_are_turned_to_zero_in_the_metric_too():
    form, metric = (2 * A**2 + B**2) ** 2 + C**4 * 5, sp.diag(2, 1, 1)
    # u = 2 a^2 + b^2 and v = c^2 of sum one: u^2 + 5 v^2 is 5/6 where u = 5/6.
    assert pinned(rotations(sp.expand(form), Z[:3], metric), 3) == (1,)
    assert decided(form, 3, (R(5, 6),), metric) is Evidence.ENCLOSED
    assert decided(form, 3, (R(5, 6) + R(1, 10**9),), metric) is Evidence.SAMPLED


def test_a_cover_of_one_number_of_a_parameter_is_not_one_of_all():
    form = A**4 + D * B**4
    z, four, one = (A, B), sp.Integer(4), sp.ImmutableMatrix(sp.eye(2))
    assert all_found(form, z, four, one, (), (D / (1 + D),)) is Evidence.SAMPLED
    # On a sphere of two points all that is needed is algebra.
    assert all_found(D * A**4, (A,), four, one[:1, :1], (), (D,)) is Evidence.PROVED


def test_rotations_of_a_space_turn_all_entries_but_one_to_zero():
    for metric in (sp.eye(3), sp.diag(1, 2, 3)):
        column = sp.Matrix(Z[:3])
        square = sp.expand((column.T * metric * column)[0] ** 2)
        assert pinned(rotations(square, Z[:3], metric), 3) == (2, 1)


def test_only_entries_whose_mean_over_the_angles_is_zero_are_turned_to_zero():
    # Around the axis (1, 1, 0) no other entry than the last one is zero somewhere on every orbit.
    x = sp.ImmutableMatrix([[0, 0, 1], [0, 0, -1], [-1, 1, 0]])
    assert pinned([x], 3) == (2,)
    generator = np.random.default_rng(0)
    w, axes = np.linalg.eig(np.array(x, dtype=float))
    angles = np.linspace(0, 2 * np.pi / np.abs(w).max(), 400)
    turns = [np.real(axes @ np.diag(np.exp(w * t)) @ np.linalg.inv(axes)) for t in angles]
    signs = [
        np.sign(np.array([turn @ start for turn in turns])).min(axis=0)
        * np.sign(np.array([turn @ start for turn in turns])).max(axis=0)
        for start in generator.normal(size=(20, 3))
    ]
    assert (np.array(signs)[:, 2] <= 0).all() and (np.array(signs)[:, 0] > 0).any()


def test_a_form_that_is_no_polynomial_and_one_of_many_entries_are_sampled():
    bent, one = (A**2 + B**2) ** R(3, 2) + (A**2) ** R(3, 2), sp.ImmutableMatrix(sp.eye(2))
    assert all_found(bent, Z[:2], sp.Integer(3), one, (), (sp.S.One,)) is Evidence.SAMPLED
    form = sum(k * v**4 for k, v in enumerate(Z, 1))
    assert rotations(form, Z, sp.eye(4)) == ()
    assert decided(form, 4, (R(12, 25),)) is Evidence.SAMPLED


def test_lines_of_a_cone_are_listed_and_one_that_is_missing_is_seen():
    form, three = A**2 * B * C + 3 * B**2 * C**2, sp.Integer(4)
    cone = (sp.diag(1, -1, 0), sp.diag(1, 1, -R(1, 2)))

    def listed(values):
        return all_on_cone(form, Z[:3], three, sp.eye(3), cone, values)

    # Squares 1 : 1 : 4 of sum 6: a^2 b c = +-2 and 3 b^2 c^2 = 12, over 36.
    assert listed((R(14, 36), R(10, 36))) is Evidence.PROVED
    assert listed((R(14, 36),)) is Evidence.SAMPLED
    assert listed((R(14, 36), R(10, 36) + R(1, 10**30))) is Evidence.SAMPLED
    assert all_on_cone(form, Z[:3], three, sp.eye(3), cone[:1], ()) is Evidence.SAMPLED
    # A line on which an entry is zero is not listed.
    flat = (sp.diag(1, -1, 0), sp.diag(0, 0, 1))
    assert all_on_cone(form, Z[:3], three, sp.eye(3), flat, ()) is Evidence.SAMPLED
    negative = A**2 * B * C
    assert all_on_cone(negative, Z[:3], three, sp.eye(3), cone, (R(2, 36),)) is Evidence.PROVED


@pytest.mark.parametrize(
    ("shares", "d", "why"),
    [
        ([sp.Rational(1, 3)] * 3, 3, "(a cover leaves some balls undecided, as around a saddle"),
        ([sp.Rational(1, 4)] * 4, 4, "(the sphere of directions has 5 dimensions beside"),
        ([sp.Rational(1, 5), sp.Rational(3, 10), sp.Rational(1, 2)], 3, "ENCLOSED;"),
    ],
)
def test_a_law_says_why_other_attractors_are_sampled(shares, d, why):
    law = law_at(neurons(shares, d), log_terms=False)
    (said,) = {a for a in law.derivation.steps[-1].assumptions if a.startswith("no other")}
    assert why in said and ("SAMPLED" in said) == ("(" in why)
