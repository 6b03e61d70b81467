"""The published recipes, whole, by one command: on the competition's layout and on its class folders."""

import csv
import shutil
from pathlib import Path

import pytest

from trapline.cli import main


def run(*arguments: object) -> int:
    with pytest.raises(SystemExit) as stopped:
        main([str(argument) for argument in arguments])
    return int(stopped.value.code or 0)


@pytest.fixture(scope="module")
def competition(field: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Every ninth labelled photo of the Conser-vision layout, and its first ten unlabelled rows."""
    source, folder = field / "caltech-night", tmp_path_factory.mktemp("competition")
    for name, step, most in (
        ("train_features", 9, None),
        ("train_labels", 9, None),
        ("test_features", 1, 10),
        ("submission_format", 1, 10),
    ):
        with (source / f"{name}.csv").open() as file:
            header, *rows = list(csv.reader(file))
        with (folder / f"{name}.csv").open("w", newline="") as file:
            csv.writer(file).writerows([header, *rows[::step][:most]])
    for name in ("train_features", "test_features"):
        (folder / name).symlink_to(source / name)
    shutil.copy(source / "boxes.json", folder)
    return folder


@pytest.fixture(scope="module")
def bursts(field: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Every fourth sequence of the bursts: all cattle are in the last season of the labelled ones."""
    source, folder = field / "trailcam-bursts", tmp_path_factory.mktemp("bursts")
    for path in source.glob("*.csv"):
        if path.name != "train_frame_labels.csv":
            with path.open() as file:
                header, *rows = list(csv.reader(file))
            with (folder / path.name).open("w", newline="") as file:
                csv.writer(file).writerows(
                    [header, *(row for row in rows if int(row[0].rpartition("#")[2]) % 4 == 0)]
                )
    for season in source.glob("S*"):
        (folder / season.name).symlink_to(season)
    return folder


@pytest.mark.field
@pytest.mark.slow
def test_bursts_of_a_season_with_an_animal_of_its_own_are_run_to_the_submission(
    bursts: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("TRAPLINE_CACHE", str(tmp_path / "cache"))
    quick = ["backbone=model-file:lite0", "weights=none", "head.pooling=avg"]
    quick += ["preprocessing.height=64", "preprocessing.width=64"]
    flags = [word for setting in quick for word in ("--set", setting)]
    flags += ["--by", "season", "--absent", "0.02", "-o", str(tmp_path / "whole")]
    assert run("run", bursts, "-r", "sequences", *flags) == 0
    said = capsys.readouterr().out
    assert "479 media, blank, bobcat, canidae, cattle," in said
    assert "the model does not know cattle: counted as wrong" in said
    assert "does not know cattle; media with" in (tmp_path / "whole" / "report.html").read_text()
    wanted = (bursts / "submission_format.csv").read_text().splitlines()
    written = (tmp_path / "whole" / "submission.csv").read_text().splitlines()
    assert written[0] == wanted[0]
    assert [row.split(",")[0] for row in written] == [row.split(",")[0] for row in wanted]


@pytest.mark.field
@pytest.mark.slow
@pytest.mark.parametrize(
    ("recipe", "settings"),
    [
        ("small-cnn", ["epochs=2"]),
        (
            "conser-vision-resnet50",
            ["weights=none", "how=scratch", "preprocessing.height=64", "preprocessing.width=64"],
        ),
    ],
)
def test_a_published_recipe_runs_whole(
    competition: Path, tmp_path: Path, recipe: str, settings: list[str]
) -> None:
    pytest.importorskip("torch")
    flags = [word for setting in settings for word in ("--set", setting)]
    assert run("run", competition, "-r", recipe, "-o", tmp_path / "whole", *flags) == 0
    for name in ("catalog.parquet", "explore.html", "train/model.onnx", "report.html", "submission.csv"):
        assert (tmp_path / "whole" / name).stat().st_size > 0
    wanted = (competition / "submission_format.csv").read_text().splitlines()
    written = (tmp_path / "whole" / "submission.csv").read_text().splitlines()
    assert written[0] == wanted[0]
    assert [row.split(",")[0] for row in written] == [row.split(",")[0] for row in wanted]


@pytest.mark.field
@pytest.mark.slow
def test_the_same_recipe_runs_on_class_folders_without_a_submission(
    competition: Path, tmp_path: Path
) -> None:
    pytest.importorskip("torch")
    assert run("catalog", competition, "-o", tmp_path / "all.parquet") == 0
    assert run("split", tmp_path / "all.parquet", "-o", tmp_path / "split.parquet") == 0
    assert run("catalog", tmp_path / "split.parquet", "--links", tmp_path / "tree") == 0
    flags = ["--by", "published", "--set", "epochs=1"]
    assert run("run", tmp_path / "tree", "-r", "small-cnn", "-o", tmp_path / "whole", *flags) == 0
    assert (tmp_path / "whole" / "report.html").is_file()
    assert not (tmp_path / "whole" / "submission.csv").exists()


def test_a_folder_in_use_is_not_run_into(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "used").mkdir()
    (tmp_path / "used" / "file").touch()
    (tmp_path / "photos.csv").write_text("filepath,label\na.jpg,hare\n")
    assert run("run", tmp_path / "photos.csv", "-o", tmp_path / "used") == 2
    assert "not empty" in capsys.readouterr().err
