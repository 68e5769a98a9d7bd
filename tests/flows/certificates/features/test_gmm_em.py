import numpy as np
from flint import arb
from oracles.certified.means import certificate

import flows
from flows.certificates.features.registry import enclosure
from flows.core.balls import precision

NAMES = (
    "loss",
    "loss_dot",
    "gradient_norm",
    "norm",
    "norm_dot",
    "fisher",
    "spread",
    "mean_norm",
    "squared_norm_sum",
    "squared_norm_sum_dot",
    "max_norm",
    "norm_sum",
)
# Of quantities along a run, relative to the largest, beside the width of the balls.
RUN = 1e-8


def test_quantities_on_a_box_contain_those_of_a_run():
    made = certificate("three", 12)
    times = np.geomspace(1e-2, made.t_end, 30)
    run = flows.integrate(
        made.system, made.start, t_end=made.t_end, t_eval=times.tolist(), rtol=1e-11
    )
    quantities = run.quantities
    with precision(made.precision):
        enclosed = enclosure(made)
        for row in (3, 20, 29):
            index = made.locate(float(run.t[row]))
            span = made.span(index)
            s = float(((arb(float(run.t[row])).log1p() - span.centre) / span.half).mid())
            box = enclosed.box(index, max(s - 1e-3, -1.0), min(s + 1e-3, 1.0))
            for name in NAMES:
                found = box[name] if isinstance(box[name], list) else [box[name]]
                true = np.atleast_1d(quantities[name][row])
                assert len(found) == len(true)
                slack = RUN * np.abs(true).max()
                assert all(
                    abs(b.mid() - x) <= b.rad() + slack for b, x in zip(found, true, strict=True)
                ), name
                assert not all(
                    b.contains(1.1 * x + 1e-9) for b, x in zip(found, true, strict=True)
                ), name
