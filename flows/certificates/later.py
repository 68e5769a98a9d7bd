r"""Boxes of late quantities from the end of a finite certificate on, for ever.

After a carry and a tail with the clock ``s = 1/(t0 + t)`` there is one box for each step of the
carry, and the tail in parts on which the clock halves. In a funnel the distance ``zeta`` of two
neurons is the clock, and ``(1 + t) zeta`` is enclosed beside it.
"""

from __future__ import annotations

import copy
from collections.abc import Iterator
from dataclasses import replace
from typing import Any

from flint import arb

from flows.certificates.boxes import Enclosure
from flows.certificates.certificate import Certificate
from flows.certificates.late_box import LateBox, Shared
from flows.certificates.living import Living
from flows.certificates.tail import funnel_states, start
from flows.certificates.tail.box import UNIT, Frame, around
from flows.certificates.tail.carry import carried
from flows.certificates.tail.curve import Curve
from flows.certificates.tail.funnel_states import HALVES
from flows.certificates.tail.funnel_tail import FunnelTail
from flows.certificates.tail.infinity import Infinity
from flows.certificates.tail.tail import Late, Limits, Tail, check
from potentials.claim import Mark

Ball = Any  # flint.arb


def followed(
    certificate: Certificate, clock: float, steps: Any, tail: Tail
) -> tuple[list[tuple[Late, Ball]], Late, Limits]:
    """State and energy on each step, the state at the end of all, and what the tail says."""
    late, passed = start.late(certificate, clock), []
    for step in steps:
        after, energy = carried(late, step, certificate.bits)
        passed.append((late, energy))
        late = after
    return passed, late, check(late, tail)


class Later:
    """Boxes from the end of pieces on, for ever; at the certificate's precision.

    Parameters
    ----------
    certificate : Certificate
        Of the neurons that are left.
    enclosure : Enclosure
        All that is finite, of all neurons.
    living : Living
        Which are left.
    """

    def __init__(self, certificate: Certificate, enclosure: Enclosure, living: Living) -> None:
        proof, flow = certificate.infinity, certificate.flow()
        frame: Any = flow  # a SpanFlow
        self.shared = Shared(enclosure, living, arb(1), frame.teacher[0], {"0"})
        if isinstance(proof, Infinity):
            self.shared.clock = arb(proof.clock)
            self.boxes = [*self._tail(certificate, proof)]
        else:
            assert isinstance(proof, FunnelTail)
            self.boxes = [*self._funnel(certificate, proof)]
        #: What is approached: the last box, which holds all limits, at ``s = 0``.
        self.limit = copy.copy(self.boxes[-1])
        self.limit["s"] = arb(0)
        for mark in enclosure.marks:
            if mark.name in enclosure.frozen and self._stays(mark):
                self.shared.frozen.add(mark.name)

    def _tail(self, certificate: Certificate, infinity: Infinity) -> Iterator[LateBox]:
        passed, last, limits = followed(certificate, infinity.clock, infinity.steps, infinity.tail)
        ends, one = [*(late for late, _ in passed), last][1:], arb(1)
        for (late, energy), end, step in zip(passed, ends, infinity.steps, strict=True):
            frame = Frame(late.s.upper(), *_radii(step), around(late.g, arb(step.drift)))
            curve = Curve.of(step.rows, step.length, certificate.bits).box()
            shapes = around(curve, arb(step.e))
            yield LateBox(self.shared, late, end.s, frame, shapes, energy, one)
        tail = infinity.tail
        for k in range(HALVES + 1):
            late = replace(last, s=last.s / 2**k)
            error = limits.error(late.s, last.s)
            frame = Frame(late.s.upper(), *_radii(tail), around(last.g, arb(tail.drift)))
            energy = limits.constant + UNIT * (limits.steep * error + limits.slide * late.s.upper())
            until = late.s / 2 if k < HALVES else arb(0)
            shapes = limits.lens.box(limits.shape, error)
            yield LateBox(self.shared, late, until, frame, shapes, energy, one)

    def _funnel(self, certificate: Certificate, proof: FunnelTail) -> Iterator[LateBox]:
        entry = start.entered(certificate)
        flow = start.late_flow(certificate)
        pace = (1 + start.end_time(certificate)) * entry.zeta
        for x in funnel_states.followed(proof.funnel, flow.p, entry, pace):
            half = 1 / arb(2).sqrt()
            g = [x.b * half]
            frame = Frame(x.high, x.across, x.along, g)
            shape = [half, *[arb(0)] * (flow.p - 1)]
            late = Late(flow, x.high, shape, arb(0), g, x.across, x.along)
            yield LateBox(self.shared, late, x.low, frame, shape, x.energy, x.pace)

    def _stays(self, mark: Mark) -> bool:
        """Whether what a mark was read from goes on holding, or had ended before."""
        if mark.when == "until":  # it had: or it is not known when it will
            enclosure = self.shared.enclosure
            return bool(enclosure.frozen[mark.name]["t"] < self.boxes[0].time)
        return all(box.inside((mark.condition,), "state")[0] for box in self.boxes)


def _radii(stated: Any) -> tuple[Ball, Ball]:
    return arb(stated.across), arb(stated.along)
