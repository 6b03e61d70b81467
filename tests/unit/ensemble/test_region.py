"""A regional list as weights: the finest name wins, blanks and people stay, nothing is lost."""

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import pytest

from trapline.ensemble import RegionalList, read_region, weigh_by_region
from trapline.ensemble.region import label_weights
from trapline.errors import DataError, UsageError
from trapline.prediction import ModelTree, PredictionFacts, Predictions
from trapline.prediction.table import fixed_columns
from trapline.taxonomy import Taxonomy, taxonomy_from_csv

LABELS = ("bobcat", "elk", "empty", "lynx", "puma")
CSV = """label,family,genus,species,synonyms,common_name,kind
bobcat,Felidae,Lynx,Lynx rufus,,,animal
lynx,Felidae,Lynx,Lynx lynx,Felis lynx,Eurasian lynx,animal
puma,Felidae,Puma,Puma concolor,,,animal
elk,Cervidae,Cervus,Cervus canadensis,,,animal
empty,,,,,,blank
"""


@pytest.fixture
def tree(tmp_path: Path) -> Taxonomy:
    (tmp_path / "t.csv").write_text(CSV)
    return taxonomy_from_csv(tmp_path / "t.csv").for_labels(LABELS)


def predictions(tree: Taxonomy, *rows: tuple[float, ...]) -> Predictions:
    fixed: dict[str, Any] = {name: [None] * len(rows) for name in fixed_columns("media")}
    fixed |= {"media_id": [str(n) for n in range(len(rows))], "status": ["ok"] * len(rows)}
    table = pl.DataFrame(fixed, fixed_columns("media")).hstack(
        pl.DataFrame(list(rows), dict.fromkeys(LABELS, pl.Float32), orient="row")
    )
    return Predictions(
        table,
        LABELS,
        "media",
        "m",
        "single-label",
        PredictionFacts(taxonomy=ModelTree.from_json(tree.to_json(), "the tree")),
    )


def test_the_finest_name_wins_and_synonyms_and_common_names_are_known(tree: Taxonomy) -> None:
    found = label_weights(
        tree, LABELS, RegionalList({"Felidae": 0.5, "Felis lynx": 3, "Cervus": 2, "Ursus": 9})
    )
    assert found.weights == {"bobcat": 0.5, "elk": 2, "empty": 1, "lynx": 3, "puma": 0.5}
    assert label_weights(tree, LABELS, RegionalList({"eurasian lynx": 1}), 0.0).weights["bobcat"] == 0


def test_weights_are_bayes_rule(tree: Taxonomy) -> None:
    before = predictions(tree, (0.5, 0.1, 0.2, 0.1, 0.1))
    after = weigh_by_region(before, RegionalList({"lynx": 4, "bobcat": 0, "elk": 1}), 0.0).probabilities()
    np.testing.assert_allclose(after[0], np.array([0, 0.1, 0.2, 0.4, 0]) / 0.7, atol=1e-6)


def test_a_list_overrules_a_network_that_is_certain(tree: Taxonomy) -> None:
    after = weigh_by_region(predictions(tree, (1.0, 0, 0, 0, 0)), RegionalList({"lynx": 1}), 0.0)
    assert after.probabilities()[0].sum() == pytest.approx(1)
    assert after.probabilities()[0, 0] == 0


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("name,weight\nlynx,-1\n", "line 2"),
        ("name\nlynx\nlynx\n", "line 3"),
        ("name,weight\nlynx,much\n", "line 2"),
        ("name,weight\n\n\nlynx,much\n", "line 4"),
        ("species\nlynx\n", "column 'name'"),
    ],
)
def test_a_list_that_is_wrong_is_refused_with_its_line(text: str, said: str, tmp_path: Path) -> None:
    (tmp_path / "r.csv").write_text(text)
    with pytest.raises(DataError, match=said):
        read_region(tmp_path / "r.csv")


def test_lists_that_fit_nothing_are_refused(tree: Taxonomy) -> None:
    with pytest.raises(DataError, match="None of the list's names"):
        label_weights(tree, LABELS, RegionalList({"wombat": 1}))
    with pytest.raises(DataError, match="rules out every label"):
        label_weights(tree, ("bobcat", "lynx"), RegionalList({"Felidae": 0}))
    plain = predictions(tree, (1.0, 0, 0, 0, 0))
    with pytest.raises(UsageError, match="model of taxa"):
        weigh_by_region(
            Predictions(plain.table, LABELS, "media", "m", "single-label"), RegionalList({"lynx": 1})
        )


