"""Labels that come back: what people decided of photos, put onto the media they belong to."""

from __future__ import annotations

from dataclasses import replace

import polars as pl

from trapline.catalog.identity import equal_files, media_files, sizes_of
from trapline.catalog.table import Catalog
from trapline.errors import DataError
from trapline.taxonomy import BLANK


def relabel(catalog: Catalog, labelled: Catalog) -> Catalog:
    """The catalog with the labels that another one has for the same photos.

    A photo is the same if its content is, under any name; where no file of its content is among the media,
    if its id or its path is the same, to the letter or else with its accents in one form (NFC): it is noted
    how many are taken by their names though their contents differ. Copies of one photo under several labels
    are one photo with several. Media that are not among the labelled ones, or whose copies are called blank
    and something else, keep the labels they had; it is noted how many labels were taken, how many say
    something else than before, and which labelled photos are not of this catalog.

    Args:
        catalog: the media.
        labelled: what was read of sorted folders, a corrected table, …; media without a label are left out.

    Raises:
        DataError: nothing is labelled, or none of the labelled photos is of this catalog.
    """
    labelled = labelled.filter(pl.col("labels").is_not_null())
    if not len(labelled):
        raise DataError(f"{labelled.source} has no labels that could be put into the catalog.")
    owners = same_photos(catalog, labelled)
    differing = owners.filter(pl.col("by") == "name alone")["row"]
    unknown = labelled.table.filter(~pl.int_range(pl.len()).is_in(owners["other"].implode()))
    if unknown.height == len(labelled):
        raise DataError(
            f"None of the {len(labelled):,} labelled photos of {labelled.source} is one of the catalog: "
            f"neither by content nor by name (the first is {unknown['file_path'][0]})."
            f"{_describe_unknown(catalog)}{_describe_unknown(labelled)}"
        )
    labels = labelled.table.select("labels").with_row_index("other")
    joined = owners.join(labels, on="other", maintain_order="left")
    decided = joined.group_by("row").agg(
        pl.col("labels").list.explode(keep_nulls=False, empty_as_null=False).unique(maintain_order=True)
    )
    contradictory = (pl.col("labels").list.len() > 1) & pl.col("labels").list.contains(BLANK)
    refused, decided = decided.filter(contradictory), decided.filter(~contradictory)
    table = catalog.table.with_row_index("row").join(
        decided, on="row", how="left", maintain_order="left", suffix="_new"
    )
    taken = pl.col("labels_new").is_not_null()
    differs = taken & pl.col("labels").is_not_null()
    differs &= pl.col("labels").list.sort() != pl.col("labels_new").list.sort()
    counts = table.select(taken=taken.sum(), differs=differs.fill_null(False).sum()).row(0)
    note = f"labels of {labelled.source}: put on {counts[0]:,} media, {counts[1]:,} of which had others"
    if len(differing):
        first = catalog.table["file_path"][differing[0]]
        note += f"; {len(differing):,} of them by their names, though they are other files than here"
        note += f" ({first})"
    if unknown.height:
        first = ", ".join(unknown["file_path"].head(3))
        note += f"; {unknown.height:,} labelled photos are not of this catalog ({first})"
    if refused.height:
        first = catalog.table["file_path"][refused["row"].sort()[0]]
        note += (
            f"; {refused.height:,} are labelled both {BLANK} and otherwise and stay as they were ({first})"
        )
    filled = table.with_columns(pl.coalesce("labels_new", "labels").alias("labels")).drop("row", "labels_new")
    return catalog.with_table(filled, replace(catalog.facts, notes=(*catalog.facts.notes, note)))


def _describe_unknown(catalog: Catalog) -> str:
    """For people: that photos cannot be known by their content, and what helps; empty where all can."""
    unknown = sizes_of(media_files(catalog)).count(None)
    if not unknown:
        return ""
    return (
        f" Of {unknown:,} of the photos of {catalog.source} the content is not known: they are not at "
        f"{catalog.root}, and it was not kept. Where they are now says `trapline catalog CATALOG --root "
        "FOLDER`; `--content` keeps it."
    )


def same_photos(catalog: Catalog, other: Catalog, *, as_kept: bool = False) -> pl.DataFrame:
    """Pairs of media of two catalogs that are the same photo.

    By content under any name; else, where neither is paired by content, by id or path, to the letter or with
    accents in one form (NFC).

    Args:
        catalog: the media.
        other: the other's.
        as_kept: of the other's, what was kept of the contents counts, and not what lies there now.

    Returns:
        `row` of the catalog and `other`, of the other; `by` says how: `content`, `name`, or `name alone`
        where both contents are known and differ.
    """
    first = len(catalog)
    files = [*media_files(catalog), *media_files(other, as_kept=as_kept)]
    sizes = sizes_of(files)
    shared = set(sizes[:first]) & set(sizes[first:])  # no other need be read
    groups = equal_files(files, sizes=[size if size in shared else None for size in sizes])
    pairs = [
        (row, one - first)
        for group in groups
        for row in group
        if row < first
        for one in group
        if one >= first
    ]
    schema = {"row": pl.UInt32, "other": pl.UInt32}
    matches = pl.DataFrame(pairs, schema=schema, orient="row")
    exact = [pl.col(name) for name in ("media_id", "file_path")]
    for name in (*exact, *(name.str.normalize("NFC") for name in exact)):
        ours, theirs = (
            side.table.select(name.alias("name"))
            .with_row_index(index)
            .filter(~pl.col(index).is_in(matches[index].implode()))
            for side, index in ((catalog, "row"), (other, "other"))
        )
        matches = pl.concat([matches, ours.join(theirs, on="name").select(list(schema))])
    known = pl.Series([bool(size) for size in sizes], dtype=pl.Boolean)
    differ = known[matches["row"]] & known[matches["other"].cast(pl.Int64) + first]
    by_name = pl.int_range(pl.len()) >= len(pairs)
    by = pl.when(~by_name).then(pl.lit("content")).when(differ).then(pl.lit("name alone"))
    return matches.with_columns(by.otherwise(pl.lit("name")).alias("by")).sort("row", "other")
