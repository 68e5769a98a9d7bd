"""What a certificate costs and how narrow it is; it must agree with an independent solver.

Each start is certified, written, checked by `flows.verify`, and compared at 20 times with
`flows.solvers.reference`, which shares only the symbolic source. Printed: CPU seconds of each, the
bound of the distance between flow and polynomial in the user's parameters, the distance found, and
the loss at the end with its error (of neurons `t^3 L`). Exits with 1 if a certificate is refused,
misses the reference, or is wider than promised. A second table has certificates for all times,
whose limits are compared with runs to 1e12. A third one, which takes minutes and is printed by
`--part balls` alone, has the largest of some radii of balls of starts that is proved for all times.
Run

    python benchmarks/certificates.py [--quick] [--part pieces|forever|balls] [--d 2] [--seeds 0,1]

`--quick` leaves out the long ones, `--part` all but one table. Time is that of this process,
without other load.
"""

from __future__ import annotations

import argparse
import itertools
import math
import sys
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from flint import arb
from machine import describe
from mpmath import mp
from oracle_path import PATHS

import flows
from flows.certificates.certify import Uncertified
from flows.certificates.verdicts import verdicts
from flows.core.balls import precision
from flows.solvers.reference import solve_reference
from flows.systems.relu_neuron import exact

sys.path.extend(PATHS)
from oracles.relu_neuron import coordinates

# The promise: bound of the error at every time.
PROMISED = 1e-25
# The reference has 50 digits and keeps the first 25 of them, relative to each component.
DIGITS, KEPT = 50, 1e-25


class Case(NamedTuple):
    """A start and what is asked of it."""

    name: str
    system: Any
    start: np.ndarray
    t_end: float
    digits: int = 30
    long: bool = False
    promised: float = PROMISED


def neurons(n: int, d: int, seed: int, t_end: float, **asked: Any) -> Case:
    """Neurons that start at scale 0.1."""
    system = flows.ReLUNeuron(n=n, d=d)
    return Case(f"n={n} d={d} seed={seed}", system, system.initial(0.1, seed), t_end, **asked)


def layers(
    d: int,
    field: str,
    strength: float,
    scale: float,
    seed: int,
    t_end: float,
    balanced: bool = False,
    **asked: Any,
) -> Case:
    """Four layers; the target is the identity."""
    system = flows.MatrixFactorization(d=d, field=field, regularization=strength)
    start = system.initial(scale, seed, balanced=balanced)
    kind = "balanced" if balanced else field
    return Case(f"layers d={d} {kind} seed={seed}", system, start, t_end, **asked)


def means(start: list[float], t_end: float, **asked: Any) -> Case:
    """Means on a line, of equal weights; the first one is positive."""
    system = flows.GMMEM(n=len(start), d=1)
    return Case(f"means {start}", system, np.array(start)[:, None], t_end, **asked)


CASES = (
    neurons(2, 2, 0, 1e12),
    neurons(2, 2, 3, 1e12),
    neurons(1, 5, 0, 1e3),
    neurons(3, 5, 0, 1e9, long=True),
    neurons(2, 100, 0, 1e12, long=True),
    neurons(2, 2, 0, 1e12, digits=50, long=True, promised=1e-45),
    layers(2, "real", 15.0, 0.3, 1, 30.0),
    layers(2, "real", 20.0, 0.5, 1, 10.0, balanced=True),
    layers(1, "complex", 5.0, 0.7, 1, 1e4, long=True),
    layers(2, "complex", 15.0, 0.5, 0, 20.0, long=True),
    layers(3, "real", 5.0, 0.5, 0, 20.0, long=True),
    means([1.0, -0.5], 1e6),
    means([1.0, 0.25, -0.75], 1e3, long=True),
)


class Endless(NamedTuple):
    """A start whose loss falls like a power of the time for ever, and the digits asked for."""

    name: str
    system: Any
    start: np.ndarray
    power: int
    digits: int
    quick: bool = False


def endless(n: int, d: int, seed: int, digits: int = 14) -> Endless:
    """Neurons that start at scale 0.1."""
    system = flows.ReLUNeuron(n=n, d=d)
    return Endless(f"n={n} d={d} seed={seed}", system, system.initial(0.1, seed), 3, digits)


