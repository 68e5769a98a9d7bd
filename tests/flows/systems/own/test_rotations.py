"""Losses that do not tell some directions apart are followed in the span of their start."""

from __future__ import annotations

import numpy as np
import pytest
import sympy as sp
from flint import arb
from scipy.integrate import solve_ivp
from scipy.stats import ortho_group

import flows
from flows.core.balls import precision
from flows.systems.own.rotations import turned_at
from symbolic import Expectation

D = 5
U, V, X = (sp.MatrixSymbol(name, D, 1) for name in "uvx")
# The oracle sums over a lattice: poles of tanh are farther than 1 from it, so that the sums are
# right to exp(-2 pi / SPACING), and all beyond FAR steps weighs 1e-12.
ORACLE = {"rtol": 1e-11, "atol": 1e-13, "method": "DOP853"}
SPACING, FAR = 0.3, 24
# Rotations of doubles are off by some last bits, which the flow makes no larger than this.
ROUNDED = 1e-12


def along(w):
    """Inner product with the numbers that are averaged."""
    return (w.T * X)[0, 0]


def students(extra=sp.S.Zero, **options):
    """Two students of one teacher along the first axis."""
    gap = sp.tanh(along(U)) + sp.tanh(along(V)) - sp.tanh(X[0, 0])
    return flows.OwnSystem("students", [U, V], Expectation(gap**2, X) / 2 + extra, **options)


SYSTEM = students()
START = np.random.default_rng(3).normal(size=2 * D) / 4


def turned(start, rotation):
    """Both students, turned about the axis of the teacher."""
    rows = start.reshape(2, D).copy()
    rows[:, 1:] = rows[:, 1:] @ rotation
    return rows.ravel()


def found(system, start=START):
    potentials = tuple(system._view.known.values())
    return turned_at(system._loss, system.blocks, potentials, start)


@pytest.fixture(scope="module")
def run():
    """One run, for all that compare another way with it."""
    return flows.integrate(SYSTEM, START, 10.0)


def test_the_span_of_two_students_has_two_directions_beside_the_teacher():
    inside = found(SYSTEM)
    assert [v.shape for v in inside.vectors] == [(2, D - 1)]
    assert inside.basis.shape == (2 * D, 6)
    assert inside.basis.T @ inside.basis == pytest.approx(np.eye(6), abs=1e-15)
    assert inside.holds(START[None]) and not inside.holds(START[None] + np.eye(2 * D)[4] / 1e6)


def test_a_student_that_lies_along_the_other_spans_no_direction_more():
    start = START.copy()
    start[D + 1 :] = 2 * start[1:D]
    assert found(SYSTEM, start).basis.shape == (2 * D, 4)


@pytest.mark.parametrize(
    "extra",
    [
        sp.Rational(1, 10**6) * U[1, 0] ** 2,  # one direction is not like the others
        U[2, 0] / 1000,
        Expectation(sp.tanh(along(U)) * X[1, 0] * X[2, 0], X) / 1000,
    ],
)
def test_a_loss_that_tells_directions_apart_is_turned_in_the_others_alone(extra):
    vectors = getattr(found(students(extra)), "vectors", ())
    axes = set(range(1, D)) - {list(U).index(e) for e in U if extra.has(e)}
    if extra.has(Expectation):
        axes -= {1, 2}
    assert [set((v[0]).tolist()) for v in vectors] in ([axes], [])
    assert not any({k} <= set(v[0].tolist()) for v in vectors for k in set(range(D)) - axes)


def test_vectors_whose_determinant_counts_are_not_turned():
    # Turned together they keep it, and where they are parallel it leads them out of their span.
    area = (U[1, 0] * V[2, 0] - U[2, 0] * V[1, 0] - 1) ** 2 / 10
    start = START.copy()
    start[D + 1 :] = 2 * start[1:D]
    (vectors,) = found(students(area), start).vectors
    assert vectors[0].tolist() == [3, 4]
    # Its square alone is the same in a mirror, too.
    square = (U[1, 0] * V[2, 0] - U[2, 0] * V[1, 0]) ** 2 / 10
    assert [v[0].tolist() for v in found(students(square), start).vectors] == [[1, 2], [3, 4]]


