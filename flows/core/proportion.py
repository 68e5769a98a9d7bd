"""Probabilities from counts."""

from __future__ import annotations

from scipy.special import betaincinv

#: Confidence of intervals.
LEVEL = 0.99


def interval(successes: int, trials: int, level: float = LEVEL) -> tuple[float, float]:
    """Clopper-Pearson interval of a probability, which covers it at least so often.

    Parameters
    ----------
    successes, trials : int
        What was counted.
    level : float
        Confidence.

    Returns
    -------
    low, high : float
        Ends of the interval.

    Examples
    --------
    >>> [round(x, 4) for x in interval(0, 10, 0.95)]
    [0.0, 0.3085]
    """
    tail, failures = (1 - level) / 2, trials - successes
    low = betaincinv(successes, failures + 1, tail) if successes else 0.0
    high = betaincinv(successes + 1, failures, 1 - tail) if failures else 1.0
    return float(low), float(high)
