"""The other systems against scripts that one writes by hand: time, error and how far.

A script uses plain t, `solve_ivp(LSODA)` at the same rtol and, for the mixtures, a fixed
Gauss-Hermite grid with softmax posteriors. Its own loss is what it prints; the loss of its state,
evaluated by popflow, shows how far its flow is right. The truth is popflow at a tighter tolerance
and, for the mixtures, with quadrature to 1e-12. Times are those of the processor, warm. Ensembles
are called as `flows.integrate_ensemble(system, starts, t_end, rtol=...)`, with all output times,
errors and limits, where a script tells the last loss alone; scripts run in as many processes as
there are cores, and both times are those of a clock. Two ratios say how much faster than the script
a row is: than the script at the same rtol, whatever its error is, and than the script at the first
rtol, which stands beside it, at which its worst error is no larger than popflow's, or below 1e-8.
A first call compiles what is not on the disk yet, and derives what the system needs: its time
stands beside the median of three later ones, which is compared. Run

    python benchmarks/systems.py [--quick] [--part runs|ensembles]
"""

from __future__ import annotations

import argparse
import functools
import itertools
import multiprocessing
import os
import sys
import time
from collections.abc import Callable
from multiprocessing.pool import Pool
from typing import Any, NamedTuple

os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")  # before NumPy is loaded

import numpy as np
from ensemble import table
from machine import describe
from numpy.typing import NDArray
from own_ensemble import cases as own_losses
from rich.console import Console
from rich.progress import track
from rich.table import Table
from scipy.integrate import solve_ivp
from scipy.special import logsumexp

import flows
from flows.ensembles.threshold import cluster_start

RTOL, TIGHT = 1e-8, 1e-11
ATOL = 1e-14
# Nodes along each axis, for means in one to three dimensions.
NODES = {1: 64, 2: 40, 3: 24}
LIMIT = 60.0
# Calls of an ensemble whose median counts: they take a few tenths of a second.
REPEATED = 3
# A script is asked for these until its worst error is no larger than popflow's, or than the number.
TIGHTER, RIGHT = (1e-8, 1e-9, 1e-10, 1e-11, 1e-12, 1e-13), 1e-8
Array = NDArray[np.float64]
Field = Callable[[float, Array], Array]
Hand = tuple[Field, Callable[[Array], float]]  # a script: its field and its loss, flat states


def hermite(d: int) -> tuple[Array, Array]:
    """Nodes and weights of a Gauss-Hermite grid for `N(0, I_d)`."""
    x, w = np.polynomial.hermite_e.hermegauss(NODES[d])
    nodes = np.array(list(itertools.product(x, repeat=d)))
    return nodes, np.prod(list(itertools.product(w / w.sum(), repeat=d)), axis=1)


def gmm_em(system: flows.GMMEM) -> Hand:
    """Gradient EM: `-E psi_i v` on the grid; the loss as a difference of log-densities."""
    n, d, logs = system.n, system.d, np.log(system.weights)
    x, w = hermite(d)

    def exponents(mu: Array) -> Array:
        return x @ mu.T - 0.5 * np.sum(mu**2, axis=1) + logs

    def field(t: float, y: Array) -> Array:
        mu = y.reshape(n, d)
        e = exponents(mu)
        psi = np.exp(e - e.max(axis=1, keepdims=True))
        psi /= psi.sum(axis=1, keepdims=True)
        return -((w[:, None] * psi).T @ (psi @ mu)).ravel()

    return field, lambda y: float(-w @ logsumexp(exponents(y.reshape(n, d)), axis=1))


def score_matching(system: flows.ScoreMatching) -> Hand:
    """Score matching: the direct gradient on the grid."""
    n, d = system.n, system.d
    x, w = hermite(d)

    def posteriors(mu: Array) -> Array:
        e = x @ mu.T - 0.5 * np.sum(mu**2, axis=1)
        psi = np.exp(e - e.max(axis=1, keepdims=True))
        return np.asarray(psi / psi.sum(axis=1, keepdims=True))

    def field(t: float, y: Array) -> Array:
        mu = y.reshape(n, d)
        psi = posteriors(mu)
        v = psi @ mu
        share = w[:, None] * psi
        pull = share * (v @ mu.T - np.sum(v**2, axis=1, keepdims=True))
        return -2 * (share.T @ v + pull.T @ x - pull.sum(axis=0)[:, None] * mu).ravel()

    def loss(y: Array) -> float:
        mu = y.reshape(n, d)
        return float(w @ np.sum((posteriors(mu) @ mu) ** 2, axis=1))

    return field, loss


def matrix_factorization(system: flows.MatrixFactorization) -> Hand:
    """Products of real layers, as the gradient reads."""
    depth, d, a, eye = system.depth, system.d, system.regularization, np.eye(system.d)
    target = np.array(system.target)

    def product(layers: Any) -> Array:
        total = eye
        for layer in layers:
            total = layer @ total
        return total

    def parts(layers: Array) -> tuple[Array, list[Array]]:
        lower, upper = layers[:-1], layers[1:]
        defects = [x @ x.T - y.T @ y for x, y in zip(lower, upper, strict=True)]
        return target - product(layers), [0 * eye, *defects, 0 * eye]

    def field(t: float, y: Array) -> Array:
        layers = y.reshape(depth, d, d)
        residual, defects = parts(layers)
        return np.concatenate(
            [
                (
                    product(layers[j + 1 :]).T @ residual @ product(layers[:j]).T
                    - a * (defects[j + 1] @ layers[j] - layers[j] @ defects[j])
                ).ravel()
                for j in range(depth)
            ]
        )

    def loss(y: Array) -> float:
        residual, defects = parts(y.reshape(depth, d, d))
        return float(np.sum(residual**2) / 2 + a / 4 * sum(np.sum(x**2) for x in defects))

    return field, loss


