"""Shares of teachers, and their residuals: what is stated of them covers their errors."""

import numpy as np
import pytest

import flows

RTOL, TIGHT = 1e-8, 1e-11
# Dimension, scale and member of a law of 400 of two students: one has a share that passes by zero.
PASSES, ORDINARY = (0.1, 4), (1.0, 11)


def followed(case):
    """A run with one ReLU teacher, and another one that is right to more digits."""
    scale, member = case
    start = flows.Law(400, scale, seed=30).start(flows.ReLUNeuron(2, 2), member)
    system = flows.TwoLayer(2, [[1.0, 0.0]])
    run = flows.integrate(system, start, 1e4, method="Rodas5P", rtol=RTOL)
    return run, flows.integrate(system, start, 1e4, method="Radau", rtol=TIGHT)


def off_and_stated(run, truth, name):
    """Errors of a feature, what is stated in all, and by the tolerance alone."""
    value = run.features[name]
    usual = run.tolerance[:, None] * np.nan_to_num(np.abs(value))
    with np.errstate(invalid="ignore"):
        off = np.nan_to_num(np.abs(value - truth.features[name]))
    return off, usual + np.nan_to_num(run.feature_errors[name]), usual


@pytest.mark.parametrize("case", [PASSES, ORDINARY])
def test_of_one_teacher_shares_and_residuals_have_the_errors_of_later_states(case):
    run, truth = followed(case)
    assert run.completed and truth.completed
    for name in ("share", "residual"):
        off, stated, usual = off_and_stated(run, truth, name)
        assert (off <= stated).all()
    assert {"share", "residual"} <= set(run.system.later_names)
    # Control: the tolerance of a share that passes by zero is too little.
    off, stated, usual = off_and_stated(run, truth, "share")
    known = usual > 0
    assert ((off > 2 * usual)[known].any()) == (case == PASSES)


def test_a_share_that_shrinks_is_not_known_to_the_tolerance_of_its_own():
    system = flows.TwoLayer(3, 2)
    start, times = system.initial(0.5, seed=202), [100.0, 200.0, 300.0]
    run, truth = (
        flows.integrate(system, start, 300.0, t_eval=times, rtol=r, method=method)
        for r, method in ((1e-8, "Radau"), (1e-11, "auto"))
    )
    off, stated, usual = off_and_stated(run, truth, "share")
    assert run["shares"][-1].min() < 1e-9
    assert (off <= stated).all()
    assert (off > usual).any()
    # Nothing is stated of others alone: a share of one is known to its first digits.
    assert (stated[:, 0] < 1e-3).all()
