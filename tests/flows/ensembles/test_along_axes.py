"""Members of own losses in compiled code: they agree with runs alone, and so do their errors."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import sympy as sp

import flows
from flows.core.errors import InputError
from flows.ensembles import along_axes, member, memory
from flows.ensembles.integrate import Flow
from flows.runs.request import Request
from flows.systems.own import followed, reading
from flows.systems.own.energy_units import units
from symbolic import Expectation

u, v = sp.symbols("u v")
VALLEY = flows.OwnSystem("valley", [u, v], (u * v - 1) ** 2 / 2 + (u - v) ** 4 / 4)
QUOTIENT = flows.OwnSystem(
    "quotient", [u, v], u**4 / (1 + v**2) + (u * v - 1) ** 2 / sp.sqrt(1 + u**2)
)
FUNCTIONS = flows.OwnSystem(
    "functions",
    [u, v],
    (sp.exp(u) * sp.tanh(v) - 1) ** 2 / 2 + (sp.sin(u) + sp.log(1 + v**2) - sp.cos(v)) ** 4 / 4,
)
# A hundred times the tolerance of a step is what a run states.
STATED, RTOL = 100.0, 1e-8
# Of members to t = 1e12 at rtol 1e-10 a hundredth leave compiled code, in the last half decade.
LAST = 5
# Two ways to add up a few numbers of order one.
ROUNDING = 1e-11
# Stated errors in lanes leave out entries of a Hessian that are a thousandth of others.
LEFT_OUT = 1e-2
# What Newton's method leaves is this part of what is stated.
NEWTON = 0.03
# Errors of a loss between ends of charts are told to a factor e; of a few, where one kind of error
# takes over from another, so many times what balls say, who have those of the state told.
BESIDE, MORE, MOST = 1.0, 6.0, 0.95


def factors(rows: int, columns: int) -> flows.OwnSystem:
    """`|W'W - e_1 e_1'|^2/4`, which falls by a power of time."""
    w = sp.MatrixSymbol("W", rows, columns)
    gap = w.T * w - sp.diag(1, *[0] * (columns - 1))
    return flows.OwnSystem("factors", [w], sp.trace(gap.T * gap) / 4)


@pytest.fixture(autouse=True)
def few_are_enough(monkeypatch: pytest.MonkeyPatch) -> None:
    """Compiled code follows ensembles of any size, where a test does not say otherwise."""
    monkeypatch.setattr(flows.OwnSystem, "many", 1)


def starts(system: Any, scale: float, members: int = 6) -> Any:
    """Random starts."""
    size = len(system.initial())
    return scale * np.random.default_rng(1).normal(size=(members, size))


def reached(monkeypatch: pytest.MonkeyPatch) -> list[Any]:
    """What compiled code finds from here on."""
    found: list[Any] = []
    original = along_axes._followed

    def followed(*arguments: Any) -> Any:
        every = original(*arguments)
        found.append(every[0])
        return every

    monkeypatch.setattr(along_axes, "_followed", followed)
    return found


@pytest.mark.parametrize(
    ("system", "scale", "end"), [(VALLEY, 1.0, 1e9), (QUOTIENT, 0.7, 1e6), (FUNCTIONS, 0.7, 1e6)]
)
def test_members_agree_with_runs_of_a_finer_tolerance_within_their_errors(
    system: Any, scale: float, end: float, monkeypatch: pytest.MonkeyPatch
) -> None:
    """At every output time, and compiled code has followed them all to the end."""
    found, begun = reached(monkeypatch), starts(system, scale, 3)
    e = flows.integrate_ensemble(system, begun, end, rtol=RTOL)
    assert (found[0].reached == len(e.t)).all()
    for k, start in enumerate(begun):
        run = flows.integrate(system, start, end, rtol=1e-11)
        off = np.abs(e["loss"][k] - run["loss"])
        assert (off <= e["loss_error"][k]).all()
        assert (off <= STATED * RTOL * run["loss"]).all()
        exponent = flows.local_exponent(run)
        assert np.allclose(e["loss_exponent"][k], exponent, rtol=STATED * RTOL, equal_nan=True)


@pytest.mark.parametrize(
    ("rtol", "end"), [(1e-4, 1e9), (1e-10, 1e6), (1e-11, 1e6), (1e-8, 1e12), (1e-10, 1e12)]
)
def test_at_each_tolerance_compiled_code_follows_all_along_a_valley(
    rtol: float, end: float, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Rounding of a steep curvature is not taken for the slope along a flat axis.

    At the last outputs of all rounding decides whether a member goes on alone.
    """
    found, begun = reached(monkeypatch), starts(VALLEY, 1.0, 16)
    e = flows.integrate_ensemble(VALLEY, begun, end, rtol=rtol)
    assert (found[0].reached >= len(e.t) - LAST).all()
    for k in range(2):
        run = flows.integrate(VALLEY, begun[k], end, rtol=0.1 * rtol)
        assert (np.abs(e["loss"][k] - run["loss"]) <= STATED * rtol * run["loss"]).all()


