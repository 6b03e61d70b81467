"""Files by which a scheduler does the shards of a run: an array of Slurm, an Indexed Job, a RayJob."""

from __future__ import annotations

import re
import shlex
import sys
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, fields
from pathlib import Path, PurePosixPath
from typing import Any

import yaml

from trapline.cluster.plan import Plan
from trapline.cluster.run_folder import RunFolder
from trapline.errors import UsageError, many
from trapline.storage import AnyPath, as_any_path, replace_text

MOST_ARRAY_TASKS = 1000
"""As many as an array has where the site has not said otherwise (Slurm's MaxArraySize is 1001)."""

_GRACE_SECONDS = 120
"""For a worker that is to stop: to finish its batch, and to put its journal away."""

_LEAST_MINUTES = 5
"""Of a task's time: of less the notice before its end leaves nothing, and it would be queued for ever."""

_TRIES = 6
_SHARE_OF_FAILED = 10
"""A tenth of the shards may fail before Kubernetes gives the others up."""


@dataclass(frozen=True, kw_only=True)
class JobOptions:
    """What a scheduler is asked for. None is left to the scheduler, or to what stands in brackets.

    Attributes:
        cpus: cores for a shard [4].
        memory: for a shard, as `4G` (of 1024³ bytes) [4G].
        gpus: for a shard, which takes one at most [0].
        at_once: shards at once [Kubernetes 4]; for Ray machines [4].
        root: where the photos are on those machines, if not where the plan says.
        time: Slurm: the longest that a shard may take at a time; what it has not done then it goes on with.
        partition: Slurm.
        account: Slurm.
        before: Slurm: a line of shell that is run first, as `module load cuda`.
        image: Kubernetes and Ray: the image of the container, with Trapline in it.
        volumes: Kubernetes and Ray: `CLAIM:/path`, persistent volume claims and where pods find them.
        run_path: Kubernetes and Ray: where pods find the folder of the run [its path here].
        namespace: Kubernetes and Ray.
    """

    cpus: int | None = None
    memory: str | None = None
    gpus: int | None = None
    at_once: int | None = None
    root: str | None = None
    time: str | None = None
    partition: str | None = None
    account: str | None = None
    before: str | None = None
    image: str | None = None
    volumes: Sequence[str] = ()
    run_path: str | None = None
    namespace: str | None = None


_FOR_ALL = {"cpus", "memory", "gpus", "at_once", "root"}
_FOR_PODS = {"image", "volumes", "run_path", "namespace"}


def write_job_file(folder: AnyPath | str, output: Path | str, scheduler: str, options: JobOptions) -> Path:
    """Write the file by which a scheduler does all shards of a run; nothing is started.

    Args:
        folder: of the run.
        output: the file.
        scheduler: `slurm`, `kubernetes` or `ray` (a RayJob, for the operator KubeRay).
        options: those that act there.

    Raises:
        UsageError: no such scheduler, or an option that does nothing there or is wrong.
        DataError: the folder is none of a run.
    """
    if scheduler not in JOB_FILES:
        raise UsageError(f"--for takes {', '.join(JOB_FILES)}, not '{scheduler}'.")
    write, acting = JOB_FILES[scheduler]
    given = {one.name for one in fields(options) if getattr(options, one.name) not in (None, ())}
    if idle := sorted(given - acting):
        named = ", ".join(
            f"--{name.replace('_', '-').removesuffix('s' * (name == 'volumes'))}" for name in idle
        )
        raise UsageError(f"{named} does nothing for {scheduler}: leave it out.")
    _check(options)
    run = as_any_path(folder)
    run = run.absolute() if isinstance(run, Path) else run
    plan, path = RunFolder(run).plan(), Path(output)
    _check_gpus(plan, options)
    if path.is_dir():
        raise UsageError(f"{path} is a folder. Name the file to write with -o.")
    path.parent.mkdir(parents=True, exist_ok=True)
    replace_text(path, write(plan, run, options))
    return path


