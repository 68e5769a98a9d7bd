"""Exact mathematics in SymPy: expressions, their derivations, and their compiled form."""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from symbolic.evidence.derivation import Document
    from symbolic.language.expectation import Expectation

__all__ = ["DOCUMENTS", "Expectation", "derive"]

#: What can be derived, and the module that does it: systems, and lemmas that stand alone.
DOCUMENTS = {
    "relu_neuron": "symbolic.systems.relu_neuron.document",
    "gmm_em": "symbolic.systems.gmm_em",
    "score_matching": "symbolic.systems.score_matching.document",
    "matrix_factorization": "symbolic.systems.matrix_factorization.document",
    "activations": "symbolic.lemmas.activation_flow",
    "gaussian": "symbolic.lemmas.gaussian",
    "mixture": "symbolic.lemmas.mixture",
    "mixture_frame": "symbolic.lemmas.mixture_frame",
}


def derive(name: str) -> Document:
    """Derive loss, gradient, flow and lemmas of a system.

    Parameters
    ----------
    name : str
        One of `DOCUMENTS`.

    Returns
    -------
    Document
        Its `derivations` are ordered steps; `verify()` adds the evidence of each.

    Raises
    ------
    ValueError
        If the name is not known.

    Examples
    --------
    >>> derive("relu_neuron").derivations[0].name
    'dual kernel of the ReLU activation'
    """
    if name not in DOCUMENTS:
        raise ValueError(f"unknown system {name!r}; known: {', '.join(DOCUMENTS)}")
    document: Document = import_module(DOCUMENTS[name]).derive()
    return document


def __getattr__(name: str) -> Any:
    """Import `Expectation`, with SymPy, on first use."""
    if name != "Expectation":
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return import_module("symbolic.language.expectation").Expectation
