"""Detecting: the layout, the geometry, what is kept of a killed run, and who is told of what failed."""

import json
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st
from onnx import TensorProto, helper, numpy_helper
from PIL import Image

from trapline import api
from trapline.catalog import Catalog, as_text
from trapline.errors import DataError, UsageError
from trapline.formats import join_boxes, write_boxes
from trapline.images import CropPolicy, Preprocessing, decoders
from trapline.models import Detector, ModelFile
from trapline.models.detector import Found
from trapline.models.detector_layouts import decode_yolox, grid_of
from trapline.prediction import Level, Progress, detect, look_once, predict_to_file
from trapline.prediction.detection import _fractions

SIDE = 64
PLACES = 8 * 8 + 4 * 4 + 2 * 2


class KilledError(Exception):
    """Ends a run."""


def write_detector(
    path: Path, *, decoded: bool = False, categories: int = 1, batch: int | str = "batch"
) -> Path:
    """In YOLOX's layout: at the places of stride 8 it finds bright red, in boxes of 8 × 8 pixels.

    The mean of each 8 × 8 cell's third plane (red, if pictures come as BGR) decides; category 0 always.
    """
    rows, columns = np.mgrid[:8, :8]
    corners = np.zeros((1, PLACES, 4), np.float32)
    if decoded:
        corners[0, :64] = np.stack([columns.ravel() * 8 + 4, rows.ravel() * 8 + 4, *[np.full(64, 8)] * 2], 1)
    else:
        corners[0, :64, :2] = 0.5
    kinds = np.zeros((1, PLACES, categories), np.float32)
    kinds[..., 0] = 1
    constants = {
        "corners": corners,
        "kinds": kinds,
        "red": np.array([2], np.int64),
        "full": np.array(255, np.float32),
        "flat": np.array([-1, 64, 1], np.int64),
        "others": np.zeros((1, PLACES - 64, 1), np.float32),
        "one": np.array([1], np.int64),
        "shape": np.array([PLACES], np.int64),
        "last": np.array([4], np.int64),
        "names": np.array([categories], np.int64),
        "rest": np.array([PLACES - 64, 1], np.int64),
    }
    expanded = {"corners": ["shape", "last"], "kinds": ["shape", "names"], "others": ["rest"]}
    nodes = [
        helper.make_node("Gather", ["images", "red"], ["plane"], axis=1),
        helper.make_node("AveragePool", ["plane"], ["cells"], kernel_shape=[8, 8], strides=[8, 8]),
        helper.make_node("Div", ["cells", "full"], ["there"]),
        helper.make_node("Reshape", ["there", "flat"], ["fine"]),
        helper.make_node("Shape", ["images"], ["size"], end=1),
        *(
            node
            for name, shape in expanded.items()
            for node in (
                helper.make_node("Concat", ["size", *shape], [f"{name}_shape"], axis=0),
                helper.make_node("Expand", [name, f"{name}_shape"], [f"{name}_all"]),
            )
        ),
        helper.make_node("Concat", ["fine", "others_all"], ["objects"], axis=1),
        helper.make_node("Concat", ["corners_all", "objects", "kinds_all"], ["output"], axis=2),
    ]  # fmt: skip
    graph = helper.make_graph(
        nodes,
        "red",
        [helper.make_tensor_value_info("images", TensorProto.FLOAT, [batch, 3, SIDE, SIDE])],
        [helper.make_tensor_value_info("output", TensorProto.FLOAT, [batch, PLACES, 5 + categories])],
        [numpy_helper.from_array(value, name) for name, value in constants.items()],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 18)], ir_version=10)
    onnx.save(model, path)
    return path


def write_photos(folder: Path, *spots: tuple[int, int]) -> Catalog:
    """Photos of 256 × 128 pixels, grey; in each a red square of 32 × 32, its corner at (column, row)."""
    folder.mkdir()
    for number, (column, row) in enumerate(spots):
        picture = Image.new("RGB", (256, 128), (40, 40, 40))
        picture.paste((255, 0, 0), (column, row, column + 32, row + 32))
        picture.save(folder / f"{number}.png")
    names = [f"{number}.png" for number in range(len(spots))]
    return Catalog.from_rows([{"media_id": name, "file_path": name} for name in names], folder, "spots")


@pytest.mark.parametrize("decoded", [False, True])
@pytest.mark.parametrize("batch", ["batch", 1])
def test_a_red_square_is_found_where_it_is(tmp_path: Path, decoded: bool, batch: int | str) -> None:
    catalog = write_photos(tmp_path / "photos", (0, 0), (96, 64), (224, 96), (160, 32), (32, 32))
    path = write_detector(tmp_path / "red.onnx", decoded=decoded, batch=batch)
    found = detect(Detector(path, min_conf=0.6), catalog, tmp_path / "journal")
    for (column, row), boxes in zip(
        ((0, 0), (96, 64), (224, 96), (160, 32), (32, 32)), found.table["boxes"], strict=True
    ):
        (box,) = boxes
        assert box["category"] == "animal"
        assert box["conf"] == pytest.approx(1, abs=0.1)
        place = [box[name] for name in ("x", "y", "width", "height")]
        assert place == pytest.approx([column / 256, row / 128, 32 / 256, 32 / 128], abs=1e-4)
    assert found.facts.boxes.with_boxes == 5


