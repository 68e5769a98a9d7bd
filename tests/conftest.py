"""Common to all tests: no display, one thread of BLAS; a command runs in the process."""

import os

import pytest

os.environ["MPLBACKEND"] = "Agg"
# Before NumPy is imported. Matrices are small here, and threads that wait for work take a core.
os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")


def pytest_collection_modifyitems(items):
    """Put notebooks first, as they take longest, and what compiles the same kernels well behind.

    Side by side two workers would compile each kernel twice; proofs compile none.
    """

    def place(item):
        if item.path.name == "test_notebooks.py":
            return 0
        if "certificates" in item.path.parts:
            return 1
        return 2 if item.path.name == "test_documentation.py" else 3

    items.sort(key=place)


@pytest.fixture
def popflow(capfd):
    """Run the command in this process: exit code, standard output, standard error."""

    def run(*arguments):
        from flows.cli.main import main

        capfd.readouterr()
        code = main([str(argument) for argument in arguments])
        return (code, *capfd.readouterr())

    return run
