"""Vectors of doubles in compiled code: as many numbers as the processor works on at a time.

A loop that LLVM is to turn into vectors must not call anything, and must write few rows; a number
that is a vector from the beginning has neither restriction, and what is computed of it stays in
registers. Compiled functions use these numbers like others: sums, products and quotients with each
other and with doubles. Products and sums may be fused. Comparisons give masks, which `&` and `|`
join, and by which :func:`where` chooses.
"""

# mypy: disable-error-code="no-untyped-def, untyped-decorator, no-untyped-call, misc"

from __future__ import annotations

import operator
from typing import Any

from llvmlite import ir  # type: ignore[import-untyped]
from numba import types
from numba.core.cgutils import get_or_insert_function
from numba.core.typing.templates import AbstractTemplate, infer_global, signature
from numba.extending import intrinsic, lower_builtin, models, register_model
from numba.np import arrayobj

__all__ = [
    "WIDTH",
    "any_of",
    "halves",
    "intrinsic_of_numbers",
    "intrinsic_of_vectors",
    "larger",
    "load",
    "magnitude",
]
__all__ += ["power_of_two", "root", "smaller", "spread", "store", "total", "vector", "where"]
__all__ += ["where_less"]

#: Numbers of a vector.
WIDTH = 16

_DOUBLES, _WHOLES = ir.VectorType(ir.DoubleType(), WIDTH), ir.VectorType(ir.IntType(64), WIDTH)
_TRUTHS = ir.VectorType(ir.IntType(1), WIDTH)
_FLAGS = ("contract",)
_ALIGNED = 8  # bytes
# Bits of a double: how many are behind the point, and the exponent of 1.
_BITS, _ONE = 52, 1023


class _Vector(types.Type):
    """Type of a vector."""

    def __init__(self) -> None:
        super().__init__(name=f"vector of {WIDTH} doubles")


#: The type of a vector.
vector = _Vector()


class _Mask(types.Type):
    """Type of what is true or false of each entry."""

    def __init__(self) -> None:
        super().__init__(name=f"mask of {WIDTH} doubles")


_mask = _Mask()


@register_model(_Vector)
class _Model(models.PrimitiveModel):
    """A vector is one number to LLVM."""

    def __init__(self, manager, kind):
        super().__init__(manager, kind, _DOUBLES)


@register_model(_Mask)
class _MaskModel(models.PrimitiveModel):
    """So is a mask."""

    def __init__(self, manager, kind):
        super().__init__(manager, kind, _TRUTHS)


def filled(builder, number):
    """A vector of one double."""
    one = builder.insert_element(
        ir.Constant(_DOUBLES, ir.Undefined), number, ir.Constant(ir.IntType(32), 0)
    )
    places = ir.Constant(ir.VectorType(ir.IntType(32), WIDTH), [0] * WIDTH)
    return builder.shuffle_vector(one, ir.Constant(_DOUBLES, ir.Undefined), places)


def _as_vector(context, builder, value, kind):
    if isinstance(kind, _Vector):
        return value
    return filled(builder, context.cast(builder, value, kind, types.float64))


def _constant(number):
    return ir.Constant(_DOUBLES, [number] * WIDTH)


def _whole(number):
    return ir.Constant(_WHOLES, [number] * WIDTH)


# Arithmetic ---------------------------------------------------------------------------------------


class _Arithmetic(AbstractTemplate):
    """Two numbers of which one is a vector give a vector."""

    found: types.Type = vector

    def generic(self, args, kws):
        number = (_Vector, types.Float, types.Integer)
        if any(isinstance(x, _Vector) for x in args) and all(isinstance(x, number) for x in args):
            return signature(self.found, *args)
        return None


class _Comparison(_Arithmetic):
    """They give a mask, false where one is NaN."""

    found = _mask


def _define(operation: Any, kind: type[_Arithmetic], instruction: Any) -> None:
    infer_global(operation)(type("_Operation", (kind,), {}))

    def code(context, builder, sig, args):
        parts = (_as_vector(context, builder, *pair) for pair in zip(args, sig.args, strict=True))
        return instruction(builder, *parts)

    for other in (types.Float, types.Integer):
        lower_builtin(operation, _Vector, other)(code)
        lower_builtin(operation, other, _Vector)(code)
    lower_builtin(operation, _Vector, _Vector)(code)


def _arithmetic(instruction: str) -> Any:
    return lambda builder, x, y: getattr(builder, instruction)(x, y, flags=_FLAGS)


