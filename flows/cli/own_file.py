"""A user's own Python file, run as Python runs it, and the system that it defines."""

from __future__ import annotations

import functools
import importlib.util
import linecache
import sys
import traceback
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from types import ModuleType
from typing import Any

from flows.core.errors import InputError
from flows.core.system import System
from flows.systems.own.model import Model

__all__ = ["defined_in", "errors_named", "line_of"]


def defined_in(path: str, name: str | None = None) -> System | type[Model]:
    """System or model that a file defines.

    Parameters
    ----------
    path : str
        A Python file. It is run, as by ``python FILE.py``, but not as ``__main__``.
    name : str, optional
        Which one, of several.

    Raises
    ------
    InputError
        If there is no file, if it fails, with file and line, and if it defines none or several.
    """
    file = Path(path)
    if not file.is_file():
        raise InputError(f"{path}: expected a Python file, found none; popflow new NAME writes one")
    seen = file.stat()
    module = _run(file.resolve(), (seen.st_mtime_ns, seen.st_size))
    found = {key: value for key, value in vars(module).items() if _is_one(value, module)}
    distinct = {id(value): key for key, value in found.items()}
    if name is not None:
        one: Any = getattr(module, name, None)
        if isinstance(one, System) or _is_model(one):
            made: System | type[Model] = one
            return made
        known = f"it has {', '.join(found)}" if found else "it has none"
        raise InputError(f"{path}: expected {name} to be a flows.Model or a system; {known}")
    if len(distinct) != 1:
        count = f"several, {', '.join(found)}; name one" if distinct else "none; write one"
        example = f"{path}:{next(iter(found))}" if distinct else "popflow new NAME"
        raise InputError(
            f"{path}: expected one subclass of flows.Model, or one system such as"
            f" flows.OwnSystem(...), got {count}, as in {example}"
        )
    (key,) = distinct.values()
    only: System | type[Model] = found[key]
    return only


def _is_model(value: Any) -> bool:
    return isinstance(value, type) and issubclass(value, Model) and value is not Model


def _is_one(value: Any, module: ModuleType) -> bool:
    """Whether a file defines it: what it has imported does not count."""
    if _is_model(value):
        return bool(value.__module__ == module.__name__)
    return isinstance(value, System)


@functools.lru_cache(maxsize=8)
def _run(file: Path, changed: tuple[int, int]) -> ModuleType:
    """Module of a file; its folder comes first among those that it imports from."""
    folder = str(file.parent)
    if folder not in sys.path:
        sys.path.insert(0, folder)
    spec = importlib.util.spec_from_file_location(f"popflow_file_{file.stem}", file)
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    # Dataclasses look their module up while they are made. Afterwards it is in no list, so that
    # classes are sent to other processes by what they are.
    sys.modules[module.__name__] = module
    try:
        with errors_named(str(file)):
            spec.loader.exec_module(module)
    finally:
        del sys.modules[module.__name__]
    return module


@contextmanager
def errors_named(path: str) -> Iterator[None]:
    """Say what fails in a file in one line, with the line of the file."""
    try:
        yield
    except InputError as error:
        line = _line(error, path)
        raise InputError(f"{path}{line}: {error}" if line else str(error)) from None
    except SyntaxError as error:
        where = error.filename or path
        raise InputError(f"{where}, line {error.lineno}: {error.msg}; mend it") from None
    except (Exception, SystemExit) as error:
        kind, line = type(error).__name__, _line(error, path)
        raise InputError(f"{path}{line}: {kind}: {error}; mend it") from None


def line_of(method: Any, word: str) -> str:
    """File and line of a method, the first one that holds a word if one does; else nothing."""
    code = getattr(method, "__code__", None)
    if code is None:
        return ""
    first = code.co_firstlineno
    rows = enumerate(linecache.getlines(code.co_filename)[first - 1 :], first)
    line = next((k for k, text in rows if f'"{word}"' in text), first)
    return f"{code.co_filename}, line {line}"


def _line(error: BaseException, path: str) -> str:
    """Where in a file an error arose; nothing if it did not pass through it."""
    asked = Path(path).resolve()
    frames = traceback.extract_tb(error.__traceback__)
    numbers = [f.lineno for f in frames if f.filename[:1] != "<" and Path(f.filename) == asked]
    return f", line {numbers[-1]}" if numbers else ""
