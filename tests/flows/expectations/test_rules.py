"""Rules of averages: nodes over all scales, and no error that is more than the bound of it."""

import itertools

import numpy as np
import pytest
import sympy as sp
from flint import acb, arb
from mpmath import mp

from flows.core.balls import precision
from flows.expectations.forms import forms_of
from flows.expectations.lines import Line
from flows.expectations.planes import fewest, surveyed
from flows.expectations.rules import left_between, two_families
from flows.expectations.strips import Strips
from flows.systems.own.loss import Loss, estimate
from symbolic.language.blocks import Explicit

Z = sp.Symbol("z", real=True)
# Of sums of rounded numbers, relative to what is summed.
ROUNDED = 1e-14
# A part of the average that a rule is asked for.
ASKED = 1e-13
MOST = 100_000
# Digits of the references, and as many bits.
DIGITS, BITS = 30, 110


def softplus(z, analytic):
    """`log(1 + e^z)`, beyond zero `z + log(1 + e^-z)`."""
    far = z.real > 0
    return (z if far else 0) + (1 + (-z if far else z).exp()).log(analytic=analytic)


def normal(z):
    """Distribution of a standard normal number."""
    return (1 + (z / acb(2).sqrt()).erf()) / 2


def density(z):
    return (-z * z / 2).exp() / (2 * acb.pi()).sqrt()


def logistic(z):
    return (z / 2).tanh() / 2 + acb(1) / 2


# As it is written, and by hand in complex balls: the function and its derivative.
FUNCTIONS = {
    "softplus": (sp.log(1 + sp.exp(-Z)), lambda z, a: softplus(-z, a), lambda z, a: -logistic(-z)),
    "tanh squared": (
        sp.tanh(Z) ** 2,
        lambda z, a: z.tanh() ** 2,
        lambda z, a: 2 * z.tanh() * (1 - z.tanh() ** 2),
    ),
    "log cosh": (
        sp.log(sp.cosh(Z)),
        lambda z, a: softplus(-2 * z, a) + z - acb(2).log(),
        lambda z, a: z.tanh(),
    ),
    "logistic": (
        1 / (1 + sp.exp(-Z)),
        lambda z, a: logistic(z),
        lambda z, a: logistic(z) * logistic(-z),
    ),
    "swish": (
        Z / (1 + sp.exp(-Z)),
        lambda z, a: z * logistic(z),
        lambda z, a: logistic(z) + z * logistic(z) * logistic(-z),
    ),
    "gelu squared": (
        (Z * (1 + sp.erf(Z / sp.sqrt(2))) / 2) ** 2,
        lambda z, a: (z * normal(z)) ** 2,
        lambda z, a: 2 * z * normal(z) * (normal(z) + z * density(z)),
    ),
    "peak": (1 / (1 + Z**2), lambda z, a: 1 / (1 + z * z), lambda z, a: -2 * z / (1 + z * z) ** 2),
    "bell": (sp.exp(-(Z**2)), lambda z, a: (-z * z).exp(), lambda z, a: -2 * z * (-z * z).exp()),
    "root": (
        sp.sqrt(1 + Z**2),
        lambda z, a: (1 + z * z).sqrt(analytic=a),
        lambda z, a: z * (1 + z * z).rsqrt(analytic=a),
    ),
    "logarithm": (
        sp.log(2 + sp.tanh(Z)),
        lambda z, a: (2 + z.tanh()).log(analytic=a),
        lambda z, a: (1 - z.tanh() ** 2) / (2 + z.tanh()),
    ),
}
# Norms from a thousandth to a thousand, with a step at zero, beside it and far from it.
STATES = [
    *((1e-3, 0.0), (1e-3, 500.0), (0.1, -2.0), (1.0, 0.7), (10.0, 0.0)),
    *((10.0, -2.0), (1e3, 0.0), (1e3, 0.7)),
]


def one_form(function, dimension):
    """Loss `E f(w.x + b)` with the entries `w, b`."""
    w = sp.symbols(f"w0:{dimension}", real=True)
    x = sp.symbols(f"x0:{dimension}", real=True)
    b = sp.Symbol("b", real=True)
    form = sum(p * q for p, q in zip(w, x, strict=True)) + b
    return Loss((*w, b), Explicit(sp.S.Zero, function.subs(Z, form), x), "")


def chosen(forms, y, asked=ASKED):
    """Bounds at a state, and the fewest nodes that leave a part of the average of sizes."""
    axes = forms.plane(y).axes
    known = surveyed(forms, y, axes)
    return known, fewest(known, y, axes, asked * known[0].size, MOST)


