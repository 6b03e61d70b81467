"""Photo or video: by a file's name, by what a table says of it, by its first bytes."""

from __future__ import annotations

import re

from trapline.images.decode import SUFFIXES

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
