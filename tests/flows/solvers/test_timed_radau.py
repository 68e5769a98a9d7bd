"""Matrices of Newton's method where the field grows in a step."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from flows.solvers.timed_radau import LONGEST, SPACING, STAGES, tableau

# Eigenvectors have condition numbers of a hundred.
ROUNDING = 1e-11
LENGTHS = [0, 7, 32, round(LONGEST / SPACING)]


def of_modes(m: int) -> Any:
    """Matrix that has the tabulated eigenvalues and modes of a length."""
    found = tableau()
    values = np.zeros((STAGES, STAGES))
    values[0, 0] = found.real[m]
    for p, pair in enumerate(found.pairs[m]):
        x = 2 * p + 1
        values[x : x + 2, x : x + 2] = [[pair.real, -pair.imag], [pair.imag, pair.real]]
    return found.forth[m] @ values @ found.back[m]


@pytest.mark.parametrize("m", LENGTHS)
def test_modes_are_those_of_stages_at_which_the_field_has_grown(m: int) -> None:
    found = tableau()
    grown = np.exp(found.nodes * m * SPACING)
    expected = found.inverse / grown[:, None]
    assert np.allclose(of_modes(m), expected, rtol=0, atol=ROUNDING * np.abs(expected).max())
    other = found.inverse / np.exp(1.001 * found.nodes * m * SPACING)[:, None]
    assert m == 0 or not np.allclose(of_modes(m), other, rtol=0, atol=1e-6)


def test_the_stages_of_a_constant_slope_are_the_nodes() -> None:
    found = tableau()
    stages = np.linalg.solve(found.inverse, np.ones(STAGES))
    assert np.allclose(stages, found.nodes, atol=ROUNDING)
    assert not np.allclose(stages, 1.001 * found.nodes, atol=ROUNDING)


@pytest.mark.parametrize("stiff", [1.0, 1e4])
def test_one_correction_solves_a_linear_flow_that_grows(stiff: float) -> None:
    r"""Of `y' = -\lambda e^\tau y`; with the modes of a step half as long it does not."""
    found, h = tableau(), 1.0
    m, grown = round(h / SPACING), np.exp(found.nodes)
    equations = found.inverse / grown[:, None] / h

    def left(matrix: Any) -> float:
        """Part of the residual that one correction leaves."""
        z = np.linalg.solve(matrix / h + stiff * np.eye(STAGES), np.full(STAGES, -stiff))
        return float(np.abs(equations @ z + stiff * (1 + z)).max()) / stiff

    assert left(of_modes(m)) < ROUNDING
    assert left(of_modes(m // 2)) > 1e-6
