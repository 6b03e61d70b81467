"""Bursts: events labelled as a whole, seasons kept apart, one answer an event."""

import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import pytest
from PIL import Image

from trapline.catalog import BySeason, Catalog, label_events
from trapline.errors import DataError, TraplineWarning, UsageError
from trapline.evaluation import evaluate
from trapline.formats import read
from trapline.images import prepare
from trapline.metrics import log_loss
from trapline.models import EventPooling, ModelFile
from trapline.prediction import Predictions, pool_events, predict
from trapline.recipes import Recipe, resolve_recipe
from trapline.training import crossval, train
from trapline.training.features import embed
from trapline.training.frozen import background_backbone
from trapline.training.selection import base_calibration, select_media

pytestmark = [pytest.mark.slow, pytest.mark.usefixtures("unrendered")]

LABELS = ("blank", "hare", "lynx")
FRAMES = 3


@pytest.fixture(scope="module")
def bursts(tmp_path_factory: pytest.TempPathFactory) -> Catalog:
    """36 bursts of three seasons at one location; hares are red, lynxes blue, and leave before the end."""
    folder = tmp_path_factory.mktemp("bursts")
    random = np.random.default_rng(0)
    rows = []
    for number in range(36):
        shown = [["blank"], ["hare"], ["lynx"], ["hare", "lynx"], ["blank"], ["hare"]][number % 6]
        for frame in range(FRAMES):
            seen = [name for name in shown if name != "blank"] if frame < FRAMES - 1 else []
            pixels = random.integers(0, 90, (16, 16, 3), dtype=np.uint8)
            for name in seen:
                left = int(random.integers(0, 9))
                pixels[4:12, left : left + 7, 0 if name == "hare" else 2] = random.integers(90, 255)
            path = f"{number}-{frame}.png"
            Image.fromarray(pixels).save(folder / path)
            row = {"media_id": path, "file_path": path, "location_id": "L", "event_id": f"e{number}"}
            labels = {"labels": seen or ["blank"], "frame": frame + 1, "season": f"S{number // 12 + 1}"}
            rows.append(row | labels)
    return Catalog.from_rows(rows, folder, "drawn")


@pytest.fixture(scope="module")
def backbone(tmp_path_factory: pytest.TempPathFactory, write_tiny_model: Callable[..., Path]) -> str:
    return f"model-file:{write_tiny_model(tmp_path_factory.mktemp('tiny') / 'tiny.onnx')}"


def recipe(backbone: str, **changes: Any) -> Recipe:
    described: dict[str, Any] = {
        "name": "bursts",
        "task": "multi-label",
        "backbone": backbone,
        "how": "frozen",
        "preprocessing": {"height": 16, "width": 16},
        "optimiser": {"weight_decay": 0.1},
        "fold_by": "season",
        "fit": "all",
        "learn_from": "event",
    }
    return Recipe.model_validate(described | changes)


def test_an_event_has_what_any_of_its_media_shows(bursts: Catalog) -> None:
    found = label_events(bursts).table
    assert found.filter(pl.col("event_id") == "e3")["labels"].to_list() == [["hare", "lynx"]] * FRAMES
    assert found.filter(pl.col("event_id") == "e0")["labels"].to_list() == [["blank"]] * FRAMES
    assert bursts.table.filter(pl.col("event_id") == "e3")["labels"].to_list()[-1] == ["blank"]


def test_the_labels_given_for_an_event_come_first() -> None:
    rows = [
        {"media_id": name, "file_path": name, "event_id": "e", "event_labels": ["lynx"], "labels": ["blank"]}
        for name in "ab"
    ]
    assert label_events(Catalog.from_rows(rows, ".", "rows")).table["labels"].to_list() == [["lynx"]] * 2


@pytest.mark.parametrize("background", [False, True])
def test_a_model_of_events_says_of_a_burst_what_was_measured(
    tmp_path: Path, bursts: Catalog, backbone: str, background: bool
) -> None:
    split = BySeason(ratios=(2, 1)).apply(bursts)
    wanted = recipe(
        backbone, fit="train", event_statistics=("mean", "std", "max"), background_view=background
    )
    model = ModelFile(train(wanted, split, tmp_path / "run", cache=tmp_path))
    assert model.card.batch == "event"
    assert model.card.backbone["fingerprint"] == ModelFile(backbone.removeprefix("model-file:")).fingerprint
    kept = Predictions.load(tmp_path / "run" / "validation.parquet")
    assert (kept.level, len(kept)) == ("event", 12)
    for row, event in enumerate(kept.table["event_id"]):
        paths = split.filter(pl.col("event_id") == event).paths()
        frames = np.stack([prepare(path, model.card.preprocessing).pixels for path in paths])
        answers = model.run(frames).probabilities
        np.testing.assert_allclose(answers, np.tile(kept.probabilities()[row], (FRAMES, 1)), atol=1e-5)
    output = tmp_path / "events.parquet"
    predict(model, split, output, level="event", part="validation")
    found = Predictions.load(output)
    assert found.table["event_id"].to_list() == kept.table["event_id"].to_list()
    np.testing.assert_allclose(found.probabilities(), kept.probabilities(), atol=1e-5)
    assert "intervals are over events" in model.card.metrics_on
    assert model.card.metrics["log_loss"].low is not None


