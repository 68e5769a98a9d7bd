"""Densities of data: what is no density, what does not fit, and how they are shown and kept."""

from fractions import Fraction

import numpy as np
import pytest
import sympy as sp

from symbolic import Cube, Expectation, Gaussian, Mixture, Rademacher, Rows, Sphere
from symbolic.language.averages.moments import HERMITE, LEGENDRE, SIGNS, polynomial_mean
from symbolic.language.blocks import explicit
from symbolic.language.errors import InputError
from symbolic.language.stated import restated, stated

W, X = sp.MatrixSymbol("w", 2, 1), sp.MatrixSymbol("x", 2, 1)
WX = (W.T * X)[0, 0]
Z3 = sp.MatrixSymbol("z", 3, 1)
THREE = Z3[0, 0] + W[0, 0] * Z3[1, 0] * W[1, 0] - Z3[2, 0]
A, T = sp.Symbol("a"), sp.Symbol("t")
S = sp.Symbol("s", real=True)
DENSITIES = [
    Gaussian([1, Fraction(1, 2)], [[2, 0.5], [0.5, 1]]),
    Gaussian([1, 2], factor=[[2], [0.5]]),
    Rademacher(),
    Rows(np.array([[1.5, 2.0], [0.1, -1.0], [3.0, 0.0]]), [1, 2, 0]),
    Cube([0, -1], [1, 2]),
    Sphere(Fraction(3, 2)),
    Mixture([Gaussian([1, 2]), Rademacher(), Cube()], [1, 0.5, 2]),
]


@pytest.mark.parametrize("scale", [sp.exp(A), A * sp.MatrixSymbol("W", 2, 2)[0, 1], 1 / (1 + A**2)])
def test_parameters_that_are_real_everywhere_may_be_trained(scale):
    assert Gaussian(scale, factor=scale).free_symbols == scale.free_symbols


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: Gaussian([1, 2], [[1, 2], [2, 1]]), "positive semidefinite"),
        (lambda: Gaussian([0, 0], [[0, 1], [1, 2]]), "positive semidefinite"),
        (lambda: Gaussian([1, 2], [[1, 2], [3, 1]]), "symmetric"),
        (lambda: Gaussian([1, 2], [1]), r"shape \(2, 2\)"),
        (lambda: Gaussian([[1, 2], [3, 4]]), "a number or a column"),
        (lambda: Gaussian(0, sp.Symbol("s")), "to train one, give its factor C"),
        (
            lambda: Gaussian([0, 0], [[1, 0], [0, sp.Symbol("s")]]),
            "to train one, give its factor C",
        ),
        (lambda: Gaussian(0, 1, factor=1), "a covariance or a factor of it, got both"),
        (lambda: Gaussian([0, 0], factor=[[1, 2]]), "2 rows like the mean and no more columns"),
        (lambda: Gaussian(sp.oo), "real and finite numbers"),
        (lambda: Gaussian(0, factor=sp.sqrt(A)), "for all values of the parameters, got sqrt"),
        (lambda: Gaussian(1 / sp.Symbol("p", positive=True)), "the mean must be real and finite"),
        (lambda: Cube(0, sp.Symbol("s")), "real and finite numbers"),
        (lambda: Expectation(T, T, Gaussian(T)), "that are not t itself"),
        (lambda: Expectation(T, T, Mixture([Gaussian(A), Rademacher()])), "a mixture of Gaussians"),
        (lambda: Expectation(T, (T, T)), "different symbols of numbers"),
        (lambda: Expectation(T, [T, 1]), "different symbols of numbers"),
        (lambda: Rows([[1, 2], [1]]), "rows"),
        (lambda: Rows([[1, np.nan]]), "real and finite"),
        (lambda: Rows([["a"]]), "real and finite"),
        (lambda: Rows([]), "one or two axes"),
        (lambda: Rows([[1, 2]], [1, 2]), "a weight for each of 1 rows, got 2"),
        (lambda: Rows([[1], [2]], [1, -1]), "not be negative"),
        (lambda: Cube(1, 0), "low must be below high"),
        (lambda: Cube([0, 0], 1), "two numbers or two columns"),
        (lambda: Rows([[1, 2], [3]]), "rows of one length"),
        (lambda: Sphere(-1), "radius must be positive"),
        (lambda: Mixture([1]), "of densities"),
        (lambda: Mixture([Gaussian(0), Gaussian([1, 2])]), "equally many numbers"),
        (lambda: Expectation(WX, X, Gaussian(0, 1)), "x has 2 entries, its density 1"),
        (lambda: Expectation(WX, X, "sphere"), "density must be one of"),
    ],
)
def test_what_is_no_density_is_told_in_one_line(make, message):
    with pytest.raises(InputError, match=message) as told:
        make()
    assert "\n" not in str(told.value)