def test_steep_axes_do_not_hide_that_newtons_method_has_not_converged(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """A guess along slopes is off by 1e12 on them, and a first correction by less than it seems.

    Of 20 unknowns each step to `t = 1e12` may then be off by 1e-8, more than twice what is stated.
    """
    system = factors(5, 4)
    found, end, rtol = reached(monkeypatch), 1e12, 1e-10
    begun = np.array([system.initial(0.5, seed) for seed in range(4)])
    e = flows.integrate_ensemble(system, begun, end, rtol=rtol)
    assert (found[0].reached == len(e.t)).all()
    run = flows.integrate(system, begun[2], end, rtol=1e-12)
    off = np.abs(e["loss"][2] - run["loss"])
    assert (off <= e["loss_error"][2]).all()
    assert (off <= STATED * rtol * run["loss"]).all()


def test_chunks_are_smaller_where_states_are_many_and_these_have_to_fit_into_memory(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """32 members of 20 unknowns at 10 000 times take 614 MB; at a tenth of them they fit."""
    times = np.geomspace(1e-2, 1e3, 10_000)
    flow = Flow(Request(1e3, times, "auto", 1e-8, None), along_axes=True)
    usual = Flow(Request(1e6, None, "auto", 1e-8, None), along_axes=True)
    assert (flow.chunk_size(10_000, 1), usual.chunk_size(10_000, 1)) == (32, 512)
    monkeypatch.setattr(memory, "available", lambda: 500_000_000)
    system = factors(5, 4)
    begun = np.array([system.initial(0.5, seed) for seed in range(32)])
    with pytest.raises(InputError, match="GB of memory"):
        flows.integrate_ensemble(system, begun, 1e3, times, rtol=1e-8)
    found = flows.integrate_ensemble(system, begun, 1e3, times[::10], rtol=1e-8)
    assert (found.status == "completed").all()


def test_corrections_that_shrink_along_steep_axes_alone_are_not_taken_for_convergence() -> None:
    """At the first steps of charts they do so by 1e-9, where others do by a hundredth.

    If that is believed, eight of these members differ by 0.08 to 0.33 of what both state.
    """
    system, times = factors(3, 2), [1e10, 3e10, 1e11, 3e11, 1e12]
    begun = 0.5 * np.random.default_rng(0).normal(size=(128, 6))
    found = flows.integrate_ensemble(system, begun, 1e12, times, rtol=1e-10)
    finer = flows.integrate_ensemble(system, begun, 1e12, times, rtol=1e-11)
    stated = found["loss_error"] + finer["loss_error"]
    assert (np.abs(found["loss"] - finer["loss"])[:, 1:] <= NEWTON * stated[:, 1:]).all()


def test_a_chart_in_which_steps_become_short_ends(monkeypatch: pytest.MonkeyPatch) -> None:
    """Rounding grows in a long chart; these members took thousands of steps, and did not arrive."""
    found, end, system = reached(monkeypatch), 1e12, factors(3, 2)
    begun = np.array([system.initial(0.5, seed) for seed in (0, 3, 4, 5)])
    e = flows.integrate_ensemble(system, begun, end, rtol=RTOL)
    assert (found[0].reached == len(e.t)).all()
    assert (found[0].counts[:, 0] < 600).all()
    run = flows.integrate(system, begun[1], end, rtol=1e-11)
    off = np.abs(e["loss"][1] - run["loss"])
    assert (off <= e["loss_error"][1]).all()
    assert (off <= STATED * RTOL * run["loss"]).all()


def test_a_member_that_fails_where_compiled_code_has_left_it_is_run_anew(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Beside a plateau; what goes on from there fails, as a control."""
    a, statuses, go_on = sp.Symbol("a"), [], along_axes.go_on

    def noted(*arguments: Any) -> Any:
        run = go_on(*arguments)
        statuses.append(run.status)
        return run

    monkeypatch.setattr(along_axes, "go_on", noted)
    plateau = flows.OwnSystem("plateau", [u, v, a], (u * v * a - 1) ** 2 / 2)
    start = [0.01 * x for x in np.random.default_rng(0).normal(size=(128, 3))[123]]
    e = flows.integrate_ensemble(plateau, np.array([start]), 1e6, rtol=RTOL)
    assert statuses == ["field_failed"] and e.status.tolist() == ["completed"]
    fine = flows.integrate(plateau, start, 1e6, rtol=1e-11)
    known = np.isfinite(fine["loss"]) & np.isfinite(e["loss"][0])
    assert known.sum() > 50
    assert (np.abs(e["loss"][0] - fine["loss"]) <= e["loss_error"][0])[known].all()


def test_members_next_to_a_saddle_are_not_at_rest() -> None:
    """From less energy than doubles hold a member fails, as a run alone; on a saddle it stays."""
    pair = flows.OwnSystem("pair", [u, v], (u * v - 1) ** 2 / 2)
    e = flows.integrate_ensemble(pair, np.array([[1e-200, 1e-200], [0.0, 0.0], [1.5, 1.0]]), 1e3)
    assert e.status.tolist() == ["field_failed", "completed", "completed"]
    assert e["loss"][1, -1] == 0.5


def test_rows_are_the_same_whatever_the_chunks_are() -> None:
    """Also in more lanes than there are members, and in fewer."""
    begun = starts(VALLEY, 1.0, 40)
    whole = flows.integrate_ensemble(VALLEY, begun, 1e4, [1e2, 1e4])
    for size in (1, 7):
        part = flows.integrate_ensemble(VALLEY, begun[:14], 1e4, [1e2, 1e4], chunk_size=size)
        for name in ("loss", "loss_error", "steps"):
            assert np.array_equal(part[name], whole[name][:14])
    other = flows.integrate_ensemble(VALLEY, begun[::-1].copy(), 1e4, [1e2, 1e4])
    assert np.array_equal(other["loss"], whole["loss"][::-1])


def test_rows_are_the_same_after_an_interruption_and_by_two_workers(tmp_path: Path) -> None:
    """The first chunk comes from the folder, and others from two processes."""
    begun, times = starts(VALLEY, 1.0, 9), [1e2, 1e4]
    whole = flows.integrate_ensemble(VALLEY, begun, 1e4, times)

    def stop(members: int) -> None:
        if members:
            raise KeyboardInterrupt

    asked: dict[str, Any] = {"out": tmp_path / "e", "chunk_size": 4}
    half = flows.integrate_ensemble(VALLEY, begun, 1e4, times, progress=stop, **asked)
    assert half.status.tolist() == ["completed"] * 4 + ["interrupted"] * 5
    on = flows.integrate_ensemble(VALLEY, begun, 1e4, times, workers=2, **asked)
    for name in ("loss", "loss_error", "steps"):
        assert np.array_equal(on[name], whole[name])


def test_the_number_of_members_alone_decides_who_follows_them(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """One below the bound each is a run alone, bit for bit; the chunks do not matter."""
    monkeypatch.setattr(flows.OwnSystem, "many", 4)
    found, begun = reached(monkeypatch), starts(VALLEY, 1.0, 4)
    few = flows.integrate_ensemble(VALLEY, begun[:3], 1e4, [1e4])
    assert not found
    alone = flows.integrate(VALLEY, begun[0], 1e4, [1e4])
    assert few["loss"][0, -1] == alone["loss"][-1]
    flows.integrate_ensemble(VALLEY, begun, 1e4, [1e4], chunk_size=2)
    assert len(found) == 2


def test_runs_that_are_measured_as_one_have_the_bits_of_each(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Beside a start that is refused; the order of members matters, as a control."""
    begun, joined = starts(VALLEY, 1.0, 7), []
    begun[2] = 1e200
    run = along_axes._run

    def noted(*arguments: Any) -> Any:
        joined.append(len(arguments[5]))
        return run(*arguments)

    monkeypatch.setattr(along_axes, "_run", noted)

    def of(members: Any) -> Any:
        kept = ("loss", "gradient_norm")
        return flows.integrate_ensemble(VALLEY, members, 1e6, rtol=RTOL, observables=kept)

    one, turned = of(begun), of(begun[::-1].copy())
    monkeypatch.setattr(member, "JOINED", frozenset())
    each = of(begun)
    assert joined == [6, 6, 1, 1, 1, 1, 1, 1]
    for name in one.names:
        exact = one[name].dtype != object
        assert np.array_equal(one[name], each[name], equal_nan=exact), name
    assert one.status.tolist().count("input_error") == 1
    assert not np.array_equal(one["loss"], turned["loss"])


HUGE = [np.inf, -np.inf, np.nan, 1e308, -1e154, 5e-324, 0.0, 1e40]


def compiled(begun: Any, times: Any, reach: float, halt: bool = False) -> Any:
    """What compiled code finds of starts that nobody has checked."""
    from flows.ensembles.axis_runs import follow, found_of  # Numba, where it is needed
    from flows.solvers.timed_radau import tableau

    (m, n), t = begun.shape, 1 + len(times)
    found = found_of(m, t, n)
    terms = VALLEY.axis_terms(RTOL, RTOL)._replace(reach=reach)
    follow(begun, times, VALLEY.axis_codes(), tableau(), terms, found, np.array([halt]))
    return found


@pytest.mark.parametrize("reach", [1e4, 1e40, 1e308, np.inf, np.nan, 0.0])
@pytest.mark.parametrize("time", [1e9, 1e308, np.inf, np.nan])
def test_compiled_code_ends_whatever_the_numbers_are(reach: float, time: float) -> None:
    """Starts, times and lengths of charts that are no numbers, in the lanes beside sound ones."""
    from flows.solvers.near_state import MOST_FIELDS

    begun = np.array([*((x, y) for x in HUGE for y in (*HUGE, 0.5)), (0.3, 1.2)])
    found = compiled(begun, np.array([0.0, 1e-300, time]), reach)
    assert (found.counts[:, 1] <= MOST_FIELDS + STATED).all()
    assert (found.reached <= 4).all()


def test_compiled_code_ends_when_it_is_told_to() -> None:
    """It is told so before it begins."""
    begun = starts(VALLEY, 1.0, 2)
    assert (compiled(begun, np.array([1e4]), 1e4).reached == 2).all()
    assert (compiled(begun, np.array([1e4]), 1e4, halt=True).reached == 0).all()


def test_errors_of_the_flow_are_not_looked_at_in_balls(monkeypatch: pytest.MonkeyPatch) -> None:
    """More than a millionth of the energy: balls say the same of them; of the axes' they do not.

    Of a few errors between ends of charts they say less.
    """
    found = reached(monkeypatch)
    flows.integrate_ensemble(VALLEY, starts(VALLEY, 1.0, 12), 1e6, rtol=RTOL)
    numbers, rows = found[0].numbers, 0
    assert (numbers[..., 5] == 1).all()
    for k in np.flatnonzero((numbers[..., 4] > 1e-6 * numbers[..., 0]).any(axis=1)):
        seen = [
            VALLEY.along_axes(
                *(part[k] for part in (found[0].digits, found[0].error)), found[0].since[k], told
            )[1].seen
            for told in (numbers[k], np.where(np.arange(6) == 5, 0.0, numbers[k]))
        ]
        late = numbers[k, :, 4] > 1e-6 * numbers[k, :, 0]
        assert np.allclose(seen[0][late, :3], seen[1][late, :3], rtol=LEFT_OUT, atol=0)
        ratio = seen[0][late, 3] / seen[1][late, 3]
        assert (ratio > 1 - LEFT_OUT).all() and (ratio < MORE).all()
        assert np.isclose(ratio, 1, rtol=LEFT_OUT, atol=0).mean() > MOST
        rows += late.sum()
    assert rows > 10


def test_errors_that_a_loose_tolerance_states_are_not_looked_at_in_balls(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Of many entries each look takes long; what is stated besides is a hundred times as much."""
    w = sp.MatrixSymbol("W", 5, 4)
    gap = w.T * w - sp.diag(1, 0, 0, 0)
    system = flows.OwnSystem("factorization", [w], sp.trace(gap.T * gap) / 4)
    found, begun = reached(monkeypatch), starts(system, 0.5, 8)
    flows.integrate_ensemble(system, begun, 1e6, rtol=1e-6)
    assert (found[0].numbers[..., 5] == 1).all()
    error, loss = found[0].numbers[..., 4], found[0].numbers[..., 0]
    assert (error > reading.ROUGH * loss).any() and (error < STATED * 1e-6 * loss).all()
    # Control: with the bound of tight tolerances some are.
    monkeypatch.setattr(followed, "rough_at", lambda rtol: reading.ROUGH)
    flows.integrate_ensemble(system, begun, 1e6, rtol=1e-6)
    assert not (found[1].numbers[..., 5] == 1).all()


def test_many_unknowns_are_followed_like_few(monkeypatch: pytest.MonkeyPatch) -> None:
    """27 of them, against BDF along the entries; the control has steps of its own tolerance."""
    w = sp.MatrixSymbol("W", 9, 3)
    gap = w.T * w - sp.diag(1, 0, 0)
    system = flows.OwnSystem("factorization", [w], sp.trace(gap.T * gap) / 4)
    found, begun, end = reached(monkeypatch), starts(system, 0.5, 2), 1e3
    e = flows.integrate_ensemble(system, begun, end, [1.0, end], rtol=RTOL)
    assert (found[0].reached == 3).all()
    for row, start in zip(e["loss"], begun, strict=True):
        fine, rough = (
            flows.integrate(system, start, end, [1.0, end], method="BDF", rtol=rtol)["loss"]
            for rtol in (1e-11, 1e-5)
        )
        assert np.allclose(row, fine, rtol=STATED * RTOL, atol=0)
        assert not np.allclose(row, rough, rtol=STATED * RTOL, atol=0)


def test_potentials_are_those_of_runs_alone() -> None:
    """They are looked at in balls."""
    system = flows.OwnSystem("valley", [u, v], VALLEY.expression, {"gap": (u * v - 1) ** 2})
    e = flows.integrate_ensemble(system, [[0.3, 1.2]], 1e4, observables=("loss", "gap"))
    run = flows.integrate(system, [0.3, 1.2], 1e4)
    assert np.allclose(e["gap"][0], run["gap"], rtol=2 * STATED * 1e-10, atol=0)


def test_charts_that_plain_doubles_do_not_know_are_made_shorter(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """With charts of ten decades the digits are the same, since each end is looked at."""
    begun = starts(VALLEY, 1.0, 2)
    usual = flows.integrate_ensemble(VALLEY, begun, 1e9, [1e9])
    terms = flows.OwnSystem.axis_terms
    monkeypatch.setattr(
        flows.OwnSystem, "axis_terms", lambda *given: terms(*given)._replace(reach=1e10)
    )
    found = reached(monkeypatch)
    far = flows.integrate_ensemble(VALLEY, begun, 1e9, [1e9])
    assert (found[0].counts[:, 2] > 1).all()
    assert np.allclose(far["loss"], usual["loss"], rtol=STATED * 1e-10, atol=0)


def with_hessians_of_another() -> Any:
    """Programs, but the rates are those of a loss larger by a thousandth."""
    other = flows.OwnSystem("other", [u, v], sp.Rational(1001, 1000) * VALLEY.expression)
    return *VALLEY.axis_codes()[:2], other.axis_codes()[2]


def with_a_step_of_another() -> Any:
    """Programs, but the last product of the gradient has a second factor that is another number."""
    gradient, loss, rates = VALLEY.axis_codes()
    operands = gradient.operands.copy()
    last = np.flatnonzero(gradient.operation == 1)[-1]
    operands[last, 1] = 0 if operands[last, 1] else 1
    return gradient._replace(operands=operands), loss, rates


@pytest.mark.parametrize("wrong", [with_hessians_of_another, with_a_step_of_another])
def test_a_field_that_differs_from_that_of_two_doubles_is_noticed(
    wrong: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Then members are runs alone."""
    codes = wrong()
    monkeypatch.setattr(flows.OwnSystem, "axis_codes", lambda self: codes)
    found, begun = reached(monkeypatch), starts(VALLEY, 1.0, 2)
    e = flows.integrate_ensemble(VALLEY, begun, 1e4, [1e4])
    assert (found[0].reached == 1).all()
    alone = flows.integrate(VALLEY, begun[0], 1e4, [1e4])["loss"][-1]
    assert e["loss"][0, -1] == pytest.approx(alone, rel=1e-10)


@pytest.mark.parametrize(
    ("system", "options"),
    [
        (flows.OwnSystem("doubles", [u, v], VALLEY.expression, arithmetic="doubles"), {}),
        (flows.OwnSystem("average", [u], Expectation((u * sp.tanh(v) - 1) ** 2, v)), {}),
        (flows.OwnSystem("other", [u, v], sp.erf(u) + v**2), {}),
        (flows.OwnSystem("large", [sp.MatrixSymbol("w", 13, 5)], sp.trace(sp.eye(5))), {}),
        (VALLEY, {"rtol": 1e-12}),
        (VALLEY, {"method": "Radau"}),
        (VALLEY, {"max_steps": 1000}),
    ],
)
def test_others_are_runs_alone(system: Any, options: dict[str, Any]) -> None:
    """Other functions than two doubles compute, many entries, other methods and tolerances."""
    from flows.runs.request import Request

    assert along_axes.served(VALLEY, Request(1.0, None, "auto", 1e-10, None), 1)
    asked = {"method": "auto", "rtol": 1e-10, "atol": None, **options}
    assert not along_axes.served(system, Request(1.0, None, **asked), 1)


def test_compiled_units_are_those_of_runs_alone() -> None:
    """Fast, slow, flat axes, and one along which the loss curves downward."""
    from flows.arithmetic.kept import loop
    from flows.systems.own import units_of_members

    compiled = units_of_members.units

    @loop
    def once(slopes: Any, doubt: Any, h: Any, since: float) -> Any:
        found = np.empty(len(h))
        compiled(slopes, doubt, h, since, found)
        return found

    slopes, doubt = np.array([1e-3, 2e-5, 0.0, 4.0]), np.full(4, 1e-30)
    h = np.array([-0.5, 1e-4, 0.0, 30.0])
    assert np.allclose(once(slopes, doubt, h, 7.0), units(slopes, doubt, h, 7.0), rtol=1e-14)


def test_errors_at_outputs_are_those_of_runs_that_end_there(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """There they are carried, between ends of charts told by both, whatever else is asked for."""
    starts = np.random.default_rng(1).normal(size=(32, 2))
    monkeypatch.setattr(flows.OwnSystem, "many", 32)
    few = 10.0 ** np.arange(-1.0, 5.0)
    many = np.unique(np.concatenate([few, np.geomspace(0.1, 1e4, 150)]))
    asked: dict[str, Any] = {"rtol": 1e-8, "observables": ["loss"], "workers": 1}
    told = flows.integrate_ensemble(VALLEY, starts, 1e4, many, **asked)
    alone = flows.integrate_ensemble(VALLEY, starts, 1e4, few, **asked)
    rows = np.searchsorted(told.t, alone.t)
    assert np.array_equal(told.t[rows], alone.t)
    assert np.array_equal(told["loss"][:, rows], alone["loss"], equal_nan=True)
    assert np.array_equal(told["loss_error"][:, rows], alone["loss_error"], equal_nan=True)
    for row in rows[2:]:
        ended = flows.integrate_ensemble(VALLEY, starts, told.t[row], [told.t[row]], **asked)
        ratio = told["loss_error"][:, row] / ended["loss_error"][:, 1]
        beside = told["loss_error"][:, row - 9] / ended["loss_error"][:, 1]
        assert np.abs(np.log(ratio)).max() < BESIDE
        assert not np.abs(np.log(beside)).max() < BESIDE
