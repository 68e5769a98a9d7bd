"""The other systems against scripts that one writes by hand: time, error and how far.

A script (`system_scripts.py`) is asked for the same rtol. Its own loss is what it prints; the loss
of its state, evaluated by popflow, shows how far its flow is right. The truth is popflow at a
tighter tolerance and, for the mixtures, with quadrature to 1e-12. Times are those of the processor,
warm. Ensembles are called as `flows.integrate_ensemble(system, starts, t_end, rtol=...)`, see
`system_ensembles.py`. Run

    python benchmarks/systems.py [--quick] [--part runs|ensembles]
"""

from __future__ import annotations

import argparse
import multiprocessing
import os
import sys
import time
from typing import Any

os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")  # before NumPy is loaded

import numpy as np
from ensemble import table
from machine import describe
from rich.console import Console
from rich.progress import track
from rich.table import Table
from system_ensembles import RTOL, TIGHT, together
from system_scripts import (
    Array,
    Case,
    Result,
    by_hand,
    gmm_em,
    matrix_factorization,
    score_matching,
)

import flows
from flows.ensembles.score_matching import cluster_start

LIMIT = 60.0


def cases(members: int) -> list[Case]:
    """Horizons at which a script means something, and one each at which it does not."""
    em, score = flows.GMMEM(3, 2), flows.ScoreMatching(3, 2)
    layers, line = flows.MatrixFactorization(3), flows.ScoreMatching(3, 1)

    def some(system: Any, scale: float, count: int) -> list[Array]:
        return [system.initial(scale, seed) for seed in range(count)]

    return [
        *(
            Case("gmm_em, n = 3, d = 2", em, gmm_em, some(em, 0.5, c), t)
            for c, t in ((1, 1e2), (1, 1e4), (members, 1e4), (1, 1e8))
        ),
        Case(
            "gmm_em, n = 3, d = 3", flows.GMMEM(3, 3), gmm_em, some(flows.GMMEM(3, 3), 0.5, 1), 1e4
        ),
        *(
            Case("score_matching, n = 3, d = 2", score, score_matching, some(score, 0.5, c), t)
            for c, t in ((1, 1e2), (1, 1e4), (members, 1e4), (1, 1e8))
        ),
        Case(
            "score_matching, n = 5, d = 3, cluster at 4",
            flows.ScoreMatching(5, 3),
            score_matching,
            [cluster_start(5, 3, 4.0, 1e-7)],
            1e4,
        ),
        Case(
            "score_matching, n = 3, d = 1, far: 6, 7, 7.5",
            line,
            score_matching,
            [np.array([[6.0], [7.0], [7.5]])],
            1e6,
        ),
        Case(
            "matrix_factorization, d = 3",
            layers,
            matrix_factorization,
            some(layers, 0.35, members),
            20.0,
        ),
        # A start that converges, exponentially in the end.
        *(
            Case(
                "matrix_factorization, d = 3",
                layers,
                matrix_factorization,
                [layers.initial(0.35, 4)],
                t,
            )
            for t in (20.0, 50.0, 100.0)
        ),
        Case(
            "matrix_factorization, d = 10",
            flows.MatrixFactorization(10),
            matrix_factorization,
            some(flows.MatrixFactorization(10), 0.2, 1),
            5.0,
        ),
    ]


def popflow(case: Case, rtol: float) -> Result:
    """Run popflow."""
    begun = time.process_time()
    runs = [
        flows.integrate(case.system, start, case.t_end, [case.t_end], rtol=rtol)
        for start in case.starts
    ]
    losses = np.array([run["loss"][-1] for run in runs])
    seconds = (time.process_time() - begun) / len(case.starts)
    return Result(seconds, losses, losses, np.array([run.t[-1] for run in runs]))


def limited(case: Case, limit: float) -> Result | None:
    """Result of the script in a process of its own, None if it did not end in time."""
    fork = multiprocessing.get_context("fork")
    here, there = fork.Pipe()
    process = fork.Process(target=lambda: there.send(by_hand(case, RTOL)))
    process.start()
    there.close()
    try:
        return here.recv() if here.poll(limit) else None  # type: ignore[no-any-return]
    except EOFError:
        return None
    finally:
        process.kill()
        process.join()


def compare(chosen: list[Case], limit: float) -> Table:
    """Table of scripts and popflow."""
    made = table(
        f"rtol {RTOL:g}; errors of the loss at the end against rtol {TIGHT:g}, largest of "
        f"the starts; scripts stop after {limit:g} s",
        "what",
        "t",
        "starts",
        "loss",
        "script, ms",
        "popflow, ms",
        "ratio",
        "script's error",
        "of its state",
        "popflow's error",
        "note",
    )
    for case in track(chosen, "systems", console=Console(stderr=True), transient=True):
        popflow(case._replace(starts=case.starts[:1], t_end=1.0), RTOL)  # compile
        truth, mine = popflow(case, TIGHT).told, popflow(case, RTOL)
        hand = limited(case, limit)

        def worst(losses: Array, truth: Array = truth) -> str:
            return f"{np.max(np.abs(losses / truth - 1)):.1e}"

        row = [case.label, f"{case.t_end:g}", f"{len(truth)}", f"{np.median(truth):.1e}"]
        if hand is None:
            row += ["", f"{1e3 * mine.seconds:.0f}", "", "", ""]
        else:
            row += [
                f"{1e3 * hand.seconds:.0f}",
                f"{1e3 * mine.seconds:.0f}",
                f"{hand.seconds / mine.seconds:.1f}",
                worst(hand.told),
                worst(hand.states),
            ]
        short = [] if hand is None else [t for t in hand.reached if t < case.t_end]
        note = (
            "script did not end"
            if hand is None
            else f"script reached {min(short):.1e}"
            if (short)
            else ""
        )
        made.add_row(*row, worst(mine.told), note)
    return made


def main() -> None:
    """Print the tables."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--quick", action="store_true", help="few starts, short limit")
    parser.add_argument("--part", choices=("runs", "ensembles"), help="only this table")
    options = parser.parse_args()
    console = Console(width=None if sys.stdout.isatty() else 160)
    console.print(describe())
    if options.part != "ensembles":
        console.print(compare(cases(2 if options.quick else 8), 10.0 if options.quick else LIMIT))
    if options.part != "runs":
        console.print(together(*((64, 64, 4) if options.quick else (64, 512, 16))))


if __name__ == "__main__":
    main()
