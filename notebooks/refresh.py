"""Execute the notebooks and write them with their outputs, the same for the same numbers.

Each notebook is a script in the percent format, which one edits and whose changes one reads, and an
`.ipynb` of the same cells with the outputs of its last execution.

    python notebooks/refresh.py [NAME ...]
"""

from __future__ import annotations

import os
import sys
import tempfile
from pathlib import Path
from typing import Any

import jupytext
import nbformat
from nbclient import NotebookClient

HERE = Path(__file__).parent
NAMES = tuple(sorted(path.stem for path in HERE.glob("[A-Z]*.py")))
TIMEOUT = 600  # seconds for a cell, far above what any takes
KERNEL = {"display_name": "Python 3", "language": "python", "name": "python3"}


def script(name: str) -> Any:
    """Return the notebook of a script, without outputs."""
    notebook = jupytext.read(HERE / f"{name}.py")
    notebook.metadata = {"kernelspec": KERNEL, "language_info": {"name": "python"}}
    for number, cell in enumerate(notebook.cells):
        cell.id = f"cell-{number}"  # the same at every execution
        cell.metadata = {}
    return notebook


def stored(name: str) -> Any:
    """Return the notebook as it was written last."""
    return nbformat.read(HERE / f"{name}.ipynb", as_version=4)


def execute(name: str) -> Any:
    """Run all cells of a script in a fresh kernel.

    Parameters
    ----------
    name : str
        Which notebook.

    Returns
    -------
    NotebookNode
        With outputs; a cell that fails raises its error.
    """
    notebook = script(name)
    with tempfile.TemporaryDirectory() as folder:
        settings = {"IPYTHONDIR": folder, "JUPYTER_RUNTIME_DIR": folder, "PYTHONHASHSEED": "0"}
        client = NotebookClient(
            notebook,
            timeout=TIMEOUT,
            kernel_name=KERNEL["name"],
            record_timing=False,
            coalesce_streams=True,
            resources={"metadata": {"path": folder}},
        )
        client.execute(env={**os.environ, **settings})
    for cell in notebook.cells:
        cell.metadata = {}
        for output in cell.get("outputs", ()):
            output.pop("metadata", None)
            if output.output_type in ("display_data", "execute_result"):
                output["metadata"] = {}
    return notebook


def main(names: list[str]) -> int:
    """Execute and write notebooks, all of them by default."""
    for name in names or NAMES:
        nbformat.write(execute(name), HERE / f"{name}.ipynb")
        print(HERE / f"{name}.ipynb")
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
