"""A tree of class folders made of links: what Keras, torchvision and others read, without a second copy."""

from __future__ import annotations

import json
import os
import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import polars as pl

from trapline.catalog.names import as_name
from trapline.catalog.table import Catalog
from trapline.errors import DataError, UsageError, many

_RECORD = ".trapline-links.json"
_BAD_FOLDER = re.compile(r'(^|/)\.{0,2}(/|$)|[\\:*?"<>|\x00-\x1f]|(^|/)[ ]|[ .](/|$)')
_OUTSIDE = re.compile(r"(^|/)\.{0,2}(/|$)") if os.name == "posix" else _BAD_FOLDER
"""In a record: what could lead out of the folder. A file's name may hold more than a folder's, a label."""


@dataclass(frozen=True)
class LinkReport:
    """What `link_class_folders` did.

    Attributes:
        made: links that are new.
        kept: links that were there already.
        removed: links of an earlier time that no longer belong.
        without_label: media left out because they are not labelled.
        without_part: labelled media left out because they are in no part of the split.
        renamed: links that are named by their whole path because their file names collide.
    """

    made: int = 0
    kept: int = 0
    removed: int = 0
    without_label: int = 0
    without_part: int = 0
    renamed: int = 0


def link_class_folders(catalog: Catalog, folder: Path | str, *, kind: str = "symlink") -> LinkReport:
    """Make `<split>/<label>/<file>` (without a split `<label>/<file>`) as links to the media.

    Doing it again changes nothing; after another split the links that moved are removed, so that no media
    stays in a part that it has left. Only links that this function made are ever removed. Files of one name
    in one folder are named by their whole path, with `__` for each slash.

    Args:
        catalog: with one label a media; without a label, or in no part of the split, they are left out and
            counted.
        folder: empty, new, or made by this function before.
        kind: `symlink`, or `hardlink` (where links are not allowed; same disk).

    Raises:
        DataError: photos in a bucket, media with several labels, missing files, or a label that cannot name
            a folder.
        UsageError: the folder holds other things, or this disk does not allow such links.
    """
    if kind not in ("symlink", "hardlink"):
        raise UsageError(f"Links are made as symlink or hardlink, not as '{kind}'.")
    folder = Path(folder).absolute()
    before = _read_record(folder)
    rows, left_out = _linkable(catalog)
    wanted = dict(rows.select("link", "file_path").rows())
    gone = [path for path in wanted.values() if not catalog.on_disk(path).is_file()]
    if gone:
        raise DataError(
            f"{many(len(gone), 'file to link to is')} missing, the first is {catalog.path(gone[0])}."
        )
    folder.mkdir(parents=True, exist_ok=True)
    # written first, so that an interrupted run leaves nothing that the next does not know
    _write_record(folder, before | wanted)
    removed = [_remove(folder, link) for link in before if link not in wanted or before[link] != wanted[link]]
    made = [_link(folder / as_name(link), catalog.on_disk(path), kind) for link, path in wanted.items()]
    _write_record(folder, wanted)
    return LinkReport(
        made=sum(made),
        kept=len(made) - sum(made),
        removed=sum(removed),
        renamed=int(rows["renamed"].sum()),
        **left_out,
    )


def _linkable(catalog: Catalog) -> tuple[pl.DataFrame, dict[str, int]]:
    """The media to link with the path of each link, and how many were left out for what."""
    table = catalog.table
    several = table.filter(pl.col("labels").list.len() > 1)
    if several.height:
        raise DataError(
            f"{many(several.height, 'media has')} several labels, the first is {several['file_path'][0]} "
            f"({', '.join(several['labels'][0])}); a tree of class folders holds one label a media."
        )
    split = not table["split"].is_null().all()
    labelled = table.filter(pl.col("labels").is_not_null())
    rows = labelled.filter(pl.col("split").is_not_null()) if split else labelled
    label = pl.col("labels").list.first()
    folder = pl.concat_str("split", label, separator="/") if split else label
    rows = rows.select("file_path", folder.alias("folder"))
    bad = [name for name in rows["folder"].unique() if _BAD_FOLDER.search(name)]
    if bad:
        raise DataError(f"The label of '{bad[0]}' cannot name a folder on every system; rename it.")
    name = pl.col("file_path").str.split("/").list.last()
    # names are compared without case, as some disks do
    collides = pl.struct(pl.col("folder").str.to_lowercase(), name.str.to_lowercase()).is_duplicated()
    rows = rows.with_columns(collides.alias("renamed"))
    long_name = pl.col("file_path").str.replace_all("/", "__", literal=True)
    chosen = pl.when("renamed").then(long_name).otherwise(name)
    rows = rows.with_columns(pl.concat_str("folder", chosen, separator="/").alias("link"))
    twice = rows.filter(pl.col("link").is_duplicated())
    if twice.height:
        raise DataError(f"{twice.height} media would get the same link, the first is {twice['link'][0]}.")
    left = {"without_label": table.height - labelled.height, "without_part": labelled.height - rows.height}
    return rows, left


def _read_record(folder: Path) -> dict[str, str]:
    record = folder / _RECORD
    if record.is_file():
        links = json.loads(record.read_text(encoding="utf-8"))
        if not isinstance(links, dict) or any(_OUTSIDE.search(link) for link in links):
            raise DataError(f"{record} was not written by Trapline; name a new or empty folder.")
        return links
    if folder.exists() and (not folder.is_dir() or any(folder.iterdir())):
        raise UsageError(f"{folder} holds other things than links of Trapline; name a new or empty folder.")
    return {}


def _write_record(folder: Path, links: Mapping[str, str]) -> None:
    (folder / _RECORD).write_text(json.dumps(dict(sorted(links.items())), indent=0), encoding="utf-8")


def _remove(folder: Path, link: str) -> bool:
    path = folder / as_name(link)
    if not _is_link(path):
        return False
    path.unlink()
    parent = path.parent
    while parent != folder and not any(parent.iterdir()):
        parent.rmdir()
        parent = parent.parent
    return True


def _is_link(path: Path) -> bool:
    """Whether another name leads to the same content, so that nothing is lost by removing this one."""
    return path.is_symlink() or (path.is_file() and path.stat().st_nlink > 1)


def _link(link: Path, target: Path, kind: str) -> bool:
    """Make one link if it is not there as wanted; whether it was made."""
    if os.path.lexists(link):
        if link.is_symlink() == (kind == "symlink") and link.exists() and link.samefile(target):
            return False
        if not _is_link(link):
            raise UsageError(f"{link} is a file of its own, not a link; name a new or empty folder.")
        link.unlink()
    link.parent.mkdir(parents=True, exist_ok=True)
    try:
        if kind == "symlink":
            link.symlink_to(os.path.relpath(target, link.parent))
        else:
            link.hardlink_to(target)
    except OSError as error:
        other = "hardlink" if kind == "symlink" else "symlink"
        raise UsageError(f"This disk does not allow a {kind} at {link} ({error}); try {other}.") from error
    return True
