"""The process in which the inspector's runs are computed, one at a time."""

from __future__ import annotations

import math
import multiprocessing
import shlex
import signal
import tempfile
import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any, NamedTuple

__all__ = ["Progress", "Runner", "Selection"]

#: Seconds after which a run that does not heed its cancellation is ended from outside.
GRACE = 10.0
#: Seconds between two messages about progress.
PAUSE = 0.1


class Selection(NamedTuple):
    """What a person has chosen: a system with the texts of the form, or a saved run."""

    system: str = ""
    texts: Mapping[str, str] = {}
    file: str = ""


@dataclass
class Progress:
    """How a run is getting on.

    Parameters
    ----------
    number : int
        Of the run.
    status : str
        ``idle``, ``running``, ``done``, ``failed`` or ``cancelled``.
    fraction : float
        Part that is done, in decades of time.
    message : str
        One line for a person.
    field : str or None
        What the message is about.
    html : str
        What is shown of the run, once it is done.
    """

    number: int = 0
    status: str = "idle"
    fraction: float = 0.0
    message: str = ""
    field: str | None = None
    html: str = ""


@dataclass
class Runner:
    """Gives selected runs to the process, one at a time, and knows the progress of the last."""

    progress: Progress = field(default_factory=Progress)
    _deadline: float = float("inf")

    def __post_init__(self) -> None:
        """Start the process; it imports what it needs before the first run is asked for."""
        context = multiprocessing.get_context("spawn")
        self._pipe, other = context.Pipe()
        self._stop = context.Event()
        self._process = context.Process(target=_serve, args=(other, self._stop), daemon=True)
        self._process.start()
        other.close()

    def start(self, selection: Selection) -> int:
        """Begin a run; only one goes on at a time.

        Returns
        -------
        int
            Its number, or 0 if another one is not done yet.
        """
        if self.poll().status == "running":
            return 0
        self._stop.clear()
        self._deadline = float("inf")
        self.progress = Progress(self.progress.number + 1, "running", message="preparing")
        self._pipe.send(selection)
        return self.progress.number

    def poll(self) -> Progress:
        """Receive what the process has sent since."""
        try:
            while self.progress.status == "running" and self._pipe.poll():
                update = self._pipe.recv()
                if update.get("fraction") == 1.0:  # it has stopped, and is checking
                    self._deadline = float("inf")
                for name, value in update.items():
                    setattr(self.progress, name, value)
        except (EOFError, OSError):
            self._renew("failed", "the process that computes has ended; try a smaller run")
        if self.progress.status == "running" and time.monotonic() > self._deadline:
            self._renew("cancelled", "cancelled")
        return self.progress

    def cancel(self) -> None:
        """Ask the run to stop; what it has computed by then is checked and shown.

        Asked again while it is checked, the process is ended after the grace.
        """
        if self.poll().status == "running":
            self._stop.set()
            self._deadline = time.monotonic() + GRACE
            self.progress.message = "stopping"

    def close(self) -> None:
        """End the process."""
        self._pipe.close()
        self._process.terminate()
        self._process.join()

    def _renew(self, status: str, message: str) -> None:
        self.close()
        self.progress.status, self.progress.message = status, message
        self.__post_init__()


def _serve(pipe: Connection, stop: Any) -> None:
    """Compute one selection after the other until the other end is closed."""
    # Ctrl-C in the terminal is for the server; runs are stopped by the event.
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    from flows.cli.process import start_fast

    start_fast()
    from flows.systems.registry import SYSTEMS

    tuple(SYSTEMS.values())  # imports them before the first run is asked for

    while True:
        try:
            pipe.send(_answer(pipe.recv(), pipe, stop))
        except (EOFError, BrokenPipeError):  # the server has ended
            return


def _answer(selection: Selection, pipe: Connection, stop: Any) -> dict[str, Any]:
    from flows.cli.inspector.form import field_of
    from flows.core.errors import InputError

    try:
        made = _html(selection, pipe, stop)
        return {"status": "done", "fraction": 1.0, "message": "done", "html": made}
    except KeyboardInterrupt:
        return {"status": "cancelled", "message": "cancelled"}
    except InputError as error:
        line = " ".join(str(error).split())
        return {"status": "failed", "message": line, "field": field_of(line)}
    except MemoryError:
        line = "expected a problem that fits into memory; choose a smaller n or d"
        return {"status": "failed", "message": line, "field": "n"}


def _html(selection: Selection, pipe: Connection, stop: Any) -> str:
    """Integrate or load, check, and make the part of the page that shows it."""
    from flows.cli.inspector import form
    from flows.cli.runs import integrated
    from flows.cli.subject import system_of
    from flows.pages import html
    from flows.pages.run_page import run_values
    from flows.runs.load import load

    last = 0.0

    def advance(t: float) -> None:
        nonlocal last
        if stop.is_set():
            raise KeyboardInterrupt
        if time.monotonic() - last > PAUSE:
            last = time.monotonic()
            fraction = math.log1p(t) / math.log1p(end)
            pipe.send({"fraction": fraction, "message": f"t = {t:.3g}"})

    if selection.file:
        run = load(selection.file)
        # The file of a system of one's own has no claims to check.
        verb = "check" if run.statements.claims else "inspect"
        command, title = f"popflow {verb} {shlex.quote(selection.file)}", selection.file
    else:
        with tempfile.TemporaryDirectory() as folder:
            options = form.parsed(selection.system, selection.texts, Path(folder))
            end = options["t_end"] or 1.0
            try:
                run = integrated(system_of(selection.system), options, advance)
            except ValueError as error:
                # A file stands for a field here.
                raise type(error)(str(error).replace(f"{folder}/", "")) from None
        command = form.command(selection.system, selection.texts)
        title = form.title(selection.system, selection.texts)
    pipe.send({"fraction": 1.0, "message": "checking the claims"})
    return html.render("inspected.html", command=command, title=title, **run_values(run))
