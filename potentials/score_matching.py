r"""Potentials and claims of score matching (Zhang, Xu, Zhou, Fazel & Du, ICLR 2026, 2511.22069).

Components `N(mu_i, I)` with equal weights, target `N(0, I)`, loss `L = E|v|^2` without 1/2,
`v = sum_i psi_i mu_i` with the posterior weights `psi_i`. `mu_i = exp(-s) (nu_i - nu*)` with the
noise time `s`, the user's parameters `nu_i` and target `nu*`; the flow is `dnu/dt = -grad_nu L`, so
`mu` moves with `exp(-2 s)` times minus its own gradient.

Statements of the paper are second-hand, their numbers marked *recalled*; each says what is read
into "huge", "small" and "converge".
"""

from __future__ import annotations

import sympy as sp

from potentials.claim import (
    EXPONENT,
    Claim,
    Comparison,
    Hypothesis,
    Inequality,
    Invariant,
    LowerBound,
    Rate,
    UpperBound,
)
from potentials.notation import parameter, symbol
from potentials.score_matching_potentials import (
    AUXILIARIES,
    MARKS,
    NAMES,
    POTENTIALS,
    T1,
    U_0,
    U,
    U_end,
    d,
    loss,
    max_norm,
    max_norm_0,
    max_norm_end,
    mean_norm,
    mean_norm_0,
    n,
    norm_end,
    spread,
    spread_0,
    spread_end,
    t,
    t_end,
    zhang,
)

__all__ = ["AUXILIARIES", "CLAIMS", "MARKS", "NAMES", "POTENTIALS"]

# --- hypotheses ---------------------------------------------------------------------------------

#: A start is that of the theorem up to rounding.
ROUNDING = sp.Rational(1, 10**11)
#: A cluster is linear while its spread is below this over `1 + |m(0)|`.
LINEAR = sp.Rational(1, 1000)
#: Speed of time, and distance to the target, in the theorems' units.
_SPEED = sp.exp(-2 * parameter("noise_time"))
_SCALE = sp.exp(-parameter("noise_time"))
_M0 = _SCALE * parameter("target_norm")


def _off_line(length: sp.Expr, time: str = "") -> sp.Expr:
    """Squared distance of the mean from the point towards nu = 0 at `length` from the target."""
    return (symbol(f"mean_along{time}") - length) ** 2 + symbol(f"mean_across{time}") ** 2


def _start(text: str, lhs: sp.Expr, rhs: sp.Expr, scale: sp.Expr, unmet: str = "") -> Hypothesis:
    """Return the hypothesis that two numbers of the start agree up to rounding."""
    unmet = unmet or text.replace(" = ", " = {value}, not ")
    return Hypothesis(text, sp.Abs(lhs - rhs), "<=", ROUNDING * scale, unmet=unmet, value=lhs)


