"""CVODE through scikit-sundae: what it says of a failure is in the status alone."""

import flows
from flows.systems.matrix_factorization.system import MatrixFactorization


def test_a_failure_is_told_by_the_status_and_not_printed(capfd):
    system = MatrixFactorization(d=2)
    run = flows.integrate(system, system.initial(1e6), 1e3, method="CVODE")
    assert run.status == "solver_failed" and run.message
    assert capfd.readouterr() == ("", "")
