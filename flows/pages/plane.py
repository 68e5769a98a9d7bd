"""Where the parameters of a run are in a plane, as plain data: neurons, means, eigenvalues."""

from __future__ import annotations

import itertools
from dataclasses import dataclass
from typing import Any, cast

import numpy as np
from numpy.typing import NDArray
from scipy.optimize import linear_sum_assignment

from flows.core.arrays import Array
from flows.runs.trajectory import Trajectory

__all__ = ["Plane", "plane"]

#: More bodies than this make a crowd; the first ones are drawn.
MOST_BODIES = 40
#: Distance from a line, relative to the length of the points, that is rounding.
ON_LINE = 1e-14


@dataclass(frozen=True)
class Plane:
    """Bodies that move in a plane.

    Parameters
    ----------
    title : str
        What the bodies are.
    labels : tuple of str
        Of the two axes.
    paths : ndarray, shape (T, bodies, 2)
        Their places at the output times.
    bodies : tuple of str
        Their names.
    goals : tuple of (str, float, float)
        Fixed points to compare with, by name.
    """

    title: str
    labels: tuple[str, str]
    paths: Array
    bodies: tuple[str, ...]
    goals: tuple[tuple[str, float, float], ...]


def plane(run: Trajectory) -> Plane:
    """Project a run to a plane.

    Students are seen with their teachers; on a line, with their biases. Other vectors (a neuron's,
    means) are seen along the teacher or target, if there is one that is not
    zero, and along the principal direction across it; otherwise along two principal directions. Of
    layers one sees the eigenvalues of their product `W_N ... W_1` in the complex plane, of a system
    of one's own the entries.

    Parameters
    ----------
    run : Trajectory
        The trajectory.
    """
    state = run.state
    if state.ndim == 2:
        return _entries(state)
    if state.ndim == 4:
        return _eigenvalues(run, state)
    teachers = getattr(run.system, "teachers", None)
    return _vectors(run, state) if teachers is None else _students(run, state, np.array(teachers))


def _entries(state: Array) -> Plane:
    """Entries of a state that has no vectors, each at the height of its number."""
    values = state[:, :MOST_BODIES]
    numbers = np.arange(1, values.shape[1] + 1)
    return Plane(
        "The entries of the state",
        ("value", "number of the entry"),
        np.stack(np.broadcast_arrays(values, numbers), axis=-1),
        tuple(f"entry {k}" for k in numbers),
        (),
    )


def _vectors(run: Trajectory, state: NDArray[Any]) -> Plane:
    places = state.reshape(len(state), state.shape[1], -1)[:, :MOST_BODIES].real
    if places.shape[2] == 1:
        places = np.concatenate([places, np.zeros_like(places)], axis=2)
    name, goal = _goal(run)
    goal = np.zeros(places.shape[2]) if goal is None else np.resize(goal, places.shape[2])
    length = float(np.linalg.norm(goal))
    cloud = places.reshape(-1, places.shape[2])
    if length:
        first = goal / length
        basis = np.stack([first, _across(cloud, first)])
        labels = (f"along the {name}", "across it")
    else:
        first = _principal(cloud)
        basis = np.stack([first, _across(cloud, first)])
        labels = ("first principal direction", "second principal direction")
    word = "neuron" if name == "teacher" else "mean"
    bodies = tuple(f"{word} {k + 1}" for k in range(places.shape[1]))
    title = f"The {word}s in the plane"
    return Plane(title, labels, places @ basis.T, bodies, ((name, length, 0.0),))


def _students(run: Trajectory, state: Array, teachers: Array) -> Plane:
    """Students and their teachers, without the outputs that stand behind them."""
    d, system = teachers.shape[1], cast(Any, run.system)
    seen = state[:, :MOST_BODIES, :d]
    labels = ("first coordinate", "second coordinate")
    if d == 1 and getattr(system, "biases", False):
        seen, labels = state[:, :MOST_BODIES, :2], ("weight", "bias")
        teachers = np.column_stack([teachers, system.teacher_biases])
    elif d == 1:
        seen, teachers = (np.concatenate([x, 0 * x], axis=-1) for x in (seen, teachers))
    elif d > 2:
        cloud = np.concatenate([seen.reshape(-1, d), teachers])
        basis = np.stack([first := _principal(cloud), _across(cloud, first)])
        seen, teachers = seen @ basis.T, teachers @ basis.T
        labels = ("first principal direction", "second principal direction")
    bodies = tuple(f"student {k + 1}" for k in range(seen.shape[1]))
    name = "teachers" if len(teachers) > 1 else "teacher"
    goals = tuple((name, x, y) for x, y in teachers.tolist())
    return Plane("The students in the plane", labels, seen, bodies, goals)


def _eigenvalues(run: Trajectory, state: NDArray[Any]) -> Plane:
    """Eigenvalues of the product, each one followed from time to time."""
    product = state[:, 0]
    for layer in range(1, state.shape[1]):
        product = state[:, layer] @ product
    values = np.linalg.eigvals(product).astype(complex)
    for now, (before, after) in enumerate(itertools.pairwise(values), 1):
        distance = np.abs(before[:, None] - after[None, :])
        values[now] = after[linear_sum_assignment(distance)[1]]
    values = values[:, :MOST_BODIES]
    _, target = _goal(run)
    size = product.shape[-1]
    goals = np.linalg.eigvals(np.eye(size) if target is None else target).astype(complex)
    return Plane(
        "Eigenvalues of the product of the layers",
        ("real part", "imaginary part"),
        np.stack([values.real, values.imag], axis=-1),
        tuple(f"eigenvalue {k + 1}" for k in range(values.shape[1])),
        tuple(
            ("eigenvalues of the target", float(g.real), float(g.imag))
            for g in dict.fromkeys(goals)
        ),
    )


def _goal(run: Trajectory) -> tuple[str, NDArray[Any] | None]:
    """What the parameters should find, in the user's coordinates."""
    for name in ("teacher", "target"):
        value = getattr(run.system, name, None)
        if value is not None:
            return name, np.array(value)
    return "target", None


def _principal(cloud: Array) -> Array:
    """Principal direction of points around 0; its sign, which is free, makes an entry positive."""
    direction: Array = np.linalg.svd(cloud, full_matrices=False)[2][0]
    return direction * (np.sign(direction[np.abs(direction).argmax()]) or 1.0)


def _across(cloud: Array, first: Array) -> Array:
    """Principal direction across another one; any one where no point lies off its line."""
    rest = cloud - np.outer(cloud @ first, first)
    if np.linalg.norm(rest) <= ON_LINE * np.linalg.norm(cloud):
        rest = np.eye(len(first))[[np.abs(first).argmin()]]
    direction = _principal(rest)
    direction = direction - (direction @ first) * first
    unit: Array = direction / np.linalg.norm(direction)
    return unit
