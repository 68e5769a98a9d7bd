"""Help, completion and advice of the command line; what they load."""

import os
import re
import shlex
import subprocess
import sys
from pathlib import Path

import pytest

from flows.cli.main import commands

SMALL = ("run", "relu_neuron", "--n", "2", "--d", "2", "--t-end", "10")
CHECK = ("check", "relu_neuron", "--n", "2", "--d", "2", "--t-end", "10")
HEAVY = {
    "jax",
    "diffrax",
    "numba",
    "numpy",
    "sympy",
    "scipy",
    "matplotlib",
    "xarray",
    "bokeh",
    "tornado",
}

RUN = ("run", "relu_neuron", "--t-end", "10")


@pytest.mark.parametrize("command", ["", "list", "derive", "run", "check", "inspect", "report"])
def test_every_command_has_help(popflow, command):
    code, out, err = popflow(*command.split(), "--help")
    assert (code, err) == (0, "")
    assert out.startswith(f"Usage: popflow {command}".rstrip())


def test_no_arguments_say_what_to_do_next(popflow):
    code, out, err = popflow()
    assert (code, err) == (0, "")
    _, known, _ = popflow("--help")
    named = re.findall(r"^  popflow ([a-z]+)", out, re.MULTILINE)
    assert len(named) >= 4
    for command in named:
        assert f"\n  {command} " in known


def test_the_list_of_commands_is_uncut_at_80_columns(popflow, monkeypatch):
    monkeypatch.setenv("COLUMNS", "80")
    _, out, _ = popflow("--help")
    assert "..." not in out.partition("Commands:")[2] and max(map(len, out.splitlines())) <= 80
    (certify,) = re.findall(r"^  certify +(.*?)^  \w", out, re.M | re.S)
    assert " ".join(certify.split()).endswith("its claims on the way.")


def test_help_lists_the_options_of_a_system_below_its_name(popflow):
    for command in ("run", "law", "stationary", "sweep", "certify", "ensemble"):
        _, text, _ = popflow(command, "--help")
        _, *parts = re.split(r"^(Options.*):$", text, flags=re.MULTILINE)
        lists = dict(zip(parts[::2], parts[1::2], strict=True))
        assert "--n N" in lists["Options"] and "--weights" not in lists["Options"]
        assert "--weights" in lists["Options of gmm_em"]
        assert "--target" in lists["Options of matrix_factorization and score_matching"]
        assert text.count("--n N") == 1 and "SYSTEM" not in lists["Options"]


@pytest.mark.parametrize("command, refused", [("law", "--seed"), ("verify", "--rtol")])
def test_help_is_silent_on_options_that_are_always_refused(popflow, command, refused):
    _, text, _ = popflow(command, "--help")
    assert "--regularization" in text and refused not in text
    subject = "gmm_em" if command == "law" else "cert.json"
    code, _, err = popflow(command, subject, refused, "1")
    assert code == 2 and refused in err and "leave it out" in err


@pytest.mark.parametrize(
    "command", ["list", "derive", "run", "check", "inspect", "report", "ensemble", "find"]
)
def test_help_ends_with_examples_that_the_parser_accepts(popflow, command):
    _, out, _ = popflow(command, "--help")
    examples = re.findall(r"^    popflow (.*)$", out.split("Examples:")[1], re.MULTILINE)
    assert examples
    for line in examples:
        name, *words = shlex.split(re.split(r"\s{2,}", line)[0])
        commands.commands[name].make_context(name, words)


@pytest.mark.parametrize(
    ("words", "meant"),
    [
        (("inspct",), "inspect"),
        (("run", "relu_neurn", "--t-end", "1"), "relu_neuron"),
        (("run", "gmm-em", "--t-end", "1"), "gmm_em"),
        ((*RUN, "--t-edn", "1"), "--t-end"),
        ((*RUN, "--method", "lsoda"), "LSODA"),
        ((*CHECK, "--claim", "los_lower"), "loss_lower"),
        (("inspect", "relu_neuron", "--potential", "kapa"), "kappa_max"),
        (("derive", "mixtur"), "mixture"),
        (("report", "score", "--out", "x"), "score_matching"),
    ],
)
def test_an_error_names_what_was_probably_meant(popflow, words, meant):
    code, _, err = popflow(*words)
    assert code == 2
    assert re.search(rf"(?i)did you mean[^?]*{meant}\b", err)


@pytest.mark.parametrize(
    ("words", "found"),
    [
        ("popflow in", {"inspect"}),
        ("popflow run gm", {"gmm_em"}),
        ("popflow check relu_neuron --claim loss_l", {"loss_lower", "loss_lower_constant"}),
        ("popflow inspect gmm_em --potential m", {"max_norm"}),
        ("popflow run gmm_em --we", {"--weights"}),
    ],
)
def test_a_shell_completes_names(words, found):
    program = "import sys; from flows.cli.main import main; sys.exit(main())"
    done = subprocess.run(
        [sys.executable, "-c", program],
        capture_output=True,
        text=True,
        cwd=Path(__file__).parents[3],
        env={
            **os.environ,
            "_POPFLOW_COMPLETE": "bash_complete",
            "COMP_WORDS": words,
            "COMP_CWORD": str(words.count(" ")),
        },
    )
    completed = {
        line.split(",")[1] for line in done.stdout.splitlines() if line.startswith("plain,")
    }
    assert completed == found


def _imported(*commands):
    """Heavy modules that a fresh process has imported after these commands."""
    program = (
        "import sys; from flows.cli.main import main\n"
        f"for words in {commands!r}: assert main(words) == 0\n"
        "print(*sys.modules, file=sys.stderr)"
    )
    done = subprocess.run(
        [sys.executable, "-c", program],
        capture_output=True,
        text=True,
        check=True,
        cwd=Path(__file__).parents[3],
    )
    return HEAVY & set(done.stderr.split())


def test_help_imports_no_heavy_module_and_a_run_no_jax():
    assert _imported(["--help"], ["run", "--help"]) == set()
    imported = _imported(list(SMALL))
    assert "numba" in imported, "the control: an import is seen"
    assert not imported & {"jax", "diffrax", "matplotlib", "bokeh", "tornado"}


def test_python_m_flows_is_the_same_command():
    def answer(*words):
        done = subprocess.run(
            [sys.executable, "-m", "flows", *words],
            capture_output=True,
            text=True,
            cwd=Path(__file__).parents[3],
        )
        return done.returncode, done.stdout, done.stderr

    assert answer("--help")[:2] == (0, answer("-h")[1])
    code, out, err = answer("run", "relu", "--t-end", "1")
    assert (code, out, err.count("\n")) == (2, "", 1)


@pytest.mark.parametrize(
    "words",
    [
        ("run", "(x y - 1)^2"),
        ("law", "foo(x)^2"),
        ("ensemble", "foo(x)^2", "--t-end", "1"),
        ("run", "relu"),
    ],
)
def test_bad_words_are_refused_before_anything_slow_is_imported(words):
    program = (
        "import sys; from flows.cli.main import main; code = main(sys.argv[1:])\n"
        "sys.exit(code if not {'numba', 'scipy', 'jax'} & {*sys.modules} else 99)"
    )
    assert (
        subprocess.run([sys.executable, "-c", program, *words], capture_output=True).returncode == 2
    )
