"""Ready models: what the catalogue says, how a file comes and is checked, and its id in a path's stead."""

import hashlib
import http.server
import json
import shutil
import threading
import zipfile
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from onnx import TensorProto, helper, numpy_helper

import trapline
from trapline import api
from trapline.cli import main
from trapline.errors import DataError, TraplineError, UsageError
from trapline.models import (
    LAYOUTS,
    Detector,
    ModelFile,
    backbones,
    detectors,
    find_detector,
    find_model,
    kept_model,
    kinds,
    named_model,
    ready_models,
    ready_path,
)
from trapline.models.detector_layouts import DETECTOR_LAYOUTS
from trapline.models.ready import READ_AS_IT_IS, ReadyModel
from trapline.models.ready_use import describe_ready

MODELS = ready_models()
ZIP = "camera_trap__detector__MDV6-apa-rtdetr-c.zip"


@pytest.fixture(autouse=True)
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("TRAPLINE_CACHE", str(tmp_path / "cache"))
    monkeypatch.delenv("TRAPLINE_MODELS_FROM", raising=False)
    monkeypatch.chdir(tmp_path)
    return tmp_path / "cache"


def run(*arguments: str) -> int:
    with pytest.raises(SystemExit) as end:
        main(["models", *arguments])
    return int(end.value.code or 0)


def archive(path: Path, files: dict[str, bytes]) -> str:
    """A zip of these files; its SHA-256."""
    path.parent.mkdir(exist_ok=True)
    with zipfile.ZipFile(path, "w") as packed:
        for name, content in files.items():
            packed.writestr(name, content)
    return hashlib.sha256(path.read_bytes()).hexdigest()


def top_k_detector() -> bytes:
    """In RT-DETR's layout: of whatever picture of 64 × 64 one box, of the second category."""
    rows = np.array([[[0.375, 0.5, 0.5, 0.75, 0.9, 1], [0, 0, 0, 0, 0, 0]]], np.float32)
    nodes = [
        helper.make_node("ReduceMean", ["x"], ["mean"], axes=[0, 1, 2, 3], keepdims=0),
        helper.make_node("Mul", ["mean", "zero"], ["nothing"]),
        helper.make_node("Add", ["rows", "nothing"], ["y"]),
    ]
    values = [numpy_helper.from_array(rows, "rows"), numpy_helper.from_array(np.float32(0), "zero")]
    return as_onnx(nodes, [1, 3, 64, 64], [1, 2, 6], values)


def as_onnx(nodes: list[Any], shown: list[Any], answers: list[Any], values: list[Any]) -> bytes:
    inputs = [helper.make_tensor_value_info("x", TensorProto.FLOAT, shown)]
    outputs = [helper.make_tensor_value_info("y", TensorProto.FLOAT, answers)]
    graph = helper.make_graph(nodes, "g", inputs, outputs, values)
    made = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)
    return bytes(made.SerializeToString())


DETECTOR_MANIFEST = """
[model]
id = "MDV6-apa-rtdetr-c"
file = "model.onnx"

[preprocessing]
method = "resize"
input_size = [64, 64]
layout = "nchw"
normalization = "unit"

[postprocessing]
method = "rtdetr_topk"

[labels]
file = "labels.txt"
format = "one_per_line"
"""


@pytest.fixture
def mirror(tmp_path: Path) -> tuple[Path, str]:
    """A folder with SPARROW's archive of a detector; and its SHA-256."""
    files = {
        "MDV6-apa-rtdetr-c/manifest.toml": DETECTOR_MANIFEST.encode(),
        "MDV6-apa-rtdetr-c/model.onnx": top_k_detector(),
        "MDV6-apa-rtdetr-c/model_fp16.onnx": b"another precision",
        "MDV6-apa-rtdetr-c/labels.txt": b"animal\nperson\nvehicle\n",
    }
    return tmp_path / "mirror", archive(tmp_path / "mirror" / ZIP, files)


@pytest.fixture
def server(mirror: tuple[Path, str]) -> Iterator[str]:
    class Quiet(http.server.SimpleHTTPRequestHandler):
        def log_message(self, *arguments: object) -> None:
            pass

    handler = partial(Quiet, directory=str(mirror[0]))
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler) as running:
        threading.Thread(target=running.serve_forever, args=(0.01,), daemon=True).start()
        yield f"http://127.0.0.1:{running.server_port}/"
        running.shutdown()


