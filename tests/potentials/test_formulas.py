"""Every claim typed a second time, in plain Python, from what its statement says.

Both forms are evaluated at random numbers.
`x.name` is a quantity of the run, `x.name_dot` its rate of change, `x.name_0` its start.
"""

import functools
import math
import random
from dataclasses import replace
from types import SimpleNamespace

import numpy as np
import pytest
import sympy as sp
from mpmath import mp

import potentials
from flows.runs.quantities import evaluate
from potentials.notation import symbol
from symbolic.language.lower import lower

# Formulas in doubles, of numbers of order one and exponents up to a hundred.
ROUNDED = 1e-9
POINTS = 5
SEED = 7
pi, exp, log, sqrt, sin = math.pi, math.exp, math.log, math.sqrt, math.sin


def positive(value):
    """What is not negative exactly where the value is above zero."""
    return (value > 0) - (value < 0) - 1


# --- gradient EM ---------------------------------------------------------------------------------


def gmm_em(x):
    n, d, far = x.n, x.d, 12 * sqrt(x.d)
    gamma = x.weight_min**4 / (n * d * (1 + x.max_norm_0 * sqrt(d * n)) ** 2) ** 2
    near = 0.5 - x.max_norm
    at_start = [x.t]
    return {
        "em_is_gradient": [
            (x.gradient_norm + x.em_distance, "==", x.gradient_norm, [x.gradient_norm - 1e-5])
        ],
        "projection": [(x.squared_norm_sum_dot, "==", -2 * x.fisher, at_start)],
        "norms_shrink": [(x.squared_norm_sum_dot, "<=", 0, at_start)],
        "loss_upper": [
            (x.loss * exp(-8 * x.squared_norm_sum_0), "<=", 1 / sqrt(gamma * x.t), at_start)
        ],
        "fisher_lower": [(x.fisher, ">=", x.max_norm**4, [near])],
        "gradient_lower": [(x.gradient_norm, ">=", x.max_norm**3, [near])],
        "loss_quadratic": [(x.loss, "<=", x.max_norm**2 / 2, at_start)],
        "sublinear": [(-x.t * x.loss_dot, "<=", x.loss, [x.t])],
        "exact_param_rate": [(x.loss_dot, "==", -2 * x.loss, at_start)],
        "bad_region": [(x.max_norm, ">=", 10 * sqrt(d), [exp(d) / 30 - x.t])],
    }, {
        "sublinear": [(n, ">=", 2), (x.spread_0, ">", 0)],
        "exact_param_rate": [(n, "<=", 1)],
        "bad_region": [
            (n, ">=", 3),
            (x.weight_min, ">=", (1 - 1e-9) / n),
            (x.max_norm_0, "<=", far * (1 + 1e-9)),
            (abs(x.norm_sum_0 - 2 * far), "<=", 1e-9 * far),
            (abs(x.squared_norm_sum_0 - 288 * d), "<=", 1e-9 * 144 * d),
            (x.mean_norm_0, "<=", 1e-9 * far),
        ],
    }


# --- matrix factorisation ------------------------------------------------------------------------


