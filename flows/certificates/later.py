r"""Boxes of late quantities from the end of a finite certificate on, for ever.

After a carry and a tail with the clock ``s = 1/(t0 + t)`` there is one box for each step of the
carry, and the tail in parts on which the clock halves. In a funnel the distance ``zeta`` of two
neurons is the clock, and ``(1 + t) zeta`` is enclosed beside it.
"""

from __future__ import annotations

import copy
from collections.abc import Iterator
from typing import Any

import numpy as np
from flint import arb

from flows.certificates.boxes import Enclosure
from flows.certificates.certificate import Certificate
from flows.certificates.continued import FunnelTail, Infinity
from flows.certificates.late_box import LateBox, Shared
from flows.certificates.living import Living
from flows.certificates.tail import funnel_states, start
from flows.certificates.tail.funnel_states import HALVES
from flows.certificates.tail.late import Late
from flows.certificates.verifier.reading import number
from flows.certificates.verifier.tail import lasting
from potentials.claim import Mark

Ball = Any  # flint.arb


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
        """Boxes of each step of the carry, and of the tail, on which errors fall.

        With ``D+ e <= -rate e + push`` from some time on, ``e`` is at most what it was times ``k``,
        and ``(1 - k) push/rate`` more, once the clock has halved, ``k = 2^-rate``.
        """
        late, bits, one = start.late(certificate, infinity.clock), certificate.bits, arb(1)
        for stated in infinity.steps:
            first = late.s
            late = copy.copy(late)
            late.step(stated, self.shared.clock, bits)
            yield LateBox(
                self.shared, late, first, late.s, late.energy(late.box.rates, stated), one
            )
        tail = infinity.tail
        late = copy.copy(late)
        lasting(late, tail, self.shared.clock, bits)
        e, rate, drift = (number(tail[key]) for key in ("e", "rate", "drift"))
        off, kept = arb(e), arb(2) ** -rate
        for k in range(HALVES + 1):
            stated = tail | {"drift": (drift * 4.0**-k).hex()}  # it is a part of s^2
            found = late.on(late.lens.centre, stated, off)
            until = late.s / 2 if k < HALVES else arb(0)
            yield LateBox(self.shared, late, late.s, until, late.energy(found, stated), one)
            feed = late.push(late.lens.centre) / rate
            off = off.min((kept * off + (1 - kept) * feed + late.jump).upper())
            late.g = late.g - (late.s**2 - until**2) / 2 * (late.basis.T @ found.a)
            late.s = until

    def _funnel(self, certificate: Certificate, proof: FunnelTail) -> Iterator[LateBox]:
        """Boxes of parts of the funnel, whose clock is ``zeta``."""
        entry = start.entered(certificate)
        flow: Any = certificate.flow()  # a SpanFlow
        pace = (1 + start.end_time(certificate)) * entry.zeta
        for x in funnel_states.followed(proof.funnel, flow.q - 1, entry, pace):
            w = np.full((2, flow.q), arb(0))
            for row, sign in enumerate((1, -1)):
                w[row, :2] = (1 + sign * x.b) / 2, sign * x.high / 2
            late = Late(w, x.high)
            late.rates(late.c, x.across, x.along, arb(0))
            yield LateBox(self.shared, late, x.high, x.low, x.energy, x.pace)

    def _stays(self, mark: Mark) -> bool:
        """Whether what a mark was read from goes on holding, or had ended before."""
        if mark.when == "until":  # it had: or it is not known when it will
            enclosure = self.shared.enclosure
            return bool(enclosure.frozen[mark.name]["t"] < self.boxes[0].time)
        return all(box.inside((mark.condition,), "state")[0] for box in self.boxes)
