"""Flows in the quantities of the proofs: their rates are those that a run measures."""

import numpy as np
import pytest
import sympy as sp

import flows
import potentials
from potentials.substitution import I, J

# A run carries residuals apart from the layers; they agree to some times its tolerance, 1e-10.
TOLERANCE = 1e-8
# Gauss-Hermite with this many nodes a coordinate is exact here to better than the tolerance.
NODES = 80
BROKEN = 1.001


def evaluate(expression, at, values):
    """Number of a rate: sums written out, indexed quantities from functions of their indices."""
    summed = expression.replace(
        lambda x: isinstance(x, sp.Sum),
        lambda x: sp.Add(
            *(x.function.xreplace({x.variables[0]: sp.Integer(k)}) for k in range(values["n"]))
        ),
    )
    put = summed.xreplace({x: sp.Integer(k) for x, k in at.items()})
    families, plain = values["families"], values["plain"]
    put = put.xreplace(
        {x: families[x.base.name](*map(int, x.indices)) for x in put.atoms(sp.Indexed)}
    )
    return float(put.xreplace({x: plain[x.name](*at.values()) for x in put.free_symbols}))


def compare(flow, run, row, values):
    """Rates of all features at an output time against those of the run: the names compared."""
    n, seen = values["n"], []
    for name, expression in flow.rates.items():
        if f"{name}_dot" not in run.features:
            continue
        found = np.atleast_1d(np.asarray(run.features[f"{name}_dot"])[row])
        indices = {1: [()], n: [(k,) for k in range(n)]}.get(len(found))
        if name in ("distance", "kappa"):
            indices = [(i, j) for i in range(n) for j in range(i + 1, n)]
        here = [evaluate(expression, dict(zip((I, J), k, strict=False)), values) for k in indices]
        size = np.abs(found).max()
        assert here == pytest.approx(list(found), abs=TOLERANCE * size), name
        assert [x * BROKEN for x in here] != pytest.approx(list(found), abs=TOLERANCE * size)
        seen.append(name)
    return seen


def test_rates_of_the_neurons_are_the_products_of_the_flow_of_pairs():
    n = 3
    system = flows.ReLUNeuron(n, 4, teacher=[0.3, -1.2, 0.4, 0.1])
    run = flows.integrate(system, system.initial(0.7, 3), 1.0)
    w, v = run.state[-1], np.array(system.teacher)
    length = np.linalg.norm(v)
    h = w @ v / length
    z = w - np.outer(h, v) / length

    def angle(x, y):
        return np.arccos(np.clip(x @ y / np.linalg.norm(x) / np.linalg.norm(y), -1, 1))

    def pull(i, k=None):
        return (np.pi - angle(w[i], v if k is None else w[k])) / (2 * np.pi)

    def stretch(i):
        others = sum(np.linalg.norm(w[k]) * np.sin(angle(w[i], w[k])) for k in range(n))
        own = length * np.sin(angle(w[i], v)) - others
        return own / (2 * np.pi * np.linalg.norm(w[i]))

    pair = {}
    values = {
        "n": n,
        "plain": {
            "h": lambda i: h[i],
            "zeta": lambda i: np.linalg.norm(z[i]),
            "norm": lambda i: np.linalg.norm(w[i]),
            "theta": lambda i: angle(w[i], v),
            "teacher_norm": lambda *_: length,
        },
        "families": {
            "stretch": stretch,
            "pull": pull,
            "h": lambda k: h[k],
            "zeta": lambda k: np.linalg.norm(z[k]),
            "norm": lambda k: np.linalg.norm(w[k]),
            "theta_pair": lambda i, k: 0.0 if i == k else angle(w[i], w[k]),
            "kappa": lambda i, k: 0.0 if i == k else angle(z[i], z[k]),
            "along": lambda k: pair["e"] @ z[k],
        },
    }
    flow = potentials.flow("relu_neuron")
    assert len(flow.rates) == 7
    distance = flow.rates["distance"]
    assert set(compare(flow_without(flow, "distance"), run, -1, values)) == {
        "h",
        "rho",
        "zeta",
        "norm",
        "theta",
        "kappa",
    }
    for k, (i, j) in enumerate([(0, 1), (0, 2), (1, 2)]):
        pair["e"] = (z[i] - z[j]) / np.linalg.norm(z[i] - z[j])
        found = run.features["distance_dot"][-1, k]
        assert evaluate(distance, {I: i, J: j}, values) == pytest.approx(found, rel=TOLERANCE)
        assert BROKEN * found != pytest.approx(found, rel=TOLERANCE)


