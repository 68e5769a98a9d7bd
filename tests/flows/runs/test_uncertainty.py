"""Errors come with each quantity at each time, and what lies below them decides nothing."""

import functools
from dataclasses import replace

import numpy as np
import pytest
import sympy as sp

import flows
import potentials
from flows.runs.tolerance import ERROR_FACTOR
from flows.runs.uncertainty import Uncertainty, propagated
from potentials import Comparison, Identity, Inequality, Source, symbol

HERE = Source("no author", 2000, "0000.00000", "a test", "identity")
x, y = sp.symbols("x y", real=True)
# Three neurons that hardly differ and pass a saddle, where errors grow.
PAST_A_SADDLE = [[-0.1703, -0.0276, 0.029], [-0.1729, -0.0279, 0.0283], [-0.1707, -0.0278, 0.029]]


def verdict(run, claim):
    (found,) = flows.check(run, claim)
    return found


def one(relation, lhs, rhs, constant=1, **where):
    """A claim that is this one comparison."""
    kind = Identity if relation == "==" else Inequality
    conclusion = Comparison(
        sp.sympify(lhs), relation, sp.sympify(rhs), sp.sympify(constant), **where
    )
    return kind(id="one", statement="one comparison", source=HERE, conclusions=(conclusion,))


# --- propagation --------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("expression", "values", "errors", "expected"),
    [
        (x * y, (2.0, 3.0), (1e-6, 1e-6), 5e-6),
        (x - y, (2.0, 2.0), (1e-6, None), 1e-6),
        (x**2, (0.0, 0.0), (1e-3, None), 1e-6),  # no first derivative there
        (sp.Abs(x), (0.0, 0.0), (1e-3, None), 1e-3),
        (x * y, (0.0, 0.0), (1e-3, 2e-3), 2e-6),  # both errors are larger than their values
        (sp.sqrt(x), (1e-9, 0.0), (1e-6, None), np.inf),
    ],
)
def test_an_error_is_what_moves_an_expression(expression, values, errors, expected):
    rows = {"x": np.array([values[0]]), "y": np.array([values[1]])}
    doubts = {"x": errors[0], "y": errors[1]}
    doubts = {k: None if e is None else np.array([e]) for k, e in doubts.items()}
    _, (found,) = propagated([expression], rows, doubts)
    assert found == pytest.approx(expected, rel=1e-5)  # of second order in the errors


def test_what_does_not_exist_but_may_is_not_known():
    rows = {"x": np.array([np.nan, np.nan, 1.0]), "y": np.ones(3)}
    doubts = {"x": np.array([np.inf, 1.0, 1e-3]), "y": np.full(3, 1e-3)}
    _, (found,) = propagated([x + y], rows, doubts)
    assert found[0] == np.inf and np.isnan(found[1]) and found[2] == pytest.approx(2e-3)


def test_an_error_of_a_difference_sees_what_both_sides_share():
    values, errors = {"x": np.array([1.0]), "y": np.array([0.0])}, {"x": np.array([1e-3])}
    assert propagated([x + y, x], values, errors, difference=True)[1][0] == [0.0]
    assert propagated([x + y, y], values, errors, difference=True)[1][0] == pytest.approx(1e-3)


@pytest.mark.parametrize(
    ("system", "scale", "end"),
    [
        (flows.ReLUNeuron(3, 4), 0.3, 1e6),
        (flows.GMMEM(2, 1), 1.0, 1e6),
        (flows.MatrixFactorization(2, depth=2), 0.5, 30.0),
    ],
    ids=lambda x: getattr(x, "name", None),
)
def test_two_tolerances_differ_by_less_than_the_errors_of_each_quantity(system, scale, end):
    times = np.geomspace(1e-2, end, 20)
    start = system.initial(scale, 1)
    loose, tight = (flows.integrate(system, start, end, times, rtol=r) for r in (1e-7, 1e-11))
    doubt = Uncertainty(loose)
    for name in loose.names:
        error = np.nan_to_num(doubt[name], nan=np.inf)
        wrong = np.abs(loose[name] - tight[name])
        assert (wrong <= error + Uncertainty(tight)[name]).all(), name
    # One relative error for all quantities would be less than that of some.
    assert any((doubt.beside(name) is not None) for name in loose.names)


# --- verdicts at rounding -----------------------------------------------------------------------


