"""Theorems as plain data: every step with its rule, premises, arguments and conclusion.

A certificate has `format`, `system`, `digest`, `formulas` (a table), `steps` and `theorems`; each
theorem has what is printed and `proof`, the number of its last step. `checker.check` reads it.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable, Mapping
from fractions import Fraction
from typing import Any

from symbolic.theorem.formulas import Distinct, Forall, Formula, Rel
from symbolic.theorem.kernel import Theorem
from symbolic.theorem.printing import shown
from symbolic.theorem.proving import Statement
from symbolic.theorem.terms import Poly, Vec

__all__ = ["FORMAT", "certificate", "digest", "encoded", "steps_of", "summary"]

FORMAT = "popflow theorems 2"


def encoded(x: Any) -> Any:
    """Return a term, a formula or an argument of a rule as plain data."""
    if isinstance(x, bool | str) or x is None:
        return x
    if isinstance(x, int | Fraction):
        return {"q": str(Fraction(x))}
    if isinstance(x, Poly):
        return {"p": [[str(c), encoded(m)] for m, c in x.terms]}
    if isinstance(x, Vec):
        return {"v": [[encoded(a), encoded(c)] for a, c in x.parts]}
    if isinstance(x, Rel):
        return {"op": x.op, "of": encoded(x.poly)}
    if isinstance(x, Distinct):
        return {"apart": [x.p, x.q]}
    if isinstance(x, Forall):
        body = {"guards": encoded(x.guards), "body": encoded(x.body)}
        return {"forall": list(x.bound), **body}
    if isinstance(x, Mapping):
        return {"by": {key: encoded(x[key]) for key in sorted(x)}}
    return [encoded(part) for part in x]


def steps_of(theorem: Theorem) -> list[Theorem]:
    """Return what a theorem is made of, premises first, each statement once, itself last."""
    order: dict[int, Theorem] = {}
    todo: list[tuple[Theorem, bool]] = [(theorem, False)]
    while todo:
        step, ready = todo.pop()
        if id(step) in order:
            continue
        if ready:
            order[id(step)] = step
        else:
            todo += [(step, True), *((p, False) for p in step.premises)]
    return list(order.values())


def _proof(theorems: Iterable[Theorem]) -> tuple[dict[str, Any], list[int]]:
    """Formulas and steps of theorems, each once, and the last step of each."""
    table: dict[str, int] = {}
    formulas: list[Any] = []
    seen: dict[Formula, int] = {}

    def place(f: Formula) -> int:
        if f not in seen:
            text = json.dumps(data := encoded(f))
            if text not in table:
                table[text] = len(formulas)
                formulas.append(data)
            seen[f] = table[text]
        return seen[f]

    steps: list[dict[str, Any]] = []
    number: dict[int, int] = {}
    known: dict[str, int] = {}
    last: list[int] = []
    for theorem in theorems:
        for step in steps_of(theorem):
            if id(step) in number:
                continue
            data = {
                "rule": step.rule,
                "from": [number[id(p)] for p in step.premises],
                "with": encoded(step.args),
                "if": sorted(place(h) for h in step.hyps),
                "then": place(step.concl),
            }
            text = json.dumps(data)
            number[id(step)] = known.setdefault(text, len(steps))
            if known[text] == len(steps):
                steps.append(data)
        last.append(number[id(theorem)])
    return {"formulas": formulas, "steps": steps}, last


def summary(statement: Statement) -> dict[str, Any]:
    """Return what is printed of a theorem, and what it rests on.

    Parameters
    ----------
    statement : Statement
        The theorem with its labels.

    Returns
    -------
    dict
        `name`, `title`, `source`, `says`, `statement` (text), `hypotheses`, `axioms`, `outcome`,
        `rules` (each with how often it is used) and `steps`, the number of steps.
    """
    steps = steps_of(statement.theorem)
    rules = sorted({step.rule for step in steps})
    lines = _hypotheses(statement)
    return {
        "name": statement.name,
        "title": statement.title,
        "source": statement.source,
        "says": statement.says,
        "statement": shown(encoded(statement.theorem.concl)),
        "hypotheses": [line for axiom, line in lines if not axiom],
        "axioms": [line for axiom, line in lines if axiom],
        "outcome": "DERIVED",
        "rules": rules,
        "steps": len(steps),
    }


def _hypotheses(statement: Statement) -> list[tuple[bool, str]]:
    """Hypotheses as ``label: formula``, and whether each is an axiom."""
    lines = []
    for formula, label in statement.labels.items():
        if formula in statement.theorem.hyps:
            axiom = label.startswith("axiom ")
            lines.append((axiom, f"{label.removeprefix('axiom ')}: {shown(encoded(formula))}"))
    unnamed = statement.theorem.hyps - set(statement.labels)
    return lines + [(False, shown(encoded(f))) for f in sorted(unnamed, key=repr)]


def digest(data: Mapping[str, Any]) -> str:
    """Return the checksum of everything in a certificate but itself."""
    rest = {key: value for key, value in data.items() if key != "digest"}
    return hashlib.sha256(json.dumps(rest, sort_keys=True).encode()).hexdigest()


def certificate(system: str, statements: Iterable[Statement]) -> dict[str, Any]:
    """Return the certificate of theorems about a system."""
    chosen = tuple(statements)
    proof, last = _proof(s.theorem for s in chosen)
    theorems = [{**summary(s), "proof": k} for s, k in zip(chosen, last, strict=True)]
    data: dict[str, Any] = {"format": FORMAT, "system": system, **proof, "theorems": theorems}
    return {**data, "digest": digest(data)}