def truth(value, slope, norm, offset):
    """Average and its derivatives by the norm and the offset, integrated in balls of 30 digits."""
    with precision(BITS):
        s, o = acb(norm), acb(offset)
        turn = -offset / float(norm)
        ends = [-14.0, *([turn] if -14 < turn < 14 else []), 14.0]

        def average(f):
            def integrand(u, analytic):
                return density(u) * f(u, s * u + o, analytic)

            pieces = itertools.pairwise(ends)
            return sum((acb.integral(integrand, a, b) for a, b in pieces), acb(0)).real

        found = (
            average(lambda u, z, a: value(z, a)),
            average(lambda u, z, a: u * slope(z, a)),
            average(lambda u, z, a: slope(z, a)),
        )
    # Far below the rounding of the doubles that are compared with it.
    assert all(float(x.rad()) < 1e-20 * (1 + abs(float(x))) for x in found)
    return found


@pytest.mark.parametrize("name", FUNCTIONS)
def test_no_average_of_one_form_is_outside_its_stated_error(name):
    (function, *by_hand), generator = FUNCTIONS[name], np.random.default_rng(len(name))
    for k, (norm, share) in enumerate(STATES):
        dimension = 1 + k % 3
        loss = one_form(function, dimension)
        way = generator.normal(size=dimension)
        w = norm * way / np.linalg.norm(way)
        offset = share * norm
        found = estimate(loss, np.array([*w, offset]), ASKED)
        with precision(BITS):
            length = sum((arb(x) ** 2 for x in w), arb(0)).sqrt()
        value, by_norm, by_offset = truth(*by_hand, length, offset)
        along = w / float(length)
        slope = np.array([*(float(by_norm) * along), float(by_offset)])
        with precision(BITS):
            assert abs(value - arb(found.loss)) <= found.loss_error
            # Control: a number that is off by a thousandth.
            assert abs(value - arb(1.001 * found.loss)) > found.loss_error
        assert np.linalg.norm(found.gradient - slope) <= found.gradient_error
        # It says something: nine digits of what is averaged.
        size = abs(float(value)) + norm * abs(float(by_norm)) + 1e-3
        assert found.loss_error < 1e-9 * size


X, W, V = (
    sp.symbols("x0:3", real=True),
    sp.symbols("w0:3", real=True),
    sp.symbols("v0:3", real=True),
)
FIRST, SECOND = (sum(p * q for p, q in zip(c, X, strict=True)) for c in (W, V))


def erf_kernel(w, v):
    """Williams 1997: E erf(w.x) erf(v.x) = 2/pi asin(2 w.v / sqrt((1 + 2 w.w)(1 + 2 v.v)))."""
    a, b, c = ([mp.mpf(x) for x in w], [mp.mpf(x) for x in v], mp.fdot)
    return 2 / mp.pi * mp.asin(2 * c(a, b) / mp.sqrt((1 + 2 * c(a, a)) * (1 + 2 * c(b, b))))


def cosine_kernel(w, v):
    """E cos(w.x) cos(v.x) = (exp(-|w+v|^2/2) + exp(-|w-v|^2/2))/2."""
    ends = [[mp.mpf(a) + s * mp.mpf(b) for a, b in zip(w, v, strict=True)] for s in (1, -1)]
    return sum(mp.exp(-mp.fdot(e, e) / 2) for e in ends) / 2


def square_kernel(w, v):
    """E (w.x)^2 cosh(v.x) = exp(v.v/2) (w.w + (w.v)^2)."""
    w, v = ([mp.mpf(x) for x in c] for c in (w, v))
    return mp.exp(mp.fdot(v, v) / 2) * (mp.fdot(w, w) + mp.fdot(w, v) ** 2)


KERNELS = {
    "erf": (sp.erf(FIRST) * sp.erf(SECOND), erf_kernel, 6.0),
    "cosine": (sp.cos(FIRST) * sp.cos(SECOND), cosine_kernel, 6.0),
    "square": (FIRST**2 * sp.cosh(SECOND), square_kernel, 2.0),
}


@pytest.mark.parametrize("name", KERNELS)
@pytest.mark.parametrize("angle", [1.0, 1e-3, 1e-9, 0.0])
@pytest.mark.parametrize("scale", [1e-3, 0.3, 1.0])
def test_no_kernel_of_two_forms_is_outside_its_bound(name, angle, scale):
    integrand, kernel, largest = KERNELS[name]
    generator = np.random.default_rng(7)
    with mp.workdps(DIGITS):
        for _ in range(3):
            w = generator.normal(size=3)
            w *= largest * scale / np.linalg.norm(w)
            v = w * generator.uniform(0.2, 1.0)
            v = v + angle * np.linalg.norm(v) * np.cross(w, [1.0, 0.3, 0.2]) / np.linalg.norm(w)
            v *= min(1.0, largest * scale / np.linalg.norm(v))
            _, best = chosen(forms_of(integrand, X, (*W, *V)), np.array([*w, *v]))
            assert best is not None
            arrays = [*w, *v, *best.rule.nodes.T]
            values = sp.lambdify((*W, *V, *X), integrand)(*arrays)
            total = best.rule.weights @ values
            rounded = ROUNDED * float(np.abs(best.rule.weights) @ np.abs(values))
            off, left = abs(mp.mpf(total) - kernel(w, v)), float(best.bound[0])
            assert off <= left + rounded
            # Control: another kernel, off by a thousandth of its first vector.
            assert abs(total - float(kernel(1.001 * w, v))) > left + rounded or scale == 1e-3