def matrix_factorization(x):
    s, least, a, t = x.sigma_max, x.sigma_min, x.regularization, x.t
    isotropic = (least, ">=", s * (1 - 1e-12))
    four = [(x.depth, "<=", 4), (x.depth, ">=", 4)]
    strong = (a, ">=", 10 * s)
    chain = (x.imbalance, "<=", 1e-9)
    sign = (x.orientation_0 > 0) - (x.orientation_0 < 0)
    local, after = [isotropic, *four, strong, (x.T1, "<=", x.T2)], [t - x.T2 - 1e-9]
    connected = (max(x.is_complex, sign), ">", 0)
    return {
        "orthogonal_parts": [
            (x.gradient_norm**2, "==", x.fit_speed**2 + x.balance_speed**2, [t]),
        ],
        "balance_conserved": [
            (abs(x.layer_defect - x.layer_defect_0), "<=", 1e-7 * x.layer_square, [t]),
        ],
        "balance_decays": [
            (
                -x.loss_balance_dot,
                ">=",
                4 * a * x.layer_min**2 / (2 + (x.layer_max / x.layer_min) ** 2) * x.loss_balance,
                [t],
            )
        ],
        "global_convergence": [(x.loss_end, "<=", 1e-6 * x.loss_0, [-t])],
        "real_failure": [(x.loss, ">=", least**2 / 4, [t])],
        "skew_monotone": [(-x.skew_error_dot, ">=", 0, [t, x.skew_error - 1e-6 * x.skew_error_0])],
        "main_term_grows": [
            (
                x.main_term_dot,
                ">=",
                0,
                [t, 0.99 * s - x.value_max, x.main_term - 1e-9 * x.layer_max],
            )
        ],
        "local_rate": [(x.loss, "<=", x.loss_T2 * exp(-(s**1.5) * (t - x.T2)), after)],
        "parts_dissipate": [(-x.loss_fit_dot, "==", x.fit_speed**2, [t])],
        "singular_value_flow": [
            (
                abs(x.nuclear_norm_dot - x.depth * x.singular_speed),
                "<=",
                1e-7 * x.depth * x.value_max ** (2 - 2 / x.depth) * x.residual,
                [t],
            )
        ],
        "fit_decays": [
            (
                -x.loss_fit_dot,
                ">=",
                1.998 * x.depth * x.layer_min ** (2 * x.depth - 2) * x.loss_fit,
                [t],
            )
        ],
        "layers_local": [
            (x.layer_min, ">=", s**0.25 / sqrt(2), [t - x.T2]),
            (x.layer_max, "<=", s**0.25 * sqrt(2), [t - x.T2]),
        ],
        "balance_rate": [
            (
                x.loss_balance,
                "<=",
                x.loss_balance_T2 * exp(-a / 3 * sqrt(s) * (t - x.T2)),
                after,
            )
        ],
    }, {
        "singular_value_flow": [chain],
        "fit_decays": [(x.layer_min, ">", 0)],
        "layers_local": local,
        "balance_rate": [*local, (x.loss_balance_T2, ">", 0)],
        "balance_conserved": [(a, "<=", 0)],
        "balance_decays": [
            (a, ">", 0),
            (x.depth, "<=", 5),
            (x.layer_min, ">", 0),
            (x.balance_defect_0, ">", 0),
        ],
        "global_convergence": [
            isotropic,
            *four,
            (x.layer_max_0, "<=", s**0.25),
            strong,
            connected,
            (x.t_end, ">=", 100 / (s * x.main_term_0**2)),
        ],
        "real_failure": [
            (x.is_complex, "<=", 0),
            chain,
            (x.orientation_0, "<", 0),
            (least, ">", 0),
        ],
        "skew_monotone": [(x.depth / 2 % 1, "<=", 0), chain],
        "main_term_grows": [isotropic, *four, chain, connected],
        "local_rate": local,
    }


# --- score matching ------------------------------------------------------------------------------


