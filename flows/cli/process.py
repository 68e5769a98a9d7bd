"""Settings of a process that runs one command."""

from __future__ import annotations

import gc
import os


def start_fast() -> None:
    """Set up a process that runs one command."""
    # JAX, if a method asks for it, reads this when it is imported: 32 bits are of no use here.
    os.environ.setdefault("JAX_ENABLE_X64", "1")
    # Imports and compilation make millions of objects that live on: looking at them takes 0.2 s.
    gc.set_threshold(1_000_000, 50, 100)
