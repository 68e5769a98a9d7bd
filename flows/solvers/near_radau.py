"""Compiled steps of Radau IIA along the axes of charts, in as many lanes as there are numbers.

Members of an ensemble take all lanes of a vector, a run alone takes one. The formulas are explained
in :mod:`flows.solvers.timed_radau`, stages are those of :mod:`flows.solvers.near_newton`.
"""

# mypy: disable-error-code="no-untyped-def, untyped-decorator, no-untyped-call"

from __future__ import annotations

import functools
import math
from typing import Any

import numpy as np

from flows.arithmetic.kept import lean
from flows.arithmetic.numbers import numbers_of
from flows.solvers.near_factors import factors_of
from flows.solvers.near_flow import LANES, flow_of
from flows.solvers.near_newton import ITERATIONS, newton_of
from flows.solvers.near_state import CHANGED, FAILED, GOES_ON, MOST_FIELDS, SHORT, STOPPED, is_short
from flows.solvers.timed_radau import LONGEST, STAGES

__all__ = ["evaluate", "radau_of", "set_steps", "step_on", "within"]

# A step is shortened by no more than the first, and lengthened by no more than the second.
SHRINK, GROW = 0.2, 10.0
# It reaches a stop that is farther than its end by no more than this.
STRETCH = 1.01
# It aims at this part of the length that just serves, less where Newton's method takes long.
SAFETY = 0.9
# Below this fraction of the time a step is rounding.
SMALLEST = 1e-14


@lean
def known(near, program, s, u, out):
    """Let slopes be as plain doubles tell them."""


