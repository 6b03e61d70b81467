"""The shipped detector: found where it is installed, described, and sparing with what it looks at."""

from importlib import resources
from pathlib import Path

import numpy as np
import pytest

from trapline.errors import DataError, UsageError
from trapline.models import Detector, detectors, find_detector, is_detector


@pytest.fixture(scope="module")
def detector() -> Detector:
    return Detector(threads=1)


def test_it_is_small_package_data_and_says_what_it_is(detector: Detector) -> None:
    assert detectors.names() == ["megadetector-lite"]
    assert resources.files("trapline.models.detectors").joinpath("megadetector-lite.onnx").is_file()
    assert detector.path.stat().st_size < 10e6
    assert detector.categories == ("animal", "person", "vehicle", "unknown")
    assert detector.facts["licence"] == "MIT"
    assert "DrivenData" in " ".join(detector.facts["notices"])
    assert "recall" in detector.facts["measured"]
    assert "megadetector-lite.onnx" in (Path(__file__).parents[3] / "NOTICE").read_text(encoding="utf-8")


def test_it_is_taken_by_name_by_auto_and_by_path(detector: Detector, tmp_path: Path) -> None:
    for named in ("auto", "megadetector-lite", detector.path):
        assert find_detector(named) == detector.path
    assert is_detector("megadetector-lite")
    assert is_detector(detector.path)
    assert not is_detector(tmp_path / "nothing.onnx")
    with pytest.raises(UsageError, match=r"no detector named 'other'; it ships: megadetector-lite"):
        detectors.path("other")
    with pytest.raises(DataError, match=r"no detector at other\.onnx\. Where none is named"):
        Detector("other.onnx")


def test_padding_is_not_looked_at_and_pictures_keep_their_order(detector: Detector) -> None:
    wide, high = animal(480, 640), animal(640, 480)
    square = np.full((3, 640, 640, 3), 114, np.uint8)
    square[0, :480], square[1, :, :480], square[2, :480] = wide, high, wide[:, ::-1]
    found = detector.detect(square, [(480, 640), (640, 480), (470, 640)])
    for one, picture in zip(found, (wide, high, wide[:, ::-1]), strict=True):
        (alone,) = detector.detect(np.ascontiguousarray(picture)[None])
        np.testing.assert_allclose(one.boxes, alone.boxes, atol=1e-3)
        np.testing.assert_allclose(one.conf, alone.conf, atol=1e-5)
        assert one.conf[0] > 0.5
    (whole,) = detector.detect(square[:1])
    np.testing.assert_allclose(whole.boxes[0], found[0].boxes[0], atol=8)


def animal(height: int, width: int) -> np.ndarray:
    """Something like an animal on a lawn: uint8 [height, width, 3]."""
    from PIL import Image, ImageDraw, ImageFilter

    random = np.random.default_rng(0)
    lawn = np.linspace(150, 70, height)[:, None, None] * np.array([0.8, 1, 0.7])
    noisy = (lawn + random.normal(0, 12, (height, width, 3))).clip(0, 255).astype(np.uint8)
    picture = Image.fromarray(noisy).filter(ImageFilter.GaussianBlur(1))
    draw, fur = ImageDraw.Draw(picture), (120, 80, 50)
    draw.ellipse((220, 240, 400, 330), fill=fur)
    draw.ellipse((380, 200, 450, 260), fill=fur)
    for left in (240, 265, 350, 375):
        draw.rectangle((left, 310, left + 14, 390), fill=fur)
    draw.polygon([(400, 205), (410, 170), (422, 203)], fill=fur)
    draw.ellipse((430, 218, 438, 226), fill=(10, 10, 10))
    return np.asarray(picture.filter(ImageFilter.GaussianBlur(1.2)))
