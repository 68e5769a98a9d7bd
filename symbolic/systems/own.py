r"""Derivation of a loss of one's own: closed form, gradient, Hessian, Lie derivatives, invariants.

.. math:: \frac{d}{dt} \Phi(y) = -\langle \nabla \Phi(y), \nabla L(y) \rangle

The right sides of the gradient and of the Hessian are those of the programs that a run evaluates
(:mod:`symbolic.language.program`, backwards); the evidence differentiates the loss forwards.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np
import scipy.special
import sympy as sp
from scipy.stats import qmc
from sympy.core.function import Application
from sympy.core.symbol import Str
from sympy.matrices.expressions.matexpr import MatrixElement
from sympy.printing.pretty.stringpict import prettyForm

from symbolic.asymptotics.symmetries import conserved
from symbolic.evidence.derivation import Derivation, Document, Step
from symbolic.evidence.identity import Basis, Evidence, Finding, Relation, examine
from symbolic.evidence.sign import sign
from symbolic.language.blocks import Block, Explicit, averages, entries, explicit
from symbolic.language.expectation import Expectation
from symbolic.language.lower import lower
from symbolic.language.matrices import matrix_gradient, squared_norms
from symbolic.language.program import gradient, tangent
from symbolic.lemmas.activation_mean import activation_mean, applied
from symbolic.lemmas.dual_kernel import Activation, derive_kernel

__all__ = ["MOST_ENTRIES", "derive"]

#: A loss of more entries has no derivation that can be read.
MOST_ENTRIES = 40
# A Hessian of more entries fills pages.
MOST_OF_HESSIAN = 6
# Larger expressions are not put in their simplest form: polynomials, others.
SIMPLE, SIMPLE_OTHER = 2000, 60
# Seconds of processor time for each attempt at the evidence of one step.
PATIENCE = 5.0
# Beyond that, the entries of a matrix expression say less than it does.
READABLE = 200
# Of sampled means: shifted rules, their points, standard errors that refute, rounding.
SHIFTS, POINTS, WRONG, ROUNDING, SEED = 16, 2**13, 8.0, 1e-12, 19
SOURCE = "this loss; derived here"
AVERAGE = "derivatives are taken inside the expectation"


class Quantity(sp.Function):
    """Function of the entries that is shown by its name: `Quantity(text, LaTeX, *entries)`."""

    @property
    def free_symbols(self) -> set[Any]:
        """None: the entries are not shown."""
        return set()

    def _latex(self, printer: Any, exp: Any = None) -> str:
        return self.args[1].name if exp is None else rf"\left({self.args[1].name}\right)^{{{exp}}}"

    def _sympystr(self, printer: Any) -> str:
        return str(self.args[0].name)

    def _pretty(self, printer: Any) -> Any:
        return prettyForm(self.args[0].name)


def derive(
    name: str,
    blocks: Sequence[Block],
    expression: Any,
    potentials: Mapping[str, Any] | Sequence[tuple[str, Any]] = (),
) -> Document:
    r"""Derive what the gradient flow of a loss is made of.

    Parameters
    ----------
    name : str
        For the title.
    blocks : sequence of Symbol or MatrixSymbol
        What moves.
    expression : Expr
        The loss, see :func:`symbolic.language.blocks.explicit`.
    potentials : mapping of str to Expr, optional
        Functions of the blocks; expectations in them must have a closed form.

    Returns
    -------
    Document
        Derivations in this order: each expectation in closed form (proved by the moments of a
        Gaussian); the gradient, as a matrix where the loss is written in traces; the Hessian of up
        to 6 entries; the rate of each potential along the flow, substituted and simplified, with
        ``= 0`` or its sign where that is proved; each quadratic ``y'Xy`` that a linear symmetry of
        the loss conserves.

    Raises
    ------
    ValueError
        For more than 40 entries.

    Notes
    -----
    Entries are counted from one: ``W_12`` is the second one of the first row.
    An expectation without a closed form stays one, with its derivatives inside.

    Examples
    --------
    >>> u, v = sp.symbols("u v")
    >>> document = derive("scalar", [u, v], (u * v - 1) ** 2 / 2, {"balance": u**2 - v**2})
    >>> document.verify().derivations[2].steps[1]
    <Step 'minus the inner product of the gradients of balance and of the loss': PROVED>
    >>> document.derivations[2].result
    0
    """
    y = tuple(s for block in blocks for s in entries(block))
    if len(y) > MOST_ENTRIES:
        raise ValueError(
            f"expected at most {MOST_ENTRIES} entries, got {len(y)}; derive a smaller case of the"
            " same loss"
        )
    loss = _Loss(tuple(blocks), y, _shown(blocks), expression, _explicit(expression, blocks))
    pairs = tuple(dict(potentials).items())
    derivations = [
        *_closed(loss),
        _gradient(loss),
        *([_hessian(loss)] if len(y) <= MOST_OF_HESSIAN else []),
        *(_rate(loss, label, given) for label, given in pairs),
        *_invariants(loss),
    ]
    return Document(name, tuple(derivations))


def _explicit(expression: Any, blocks: Sequence[Block]) -> Explicit:
    return explicit(expression, blocks, activation_mean)


@dataclass(frozen=True)
class _Loss:
    """A loss in entries, and the symbols that stand for them on paper."""

    blocks: tuple[Block, ...]
    y: tuple[sp.Symbol, ...]
    names: tuple[sp.Symbol, ...]
    expression: Any
    form: Explicit

    @property
    def on_paper(self) -> dict[Any, Any]:
        return dict(zip(self.y, self.names, strict=True))

    @property
    def value(self) -> sp.Expr:
        """The loss in the symbols on paper."""
        return self.joined(self.form.plain, self.form.integrand)

    @property
    def numbers(self) -> tuple[Any, ...]:
        """The Gaussian numbers as they are written on paper."""
        return tuple(_numbers(self.blocks, self.form.x).values())

    def joined(self, plain: sp.Expr, integrand: sp.Expr) -> sp.Expr:
        """A part without expectation and what is averaged, in the symbols on paper."""
        put = {**self.on_paper, **_numbers(self.blocks, self.form.x)}
        return _joined(plain.xreplace(put), integrand.xreplace(put), self.numbers)

    @property
    def symbol(self) -> Any:
        return self.quantity("L", "L")

    def quantity(self, text: str, latex: str) -> Any:
        """Function of the entries with this name."""
        return Quantity(Str(text), Str(latex), *self.names)

    @property
    def averaged(self) -> bool:
        return bool(self.form.integrand != 0)

    @property
    def in_blocks(self) -> dict[Any, Any]:
        """Matrices of the symbols on paper, by block."""
        found, rest = {}, list(self.names)
        for block in self.blocks:
            if isinstance(block, sp.MatrixSymbol):
                size = int(block.rows * block.cols)
                found[block] = sp.ImmutableMatrix(block.rows, block.cols, rest[:size])
                rest = rest[size:]
            else:
                found[block] = rest.pop(0)
        return found


def _shown(blocks: Sequence[Block]) -> tuple[sp.Symbol, ...]:
    """Real symbols of the entries as they are written on paper."""
    names = []
    for block in blocks:
        if isinstance(block, sp.Symbol):
            names.append(block.name)
            continue
        comma = "," if max(block.shape) > 9 else ""
        for i in range(1, int(block.rows) + 1):
            for j in range(1, int(block.cols) + 1):
                place = f"{i}" if block.cols == 1 else f"{i}{comma}{j}"
                names.append(f"{block.name}_{place}")
    if len(set(names)) < len(names):  # a scalar is named like an entry
        names = [s.name for block in blocks for s in entries(block)]
    return tuple(sp.Symbol(name, real=True) for name in names)


def _numbers(blocks: Sequence[Block], x: Sequence[sp.Symbol]) -> dict[Any, Any]:
    """Symbols of Gaussian numbers on paper, none of them a block's."""
    taken = {s.name[0] for s in _shown(blocks)}
    letter = next((c for c in "xzgX" if c not in taken), "xi")
    names = [letter] if len(x) == 1 else [f"{letter}_{k}" for k in range(1, len(x) + 1)]
    return {s: sp.Symbol(name, real=True) for s, name in zip(x, names, strict=True)}


