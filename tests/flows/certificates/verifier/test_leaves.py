"""Every leaf of every kind of certificate's file is changed: it is refused, or says nothing false.

What is accepted says the same, or was proved anew from the changed file: that is then compared with
a run from the start in it, and with what the file said before.
"""

import functools
import itertools
import json
import math
import os
import random
import re
from dataclasses import replace

import numpy as np
import pytest
import sympy as sp
from click.testing import CliRunner
from flint import arb
from oracles import hidden_layer
from oracles.certificates import put
from oracles.certified.changed import changed, kept, refusal
from scipy.integrate import solve_ivp

import flows
from flows.certificates import decide
from flows.certificates.certificate import load_certificate
from flows.certificates.stationary.proof import Setting
from flows.certificates.stationary.prove import prove
from flows.certificates.tail import funnel_states
from flows.certificates.verdicts import verdicts
from flows.certificates.verifier import verify as checker
from flows.cli import endless
from flows.cli.certify import verify
from flows.core.balls import precision
from flows.core.errors import InputError

# `make fuzz` changes all leaves in all ways, and in so many ways where proofs take seconds;
# otherwise one leaf of each name is drawn, with one change.
EVERY = int(os.environ.get("POPFLOW_FUZZ", "0"))
SEED = int(os.environ.get("POPFLOW_FUZZ_FROM", "0"))
# Numbers change by this factor, either way.
FACTOR = 1.001
# Boxes of a claim at most, and halvings for a constant: thousands of files are asked, so far fewer
# than for a person; what is decided on few boxes is decided on many, too.
BOXES, HALVINGS = 100, 40
# Runs are compared up to this time, and their losses are right to this part, and to this number.
LONG = 30.0
RUN, LEAST = 1e-6, 1e-9
# Evaluations of LSODA at most; without a kink it takes a few hundred.
MOST = 5000
U, V = sp.symbols("u v")
PAIR = flows.ReLUNeuron(n=2, d=2)
EYE = tuple(map(tuple, np.eye(3).tolist()))


def own(loss):
    return flows.OwnSystem("own", [U, V], loss)


def certified(system, start, end, **options):
    return lambda: flows.certify(system, np.array(start), end, digits=8, **options)


BOWL, HYPERBOLA = own((U**2 - 1) ** 2 + (V - U) ** 2 + U / 3), own(3 * (U * V - 1) ** 2)
LAYERS = flows.MatrixFactorization(d=1, depth=2, regularization=1.0, target=[[1.0]])
COMPLEX = flows.MatrixFactorization(d=1, depth=2, field="complex", regularization=3.0)
MEANS = flows.GMMEM(n=2, d=1)
KINDS = {
    "own": certified(BOWL, [1.5, 0.25], 1.0),
    "functions": certified(own(sp.exp(U) * V**2 + sp.tanh(U - V) ** 2), [0.5, 0.25], 1.0),
    "ball of starts": certified(BOWL, [1.5, 0.25], 1.0, radius=1e-3),
    "neurons": certified(PAIR, [[0.5, -0.5], [0.75, 0.25]], 0.5),
    "layers": certified(COMPLEX, [[[0.5 + 0.25j]], [[1.25 - 0.5j]]], 0.5),
    "means": certified(MEANS, [[0.75], [-0.5]], 0.1),
    "bowl for ever": certified(BOWL, [1.5, 0.25], math.inf),
    "squares for ever": certified(HYPERBOLA, [1.5, 0.25], math.inf),
    "layers for ever": certified(LAYERS, [[[0.5]], [[1.25]]], math.inf),
    "failing": certified(LAYERS, [[[0.5]], [[-0.5]]], math.inf),
    "stationary": lambda: prove(
        Setting("two_layer", EYE, (1.0,) * 3, (1.0,) * 3), hidden_layer.flipped(3)
    ),
    "late states": lambda: flows.late_states(d=2, reach=0.05, across=0.3, along=0.1, apart=0.02),
}
# Whose proofs take seconds, and which have up to 30 000 changes: their bounds of all times are
# changed where they are made, too.
SLOW = {
    "means for ever": certified(MEANS, [[0.75], [-0.5]], math.inf),
    "neurons for ever": certified(PAIR, PAIR.initial(0.1, 0), math.inf),
    "funnel": certified(PAIR, [[0.5, -0.5], [0.75, 0.25]], math.inf, radius=1e-3),
    "at zero": certified(
        flows.ReLUNeuron(n=3, d=2), [[0.625, 0.25], [0.5, -0.25], [-2e-6, 1e-7]], math.inf
    ),
}


@functools.cache
def made(kind, folder):
    """A certificate and its file, made once."""
    found = (KINDS | SLOW)[kind]()
    path = folder / f"{kind}.json"
    found.save(path)
    return found, path


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return tmp_path_factory.mktemp("leaves")


