"""A field of one's own as a system: what it shares with losses, and what it refuses in one line."""

import numpy as np
import pytest
import sympy as sp

import flows
from flows.core.errors import InputError
from flows.runs.between import turning
from potentials import Comparison, Inequality, Source, symbol
from symbolic import D

X, V, Y, T = sp.symbols("x v y t")
C = sp.Symbol("C")
OFF, POWER = sp.Rational(1, 1000), sp.Rational(1, 10)
ENERGY, SQUARE = symbol("energy"), symbol("square")
SPRING = flows.ODE("spring", [X, V], {X: V, V: -X - V / 10}, {"energy": (X**2 + V**2) / 2})
CUBE = flows.ODE("cube", [X], [-(X**3)], {"square": X**2})
# Tolerance of a run, and what is asked of its numbers.
DIGITS = 1e-8


@pytest.fixture(scope="module")
def spring():
    return flows.integrate(SPRING, {"x": 1, "v": 0}, 50)


@pytest.fixture(scope="module")
def cube():
    return flows.integrate(CUBE, [1.0], 1e9)


def test_the_rate_of_a_potential_is_that_along_the_field(spring):
    value, rate = spring.potential("energy")
    assert rate == pytest.approx(-(spring.state[:, 1] ** 2) / 10, rel=1e-12, abs=1e-300)
    assert value[0] == 0.5 and spring.names == ("speed", "energy")
    assert spring["speed"][0] == 1


def test_the_time_is_part_of_a_rate():
    system = flows.ODE("clock", [X], [-X * sp.Symbol("t", positive=True)], {"half": X * sp.exp(T)})
    run = flows.integrate(system, [1.0], 2.0, [1.0, 2.0])
    t = run.t
    exact = np.exp(t - t**2 / 2)
    assert run["half"] == pytest.approx(exact, rel=DIGITS)
    assert run.potential("half")[1] == pytest.approx((1 - t) * exact, rel=DIGITS, abs=1e-9)


def test_what_has_no_time_refuses_potentials_that_depend_on_it():
    system = flows.ODE("late", [X], [-X], {"half": X * sp.exp(T)})
    with pytest.raises(InputError, match="do not depend on the time"):
        flows.integrate(system, [1.0], 1.0, method="reference")


def test_matrices_and_vectors_move_in_blocks():
    W = sp.MatrixSymbol("W", 2, 2)
    turn = sp.Matrix([[0, -1], [1, 0]])
    system = flows.ODE("turn", [W], {W: turn * W}, {"area": sp.det(sp.Matrix(W))})
    run = flows.integrate(system, np.eye(2), 1.0, [1.0])
    cosine, sine = np.cos(1.0), np.sin(1.0)
    found = system.unpack(run.state[-1])["W"]
    assert found == pytest.approx(np.array([[cosine, -sine], [sine, cosine]]), rel=DIGITS)
    assert run["area"] == pytest.approx(1, rel=DIGITS)


def test_averages_in_closed_form_may_stand_in_a_field():
    from symbolic import Expectation

    x = sp.Symbol("z")
    system = flows.ODE("mean", [X], [-Expectation((X * x) ** 2, x)])
    run = flows.integrate(system, [1.0], 9.0, [9.0])
    assert run.state[-1, 0] == pytest.approx(0.1, rel=DIGITS)


@pytest.mark.parametrize(
    ("true", "broken"),
    [
        (D(SQUARE) <= -(2 - OFF) * SQUARE**2, D(SQUARE) <= -(2 + OFF) * SQUARE**2),
        (D(SQUARE) <= -C * SQUARE**2, D(SQUARE) <= -C * SQUARE ** (2 - POWER)),
        (C / symbol("t") >= SQUARE, C / symbol("t") ** (1 + POWER) >= SQUARE),
        (2 * symbol("t") * SQUARE <= 1 + OFF, 2 * symbol("t") * SQUARE <= 1 - OFF),
    ],
    ids=str,
)
def test_claims_about_a_field_hold_and_broken_ones_are_violated(cube, true, broken):
    assert [v.verdict for v in flows.check(cube, [true, broken])] == ["HOLDS", "VIOLATED"]


def test_a_field_has_claims_of_its_own(spring):
    claim = Inequality(
        id="decay",
        statement="energy falls",
        source=Source("nobody", 2026, "", "", "definition"),
        conclusions=(Comparison(symbol("energy_dot"), "<=", sp.S.Zero, sp.S.One),),
    )
    system = flows.ODE("spring", [X, V], SPRING.field, SPRING.potentials, [claim])
    run = flows.integrate(system, [1.0, 0.3], 5.0)
    assert flows.check(run)[0].verdict == "HOLDS"