@functools.cache
def radau_of(lanes: int, exactly: Any = known, newton: float = 1e-2) -> Any:
    """Steps in so many lanes.

    Parameters
    ----------
    lanes : int
        One, or as many as a vector has.
    exactly : Numba function
        Puts right slopes that plain doubles do not know.
    newton : float
        Newton's method ends where its error is this part of the error allowed in a step.
    """
    number = numbers_of(lanes)
    get, put, zero = number.get, number.put, number.zero
    pick, larger, magnitude = number.pick, number.larger, number.magnitude
    field, substitute = flow_of(lanes)[0], factors_of(lanes)[1]
    choose_modes, linearise, predict, solve_stages = newton_of(lanes, exactly, newton)

    @lean
    def set_steps(lane, work):
        """Lengths of this attempt; that of a lane without a member is 1."""
        for e in range(len(lane.live)):
            if not lane.live[e]:
                work.length[e] = 1.0
                continue
            if lane.step[e] == 0.0:
                # A hundredth of the time in which the state changes by its own size.
                length, speed = 0.0, 0.0
                for i in range(len(lane.u)):
                    weight = 1.0 + abs(lane.u[i, e])
                    length += (lane.u[i, e] / weight) ** 2
                    speed += (lane.slope[i, e] / weight) ** 2
                lane.step[e] = 1e-2 * math.sqrt(length / speed) if 0.0 < length < speed else 1e-2
            lane.step[e] = min(lane.step[e], LONGEST)
            work.last[e] = lane.tau[e] + STRETCH * lane.step[e] >= lane.stop[e]
            left = lane.stop[e] - lane.tau[e]  # the last two steps before a stop are as long
            work.length[e] = left if work.last[e] else min(lane.step[e], left / 2)

    @lean
    def compare(slope, lane, near, tableau, work, found):
        """Errors of steps against a formula of the order of stages, of these slopes at first."""
        n, off, last = len(lane.u), work.off, (STAGES - 1) * len(lane.u)
        for i in range(n):
            wrong = zero()
            for k in range(STAGES):
                wrong += tableau.error[k] * get(work.z, k * n + i)
            wrong = get(slope, i) + wrong / get(work.length, 0)
            put(off, i, get(near.size, i) * wrong)
        substitute(work.real, off)
        total = zero()
        for i in range(n):
            u, wrong = get(lane.u, i), get(near.unit, i) * get(off, i)
            most = larger(magnitude(u), magnitude(u + get(work.z, last + i)))
            total += (wrong / (get(lane.rtol, 0) * (1.0 + most))) ** 2
            put(off, i, wrong)
        put(found, 0, total)
        for e in range(lanes):
            # The formula has the eigenvalue of steps in which the field does not grow.
            usual = work.eigen[0, e] / tableau.real[0]
            found[e] = usual * math.sqrt(found[e] / n) / min(1.0, lane.left[e])

    @lean
    def judge(lane, near, program, tableau, work):
        """Errors of steps in `wrong`; after a refused one, damped where the flow is stiff."""
        compare(lane.slope, lane, near, tableau, work, work.wrong)
        again = False
        for e in range(lanes):
            again = again or (lane.live[e] and lane.refused[e] and work.wrong[e] > 1.0)
        if not again:
            return
        for i in range(len(lane.u)):
            for e in range(lanes):
                work.inside[i, e] = lane.u[i, e] + work.off[i, e]
        field(near, program, work.clock, work.inside, work.f[0])
        exactly(near, program, work.clock, work.inside, work.f[0])
        compare(work.f[0], lane, near, tableau, work, work.moved)
        for e in range(lanes):
            if lane.refused[e] and work.wrong[e] > 1.0:
                work.wrong[e] = work.moved[e]

    @lean
    def conclude(lane, tableau, work):
        """Accept or refuse the attempts, and choose the lengths of the next ones."""
        work.taken[:] = 0.0
        for e in range(len(lane.live)):
            if not lane.live[e]:
                continue
            length, wrong, wanted = work.length[e], work.wrong[e], lane.step[e]
            lane.attempts[e] += 1
            if not work.converged[e]:
                lane.step[e], lane.refused[e] = length / 2, True
            else:
                safety = SAFETY * (2 * ITERATIONS + 1) / (2 * ITERATIONS + work.iterations[e])
                change, power = GROW, 1.0 / (1 + STAGES)
                if wrong > 0.0:
                    change = wrong**-power
                    if lane.error[e] > 0.0 and lane.before[e] > 0.0:
                        slower = length / lane.before[e] * (lane.error[e] / wrong) ** power
                        change *= min(1.0, slower)
                change *= safety
                if not wrong <= 1.0:
                    lane.step[e] = (
                        length * max(SHRINK, change) if wrong < np.inf else SHRINK * length
                    )
                    lane.refused[e] = True
                else:
                    lane.refused[e] = False
                    lane.steps[e] += 1
                    lane.tau[e] = lane.stop[e] if work.last[e] else lane.tau[e] + length
                    lane.before[e], lane.error[e], work.taken[e] = length, wrong, 1.0
                    change = min(GROW, change)
                    lane.step[e] = length * change
                    if work.last[e]:
                        lane.outcome[e] = STOPPED
                        # A step that was cut says little of how long the next one may be.
                        if change >= 1.0:
                            lane.step[e] = max(lane.step[e], wanted)
            least = SMALLEST * max(1e-3, abs(lane.tau[e]))
            if not lane.step[e] >= least or lane.fields[e] > MOST_FIELDS:
                lane.outcome[e] = FAILED
        go_ahead(lane, tableau, work)

    @lean
    def go_ahead(lane, tableau, work):
        """Go on where steps have been accepted, and put down their polynomials."""
        n, none, taken = len(lane.u), zero(), get(work.taken, 0)
        for i in range(n):
            u = get(lane.u, i)
            ended = u + get(work.z, (STAGES - 1) * n + i)
            put(lane.u, i, pick(none, taken, ended, u))
            for k in range(STAGES):
                total, at = zero(), k * n + i
                for j in range(STAGES):
                    total += tableau.dense[k, j] * get(work.z, j * n + i)
                put(lane.ahead, at, pick(none, taken, total, get(lane.ahead, at)))

    @lean
    def evaluate(lane, near, program, work):
        """Slopes at the states of the lanes, their registers, and which energies are left."""
        for e in range(lanes):
            work.clock[e] = near.since[e] * math.exp(lane.tau[e])
        field(near, program, work.clock, lane.u, lane.slope)
        exactly(near, program, work.clock, lane.u, lane.slope)
        for e in range(lanes):
            energy = 0.0
            for i in range(len(lane.u)):
                energy += lane.weight[i, e] * (lane.slope[i, e] / work.clock[e]) ** 2
            lane.left[e] = math.sqrt(energy)

    @lean
    def step_on(lane, near, program, tableau, work):
        """Try a step in every lane; slopes are known at the states, before and after the step.

        Each attempt takes fields, of which `MOST_FIELDS` are the last.
        """
        set_steps(lane, work)
        choose_modes(tableau, work)
        predict(lane, near, tableau, work)
        linearise(lane, near, program, work)
        solve_stages(lane, near, program, tableau, work)
        judge(lane, near, program, tableau, work)
        conclude(lane, tableau, work)
        evaluate(lane, near, program, work)
        for e in range(len(lane.live)):
            if not lane.live[e]:
                continue
            lane.fields[e] += 1
            changed = not lane.least[e] < lane.left[e] < lane.most[e]
            if changed and lane.outcome[e] in (GOES_ON, STOPPED):
                lane.outcome[e] = CHANGED
            if lane.outcome[e] == GOES_ON and is_short(
                near, program, len(lane.u), lane.short[0], e
            ):
                lane.outcome[e] = SHORT

    @lean
    def within(lane, part, e, found):
        """Increment `found` (N,) at a part of the last step, by the polynomial of its stages."""
        for i in range(len(found)):
            value, whole = 0.0, 0.0
            for j in range(STAGES - 1, -1, -1):
                value = part * (lane.ahead[j, i, e] + value)
                whole += lane.ahead[j, i, e]
            found[i] = lane.u[i, e] + (value - whole)

    return set_steps, step_on, within, evaluate


set_steps, step_on, within, evaluate = radau_of(LANES)
