"""The argument of a segment, on flows simple enough that each bound is known by hand."""

import math
from itertools import pairwise, product

import numpy as np
import pytest
from flint import acb, arb

from flows.certificates.verifier.curve import UNIT, at, norm
from flows.certificates.verifier.positive import positive
from flows.certificates.verifier.reading import Refused
from flows.certificates.verifier.segment import Equations, Segment, check
from flows.certificates.verifier.tube import Ball
from flows.core.balls import precision

BITS = 64
# Bounds are sharp: this little less is refused, this little more is accepted.
LESS, MORE = 0.999, 1.001
# Of balls of 53 bits, and of doubles.
ROUNDED = 1e-12
# Of radii, which have 30 bits.
NEAR = 1e-8


def defect(segment, equations, rho):
    """Bound of the defect with the field on one box around an ellipse."""
    return segment.defect(equations, rho, segment.most(equations, rho))


class Toy(Equations):
    """Field and Hessian as two functions, which need not fit."""

    stated = ()

    def __init__(self, parameters, start):
        self.rate, self.curvature = parameters
        self.start = np.array([arb(x) for x in start])

    def field(self, x, signs):
        return np.array(self.rate(x))

    def hessian(self, x):
        return np.array(self.curvature(x))


def still(start, curvature=10.0):
    """Flow that does not move."""
    matrix = [[arb(curvature) * (i == k) for k in range(len(start))] for i in range(len(start))]
    return Toy((lambda x: [0 * c for c in x], lambda x: matrix), start)


def multiple(x):
    """Hexadecimal multiple of the unit of coefficients; it must be exact."""
    assert x * 2**BITS == int(x * 2**BITS)
    return f"{int(x * 2**BITS):x}"


def piece(end, rows, growth, defect=0.0, tube=1.0, error=1.0, rho=2.0):
    return {
        "end": multiple(end),
        "signs": [],
        "rho": rho.hex(),
        "defect": defect.hex(),
        "growth": [nu.hex() for nu in growth],
        "tube": tube.hex(),
        "error": error.hex(),
        "coefficients": [[multiple(c) for c in row] for row in rows],
    }


def accepted(equations, pieces):
    """Whether pieces are accepted, to the end of the last one; its reason if they are not."""
    end = math.expm1(int(pieces[-1]["end"], 16) / 2**BITS) * (1 - ROUNDED)
    try:
        return check(equations, end, BITS, pieces)
    except Refused as reason:
        return str(reason)


def bounds(error, defect, growth, length):
    """Largest error on the parts, and that at the end, of a comparison by hand."""
    largest = 0.0
    for nu in growth:
        most = max(1.0, math.exp(nu * length))
        largest = max(largest, most * (error + defect * length))
        error = math.exp(nu * length) * error + most * defect * length
    return largest, error


# One piece to log-time 1 and one to 3/2, with jumps of 5/8 and 5/16 before them.
GROWTHS = ((-0.5, 0.25, 0.0, 1.0), (0.75, -2.0)), ((3.0,), (-1.0,)), ((0.0, 0.0), (2.0, 2.0, 2.0))
DEFECTS = 0.25, 0.5
ENDS = 1.0, 1.5
START, FIRST, SECOND = (1.0, 2.0), (1.375, 2.5), (1.5625, 2.75)


def two_pieces(growths):
    """Pieces whose tubes and errors are as small as they can be, but for rounding."""
    pieces, error, begin = [], 0.0, 0.0
    for growth, defect, end, at_, jump in zip(
        growths, DEFECTS, ENDS, (FIRST, SECOND), (0.625, 0.3125), strict=True
    ):
        tube, error = bounds(error + jump, defect, growth, (end - begin) / len(growth))
        tube, error = tube * (1 + ROUNDED), error * (1 + ROUNDED)
        rows = [(c, 0.0, 0.0) for c in at_]
        pieces.append(piece(end, rows, growth, defect=defect, tube=tube, error=error))
        begin = end
    return pieces


def put(pieces, index, **changed):
    return [p | changed if k == index else p for k, p in enumerate(pieces)]


def times(text, factor):
    return (float.fromhex(text) * factor).hex()


@pytest.mark.parametrize("growths", GROWTHS)
def test_error_and_tube_are_as_small_as_the_comparison_allows_and_no_smaller(growths):
    pieces, equations = two_pieces(growths), still(START)
    largest, final = accepted(equations, pieces)
    assert largest == max(float.fromhex(p["tube"]) for p in pieces)
    assert final == float.fromhex(pieces[-1]["error"])
    for index, (key, reason) in product(
        range(2), {"tube": "may leave the tube", "error": "error at its end is larger"}.items()
    ):
        smaller = put(pieces, index, **{key: times(pieces[index][key], LESS)})
        assert reason in accepted(equations, smaller)
    for index in range(2):
        more = put(pieces, index, defect=times(pieces[index]["defect"], MORE))
        assert "may leave the tube" in accepted(equations, more)


