"""Own losses that fall exponentially: members of ensembles against scripts, by how far they go.

Two doubles tell a gradient down to about 1e-32 of what the loss is made of, and until then compiled
code follows members side by side. From there each goes on alone, in balls of as many digits as it
takes, down to a gradient of 1e-145. A script ends at the rounding of doubles, and its loss with it.
Times are those of the processor, warm, at rtol 1e-8. Run

    python benchmarks/own_tails.py [--quick]
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Callable
from typing import Any

import numpy as np
import sympy as sp
from machine import describe
from numpy.typing import NDArray
from rich.console import Console
from rich.table import Table
from scipy.integrate import solve_ivp

import flows

RTOL, ATOL = 1e-8, 1e-14
ENDS = (10.0, 30.0, 100.0, 1e6)
Array = NDArray[np.float64]


def well(rest: Any) -> flows.OwnSystem:
    """Strict minimum at which the loss is `rest`: `(u v - 1)^2/2 + (u - v - 1)^2/2`."""
    u, v = sp.symbols("u v")
    loss = (u * v - 1) ** 2 / 2 + (u - v - 1) ** 2 / 2 + rest
    return flows.OwnSystem("well", [u, v], loss)


def field(t: float, y: Array) -> Array:
    """The script's flow."""
    product, apart = y[0] * y[1] - 1, y[0] - y[1] - 1
    return np.array([-product * y[1] - apart, -product * y[0] + apart])


def script(start: Array, times: Array) -> float:
    """The script's loss at the last time."""
    found = solve_ivp(
        field, (0.0, times[-1]), start, method="LSODA", rtol=RTOL, atol=ATOL, t_eval=times
    )
    u, v = found.y[:, -1]
    return float((u * v - 1) ** 2 / 2 + (u - v - 1) ** 2 / 2)


def timed(task: Callable[[], Any]) -> tuple[Any, float]:
    """What a task finds, and seconds of the processor."""
    begun = time.process_time()
    found = task()
    return found, time.process_time() - begun


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--quick", action="store_true", help="fewer members: 128 instead of 512")
    members, console = 128 if parser.parse_args().quick else 512, Console(width=150)
    console.print(describe())
    starts = np.random.default_rng(0).normal(size=(members, 2))
    few = starts[:32]
    table = Table(
        *("loss at the minimum", "to t", "script, ms", "popflow, ms", "ratio"),
        *("script's loss", "popflow's loss", "not known"),
        title=f"{members} members, rtol {RTOL:g}",
    )
    for rest in (sp.S.Zero, sp.Rational(1, 3)):
        system = well(rest)
        for end in ENDS:

            def follow(system: Any = system, end: float = end) -> Any:
                return flows.integrate_ensemble(system, starts, end, rtol=RTOL)

            follow()
            e, seconds = timed(follow)
            of_scripts, plain = timed(lambda e=e: [script(y, e.t) for y in few])
            ours, theirs = seconds / members * 1e3, plain / len(few) * 1e3
            table.add_row(
                str(rest),
                f"{end:g}",
                f"{theirs:.2f}",
                f"{ours:.2f}",
                f"{theirs / ours:.2g}",
                f"{of_scripts[0] + float(rest):.3g}",
                f"{e['loss'][0, -1]:.3g}",
                str(int(np.isnan(e["loss"][:, -1]).sum())),
            )
    console.print(table)


if __name__ == "__main__":
    main()