def test_few_nodes_serve_steep_integrands_and_the_bound_sees_a_spacing_that_is_too_wide():
    loss = one_form(FUNCTIONS["softplus"][0], 1)
    known, best = chosen(loss.formed.forms, np.array([100.0, 0.0]))
    (axis,) = best.rules
    assert axis.line.mapped and axis.size < 150
    fine = best.made.bound((axis,))
    wide = best.made.bound((axis._replace(spacing=2 * axis.spacing, first=axis.first // 2),))
    assert (fine <= ASKED * known[0].size).all() and (wide > 1e5 * fine).all()


def test_a_rule_serves_where_the_state_has_moved_a_little_and_no_farther():
    loss = one_form(FUNCTIONS["tanh squared"][0], 1)
    _, best = chosen(loss.formed.forms, np.array([1.0, 0.0]))
    places = [np.array([a, 0.0]) for a in (0.5, 1.0, 1.1, 3.0, 30.0)]
    left = [best.left(loss.formed.forms, y) for y in places]
    assert left[0] <= 1.01 * ASKED and left[1] <= ASKED
    assert left[1] < left[2] < left[3] < left[4] and left[2] < 1e3 * ASKED and left[4] > 1e-3


def test_what_has_no_bound_has_no_rule():
    for function in (sp.Abs(Z), sp.gamma(Z**2 + 1), sp.Max(0, Z)):
        integrand = function.subs(Z, W[0] * X[0])
        assert surveyed(forms_of(integrand, X[:1], W[:1]), np.array([1.0])) == ()
    # Its mean is infinite beyond 1/sqrt(2), and nearly so below.
    growing = forms_of(sp.exp(W[0] ** 2 * X[0] ** 2), X[:1], W[:1])
    assert surveyed(growing, np.array([1.0])) == ()
    assert surveyed(growing, np.array([0.3])) != ()


def test_a_hessian_across_the_plane_of_the_nodes_is_averaged_too():
    # E cos(w.x) = exp(-|w|^2/2), whose Hessian is (w w^T - I) times that; nodes lie on a line.
    loss = Loss(W, Explicit(sp.S.Zero, sp.cos(FIRST), X), "")
    w = np.array([0.6, -0.8, 0.5])
    rule = estimate(loss, w, ASKED).rule
    assert np.linalg.matrix_rank(rule.nodes) == 1
    truth = (np.outer(w, w) - np.eye(3)) * np.exp(-w @ w / 2)
    assert loss.hessian(w, rule) == pytest.approx(truth, abs=ROUNDED)
    assert loss.hessian(w, rule) != pytest.approx(1.001 * truth, abs=ROUNDED)


def test_a_form_that_is_not_linear_in_the_entries_has_its_whole_hessian():
    # E cos(a w x + b) = exp(-a^2 w^2/2) cos b, with the second derivatives of a product.
    a, w, b, x = sp.symbols("a w b x", real=True)
    loss = Loss((a, w, b), Explicit(sp.S.Zero, b * sp.cos(a * w * x + b), (x,)), "")
    state = np.array([0.7, -1.3, 0.4])
    rule = estimate(loss, state, ASKED).rule
    closed = b * sp.exp(-((a * w) ** 2) / 2) * sp.cos(b)
    slopes = [sp.diff(closed, s) for s in (a, w, b)]
    curved = sp.hessian(closed, (a, w, b))
    known = dict(zip((a, w, b), state, strict=True))
    total, size = loss.summed(state, rule)
    assert total == pytest.approx([float(e.subs(known)) for e in (closed, *slopes)], abs=ROUNDED)
    assert (size >= np.abs(total)).all()
    truth = np.array(curved.subs(known), dtype=float)
    assert loss.hessian(state, rule) == pytest.approx(truth, abs=ROUNDED)
    assert loss.hessian(state, rule) != pytest.approx(1.001 * truth, abs=ROUNDED)


def test_a_constant_plane_takes_one_node():
    found, best = chosen(forms_of(sp.tanh(FIRST) ** 2, X, W), np.zeros(3))
    assert isinstance(found[0], Strips) and found[0].lines == ()
    assert len(best.rule) == 1 and best.rule.nodes.shape == (1, 3)
    assert not Line().mapped and Line(0.5, 1.0).mapped


def test_an_error_that_is_measured_is_no_less_than_the_error():
    # 1/cosh is written so that doubles overflow far away: it has no bound there.
    loss = one_form(1 / sp.cosh(Z) ** 2, 1)
    for norm in (3.0, 30.0, 200.0):
        found = estimate(loss, np.array([norm, 0.1 * norm]), 1e-10)
        by_hand = (lambda z, a: 1 - z.tanh() ** 2, lambda z, a: -2 * z.tanh() * (1 - z.tanh() ** 2))
        value, *_ = truth(*by_hand, norm, 0.1 * norm)
        assert abs(float(value) - found.loss) <= found.loss_error or np.isnan(found.loss)
        assert found.loss_error > 0


@pytest.mark.parametrize("axes", [1, 2])
def test_two_families_agree_on_what_is_smooth_and_differ_on_a_step(axes):
    pairs = [two_families((level,) * axes) for level in (3, 4)]
    for rules in pairs:
        assert rules[0].label != rules[1].label
        for x, w, _ in rules:  # a variance of one, to the rounding of many terms
            assert w @ x[:, -1] ** 2 == pytest.approx(1, abs=1e-12)
    for one, other in pairs:
        step, wave = ([w @ f(x[:, 0]) for x, w, _ in (one, other)] for f in (cut, np.cos))
        assert abs(step[0] - step[1]) > 1e-4 and abs(wave[0] - wave[1]) < 1e-13


def cut(x):
    """A step that is on no node and on no panel's end."""
    return np.where(x > 0.1234, 1.0, 0.0)


MEASURED = {
    # As it is written doubles overflow; and a quotient that has no singularity.
    "peak": (1 / sp.cosh(Z) ** 2, lambda z: mp.sech(z) ** 2),
    "quotient": (sp.Piecewise((sp.sin(Z) / Z, sp.Ne(Z, 0)), (1, True)), mp.sinc),
}


@pytest.mark.parametrize("name", MEASURED)
def test_an_average_without_a_bound_is_measured_by_rules_of_two_families(name):
    function, by_hand = MEASURED[name]
    loss = one_form(function, 2)
    forms = loss.formed.forms
    for w in ((0.4, 0.3), (3.0, -4.0)):
        found = estimate(loss, np.array([*w, 0.25]), ASKED)
        assert surveyed(forms, np.array([*w, 0.25])) == () or name == "peak"
        with mp.workdps(DIGITS):
            norm = mp.hypot(*w)
            value = mp.quad(
                lambda u, n=norm: mp.npdf(u) * by_hand(n * u + mp.mpf("0.25")),
                [-13, -4, -1, -0.25 / norm, 0, 1, 4, 13],
            )
        assert abs(float(value) - found.loss) <= found.loss_error < 1e-9
        assert abs(float(value) - 1.001 * found.loss) > found.loss_error


def test_what_two_families_do_not_agree_on_is_not_known():
    # A peak that no node is on, and three numbers together: too many nodes.
    narrow = Loss(W[:1], Explicit(sp.S.Zero, 1 / ((X[0] - W[0]) ** 2 + 10**-14), X[:1]), "")
    space = Loss((), Explicit(sp.S.Zero, sp.tanh(X[0] * X[1] * X[2]) ** 2, X), "")
    for loss, y in ((narrow, np.array([0.3])), (space, np.zeros(0))):
        found = estimate(loss, y, ASKED)
        assert not found.error < 0.1


def test_the_hessian_of_one_form_in_space_is_the_slope_of_its_gradient():
    # Nodes lie on a line; the Hessian has what is across it, too.
    loss, y, step = one_form(FUNCTIONS["softplus"][0], 3), np.array([0.3, -0.8, 0.5, 0.2]), 1e-4
    found = loss.hessian(y, estimate(loss, y, ASKED).rule)
    gradients = [
        [estimate(loss, y + s * step * e, ASKED).gradient for s in (1, -1)] for e in np.eye(4)
    ]
    slopes = np.array([(up - down) / (2 * step) for up, down in gradients])
    # Differences of the second order.
    assert found == pytest.approx(slopes, abs=step**2)
    assert found != pytest.approx(1.001 * slopes, abs=step**2)


def test_what_two_rules_leave_is_no_more_than_rounding_where_only_last_bits_differ():
    size = np.array([1.0, 3.0, 1e-8])
    total = np.array([0.25, 1e-15, 3e-9])
    shaken = total + 1e-15 * size * np.array([1.0, -2.0, 1.5])
    assert (left_between(total, shaken, size) == 0).all()
    # Beyond, every part of a difference counts many times.
    apart = 1.001 * total
    assert (left_between(total, apart, size)[[0, 2]] > 9e-3 * total[[0, 2]]).all()
    assert np.isnan(left_between(total, total + np.nan, size)).all()
