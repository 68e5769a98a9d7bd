"""Runs of neurons that are made, not integrated: powers, turns and exponentials of time."""

from dataclasses import replace

import numpy as np

import potentials
from flows.runs.check import check
from oracles.measured import Measured

CLAIMS = {c.id: c for c in potentials.claims("relu_neuron")}
# Linear rates, which a power tail does not have.
LINEAR = {"exact_param_rate", "parallel_rate", "equal_rate"}
ASYMPTOTIC = [i for i, c in CLAIMS.items() if c.asymptotic and i not in LINEAR]


def times(end):
    return np.concatenate([[0.0], np.geomspace(1e-3, end, 10 * round(np.log10(end / 1e-3)) + 1)])


def power_run(v=1.0, end=1e9, **changes):
    """Two neurons with `L ~ t^-3`, `z ~ t^-1`, `theta ~ t^-1`, `H = e^-t`, small at the start."""
    t = times(end)
    s, one, fast = 2 + t, np.ones_like(t), np.exp(-t)

    def both(x):
        return np.stack([x, x], axis=1)

    def column(x):
        return x[:, None]

    h, theta = (1 - 0.999 * fast) * v / 2, 1.2 / s
    features = {
        "loss": v**2 * s**-3,
        "loss_dot": -3 * v**2 * s**-4,
        "gradient_norm": np.sqrt(3) * v * s**-2,
        "curvature": 1 / s,
        "residual_norm": 0.999 * v * fast,
        "rho": -0.999 * v * fast,
        "rho_dot": 0.999 * v * fast,
        "h": both(h),
        "h_dot": both(0.999 * v * fast / 2),
        "zeta": both(0.15 * v / s),
        "zeta_dot": both(-0.15 * v * s**-2),
        "norm": both(h),
        "norm_dot": both(0.999 * v * fast / 2),
        "theta": both(theta),
        "theta_dot": both(-1.2 * s**-2),
        "distance": column(0.3 * v / s),
        "distance_dot": column(-0.3 * v * s**-2),
        "kappa": column(1.5 - 0.6 / s),
        "kappa_dot": column(one),
        "theta_pair": column(theta),
        "theta_pair_dot": column(-1.2 * s**-2),
    }
    return Measured(
        t, features, {"system": "relu_neuron", "n": 2, "d": 6, "teacher_norm": v}, **changes
    )


def turning_run():
    """The same run with wide angles that soon fall, so that its first phases say something."""
    run = power_run()
    s = 1 + 30 * run.t[:, None] * np.ones(2)
    return replace(run, features={**run.features, "theta": 2.6 / s, "theta_dot": -78 * s**-2})


def exponential_run(n=1, end=1e9):
    """The residual of one neuron: `L = e^-t/4`, `|grad L| = e^(-t/2)/2`."""
    run = power_run(end=end)
    r = np.exp(-run.t / 2)
    tail = {"loss": r**2 / 4, "loss_dot": -(r**2) / 4, "gradient_norm": r / 2}
    features = {k: x[:, :n] if x.ndim == 2 else x for k, x in (run.features | tail).items()}
    pairs = ("distance", "kappa", "theta_pair")
    if n == 1:
        features |= {k + e: np.zeros((len(r), 0)) for k in pairs for e in ("", "_dot")}
    return replace(run, features=features, parameters=run.parameters | {"n": n})


def verdict(run, claim):
    (found,) = check(run, claim)
    return found


def bare(claim, **changes):
    """The claim without hypotheses, possibly broken: what the conclusion alone gives."""
    return replace(CLAIMS[claim], hypotheses=(), **changes)


PHASES = ("phase1_angles", "phase2_residual")


def made_for(claim):
    """Run on which a claim says something."""
    return turning_run() if claim in PHASES else power_run()