def _check(options: JobOptions) -> None:
    for name in ("cpus", "at_once"):
        value = getattr(options, name)
        if value is not None and value < 1:
            raise UsageError(f"--{name.replace('_', '-')} must be at least 1, not {value}.")
    if options.memory is not None and not re.fullmatch(r"[1-9]\d*[MGT]", options.memory):
        raise UsageError(f"--memory is a number and M, G or T, as 4G, not '{options.memory}'.")
    if options.time is not None:
        _check_time(options.time)
    for text in (options.partition, options.account):
        if text is not None and not re.fullmatch(r"[\w.,-]+", text):
            raise UsageError(f"'{text}' is no name of a partition or account.")


def _check_time(text: str) -> None:
    """Refuse what Slurm does not take, and less than a task needs to get anywhere."""
    match = re.fullmatch(r"(?:(\d+)-)?(\d+)(?::(\d{1,2}))?(?::(\d{1,2}))?", text)
    if match is None:
        raise UsageError(f"--time is as Slurm takes it: 90 (minutes), 4:00:00 or 2-12:00:00, not '{text}'.")
    days, first, second, third = (int(part or 0) for part in match.groups())
    hours_first = match[1] is not None or match[4] is not None
    seconds = first * 3600 + second * 60 + third if hours_first else first * 60 + second
    if 0 < days * 86_400 + seconds < _LEAST_MINUTES * 60:  # Slurm's 0 is no limit
        raise UsageError(
            f"--time {text} is too short: {_GRACE_SECONDS} seconds before it is over a task stops and is "
            f"queued again, and it needs some to begin. Give it at least {_LEAST_MINUTES} minutes."
        )


def _check_gpus(plan: Plan, options: JobOptions) -> None:
    """Refuse GPUs that no shard of the plan would use, or pods without the one that each needs."""
    runtime, gpus = str(plan.options.get("runtime")), options.gpus
    if gpus not in (None, 0, 1):
        raise UsageError(f"--gpus is 0 or 1, for a shard takes one at most, not {gpus}.")
    if gpus and runtime != "cuda":
        raise UsageError(
            f"--gpus does nothing: the plan's shards run on {runtime}. Leave it out, or plan with "
            "--runtime cuda."
        )
    if runtime == "cuda" and not gpus and (options.image is not None or gpus == 0):
        raise UsageError("The plan's shards run on cuda, each on a GPU: ask for it with --gpus 1.")


# ---- Slurm


def _slurm(plan: Plan, run: AnyPath, options: JobOptions) -> str:
    """An array with a task a shard; or, of very many, with tasks that claim one shard after the other."""
    shards, cpus = len(plan.shards), options.cpus or 4
    claims = shards > MOST_ARRAY_TASKS
    last = min(shards, MOST_ARRAY_TASKS) - 1
    wanted = {
        "job-name": _job_name(plan, run),
        "array": f"0-{last}{f'%{options.at_once}' if options.at_once else ''}",
        "cpus-per-task": cpus,
        "mem": options.memory or "4G",
        "gpus-per-task": options.gpus or None,
        "ntasks": 1,
        "time": options.time,
        "partition": options.partition,
        "account": options.account,
        "signal": f"B:USR1@{_GRACE_SECONDS}",
        "output": f'"{run}/slurm-%A_%a.log"' if isinstance(run, Path) else "slurm-%A_%a.log",
        "open-mode": "append",
    }
    lines = [f"#SBATCH --{name}={value}" for name, value in wanted.items() if value is not None]
    python = [sys.executable, "-m", "trapline"]
    work = shlex.join([*python, *_work(run, options, cpus), *(["--claim"] if claims else [])])
    each = (
        f"{shards} shards, which {last + 1} tasks claim one after the other"
        if claims
        else f"{many(shards, 'shard')}, one a task"
    )
    return _SLURM.format(
        each=each,
        directives="\n".join([*lines, "#SBATCH --requeue"]),
        before=f"{options.before}\n" if options.before else "",
        work=work,
        merge=shlex.join([*python, "cluster", "merge", str(run), "-o", "TABLE"]),
    )