def test_nothing_found_and_not_looked_at_differ(tmp_path: Path) -> None:
    catalog = write_photos(tmp_path / "photos", (0, 0), (400, 400), (96, 64))
    catalog = catalog.with_table(catalog.table.with_columns(split=pl.Series(["train", "train", "test"])))
    (tmp_path / "photos" / "0.png").write_bytes(b"no picture")
    detector = Detector(write_detector(tmp_path / "red.onnx"), min_conf=0.6)
    found = detect(detector, catalog, tmp_path / "journal", part="train")
    assert found.table["boxes"].to_list() == [None, [], None]
    assert found.facts.boxes.failures == {"0.png": "not a picture of a known format"}
    path = write_boxes(found, tmp_path / "boxes.json")
    images = json.loads(path.read_text())["images"]
    assert [image["file"] for image in images] == ["0.png", "1.png"]
    assert images[0]["failure"] == "not a picture of a known format"
    joined = join_boxes(catalog, path)
    assert joined.table["boxes"].to_list() == found.table["boxes"].to_list()


def test_a_second_detector_looks_only_where_the_first_found_nothing(tmp_path: Path) -> None:
    catalog = write_photos(tmp_path / "photos", (0, 0), (96, 64), (32, 32))
    first = {"category": "animal", "conf": 0.9, "x": 0.5, "y": 0.5, "width": 0.1, "height": 0.1}
    boxes = pl.Series([[first], [], None], dtype=catalog.table.schema["boxes"])
    catalog = catalog.with_table(catalog.table.with_columns(boxes=boxes))
    detector = Detector(write_detector(tmp_path / "red.onnx"), min_conf=0.6)
    found = detect(detector, catalog, tmp_path / "journal", where_none=True)
    assert found.table["boxes"][0].to_list() == [first]
    assert [len(found.table["boxes"][row]) for row in (1, 2)] == [1, 1]
    assert found.facts.boxes.media == 2


def test_an_interrupted_run_goes_on_and_ends_the_same(tmp_path: Path) -> None:
    catalog = write_photos(tmp_path / "photos", *((32 * place, 32) for place in range(8)), (0, 96))
    detector = Detector(write_detector(tmp_path / "red.onnx"), min_conf=0.3)
    whole = detect(detector, catalog, tmp_path / "whole")

    def die(progress: object) -> None:
        raise KilledError

    with pytest.raises(KilledError):
        detect(detector, catalog, tmp_path / "journal", progress=die)
    steps: list[int] = []
    found = detect(
        detector, catalog, tmp_path / "journal", progress=lambda now: steps.append(now.done - now.earlier)
    )
    assert steps[-1] == 9 - 4
    assert found.table.equals(whole.table)
    assert found.facts == whole.facts
    Image.new("RGB", (256, 128), (40, 40, 40)).save(tmp_path / "photos" / "3.png")
    again = detect(detector, catalog, tmp_path / "journal")
    assert again.table["boxes"][3].to_list() == []
    other = Detector(tmp_path / "red.onnx", min_conf=0.5)
    with pytest.raises(UsageError, match=r"min_conf was 0.3, is 0.5"):
        detect(other, catalog, tmp_path / "journal")


def test_of_overlapping_boxes_the_most_confident_stays(tmp_path: Path) -> None:
    path = write_detector(tmp_path / "red.onnx")
    model = onnx.load(path)
    for tensor in model.graph.initializer:
        if (
            tensor.name == "corners"
        ):  # boxes of 16 × 16 pixels, one a cell of 8: neighbours overlap by a third
            values = numpy_helper.to_array(tensor).copy()
            values[0, :64, 2:] = np.log(2)
            tensor.CopyFrom(numpy_helper.from_array(values, "corners"))
    onnx.save(model, path)
    picture = np.zeros((1, SIDE, SIDE, 3), np.uint8)
    picture[0, 16:24, 16:32, 0] = 255
    picture[0, 16:24, 16:24, 0] = 250
    (loose,) = Detector(path, min_conf=0.5, overlap=0.5).detect(picture)
    (tight,) = Detector(path, min_conf=0.5, overlap=0.2).detect(picture)
    assert loose.conf == pytest.approx([1, 250 / 255])
    assert tight.conf == pytest.approx([1])
    np.testing.assert_allclose(tight.boxes, [[20, 12, 16, 16]], atol=1e-4)


