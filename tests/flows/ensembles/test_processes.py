"""Processes of a plain script or of standard input, without a main guard; and when they begin."""

import os
import signal
import subprocess
import sys
import time
import weakref

import numpy as np
import pytest

import flows
from flows.ensembles import memory, workers
from flows.ensembles.workers import AHEAD, Workers, finished

PLAIN = """
import flows

def main():
    found = flows.integrate_ensemble(
        flows.ReLUNeuron(n=1, d=2), flows.Law(size=3), 10.0, rtol=1e-6, method="LSODA", workers=2,
        chunk_size=1,
    )
    print(*found.status)

main()
"""
# A call takes so many seconds, in which a thread of this process could do another.
BRIEF = 0.05
# Seconds until processes must have begun, and until they must have ended, on a busy machine.
PATIENCE = 60.0


def result(*command, **options):
    return subprocess.run(
        [sys.executable, "-W", "error", *command],
        capture_output=True,
        text=True,
        check=False,
        **options,
    )


def test_a_script_runs_without_a_main_guard(tmp_path):
    """The harder case: processes that import the script anew would run it anew."""
    path = tmp_path / "script.py"
    path.write_text(PLAIN)
    done = result(path)
    assert (done.returncode, done.stdout.split(), done.stderr) == (0, ["completed"] * 3, "")


def test_a_script_that_no_process_can_read_runs():
    done = result("-", input=PLAIN)
    assert (done.returncode, done.stdout.split(), done.stderr) == (0, ["completed"] * 3, "")


def where(k):
    time.sleep(BRIEF)
    return k, os.getpid()


def places(hands, count=12):
    """Processes in which calls were done, and whether each was done once."""
    found = dict(finished(where, [(k,) for k in range(count)], hands))
    assert {k: found[k][0] for k in range(count)} == {k: k for k in range(count)}
    return [found[k][1] for k in range(count)]


@pytest.mark.parametrize("here", [1, 2])
def test_processes_take_what_would_take_this_one_long(here, monkeypatch):
    monkeypatch.setattr(workers, "LONG", BRIEF)
    taken = places(Workers(here, 2))
    assert taken[0] == os.getpid() and taken[-1] != os.getpid()
    # Brief as they are, none is worth it by default; and one alone never leaves.
    monkeypatch.undo()
    assert set(places(Workers(here, 2))) == {os.getpid()}
    monkeypatch.setattr(workers, "LONG", BRIEF)
    assert set(places(Workers(here))) == {os.getpid()}


def test_threads_that_keep_all_cores_busy_go_on(monkeypatch):
    monkeypatch.setattr(workers, "LONG", BRIEF)
    monkeypatch.setattr(workers, "BUSY", 0.0)
    assert set(places(Workers(2, 2))) == {os.getpid()}


@pytest.mark.parametrize("hands", [Workers(1), Workers(2), Workers(0, 2)])
def test_nothing_keeps_what_has_come_out(hands):
    """Many members need no more memory than few, where their rows are written to a disk."""
    kept, most = [], 0
    for _, rows in finished(np.full, [((5,), k) for k in range(24)], hands):
        kept.append(weakref.ref(rows))
        del rows
        most = max(most, sum(one() is not None for one in kept))
    assert len(kept) == 24 and most <= AHEAD * hands.most + 1


def test_by_default_runs_that_take_long_are_in_processes_and_their_rows_the_same(monkeypatch):
    system, law = flows.ReLUNeuron(n=1, d=2), flows.Law(size=6)
    options = {"t_end": 10.0, "rtol": 1e-6, "method": "LSODA", "chunk_size": 1}
    alone = flows.integrate_ensemble(system, law, **options, workers=1)
    begun, pool = [], workers.Pool

    def counted(count):
        begun.append(count)
        return pool(count)

    monkeypatch.setattr(workers, "Pool", counted)
    monkeypatch.setattr("flows.ensembles.run.cores", lambda: 2)
    flows.integrate_ensemble(system, law, **options)
    assert begun == []
    monkeypatch.setattr(workers, "LONG", 0.0)
    found = flows.integrate_ensemble(system, law, **options)
    assert begun == [2]
    assert all(found[name].tobytes() == alone[name].tobytes() for name in ("loss", "steps"))
    # Where there is no memory for processes, this one does all.
    monkeypatch.setattr(memory, "PROCESS", memory.available())
    again = flows.integrate_ensemble(system, law, **options)
    assert begun == [2] and np.array_equal(again["loss"], alone["loss"])


SLOW = """
import os, time
from flows.ensembles.workers import AHEAD, Workers, finished

def slow(k):
    os.write(1, f"{os.getpid()}\\n".encode())  # at once, whatever the other writes
    time.sleep(1000)

try:
    list(finished(slow, [(k,) for k in range(4)], Workers(0, 2)))
except KeyboardInterrupt:
    print("interrupted")
"""


GONE = """
import os, signal, time
from flows.ensembles.workers import Workers, finished

def gone(k):
    os.kill(os.getpid(), signal.SIGINT if k == 0 else signal.SIGKILL if k == 1 else 0)
    return k

try:
    print(sorted((k, type(r).__name__) for k, r in finished(gone, CALLS, Workers(0, 2))))
except KeyboardInterrupt:
    print("interrupted")
"""


@pytest.mark.parametrize(
    ("calls", "said"),
    [("[(0,)]", "interrupted\n"), ("[(1,), (2,)]", "[(0, 'TerminatedWorkerError'), (1, 'int')]\n")],
)
def test_workers_that_ctrl_c_has_ended_end_the_run_whoever_sees_it_first(calls, said):
    program = GONE.replace("CALLS", calls)
    run = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, timeout=PATIENCE
    )
    assert (run.returncode, run.stdout) == (0, said)


def test_ctrl_c_ends_processes_at_once():
    with subprocess.Popen(
        [sys.executable, "-W", "error", "-c", SLOW],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
    ) as run:
        assert run.stdout is not None
        pids = [int(run.stdout.readline()) for _ in range(2)]
        os.killpg(run.pid, signal.SIGINT)
        try:
            out, err = run.communicate(timeout=PATIENCE)
        finally:  # it does not wait for what does not end
            run.kill()
    assert (run.returncode, out, err) == (0, "interrupted\n", "")
    for pid in pids:
        with pytest.raises(ProcessLookupError):
            os.kill(pid, 0)
