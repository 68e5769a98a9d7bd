"""A line on a terminal that names the present work of a command while it prints nothing."""

from __future__ import annotations

import contextlib
import sys
import threading
import time
from collections.abc import Iterator
from types import FrameType
from typing import Any

__all__ = ["activity_line", "doing"]

#: Seconds of silence after which the line appears, and between two looks.
SILENCE = 2.0
LOOK = 0.5
#: What each module does, in words. The innermost one that the main thread is in decides.
WORDS = {
    "numba": "compiling",
    "llvmlite": "compiling",
    "jax": "compiling",
    "symbolic.language.lower": "writing expressions as programs",
    "symbolic.theorem": "proving theorems by rules",
    "symbolic.asymptotics": "deriving the law at late times",
    "symbolic.evidence": "proving the steps of the derivation",
    "symbolic.systems": "deriving the loss and its gradient",
    "symbolic": "deriving",
    "potentials.search": "looking for a potential",
    "potentials": "reading the claims",
    "flows.solvers": "integrating the flow",
    "flows.runs.check": "checking the claims",
    "flows.runs.comparison": "checking the claims",
    "flows.runs.quantities": "evaluating potentials",
    "flows.runs.late_law": "deriving the law at late times",
    "flows.runs.find": "looking for a potential",
    "flows.runs.integrate": "integrating the flow",
    "flows.runs.load": "reading the file",
    "flows.ensembles": "integrating many flows",
    "flows.certificates.stationary": "looking for a critical point",
    "flows.certificates.verifier": "verifying the certificate",
    "flows.certificates": "proving",
    "flows.pages.report": "making the pages: deriving, integrating, checking, drawing",
    "flows.pages": "drawing",
    "flows.cli.inspector": "",  # it serves until it is stopped, and has said where
}


def doing(frame: FrameType | None) -> str:
    """Say what a thread does, from the modules of its stack.

    Parameters
    ----------
    frame : frame or None
        Its innermost frame.

    Returns
    -------
    str
        The words of the innermost module that has some; "working" where none has, and nothing
        where the line is not to appear.
    """
    while frame is not None:
        name = str(frame.f_globals.get("__name__", ""))
        while name:
            if name in WORDS:
                return WORDS[name]
            name = name.rpartition(".")[0]
        frame = frame.f_back
    return "working"


class _Watched:
    """A stream that takes the line away before anything else is written.

    Parameters
    ----------
    stream : file
        Where it goes.
    line : _Line
        What is taken away.
    """

    def __init__(self, stream: Any, line: _Line) -> None:
        self._stream, self._line = stream, line

    def write(self, text: str) -> int:
        """Write, after the line is removed."""
        self._line.clear()
        return int(self._stream.write(text))

    def __getattr__(self, name: str) -> Any:
        return getattr(self._stream, name)


class _Line:
    """The line itself: shown after a silence, and overwritten by what follows."""

    def __init__(self, stream: Any, silence: float) -> None:
        self.stream, self.silence = stream, silence
        self.begin = self.last = time.monotonic()
        self.lock = threading.Lock()
        self.shown = False

    def clear(self) -> None:
        """Take it away: somebody else writes."""
        with self.lock:
            self.last = time.monotonic()
            if self.shown:
                self.stream.write("\r\x1b[K")
                self.stream.flush()
                self.shown = False

    def show(self, words: str) -> None:
        """Show what is being done, and for how long, if nothing was written for a while."""
        with self.lock:
            now = time.monotonic()
            if words and now - self.last >= self.silence:
                self.stream.write(f"\r\x1b[Kpopflow: {words} ({now - self.begin:.0f} s)")
                self.stream.flush()
                self.shown = True


@contextlib.contextmanager
def activity_line(silence: float = SILENCE, look: float = LOOK) -> Iterator[None]:
    """Show on standard error what is being done, where that is a terminal.

    A bar of progress writes all the time, and so the line never appears beside one.

    Parameters
    ----------
    silence : float
        Seconds without output after which the line appears.
    look : float
        Seconds between two looks at what is being done.
    """
    if not sys.stderr.isatty():
        yield
        return
    line, done = _Line(sys.stderr, silence), threading.Event()
    worker = threading.get_ident()

    def watch() -> None:
        while not done.wait(look):
            line.show(doing(sys._current_frames().get(worker)))

    watcher = threading.Thread(target=watch, daemon=True)
    watcher.start()
    out: Any = _Watched(sys.stdout, line)
    err: Any = _Watched(sys.stderr, line)
    try:
        with contextlib.redirect_stdout(out), contextlib.redirect_stderr(err):
            yield
    finally:
        done.set()
        watcher.join()
        line.clear()
