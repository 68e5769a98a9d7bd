r"""A model: a system of one's own as a class, whose sizes and options a person chooses.

.. math:: \dot y = -\nabla L(y), \qquad L = L_{\text{options}}
"""

from __future__ import annotations

import inspect
from collections.abc import Callable, Iterable, Mapping
from dataclasses import Field, dataclass, field, fields
from typing import TYPE_CHECKING, Any, ClassVar, TypeVar

import sympy as sp

from flows.core.errors import InputError
from flows.core.options import Kind, Option
from flows.systems.own.system import OwnSystem
from potentials.notation import symbol
from potentials.theorem import theorem

if TYPE_CHECKING:
    from numpy.random import Generator

    from potentials import Claim

__all__ = ["Model", "option", "theorem"]

T = TypeVar("T", int, float, str, bool)
# Kinds of options by the type of the default.
KINDS: dict[type, Kind] = {bool: "flag", int: "integer", float: "number", str: "text"}
# Quantities of every run, in which claims are written.
MEASURED = ("loss", "excess", "gradient_norm", "t")
# ... along the flow, at its start and at its end.
AT = ("", "_0", "_end")


def option(default: T, help: str, choices: tuple[str, ...] = ()) -> T:
    """Size or option of a :class:`Model`.

    Parameters
    ----------
    default : int, float, str or bool
        Its value where none is given; the type is that of every value.
    help : str
        What it is, for the help text of the command line, without a full stop.
    choices : tuple of str
        The words that it may be, if only some.

    Returns
    -------
    field
        Of the model's class.

    Raises
    ------
    InputError
        For a default of another type, and no help.

    Examples
    --------
    >>> class Well(Model):
    ...     power: int = option(4, "power of the well")
    ...
    ...     def blocks(self):
    ...         return {"y": ()}
    ...
    ...     def loss(self, y):
    ...         return y**self.power / self.power
    >>> Well(power=6).loss([1.0]), Well.options()[0].text
    (0.16666666666666666, 'power of the well [default: 4].')
    """
    if type(default) not in KINDS or not isinstance(help, str) or not help:
        raise InputError(
            f"option: expected a number, a word or a bool, and its help, got {default!r} and"
            f' {help!r}; write option(3, "dimension of the inputs")'
        )
    found: T = field(default=default, metadata={"help": help, "choices": tuple(choices)})
    return found


class Model:
    r"""Definition of a system: options, blocks, loss, and what else is said of it.

    .. math:: \dot y = -\nabla L(y)

    A subclass says its options as fields, and its blocks and loss as methods. Called with options
    it gives a :class:`flows.OwnSystem`, which every function takes; in a file, it is a system for
    every verb of the command line, ``popflow check FILE.py --d 3``.

    Parameters
    ----------
    **options
        Options of the subclass, by name; :func:`option` makes them.

    Returns
    -------
    OwnSystem
        Of the name of the class, with the options among its parameters.

    Raises
    ------
    InputError
        For options that it does not have or of another type, methods that are missing or take other
        names than those of the blocks, and for what :class:`flows.OwnSystem` refuses.

    Notes
    -----
    Units: ``t`` is the time of ``dy/dt = -grad L``.
    Accuracy: that of :class:`flows.OwnSystem`, which does all the work.

    Examples
    --------
    >>> class Scalars(Model):
    ...     "Two layers of one neuron."
    ...     target: float = option(1.0, "what the product has to learn")
    ...
    ...     def blocks(self):
    ...         return {"a": (), "b": ()}
    ...
    ...     def loss(self, a, b):
    ...         return (a * b - sp.Rational(str(self.target))) ** 2 / 2
    ...
    ...     def potentials(self, a, b):
    ...         return {"balance": a**2 - b**2}
    >>> system = Scalars(target=2.0)
    >>> system.loss([1.0, 1.0]), system.parameters["target"]
    (0.5, 2.0)
    >>> Scalars(goal=2.0)
    Traceback (most recent call last):
        ...
    symbolic.language.errors.InputError: Scalars: unknown option 'goal'; known: target
    """

    #: How states are kept, as for :class:`flows.OwnSystem`.
    arithmetic: ClassVar[str] = "auto"

    def __init_subclass__(cls, **given: Any) -> None:
        """Make the options of a subclass the fields of a frozen dataclass."""
        super().__init_subclass__(**given)
        dataclass(frozen=True, kw_only=True)(cls)

    def __new__(cls, **options: Any) -> OwnSystem:  # type: ignore[misc]
        """Make the system of these options."""
        return _system(_definition(cls, options))

    def __reduce__(self) -> tuple[Any, ...]:
        """Send a definition to another process by its class and options."""
        return _definition, (type(self), _values(self))

    @classmethod
    def options(cls) -> tuple[Option, ...]:
        """Options as the command line shows them."""
        if cls is Model:
            return ()
        return tuple(_stated(cls.__name__, f) for f in fields(cls))  # type: ignore[arg-type]

    def blocks(self) -> Mapping[str, tuple[int, ...]]:
        """What moves: names with their shapes, ``()`` for a number, ``(n,)`` for a column."""
        raise InputError(
            f"{type(self).__name__}: expected a method blocks; write def blocks(self): return"
            ' {"x": (), "W": (2, 3)}'
        )

    def loss(self, *blocks: Any, **named: Any) -> Any:
        """Loss in the blocks, which come by their names as SymPy symbols and matrices."""
        raise InputError(
            f"{type(self).__name__}: expected a method loss of the blocks; write def loss(self,"
            f" {', '.join(self.blocks())}): return ..."
        )

    def potentials(self, *blocks: Any, **named: Any) -> Mapping[str, Any]:
        """Functions of the blocks that are observed, by name."""
        return {}

    def claims(self, *quantities: Any, **named: Any) -> Iterable[Claim]:
        """Statements, of which :func:`flows.theorem` makes one, in quantities that come by name.

        These are ``loss``, ``excess``, ``gradient_norm``, ``t`` and the potentials; ``x_0`` is the
        value of ``x`` at the start, ``x_end`` at the end.
        """
        return ()

    def constants(self) -> Mapping[str, float]:
        """Numbers that claims refer to by their names, as they do to options."""
        return {}

    def initial(self, rng: Generator, scale: float) -> Any:
        """Random start: arrays by the names of the blocks, or one flat array."""
        raise NotImplementedError


