"""What is filled in: of each event the word of highest standing, pooled over its photos."""

from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import pytest

from trapline.catalog import Catalog
from trapline.prediction import Predictions
from trapline.prediction.table import fixed_columns
from trapline.review import open_project

LABELS = ("blank", "fox", "deer")


def box(conf: float, category: str = "animal") -> dict[str, Any]:
    return {"category": category, "conf": conf, "x": 0.1, "y": 0.1, "width": 0.2, "height": 0.2}


@pytest.fixture
def catalog(tmp_path: Path) -> Catalog:
    """An event of two photos, two boxes in one and none in the other; an animal alone; a person alone."""
    names = ["a1", "a2", "b1", "c1"]
    rows = pl.DataFrame({"media_id": names, "event_id": ["A", "A", None, None]})
    made = Catalog.from_rows(rows.with_columns(file_path=pl.col("media_id") + ".jpg"), tmp_path, "four")
    boxes = [[box(0.9), box(0.8)], [], [box(0.9)], [box(0.9, "person")]]
    return made.with_table(made.table.with_columns(pl.Series("boxes", boxes, made.table.schema["boxes"])))


def of_boxes(
    catalog: Catalog, rows: list[tuple[str, str | None, int | None, str, list[float]]]
) -> Predictions:
    table = pl.DataFrame(
        [(media, event, box, f"{media}.jpg", status) for media, event, box, status, _ in rows],
        ["media_id", "event_id", "box", "file_path", "status"],
        orient="row",
    )
    table = table.select(
        (pl.col(name) if name in table.columns else pl.lit(None)).cast(kind).alias(name)
        for name, kind in fixed_columns("box").items()
    )
    numbers = np.array([values for *_, values in rows], np.float32)
    columns = [pl.Series(label, numbers[:, at], nan_to_null=True) for at, label in enumerate(LABELS)]
    return Predictions(table.with_columns(columns), LABELS, "box", "f" * 16, "single-label", catalog=catalog)


def test_without_a_model_the_detector_is_heard_and_an_empty_photo_does_not_empty_its_event(
    catalog: Catalog,
) -> None:
    project = open_project(catalog)
    answers = [one and one.labels for one in project.suggestions.answers]
    assert answers == [("animal",), ("animal",), ("person",)]


def test_a_box_that_may_be_anybody_fills_nothing_in(catalog: Catalog) -> None:
    boxes = [[box(0.9, "unknown")], [], [box(0.9), box(0.8, "unknown")], None]
    table = catalog.table.with_columns(pl.Series("boxes", boxes, catalog.table.schema["boxes"]))
    project = open_project(catalog.with_table(table))
    answers = [one and one.labels for one in project.suggestions.answers]
    assert answers == [None, ("animal",), None]


def test_answers_about_boxes_are_one_of_the_event_and_people_stand_beside_them(catalog: Catalog) -> None:
    predictions = of_boxes(
        catalog,
        [
            ("a1", "A", 0, "ok", [0.1, 0.8, 0.1]),
            ("a1", "A", 1, "ok", [0.1, 0.3, 0.6]),
            ("a2", "A", None, "ok", [0.6, 0.3, 0.1]),
            ("b1", None, 0, "ok", [0.1, 0.1, 0.8]),
            ("c1", None, 0, "skipped", [np.nan] * 3),
            ("c1", None, None, "ok", [0.9, 0.05, 0.05]),
        ],
    )
    project = open_project(catalog, predictions)
    answers = [one and one.labels for one in project.suggestions.answers]
    assert answers == [("fox",), ("deer",), ("human",)]
    assert project.suggestions.likely(1)[0] == ("deer", pytest.approx(0.8))


def test_a_persons_label_stands_above_all_and_is_known(catalog: Catalog) -> None:
    labels = pl.Series("labels", [["deer"], None, None, ["empty"]])
    project = open_project(catalog.with_table(catalog.table.with_columns(labels)))
    answers = [one and one.labels for one in project.suggestions.answers]
    assert answers == [("deer",), ("animal",), ("blank",)]
    assert project.known == {0: ("deer",), 2: ("blank",)}


def test_where_nobody_speaks_nothing_is_filled_in(tmp_path: Path) -> None:
    rows = pl.DataFrame({"media_id": ["x"], "file_path": ["x.jpg"]})
    project = open_project(Catalog.from_rows(rows, tmp_path, "one"))
    assert project.suggestions.answers == [None]
    assert project.suggestions.likely(0) == []
