"""The checker of proofs to infinity accepts what is made, and refuses what is changed a little."""

import copy
import json
import math
import re
from dataclasses import replace

import numpy as np
import pytest
from flint import arb

import flows
from flows.certificates import forever
from flows.certificates.chebyshev import rounded
from flows.certificates.tail import carry, start
from flows.certificates.tail.box import Frame, around, middle, moved, norm
from flows.certificates.tail.curve import Curve
from flows.certificates.tail.late_flow import LateFlow, Point
from flows.certificates.tail.tail import prove, zero
from flows.certificates.verifier import tail
from flows.certificates.verifier.late_flow import ORDER
from flows.certificates.verifier.reading import Refused
from flows.core.balls import precision


@pytest.fixture(scope="module")
def made(tmp_path_factory):
    system = flows.ReLUNeuron(n=2, d=2)
    certificate = flows.certify(system, system.initial(0.1, 0), math.inf, digits=8)
    path = tmp_path_factory.mktemp("endless") / "c.json"
    certificate.save(path)
    return certificate, path


def test_a_certificate_is_accepted_with_the_theorem_and_the_start(made):
    certificate, path = made
    found = flows.verify(path, certificate.system, certificate.start)
    assert found.accepted, found.refused
    assert np.array_equal(found.start, certificate.start)
    with precision(certificate.precision):
        assert certificate.infinity.constant.contains(found.endless.limit)
    lower, upper = certificate.infinity.all_times
    assert 0 < lower < found.endless.lower < found.endless.upper < upper


def test_a_teacher_twice_as_long_has_losses_four_times_as_large(made, tmp_path, monkeypatch):
    certificate, source = made
    system = flows.ReLUNeuron(n=2, d=2, teacher=2 * np.array(certificate.system.teacher))
    path = tmp_path / "longer.json"
    flows.certify(system, 2 * certificate.start, math.inf, digits=8).save(path)
    # What is bounded before the tail hides the bounds of the tail.
    monkeypatch.setattr(tail, "before", lambda *_: [])
    found, one = flows.verify(path), flows.verify(source)
    assert found.accepted, found.refused
    with precision(certificate.precision):
        assert (found.endless.limit / 4).overlaps(one.endless.limit)
        for longer, unit in zip(found.endless.h, one.endless.h, strict=True):
            assert (longer / 2).overlaps(unit)
    # Radii of certificates are chosen anew.
    assert found.endless.lower == pytest.approx(4 * one.endless.lower, rel=1e-3)
    assert found.endless.upper == pytest.approx(4 * one.endless.upper, rel=1e-3)


def _tail(key, change):
    def broken(data):
        data["infinity"]["tail"][key] = change(float.fromhex(data["infinity"]["tail"][key])).hex()

    return broken


def _sign(data):
    shape = data["infinity"]["tail"]["shape"]
    shape[0] = shape[0][1:] if shape[0].startswith("-") else "-" + shape[0]


def _start(data):
    x = float.fromhex(data["start"][0][0])
    data["start"][0][0] = math.nextafter(x, 1.0).hex()


def _limit(data):
    stated = data["infinity"]["limit"]
    shift = int(20 * float.fromhex(stated["radius"]) * 2.0 ** data["bits"])
    stated["value"] = f"{int(stated['value'], 16) + shift:x}"


def _narrow(data):
    stated = data["infinity"]["limit"]
    stated["radius"] = (1e-6 * float.fromhex(stated["radius"])).hex()


def _part(data):
    stated = data["infinity"]["h"][0]
    stated["radius"] = (1e-6 * float.fromhex(stated["radius"])).hex()


def _clock(data):
    data["infinity"]["clock"] = (1.01 * float.fromhex(data["infinity"]["clock"])).hex()