def test_the_end_must_be_reached_to_the_last_bit():
    pieces, equations = two_pieces(GROWTHS[0]), still(START)
    with precision(100):
        reached = float(arb(1.5).expm1())
        for end, fits in ((reached * (1 - 2**-52), True), (reached * (1 + 2**-51), False)):
            if fits:
                assert check(equations, end, BITS, pieces)
            else:
                with pytest.raises(Refused, match="do not reach the end"):
                    check(equations, end, BITS, pieces)


@pytest.mark.parametrize("curvature", [-0.375, 0.375])
def test_errors_grow_by_the_hessian_at_the_worse_end_of_each_part(curvature):
    # H + nu exp(-tau) > 0 is worst at the end of a part where errors grow, else at its begin.
    pieces, begin = [], 0.0
    for end, parts in ((0.75, 3), (1.25, 2)):
        edges = np.linspace(begin, end, parts + 1)
        growth = [-curvature * math.exp(b if curvature < 0 else a) for a, b in pairwise(edges)]
        pieces.append(piece(end, [(1.0, 0.0, 0.0)], growth, error=0.0))
        begin = end
    equations = still((1.0,), curvature)

    def changed(index, part, factor):
        growth = [
            times(nu, (MORE if curvature < 0 else LESS) if k != part else factor)
            for k, nu in enumerate(pieces[index]["growth"])
        ]
        return pieces[index] | {"growth": growth}

    enough, few = (MORE, LESS) if curvature < 0 else (LESS, MORE)
    assert accepted(equations, [changed(k, 0, enough) for k in range(2)]) == (1.0, 0.0)
    for index in range(2):
        for part in range(len(pieces[index]["growth"])):
            corrupted = [changed(k, part, few if k == index else enough) for k in range(2)]
            assert accepted(equations, corrupted) == f"piece {index}: errors may grow faster"


def test_hessians_are_those_of_all_states_in_the_tube():
    # H(x) = x, and p = tau + 1/2 solves its equation: the least Hessian of a part is at its begin.
    tube = 0.125
    equations = Toy((lambda x: [(0.5 - x[0]).exp()], lambda x: [[x[0]]]), (0.5,))
    growth = [(tube - 0.5) * math.exp(0.0), (tube - 1.0) * math.exp(0.5)]
    for factors in product((LESS, MORE), repeat=2):
        stated = [nu * factor for nu, factor in zip(growth, factors, strict=True)]
        row = (1.0, 0.5, *[0.0] * 38)
        made = piece(1.0, [row], stated, defect=2.0**-30, tube=tube)
        found = accepted(equations, [made])
        assert (found == "piece 0: errors may grow faster") == (MORE in factors)
        assert (found == (tube, 1.0)) == (MORE not in factors)


@pytest.mark.parametrize("curvature", [-1.0, 1.0])
def test_in_the_tube_of_a_ball_the_mean_hessian_is_that_of_boxes_within_each_other(curvature):
    # H(x) = curvature + 4 x about p = 0: the mean of four boxes up to the tube is 5/8 of its reach.
    tube = Ball(piece(1.0, [(0.0, 0.0, 0.0)], [0.0], tube=0.125), True)
    equations = Toy((None, lambda x: [[curvature + 4 * x[0]]]), (0.0,))
    segment = Segment(np.array([[arb(0)] * 3]), arb(0), arb(1))
    least = (4 * 0.625 * 0.125 - curvature) * math.exp(float(curvature < 0.3125))
    assert tube.grows(equations, segment, 0, 1, arb(least + 10 * NEAR)) == 1
    with pytest.raises(Refused, match="errors may grow faster"):
        tube.grows(equations, segment, 0, 1, arb(least - 10 * NEAR))


def test_a_piece_begins_where_the_last_one_ended():
    # p moves by 1/2 on each of two pieces of length 1/2, and the flow does not move.
    defect, pieces = lebesgue(3) * MORE, []
    for end, begin in ((0.5, 0.5), (1.0, 1.0)):
        tube, error = bounds(sum(float.fromhex(p["error"]) for p in pieces), defect, [0.0], 0.5)
        options = {"defect": defect, "tube": tube * (1 + ROUNDED), "error": error * (1 + ROUNDED)}
        pieces.append(piece(end, [(begin + 0.25, 0.25, 0.0)], [0.0], **options))
    assert accepted(still((0.5,)), pieces)[1] == float.fromhex(pieces[1]["error"])
    pieces[1]["coefficients"][0][0] = multiple(1.25 + 2.0**-7)
    assert accepted(still((0.5,)), pieces) == "piece 1: the flow may leave the tube"


