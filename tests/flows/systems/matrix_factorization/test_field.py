"""The one text of deep linear chains: every kind of number, Jacobians, the gradient, batches."""

import functools
import itertools

import jax
import jax.numpy as jnp
import numba
import numpy as np
import pytest
from mpmath import mp

import flows
from flows.arithmetic import lists
from flows.arithmetic.arrays import field_of
from flows.core.chart import plainly
from flows.ensembles.integrate import integrate_ensemble
from flows.ensembles.starts import Law
from flows.solvers import diffrax_ivp
from flows.systems.matrix_factorization import chains
from flows.systems.matrix_factorization import field as text

LANES = 16
# Sums of up to a hundred products of numbers of order one, in doubles.
ROUNDING = 1e-13
# Entries of a Jacobian beside its largest one.
ENTRY = 1e-12
# What a strength that is off by a thousandth does to a field of order one.
VISIBLE = 1e-5
# Loss of a run at rtol 1e-10, which integrate promises.
PROMISED = 1e-8
SHAPES = [(2, 1, 0), (4, 3, 0), (3, 2, 1), (5, 2, 0)]
STRENGTH = np.array([1.7])


@pytest.fixture(autouse=True)
def double_precision():
    with jax.enable_x64(True):
        yield


def state_of(shape):
    return np.random.default_rng(shape[0]).normal(size=text.sizes(shape)[0])


def in_digits(x, strength, shape):
    """Field in sixty digits."""
    with mp.workdps(60):
        run = lists.field_of(text.define, text.sizes, lists.decimals())
        return run([mp.mpf(v) for v in x], [mp.mpf(v) for v in strength], shape)


@functools.cache
def compiled():
    """Field of sixteen chains, of any shape."""
    field = text.make_field(LANES)
    return numba.njit(lambda *arrays: field(*arrays))


def in_lanes(x, strength, shape):
    """Field of the last of sixteen chains, all of them others."""
    states = np.stack([x * (1 + e) for e in range(LANES)][::-1], axis=1)
    out, work = np.empty_like(states), np.full((text.LANES.workspace(shape), LANES), np.nan)
    compiled()(states, np.tile(strength[:, None], LANES), np.array(shape), out, work)
    return out[:, -1]


KINDS = {
    "doubles": lambda *given: plainly(text.make_raw, *given)[0],
    "lanes": in_lanes,
    "jax": lambda x, strength, shape: np.asarray(
        jax.jit(field_of(text.define, text.sizes, shape))(x, strength)
    ),
}


@pytest.mark.parametrize("kind", KINDS)
def test_every_kind_of_number_gives_the_field_in_sixty_digits(kind):
    for shape in SHAPES:
        x = state_of(shape)
        true = np.array(in_digits(x, STRENGTH, shape), dtype=float)
        found = KINDS[kind](x, STRENGTH, shape)
        assert np.abs(found - true).max() < ROUNDING * np.abs(true).max()
        other = KINDS[kind](x, 1.001 * STRENGTH, shape)
        assert np.abs(other - true).max() > VISIBLE * np.abs(true).max()


@pytest.mark.parametrize("kind", KINDS)
def test_what_has_decayed_to_nothing_stays_so(kind):
    shape = (4, 3, 0)
    x = state_of(shape)
    x[: 4 * 9] = 0.0  # residual and defects
    found = KINDS[kind](x, STRENGTH, shape)
    assert np.array_equal(found, np.zeros_like(x))


@pytest.mark.parametrize("shape", [(2, 1, 1), (3, 2, 0)])
def test_jacobians_by_duals_are_differences_of_sixty_digits(shape):
    x = state_of(shape)
    found = plainly(text.make_raw, x, STRENGTH, shape)[1]
    step = mp.mpf(10) ** -20
    with mp.workdps(60):
        start, columns = [mp.mpf(v) for v in x], []
        for k in range(len(x)):
            ahead, back = (
                in_digits([v + s * (i == k) for i, v in enumerate(start)], STRENGTH, shape)
                for s in (step, -step)
            )
            columns.append([float((a - b) / (2 * step)) for a, b in zip(ahead, back, strict=True)])
    true = np.array(columns).T
    assert np.abs(found - true).max() < ENTRY * np.abs(true).max()
    assert np.abs(found - true.T).max() > VISIBLE


