"""Whether a certificate is one of ours, whole, and says what its proofs prove."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from symbolic.theorem.certificate import FORMAT, digest
from symbolic.theorem.checker import Wrong, check
from symbolic.theorem.printing import shown

__all__ = ["verified"]

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
    if set(data) != {"format", "system", "digest", "theorems"} or not data["theorems"]:
        raise Wrong("is cut or has other entries than a certificate")
    if data["digest"] != digest(data):
        raise Wrong("was changed after it was written: its checksum is another")
    return [_one(theorem, stated) for theorem in data["theorems"]]


def _one(theorem: Any, stated: Mapping[str, Mapping[str, Any]]) -> dict[str, Any]:
    if not isinstance(theorem, dict) or set(theorem) != KEYS:
        raise Wrong("has a theorem with other entries than a theorem has")
    said = {key: value for key, value in theorem.items() if key != "proof"}
    name = theorem["name"]
    if not isinstance(name, str) or name not in stated:
        raise Wrong(f"names a theorem {name!r} that is not known of this system")
    try:
        hyps, concl = check(theorem["proof"])
    except Wrong as why:
        raise Wrong(f"{name}: {why}") from None
    except (KeyError, TypeError, AttributeError, ArithmeticError, IndexError, ValueError):
        raise Wrong(f"{name}: the proof cannot be read") from None
    if shown(concl) != said["statement"]:
        raise Wrong(f"{name}: what is printed is not what is proved")
    lines = [*said["hypotheses"], *said["axioms"]]
    proved = [shown(h) for h in hyps]
    if len(lines) != len(proved) or not all(_printed(h, lines) for h in proved):
        raise Wrong(f"{name}: the printed hypotheses are not those of the proof")
    for key, value in stated[name].items():
        if said[key] != value:
            raise Wrong(f"{name}: {key} is not what this version of popflow says")
    return said


def _printed(formula: str, lines: list[str]) -> bool:
    return any(line == formula or line.endswith(f": {formula}") for line in lines)
