"""Gauss rules, for sums that are compared with other sums."""

import functools

import numpy as np

from flows.expectations.hermite import Rule

#: Gauss-Legendre nodes and weights; their polynomials take longer than most sums.
legendre = functools.cache(np.polynomial.legendre.leggauss)


def hermite(*sizes):
    """Nodes of a plane, or space, and weights of `N(0, I)`; so many along each axis."""
    axes = [np.polynomial.hermite_e.hermegauss(size) for size in sizes]
    nodes = np.stack(np.meshgrid(*(x for x, _ in axes), indexing="ij"), axis=-1)
    weights = functools.reduce(np.multiply.outer, (w / w.sum() for _, w in axes)).ravel()
    return Rule(nodes.reshape(-1, len(sizes)), weights, "by hand")