@pytest.mark.parametrize(
    ("loss", "message"),
    [
        (Expectation(sp.Abs(THREE), Z3, Cube()), "over a cube, a function without kinks"),
        (Expectation(sp.tanh(WX + sp.Abs(X[0, 0])), X, Sphere()), "on a sphere, a polynomial"),
        (Expectation(sp.tanh(A * T), T, Rows(range(1, 6_000))), "at most 10000 operations"),
    ],
)
def test_what_a_density_does_not_average_is_told_in_one_line(loss, message):
    with pytest.raises(ValueError, match=message) as told:
        explicit(loss, (A, W))
    assert "\n" not in str(told.value)


def test_more_than_sixteen_signs_are_averaged_for_polynomials_only():
    many = sp.MatrixSymbol("x", 20, 1)
    total = sum(many[k, 0] for k in range(20))
    found = explicit(Expectation((A * total) ** 4, many, Rademacher()), (A,)).plain
    # E (sum of n signs)^4 = 3 n^2 - 2 n.
    assert sp.expand(found - 1160 * sp.Symbol("y_a", real=True) ** 4) == 0
    with pytest.raises(ValueError, match="at most 16 signs"):
        explicit(Expectation(sp.tanh(A * total), many, Rademacher()), (A,))


@pytest.mark.parametrize("density", DENSITIES, ids=lambda d: type(d).__name__)
def test_a_density_is_plain_data_in_a_file_and_has_a_name_on_paper(density):
    loss = Expectation((WX - X[0, 0]) ** 2, X, density)
    nodes = stated([W, loss])
    assert restated(nodes) == (W, loss)
    assert loss.func(*loss.args) == loss and hash(loss) == hash(loss.func(*loss.args))
    assert r"\sim" in sp.latex(loss) and "~" in str(loss) and "\n" not in str(loss)
    assert loss.free_symbols == {W} and loss != Expectation((WX - X[0, 0]) ** 2, X)
    assert sp.diff(loss, A) == 0


@pytest.mark.parametrize(
    ("basis", "moments"),
    [
        (HERMITE, [1, 0, 1, 0, 3, 0, 15, 0, 105]),
        (LEGENDRE, [1, 0, Fraction(1, 3), 0, Fraction(1, 5), 0, Fraction(1, 7), 0, Fraction(1, 9)]),
        (SIGNS, [1, 0] * 4 + [1]),
    ],
)
def test_moments_of_each_basis_are_exact_and_squares_keep_their_digits(basis, moments):
    for k, expected in enumerate(moments):
        assert polynomial_mean(S**k, (S,), basis) == sp.Rational(str(expected))
        assert polynomial_mean(S ** (k // 2) * (S ** (k - k // 2) + 1), (S,), basis) == (
            sp.Rational(str(expected)) + sp.Rational(str(moments[k // 2]))
        )
    square = polynomial_mean((A * S**3 - T * S**3) ** 2, (S,), basis)
    gap, right = 2.0**-40, float(moments[6])
    value = sp.lambdify((A, T), square)(1.0 + gap, 1.0)
    assert value == pytest.approx(right * gap**2, rel=1e-12)
    lost = sp.lambdify((A, T), sp.expand(square))(1.0 + gap, 1.0)
    assert abs(lost / (right * gap**2) - 1) > 1e-3


def test_a_covariance_of_lower_rank_and_one_of_doubles_are_taken():
    c = np.array([[0.1], [0.3], [-0.7]])
    flat = Gaussian([0, 0, 0], c @ c.T)
    x = sp.symbols("x0:3", real=True)
    form = flat.reduced(x[0] + 2 * x[1] + 3 * x[2], x).integrand
    slopes = [float(sp.diff(form, s)) for s in x]
    assert np.hypot(*slopes[:2]) == pytest.approx(abs(0.1 + 0.6 - 2.1), rel=1e-12)
    assert slopes[2] == 0
    exact = Gaussian(0, 2).reduced(S**2, (S,)).integrand
    assert exact == 2 * S**2
