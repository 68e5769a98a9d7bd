"""The end of a finite certificate in late variables."""

from __future__ import annotations

from typing import Any

import numpy as np
from flint import arb

from flows.certificates.certificate import Certificate
from flows.certificates.tail.late import Late
from flows.certificates.verifier.ellipsoid import middles, off_at_end
from flows.certificates.verifier.funnel import Begin, begin
from flows.certificates.verifier.verify import end_of

Ball = Any  # flint.arb


def rows_at_end(certificate: Certificate) -> Any:
    """Neurons at the end, in the certificate's frame."""
    flow: Any = certificate.flow()  # a SpanFlow
    like = np.empty((flow.size // flow.q, flow.q))
    return end_of(certificate.pieces[-1].to_json(), certificate.bits, like)


def end_time(certificate: Certificate) -> Ball:
    """Time at which the last piece ends: a little beyond the certificate's end."""
    return arb((certificate.pieces[-1].end, -certificate.bits)).expm1()


def late(certificate: Certificate, t0: float) -> Late:
    """The end of a certificate, for a clock ``s = 1/(t0 + t)``."""
    flow: Any = certificate.flow()  # a SpanFlow
    s = 1 / (arb(t0) + end_time(certificate))
    return Late(rows_at_end(certificate) / flow.teacher[0], s)


def entered(certificate: Certificate) -> Begin:
    """The end of a certificate; what is off of sums and differences is less than of each neuron."""
    flow: Any = certificate.flow()  # a SpanFlow
    piece, bits = certificate.pieces[-1].to_json(), certificate.bits
    rows = rows_at_end(certificate)
    return begin(rows, lambda forms: off_at_end(piece, forms, bits), flow.teacher[0])


def clock(certificate: Certificate, shape: Any) -> float:
    """``t0`` for which a limiting shape fits the end best: it removes a shift of time."""
    z = middles(late(certificate, 0.0).c) / float(end_time(certificate).mid())
    c = middles(shape)
    return float((c * c).sum() / (z * c).sum() - end_time(certificate).mid())
