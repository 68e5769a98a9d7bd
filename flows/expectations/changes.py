r"""How much an expression changes, to all digits of the change, on arrays.

.. math:: f(v + d) - f(v), \qquad \tanh(z + d) - \tanh z =
   \frac{\tanh d\, (1 - \tanh^2 z)}{1 + \tanh z \tanh d}, \qquad \ldots

Each step of a program has a formula for its change in which nothing cancels. So an expression that
is known to all digits at one place, however much cancels there, is known to nearly as many digits
around it, in doubles.
"""

from __future__ import annotations

import functools
from collections.abc import Callable, Mapping, Sequence
from types import MappingProxyType
from typing import Any, NamedTuple

import numpy as np
import sympy as sp

from flows.expectations.changed_functions import FUNCTIONS, STEPS, changed
from symbolic.language.lower import lower
from symbolic.language.program import Program

__all__ = ["Tape", "taped"]

EPSILON = float(np.finfo(float).eps)
# Rounding of one function, in last bits.
LAST = 4.0
# Operations whose changes do not ask for their values.
_SUMS = (None, "add", "times")
# No register is known better than in doubles.
NONE: Mapping[int, Any] = MappingProxyType({})


class _Row(NamedTuple):
    """One operation on earlier registers; a constant has none, and is a number."""

    operation: Any
    parts: tuple[int, ...]
    number: Any = None


class Tape:
    """A program whose values, and their changes, are computed step by step on arrays.

    Parameters
    ----------
    rows : sequence
        Operations; the first registers are those of the variables.
    count : int
        Variables.
    results : sequence of int
        Registers of the results.
    """

    def __init__(self, rows: Sequence[_Row], count: int, results: Sequence[int]) -> None:
        self.rows, self.count, self.results = tuple(rows), count, tuple(results)
        # Registers that changes, or results, are made of; and whose rounding is asked for.
        products = set(results).union(*(row.parts for row in rows if row.operation == "times"))
        functions = (k for k, row in enumerate(rows, count) if row.operation not in _SUMS)
        parts = (row.parts for row in rows if row.operation != "add")
        self._known, self._doubted = products.union(functions, *parts), products
        self._exact: dict[tuple[int, ...], Callable[..., Any]] = {}

    def values(self, variables: Sequence[Any], better: Mapping[int, Any] = NONE) -> list[Any]:
        """Registers in doubles, of arrays; those that are known better are as given."""
        found = list(variables)
        with np.errstate(all="ignore"):
            for k, (operation, parts, number) in enumerate(self.rows, self.count):
                a = [found[p] for p in parts]
                if k in better:
                    found.append(better[k])
                elif operation is None:
                    found.append(float(number))
                elif operation == "add":
                    found.append(functools.reduce(lambda x, y: x + y, a))
                elif operation == "times":
                    found.append(a[0] * a[1])
                elif operation == "inverse":
                    found.append(1 / a[0])
                elif operation == "root":
                    found.append(np.sqrt(a[0]))
                else:
                    found.append(FUNCTIONS[operation].value(a[0]))
        return found

    def kept(self, known: Sequence[Any], doubt: Sequence[Any]) -> tuple[list[Any], list[Any]]:
        """Registers with their rounding, without those that no change is made of."""
        return (
            [x if k in self._known else None for k, x in enumerate(known)],
            [x if k in self._doubted else None for k, x in enumerate(doubt)],
        )

    def exact(self, asked: tuple[int, ...]) -> Callable[..., Any]:
        """Some registers in balls: a function of the variables at one place."""
        if asked not in self._exact:
            needed, names = set(asked), [sp.Symbol(f"_v{k}", real=True) for k in range(len(self))]
            for k in range(len(self) - 1, self.count - 1, -1):
                needed.update(self.rows[k - self.count].parts if k in needed else ())
            steps = []
            for k, (operation, parts, number) in enumerate(self.rows, self.count):
                if k in needed:
                    a = [names[p] for p in parts]
                    step = number if operation is None else STEPS.get(operation, operation)(*a)
                    steps.append((names[k], step))
            given = names[: self.count]
            self._exact[asked] = lower([names[k] for k in asked], given, "ball", steps)
        return self._exact[asked]

    def __len__(self) -> int:
        """Return the number of registers."""
        return self.count + len(self.rows)

    def changes(self, known: Sequence[Any], moves: Sequence[Any]) -> list[Any]:
        """Changes of all registers where the variables change by these; `None` where none does."""
        found = list(moves)
        with np.errstate(all="ignore"):
            for k, (operation, parts, _) in enumerate(self.rows, self.count):
                d = [found[p] for p in parts]
                if all(x is None for x in d):
                    found.append(None)
                elif operation == "add":
                    found.append(
                        functools.reduce(lambda x, y: x + y, (x for x in d if x is not None))
                    )
                elif operation == "times":
                    (a, b), (da, db) = (known[p] for p in parts), d
                    if parts[0] == parts[1]:
                        found.append(da * (2 * a + da))
                    elif db is None:
                        found.append(da * b)
                    elif da is None:
                        found.append(a * db)
                    else:
                        found.append(da * (b + db) + a * db)
                else:
                    found.append(changed(operation, known[parts[0]], known[k], d[0]))
        return found

    def doubts(self, variables: Sequence[Any], off: Sequence[Any]) -> list[Any]:
        """Rounding of the results in doubles, of variables that are off by so much."""
        found = self.rounded(self.values(variables), off)
        return [found[k] for k in self.results]

    def rounded(
        self, known: Sequence[Any], off: Sequence[Any], better: Mapping[int, Any] = NONE
    ) -> list[Any]:
        """Rounding of all registers in doubles, of variables that are off by so much.

        That of registers that are known better is as given.
        """
        found = list(off)
        with np.errstate(all="ignore"):
            for k, (operation, parts, _) in enumerate(self.rows, self.count):
                a, e, last = [known[p] for p in parts], [found[p] for p in parts], known[k]
                if k in better:
                    found.append(better[k])
                    continue
                if operation is None:
                    left = 0.0
                elif operation == "add":
                    left = sum(e) + len(a) * EPSILON * sum(np.abs(x) for x in a)
                elif operation == "times":
                    left = np.abs(a[0]) * e[1] + np.abs(a[1]) * e[0]
                elif operation == "inverse":  # a pole is in between
                    room = np.abs(a[0]) - e[0]
                    left = np.abs(last) * np.where(room > 0, e[0] / room, np.inf)
                else:
                    both = (np.abs(changed(operation, a[0], last, s * e[0])) for s in (1, -1))
                    left = np.maximum(*both)
                found.append(left + LAST * EPSILON * np.abs(last))
        return found

    def off(self, known: Sequence[Any], doubt: Sequence[Any], changes: Sequence[Any]) -> list[Any]:
        """Rounding of the results where registers have changed."""
        found: list[Any] = [
            0.0 if d is None else EPSILON * np.abs(d) for d in changes[: self.count]
        ]
        with np.errstate(all="ignore"):
            for k, (operation, parts, _) in enumerate(self.rows, self.count):
                d, e, last = [changes[p] for p in parts], [found[p] for p in parts], changes[k]
                if last is None:
                    found.append(0.0)
                elif operation == "add":
                    sizes = sum(np.abs(x) for x in d if x is not None)
                    found.append(sum(e) + len(d) * EPSILON * sizes)
                elif operation == "times":
                    (a, b), (da, db) = (
                        (known[p] for p in parts),
                        (0.0 if x is None else x for x in d),
                    )
                    near = np.abs(a) + np.abs(da), np.abs(b) + np.abs(db)
                    kept = np.abs(da) * doubt[parts[1]] + np.abs(db) * doubt[parts[0]]
                    sizes = np.abs(da) * near[1] + np.abs(db) * near[0]
                    found.append(near[1] * e[0] + near[0] * e[1] + kept + LAST * EPSILON * sizes)
                else:
                    slope = np.abs(np.divide(last, d[0], out=np.zeros_like(last), where=d[0] != 0))
                    found.append(2 * slope * e[0] + LAST * EPSILON * np.abs(last))
        return [found[k] + doubt[k] for k in self.results]


