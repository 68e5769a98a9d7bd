"""Processes of a plain script: with a main guard they work, without it there is one line."""

import subprocess
import sys

import pytest

GUARDED = """
import flows

def main():
    found = flows.integrate_ensemble(
        flows.ReLUNeuron(n=1, d=2), flows.Law(size=3), 10.0, rtol=1e-6, method="LSODA", workers=2,
        chunk_size=1,
    )
    print(*found.status)

if __name__ == "__main__":
    main()
"""
PLAIN = GUARDED.replace('if __name__ == "__main__":\n    main()', "main()")
LINE = "symbolic.language.errors.InputError: "
# The lines of a Python traceback around the one that counts.
BRIEF = 3000


def result(*command, **options):
    return subprocess.run(
        [sys.executable, *command], capture_output=True, text=True, check=False, **options
    )


@pytest.fixture
def script(tmp_path):
    def write(text):
        path = tmp_path / "script.py"
        path.write_text(text)
        return path

    return write


def test_a_script_with_a_main_guard_runs(script):
    done = result(script(GUARDED))
    assert (done.returncode, done.stdout.split(), done.stderr) == (0, ["completed"] * 3, "")


def test_a_script_without_a_main_guard_ends_with_one_line(script):
    done = result(script(PLAIN))
    assert (done.returncode, done.stdout) == (1, "")
    assert done.stderr.count(LINE) == 1 and len(done.stderr) < BRIEF
    assert 'if __name__ == "__main__":' in done.stderr.splitlines()[-1]
    assert "bootstrapping" not in done.stderr


def test_threads_of_compiled_steps_need_no_main_guard(script):
    done = result(script(PLAIN.replace('"LSODA"', '"auto"')))
    assert (done.returncode, done.stdout.split(), done.stderr) == (0, ["completed"] * 3, "")


def test_a_script_that_no_process_can_read_ends_with_one_line_of_ours():
    done = result("-", input=GUARDED)
    assert (done.returncode, done.stdout) == (1, "")
    assert done.stderr.count(LINE) == 1
    assert "workers=1" in done.stderr.splitlines()[-1]
