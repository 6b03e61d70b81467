"""From a photo to the network's pixels: crops, fits, banners, and that reduced decoding changes little."""

import io
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

from trapline.images import (
    Box,
    CropPolicy,
    Preprocessing,
    Rectangle,
    choose_box,
    crop_rectangle,
    fit,
    load,
    prepare,
)


def box(conf: float | None = 0.9, category: str = "animal", width: float = 0.2) -> dict[str, object]:
    return {"category": category, "conf": conf, "x": 0.1, "y": 0.1, "width": width, "height": 0.2}


def png(image: Image.Image) -> bytes:
    file = io.BytesIO()
    image.save(file, "PNG")
    return file.getvalue()


def jpeg(image: Image.Image) -> bytes:
    file = io.BytesIO()
    image.save(file, "JPEG", quality=95)
    return file.getvalue()


def smooth_photo(width: int, height: int) -> Image.Image:
    rows, columns = np.mgrid[0:height, 0:width]
    red = 128 + 100 * np.sin(columns / width * 9)
    green = 128 + 100 * np.cos(rows / height * 7)
    blue = 128 + 60 * np.sin((rows / height + columns / width) * 8)
    return Image.fromarray(np.stack([red, green, blue], axis=2).astype(np.uint8))


def corners(rectangle: Rectangle) -> tuple[float, float, float, float]:
    return rectangle.left, rectangle.top, rectangle.right, rectangle.bottom


def test_the_most_confident_box_that_passes_is_chosen() -> None:
    policy = CropPolicy(min_conf=0.5)
    assert choose_box([box(0.6, width=0.1), box(0.8, width=0.3)], policy) == Box(0.1, 0.1, 0.3, 0.2)
    assert choose_box([box(0.6, width=0.1), box(0.9, "person", 0.3)], policy) == Box(0.1, 0.1, 0.1, 0.2)
    assert choose_box([box(0.6, width=0.1), box(0.6, width=0.3)], policy) == Box(0.1, 0.1, 0.1, 0.2)
    assert choose_box([box(0.99), box(None, width=0.5)], policy) == Box(0.1, 0.1, 0.5, 0.2)
    assert choose_box([box(0.9, "person")], CropPolicy(categories=())) is not None


@pytest.mark.parametrize("boxes", [None, [], [box(0.4)], [box(category="person")], [box(width=0.0)]])
def test_without_a_passing_box_the_frame_stays_whole(boxes: list[dict[str, object]] | None) -> None:
    assert choose_box(boxes, CropPolicy(min_conf=0.5)) is None
    assert crop_rectangle(30, 40, None, CropPolicy()) == Rectangle(0, 0, 40, 30)


def test_a_model_without_a_policy_never_crops() -> None:
    assert choose_box([box()], None) is None
    assert crop_rectangle(30, 40, Box(0.1, 0.1, 0.1, 0.1), None) == Rectangle(0, 0, 40, 30)


def test_a_crop_is_squared_grown_and_shifted_inwards() -> None:
    policy = CropPolicy(context=1.5, min_side=0.0)
    assert corners(crop_rectangle(100, 200, Box(0.4, 0.4, 0.1, 0.1), policy)) == pytest.approx(
        (75, 30, 105, 60)
    )
    corner = crop_rectangle(100, 200, Box(0.0, 0.9, 0.1, 0.1), policy)
    assert corners(corner) == pytest.approx((0, 70, 30, 100))
    loose = crop_rectangle(100, 200, Box(0.4, 0.4, 0.1, 0.1), policy.model_copy(update={"square": False}))
    assert corners(loose) == pytest.approx((75, 37.5, 105, 52.5))
    tiny = crop_rectangle(100, 200, Box(0.5, 0.5, 0.001, 0.001), CropPolicy(min_side=0.2))
    assert (tiny.width, tiny.height) == pytest.approx((20, 20))


@given(
    size=st.tuples(st.integers(1, 5000), st.integers(1, 5000)),
    start=st.tuples(st.floats(0, 1), st.floats(0, 1)),
    share=st.tuples(st.floats(0, 1), st.floats(0, 1)),
    policy=st.builds(CropPolicy, context=st.floats(1, 10), square=st.booleans(), min_side=st.floats(0, 1)),
)
def test_a_crop_lies_in_the_picture_and_holds_its_box(
    size: tuple[int, int], start: tuple[float, float], share: tuple[float, float], policy: CropPolicy
) -> None:
    height, width = size
    x, y = start
    found = Box(x, y, share[0] * (1 - x), share[1] * (1 - y))
    crop = crop_rectangle(height, width, found, policy)
    slack = 1e-6 * max(size)
    assert 0 <= crop.left < crop.right <= width + slack
    assert 0 <= crop.top < crop.bottom <= height + slack
    assert crop.width >= 1 - slack
    assert crop.left <= x * width + slack
    assert crop.right >= (x + found.width) * width - slack
    assert crop.top <= y * height + slack
    assert crop.bottom >= (y + found.height) * height - slack
    least = policy.min_side * min(size)
    assert crop.width >= min(least, width) - slack
    if policy.square:
        assert (
            crop.width == pytest.approx(crop.height, abs=slack)
            or crop.width == width
            or crop.height == height
        )


@pytest.mark.parametrize("interpolation", ["nearest", "bilinear", "bicubic", "lanczos", "area"])
@pytest.mark.parametrize("how", ["squash", "letterbox", "crop"])
def test_each_fit_gives_the_size_and_the_right_part(how: str, interpolation: str) -> None:
    pixels = np.zeros((100, 200, 3), np.uint8)
    pixels[:, :100] = (255, 0, 0)
    pixels[:, 100:] = (0, 0, 255)
    preprocessing = Preprocessing(height=40, width=40, fit=how, interpolation=interpolation)
    result = fit(pixels, preprocessing)
    assert result.shape == (40, 40, 3)
    if how == "letterbox":
        assert (result[:10] == 0).all()
        assert (result[30:] == 0).all()
        result = result[10:30]
    assert (result[:, :15] == (255, 0, 0)).all()
    assert (result[:, 25:] == (0, 0, 255)).all()


