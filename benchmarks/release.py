"""Try what is installed: the lines of README, and each verb once.

Run by `make release` with the Python of a clean environment, outside the sources.
"""

from __future__ import annotations

import contextlib
import io
import re
import subprocess
import sys
from pathlib import Path

import flows

VERBS = (
    "list",
    "list relu_neuron",
    "derive gaussian",
    "run relu_neuron --t-end 1e6 --out run.nc --force",
    "check run.nc",
    "law gmm_em --n 2 --d 1",
    "find (a**2+b**2)**2/4 --rate 2",
    "prove gmm_em",
    "stationary relu_neuron --n 1 --d 2",
    "certify gmm_em --n 2 --d 1 --t-end 10 --digits 8 --out cert.json --force",
    "verify cert.json",
    "ensemble relu_neuron --n 1 --d 2 --size 2 --t-end 1",
    "new quartic --force",
    "doctor quartic.py",
    "inspect run.nc --potential norms --out norms.png --force",
)


def main(readme: str) -> int:
    """Return 0 if all of it works."""
    place = Path(flows.__file__).resolve()
    if not place.is_relative_to(Path(sys.prefix).resolve()):
        print(f"expected popflow of this environment, got {place}")
        return 1
    text = Path(readme).read_text("utf-8")
    found = re.search(r"```python\n(.*?)```\s+```\n(.*?)```", text, re.DOTALL)
    assert found is not None
    printed = io.StringIO()
    with contextlib.redirect_stdout(printed):
        exec(compile(found[1], "README.md", "exec"), {})
    if printed.getvalue() != found[2]:
        print(f"README: expected\n{found[2]}\ngot\n{printed.getvalue()}")
        return 1
    for verb in VERBS:
        done = subprocess.run(
            [Path(sys.executable).with_name("popflow"), *verb.split()],
            capture_output=True,
            text=True,
        )
        print(f"{'works' if done.returncode == 0 else 'FAILS'}: popflow {verb}")
        if done.returncode != 0:
            print(done.stderr)
            return 1
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1]))
