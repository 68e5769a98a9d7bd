"""A tail with a short neuron: boxes that are narrow where it turns, of maker and checker."""

import copy

import numpy as np
import pytest
from flint import arb, arb_mat

from flows.certificates import chebyshev
from flows.certificates.tail import tail as maker
from flows.certificates.tail.box import Frame, around, eigen, held, symmetric
from flows.certificates.tail.infinity import Infinity, Stated
from flows.certificates.tail.late_flow import LateFlow, Point
from flows.certificates.tail.lens import Lens, lens_of
from flows.certificates.verifier import tail as checker
from flows.certificates.verifier.late_flow import rates
from flows.certificates.verifier.lens import Lens as Checked
from flows.certificates.verifier.reading import Refused
from flows.core.balls import precision

BITS = 200
# Parts along the teacher of three of four neurons, one of them short; the fourth is what is left.
H = [0.3927, 0.0003, 0.2162]
# A guess of the limiting shape, and s = 1/t at the end of the pieces.
GUESS, S = [[0.81, -0.93], [0.0, 0.0], [-0.0006, 0.0007], [-0.81, 0.93]], 1e-12
# So far is the first shape from the limiting one, in the direction that is slowest.
OFF = 1e-3
# Errors of a certificate.
ERROR = 1e-21
# Slopes by automatic differentiation and by Hessian blocks agree to so much of the largest one.
EQUAL = 1e-12


class State:
    """A late state, its limiting shape, and rows of neurons for the checker."""

    def __init__(self) -> None:
        self.flow = flow = LateFlow(4, 2)
        heights = [*map(arb, H)]
        heights.append(1 - sum(heights, arb(0)))
        g = flow.project([[x] for x in heights])
        frame = Frame(arb(S), arb(0), arb(0), g)
        guess = flow.project([[*map(arb, row)] for row in GUESS])
        found = maker.zero(flow, frame, guess)
        self.integers = [chebyshev.rounded(x, BITS) for x in found]
        self.shape = [arb((x, -BITS)) for x in self.integers]
        self.still = frame.still(flow, self.shape)
        self.matrix = held(flow, symmetric(flow, flow.rates(self.still)), self.shape)
        _, vectors = eigen(self.matrix)
        slow = [arb(float(x)) for x in vectors[:, -1]]
        first = [(x + OFF * v).mid() for x, v in zip(self.shape, slow, strict=True)]
        basis = checker.Flow(np.full((4, 3), arb(1)), arb(S)).basis
        z = arb(S) * (basis @ np.array(first).reshape(3, 2))
        rows = np.column_stack([np.array(heights), z])
        self.begun = checker.Flow(rows + ERROR * arb(0, 1), arb(S))
        most = self.begun.across.upper(), self.begun.along.upper()
        self.late = maker.Late(flow, arb(S), first, 4 * arb(ERROR) / S, g, *most)


@pytest.fixture(scope="module")
def state():
    with precision(BITS + 24):
        return State()


@pytest.fixture(scope="module")
def tail(state):
    with precision(BITS + 24):
        return maker.prove(state.late, state.shape)[0]


def written(state, tail):
    none = Stated(0, 0.0)
    made = Infinity(BITS, 0.0, (), tuple(state.integers), tail, none, (none,), (0.0, 0.0))
    assert Infinity.from_json(made.to_json(), BITS).tail.lens == tail.lens
    return made.to_json()["tail"]


def checked(state, stated):
    with precision(BITS + 24):
        return checker._tail(state.begun, stated, arb(0), BITS)


def test_a_short_neuron_needs_a_lens_and_the_checker_agrees(state, tail):
    assert tail.lens.rows
    with precision(BITS + 24):
        for kept in maker.KEPT:
            with pytest.raises(maker.Open, match="is not proved"):
                maker._proved(state.late, state.shape, kept, 1.0, False)
        limits = maker.check(state.late, tail)
        limit, h, _ = checked(state, written(state, tail))
        assert limit.overlaps(limits.constant)
        assert limits.constant.rad() < 1e-15
        assert [float(x.mid()) for x in h[:3]] == pytest.approx(H, rel=1e-12)


def _scaled(key, factor):
    return lambda stated: stated | {key: (factor * float.fromhex(stated[key])).hex()}


