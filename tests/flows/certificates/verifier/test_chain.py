"""Theorems of level sets in turn: what is stated is true of runs; what is changed is refused."""

import copy
import functools
import json
import math
import random
from fractions import Fraction

import numpy as np
import pytest
import sympy as sp
from scipy.integrate import solve_ivp

import flows
from flows.certificates.verifier.chain import chain
from flows.certificates.verifier.reading import Refused

a, b = sp.symbols("a b", real=True)
WELL = (a**2 - 1) ** 2 / 4 + b**4 / 4
LEVELS = ("1/5", "1/50")
#: Runs are right to this part; and what is no rounding.
RUN, OFF = 1e-7, Fraction(1, 1000)
# Changed numbers of a file.
CHANGES = 60


@pytest.fixture(scope="module")
def found():
    return flows.find_potential(flows.OwnSystem("well", [a, b], WELL), 2, LEVELS)


def test_two_levels_are_one_theorem_of_every_start_of_the_larger_one(found, tmp_path):
    assert found.proved and found.exponent == 2 and not found.hypotheses
    found.save(tmp_path / "chain.json")
    checked = flows.verify(tmp_path / "chain.json")
    assert checked.accepted, checked.refused
    far = found.data()["stages"][0]
    time = f"{1 / Fraction(far['constant'])} log(10)"  # of the levels 1/5 and 1/50 above zero
    told = f"V(t) <= {found.constant} (t - T)^-2 for all t > T = {time}, for every start where"
    assert checked.potential.statement.endswith(f"{told} L <= 1/5")
    assert checked.potential.hypotheses == ()
    # The constant is that of the smaller set alone, near that of the law: `L ~ b^4/4` has 1/16.
    alone = flows.find_potential(flows.OwnSystem("well", [a, b], WELL), 2, LEVELS[1])
    assert found.constant == alone.constant and 1 / 16 <= found.constant < 1.2 / 16


def test_the_bound_holds_along_runs_from_the_larger_level(found):
    C, c = float(found.constant), float(Fraction(found.data()["stages"][0]["constant"]))
    T = math.log(10) / c
    slopes = sp.lambdify((a, b), [-sp.diff(WELL, x) for x in (a, b)])
    loss = sp.lambdify((a, b), WELL)
    times = T + np.geomspace(1e-3, 1e4, 40)
    sharp = []
    for b0 in (0.1, 0.5, 0.9):
        a0 = math.sqrt(1 - math.sqrt(4 * 0.2 - b0**4))  # on the level itself
        run = solve_ivp(
            lambda t, x: slopes(*x), (0, times[-1]), [a0, b0], "DOP853", times, rtol=1e-11, atol=0
        )
        bound = C * (times - T) ** -2.0
        assert (loss(*run.y) <= bound * (1 + RUN)).all()
        # Between the levels it falls no slower than it is said to.
        first = solve_ivp(lambda t, x: slopes(*x), (0, T), [a0, b0], "DOP853", rtol=1e-11, atol=0)
        assert loss(*first.y[:, -1]) <= 1 / 50
        sharp.append(float((loss(*run.y) / bound).max()))
    assert max(sharp) > 0.5  # no bound of half the constant holds


def changed(data, change):
    data = copy.deepcopy(data)
    change(*data["stages"])
    return data


def test_a_stage_that_does_not_reach_the_next_one_keeps_its_hypothesis(found):
    data = found.data()

    def later(far, near):  # to another level than the one that the first stage falls to
        for part in (far["region"][0], near["region"][0]):
            assert part["kept"] == "level"
        near["region"][0]["level"] = str(Fraction(LEVELS[1]) * (1 + OFF))

    for change in (
        later,
        lambda far, near: far.update(constant=str(Fraction(far["constant"]) * (1 + 100 * OFF))),
        lambda far, near: near.update(constant=str(Fraction(near["constant"]) * (1 - OFF))),
        lambda far, near: far.update(rate=[2, 1]),
        lambda far, near: near.update(loss=[["1", [4, 0, 0]]]),
        lambda far, near: far["region"].pop(0),
        lambda far, near: near["claims"].pop("bounded"),
    ):
        with pytest.raises((Refused, KeyError)):
            chain(changed(data, change))
    for stages in (data["stages"][:1], data["stages"][::-1], [data["stages"][0]] * 2):
        with pytest.raises(Refused):
            chain(data | {"stages": stages})


def leaves(data, path=()):
    """Paths to all numbers of a file."""
    if isinstance(data, dict | list):
        for key, part in data.items() if isinstance(data, dict) else enumerate(data):
            yield from leaves(part, (*path, key))
    elif isinstance(data, int) or data.lstrip("-").replace("/", "").isdigit():
        yield path


def test_each_changed_number_is_refused(found):
    rng, paths = random.Random(1), list(leaves(found.data()))
    for path in rng.sample(paths, CHANGES):
        data = copy.deepcopy(found.data())
        place = functools.reduce(lambda part, key: part[key], path[:-1], data)
        old = place[path[-1]]
        place[path[-1]] = (
            old + 1 if isinstance(old, int) else str(Fraction(old) * (1 + OFF) + 2 * OFF)
        )
        with pytest.raises((Refused, KeyError)):
            chain(data)


def test_what_is_assumed_besides_is_told():
    # The smaller set is entered by what is proved; `a >= 1/4` stays an assumption.
    well = flows.OwnSystem("well", [a, b], WELL)
    found = flows.find_potential(well, 2, LEVELS, keep=[a >= sp.Rational(1, 4)])
    assert found.proved and found.hypotheses == ("a - 1/4 >= 0",)
    assert flows.verify(found).potential.hypotheses == ("a - 1/4 >= 0",)
    assert found.statement.endswith("for every start with L <= 1/5, as long as a - 1/4 >= 0")


def test_stages_may_have_coordinates_of_their_own():
    circle = flows.OwnSystem("circle", [a, b], (a**2 + b**2 - 1) ** 4 / 4)
    found = flows.find_potential(circle, 2, ["1/8", "1/64"])
    assert found.constant == sp.Rational(1, 64)
    far, near = found.data()["stages"]
    assert (far["variables"], near["variables"]) == (["a", "b"], ["G"])
    stated = chain(found.data()).statement
    assert "in which G = a**2 + b**2" in stated and stated.endswith("every start where L <= 1/8")
    near["origin"]["loss"][0][0] = "1/2"
    with pytest.raises(Refused):
        chain({"stages": [far, near]})


def test_its_claim_is_about_the_smaller_set(found):
    system = flows.OwnSystem("well", [a, b], WELL)
    (claim,) = found.claims()
    (inside,) = flows.check(flows.integrate(system, [1.0, 0.4], 1e3), claim)
    (outside,) = flows.check(flows.integrate(system, [0.4, 0.1], 1e3), claim)
    assert (inside.verdict, outside.verdict) == ("HOLDS", "HYPOTHESIS_NOT_MET")
    assert json.dumps(found.to_json(), allow_nan=False)
    assert found.latex().count(r"\begin{theorem}") == found.latex().count(r"\end{proof}") == 3


@pytest.mark.parametrize(
    "level, lower, told",
    [
        ([], False, "levels that fall"),
        (["1/9", "1/8"], False, "levels that fall"),
        (["1/8", "1/9"], True, "takes one level"),
    ],
)
def test_levels_fall(level, lower, told):
    with pytest.raises(flows.InputError, match=told) as refused:
        flows.find_potential(flows.OwnSystem("well", [a, b], WELL), 2, level, lower=lower)
    assert "\n" not in str(refused.value)