def _comparison(sign: str) -> Any:
    return lambda builder, x, y: builder.fcmp_ordered(sign, x, y)


for _operations, _instruction in (
    ((operator.add, operator.iadd), "fadd"),
    ((operator.sub, operator.isub), "fsub"),
    ((operator.mul, operator.imul), "fmul"),
    ((operator.truediv, operator.itruediv), "fdiv"),
):
    for _operation in _operations:
        _define(_operation, _Arithmetic, _arithmetic(_instruction))
for _operation, _sign in (
    (operator.lt, "<"),
    (operator.le, "<="),
    (operator.gt, ">"),
    (operator.eq, "=="),
):
    _define(_operation, _Comparison, _comparison(_sign))


class _Join(AbstractTemplate):
    """Two masks give a mask."""

    def generic(self, args, kws):
        return signature(_mask, *args) if all(isinstance(x, _Mask) for x in args) else None


infer_global(operator.and_)(type("_And", (_Join,), {}))
infer_global(operator.or_)(type("_Or", (_Join,), {}))
lower_builtin(operator.and_, _Mask, _Mask)(lambda context, builder, sig, x: builder.and_(*x))
lower_builtin(operator.or_, _Mask, _Mask)(lambda context, builder, sig, x: builder.or_(*x))


@infer_global(operator.pow)
class _Power(AbstractTemplate):
    """Powers that stand in the text."""

    def generic(self, args, kws):
        known = isinstance(args[0], _Vector) and isinstance(args[1], types.IntegerLiteral)
        return signature(vector, *args) if known and args[1].literal_value > 0 else None


@lower_builtin(operator.pow, _Vector, types.IntegerLiteral)
def _power(context, builder, sig, args):
    found = args[0]
    for _ in range(sig.args[1].literal_value - 1):
        found = builder.fmul(found, args[0], flags=_FLAGS)
    return found


@infer_global(operator.neg)
class _Negative(AbstractTemplate):
    def generic(self, args, kws):
        return signature(vector, *args) if isinstance(args[0], _Vector) else None


@lower_builtin(operator.neg, _Vector)
def _negative(context, builder, sig, args):
    return builder.fneg(args[0])


def intrinsic_of_vectors(count: int, code: Any, kind_of: Any = lambda args: vector) -> Any:
    """Function of so many vectors or doubles, which enter in every entry; a vector."""

    def typed(args):
        return signature(kind_of(args), *args)

    def generate(context, builder, sig, args):
        def number(x, t):
            wide = sig.return_type == vector
            return _as_vector(context, builder, x, t) if wide else x

        return code(builder, *map(number, args, sig.args))

    if count == 1:
        return intrinsic(lambda typing, x: (typed((x,)), generate))
    if count == 2:
        return intrinsic(lambda typing, x, y: (typed((x, y)), generate))
    if count == 3:
        return intrinsic(lambda typing, x, y, z: (typed((x, y, z)), generate))
    return intrinsic(lambda typing, a, b, x, y: (typed((a, b, x, y)), generate))


def intrinsic_of_numbers(count: int, code: Any) -> Any:
    """Function of so many doubles, or of vectors and doubles; a double, or a vector."""

    def kind_of(args):
        return vector if vector in args else types.float64

    return intrinsic_of_vectors(count, code, kind_of)


def _larger(builder, x, y):
    return builder.select(builder.fcmp_ordered(">", x, y), x, y)


def _smaller(builder, x, y):
    return builder.select(builder.fcmp_ordered("<", x, y), x, y)


def _where_less(builder, a, b, x, y):
    return builder.select(builder.fcmp_ordered("<", a, b), x, y)


def _known_to_llvm(name):
    def code(builder, x):
        lanes = f"v{WIDTH}" if isinstance(x.type, ir.VectorType) else ""
        kind, full = ir.FunctionType(x.type, [x.type]), f"llvm.{name}.{lanes}f64"
        return builder.call(get_or_insert_function(builder.module, kind, full), [x])

    return code


#: ``larger(x, y)``, entry by entry; ``y`` where ``x`` is NaN.
larger = intrinsic_of_numbers(2, _larger)
#: ``smaller(x, y)``, entry by entry; ``y`` where ``x`` is NaN.
smaller = intrinsic_of_numbers(2, _smaller)
#: ``where_less(a, b, x, y)``: ``x`` where ``a < b``, else ``y``.
where_less = intrinsic_of_numbers(4, _where_less)
#: ``magnitude(x)``, entry by entry.
magnitude = intrinsic_of_numbers(1, _known_to_llvm("fabs"))
#: ``root(x)``, entry by entry.
root = intrinsic_of_numbers(1, _known_to_llvm("sqrt"))
#: ``spread(number)``: a vector of one number.
spread = intrinsic_of_vectors(1, lambda builder, x: x)


