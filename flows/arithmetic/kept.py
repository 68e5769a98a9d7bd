"""Compiled functions that outlive the process: one process compiles them, the next one reads them.

Numba keeps functions of a module by the module's date. The functions here are made from derived
expressions and from each other, so they are kept by a name and by the text of all that they could
be made from. They lie where Numba keeps everything: beside the module (as Python's own compiled
files do), in the user's cache where that folder is not writable, or in ``NUMBA_CACHE_DIR``.
"""

from __future__ import annotations

import contextlib
import functools
import hashlib
import inspect
import itertools
import re
import sys
from collections.abc import Callable, Iterator, Sequence
from importlib.metadata import version
from pathlib import Path
from types import ModuleType
from typing import Any

import numba
from numba.core import caching, sigutils
from numba.core.bytecode import FunctionIdentity
from numba.core.compiler_lock import global_compiler_lock
from numba.core.registry import cpu_target
from numba.extending import register_jitable

from flows.arithmetic.linked import linked

ROOT = Path(__file__).parents[2]
# Where the text of a compiled function may come from.
SOURCES = (
    "symbolic",
    "flows/arithmetic",
    "flows/core",
    "flows/solvers",
    "flows/systems",
    "flows/runs",
    "flows/ensembles",
)


def kept(parts: Sequence[Any], signature: Any, make: Callable[[], Any]) -> Any:
    """Read a compiled function from the disk, or compile it and keep it there.

    Parameters
    ----------
    parts : sequence
        What identifies the function among all that this version of the sources can make: words,
        numbers, modules, functions of a module, and functions that are kept. If another function
        is among them the result is made and not kept.
    signature : Numba signature or str
        Types of its arguments.
    make : callable
        Makes the Numba function. Called where nothing fresh is on the disk.

    Returns
    -------
    Numba function
        What comes from the disk knows this signature only.
    """
    name = " ".join(_word(part) for part in parts)
    store = _store(name)
    interpreted = getattr(numba.config, "DISABLE_JIT", False)
    if interpreted or "<locals>" in name or store is None:
        return make()
    arguments, returned = sigutils.normalize_signature(signature)
    key, target = (arguments, returned), cpu_target.target_context
    with global_compiler_lock:
        found = None
        with contextlib.suppress(Exception):  # what cannot be read, or is no code, is made anew
            found = store.load_overload(key, target)
        if found is None:
            _announce()
            with _numbered_by(name), linked():
                function = make()
                if arguments not in function.overloads:
                    function.compile(signature)
            with contextlib.suppress(OSError):  # a full disk
                _keep(store, key, function.overloads[arguments])
        else:
            function = _shell(len(arguments))
            target.insert_user_function(found.entry_point, found.fndesc, [found.library])
            function.add_overload(found)
            function.disable_compile()
    function.kept_as = name
    return function


@functools.cache
def _announce() -> None:
    """Say once, to a person at a terminal, why this call takes long and the next one does not."""
    if sys.stderr.isatty():
        print("popflow: compiling, once; later runs read it from the disk", file=sys.stderr)


@contextlib.contextmanager
def _numbered_by(name: str) -> Iterator[None]:
    """Number symbols of machine code from here on by a name, for as long as this lasts.

    Numba counts from 1 in each process. Functions that two processes have compiled, with functions
    of the same names inside them, would have the same symbols, and who reads both would call one
    for the other.
    """
    before = FunctionIdentity._unique_ids
    first = int.from_bytes(hashlib.sha256(name.encode()).digest()[:6], "big")
    FunctionIdentity._unique_ids = itertools.count(first)
    try:
        yield
    finally:
        FunctionIdentity._unique_ids = before


def _links(made: Any) -> Any:
    """Let a Numba function be linked as here whenever it is compiled."""
    compile_ = made._compiler.compile

    def compiled(*types: Any) -> Any:
        _announce()
        with linked():
            return compile_(*types)

    made._compiler.compile = compiled
    return made


class _WithSources(caching.FunctionCache):
    """Numba's own files, whose key also holds the fingerprint of the sources."""

    def _index_key(self, sig: Any, codegen: Any) -> Any:
        return (*super()._index_key(sig, codegen), sources())

    def load_overload(self, sig: Any, target_context: Any) -> Any:
        """Read code; an index that names what another version had is begun anew."""
        try:
            return super().load_overload(sig, target_context)
        except Exception:  # whatever an index names that cannot be imported any more
            with contextlib.suppress(OSError):
                self.flush()
            return None


