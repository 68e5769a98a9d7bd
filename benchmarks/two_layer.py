"""How often training ends in a spurious minimum, and proofs of such minima.

The student has n ReLUs, the teacher k orthonormal ones, all outputs are one. Parts:

- `table`: gradient descent with step 0.1 (Safran and Shamir, 1712.08968) and the flow from the same
  starts `W = randn/sqrt(k)`; a run counts as spurious if it ends at a loss above `FAILED`, and its
  end is one of `flows.stationary` that is a minimum. Fractions have 95 % Clopper-Pearson intervals.
- `proofs`: one spurious minimum for each k, proved, written, and checked by `flows.verify`; also
  over-parameterised ones. Processor seconds of both.
- `family`: the critical point with one student flipped, for every k (Arjevani and Field,
  2003.10576): `k L`, index, and from which k on it is a minimum.

Exits with 1 if a proof fails, a time is above its promise, or gradient and flow by hand are not
those of the library. Run

    python benchmarks/two_layer.py [--quick] [--part table|proofs|family]
"""

from __future__ import annotations

import argparse
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
from machine import describe
from mpmath import mp
from scipy.integrate import solve_ivp
from threadpoolctl import threadpool_limits

import flows
from flows.core.proportion import interval

#: Sizes (teachers, students): starts in full, and with --quick.
SIZES = {
    (6, 6): (10_000, 400),
    (7, 7): (4000, 200),
    (8, 8): (4000, 100),
    (9, 9): (2000, 100),
    (10, 10): (2000, 50),
    (20, 20): (500, 10),
    (8, 9): (4000, 0),
    (10, 11): (4000, 0),
}
STEP, LEVEL = 0.1, 0.95
#: The lowest spurious minimum known of these sizes is above this: a lower run goes to zero.
FAILED = 5e-3
#: A gradient as small ends a run if a minimum is near; time between two looks; the longest run.
ENDED, LOOK, LONGEST = 1e-6, 25.0, 4000
#: Members side by side, and the tolerance of the flow.
CHUNK, RTOL = 200, 1e-9
#: Digits of the loss for many teachers.
DIGITS = 75
#: Promised processor seconds of a proof.
PROMISED = {6: 1.0, 20: 30.0}
#: Over-parameterised points: entries of a student on its teacher, on another one and on the lonely
#: teacher; of both students beyond, on another teacher and on the lonely one.
BEYOND = {
    (8, 9): (0.984, -0.03, 0.23, (0.126, -0.189), (0.069, -0.486)),
    (10, 11): (0.992, -0.018, 0.185, (0.097, -0.19), (0.057, -0.531)),
}
#: The flipped student's point for six teachers: the same entries with one student beyond.
SIX = (0.9867, -0.0504, 0.3080, (0.2245, -0.6015))


