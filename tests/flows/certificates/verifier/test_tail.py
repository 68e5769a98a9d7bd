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
from flows.certificates.tail import start
from flows.certificates.tail.box import Frame, middle
from flows.certificates.tail.carry import Carry
from flows.certificates.tail.late_flow import LateFlow, Point
from flows.certificates.tail.tail import prove, zero
from flows.certificates.verifier import tail
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
    assert 0 < found.endless.lower <= lower <= upper <= found.endless.upper


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


@pytest.fixture(scope="module")
def carried(tmp_path_factory):
    """Three steps of carry, although this start needs none."""
    system = flows.ReLUNeuron(n=2, d=2)
    finite = flows.certify(system, system.initial(0.1, 0), 2000.0, digits=8)
    with precision(finite.precision):
        carry = Carry(start.late(finite, 0.0), finite.bits)
        for _ in range(3):
            carry.advance()
        late = carry.late
        c = zero(late.flow, Frame(late.s, late.across, late.along, late.g), late.c)
        shape = tuple(rounded(x, finite.bits) for x in middle(c))
        proved, _ = prove(late, [arb((x, -finite.bits)) for x in shape])
        infinity = forever._concluded(finite, 0.0, tuple(carry.steps), shape, proved)
    path = tmp_path_factory.mktemp("carried") / "c.json"
    replace(finite, infinity=infinity).save(path)
    return path


def test_a_carry_is_accepted(carried):
    found = flows.verify(carried)
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
    data = json.loads(carried.read_text())
    step = data["infinity"]["steps"][1]
    step[key] = change(float.fromhex(step[key])).hex()
    path = tmp_path / "broken.json"
    path.write_text(json.dumps(data))
    found = flows.verify(path)
    assert re.search(f"step 1 to infinity: .*({reason})", found.refused), found.refused
