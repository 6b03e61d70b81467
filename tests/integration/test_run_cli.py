"""The published recipes, whole, by one command: on the competition's layout and on its class folders."""

import csv
import json
import shutil
from collections.abc import Callable
from pathlib import Path

import polars as pl
import pytest
from PIL import Image

from trapline.catalog import Catalog
from trapline.cli import main


def run(*arguments: object) -> int:
    with pytest.raises(SystemExit) as stopped:
        main([str(argument) for argument in arguments])
    return int(stopped.value.code or 0)


def test_a_competition_with_its_own_split_is_judged_where_there_are_labels(
    tmp_path: Path, write_tiny_model: Callable[..., Path], capsys: pytest.CaptureFixture[str]
) -> None:
    folder = tmp_path / "competition"
    folder.mkdir()
    known, asked = [f"k{number}" for number in range(24)], [f"t{number}" for number in range(4)]
    for number, name in enumerate(known + asked):
        colour = [(200, 30, 30), (30, 30, 200)][number % 2]
        Image.new("RGB", (16, 16), tuple(part + number for part in colour)).save(folder / f"{name}.png")
    for part, names in (("train", known), ("test", asked)):
        rows = [f"{name},{name}.png,{part} place {place // 4}" for place, name in enumerate(names)]
        (folder / f"{part}_features.csv").write_text("\n".join(["id,filepath,site", *rows]))
    rows = [f"{name},{1 - place % 2},{place % 2}" for place, name in enumerate(known)]
    (folder / "train_labels.csv").write_text("\n".join(["id,hare,lynx", *rows]))
    rows = [f"{name},{'train' if place < 16 else 'val'}" for place, name in enumerate(known)]
    (folder / "train_metadata.csv").write_text("\n".join(["id,published_split", *rows]))
    rows = [f"{name},0.5,0.5" for name in asked]
    (folder / "submission_format.csv").write_text("\n".join(["id,hare,lynx", *rows]))
    backbone = write_tiny_model(tmp_path / "tiny.onnx")
    flags = [f"--set=backbone=model-file:{backbone}", "--set=folds=2", "--set=preprocessing.crop=null"]
    flags += ["--set=preprocessing.height=16", "--set=preprocessing.width=16"]
    assert run("run", folder, "-r", "head", "--by", "published", "-o", tmp_path / "whole", *flags) == 0
    assert "on the part 'validation'" in capsys.readouterr().out
    assert (tmp_path / "whole" / "report.html").is_file()
    assert len((tmp_path / "whole" / "submission.csv").read_text().splitlines()) == 5


def photos_of_two_labels(folder: Path, size: tuple[int, int]) -> list[str]:
    """24 photos in a folder, and the lines of a table of them with their published split."""
    rows = ["path,label,location,split"]
    for number in range(24):
        colour = [(200, 30, 30), (30, 30, 200)][number % 2]
        Image.new("RGB", size, tuple(part + number for part in colour)).save(folder / f"{number}.png")
        part = ["train", "train", "validation", "test"][number // 6]
        rows.append(f"{number}.png,{['hare', 'lynx'][number % 2]},place {number // 3},{part}")
    return rows


def test_a_judged_photo_of_two_animals_is_left_out_and_counted(
    tmp_path: Path, write_tiny_model: Callable[..., Path]
) -> None:
    rows = photos_of_two_labels(tmp_path, (16, 16))
    rows.append("23.png,hare,place 7,test")  # which shows a lynx as well
    (tmp_path / "labels.csv").write_text("\n".join(rows))
    flags = [f"--set=backbone=model-file:{write_tiny_model(tmp_path / 'tiny.onnx')}"]
    flags += [
        "--set=preprocessing.crop=null",
        "--set=preprocessing.height=16",
        "--set=preprocessing.width=16",
    ]
    whole = tmp_path / "whole"
    assert run("run", tmp_path / "labels.csv", "-r", "head", "--by", "published", "-o", whole, *flags) == 0
    assert "have several labels and were left out" in (whole / "report.html").read_text()


def test_boxes_are_found_for_a_recipe_that_cuts_to_them(
    tmp_path: Path, write_tiny_model: Callable[..., Path], capsys: pytest.CaptureFixture[str]
) -> None:
    rows = photos_of_two_labels(tmp_path, (64, 48))
    (tmp_path / "labels.csv").write_text("\n".join(rows))
    flags = [f"--set=backbone=model-file:{write_tiny_model(tmp_path / 'tiny.onnx')}"]
    flags += ["--set=preprocessing.height=16", "--set=preprocessing.width=16", "--boxes", "auto"]
    start = ("run", tmp_path / "labels.csv", "-r", "head", "--by", "published")
    assert run(*start, "-o", tmp_path / "whole", *flags, "--set=preprocessing.crop=null") == 2
    assert "looks at whole photos" in capsys.readouterr().err
    assert run(*start, "-o", tmp_path / "found", *flags) == 0
    assert "detect    0 of 24 media have a box, 0 failed" in capsys.readouterr().out
    assert Catalog.load(tmp_path / "found" / "catalog.parquet").facts.boxes.media == 24


@pytest.fixture(scope="module")
def competition(field: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Every eighteenth labelled photo of the Conser-vision layout, and its first ten unlabelled rows."""
    source, folder = field / "caltech-night", tmp_path_factory.mktemp("competition")
    for name, step, most in (
        ("train_features", 18, None),
        ("train_labels", 18, None),
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
def test_the_published_benchmark_trains_on_its_season_and_is_judged_on_the_other(
    bursts: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    pytest.importorskip("torch")
    monkeypatch.setenv("TRAPLINE_CACHE", str(tmp_path / "cache"))
    quick = ["backbone=model-file:lite0", "weights=none", "head.pooling=avg"]
    quick += ["preprocessing.height=64", "preprocessing.width=64"]
    flags = [word for setting in quick for word in ("--set", setting)]
    flags += ["--absent", "0.02", "-o", str(tmp_path / "whole"), "--by", "season", "--train", "S1"]
    assert run("run", bursts, "-r", "serengeti-benchmark", *flags, "--validate", "S7") == 2
    assert "'S7'; there are: S1, S2, S3, S4" in capsys.readouterr().err
    assert not (tmp_path / "whole").exists()
    assert run("run", bursts, "-r", "serengeti-benchmark", *flags, "--validate", "S3") == 0
    said = capsys.readouterr().out
    assert "In no part, as no part was named for them: S2 (" in said
    assert "on the part 'validation'" in said
    metrics = json.loads((tmp_path / "whole" / "evaluation.json").read_text())["metrics"]
    assert {"accuracy", "top_5_accuracy", "categorical_cross_entropy", "log_loss"} <= metrics.keys()
    catalog = pl.read_parquet(tmp_path / "whole" / "catalog.parquet")
    parts = catalog.group_by("season").agg(pl.col("split").unique()).sort("season")
    assert parts.rows() == [
        *(("S1", ["train"]), ("S2", [None]), ("S3", ["validation"]), ("S4", [None]), ("S5", [None]))
    ]
    history = (tmp_path / "whole" / "train" / "history.csv").read_text()
    assert history.startswith("epoch,steps,train_loss")


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
