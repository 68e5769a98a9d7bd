"""Means on a line, for ever: the limit of ``t^2 L``, and what is refused."""

import contextlib
import itertools
import json
import math

import numpy as np
import pytest
from flint import arb, fmpq
from oracles.certified.changed import of_other_bounds

import flows
from flows.certificates import means as maker
from flows.certificates.certificate import load_certificate
from flows.certificates.certify import Uncertified
from flows.certificates.tail import means as tail
from flows.certificates.tail.start import end_time
from flows.certificates.verifier import means as checker
from flows.certificates.verifier.gmm_em import Means
from flows.certificates.verifier.reading import Refused
from flows.certificates.verifier.verify import _ends
from flows.core.balls import precision

UNEQUAL, THREE = (0.25, 0.75), (-0.75, 0.25, 1.0)
#: Weights and means: one eigenvalue; the lightest weight once; twice, so that a plane would stay of
#: three. The limits of t^2 L are those of 1/(16 lambda^2) in closed form.
CASES = {
    "equal": ((0.5, 0.5), (1.0, -0.5), 1 / 4),
    "different": ((0.125, 0.375, 0.5), THREE, 1 / (16 * ((29 - 217**0.5) / 104) ** 2)),
    "twice": ((0.25, 0.25, 0.5), THREE, 1.0),
}
#: Doubles of the law.
# A box about N, of 2 %, which the checker takes for all late times; of the loss it is twice that.
WIDE = 1.07
LAW = 1e-9


@pytest.fixture(scope="module", params=CASES)
def case(request):
    weights, means, limit = CASES[request.param]
    system = flows.GMMEM(n=len(weights), d=1, weights=weights)
    made = flows.certify(system, np.array(means)[:, None], math.inf, digits=10)
    return made, limit


@pytest.fixture(scope="module")
def made(case):
    return case[0]


@pytest.fixture
def data(made):
    return json.loads(json.dumps(made.to_json()))


def test_the_limit_is_the_one_of_the_law_and_a_run_stays_within_the_bounds(case):
    made, limit = case
    law = flows.late_time_law(made.system, at=np.zeros((made.system.n, 1)))
    with precision(200):
        found = made.infinity.constant
        assert found.rad() < 1e-20
        assert float(found.mid()) == pytest.approx(limit, rel=1e-14)
    assert float(law.laws[0].exponent) == 2
    assert law.laws[0].constant == pytest.approx(limit, rel=LAW)
    assert law.laws[0].constant != pytest.approx(limit * 1.001, rel=LAW)
    times = np.geomspace(1e-2, 1e5, 200)
    run = flows.integrate(made.system, made.start, t_end=1e5, t_eval=times.tolist())
    scaled, (lower, upper) = (1 + run.t) ** 2 * run["loss"], made.infinity.all_times
    assert 0.99 * scaled.min() < lower <= scaled.min() * (1 + 1e-8)
    assert scaled.max() * (1 - 1e-8) <= upper < WIDE * max(scaled.max(), limit)


def test_the_checker_accepts_it_with_bounds_of_its_own(made, tmp_path):
    made.save(tmp_path / "c.json")
    found = flows.verify(tmp_path / "c.json", made.system, made.start)
    assert found.accepted, found.refused
    lower, upper = made.infinity.all_times
    assert 0 < lower < found.endless.lower < found.endless.upper < upper
    assert load_certificate(tmp_path / "c.json").infinity == made.infinity


@pytest.mark.parametrize("case", ["different"], indirect=True)
def test_bounds_of_all_times_that_are_tighter_by_a_millionth_are_refused(made, tmp_path):
    made.save(tmp_path / "c.json")
    tighter, wider = of_other_bounds(tmp_path / "c.json", tmp_path, 1e-6)
    assert all("it states" in why for why in tighter) and not any(wider)


@pytest.mark.parametrize(
    ("key", "change", "reason"),
    [
        ("e", lambda x: x / 2, "N may leave: .* against|N begins too|may reach p"),
        ("aside", lambda x: -1.0, "p is negative"),
        ("across", lambda x: x / 2, "may reach R: .* against|begins beyond R"),
        ("clock", lambda x: x + 1e6, "begins too large"),
        ("clock", lambda x: -1e9, "clock does not fit"),
        ("e", lambda x: 100.0, "may vanish"),
    ],
)
def test_what_is_changed_is_refused_with_the_reason(made, data, key, change, reason):
    data["infinity"][key] = change(float.fromhex(data["infinity"][key])).hex()
    with pytest.raises(Refused, match=reason):
        _checked(made, data)


