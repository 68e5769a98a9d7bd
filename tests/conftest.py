"""Common to all tests: no display, one thread of BLAS; a command runs in the process."""

import os

import pytest

os.environ["MPLBACKEND"] = "Agg"
# Before NumPy is imported. Matrices are small here, and threads that wait for work take a core.
os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")


# The longest files, which begin first, so that all cores end together.
LONGEST = ("test_notebooks.py", "test_documentation.py")


def pytest_collection_modifyitems(items):
    """Put the longest files first."""
    items.sort(key=lambda item: item.path.name not in LONGEST)


@pytest.fixture
def popflow(capfd):
    """Run the command in this process: exit code, standard output, standard error."""

    def run(*arguments):
        from flows.cli.main import main

        capfd.readouterr()
        code = main([str(argument) for argument in arguments])
        return (code, *capfd.readouterr())

    return run
