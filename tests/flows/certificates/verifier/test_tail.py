"""The checker of proofs to infinity accepts what is made, and refuses what is changed a little."""

import copy
import itertools
import json
import math
import re
from dataclasses import replace

import numpy as np
import pytest
from flint import arb

import flows
from flows.certificates import forever
from flows.certificates.tail import carry, start
from flows.certificates.tail.late import exact
from flows.certificates.tail.tail import prove, zero
from flows.certificates.verifier import tail
from flows.certificates.verifier.curve import norm
from flows.certificates.verifier.late_flow import ORDER, rates
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


def _of_the_definition(y, h, s):
    """``B/2pi``, ``A/2pi`` and ``Lambda``, of the flow without its residual."""
    rows = [[a, *(s * z for z in v)] for a, v in zip(h, y, strict=True)]
    rows.append([arb(1)] + [arb(0)] * len(y[0]))
    sizes, n = [norm(np.array(row)) for row in rows], len(h)
    across, along, energy = 0 * y, 0 * h, arb(0)
    for i, j in itertools.permutations(range(n + 1), 2):
        if i == n:
            continue
        cosine = np.array(rows[i]) @ np.array(rows[j]) / sizes[i] / sizes[j]
        angle, mu = cosine.acos(), 1 if j < n else -1
        turn = sizes[j] * angle.sin() * np.array(rows[i]) / sizes[i] - angle * np.array(rows[j])
        across[i] += mu * turn[1:] / s**2 / (2 * arb.pi())
        along[i] += mu * turn[0] / s**3 / (2 * arb.pi())
        part = mu * sizes[i] * sizes[j] * (angle.sin() - angle * cosine) / s**3 / (2 * arb.pi())
        energy += part / 2 if j < n else part
    return across, along, energy


# The checker's series of angles end early: what is left, for a late clock and an early one.
@pytest.mark.parametrize(("clock", "left"), [(2.0**-30, 1e-18), (2.0**-4, 5e-3)])
@pytest.mark.parametrize(("n", "p"), [(2, 1), (3, 1), (3, 2), (4, 3)])
def test_the_late_flow_is_that_of_the_definition(n, p, clock, left):
    random, step = np.random.default_rng(n), arb(2) ** -100
    with precision(600):
        s = arb(clock)
        y = np.array([[arb(v) for v in row] for row in random.normal(size=(n, p)) / 3])
        h = np.array([arb(v) for v in random.uniform(0.2, 0.5, n)])
        found, wanted = rates(y, h, s), _of_the_definition(y, h, s)
        pairs = list(zip(found.b.ravel(), wanted[0].ravel(), strict=True))
        pairs += [*zip(found.a, wanted[1], strict=True), (found.energy, wanted[2])]
        for j, k in np.ndindex(n, p):
            move = np.array([[step * ((i, m) == (j, k)) for m in range(p)] for i in range(n)])
            up, down = (_of_the_definition(y + sign * move, h, s)[0] for sign in (1, -1))
            slope = (up - down) / (2 * step)
            pairs += [(found.blocks[i, j, m, k], slope[i, m]) for i, m in np.ndindex(n, p)]
        for a, b in pairs:
            assert abs(a - b) < left, (a, b)
            assert a.overlaps(b)
        other = rates(arb(1.001) * y, h, s)  # control: a thousandth more
        assert not other.b[0, 0].overlaps(wanted[0][0, 0])


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
        proved = prove(carrying.late, zero(carrying.late), 0.0, finite.bits)
        infinity = forever._stated(finite, 0.0, tuple(carrying.steps), *proved)
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
        return tail.Flow(_rows(made), 1 / start.end_time(made))


def _rows(made):
    return start.rows_at_end(made) / made.flow().teacher[0]


def test_a_step_of_the_carry_ends_where_its_maker_says(carried):
    _, made, states = carried
    flow = _begun(made)
    with precision(made.precision):
        for stated, before, after in zip(made.infinity.steps, states[:-1], states[1:], strict=True):
            bounds = flow.step(stated, arb(0), made.bits)
            assert flow.s.overlaps(after.s)
            # The maker states a growth of errors a little above that which it counts with.
            for mine, theirs in ((flow.e, after.e), (flow.across, after.across)):
                assert abs(mine / theirs - 1) < 1e-9
            for mine, theirs in zip(flow.g, after.g, strict=True):
                assert mine.overlaps(theirs)
            whole = (1 + before.s.union(after.s)) ** 3 * after.energy(after.box.rates, stated)
            assert bounds.overlaps(whole)


def test_what_the_mean_of_y_adds_is_what_it_does_to_the_field():
    random, size = np.random.default_rng(0), arb(2) ** -20
    stated = {"across": (2.0).hex(), "along": (2.0).hex(), "drift": (1e-9).hex()}
    with precision(200):
        y, h = random.normal(size=(3, 2)) / 3, random.uniform(0.2, 0.5, 3)
        rows = [[arb(a), *(size * arb(z) for z in v)] for a, v in zip(h, y, strict=True)]
        flow = tail.Flow(np.array(rows), size)
        flow.across = flow.along = arb(0)
        flow.on(flow.c, stated)
        reach, moves = size * 2 / 3, []
        for k in range(2):
            move = np.array([reach * (m == k) for m in range(2)])
            still, moved = (
                rates(flow.basis @ flow.c + z, exact(flow.h), arb(0)).b for z in (0, move)
            )
            moves.append(norm((flow.basis.T @ (moved - still)).ravel()))
        # All moves are bounded there, and two directions are looked at here.
        assert 1 < float((flow.ahead[2] / max(moves, key=float)).mid()) < 2


def test_the_box_of_a_step_holds_its_cubic(carried):
    class Seen(Exception):
        pass

    class Spy(tail.Flow):
        def on(self, c, stated):
            raise Seen(c)

    _, made, _ = carried
    with precision(made.precision):
        flow = Spy(_rows(made), 1 / start.end_time(made))
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
        flow.clock = flow.s
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
    stated = made.infinity.steps[0]
    with precision(made.precision):
        ends = []
        e, length = (float.fromhex(stated[key]) for key in ("e", "length"))
        for push in (0.0, 0.02 * e / length):
            flow = Pushed(_rows(made), 1 / start.end_time(made))
            flow.more = arb(push)
            flow.step(stated, arb(0), made.bits)
            ends.append(flow.e)
        assert 0.019 * e < ends[1] - ends[0] < 0.021 * e


def test_the_defect_of_a_step_counts_the_remainder_of_its_series(carried):
    class Fourth(tail.Flow):
        def field(self, c):
            # Its series about the middle begins at the order that is bounded on the whole step.
            return [-(c[0][0] ** ORDER), *[0 * c[0][0]] * (self.c.size - 1)]

    _, made, _ = carried
    with precision(made.precision):
        flow = Fourth(_rows(made), 1 / start.end_time(made))
        b = [np.array([[arb(z)] * flow.p] * (flow.n - 1)) for z in (0, 1, 0, 0)]
        found = flow.off(b, arb(1))
        others = math.sqrt(flow.c.size - 1)  # of these only p' is left
        assert found >= norm(np.array([arb(2), arb(others)])).lower()
        assert found <= 2 + others