def test_a_start_beside_parallel_students_is_followed_as_they_are():
    parallel = START.copy()
    parallel[D + 1 :] = 2 * parallel[1:D]
    beside = parallel.copy()
    beside[-1] = np.nextafter(beside[-1], 9.0)
    assert found(SYSTEM, parallel).basis.shape[1] + 2 == found(SYSTEM, beside).basis.shape[1]
    one, other = (flows.integrate(SYSTEM, start, 10.0) for start in (parallel, beside))
    assert other["loss"] == pytest.approx(one["loss"], rel=1e-8)
    assert other.state == pytest.approx(one.state, abs=1e-8)


def test_coordinates_whose_digits_lie_far_apart_are_read_off_entries_again():
    inside = found(SYSTEM)
    with precision(1100):
        known = [1 - arb(10) ** -140 * k for k in range(1, 7)]
        again = inside.lowered(inside.lifted(known))
        assert all(abs(a - b) < arb(10) ** -300 for a, b in zip(again, known, strict=True))


def test_a_potential_that_tells_directions_apart_keeps_them_apart():
    every = found(SYSTEM).vectors
    size = found(students(potentials={"size": sum(e**2 for e in U)}))
    second = found(students(potentials={"second": U[1, 0]}))
    assert size.vectors[0].tolist() == every[0].tolist()
    assert second.vectors[0].tolist() == every[0][:, 1:].tolist()


def test_the_run_is_that_of_all_entries_at_every_time(run):
    grid = SPACING * np.arange(-FAR, FAR + 1)
    one = SPACING * np.exp(-(grid**2) / 2) / np.sqrt(2 * np.pi)
    weights = np.multiply.outer(np.multiply.outer(one, one), one).ravel()
    # Teacher and both students span three directions.
    span, _ = np.linalg.qr(np.column_stack([np.eye(D)[0], *START.reshape(2, D)]))
    points = np.stack(np.meshgrid(grid, grid, grid, indexing="ij"), -1).reshape(-1, 3) @ span.T
    teacher = np.tanh(points[:, 0])

    def slopes(y):
        both = np.tanh(points @ y.reshape(2, D).T)
        return weights * (both.sum(axis=1) - teacher), both

    def field(t, y):
        off, both = slopes(y)
        return -((off[:, None] * (1 - both**2)).T @ points).ravel()

    other = solve_ivp(field, (0, 10), START, t_eval=run.t, **ORACLE)
    assert run.status == "completed"
    assert run.state == pytest.approx(other.y.T, rel=1e-8, abs=1e-8)
    losses = np.array([(off := slopes(y)[0]) @ (off / weights) / 2 for y in other.y.T])
    assert run["loss"] == pytest.approx(losses, rel=1e-8)


def test_a_turned_start_has_a_turned_run(run):
    rotation = ortho_group.rvs(D - 1, random_state=0)
    other = flows.integrate(SYSTEM, turned(START, rotation), 10.0)
    assert other["loss"] == pytest.approx(run["loss"], rel=1e-8)
    moved = np.array([turned(y, rotation) for y in run.state])
    assert other.state == pytest.approx(moved, abs=1e-8)
    assert run.state[0] == pytest.approx(START, abs=0.0)


def test_the_run_in_all_directions_is_the_same(run, monkeypatch):
    monkeypatch.setattr(type(SYSTEM), "subspace", lambda self, start: None)
    other = flows.integrate(SYSTEM, START, 10.0)
    known = np.isfinite(run["loss"]) & np.isfinite(other["loss"])
    assert known.all()
    assert run["loss"][known] == pytest.approx(other["loss"][known], rel=1e-7)
    assert run.state == pytest.approx(other.state, abs=1e-8)


def test_a_saved_run_in_a_span_is_read_as_it_was(run, tmp_path):
    run.save(tmp_path / "run.nc")
    again = flows.load(tmp_path / "run.nc")
    assert again["loss"] == pytest.approx(run["loss"], rel=1e-10)
    assert again.state == pytest.approx(run.state, abs=ROUNDED)
