"""The ReLU neuron as one writes it by hand for a general solver; nothing of popflow is used.

Reads ``{"starts": [...], "rtol": R, "t_end": T}`` from standard input and prints JSON, one object a
line: first the seconds until the tool is ready, then for every start how far it has come, after how
many seconds of processor time, with which state. Whoever reads can stop it when its time is up:

    python benchmarks/by_hand.py TOOL        (benchmarks/others.py does)

All but ``diffrax-arccos`` take the residual ``r = sum w_i - v`` as a variable, and all neurons but
the last.
"""

from __future__ import annotations

import json
import sys
import time
from collections.abc import Callable, Iterator
from itertools import product
from math import pi
from typing import Any

import numpy as np

# Below the last residual, about 1e-18; lower ones make a multistep solver crawl.
ATOL = 1e-18
# Steps between two outputs. Those of diffrax are its default, and heyoka's for a look at the time.
MAX_STEPS, DIFFRAX_STEPS, HEYOKA_STEPS = 1_000_000, 4096, 100_000

Course = Iterator[tuple[float, Any, str]]  # time, state, note
Solver = Callable[[Any, float], Course]  # of a start and an end


def decades(t_end: float) -> list[float]:
    """Output times 1, 10, ..., t_end."""
    return [10.0**k for k in range(round(np.log10(t_end)) + 1)]


def encode(start: Any) -> list[float]:
    """Residual and neurons but the last."""
    w = np.array(start)
    return (w.sum(axis=0) - np.eye(1, w.shape[1])[0]).tolist() + w[:-1].ravel().tolist()


def residual_field(y: Any, n: int, d: int, tool: Any, keep: Any = lambda part: part) -> list[Any]:
    """Field as scalar expressions of a tool with sqrt, sin, atan2; ``keep`` may name a part."""
    v = [1.0] + [0.0] * (d - 1)
    residual, rest = y[:d], [y[d * i : d * (i + 1)] for i in range(1, n)]
    last = [keep(residual[a] + v[a] - sum(w[a] for w in rest)) for a in range(d)]
    norms = [keep(tool.sqrt(sum(x * x for x in w))) for w in (*rest, last)] + [1.0]
    units = [[keep(x / norms[i]) for x in w] for i, w in enumerate((*rest, last))] + [v]
    slopes = [[-0.5 * x for x in residual] for _ in range(n)]
    for i, j in product(range(n), range(n + 1)):
        if i == j:
            continue
        minus = [keep(a - b) for a, b in zip(units[i], units[j], strict=True)]
        plus = [a + b for a, b in zip(units[i], units[j], strict=True)]
        chords = [keep(tool.sqrt(sum(x * x for x in part))) for part in (minus, plus)]
        theta = keep(2.0 * tool.atan2(*chords))
        turn, size = keep(tool.sin(theta) - theta), (norms[j] if j < n else -1.0) / (2 * pi)
        for a in range(d):
            slopes[i][a] -= size * (turn * units[i][a] + theta * minus[a])
    return [sum(s[a] for s in slopes) for a in range(d)] + [x for s in slopes[:-1] for x in s]


def jitcode(n: int, d: int, rtol: float) -> Solver:
    """JiTCODE: compiled C with its symbolic Jacobian, LSODA."""
    import symengine
    from jitcode import jitcode as system
    from jitcode import y

    helpers: list[tuple[Any, Any]] = []

    def keep(part: Any) -> Any:
        helpers.append((symengine.Symbol(f"part{len(helpers)}"), part))
        return helpers[-1][0]

    field = residual_field([y(k) for k in range(n * d)], n, d, symengine, keep)
    ode = system(field, helpers=helpers, wants_jacobian=True, verbose=False)
    # By default it simplifies the Jacobian, and compiles it without sharing: minutes each.
    ode.generate_jac_sym(simplify=False)
    ode.generate_jac_C(do_cse=True)
    ode.compile_C(extra_compile_args=["-O2", "-march=native", "-w"])

    def run(start: Any, t_end: float) -> Course:
        ode.set_initial_value(encode(start), 0.0)
        ode.set_integrator("lsoda", rtol=rtol, atol=ATOL, nsteps=MAX_STEPS)
        for t in decades(t_end):
            try:
                state = ode.integrate(t)
            except Exception as problem:  # whatever it says
                yield float(ode.t), None, type(problem).__name__
                return
            yield t, state, ""

    return run


def heyoka(n: int, d: int, rtol: float) -> Solver:
    """Taylor series of an order that follows from the tolerance, compiled by heyoka."""
    import heyoka as hy

    y = hy.make_vars(*(f"y{k}" for k in range(n * d)))
    field = residual_field(y, n, d, hy)
    taylor = hy.taylor_adaptive(list(zip(y, field, strict=True)), [0.1] * (n * d), tol=rtol)

    def run(start: Any, t_end: float) -> Course:
        taylor.time = 0.0
        taylor.state[:] = encode(start)
        while taylor.time < t_end:
            outcome = taylor.propagate_until(t_end, max_steps=HEYOKA_STEPS)[0]
            good = outcome in (hy.taylor_outcome.step_limit, hy.taylor_outcome.time_limit)
            yield taylor.time, taylor.state, "" if good else str(outcome)
            if not good:
                return

    return run


def casadi(n: int, d: int, rtol: float) -> Solver:
    """CVODES with CasADi's derivatives."""
    import casadi as ca

    x = ca.SX.sym("x", n * d)
    field = ca.vertcat(*residual_field(ca.vertsplit(x), n, d, ca))
    options = {
        "reltol": rtol,
        "abstol": ATOL,
        "max_num_steps": MAX_STEPS,
        "disable_internal_warnings": True,
    }

    def run(start: Any, t_end: float) -> Course:
        note = ""
        for last in reversed(range(len(decades(t_end)))):
            times = decades(t_end)[: last + 1]
            solve = ca.integrator("flow", "cvodes", {"x": x, "ode": field}, 0.0, times, options)
            try:
                yield times[-1], solve(x0=encode(start))["xf"].full()[:, -1], note
                return
            except RuntimeError as problem:  # it does not say how far it came: a shorter run
                words = [word for word in str(problem).split() if "CV_" in word]
                note = note or (words or ["failed"])[0]

    return run


