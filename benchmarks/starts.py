"""Which share of a box of starts is proved: two neurons, the law ``t^-3`` for all times.

The box holds all starts whose entries are within ``--half`` of a given one. It is proved by balls
about boxes, each certificate accepted by the independent checker; a box without a proof is halved
along its longest side. What is proved is a part of the box in Lebesgue's measure, not a sample.
"""

from __future__ import annotations

import argparse
import heapq
import math
import time
from collections.abc import Iterator
from fractions import Fraction

import numpy as np

import flows
from flows.certificates.certify import Uncertified


def attempts(
    system: flows.ReLUNeuron, middle: np.ndarray, half: float, tries: int
) -> Iterator[tuple[Fraction, Fraction, str]]:
    """After each attempt: the share that is proved, the share of this box, and what came of it."""
    count, proved = 0, Fraction(0)
    heap = [(-1.0, count, middle.ravel(), np.full(middle.size, half), Fraction(1))]
    while heap and count < tries:
        _, _, centre, sides, share = heapq.heappop(heap)
        count += 1
        radius = float(np.linalg.norm(sides)) * (1 + 1e-12)  # beyond the corners
        try:
            made = flows.certify(system, centre.reshape(middle.shape), math.inf, radius=radius)
            proved += share
            yield proved, share, f"t^3 L -> {made.infinity.constant.str(3)}"
        except (Uncertified, flows.InputError) as problem:
            axis = int(np.argmax(sides))
            step = np.eye(middle.size)[axis] * sides[axis] / 2
            for k, part in enumerate((centre - step, centre + step)):
                heapq.heappush(
                    heap, (-float(share / 2), 2 * count + k, part, sides - step, share / 2)
                )
            yield proved, share, str(problem)[:60]


def main() -> None:
    """Print each attempt, and the share in the end."""
    options = argparse.ArgumentParser(description=__doc__)
    options.add_argument("--seed", type=int, default=1)
    options.add_argument("--d", type=int, default=2)
    options.add_argument("--half", type=float, default=2e-3)
    options.add_argument("--tries", type=int, default=40)
    asked = options.parse_args()
    system = flows.ReLUNeuron(n=2, d=asked.d)
    begun, proved = time.process_time(), Fraction(0)
    for proved, share, text in attempts(
        system, system.initial(0.1, seed=asked.seed), asked.half, asked.tries
    ):
        print(f"{float(proved):8.4f}  {share!s:>8}  {text}", flush=True)
    seconds = time.process_time() - begun
    print(f"proved: {float(proved):.4%} of the box of half-width {asked.half:g}, {seconds:.0f} s")


if __name__ == "__main__":
    main()
