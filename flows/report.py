"""HTML report: derive, integrate, check, draw; one self-contained page a system.

A page needs no network: its mathematics is MathML, its figures are vector images inside the page.
"""

from __future__ import annotations

import base64
import functools
import io
import math
import re
import shlex
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from itertools import chain
from pathlib import Path
from typing import Any

import matplotlib
from jinja2 import Environment, PackageLoader, StrictUndefined
from latex2mathml.converter import convert
from markupsafe import Markup
from matplotlib.figure import Figure
from numpy.typing import ArrayLike

import potentials
import symbolic
from flows import figure
from flows.check import Verdict, check
from flows.cli_output import check_output, write_file
from flows.errors import InputError
from flows.integrate import integrate
from flows.rate import tail_constant
from flows.relu_neuron import ReLUNeuron
from flows.system import System
from flows.trajectory import Trajectory
from potentials.claim import Claim

__all__ = ["CASES", "Case", "page", "write"]

T_END = 1e12
# Bars come in pairs; told which one opens, MathML spaces and stretches them.
BARS = re.compile(r"(?:\\lvert|(?<!\\left)(?<!\\right)\|) ?(.+?) ?(?:\\rvert|\|)")
FUNCTION = re.compile(r"\\(sin|cos|tan|operatorname)\b")
RELATION = re.compile(r" (=|\\le|\\ge) ")
# A verdict is told by its word and sign, the colour only repeats them.
SIGNS = {
    "HOLDS": "✓",
    "HOLDS_BEYOND": "✓",
    "VIOLATED": "✗",
    "HYPOTHESIS_NOT_MET": "○",
    "INCONCLUSIVE": "?",
}

Draw = Callable[[Trajectory], Figure]


@dataclass(frozen=True)
class Case:
    """One run of a report.

    Parameters
    ----------
    title, text : str
        What the run shows.
    system : System
        The flow.
    start : array_like
        User's start.
    options : str
        Options of the command line that give this system and start; ``--initial`` has the file
        that ``prepare`` writes.
    prepare : str
        Shell command that must come before, or nothing.
    figures : dict
        Functions that draw the run, by caption.
    broken : tuple of Claim
        Deliberately wrong claims that this run must refute.
    t_end : float
        End of the run.
    power : float or None
        The limit of `t^power` times the loss is shown; by default the exponent of the upper bound.
    """

    title: str
    text: str
    system: System
    start: ArrayLike
    options: str
    prepare: str = ""
    figures: Mapping[str, Draw] = field(default_factory=dict)
    broken: tuple[Claim, ...] = ()
    t_end: float = T_END
    power: float | None = None

    @property
    def command(self) -> str:
        """Command line that repeats run and verdicts."""
        name = self.system.name
        run = f"popflow check {name} {self.options} --t-end {self.t_end:g}"
        return f"{self.prepare} &&\n{run}" if self.prepare else run


LOSS = (
    "Loss with the bounds of the claims at the constants that this run measures (drawn in phase 3, "
    "where the claims speak); below, the local exponent."
)


def _relu_neuron() -> tuple[Case, ...]:
    """Return the runs of `relu_neuron`: the theorem, contrast cases, broken claims."""
    known = {claim.id: claim for claim in potentials.claims("relu_neuron")}
    system = ReLUNeuron(n=3, d=5)
    potential = {
        f"Potential {p.name}, its derivative along the flow, and the claim about it, where there is"
        " one, with both sides and the relative slack (negative: the claim fails there).":
        functools.partial(figure.potential_figure, name=p.name)
        for p in potentials.potentials("relu_neuron")
    }  # fmt: skip
    return (
        Case(
            "Three neurons, one teacher",
            "A random start of the paper's law: over-parameterised, so the loss falls like t⁻³,"
            " no faster and no slower.",
            system,
            system.initial(scale=0.1, seed=0),
            "--n 3 --d 5 --scale 0.1 --seed 0",
            figures={
                LOSS: figure.loss_figure,
                "Angles, balance and residual through the three phases. Dotted: end of phase 1 and"
                " begin of phase 3, read off the run.": figure.phases_figure,
                **potential,
            },
            broken=(
                replace(known["loss_lower"], exponent=2),
                replace(known["distance_decay"], exponent=3),
                replace(known["kappa_persists"], sign=-1),
            ),
        ),
        _given(
            "Mirror pair",
            "Two neurons that mirror each other in the teacher: t³ L tends to π²/6.",
            "mirror",
            [[0.2, 0.1], [0.2, -0.1]],
        ),
        _given(
            "One neuron",
            "Exactly parameterised: the loss decays exponentially, faster than t⁻³.",
            "one",
            [[0.05, 0.1]],
        ),
        _given(
            "Parallel to the teacher",
            "Three neurons along the teacher stay there; the rate is linear, and the hypotheses of"
            " the lower bound (z_i(0) not zero) are not met.",
            "parallel",
            [[0.1, 0.0], [0.05, 0.0], [0.02, 0.0]],
        ),
    )


