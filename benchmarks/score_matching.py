"""Score matching: accuracy of loss and gradient, both gradient forms, offsets, small losses, speed.

Run

    python benchmarks/score_matching.py [--quick]

Exits with 1 if an error or a time is above its bound. References: means on a line with 40 digits,
means in two and three dimensions with a trapezoidal rule of this file, which knows nothing of the
solver's nodes and forms, and for a run a solution with 50 digits.
"""

from __future__ import annotations

import argparse
import sys
import time
from collections.abc import Iterator
from typing import Any

import numpy as np
from machine import describe
from oracle_path import PATHS
from rich.console import Console
from rich.table import Table

import flows
from flows.ensembles.score_matching import cluster_start, linear_spread, threshold

sys.path.extend(PATHS)
from oracles import mixture_lines

EXPECTATION, FORMS, SMALL_LOSS = 1e-8, 1e-10, 1e-6
# The linearised flow leaves out a part of about spread (1 + |m|); a run adds its own error.
SECOND_ORDER, RUN = 1.0, 1e-8
COLLAPSE, FAR_REGIME = 30.0, 5.0
# Enough for the deviations to span three dimensions.
COMPONENTS = 4
# Nodes: a step whose error is exp(-DIGITS) where posteriors have their poles, and how far.
DIGITS, REACH, STEP = 36.0, 9.0, 0.4
CHUNK = 200_000


def grid(means: np.ndarray) -> Iterator[tuple[np.ndarray, np.ndarray]]:
    """Nodes and weights of a trapezoidal rule for `N(0, I)`, in chunks.

    Along an axis a posterior has its poles at `pi` over the distance of two means along it.
    """
    lines = []
    for along in means.T:
        step = min(STEP, 2 * np.pi**2 / (DIGITS * max(np.ptp(along), 1e-3)))
        count = int(np.ceil(max(REACH, np.abs(along).max() + 3) / step))
        x = step * np.arange(-count, count + 1)
        lines.append((x, step * np.exp(-(x**2) / 2) / np.sqrt(2 * np.pi)))
    sizes = tuple(len(x) for x, _ in lines)
    for first in range(0, int(np.prod(sizes)), CHUNK):
        index = np.unravel_index(np.arange(first, min(first + CHUNK, np.prod(sizes))), sizes)
        picked = [(x[i], w[i]) for (x, w), i in zip(lines, index, strict=True)]
        yield (np.stack([x for x, _ in picked], axis=1), np.prod([w for _, w in picked], axis=0))


def by_definition(means: np.ndarray) -> tuple[float, np.ndarray, np.ndarray]:
    """Loss `E|v|^2`, its gradient by differentiation, and that of Lemma 2.2, equal weights."""
    axes = np.linalg.svd(means - means.mean(axis=0))[2]
    mu = means @ axes.T  # the longest distance along the first axis, so that others need few nodes
    loss, direct, stein = 0.0, np.zeros_like(mu), np.zeros_like(mu)
    for x, weight in grid(mu):
        logs = x @ mu.T - np.sum(mu**2, axis=1) / 2
        psi = np.exp(logs - logs.max(axis=1, keepdims=True))
        psi /= psi.sum(axis=1, keepdims=True)
        v = psi @ mu
        share = weight[:, None] * psi
        length = np.sum(v**2, axis=1)
        loss += weight @ length
        inner = v @ mu.T
        common = share.T @ v
        pull = share * (inner - length[:, None])
        direct += common + pull.T @ x - pull.sum(axis=0)[:, None] * mu
        # psi_i [ S mu_i - 2 (v.mu_i) v - 2 S v + 3 |v|^2 v ] with S = sum_j psi_j mu_j mu_j^T
        second = (psi[:, :, None] * mu).transpose(0, 2, 1) @ mu
        turned = np.einsum("ni,nab->iab", share, second)
        stein += common + np.einsum("iab,ib->ia", turned, mu)
        stein += share.T @ (3 * length[:, None] * v - 2 * np.einsum("nab,nb->na", second, v))
        stein -= 2 * (share * inner).T @ v
    return float(loss), 2 * direct @ axes, 2 * stein @ axes


def relative(found: Any, exact: Any) -> float:
    """Largest difference relative to the largest entry."""
    return float(np.max(np.abs(np.asarray(found) - exact)) / np.max(np.abs(exact)))


def configurations(r: int) -> Iterator[tuple[str, np.ndarray]]:
    """Means in `r` dimensions of every kind: clusters, spread, one at home and others far."""
    normal = np.random.default_rng(r).normal(size=(COMPONENTS, r))
    for distance in (4.0, 6.0):
        for offset in (1e-7, 1e-12):
            yield (
                f"cluster at {distance:g}, offsets {offset:g}",
                cluster_start(COMPONENTS, r, distance, offset, r),
            )
    for scale in (1e-2, 0.3, 1.0, 3.0):
        yield f"spread {scale:g}", scale * normal / np.abs(normal).max()
    for distance in (6.0, 12.0, 20.0):
        means = 0.3 * normal
        means[0] = 0.0  # exactly at home: the loss is that of the tails alone
        means[1:, 0] += distance
        yield f"far, R = {distance:g}", means
    # Directions of their own: the layers cross, and nodes must be dense along them too.
    means = normal / np.linalg.norm(normal, axis=1, keepdims=True)
    means *= np.array([0.0, 8.0, 7.6, 7.2])[:, None]
    yield "far, own directions, R = 8", means