def _joined(plain: sp.Expr, integrand: sp.Expr, x: Sequence[sp.Symbol]) -> sp.Expr:
    return plain if integrand == 0 else plain + Expectation(integrand, sp.Tuple(*x))


def _apart(expression: sp.Expr) -> tuple[sp.Expr, sp.Expr]:
    """The part without expectations, and what is averaged; linear in expectations."""
    nodes = sorted(expression.atoms(Expectation), key=sp.default_sort_key)
    stands = {node: sp.Dummy(real=True) for node in nodes}
    left = expression.xreplace(stands)
    averaged = sp.Add(*(sp.diff(left, s) * node.integrand for node, s in stands.items()))
    return left.xreplace(dict.fromkeys(stands.values(), sp.S.Zero)), averaged


# Derivations -----------------------------------------------------------------------------


def _closed(loss: _Loss) -> list[Derivation]:
    """Expectations by the moments of a Gaussian, and by the kernels of activations."""
    steps: list[Step] = []
    kernels: dict[Activation, None] = {}
    for a in averages(loss.expression, loss.blocks, activation_mean):
        if a.mean is not None:
            put = {**loss.on_paper, **_numbers(loss.blocks, a.x)}
            node = Expectation(a.integrand, sp.Tuple(*a.x)).xreplace(put)
            used = _activations(node.integrand, node.x)
            kernels |= {activation: None for activation in used}
            rule = "products of Hermite polynomials are orthogonal"
            if used:
                rule = "means by parts, kernels of " + " and ".join(sorted({k.name for k in used}))
            given = (f"{', '.join(s.name for s in node.x)} independent, each N(0, 1)",)
            check = _by_samples if used else _by_moments
            mean = a.mean.xreplace(put)
            steps.append(Step(node, mean, rule, assumptions=given, fresh=True, check=check))
    closed = [Derivation("expectations in closed form", SOURCE, tuple(steps))] if steps else []
    return [*(derive_kernel(activation) for activation in kernels), *closed]