def score_matching(x):
    n, d, t, clock = x.n, x.d, x.t, exp(-2 * x.noise_time)
    m0, lead = exp(-x.noise_time) * x.target_norm, exp(-exp(-x.noise_time) * x.target_norm / 100)
    several, once = (n, ">=", 2), [-t]
    far, moved = x.max_norm, x.max_norm_T1**2 + 40

    def off(length, end=""):
        along, across = (getattr(x, name + end) for name in ("mean_along", "mean_across"))
        return (along - length) ** 2 + across**2

    def agree(left, right, scale):
        return (abs(left - right), "<=", 1e-11 * scale)

    long_enough = [
        (clock * x.t_end, ">=", 4 * n**2 * (1 + 1 / x.max_norm_0**2)),
        (
            max(clock * x.t_end * x.spread_end**2, n * (1 - (x.spread_end > 0))),
            ">=",
            n / 16,
        ),
    ]
    all_converge = [
        (x.max_norm_end, "<=", 1 / (3 * n), once),
        (x.max_norm_end, "<=", x.max_norm_0 / 2, once),
    ]
    survives = [
        (x.min_norm_end, "<=", 0.1, once),
        (x.near_count_end - 1, "<=", 0.01, once),
        (x.norm_dot_end, ">=", 0, [-t, x.norm_end - 1]),
    ]
    linear = 1e-3 - x.spread * (1 + x.mean_norm_0)
    growth = x.spread_0 * exp(x.mean_norm_0**2 * (1 - exp(-4 * clock * t / n)))
    is_far = [t - x.T1, far - 8, far**2 - moved, 0.1 - ((n - 1) * far**2 - x.squared_norm_sum)]
    limit = clock * (t - x.T1) * x.loss * far**2 / (16 * (n - 1))
    drawn = [
        several,
        (x.mean_norm_0, ">=", 6),
        (x.spread_0, ">=", 0.1),
        (x.spread_0, "<=", x.mean_norm_0 / 2),
        (clock * x.t_end, ">=", 10 * exp(x.max_norm_0**2 / 8)),
    ]
    return {
        "large_noise": [(x.loss, "<=", n**3 * d**2 / sqrt(t), [t]), *all_converge],
        "stationary_point": [
            (x.gradient_norm, "<=", 1e-6 * exp(-x.noise_time) * x.max_norm_0, once),
            (x.loss, ">=", x.max_norm_0**2 / n**2, once),
        ],
        "small_init": [
            (x.loss, "<=", 1 / sqrt(t), [t]),
            *all_converge,
            (off(m0 * exp(-2 * clock * t / n)), "<=", 1 / (12 * n) ** 2, [t]),
            (x.spread, "<=", 1 / (12 * n), [t]),
        ],
        "small_init_needed": survives,
        "one_survives": [(x.loss, "<=", 1 / t, [t]), *survives],
        "one_survives_lower": [(x.loss, ">=", t**-1.1, [t])],
        "cluster_growth": [
            (x.spread, "<=", 1.01 * growth, [linear]),
            (x.spread, ">=", 0.99 * growth, [linear, max(min(1 - d, x.mean_norm - x.spread), -t)]),
        ],
        "far_rate": [(limit, ">=", 1, is_far), (limit, "<=", 1 + 32 / far**2, is_far)],
    }, {
        "large_noise": [(x.max_norm_0, "<=", 1 / (3 * n)), *long_enough],
        "stationary_point": [
            (n, ">=", 3),
            (x.max_norm_0, ">", 0),
            agree(x.norm_sum_0, 2 * x.max_norm_0, x.max_norm_0),
            agree(x.squared_norm_sum_0, 2 * x.max_norm_0**2, x.max_norm_0**2),
            agree(x.mean_norm_0, 0, x.max_norm_0),
            (abs(x.max_norm_dot_0), "<=", 1e-7 * clock * x.max_norm_0),
        ],
        "small_init": [
            (
                sqrt(off(m0, "_0")) + x.spread_0,
                "<=",
                exp(-106 * n * d * m0**3) / (108 * n * d),
            ),
            *long_enough,
        ],
        "small_init_needed": [
            several,
            (m0, ">=", 3),
            agree(x.min_norm_0, m0 - lead, m0),
            agree(x.mean_along_0, m0 - lead / n, m0),
            agree(x.squared_norm_sum_0, (n - 1) * m0**2 + (m0 - lead) ** 2, n * m0**2),
            (clock * x.t_end, ">=", 10 * n),
        ],
        "one_survives": drawn,
        "one_survives_lower": drawn,
        "cluster_growth": [
            several,
            (x.spread_0, ">", 0),
            (x.spread_0, "<=", 1e-3 / (1 + x.mean_norm_0)),
        ],
        "far_rate": [
            several,
            (x.max_norm_end, ">=", 8),
            (x.max_norm_end**2, ">=", moved),
            ((n - 1) * x.max_norm_end**2 - x.squared_norm_sum_end, "<=", 0.1),
        ],
    }


# --- one neuron ----------------------------------------------------------------------------------


