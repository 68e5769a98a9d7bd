"""Exact mathematics in SymPy: expressions, their derivations, and their compiled form."""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from symbolic.derivation import Document

__all__ = ["SYSTEMS", "derive"]

SYSTEMS = ("relu_neuron",)


def derive(name: str) -> Document:
    """Derive loss, gradient, Hessian and flow of a system.

    Parameters
    ----------
    name : str
        One of `SYSTEMS`.

    Returns
    -------
    Document
        Its `derivations` are ordered steps; `verify()` adds the evidence of each.

    Raises
    ------
    ValueError
        If the system is not known.

    Examples
    --------
    >>> derive("relu_neuron").derivations[0].name
    'dual kernel of the ReLU activation'
    """
    if name not in SYSTEMS:
        raise ValueError(f"unknown system {name!r}; known: {', '.join(SYSTEMS)}")
    document: Document = import_module(f"symbolic.{name}").derive()
    return document