def _activations(integrand: sp.Expr, x: Sequence[sp.Symbol]) -> list[Activation]:
    """Activations of linear forms that stand in an integrand."""
    found = (applied(e, x) for e in integrand.atoms(Application) if e.has(*x))
    return list(dict.fromkeys(form[0] for form in found if form))


def _by_moments(lhs: Any, rhs: Any) -> Finding:
    """Evidence from ``E x^k = (k-1)!!`` for even `k`, and 0 for odd `k`."""
    total = sp.Poly(lhs.integrand, *lhs.x)
    moments = [
        c * sp.prod(0 if k % 2 else sp.factorial2(k - 1) for k in powers)
        for powers, c in total.terms()
    ]
    return examine(sp.Add(*moments), rhs)


def _by_samples(lhs: Any, rhs: Any) -> Finding:
    """Evidence from the definition: randomised quasi-Monte Carlo at a random point."""
    names = sorted(lhs.free_symbols | rhs.free_symbols, key=str)
    generator = np.random.default_rng(SEED)
    point = generator.normal(size=len(names))
    value = float(lower([rhs], names)(*point)[0])
    integrand = lower([lhs.integrand], [*names, *lhs.x])
    means = []
    for shift in range(SHIFTS):
        uniform = qmc.Sobol(len(lhs.x), seed=SEED + shift).random(POINTS)
        normal = scipy.special.ndtri(uniform)
        means.append(np.mean(np.broadcast_to(integrand(*point, *normal.T)[0], POINTS)))
    mean, error = float(np.mean(means)), float(np.std(means, ddof=1) / math.sqrt(SHIFTS))
    off = abs(mean - value)
    if off > WRONG * error + ROUNDING * abs(value):
        shown = [(s.name, f"{x:.6g}") for s, x in zip(names, point, strict=True)]
        both = (("lhs", f"{mean:.9g}"), ("rhs", f"{value:.9g}"))
        return Finding(Evidence.REFUTED, (*shown, *both))
    detail = f"the definition, sampled, gives {mean:.9g} +- {error:.1g} for {value:.9g}"
    return Finding(Evidence.SAMPLED, detail=f"put together from proved kernels; {detail}")


def _gradient(loss: _Loss) -> Derivation:
    steps = [_definition(loss, loss.symbol, loss.expression, loss.value, "the loss")]
    slopes = dict(zip(loss.names, _slopes(loss), strict=True))
    for block in loss.blocks:
        whole = loss.in_blocks[block]
        compact = _as_matrix(loss, block)
        if compact is not None:
            label = loss.quantity(f"∇_{block.name} L", rf"\nabla_{{{sp.latex(block)}}} L")
            known = {label: whole.applyfunc(lambda s: sp.diff(loss.value, s))}
            rule = f"gradient by {block.name}, by the adjoint of each operation"
            steps.append(Step(label, compact, rule, fresh=True, check=_Check(loss, known)))
        for s in () if compact is not None else _each(whole):
            side = sp.Derivative(loss.symbol, s, evaluate=False)
            rule = f"derivative by {s.name}"
            steps.append(Step(side, slopes[s], rule, **_anew(loss), check=_Check(loss)))
    return Derivation("gradient", SOURCE, tuple(steps))