def test_the_centre_crop_keeps_its_fraction() -> None:
    columns = np.arange(200, dtype=np.uint8)[None, :, None].repeat(100, 0).repeat(3, 2)
    preprocessing = Preprocessing(height=50, width=50, fit="crop", crop_fraction=0.5, interpolation="nearest")
    found = fit(columns, preprocessing)[0, :, 0]
    assert (found == np.arange(75, 125)).all()


def test_banners_are_black_before_the_crop() -> None:
    photo = png(Image.new("RGB", (100, 100), (200, 200, 200)))
    preprocessing = Preprocessing(
        height=50,
        width=50,
        mask_top=0.1,
        mask_bottom=0.2,
        interpolation="nearest",
        crop=CropPolicy(context=1, min_side=0),
    )
    whole = prepare(photo, preprocessing).pixels
    assert (whole[:5] == 0).all()
    assert (whole[5:40] == 200).all()
    assert (whole[40:] == 0).all()
    lower_half = prepare(photo, preprocessing, Box(0.0, 0.5, 0.5, 0.5)).pixels
    assert (lower_half[:30] == 200).all()
    assert (lower_half[30:] == 0).all()


@pytest.mark.parametrize("found", [None, Box(0.62, 0.55, 0.2, 0.22), Box(0.1, 0.1, 0.8, 0.8)])
@pytest.mark.parametrize("how", ["squash", "letterbox", "crop"])
def test_reduced_decoding_shows_the_same_picture(how: str, found: Box | None) -> None:
    photo = smooth_photo(1601, 1203)
    preprocessing = Preprocessing(height=96, width=96, fit=how, crop=CropPolicy())
    reduced = prepare(jpeg(photo), preprocessing, found).pixels.astype(int)
    full = prepare(png(photo), preprocessing, found).pixels.astype(int)
    assert np.abs(reduced - full).mean() < 1.5
    assert np.abs(reduced - full).max() < 24


def test_a_small_crop_of_a_large_photo_is_decoded_at_full_size() -> None:
    """A checkerboard of single pixels is grey at any reduced scale."""
    board = np.indices((800, 800)).sum(axis=0) % 2 * 255
    photo = jpeg(Image.fromarray(board.astype(np.uint8)))
    preprocessing = Preprocessing(
        height=64, width=64, interpolation="nearest", crop=CropPolicy(context=1, min_side=0, square=False)
    )
    small = prepare(photo, preprocessing, Box(0.5, 0.5, 0.08, 0.08)).pixels
    assert small.std() > 100
    whole = prepare(photo, preprocessing).pixels
    assert whole.std() < 20


def test_a_grey_photo_and_its_colour_copy_give_the_same_pixels() -> None:
    grey = smooth_photo(300, 200).convert("L")
    preprocessing = Preprocessing(height=64, width=64)
    assert np.array_equal(
        prepare(png(grey), preprocessing).pixels, prepare(png(grey.convert("RGB")), preprocessing).pixels
    )


@pytest.mark.field
def test_reduced_decoding_of_real_photos_differs_little_from_full(field: Path) -> None:
    preprocessing = Preprocessing(height=224, width=224)
    for path in sorted((field / "jura-full").glob("*.jpg"))[:6]:
        quick = prepare(path, preprocessing).pixels.astype(int)
        with Image.open(path) as image:
            full = np.asarray(image.convert("RGB").resize((224, 224), Image.Resampling.BICUBIC)).astype(int)
        assert np.abs(quick - full).mean() < 1.0


def test_banners_are_cut_off_a_full_frame_if_asked_and_the_rest_fills_the_input(tmp_path: Path) -> None:
    pixels = np.full((100, 80, 3), 120, np.uint8)
    pixels[:10], pixels[-20:] = 255, 0
    Image.fromarray(pixels).save(tmp_path / "banners.png")
    size = Preprocessing(height=35, width=40, mask_top=0.1, mask_bottom=0.2, cut_banners=True)
    seen = prepare(tmp_path / "banners.png", size).pixels.astype(int)
    assert (abs(seen - 120) <= 10).all()  # the filter reaches one row beyond the cut
    assert (seen[2:-2] == 120).all()
    masked = prepare(tmp_path / "banners.png", size.model_copy(update={"cut_banners": False})).pixels
    assert (masked[0] == 0).all()
    assert (masked[-4:] == 0).all()


def test_what_detectors_need_of_a_large_photo_is_decoded_and_cards_stay_as_they_are(tmp_path: Path) -> None:
    rows, columns = np.mgrid[:800, :1200]
    Image.fromarray(((rows + columns) % 256).astype(np.uint8)).save(tmp_path / "large.jpg", quality=95)
    usual = Preprocessing(height=400, width=600)
    assert "oversampling" not in usual.model_dump()
    assert Preprocessing.model_validate_json(usual.model_dump_json()).oversampling == 2
    sparing = Preprocessing(height=400, width=600, oversampling=1)
    assert Preprocessing.model_validate_json(sparing.model_dump_json()) == sparing
    halved = np.asarray(load(tmp_path / "large.jpg", min_side=(400, 600)).pixels)
    assert halved.shape == (400, 600, 3)
    np.testing.assert_array_equal(prepare(tmp_path / "large.jpg", sparing).pixels, halved)
    assert not np.array_equal(prepare(tmp_path / "large.jpg", usual).pixels, halved)
