"""Starts so large that squares of gradients, or losses, are beyond doubles."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import sympy as sp
from flint import arb

import flows
from flows.systems.own.exact import to_double
from flows.systems.own.increment import Increment

A, B = sp.symbols("a b")
PLATEAU = flows.OwnSystem("plateau", [A, B], (A**2 * B**2 - 1) ** 2 / 4)
DOUBLES = flows.OwnSystem("plateau", [A, B], PLATEAU.expression, arithmetic="doubles")
ROUNDING = 1e-14  # a loss in doubles of one lane and in more digits alone
LARGER = "larger at the start than doubles hold"
REFUSED = [
    ((1e60, 1e60), LARGER),
    ((1e100, 1e-3), LARGER),
    ((1e150, 1e150), "below 1e"),
    ((1e200, 1e-200), "below 1e"),
]


@pytest.mark.parametrize(("start", "told"), REFUSED)
@pytest.mark.parametrize("system", [PLATEAU, DOUBLES])
def test_a_loss_beyond_doubles_is_refused_in_one_line(system: Any, start: Any, told: str) -> None:
    with pytest.raises(flows.InputError, match=told):
        flows.integrate(system, start, 1e3)


def test_a_gradient_whose_square_is_beyond_doubles_is_followed() -> None:
    """The loss is a number, its rate is not; `b^2 - a^2` is kept, and `a b` goes to one."""
    run = flows.integrate(PLATEAU, (1e30, 1e31), 1e3)
    assert run.completed
    assert run["loss"][0] == pytest.approx(2.5e243, rel=1e-12)
    assert np.isnan(run.quantities["loss_dot"][0])
    rest = np.sqrt(99.0) * 1e30
    assert run.state[-1] == pytest.approx([1 / rest, rest], rel=1e-8)
    unknown = np.isnan(run["loss"])
    assert unknown[-1] and "the loss is NaN" in run.message
    assert np.isinf(run.errors("loss")[unknown]).all()


def test_beside_a_saddle_a_huge_run_ends_and_says_why() -> None:
    """What is not known of `a - b` grows like `1/a`, by thirty decades, but where it stays zero."""
    run = flows.integrate(PLATEAU, (1e30, np.nextafter(1e30, 2e30)), 1e3)
    assert run.status == "field_failed" and "beside a saddle" in run.message
    assert len(run.t) == 1 or np.isnan(run["loss"][1:]).all()
    kept = flows.integrate(PLATEAU, (1e30, 1e30), 1.0, [1e-12, 1.0])
    x = (6e-12) ** (-1 / 6)  # of `x' = -x^7`
    assert kept.completed and kept["loss"][1] == pytest.approx(x**8 / 4, rel=1e-6)


@pytest.mark.parametrize("start", [(1e60, 1e60), (1e30, 1e30), (1e30, 1e31)])
def test_beside_others_a_huge_start_is_as_alone(start: tuple[float, float]) -> None:
    starts = np.random.default_rng(0).uniform(0.5, 1.5, (128, 2))
    starts[5] = start
    many = flows.integrate_ensemble(PLATEAU, starts, 10.0)
    others = np.delete(np.arange(128), 5)
    assert (many.status[others] == "completed").all()
    try:
        alone = flows.integrate(PLATEAU, start, 10.0)
        status, message, loss = alone.status, alone.message, alone["loss"][0]
    except flows.InputError as refused:
        status, message, loss = "input_error", str(refused), np.nan
    assert (many.status[5], many["message"][5]) == (status, message)
    assert many["loss"][5, 0] == pytest.approx(loss, rel=ROUNDING, abs=0, nan_ok=True)
    if np.isfinite(loss):
        assert abs(many["loss"][5, 0] - loss) <= many["loss_error"][5, 0]
    # A loss that is not known has no error, or a bound: it falls like exp(-2e62 t).
    bounds = many["loss_error"][5][np.isnan(many["loss"][5])]
    assert (bounds[np.isfinite(bounds)] < 1e-30).all()


def test_balls_without_bounds_know_nothing() -> None:
    """An error and an energy that are both infinite are no part of each other."""

    class Boundless:
        known, quick = False, None

        def both(self, place: Any) -> list[Any]:
            return [arb(0), *(arb(1e200, 1e200) for _ in place)]

    increment = Increment(Boundless(), [arb(1), arb(1)])  # type: ignore[arg-type]
    slopes, error = increment.slopes(np.ones(2))
    assert np.isnan(slopes).all() and np.isnan(error).all()


def test_what_is_beyond_doubles_is_no_double() -> None:
    with np.errstate(all="raise"):
        assert np.isnan(to_double(arb(10) ** 400)) and np.isnan(to_double(arb(10) ** -400))
        assert to_double(arb(10) ** 300) == 1e300 and to_double(arb(0)) == 0
