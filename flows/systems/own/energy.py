r"""Charts in units of energy: twelve decades of any smooth loss, with nothing asked of the user.

The solver follows the increment `u` since the start of the chart, `y = c + Q (size u)`, in the
eigenbasis `Q` of the Hessian at the exact state `c`,

.. math:: \frac{du_i}{d\tau} = -s \frac{(Q^T \nabla L)_i}{\text{size}_i}, \qquad
   s = (t_c + T_0) e^\tau, \qquad \text{size}_i = \sqrt{2 E/f_i}, \qquad
   E = \frac12 \sum_i g_i^2/f_i, \qquad f_i = \max(|h_i|, 1/(t_c + T_0))

`E` is the energy that is left, of the size of `L - L*`, which nobody knows; so the relative
tolerance of a step is that of the loss, in any coordinates. The floor of `f` makes slow, tangent
and fast directions one formula. The gradient and both products with `Q` are in balls: a sum
`c + increment` never rounds what is small.

Two kinds of directions are followed to less than their share of the energy (:func:`units`). A stiff
direction has decayed, and the errors of steps would be its gradient at late times. A direction of
negative curvature grows by `exp(-h t)`, so near a saddle the displacement itself is measured; its
error grows as fast, and the run reports it where this direction holds the energy.
"""

from __future__ import annotations

import functools
import math
from typing import Any

import numpy as np

from flows.core.arrays import Array
from flows.core.axis_field import AxisTerms, Code
from flows.core.balls import precision
from flows.core.chart import Chart, Clock
from flows.core.limit import Balls
from flows.core.problem import ATOL_PER_RTOL
from flows.core.symmetric import eigen
from flows.systems.own.carried_errors import Errors
from flows.systems.own.energy_piece import STAYS, EnergyPiece
from flows.systems.own.energy_units import ABOVE, FALLS, LINGERS, STIFF, UNDERFLOW, floor, units
from flows.systems.own.exact import from_doubles
from flows.systems.own.exact_view import ExactView
from flows.systems.own.graded import better_axes
from flows.systems.own.in_plane import UNSEEN, few_looks, left_by, reached
from flows.systems.own.increment import (
    FIELD_TWOFOLD,
    PART_TWOFOLD,
    Increment,
    exact_columns,
    orthonormal,
)
from flows.systems.own.loss import Loss
from flows.systems.own.serving import Serving
from flows.systems.own.sharp_axes import SharpAxes, sharp_axes
from flows.systems.own.sound_state import SoundState
from flows.systems.own.stretch import Passage
from flows.systems.own.trail import Trail
from flows.systems.own.twofold import code_of, rates_of, twofold_axes

__all__ = ["axis_terms", "energy_piece"]

# Radau keeps exponential tails, where the errors of BDF add up over charts. LSODA is the fastest
# where nothing is stiff, and begins each chart with small steps, so that its errors add up too: it
# is asked for more. BDF is for many entries, where an evaluation costs more than a step.
SLOW, FAST, LARGE = (("Radau", 1.0), ("BDF", 0.1)), (("LSODA", 0.01),), (("BDF", 0.1),)
# LSODA is asked for no less than this, where `s |h|` is below that; BDF from this many entries on.
LSODA_TOLERANCE, GENTLE, MANY = 1e-12, 1e3, 24
# Compiled steps are taken for no more entries: their linear algebra is plain loops. Many members
# share them up to the second number; beyond it charts of all cost more than runs alone.
MOST_COMPILED, MOST_TOGETHER = 150, 64
# Energy and time change by this factor in a chart, and by the second one in compiled steps, which
# are asked for a part of the energy that is left: a chart costs as much as many of them.
ENERGY, COMPILED = 100.0, 1e4
# Of so few entries curvature in balls costs less than that in doubles.
FEW = 6
#: Steps of many members are asked for this part where potentials are observed.
SMALL = 0.01
# What the steps of a chart leave, in units of energy, relative to their tolerance; of a multistep
# method, whose first steps are many and of low order; and of BDF as it is asked for many entries.
LEFT, LEFT_MULTISTEP, LEFT_MANY = 1.0, 800.0, 80.0


