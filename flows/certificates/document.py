"""A file of a proof: JSON on one line, written whole or not at all."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any

from flows.core.files import check_output, write_file


def save(path: str | os.PathLike[str], data: dict[str, Any], force: bool) -> None:
    """Write what a proof states.

    Raises
    ------
    InputError
        If the file exists and ``force`` is not given.
    """
    check_output(os.fspath(path), force)
    text = json.dumps(data, separators=(",", ":"))
    write_file(os.fspath(path), lambda part: Path(part).write_text(text + "\n", "ascii"))
