"""The systems by name: their options at once, each class when it is first asked for."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from importlib import import_module
from typing import TYPE_CHECKING, Any, NamedTuple

from flows.core.errors import InputError, unknown
from flows.core.options import Option
from flows.systems.gmm_em.options import OPTIONS as GMM_EM
from flows.systems.matrix_factorization.options import OPTIONS as MATRIX_FACTORIZATION
from flows.systems.relu_neuron.options import OPTIONS as RELU_NEURON
from flows.systems.score_matching.options import OPTIONS as SCORE_MATCHING
from flows.systems.two_layer.options import OPTIONS as TWO_LAYER

if TYPE_CHECKING:
    from flows.core.system import System

__all__ = ["OPTIONS", "POLYNOMIAL", "SYSTEMS", "make", "recall"]

#: What a certificate calls a polynomial loss of one's own, which it states by its terms.
POLYNOMIAL = "polynomial"


class _Entry(NamedTuple):
    options: tuple[Option, ...]
    module: str
    class_name: str


_ENTRIES = {
    "relu_neuron": _Entry(RELU_NEURON, "flows.systems.relu_neuron.system", "ReLUNeuron"),
    "gmm_em": _Entry(GMM_EM, "flows.systems.gmm_em.system", "GMMEM"),
    "score_matching": _Entry(
        SCORE_MATCHING, "flows.systems.score_matching.system", "ScoreMatching"
    ),
    "matrix_factorization": _Entry(
        MATRIX_FACTORIZATION, "flows.systems.matrix_factorization.system", "MatrixFactorization"
    ),
    "two_layer": _Entry(TWO_LAYER, "flows.systems.two_layer.system", "TwoLayer"),
}


class _Classes(Mapping[str, "type[System]"]):
    """Classes by name, each imported when it is asked for."""

    def __getitem__(self, name: str) -> type[System]:
        entry = _ENTRIES[name]
        found: type[System] = getattr(import_module(entry.module), entry.class_name)
        return found

    def __contains__(self, name: object) -> bool:
        return name in _ENTRIES

    def __iter__(self) -> Iterator[str]:
        return iter(_ENTRIES)

    def __len__(self) -> int:
        return len(_ENTRIES)


#: The built-in systems.
SYSTEMS: Mapping[str, type[System]] = _Classes()
#: Options of each system beside those of every system, :data:`flows.core.options.START`.
OPTIONS = {name: entry.options for name, entry in _ENTRIES.items()}


def make(name: str, parameters: dict[str, Any]) -> System:
    """System ``name`` with these parameters, as in ``System.parameters`` or in a certificate.

    Raises
    ------
    InputError
        For an unknown system.
    """
    if name == POLYNOMIAL:
        from flows.systems.own.system import OwnSystem

        return OwnSystem.from_parameters(parameters)
    if name not in SYSTEMS:
        raise unknown("system", name, SYSTEMS)
    return SYSTEMS[name].from_parameters(parameters)


def recall(
    name: str,
    parameters: dict[str, Any],
    system: System | None = None,
    definition: Any = None,
) -> System:
    """System of a file: a built-in one, the given own one, or what the file says of it.

    Parameters
    ----------
    name : str
        Name in the file.
    parameters : dict
        Parameters in the file.
    system : System, optional
        The system as the caller has built it. It must be the one of the file, but an own system may
        have other potentials and claims.
    definition : optional
        What the file keeps of an own system beside its parameters.

    Raises
    ------
    InputError
        If it is another system.
    """
    own = "fingerprint" in parameters and name not in SYSTEMS
    if system is None and own and isinstance(definition, Mapping):
        from flows.systems.field.recalled import recalled

        return recalled(name, parameters, definition)
    if system is None and own:
        from flows.systems.own.recorded import RecordedSystem

        return RecordedSystem(name, parameters, definition)
    if system is None:
        return make(name, parameters)
    # The loss counts and the blocks, which its hash includes; of a built-in system everything.
    seen = ("fingerprint",) if own else tuple(parameters)
    theirs = {key: parameters[key] for key in seen}
    if system.name != name or any(system.parameters.get(k) != v for k, v in theirs.items()):
        raise InputError(
            f"the file holds a run of another system, {name!r} with the parameters"
            f" {_short(parameters)}, not of {system.name!r} as given"
        )
    return system


def _short(parameters: dict[str, Any]) -> str:
    """Text of parameters that fits on a line."""
    text = ", ".join(f"{key} = {value}" for key, value in parameters.items())
    return text if len(text) < 200 else text[:200] + " ..."
