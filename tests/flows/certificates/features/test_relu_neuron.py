import numpy as np
import pytest
from flint import arb

import flows
from flows.certificates.features.registry import enclosure
from flows.core.balls import precision

END = 8.0
# Of quantities along a run of doubles, beside the width of the balls.
ROUNDED = 1e-9
TIMES = np.geomspace(1e-2, END, 400)  # rows of the run that is compared
NAMES = (
    "loss",
    "loss_dot",
    "gradient_norm",
    "rho",
    "rho_dot",
    "residual_norm",
    "h",
    "h_dot",
    "zeta",
    "zeta_dot",
    "norm",
    "norm_dot",
    "theta",
    "theta_dot",
    "distance",
    "distance_dot",
    "kappa",
    "kappa_dot",
    "theta_pair",
    "pairwise_distance",
    "pairwise_distance_dot",
    "kappa_max",
    "angle_max",
    "residual_projection",
    "residual_projection_dot",
    "angle_potential",
    "angle_potential_dot",
    "balance",
    "sigma",
    "z_min",
    "z_max",
)


@pytest.fixture(scope="module")
def made():
    system = flows.ReLUNeuron(n=2, d=3)
    return flows.certify(system, system.initial(0.1, 2), END, digits=10)


@pytest.fixture(scope="module")
def run(made):
    return flows.integrate(made.system, made.start, t_end=END, t_eval=TIMES.tolist(), rtol=1e-12)


def test_quantities_on_a_box_contain_those_of_a_run(made, run):
    quantities = run.quantities
    with precision(made.precision):
        enclosed = enclosure(made)
        for row in (10, 200, 399):
            index = made.locate(float(run.t[row]))
            span = made.span(index)
            s = float(((arb(float(run.t[row])).log1p() - span.centre) / span.half).mid())
            box = enclosed.box(index, max(s - 1e-3, -1.0), min(s + 1e-3, 1.0))
            beyond = enclosed.box(len(made.pieces) - 1, 0.9, 1.0) if row < 399 else None
            for name in NAMES:
                balls = box[name] if isinstance(box[name], list) else [box[name]]
                true = np.atleast_1d(quantities[name][row])
                assert len(balls) == len(true)
                assert all(
                    abs(b.mid() - x) <= b.rad() + ROUNDED * abs(x)
                    for b, x in zip(balls, true, strict=True)
                ), name
            if beyond is not None:
                assert not beyond["loss"].contains(quantities["loss"][row])
