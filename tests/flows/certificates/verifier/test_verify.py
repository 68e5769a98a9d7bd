"""What a file must say to be accepted, on a certificate that is written by hand.

Two layers of one number each stand at a minimiser, (1, 1), so that nothing moves and every bound is
known: coefficients are the start, the defect is zero, and errors shrink.
"""

import copy
import json
import math

import numpy as np
import pytest
from flint import arb, ctx
from oracles.certified.changed import kept

import flows
from flows.certificates.verifier import verify as verifier
from flows.certificates.verifier.reading import Refused
from flows.certificates.verifier.verify import verify
from flows.core.balls import precision
from flows.core.errors import InputError

BITS, END = 80, 2.0
SYSTEM = flows.MatrixFactorization(d=1, depth=2, regularization=1.0)
START = np.ones((2, 1, 1))
ERROR = 2.0**-40


def multiple(x):
    return f"{int(x * 2**BITS):x}"


def piece(end, tube, error):
    return {
        "end": multiple(end),
        "signs": [],
        "rho": "0x1p2",
        "defect": (2.0**-50).hex(),
        "growth": ["0x0p0"],
        "tube": tube.hex(),
        "error": error.hex(),
        "coefficients": [[multiple(1.0), "0", "0"]] * 2,
    }


DATA = {
    "format": "popflow certificate 1",
    "system": "matrix_factorization",
    "parameters": {
        "d": 1,
        "field": "real",
        "regularization": "0x1p0",
        "target": [["0x1p0"]],
        "depth": 2,
    },
    "start": [[["0x1p0"]], [["0x1p0"]]],
    "t_end": END.hex(),
    "bits": BITS,
    "precision": 128,
    "pieces": [piece(0.5, 4 * ERROR, ERROR), piece(1.5, 3 * ERROR, 2 * ERROR)],
}


def verdict(tmp_path, data, **asked):
    (tmp_path / "c.json").write_text(json.dumps(data))
    return verify(tmp_path / "c.json", **asked)


def test_a_certificate_by_hand_is_accepted_and_says_what_was_verified(tmp_path):
    before = ctx.prec
    found = verdict(tmp_path, DATA, system=SYSTEM, start=START, t_end=END)
    assert found.refused == "" and found.accepted
    # The largest tube, the last error, and what the file states.
    assert (found.error, found.final_error, found.pieces) == (4 * ERROR, 2 * ERROR, 2)
    assert (found.system, found.t_end) == ("matrix_factorization", END)
    assert found.parameters == {
        "d": 1,
        "field": "real",
        "regularization": 1.0,
        "target": [[1.0]],
        "depth": 2,
    }
    assert found.start.tolist() == START.tolist()
    assert ctx.prec == before


def test_a_refused_certificate_says_nothing_of_what_it_is_about(tmp_path):
    before = ctx.prec
    found = verdict(tmp_path, DATA | {"t_end": "0x1p9"})
    assert not found.accepted and "do not reach the end" in found.refused
    assert found == verifier.Verification(found.refused)
    assert found.error == found.final_error == math.inf
    assert (found.pieces, found.system, found.parameters, found.start, found.t_end) == (
        0,
        "",
        None,
        None,
        0.0,
    )
    assert ctx.prec == before


def changed(*path, to):
    data = copy.deepcopy(DATA)
    *rest, last = path
    place = data
    for key in rest:
        place = place[key]
    place[last] = to
    return data


@pytest.mark.parametrize(
    ("data", "reason"),
    [
        (changed("format", to="popflow certificate 2"), "its format is unknown"),
        (
            changed("system", to="score_matching"),
            "its system is not one of average, gmm_em, loss, matrix_factorization, polynomial",
        ),
        (changed("system", to="gmm_em"), "its parameters are not n, d, weights"),
        (
            changed("parameters", "seed", to=1),
            "its parameters are not d, field, regularization, target, depth",
        ),
        (changed("start", to=[]), "start and end do not fit"),
        (changed("start", to=["0x1p0"] * 4097), "start and end do not fit"),
        (changed("start", to=["0x1p0"] * 4096), "layers and target do not fit"),
        (changed("start", to="0x1p0"), "layers and target do not fit"),
        (changed("t_end", to="0x0p0"), "start and end do not fit"),
        (changed("t_end", to="-0x1p0"), "start and end do not fit"),
        (changed("bits", to=63), "a precision is not between 64 and 4096 bits"),
        (changed("precision", to=63), "a precision is not between 64 and 4096 bits"),
        (changed("bits", to=4097), "a precision is not between 64 and 4096 bits"),
        (changed("precision", to=4097), "a precision is not between 64 and 4096 bits"),
        (changed("precision", to="0x1p7"), "a precision is not between 64 and 4096 bits"),
        (changed("pieces", to=[]), "do not reach the end"),
        (changed("start", 1, 0, 0, to="0x1.001p0"), "piece 0: the flow may leave the tube"),
        (changed("parameters", "target", 0, 0, to="0x1.001p0"), "piece 0: the defect is larger"),
        # What each kind of Python's complaints means.
        *((value, "missing or malformed") for value in (None, [], 3, "x", {})),
        (changed("parameters", to=[]), "its parameters are not"),
        ({k: v for k, v in DATA.items() if k != "pieces"}, "missing or malformed: KeyError"),
        (changed("parameters", "d", to=0), "do not fit"),
        (changed("pieces", 0, to=[]), "missing or malformed: TypeError"),
        (changed("pieces", 0, "coefficients", to=[["0"], ["0", "0"]]), "missing or malformed"),
        (changed("pieces", 0, "rho", to="0x1p+1024"), "is too large for a double"),
    ],
)
def test_what_a_certificate_must_say_is_refused_where_it_does_not(data, reason, tmp_path):
    found = verdict(tmp_path, data)
    assert reason in found.refused and not found.accepted


