"""Which rule serves where an exact state is, on a line or in planes, and what it leaves there."""

from __future__ import annotations

import functools
import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import sympy as sp

from flows.core.arrays import EPSILON, Array
from flows.expectations.forms import Forms
from flows.expectations.planes import MOST_NODES as MOST_IN_PLANE
from flows.expectations.planes import RIGHT as IN_PLANE
from flows.expectations.planes import plane_nodes
from flows.systems.own.by_forms import Formed
from flows.systems.own.exact import RIGHT, SERVES, is_steep, value_of
from flows.systems.own.loss import ROUNDING, Estimate, Loss
from flows.systems.own.nodes import Nodes, has_changes

__all__ = [
    "Serving",
    "by_groups",
    "failing",
    "groups_of",
    "in_planes",
    "is_square",
    "no_rule",
    "nodes_for",
    "on_line",
    "placed",
]

# Most nodes on a line.
MOST_ON_LINE = 2000
# A rule in a plane whose bound is exceeded by this factor has not served on the way.
TOO_FAR = 2.0
# Its bound is what it leaves, where that is this part of an average; and the difference to another
# rule is counted so many times.
SEEN, SHORT = 1e-9, 10.0
# Whose gradient is known to this part.
SURE = 1e-10
# An expanded integrand has no more terms, and they have no more forms each.
MOST_TERMS, MOST_FORMS = 200, 3
# Terms of this size, relative to their sum, are not averaged one by one; and above the second part
# nobody looks for one rule of all instead.
CANCELS, FAR = 1e-4, 1e-2
# More axes of all forms together take seconds to look at.
FEW_AXES = 2
# Two doubles know sums that are this part of their terms; nodes leave so much of these sums.
LEAST, OFF = 1e-15, 1e-9
# Parts are powers of this number, so that nodes are seldom made anew.
RUNG = 1e4
# One rule of all is taken up to this many nodes, or up to this multiple of the groups' nodes.
SMALL, DEARER = 4000, 3.0


def is_square(loss: Loss) -> bool:
    """Whether an integrand is a sum of squares that students can bring to zero at each node.

    In each one are sums of one activation, with no fewer students than teachers. What vanishes only
    as a sum over nodes has no more digits than these have.
    """
    forms = loss.formed.forms
    terms = sp.Add.make_args(forms.function)
    return bool(loss.form.plain == 0 and all(_vanishes(term, forms) for term in terms))


def _vanishes(term: sp.Expr, forms: Forms) -> bool:
    """Whether a term is a square that students may bring to zero."""
    share, square = term.as_independent(*forms.symbols, as_Add=False)
    kinds = {e.func for e in square.atoms(sp.Function)}
    pairs = zip(forms.symbols, range(forms.rows.rows), strict=True)
    own = [bool(forms.rows[i, :].free_symbols) for z, i in pairs if square.has(z)]
    students, teachers = sum(own), len(own) - sum(own)
    squared = square.is_Pow and square.exp == 2 and share.is_positive
    return bool(squared and len(kinds) == 1 and students >= teachers > 0)


@functools.lru_cache(maxsize=64)
def groups_of(forms: Forms) -> tuple[Forms, ...]:
    """Terms of an expanded integrand, together where they have the same forms; one if none is less.

    The square of a sum of activations is a sum of functions of two forms, however many there are.
    """
    terms = sp.Add.make_args(sp.expand(forms.function))
    if len(terms) > MOST_TERMS:
        return (forms,)
    found: dict[tuple[sp.Symbol, ...], list[sp.Expr]] = {}
    for term in terms:
        own = tuple(s for s in forms.symbols if s in term.free_symbols)
        found.setdefault(own or forms.symbols[:1], []).append(term)
    if max(map(len, found)) in (len(forms.symbols), *range(MOST_FORMS + 1, len(forms.symbols))):
        return (forms,)
    whole = []
    for own, parts in found.items():
        rows = sp.ImmutableMatrix.vstack(*(forms.rows[forms.symbols.index(s), :] for s in own))
        whole.append(Forms(sp.Add(*parts), own, rows, rows, forms.y))
    return tuple(whole)


def placed(
    forms: tuple[Forms, ...], y: Array, before: Nodes | None, part: float = IN_PLANE
) -> Nodes | None:
    """Nodes of each group, which leave a part of the average of its sizes; None without any."""
    kept: tuple[Any, ...] = (None,) * len(forms)
    if before is not None and before.forms == forms:
        kept = before.at(y)
    parts = []
    for one, last in zip(forms, kept, strict=True):
        found = plane_nodes(one, y, last, part)
        if found is None:
            return None
        parts.append(found)
    if before is not None and all(a is b for a, b in zip(parts, kept, strict=True)):
        return before
    return Nodes(tuple(map(Formed, forms)), tuple(parts))


