import numpy as np
import pytest
from flint import acb, arb
from mpmath import mp
from oracles import relu_neuron as oracle

from flows.certificates.verifier import angles, plane, space
from flows.certificates.verifier import relu_neuron as checker
from flows.certificates.verifier.curve import UNIT
from flows.certificates.verifier.reading import Refused
from flows.certificates.verifier.segment import Segment
from flows.core.balls import precision

# Of the exact field with 60 digits, and of Hessians in doubles.
SAME, ROUNDED = 1e-40, 1e-12
# Of a cost, where balls are so small that it is sharp to three digits.
LESS, MORE = 0.999, 1.001


@pytest.mark.parametrize("n", [1, 2, 3])
@pytest.mark.parametrize("q", [2, 3, 4])
def test_the_checkers_field_and_hessian_are_those_derived(n, q):
    generator = np.random.default_rng(10 * n + q)
    w, v = generator.normal(size=(n, q)), np.eye(q)[0] * 1.5
    with precision(200):
        rows = [[arb(x) for x in row] for row in [*w, v]]
        plane = q == 2
        areas = [a[0] * b[1] - a[1] * b[0] for i, a in enumerate(rows) for b in rows[i + 1 :]]
        signs = [1 if a > 0 else -1 for a in areas] if plane else []
        start = np.array(rows[:-1]).ravel()
        problem = checker.Neurons({"n": n, "d": q, "teacher": v.tolist()}, w)
        # In its own frame: here that of the teacher and the axes.
        problem.v = np.array(rows[-1])
        true = [x for row in oracle.gradient(w.tolist(), v.tolist(), 60) for x in row]
        for found, x in zip(problem.field(start, signs), true, strict=True):
            sign, man, exponent, _ = x._mpf_
            assert abs(found + arb(((-1) ** sign * int(man), int(exponent)))) < SAME
        box = problem.hessian(start + UNIT * 1e-4)
        for _ in range(5):
            moved = w + 1e-4 * generator.uniform(-1, 1, size=w.shape)
            with mp.workdps(30):
                hessian = np.array(oracle.hessian(moved.tolist(), v.tolist(), 30), dtype=float)
            inside = np.vectorize(lambda c, x: c.contains(x) or abs(c - x) < ROUNDED)(box, hessian)
            assert inside.all()
        far = np.array(oracle.hessian((w + 0.01).tolist(), v.tolist(), 30), dtype=float)
        assert not np.vectorize(lambda c, x: c.contains(x))(box, far).all()


def test_the_checkers_frame_keeps_inner_products():
    generator = np.random.default_rng(0)
    for rows in (
        generator.normal(size=(3, 5)),
        generator.normal(size=(4, 2)),
        np.outer([1.0, 2.0, 0.0], [0.5, 0.25]),
    ):
        with precision(300):
            x = checker._coordinates(rows)
            exact_rows = np.array([[arb(c) for c in row] for row in rows.tolist()])
            gram = exact_rows @ exact_rows.T - x @ x.T
            assert all(abs(c) < SAME for c in gram.ravel())
            assert all(c == 0 for c in x[0, 1:])  # the teacher is along the first axis
            assert x.shape[1] >= 2


def cut(*minors):
    """Two vectors of space whose first areas are these."""
    x, y = ([acb(1), acb(0), acb(0)], [acb(0), *minors])
    return x, y


def test_areas_off_the_plane_are_refused_where_their_root_may_not_be_analytic():
    # The root of a square is analytic off the negative half-line, and where no box meets it.
    for minors in (
        (acb(0, 1), acb(0)),  # the square is -1
        (acb(arb(0), arb(1, 0.5)), acb(0)),
        (acb(arb(0, 0.5), arb(1)), acb(0)),  # it winds about zero
        (acb(arb(0.1), arb(0, 0.2)), acb(arb(0, 0.2), arb(0))),
        (acb(0), acb(0)),
        (acb(1), acb(0, 1)),  # 1 - 1
    ):
        with pytest.raises(Refused, match="may not be analytic"):
            angles.area(*cut(*minors))
    for minors, area in (((acb(3), acb(4)), 5), ((acb(1), acb(0, 0.5)), 0.75**0.5)):
        assert abs(angles.area(*cut(*minors)) - area) < ROUNDED
    # Real vectors may be aligned: the Hessian needs no more than the area itself.
    aligned = [arb(1), arb(0), arb(0)], [arb(2), arb(0), arb(0)]
    assert angles.area(*aligned) == 0
    wide = angles.area([arb(1), arb(0), arb(0)], [arb(2), arb(0, 0.25), arb(0)])
    assert wide.lower() <= 0 < 0.25 <= wide.upper() < 0.3


def test_areas_are_those_of_the_parallelogram():
    generator = np.random.default_rng(3)
    for size in (2, 3, 5):
        a, b = generator.normal(size=(2, size))
        area = angles.area([arb(x) for x in a], [arb(x) for x in b])
        if size == 2:
            assert abs(area - (a[0] * b[1] - a[1] * b[0])) < ROUNDED
        else:
            assert abs(area - np.sqrt((a @ a) * (b @ b) - (a @ b) ** 2)) < ROUNDED