def test_the_first_piece_begins_at_time_zero():
    # In units of 1/4; errors decay most slowly at the begin.
    equations, zeros = still((0.0,), 0.375), [["0", "0", "0"]]
    for factor, fits in ((LESS, True), (MORE, False)):
        made = piece(0.0, [], [-0.375 * factor], error=0.0) | {"end": "4", "coefficients": zeros}
        if fits:
            assert check(equations, 1.5, 2, [made]) == (1.0, 0.0)
        else:
            with pytest.raises(Refused, match="grow faster"):
                check(equations, 1.5, 2, [made])


def test_the_stated_defect_bounds_that_of_the_field_and_what_the_branch_costs():
    # p moves by 1 in a time of 1, and the flow does not; the branch costs 1/2.
    class Branched(Toy):
        def branching(self, segment, parts):
            return super().branching(segment, parts) + 0.5

    equations = Branched((lambda x: [0 * x[0]], lambda x: [[arb(1)]]), (0.5,))
    least = 0.5 + lebesgue(3)
    for factor, reason in ((LESS, "the defect is larger"), (MORE, "the flow may leave the tube")):
        made = piece(1.0, [(1.0, 0.5, 0.0)], [0.0], defect=least * factor)
        assert accepted(equations, [made]) == f"piece 0: {reason}"


@pytest.mark.parametrize("parts", [1, 2, 3, 8])
def test_parts_of_a_segment_tile_it(parts):
    segment = Segment(np.array([[arb(1), arb(0.5), arb(0)]]), arb(2), arb(5))
    ends = [2 + 3 * k / parts for k in range(parts + 1)]
    edges = [1 + 0.5 * (2 * k / parts - 1) for k in range(parts + 1)]
    for part in range(parts):
        for found, (low, high) in (
            (segment.time(part, parts), ends[part : part + 2]),
            (segment.box(part, parts)[0], edges[part : part + 2]),
        ):
            assert abs(float(found.lower()) - low) < 1e-8  # radii have 30 bits
            assert abs(float(found.upper()) - high) < 1e-8


def test_a_box_contains_the_polynomial_on_its_part():
    generator = np.random.default_rng(0)
    for _ in range(20):
        rows = generator.normal(size=(2, 6))
        segment = Segment(np.vectorize(arb, "O")(rows), arb(0), arb(1))
        for parts in (1, 3):
            for s in np.linspace(-1, 1, 61):
                part = min(int((s + 1) / 2 * parts), parts - 1)
                for ball, row in zip(segment.box(part, parts), rows, strict=True):
                    value = np.polynomial.chebyshev.chebval(s, row)
                    assert abs(ball - value).lower() < ROUNDED


def test_a_polynomial_is_evaluated_by_chebyshevs():
    rows = np.random.default_rng(1).normal(size=(3, 7))
    p = np.vectorize(arb, "O")(rows)
    for s in (-1.0, -0.3, 0.0, 0.7, 1.0):
        values = np.polynomial.chebyshev.chebval(s, rows.T)
        assert all(abs(x - y) < ROUNDED for x, y in zip(at(p, arb(s)), values, strict=True))


def test_a_norm_is_euclidean():
    assert abs(norm(np.array([arb(3), arb(-4)])) - 5) < ROUNDED
    assert norm(np.array([arb(0, 1)])).upper() >= 1
    assert norm(np.array([arb(0, 1)])).lower() >= 0


def test_the_defect_is_sampled_at_the_chebyshev_points_of_the_second_kind():
    seen = []

    def rate(x):
        if not isinstance(x[0], acb):
            seen.append(float(x[0]))
        return [0 * x[0]]

    p = np.array([[arb(0), arb(1), arb(0), arb(0), arb(0)]])  # the state is the place
    defect(Segment(p, arb(0), arb(1)), Toy((rate, None), (0.0,)), arb(2))
    assert sorted(seen) == pytest.approx([math.cos(math.pi * k / 4) for k in (4, 3, 2, 1, 0)])


def lebesgue(count):
    """Bound of Lebesgue's constant of so many points."""
    return 1 + 2 / math.pi * math.log(count)


