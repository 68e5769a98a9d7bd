"""Claims, typed again from their statements: numbers in, both sides and hypotheses out."""

import math

pi, exp, log, sqrt, sin = math.pi, math.exp, math.log, math.sqrt, math.sin


def positive(value):
    """What is not negative exactly where the value is above zero."""
    return (value > 0) - (value < 0) - 1


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
        "orthogonal_parts": [(x.gradient_norm**2, "==", x.fit_speed**2 + x.balance_speed**2, [t])],
        "balance_conserved": [
            (abs(x.layer_defect - x.layer_defect_0), "<=", 1e-7 * x.layer_square, [t])
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
            (x.loss_balance, "<=", x.loss_balance_T2 * exp(-a / 3 * sqrt(s) * (t - x.T2)), after)
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
        (max(clock * x.t_end * x.spread_end**2, n * (1 - (x.spread_end > 0))), ">=", n / 16),
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
            (sqrt(off(m0, "_0")) + x.spread_0, "<=", exp(-106 * n * d * m0**3) / (108 * n * d)),
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
        "mirror_pair": [(x.loss, "<=", v**2 / t**3, mirror), (x.loss, ">=", v**2 / t**3, mirror)],
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
        "equal_rate": [(x.distance_0, "<=", 0), (x.theta_pair_0, "<=", 0), (x.norm_0, ">", 0)],
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
