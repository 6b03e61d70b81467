"""From a YOLOX checkpoint to an ONNX detector to boxes, by the commands."""

import json
import os
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from yolox_checkpoint import write_checkpoint

from trapline.cli import main
from trapline.errors import DataError
from trapline.models import Detector, Halt, convert_detector, open_session

torch = pytest.importorskip("torch")


@pytest.mark.slow
def test_a_checkpoint_becomes_a_detector_that_answers_as_pytorch_does(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    network = write_checkpoint(tmp_path / "small.pth")
    path = tmp_path / "detector.onnx"
    run_command("export", tmp_path / "small.pth", "--detector", "--side", "96", "-o", path, "--json")
    facts = json.loads(capsys.readouterr().out)
    detector = Detector(path)
    assert facts["fingerprint"] == detector.fingerprint
    assert detector.categories == ("animal",)
    pictures = np.random.default_rng(0).integers(0, 256, (3, 96, 96, 3)).astype(np.uint8)
    with torch.no_grad():
        planes = torch.from_numpy(pictures[..., ::-1].copy()).permute(0, 3, 1, 2).float()
        expected = network(planes).numpy()
    (raw,) = detector._ask(detector._planes(pictures, 255.0, bgr=True), (96, 96))
    np.testing.assert_allclose(raw, expected, atol=1e-4)
    (tmp_path / "photos").mkdir()
    Image.fromarray(pictures[0]).save(tmp_path / "photos" / "a.png")
    (tmp_path / "photos" / "b.jpg").write_bytes(b"no picture")
    run_command("detect", path, tmp_path / "photos", "-o", tmp_path / "boxes.json")
    assert "1 failed" in capsys.readouterr().out
    images = {image["file"]: image for image in json.loads((tmp_path / "boxes.json").read_text())["images"]}
    assert images["b.jpg"]["failure"] == "not a picture of a known format"
    assert all(detection["category"] == "1" for detection in images["a.png"]["detections"])


@pytest.mark.slow
def test_the_shipped_detectors_graph_computes_what_yolox_does(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.syspath_prepend(Path(__file__).parents[2] / "scripts")
    from make_detector import Shipped, answer_nodes, export

    network = write_checkpoint(tmp_path / "small.pth")
    pictures = np.random.default_rng(0).integers(0, 256, (2, 64, 96, 3)).astype(np.uint8)
    with torch.no_grad():
        expected = network(torch.from_numpy(pictures[..., ::-1].copy()).permute(0, 3, 1, 2).float()).numpy()
    graph = export(Shipped(network).eval())
    convolutions = [node for node in answer_nodes(graph) if node.op_type == "Conv"]
    assert len(convolutions) == 9  # of three scales: box, whether, what
    session = open_session(graph.SerializeToString(), tmp_path / "small.onnx")
    (found,) = session.run(["output"], {"images": pictures}, Halt())
    np.testing.assert_allclose(found, expected, atol=1e-4)


def test_what_is_no_checkpoint_of_a_yolox_is_refused(tmp_path: Path) -> None:
    torch.save({"model": {"layer.weight": torch.zeros(3)}}, tmp_path / "other.pth")
    with pytest.raises(DataError, match="is no checkpoint of a YOLOX"):
        convert_detector(tmp_path / "other.pth", tmp_path / "detector.onnx")
    write_checkpoint(tmp_path / "small.pth")
    state = torch.load(tmp_path / "small.pth", weights_only=True)
    del state["model"]["head.obj_preds.1.bias"]
    torch.save(state, tmp_path / "lacking.pth")
    with pytest.raises(DataError, match=r"lacks 1 tensor of a YOLOX, such as head\.obj_preds\.1\.bias"):
        convert_detector(tmp_path / "lacking.pth", tmp_path / "detector.onnx")
    assert not (tmp_path / "detector.onnx").exists()


@pytest.mark.field
@pytest.mark.slow
@pytest.mark.skipif(
    not os.environ.get("MEGADETECTOR_LITE"), reason="MEGADETECTOR_LITE does not name the checkpoint"
)
def test_megadetector_lite_finds_the_animals_of_real_photos(field: Path, tmp_path: Path) -> None:
    detector = convert_detector(os.environ["MEGADETECTOR_LITE"], tmp_path / "lite.onnx")
    from trapline.images import prepare

    photos = sorted((field / "fixtures" / "cct60_md").rglob("*.jpg"))
    best = {}
    for photo in photos:
        (found,) = detector.detect(prepare(photo, detector.preprocessing).pixels[None])
        best[photo.name.split("__")[0]] = float(found.conf[0]) if len(found.conf) else 0.0
    assert best.pop("empty") < 0.2
    best.pop("car")
    assert min(best.values()) > 0.5


def run_command(*arguments: object) -> None:
    with pytest.raises(SystemExit) as done:
        main([str(argument) for argument in arguments])
    assert not done.value.code