def test_features_of_a_burst_are_kept_for_the_whole_burst(
    tmp_path: Path, bursts: Catalog, backbone: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    photos = tmp_path / "photos"
    shutil.copytree(bursts.root, photos)
    catalog = Catalog(bursts.table, photos, bursts.source, bursts.facts)
    plain = ModelFile(backbone.removeprefix("model-file:"))
    seeing = background_backbone(plain, tmp_path)
    first = embed(seeing, catalog, cache=tmp_path)
    frames = np.stack([prepare(path, seeing.card.preprocessing).pixels for path in catalog.paths()[:FRAMES]])
    np.testing.assert_allclose(first[:FRAMES], seeing.run(frames).embedding, atol=1e-6)
    sizes: list[int] = []
    run = ModelFile.run
    monkeypatch.setattr(ModelFile, "run", lambda self, images: sizes.append(len(images)) or run(self, images))
    np.testing.assert_array_equal(embed(seeing, catalog, cache=tmp_path), first)
    assert sizes == []
    (photos / "1-0.png").write_bytes((photos / "9-0.png").read_bytes())
    again = embed(seeing, catalog, cache=tmp_path)
    assert sizes == [FRAMES], "the burst of the changed photo, and no other, is looked at again"
    assert not np.allclose(again[FRAMES : 2 * FRAMES], first[FRAMES : 2 * FRAMES])
    np.testing.assert_array_equal(
        np.delete(again, range(3, 6), axis=0), np.delete(first, range(3, 6), axis=0)
    )


def test_a_background_needs_the_event(backbone: str) -> None:
    with pytest.raises(UsageError, match="background_view needs the frames of an event together"):
        recipe(backbone, background_view=True)


def test_a_frame_that_cannot_be_read_is_no_frame_of_its_event(
    tmp_path: Path, bursts: Catalog, backbone: str
) -> None:
    wanted = recipe(backbone, event_statistics=("mean", "std", "max"))
    model = ModelFile(train(wanted, bursts, tmp_path / "run", cache=tmp_path))
    photos = tmp_path / "photos"
    shutil.copytree(bursts.root, photos)
    moved = Catalog(bursts.table, photos, bursts.source, bursts.facts)
    output = tmp_path / "media.parquet"
    predict(model, moved, output)
    whole = Predictions.load(output)
    (photos / "1-0.png").write_bytes(b"no photo")
    predict(model, moved, output)  # goes on: the event of the changed file is predicted again, whole
    broken = Predictions.load(output)
    place = broken.table["media_id"].to_list().index("1-0.png")
    assert broken.table["status"][place] == "failed"
    frames = [prepare(photos / f"1-{frame}.png", model.card.preprocessing).pixels for frame in (1, 2)]
    alone = model.run(np.stack(frames)).probabilities
    np.testing.assert_allclose(broken.probabilities()[place + 1 : place + 3], alone, atol=1e-6)
    np.testing.assert_array_equal(broken.probabilities()[:3], whole.probabilities()[:3])


def test_a_model_of_frames_learns_how_to_pool_them(tmp_path: Path, bursts: Catalog, backbone: str) -> None:
    model = ModelFile(train(recipe(backbone), bursts, tmp_path / "run", cache=tmp_path))
    event = model.card.event
    assert event is not None
    assert "36 events" in event.selected_on
    assert event.metrics["log_loss"].value < 0.6  # a coin for each of three labels scores 0.69
    kept = Predictions.load(tmp_path / "run" / "validation.parquet")
    pooled = pool_events(kept, bursts, rows="event")
    assert pooled.facts.pooled.how.method == event.method
    assert "3 season folds" in model.card.metrics_on


def test_frames_are_pooled_as_they_were_shot_wherever_their_rows_are(
    tmp_path: Path, bursts: Catalog, backbone: str
) -> None:
    wanted = recipe(backbone, frames="first")
    shuffled = bursts.with_table(bursts.table.sample(fraction=1, shuffle=True, seed=1))
    events = [
        ModelFile(train(wanted, catalog, tmp_path / str(number), cache=tmp_path)).card.event
        for number, catalog in enumerate((bursts, shuffled))
    ]
    assert events[0] is not None
    assert events[1] is not None
    assert events[0].method == "first"
    assert events[1].metrics["log_loss"].value == pytest.approx(events[0].metrics["log_loss"].value, rel=1e-3)


@pytest.mark.parametrize("task", ["single-label", "multi-label"])
def test_pooled_events_are_calibrated_unless_nothing_shall_be(
    tmp_path: Path, bursts: Catalog, backbone: str, task: str
) -> None:
    events = label_events(bursts).filter(pl.col("labels").list.len() == 1)

    def pooled(calibration: str) -> tuple[EventPooling, float, float]:
        wanted = recipe(backbone, task=task, calibration=calibration, optimiser={"weight_decay": 3.0})
        run = tmp_path / calibration
        event = ModelFile(train(wanted, events, run, cache=tmp_path)).card.event
        assert event is not None
        assert event.metrics["log_loss"].value < 0.9
        kept = Predictions.load(run / "validation.parquet")
        plain = EventPooling(method=event.method, by_label=event.by_label)
        said = [pool_events(kept, events, how=how, rows="event") for how in (event, plain)]
        names = events.table.unique("event_id", maintain_order=True)["labels"].list.first()
        found = [kept.labels.index(name) for name in names]
        truth = np.array(found) if task == "single-label" else np.eye(3, dtype=int)[found]
        as_it_is, uncalibrated = (float(log_loss(truth, one.probabilities())) for one in said)
        return event, as_it_is, uncalibrated

    event, calibrated, uncalibrated = pooled("temperature")
    assert event.calibration.method == ("temperature" if task == "single-label" else "labels")
    assert calibrated < uncalibrated
    event, calibrated, uncalibrated = pooled("none")
    assert event.calibration.method == "none"
    assert calibrated == uncalibrated


def test_a_label_that_a_fold_never_saw_stops_nothing_and_calibrates_nothing(
    bursts: Catalog, backbone: str, tmp_path: Path
) -> None:
    def odd(table: pl.DataFrame) -> pl.DataFrame:
        late = (pl.col("event_id") == "e30") & (pl.col("frame") == 1)
        return table.with_columns(pl.when(late).then(pl.lit(["bear"])).otherwise("labels").alias("labels"))

    catalog = bursts.with_table(odd(bursts.table))
    found = crossval(recipe(backbone), catalog, cache=tmp_path)
    plain = crossval(recipe(backbone), bursts, cache=tmp_path)
    assert found.predictions.labels[0] == "bear"
    assert found.judged.calibration.temperature == pytest.approx(
        plain.judged.calibration.temperature, rel=0.3
    )


def test_a_label_that_the_train_part_lacks_is_said_and_calibrates_nothing(
    bursts: Catalog, backbone: str, tmp_path: Path
) -> None:
    split = BySeason(ratios=(2, 1)).apply(bursts)
    held = (pl.col("split") == "validation") & (pl.col("frame") == 1)
    odd = pl.when(held & (pl.col("labels").list.first() == "hare"))
    with_bear = odd.then(pl.concat_list("labels", pl.lit(["bear"]))).otherwise("labels").alias("labels")
    catalog = split.with_table(split.table.with_columns(with_bear))
    wanted = recipe(backbone, fit="train", event_statistics=("mean", "std"))
    with pytest.warns(TraplineWarning, match="No training media has the label bear"):
        model = ModelFile(train(wanted, catalog, tmp_path / "run", cache=tmp_path))
    plain = ModelFile(train(wanted, split, tmp_path / "plain", cache=tmp_path))
    assert model.card.labels[0] == "bear"
    assert model.card.calibration.temperature == pytest.approx(plain.card.calibration.temperature, rel=0.3)
    single = recipe(backbone, fit="train", task="single-label", learn_from="media")
    one = catalog.with_table(catalog.table.with_columns(pl.col("labels").list.tail(1)))
    with pytest.raises(DataError, match="No training media has the label bear"):
        train(single, one, tmp_path / "single", cache=tmp_path)


@pytest.mark.field
@pytest.mark.filterwarnings("ignore:No validation media")
def test_the_published_recipe_trains_on_bursts_of_a_season_with_labels_of_its_own(
    field: Path, backbone: str, tmp_path: Path
) -> None:
    pytest.importorskip("torch")
    catalog = read(field / "trailcam-bursts", part="train")
    some = catalog.filter(pl.col("event_id").str.extract(r"(\d+)$").cast(pl.Int64) % 4 == 0)
    settings = [f"backbone={backbone}", "weights=none", "head.pooling=avg"]
    settings += ["preprocessing.height=16", "preprocessing.width=16"]
    with pytest.warns(TraplineWarning, match="No training media has the label .*elk"):
        model = train(
            resolve_recipe("serengeti-benchmark", None, settings),
            BySeason().apply(some),
            tmp_path / "run",
            cache=tmp_path,
        )
    card = ModelFile(model).card
    assert "elk" in card.labels
    softmax = ("accuracy", "top_5_accuracy", "categorical_cross_entropy")
    assert set(softmax) <= set(card.metrics)
    history = pl.read_csv(tmp_path / "run" / "history.csv")
    assert {f"{part}_{name}" for part in ("train", "validation") for name in softmax} <= set(history.columns)
    assert history["steps"].to_list()[-1] == 100
    assert (tmp_path / "run" / "history.png").is_file()
    last = history.row(-1, named=True)
    said = Predictions.load(tmp_path / "run" / "validation.parquet")
    found = evaluate(label_events(catalog), said, unknown_labels="wrong", allow_unmatched=True, samples=20)
    for name in softmax:
        assert found.metrics[name].value == pytest.approx(last[f"validation_{name}"], abs=1e-4)
        assert found.metrics[name].low is not None
    assert "Categorical cross-entropy" in found.to_text()


def test_dropped_blanks_cost_log_loss_until_the_prior_is_put_back(
    bursts: Catalog, backbone: str, tmp_path: Path
) -> None:
    losses = {
        name: crossval(recipe(backbone, calibration="none", **changes), bursts, cache=tmp_path)
        .metrics["log_loss"]
        .value
        for name, changes in {
            "dropped": {"keep_blanks": 0.1, "correct_prior": False},
            "put back": {"keep_blanks": 0.1},
        }.items()
    }
    assert losses["put back"] < losses["dropped"]


def test_what_trains_is_the_first_frame_and_some_blank_events(bursts: Catalog, backbone: str) -> None:
    wanted = recipe(backbone, frames="first", keep_blanks=0.25)
    selected = select_media(bursts, wanted, needs_split=False)
    taught, kept = selected.taught(wanted, np.arange(len(bursts)))
    teaching = selected.catalog.table[taught.tolist()]
    assert set(teaching["frame"]) == {1}
    assert teaching.filter(pl.col("labels").list.contains("blank")).height == 3
    assert teaching.filter(~pl.col("labels").list.contains("blank")).height == 24
    assert kept == pytest.approx(3 / 12)


@pytest.mark.parametrize("learn_from", ["media", "event"])
@pytest.mark.parametrize("seed", range(4))
def test_the_share_of_blanks_put_back_is_the_share_that_trained(
    bursts: Catalog, backbone: str, learn_from: str, seed: int
) -> None:
    wanted = recipe(backbone, keep_blanks=0.1, learn_from=learn_from, seed=seed)
    selected = select_media(bursts, wanted, needs_split=False)
    blank = selected.targets[:, selected.labels.index("blank")] == 1
    for season in ("S1", "S2", "S3"):
        rows = np.flatnonzero((bursts.table["season"] != season).to_numpy())
        taught, _ = selected.taught(wanted, rows)
        trained, there = blank[taught].sum(), blank[rows].sum()
        assert abs(trained - 0.1 * there) <= 0.5
        assert (~blank[taught]).sum() == (~blank[rows]).sum()
        assert base_calibration(wanted, selected, rows).blank_kept == pytest.approx(trained / there)


def test_leaving_out_blanks_where_none_trains_is_refused(
    bursts: Catalog, backbone: str, tmp_path: Path
) -> None:
    late = bursts.filter((pl.col("season") == "S3") | ~pl.col("labels").list.contains("blank"))
    wanted = recipe(backbone, keep_blanks=0.1, learn_from="media")
    with pytest.raises(DataError, match=r"keep_blanks=0\.1 leaves out media labelled 'blank', and none of"):
        crossval(wanted, late, cache=tmp_path)


@pytest.mark.parametrize(
    "changes",
    [
        {"balance": "class-weights"},
        {"balance": "logit-adjustment"},
        {"balance": "logit-adjustment", "correct_prior": False},
        {"balance": "class-weights", "event_statistics": ("mean", "std")},
        {"keep_blanks": 0.5},
        {"keep_blanks": 0.5, "learn_from": "media"},
    ],
)
def test_the_labels_of_a_season_have_no_part_in_what_is_said_of_it(
    bursts: Catalog, backbone: str, tmp_path: Path, changes: dict[str, Any]
) -> None:
    crowd = pl.when(pl.col("season") == "S3").then(pl.lit(["lynx"])).otherwise("labels").alias("labels")
    crowded = bursts.with_table(bursts.table.with_columns(crowd))
    wanted = recipe(backbone, calibration="none", **changes)
    season = {"e24", "e30", "e35"}
    found = [crossval(wanted, catalog, cache=tmp_path).predictions for catalog in (bursts, crowded)]
    plain, changed = (
        said.probabilities()[[event in season for event in said.table["event_id"]]] for said in found
    )
    assert len(plain) >= len(season)
    np.testing.assert_allclose(changed, plain, atol=1e-6)
