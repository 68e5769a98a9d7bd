import numpy as np
import pytest
from flint import arb
from mpmath import mp

from flows.certificates.verifier import relu_neuron as checker
from flows.certificates.verifier.segment import UNIT
from flows.core.balls import precision
from flows.systems.relu_neuron import exact

# Of the exact field with 60 digits, and of Hessians in doubles.
SAME, ROUNDED = 1e-40, 1e-12


@pytest.mark.parametrize("n", [1, 2, 3])
@pytest.mark.parametrize("q", [2, 3, 4])
def test_the_checkers_field_and_hessian_are_those_derived(n, q):
    generator = np.random.default_rng(10 * n + q)
    w, v = generator.normal(size=(n, q)), np.eye(q)[0] * 1.5
    with precision(200):
        rows = [[arb(x) for x in row] for row in [*w, v]]
        plane = q == 2
        areas = [a[0] * b[1] - a[1] * b[0] for i, a in enumerate(rows) for b in rows[i + 1 :]]
        signs = [1 if a > 0 else -1 for a in areas] if plane else []
        start = np.array(rows[:-1]).ravel()
        problem = checker.Neurons({"n": n, "d": q, "teacher": v.tolist()}, w)
        # In its own frame: here that of the teacher and the axes.
        problem.v = np.array(rows[-1])
        true = [x for row in exact.gradient(w.tolist(), v.tolist(), 60) for x in row]
        for found, x in zip(problem.field(start, signs), true, strict=True):
            sign, man, exponent, _ = x._mpf_
            assert abs(found + arb(((-1) ** sign * int(man), int(exponent)))) < SAME
        box = problem.hessian(start + UNIT * 1e-4)
        for _ in range(5):
            moved = w + 1e-4 * generator.uniform(-1, 1, size=w.shape)
            with mp.workdps(30):
                hessian = np.array(exact.hessian(moved.tolist(), v.tolist(), 30), dtype=float)
            inside = np.vectorize(lambda c, x: c.contains(x) or abs(c - x) < ROUNDED)(box, hessian)
            assert inside.all()
        far = np.array(exact.hessian((w + 0.01).tolist(), v.tolist(), 30), dtype=float)
        assert not np.vectorize(lambda c, x: c.contains(x))(box, far).all()


def test_the_checkers_frame_keeps_inner_products():
    generator = np.random.default_rng(0)
    for rows in (
        generator.normal(size=(3, 5)),
        generator.normal(size=(4, 2)),
        np.outer([1.0, 2.0, 0.0], [0.5, 0.25]),
    ):
        with precision(300):
            x = checker._coordinates(rows)
            exact_rows = np.array([[arb(c) for c in row] for row in rows.tolist()])
            gram = exact_rows @ exact_rows.T - x @ x.T
            assert all(abs(c) < SAME for c in gram.ravel())
            assert all(c == 0 for c in x[0, 1:])  # the teacher is along the first axis
            assert x.shape[1] >= 2
