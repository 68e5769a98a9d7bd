"""Flows that fall for ever by a potential: what is proved for all times, and what is refused."""

import copy
import functools
import json
import math
import random
import re
from fractions import Fraction
from types import SimpleNamespace

import numpy as np
import pytest
import sympy as sp
from scipy.integrate import solve_ivp

import flows
from flows.certificates.certify import Uncertified
from flows.certificates.rest import by_potential
from flows.certificates.verifier import falling as checker
from flows.certificates.verifier.reading import Refused
from flows.core.errors import InputError

A, B = sp.symbols("a b")
X = sp.MatrixSymbol("X", 2, 2)
OFF_TARGET = X * X.T - sp.diag(1, 0)
WELL = (A**2 + B**2) ** 2 / 4


def own(loss, blocks=(A, B)):
    return flows.OwnSystem("own", list(blocks), loss)


# Loss and start; the exact bound by hand where it is attained: V is its solution then.
CASES = {
    "every start": (own(WELL), [0.5, 0.25]),
    "a level": (own((A**2 - 1) ** 2 / 4 + B**4 / 4), [0.75, 0.5]),
    "a circle": (own((A**2 + B**2 - 1) ** 4 / 4), [0.5, 0.75]),
    "a conserved quantity": (own((A * B) ** 2 / 2), [0.75, 0.75]),
    "functions": (own(sp.trace(OFF_TARGET * OFF_TARGET.T) / 4, (X,)), [1.0, 0.125, -0.0625, 0.25]),
}
PRODUCT = own((A * B - 1) ** 2 / 2)
SHARP = {"every start", "a conserved quantity"}
#: Runs are right to this part; and what is no rounding.
RUN, OFF = 1e-7, 1e-3
LATE = 1e3
# Changed leaves of a file.
CHANGES = 60


@functools.cache
def proof(name):
    system, start = CASES[name]
    return flows.certify(system, np.array(start), math.inf, digits=10)


def saved(name, folder):
    path = folder / "c.json"
    proof(name).save(path)
    return path, json.loads(path.read_text())


def bound_of(statement):
    """The bound as a function of time, and from when on it holds, of a statement's text."""
    law, since = re.search(r": V\(t\) <= (.*) for all t >= (\S+)$", statement).groups()
    law = re.sub(r"(\d+)/(\d+)", r"Rational(\1, \2)", law).replace("^", "**")
    law = re.sub(r" (?=\()", "*", law.replace(" exp", "*exp"))
    law = law.replace("t*+", "t +").replace("t*-", "t -")
    return sp.lambdify(sp.Symbol("t"), sp.sympify(law), "numpy"), float(since)


def is_true(loss, variables, start, statement, shrunk=1.0):
    """Whether a bound of the loss above its least value 0 holds along SciPy's run."""
    slopes = sp.lambdify(variables, [-sp.diff(loss, x) for x in variables])
    value = sp.lambdify(variables, loss)
    bound, since = bound_of(statement)
    times = np.geomspace(since, LATE, 30)
    run = solve_ivp(
        lambda t, y: slopes(*y), (0, LATE), start, "DOP853", times, rtol=1e-12, atol=1e-14
    )
    least = np.array([value(*y) for y in run.y.T])
    return bool((least <= shrunk * bound(times) * (1 + RUN) + 1e-13).all())


def entries_of(system):
    """Loss in plain symbols, in the order of a start."""
    subject = system.polynomial
    return subject.loss, subject.flow.symbols


@pytest.mark.parametrize("name", CASES)
def test_a_loss_is_below_what_is_proved_for_all_later_times(name, tmp_path):
    system, start = CASES[name]
    path, _ = saved(name, tmp_path)
    found = flows.verify(path, system, start, math.inf)
    assert found.accepted, found.refused
    assert found.endless.statement == proof(name).infinity.statement
    loss, variables = entries_of(system)
    assert is_true(loss, variables, start, found.endless.statement)
    # Along rays, and on the diagonal, the bound is the loss: a thousandth less is not true.
    shrunk = is_true(loss, variables, start, found.endless.statement, shrunk=1 - OFF)
    assert name not in SHARP or not shrunk


def leaves(data, path=()):
    """Paths of all numbers and words."""
    if isinstance(data, dict | list):
        for key, part in data.items() if isinstance(data, dict) else enumerate(data):
            yield from leaves(part, (*path, key))
    else:
        yield path


