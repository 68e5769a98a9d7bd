"""Each shipped system beside its own formula, followed as a loss of one's own: seconds and digits.

Run: python benchmarks/general.py [--only WORDS]. Processor seconds of the second of two runs; the
digits are those to which both losses agree where both are known; a loss is known down to the last
column but one. About seven minutes.
"""

from __future__ import annotations

import argparse
import time
from typing import NamedTuple

import numpy as np
from machine import describe
from rich.console import Console
from rich.table import Table

import flows
from flows.core.errors import InputError
from flows.core.system import System
from flows.runs.trajectory import Trajectory

T_END = 1e6
# A run may take so long, in seconds.
LONGEST = 100.0


class Case(NamedTuple):
    """A system with the scale of its random start."""

    about: str
    system: System
    scale: float


CASES = (
    Case("`relu_neuron`, 2 in the plane", flows.ReLUNeuron(n=2, d=2), 0.3),
    Case("`relu_neuron`, 3 in 5 dimensions", flows.ReLUNeuron(n=3, d=5), 0.3),
    Case("`gmm_em`, 2 on a line", flows.GMMEM(n=2, d=1), 1.0),
    Case("`gmm_em`, 3 in the plane", flows.GMMEM(n=3, d=2), 1.0),
    Case("`score_matching`, 2 on a line", flows.ScoreMatching(n=2, d=1), 1.0),
    Case("`score_matching`, 3 in the plane", flows.ScoreMatching(n=3, d=2), 1.0),
    Case("`matrix_factorization`, 2 x 2", flows.MatrixFactorization(d=2), 0.3),
    Case("`matrix_factorization`, 3 x 3", flows.MatrixFactorization(d=3), 0.3),
    Case("`matrix_factorization`, complex", flows.MatrixFactorization(2, "complex"), 0.3),
    Case("`two_layer`, erf, 2 and 2", flows.TwoLayer(2, 2, activation="erf"), 0.5),
    Case("`two_layer`, erf, 4 and 4", flows.TwoLayer(4, 4, activation="erf"), 0.5),
    Case("`two_layer`, erf, 2 and 2 in 20 d", flows.TwoLayer(2, 2, 20, activation="erf"), 0.5),
    Case("`two_layer`, quadratic, 2 and 2", flows.TwoLayer(2, 2, activation="quadratic"), 0.5),
    Case("`two_layer`, ReLU, 2 and 1", flows.TwoLayer(2, [[1.0, 0.5]]), 0.5),
    Case("`two_layer`, ReLU, 2 and 2", flows.TwoLayer(2, 2), 0.5),
    Case("`two_layer`, ReLU, 4 and 4", flows.TwoLayer(4, 4), 0.5),
)


def timed(system: System, start: object) -> tuple[Trajectory, float]:
    """Run, and its processor seconds once everything is compiled."""
    for _ in range(2):
        begun = time.process_time()
        run = flows.integrate(system, start, T_END, max_seconds=LONGEST)
        spent = time.process_time() - begun
        if spent > LONGEST / 2:
            break
    return run, spent


def row(case: Case) -> list[str]:
    """What both runs take and know."""
    start = case.system.initial(case.scale, seed=0)
    own, seconds = timed(case.system, start)
    try:
        formula = case.system.general
    except InputError as refused:
        knows = f"{np.nanmin(own['loss']):.0e}"
        return [case.about, f"{seconds:.3f}", "", "", knows, "", str(refused)]
    general, slower = timed(formula, case.system.flat(start))
    count = min(len(own.t), len(general.t))
    losses = own["loss"][:count], general["loss"][:count]
    with np.errstate(divide="ignore", invalid="ignore"):
        off = np.nanmax(np.abs(losses[0] - losses[1]) / np.abs(losses[0]))
    least = [float(np.nanmin(run["loss"])) for run in (own, general)]
    ended = "" if general.completed else f"{general.status} at t = {general.t[-1]:.0e}"
    return [
        case.about,
        f"{seconds:.3f}",
        f"{slower:.3f}",
        f"{-np.log10(max(off, 1e-16)):.1f}",
        *(f"{x:.0e}" for x in least),
        ended,
    ]


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--only", default="", help="systems with these words")
    asked = parser.parse_args()
    console = Console(width=160)
    console.print(describe())
    table = Table(
        *("system", "itself, s", "formula, s", "digits", "itself knows", "formula knows", "ended"),
        title=f"to t = {T_END:g}, rtol 1e-10",
    )
    for case in CASES:
        if asked.only in case.about:
            table.add_row(*row(case))
    console.print(table)


if __name__ == "__main__":
    main()
