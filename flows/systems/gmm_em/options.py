"""Options that only gradient EM has."""

from __future__ import annotations

from flows.core.options import Option

OPTIONS = (
    Option(
        "weights",
        "numbers",
        "Weights of the components, of sum 1",
        "W1,W2,..",
        "equal",
        example="0.2,0.3,0.5",
    ),
)
