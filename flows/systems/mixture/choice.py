"""Choose coordinates, rule and clock for the next piece of a mixture's run."""

from __future__ import annotations

import math

import numpy as np

from flows.core.arrays import Array
from flows.core.chart import Chart, Clock, Lanes
from flows.core.problem import ATOL_PER_RTOL
from flows.systems.mixture.axes import Frames, frames, spanned
from flows.systems.mixture.calculus import Calculus
from flows.systems.mixture.constants import (
    BEYOND,
    LINEAR,
    NO_LEVELS,
    NOBODY,
    USUAL_LEVEL,
    Levels,
    Limits,
    excess,
    pack,
)
from flows.systems.mixture.expectation import expect
from flows.systems.mixture.field import LANES, field, shape
from flows.systems.mixture.forms import components, longest, power_above
from flows.systems.mixture.means import CLUSTER, FAR, NEAR, SHORT, Means
from flows.systems.mixture.pieces import COARSE, MixturePiece, Regimes
from flows.systems.mixture.rules import MOVES, Nodes, home_ahead, may_move, roomy, rule, unseen
from flows.systems.mixture.sound import Frame, SoundState
from flows.systems.mixture.travel import exponent, fineness

# A mean is followed down to this length: its error's square is near the end of doubles.
FALLEN = 1e-130
# Jacobians enter a step next to its length: their error may be larger than the field's by this.
LINEARISED = 1e2
# A rule of more nodes than CHEAP is chosen anew once the means are shorter by the factor SHRUNK; of
# fewer, a new piece takes longer than what its steps save.
CHEAP, SHRUNK = 600, 0.6
# With one mean nearer than SETTLED, a long one moves like exp(-|mu|^2/8): once that has changed by
# the exponential of FASTER, a new piece begins, with a clock, a size of what matters, and a rule of
# its own.
SETTLED, FASTER = 3.0, 3.0
# Widths of the rule within which a piece stays, and of one with room for what steps try, over those
# at its start.
USUAL, ROOM = 1.1, 1.6
# Along thin axes, into which means turn, a rule serves widths of this part of the largest one, up
# to the second number, which takes few nodes.
TURN, FREE = 0.1, 0.1
# A piece that begins before so many times of the fastest decay begins with explicit steps.
UNSTIFF = 10.0
# Parts of the first length at which a piece of short means changes to fewer nodes, and the part of
# the width of a cluster at which its piece does.
SHORTER, NARROWER = 0.5 ** np.arange(0.0, 8.0, 0.5), 0.25
# Clusters narrower than this have no fewer nodes.
TINY = 1e-12
# In a Jacobian a travelling cluster that is thinner than this has lost the digits that steps of
# Rodas5P ask of it.
THIN = 5e-8
# Between two forms, so that a run does not go back and forth.
HYSTERESIS = 0.9


def piece(
    calculus: Calculus,
    frame: Frame,
    state: SoundState,
    time: float,
    tolerance: float,
    stretch: float,
    regimes: Regimes | None = None,
) -> MixturePiece:
    """Choose coordinates, rule and clock for the piece that begins with ``state``.

    ``stretch`` is that of :func:`flows.systems.mixture.travel.exponent`.
    """
    k, r = state.offset.shape
    means = components(frame, state)
    if k == 1:
        # In units of its start: what falls out of the doubles has no digits left to follow.
        alone = means.mean / power_above(state.centre)
        anywhere = -math.inf, math.inf
        none = Limits(
            anywhere, anywhere, math.inf, math.inf, NOBODY, state.mu, state.mu, np.ones(1)
        )
        constants = pack(frame.weight, frame.rate, LINEAR, NO_LEVELS, none)
        chart = Chart(
            clock=Clock(time, np.full(r, frame.rate[0]), 1.0, True),
            x0=alone,
            size=np.maximum(np.abs(alone), np.finfo(float).tiny),
            field=field(),
            weights=constants,
            shape=shape(calculus, (k, r), NO_LEVELS, LINEAR, len(constants)),
            lanes=LANES,
        )
        first = np.array([0])
        return MixturePiece(calculus, tolerance, regimes, frame, state, chart, LINEAR, first, none)
    # The heaviest component comes first: the near chart derives it from the others.
    order = np.argsort(-frame.weight * frame.rate, kind="stable")
    weight, rate = frame.weight[order], frame.rate[order]
    kind = means.form
    turned = frames(means.at(None), unseen(tolerance), BEYOND * MOVES)
    levels = _levels(means, turned, tolerance)
    limits = _limits(means, turned, levels)
    place = np.argsort(order)
    levels = levels._replace(
        pivots=np.array([place[i] if i >= 0 else i for i in levels.pivots.tolist()])
    )
    mu = means.mu[order]
    offset, reach, least = 1.0, longest(means.deviation), np.finfo(float).tiny
    lanes: Lanes | None = LANES
    slack = np.ones_like(mu)
    if kind == FAR:
        blocks, decay = mu, np.zeros_like(mu)
        size = np.full_like(mu, min(1.0, longest(mu)))
        # A mean alone at home falls until it is slaved to the tails of the others: it matters next
        # to their sqrt(E|v|^2). Of several, the far form knows the deviations to rounding only.
        if np.sum(np.linalg.norm(mu - means.mu[means.home], axis=1) <= SHORT) == 1:
            still = means.mu.copy()
            still[means.home] = 0.0
            tails = expect(calculus, components(frame, SoundState(still, 0 * state.centre)), COARSE)
            matters = np.clip(np.sqrt(tails.fisher), FALLEN, float(size.max()))
            size[np.argmax(order == means.home)] = matters
    else:
        share = weight * rate
        slow = (means.deviation[order] - excess(weight, rate)[:, None] * means.mean) / rate[:, None]
        blocks = np.vstack([means.mean, slow[1:]])
        size = np.full_like(mu, max(float(np.max(np.abs(slow))), least))
        if kind == NEAR:
            # The slaved mean falls faster; by its own decay its rounding would grow, by none its
            # error would outlast it.
            decay = np.full_like(mu, 0.5)
            # Deviations fall like sqrt(k/(2 t)), whatever they were.
            offset = max(1.0, 1.0 / (np.sum(share) * max(reach, 1e-100) ** 2))
            # The mean matters where its square is comparable with the loss, a fourth power.
            size[0] = max(reach**2, least)
            slack[0] = 1.0 / ATOL_PER_RTOL
        else:
            decay = np.zeros_like(mu)
            left = exponent(weight, rate, means.mean, stretch)
            size[1:] *= fineness(left, tolerance)
            size[0] = 1.0
            if reach < THIN:
                lanes = None
    constants = pack(weight, rate, kind, levels, limits.ordered(order))
    chart = Chart(
        clock=Clock(time, decay.ravel(), offset),
        x0=blocks.ravel(),
        size=size.ravel(),
        field=field(),
        weights=constants,
        shape=shape(calculus, (k, r), levels, kind, len(constants)),
        lanes=lanes,
        explicit=LANES if kind == FAR and time <= UNSTIFF / float(np.max(rate / weight)) else None,
        slack=slack.ravel(),
    )
    return MixturePiece(calculus, tolerance, regimes, frame, state, chart, kind, order, limits)