def relu_neuron(x):
    n, d, v, t, z, k0 = x.n, x.d, x.teacher_norm, x.t, x.pairwise_distance, x.kappa_max_0
    scale = x.sigma_0 * sqrt(d)
    late, middle = [t - x.T2], [t - x.T1, x.T2 - t]
    several, transverse, spread = (n, ">=", 2), (x.zeta_0, ">", 0), (k0, ">", 0)
    balanced = [(x.norm, ">=", v / (4 * n)), (x.norm, "<=", 4 * v / n)]
    acute = (x.h, ">=", 0)
    start = [
        (d, ">=", log(100 * n)),
        (x.theta_0, ">=", pi / 3),
        (x.theta_0, "<=", 2 * pi / 3),
        (math.log10(scale / v), "<=", -2 - 4226 * math.log10(n)),
    ]
    small = (scale / v) ** (1 / 24)
    constant = 34 * pi**2
    third, reach = (n**2 * v) ** (1 / 3), x.z_max
    rate_of_one = (1 - x.angle_max / pi) ** 2 * math.cos(x.angle_max / 2) ** 2
    mirror = [positive(t), 2 - n, 1e-12 * v**2 - (x.residual_norm_0**2 - x.rho_0**2)]
    slope = n ** (17 / 3) / (k0**2 * v ** (2 / 3)) * (t - x.T2)
    return {
        "loss_upper": [(x.loss, "<=", n**4 * v**2 / (t - x.T2) ** 3, late)],
        "loss_lower": [(x.loss ** (-1 / 3) - x.loss_T2 ** (-1 / 3), "<=", slope, late)],
        "exact_param_rate": [(-x.loss_dot, ">=", x.loss, late)],
        "distance_decay": [(-x.pairwise_distance_dot, "<=", n**4 * z**2 / (k0**2 * v), late)],
        "distance_vs_loss": [(x.loss, ">=", z**3 / (n**5 * v), late)],
        "kappa_persists": [(x.kappa_max, ">=", min(k0, pi / 2), [positive(t), positive(x.z_min)])],
        "separation": [
            (
                sin(x.kappa) * x.kappa_dot,
                ">=",
                (pi - x.theta_pair) / pi * sin(x.kappa) ** 2,
                [x.kappa - x.kappa_max, pi / 2 - x.kappa_max],
            )
        ],
        "balance": [
            (x.balance, "<=", 2, middle),
            (x.h, ">=", scale / 4, middle),
            (x.h, "<=", 2 * v / n, middle),
            (x.norm, ">=", v / (4 * n), late),
            (x.norm, "<=", 4 * v / n, late),
        ],
        "phase1_angles": [
            (
                sin(x.theta / 2) ** 2 - small,
                "<=",
                (1 + t * v / (2 * scale)) ** (-1 / 24) * (sin(x.theta_0 / 2) ** 2 - small),
                [positive(t), x.T1 - t],
            )
        ],
        "phase2_residual": [
            (
                abs(x.residual_projection_dot + n / 2 * x.residual_projection),
                "<=",
                n * x.angle_max * v,
                middle,
            ),
            (x.angle_potential_dot, "<=", 10 * n * x.angle_potential, middle),
        ],
        "gradient_lower": [
            (
                x.gradient_norm,
                ">=",
                x.loss ** (2 / 3) / (n ** (2 / 3) * v ** (1 / 3)),
                [*late, v**2 / n**14 - x.loss],
            )
        ],
        "angle_vs_loss": [(x.norm**2 * x.theta**3, "<=", 30 * pi * x.loss, [t])],
        "transverse_vs_loss": [(x.zeta**3, "<=", 6 * pi * x.norm * x.loss, [t])],
        "distance_decay_constant": [
            (-x.pairwise_distance_dot, "<=", constant * n**4 * z**2 / (k0**2 * v), late)
        ],
        "distance_vs_loss_constant": [(x.loss, ">=", z**3 / (24 * pi * n**5 * v), late)],
        "loss_lower_constant": [
            (
                x.loss ** (-1 / 3),
                "<=",
                constant * (24 * pi) ** (1 / 3) * slope
                + (24 * pi * n**5 * v) ** (1 / 3) / x.pairwise_distance_T2,
                late,
            )
        ],
        "phase_times": [(x.T2 * n, "<=", 9 * log(n), [-t])],
        "residual_vs_loss": [(x.residual_norm**2, "<=", 36 * n * x.loss, late)],
        "gradient_upper": [(x.gradient_norm**2, "<=", 1.001 * n * x.loss, [t])],
        "finite_movement": [
            (
                -x.loss_dot / (3 * x.loss ** (2 / 3)),
                ">=",
                x.gradient_norm / third,
                [*late, v**2 / n**14 - x.loss],
            )
        ],
        "hessian_bounds": [
            (x.curvature, "<=", (1 / 2 + 16 / pi) * n, late),
            (x.curvature, ">=", -4 / pi * n, late),
        ],
        "distance_vs_reach": [
            (z, ">=", 0.999 * sin(min(x.kappa_max, pi / 2)) * reach, [t, positive(x.z_min)])
        ],
        "angle_vs_reach": [(x.angle_max, "<=", 2 * pi * n * reach / v, late)],
        "mirror_pair": [
            (x.loss, "<=", v**2 / t**3, mirror),
            (x.loss, ">=", v**2 / t**3, mirror),
        ],
        "parallel_rate": [(-x.loss_dot, "==", n * x.loss, [t])],
        "equal_rate": [(-x.loss_dot, ">=", 0.999 * n * rate_of_one * x.loss, [t])],
    }, {
        "loss_upper": start,
        "loss_lower": [several, transverse, spread, *start],
        "phase_times": [several, *start],
        "residual_vs_loss": balanced[:1],
        "finite_movement": balanced,
        "hessian_bounds": balanced,
        "distance_vs_reach": [several, transverse],
        "angle_vs_reach": [balanced[0], acute, (x.z_max_0, ">", 0)],
        "mirror_pair": [
            (abs(n - 2), "<=", 0),
            (x.balance_0, "<=", 1 + 1e-12),
            (x.residual_norm_0**2 - x.rho_0**2, "<=", 1e-12 * v**2),
            transverse,
            (x.h_0, ">", 0),
        ],
        "parallel_rate": [(x.zeta_0, "<=", 0), (x.h_0, ">", 0)],
        "equal_rate": [(x.distance_0, "<=", 0), (x.theta_pair_0, "<=", 0)],
        "exact_param_rate": [(n, "<=", 1), (x.norm_0, ">", 0), (x.theta_0, "<", pi)],
        "distance_decay": [several, transverse, spread, *balanced],
        "distance_vs_loss": [several, *balanced],
        "kappa_persists": [several, spread],
        "separation": [several, (abs(k0 - pi / 4), "<", pi / 4)],
        "balance": start,
        "phase1_angles": start,
        "phase2_residual": start,
        "gradient_lower": balanced,
        "angle_vs_loss": [(x.h, ">=", math.cos(2.86) * x.norm)],
        "distance_decay_constant": [several, transverse, spread, *balanced, acute],
        "distance_vs_loss_constant": [several, *balanced],
        "loss_lower_constant": [several, transverse, spread, *balanced, acute],
    }