def taped(program: Program, variables: Sequence[sp.Symbol]) -> Tape | None:
    """Tape of a program; None where it has a function whose changes are not known.

    Parameters
    ----------
    program : Program
        In the variables.
    variables : sequence of Symbol
        Whose changes are given.

    Examples
    --------
    >>> x = sp.Symbol("x", real=True)
    >>> tape = taped(Program((), (sp.tanh(x) - x,)), (x,))
    >>> known = tape.values([np.array(0.5)])
    >>> float(tape.changes(known, [np.array(1e-20)])[tape.results[0]])
    -2.1355...e-21
    """
    rows: list[_Row] = []
    known: dict[Any, int] = {x: k for k, x in enumerate(variables)}

    def put(operation: Any, parts: Sequence[int], number: Any = None) -> int:
        if operation in ("add", "times"):
            parts = sorted(parts)
        key = (operation, tuple(parts), number)
        if key not in known:
            rows.append(_Row(*key))
            known[key] = len(variables) + len(rows) - 1
        return known[key]

    def power(base: int, exponent: int) -> int:
        found, square = None, base
        while exponent:
            if exponent & 1:
                found = square if found is None else put("times", (found, square))
            exponent >>= 1
            square = put("times", (square, square)) if exponent else square
        assert found is not None
        return found

    def visit(e: Any) -> int:
        if e in known:
            return known[e]
        if e.is_number:
            found = put(None, (), e)
        elif e.is_Add:
            found = put("add", [visit(x) for x in e.args])
        elif e.is_Mul:
            found = functools.reduce(lambda a, b: put("times", (a, b)), map(visit, e.args))
        elif e.is_Pow and (2 * e.exp).is_Integer:
            twice = abs(int(2 * e.exp))
            base = visit(e.base)
            found = power(put("root", (base,)), twice) if twice % 2 else power(base, twice // 2)
            found = put("inverse", (found,)) if e.exp < 0 else found
        elif e.func in FUNCTIONS:
            found = put(e.func, (visit(e.args[0]),))
        else:
            raise NotImplementedError(str(e.func))
        known[e] = found
        return found

    try:
        for symbol, step in program.steps:
            known[symbol] = visit(step)
        return Tape(rows, len(variables), [visit(e) for e in program.results])
    except NotImplementedError:
        return None
