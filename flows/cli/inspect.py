"""``popflow inspect``: look at a run, on a page, in the terminal or in a picture."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any

import click

from flows.cli import arguments, examples, output
from flows.cli.command import FlowCommand
from flows.cli.options import flow_options, one_of
from flows.cli.runs import loaded, loaded_or_integrated, written_out
from flows.cli.subject import SavedRun, Subject, subject_of
from flows.core.errors import InputError

PICTURES, PAGE = (".png", ".pdf", ".svg"), ".html"


@click.command(cls=FlowCommand, epilog=examples.INSPECT)
@arguments.subject
@click.option(
    "--potential",
    metavar="NAME",
    shell_complete=arguments.potential_names,
    help="Show only this, in the terminal; its name in `popflow list SYSTEM`.",
)
@flow_options
@click.option(
    "--out",
    metavar="FILE",
    help="Write the run's page, .html; with --potential draw that, .png, .pdf or .svg.",
)
@click.option(
    "--port",
    type=click.IntRange(0, 65535),
    metavar="P",
    help="Serve the page here [default: 8765, or any free one].",
)
@click.option("--no-browser", is_flag=True, help="Do not open a browser.")
@arguments.force
def inspect(
    subject: str,
    potential: str | None,
    out: str | None,
    port: int | None,
    no_browser: bool,
    force: bool,
    **options: Any,
) -> int:
    """Look at a run, by default to t = 1e9.

    It serves a page on this machine, on which you choose the start and the end of a run, and see
    loss, exponent, potentials, claims, and the parameters in the plane. With --out it writes such a
    page of one run instead, and of a system of your own it opens one. With --potential it prints
    one potential and its derivative along the flow; with --out too, it draws them.

    Exit code 4 if the run stopped before its end.
    """
    from flows.core.files import check_output, write_file

    served = potential is None and out is None and subject_of(subject)
    if isinstance(served, SavedRun) or (served and served.shipped):
        return _serve(served, options, port, not no_browser)
    if served and port is not None:
        raise InputError("--port: the form is of shipped systems; leave it out, and a page opens")
    if potential is None:
        endings: tuple[str, ...] = (PAGE,)
        of = "the page of a run; name a --potential to draw"
    else:
        endings, of = PICTURES, "the figure of a potential"
    if out is not None and Path(out).suffix not in endings:
        raise InputError(f"{out}: expected a name ending in {', '.join(endings)} for {of}")
    check_output(out, force)
    result = loaded_or_integrated(
        subject,
        options,
        lambda stated: one_of("potential", potential, (p.name for p in stated.potentials)),
    )
    if potential is None:
        from flows.pages.inspect import inspect as write_inspection

        page = write_inspection(result, out=out, force=force, browser=not no_browser)
        output.wrote(str(page))
        return 0 if result.completed else 4
    if out is not None:
        from flows.pages.figure import potential_figure

        write_file(out, potential_figure(result, potential).savefig)
    output.show(output.course_table(result, potential))
    if any(map(math.isnan, result.potential(potential)[0].ravel().tolist())):
        click.echo(
            f"\n{potential} is nan where it is undefined, or where its error exceeds its value"
            f"; the run: {result.message}"
        )
    output.wrote(out)
    return 0 if result.completed else 4


def _serve(
    subject: Subject | SavedRun, options: dict[str, Any], port: int | None, browser: bool
) -> int:
    """Serve the inspector, beginning with what the command line says."""
    from flows.cli.inspector.server import serve
    from flows.cli.inspector.worker import Selection

    if isinstance(subject, SavedRun):
        selection, given = Selection(file=subject.path), {}
        loaded(subject, options)  # or its message, before a page is served
    else:
        selection, given = Selection(subject.name), written_out(subject, options)
    serve(selection, given, port=port, browser=browser, announce=click.echo)
    return 0
