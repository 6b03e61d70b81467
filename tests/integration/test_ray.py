"""Tasks on two machines of a Ray cluster (here: two of its nodes on one), one of which is lost."""

import os
import signal
import socket
import subprocess
import time
from collections.abc import Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest

from trapline import api
from trapline.cluster import dealing
from trapline.errors import TraplineError
from trapline.tasks import Task, run_tasks
from trapline.tasks.ray_cluster import RayCluster

pytest.importorskip("ray")
pytestmark = [pytest.mark.slow, pytest.mark.timeout(150)]

JOBS = str(Path(__file__).parents[1] / "unit" / "tasks")

SOON = {"worker_niceness": 0, "health_check_period_ms": 300, "health_check_initial_delay_ms": 300}
"""By itself Ray has its workers wait behind everything else, minutes on a busy machine, and knocks at each
machine every three seconds. Five knocks that nobody hears and it is lost; a slow one has ten seconds each."""

SMALL: dict[str, Any] = {"object_store_memory": 80 * 2**20, "include_dashboard": False}


def free_port() -> int:
    with socket.socket() as one:
        one.bind(("127.0.0.1", 0))
        return int(one.getsockname()[1])


def tree(process: int) -> list[int]:
    """A process and all that it has started: all that a machine would take with it."""
    children = subprocess.run(["pgrep", "-P", str(process)], capture_output=True, text=True, check=False)
    return [process, *(one for child in children.stdout.split() for one in tree(int(child)))]


@pytest.fixture(scope="module")
def cluster() -> Iterator[Any]:
    """A head that lends nothing; it can be asked from outside at `client`."""
    from ray.cluster_utils import Cluster

    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("RAY_USAGE_STATS_ENABLED", "0")
        patch.setenv("PYTHONPATH", JOBS)  # of the workers
        patch.syspath_prepend(JOBS)
        port = free_port()
        # Ray takes 127.0.0.1 for what is seen from outside
        head = SMALL | {"num_cpus": 0, "node_ip_address": "127.0.0.2", "ray_client_server_port": port}
        head |= {"_system_config": SOON}
        here = Cluster(initialize_head=True, head_node_args=head)
        try:
            here.client = f"ray://127.0.0.2:{port}"
            patch.setenv("RAY_ADDRESS", here.address)
            yield here
        finally:
            here.shutdown()


@pytest.fixture(scope="module")
def node(cluster: Any) -> Any:
    """A machine of one core that stays."""
    return cluster.add_node(num_cpus=1, node_ip_address="127.0.0.3", **SMALL)


def test_a_lost_machine_costs_a_try_and_the_table_is_that_of_the_single_run(
    cluster: Any,
    slow_photos: Path,
    tmp_path: Path,
    write_tiny_model: Any,
    monkeypatch: pytest.MonkeyPatch,
    request: pytest.FixtureRequest,
) -> None:
    monkeypatch.setattr(dealing, "_LEAST_MEDIA", 24)
    model = write_tiny_model(tmp_path / "model.onnx", labels=("a", "b"))
    api.predict(model, slow_photos, tmp_path / "single.csv", batch_size=2, workers=1, threads=1)
    output, news = tmp_path / "whole.csv", list[str]()
    # the only one that lends a core at first: on a busy machine another could do all before it has begun
    lost = cluster.add_node(num_cpus=1, node_ip_address="127.0.0.4", **SMALL)

    with ThreadPoolExecutor(1) as beside:  # Ray wants its nodes from the main thread
        run = beside.submit(api.predict, model, slow_photos, output, batch_size=2, on="ray", say=news.append)
        lose_at_work(lost, output, run)
        cluster.remove_node(lost)
        request.getfixturevalue("node")
        run.result()
    assert output.read_bytes() == (tmp_path / "single.csv").read_bytes()
    assert [line for line in news if "is tried again: its process or machine was lost" in line]


def lose_at_work(node: Any, output: Path, run: Future[Any]) -> None:
    """Kill a node with all its processes as soon as one of them has answered a photo."""
    journals = output.with_name(output.name + ".run") / "attempts"
    while not any(path.stat().st_size > 0 for path in journals.glob("*.journal")):
        assert not run.done()
        time.sleep(0.02)
    for process in tree(node.all_processes["raylet"][0].process.pid):
        os.kill(process, signal.SIGKILL)


@pytest.mark.usefixtures("node")
def test_from_outside_what_dies_is_tried_again_and_what_a_task_says_is_final(
    cluster: Any, tmp_path: Path
) -> None:
    tasks = [
        Task("dies", "jobs:fail_first", {"folder": str(tmp_path), "how": "abort"}),
        Task("refuses", "jobs:refuse", {"message": "no such bucket", "usage": True}),
    ]
    with pytest.raises(TraplineError, match=r"1 task failed.*\n  refuses: no such bucket$") as caught:
        run_tasks(tasks, cluster.client)
    assert caught.value.exit_status == 2
    assert len(list(tmp_path.iterdir())) == 2


@pytest.mark.usefixtures("node")
def test_no_machine_with_so_many_cores_is_said_and_then_an_error() -> None:
    engine = RayCluster("ray", cores=3, patience=0.2)
    try:
        engine.start(Task("shard 0", "jobs:double", {"number": 1}))
        assert "no machine of the Ray cluster lends 3 cores" in (engine.trouble() or "")
        assert list(engine.ended(0.3)) == []
        with pytest.raises(TraplineError, match=r"no machine of the Ray cluster .* largest with 1"):
            engine.trouble()
    finally:
        engine.close()


@pytest.mark.parametrize("on", ["ray", "ray://127.0.0.1:{port}"])
def test_no_cluster_there_is_one_error_at_once(on: str, monkeypatch: pytest.MonkeyPatch) -> None:
    port = free_port()
    monkeypatch.setenv("RAY_ADDRESS", f"127.0.0.1:{port}")
    with pytest.raises(TraplineError, match=f"No Ray cluster answers at 127.0.0.1:{port}"):
        run_tasks([Task("a", "jobs:double", {"number": 1})], on.format(port=port))
