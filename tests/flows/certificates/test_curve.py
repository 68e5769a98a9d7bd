"""A cubic beside the limiting flow: how far it is off is bounded, and not by much more."""

import itertools

import numpy as np
import pytest
from flint import arb

import flows
from flows.certificates.tail.carry import Carry
from flows.certificates.tail.late import Late
from flows.certificates.tail.tail import prove, zero
from flows.certificates.verifier.curve import norm
from flows.certificates.verifier.tail import Flow
from flows.core.balls import precision

# A bound of a sum by the sum of bounds, on a short step.
LOOSE = 1.2
# Two ways to write a function are enclosed alike up to a little.
ALIKE = 1.01
# n, d, seed = 3, 2, 2 at t = 1e10, of `flows.certify` with 20 digits: a shape that looks at rest.
PLATEAU = (-0.19403438294198666, 1.417186951786396)
PARTS = (0.07471769054873406, -0.18178343513316814)
# Of a prototype that shares no code.
LIMIT = "0.965508537781836643 +/- 8.5e-19"


def _flow(n, p, s=2.0**-40):
    """Neurons at the end of a shape that is random, or at one of which nothing is said."""
    random = np.random.default_rng(n)
    late = _late(n, p, random.normal(size=n * p - p), 0.05 * random.normal(size=n - 1), s)
    return late.resting()


def _late(n, p, c, g, s):
    late = Late(np.array([[arb(1) / n] + [arb(0)] * p] * n), arb(s))
    late.c = np.array([arb(float(x)) for x in c]).reshape(n - 1, p)
    late.g = np.array([arb(float(x)) for x in g])
    return late


def _cubic(flow, length):
    """A cubic that leaves in the direction of the flow and then bends as it likes."""
    random, h = np.random.default_rng(1), length / 2
    a, b = (
        np.array([arb(x) for x in part]).reshape(flow.c.shape)
        for part in random.normal(size=(flow.c.size, 2)).T
    )
    slope = np.array(flow.field(flow.c)).reshape(flow.c.shape)
    return flow.c, h * slope, h * h * a, h**3 * b


def _worst(flow, b, half):
    """Largest defect at many points."""
    sizes = []
    for v in np.linspace(-1, 1, 101):
        at = b[0] + v * b[1] + v * v * b[2] + v**3 * b[3]
        speed = (b[1] + 2 * v * b[2] + 3 * v * v * b[3]) / half
        sizes.append(float(norm(speed.ravel() - np.array(flow.field(at)))))
    return max(sizes)


@pytest.mark.parametrize(("n", "p"), [(2, 1), (3, 1), (3, 2)])
def test_the_defect_is_bounded_and_the_bound_is_sharp_on_short_steps(n, p):
    with precision(200):
        flow = _flow(n, p)
        for length in (2.0**-4, 2.0**-6):
            b, half = _cubic(flow, length), arb(length) / 2
            assert _worst(flow, b, half) <= float(flow.off(b, half).upper())
        assert float(flow.off(b, half)) < LOOSE * _worst(flow, b, half)


@pytest.mark.parametrize("p", [1, 2])
def test_the_defect_is_bounded_where_neurons_change_places(p):
    # Both neurons pass the same place in the middle: there the field is C^1 only.
    with precision(200):
        flow, h = _late(2, p, [0.0] * p, [0.0], 2.0**-40).resting(), arb(2) ** -5
        rows = [[arb(2) ** -12, h * (1 + k), h * h, arb(0)] for k in range(p)]
        b = [np.array(x).reshape(1, p) for x in zip(*rows, strict=True)]
        bound = float(flow.off(b, h))
        assert _worst(flow, b, h) <= bound < LOOSE * _worst(flow, b, h)


@pytest.mark.parametrize(("n", "p"), [(2, 1), (3, 2)])
def test_the_defect_is_bounded_for_all_late_clocks(n, p):
    with precision(200):
        flow, half = _flow(n, p), arb(2) ** -6
        b = _cubic(flow, 2.0**-5)
        worst, still = _worst(flow, b, half), float(flow.off(b, half))
        flow.clock = arb(0).union(arb(2) ** -20)
        assert worst <= float(flow.off(b, half).upper()) < ALIKE * still


@pytest.fixture(scope="module")
def plateau():
    """The carry of a plateau that no run to 1e12 can see end."""
    with precision(200):
        late = _late(3, 1, PLATEAU, PARTS, 1e-10)
        late.e, late.across, late.along = arb(1e-10), arb(3), arb(3)
        carry = Carry(late, 136)
        states = [carry.late]
        while carry.passed < 70:
            carry.advance()
            states.append(carry.late)
    return carry, states


def test_a_plateau_that_looks_like_the_limit_is_left(plateau):
    carry, states = plateau
    with precision(200):
        height = [float((late.c * late.c).sum()) / 3 for late in states]
        assert abs(height[0] - 0.682) < 1e-3
        assert len(carry.steps) < 400
        _, (limit, h, _) = prove(carry.late, zero(carry.late), 0.0, 136)
        # The start is typed with sixteen digits: so many are those of the limit.
        assert abs(limit - arb(LIMIT)) < 1e-13
        parts = [float(x) for x in h]
    law = flows.late_time_law(flows.ReLUNeuron(n=3, d=2), at=[[x, 0.0] for x in parts])
    chosen = law.laws[law.chosen or 0]
    assert abs(chosen.constant - float(limit.mid())) < 1e-12


def test_the_checker_accepts_the_steps_on_which_neurons_change_places(plateau):
    carry, states = plateau
    with precision(200):
        kinks = [k for k, (a, b) in enumerate(itertools.pairwise(states)) if _order(a) != _order(b)]
        assert kinks
        for k in kinks:
            _checked(states[k], carry.steps[k])


def _order(late):
    """Order of the neurons' directions."""
    h = late.basis @ late.g + arb(1) / 3
    return np.argsort([float(z) for z in (late.basis @ late.c)[:, 0] / h]).tolist()


def _checked(late, stated):
    flow = Flow(np.array([[arb(1) / 3, arb(0)]] * 3), late.s)
    flow.c, flow.e = late.c, late.e
    flow.g, flow.across, flow.along = late.g, late.across, late.along
    flow.step(stated, arb(0), 136)
    assert flow.e <= arb(float.fromhex(stated["e"]))
