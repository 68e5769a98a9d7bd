"""Flows in numbers: integrate, measure, check, show.

Public names are imported on first use, so that ``import flows`` and ``popflow --help`` are cheap.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

from flows.core.views import VIEWS

if TYPE_CHECKING:  # what type checkers and editors see; a test holds it equal to the table below
    from flows.certificates.certificate import Certificate as Certificate
    from flows.certificates.certificate import load_certificate as load_certificate
    from flows.certificates.certify import certify as certify
    from flows.certificates.endless.relu_neuron import late_states as late_states
    from flows.certificates.minimum.find import find_potential_near as find_potential_near
    from flows.certificates.minimum.propose import propose_potential as propose_potential
    from flows.certificates.stationary.many import stationary_ensemble as stationary_ensemble
    from flows.certificates.stationary.point import StationaryPoint as StationaryPoint
    from flows.certificates.stationary.point import stationary as stationary
    from flows.certificates.verifier.verify import verify as verify
    from flows.core.errors import InputError as InputError
    from flows.ensembles.descend import descend_ensemble as descend_ensemble
    from flows.ensembles.fractions import sweep_fraction as sweep_fraction
    from flows.ensembles.integrate import integrate_ensemble as integrate_ensemble
    from flows.ensembles.matrix_factorization import convergence as convergence
    from flows.ensembles.result import Ensemble as Ensemble
    from flows.ensembles.run import load_ensemble as load_ensemble
    from flows.ensembles.score_matching import threshold as threshold
    from flows.ensembles.starts import Law as Law
    from flows.ensembles.sweep import load_sweep as load_sweep
    from flows.ensembles.sweep import sweep as sweep
    from flows.ensembles.worst_case import worst_case as worst_case
    from flows.pages import figures as figures
    from flows.pages.inspect import inspect as inspect
    from flows.pages.own_report import report as report
    from flows.runs.check import check as check
    from flows.runs.descend import descend as descend
    from flows.runs.find import find_potential as find_potential
    from flows.runs.find_law import late_time_law as late_time_law
    from flows.runs.found import FoundPotential as FoundPotential
    from flows.runs.integrate import integrate as integrate
    from flows.runs.late_law import LateLaw as LateLaw
    from flows.runs.load import load as load
    from flows.runs.rates import local_exponent as local_exponent
    from flows.runs.rates import tail_constant as tail_constant
    from flows.runs.saddles import saddles as saddles
    from flows.runs.sensitivity import sensitivity as sensitivity
    from flows.runs.trajectory import Trajectory as Trajectory
    from flows.solvers.choice import METHODS as METHODS
    from flows.systems.field.system import ODE as ODE
    from flows.systems.gmm_em.system import GMMEM as GMMEM
    from flows.systems.matrix_factorization.system import MatrixFactorization as MatrixFactorization
    from flows.systems.own.model import Model as Model
    from flows.systems.own.model import option as option
    from flows.systems.own.model import theorem as theorem
    from flows.systems.own.system import OwnSystem as OwnSystem
    from flows.systems.relu_neuron.system import ReLUNeuron as ReLUNeuron
    from flows.systems.score_matching.system import ScoreMatching as ScoreMatching
    from flows.systems.two_layer.system import TwoLayer as TwoLayer

_HOME = {
    "Certificate": "flows.certificates.certificate",
    "Ensemble": "flows.ensembles.result",
    "FoundPotential": "flows.runs.found",
    "GMMEM": "flows.systems.gmm_em.system",
    "InputError": "flows.core.errors",
    "LateLaw": "flows.runs.late_law",
    "Law": "flows.ensembles.starts",
    "METHODS": "flows.solvers.choice",
    "MatrixFactorization": "flows.systems.matrix_factorization.system",
    "Model": "flows.systems.own.model",
    "ODE": "flows.systems.field.system",
    "OwnSystem": "flows.systems.own.system",
    "ReLUNeuron": "flows.systems.relu_neuron.system",
    "ScoreMatching": "flows.systems.score_matching.system",
    "StationaryPoint": "flows.certificates.stationary.point",
    "Trajectory": "flows.runs.trajectory",
    "TwoLayer": "flows.systems.two_layer.system",
    "certify": "flows.certificates.certify",
    "check": "flows.runs.check",
    "convergence": "flows.ensembles.matrix_factorization",
    "descend": "flows.runs.descend",
    "descend_ensemble": "flows.ensembles.descend",
    "find_potential": "flows.runs.find",
    "find_potential_near": "flows.certificates.minimum.find",
    "propose_potential": "flows.certificates.minimum.propose",
    "inspect": "flows.pages.inspect",
    "integrate": "flows.runs.integrate",
    "integrate_ensemble": "flows.ensembles.integrate",
    "late_time_law": "flows.runs.find_law",
    "late_states": "flows.certificates.endless.relu_neuron",
    "load": "flows.runs.load",
    "load_certificate": "flows.certificates.certificate",
    "load_ensemble": "flows.ensembles.run",
    "load_sweep": "flows.ensembles.sweep",
    "local_exponent": "flows.runs.rates",
    "option": "flows.systems.own.model",
    "report": "flows.pages.own_report",
    "saddles": "flows.runs.saddles",
    "sensitivity": "flows.runs.sensitivity",
    "stationary": "flows.certificates.stationary.point",
    "stationary_ensemble": "flows.certificates.stationary.many",
    "sweep": "flows.ensembles.sweep",
    "sweep_fraction": "flows.ensembles.fractions",
    "tail_constant": "flows.runs.rates",
    "theorem": "flows.systems.own.model",
    "threshold": "flows.ensembles.score_matching",
    "verify": "flows.certificates.verifier.verify",
    "worst_case": "flows.ensembles.worst_case",
}
# Names that are modules.
_MODULES = {"figures": "flows.pages.figures"}

if not TYPE_CHECKING:  # a checker that cannot read the list would take no name for public
    __all__ = sorted([*_HOME, *_MODULES])


def _plot(run: Any, ax: Any = None) -> Any:
    """Draw the loss of a run; the method `plot` of a run, whose room knows no figures."""
    from flows.pages.figure import loss_figure, loss_on

    return loss_figure(run) if ax is None else loss_on(run, ax)


def _reduced(system: Any, potentials: Any, keep: Any) -> Any:
    """Closed equation of potentials; the method `reduced` of a system, whose room knows no ODE."""
    from flows.systems.field.reduction import reduced

    return reduced(system, potentials, keep)


def _general(system: Any) -> Any:
    """The loss that a system states as one's own; `general` of a system, whose room knows none."""
    from flows.systems.own.system import OwnSystem

    return OwnSystem(f"general_{system.name}", *system.formula)


VIEWS["plot"], VIEWS["reduced"], VIEWS["general"] = _plot, _reduced, _general


def __getattr__(name: str) -> Any:
    """Import a public name from its module."""
    if name in _MODULES:
        return import_module(_MODULES[name])
    if name not in _HOME:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    found = globals()[name] = getattr(import_module(_HOME[name]), name)
    return found


def __dir__() -> list[str]:
    """Public names."""
    return sorted([*_HOME, *_MODULES])