def slopes(w: np.ndarray, v: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Loss and gradient of many students, shape (B, n, k), of the teachers."""
    n, m = w.shape[1], len(v)
    u = np.concatenate([w, np.broadcast_to(v, (len(w), *v.shape))], axis=1)
    size = np.linalg.norm(u, axis=2)
    scale = size[:, :n, None] * size[:, None, :]
    cosine = np.clip(w @ u.transpose(0, 2, 1) / scale, -1, 1)
    cosine[:, np.arange(n), np.arange(n)] = 1.0
    angle, sine = np.arccos(cosine), np.sqrt(1 - cosine * cosine)
    mu = np.r_[np.ones(n), -np.ones(m)]
    facing = (np.pi - angle) / (2 * np.pi)
    pull = (mu * size[:, None, :] * sine).sum(axis=2) / (2 * np.pi * size[:, :n])
    gradient = pull[..., None] * w + (mu * facing) @ u
    kernel = scale * (sine / (2 * np.pi) + facing * cosine)
    constant = m / 4 + m * (m - 1) / (4 * np.pi)
    own, cross = kernel[:, :, :n].sum(axis=(1, 2)) / 2, kernel[:, :, n:].sum(axis=(1, 2))
    return own - cross + constant, gradient


def descended(w: np.ndarray, v: np.ndarray) -> np.ndarray:
    """Students after the steps of gradient descent between two looks."""
    for _ in range(round(LOOK / STEP)):
        w = w - STEP * slopes(w, v)[1]
    return w


def flowed(w: np.ndarray, v: np.ndarray) -> np.ndarray:
    """Students after the flow between two looks."""
    shape = w.shape
    found = solve_ivp(
        lambda _, y: -slopes(y.reshape(shape), v)[1].ravel(),
        (0.0, LOOK),
        w.ravel(),
        method="RK45",
        rtol=RTOL,
        atol=RTOL,
        t_eval=[LOOK],
    )
    return found.y[:, -1].reshape(shape)


def spurious(
    starts: np.ndarray, v: np.ndarray, advance: Callable[[np.ndarray, np.ndarray], np.ndarray]
) -> dict[int, flows.StationaryPoint | None]:
    """Members that end in a spurious minimum, with it; None for one that has not ended."""
    system = flows.TwoLayer(students=starts.shape[1], teachers=len(v))
    found: dict[int, flows.StationaryPoint | None] = {}
    for first in range(0, len(starts), CHUNK):
        left = np.arange(first, min(first + CHUNK, len(starts)))
        w = starts[left]
        for _ in range(LONGEST):
            w = advance(w, v)
            loss, gradient = slopes(w, v)
            keep = loss > FAILED
            for k in np.flatnonzero(keep & (np.abs(gradient).max(axis=(1, 2)) < ENDED)):
                point = flows.stationary(system, w[k], reach=0.01)
                if point.kind == "minimum":
                    found[int(left[k])], keep[k] = point, False
            w, left = w[keep], left[keep]
            if not len(w):
                break
        found |= dict.fromkeys(map(int, left))
    return found


def table(quick: bool) -> bool:
    """Fractions of starts that end in spurious minima, by descent and by the flow."""
    print("| k | n | starts | descent | 95 % | flow | 95 % | differ | losses at the ends | CPU s |")
    print("|---|---|---|---|---|---|---|---|---|---|")
    good = True
    for (k, n), sizes in SIZES.items():
        size = sizes[quick]
        if not size:
            continue
        begin, v = time.process_time(), np.eye(k)
        starts = np.random.default_rng(k).normal(size=(size, n, k)) / np.sqrt(k)
        system = flows.TwoLayer(students=n, teachers=k)
        gradient = system.gradient(starts[0])
        good &= bool(np.allclose(slopes(starts[:1], v)[1][0], gradient, rtol=0, atol=1e-13))
        if n * k < 100:  # exact states of the library
            run = flows.integrate(system, starts[0], t_end=LOOK)
            good &= bool(np.allclose(flowed(starts[:1], v)[0], run.state[-1], rtol=0, atol=1e-6))
        ends = [spurious(starts, v, advance) for advance in (descended, flowed)]
        losses = sorted({f"{p.loss:.5f}" for end in ends for p in end.values() if p is not None})
        cells = []
        for end in ends:
            low, high = interval(len(end), size, LEVEL)
            cells += [f"{len(end)} ({len(end) / size:.2%})", f"{low:.2%} to {high:.2%}"]
        differ = len(set(ends[0]) ^ set(ends[1]))
        unended = sum(p is None for end in ends for p in end.values())
        spent = time.process_time() - begin
        shown = ", ".join(losses[:4]) + (f", ... ({len(losses)})" if len(losses) > 4 else "")
        row = (k, n, size, *cells, differ, shown, f"{spent:.0f}")
        print(f"| {' | '.join(map(str, row))} |", flush=True)
        if unended:
            print(f"{unended} have not ended by t = {LOOK * LONGEST:g} and are counted as spurious")
    return good


def near(k: int, own: float, other: float, lonely: float, *beyond: Any) -> np.ndarray:
    """Students that are equal but for those beyond, one row each."""
    w = np.full((k - 1 + len(beyond), k), other)
    w[np.arange(k - 1), np.arange(k - 1)] = own
    w[: k - 1, -1] = lonely
    for row, (flat, back) in zip(w[k - 1 :], beyond, strict=True):
        row[:], row[-1] = flat, back
    return w


def flipped(last: int) -> dict[int, flows.StationaryPoint]:
    """The critical point with one student flipped, from 3 teachers to so many."""
    found = {}
    for ks in (range(6, 2, -1), range(7, last + 1)):
        entries = SIX
        for k in ks:
            point = flows.stationary(flows.TwoLayer(students=k, teachers=k), near(k, *entries))
            found[k], w = point, point.state
            entries = (w[0, 0], w[0, 1], w[0, -1], (w[-1, 0], w[-1, -1]))
    return found


def proofs(quick: bool) -> bool:
    """One spurious minimum of each size, proved and checked."""
    print("| k | n | loss | radius | Hessian >= | alone within | prove, CPU s | verify, CPU s |")
    print("|---|---|---|---|---|---|---|---|")
    family = flipped(10 if quick else 20)
    points = {(k, k): family[k] for k in (6, 7, 8, 9, 10, 20) if k in family}
    for (k, n), entries in BEYOND.items():
        points[k, n] = flows.stationary(flows.TwoLayer(students=n, teachers=k), near(k, *entries))
    good = True
    with tempfile.TemporaryDirectory() as folder:
        for (k, n), point in points.items():
            path = Path(folder) / f"{k}_{n}.json"
            begin = time.process_time()
            proof = point.certify()
            middle = time.process_time()
            proof.save(path)
            check = flows.verify(path)
            spent, checked = middle - begin, time.process_time() - middle
            told = proof.summary()
            print(
                f"| {k} | {n} | {told['loss']['value'][:24]} | {told['loss']['radius']:.1e} |"
                f" {proof.within.least:.10g} | {proof.radius:.4g} | {spent:.2f} | {checked:.2f} |",
                flush=True,
            )
            proved = check.accepted and proof.kind == "minimum" and point.loss > FAILED
            good &= proved and spent < PROMISED.get(k, 30.0)
    return good


def family(quick: bool) -> bool:
    """The point with one student flipped: where it becomes a minimum, and its loss for many."""
    print("| k | loss | k L | index | least eigenvalue |")
    print("|---|---|---|---|---|")
    points = flipped(8 if quick else 20)
    for k in sorted(points):
        p = points[k]
        row = (k, f"{p.loss:.10f}", f"{k * p.loss:.6f}", p.index, f"{p.eigenvalues[0]:.6g}")
        print(f"| {' | '.join(map(str, row))} |")
    good = points[5].index > 0 == points[6].index
    good &= points[5].certify().kind == "saddle" and points[6].certify().kind == "minimum"
    entries = [mp.mpf(x) for x in (*SIX[:3], *SIX[3])]
    print("| k | k L | (k L - 1/2 + 2/pi^2) k^(1/2) |")
    print("|---|---|---|")
    k = 6
    for target in (10, 20, 50, 100, 1000, 10**4, 10**5, 10**6)[: 4 if quick else None]:
        while k < target:
            k = min(target, k * 3 // 2)
            with mp.workdps(DIGITS):
                slope = lambda *p, k=k: _slopes_of_five(p, k)  # noqa: E731
                entries = list(mp.findroot(slope, entries, tol=mp.mpf(10) ** -30))
        with mp.workdps(DIGITS):
            value = k * _loss_of_five(entries, k)
            limit = mp.mpf(1) / 2 - 2 / mp.pi**2
            print(f"| {k} | {mp.nstr(value, 12)} | {mp.nstr((value - limit) * mp.sqrt(k), 8)} |")
    return good


def _kernel(a: Any, b: Any, c: Any) -> Any:
    """Arc-cosine kernel of two squared lengths and the product, with many digits."""
    size = mp.sqrt(a * b)
    cosine = c / size
    return size * (mp.sqrt(1 - cosine**2) + (mp.pi - mp.acos(cosine)) * cosine) / (2 * mp.pi)


def _loss_of_five(entries: Any, k: int) -> Any:
    """Loss of `near(k, ...)` with one student beyond, a sum over classes of pairs."""
    own, other, lonely, flat, back = entries
    a = own**2 + (k - 2) * other**2 + lonely**2
    b = (k - 1) * flat**2 + back**2
    alike = 2 * own * other + (k - 3) * other**2 + lonely**2
    across = own * flat + (k - 2) * other * flat + lonely * back
    drawn = _kernel(a, 1, own) + (k - 2) * _kernel(a, 1, other) + _kernel(a, 1, lonely)
    total = (k - 1) * a / 4 + b / 4 + mp.mpf(k) / 4 + mp.mpf(k) * (k - 1) / (4 * mp.pi)
    total += (k - 1) * (k - 2) * _kernel(a, a, alike) / 2 + (k - 1) * _kernel(a, b, across)
    return total - (k - 1) * (drawn + _kernel(b, 1, flat)) - _kernel(b, 1, back)


def _slopes_of_five(entries: Any, k: int) -> list[Any]:
    """Derivatives of the loss by the five entries: differences at many digits."""
    step, found = mp.mpf(10) ** (-mp.dps // 3), []
    for i in range(5):
        up, down = list(entries), list(entries)
        up[i], down[i] = up[i] + step, down[i] - step
        found.append((_loss_of_five(up, k) - _loss_of_five(down, k)) / (2 * step))
    return found


PARTS = {"table": table, "proofs": proofs, "family": family}


def main() -> int:
    """Run the parts."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--quick", action="store_true", help="few starts and small sizes")
    parser.add_argument("--part", choices=PARTS, help="one part only")
    options = parser.parse_args()
    print(describe())
    good = True
    for name in [options.part] if options.part else PARTS:
        print(f"\n{name}")
        with threadpool_limits(1):
            good &= PARTS[name](options.quick)
    return 0 if good else 1


if __name__ == "__main__":
    sys.exit(main())
