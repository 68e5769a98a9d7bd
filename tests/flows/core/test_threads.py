"""Turns of threads: one at a time, but for long work where no lock is held."""

from __future__ import annotations

import contextlib
from concurrent.futures import ThreadPoolExecutor
from threading import Barrier, BrokenBarrierError, Lock

import pytest

from flows.core.threads import in_turn, out_of_turn, taking_turns

# Two threads that are let meet do so in far less; those that are not wait as long.
MEETS, WAITS = 10.0, 0.2


def met(*, turn: Lock, takes: bool, leaves: bool, seconds: float) -> bool:
    """Whether two threads are ever in the same place at the same time."""
    place = Barrier(2, timeout=seconds)

    def work(_: int) -> bool:
        allowed = taking_turns() if takes else contextlib.nullcontext()
        with in_turn(turn), allowed, out_of_turn() if leaves else contextlib.nullcontext():
            try:
                place.wait()
            except BrokenBarrierError:
                return False
        return True

    with ThreadPoolExecutor(2) as pool:
        return all(pool.map(work, range(2)))


def test_threads_meet_out_of_their_turns_only() -> None:
    turn = Lock()
    assert met(turn=turn, takes=True, leaves=True, seconds=MEETS)
    assert not met(turn=turn, takes=True, leaves=False, seconds=WAITS)
    assert not turn.locked()


def test_a_turn_is_kept_where_another_lock_may_be_held() -> None:
    """Else one thread would wait for its turn with the lock, the other one for the lock."""
    assert not met(turn=Lock(), takes=False, leaves=True, seconds=WAITS)


def test_a_turn_ends_with_its_work_however_that_ends() -> None:
    turn = Lock()
    with pytest.raises(ZeroDivisionError), in_turn(turn), taking_turns(), out_of_turn():
        assert not turn.locked()
        raise ZeroDivisionError
    assert not turn.locked()


def test_without_turns_nothing_waits() -> None:
    with taking_turns(), out_of_turn():
        pass
