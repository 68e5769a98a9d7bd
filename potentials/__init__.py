"""Potentials and claims of each system, exact, without arrays or solvers."""

from __future__ import annotations

from importlib import import_module
from pathlib import Path
from types import ModuleType

from potentials.claim import (
    EXPONENT,
    Claim,
    Comparison,
    Conserved,
    Hypothesis,
    Identity,
    Inequality,
    Invariant,
    LowerBound,
    Mark,
    Rate,
    UpperBound,
)
from potentials.notation import parameter, symbol
from potentials.potential import LieDerivative, Potential, Term
from potentials.source import Source
from potentials.statements import Statements
from potentials.substitution import Flow
from potentials.theorem import theorem

__all__ = [
    "EXPONENT",
    "SYSTEMS",
    "Claim",
    "Comparison",
    "Conserved",
    "Flow",
    "Hypothesis",
    "Identity",
    "Inequality",
    "Invariant",
    "LieDerivative",
    "LowerBound",
    "Mark",
    "Potential",
    "Rate",
    "Source",
    "Statements",
    "Term",
    "UpperBound",
    "auxiliaries",
    "claims",
    "flow",
    "marks",
    "parameter",
    "potentials",
    "statements",
    "symbol",
    "theorem",
]

#: Systems with files in this package: potentials and claims in one, the flow in another.
SYSTEMS = tuple(
    sorted(path.stem.removesuffix("_flow") for path in Path(__file__).parent.glob("*_flow.py"))
)


def _module(system: str, part: str = "") -> ModuleType:
    if system not in SYSTEMS:
        raise ValueError(f"unknown system {system!r}; known: {', '.join(SYSTEMS)}")
    return import_module(f"potentials.{system}{part}")


def potentials(system: str) -> tuple[Potential, ...]:
    """Return the potentials of a system.

    Parameters
    ----------
    system : str
        One of `SYSTEMS`.

    Returns
    -------
    tuple of Potential
        In the order in which the system's file presents them.

    Raises
    ------
    ValueError
        For an unknown system.

    Examples
    --------
    >>> [p.name for p in potentials("relu_neuron")][:2]
    ['pairwise_distance', 'kappa_max']
    """
    found: tuple[Potential, ...] = _module(system).POTENTIALS
    return found


def auxiliaries(system: str) -> tuple[Potential, ...]:
    """Return the quantities that claims of a system need beyond its potentials.

    Parameters
    ----------
    system : str
        One of `SYSTEMS`.

    Returns
    -------
    tuple of Potential
        They are no observables of a run.

    Raises
    ------
    ValueError
        For an unknown system.
    """
    found: tuple[Potential, ...] = _module(system).AUXILIARIES
    return found


def claims(system: str) -> tuple[Claim, ...]:
    """Return the claims about a system, with the exponents and constants of their sources.

    Parameters
    ----------
    system : str
        One of `SYSTEMS`.

    Returns
    -------
    tuple of Claim
        In the order in which the system's file presents them.

    Raises
    ------
    ValueError
        For an unknown system.

    Examples
    --------
    >>> print(claims("relu_neuron")[1].source)
    Xu & Du 2023, arXiv:2302.10034, Theorem 14 (lower)
    """
    found: tuple[Claim, ...] = _module(system).CLAIMS
    return found


def flow(system: str) -> Flow:
    """Return the flow of a system in the quantities of its proofs.

    Parameters
    ----------
    system : str
        One of `SYSTEMS`.

    Returns
    -------
    Flow
        What the Lie derivatives of the potentials are written in.

    Raises
    ------
    ValueError
        For an unknown system.
    """
    found: Flow = _module(system, "_flow").FLOW
    return found


def marks(system: str) -> tuple[Mark, ...]:
    """Return the times that the claims about a system refer to, with the rule that reads them.

    Parameters
    ----------
    system : str
        One of `SYSTEMS`.

    Returns
    -------
    tuple of Mark
        Empty where no claim refers to a time.

    Raises
    ------
    ValueError
        For an unknown system.
    """
    found: tuple[Mark, ...] = _module(system).MARKS
    return found


def statements(system: str) -> Statements:
    """Return potentials, auxiliaries, claims and marks of a system together.

    Parameters
    ----------
    system : str
        One of `SYSTEMS`.

    Returns
    -------
    Statements
        What its runs are measured and checked by.

    Raises
    ------
    ValueError
        For an unknown system.
    """
    return Statements(potentials(system), auxiliaries(system), claims(system), marks(system))
