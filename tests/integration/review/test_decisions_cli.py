"""Decisions at the doors of the commands: shown, taken from elsewhere, and what each makes of them."""

from __future__ import annotations

import json
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path

import polars as pl
import pytest

from trapline.catalog import Catalog, content_hash, content_size
from trapline.prediction import Predictions
from trapline.prediction.table import FIXED
from trapline.review import DecidedMedia, Decision, DecisionLog, Draw, Sighting

Run = Callable[..., tuple[int, str, str]]
NAMES = [f"{camera}/{number}.jpg" for camera in "ABC" for number in range(4)]


def decide(
    catalog: Catalog, log: DecisionLog, name: str, label: str, person: str, asked: str = "chosen"
) -> None:
    path = catalog.path(name)
    media = (DecidedMedia(name, name, content_size(path), content_hash(path)),)
    seen = () if label == "blank" else (Sighting(label),)
    log.add(
        Decision(
            f"{person} {name} {label}",
            person,
            log.now(),
            f"media:{name}",
            media,
            of_event=True,
            verdict="seen" if seen else "blank",
            labels=seen,
            stream="learn" if asked == "chosen" else None,
            asked=asked,  # type: ignore[arg-type]
        )
    )


@pytest.fixture
def reviewed(run: Run, tmp_path: Path) -> Run:
    """Twelve photos of three cameras without labels; ten decided by Ann, of which two for an audit; one also
    by Ben, otherwise; and a model that says fox of all."""
    rows = []
    for name in NAMES:
        path = tmp_path / "card" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(name.encode())
        rows.append({"media_id": name, "file_path": name, "location_id": name[0]})
    catalog = Catalog.from_rows(rows, tmp_path / "card", "card")
    catalog.save("photos.parquet")
    with DecisionLog.create("decisions.db") as log:
        audit = log.open_audit({"seed": 1})
        for number, name in enumerate(NAMES[:10]):
            asked = "audit" if number in (0, 5) else "chosen"
            if asked == "audit":
                log.draw([Draw(audit, f"media:{name}", "audit", "all", number + 1, 0.5, datetime.now(UTC))])
            decide(catalog, log, name, "blank" if number % 2 else "fox", "Ann", asked)
        decide(catalog, log, NAMES[1], "hare", "Ben")
    schema = {**FIXED, "fox": pl.Float32(), "blank": pl.Float32()}
    answers = [(name, None, None, name, "ok", None, 0.75, 0.25) for name in NAMES]
    table = pl.DataFrame(answers, schema=schema, orient="row")
    Predictions(table, ("fox", "blank"), "media", "f" * 16, "single-label").save("answers.parquet")
    return run


def test_who_decided_what_and_where_they_differ_is_shown(reviewed: Run) -> None:
    status, text, _ = reviewed("decisions", "show", "decisions.db")
    assert status == 0
    assert "11 decisions on 10 events, 10 media" in text
    assert "They differ on media:A/1.jpg: Ann blank" in text
    assert "Audit 1: 2 events drawn, open" in text
    shown = json.loads(reviewed("decisions", "show", "decisions.db", "--json")[1])
    assert shown["labels"] == {"fox": 5, "blank": 4, "hare": 1}
    assert {pair["other"] for pair in shown["agreements"]} >= {"Ben"}
    assert reviewed("decisions", "show", "photos.parquet")[0] == 1
    assert not Path("photos.parquet-wal").exists()


def test_an_audit_is_held_until_it_is_closed(reviewed: Run) -> None:
    _, text, _ = reviewed("split", "photos.parquet", "--decisions", "decisions.db", "-o", "split.parquet")
    assert "or held for an audit that goes on" in text
    parts = dict(Catalog.load("split.parquet").table.select("media_id", "split").iter_rows())
    assert [parts[NAMES[number]] for number in (0, 5, 10, 11)] == [None] * 4
    assert all(parts[NAMES[number]] for number in (1, 2, 3, 4, 6, 7, 8, 9))
    assert reviewed("decisions", "close-audit", "decisions.db")[0] == 0
    assert reviewed("decisions", "close-audit", "decisions.db")[0] == 2
    reviewed("split", "photos.parquet", "--decisions", "decisions.db", "-o", "split.parquet", "--force")
    assert Catalog.load("split.parquet").table["split"].null_count() == 2


def test_an_evaluation_rests_on_the_audit_unless_told_and_says_how_its_media_were_chosen(
    reviewed: Run,
) -> None:
    arguments = ("evaluate", "photos.parquet", "answers.parquet", "--decisions", "decisions.db", "--json")
    audited = json.loads(reviewed(*arguments)[1])
    assert (audited["counts"]["evaluated"], audited["metrics"]["accuracy"]["value"]) == (2, 0.5)
    assert any("drawn by chance" in note for note in audited["notes"])
    whole = json.loads(reviewed(*arguments, "--asked", "all", "--unknown-labels", "wrong")[1])
    assert whole["counts"]["evaluated"] == 10
    told = next(note for note in whole["notes"] if "were chosen to be decided (by learn)" in note)
    assert told.startswith("8 of them")
    assert reviewed("evaluate", "photos.parquet", "answers.parquet", "--asked", "all")[0] == 2


def test_corrected_tables_leave_with_the_persons_name(reviewed: Run) -> None:
    output = ("-f", "observations", "-o", "o.csv", "--decisions", "decisions.db")
    assert reviewed("write", "answers.parquet", "photos.parquet", *output)[0] == 0
    rows = pl.read_csv("o.csv").filter(pl.col("stands"))
    by = dict(rows.select("media_id", "observer").iter_rows())
    assert (by[NAMES[0]], by[NAMES[1]]) == ("human:Ann", "human:Ben")
    assert by[NAMES[11]].startswith("model:")
    assert reviewed("catalog", "photos.parquet", "--decisions", "decisions.db", "-o", "c.parquet")[0] == 0
    assert Catalog.load("c.parquet").labels == ["blank", "fox", "hare"]
    assert "10 labelled" in reviewed("explore", "photos.parquet", "--decisions", "decisions.db")[1]


def test_folders_sorted_by_hand_are_taken_once(reviewed: Run) -> None:
    reviewed("write", "answers.parquet", "photos.parquet", "-f", "sorted", "-o", "sorted")
    Path("sorted/marten/C").mkdir(parents=True)
    Path("sorted/fox/C/3.jpg").rename("sorted/marten/C/3.jpg")
    take = ("decisions", "take", "decisions.db", "sorted", "photos.parquet", "--by", "Cleo", "--json")
    taken = json.loads(reviewed(*take)[1])
    assert (taken["decisions"], taken["same"]) == (1, 0)
    assert json.loads(reviewed(*take)[1])["same"] == 1
    assert reviewed("decisions", "take", "new.db", "sorted", "--by", "")[0] == 2
    assert not list(Path().glob("new.db*"))
    people = json.loads(reviewed("decisions", "show", "decisions.db", "--json")[1])["people"]
    assert [(one["person"], one["decisions"]) for one in people] == [("Ann", 10), ("Ben", 1), ("Cleo", 1)]
