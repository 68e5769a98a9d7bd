"""Changes of regimes are found between steps, each where its mark is zero."""

import numpy as np
import pytest

from flows.systems.mixture.changes import Trail, changes

# A change is known to 1e-8 of a step, here a tenth; the polynomial of degree seven is better.
EXACT = 4e-9


def slope(tau, y):
    return np.array([np.cos(tau)])


def look(taus, states):
    """Two regimes: whether the state is above a half, and whether it is above -0.9."""
    marks = np.column_stack([states[:, 0] - 0.5, states[:, 0] + 0.9])
    return (marks >= 0).astype(float), marks


def trail(until, step=0.1):
    found = Trail(0.0, np.array([0.0]))
    taus = np.arange(step, until + step / 2, step)
    found.add(taus, np.sin(taus)[:, None])
    return found


def test_all_changes_since_the_regime_was_known_are_found_in_their_order():
    found = changes(trail(6.0), 6.0, slope, look)
    crossings = np.arcsin([0.5, 0.9])
    expected = [crossings[0], np.pi - crossings[0], np.pi + crossings[1], 2 * np.pi - crossings[1]]
    np.testing.assert_allclose([change.tau for change in found], expected, atol=EXACT)
    assert [change.regime.tolist() for change in found] == [[1, 1], [0, 1], [0, 0], [0, 1]]


def test_what_was_seen_is_forgotten_and_what_is_beyond_a_stop_is_not_looked_at():
    some = trail(6.0)
    some.seen(3.0)
    assert len(some.taus) < 40 and some.taus[some.known] == pytest.approx(3.0)
    (one,) = changes(some, 5.0, slope, look)
    assert one.tau == pytest.approx(np.pi + np.arcsin(0.9), abs=EXACT)
    assert changes(some, 4.0, slope, look) == ()


def test_two_changes_within_one_step_are_two():
    def close(taus, states):
        marks = np.column_stack([states[:, 0] - 0.5, states[:, 0] - 0.51])
        return (marks >= 0).astype(float), marks

    found = changes(trail(1.0), 1.0, slope, close)
    times = [change.tau for change in found]
    np.testing.assert_allclose(times, np.arcsin([0.5, 0.51]), atol=EXACT)


def test_states_are_not_interpolated_linearly():
    taus = np.arange(0.0, 1.01, 0.1)
    first = int(np.argmax(np.sin(taus) >= 0.5))
    part = (0.5 - np.sin(taus[first - 1])) / (np.sin(taus[first]) - np.sin(taus[first - 1]))
    linear = taus[first - 1] + 0.1 * part
    (one,) = changes(trail(1.0), 1.0, slope, look)
    assert abs(linear - np.arcsin(0.5)) > 1e4 * EXACT > abs(one.tau - np.arcsin(0.5))
