"""Dual numbers in compiled code: a number and its slopes along `WIDTH` directions.

The number is a double, or a vector of lanes that has one slope in each. Sums, products and
quotients with duals, with numbers of that kind and with doubles give duals, so that a function of
numbers computes its own derivative, entry by entry to the accuracy of its value.
"""

# mypy: disable-error-code="no-untyped-def, untyped-decorator, no-untyped-call, misc"
# mypy: disable-error-code="annotation-unchecked"

from __future__ import annotations

import operator
from typing import Any

from llvmlite import ir  # type: ignore[import-untyped]
from numba import types
from numba.core import cgutils
from numba.core.typing.templates import AbstractTemplate, infer_global, signature
from numba.extending import intrinsic, lower_builtin, make_attribute_wrapper, models, register_model

from flows.arithmetic.vectors import filled, vector

__all__ = ["DUAL", "DUAL_LANES", "Dual", "dual"]


class Dual(types.Type):
    """Type of a dual number over numbers of a type."""

    def __init__(self, over: types.Type) -> None:
        self.over = over
        super().__init__(name=f"dual({over})")


#: A double with `WIDTH` slopes, and `WIDTH` doubles with one slope each.
DUAL, DUAL_LANES = Dual(types.float64), Dual(vector)


@register_model(Dual)
class _Model(models.StructModel):
    def __init__(self, manager, kind):
        super().__init__(manager, kind, [("value", kind.over), ("slope", vector)])


make_attribute_wrapper(Dual, "value", "value")
make_attribute_wrapper(Dual, "slope", "slope")


@intrinsic
def dual(typing, value, slope):
    """Make a dual of a value and its slopes."""
    found = Dual(value)

    def code(context, builder, sig, args):
        return _made(context, builder, found, *args)

    return found(value, slope), code


def _made(context, builder, kind, value, slope):
    both = cgutils.create_struct_proxy(kind)(context, builder)
    both.value, both.slope = value, slope
    return both._getvalue()


class _Operation(AbstractTemplate):
    """A dual with a dual, a number of its kind, or a double."""

    def generic(self, args, kws):
        for x, y in (args, args[::-1]):
            plain = types.Float, types.Integer
            if isinstance(x, Dual) and (y in (x, x.over) or isinstance(y, plain)):
                return signature(x, *args)
        return None


class _Slopes:
    """Instructions on values and slopes, which a double enters in every entry."""

    def __init__(self, builder: Any) -> None:
        self.builder = builder

    def on(self, name: str, x: Any, y: Any) -> Any:
        """One instruction of two numbers."""
        wide = [p.type for p in (x, y) if isinstance(p.type, ir.VectorType)]
        if wide:
            x, y = (
                p if isinstance(p.type, ir.VectorType) else filled(self.builder, p) for p in (x, y)
            )
        return getattr(self.builder, name)(x, y, flags=("contract",) if wide else ())


def _sum(name):
    def code(on, x, dx, y, dy):
        if dy is None:
            return on(name, x, y), dx
        return on(name, x, y), dy if dx is None and name == "fadd" else on(name, dx or _none(), dy)

    return code


def _none():
    return ir.Constant(ir.DoubleType(), 0.0)


def _product(on, x, dx, y, dy):
    parts = [on("fmul", slope, other) for slope, other in ((dx, y), (dy, x)) if slope is not None]
    return on("fmul", x, y), parts[0] if len(parts) == 1 else on("fadd", *parts)


def _quotient(on, x, dx, y, dy):
    found = on("fdiv", x, y)
    if dy is None:
        return found, on("fdiv", dx, y)
    less = on("fmul", found, dy)
    slope = on("fsub", dx if dx is not None else _none(), less)
    return found, on("fdiv", slope, y)


def _define(operation, rule):
    infer_global(operation)(type("_DualOperation", (_Operation,), {}))

    def code(context, builder, sig, args):
        parts: list[Any] = []
        for kind, value in zip(sig.args, args, strict=True):
            if isinstance(kind, Dual):
                both = cgutils.create_struct_proxy(kind)(context, builder, value)
                parts += [both.value, both.slope]
            elif isinstance(kind, types.Integer | types.Float):
                parts += [context.cast(builder, value, kind, types.float64), None]
            else:
                parts += [value, None]
        value, slope = rule(_Slopes(builder).on, *parts)
        return _made(context, builder, sig.return_type, value, slope)

    plain = types.Float, types.Integer, type(vector)
    for other in plain:
        lower_builtin(operation, Dual, other)(code)
        lower_builtin(operation, other, Dual)(code)
    lower_builtin(operation, Dual, Dual)(code)


for _operations, _rule in (
    ((operator.add, operator.iadd), _sum("fadd")),
    ((operator.sub, operator.isub), _sum("fsub")),
    ((operator.mul, operator.imul), _product),
    ((operator.truediv, operator.itruediv), _quotient),
):
    for _one in _operations:
        _define(_one, _rule)


@infer_global(operator.neg)
class _Negative(AbstractTemplate):
    def generic(self, args, kws):
        return signature(args[0], *args) if isinstance(args[0], Dual) else None


@lower_builtin(operator.neg, Dual)
def _negative(context, builder, sig, args):
    both = cgutils.create_struct_proxy(sig.args[0])(context, builder, args[0])
    parts = builder.fneg(both.value), builder.fneg(both.slope)
    return _made(context, builder, sig.return_type, *parts)
