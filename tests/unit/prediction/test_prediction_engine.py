"""The engine: a row for every input, in order, the same however the work was divided."""

import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import numpy as np
import polars as pl
import pytest
from PIL import Image

from trapline.catalog import Catalog
from trapline.errors import DataError, TraplineError, TraplineWarning, UsageError
from trapline.formats import read
from trapline.images import Box, CropPolicy, Limits, Preprocessing, decoders, prepare
from trapline.models import ModelFile
from trapline.prediction import (
    Predictions,
    Progress,
    as_catalog,
    decoding,
    estimate,
    pool_events,
    predict,
    read_list,
)
from trapline.prediction.inputs import Input
from trapline.prediction.journal import Journal, read_header

Zoo = tuple[Path, dict[str, str]]


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory, write_tiny_model: Callable[..., Path]) -> ModelFile:
    return ModelFile(write_tiny_model(tmp_path_factory.mktemp("model") / "tiny.onnx"), threads=1)


@pytest.fixture
def zoo(tmp_path: Path, write_zoo: Callable[[Path], dict[str, str]]) -> Zoo:
    return tmp_path / "zoo", write_zoo(tmp_path / "zoo")


def photos(folder: Path, count: int = 10) -> list[Path]:
    folder.mkdir(parents=True, exist_ok=True)
    paths = [folder / f"{number:03}.png" for number in range(count)]
    for number, path in enumerate(paths):
        pixels = np.random.default_rng(number).integers(0, 255, (20, 30, 3)).astype(np.uint8)
        Image.fromarray(pixels).save(path)
    return paths


def test_every_input_has_a_row_in_order(model: ModelFile, zoo: Zoo, tmp_path: Path) -> None:
    folder, expected = zoo
    names = sorted(expected, reverse=True)
    seen: list[Progress] = []
    result = predict(
        model, [folder / name for name in names], tmp_path / "p.csv", batch_size=4, progress=seen.append
    )
    assert result.table["file_path"].to_list() == names
    status = {
        name: "failed" if status == "failed" else ("odd" if reason else "ok")
        for name, status, reason in result.table.select("file_path", "status", "reason").rows()
    }
    assert status == expected
    assert np.allclose(result.ok.select(result.labels).to_numpy().sum(axis=1), 1, atol=1e-6)
    assert result.failed["reason"].null_count() == 0
    assert result.failed.select(result.labels).null_count().row(0) == (result.failed.height,) * 3
    assert [now.done for now in seen][-1] == len(names)
    assert seen[-1].seconds_left == 0
    assert Predictions.load(tmp_path / "p.csv").table.equals(result.table)


