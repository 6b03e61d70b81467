"""What is kept with a catalog besides its table: typed here, JSON in the header of its file.

A record's optional fields are those that not every record has; they are left out of the JSON where they are
not given, so that a file says of itself only what is the case.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, fields
from typing import Annotated, Any, ClassVar, Self

from pydantic import BeforeValidator, ConfigDict, JsonValue, PlainSerializer, TypeAdapter, ValidationError

from trapline.catalog.names import as_listed
from trapline.errors import DataError, many
from trapline.tables import RejectedRow

NEAR_MINUTES = 5
"""Photos of one location nearer than this in time, in different parts, are a warning of a leak check."""

IN_ORDER_OF_TIME = ("season", "date")

BY_DECISIONS = "decisions"
"""Made in a review: what was asked for teaches, what was drawn by chance from the same locations judges."""


@dataclass(frozen=True, kw_only=True)
class Record:
    """Facts with names and types: read from JSON strictly, so that nothing is guessed and nothing lost."""

    __pydantic_config__: ClassVar[ConfigDict] = ConfigDict(extra="forbid", strict=True)

    def as_json(self) -> dict[str, JsonValue]:
        """JSON-able; optional facts that are not given are left out."""
        document: dict[str, JsonValue] = _adapter(type(self)).dump_python(
            self, mode="json", exclude_defaults=True
        )
        return document

    @classmethod
    def from_json(cls, content: Mapping[str, Any], where: str) -> Self:
        """What `as_json` made.

        Args:
            content: JSON-able.
            where: what keeps these facts, for errors.

        Raises:
            DataError: a fact is missing, unknown or of another type; the first is named.
        """
        try:
            # As text: only there a list is strictly a tuple. Names of bytes were once kept as surrogates.
            text = as_listed(json.dumps(content, ensure_ascii=False))
            record: Self = _adapter(cls).validate_json(text)
        except ValidationError as error:
            raise DataError(f"{where}: {_sentence(error)}. Was it written by another Trapline?") from None
        except (ValueError, TypeError, RecursionError) as error:
            raise DataError(f"{where}: {error}.") from error
        return record


@dataclass(frozen=True, kw_only=True)
class Facts(Record):
    """All that a file says of itself beside its table.

    Attributes:
        others: what a reader keeps of its own, and what only a newer Trapline knows: kept as it is.
    """

    others: Mapping[str, JsonValue] = field(default_factory=dict)

    def __post_init__(self) -> None:
        if clash := sorted(set(self.others) & {one.name for one in fields(self)}):
            raise DataError(f"A fact of one's own cannot be called '{clash[0]}': that name has its meaning.")

    def as_json(self) -> dict[str, JsonValue]:
        """JSON-able; facts that are not given are left out, `others` stand beside those that are."""
        known = super().as_json()
        known.pop("others", None)
        return {**known, **self.others}

    @classmethod
    def from_json(cls, content: Mapping[str, Any], where: str) -> Self:
        """What `as_json` made; unknown names go into `others`.

        Raises:
            DataError: a fact is of another type; it is named.
        """
        names = {one.name for one in fields(cls)} - {"others"}
        known = {name: value for name, value in content.items() if name in names}
        others = {name: value for name, value in content.items() if name not in names}
        return super().from_json({**known, "others": others}, where)


_ADAPTERS: dict[type[Any], TypeAdapter[Any]] = {}


def _adapter(kind: type[Any]) -> TypeAdapter[Any]:
    """To and from JSON; made when it is first needed, for that takes a while."""
    if kind not in _ADAPTERS:
        _ADAPTERS[kind] = TypeAdapter(kind)
    return _ADAPTERS[kind]


def _sentence(error: ValidationError) -> str:
    first = error.errors(include_url=False)[0]
    field_path = ".".join(str(step) for step in first["loc"])
    return f"{field_path or 'they'}: {first['msg'][0].lower()}{first['msg'][1:]}"


def as_foreign_text(value: JsonValue) -> str | None:
    """What foreign files say, be it text, a number or an object."""
    return value if value is None or isinstance(value, str) else json.dumps(value, ensure_ascii=False)


ForeignText = Annotated[str | None, BeforeValidator(as_foreign_text)]


@dataclass(frozen=True, kw_only=True)
class ReadAs(Record):
    """Which reader read the source, and why it was taken.

    Attributes:
        name: of the reader.
        why: it was taken, for people.
        labels_of: `machine` or `all`, where not only what people said was asked for as labels.
    """

    name: str
    why: str
    labels_of: str | None = None


@dataclass(frozen=True, kw_only=True)
class RejectedRows(Record):
    """Rows of the source that cannot be used.

    Attributes:
        count: how many.
        rows: the first of them (`tables.MOST_KEPT`), where and why.
    """

    count: int
    rows: tuple[RejectedRow, ...]


@dataclass(frozen=True, kw_only=True)
class Videos(Record):
    """Videos that the source names, and that are no media of the catalog.

    Attributes:
        count: how many.
        endings: ending or media type → how many, the most frequent first.
        files: the paths of the first of them (`tables.MOST_KEPT`), as the source has them.
    """

    count: int
    endings: dict[str, int]
    files: tuple[str, ...]

    def describe(self) -> str:
        """For people: how many of which kind."""
        kinds = ", ".join(f"{count:,} {ending}" for ending, count in self.endings.items())
        videos = many(self.count, "video is")
        return f"{videos} left out ({kinds}): media are photos here"


@dataclass(frozen=True, kw_only=True)
class JoinedBoxes(Record):
    """Where boxes came from that were joined onto the media by file name.

    Attributes:
        file: the name of the detector's file.
        detector: what it says found them.
        format_version: of the file, as it says.
        matched: media that it names.
        failed: those of them on which the detector failed.
        media_not_in_file: the other media.
        names_not_in_catalog: names in it that are no media.
        videos: entries of videos, whose boxes are of frames.
    """

    file: str
    detector: ForeignText
    format_version: ForeignText
    matched: int
    failed: int
    media_not_in_file: int
    names_not_in_catalog: int
    videos: int = 0


@dataclass(frozen=True, kw_only=True)
class DetectedBoxes(Record):
    """By which detector boxes were found, and on how many media.

    Attributes:
        detector: what it is called: its file, or the id of a ready one.
        fingerprint: of that file.
        categories: what it tells apart.
        min_conf: boxes below this confidence are not kept.
        media: that were looked at.
        with_boxes: those that have a box.
        failed: those that could not be read.
        failures: media id → why.
        kinds: the fingerprint of the model that told the categories; None where the detector did.
    """

    detector: str
    fingerprint: str
    categories: tuple[str, ...]
    min_conf: float
    media: int
    with_boxes: int
    failed: int
    failures: dict[str, str]
    kinds: str | None = None


@dataclass(frozen=True, kw_only=True)
class SampleRecord(Record):
    """How the labelled media were drawn: which share, with which seed, of how many."""

    share: float
    seed: int
    of: int


@dataclass(frozen=True, kw_only=True)
class PartCounts(Record):
    """What a part of a split holds: media, locations and events, and the media of each label."""

    media: int
    locations: int
    events: int
    labels: dict[str, int]


@dataclass(frozen=True)
class LeakCheck(Record):
    """What lies in more than one part of a split.

    Attributes:
        locations: ids of locations with media in several parts.
        events: ids of events with media in several parts.
        duplicates: media ids of equal files that lie in different parts.
        near: how many neighbours in time at one location lie in different parts within `NEAR_MINUTES`; a
            warning.
        without_location: media in a part whose location is unknown, so that nothing can be said of it.
        by: what the split was made by; one by season or date is allowed to share locations, and so is one of
            a review, whose model is for the locations that it was made at.
        files_checked: whether the content of the files was compared.
        one_location: whether there is no other location, so that no split could keep any apart.
    """

    locations: tuple[str, ...] = ()
    events: tuple[str, ...] = ()
    duplicates: tuple[tuple[str, ...], ...] = ()
    near: int = 0
    without_location: int = 0
    by: str | None = None
    files_checked: bool = True
    one_location: bool = False

    @property
    def leaking(self) -> bool:
        """Whether a figure from this split would flatter the model."""
        shared = self.locations and not self._shared_on_purpose
        return bool(shared or self.events or self.duplicates)

    @property
    def _shared_on_purpose(self) -> bool:
        """One location cannot be kept apart from itself; single photos at random share visits besides."""
        shared = self.by in (*IN_ORDER_OF_TIME, BY_DECISIONS)
        return shared or (self.one_location and self.by != "random")

    def lines(self) -> list[str]:
        """One sentence for each thing found, for people; empty if there is nothing."""
        sentences = []
        if self.locations:
            sentences.append(self._about_locations())
        if self.events:
            sentences.append(
                f"LEAK: {many(len(self.events), 'event has')} media in more than one part "
                f"({_some(self.events)})"
            )
        if self.duplicates:
            pairs = [" = ".join(group[:3]) for group in self.duplicates]
            sentences.append(
                f"LEAK: {many(len(pairs), 'file occurs')} in more than one part ({_some(pairs)})"
            )
        if self.without_location:
            sentences.append(
                f"warning: the location of {self.without_location} media is unknown; whether parts share "
                "locations cannot be told"
            )
        if self.near:
            sentences.append(
                f"warning: photos of one location that are less than {NEAR_MINUTES} minutes apart are in "
                f"different parts ({self.near} such pairs)"
            )
        return sentences

    def _about_locations(self) -> str:
        if self.one_location and self._shared_on_purpose:
            return (
                f"All photos are of one location ({self.locations[0]}): figures hold on this camera only, "
                "and tell nothing of another"
            )
        what = (
            f"{many(len(self.locations), 'location has')} media in more than "
            f"one part ({_some(self.locations)})"
        )
        told = "figures tell how it does at known locations at other times, not at new ones"
        return f"{what}: {told}" if self._shared_on_purpose else f"LEAK: {what}"

    def as_json(self) -> dict[str, JsonValue]:
        """JSON-able, every fact and `leaking`, which follows from them."""
        return {**_adapter(LeakCheck).dump_python(self, mode="json"), "leaking": self.leaking}


def _some(names: Sequence[str]) -> str:
    return ", ".join(names[:3]) + (", …" if len(names) > 3 else "")


def _as_leaks(content: object) -> object:
    """Leaking follows from the other facts; it stands in the JSON for those who read that."""
    if not isinstance(content, dict):
        return content
    rest = {name: value for name, value in content.items() if name != "leaking"}
    return _adapter(LeakCheck).validate_json(json.dumps(rest))


Leaks = Annotated[LeakCheck, BeforeValidator(_as_leaks), PlainSerializer(LeakCheck.as_json)]


@dataclass(frozen=True, kw_only=True)
class SplitMethod(Record):
    """How a split was made.

    Attributes:
        by: `location`, `event`, `random`, `season`, `date`, `column`, or `decisions` (of a review; `named`
            then has the streams that asked, or the draws).
        method: `ratios`, `kfold`, `dates`, `named` or `published`; None where it
            came with the catalog.
        seed: of what was drawn.
        ratios: part → its share, summing to 1.
        folds: how many.
        fold: which of them validates, from 0.
        dates: where validation and test begin.
        column: of the seasons, or of the published split.
        named: part → the names that are in it.
        left_out: name → media that are in no part, because it was named for none.
    """

    by: str
    method: str | None = None
    folds: int | None = None
    fold: int | None = None
    dates: tuple[str, ...] | None = None
    ratios: dict[str, float] | None = None
    column: str | None = None
    named: dict[str, tuple[str, ...]] | None = None
    left_out: dict[str, int] | None = None
    seed: int | None = None


@dataclass(frozen=True, kw_only=True)
class SplitRecord(SplitMethod):
    """A split: how it was made, and what that came to.

    Attributes:
        parts: of each part that is not empty what it holds.
        lacks: part → the labels of the catalog that it has no media of.
        fingerprint: SHA-256 over the media with their parts (`trapline.catalog.fingerprint`).
        leaks: what lies in more than one part.
    """

    parts: dict[str, PartCounts] = field(default_factory=dict)
    lacks: dict[str, tuple[str, ...]] = field(default_factory=dict)
    fingerprint: str
    leaks: Leaks


@dataclass(frozen=True, kw_only=True)
class CatalogFacts(Facts):
    """What is known of a catalog as a whole.

    Attributes:
        format: which reader read it.
        notes: what a person should know of how it was read.
        blank_from: label of the source → media for which it was read as `blank`.
        left_out: what of the source is not among the media, in sentences.
        rejected: rows of the source that cannot be used; None where all can.
        videos: of the source; None where it names none.
        unreadable_folders: folders of the source whose content the system does not show.
        timezone: the zone of the cameras' clocks; None where it is not known.
        boxes: where the boxes come from.
        event_gap_seconds: media less than this apart were put into one event.
        event_join_seconds: events less than this apart were joined.
        sample: how the labelled media were drawn.
        split: the record of the split; None without one, or where it came with the media.
        others: what the reader keeps of its own, by name.
    """

    format: ReadAs | None = None
    notes: tuple[str, ...] = ()
    blank_from: dict[str, int] = field(default_factory=dict)
    left_out: tuple[str, ...] = ()
    rejected: RejectedRows | None = None
    videos: Videos | None = None
    unreadable_folders: tuple[str, ...] = ()
    timezone: str | None = None
    boxes: JoinedBoxes | DetectedBoxes | None = None
    event_gap_seconds: float | None = None
    event_join_seconds: float | None = None
    sample: SampleRecord | None = None
    split: SplitRecord | None = None
