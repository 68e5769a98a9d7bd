"""What is of the wrong type is refused in one clear line, wherever it is given."""

import functools

import pytest

import flows
from flows.core.errors import InputError

SYSTEM = flows.ReLUNeuron(2, 2)
START = SYSTEM.initial()


@functools.cache
def run():
    return flows.integrate(SYSTEM, START, 10.0)


@pytest.mark.parametrize("wrong", [None, 3, "relu_neuron", flows.ReLUNeuron])
@pytest.mark.parametrize(
    "call",
    [
        lambda system: flows.integrate(system, START, 1.0),
        lambda system: flows.descend(system, START, step_size=0.1, steps=3),
        lambda system: flows.integrate_ensemble(system, [START], t_end=1.0),
        lambda system: flows.integrate_ensemble(system, flows.Law(size=2), t_end=1.0),
        lambda system: flows.descend_ensemble(system, [START], step_size=0.1, steps=3),
        lambda system: flows.certify(system, START, 1.0),
    ],
)
def test_what_is_no_system_is_refused_in_one_line(call, wrong):
    with pytest.raises(InputError, match="system must be a System, got") as caught:
        call(wrong)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("wrong", [None, 3, "run.nc", SYSTEM])
@pytest.mark.parametrize("call", [flows.check, flows.local_exponent, flows.tail_constant])
def test_what_is_no_run_is_refused_in_one_line(call, wrong):
    with pytest.raises(InputError, match="run must be a trajectory, got") as caught:
        call(wrong)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: flows.check(run(), 3), "claim must be the id of one, or a Claim, got 3"),
        (lambda: flows.check(run(), [3]), "claim must be the id of one, or a Claim, got 3"),
        (lambda: flows.local_exponent(run(), 3), "unknown potential 3"),
        (lambda: run().errors(3), "unknown observable 3"),
        (lambda: flows.integrate(SYSTEM, START, 1.0, progress="yes"), "progress must be True"),
        (lambda: flows.integrate(SYSTEM, None, 1.0), "start must hold real numbers"),
    ],
)
def test_other_arguments_are_refused_in_one_line(call, message):
    with pytest.raises(InputError, match=message) as caught:
        call()
    assert "\n" not in str(caught.value)
