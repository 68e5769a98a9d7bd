"""The loss on the line of stationary points against differences."""

from mpmath import mp

from symbolic.language.lower import lower
from symbolic.systems.score_matching.stationary import POINT, stationary_loss, stationary_slope

# Central differences with step 10^-12 in 40 digits: truncation 1e-24, rounding 1e-28.
DIGITS, DIFFERENCE, DIFFERENCE_ERROR = 40, mp.mpf("1e-12"), mp.mpf("1e-20")


def test_the_slope_on_the_line_of_stationary_points_is_a_difference_of_the_loss():
    slope, loss = (lower((e,), POINT, "mpmath") for e in (stationary_slope(), stationary_loss()))
    with mp.workdps(DIGITS):
        s, x, zeros = mp.mpf("1.7"), mp.mpf("-0.6"), 2
        up, down = (loss(s + sign * DIFFERENCE, x, zeros)[0] for sign in (1, -1))
        assert abs(slope(s, x, zeros)[0] - (up - down) / (2 * DIFFERENCE)) < DIFFERENCE_ERROR
        assert abs(slope(s, x, 3)[0] - (up - down) / (2 * DIFFERENCE)) > 1e3 * DIFFERENCE_ERROR