@intrinsic
def where(typing, mask, x, y):
    """``x`` where a mask is true, else ``y``."""

    def code(context, builder, sig, args):
        parts = (_as_vector(context, builder, args[k], sig.args[k]) for k in (1, 2))
        return builder.select(args[0], *parts)

    return vector(mask, x, y), code


@intrinsic
def any_of(typing, mask):
    """Whether a mask is true anywhere."""

    def code(context, builder, sig, args):
        bits = builder.bitcast(args[0], ir.IntType(WIDTH))
        return builder.icmp_unsigned("!=", bits, ir.Constant(bits.type, 0))

    return types.boolean(mask), code


# `x + MAGIC` holds the nearest whole number of `x` in its last bits.
MAGIC = 6755399441055744.0
_MAGIC_BITS = 0x4338000000000000


def _power_of_two(builder, shifted):
    wide = isinstance(shifted.type, ir.VectorType)
    kind = _WHOLES if wide else ir.IntType(64)
    less, places = (
        _whole(n) if wide else ir.Constant(kind, n) for n in (_MAGIC_BITS - _ONE, _BITS)
    )
    bits = builder.shl(builder.sub(builder.bitcast(shifted, kind), less), places)
    return builder.bitcast(bits, shifted.type)


#: ``power_of_two(n + MAGIC)`` for whole numbers ``n`` of normal doubles.
power_of_two = intrinsic_of_numbers(1, _power_of_two)


@intrinsic
def halves(typing, value):
    """Mantissas in [1, 2) and exponents of positive doubles, two vectors."""
    found = types.UniTuple(vector, 2)

    def code(context, builder, sig, args):
        bits = builder.bitcast(args[0], _WHOLES)
        kept = builder.and_(bits, _whole(2**_BITS - 1))
        mantissa = builder.or_(kept, _whole(_ONE << _BITS))
        exponent = builder.sub(builder.lshr(bits, _whole(_BITS)), _whole(_ONE - _MAGIC_BITS))
        number = builder.fsub(builder.bitcast(exponent, _DOUBLES), _constant(MAGIC))
        parts = builder.bitcast(mantissa, _DOUBLES), number
        return context.make_tuple(builder, found, parts)

    return found(vector), code


# Memory -------------------------------------------------------------------------------------------


def _memory(count: int, number: Any, kind: Any) -> tuple[Any, Any]:
    """What reads and writes rows of so many doubles, each a number of this type."""

    def address(context, builder, array, values):
        held = arrayobj.make_array(array)(context, builder, values[0])
        first = builder.mul(values[1], ir.Constant(values[1].type, count))
        return builder.bitcast(builder.gep(held.data, [first]), kind.as_pointer())

    @intrinsic
    def load(typing, array, row):
        def code(context, builder, sig, args):
            where = address(context, builder, sig.args[0], args)
            return builder.load(where, align=_ALIGNED, typ=kind)

        return number(array, types.intp), code

    @intrinsic
    def store(typing, array, row, value):
        def code(context, builder, sig, args):
            builder.store(args[2], address(context, builder, sig.args[0], args), align=_ALIGNED)
            return context.get_dummy_value()

        return types.void(array, types.intp, number), code

    return load, store


_load, _store = _memory(WIDTH, vector, _DOUBLES)
#: ``load(array, row)``: the vector that begins at ``row * WIDTH`` of a contiguous array.
load = _load
#: ``store(array, row, vector)``, see :func:`load`.
store = _store


@intrinsic
def total(typing, value):
    """Sum of the entries, halves by halves."""

    def code(context, builder, sig, args):
        left, count = args[0], WIDTH
        none = ir.Constant(_DOUBLES, ir.Undefined)
        while count > 1:
            count //= 2
            places = [count + q if q < count else q for q in range(WIDTH)]
            moved = builder.shuffle_vector(
                left, none, ir.Constant(ir.VectorType(ir.IntType(32), WIDTH), places)
            )
            left = builder.fadd(left, moved)
        return builder.extract_element(left, ir.Constant(ir.IntType(32), 0))

    return types.float64(value), code
