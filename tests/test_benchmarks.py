"""Benchmarks start as their first lines say: with Python alone, from any folder."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from flows.cli.main import commands

FOLDER = Path(__file__).parents[1] / "benchmarks"
# Those that read the oracles of the tests, whose folders have the names of packages.
WITH_ORACLES = sorted(
    path.stem for path in FOLDER.glob("*.py") if "from oracles" in path.read_text()
)


@pytest.mark.parametrize("name", WITH_ORACLES)
def test_a_benchmark_that_reads_oracles_finds_the_packages_too(name, tmp_path):
    code = f"import sys; sys.path.insert(0, {str(FOLDER)!r}); import {name}, flows; flows.OwnSystem"
    environment = {key: value for key, value in os.environ.items() if key != "PYTHONPATH"}
    done = subprocess.run(
        [sys.executable, "-c", code], cwd=tmp_path, env=environment, capture_output=True, text=True
    )
    assert done.returncode == 0, done.stderr


def test_what_a_release_tries_has_each_verb_that_needs_no_browser():
    code = "import release; print(*{verb.split()[0] for verb in release.VERBS})"
    done = subprocess.run([sys.executable, "-c", code], cwd=FOLDER, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    slow = {"report", "sweep"}  # all systems, many runs
    assert set(done.stdout.split()) | slow == set(commands.commands)
