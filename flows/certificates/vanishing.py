r"""A neuron that reaches zero: when it surely will, and how the others go on.

What is made here is not proved here: these are doubles, with room. The independent checker derives
every inequality (:mod:`flows.certificates.verifier.at_zero`), and nothing that it refuses is
returned.
"""

from __future__ import annotations

import math
from dataclasses import replace
from typing import Any, NamedTuple

import numpy as np
from flint import arb

from flows.certificates.certificate import Certificate
from flows.certificates.decision import up
from flows.certificates.proof import norm
from flows.certificates.steps import Steps
from flows.certificates.verifier.at_zero import without
from flows.core.arrays import Array

#: A neuron below this part of the teacher's length may be about to vanish, and has to fall so fast
#: that what it still does to the others, in units of this length, is below the second number.
SHORT, NEGLIGIBLE = 1e-3, 1e-10
#: Directions that are looked at, beside those of the neurons and of the teacher.
DIRECTIONS = 400
#: Part of the slowest fall that is claimed, and that may be needed beside what the others move;
#: what other bounds have in room.
CLAIMED, KEPT, ROOM = 0.5, 0.75, 2.5


class Vanishing(NamedTuple):
    """A neuron that surely falls to zero.

    Parameters
    ----------
    neuron : int
        Its number.
    slope : float
        Its length falls at least so fast.
    reach : float
        So far the others may be from where they are now.
    off : float
        So far they are afterwards from the flow without it.
    lasting : float
        It takes so long at most.
    """

    neuron: int
    slope: float
    reach: float
    off: float
    lasting: float


def vanishing(flow: Any, state: Any) -> list[Vanishing]:
    """The shortest neuron, if it falls whatever its direction, and soon enough; or none."""
    rows, k = _rows(flow, state)
    size = float(np.linalg.norm(rows[k]))
    if len(rows) < 3 or size > SHORT * flow.unit:
        return []
    others = np.delete(rows, k, axis=0)
    least = float(_fall(_directions(rows, flow), others, flow).min())
    if not least > 0:
        return []
    slope, half = CLAIMED * least, math.sqrt(len(others)) / 2
    lasting, push = size / slope, half * size
    reach, off = ROOM * lasting * (_speed(others, flow) + push), ROOM * push * lasting
    if off > NEGLIGIBLE * flow.unit or slope + half * reach > KEPT * least:
        return []
    numbers = map(float, (slope, reach, off, ROOM * lasting))
    return [Vanishing(k, *numbers)]


def may_leave(flow: Any, state: Any) -> bool:
    """Whether the shortest neuron is near zero and is pushed out of it in some direction."""
    rows, k = _rows(flow, state)
    short = float(np.linalg.norm(rows[k])) <= SHORT * flow.unit
    others = np.delete(rows, k, axis=0)
    return short and not _fall(_directions(rows, flow), others, flow).min() > 0


def left(certificate: Certificate, found: Vanishing, steps: Steps) -> tuple[Any, Any]:
    """The system of the neurons that remain, and their flow from the end of these steps."""
    flow: Any = certificate.flow()  # a SpanFlow
    system: Any = certificate.system  # a ReLUNeuron
    cut = slice(found.neuron * flow.q, (found.neuron + 1) * flow.q)
    state = list(steps.state)
    del state[cut]
    return replace(system, n=len(state) // flow.q), replace(flow, start=state)


def continued(steps: Steps, flow: Any, found: Vanishing) -> Steps:
    """Steps of the flow that is left, from where these are."""
    rows = np.array(flow.start).reshape(-1, flow.q)
    made = Steps(flow, without(steps.equations, rows), steps.bits, steps.digits)
    made.time, made.error = steps.time, made.error + steps.error + arb(found.off)
    return made


def _rows(flow: Any, state: Any) -> tuple[Array, int]:
    """Neurons in doubles, and the number of the shortest one."""
    rows = np.array([float(x.mid()) for x in state]).reshape(-1, flow.q)
    return rows, int(np.linalg.norm(rows, axis=1).argmin())


def _fall(u: Array, rows: Array, flow: Any) -> Array:
    """How fast a small neuron falls in each direction: ``D(u)``, of the others and the teacher."""
    teacher = np.array([float(x.mid()) for x in flow.teacher])
    total = u @ (rows.sum(axis=0) - teacher) / 2
    for w, mu in [*((w, 1) for w in rows), (teacher, -1)]:
        size = float(np.linalg.norm(w))
        theta = _angles(u, w / size)
        total = total + mu * size * (np.sin(theta) - theta * np.cos(theta)) / (2 * math.pi)
    return np.asarray(total)


def _angles(u: Array, unit: Array) -> Array:
    apart, together = (np.linalg.norm(u + sign * unit, axis=-1) for sign in (-1, 1))
    return np.asarray(2 * np.arctan2(apart, together))


def _directions(rows: Array, flow: Any) -> Array:
    """Unit vectors: about the axis of the teacher at all scales, of the neurons, and others."""
    random, q = np.random.default_rng(0), flow.q
    wide = random.normal(size=(DIRECTIONS, q))
    near = wide * 10.0 ** random.uniform(-5, 0, size=(DIRECTIONS, 1))
    near[:, 0] = random.choice([-1.0, 1.0], DIRECTIONS)
    axis = np.eye(1, q)
    u = np.vstack([wide, near, rows, -rows, axis, -axis])
    return np.asarray(u / np.linalg.norm(u, axis=1)[:, None])


def _speed(rows: Array, flow: Any) -> float:
    """Speed of the neurons that are left."""
    left = replace(flow, start=[arb(x) for x in rows.ravel()])
    signs = [-1 if a < 0 else 1 for a in left.areas(left.start)]
    return up(norm(left.field(left.start, signs)))
