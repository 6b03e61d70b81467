"""`trapline quickstart`: it runs, what it prints is true, and its world teaches what it says."""

import os
import re
import shlex
import subprocess
import sys
from pathlib import Path

import polars as pl
import pytest

from trapline.cli import main
from trapline.errors import UsageError
from trapline.quickstart import Quickstart, quickstart

SMALL = ["--locations", "8", "--events-per-location", "3", "--seed", "3", "--no-open"]

THREADS = {name: value for name, value in os.environ.items() if name == "OMP_NUM_THREADS"}


def cli(line: list[str], folder: Path, cache: Path) -> str:
    done = subprocess.run(
        [sys.executable, "-m", "trapline", *line],
        cwd=folder,
        env=THREADS | {"PATH": "", "TRAPLINE_CACHE": str(cache), "HOME": str(cache)},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, f"{line}\n{done.stdout[-2000:]}\n{done.stderr[-3000:]}"
    return done.stdout


def test_data_only_draws_and_stops(tmp_path: Path) -> None:
    line = "quickstart world --data-only --locations 1 --events-per-location 2"
    said = cli(shlex.split(line), tmp_path, tmp_path)
    assert "synthetic" in said
    assert sorted(path.name for path in tmp_path.glob("world/*")) == [
        "README.txt", "boxes.json", "labels.csv", "photos",
    ]  # fmt: skip


def test_a_folder_that_is_not_a_quickstart_is_left_alone(tmp_path: Path) -> None:
    (tmp_path / "runs").mkdir()
    (tmp_path / "runs" / "mine.txt").write_text("precious")
    with pytest.raises(UsageError, match="exists"):
        quickstart(tmp_path)
    with pytest.raises(UsageError, match="left alone"):
        quickstart(tmp_path, force=True)
    assert (tmp_path / "runs" / "mine.txt").read_text() == "precious"


def test_too_few_locations_end_with_status_2(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as left:
        main(["quickstart", str(tmp_path / "q"), "--locations", "3"])
    assert left.value.code == 2
    assert "at least 8 locations" in capsys.readouterr().err
    assert not (tmp_path / "q").exists()


def here(line: list[str]) -> None:
    """The command in this process, in the working folder."""
    with pytest.raises(SystemExit) as left:
        main(line)
    assert not left.value.code, line


@pytest.mark.slow
def test_the_printed_commands_do_what_quickstart_does(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    said = cli(["quickstart", "q", *SMALL], tmp_path, tmp_path / "cache")
    commands = re.findall(r"^  \$ trapline (.*)$", said, re.MULTILINE)
    for_each_split = ["split", "train", "predict", "evaluate"]
    steps = ["quickstart", "catalog", "explore", *for_each_split, *for_each_split]
    assert [line.split()[0] for line in commands] == steps
    by_hand = tmp_path / "by-hand"
    by_hand.mkdir()
    monkeypatch.chdir(by_hand)
    monkeypatch.setenv("TRAPLINE_CACHE", str(tmp_path / "cache"))
    for line in commands:
        here(shlex.split(line))
    for name in ("test-random.parquet", "test-location.parquet"):
        one, other = (pl.read_parquet(folder / name) for folder in (tmp_path / "q", by_hand))
        assert one.equals(other), name
    for name in ("explore.html", "report-random.html", "report-location.html"):
        assert (by_hand / name).is_file()
        assert (tmp_path / "q" / name).is_file()
        assert name in said
    assert "synthetic" in said.split("\n")[0]
    assert "The same with your own photos" in said
    monkeypatch.chdir(tmp_path)
    capsys.readouterr()
    here(["quickstart", "q", *SMALL, "--force"])
    assert without_seconds(capsys.readouterr().out) == without_seconds(said)


def without_seconds(said: str) -> str:
    return re.sub(r"\d+(\.\d)? s\b", "", said)


@pytest.fixture(scope="module")
def real(tmp_path_factory: pytest.TempPathFactory) -> Quickstart:
    return quickstart(tmp_path_factory.mktemp("real") / "q")


@pytest.mark.slow
@pytest.mark.timeout(1800)
@pytest.mark.filterwarnings("default::trapline.errors.TraplineWarning")
def test_the_random_split_flatters_and_the_split_by_location_still_learns(real: Quickstart) -> None:
    random, location = (real.evaluations[by].metrics for by in ("random", "location"))
    assert random["accuracy"].value > location["accuracy"].value + 0.06
    assert random["log_loss"].value < location["log_loss"].value - 0.15
    constants = {one.name: one.metrics for one in real.evaluations["location"].constants}
    assert location["accuracy"].value > constants["majority"]["accuracy"] + 0.2
    assert location["log_loss"].value < constants["priors"]["log_loss"] - 0.4
    assert location["accuracy"].low is not None
    assert real.evaluations["random"].leak.findings
    assert not real.evaluations["location"].leak.findings
