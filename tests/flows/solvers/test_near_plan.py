"""Plans for lanes find what programs find, in fewer steps."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pytest
import sympy as sp

import flows
from flows.core.axis_field import Code
from flows.solvers.near_plan import FUSED, plan_of

u, v = sp.symbols("u v")
MIXED = flows.OwnSystem("mixed", [u, v], u**4 / (2 + v**2) + (u * v - 1) ** 2 / sp.sqrt(1 + u**2))
LAYER = flows.TwoLayer(3, 2)
# Sums of a few numbers of order one in another order.
ROUNDING = 1e-13
ADD, MULTIPLY = 0, 1


def of(operation: int, a: float, b: float, c: float = 0.0) -> float:
    """One operation."""
    if operation == FUSED:
        return a * b + c
    if operation < 2:
        return a * b if operation == MULTIPLY else a + b
    if operation == 2:
        return a / b
    return math.atan2(a, b) if operation == 4 else math.sqrt(a)


def by_program(code: Any, place: Any) -> Any:
    """Results of a program, step by step."""
    r = [*place, *code.constants[:, 0]]
    for operation, (a, b) in zip(code.operation, code.operands, strict=True):
        r.append(of(operation, r[a], r[b]))
    return np.array(r)[code.results]


def by_plan(plan: Any, code: Any, place: Any) -> Any:
    """Results of a plan; registers that it does not put down are NaN."""
    r = np.full(plan.first + len(code.operation), np.nan)
    r[: plan.first] = [*place, *code.constants[:, 0]]
    for operation, (a, b, c, to) in zip(plan.operation, plan.operands, strict=True):
        r[to] = of(operation, r[a], r[b], r[c])
    return r[plan.results]


@pytest.mark.parametrize("system", [MIXED, LAYER], ids=["quotients and roots", "angles"])
@pytest.mark.parametrize("which", [0, 1])
def test_plans_find_what_programs_find_in_fewer_steps(system: Any, which: int) -> None:
    """Not if the factor of one product is another one, as a control."""
    code, n = system.axis_codes()[which], len(system.axis_start(system.initial()))
    plan, place = plan_of(n, code), np.random.default_rng(4).normal(size=n)
    wanted = by_program(code, place)
    assert np.allclose(by_plan(plan, code, place), wanted, rtol=ROUNDING, atol=ROUNDING)
    assert len(plan.operation) == len(code.operation) - np.count_nonzero(plan.operation == FUSED)
    assert (plan.operation == FUSED).any()
    plan.operands[np.flatnonzero(plan.operation == FUSED)[0], 0] = n
    assert not np.allclose(by_plan(plan, code, place), wanted, rtol=1e-3, atol=1e-3)


def test_products_that_others_take_or_that_are_looked_at_are_put_down() -> None:
    """Of `x y`, `x y + x`, `x x`, `x x + y`, `(x x + y) + x x` none can be left out."""
    operation = np.array([MULTIPLY, ADD, MULTIPLY, ADD, ADD])
    operands = np.array([[0, 1], [2, 0], [0, 0], [4, 1], [5, 4]])
    code = Code(operation, operands, np.zeros((0, 3)), np.array([2, 3, 6]))
    assert plan_of(2, code).operation.tolist() == operation.tolist()
    fewer = plan_of(2, code._replace(results=np.array([3, 6])))
    assert fewer.operation.tolist() == [FUSED, MULTIPLY, ADD, ADD]
    assert fewer.operands[0].tolist() == [0, 1, 0, 3]


def test_a_sum_of_two_products_takes_in_one_of_them() -> None:
    operation, operands = np.array([MULTIPLY, MULTIPLY, ADD]), np.array([[0, 1], [0, 0], [2, 3]])
    code = Code(operation, operands, np.zeros((0, 3)), np.array([4]))
    plan = plan_of(2, code)
    assert plan.operation.tolist() == [MULTIPLY, FUSED]
    assert by_plan(plan, code, [3.0, 5.0]).tolist() == [24.0]