ENDLESS = (
    endless(3, 2, 3),
    endless(3, 2, 4),
    endless(4, 3, 0),
    endless(4, 3, 1, 24),
    endless(5, 10, 1),
    Endless(
        "means 1/5 3/10 1/2",
        flows.GMMEM(n=3, d=1, weights=[0.2, 0.3, 0.5]),
        np.array([[-0.75], [0.25], [1.0]]),
        2,
        20,
        quick=True,
    ),
)
# Where a run has its limit: to this relative error, of what corrections leave at 1e12 too.
LATE, SETTLED = 1e12, 1e-4


def reference(system: Any, start: np.ndarray, times: np.ndarray) -> list[Any]:
    """States at the times in the coordinates of the certificate."""
    if not isinstance(system, flows.ReLUNeuron):
        smooth = system.exact_flow(*system.reduce(start), DIGITS)
        found = solve_reference(
            smooth.field, smooth.jacobian, smooth.x0, times, DIGITS, tolerance=KEPT
        )
        return _states(found)
    # In the span of the teacher, here of length 1, and the start.
    x = coordinates(start.tolist(), system.teacher, DIGITS)
    q = len(x[0])
    field, jacobian = exact.flow([1.0] * system.n, q, DIGITS)
    found = solve_reference(
        field,
        jacobian,
        [c for row in x for c in row],
        times,
        DIGITS,
        tolerance=KEPT,
        switches=exact.crossings(q),
    )
    return _states(found)


def _states(found: Any) -> list[Any]:
    if found.status != "completed":
        raise SystemExit(f"reference: {found.message}")
    return list(found.states)


def distance(certificate: flows.Certificate, times: np.ndarray, states: list[Any]) -> float:
    """Largest distance of the polynomial from the reference, Euclidean."""
    worst = 0.0
    with precision(certificate.precision):
        for t, x in zip(times, states, strict=True):
            found = [c.mid() for c in certificate.coordinates(float(t))]
            gaps = [a - arb(mp.nstr(b, DIGITS)) for a, b in zip(found, x, strict=True)]
            worst = max(worst, float(sum(g * g for g in gaps).sqrt()))
    return worst


def show(*cells: object) -> None:
    """Print a row at once: the next one takes a while."""
    print(" ".join(f"{cell!s:>14}" for cell in cells), flush=True)


def forever(quick: bool) -> bool:
    """Print a row for each certificate of all times; whether one failed."""
    show(
        "what, for ever", "digits", "certify s", "verify s", "at zero from", "limit", "run to 1e12"
    )
    failed = False
    for case in ENDLESS:
        if quick and not case.quick:
            continue
        marks = [time.process_time()]
        made = flows.certify(case.system, case.start, math.inf, digits=case.digits)
        marks.append(time.process_time())
        with tempfile.TemporaryDirectory() as folder:
            made.save(path := Path(folder) / "certificate.json")
            checked = flows.verify(path, case.system, case.start)
        marks.append(time.process_time())
        run = flows.integrate(case.system, case.start, t_end=LATE)
        found = float(run.t[-1] ** case.power * run["loss"][-1])
        with precision(made.precision):
            limit = made.infinity.constant
            off = abs(limit - arb(found)) <= limit.rad() + SETTLED * found
            text = limit.str(12)
        failed |= not (checked.accepted and run.status == "completed" and off)
        gone = getattr(checked.endless, "gone", ())
        show(
            case.name,
            case.digits,
            *(f"{b - a:.1f}" for a, b in itertools.pairwise(marks)),
            ", ".join(f"{zero.first:.5g}" for zero in gone) or "-",
            text,
            f"{found:.8g}",
        )
    return failed


# Radii of balls of starts that are tried, the largest first; and seeds, where none are asked for.
RADII, SEEDS = (1e-3, 5e-4, 1e-4, 1e-5), tuple(range(10))


