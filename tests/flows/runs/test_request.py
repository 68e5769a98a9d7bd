"""What is asked of a run: checked once, kept as plain numbers, and said by name."""

import pickle
from dataclasses import replace

import numpy as np
import pytest

import flows
from flows.core.errors import InputError
from flows.runs.integrate import follow
from flows.runs.request import Request

SYSTEM = flows.ReLUNeuron(2, 2)
START = SYSTEM.initial(0.3, seed=1)


def test_a_request_and_the_arguments_of_integrate_give_the_same_run():
    asked = {"method": "BDF", "rtol": 1e-6, "atol": 1e-9, "max_steps": 5000}
    run = flows.integrate(SYSTEM, START, 20.0, [1.0, 20.0], **asked)
    same = follow(SYSTEM, START, Request(20.0, [1.0, 20.0], **asked))
    other = follow(SYSTEM, START, Request(20.0, [1.0, 20.0], **{**asked, "rtol": 1e-7}))
    assert np.array_equal(run.state, same.state) and not np.array_equal(run.state, other.state)
    assert run.provenance == same.provenance != other.provenance
    assert run.provenance["request"] == {"t_end": 20.0, "rtol": 1e-6, "atol": 1e-9} | {
        "max_steps": 5000
    }


def test_a_request_is_a_value():
    one, two = Request(2, np.array([1, 2])), Request(2.0, (1.0, 2.0))
    assert one == two and hash(one) == hash(two)
    assert one != replace(two, rtol=1e-9)
    assert np.array_equal(one.times, [1.0, 2.0])
    assert pickle.loads(pickle.dumps(one)) == one


def test_states_are_kept_between_times_that_are_far_apart():
    close, far = [0.001, 0.002, 0.004], [0.001, 0.002, 0.0041, 100.0]
    assert np.array_equal(Request(100.0, close).followed(2.0), close)
    kept = Request(200.0, far).followed(2.0)
    assert np.isin(far, kept).all() and kept[-1] == 100.0
    assert (kept[kept <= 0.002].size, (kept[1:] / kept[:-1]).max()) == (2, 2.0)
    # No errors are carried, or none are made by steps.
    assert np.array_equal(Request(200.0, far).followed(np.inf), far)
    assert np.array_equal(Request(200.0, far, method="reference").followed(2.0), far)


@pytest.mark.parametrize(
    ("option", "value"),
    [
        ("method", "Euler"),
        ("rtol", 1e-15),
        ("rtol", "small"),
        ("atol", -1.0),
        ("rtol", None),
        ("atol", "small"),
        ("atol", [1e-9]),
        ("max_steps", 0),
        ("max_steps", None),
        ("max_steps", 1.5),
        ("max_steps", True),
        ("method", None),
        ("method", []),
        ("t_eval", [2.0, 1.0]),
        ("t_eval", "abc"),
        ("t_eval", ["1.0", "2.0"]),
        ("t_eval", [1j]),
        ("t_eval", [[1.0], [1.0, 2.0]]),
        ("t_eval", np.ma.array([1.0, 2.0], mask=[True, False])),
        ("t_end", np.nan),
        ("t_end", True),
        ("t_end", 10**400),
        ("t_end", np.complex128(3.0)),
    ],
)
def test_a_request_that_cannot_be_met_is_refused(option, value):
    good = {"t_end": 3.0, "t_eval": [1.0, 2.0]}
    Request(**good)
    with pytest.raises(InputError, match=option) as caught:
        Request(**{**good, option: value})
    assert "\n" not in str(caught.value)


def test_numbers_of_numpy_are_plain_ones():
    asked = Request(np.float32(3.0), rtol=np.float32(1e-6), atol=np.float64(1e-9))
    plain = (asked.t_end, asked.rtol, asked.atol)
    assert [type(x) for x in plain] == [float] * 3
    assert type(Request(3.0, max_steps=np.int64(7)).max_steps) is int


@pytest.mark.parametrize(
    "call",
    [
        lambda: flows.integrate(SYSTEM, START, 1.0, None, "BDF"),
        lambda: flows.descend(SYSTEM, START, 0.1, 10, True),
        lambda: flows.integrate_ensemble(SYSTEM, START[None], 1.0, None, "BDF"),
        lambda: flows.descend_ensemble(SYSTEM, START[None], 0.1, 10, ("loss",)),
        lambda: flows.worst_case(SYSTEM, "loss_upper", 1.0),
    ],
)
def test_what_is_no_main_argument_goes_by_name(call):
    with pytest.raises(TypeError, match="positional"):
        call()