@pytest.mark.parametrize(
    ("broken", "reason"),
    [
        (_tail("rate", lambda x: 1.1 * x), "errors may grow faster|the shape may not contract"),
        (_tail("rate", lambda x: -x), "its rate is not positive"),
        (_tail("across", lambda x: x / 2), "exceed R|beyond R|reach R"),
        (_tail("along", lambda x: x / 2), "exceed R0|beyond R|reach R"),
        (_tail("drift", lambda x: x / 2), "g may move further"),
        (_tail("e", lambda x: x / 2), "does not begin within e|may leave"),
        (_tail("d", lambda x: 0.0 * x), "further than d"),
        (_sign, "tail"),
        (_clock, "tail"),
        (_limit, "the limit of t"),
        (_narrow, "the limit of t"),
        (_part, "the limit of h"),
    ],
)
def test_what_is_changed_a_little_is_refused_with_the_reason(made, tmp_path, broken, reason):
    data = copy.deepcopy(json.loads(made[1].read_text()))
    broken(data)
    path = tmp_path / "broken.json"
    path.write_text(json.dumps(data))
    found = flows.verify(path)
    assert not found.accepted
    assert re.search(reason, found.refused), found.refused


def test_another_start_in_the_last_bit_is_refused(made, tmp_path):
    certificate, source = made
    data = json.loads(source.read_text())
    _start(data)
    path = tmp_path / "other.json"
    path.write_text(json.dumps(data))
    found = flows.verify(path, certificate.system, certificate.start)
    assert found.refused == "it is about another start"


@pytest.mark.parametrize(("n", "p"), [(2, 1), (3, 1), (3, 2)])
def test_both_formulas_of_the_late_flow_agree(n, p):
    # The maker differentiates automatically; the checker has blocks of the Hessian.
    random = np.random.default_rng(n)
    with precision(200):
        flow, x = LateFlow(n, p), arb(2) ** -80
        w = np.array([[arb(v) for v in row] for row in random.normal(size=(n, p + 1)) / 9 + 0.3])
        late = tail.Flow(w, arb(1))
        c = late.c
        h = late.basis @ late.g + arb(1) / n
        mine = tail.rates(late.basis @ c, h, arb(0).union(arb(2) ** -40))
        found = flow.rates(
            Point(list(c.ravel()), [arb(0)] * p, list(late.g), arb(0), arb(0).union(x))
        )
        field = (c - late.basis.T @ mine.b).ravel()
        assert all(abs(a - j.value) < 1e-18 for a, j in zip(field, found.shape, strict=True))
        assert abs(mine.energy - found.energy.value) < 1e-18
        drift = -late.basis.T @ mine.a
        assert all(abs(a - j.value) < 1e-18 for a, j in zip(drift, found.drift, strict=True))
        slope = late.derivative(mine)
        for row, jet in zip(slope, found.shape, strict=True):
            assert all(abs(a - jet.slope[0, k]) < 1e-18 for k, a in enumerate(row))


@pytest.mark.parametrize(("n", "p"), [(2, 1), (3, 2)])
def test_both_formulas_agree_at_an_early_clock(n, p):
    # Where angles are not small, the terms of each order are seen.
    random = np.random.default_rng(n)
    with precision(200):
        flow, s = LateFlow(n, p), arb(2) ** -4
        w = np.array([[arb(v) for v in row] for row in random.normal(size=(n, p + 1)) / 9 + 0.3])
        late = tail.Flow(w, arb(1))
        c = 4 * late.c
        h = late.basis @ late.g + arb(1) / n
        mine = tail.rates(late.basis @ c, h, s)
        found = flow.rates(Point(list(c.ravel()), [arb(0)] * p, list(late.g), arb(0), s * s))
        pairs = [(mine.energy, found.energy.value)]
        pairs += zip(-late.basis.T @ mine.a, (j.value for j in found.drift), strict=True)
        field = (c - late.basis.T @ mine.b).ravel()
        pairs += zip(field, (j.value for j in found.shape), strict=True)
        for row, jet in zip(late.derivative(mine), found.shape, strict=True):
            pairs += [(a, jet.slope[0, k]) for k, a in enumerate(row)]
        for a, b in pairs:
            assert a.overlaps(b), (a, b)
            assert abs(a - b) < 2e-3


