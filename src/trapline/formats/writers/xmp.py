"""Keywords for programs that manage photos: in XMP sidecars, or in copies of the photos themselves."""

from __future__ import annotations

import errno
import os
import re
import shutil
import tempfile
from collections import Counter
from collections.abc import Collection, Sequence
from dataclasses import replace
from pathlib import Path, PurePosixPath
from typing import Literal
from xml.etree import ElementTree

from trapline.catalog import as_name, refuse_gone
from trapline.errors import DataError, UsageError
from trapline.formats.exiftool import IPTC_KEYWORDS, Tags, add_tags, find_exiftool, read_keywords
from trapline.formats.keywords import TOP_KEYWORD
from trapline.formats.writers.answers import (
    describe_spread,
    describe_threshold,
    observe_media,
    state_of,
)
from trapline.formats.writers.people import Copier, copier
from trapline.formats.writers.writing import Job, Written, put, writer
from trapline.observations import MediaObservations
from trapline.storage import AnyPath, RemotePath

CREATOR = "Trapline"
BEFORE = "before"
"""The level below which stand keywords of the model that a photo had already: a person gave them too."""
Mode = Literal["sidecar", "copy"]
Naming = Literal["full", "adobe"]
_SPACES = {
    "x": "adobe:ns:meta/",
    "rdf": "http://www.w3.org/1999/02/22-rdf-syntax-ns#",
    "dc": "http://purl.org/dc/elements/1.1/",
    "lr": "http://ns.adobe.com/lightroom/1.0/",
    "digiKam": "http://www.digikam.org/ns/1.0/",
    "xmp": "http://ns.adobe.com/xap/1.0/",
}
_NO_XML = re.compile("[^\x20-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")
"""Characters that no XML can hold, escaped or not, and ends of lines, which it changes."""

_PACKET = ('<?xpacket begin="\ufeff" id="W5M0MpCehiHzreSzNTczkc9d"?>\n', '\n<?xpacket end="w"?>\n')


_NAMED = 5
"""Keywords of photos that are named; the others are there too."""

_COPIES_AT_ONCE = 20
"""Photos that one start of ExifTool is for, and that lie in the output without their name meanwhile."""


@writer(
    "xmp",
    into="shared",
    opened_by=("digiKam", "darktable", "Lightroom"),
    loses=(
        "probabilities, who says what, and all labels but the answers",
        "boxes, locations, times, events: only keywords are written",
    ),
)
def write_xmp(
    job: Job,
    *,
    threshold: float | None = None,
    mode: Mode = "sidecar",
    naming: Naming | None = None,
    blur_people: bool = False,
) -> Written:
    """XMP sidecars with keywords, or copies of the photos with them; the photos are never touched.

    Keywords are the labels (`dc:subject`), and as a hierarchy `Trapline|species|<label>`
    (`lr:hierarchicalSubject`, `digiKam:TagsList`); `Trapline|unclassified` where no label passes,
    `Trapline|failed` where the photo failed, `Trapline|unobserved` where nobody says anything.
    With a taxonomy the scientific name is a keyword as well, below `Trapline|taxon`, under its whole path.
    Copies have them as IPTC keywords too, beside those that the photo had; nothing else in them changes. What
    a person had called as the model does is told from it by `Trapline|before|<keyword>`.

    Args:
        job: what is to be written; the output is the folder of the photos, or another.
        threshold: labels below this probability are no answers.
        mode: `sidecar`, or `copy`, which needs the program ExifTool and an output without those photos.
        naming: of sidecars: `full` (photo.jpg.xmp; where none is named) or `adobe` (photo.xmp).
        blur_people: make people in copies unrecognisable, where a detector's boxes have them.

    Raises:
        UsageError: an unknown mode or naming; sidecars exist and `--force` was not given; photos exist where
            copies would be; ExifTool is not installed.
        SourceGoneError: none of the photos can be read, and they are to be copied or to lie beside what is
            written.
        DataError: a sidecar of another program is in the way, or two photos would share a sidecar or a copy.
    """
    if mode == "copy" and naming is not None:
        raise UsageError("A copy is called as its photo is; --naming is for sidecars.")
    entries, notes = observe_media(job, threshold)
    copies = copier(job, entries, blur_people=blur_people, mode=mode)
    if mode == "copy":
        done = _write_copies(job, entries, copies)
    else:
        done = _write_sidecars(job, entries, naming or "full")
    unclassified = sum(entry.unclassified for entry in entries)
    notes += describe_spread(job) + describe_threshold(
        job, threshold, unclassified, f"their keyword is {TOP_KEYWORD}|unclassified"
    )
    return replace(done, notes=[*done.notes, *notes])


