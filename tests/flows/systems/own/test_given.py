"""What is given of a loss of your own: definitions, starts and methods, good and bad."""

from dataclasses import replace

import numpy as np
import pytest
import sympy as sp
from oracles.quadratic_neuron import neuron

import flows
from flows.core.errors import InputError
from potentials import theorem
from symbolic import D, Expectation

A = sp.Symbol("a")


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("relu_neuron", [A], A**2), "that is not .*relu_neuron"),
        (("no good", [A], A**2), "plain word"),
        (("s", [], A**2), "names of their own"),
        (("s", [A, A], A**2), "names of their own"),
        (("s", ["a"], A**2), "Symbols or MatrixSymbols"),
        (("s", [sp.MatrixSymbol("w", sp.Symbol("n"), 2)], A**2), "shape of numbers"),
        (("s", [sp.MatrixSymbol("w", 30, 30)], A**2), "of 900 entries"),
        (("s", [A], A * sp.Symbol("b")), "blocks and numbers only, got b"),
        (("s", [A], sp.Abs(A)), "kinks"),
        (("s", [A], sp.Piecewise((A, A > 0), (0, True))), "kinks where .* = 0"),
        (("s", [A], sp.Piecewise((A**2, A > 1), (A, True))), "kinks where .* = 0"),
        (("s", [A], "a**2"), "must be a SymPy expression"),
        (("s", [A], A**2, {"loss": A}), "'loss' needs another name: every run has"),
        (("s", [A], A**2, {"x_dot": A}), "'x_dot' needs another name: in claims _dot says"),
        (("s", [A], A**2, {"T2": A}), "'T2' needs another name: in claims it is a time"),
        (
            ("s", [A], A**2, {"p": Expectation(sp.tanh(A * sp.Symbol("x")), sp.Symbol("x"))}),
            "only the loss may take quadrature",
        ),
        (("s", [A], A**2, 5), "mapping"),
        (("s", [A], A**2, {}, ["claim"]), "Claim objects"),
        (("s", [A], A**2, {}, (), (), {"speed": "1"}), "numbers by their names.*'1' is no number"),
        (("s", [A], A**2, {}, (), (), {"speed_dot": 1}), "_dot says when or how it moves"),
        (("s", [A], A**2, {"p": A}, (), (), {"p": 1}), "'p' needs another name: a parameter has"),
    ],
)
def test_bad_definitions_are_told_in_one_line(arguments, message):
    with pytest.raises(InputError, match=message) as told:
        flows.OwnSystem(*arguments)
    assert "\n" not in str(told.value)


@pytest.mark.parametrize("speed, outcome", [(2, "HOLDS"), (2.002, "VIOLATED")])
def test_a_constant_of_any_name_stands_in_claims_and_does_not_move(speed, outcome):
    square, rate = sp.symbols("m speed")
    said = theorem("decays", sp.Eq(D(rate * square), -(rate**2) * square))
    system = flows.OwnSystem("s", [A], A**2 / 2, {"m": A**2}, [said], constants={"speed": speed})
    run = flows.integrate(system, [1.0], 3.0)
    asked = sp.Eq(D(rate * square), -(rate**2) * square)
    assert [v.verdict for v in (*flows.check(run), *flows.check(run, asked))] == [outcome] * 2


def test_pieces_that_meet_with_one_slope_are_a_loss():
    huber = sp.Piecewise((A**2 / 2, A < 1), (A - sp.S.Half, True))
    assert flows.OwnSystem("huber", [A], huber).gradient([3.0]).tolist() == [1.0]


@pytest.mark.parametrize(
    ("start", "message"),
    [
        ([1.0], "9 real numbers"),
        ([np.nan] * 9, "finite"),
        ({"V": np.zeros(9)}, "blocks W"),
        ({"W": np.zeros(9)}, r"shape \(3, 3\)"),
        ([1j] * 9, "real"),
        ({"W": "x"}, "real numbers"),
        ([[1.0], [1.0, 2.0]], "rows differ"),
    ],
)
def test_bad_starts_are_told(start, message):
    with pytest.raises(InputError, match=message):
        flows.integrate(neuron(), start, t_end=1.0)


def test_methods_that_know_one_system_only_say_so():
    jax = pytest.importorskip("jax")
    with pytest.raises(InputError, match="no field of quadratic_neuron in lanes"):
        flows.integrate(neuron(), neuron().initial(), t_end=1.0, method="Rodas5P")
    with jax.enable_x64(True), pytest.raises(InputError, match="knows no field"):
        flows.integrate(neuron(), neuron().initial(), t_end=1.0, method="diffrax-kvaerno5")


def test_the_reference_is_refused_where_quadrature_is_needed():
    x = sp.Symbol("x")
    soft = flows.OwnSystem("soft", [A], Expectation(sp.log(1 + sp.exp(A * x)), x))
    with pytest.raises(InputError, match="closed form"):
        flows.integrate(soft, [1.0], t_end=1.0, method="reference")
    with pytest.raises(InputError, match="nothing is averaged"):
        neuron().expectation(neuron().initial())


def test_a_loss_may_be_an_explicit_matrix_of_one_entry():
    w = sp.MatrixSymbol("w", 2, 1)
    system = flows.OwnSystem("square", [w], sp.Matrix([[w[0, 0] ** 2 + w[1, 0] ** 2]]))
    assert system.loss({"w": [3.0, 4.0]}) == 25.0
    assert hash(system) == hash(replace(system))


def test_a_start_without_a_gradient_is_refused():
    system = flows.OwnSystem("log", [A], sp.log(A))
    with pytest.raises(InputError, match="gradient at the start is not finite"):
        flows.integrate(system, [0.0], t_end=1.0)


def test_blocks_named_by_symbols_are_refused_in_one_line():
    x, y = sp.symbols("x y")
    own = flows.OwnSystem("saddle", [x, y], x**2 / 2 - y**2 / 2)
    with pytest.raises(InputError, match="expected the blocks x, y, got Symbol x, Symbol y"):
        own.loss({x: 0.0, y: 0.0})


def test_a_column_is_taken_where_a_column_is_meant():
    w = sp.MatrixSymbol("w", 2, 1)
    system = flows.OwnSystem("column", [w], (w.T * w)[0, 0])
    assert system.pack({"w": [[1.0], [2.0]]}).tolist() == [1.0, 2.0]
    with pytest.raises(InputError, match=r"block w must have shape \(2,\), got \(1, 2\)"):
        system.pack({"w": [[1.0, 2.0]]})


def test_the_only_block_is_a_state_as_it_is_and_another_shape_is_refused():
    w, v = sp.MatrixSymbol("w", 2, 3), sp.MatrixSymbol("v", 3, 1)
    matrix = flows.OwnSystem("matrix", [w], sp.trace(w.T * w) / 2)
    y = np.arange(6.0).reshape(2, 3)
    assert matrix.loss(y) == matrix.loss(y.ravel()) == matrix.loss({"w": y}) == 27.5
    vector = flows.OwnSystem("vector", [v], (v.T * v)[0, 0] / 2)
    assert vector.loss([[1], [2], [3]]) == vector.loss([1, 2, 3]) == 7
    assert (flows.integrate(matrix, y, t_end=1.0).start == y.ravel()).all()
    with pytest.raises(InputError, match=r"or the block of shape \(2, 3\), got .* \(3, 2\)"):
        matrix.loss(y.T)
    both = flows.OwnSystem("both", [w, v], sp.trace(w.T * w) + (v.T * v)[0, 0])
    with pytest.raises(InputError, match=r"9 real numbers, or arrays by block, got .* \(2, 3\)"):
        both.loss(y)
