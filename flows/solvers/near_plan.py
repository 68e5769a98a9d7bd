"""Programs for lanes: a product that is added to something is one step with that sum.

The registers stay where they are. That of a product which nothing else takes is not put down, so
most steps are sums of products, so that a program has fewer by a quarter to two fifths.
"""

# mypy: disable-error-code="no-untyped-def, untyped-decorator"

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np

from flows.arithmetic.kept import lean, loop

__all__ = ["FUSED", "PARTS", "Plan", "decoded", "plan_of"]

#: Numbers of each register of a chart in lanes.
PARTS = 6

# Operations of a program, and the one that is new: `a b + c`.
ADD, MULTIPLY, ROOT, ANGLE, FUSED = 0, 1, 3, 4, 11


class Plan(NamedTuple):
    """Steps of a program for lanes.

    ``operation`` (K,); ``operands`` (K, 4): registers `a`, `b` and `c` that a step takes, and where
    it puts what it finds; ``results``: as of :class:`flows.core.axis_field.Code`; ``read``:
    registers of which not only changes are read; ``first``: how many are variables or constants.
    """

    operation: Any
    operands: Any
    results: Any
    read: Any
    first: int


@lean
def decoded(program, step):
    """Operation of a step; its registers `a`, `b` and `k`; where parts of `a, b, c, k` begin."""
    operands = program.operands
    a, b, c, k = operands[step, 0], operands[step, 1], operands[step, 2], operands[step, 3]
    places = a * PARTS, b * PARTS, c * PARTS, k * PARTS
    return program.operation[step], (a, b, k), places


@loop
def plan_of(n, code):
    """Plan of a program of `n` variables."""
    first, count = n + len(code.constants), len(code.operation)
    takers, with_sum = np.zeros(first + count, np.int64), np.zeros(first + count, np.bool_)
    read = np.zeros(first + count, np.bool_)
    for k in range(count):
        takers[code.operands[k, 0]] += 1
        alone = code.operation[k] == ROOT or code.operation[k] > ANGLE
        takers[code.operands[k, 1]] += 0 if alone else 1
        if code.operation[k] != ADD:
            read[code.operands[k, 0]] = read[code.operands[k, 1]] = True
        read[first + k] = read[first + k] or code.operation[k] > MULTIPLY
    for result in code.results:  # these are looked at
        takers[result] += 2
        read[result] = True
    operation, operands = np.empty(count, np.int64), np.empty((count, 4), np.int64)
    for k in range(count):
        a, b, kind = code.operands[k, 0], code.operands[k, 1], code.operation[k]
        operation[k], c = kind, a
        if kind == ADD:
            for one, other in ((a, b), (b, a)):
                product = one - first
                alone = operation[k] == ADD and product >= 0 and takers[one] == 1
                if alone and code.operation[product] == MULTIPLY:
                    operation[k], with_sum[one] = FUSED, True
                    a, b, c = code.operands[product, 0], code.operands[product, 1], other
        operands[k, 0], operands[k, 1], operands[k, 2], operands[k, 3] = a, b, c, first + k
    left = ~with_sum[first:]
    return Plan(operation[left], operands[left], code.results, np.flatnonzero(read), first)
