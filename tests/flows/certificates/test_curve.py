"""A cubic beside the limiting flow: how far it is off is bounded, and not by much more."""

import itertools

import numpy as np
import pytest
from flint import arb

import flows
from flows.certificates.tail.box import Frame, middle, norm
from flows.certificates.tail.carry import Carry
from flows.certificates.tail.curve import Curve, off, resting
from flows.certificates.tail.late_flow import LateFlow, Point
from flows.certificates.tail.tail import Late, prove, zero
from flows.certificates.verifier import tail
from flows.core.balls import precision

# Both compute with 200 bits.
ROUNDING = 1e-50
# A bound of a sum by the sum of bounds, on a short step.
LOOSE = 1.2
# Two ways to write a function are enclosed alike up to a little.
ALIKE = 1.01
# n, d, seed = 3, 2, 2 at t = 1e10, of `flows.certify` with 20 digits: a shape that looks at rest.
PLATEAU = (-0.19403438294198666, 1.417186951786396)
PARTS = (0.07471769054873406, -0.18178343513316814)
# Of a prototype that shares no code.
LIMIT = "0.965508537781836643 +/- 8.5e-19"


def _shape(flow, seed):
    random = np.random.default_rng(seed)
    c = [arb(x) for x in random.normal(size=flow.size)]
    return c, [arb(x) for x in 0.05 * random.normal(size=flow.n - 1)]


def _cubic(flow, c, g, length):
    """A cubic that leaves in the direction of the flow and then bends as it likes."""
    random, h = np.random.default_rng(1), length / 2
    slope = resting(flow, c, g)
    bend = random.normal(size=(flow.size, 2))
    rows = [
        [x, h * v, arb(h * h * a), arb(h**3 * b)]
        for x, v, (a, b) in zip(c, slope, bend, strict=True)
    ]
    return Curve(rows, arb(h))


def _worst(flow, g, curve):
    """Largest defect at many points."""
    sizes = []
    for v in np.linspace(-1, 1, 101):
        at = [b[0] + v * b[1] + v * v * b[2] + v**3 * b[3] for b in curve.rows]
        speed = [(b[1] + 2 * v * b[2] + 3 * v * v * b[3]) / curve.half for b in curve.rows]
        field = resting(flow, at, g)
        sizes.append(float(norm([x - f for x, f in zip(speed, field, strict=True)])))
    return max(sizes)


@pytest.mark.parametrize(("n", "p"), [(2, 1), (3, 1), (3, 2), (4, 3)])
def test_the_limiting_flow_is_the_late_flow_at_infinity(n, p):
    flow = LateFlow(n, p)
    with precision(200):
        c, g = _shape(flow, n)
        still = flow.rates(Point(c, [arb(0)] * p, g, arb(0), arb(0)), slopes=False)
        for x, jet in zip(resting(flow, c, g), still.shape, strict=True):
            assert abs(x - jet.value) < ROUNDING


@pytest.mark.parametrize(("n", "p"), [(2, 1), (3, 1), (3, 2)])
def test_the_defect_is_bounded_and_the_bound_is_sharp_on_short_steps(n, p):
    flow = LateFlow(n, p)
    with precision(200):
        c, g = _shape(flow, n)
        for length in (2.0**-4, 2.0**-6):
            curve = _cubic(flow, c, g, length)
            assert _worst(flow, g, curve) <= float(off(flow, g, curve))
        assert float(off(flow, g, curve)) < LOOSE * _worst(flow, g, curve)


@pytest.mark.parametrize("p", [1, 2])
def test_the_defect_is_bounded_where_neurons_change_places(p):
    # Both neurons pass the same place in the middle: there the field is C^1 only.
    flow, length = LateFlow(2, p), 2.0**-4
    with precision(200):
        g, h = [arb(0)], arb(length) / 2
        rows = [[arb(2) ** -12, h * (1 + k), h * h, arb(0)] for k in range(p)]
        curve = Curve(rows, h)
        bound = float(off(flow, g, curve))
        assert _worst(flow, g, curve) <= bound < LOOSE * _worst(flow, g, curve)