def _frame(change):
    def changed(stated):
        rows = np.array([[float.fromhex(x) for x in row] for row in stated["frame"]])
        return stated | {"frame": [[float(x).hex() for x in row] for row in change(rows)]}

    return changed


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        (lambda stated: {k: v for k, v in stated.items() if k != "frame"}, "not contract|begin"),
        (_frame(lambda rows: rows[:-1]), "wrong size"),
        (_frame(lambda rows: rows[:, :-1]), "wrong size"),
        (_frame(lambda rows: 0 * rows), "may not be invertible"),
        (_frame(lambda rows: rows[:, [0] * 6]), "may not be invertible"),
        (_frame(lambda rows: rows[::-1]), "not contract|begin|leave"),
        (_frame(lambda rows: 4.0 * rows), "not contract|move further"),
        (_frame(lambda rows: 0.5 * rows), "begin within e"),
        (_scaled("e", 0.7), "begin within e"),
        (_scaled("e", 4.0), "not contract|move further"),
        (_scaled("rate", 9.0), "not contract"),
        (_scaled("d", 1e-18), "further than d"),
        (_scaled("across", 0.5), "exceed R|beyond R"),
    ],
)
def test_a_changed_tail_is_refused(state, tail, change, reason):
    with pytest.raises(Refused, match=reason):
        checked(state, change(written(state, tail)))


@pytest.mark.parametrize("bent", [False, True])
def test_slopes_of_both_sides_are_those_of_the_flow_in_other_coordinates(state, bent):
    flow, m = state.flow, state.flow.size
    with precision(BITS + 24):
        lens = lens_of(state.matrix) if bent else Lens()
        plain = flow.rates(state.still)
        at = Point(*state.still[:5], lens.through(flow, state.shape, arb(0)))
        seen = lens.seen(flow.rates(at).shape)
        slope = arb_mat([[x.slope[0, k] for k in range(m)] for x in plain.shape])
        wanted = lens.inverse() * slope * lens.matrix() if bent else slope
        largest = max(float(abs(x).upper()) for row in wanted.tolist() for x in row)
        stated = [[x.hex() for x in row] for row in lens.rows] if bent else None
        basis = state.begun.basis
        c, h = (np.array(x) for x in (state.shape, state.still.g))
        y = basis @ c.reshape(3, 2)
        found = rates(y, basis @ h + arb(1) / 4, arb(0))
        other = copy.copy(state.begun)
        other.lens = Checked(stated, basis, c.reshape(3, 2))
        blocks = other.derivative(found)
        for i in range(m):
            for j in range(m):
                for x in (seen[i].slope[0, j], blocks[i, j]):
                    assert abs(float((x - wanted[i, j]).mid())) <= EQUAL * largest


def test_boxes_through_a_lens_hold_its_ball_and_are_narrow_for_the_short_neuron(state):
    random, radius = np.random.default_rng(0), 1e-3
    with precision(BITS + 24):
        lens = lens_of(state.matrix)
        shapes = lens.box(state.shape, arb(radius))
        y = lens.through(state.flow, state.shape, arb(radius)).y
        basis, c = state.begun.basis, np.array(state.shape).reshape(3, 2)
        checker_lens = Checked([[x.hex() for x in row] for row in lens.rows], basis, c)
        same = checker_lens.neurons(c, arb(radius))
        flat = checker_lens.box(c, arb(radius)).ravel()
        assert all(x.rad() < 2 * y.rad() for x, y in zip(flat, shapes, strict=True))
        for _ in range(50):
            x = random.normal(size=6)
            x = radius * x / np.linalg.norm(x)
            inside = np.array(lens.rows) @ x * 0.999
            shape = [a + arb(float(b)) for a, b in zip(state.shape, inside, strict=True)]
            for box in (shapes, flat):
                assert all(x.contains(z) for x, z in zip(box, shape, strict=True))
            rows = basis @ np.array(shape).reshape(3, 2)
            for i, j in np.ndindex(4, 2):
                assert y[i][j].contains(rows[i, j])
                assert same[i, j].contains(rows[i, j])
        wide = around(state.shape, arb(radius))
        plain = basis @ np.array(wide).reshape(3, 2)
        assert max(z.rad() for z in y[1]) < 0.02 * min(z.rad() for z in plain[1])
        assert max(z.rad() for z in same[1]) < 0.02 * min(z.rad() for z in plain[1])


def test_boxes_without_a_lens_are_those_of_the_radius(state):
    radius, basis = 1e-3, state.begun.basis
    with precision(BITS + 24):
        c = np.array(state.shape).reshape(3, 2)
        plain = Checked(None, basis, c)
        for box in (plain.box(c, arb(radius)), basis.T @ plain.neurons(c, arb(radius))):
            for x, z in zip(box.ravel(), c.ravel(), strict=True):
                assert x.contains(z + 0.999 * radius)
                assert x.contains(z - 0.999 * radius)
        assert all(x.rad() < 1.001 * radius for x in plain.box(c, arb(radius)).ravel())
        assert plain.widest == plain.longest == 1