def test_angles_are_those_of_sine_and_cosine_in_the_upper_half_plane():
    for theta in (0.0, 0.3, 0.78, 0.79, 1.5, 1.6, 2.3, 2.36, 2.4, 3.1):
        size, dot = 2 * np.sin(theta), 2 * np.cos(theta)
        assert abs(checker._angle(arb(size), arb(dot)) - theta) < ROUNDED
        assert abs(checker._angle(acb(size), acb(dot)) - theta) < ROUNDED
    # Across 0 and pi on the stated branch, in which the area changes its sign.
    assert abs(checker._angle(arb(-0.1), arb(1)) + np.arctan(0.1)) < ROUNDED
    assert abs(checker._angle(arb(-0.1), arb(-1)) - np.pi - np.arctan(0.1)) < ROUNDED


def test_angles_are_refused_where_they_are_not_determined_or_not_analytic():
    for size, dot in (
        (arb(0), arb(0)),
        (arb(0.1), arb(0.2, 0.3)),  # either way
        (arb(0.1), arb(-0.2, 0.3)),
        (arb(0.2, 0.3), arb(0.1)),
        (arb(-1), arb(0.1)),  # beyond a quarter turn from the branch
        (acb(arb(0.1)), acb(arb(0.2, 0.3))),
    ):
        with pytest.raises(Refused, match="not determined"):
            checker._angle(size, dot)
    for size, dot in (
        (acb(0, 1), acb(1)),  # the arc tangent branches at i
        (acb(0, 2), acb(1)),
        (acb(0, -2), acb(-1)),
        (acb(arb(0, 0.1), arb(2)), acb(1)),
        (acb(arb(0, 0.1), arb(0.5, 0.6)), acb(1)),
        (acb(1), acb(0, 2)),
        (acb(1), acb(arb(0), arb(0, 1.1))),
    ):
        with pytest.raises(Refused, match="may not be analytic"):
            checker._angle(size, dot)
    for size, dot in ((0.5j, 1), (0.5 + 2j, 1), (-0.5 + 2j, -1), (1, 0.5 + 2j), (1, 0.9j)):
        size, dot = complex(size), complex(dot)
        flat = abs(dot.real) >= abs(size.real)
        found = checker._angle(acb(size), acb(dot))
        true = (
            np.arctan(size / dot) + np.pi * (dot.real < 0)
            if flat
            else np.pi / 2 - np.arctan(dot / size)
        )
        assert abs(found - acb(true)) < ROUNDED


def test_projectors_on_a_vector_that_may_vanish_are_within_their_bounds():
    vector = np.array([arb(0.6), arb(-0.8)])
    for found, true in zip(
        space._projector(2 * vector, arb(2)).ravel(), (0.36, -0.48, -0.48, 0.64), strict=True
    ):
        assert abs(found - true) < ROUNDED
    wide = space._projector(np.array([arb(0, 1), arb(0, 1)]), arb(0, 2)).ravel()
    assert all(c.lower() <= -1 < 1 <= c.upper() and c.rad() < 1.1 for c in wide)


def branching(ends, sign, teacher=1.0, parts=1):
    """Cost of a branch for one neuron that goes from one point of the plane to another."""
    problem = checker.Neurons({"n": 1, "d": 2, "teacher": [teacher, 0.0]}, np.array([[1.0, 0.5]]))
    a, b = np.array(ends)
    rows = [[arb(x), arb(y), arb(0)] for x, y in zip((a + b) / 2, (b - a) / 2, strict=True)]
    return problem.branching(short(rows, [sign]), parts)


def short(rows, signs):
    """Segment on which the speed of time is e."""
    return Segment(np.array(rows), 1 - arb(2) ** -20, 1 + arb(2) ** -20, signs)


def cost(wrong, first, second):
    """Cost for an area that is wrong by so much, of vectors of these lengths."""
    psi = np.pi / 2 * wrong / (first * second)
    return np.e * (first + second) * psi**2


@pytest.mark.parametrize("teacher", [1.0, 4.0])
@pytest.mark.parametrize("turn", [1, -1])
@pytest.mark.parametrize("backwards", [False, True])
def test_a_branch_costs_the_square_of_the_angle_by_which_it_is_exceeded(turn, backwards, teacher):
    # The area of neuron and teacher is -y: the neuron begins or ends at the wrong side, by 1e-3.
    ends = [(2.0, -turn * 0.01), (2.0, turn * 1e-3)]
    found = branching(ends[::-1] if backwards else ends, turn, teacher)
    assert LESS <= found / cost(1e-3 * teacher, 2, teacher) <= MORE
    assert branching([(2.0, -turn * 0.01), (2.0, -turn * 1e-3)], turn, teacher) < 1e-30