def test_its_tail_and_exponent_are_measured(cube):
    assert flows.local_exponent(cube, "square")[-1] == pytest.approx(-1, rel=1e-6)
    tail = flows.tail_constant(cube, "square", 1.0)
    assert tail.value == pytest.approx(0.5, rel=1e-6) and abs(tail.value - 0.5) <= tail.error


def test_a_file_holds_the_field(spring, tmp_path):
    path = spring.save(tmp_path / "run.nc")
    read = flows.load(path)
    assert read.system == SPRING and isinstance(read.system, flows.ODE)
    assert read["energy"].tolist() == spring["energy"].tolist()
    assert read.errors("energy").tolist() == spring.errors("energy").tolist()
    again = flows.integrate(read.system, read.start, 50)
    assert again.state.tolist() == spring.state.tolist()


def test_a_file_of_a_field_that_is_no_plain_data_asks_for_the_system(tmp_path):
    system = flows.ODE("arc", [X], [-sp.acosh(X + 2)], {"square": X**2})
    run = flows.integrate(system, [1.0], 1.0)
    path = run.save(tmp_path / "run.nc")
    with pytest.raises(InputError, match="load\\(path, system="):
        flows.load(path)
    assert flows.load(path, system=system)["square"].tolist() == run["square"].tolist()


def test_ensembles_and_sweeps_follow_fields():
    found = flows.integrate_ensemble(SPRING, flows.Law(3, 1.0), t_end=5.0)
    alone = flows.integrate(SPRING, flows.Law(3, 1.0).start(SPRING, 1), 5.0)
    assert found["energy"][1].tolist() == alone["energy"].tolist()
    assert "energy" in repr(found)

    def make(damping):
        return flows.ODE("spring", [X, V], [V, -X - damping * V], {"energy": (X**2 + V**2) / 2})

    swept = flows.sweep(make, {"damping": [0, 1]}, size=2, t_end=5.0, observables=("energy",))
    still = swept["energy"].sel(damping=0)
    assert np.allclose(still.isel(t=-1), still.isel(t=0), rtol=1e-8)
    assert (swept["energy"].sel(damping=1).isel(t=-1) < still.isel(t=-1)).all()


def test_it_is_shown_as_a_run_of_a_loss_is(spring, tmp_path):
    assert "x' = v" in repr(spring) and "energy" in repr(spring)
    assert spring.to_xarray()["energy"].dims == ("t",)
    assert "loss" not in spring.to_json()
    assert spring.plot().axes[0].get_ylabel() == "energy"
    for show in (flows.report, flows.inspect):
        page = show(spring, out=tmp_path / f"{show.__name__}.html", browser=False).read_text()
        assert "energy along the flow" in page


def test_rates_are_derived_and_their_signs_proved():
    document = SPRING.derive().verify()
    step = document.derivations[-1].steps[-1]
    assert step.equation == r"- \frac{v^{2}}{10} \le 0" and str(step.finding.evidence) == "PROVED"


def test_invariants_of_a_polynomial_field_are_exact():
    a, b, c = sp.symbols("a b c")
    top = flows.ODE("top", [a, b, c], [b * c, -2 * a * c, a * b])
    assert set(map(str, top.invariants(2).conserved)) == {"b**2 + 2*c**2", "a**2 - c**2"}
    predator = flows.ODE("predator", [a, b], [a * (1 - b), b * (a - 1)])
    assert [str(p) for p, _ in predator.invariants(1).darboux] == ["b", "a"]


@pytest.mark.parametrize(
    ("given", "line"),
    [
        (("one", [X, V], [V]), "a right side for each of x, v, got 1 of them"),
        (("one", [X, V], {X: V}), "a right side for each of x, v, got sides for x"),
        (("one", [X], [sp.Symbol("w")]), "right side of x cannot be used"),
        (("one", [X], [sp.Abs(X)]), "kinks"),
        (("one", [X], ["x"]), "expected a SymPy expression"),
        (("one", [X], [sp.Matrix([1, 2])]), "right side of x cannot be used"),
        (("one", [T], [-T]), "a block cannot be called t"),
        (("relu_neuron", [X], [-X]), "name must be a plain word"),
        (("one", [X], [-X], {"loss": X}), "needs another name"),
        (("one", [X], [-X], {"p": sp.Symbol("q")}), "potential 'p' cannot be used"),
        (("one", [sp.MatrixSymbol("W", 2, 1)], [sp.eye(2)]), "expected a matrix of the shape"),
    ],
    ids=lambda x: str(x)[:40],
)
def test_a_bad_field_is_one_line(given, line):
    with pytest.raises(InputError, match=line) as caught:
        flows.ODE(*given)
    assert "\n" not in str(caught.value)


