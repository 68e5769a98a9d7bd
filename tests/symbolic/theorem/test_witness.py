"""Each theorem on a run that meets its hypotheses: they hold there, and so does the conclusion."""

import math

import numpy as np
import pytest

import flows
import symbolic
from symbolic.systems.relu_neuron import lower_bound
from symbolic.theorem.evaluate import Model, holds, margin
from symbolic.theorem.formulas import Rel
from symbolic.theorem.kernel import Theorem

# States of a run are right to about its tolerance, 1e-10; slopes are those of the field there.
ROUNDING = 1e-8
TIMES = (0.0, 1.0, 30.0, 1e3)


def statement(system, name):
    (found,) = (s for s in symbolic.theorems(system) if s.name == name)
    return found


def all_hold(th: Theorem, model, env):
    return [f for f in th.hyps if not holds(f, model, env, ROUNDING)]


def on_a_run(start, generator):
    """What the names of the lower bound stand for along the run from a start."""
    system = flows.ReLUNeuron(n=3, d=5)
    e = np.eye(5)[0]
    run = flows.integrate(system, start, t_end=TIMES[-1], t_eval=TIMES[1:])
    states = {t: np.array(run.state[k]) for k, t in enumerate(run.t) if t in TIMES}
    slopes = {t: -np.array(system.gradient(w)) for t, w in states.items()}

    def near(t):
        return min(TIMES, key=lambda s: abs(s - t))

    def w(i, t):
        return states[near(t)][i] + (t - near(t)) * slopes[near(t)][i]

    def across(x):
        return x - x[0] * e

    names = {
        "w": w,
        "z": lambda i, t: across(w(i, t)),
        "e": lambda: e,
        "r": lambda i, t: 1 / np.linalg.norm(w(i, t)),
        "L": lambda t: float(system.loss(states[near(t)])),
    }
    rates = {"z": lambda i, t: across(slopes[near(t)][i])}
    model = Model(3, names, rates, TIMES, [generator.normal(size=5) for _ in range(2)])
    return model, names["z"]


@pytest.fixture(scope="module")
def neurons():
    """Three neurons near a third of the teacher, in five dimensions."""
    generator = np.random.default_rng(4)
    return on_a_run(np.eye(5)[0] / 3 + 0.1 * generator.normal(size=(3, 5)), generator)


@pytest.fixture(scope="module")
def cone():
    """Neurons on one side of the teacher, whose z are at acute angles for a while."""
    generator = np.random.default_rng(5)
    side = 0.2 * np.eye(5)[1] + 0.02 * generator.normal(size=(3, 5))
    return on_a_run(np.eye(5)[0] / 3 + side, generator)


def angles(z, t):
    """Cosine of the largest angle, and a pair that has it."""
    unit = [z(i, t) / np.linalg.norm(z(i, t)) for i in range(3)]
    pairs = [(float(unit[i] @ unit[j]), i, j) for i in range(3) for j in range(i)]
    return min(pairs)


def environment(z, t):
    def distance(s):
        return sum(np.linalg.norm(z(i, s) - z(j, s)) for i in range(3) for j in range(i))

    cosine, a, b = angles(z, 0.0)
    c, then = max(cosine, 0.0), distance(0.0)
    m = 1 - c
    growth = m + 34 * 3**4 * then * t
    return {
        **{"t": t, "T": 0.0, "v": 1.0, "c": c, "a": a, "b": b, "p": a, "q": b},
        **{"Z": distance(t), "Z_T": then, "m": m, "G": growth},
    }


@pytest.mark.parametrize("t", TIMES)
@pytest.mark.parametrize("name", ["distance_decay", "distance_vs_loss", "loss_lower"])
def test_the_lower_bound_speaks_of_a_run_and_is_right_there(neurons, name, t):
    model, z = neurons
    th = statement("relu_neuron", name).theorem
    env = environment(z, t)
    assert all_hold(th, model, env) == []
    assert holds(th.concl, model, env, ROUNDING)


def test_the_largest_angle_persists_on_a_run(cone):
    model, z = cone
    th = statement("relu_neuron", "persistence").theorem
    now, then = angles(z, 1.0)[0], angles(z, 0.0)[0]
    assert 0 < now < then  # acute, and the angles have grown
    # A cone that all pairs are in at time 1, and so, by the theorem, at time 0.
    env = {**environment(z, 1.0), "c": now - 1e-3}
    assert all_hold(th, model, env) == []
    for p, q in ((0, 1), (1, 2), (2, 0)):
        assert holds(th.concl, model, {**env, "p": p, "q": q}, ROUNDING)
    # With a cone that they have left, the hypotheses fail.
    assert all_hold(th, model, {**env, "c": now + 1e-3}) != []


def test_a_constant_that_the_run_does_not_allow_fails_there(neurons):
    model, z = neurons
    th = lower_bound.distance_vs_loss()
    env = environment(z, 0.0)
    loss, distance = th.concl.poly.terms[0], th.concl.poly.terms[1]
    assert margin(th.concl, model, env) > 0
    factor = 10**6  # far above what is left over at this start
    broken = type(th.concl.poly)((loss, (distance[0], distance[1] * factor)))
    assert margin(Rel(broken, ">="), model, env) < 0


def test_the_flow_of_z_is_that_of_the_system_and_not_one_a_thousandth_off(neurons):
    model, z = neurons
    env = environment(z, 1.0)
    law = lower_bound.flow()
    assert abs(margin(law, model, env)) < ROUNDING
    terms = law.body.poly.terms
    off = type(law.body.poly)(((terms[0][0], terms[0][1] * 1001 / 1000), *terms[1:]))
    assert margin(type(law)(law.bound, law.guards, Rel(off, "=")), model, env) < -1e-5


