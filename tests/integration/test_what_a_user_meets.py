"""What is said when something is not as it should be: a wrong file, a full disk, Ctrl-C, an early end."""

import errno
import io
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from trapline.cli import main
from trapline.cli._steps import reporter
from trapline.errors import DataError, kind_of


def said(arguments: list[str], capsys: pytest.CaptureFixture[str]) -> tuple[int, str]:
    with pytest.raises(SystemExit) as left:
        main(arguments)
    return int(left.value.code or 0), capsys.readouterr().err


@pytest.fixture
def files(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    Path("labels.csv").write_text("filepath,label\na.jpg,fox\n")
    Path("photo.jpg").write_bytes(b"\xff\xd8\xff\xe0 and so on")
    Path("empty.onnx").touch()
    Path("photos").mkdir()
    with pytest.raises(SystemExit):
        main(["catalog", "labels.csv", "--check", "none", "-o", "catalog.parquet"])
    return tmp_path


@pytest.mark.parametrize(
    ("arguments", "complaint"),
    [
        (["explore", "labels.csv"], "labels.csv is no catalog but text"),
        (["explore", "photos"], "photos is no catalog but a folder"),
        (["split", "photo.jpg"], "photo.jpg is no catalog but a picture"),
        (["predict", "catalog.parquet", "catalog.parquet"], "is no model but a Parquet table"),
        (["predict", "photo.jpg", "catalog.parquet"], "is no model but a picture"),
        (["show", "empty.onnx"], "is no model but an empty file"),
        (["show", "photos"], "photos is a folder; name the model file in it"),
        (["predict", "photos", "catalog.parquet"], "photos is a folder; name the model file in it"),
        (["evaluate", "catalog.parquet", "photos"], "photos is no table of predictions but a folder"),
        (["evaluate", "catalog.parquet", "labels.csv"], "labels.csv.json"),
        (["evaluate", "catalog.parquet", "catalog.parquet"], "it is a catalog. Name predictions before it."),
        (["evaluate", "catalog.parquet", "photo.jpg"], "is no table of predictions but a picture"),
    ],
)
def test_a_file_of_another_kind_is_called_what_it_is(
    files: Path, capsys: pytest.CaptureFixture[str], arguments: list[str], complaint: str
) -> None:
    status, error = said(arguments, capsys)
    assert status == 1
    assert complaint in error
    assert "protobuf" not in error
    assert "File out of specification" not in error


@pytest.mark.parametrize(
    ("arguments", "complaint"),
    [
        (["catalog", "labels.csv", "-o", "catalog.parquet"], "--force"),
        (["catalog", "labels.csv", "-o", "catalog.csv"], "written as .parquet, not as 'catalog.csv'"),
        (["split", "catalog.parquet", "-o", "split.csv"], "written as .parquet"),
        (["catalog", "labels.csv", "--root", "nowhere"], "'nowhere', does not exist"),
        (["split", "catalog.parquet", "--folds", "3", "--ratios", "80,20"], "ask for one of them"),
        (["split", "catalog.parquet", "--dates", "2020-01-01"], "--dates goes with --by date"),
        (
            ["train", "catalog.parquet", "-r", "head", "-o", ".", "--force"],
            "not the folder of a training run",
        ),
    ],
)
def test_options_that_cannot_be_right_leave_with_2(
    files: Path, capsys: pytest.CaptureFixture[str], arguments: list[str], complaint: str
) -> None:
    Path("recipe.yaml").write_text("mine: true\n")
    status, error = said(arguments, capsys)
    assert (status, complaint in error) == (2, True), error
    assert Path("recipe.yaml").exists()


def test_what_the_system_refuses_is_said_without_a_traceback(
    files: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    status, error = said(["catalog", "labels.csv", "--check", "none", "-o", "labels.csv/x.parquet"], capsys)
    assert status == 1
    assert str(files / "labels.csv") in error
    assert "rights" in error
    Path("taken.parquet").mkdir()
    status, error = said(
        ["catalog", "labels.csv", "--check", "none", "-o", "taken.parquet", "--force"], capsys
    )
    assert (status, "is a folder" in error or "denied" in error) == (1, True)
    assert not list(files.glob("*.partial"))
    with pytest.raises(DataError, match="labels"):
        main(["--debug", "catalog", "labels.csv", "--check", "none", "-o", "labels.csv/x.parquet"])

    def full(*_: object, **__: object) -> None:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr("trapline.catalog.Catalog.save", full)
    status, error = said(["catalog", "labels.csv", "--check", "none", "-o", "x.parquet"], capsys)
    assert (status, error.startswith("Error: No space left on device. ")) == (1, True)


@pytest.mark.skipif(sys.platform == "win32", reason="Windows has no SIGINT to send")
def test_ctrl_c_stops_at_once_and_says_so(tmp_path: Path) -> None:
    run = subprocess.Popen(
        [sys.executable, "-m", "trapline", "quickstart", str(tmp_path / "world"), "--data-only"],
        stderr=subprocess.PIPE,
        text=True,
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.default_int_handler),
    )
    until = time.monotonic() + 30
    while not (tmp_path / "world" / "photos").exists() and time.monotonic() < until:
        time.sleep(0.05)
    run.send_signal(signal.SIGINT)
    _, error = run.communicate(timeout=20)
    assert run.returncode == 130, error
    assert error.strip() == "Stopped."


def test_a_step_that_ends_early_leaves_no_half_full_bar() -> None:
    from rich.console import Console
    from rich.progress import Progress, TextColumn

    display = Progress(
        TextColumn("{task.description}"), console=Console(file=io.StringIO(), force_terminal=True)
    )
    tell = reporter(display)
    for done in (1, 30):
        tell("heads", done, 35, "")
    tell("predict", 1, 10, "")
    tell("heads", 1, 35, "")  # a second round of a step that was there
    shown = {task.description: (task.visible, task.completed) for task in display.tasks}
    assert shown == {"heads": (True, 1), "predict": (False, 1)}


@pytest.mark.parametrize(
    ("content", "kind"),
    [
        (b"", "an empty file"),
        (b"PAR1....", "a Parquet table"),
        (b'\xef\xbb\xbf {"a": 1}', "JSON"),
        (b"PK\x03\x04", "a zip"),
        (b"\x81\x02\x00binary", None),
        ("Fundort;Art\nWald;Füchse\n".encode("cp1252"), "text"),
    ],
)
def test_kinds_of_files_are_told_by_their_content(tmp_path: Path, content: bytes, kind: str | None) -> None:
    path = tmp_path / "file.bin"
    path.write_bytes(content)
    assert kind_of(path) == kind