def _given(title: str, text: str, stem: str, start: list[list[float]]) -> Case:
    """Case with a start that is written out."""
    prepare = f"echo {shlex.quote(str(start))} > {stem}.json"
    system = ReLUNeuron(n=len(start), d=len(start[0]))
    return Case(title, text, system, start, f"--initial {stem}.json", prepare,
                {LOSS: figure.loss_figure})  # fmt: skip


def _gmm_em() -> tuple[Case, ...]:
    """Return the runs of `gmm_em`; they stand in a file of their own."""
    from flows.gmm_em_report import cases

    return cases()


def _gmm_em_portraits() -> dict[str, Callable[[], Figure]]:
    from flows.gmm_em_report import PORTRAITS as drawn

    return drawn


def _matrix_factorization() -> tuple[Case, ...]:
    """Return the runs of `matrix_factorization`; they stand in a file of their own."""
    from flows.matrix_factorization_report import cases

    return cases()


def _matrix_factorization_portraits() -> dict[str, Callable[[], Figure]]:
    from flows.matrix_factorization_report import PORTRAITS as drawn

    return drawn


def _score_matching() -> tuple[Case, ...]:
    """Return the runs of `score_matching`; they stand in a file of their own."""
    from flows.score_matching_report import cases

    return cases()


def _score_matching_portraits() -> dict[str, Callable[[], Figure]]:
    from flows.score_matching_report import PORTRAITS as drawn

    return drawn


#: Runs of each system's page, and the figures that belong to no run, by caption.
CASES: dict[str, Callable[[], tuple[Case, ...]]] = {
    "relu_neuron": _relu_neuron,
    "gmm_em": _gmm_em,
    "score_matching": _score_matching,
    "matrix_factorization": _matrix_factorization,
}
PORTRAITS: dict[str, Callable[[], Mapping[str, Callable[[], Figure]]]] = {
    "relu_neuron": lambda: {
        "Phase portrait for n = 2, d = 2. Left: mirror pairs (h, z), (h, -z) are an invariant plane"
        " of the flow; all go quickly to h = 1/2, then slowly to the minimum. Right: two neurons"
        " (solid, dashed) from equal large marks to black dots; all ends lie on the teacher's"
        " line.": figure.phase_portrait
    },
    "gmm_em": _gmm_em_portraits,
    "score_matching": _score_matching_portraits,
    "matrix_factorization": _matrix_factorization_portraits,
}


def write(names: Sequence[str], out: str | Path, force: bool = False) -> list[Path]:
    """Write one page a system and an ``index.html``.

    Parameters
    ----------
    names : sequence of str
        Systems.
    out : path
        Folder, made if it does not exist.
    force : bool
        Replace existing pages.

    Returns
    -------
    list of Path
        The pages, the index last.

    Raises
    ------
    InputError
        For an unknown system, a folder that cannot be used, or existing pages without ``force``;
        before anything is computed.
    """
    for name in names:
        if name not in CASES:
            raise InputError(f"unknown system {name!r}; known: {', '.join(CASES)}")
    folder = Path(out)
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as problem:
        raise InputError(f"{out}: expected a folder ({problem.strerror}); choose another") from None
    stems = (*dict.fromkeys(names), "index")
    paths = {stem: folder / f"{stem}.html" for stem in stems}
    for path in paths.values():
        check_output(str(path), force)
    for stem, path in paths.items():
        text = _render("index.html", names=stems[:-1]) if stem == "index" else page(stem)
        write_file(str(path), lambda part, text=text: Path(part).write_text(text, "utf-8"))  # type: ignore[misc]
    return list(paths.values())


