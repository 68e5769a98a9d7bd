"""Ensembles on a cluster of dask: the same rows, also when a worker is killed on the way."""

import os
import signal
import time
from concurrent.futures import Executor

import pytest

from flows.ensemble import Law, integrate_ensemble
from flows.ensemble_store import digest
from flows.relu_neuron import ReLUNeuron

dask = pytest.importorskip("dask")  # the extra `cluster`
distributed = pytest.importorskip("distributed")

WORKERS = 2
LAW = Law(size=12, scale=0.3, seed=5)
PATIENCE = 20.0  # seconds until a worker must be there
SETTLE = 0.2  # seconds until the scheduler knows what a worker had finished before it was stopped


def ensemble(law=LAW, **options):
    return integrate_ensemble(ReLUNeuron(n=2, d=2), law, t_end=300.0, rtol=1e-5,
                              claims=["loss_upper"], chunk_size=1, **options)  # fmt: skip


def content(found):
    return digest({name: found[name] for name in found.names})


@pytest.fixture(scope="module")
def whole():
    return ensemble()


@pytest.fixture(scope="module")
def client(tmp_path_factory):
    spawn = {"distributed.worker.multiprocessing-method": "spawn"}
    with (
        dask.config.set(spawn),
        distributed.LocalCluster(n_workers=WORKERS, threads_per_worker=1, processes=True,
                                 dashboard_address=None,
                                 local_directory=tmp_path_factory.mktemp("dask")) as cluster,
        distributed.Client(cluster) as found,
    ):  # fmt: skip
        yield found


class Killing(Executor):
    """An executor of dask that kills a worker at its work, once, after the first result."""

    def __init__(self, client):
        client.wait_for_workers(WORKERS, timeout=PATIENCE)
        self.client, self.inner = client, client.get_executor()
        self.calls, self.victim = 0, None

    def submit(self, task, /, *arguments):
        self.calls += 1
        future = self.inner.submit(task, *arguments)
        # Before the first result, no more than two calls a worker are handed out.
        if self.calls > 2 * WORKERS and self.victim is None:
            address, pid = next(iter(self.client.run(os.getpid).items()))
            os.kill(pid, signal.SIGSTOP)
            time.sleep(SETTLE)
            if self.client.processing()[address]:
                os.kill(pid, signal.SIGKILL)
                self.victim = pid
            else:
                os.kill(pid, signal.SIGCONT)
        return future


def test_rows_on_a_cluster_are_those_of_this_process(whole, client):
    found = ensemble(workers=WORKERS, executor=client.get_executor())
    assert content(found) == content(whole)
    assert content(ensemble(Law(size=12, scale=0.3, seed=6))) != content(whole)


def test_rows_are_the_same_when_a_worker_is_killed(whole, client):
    executor = Killing(client)
    found = ensemble(workers=WORKERS, executor=executor)
    assert content(found) == content(whole)
    client.wait_for_workers(WORKERS, timeout=PATIENCE)
    assert executor.victim is not None
    assert executor.victim not in client.run(os.getpid).values()


def test_without_a_second_trial_the_killed_members_are_lost_and_no_others(
    whole, client, monkeypatch
):
    monkeypatch.setattr(client.cluster.scheduler, "allowed_failures", 0)
    found = ensemble(workers=WORKERS, executor=Killing(client))
    lost = found.status == "worker_lost"
    assert lost.any() and set(found.status[~lost]) == {"completed"}
    assert found["loss"][~lost].tobytes() == whole["loss"][~lost].tobytes()
