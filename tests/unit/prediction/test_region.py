"""A regional list as weights: the finest name wins, blanks and people stay, nothing is lost."""

from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import pytest

from trapline.errors import DataError, UsageError
from trapline.prediction import Predictions, read_region, weigh_by_region
from trapline.prediction.region import label_weights
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
    return Predictions(table, LABELS, "media", "m", "single-label", {"taxonomy": tree.to_json()})


def test_the_finest_name_wins_and_synonyms_and_common_names_are_known(tree: Taxonomy) -> None:
    found = label_weights(tree, LABELS, {"Felidae": 0.5, "Felis lynx": 3, "Cervus": 2, "Ursus": 9})
    assert found == {"bobcat": 0.5, "elk": 2, "empty": 1, "lynx": 3, "puma": 0.5}
    assert label_weights(tree, LABELS, {"eurasian lynx": 1}, 0.0)["bobcat"] == 0


def test_weights_are_bayes_rule(tree: Taxonomy) -> None:
    before = predictions(tree, (0.5, 0.1, 0.2, 0.1, 0.1))
    after = weigh_by_region(before, {"lynx": 4, "bobcat": 0, "elk": 1}, 0.0).probabilities()
    np.testing.assert_allclose(after[0], np.array([0, 0.1, 0.2, 0.4, 0]) / 0.7, atol=1e-6)


def test_a_list_overrules_a_network_that_is_certain(tree: Taxonomy) -> None:
    after = weigh_by_region(predictions(tree, (1.0, 0, 0, 0, 0)), {"lynx": 1}, 0.0)
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
        label_weights(tree, LABELS, {"wombat": 1})
    with pytest.raises(DataError, match="rules out every label"):
        label_weights(tree, ("bobcat", "lynx"), {"Felidae": 0})
    plain = predictions(tree, (1.0, 0, 0, 0, 0))
    with pytest.raises(UsageError, match="model of taxa"):
        weigh_by_region(Predictions(plain.table, LABELS, "media", "m", "single-label"), {"lynx": 1})


def test_weighed_predictions_say_so_and_which_names_were_passed_over(tree: Taxonomy) -> None:
    before = predictions(tree, (0.5, 0.1, 0.2, 0.1, 0.1))
    before.info["calibration"] = "5 locations"
    after = weigh_by_region(before, {"wombat": 0, "Felidae": 1, "boer": 2})
    assert after.info["region"]["unknown"] == ["boer", "wombat"]
    assert after.info["calibration"] == "5 locations; then weighed by a regional list, not measured with it"
    with pytest.raises(UsageError, match="already"):
        weigh_by_region(after, {"lynx": 1})
