"""The files for schedulers: what they ask for, and that nothing is asked for that does not act."""

import re
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
def cuda_run(world: Callable[..., Catalog], tmp_path: Path, write_tiny_model: Any) -> Path:
    """Planned where there is no GPU, for where there are."""
    model = ModelFile(write_tiny_model(tmp_path / "model.onnx", labels=("a", "b")), threads=1)
    plan_shards(prediction(model, world(), batch_size=2).on("cuda"), tmp_path / "run", shard_size=2)
    return tmp_path / "run"


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
    asked = JobOptions(**PODS, run_path="/run/my run", cpus=2, memory="3G", namespace="eco", root="/data")
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
    assert container["resources"]["limits"] == {"memory": "3Gi"}
    assert {one["mountPath"] for one in container["volumeMounts"]} == {"/tmp", "/data", "/run"}
    assert container["securityContext"]["readOnlyRootFilesystem"]  # beside its volumes and /tmp
    assert job["metadata"]["namespace"] == "eco"


def test_a_claim_may_be_mounted_twice_and_have_any_name_of_a_claim(run: Path) -> None:
    volumes = ("tmp:/data", "tmp:/run", "lab.photos:/more")
    asked = JobOptions(image="trapline:0.1", volumes=volumes, run_path="/run/r")
    job = yaml.safe_load(write(run, run.parent / "job.yaml", "kubernetes", asked).read_text())
    validate(job)
    pod = job["spec"]["template"]["spec"]
    names = [one["name"] for one in pod["volumes"]]
    assert len(set(names)) == len(names) == 3
    assert all(re.fullmatch("[a-z0-9]([-a-z0-9]*[a-z0-9])?", name) for name in names)
    claims = {one["name"]: one["persistentVolumeClaim"]["claimName"] for one in pod["volumes"][1:]}
    (container,) = pod["containers"]
    mounted = {one["mountPath"]: claims.get(one["name"]) for one in container["volumeMounts"]}
    assert mounted == {"/tmp": None, "/data": "tmp", "/run": "tmp", "/more": "lab.photos"}


def test_a_gpu_is_asked_for_where_each_shard_takes_one(cuda_run: Path) -> None:
    script = write(cuda_run, cuda_run.parent / "run.sbatch", "slurm", JobOptions(gpus=1)).read_text()
    assert "#SBATCH --gpus-per-task=1\n" in script
    pods = PODS | {"run_path": "/run/r"}
    for scheduler in ("kubernetes", "ray"):
        path = cuda_run.parent / f"{scheduler}.yaml"
        with pytest.raises(UsageError, match="run on cuda, each on a GPU: ask for it with --gpus 1"):
            write(cuda_run, path, scheduler, JobOptions(**pods))
        assert (
            "nvidia.com/gpu: '1'" in write(cuda_run, path, scheduler, JobOptions(**pods, gpus=1)).read_text()
        )


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
        ("slurm", {"gpus": -1}, "--gpus is 0 or 1"),
        ("slurm", {"gpus": 2}, "--gpus is 0 or 1"),
        ("slurm", {"gpus": 1}, "--gpus does nothing: the plan's shards run on cpu"),
        ("slurm", {"time": "2"}, "--time 2 is too short"),
        ("slurm", {"time": "4:59"}, "--time 4:59 is too short"),
        ("slurm", {"time": "0:02:00"}, "--time 0:02:00 is too short"),
        ("kubernetes", PODS | {"volumes": ("data:/tmp",), "run_path": "/tmp/r"}, "at /tmp is what a pod may"),
        ("kubernetes", PODS | {"volumes": ("a:/d", "b:/d/"), "run_path": "/d/r"}, "at /d is the claim a"),
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