def loop(function: Callable[..., Any], signature: Any = None, *, nogil: bool = False) -> Any:
    """Compile a function of a module and keep it as long as no source has changed.

    Numba keeps it as long as its own file is the same, whatever becomes of what it calls.

    Parameters
    ----------
    function : callable
        A function of a module.
    signature : Numba signature, optional
        Types of its arguments, for which it is compiled at once; else where it is called.
    nogil : bool
        Whether other threads run while it does.
    """
    options: Any = {"error_model": "numpy", "nogil": nogil, "_nrt": True}
    made: Any = _links(numba.njit(**options)(function))
    with contextlib.suppress(RuntimeError):  # no folder can be written
        made._cache = _WithSources(function)
    if signature is not None:
        made.compile(signature)
        made.disable_compile()
    return made


#: Compile like :func:`loop`; other threads run while it does.
unlocked: Any = functools.partial(loop, nogil=True)


def inner(
    function: Callable[..., Any],
    signature: Any = None,
    *,
    unfolds: bool = False,
    counts: bool = True,
) -> Any:
    """Compile a function of a module that compiled code alone calls: what calls it is kept.

    Parameters
    ----------
    function : callable
        The function.
    signature : Numba signature or str, optional
        Types of its arguments, where those of the caller would do but not be the same.
    unfolds : bool
        Whether its text stands where it is called, so that loops with it become vectors.
    counts : bool
        Whether it counts who holds arrays, as what makes arrays, or gives them back, has to. A
        count is shared by threads, and takes longer than what is done with a few numbers.
    """
    # Said of each, `loop`s too: else what is called does as its caller.
    options: Any = {
        "_nrt": counts,
        "no_cpython_wrapper": True,
        "no_cfunc_wrapper": True,
        "no_rewrites": True,
    }
    options |= {"forceinline": True} if unfolds else {}
    made = _links(numba.njit(error_model="numpy", **options)(function))
    if signature is not None:
        made.compile(signature)
        made.disable_compile()
    return made


#: Compile like :func:`inner` what neither makes arrays nor gives any back.
lean: Any = functools.partial(inner, counts=False)
#: Compile like :func:`lean` what Python calls, too.
shared: Any = register_jitable(
    error_model="numpy", _nrt=False, no_cpython_wrapper=True, no_cfunc_wrapper=True
)
#: The same as `lean` for a few numbers, which stay in registers where no call comes between.
unfolded: Any = functools.partial(lean, unfolds=True)


def outer(function: Callable[..., Any], signature: Any = None, *, counts: bool = True) -> Any:
    """Compile what Python calls and :func:`kept` keeps; other threads run while it does."""
    options: Any = {"error_model": "numpy", "no_rewrites": True, "nogil": True, "_nrt": counts}
    return numba.njit(signature, **options)(function)


def _keep(store: _Store, key: Any, code: Any) -> None:
    """Write code; an index of other sources, which may name lost modules, is begun anew."""
    try:
        store.save_overload(key, code)
    except OSError:
        raise
    except Exception:  # whatever an index names that cannot be imported any more
        store.flush()
        store.save_overload(key, code)


def _word(part: Any) -> str:
    if isinstance(part, str | int):
        return str(part)
    if isinstance(part, ModuleType):
        return part.__name__
    named = getattr(part, "kept_as", None)
    return str(named or f"{part.__module__}.{part.__qualname__}")


class _Store(caching.FunctionCache):
    """Numba's files, with a key of our own."""

    def __init__(self, name: str) -> None:
        super().__init__(kept)
        self._key = name
        base = f"{self._impl.filename_base}-{re.sub(r'[^A-Za-z0-9]+', '-', name)}"
        self._cache_file = caching.IndexDataCacheFile(self._cache_path, base, sources())

    def _index_key(self, sig: Any, codegen: Any) -> Any:
        made = (numba.config.OPT, numba.config.LOOP_VECTORIZE)  # type: ignore[attr-defined]
        return sig, codegen.magic_tuple(), made, self._key  # the processor is in the middle


def _store(name: str) -> _Store | None:
    try:
        return _Store(name)
    except RuntimeError:  # no folder can be written
        return None


def _shell(count: int) -> Any:
    def shell() -> None:
        raise AssertionError  # compiled code stands in its place

    kind = inspect.Parameter.POSITIONAL_OR_KEYWORD
    arguments = [inspect.Parameter(f"x{i}", kind) for i in range(count)]
    shell.__signature__ = inspect.Signature(arguments)  # type: ignore[attr-defined]
    return numba.njit(shell)


@functools.cache
def sources() -> str:
    """Fingerprint of the text and of the libraries that compiled functions are made from."""
    versions = [version(name) for name in ("sympy", "numpy", "numba", "llvmlite")]
    digest = hashlib.sha256(repr(versions).encode())
    for place in SOURCES:
        path = ROOT / place
        for file in [path] if path.is_file() else sorted(path.rglob("*.py")):
            digest.update(str(file.relative_to(ROOT)).encode() + b"\0" + file.read_bytes())
    return digest.hexdigest()
