"""Options that only the ReLU neuron has."""

from __future__ import annotations

from flows.core.options import Option

OPTIONS = (Option("teacher", "array", "Teacher v, .npy or JSON list", "FILE", "e_1"),)
