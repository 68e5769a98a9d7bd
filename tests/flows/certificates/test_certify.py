import math

import numpy as np
import pytest
import sympy as sp
from flint import arb, ctx
from oracles.certificates import ball
from oracles.certified import layers, means, neurons, polynomials

import flows
import symbolic
from flows.certificates.certify import Uncertified
from flows.core.balls import precision

# What oracles keep is a hundred times what any certificate here claims.
BETTER = 100
# Digits asked for are not promised: so many may be missing.
MISSING = 3
# End of flows of two layers, and digits of their losses in doubles and in balls of radius 1e-8.
TWO_LAYERS, LOSS = 1.0, 1e-6


@pytest.mark.parametrize(
    ("kind", "name"),
    [(kind, name) for kind in (neurons, means, layers, polynomials) for name in kind.PROBLEMS],
    ids=lambda value: value if isinstance(value, str) else value.__name__.split(".")[-1],
)
def test_enclosures_contain_independent_trajectories_at_every_time_and_setting(kind, name):
    misses = combinations = 0
    for digits in kind.SETTINGS:
        found = kind.certificate(name, digits)
        assert BETTER * kind.KEPT < found.error < 10.0 ** (MISSING - digits)
        with precision(400):
            for t, x in zip(kind.TIMES, kind.reference(name), strict=True):
                state, true = kind.flat(found.state(float(t))), [ball(c) for c in x]
                away = [c + 10 * found.error for c in true]
                misses += not all(a.contains(b) for a, b in zip(state, true, strict=True))
                combinations += 1
                # The control: nothing is contained that is ten times the bound away.
                assert not any(a.contains(b) for a, b in zip(state, away, strict=True))
    assert misses == 0
    assert combinations * len(kind.PROBLEMS) >= 1000


def test_the_kinks_of_the_plane_are_crossed():
    assert len({piece.signs for piece in neurons.certificate("plane", 8).pieces}) >= 2
    assert {piece.signs for piece in neurons.certificate("span", 8).pieces} == {()}


@pytest.mark.parametrize("d", [2, 3])
def test_neurons_that_nearly_agree_are_followed_in_as_long_pieces_as_others(d, tmp_path):
    system, first = flows.ReLUNeuron(n=2, d=d), np.array([0.25, 0.1, 0.125])[:d]
    off = np.array([-0.3, 0.9, 0.4])[:d]
    far = flows.certify(system, [first, first + off / 3], 10.0, digits=16)
    for apart in (1e-3, 1e-9):
        made = flows.certify(system, [first, first + apart * off], 10.0, digits=16)
        made.save(tmp_path / f"{apart}.json")
        assert flows.verify(tmp_path / f"{apart}.json").accepted
        assert len(made.pieces) <= 2 * len(far.pieces)


def test_neurons_that_nearly_oppose_are_followed_out_of_there(tmp_path):
    first, off = np.array([0.25, 0.1, 0.125]), np.array([-0.3, 0.9, 0.4])
    made = flows.certify(flows.ReLUNeuron(2, 3), [first, 1e-7 * off - first / 2], 1.0, digits=20)
    made.save(tmp_path / "made.json")
    assert flows.verify(tmp_path / "made.json").accepted


def test_neurons_that_are_nearer_than_the_error_ask_for_more_digits():
    first, off = np.array([0.25, 0.1, 0.125]), np.array([-0.3, 0.9, 0.4])
    with pytest.raises(Uncertified, match=r"UNDECIDED .* ask for more digits"):
        flows.certify(flows.ReLUNeuron(n=2, d=3), [first, first + 1e-12 * off], 10.0, digits=10)