@pytest.mark.parametrize("key", ["bits", "precision"])
def test_the_least_and_the_largest_precision_are_precisions(key):
    assert [verifier._within(bits) for bits in (64, 4096)] == [64, 4096]
    for bits in (63, 4097, 64.0, "64", None):
        with pytest.raises(Refused, match="not between 64 and 4096 bits"):
            verifier._within(bits)


@pytest.mark.parametrize(
    ("asked", "reason"),
    [
        ({"system": flows.MatrixFactorization(d=1, depth=2)}, "it is about another system"),
        ({"system": flows.MatrixFactorization(d=1, depth=3)}, "it is about another system"),
        ({"system": flows.GMMEM(n=2, d=1)}, "it is about another system"),
        ({"start": START * (1 + 2.0**-52)}, "it is about another start"),
        ({"start": START.ravel()}, "it is about another start"),
        ({"t_end": END * (1 + 2.0**-52)}, "it is about another end, t = 2"),
        ({"t_end": 1.0}, "it is about another end, t = 2"),
        ({"t_end": 0.0}, "it is about another end, t = 2"),
    ],
)
def test_a_certificate_of_another_problem_is_refused(asked, reason, tmp_path):
    assert verdict(tmp_path, DATA, **asked).refused == reason


def test_each_part_of_what_is_asked_may_be_left_out(tmp_path):
    for asked in ({}, {"system": SYSTEM}, {"start": START}, {"t_end": END}):
        assert verdict(tmp_path, DATA, **asked).accepted


def test_a_name_that_hides_another_system_of_the_same_parameters_is_seen(tmp_path):
    class Disguised:
        name = "own_system"
        parameters = SYSTEM.parameters

    assert verdict(tmp_path, DATA, system=Disguised()).refused == "it is about another system"


@pytest.mark.parametrize("kind", [ValueError, KeyError, TypeError, IndexError])
@pytest.mark.parametrize("also", [AttributeError, OverflowError, MemoryError])
def test_whatever_python_says_of_a_file_is_a_refusal(kind, also, tmp_path, monkeypatch):
    for error in (kind, also):

        def broken(*_, error=error):
            raise error("here")

        with monkeypatch.context() as patched:
            patched.setattr(verifier, "check", broken)
            assert f"malformed: {error.__name__}" in verdict(tmp_path, DATA).refused


def test_a_mistake_of_the_checker_itself_is_no_verdict(tmp_path, monkeypatch):
    def broken(*_):
        raise NameError("here")

    before = ctx.prec
    monkeypatch.setattr(verifier, "check", broken)
    with pytest.raises(NameError):
        verdict(tmp_path, DATA)
    assert ctx.prec == before


def test_what_is_no_certificate_at_all_is_bad_input(tmp_path):
    (tmp_path / "text.json").write_text("{not json")
    (tmp_path / "bytes.json").write_bytes(b"\xff\xfe")
    (tmp_path / "deep.json").write_text("[" * 100_000)
    with (tmp_path / "huge.json").open("wb") as sparse:
        sparse.truncate(2**28 + 1)
    for name, reason in (
        ("missing.json", "cannot be read (No such file or directory); name a certificate"),
        ("text.json", "expected a certificate, got no JSON; name another"),
        ("bytes.json", "expected a certificate, got no JSON; name another"),
        ("deep.json", "expected a certificate, got no JSON; name another"),
        ("huge.json", "expected at most 268435456 bytes; name a certificate"),
    ):
        with pytest.raises(flows.InputError) as caught:
            verify(tmp_path / name)
        assert str(caught.value) == f"{tmp_path / name}: {reason}"


def test_what_is_no_certificate_is_refused_in_one_line():
    for given in (None, 3, object(), [1.0]):
        with pytest.raises(InputError, match=r"expected a certificate or the path of its file"):
            verify(given)


def test_what_is_kept_of_a_check_is_asked_anew_where_a_last_bit_differs():
    asked = []
    look = kept(lambda state, stated, flow: asked.append(state))
    state, stated = np.array([arb(1), arb(2)]), {"growth": ["0x1p+0"]}
    nearly, wider = state + np.array([arb((1, -50)), 0]), state + np.array([arb(0, 2.0**-90), 0])
    for given in (
        (state, stated, {"bits": 64}),
        (nearly, stated, {"bits": 64}),
        (wider, stated, {"bits": 64}),
        (state, {"growth": ["0x1.0000000000001p+0"]}, {"bits": 64}),
        (state, stated, {"bits": 65}),
    ):
        for _ in range(2):  # the second time it is known
            look(*given)
    assert len(asked) == 5
    with precision(77):
        look(state, stated, {"bits": 64})
    assert len(asked) == 6