_SEVERAL = Hypothesis("n >= 2", n, ">=", sp.Integer(2))
_LONG_ENOUGH = (
    Hypothesis(
        "the run is long enough to converge, read as "
        "exp(-2 s) t_end >= 4 n^2 (1 + 1/max |mu_i(0)|^2)",
        _SPEED * t_end,
        ">=",
        4 * n**2 * (1 + 1 / max_norm_0**2),
        unmet="the run is too short to converge: exp(-2 s) t_end = {value}, not >= "
        "4 n^2 (1 + 1/max |mu_i(0)|^2) = {needed}",
    ),
    # A cluster of spread r stays at a loss near r^4 until t is near n/(8 r^2).
    Hypothesis(
        "... and for the spread r to matter, read as exp(-2 s) t_end r(t_end)^2 >= n/16, or r = 0",
        sp.Max(_SPEED * t_end * spread_end**2, n * (1 - sp.sign(spread_end))),
        ">=",
        n / 16,
        unmet="the run is too short for the spread r to matter: exp(-2 s) t_end r(t_end)^2 = "
        "{value}, not >= n/16 = {needed}",
    ),
)
_NEAR_TARGET = Hypothesis(
    "|mu_i(0)| <= 1/(3 n)",
    max_norm_0,
    "<=",
    1 / (3 * n),
    unmet="max |mu_i(0)| = {value}, not <= 1/(3 n) = {needed}",
)
_OPPOSITE = (
    Hypothesis("n >= 3", n, ">=", sp.Integer(3)),
    Hypothesis("max |mu_i(0)| > 0", max_norm_0, ">", sp.S.Zero, unmet="every mu_i(0) = 0"),
    # Lengths of at most s, of sum 2 s and squares of sum 2 s^2, are s, s, 0, ..., 0.
    _start("sum |mu_i(0)| = 2 max |mu_i(0)|", symbol("norm_sum_0"), 2 * max_norm_0, max_norm_0),
    _start("sum |mu_i(0)|^2 = 2 max |mu_i(0)|^2", U_0, 2 * max_norm_0**2, max_norm_0**2),
    _start(
        "the components sum to zero",
        mean_norm_0,
        sp.S.Zero,
        max_norm_0,
        "the mean of the mu_i(0) has length {value}, not 0",
    ),
    Hypothesis(
        "the length is s*, read as a length at rest at t = 0: |d/dt max |mu_i|| <= "
        "1e-7 exp(-2 s) max |mu_i|",
        sp.Abs(symbol("max_norm_dot_0")),
        "<=",
        _SPEED * max_norm_0 / 10**7,
        unmet="|d/dt max |mu_i|| = {value} at t = 0, not <= 1e-7 exp(-2 s) max |mu_i| = "
        "{needed}: the length is not at rest",
    ),
)
_NEAR_ORIGIN = Hypothesis(
    "|mu_i(0) - A(0)| <= |m(0) - A(0)| + |mu_i(0) - m(0)| <= exp(-106 n d M0^3)/(108 n d)",
    sp.sqrt(_off_line(_M0, "_0")) + spread_0,
    "<=",
    sp.exp(-106 * n * d * _M0**3) / (108 * n * d),
    unmet="|m(0) - A(0)| + max |mu_i(0) - m(0)| = {value}, not <= "
    "exp(-106 n d M0^3)/(108 n d) = {needed}",
)
_LEAD = sp.exp(-_M0 / 100)
_ONE_AHEAD = (
    _SEVERAL,
    Hypothesis(
        "M0 large, read as M0 >= 3", _M0, ">=", sp.Integer(3), unmet="M0 = {value}, not >= 3"
    ),
    # The last two say that sum |nu_i|^2 exp(-2 s) = exp(-M0/50): all of it is in the nearest.
    _start("min |mu_i(0)| = M0 - exp(-M0/100)", symbol("min_norm_0"), _M0 - _LEAD, _M0),
    _start(
        "m(0) is exp(-M0/100)/n from nu = 0 towards the target",
        symbol("mean_along_0"),
        _M0 - _LEAD / n,
        _M0,
        "m(0) is {value} from the target along the line to nu = 0, not M0 - exp(-M0/100)/n",
    ),
    _start(
        "sum |mu_i(0)|^2 = (n - 1) M0^2 + (M0 - exp(-M0/100))^2",
        U_0,
        (n - 1) * _M0**2 + (_M0 - _LEAD) ** 2,
        n * _M0**2,
    ),
    Hypothesis(
        "the run is long enough to part, read as exp(-2 s) t_end >= 10 n",
        _SPEED * t_end,
        ">=",
        10 * n,
        unmet="the run is too short to part: exp(-2 s) t_end = {value}, not >= 10 n = {needed}",
    ),
)
_DRAWN_FAR = (
    _SEVERAL,
    Hypothesis(
        "|m_0| huge, read as |m(0)| >= 6",
        mean_norm_0,
        ">=",
        sp.Integer(6),
        unmet="|m(0)| = {value}, not >= 6",
    ),
    Hypothesis(
        "mu_i(0) drawn from N(m_0, I), read as a spread of at least 1/10",
        spread_0,
        ">=",
        sp.Rational(1, 10),
        unmet="the spread of the mu_i(0) is {value}, not >= 1/10",
    ),
    Hypothesis(
        "... and of at most |m(0)|/2",
        spread_0,
        "<=",
        mean_norm_0 / 2,
        unmet="the spread of the mu_i(0) is {value}, not <= |m(0)|/2 = {needed}",
    ),
    Hypothesis(
        "the run is long enough for the farthest component to move, read as "
        "exp(-2 s) t_end >= 10 exp(max |mu_i(0)|^2/8)",
        _SPEED * t_end,
        ">=",
        10 * sp.exp(max_norm_0**2 / 8),
        unmet="the run is too short for the farthest component to move: exp(-2 s) t_end = {value}, "
        "not >= 10 exp(max |mu_i(0)|^2/8) = {needed}",
    ),
)
_CLUSTER = (
    _SEVERAL,
    Hypothesis(
        "the components do not all coincide",
        spread_0,
        ">",
        sp.S.Zero,
        unmet="all components coincide",
    ),
    Hypothesis(
        "their spread is small",
        spread_0,
        "<=",
        LINEAR / (1 + mean_norm_0),
        unmet="the spread of the mu_i(0) is {value}, not <= {needed}",
    ),
)
# R^2 grows like 8 log t: then the time since T1 is a hundred times what the start is good for.
_MOVED, _LEVEL = symbol("max_norm_T1") ** 2 + 40, sp.Rational(1, 10)
_FAR = (
    _SEVERAL,
    Hypothesis(
        "R(t_end) >= 8", max_norm_end, ">=", sp.Integer(8), unmet="R(t_end) = {value}, not >= 8"
    ),
    Hypothesis(
        "R(t_end)^2 >= R(T1)^2 + 40",
        max_norm_end**2,
        ">=",
        _MOVED,
        unmet="R(t_end)^2 = {value}, not >= R(T1)^2 + 40 = {needed}",
    ),
    Hypothesis(
        "the far ones are level at the end",
        (n - 1) * max_norm_end**2 - U_end,
        "<=",
        _LEVEL,
        unmet="(n - 1) R(t_end)^2 - sum |mu_i(t_end)|^2 = {value}, not <= 1/10: the far ones "
        "are not level at the end",
    ),
)

