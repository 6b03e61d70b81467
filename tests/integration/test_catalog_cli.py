"""`trapline catalog` and `trapline split`, from the command line to the files they leave."""

import json
from pathlib import Path

import polars as pl
import pytest

from trapline.catalog import Catalog, summarise
from trapline.cli import main
from trapline.errors import TraplineWarning
from trapline.prediction import Predictions
from trapline.prediction.table import fixed_columns
from trapline.recipes import resolve_recipe
from trapline.training.selection import select_media


def command(arguments: list[str]) -> None:
    with pytest.raises(SystemExit) as stopped:
        main(arguments)
    assert stopped.value.code == 0


@pytest.fixture
def table(tmp_path: Path) -> Path:
    lines = ["filepath,label,site,datetime"]
    for n in range(60):
        (tmp_path / f"p{n}.jpg").write_bytes(f"photo {n}".encode())
        lines.append(f"p{n}.jpg,{['fox', '[hare]', 'empty'][n % 3]},S{n % 10},2020-01-01 10:{n:02}:00")
    path = tmp_path / "labels.csv"
    path.write_text("\n".join(lines) + "\n")
    return path


def test_photos_renamed_after_they_were_labelled_are_judged_by_their_content(
    table: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    root = table.parent
    labelled, card, truth = (root / f"{name}.parquet" for name in ("labelled", "card", "truth"))
    command(["catalog", str(table), "--check", "full", "-o", str(labelled)])
    (root / "card").mkdir()
    for number in range(60):
        (root / f"p{number}.jpg").rename(root / "card" / f"new-{59 - number}.jpg")
    command(["catalog", str(root / "card"), "--check", "none", "-o", str(card)])
    ids = Catalog.load(card).table["media_id"]
    fixed = pl.DataFrame({"media_id": ids, "file_path": ids, "status": "ok"})
    fixed = fixed.select(
        pl.col(name) if name in fixed.columns else pl.lit(None, kind).alias(name)
        for name, kind in fixed_columns("media").items()
    )
    labels = ("fox", "[hare]", "blank")
    was = [59 - int(Path(one).stem.removeprefix("new-")) for one in ids]
    numbers = {label: [float(n % 3 == index) for n in was] for index, label in enumerate(labels)}
    rows = fixed.hstack(pl.DataFrame(numbers, schema=dict.fromkeys(labels, pl.Float32)))
    Predictions(rows, labels, "media", "f" * 64, "single-label").save(root / "p.parquet")
    with pytest.raises(SystemExit):
        main(["evaluate", str(labelled), str(root / "p.parquet")])
    assert "--labels LABELLED.parquet" in " ".join(capsys.readouterr().err.split())
    command(["catalog", str(card), "--labels", str(labelled), "--check", "none", "-o", str(truth)])
    capsys.readouterr()
    command(["evaluate", str(truth), str(root / "p.parquet"), "--json"])
    assert json.loads(capsys.readouterr().out)["metrics"]["accuracy"]["value"] == 1


def test_catalog_then_split_then_links(table: Path, capsys: pytest.CaptureFixture[str]) -> None:
    catalog, split = table.with_name("c.parquet"), table.with_name("s.parquet")
    command(["catalog", str(table), "-o", str(catalog), "--timezone", "Africa/Abidjan", "--event-gap", "30s"])
    said = capsys.readouterr().out
    assert "csv: it is a table as text" in said
    assert "read as 'blank': 'empty' (20 media)" in said
    assert "60 with their zone" in said
    assert "[hare]" in said
    command(["split", str(catalog), "-o", str(split), "--ratios", "60,20,20", "--seed", "3"])
    said = capsys.readouterr().out
    assert "No leak" in said
    done = Catalog.load(split)
    assert set(done.table["split"]) == {"train", "validation", "test"}
    command(["catalog", str(split), "--links", str(table.with_name("tree")), "--check", "none"])
    assert "60 made" in capsys.readouterr().out
    assert (table.with_name("tree") / "train" / "fox").is_dir()


def test_json_is_for_scripts(table: Path, capsys: pytest.CaptureFixture[str]) -> None:
    catalog = table.with_name("c.parquet")
    command(["catalog", str(table), "-o", str(catalog), "--json", "--check", "quick"])
    found = json.loads(capsys.readouterr().out)
    assert found["labels"] == {"blank": 20, "fox": 20, "[hare]": 20}
    assert found["files"]["missing"] == []
    command(["split", str(catalog), "--json", "--by", "random"])
    record = json.loads(capsys.readouterr().out)
    assert record["leaks"]["leaking"] is True
    assert Path(record["output"]) == table.with_name("c-split.parquet")


def test_parts_by_name(table: Path, capsys: pytest.CaptureFixture[str]) -> None:
    catalog, out = table.with_name("c.parquet"), table.with_name("s.parquet")
    command(["catalog", str(table), "-o", str(catalog)])
    named = ["--train", "S0..S4", "--validate", "S5", "--validate", "S6,S7", "--test", "S8"]
    command(["split", str(catalog), "-o", str(out), *named])
    said = capsys.readouterr().out
    assert "In no part, as no part was named for it: S9 (6 media)." in said
    assert "without labels" not in said
    counts = dict(Catalog.load(out).table["split"].value_counts().iter_rows())
    assert counts == {"train": 30, "validation": 18, "test": 6, None: 6}
    command(["split", str(catalog), "-o", str(out), "--validate", "S5", "--force", "--json"])
    record = json.loads(capsys.readouterr().out)
    assert (record["method"], record["left_out"]) == ("named", {})
    assert record["named"]["validation"] == ["S5"]
    assert len(record["named"]["train"]) == 9


def test_folds_and_dates(table: Path, capsys: pytest.CaptureFixture[str]) -> None:
    catalog, out = table.with_name("c.parquet"), table.with_name("s.parquet")
    command(["catalog", str(table), "-o", str(catalog)])
    validating = []
    for fold in range(5):
        command(["split", str(catalog), "-o", str(out), "--folds", "5", "--fold", str(fold), "--force"])
        validating += Catalog.load(out).part("validation").table["media_id"].to_list()
    assert sorted(validating) == sorted(Catalog.load(catalog).table["media_id"])
    command(["split", str(catalog), "-o", str(out), "--by", "date", "--dates", "2020-01-01T10:30", "--force"])
    assert len(Catalog.load(out).part("train")) == 30
    assert "known locations at other times" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("arguments", "status", "complaint"),
    [
        (["catalog", "nowhere"], 1, "nothing at nowhere"),
        (["catalog", "TABLE", "--column", "label=spezies"], 1, "no column 'spezies'"),
        (["catalog", "TABLE", "--column", "label"], 2, "ROLE=NAME"),
        (["catalog", "TABLE", "--event-gap", "soon"], 2, "60s, 5min or 1h"),
        (["catalog", "TABLE", "--check", "deep"], 2, "none, quick or full"),
        (["catalog", "TABLE", "--levels", "label"], 2, "no option 'levels'"),
        (["catalog", "TABLE", "-o", "TABLE"], 2, "written as .parquet"),
        (["split", "TABLE"], 1, "is no catalog but text"),
        (["split", "TABLE", "--ratios", "many"], 2, "70,15,15"),
        (["split", "TABLE", "--by", "date", "--dates", "soon"], 2, "2016-04-01"),
        (["split", "TABLE", "--fold", "2"], 2, "--folds"),
        (["split", "TABLE", "--test", "S1", "--ratios", "1,1"], 2, "leave --ratios and --folds out"),
        (["split", "TABLE", "--test", "S1", "--folds", "3"], 2, "leave --ratios and --folds out"),
    ],
)
def test_what_goes_wrong_is_said_with_the_status(
    table: Path, capsys: pytest.CaptureFixture[str], arguments: list[str], status: int, complaint: str
) -> None:
    with pytest.raises(SystemExit) as stopped:
        main([str(table) if word == "TABLE" else word for word in arguments])
    assert stopped.value.code == status
    error = capsys.readouterr().err
    assert complaint in error
    assert "Traceback" not in error


