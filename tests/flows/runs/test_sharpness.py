"""Every number of every claim, broken a little on a run where the claim holds.

An exponent is broken by a tenth, an explicit constant by a thousandth. Either the verdict is
VIOLATED, or the verdict on the claim itself has said that it would not be: it prints by how much
the number can be sharper, and from there on the break is seen.
"""

import functools
from dataclasses import replace

import numpy as np
import pytest
import sympy as sp
from oracles.hidden_layer import flipped
from scipy.optimize import brentq

import flows
import potentials
from potentials.claim import EXPONENT

A_TENTH, A_THOUSANDTH = sp.Rational(1, 10), sp.Rational(1, 1000)
#: Resolutions of exponents are found to a twentieth.
BEYOND = sp.Rational(11, 10)
HOLDS = ("HOLDS", "HOLDS_BEYOND")


def of(system, scale, seed, t_end, times=None):
    return flows.integrate(system, system.initial(scale, seed), t_end, times)


def balanced(sign):
    """Layers of the first balanced start whose determinant has this sign, to the end."""
    system = flows.MatrixFactorization(2, "real", 5.0)
    starts = (system.initial(0.25, seed, True) for seed in range(50))
    start = next(x for x in starts if np.sign(np.linalg.det(x)).prod() == sign)
    return flows.integrate(system, start, 1e6)


def at_rest():
    """Three components at the stationary point: two at opposite lengths, one at the target."""
    system = flows.ScoreMatching(3, 1)
    length = brentq(lambda s: system.gradient([[s], [-s], [0.0]])[0, 0], 2.0, 4.0, xtol=1e-14)
    return scores([[length], [-length], [0.0]], 0.1)


def neurons(start, t_end):
    start = np.array(start)
    return flows.integrate(flows.ReLUNeuron(*start.shape), start, t_end)


def means(start, t_end):
    start = np.array(start, dtype=float)
    return flows.integrate(flows.GMMEM(*start.shape), start, t_end)


def scores(start, t_end, target=None):
    start = np.array(start, dtype=float)
    return flows.integrate(flows.ScoreMatching(*start.shape, target=target), start, t_end)


def students(start, t_end, teachers=2, **options):
    system = flows.TwoLayer(len(start), teachers, **options)
    return flows.integrate(system, start, t_end)


FAR = 12 * 2**0.5
#: A claim is tested on the first run of its system on which its conclusion holds.
RUNS = {
    "relu_neuron": (
        lambda: of(flows.ReLUNeuron(3, 5), 0.1, 0, 1e9),
        # Phase 1 begins at t = 2 sigma sqrt(d).
        lambda: of(flows.ReLUNeuron(2, 20), 1e-20, 5, 1e4, np.geomspace(1e-23, 1e4, 120)),
        lambda: neurons([[0.3, 0.2], [0.3, -0.2]], 1e8),
        lambda: neurons([[0.1, 0.2]], 1e3),
        lambda: neurons([[0.2, 0.0], [0.1, 0.0]], 1e3),
        lambda: neurons([[0.02, 0.1, 0.0], [0.03, 0.1, 0.02]], 1e6),
    ),
    "gmm_em": (
        lambda: of(flows.GMMEM(3, 2), 1.0, 0, 1e8),
        lambda: means([[1.0, 0.5]], 30.0),
        lambda: means([[FAR, 0], [-FAR, 0], [0, 0]], 1e2),
    ),
    "score_matching": (
        lambda: scores([[0.1], [-0.12]], 1e6),
        lambda: scores([[1e-5], [-0.5e-5]], 1e14, [0.3]),
        at_rest,
        lambda: scores([[5.9], [7.0]], 1e7),
        lambda: scores([[4.0], [4.0 + 1e-7]], 1e7),
        lambda: scores([[0.0], [5.0], [-6.0]], 1e7),
    ),
    "matrix_factorization": (
        lambda: of(flows.MatrixFactorization(3, "real", 20.0, 2 * np.eye(3)), 0.2, 9, 1e4),
        lambda: balanced(1),
        lambda: balanced(-1),
        lambda: of(flows.MatrixFactorization(2, "real", 0.0), 0.25, 0, 1e3),
    ),
    "two_layer": (
        lambda: students([[0.5, 0.2], [0.6, -0.1], [0.4, 0.9]], 1e9, [[1.0, 0.0], [0.5, 0.8]]),
        lambda: students([[0.9, 0.2], [0.1, 1.2]], 400.0),
        lambda: students([[0.5, 0.2, 0.8], [0.1, 0.9, 1.0]], 30.0, train_outputs=True),
        lambda: students(
            [[0.9, 0.2], [1.2, -0.1], [0.1, 0.8]],
            1e9,
            activation="erf",
            output_weights=[0.5, 0.5, 1.0],
        ),
        # Off the symmetry of the point, which the slowest direction breaks.
        lambda: students(flipped(6) + 0.01 * np.random.default_rng(0).normal(size=(6, 6)), 3e3, 6),
    ),
}
CLAIMS = [(s, c.id) for s in potentials.SYSTEMS for c in potentials.claims(s)]


