"""Boxes of a certificate about times of a run, beside what the run has there."""

import numpy as np
from flint import arb

import flows
from flows.certificates.features.registry import enclosure
from flows.core.balls import precision


def boxes(made, widths):
    """Quantities of a run, three of its times, and boxes about each, so wide in their segment."""
    times = np.geomspace(1e-2, made.t_end, 30)
    run = flows.integrate(
        made.system, made.start, t_end=made.t_end, t_eval=times.tolist(), rtol=1e-11
    )
    with precision(made.precision):
        enclosed = enclosure(made)
        for row in (3, 20, 29):
            index = made.locate(float(run.t[row]))
            span = made.span(index)
            s = float(((arb(float(run.t[row])).log1p() - span.centre) / span.half).mid())
            for width in widths:
                box = enclosed.box(index, max(s - width, -1.0), min(s + width, 1.0))
                yield run.quantities, row, box
