"""Conformance as tests: each check of ``popflow doctor`` is a test of one system.

``python -m pytest -p popflow.conformance --system "FILE.py --d 3"`` takes what the doctor takes. A
test fails where a part is wrong, with file, line and remedy; it is skipped where one is missing.
"""

from __future__ import annotations

import shlex

import pytest

from flows.cli.conformance import CHECKS, Check, looked_at
from flows.cli.doctor import patient_of
from flows.cli.patient import Patient


def pytest_addoption(parser: pytest.Parser) -> None:
    """Add the option that names the system."""
    parser.addoption("--system", help="A name, FILE.py or a loss, with options in the same word.")


def pytest_configure(config: pytest.Config) -> None:
    """Collect these tests where nobody names others."""
    if config.getoption("system") and config.args_source is not config.ArgsSource.ARGS:
        config.args[:] = [__file__]


@pytest.fixture(scope="module")
def patient(pytestconfig: pytest.Config) -> Patient:
    """Make the system, and a start."""
    return patient_of(shlex.split(pytestconfig.getoption("system")))


@pytest.mark.parametrize("check", CHECKS, ids=lambda check: check.__name__)
def test_a_system_does_what_every_system_has_to_do(patient: Patient, check: Check) -> None:
    """Look at one part."""
    found: dict[str, list[str]] = {"WRONG": [], "missing": [], "works": []}
    for one in looked_at(patient, [check]):
        found[one.outcome].append(f"{one.what}: {one.text}")
    if found["WRONG"]:
        pytest.fail("\n".join(found["WRONG"]), pytrace=False)
    if found["missing"]:
        pytest.skip("; ".join(found["missing"]))
