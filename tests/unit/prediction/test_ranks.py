"""Rank columns and the rolled-up answer: sums up the tree, thresholds by rank, none where none passes."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import pytest

from trapline.errors import DataError
from trapline.models import Card, ModelFile
from trapline.prediction import Predictions, Ranks, add_ranks, predict
from trapline.taxonomy import Taxonomy, taxonomy_from_csv
from trapline.taxonomy.rollup import verdict

CSV = """label,class,family,genus,species,kind
bobcat,Mammalia,Felidae,Lynx,Lynx rufus,animal
lynx,Mammalia,Felidae,Lynx,Lynx lynx,animal
puma,Mammalia,Felidae,Puma,Puma concolor,animal
deer,Mammalia,Cervidae,,,animal
elk,Mammalia,Cervidae,Cervus,Cervus canadensis,animal
empty,,,,,blank
animal,,,,,animal
"""
LABELS = ("bobcat", "elk", "empty", "lynx", "puma")
THRESHOLDS = {"kind": 0.6, "family": 0.7, "genus": 0.8, "species": 0.9}


@pytest.fixture(scope="module")
def tree(tmp_path_factory: pytest.TempPathFactory) -> Taxonomy:
    path = tmp_path_factory.mktemp("tree") / "t.csv"
    path.write_text(CSV)
    return taxonomy_from_csv(path)


@pytest.fixture
def described(tree: Taxonomy) -> dict[str, Any]:
    return {**tree.for_labels(LABELS).to_json(), "unsupported": ["Cervus"], "rollup": {"promise": 0.95}}


def frame(*rows: tuple[float, ...] | None) -> pl.DataFrame:
    empty = (None,) * len(LABELS)
    return pl.DataFrame([row or empty for row in rows], dict.fromkeys(LABELS, pl.Float32), orient="row")


def test_the_answer_is_the_deepest_taxon_that_passes(described: dict[str, Any]) -> None:
    ranks = Ranks(LABELS, described, THRESHOLDS)
    found = ranks.add(
        frame(
            (0.95, 0.01, 0.01, 0.02, 0.01),
            (0.45, 0.02, 0.03, 0.45, 0.05),
            (0.4, 0.1, 0.1, 0.1, 0.3),
            (0.3, 0.3, 0.1, 0.1, 0.2),
            (0.1, 0.1, 0.7, 0.05, 0.05),
            (0.2, 0.2, 0.5, 0.05, 0.05),
            None,
        )
    )
    assert found["answer"].to_list() == ["Lynx rufus", "Lynx", "Felidae", "animal", "blank", None, None]
    assert found["answer_rank"].to_list() == ["species", "genus", "family", "kind", "kind", None, None]
    np.testing.assert_allclose(
        found["answer_probability"].to_list()[:5], [0.95, 0.9, 0.8, 0.9, 0.7], atol=1e-6
    )
    assert found["genus"].to_list()[:2] == ["Lynx", "Lynx"]
    np.testing.assert_allclose(found["family_probability"].to_list()[2:4], [0.8, 0.6], atol=1e-6)
    assert found.row(6) == (None,) * found.width


def test_a_taxon_without_evidence_of_its_own_is_never_an_answer(described: dict[str, Any]) -> None:
    found = Ranks(LABELS, described, THRESHOLDS | {"species": 2.0}).add(frame((0, 1, 0, 0, 0)))
    assert found["answer"].to_list() == ["Cervidae"]


def test_a_rank_without_a_threshold_is_not_answered(described: dict[str, Any]) -> None:
    found = Ranks(LABELS, described, {"family": 0.5}).add(frame((1, 0, 0, 0, 0), (0, 0, 1, 0, 0)))
    assert found["answer"].to_list() == ["Felidae", None]


def test_without_a_rollup_the_majority_answers(described: dict[str, Any]) -> None:
    del described["rollup"]
    found = Ranks(LABELS, described, {}).add(frame((0.3, 0.1, 0.1, 0.3, 0.2)))
    assert found["answer"].to_list() == ["Lynx"]


@pytest.mark.parametrize(
    ("answer", "label", "said"),
    [
        ("Lynx rufus", "bobcat", "right"),
        ("Felidae", "bobcat", "right"),
        ("animal", "bobcat", "right"),
        ("blank", "bobcat", "wrong"),
        ("Lynx lynx", "bobcat", "wrong"),
        ("Cervidae", "deer", "right"),
        ("Cervus canadensis", "deer", "unknown"),
        ("Felidae", "deer", "wrong"),
        ("Felidae", "empty", "wrong"),
        ("Felidae", "animal", "unknown"),
        ("blank", "animal", "wrong"),
    ],
)
def test_whether_an_answer_is_right(tree: Taxonomy, answer: str, label: str, said: str) -> None:
    assert verdict(tree, answer, label) == said


def test_a_table_carries_the_ranks_and_loads_without_them(
    write_tiny_model: Callable[..., Path],
    world: Callable[..., Any],
    tmp_path: Path,
    described: dict[str, Any],
) -> None:
    path = write_tiny_model(tmp_path / "m.onnx", LABELS, taxonomy=described, thresholds=THRESHOLDS)
    model = ModelFile(path)
    for suffix, reader in ((".csv", pl.read_csv), (".parquet", pl.read_parquet)):
        output = tmp_path / f"p{suffix}"
        found = predict(model, world(), output)
        written = reader(output)
        assert written.columns[-3:] == ["genus_probability", "species", "species_probability"]
        expected = add_ranks(found.table, model.card)
        assert written["answer"].to_list() == expected["answer"].to_list()
        assert Predictions.load(output).table.equals(found.table)


def test_other_models_get_no_columns(write_tiny_model: Callable[..., Path], tmp_path: Path) -> None:
    card = ModelFile(write_tiny_model(tmp_path / "m.onnx")).card
    table = pl.DataFrame({"blank": [0.1], "hare": [0.2], "lynx": [0.7]})
    assert add_ranks(table, card) is table


def test_a_table_that_has_such_a_column_is_refused(described: dict[str, Any]) -> None:
    card = Card(
        name="taxa",
        task="single-label",
        labels=LABELS,
        embedding_size=1,
        preprocessing={"height": 8, "width": 8},
        taxonomy=described,
    )
    with pytest.raises(DataError, match="'family' already"):
        add_ranks(frame((0, 1, 0, 0, 0)).with_columns(family=pl.lit("x")), card)
    with pytest.raises(DataError, match="lacks the label 'puma'"):
        add_ranks(frame((0, 1, 0, 0, 0)).drop("puma"), card)