@pytest.mark.parametrize("first", [0.0, 1.0])
def test_the_defect_at_the_points_is_that_of_the_flow_in_log_time(first):
    # x' = -e^tau x on a segment of length 1/2, p = 1 + s/4 + s^2/8 in Chebyshev's form.
    last = first + 0.5
    row = [1.0625, 0.25, 0.0625] + [0.0] * 22
    segment = Segment(np.array([[arb(c) for c in row]]), arb(first), arb(last))
    found = defect(segment, Toy((lambda x: [-x[0]], None), (0.0,)), arb(16))
    worst = max(
        abs((0.25 + s / 4) / 0.25 + math.exp(first + 0.25 * (1 + s)) * (1 + s / 4 + s * s / 8))
        for s in (math.cos(math.pi * k / 24) for k in range(25))
    )
    assert abs(found / (lebesgue(25) * worst) - 1) < 1e-6  # beyond the points: 16^-24 times 1e6


def test_the_defect_between_the_points_is_bounded_on_the_ellipse():
    # So short a segment that e^tau = e; the state's defect at the points is far below the rest.
    short, rho, c = 2.0**-20, 4.0, (3.0, 0.75, 0.25)
    segment = Segment(np.array([[arb(x) for x in c]]), arb(1), arb(1 + short))
    reach = sum(x * (rho**k + rho**-k) / 2 for k, x in enumerate(c) if k)
    most = math.e * math.hypot(c[0] + reach, reach)
    rest = 4 * most * rho**-2 / (rho - 1)

    def rate(x):  # no defect at the points
        if isinstance(x[0], acb):
            return [x[0]]
        (s,) = [
            t for t in (1, 0, -1) if abs(c[0] + c[1] * t + c[2] * (2 * t * t - 1) - x[0]) < ROUNDED
        ]
        slope = (c[1] + 4 * c[2] * s) / (short / 2)
        return [slope * (-(1 + (1 + arb(s)) * short / 2)).exp()]

    found = defect(segment, Toy((rate, None), (0.0,)), arb(rho))
    assert abs(found / rest - 1) < 1e-4


def test_the_speed_of_time_is_bounded_on_the_ellipse():
    # e^tau is e^4 times larger at the right end of the ellipse than at its middle.
    rho, half, centre = 4.0, 2.0, 3.0
    segment = Segment(np.array([[arb(0)] * 5]), arb(centre - half), arb(centre + half))
    equations = Toy((lambda x: [1 + 0 * x[0] if isinstance(x[0], acb) else 0 * x[0]], None), (0.0,))
    found = defect(segment, equations, arb(rho)) / (4 * rho**-4 / (rho - 1))
    exact = math.exp(centre + half * (rho + 1 / rho) / 2)
    assert exact <= found <= 2 * exact


def test_the_speed_of_time_is_that_of_the_whole_ellipse():
    seen = []

    class Rate:
        def __rmul__(self, speed):
            seen.append(speed)
            return acb(0)

    # So short a segment that the exponential of the ellipse's box is a box.
    rho, centre, half = 3.0, 0.25, 2.0**-30
    equations = Toy((lambda x: [Rate() if isinstance(x[0], acb) else 0 * x[0]], None), (0.0,))
    with precision(100):
        first, last = arb(centre) - half, arb(centre) + half
        defect(Segment(np.array([[arb(0)] * 3]), first, last), equations, arb(rho))
        moved = seen[-1] / arb(centre).exp() - 1
        for radius, part in (
            (moved.real.rad(), half * (rho + 1 / rho) / 2),
            (moved.imag.rad(), half * (rho - 1 / rho) / 2),
        ):
            assert part * LESS <= radius <= part * MORE
        assert moved.contains(0)


def test_a_box_of_the_ellipse_is_complex():
    seen = []
    p = np.array([[arb(1), arb(0.5), arb(-0.25)]])
    equations = Toy((lambda x: seen.append(x[0]) or [0 * x[0]], None), (0.0,))
    defect(Segment(p, arb(0), arb(1)), equations, arb(3))
    box = seen[0]
    reach = 0.5 * (3 + 1 / 3) / 2 + 0.25 * (9 + 1 / 9) / 2
    assert box.real.contains(1 + 0.999 * reach)
    assert box.real.contains(1 - 0.999 * reach)
    assert box.imag.contains(0.999 * reach)
    assert box.imag.contains(-0.999 * reach)
    assert not box.imag.contains(1.001 * reach)


def balls(matrix, radius=0.0):
    return np.array([[arb(c, radius) for c in row] for row in np.asarray(matrix).tolist()])


def test_a_matrix_is_positive_if_its_least_eigenvalue_is_whatever_the_signs_of_entries():
    generator = np.random.default_rng(2)
    for size in (1, 2, 3, 5):
        for _ in range(10):
            made = generator.normal(size=(size, size))
            made = made + made.T
            least = np.linalg.eigvalsh(made)[0]
            assert positive(balls(made), arb(-least + 1e-6))
            assert not positive(balls(made), arb(-least - 1e-6))


