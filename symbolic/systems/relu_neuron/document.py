"""The derivations of the single ReLU neuron, in reading order."""

from __future__ import annotations

from symbolic.evidence.derivation import Document
from symbolic.lemmas.activations import RELU
from symbolic.lemmas.dual_kernel import derive_kernel
from symbolic.systems.relu_neuron.bounds import derive_distance_vs_loss, derive_transverse_bound
from symbolic.systems.relu_neuron.calculus import derive_gradient, derive_hessian, derive_loss
from symbolic.systems.relu_neuron.decay import (
    derive_descent,
    derive_distance_decay,
    derive_lower_rate,
)
from symbolic.systems.relu_neuron.flow import derive_flow, derive_mirror_pair, derive_separation
from symbolic.systems.relu_neuron.persistence import derive_persistence, derive_reach
from symbolic.systems.relu_neuron.phase_2 import derive_phase_2
from symbolic.systems.relu_neuron.phase_3 import (
    derive_hessian_bound,
    derive_movement,
    derive_sizes,
    derive_upper_rate,
)
from symbolic.systems.relu_neuron.toy import derive_equal, derive_mirror_bounds, derive_parallel

__all__ = ["derive"]


def derive() -> Document:
    """Return every derivation of the system.

    Returns
    -------
    Document
        Kernel, loss, gradient, Hessian, flow, Lemmas 17 and 30, the toy examples; what phases 2 and
        3 of the upper bound rest on; the chain to the lower bound with its constants; the descent
        identity.
    """
    return Document(
        "relu_neuron",
        (
            derive_kernel(RELU),
            derive_loss(),
            derive_gradient(),
            derive_hessian(),
            derive_flow(),
            derive_separation(),
            derive_persistence(),
            derive_mirror_pair(),
            derive_mirror_bounds(),
            derive_parallel(),
            derive_equal(),
            derive_phase_2(),
            derive_transverse_bound(),
            derive_sizes(),
            derive_movement(),
            derive_upper_rate(),
            derive_hessian_bound(),
            derive_distance_decay(),
            derive_reach(),
            derive_distance_vs_loss(),
            derive_lower_rate(),
            derive_descent(),
        ),
    )