@pytest.mark.field
def test_the_field_sets_read_as_their_publishers_counted_them(field: Path) -> None:
    from trapline.formats import join_boxes, read

    night = join_boxes(read(field / "caltech-night"), field / "caltech-night" / "boxes.json")
    parts = night.table.group_by("published_split").len().sort("published_split").rows()
    assert parts == [("test", 233), ("train", 735), ("val", 232)]
    assert night.facts.boxes.media_not_in_file == 0
    assert int((night.table["boxes"].list.len() > 0).sum()) == 831 + 172

    serious = read(field / "conser-vision-metadata")
    assert (len(serious), serious.table["location_id"].n_unique()) == (16_488 + 4_464, 148 + 51)
    joined = join_boxes(serious, field / "conser-vision-metadata" / "megadetector_test_features.json")
    assert int(joined.table["boxes"].list.len().sum()) == 11_782
    assert joined.facts.boxes.media_not_in_file == 16_488

    jura = read(field / "jura")
    assert (len(jura), jura.table["camera_time"].dt.year().unique().to_list()) == (326, [2006])
    assert jura.table["timestamp"].null_count() == 326
    labelled = read(field / "jura" / "labels.csv")
    counts = {"vehicle": 127, "human": 98, "red_fox": 40, "wild_boar": 17, "dog": 11, "roe_deer": 9}
    counts |= {"badger": 5, "cat": 4, "chamois": 4, "hare": 4, "eurasian_lynx": 3}
    assert summarise(labelled)["labels"] == counts
    assert all(path.is_file() for path in labelled.paths())