def _stated(model: str, given: Field[Any]) -> Option:
    """Option that a field of a model says; its type as written is that of a whole number, too."""
    if "help" not in given.metadata:
        raise InputError(
            f'{model}: expected {given.name} to be an option; write option(3, "what it is")'
        )
    default: Any = given.default
    kind = KINDS[type(default)]
    if kind == "integer" and given.type in (float, "float"):
        kind = "number"
    choices = given.metadata["choices"]
    return Option(
        given.name,
        "choice" if choices else kind,
        given.metadata["help"],
        None if kind == "flag" or choices else given.name[:1].upper(),
        None if kind == "flag" else default,
        choices=choices,
    )


def _values(definition: Model) -> dict[str, Any]:
    """Options of a definition."""
    return {f.name: getattr(definition, f.name) for f in fields(definition)}  # type: ignore[arg-type]


def _definition(cls: type[Model], options: Mapping[str, Any]) -> Model:
    """Definition with these options, which is no system yet."""
    known = {one.name: one for one in cls.options()}
    for name, value in options.items():
        if name not in known:
            choices = f"known: {', '.join(known)}" if known else "it has none"
            raise InputError(f"{cls.__name__}: unknown option {name!r}; {choices}")
        _checked(cls.__name__, known[name], value)
    found: Model = object.__new__(cls)
    found.__init__(**options)  # type: ignore[misc]
    return found


def _checked(model: str, known: Option, value: Any) -> None:
    """Refuse a value of another type; a whole number is a number."""
    wanted: dict[str, tuple[type, ...]] = {
        "integer": (int,),
        "number": (int, float),
        "flag": (bool,),
    }
    kinds = wanted.get(known.kind, (str,))
    fits = isinstance(value, kinds) and isinstance(value, bool) == (known.kind == "flag")
    if not fits or (known.choices and value not in known.choices):
        expected = f"one of {', '.join(known.choices)}" if known.choices else f"a {known.kind}"
        raise InputError(f"{model}: expected {known.name} to be {expected}, got {value!r:.60}")


def _system(model: Model) -> OwnSystem:
    """System that a definition is."""
    name = type(model).__name__
    blocks = {key: _block(name, key, shape) for key, shape in _mapping(name, model).items()}
    potentials = dict(_called(name, model.potentials, Model.potentials, blocks))
    named = (f"{key}{end}" for key in (*MEASURED, *potentials) for end in AT)
    quantities = {key: symbol(key) for key in named}
    return OwnSystem(
        name,
        tuple(blocks.values()),
        _called(name, model.loss, None, blocks),
        potentials,
        tuple(_called(name, model.claims, Model.claims, quantities, every=False)),
        constants=model.constants(),
        arithmetic=model.arithmetic,
        settings=_values(model),
        start=None if type(model).initial is Model.initial else model.initial,
    )


def _mapping(name: str, model: Model) -> Mapping[str, tuple[int, ...]]:
    found = model.blocks()
    if not isinstance(found, Mapping) or not found:
        raise InputError(f'{name}: expected blocks such as {{"W": (2, 3)}}, got {found!r:.60}')
    return found


def _block(model: str, name: str, shape: Any) -> Any:
    """Symbol of a block: real, or a matrix; a vector is a column."""
    sizes = shape if isinstance(shape, tuple) else (shape,)
    whole = all(isinstance(k, int) and not isinstance(k, bool) and k > 0 for k in sizes)
    if not isinstance(name, str) or not whole or len(sizes) > 2:
        raise InputError(
            f"{model}: expected the shape of block {name} to be (), (n,) or (n, m) in whole numbers"
            f" above zero, got {shape!r:.60}"
        )
    return sp.MatrixSymbol(name, *(*sizes, 1)[:2]) if sizes else sp.Symbol(name, real=True)


def _called(
    model: str,
    method: Callable[..., Any],
    default: Callable[..., Any] | None,
    named: Mapping[str, Any],
    every: bool = True,
) -> Any:
    """Call a method with the blocks or quantities that its parameters name."""
    if default is not None and getattr(method, "__func__", None) is default:
        return method()
    asked = inspect.signature(method).parameters
    loose = any(p.kind in (p.VAR_KEYWORD, p.VAR_POSITIONAL) for p in asked.values())
    foreign = [key for key, p in asked.items() if key not in named and p.default is p.empty]
    if not loose and (foreign or (every and len(asked) < len(named))):
        raise InputError(
            f"{model}: expected {method.__name__} to take"
            f" {'' if every else 'some of '}{', '.join(named)}, got {', '.join(asked) or 'nothing'}"
        )
    return method(**(named if loose else {key: named[key] for key in asked if key in named}))