@pytest.mark.parametrize("level", ["media", "event"])
def test_a_table_may_be_a_folder_of_files_and_is_gone_on_with(
    level: str, model: ModelFile, tmp_path: Path
) -> None:
    paths = photos(tmp_path / "photos")
    names = [path.name for path in paths]
    rows = pl.DataFrame(
        {"media_id": names, "file_path": names, "event_id": [f"e{one // 3}" for one in range(10)]}
    )
    catalog = Catalog.from_rows(rows, tmp_path / "photos", "photos")
    whole = predict(model, catalog, tmp_path / "p.parquet", level=level, batch_size=4)
    assert estimate(model, catalog, tmp_path / "p", level=level, rows_per_file=3).earlier == 0
    for _ in range(2):  # the second time nothing is left to do, and the folder is replaced
        folder = predict(model, catalog, tmp_path / "p", level=level, batch_size=4, rows_per_file=3)
        assert folder.table.equals(whole.table)
    assert len(list((tmp_path / "p").glob("part-*.parquet"))) == -(-len(whole) // 3)
    (tmp_path / "other").mkdir()
    (tmp_path / "other" / "mine.txt").touch()
    with pytest.raises(UsageError, match="never overwritten"):
        predict(model, catalog, tmp_path / "other", rows_per_file=3)


def test_probabilities_are_those_of_the_one_path(model: ModelFile, tmp_path: Path) -> None:
    paths = photos(tmp_path / "a")
    result = predict(model, paths, tmp_path / "p.parquet", batch_size=3)
    pixels = np.stack([prepare(path, model.card.preprocessing).pixels for path in paths])
    assert np.allclose(result.probabilities(), model.run(pixels).probabilities, atol=1e-6)
    assert result.model == model.fingerprint


@pytest.mark.parametrize("suffix", [".csv", ".parquet"])
def test_an_interrupted_run_gives_the_same_bytes(
    model: ModelFile, zoo: Zoo, tmp_path: Path, suffix: str
) -> None:
    folder, expected = zoo
    paths = [folder / name for name in sorted(expected)]

    class Stop(Exception):
        pass

    def stop(now: Progress) -> None:
        raise Stop

    once, often = tmp_path / f"once{suffix}", tmp_path / f"often{suffix}"
    predict(model, paths, once, batch_size=4)
    for _ in range(3):
        with pytest.raises(Stop):
            predict(model, paths, often, batch_size=4, progress=stop)
    assert not often.exists()
    seen: list[Progress] = []
    predict(model, paths, often, progress=seen.append)
    assert seen[0].earlier >= 4
    assert often.read_bytes() == once.read_bytes()


def test_the_batch_of_a_small_run_does_not_bind_the_next(
    model: ModelFile, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    paths, output, asked = photos(tmp_path / "a", 20), tmp_path / "p.csv", []
    real = model.run

    def run(images: np.ndarray) -> object:
        asked.append(len(images))
        return real(images)

    monkeypatch.setattr(model, "run", run)
    assert predict(model, paths[:1], output).facts.batch_size == 16
    assert asked == [1]  # fifteen black frames would be work for nothing
    asked.clear()
    assert predict(model, paths, output).facts.batch_size == 16
    assert set(asked) == {16}
    for wish in (3, None):  # what was wished stays
        assert predict(model, paths, tmp_path / "q.csv", batch_size=wish).facts.batch_size == 3


def test_run_again_only_new_changed_and_failed_are_done(model: ModelFile, tmp_path: Path) -> None:
    paths, output = photos(tmp_path / "a"), tmp_path / "p.csv"
    missing = tmp_path / "a" / "late.png"
    first = predict(model, [*paths, missing], output)
    assert first.failed["file_path"].to_list() == ["late.png"]
    more = photos(tmp_path / "a", 12)[10:]
    for path in paths:  # written again by the line above, but with the old time they count as unchanged
        os.utime(path, ns=(1, 1))
    first = predict(model, [*paths, missing], output, fresh=True)
    Image.new("RGB", (20, 20), "white").save(paths[3])
    os.utime(paths[3], ns=(2, 2))
    Image.new("RGB", (20, 20), "red").save(missing)
    seen: list[Progress] = []
    again = predict(model, [*paths, missing, *more], output, progress=seen.append)
    assert seen[-1].earlier == 9
    assert again.failed.height == 0
    same = [name for name in range(10) if name != 3]
    assert again.table[same].equals(first.table[same])
    assert not again.table[3].equals(first.table[3])
    clean = predict(model, [*paths, missing, *more], tmp_path / "clean.csv", batch_size=11)
    assert clean.table.equals(again.table)


def test_a_catalog_is_followed_in_order_part_ids_and_boxes(
    tmp_path: Path, write_tiny_model: Callable[..., Path]
) -> None:
    policy = CropPolicy(context=1, min_side=0, square=False)
    card = {"preprocessing": Preprocessing(height=16, width=16, crop=policy)}
    model = ModelFile(write_tiny_model(tmp_path / "m.onnx", **card), threads=1)
    paths = photos(tmp_path / "a", 4)
    found = {"category": "animal", "conf": 0.9, "x": 0.1, "y": 0.2, "width": 0.5, "height": 0.6}
    rows = [
        {
            "media_id": f"id{number}",
            "file_path": path.name,
            "event_id": "e",
            "split": "test" if number else "train",
            "boxes": [found] if number == 2 else None,
        }
        for number, path in reversed(list(enumerate(paths)))
    ]
    catalog = Catalog.from_rows(rows, tmp_path / "a", "rows")
    result = predict(model, catalog, tmp_path / "p.csv", part="test")
    assert result.table["media_id"].to_list() == ["id3", "id2", "id1"]
    assert result.table["event_id"].to_list() == ["e"] * 3
    cut = prepare(paths[2], model.card.preprocessing, Box(0.1, 0.2, 0.5, 0.6)).pixels
    assert np.allclose(result.probabilities()[1], model.run(cut[None]).probabilities[0], atol=1e-6)
    assert result.facts.crops == "1 of 3 media were cut to a box, the others are full frames"
    moved = catalog.with_table(
        catalog.table.with_columns(boxes=pl.when(pl.col("media_id") == "id1").then(pl.lit([found])))
    )
    seen: list[Progress] = []
    again = predict(model, moved, tmp_path / "p.csv", part="test", progress=seen.append)
    assert seen[-1].earlier == 1  # the box of one is new, that of another gone
    assert not np.allclose(again.probabilities()[1], result.probabilities()[1])


def animal(x: float, conf: float = 0.9, category: str = "animal") -> dict[str, object]:
    return {"category": category, "conf": conf, "x": x, "y": 0.2, "width": 0.3, "height": 0.6}


@pytest.fixture
def boxed(tmp_path: Path, write_tiny_model: Callable[..., Path]) -> tuple[ModelFile, Catalog]:
    """A model of crops, and media with two animals, a person, nothing found, no detector, and no file."""
    policy = CropPolicy(context=1, min_side=0, square=False)
    card = {"preprocessing": Preprocessing(height=16, width=16, crop=policy)}
    model = ModelFile(write_tiny_model(tmp_path / "crops.onnx", **card), threads=1)
    photos(tmp_path / "boxed", 4)
    boxes = {
        "000": [animal(0.1), animal(0.5, category="person"), animal(0.6, 0.05), animal(0.3, 0.4)],
        "001": [animal(0.2, category="person")],
        "002": [],
        "003": None,
        "none": [animal(0.1), animal(0.3)],
    }
    rows = [
        {"media_id": name, "file_path": f"{name}.png", "event_id": f"e{place // 2}", "boxes": found}
        for place, (name, found) in enumerate(boxes.items())
    ]
    return model, Catalog.from_rows(rows, tmp_path / "boxed", "rows")


@pytest.mark.parametrize("suffix", [".csv", ".parquet"])
def test_every_box_has_a_row_and_a_photo_without_one_too(
    boxed: tuple[ModelFile, Catalog], tmp_path: Path, suffix: str
) -> None:
    model, catalog = boxed
    result = predict(model, catalog, tmp_path / f"p{suffix}", level="box", batch_size=2)
    table = result.table
    assert result.level == "box"
    assert table.select("media_id", "box", "status", "crop").rows() == [
        ("000", 0, "ok", "box"),
        ("000", 1, "skipped", None),
        ("000", 2, "skipped", None),
        ("000", 3, "ok", "box"),
        ("001", 0, "skipped", None),
        ("001", None, "ok", "full frame: no box is let through"),
        ("002", None, "ok", "full frame: nothing was detected"),
        ("003", None, "ok", "full frame: no detector was run"),
        ("none", 0, "failed", "box"),
        ("none", 1, "failed", "box"),
    ]
    assert table.select("category", "conf", "x", "width").row(1) == ("person", 0.9, 0.5, 0.3)
    assert table["reason"].to_list()[1:3] == [
        "category person: the model looks at animal",
        "confidence 0.05 is under the model's 0.2",
    ]
    preprocessing, photo = model.card.preprocessing, catalog.path("000.png")
    for row, box in ((0, Box(0.1, 0.2, 0.3, 0.6)), (3, Box(0.3, 0.2, 0.3, 0.6))):
        cut = prepare(photo, preprocessing, box).pixels
        assert np.allclose(result.probabilities()[row], model.run(cut[None]).probabilities[0], atol=1e-6)
    media = predict(model, catalog, tmp_path / f"media{suffix}")
    same = table.filter(pl.col("crop").str.starts_with("full frame"))
    assert same.select(model.card.labels).equals(media.table[1:4].select(model.card.labels))
    assert result.summary().skipped == 3


def test_boxes_go_on_where_they_stopped(boxed: tuple[ModelFile, Catalog], tmp_path: Path) -> None:
    model, catalog = boxed

    class Stop(Exception):
        pass

    def stop(now: Progress) -> None:
        raise Stop

    once = predict(model, catalog, tmp_path / "once.csv", level="box", batch_size=2)
    with pytest.raises(Stop):
        predict(model, catalog, tmp_path / "p.csv", level="box", batch_size=2, progress=stop)
    seen: list[Progress] = []
    predict(model, catalog, tmp_path / "p.csv", level="box", progress=seen.append)
    assert (seen[0].earlier, seen[-1].total) == (2, 7)
    assert (tmp_path / "p.csv").read_bytes() == (tmp_path / "once.csv").read_bytes()
    moved = catalog.table.with_columns(
        boxes=pl.when(pl.col("media_id") == "000").then(pl.lit([animal(0.1)])).otherwise("boxes")
    )
    again = predict(model, catalog.with_table(moved), tmp_path / "p.csv", level="box", progress=seen.append)
    assert seen[-1].earlier == 4  # the second box is gone, the failed ones are tried again
    assert again.table["box"].to_list() == [0, 0, None, None, None, 0, 1]
    assert again.table[0].equals(once.table[0])
    with pytest.raises(UsageError, match="rows was 'box', is 'media'"):
        predict(model, catalog, tmp_path / "p.csv")


def test_events_are_pooled_from_the_journal_of_their_media(
    boxed: tuple[ModelFile, Catalog], tmp_path: Path
) -> None:
    model, catalog = boxed
    seen: list[Progress] = []
    media = predict(model, catalog, tmp_path / "p.csv")
    events = predict(model, catalog, tmp_path / "p.csv", level="event", progress=seen.append)
    assert events.level == "event"
    assert seen[-1].earlier == 4  # all but the one that failed
    assert events.table.select("event_id", "status").rows() == [("e0", "ok"), ("e1", "ok"), ("e2", "failed")]
    assert events.table.equals(pool_events(media, catalog, rows="event").table)
    assert Predictions.load(tmp_path / "p.csv").table.equals(events.table)
    lone = [catalog.path("000.png")]
    with pytest.raises(DataError, match="No media has an event"):
        predict(model, lone, tmp_path / "lone.csv", level="event")


def test_a_model_of_whole_photos_is_not_asked_about_boxes(model: ModelFile, tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="made for whole photos"):
        predict(model, photos(tmp_path / "a", 1), tmp_path / "p.csv", level="box")
    with pytest.raises(UsageError, match="not of 'pixel'"):
        predict(model, photos(tmp_path / "a", 1), tmp_path / "p.csv", level="pixel")  # type: ignore[arg-type]


def test_another_model_does_not_go_on(
    model: ModelFile, tmp_path: Path, write_tiny_model: Callable[..., Path]
) -> None:
    paths, output = photos(tmp_path / "a", 3), tmp_path / "p.csv"
    predict(model, paths, output)
    other = ModelFile(write_tiny_model(tmp_path / "other.onnx", seed=1), threads=1)
    with pytest.raises(UsageError, match="another model or other options"):
        predict(other, paths, output)
    with pytest.raises(UsageError, match="batch_size was 16, is 2"):
        predict(model, paths, output, batch_size=2)
    with pytest.raises(UsageError, match="limits was"):
        predict(model, paths, output, limits=Limits(max_bytes=5))
    assert predict(other, paths, output, fresh=True).model == other.fingerprint


def test_wrong_use_is_refused(
    model: ModelFile, tmp_path: Path, write_tiny_model: Callable[..., Path]
) -> None:
    paths = photos(tmp_path / "a", 1)
    with pytest.raises(UsageError, match=r"\.csv or \.parquet"):
        predict(model, paths, tmp_path / "p.xlsx")
    with pytest.raises(DataError, match="empty"):
        predict(model, [], tmp_path / "p.csv")
    with pytest.raises(DataError, match="more than once"):
        predict(model, paths * 2, tmp_path / "p.csv")
    with pytest.raises(UsageError, match="at least 1"):
        predict(model, paths, tmp_path / "p.csv", batch_size=0)
    backbone = ModelFile(write_tiny_model(tmp_path / "b.onnx", (), task="features"), threads=1)
    with pytest.raises(UsageError, match="without labels"):
        predict(backbone, paths, tmp_path / "p.csv")


def test_strict_raises_after_the_table_is_written(model: ModelFile, tmp_path: Path) -> None:
    paths = [*photos(tmp_path / "a", 2), tmp_path / "a" / "none.jpg"]
    with pytest.raises(DataError, match=r"1 of 3 rows failed: none\.jpg: no such file"):
        predict(model, paths, tmp_path / "p.csv", strict=True)
    assert Predictions.load(tmp_path / "p.csv").table.height == 3


def test_limits_make_failed_rows(model: ModelFile, tmp_path: Path) -> None:
    result = predict(model, photos(tmp_path / "a", 2), tmp_path / "p.csv", limits=Limits(max_pixels=599))
    assert result.failed["reason"].to_list() == ["30 × 20 pixels are more than the limit of 599"] * 2


@pytest.mark.slow
def test_a_photo_that_crashes_or_hangs_the_decoder_costs_its_row(
    model: ModelFile, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    script = (
        f"import os, sys, time; sys.path[:] = {sys.path!r}\n"
        "from trapline.images import worker\n"
        "real = worker.prepare\n"
        "def prepare(path, *rest):\n"
        "    if path.name == '001.png': os.abort()\n"
        "    if path.name == '003.png': time.sleep(60)\n"
        "    return real(path, *rest)\n"
        "worker.prepare = prepare; worker.main()"
    )
    paths = photos(tmp_path / "a", 5)
    decoders.close_all()
    with monkeypatch.context() as patch:
        patch.setattr(decoders, "_command", lambda _: [sys.executable, "-c", script])
        result = predict(model, paths, tmp_path / "p.csv", workers=1, limits=Limits(max_seconds=1))
    decoders.close_all()
    assert result.table["status"].to_list() == ["ok", "failed", "ok", "failed", "ok"]
    assert result.failed["reason"].to_list() == ["the decoder crashed (signal 6)", "took more than 1 s"]
    clean = predict(model, paths, tmp_path / "clean.csv")
    assert clean.table[[0, 2, 4]].equals(result.table[[0, 2, 4]])


def test_an_answer_that_is_no_number_is_a_failure(
    model: ModelFile, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from trapline.models import Outputs

    def run(images: np.ndarray) -> Outputs:
        numbers = np.full((len(images), 3), 1 / 3, np.float32)
        numbers[1, 2] = np.nan
        return Outputs(numbers, numbers, numbers)

    monkeypatch.setattr(model, "run", run)
    result = predict(model, photos(tmp_path / "a", 3), tmp_path / "p.csv")
    assert result.table["status"].to_list() == ["ok", "failed", "ok"]
    assert "no number" in result.failed["reason"][0]
    assert result.failed.select(result.labels).row(0) == (None, None, None)


SHORT = """
import resource, sys, warnings
import numpy as np
from trapline.models import ModelFile
from trapline.prediction.engine import BatchRunner
model = ModelFile(sys.argv[1], threads=1)
pixels = np.random.default_rng(0).integers(0, 256, (256, 224, 224, 3)).astype(np.uint8)
expected = np.concatenate([model.run(pixels[place : place + 4]).probabilities for place in range(0, 256, 4)])
size = int(next(line for line in open("/proc/self/status") if line.startswith("VmSize")).split()[1]) * 1024
resource.setrlimit(resource.RLIMIT_AS, (size + 60 * 2**20,) * 2)
with warnings.catch_warnings(record=True) as told:
    warnings.simplefilter("always")
    probabilities = BatchRunner(model).run(pixels)
assert np.array_equal(probabilities, expected)
print(*(one.message for one in told), sep="\\n")
"""


@pytest.mark.skipif(sys.platform != "linux", reason="limits a process's memory as only Linux can")
def test_a_batch_that_does_not_fit_in_memory_is_halved(
    tmp_path: Path, write_tiny_model: Callable[..., Path]
) -> None:
    """A real failed allocation, by the limit on a process's memory."""
    path = write_tiny_model(tmp_path / "m.onnx", size=224)
    done = subprocess.run(
        [sys.executable, "-c", SHORT, str(path)], capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    assert done.stdout.startswith("256 photos at once did not fit in memory; going on with 128.")


def test_no_memory_even_for_one_photo_ends_the_run(
    model: ModelFile, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def run(images: np.ndarray) -> object:
        raise RuntimeError("Failed to allocate memory for requested buffer of size 1")

    monkeypatch.setattr(model, "run", run)
    with (
        pytest.warns(TraplineWarning, match="going on with"),
        pytest.raises(TraplineError, match=r"not enough memory to run .* on a single photo"),
    ):
        predict(model, photos(tmp_path / "a", 3), tmp_path / "p.csv")


def test_decoding_never_runs_far_ahead(
    model: ModelFile, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    started: list[str] = []

    def count(self: object, pixels: np.ndarray, rows: list[tuple[int, Input]], photo: object) -> object:
        started.extend(row.file_path for _, row in rows)
        return [decoding.DecodedFile(None, None, False, "counted") for _ in rows]

    monkeypatch.setattr(decoding.Decoding, "_read", count)
    far: list[int] = []
    paths = [tmp_path / f"{number}.jpg" for number in range(100)]
    paths[0].touch()  # photos of which none is there are not begun with
    predict(
        model,
        paths,
        tmp_path / "p.csv",
        batch_size=2,
        progress=lambda now: far.append(len(started) - now.done),
    )
    assert max(far) <= 2 * (decoding._AHEAD + 1)


def test_an_estimate_times_a_sample_and_writes_nothing(model: ModelFile, tmp_path: Path) -> None:
    paths = [*photos(tmp_path / "a", 9), tmp_path / "a" / "none.jpg"]
    guess = estimate(model, paths, tmp_path / "p.csv", sample=5)
    assert (guess.media, guess.earlier, guess.sampled) == (10, 0, 5)
    assert guess.seconds > 0
    assert sorted(path.name for path in tmp_path.iterdir()) == ["a"]
    predict(model, paths, tmp_path / "p.csv")
    after = estimate(model, paths, tmp_path / "p.csv")
    assert (after.earlier, after.sampled, after.failed) == (9, 1, 1)


@pytest.mark.slow
def test_an_estimate_counts_the_start_of_the_decoding_processes_once(
    model: ModelFile, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    script = (
        f"import sys, time; sys.path[:] = {sys.path!r}\n"
        "from trapline.images import worker\n"
        "time.sleep(2); worker.main()"
    )
    paths = photos(tmp_path / "a", 60)
    decoders.close_all()
    with monkeypatch.context() as patch:
        patch.setattr(decoders, "_command", lambda _: [sys.executable, "-c", script])
        guess = estimate(model, paths, tmp_path / "p.csv", workers=2, sample=6)
    decoders.close_all()
    assert 2 < guess.seconds < 12  # ten times the start would be twenty


def test_an_estimate_leaves_a_journal_alone_that_is_torn_or_being_written(
    model: ModelFile, tmp_path: Path
) -> None:
    paths, output = photos(tmp_path / "a", 10), tmp_path / "p.csv"
    predict(model, paths, output, batch_size=2)
    path = tmp_path / "p.csv.journal"
    torn = path.read_bytes()[:-20]
    path.write_bytes(torn)
    guess = estimate(model, paths, output)
    assert (guess.media, guess.earlier) == (10, 8)
    assert path.read_bytes() == torn
    header = read_header(path)
    assert header is not None
    with Journal(path, header):  # as a run holds it
        assert estimate(model, paths, output).earlier == 8
    with pytest.raises(UsageError, match="another model or other options"):
        estimate(model, paths, output, batch_size=3)
    path.write_bytes(torn[:30])  # killed while the header was being written
    assert estimate(model, paths, output, batch_size=2).earlier == 0
    assert path.read_bytes() == torn[:30]
    path.write_bytes(b"my diary")
    with pytest.raises(DataError, match="no journal of Trapline"):
        estimate(model, paths, output)


def test_the_summary_counts_everything(model: ModelFile, tmp_path: Path) -> None:
    paths = [*photos(tmp_path / "a", 5), tmp_path / "a" / "x.jpg", tmp_path / "a" / "y.jpg"]
    result = predict(model, paths, tmp_path / "p.csv")
    summary = result.summary()
    assert (summary.rows, summary.ok, summary.failed) == (7, 5, 2)
    assert summary.failures == {"no such file or directory": 2}
    assert sum(summary.top_labels.values()) == 5
    assert list(summary.top_labels.values()) == sorted(summary.top_labels.values(), reverse=True)


def test_nothing_readable_at_all_is_still_a_table(model: ModelFile, tmp_path: Path) -> None:
    (tmp_path / "x.jpg").write_text("no picture")
    result = predict(model, [tmp_path / "x.jpg"], tmp_path / "p.parquet")
    assert result.table["status"].to_list() == ["failed"]
    assert result.summary().top_labels == {}


@pytest.mark.skipif(os.sep != "/", reason="names are UTF-16 there")
def test_a_name_that_is_not_utf8_is_predicted_and_has_a_row(model: ModelFile, tmp_path: Path) -> None:
    names = [os.fsdecode(name) for name in (b"\xe9t\xe9.jpg", b"a\xff.jpg", "été 猫.jpg".encode())]
    (tmp_path / "a").mkdir()
    for number, name in enumerate(names):
        Image.new("RGB", (20, 20), (80 * number, 0, 0)).save(tmp_path / "a" / name)
    listed = predict(model, [tmp_path / "a" / name for name in names], tmp_path / "p.csv")
    assert listed.table["status"].to_list() == ["ok"] * 3
    assert listed.table["file_path"].to_list() == ["\uefe9t\uefe9.jpg", "a\uefff.jpg", "été 猫.jpg"]
    (tmp_path / "list.txt").write_bytes(b"\n".join(b"a/" + os.fsencode(name) for name in names))
    again = predict(model, as_catalog(read_list(tmp_path / "list.txt")), tmp_path / "q.csv")
    assert again.table.equals(listed.table)
    found = predict(model, read(tmp_path / "a"), tmp_path / "r.csv")
    assert found.table.sort("media_id").equals(listed.table.sort("media_id"))


def test_a_list_of_paths_is_relative_to_its_file(tmp_path: Path) -> None:
    (tmp_path / "list.txt").write_text("a/1.jpg\r\n\n# 2.jpg\n 3.jpg\n", encoding="utf-8-sig")
    assert list(read_list(tmp_path / "list.txt")) == [
        str(tmp_path / name) for name in ("a/1.jpg", "# 2.jpg", " 3.jpg")
    ]
    (tmp_path / "empty.txt").write_text("\n\n")
    (tmp_path / "powershell.txt").write_text("a/1.jpg", encoding="utf-16")
    with pytest.raises(DataError, match="save it as UTF-8"):
        read_list(tmp_path / "powershell.txt")
    with pytest.raises(DataError, match="names no files"):
        read_list(tmp_path / "empty.txt")
    with pytest.raises(DataError, match="cannot be read"):
        read_list(tmp_path / "none.txt")


@pytest.mark.field
def test_the_shipped_backbone_answers_the_same_in_any_batch(field: Path) -> None:
    """The same table after interruptions, or short of memory, rests on this of ONNX Runtime's kernels."""
    from trapline.models import backbones

    model = ModelFile(backbones.path("lite0"), threads=1)
    pictures = sorted((field / "caltech-night" / "test_features").glob("*.jpg"))[:6]
    pixels = np.stack([prepare(picture, model.card.preprocessing).pixels for picture in pictures])
    together = np.concatenate([pixels, pixels[:2]])
    expected = model.run(together).embedding
    alone = np.zeros_like(together)
    alone[2] = pixels[2]
    assert np.array_equal(model.run(alone).embedding[2], expected[2])
    for size in (1, 2, 3, 5):
        assert np.array_equal(model.run(together[:size]).embedding, expected[:size])
