"""Notebooks: they run, the pair agrees, what is stored is what comes out, and nothing else is."""

import contextlib
import io
import re
import sys
import tempfile
from pathlib import Path

import pytest
from matplotlib import pyplot
from oracles.printed import same_text

FOLDER = Path(__file__).parents[1] / "notebooks"
sys.path.insert(0, str(FOLDER))

import refresh  # noqa: E402

EXPECTED = (
    "A0_quickstart",
    "B1_relu_neuron",
    "B2_gmm_em",
    "B3_score_matching",
    "B4_matrix_factorization",
    "B5_two_layer",
    "C0_your_own_system",
    "C1_phase_retrieval",
    "D0_laws",
    "D1_infinity",
    "E0_find_the_potential",
)
# Its proof takes a minute and a half; `make notebooks` executes it, and tests of certificates have
# the numbers.
SLOW = {"D1_infinity"}
# Numbers of a kind that other processors and libraries round otherwise.
AGREEMENT = 1e-2
# What is printed below this is rounding, or an error estimate.
NOISE = 1e-6
LARGEST = 1_000_000  # bytes
pytestmark = pytest.mark.filterwarnings("ignore::DeprecationWarning", "ignore::ResourceWarning")


def printed(notebook):
    """All text that cells print, in order."""
    return [
        output.text
        for cell in notebook.cells
        for output in cell.get("outputs", ())
        if output.output_type == "stream"
    ]


def test_there_are_the_notebooks_that_the_documentation_names():
    assert refresh.NAMES == EXPECTED


def printed_here(name):
    """The same of cells that run in this process, which has loaded the packages already."""
    names, texts = {"__name__": "__main__"}, []
    for cell in refresh.script(name).cells:
        if cell.cell_type == "code":
            with contextlib.redirect_stdout(io.StringIO()) as out:
                exec(cell.source.replace("%matplotlib", "# %matplotlib"), names)
            texts.append(out.getvalue())
            pyplot.close("all")
    for folder in (x for x in names.values() if isinstance(x, tempfile.TemporaryDirectory)):
        folder.cleanup()  # the end of a kernel does it otherwise
    return [text for text in texts if text]


@pytest.mark.parametrize("name", [name for name in EXPECTED if name not in SLOW])
@pytest.mark.filterwarnings("ignore:FigureCanvasAgg is non-interactive")
def test_a_notebook_runs_and_prints_what_is_stored(name, monkeypatch, tmp_path):
    monkeypatch.chdir(tmp_path)
    fresh, stored = printed_here(name), printed(refresh.stored(name))
    assert len(fresh) == len(stored)
    for new, old in zip(fresh, stored, strict=True):
        assert same_text(new, old, AGREEMENT, NOISE), f"{name} prints\n{new}\nand stored is\n{old}"


def test_cells_are_executed_in_one_kernel_in_order(monkeypatch, tmp_path):
    """As `make notebooks` does it; a kernel that imports the packages takes seconds to start."""
    (tmp_path / "small.py").write_text("# %%\nx = 42\nprint(x)\n\n# %%\nprint(x + 1)\n")
    monkeypatch.setattr(refresh, "HERE", tmp_path)
    made = refresh.execute("small")
    assert printed(made) == ["42\n", "43\n"]
    assert [cell.execution_count for cell in made.cells] == [1, 2]


@pytest.mark.parametrize("name", EXPECTED)
def test_script_and_notebook_have_the_same_cells(name):
    def cells(notebook):
        return [(c.cell_type, c.source) for c in notebook.cells]

    assert cells(refresh.script(name)) == cells(refresh.stored(name))


@pytest.mark.parametrize("name", EXPECTED)
def test_a_notebook_holds_no_path_no_widget_and_no_error_and_is_small(name):
    path = FOLDER / f"{name}.ipynb"
    text = path.read_text()
    assert path.stat().st_size < LARGEST
    assert not re.search(r"/(?:home|tmp|root|Users|usr)/|[A-Z]:\\\\", text)
    assert "application/vnd.jupyter.widget" not in text
    outputs = [o for c in refresh.stored(name).cells for o in c.get("outputs", ())]
    assert not any(o.output_type == "error" or o.get("name") == "stderr" for o in outputs)
    assert any("image/png" in o.get("data", {}) for o in outputs)
    assert all(c.execution_count for c in refresh.stored(name).cells if c.cell_type == "code")


@pytest.mark.parametrize(
    ("new", "same"),
    [
        ("loss 1.000", True),
        ("loss 1.005", True),
        ("loss 1.1", False),
        ("gain 1.000", False),
        ("loss 1.000 2", False),
        ("loss nan", False),
    ],
)
def test_a_stale_output_is_seen(new, same):
    assert same_text(new, "loss 1.0", AGREEMENT, NOISE) == same
