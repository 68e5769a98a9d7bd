"""What is observed along the flow of an own system, and how many digits of it doubles know."""

from __future__ import annotations

import keyword
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np
import sympy as sp

from flows.core.arrays import Array
from flows.core.system import State
from flows.systems.own.loss import Loss, estimate, numeric
from potentials.notation import CONSTANTS, FROZEN

__all__ = ["Frame", "Sound", "feature_names", "is_name", "is_word", "observe"]

# Names that potentials cannot have.
RESERVED = {"loss", "gradient_norm", "t", "t_end", "rounding", "expectation_error", *CONSTANTS}
# A value is given where moving every entry by its last bit changes it by less than this; below it
# is zero: doubles do not know it.
TRUSTED = 1e-6
# So many ways to move the last bits are tried.
PATTERNS = 4
# Rates below this are none: an unknown gradient matters where it may be larger.
STANDSTILL = 1e-15
EPSILON = float(np.finfo(float).eps)


@dataclass(frozen=True)
class Frame:
    """Nothing: the coordinates are the user's."""


@dataclass(frozen=True)
class Sound(State):
    """Entries of the blocks, with what is observed there, so that a file can show it.

    Parameters
    ----------
    x : ndarray, shape (..., N)
        Entries.
    seen : ndarray, shape (..., K)
        Numbers in the order of :func:`feature_names`.
    """

    x: Array
    seen: Array

    rank: ClassVar[dict[str, int]] = {"x": 1, "seen": 1}


def is_word(name: Any) -> bool:
    """Whether a text is a plain identifier, such as a block's name."""
    plain = isinstance(name, str) and re.fullmatch(r"[A-Za-z][A-Za-z0-9_]*", name) is not None
    return plain and not keyword.iskeyword(name)


def is_name(name: Any) -> bool:
    """Whether a text can name a potential: a word that is not reserved and has no suffix."""
    return is_word(name) and name not in RESERVED and not name.endswith(("_dot", *FROZEN))


def feature_names(potentials: Sequence[str], averaged: bool) -> tuple[str, ...]:
    """Names of what a state carries, from those of its potentials.

    Parameters
    ----------
    potentials : sequence of str
        Names.
    averaged : bool
        Whether the loss takes quadrature, whose error is then one of them.
    """
    own = (each for name in potentials for each in (name, f"{name}_dot"))
    error = ("expectation_error",) if averaged else ()
    return ("loss", "loss_dot", "gradient_norm", "rounding", *own, *error)


def observe(loss: Loss, potentials: Mapping[str, sp.Expr], y: Array, tolerance: float) -> Array:
    """Loss, rates, potentials of states, in the order of :func:`feature_names`.

    Parameters
    ----------
    loss : Loss
        The loss.
    potentials : mapping
        Expressions in the entries by name.
    y : ndarray, shape (..., N)
        Entries.
    tolerance : float
        Relative error asked of expectations.

    Returns
    -------
    ndarray, shape (..., K)
        A number that the last bits of the entries decide is zero; `rounding` is the largest
        relative change of the others when these bits move.
    """
    flat = y.reshape(-1, y.shape[-1])
    value, slope, error, floor = _losses(loss, flat, tolerance)
    speed = np.linalg.norm(slope, axis=-1)
    columns = {"loss": value, "loss_dot": -(speed**2), "gradient_norm": speed}
    for name, expression in potentials.items():
        found = _both(expression, loss.y, flat)
        columns[name] = found[:, 0]
        columns[f"{name}_dot"] = -np.sum(found[:, 1:] * slope, axis=-1)

    levels = {"loss": floor * np.abs(value), "gradient_norm": floor * speed}
    noise = {**dict.fromkeys(potentials, np.zeros(len(flat))), **levels}
    for moved in _neighbours(flat):
        if not loss.averaged:
            other, slant = loss.at(moved)
            _raise(noise, "loss", other - value)
            _raise(noise, "gradient_norm", np.linalg.norm(slant, axis=-1) - speed)
        for name, expression in potentials.items():
            _raise(noise, name, _both(expression, loss.y, moved)[:, 0] - columns[name])
    rounding = np.where(np.isfinite(error), error, 0.0)
    for name, level in noise.items():
        size = np.abs(columns[name])
        known = level <= TRUSTED * size
        columns[name] = np.where(known, columns[name], 0.0)
        relative = np.divide(level, size, out=np.zeros_like(size), where=known & (size > 0))
        rounding = np.maximum(rounding, relative)
    # Where the gradient is not known, at a saddle nothing moves; near an optimum nobody knows.
    largest = np.maximum(speed, noise["gradient_norm"] / TRUSTED)
    unknown = (columns["gradient_norm"] == 0) & (largest**2 > STANDSTILL * columns["loss"])
    columns["loss"] = np.where(unknown, 0.0, columns["loss"])
    for name in potentials:
        columns[f"{name}_dot"] = np.where(unknown, np.nan, columns[f"{name}_dot"])
    columns["rounding"], columns["expectation_error"] = rounding, error
    columns["loss_dot"] = -(columns["gradient_norm"] ** 2)
    names = feature_names(tuple(potentials), loss.averaged)
    seen = np.stack([columns[name] for name in names], axis=-1)
    return seen.reshape(*y.shape[:-1], len(names))


def _both(expression: sp.Expr, y: Sequence[sp.Symbol], states: Array) -> Array:
    """Value and gradient, shape (T, 1 + N)."""
    with np.errstate(all="ignore"):
        values = numeric(expression, tuple(y)).both(*states.T)
    return np.stack([np.broadcast_to(v, len(states)) for v in values], axis=-1).astype(float)


def _losses(loss: Loss, states: Array, tolerance: float) -> tuple[Array, Array, Array, Array]:
    """Losses, gradients, errors of quadrature and the rounding of its sums."""
    nothing = np.zeros(len(states))
    if not loss.averaged:
        return (*loss.at(states), nothing, nothing)
    found = [estimate(loss, state, tolerance) for state in states]
    return (
        np.array([e.loss for e in found]),
        np.array([e.gradient for e in found]),
        np.array([e.error for e in found]),
        np.array([e.floor for e in found]),
    )


def _neighbours(states: Array) -> list[Array]:
    """States whose entries differ in their last bits."""
    generator = np.random.default_rng(0)
    signs = generator.choice([-1.0, 1.0], size=(PATTERNS, states.shape[-1]))
    return [states * (1 + EPSILON * sign) for sign in signs]


def _raise(levels: dict[str, Array], name: str, change: Array) -> None:
    levels[name] = np.maximum(levels[name], np.nan_to_num(np.abs(change), nan=np.inf))