def flow_without(flow, name):
    return potentials.Flow({k: x for k, x in flow.rates.items() if k != name})


def averaged(means, weights, of):
    """Average of `of(x, psi, v)` over a standard Gaussian in the plane."""
    x, p = np.polynomial.hermite_e.hermegauss(NODES)
    p = p / p.sum()
    grid = np.stack(np.meshgrid(x, x, indexing="ij"), -1).reshape(-1, 2)
    log = np.log(weights) + grid @ means.T - (means**2).sum(-1) / 2
    psi = np.exp(log - log.max(-1, keepdims=True))
    psi /= psi.sum(-1, keepdims=True)
    values = of(grid, psi, psi @ means)
    return np.tensordot(np.outer(p, p).ravel(), values, 1)


def test_rates_of_gradient_em_are_averages_of_the_posterior():
    system = flows.GMMEM(3, 2, [0.2, 0.3, 0.5])
    run = flows.integrate(system, system.initial(0.6, 1), 1.0)
    mu = run.state[-1]
    g = averaged(mu, system.weights, lambda x, psi, v: psi[:, :, None] * v[:, None])

    def turned(i):
        def of(x, psi, v):
            first = v @ g[i]
            second = ((mu[i] - v) * v).sum(-1) * ((x - mu[i]) @ g[i])
            return psi[:, i] * (first + second)

        return averaged(mu, system.weights, of)

    values = {
        "n": 3,
        "plain": {"norm": lambda i: np.linalg.norm(mu[i])},
        "families": {"along": lambda i: mu[i] @ g[i], "turned": turned},
    }
    assert set(compare(potentials.flow("gmm_em"), run, -1, values)) == {"norm", "fisher"}
    rate = -2 * averaged(mu, system.weights, lambda x, psi, v: (v**2).sum(-1))
    found = run.quantities["squared_norm_sum_dot"][-1]
    assert rate == pytest.approx(found, rel=TOLERANCE)
    assert potentials.flow("gmm_em").rates["squares"] == -2 * potentials.symbol("fisher")
    assert run.quantities["fisher"][-1] == pytest.approx(-rate / 2, rel=TOLERANCE)


def test_rates_of_score_matching_are_averages_of_the_posterior():
    system = flows.ScoreMatching(3, 2, noise_time=0.3, target=[0.5, -0.2])
    run = flows.integrate(system, system.initial(0.6, 1), 1.0)
    mu = np.exp(-0.3) * (run.state[-1] - np.array(system.target))

    def of(x, psi, v):
        inner = ((mu[None] - v[:, None]) * v[:, None]).sum(-1)
        away = inner[..., None] * (x[:, None] - mu[None])
        return psi[..., None] * (v[:, None] + away)

    g = averaged(mu, np.full(3, 1 / 3), of)
    values = {
        "n": 3,
        "plain": {"norm": lambda i: np.linalg.norm(mu[i]), "noise_time": lambda *_: 0.3},
        "families": {"along": lambda i: mu[i] @ g[i]},
    }
    flow = potentials.flow("score_matching")
    assert compare(flow, run, -1, values) == ["norm"]
    found = run.quantities["squared_norm_sum_dot"][-1]
    assert evaluate(flow.rates["squares"], {}, values) == pytest.approx(found, rel=TOLERANCE)


