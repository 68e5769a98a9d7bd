"""What README shows is what comes out, and what it points at is there."""

import contextlib
import io
import re
from pathlib import Path

ROOT = Path(__file__).parents[1]
TEXT = (ROOT / "README.md").read_text("utf-8")
CODE, OUTPUT = re.search(r"```python\n(.*?)```\s+```\n(.*?)```", TEXT, re.DOTALL).groups()


def test_the_ten_lines_print_what_stands_below_them():
    printed = io.StringIO()
    with contextlib.redirect_stdout(printed):
        exec(compile(CODE, "README.md", "exec"), {})
    assert printed.getvalue() == OUTPUT
    assert len([line for line in CODE.splitlines() if line]) <= 10


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
