"""Decisions become labels: of what, whose, and where nothing may be guessed."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path

import polars as pl
import pytest
from reviewed import Review, photos

from trapline.catalog import DECISIONS, Catalog, without_decisions, without_held
from trapline.errors import DataError
from trapline.observations import gather
from trapline.review.labels import only_decided, with_decisions
from trapline.review.log import Draw


def burst(tmp_path: Path) -> Catalog:
    """Two events of three and two photos, and a photo without an event."""
    events = ["e1"] * 3 + ["e2"] * 2 + [None]
    return photos(
        tmp_path / "card", [{"file_path": f"A/{n}.jpg", "event_id": event} for n, event in enumerate(events)]
    )


def first(catalog: Catalog) -> list[str]:
    return catalog.table["file_path"].to_list()


def shown(catalog: Catalog) -> list[tuple[object, object]]:
    table = catalog.table
    events = table["event_labels"].to_list() if "event_labels" in table.columns else [None] * len(table)
    return list(zip(table["labels"].to_list(), events, strict=True))


def test_an_event_of_several_has_its_label_a_single_media_its_own_and_blank_is_of_each(
    tmp_path: Path,
) -> None:
    catalog = burst(tmp_path)
    names, review = first(catalog), Review(tmp_path, catalog)
    review.decide(names[:3], ["fox", "hare"])
    review.decide(names[3:5], "blank")
    review.decide(names[5:], "deer")
    decided = with_decisions(catalog, review.log)
    both = ["fox", "hare"]
    assert shown(decided) == [(None, both)] * 3 + [(["blank"], None)] * 2 + [(["deer"], None)]
    note = decided.facts.notes[-1]
    assert note.endswith("on 6 media by Ann, 3 of their events as wholes")


def test_chosen_media_of_an_event_have_their_own_labels_and_their_event_has_all(tmp_path: Path) -> None:
    catalog = burst(tmp_path)
    names, review = first(catalog), Review(tmp_path, catalog)
    review.decide(names[:3], "fox")
    review.decide(names[1:2], "hare", of_event=False)
    both = ["fox", "hare"]
    assert shown(with_decisions(catalog, review.log))[:3] == [(None, both), (["hare"], both), (None, both)]


def test_what_cannot_be_told_is_no_label_and_takes_away_the_one_there_was(tmp_path: Path) -> None:
    catalog = burst(tmp_path)
    catalog = photos(tmp_path / "card", [{"file_path": name, "labels": ["fox"]} for name in first(catalog)])
    names, review = first(catalog), Review(tmp_path, catalog)
    review.decide(names[:1], None)
    review.decide(names[1:2], "deer")
    decided = with_decisions(catalog, review.log)
    assert decided.table["labels"].to_list() == [None, ["deer"], *[["fox"]] * 4]
    kept = decided.table[DECISIONS][0].to_list()
    assert [(one["person"], one["verdict"], one["label"], one["stands"]) for one in kept] == [
        (None, "seen", "fox", False),
        ("Ann", "cannot tell", None, True),
    ]
    assert decided.table[DECISIONS].null_count() == 4
    assert only_decided(decided).table["labels"].to_list() == [None, ["deer"], *[None] * 4]


def test_the_later_word_of_two_stands_and_the_other_is_kept(tmp_path: Path) -> None:
    catalog = burst(tmp_path)
    names, review = first(catalog), Review(tmp_path, catalog)
    review.decide(names[:3], "fox", "Ann")
    review.decide(names[:3], "blank", "Ben")
    review.decide(names[3:5], "blank", "Ben")
    review.decide(names[3:5], "fox", "Ann")
    decided = with_decisions(catalog, review.log)
    assert shown(decided)[:5] == [(["blank"], None)] * 3 + [(None, ["fox"])] * 2
    assert [one["person"] for one in decided.table[DECISIONS][0]] == ["Ann", "Ben"]
    by_ann = with_decisions(catalog, review.log, by=["Ann"])
    assert shown(by_ann)[:5] == [(None, ["fox"])] * 5
    with pytest.raises(DataError, match="Nobody called Zoe"):
        with_decisions(catalog, review.log, by=["Zoe"])


def test_photos_are_found_where_they_were_moved_and_a_name_that_is_another_photos_now_gives_nothing(
    tmp_path: Path,
) -> None:
    catalog = burst(tmp_path)
    names, review = first(catalog), Review(tmp_path, catalog)
    review.decide(names[5:], "deer")
    review.decide(names[3:5], "blank")
    moved = photos(
        tmp_path / "moved",
        [
            {"file_path": "B/renamed.jpg", "content": b"A/5.jpg"},
            {"file_path": "A/5.jpg", "content": b"another"},
            {"file_path": "A/3.jpg", "content": b"A/4.jpg"},  # the two have changed their names
            {"file_path": "A/4.jpg", "content": b"A/2.jpg"},  # decided by nobody
        ],
    )
    decided = with_decisions(moved, review.log)
    assert decided.table["labels"].to_list() == [["deer"], None, ["blank"], None]
    assert "1 decided media are not of this catalog (A/3.jpg)" in decided.facts.notes[-1]
    with pytest.raises(DataError, match="neither by content nor by name"):
        with_decisions(photos(tmp_path / "c", [{"file_path": "A/5.jpg", "content": b"else"}]), review.log)


def test_where_photos_are_not_there_names_tell(tmp_path: Path) -> None:
    catalog = burst(tmp_path)
    names, review = first(catalog), Review(tmp_path, catalog)
    review.decide(names[5:], "deer")
    away = Catalog.from_rows(catalog.table, tmp_path / "nowhere", "elsewhere")
    assert with_decisions(away, review.log).table["labels"].to_list() == [*[None] * 5, ["deer"]]


def test_of_copies_each_has_what_was_decided_of_it(tmp_path: Path) -> None:
    catalog = photos(tmp_path / "c", [{"file_path": name, "content": b"same"} for name in ("1", "2", "3")])
    review = Review(tmp_path, catalog)
    review.decide(["1"], "fox")
    review.decide(["2"], "hare")
    assert with_decisions(catalog, review.log).table["labels"].to_list() == [["fox"], ["hare"], None]


def test_media_without_an_event_take_the_one_in_which_they_were_decided(tmp_path: Path) -> None:
    catalog = burst(tmp_path)
    names, review = first(catalog), Review(tmp_path, catalog)
    review.decide(names[:3], "fox")
    plain = catalog.with_table(catalog.table.with_columns(event_id=None))
    decided = with_decisions(plain, review.log)
    assert decided.table["event_id"].to_list() == ["e1"] * 3 + [None] * 3
    assert shown(decided)[:3] == [(None, ["fox"])] * 3


def test_an_event_that_is_cut_in_two_gets_nothing_and_one_that_grew_is_what_was_seen(tmp_path: Path) -> None:
    catalog = burst(tmp_path)
    names, review = first(catalog), Review(tmp_path, catalog)
    review.decide(names[:3], "fox")
    review.decide(names[3:5], "hare")
    cut = catalog.with_table(catalog.table.with_columns(event_id=pl.Series(["a", "a", "b", "c", "c", "c"])))
    decided = with_decisions(cut, review.log)
    assert shown(decided) == [(None, None)] * 3 + [(None, ["hare"])] * 3
    assert (
        "1 decision left out, of events that this catalog cuts in several (event:e1)"
        in decided.facts.notes[-1]
    )
    joined = catalog.with_table(catalog.table.with_columns(event_id=pl.Series(["all"] * 6)))
    assert shown(with_decisions(joined, review.log)) == [(None, ["fox", "hare"])] * 6


def test_labels_of_media_stay_where_the_decision_on_their_event_says_the_same(tmp_path: Path) -> None:
    labels = [["fox"], ["blank"], ["fox"], ["hare"], ["blank"]]
    events = ["e1"] * 3 + ["e2"] * 2
    catalog = photos(
        tmp_path / "card",
        [
            {"file_path": f"{n}.jpg", "event_id": event, "labels": own}
            for n, (event, own) in enumerate(zip(events, labels, strict=True))
        ],
    )
    names, review = first(catalog), Review(tmp_path, catalog)
    review.decide(names[:3], "fox")
    review.decide(names[3:], "fox")
    decided = with_decisions(catalog, review.log)
    assert decided.table["labels"].to_list() == [["fox"], ["blank"], ["fox"], None, None]
    assert decided.table["event_labels"].to_list() == [["fox"]] * 5
    assert shown(only_decided(decided)) == [(None, ["fox"])] * 5  # which of them shows it nobody has decided


def test_what_is_taken_back_counts_no_more_and_unsure_ones_only_if_asked(tmp_path: Path) -> None:
    catalog = burst(tmp_path)
    names, review = first(catalog), Review(tmp_path, catalog)
    review.decide(names[5:], "deer", sure=False)
    wrong = review.decide(names[3:5], "blank")
    review.log.take_back(wrong.decision_id, "Ann")
    assert with_decisions(catalog, review.log).table["labels"].to_list() == [*[None] * 5, ["deer"]]
    with pytest.raises(DataError, match=r"No decision in .* counts"):
        with_decisions(catalog, review.log, sure_only=True)


def test_what_is_drawn_for_an_open_audit_is_held_with_its_whole_event(tmp_path: Path) -> None:
    catalog = burst(tmp_path)
    names, review = first(catalog), Review(tmp_path, catalog)
    audit = review.log.open_audit({})
    review.log.draw([Draw(audit, "event:e1", "audit", "all", 1, 0.5, datetime.now(UTC))])
    review.decide(names[:1], "fox", of_event=False, asked="audit")
    review.decide(names[3:5], "blank")
    kept, held = without_held(with_decisions(catalog, review.log))
    assert (first(kept), held) == (names[3:], 3)
    assert without_held(catalog) == (catalog, 0)
    review.log.close_audit(audit)
    assert without_held(with_decisions(catalog, review.log))[1] == 0
    chosen = with_decisions(catalog, review.log, asked=["chosen"])
    assert chosen.table["labels"].to_list()[:4] == [None, None, None, ["blank"]]


def test_a_copy_of_what_is_held_is_held_as_well(tmp_path: Path) -> None:
    rows = [{"file_path": f"{number}.jpg", "content": b"same" * (number % 2)} for number in (1, 2, 3)]
    catalog = photos(tmp_path / "card", rows)
    review = Review(tmp_path, catalog)
    audit = review.log.open_audit({})
    review.log.draw([Draw(audit, "media:1.jpg", "audit", "all", 1, 0.5, datetime.now(UTC))])
    review.decide(["1.jpg"], "fox", asked="audit")
    for name in ("2.jpg", "3.jpg"):
        review.decide([name], "fox")
    kept, held = without_held(with_decisions(catalog, review.log))
    assert (first(kept), held) == (["2.jpg"], 2)


def test_a_catalog_with_decisions_is_saved_and_read(tmp_path: Path) -> None:
    catalog = burst(tmp_path)
    review = Review(tmp_path, catalog)
    review.decide(first(catalog)[5:], "deer", remark="a doe")
    decided = with_decisions(catalog, review.log)
    again = Catalog.load(decided.save(tmp_path / "decided.parquet"))
    assert again.table.equals(decided.table)


def test_decisions_are_put_into_a_catalog_anew_and_what_it_said_before_comes_back(tmp_path: Path) -> None:
    """The catalog of a review is the source of the next: what was taken back leaves nothing behind."""
    labels = [["fox"], None, ["hare"], ["deer"], None, ["blank"]]
    events = ["e1"] * 3 + ["e2"] * 2 + [None]
    catalog = photos(
        tmp_path / "card",
        [
            {"file_path": f"{n}.jpg", "event_id": event, "labels": own}
            for n, (event, own) in enumerate(zip(events, labels, strict=True))
        ],
    )
    catalog = catalog.with_table(
        catalog.table.with_columns(
            event_labels=pl.Series([None, None, None, ["deer"], ["deer"], None], dtype=pl.List(pl.String))
        )
    )
    names, review = first(catalog), Review(tmp_path, catalog)
    taken = [review.decide(names[:3], "boar"), review.decide(names[3:5], "blank")]
    same = review.decide(names[5:], "blank")
    decided = with_decisions(catalog, review.log)
    assert shown(decided)[:5] == [(None, ["boar"])] * 3 + [(["blank"], None)] * 2
    assert without_decisions(decided).table.equals(catalog.table)
    for one in taken:
        review.log.take_back(one.decision_id, "Ann")
    again = with_decisions(decided, review.log)
    assert shown(again) == shown(catalog)
    assert again.table[DECISIONS].null_count() == 5
    review.log.take_back(same.decision_id, "Ann")
    review.decide(names[:1], "fox", "Ben")
    assert (
        "those of Ann, which the catalog had, are not among them"
        in with_decisions(again, review.log).facts.notes[-1]
    )


def test_a_frame_that_is_decided_leaves_the_word_of_its_event_to_the_others(tmp_path: Path) -> None:
    catalog = burst(tmp_path)
    events = pl.Series([["deer"]] * 3 + [None] * 3, dtype=pl.List(pl.String))
    catalog = catalog.with_table(catalog.table.with_columns(event_labels=events))
    names, review = first(catalog), Review(tmp_path, catalog)
    review.decide(names[1:2], "blank", of_event=False)
    decided = with_decisions(catalog, review.log)
    assert without_decisions(decided).table.equals(catalog.table)
    assert shown(only_decided(decided)) == [(None, None), (["blank"], None), *[(None, None)] * 4]
    rows = gather(None, decided).observe().per_media(decided)
    assert rows.select("media_id", "label").head(3).rows() == [
        (names[0], "deer"),
        (names[1], "blank"),
        (names[2], "deer"),
    ]