def _definition(loss: _Loss, name: Any, given: Any, entries: sp.Expr, rule: str) -> Step:
    """What a name stands for: as it was given in matrices, or in entries."""
    plain = isinstance(given, sp.Expr) and not given.has(Expectation)
    in_matrices = plain and not given.has(MatrixElement) and given.has(sp.MatrixSymbol)
    side = given if in_matrices else entries
    return Step(name, side, rule, fresh=True, check=_Check(loss, {name: entries}, defines=True))


def _each(whole: Any) -> tuple[sp.Symbol, ...]:
    return tuple(whole) if isinstance(whole, sp.MatrixBase) else (whole,)


def _anew(loss: _Loss) -> dict[str, Any]:
    """Arguments of a step that begins anew, with what it takes under an expectation."""
    return {"fresh": True, "assumptions": (AVERAGE,) if loss.averaged else ()}


def _slopes(loss: _Loss) -> list[sp.Expr]:
    """Derivatives by each entry: what a run evaluates, written out."""
    plain = gradient(loss.form.plain, loss.y).expressions[1:]
    inner = gradient(loss.form.integrand, loss.y).expressions[1:]
    return [loss.joined(_simplest(a), _simplest(b)) for a, b in zip(plain, inner, strict=True)]


def _as_matrix(loss: _Loss, block: Block, of: Any = None) -> Any | None:
    """Gradient of the loss, or of a potential, by a block as a matrix expression."""
    expression = loss.expression if of is None else of
    if not isinstance(block, sp.MatrixSymbol) or not isinstance(expression, sp.Expr):
        return None
    found = matrix_gradient(expression, block)
    return found if isinstance(found, sp.MatrixExpr) else None


def _hessian(loss: _Loss) -> Derivation:
    n = len(loss.y)
    directions = [sp.Symbol(f"_v{k}", real=True) for k in range(n)]
    parts = [
        tangent(gradient(f, loss.y), loss.y, directions).expressions[1:]
        for f in (loss.form.plain, loss.form.integrand)
    ]

    def entry(i: int, j: int) -> sp.Expr:
        # Above the diagonal only, so that equal entries look alike.
        row, direction = min(i, j), max(i, j)
        unit = {v: sp.Integer(k == direction) for k, v in enumerate(directions)}
        return loss.joined(*(_simplest(rates[row].xreplace(unit)) for rates in parts))

    found = sp.ImmutableMatrix(n, n, entry)
    label = loss.quantity("∇² L", r"\nabla^2 L")
    known = {label: sp.ImmutableMatrix(sp.hessian(loss.value, loss.names))}
    rule = "second derivatives, entries in the order of the blocks"
    step = Step(label, found, rule, **_anew(loss), check=_Check(loss, known))
    return Derivation("Hessian", SOURCE, (step,))


def _rate(loss: _Loss, name: str, given: Any) -> Derivation:
    """A potential, its rate along the flow, and the sign of that."""
    written = _explicit(given, loss.blocks).plain.xreplace(loss.on_paper)
    latex = rf"\mathrm{{{name}}}".replace("_", r"\_")
    potential = loss.quantity(name, latex)
    moving = loss.quantity(f"d/dt {name}", rf"\frac{{d}}{{dt}} {latex}")
    check = _Check(loss, {moving: _along(loss, written)})
    steps = [_definition(loss, potential, given, written, name)]
    rule = f"minus the inner product of the gradients of {name} and of the loss"
    chain = {**_anew(loss), "check": check}
    found, compact = _rate_in_entries(loss, written), _rate_in_matrices(loss, given)
    if compact:
        steps.append(Step(moving, compact, rule, **chain))
        moving, rule, chain = compact, "in entries", {"check": check}
    norms = squared_norms(compact) if compact else None
    if norms is not None:
        steps.append(Step(moving, norms, "each trace is the square of a norm", check=check))
        steps += _signed(norms, "a sum of squares")
    elif not compact or found.count_ops() < READABLE:
        steps.append(Step(moving, found, rule, **chain))
        rule = "no factor changes its sign" if found.is_Mul else "each term has this sign"
        steps += _signed(found, rule)
    return Derivation(f"{name} along the flow", SOURCE, tuple(steps))


def _rate_in_entries(loss: _Loss, potential: sp.Expr) -> sp.Expr:
    slopes = [sp.diff(potential, s) for s in loss.names]
    total = sp.Add(*(-a * b for a, b in zip(slopes, _slopes(loss), strict=True)))
    plain, averaged = _apart(total)
    return _joined(_simplest(plain), _simplest(averaged), loss.numbers)


