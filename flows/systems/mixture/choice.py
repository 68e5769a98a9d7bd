"""Choose coordinates, rule and clock for the next piece of a mixture's run."""

from __future__ import annotations

import math

import numpy as np

from flows.core.chart import Chart, Clock, Lanes
from flows.core.problem import ATOL_PER_RTOL
from flows.systems.mixture.calculus import Calculus
from flows.systems.mixture.constants import LINEAR, NO_LEVELS, Levels, Limits, pack
from flows.systems.mixture.expectation import Expected, expect, guessed_rule
from flows.systems.mixture.field import excess, field, shape
from flows.systems.mixture.field_lanes import LANES
from flows.systems.mixture.forms import components, longest, power_above
from flows.systems.mixture.layers import ASIDE
from flows.systems.mixture.means import CLUSTER, FAR, NEAR, NO_RULE, SHORT, Means
from flows.systems.mixture.pieces import COARSE, MARGIN, MixturePiece, Regimes
from flows.systems.mixture.product_rule import trims
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
# Nodes that add nothing are left out with a margin of exp(16), which lasts while means move by the
# first number. Nodes of layers serve while a mean's step moves by these parts of its length, along
# itself and aside.
MOVED, TURNED, ANY_TURN = 0.5, (0.1, 0.8 * ASIDE), (math.inf, math.inf)
# Rules of layers lose digits as their means move: theirs are better than asked for by this factor,
# as far as rounding allows, or a piece would end after a step of the solver.
IN_PARTS, ROUNDED = 1e-3, 1e-14
# A piece that begins before so many times of the fastest decay begins with explicit steps.
UNSTIFF = 10.0
# Parts of the first length at which a piece of short means changes to fewer nodes.
SHORTER = 0.5 ** np.arange(0.0, 8.0, 0.5)
# Rungs by which the rule of a Jacobian is below that of the field there.
COARSER = 1
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
        chart = Chart(
            clock=Clock(time, np.full(r, frame.rate[0]), 1.0, True),
            x0=alone,
            size=np.maximum(np.abs(alone), np.finfo(float).tiny),
            field=field(),
            weights=np.concatenate([frame.weight, frame.rate]),
            shape=shape(calculus, (k, r), NO_LEVELS, LINEAR),
            lanes=LANES,
        )
        anywhere = -math.inf, math.inf
        none = Limits(anywhere, anywhere, math.inf, math.inf, ANY_TURN, 0, state.mu)
        first = np.array([0])
        return MixturePiece(
            calculus, tolerance, regimes, frame, state, chart, LINEAR, first, None, none
        )
    # The heaviest component comes first: the near chart derives it from the others.
    order = np.argsort(-frame.weight * frame.rate, kind="stable")
    weight, rate = frame.weight[order], frame.rate[order]
    found, kind = expect(calculus, means, MARGIN * tolerance), means.form
    if found.product is None and kind == FAR:
        found = expect(calculus, means, max(IN_PARTS * tolerance, ROUNDED))
    levels, finer = _levels(means, found, tolerance)
    limits = _limits(means, int(levels.counts[0]), finer is None)
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
    chart = Chart(
        clock=Clock(time, decay.ravel(), offset),
        x0=blocks.ravel(),
        size=size.ravel(),
        field=field(),
        weights=pack(weight, rate, levels, limits.ordered(order)),
        shape=shape(calculus, (k, r), levels, kind),
        lanes=lanes,
        explicit=LANES if kind == FAR and time <= UNSTIFF / float(np.max(rate / weight)) else None,
        slack=slack.ravel(),
    )
    others = None
    if finer is not None:
        others = pack(weight, rate, finer, limits), shape(calculus, (k, r), finer, kind)
    return MixturePiece(
        calculus, tolerance, regimes, frame, state, chart, kind, order, others, limits
    )


def _levels(means: Means, found: Expected, tolerance: float) -> tuple[Levels, Levels | None]:
    """Rules of a piece that begins with these means, and finer ones; None if there are none.

    They serve while the means are a little further apart along their axes, and no longer: where the
    means turn out of these axes a new piece begins. Short means shrink for as long as they are
    followed, and ask for fewer nodes.
    """
    product = found.product
    if product is None:
        rule = found.rule_for(means)
        return Levels.of(rule, guessed_rule(means, LINEARISED * tolerance) or rule), None
    room, rungs = product.roomier(SHORTER if means.form == NEAR else SHORTER[:1])
    rungs = np.minimum.accumulate(rungs)
    new = np.append(True, (np.diff(rungs, axis=0) < 0).any(axis=1))
    room, rungs = room[new], rungs[new]
    coarse = np.maximum(rungs - COARSER, 0)
    coarse[0] = np.minimum(rungs[0], product.guess(LINEARISED * tolerance))
    # All nodes of the finer rule tell whether those that were left out still add nothing.
    every = np.stack([rungs, coarse], axis=1).reshape(-1, rungs.shape[1])
    finer = every + 1
    finer[1::2] = NO_RULE
    mine, others = product.listed(every, means), product.listed(finer)
    return Levels(product.axes, room, *mine), Levels(product.axes, room, *others)


def _limits(means: Means, nodes: int, in_parts: bool) -> Limits:
    """Limits of a piece that begins with these means, by its number of nodes, or in parts."""
    still = math.inf, ANY_TURN, means.home, means.mu
    if means.form == NEAR:
        return Limits((-1.0, SHORT / HYSTERESIS), (-1.0, math.inf), math.inf, *still)
    short = HYSTERESIS * SHORT
    if means.form == CLUSTER:
        return Limits((short, math.inf), (-1.0, SHORT / HYSTERESIS), math.inf, *still)
    settled = float(np.min(np.sum(means.mu**2, axis=-1))) <= SETTLED**2
    least = max(short, SHRUNK * longest(means.mu) if nodes > CHEAP else 0.0)
    if trims(means):
        still = MOVED, TURNED if in_parts else ANY_TURN, means.home, means.mu
    change = 8 * FASTER if settled else math.inf
    return Limits((least, math.inf), (short, math.inf), change, *still)
