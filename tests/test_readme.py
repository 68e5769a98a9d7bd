"""What README shows is what comes out, and what it points at is there."""

import contextlib
import io
import re
from pathlib import Path

from flows.systems.registry import SYSTEMS

ROOT = Path(__file__).parents[1]
TEXT = (ROOT / "README.md").read_text("utf-8")
CODE, OUTPUT = re.search(r"```python\n(.*?)```\s+```\n(.*?)```", TEXT, re.DOTALL).groups()


# Words outside code that a reader needs a few minutes for.
MOST_WORDS = 500
MOST_LINES = 12


def test_the_lines_print_what_stands_below_them():
    printed = io.StringIO()
    with contextlib.redirect_stdout(printed):
        exec(compile(CODE, "README.md", "exec"), {})
    assert printed.getvalue() == OUTPUT
    assert len([line for line in CODE.splitlines() if line]) <= MOST_LINES


def test_readme_is_one_page():
    outside = " ".join(TEXT.split("```")[::2])
    outside = re.sub(r"\]\([^)]*\)", "]", outside)  # where a link goes is not read
    words = [word for word in outside.split() if re.search(r"\w", word)]
    assert len(words) <= MOST_WORDS


def test_every_target_of_make_that_readme_names_is_there():
    makefile = (ROOT / "Makefile").read_text("utf-8")
    named = set(re.findall(r"^make (\w+)", TEXT, re.MULTILINE))
    assert named == {"report", "test"}
    assert all(re.search(rf"^{name}:", makefile, re.MULTILINE) for name in named)


def test_every_system_of_readme_is_one_and_all_are_named():
    assert set(re.findall(r"^\| `(\w+)`", TEXT, re.MULTILINE)) == set(SYSTEMS)


def test_every_file_that_readme_links_to_is_there():
    links = [x for x in re.findall(r"\]\(([^)]+)\)", TEXT) if not x.startswith("https://")]
    assert len(links) > 5
    assert not [x for x in links if not (ROOT / x).exists()]


def test_every_command_of_readme_is_a_command():
    from flows.cli.main import commands

    blocks = "\n".join(TEXT.split("```")[1::2])  # between fences
    named = set(re.findall(r"^(?:\.venv/bin/)?popflow (\w+)", blocks, re.MULTILINE))
    assert len(named) > 7
    assert named <= set(commands.commands)
