r"""The flow of the single ReLU neuron in lengths and angles, summed over neurons.

`w_i' = a_i w_i - sum_k b_ik w_k + b_i v` is what `symbolic.systems.relu_neuron.flow` derives for
one pair, added up; every rate below is a product of it with a unit vector. The term `k = i` of each
sum is neuron `i` itself: `theta_ii = kappa_ii = 0`.

Source: Xu & Du, COLT 2023, arXiv 2302.10034.
"""

from __future__ import annotations

from fractions import Fraction

import sympy as sp

from potentials.notation import symbol
from potentials.relu_neuron_notation import NAMES, h, n, norm, theta, v, zeta
from potentials.substitution import Definition, Flow, I, J, K, indexed
from symbolic.systems.relu_neuron.flow import pair_flow
from symbolic.systems.relu_neuron.pair import ALPHA, BETA, THETA

__all__ = ["FLOW"]

_FAMILIES = {
    "stretch": "a_%s",
    "pull": "b_{%s}",
    "neuron": "w_%s",
    "h": "h_%s",
    "zeta": r"\lvert z_%s \rvert",
    "norm": r"\lvert w_%s \rvert",
    "theta_pair": r"\theta_{%s}",
    "kappa": r"\kappa_{%s}",
    "along": r"\langle e_{ij}, z_%s \rangle",
}
_w, _h, _zeta, _norm = (indexed(name) for name in ("neuron", "h", "zeta", "norm"))
_theta_pair, _kappa, _along = (indexed(name) for name in ("theta_pair", "kappa", "along"))
_a, _b = indexed("stretch"), indexed("pull")
_teacher = symbol("teacher")

_OWN, _OTHER = (sp.simplify(x.doit()) for x in pair_flow())


def _stretch(size: sp.Expr, other: sp.Expr, angle: sp.Expr) -> sp.Expr:
    """What a vector of length `other` at this angle takes from `w_i` along itself."""
    return _OWN.subs({ALPHA: size, BETA: other, THETA: angle}, simultaneous=True)


def _pull(angle: sp.Expr) -> sp.Expr:
    """What it takes from it along the vector."""
    return sp.factor(_OTHER.subs(THETA, angle))


def _over(summand: sp.Expr) -> sp.Expr:
    return sp.Sum(summand, (K, 1, n))


_COSINE = {pair: sp.cos(_kappa[pair]) for pair in ((I, J), (I, K), (J, K))}
_AT_I = _b[I, K] / _zeta[I] * (_COSINE[J, K] - _COSINE[I, J] * _COSINE[I, K])
_AT_J = _b[J, K] / _zeta[J] * (_COSINE[I, K] - _COSINE[I, J] * _COSINE[J, K])
_H_RATE = _a[I] * h - _over(_b[I, K] * _h[K]) + _b[I] * v

FLOW = Flow(
    rates={
        "h": _H_RATE,
        "rho": sp.Sum(_H_RATE.xreplace({h: _h[I]}), (I, 1, n)),
        "zeta": _a[I] * zeta - _over(_b[I, K] * _zeta[K] * _COSINE[I, K]),
        "norm": _a[I] * norm
        - _over(_b[I, K] * _norm[K] * sp.cos(_theta_pair[I, K]))
        + _b[I] * v * sp.cos(theta),
        "theta": _over(
            _b[I, K] * (_h[K] * sp.sin(theta) - _zeta[K] * sp.cos(theta) * _COSINE[I, K])
        )
        / norm
        - _b[I] * v * sp.sin(theta) / norm,
        "distance": _a[I] * _along[I]
        - _a[J] * _along[J]
        - _over((_b[I, K] - _b[J, K]) * _along[K]),
        "kappa": _over(_zeta[K] * _AT_I) / sp.sin(_kappa[I, J])
        + _over(_zeta[K] * _AT_J) / sp.sin(_kappa[I, J]),
    },
    definitions=(
        Definition(
            r"\frac{d w_i}{d t}",
            _a[I] * _w[I] - _over(_b[I, K] * _w[K]) + _b[I] * _teacher,
            "The sums run over all neurons, k = i included: theta_ii = kappa_ii = 0. theta_i is the"
            " angle of w_i to the teacher v, theta_ij that of w_i and w_j, kappa_ij that of z_i and"
            " z_j.",
        ),
        Definition(
            "a_i",
            _stretch(norm, v, theta) - _over(_stretch(norm, _norm[K], _theta_pair[I, K])),
            "How fast the others stretch w_i along itself.",
        ),
        Definition("b_i", _pull(theta), "How hard the teacher turns w_i towards itself."),
        Definition("b_{ij}", _pull(_theta_pair[I, J]), "The same for another neuron."),
        Definition(
            "e_{ij}",
            r"\frac{z_i - z_j}{\lvert z_i - z_j \rvert}",
            "The direction from one part across the teacher to another.",
        ),
    ),
    names={**NAMES, "teacher": "v"},
    families=_FAMILIES,
    of_the_law=(
        *("loss_upper", "loss_lower", "loss_lower_constant"),
        *("gradient_lower", "distance_decay", "distance_vs_loss"),
    ),
    # Of shares 1/n: a simplex of k neurons, with the others in its centre, has ell = n (sqrt(2)
    # k/sqrt(k-1) - sqrt(k))/(6 pi), least for k = 4.
    in_n=Fraction(-2),
)
