"""The content of a report's page: a story, and runs, each a system, a start, and how to draw it."""

from __future__ import annotations

import json
import shlex
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace

import sympy as sp
from matplotlib.figure import Figure
from numpy.typing import ArrayLike

from flows.core.system import System
from flows.runs.trajectory import Trajectory
from potentials.claim import Claim

__all__ = ["Case", "Draw", "Endless", "Story", "echo", "scaled"]

T_END = 1e12

Draw = Callable[[Trajectory], Figure]


def scaled(claim: Claim, factor: float | str, index: int = 0) -> Claim:
    """Break a claim: the constant of one conclusion times a factor, which is read as a decimal."""
    conclusions = list(claim.conclusions)
    one = conclusions[index]
    constant = (sp.S.One if one.constant is None else one.constant) * sp.Rational(str(factor))
    conclusions[index] = replace(one, constant=constant)
    return replace(claim, conclusions=tuple(conclusions))


def echo(numbers: list[float] | list[list[float]], name: str) -> str:
    """Shell command that writes a file of numbers."""
    return f"echo {shlex.quote(json.dumps(numbers))} > {name}"


@dataclass(frozen=True)
class Story:
    """What a page says before its verdicts.

    Parameters
    ----------
    title : str
        What the page shows, in a sentence.
    problem : tuple of (str, str)
        The formulas of the problem in LaTeX, each with what its symbols are.
    result : str
        What the first run and its figure show.
    found : tuple of str
        What the machine found that the paper does not say.
    symbols : str
        What the symbols of the derivation are that no step defines.
    small : (str, System), optional
        A small case whose loss is a polynomial, in words: what its flow keeps is listed.
    """

    title: str
    problem: tuple[tuple[str, str], ...]
    result: str
    found: tuple[str, ...]
    symbols: str = ""
    small: tuple[str, System] | None = None


@dataclass(frozen=True)
class Endless:
    """A start of which the theorem is proved for all times.

    Parameters
    ----------
    system : System
        The flow.
    start : array_like
        User's start.
    options : str
        Options of the command line that give them.
    digits : int
        What the certificate aims at.
    """

    system: System
    start: ArrayLike
    options: str
    digits: int


@dataclass(frozen=True)
class Case:
    """One run of a report.

    Parameters
    ----------
    title, text : str
        What the run shows.
    system : System
        The flow.
    start : array_like
        User's start.
    options : str
        Options of the command line that give this system and start; ``--initial`` has the file
        that ``prepare`` writes.
    prepare : str
        Shell command that must come before, or nothing.
    figures : dict
        Functions that draw the run, by caption.
    broken : tuple of Claim
        Deliberately wrong claims that this run must refute.
    t_end : float
        End of the run.
    power : float or None
        The limit of `t^power` times the loss is shown; by default the exponent of the upper bound.
    """

    title: str
    text: str
    system: System
    start: ArrayLike
    options: str
    prepare: str = ""
    figures: Mapping[str, Draw] = field(default_factory=dict)
    broken: tuple[Claim, ...] = ()
    t_end: float = T_END
    power: float | None = None

    @property
    def command(self) -> str:
        """Command line that repeats run and verdicts."""
        name = self.system.name
        run = f"popflow check {name} {self.options} --t-end {self.t_end:g}"
        return f"{self.prepare} &&\n{run}" if self.prepare else run