@pytest.fixture(scope="module")
def carried(tmp_path_factory):
    """Three steps of carry, although this start needs none."""
    system = flows.ReLUNeuron(n=2, d=2)
    finite = flows.certify(system, system.initial(0.1, 0), 2000.0, digits=8)
    with precision(finite.precision):
        carrying = carry.Carry(start.late(finite, 0.0), finite.bits)
        states = [carrying.late]
        for length in (2.0**-12, 2.0**-4, 2.0**-3):  # the first one forgets little
            carrying.length = length
            carrying.advance()
            states.append(carrying.late)
        late = carrying.late
        c = zero(late.flow, Frame(late.s, late.across, late.along, late.g), late.c)
        shape = tuple(rounded(x, finite.bits) for x in middle(c))
        proved, _ = prove(late, [arb((x, -finite.bits)) for x in shape])
        infinity = forever._concluded(finite, 0.0, tuple(carrying.steps), shape, proved)
    path = tmp_path_factory.mktemp("carried") / "c.json"
    made = replace(finite, infinity=infinity)
    made.save(path)
    return path, made, states


def test_a_carry_is_accepted(carried):
    found = flows.verify(carried[0])
    assert found.accepted, found.refused
    with precision(200):
        assert found.endless.limit.overlaps(arb("1.63582401713993790103705 +/- 6.8e-24"))


@pytest.mark.parametrize(
    ("key", "change", "reason"),
    [
        ("e", lambda x: x / 8, r"leave its tube: .* against|errors may grow"),
        ("across", lambda x: x / 2, r"\|rho\| may exceed R: .* against"),
        ("along", lambda x: x / 2, r"\|sigma\| may exceed R0: .* against"),
        ("drift", lambda x: x / 2, r"g may move further: .* against"),
        ("growth", lambda x: x - 0.1, "errors may grow faster than"),
    ],
)
def test_a_step_of_the_carry_that_is_changed_is_refused(carried, tmp_path, key, change, reason):
    data = json.loads(carried[0].read_text())
    step = data["infinity"]["steps"][1]
    step[key] = change(float.fromhex(step[key])).hex()
    path = tmp_path / "broken.json"
    path.write_text(json.dumps(data))
    found = flows.verify(path)
    assert re.search(f"step 1 to infinity: .*({reason})", found.refused), found.refused


def _begun(made):
    """What the checker has at the end of the pieces."""
    with precision(made.precision):
        rows = np.array(start.rows_at_end(made))
        return tail.Flow(rows, 1 / start.end_time(made))


def test_a_step_of_the_carry_ends_where_its_maker_says(carried):
    _, made, states = carried
    flow, steps = _begun(made), made.to_json()["infinity"]["steps"]
    with precision(made.precision):
        for step, stated, before in zip(made.infinity.steps, steps, states[:-1], strict=True):
            # Exact parts, so that one sees how far they move.
            flow.g = np.array(middle(before.g))
            bounds = flow.step(stated, arb(0), made.bits)
            after, energy = carry.carried(replace(before, g=middle(before.g)), step, made.bits)
            assert flow.s.overlaps(after.s)
            # The maker leaves room in what errors grow by, none in what is forgotten.
            assert after.error / 4 < flow.e < after.error
            for mine, theirs in ((flow.across, after.across), (flow.along, after.along)):
                assert abs(mine / theirs - 1) < 0.05
            for mine, theirs in zip(flow.g, after.g, strict=True):
                assert mine.overlaps(theirs)
                assert 0.5 < float(mine.rad() / theirs.rad()) < 2
            whole = (1 + before.s.union(after.s)) ** 3 * energy
            assert bounds.overlaps(whole)
            assert float(bounds.rad() / whole.rad()) < 4


def test_what_the_mean_of_y_adds_is_bounded_as_by_the_maker(carried):
    _, made, states = carried
    flow, late, step = _begun(made), states[0], made.infinity.steps[0]
    with precision(made.precision):
        curve = Curve.of(step.rows, step.length, made.bits)
        flow.on(np.array(curve.box()).reshape(flow.c.shape), made.to_json()["infinity"]["steps"][0])
        frame = Frame(late.s, arb(step.across), arb(step.along), around(late.g, arb(step.drift)))
        box = late.flow.rates(frame.point(late.flow, curve.box()))
        size, p = late.flow.size, late.flow.p
        moves = frame.moves(late.flow)[:p]
        forced = norm([moved(jet.slope, size, moves) for jet in box.shape])
        # Blocks of balls are summed here, and slopes by the mean there.
        assert 1 < float(flow.ahead[2].upper() / forced) < 3.5


