"""Where Trapline keeps what it can fetch or compute again; losing it costs time and nothing else."""

from __future__ import annotations

import os
import sys
from functools import cache
from pathlib import Path


def user_cache_folder() -> Path:
    """`TRAPLINE_CACHE`, or the system's place for caches, or a folder for temporary files.

    A user without a home (a container's arbitrary number, a service), or with one that may not be written
    to, gets the last. It is made anew where somebody else owns the one of before.
    """
    if chosen := os.environ.get("TRAPLINE_CACHE"):
        return Path(chosen)
    usual = _usual()
    return usual if usual is not None and may_be_made(usual) else _temporary()


def may_be_made(folder: Path) -> bool:
    """Whether this user can write into a folder, or make it."""
    there = next(ancestor for ancestor in (folder, *folder.absolute().parents) if ancestor.exists())
    return there.is_dir() and os.access(there, os.W_OK | os.X_OK)


def _usual() -> Path | None:
    """The system's place for caches; None for a user who has none."""
    try:
        if sys.platform == "win32":
            local = os.environ.get("LOCALAPPDATA")
            return (Path(local) if local else Path.home() / "AppData" / "Local") / "trapline" / "Cache"
        if sys.platform == "darwin":
            return Path.home() / "Library" / "Caches" / "trapline"
        shared = os.environ.get("XDG_CACHE_HOME")
        return (Path(shared) if shared else Path.home() / ".cache") / "trapline"
    except RuntimeError:  # neither HOME nor an entry among the system's users
        return None


@cache
def _temporary() -> Path:
    """The same at every run, and of nobody else: what others could put there would be believed."""
    import tempfile  # not at every start

    number = os.getuid() if hasattr(os, "getuid") else 0
    folder = Path(tempfile.gettempdir()) / f"trapline-cache-{number}"
    folder.mkdir(mode=0o700, exist_ok=True) if not folder.is_symlink() else None
    status = folder.lstat()
    mine = not folder.is_symlink() and status.st_uid == number and not status.st_mode & 0o022
    if sys.platform == "win32" or mine:
        return folder
    return Path(tempfile.mkdtemp(prefix="trapline-cache-"))
