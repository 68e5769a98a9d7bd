"""Documentation: public names are explained and listed, pages build without a warning."""

import contextlib
import functools
import inspect
import io
import re
import shutil
import sys
import warnings
from enum import Enum
from importlib.util import find_spec
from pathlib import Path

import pytest

import flows
import potentials
import symbolic

ROOT = Path(__file__).parents[1]
PACKAGES = (symbolic, potentials, flows)
PUBLIC = [(package, name) for package in PACKAGES for name in package.__all__]
MOST_LINES = 16  # of an example: about ten, and a figure
GENERATED = ("generated", "_build", "__pycache__")
pytestmark = pytest.mark.filterwarnings("ignore::DeprecationWarning")


def lacking(thing):
    """What a public function's or class's docstring lacks."""
    text = inspect.getdoc(thing)
    if not text or (inspect.isclass(thing) and not thing.__dict__.get("__doc__")):
        return ["docstring"]
    needed = {"Parameters"} if arguments(thing) else set()
    if not inspect.isclass(thing):
        needed |= {"Returns"} if inspect.signature(thing).return_annotation != "None" else set()
        needed |= {"Raises"} if re.search(r"^ +raise ", inspect.getsource(thing), re.M) else set()
    headings = set(re.findall(r"^(\w+)\n-{4,}$", text, re.M))
    return sorted(needed - headings)


def arguments(thing):
    if inspect.isclass(thing) and issubclass(thing, (Exception, Enum)):
        return []
    if inspect.isclass(thing) and not {"__init__", "__new__"} & set(vars(thing)):
        return []  # a kind of claim: the base class explains them
    return [p for p in inspect.signature(thing).parameters if p not in ("self", "cls")]


@pytest.mark.parametrize(("package", "name"), PUBLIC, ids=lambda x: getattr(x, "__name__", x))
def test_a_public_name_is_documented_with_its_sections(package, name):
    thing = getattr(package, name)
    if inspect.isclass(thing) or inspect.isroutine(thing):
        assert lacking(thing) == []
    else:
        import generate

        assert generate.comment(package, name)


def test_what_is_not_documented_is_seen():
    def bare(x: int) -> int:
        return x

    def half(x: int) -> int:
        """Say something."""
        if x < 0:
            raise ValueError
        return x

    class Empty:
        pass

    assert lacking(bare) == ["docstring"]
    assert lacking(half) == ["Parameters", "Raises", "Returns"]
    assert lacking(Empty) == ["docstring"]


EXAMPLES = sorted((ROOT / "docs" / "gallery").glob("*.md"))
GUIDES = sorted((ROOT / "docs").glob("*.md")) + sorted((ROOT / "docs" / "howto").glob("*.md"))
PLAYED = [path for path in EXAMPLES + GUIDES if "\n>>> " in path.read_text()]


@pytest.fixture(scope="module")
def drawn(tmp_path_factory):
    """Run the lines of a page, once; their figure is kept for the site."""
    import generate

    folder = tmp_path_factory.mktemp("drawn")

    @functools.cache
    def figure(path):
        target = folder / f"{path.stem}.svg"
        generate.draw(path, target)
        return target

    return figure


@pytest.mark.filterwarnings("error")
@pytest.mark.parametrize("path", PLAYED, ids=lambda path: path.stem)
def test_the_lines_of_a_page_print_what_it_says(drawn, path):
    drawn(path)


@pytest.fixture(scope="module")
def site(tmp_path_factory, drawn):
    """The built pages; a warning is an error."""
    if find_spec("sphinx") is None:
        pytest.skip("the documentation's tools are not installed")
    out = tmp_path_factory.mktemp("site")
    # A copy: pages are generated beside the written ones, where another build may be at work.
    shutil.copytree(ROOT / "docs", out / "docs", ignore=shutil.ignore_patterns(*GENERATED))
    (out / "notebooks").symlink_to(ROOT / "notebooks")
    (figures,) = {drawn(path).parent for path in PLAYED}
    from sphinx.cmd.build import build_main

    # In this process, which has imported the packages and made their derivations.
    said, arguments = io.StringIO(), ["-q", "-W", "--keep-going", "--no-color"]
    heard = warnings.catch_warnings(action="ignore")  # Python's; Sphinx's own end the build
    with pytest.MonkeyPatch.context() as patch, contextlib.redirect_stderr(said), heard:
        patch.setenv("FIGURES_DRAWN", str(figures))
        patch.setattr(sys, "path", list(sys.path))
        code = build_main([*arguments, str(out / "docs"), str(out / "html")])
    assert code == 0, said.getvalue()
    return out / "html"


@pytest.mark.parametrize(("package", "name"), PUBLIC, ids=lambda x: getattr(x, "__name__", x))
def test_a_public_name_is_in_the_reference(site, package, name):
    page = (site / "generated" / "api" / f"{package.__name__}.html").read_text()
    assert f'id="{package.__name__}.{name}"' in page