def test_the_box_of_a_step_holds_its_cubic(carried):
    class Seen(Exception):
        pass

    class Spy(tail.Flow):
        def on(self, c, stated):
            raise Seen(c)

    _, made, _ = carried
    with precision(made.precision):
        flow = Spy(np.array(start.rows_at_end(made)), 1 / start.end_time(made))
        zero = (0.0).hex()
        for row in ([0, 0, 8, 0], [1, 5, 0, 0], [0, 0, 0, -3], [2, -3, 1, 4], [0, 3, -7, 1]):
            stated = {"length": (0.5).hex(), "e": zero, "growth": zero}
            stated["coefficients"] = [[f"{c << made.bits:x}" for c in row]]
            with pytest.raises(Seen) as seen:
                flow.step(stated, arb(0), made.bits)
            ((box,),) = seen.value.args[0]
            for v in np.linspace(-1, 1, 9):
                assert box.contains(arb(float(np.polyval(row[::-1], v))))
            assert box.rad() <= sum(map(abs, row[1:])) + 1e-6


@pytest.mark.parametrize(
    ("along", "across", "proved"), [(-1, 0, True), (-1, 2, True), (0, -1, False)]
)
def test_rotations_of_a_shape_are_held_and_nothing_else(along, across, proved):
    with precision(100):
        flow = tail.Flow(
            np.array([[arb(1) / 2, arb(3), arb(4)], [arb(1) / 2, arb(0), arb(0)]]), arb(1)
        )
        unit = flow.c[0] / tail.norm(flow.c[0])
        other = np.array([-unit[1], unit[0]])
        slope = along * np.outer(unit, unit) + across * np.outer(other, other)
        if proved:
            flow.contracts(slope, flow.c, arb(-0.5), "it grows at")
        else:
            with pytest.raises(Refused, match=r"it grows at -0.5"):
                flow.contracts(slope, flow.c, arb(-0.5), "it grows at")


def test_the_factor_of_a_clock_is_that_of_its_time(carried):
    _, made, _ = carried
    flow = _begun(made)
    with precision(made.precision):
        found = tail.Rates(None, None, arb(3), None)
        stated = {"across": (0.0).hex(), "along": (0.0).hex()}
        flow.s, t0, t = 1 / (arb(7) + 20), arb(7), arb(20)
        bounds = flow.bounds(found, stated, flow.s, t0)
        assert abs(bounds - 3 * ((1 + t) / (t0 + t)) ** 3) < 1e-20


def test_what_the_mean_of_y_adds_counts_in_the_error_of_a_step(carried):
    class Pushed(tail.Flow):
        more = arb(0)

        def on(self, c, stated):
            found = super().on(c, stated)
            self.ahead = *self.ahead[:2], self.ahead[2] + self.more
            return found

    _, made, _ = carried
    step, stated = made.infinity.steps[0], made.to_json()["infinity"]["steps"][0]
    with precision(made.precision):
        ends = []
        for push in (0.0, 0.02 * step.e / step.length):
            flow = Pushed(np.array(start.rows_at_end(made)), 1 / start.end_time(made))
            flow.more = arb(push)
            flow.step(stated, arb(0), made.bits)
            ends.append(flow.e)
        assert 0.019 * step.e < ends[1] - ends[0] < 0.021 * step.e


def test_the_defect_of_a_step_counts_the_remainder_of_its_series(carried):
    class Fourth(tail.Flow):
        def field(self, c):
            # Its series about the middle begins at the order that is bounded on the whole step.
            return [-(c[0][0] ** ORDER), *[0 * c[0][0]] * (self.c.size - 1)]

    _, made, _ = carried
    with precision(made.precision):
        flow = Fourth(np.array(start.rows_at_end(made)), 1 / start.end_time(made))
        b = [np.array([[arb(z)] * flow.p] * (flow.n - 1)) for z in (0, 1, 0, 0)]
        found = flow.off(b, arb(1))
        others = math.sqrt(flow.c.size - 1)  # of these only p' is left
        assert found >= norm(np.array([arb(2), arb(others)])).lower()
        assert found <= 2 + others