def with_change(data, path, rng):
    data = copy.deepcopy(data)
    place = data
    for key in path[:-1]:
        place = place[key]
    old, sign = place[path[-1]], rng.choice((-1, 1))
    if isinstance(old, int):
        place[path[-1]] = old + sign
    elif re.fullmatch(r"-?0x[0-9a-f.]+p[+-]?\d+", old):
        x = float.fromhex(old)
        place[path[-1]] = (x * (1 + sign * OFF) if x else OFF).hex()
    elif path[0] == "infinity" and re.fullmatch(r"-?\d+(/\d+)?", old):
        place[path[-1]] = str(Fraction(old) * Fraction(1000 + sign, 1000) or Fraction(1, 1000))
    elif re.fullmatch(r"-?[0-9a-f]+", old):
        place[path[-1]] = f"{int(old, 16) + sign * (1 + abs(int(old, 16)) // 1000):x}"
    else:
        place[path[-1]] = f"{old}x"
    return data


@pytest.mark.parametrize("name", ["every start", "a level", "a conserved quantity"])
def test_a_changed_file_is_refused_or_its_theorem_is_true(name, tmp_path):
    path, data = saved(name, tmp_path)
    system, _ = CASES[name]
    loss, variables = entries_of(system)
    rng, refused = random.Random(1), 0
    every = list(leaves(data))
    ours = [leaf for leaf in every if leaf[0] == "infinity"]
    others = [leaf for leaf in every if leaf[0] != "infinity"]
    drawn = rng.sample(ours, min(len(ours), CHANGES // 2)) + rng.sample(others, CHANGES // 2)
    for leaf in drawn:
        path.write_text(json.dumps(with_change(data, leaf, rng)))
        try:
            found = flows.verify(path)
        except InputError:
            refused += 1
            continue
        if not found.accepted:
            refused += 1
            continue
        assert leaf[0] != "parameters" or leaf[1] == "name", leaf
        start = found.start.tolist()
        assert is_true(loss, variables, start, found.endless.statement), leaf
    assert refused >= 0.6 * len(drawn)


def with_potential(data, system, **options):
    """A file whose potential is another one."""
    found = flows.find_potential(system, **options)
    assert found.proved, found.reason
    return {**data, "infinity": {"kind": "potential", "potential": found.data()}}


def checked(data, folder):
    path = folder / "other.json"
    path.write_text(json.dumps(data))
    return flows.verify(path).refused


@pytest.fixture(scope="module")
def finite(tmp_path_factory):
    """Files of finite certificates of two layers of one number, by start and radius."""
    folder = tmp_path_factory.mktemp("finite")

    @functools.cache
    def made(start, radius=0.0):
        path = folder / "finite.json"
        found = flows.certify(PRODUCT, np.array(start), 0.25, digits=10, radius=radius)
        found.save(path, force=True)
        return found, json.loads(path.read_text())

    return made


def test_a_level_just_below_the_enclosure_is_refused(finite, tmp_path):
    certificate, data = finite((1.0, 0.75))
    end = Fraction(float(certificate.loss(0.25).mid())).limit_denominator(10**6)
    for factor, why in ((999, "not proved to be in the set"), (1001, "")):
        level = str(end * Fraction(factor, 1000))
        refused = checked(with_potential(data, PRODUCT, rate="exp", level=level), tmp_path)
        assert (why in refused) if why else refused == ""


def test_an_equation_is_checked_at_the_exact_start(finite, tmp_path):
    kept = flows.find_potential(PRODUCT, rate="exp", keep=[sp.Eq(A**2 - B**2, 2)])
    infinity = {"kind": "potential", "potential": kept.data()}
    for start, radius, why in (
        ((1.5, 0.5), 0.0, ""),
        ((1.5, 0.5 + 2.0**-40), 0.0, "an equation is not proved of the start"),
        ((1.5, 0.5), 1e-9, "an equation is not proved of the start"),
    ):
        refused = checked({**finite(start, radius)[1], "infinity": infinity}, tmp_path)
        assert (why in refused) if why else refused == ""


@pytest.mark.parametrize("rate", ["exp", [2, 1], [3, 2], [1, 1]], ids=str)
@pytest.mark.parametrize("time", [1.0, 100.0])
def test_a_bound_begins_with_what_the_potential_is_at_most(rate, time):
    law = checker._law(rate, Fraction(3, 7), 0.01, time)
    bound, since = bound_of(f": {law} for all t >= {time!r}")
    assert since == time and 0.01 <= bound(time) < 0.01 * (1 + RUN)
    # It solves V' = -d^(-k/m) V^(1 + k/m), or V' = -d V.
    step = 1e-6 * time
    slope = (bound(time + step) - bound(time)) / step
    if rate == "exp":
        wanted = -3 / 7 * 0.01
    else:
        m, k = rate
        wanted = -((3 / 7) ** (-k / m)) * 0.01 ** (1 + k / m)
    assert abs(slope / wanted - 1) < OFF


def test_a_potential_that_proves_something_else_is_refused(tmp_path):
    _, data = saved("every start", tmp_path)
    system = CASES["every start"][0]
    whole = with_potential(data, system, rate=2)
    assert checked(whole, tmp_path) == ""
    another = with_potential(data, own((A**2 + B**2) ** 2 / 5), rate=2)
    assert "one of another loss" in checked(another, tmp_path)
    x, y = sp.symbols("x y")
    renamed = with_potential(data, own((x**2 + y**2) ** 2 / 4, (x, y)), rate=2)
    assert "of other variables" in checked(renamed, tmp_path)
    below = with_potential(data, system, rate=2, lower=True)
    assert "proves less" in checked(below, tmp_path)
    assumed = with_potential(data, system, rate=2, keep=[A**2 + B >= 0])
    assert "proves less" in checked(assumed, tmp_path)
    unbounded = copy.deepcopy(whole)
    del unbounded["infinity"]["potential"]["claims"]["bounded"]
    assert "may not exist" in checked(unbounded, tmp_path)
    with pytest.raises(Refused, match="no polynomial loss"):
        checker.falling(whole["infinity"], SimpleNamespace(form="neurons"), [], 64, 0.0)


def test_of_a_ball_of_starts_all_of_them_fall(tmp_path):
    system, start = CASES["every start"]
    wide = flows.certify(system, np.array(start), math.inf, digits=10, radius=1e-3)
    statement = wide.infinity.statement
    loss, variables = entries_of(system)
    outside = [x * (1 + OFF) for x in start]
    assert is_true(loss, variables, outside, statement)
    assert not is_true(loss, variables, outside, proof("every start").infinity.statement)


def test_the_road_is_taken_only_where_the_others_end(monkeypatch):
    certificate = flows.certify(PRODUCT, np.array([1.5, 0.25]), math.inf)
    assert certificate.infinity.kind == "squares"
    with pytest.raises(
        Uncertified, match="by a potential, UNDECIDED: its run has no late-time law"
    ):
        flows.certify(own(-(A**2) / 2 + B**4), np.array([0.5, 0.5]), math.inf)
    none = flows.find_potential(PRODUCT, rate="exp", degree=0)
    monkeypatch.setattr(by_potential, "find_potential", lambda *asked, **options: none)
    system, start = CASES["every start"]
    with pytest.raises(Uncertified, match="by a potential, UNDECIDED beyond t = 64: no such"):
        flows.certify(system, np.array(start), math.inf)


def test_on_the_command_line_the_theorem_is_said(popflow, tmp_path):
    _, loss = CASES["every start"][0].certified
    (tmp_path / "loss.json").write_text(json.dumps(loss))
    (tmp_path / "start.json").write_text("[0.5, 0.25]")
    out = tmp_path / "cert.json"
    given = ("--initial", tmp_path / "start.json", "--t-end", "inf", "--digits", "10")
    code, said, err = popflow("certify", tmp_path / "loss.json", *given, "--out", out)
    assert (code, err) == (0, "") and "V(t) <= 1/16 (t + 1.59" in " ".join(said.split())
    code, said, _ = popflow("verify", out)
    assert code == 0
    assert "the flow exists for all t, and V = 1/4*a**4" in " ".join(said.split())
    code, said, _ = popflow("verify", out, "--json")
    assert "for all t >=" in json.loads(said)["checked"]["infinity"]["statement"]
    assert json.loads(said)["infinity"]["kind"] == "potential"