@pytest.mark.parametrize("rtol", [1e-6, 1e-8, 1e-10, 1e-12])
def test_a_skew_error_that_is_rounding_decides_nothing(rtol):
    system = flows.MatrixFactorization(1)
    start = system.initial(0.1, 1, balanced=True)
    found = verdict(flows.integrate(system, start, 21.0, rtol=rtol), "skew_monotone")
    assert found.verdict == "INCONCLUSIVE" and "below their error" in found.message


@pytest.mark.parametrize("seed", range(3))
def test_equal_symmetric_layers_decide_nothing_about_the_skew_error(seed):
    system = flows.MatrixFactorization(2)
    layer = system.initial(0.3, seed)[0]
    start = np.stack([layer + layer.T] * 4)
    found = verdict(flows.integrate(system, start, 21.0), "skew_monotone")
    assert found.verdict in {"INCONCLUSIVE", "HYPOTHESIS_NOT_MET"}


@pytest.mark.parametrize("second", [1 + 1e-12, np.nextafter(1, 2)])
def test_means_that_hardly_differ_refute_no_identity(second):
    run = flows.integrate(flows.GMMEM(2, 1), [[1.0], [second]], 1e3)
    assert verdict(run, "projection").verdict == "HOLDS"
    # A factor that is wrong by a thousandth is seen, where its digits are.
    assert verdict(run, broken("projection", -2.002)).verdict == "VIOLATED"


def broken(claim, constant):
    """An identity with another constant."""
    (known,) = (c for c in potentials.claims("gmm_em") if c.id == claim)
    (c,) = known.conclusions
    return replace(known, conclusions=(replace(c, constant=sp.Float(constant)),))


def test_a_tiny_start_refutes_no_identity_of_the_chain():
    system = flows.MatrixFactorization(2, regularization=1.0)
    times = np.geomspace(1e6, 3e10, 30)
    run = flows.integrate(system, system.initial(1e-5, 3), times[-1], times, rtol=1e-6)
    found = verdict(run, "orthogonal_parts")
    assert found.verdict in {"HOLDS", "INCONCLUSIVE"}
    free = flows.MatrixFactorization(2, regularization=0.0)
    late = flows.integrate(free, free.initial(4e-5, 64), 1e10, rtol=8e-7)
    assert verdict(late, "balance_conserved").verdict != "VIOLATED"


ORDINARY = {
    "gmm_em": (flows.GMMEM(3, 2), 1.0, 1e6, "projection"),
    "matrix_factorization": (flows.MatrixFactorization(3), 0.3, 20.0, "orthogonal_parts"),
}


@pytest.mark.parametrize("name", ORDINARY)
@pytest.mark.parametrize("factor", [1.001, 0.999])
def test_an_identity_that_is_wrong_by_a_thousandth_is_violated(name, factor):
    system, scale, end, claim = ORDINARY[name]
    run = flows.integrate(system, system.initial(scale, 0), end)
    (known,) = (c for c in potentials.claims(name) if c.id == claim)
    assert verdict(run, known).verdict == "HOLDS"
    (c,) = known.conclusions
    changed = replace(known, conclusions=(replace(c, constant=factor * c.constant),))
    assert verdict(run, changed).verdict == "VIOLATED"


@pytest.mark.parametrize("scale", [0.3, 1.0])
def test_the_em_update_is_compared_as_a_vector(scale):
    system = flows.GMMEM(3, 2, weights=(0.2, 0.3, 0.5))
    run = flows.integrate(system, system.initial(scale, 2), 100.0)
    assert verdict(run, "em_is_gradient").verdict == "HOLDS"
    # A vector of the right length in another direction, by a thousandth, is seen.
    turned = dict(run.features)
    turned["em_distance"] = turned["em_distance"] + 2e-3 * turned["gradient_norm"]
    fake = replace(run)
    fake.__dict__["features"] = turned
    assert verdict(fake, "em_is_gradient").verdict == "VIOLATED"


# --- late noise ---------------------------------------------------------------------------------


# A step may cross decades: past the end of a piece its tolerances do not fit.
@pytest.mark.parametrize("seed", [0, 1, 3])
def test_gradient_em_keeps_its_digits_however_late(seed):
    system = flows.GMMEM(3, 2)
    run = flows.integrate(system, system.initial(1.0, seed), 1e40)
    late = run.t > 1e12
    # t^2 L tends to 9/8 for three equal weights in two dimensions, up to 1/t.
    assert (run.t**2 * run["loss"])[late] == pytest.approx(9 / 8, rel=run.error("loss"))
    assert verdict(run, "projection").verdict == "HOLDS"