def balls(dimensions: Sequence[int], seeds: Sequence[int]) -> bool:
    """Print a row for each start of two neurons, at scale 0.1; whether a file is refused."""
    show("ball of starts", "radius", "volume", "certify s", "verify s", "pieces", "limit", "upper")
    failed = False
    for d, seed in itertools.product(dimensions, seeds):
        system = flows.ReLUNeuron(n=2, d=d)
        start, name, reason = system.initial(0.1, seed), f"n=2 d={d} seed={seed}", ""
        for radius in RADII:
            marks = [time.process_time()]
            try:
                made = flows.certify(system, start, math.inf, radius=radius)
            except (Uncertified, flows.InputError) as problem:
                reason += f"\n    {radius:g}: {problem}"
                continue
            marks.append(time.process_time())
            with tempfile.TemporaryDirectory() as folder:
                made.save(path := Path(folder) / "certificate.json")
                checked = flows.verify(path, system, start)
            marks.append(time.process_time())
            failed |= not checked.accepted
            with precision(made.precision):
                limit = made.infinity.constant.str(4)
            seconds = [f"{b - a:.1f}" for a, b in itertools.pairwise(marks)]
            upper = f"{made.infinity.all_times[1]:.3g}"
            size = f"{made.volume:.2g}"
            show(name, f"{radius:g}", size, *seconds, len(made.pieces), limit, upper)
            break
        else:
            show(name, "none", 0, *["-"] * 5)
        if reason:
            print(f"   no proof of{reason}", flush=True)
    return failed


def main() -> int:
    """Print the tables."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--quick", action="store_true", help="leave out the long ones")
    parser.add_argument("--part", choices=["pieces", "forever", "balls"], help="one table only")
    parser.add_argument("--d", type=_numbers, default=(2, 3), help="dimensions of the balls")
    parser.add_argument("--seeds", type=_numbers, default=SEEDS, help="seeds of the balls")
    asked = parser.parse_args()
    # What is compiled and derived once is not a certificate's time.
    small = flows.ReLUNeuron(n=2, d=2)
    flows.certify(small, small.initial(), 1e-3, digits=8)

    print(describe())
    if asked.part == "balls":
        return int(balls(asked.d, asked.seeds))
    failed = asked.part != "forever" and pieces(asked.quick)
    return int((asked.part != "pieces" and forever(asked.quick)) or failed)


def _numbers(text: str) -> tuple[int, ...]:
    return tuple(map(int, text.split(",")))


def pieces(quick: bool) -> bool:
    """Print a row for each certificate to a finite time; whether one failed."""
    show(
        "what",
        "to t",
        "digits",
        "pieces",
        "MB",
        "certify s",
        "verify s",
        "claims s",
        "error at most",
        "off by",
        "loss at the end",
    )
    failed = False
    for case in CASES:
        if quick and case.long:
            continue
        system, start = case.system, case.start
        marks = [time.process_time()]
        certificate = flows.certify(system, start, case.t_end, digits=case.digits)
        marks.append(time.process_time())
        with tempfile.TemporaryDirectory() as folder:
            certificate.save(path := Path(folder) / "certificate.json")
            size = path.stat().st_size / 1e6
            checked = flows.verify(path, system, start, case.t_end)
        marks.append(time.process_time())
        verdicts(certificate)
        marks.append(time.process_time())
        times = np.geomspace(1e-2, case.t_end, 20)
        off = distance(certificate, times, reference(system, start, times))
        # Where the certificate is narrower than the reference, they differ by what that has lost.
        failed |= not (
            checked.accepted
            and off <= certificate.error + 10 * KEPT
            and certificate.error <= case.promised
        )
        with precision(certificate.precision):
            loss = certificate.loss(case.t_end)
            power = 3 if isinstance(system, flows.ReLUNeuron) and system.n > 1 else 0
            scaled = (arb(case.t_end) ** power * loss).str(25)
        seconds = [f"{b - a:.1f}" for a, b in itertools.pairwise(marks)]
        show(
            case.name,
            f"{case.t_end:g}",
            case.digits,
            len(certificate.pieces),
            f"{size:.1f}",
            *seconds,
            f"{certificate.error:.1e}",
            f"{off:.1e}",
            scaled,
        )
    return failed


if __name__ == "__main__":
    sys.exit(main())
