"""Gradient flows in logarithmic time by SciPy, from plain expressions: the oracle of laws."""

import numpy as np
import sympy as sp
from scipy.integrate import solve_ivp


def measured_constant(loss, y, start, times, exponent):
    """Constant `C` in `L ~ C (t + t_0)^-exponent` between two times of the gradient flow.

    The shift `t_0` drops out of the difference of `L^(-1/exponent)`.
    """
    value = sp.lambdify(y, loss, "numpy")
    slope = sp.lambdify(y, [sp.diff(loss, v) for v in y], "numpy")
    curved = sp.lambdify(y, sp.hessian(loss, y), "numpy")

    def field(tau, x):
        return -np.exp(tau) * np.array(slope(*x), dtype=float)

    def jacobian(tau, x):
        return -np.exp(tau) * np.array(curved(*x), dtype=float)

    # From t = 1, so that tau = log t begins at 0.
    taus = np.log(np.asarray(times, dtype=float))
    found = solve_ivp(
        field, (0, taus[-1]), start, "LSODA", t_eval=taus, jac=jacobian, rtol=1e-11, atol=1e-14
    )
    assert found.success
    early, late = (float(value(*x)) ** (-1 / exponent) for x in found.y.T)
    return float(((late - early) / (times[1] - times[0])) ** -exponent)