# --- conclusions --------------------------------------------------------------------------------

#: Numbers of the whole run are compared once, at its start.
_ONCE = (-t,)
_ALL_CONVERGE = (
    Comparison(max_norm_end, "<=", 1 / n, sp.Rational(1, 3), _ONCE),
    Comparison(max_norm_end, "<=", max_norm_0, sp.S.Half, _ONCE),
)
# Where one is near, the count leaves no room for a second one within 1.9.
_ONE_SURVIVES = (
    Comparison(symbol("min_norm_end"), "<=", sp.S.One, sp.Rational(1, 10), _ONCE),
    Comparison(symbol("near_count_end") - 1, "<=", sp.S.One, sp.Rational(1, 100), _ONCE),
    Comparison(symbol("norm_dot_end"), ">=", sp.S.Zero, sp.S.One, (-t, norm_end - 1), "neuron"),
)
_STATIONARY = (
    Comparison(symbol("gradient_norm"), "<=", _SCALE * max_norm_0, sp.Rational(1, 10**6), _ONCE),
    Comparison(loss, ">=", max_norm_0**2 / n**2, sp.S.One, _ONCE),
)
_FOLLOWS = (
    Comparison(_off_line(_M0 * sp.exp(-2 * _SPEED * t / n)), "<=", 1 / n**2, sp.Rational(1, 144)),
    Comparison(spread, "<=", 1 / n, sp.Rational(1, 12)),
)
_GROWTH = spread_0 * sp.exp(mean_norm_0**2 * (1 - sp.exp(-4 * _SPEED * t / n)))
_IS_LINEAR = LINEAR - spread * (1 + mean_norm_0)
_GROWS = (
    Comparison(spread, "<=", _GROWTH, sp.Rational(101, 100), (_IS_LINEAR,)),
    # The start is always selected: a claim without a time to look at would be void for d >= 2.
    Comparison(
        spread,
        ">=",
        _GROWTH,
        sp.Rational(99, 100),
        (_IS_LINEAR, sp.Max(sp.Min(1 - d, mean_norm - spread), -t)),
    ),
)
_IS_FAR = (t - T1, max_norm - 8, max_norm**2 - _MOVED, _LEVEL - ((n - 1) * max_norm**2 - U))
_FAR_LOSS = (_SPEED * (t - T1)) ** EXPONENT * loss * max_norm**2 / (16 * (n - 1))
_LIMIT = (
    Comparison(_FAR_LOSS, ">=", sp.S.One, sp.S.One, _IS_FAR),
    Comparison(_FAR_LOSS, "<=", 1 + 32 / max_norm**2, sp.S.One, _IS_FAR),
)

