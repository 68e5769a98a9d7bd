"""Runs with fifty digits, stored: `python tests/oracles/references.py` computes them again.

It takes a minute. A test computes a part of one anew.
"""

import json
from pathlib import Path

import flows

STORED = Path(__file__).with_name("references.json")
RUNS = {
    "em": (flows.GMMEM(2, 1, [0.4, 0.6]), [[0.6], [-0.3]], (0.1, 1.0, 10.0)),
    "near": (flows.ScoreMatching(2, 1), [[0.6], [-0.3]], (0.1, 0.5)),
    "far": (flows.ScoreMatching(2, 1), [[0.2], [3.0]], (0.02, 0.1)),
    "cluster": (flows.ScoreMatching(2, 1), [[2.0], [2.0001]], (0.1, 0.5)),
}


def computed(name, times=None):
    """What is observed, from `t = 0` on."""
    system, start, known = RUNS[name]
    times = list(times or known)
    run = flows.integrate(system, start, times[-1], t_eval=times, method="reference")
    assert run.completed, run.message
    return {key: [float(x) for x in run[key]] for key in sorted(run.names)}


def stored(name):
    """The same from the file."""
    return json.loads(STORED.read_text())[name]


if __name__ == "__main__":
    STORED.write_text(json.dumps({name: computed(name) for name in RUNS}, indent=0) + "\n")
