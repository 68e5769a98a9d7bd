"""The derivations of two layers, in reading order."""

from __future__ import annotations

from dataclasses import replace

from symbolic.evidence.derivation import Document
from symbolic.lemmas.activations import ERF, QUADRATIC, leaky_relu
from symbolic.lemmas.dual_kernel import derive_kernel
from symbolic.systems.relu_neuron import calculus as neuron
from symbolic.systems.two_layer.calculus import (
    SLOPE,
    derive_balance,
    derive_hessian,
    derive_loss,
    derive_one_teacher,
    derive_student,
)

__all__ = ["derive"]


def derive() -> Document:
    """Return every derivation of the system.

    Returns
    -------
    Document
        Kernels of leaky ReLU (ReLU at slope zero), quadratic and erf; the loss as their sum, and
        that of one ReLU neuron as a case of it; gradient by a student and by its output; Hessian,
        with a kink in the form that is regular at aligned and opposite neurons; what trained
        outputs conserve.
    """
    smooth = (QUADRATIC, ERF)
    return Document(
        "two_layer",
        (
            *(derive_kernel(s) for s in (leaky_relu(SLOPE), *smooth)),
            derive_loss(),
            derive_one_teacher(),
            *(derive_student(s) for s in (leaky_relu(SLOPE), *smooth)),
            replace(
                neuron.derive_gradient(),
                name="gradient of a pair with a kink",
                heading="The bend pulls a student by the angle to each other neuron",
            ),
            replace(
                neuron.derive_hessian(),
                name="Hessian of a pair with a kink",
                heading="The bend has a Hessian at aligned and opposite neurons",
            ),
            *(derive_hessian(s) for s in smooth),
            derive_balance(),
        ),
    )
