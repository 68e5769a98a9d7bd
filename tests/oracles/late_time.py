"""Gradient flows in logarithmic time by SciPy, from plain expressions: the oracle of laws."""

import numpy as np
import sympy as sp
from scipy.integrate import solve_ivp


def losses(loss, y, start, times):
    """Loss at these times of the gradient flow from `start` at `t = 1`."""
    value = sp.lambdify(y, loss, "numpy")
    slope = sp.lambdify(y, [sp.diff(loss, v) for v in y], "numpy")
    curved = sp.lambdify(y, sp.hessian(loss, y), "numpy")

    def field(tau, x):
        return -np.exp(tau) * np.array(slope(*x), dtype=float)

    def jacobian(tau, x):
        return -np.exp(tau) * np.array(curved(*x), dtype=float)

    taus = np.log(np.asarray(times, dtype=float))
    found = solve_ivp(
        field, (0, taus[-1]), start, "LSODA", t_eval=taus, jac=jacobian, rtol=1e-11, atol=1e-14
    )
    assert found.success
    return np.array([float(value(*x)) for x in found.y.T])


def scaled_loss(loss, y, start, times):
    """`t^2 L` at these times."""
    return np.asarray(times) ** 2 * losses(loss, y, start, times)


def measured_constant(loss, y, start, times, exponent):
    """Constant `C` in `L ~ C (t + t_0)^-exponent` between two times of the gradient flow.

    The shift `t_0` drops out of the difference of `L^(-1/exponent)`.
    """
    early, late = losses(loss, y, start, times) ** (-1 / exponent)
    return float(((late - early) / (times[1] - times[0])) ** -exponent)