def said(path, checked):
    """What is printed of a file that the checker found to be so, as JSON; nothing if unreadable."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(checker, "verify", lambda *given: checked)
        patch.setattr(decide, "BUDGET", BOXES)
        patch.setattr(decide, "SHARPENING", HALVINGS)
        patch.setattr(funnel_states, "layer_of", kept(funnel_states.layer_of))
        found = CliRunner().invoke(verify, [str(path), "--json"], standalone_mode=False)
    assert found.exception is None or isinstance(found.exception, InputError)
    return None if found.exception else json.loads(found.output)


def leaves(data, path=()):
    """Paths of all that a file holds, objects and lists among them."""
    children = data.items() if isinstance(data, dict) else enumerate(data)
    for key, value in children:
        yield (*path, key), value
        if isinstance(value, dict | list):
            yield from leaves(value, (*path, key))


def scaled(text, factor):
    """A number of the file, or a number in hexadecimal, times a factor; another one at least."""
    if text.lstrip("-").startswith("0x"):
        x = float.fromhex(text)
        return (x * factor if x else factor - 1).hex()
    x = int(text, 16)
    return f"{x + (round(x * (factor - 1)) or (1 if factor > 1 else -1)):x}"


def changes(value):
    """Ways to change a leaf, by name."""
    found = {"removed": removed}
    if isinstance(value, bool):
        found["turned"] = put_value(not value)
    elif isinstance(value, int):
        found |= {"one more": put_value(value + 1), "one less": put_value(value - 1)}
    elif value is None:
        found["said"] = put_value(1)
    elif isinstance(value, str) and re.fullmatch(r"-?(0x)?[0-9a-f.]+(p[+-]?\d+)?", value):
        found |= {
            "more": put_value(scaled(value, FACTOR)),
            "less": put_value(scaled(value, 1 / FACTOR)),
        }
        found["of the other sign"] = put_value(scaled(value, -1.0))
        found["null"] = put_value(None)
    elif isinstance(value, str):
        found |= {"another word": put_value("convex"), "empty": put_value("")}
    elif isinstance(value, list) and len(value) > 1:
        found["exchanged"] = put_value([*value[1::-1], *value[2:]])
        found["reversed"] = put_value(value[::-1])
    return found


def put_value(value):
    return lambda rest, last: rest.__setitem__(last, value)


def removed(rest, last):
    del rest[last]


def asked(kind, data):
    """All leaves with all changes, or some of each name."""
    found = {}
    if "infinity" in data and not EVERY:  # its pieces are as those of finite ones
        data = {"infinity": data["infinity"]}
    for path, value in leaves(data):
        names = "/".join("#" if isinstance(key, int) else key for key in path)
        found.setdefault(names, []).extend((path, *change) for change in changes(value).items())
    if EVERY and kind not in SLOW:
        yield from itertools.chain(*found.values())
        return
    left = EVERY or len(found)
    # Rare names first: what they leave is for the others.
    for k, some in enumerate(sorted(found.values(), key=len)):
        part = min(len(some), max(1, left // (len(found) - k)))
        left -= part
        yield from random.Random(f"{SEED} {some[0][0]}").sample(some, part)


RUNS = {}


def along(certificate):
    """Times and losses from the certificate's start, to its end or beyond, by SciPy's LSODA.

    Where a neuron reaches zero its gradient jumps, and LSODA does not get on: popflow does.
    """
    system, start = certificate.system, np.asarray(certificate.start)
    key = (str(system.parameters), start.tobytes(), certificate.t_end)
    if key not in RUNS:
        end = LONG if certificate.infinity is not None else certificate.t_end
        asked = itertools.count()

        def field(t, x):
            if next(asked) > MOST:
                raise TimeoutError
            return -system.gradient(x.view(start.dtype).reshape(start.shape)).ravel().view(float)

        times = np.geomspace(1e-2 * min(end, 1.0), end, 20)
        first = start.ravel().view(float)
        options = {"method": "LSODA", "t_eval": times, "rtol": 1e-10, "atol": 1e-13}
        try:
            states = solve_ivp(field, (0, end), first, **options).y.T.copy()
            whole = [x.view(start.dtype).reshape(start.shape) for x in states]
        except TimeoutError:
            whole = list(flows.integrate(system, start, end, times, rtol=RUN**2).state[1:])
        RUNS[key] = times, np.array([system.loss(x) for x in whole])
    return RUNS[key]


def is_true_of_a_run(certificate, found):
    """Whether losses of a run are where a certificate has them, and obey what is said for ever."""
    t, loss = along(certificate)
    off = RUN * np.abs(loss) + LEAST
    for time, value, error in zip(t, loss, off, strict=True):
        if time <= certificate.t_end:
            ball = certificate.loss(time)
            assert ball.overlaps(arb(value, error)), (time, value, ball)
    if certificate.infinity is None:
        return
    said = endless.data(certificate)
    if "floor" in said:
        assert said["floor"] <= found.endless.floor and (loss + off >= said["floor"]).all()
    elif "rate" in said:
        assert said["rate"] <= found.endless.rate
        with precision(certificate.precision):
            assert certificate.infinity.limit_loss.contains(found.endless.loss)
        limit = float(certificate.infinity.limit_loss.mid())
        with np.errstate(over="ignore"):  # a delay may be a thousand times the run
            bound = said["amplitude"] * np.exp(-said["rate"] * (t - said["delay"]))
        assert (loss - limit <= bound + off).all()
    else:
        low, high = said["all_times"]["lower"], said["all_times"]["upper"]
        assert low <= found.endless.lower and found.endless.upper <= high
        scaled = (1 + t) ** said["exponent"] * loss
        assert (low * (1 - RUN) <= scaled).all() and (scaled <= high * (1 + RUN)).all()


def is_true_of_a_point(found):
    """Whether the loss and the number of negative eigenvalues are those of formulas in doubles."""
    point, size = found.point, len(found.point.students)
    loss = hidden_layer.loss(point.students, np.ones(size), np.eye(size), np.ones(size))
    assert point.loss.overlaps(arb(loss, 1e-12))
    system = flows.TwoLayer(students=size, teachers=np.eye(size), output_weights=np.ones(size))
    least = np.linalg.eigvalsh(system.hessian(point.students))
    assert point.hessian.index == (least < 0).sum()
    assert point.hessian.least >= least[0] - LEAST


def is_true_of_states(found):
    """Whether runs from the sets obey the constants."""
    for box in found.states.boxes:
        zeta, b = box.reach / 2, (box.low + box.high) / 2
        start = [[(1 + b) / 2, zeta / 2], [(1 - b) / 2, -zeta / 2]]
        run = flows.integrate(PAIR, np.array(start), 1e6, [1.0, 1e3, 1e6], rtol=1e-10)
        scaled = (1 / zeta + run.t) ** 3 * run["loss"]
        assert (box.lower <= scaled * (1 + RUN)).all()
        assert (scaled <= (box.upper + box.more * zeta) * (1 + RUN)).all()


def no_claim_turns(before, now):
    """Whether no claim is proved here and refuted there."""
    verdicts = [{v["claim"]: v["verdict"] for v in x.get("verdicts", ())} for x in (before, now)]
    turned = {"PROVED", "REFUTED"}
    return all(turned != {verdicts[0].get(k), v} for k, v in verdicts[1].items())


@pytest.mark.parametrize("kind", (KINDS | SLOW) if EVERY else KINDS)
def test_a_changed_leaf_is_refused_or_nothing_is_said_that_is_false(kind, folder):
    original, path = made(kind, folder)
    before, refused = said(path, flows.verify(path)), 0
    for place, name, change in asked(kind, original.to_json()):
        *rest, last = place

        def at_leaf(data, rest=rest, last=last, change=change):
            for key in rest:
                data = data[key]
            change(data, last)

        copy, found = changed(path, folder, at_leaf)
        refused += not found.accepted
        if not found.accepted:
            assert found.refused and "\n" not in found.refused
            continue
        now = said(copy, found)
        if now is None or now == before:
            continue
        try:
            if found.point is not None:
                is_true_of_a_point(found)
            elif found.states is not None:
                is_true_of_states(found)
            else:
                is_true_of_a_run(load_certificate(copy), found)
            assert no_claim_turns(before, now)
        except AssertionError as false:
            raise AssertionError(f"{name} at {place}: {false}") from None
    assert refused


@pytest.mark.parametrize(
    ("kind", "key", "factor"),
    [
        ("bowl for ever", "rate", 1.01),
        ("squares for ever", "rate", 1 + 1e-9),
        ("layers for ever", "rate", 1.1),
        ("failing", "floor", 1 + 1e-6),
    ],
)
def test_a_rate_that_is_larger_than_what_is_proved_is_refused(kind, key, factor, folder):
    """And one that is as much smaller is accepted."""
    _, path = made(kind, folder)
    for power in (1, -1):
        change = put("infinity", key, to=lambda x, power=power: scaled(x, factor**power))
        assert bool(refusal(path, folder, change)) is (power == 1)


@pytest.mark.parametrize(("key", "factor"), [("rate", FACTOR), ("amplitude", 1 / 1.5)])
def test_what_is_false_is_seen(key, factor, folder):
    found, path = made("bowl for ever", folder)
    checked = flows.verify(path)
    is_true_of_a_run(found, checked)
    infinity = replace(found.infinity, **{key: factor * getattr(found.infinity, key)})
    with pytest.raises(AssertionError):
        is_true_of_a_run(replace(found, infinity=infinity), checked)


def test_an_endless_file_is_one_to_infinity_and_a_finite_one_is_not(folder):
    for kind, refused in (("bowl for ever", False), ("failing", False), ("own", True)):
        found, path = made(kind, folder)
        for end in (found.t_end, None, math.inf):
            said = flows.verify(path, found.system, found.start, end).refused
            assert bool(said) is (refused and end == math.inf), said
        assert "another end" in flows.verify(path, t_end=found.t_end + 1).refused


def test_where_no_box_of_later_times_is_seen_claims_are_open_after_the_pieces(folder):
    found, _ = made("funnel", folder)
    (verdict,) = verdicts(found, "kappa_persists")
    assert "holds on every box; open after the pieces: an angle is not small" in str(verdict)
