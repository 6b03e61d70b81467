"""Trapline's own checks of all five, and one of what each is for."""

from pathlib import Path

import numpy as np
import polars as pl

import trapline
from trapline.metrics import measure
from trapline.testing import check_backbone, check_metric, check_reader, check_recipe, check_writer

TABLE = """Station,Species,DateTimeOriginal,Directory,FileName
A,fox,2020-01-01 10:00:00,A/fox,1.jpg
A,hare,2020-01-01 10:00:00,A/fox,1.jpg
B,hare,2020-01-01 11:00:00,B/hare,2.jpg
"""


def test_a_photo_with_two_records_has_two_labels(tmp_path: Path) -> None:
    source, empty = tmp_path / "records.csv", tmp_path / "empty"
    source.write_text(TABLE)
    empty.mkdir()
    catalog = check_reader("record-table", source, empty)
    assert catalog.table["labels"].to_list() == [["fox", "hare"], ["hare"]]
    assert catalog.table["location_id"].to_list() == ["A", "B"]


def test_animals_that_are_sure_are_recorded(tmp_path: Path) -> None:
    written = check_writer("record-table", tmp_path, least=0.85)
    assert pl.read_csv(written)["Species"].to_list() == ["fox"]


def test_what_people_labelled_is_recorded_without_a_model(tmp_path: Path) -> None:
    source = tmp_path / "records.csv"
    source.write_text(TABLE)
    report = trapline.write(source, tmp_path / "again.csv", format="record-table")
    assert report.rows == 3
    assert pl.read_csv(tmp_path / "again.csv")["Species"].to_list() == ["fox", "hare", "hare"]


def test_the_recipe_trains_the_tiny_network() -> None:
    check_backbone(check_recipe("guest-tiny"))


def test_kappa_is_nothing_for_chance_and_one_for_the_truth() -> None:
    assert check_metric("agreement") == ["cohens_kappa"]
    truth = np.array([0, 0, 1, 1])
    assert measure(truth, np.eye(2)[truth])["cohens_kappa"] == 1
    assert measure(truth, np.eye(2)[[0, 1, 0, 1]])["cohens_kappa"] == 0