_SLURM = """\
#!/bin/bash
# {each}. When all are done:
#   {merge}
{directives}

{before}again=
{work} &
worker=$!
# The time is nearly over: the worker finishes its batch, and the task goes on later.
trap 'again=yes; kill -TERM "$worker"' USR1
trap 'kill -TERM "$worker"' TERM
wait "$worker"
status=$?
while kill -0 "$worker" 2> /dev/null; do
  wait "$worker"
  status=$?
done
if [ -n "$again" ] && [ "$status" -eq 130 ]; then
  scontrol requeue "${{SLURM_ARRAY_JOB_ID}}_${{SLURM_ARRAY_TASK_ID}}"
fi
exit "$status"
"""


# ---- Kubernetes, and Ray on it


def _kubernetes(plan: Plan, run: AnyPath, options: JobOptions) -> str:
    """An Indexed Job: a pod a shard, each with its own tries."""
    shards, cpus = len(plan.shards), options.cpus or 4
    seen = _path_in_pods(run, options)
    pod = _pod(options, ["trapline", *_work(seen, options, cpus)], cpus)
    job = {
        "apiVersion": "batch/v1",
        "kind": "Job",
        "metadata": _metadata(plan, run, options),
        "spec": {
            "completionMode": "Indexed",
            "completions": shards,
            "parallelism": min(shards, options.at_once or 4),
            "backoffLimitPerIndex": _TRIES,
            "maxFailedIndexes": max(1, shards // _SHARE_OF_FAILED),
            "podFailurePolicy": {
                "rules": [
                    # a wrong command is wrong again
                    {
                        "action": "FailIndex",
                        "onExitCodes": {"containerName": "worker", "operator": "In", "values": [2]},
                    },
                    # a machine that was taken away is no try
                    {"action": "Ignore", "onPodConditions": [{"type": "DisruptionTarget", "status": "True"}]},
                ]
            },
            "template": {"spec": pod},
        },
    }
    return _yaml(job, f"{many(shards, 'shard')}. When all are done: trapline cluster merge {seen} -o TABLE")


def _ray(plan: Plan, run: AnyPath, options: JobOptions) -> str:
    """A RayJob of KubeRay: a cluster of machines for the time of the job, to which all shards are dealt."""
    cpus, machines = options.cpus or 4, options.at_once or 4
    seen = _path_in_pods(run, options)
    head = _pod(options, None, 1, "ray-head", gpus=0, policy=None)
    worker = _pod(options, None, cpus, "ray-worker", policy=None)
    group = {
        "groupName": "workers",
        "replicas": machines,
        "minReplicas": machines,
        "maxReplicas": machines,
        "rayStartParams": {},
        "template": {"spec": worker},
    }
    job = {
        "apiVersion": "ray.io/v1",
        "kind": "RayJob",
        "metadata": _metadata(plan, run, options),
        "spec": {
            "entrypoint": shlex.join(["trapline", *_work(seen, options, cpus), "--on", "ray"]),
            "shutdownAfterJobFinishes": True,
            "backoffLimit": _TRIES,
            "rayClusterSpec": {
                # the head deals, and does no shards
                "headGroupSpec": {"rayStartParams": {"num-cpus": "0"}, "template": {"spec": head}},
                "workerGroupSpecs": [group],
            },
        },
    }
    what = f"{many(len(plan.shards), 'shard')}, dealt to {machines} machines."
    return _yaml(job, f"{what} When all are done: trapline cluster merge {seen} -o TABLE")


def _pod(
    options: JobOptions,
    command: Sequence[str] | None,
    cpus: int,
    name: str = "worker",
    *,
    gpus: int | None = None,
    policy: str | None = "Never",
) -> dict[str, Any]:
    """A pod with no rights but those to its volumes."""
    if options.image is None:
        raise UsageError("Name the image of the container, in which Trapline is installed, with --image.")
    memory = f"{options.memory or '4G'}i"
    gpus = options.gpus if gpus is None else gpus
    limits = {"memory": memory} | ({"nvidia.com/gpu": str(gpus)} if gpus else {})
    mounts = _volumes(options)
    # a volume's name takes less than a claim's, and a claim is one volume wherever it is mounted
    names = {claim: f"claim-{number}" for number, claim in enumerate(dict.fromkeys(mounts.values()))}
    security: dict[str, Any] = {"allowPrivilegeEscalation": False, "capabilities": {"drop": ["ALL"]}}
    if policy:  # what Ray writes beside /tmp is Ray's affair
        security["readOnlyRootFilesystem"] = True
    container = {
        "name": name,
        "image": options.image,
        **({"command": list(command)} if command else {}),
        # beside photos and the run it writes only what may be lost
        "env": [{"name": "HOME", "value": "/tmp"}, {"name": "TRAPLINE_CACHE", "value": "/tmp/cache"}],  # noqa: S108
        "resources": {"requests": {"cpu": str(cpus), "memory": memory}, "limits": limits},
        "securityContext": security,
        "volumeMounts": [
            {"name": "tmp", "mountPath": "/tmp"},  # noqa: S108
            *({"name": names[claim], "mountPath": path} for path, claim in mounts.items()),
        ],
    }
    return {
        **({"restartPolicy": policy} if policy else {}),
        "automountServiceAccountToken": False,
        "terminationGracePeriodSeconds": _GRACE_SECONDS,
        "securityContext": {"runAsNonRoot": True, "seccompProfile": {"type": "RuntimeDefault"}},
        "containers": [container],
        "volumes": [
            {"name": "tmp", "emptyDir": {}},
            *({"name": name, "persistentVolumeClaim": {"claimName": claim}} for claim, name in names.items()),
        ],
    }


def _volumes(options: JobOptions) -> dict[str, str]:
    """Where pods find volumes -> the claims to them."""
    mounts: dict[str, str] = {}
    for text in options.volumes:
        claim, _, path = text.partition(":")
        if not (re.fullmatch(r"[a-z0-9]([a-z0-9.-]*[a-z0-9])?", claim) and re.fullmatch(r"/[^:]+", path)):
            raise UsageError(
                f"--volume is CLAIM:/path, a persistent volume claim and where pods find it, not '{text}'."
            )
        path = str(PurePosixPath(path))
        if path == "/tmp" or path in mounts:  # noqa: S108
            taken = f"the claim {mounts[path]}" if path in mounts else "what a pod may lose"
            raise UsageError(f"--volume {text}: at {path} is {taken} already. Name another path.")
        mounts[path] = claim
    return mounts


def _path_in_pods(run: AnyPath, options: JobOptions) -> AnyPath | PurePosixPath:
    """Where pods find the folder of the run; refused where that is in no volume of theirs."""
    if not isinstance(run, Path) and options.run_path is None:
        return run  # in a bucket
    seen = PurePosixPath(options.run_path or run.as_posix())
    mounted = list(_volumes(options))
    if not any(seen.is_relative_to(path) for path in mounted):
        there = f"only {', '.join(mounted)}" if mounted else "no volume"
        raise UsageError(
            f"Pods would not find {seen}: they have {there}. Name the claim that has it with --volume "
            "CLAIM:/path, and where the run is in it with --run-path."
        )
    return seen


def _metadata(plan: Plan, run: AnyPath, options: JobOptions) -> dict[str, Any]:
    return {
        "name": _job_name(plan, run),
        **({"namespace": options.namespace} if options.namespace else {}),
        "labels": {"app.kubernetes.io/name": "trapline", "app.kubernetes.io/component": "cluster"},
    }


def _yaml(content: Mapping[str, Any], comment: str) -> str:
    return f"# {comment}\n{yaml.safe_dump(content, sort_keys=False, width=200)}"


def _job_name(plan: Plan, run: AnyPath) -> str:
    words = re.sub(r"[^a-z0-9]+", "-", run.name.lower()).strip("-")[:30].strip("-")
    return "-".join(word for word in ("trapline", words, plan.id[:8]) if word)


def _work(run: AnyPath | PurePosixPath, options: JobOptions, cpus: int) -> list[str]:
    root = [] if options.root is None else ["--root", options.root]
    return ["cluster", "work", str(run), *root, "--threads", str(cpus), "--workers", str(cpus)]


JobFile = Callable[[Plan, AnyPath, JobOptions], str]

JOB_FILES: Mapping[str, tuple[JobFile, set[str]]] = {
    "slurm": (_slurm, _FOR_ALL | {"time", "partition", "account", "before"}),
    "kubernetes": (_kubernetes, _FOR_ALL | _FOR_PODS),
    "ray": (_ray, _FOR_ALL | _FOR_PODS),
}
"""Scheduler -> what writes its file, and the options that act there."""
