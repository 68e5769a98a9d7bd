"""Mutation score of the files that decide: break them a little, and see whether their tests notice.

Run

    python tests/mutants/run.py [--sample N] [FILE ...]

Cosmic Ray changes one operator, number or condition at a time, in a copy of the tree, and runs the
tests of that file; `mutants.toml` beside this script names files, tests and kinds of change. Of
each file the same N mutants are tried each time (0: all). It prints the score and each survivor.
Mutants that change nothing that can be seen are listed there with the reason; they are tried like
the others, and do not count. Exits with 1 if the score is below the least one that is stated.
"""

from __future__ import annotations

import argparse
import ast
import contextlib
import hashlib
import os
import re
import shlex
import shutil
import subprocess
import sys
import tempfile
import time
import tomllib
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

ROOT = Path(__file__).parents[2]
SETTINGS = tomllib.loads(Path(__file__).with_name("mutants.toml").read_text())


class Outcome(NamedTuple):
    """What became of one mutant."""

    place: str
    changed: str
    survived: bool
    reason: str  # why it cannot be seen; empty if it can


def annotations(source: str) -> list[tuple[tuple[int, int], tuple[int, int]]]:
    """Where a file states types: nothing runs there."""
    found = [
        part
        for node in ast.walk(ast.parse(source))
        for part in (getattr(node, "annotation", None), getattr(node, "returns", None))
        if isinstance(part, ast.expr)
    ]
    return [((x.lineno, x.col_offset), (x.end_lineno or 0, x.end_col_offset or 0)) for x in found]


def sampled(items: Any, source: str, count: int) -> set[str]:
    """Jobs to do: the kinds of change of the settings, in an order that is mixed but fixed."""
    kinds = re.compile("|".join(f"core/{kind}" for kind in SETTINGS["kinds"]))
    types = annotations(source)
    ranked = []
    for item in items:
        (m,) = item.mutations
        if kinds.fullmatch(m.operator_name) and not any(a <= m.start_pos < b for a, b in types):
            text = f"{m.module_path} {m.operator_name} {m.occurrence}"
            ranked.append((hashlib.sha256(text.encode()).hexdigest(), item.job_id))
    return {job for _, job in sorted(ranked)[: count or None]}


def equivalent(file: str, changed: str) -> str:
    """Why a changed line cannot be told from the old one; empty if it can."""

    def plain(line: str) -> str:  # Cosmic Ray puts a space before some numbers
        return "".join(line.split())

    listed = SETTINGS["equivalent"].get(file, [])
    seen = (e["why"] for e in listed if plain(changed) in map(plain, e["lines"]))
    return next(seen, "")


def outcomes(file: str, count: int, session: Path) -> Iterator[Outcome]:
    """Try the mutants of one file, in the folder of the copy."""
    from cosmic_ray.commands import execute, init
    from cosmic_ray.config import ConfigDict
    from cosmic_ray.work_db import WorkDB, use_db
    from cosmic_ray.work_item import WorkerOutcome, WorkResult

    # No cache: a file that changes within a second would be taken for the old one.
    pytest = [sys.executable, "-B", "-m", "pytest", "-qx", "-p", "no:cacheprovider"]
    command = [*pytest, *SETTINGS["tests"][file]]
    config = ConfigDict({"test-command": shlex.join(command), "timeout": SETTINGS["timeout"]})
    config["distributor"] = {"name": "local"}
    if subprocess.run(command, stdout=subprocess.DEVNULL).returncode:
        sys.exit(f"{file}: its tests fail, or there are none: {shlex.join(command)}")
    with use_db(session, WorkDB.Mode.create) as work:
        init([Path(file)], work, {})
        chosen = sampled(work.work_items, Path(file).read_text(), count)
        others = [item.job_id for item in work.work_items if item.job_id not in chosen]
        work.set_multiple_results(others, WorkResult(worker_outcome=WorkerOutcome.SKIPPED))
        execute(work, config)
        for item, result in work.completed_work_items:
            # Cosmic Ray cannot change all that it wants to, such as an exception with a dot.
            if result.worker_outcome is WorkerOutcome.NORMAL:
                lines = [x[1:].strip() for x in result.diff.splitlines() if x.startswith("+")]
                place = f"{file}:{item.mutations[0].start_pos[0]}"
                changed = " ".join(lines[1:]).strip()
                yield Outcome(place, changed, not result.is_killed, equivalent(file, changed))


def copied(folder: Path) -> None:
    """Copy what tests need: the tree that one works on is never touched."""
    for name in SETTINGS["needed"]:
        if (ROOT / name).is_dir():
            shutil.copytree(
                ROOT / name, folder / name, ignore=shutil.ignore_patterns("__pycache__")
            )
        else:
            shutil.copy2(ROOT / name, folder / name)


def main() -> int:
    """Print a line for each file, the survivors and the score."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("files", nargs="*", default=list(SETTINGS["tests"]), help="all by default")
    parser.add_argument("--sample", type=int, default=SETTINGS["sample"], help="0: all mutants")
    options = parser.parse_args()
    tried: list[Outcome] = []
    with tempfile.TemporaryDirectory() as name, contextlib.chdir(name):
        copied(folder := Path(name))
        os.environ["PYTHONPATH"] = os.pathsep.join((name, str(folder / "tests")))
        for place, file in enumerate(options.files):
            begun = time.perf_counter()
            found = list(outcomes(file, options.sample, folder / f"{place}.sqlite"))
            counted = [x for x in found if not x.reason]
            killed = sum(not x.survived for x in counted)
            print(
                f"{file}: {killed} of {len(counted)} killed, {len(found) - len(counted)}"
                f" equivalent, {time.perf_counter() - begun:.0f} s",
                flush=True,
            )
            for x in sorted(found):
                if x.survived and not x.reason:
                    print(f"  survived  {x.place}  {x.changed}", flush=True)
                if x.reason and not x.survived:
                    print(f"  killed, though listed as equivalent  {x.place}  {x.changed}")
            tried += found
    counted = [x for x in tried if not x.reason]
    score = 100 * sum(not x.survived for x in counted) / len(counted)
    print(f"score: {score:.1f} % of {len(counted)}; {len(tried) - len(counted)} equivalent")
    return int(score < SETTINGS["least"])


if __name__ == "__main__":
    sys.exit(main())