def energy_piece(
    view: ExactView,
    steps: tuple[float, float, bool, bool],
    frame: Any,
    state: SoundState,
    time: float,
) -> EnergyPiece:
    """Piece that begins with an exact state.

    Parameters
    ----------
    view : ExactView
        The loss in doubles, of which only the Hessian is taken where it has a program, and in
        balls, with the rule of its expectation. Evaluations of one that is not compiled are dear:
        they cost more than a step also with few entries.
    steps : tuple
        Relative and absolute tolerance of the solver's steps, whether stiff ones damp, and whether
        a multistep method has other ones.
    frame, state : Frame, SoundState
        Where it begins.
    time : float
        When.
    """
    loss, exact, nodes = view.loss, view.exact, view.rule
    centre = from_doubles(state.digits)
    size, since = len(centre), time + frame.unit
    dear = not isinstance(loss, Loss)
    coded = not dear and nodes is None and size <= MOST_COMPILED
    still = np.zeros(size)

    def hessian(increment: Increment, u: Array, s: float) -> Array:
        if size > FEW or exact.known:
            place = np.array([float(x) for x in increment.place(u)])
            found = loss.hessian(place, nodes)
            if np.isfinite(found).all() and (s * np.abs(found).max() < STIFF or exact.known):
                return found
        return increment.curvature(u)

    def coupling(u: Array, s: float) -> Array:
        """How slopes change along the axes, in units."""
        if size > FEW or exact.known:
            found = axes.T @ hessian(increment, u, s) @ axes
            # Its rounding along the largest axis is small beside the curvature of each axis.
            spread = unit.max() / (unit * (1 + s * np.maximum(h, 0))).min()
            if s * np.abs(found).max() * spread < STIFF or exact.known:
                return np.asarray(found * unit / unit[:, None])
        return increment.coupling(u)

    curved = hessian(Increment(exact, centre), still, since)
    # Where it is not known, all axes are flat, and the field says whether one can go on.
    found = better_axes(view.graded, centre, curved, since)
    flat = not np.isfinite(curved).all()
    h, axes = found or eigen(np.zeros_like(curved) if flat else curved)
    floored = floor(h, since)
    codes = loss.codes if dear else (None, None)
    if coded:
        codes = code_of(loss), rates_of(loss)
    increment, slopes, unsure = _increment(exact, centre, (h, axes), since, steps[0], *codes)
    energy = float(slopes @ (slopes / floored)) / 2
    rtol, atol, _, multistep = steps
    rests, averaging, inside = UNDERFLOW, 0 * slopes, 1.0 + 0 * slopes
    if nodes is not None:
        inside = reached(loss, nodes, np.array([float(x) for x in centre]), axes)
        slopes, unsure = inside * slopes, inside * unsure
        averaging = inside * left_by(loss, nodes, centre, slopes, axes) + unsure
        # Where the rule has no digit of the energy left, the state stays.
        rests = max(rests, UNSEEN * float(averaging @ (averaging / floored)) / 2)
    moving = energy > rests and state.energy[1] < STAYS
    # More bits make an error as small as it takes, if they are kept.
    lessens = 0 * unsure if exact.known else unsure
    unit = np.ones(size)
    if moving:
        unit = np.fmax(units(slopes, lessens, h, since), increment.least(floored, unsure))
    increment.measure(unit, floored, energy)

    def bounds(reach: float) -> tuple[float, float, float]:
        return max(energy / reach, rests), energy * reach, math.log(reach)

    compiled = increment.compiled(floored, h, since, bounds(COMPILED)) if moving else None
    many = compiled is None and (size > MANY or dear)
    left = (LEFT_MULTISTEP if multistep else LEFT_MANY if many else LEFT) * max(rtol, atol)
    # Beside a saddle no step leaves the manifold on which the gradient is exactly along it.
    still_falls = ((h * since < FALLS) & (slopes == 0) & (unsure == 0)) | (inside == 0)
    fresh = np.where(still_falls, 0.0, left * unit) if moving else np.zeros(size)
    fresh = fresh + averaging / floored
    last: list[tuple[float, Array, Array]] = [(0.0, still, slopes)]

    def gradient(tau: float, u: Array) -> Array:
        before, where, found = last[0]
        if before != tau or not np.array_equal(where, u):
            found = inside * increment.gradient(u)
            last[0] = (tau, u.copy(), found)
        return found

    def field(  # type: ignore[no-untyped-def]
        tau, u, exponential, offset, decay, weights, shape, out, jacobian, want_jacobian
    ):
        if not moving:
            out[:] = 0.0
            return
        s = since * math.exp(tau)
        with np.errstate(all="ignore"):
            out[:] = -s * gradient(tau, u) / unit
            if want_jacobian:
                jacobian[:] = -s * inside[:, None] * coupling(u, s)

    def left_over(tau: float, u: Array) -> float:
        # A solver has evaluated its field at the end of the step, or next to it.
        found = last[0][2] if last[0][0] == tau else gradient(tau, u)
        return float(found @ (found / floored)) / 2

    stays = not moving and bool(slopes.any())
    begins = stays and state.energy[1] < STAYS

    def hessians(places: Array) -> Array:
        if coded:
            return np.asarray(loss.hessians(places))
        if nodes is None:
            return np.array([loss.hessian(place) for place in places])
        return few_looks(functools.partial(loss.hessian, rule=nodes), places)

    near = np.array([float(x) for x in centre])
    trail = Trail(since, axes, functools.partial(hessian, increment))
    # Steps that are looked at one by one, as of dear losses, end where compiled ones do.
    reach = COMPILED if compiled is not None and dear else ENERGY
    least, most, ends = bounds(reach) if moving else (-math.inf, math.inf, math.inf)
    if begins:  # and might leave a saddle, with less energy than doubles hold
        ends = 0.0 if flat or math.isnan(energy) else _leaves_after(h, since)
    return EnergyPiece(
        view.states,
        frame,
        state,
        Chart(
            clock=Clock(time, np.zeros(size), unit=since),
            x0=still,
            # The solver's absolute tolerance is its relative one: increments are of order one.
            size=np.full(size, max(1.0, rtol / atol) if atol > 0 else 1 / ATOL_PER_RTOL),
            field=field,
            weights=np.zeros(0),
            shape=np.array([size, 0, 0]),
            auto=_solvers(rtol, many, since * float(np.abs(h).max()), dear)
            if moving
            else SLOW,  # LSODA crawls where nothing moves
            axis_field=compiled,
        ),
        increment,
        left_over,
        functools.partial(hessian, increment),
        energy,
        least,
        most,
        rests,
        ends,
        Errors(
            axes,
            h,
            state.error,
            fresh,
            since,
            None if exact.known else functools.partial(_sharp, exact, centre, axes),
            slope=slopes,
            between=trail.between,
            late=float(state.late),
        ),
        STAYS if stays else float(state.energy[1]),
        trail,
        Passage(since, near, axes, unit, hessians, codes[1]),
        None if nodes is None else Serving(loss, nodes),
    )


