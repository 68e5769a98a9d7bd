"""Eigenvalues of symmetric matrices with clusters, at which LAPACK's fast method gives up."""

import numpy as np
import pytest

from flows.core.symmetric import eigen

# Of matrices of order one; the fast method leaves axes orthogonal to 6e-14.
NEAR = 1e-13


def clustered(seed, size=32):
    """One eigenvalue and many equal ones, but for rounding, as of a loss with a symmetry."""
    draw = np.random.default_rng(seed)
    axis = draw.normal(size=size)
    axis /= np.linalg.norm(axis)
    matrix = draw.uniform(-1, 1) * np.eye(size) + draw.uniform(-1, 1) * np.outer(axis, axis)
    return (matrix + matrix.T) / 2


def test_clusters_of_eigenvalues_are_found_whichever_method_gives_up():
    for seed in range(300):  # one in a hundred makes the fast method fail, on some processors
        matrix = clustered(seed)
        h, axes = eigen(matrix)
        assert np.abs(h - np.linalg.eigvalsh(matrix)).max() < NEAR
        assert np.abs(axes @ np.diag(h) @ axes.T - matrix).max() < NEAR
        low, down = eigen(matrix, below=-0.1)
        assert len(low) == np.count_nonzero(h <= -0.1) and down.shape == (32, len(low))
        assert np.abs(matrix @ down - down * low).max(initial=0.0) < NEAR


def test_a_method_that_gives_up_is_replaced(monkeypatch):
    import scipy.linalg

    solve = scipy.linalg.eigh

    def failing(matrix, driver, **more):
        if driver == "evr":
            raise np.linalg.LinAlgError("Internal Error.")
        return solve(matrix, driver=driver, **more)

    monkeypatch.setattr(scipy.linalg, "eigh", failing)
    matrix = clustered(1)
    h, axes = eigen(matrix, below=0.0)
    assert len(h) == np.count_nonzero(np.linalg.eigvalsh(matrix) <= 0) and axes.shape[1] == len(h)


def test_what_is_not_finite_is_refused():
    with pytest.raises(ValueError, match="infs or NaNs"):
        eigen(np.array([[np.nan, 0.0], [0.0, 1.0]]))