def test_signs_of_pivots_do_not_cancel():
    for signs in product((1.0, -1.0), repeat=3):
        assert positive(balls(np.diag(signs)), arb(0)) == (min(signs) > 0)
        turn = np.linalg.qr(np.array([[1.0, 2.0, 3.0], [-1.0, 1.0, 0.5], [0.25, -2.0, 1.0]]))[0]
        assert positive(balls(turn @ np.diag(signs) @ turn.T), arb(0)) == (min(signs) > 0)


def test_radii_count_by_the_norm_of_their_matrix():
    # All matrices c I + E, |E_ij| <= r, are positive if and only if c > n r.
    for size, radius in ((1, 0.5), (2, 0.25), (4, 0.125)):
        box = balls(np.zeros((size, size)), radius)
        assert positive(box, arb(size * radius * MORE))
        assert not positive(box, arb(size * radius * LESS))
    generator = np.random.default_rng(3)
    for _ in range(20):
        radii = generator.exponential(size=(4, 4))
        box, least = widths(radii)
        assert not positive(box, arb(least * (1 - NEAR)))
        assert positive(box, arb(least * 1.1))


def test_what_a_box_does_to_a_stiff_direction_is_small_beside_its_eigenvalue():
    def box(x):  # positive if and only if x^2 < 9/10
        return np.array([[arb(1e4, 1e3), arb(0, x)], [arb(0, x), arb(1e-4)]])

    assert positive(box(0.9), arb(0))
    assert not positive(box(0.95), arb(0))
    assert not positive(box(0.9), arb(-2e-5))


def widths(radii):
    """Box about zero of these radii, made symmetric, and their norm."""
    radii = np.maximum(radii, radii.T)
    return np.vectorize(lambda r: arb(0, r), "O")(radii), np.linalg.norm(radii, 2)


def test_radii_of_very_different_size_count_in_full():
    # The smaller ones must not be taken away from the larger ones.
    for size in (2, 3):
        box, least = widths(np.array([[1, 5e-4, 0], [5e-4, 0, 0], [0, 0, 1e-6]])[:size, :size])
        assert least > 1 + 2e-7
        assert not positive(box, arb(least * (1 - NEAR)))
    generator = np.random.default_rng(4)
    for size in (2, 3, 5):
        for _ in range(30):
            box, least = widths(10.0 ** generator.uniform(-6, 0, size=(size, size)))
            assert not positive(box, arb(least * (1 - NEAR)))


def test_the_norm_of_radii_is_rounded_up():
    for radius in (1.0, 0.75, 3.0):
        box = np.array([[arb(0, radius)]])
        assert not positive(box, arb(box[0, 0].rad()))
    # A radius below all doubles is no zero.
    tiny = arb(0, arb(2) ** -1200)
    assert tiny.rad() > 0
    assert not positive(np.array([[tiny]]), arb(0))
    assert positive(np.array([[tiny]]), arb(1e-190))


def test_a_radius_in_either_triangle_counts():
    for place in ((0, 1), (1, 0)):
        box = balls(np.eye(2))
        box[place] = arb(0, 2)
        assert not positive(box, arb(0))
        assert positive(box, arb(1.01))


def test_a_radius_that_is_not_finite_is_refused():
    box = balls(np.eye(2))
    box[0, 1] = arb(0, "inf")
    with pytest.raises(Refused, match="grow faster"):
        positive(box, arb(9))


def test_the_shift_counts_with_its_error():
    assert positive(balls([[1.0]]), arb(0, 0.9))
    assert not positive(balls([[1.0]]), arb(0, 1.1))


@pytest.mark.parametrize(
    ("changed", "reason"),
    [
        ({"rho": (1.0).hex()}, "an ellipse or growth is missing"),
        ({"growth": []}, "an ellipse or growth is missing"),
        ({"signs": [1]}, "wrong signs of areas"),
        ({"coefficients": [["0", "0"], ["0", "0"]]}, "wrong shape"),
        ({"coefficients": [["0", "0", "0"]]}, "wrong shape"),
        ({"end": "0"}, "wrong shape"),
        ({"end": "-1"}, "wrong shape"),
    ],
)
def test_a_piece_without_form_is_refused(changed, reason):
    pieces = two_pieces(GROWTHS[0])
    assert reason in accepted(still(START), put(pieces, 0, **changed)[:1])


def test_the_interval_of_unit_length_is_centred():
    assert UNIT.lower() <= -1
    assert UNIT.upper() >= 1
