"""What was decided elsewhere comes into the log once, as the person's, and nothing that a machine says."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import polars as pl
import pytest
from reviewed import Review, photos

from trapline.catalog import Catalog
from trapline.errors import DataError, UsageError
from trapline.formats import read, write
from trapline.prediction import Predictions
from trapline.prediction.table import FIXED
from trapline.review.decision import Sighting
from trapline.review.elsewhere import take_decisions
from trapline.review.labels import with_decisions
from trapline.review.log import DecisionLog

NAMES = ["A/1.jpg", "A/2.jpg", "B/1.jpg", "B/2.jpg"]


def card(tmp_path: Path) -> Catalog:
    return photos(tmp_path / "card", [{"file_path": name, "event_id": name[0]} for name in NAMES])


def answers(catalog: Catalog) -> Predictions:
    """A model that says fox of all."""
    rows = [
        (row["media_id"], row["event_id"], None, row["file_path"], "ok", None, 0.9, 0.1)
        for row in catalog.table.iter_rows(named=True)
    ]
    schema = {**FIXED, "fox": pl.Float32(), "hare": pl.Float32()}
    return Predictions(
        pl.DataFrame(rows, schema=schema, orient="row"), ("fox", "hare"), "media", "f" * 16, "single-label"
    )


def log_at(tmp_path: Path) -> DecisionLog:
    return DecisionLog.open(tmp_path / "decisions.db", create=True)


def labels(catalog: Catalog, log: DecisionLog) -> dict[str, Any]:
    decided = with_decisions(catalog, log)
    return dict(decided.table.select("file_path", "labels").iter_rows())


@pytest.mark.parametrize("mode", ["symlink", "copy"])
def test_of_sorted_folders_what_was_moved_is_decided_and_the_rest_is_a_machines(
    tmp_path: Path, mode: str
) -> None:
    catalog, log, output = card(tmp_path), log_at(tmp_path), tmp_path / "sorted"
    write(answers(catalog), catalog, output, format="sorted", mode=mode)
    with pytest.raises(DataError, match="4 media: where sorting put them"):
        take_decisions(log, read(output), "Ann")
    for folder in ("marten/A", "unclassified/B"):
        (output / folder).mkdir(parents=True, exist_ok=True)
    (output / "fox/A/2.jpg").rename(output / "marten/A/another name.jpg")
    (output / "fox/B/1.jpg").rename(output / "unclassified/B/1.jpg")
    taken = take_decisions(log, read(output), "Ann", catalog=catalog)
    assert (taken.decisions, taken.media, taken.same) == (2, 2, 0)
    assert labels(catalog, log) == {**dict.fromkeys(NAMES), "A/2.jpg": ["marten"]}
    untold = log.current().filter(pl.col("verdict") == "cannot tell")
    assert untold["file_path"].to_list() == ["B/1.jpg"]
    assert log.current()["event"].to_list() == ["event:A", "event:B"]
    assert log.current()["stream"].null_count() == 2
    again = take_decisions(log, read(output), "Ann", catalog=catalog)
    assert (again.decisions, again.same, len(log)) == (0, 2, 2)
    whole = take_decisions(log, read(output), "Ann", unmoved=True)
    assert (whole.decisions, whole.same) == (2, 2)
    assert labels(catalog, log)["A/1.jpg"] == ["fox"]


def test_of_several_labels_one_that_was_thrown_out_is_a_decision_too(tmp_path: Path) -> None:
    catalog, log, output = card(tmp_path), log_at(tmp_path), tmp_path / "sorted"
    both = answers(catalog)
    table = both.table.with_columns(pl.lit(0.8, pl.Float32).alias("hare"))
    several = Predictions(table, both.labels, "media", "f" * 16, "multi-label")
    write(several, catalog, output, format="sorted")
    (output / "hare/A/1.jpg").unlink()
    taken = take_decisions(log, read(output), "Ann")
    assert taken.decisions == 1
    assert labels(catalog, log) == {**dict.fromkeys(NAMES), "A/1.jpg": ["fox"]}


def test_words_that_are_no_labels_are_none(tmp_path: Path) -> None:
    catalog, log = card(tmp_path), log_at(tmp_path)
    words = ["Unclassified", "Unknown", "fox", "blank"]
    source = catalog.with_table(catalog.table.with_columns(labels=pl.Series([[word] for word in words])))
    taken = take_decisions(log, source, "Ann")
    assert taken.left_out == {"called Unclassified, which is no label": 1}
    assert log.current()["verdict"].to_list() == ["cannot tell", "seen", "blank"]
    assert labels(catalog, log) == dict(zip(NAMES, [None, None, ["fox"], ["blank"]], strict=True))


def test_a_table_that_is_taken_again_turns_back_nothing_that_was_decided_since(tmp_path: Path) -> None:
    catalog, log = card(tmp_path), log_at(tmp_path)

    def says(word: str) -> Catalog:
        return catalog.with_table(catalog.table.with_columns(labels=pl.lit([word], pl.List(pl.String))))

    assert take_decisions(log, says("fox"), "Ann").decisions == 4
    first = log.decisions()[0]
    corrected = replace(
        first, decision_id="page", labels=(Sighting("hare"),), stream="all", decided_at=log.now()
    )
    log.add(corrected)
    again = take_decisions(log, says("fox"), "Ann")
    assert (again.decisions, again.same) == (0, 4)
    assert labels(catalog, log)[NAMES[0]] == ["hare"]
    assert take_decisions(log, says("marten"), "Ann").decisions == 4  # the table was changed since
    assert labels(catalog, log)[NAMES[0]] == ["marten"]


def test_a_timelapse_table_names_photos_that_have_moved_and_events_are_taken_as_events(
    tmp_path: Path,
) -> None:
    catalog, log = card(tmp_path), log_at(tmp_path)
    moved = photos(
        tmp_path / "moved",
        [{"file_path": f"x/{n}.jpg", "content": name.encode()} for n, name in enumerate(NAMES)],
    )
    rows = "\n".join(
        f"{n}.jpg,x,2024-05-01 08:00:0{n},{word}" for n, word in enumerate(["fox", "", "hare", ""])
    )
    table = moved.root / "data.csv"
    table.write_text(f"File,RelativePath,DateTime,Species\n{rows}\n", encoding="utf-8")
    taken = take_decisions(log, read(table), "Ben", catalog=catalog)
    assert (taken.decisions, taken.left_out) == (2, {"without a label": 2})
    assert labels(catalog, log) == dict(zip(NAMES, [["fox"], None, ["hare"], None], strict=True))
    of_events = catalog.with_table(
        catalog.table.with_columns(
            event_labels=pl.Series([["deer"], ["deer"], None, None], dtype=pl.List(pl.String))
        )
    )
    take_decisions(log, of_events, "Ann")
    last = log.history(count=1)[0].decision
    assert (last.event, last.of_event, len(last.media)) == ("event:A", True, 2)


def test_an_edited_table_of_observations_gives_what_persons_say_and_not_the_model(tmp_path: Path) -> None:
    catalog = card(tmp_path)
    review = Review(tmp_path, catalog)
    review.decide(NAMES[:1], "hare", of_event=False)
    decided = with_decisions(catalog, review.log)
    table = catalog.root / "observations.csv"
    write(answers(catalog), decided, table, format="observations")
    text = table.read_text(encoding="utf-8").replace("human:Ann", "human:Ben").replace(",hare,", ",marten,")
    table.write_text(text, encoding="utf-8")
    other = DecisionLog.open(tmp_path / "other.db", create=True)
    take_decisions(other, read(table), "Ben")
    assert labels(catalog, other) == {**dict.fromkeys(NAMES), "A/1.jpg": ["marten"]}


def test_what_cannot_be_told_is_taken_from_a_table_of_observations_and_is_no_label(tmp_path: Path) -> None:
    catalog = card(tmp_path)
    review = Review(tmp_path, catalog)
    words = pl.Series([["unknown"], ["fox"], None, None], dtype=pl.List(pl.String))
    take_decisions(review.log, catalog.with_table(catalog.table.with_columns(labels=words)), "Ann")
    table = catalog.root / "observations.csv"
    write(None, with_decisions(catalog, review.log), table, format="observations")
    source = read(table)
    assert source.table["labels"].to_list() == [None, ["fox"], None, None]
    (tmp_path / "other").mkdir()
    log = log_at(tmp_path / "other")
    assert take_decisions(log, source, "Ben").left_out == {"without a label": 2}
    assert log.current()["verdict"].to_list() == ["cannot tell", "seen"]


def test_labels_that_may_be_a_machines_and_other_photos_are_refused(tmp_path: Path) -> None:
    catalog, log = card(tmp_path), log_at(tmp_path)
    strangers = photos(tmp_path / "s", [{"file_path": "z/9.jpg", "labels": ["fox"]}])
    with pytest.raises(DataError, match="1 media: not among the photos that are reviewed"):
        take_decisions(log, strangers, "Ann", catalog=catalog)
    coco = tmp_path / "coco.json"
    write(answers(catalog), catalog, coco, format="coco-camera-traps")
    with pytest.raises(UsageError, match="may be a machine's"):
        take_decisions(log, read(coco, classified_by="machine"), "Ann", catalog=catalog)
    assert len(log) == 0
