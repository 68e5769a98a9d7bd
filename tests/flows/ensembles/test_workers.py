"""Ensembles on a cluster of dask: the same rows, also when a worker is killed on the way."""

import os
import signal
from concurrent.futures import Executor

import numpy as np
import pytest

from flows.core.netcdf import digest
from flows.ensembles.integrate import integrate_ensemble
from flows.ensembles.starts import Law
from flows.systems.relu_neuron.system import ReLUNeuron

dask = pytest.importorskip("dask")  # the extra `cluster`
distributed = pytest.importorskip("distributed")

WORKERS = 2
LAW = Law(size=12, scale=0.3, seed=5)
PATIENCE = 240.0  # seconds until a worker must be there, on a busy machine


def ensemble(law=LAW, **options):
    return integrate_ensemble(
        ReLUNeuron(n=2, d=2),
        law,
        t_end=300.0,
        rtol=1e-5,
        claims=["loss_upper"],
        chunk_size=1,
        **options,
    )


def content(found):
    return {name: digest({name: found[name]}) for name in found.names}


@pytest.fixture(scope="module")
def whole():
    return ensemble()


@pytest.fixture(scope="module")
def client(tmp_path_factory):
    spawn = {"distributed.worker.multiprocessing-method": "spawn"}
    with (
        dask.config.set(spawn),
        distributed.LocalCluster(
            n_workers=WORKERS,
            threads_per_worker=1,
            processes=True,
            dashboard_address="127.0.0.1:0",  # any free port
            local_directory=tmp_path_factory.mktemp("dask"),
        ) as cluster,
        distributed.Client(cluster) as found,
    ):
        yield found


class Killing(Executor):
    """An executor of dask whose third call kills its own worker, the first time that it runs."""

    def __init__(self, client, mark):
        client.wait_for_workers(WORKERS, timeout=PATIENCE)
        self.inner, self.mark, self.calls = client.get_executor(), mark, 0

    def submit(self, task, /, *arguments):
        self.calls += 1
        return self.inner.submit(deadly(task, self.mark) if self.calls == 3 else task, *arguments)

    @property
    def victim(self):
        return int(self.mark.read_text())


def deadly(task, mark):
    """Task that ends its process at its work, unless the file ``mark`` tells that one has died."""

    def die_once(*arguments):  # a local function: dask sends its code, no worker imports this file
        if mark.exists():
            return task(*arguments)
        mark.write_text(str(os.getpid()))
        os.kill(os.getpid(), signal.SIGKILL)

    return die_once


def test_rows_on_a_cluster_are_those_of_this_process(whole, client):
    found = ensemble(workers=WORKERS, executor=client.get_executor())
    assert content(found) == content(whole)
    assert content(ensemble(Law(size=12, scale=0.3, seed=6))) != content(whole)


def test_rows_are_the_same_when_a_worker_is_killed(whole, client, tmp_path):
    executor, out = Killing(client, tmp_path / "died"), tmp_path / "many"
    found = ensemble(workers=WORKERS, executor=executor, out=out)
    assert content(found) == content(whole)
    client.wait_for_workers(WORKERS, timeout=PATIENCE)
    assert executor.victim not in client.run(os.getpid).values()


def test_without_a_second_trial_the_killed_members_are_lost_and_no_others(
    whole, client, monkeypatch, tmp_path
):
    monkeypatch.setattr(client.cluster.scheduler, "allowed_failures", 0)
    found = ensemble(workers=WORKERS, executor=Killing(client, tmp_path / "died"))
    lost = found.status == "worker_lost"
    assert lost.any() and set(found.status[~lost]) == {"completed"}
    assert found["loss"][~lost].tobytes() == whole["loss"][~lost].tobytes()


def test_the_same_call_computes_what_was_lost_with_a_worker(whole, client, monkeypatch, tmp_path):
    out = tmp_path / "many"
    with monkeypatch.context() as strict:
        strict.setattr(client.cluster.scheduler, "allowed_failures", 0)
        lost = ensemble(workers=WORKERS, executor=Killing(client, tmp_path / "died"), out=out)
    client.wait_for_workers(WORKERS, timeout=PATIENCE)
    assert "worker_lost" in lost.status and content(lost) != content(whole)
    computed = []
    again = ensemble(
        workers=WORKERS, executor=client.get_executor(), out=out, progress=computed.append
    )
    assert set(again.status) == {"completed"} and content(again) == content(whole)
    assert sum(computed[1:]) == np.sum(lost.status == "worker_lost")  # the first were there