@pytest.mark.parametrize("off", [1e-9, 1e-60, 0.0])
def test_a_neuron_next_to_the_axis_passes_it_however_soon(off, tmp_path):
    made = flows.certify(flows.ReLUNeuron(n=2, d=2), [[0.3, off], [0.2, 0.4]], 1.0, digits=20)
    made.save(tmp_path / "made.json")
    assert flows.verify(tmp_path / "made.json").accepted
    # Of the control the neuron is on the other side, and passes no axis.
    other = flows.certify(flows.ReLUNeuron(n=2, d=2), [[0.3, -off], [0.2, 0.4]], 1.0, digits=20)
    assert len(other.pieces) <= len(made.pieces) <= len(other.pieces) + 1


def test_a_collapse_is_undecided_and_the_precision_is_put_back():
    system = flows.ReLUNeuron(n=1, d=1)
    before = ctx.prec
    with pytest.raises(Uncertified, match=r"UNDECIDED beyond t = \d.*a neuron may be at zero"):
        flows.certify(system, [[-0.125]], 100.0, digits=8)
    assert ctx.prec == before
    neurons.certificate("plane", 8)
    assert ctx.prec == before


def test_a_neuron_near_zero_is_named_with_its_length():
    flow = flows.ReLUNeuron(n=2, d=2).ball_flow(np.array([[0.5, 0.25], [-2e-5, 0.0]]))
    assert flow.singular(flow.start).startswith("neuron 2, of length 2e-05, is near zero")
    assert not flow.singular([100 * x for x in flow.start])


def test_a_start_may_have_any_dimension_and_few_directions():
    # Rank one: teacher and neurons on one line, where all angles are zero.
    line = flows.certify(
        flows.ReLUNeuron(n=2, d=3, teacher=[1.0, 2.0, 2.0]),
        [[0.125, 0.25, 0.25], [0.25, 0.5, 0.5]],
        1.0,
        digits=8,
    )
    with precision(100):
        rest = (3 - 1.125) * arb(-1).exp()  # of the distance |v| - |w_1| - |w_2|
        assert abs(line.loss(1.0) - rest * rest / 4) < 1e-6


def test_means_that_stay_at_the_target_are_certified():
    made = flows.certify(flows.GMMEM(n=2, d=1), [[0.0], [0.0]], 10.0, digits=8)
    assert all(c.contains(0) for row in made.state(10.0) for c in row)
    assert made.error < 1e-8


def test_layers_at_an_equilibrium_stay_there():
    system = flows.MatrixFactorization(d=1, depth=2, regularization=1.0)
    made = flows.certify(system, [[[0.0]], [[0.0]]], 100.0, digits=8)
    with precision(100):
        assert all(c.contains(0) for c in layers.flat(made.state(100.0)))
        assert made.loss(100.0).contains(0.5)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (
            {"system": flows.ScoreMatching(n=2, d=3), "start": [[0.1, 0.2, 0.0], [0.0, 0.1, 0.3]]},
            "score_matching has no certificates",
        ),
        ({"start": [[0.1, 0.2]]}, "shape"),
        ({"start": [[0.1, math.nan], [0.0, 1.0]]}, "finite"),
        ({"t_end": 0.0}, "t_end: expected a time"),
        ({"t_end": math.nan}, "t_end: expected a time"),
        ({"t_end": -math.inf}, "t_end: expected a time"),
        ({"digits": 7}, "digits: expected an integer from 8 to 60, got 7"),
        ({"digits": 10.0}, "digits: expected an integer"),
    ],
)
def test_bad_input_is_one_clear_line(arguments, message):
    given = {
        "system": flows.ReLUNeuron(n=2, d=2),
        "start": [[0.1, 0.2], [0.3, -0.1]],
        "t_end": 1.0,
        **arguments,
    }
    with pytest.raises(flows.InputError, match=message):
        flows.certify(**given)


def test_means_in_the_plane_are_one_clear_line():
    system = flows.GMMEM(n=2, d=2)
    with pytest.raises(flows.InputError, match=r"on a line only, got d = 2; give d = 1$"):
        flows.certify(system, system.initial(), 1.0)