def _rate_in_matrices(loss: _Loss, given: Any) -> Any | None:
    """The rate of a potential as traces, if both gradients are matrix expressions."""
    terms = []
    for block in loss.blocks:
        ours, its = (_as_matrix(loss, block, e) for e in (loss.expression, given))
        if ours is None or its is None:
            return None
        terms.append(-sp.Trace((its.T * ours).doit()))
    return sp.Add(*terms).doit()


def _along(loss: _Loss, potential: sp.Expr) -> sp.Expr:
    """Rate of a potential, differentiated forwards."""
    value = loss.value
    return sp.Add(*(-sp.diff(potential, s) * sp.diff(value, s) for s in loss.names))


def _signed(rate: sp.Expr, rule: str) -> list[Step]:
    """The sign of a rate without expectations that is not zero, if it is proved."""
    relations: dict[int | None, Relation] = {1: ">=", -1: "<="}
    relation = None if rate == 0 or rate.has(Expectation) else relations.get(sign(rate))
    return [Step(rate, sp.S.Zero, rule, relation=relation)] if relation else []


def _invariants(loss: _Loss) -> list[Derivation]:
    """Quadratics that a linear symmetry of the loss conserves."""
    column, derivations = sp.Matrix(loss.y), []
    for number, x in enumerate(conserved(loss.form.plain + loss.form.integrand, loss.y), 1):
        quadratic = _simplest((column.T * x * column)[0, 0]).xreplace(loss.on_paper)
        potential = loss.quantity(f"Q_{number}", f"Q_{{{number}}}")
        moving = loss.quantity(f"d/dt Q_{number}", rf"\frac{{d}}{{dt}} Q_{{{number}}}")
        check = _Check(loss, {moving: _along(loss, quadratic)})
        rule = "the gradient of the loss is orthogonal to that of the quadratic"
        steps = (
            _definition(loss, potential, None, quadratic, "a quadratic of a linear symmetry"),
            Step(moving, sp.S.Zero, rule, **_anew(loss), check=check),
        )
        derivations.append(Derivation(f"conserved: Q_{number}", SOURCE, steps))
    return derivations


# Evidence --------------------------------------------------------------------------------


@dataclass(frozen=True)
class _Check:
    """Evidence for a step: names are written out, what is averaged is compared by itself."""

    loss: _Loss
    known: Mapping[Any, Any] = field(default_factory=dict)
    defines: bool = False

    def __call__(self, lhs: Any, rhs: Any) -> Finding:
        left, right = (self._written_out(side) for side in (lhs, rhs))
        pairs = [(_apart(a), _apart(b)) for a, b in zip(left, right, strict=True)]
        (plain, inner), (its_plain, its_inner) = (
            [sp.ImmutableMatrix([pair[side][part] for pair in pairs]) for part in (0, 1)]
            for side in (0, 1)
        )
        found = examine(plain, its_plain, patience=PATIENCE)
        if found.evidence is Evidence.PROVED and inner != its_inner:
            found = examine(inner, its_inner, patience=PATIENCE)
            if found.evidence is Evidence.REFUTED:
                # Unequal functions may have equal means.
                found = Finding(Evidence.OPEN, detail=f"what is averaged differs: {found.reason}")
        if found.basis is Basis.DEFINITION and not self.defines:
            return replace(found, basis=Basis.EVALUATION)  # sides came here evaluated
        return found

    def _written_out(self, side: Any) -> list[sp.Expr]:
        side = self.known.get(side, side)
        if getattr(side, "is_Matrix", False):
            whole = side.xreplace(self.loss.in_blocks).doit()
            whole = whole.as_explicit() if hasattr(whole, "as_explicit") else whole
            return [e.doit() for e in whole]
        put = {self.loss.symbol: self.loss.value, **self.known}
        side = sp.sympify(side, strict=True).xreplace(put)
        if side.has(sp.MatrixSymbol):
            side = _explicit(side, self.loss.blocks).plain.xreplace(self.loss.on_paper)
        return [side.doit()]


def _simplest(expression: sp.Expr) -> sp.Expr:
    """The shortest of a few forms."""
    most = SIMPLE if expression.is_polynomial() else SIMPLE_OTHER
    if expression.count_ops() > most:
        return expression
    forms = [expression, sp.expand(expression)]
    forms.append(sp.factor(forms[1]))
    return min(forms, key=sp.count_ops)
