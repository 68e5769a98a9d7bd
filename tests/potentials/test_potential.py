"""Potentials: their Lie derivatives are derivatives, their LaTeX says what runs."""

import numpy as np
import pytest

import potentials
from flows.runs.quantities import evaluate
from potentials.notation import parameter, symbol, total_derivative

N, D, TIMES = 4, 3, 5
STEP = 1e-5
# Central differences: rounding 1e-16/STEP and truncation STEP^2, both near 1e-10.
DIFFERENCE_TOLERANCE = 1e-8

ALL = potentials.potentials("relu_neuron") + potentials.auxiliaries("relu_neuron")


def features_at(s):
    """Smooth features of an invented path at `s`, with exact rates."""
    rng = np.random.default_rng(7)
    shapes = {"h": N, "zeta": N, "norm": N, "theta": N, "distance": 6, "kappa": 6, "rho": None}
    out = {"n": N, "d": D, "teacher_norm": 1.3}
    for name, width in shapes.items():
        size = (TIMES,) if width is None else (TIMES, width)
        a, b = rng.uniform(0.4, 1.0, size), rng.uniform(-0.3, 0.3, size)
        out[name] = a + np.sin(b * s)
        out[f"{name}_dot"] = b * np.cos(b * s)
    return out


@pytest.mark.parametrize("potential", ALL, ids=lambda p: p.name)
def test_lie_derivative_equals_the_difference_quotient_along_a_path(potential):
    value, rate = evaluate(potential, features_at(0.5))
    after, before = (evaluate(potential, features_at(0.5 + e))[0] for e in (STEP, -STEP))
    quotient = (after - before) / (2 * STEP)
    assert value.shape == (TIMES, N) if potential.indexed else value.shape == (TIMES,)
    assert rate == pytest.approx(quotient, abs=DIFFERENCE_TOLERANCE)
    assert rate != pytest.approx(1.01 * quotient, abs=DIFFERENCE_TOLERANCE)  # the check can fail


def test_an_extremum_moves_with_the_index_that_attains_it():
    (kappa_max,) = (p for p in ALL if p.name == "kappa_max")
    kappa, rate = np.array([[0.1, 0.7, np.nan]]), np.array([[5.0, -2.0, 9.0]])
    assert [x[0] for x in evaluate(kappa_max, {"kappa": kappa, "kappa_dot": rate})] == [0.7, -2.0]


def test_without_pairs_the_distance_is_zero_and_the_largest_angle_undefined():
    none = np.zeros((2, 0))
    values = {name: none for name in ("distance", "distance_dot", "kappa", "kappa_dot")}
    found = {
        p.name: evaluate(p, values)[0] for p in ALL if p.name in ("pairwise_distance", "kappa_max")
    }
    assert (found["pairwise_distance"] == 0).all()
    assert np.isnan(found["kappa_max"]).all()


def test_names_are_those_of_the_public_interface():
    names = {p.name for p in potentials.potentials("relu_neuron")}
    assert names >= {
        "pairwise_distance",
        "kappa_max",
        "angle_max",
        "residual_projection",
        "angle_potential",
        "balance",
        "norms",
        "h",
        "z_norms",
    }


@pytest.mark.parametrize("potential", ALL, ids=lambda p: p.name)
def test_latex_has_balanced_braces_and_the_symbol(potential):
    for text in (potential.latex(), potential.lie_latex()):
        assert text.count("{") == text.count("}") and potential.latex_symbol in text
        assert text.count(r"\left") == text.count(r"\right")
    assert potential.source.arxiv == "2302.10034" and potential.domain


def test_latex_of_the_potential_of_section_5_is_its_definition():
    (z,) = (p for p in ALL if p.name == "pairwise_distance")
    assert z.latex() == r"Z = \sum_{i<j} \lvert z_i - z_j \rvert"


def test_constants_and_frozen_values_do_not_move():
    still = parameter("n") * symbol("loss_0") * symbol("loss_T2") * symbol("T2")
    assert total_derivative(still) == 0
    assert total_derivative(symbol("t") ** 2) == 2 * symbol("t")
    assert total_derivative(symbol("loss")) == symbol("loss_dot") != 0


def test_a_potential_is_differentiated_once():
    first = [p.lie_derivative() for p in ALL]
    differentiated = total_derivative.cache_info().misses
    assert [p.lie_derivative() for p in ALL] == first
    assert total_derivative.cache_info().misses == differentiated
    total_derivative(symbol("a_quantity_that_nothing_else_names") ** 2)
    assert total_derivative.cache_info().misses == differentiated + 1  # the check can fail


def test_unknown_system_is_one_clear_line():
    for function in (potentials.potentials, potentials.claims):
        with pytest.raises(ValueError, match="unknown system 'nope'; known: gmm_em"):
            function("nope")
