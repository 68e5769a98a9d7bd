"""Ensembles of the other systems, as they are called, against scripts: time, error, ratios.

Scripts run in as many processes as there are cores, and both times are those of a clock. Both tell
the loss at the same output times, those that popflow chooses; popflow tells errors and limits, too.
Errors are the largest of a member's at all these times. Two ratios say how much faster than the
script a row is: than the script at the same rtol, whatever its error is, and than the script at the
first rtol, which stands beside it, at which its worst error is no larger than popflow's, or below
1e-8. A first call compiles what is not on the disk yet, and derives what the system needs: its time
stands beside the median of three later ones, which is compared.
"""

from __future__ import annotations

import functools
import multiprocessing
import os
import time
from collections.abc import Callable
from multiprocessing.pool import Pool
from typing import Any, NamedTuple

import numpy as np
from ensemble import table
from own_ensemble import cases as own_losses
from rich.console import Console
from rich.progress import track
from rich.table import Table
from system_scripts import (
    Array,
    Hand,
    gmm_em,
    losses_by_hand,
    matrix_factorization,
    score_matching,
    two_layer,
)

import flows

RTOL, TIGHT = 1e-8, 1e-11
# Calls of an ensemble whose median counts: they take a few tenths of a second.
REPEATED = 3
# A script is asked for these until its worst error is no larger than popflow's, or than the number.
TIGHTER, RIGHT = (1e-8, 1e-9, 1e-10, 1e-11, 1e-12, 1e-13), 1e-8


class Many(NamedTuple):
    """An ensemble: a system, its script, the scale of starts, an end, and fewest members."""

    label: str
    system: Any
    script: Callable[[Any], Hand]
    scale: float
    t_end: float
    fewest: int = 0


@functools.cache
def ensembles() -> list[Many]:
    """Horizons at which a script means something."""
    em, score, layers = flows.GMMEM(3, 2), flows.ScoreMatching(3, 2), flows.MatrixFactorization(3)
    return [
        Many("gmm_em, n = 3, d = 2", em, gmm_em, 0.5, 1e4),
        Many("score_matching, n = 3, d = 2", score, score_matching, 0.5, 1e4),
        *(
            Many("matrix_factorization, d = 3", layers, matrix_factorization, 0.35, t)
            for t in (20.0, 50.0)
        ),
        Many(
            "matrix_factorization, d = 10",
            flows.MatrixFactorization(10),
            matrix_factorization,
            0.2,
            5.0,
        ),
        Many("two_layer, 3 students, 2 teachers", flows.TwoLayer(3, 2), two_layer, 0.5, 1e3),
        *(
            Many(
                case.system.name,
                case.system,
                lambda _, case=case: (case.field, case.loss),
                case.scale,
                1e6,
                flows.OwnSystem.many,
            )
            for case in own_losses()
        ),
    ]


@functools.cache
def hand_of(which: int) -> Hand:
    """Script of an ensemble."""
    many = ensembles()[which]
    return many.script(many.system)


def losses(which: int, times: Array, rtol: float, seed: int) -> Array:
    """Losses that the script of an ensemble tells of a member."""
    many = ensembles()[which]
    start = many.system.initial(many.scale, seed)
    return losses_by_hand(hand_of(which), start, times, rtol)


def scripts(pool: Pool, which: int, times: Array, rtol: float, members: int) -> tuple[Array, float]:
    """Losses that the script of an ensemble tells, and seconds of the clock for each member."""
    begun = time.perf_counter()
    jobs = [(which, times, rtol, seed) for seed in range(members)]
    told = np.array(pool.starmap(losses, jobs, chunksize=1))
    return told, (time.perf_counter() - begun) / members


def worst(told: Array, truth: Array) -> Array:
    """Largest relative errors of losses at all times, of each member; NaN where one is not told."""
    return np.asarray(np.max(np.abs(told[: len(truth)] / truth - 1), axis=1))


def as_right(pool: Pool, which: int, times: Array, truth: Array, enough: float) -> float | None:
    """First tolerance at which the script is as right; None where there is none."""
    for rtol in TIGHTER:
        told, _ = scripts(pool, which, times, rtol, len(truth))
        if np.max(worst(told, truth)) <= enough:
            return rtol
    return None


def shown(wrong: Array) -> str:
    """Errors of members: median and largest."""
    return f"{np.nanmedian(wrong):.1e} / {np.nanmax(wrong):.1e}"


def together(scripted: int, least: int, true: int) -> Table:
    """Table of ensembles as they are called, against scripts in as many processes."""
    workers = os.cpu_count() or 1
    made = table(
        f"ensembles as called, rtol {RTOL:g}, {workers} cores, clock; largest errors of the "
        f"losses of {true} members against single runs at rtol {TIGHT:g}, median / largest",
        "what",
        "t",
        "members",
        "script, ms",
        "first call, s",
        "popflow, ms",
        "members/s",
        "ratio",
        "as right",
        "script's error",
        "popflow's error",
        "completed",
    )
    fork = multiprocessing.get_context("fork")
    for which, many in enumerate(
        track(ensembles(), "ensembles", console=Console(stderr=True), transient=True)
    ):
        system, end, size = many.system, many.t_end, max(least, many.fewest)
        starts = np.array([system.initial(many.scale, seed) for seed in range(size)])
        begun = time.perf_counter()
        flows.integrate_ensemble(system, starts, end, rtol=RTOL)
        first = time.perf_counter() - begun
        took = []
        for _ in range(REPEATED):
            begun = time.perf_counter()
            found = flows.integrate_ensemble(system, starts, end, rtol=RTOL)
            took.append((time.perf_counter() - begun) / size)
        each = float(np.median(took))
        times = found.t
        truth = np.array(
            [flows.integrate(system, x, end, times[1:], rtol=TIGHT)["loss"] for x in starts[:true]]
        )
        wrong = worst(found["loss"], truth)
        enough = max(RIGHT, float(np.nanmax(wrong)))
        with fork.Pool(workers) as pool:
            scripts(pool, which, times, RTOL, workers)  # loaded
            told, script = scripts(pool, which, times, RTOL, scripted)
            tighter = as_right(pool, which, times, truth, enough)
            right = (
                "never"
                if tighter is None
                else f"{scripts(pool, which, times, tighter, scripted)[1] / each:.1f}"
                f" ({tighter:.0e})"
            )
        made.add_row(
            many.label,
            f"{end:g}",
            f"{size}",
            f"{1e3 * script:.1f}",
            f"{first:.1f}",
            f"{1e3 * each:.2f}",
            f"{1 / each:.0f}",
            f"{script / each:.1f}",
            right,
            shown(worst(told, truth)),
            shown(wrong),
            f"{found.completed}",
        )
    return made