def test_a_branch_costs_on_each_part_of_a_segment_where_it_is_worst_there():
    # From 3e-3 at the wrong side to 3e-3 at the right one, in six parts.
    for parts, wrong in ((1, [3e-3]), (2, [3e-3, 0]), (6, [3e-3, 2e-3, 1e-3, 0, 0, 0])):
        for ends in ([(2.0, 3e-3), (2.0, -3e-3)], [(2.0, -3e-3), (2.0, 3e-3)]):
            found = branching(ends, 1, parts=parts)
            assert LESS <= found / sum(cost(x, 2, 1) for x in wrong) <= MORE


def test_an_area_that_is_least_within_a_part_costs_what_it_does_there():
    # Neurons (1, -a s) and (1, -a s + c (2 s^2 - 1)): their area is c (2 s^2 - 1),
    # with slopes up to 4 c.
    wrong, slope = 2.0**-10, 2.5 * 2.0**-10
    start = np.array([[1.0, 0.125], [1.0, 0.25]])
    problem = checker.Neurons({"n": 2, "d": 2, "teacher": [0.0, 1.0]}, start)
    problem.v = np.array([arb(0), arb(1)])  # not in its own frame
    rows = [[1, 0, 0], [0, -slope, 0], [1, 0, 0], [0, -slope, wrong]]
    signs = [1, 1, 1]
    segment = short([[arb(x) for x in row] for row in rows], signs)
    assert cost(wrong, 1, 1) <= problem.branching(segment, 1).upper() <= cost(5.1 * wrong, 1, 1)
    # Of three parts it is monotone on two, least where s = -1/3 and 1/3.
    known = cost(7 / 3 * wrong, 1, 1) + 2 * cost(7 / 9 * wrong, 1, 1)
    assert LESS <= problem.branching(segment, 3).upper() / known <= MORE


def test_a_branch_that_is_far_off_or_no_branch_is_refused():
    with pytest.raises(Refused, match="wrong side"):
        branching([(1.0, 1.5), (1.0, 1.5)], 1)
    assert branching([(1.0, 1.5), (1.0, 1.5)], -1) == 0
    for sign in (0, 2, -2):
        with pytest.raises(Refused, match="wrong signs"):
            branching([(1.0, 1.5), (1.0, 1.5)], sign)


@pytest.mark.parametrize(
    ("parameters", "w"),
    [
        ({"n": 2, "d": 2, "teacher": [1.0, 0.0]}, np.ones((1, 2))),
        ({"n": 1, "d": 3, "teacher": [1.0, 0.0]}, np.ones((1, 2))),
        ({"n": 1, "d": 2, "teacher": [1.0, 0.0, 0.0]}, np.ones((1, 2))),
        ({"n": 1, "d": 2, "teacher": [1.0, 0.0]}, np.ones((1, 2, 1))),
        ({"n": 1, "d": 2, "teacher": [0.0, 0.0]}, np.ones((1, 2))),
    ],
)
def test_teacher_and_start_that_do_not_fit_are_refused(parameters, w):
    with pytest.raises(Refused, match="do not fit"):
        checker.Neurons(parameters, w)


def test_the_start_is_every_neuron_in_the_frame_of_the_teacher():
    generator = np.random.default_rng(5)
    w, v = generator.normal(size=(3, 4)), generator.normal(size=4)
    problem = checker.Neurons({"n": 3, "d": 4, "teacher": v.tolist()}, w)
    assert problem.n == 3 and len(problem.start) == 3 * 4
    rows = np.vstack(
        [np.vectorize(float)(problem.start).reshape(3, 4), [float(x) for x in problem.v]]
    )
    every = np.vstack([w, v])
    assert np.abs(rows @ rows.T - every @ every.T).max() < ROUNDED


def test_the_hessian_of_a_point_has_all_its_digits():
    generator = np.random.default_rng(6)
    for n, q in ((2, 2), (2, 3), (3, 4)):
        w = generator.normal(size=(n, q))
        problem = checker.Neurons({"n": n, "d": q, "teacher": [1.0] * q}, w)
        assert all(c.rad() < ROUNDED for c in problem.hessian(problem.start).ravel())


def test_an_entry_of_a_projector_that_is_wider_than_its_bounds_is_replaced_by_them():
    for length, radius in ((0.9, 0.81), (1.1, 1.0), (1.35, 1.0)):
        (found,) = space._projector(np.array([arb(0, length)]), arb(1)).ravel()
        assert radius <= found.rad() < radius * (1 + 1e-6)


def test_a_box_in_the_plane_has_the_hessians_of_its_points_and_hardly_others():
    teacher = [arb(0), arb(1)]
    with precision(80):
        box = plane.planar(np.array([[arb(1), arb(0, 0.1)], teacher]), 1)
        points = [
            plane.planar(np.array([[arb(1), arb(y)], teacher]), 1)
            for y in np.linspace(-0.1, 0.1, 9)
        ]
    for i, j in np.ndindex(2, 2):
        assert all(box[i, j].overlaps(x[i, j]) for x in points)
    # In the middle and at the corners, which are as far as the box reaches.
    assert box[1, 1].lower() > LESS * min(x[1, 1] for x in points)
    assert box[1, 1].upper() < MORE * max(x[1, 1] for x in points)
