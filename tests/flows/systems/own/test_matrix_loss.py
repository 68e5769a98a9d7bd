"""Losses of many entries, by matrix code: against small ones in entries, and a closed form."""

import numpy as np
import pytest
import sympy as sp

import flows
from flows.core.altered import altered
from flows.systems.own.matrix_loss import MatrixLoss

X, Y = sp.MatrixSymbol("X", 3, 2), sp.MatrixSymbol("Y", 2, 3)
TARGET = sp.ImmutableMatrix([[1, 2, 0], [0, 1, 0], [0, 0, -1]])
SMALL = sp.trace((X * Y - TARGET) * (X * Y - TARGET).T) / 2 + sp.trace(X.T * X) ** 2
MANY = sp.MatrixSymbol("X", 30, 20)  # 600 entries
# Of doubles; of a run at rtol = 1e-10, whose steps leave less.
ROUNDED, SOLVED = 1e-13, 1e-9


def test_value_gradient_and_hessian_are_those_of_the_entries():
    own, loss = flows.OwnSystem("small", [X, Y], SMALL), MatrixLoss((X, Y), SMALL, "")
    y = np.random.default_rng(0).normal(size=(2, 12))
    value, slope = loss.at(y)
    for k, state in enumerate(y):
        assert abs(value[k] - own.loss(state)) < ROUNDED * abs(value[k])
        assert np.abs(slope[k] - own.gradient(state)).max() < ROUNDED * np.abs(slope[k]).max()
        hessian = own.hessian(state)
        assert np.abs(loss.hessian(state) - hessian).max() < ROUNDED * np.abs(hessian).max()
    assert np.array_equal(loss.hessians(y)[1], loss.hessian(y[1]))


@pytest.fixture(scope="module")
def system():
    potentials = {"size": sp.trace(MANY.T * MANY)}
    return flows.OwnSystem("quartic", [MANY], sp.trace((MANY.T * MANY) ** 2) / 4, potentials)


def test_a_run_of_many_entries_is_its_closed_form(system, tmp_path):
    # dX/dt = -X X'X: singular values s obey ds/dt = -s^3.
    start = system.initial(0.3, seed=0)
    run = flows.integrate(system, start, t_end=1e3)
    assert run.status == "completed"
    begin = np.linalg.svd(start.reshape(30, 20), compute_uv=False) ** 2
    squares = begin / (1 + 2 * begin * run.t[:, None])
    loss = np.sum(squares**2, axis=1) / 4
    assert np.abs(run["loss"] / loss - 1).max() < SOLVED
    assert np.abs(run["size"] / squares.sum(axis=1) - 1).max() < SOLVED
    assert (np.abs(run["loss"] / loss - 1) <= run.errors()).all()
    run.save(tmp_path / "run.nc")
    again = flows.load(tmp_path / "run.nc", system=system)
    assert np.array_equal(again["loss"], run["loss"])


def test_a_stiff_run_of_many_entries_is_the_run_of_its_few():
    # Columns beyond the first two rows of the target only decay: a small loss in entries knows it.
    start = np.zeros((30, 20))
    start[:2, :2] = [[0.5, 0.1], [0.2, 0.4]]
    target = sp.ImmutableMatrix(sp.diag(2, 1, *[0] * 28))
    small = sp.MatrixSymbol("Z", 2, 2)
    large = flows.OwnSystem("large", [MANY], sp.trace((MANY * MANY.T - target) ** 2) / 4)
    few = flows.OwnSystem("few", [small], sp.trace((small * small.T - sp.diag(2, 1)) ** 2) / 4)
    times = [1.0, 3.0]
    one = flows.integrate(large, start.ravel(), t_end=3.0, t_eval=times)
    other = flows.integrate(few, start[:2, :2].ravel(), t_end=3.0, t_eval=times)
    assert np.abs(one["loss"] / other["loss"] - 1).max() < SOLVED * 10


def test_what_the_last_bits_hide_is_not_reported_as_zero():
    hidden = flows.OwnSystem("hidden", [MANY], sp.log(1 + sp.trace(MANY.T * MANY) / 10**40))
    run = flows.integrate(hidden, np.full(600, 1e-3), t_end=1.0)
    assert np.isnan(run["loss"]).all()


Q = sp.Symbol("q")
W = sp.MatrixSymbol("W", 50, 50)
TRACE = sp.trace(MANY.T * MANY)


@pytest.mark.parametrize(
    ("blocks", "loss", "message"),
    [
        ([W], sp.trace(W.T * W), "blocks have 2500 entries, at most 500 are possible, and 2000"),
        ([MANY], MANY[0, 0] ** 2, "an entry, or a symbol, outside of traces"),
        ([MANY], Q * TRACE, "of the blocks, got q"),
        ([MANY], sp.I * TRACE, "real and finite"),
        ([MANY], sp.trace(MANY.applyfunc(sp.Abs) * MANY.T), "without kinks"),
        ([MANY, Q], TRACE + Q**2, "got the scalar block q"),
    ],
)
def test_a_loss_that_matrix_code_does_not_know_is_refused_in_one_line(blocks, loss, message):
    with pytest.raises(flows.InputError, match=message) as refused:
        flows.OwnSystem("large", blocks, loss)
    assert "\n" not in str(refused.value)


def test_what_takes_entries_is_refused_in_one_line(system):
    start = system.initial(0.3, seed=0)
    for refused in (
        lambda: system.derive(),
        lambda: flows.certify(system, start, 1.0),
        lambda: flows.integrate(system, start, t_end=1.0, method="reference"),
        lambda: altered(system, arithmetic="balls").reduce(start),
    ):
        with pytest.raises(flows.InputError, match=r"[56]00") as told:
            refused()
        assert "\n" not in str(told.value)
