"""Deep linear chains in JAX: the compiled laws, the gradient by differentiation, runs, batches."""

import itertools

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import flows
from flows.ensembles.integrate import integrate_ensemble
from flows.ensembles.starts import Law
from flows.solvers.traced import SelfSimilarField, arguments
from flows.systems.matrix_factorization import field as chains
from flows.systems.matrix_factorization import field_jax as matrix_factorization_jax

# Products of a few matrices with entries of order one, in doubles.
ROUNDING = 1e-12
# What a state or a strength that is off by some hundredths does to a field of order one.
VISIBLE = 1e-4
# Loss of a run at rtol 1e-10, which integrate promises.
PROMISED = 1e-8
KINDS = [(2, "real"), (3, "complex"), (4, "real")]


@pytest.fixture(autouse=True)
def double_precision():
    with jax.enable_x64(True):
        yield


def chart_of(depth, field, t=0.0):
    target = np.diag([1.0, 0.7])
    system = flows.MatrixFactorization(2, field, 1.3, target, depth)
    frame, state = system.reduce(system.initial(0.6, seed=depth))
    if t:
        run = flows.integrate(system, system.initial(0.6, seed=depth), t, t_eval=[t])
        frame, state = run.frame, run.states.at(-1)
    return system, system.piece(frame, state, t).chart


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


@pytest.mark.parametrize("depth, field", KINDS)
def test_layers_fall_along_the_gradient_that_jax_differentiates(depth, field):
    system, chart = chart_of(depth, field)
    raw, strength = matrix_factorization_jax.raw_field(chart)
    found = chains.unpack(np.array(jax.jit(raw)(chart.x0, strength)), chart.shape).layers
    layers = chains.unpack(chart.x0, chart.shape).layers
    # JAX gives the conjugate of d/dRe + i d/dIm.
    gradient = jax.jit(jax.grad(loss))(jnp.asarray(layers), np.array(system.target), 1.3).conj()
    assert np.abs(found + gradient).max() < ROUNDING
    other = jax.grad(loss)(jnp.asarray(layers), np.array(system.target), 1.4).conj()
    assert np.abs(found + other).max() > VISIBLE


@pytest.mark.parametrize("depth, field", KINDS)
def test_field_and_jacobian_are_those_of_the_cpu_chart_at_the_start_and_late(depth, field):
    raw, _ = matrix_factorization_jax.raw_field(chart_of(depth, field)[1])
    whole = SelfSimilarField(raw, False)
    compiled = jax.jit(lambda *given: (whole(*given), jax.jacfwd(whole, 1)(*given)))
    for t in (0.0, 20.0):
        _, chart = chart_of(depth, field, t)
        numbers = matrix_factorization_jax.raw_field(chart)[1]
        slope, matrix = compiled(0.3, chart.y0, arguments(chart.clock, numbers))
        truth, jacobian = chart.rhs(0.3, chart.y0), chart.jacobian(0.3, chart.y0)
        assert np.abs(slope - truth).max() < ROUNDING * np.abs(truth).max()
        assert np.abs(matrix - jacobian).max() < ROUNDING * np.abs(jacobian).max()
        off = chart.rhs(0.3, 1.05 * chart.y0)
        assert np.abs(slope - off).max() > VISIBLE * np.abs(truth).max()


def test_chains_of_one_shape_share_their_function():
    fields = [matrix_factorization_jax.raw_field(chart_of(4, "real", t)[1])[0] for t in (0.0, 20.0)]
    assert fields[0] is fields[1]
    assert fields[0] is not matrix_factorization_jax.raw_field(chart_of(4, "complex")[1])[0]


# Real layers have these fields too, says a test above.
def test_a_batch_has_the_losses_of_the_cpu_engine():
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