# --- mirror pair -----------------------------------------------------------------------------
@pytest.mark.parametrize("name", ["mirror_lower", "mirror_upper"])
def test_a_mirror_pair_is_between_its_bounds(name):
    system = flows.ReLUNeuron(n=2, d=2)
    angle = 0.4
    start = np.array([[0.5, math.tan(angle) / 2], [0.5, -math.tan(angle) / 2]])
    run = flows.integrate(system, start, t_end=TIMES[-1], t_eval=TIMES[1:])
    states = dict(zip(run.t, run.state, strict=True))

    def theta(t):
        return math.atan2(states[t][0][1], states[t][0][0])

    def slope(t):
        w, dw = np.array(states[t][0]), -np.array(system.gradient(np.array(states[t]))[0])
        return float((w[0] * dw[1] - w[1] * dw[0]) / (w @ w))

    loss = {"L": lambda t: float(system.loss(np.array(states[t])))}
    model = Model(2, {"theta": theta, **loss}, {"theta": slope}, TIMES)
    th = statement("relu_neuron", name).theorem
    for t in TIMES:
        grown = {"G": math.pi + angle * t, "H": 6 * math.pi + 5 * angle * t}
        env = {"t": t, "T": 0.0, **grown}
        assert all_hold(th, model, env) == []
        assert holds(th.concl, model, env, ROUNDING)


# --- gradient EM and layers ------------------------------------------------------------------
@pytest.mark.parametrize("name", ["squared_norms", "squared_norms_fall"])
def test_the_squared_norms_fall_on_a_run_of_gradient_em(name):
    system = flows.GMMEM(n=3, d=1)
    start = np.array([[0.7], [-0.4], [0.3]])
    run = flows.integrate(system, start, t_end=10.0, t_eval=(1.0, 10.0))
    states = {float(t): np.array(m) for t, m in zip(run.t, run.state, strict=True)}
    nodes, weights = np.polynomial.hermite_e.hermegauss(60)
    weights = weights / weights.sum()

    def psi(i, x, t):
        mu = states[t][:, 0]
        logs = mu * nodes[x] - mu**2 / 2
        parts = np.exp(logs - logs.max())
        return parts[i] / parts.sum()

    def field(x, t):
        return sum(psi(k, x, t) * states[t][k] for k in range(3))

    names = {"psi": psi, "v": field, "mu": lambda i, t: states[t][i]}
    rates = {"mu": lambda i, t: -np.array(system.gradient(states[t]))[i]}
    model = Model(3, names, rates, tuple(states), [np.array([0.8])], tuple(weights))
    th = statement("gmm_em", name).theorem
    for t in states:
        env = {"t": t, "T": 0.0}
        assert all_hold(th, model, env) == []
        if name == "squared_norms_fall":
            assert holds(th.concl, model, env, ROUNDING)
        else:  # its rate, from the field, against the Fisher information that the system reports
            u = sum(2 * float(states[t][k] @ rates["mu"](k, t)) for k in range(3))
            fisher = sum(w * float(field(x, t) @ field(x, t)) for x, w in enumerate(weights))
            assert u == pytest.approx(-2 * fisher, rel=ROUNDING)


@pytest.mark.parametrize("name", ["balance_conserved", "balance_decays"])
def test_the_balance_of_layers_on_a_run(name):
    decays = name == "balance_decays"
    penalty = 5.0 if decays else 0.0
    system = flows.MatrixFactorization(d=2, regularization=penalty)
    generator = np.random.default_rng(1)
    start = 0.6 * np.eye(2) + 0.2 * generator.normal(size=(4, 2, 2))
    run = flows.integrate(system, start, t_end=2.0, t_eval=(0.5, 2.0))
    states = {float(t): np.array(m).real for t, m in zip(run.t, run.state, strict=True)}
    slopes = {t: -np.array(system.gradient(w)).real for t, w in states.items()}

    def defects(w):
        return [w[j] @ w[j].T - w[j + 1].T @ w[j + 1] for j in range(3)]

    def reg(t):
        return penalty / 4 * sum(float((x**2).sum()) for x in defects(states[t]))

    def speed(t):
        w, x = states[t], [0 * np.eye(2), *defects(states[t]), 0 * np.eye(2)]
        parts = [penalty * (x[j + 1] @ w[j] - w[j] @ x[j]) for j in range(4)]
        return math.sqrt(sum(float((g**2).sum()) for g in parts))

    def fall(t):
        w, dw = states[t], slopes[t]
        rates = [
            dw[j] @ w[j].T + w[j] @ dw[j].T - dw[j + 1].T @ w[j + 1] - w[j + 1].T @ dw[j + 1]
            for j in range(3)
        ]
        pairs = zip(defects(w), rates, strict=True)
        return penalty / 2 * sum(float((x * r).sum()) for x, r in pairs)

    for j in range(3):
        names = {
            "q": lambda a, t, j=j: states[t][j][a],
            "p": lambda a, t, j=j: states[t][j + 1][:, a],
            **{"R": reg, "g": speed},
        }
        rates = {
            "q": lambda a, t, j=j: slopes[t][j][a],
            "p": lambda a, t, j=j: slopes[t][j + 1][:, a],
            "R": fall,
        }
        model = Model(2, names, rates, tuple(states))
        th = statement("matrix_factorization", name).theorem
        k = min(speed(t) ** 2 / reg(t) for t in states) * 0.999 if decays else 0.0
        for t in states:
            for a, b in ((0, 0), (0, 1), (1, 0)):
                env = {"t": t, "T": 0.0, "a": a, "b": b, "k": k}
                assert all_hold(th, model, env) == []
                assert holds(th.concl, model, env, ROUNDING)