def page(name: str, cases: Sequence[Case] | None = None) -> str:
    """Return the page of a system as HTML.

    Parameters
    ----------
    name : str
        The system.
    cases : sequence of Case, optional
        Its runs; those of `CASES` by default.
    """
    document = symbolic.derive(name).verify()
    steps = [step for derivation in document.derivations for step in derivation.steps]
    evidence = [str(step.finding.evidence) for step in steps if step.finding]
    return _render(
        "report.html",
        name=name,
        claims=potentials.claims(name),
        marks=potentials.marks(name),
        potentials=potentials.potentials(name),
        derivations=document.derivations,
        evidence={level: evidence.count(level) for level in sorted(set(evidence))},
        portraits={text: _image(draw()) for text, draw in PORTRAITS.get(name, dict)().items()},
        runs=[_run(case) for case in (CASES[name]() if cases is None else cases)],
    )


def _run(case: Case) -> dict[str, Any]:
    """Integrate, check and draw a case: what the template shows of it."""
    run = integrate(case.system, case.start, case.t_end)
    verdicts = check(run)
    claims = potentials.claims(case.system.name)
    power = case.power or next(
        c.exponent or 0 for c in claims if isinstance(c, potentials.UpperBound)
    )
    return {
        "case": case,
        "run": run,
        "power": power,
        "tail": tail_constant(run, "loss", float(power)),
        "verdicts": verdicts,
        "hypotheses": _hypotheses(verdicts),
        "broken": list(chain.from_iterable(check(run, claim) for claim in case.broken)),
        "figures": {caption: _image(draw(run)) for caption, draw in case.figures.items()},
    }


def _hypotheses(verdicts: Sequence[Verdict]) -> list[tuple[Any, str]]:
    """Each hypothesis once with its numbers, and the claims that make it."""
    claims: dict[str, list[Any]] = {}
    for verdict in verdicts:
        for hypothesis in verdict.hypotheses:
            claims.setdefault(str(hypothesis), [hypothesis]).append(verdict.claim)
    return [(first, ", ".join(ids)) for first, *ids in claims.values()]


@functools.cache
def _environment() -> Environment:
    environment = Environment(
        loader=PackageLoader("flows"), autoescape=True, undefined=StrictUndefined,
        trim_blocks=True, lstrip_blocks=True,
    )  # fmt: skip
    environment.filters |= {"math": _math, "number": _number}
    environment.globals["sign"] = lambda verdict: SIGNS[str(verdict)]
    return environment


def _render(template: str, **values: Any) -> str:
    return _environment().get_template(template).render(**values)


def _math(latex: str) -> Markup:
    """MathML, one row a formula, cut before its relation so that a narrow screen can wrap it."""
    rows = []
    spaced = FUNCTION.sub(r"\\,\\\1", BARS.sub(r"\\left|\1\\right|", latex))
    for formula in spaced.split(r" \qquad "):
        cut = RELATION.search(formula)
        left, right = (formula[: cut.start()], formula[cut.start() :]) if cut else (formula, "")
        parts = [left, right] if right and left.count("{") == left.count("}") else [formula]
        row = Markup("").join(Markup(convert(part, display="block")) for part in parts)
        rows.append(Markup('<div class="math">{}</div>').format(row))
    return Markup("\n").join(rows)


def _number(x: float | None) -> Markup:
    """Five digits for people, all of them in the attribute."""
    if x is None:
        return Markup("&ndash;")
    if math.isnan(x):
        return Markup("undefined")
    digits, _, power = f"{x:.5g}".partition("e")
    shown = f"{digits} &times; 10<sup>{int(power)}</sup>" if power else digits
    html = Markup(shown.replace("-", "&minus;"))
    return Markup('<data value="{}">{}</data>').format(repr(float(x)), html)


def _image(drawn: Figure) -> str:
    """Figure as an SVG data address."""
    text = io.BytesIO()
    with matplotlib.rc_context(figure.STYLE):
        drawn.savefig(text, format="svg", transparent=True, metadata={"Date": None})
    return "data:image/svg+xml;base64," + base64.b64encode(text.getvalue()).decode("ascii")
