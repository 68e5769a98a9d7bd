"""The derivations of two layers, in reading order."""

from __future__ import annotations

from symbolic.evidence.derivation import Document
from symbolic.lemmas.dual_kernel import ERF, QUADRATIC, RELU, derive_kernel, leaky_relu
from symbolic.systems.relu_neuron import calculus as neuron
from symbolic.systems.two_layer.calculus import (
    SLOPE,
    derive_balance,
    derive_hessian,
    derive_loss,
    derive_student,
)

__all__ = ["derive"]


def derive() -> Document:
    """Return every derivation of the system.

    Returns
    -------
    Document
        Kernels of ReLU, leaky ReLU, quadratic and erf; the loss as their sum; gradient by a student
        and by its output; Hessian, with a kink in the form that is regular at aligned and opposite
        neurons; what trained outputs conserve.
    """
    smooth = (QUADRATIC, ERF)
    return Document(
        "two_layer",
        (
            *(derive_kernel(s) for s in (RELU, leaky_relu(SLOPE), *smooth)),
            derive_loss(),
            *(derive_student(s) for s in (leaky_relu(SLOPE), *smooth)),
            neuron.derive_gradient(),
            neuron.derive_hessian(),
            *(derive_hessian(s) for s in smooth),
            derive_balance(),
        ),
    )
