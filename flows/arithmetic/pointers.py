"""Calls of compiled functions by their address, so that what calls them is compiled without them.

Numba compiles a function that is called anew inside its caller; one that takes ten seconds is
compiled once this way.
"""

# mypy: disable-error-code="no-untyped-def, untyped-decorator, no-untyped-call"

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from numba import types
from numba.extending import intrinsic

__all__ = ["address_of", "caller"]


def address_of(function: Any) -> int:
    """Address of a Numba function of one signature, which must stay alive as long as it is used."""
    (found,) = function.overloads.values()
    place = int(found.library.get_pointer_to_function(found.fndesc.llvm_func_name))
    assert place, f"compiled code alone calls {found.fndesc.qualname}, which has no address"
    return place


def caller(signature: Any) -> Callable[..., None]:
    """Return ``call(address, arguments)``, for functions of this signature that return nothing."""
    wanted = types.Tuple(signature.args)

    @intrinsic
    def call(typing, address, arguments):
        def code(context, builder, _, values):
            kinds = signature.args
            convention = context.call_conv
            kind = convention.get_function_type(types.void, kinds)
            pointer = builder.inttoptr(values[0], kind.as_pointer())
            parts = [builder.extract_value(values[1], i) for i in range(len(kinds))]
            convention.call_function(builder, pointer, types.void, kinds, parts)
            return context.get_dummy_value()

        return types.void(types.int64, wanted), code

    return call
