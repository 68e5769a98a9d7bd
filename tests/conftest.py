"""Common to all tests: no display, one thread of BLAS; a command runs in the process."""

import gc
import os

import pytest

os.environ["MPLBACKEND"] = "Agg"
# Before NumPy is imported. Matrices are small here, and threads that wait for work take a core.
os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")


# The first files. Notebooks take longest; the largest kernel takes a minute to compile, and others
# read it: side by side two workers would compile each kernel twice. Proofs compile few.
FIRST = ("test_notebooks.py", "test_along_axes.py", "certificates", "test_documentation.py")


def pytest_collection_modifyitems(items):
    """Put the longest files first, and what compiles the same kernels well behind each other."""

    def place(item):
        found = [k for k, name in enumerate(FIRST) if name in item.path.parts]
        return found[0] if found else len(FIRST)

    items.sort(key=place)


def pytest_collection_finish():
    """Leave what is collected, and lives to the end, out of what the garbage collector looks at.

    Derivations and compilation make millions of objects that live on: it looks more rarely, too.
    """
    gc.collect()
    gc.freeze()
    gc.set_threshold(50_000, 20, 20)


@pytest.fixture
def popflow(capfd):
    """Run the command in this process: exit code, standard output, standard error."""

    def run(*arguments):
        from flows.cli.main import main

        capfd.readouterr()
        code = main([str(argument) for argument in arguments])
        return (code, *capfd.readouterr())

    return run
