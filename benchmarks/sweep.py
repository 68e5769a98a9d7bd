"""Which fraction of real factorisations converges: Theorem 1 of Luo et al., and where it fails.

The theorem says of four real layers that the loss tends to zero with a probability near one half
where the regularisation `a` is large beside `sigma_1` (here 1). The sweep goes down to `a = 0`.

Run

    python benchmarks/sweep.py                   400 starts of each combination
    python benchmarks/sweep.py --quick           40
    python benchmarks/sweep.py --out DIR         goes on after an interruption
    python benchmarks/sweep.py --figure FILE     draws the fractions
"""

from __future__ import annotations

import argparse
import resource
import time
from typing import Any

from machine import describe

import flows
from flows.core.threads import cores

STRENGTHS, SIZES = (0, 1, 5, 20, 50, 500), (2, 3, 4)
SCALE, T_END = 0.25, 1e4
# `auto` gives CVODE 3e-5 then; at 1e-3 itself it takes a few starts to the other side. With
# --quick, --rtol 1e-6 gives the same table.
RTOL = 1e-3
RATIO = 1e-6  # L(T) <= RATIO L(0) has converged


def processor_seconds() -> float:
    """Seconds of all processors that this process and those it started have used."""
    both = (resource.getrusage(who) for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN))
    return sum(x.ru_utime + x.ru_stime for x in both)


def main() -> None:
    """Print the fractions, and what they cost."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--quick", action="store_true")
    parser.add_argument("--out")
    parser.add_argument("--figure")
    parser.add_argument("--rtol", type=float, default=RTOL)
    parser.add_argument("--workers", type=int, default=cores())
    asked = parser.parse_args()
    print(describe())
    begin, used = time.perf_counter(), processor_seconds()
    data = flows.sweep(
        flows.MatrixFactorization,
        {"regularization": STRENGTHS, "d": SIZES},
        size=40 if asked.quick else 400,
        scale=SCALE,
        t_end=T_END,
        t_eval=[T_END],
        rtol=asked.rtol,
        observables=("loss", "determinant"),
        workers=asked.workers,
        out=asked.out,
    )
    wall, used = time.perf_counter() - begin, processor_seconds() - used
    found = flows.sweep_fraction(data, RATIO, level=0.95)
    positive = data["determinant"].isel(t=0) > 0
    loss = data["loss"]
    converged = loss.isel(t=-1) <= RATIO * loss.isel(t=0)
    print("  a  d   converge   fraction   95 % interval     det W(0) > 0   det W(0) < 0")
    for a in STRENGTHS:
        for d in SIZES:
            at: dict[str, Any] = {"regularization": a, "d": d}
            one, sign, end = found.sel(at), positive.sel(at), converged.sel(at)
            parts = (f"{int((end & s).sum())} of {int(s.sum())}" for s in (sign, ~sign))
            count = f"{int(one['count'])} of {int(one['trials'])}"
            ends = f"{float(one['low']):.3f} to {float(one['high']):.3f}"
            print(
                f"{a:3d}  {d}  {count:>10s}  {float(one['fraction']):8.4f}   {ends:15s}",
                "".join(f"{x:>15s}" for x in parts),
            )
    stopped = int((data["status"] != "completed").sum())
    members = data["status"].size
    print(f"{members} members, of which {stopped} stopped before their end")
    print(f"{wall:.0f} s, {used:.0f} s of processor time, {asked.workers} workers")
    if asked.figure:
        flows.figures.save(flows.figures.fraction_figure(found, "regularization"), asked.figure)


if __name__ == "__main__":
    main()