@pytest.mark.field
def test_the_coco_fixtures_read_by_name(field: Path) -> None:
    from trapline.errors import DataError
    from trapline.formats import join_boxes, read

    ena = read(field / "fixtures" / "coco_ena24" / "ena24.json")
    assert len(ena) == 9_676
    assert "blank" not in ena.labels
    assert {"Bird", "Fox", "Squirrel"} <= set(ena.labels)
    assert len(ena.labels) <= 21
    assert int(ena.table["boxes"].list.len().sum()) == 11_596
    assert sum("taken as one label" in note for note in ena.facts.notes) == 2

    cct = read(field / "fixtures" / "coco_cct20_cis_val" / "cis_val_annotations.json")
    assert (len(cct), cct.table["location_id"].n_unique()) == (3_207, 9)
    assert cct.facts.blank_from["empty"] == sum(found == ["blank"] for found in cct.table["labels"].to_list())
    with pytest.raises(DataError, match="not in MegaDetector's batch format"):
        join_boxes(cct, field / "fixtures/cct60_md/outputs/predictions/megadetector_results.json")


def test_videos_are_said_at_every_step(table: Path, capsys: pytest.CaptureFixture[str]) -> None:
    with table.open("a") as file:
        file.write("clips/1.MP4,fox,S1,2020-01-01 11:00:00\nclips/2.avi,fox,S2,2020-01-01 11:00:00\n")
    catalog, sentence = table.with_name("c.parquet"), "2 videos are left out (1 .avi, 1 .mp4)"
    command(["catalog", str(table), "-o", str(catalog)])
    said = capsys.readouterr().out
    assert sentence in said
    assert "media      60" in said
    command(["explore", str(catalog), "--no-pictures"])
    assert sentence in capsys.readouterr().out
    command(["split", str(catalog)])
    assert sentence in capsys.readouterr().err
    with pytest.warns(TraplineWarning, match="2 videos are left out"):
        select_media(Catalog.load(table.with_name("c-split.parquet")), resolve_recipe("head"))