def loss(layers, target, strength):
    """Loss by its definition."""
    product = layers[0]
    for layer in layers[1:]:
        product = layer @ product
    total = jnp.sum(jnp.abs(target - product) ** 2) / 2
    for before, after in itertools.pairwise(layers):
        defect = before @ before.conj().T - after.conj().T @ after
        total += strength / 4 * jnp.sum(jnp.abs(defect) ** 2)
    return total


@pytest.mark.parametrize("depth, field", [(2, "real"), (3, "complex"), (4, "real")])
def test_layers_fall_along_the_gradient_that_jax_differentiates(depth, field):
    target = np.array([[1.0, 0.3], [0.0, 0.7]])
    system = flows.MatrixFactorization(2, field, 1.3, np.diag(np.diagonal(target)), depth)
    layers = system.initial(0.6, seed=depth)
    frame, state = system.reduce(layers)
    chart = system.piece(frame, state, 0.0).chart
    raw, strength = system.jax_field()(chart)
    found = chains.unpack(np.array(jax.jit(raw)(chart.x0, strength)), chart.shape).layers
    # JAX gives the conjugate of d/dRe + i d/dIm.
    slope = jax.jit(jax.grad(loss))
    gradient = slope(jnp.asarray(layers), np.array(system.target), 1.3).conj()
    assert np.abs(found + gradient).max() < ROUNDING
    assert np.abs(
        found + slope(jnp.asarray(layers), np.array(system.target), 1.31).conj()
    ).max() > (VISIBLE)
    # Of the layers alone, with any target.
    system = flows.MatrixFactorization(2, field, 1.3, target, depth)
    weights, numbers = system._weights(np.array(system.target)), layers.view(float).ravel()
    alone = plainly(text.make_layers, numbers, weights, chart.shape)[0]
    gradient = slope(jnp.asarray(layers), np.array(system.target), 1.3).conj()
    assert np.abs(alone + np.asarray(gradient).view(float).ravel()).max() < ROUNDING
    assert np.abs(system.gradient(layers) - gradient).max() < ROUNDING


def test_chains_of_one_shape_share_their_function_in_jax():
    first, again = (field_of(text.define, text.sizes, (4, 2, 0)) for _ in range(2))
    assert first is again
    assert first is not field_of(text.define, text.sizes, (4, 2, 1))


# Real layers have these fields too, says a test above.
def test_a_batch_has_the_losses_of_the_cpu_engine(monkeypatch):
    # Lanes without a member repeat one.
    monkeypatch.setattr(diffrax_ivp, "CPU_LANES", 5)
    system = flows.MatrixFactorization(2, "complex", 2.0, depth=2)
    law = Law(5, 0.5, seed=2)
    options = {"t_end": 1e4, "observables": ("loss", "loss_fit", "loss_balance")}
    found = integrate_ensemble(system, law, **options, method="diffrax-kvaerno5")
    truth = integrate_ensemble(system, law, **options, method="LSODA", rtol=1e-12)
    assert found.completed == truth.completed == 5
    for name in options["observables"]:
        seen = truth[name] > 1e-250  # then it leaves the range of doubles
        assert found[name][seen] == pytest.approx(truth[name][seen], rel=1e2 * PROMISED, abs=0)
    start = system.initial(0.5, law.seed_of(1))
    run = flows.integrate(system, start, 1e4, method="diffrax-kvaerno5")
    seen = truth["loss"][1] > 1e-250
    assert run["loss"][seen] == pytest.approx(truth["loss"][1][seen], rel=1e2 * PROMISED, abs=0)
    row = integrate_ensemble(system, Law(1, 0.5, seed=2), **options, method="diffrax-kvaerno5")
    assert np.array_equal(row["loss"][0], found["loss"][0])
    assert not np.array_equal(row["loss"][0], found["loss"][1])