@pytest.mark.parametrize("member", ["OwnSystem.unpack", "TwoLayer.hessian", "TwoLayer.initial"])
def test_what_a_system_has_from_its_other_files_is_in_the_reference(site, member):
    page = (site / "generated" / "api" / "flows.html").read_text()
    assert f'id="flows.{member}"' in page
    assert 'id="flows.TwoLayer.escape"' not in page, "what all systems have stays out"


@pytest.mark.parametrize("system", potentials.SYSTEMS)
def test_a_theory_page_has_every_potential_claim_and_derivation(site, system):
    page = (site / "generated" / "theory" / f"{system}.html").read_text()
    stated = potentials.statements(system)
    for found in (*(p.name for p in stated.potentials), *(c.id for c in stated.claims)):
        assert f">{found}<a" in page
    assert page.count("<math") > sum(len(d.steps) for d in symbolic.derive(system).derivations)
    assert "merror" not in page and r"\begin" not in re.sub(r'aria-label="[^"]*"', "", page)


def test_the_notebooks_and_the_gallery_are_there_with_their_figures(site):
    gallery = (site / "generated" / "gallery.html").read_text()
    for path in (ROOT / "notebooks").glob("*.ipynb"):
        assert f"notebooks/{path.stem}.html" in gallery
        assert "<img" in (site / "generated" / "notebooks" / f"{path.stem}.html").read_text()


@pytest.mark.parametrize("path", EXAMPLES, ids=lambda path: path.stem)
def test_an_example_has_a_statement_its_source_a_few_lines_and_its_figure(path):
    import generate

    text = path.read_text()
    assert path.stem.split("_")[0] in generate.sections(path.parent)
    assert text.startswith("# ") and text.count("\n# ") == 0
    statement, code, rest = re.split("```pycon\n|\n```\n", text)
    assert statement.count("$$") == 2 and "\nSource: " in statement
    assert len(re.findall(r"^(?:>>>|\.\.\.) ", code, re.M)) <= MOST_LINES
    assert f"(../generated/gallery/{path.stem}.svg)" in rest
    assert len(rest.split("\n\n")[-1]) > 40  # what the verdict means


@pytest.mark.parametrize("name", ["choose", "claims", "ensembles", "laws", "own_system", "runs"])
def test_a_guide_shows_what_it_says_in_a_figure(site, name):
    page = (site / "howto" / f"{name}.html").read_text()
    assert re.search(rf'<img alt="[^"]{{20,}}" src="[^"]*{name}\.svg"', page)
    assert list((site / "_images").glob(f"{name}.svg"))


def test_the_gallery_has_every_example_with_its_figure(site):
    assert len(EXAMPLES) >= 20
    cards = (site / "generated" / "gallery.html").read_text()
    for path in EXAMPLES:
        assert f"../gallery/{path.stem}.html" in cards and f"{path.stem}.svg" in cards
        page = (site / "gallery" / f"{path.stem}.html").read_text()
        assert f"{path.stem}.svg" in page and "<math" in page and "merror" not in page


def test_an_example_that_prints_something_else_stops_the_build(tmp_path):
    import generate

    page = tmp_path / "wrong.md"
    page.write_text(
        ">>> from matplotlib.figure import Figure\n>>> figure = Figure()\n>>> 1 + 1\n3\n"
    )
    with pytest.raises(ValueError, match="Expected"):
        generate.draw(page, tmp_path / "wrong.svg")
    assert not (tmp_path / "wrong.svg").exists()
    page.write_text(page.read_text().replace("3\n", "2\n"))
    generate.draw(page, tmp_path / "wrong.svg")
    assert (tmp_path / "wrong.svg").exists()


def test_pages_load_nothing_from_a_network(site):
    loads = re.compile(r'<(?:script|link|img|iframe)[^>]*(?:src|href)="(?:https?:)?//[^"]*"')
    pages = list(site.rglob("*.html"))
    assert len(pages) > 30
    for page in pages:
        assert loads.findall(page.read_text()) == []
    for style in site.rglob("*.css"):
        assert not re.search(r"(?:@import|url\()\s*[\"']?(?:https?:)?//", style.read_text())


@pytest.mark.parametrize(
    ("latex", "signs"),
    [
        (r"\lvert z_i - z_j \rvert", ("<mo", "&#x0007C;")),
        (r"\begin{gathered} a \\ = b \end{gathered}", ("<mi>a</mi>", "<mi>b</mi>")),
        (r"\left[\begin{matrix}a & b\\c & d\end{matrix}\right]", ("<mtable", "<mi>d</mi>")),
        (r"\tfrac12 x", ("<mfrac", "<mn>2</mn>")),
    ],
)
def test_formulas_become_mathml(latex, signs):
    import mathml

    found = mathml.mathml(latex, "block")
    assert all(sign in found for sign in signs) and "\\" not in found


sys.path.insert(0, str(ROOT / "docs" / "_ext"))


def test_every_status_that_the_limits_name_is_one():
    from flows.core import problem

    page = (ROOT / "docs" / "limits.md").read_text()
    named = set(re.findall(r"^\| `(\w+)` \|", page, re.M))
    known = {x for x in vars(problem).values() if isinstance(x, str)}
    assert len(named) > 3 and named <= known
