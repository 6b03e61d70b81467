"""XMP sidecars: keywords beside the photos for digiKam, darktable, Lightroom and camtrapR."""

from __future__ import annotations

import re
from pathlib import Path, PurePosixPath
from typing import Literal
from xml.etree import ElementTree

from trapline.errors import DataError, UsageError
from trapline.formats.answers import MediaSaid, by_media, describe_spread, describe_threshold
from trapline.formats.writing import Job, Written, put, writer

CREATOR = "Trapline"
TOP_KEYWORD = "Trapline"
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


@writer(
    "xmp",
    into="shared",
    loses=(
        "probabilities, and all labels but the answers",
        "boxes, places, times, events: only keywords are written",
    ),
)
def write_xmp(job: Job, *, threshold: float | None = None, naming: Naming = "full") -> Written:
    """XMP sidecars with keywords; the photos themselves are never touched.

    Keywords are the labels (`dc:subject`), and as a hierarchy `Trapline|species|<label>`
    (`lr:hierarchicalSubject`, `digiKam:TagsList`); `Trapline|unclassified` where no label passes,
    `Trapline|failed` where the photo failed.
    With a taxonomy the scientific name is a keyword as well, below `Trapline|taxon`, under its whole path.

    Args:
        job: what is to be written; the output is the folder of the photos, or another.
        threshold: labels below it are no answers.
        naming: `full` (photo.jpg.xmp: digiKam, darktable) or `adobe` (photo.xmp: Lightroom).

    Raises:
        UsageError: an unknown naming, or sidecars exist and `--force` was not given.
        DataError: a sidecar of another program is in the way, or two photos would share one.
    """
    if naming not in ("full", "adobe"):
        raise UsageError(f"There is no naming '{naming}'; there are: full, adobe.")
    entries, notes = by_media(job, threshold)
    places = [_sidecar(entry.media["file_path"], naming) for entry in entries]
    _refuse_clashes(job, places)
    for entry, place in zip(entries, places, strict=True):
        put(job.output / place, sidecar(_subjects(job, entry), _hierarchy(job, entry)))
    unclassified = sum(all(what.unclassified for what in entry.said) for entry in entries)
    notes += describe_spread(job) + describe_threshold(
        job, threshold, unclassified, f"their keyword is {TOP_KEYWORD}|unclassified"
    )
    return Written(len(places), "sidecars", [], notes, places)


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
    _list(description, "digiKam", "TagsList", "Seq", [path.replace("|", "/") for path in hierarchy])
    ElementTree.indent(root)
    return _PACKET[0] + ElementTree.tostring(root, encoding="unicode") + _PACKET[1]


def _list(parent: ElementTree.Element, prefix: str, name: str, kind: str, items: list[str]) -> None:
    property_ = ElementTree.SubElement(parent, _tag(prefix, name))
    holder = ElementTree.SubElement(property_, _tag("rdf", kind))
    for item in items:
        ElementTree.SubElement(holder, _tag("rdf", "li")).text = _NO_XML.sub("\ufffd", item)


def _tag(prefix: str, name: str) -> str:
    return f"{{{_SPACES[prefix]}}}{name}"


def _level(name: str) -> str:
    """One level of a keyword; the two signs that separate levels cannot be in it."""
    return name.replace("|", "¦").replace("/", "∕")


def _labels(entry: MediaSaid) -> list[str]:
    return list(dict.fromkeys(answer.label for what in entry.said for answer in what.answers))


def _subjects(job: Job, entry: MediaSaid) -> list[str]:
    labels = _labels(entry)
    names = [name for label in labels if (name := job.scientific_name(label))]
    return list(dict.fromkeys([*labels, *names]))


def _hierarchy(job: Job, entry: MediaSaid) -> list[str]:
    labels = _labels(entry)
    if not labels:
        failed = all(what.failure is not None for what in entry.said)
        return [f"{TOP_KEYWORD}|{'failed' if failed else 'unclassified'}"]
    found = [f"{TOP_KEYWORD}|species|{_level(label)}" for label in labels]
    if job.taxonomy is not None:
        paths = [job.taxonomy.path(label) for label in labels if job.scientific_name(label) is not None]
        found += ["|".join([TOP_KEYWORD, "taxon", *map(_level, path)]) for path in paths]
    return list(dict.fromkeys(found))


def _sidecar(file_path: str, naming: Naming) -> str:
    path = PurePosixPath(file_path)
    return (path.with_suffix(".xmp") if naming == "adobe" else path.with_name(path.name + ".xmp")).as_posix()


def _refuse_clashes(job: Job, places: list[str]) -> None:
    seen: set[str] = set()
    for place in places:
        if place.casefold() in seen:
            raise DataError(f"Two photos would share the sidecar {place}; use --naming full.")
        seen.add(place.casefold())
    present = [place for place in places if (job.output / place).exists()]
    foreign = [place for place in present if not _is_ours(job.output / place)]
    if foreign:
        raise DataError(
            f"{len(foreign)} sidecars exist and are another program's, the first is {foreign[0]}. They are "
            "never overwritten: name another output folder with -o."
        )
    if present and not job.force:
        raise UsageError(f"{len(present)} sidecars exist, the first is {present[0]}. Replace with --force.")


def _is_ours(path: Path) -> bool:
    """Written by `sidecar`, and not rewritten by a program that signs in our place."""
    return f'CreatorTool="{CREATOR}"' in path.read_text(encoding="utf-8", errors="replace")
