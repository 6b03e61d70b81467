"""The plan of a run in shards: what is to be done, in which parts, and all that the parts have in common."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

from pydantic import JsonValue

from trapline.catalog import Record
from trapline.errors import DataError

FORMAT_VERSION = "1"


@dataclass(frozen=True, kw_only=True)
class Shard(Record):
    """One part of a plan.

    Attributes:
        start: the first of its media, counted from 0 in the order of the catalog.
        stop: the one behind its last.
        asked: inputs that the model is asked about.
        digest: of its part of the catalog, BLAKE2b of the file.
    """

    start: int
    stop: int
    asked: int
    digest: str

    def __str__(self) -> str:
        return f"media {self.start + 1:,} to {self.stop:,}"


@dataclass(frozen=True, kw_only=True)
class Plan(Record):
    """What is to be done in shards; the content of `plan.json`.

    Attributes:
        format_version: of the folder.
        trapline: the version that made it.
        work: the kind of work, a name in `SHARDED_WORK`.
        model: the file in the folder `model`.
        fingerprint: of the model.
        source: of the media, for people.
        root: where the photos are; relative to the run's folder where that is possible.
        media: in all shards.
        shards: in the order of the catalog.
        header: of the journals.
        options: of the kind of work.
        whole: what is true of the whole table, and not of a shard's.
        around: the digest of the whole catalog, where what is written needs more than the parts.
        unreadable_folders: of the source, whose photos are in no shard.
        tries: how often a shard's process may die without getting further before the photo is looked for.
        lease: seconds after which a worker that says nothing has lost its shard.
    """

    format_version: str
    trapline: str
    work: str
    model: str
    fingerprint: str
    source: str
    root: str
    media: int
    shards: tuple[Shard, ...]
    header: Mapping[str, JsonValue]
    options: Mapping[str, JsonValue] = field(default_factory=dict)
    whole: Mapping[str, JsonValue] = field(default_factory=dict)
    around: str | None = None
    unreadable_folders: tuple[str, ...] = ()
    tries: int = 3
    lease: float = 120.0

    @cached_property
    def id(self) -> str:
        """Of the catalog's parts, the model and the options: by it a table tells whose it is."""
        content = json.dumps(self.as_json(), sort_keys=True, ensure_ascii=True).encode()
        return hashlib.blake2b(content, digest_size=16).hexdigest()

    def table_header(self, number: int) -> dict[str, Any]:
        """What the table of a shard keeps of it."""
        shard = self.shards[number]
        return {"plan": self.id, "shard": number, "start": shard.start, "stop": shard.stop}

    def shard(self, number: int) -> Shard:
        """One of the shards.

        Raises:
            DataError: the plan has none of that number.
        """
        if not 0 <= number < len(self.shards):
            raise DataError(
                f"There is no shard {number}: the plan has {len(self.shards)}, 0 to {len(self.shards) - 1}. "
                "Does the array have as many tasks as the plan has shards?"
            )
        return self.shards[number]

    @classmethod
    def parse(cls, text: bytes, where: str) -> Plan:
        """The plan in a text; `where` it stands.

        Raises:
            DataError: it is damaged, or of another Trapline.
        """
        try:
            content = json.loads(text)
        except (ValueError, RecursionError) as error:
            raise DataError(f"{where} cannot be read: {error}. Make the plan anew.") from error
        if not isinstance(content, dict) or content.get("format_version") != FORMAT_VERSION:
            raise DataError(f"{where} is no plan in the format {FORMAT_VERSION}, which this Trapline reads.")
        return cls.from_json(content, where)
