"""The rounding error that a loss is reported with, against as many digits as it takes."""

from dataclasses import replace
from itertools import pairwise

import numpy as np
import pytest
from mpmath import mp

import flows
from flows.systems.matrix_factorization.system import Frame

DIGITS = 400  # losses down to 1e-260, and 100 digits of them
# An error that is never near its bound would be no measure of it; 0.4 when written.
NEAR = 0.1
# The same for the start, whose bound adds up absolute values; 0.04 when written.
NEAR_START = 1e-2
EPSILON = np.finfo(float).eps
TIGHT = 1e-13  # rtol of a run whose tolerance hides nothing


def optimum(system):
    return np.stack([np.eye(system.d)] * system.depth)


def reals(matrices, system):
    kind = complex if system.field == "complex" else float
    return np.ascontiguousarray(matrices).astype(kind).view(float).ravel().tolist()


def exact_losses(system, x):
    """`L_ori` and `L_reg` of the real numbers of the layers."""
    if system.field == "complex":
        x = [mp.mpc(*x[k : k + 2]) for k in range(0, len(x), 2)]
    layers = np.array(x, dtype=object).reshape(system.depth, system.d, system.d)
    product = np.eye(system.d, dtype=object)
    for layer in layers:
        product = layer @ product
    defects = [v @ v.conj().T - w.conj().T @ w for v, w in pairwise(layers)]
    residual = np.array(system.target) - product
    fit, balance = (mp.fsum(abs(e) ** 2 for e in np.ravel(m)) for m in (residual, defects))
    return fit / 2, system.regularization * balance / 4


def measured(system, frame, sound, x):
    """Errors of both parts of the loss, by what is reported and by the losses."""
    found = system.features(frame, type(sound)(sound.x[None]))
    parts = (
        found["residual"][0] ** 2 / 2,
        system.regularization / 4 * (found["defect"][0] ** 2).sum(),
    )
    reported = [found[name][0] for name in ("loss_fit_error", "loss_balance_error")]
    assert found["loss_error"][0] == pytest.approx(sum(reported), rel=1e-15)
    with mp.workdps(DIGITS):
        exact = exact_losses(system, x)
        errors = np.array([float(abs(p - e)) for p, e in zip(parts, exact, strict=True)])
    return errors / reported, errors / parts


@pytest.mark.parametrize("field", ["real", "complex"])
def test_error_of_a_state_is_that_of_its_representation(field):
    system = flows.MatrixFactorization(3, field, 5.0)
    frame, sound = system.reduce(system.check_start(optimum(system)))
    frame = replace(frame, rounding=np.zeros(2))  # these states have no start
    ratios, relative = [], []
    with mp.workdps(DIGITS):
        decode = system.exact_flow(frame, sound, DIGITS).decode
        base = reals(optimum(system), system)
        for power in range(1, 130, 4):
            step = reals(system.initial(1.0, power), system)
            x = [b + mp.mpf(10) ** -power * s for b, s in zip(base, step, strict=True)]
            ratio, error = measured(system, frame, decode(x), x)
            ratios.append(ratio)
            relative.append(error)
    assert np.max(ratios) < 1
    assert np.max(ratios, axis=0).min() > NEAR
    # The norm alone, without the logarithm of the magnitude, would claim less than there is.
    assert np.max(relative, axis=0).min() > 2 * system.d * EPSILON


@pytest.mark.parametrize("target", [None, [[1.0, 0.5, 0.0], [0.0, 2.0, 0.3], [0.1, 0.0, 1.5]]])
def test_error_of_a_start_is_that_of_the_difference_which_it_is(target):
    system = flows.MatrixFactorization(3, "real", 5.0, target, depth=2)
    root = optimum(system)
    root[1] = np.array(system.target)
    ratios, blind = [], []
    for power in range(1, 15):
        start = root + system.initial(10.0**-power, seed=power)
        frame, sound = system.reduce(start)
        x = [mp.mpf(e) for e in start.ravel().tolist()]
        ratios.append(measured(system, frame, sound, x)[0])
        nothing = replace(frame, rounding=np.zeros(2))
        blind.append(measured(system, nothing, sound, x)[0])
    assert np.max(ratios) < 1
    assert np.max(ratios, axis=0).min() > NEAR_START
    assert np.max(blind, axis=0).min() > 1


def test_a_run_from_a_start_beside_the_optimum_is_within_its_reported_error():
    system = flows.MatrixFactorization(2, "real", 5.0, depth=2)
    start = optimum(system) + system.initial(1e-9, 4)
    times = [1e-2, 1.0, 4.0]
    exact = flows.integrate(system, start, times[-1], times, method="reference")
    run = flows.integrate(system, start, times[-1], times, rtol=TIGHT)
    for name in ("loss_fit", "loss_balance"):
        error = np.abs(run[name] - exact[name])[1:]
        tolerance = run.tolerance[1:] * exact[name][1:]
        assert (error <= run.errors(name)[1:] * run[name][1:]).all()
        # The tolerance alone does not explain it.
        assert (error > tolerance).any()


def test_what_has_decayed_beyond_doubles_is_zero_with_an_error_beyond_them():
    system = flows.MatrixFactorization(2, "real", 5.0)
    run = flows.integrate(system, system.initial(0.6, 0), 1e4)
    assert run.completed
    assert run["loss"][-1] == 0
    assert 1e-300 < run.features["loss_error"][-1] < 1e-290
    started = system.features(run.frame, run.states.at(slice(0, 1)))["loss_error"][0]
    assert 1e-16 < started / run["loss"][0] < 1e-12


def test_rounding_is_stored_with_a_run(tmp_path):
    system = flows.MatrixFactorization(2)
    run = flows.integrate(system, system.initial(0.3, 1), 1.0)
    back = flows.load(run.save(tmp_path / "run.nc"))
    assert isinstance(back.frame, Frame)
    assert np.array_equal(back.features["loss_error"], run.features["loss_error"])
