"""Moves of students into each other that leave the loss as it is."""

from __future__ import annotations

from itertools import combinations

import numpy as np
import scipy.linalg

from flows.certificates.stationary.proof import Setting
from flows.core.arrays import Array

#: Moves that depend on others to this part leave no coordinate to hold.
DEPENDENT = 1e-8

Pair = tuple[int, int]


def gauge(setting: Setting, students: Array) -> tuple[tuple[Pair, ...], tuple[Pair, ...]]:
    r"""Coordinates to hold, as many as there are moves that leave the loss as it is; the moves.

    .. math:: \dot w_i = a_j w_j, \qquad \dot w_j = -a_i w_i

    for the square, whose loss is one of :math:`\sum_i a_i w_i w_i^T`.

    Parameters
    ----------
    setting : Setting
        Teachers and weights.
    students : ndarray, shape (n, r)
        Near the point.

    Returns
    -------
    held : tuple of pairs of int
        Student and axis.
    moves : tuple of pairs of int
        Students `i < j`.
    """
    if setting.activation != "quadratic":
        return (), ()
    pairs = list(combinations(range(len(students)), 2))
    columns = []
    for i, j in pairs:
        move = np.zeros_like(students)
        move[i], move[j] = setting.outputs[j] * students[j], -setting.outputs[i] * students[i]
        columns.append(move.ravel())
    moves = np.array(columns).reshape(len(pairs), students.size).T
    if not moves.any():
        return (), ()
    _, size, chosen = scipy.linalg.qr(moves, mode="economic", pivoting=True)
    rank = int((np.abs(np.diag(size)) > DEPENDENT * abs(size[0, 0])).sum())
    _, _, held = scipy.linalg.qr(moves[:, chosen[:rank]].T, mode="economic", pivoting=True)
    axes = students.shape[1]
    return (
        tuple((int(k) // axes, int(k) % axes) for k in held[:rank]),
        tuple(pairs[k] for k in chosen[:rank]),
    )