def test_neurons_keep_their_digits_however_late():
    system = flows.ReLUNeuron(3, 2)
    start, times = system.initial(0.1, seed=2), np.geomspace(1e6, 1e40, 35)
    runs = [flows.integrate(system, start, 1e40, times, method=m) for m in ("auto", "Radau")]
    first, second = (run["loss"][1:] * run.t[1:] ** 3 for run in runs)
    assert first == pytest.approx(second, rel=1e-6)  # LSODA and Radau, a hundred tolerances each
    assert 0.68 < first[6] < first[24] < 0.69 and 0.96 < first[-1] < 0.97


def test_a_neuron_that_falls_exponentially_is_known_to_the_tolerance_in_charts_of_its_own():
    system = flows.ReLUNeuron(2, 2)
    start, times = flows.Law(3, 0.1, seed=0).start(system, 2), [10.0, 30.0, 60.0, 100.0]
    runs = [flows.integrate(system, start, 100.0, times, method=m) for m in ("auto", "Rodas5P")]
    (one, other), (a, b) = [run["loss"] for run in runs], [run.errors("loss") for run in runs]
    off, stated = np.abs(one - other), a * one + b * other
    assert (off <= stated)[1:].all() and one[-1] < 1e-35 and (off / one)[1:].max() < 1e-7
    # It stays next to the axis for a while, which it leaves: errors grow with its angle to it, and
    # are stated to, by few outputs as by many.
    many = flows.integrate(system, start, 100.0, method="Rodas5P").errors("loss")
    assert (stated / one)[1:-1].max() < 1e-6 and b[-1] <= many[-1] < 1e-5


# --- too few points -----------------------------------------------------------------------------


@pytest.mark.parametrize("count", [1, 2, 3, 8])
def test_a_statement_about_all_times_takes_some(count):
    system = flows.GMMEM(3, 2)
    run = flows.integrate(system, system.initial(1.0, 0), 1e3, np.geomspace(1, 1e3, 8)[-count:])
    for claim in ("projection", "norms_shrink", "loss_quadratic"):
        found = verdict(run, claim)
        few = count + 1 < 4
        assert found.verdict == ("INCONCLUSIVE" if few else "HOLDS")
        assert ("too few output times" in found.message) == few
    # One time is enough to refute.
    assert verdict(run, one("<=", symbol("loss"), 0)).verdict == "VIOLATED"
    # What compares numbers of the whole run takes one.
    whole = one("<=", symbol("loss_end"), symbol("loss_0"), where=(-symbol("t"),))
    assert verdict(run, whole).verdict == "HOLDS"


def test_layers_that_are_all_zero_are_checked_without_a_warning_or_a_verdict_that_fails():
    run = flows.integrate(flows.MatrixFactorization(2), np.zeros((4, 2, 2)), 1e6)
    assert run["loss"][-1] == 1.0  # a saddle
    verdicts = {str(v.verdict) for v in flows.check(run)}
    assert not verdicts & {"VIOLATED", "HOLDS"}


@functools.cache
def loss_past_a_saddle(*times):
    system = flows.ReLUNeuron(3, 3)
    options = {"t_eval": times, "method": "Radau", "rtol": 1e-12}
    return flows.integrate(system, PAST_A_SADDLE, times[-1], **options)["loss"]


@pytest.mark.parametrize("method", ["auto", "Rodas5P", "LSODA", "BDF", "CVODE"])
def test_the_loss_of_a_run_past_a_saddle_is_as_near_to_the_truth_as_it_says(method):
    system = flows.ReLUNeuron(3, 3)
    times = np.geomspace(1.0, 1e6, 7)
    run = flows.integrate(system, PAST_A_SADDLE, 1e6, t_eval=times, method=method)
    error = np.abs(run["loss"] / loss_past_a_saddle(*times) - 1.0)
    assert np.all(error <= run.error("loss"))
    # Control: what serves for auto would be said too little of methods of several steps.
    several = method in ("LSODA", "BDF", "CVODE")
    assert bool(np.max(error) > ERROR_FACTOR * run.rtol) == several
