"""Records of arrays in compiled code: functions take the place of a record, not all of its numbers.

Numba takes a named tuple apart wherever it is handed on. One of thirty arrays is two hundred
numbers, a call with four of these takes a thousand arguments, and most of what is compiled carries
them along. A function that takes a :class:`Placed` record takes its address instead, and so does
what it hands that record to, or a record in it.
"""

# mypy: disable-error-code="no-untyped-def, untyped-decorator, no-untyped-call, misc"

from __future__ import annotations

import hashlib
import math
import re
import struct
from typing import Any

import numpy as np
from llvmlite import ir  # type: ignore[import-untyped]
from numba import typeof, types
from numba.core import cgutils
from numba.core.imputils import impl_ret_borrowed, lower_getattr_generic
from numba.core.typing.templates import AttributeTemplate, infer_getattr
from numba.extending import NativeValue, models, register_model, typeof_impl, unbox
from numpy.typing import NDArray

from flows.arithmetic.linked import LINE

__all__ = ["Placed", "Record", "lined"]

# Numbers of Python as they stand in memory.
_FORMATS = {bool: "?", int: "q", float: "d", np.float64: "d"}


class Record(types.Type):
    """Type of the place of a named tuple, which nobody changes as long as it lasts."""

    def __init__(self, over: types.NamedTuple) -> None:
        self.over = over
        words = f"{over.instance_class.__module__} {over}"
        fields = hashlib.sha256(words.encode()).hexdigest()[:12]
        super().__init__(name=f"{over.instance_class.__name__} {fields}")


class Placed:
    """A named tuple of arrays, of numbers, and of others of its kind, as compiled code takes it."""

    def __init__(self, record: tuple[Any, ...]) -> None:
        kinds, values = _laid_out(record)
        self.kind, self._held = _kind_of(kinds, record), record
        self._block = np.frombuffer(struct.pack(re.sub("<.*?>", "", kinds), *values), np.uint8)
        self.address = _address(self._block)


_KINDS: dict[str, Record] = {}


def _kind_of(layout: str, record: tuple[Any, ...]) -> Record:
    """Type of a record of this layout."""
    if layout not in _KINDS:
        _KINDS[layout] = Record(typeof(record))
    return _KINDS[layout]


def _address(array: NDArray[Any]) -> int:
    return int(array.__array_interface__["data"][0])


def _laid_out(value: Any) -> tuple[str, list[Any]]:
    """Format of a field, with its type where that does not tell it, and the numbers there."""
    if isinstance(value, np.ndarray):
        numbers = [0, 0, value.size, value.itemsize, _address(value)]
        layout = f"<{value.dtype.char} {value.flags.c_contiguous}>PPqqP{2 * value.ndim}q"
        return layout, [*numbers, *value.shape, *value.strides]
    if not isinstance(value, tuple):
        return _FORMATS[type(value)], [value]
    parts = [_laid_out(field) for field in value]
    name = f"<{type(value).__module__} {type(value).__name__}>"
    return "".join([name, *(kind for kind, _ in parts), "0q"]), [
        x for _, held in parts for x in held
    ]


def lined(shape: Any, value: Any = 0.0) -> NDArray[Any]:
    """Array of one number that begins with a line of the cache: else vectors lie in two lines."""
    axes = shape if isinstance(shape, tuple) else (shape,)
    size = math.prod(axes)
    block = np.empty(size + LINE, type(value))
    block.fill(value)
    first = -_address(block) % LINE // block.itemsize
    return block[first : first + size].reshape(axes)


@typeof_impl.register(Placed)
def _type_of(value, context):
    return value.kind


@unbox(Record)
def _unboxed(kind, value, c):
    address = c.pyapi.object_getattr_string(value, "address")
    place = c.builder.inttoptr(c.pyapi.long_as_ulonglong(address), c.context.get_value_type(kind))
    c.pyapi.decref(address)
    return NativeValue(place)


@register_model(Record)
class _Model(models.PrimitiveModel):
    """A record is a pointer to LLVM."""

    def __init__(self, manager, kind):
        held = manager.lookup(kind.over).get_value_type()
        super().__init__(manager, kind, held.as_pointer())

    def from_argument(self, builder, value):
        """Say that no array lies over the record: it is not read anew where they change."""
        if isinstance(value, ir.Argument):
            value.add_attribute("noalias")
        return value


@infer_getattr
class _Fields(AttributeTemplate):
    key = Record

    def generic_resolve(self, kind, name):
        over = kind.over
        if name not in over.fields:
            return None
        field = over[over.fields.index(name)]
        return Record(field) if isinstance(field, types.NamedTuple) else field


@lower_getattr_generic(Record)
def _field(context, builder, kind, value, name):
    place = kind.over.fields.index(name)
    found, held = cgutils.gep_inbounds(builder, value, 0, place), kind.over[place]
    if isinstance(held, types.NamedTuple):
        return found
    return impl_ret_borrowed(context, builder, held, builder.load(found))
