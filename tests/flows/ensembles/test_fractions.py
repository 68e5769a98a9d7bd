"""What conditions and quantiles make of losses that are not known, with a bound and without one."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import sympy as sp
import xarray

import flows
from flows.ensembles.chunk import Chunk
from flows.ensembles.result import Ensemble

x = sp.Symbol("x", real=True)
WELL = flows.OwnSystem("well", [x], (x - 1) ** 2 / 2)
MEMBERS, END = 6, 1e3
# The well's loss is exp(-2 t) times that of the start: too small for a double from t = 372 on.
TINY = -700.0

# Loss at 0 and at the end, its error there, status: known, below a bound, and not known at all.
BOUND = 1e-9
ROWS = [
    (1.0, 1e-3, 1e-6, "completed"),
    (1.0, np.nan, BOUND, "completed"),
    (1.0, np.nan, np.nan, "step_budget"),
    (np.nan, np.nan, np.nan, "failed"),
]
# A thousandth decides.
LITTLE = 1e-3


def made() -> tuple[Ensemble, xarray.Dataset]:
    """An ensemble of these members, and a sweep of two values that has them twice."""
    loss = np.array([row[:2] for row in ROWS])
    error = np.array([[1e-9 * row[0], row[2]] for row in ROWS])
    status = np.array([row[3] for row in ROWS], dtype=object)
    rows = {"loss": loss, "loss_error": error, "status": status}
    shapes: dict[str, tuple[int, ...]] = {"loss": (), "loss_error": ()}
    chunks = (Chunk(0, 3, {k: v[:3] for k, v in rows.items()}),)
    chunks += (Chunk(3, 1, {k: v[3:] for k, v in rows.items()}),)
    whole = Ensemble(WELL, np.array([0.0, 1.0]), None, chunks, shapes, (), {})
    axes = ("n", "member", "t")
    twice = {k: (axes[: v.ndim + 1], np.stack([v, v])) for k, v in rows.items()}
    coordinates = {"n": [1, 2], "member": range(len(ROWS)), "t": [0.0, 1.0]}
    return whole, xarray.Dataset(twice, coordinates)


def by_all(condition: Any) -> list[tuple[int, int, int]]:
    """Count, trials and undecided by an ensemble and by a sweep of a condition on both losses."""
    whole, data = made()
    one = whole.fraction(lambda c: condition(c["loss"][:, 0], c["loss"][:, 1], c["status"]))
    many = flows.sweep_fraction(
        data, lambda s: condition(*(s["loss"].isel(t=k, drop=True) for k in (0, 1)), s["status"])
    )
    numbers = [many[name].values.tolist() for name in ("count", "trials", "undecided")]
    return [(one.count, one.trials, one.undecided), *zip(*numbers, strict=True)]


@pytest.mark.parametrize(
    ("condition", "expected"),
    [
        (lambda first, last, _: last < 1e-6, (1, 2, 2)),
        (lambda first, last, _: ~(last < 1e-6), (1, 2, 2)),
        (lambda first, last, _: last <= 1e-6 * first, (1, 2, 2)),
        (lambda first, last, _: (last > 1e-8) & (last < 1e-2), (1, 2, 2)),
        (lambda first, last, _: last < BOUND * (1 + LITTLE), (1, 2, 2)),
        (lambda first, last, _: last < BOUND * (1 - LITTLE), (0, 1, 3)),
        (lambda first, last, _: abs(last) > BOUND * (1 + LITTLE), (1, 2, 2)),
        (lambda first, last, _: last < (1e-3 + 1e-6) * (1 + LITTLE), (2, 2, 2)),
        (lambda first, last, _: last < 1e-3 + 0.5e-6, (1, 1, 3)),
        (lambda first, last, status: (status == "completed") & (last < 1e-6), (1, 4, 0)),
        (lambda first, last, status: (status != "completed") | (last < 1e-6), (3, 4, 0)),
    ],
)
def test_what_is_not_known_is_anywhere_within_its_bound_and_undecided_without_one(
    condition, expected
):
    assert by_all(condition) == [expected] * 3


@pytest.mark.parametrize("given", [sp.Symbol("loss") < 1e-6, "loss < 1e-6", True])
def test_a_condition_that_is_no_function_is_refused(given):
    whole, data = made()
    with pytest.raises(flows.InputError, match=r"a function of members, got .*; write lambda"):
        whole.fraction(given)
    with pytest.raises(flows.InputError):
        flows.sweep_fraction(data, given)


def test_quantiles_take_a_loss_within_its_bound_and_leave_out_what_has_none():
    whole, _ = made()
    assert whole.left_out().tolist() == [1, 2]
    low, high = whole.quantiles("loss", (0.0, 1.0))[:, 1]
    assert np.isnan(low) and high == 1e-3


def test_all_members_of_a_well_have_converged_below_all_doubles():
    """The closed form is `L(t) = (x_0 - 1)^2 exp(-2 t)/2`, of which the logarithm is taken."""
    starts = np.random.default_rng(0).normal(size=(MEMBERS, 1))
    found = flows.integrate_ensemble(WELL, starts, END, [100.0, END])
    logs = np.log((starts - 1) ** 2 / 2) - 2 * found.t
    assert np.isnan(found["loss"][:, -1]).all() and (logs[:, -1] < TINY).all()
    assert (np.log(found["loss_error"][:, -1]) > logs[:, -1]).all()
    for bound, expected in ((1e-6, (MEMBERS, 0)), (1e-280, (MEMBERS, 0)), (1e-300, (0, MEMBERS))):
        part = found.fraction(lambda c, bound=bound: c["loss"][:, -1] < bound)
        assert (part.count, part.undecided) == expected
    assert found.left_out()[-1] == 0 and np.isnan(found.quantiles("loss", [0.5])[0, -1])
    one = flows.integrate(WELL, starts[0], END, [100.0, END])
    assert np.isnan(one["loss"][-1]) and np.log(one.absolute_errors("loss")[-1]) > logs[0, -1]
    assert one.errors("loss")[-1] == np.inf


def test_a_sweep_counts_members_that_have_converged_below_all_doubles():
    data = flows.sweep(
        lambda k: flows.OwnSystem("well", [x], k * (x - 1) ** 2 / 2),
        {"k": [1, 2]},
        size=3,
        t_end=END,
        t_eval=[END],
    )
    assert np.isnan(data["loss"].isel(t=-1)).all()
    found = flows.sweep_fraction(data, 1e-6)
    assert found["count"].values.tolist() == [3, 3] and not found["undecided"].any()
