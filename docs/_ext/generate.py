"""Pages made from packages, notebooks and examples: nothing on them is typed twice."""

import base64
import doctest
import inspect
import os
import re
import shutil
from pathlib import Path
from textwrap import indent

import matplotlib
import nbformat

import flows
import potentials
import symbolic
from flows.core.system import System
from flows.pages.drawing import STYLE
from flows.pages.formulas import prose
from flows.systems.registry import SYSTEMS

PACKAGES = (symbolic, potentials, flows)
# Modules beyond the public names of the packages that scripts use.
FIGURES = [getattr(flows.figures, name) for name in flows.figures.__all__]
MODULES = (
    "symbolic.evidence.identity",
    "symbolic.language.program",
    "symbolic.language.averages.expectation",
    "symbolic.language.blocks",
    "symbolic.language.lower",
    "potentials.notation",
    "flows.core.system",
    "flows.core.chart",
    "flows.runs.rates",
    "flows.runs.quantities",
    "flows.expectations.sampled",
    "flows.pages.figure",
    *(found.__name__ for found in FIGURES if inspect.ismodule(found)),
)
INDENT = " " * 3
# Tags, and what Markdown would read in them and between them.
SEEN = re.compile(r"(<[^>]+>)|([\\`*_{}\[\]$|~^])")


def everything(target, notebooks, examples, guides=()):
    """Write all generated pages and figures anew.

    Parameters
    ----------
    target : Path
        Their folder.
    notebooks : Path
        Where the notebooks are.
    examples : Path
        Where the examples of the gallery are.
    guides : sequence of Path
        Pages whose `figure` is drawn if they show it.
    """
    shutil.rmtree(target, ignore_errors=True)
    for name in ("api", "theory", "notebooks", "gallery", "guides"):
        (target / name).mkdir(parents=True)
    for path in sorted(notebooks.glob("*.ipynb")):
        shutil.copy(path, target / "notebooks")
    for package in PACKAGES:
        (target / "api" / f"{package.__name__}.rst").write_text(package_page(package))
    for module in MODULES:
        (target / "api" / f"{module}.rst").write_text(module_page(module))
    for system in potentials.SYSTEMS:
        (target / "theory" / f"{system}.md").write_text(theory_page(system, notebooks))
    for path in guides:
        drawn = target / "guides" / f"{path.stem}.svg"
        if f"generated/guides/{drawn.name}" in path.read_text():
            figure(path, drawn)
    (target / "gallery.md").write_text(gallery(examples, notebooks, target / "gallery"))


# API --------------------------------------------------------------------------------------


def heading(text, line="="):
    """Title of a reStructuredText page."""
    return f"{text}\n{line * len(text)}\n"


def package_page(package):
    """Reference of all public names of a package."""
    parts = [
        heading(package.__name__),
        inspect.getdoc(package) or "",
        f"\n.. py:module:: {package.__name__}\n   :no-index:\n",
        f".. currentmodule:: {package.__name__}\n",
    ]
    for name in package.__all__:
        found = getattr(package, name)
        if inspect.isclass(found):
            parts.append(
                f".. autoclass:: {name}\n   :members:\n{members_elsewhere(found)}"
                "   :show-inheritance:\n"
            )
        elif inspect.isroutine(found):
            parts.append(f".. autofunction:: {name}\n")
        elif inspect.ismodule(found):
            parts.append(f".. py:data:: {name}\n\n{indent(comment(package, name), INDENT)}\n")
        else:
            text = comment(package, name)
            parts.append(f".. py:data:: {name}\n\n   {text}\n\n   ``{listed(found)}``\n")
    return "\n".join(parts)


def members_elsewhere(found):
    """Option that lists what a system has from files beside its own, one idea each."""
    of_files = issubclass(found, System) and System not in found.__bases__
    return "   :inherited-members: System\n" if of_files else ""


