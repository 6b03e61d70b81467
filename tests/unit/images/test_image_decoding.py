"""Every file becomes an upright RGB picture or an ImageError with a reason; nothing else happens."""

import io
import pickle
import struct
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import GifImagePlugin, Image, ImageFile

from trapline.images import ImageError, Limits, Preprocessing, load, prepare, read_exif
from trapline.images.decode import FORMATS

SMALL = Preprocessing(height=32, width=32)


def encode(image: Image.Image, kind: str = "JPEG", **options: object) -> bytes:
    file = io.BytesIO()
    image.save(file, kind, **options)
    return file.getvalue()


def quarters(width: int = 80, height: int = 40) -> Image.Image:
    """Red at top left, green at top right, blue at bottom left, white at bottom right."""
    image = Image.new("RGB", (width, height), (255, 255, 255))
    image.paste((255, 0, 0), (0, 0, width // 2, height // 2))
    image.paste((0, 255, 0), (width // 2, 0, width, height // 2))
    image.paste((0, 0, 255), (0, height // 2, width // 2, height))
    return image


def test_the_whole_zoo_has_an_answer(tmp_path: Path, write_zoo: Callable[[Path], dict[str, str]]) -> None:
    expected = write_zoo(tmp_path / "zoo")
    found = {}
    for name in expected:
        try:
            prepared = prepare(tmp_path / "zoo" / name, SMALL)
        except ImageError as error:
            found[name] = "failed" if error.reason and error.file.endswith(name) else "without a reason"
        else:
            assert prepared.pixels.shape == (32, 32, 3)
            assert prepared.pixels.dtype == np.uint8
            found[name] = "odd" if prepared.warning else "ok"
        read_exif(tmp_path / "zoo" / name)  # never raises
    assert found == expected


@pytest.mark.parametrize(
    ("name", "reason"),
    [
        ("empty.jpg", "empty"),
        ("text.jpg", "not a picture"),
        ("bomb.png", "exceeds limit|more than the limit"),
        ("folder.jpg", "is a folder"),
        ("vanished.jpg", "no such file"),
        ("pipe.jpg", "not a regular file"),
        ("loop.jpg", "symbolic links"),
        ("header only.jpg", "truncated"),
        ("float.tif", "floating-point"),
    ],
)
def test_the_reason_says_what_is_wrong(
    tmp_path: Path, write_zoo: Callable[[Path], dict[str, str]], name: str, reason: str
) -> None:
    if name not in write_zoo(tmp_path):
        pytest.skip("this system has no such files")
    with pytest.raises(ImageError, match=reason):
        load(tmp_path / name)


@pytest.mark.parametrize("kind", ["JPEG", "TIFF", "PNG", "WEBP"])
@pytest.mark.parametrize("orientation", range(1, 9))
def test_every_orientation_comes_out_upright(orientation: int, kind: str) -> None:
    undo = {
        2: Image.Transpose.FLIP_LEFT_RIGHT,
        3: Image.Transpose.ROTATE_180,
        4: Image.Transpose.FLIP_TOP_BOTTOM,
        5: Image.Transpose.TRANSPOSE,
        6: Image.Transpose.ROTATE_90,
        7: Image.Transpose.TRANSVERSE,
        8: Image.Transpose.ROTATE_270,
    }
    upright = quarters(160, 80)
    stored = upright.transpose(undo[orientation]) if orientation in undo else upright
    exif = Image.Exif()
    exif[0x0112] = orientation
    content = encode(stored, kind, exif=exif)
    for least in (None, (20, 40)):
        loaded = load(content, min_side=least)
        assert loaded.full_size == (80, 160)
        height, width = loaded.pixels.shape[:2]
        assert width == 2 * height
        if kind == "JPEG" and least is not None:
            assert height == 20
        corners = loaded.pixels[[2, 2, -3, -3], [2, -3, 2, -3]].astype(int)
        assert np.abs(corners - [[255, 0, 0], [0, 255, 0], [0, 0, 255], [255, 255, 255]]).max() < 40


def test_a_senseless_orientation_counts_as_upright() -> None:
    exif = Image.Exif()
    exif[0x0112] = 77
    assert load(encode(quarters(), exif=exif)).pixels.shape == (40, 80, 3)


def test_colours_survive_every_mode() -> None:
    orange = (230, 120, 40)
    plain = Image.new("RGB", (16, 16), orange)
    for mode, kind in [("RGB", "PNG"), ("P", "PNG"), ("CMYK", "TIFF"), ("RGBA", "PNG"), ("YCbCr", "TIFF")]:
        image = plain.convert(mode, palette=Image.Palette.ADAPTIVE) if mode == "P" else plain.convert(mode)
        assert np.abs(load(encode(image, kind)).pixels.astype(int) - orange).max() <= 3, mode


def test_sixteen_bits_keep_their_order_and_range() -> None:
    ramp = np.linspace(0, 65535, 256).astype(np.uint16)[None, :].repeat(4, axis=0)
    for kind in ("PNG", "TIFF"):
        pixels = load(encode(Image.fromarray(ramp), kind)).pixels
        assert np.array_equal(pixels[0, :, 0], np.arange(256))


def test_transparent_parts_are_black() -> None:
    image = Image.new("RGBA", (8, 8), (200, 100, 50, 255))
    image.paste((255, 255, 255, 0), (0, 0, 4, 8))
    pixels = load(encode(image, "PNG")).pixels
    assert (pixels[:, :4] == 0).all()
    assert (pixels[:, 4:] == (200, 100, 50)).all()


def test_what_is_there_of_a_truncated_photo_is_read_and_the_rest_is_black() -> None:
    image = Image.fromarray(np.random.default_rng(0).integers(30, 255, (256, 256, 3)).astype(np.uint8))
    whole = encode(image, quality=90)
    full = load(whole).pixels
    read = []
    for share in (0.1, 0.3, 0.5, 0.7, 0.9):
        loaded = load(whole[: int(len(whole) * share)])
        assert loaded.warning is not None
        assert "upper" in loaded.warning
        rows = int(np.flatnonzero(loaded.pixels.any(axis=(1, 2)))[-1]) + 1
        assert abs(rows / 256 - share) < 0.15
        sure = max(0, rows - 16)
        assert np.array_equal(loaded.pixels[:sure], full[:sure])
        read.append(rows)
    assert read == sorted(read)
    assert not ImageFile.LOAD_TRUNCATED_IMAGES


def test_a_truncated_progressive_photo_gives_its_coarse_scans() -> None:
    rows, columns = np.mgrid[0:256, 0:256]
    image = Image.fromarray(np.stack([rows, columns, 255 - rows], axis=2).astype(np.uint8))
    whole = encode(image, progressive=True, quality=90)
    full = load(whole).pixels.astype(int)
    for share in (0.5, 0.9):  # 0.9 falls into a table
        loaded = load(whole[: int(len(whole) * share)])
        assert loaded.warning is not None
        assert "coarse" in loaded.warning
        assert np.abs(loaded.pixels - full).mean() < 10
    with pytest.raises(ImageError, match="nothing of it is readable"):
        load(whole[: whole.index(b"\xff\xda")])


def test_limits_refuse_before_decoding(tmp_path: Path) -> None:
    content = encode(quarters(), "PNG")
    path = tmp_path / "a.png"
    path.write_bytes(content)
    for source in (content, path):
        with pytest.raises(ImageError, match=f"{len(content)} bytes are more than the limit of 10"):
            load(source, limits=Limits(max_bytes=10))
        with pytest.raises(ImageError, match="80 × 40 pixels are more than the limit of 3199"):
            load(source, limits=Limits(max_pixels=3199))
        assert load(source, limits=Limits(max_pixels=3200, max_bytes=len(content))).pixels.shape == (
            40,
            80,
            3,
        )


def test_formats_that_start_programs_are_not_opened() -> None:
    assert "EPS" not in FORMATS
    with pytest.raises(ImageError, match="not a picture"):
        load(b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 10 10\n%%EndComments\n")


def test_the_error_survives_pickling() -> None:
    error = pickle.loads(pickle.dumps(ImageError("a.jpg", "is a folder")))
    assert (error.file, error.reason, str(error)) == (
        "a.jpg",
        "is a folder",
        "a.jpg cannot be used as a picture: is a folder.",
    )


@pytest.mark.parametrize("kind", ["JPEG", "PNG", "GIF", "TIFF", "BMP", "WEBP", "JPEG2000"])
@settings(max_examples=60, deadline=None)
@given(data=st.data())
def test_damage_anywhere_gives_pixels_or_the_error(kind: str, data: st.DataObject) -> None:
    content = bytearray(encode(quarters(48, 32), kind))
    for _ in range(data.draw(st.integers(1, 4))):
        content[data.draw(st.integers(0, len(content) - 1))] = data.draw(st.integers(0, 255))
    content = content[: data.draw(st.integers(1, len(content)))]
    try:
        loaded = load(bytes(content), limits=Limits(max_pixels=1_000_000))
    except ImageError:
        return
    assert loaded.pixels.dtype == np.uint8
    assert loaded.pixels.shape[2] == 3


@pytest.mark.field
def test_difficult_real_photos(field: Path) -> None:
    folder = field / "fixtures" / "speciesnet_testdata" / "test_data"
    plain = load(folder / "african_elephants.jpg")
    assert plain.warning is None
    for name in ("cmyk", "with_exif_orientation", "bw"):
        other = load(folder / f"african_elephants_{name}.jpg")
        assert other.pixels.shape == plain.pixels.shape
        difference = other.pixels.mean(axis=2) - plain.pixels.mean(axis=2)
        assert np.abs(difference).mean() < 8, name
    truncated = load(folder / "african_elephants_truncated_file.jpg")
    assert truncated.warning == "truncated or damaged: only the upper 86% could be read"
    assert np.array_equal(truncated.pixels[:1200], plain.pixels[:1200])


def many_scans(scans: int, side: int = 64) -> bytes:
    """A progressive JPEG, grey, whose scans after the first say nothing."""

    def segment(marker: int, content: bytes) -> bytes:
        return bytes([0xFF, marker]) + struct.pack(">H", len(content) + 2) + content

    table = bytes([1] + [0] * 15)
    blocks = (side // 8) ** 2
    head = b"\xff\xd8" + segment(0xDB, b"\0" + bytes([1]) * 64)
    head += segment(0xC2, struct.pack(">BHHB", 8, side, side, 1) + b"\x01\x11\x00")
    head += segment(0xC4, b"\x00" + table + b"\x00") + segment(0xC4, b"\x10" + table + b"\xe0")
    first = segment(0xDA, b"\x01\x01\x00\x00\x00\x00") + bytes(blocks // 8)
    later = segment(0xDA, b"\x01\x01\x00\x01\x3f\x00") + b"\x7f\xff"
    return head + first + later * (scans - 1) + b"\xff\xd9"


def test_a_jpeg_of_more_scans_than_the_limit_is_refused_unread() -> None:
    assert load(many_scans(100)).full_size == (64, 64)
    for scans in (101, 5000):
        with pytest.raises(ImageError, match="more scans than the limit of 100"):
            load(many_scans(scans))
    with pytest.raises(ImageError, match="more scans than the limit of 3"):
        load(many_scans(4), limits=Limits(max_scans=3))


def test_markers_of_scans_within_other_segments_are_no_scans() -> None:
    plain = many_scans(5)
    note = b"\xff\xda" * 500
    comment = b"\xff\xfe" + struct.pack(">H", len(note) + 2) + note
    assert load(plain[:2] + comment + plain[2:] + note).full_size == (64, 64)


def test_only_the_first_of_many_frames_is_looked_at(monkeypatch: pytest.MonkeyPatch) -> None:
    seen = []
    plain = GifImagePlugin.GifImageFile._seek

    def counting(image: GifImagePlugin.GifImageFile, frame: int, update_image: bool = True) -> None:
        seen.append(frame)
        plain(image, frame, update_image)

    monkeypatch.setattr(GifImagePlugin.GifImageFile, "_seek", counting)
    frame = b"," + struct.pack("<HHHHB", 0, 0, 1, 1, 0) + b"\x02\x02\x44\x01\x00"
    head = b"GIF89a" + struct.pack("<HHBBB", 1, 1, 0x80, 0, 0) + b"\0\0\0\xff\xff\xff"
    found = load(head + frame * 10_000 + b";")
    assert found.warning == "several frames: only the first was read"
    assert max(seen) <= 1
