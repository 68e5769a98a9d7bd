"""Balls of two doubles: they hold what many digits say, and a run does not notice them."""

import numpy as np
import pytest
import sympy as sp
from flint import arb, arb_mat
from oracles.sums import Y, sum_of_products

import flows
from flows.core.balls import precision
from flows.systems.own import increment, twofold
from flows.systems.own.code import coded
from flows.systems.own.loss import Loss
from flows.systems.own.numeric import numeric, program_of
from symbolic.language.blocks import Explicit

SIZE = len(Y)
# Two doubles hold 32 digits, of which a program of this size loses a few.
DIGITS = 1e-28
# Steps of 1e-10, whose errors the flow contracts.
SAME = 1e-10


def of_functions(generator):
    """Random sums of functions, whose arguments are smooth and of order one."""
    forms = [
        sp.Add(*(sp.Rational(int(k), 8) * y for k, y in zip(row, Y, strict=True)))
        for row in generator.integers(-8, 9, size=(9, SIZE))
    ]
    a, b, c, d, e, f, g, h, i = forms
    return (
        sp.exp(a / 4) * sp.sin(b)
        + sp.cos(c) * sp.log(2 + d**2)
        + sp.tanh(e) ** 2
        + sp.atan(f)
        + (1 + g**2) ** sp.Rational(7, 10)
        + sp.cosh(h / 4) * sp.sinh(i / 4)
    )


def errors(seed, code_of=coded, made=sum_of_products):
    """Errors and radii of the gradient along random axes, at a random place."""
    generator = np.random.default_rng(seed)
    expression = made(generator)
    program = program_of(expression, Y)
    code = code_of(Y, program.steps, program.results[1:])
    high, low = generator.normal(size=(2, SIZE))
    with precision(200):
        centre = [(arb(a) + arb(b) * arb(2) ** -60).mid() for a, b in zip(high, low, strict=True)]
    pairs = twofold.twofold_axes(np.linalg.qr(generator.normal(size=(SIZE, SIZE)))[0])
    u, unit = generator.normal(size=SIZE), 10.0 ** -generator.uniform(0, 20, SIZE)
    found = twofold.Twofold(code, centre, pairs).gradient(u, unit)
    axes = increment.exact_columns(pairs)
    with precision(600):
        moved = arb_mat(SIZE, 1, [arb(a) * arb(b) for a, b in zip(u, unit, strict=True)])
        steps = (axes * moved).entries()
        place = [a + b for a, b in zip(centre, steps, strict=True)]
        slopes = list(numeric(expression, Y, (), "ball").both(*place)[1:])
        truth = (axes.transpose() * arb_mat(SIZE, 1, slopes)).entries()
        off = [
            abs(float(x - arb(row[0]) - arb(row[1]))) for x, row in zip(truth, found, strict=True)
        ]
    return np.array(off), found[:, 2], np.abs(found[:, 0]).max()


@pytest.mark.parametrize("made", [sum_of_products, of_functions])
@pytest.mark.parametrize("seed", range(12))
def test_two_doubles_hold_what_600_bits_say_and_are_sharp(seed, made):
    off, radius, size = errors(seed, made=made)
    assert (off <= radius).all()
    assert radius.max() < DIGITS * max(size, 1.0)


def test_a_constant_that_is_a_double_is_not_held():
    def rough(*program):
        code = coded(*program)
        code.constants[:, 1:] = 0.0
        return code

    worst = [np.max(off - radius) for off, radius, _ in (errors(s, rough) for s in range(12))]
    assert max(worst) > 1e-20


def test_what_no_result_needs_may_be_any_function_and_others_are_left_to_more_bits():
    x, y = sp.symbols("x y", real=True)
    for expression, possible in (
        (sp.asin(x / (2 + x**2)) + y**2, True),
        (sp.besselj(0, x) + y, False),
    ):
        program = program_of(expression, (x, y))
        assert (coded((x, y), program.steps, program.results[1:]) is not None) == possible


def test_division_by_a_ball_that_may_be_zero_is_not_known():
    x = Y[0]
    program = program_of(sp.sqrt(x) + 1 / x, (x,))
    code = coded((x,), program.steps, program.results[1:])
    axes = twofold.twofold_axes(np.eye(1))
    for at, known in ((1.0, True), (0.0, False), (-1.0, False)):
        found = twofold.Twofold(code, [arb(at)], axes).gradient(np.zeros(1), np.ones(1))
        assert np.isfinite(found).all() == known


def test_a_run_does_not_notice_whether_its_gradients_are_of_two_doubles(monkeypatch):
    u, q = sp.symbols("u q")
    system = flows.OwnSystem("valley", [u, q], (u**2 - q**3) ** 2 + q**8)
    times = np.geomspace(1, 1e12, 7)
    losses, called, taken = [], [0], increment.Increment._gradient

    def counted(self, *arguments):
        called[-1] += 1
        return taken(self, *arguments)

    monkeypatch.setattr(increment.Increment, "_gradient", counted)
    for part, least in ((increment.PART_TWOFOLD, increment.FIELD_TWOFOLD), (0.0, 0.0)):
        monkeypatch.setattr(increment, "PART_TWOFOLD", part)
        monkeypatch.setattr(increment, "FIELD_TWOFOLD", least)
        losses.append(flows.integrate(system, [1.2, 0.8], 1e12, times)["loss"][1:])
        called.append(0)
    assert losses[0] == pytest.approx(losses[1], rel=SAME)
    # Balls of more bits are taken where a chart begins, and where two doubles are not enough.
    assert called[1] > 300 and called[0] < called[1] / 10


@pytest.mark.parametrize("seed", range(6))
def test_the_compiled_hessian_is_that_of_balls(seed):
    generator = np.random.default_rng(seed)
    expression, y = sum_of_products(generator), generator.normal(size=SIZE)
    found = Loss(Y, Explicit(expression, sp.S.Zero, ()), "").hessian(y)
    axes = np.eye(SIZE).tolist()
    rates = numeric(expression, Y, (), "ball").rates
    exact = np.array([[float(x) for x in rates(*y.tolist(), *axis)[1:]] for axis in axes])
    assert found == pytest.approx(exact, rel=1e-13, abs=1e-13 * np.abs(exact).max())
    assert found[0] != pytest.approx(exact[1], rel=1e-3)