def comment(package, name):
    """Text of the `#:` line above a constant, wherever in the package; the text of a module."""
    found = getattr(package, name)
    if inspect.ismodule(found):
        return inspect.getdoc(found)
    line = re.compile(rf"^#: (.*)\n{name} ?[:=]", re.MULTILINE)
    files = Path(inspect.getsourcefile(package)).parent.rglob("*.py")
    found = [line.search(path.read_text()) for path in files]
    texts = [match.group(1) for match in found if match]
    if len(texts) != 1:
        raise ValueError(f"{package.__name__}.{name} needs one '#:' line, has {len(texts)}")
    return texts[0]


def listed(value):
    """A constant as it is shown: a table by its names, a set in order."""
    if isinstance(value, frozenset):
        return sorted(value)
    return list(value) if isinstance(value, tuple | dict) else value


def module_page(module):
    """Reference of a module."""
    return f"{heading(module)}\n.. automodule:: {module}\n   :members:\n   :no-index:\n"


# Theory -----------------------------------------------------------------------------------


def theory_page(system, notebooks):
    """Potentials, claims and derivations of a system, with their sources."""
    opening = "This page"
    for notebook in notebooks.glob(f"*_{system}.ipynb"):
        link = f"[{notebook.stem}](../notebooks/{notebook.name})"
        opening = f"The notebook {link} tells the story; this page"
    stated = potentials.statements(system)
    paper = stated.claims[0].source
    document = symbolic.derive(system)
    if os.environ.get("EVIDENCE"):  # minutes: every step is proved anew
        document = document.verify()
    steps = sum(len(d.steps) for d in document.derivations)
    parts = [
        f"# {SYSTEMS[system].title}",
        f"{paper.authors} {paper.year}, [arXiv {paper.arxiv}](https://arxiv.org/abs/{paper.arxiv})."
        f" {opening} lists what the packages know, generated from their expressions.",
        "## Potentials",
        *flow_of(system),
        *(potential(p, potentials.flow(system)) for p in stated.potentials),
        "## Claims",
        "A verdict on each comes from `flows.check(run)`; a constant $C$ or $c$ is one that the"
        " paper leaves open, and it is measured.",
        *(claim(c) for c in stated.claims),
    ]
    if stated.marks:
        parts.append("Times that the claims refer to, read off a run by a rule:\n")
        parts += [f"`{m.name}`\n: {typeset(m.text)}\n" for m in stated.marks]
    parts += [
        "## Derivations",
        f"{len(document.derivations)} derivations with {steps} steps. `popflow derive {system}`"
        " looks for the evidence of every step: PROVED, ENCLOSED by ball arithmetic, or SAMPLED"
        " with 50 digits; `--controls` breaks each of them.",
        *(derivation(d) for d in document.derivations),
    ]
    return "\n\n".join(parts) + "\n"


def display(latex):
    """Displayed formula."""
    return f"$$\n{latex}\n$$"


def typeset(text):
    """Sentence with its signs, indices and powers, in which Markdown sees nothing but the tags."""
    return SEEN.sub(lambda found: found[1] or "\\" + found[2], str(prose(text)))


def escaped(text):
    """Plain text in which Markdown sees nothing."""
    return re.sub(r"([\\`*_{}\[\]<>$#|~^])", r"\\\1", text)


def flow_of(system):
    """The flow in the quantities of the proofs, in which Lie derivatives are written."""
    lines = potentials.flow(system).latex()
    found = [part for formula, words in lines for part in (display(formula), typeset(words))]
    return ["The rates below are written in the flow of these quantities:", *filter(None, found)]


def potential(p, flow):
    """Definition, derivative along the flow, domain and source of a potential."""
    where = f"Domain: {typeset(p.domain)}. Source: {escaped(str(p.source))}."
    return "\n\n".join(
        [
            f"### {p.name}",
            f"{typeset(p.words)}.",
            display(p.latex()),
            display(p.lie_latex(flow)),
            where,
        ]
    )


def claim(c):
    """Statement, conclusion, hypotheses and source of a claim."""
    parts = [
        f"### {c.id}",
        f"*{c.kind}.* {typeset(c.text)}.",
        *(display(x.latex(c.names)) for x in c.comparisons),
    ]
    if c.hypotheses:
        parts.append("Hypotheses:")
        parts.append("\n".join(dict.fromkeys(f"- {typeset(h.text)}" for h in c.hypotheses)))
    parts.append(f"Source: {escaped(str(c.source))}.")
    return "\n\n".join(parts)