def test_a_loss_that_the_verifier_does_not_read_is_refused_in_one_line():
    u, x, y, z = sp.symbols("u x y z")
    for loss, got in (
        (u**66, "a power is zero or too large"),
        (symbolic.Expectation(sp.tanh(u * x) * sp.Abs(x), x), "an average has a kink"),
        (symbolic.Expectation(sp.tanh(u * x * y * z), [x, y, z]), "one or two Gaussian numbers"),
    ):
        own = flows.OwnSystem("other", [u], loss)
        with pytest.raises(flows.InputError, match=got) as refused:
            flows.certify(own, [1.0], 1.0)
        assert "\n" not in str(refused.value)


@pytest.mark.parametrize("odd", [lambda u: sp.cos(u), lambda u: sp.sqrt(2) * u**2])
def test_a_loss_of_functions_is_enclosed(odd):
    """Against twelve digits of a run by another method, at each of its times."""
    u = sp.Symbol("u")
    own = flows.OwnSystem("other", [u], u**2 + odd(u))
    made = flows.certify(own, [1.0], 1.0, digits=16)
    run = flows.integrate(own, [1.0], 1.0, [0.25, 1.0], rtol=1e-13, method="Radau")
    for t, value in zip(run.t, run.state[:, 0], strict=True):
        (known,) = made.state(float(t))
        assert abs(float(known) - value) < 1e-11 < abs(float(known) - 1.001 * value)


def test_a_flow_that_ends_in_finite_time_is_undecided_before_it():
    u = sp.Symbol("u")
    with pytest.raises(Uncertified, match=r"UNDECIDED beyond t = 0\.1"):  # du/dt = 4 u^3, to 1/8
        flows.certify(flows.OwnSystem("unbounded", [u], -(u**4)), [1.0], 1.0, digits=8)


@pytest.mark.parametrize("activation", ["relu", "erf", "quadratic"])
def test_a_certificate_of_two_layers_is_about_their_formula(activation, tmp_path):
    system = flows.TwoLayer(students=2, teachers=np.eye(2), activation=activation)
    start = system.initial(seed=0)
    made = flows.certify(system, start, TWO_LAYERS, digits=8)
    path = tmp_path / "made.json"
    made.save(path)
    assert flows.verify(path, system.general, start.ravel(), TWO_LAYERS).accepted
    for asked in (start, made.start):
        assert flows.verify(path, system, asked, TWO_LAYERS).accepted
    assert flows.load_certificate(path, system).t_end == TWO_LAYERS
    other = flows.TwoLayer(2, np.array([[1, 1e-16], [0, 1]]), activation=activation)
    assert "another system" in flows.verify(path, other, start).refused
    assert "another start" in flows.verify(path, system, np.nextafter(start, 1)).refused
    run = flows.integrate(system, start, TWO_LAYERS, [TWO_LAYERS])
    loss = run["loss"][-1]
    with precision(100):
        ball = made.loss(TWO_LAYERS)
        assert ball.overlaps(arb(loss, LOSS * loss)) and ball.rad() < LOSS * loss
        # Control: a loss that is a thousandth larger is not in the ball.
        assert not ball.overlaps(arb(1.001 * loss, LOSS * loss))


def test_a_start_by_names_is_verified_as_it_was_certified():
    u, v = sp.symbols("u v", real=True)
    system = flows.OwnSystem("two", [u, v], (u - 1) ** 2 / 2 + v**2)
    start = {"u": 0.5, "v": 0.2}
    made = flows.certify(system, start, TWO_LAYERS, digits=8)
    assert flows.verify(made, system, start, TWO_LAYERS).accepted
    assert "another start" in flows.verify(made, system, start | {"v": 0.2 + 1e-16}).refused
    with pytest.raises(flows.InputError, match="a system beside a start with names"):
        flows.verify(made, start=start)
    with pytest.raises(flows.InputError, match="v"):
        flows.verify(made, system, {"u": 0.5})
    assert "another system" in flows.verify(made, "two", start).refused
