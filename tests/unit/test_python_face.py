"""What the Python functions take, what they refuse, and what a notebook shows."""

import copy
import pickle
from collections.abc import Callable
from datetime import datetime, timedelta
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import pytest
from sklearn.linear_model import LogisticRegression
from sklearn.model_selection import cross_val_score

import trapline
from trapline import api
from trapline.catalog import Catalog
from trapline.errors import DataError, TraplineError, UsageError
from trapline.models import ModelFile
from trapline.notebook import as_html
from trapline.prediction import Predictions, as_catalog
from trapline.recipes import change_recipe, resolve_recipe

NOTHING = [None, 3, {}, b"photo.jpg", object(), [1, 2], ["photo.jpg", None], {"a.jpg"}]


@pytest.fixture
def desk(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, world: Callable[..., Catalog], write_tiny_model: Any
) -> Path:
    """A folder with twelve photos, their catalog, a list of them and a model file; where paths start."""
    world().save(tmp_path / "photos.parquet")
    (tmp_path / "list.txt").write_text("photos/0.png\nphotos/1.png\n")
    write_tiny_model(tmp_path / "model.onnx", labels=("a", "b"))
    monkeypatch.chdir(tmp_path)
    return tmp_path


@pytest.mark.parametrize(
    ("media", "number"),
    [
        ("photos.parquet", 12),
        (Path("photos.parquet"), 12),
        ("photos", 12),
        (Path("photos"), 12),
        ("photos/3.png", 1),
        ("list.txt", 2),
        (["photos/0.png", Path("photos/1.png")], 2),
        (("photos/0.png",), 1),
        (pl.DataFrame({"media_id": ["x"], "file_path": ["photos/0.png"]}), 1),
    ],
    ids=str,
)
def test_media_are_whatever_names_them(desk: Path, media: Any, number: int) -> None:
    predictions = ModelFile("model.onnx").predict(media, "p.parquet")
    assert len(predictions) == len(predictions.ok) == number
    assert predictions.catalog is not None
    assert len(predictions.catalog) == number


@pytest.mark.parametrize("media", NOTHING, ids=lambda wrong: type(wrong).__name__)
def test_what_is_no_media_is_refused_with_what_is_accepted(desk: Path, media: Any) -> None:
    with pytest.raises(UsageError, match=r"list of paths|not a path"):
        trapline.predict("model.onnx", media, "p.parquet")
    assert not Path("p.parquet").exists()


def test_a_table_without_its_columns_says_which_it_lacks(desk: Path) -> None:
    with pytest.raises(DataError, match="media_id and file_path; missing: media_id"):
        trapline.predict("model.onnx", pl.DataFrame({"file_path": ["photos/0.png"]}), "p.parquet")


@pytest.mark.parametrize("text", ["abc", Path("abc"), b"abc", None, 7])
def test_one_text_is_no_list_of_paths(text: Any) -> None:
    with pytest.raises(UsageError, match="list of paths"):
        as_catalog(text)


@pytest.mark.parametrize("wrong", [*NOTHING, ""], ids=lambda wrong: type(wrong).__name__)
@pytest.mark.parametrize(
    "arrow",
    [
        lambda wrong: trapline.split(wrong),
        lambda wrong: trapline.explore(wrong),
        lambda wrong: trapline.train(wrong, "head"),
        lambda wrong: trapline.train("photos.parquet", wrong),
        lambda wrong: trapline.train("photos.parquet", "head", taxonomy=wrong if wrong is not None else 0),
        lambda wrong: trapline.tune(wrong, "head"),
        lambda wrong: trapline.run("photos.parquet", "out", wrong),
        lambda wrong: trapline.run(wrong, "out"),
        lambda wrong: trapline.read(wrong),
        lambda wrong: trapline.predict(wrong, "photos.parquet", "p.parquet"),
        lambda wrong: trapline.predict("model.onnx", "photos.parquet", wrong),
        lambda wrong: trapline.detect(wrong, "photos.parquet", "boxes.json"),
        lambda wrong: trapline.evaluate("photos.parquet", wrong),
        lambda wrong: trapline.write(wrong, "photos.parquet", "out.csv", format="csv"),
        lambda wrong: trapline.submit(wrong, "format.csv"),
        lambda wrong: trapline.combine(wrong, "photos.parquet"),
        lambda wrong: trapline.export(wrong, "int8.onnx", calibrate="photos.parquet"),
        lambda wrong: trapline.compare({"one": wrong}),
        lambda wrong: trapline.run("photos.parquet", "out", splitter=wrong if wrong is not None else 0),
        lambda wrong: api.crossval("photos.parquet", "head", wrong if not isinstance(wrong, int) else None),
        lambda wrong: api.open_model(wrong),
        lambda wrong: Catalog.load("photos.parquet").split(wrong if wrong is not None else 0),
    ],
)
def test_no_arrow_takes_what_is_none_of_it(desk: Path, arrow: Callable[[Any], object], wrong: Any) -> None:
    before = sorted(desk.iterdir())
    with pytest.raises(TraplineError):
        arrow(wrong)
    assert sorted(desk.iterdir()) == before