def test_no_two_models_share_a_name_and_each_says_how_it_comes() -> None:
    names = [name.casefold() for model in MODELS for name in (model.id, *model.aliases)]
    assert len(names) == len(set(names)) > 50
    for name in names:
        model = named_model(name)
        find = find_detector if model.task == "detector" else find_model
        if model.shipped:
            assert find(name).is_file()
            continue
        with pytest.raises(DataError, match=f"trapline models get {model.id}"):
            find(name)


@pytest.mark.parametrize("model", MODELS, ids=lambda model: model.id)
def test_an_entry_states_what_it_must_and_claims_nothing(model: ReadyModel) -> None:
    assert model.shipped == (model.run == "here"), "nothing that does not come with Trapline was ever run"
    assert model.layout in LAYOUTS
    if model.task == "detector":
        assert (model.layout in DETECTOR_LAYOUTS) == (model.layout in READ_AS_IT_IS)
        assert model.layout in {*DETECTOR_LAYOUTS, "not-stated"}
    assert model.page
    assert model.shipped or model.fetchable or model.note or model.terms
    if any(word in model.licence for word in ("GPL", "-SA-")):
        assert "copyleft" in model.terms
    if "-NC-" in model.licence:
        assert "non-commercial" in model.terms


def test_what_comes_with_trapline_is_in_the_catalogue() -> None:
    shipped = {model.id: ready_path(model) for model in MODELS if model.shipped}
    assert shipped == {
        **{name: detectors.path(name) for name in detectors.names()},
        **{name: backbones.path(name) for name in backbones.names()},
        **{name: kinds.path(name) for name in kinds.names()},
    }


@pytest.mark.parametrize(
    ("change", "why"),
    [
        ({"urls": ["http://zenodo.org/x"]}, "https"),
        ({"urls": ["https://elsewhere.example/x"]}, "is at none of"),
        ({"file": "../x.zip"}, "pattern"),
        ({"file": None}, "no name"),
        ({"licence": "not verified"}, "one of its terms"),
        ({"layout": "guessed"}, "layout is none of"),
        ({"sha256": "abc"}, "pattern"),
        ({"stars": 5}, "Extra inputs"),
    ],
)
def test_an_entry_that_cannot_be_is_refused(change: dict[str, object], why: str) -> None:
    entry = named_model("mdv6-apa-rtdetr-c").model_dump() | change
    with pytest.raises(ValueError, match=why):
        ReadyModel.model_validate(entry)


def test_list_and_show_say_what_is_here_and_what_is_not_known(capsys: pytest.CaptureFixture[str]) -> None:
    assert run("list", "--json") == 0
    listed = {entry["id"]: entry for entry in json.loads(capsys.readouterr().out)}
    assert listed["megadetector-lite"]["where"] == "comes with Trapline"
    assert listed["speciesnet"]["path"] is None
    assert listed["speciesnet"]["sha256"] is None
    assert run("list", "--here") == 0
    assert [line.split()[0] for line in capsys.readouterr().out.splitlines()] == [
        "id",
        "megadetector-lite",
        "kinds",
        "lite0",
    ]
    assert run("list", "--task", "bird") == 2
    assert run("show", "MDV6-Mit-YOLOv9-c") == 0
    shown = {line[:15].strip(): line[16:] for line in capsys.readouterr().out.splitlines()}
    assert (shown["SHA-256"], shown["layout"], shown["licence"]) == ("not known", "not known", "MIT")
    assert shown["run"].startswith("never")
    assert run("show", "specisnet") == 2
    assert "Did you mean speciesnet" in capsys.readouterr().err


def test_a_file_comes_from_a_mirror_and_is_used_without_it(
    server: str, mirror: tuple[Path, str], capsys: pytest.CaptureFixture[str]
) -> None:
    ask = ("get", "mdv6-apa-rtdetr-c", "--from", server)
    assert run(*ask) == 2, "nobody states its SHA-256"
    assert run(*ask, "--unchecked") == 2, "and the way is not encrypted"
    assert run(*ask, "--sha256", "0" * 64) == 1, "another file"
    assert kept_model(named_model("mdv6-apa-rtdetr-c")) is None
    capsys.readouterr()
    assert run(*ask, "--sha256", mirror[1], "--json") == 0
    said = json.loads(capsys.readouterr().out)
    assert (said["sha256"], said["fetched"], said["trouble"]) == (mirror[1], True, "")
    (mirror[0] / ZIP).unlink()
    path = find_detector("MDV6-apa-rtdetr-c")
    assert path.name == "model.onnx"
    detector = Detector("mdv6-apa-rtdetr-c", threads=1)
    assert (detector.layout.name, detector.categories) == ("rtdetr-top-k", ("animal", "person", "vehicle"))
    (seen,) = detector.detect(np.zeros((1, 64, 64, 3), np.uint8))
    np.testing.assert_allclose(seen.boxes, [[8, 8, 32, 48]], atol=1e-3)
    assert seen.categories.tolist() == [1]
    assert run("get", "mdv6-apa-rtdetr-c") == 0, "it is here"
    assert "Here from" in capsys.readouterr().out
    assert run("get", "mdv6-apa-rtdetr-c", "--sha256", "0" * 64) == 2