@given(
    st.lists(st.tuples(*[st.floats(-50, 700, width=32)] * 2, *[st.floats(0, 900, width=32)] * 2), max_size=5),
    st.tuples(st.integers(1, 640), st.integers(1, 640)),
)
def test_boxes_are_clipped_to_the_picture(boxes: list[tuple[float, ...]], inner: tuple[int, int]) -> None:
    count = len(boxes)
    shaped = np.array(boxes, np.float32).reshape(count, 4)
    numbers = _fractions(Found(np.zeros(count, np.int64), np.ones(count, np.float32), shaped), inner)
    near, size = numbers[:, 2:4], numbers[:, 4:]
    assert (near >= 0).all()
    assert (size >= 0).all()
    assert (near + size <= 1 + 1e-6).all()


def test_decoding_follows_the_paper() -> None:
    grid = grid_of((SIDE, SIDE), (8, 16, 32))
    raw = np.random.default_rng(0).normal(size=(1, PLACES, 4)).astype(np.float32)
    place, stride, column, row = 64 + 4 * 2 + 3, 16, 3, 2
    found = decode_yolox(raw, grid)[0, place]
    x, y, w, h = raw[0, place]
    expected = [(x + column) * stride, (y + row) * stride, np.exp(w) * stride, np.exp(h) * stride]
    np.testing.assert_allclose(found, expected, rtol=1e-5)


def test_categories_are_named_or_asked_for(tmp_path: Path) -> None:
    three = write_detector(tmp_path / "three.onnx", categories=3)
    assert Detector(three).categories == ("animal", "person", "vehicle")
    two = write_detector(tmp_path / "two.onnx", categories=2)
    with pytest.raises(UsageError, match="finds 2 categories; name them in its order with categories"):
        Detector(two)
    assert Detector(two, categories=["cat", " dog"]).categories == ("cat", "dog")
    for wrong in (["cat", ""], ["cat", "cat "]):
        with pytest.raises(UsageError, match="Categories have names, each another one"):
            Detector(two, categories=wrong)