def test_a_recipe_is_its_name_its_file_or_itself(tmp_path: Path) -> None:
    wanted = resolve_recipe("head", None, ["folds=4", "seed=3"])
    assert api.as_recipe("head", {"folds": 4, "seed": 3}) == wanted
    assert api.as_recipe("head", ["folds=4"], seed=3) == wanted
    assert api.as_recipe(resolve_recipe("head"), {"folds": 4}, seed=3) == wanted
    assert api.as_recipe(wanted) is wanted
    file = tmp_path / "mine.yaml"
    file.write_text("folds: 4\n")
    assert api.as_recipe("head", recipe_file=file, seed=3) == wanted
    file.write_text(wanted.model_dump_json())
    assert api.as_recipe(file) == api.as_recipe(str(file)) == wanted
    assert change_recipe(resolve_recipe("head"), {"folds": 4, "seed": 3}) == wanted


@pytest.mark.parametrize("given", [("heed", ()), ("head", {"fold": 4}), ("head", ["folds"]), (None, ())])
def test_a_recipe_that_is_none_is_a_usage_error(given: Any) -> None:
    with pytest.raises(UsageError):
        api.as_recipe(*given)


@pytest.mark.parametrize(
    ("options", "complaint"),
    [
        ({"blank": "none"}, "a list of texts"),
        ({"columns": "label"}, "texts by their names"),
        ({"encoding": 5}, "a text"),
        ({"root": 5}, "a path"),
        ({"root": "nowhere"}, "'nowhere', does not exist"),
        ({"exif": "yes"}, "True or False"),
        ({"location_level": "2", "format": "photo_folder"}, "a whole number"),
        ({"location_level": True, "format": "photo_folder"}, "a whole number"),
        ({"location_level": 2}, "has no option 'location_level'.*belongs to photo_folder"),
        ({"event_gap": "soon"}, "60s, 5min or 1h"),
        ({"event_gap": 60}, "60s, 5min or 1h"),
        ({"format": "nonsense"}, "no reader 'nonsense'"),
        ({"options": {"nothing": 1}}, "no option 'nothing'"),
    ],
)
def test_an_option_of_a_reader_has_its_type(tmp_path: Path, options: Any, complaint: str) -> None:
    (tmp_path / "labels.csv").write_text("path,label\na.jpg,fox\n")
    with pytest.raises(UsageError, match=complaint):
        trapline.read(tmp_path / "labels.csv", **options)


@pytest.mark.parametrize(
    ("options", "complaint"),
    [
        ({"interval": "60"}, "a number"),
        ({"threshold": "high"}, "a number"),
        ({"interval": 60, "format": "csv"}, "has no option 'interval'"),
        ({"format": "nonsense"}, "nonsense"),
        ({"mode": "sidecar", "format": "sorted"}, "symlink or hardlink or copy, not 'sidecar'"),
        (
            {"mode": "move", "format": "sorted"},
            "mode must be one of symlink, hardlink, copy, sidecar, not 'move'",
        ),
    ],
)
def test_an_option_of_a_writer_has_its_type(desk: Path, options: Any, complaint: str) -> None:
    predictions = trapline.predict("model.onnx", "photos.parquet", "p.parquet")
    with pytest.raises(UsageError, match=complaint):
        trapline.write(predictions, None, "out", **{"format": "summary", **options})


