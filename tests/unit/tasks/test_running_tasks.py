"""Tasks in processes of their own, on this machine."""

import copy
import os
import signal
import subprocess
import sys
import textwrap
import time
from pathlib import Path

import pytest

from trapline.errors import TraplineError, TraplineWarning, UsageError
from trapline.tasks import Standing, Task, TasksFailedError, cores_each, run_tasks

JOBS = f"{__package__}.jobs" if __package__ else "jobs"


def job(name: str, function: str, **arguments: object) -> Task:
    return Task(name, f"{JOBS}:{function}", arguments)


def gone(pid: int) -> bool:
    """Whether a process ended, within a few seconds."""
    until = time.monotonic() + 20
    while time.monotonic() < until:
        try:
            state = Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()[0]
        except OSError:
            return True
        if state == "Z":
            return True
        time.sleep(0.05)
    return False


def test_results_come_in_the_order_of_the_tasks_and_progress_is_told() -> None:
    told: list[Standing] = []
    tasks = [job(f"task {n}", "double", number=n) for n in range(5)]
    assert run_tasks(tasks, "local:2", report=lambda now: told.append(copy.deepcopy(now))) == [0, 2, 4, 6, 8]
    assert (told[-1].done, told[-1].total, told[-1].running) == (5, 5, [])
    assert all(len(now.running) <= 2 for now in told)
    assert run_tasks([], "local") == []


@pytest.mark.parametrize("how", ["kill", "abort", "leave", "disk"])
def test_what_died_or_met_a_full_disk_is_tried_again(how: str, tmp_path: Path) -> None:
    news: list[str] = []
    task = job("shard 3", "fail_first", folder=str(tmp_path), how=how)
    assert run_tasks([task], "local:1", report=lambda now: news.extend(now.news)) == [2]
    assert len(news) == 1
    assert news[0].startswith("shard 3 is tried again: ")


def test_a_task_that_always_dies_ends_after_its_tries_and_harms_no_other(tmp_path: Path) -> None:
    tasks = [
        job("bad", "fail_first", folder=str(tmp_path), how="kill", times=99),
        *(job(f"good {n}", "double", number=n) for n in range(2)),
    ]
    last: list[Standing] = []
    with pytest.raises(
        TasksFailedError, match=r"1 task failed.*\n  bad: its process died \(signal 9\)"
    ) as caught:
        run_tasks(tasks, "local:2", retries=1, report=lambda now: last.append(copy.deepcopy(now)))
    assert len(list(tmp_path.iterdir())) == 2
    assert last[-1].done == 2
    assert list(caught.value.failures) == ["bad"]


@pytest.mark.parametrize(("usage", "status"), [(True, 2), (False, 1)])
def test_what_a_task_itself_says_is_final_and_keeps_its_exit_status(usage: bool, status: int) -> None:
    with pytest.raises(TasksFailedError, match=r"wrong: no such bucket$") as caught:
        run_tasks([job("wrong", "refuse", message="no such bucket", usage=usage)], "local:1")
    assert caught.value.exit_status == status


def test_tasks_that_all_fail_are_not_a_season_of_failures() -> None:
    tasks = [job(f"task {n}", "refuse", message="no such bucket") for n in range(20)]
    with pytest.raises(TasksFailedError, match=r"3 tasks failed.* 17 were not begun"):
        run_tasks(tasks, "local:1")


def test_a_result_that_is_no_json_is_an_error_and_one_of_any_size_comes_whole() -> None:
    with pytest.raises(TasksFailedError, match="not JSON serializable"):
        run_tasks([job("path", "not_json")], retries=0)
    assert run_tasks([job("large", "large", letters=300_000)]) == ["a" * 300_000]


def test_warnings_of_a_task_are_the_runs_and_what_it_prints_is_no_answer() -> None:
    with pytest.warns(TraplineWarning, match="task 1: boxes of another folder"):
        assert run_tasks([job("task 1", "warn", text="boxes of another folder")]) == [None]


def test_cores_are_shared_out_and_what_the_user_says_of_threads_stands(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.delenv("OMP_NUM_THREADS", raising=False)
    assert run_tasks([job("a", "threads")], "local:1", cores=3) == ["3"]
    assert cores_each("local:1") >= cores_each("local:2") >= 1
    assert cores_each("local:1000") == 1
    assert cores_each("local:1000", tasks=1) == cores_each("local:1")
    monkeypatch.setenv("OMP_NUM_THREADS", "7")
    assert run_tasks([job("a", "threads")], "local:1", cores=3) == ["7"]


@pytest.mark.parametrize("on", ["", "local:0", "local:-1", "local:x", "ray://", "ray://a", "slurm", "dask"])
def test_an_engine_that_there_is_not_is_refused_by_what_there_is(on: str) -> None:
    with pytest.raises(UsageError, match="--on takes local"):
        run_tasks([job("a", "double", number=1)], on)


def test_tasks_that_no_process_could_do_are_refused() -> None:
    with pytest.raises(UsageError, match="Two tasks"):
        run_tasks([job("a", "double", number=1), job("a", "double", number=2)])
    with pytest.raises(UsageError, match="cannot be told"):
        Task("a", "trapline.times:parse", {"path": Path()})
    with pytest.raises(UsageError, match="module:name"):
        Task("a", "rm -rf /")
    with pytest.raises(TraplineError, match="no function"):
        run_tasks([Task("a", "trapline.times:none_such")])


PARENT = """
    import sys
    sys.path[:0] = [{folder!r}]
    from trapline.tasks import Task, run_tasks
    run_tasks([Task("a", "jobs:sleep", dict(begun={begun!r}, stopped={stopped!r}))], "local:1")
"""


@pytest.mark.parametrize("how", [signal.SIGINT, signal.SIGKILL])
@pytest.mark.skipif(sys.platform == "win32", reason="signals")
def test_tasks_end_with_the_run_and_may_put_their_things_away(how: signal.Signals, tmp_path: Path) -> None:
    begun, stopped = tmp_path / "begun", tmp_path / "stopped"
    code = PARENT.format(folder=str(Path(__file__).parent), begun=str(begun), stopped=str(stopped))
    parent = subprocess.Popen([sys.executable, "-c", textwrap.dedent(code)], stderr=subprocess.DEVNULL)
    while not (begun.exists() and begun.read_text()):
        assert parent.poll() is None
        time.sleep(0.05)
    os.kill(parent.pid, how)
    assert parent.wait(40) != 0
    assert gone(int(begun.read_text()))
    assert stopped.exists()
