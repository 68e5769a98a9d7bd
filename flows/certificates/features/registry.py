"""The kind of box of each system that can be certified."""

from __future__ import annotations

from flows.certificates.boxes import Box, Enclosure
from flows.certificates.certificate import Certificate
from flows.certificates.features.gmm_em import MeanBox
from flows.certificates.features.matrix_factorization import LayerBox
from flows.certificates.features.neurons_left import Joined
from flows.certificates.features.own import OwnBox
from flows.certificates.features.relu_neuron import NeuronBox
from flows.certificates.tail.at_zero import AtZero
from flows.systems.registry import POLYNOMIAL

BOXES: dict[str, type[Box]] = {
    "relu_neuron": NeuronBox,
    "matrix_factorization": LayerBox,
    "gmm_em": MeanBox,
    POLYNOMIAL: OwnBox,
}


def enclosure(certificate: Certificate) -> Enclosure:
    """Enclosure of a certificate, with the boxes of its system."""
    if isinstance(certificate.infinity, AtZero):
        return Joined(certificate)
    return Enclosure(certificate, BOXES.get(certificate.system.name, OwnBox))
