"""What is a video, by its name or by what a table says of it."""

import pytest

from trapline.images import SUFFIXES, VIDEO_SUFFIXES, is_video


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
