"""Features of many runs, evaluated side by side."""

import dataclasses
import gc

import numpy as np
import pytest

import flows
from flows.ensembles import measure, member


def runs_of(n: int, seeds: range) -> list[flows.Trajectory]:
    system = flows.ReLUNeuron(n, 2)
    return [flows.integrate(system, system.initial(0.3, k), 1e4, rtol=1e-8) for k in seeds]


@pytest.mark.parametrize("n", [1, 2])
def test_what_is_measured_together_in_parts_has_the_bits_of_each_run(
    n: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    runs = runs_of(n, range(10, 14))
    monkeypatch.setattr(measure, "AT_ONCE", 70)  # a part ends within a run
    measure.measure_together(runs)
    for run in runs:
        assert {"features", "tolerance", "feature_errors"} <= set(vars(run))
        alone = dataclasses.replace(run)  # without what has been measured
        assert np.array_equal(run.tolerance, alone.tolerance)
        for name, values in alone.features.items():
            assert np.array_equal(run.features[name], values, equal_nan=True), name
        for name, values in alone.feature_errors.items():
            assert np.array_equal(run.feature_errors[name], values, equal_nan=True), name
    assert not np.array_equal(runs[0]["loss"], runs[1]["loss"])


@pytest.mark.parametrize(("method", "looks"), [("Rodas5P", False), ("LSODA", True)])
def test_garbage_is_looked_for_after_members_side_by_side(
    method: str, looks: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    seen, together = [], member.measure_together

    def noted(runs: list[flows.Trajectory]) -> None:
        seen.append(gc.isenabled())
        together(runs)

    monkeypatch.setattr(member, "measure_together", noted)
    system, law = flows.ReLUNeuron(2, 2), flows.Law(3)
    flows.integrate_ensemble(system, law, 10.0, method=method, rtol=1e-6, workers=1)
    assert set(seen) == {looks}
    assert gc.isenabled()
