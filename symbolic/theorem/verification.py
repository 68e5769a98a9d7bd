"""Whether a certificate is one of ours, whole, and says what its proofs prove."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from symbolic.theorem.certificate import FORMAT, digest
from symbolic.theorem.checker import Wrong, check
from symbolic.theorem.printing import shown

__all__ = ["verified"]

ENTRIES = {"format", "system", "digest", "formulas", "steps", "theorems"}
KEYS = {
    *("name", "title", "source", "says", "statement", "hypotheses", "axioms", "outcome"),
    *("rules", "steps", "proof"),
}


def verified(data: Any, stated: Mapping[str, Mapping[str, Any]]) -> list[dict[str, Any]]:
    """Check a certificate; return what it says of each theorem, without the proofs.

    Parameters
    ----------
    data : Any
        What was read from the file.
    stated : mapping of str to mapping
        What this version says of each theorem of the system: `certificate.summary` by name.

    Raises
    ------
    Wrong
        One line that says what is not so.
    """
    if not isinstance(data, dict) or data.get("format") != FORMAT:
        raise Wrong("is no certificate of theorems")
    if set(data) != ENTRIES or not data["theorems"]:
        raise Wrong("is cut or has other entries than a certificate")
    if data["digest"] != digest(data):
        raise Wrong("was changed after it was written: its checksum is another")
    try:
        steps = check(data)
        return [_one(theorem, data["steps"], steps, stated) for theorem in data["theorems"]]
    except Wrong:
        raise
    except (LookupError, TypeError, AttributeError, ArithmeticError, ValueError) as why:
        raise Wrong("the proof cannot be read") from why


def _one(
    theorem: Any, written: Any, steps: Any, stated: Mapping[str, Mapping[str, Any]]
) -> dict[str, Any]:
    if not isinstance(theorem, dict) or set(theorem) != KEYS:
        raise Wrong("has a theorem with other entries than a theorem has")
    said = {key: value for key, value in theorem.items() if key != "proof"}
    name = theorem["name"]
    if not isinstance(name, str) or name not in stated:
        raise Wrong(f"names a theorem {name!r} that is not known of this system")
    last = theorem["proof"]
    if type(last) is not int or not 0 <= last < len(steps):
        raise Wrong(f"{name}: the proof has no such step")
    hyps, concl = steps[last]
    if shown(concl) != said["statement"]:
        raise Wrong(f"{name}: the printed statement is not the proved one")
    lines = [*said["hypotheses"], *said["axioms"]]
    proved = [shown(h) for h in hyps]
    if len(lines) != len(proved) or not all(_printed(h, lines) for h in proved):
        raise Wrong(f"{name}: the printed hypotheses differ from the proof's")
    if _rules(written, last) != said["rules"]:
        raise Wrong(f"{name}: the printed rules differ from the proof's")
    for key, value in stated[name].items():
        if said[key] != value:
            raise Wrong(f"{name}: {key} is not what this version of popflow says")
    return said


def _rules(written: Any, last: int) -> list[str]:
    used, todo = {last}, [last]
    while todo:
        new = set(written[todo.pop()]["from"]) - used
        used |= new
        todo += new
    return sorted({written[k]["rule"] for k in used})


def _printed(formula: str, lines: list[str]) -> bool:
    """Whether a line is a label and the formula, which is not the body of a quantifier in it."""
    labels = (line[: -len(formula)] for line in lines if line.endswith(f": {formula}"))
    return formula in lines or any("for all " not in label for label in labels)
