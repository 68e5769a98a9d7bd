"""``popflow certify --late-states``, and what its file proves: as a table and as JSON."""

from __future__ import annotations

import math
from decimal import ROUND_CEILING, ROUND_FLOOR, Context
from importlib import import_module
from typing import TYPE_CHECKING, Any

import click

from flows.cli import output
from flows.cli.options import flag, given
from flows.core.errors import InputError
from flows.core.options import Options

if TYPE_CHECKING:
    from flows.certificates.verifier.late_states import LateStates

SIZES = ("reach", "across", "along", "apart")


def prove_late(
    system: str, sizes: str, options: Options, out: str | None, force: bool, as_json: bool
) -> int:
    """Prove the theorem of two neurons on a set of late states; return the exit code."""
    from flows.certificates.steps import Uncertified
    from flows.certificates.verifier.verify import STATES
    from flows.core.files import check_output

    if system not in STATES or options["n"] not in (None, 2):
        known = ", ".join(STATES)
        raise InputError(f"--late-states: expected two neurons; give {known}, and no other --n")
    if options["t_end"] not in (None, math.inf):
        raise InputError("--late-states: proves it for all times; leave --t-end out")
    if others := [name for name in given(options) if name not in ("n", "d", "t_end")]:
        raise InputError(f"--late-states: there is no start; leave {flag(others[0])} out")
    asked: dict[str, Any] = _sizes(sizes)
    if options["d"] is not None:
        asked["d"] = options["d"]
    check_output(out, force)
    prove = import_module(f"flows.certificates.endless.{system}").late_states
    try:
        late = prove(**asked)
    except Uncertified as reason:
        click.echo(f"popflow: {reason}", err=True)
        return 4
    if out is not None:
        late.save(out, force=force)
    assert late.theorem is not None  # or nothing is returned
    if as_json:
        output.print_json({"system": system, **late_json(late.theorem)})
    else:
        output.show(*verified(late.theorem))
    return 0


def _sizes(text: str) -> dict[str, float]:
    """Sizes of the set from ``NAME=V,..``; those that are not named have their defaults."""
    found: dict[str, float] = {}
    for part in filter(None, text.split(",")):
        name, _, value = part.partition("=")
        try:
            size = float(value)
        except ValueError:
            size = math.nan
        if name not in SIZES or name in found or math.isnan(size):
            raise InputError(
                f"--late-states: expected {', '.join(SIZES)} once at most, like reach=0.05, got"
                f" {part!r}; give another"
            )
        found[name] = size
    return found


def verified(states: LateStates) -> list[Any]:
    """Tables of the states and of what was verified of them."""
    rows = [
        ("accepted", states.statement),
        ("dimension", str(states.d)),
        ("states", "in units of the teacher's length, D = |z_1 - z_2|:"),
        ("", "0 < D <= reach, |z_1 + z_2| <= across D, |h_1 + h_2 - 1| <= along D"),
        ("volume", f"{states.volume:.2g}, of R^{2 * states.d}"),
        ("constants", "lower (1/D + t)^-3 <= L(t) <= (upper + more/D) (1/D + t)^-3, all t >= 0"),
    ]
    heads = ("|h_1 - h_2|", "reach", "across", "along", "t^3 L ->", "lower", "upper", "more")
    boxes = [
        (
            f"{box.low:g} to {box.high:g}",
            *(f"{x:g}" for x in (box.reach, box.across, box.along)),
            f"{_rounded(box.limit[0], ROUND_FLOOR)} to {_rounded(box.limit[1], ROUND_CEILING)}",
            _rounded(box.lower, ROUND_FLOOR),
            *(_rounded(x, ROUND_CEILING) for x in (box.upper, box.more)),
        )
        for box in states.boxes
    ]
    return [output.table(("late states", "two neurons"), rows), output.table(heads, boxes)]


def _rounded(x: float, direction: str) -> str:
    """Four digits; a bound is one only if it is rounded to its side."""
    return f"{Context(prec=4, rounding=direction).create_decimal(x):f}"


def late_json(states: LateStates | None) -> dict[str, Any]:
    """What was verified, as JSON values; nothing if it was refused."""
    if states is None:
        return {}
    return {
        "d": states.d,
        "statement": states.statement,
        "boxes": [box._asdict() for box in states.boxes],
        "volume": states.volume,
    }