def test_what_needs_a_loss_says_so_in_one_line(spring):
    for ask, line in (
        (lambda: spring["loss"], "unknown observable 'loss'; known: speed, energy"),
        (lambda: spring.excess, "has no loss"),
        (lambda: SPRING.loss([1.0, 2.0]), "without a loss"),
        (lambda: flows.late_time_law(SPRING, at=[0, 0]), "laws are derived of gradient flows"),
        (lambda: flows.certify(SPRING, [1.0, 0.0], 1.0), "has no certificates"),
        (lambda: flows.find_potential(SPRING), "no gradient flow"),
        (lambda: flows.stationary(SPRING, [0.0, 0.0]), "without a loss"),
        (lambda: flows.descend(SPRING, [1.0, 0.0], 0.1, 10), "is a plain field"),
        (lambda: flows.saddles(spring), "no Hessian"),
        (lambda: SPRING.start_of([1.0, 0.0]), "no closed equation"),
    ):
        with pytest.raises(InputError, match=line):
            ask()


def test_a_start_without_a_value_is_refused_and_one_that_leads_there_ends():
    system = flows.ODE("root", [X], [-1 / X], {"square": X**2})
    with pytest.raises(InputError, match="has no value there"):
        flows.integrate(system, [0.0], 1.0)
    run = flows.integrate(system, [1.0], 1.0)  # at t = 1/2 it is at zero
    assert run.status == "field_failed" and 0 < run.t[-1] <= 0.5


@pytest.mark.parametrize(
    ("field", "t_end"), [([X**2], 1.0), ([X**3 - X / 2], np.log(2.0)), ([1 + X**2], np.pi / 4)]
)
def test_a_flow_that_becomes_infinite_ends_soon_and_in_one_line(field, t_end):
    system = flows.ODE("pole", [X], field, {"size": X})
    run = flows.integrate(system, [1.0], 2.0)
    assert "ends in finite time" in run.message and "\n" not in run.message
    # The time of the pole in closed form, to the tolerance of the run.
    assert float(run.message.split("t = ")[1].split(")")[0]) == pytest.approx(t_end, rel=1e-6)
    assert run.stats["steps"] < 10_000  # with its three companions; the budget is 800 000
    assert flows.integrate(system, [1.0], 0.99 * t_end).completed


@pytest.mark.parametrize("field", [[1 + 0 * X], [X], [-1e3 * X]])
def test_a_flow_that_passes_zero_grows_or_decays_fast_does_not_end(field):
    assert flows.integrate(flows.ODE("goes_on", [X], field, {}), [-1.0], 30.0).completed


@pytest.mark.parametrize("phase, times", [(0.3, 2 * np.pi), (0.64, np.pi), (-0.5, 6 * np.pi)])
def test_outputs_that_meet_one_phase_each_time_decide_nothing_about_the_others(phase, times):
    system = flows.ODE("turns", [X, V], {X: V, V: -X}, {"place": X})
    start, until = [np.sin(phase), np.cos(phase)], 20 * times
    met = flows.integrate(system, start, until, times * np.arange(1, 21))
    (verdict,) = flows.check(met, symbol("place") <= (1 + abs(np.sin(phase))) / 2)
    assert verdict.verdict == "INCONCLUSIVE" and "may be negative" in verdict.message
    # More outputs decide it, and 1/1000 below the largest value as well.
    seen = flows.integrate(system, start, 20.0, np.linspace(0.01, 20, 2000))
    (verdict,) = flows.check(seen, symbol("place") <= 1 - float(OFF))
    assert verdict.verdict == "VIOLATED"


def test_a_minimum_between_dense_outputs_is_resolved():
    # The margin is 1/1000 and more, turns every half period, and the run is still on its way.
    system = flows.ODE("way", [X, V, Y], {X: V, V: -X, Y: 1}, {"y": Y, "place": X})
    run = flows.integrate(system, [0.0, 1.0, 0.0], 20.0, np.linspace(0.01, 20, 2000))
    assert turning(run, 1 + OFF - symbol("place"), run.absolute_errors("place"), run.t > 0) is None
    assert turning(run, 1 - OFF - symbol("place"), run.absolute_errors("place"), run.t > 0)


def test_a_power_law_that_something_slow_will_leave_has_not_begun():
    # Far beyond the end y grows; the square is still that of x alone.
    slow = sp.Rational(1, 10**5)
    total = {"square": X**2 + Y**2}
    leaves = flows.ODE("leaves", [X, Y], {X: -(X**3), Y: slow * Y}, total)
    verdicts = []
    for system, start in ((leaves, [1.0, 1e-30]), (CUBE, [1.0])):
        run = flows.integrate(system, start, 1e6)
        verdicts += flows.check(run, C / symbol("t") >= SQUARE)
    assert [v.verdict for v in verdicts] == ["INCONCLUSIVE", "HOLDS"]
    assert "beside a saddle" in verdicts[0].message
