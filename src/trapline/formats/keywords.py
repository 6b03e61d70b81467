"""Keywords of photos, in them or in sidecars, as labels: which are is said by the user."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import polars as pl

from trapline.catalog import as_name
from trapline.errors import DataError
from trapline.formats.exiftool import find_exiftool, read_lists

TOP_KEYWORD = "Trapline"
"""Above all keywords that our own answers are written as."""

_FLAT = ("XMP-dc:Subject", "IPTC:Keywords")
_LEVELS = {"XMP-lr:HierarchicalSubject": "|", "XMP-digiKam:TagsList": "/"}
_FILES_AT_ONCE = 512

Path_ = tuple[str, ...]


@dataclass(frozen=True)
class Keywords:
    """Those of one photo.

    Attributes:
        flat: words.
        trees: their levels, where they have some, from the top.
    """

    flat: frozenset[str]
    trees: frozenset[Path_]

    def words(self) -> list[str]:
        """All of them, levels separated by `|`."""
        within = {level for path in self.trees for level in path}
        return sorted({*("|".join(path) for path in self.trees), *(self.flat - within)})


def label_by_keywords(
    rows: pl.DataFrame, root: Path, wanted: Sequence[str]
) -> tuple[pl.DataFrame, list[str]]:
    """Rows with `labels` from the photos' keywords, and `keywords` that has them all; and what to say.

    Args:
        rows: with `file_path`.
        root: the folder of the photos; sidecars are called `photo.jpg.xmp` or `photo.xmp`.
        wanted: keywords. What is below one of them in a tree (`Species`, `Animals|Mammals`) is a label, the
            lowest level; a keyword that has nothing below it anywhere is a label itself. Those below
            `Trapline`, a model's answers, and the same words beside them are none unless they are asked for.

    Raises:
        UsageError: ExifTool is not installed.
        DataError: no photo has such a keyword; the usual ones are named.
    """
    keywords = _read_keywords(rows["file_path"].to_list(), root)
    roots = [tuple(level.strip() for level in re.split(r"[|/]", word)) for word in wanted]
    trees = {path for one in keywords for path in one.trees}
    words = [top for top in roots if not any(_is_below(path, top) for path in trees)]
    machine = any(top[0] == TOP_KEYWORD for top in roots)
    labels = [_labels(one, [top for top in roots if top not in words], words, machine) for one in keywords]
    labelled = sum(map(bool, labels))
    if not labelled:
        usual = Counter(word for one in keywords for word in one.words()).most_common(8)
        have = ", ".join(f"'{word}' ({count:,})" for word, count in usual) or "none"
        raise DataError(
            f"No photo in {root} has a keyword {' or '.join(map(repr, wanted))}, or one below it; "
            f"keywords that photos have: {have}."
        )
    of_machine = sum(any(path[0] == TOP_KEYWORD for path in one.trees) for one in keywords)
    notes = [
        f"labels are keywords: {labelled:,} photos have one, {len(labels) - labelled:,} are not labelled"
    ]
    if of_machine and not machine:
        notes.append(
            f"{of_machine:,} photos have keywords below '{TOP_KEYWORD}', a model's answers: no labels are "
            f"made of them (--keywords '{TOP_KEYWORD}|species' would)"
        )
    return rows.with_columns(
        pl.Series("labels", [own or None for own in labels], pl.List(pl.String)),
        pl.Series("keywords", ["; ".join(one.words()) or None for one in keywords], pl.String),
    ), notes


def _labels(one: Keywords, tops: Sequence[Path_], words: Sequence[Path_], machine: bool) -> list[str]:
    """The labels of a photo: below `tops`, and `words` themselves; a model's where they are asked for."""
    paths = {path for path in one.trees if machine or path[0] != TOP_KEYWORD}
    lowest = {path for path in paths if not any(_is_below(other, path) for other in paths)}
    labels = {path[-1] for path in lowest if any(_is_below(path, top) for top in tops)}
    answers = {path[-1] for path in one.trees if path[0] == TOP_KEYWORD} if not machine else set()
    labels |= {top[-1] for top in words if top in paths}
    labels |= {top[0] for top in words if len(top) == 1 and top[0] in one.flat - answers}
    return sorted(labels)


def _is_below(path: Path_, top: Path_) -> bool:
    return len(path) > len(top) and path[: len(top)] == top


def _read_keywords(paths: Sequence[str], root: Path) -> list[Keywords]:
    """Of each photo those in it and in its sidecars."""
    program = find_exiftool()
    files = [(row, file) for row, path in enumerate(paths) for file in _files(root / as_name(path))]
    flat: list[set[str]] = [set() for _ in paths]
    trees: list[set[Path_]] = [set() for _ in paths]
    for start in range(0, len(files), _FILES_AT_ONCE):
        some = files[start : start + _FILES_AT_ONCE]
        answers = read_lists(program, [file for _, file in some], (*_FLAT, *_LEVELS))
        for (row, _), values in zip(some, answers, strict=True):
            for tag in _FLAT:
                flat[row].update(values.get(tag.partition(":")[2], ()))
            for tag, separator in _LEVELS.items():
                texts = values.get(tag.partition(":")[2], ())
                trees[row].update(tuple(level.strip() for level in text.split(separator)) for text in texts)
    return [Keywords(frozenset(words), frozenset(own)) for words, own in zip(flat, trees, strict=True)]


def _files(photo: Path) -> list[Path]:
    sidecars = (photo.with_name(photo.name + ".xmp"), photo.with_suffix(".xmp"))
    return [photo, *(file for file in sidecars if file.is_file())]