def _levels(means: Means, turned: Frames, tolerance: float) -> Levels:
    """Rules of a piece that begins with these means.

    They serve while the means are a little further apart along their axes. Short means shrink for
    as long as they are followed, and ask for fewer nodes; clusters may widen by decades.
    """
    widths = turned.widths[0]
    count = spanned(len(means.mu), len(widths), means.form == NEAR)
    most = float(widths.max())
    least = FREE if means.form == CLUSTER else min(TURN * most, FREE)
    thin = np.where(np.arange(len(widths)) < count, np.maximum(widths, least), 0.0)
    shorter = SHORTER if means.form == NEAR else SHORTER[:1]
    if means.form == CLUSTER:
        shorter = NARROWER ** np.arange(1.0 + math.log(max(most, TINY) / FREE, NARROWER))
    moves = BEYOND * may_move(widths)

    def pair(size: Array) -> tuple[Array, Nodes, Nodes] | None:
        first = rule(means, turned, size, tolerance, moves=moves, curve=False)
        slope = LINEARISED * tolerance
        second = rule(means, turned, size, slope, moves=moves, curve=True)
        return None if first is None or second is None else (size, first, second)

    usual = pair(roomy(thin, USUAL)) or pair(roomy(thin, 1.0))
    if usual is None:  # no field is known, and a run has ended with its reason
        return NO_LEVELS
    rules = [pair(roomy(thin, ROOM)) or usual, usual]
    for factor in shorter[1:]:
        found = pair(roomy(factor * thin, USUAL))
        if found is not None and found[1].size < rules[-1][1].size:
            rules.append(found)
    lists = [nodes for _, *both in rules for nodes in both]
    return Levels(
        turned.pivots[0],
        turned.axes[0],
        np.array([size for size, *_ in rules]),
        np.concatenate([nodes.numbers for nodes in lists]),
        np.array([nodes.size for nodes in lists]),
    )


def _limits(means: Means, turned: Frames, levels: Levels) -> Limits:
    """Limits of a piece that begins with these means."""
    along, nodes = means.mu @ turned.axes[0].T, int(levels.counts[2 * USUAL_LEVEL :][:1].sum())
    fixed = math.inf, NOBODY, means.mu, along, turned.matters[0]
    if means.form == NEAR:
        return Limits((-1.0, SHORT / HYSTERESIS), (-1.0, math.inf), math.inf, *fixed)
    short = HYSTERESIS * SHORT
    if means.form == CLUSTER:
        return Limits((short, math.inf), (-1.0, SHORT / HYSTERESIS), math.inf, *fixed)
    settled = float(np.min(np.sum(means.mu**2, axis=-1))) <= SETTLED**2
    least = max(short, SHRUNK * longest(means.mu) if nodes > CHEAP else 0.0)
    if home_ahead(means):
        fixed = may_move(turned.widths[0]), means.home, *fixed[2:]
    elif not turned.matters.all():
        fixed = MOVES, *fixed[1:]
    change = 8 * FASTER if settled else math.inf
    return Limits((least, math.inf), (short, math.inf), change, *fixed)
