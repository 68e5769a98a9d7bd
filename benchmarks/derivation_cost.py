"""What deriving and compiling costs in a cold process, without any cache.

The formulas belong to one pair of vectors, and the solver's field, which sums them, takes n and d
as arguments: the cost is the same for every n and d. The process is that of a command. Run

    python benchmarks/derivation_cost.py [--repeat 5]
"""

from __future__ import annotations

import argparse
import json
import statistics
import subprocess
import sys
from pathlib import Path

STAGES = """
import json, time
begin = time.perf_counter()
marks = {}

def mark(name):
    global begin
    now = time.perf_counter()
    marks[name], begin = now - begin, now

from flows.cli.process import start_fast
start_fast()
mark("import the command line")
import sympy
mark("import sympy")
from symbolic.systems.relu_neuron import pair
mark("import symbolic")
exprs = (pair.kernel(), pair.pair_energy(), *pair.pair_gradient(), *pair.pair_hessian())
mark("derive kernel, gradient, Hessian")
import numba
mark("import numba")
from flows.systems.relu_neuron.definition import make_raw
from flows.core.chart import wrap
mark("import flows")
wrap(make_raw())
mark("lower and compile the solver's field")
print(json.dumps(marks))
"""


def cold_run() -> dict[str, float]:
    """Return the seconds of each stage in a fresh process."""
    root = Path(__file__).resolve().parents[1]
    done = subprocess.run(
        [sys.executable, "-c", STAGES], cwd=root, capture_output=True, text=True, check=True
    )
    marks: dict[str, float] = json.loads(done.stdout)
    return marks


def main() -> None:
    """Print the median of every stage and of the whole."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--repeat", type=int, default=5)
    runs = [cold_run() for _ in range(parser.parse_args().repeat)]
    for stage in runs[0]:
        print(f"{stage:36s} {statistics.median(run[stage] for run in runs):6.3f} s")
    print(f"{'all':36s} {statistics.median(sum(run.values()) for run in runs):6.3f} s")


if __name__ == "__main__":
    main()
