"""``(1+t)^3 L`` of neurons on the pieces of a certificate, before its tail."""

from itertools import combinations
from typing import Any

from flint import arb

from flows.certificates.verifier.curve import norm
from flows.certificates.verifier.reading import integer
from flows.certificates.verifier.relu_neuron import _area, angle


def before(teacher: arb, pieces: Any, ends: Any, bits: int, least: arb | None = None) -> list[arb]:
    """``(1+t)^3 L`` on the pieces: ``L`` decreases, and one end bounds each factor.

    ``least`` is a lower bound of the loss at the end of the pieces.
    """
    times = [arb(0), *(arb((integer(piece["end"]), -bits)) for piece in pieces)]
    factors, losses = [(3 * tau).exp() for tau in times], [loss(w, teacher) for w in ends]
    if least is not None:
        losses = [x.max(least) for x in losses]
    return [
        (factors[k] * losses[k + 1]).union(factors[k + 1] * losses[k]) for k in range(len(pieces))
    ]


def loss(w: Any, teacher: arb) -> arb:
    """Equation 3 of Xu & Du, of neurons whose first coordinate is along the teacher."""
    v = 0 * w[0]
    v[0] = teacher
    vectors, r = [*w, v], w.sum(axis=0) - v
    total = (r @ r) / 4
    for i, j in combinations(range(len(vectors)), 2):
        a, b = vectors[i], vectors[j]
        size, cosine = abs(_area(a, b)), a @ b
        theta = angle(size, cosine).nonnegative_part()
        pull = size - theta * cosine
        if theta < 1:  # sin z - z cos z, of an alternating series
            third = (arb(1) / 3).union(arb(1) / 3 - theta.upper() ** 2 / 30)
            pull = norm(a) * norm(b) * theta**3 * third
        total += (-1 if j == len(w) else 1) * pull / (2 * arb.pi())
    return total.nonnegative_part()
