"""Members of an own system in compiled code, several side by side; the others as runs alone."""

from __future__ import annotations

import functools
import math
import time
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor, wait
from typing import Any

import numpy as np

from flows.core.arrays import Array
from flows.core.deadline import deadline, look, unlimited
from flows.core.piece import Restart
from flows.core.problem import ATOL_PER_RTOL, COMPLETED, STOPPED
from flows.core.subspace import Subspace
from flows.core.system import Excess, System
from flows.core.threads import cores
from flows.ensembles.member import FAILURES
from flows.runs.integrate import Halfway, follow, go_on, lifted
from flows.runs.provenance import provenance
from flows.runs.request import MAX_STEPS, Request
from flows.runs.trajectory import Trajectory
from flows.solvers.choice import EXPONENT, LOOSE, TIGHT

__all__ = ["follow_along_axes", "served"]

# Members that one thread follows: enough to keep its lanes filled until the end.
SPAN = 256

# Loss above its limit of members, by their numbers.
Above = dict[int, Excess | None]


def served(system: System, request: Request, members: int) -> bool:
    """Whether compiled code follows an ensemble of this size for a request.

    It depends on nothing else: not on workers, chunks, and what is on the disk.
    """
    if members < system.many:
        return False
    usual = request.method == "auto" and request.rtol >= TIGHT and request.max_steps == MAX_STEPS
    gentle = request.atol is None or request.atol <= ATOL_PER_RTOL
    return usual and gentle and system.axis_codes() is not None


def follow_along_axes(
    system: System, starts: Iterable[Callable[[], Array]], request: Request, *, joins: bool = False
) -> Iterator[tuple[list[int], Trajectory | Exception]]:
    """Runs, or the errors that prevented them, each with the numbers of its members.

    A member that fails, or that two doubles do not resolve, is followed as a run alone. With
    ``joins`` all other members are one run, whose times are those of one member behind those of
    another: it costs as much as a few runs, and quantities of one time have the same bits.
    """
    given = _checked(system, starts)
    inside = _in_subspaces(system, given, request)
    sound = [k for k, x in enumerate(given) if not isinstance(x, Exception) and k not in inside]
    begun = time.perf_counter()
    found, above = None, Above()
    if sound:
        places: list[Any] = [system.axis_start(given[k]) for k in sound]  # type: ignore[arg-type]
        found, above = _followed(system, np.array(places), request)
    seconds = (time.perf_counter() - begun) / max(1, len(sound))
    complete = _complete(found) if joins and sound else []
    joined = [k for k in complete if (one := above.get(k)) and np.isfinite(one.value).any()]
    if joined:
        first: Any = given[sound[joined[0]]]
        yield (
            [sound[k] for k in joined],
            _run(system, first, request, found, [above.get(k) for k in joined], joined, seconds),
        )
    rows = {k: row for row, k in enumerate(sound)}
    for k in sorted({*range(len(given))} - {sound[row] for row in joined}):
        one = inside.get(k, given[k])
        if not isinstance(one, np.ndarray):
            yield [k], one
            continue
        try:
            row = rows[k]
            ended = found.reached[row] > len(request.times)  # type: ignore[union-attr]
            if not ended:
                look()
            yield (
                [k],
                _run(system, one, request, found, [above.get(row)], [row], seconds)
                if ended
                else _followed_on(system, one, request, found, row),
            )
        except FAILURES as problem:
            yield [k], problem


def _checked(system: System, starts: Iterable[Callable[[], Array]]) -> list[Array | Exception]:
    """Starts as flat arrays, or what is wrong with them."""
    given: list[Any] = []
    for start in starts:
        try:
            given.append(start())
        except FAILURES as problem:
            given.append(problem)
    shapes = {x.shape if isinstance(x, np.ndarray) else None for x in given}
    sound = np.zeros(len(given), dtype=bool)
    if len(shapes) == 1 and None not in shapes:
        sound = system.are_sound(np.array(given))
    for k in np.flatnonzero(~sound):
        try:
            given[k] = given[k] if isinstance(given[k], Exception) else system.check_start(given[k])
        except FAILURES as problem:
            given[k] = problem
    return given


def _in_subspaces(
    system: System, given: list[Array | Exception], request: Request
) -> dict[int, Trajectory | Exception]:
    """Runs of members whose flow keeps a subspace, by their numbers.

    Members of one subspace are followed together, in lanes however few they are, so that no number
    depends on other members.
    """
    groups: dict[System, list[tuple[int, Subspace]]] = {}
    sound: Any = {k: x for k, x in enumerate(given) if not isinstance(x, Exception)}
    may = system.may_have_subspace(np.array(list(sound.values()))) if sound else ()
    for (k, start), asked in zip(sound.items(), may, strict=True):
        if asked and (inside := system.subspace(start)):
            groups.setdefault(inside.system, []).append((k, inside))
    runs: dict[int, Trajectory | Exception] = {}
    for inner, members in groups.items():
        starts = [functools.partial(np.asarray, each.start) for _, each in members]
        if served(inner, request, inner.many):
            together = (run for _, run in follow_along_axes(inner, starts, request))
        else:
            together = (_alone(each.alone, each.start, request) for _, each in members)
        for (k, each), run in zip(members, together, strict=True):
            whole: Any = given[k]
            found = run if isinstance(run, Exception) else lifted(run, system, whole, each)
            runs[k] = _alone(system, whole, request) if found is None else found
    return runs


