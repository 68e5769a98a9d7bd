"""What a user gives for two layers, checked in one line each."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import ArrayLike

from flows.core.arrays import Array, check_integer, check_shape, checked, is_real
from flows.core.errors import InputError
from symbolic.systems.two_layer.pair import named

__all__ = ["LARGEST", "outputs_of", "rows_of", "teachers_of"]

#: Of entries of neurons, outputs and teachers: products of four are doubles.
LARGEST, SMALLEST = 1e50, 1e-50


def teachers_of(teachers: Any, d: int | None) -> tuple[tuple[float, ...], ...]:
    """Teachers as rows: an array's, or a number of orthonormal ones.

    Raises
    ------
    InputError
        For another length than `d`, a zero or repeated teacher, and what is no array.
    """
    if d is not None:
        check_integer(d, "d")
    if isinstance(teachers, (int, np.integer)) and not isinstance(teachers, bool):
        check_integer(teachers, "teachers")
        size = int(teachers) if d is None else int(d)
        if size < teachers:
            raise InputError(
                f"teachers: {teachers} orthonormal ones need d >= {teachers}, got d = {size}; give"
                " a larger d or an array"
            )
        check_shape((int(teachers), size))
        return rows_of(np.eye(int(teachers), size))
    try:
        shape = np.shape(teachers)
    except ValueError:
        raise InputError("teachers must be an array of shape (m, d); its rows differ") from None
    if len(shape) != 2 or 0 in shape:
        raise InputError(f"teachers must be a number or an array of shape (m, d), got {shape}")
    array = checked(teachers, shape, "teachers")
    if d is not None and shape[1] != d:
        raise InputError(f"teachers: expected {d} numbers each, as many as d, got {shape[1]}")
    size = np.abs(array).max(axis=1)
    for j, (v, most) in enumerate(zip(array, size, strict=True), 1):
        if most == 0:
            raise InputError(f"teachers: teacher {j} is zero; leave it out")
        if not SMALLEST <= most <= LARGEST:
            raise InputError(
                f"teachers: the largest entry of each must be in [{SMALLEST:g}, {LARGEST:g}], got"
                f" {most:g} of teacher {j}"
            )
        same = np.flatnonzero((array[: j - 1] == v).all(axis=1))
        if len(same):
            raise InputError(
                f"teachers: teacher {j} repeats teacher {same[0] + 1}; give one of them, with the"
                " sum of their weights"
            )
    return rows_of(array)


def outputs_of(given: Any, count: int, label: str, of: str) -> tuple[float, ...]:
    """Outputs of a number of neurons, one each by default.

    Raises
    ------
    InputError
        For another number of them, a zero one, and what is no number.
    """
    if given is None:
        return (1.0,) * count
    kind = f"numbers that are not zero, of size {SMALLEST:g} to {LARGEST:g}"
    return _numbers(given, count, (label, of), SMALLEST, kind)


def biases_of(given: Any, count: int) -> tuple[float, ...]:
    """Biases of a number of teachers, none by default.

    Raises
    ------
    InputError
        For another number of them, and what is no number.
    """
    if given is None:
        return (0.0,) * count
    kind = f"numbers of size {LARGEST:g} or less"
    return _numbers(given, count, ("teacher_biases", "teacher"), 0.0, kind)


def _numbers(
    given: Any, count: int, names: tuple[str, str], least: float, kind: str
) -> tuple[float, ...]:
    """As many numbers as there are neurons, of this size at least."""
    label, of = names
    try:
        values = list(given)
    except TypeError:
        raise InputError(f"{label} must be a list of {count} numbers, got {given!r}") from None
    if len(values) != count:
        raise InputError(f"{label}: expected {count} numbers, one a {of}, got {len(values)}")
    for value in values:
        if not is_real(value) or not least <= abs(value) <= LARGEST:
            raise InputError(f"{label} must be {kind}, got {value!r}")
    return tuple(float(x) for x in values)


def check_activation(name: Any) -> None:
    """Refuse what is no name of an activation."""
    try:
        if not isinstance(name, str):
            raise ValueError(f"expected the name of an activation, got {name!r}")
        named(name)
    except ValueError as refused:
        raise InputError(f"activation: {refused}") from None


def check_teachers(text: str) -> None:
    """Refuse a number that counts nothing, where a number or a file is expected."""
    try:
        float(text)
    except ValueError:
        return
    if not text.isdecimal() or int(text) == 0:
        raise InputError(
            f"--teachers: expected how many there are, 1 or more, or a file of them, got {text}"
        )


def check_signs(
    neurons: Array, outputs: Array, weights: Sequence[float], degree: int | None
) -> None:
    """Refuse outputs that keep their signs where a teacher needs another one.

    `p a^2 - |w|^2` is conserved: where it is not negative, an output cannot pass zero.
    """
    if degree is None or (degree * outputs**2 < np.sum(neurons**2, axis=1)).any():
        return
    for j, b in enumerate(weights, 1):
        if not (np.sign(outputs) == np.sign(b)).any():
            raise InputError(
                f"start: no output can get the sign of teacher {j}'s, {b:g}, since outputs keep"
                f" their signs where {degree} a^2 >= |w|^2; give one that sign, or larger neurons"
            )


def rows_of(array: ArrayLike) -> tuple[tuple[float, ...], ...]:
    """Rows of an array as tuples."""
    return tuple(tuple(float(x) for x in row) for row in np.asarray(array))
