"""Formulas of systems: they are the losses that run, and potentials of them are found."""

import itertools
import json

import numpy as np
import pytest
import sympy as sp

import flows
from flows.core.errors import InputError
from potentials.search import algebra
from potentials.search.algebra import relations
from potentials.search.polynomials import gradient_flow
from symbolic.language.blocks import entries, explicit

#: Losses are sums of a few products of doubles; and what is no rounding.
ROUNDING, OFF = 1e-12, 1e-3
TARGET = [[1.0, 0.5], [0.0, -0.25]]
CHAINS = [
    flows.MatrixFactorization(d=2, depth=2, regularization=0),
    flows.MatrixFactorization(d=2, depth=3, regularization=0.3, target=TARGET),
    flows.MatrixFactorization(d=1, depth=5),
]
LAYERS = [
    flows.TwoLayer(students=2, teachers=1, d=2, activation="quadratic"),
    flows.TwoLayer(2, [[1.0, 0.5]], activation="quadratic", train_outputs=True),
    flows.TwoLayer(1, 1, d=2, activation="quadratic", biases=True, teacher_biases=[0.25]),
]


def numbers_in_order(system, state):
    """A state as the blocks of the formula take it: rows of neurons, then biases, then outputs."""
    if system.name == "matrix_factorization":
        return state.ravel()
    d = len(system.teachers[0])
    return np.concatenate([state[:, :d].ravel(), *state[:, d:].T])


@pytest.mark.parametrize("system", CHAINS + LAYERS, ids=str)
def test_a_formula_is_the_loss_of_the_system(system):
    state = system.initial(scale=0.7, seed=3)
    blocks, expression = system.formula
    symbols = [s for block in blocks for s in entries(block)]
    form = explicit(expression, blocks)
    assert form.integrand == 0
    value = float(sp.lambdify(symbols, form.plain)(*numbers_in_order(system, state)))
    loss = system.loss(state)
    assert abs(value - loss) < ROUNDING * loss
    assert abs(system.loss((1 + OFF) * state) - value) > ROUNDING * loss  # the control


def test_invariants_of_a_factorisation_are_its_balance():
    found = CHAINS[0].invariants(2)
    first, second = (sp.Matrix(sp.MatrixSymbol(name, 2, 2)) for name in ("W1", "W2"))
    balance = first * first.T - second.T * second
    labels = {
        sp.MatrixSymbol(f"W{k}", 2, 2)[i, j]: sp.Symbol(f"W{k}[{i},{j}]", real=True)
        for k, i, j in itertools.product((1, 2), (0, 1), (0, 1))
    }
    wanted = {sp.expand(e.xreplace(labels)) for e in balance}
    assert len(found.conserved) == 3
    assert wanted == {p if p in wanted else sp.expand(-p) for p in found.conserved}
    # The balancing term leaves rotations alone, and those have no quadratic.
    assert flows.MatrixFactorization(d=2, depth=2).invariants(2).conserved == ()


def test_outputs_of_quadratic_layers_balance_their_neurons():
    a, w0, w1 = (sp.Symbol(name, real=True) for name in ("a[0]", "w[0,0]", "w[0,1]"))
    found = LAYERS[1].invariants(2).conserved
    assert any(p in (q, sp.expand(-q)) for p in found for q in (w0**2 + w1**2 - 2 * a**2,))


@pytest.mark.parametrize(
    "system, constant",
    [
        (flows.MatrixFactorization(d=1, depth=2, regularization=0), 2),
        # Students 1, teacher 1: L = 3 (w^2 - 1)^2/2, whose slope is least at w^2 = 1 - 1/sqrt(12).
        (flows.TwoLayer(students=1, teachers=1, d=1, activation="quadratic"), 17.071),
    ],
    ids=["factorisation", "quadratic neuron"],
)
def test_the_rate_of_a_shipped_system_is_found_and_verified(system, constant, tmp_path):
    found = flows.find_potential(system, rate="exp", level="1/8")
    assert found.proved and abs(float(found.constant) / constant - 1) < OFF
    found.save(tmp_path / "potential.json")
    assert flows.verify(tmp_path / "potential.json").accepted
    data = json.loads((tmp_path / "potential.json").read_text())
    data["constant"] = str(found.constant * sp.Rational(1001, 1000))
    (tmp_path / "better.json").write_text(json.dumps(data))
    assert not flows.verify(tmp_path / "better.json").accepted


@pytest.mark.parametrize(
    "system, told",
    [
        (flows.ReLUNeuron(n=2, d=2), "relu_neuron: .* is no polynomial"),
        (flows.GMMEM(n=2, d=2), "gmm_em: the loss is no polynomial"),
        (flows.TwoLayer(students=1, teachers=1, d=1), "two_layer: .* is no polynomial"),
        (flows.MatrixFactorization(d=1, field="complex"), "take field='real'"),
        (flows.MatrixFactorization(d=5), "at most 20000 terms"),
        (flows.MatrixFactorization(d=5, depth=3), "at most 1000 monomials"),
    ],
    ids=lambda value: getattr(value, "name", "told"),
)
def test_a_system_without_a_polynomial_says_so_in_one_line(system, told):
    with pytest.raises(InputError, match=told) as refused:
        system.invariants(2)
    assert "\n" not in str(refused.value) and str(refused.value).count(system.name) == 1


@pytest.mark.parametrize("spare", [20, -20], ids=["sums of equations", "too few of them"])
def test_relations_are_those_of_all_equations(monkeypatch, spare):
    monkeypatch.setattr(algebra, "SPARE", spare)
    x = sp.symbols("x:6", real=True)
    loss = (x[0] * x[1] * x[2] - 1) ** 2 + (x[3] * x[4] * x[5] - x[0]) ** 2
    flow = gradient_flow(loss, x)
    rates = [flow.along(p) for p in flow.monomials(2, 1)]
    found = [*relations(rates)]
    assert all(sum(c * p for c, p in zip(row, rates, strict=True)) == 0 for row in found)
    assert len(found) == 3  # x1^2 - x2^2, x3^2 - x4^2, x3^2 - x5^2


def test_a_loss_of_many_numbers_is_not_written_out():
    X = sp.MatrixSymbol("X", 11, 11)
    many = flows.OwnSystem("many", [X], sp.trace((X.T * X) ** 2) / 4)
    assert many.kept() is None
    with pytest.raises(flows.InputError, match="at most 100 numbers that move, got 121"):
        many.invariants(1)
    cosine = sp.Symbol("a")
    assert flows.OwnSystem("waves", [cosine], 1 - sp.cos(cosine)).kept() is None
