"""Options that score matching has beside those of every system."""

from __future__ import annotations

from flows.core.options import Option, Slider

OPTIONS = (
    Option(
        "noise_time",
        "number",
        "Time of the forward process at which scores are matched",
        "S",
        0.0,
        slider=Slider(0, 4, 0.1),
    ),
    Option("target", "array", "Target, .npy or JSON lists", "FILE", "0", "the data's mean"),
)
