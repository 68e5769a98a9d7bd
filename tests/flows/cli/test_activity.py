"""The line that says what a command does while it prints nothing."""

import io
import sys
import time

from flows.cli.activity import activity_line, doing
from symbolic.evidence import sampling

# Shorter than what a person waits, and long enough for a look.
SILENCE, LOOK, WAIT = 0.05, 0.01, 0.4


class Terminal(io.StringIO):
    def isatty(self):
        return True


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
        in_module("flows.solvers.stiff", lambda: time.sleep(WAIT))()
        print("popflow: done", file=sys.stderr)
    said = terminal.getvalue()
    assert "popflow: integrating the flow (" in said
    assert said.endswith("\r\x1b[Kpopflow: done\n")
    assert sys.stderr is terminal


def test_a_command_that_writes_needs_no_line(monkeypatch):
    """As beside a bar of progress, which writes all the time."""
    terminal = Terminal()
    monkeypatch.setattr(sys, "stderr", terminal)
    with activity_line(SILENCE, LOOK):
        until = time.monotonic() + WAIT
        while time.monotonic() < until:
            print(".", end="", file=sys.stderr)
            time.sleep(LOOK / 10)
    assert set(terminal.getvalue()) == {"."}


def test_no_line_is_written_where_nobody_looks(monkeypatch):
    monkeypatch.setattr(sys, "stderr", io.StringIO())
    with activity_line(SILENCE, LOOK):
        time.sleep(WAIT)
    assert sys.stderr.getvalue() == ""
