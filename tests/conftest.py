"""Common to all tests: no display, one thread of BLAS; a command runs in the process."""

import gc
import os
from pathlib import Path

import pytest

os.environ["MPLBACKEND"] = "Agg"
# Before NumPy is imported. Matrices are small here, and threads that wait for work take a core.
os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")


# Where tests begin, in this order: two workers are then in rooms that compile different functions.
# What is not named here comes last, and each of its rooms is short.
ROOMS = (
    "flows/systems/own",
    "symbolic",
    "flows/certificates",
    "flows/runs",
    "test_documentation.py",
    "flows/ensembles",
    "test_notebooks.py",
    "flows/systems",
)
# Up to so many workers take whole rooms: each kernel is compiled, and each derivation made, by one
# of them. More workers would wait for the longest room, so they take files.
FEW = 4


def pytest_collection_modifyitems(items):
    """Put the longest rooms first."""
    root = Path(__file__).parent

    def place(item):
        name = item.path.relative_to(root).as_posix() if item.path.is_relative_to(root) else ""
        return next((k for k, room in enumerate(ROOMS) if name.startswith(room)), len(ROOMS))

    items.sort(key=place)


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_make_scheduler(config, log):
    """Give each worker a room at a time; of the folder `tests` itself, a file at a time."""
    from xdist.scheduler import LoadScopeScheduling

    class ByRoom(LoadScopeScheduling):
        def _split_scope(self, nodeid):
            path = nodeid.partition("::")[0]
            folder = path.rpartition("/")[0]
            return path if folder == "tests" else folder

    by_file = config.getoption("dist") != "loadfile" or len(config.getoption("tx")) > FEW
    return None if by_file else ByRoom(config, log)


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
