"""A tail with a short neuron: boxes that are narrow where it turns, of maker and checker."""

import numpy as np
import pytest
from flint import arb, arb_mat

from flows.certificates.stated import Open
from flows.certificates.tail import tail as maker
from flows.certificates.tail.late import Late
from flows.certificates.verifier import tail as checker
from flows.certificates.verifier.ellipsoid import middles
from flows.certificates.verifier.late_flow import rates
from flows.certificates.verifier.lens import Lens
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
# Products of matrices of balls, and of blocks, agree to so much of the largest entry.
EQUAL = 1e-12


class State:
    """A late state, its limiting shape, and what is stated of it."""

    def __init__(self) -> None:
        heights = [*map(arb, H)]
        heights.append(1 - sum(heights, arb(0)))
        guess = np.array([[*map(arb, row)] for row in GUESS])
        rows = np.column_stack([np.array(heights), arb(S) * guess])
        self.shape = maker.zero(Late(rows, arb(S)))
        still = Late(rows, arb(S)).resting()
        found = rates(still.basis @ self.shape, still.h, arb(0))
        self.slope, self.basis, self.h = still.derivative(found), still.basis, still.h
        _, vectors = np.linalg.eigh(middles(still.held(self.slope, self.shape)))
        slow = np.array([arb(float(x)) for x in vectors[:, 0]]).reshape(3, 2)
        rows[:, 1:] = arb(S) * (self.basis @ (self.shape + OFF * slow))
        self.rows = rows + ERROR * arb(0, 1)

    def lens(self, stated):
        """As the checker reads it."""
        return Lens(stated.get("frame"), self.basis, self.shape)


@pytest.fixture(scope="module")
def state():
    with precision(BITS + 24):
        return State()


@pytest.fixture(scope="module")
def tail(state):
    with precision(BITS + 24):
        return maker.prove(Late(state.rows, arb(S)), state.shape, 0.0, BITS)


def checked(state, stated):
    with precision(BITS + 24):
        return checker.lasting(checker.Flow(state.rows, arb(S)), stated, arb(0), BITS)


def test_a_short_neuron_needs_a_lens_and_the_checker_agrees(state, tail, monkeypatch):
    stated, (limit, _, _) = tail
    assert stated["frame"]
    same, h, _ = checked(state, stated)
    assert limit.rad() < 1e-15 and same.overlaps(limit)
    assert [float(x.mid()) for x in h[:3]] == pytest.approx(H, rel=1e-12)

    def unbent(stated, check):
        if "frame" in stated:
            raise Open("no lens is tried")
        return enlarged(stated, check)

    enlarged = maker.enlarged
    monkeypatch.setattr(maker, "enlarged", unbent)
    with precision(BITS + 24), pytest.raises(Open, match=r"not contract|leave|small"):
        maker.prove(Late(state.rows, arb(S)), state.shape, 0.0, BITS)


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
        (lambda stated: {k: v for k, v in stated.items() if k != "frame"}, "begin|move further"),
        (_frame(lambda rows: rows[:-1]), "wrong size"),
        (_frame(lambda rows: rows[:, :-1]), "wrong size"),
        (_frame(lambda rows: 0 * rows), "may not be invertible"),
        (_frame(lambda rows: rows[:, [0] * 6]), "may not be invertible"),
        (_frame(lambda rows: rows[::-1]), "not contract|begin|leave"),
        (_frame(lambda rows: 4.0 * rows), "not contract|move further"),
        (_frame(lambda rows: 0.5 * rows), "begin within e"),
        (_scaled("e", 0.3), "begin within e"),
        (_scaled("e", 4.0), "not contract|move further"),
        (_scaled("rate", 9.0), "not contract"),
        (_scaled("d", 1e-18), "further than d"),
        (_scaled("across", 0.5), "exceed R|beyond R"),
    ],
)
def test_a_changed_tail_is_refused(state, tail, change, reason):
    with pytest.raises(Refused, match=reason):
        checked(state, change(tail[0]))


@pytest.mark.parametrize("bent", [False, True])
def test_slopes_are_those_of_the_flow_in_other_coordinates(state, tail, bent):
    with precision(BITS + 24):
        late = Late(state.rows, arb(S))
        late.lens = state.lens(tail[0] if bent else {})
        inverse, slope, matrix = (
            arb_mat(x.tolist()) for x in (late.lens.inverse, state.slope, late.lens.matrix)
        )
        wanted = np.array((inverse * slope * matrix).tolist())
        blocks = late.derivative(rates(state.basis @ state.shape, state.h, arb(0)))
        largest = abs(middles(wanted)).max()
        assert (abs(middles(blocks - wanted)) <= EQUAL * largest).all()


def test_boxes_through_a_lens_hold_its_ball_and_are_narrow_for_the_short_neuron(state, tail):
    random, radius = np.random.default_rng(0), 1e-3
    with precision(BITS + 24):
        lens, c = state.lens(tail[0]), state.shape
        same, flat = lens.neurons(c, arb(radius)), lens.box(c, arb(radius))
        for _ in range(50):
            x = random.normal(size=6)
            x = 0.999 * radius * x / np.linalg.norm(x)
            shape = c + (lens.matrix @ np.array([arb(z) for z in x])).reshape(3, 2)
            rows = state.basis @ shape
            for k in np.ndindex(3, 2):
                assert flat[k].contains(shape[k])
            for k in np.ndindex(4, 2):
                assert same[k].contains(rows[k])
        plain = state.basis @ (c + radius * arb(0, 1))
        assert max(z.rad() for z in same[1]) < 0.02 * min(z.rad() for z in plain[1])


def test_boxes_without_a_lens_are_those_of_the_radius(state):
    radius, basis, c = 1e-3, state.basis, state.shape
    with precision(BITS + 24):
        plain = state.lens({})
        for box in (plain.box(c, arb(radius)), basis.T @ plain.neurons(c, arb(radius))):
            for x, z in zip(box.ravel(), c.ravel(), strict=True):
                assert x.contains(z + 0.999 * radius)
                assert x.contains(z - 0.999 * radius)
        assert all(x.rad() < 1.001 * radius for x in plain.box(c, arb(radius)).ravel())
        assert plain.widest == plain.longest == 1
