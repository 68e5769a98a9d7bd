r"""Coefficients of Rodas5P, a Rosenbrock-Wanner method of order 5 with eight stages.

.. math:: (I/\gamma - h J) u_i = h f(t_0 + c_i h,\; y_0 + \sum_{j<i} a_{ij} u_j)
          + \sum_{j<i} C_{ij} u_j + h^2 d_i f_t, \qquad y_1 = y_0 + \sum_i m_i u_i

The last stage is the error estimate. It is a sum of terms of order five in the step, which is zero
for some steps that are off, so it is not looked at alone: the slopes of the dense output at both
ends, less those of the flow, are other sums of such terms, and take no field more.

Source: Steinebach, Construction of Rosenbrock-Wanner method Rodas5P and numerical benchmarks
within the Julia Differential Equations package, BIT 63:27 (2023), doi 10.1007/s10543-023-00967-x;
equation 1.2 in the variables ``u = Gamma k``, with the digits of the author's implementation in
OrdinaryDiffEq.jl.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from flows.core.arrays import Array

STAGES = 8
GAMMA = 0.21193756319429014


def _lower(*rows: tuple[float, ...]) -> Array:
    """Strictly lower triangular matrix of these rows, the first of which is empty."""
    return np.array([(*row, *[0.0] * (STAGES - len(row))) for row in ((), *rows)])


# The weights of stage 6 are those of the stages after it and of the result.
_LAST = (
    -7.502846399306121,
    2.561846144803919,
    -11.627539656261098,
    -0.18268767659942256,
    0.030198172008377946,
)
A = _lower(
    (3.0,),
    (2.849394379747939, 0.45842242204463923),
    (-6.954028509809101, 2.489845061869568, -10.358996098473584),
    (2.8029986275628964, 0.5072464736228206, -0.3988312541770524, -0.04721187230404641),
    _LAST,
    (*_LAST, 1.0),
    (*_LAST, 1.0, 1.0),
)
M = np.array([*_LAST, 1.0, 1.0, 1.0])
C = _lower(
    (-14.155112264123755,),
    (-17.97296035885952, -2.859693295451294),
    (147.12150275711716, -1.41221402718213, 71.68940251302358),
    (165.43517024871676, -0.4592823456491126, 42.90938336958603, -5.961986721573306),
    (
        24.854864614690072,
        -3.0009227002832186,
        47.4931110020768,
        5.5814197821558125,
        -0.6610691825249471,
    ),
    (
        30.91273214028599,
        -3.1208243349937974,
        77.79954646070892,
        34.28646028294783,
        -19.097331116725623,
        -28.087943162872662,
    ),
    (
        37.80277123390563,
        -3.2571969029072276,
        112.26918849496327,
        66.9347231244047,
        -40.06618937091002,
        -54.66780262877968,
        -9.48861652309627,
    ),
)
# Times of the stages, and weights of the derivative of the field by time.
NODES = np.array(
    [
        0.0,
        0.6358126895828704,
        0.4095798393397535,
        0.9769306725060716,
        0.4288403609558664,
        1.0,
        1.0,
        1.0,
    ]
)
D = np.array(
    [
        GAMMA,
        -0.42387512638858027,
        -0.3384627126235924,
        1.8046452872882734,
        2.325825639765069,
        0.0,
        0.0,
        0.0,
    ]
)
# Dense output of order 4: (1 - s) y0 + s y1 + s (1 - s) (k0 + s k1 + s^2 k2) with k = H u.
H = np.array(
    [
        (
            25.948786856663858,
            -2.5579724845846235,
            10.433815404888879,
            -2.3679251022685204,
            0.524948541321073,
            1.1241088310450404,
            0.4272876194431874,
            -0.17202221070155493,
        ),
        (
            -9.91568850695171,
            -0.9689944594115154,
            3.0438037242978453,
            -24.495224566215796,
            20.176138334709044,
            15.98066361424651,
            -6.789040303419874,
            -6.710236069923372,
        ),
        (
            11.419903575922262,
            2.8879645146136994,
            72.92137995996029,
            80.12511834622643,
            -52.072871366152654,
            -59.78993625266729,
            -0.15582684282751913,
            4.883087185713722,
        ),
    ]
)

# How many tolerances the slopes of the dense output may be off at the beginning and at the end of a
# step: of a hundred steps whose estimates are good, one is refused.
BEGINNING, END = 7.0, 5.0
# What both are off together, in these units, is this product with the stages less the `FIRST` part
# of the first slope. The slope at the end is that of the last stage, carried on by the Jacobian.
_AT_END = M - H.sum(axis=0) + C[-1] - np.eye(STAGES)[-1] / GAMMA
DEFECT = (M + H[0]) / BEGINNING + _AT_END / END
FIRST = 1.0 / BEGINNING


def dense_output(s: Any, y0: Any, y1: Any, k: Any) -> Any:
    """State at the fraction ``s`` of a step; ``k`` (..., K, N), exactly ``y1`` at the end."""
    inside = k[..., -1, :]
    for row in range(k.shape[-2] - 2, -1, -1):
        inside = k[..., row, :] + s * inside
    return (1.0 - s) * y0 + s * (y1 + (1.0 - s) * inside)
