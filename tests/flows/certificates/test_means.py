"""Means on a line, for ever: the limit of ``t^2 L``, and what is refused."""

import itertools
import json
import math

import numpy as np
import pytest
from flint import arb, fmpq
from oracles.certified.changed import of_other_bounds

import flows
from flows.certificates.certificate import load_certificate
from flows.certificates.certify import Uncertified
from flows.certificates.endless import gmm_em as maker
from flows.certificates.stated import enlarged
from flows.certificates.tail.start import end_time
from flows.certificates.verifier import means as checker
from flows.certificates.verifier.gmm_em import Means
from flows.certificates.verifier.reading import Refused
from flows.certificates.verifier.verify import ends_of
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
    least, gap, stays = checker.spectrum(_exact(made))
    with precision(made.precision):
        flow, end = Means(_parameters(made), made.start), end_time(made)
        ends = [x.ravel() for x in ends_of(flow, data["pieces"], made.bits, 0.0, 1)]
        if gap is None:
            assert made.infinity.aside == 0
            return
        s, last, pi = 1 / (arb(made.infinity.clock) + end), ends[-1], flow.weights
        last = _kept(stays, last)
        last = last * (s / (2 * least) / (last @ (pi * last))).sqrt()
        stated = data["infinity"] | {"aside": (1e-12).hex()}

        def trapped(of):
            return checker.trapped(of, flow, last, end)

        for _ in range(30):  # the smallest p that serves
            short, _ = enlarged(stated, trapped)
            stated["aside"] = (float.fromhex(short["aside"]) / 1.3).hex()
        trapped(short)
        with pytest.raises(Refused, match=r"\|f\| may reach p \|e\|"):
            trapped(short | {"aside": (float.fromhex(short["aside"]) / 1.3).hex()})


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
        ends = [x.ravel() for x in ends_of(flow, data["pieces"], made.bits, 0.0, 1)]
        checker.plateau(data["infinity"], flow, data["pieces"], ends, made.bits)


@pytest.mark.parametrize("seed", range(12))
def test_eigenvalues_are_those_of_the_compressed_matrix(seed):
    random = np.random.default_rng(seed)
    weights = random.integers(1, 6, size=2 + seed % 4).astype(float)
    exact = [fmpq(int(w)) / fmpq(int(weights.sum())) for w in weights]
    pi = weights / weights.sum()
    basis = np.linalg.qr(np.c_[pi, np.eye(len(pi))])[0][:, 1 : len(pi)]
    values, vectors = np.linalg.eigh(basis.T @ np.diag(pi) @ basis)
    stay = values < values[0] + 1e-9
    with precision(128):
        least, gap, stays = checker.spectrum(exact)
        assert least.rad() < 1e-30
        assert float(least.mid()) == pytest.approx(values[0], rel=1e-12)
        assert (gap is None) == bool(stay.all())
        if gap is None:
            return
        assert 0 < float(gap.upper()) < values[~stay].min() - values[0] + 1e-12
        z = basis @ random.normal(size=len(basis.T))
        kept = basis @ (vectors @ (stay * (vectors.T @ basis.T @ z)))
        part = _kept(stays, z)
        assert [float(x.mid()) for x in part] == pytest.approx(kept.tolist(), rel=1e-9, abs=1e-12)


def test_a_start_on_its_way_to_a_saddle_is_undecided_in_one_line(monkeypatch):
    monkeypatch.setattr(maker, "HORIZONS", [100.0])
    system = flows.GMMEM(n=3, d=1, weights=[0.25, 0.25, 0.5])
    with pytest.raises(
        Uncertified, match=r"UNDECIDED beyond t = .*on its way to a saddle"
    ) as refused:
        flows.certify(system, [[0.5], [0.5], [-1.0]], math.inf, digits=8)
    assert "\n" not in str(refused.value)


def _across(pi, x):
    """Part that is orthogonal to the weights."""
    return x - (pi @ x) / (pi @ pi) * pi


def _kept(stays, x):
    """Part in the space of the least eigenvalue."""
    return stays @ x / (stays @ stays) * stays if stays.ndim == 1 else stays @ x


def _ratio(stays, x):
    part = _kept(stays, x)
    return checker.norm(x - part) / checker.norm(part)


BOX = {"e": 1e-9, "across": 1.0}


@pytest.mark.parametrize(
    ("weights", "z"),
    [
        (UNEQUAL, (2.1, -0.7)),
        ((0.25,) * 4, (2, -3, 2, -1)),
        ((0.125, 0.375, 0.5), (4.0, -2.0, 0.5)),
        ((0.125, 0.125, 0.25, 0.5), (3.0, -2.0, -1.0, 0.25)),
    ],
)
def test_rates_on_a_box_are_those_of_the_flow(monkeypatch, weights, z):
    # Differences of N and rho along a short step of the true field, at states of the box.
    seen = {}
    monkeypatch.setattr(
        checker, "less", lambda need, bound, why, name="": seen.update({why: (need, bound)})
    )
    z, pi, count = np.array(z, float), np.array(weights), len(z)
    assert abs(np.dot(z, weights)) < 1e-12
    for theta, rho in ((0.02, 0.3), (0.01, -0.8)):
        with precision(300):
            exact = [fmpq(*float(w).as_integer_ratio()) for w in weights]
            least, gap, stays = checker.spectrum(exact)
            size = 1 / (2 * float(least.mid()))
            z = z * math.sqrt(size / np.dot(z, pi * z))
            mu = theta * z + theta**3 * rho / (pi @ pi) * pi
            flow = Means({"n": count, "d": 1, "weights": list(weights)}, mu[:, None])
            state, s = np.array([arb(float(x)) for x in mu]), arb(theta) ** 2
            field = flow.field(state, ())

            apart, moved = _across(pi, state), _across(pi, field)
            p = float(_ratio(stays, apart).upper()) if gap is not None else 0.0
            sizes = BOX | {"aside": p, "clock": 0.0}
            data = {key: float(x).hex() for key, x in sizes.items()}
            found = checker.trapped(data, flow, state, 1 / s)
            n = apart @ (pi * apart) / least / s
            assert found.floor < n
            # N' and the change of |f|/|e| by log-time, from the true field.
            slope = n + 2 * ((pi * apart) @ moved) / least / s**2
            inner = _across(pi, pi * apart)
            kappa = inner @ inner / (n * least * s)
            push, _ = seen["N may leave"]
            assert abs(slope - n * (1 - kappa / least * n * 2 * least**2)) < push
            if gap is not None:
                step = arb(2) ** -60
                turned = _ratio(stays, apart + step * moved) - _ratio(stays, apart)
                drag, pull = seen["|f| may reach p |e|"]
                part = checker.norm(_kept(stays, apart)) / s.sqrt()
                assert turned / step / s < (drag - pull) / part
            climb = (pi @ field) / s.sqrt() ** 3 + 3 * s * rho / 2
            driven, room = seen["|rho| may reach R"]
            assert abs(climb + room * rho) < driven
            late = (1 + arb(0).union(s)) ** 2
            assert (found.late - flow_loss(weights, mu) / s**2 * late).contains(0)


def flow_loss(weights, mu):
    flow = flows.GMMEM(n=len(mu), d=1, weights=weights).ball_flow(mu[:, None])
    return flow.loss([arb(float(x)) for x in mu])


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
            bound = checker.remainder(arb(1), theta)
            assert size < bound
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
