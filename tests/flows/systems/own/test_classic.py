"""Classic problems of least squares from their standard starts, to t = 1e12.

Source: Moré, Garbow & Hillstrom, *Testing unconstrained optimization software*, ACM Transactions
on Mathematical Software 7 (1981), 17-41; the loss is half of the sum of squares.

On the way the loss is that of SciPy's Radau on residuals in doubles, which shares no code with the
toolkit; at the end it is that of the linear flow at a limit that Newton's method finds with 60
digits.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import sympy as sp
from mpmath import mp
from scipy.integrate import solve_ivp

import flows
from flows.solvers import scipy_ivp

X = sp.symbols("x1:7", real=True)
R = sp.Rational
BARD = "14 18 22 25 29 32 35 39 37 58 73 96 134 210 439"
GAUSSIAN = "9 44 175 540 1295 2420 3521 3989"
KOWALIK = "1957 1947 1735 1600 844 627 456 342 323 235 246"
MEYER = "34780 28610 23650 19630 16370 13720 11540 9744 8261 7030 6005 5147 4427 3820 3307 2872"
KOWALIK_AT = "4 2 1 1/2 1/4 167/1000 1/8 1/10 833/10000 357/5000 5/80"
# What Radau at its finest leaves of a loss, relative to it.
ORACLE = 1e-8
# Digits of a slope of the logarithm of what is left of a loss, and of the rate of its law.
SLOPE = 1e-7


def numbers(text: str, unit: int = 1) -> list[sp.Rational]:
    """Numbers of a text in units of `1/unit`."""
    return [R(x) / unit for x in text.split()]


def rosenbrock() -> tuple[list[Any], list[Any]]:
    x, y, *_ = X
    return [10 * (y - x**2), 1 - x], [R(-6, 5), 1]


def freudenstein_and_roth() -> tuple[list[Any], list[Any]]:
    x, y, *_ = X
    return [-13 + x + ((5 - y) * y - 2) * y, -29 + x + ((y + 1) * y - 14) * y], [R(1, 2), -2]


def powell_badly_scaled() -> tuple[list[Any], list[Any]]:
    x, y, *_ = X
    return [10**4 * x * y - 1, sp.exp(-x) + sp.exp(-y) - R(10001, 10000)], [0, 1]


def beale() -> tuple[list[Any], list[Any]]:
    x, y, *_ = X
    values = numbers("1500 2250 2625", 1000)
    return [v - x * (1 - y ** (i + 1)) for i, v in enumerate(values)], [1, 1]


def jennrich_and_sampson() -> tuple[list[Any], list[Any]]:
    x, y, *_ = X
    return [2 + 2 * i - (sp.exp(i * x) + sp.exp(i * y)) for i in range(1, 11)], [R(3, 10), R(2, 5)]


def helical_valley() -> tuple[list[Any], list[Any]]:
    x, y, z, *_ = X
    turn = sp.atan2(y, x) / (2 * sp.pi)
    return [10 * (z - 10 * turn), 10 * (sp.sqrt(x**2 + y**2) - 1), z], [-1, 0, 0]


def bard() -> tuple[list[Any], list[Any]]:
    x, y, z, *_ = X
    found = []
    for i, v in enumerate(numbers(BARD, 100), 1):
        found.append(v - (x + i / ((16 - i) * y + min(i, 16 - i) * z)))
    return found, [1, 1, 1]


def box_3d() -> tuple[list[Any], list[Any]]:
    x, y, z, *_ = X
    times = [R(i, 10) for i in range(1, 11)]
    return [sp.exp(-t * x) - sp.exp(-t * y) - z * (sp.exp(-t) - sp.exp(-10 * t)) for t in times], [
        0,
        10,
        20,
    ]


def kowalik_and_osborne() -> tuple[list[Any], list[Any]]:
    a, b, c, d, *_ = X
    found = []
    for v, u in zip(numbers(KOWALIK, 10000), numbers(KOWALIK_AT), strict=True):
        found.append(v - a * (u**2 + u * b) / (u**2 + u * c + d))
    return found, [R(1, 4), R(39, 100), R(83, 200), R(39, 100)]


def wood() -> tuple[list[Any], list[Any]]:
    a, b, c, d, *_ = X
    last = [sp.sqrt(10) * (b + d - 2), (b - d) / sp.sqrt(10)]
    return [10 * (b - a**2), 1 - a, sp.sqrt(90) * (d - c**2), 1 - c, *last], [-3, -1, -3, -1]


def penalty() -> tuple[list[Any], list[Any]]:
    some = X[:4]
    small = [sp.sqrt(R(1, 10**5)) * (x - 1) for x in some]
    return [*small, sum(x**2 for x in some) - R(1, 4)], [1, 2, 3, 4]


def variably_dimensioned() -> tuple[list[Any], list[Any]]:
    some = X[:5]
    total = sum((j + 1) * (x - 1) for j, x in enumerate(some))
    return [*(x - 1 for x in some), total, total**2], [1 - R(j, 5) for j in range(1, 6)]


def broyden_tridiagonal() -> tuple[list[Any], list[Any]]:
    some = (0, *X, 0)
    return [(3 - 2 * some[i]) * some[i] - some[i - 1] - 2 * some[i + 1] + 1 for i in range(1, 7)], [
        -1
    ] * 6


def powell_singular() -> tuple[list[Any], list[Any]]:
    a, b, c, d, *_ = X
    squares = [(b - 2 * c) ** 2, sp.sqrt(10) * (a - d) ** 2]
    return [a + 10 * b, sp.sqrt(5) * (c - d), *squares], [3, -1, 0, 1]


def gaussian() -> tuple[list[Any], list[Any]]:
    x, y, z, *_ = X
    half = numbers(GAUSSIAN, 10000)
    each = enumerate([*half, *half[-2::-1]])
    return [x * sp.exp(-y * (R(7 - i, 2) - z) ** 2 / 2) - v for i, v in each], [R(2, 5), 1, 0]


def trigonometric() -> tuple[list[Any], list[Any]]:
    some = X[:5]
    rest = 5 - sum(sp.cos(x) for x in some)
    found = [rest + (i + 1) * (1 - sp.cos(x)) - sp.sin(x) for i, x in enumerate(some)]
    return found, [R(1, 5)] * 5


def brown_almost_linear() -> tuple[list[Any], list[Any]]:
    some = X[:5]
    return [*(x + sum(some) - 6 for x in some[:4]), sp.prod(some) - 1], [R(1, 2)] * 5


def discrete_boundary_value() -> tuple[list[Any], list[Any]]:
    some, h = (0, *X, 0), R(1, 7)
    cubes = [(x + i * h + 1) ** 3 / 2 for i, x in enumerate(some)]
    found = [2 * some[i] - some[i - 1] - some[i + 1] + h**2 * cubes[i] for i in range(1, 7)]
    return found, [i * h * (i * h - 1) for i in range(1, 7)]


PROBLEMS: dict[str, Callable[[], tuple[list[Any], list[Any]]]] = {
    each.__name__: each
    for each in (
        *(rosenbrock, freudenstein_and_roth, powell_badly_scaled, beale, jennrich_and_sampson),
        *(helical_valley, bard, box_3d, kowalik_and_osborne, wood, penalty),
        *(variably_dimensioned, broyden_tridiagonal, powell_singular),
        *(gaussian, trigonometric, brown_almost_linear, discrete_boundary_value),
    )
}


def by_radau(symbols: Any, residuals: list[Any], start: Any, times: Any) -> Any:
    """Losses by SciPy, of residuals and their Jacobian in doubles."""
    matrix = sp.Matrix(residuals)
    value = sp.lambdify([symbols], list(matrix))
    rates = sp.lambdify([symbols], matrix.jacobian(symbols))
    hessian = sp.lambdify([symbols], sp.hessian((matrix.T * matrix)[0] / 2, symbols))

    def field(t: float, y: Any) -> Any:
        return -np.asarray(rates(y)).T @ np.asarray(value(y), dtype=float)

    found = solve_ivp(
        *(field, (0, times[-1]), start),
        method="Radau",
        t_eval=times,
        jac=lambda t, y: -np.asarray(hessian(y), dtype=float),
        rtol=1e-11,
        atol=1e-14,
    )
    return np.array([np.sum(np.square(np.asarray(value(y), float))) / 2 for y in found.y.T])


@pytest.mark.parametrize("name", PROBLEMS)
def test_a_classic_problem_is_right_on_its_way_and_at_its_end(name: str) -> None:
    residuals, given = PROBLEMS[name]()
    start = np.array(given, dtype=float)
    symbols = X[: len(start)]
    loss = sum(r**2 for r in residuals) / 2
    system = flows.OwnSystem(name, symbols, loss)
    run = flows.integrate(system, start, 1e12)
    assert run.completed
    steep = np.abs(np.linalg.eigvalsh(system.hessian(start))).max()
    chosen = np.searchsorted(run.t, np.array([1e-1, 1.0, 10.0, 100.0]) / min(steep, 1e2) * 10)
    chosen = chosen[run["loss"][chosen] > 1e-9]
    exact = by_radau(symbols, residuals, start, run.t[chosen])
    off = np.abs(run["loss"][chosen] / exact - 1)
    allowed = run.errors()[chosen] + ORACLE
    assert len(chosen) > 1 and (off < allowed).all()
    # Control: a loss that is a thousandth larger is not within the errors.
    assert (np.abs(1.001 * run["loss"][chosen] / exact - 1) > allowed).all()
    # These fall by a power of time, and so fast that no output time sees it.
    if name in ("powell_singular", "variably_dimensioned"):
        return
    rate = slowest_rate(run, symbols, loss)
    law = flows.late_time_law(run)
    assert law.chosen is not None
    derived = law.laws[law.chosen].rate
    assert derived == pytest.approx(rate, rel=SLOPE) and derived != pytest.approx(1.001 * rate)


def test_the_tail_of_meyers_problem_is_followed_by_compiled_steps(monkeypatch: Any) -> None:
    """Exponentials of displacements keep their digits far below the rounding of the state."""
    x, y, z, *_ = X
    each = enumerate(numbers(MEYER), 10)
    loss = sum((x * sp.exp(y / (5 * i + z)) - v) ** 2 for i, v in each) / 2
    others, solve = [], scipy_ivp.solve

    def counted(*given: Any) -> Any:
        others.append(given)
        return solve(*given)

    monkeypatch.setattr(scipy_ivp, "solve", counted)
    run = flows.integrate(flows.OwnSystem("meyer", (x, y, z), loss), [0.02, 4000.0, 250.0], 1e12)
    assert run.completed and run["loss"][-1] == pytest.approx(87.9458 / 2, rel=1e-6)
    assert len(others) <= 1
    slowest_rate(run, (x, y, z), loss)


def slowest_rate(run: Any, symbols: Any, loss: Any) -> float:
    """Rate of the end of a run, by the Hessian at a limit with 60 digits; the run falls so."""
    known = np.flatnonzero(np.isfinite(run["excess"]) & (run["excess"] < 1e-60))
    ends = known[[len(known) // 2, -1]]
    assert run["excess"][ends[1]] < 1e-100 and ends[0] < ends[1]
    with mp.workdps(60):
        slope = sp.lambdify([symbols], [sp.diff(loss, x) for x in symbols], "mpmath")
        curved = sp.lambdify([symbols], sp.hessian(loss, symbols), "mpmath")
        place = mp.matrix(run.state[-1].tolist())
        for _ in range(6):
            place -= mp.lu_solve(mp.matrix(curved(list(place))), mp.matrix(slope(list(place))))
        rate = 2 * min(mp.eigsy(mp.matrix(curved(list(place))), eigvals_only=True))
        fell = mp.log(mp.mpf(run["excess"][ends[0]]) / mp.mpf(run["excess"][ends[1]]))
        took = mp.mpf(run.t[ends[1]]) - mp.mpf(run.t[ends[0]])
        assert abs(fell / (rate * took) - 1) < SLOPE
        assert abs(fell / (rate * took * mp.mpf("1.001")) - 1) > SLOPE
        return float(rate)
