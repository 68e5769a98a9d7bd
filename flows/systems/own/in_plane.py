"""Axes of a chart where an expectation is by nodes in planes: what moves there, and what is known.

The gradient lies in the plane of the forms: what reaches out of it averages to zero, whatever the
curvature is there, and is no more than rounding of the computation.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import numpy as np
from flint import arb, arb_mat

from flows.core.arrays import Array
from flows.systems.own.exact import balls
from flows.systems.own.loss import Loss
from flows.systems.own.nodes import Nodes
from flows.systems.own.serving import Serving

__all__ = ["UNSEEN", "few_looks", "left_by", "reached", "strayed"]

#: A gradient with an error of a hundredth does not show where a state goes.
UNSEEN = 1e4
# Steps of a chart at which a Hessian is averaged.
LOOKS = 10
# An axis along which forms change by this part of it, or less, in their plane is across it.
ACROSS = 1e-6
# Axes of charts are doubles, and lead out of the plane by their last bits, chart by chart: by less
# than this part of the longest row altogether, where it was at most a twentieth.
STRAYS = 1e-13


def reached(loss: Loss, nodes: Nodes, y: Array, axes: Array) -> Array:
    """One where a move along an axis changes forms in their plane, or anything besides; or zero."""
    forms = loss.formed.forms
    plane = nodes.parts[0].axes if nodes.alone else forms.plane(y).axes
    moved = np.tensordot(axes, forms.at(y)[1:], (0, 0))
    inside = np.concatenate([moved[:, :, :-1] @ plane, moved[:, :, -1:]], axis=-1)
    size = np.linalg.norm(inside, axis=(1, 2))
    beside = np.linalg.norm(axes[list(forms.beside)], axis=0)
    outside = np.abs(loss.form.plain != 0) * np.ones(len(y))
    return np.where((size + beside + outside) > ACROSS, 1.0, 0.0)


def strayed(loss: Loss, nodes: Nodes, y: Array, change: Array) -> float:
    """How much a number of a gradient may be off, as the state has left the plane of its forms.

    No gradient brings it back there, and the loss by nodes in the plane does not see it.
    """
    if loss.form.plain != 0:  # its gradient may lead anywhere
        return 0.0
    forms = loss.formed.forms
    plane = nodes.parts[0].axes if nodes.alone else forms.plane(y).axes
    at = forms.at(y)
    inside = np.concatenate([at[1:, :, :-1] @ plane, at[1:, :, -1:]], axis=-1).reshape(len(y), -1)
    ways, size, _ = np.linalg.svd(np.hstack([inside, np.eye(len(y))[:, list(forms.beside)]]))
    across = ways[:, np.sum(size > ACROSS * size.max(initial=0.0)) :].T @ change
    longest = max(np.abs(forms.at(x)[0]).max() for x in (y, *(part.y for part in nodes.parts)))
    return STRAYS * float(np.linalg.norm(across) * longest)


def left_by(loss: Loss, nodes: Nodes, centre: list[Any], slopes: Array, axes: Array) -> Array:
    """What the nodes leave of the gradient along each axis."""

    def other() -> list[Any]:
        found = balls(loss, nodes.finer).both(centre)
        slope = arb_mat(len(axes), 1, list(found[1:]))
        turn = arb_mat(len(axes), len(axes), [arb(x) for x in axes.T.ravel().tolist()])
        return [found[0], *(turn * slope).entries()]

    return Serving(loss, nodes).doubt(math.inf, slopes, other)[1:]


def few_looks(hessian: Callable[[Array], Array], places: Array) -> Array:
    """Hessians at many places of a way, shape (K, N, N): some are looked at, others between."""
    some = np.unique(np.linspace(0, len(places) - 1, min(len(places), LOOKS)).astype(int))
    looks = np.array([hessian(places[k]) for k in some])
    parts = np.interp(np.arange(len(places)), some, np.arange(len(some)))
    first = np.minimum(parts.astype(int), max(len(some) - 2, 0))
    last = np.minimum(first + 1, len(some) - 1)
    share = (parts - first)[:, None, None]
    return np.asarray((1 - share) * looks[first] + share * looks[last])