def two_layer(system: flows.TwoLayer) -> Hand:
    """ReLU students and teachers, all outputs one: the kernel of arc cosines."""
    n, teachers = system.students, np.array(system.teachers)
    signs = np.concatenate([np.ones(n), -np.ones(len(teachers))])

    def pairs(y: Array) -> tuple[Array, Array, Array]:
        neurons = np.vstack([y.reshape(n, -1), teachers])
        lengths = np.linalg.norm(neurons, axis=1)
        cosine = neurons @ neurons.T / np.outer(lengths, lengths)
        return neurons, lengths, np.arccos(np.clip(cosine, -1.0, 1.0))

    def field(t: float, y: Array) -> Array:
        neurons, lengths, angle = pairs(y)
        along = np.sin(angle[:n]) @ (signs * lengths) / lengths[:n]
        toward = (np.pi - angle[:n]) @ (signs[:, None] * neurons)
        return -((along[:, None] * neurons[:n] + toward) / (2 * np.pi)).ravel()

    def loss(y: Array) -> float:
        _, lengths, angle = pairs(y)
        shape = (np.sin(angle) + (np.pi - angle) * np.cos(angle)) / (2 * np.pi)
        weights = signs * lengths
        return float(weights @ shape @ weights) / 2

    return field, loss


class Case(NamedTuple):
    """A system, its script, starts and an end."""

    label: str
    system: Any
    script: Callable[[Any], Hand]
    starts: list[Array]
    t_end: float


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


class Result(NamedTuple):
    """Seconds a run; of every start: loss told, loss of its state, time reached."""

    seconds: float
    told: Array
    states: Array
    reached: Array


def by_hand(case: Case, rtol: float) -> Result:
    """Run the script."""
    field, loss = case.script(case.system)
    field(0.0, case.starts[0].ravel())
    rows, states = [], []
    asked: dict[str, Any] = {"method": "LSODA", "rtol": rtol, "atol": min(ATOL, 1e-6 * rtol)}
    begun = time.process_time()
    for start in case.starts:
        with np.errstate(all="ignore"):
            run = solve_ivp(field, (0.0, case.t_end), start.ravel(), **asked)
        rows.append((loss(run.y[:, -1]), run.t[-1]))
        states.append(run.y[:, -1].reshape(start.shape))
    seconds = (time.process_time() - begun) / len(case.starts)
    told, reached = np.array(rows).T
    finite = [np.isfinite(state).all() for state in states]
    own = [case.system.loss(s) if f else np.nan for s, f in zip(states, finite, strict=True)]
    return Result(seconds, told, np.array(own), reached)


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


def last_loss(which: int, rtol: float, seed: int) -> float:
    """Loss at the end that the script of an ensemble tells."""
    many = ensembles()[which]
    start = many.system.initial(many.scale, seed)
    return float(by_hand(Case("", many.system, many.script, [start], many.t_end), rtol).told[0])


def scripts(pool: Pool, which: int, rtol: float, members: int) -> tuple[Array, float]:
    """Last losses that the script of an ensemble tells, and seconds of the clock for each."""
    begun = time.perf_counter()
    jobs = [(which, rtol, seed) for seed in range(members)]
    told = np.array(pool.starmap(last_loss, jobs, chunksize=1))
    return told, (time.perf_counter() - begun) / members


def as_right(pool: Pool, which: int, truth: Array, enough: float) -> float | None:
    """First tolerance at which the script is as right; None where there is none."""
    for rtol in TIGHTER:
        told, _ = scripts(pool, which, rtol, len(truth))
        if np.max(np.abs(told / truth - 1)) <= enough:
            return rtol
    return None


def together(scripted: int, least: int, true: int) -> Table:
    """Table of ensembles as they are called, against scripts in as many processes."""
    workers = os.cpu_count() or 1
    made = table(
        f"ensembles as called, rtol {RTOL:g}, {workers} cores, clock; errors of the last loss of "
        f"{true} members against single runs at rtol {TIGHT:g}, median / largest",
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
        truth = np.array(
            [flows.integrate(system, x, end, [end], rtol=TIGHT)["loss"][-1] for x in starts[:true]]
        )
        enough = max(RIGHT, float(np.nanmax(np.abs(found["loss"][:true, -1] / truth - 1))))
        with fork.Pool(workers) as pool:
            scripts(pool, which, RTOL, workers)  # loaded
            told, script = scripts(pool, which, RTOL, scripted)
            tighter = as_right(pool, which, truth, enough)
            right = (
                "never"
                if tighter is None
                else f"{scripts(pool, which, tighter, scripted)[1] / each:.1f} ({tighter:.0e})"
            )

        def wrong(losses: Array, truth: Array = truth) -> str:
            off = np.abs(losses[: len(truth)] / truth - 1)
            return f"{np.nanmedian(off):.1e} / {np.nanmax(off):.1e}"

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
            wrong(told),
            wrong(found["loss"][:, -1]),
            f"{found.completed}",
        )
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
        console.print(together(*((16, 64, 4) if options.quick else (64, 512, 16))))


if __name__ == "__main__":
    main()