def test_a_folder_is_a_mirror_too_and_so_is_what_the_environment_names(
    mirror: tuple[Path, str], monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("TRAPLINE_MODELS_FROM", str(mirror[0]))
    assert run("get", "mdv6-apa-rtdetr-e", "--unchecked") == 1
    assert "has no camera_trap__detector__MDV6-apa-rtdetr-e.zip" in capsys.readouterr().err
    assert run("get", "mdv6-apa-rtdetr-c", "--unchecked") == 0
    assert mirror[1] in capsys.readouterr().out, "its SHA-256 is told"
    assert (mirror[0] / ZIP).is_file(), "the mirror keeps its file"


@pytest.mark.parametrize(
    ("options", "why"),
    [
        (("--sha256", "abc"), "'abc' is no SHA-256"),
        (("--from", "nowhere", "--unchecked"), "nowhere is no folder that is there, and no address"),
        (("--from", ".", "--file", "some.onnx"), "name one"),
    ],
)
def test_what_is_asked_wrongly_is_said_before_anything_is_looked_at(
    options: tuple[str, ...], why: str, capsys: pytest.CaptureFixture[str], cache: Path
) -> None:
    Path("some.onnx").write_bytes(top_k_detector())
    assert run("get", "mdv6-apa-rtdetr-c", *options) == 2
    assert why in capsys.readouterr().err
    assert not list(cache.rglob("kept.json"))


def test_a_mirror_of_the_environment_does_not_hinder_a_file_by_hand(
    mirror: tuple[Path, str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("TRAPLINE_MODELS_FROM", str(mirror[0]))
    Path("some.onnx").write_bytes(top_k_detector())
    assert run("get", "mdv6-apa-rtdetr-c", "--file", "some.onnx") == 0


@pytest.mark.parametrize("model", ["mdv6-apa-rtdetr-c", "parks-victoria"])
def test_a_file_that_is_damaged_is_no_success(model: str, capsys: pytest.CaptureFixture[str]) -> None:
    Path("bad.onnx").write_bytes(b"no network")
    assert run("get", model, "--file", "bad.onnx") == 1
    assert "It cannot be used (--force puts another in its place)" in capsys.readouterr().out
    assert run("get", model) == 1, "nor is it later"


def test_terms_are_asked_for_and_nothing_that_runs_code_is_fetched(
    capsys: pytest.CaptureFixture[str],
) -> None:
    assert run("get", "mdv6-yolov10-c", "--unchecked") == 2
    assert "AGPL-3.0 (copyleft:" in capsys.readouterr().err
    assert run("get", "mdv5a", "--unchecked", "--accept-licence") == 2
    assert "PyTorch's pickle" in capsys.readouterr().err
    Path("md_v5a.0.1.pt").write_bytes(b"pickle")
    assert run("get", "mdv5a", "--accept-licence", "--file", "md_v5a.0.1.pt") == 1
    Path("photo.jpg").write_bytes(b"photo")
    assert run("get", "mdv5a", "--accept-licence", "--file", "photo.jpg") == 1
    assert run("get", "lite0") == 2
    assert run("get", "md-sub-saharan-mammals", "--unchecked", "--accept-licence") == 2
    assert "--file FILE" in capsys.readouterr().err


def test_a_file_by_hand_is_used_by_its_id_wherever_a_model_is_named(
    world: Callable[..., Any], write_tiny_model: Callable[..., Path], capsys: pytest.CaptureFixture[str]
) -> None:
    world().save(Path("photos.parquet"))
    mine = write_tiny_model(Path("mine.onnx"), labels=("a", "b"))
    assert run("get", "ai4g-serengeti", "--file", "mine.onnx") == 0
    assert "trapline predict ai4g-serengeti PHOTOS" in capsys.readouterr().out
    assert ModelFile("AI4G-Serengeti").fingerprint == ModelFile(mine).fingerprint
    assert len(api.predict("ai4g-serengeti", "photos.parquet", "p.parquet").ok) == 12
    mine.unlink()
    for arguments in (
        ["show", "ai4g-serengeti"],
        ["predict", "ai4g-serengeti", "photos.parquet", "-o", "q.csv"],
        ["submit", "ai4g-serengeti", "--package", "p.zip"],
    ):
        with pytest.raises(SystemExit) as end:
            main(arguments)
        assert not end.value.code, arguments
    other = write_tiny_model(Path("other.onnx"), labels=("a", "c"))
    assert run("get", "ai4g-serengeti", "--file", "other.onnx") == 2, "one is here"
    assert run("get", "ai4g-serengeti", "--file", "other.onnx", "--sha256", "0" * 64, "--force") == 1
    assert ModelFile("ai4g-serengeti").card.labels == ("a", "b"), "what is refused replaces nothing"
    assert run("get", "ai4g-serengeti", "--file", "other.onnx", "--force") == 0
    assert ModelFile("ai4g-serengeti").fingerprint == ModelFile(other).fingerprint


def test_a_ready_detector_is_shown_with_what_the_catalogue_knows(capsys: pytest.CaptureFixture[str]) -> None:
    Path("mine.onnx").write_bytes(top_k_detector())
    api.get_model("mdv6-rtdetr-c", file="mine.onnx", accept_licence=True)
    with pytest.raises(SystemExit):
        main(["show", "mdv6-rtdetr-c"])
    shown = dict(line.split(maxsplit=1) for line in capsys.readouterr().out.splitlines())
    assert (shown["name"], shown["licence"]) == ("mdv6-rtdetr-c", "AGPL-3.0")
    assert "made" not in shown, "nothing is known of what it was made"
    assert api.export_detector("mdv6-rtdetr-c", "said.onnx").facts["licence"] == "AGPL-3.0"


def test_boxes_are_found_by_a_ready_detector_and_not_by_another_model(tmp_path: Path) -> None:
    api.get_model("mdv6-apa-rtdetr-c", file=detectors.path("megadetector-lite"))
    assert trapline.models.names_detector("mdv6-apa-rtdetr-c")
    assert not trapline.models.names_detector("boxes.json")
    assert not trapline.models.names_detector(Path("mdv6-apa-rtdetr-c")), "a Path is a file"
    assert trapline.models.is_detector("mdv6-apa-rtdetr-c")
    with pytest.raises(UsageError, match="is no detector"):
        find_detector("lite0")
    with pytest.raises(UsageError, match="is a detector"):
        find_model("megadetector-lite")
    with pytest.raises(DataError, match=r"do you mean mdv6-apa-rtdetr-"):
        Detector("mdv6-apa-rtdetr")
    (tmp_path / "lite0").write_bytes(b"")
    assert find_model("lite0") == backbones.path("lite0")
    assert find_model("./lite0") == Path("lite0")


WEIGHTS = np.random.default_rng(1).normal(0, 3, (3, 3)).astype(np.float32)
SPECIESNET = (
    "1;mammalia;carnivora;canidae;vulpes;vulpes;red fox",
    "2;mammalia;lagomorpha;leporidae;;;hare, brown",
    "3;;;;;;blank",
)


def foreign_classifier() -> bytes:
    """By the mean of each channel of float32 [N, 3, 8, 8], the scores of three labels."""
    nodes = [
        helper.make_node("ReduceMean", ["x"], ["means"], axes=[2, 3], keepdims=0),
        helper.make_node("MatMul", ["means", "weights"], ["y"]),
    ]
    return as_onnx(nodes, ["n", 3, 8, 8], ["n", 3], [numpy_helper.from_array(WEIGHTS, "weights")])


MANIFEST = """
[model]
id = "parks-victoria"
format = "onnx"
file = "model.onnx"

[preprocessing]
method = "resize_crop"
input_size = [8, 8]
resize_size = [10, 10]
resize_mode = "shorter_side"
center_crop = true
layout = "nchw"
normalization = "unit"
channel_order = "bgr"
interpolation = "bicubic"

[postprocessing]
method = "softmax"

[labels]
file = "labels.txt"
format = "name_index_csv"
"""


def classifier_archive(manifest: str = MANIFEST) -> str:
    labels = f"{SPECIESNET[2]},2\n{SPECIESNET[0]},0\n{SPECIESNET[1]},1\n"
    files = {
        "manifest.toml": manifest.encode(),
        "model.onnx": foreign_classifier(),
        "labels.txt": labels.encode(),
    }
    archive(Path("theirs.zip"), {f"parks-victoria/{name}": content for name, content in files.items()})
    return "theirs.zip"


def test_a_foreign_classifier_becomes_a_model_file_by_what_its_archive_says() -> None:
    kept = api.get_model("parks-victoria", file=classifier_archive())
    assert kept.trouble == ""
    model = ModelFile("parks-victoria", threads=1)
    assert model.path == kept.path
    assert model.card.labels == ("red fox", "hare, brown", "blank")
    assert "Apache-2.0" in model.card.notices[0]
    shown = model.card.preprocessing
    assert (shown.height, shown.width, shown.fit, shown.interpolation) == (8, 8, "crop", "bicubic")
    assert shown.crop_fraction == pytest.approx(0.8)
    assert shown.crop is not None
    assert (shown.crop.context, shown.crop.square) == (1.0, False)
    pixels = np.random.default_rng(2).integers(0, 256, (2, 8, 8, 3), dtype=np.uint8)
    scores = np.exp(pixels[..., ::-1].mean(axis=(1, 2)) / 255 @ WEIGHTS)
    expected = scores / scores.sum(axis=1, keepdims=True)
    np.testing.assert_allclose(model.run(pixels).probabilities, expected, atol=1e-5)


def test_what_is_said_of_a_foreign_classifier_is_read_or_refused() -> None:
    assert describe_ready(named_model("speciesnet"), Path("m.keras")).items() >= {
        ("scaling", "0-1"),
        ("channels", "RGB"),
        ("fit", "squash"),
        ("activation", "softmax"),
        ("height", 480),
    }
    with pytest.raises(UsageError, match="in a way that Trapline has not"):
        describe_ready(named_model("speciesnet-whole"), Path("m.keras"))
    for old, new, why in (
        ('"softmax"', '"sigmoid_window"', "answers by 'sigmoid_window'"),
        ('"resize_crop"', '"resize_min_max"', "'resize_min_max'"),
        ('"unit"', '"odd"', "cannot be read: 'odd'"),
        ("name_index_csv", "index_name_csv", "cannot be read: invalid literal"),
        ("[labels]", "[nothing]", "cannot be read: 'labels'"),
    ):
        Path("manifest.toml").write_text(MANIFEST.replace(old, new))
        Path("labels.txt").write_text("empty,2\nfox,0\nhare,1\n")
        with pytest.raises(TraplineError, match=why):
            describe_ready(named_model("parks-victoria"), Path("model.onnx"))


def test_a_classifier_whose_scaling_nobody_states_is_asked_about(capsys: pytest.CaptureFixture[str]) -> None:
    Path("amazon.onnx").write_bytes(foreign_classifier())
    assert run("get", "ai4g-amazon-v2", "--file", "amazon.onnx") == 0
    said = capsys.readouterr().out
    assert "It cannot be used yet" in said
    assert "trapline import" in said
    with pytest.raises(DataError, match="without a Trapline card"):
        ModelFile("ai4g-amazon-v2")


@pytest.mark.parametrize(
    ("files", "why"),
    [
        ({"x/labels.txt": b"a"}, "should hold one model, and its files are: x/labels.txt"),
        ({"x/a.onnx": b"a", "x/b.onnx": b"b"}, "x/a.onnx, x/b.onnx"),
        (
            {"x/manifest.toml": b'[model]\nfile = "../../secret"', "x/labels.txt": b""},
            "should hold one model",
        ),
    ],
)
def test_an_archive_without_a_model_leaves_nothing(files: dict[str, bytes], why: str, cache: Path) -> None:
    archive(Path("some.zip"), files)
    with pytest.raises(DataError, match=why):
        api.get_model("mdv6-apa-rtdetr-c", file="some.zip")
    assert [path.suffix for path in cache.rglob("*") if path.is_file()] == [".lock"]


def test_the_model_in_an_archive_is_the_one_that_its_description_names() -> None:
    Path("net").mkdir()
    for name, content in {
        "info.json": b'{"classifier": "crop.keras"}',
        "crop.keras": b"k",
        "whole.keras": b"w",
    }.items():
        Path("net", name).write_bytes(content)
    packed = shutil.make_archive("speciesnet", "gztar", "net")
    assert api.get_model("speciesnet", file=packed, accept_licence=True).path.name == "crop.keras"


def test_what_is_damaged_in_the_cache_is_not_there(mirror: tuple[Path, str], cache: Path) -> None:
    model = named_model("mdv6-apa-rtdetr-c")
    api.get_model(model.id, source=str(mirror[0]), sha256=mirror[1])
    (record,) = cache.rglob("kept.json")
    record.write_text("{")
    assert ready_path(model) is None
    assert api.get_model(model.id, source=str(mirror[0]), sha256=mirror[1]).checked.startswith("the SHA-256")
    assert ready_path(model) is not None