def test_rates_of_the_layers_are_those_of_both_gradients():
    n, d, a = 4, 3, 1.7
    target = np.diag([2.0, 1.5, 1.0])
    system = flows.MatrixFactorization(d, "complex", a, target)
    run = flows.integrate(system, system.initial(0.7, 2), 0.3)
    w = run.state[-1]

    def H(m):
        return m.conj().T

    def product(ms):
        out = np.eye(d, dtype=complex)
        for m in ms:
            out = m @ out
        return out

    after = [product(w[k + 1 :]) for k in range(n)]
    before = [product(w[:k]) for k in range(n)]
    error = target - product(w)
    fit = [H(after[k]) @ error @ H(before[k]) for k in range(n)]
    zero = np.zeros((d, d))
    delta = [zero, *(w[k] @ H(w[k]) - H(w[k + 1]) @ w[k + 1] for k in range(n - 1)), zero]
    push = [delta[k + 1] @ w[k] - w[k] @ delta[k] for k in range(n)]
    velocity = [g - a * p for g, p in zip(fit, push, strict=True)]
    moved = sum(after[k] @ fit[k] @ before[k] for k in range(n))
    rest = np.linalg.inv(w[1]) @ H(w[2]) @ H(w[3])
    rest_dot = np.linalg.inv(w[1]) @ (
        H(velocity[2]) @ H(w[3]) + H(w[2]) @ H(velocity[3]) - velocity[1] @ rest
    )

    def singular(matrix, rate, i):
        u, _, v_h = np.linalg.svd(matrix)
        return (H(u) @ rate @ H(v_h))[i, i].real

    gap = w[0] - rest
    values = {
        "n": n,
        "plain": {
            "residual": lambda *_: np.linalg.norm(error),
            "skew": lambda *_: np.linalg.norm(gap @ np.sqrt(target)),
            "regularization": lambda *_: a,
            "skew_product": lambda *_: np.trace(H(gap) @ (velocity[0] - rest_dot) @ target).real,
            "main_product": lambda i: singular(w[0] + rest, velocity[0] + rest_dot, i),
            "determinant_product": lambda *_: (
                (np.linalg.det(product(w)) * np.trace(np.linalg.solve(product(w), moved))).real
            ),
        },
        "families": {
            "fit": lambda k: np.linalg.norm(fit[k]),
            "push": lambda k: np.linalg.norm(push[k]),
        },
    }
    flow = potentials.flow("matrix_factorization")
    for name in ("residual", "skew", "determinant"):
        found = run.features[f"{name}_dot"][-1]
        assert evaluate(flow.rates[name], {}, values) == pytest.approx(found, rel=TOLERANCE)
    found = run.quantities["loss_balance_dot"][-1]
    here = a / 4 * evaluate(flow.rates["squares"], {}, values)
    assert here == pytest.approx(found, rel=TOLERANCE)
    assert here * BROKEN != pytest.approx(found, rel=TOLERANCE)
    for i in range(d):
        values["families"]["singular"] = lambda k, i=i: singular(
            product(w), after[k] @ fit[k] @ before[k], i
        )
        for name in ("singular_value", "main"):
            found = run.features[f"{name}_dot"][-1, i]
            here = evaluate(flow.rates[name], {I: i}, values)
            assert here == pytest.approx(found, rel=TOLERANCE), name
    for layer in range(n):
        values["plain"]["layer_product"] = lambda i, j=layer: singular(w[j], velocity[j], i)
        for i in range(d):
            found = run.features["layer_value_dot"][-1, layer * d + i]
            here = evaluate(flow.rates["layer_value"], {I: i}, values)
            assert here == pytest.approx(found, rel=TOLERANCE)


def _rates(text):
    """Rates on the right side: a dot over a letter, d/dt before a longer formula."""
    right = text.partition(" = ")[2]
    return [sign for sign in (r"\dot", r"\frac{d}{dt}") if sign in right]


@pytest.mark.parametrize("system", potentials.SYSTEMS)
def test_lie_derivatives_are_written_without_dots(system):
    flow = potentials.flow(system)
    for potential in potentials.potentials(system):
        text = potential.lie_latex(flow)
        assert not _rates(text) and text.startswith(r"\frac{d}{dt}")
        assert text.count("{") == text.count("}") and text.count(r"\left") == text.count(r"\right")
        assert _rates(potential.lie_latex())  # the check can fail


def test_the_flow_of_a_system_without_one_is_empty_and_dots_stay():
    empty = potentials.Flow()
    (z,) = (p for p in potentials.potentials("relu_neuron") if p.name == "pairwise_distance")
    assert z.lie_latex(empty) == z.lie_latex()
