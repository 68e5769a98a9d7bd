"""The formula of a loss that is written as steps, for a person."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from typing import Any

__all__ = ["formula", "taken"]

# Characters of a step that is written out as often as it is taken.
LONG = 60


def formula(program: Any, names: Sequence[str]) -> str:
    """A program in words, for a person; what is long and is taken twice has a name of its own."""
    uses = Counter(a for kind, *rest in program for a in taken(kind, rest))
    made: list[tuple[str, bool]] = []  # a text, and whether it is a sum
    parts: list[str] = []
    for k, (kind, *rest) in enumerate(program):
        text, is_sum = _text(kind, rest, made, names)
        if len(text) > LONG and uses[k] > 1:
            parts.append(f"s{k} = {text}")
            text, is_sum = f"s{k}", False
        made.append((text, is_sum))
    return made[-1][0] + (f" with {', '.join(parts[::-1])}" if parts else "")


def taken(kind: str, rest: Sequence[Any]) -> Sequence[Any]:
    """Steps that a step takes."""
    return () if kind in ("number", "pi", "variable") else rest[:1] if kind == "power" else rest


def _text(
    kind: str, rest: Sequence[Any], made: Sequence[tuple[str, bool]], names: Sequence[str]
) -> tuple[str, bool]:
    """A step in words, and whether it is a sum."""
    if kind in ("number", "pi", "variable"):
        text = {"number": str(rest[0]) if rest else "", "pi": "pi"}.get(kind) or names[rest[0]]
        return text, text.startswith("-") or "/" in text
    a = made[rest[0]]
    if kind == "plus":
        b = made[rest[1]]
        return f"{a[0]} - {b[0][1:]}" if b[0].startswith("-") else f"{a[0]} + {b[0]}", True
    if kind == "times":
        left, right = (f"({t})" if is_sum else t for t, is_sum in (a, made[rest[1]]))
        for minus, other in ((a[0], right), (made[rest[1]][0], left)):
            if minus == "-1":
                return f"-{other}", True
        return f"{left}*{right}", False
    if kind == "power":
        base, exponent = f"({a[0]})" if a[1] or "*" in a[0] else a[0], str(rest[1])
        return f"{base}**{exponent if exponent.isdigit() else f'({exponent})'}", False
    inner = ", ".join(made[k][0] for k in rest)
    return f"|{inner}|" if kind == "side" else f"{kind}({inner})", False
