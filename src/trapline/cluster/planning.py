"""Making the plan of a run in shards, and the folder that workers need beside the photos."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise

import numpy as np
import numpy.typing as npt

from trapline import __version__
from trapline.catalog import Catalog, CatalogFacts, Cursor
from trapline.cluster.kinds import ToPlan
from trapline.cluster.plan import FORMAT_VERSION, Plan, Shard
from trapline.cluster.run_folder import RunFolder
from trapline.errors import UsageError
from trapline.prediction import narrow
from trapline.storage import AnyPath

SHARD_SIZE = 8192
TRIES = 3
LEASE = 120.0


def plan_shards(
    work: ToPlan,
    folder: AnyPath | str,
    *,
    shard_size: int = SHARD_SIZE,
    tries: int = TRIES,
    lease: float = LEASE,
) -> Plan:
    """Plan work in shards. The folder has all that a worker needs but the photos.

    Args:
        work: see `prediction` and its like.
        folder: of the run; made.
        shard_size: media a shard has at least.
        tries: how often a shard's process may die without getting further before the photo is looked for.
        lease: seconds after which a worker that says nothing has lost its shard.

    Raises:
        UsageError: the folder is not empty, or a number is out of range.
    """
    for name, value in {"media a shard": shard_size, "tries": tries, "seconds of a lease": lease}.items():
        if value < 1:
            raise UsageError(f"The {name} must be at least 1, not {value}.")
    files = RunFolder(folder)
    files.make()
    files.keep_model(work.content, work.name)
    plan = Plan(
        format_version=FORMAT_VERSION,
        trapline=__version__,
        work=work.work,
        model=work.name,
        fingerprint=work.fingerprint,
        source=work.media.source,
        root=files.name_root(work.media.root),
        media=len(work.media),
        shards=_keep_parts(files, work.media, work.asked, work.cut(shard_size)),
        header=work.header,
        options=work.options,
        whole=work.whole,
        around=None if work.around is None else files.keep_around(work.around),
        unreadable_folders=tuple(work.media.facts.unreadable_folders),
        tries=tries,
        lease=float(lease),
    )
    files.write_plan(plan)
    return files.plan()


def _keep_parts(
    files: RunFolder, media: Catalog, asked: npt.NDArray[np.int64] | None, bounds: Sequence[int]
) -> tuple[Shard, ...]:
    """Write the catalog in parts, between bounds, with what a worker needs of it and none of its facts."""
    shards: list[Shard] = []
    cursor = Cursor(media.frame, source=media.source)
    for number, (start, stop) in enumerate(pairwise(bounds)):
        table = cursor.take(stop - start).rechunk()
        part = narrow(Catalog(table, media.root, media.source, CatalogFacts()))
        inputs = stop - start if asked is None else int(asked[start:stop].sum())
        shards.append(Shard(start=start, stop=stop, asked=inputs, digest=files.keep_part(number, part)))
    return tuple(shards)
