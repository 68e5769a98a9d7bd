"""The line that says what a command does while it prints nothing."""

import io
import sys
import time

from flows.cli import activity
from flows.cli.activity import activity_line, doing
from symbolic.evidence import sampling

# Shorter than what a person waits, and long enough for a look.
SILENCE, LOOK, WAIT = 0.05, 0.01, 0.4
# Seconds that a busy machine may need for what takes a twentieth.
PATIENCE = 60.0


class Terminal(io.StringIO):
    def isatty(self):
        return True


def shown(terminal):
    """Be silent until the line appears, which a busy machine may delay."""
    until = time.monotonic() + PATIENCE
    while not terminal.getvalue() and time.monotonic() < until:
        time.sleep(LOOK)


def in_module(name, function):
    """Call a function from a module of this name."""
    space = {"__name__": name, "function": function}
    exec("def call():\n    return function()", space)
    return space["call"]


def test_the_innermost_module_that_has_words_says_what_is_done():
    frame = sys._getframe
    inner = in_module("numba.core.compiler", lambda: doing(frame()))
    assert in_module("flows.runs.check", inner)() == "compiling"
    assert in_module("flows.runs.check", lambda: doing(frame()))() == "checking the claims"
    assert in_module(sampling.__name__, lambda: doing(frame()))().startswith("proving the steps")
    assert doing(None) == "working"


def test_a_silent_command_says_what_it_does_and_the_line_is_taken_away(monkeypatch):
    terminal = Terminal()
    monkeypatch.setattr(sys, "stderr", terminal)
    with activity_line(SILENCE, LOOK):
        in_module("flows.solvers.stiff", lambda: shown(terminal))()
        print("popflow: done", file=sys.stderr)
    said = terminal.getvalue()
    assert "popflow: integrating the flow (" in said
    assert said.endswith("\r\x1b[Kpopflow: done\n")
    assert sys.stderr is terminal


class Clock:
    """Time that moves when the test says so: a machine under load must not matter."""

    def __init__(self):
        self.now = 0.0

    def monotonic(self):
        return self.now


def test_a_command_that_writes_needs_no_line(monkeypatch):
    """As beside a bar of progress, which writes all the time."""
    terminal, clock = Terminal(), Clock()
    monkeypatch.setattr(activity, "time", clock)
    line = activity._Line(terminal, SILENCE)
    err = activity._Watched(terminal, line)
    for _ in range(int(WAIT / LOOK)):
        err.write(".")
        clock.now += SILENCE / 2
        line.show("integrating the flow")
    assert set(terminal.getvalue()) == {"."}
    clock.now += SILENCE
    line.show("integrating the flow")
    assert terminal.getvalue().endswith("popflow: integrating the flow (1 s)")


def test_no_line_is_written_where_nobody_looks(monkeypatch):
    monkeypatch.setattr(sys, "stderr", io.StringIO())
    with activity_line(SILENCE, LOOK):
        time.sleep(WAIT)
    assert sys.stderr.getvalue() == ""