def test_weighed_predictions_say_so_and_which_names_were_passed_over(tree: Taxonomy) -> None:
    before = predictions(tree, (0.5, 0.1, 0.2, 0.1, 0.1))
    before = replace(before, facts=replace(before.facts, calibration="5 locations"))
    after = weigh_by_region(before, RegionalList({"wombat": 0, "Felidae": 1, "boer": 2}))
    assert after.facts.region.unknown == ("boer", "wombat")
    assert after.facts.calibration == "5 locations; then weighed by a regional list, not measured with it"
    with pytest.raises(UsageError, match="already"):
        weigh_by_region(after, RegionalList({"lynx": 1}))


COARSE = """label,class,family,genus,species,kind
fox,Mammalia,Canidae,Vulpes,Vulpes vulpes,animal
hare,Mammalia,Leporidae,Lepus,,animal
deer,Mammalia,Cervidae,,,animal
bird,Aves,,,,animal
human,,,,,human
hunter,,,,,human
quad,,,,,vehicle
empty,,,,,blank
"""
COARSE_LABELS = ("fox", "hare", "deer", "bird", "human", "hunter", "quad", "empty")


@pytest.fixture
def coarse(tmp_path: Path) -> Taxonomy:
    (tmp_path / "coarse.csv").write_text(COARSE)
    return taxonomy_from_csv(tmp_path / "coarse.csv").for_labels(COARSE_LABELS)


def listed(folder: Path, *lines: str) -> RegionalList:
    (folder / "list.csv").write_text("\n".join(lines) + "\n")
    return read_region(folder / "list.csv")


def test_a_class_above_a_listed_species_is_listed(coarse: Taxonomy, tmp_path: Path) -> None:
    names = ["Vulpes vulpes", "Lepus europaeus", "Odocoileus virginianus"]
    found = label_weights(coarse, COARSE_LABELS, listed(tmp_path, "name", *names))
    assert [found.weights[label] for label in ("fox", "hare", "deer", "bird")] == [1, 1, 0.01, 0.01]
    assert found.not_named == ("deer", "bird")
    assert found.unknown == ("Odocoileus virginianus",)
    lines = [f"{name},2,{family}" for name, family in zip(names, ("", "", "Cervidae"), strict=True)]
    found = label_weights(coarse, COARSE_LABELS, listed(tmp_path, "name,weight,family", *lines))
    assert (found.weights["hare"], found.weights["deer"]) == (2, 2)
    assert (found.not_named, found.unknown) == (("bird",), ())


def test_of_several_below_the_largest_counts_but_its_own_name_first(coarse: Taxonomy, tmp_path: Path) -> None:
    lines = ["name,weight,family", "Lepus europaeus,0.5,", "Lepus timidus,3,", "Mammalia,0.1,"]
    lines += ["Capreolus capreolus,0,Cervidae"]  # that none of this kind lives here rules no deer out
    found = label_weights(coarse, COARSE_LABELS, listed(tmp_path, *lines)).weights
    assert (found["hare"], found["deer"], found["fox"]) == (3, 0.1, 0.1)
    own = label_weights(coarse, COARSE_LABELS, listed(tmp_path, *lines, "Lepus,0.2,")).weights
    assert own["hare"] == 0.2


def test_words_that_are_no_scientific_name_lift_nothing(tree: Taxonomy) -> None:
    found = label_weights(tree, ("elk", "lynx"), RegionalList({"lynx spider": 1, "elk": 1}))
    assert (found.not_named, found.unknown) == (("lynx",), ("lynx spider",))
    other_species = RegionalList({"Lynx pardinus": 1, "elk": 1})
    assert label_weights(tree, ("elk", "lynx"), other_species).weights["lynx"] == 0.01


def test_a_kind_means_the_labels_of_it_whatever_they_are_called(coarse: Taxonomy) -> None:
    region = RegionalList({"blank": 5, "person": 3, "hunter": 2, "vehicle": 0, "Animal": 0.5, "fox": 1})
    found = label_weights(coarse, COARSE_LABELS, region)
    assert found.weights == {
        "fox": 1,
        "hare": 0.5,
        "deer": 0.5,
        "bird": 0.5,
        "human": 3,
        "hunter": 2,
        "quad": 0,
        "empty": 5,
    }
    assert not found.unknown


def test_two_names_of_one_taxon_with_two_weights_are_refused(coarse: Taxonomy) -> None:
    with pytest.raises(DataError, match=r"Vulpes vulpes: 2 as 'fox' and 0 as 'Vulpes vulpes'"):
        label_weights(coarse, COARSE_LABELS, RegionalList({"fox": 2, "Vulpes vulpes": 0}))
    with pytest.raises(DataError, match="'blank' and 1 as 'empty'"):
        label_weights(coarse, COARSE_LABELS, RegionalList({"blank": 2, "empty": 1}))
    assert (
        label_weights(coarse, COARSE_LABELS, RegionalList({"fox": 2, "Vulpes vulpes": 2})).weights["fox"] == 2
    )
