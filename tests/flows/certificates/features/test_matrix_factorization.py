import numpy as np
import pytest
from oracles.certified.boxes import boxes
from oracles.certified.layers import conserved, decaying

# Of quantities along a run, relative to their size and of layers in doubles, beside the balls.
RUN, LAYERS = 1e-8, 1e-11
NAMES = (
    "loss",
    "loss_dot",
    "gradient_norm",
    "residual",
    "residual_dot",
    "layer_defect",
    "layer_defect_dot",
    "imbalance",
    "imbalance_dot",
    "layer_square",
    "layer_square_dot",
    "fit_speed",
    "balance_speed",
    "singular_value",
    "layer_value",
    "determinant",
    "orientation",
    "skew",
    "skew_dot",
    "even",
    "even_dot",
    "main",
    "loss_fit",
    "loss_fit_dot",
    "loss_balance",
    "loss_balance_dot",
    "skew_error",
    "skew_error_dot",
    "main_term",
    "main_term_dot",
    "layer_min",
    "layer_max",
    "value_max",
    "value_min",
    "defect",
    "defect_dot",
)


@pytest.mark.parametrize("made", [conserved, decaying])
def test_quantities_on_a_box_contain_those_of_a_run(made):
    for quantities, row, box in boxes(made(), [1e-3, 0.1]):
        for name in NAMES:
            balls = box[name] if isinstance(box[name], list) else [box[name]]
            true = np.atleast_1d(quantities[name][row])
            assert len(balls) == len(true)
            slack = RUN * np.abs(true).max() + LAYERS
            assert all(
                abs(b.mid() - x) <= b.rad() + slack for b, x in zip(balls, true, strict=True)
            ), name
        assert not box["loss"].contains(2 * quantities["loss"][row])
