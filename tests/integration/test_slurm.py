"""The shards of a run as an array of Slurm: real daemons on this machine, tasks sent back in mid-run."""

import os
import shutil
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from trapline import api
from trapline.cluster import JobOptions, run_status

PROGRAMS = ("munged", "slurmctld", "slurmd", "sbatch")
ABSENT = [name for name in PROGRAMS if shutil.which(name) is None]
pytestmark = [
    pytest.mark.slow,
    pytest.mark.timeout(300),
    pytest.mark.skipif(bool(ABSENT), reason=f"needs Slurm and MUNGE: {', '.join(ABSENT)} not installed"),
    pytest.mark.skipif(sys.platform != "linux" or os.geteuid() != 0, reason="slurmd starts tasks by root"),
]

CONFIGURATION = """\
ClusterName=trapline
SlurmctldHost={host}(127.0.0.1)
SlurmctldPort={controller_port}
SlurmdPort={node_port}
CommunicationParameters=NoCtldInAddrAny,NoInAddrAny
AuthType=auth/munge
AuthInfo=socket={folder}/munge.socket,cred_expire=5
SlurmUser=root
StateSaveLocation={folder}/state
SlurmdSpoolDir={folder}/spool
SlurmctldPidFile={folder}/slurmctld.pid
SlurmdPidFile={folder}/slurmd.pid
SlurmctldLogFile={folder}/slurmctld.log
SlurmdLogFile={folder}/slurmd.log
ProctrackType=proctrack/linuxproc
TaskPlugin=task/none
MpiDefault=none
SelectType=select/cons_tres
SelectTypeParameters=CR_Core
SchedulerParameters=sched_interval=1,bf_interval=1,batch_sched_delay=0
ReturnToService=2
KillWait=5
NodeName={host} NodeAddr=127.0.0.1 CPUs=2 RealMemory=2000 State=UNKNOWN
PartitionName=all Nodes=ALL Default=YES State=UP
"""


def free_port() -> int:
    with socket.socket() as one:
        one.bind(("127.0.0.1", 0))
        return int(one.getsockname()[1])


def ask(*command: str) -> str:
    done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=60)
    assert done.returncode == 0, f"{' '.join(command)}: {done.stderr}"
    return done.stdout


def wait_until(what: Callable[[], bool], seconds: float, folder: Path) -> None:
    until = time.monotonic() + seconds
    while not what():
        logs = "\n".join(f"{log}:\n{log.read_text()[-1500:]}" for log in folder.rglob("slurm*.log"))
        assert time.monotonic() < until, logs
        time.sleep(0.3)


@pytest.fixture
def slurm(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """A cluster of one node, this machine, with ways of its own to everything."""
    folder = tmp_path / "slurm"
    for name in ("state", "spool"):
        (folder / name).mkdir(parents=True)
    key = folder / "munge.key"
    key.write_bytes(os.urandom(128))
    key.chmod(0o400)
    ports = {"controller_port": free_port(), "node_port": free_port()}
    configuration = folder / "slurm.conf"
    configuration.write_text(CONFIGURATION.format(folder=folder, host=socket.gethostname(), **ports))
    monkeypatch.setenv("SLURM_CONF", str(configuration))
    munge = [f"--{name}={folder}/munge.{name.split('-')[0]}" for name in ("key-file", "socket", "pid-file")]
    munge += [f"--log-file={folder}/munged.log", f"--seed-file={folder}/munge.seed"]
    commands = [["munged", "--foreground", "--force", *munge], ["slurmctld", "-D"], ["slurmd", "-D"]]
    started: list[subprocess.Popen[bytes]] = []
    try:
        for command in commands:
            quiet: dict[str, Any] = {"stdout": subprocess.DEVNULL, "stderr": subprocess.DEVNULL}
            started.append(subprocess.Popen(command, **quiet))
            if command[0] == "munged":
                wait_until((folder / "munge.socket").exists, 20, folder)
        wait_until(lambda: "idle" in sinfo(), 60, folder)
        yield folder
    finally:
        for process in reversed(started):
            process.terminate()
            process.wait(20)


def sinfo() -> str:
    done = subprocess.run(["sinfo", "-h", "-o", "%t"], capture_output=True, text=True, check=False)
    return done.stdout


def test_an_array_whose_tasks_are_sent_back_gives_the_table_of_the_single_run(
    slurm: Path, slow_photos: Path, tmp_path: Path, write_tiny_model: Any
) -> None:
    model = write_tiny_model(tmp_path / "model.onnx", labels=("a", "b"))
    run = tmp_path / "run"
    api.predict(model, slow_photos, tmp_path / "single.csv", batch_size=2, workers=1, threads=1)
    api.plan_shards(model, slow_photos, run, shard_size=16, batch_size=2, lease=3)
    options = JobOptions(cpus=1, memory="500M")
    script = api.write_job_file(run, tmp_path / "run.sbatch", "slurm", options)
    job = ask("sbatch", "--parsable", str(script)).strip()

    def at_work(shard: int) -> Callable[[], bool]:
        return lambda: run_status(run).shards[shard].done > 0

    wait_until(at_work(0), 90, tmp_path)
    ask("scancel", "--batch", "--signal=USR1", f"{job}_0")  # as Slurm does when the time is nearly over
    wait_until(at_work(1), 90, tmp_path)
    ask("scontrol", "requeue", f"{job}_1")  # as for a job of more weight, or a lost node
    wait_until(lambda: run_status(run).finished, 150, tmp_path)
    wait_until(lambda: not ask("squeue", "-h").strip(), 60, tmp_path)
    shards = run_status(run).shards
    assert [one.attempts >= 2 for one in shards] == [True, True, False]
    api.merge_shards(run, tmp_path / "whole.csv")
    assert (tmp_path / "whole.csv").read_bytes() == (tmp_path / "single.csv").read_bytes()
