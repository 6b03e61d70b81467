"""What lies at an address, as files of this machine: copies of what is read, and what is to be put there.

Everything that needs a whole file works on such a copy and knows nothing of addresses. A copy is kept in the
user's cache as long as what it is of stays the same; what is made for an address is made in the cache too, by
whatever journal the work has, and put when it is finished.
"""

from __future__ import annotations

import json
import shutil
import time
from collections.abc import Iterator, Mapping
from contextlib import suppress
from pathlib import Path

from trapline.errors import DataError, TraplineError, UsageError, describe_system_error
from trapline.storage.cache_folder import user_cache_folder
from trapline.storage.remote_path import RemotePath, RemoteStat
from trapline.storage.whole import replace_text, replace_whole

MOST_COPIED = 20 * 10**9
"""Bytes of a file, or of all files of a folder, that are copied from an address."""

_CHUNK = 32 * 2**20
_AT_ONCE = 8
_PUT = ".put"
"""A file in the folder of what is put, with the names of what was (JSON); in one of copies: it is whole."""

_KEPT_SECONDS = 7 * 24 * 3600
_LOCAL_ENDINGS = (".journal", ".lock", ".partial", ".ckpt", ".sqlite", "-wal", "-shm")
"""Of files with which work goes on on this machine, and which are no results."""


def fetch(source: RemotePath, most_bytes: int = MOST_COPIED) -> Path:
    """A copy of a file, or of a folder with all that is below, on this machine.

    It is fetched again when size or ETag have changed, and the older one removed. Beside a CSV comes the
    `.json` that `trapline predict` writes with it.

    Raises:
        DataError: there is nothing, it is too large, or it changed meanwhile.
    """
    stats = _stats_of(source)
    if sum(stat.size for stat in stats.values()) > most_bytes:
        raise DataError(f"{source} has more than {most_bytes / 1e9:.0f} GB; copy what you need of it.")
    versions = _folder("read", source)
    folder = versions / _digest(*(f"{name} {stat.size} {stat.etag}" for name, stat in stats.items()))
    if not (folder / _PUT).is_file():
        from concurrent.futures import ThreadPoolExecutor  # not at every start

        with ThreadPoolExecutor(_AT_ONCE) as pool:
            list(
                pool.map(
                    lambda name: copy_file(source.parent / name, stats[name], below(folder, name)), stats
                )
            )
        (folder / _PUT).touch()
        for older in versions.iterdir():
            if older != folder:
                shutil.rmtree(older, ignore_errors=True)
    return folder / source.name


def _stats_of(source: RemotePath) -> Mapping[str, RemoteStat]:
    """The files of a source by their names, from the folder above it on."""
    if source.is_file():
        stats = {source.name: source.stat()}
        header = source.with_name(f"{source.name}.json")
        if source.suffix.lower() == ".csv" and header.is_file():
            stats[header.name] = header.stat()
        return stats
    stats = {f"{source.name}/{name}": stat for name, stat in source.walk()}
    if not stats:
        raise DataError(f"There is nothing at {source}. Check the path.")
    return stats


def copy_file(source: RemotePath, stat: RemoteStat, path: Path) -> None:
    """Fetch a file whole, or not at all.

    Raises:
        DataError: it changed meanwhile.
    """
    with replace_whole(path) as partial, partial.open("wb") as file:
        for start in range(0, stat.size, _CHUNK):
            file.write(source.read(start, min(_CHUNK, stat.size - start), most=_CHUNK))
    if stat.size > _CHUNK and source.stat() != stat:
        path.unlink()
        raise DataError(f"{source} changed while it was read. Run the command again.")


def below(folder: Path, name: str) -> Path:
    """Where a file of that name goes; a name from elsewhere leads nowhere else.

    Raises:
        DataError: no file of this machine can be called so.
    """
    parts = name.split("/")
    if any(part in ("", ".", "..") or "\\" in part or "\0" in part for part in parts):
        raise DataError(
            f"No file of this machine can be called '{name}', as an object in the bucket is: rename that, or "
            "name another folder."
        )
    return folder.joinpath(*parts)


# ---- what is put


def stage(target: RemotePath, *, replace: bool, goes_on: bool) -> Path:
    """Where to make on this machine what `put_staged` puts to an address.

    Args:
        target: the file or folder.
        replace: whether a file that is there may be replaced; a folder never is.
        goes_on: whether what an earlier call left behind unfinished is gone on with.

    Raises:
        UsageError: the target exists.
    """
    _remove_old()
    folder = _folder("put", target)
    here = folder / target.name
    if target.is_dir() and not (goes_on and here.is_dir()):
        raise UsageError(
            f"{target} exists, and a folder at an address is not replaced. Name another, or remove it."
        )
    if not replace and target.is_file():
        raise UsageError(f"{target} exists. Name another output with -o, or overwrite it with --force.")
    if not goes_on or ((folder / _PUT).exists() and not target.is_dir()):
        shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True, exist_ok=True)
    return here


def put_staged(target: RemotePath) -> None:
    """Put what was made for an address, each file whole, the one that was asked for last.

    What an earlier call has put there, and this one has not made, is taken away. What was made stays in the
    cache for a week: what was opened of it is read there.

    Raises:
        UsageError: there is a link in it, which is none elsewhere.
        DataError: it could not be put; where it lies here is said.
    """
    folder = _folder("put", target)
    files = {path.relative_to(folder).as_posix(): path for path in folder.rglob("*") if _is_result(path)}
    if any(path.is_symlink() for path in files.values()):
        raise UsageError(
            f"Links cannot be put at {target}: have the files themselves written there (--mode copy)."
        )
    beside = sorted(files.keys() - {target.name})
    try:
        from concurrent.futures import ThreadPoolExecutor  # not at every start

        with ThreadPoolExecutor(_AT_ONCE) as pool:
            list(pool.map(lambda name: (target.parent / name).put(files[name]), beside))
        if target.name in files:
            target.put(files[target.name])
        for name in _put_before(folder) - files.keys():
            (target.parent / name).unlink(missing_ok=True)
    except (TraplineError, OSError) as error:
        why = describe_system_error(error) if isinstance(error, OSError) else str(error)
        raise DataError(f"{why} What was made is kept in {folder}.") from error
    if files:
        replace_text(folder / _PUT, json.dumps(sorted(files)))


def _put_before(folder: Path) -> set[str]:
    """The names of what was put by an earlier call."""
    mark = folder / _PUT
    return set(json.loads(mark.read_text(encoding="utf-8"))) if mark.exists() else set()


def _is_result(path: Path) -> bool:
    return (path.is_symlink() or path.is_file()) and not (
        path.name == _PUT or path.name.endswith(_LOCAL_ENDINGS)
    )


def _remove_old() -> None:
    """Remove what was put more than a week ago."""
    with suppress(OSError):
        for mark in _all_put():
            if time.time() - mark.stat().st_mtime > _KEPT_SECONDS:
                shutil.rmtree(mark.parent, ignore_errors=True)


def _all_put() -> Iterator[Path]:
    return (user_cache_folder() / "cloud" / "put").glob(f"*/{_PUT}")


def _folder(purpose: str, address: RemotePath) -> Path:
    return user_cache_folder().absolute() / "cloud" / purpose / _digest(str(address))


def _digest(*texts: str) -> str:
    import hashlib

    return hashlib.blake2b("\n".join(texts).encode(), digest_size=12).hexdigest()
