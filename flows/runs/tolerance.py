"""Error that a run's tolerance leaves in its quantities, where its method gives one."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from flows.core.arrays import Array

__all__ = ["ERROR_FACTOR", "below_digits", "is_exact", "left_by_steps"]

# Local tolerances are not global errors. Past saddles and over twelve decades runs stay within this
# factor of the tolerance (auto, Rodas5P: 59 at worst), and those of methods of several steps,
# where they are chosen by name, within these (LSODA: 265, BDF: 986, CVODE: 2307 at worst;
# benchmarks/methods.py).
ERROR_FACTOR = 100.0
ERROR_FACTORS = {"LSODA": 1e3, "BDF": 3e3, "CVODE": 1e4}
# Absolute error of what the method reference computes, in units of the largest component.
FIFTY_DIGITS = 1e-47


def is_exact(provenance: Mapping[str, Any]) -> bool:
    """Whether the steps of a run had many digits."""
    return bool(provenance.get("method") == "reference")


def left_by_steps(provenance: Mapping[str, Any], rtol: float) -> float:
    """Relative error that the tolerance leaves where the flow magnifies no errors of steps."""
    asked = provenance.get("request", {}).get("atol")
    factor = ERROR_FACTORS.get(provenance.get("method", ""), ERROR_FACTOR)
    return factor * max(rtol, asked or 0.0)


def below_digits(loss: Array) -> Array:
    """Relative error of fifty digits in lengths, which the loss is about the square of."""
    loss = np.abs(loss)
    largest = np.maximum(loss.max(axis=-1, keepdims=True), np.finfo(float).tiny)
    length = np.sqrt(loss / largest)
    return FIFTY_DIGITS / np.maximum(length, np.finfo(float).tiny)
