"""Files of theorems that are about no single flow: critical points, late states, potentials."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any, NamedTuple

import click

from flows.cli import output
from flows.core.errors import InputError

if TYPE_CHECKING:
    from flows.certificates.verifier.potential import Fall

__all__ = ["checked"]


class _Kind(NamedTuple):
    """What a file is about, and how the theorem is shown.

    Parameters
    ----------
    about : str
        In words.
    name : str
        Of the theorem in a verification.
    show : callable
        Parts to print.
    data : callable
        Plain data, also of no theorem.
    of_system : bool
        Whether it is about a system that has a name.
    """

    about: str
    name: str
    show: Callable[[Any], list[Any]]
    data: Callable[[Any], Mapping[str, Any]]
    of_system: bool = True


def checked(path: str, claim: str | None, options: Mapping[str, Any], as_json: bool) -> int | None:
    """Check a file of one of these kinds and print its theorem; None for another file.

    Returns
    -------
    int or None
        The exit code.

    Raises
    ------
    InputError
        With a claim, or options of a flow.
    """
    kind = _kind(path)
    if kind is None:
        return None
    if claim is not None or any(value is not None for value in options.values()):
        raise InputError(f"{path} is about {kind.about}: no option of a flow fits; leave it out")
    from flows.certificates.verifier.verify import verify

    found = verify(path)
    theorem = getattr(found, kind.name)
    if as_json:
        summary = {"accepted": found.accepted, "refused": found.refused or None}
        about = {"system": found.system} if kind.of_system and found.accepted else {}
        output.print_json({"checked": {**summary, **about, **kind.data(theorem)}})
    elif theorem is None:
        click.echo(f"REFUSED: {found.refused}")
    else:
        output.show(*kind.show(theorem))
    return int(not found.accepted)


def _kind(path: str) -> _Kind | None:
    """The kind that a file says it is of."""
    from flows.certificates.verifier import late_states, near, potential, stationary
    from flows.core.files import begins_with

    if begins_with(path, stationary.FORMAT):
        from flows.cli.stationary import point_json, verified

        return _Kind("a critical point", "point", lambda found: [verified(found)], point_json)
    if begins_with(path, late_states.FORMAT):
        from flows.cli.late_states import late_json
        from flows.cli.late_states import verified as tables

        return _Kind("a set of states", "states", tables, late_json)
    if begins_with(path, potential.FORMAT) or begins_with(path, near.FORMAT):
        return _Kind("a potential", "potential", _accepted, _fall, of_system=False)
    return None


def _accepted(found: Fall) -> list[Any]:
    return [[f"ACCEPTED: {found.statement}"]]


def _fall(found: Fall | None) -> Mapping[str, Any]:
    """A potential as plain data; exact numbers are text."""
    if found is None:
        return {}
    return {
        "statement": found.statement,
        "hypotheses": list(found.hypotheses),
        "V": found.V,
        "constant": str(found.constant),
    }