CLAIMS: tuple[Claim, ...] = (
    UpperBound(
        id="large_noise",
        statement="|mu_i(0)| <= 1/(3 n): L <= C n^3 d^2/sqrt(t), and all converge, read as "
        "|mu_i(t_end)| <= min(1/(3 n), max |mu_i(0)|/2); threshold and powers recalled",
        source=zhang("Theorem 2.1", "upper"),
        hypotheses=(_NEAR_TARGET, *_LONG_ENOUGH),
        conclusions=(Comparison(loss, "<=", n**3 * d**2 * t**-EXPONENT), *_ALL_CONVERGE),
        exponent=sp.Rational(1, 2),
        names=NAMES,
    ),
    Inequality(
        id="stationary_point",
        statement="n >= 3, mu_1 = s* e_1, mu_2 = -s* e_1, the others at the target: for one s* "
        "zero gradient, read as |grad_mu L| <= 1e-6 s*, and positive loss, read as L >= s*^2/n^2",
        source=zhang("Theorem 3.1", "equilibrium"),
        hypotheses=_OPPOSITE,
        conclusions=_STATIONARY,
        names=NAMES,
    ),
    UpperBound(
        id="small_init",
        statement="exp(-s) |nu_i(0)| <= exp(-106 n d M0^3)/(108 n d) (recalled), M0 = exp(-s) |nu*|"
        ": L <= C/sqrt(t), all converge, as in `large_noise`, and follow A = -exp(-s) nu* exp(-2 "
        "exp(-2 s) t/n) into its region, read as |m - A| <= 1/(12 n) and |mu_i - m| <= 1/(12 n)",
        source=zhang("Theorem 3.2", "upper"),
        hypotheses=(_NEAR_ORIGIN, *_LONG_ENOUGH),
        conclusions=(Comparison(loss, "<=", t**-EXPONENT), *_ALL_CONVERGE, *_FOLLOWS),
        exponent=sp.Rational(1, 2),
        names=NAMES,
    ),
    Invariant(
        id="small_init_needed",
        statement="exp(-s) nu_1(0) = exp(-M0/100) e_1, read as towards the target, the others at "
        "nu = 0: one converges, the others diverge, read at t_end as one |mu_i| <= 1/10, no "
        "other within 1.9, and growing lengths; start recalled",
        source=zhang("Theorem 3.4", "counterexample"),
        hypotheses=_ONE_AHEAD,
        conclusions=_ONE_SURVIVES,
        names=NAMES,
    ),
    UpperBound(
        id="one_survives",
        statement="mu_i(0) ~ N(m_0, I), |m_0| huge: L <= C/t, exactly one converges and the "
        "others diverge, read as in `small_init_needed`",
        source=zhang("Theorem 3.5, Corollary 3.6", "upper"),
        hypotheses=_DRAWN_FAR,
        conclusions=(Comparison(loss, "<=", t**-EXPONENT), *_ONE_SURVIVES),
        exponent=sp.S.One,
        names=NAMES,
    ),
    LowerBound(
        id="one_survives_lower",
        statement="mu_i(0) ~ N(m_0, I), |m_0| huge: L >= c/t^(1 + eps) for every eps > 0, read "
        "as eps = 1/10; by `far_rate` t log t L has a limit, so that eps = 0 would be false",
        source=zhang("Theorem 3.7", "lower"),
        hypotheses=_DRAWN_FAR,
        conclusions=(Comparison(loss, ">=", t**-EXPONENT),),
        exponent=sp.Rational(11, 10),
        names=NAMES,
    ),
    Inequality(
        id="cluster_growth",
        statement="while |mu_i - m| <= 1e-3/(1 + |m(0)|) offsets along the mean grow by "
        "exp(|m(0)|^2 (1 - exp(-4 exp(-2 s) t/n))), others stay: the spread is at most 1% above "
        "its start times this, and for d = 1, while |m| exceeds it, at most 1% below",
        source=zhang("linearised flow, symbolic/systems/score_matching/cluster.py", "derived here"),
        hypotheses=_CLUSTER,
        conclusions=_GROWS,
        names=NAMES,
    ),
    Rate(
        id="far_rate",
        statement="one at the target, n - 1 far ones level, read as R^2 - |mu_i|^2 <= 1/10 in sum, "
        "R = max |mu_i|: t L R^2/(16 (n - 1)) -> 1, read as a value from 1 to 1 + 32/R^2 with "
        "exp(-2 s) (t - T1) for t, where R >= 8 and R^2 >= R(T1)^2 + 40",
        # Far away L is a sum of sqrt(pi/8) R exp(-R^2/8), hence dL/dt = -R^2 L^2/(16 (n - 1)).
        source=zhang("far regime, symbolic/systems/score_matching/tail.py", "derived here"),
        hypotheses=_FAR,
        conclusions=_LIMIT,
        exponent=sp.S.One,
        names=NAMES,
    ),
)