TYPED = {f.__name__: f for f in (gmm_em, matrix_factorization, score_matching, relu_neuron)}


class Numbers(SimpleNamespace):
    """Random numbers of order one, made when a name is first asked for, the same ones each time."""

    def __getattr__(self, name):
        if name.startswith("_"):
            raise AttributeError(name)
        value = random.Random(f"{name} {self.seed}").uniform(0.3, 1.7)
        # Signs of quantities that have both, and sizes that are counted.
        if name == "orientation_0":
            value *= random.Random(f"sign {self.seed}").choice((1, -1))
        if name in ("n", "d", "depth"):
            value = random.Random(f"{name} {self.seed}").randint(1, 6)
        setattr(self, name, value)
        return value


@functools.cache
def compiled(expression):
    symbols = sorted(expression.free_symbols, key=str)
    return symbols, lower([expression], symbols, "mpmath")


def number(expression, x):
    """Value of an expression of the toolkit; a power of a negative number may be complex."""
    symbols, function = compiled(expression)
    with mp.workdps(30):
        return complex(function(*[mp.mpf(getattr(x, s.name)) for s in symbols])[0])


def same(expression, value, x):
    found = number(sp.sympify(expression, strict=True), x)
    return found == value or abs(found - value) <= ROUNDED * max(abs(found), abs(value))


def differences(claim, typed, hypotheses, x):
    """What of a claim is not what was typed, in words."""
    if len(claim.comparisons) != len(typed) or len(claim.hypotheses) != len(hypotheses):
        yield "another number of statements"
        return
    for k, (c, (lhs, relation, rhs, where)) in enumerate(
        zip(claim.comparisons, typed, strict=True)
    ):
        right = c.rhs if c.constant is None else c.constant * c.rhs
        for name, one, other in (("lhs", c.lhs, lhs), ("rhs", right, rhs)):
            if not same(one, other, x):
                yield f"{name} of conclusion {k}"
        if c.relation != relation:
            yield f"relation of conclusion {k}"
        if len(c.where) != len(where) or not all(map(same, c.where, where, [x] * len(where))):
            yield f"window of conclusion {k}"
    for h, (lhs, relation, rhs) in zip(claim.hypotheses, hypotheses, strict=True):
        if h.relation != relation or not (same(h.lhs, lhs, x) and same(h.rhs, rhs, x)):
            yield f"hypothesis {h.text}"


