"""Safe primitives and their compiled forms."""

import jax
import mpmath
import numpy as np
import pytest
import sympy as sp
from mpmath import mp
from numba import njit

import symbolic.language.lower as lowering
from symbolic.evidence.identity import Evidence, examine
from symbolic.language.primitives import (
    AngleBetween,
    ArgMinusSinCos,
    CosMinusOne,
    NormMinusArgDot,
    SafeNorm,
    SafeRatio,
    SafeUnit,
    SinMinusArg,
    SinMinusArgCos,
    definition,
)
from symbolic.language.program import gradient, tangent

T = sp.Symbol("t", nonnegative=True)
X, Y = sp.symbols("x y", positive=True)
# Four units in the last place of a double: two of them are the library's sine and cosine.
FEW_ULP = 4 * 2.2e-16
# What a formula must lose to count as unsound: half of the digits.
HALF_THE_DIGITS = 1e-8
REFERENCE_DIGITS = 60
SMALL = np.geomspace(1e-15, 0.1, 120)
ANGLES = np.concatenate([SMALL, np.linspace(0.1, np.pi - 0.1, 200), np.pi - SMALL])
PRIMITIVES = {
    "sin t - t": (SinMinusArg(T), lambda t: mp.sin(t) - t),
    "sin t - t cos t": (SinMinusArgCos(T), lambda t: mp.sin(t) - t * mp.cos(t)),
    "cos t - 1": (CosMinusOne(T), lambda t: mp.cos(t) - 1),
}


def lower(exprs, args, backend, steps=()):
    """Lower expressions, and compile them too where that is asked for."""
    if backend == "compiled":
        return njit(error_model="numpy")(lowering.lower(exprs, args, "math", steps))
    return lowering.lower(exprs, args, backend, steps)


def relative_errors(values, exact):
    with mp.workdps(REFERENCE_DIGITS):
        return [float(abs((mp.mpf(v) - e) / e)) for v, e in zip(values, exact, strict=True)]


def exactly(formula):
    with mp.workdps(2 * REFERENCE_DIGITS):  # the formula itself loses up to 45 digits
        return [formula(mp.mpf(float(t))) for t in ANGLES]


@pytest.fixture(autouse=True)
def double_precision():
    with jax.enable_x64(True):
        yield


def evaluate(expr, backend):
    (f,) = (lower([expr], [T], backend),)
    if backend in ("numpy", "jax"):
        return np.asarray(f(ANGLES)[0])
    return [f(float(t))[0] for t in ANGLES]


@pytest.mark.parametrize("backend", ["numpy", "compiled", "jax", "mpmath"])
@pytest.mark.parametrize("name", PRIMITIVES)
def test_primitive_keeps_every_digit_on_the_whole_range_of_angles(name, backend):
    expr, formula = PRIMITIVES[name]
    assert max(relative_errors(evaluate(expr, backend), exactly(formula))) < FEW_ULP


@pytest.mark.parametrize("name", PRIMITIVES)
def test_textbook_formula_loses_the_digits_that_the_primitive_keeps(name):
    expr, formula = PRIMITIVES[name]
    naive = evaluate(definition(expr), "numpy")
    assert max(relative_errors(naive, exactly(formula))) > HALF_THE_DIGITS


@pytest.mark.parametrize("name", PRIMITIVES)
def test_mpmath_form_keeps_sixty_digits_near_zero(name):
    expr, formula = PRIMITIVES[name]
    with mp.workdps(REFERENCE_DIGITS):
        value = lower([expr], [T], "mpmath")(mp.mpf("1e-15"))[0]
        with mp.workdps(2 * REFERENCE_DIGITS):
            exact = formula(mp.mpf("1e-15"))
        # The argument is rounded to 60 digits, so its cube is right to about three units more.
        assert abs(value / exact - 1) < mp.mpf(10) ** (2 - REFERENCE_DIGITS)


@pytest.mark.parametrize("backend", ["numpy", "compiled", "jax", "mpmath"])
def test_angle_from_chords_keeps_every_digit_where_the_arc_cosine_does_not(backend):
    with mp.workdps(REFERENCE_DIGITS):
        chords = [
            (float(2 * mp.sin(mp.mpf(t) / 2)), float(2 * mp.cos(mp.mpf(t) / 2)))
            for t in ANGLES.tolist()
        ]
        exact = [2 * mp.atan2(mp.mpf(c), mp.mpf(a)) for c, a in chords]
    angle = lower([AngleBetween(X, Y)], [X, Y], backend)
    values = [angle(c, a)[0] for c, a in chords]
    if backend == "jax":
        values = np.asarray(values)
    assert max(relative_errors(values, exact)) < FEW_ULP
    arc_cosine = [np.arccos(np.clip(1 - c * c / 2, -1, 1)) for c, _ in chords]
    assert max(relative_errors(arc_cosine, exact)) > HALF_THE_DIGITS


