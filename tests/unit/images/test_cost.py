"""Scans and frames are counted without decoding, as Pillow counts them by going through all."""

import io
import struct

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from trapline.images import ImageError, Limits, load
from trapline.images.cost import count_frames, count_scans


def saved(format_: str, frames: int, **options: object) -> bytes:
    """A file of that many different frames."""
    made = [Image.new("RGB", (9, 7), (number * 7 % 256, number * 3 % 256, 50)) for number in range(frames)]
    file = io.BytesIO()
    made[0].save(file, format_, save_all=True, append_images=made[1:], **options)
    return file.getvalue()


@settings(max_examples=20)
@given(st.sampled_from(["GIF", "TIFF", "WEBP", "PNG", "MPO"]), st.integers(1, 7), st.integers(1, 9))
def test_frames_are_as_many_as_pillow_finds(format_: str, frames: int, most: int) -> None:
    content = saved(format_, frames)
    with Image.open(io.BytesIO(content)) as image:
        counted = min(getattr(image, "n_frames", 1), most + 1)
    with Image.open(io.BytesIO(content)) as image:
        assert count_frames(image, content, most) == counted  # type: ignore[arg-type]


@pytest.mark.parametrize("format_", ["GIF", "TIFF", "WEBP", "PNG"])
def test_more_frames_than_the_limit_are_refused(format_: str) -> None:
    assert load(saved(format_, 4), limits=Limits(max_frames=4)).warning == (
        "several frames: only the first was read"
    )
    with pytest.raises(ImageError, match="more frames than the limit of 3"):
        load(saved(format_, 4), limits=Limits(max_frames=3))


@given(st.binary(max_size=300))
def test_counting_ends_on_any_bytes(tail: bytes) -> None:
    for head in (b"GIF89a", b"II*\0", b"MM\0*", b"II+\0\x08\0\0\0"):
        content = head + tail
        with Image.open(io.BytesIO(saved("GIF" if head[:1] == b"G" else "TIFF", 1))) as image:
            assert 0 <= count_frames(image, content, 50) <= 51  # type: ignore[arg-type]
    assert 0 <= count_scans(b"\xff\xd8" + tail, 3) <= 4


def test_a_chain_of_directories_that_is_a_ring_ends() -> None:
    ring = b"II*\0" + struct.pack("<IH", 8, 0) + struct.pack("<I", 8)
    with Image.open(io.BytesIO(saved("TIFF", 1))) as image:
        assert count_frames(image, ring, 100) == 1  # type: ignore[arg-type]


@pytest.mark.parametrize(("options", "scans"), [({}, 1), ({"progressive": True}, 10)])
def test_scans_of_what_encoders_write(options: dict[str, bool], scans: int) -> None:
    file = io.BytesIO()
    Image.effect_noise((64, 64), 50).convert("RGB").save(file, "JPEG", **options)
    content = file.getvalue()
    assert count_scans(content, 100) == scans
    assert count_scans(content, scans) == scans
    assert count_scans(content, 0) == 1
