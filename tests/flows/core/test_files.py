"""Files that are written whole or not at all, also on a disk that is full."""

import errno
import subprocess
import sys

import pytest

from flows.core.errors import InputError
from flows.core.files import check_output, checked_path, write_file

LONG = "x" * 5000


def text(content):
    def write(part):
        with open(part, "w", encoding="ascii") as file:
            file.write(content)

    return write


def test_a_file_is_replaced_whole(tmp_path):
    path = tmp_path / "file.txt"
    write_file(path, text("one"))
    write_file(path, text("two"), durable=True)
    assert path.read_text() == "two"
    assert list(tmp_path.iterdir()) == [path]


def test_a_disk_that_is_full_is_one_line_and_the_old_file_stays(tmp_path, monkeypatch):
    def full(descriptor):
        raise OSError(errno.ENOSPC, "No space left on device")

    path = tmp_path / "file.txt"
    write_file(path, text("one"), durable=True)
    monkeypatch.setattr("os.fsync", full)
    with pytest.raises(InputError, match=r"cannot be written \(No space left on device\)"):
        write_file(path, text("two"), durable=True)
    assert path.read_text() == "one"
    assert list(tmp_path.iterdir()) == [path]


# A limit of the size of a file fails as a full disk does: in the middle of a write.
FULL = """
import resource, sys
import numpy as np
import flows
from flows.core.errors import InputError
from flows.ensembles import store

run = flows.integrate(flows.ReLUNeuron(n=1, d=2), [[1.0, 0.5]], 10.0, rtol=1e-6)
resource.setrlimit(resource.RLIMIT_FSIZE, (BYTES, BYTES))
for name in ("one.nc", "two.nc"):
    try:
        print(run.save(f"{sys.argv[1]}/{name}").name)
    except InputError as problem:
        print(problem)
try:
    store.save(store.chunk_path(store.Path(sys.argv[1]), 0), {"loss": np.ones((99, 99))})
except InputError as problem:
    print(problem)
"""


@pytest.mark.parametrize(("limit", "refused"), [(4096, True), (2**30, False)])
def test_a_write_that_the_disk_refuses_leaves_the_process_alive(tmp_path, limit, refused):
    script = FULL.replace("BYTES", str(limit))
    done = subprocess.run(
        [sys.executable, "-c", script, str(tmp_path)], capture_output=True, text=True, check=False
    )
    assert (done.returncode, done.stderr) == (0, "")
    if refused:
        lines = done.stdout.splitlines()
        assert len(lines) == 3
        assert all("cannot be written (File too large); choose another" in line for line in lines)
        assert list(tmp_path.iterdir()) == []
    else:
        assert done.stdout.split() == ["one.nc", "two.nc"]
        assert len(list(tmp_path.iterdir())) == 3


@pytest.mark.parametrize(
    ("path", "word"), [("a\0b", "NUL"), (LONG, "too long"), (None, "a path"), (3.5, "a path")]
)
def test_what_cannot_be_a_path_is_one_line(path, word):
    with pytest.raises(InputError, match=word) as caught:
        checked_path(path)
    assert len(str(caught.value)) < 200
    assert checked_path("missing").name == "missing"


@pytest.mark.parametrize("path", ["a\0b", LONG])
def test_an_output_that_cannot_be_a_path_is_refused_before_the_work(path):
    with pytest.raises(InputError):
        check_output(path, force=False)