@pytest.mark.parametrize("off", [10.0, -2.0, "a thousandth"])
def test_another_limit_is_refused(made, data, off):
    limit = data["infinity"]["limit"]
    value, unit = int(limit["value"], 16), float.fromhex(limit["radius"]) * 2.0 ** data["bits"]
    limit["value"] = f"{value + (value // 1000 if off == 'a thousandth' else int(off * unit)):x}"
    with pytest.raises(Refused, match="limit of t"):
        _checked(made, data)


def test_a_part_that_falls_is_refused_where_it_could_grow(made, data):
    # What the inequality says of the stated p is wrong for a p that the drive exceeds: of means
    # that begin without this part.
    mixture, infinity = _mixture(made.system.weights), made.infinity
    with precision(made.precision):
        flow = Means(_parameters(made), made.start)
        ends = [x.ravel() for x in _ends(flow, data["pieces"], made.bits, 0.0, 1)]
        if mixture.next is None:
            assert infinity.aside == 0
            return
        s = 1 / (arb(infinity.clock) + end_time(made))
        least = infinity.aside
        for _ in range(30):  # the smallest p that serves
            found = tail.trap(mixture, s, arb(infinity.e), arb(infinity.across), arb(least))
            least = float((found.bent / found.narrow).upper())
        stays = checker.spectrum(_exact(made))[2]
        last = ends[-1]
        last = stays @ last if stays.ndim == 2 else stays @ last / (stays @ stays) * stays
        last = last * (mixture.settled / mixture.late(list(last), s)[0]).sqrt()
        ends[-1] = last
        data["infinity"]["aside"] = (1.01 * least).hex()
        checker.plateau(data["infinity"], flow, data["pieces"], ends, made.bits)
        data["infinity"]["aside"] = (0.99 * least).hex()
        with pytest.raises(Refused, match=r"\|f\| may reach p \|e\|"):
            checker.plateau(data["infinity"], flow, data["pieces"], ends, made.bits)


def _parameters(made):
    return {"n": made.system.n, "d": 1, "weights": list(made.system.weights)}


def _exact(made):
    """Exact weights of the checker."""
    exact = [fmpq(*float(w).as_integer_ratio()) for w in made.system.weights]
    return [w / sum(exact, fmpq(0)) for w in exact]


def _checked(made, data):
    """Without the pieces, which are as they were."""
    with precision(made.precision):
        flow = Means(_parameters(made), made.start)
        ends = [x.ravel() for x in _ends(flow, data["pieces"], made.bits, 0.0, 1)]
        checker.plateau(data["infinity"], flow, data["pieces"], ends, made.bits)


@pytest.mark.parametrize("seed", range(12))
def test_eigenvalues_of_maker_and_checker_are_those_of_the_compressed_matrix(seed):
    random = np.random.default_rng(seed)
    weights = random.integers(1, 6, size=2 + seed % 4).astype(float)
    exact = [fmpq(int(w)) / fmpq(int(weights.sum())) for w in weights]
    pi = weights / weights.sum()
    basis = np.linalg.qr(np.c_[pi, np.eye(len(pi))])[0][:, 1 : len(pi)]
    values, vectors = np.linalg.eigh(basis.T @ np.diag(pi) @ basis)
    stay = values < values[0] + 1e-9
    with precision(128):
        mixture, (least, gap, _) = tail.Mixture(exact), checker.spectrum(exact)
        assert mixture.least.overlaps(least)
        assert least.rad() < 1e-30
        assert float(least.mid()) == pytest.approx(values[0], rel=1e-12)
        assert (gap is None) == (mixture.next is None) == bool(stay.all())
        if gap is None:
            return
        assert 0 < float(gap.upper()) < values[~stay].min() - values[0] + 1e-12
        z = basis @ random.normal(size=len(basis.T))
        parts = (
            np.linalg.norm(vectors.T @ basis.T @ z * ~stay),
            np.linalg.norm(vectors.T @ basis.T @ z * stay),
        )
        ratio = mixture.ratio([arb(float(x)) for x in z])
        assert float(ratio.mid()) == pytest.approx(parts[0] / parts[1], rel=1e-9)
        # The steepest of all z with this ratio is what is said to be.
        kappa, whole = mixture.steepest(arb(float(parts[0] / parts[1])))
        m = z @ (pi * z)
        along = basis.T @ (pi * z)
        assert along @ along / m <= float(kappa.upper()) * (1 + 1e-12)
        assert m / parts[1] ** 2 <= float(whole.upper()) * (1 + 1e-12)


