"""What is a video, by its name or by what a table says of it."""

import io

import pytest
from PIL import Image

from trapline.images import SUFFIXES, VIDEO_SUFFIXES, ImageError, is_video, load


@pytest.mark.parametrize(
    ("path", "mediatype", "video"),
    [
        ("A/100EK113/IMG_0002.MP4", None, True),
        ("A/clip.of.a.fox.avi", None, True),
        ("A\\B\\00001.MTS", "", True),
        ("https://x.org/media/7/file.mov?token=a.jpg", None, True),
        ("https://x.org/media/7/file", "video/mp4", True),
        ("b3f1", " Video/Quicktime", True),
        ("clip.mp4", "image/jpeg", True),  # the ending is the file's own word
        ("still.jpg", "video/mp4", False),
        ("A/1.JPG", None, False),
        ("A/clip.mp4/1.jpg", None, False),
        ("clip.mp4?1.jpg", None, False),  # no address: a name may have these signs
        ("mp4", None, False),
        ("b3f1", "image/jpeg", False),
        ("sound.wav", "audio/wav", False),
        ("", None, False),
    ],
)
def test_the_ending_decides_and_where_it_says_nothing_the_media_type(
    path: str, mediatype: str | None, video: bool
) -> None:
    assert is_video(path, mediatype) is video


def test_no_ending_is_of_both() -> None:
    assert not SUFFIXES & VIDEO_SUFFIXES


@pytest.mark.parametrize(
    "start",
    [
        b"\0\0\0\x18ftypmp42",
        b"\0\0\0\x14ftypqt  ",
        b"\0\0\0\x08wide\0\0\0\0mdat",
        b"RIFF\x24\x10\0\0AVI LIST",
        b"\x1aE\xdf\xa3\x93B\x82\x88matroska",
        b"0&\xb2u\x8ef\xcf\x11\xa6\xd9\0\xaa",
        b"\0\0\x01\xba\x44\0\4\0",
        (b"G@\0\x10" + bytes(184)) * 3,
    ],
)
def test_a_video_called_a_photo_is_named_as_what_it_is(start: bytes) -> None:
    with pytest.raises(ImageError, match="a video, and no picture"):
        load(start + bytes(500))


@pytest.mark.parametrize(
    "content", [b"G" * 100, b"RIFF\0\0\0\0WAVEfmt ", b"....ftypheic", b"no photo", b"%PDF-1.4"]
)
def test_what_is_neither_is_called_so(content: bytes) -> None:
    with pytest.raises(ImageError, match="not a picture of a known format"):
        load(content)


def test_a_picture_in_a_box_as_videos_are_is_a_picture() -> None:
    if "AVIF" not in Image.OPEN:
        pytest.skip("this Pillow has no AVIF")
    file = io.BytesIO()
    Image.new("RGB", (16, 16)).save(file, "AVIF")
    assert load(file.getvalue()).full_size == (16, 16)
