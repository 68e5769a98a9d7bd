"""Every command that a page shows is there, with its options."""

import re
from pathlib import Path

import click
import pytest

from flows.cli.main import commands

ROOT = Path(__file__).parents[1]
PAGES = sorted([ROOT / "README.md", ROOT / "CONTRIBUTING.md", *(ROOT / "docs").rglob("*.md")])
# What stands in code: between fences, or between single ticks.
CODE = re.compile(r"```[^\n]*\n(.*?)```|(?<!`)`([^`\n]+)`(?!`)", re.DOTALL)
POPFLOW = re.compile(r"(?:^|[;(/]|&& )\s*popflow ([a-z]\w*)((?: [^\s#;)`]+)*)", re.MULTILINE)
SCRIPT = re.compile(r"python ((?:benchmarks|docs|notebooks)/\w+\.py)((?: [^\s#;)`]+)*)")
MAKE = re.compile(r"(?:^|&& )make ([a-z]+)", re.MULTILINE)


def code_of(text):
    """Code of a page, a piece a line, lines that end in a backslash joined."""
    pieces = "\n".join(a or b for a, b in CODE.findall(text))
    return re.sub(r"\\\n\s*", "", pieces)


def options(words):
    return {word.partition("=")[0] for word in words.split() if re.match(r"--[a-z]", word)}


def missing(text):
    """Commands of a page that are not there, and options that they do not have."""
    code, found = code_of(text), []
    for name, words in POPFLOW.findall(code):
        command = commands.commands.get(name)
        if command is None:
            found.append(f"popflow {name}")
            continue
        known = {
            o for p in command.get_params(click.Context(command)) for o in p.opts + p.secondary_opts
        }
        found += [f"popflow {name} {option}" for option in options(words) - known]
    for name, words in SCRIPT.findall(code):
        path = ROOT / name
        if not path.is_file():
            found.append(name)
            continue
        known = set(re.findall(r'"(--[a-z][\w-]*)"', path.read_text("utf-8")))
        found += [f"{name} {option}" for option in options(words) - known]
    targets = set(re.findall(r"^([a-z]+):", (ROOT / "Makefile").read_text("utf-8"), re.MULTILINE))
    return found + [f"make {name}" for name in MAKE.findall(code) if name not in targets]


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_commands_and_their_options_are_there(page):
    assert missing(page.read_text("utf-8")) == []


def test_pages_show_commands():
    text = "\n".join(page.read_text("utf-8") for page in PAGES)
    code = code_of(text)
    assert len(POPFLOW.findall(code)) > 80
    assert len(SCRIPT.findall(code)) > 25


@pytest.mark.parametrize(
    "code",
    [
        "`popflow fly relu_neuron`",
        "`popflow run relu_neuron --t-start 1`",
        "```\npopflow run relu_neuron --t-end 1 \\\n    --nothing\n```",
        "`python benchmarks/nothing.py`",
        "`python benchmarks/growth.py --nothing`",
        "`make nothing`",
    ],
)
def test_what_is_not_there_is_seen(code):
    assert len(missing(code)) == 1
