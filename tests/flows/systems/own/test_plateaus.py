"""Plateaus that are left ever faster: errors grow as the gradient does, and runs go on."""

from __future__ import annotations

import math
from typing import Any

import mpmath as mp
import numpy as np
import pytest
import scipy.linalg
import sympy as sp

import flows
from flows.ensembles import along_axes
from flows.runs import companions
from flows.systems.own import carried_errors, energy_piece
from flows.systems.own.carried_errors import Errors
from flows.systems.own.doubt import Doubt
from flows.systems.own.growth import shifted

A, B, C, D = sp.symbols("a b c d")
SQUARES = flows.OwnSystem("squares", [A, B], (A**2 * B**2 - 1) ** 2 / 4)
THREE = flows.OwnSystem("three", [A, B, C], (A * B * C - 1) ** 2)
FOUR = flows.OwnSystem("four", [A, B, C, D], (A * B * C * D - 1) ** 2 / 2)
# The product at outputs, from the plateau to next to the minimum.
REACHED = (0.01, 0.5, 0.99, 1 - 1e-6)
# A hundred times what steps leave is stated; no more than this part of it is sound.
LEAST = 1e-4
# Rounding of a few products.
REL = 1e-12


def of_product(system: Any, start: Any, reached: tuple[float, ...]) -> tuple[Any, Any]:
    """Times, and losses there, by quadrature to 40 digits, of a loss of the product of entries.

    Since `x_i L_i` is the same for each entry, so is the growth of its square.
    """
    entries, q = [mp.mpf(float(x)) ** 2 for x in start], sp.Symbol("q", positive=True)
    reduced = system.expression.subs({A: 1, B: q, C: 1, D: 1})
    loss, slope = (sp.lambdify(q, x, "mpmath") for x in (reduced, sp.diff(reduced, q)))

    def product(grown: Any) -> Any:
        return mp.sqrt(mp.fprod(x + grown for x in entries))

    def slowness(grown: Any) -> Any:
        return -1 / (2 * product(grown) * slope(product(grown)))

    times, losses, before, t = [], [], mp.mpf(0), mp.mpf(0)
    for goal in map(mp.mpf, reached):
        low, high = mp.mpf(0), mp.mpf(2)
        for _ in range(160):
            middle = (low + high) / 2
            low, high = (middle, high) if product(middle) < goal else (low, middle)
        # Pieces as long as what they are away from where the product is 0.
        ends, least = [before], min(entries)
        while ends[-1] < high:
            ends.append(min(high, 2 * ends[-1] + least))
        t, before = t + mp.quad(slowness, ends), high
        times.append(float(t))
        losses.append(loss(goal))
    return np.array(times), losses


def of_equal(t: float, start: Any) -> Any:
    """Loss of `SQUARES` at a time, from equal entries, by bisection of what is elementary."""

    def time(x: Any) -> Any:
        ends = [mp.log((1 + y**2) / (1 - y**2)) / 4 - 1 / (2 * y**2) for y in (x, start)]
        return ends[0] - ends[1]

    low, high = mp.mpf(start), mp.mpf(1)
    for _ in range(130):
        middle = (low + high) / 2
        low, high = (middle, high) if time(middle) < t else (low, middle)
    return (high**4 - 1) ** 2 / 4


@pytest.mark.parametrize(
    ("system", "start"),
    [
        (SQUARES, (1e-3, 1e-3)),
        (SQUARES, (1e-2, 2e-2)),
        (SQUARES, (0.3, -0.3)),
        (THREE, (1e-3, 1e-3, 1e-3)),
        (THREE, (1e-3, -2e-2, -3e-2)),
        (FOUR, (1e-2, 1e-2, 1e-2, 1e-2)),
        (FOUR, (1e-2, 1.1e-2, 0.9e-2, 1.2e-2)),
    ],
)
def test_a_plateau_that_is_left_ever_faster_is_followed_within_the_stated_error(
    system: Any, start: tuple[float, ...]
) -> None:
    """With no more than a thousandfold of the true one stated, where the run is less known."""
    with mp.workdps(40):
        reached = tuple(x for x in REACHED if x > abs(float(np.prod(start))) * 1.01)
        times, losses = of_product(system, start, reached)
        run = flows.integrate(system, start, times[-1], times)
        off = np.array(
            [float(abs(a - b) / b) for a, b in zip(run["loss"][1:], losses, strict=True)]
        )
    stated = run.errors("loss")[1:]
    assert run.completed
    assert (off <= stated).all()
    assert (off / stated).max() > LEAST


