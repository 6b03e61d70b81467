"""A study that many work on: exactly so many trials, whoever starts when and whoever dies."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from trapline.errors import DataError, UsageError
from trapline.recipes import resolve_recipe
from trapline.training import alive

optuna = pytest.importorskip("optuna")

from trapline.training.study import JOURNAL, SharedStudy  # noqa: E402

RECIPE = resolve_recipe("head").model_dump(mode="json")
WANTED = {"recipe": RECIPE, "catalog": "a", "folds": 3, "metric": "log_loss"}

WORKER = """
import sys, time
from pathlib import Path
from trapline.recipes import resolve_recipe
from trapline.training.study import SharedStudy
recipe = resolve_recipe("head").model_dump(mode="json")
wanted = {"recipe": recipe, "catalog": "a", "folds": 3, "metric": "log_loss"}
trials, seconds = int(sys.argv[2]), float(sys.argv[3])
with SharedStudy(Path(sys.argv[1]), wanted, "minimize", 1) as study:
    while (trial := study.take(trials)) is not None:
        value = trial.suggest_float("x", 0, 1)
        print(trial.number, flush=True)
        time.sleep(seconds)
        study.complete(trial, value)
"""


def start(folder: Path, trials: int, seconds: float) -> subprocess.Popen[str]:
    command = [sys.executable, "-c", WORKER, str(folder), str(trials), str(seconds)]
    return subprocess.Popen(command, stdout=subprocess.PIPE, text=True)


def open_study(folder: Path, **changes: object) -> SharedStudy:
    return SharedStudy(folder, WANTED | changes, "minimize", 1)


def ended(folder: Path) -> list[float]:
    """What every trial that ended has drawn."""
    with open_study(folder) as study:
        trials = study.study.get_trials(states=(optuna.trial.TrialState.COMPLETE,))
    return [trial.params["x"] for trial in trials]


def test_four_that_start_at_once_make_exactly_so_many_and_draw_otherwise(tmp_path: Path) -> None:
    workers = [start(tmp_path, 7, 0.05) for _ in range(4)]
    assert [worker.wait(120) for worker in workers] == [0] * 4
    drawn = ended(tmp_path)
    assert len(drawn) == 7
    assert len(set(drawn)) == 7
    assert list((tmp_path / "workers").iterdir()) == []


@pytest.mark.skipif(os.name != "posix", reason="SIGKILL is of POSIX")
def test_the_trial_of_one_that_was_killed_is_made_again_at_once(tmp_path: Path) -> None:
    killed = start(tmp_path, 3, 600)
    assert killed.stdout is not None
    assert killed.stdout.readline() == "0\n"
    waiting = start(tmp_path, 3, 0.01)  # makes two, and waits for the third
    until = time.monotonic() + 60
    while len(ended(tmp_path)) < 2 and time.monotonic() < until:
        time.sleep(0.1)
    assert waiting.poll() is None
    killed.send_signal(signal.SIGKILL)
    killed.wait()
    assert waiting.wait(60) == 0
    assert len(ended(tmp_path)) == 3


def test_one_on_another_machine_is_dead_after_a_long_silence(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(alive, "_is_held", lambda name: None)  # of another machine nobody can tell
    monkeypatch.setattr(alive, "SILENT_SECONDS", 0.3)
    watch, folder = alive.Watch(tmp_path), tmp_path
    (folder / "far-1-ab").write_text("1")
    assert watch.is_alive("far-1-ab")
    time.sleep(0.2)
    (folder / "far-1-ab").write_text("2")
    assert watch.is_alive("far-1-ab")
    time.sleep(0.2)
    assert watch.is_alive("far-1-ab")
    time.sleep(0.2)
    assert not watch.is_alive("far-1-ab")


def test_one_that_was_taken_for_dead_is_told_so_and_counts_for_nothing(tmp_path: Path) -> None:
    with open_study(tmp_path) as study, open_study(tmp_path) as other:
        trial = study.take(1)
        assert trial is not None
        other.study.tell(trial.number, state=optuna.trial.TrialState.FAIL)
        with pytest.warns(UserWarning, match="counts for nothing"):
            study.complete(trial, 0.5, metrics={})
        again = study.take(1)
        assert again is not None
        study.complete(again, 0.5)
        assert study.take(1) is None


def test_no_name_of_a_worker_leads_out_of_the_folder(tmp_path: Path) -> None:
    (tmp_path / "precious").write_text("1")
    watch = alive.Watch(tmp_path / "workers")
    assert not watch.is_alive("../precious")
    watch.forget("../precious")
    assert (tmp_path / "precious").exists()


def test_a_line_that_a_dying_machine_left_half_behind_costs_only_itself(tmp_path: Path) -> None:
    with open_study(tmp_path) as study:
        study.complete(study.take(1), 0.5)
    with (tmp_path / JOURNAL).open("ab") as file:
        file.write(b'{"op_code":6,"wor')
    with open_study(tmp_path) as study:
        study.complete(study.take(2), 0.25)
        assert study.take(2) is None
    with open_study(tmp_path) as study:
        assert [trial.value for trial in study.study.trials] == [0.5, 0.25]


def test_a_study_of_something_else_is_refused_and_a_damaged_one_named(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    open_study(tmp_path)
    with pytest.raises(UsageError, match="another catalog, metric"):
        open_study(tmp_path, catalog="b", metric="accuracy")
    (tmp_path / JOURNAL).write_bytes(b"")
    monkeypatch.setattr(sys.modules["trapline.training.study"], "_BEGIN_SECONDS", 0.1)
    with pytest.raises(DataError, match=r"study\.journal is damaged.*Move it away"):
        open_study(tmp_path)


def test_a_study_of_an_earlier_version_goes_on(tmp_path: Path) -> None:
    storage = f"sqlite:///{(tmp_path / 'study.sqlite').as_posix()}"
    old = optuna.create_study(storage=storage, study_name="trapline")
    for name, value in WANTED.items():
        old.set_user_attr(name, value)
    old.tell(old.ask(), 0.5)
    old.ask()  # killed in the middle
    old.tell(old.ask(), 0.25)
    with pytest.raises(UsageError, match="another folds"):
        open_study(tmp_path, folds=5)
    with open_study(tmp_path) as study:
        states = [trial.state.name for trial in study.study.trials]
        assert states == ["COMPLETE", "FAIL", "COMPLETE"]
        trial = study.take(3)
        assert trial is not None
        assert trial.number == 3
        study.complete(trial, 0.75)
        assert study.take(3) is None
    assert len(old.trials) == 3
