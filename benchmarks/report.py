"""Seconds that the main job takes: the report of all systems beside their derivations alone.

    python benchmarks/report.py

The derivations are verified one after the other in one process; then `popflow report --out DIR` in
a process of its own, which uses every core. Each is a wall-clock time of one run; beside it stands
the processor time, which a loaded machine changes less.
"""

from __future__ import annotations

import resource
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from machine import describe

ROOT = Path(__file__).resolve().parents[1]
DERIVE = """
import symbolic
from flows.systems.registry import SYSTEMS
for name in SYSTEMS:
    symbolic.derive(name).verify()
"""


def processor() -> float:
    """Processor seconds of all processes that were started and have ended."""
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    return used.ru_utime + used.ru_stime


def derivations() -> float:
    """Seconds to verify the four derivations, one after the other."""
    begun = time.perf_counter()
    subprocess.run([sys.executable, "-c", DERIVE], cwd=ROOT, check=True)
    return time.perf_counter() - begun


def report() -> list[tuple[str, float]]:
    """Each page with the seconds after which it can be opened."""
    with tempfile.TemporaryDirectory() as folder:
        begun = time.perf_counter()
        command = [sys.executable, "-u", "-m", "flows", "report", "--out", folder]
        with subprocess.Popen(command, cwd=ROOT, text=True, stdout=subprocess.PIPE) as process:
            assert process.stdout is not None
            pages = [(Path(x.strip()).stem, time.perf_counter() - begun) for x in process.stdout]
        if process.returncode:
            raise SystemExit(f"popflow report failed with exit code {process.returncode}")
    return pages


def main() -> None:
    """Print both, and their ratio."""
    print(describe())
    alone = derivations()
    before = processor()
    print(f"the derivations, one after the other: {alone:.1f} s, {before:.1f} s of a processor")
    pages = report()
    for name, seconds in pages:
        print(f"{name}: {seconds:.1f} s")
    spent = processor() - before
    print(f"report / derivations: {pages[-1][1] / alone:.2f}; {spent:.1f} s of a processor")


if __name__ == "__main__":
    main()
