"""Own losses that fall exponentially: members of ensembles against scripts, by how far they go.

Compiled code follows members side by side until their flow is linear, and a closed form leads on to
a gradient of 1e-145. A loss that is no sum of squares as it is written, and falls to zero, is left
by compiled code where two doubles do not tell its gradient: from there each member goes on alone. A
script ends at the rounding of doubles, and its loss with it. Times are those of the processor,
warm, at rtol 1e-8. Run

    python benchmarks/own_tails.py [--quick]
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Callable
from typing import Any, NamedTuple

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


class Case(NamedTuple):
    """A loss `(u v - 1)^2/2 + steep (u - v - 1)^2/2 + rest`, and how it is called."""

    name: str
    steep: int
    rest: Any = sp.S.Zero
    expanded: bool = False

    @property
    def system(self) -> flows.OwnSystem:
        """The loss as an own system."""
        u, v = sp.symbols("u v")
        loss = (u * v - 1) ** 2 / 2 + self.steep * (u - v - 1) ** 2 / 2 + self.rest
        return flows.OwnSystem("tail", [u, v], sp.expand(loss) if self.expanded else loss)

    def field(self, t: float, y: Array) -> Array:
        """The script's flow."""
        product, apart = y[0] * y[1] - 1, self.steep * (y[0] - y[1] - 1)
        return np.array([-product * y[1] - apart, -product * y[0] + apart])

    def script(self, start: Array, times: Array) -> float:
        """The script's loss at the last time."""
        asked: dict[str, Any] = {"method": "LSODA", "rtol": RTOL, "atol": ATOL, "t_eval": times}
        u, v = solve_ivp(self.field, (0.0, times[-1]), start, **asked).y[:, -1]
        loss = (u * v - 1) ** 2 / 2 + self.steep * (u - v - 1) ** 2 / 2
        return float(loss) + float(self.rest)


CASES = (
    Case("well", 1),
    Case("well + 1/3", 1, sp.Rational(1, 3)),
    Case("valley", 0),
    Case("well, expanded", 1, expanded=True),
)


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
        *("loss", "to t", "script, ms", "popflow, ms", "ratio"),
        *("script's loss", "popflow's loss", "not known"),
        title=f"{members} members, rtol {RTOL:g}",
    )
    for case in CASES:
        for end in ENDS[: 3 if case.expanded else 4]:

            def follow(system: Any = case.system, end: float = end) -> Any:
                return flows.integrate_ensemble(system, starts, end, rtol=RTOL)

            follow()
            e, seconds = timed(follow)
            last, plain = timed(lambda c=case, e=e: [c.script(y, e.t) for y in few])
            ours, theirs = seconds / members * 1e3, plain / len(few) * 1e3
            table.add_row(
                case.name,
                f"{end:g}",
                f"{theirs:.2f}",
                f"{ours:.2f}",
                f"{theirs / ours:.2g}",
                f"{last[0]:.3g}",
                f"{e['loss'][0, -1]:.3g}",
                str(int(np.isnan(e["loss"][:, -1]).sum())),
            )
    console.print(table)


if __name__ == "__main__":
    main()
