"""Constants that are proved for a start contain those that the law derives at its limit."""

import json
import math
from pathlib import Path

import numpy as np
import pytest
from flint import arb

import flows
from flows.core.balls import precision

# Limits of certificates to infinity, as `popflow certify --t-end inf --json` printed them.
STORED = json.loads((Path(__file__).parent / "limits.json").read_text())
# The law has doubles: at h rounded to doubles it is right to so much of itself.
DOUBLES = 1e-14
# A constant of another law is off by more than this part of itself.
OTHER = 1e-3


def derived(h, d):
    """Constants of the laws at neurons with these parts along the teacher, one a shape."""
    d = min(d, len(h))  # shapes of n neurons have no more than n - 1 directions
    point = np.zeros((len(h), d))
    point[:, 0] = h
    laws = flows.late_time_law(flows.ReLUNeuron(n=len(h), d=d), at=point).laws
    assert {float(law.exponent) for law in laws} == {3.0}
    return [law.constant for law in laws]


def enclosed(limit, constants):
    """How many constants are enclosed, up to doubles; of those a little away none is."""
    room = limit + arb(0, DOUBLES) * limit
    away = 3 * (limit.rad() + DOUBLES * limit)
    found = [x for x in constants if room.contains(arb(x))]
    for x in found:
        others = x * (1 + OTHER), x * (1 - OTHER), x + away, x - away
        assert not any(room.overlaps(arb(other)) for other in others)
    return len(found)


@pytest.mark.parametrize("case", STORED, ids=lambda c: "{n}-{d}-{seed}".format(**c))
def test_stored_limits_contain_the_constant_of_the_law(case):
    with precision(200):
        value, radius = case["limit"]["value"], case["limit"]["radius"]
        h = [float(x["value"]) for x in case["h"]]
        assert enclosed(arb(value) + arb(0, radius), derived(h, case["d"])) == 1


@pytest.mark.parametrize("seed", [1])
def test_limits_proved_now_contain_the_constant_of_the_law(seed):
    system = flows.ReLUNeuron(n=2, d=2)
    made = flows.certify(system, system.initial(0.1, seed), math.inf, digits=8)
    with precision(made.precision):
        h = [float(x.mid()) for x in made.infinity.parts]
        assert enclosed(made.infinity.constant, derived(h, 2)) == 1
