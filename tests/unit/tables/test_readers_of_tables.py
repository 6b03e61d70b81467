"""Tables that are not of media, as others save them: taxonomies, lists, deployments, formats, predictions."""

from collections.abc import Callable
from pathlib import Path
from zoneinfo import ZoneInfo

import polars as pl
import pytest

from trapline.catalog import Catalog
from trapline.competitions import read_format
from trapline.ensemble import read_region
from trapline.errors import DataError, TraplineWarning
from trapline.formats import read
from trapline.formats.deployments import read_deployments
from trapline.prediction import Predictions
from trapline.prediction.table import FIXED
from trapline.taxonomy import read_taxonomy

SAVED: dict[str, Callable[[str], bytes]] = {
    "plain": str.encode,
    "Excel's UTF-8": lambda text: text.encode("utf-8-sig"),
    "Excel's Unicode text": lambda text: text.replace(",", "\t").encode("utf-16"),
    "semicolons": lambda text: text.replace(",", ";").encode(),
    "sep=;": lambda text: ("sep=;\n" + text.replace(",", ";")).encode(),
    "decimal commas": lambda text: text.replace(",", ";").replace(".", ",").encode(),
    "separators at the ends": lambda text: text.replace("\n", ",,\n").encode(),
    "blank lines": lambda text: text.replace("\n", "\n\n").encode(),
    "Windows' line ends": lambda text: text.replace("\n", "\r\n").encode(),
}
by_hand = pytest.mark.parametrize("saved", [way for way in SAVED if way != "separators at the ends"])
every_way = pytest.mark.parametrize("saved", SAVED)


@every_way
def test_a_taxonomy(saved: str, tmp_path: Path) -> None:
    path = tmp_path / "t.csv"
    path.write_bytes(
        SAVED[saved]("label,class,genus,species\nhare,Mammalia,Lepus,europaeus\nfox,Mammalia,Vulpes,\n")
    )
    assert set(read_taxonomy(path).labels) == {"hare", "fox"}


@pytest.mark.parametrize("word", ["NA", "NaN", "#N/A", "NULL", "None"])
def test_no_taxon_is_called_like_a_missing_value(word: str, tmp_path: Path) -> None:
    path = tmp_path / "t.csv"
    rows = f"hare,Mammalia,Lepus,{word},{word}\nfox,Mammalia,{word},{word},red fox\n"
    none = f"blank,{word},{word},{word},{word}\n"
    path.write_text("label,class,genus,species,common_name\n" + rows + none)
    with pytest.warns(TraplineWarning, match=f"'{word}' in class"):
        taxonomy = read_taxonomy(path)
    names = {name for taxon in taxonomy.taxa.values() for name in (taxon.name, *taxon.common_names)}
    assert names & {word, word.capitalize(), word.lower()} == set()
    assert set(taxonomy.labels) == {"hare", "fox", "blank"}


@every_way
def test_a_regional_list(saved: str, tmp_path: Path) -> None:
    path = tmp_path / "r.csv"
    path.write_bytes(SAVED[saved]("name,weight,genus\nLepus europaeus,0.5,Lepus\nVulpes vulpes,NA,\n"))
    with pytest.warns(TraplineWarning):
        assert read_region(path).weights == {"Lepus europaeus": 0.5, "Vulpes vulpes": 1.0}


@every_way
@pytest.mark.filterwarnings("ignore::trapline.errors.TraplineWarning")
def test_deployments(saved: str, tmp_path: Path) -> None:
    path = tmp_path / "d.csv"
    path.write_bytes(
        SAVED[saved]("location,latitude,longitude,start,end\nL1,50.125,-4.5,2020-01-01,2020-02-01\n")
    )
    (one,) = read_deployments(path, ZoneInfo("UTC"))
    assert (one.latitude, one.longitude) == (50.125, -4.5)
    assert (one.values["latitude"], one.values["longitude"]) == ("50.125", "-4.5")


@by_hand
def test_a_submission_format(saved: str, tmp_path: Path) -> None:
    path = tmp_path / "f.csv"
    path.write_bytes(SAVED[saved]("id,fox,NA\n0001,0.5,0.5\nNA,0.25,0.75\n"))
    wanted = read_format(path)
    assert (wanted.header, wanted.ids, wanted.task) == (["id", "fox", "NA"], ("0001", "NA"), "single-label")


@every_way
@pytest.mark.filterwarnings("ignore::trapline.errors.TraplineWarning")
def test_predictions(saved: str, tmp_path: Path) -> None:
    rows = [
        ("01", None, None, "a.jpg", "ok", None, 0.25, 0.75),
        ("NA", None, None, "b.jpg", "failed", "gone", None, None),
    ]
    labels = ("fox", "hare")
    table = pl.DataFrame(rows, schema=FIXED | dict.fromkeys(labels, pl.Float32()), orient="row")
    path = Predictions(table, labels, "media", "f" * 64, "single-label").save(tmp_path / "p.csv")
    text = path.read_text()
    if saved == "decimal commas":
        text = text.replace("a.jpg", "a_jpg").replace("b.jpg", "b_jpg")
        table = table.with_columns(pl.col("file_path").str.replace(".", "_", literal=True))
    path.write_bytes(SAVED[saved](text))
    assert Predictions.load(path).table.equals(table)


def test_predictions_that_lack_a_column_or_hold_words_say_so(tmp_path: Path) -> None:
    rows = [("01", None, None, "a.jpg", "ok", None, 0.25, 0.75)]
    table = pl.DataFrame(rows, schema=FIXED | dict.fromkeys(("fox", "hare"), pl.Float32()), orient="row")
    path = Predictions(table, ("fox", "hare"), "media", "f" * 64, "single-label").save(tmp_path / "p.csv")
    text = path.read_text()
    path.write_text(text.replace("hare", "Hase").replace(",", ";"))
    with pytest.raises(DataError, match="it lacks the columns hare"):
        Predictions.load(path)
    path.write_text(text.replace("0.25", "much").replace(",", ";"))
    with pytest.raises(DataError, match=r"p\.csv line 2 has for 'fox' 'much', no number"):
        Predictions.load(path)


def test_what_was_understood_travels_with_the_catalog(tmp_path: Path) -> None:
    (tmp_path / "t.csv").write_bytes("path,label\nä.jpg,NA\nb.jpg,fox\n".encode("cp1252"))
    again = Catalog.load(read(tmp_path / "t.csv").save(tmp_path / "c.parquet"))
    assert any("a guess" in note for note in again.facts.notes)
    assert any("'NA' in label (1)" in note for note in again.facts.notes)
