"""A limit on processor time."""

import gc
import signal
import subprocess
import sys
import threading
import time
import weakref

import pytest

from symbolic.evidence.time_limit import AGAIN, OutOfTime, time_limit

# Long enough for a loaded machine to enter the block, short enough to wait for.
SHORT, LONG = 0.05, 60.0
# Busy processes beside the test, and how often it is tried: a timer of processor time is looked at
# when the system's clock ticks, and beside others nearly every second try sees no tick.
LOAD, TRIES = 4, 6


def busy():
    while True:
        sum(range(1000))


def test_computation_that_takes_too_long_is_stopped():
    with pytest.raises(OutOfTime), time_limit(SHORT):
        busy()


def test_handler_of_ordinary_exceptions_does_not_swallow_the_stop():
    with pytest.raises(OutOfTime), time_limit(SHORT):
        try:
            busy()
        except Exception:
            pytest.fail("swallowed")


def test_inner_limit_ends_no_later_than_the_outer():
    with pytest.raises(OutOfTime), time_limit(SHORT), time_limit(LONG):
        busy()


def test_outer_limit_goes_on_after_an_inner_one():
    with pytest.raises(OutOfTime), time_limit(4 * SHORT):
        with pytest.raises(OutOfTime), time_limit(SHORT):
            busy()
        busy()


def test_nothing_is_left_behind():
    before = signal.getsignal(signal.SIGALRM)
    with time_limit(LONG), time_limit(LONG):
        time.sleep(0)
    assert signal.getsignal(signal.SIGALRM) is before
    assert signal.getitimer(signal.ITIMER_REAL) == (0.0, 0.0)


@pytest.mark.parametrize("way", ["__del__", "finalize"])
def test_stop_waits_until_an_object_is_cleared_up(way):
    # Python would print the exception and go on: the limit would be gone, with a warning instead.
    def spin():
        begin = time.thread_time()
        while time.thread_time() < begin + 2 * SHORT:
            pass
        spun.append(True)

    class Thing:
        if way == "__del__":

            def __del__(self):
                spin()

    spun = []
    with pytest.raises(OutOfTime), time_limit(SHORT):
        thing = Thing()
        if way == "finalize":
            weakref.finalize(thing, spin)
        del thing
        busy()
    assert spun == [True]


def test_time_in_which_others_have_the_processor_does_not_count():
    # What a loaded machine does to a computation: it stands still for much longer than its limit.
    with time_limit(SHORT):
        time.sleep(4 * SHORT)
    begin = time.thread_time()
    with pytest.raises(OutOfTime), time_limit(SHORT):
        time.sleep(4 * SHORT)
        busy()
    assert time.thread_time() - begin >= SHORT


def test_a_loaded_machine_does_not_delay_a_stop():
    load = [subprocess.Popen([sys.executable, "-c", "while True: pass"]) for _ in range(LOAD)]
    try:
        for _ in range(TRIES):
            begin = time.thread_time()
            with pytest.raises(OutOfTime), time_limit(SHORT):
                while time.thread_time() < begin + 4 * SHORT:
                    pass
    finally:
        for process in load:
            process.kill()
            process.wait()


def test_an_alarm_of_someone_else_rings_after_the_block():
    rung = []
    before = signal.signal(signal.SIGALRM, lambda *_: rung.append(True))
    try:
        signal.setitimer(signal.ITIMER_REAL, SHORT)
        with time_limit(LONG):
            time.sleep(2 * SHORT)
        time.sleep(SHORT)
        assert rung == [True]
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, before)


def test_time_of_another_thread_of_the_process_does_not_count():
    over = threading.Event()

    def work():
        while not over.is_set():
            sum(range(1000))

    thread = threading.Thread(target=work)
    thread.start()
    begin = time.thread_time()
    try:
        with pytest.raises(OutOfTime), time_limit(4 * SHORT):
            busy()
        assert time.thread_time() - begin >= 4 * SHORT
    finally:
        over.set()
        thread.join()


def test_another_thread_runs_without_a_limit():
    done = []

    def work():
        with time_limit(SHORT):
            time.sleep(2 * SHORT)
            done.append(True)

    thread = threading.Thread(target=work)
    thread.start()
    thread.join()
    assert done == [True]


def test_stop_waits_until_a_callback_of_a_weak_reference_in_a_collection_has_ended():
    class Ending:
        pass

    def spin(_):
        begin = time.thread_time()
        while time.thread_time() < begin + 4 * SHORT:
            pass
        ended.append(True)

    ended, thing = [], Ending()
    thing.itself = thing  # only a collection finds its end
    watched = weakref.ref(thing, spin)
    with pytest.raises(OutOfTime), time_limit(SHORT):
        del thing
        gc.collect()
        busy()
    assert watched() is None and ended == [True]


def test_stop_waits_until_what_is_called_at_a_collection_has_ended():
    ended = []

    def spin(phase, info):
        begin = time.thread_time()
        while time.thread_time() < begin + 2 * SHORT:
            pass
        ended.append(phase)

    gc.callbacks.append(spin)
    try:
        with pytest.raises(OutOfTime), time_limit(SHORT):
            gc.collect()
            begin = time.thread_time()
            while time.thread_time() < begin + 20 * SHORT:
                pass
    finally:
        gc.callbacks.remove(spin)
    assert ended[:2] == ["start", "stop"]


@pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")
def test_a_stop_that_a_callback_loses_comes_again():
    class Ending:
        pass

    def spin(_):
        begin = time.thread_time()
        while time.thread_time() < begin + 4 * SHORT:
            pass
        ended.append(True)

    ended, thing = [], Ending()
    watched = weakref.ref(thing, spin)
    with pytest.raises(OutOfTime), time_limit(SHORT):
        del thing
        begin = time.thread_time()
        while time.thread_time() < begin + 4 * AGAIN:
            pass
    assert watched() is None and not ended  # it was stopped there first


@pytest.mark.parametrize("name", ["_on_type_disposal", "on_disposal"])
def test_what_numba_calls_where_a_type_ends_is_not_stopped(name):
    ended = []

    def ending(_):
        begin = time.thread_time()
        while time.thread_time() < begin + 4 * SHORT:
            pass
        ended.append(True)

    class Ending:
        pass

    ending.__code__ = ending.__code__.replace(co_name=name)
    thing = Ending()
    watched = weakref.ref(thing, ending)
    with pytest.raises(OutOfTime), time_limit(SHORT):
        del thing
        begin = time.thread_time()
        while time.thread_time() < begin + 4 * AGAIN:
            pass
    assert watched() is None and ended == [True]