def derivation(d):
    """Steps with their rules, and evidence where it was looked for."""
    parts = [f"### {escaped(d.name[0].upper() + d.name[1:])}", f"{escaped(d.source)}."]
    for step in d.steps:
        notes = "; ".join([step.rule, *step.assumptions])
        evidence = f" **{step.finding.evidence}**" if step.finding else ""
        parts += [f"{typeset(notes)}.{evidence}", display(step.displayed)]
    return "\n\n".join(parts)


# Gallery ----------------------------------------------------------------------------------


def gallery(examples, notebooks, folder):
    """Page of all figures: first those of the small examples, then those of the notebooks."""
    pages = sorted(examples.glob("*.md"))
    parts = [
        "# Gallery",
        "Each card is one theorem or law. A click leads to its statement, about ten lines of Python"
        " with what they print, and the verdict explained. The build of these pages and the tests"
        " run the lines.",
    ]
    for first, title in sections(examples).items():
        cards = [example_card(page, folder) for page in pages if page.stem.startswith(f"{first}_")]
        parts += grid(title, cards)
    parts += ["## Figures of the notebooks", "A click leads to the code that draws a figure."]
    for path in sorted(notebooks.glob("*.ipynb")):
        parts += notebook_figures(path, folder)
    parts += ["```{toctree}\n:hidden:\n:glob:\n\n../gallery/*\n```"]
    return "\n\n".join(parts) + "\n"


def sections(examples):
    """Titles of sections by the first word of their examples, each in the file of this name."""
    return {path.stem: path.read_text().strip() for path in sorted(examples.glob("*.title"))}


def grid(title, cards, level="##"):
    """Section of a page of cards."""
    return [f"{level} {title}", "::::{grid} 1 2 2 2\n:gutter: 3", *cards, "::::"]


def example_card(page, folder):
    """Card of an example: its title and its figure, which is drawn now."""
    title = page.read_text().splitlines()[0].removeprefix("# ")
    figure(page, folder / f"{page.stem}.svg")
    return (
        f":::{{grid-item-card}} {title}\n:link: ../gallery/{page.stem}\n:link-type: doc\n"
        f":link-alt: {title}\n:class-card: gallery\n\n"
        f"![](gallery/{page.stem}.svg)\n:::"
    )


def figure(page, target):
    """Put the figure of an example here: that of FIGURES_DRAWN, or one that is drawn now.

    The tests run the lines of all pages, and keep what they draw in that folder.
    """
    if drawn := os.environ.get("FIGURES_DRAWN"):
        shutil.copy(Path(drawn) / target.name, target)
    else:
        draw(page, target)


def draw(page, target):
    """Run the lines of a page and save their `figure`, if there is one.

    Raises
    ------
    ValueError
        If the lines print something else than the page says.
    """
    example = doctest.DocTestParser().get_doctest(page.read_text(), {}, page.stem, str(page), 0)
    said = []
    with matplotlib.rc_context(STYLE):
        doctest.DocTestRunner().run(example, out=said.append, clear_globs=False)
    if said:
        raise ValueError("".join(said))
    if "figure" in example.globs:
        flows.figures.save(example.globs["figure"], target)


def notebook_figures(path, folder):
    """Section of the figures of a notebook, each a link to it."""
    notebook = nbformat.read(path, as_version=4)
    title = next(
        c.source.splitlines()[0].lstrip("# ") for c in notebook.cells if c.cell_type == "markdown"
    )
    images = (
        o.data["image/png"]
        for c in notebook.cells
        for o in c.get("outputs", ())
        if "image/png" in o.get("data", {})
    )
    cards = []
    for number, image in enumerate(images, 1):
        name = f"{path.stem}-{number}.png"
        (folder / name).write_bytes(base64.b64decode(image))
        cards.append(
            f":::{{grid-item-card}}\n:link: notebooks/{path.stem}\n:link-type: doc\n"
            f":link-alt: {path.stem}\n:class-card: gallery\n\n"
            f"![figure {number} of {path.stem}](gallery/{name})\n:::"
        )
    return grid(title, cards, "###")
