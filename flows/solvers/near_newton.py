r"""Compiled: Newton's method for the stages of Radau along the axes of charts, in lanes.

The equations, and why each length of a step has modes of its own, are in
:mod:`flows.solvers.timed_radau`; each step has a Jacobian of its own. What happens in one lane does
not change a bit in another: the method goes on until all have converged, those that have stay.
"""

# mypy: disable-error-code="no-untyped-def, untyped-decorator, no-untyped-call"

from __future__ import annotations

import functools
import math
from typing import Any

import numpy as np

from flows.arithmetic.kept import lean
from flows.arithmetic.numbers import numbers_of
from flows.core.arrays import EPSILON
from flows.solvers.near_factors import factors_of
from flows.solvers.near_flow import flow_of
from flows.solvers.near_hessian import curvatures_of
from flows.solvers.near_stages import stages_of
from flows.solvers.near_state import PAIRS
from flows.solvers.timed_radau import STAGES

__all__ = ["ITERATIONS", "newton_of"]

#: The most iterations.
ITERATIONS = 6
# A first guess may be off by 1e12 along steep axes, where corrections shrink at once: that they do
# so by less than this is not believed of others.
FASTEST = 1e-2
# Where the largest curvature is this many times `1/s`, its rounding hides others.
STIFF = 1e13
# The stage at 0.58 of a step.
MIDDLE = 2


