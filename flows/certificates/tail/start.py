"""The end of a finite certificate in late variables."""

from __future__ import annotations

import functools
from typing import Any

import numpy as np
from flint import arb

from flows.certificates.certificate import Certificate
from flows.certificates.tail.box import UNIT, middle, norm
from flows.certificates.tail.late_flow import LateFlow, Vector
from flows.certificates.tail.tail import Late
from flows.certificates.verifier.funnel import Begin, begin
from flows.core.balls import dot

Ball = Any  # flint.arb


def rows_at_end(certificate: Certificate) -> list[Vector]:
    """Neurons at the end, in the certificate's frame, of a teacher of length one."""
    flow: Any = certificate.flow()  # a SpanFlow
    last = certificate.pieces[-1]
    unit = np.eye(len(last.rows), dtype=int)
    x = [
        arb((sum(row), -certificate.bits)) + UNIT * last.off_at_end(form[None], certificate.bits)
        for row, form in zip(last.rows, unit, strict=True)
    ]
    return [[v / flow.teacher[0] for v in x[k : k + flow.q]] for k in range(0, len(x), flow.q)]


def end_time(certificate: Certificate) -> Ball:
    """Time at which the last piece ends: a little beyond the certificate's end."""
    return arb((certificate.pieces[-1].end, -certificate.bits)).expm1()


def late_flow(certificate: Certificate) -> LateFlow:
    """Equations of the certificate's neurons."""
    flow: Any = certificate.flow()  # a SpanFlow
    return LateFlow(flow.size // flow.q, flow.q - 1)


def late(certificate: Certificate, t0: float) -> Late:
    """The end of a certificate, for a clock ``s = 1/(t0 + t)``."""
    rows, flow = rows_at_end(certificate), late_flow(certificate)
    s = 1 / (arb(t0) + end_time(certificate))
    h, z = [row[0] for row in rows], [row[1:] for row in rows]
    rho = [sum(column, arb(0)) / (s * s) for column in zip(*z, strict=True)]
    sigma = (sum(h, arb(0)) - 1) / (s * s)
    c = [x / s for x in flow.project(z)]
    shape = middle(c)
    error = norm([x - y for x, y in zip(c, shape, strict=True)])
    g = flow.project([[x] for x in h])
    return Late(flow, s, shape, error, g, norm(rho), abs(sigma).upper())


def entered(certificate: Certificate) -> Begin:
    """The end of a certificate; what is off of sums and differences is less than of each neuron."""
    flow: Any = certificate.flow()  # a SpanFlow
    last = certificate.pieces[-1]
    rows = np.array([arb((sum(row), -certificate.bits)) for row in last.rows])
    off = functools.partial(last.off_at_end, bits=certificate.bits)
    return begin(rows.reshape(-1, flow.q), off, flow.teacher[0])


def clock(certificate: Certificate, shape: Vector) -> float:
    """``t0`` for which a limiting shape fits the end best: it removes a shift of time."""
    flow = late_flow(certificate)
    z = middle(flow.project([row[1:] for row in rows_at_end(certificate)]))
    return float(dot(shape, shape) / dot(z, shape) - end_time(certificate).mid())