def kvaerno(field: Callable[..., Any], rtol: float) -> Callable[[Any, float], Course]:
    """Diffrax's Kvaerno5, as many times its default number of steps as it takes."""
    import diffrax
    import jax
    import jax.numpy as jnp

    @jax.jit
    def solve(t0: Any, t1: Any, dt0: Any, y0: Any) -> Any:
        return diffrax.diffeqsolve(
            diffrax.ODETerm(field),
            diffrax.Kvaerno5(),
            t0,
            t1,
            dt0,
            y0,
            throw=False,
            stepsize_controller=diffrax.PIDController(rtol=rtol, atol=ATOL),
            saveat=diffrax.SaveAt(t1=True),
            max_steps=DIFFRAX_STEPS,
        )

    def run(y0: Any, t_end: float) -> Course:
        t, y, note = 0.0, jnp.asarray(y0), ""
        while t < t_end:
            before = t
            found = solve(t, t_end, min(1e-3 * max(t, 1.0), t_end - t), y)
            t, y = float(found.ts[-1]), found.ys[-1]
            if not bool(jnp.isfinite(y).all()):
                note += f"; not finite after t = {before:.3g}"
            elif t < t_end and not note:
                note = f"{DIFFRAX_STEPS} steps end at t = {t:.3g}"
            yield t, np.asarray(y), note
            if not t > before or not bool(jnp.isfinite(y).all()):
                return

    return run


def diffrax_residual(n: int, d: int, rtol: float) -> Solver:
    """Kvaerno5 in residual coordinates."""
    import jax.numpy as jnp

    v = jnp.eye(1, d)[0]
    # Ordered pairs of different vectors: the derivative of a norm at zero is NaN.
    i, j = np.array([p for p in product(range(n), range(n + 1)) if p[0] != p[1]]).T
    sign = jnp.where(j == n, -1.0, 1.0)

    def field(t: Any, y: Any, args: Any) -> Any:
        residual, rest = y[:d], y[d:].reshape(n - 1, d)
        w = jnp.vstack([rest, residual + v - rest.sum(axis=0), v])
        norms = jnp.linalg.norm(w, axis=1)
        units = w / norms[:, None]
        minus, plus = units[i] - units[j], units[i] + units[j]
        chord, antichord = jnp.linalg.norm(minus, axis=1), jnp.linalg.norm(plus, axis=1)
        theta = 2 * jnp.arctan2(chord, antichord)
        size = sign * norms[j] / (2 * pi)
        pulls = (size * (jnp.sin(theta) - theta))[:, None] * units[i]
        pulls += (size * theta)[:, None] * minus
        slope = (-0.5 * residual * jnp.ones((n, 1))).at[i].add(-pulls)
        return jnp.concatenate([slope.sum(axis=0), slope[:-1].ravel()])

    run = kvaerno(field, rtol)
    return lambda start, t_end: run(encode(start), t_end)


def diffrax_arccos(n: int, d: int, rtol: float) -> Solver:
    """Kvaerno5 in the neurons themselves, as equation 4 of Xu & Du reads."""
    import jax.numpy as jnp

    v = jnp.eye(1, d)[0]
    i, j = np.array([p for p in product(range(n), repeat=2) if p[0] != p[1]]).T

    def field(t: Any, y: Any, args: Any) -> Any:
        w = y.reshape(n, d)
        norms = jnp.linalg.norm(w, axis=1)
        units = w / norms[:, None]
        between = jnp.arccos(jnp.clip(jnp.sum(units[i] * units[j], axis=1), -1.0, 1.0))
        theta = jnp.arccos(jnp.clip(units @ v, -1.0, 1.0))
        along = (-jnp.sin(theta)).at[i].add(norms[j] * jnp.sin(between))
        turn = (theta[:, None] * v).at[i].add(-between[:, None] * w[j])
        return -(0.5 * (w.sum(axis=0) - v) + (along[:, None] * units + turn) / (2 * pi)).ravel()

    run = kvaerno(field, rtol)
    return lambda start, t_end: run(np.ravel(start), t_end)


TOOLS: dict[str, Callable[[int, int, float], Solver]] = {
    "diffrax-arccos": diffrax_arccos,
    "diffrax": diffrax_residual,
    "casadi": casadi,
    "jitcode": jitcode,
    "heyoka": heyoka,
}


def main() -> None:
    """Solve what standard input asks for."""
    tool, job = sys.argv[1], json.load(sys.stdin)
    if tool.startswith("diffrax"):
        import jax

        jax.config.update("jax_enable_x64", True)  # this process is ours
    begun = time.perf_counter()
    starts = np.array(job["starts"])
    run = TOOLS[tool](*starts.shape[1:], job["rtol"])
    for _ in run(starts[0], 1.0):  # what is compiled at the first call
        pass
    print(json.dumps({"cold": time.perf_counter() - begun}), flush=True)
    for k, start in enumerate(starts):
        begun = time.process_time()
        for t, state, note in run(start, job["t_end"]):
            seconds = time.process_time() - begun
            numbers = None if state is None else np.asarray(state, float).tolist()
            print(
                json.dumps(
                    {"start": k, "seconds": seconds, "t": t, "state": numbers, "note": note}
                ),
                flush=True,
            )


if __name__ == "__main__":
    main()