def test_maker_and_checker_have_the_same_bounds_by_formulas_of_their_own(made, data, monkeypatch):
    seen = {}
    monkeypatch.setattr(checker, "less", lambda need, bound, why: seen.update({why: (need, bound)}))
    monkeypatch.setattr(checker, "remainder", lambda most, theta: most)
    monkeypatch.setattr(tail, "remainder", lambda most, theta: most)
    mixture = _mixture(made.system.weights)
    slow = mixture.next is not None
    for e, across, clock, aside in ((0.5, 3.0, -9900.0, 0.2), (1e-3, 40.0, 0.0, 0.05)):
        aside *= slow
        sizes = {"e": e, "across": across, "clock": clock, "aside": aside}
        data["infinity"] |= {key: size.hex() for key, size in sizes.items()}
        with precision(made.precision):
            flow = Means(_parameters(made), made.start)
            ends = [x.ravel() for x in _ends(flow, data["pieces"], made.bits, 0.0, 1)]
            with contextlib.suppress(Refused):  # its lower bound
                checker.plateau(data["infinity"], flow, data["pieces"], ends, made.bits)
            s = 1 / (arb(clock) + end_time(made))
            found = tail.trap(mixture, s, arb(e), arb(across), arb(aside))
            n, rho, ratio = mixture.late(list(ends[-1]), s)
            same = {
                "N may leave": (found.push, found.pull * e),
                "|rho| may reach R": (found.driven, found.stiff * across),
                "N begins too small": (found.floor, n),
                "N begins too large": (n, mixture.settled + e),
                "|rho| begins beyond R": (abs(rho), arb(across)),
            }
            for why, mine in same.items():
                for a, b in zip(seen[why], mine, strict=True):
                    assert float(a.mid()) == pytest.approx(float(b.mid()), rel=0.02), why
            if slow:
                off, room = seen["|f| begins beyond p |e|"]
                assert float(off / room * aside) == pytest.approx(float(ratio))
                off, room = seen["|f| may reach p |e|"]
                used = found.bent / (found.narrow.lower() * aside)
                assert float(off / room) == pytest.approx(float(used), rel=0.02)


def test_the_energy_of_all_later_times_is_that_of_maker_and_checker(made, data, monkeypatch):
    seen = []
    monkeypatch.setattr(checker, "bounds", lambda every: seen.append(every[0]) or (arb(1), arb(1)))
    _checked(made, data)
    infinity, mixture = made.infinity, _mixture(made.system.weights)
    with precision(made.precision):
        s = 1 / (arb(infinity.clock) + end_time(made))
        sizes = (arb(x) for x in (infinity.e, infinity.across, infinity.aside))
        found = tail.trap(mixture, s, *sizes).energy
        mine = (1 + (1 - arb(infinity.clock)) * arb(0).union(s)) ** 2 * found
    # Late, where the first term of the energy is nearly all of it.
    assert float(seen[0].mid()) == pytest.approx(float(mine.mid()), rel=0.02)


def test_a_start_on_its_way_to_a_saddle_is_undecided_in_one_line(monkeypatch):
    monkeypatch.setattr(maker, "HORIZONS", [100.0])
    system = flows.GMMEM(n=3, d=1, weights=[0.25, 0.25, 0.5])
    with pytest.raises(
        Uncertified, match=r"UNDECIDED beyond t = .*on its way to a saddle"
    ) as refused:
        flows.certify(system, [[0.5], [0.5], [-1.0]], math.inf, digits=8)
    assert "\n" not in str(refused.value)


def _mixture(weights):
    return tail.Mixture([fmpq(*float(w).as_integer_ratio()) for w in weights])


def _state(mixture, theta, rho, z):
    """Means of given late variables."""
    part = theta**3 * rho / float(mixture.square)
    return np.array([theta * c + part * float(w) for c, w in zip(z, mixture.pi, strict=True)])