def forget_gradients(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let errors grow by curvatures alone."""
    original = Errors._along

    def unled(self: Errors, *arguments: Any) -> Any:
        return original(self, *arguments[:-1], None)

    monkeypatch.setattr(Errors, "_along", unled)


def test_without_the_gradient_such_a_run_ends_and_says_so(monkeypatch: pytest.MonkeyPatch) -> None:
    """By the mean of two curvatures errors grow fifty times as much in each chart: a control."""
    forget_gradients(monkeypatch)
    run = flows.integrate(SQUARES, (1e-3, 1e-3), 6e5)
    assert run.status == "field_failed" and "the gradient grows" in run.message


def test_many_members_leave_a_plateau_in_compiled_code(monkeypatch: pytest.MonkeyPatch) -> None:
    """From equal entries the time is elementary; starts that are off by 1e-9 are told apart."""
    found: list[Any] = []
    original = along_axes._followed

    def followed(*arguments: Any) -> Any:
        both = original(*arguments)
        found.append(both[0])
        return both

    monkeypatch.setattr(along_axes, "_followed", followed)
    starts = 1e-3 * (1 + 1e-6 * np.random.default_rng(0).uniform(-1, 1, 128))
    times = 5e5 + np.array([-1e3, -3.0, 0.0, 4.0])
    many = flows.integrate_ensemble(SQUARES, np.stack([starts, starts], 1), times[-1], times)
    assert (many.status == "completed").all()
    assert sum(int((one.reached == 1 + len(times)).sum()) for one in found) == len(starts)

    some = slice(None, None, 8)  # 40 digits take longer than the members
    apart = np.zeros((2, len(starts[some]), len(times)))
    with mp.workdps(40):
        for k, start in enumerate(starts[some].tolist()):
            for i, t in enumerate(times):
                for j, factor in enumerate((1, 1 + mp.mpf("1e-9"))):
                    apart[j, k, i] = abs(many["loss"][some][k, 1 + i] - of_equal(t, start * factor))
    stated = many["loss_error"][some, 1:]
    assert (apart[0] <= stated).all() and ((apart[0] / stated).max(axis=1) > LEAST).all()
    assert (apart[1] > stated).any(axis=1).all()


def test_errors_along_the_gradient_grow_exactly_as_it_does() -> None:
    """On one axis, whose curvature grows like `1/(T - t)`; not by the integral of two ends."""
    a, b, since = 1e-3, 1e-2, 3e5
    later = since + (a**-2 - b**-2) / 2
    known = Errors(np.eye(1), np.array([-3 * a**2]), np.array([1e-9]), np.zeros(1), since)
    led = Errors(known.axes, known.curvature, known.error, known.fresh, since, slope=[a**3])
    hessian, wanted = np.array([[-3 * b**2]]), 1e-9 * (b / a) ** 3
    _, _, (error,) = led.carried(hessian, later, gradient=np.array([b**3]))
    assert error == pytest.approx(wanted, rel=1e-12)
    _, _, (wrong,) = led.carried(hessian, later, gradient=np.array([1.001 * b**3]))
    assert wrong != pytest.approx(wanted, rel=1e-12)
    _, _, (mean,) = known.carried(hessian, later)
    assert mean > 50 * wanted


def linear_flow(generator: Any, size: int, ever_faster: bool) -> tuple[Any, ...]:
    """Times, Hessians at both, and the linear flow between: one axis grows, and all turn."""
    since, power = 10.0 ** generator.uniform(-1, 1), generator.uniform(0.5, 3.0)
    scale, growth = since * 10.0 ** generator.uniform(-0.3, 1.5), 10.0 ** generator.uniform(0.5, 3)
    far = growth ** (-1 / power)
    left = np.geomspace(1.0, far, 401) if ever_faster else np.linspace(1.0, far, 401)
    others = power * 10.0 ** generator.uniform(-1, 1, size - 1)
    turn = generator.normal(size=(size, size))
    turn = turn - turn.T
    turn *= generator.uniform(0, 0.4) / max(np.linalg.norm(turn, 2), 1e-9)

    def at(part: float, x: float) -> tuple[Any, Any]:
        if ever_faster:
            rates = np.array([-power, *others]) / x
        else:  # ever more slowly, and up at last
            rates = np.array([power * (1 - 4 * x**2), *others])
        return scipy.linalg.expm(part * turn), rates / scale

    found = np.eye(size)
    for k, x in enumerate((left[1:] + left[:-1]) / 2):
        axes, rates = at((k + 0.5) / 400, x)
        step = scale * (left[k] - left[k + 1])
        found = axes * np.exp(-rates * step) @ axes.T @ found
    ends = [axes * rates @ axes.T for axes, rates in (at(0.0, left[0]), at(1.0, left[-1]))]
    return since, since + scale * (1 - far), *ends, found


def test_errors_of_random_flows_that_a_gradient_leads_are_bounded() -> None:
    """Beside other axes, while all turn; not if the gradient is told a twentieth smaller."""
    over: list[float] = []
    less: list[float] = []
    apart: list[float] = []
    for seed in range(60):
        generator = np.random.default_rng(seed)
        size = 1 + seed % 4
        since, later, first, last, exact = linear_flow(generator, size, seed % 3 > 0)
        h, axes = np.linalg.eigh(first)
        slope = np.eye(size)[0] + 10.0 ** generator.uniform(-3, -0.5) * generator.normal(size=size)
        error = 1e-9 * np.eye(size)[generator.integers(size)] + 1e-10 * generator.uniform(size=size)
        gradient = exact @ axes @ slope
        known = Errors(axes, h, error, np.zeros(size), since, slope=slope)
        _, now, found = known.carried(last, later, gradient=gradient)
        _, _, small = known.carried(last, later, gradient=0.95 * gradient)
        _, _, mean = known.carried(last, later)
        truth, i = np.abs(now.T @ exact @ axes) @ error, np.argmax(np.abs(gradient @ now))
        for kept, given in ((over, found), (less, small), (apart, mean)):
            kept.append(float(given[i] / truth[i]))
    assert min(over) >= 1 - 1e-9 and np.median(over) < 2 and max(over) < 30
    assert min(less) < 1
    # Control: by the mean of two curvatures too little, or too much by far.
    assert min(apart) < 0.9 and max(apart) > 1e6


@pytest.mark.parametrize("loss", [-sp.exp(A), sp.log(2 - A), -((1 + A) ** 4)])
def test_a_flow_that_is_singular_at_a_time_ends_before_and_says_so(loss: Any) -> None:
    """All of them before `t = 2`, where steps may reach over what is singular."""
    run = flows.integrate(flows.OwnSystem("singular", [A], loss), [0.0], 3.0)
    assert run.status == "field_failed" and "the gradient grows" in run.message
    assert run.t[-1] < 2 and np.isfinite(run["loss"]).all()


def test_a_second_plateau_is_left_after_the_first() -> None:
    """Beside an axis that has arrived, whose slope is the largest when the chart begins."""
    loss = ((A**4 - 1) ** 2 + (B**4 - 1) ** 2) / 4
    run = flows.integrate(flows.OwnSystem("two", [A, B], loss), [1e-2, 1e-3], 2e5)
    alone = flows.integrate(
        flows.OwnSystem("one", [B], (B**4 - 1) ** 2 / 4), [1e-3], 2e5, run.t[1:]
    )
    assert run.completed and alone.completed
    off = np.abs(run["loss"] / alone["loss"] - 1)[run.t > 1e4]
    assert (off < (run.errors("loss") + alone.errors("loss"))[run.t > 1e4]).all()


TWO = flows.OwnSystem("two", [A, B, C, D], (A**2 * B**2 - 1) ** 2 / 4 + (C**2 * D**2 - 1) ** 2 / 4)


@pytest.mark.parametrize("part", [1.0, 1 + 1e-6, 1.1, 2.0])
def test_two_plateaus_are_left_of_one_curvature_and_of_others(
    part: float, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Each at its time. In the control no gradient tells how errors grow."""
    monkeypatch.setattr(flows.OwnSystem, "subspace", lambda system, start: None)
    starts = 1e-3, 1e-3 * part
    leaves = [1 / (2 * x**2) for x in starts]
    times = np.unique([0.5 * leaves[1], *(x - far for x in leaves for far in (30.0, 3.0))])
    with mp.workdps(40):
        run = flows.integrate(TWO, np.repeat(starts, 2), times[-1], times)
        exact = [sum(of_equal(t, x) for x in starts) for t in times]
        off = np.array([float(abs(a - b) / b) for a, b in zip(run["loss"][1:], exact, strict=True)])
    assert run.completed and (off <= run.errors("loss")[1:]).all()
    if part < 1.01:
        forget_gradients(monkeypatch)
        assert flows.integrate(TWO, np.repeat(starts, 2), times[-1]).status == "field_failed"


def test_what_is_late_without_a_slope_is_unknown_without_a_warning() -> None:
    """One copy is at its minimum, where slopes are nothing, when it is not known of the other."""
    run = flows.integrate(TWO, [0.5, 0.5, 1e-3, 1e-3], 1e8, [1e5, 1e8], rtol=1e-8)
    assert run.completed and np.isclose(run["loss"][1], 0.25, rtol=run.errors("loss")[1])
    assert np.isnan(run["loss"][2]) and run.errors("loss")[2] == np.inf
    assert np.allclose(run.states.x[-1], 1.0)


def test_a_run_that_is_early_or_late_goes_on(monkeypatch: pytest.MonkeyPatch) -> None:
    """It leaves to a known side at a time that is not: nothing is told on the way, but before it.

    The control takes no error for a shift in time: the run ends beside the plateau.
    """
    start, reached = (1e-4, 1e-4), (1e-7, 1e-5, 0.01, 0.5, 0.99)
    with mp.workdps(40):
        times, losses = of_product(SQUARES, start, reached)
        run = flows.integrate(SQUARES, start, 2 * times[-1], [*times, 2 * times[-1]], rtol=1e-7)
        off = np.array(
            [float(abs(a - b) / b) for a, b in zip(run["loss"][1:-1], losses, strict=True)]
        )
    known, stated = np.isfinite(run["loss"][1:-1]), run.errors("loss")[1:-1]
    assert run.completed and run.state[-1] == pytest.approx([1.0, 1.0], abs=1e-12)
    assert (off <= stated)[known].all() and known[:2].all() and not known[3:].any()
    assert np.isinf(stated[~known]).all()
    monkeypatch.setattr(carried_errors, "TIMELY", 0.0)
    ended = flows.integrate(SQUARES, start, 2 * times[-1], rtol=1e-6)
    assert ended.status == "field_failed" and "the gradient grows" in ended.message


def test_many_members_that_are_early_or_late_go_on_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    """One ends its compiled way where it is not known when it leaves, and knows as much as a run.

    Starts that are off by a hundredth are told apart.
    """
    monkeypatch.setattr(flows.OwnSystem, "many", 2)
    found: list[Any] = []
    original = along_axes._followed

    def followed(*arguments: Any) -> Any:
        both = original(*arguments)
        found.append(both[0])
        return both

    monkeypatch.setattr(along_axes, "_followed", followed)
    starts, times = [(1e-4, 1e-4), (1e-2, 1e-2)], [1e3, 4e7, 4.9999e7, 6e7]
    many = flows.integrate_ensemble(SQUARES, np.array(starts), times[-1], times, rtol=1e-7)
    alone = flows.integrate(SQUARES, starts[0], times[-1], times, rtol=1e-7)
    assert (many.status == "completed").all() and found[0].reached[0] < 1 + len(times)
    known = np.isfinite(alone["loss"])
    assert np.array_equal(np.isfinite(many["loss"][0]), known) and not known.all()
    late = np.flatnonzero(known[1:])
    with mp.workdps(40):
        one, other = (
            np.array([float(of_equal(times[i], 1e-4 * factor)) for i in late])
            for factor in (1, mp.mpf("1.01"))
        )
    found_late, stated = many["loss"][0, 1 + late], many["loss_error"][0, 1 + late]
    assert (np.abs(found_late - one) <= stated).all()
    assert (np.abs(found_late - other) > stated).any()


# Start of the stable manifold at `u = 1`, by series in 40 digits, and the losses beside it.
BESIDE = sp.Rational("0.53088480632241650917098491092232660685")
BENT = B - A**2
CURVED = flows.OwnSystem("curved", [A, B], A**2 / 2 - BENT**2 / 2 + BENT**4 / 4)


@pytest.mark.parametrize(("far", "known"), [(3e-10, True), (3e-14, False)])
@pytest.mark.parametrize("side", [1, -1])
def test_a_side_that_is_not_known_is_no_shift_in_time(
    far: float, known: bool, side: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Beside the bent manifold of a saddle; the control trusts any error, and goes on."""
    start = np.array([1.0, float(BESIDE + side * sp.Rational(far))])
    monkeypatch.setattr(flows.OwnSystem, "many", 2)
    run = flows.integrate(CURVED, start, 300.0)
    many = flows.integrate_ensemble(CURVED, np.stack([start, start]), 300.0, [10.0, 300.0])
    assert run.completed == known and (many.status == run.status).all()
    if known:
        assert np.sign(run.state[-1][1]) == side
    else:
        assert run.status == "field_failed" and run.t[-1] < 100
        monkeypatch.setattr(energy_piece, "TRUSTED", 1e300)
        monkeypatch.setattr(companions, "FREE", math.inf)
        assert flows.integrate(CURVED, start, 300.0).completed


def test_errors_of_a_state_that_may_be_late() -> None:
    """It decays, and was further by the exponential; no linear error covers that."""
    rate, late, slope = np.array([4.0]), 3.0, np.array([4e-9])
    before = 1e-9 * (np.exp(rate * late) - 1)
    assert shifted(np.zeros(1), late, rate, slope) >= before > 1000 * late * slope
    assert np.isinf(shifted(np.zeros(1), late, -rate, slope)).all()
    early = shifted(np.zeros(1), 1e-3, -rate, slope)
    assert 1e-9 * (np.exp(4e-3) - 1) <= early <= 1.01e-3 * slope
    assert shifted(np.ones(1), 0.0, -rate, slope) == 1.0


@pytest.mark.parametrize(("far", "told"), [(1e200, np.inf), (1e150, 1e300)])
def test_an_error_whose_square_is_no_double_is_infinite_without_a_warning(
    far: float, told: float
) -> None:
    """As of a plateau that is left later than two doubles tell; a smaller one is a number."""
    axes, one = np.eye(1), np.ones(1)
    doubt = Doubt(axes, 2 * one, far * one, 0 * one, np.array([True]), 0 * one)
    assert doubt.of_loss == pytest.approx(told, rel=REL)
