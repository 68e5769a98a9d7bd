"""Which proofs each system has: a table of kinds of certificates, each made, checked and timed.

A cell has the processor seconds of making and checking, the number of claims that are decided, or
the reason why there is no proof. Exits with 1 if a certificate is refused. Run

    python benchmarks/certified_systems.py
"""

from __future__ import annotations

import math
import sys
import time
from typing import Any, NamedTuple

import numpy as np
import sympy as sp
from machine import describe

import flows
from flows.certificates.certificate import Certificate
from flows.certificates.certify import Uncertified
from flows.certificates.verdicts import verdicts
from symbolic import Expectation

DIGITS, END, SHORT, RADIUS = 16, 10.0, 1.0, 1e-6
X, Y, Z = sp.symbols("x y z")
P = sp.Symbol("P")
TEACHERS = np.eye(2)


class Case(NamedTuple):
    """A system and a start."""

    name: str
    system: Any
    start: Any


def cases() -> list[Case]:
    """One small problem of each kind."""
    neurons = flows.ReLUNeuron(n=2, d=2)
    layers = flows.MatrixFactorization(d=1, field="real", regularization=1.0, depth=2)
    means = [[0.75], [-0.5]]
    hidden = {k: flows.TwoLayer(2, TEACHERS, activation=k) for k in ("relu", "erf", "quadratic")}
    own = {
        "own, polynomial": (X * Y - 1) ** 2 / 2,
        "own, exp": sp.exp(X) - X + (Y - X) ** 2,
        "own, closed mean": Expectation(sp.Max(0, X * Z + Y) ** 2, [Z]) / 2 - X - Y,
        "own, other mean": Expectation(sp.tanh(X * Z - Y) ** 2, [Z]) + X**2,
    }
    near = {"potentials": {"P": X**2 + Y**2}, "claims": [flows.theorem("bounded", P <= 10)]}
    return [
        Case("`relu_neuron`", neurons, neurons.initial(0.1, 0)),
        Case("`matrix_factorization`", layers, layers.initial(0.5, 1)),
        Case("`gmm_em`, d = 1", flows.GMMEM(n=2, d=1), means),
        Case("`gmm_em`, d = 2", flows.GMMEM(n=2, d=2), [[0.75, 0.25], [-0.5, 0.5]]),
        Case("`score_matching`, d = 1", flows.ScoreMatching(n=2, d=1), means),
        *(
            Case(f"`two_layer`, {k}", system, system.initial(seed=0))
            for k, system in hidden.items()
        ),
        *(Case(k, flows.OwnSystem("own", [X, Y], e, **near), [0.5, 0.75]) for k, e in own.items()),
    ]


def made(case: Case, end: float, radius: float) -> tuple[str, Certificate | None]:
    """A cell of the table, and the certificate."""
    begun = time.process_time()
    try:
        found = flows.certify(case.system, case.start, end, digits=DIGITS, radius=radius)
    except (flows.InputError, Uncertified) as reason:
        why = "no certificates" if isinstance(reason, flows.InputError) else "no proof"
        print(f"{case.name}: {reason}", file=sys.stderr)
        return why, None
    if not (checked := flows.verify(found)).accepted:
        raise SystemExit(f"{case.name}: refused: {checked.refused}")
    return f"{time.process_time() - begun:.1f} s", found


def decided(certificate: Certificate | None) -> str:
    """How many claims are decided along the flow."""
    if certificate is None or not (found := verdicts(certificate)):
        return "-"
    return f"{sum(str(v.verdict) != 'UNDECIDED' for v in found)} of {len(found)}"


def main() -> None:
    """Print the table."""
    print(describe(), file=sys.stderr)
    print("| system | to t = 10 | ball of starts | claims decided | for all times |")
    print("|---|---|---|---|---|")
    for case in cases():
        finite, certificate = made(case, END, 0.0)
        ball, _ = made(case, SHORT, RADIUS)
        ever, _ = made(case, math.inf, 0.0)
        print(f"| {case.name} | {finite} | {ball} | {decided(certificate)} | {ever} |", flush=True)


if __name__ == "__main__":
    main()
