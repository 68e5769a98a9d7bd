"""Machine code of compiled functions: made once, where a function that Python calls is complete.

Numba makes machine code of every function, also of one that compiled code alone calls, takes the
code of all that it calls into it, and optimizes it at every level. Here such a function is a part:
it stays as it was written until a function with a wrapper for Python takes it in. Arrays that it
makes begin with a line of the cache.
"""

# mypy: disable-error-code="misc, no-untyped-call"

from __future__ import annotations

import contextlib
import gc
from collections.abc import Iterator
from typing import Any

from numba.core import types
from numba.core.codegen import JITCodeLibrary
from numba.core.compiler_lock import global_compiler_lock
from numba.core.registry import cpu_target
from numba.core.targetconfig import TargetConfig

__all__ = ["linked"]

# How Numba's names of wrappers for Python begin.
WRAPPER = "_ZN7cpython"
# Garbage is collected this rarely: compiling makes millions of objects, of which few are garbage.
RARELY = (50_000, 20, 100)
# Bytes of a line of the cache, with which arrays begin: else vectors of this length lie in two.
LINE = 64


class _Nowhere:
    """Where environments of parts are put: a part has no place in memory yet."""

    @staticmethod
    def set_env(name: str, environment: Any) -> None:
        """Leave it: only what makes Python objects needs one."""


class _Linked(JITCodeLibrary):
    """Code of a function: a part, or with its own copies of all parts that it calls."""

    is_part = False

    def _optimize_functions(self, ll_module: Any) -> None:
        """Optimize functions one by one where counts of arrays are to cancel."""
        if any(function.name == "NRT_incref" for function in ll_module.functions):
            super()._optimize_functions(ll_module)
        else:
            ll_module.data_layout = self._codegen._data_layout

    def finalize(self) -> None:
        """Complete the code, and make machine code of it unless it is a part."""
        self._raise_if_finalized()
        module = self._final_module
        if not any(function.name.startswith(WRAPPER) for function in module.functions):
            _link_as(module, "external", "linkonce_odr")
            self.is_part = self._finalized = True
            return
        for library in _called(self):  # none has parallel loops, which are begun anew when read
            module.link_in(_text(library), preserve=True)
        # Numba lets a process call that copy of a function which it has met first, and copies that
        # were optimized apart round differently: nobody else is to call these.
        _link_as(module, "linkonce_odr", "internal")
        self._optimize_final_module()
        module.verify()
        self._finalize_final_module()

    def _get_module_for_linking(self) -> Any:
        """Code that others take in, who do not know parts."""
        if self.is_part and self._shared_module is None:
            module = self._final_module.clone()
            for library in _called(self):
                module.link_in(_text(library), preserve=True)
            self._shared_module = module
        return super()._get_module_for_linking()

    def get_pointer_to_function(self, name: str) -> int:
        """Address of a function of the code; 0 in a part."""
        self._ensure_finalized()
        return 0 if self.is_part else int(super().get_pointer_to_function(name))

    @property
    def codegen(self) -> Any:
        """What places the code."""
        return _Nowhere if self.is_part else self._codegen


def _link_as(module: Any, before: str, after: str) -> None:
    for function in module.functions:
        if not function.is_declaration and function.linkage.name == before:
            function.linkage = after


def _is_part(library: Any) -> bool:
    return isinstance(library, _Linked) and library.is_part


def _text(library: Any) -> Any:
    return library._final_module if _is_part(library) else library._get_module_for_linking()


def _called(library: Any) -> list[Any]:
    """What a function calls, and what parts among it call."""
    found: dict[int, Any] = {}
    waiting = [library]
    while waiting:
        for other in waiting.pop()._linking_libraries:
            if id(other) not in found:
                found[id(other)] = other
                if _is_part(other):
                    waiting.append(other)
    return list(found.values())


def _remembered(resolve: Any) -> Any:
    """Resolve types of calls once: Numba tries dozens of templates for each sum of two doubles."""
    known: dict[Any, Any] = {}

    def resolved(function: Any, given: Any, named: Any) -> Any:
        if named or isinstance(function, types.Dispatcher):  # which is compiled then
            return resolve(function, given, named)
        key = function, tuple(given)
        if key not in known:
            known[key] = resolve(function, given, named)
        return known[key]

    return resolved


def _same(one: Any, other: Any) -> bool:
    """Whether options are equal: nearly always those that are set are, and no others are seen."""
    return one._values == other._values or one.values() == other.values()


@contextlib.contextmanager
def linked() -> Iterator[None]:
    """Let what is compiled be parts, and wholes, for as long as this lasts; threads wait for it."""
    with global_compiler_lock:  # else one would put back what another has set
        context, calls = cpu_target.target_context, cpu_target.typing_context
        codegen = context.codegen()
        if codegen._library_class is _Linked:
            yield
            return
        library, thresholds, equals = (
            codegen._library_class,
            gc.get_threshold(),
            TargetConfig.__eq__,
        )
        alignment = context.get_preferred_array_alignment
        codegen._library_class = _Linked
        context.get_preferred_array_alignment = lambda kind: LINE
        calls.resolve_function_type = _remembered(calls.resolve_function_type)
        TargetConfig.__eq__ = _same  # type: ignore[method-assign]
        gc.set_threshold(*RARELY)
        try:
            yield
        finally:
            codegen._library_class = library
            context.get_preferred_array_alignment = alignment
            del calls.resolve_function_type
            TargetConfig.__eq__ = equals  # type: ignore[method-assign]
            gc.set_threshold(*thresholds)