@pytest.mark.parametrize(
    "expr",
    [
        SinMinusArg(X),
        SinMinusArgCos(X),
        CosMinusOne(X),
        AngleBetween(X, Y),
        AngleBetween(Y, X),
        SafeNorm(X, Y),
        SafeRatio(X, Y),
        SafeRatio(Y, X),
        SafeUnit(X, Y),
        SafeUnit(Y, X),
        NormMinusArgDot(X, Y),
        NormMinusArgDot(Y, X),
        ArgMinusSinCos(X, Y),
        ArgMinusSinCos(Y, X),
    ],
)
def test_own_derivative_is_the_derivative_of_the_definition(expr):
    right = definition(expr).diff(X)
    assert examine(expr.diff(X), right).evidence is Evidence.PROVED
    assert examine(expr.diff(X), sp.Rational(1001, 1000) * right).evidence is Evidence.REFUTED


@pytest.mark.parametrize("backend", ["numpy", "compiled", "jax", "mpmath"])
@pytest.mark.parametrize("primitive", [NormMinusArgDot, ArgMinusSinCos])
def test_functions_of_a_pair_keep_every_digit_of_nearly_parallel_vectors(primitive, backend):
    x, y = sp.Symbol("x", real=True), Y  # of either sign: the angle may be obtuse
    expr = primitive(x, y)
    f = lower([expr], [x, y], backend)
    pairs = [(c, s) for c in (2.0, -2.0) for s in (1e-9, 1e-3, 0.5, 3.0)]
    with mp.workdps(2 * REFERENCE_DIGITS):
        exact = [
            mp.mpf(str(definition(expr).subs({x: sp.Rational(c), y: sp.Rational(s)}).n(60)))
            for c, s in pairs
        ]
    with mp.workdps(REFERENCE_DIGITS):
        values = [
            f(mp.mpf(c), mp.mpf(s))[0] if backend == "mpmath" else f(c, s)[0] for c, s in pairs
        ]
    assert max(relative_errors(map(float, values), exact)) < 3 * FEW_ULP
    naive = [lower([definition(expr)], [x, y], "numpy")(*pair)[0] for pair in pairs]
    assert max(relative_errors(naive, exact)) > HALF_THE_DIGITS


@pytest.mark.parametrize("backend", ["numpy", "mpmath", "ball"])
@pytest.mark.parametrize("dot", [3.0, -3.0])
def test_second_derivatives_where_vectors_are_exactly_parallel_are_the_limits(backend, dot):
    c, x, y = variables = sp.symbols("c x y", real=True)
    steps = sp.symbols("dc dx dy", real=True)
    moved = tangent(gradient(NormMinusArgDot(c, x, y), variables), variables, steps)
    rates = lower(moved.results, (*variables, *steps), backend, moved.steps)

    def curvature(*place):
        return np.array([[float(r) for r in rates(*place, *e)[1:]] for e in np.eye(3).tolist()])

    at, near = curvature(dot, 0.0, 0.0), curvature(dot, 3e-13, 4e-13)
    assert at == pytest.approx(near, abs=1e-11)
    assert curvature(dot, 0.3, 0.4) != pytest.approx(near, abs=1e-2)


@pytest.mark.parametrize("backend", ["numpy", "compiled", "jax", "mpmath"])
def test_norm_and_its_derivative_are_zero_at_the_origin(backend):
    norm = SafeNorm(X, Y)
    f = lower([norm, norm.diff(X), norm.diff(Y)], [X, Y], backend)
    assert [float(v) for v in f(0.0, 0.0)] == [0.0, 0.0, 0.0]
    assert [float(v) for v in f(3.0, 4.0)] == pytest.approx([5.0, 0.6, 0.8], rel=FEW_ULP)


@pytest.mark.parametrize("backend", ["numpy", "compiled", "jax"])
def test_norm_neither_overflows_nor_underflows(backend):
    f = lower([SafeNorm(X, Y)], [X, Y], backend)
    assert f(3e200, 4e200)[0] == pytest.approx(5e200, rel=FEW_ULP)
    assert f(3e-200, 4e-200)[0] == pytest.approx(5e-200, rel=FEW_ULP)


@pytest.mark.parametrize("backend", ["numpy", "jax"])
def test_array_form_broadcasts_and_stays_silent_far_outside_the_range(backend):
    f = lower([SinMinusArgCos(T), SafeRatio(T, T)], [T], backend)
    values, ratio = f(np.array([[0.0, 1.0], [1e10, 1e300]]))
    assert values.shape == ratio.shape == (2, 2)
    assert np.isfinite(values).all()
    assert ratio.tolist() == [[0.0, 1.0], [1.0, 1.0]]


