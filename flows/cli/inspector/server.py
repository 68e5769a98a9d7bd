"""The inspector: a local web page on which a person chooses a run and looks at it.

It listens on the loopback address only, and answers only pages that it has itself delivered.
"""

from __future__ import annotations

import asyncio
import json
import signal
import socket
import webbrowser
from collections.abc import Callable
from dataclasses import asdict
from typing import Any

from tornado.httpserver import HTTPServer
from tornado.web import Application, HTTPError, RequestHandler

from flows.cli.inspector.form import fields
from flows.cli.inspector.worker import Runner, Selection
from flows.core.errors import InputError
from flows.core.options import Options
from flows.pages import html
from flows.systems.registry import SYSTEMS

__all__ = ["HOST", "application", "serve"]

HOST = "127.0.0.1"
#: The usual port; another one where it is taken.
PORT = 8765
#: A start of several thousand neurons, as text.
MAX_BYTES = 8 * 2**20


def serve(
    selection: Selection,
    options: Options,
    *,
    port: int | None = None,
    browser: bool = True,
    announce: Callable[[str], Any] = print,
) -> None:
    """Serve the inspector until Ctrl-C.

    Parameters
    ----------
    selection : Selection
        The first run: it is begun at once.
    options : mapping
        Options of the command line, for the form.
    port : int, optional
        Where to listen on 127.0.0.1; 0 for any free port. By default 8765, or any free one.
    browser : bool
        Open a browser.
    announce : callable
        Called with the address of the page.

    Raises
    ------
    InputError
        If the port cannot be used.
    """
    found = _listen(port)
    number = found.getsockname()[1]
    runner = Runner()
    signal.signal(signal.SIGTERM, signal.default_int_handler)  # ends as Ctrl-C does
    try:
        asyncio.run(
            _serve(
                application(runner, selection, options, number), found, browser, announce, number
            )
        )
    except KeyboardInterrupt:
        announce("stopped")
    finally:
        runner.close()


async def _serve(
    made: Application,
    found: socket.socket,
    browser: bool,
    announce: Callable[[str], Any],
    number: int,
) -> None:
    server = HTTPServer(made, max_buffer_size=MAX_BYTES)
    server.add_socket(found)
    address = f"http://{HOST}:{number}/"
    announce(f"{address}   (Ctrl-C ends it)")
    if browser:
        webbrowser.open(address)
    await asyncio.Event().wait()


def _listen(port: int | None) -> socket.socket:
    """Socket on the loopback address alone."""
    try:
        found = socket.create_server((HOST, PORT if port is None else port))
        found.setblocking(False)
        return found
    except OSError as error:
        if port is None:
            return _listen(0)
        raise InputError(
            f"--port: expected a port that is free, got {port} ({error.strerror}); choose another"
        ) from None


def application(runner: Runner, selection: Selection, options: Options, port: int) -> Application:
    """Make the application: the page, and runs.

    Parameters
    ----------
    runner : Runner
        Computes.
    selection : Selection
        The first run.
    options : mapping
        Options of the command line.
    port : int
        At which it is reached: requests by another name are refused.
    """
    shared = {
        "runner": runner,
        "selection": selection,
        "given": options,
        "hosts": {f"{name}:{port}" for name in (HOST, "localhost")},
    }
    return Application([("/", _Page, shared), ("/run", _Run, shared)])


class _Local(RequestHandler):
    """Refuses what another site's page sends here."""

    def initialize(
        self, runner: Runner, selection: Selection, given: Options, hosts: set[str]
    ) -> None:
        self.runner, self.selection, self.given, self.hosts = runner, selection, given, hosts

    def prepare(self) -> None:
        origin = self.request.headers.get("Origin")
        foreign = origin is not None and origin not in {f"http://{host}" for host in self.hosts}
        if self.request.host not in self.hosts or foreign:
            raise HTTPError(403)

    def set_default_headers(self) -> None:
        self.set_header("Cache-Control", "no-store")
        self.set_header("X-Frame-Options", "DENY")
        self.set_header("X-Content-Type-Options", "nosniff")
        self.set_header("Referrer-Policy", "no-referrer")


class _Page(_Local):
    def get(self) -> None:
        self.finish(
            html.render(
                "inspector.html",
                systems=list(SYSTEMS),
                system=self.selection.system or next(iter(SYSTEMS)),
                fields=fields(self.given),
                file=self.selection.file,
                bokeh=html.bokeh(),
            )
        )


class _Run(_Local):
    def get(self) -> None:
        """How the run is getting on."""
        self.finish(asdict(self.runner.poll()))

    def post(self) -> None:
        """Begin a run: ``{"system": name, "texts": {field: text}}``, or the file's if empty."""
        # A form of another site cannot send JSON without asking first.
        if self.request.headers.get("Content-Type", "").split(";")[0] != "application/json":
            raise HTTPError(415)
        number = self.runner.start(_selection(self.request.body, self.selection))
        if not number:
            self.set_status(409)
        self.finish({"number": number})

    def delete(self) -> None:
        """Cancel the run."""
        self.runner.cancel()
        self.finish(asdict(self.runner.progress))


def _selection(body: bytes, first: Selection) -> Selection:
    """Selection that a request makes; a file is only the one that the command line named."""
    try:
        asked = json.loads(body)
        system, texts = asked.get("system", ""), asked.get("texts", {})
        good = isinstance(system, str) and all(isinstance(text, str) for text in texts.values())
    except (ValueError, AttributeError, RecursionError):  # no JSON, of another layout, too deep
        good = False
    if not good or (system and system not in SYSTEMS):
        raise HTTPError(400, reason="expected JSON with a system and texts of its fields")
    return Selection(system, texts) if system else Selection(file=first.file)
