"""A system is added by files of its name alone: no other file of the tree changes."""

import json
import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[3]
# Runs commands one after the other: exit code and what each prints.
DRIVER = """
import contextlib, io, json, sys
from flows.cli.main import main
found = []
for words in json.load(sys.stdin):
    with contextlib.redirect_stdout(io.StringIO()) as out, contextlib.redirect_stderr(out):
        code = main(words)
    found.append([code, out.getvalue()])
json.dump(found, sys.stdout)
"""
# Times that a command took.
SECONDS = re.compile(r'"seconds": [^,}]*')
# A flow of y^4/4 falls like t^-2/16; this is what each verb says of it.
VERBS = {
    "list": ("loss_upper (Inequality)",),
    "derive": ("square along the flow", "--d", "1"),
    "run": ("d = 1", "--d", "1", "--t-end", "5"),
    "check": ("2 HOLDS", "--d", "1", "--t-end", "5"),
    "law": ("C = 1/16", "--d", "1", "--at", "at.json"),
    "inspect": ("derivative along the flow", "--d", "1", "--t-end", "5", "--potential", "square"),
    "ensemble": ("2 HOLDS", "--d", "1", "--t-end", "5", "--size", "2", "--claim", "loss_upper"),
    "sweep": ("2 completed", "--t-end", "5", "--size", "2", "--vary", "d=1,2", "--scale", "1"),
    "certify": ("PROVED", "--d", "1", "--t-end", "2", "--digits", "8"),
    "stationary": ("critical point", "--d", "1", "--initial", "at.json"),
    "report": ("QuarticWell.html", "--out", "report"),
    "find": ("for every start", "--d", "1", "--rate", "2"),
    "doctor": ("works", "--d", "1"),
}


def tree(root, *, new):
    """A tree of links to this one, with new files; nothing else in it differs."""
    parents = {path for name in new for path in (root / name).parents if root in path.parents}
    folders = {root, *parents, *(root / name for name in ("flows", "flows/systems"))}
    for folder in sorted(folders):
        folder.mkdir(exist_ok=True)
        there = ROOT / folder.relative_to(root)
        for path in there.iterdir() if there.is_dir() else ():
            mine = folder / path.name
            if mine not in folders and path.name not in (".git", ".venv", "__pycache__"):
                mine.symlink_to(path)
    for name, text in new.items():
        (root / name).write_text(text, "utf-8")
    return root


def told(root, *commands):
    """What the command line of a tree says: exit code and text of each command."""
    done = subprocess.run(
        [sys.executable, "-c", DRIVER],
        input=json.dumps(commands),
        capture_output=True,
        text=True,
        cwd=root,
        env={**os.environ, "PYTHONPATH": str(root), "COLUMNS": "200"},
    )
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)


@pytest.fixture(scope="module")
def with_a_model(tmp_path_factory):
    """A tree in which the file that `popflow new` writes lies beside the systems."""
    root, name = tmp_path_factory.mktemp("tree"), "flows/systems/quartic_well.py"
    text = (ROOT / "flows/cli/system.txt").read_text("utf-8")
    tree(root, new={name: text.replace("Template", "QuarticWell")})
    (root / "at.json").write_text("[0.0]")
    return root


def test_a_model_in_one_file_beside_the_systems_is_found_by_its_name_by_every_verb(with_a_model):
    commands = [[verb, "quartic_well", *words] for verb, (_, *words) in VERBS.items()]
    unknown = [["run", "quartic_wall"], ["prove", "quartic_well"], ["list"]]
    *said, slip, no_theorem, listed = told(with_a_model, *commands, *unknown)
    for verb, (code, text) in zip(VERBS, said, strict=True):
        assert code == 0 and VERBS[verb][0] in text, text
    assert slip[0] == 2 and "did you mean quartic_well?" in slip[1]
    assert no_theorem[0] == 2 and "has no theorems" in no_theorem[1]
    (row,) = (line for line in listed[1].splitlines() if "quartic_well" in line)
    assert row.split()[-2:] == ["1", "2"]  # potentials, claims


# Commands that compile nothing, about a system by its name.
COMMANDS = (
    "list {0}",
    "prove {0}",
    "certify {0} --n 2 --d 1 --t-end 0.5 --digits 8 --out {0}.json --json",
    "verify {0}.json --json",
)


def test_a_system_in_files_of_its_name_alone_is_all_that_the_one_is_of_which_it_is_a_copy(tmp_path):
    files = [p for room in ("symbolic", "potentials", "flows") for p in (ROOT / room).rglob("*.py")]
    names = [path.relative_to(ROOT).as_posix() for path in files]
    texts = {n: (ROOT / n).read_text("utf-8") for n in names if re.search("/gmm_em[/._]", n)}
    copied = {n.replace("gmm_em", "twin"): t.replace("gmm_em", "twin") for n, t in texts.items()}
    asked = [c.format(name).split() for name in ("gmm_em", "twin") for c in COMMANDS]
    said = told(tree(tmp_path, new=copied), *asked)
    first, twin = said[: len(COMMANDS)], said[len(COMMANDS) :]
    assert all(code == 0 for code, _ in said), said
    for (_, one), (_, other) in zip(first, twin, strict=True):
        assert SECONDS.sub("", one.replace("gmm_em", "twin")) == SECONDS.sub("", other)
    # What is missing is missed: without one of its files it has no certificate.
    (tmp_path / "flows/certificates/verifier/twin.py").unlink()
    ((code, out),) = told(tmp_path, asked[-1])
    assert code == 1 and "its system is not one of average, gmm_em" in out
