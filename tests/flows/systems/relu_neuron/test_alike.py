"""Neurons that hardly differ: the loss ends at the cube of their distances, or of rounding."""

import numpy as np
import pytest

import flows
from flows.runs.verdict import Outcome

TIMES = np.geomspace(1.0, 1e4, 5)
RTOL = 1e-8
# What the estimate would be if only the tolerance counted.
PLAIN = 100 * RTOL


def alike(n: int, d: int, apart: float, seed: int = 3) -> np.ndarray:
    """Neurons of length 0.1 that differ by ``apart``, relative to it."""
    rng = np.random.default_rng(seed)
    return 0.1 * (rng.normal(size=d) + apart * rng.normal(size=(n, d)))


def integrate(start, method="auto", **options):
    system = flows.ReLUNeuron(*start.shape)
    return flows.integrate(system, start, TIMES[-1], t_eval=TIMES, method=method, **options)


@pytest.mark.parametrize(
    ("n", "d", "apart"), [(2, 2, 1e-4), (2, 2, 1e-8), (2, 2, 1e-12), (3, 3, 1e-8), (3, 3, 1e-12)]
)
def test_the_error_of_the_loss_is_within_what_the_run_says(n, d, apart):
    start = alike(n, d, apart)
    exact = integrate(start, "reference")
    worst = {}
    for method in ("auto", "Rodas5P"):
        run = integrate(start, method, rtol=RTOL)
        assert run.completed
        worst[method] = np.max(np.abs(run["loss"] / exact["loss"] - 1))
        assert worst[method] < run.error("loss")
    if apart == 1e-12:  # without the rounding of the neurons the estimate would be wrong
        assert max(worst.values()) > PLAIN


@pytest.mark.parametrize("apart", [1e-10, 1e-14, 3e-16])
@pytest.mark.parametrize("method", ["auto", "Rodas5P"])
def test_rounding_refutes_no_claim_and_loss_never_grows_beyond_its_error(apart, method):
    start = alike(3, 3, apart)
    run = flows.integrate(flows.ReLUNeuron(3, 3), start, 1e9, method=method)
    assert run.completed
    growth = np.max(np.diff(run["loss"]) / run["loss"][:-1])
    assert growth < run.error("loss")
    assert all(v.verdict != Outcome.VIOLATED for v in flows.check(run))


def test_a_random_start_has_no_rounding_to_speak_of():
    system = flows.ReLUNeuron(3, 5)
    run = flows.integrate(system, system.initial(0.1, 0), 1e9)
    assert run.features["rounding"].max() < 1e-12


def test_one_neuron_and_equal_ones_have_none():
    for start in (np.full((1, 2), 0.1), np.full((4, 2), 0.1)):
        run = integrate(start)
        assert run.features["rounding"].max() == 0
