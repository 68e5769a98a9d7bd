"""Many starts of own losses: members a second, against scripts that one writes by hand.

A script has the gradient in NumPy, written by hand, plain t and `solve_ivp(LSODA)` at rtol 1e-8.
popflow has nothing but the loss as an expression: by default states are exact, and with
`arithmetic="doubles"` they are not. Errors are those of the last loss, at t = 1e6, relative to
popflow's at rtol 1e-11; times are those of the processor, without what a first run derives. Run

    python benchmarks/own_ensemble.py [--quick]
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Callable
from dataclasses import replace
from typing import Any, NamedTuple

import numpy as np
import sympy as sp
from machine import describe
from numpy.typing import NDArray
from rich.console import Console
from rich.table import Table
from scipy.integrate import solve_ivp

import flows
from symbolic import Expectation

T_END, RTOL, ATOL, TIGHT = 1e6, 1e-8, 1e-14, 1e-11
# Members that are also followed at that tolerance.
CHECKED = 8
Array = NDArray[np.float64]


class Case(NamedTuple):
    """A loss, the scale of its starts, and the hand-written script: loss and field."""

    system: flows.OwnSystem
    scale: float
    loss: Callable[[Array], float]
    field: Callable[[float, Array], Array]


def scalar() -> Case:
    """Two scalar layers and a quartic valley: `(u v - 1)^2/2 + (u - v)^4/4`."""
    u, v = sp.symbols("u v")
    loss = (u * v - 1) ** 2 / 2 + (u - v) ** 4 / 4

    def field(t: float, y: Array) -> Array:
        gap, off = y[0] * y[1] - 1, (y[0] - y[1]) ** 3
        return np.array([-gap * y[1] - off, -gap * y[0] + off])

    return Case(
        flows.OwnSystem("two_layers", [u, v], loss),
        1.0,
        lambda y: (y[0] * y[1] - 1) ** 2 / 2 + (y[0] - y[1]) ** 4 / 4,
        field,
    )


def factorization(rows: int, columns: int) -> Case:
    """`|W'W - e_1 e_1'|^2/4`."""
    w, target = sp.MatrixSymbol("W", rows, columns), np.diag(np.eye(columns)[0])
    gap = w.T * w - sp.Matrix(target.astype(int))

    def field(t: float, y: Array) -> Array:
        m = y.reshape(rows, columns)
        return -(m @ (m.T @ m - target)).ravel()

    def loss(y: Array) -> float:
        m = y.reshape(rows, columns)
        return float(np.sum((m.T @ m - target) ** 2)) / 4

    name = f"factorization_{rows}_{columns}"
    return Case(flows.OwnSystem(name, [w], sp.trace(gap.T * gap) / 4), 0.5, loss, field)


def neurons(rows: int, columns: int) -> Case:
    """Quadratic neurons: `E (|W x|^2 - x_1^2)^2/2 = |G|^2 + (tr G)^2/2`, `G = W'W - e_1 e_1'`."""
    w, x = sp.MatrixSymbol("W", rows, columns), sp.MatrixSymbol("x", columns, 1)
    student, target = (x.T * w.T * w * x)[0, 0], np.diag(np.eye(columns)[0])

    def field(t: float, y: Array) -> Array:
        m = y.reshape(rows, columns)
        g = m.T @ m - target
        return -(4 * m @ g + 2 * np.trace(g) * m).ravel()

    def loss(y: Array) -> float:
        m = y.reshape(rows, columns)
        g = m.T @ m - target
        return float(np.sum(g**2) + np.trace(g) ** 2 / 2)

    name = f"neurons_{rows}_{columns}"
    system = flows.OwnSystem(name, [w], Expectation((student - x[0, 0] ** 2) ** 2, x) / 2)
    return Case(system, 0.3, loss, field)


def script(case: Case, starts: Array) -> Array:
    """Last losses by the hand-written script."""
    return np.array(
        [
            case.loss(
                solve_ivp(case.field, (0, T_END), y, method="LSODA", rtol=RTOL, atol=ATOL).y[:, -1]
            )
            for y in starts
        ]
    )


def last(system: flows.OwnSystem, starts: Array, **options: Any) -> Array:
    """Last losses of an ensemble."""
    found = flows.integrate_ensemble(system, starts, T_END, [T_END], **options)
    return np.asarray(found["loss"][:, -1])


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--quick", action="store_true", help="128 members instead of 512")
    members = flows.OwnSystem.many if parser.parse_args().quick else 4 * flows.OwnSystem.many
    console = Console(width=120)
    console.print(describe())
    table = Table(
        "loss",
        "unknowns",
        "by",
        "members a second",
        "error, median",
        "worst",
        title=f"{members} starts to t = {T_END:g}",
    )
    # What follows members is compiled once, for all losses.
    last(scalar().system, np.full((flows.OwnSystem.many, 2), [0.3, 1.2]))
    for case in (scalar(), factorization(3, 2), neurons(3, 4), factorization(5, 4)):
        size = len(case.system.initial())
        starts = case.scale * np.random.default_rng(0).normal(size=(members, size))
        truth = last(case.system, starts[:CHECKED], rtol=TIGHT)
        doubles = replace(case.system, arithmetic="doubles")
        for name, call in (
            ("popflow", lambda y, s=case.system: last(s, y)),
            ("popflow, doubles", lambda y, s=doubles: last(s, y)),
            ("script", lambda y, c=case: script(c, y)),
        ):
            call(starts[:1])  # derived and compiled
            begun = time.process_time()
            found = call(starts)
            spent = time.process_time() - begun
            off = np.abs(found[: len(truth)] / truth - 1)
            table.add_row(
                case.system.name,
                str(size),
                name,
                f"{members / spent:.1f}",
                f"{np.median(off):.0e}",
                f"{off.max():.0e}",
            )
    console.print(table)


if __name__ == "__main__":
    main()