@functools.cache
def run_of(system, place):
    return RUNS[system][place]()


def bare(system, claim):
    (found,) = (c for c in potentials.claims(system) if c.id == claim)
    return replace(found, hypotheses=())


def checked(run, claim):
    (found,) = flows.check(run, claim)
    return found


def witness(system, claim):
    """A run on which the conclusion holds, and the verdict."""
    for place in range(len(RUNS[system])):
        found = checked(run_of(system, place), bare(system, claim))
        if found.verdict in HOLDS:
            return run_of(system, place), found
    raise AssertionError(f"{claim} holds on no run")


def with_constant(claim, place, constant):
    conclusions = list(claim.conclusions)
    conclusions[place] = replace(conclusions[place], constant=constant)
    return replace(claim, conclusions=tuple(conclusions))


def violated(run, claims):
    return any(checked(run, c).verdict == "VIOLATED" for c in claims)


@pytest.mark.parametrize(("system", "claim"), CLAIMS)
def test_a_small_break_of_an_exponent_is_seen_or_said_to_be_unseen(system, claim):
    known = bare(system, claim)
    if not any(c.lhs.has(EXPONENT) or c.rhs.has(EXPONENT) for c in known.conclusions):
        pytest.skip("no exponent")
    run, found = witness(system, claim)

    def off_by(change):
        moved = (known.exponent + change, known.exponent - change)
        return [replace(known, exponent=p) for p in moved if p > 0]

    if violated(run, off_by(A_TENTH)):
        return
    least = found.exponent_resolution
    assert 0 < least < np.inf
    if found.compared == "sides" and not known.asymptotic:
        assert least > A_TENTH
    if found.compared == "sides":
        assert f"nor exponents that differ by less than {least:.2g}" in found.message
    else:
        assert f"if it were sharper by more than t^{found.resolution:.1e}" in found.message
    # From there on it does not hold; what refutes an open constant takes more.
    beyond = [checked(run, x) for x in off_by(BEYOND * sp.Max(A_TENTH, sp.Float(least)))]
    expected = (None, False) if known.asymptotic else (False,)
    assert any(x.conclusion in expected for x in beyond)


@pytest.mark.parametrize(("system", "claim"), CLAIMS)
def test_a_small_break_of_a_constant_is_seen_or_said_to_be_unseen(system, claim):
    known = bare(system, claim)
    places = [k for k, c in enumerate(known.conclusions) if c.constant and c.rhs != 0]
    if not places:
        pytest.skip("no constant")
    run, _ = witness(system, claim)
    for place in places:
        c = known.conclusions[place]
        alone = replace(known, conclusions=(c,))
        # Sharper, and for an equality either way.
        signs = {"<=": (-1,), ">=": (1,), "==": (1, -1)}[c.relation]
        found, little = checked(run, alone), A_THOUSANDTH * sp.Abs(c.constant)
        sharper = [with_constant(alone, 0, c.constant + s * little) for s in signs]
        if violated(run, sharper):
            continue
        if found.constant is None:
            assert found.resolution > A_THOUSANDTH
            assert f"constants that differ by less than {found.resolution:.1e}" in found.message
            continue
        # The verdict has named the sharpest constant: a little beyond it, the break is seen.
        sharpest = sp.Float(found.constant)
        beyond = sharpest + signs[0] * sp.Max(little, A_THOUSANDTH * sp.Abs(sharpest))
        assert violated(run, [with_constant(alone, 0, beyond)])
