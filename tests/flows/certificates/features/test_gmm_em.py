import numpy as np
from oracles.certified.boxes import boxes
from oracles.certified.means import certificate

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
    for quantities, row, box in boxes(certificate("three", 12), [1e-3]):
        for name in NAMES:
            found = box[name] if isinstance(box[name], list) else [box[name]]
            true = np.atleast_1d(quantities[name][row])
            assert len(found) == len(true)
            slack = RUN * np.abs(true).max()
            assert all(
                abs(b.mid() - x) <= b.rad() + slack for b, x in zip(found, true, strict=True)
            ), name
            assert not all(b.contains(1.1 * x + 1e-9) for b, x in zip(found, true, strict=True)), (
                name
            )