def test_a_ready_detector_is_named_by_its_id(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TRAPLINE_CACHE", str(tmp_path / "cache"))
    kept = api.get_model("mdv6-mit-yolov9-c", file=write_detector(tmp_path / "mine.onnx", categories=3))
    assert not kept.trouble
    assert Detector("MDV6-mit-yolov9-c").name == "mdv6-mit-yolov9-c"
    assert Detector(kept.path).name == kept.path.name
    assert Detector("auto").name == Detector("megadetector-lite").name == "megadetector-lite.onnx"


def test_what_is_no_detector_is_refused(tmp_path: Path, write_tiny_model: Callable[..., Path]) -> None:
    with pytest.raises(DataError, match="There is no detector at"):
        Detector(tmp_path / "absent.onnx")
    with pytest.raises(DataError, match="no detector in a layout that is known: its input should be float32"):
        Detector(write_tiny_model(tmp_path / "tiny.onnx"))
    model = onnx.load(write_detector(tmp_path / "red.onnx"))
    model.graph.input[0].type.tensor_type.shape.dim[2].dim_value = 72
    onnx.save(model, tmp_path / "odd.onnx")
    with pytest.raises(DataError, match="multiples of 32"):
        Detector(tmp_path / "odd.onnx")
    with pytest.raises(UsageError, match="between 0 and 1"):
        Detector(tmp_path / "red.onnx", min_conf=1.5)


def test_every_photo_has_an_answer_however_broken(
    tmp_path: Path, write_zoo: Callable[[Path], dict[str, str]]
) -> None:
    expected = write_zoo(tmp_path / "zoo") | {"vanished.jpg": "failed"}
    paths = [tmp_path / "zoo" / name for name in expected]
    detector = Detector(write_detector(tmp_path / "red.onnx"))
    found = detect(detector, paths, tmp_path / "journal")
    failed = found.table.filter(pl.col("boxes").is_null())["media_id"].to_list()
    assert sorted(failed) == sorted(as_text(name) for name in expected if expected[name] == "failed")
    reasons = found.facts.boxes.failures
    assert sorted(reasons) == sorted(failed)
    assert all(reasons.values())


def test_a_photo_that_kills_its_decoder_costs_its_row_alone(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    catalog = write_photos(tmp_path / "photos", (0, 0), (96, 64), (224, 96))
    deadly = (
        f"import os, sys; sys.path[:] = {sys.path!r}; from trapline.images import worker\n"
        "real = worker.prepare\n"
        "worker.prepare = lambda path, *rest: os.abort() if path.name == '1.png' else real(path, *rest)\n"
        "worker.main()"
    )
    monkeypatch.setattr(decoders, "_command", lambda _: [sys.executable, "-c", deadly])
    decoders.close_all()
    found = detect(
        Detector(write_detector(tmp_path / "red.onnx"), min_conf=0.6), catalog, tmp_path / "journal"
    )
    decoders.close_all()
    assert [boxes is None for boxes in found.table["boxes"]] == [False, True, False]
    assert found.facts.boxes.failures == {"1.png": "the decoder crashed (signal 6)"}


def write_card(folder: Path) -> Catalog:
    """Photos of 256 × 128 pixels with none, one or two red squares; one is broken, one has boxes."""
    folder.mkdir()
    random = np.random.default_rng(7)
    rows = []
    for number in range(23):
        picture = Image.fromarray(random.integers(0, 90, (128, 256, 3), dtype=np.uint8))
        for square in range(number % 3):
            column, row = random.integers(0, 7) * 32, 64 * square + random.integers(0, 2) * 32
            picture.paste((255, 0, 0), (column, row, column + 32, row + 32))
        name = f"{number:02}.{'png' if number % 5 == 4 else 'jpg'}"
        picture.save(folder / name, quality=95)
        rows.append({"media_id": name, "file_path": name, "event_id": f"e{number // 3}", "boxes": None})
    (folder / "03.jpg").write_bytes(b"no picture")
    box = {"category": "animal", "conf": 0.9, "x": 0.5, "y": 0.25, "width": 0.25, "height": 0.5}
    rows[10]["boxes"] = [box, box | {"x": 0.1}]
    return Catalog.from_rows(rows, folder, "a card")


@pytest.mark.parametrize("level", ["media", "box", "event"])
def test_in_one_pass_boxes_and_answers_are_those_of_two_wherever_it_was_killed(
    tmp_path: Path, write_tiny_model: Callable[..., Path], level: Level
) -> None:
    size = Preprocessing(height=16, width=16, mask_top=0.1, crop=CropPolicy(), decoding="quick")
    model = ModelFile(write_tiny_model(tmp_path / "crop.onnx", preprocessing=size), threads=1)
    detector = Detector(write_detector(tmp_path / "red.onnx"), min_conf=0.6)
    catalog = write_card(tmp_path / "photos")

    left: list[int] = []

    def tell(now: Progress) -> None:
        left.append(now.done - now.earlier)

    def table(name: str) -> tuple[Catalog, bytes]:
        left.clear()
        found = detect(detector, catalog, tmp_path / f"{name}.boxes", where_none=True, progress=tell)
        output = tmp_path / f"{name}.csv"
        predict_to_file(model, found, output, level=level, batch_size=4, progress=tell)
        return found, (tmp_path / f"{name}.csv").read_bytes()

    def one_pass(name: str, **options: Any) -> None:
        boxes, output = tmp_path / f"{name}.boxes", tmp_path / f"{name}.csv"
        assert look_once(detector, model, catalog, boxes, output, level=level, batch_size=4, **options)

    two, expected = table("two")
    assert set(two.table["boxes"].list.len()) == {0, 1, 2, None}
    one_pass("once")
    once, answers = table("once")
    assert once.table.equals(two.table)
    assert answers == expected
    assert left == [1, 1]  # the broken one is tried again, as ever

    for last in (1, 3):
        steps: list[Progress] = []

        def die(now: Progress, steps: list[Progress] = steps, last: int = last) -> None:
            steps.append(now)
            if len(steps) == last:
                raise KilledError

        with pytest.raises(KilledError):
            one_pass(f"killed{last}", progress=die)
        one_pass(f"killed{last}", progress=steps.append)
        again = steps[-1].done - steps[-1].earlier
        assert (
            again <= 23 - steps[last - 1].done + 2
        )  # the broken one, and one whose boxes are in two batches
        assert steps[-1].done == steps[-1].total == 23
        assert table(f"killed{last}")[1] == expected


def test_where_what_is_found_decides_the_batches_nothing_is_done_in_one_pass(
    tmp_path: Path, write_tiny_model: Callable[..., Path]
) -> None:
    size = Preprocessing(height=16, width=16, crop=CropPolicy())
    model = ModelFile(write_tiny_model(tmp_path / "crop.onnx", preprocessing=size), threads=1)
    detector = Detector(write_detector(tmp_path / "red.onnx"))
    catalog = write_photos(tmp_path / "photos", (0, 0), (96, 64))
    journal, output = tmp_path / "boxes.journal", tmp_path / "table.csv"
    assert not look_once(detector, model, catalog, journal, output, level="box")
    assert not journal.exists()
    assert look_once(detector, model, catalog, journal, output)
    boxes = detect(detector, catalog, journal, where_none=True)
    assert (boxes.table["boxes"].list.len() > 0).all()
    steps: list[Progress] = []
    assert look_once(detector, model, boxes, journal, output, progress=steps.append)  # nothing is left
    assert not steps
    assert detect(detector, boxes, journal, where_none=True).table.equals(boxes.table)
