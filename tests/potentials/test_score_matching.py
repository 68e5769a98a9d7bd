"""Potentials and claims of score matching: complete, differentiable, printable, breakable."""

from dataclasses import dataclass, field, replace
from functools import cached_property

import numpy as np
import pytest
import sympy as sp

import potentials
from flows.runs.check import check
from flows.runs.quantities import Quantities, evaluate
from potentials.claim import EXPONENT

SYSTEM = "score_matching"
CLAIMS = {c.id: c for c in potentials.claims(SYSTEM)}
POTENTIALS = potentials.potentials(SYSTEM) + potentials.auxiliaries(SYSTEM)
HALF = sp.Rational(1, 2)
# theory table: id -> (kind of claim, kind of statement, exponent); the last two are our own.
TABLE = {
    "large_noise": ("UpperBound", "upper", HALF),
    "stationary_point": ("Inequality", "equilibrium", None),
    "small_init": ("UpperBound", "upper", HALF),
    "small_init_needed": ("Invariant", "counterexample", None),
    "one_survives": ("UpperBound", "upper", 1),
    "one_survives_lower": ("LowerBound", "lower", sp.Rational(11, 10)),
    "cluster_growth": ("Inequality", "derived here", None),
    "far_rate": ("Rate", "derived here", 1),
}
STEP = 1e-5
# Central differences: rounding 1e-16/STEP and truncation STEP^2, both near 1e-10.
DIFFERENCE_TOLERANCE = 1e-8


def test_every_claim_of_the_table_is_there_with_kind_and_exponent():
    assert {c.id: (c.kind, c.source.kind, c.exponent) for c in CLAIMS.values()} == TABLE


@pytest.mark.parametrize("claim", CLAIMS.values(), ids=lambda c: c.id)
def test_a_claim_prints_statement_source_and_latex(claim):
    latex = claim.latex()
    assert claim.source.arxiv == "2511.22069" and claim.source.locator in str(claim)
    assert latex.count("{") == latex.count("}") and r"\_" not in latex
    assert "exponent" not in latex and claim.hypotheses


@pytest.mark.parametrize("claim", [c for c in CLAIMS.values() if c.exponent], ids=lambda c: c.id)
def test_a_changed_exponent_changes_the_expressions_and_the_latex(claim):
    broken = replace(claim, exponent=claim.exponent + sp.Rational(1, 1000))
    assert broken.comparisons != claim.comparisons and broken.latex() != claim.latex()
    assert all(EXPONENT not in c.lhs.free_symbols | c.rhs.free_symbols for c in broken.comparisons)


@pytest.mark.parametrize("potential", POTENTIALS, ids=lambda p: p.name)
def test_lie_derivative_equals_the_difference_quotient_along_a_path(potential):
    slope = np.array([[0.5, -0.7, 0.2]])

    def features(time):
        norm = np.array([[0.3, 1.1, 2.0]]) + np.sin(slope * time)
        rate = slope * np.cos(slope * time)
        return {"norm": norm, "norm_dot": rate}

    _, rate = evaluate(potential, features(0.5))
    after, before = (evaluate(potential, features(0.5 + e))[0] for e in (STEP, -STEP))
    quotient = (after - before) / (2 * STEP)
    assert rate == pytest.approx(quotient, abs=DIFFERENCE_TOLERANCE)
    assert rate != pytest.approx(1.01 * quotient, abs=DIFFERENCE_TOLERANCE)  # the check can fail


def test_names_are_those_of_the_public_interface():
    names = {p.name for p in potentials.potentials(SYSTEM)}
    assert names == {"max_norm", "min_norm", "squared_norm_sum"}


def test_the_count_tells_one_converged_component_from_two():
    (count,) = (p for p in POTENTIALS if p.name == "near_count")
    lengths = np.array([[0.01, 5.0, 7.0], [0.01, 0.02, 7.0]])
    value, _ = evaluate(count, {"norm": lengths, "norm_dot": 0 * lengths})
    assert value == pytest.approx([1, 2], abs=1e-3)  # 1e-4 + 4e-4 from exp(-x^2) = 1 - x^2


# --- hypotheses about the start, evaluated without a flow ----------------------------------------


@dataclass(frozen=True)
class Start:
    """A run of one time."""

    parameters: dict
    features: dict
    t: np.ndarray = field(default_factory=lambda: np.zeros(1))
    status: str = "completed"
    statements = potentials.statements(SYSTEM)
    leading: str = "loss"
    names: tuple = ("loss", "gradient_norm")

    @cached_property
    def quantities(self):
        return Quantities(self)

    @property
    def tolerance(self):
        return np.full(len(self.t), 1e-10)

    @property
    def feature_errors(self):
        return {}

    def errors(self, name):
        return self.tolerance


