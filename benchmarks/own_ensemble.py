"""Many starts of own losses: members a second, against scripts that one writes by hand.

A script has the gradient in NumPy, written by hand, plain t and `solve_ivp(LSODA)`. popflow has
nothing but the loss as an expression: by default states are exact, and with `arithmetic="doubles"`
they are not. Errors are those of the last loss, at t = 1e6 or another end, relative to popflow's at
rtol 1e-11; times are those of the processor, without what a first run derives. Two ratios say how
much faster than the script a row is: than the script at rtol 1e-8, whatever its error is, and than
the script at the first tighter rtol with which its own worst error is below 1e-8. Run

    python benchmarks/own_ensemble.py [--quick] [--end T]
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

RTOL, ATOL, TIGHT = 1e-8, 1e-14, 1e-11
# A script is asked for these until its error is below the number.
TIGHTER, RIGHT = (1e-9, 1e-10, 1e-11, 1e-12, 1e-13), 1e-8
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


def script(case: Case, starts: Array, end: float, rtol: float = RTOL) -> Array:
    """Last losses by the hand-written script."""
    asked: dict[str, Any] = {"method": "LSODA", "rtol": rtol, "atol": min(ATOL, 1e-6 * rtol)}
    return np.array(
        [case.loss(solve_ivp(case.field, (0, end), y, **asked).y[:, -1]) for y in starts]
    )


def right(case: Case, starts: Array, end: float, truth: Array) -> float:
    """First tolerance with which the script's error is small enough; NaN where none is."""
    for rtol in TIGHTER:
        off = np.abs(script(case, starts[: len(truth)], end, rtol) / truth - 1)
        if off.max() < RIGHT:
            return rtol
    return float("nan")


def cases() -> tuple[Case, ...]:
    """Losses of 2, 6, 12 and 20 unknowns."""
    return scalar(), factorization(3, 2), neurons(3, 4), factorization(5, 4)


def timed(call: Callable[[Array], Array], starts: Array) -> tuple[Array, float]:
    """What comes out, and seconds of the processor for each start, warm."""
    call(starts[:1])  # derived and compiled
    begun = time.process_time()
    found = call(starts)
    return found, (time.process_time() - begun) / len(starts)


def last(system: flows.OwnSystem, starts: Array, end: float, **options: Any) -> Array:
    """Last losses of an ensemble."""
    found = flows.integrate_ensemble(system, starts, end, [end], **options)
    return np.asarray(found["loss"][:, -1])


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--quick", action="store_true", help="128 members instead of 512")
    parser.add_argument("--end", type=float, default=1e6, help="where runs end (1e6)")
    asked = parser.parse_args()
    members, end = flows.OwnSystem.many * (1 if asked.quick else 4), asked.end
    console = Console(width=150)
    console.print(describe())
    table = Table(
        "loss",
        "unknowns",
        "by",
        "members a second",
        "times the script at rtol 1e-8",
        "times the script with error < 1e-8",
        "error, median",
        "worst",
        title=f"{members} starts to t = {end:g}",
    )
    # What follows members is compiled once, for all losses.
    last(scalar().system, np.full((flows.OwnSystem.many, 2), [0.3, 1.2]), end)
    for case in cases():
        size = len(case.system.initial())
        starts = case.scale * np.random.default_rng(0).normal(size=(members, size))
        truth = last(case.system, starts[:CHECKED], end, rtol=TIGHT)
        doubles = replace(case.system, arithmetic="doubles")
        rtol, few = right(case, starts, end, truth), starts[: 4 * CHECKED]
        rows = {
            "script": timed(lambda y, c=case: script(c, y, end), starts),
            f"script, rtol {rtol:g}": timed(lambda y, c=case, r=rtol: script(c, y, end, r), few)
            if rtol > 0
            else (np.full(len(few), np.nan), np.nan),  # it is never as right
            "popflow, as called": timed(lambda y, s=case.system: last(s, y, end), starts),
            f"popflow, rtol {RTOL:g}": timed(
                lambda y, s=case.system: last(s, y, end, rtol=RTOL), starts
            ),
            "popflow, doubles": timed(lambda y, s=doubles: last(s, y, end), few),
        }
        (_, plain), (_, sharp) = list(rows.values())[:2]
        for name, (found, seconds) in rows.items():
            off = np.abs(found[: len(truth)] / truth - 1)
            table.add_row(
                case.system.name,
                str(size),
                name,
                f"{1 / seconds:.1f}",
                f"{plain / seconds:.1f}",
                f"{sharp / seconds:.1f}",
                f"{np.median(off):.0e}",
                f"{off.max():.0e}",
            )
    console.print(table)
    console.print("nan: no rtol down to 1e-13 brings the script's worst error below 1e-8")


if __name__ == "__main__":
    main()