def _write_sidecars(job: Job, entries: Sequence[MediaObservations], naming: Naming) -> Written:
    root, output = job.catalog.root.resolve(), job.output.resolve()
    beside = isinstance(root, Path) and (output.is_relative_to(root) or root.is_relative_to(output))
    if beside:  # else they need no photos
        refuse_gone(job.catalog)
    targets = [_sidecar(entry.media["file_path"], naming) for entry in entries]
    _refuse_shared(job, targets, "sidecar", "use --naming full" if naming == "adobe" else None)
    _refuse_sidecars_there(job, targets)
    failed = []
    for entry, target in zip(entries, targets, strict=True):
        try:
            put(job.output / as_name(target), sidecar(_subjects(job, entry), _hierarchy(job, entry)))
        except OSError as error:
            if error.errno != errno.ENAMETOOLONG:
                raise
            failed.append(target)
    written = [target for target in targets if target not in set(failed)]
    lacking = [f"{target}: {os.strerror(errno.ENAMETOOLONG)}" for target in failed]
    return Written(len(written), "sidecars", [], [], written, lacking)


def _write_copies(job: Job, entries: Sequence[MediaObservations], copies: Copier) -> Written:
    """Copies below the output, called and dated as their photos are; each takes its name when it is whole."""
    program = find_exiftool()
    targets = [entry.media["file_path"] for entry in entries]
    _refuse_shared(job, targets, "copy")
    present = [target for target in targets if os.path.lexists(job.output / as_name(target))]
    if present:
        raise UsageError(
            f"{len(present)} of the photos exist in {job.output}, the first is {present[0]}. Copies are "
            "never written over a file, not even with --force: name another folder with -o."
        )
    refuse_gone(job.catalog)
    job.output.mkdir(parents=True, exist_ok=True)
    failed: dict[str, str] = {}
    before: Counter[str] = Counter()
    for start in range(0, len(entries), _COPIES_AT_ONCE):
        failed |= _copy_some(program, job, entries[start : start + _COPIES_AT_ONCE], before, copies)
    written = [target for target in targets if target not in failed]
    return Written(
        len(written),
        "copies",
        [],
        [*copies.notes(), *_describe_before(before)],
        written,
        [f"{target}: {why}" for target, why in failed.items()],
    )


def _describe_before(before: Counter[str]) -> list[str]:
    """For people: that keywords stood in the photos before, of a person or another program."""
    if not before:
        return []
    named = ", ".join(f"{word} ({count})" for word, count in before.most_common(_NAMED))
    return [
        f"photos had keywords of their own, which stay: {named}{', …' if len(before) > _NAMED else ''}; the "
        f"model's are those below {TOP_KEYWORD}, and {TOP_KEYWORD}|{BEFORE} names what both say"
    ]


def _copy_some(
    program: str, job: Job, entries: Sequence[MediaObservations], before: Counter[str], copies: Copier
) -> dict[str, str]:
    """Copies of some photos, with keywords; returns file path -> why, of those that could not be made.

    What keywords they had before, but those that were written here, is added to `before`.
    """
    failed: dict[str, str] = {}
    with tempfile.TemporaryDirectory(prefix=".trapline-", dir=job.output) as made:
        copied: list[int] = []
        for number, entry in enumerate(entries):
            target = entry.media["file_path"]
            lacking = _why_not_copied(job.catalog.path(target)) or copies.copy(
                target, Path(made, str(number))
            )
            if lacking is None:
                copied.append(number)
            else:
                failed[target] = lacking
        tags: dict[str, Tags] = {}
        keywords = read_keywords(program, [Path(made, str(number)) for number in copied])
        for number, (flat, levels) in zip(copied, keywords, strict=True):
            own = _keywords_before(flat, levels)
            before.update(own)
            tags[str(number)] = _tags(job, entries[number], own)
        refused = add_tags(program, Path(made), tags)
        for name in tags:
            target = entries[int(name)].media["file_path"]
            if name in refused:
                failed[target] = refused[name]
                continue
            if isinstance(photo := job.catalog.path(target), Path):
                shutil.copystat(photo, Path(made, name))
            copy = job.output / as_name(target)
            copy.parent.mkdir(parents=True, exist_ok=True)
            Path(made, name).replace(copy)
    return failed


def _why_not_copied(source: AnyPath) -> str | None:
    """Why there is nothing to copy; None where there is."""
    try:
        if isinstance(source, RemotePath):
            return None if source.stat().size else "the file is empty"
        if source.exists() and not source.is_file():  # a pipe would never end
            return "not a regular file"
        with source.open("rb") as file:  # of an empty one ExifTool would make a file of a format of its own
            return None if file.read(1) else "the file is empty"
    except OSError as error:
        return error.strerror or str(error)


def _keywords_before(flat: frozenset[str], levels: frozenset[str]) -> set[str]:
    """The flat keywords of a photo that were not written here before, by the keywords with levels in it."""
    ours = [path.split("|") for path in levels if path.startswith(f"{TOP_KEYWORD}|")]
    written = {path[-1] for path in ours if path[1] != BEFORE}
    kept = {path[-1] for path in ours if path[1] == BEFORE}
    return {word for word in flat if _level(word) not in written or _level(word) in kept}


