"""Limits of members in compiled code are those of the search with many digits, or not told."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import sympy as sp

import flows
from flows.core.system import Excess
from flows.ensembles.axis_found import found_of

u, v = sp.symbols("u v")
# States are cut to two doubles, whose last bits change a loss of 1e-13 by this part of it.
DIGITS = 1e-12
# A constant that is off by a thousandth is seen.
LITTLE = 1e-3

VALLEY = (u * v - 1) ** 2 / 2 + (u - v) ** 4 / 4
SEXTIC = (u * v - 1) ** 2 / 2 + (u - v) ** 6 / 4
SADDLE = (u * v - 1) ** 2 / 2
AWAY = 1 / (1 + u**2 + v**2)


def seen(loss: sp.Expr, start: list[float], end: float) -> tuple[Any, Excess | None]:
    """Run with many digits, and the loss above its limit by compiled code from two doubles."""
    system = flows.OwnSystem("one", [u, v], loss)
    run = flows.integrate(system, start, end, [end / 10, end], rtol=1e-10)
    ended = found_of(1, len(run.t), 2)
    ended.digits[0], ended.since[0] = run.states.digits[..., :2], run.states.energy[:, 0]
    ended.numbers[:], ended.reached[:] = 1.0, len(run.t)
    ended.numbers[0, :, 1], ended.numbers[0, :, 4] = run.features["loss_dot"], 0.0
    ended.curvature[0], ended.axes[0] = np.linalg.eigh(system.hessian(run.states.x[-1]))
    (found,) = system.ended_along(ended, run.t[1:])
    return run, found


@pytest.mark.parametrize("rest", [0, sp.Rational(3, 10)])
@pytest.mark.parametrize(("loss", "start"), [(VALLEY, [0.3, 1.2]), (SEXTIC, [1.7, 0.4])])
def test_loss_above_a_limit_is_that_of_the_search_with_many_digits(
    loss: sp.Expr, start: list[float], rest: Any
) -> None:
    """Of powers four and six, also where the limit is not zero."""
    run, found = seen(loss + rest, start, 1e6)
    assert found is not None and not run.excess.reason
    assert np.allclose(found.value, run.excess.value, rtol=DIGITS, atol=0)
    assert not np.allclose(found.value, (1 + LITTLE) * run.excess.value, rtol=DIGITS, atol=0)
    assert abs(found.limit - float(rest)) <= DIGITS * found.value[-1]


def test_a_minimum_where_all_directions_are_curved_is_found() -> None:
    """Before the loss is below what two doubles tell."""
    run, found = seen((u * v - 1) ** 2 / 2 + (u - v - 1) ** 2 / 2 + u / 7, [0.5, 0.2], 16.0)
    assert found is not None
    assert np.allclose(found.value, run.excess.value, rtol=1e-9, atol=0)


@pytest.mark.parametrize(
    ("loss", "start", "end"),
    [
        (SADDLE, [0.5, -0.5], 40.0),  # on the stable manifold of zero
        (AWAY, [0.3, 0.4], 1e6),  # on the way to infinity
        (VALLEY, [0.3, 1.2], 1e-2),  # nothing is slow or fast yet
    ],
)
def test_a_limit_that_many_digits_do_not_tell_is_not_told(
    loss: sp.Expr, start: list[float], end: float, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Beside a saddle, without a limit, and early; or it is refused for the same reason."""
    monkeypatch.setattr(flows.OwnSystem, "subspace", lambda system, start: None)
    run, found = seen(loss, start, end)
    assert not np.isfinite(run.excess.limit)
    if found is not None:
        assert np.isnan(found.value).all() and np.isnan(found.limit)
        assert found.reason == run.excess.reason