def _alone(system: System, start: Array, request: Request) -> Trajectory | Exception:
    """Run of a member, or what prevented it."""
    look()
    try:
        return follow(system, start, request)
    except FAILURES as problem:
        return problem


def _complete(found: Any) -> list[int]:
    """Members whose numbers compiled code knows at every time."""
    known = (found.reached == found.digits.shape[1]) & (found.numbers[:, :, 5] == 1).all(axis=1)
    return [int(k) for k in np.flatnonzero(known)]


def _spans(members: int) -> list[slice]:
    """What each thread follows at a time."""
    from flows.solvers.near_flow import LANES

    share = min(SPAN, LANES * math.ceil(members / (LANES * cores())))
    return [slice(k, k + share) for k in range(0, members, share)]


def _followed(system: System, starts: Array, request: Request) -> tuple[Any, Above]:
    """What became of the members in compiled code; losses above limits, as far as it tells them."""
    from flows.ensembles.axis_runs import Found, follow, found_of  # Numba, where it is needed
    from flows.solvers.timed_radau import tableau

    (members, size), times = starts.shape, 1 + len(request.times)
    found = found_of(members, times, size)
    asked = LOOSE * request.rtol**EXPONENT
    terms = system.axis_terms(request.rtol, asked)
    common = system.axis_codes(), tableau(), terms
    halt = np.zeros(1, dtype=bool)

    above = Above()

    def work(span: slice) -> None:
        part = Found(*(x[span] for x in found))
        follow(starts[span], request.times, *common, part, halt)
        if not halt[0]:
            above.update(enumerate(system.ended_along(part, request.times), span.start))

    work(slice(0, 0))  # of no members: compiled once, not by two threads
    limit = deadline()
    with ThreadPoolExecutor(cores()) as threads:
        try:
            running = [threads.submit(work, span) for span in _spans(members)]
            wait(running, timeout=limit.left)
            halt[0] = limit.spent
            for one in running:
                one.result()
        except BaseException:  # Ctrl-C, which compiled code does not see
            halt[0] = True
            raise
    return found, above


@unlimited()
def _run(
    system: System,
    start: Array,
    request: Request,
    found: Any,
    above: list[Excess | None],
    rows: list[int],
    seconds: float,
) -> Trajectory:
    """Run of a member that has reached the end, or of several, one behind the other."""
    # Rows in order, as many as there are members, are all rows: they are not copied.
    of = slice(None) if len(rows) == len(found.digits) else rows
    parts = (part[of] for part in (found.digits, found.error, found.since, found.numbers))
    frame, states = system.along_axes(*(x.reshape(-1, *x.shape[2:]) for x in parts))
    steps, fields, charts, jacobians = found.counts[rows].T
    t = np.tile(np.concatenate([[0.0], request.times]), len(rows))
    remark = system.remark(frame, states, t)
    work = {
        "steps": steps,
        "field_evaluations": fields,
        "jacobian_evaluations": jacobians,
        "pieces": charts,
    }
    return Trajectory(
        system=system,
        t=t,
        frame=frame,
        states=states,
        start=start,
        status=COMPLETED,
        message=f"reached the end; {remark}" if remark else "reached the end",
        stats={
            **{name: x if len(rows) > 1 else int(x[0]) for name, x in work.items()},
            "seconds": seconds,
        },
        events=(),
        rtol=request.rtol,
        provenance=provenance(request.method, request.provenance),
        above=_joined([one for one in above if one is not None]),
    )


def _followed_on(
    system: System, start: Array, request: Request, found: Any, row: int
) -> Trajectory:
    """Run alone of a member from where compiled code has left it, or anew if that leads nowhere."""
    reached = int(found.reached[row])
    rows = slice(0, reached + 1)  # behind outputs, where it goes on
    parts = [part[row, rows] for part in (found.digits, found.error, found.since, found.numbers)]
    if not reached or not all(np.isfinite(part[-1]).all() for part in parts):
        return follow(system, start, request)
    frame, states = system.along_axes(*parts)
    since = parts[2]
    steps, fields, charts, jacobians = (int(x) for x in found.counts[row])
    stats = {
        "steps": steps,
        "field_evaluations": fields,
        "jacobian_evaluations": jacobians,
        "pieces": charts,
    }
    restart = Restart(frame, states.at(reached), float(since[-1] - since[0]))
    way = Halfway(restart, states.at(slice(0, reached)), stats)
    run = go_on(system, start, request, way)
    if run.status in (COMPLETED, *STOPPED):
        return run
    # Runs alone tell errors beside saddles closer, and may see to which side they leave.
    again = follow(system, start, request)
    return again if again.status in (COMPLETED, *STOPPED) else run


def _joined(above: list[Excess]) -> Excess | None:
    """Losses above their limits, one behind the other."""
    if len(above) < 2:
        return above[0] if above else None
    errors = [np.zeros(len(x.value)) if x.error is None else x.error for x in above]
    values = np.concatenate([x.value for x in above])
    return Excess(values, math.nan, "", np.concatenate(errors))
