"""The systems by name: their options at once, each class when it is first asked for."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from importlib import import_module
from pathlib import Path
from typing import TYPE_CHECKING, Any

from flows.core.errors import InputError, unknown
from flows.core.options import Option

if TYPE_CHECKING:
    from flows.core.system import System

__all__ = ["EXAMPLES", "MODELS", "OPTIONS", "OWN", "SYSTEMS", "make", "recall"]

#: What a certificate calls a loss of one's own, which it states by its terms or by its steps.
OWN = "polynomial", "loss", "average"

_FOLDER = Path(__file__).parent
# Folders in which a system says its options; the class is in `system.py`.
_NAMES = sorted(path.parent.name for path in _FOLDER.glob("*/options.py"))


class _Classes(Mapping[str, "type[System]"]):
    """Classes by name, each imported when it is asked for."""

    def __getitem__(self, name: str) -> type[System]:
        if name not in _NAMES:
            raise KeyError(name)
        module = import_module(f"flows.systems.{name}.system")
        classes = (x for x in vars(module).values() if isinstance(x, type))
        own = (x for x in classes if x.__module__ == module.__name__)
        found: type[System] = next(x for x in own if getattr(x, "name", None) == name)
        return found

    def __contains__(self, name: object) -> bool:
        return name in _NAMES

    def __iter__(self) -> Iterator[str]:
        return iter(_NAMES)

    def __len__(self) -> int:
        return len(_NAMES)


#: The built-in systems.
SYSTEMS: Mapping[str, type[System]] = _Classes()
_SAID = {name: import_module(f"flows.systems.{name}.options") for name in _NAMES}
#: Options of each system beside those of every system, :data:`flows.core.options.START`.
OPTIONS: dict[str, tuple[Option, ...]] = {name: said.OPTIONS for name, said in _SAID.items()}
#: Lines of help texts that show a system.
EXAMPLES = {name: str(getattr(said, "EXAMPLES", "")) for name, said in _SAID.items()}
#: Files of systems that are a model each, by their names: what holds of ``FILE.py`` holds of them.
MODELS = {
    path.stem: str(path) for path in sorted(_FOLDER.glob("[a-z]*.py")) if path != Path(__file__)
}


def make(name: str, parameters: dict[str, Any]) -> System:
    """System ``name`` with these parameters, as in ``System.parameters`` or in a certificate.

    Raises
    ------
    InputError
        For an unknown system.
    """
    if name in OWN:
        from flows.systems.own.system import OwnSystem

        return OwnSystem.from_parameters(parameters)
    if name not in SYSTEMS:
        raise unknown("system", name, SYSTEMS)
    return SYSTEMS[name].from_parameters(parameters)


def recall(
    name: str, parameters: dict[str, Any], system: System | None = None, definition: Any = None
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
