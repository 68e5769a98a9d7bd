"""A second reader of certificates: every rule again, with python-flint and nothing of the kernel.

`checker_rules` has the rules, written again from their statements, and the files beside it terms,
formulas and curves. Here a proof is read step by step.
"""

from __future__ import annotations

from typing import Any

from symbolic.theorem.checker_formulas import Step, kinds_of, read_formula, read_value
from symbolic.theorem.checker_rules import FACTS, RULES
from symbolic.theorem.checker_terms import Wrong, need

__all__ = ["Wrong", "check"]

RESERVED = {(name, ("s", 0, False)) for name in ("t", "n", "pi")}


def check(proof: Any) -> list[Any]:
    """Check steps one by one; return the plain data of hypotheses and conclusion of each.

    Raises
    ------
    Wrong
        With the number of the first step that is not what its rule gives.
    """
    formulas = [read_formula(f) for f in proof["formulas"]]
    kinds = [set(kinds_of(f, ())) for f in formulas]
    done: list[Step] = []
    for number, step in enumerate(proof["steps"]):
        try:
            rule, places = step["rule"], [*step["if"], step["then"], *step["from"]]
            need(rule in RULES or rule in FACTS, f"unknown rule {rule}")
            need(all(type(i) is int and i >= 0 for i in places), "places are natural numbers")
            need(all(i < number for i in step["from"]), "a premise does not stand before it")
            premises, args = [done[i] for i in step["from"]], read_value(step["with"])
            facts = rule in FACTS
            hyps, concl = ((), FACTS[rule](*args)) if facts else RULES[rule](premises, *args)
            said = frozenset(formulas[i] for i in step["if"]), formulas[step["then"]]
            need(frozenset(hyps) == said[0], "other hypotheses")
            need(concl == said[1] and concl[0] == "rel", "another conclusion")
            found = RESERVED.union(*(kinds[i] for i in (*step["if"], step["then"])))
            need(len(found) == len({name for name, _ in found}), "a name of two kinds")
        except Wrong as why:
            raise Wrong(f"step {number} ({rule}): {why}") from None
        except (KeyError, TypeError, IndexError, ValueError, AttributeError, ArithmeticError):
            raise Wrong(f"step {number} cannot be read") from None
        done.append(said)
    need(done, "no steps")
    table = proof["formulas"]
    return [([table[i] for i in s["if"]], table[s["then"]]) for s in proof["steps"]]
