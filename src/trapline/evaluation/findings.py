"""What could go wrong in training on a catalog, said before hours are spent on it."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from datetime import UTC, datetime, timedelta
from typing import Any

import polars as pl

from trapline.catalog import (
    FIRST_CAMERA_TRAPS,
    Catalog,
    FileCheck,
    count_distinct,
    impossible_times,
    shooting_order,
    slices,
    streamed,
)
from trapline.errors import name_some
from trapline.evaluation.exploration import Finding, LabelShare, PhotoSample
from trapline.taxonomy import group_spelt_alike

RARE_MEDIA = 20
RARE_LOCATIONS = 3
IMBALANCE = 20
CONFINED = 0.8
LONG_AGO = 10
YEARS_APART = 3
MOST_JUMPS = 3
_EXIF_UNREAD = (
    "The photos' EXIF was not read for them: `trapline catalog --exif` reads it, and so does a split of "
    "photos that are all of one location."
)
_CLOCK_BACK, _LEAP = timedelta(hours=2), timedelta(days=365)
"""Summer time ends by one hour."""


def find_troubles(
    catalog: Catalog, labels: Sequence[LabelShare], photos: PhotoSample, files: FileCheck
) -> list[Finding]:
    """Every finding, the serious ones first."""
    troubles = [
        *_about_videos(catalog),
        *_about_labels(catalog, labels),
        *_about_locations(catalog, labels),
        *_about_files(photos, files),
        *find_clock_troubles(catalog),
    ]
    return sorted(troubles, key=lambda finding: not finding.serious)


def _list(
    serious: bool,
    what: str,
    names: Sequence[str] | Sequence[Sequence[str]],
    text: str,
    *,
    of: str = "",
    most: int = 8,
) -> Iterator[Finding]:
    """What some things have in common, if there are any.

    Args:
        serious: whether training suffers.
        what: they have in common.
        names: of the things, or of the things in groups.
        text: with `{}` where the first of the names are put.
        of: what is said behind their number.
        most: that are named.
    """
    if names:
        shown = name_some([one if isinstance(one, str) else " = ".join(one) for one in names], most)
        yield Finding(serious=serious, title=f"{what}: {len(names)}{of}", text=text.format(shown))


def _about_videos(catalog: Catalog) -> Iterator[Finding]:
    videos = catalog.facts.videos
    if videos is not None:
        text = f"{videos.describe()}. What only they show is not in these figures, nor is it learned."
        yield Finding(serious=False, title=f"Videos of the source: {videos.count}", text=text)


def _about_labels(catalog: Catalog, labels: Sequence[LabelShare]) -> Iterator[Finding]:
    unlabelled = streamed(catalog.frame.select(pl.col("labels").null_count())).item()
    if unlabelled:
        yield Finding(
            serious=not labels,
            title=f"Without a label: {unlabelled} of {len(catalog)} media",
            text="They can be predicted, but nothing is learned from them.",
        )
    alike = group_spelt_alike(one.label for one in labels)
    media = {one.label: one.media for one in labels}
    yield from _list(
        True,
        "Labels that differ in case, spaces or underscores only",
        [[f"'{label}' ({media[label]})" for label in group] for group in alike],
        "{}. They are learned and judged as different: write each in one way, and read the source again.",
    )
    yield from _list(
        True,
        f"Labels with fewer than {RARE_MEDIA} media",
        [f"{one.label} ({one.media})" for one in labels if one.media < RARE_MEDIA],
        "{}. So few teach little and judge nothing: collect more, or join them to another label.",
    )
    if len(labels) > 1 and labels[0].media > IMBALANCE * labels[-1].media:
        yield Finding(
            serious=False,
            title=f"{labels[0].label} is {labels[0].media // labels[-1].media} times as frequent as "
            f"{labels[-1].label}",
            text="Look at balanced accuracy and macro F1 beside accuracy, and think of class weights.",
        )


def _about_locations(catalog: Catalog, labels: Sequence[LabelShare]) -> Iterator[Finding]:
    location = pl.col("location_id")
    unknown = streamed(catalog.frame.select(location.null_count())).item()
    known = count_distinct(catalog.frame, "location_id", len(catalog))
    if known <= 1:
        yield Finding(
            serious=True,
            title="No locations are known" if known == 0 else "All media are of one location",
            text="How a model does at a new location cannot be measured. Split by event or by date, and "
            "expect less than the figures elsewhere.",
        )
        return
    if unknown:
        yield Finding(
            serious=True,
            title=f"Without a known location: {unknown} of {len(catalog)} media",
            text="They cannot be kept apart from training by location.",
        )
    yield from _list(
        True,
        f"Labels seen at fewer than {RARE_LOCATIONS} locations",
        [f"{one.label} ({one.locations})" for one in labels if one.locations < RARE_LOCATIONS],
        "{}. A model can learn the background in place of the animal, and a split by location leaves such a "
        "label in one part only.",
    )
    confined = [
        f"{one.label} ({100 * share:.0f} %)"
        for one in labels
        if one.locations >= RARE_LOCATIONS and (share := one.top_location_share or 0) > CONFINED
    ]
    what = "Labels that come nearly all from one location"
    yield from _list(False, what, confined, "{}. Label and background are hard to tell apart.")
    yield from _one_label_locations(catalog, known)


def _one_label_locations(catalog: Catalog, known: int) -> Iterator[Finding]:
    known_rows = catalog.frame.select("location_id", "labels").drop_nulls().explode("labels")
    pairs = known_rows.group_by("location_id", "labels").agg(media=pl.len())
    kinds = streamed(pairs).group_by("location_id").agg(kinds=pl.len(), media=pl.col("media").sum())
    single = kinds.filter((pl.col("kinds") == 1) & (pl.col("media") > 1)).height
    if single > known / 10:
        yield Finding(
            serious=False,
            title=f"Locations that show one label only: {single} of {known}",
            text="There the background gives the label away; figures from a random split would flatter. "
            "Split by location.",
        )


def _about_files(photos: PhotoSample, files: FileCheck) -> Iterator[Finding]:
    looked = "" if photos.looked == photos.of else f", among {photos.looked} that were opened"
    unreadable, damaged = list(photos.unreadable), list(photos.damaged)
    doubt, leak = "Look at them: some labels may be wrong.", "In two parts of a split they leak."
    across = "Groups of photos that look alike though they are of different events"
    lists: list[tuple[bool, Sequence[str] | Sequence[Sequence[str]], str, str]] = [
        (True, files.missing, "Missing files", "Training and prediction would fail on them."),
        (True, unreadable, f"Photos that cannot be read{looked}", "They are no pictures, or broken."),
        (False, damaged, f"Photos that are damaged or odd{looked}", "They are read as far as it goes."),
        (True, files.conflicts, "Groups of equal files with different labels", "One of them is wrong."),
        (False, files.duplicates, "Groups of equal files", leak),
        (False, files.near_conflicts, "Groups of photos that look alike and have different labels", doubt),
        (False, files.near_duplicates, across, leak),
    ]
    for serious, names, what, consequence in lists:
        yield from _list(serious, what, names, f"{consequence} {{}}", most=5)


def find_clock_troubles(catalog: Catalog) -> Iterator[Finding]:
    """What is odd about the times of a catalog: unknown, impossible or long ago, and clocks that jump."""
    time = pl.col("camera_time")
    times, media = catalog.frame.select(time), len(catalog)
    lacking = streamed(times.select(time.null_count())).item()
    if lacking:
        unread = lacking == media and "exif_time_tag" not in catalog.table.columns
        yield Finding(
            serious=False,
            title="No times are known" if lacking == media else f"Without a time: {lacking} of {media} media",
            text=_EXIF_UNREAD
            if unread
            else "They cannot be split by date, nor joined to events by their times.",
        )
    if lacking == media:
        return
    now = datetime.now(UTC).replace(tzinfo=None)
    for when, count in impossible_times(times).items():
        yield Finding(
            serious=True,
            title=f"Times {when}: {count}",
            text="The clock of a camera was never set, or lost its setting.",
        )
    years = streamed(times.drop_nulls().select(time.dt.year().unique().sort())).to_series().to_list()
    if len(years) == 1 and FIRST_CAMERA_TRAPS <= years[0] < now.year - LONG_AGO:
        yield Finding(
            serious=False,
            title=f"All times lie in {years[0]}",
            text="If the study is not that old, the camera's clock was wrong.",
        )
    yield from _clocks_of_locations(catalog)
    yield from _clocks_that_jump(catalog)


def _clocks_of_locations(catalog: Catalog) -> Iterator[Finding]:
    timed = catalog.frame.select("location_id", "camera_time").drop_nulls()
    clocks = pl.concat(
        some.group_by("location_id").agg(
            first=pl.col("camera_time").min(), year=pl.col("camera_time").dt.year().median()
        )
        for some in slices(timed, pl.col("location_id"), len(catalog))
    )
    start = pl.col("first").dt
    reset = clocks.filter((start.month() == 1) & (start.day() == 1) & (start.hour() == 0))
    yield from _list(
        False,
        "Clocks that begin at midnight of a 1 January",
        reset["location_id"].sort().to_list(),
        "That is where many cameras begin after a change of batteries: {}.",
        of=f" of {clocks.height}",
    )
    middle = clocks["year"].median()
    if clocks.height >= 5 and isinstance(middle, float):
        quartiles = clocks["year"].quantile(0.75) - clocks["year"].quantile(0.25)  # type: ignore[operator]
        reach = max(YEARS_APART, 2 * quartiles)
        yield from _list(
            False,
            "Clocks that are years away from the others",
            clocks.filter((pl.col("year") - middle).abs() > reach)["location_id"].sort().to_list(),
            "{}: right if they were set up at another time.",
            of=f" of {clocks.height}",
        )


def _clocks_that_jump(catalog: Catalog) -> Iterator[Finding]:
    """Clocks that go back, or leap a year, between photos that the camera numbered one after the other.

    Where that happens often, it is the names that do not follow the clock, and nothing is said.
    """
    names = ["media_id", "file_path", "location_id", "deployment_id", "camera_time"]
    timed = catalog.frame.select(names).with_row_index("_row").filter(pl.col("camera_time").is_not_null())
    some_cameras = slices(timed, pl.col("location_id"), len(catalog), wide=2)
    # in the order of the table
    jumping = sorted(one for some in some_cameras for one in _jumps_of_cameras(some))
    back = [line for _, lines, _ in jumping for line in lines]
    leaps = [line for _, _, lines in jumping for line in lines]
    yield from _list(
        True,
        "Clocks that go back",
        back,
        "{}. The number in the photo's name goes on: the clock was set, or lost its setting, or its year "
        "stands still. What came before or after is at another time than it says.",
    )
    yield from _list(
        False, "Clocks that leap by a year or more", leaps, "{}. Was the camera off, or its clock set?"
    )


def _jumps_of_cameras(timed: pl.DataFrame) -> Iterator[tuple[int, list[str], list[str]]]:
    """Of cameras whose clocks jump: their first timed row, where they go back, and where they leap."""
    camera = timed.select(pl.struct("location_id", "deployment_id").rank("dense")).to_series()
    order = shooting_order(timed["file_path"], camera)
    timed, camera = timed[order], camera[order].alias("_camera")
    step = pl.col("camera_time").diff()
    jumps = (
        timed.select("_row", "media_id", "camera_time", camera)
        .with_columns(
            pl.col("camera_time").shift().alias("before"),
            pl.when(pl.col("_camera") == pl.col("_camera").shift()).then(step).alias("step"),
            pl.len().over("_camera").alias("_media"),
            pl.col("_row").min().over("_camera"),
        )
        .filter((pl.col("step") < -_CLOCK_BACK) | (pl.col("step") > _LEAP))
    )
    for one in jumps.partition_by("_camera", maintain_order=True):
        back = one.filter(pl.col("step") < -_CLOCK_BACK)
        if back.height <= max(MOST_JUMPS, one["_media"][0] // 50):
            leaps = one.filter(pl.col("step") > _LEAP)
            gone_back, leapt = (
                [_describe_jump(row) for row in some.iter_rows(named=True)] for some in (back, leaps)
            )
            yield one["_row"][0], gone_back, leapt


def _describe_jump(row: Mapping[str, Any]) -> str:
    return f"from {row['before']:%Y-%m-%d %H:%M} to {row['camera_time']:%Y-%m-%d %H:%M} at {row['media_id']}"
