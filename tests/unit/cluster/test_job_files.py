"""The files for schedulers: what they ask for, and that nothing is asked for that does not act."""

import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import kubernetes_validate
import pytest
import yaml

from trapline.catalog import Catalog
from trapline.cluster import JOB_FILES, JobOptions, job_files, plan_shards, prediction, run_status
from trapline.cluster import write_job_file as write
from trapline.errors import DataError, UsageError
from trapline.models import ModelFile

PODS: dict[str, Any] = {"image": "trapline:0.1", "volumes": ("photos:/data", "work:/run")}


@pytest.fixture
def run(world: Callable[..., Catalog], tmp_path: Path, write_tiny_model: Any) -> Path:
    """Six shards in a folder whose name needs quotes."""
    model = ModelFile(write_tiny_model(tmp_path / "model.onnx", labels=("a", "b")), threads=1)
    plan_shards(prediction(model, world(), batch_size=2), tmp_path / "my run", shard_size=2)
    return tmp_path / "my run"


def validate(content: dict[str, Any]) -> None:
    kubernetes_validate.validate(content, kubernetes_validate.latest_version(), strict=True)


def test_the_script_for_slurm_does_the_shard_of_its_task(run: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    asked = JobOptions(
        cpus=1,
        memory="2G",
        gpus=1,
        at_once=3,
        time="4:00:00",
        partition="short",
        account="eco",
        before="true",
    )
    script = write(run, run.parent / "run.sbatch", "slurm", asked)
    directives = [line.split(maxsplit=1)[1] for line in script.read_text().splitlines() if "#SBATCH" in line]
    assert set(directives) >= {
        "--array=0-5%3",
        "--cpus-per-task=1",
        "--mem=2G",
        "--gpus-per-task=1",
        "--time=4:00:00",
        "--partition=short",
        "--account=eco",
        "--requeue",
    }
    monkeypatch.setenv("SLURM_ARRAY_TASK_ID", "4")
    subprocess.run(["bash", script], check=True, timeout=120)
    assert [one.shard for one in run_status(run).shards if one.state == "finished"] == [4]


def test_an_array_has_no_more_tasks_than_slurm_takes(run: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(job_files, "MOST_ARRAY_TASKS", 4)
    text = write(run, run.parent / "run.sbatch", "slurm", JobOptions()).read_text()
    assert "#SBATCH --array=0-3\n" in text
    assert "--workers 4 --claim &" in text


def test_kubernetes_takes_the_job(run: Path) -> None:
    asked = JobOptions(
        **PODS, run_path="/run/my run", cpus=2, memory="3G", gpus=1, namespace="eco", root="/data"
    )
    job = yaml.safe_load(write(run, run.parent / "job.yaml", "kubernetes", asked).read_text())
    validate(job)
    spec = job["spec"]
    assert (spec["completionMode"], spec["completions"], spec["parallelism"]) == ("Indexed", 6, 4)
    assert spec["backoffLimitPerIndex"] > 0
    pod = spec["template"]["spec"]
    container = pod["containers"][0]
    assert container["command"][:4] == ["trapline", "cluster", "work", "/run/my run"]
    assert container["command"][4:] == ["--root", "/data", "--threads", "2", "--workers", "2"]
    assert container["resources"]["requests"] == {"cpu": "2", "memory": "3Gi"}
    assert container["resources"]["limits"] == {"memory": "3Gi", "nvidia.com/gpu": "1"}
    assert {one["mountPath"] for one in container["volumeMounts"]} == {"/tmp", "/data", "/run"}
    assert job["metadata"]["namespace"] == "eco"


def test_the_ray_job_has_pods_that_kubernetes_takes_and_deals_all_shards(run: Path) -> None:
    job = yaml.safe_load(
        write(
            run, run.parent / "job.yaml", "ray", JobOptions(**PODS, run_path="/run/r", at_once=7)
        ).read_text()
    )
    assert (job["apiVersion"], job["kind"]) == ("ray.io/v1", "RayJob")
    assert job["spec"]["entrypoint"] == "trapline cluster work /run/r --threads 4 --workers 4 --on ray"
    cluster = job["spec"]["rayClusterSpec"]
    (group,) = cluster["workerGroupSpecs"]
    assert (group["replicas"], group["minReplicas"], group["maxReplicas"]) == (7, 7, 7)
    for one in (cluster["headGroupSpec"], group):
        pod = {
            "apiVersion": "v1",
            "kind": "Pod",
            "metadata": {"name": "ray"},
            "spec": one["template"]["spec"],
        }
        validate(pod)


@pytest.mark.parametrize(
    ("scheduler", "options", "said"),
    [
        ("lsf", {}, "--for takes slurm, kubernetes, ray"),
        ("slurm", {"image": "a"}, "--image does nothing for slurm"),
        ("slurm", {"volumes": ("a:/b",)}, "--volume does nothing for slurm"),
        ("kubernetes", PODS | {"run_path": "/run/r", "time": "90"}, "--time does nothing for kubernetes"),
        ("ray", PODS | {"run_path": "/run/r", "before": "a"}, "--before does nothing for ray"),
        ("kubernetes", {"volumes": ("a:/run",), "run_path": "/run/r"}, "Name the image"),
        ("kubernetes", PODS, "Pods would not find .*--run-path"),
        ("kubernetes", {"image": "a"}, "they have no volume"),
        ("kubernetes", PODS | {"volumes": ("data",)}, "--volume is CLAIM:/path"),
        ("slurm", {"memory": "4 GB"}, "--memory is"),
        ("slurm", {"time": "4h"}, "--time is"),
        ("slurm", {"cpus": 0}, "--cpus must be"),
        ("slurm", {"at_once": 0}, "--at-once must be"),
        ("slurm", {"gpus": -1}, "--gpus must"),
        ("slurm", {"partition": "a\n#SBATCH --uid=0"}, "no name of a partition"),
    ],
)
def test_what_does_nothing_or_is_wrong_is_refused(
    scheduler: str, options: dict[str, Any], said: str, run: Path
) -> None:
    with pytest.raises(UsageError, match=said):
        write(run, run.parent / "file", scheduler, JobOptions(**options))
    assert not (run.parent / "file").exists()


def test_only_of_a_run(tmp_path: Path) -> None:
    for scheduler in JOB_FILES:
        with pytest.raises(DataError, match="no folder of a run"):
            write(tmp_path, tmp_path / "file", scheduler, JobOptions())


def test_the_interpreter_is_that_of_the_plan(run: Path) -> None:
    assert (
        f"{sys.executable} -m trapline cluster work '{run}'"
        in write(run, run.parent / "run.sbatch", "slurm", JobOptions()).read_text()
    )