def found(system, claim):
    words = set()
    for seed in range(POINTS):
        x = Numbers(seed=seed)
        conclusions, hypotheses = TYPED[system](x)
        words |= {*differences(claim, conclusions[claim.id], hypotheses.get(claim.id, []), x)}
    return words


IDS = [(system, claim) for system in TYPED for claim in potentials.claims(system)]


@pytest.mark.parametrize("system", TYPED)
def test_what_is_typed_is_claimed(system):
    conclusions, hypotheses = TYPED[system](Numbers(seed=0))
    assert hypotheses.keys() <= conclusions.keys() == {c.id for c in potentials.claims(system)}


@pytest.mark.parametrize(("system", "claim"), IDS, ids=lambda x: getattr(x, "id", x))
def test_a_claim_is_what_its_statement_says_in_another_hand(system, claim):
    assert found(system, claim) == set()


@pytest.mark.parametrize(
    ("system", "claim"),
    [c for c in IDS if c[1].exponent is not None],
    ids=lambda x: getattr(x, "id", x),
)
def test_an_exponent_that_is_off_by_a_thousandth_is_seen(system, claim):
    assert found(system, replace(claim, exponent=claim.exponent + sp.Rational(1, 1000)))


@pytest.mark.parametrize(("system", "claim"), IDS, ids=lambda x: getattr(x, "id", x))
def test_another_window_a_converse_and_a_missing_hypothesis_are_seen(system, claim):
    first, *rest = claim.conclusions
    wider = replace(first, where=(*first.where, symbol("t") + 1))
    assert found(system, replace(claim, conclusions=(wider, *rest))) == {"window of conclusion 0"}
    if first.relation != "==":
        assert "relation of conclusion 0" in found(system, replace(claim, sign=-1))
    if claim.hypotheses:
        assert found(system, replace(claim, hypotheses=claim.hypotheses[:-1]))


# Potentials and auxiliaries, of features with one row a time.
DEFINED = {
    "relu_neuron": {
        "pairwise_distance": lambda f: f["distance"].sum(axis=1),
        "kappa_max": lambda f: f["kappa"].max(axis=1),
        "angle_max": lambda f: f["theta"].max(axis=1),
        "residual_projection": lambda f: -f["rho"],
        "angle_potential": lambda f: ((1 - np.cos(f["theta"])) / 2).sum(axis=1),
        "balance": lambda f: f["h"].max(axis=1) / f["h"].min(axis=1),
        "norms": lambda f: f["norm"],
        "h": lambda f: f["h"],
        "z_norms": lambda f: f["zeta"],
        "sigma": lambda f: np.sqrt((f["norm"] ** 2).sum(axis=1) / (f["n"] * f["d"])),
        "z_min": lambda f: f["zeta"].min(axis=1),
        "z_max": lambda f: f["zeta"].max(axis=1),
    },
    "gmm_em": {
        "squared_norm_sum": lambda f: (f["norm"] ** 2).sum(axis=1),
        "fisher": lambda f: f["fisher"],
        "max_norm": lambda f: f["norm"].max(axis=1),
        "norm_sum": lambda f: f["norm"].sum(axis=1),
    },
    "score_matching": {
        "max_norm": lambda f: f["norm"].max(axis=1),
        "min_norm": lambda f: f["norm"].min(axis=1),
        "squared_norm_sum": lambda f: (f["norm"] ** 2).sum(axis=1),
        "norm_sum": lambda f: f["norm"].sum(axis=1),
        "near_count": lambda f: np.exp(-(f["norm"] ** 2)).sum(axis=1),
    },
    "matrix_factorization": {
        "loss_fit": lambda f: f["residual"] ** 2 / 2,
        "loss_balance": lambda f: f["regularization"] / 4 * (f["defect"] ** 2).sum(axis=1),
        "balance_defect": lambda f: np.linalg.norm(f["defect"], axis=1),
        "skew_error": lambda f: f["skew"] ** 2,
        "main_term": lambda f: f["main"].min(axis=1),
        "singular_values": lambda f: f["singular_value"],
        "layer_max": lambda f: f["layer_value"].max(axis=1),
        "layer_min": lambda f: f["layer_value"].min(axis=1),
        "determinant": lambda f: f["determinant"],
        "nuclear_norm": lambda f: f["singular_value"].sum(axis=1),
        "value_max": lambda f: f["singular_value"].max(axis=1),
        "value_min": lambda f: f["singular_value"].min(axis=1),
    },
}
STATES = {"rho", "fisher", "residual", "skew", "determinant"}  # one number a time
NUMBERS = {"n": 4, "d": 3, "regularization": 1.3, "teacher_norm": 1.7}