def in_planes(loss: Loss, y: Array, before: Nodes | None) -> Nodes | None:
    """Nodes of all at once, or of groups of terms, which are fewer where terms do not cancel."""
    if not has_changes(loss):
        return None
    whole = (loss.formed.forms,)
    groups = groups_of(loss.formed.forms)
    if len(groups) == 1:
        return _refined(placed(whole, y, before), y)
    if before is not None and before.forms == whole:
        found = placed(whole, y, before)
        if found is not None and len(found) <= SMALL:
            return _refined(found, y)
    separate = placed(groups, y, before)
    if separate is None:
        return _refined(placed(whole, y, before), y)
    least, left = CANCELS, separate.cancels(y)
    dear = whole[0].plane(y).axes.shape[1] > FEW_AXES
    if (separate is before or dear) and left > (CANCELS if dear else FAR):
        return separate
    together = _refined(placed(whole, y, before), y)
    if separate.enclosed and (together is None or len(together) > SMALL):
        least, separate = LEAST, _refined(separate, y) or separate
    if together is None:
        return separate
    few = len(together) <= max(SMALL, DEARER * len(separate))
    return together if few or left < least else separate


def _refined(nodes: Nodes | None, y: Array) -> Nodes | None:
    """Nodes that leave little of the loss, too, which may be far less than its terms."""
    if nodes is None:
        return None
    left = RUNG ** math.floor(math.log(max(nodes.cancels(y), LEAST), RUNG))
    return placed(nodes.forms, y, nodes, min(OFF * left, IN_PLANE)) or nodes


def by_groups(loss: Loss, y: Array) -> Estimate | None:
    """Loss and gradient by nodes of each group of terms; None where these have none."""
    groups = () if loss.measured is not None else groups_of(loss.formed.forms)
    nodes = placed(groups, y, None) if len(groups) > 1 else None
    if nodes is None:
        return None
    total, size = loss.summed(y, nodes)
    rounding = ROUNDING * size + loss.rounding(y, nodes)
    rounded = np.array([rounding[0], np.linalg.norm(rounding[1:])])
    scale = np.array([abs(total[0]), np.abs(total[1:]).max(initial=0.0)])
    with np.errstate(all="ignore"):
        error, floor = (float(np.max(part / scale)) for part in (nodes.bound, rounded))
    both = (nodes.bound + rounded).tolist()
    return Estimate(float(total[0]), total[1:], error, floor, nodes, *both)


def on_line(loss: Loss, y: Array) -> Nodes | None:
    """Nodes of an expectation over one number, to all digits of exact states; None without any."""
    found = plane_nodes(loss.formed.forms, y, None, RIGHT, 0.0, MOST_ON_LINE)
    return None if found is None else Nodes((loss.formed,), (found,))


def nodes_for(loss: Loss, y: Array, before: Nodes | None = None) -> Nodes | None:
    """Nodes that serve near a state, of a line or of planes; None without any.

    The nodes of the run so far, ``before``, are kept where they lie in a plane and serve.
    """
    return None if loss.measured is not None else _chosen(loss, tuple(y.tolist()), before)


@functools.lru_cache(maxsize=4)  # a chart asks again where the one before has asked
def _chosen(loss: Loss, y: tuple[float, ...], before: Nodes | None) -> Nodes | None:
    place = np.array(y)
    return on_line(loss, place) if len(loss.form.x) == 1 else in_planes(loss, place, before)


@dataclass(frozen=True)
class Serving:
    """The rule of a chart, and whether it serves where the state has moved.

    Parameters
    ----------
    loss : Loss
        With an expectation.
    nodes : Nodes
        The rule.
    """

    loss: Loss
    nodes: Nodes

    @property
    def cheap(self) -> bool:
        """Whether it is seen at once: no node is visited."""
        return not self.nodes.on_line

    def left(self, y: Array) -> float:
        """Largest part of the average that the rule may leave at a state `y`, shape (N,).

        In a plane, where its bound is no part of the average, it is `SERVES` or less while the
        bound holds.
        """
        if self.nodes.on_line:
            return self.nodes.parts[0].left(self.nodes.forms[0], y)
        off = self.nodes.off(y)
        return SERVES * off if off <= TOO_FAR else math.inf

    def anew(self, y: Array) -> Nodes | None:
        """Nodes for a state that a run has reached by these."""
        return nodes_for(self.loss, y, self.nodes)

    def doubt(self, value: float, slope: Array, other: Callable[[], Sequence[Any]]) -> Array:
        """What the rule leaves of an average, and of its gradient, shape (1 + N,).

        The bound, or where that is no small part of them the difference to what another rule tells.
        """
        # On a line it serves while it leaves so much more than where it was made.
        grown = SERVES / RIGHT if self.nodes.on_line else 1.0
        bound = grown * np.array([self.nodes.bound[0], *[self.nodes.bound[1]] * len(slope)])
        here = np.array([value, *slope])
        size = np.array([abs(value), *[float(np.linalg.norm(slope))] * len(slope)])
        if (bound <= SEEN * size).all():
            return bound
        known = value_of(other, lambda found: is_steep(found, SURE))
        if known is None:
            return bound
        there = np.array([float(x) for x in known])
        return np.minimum(bound, SHORT * np.maximum(np.abs(there - here), EPSILON * size))


def failing(loss: Loss, y: Array) -> str:
    """Why no fixed rule serves from a state on, or nothing."""
    return no_rule(loss) if loss.averaged and nodes_for(loss, y) is None else ""


def no_rule(loss: Loss) -> str:
    """Say that no rule serves, and what to do."""
    most = MOST_IN_PLANE if len(loss.form.x) > 1 else MOST_ON_LINE
    return (
        f"the expectation takes more than {most} nodes here, or has no bound: where fewer"
        " digits are enough, take arithmetic='doubles'"
    )