def test_the_nouns_lead_into_one_another(desk: Path) -> None:
    catalog = Catalog.load("photos.parquet")
    predictions = ModelFile("model.onnx").predict(catalog, "p.parquet", part="validation")
    assert predictions.summary().ok == len(predictions) == 4
    events = predictions.pool("event")
    assert events.level == "event"
    assert predictions.evaluate(samples=10).counts.evaluated == 4
    report = events.write("csv", "events.csv")
    assert report.rows == len(events) == 4
    assert catalog.write("again.parquet") == desk / "again.parquet"
    assert Catalog.load("again.parquet").table.equals(catalog.table)


def test_predictions_of_a_file_are_told_their_catalog(desk: Path) -> None:
    trapline.predict("model.onnx", "photos.parquet", "p.parquet")
    loaded = Predictions.load("p.parquet")
    with pytest.raises(UsageError, match="give the catalog"):
        loaded.pool("event")
    assert len(loaded.pool("event", catalog="photos.parquet")) == 12
    assert trapline.evaluate("photos.parquet", "p.parquet", samples=10).counts.evaluated == 12


def test_an_open_model_is_on_its_threads(desk: Path) -> None:
    model = api.open_model("model.onnx", threads=1)
    assert api.open_model(model) is model
    with pytest.raises(UsageError, match="is open already"):
        api.open_model(model, threads=2)
    assert api.open_model("lite0").card.task == "features"


@pytest.mark.parametrize("over", [{"over": "moon"}, {"several_labels": "all"}, {"unknown_labels": "skip"}])
def test_a_choice_that_is_none_names_those_there_are(desk: Path, over: Any) -> None:
    trapline.predict("model.onnx", "photos.parquet", "p.parquet")
    with pytest.raises(UsageError, match=r"one of (location|error)"):
        trapline.evaluate("photos.parquet", "p.parquet", **over)


@pytest.mark.parametrize("wrong", [-1, "3", 2.5, True, None], ids=repr)
@pytest.mark.parametrize(
    "arrow",
    [
        lambda wrong: trapline.explore("photos.parquet", sample=wrong),
        lambda wrong: trapline.explore("photos.parquet", seed=wrong),
        lambda wrong: trapline.evaluate("photos.parquet", "p.parquet", samples=wrong),
        lambda wrong: trapline.evaluate("photos.parquet", "p.parquet", seed=wrong),
        lambda wrong: trapline.evaluate("photos.parquet", "p.parquet", pictures=wrong),
        lambda wrong: trapline.tune("photos.parquet", "head", trials=wrong),
        lambda wrong: trapline.predict(
            "model.onnx", "photos.parquet", "p.parquet", workers=0 if wrong is None else wrong
        ),
    ],
)
def test_a_count_is_a_whole_number(desk: Path, arrow: Callable[[Any], object], wrong: Any) -> None:
    with pytest.raises(UsageError, match="must be a whole number from"):
        arrow(wrong)


def test_nothing_is_not_combined(desk: Path) -> None:
    with pytest.raises(UsageError, match="nothing to combine"):
        trapline.combine([], "photos.parquet")


def test_catalogs_are_the_same_where_they_are_one(desk: Path) -> None:
    first, second = Catalog.load("photos.parquet"), Catalog.load("photos.parquet")
    assert first in [second, first]
    assert first != second
    assert len({first, second}) == 2