class Features(dict):
    """Random features, made when they are asked for."""

    def __missing__(self, name):
        size = (5,) if name.removesuffix("_dot") in STATES else (5, NUMBERS["n"])
        self[name] = np.random.default_rng(len(self)).uniform(0.3, 1.7, size)
        return self[name]


@pytest.mark.parametrize("system", DEFINED)
def test_a_potential_is_what_its_definition_says_in_another_hand(system):
    known = {p.name: p for p in (*potentials.potentials(system), *potentials.auxiliaries(system))}
    assert DEFINED[system].keys() == known.keys()
    for name, typed in DEFINED[system].items():
        features = Features(NUMBERS)
        value, _ = evaluate(known[name], features)
        assert value == pytest.approx(typed(features), rel=ROUNDED)


def test_marks_begin_and_end_where_their_rules_say():
    x = Numbers(seed=3)
    typed = {
        "relu_neuron": [
            ("T1", "until", x.residual_projection - 0.9 * x.teacher_norm),
            ("T2", "from", 0.1 * x.teacher_norm - abs(x.residual_projection)),
        ],
        "matrix_factorization": [
            ("T1", "from", x.even / 10 - x.skew),
            ("T2", "from", x.sigma_min / 2 - x.residual),
        ],
        "score_matching": [("T1", "from", x.max_norm - 4)],
        "gmm_em": [],
    }
    for system, rules in typed.items():
        marks = potentials.statements(system).marks
        for mark, (name, when, condition) in zip(marks, rules, strict=True):
            assert (mark.name, mark.when) == (name, when)
            assert same(mark.condition, condition, x)


def claimed(system, claim):
    (found,) = (c for c in potentials.claims(system) if c.id == claim)
    return found


def test_thresholds_and_caps_are_where_the_statements_have_them():
    kappa, z, v, n = (symbol(x) for x in ("kappa_max_0", "z_max", "teacher_norm", "n"))
    (capped,) = claimed("relu_neuron", "kappa_persists").conclusions
    assert [capped.rhs.subs(kappa, x) for x in (1, 3)] == [1, sp.pi / 2]
    reach = replace(claimed("relu_neuron", "angle_vs_reach"), exponent=sp.Integer(2))
    assert reach.comparisons[0].rhs == n * (z / v) ** 2
    (empty,) = claimed("relu_neuron", "phase1_angles").comparisons[0].says
    angle, least = symbol("theta_0"), {symbol("sigma_0"): 1, symbol("d"): 1, v: 2**24}
    assert empty.subs({**least, angle: sp.pi / 2}) == 0  # sin^2(pi/4) = 2^-1 = eps1^2
    for c in claimed("relu_neuron", "mirror_pair").conclusions:
        widest = c.where[-1].subs(v, 10) - c.where[-1].subs(v, 0)
        assert widest == 100 * (c.where[-1].subs(v, 1) - c.where[-1].subs(v, 0)) > 0
    spreads = {
        h.lhs.subs({symbol("spread_end"): 0, n: 5})
        for c in potentials.claims("score_matching")
        for h in c.hypotheses
        if h.text.startswith("... and for the spread")
    }
    assert spreads == {5}
    (equal,) = (
        h
        for h in claimed("matrix_factorization", "global_convergence").hypotheses
        if h.text.startswith("Sigma = sigma_1 I")
    )
    assert 1 - equal.rhs.subs(symbol("sigma_max"), 1) == sp.Rational(1, 10**12)


def test_no_source_is_older_than_its_number_at_arxiv():
    for system in potentials.SYSTEMS:
        for claim in potentials.claims(system):
            number = claim.source.arxiv
            assert not number or claim.source.year >= 2000 + int(number[:2])
