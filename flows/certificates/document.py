"""The file of a proof: JSON on one line, written whole or not at all."""

from __future__ import annotations

import abc
import json
import os
from pathlib import Path
from typing import Any

from flows.core.files import check_output, write_file


class Document(abc.ABC):
    """A proof that can be written for :func:`flows.verify`, which reads nothing else of it."""

    @abc.abstractmethod
    def to_json(self) -> dict[str, Any]:
        """Return what the file holds: exact numbers only."""

    def save(self, path: str | os.PathLike[str], force: bool = False) -> None:
        """Write the file that :func:`flows.verify` and ``popflow verify`` check.

        Parameters
        ----------
        path : path
            Where.
        force : bool
            Whether a file there is replaced.

        Raises
        ------
        InputError
            If the file exists and ``force`` is not given.
        """
        check_output(os.fspath(path), force)
        text = json.dumps(self.to_json(), separators=(",", ":"))
        write_file(os.fspath(path), lambda part: Path(part).write_text(text + "\n", "ascii"))
