"""Quick decoding gives the pixels that Pillow's way gives, but for last bits; damage is Pillow's."""

import io
from collections.abc import Callable
from importlib import import_module
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from trapline.images import Box, CropPolicy, ImageError, Preprocessing, fit, load, prepare, quick
from trapline.images.decode import Decoded
from trapline.images.prepare import Kept
from trapline.recipes import recipe_names, resolve_recipe

preparing = import_module("trapline.images.prepare")  # its name in the face is the function's


def encode(image: Image.Image, kind: str = "JPEG", **options: object) -> bytes:
    file = io.BytesIO()
    image.save(file, kind, **options)
    return file.getvalue()


def scene(width: int, height: int, mode: str = "RGB") -> Image.Image:
    rows, columns = np.mgrid[:height, :width]
    waves = [128 + 90 * np.sin(rows / 17 + at) * np.cos(columns / 23) for at in range(3)]
    noise = np.random.default_rng(0).normal(0, 12, (height, width, 1))
    pixels = np.clip(np.stack(waves, axis=2) + noise, 0, 255).astype(np.uint8)
    return Image.fromarray(pixels).convert(mode)


def both(content: bytes, size: Preprocessing, box: Box | None = None) -> list[np.ndarray]:
    ways = [size.model_copy(update={"decoding": way}) for way in ("pillow", "quick")]
    return [prepare(content, way, box).pixels.astype(int) for way in ways]


@pytest.mark.parametrize("mode", ["RGB", "L"])
@pytest.mark.parametrize("orientation", range(1, 9))
def test_it_is_the_same_picture_to_the_bit_whichever_way_it_stands(orientation: int, mode: str) -> None:
    exif = Image.Exif()
    exif[0x0112] = orientation
    content = encode(scene(203, 121, mode), exif=exif, quality=90, subsampling=orientation % 3)
    for least in (None, (50, 50), (20, 20)):
        plain, fast = (load(content, min_side=least, quick=way) for way in (False, True))
        np.testing.assert_array_equal(fast.pixels, plain.pixels)
        assert (fast.full_size, fast.warning) == (plain.full_size, plain.warning)


@pytest.mark.parametrize("interpolation", ["nearest", "bilinear", "bicubic", "lanczos", "area"])
@pytest.mark.parametrize("how", ["squash", "letterbox", "crop", "corner"])
def test_what_a_network_sees_differs_in_last_bits_only(how: str, interpolation: str) -> None:
    size = Preprocessing(
        height=60, width=80, fit=how, interpolation=interpolation, mask_top=0.1, mask_bottom=0.05,
        crop=CropPolicy(context=1.2, square=False),
    )  # fmt: skip
    for mode, kind in (("RGB", "JPEG"), ("L", "JPEG"), ("RGB", "PNG"), ("L", "PNG")):
        content = encode(scene(480, 300, mode), kind)
        for box in (None, Box(0.62, 0.05, 0.37, 0.9), Box(0.5, 0.5, 0.03, 0.02)):
            plain, fast = both(content, size, box)
            assert np.abs(fast - plain).max() <= 2
            if interpolation != "area":  # its means are often halves, which round either way
                assert (fast != plain).mean() < 0.02


def test_a_picture_in_memory_is_fitted_likewise() -> None:
    pixels = np.asarray(scene(300, 200))
    for way in ("pillow", "quick"):
        size = Preprocessing(height=50, width=70, decoding=way)
        png = prepare(encode(Image.fromarray(pixels), "PNG"), size).pixels
        np.testing.assert_array_equal(fit(pixels, size), png)


def test_where_the_libraries_are_not_there_pillow_does_it(monkeypatch: pytest.MonkeyPatch) -> None:
    content, size = encode(scene(1200, 900)), Preprocessing(height=96, width=128, decoding="quick")
    fast = prepare(content, size).pixels.astype(int)
    monkeypatch.setattr(quick, "_turbo", lambda: None)
    monkeypatch.setattr(quick, "_resizer", lambda: None)
    alone = prepare(content, size).pixels.astype(int)
    np.testing.assert_array_equal(alone, both(content, size)[0])
    assert np.abs(alone - fast).max() <= 2


def outcome(path: Path, size: Preprocessing) -> tuple[str, bytes]:
    try:
        prepared = prepare(path, size)
    except ImageError as error:
        return error.reason, b""
    return prepared.warning or "", prepared.pixels.tobytes()


def test_damage_and_oddities_come_out_as_from_pillow(
    tmp_path: Path, write_zoo: Callable[[Path], dict[str, str]]
) -> None:
    names = list(write_zoo(tmp_path))
    whole = encode(scene(400, 300), quality=85)
    odd = {
        "cut.jpg": whole[: len(whole) // 2],
        "cut-progressive.jpg": encode(scene(400, 300), progressive=True)[:9000],
        "changed.jpg": whole[:8000] + b"\x00\x13\x77" * 20 + whole[8060:],
        "cmyk.jpg": encode(scene(100, 80).convert("CMYK")),
        "more-behind.jpg": whole + b"\xff\xd8 and something else",
        "progressive.jpg": encode(scene(100, 80), progressive=True),
    }
    for name, content in odd.items():
        (tmp_path / name).write_bytes(content)
    for side in (32, 200):  # decoded smaller, and whole
        ways = [
            Preprocessing(height=side, width=side, interpolation="nearest", decoding=way)
            for way in ("pillow", "quick")
        ]
        for name in [*names, *odd]:
            plain, fast = (outcome(tmp_path / name, way) for way in ways)
            assert fast == plain, name


def test_cards_of_all_times_mean_what_they_meant_and_recipes_are_quick() -> None:
    old = Preprocessing.model_validate({"height": 32, "width": 32})
    assert old.decoding == "pillow"
    assert "decoding" not in old.model_dump()
    for name in recipe_names():
        assert resolve_recipe(name).preprocessing.model_dump()["decoding"] == "quick"
    assert resolve_recipe("head", None, ["preprocessing.decoding=pillow"]).preprocessing.decoding == "pillow"


def test_a_picture_is_decoded_once_for_all_that_it_serves(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    photo = tmp_path / "photo.jpg"
    random = np.random.default_rng(0).integers(0, 255, (384, 512, 3), dtype=np.uint8)
    Image.fromarray(random).resize((2048, 1536)).save(photo)
    detector = Preprocessing(
        height=640, width=640, fit="corner", interpolation="bilinear", decoding="quick", oversampling=1
    )
    model = Preprocessing(height=224, width=224, mask_top=0.2, crop=CropPolicy(), decoding="quick")
    small, smaller = Box(0.1, 0.1, 0.1, 0.1), Box(0.7, 0.6, 0.05, 0.05)
    looks = [(detector, None), (model, None), (detector, None), (model, small), (model, smaller)]
    alone = [prepare(photo, size, box).pixels for size, box in looks]
    times: list[float] = []
    real = preparing.decode

    def count(source: Path, **options: Any) -> Decoded:
        decoded = real(source, **options)
        times.append(decoded.scale)
        return decoded

    monkeypatch.setattr(preparing, "decode", count)
    kept = Kept()
    for (size, box), pixels in zip(looks, alone, strict=True):
        np.testing.assert_array_equal(prepare(photo, size, box, kept=kept).pixels, pixels)
    assert times == [2, 1]  # the frame, for both; and whole, for both boxes
    Image.fromarray(255 - random).resize((2048, 1536)).save(photo)
    assert not np.array_equal(prepare(photo, model, small, kept=kept).pixels, alone[3])
    prepare(photo, model.model_copy(update={"decoding": "pillow"}), small, kept=kept)
    assert times == [2, 1, 1, 1]
