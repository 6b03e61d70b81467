"""A cascade from folders of crops to answers by rank, on the command line and the base install."""

import json
import re
from pathlib import Path

import numpy as np
import polars as pl
import pytest
from PIL import Image

from trapline.cli import main
from trapline.models import ModelFile


def run(*arguments: object) -> None:
    with pytest.raises(SystemExit) as left:
        main([str(argument) for argument in arguments])
    assert left.value.code == 0


SPECIES = {
    "felidae/panthera/panthera_leo": (200, 150, 60),
    "felidae/panthera/panthera_pardus": (200, 60, 60),
    "felidae/acinonyx/acinonyx_jubatus": (200, 200, 160),
    "canidae/lycaon/lycaon_pictus": (40, 60, 200),
    "canidae": (60, 90, 190),
}


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Observations of one to three crops; some dogs are known to the family only."""
    top, random = tmp_path_factory.mktemp("taxa"), np.random.default_rng(0)
    for number, (species, colour) in enumerate(SPECIES.items()):
        for observation in range(16):
            for letter in "abc"[: 1 + observation % 3]:
                path = top / "photos" / species / f"{number}{observation:02}_{letter}.jpg"
                path.parent.mkdir(parents=True, exist_ok=True)
                pixels = np.clip(colour + random.normal(0, 40, (24, 24, 3)), 0, 255).astype(np.uint8)
                Image.fromarray(pixels).save(path)
    return top


def test_from_nested_folders_to_answers_by_rank(
    folder: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(folder)
    monkeypatch.setenv("TRAPLINE_CACHE", str(folder / "cache"))
    run("catalog", "photos", "--format", "class_folders", "-o", "c.parquet")
    run("split", "c.parquet", "--by", "event", "--ratios", "60,40", "-o", "s.parquet")
    split = pl.read_parquet("s.parquet")
    parts = split.group_by("event_id").agg(pl.col("split").n_unique())
    assert parts["split"].max() == 1  # crops of one observation stay on one side
    settings = ["--set", "augmentation.horizontal_flip=0", "--set", "optimiser.weight_decay=0.1"]
    settings += ["--set", "preprocessing.height=32", "--set", "preprocessing.width=32"]
    settings += ["--set", "taxa.promise=0.6"]
    run("train", "s.parquet", "-r", "taxa-cascade", "--taxonomy", "photos", "-o", "run", *settings)
    card = ModelFile("run/model.onnx").card
    assert [head["name"] for head in card.taxonomy["heads"]] == [
        "family_taxon_classifier",
        "felidae_taxon_classifier",
        "panthera_taxon_classifier",
    ]
    assert card.training_data["coarse"].keys() == {"canidae"}
    assert card.taxonomy["unsupported"] == ["Lycaon", "Lycaon pictus"]
    assert card.event is not None  # a way of pooling crops was chosen on validation observations
    run("predict", "run/model.onnx", "s.parquet", "--part", "validation", "-o", "p.csv")
    table = pl.read_csv("p.csv")
    assert {"answer", "answer_rank", "species", "species_probability"} <= set(table.columns)
    assert "Lycaon pictus" not in table["answer"].to_list()
    run("pool", "p.csv", "s.parquet", "-o", "pooled.csv", "--rows", "event")
    assert (
        pl.read_csv("pooled.csv").height
        == split.filter(pl.col("split") == "validation")["event_id"].n_unique()
    )
    capsys.readouterr()
    run("evaluate", "s.parquet", "p.csv", "--intervals-over", "event", "--tables", "tables", "-o", "r.html")
    assert "By rank, unconditional" in capsys.readouterr().out
    assert (folder / "tables" / "confusion_panthera_taxon_classifier.csv").is_file()
    assert "Rank by rank" in (folder / "r.html").read_text()
    run("pool", "p.csv", "s.parquet", "-o", "nodes.csv", "--rows", "event", "--how", "node-mean")
    assert "media pooled by node-mean." in capsys.readouterr().out
    flags = ["--intervals-over", "event", "--answers", "greedy", "--tables", "observations"]
    run("evaluate", "s.parquet", "nodes.csv", *flags)
    assert "Greedy answers, always to a leaf" in capsys.readouterr().out
    said = pl.read_csv("observations/answers.csv", schema_overrides={"id": pl.String})
    assert set(said["id"]) == set(
        pl.read_csv("pooled.csv", schema_overrides={"event_id": pl.String})["event_id"]
    )
    assert set(said["taxonomic_level"]) == {"species"}
    photo = next((folder / "photos" / "felidae" / "panthera" / "panthera_leo").iterdir())
    run("show", "run/model.onnx", "--photo", photo)
    said = capsys.readouterr().out
    assert "Felidae (family)" in said
    assert "Panthera leo (species) = panthera_leo" in said
    run("show", "run/model.onnx", "--photo", photo, "--json")
    steps = json.loads(capsys.readouterr().out)["steps"]
    cats = {step["name"]: step for step in steps}
    path = [cats[name]["of_parent"] for name in ("Felidae", "Panthera", "Panthera leo")]
    assert np.prod(path) == pytest.approx(cats["Panthera leo"]["probability"])
    (folder / "list.csv").write_text("name,weight\nCanidae,1\npanthera_leo,0\n")
    run("region", "p.csv", "list.csv", "-o", "here.csv", "--unlisted", "0.1")
    said = capsys.readouterr().out
    assert "Ruled out: panthera_leo." in said
    assert "Not named, weight 0.1: acinonyx_jubatus, panthera_pardus." in said
    assert pl.read_csv("here.csv")["panthera_leo"].max() == 0
    run("show", "run/model.onnx")
    said = capsys.readouterr().out
    assert "felidae_taxon_classifier" in said
    assert re.search(r"chosen on \d+ single photos of \d+ events", said)
    assert re.search(r"validation: .*, \d+ events of no known location", said)


def test_a_recipe_of_taxa_runs_whole_by_one_command(
    folder: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(folder)
    monkeypatch.setenv("TRAPLINE_CACHE", str(folder / "cache"))
    settings = ["--set", "augmentation.horizontal_flip=0", "--set", "optimiser.weight_decay=0.1"]
    settings += ["--set", "preprocessing.height=32", "--set", "preprocessing.width=32"]
    what = ["photos", "--format", "class_folders", "-r", "taxa-flat", "--by", "event"]
    run("run", *what, "--taxonomy", "photos", "-o", "whole", *settings, "--set", "taxa.promise=0.999")
    said = "No rank could be promised: on "
    assert said in capsys.readouterr().out
    run("show", "whole/train/model.onnx")
    assert said in capsys.readouterr().out
    flags = ["-r", "taxa-flat", "--taxonomy", "photos", "-o", "once-more", *settings, "--json"]
    run("train", "whole/catalog.parquet", *flags, "--set", "taxa.promise=0.999")
    assert any(note.startswith(said) for note in json.loads(capsys.readouterr().out)["notes"])
    assert "species" in pl.read_parquet("whole/predictions.parquet").columns
    assert "Rank by rank" in (folder / "whole" / "report.html").read_text()
    with pytest.raises(SystemExit) as left:
        main(["run", *what, "-o", "again"])
    assert left.value.code != 0
    assert "--taxonomy" in capsys.readouterr().err


def test_the_published_folders_run_whole_by_their_own_split(
    folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("TRAPLINE_CACHE", str(tmp_path / "cache"))
    for photo in (folder / "photos").rglob("*.jpg"):
        part = "taxon_validate" if int(photo.name[1:3]) % 3 == 0 else "taxon_train"
        place = tmp_path / "crops" / part / photo.relative_to(folder / "photos")
        place.parent.mkdir(parents=True, exist_ok=True)
        place.symlink_to(photo)
    settings = ["--set", "augmentation.horizontal_flip=0", "--set", "optimiser.weight_decay=0.1"]
    settings += ["--set", "preprocessing.height=32", "--set", "preprocessing.width=32"]
    what = ["crops", "--format", "class_folders", "--taxonomy", "crops", "--by", "published"]
    run("run", *what, "-r", "taxa-cascade", "-o", "whole", *settings)
    split = pl.read_parquet("whole/catalog.parquet")
    assert split.filter(pl.col("split") == "validation")["file_path"].str.starts_with("taxon_validate/").all()
    card = ModelFile("whole/train/model.onnx").card
    assert set(card.labels) == {"lycaon_pictus", "panthera_leo", "panthera_pardus", "acinonyx_jubatus"}


def test_tables_of_other_models_are_refused(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as left:
        main(["show", "lite0", "--photo", str(next((folder / "photos").rglob("*.jpg")))])
    assert left.value.code == 2
    assert "not a model of taxa" in capsys.readouterr().err