def test_an_open_model_is_found_from_another_folder(desk: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    model = trapline.ModelFile("model.onnx")
    elsewhere = desk / "elsewhere"
    elsewhere.mkdir()
    monkeypatch.chdir(elsewhere)
    assert model.content() == (desk / "model.onnx").read_bytes()


def test_an_open_model_is_opened_again_in_another_process(desk: Path, write_tiny_model: Any) -> None:
    model = trapline.ModelFile("model.onnx", threads=1)
    packed = pickle.dumps(model)
    assert pickle.loads(packed).fingerprint == model.fingerprint
    assert copy.copy(model).card == model.card
    write_tiny_model(desk / "model.onnx", labels=("c", "d"))
    with pytest.raises(DataError, match="has changed since"):
        pickle.loads(packed)


def test_a_catalog_takes_the_place_of_no_other_kind_of_file(desk: Path) -> None:
    catalog = Catalog.load("photos.parquet")
    before = Path("list.txt").read_bytes()
    for name in ("list.txt", "photos/0.png", "model.onnx"):
        with pytest.raises(DataError, match="name another file"):
            catalog.save(name)
    assert Path("list.txt").read_bytes() == before
    assert catalog.save("photos.parquet").exists()


@pytest.mark.parametrize(
    ("splitter", "groups"),
    [
        (trapline.ByLocation(folds=3), [f"place {n % 6}" for n in range(60)]),
        (trapline.ByEvent(folds=3), [n // 3 for n in range(60)]),
        (trapline.AtRandom(folds=3), None),
        (trapline.BySeason(folds="each"), [f"S{n // 20}" for n in range(60)]),
        (trapline.ByDate(ratios=(2, 1)), [datetime(2020, 1, 1) + timedelta(days=n) for n in range(60)]),
        (trapline.ByColumn(), ["train"] * 40 + ["validation"] * 20),
    ],
    ids=lambda given: type(given).__name__,
)
def test_a_splitter_is_a_cv_of_scikit_learn(splitter: Any, groups: Any) -> None:
    features = np.random.default_rng(0).random((60, 3))
    truth = np.arange(60) % 2
    scores = cross_val_score(LogisticRegression(), features, truth, groups=groups, cv=splitter)
    assert len(scores) == splitter.get_n_splits(features, truth, groups)
    for train, validation in splitter.split(features, truth, groups):
        assert not {*train} & {*validation}
        if groups is not None and splitter.by != "column":
            assert not {groups[row] for row in train} & {groups[row] for row in validation}


def test_rows_without_what_is_split_by_are_refused() -> None:
    with pytest.raises(UsageError, match="give groups, one a row"):
        cross_val_score(
            LogisticRegression(), np.zeros((9, 1)), np.arange(9) % 3, cv=trapline.ByLocation(folds=3)
        )
    with pytest.raises(UsageError, match="2 groups for 3 rows"):
        next(trapline.ByLocation(folds=3).split(np.zeros((3, 1)), [0, 1, 1], ["a", "b"]))


def test_a_name_that_is_none_says_what_is_near() -> None:
    with pytest.raises(AttributeError, match="Did you mean 'predict'"):
        trapline.predikt  # type: ignore[attr-defined]  # noqa: B018
    assert set(trapline.__all__) <= set(dir(trapline))
    assert 20 <= len(trapline.__all__) <= 30


# ---- notebooks


class Tags(HTMLParser):
    """The tags and the text of a page."""

    def __init__(self) -> None:
        super().__init__()
        self.tags: list[str] = []
        self.text = ""

    def handle_starttag(self, tag: str, attrs: object) -> None:
        self.tags.append(tag)

    def handle_data(self, data: str) -> None:
        self.text += data


def seen(html: str) -> Tags:
    tags = Tags()
    tags.feed(html)
    assert set(tags.tags) <= {"div", "strong", "table", "tr", "th", "td"}
    return tags


def test_a_notebook_shows_the_nouns_and_no_label_is_markup(desk: Path, write_tiny_model: Any) -> None:
    hostile = "<script>alert('a')</script>"
    catalog = Catalog.load("photos.parquet")
    labels = pl.when(pl.col("labels").list.contains("a")).then([hostile]).otherwise(["b"])
    catalog = catalog.with_table(catalog.table.with_columns(labels=labels))
    model = ModelFile(write_tiny_model(desk / "hostile.onnx", labels=(hostile, "b"), name="<b>x</b>"))
    predictions = model.predict(catalog, "p.parquet")
    evaluation = predictions.evaluate(samples=10, name="<i>mine</i>")
    assert hostile in seen(catalog._repr_html_()).text
    assert "<b>x</b>" in seen(model._repr_html_()).text
    assert "media predicted" in seen(predictions._repr_html_()).text
    assert "<i>mine</i>" in seen(evaluation._repr_html_()).text


def test_a_long_table_is_cut_and_says_so() -> None:
    html = as_html("x" * 500, [(f"row {n}", n) for n in range(100)], "\udce4")
    assert "and 88 more" in html
    assert len(html) < 4000
    html.encode()  # what is shown is text
