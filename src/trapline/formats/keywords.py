"""Keywords of photos, in them or in sidecars, as labels: which are is said by the user."""

from __future__ import annotations

import re
import unicodedata
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import polars as pl

from trapline.catalog import as_name, as_text
from trapline.errors import DataError, UsageError, many
from trapline.formats.exiftool import find_exiftool, read_lists

TOP_KEYWORD = "Trapline"
"""Above all keywords that our own answers are written as."""

_FLAT = ("XMP-dc:Subject", "IPTC:Keywords")
_LEVELS = {
    "XMP-lr:HierarchicalSubject": "|",
    "XMP-digiKam:TagsList": "/",
    "XMP-mediapro:CatalogSets": "|",
    "XMP-microsoft:LastKeywordXMP": "/",
}
_FILES_AT_ONCE = 512
_END_OF_PACKET = b"RDF>"
_NAMED = 3

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
        root: the folder of the photos; sidecars are called `photo.jpg.xmp` or `photo.xmp`, in upper or lower
            case.
        wanted: keywords. What is below one of them in a tree (`Species`, `Animals|Mammals`) is a label, the
            lowest level; a keyword that has nothing below it anywhere is a label itself. Those below
            `Trapline`, a model's answers, and the same words beside them are none unless they are asked for.

    Raises:
        UsageError: ExifTool is not installed, or a keyword has no letter.
        DataError: no photo has such a keyword; the usual ones are named.
    """
    roots = [_levels(word, "[|/]") for word in wanted]
    if () in roots:
        raise UsageError(f"--keyword '{wanted[roots.index(())]}' names no keyword.")
    sidecars = _Sidecars(rows["file_path"].to_list(), root)
    keywords = _read_keywords(rows["file_path"].to_list(), root, sidecars)
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
        f"labels are keywords: {many(labelled, 'photo has')} one, {len(labels) - labelled:,} are not labelled"
    ]
    if of_machine and not machine:
        notes.append(
            f"{many(of_machine, 'photo has')} keywords below '{TOP_KEYWORD}', a model's answers: no labels "
            f"are made of them (--keyword '{TOP_KEYWORD}|species' would)"
        )
    notes += [*_describe_other_cases(keywords, roots), *sidecars.notes()]
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


def _describe_other_cases(keywords: Sequence[Keywords], tops: Sequence[Path_]) -> list[str]:
    """That keywords differ from those asked for in case only: whether they are meant is not guessed."""
    asked = {top[0].casefold(): top[0] for top in tops}
    others: Counter[tuple[str, str]] = Counter()
    for one in keywords:
        words = {path[0] for path in one.trees} | one.flat
        others.update((word, asked[word.casefold()]) for word in words if word.casefold() in asked)
    return [
        f"{many(count, 'photo has')} the keyword '{word}', which is not '{top}': no label is made of it"
        for (word, top), count in sorted(others.items())
        if word != top and word not in asked.values()
    ]


def _is_below(path: Path_, top: Path_) -> bool:
    return len(path) > len(top) and path[: len(top)] == top


def _levels(text: str, separator: str) -> Path_:
    """The levels of a keyword, accents in one form; those without a name are none."""
    composed = unicodedata.normalize("NFC", text)
    return tuple(level.strip() for level in re.split(separator, composed) if level.strip())


def _read_keywords(paths: Sequence[str], root: Path, sidecars: _Sidecars) -> list[Keywords]:
    """Of each photo those in it and in its sidecars."""
    program = find_exiftool()
    files = [
        (row, file)
        for row, path in enumerate(paths)
        for file in (root / as_name(path), *sidecars.of_photo.get(path, ()))
    ]
    flat: list[set[str]] = [set() for _ in paths]
    trees: list[set[Path_]] = [set() for _ in paths]
    for start in range(0, len(files), _FILES_AT_ONCE):
        some = files[start : start + _FILES_AT_ONCE]
        answers = read_lists(program, [file for _, file in some], (*_FLAT, *_LEVELS))
        for (row, _), values in zip(some, answers, strict=True):
            for tag in _FLAT:
                words = values.get(tag.partition(":")[2], ())
                flat[row].update(unicodedata.normalize("NFC", word) for word in words)
            for tag, separator in _LEVELS.items():
                texts = values.get(tag.partition(":")[2], ())
                trees[row].update(levels for text in texts if (levels := _levels(text, re.escape(separator))))
    return [Keywords(frozenset(words), frozenset(own)) for words, own in zip(flat, trees, strict=True)]


class _Sidecars:
    """The XMP files beside photos, each with the photo that it is of.

    Attributes:
        of_photo: the sidecars of each photo that has some.
    """

    def __init__(self, paths: Sequence[str], root: Path) -> None:
        self.of_photo: dict[str, list[Path]] = {}
        self._strangers: list[str] = []
        self._broken: list[str] = []
        folders: dict[Path, list[str]] = {}
        for path in paths:
            folders.setdefault((root / as_name(path)).parent, []).append(path)
        for folder, photos in sorted(folders.items()):
            self._look_into(folder, photos, root)

    def _look_into(self, folder: Path, photos: Sequence[str], root: Path) -> None:
        """Give each sidecar in a folder to its photo: to the letter, else without regard to case."""
        exact: dict[str, list[str]] = {}
        folded: dict[str, list[str]] = {}
        for photo in photos:
            name = as_name(photo.rsplit("/", 1)[-1])
            for called in dict.fromkeys((f"{name}.xmp", Path(name).with_suffix(".xmp").name)):
                exact.setdefault(called, []).append(photo)
                folded.setdefault(called.casefold(), []).append(photo)
        for file in sorted(file for file in folder.iterdir() if file.suffix.lower() == ".xmp"):
            own = exact.get(file.name) or folded.get(file.name.casefold(), [])
            where = as_text(file.relative_to(root).as_posix())
            if not own:
                self._strangers.append(where)
            elif _END_OF_PACKET not in file.read_bytes():
                self._broken.append(where)
            for photo in own:
                self.of_photo.setdefault(photo, []).append(file)

    def notes(self) -> list[str]:
        """What there is to say of them."""
        read = len({file for files in self.of_photo.values() for file in files}) - len(self._broken)
        told = [f"keywords are of {read:,} sidecars too"] if read else []
        for files, what in (
            (self._broken, "sidecars are damaged, and what is in them may be missing"),
            (self._strangers, "XMP files are of no photo here, and were not read"),
        ):
            more = ", …" if len(files) > _NAMED else ""
            told += [f"{len(files):,} {what}: {', '.join(files[:_NAMED])}{more}"] if files else []
        return told
