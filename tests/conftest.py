"""Common to all tests: figures are drawn without a display; a command runs in the process."""

import os

import pytest

os.environ["MPLBACKEND"] = "Agg"


@pytest.fixture
def popflow(capfd):
    """Run the command in this process: exit code, standard output, standard error."""

    def run(*arguments):
        from flows.cli.main import main

        capfd.readouterr()
        code = main([str(argument) for argument in arguments])
        return (code, *capfd.readouterr())

    return run
