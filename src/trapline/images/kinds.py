"""Photo or video: by a file's name, by what a table says of it, by its first bytes."""

from __future__ import annotations

import re

SUFFIXES = frozenset(
    {
        *(".jpg", ".jpeg", ".jpe", ".jfif", ".mpo"),
        *(".png", ".tif", ".tiff", ".gif", ".bmp", ".webp", ".avif", ".jp2"),
    }
)
"""The file endings (lower case) by which a folder's pictures are recognised."""

VIDEO_SUFFIXES = frozenset(
    {
        *(".mp4", ".m4v", ".mov", ".qt", ".avi", ".mkv", ".webm", ".wmv", ".asf", ".flv", ".f4v", ".ogv"),
        *(".mpg", ".mpeg", ".mpe", ".m1v", ".m2v", ".vob", ".ts", ".mts", ".m2ts", ".mod", ".tod"),
        *(".3gp", ".3g2", ".dav", ".divx", ".h264", ".h265", ".264", ".265", ".hevc", ".mjpg", ".mjpeg"),
    }
)
"""The file endings (lower case) of videos."""

ENDING = r"(\.[A-Za-z0-9]+)$"
"""The ending of a path; of an address it is that of the part before `QUERY`."""
QUERY = r"[?#].*$"

_BEGINS = re.compile(
    rb"....ftyp(?!avif|avis|mif1|msf1|hei|hev)|....(?:moov|mdat|wide)"  # MP4 and MOV; pictures are so too
    rb"|RIFF....AVI |\x1aE\xdf\xa3|0&\xb2u\x8ef\xcf\x11|FLV\x01|OggS|DHAV"  # AVI, Matroska, ASF, …
    rb"|\0\0\x01[\xba\xb3]|(?:G.{187}){2}G",  # MPEG programs, and transport streams
    re.DOTALL,
)


def is_video(path: str, mediatype: str | None = None) -> bool:
    """Whether a media is a video: by its ending; where that says nothing, by its media type.

    Args:
        path: a path, or an address.
        mediatype: what a table says of it, as in `video/mp4` (Camtrap DP's fileMediatype, RFC 6838).
    """
    match = re.search(ENDING, re.sub(QUERY, "", path) if "://" in path else path)
    ending = match[1].lower() if match else ""
    if ending in VIDEO_SUFFIXES:
        return True
    return ending not in SUFFIXES and (mediatype or "").strip().lower().startswith("video/")


def begins_as_video(content: bytes) -> bool:
    """Whether the first bytes of a file are those of a video, whatever it is called."""
    return _BEGINS.match(content) is not None