def start(nu, target, noise_time=0.0, speed=0.0):
    nu, target = np.array(nu, dtype=float), np.array(target, dtype=float)
    mu = np.exp(-noise_time) * (nu - target)
    mean, size = mu.mean(axis=0), np.linalg.norm(target)
    towards = -target / (size or 1.0)
    features = {
        "loss": 1.0,
        "loss_dot": -1.0,
        "gradient_norm": 0.0,
        "norm": np.linalg.norm(mu, axis=1),
        "norm_dot": np.full(len(mu), speed),
        "spread": np.linalg.norm(mu - mean, axis=1).max(),
        "mean_norm": np.linalg.norm(mean),
        "mean_along": mean @ towards,
        "mean_across": np.linalg.norm(mean - (mean @ towards) * (size > 0) * towards),
    }
    parameters = {
        "system": SYSTEM,
        "n": len(mu),
        "d": mu.shape[1],
        "noise_time": noise_time,
        "target_norm": size,
    }
    return Start(parameters, {k: np.array([x]) for k, x in features.items()})


def unmet(claim, run):
    """Hypotheses about the start that are not met; how long the run is does not count."""
    (verdict,) = check(run, claim)
    return [
        h.text
        for h in verdict.hypotheses
        if not h.holds and "r = 0" not in h.text and "long enough" not in h.text
    ]


S = 0.5


@pytest.mark.parametrize("noise_time", [0.0, S])
def test_the_counterexample_is_recognised_and_its_neighbours_are_not(noise_time):
    size = 3.5
    unit = np.exp(noise_time)
    target, lead = np.array([0.6, 0.8]) * size * unit, np.exp(-size / 100) * unit
    towards, across = np.array([0.6, 0.8]), np.array([-0.8, 0.6])

    def found(*nu, target=target):
        return unmet("small_init_needed", start(nu, target, noise_time))

    rest = [np.zeros(2)] * 2
    assert found(lead * towards, *rest) == []
    assert found(rest[0], lead * towards, rest[0]) == []  # any component may be the first
    for wrong in ((1 + 1e-8) * lead * towards, lead * across, -lead * towards, 0 * lead * towards):
        assert found(wrong, *rest)
    assert found(lead * towards, rest[0], 1e-2 * across)
    near = target * 2.9 / size
    assert found(np.exp(-0.029) * unit * towards, *rest, target=near) == [
        "M0 large, read as M0 >= 3"
    ]


def test_the_stationary_shape_is_recognised_and_its_neighbours_are_not():
    def found(*nu, speed=0.0):
        return unmet("stationary_point", start(nu, np.zeros(2), speed=speed))

    e = np.array([2.55, 0.0])
    assert found(e, -e, 0 * e) == [] and found(0 * e, e, 0 * e, -e) == []
    assert found(e, -e) == ["n >= 3"]
    assert found(e, -e, 0.01 * e) and found(e, -0.99 * e, 0 * e) and found(e, e, 0 * e)
    # Squares of sum 2 |e|^2 and no mean, but three lengths:
    a, b = np.array([1.275, 1.275]), np.array([1.275, -1.275])
    assert found(e, -a, -b) == ["sum |mu_i(0)| = 2 max |mu_i(0)|"]
    (text,) = found(e, -e, 0 * e, speed=1e-3)
    assert "at rest" in text


@pytest.mark.parametrize("noise_time", [0.0, S])
def test_a_start_near_the_origin_is_small_by_the_threshold_of_the_theorem(noise_time):
    size, n, d = 0.3, 2, 2
    target = np.array([0.0, -size]) * np.exp(noise_time)
    bound = np.exp(-106 * n * d * size**3) / (108 * n * d) * np.exp(noise_time)
    # Opposite offsets: no part of the distance is the mean's.
    for factor, small in ((0.99, True), (1.01, False)):
        nu = factor * bound * np.array([[0.0, 1.0], [0.0, -1.0]])
        assert (unmet("small_init", start(nu, target, noise_time)) == []) is small
    assert unmet("small_init", start([target, target], target, noise_time))  # at the target: M0 off


def test_near_the_target_is_a_third_of_one_over_n():
    for factor, near in ((0.99, True), (1.01, False)):
        nu = np.array([[factor / 6], [0.0]]) + 7.0
        assert (unmet("large_noise", start(nu, [7.0])) == []) is near
