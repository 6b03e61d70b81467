"""A small catalog of files, and people who decide on it."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

from trapline.catalog import Catalog, content_hash, content_size
from trapline.review.decision import Asked, DecidedMedia, Decision, Sighting
from trapline.review.log import DecisionLog

START = datetime(2026, 5, 1, 8, tzinfo=UTC)


def photos(root: Path, rows: Sequence[dict[str, Any]]) -> Catalog:
    """A catalog of one file a row, whose content is its `content` or else its name."""
    table = []
    for row in rows:
        row = dict(row)
        path = root / row["file_path"]
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(row.pop("content", row["file_path"].encode()))
        table.append({"media_id": row["file_path"], **row})
    return Catalog.from_rows(table, root, root.name)


class Review:
    """Decisions, one a minute, on the events of a catalog as it is when they are made."""

    def __init__(self, folder: Path, catalog: Catalog) -> None:
        self.log = DecisionLog.open(folder / "decisions.db", create=True)
        self.catalog = catalog
        self.number = 0

    def decide(
        self,
        names: Sequence[str],
        what: str | Sequence[str] | Sequence[Sighting] | None,
        person: str = "Ann",
        *,
        of_event: bool = True,
        asked: Asked = "chosen",
        event: str | None = None,
        **more: Any,
    ) -> Decision:
        """`what` is seen on photos; `blank`; None: it cannot be told."""
        self.number += 1
        rows = {row["file_path"]: row for row in self.catalog.table.iter_rows(named=True)}
        media = []
        for name in names:
            path = self.catalog.path(name)
            media.append(DecidedMedia(rows[name]["media_id"], name, content_size(path), content_hash(path)))
        row = rows[names[0]]
        key = f"event:{row['event_id']}" if row["event_id"] else f"media:{row['media_id']}"
        labels = [what] if isinstance(what, str) else list(what or ())
        verdict = "cannot tell" if what is None else "blank" if what == "blank" else "seen"
        decision = Decision(
            decision_id=f"d{self.number}",
            person=person,
            decided_at=START + timedelta(minutes=self.number),
            event=event or key,
            media=tuple(media),
            of_event=of_event,
            verdict=verdict,
            labels=()
            if verdict != "seen"
            else tuple(one if isinstance(one, Sighting) else Sighting(one) for one in labels),
            asked=asked,
            **more,
        )
        self.log.add(decision)
        return decision
