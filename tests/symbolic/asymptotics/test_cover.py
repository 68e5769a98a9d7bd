"""That no attractor is missing: proved or covered, and never where one is."""

import numpy as np
import pytest
import sympy as sp

from symbolic.asymptotics.cover import all_found, pinned
from symbolic.asymptotics.sphere import Form, minima
from symbolic.asymptotics.symmetries import rotations
from symbolic.evidence.identity import Evidence

Z = sp.symbols("z1:5", real=True)
A, B, C, D = Z
MATRIX = sp.Matrix(2, 2, Z)


def case(form, size, metric=None):
    z = Z[:size]
    g = sp.ImmutableMatrix(sp.eye(size) if metric is None else metric)
    numerical = Form(sp.expand(form), z, float(sp.Poly(form, *z).total_degree()), g)
    return numerical, rotations(sp.expand(form), z, g), [m.value for m in minima(numerical)]


#: Forms, and the values at their minima on the sphere.
FORMS = {
    "two points": (A**4, 1, (1,), Evidence.PROVED),
    "two points of a cubic": (A**3, 1, (-1, 1), Evidence.PROVED),
    "one orbit": ((A**2 + B**2 + C**2) ** 2, 3, (1,), Evidence.PROVED),
    # cos^4 + 2 sin^4 has its minimum 2/3 where cos^2 = 2/3.
    "a circle": (A**4 + 2 * B**4, 2, (sp.Rational(2, 3),), Evidence.ENCLOSED),
    # On the axes: 1, 2 and 3; all of the others are saddles.
    "three values": (
        A**4 + 2 * B**4 + 3 * C**4 + 20 * (A**2 * B**2 + B**2 * C**2 + A**2 * C**2),
        3,
        (1, 2, 3),
        Evidence.ENCLOSED,
    ),
    # |Z Z'|^2 = s1^4 + s2^4
    "singular values": (((MATRIX * MATRIX.T) ** 2).trace(), 4, (0.5,), Evidence.ENCLOSED),
}


@pytest.mark.parametrize(("form", "size", "values", "level"), FORMS.values(), ids=FORMS)
def test_all_minima_are_known_to_be_found(form, size, values, level):
    numerical, turning, found = case(form, size)
    assert found == pytest.approx([float(v) for v in values], rel=1e-12)
    assert all_found(numerical, turning, found) is level


@pytest.mark.parametrize("name", [k for k in FORMS if k != "one orbit"])
def test_a_minimum_that_is_missing_or_off_is_not_overlooked(name):
    numerical, turning, found = case(*FORMS[name][:2])
    for k, value in enumerate(found):
        for wrong in ([], [value * (1 + 1e-6)]):
            broken = [*found[:k], *wrong, *found[k + 1 :]]
            assert all_found(numerical, turning, broken) is Evidence.SAMPLED


def test_entries_are_turned_to_zero_in_the_metric_too():
    numerical, turning, found = case((2 * A**2 + B**2) ** 2 + C**4 * 5, 3, sp.diag(2, 1, 1))
    # u = 2 a^2 + b^2 and v = c^2 of sum one: u^2 + 5 v^2 is 5/6 where u = 5/6.
    assert found == pytest.approx([5 / 6]) and pinned(turning, 3) == (1,)
    assert all_found(numerical, turning, found) is Evidence.ENCLOSED


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
    bent = (A**2 + B**2) ** sp.Rational(3, 2) + (A**2) ** sp.Rational(3, 2)
    numerical = Form(bent, Z[:2], 3.0, sp.ImmutableMatrix(sp.eye(2)))
    assert all_found(numerical, (), [1.0]) is Evidence.SAMPLED
    numerical, turning, found = case(sum(k * v**4 for k, v in enumerate(Z, 1)), 4)
    assert turning == () and all_found(numerical, turning, found) is Evidence.SAMPLED
