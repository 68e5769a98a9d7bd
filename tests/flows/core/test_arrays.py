"""What a user's arrays and numbers must be, one clear line otherwise."""

import numpy as np
import pytest

import flows
from flows.core.arrays import check_masks, checked, is_real
from flows.core.errors import InputError

MASKED = np.ma.array([1.0, 2.0], mask=[True, False])


@pytest.mark.parametrize("values", [MASKED, [MASKED], ([0.0, 1.0], (MASKED,)), [[np.ma.masked]]])
def test_masked_entries_are_refused_at_any_depth(values):
    with pytest.raises(InputError, match="start must have no masked entries"):
        check_masks(values, "start")


def test_a_masked_array_that_masks_nothing_is_an_array():
    assert np.array_equal(checked(np.ma.array([1.0, 2.0]), (2,), "start"), [1.0, 2.0])
    check_masks([[1.0, 2.0], None, "word"], "start")


@pytest.mark.parametrize(
    ("system", "shape"),
    [
        (flows.ReLUNeuron(2, 2), (2, 2)),
        (flows.GMMEM(2, 2), (2, 2)),
        (flows.ScoreMatching(2, 2), (2, 2)),
        (flows.MatrixFactorization(d=2), (4, 2, 2)),
    ],
)
def test_a_masked_start_is_refused_and_not_unmasked(system, shape):
    mask = np.arange(np.prod(shape)).reshape(shape) == 1
    for run in (
        lambda start: flows.integrate(system, start, 1.0),
        lambda start: flows.integrate_ensemble(system, start[None], 1.0),
    ):
        with pytest.raises(InputError, match="masked"):
            run(np.ma.array(np.ones(shape), mask=mask))


@pytest.mark.parametrize("value", [1, 0.5, np.float32(2.0), np.int8(3), -1e308])
def test_a_real_number_is_one(value):
    assert is_real(value)


@pytest.mark.parametrize("value", [True, np.True_, None, "1", 1j, np.nan, np.inf, 10**400, [1.0]])
def test_what_is_no_real_number_is_told(value):
    assert not is_real(value)


@pytest.mark.parametrize(
    "build",
    [
        lambda: flows.ReLUNeuron(2, 10**9),
        lambda: flows.ReLUNeuron(10**9, 2),
        lambda: flows.GMMEM(10**9, 2),
        lambda: flows.ScoreMatching(2, 10**9),
        lambda: flows.MatrixFactorization(d=10**5),
    ],
)
def test_a_size_that_no_start_can_have_is_refused_at_once(build):
    with pytest.raises(InputError, match="choose a smaller one"):
        build()


@pytest.mark.parametrize(
    "system",
    [
        flows.ReLUNeuron(2, 2),
        flows.GMMEM(2, 2),
        flows.ScoreMatching(2, 2),
        flows.MatrixFactorization(d=2),
    ],
)
@pytest.mark.parametrize(
    ("word", "given"),
    [
        ("seed", {"seed": None}),
        ("seed", {"seed": "1"}),
        ("seed", {"seed": 1.5}),
        ("seed", {"seed": True}),
        ("scale", {"scale": None}),
        ("scale", {"scale": "1"}),
        ("scale", {"scale": [1.0]}),
    ],
)
def test_a_seed_or_scale_of_another_type_is_one_line(system, word, given):
    with pytest.raises(InputError, match=f"{word} must be"):
        system.initial(**given)
