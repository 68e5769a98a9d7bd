"""Which share of a box of starts is proved: two neurons, the law ``t^-3`` for all times.

The box holds all starts whose entries are within ``--half`` of a given one. It is cut into boxes,
each proved with the ball about it, whose certificate the independent checker accepts; a box without
a proof is halved along its longest side. So the share is of the box's Lebesgue measure: it is
proved, not estimated from a sample.
"""

from __future__ import annotations

import argparse
import heapq
import itertools
import math
import time
from collections.abc import Iterator
from fractions import Fraction
from typing import Any

import numpy as np

import flows
from flows.certificates.certify import Uncertified

#: A ball is larger than its box by more than corners are rounded by.
ROOM = 1 + 1e-12


def attempts(
    system: flows.ReLUNeuron, middle: Any, half: float, parts: int, tries: int
) -> Iterator[tuple[Fraction, Fraction, str]]:
    """After each attempt: the share that is proved, the share of this box, and what came of it."""
    proved, share = Fraction(0), Fraction(1, parts**middle.size)
    sides = np.full(middle.size, half / parts)
    steps = itertools.product(range(1 - parts, parts, 2), repeat=middle.size)
    number = itertools.count()
    heap = [
        (-share, next(number), middle.ravel() + sides * np.array(step), sides) for step in steps
    ]
    for _ in range(tries):
        if not heap:
            return
        share, _, centre, sides = heapq.heappop(heap)
        radius = float(np.linalg.norm(sides)) * ROOM
        try:
            made: Any = flows.certify(system, centre.reshape(middle.shape), math.inf, radius=radius)
            proved -= share
            yield proved, -share, f"t^3 L -> {made.infinity.constant.str(3)}"
        except (Uncertified, flows.InputError) as problem:
            step = np.zeros(middle.size)
            step[np.argmax(sides)] = sides.max() / 2
            for part in (centre - step, centre + step):
                heapq.heappush(heap, (share / 2, next(number), part, sides - step))
            yield proved, -share, str(problem)[:60]


def main() -> None:
    """Print each attempt, and the share in the end."""
    options = argparse.ArgumentParser(description=__doc__)
    options.add_argument("--seed", type=int, default=1)
    options.add_argument("--d", type=int, default=2)
    options.add_argument("--half", type=float, default=2e-3)
    options.add_argument("--parts", type=int, default=2, help="of each side, at first")
    options.add_argument("--tries", type=int, default=64)
    asked = options.parse_args()
    system = flows.ReLUNeuron(n=2, d=asked.d)
    start = system.initial(0.1, seed=asked.seed)
    begun, proved = time.process_time(), Fraction(0)
    for proved, share, text in attempts(system, start, asked.half, asked.parts, asked.tries):
        print(f"{float(proved):8.4f}  {share!s:>8}  {text}", flush=True)
    seconds = time.process_time() - begun
    print(f"proved: {float(proved):.4%} of the box of half-width {asked.half:g}, {seconds:.0f} s")


if __name__ == "__main__":
    main()
