import numpy as np
import pytest
from flint import arb
from oracles.certified.layers import conserved, decaying

import flows
from flows.certificates.features.registry import enclosure
from flows.core.balls import precision

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
    made = made()
    times_ = np.geomspace(1e-2, made.t_end, 30)
    run = flows.integrate(
        made.system, made.start, t_end=made.t_end, t_eval=times_.tolist(), rtol=1e-11
    )
    quantities = run.quantities
    with precision(made.precision):
        enclosed = enclosure(made)
        for row in (3, 20, 29):
            index = made.locate(float(run.t[row]))
            span = made.span(index)
            s = float(((arb(float(run.t[row])).log1p() - span.centre) / span.half).mid())
            for width in (1e-3, 0.1):
                box = enclosed.box(index, max(s - width, -1.0), min(s + width, 1.0))
                for name in NAMES:
                    balls = box[name] if isinstance(box[name], list) else [box[name]]
                    true = np.atleast_1d(quantities[name][row])
                    assert len(balls) == len(true)
                    slack = RUN * np.abs(true).max() + LAYERS
                    assert all(
                        abs(b.mid() - x) <= b.rad() + slack
                        for b, x in zip(balls, true, strict=True)
                    ), name
            assert not box["loss"].contains(2 * quantities["loss"][row])