@pytest.mark.parametrize(
    ("weights", "z"),
    [
        (UNEQUAL, (2.1, -0.7)),
        ((0.25,) * 4, (2, -3, 2, -1)),
        ((0.125, 0.375, 0.5), (4.0, -2.0, 0.5)),
        ((0.125, 0.125, 0.25, 0.5), (3.0, -2.0, -1.0, 0.25)),
    ],
)
def test_rates_on_a_box_are_those_of_the_flow(weights, z):
    # Differences of N and rho along a short step of the true field, at states of the box.
    mixture, z = _mixture(weights), np.array(z, float)
    assert abs(np.dot(z, weights)) < 1e-12
    for theta, rho in ((0.02, 0.3), (0.01, -0.8)):
        with precision(300):
            size = float((mixture.settled * mixture.least).mid())
            z = z * math.sqrt(size / np.dot(z, np.multiply(weights, z)))
            mu = _state(mixture, theta, rho, z)
            flow = flows.GMMEM(n=len(z), d=1, weights=weights).ball_flow(mu[:, None])
            field, s = flow.field([arb(float(x)) for x in mu], ()), arb(theta) ** 2
            exact = [arb(float(x)) for x in mu]
            across = mixture.across(exact)
            n, height, ratio = mixture.late(exact, s)
            found = tail.trap(mixture, s, arb(1e-9), arb(1), ratio.upper())
            assert (found.floor < n) is True
            # N' and the change of |f|/|e| by log-time, from the true field.
            moved = mixture.across(field)
            steep = sum(
                (w * a * f for w, a, f in zip(mixture.pi, across, moved, strict=True)), arb(0)
            )
            slope = n + 2 * steep / mixture.least / s**2
            inner = mixture.across([w * a for w, a in zip(mixture.pi, across, strict=True)])
            kappa = sum((x * x for x in inner), arb(0)) / (n * mixture.least * s)
            assert abs(slope - n * (1 - kappa / mixture.least * n / mixture.settled)) < found.push
            if mixture.next is not None:
                step = arb(2) ** -60
                after = [a + step * f for a, f in zip(across, moved, strict=True)]
                assert (mixture.ratio(after) - ratio) / step / s < found.bent - found.narrow * ratio
            climb = sum((w * f for w, f in zip(mixture.pi, field, strict=True)), arb(0))
            climb = climb / s.sqrt() ** 3 + 3 * s * height / 2
            assert abs(climb + found.stiff * height) < found.driven
            assert (flow.loss([arb(float(x)) for x in mu]) / s**2 - found.energy).contains(0)


def test_what_is_left_of_the_gradient_is_below_its_bound_and_not_far_below():
    ratios = []
    for weights, y in (
        (UNEQUAL, (1.0, -0.4)),
        ((0.5, 0.5), (1.0, -1.0)),
        ((0.25,) * 4, (1, 1, -1, 0.5)),
    ):
        flow = flows.GMMEM(n=len(y), d=1, weights=weights).ball_flow(np.zeros((len(y), 1)))
        with precision(400):
            theta = arb(2) ** -4
            mu = [theta * arb(c) for c in y]
            m = [
                sum((w * x**k for w, x in zip(weights, mu, strict=True)), arb(0)) for k in range(4)
            ]
            left = [
                -f - w * (m[1] + (m[2] - 2 * m[1] ** 2) * x + 3 * m[1] ** 3 - 2 * m[1] * m[2])
                for w, x, f in zip(weights, mu, flow.field(mu, ()), strict=True)
            ]
            size = sum((x * x for x in left), arb(0)).sqrt() / theta**5
            bound = tail.remainder(arb(1), theta)
            assert size < bound
            assert checker.remainder(arb(1), theta) >= bound * 0.9
            ratios.append(float(size / bound))
    assert max(ratios) > 1e-3


def test_the_loss_of_the_checker_is_the_loss():
    for weights, mu in ((UNEQUAL, (0.75, -0.5)), ((0.25,) * 4, (0.1, -2.0, 1.0, 3.0))):
        system = flows.GMMEM(n=len(mu), d=1, weights=weights)
        with precision(160):
            flow = Means({"n": len(mu), "d": 1, "weights": list(weights)}, np.array(mu)[:, None])
            found = checker.loss(flow, flow.start)
            mine = system.ball_flow(np.array(mu)[:, None]).loss(list(flow.start))
            assert found.overlaps(mine)
            assert found.rad() < 1e-20
            assert abs(float(found.mid()) - system.loss(np.array(mu)[:, None])) < 1e-12
            # Of a box it holds the losses of all corners, and is not much wider than they differ.
            wide = checker.loss(flow, np.array([x + arb(0, 0.01) for x in flow.start]))
            corners = [
                system.loss(np.array(mu)[:, None] + 0.01 * np.array(step)[:, None])
                for step in itertools.product((-1, 1), repeat=len(mu))
            ]
            assert all(wide.contains(arb(x)) for x in corners)
            assert 2 * float(wide.rad()) < 3 * (max(corners) - min(corners))
