"""Documentation: pages written here, and pages generated from packages, notebooks, examples."""

import sys
from importlib.metadata import version as installed
from pathlib import Path

from docutils.nodes import Text, literal_block

HERE = Path(__file__).parent
sys.path[:0] = [str(HERE / "_ext"), str(HERE.parent)]

import generate  # noqa: E402

GUIDES = (HERE / "tutorial.md", *sorted((HERE / "howto").glob("*.md")))
generate.everything(HERE / "generated", HERE.parent / "notebooks", HERE / "gallery", GUIDES)

project = "popflow"
author = "popflow authors"
copyright = "popflow authors"
release = installed("popflow")
html_title = f"popflow {release}"

extensions = ["sphinx.ext.autodoc", "sphinx.ext.napoleon", "myst_nb", "sphinx_design", "mathml"]
exclude_patterns = ["_build", "_ext"]
html_math_renderer = "mathml"
html_theme = "furo"
html_static_path = ["_static"]
html_css_files = ["popflow.css"]
html_js_files = ["popflow.js"]
html_show_sourcelink = False
html_copy_source = False
default_role = "code"

myst_enable_extensions = ["dollarmath", "colon_fence", "deflist"]
myst_heading_anchors = 3
nb_execution_mode = "off"  # the outputs that the notebooks store; the tests execute them
nb_output_stderr = "show"

autodoc_member_order = "bysource"
autodoc_typehints = "none"  # the docstrings say types, with shapes
napoleon_google_docstring = False
napoleon_use_rtype = False
napoleon_use_ivar = True
napoleon_custom_sections = ["Accuracy", "Assumptions", "Units", "Source"]


def setup(app):
    """Drop the empty line that ends an example on a page: doctest needs it, nobody else does."""

    def trim(app, doctree):
        for block in doctree.findall(literal_block):
            block.rawsource = block.astext().rstrip("\n")
            block[:] = [Text(block.rawsource)]

    app.connect("doctree-read", trim)
