"""Reading and writing compiled numbers of any kind, in arrays and behind bare pointers."""

# mypy: disable-error-code="no-untyped-def, untyped-decorator, no-untyped-call, misc"

from __future__ import annotations

from typing import Any

from llvmlite import ir  # type: ignore[import-untyped]
from numba import carray, types
from numba.core import cgutils
from numba.extending import intrinsic
from numba.np import arrayobj

from flows.arithmetic.duals import Dual
from flows.arithmetic.vectors import WIDTH, vector

__all__ = ["SLOPES", "array_at", "beginning", "behind", "memory"]

#: Doubles that the slopes of a dual take.
SLOPES = WIDTH
#: ``array_at(pointer, shape)``: the array of a shape that a pointer leads to.
array_at: Any = carray
_ALIGNED = 8  # bytes
_KINDS = {
    1: (types.float64, ir.DoubleType()),
    WIDTH: (vector, ir.VectorType(ir.DoubleType(), WIDTH)),
}


def memory(width: int, slopes: int = 0) -> tuple[Any, Any]:
    """Return ``get(x, i)`` and ``put(x, i, number)``.

    Parameters
    ----------
    width : int
        Doubles of a number: 1, or `WIDTH`.
    slopes : int
        Doubles behind them: none, or `SLOPES` of a dual.
    """
    over, _ = _KINDS[width]
    kind: Any = Dual(over) if slopes else over
    parts = [(width, 0)] + ([(slopes, width)] if slopes else [])

    def places(context, builder, array, values):
        start = values[0]
        if isinstance(array, types.Array):
            start = arrayobj.make_array(array)(context, builder, start).data
        first = builder.mul(values[1], ir.Constant(values[1].type, width + slopes))
        for count, after in parts:
            place = builder.gep(start, [builder.add(first, ir.Constant(first.type, after))])
            held = _KINDS[count][1]
            yield builder.bitcast(place, held.as_pointer()), held

    @intrinsic
    def get(typing, x, i):
        def code(context, builder, sig, args):
            found = [
                builder.load(place, align=_ALIGNED, typ=held)
                for place, held in places(context, builder, sig.args[0], args)
            ]
            if not slopes:
                return found[0]
            both = cgutils.create_struct_proxy(kind)(context, builder)
            both.value, both.slope = found
            return both._getvalue()

        return kind(x, types.intp), code

    @intrinsic
    def put(typing, x, i, number):
        def code(context, builder, sig, args):
            values = [args[2]]
            if slopes:
                both = cgutils.create_struct_proxy(kind)(context, builder, args[2])
                values = [both.value, both.slope]
            found = places(context, builder, sig.args[0], args)
            for value, (place, _) in zip(values, found, strict=True):
                builder.store(value, place, align=_ALIGNED)
            return context.get_dummy_value()

        return types.void(x, types.intp, kind), code

    return get, put


@intrinsic
def behind(typing, pointer, count):
    """Pointer to what lies so many doubles behind another."""

    def code(context, builder, sig, args):
        return builder.gep(args[0], [args[1]])

    return pointer(pointer, types.intp), code


@intrinsic
def beginning(typing, array):
    """Pointer to the first number of an array of doubles."""

    def code(context, builder, sig, args):
        return arrayobj.make_array(sig.args[0])(context, builder, args[0]).data

    return types.CPointer(types.float64)(array), code