def expectations(console: Console) -> bool:
    """Table of errors of loss and gradient, and the difference of the two forms of the gradient."""
    table = Table(
        title=f"relative errors, {COMPONENTS} components; forms: gradient against Lemma 2.2"
    )
    for heading in ("r", "means", "loss", "error", "gradient", "forms", "measured", "nodes", "ms"):
        table.add_column(heading, justify="left" if heading == "means" else "right")
    good = True
    for r in (1, 2, 3):
        system = flows.ScoreMatching(COMPONENTS, r)
        for name, means in configurations(r):
            begun = time.perf_counter()
            found = system.expectations(means)
            spent = time.perf_counter() - begun
            loss, gradient, stein = by_definition(means)
            if r == 1:
                exact = mixture_lines.expectations(True, means[:, 0].tolist(), [1] * COMPONENTS, 40)
                loss, gradient = float(exact[0]), np.array(exact[1], dtype=float)[:, None]
            errors = abs(found.loss / loss - 1), relative(found.gradient, gradient)
            forms = relative(found.gradient, stein)
            bad = max(errors) > EXPECTATION or forms > FORMS
            good &= not bad
            table.add_row(
                f"{r}",
                name,
                f"{found.loss:.1e}",
                *(f"{e:.1e}" for e in errors),
                f"{forms:.1e}",
                f"{found.error:.1e}",
                f"{found.nodes}",
                f"{1e3 * spent:.1f}{' !' if bad else ''}",
            )
    console.print(table)
    return good


def offsets(console: Console) -> bool:
    """Growth of the offsets of a cluster against the linearised flow, and the threshold."""
    good = True
    for distance in (4.0, 6.0):
        for noise in (1e-7, 1e-12):
            system = flows.ScoreMatching(5, 3, target=(-distance, 0, 0))
            run = flows.integrate(system, system.initial(noise, 0), 10.0)
            spread, law = run.features["spread"], linear_spread(run)
            small = spread * (1 + run.features["mean_norm"])
            linear = small <= 1e-3
            excess = np.abs(spread / law - 1)[linear] / (SECOND_ORDER * small[linear] + RUN)
            last = np.flatnonzero(linear)[-1]
            good &= bool(excess.max() <= 1) and bool(run.completed)
            console.print(
                f"cluster at {distance:g}, offsets {noise:g}: times {spread[last] / spread[0]:.3e} "
                f"by t = {run.t[last]:.2g} (linearised {law[last] / spread[0]:.3e}), "
                f"off by {excess.max():.2f} of spread (1 + |m|)"
            )
    low, high = threshold(5, 3, 1e-7)
    console.print(
        f"n = 5, d = 3, offsets 1e-7: all converge from M = {low:.3f}, "
        f"they part from M = {high:.3f}"
    )
    return good and 4 < low < high < 6


def speed(console: Console) -> bool:
    """Time the collapse of a cluster in three dimensions, and the far regime on a line."""
    system = flows.ScoreMatching(5, 3)
    # Compiled before the clock runs.
    flows.integrate(flows.ScoreMatching(2, 1), [[1.0], [2.0]], 1.0)
    collapse = flows.integrate(system, cluster_start(5, 3, 4.0, 1e-7), 1e4)
    console.print(
        f"n = 5, d = 3 from (4, 0, 0) + 1e-7 to t = 1e4: {collapse.stats['seconds']:.2f}"
        f" s, longest mean {collapse['max_norm'][-1]:.2g}, "
        f"{collapse.stats['field_evaluations']} fields"
    )
    away = flows.integrate(flows.ScoreMatching(3, 1), [[6.0], [7.0], [7.5]], 1e6)
    console.print(
        f"n = 3, d = 1, far regime to t = 1e6: {away.stats['seconds']:.2f} s, "
        f"R = {away['max_norm'][-1]:.3g}, "
        f"{away.stats['field_evaluations']} fields"
    )
    good = collapse.completed and collapse.stats["seconds"] < COLLAPSE
    good &= bool(collapse["max_norm"][-1] < 0.05)
    return good and away.completed and away.stats["seconds"] < FAR_REGIME


def small_losses(console: Console, reference: bool) -> bool:
    """Loss down to 1e-20 and below, along a run against 50 digits."""
    system, means, end = flows.ScoreMatching(3, 2), cluster_start(3, 2, 4.0, 1e-7), 1e12
    run = flows.integrate(system, means, end)
    console.print(
        f"n = 3, d = 2 from (4, 0) + 1e-7 to t = {end:g}: loss {run['loss'][-1]:.3e}, "
        f"exponent {flows.local_exponent(run)[-1]:.6f}"
    )
    good = run.completed and bool(run["loss"][-1] < 1e-20)
    if not reference:
        return good
    line, begin = flows.ScoreMatching(2, 1), [[0.6], [-0.3]]
    times = [10.0**k for k in range(-1, 11)]
    exact = flows.integrate(line, begin, times[-1], t_eval=times, method="reference")
    fast = flows.integrate(line, begin, times[-1], t_eval=times)
    error = float(np.abs(fast["loss"] / exact["loss"] - 1).max())
    console.print(
        f"n = 2, d = 1 to t = {times[-1]:g}: loss {fast['loss'][-1]:.3e}, relative error "
        f"at most {error:.1e} (reference: {exact.stats['seconds']:.0f} s)"
    )
    return good and exact.completed and bool(fast["loss"][-1] < 1e-20) and error < SMALL_LOSS


def main() -> int:
    """Print the tables."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--quick", action="store_true", help="no reference run")
    options = parser.parse_args()
    console = Console(width=None if sys.stdout.isatty() else 118)
    console.print(describe())
    flows.ScoreMatching(2, 1).loss([[1.0], [2.0]])  # compile before the clock runs
    good = [expectations(console), offsets(console), speed(console)]
    good.append(small_losses(console, reference=not options.quick))
    return 0 if all(good) else 1


if __name__ == "__main__":
    sys.exit(main())
