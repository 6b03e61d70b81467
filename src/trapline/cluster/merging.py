"""From the tables of all shards to the one that a single run would have written."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any, NoReturn

import polars as pl

from trapline.cluster.kinds_by_name import kind_of_work
from trapline.cluster.plan import Plan
from trapline.cluster.run_folder import RunFolder, batches_of, digest_of, read_attempt, read_table
from trapline.errors import DataError, many, name_some
from trapline.storage import AnyPath


@dataclass(frozen=True)
class Merged:
    """What came of a run in shards.

    Attributes:
        output: the table.
        plan: of the run.
        counts: of the whole: a `Summary` of predictions, `DetectedBoxes` of boxes.
    """

    output: Path
    plan: Plan
    counts: Any

    def refuse_failures(self) -> None:
        """Raise `DataError` if any media failed, or a folder of the source could not be read."""
        failed, unread = self.counts.failed, self.plan.unreadable_folders
        parts = [f"{many(failed, 'row')} failed: `reason` in {self.output} says why."] if failed else []
        if unread:
            named = name_some(unread, 3, between="; ")
            parts.append(
                f"{many(len(unread), 'folder')} could not be read, and their photos have no rows: {named}."
            )
        if parts:
            raise DataError(" ".join(parts))


def merge_shards(folder: AnyPath | str, output: Path | str) -> Merged:
    """Put the tables of a run in shards together; equal to that of a single run, byte for byte.

    Args:
        folder: of the run.
        output: what that run would have written.

    Raises:
        DataError: a shard is missing or there twice, or a table, the catalog or the plan is another than it
            was; the message says which, and what to do.
    """
    run = RunFolder(folder)
    plan = run.plan()
    _refuse_missing(run, plan)
    with run.tables() as paths:
        tables, kind = check_tables(run, plan, paths), kind_of_work(plan)
        whole = partial(run.whole_catalog, plan)
        counts = kind.merge(plan, partial(batches_of, tables), whole, Path(output))
    return Merged(Path(output), plan, counts)


def _refuse_missing(run: RunFolder, plan: Plan) -> None:
    missing = sorted(set(range(len(plan.shards))) - run.finished())
    if missing:
        named = name_some([str(number) for number in missing], 20)
        raise DataError(
            f"{len(missing)} of {many(len(plan.shards), 'shard is')} not done: {named}. `trapline cluster "
            f"status {run.path}` says why; `trapline cluster work {run.path} --claim` does them."
        )


def check_tables(run: RunFolder, plan: Plan, paths: Sequence[Path]) -> list[pl.LazyFrame]:
    """The rows of the shards' tables, in their order: all of them and each the plan's own.

    Raises:
        DataError: see `merge_shards`.
    """
    attempts, tables = run.attempts(), []
    expected = {f"{number:05}.parquet": number for number in range(len(plan.shards))}
    for path in paths:
        if path.name not in expected:
            _refuse_strange(path, plan)
    for path in paths:
        number = expected[path.name]
        records = [record for _, record in attempts.get(number, [])]
        tables.append(_checked(run, plan, number, path, records))
    return tables


def _refuse_strange(path: Path, plan: Plan) -> NoReturn:
    _, header = read_table(path)
    of = (
        "is of another plan" if header.get("plan") != plan.id else f"is shard {header.get('shard')} once more"
    )
    raise DataError(f"{path} {of}. Move it away; nothing was merged.")


def _checked(
    run: RunFolder, plan: Plan, number: int, path: Path, attempts: Sequence[AnyPath]
) -> pl.LazyFrame:
    rows, header = read_table(path)
    if header.get("plan") != plan.id:
        raise DataError(
            f"{path} is of another plan: of another model, catalog or options. Delete it, and work again."
        )
    if header != plan.table_header(number):
        raise DataError(
            f"{path} is the table of shard {header.get('shard')}, once more. Delete it, and work again."
        )
    records = (read_attempt(record)[1] for record in attempts)
    digests = {record.digest for record in records if record is not None and record.digest is not None}
    if digests and digest_of(path) not in digests:
        raise DataError(f"{path} is no longer what its worker has written. Delete it, and work again.")
    _refuse_other_media(run, plan, number, rows)
    return rows


def _refuse_other_media(run: RunFolder, plan: Plan, number: int, rows: pl.LazyFrame) -> None:
    """Refuse a table that has not a row, or some, for each media of its shard, in their order."""
    planned = run.part(plan, number).table["media_id"]
    try:
        there = rows.select("media_id").collect()["media_id"]
    except pl.exceptions.PolarsError as error:
        raise DataError(f"Shard {number} of {run.path} cannot be read: {error}. Delete it.") from error
    if not there.filter(there.ne_missing(there.shift())).equals(planned):
        raise DataError(f"The table of shard {number} has not the rows that were planned. Delete it.")
