"""Runs on which claims hold: those of a system are `RUNS` in the file of its name."""

import flows


def of(system, scale, seed, t_end, times=None):
    """Run from a random start."""
    return flows.integrate(system, system.initial(scale, seed), t_end, times)