def axis_terms(
    rtol: float,
    step: float,
    *,
    short: float = 0.0,
    rough: float,
    reach: float,
    halts: bool = False,
    ends: bool = False,
    squares: int = -1,
    constant: float = 0.0,
) -> AxisTerms:
    """How members of an ensemble are followed, as in charts of a run alone."""
    known = max(PART_TWOFOLD * rtol, FIELD_TWOFOLD)
    return AxisTerms(known, LEFT * rtol, short, rough, reach, step, halts, ends, squares, constant)


def _increment(
    exact: Balls,
    centre: list[Any],
    known: tuple[Array, Array],
    since: float,
    rtol: float,
    code: Code | None,
    rates: Code | None,
) -> tuple[Increment, Array, Array]:
    """Increments around a state, with two doubles where they serve; slopes there, and their error.

    What two doubles leave grows beside a saddle, as the displacement does: they need to know it.
    """
    h, axes = known
    floored, falls = floor(h, since), h * since < FALLS
    if code is not None and rates is not None:
        pairs = twofold_axes(axes)
        found = Increment(exact, centre, exact_columns(pairs), rtol)
        slopes, unsure = found.slopes(floored)
        shares = slopes * (slopes / floored)
        lasts = h[0] * since > -LINGERS or 2 * shares[0] >= shares.sum()
        significant = (np.abs(slopes) > ABOVE * unsure) | (unsure == 0)  # a symmetry keeps it
        if lasts and significant[falls].all():
            found.take(code, rates, pairs)
            return found, slopes, unsure
    found = Increment(exact, centre, orthonormal(axes), rtol)
    return found, *found.slopes(floored)


def _leaves_after(h: Array, since: float) -> float:
    """Solver time in which a displacement beside a saddle hardly grows."""
    down = float(h.min(initial=0.0))
    return math.log1p(FALLS / down / since) if down < 0 else math.inf


def _sharp(exact: Balls, centre: list[Any], axes: Array, bits: int) -> SharpAxes:
    """Axes of the Hessian at an exact state, with many bits."""
    with precision(bits):
        return sharp_axes(exact.hessian(centre), axes, bits)


def _solvers(
    rtol: float, many: bool, stiffness: float, dear: bool
) -> tuple[tuple[str, float], ...]:
    """What the method ``auto`` tries on a chart, after compiled steps."""
    gentle = not dear and stiffness < GENTLE and rtol * FAST[0][1] >= LSODA_TOLERANCE
    return ((*FAST,) if gentle else ()) + ((*LARGE,) if many else ()) + SLOW