def _tags(job: Job, entry: MediaObservations, before: Collection[str]) -> Tags:
    """The keywords as lists of ExifTool's; those that stood there `before` are named as such."""
    subjects = [_clean(word) for word in _subjects(job, entry)]
    hierarchy = [_clean(path) for path in _hierarchy(job, entry)]
    hierarchy += [f"{TOP_KEYWORD}|{BEFORE}|{_level(word)}" for word in subjects if word in before]
    return {
        IPTC_KEYWORDS: subjects,
        "XMP-dc:Subject": subjects,
        "XMP-lr:HierarchicalSubject": hierarchy,
        "XMP-digiKam:TagsList": _escape_slashes(hierarchy),
    }


def sidecar(subjects: list[str], hierarchy: list[str]) -> str:
    """One XMP packet: flat keywords, and keywords whose levels are separated by `|`."""
    for prefix, uri in _SPACES.items():
        ElementTree.register_namespace(prefix, uri)
    root = ElementTree.Element(_tag("x", "xmpmeta"))
    rdf = ElementTree.SubElement(root, _tag("rdf", "RDF"))
    description = ElementTree.SubElement(
        rdf, _tag("rdf", "Description"), {_tag("rdf", "about"): "", _tag("xmp", "CreatorTool"): CREATOR}
    )
    _list(description, "dc", "subject", "Bag", subjects)
    _list(description, "lr", "hierarchicalSubject", "Bag", hierarchy)
    _list(description, "digiKam", "TagsList", "Seq", _escape_slashes(hierarchy))
    ElementTree.indent(root)
    return _PACKET[0] + ElementTree.tostring(root, encoding="unicode") + _PACKET[1]


def _list(parent: ElementTree.Element, prefix: str, name: str, kind: str, items: list[str]) -> None:
    property_ = ElementTree.SubElement(parent, _tag(prefix, name))
    holder = ElementTree.SubElement(property_, _tag("rdf", kind))
    for item in items:
        ElementTree.SubElement(holder, _tag("rdf", "li")).text = _clean(item)


def _clean(keyword: str) -> str:
    return _NO_XML.sub("\ufffd", keyword)


def _escape_slashes(hierarchy: Sequence[str]) -> list[str]:
    """Levels as digiKam separates them."""
    return [path.replace("|", "/") for path in hierarchy]


def _tag(prefix: str, name: str) -> str:
    return f"{{{_SPACES[prefix]}}}{name}"


def _level(name: str) -> str:
    """One level of a keyword; the two signs that separate levels cannot be in it."""
    return name.replace("|", "¦").replace("/", "∕")


def _subjects(job: Job, entry: MediaObservations) -> list[str]:
    labels = entry.labels
    names = [name for label in labels if (name := job.scientific_name(label))]
    return list(dict.fromkeys([*labels, *names]))


def _hierarchy(job: Job, entry: MediaObservations) -> list[str]:
    labels = entry.labels
    if not labels:
        return [f"{TOP_KEYWORD}|{state_of(entry)}"]
    keywords = [f"{TOP_KEYWORD}|species|{_level(label)}" for label in labels]
    if job.taxonomy is not None:
        paths = [job.taxonomy.path(label) for label in labels if job.scientific_name(label) is not None]
        keywords += ["|".join([TOP_KEYWORD, "taxon", *map(_level, path)]) for path in paths]
    return list(dict.fromkeys(keywords))


def _sidecar(file_path: str, naming: Naming) -> str:
    path = PurePosixPath(file_path)
    return (path.with_suffix(".xmp") if naming == "adobe" else path.with_name(path.name + ".xmp")).as_posix()


def _refuse_shared(job: Job, targets: Sequence[str], what: str, advice: str | None = None) -> None:
    folded = [target.casefold() for target in targets]
    apart = len(set(folded)) == len(targets) or _tells_cases_apart(job.output)
    counts = Counter(targets if apart else folded)
    shared = next((target for target in targets if counts[target if apart else target.casefold()] > 1), None)
    if shared is None:
        return
    if advice is None:
        one = "upper and lower case are one on that disk; name a folder on another with -o"
        advice = "the catalog has the photo twice" if apart else one
    raise DataError(f"Two photos would share the {what} {shared}: {advice}.")


def _refuse_sidecars_there(job: Job, targets: Sequence[str]) -> None:
    present = [target for target in targets if (job.output / as_name(target)).exists()]
    foreign = [target for target in present if not _is_ours(job.output / as_name(target))]
    if foreign:
        raise DataError(
            f"{len(foreign)} sidecars exist and are another program's, the first is {foreign[0]}. They are "
            "never overwritten: name another output folder with -o."
        )
    if present and not job.force:
        raise UsageError(f"{len(present)} sidecars exist, the first is {present[0]}. Replace with --force.")


def _tells_cases_apart(folder: Path) -> bool:
    """Whether the disk of a folder, which need not be there yet, keeps `a` and `A` apart."""
    there = next(each for each in (folder.absolute(), *folder.absolute().parents) if each.is_dir())
    with tempfile.NamedTemporaryFile(prefix=".trapline-case-", dir=there) as file:
        path = Path(file.name)
        return not path.with_name(path.name.upper()).exists()


def _is_ours(path: Path) -> bool:
    """Written by `sidecar`, and not rewritten by a program that signs in our place."""
    return f'CreatorTool="{CREATOR}"' in path.read_text(encoding="utf-8", errors="replace")
