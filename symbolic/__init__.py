"""Exact mathematics in SymPy: expressions, their derivations, and their compiled form.

Public names are imported on first use, so that ``import symbolic`` does not import SymPy.
"""

from __future__ import annotations

from importlib import import_module
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:  # what type checkers and editors see of the names that `_HOME` lists
    from symbolic.asymptotics.law import LateTimeLaw as LateTimeLaw
    from symbolic.evidence.derivation import Derivation as Derivation
    from symbolic.evidence.derivation import Document as Document
    from symbolic.evidence.identity import Evidence as Evidence
    from symbolic.evidence.identity import Finding as Finding
    from symbolic.evidence.printed import PrintedForm as PrintedForm
    from symbolic.evidence.step import Step as Step
    from symbolic.language.averages.expectation import Expectation as Expectation
    from symbolic.language.averages.gaussian import Gaussian as Gaussian
    from symbolic.language.averages.mixture import Mixture as Mixture
    from symbolic.language.averages.rows import Rows as Rows
    from symbolic.language.averages.uniform import Cube as Cube
    from symbolic.language.averages.uniform import Rademacher as Rademacher
    from symbolic.language.averages.uniform import Sphere as Sphere
    from symbolic.language.program import NotSmooth as NotSmooth
    from symbolic.language.rate import D as D
    from symbolic.systems.own.late_time import late_time_law as late_time_law
    from symbolic.theorem.proving import Statement as Statement

_HOME = {
    "Cube": "symbolic.language.averages.uniform",
    "D": "symbolic.language.rate",
    "Derivation": "symbolic.evidence.derivation",
    "Document": "symbolic.evidence.derivation",
    "Evidence": "symbolic.evidence.identity",
    "Expectation": "symbolic.language.averages.expectation",
    "Finding": "symbolic.evidence.identity",
    "Gaussian": "symbolic.language.averages.gaussian",
    "LateTimeLaw": "symbolic.asymptotics.law",
    "Mixture": "symbolic.language.averages.mixture",
    "NotSmooth": "symbolic.language.program",
    "PrintedForm": "symbolic.evidence.printed",
    "Rademacher": "symbolic.language.averages.uniform",
    "Rows": "symbolic.language.averages.rows",
    "Sphere": "symbolic.language.averages.uniform",
    "Statement": "symbolic.theorem.proving",
    "Step": "symbolic.evidence.step",
    "late_time_law": "symbolic.systems.own.late_time",
}

__all__ = sorted([*_HOME, "DOCUMENTS", "THEOREMS", "derive", "printed_forms", "theorems"])


def _having(file: str) -> dict[str, str]:
    """Systems in whose folder there is such a file, and the module that it is."""
    folders = sorted(path.parent.name for path in _FOLDER.glob(f"*/{file}.py"))
    return {name: f"symbolic.systems.{name}.{file}" for name in folders}


_FOLDER = Path(__file__).with_name("systems")

#: What can be derived, and the module that does it: systems, and lemmas that stand alone.
DOCUMENTS = _having("document") | {
    "activations": "symbolic.lemmas.activation_flow",
    "gaussian": "symbolic.lemmas.gaussian",
    "mixture": "symbolic.lemmas.mixture",
    "mixture_frame": "symbolic.lemmas.mixture_frame",
}

#: Systems of which theorems are stated, and the module that proves them.
THEOREMS = _having("statements")

# Systems whose paper's formulas are put to the machine.
_PRINTED = _having("printed")


def derive(name: str) -> Document:
    """Derive loss, gradient, flow and lemmas of a system.

    Parameters
    ----------
    name : str
        One of `DOCUMENTS`.

    Returns
    -------
    Document
        Its `derivations` are ordered steps; `verify()` adds the evidence of each.

    Raises
    ------
    ValueError
        If the name is not known.

    Examples
    --------
    >>> derive("relu_neuron").derivations[0].name
    'dual kernel of the ReLU activation'
    """
    document: Document = _module(name, DOCUMENTS).derive()
    return document


def printed_forms(system: str) -> tuple[PrintedForm, ...]:
    """Return the formulas that a system's paper prints, as steps which are proved or refuted.

    Parameters
    ----------
    system : str
        Whose folder in `symbolic/systems` has a file `printed.py`.

    Returns
    -------
    tuple of PrintedForm
        In the order of the paper; `form.verify()` says whether a formula holds, and `corrected` is
        what holds instead where it does not.

    Raises
    ------
    ValueError
        For any other system.

    Examples
    --------
    >>> [p.source for p in printed_forms("relu_neuron") if p.corrected][0]
    'Xu & Du 2023, arXiv 2302.10034, Lemma 20'
    """
    forms: tuple[PrintedForm, ...] = _module(system, _PRINTED).printed_forms()
    return forms


def theorems(system: str) -> tuple[Statement, ...]:
    """Prove the theorems about a system, from the rules of `symbolic.theorem.kernel`.

    Parameters
    ----------
    system : str
        One of `THEOREMS`.

    Returns
    -------
    tuple of Statement
        Each has a `theorem`, made by the kernel: `theorem.hyps` and `theorem.concl`.

    Raises
    ------
    ValueError
        If the name is not known.

    Examples
    --------
    >>> [s.name for s in theorems("score_matching")]
    ['means_by_loss', 'means_stay', 'means_small']
    """
    proved: tuple[Statement, ...] = _module(system, THEOREMS).theorems()
    return proved


def _module(name: str, known: dict[str, str]) -> Any:
    if name not in known:
        raise ValueError(f"unknown system {name!r}; known: {', '.join(known)}")
    return import_module(known[name])


def __getattr__(name: str) -> Any:
    """Import a public name from its module."""
    if name == "kernels":
        return import_module("symbolic.kernels")
    if name not in _HOME:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    found = globals()[name] = getattr(import_module(_HOME[name]), name)
    return found


def __dir__() -> list[str]:
    """Public names."""
    return __all__
