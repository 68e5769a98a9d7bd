"""States that go along a valley, or that doubles stop: they are as far off as is stated.

Methods for stiff flows keep the energy to their tolerance; across a valley they may leave all of
the gradient's digits, and those of a potential that vanishes at the floor.
"""

import numpy as np
import pytest
import sympy as sp

import flows
from flows.systems.own import arrived, observed_doubles

X, Y = sp.symbols("x y", real=True)
TIMES = np.geomspace(1e7, 1e12, 11)
# The laws below are right to a few times log t/t.
LAW = 1e-5
# What is stated of a potential is no more than so many times its error, at the median: it is seen.
TELLING = 30.0
# At the default tolerance a gradient along the valley keeps its digits.
DIGITS = 2e-8


def valley(k, at_floor=True):
    """`k (y - x^2)^2/2 + x^4/4`: `x^2` is like `1/2t`, and `y - x^2` like `2 x^4/k`."""
    loss = k * (Y - X**2) ** 2 / 2 + X**4 / 4
    return flows.OwnSystem("valley", [X, Y], loss, {"above": Y - X**2} if at_floor else {})


def off(run, k):
    """Largest errors of the gradient and of the height, in units of what is stated."""
    t = run.t[1:]
    found = []
    for name, law in (("gradient_norm", (2 * t) ** -1.5), ("above", 1 / (2 * k * t**2))):
        apart = np.maximum(np.abs(run[name][1:] - law) - LAW * law, 0.0)
        found.append(np.nanmax(apart / run.absolute_errors(name)[1:], initial=0.0))
    return max(found)


@pytest.mark.parametrize(
    ("k", "method", "rtol"),
    [
        (5, "auto", 1e-10),
        (100, "auto", 1e-10),
        (1, "Radau", 1e-8),
        (100, "LSODA", 1e-8),
        (10_000, "CVODE", 1e-10),
    ],
)
def test_a_gradient_across_a_valley_is_off_by_less_than_is_stated(k, method, rtol, monkeypatch):
    given = [0.5, -0.5], 1e12, TIMES
    run = flows.integrate(valley(k), *given, rtol=rtol, method=method)
    assert run.completed and off(run, k) <= 1
    assert np.isfinite(run["gradient_norm"]).any()
    # Control: the tolerance alone says less.
    monkeypatch.setattr(arrived, "ARRIVED", np.inf)
    assert off(flows.integrate(valley(k), *given, rtol=rtol, method=method), k) > 2


def test_how_far_a_state_is_beside_a_floor_is_seen(tmp_path):
    run = flows.integrate(valley(1), [0.5, -0.5], 1e12, TIMES, rtol=1e-10, method="Radau")
    law = 1 / (2 * run.t[1:] ** 2)
    true, stated = np.abs(run["above"][1:] - law), run.absolute_errors("above")[1:]
    seen = true > 10 * LAW * law
    assert seen.sum() > 3 and np.median((stated / true)[seen]) < TELLING
    # A file keeps it, and a loss that nothing is asked across keeps the digits of its gradient.
    run.save(tmp_path / "run.nc")
    kept = flows.load(tmp_path / "run.nc", system=valley(1))
    assert kept.absolute_errors("above") == pytest.approx(
        run.absolute_errors("above"), rel=1e-9, nan_ok=True
    )
    alone = flows.integrate(valley(1, False), [0.5, -0.5], 1e12, TIMES)
    assert alone.errors("gradient_norm").max() < DIGITS


def test_a_state_on_its_way_to_the_floor_is_known_to_the_tolerance():
    # From a plateau it falls at a late time, when curvature times time is large.
    x, y = 1e-4, 2e-4
    system = flows.OwnSystem("product", [X, Y], (X * Y - 1) ** 2 / 2, {"left": 1 - X * Y})
    run = flows.integrate(system, [x, y], 30.0, np.linspace(12.0, 14.0, 9))
    fine = flows.integrate(system, [x, y], 30.0, np.linspace(12.0, 14.0, 9), rtol=1e-13)
    assert run.errors("left").max() < 1e-6
    apart = np.abs(run["left"] - fine["left"])
    assert (apart <= run.absolute_errors("left") + fine.absolute_errors("left")).all()


def test_a_state_that_stands_still_where_rounding_hides_its_gradient_is_off_by_less(monkeypatch):
    # In doubles, of `(x - 1)^4/4` from 3/2 only the expanded form is given.
    system = flows.OwnSystem(
        "expanded", [X], sp.expand((X - 1) ** 4 / 4), {"x": X}, arithmetic="doubles"
    )
    times = np.geomspace(1e8, 1e12, 5)

    def off():
        run = flows.integrate(system, [1.5], times[-1], times, rtol=1e-8)
        assert np.isnan(run["gradient_norm"][-1])
        apart = np.abs(run["x"] - 1 - (4 + 2 * run.t) ** -0.5)[1:]
        return (apart / run.absolute_errors("x")[1:]).max(), run.errors("x")[-1]

    most, stated = off()
    assert most <= 1 and stated < 1e-3  # what is known is still said
    # Control: the tolerance alone says less.
    monkeypatch.setattr(observed_doubles, "BEYOND", 0.0)
    assert off()[0] > 3


def test_a_state_in_doubles_that_has_arrived_keeps_its_digits():
    loss = (X * Y - 1) ** 2 / 2
    system = flows.OwnSystem("product", [X, Y], loss, {"x": X}, arithmetic="doubles")
    run = flows.integrate(system, [0.5, 0.8], 1e4)
    assert np.isnan(run["gradient_norm"][-1]) and run.errors("x")[-1] < 1e-6