@functools.cache
def newton_of(lanes: int, exactly: Any, newton: float) -> Any:
    """Newton's method in so many lanes, to a part of the error that is allowed in a step."""
    number = numbers_of(lanes)
    get, put, zero = number.get, number.put, number.zero
    pick, magnitude = number.pick, number.magnitude
    field, fields, curvatures = flow_of(lanes)[0], stages_of(lanes)[1], curvatures_of(lanes)[1]
    factor, substitute, factor_both, substitute_both, combined = factors_of(lanes)

    @lean
    def choose_modes(tableau, work):
        """Modes of the steps' lengths, and how the field grows in them."""
        most = len(tableau.real) - 1
        for e in range(lanes):
            wanted = work.length[e] / tableau.spacing + 0.5
            m = int(max(0.0, wanted)) if wanted < most else most
            work.eigen[0, e] = tableau.real[m]
            for p in range(PAIRS):
                work.eigen[2 * p + 1, e] = tableau.pairs[m, p].real
                work.eigen[2 * p + 2, e] = tableau.pairs[m, p].imag
            for k in range(STAGES):
                work.grown[k, e] = math.exp(tableau.nodes[k] * work.length[e])
                for j in range(STAGES):
                    work.back[k, j, e] = tableau.back[m, k, j]
                    work.forth[k, j, e] = tableau.forth[m, k, j]

    @lean
    def linearise(lane, near, program, work):
        """Factors of the matrices of a step: the Hessian is that in its middle, as predicted.

        With the one at its begin Newton's method takes up to a quarter more fields. Slopes and
        unknowns are those along the axes, times `size`, where the Jacobian is `-s` times the
        Hessian.
        """
        for i in range(len(lane.u)):
            for e in range(lanes):
                far = work.z[MIDDLE, i, e] if lane.before[e] > 0.0 else 0.0
                work.inside[i, e] = lane.u[i, e] + far
        field(near, program, work.clock, work.inside, work.f[0])
        curvatures(near, program, work.clock, STIFF, work.hessian, work.real)
        for k in range(STAGES):
            for e in range(lanes):
                work.shift[k, e] = work.eigen[k, e] / work.length[e]
        factor(work.hessian, work.clock, work.shift[0], work.real)
        for p in range(PAIRS):
            shift = work.shift[2 * p + 1 : 2 * p + 3]
            factor_both(work.hessian, work.clock, shift, work.turning[p])

    @lean
    def predict(lane, near, tableau, work):
        """Stages of a step before Newton's method: the polynomial of the last step goes on."""
        ahead = lane.ahead
        for k in range(STAGES):
            for i in range(len(lane.u)):
                for e in range(lanes):
                    goes_on = lane.before[e] > 0.0
                    before = lane.before[e] if goes_on else 1.0
                    s = 1.0 + tableau.nodes[k] * work.length[e] / before
                    value, whole = 0.0, 0.0
                    # In a new chart there is no step behind, but a slope, which steep axes damp.
                    length = tableau.nodes[k] * work.length[e]
                    first = (
                        length
                        * lane.slope[i, e]
                        / (1.0 + length * near.since[e] * max(near.matrix[i, i, e], 0.0))
                    )
                    for j in range(STAGES - 1, -1, -1):
                        value = s * (ahead[j, i, e] + value)
                        whole += ahead[j, i, e]
                    work.z[k, i, e] = value - whole if goes_on else first
        combined(work.back, work.z, work.w)

    @lean
    def correct(lane, near, program, tableau, work):
        """One correction of Newton's method in `change`, and its sizes in `moved`."""
        n, change = len(lane.u), work.change
        for k in range(STAGES):
            for i in range(n):
                place = k * n + i
                put(work.stages, place, get(lane.u, i) + get(work.z, place))
        fields(near, program, work.clock, work.stages, change, work.f)
        for k in range(STAGES):
            exactly(near, program, work.clock, work.stages[k], work.f[k])
        for k in range(STAGES):
            whole = get(work.length, 0) * get(work.grown, k)
            for i in range(n):
                off = zero()
                for j in range(STAGES):
                    off += tableau.inverse[k, j] * get(work.z, j * n + i)
                at = k * n + i
                put(work.f, at, get(near.size, i) * (get(work.f, at) - off / whole))
        combined(work.back, work.f, change)
        substitute(work.real, change[0])
        for p in range(PAIRS):
            substitute_both(work.turning[p], change[2 * p + 1], change[2 * p + 2])
        moved = zero()
        for i in range(n):
            weight, unit = get(lane.rtol, 0) * (1.0 + magnitude(get(lane.u, i))), get(near.unit, i)
            for k in range(STAGES):
                far = unit * get(change, k * n + i)
                moved += (far / weight) ** 2
                put(change, k * n + i, far)
        put(work.moved, 0, moved)
        for e in range(lanes):
            left = min(1.0, lane.left[e])
            work.moved[e] = math.sqrt(work.moved[e] / (STAGES * n)) / left

    @lean
    def solve_stages(lane, near, program, tableau, work):
        """Newton's method for the stages: which lanes have converged, in how many corrections."""
        for e in range(len(lane.live)):
            work.active[e], work.converged[e] = lane.live[e], False
            work.iterations[e], work.before[e] = 0, 0.0
        for iteration in range(ITERATIONS):
            going = False
            work.taken[:] = 0.0
            correct(lane, near, program, tableau, work)
            for e in range(len(lane.live)):
                if not work.active[e]:
                    continue
                moved, rate = work.moved[e], 0.0
                tolerance = max(10 * EPSILON / (lane.rtol[e] * min(1.0, lane.left[e])), newton)
                lane.fields[e] += STAGES
                work.iterations[e] = iteration + 1
                if iteration > 0:
                    rate = moved / work.before[e]
                    left = ITERATIONS - iteration
                    if rate >= 1.0 or rate**left / (1.0 - rate) * moved > tolerance:
                        work.active[e] = False
                if not np.isfinite(moved):
                    work.active[e] = False
                if not work.active[e]:
                    continue
                work.taken[e] = 1.0
                work.before[e] = moved
                believed = max(rate, FASTEST)
                if moved == 0.0 or (
                    iteration > 0 and believed / (1.0 - believed) * moved < tolerance
                ):
                    work.active[e], work.converged[e] = False, True
                going = going or work.active[e]
            taken = get(work.taken, 0)
            for place in range(STAGES * len(lane.u)):
                before = get(work.w, place)
                after = before + get(work.change, place)
                put(work.w, place, pick(zero(), taken, after, before))
            combined(work.forth, work.w, work.z)
            if not going:
                return

    return choose_modes, linearise, predict, solve_stages