def test_a_compiled_form_can_be_called_from_compiled_code():
    pair = lower([SinMinusArgCos(T), sp.sin(T)], [T], "compiled")

    @njit
    def summed(t):
        first, second = pair(t)
        return first + second

    assert summed(0.3) == pytest.approx(2 * np.sin(0.3) - 0.3 * np.cos(0.3), rel=FEW_ULP)


@pytest.mark.parametrize(
    "expr, at_zero",
    [
        (SinMinusArg(X), 0.0),
        (SinMinusArgCos(X), 0.0),
        (CosMinusOne(X), 0.0),
        (AngleBetween(X, 2), 1.0),
        (SafeNorm(X, 0.0), 0.0),
        (SafeNorm(X, Y), 0.0),
        (SafeRatio(Y, X), 0.0),
    ],
)
def test_jax_differentiates_a_primitive_as_its_own_derivative_says(expr, at_zero):
    f, slope = (lower([e], [X, Y], "jax") for e in (expr, expr.diff(X)))
    first = jax.grad(lambda x, y: f(x, y)[0])
    small = [1e-12, 1e-6, 1e-3, 0.4, 2.9]
    found, exact = jax.vmap(first, (0, None)), slope(np.array(small), 0.7)[0]
    assert found(np.array(small), 0.7) == pytest.approx(np.broadcast_to(exact, 5), rel=1e-14)
    assert found(np.array(small), 0.7) != pytest.approx(np.broadcast_to(2 * exact, 5), rel=1e-14)
    y = 0.0 if expr == SafeNorm(X, Y) else 0.7
    assert first(0.0, y) == at_zero
    assert np.isfinite(jax.grad(jax.grad(first))(0.0, y))


def test_jax_form_goes_through_jit_and_knows_the_error_function_of_arrays():
    values = np.array([0.0, 0.3, 2.0])
    branches = sp.Piecewise((T, T > 1), (sp.erf(T), True))
    (found,) = jax.jit(lower([branches], [T], "jax"))(values)
    assert found == pytest.approx([0.0, float(sp.erf(0.3)), 2.0], rel=FEW_ULP)
    assert isinstance(lower([SinMinusArg(T)], [T], "jax")(1.0)[0], jax.Array)


def test_jax_form_that_is_made_inside_a_compiled_function_can_be_used_outside():
    kept = []

    @jax.jit
    def f(t):
        kept.append(lower([SinMinusArg(T)], [T], "jax"))
        return kept[0](t)[0]

    assert f(0.3) == kept[0](0.3)[0]


def test_integration_variable_is_not_taken_for_a_constant_of_the_same_name():
    phi = sp.Symbol("phi", real=True)  # mpmath's phi is the golden ratio
    whole = sp.Integral(sp.cos(phi) ** 2, (phi, 0, T)) + sp.Integral(sp.cos(phi) ** 2, (phi, T, 2))
    value = lower([whole], [T], "mpmath")(mpmath.mpf(1))[0]
    assert float(value) == pytest.approx(1 + np.sin(4) / 4, rel=FEW_ULP)


def test_unknown_backend_and_unbound_symbol_are_refused_in_one_line():
    with pytest.raises(ValueError, match=r"^unknown backend 'fortran'; known: .*$"):
        lower([T], [T], "fortran")
    with pytest.raises(ValueError, match=r"^expressions contain symbols .*: x, y$"):
        lower([X + Y], [T], "numpy")


def test_text_is_refused_instead_of_evaluated():
    with pytest.raises(sp.SympifyError):
        lower(["__import__('os').getcwd()"], [], "numpy")


@pytest.mark.parametrize("backend", ["numpy", "jax"])
@pytest.mark.parametrize("function", [sp.erf, sp.erfc])
def test_error_functions_take_arrays(backend, function):
    points = np.array([-3.0, 0.0, 0.3, 5.0])
    with jax.enable_x64(True):
        (found,) = lower([function(T)], [T], backend)(points)
    exact = [float(function(sp.Float(x, 40)).evalf(30)) for x in points]
    # jax's function is an approximation of its own.
    assert np.asarray(found) == pytest.approx(exact, rel=1e-14)


@pytest.mark.parametrize("backend", ["numpy", "jax"])
def test_roots_of_integers_beyond_machine_words_are_numbers(backend):
    large = sp.Integer(39347874631084242964329473727529)
    with jax.enable_x64(True):
        (found,) = lower([sp.sqrt(large) * T], [T], backend)(np.ones(2))
    assert np.asarray(found) == pytest.approx(float(sp.sqrt(large).evalf(30)), rel=FEW_ULP)
