"""Names of what is no photo of the user's, on cards and disks."""

from __future__ import annotations

_OF_SYSTEMS = frozenset(
    (
        *("__macosx", "@eadir", "system volume information", "_gsdata_"),
        *("$recycle.bin", "recycler", "recycled", "#recycle", "@recycle"),  # Windows, Synology, QNAP
        *("#snapshot", "@recently-snapshot"),
    )
)
"""What systems leave in folders: thumbnails, snapshots, what was thrown away."""


def is_hidden(name: str) -> bool:
    """Whether a file or folder is hidden, or left there by a system."""
    return name.startswith(".") or name.casefold() in _OF_SYSTEMS