@pytest.mark.parametrize(("n", "p"), [(2, 1), (3, 2)])
def test_the_defect_is_bounded_for_all_late_clocks(n, p):
    flow = LateFlow(n, p)
    with precision(200):
        c, g = _shape(flow, n)
        curve = _cubic(flow, c, g, 2.0**-5)
        mine = tail.Flow(np.array([[arb(1) / n] + [arb(0)] * p] * n), arb(2) ** -40)
        columns = np.array(g).reshape(-1)
        mine.h = mine.basis @ columns + arb(1) / n
        rows = [np.array(x).reshape(n - 1, p) for x in zip(*curve.rows, strict=True)]
        for clock in (arb(0), arb(0).union(arb(2) ** -20)):
            mine.clock = clock
            bound = float(mine.off(rows, curve.half).upper())
            assert _worst(flow, g, curve) <= bound < ALIKE * float(off(flow, g, curve))


@pytest.fixture(scope="module")
def plateau():
    """The carry of a plateau that no run to 1e12 can see end."""
    flow = LateFlow(3, 1)
    with precision(200):
        c, g = [arb(x) for x in PLATEAU], [arb(x) for x in PARTS]
        carry = Carry(Late(flow, arb(1e-10), c, arb(1e-10), g, arb(3), arb(3)), 136)
        states, passed = [carry.late], 0.0
        while passed < 70:
            carry.advance()
            states.append(carry.late)
            passed += carry.steps[-1].length
    return carry, states


def test_a_plateau_that_looks_like_the_limit_is_left(plateau):
    carry, states = plateau
    with precision(200):
        height = [float(sum(x * x for x in late.c)) / 3 for late in states]
        assert abs(height[0] - 0.682) < 1e-3
        assert len(carry.steps) < 400
        late = carry.late
        frame = Frame(late.s, late.across, late.along, late.g)
        shape = middle(zero(late.flow, frame, late.c))
        _, limits = prove(late, shape)
        # The start is typed with sixteen digits: so many are those of the limit.
        assert abs(limits.constant - arb(LIMIT)) < 1e-13
        h = tail.Flow(np.array([[arb(1) / 3, arb(0)]] * 3), late.s).basis @ np.array(limits.g)
        parts = [float(x) + 1 / 3 for x in h]
    law = flows.late_time_law(flows.ReLUNeuron(n=3, d=2), at=[[x, 0.0] for x in parts])
    chosen = law.laws[law.chosen or 0]
    assert abs(chosen.constant - float(limits.constant.mid())) < 1e-12


def test_the_checker_accepts_the_steps_on_which_neurons_change_places(plateau):
    carry, states = plateau
    with precision(200):
        kinks = [k for k, (a, b) in enumerate(itertools.pairwise(states)) if _order(a) != _order(b)]
        assert kinks
        for k in kinks:
            _checked(states[k], carry.steps[k])


def _order(late):
    return np.argsort([float(y[0]) for y in _places(late)]).tolist()


def _places(late):
    flow = tail.Flow(np.array([[arb(1) / 3, arb(0)]] * 3), late.s)
    h = flow.basis @ np.array(late.g) + arb(1) / 3
    return (flow.basis @ np.array(late.c).reshape(2, 1)) / h.reshape(3, 1)


def _checked(late, step):
    flow = tail.Flow(np.array([[arb(1) / 3, arb(0)]] * 3), late.s)
    flow.c, flow.e = np.array(late.c).reshape(2, 1), late.error
    flow.g, flow.across, flow.along = np.array(late.g), late.across, late.along
    stated = {
        "length": step.length.hex(),
        "coefficients": [[f"{c:x}" for c in row] for row in step.rows],
        **{k: getattr(step, k).hex() for k in ("e", "across", "along", "drift", "growth")},
    }
    flow.step(stated, arb(0), 136)
    assert flow.e <= arb(step.e)
